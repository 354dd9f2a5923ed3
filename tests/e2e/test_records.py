"""Records in PostgreSQL: the node is killed and the server stopped in between, psql counts what there is; a file's records move there; every wrong start says why."""

import json
import subprocess
import threading
import time
import uuid
from collections import Counter

from harness import Case, binary, now_ms, run, spawn, wait_until
from postgres import PASSWORD, Postgres
from test_trace import LINE, PLANT

# An order of these is made and counted by people alone.
BOLT = f"""
[[material]]
name = "BOLT"
operation = [{{ name = "10", equipment = ["{LINE}/pack"], run_time = "1 s" }}]
"""


def key() -> str:
    return str(uuid.uuid4())


class OnPostgres(Case):
    def setUp(self):
        super().setUp()
        self.server = Postgres()
        self.addCleanup(self.server.close)

    def settled(self, database: str = "andon", **options):
        """A node with its records in a database, and the password where it finds it at its start."""
        node = self.node(start=False, extra=self.server.settings(database), **options)
        self.set_secret(node)
        return node

    def set_secret(self, node, value: str = PASSWORD):
        process = spawn(
            [binary(), "secret", "set", "--config", node.config, "records"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        out, err = process.communicate(value + "\n", timeout=30)
        self.assertEqual((process.returncode, out), (0, "the secret records is set\n"), err)

    def refused(self, node, *words: str):
        """The node does not start, and says why."""
        node.launch()
        self.assertEqual(node.process.wait(timeout=60), 1)
        said = node.log_tail(12)
        for word in words:
            self.assertIn(word, said)

    def ok(self, node, method, path, body=None, status=200):
        answer = node.request(method, path, body)
        self.assertEqual(answer.status, status, answer)
        return answer.json if answer.body else None


class Records(OnPostgres):
    def test_nothing_acknowledged_is_lost_or_doubled_while_node_and_server_are_killed(self):
        self.here = self.settled().start()
        self.here.apply(PLANT + BOLT)
        order = self.ok(self.here, "POST", "/api/mes/orders", {"number": "4711", "material": "PUMP", "quantity": 100, "release": True}, 201)
        for job in order["jobs"]:
            self.ok(self.here, "POST", f"/api/mes/jobs/{job['id']}/begin", {"version": job["version"], "key": key()})
        self.job = order["jobs"][0]["id"]
        self.ok(self.here, "POST", "/api/mes/lots", {"key": key(), "material": "VALVE", "number": "V-0", "quantity": 8, "place": "works/store"})
        self.orders, self.counted, self.unavailable, self.wrong, self.over = [], 0, [], [], threading.Event()
        worker = threading.Thread(target=self.work)
        worker.start()
        try:
            self.progress()
            self.pass_unit("mount", serial="U-1", valve="V-0", motor="M-1")
            # The server alone, for some seconds: the node says so, refuses with a remedy, and goes on by itself.
            self.server.stop()
            sick = wait_until("the node says that it is away", lambda: (a := self.here.get("/readyz")).status == 503 and a.text, 30)
            self.assertIn("until the database server is back", sick)
            wait_until("somebody was refused", lambda: self.unavailable, 30)
            self.assertIn("try again once it is back", json.dumps(self.unavailable))
            self.pass_unit("leak", serial="U-1", result=1, rate=1.5)
            time.sleep(2)
            self.server.start()
            wait_until("the node is ready again", lambda: self.here.get("/readyz").status == 200, 30)
            self.progress()
            self.here.kill()
            self.here.start()
            self.progress()
            # Both at once; and the node comes first.
            self.server.stop()
            self.here.kill()
            self.refused(self.here, "could not reach PostgreSQL", "check that the server runs there")
            self.server.start()
            self.here.start()
            self.pass_unit("pack", serial="U-1")
            self.progress()
            # The server between two commits, at once there again.
            for _ in range(3):
                self.server.stop()
                self.server.start()
                self.progress()
        finally:
            self.over.set()
            worker.join(60)
        self.assertEqual(self.wrong, [])
        self.here.kill()
        self.here.start()
        self.judge()

    def pass_unit(self, station: str, **said):
        at = now_ms()
        body = [{"path": f"{LINE}/{station}/{tag}", "ts": at, "value": value} for tag, value in said.items()]
        self.assertEqual(self.here.post("/api/ingest?precision=ms", body).status, 204)

    def work(self):
        """Makes orders and counts one after the other, each until it is acknowledged, with its key."""
        number = 0
        while not self.over.is_set():
            number += 1
            wish = {"number": f"B-{number:04}", "material": "BOLT", "quantity": number}
            if self.until_done("/api/mes/orders", wish):
                self.orders.append(wish["number"])
            if self.until_done(f"/api/mes/jobs/{self.job}/counts", {"key": key(), "good": 1}):
                self.counted += 1

    def until_done(self, path: str, body) -> bool:
        while True:
            try:
                answer = self.here.request("POST", path, body, deadline=90)
                if answer.status in (200, 201):
                    return True
                if answer.status == 503:
                    self.unavailable.append(answer.text)
                elif answer.status != 401:  # The token of the life before.
                    self.wrong.append(repr(answer))
                    return False
            except (OSError, ValueError):
                pass
            if self.over.is_set():
                return False
            time.sleep(0.05)

    def progress(self):
        until = len(self.orders) + 5
        wait_until("five more orders are made", lambda: len(self.orders) >= until or self.wrong, 60)
        self.assertEqual(self.wrong, [])

    def judge(self):
        # The last one may have been made without its answer.
        there = Counter(number for (number,) in self.server.psql("SELECT number FROM work_order WHERE number LIKE 'B-%'"))
        self.assertEqual([number for number, count in there.items() if count != 1], [])
        self.assertLessEqual(set(self.orders), set(there))
        self.assertLessEqual(len(there), len(self.orders) + 1)
        listed = self.ok(self.here, "GET", "/api/mes/orders/4711")
        good = listed["jobs"][0]["good"]
        self.assertIn(good, (self.counted, self.counted + 1))
        [[total, entries]] = self.server.psql(f"SELECT sum(good) / 1000000, count(*) FROM job_ledger WHERE job = decode('{self.job.replace('-', '')}', 'hex') AND kind = 'count'")
        self.assertEqual((int(float(total)), int(entries)), (good, good))
        unit = wait_until("the unit is born", lambda: self.born("U-1"), 60)
        self.assertEqual(len(unit["certificates"]), 1)
        self.assertEqual(sorted(one["equipment"].rsplit("/", 1)[1] for one in unit["passes"]), ["leak", "mount", "pack"])
        folder = self.temporary_folder()
        public, file = folder / "works.pem", folder / "unit.json"
        public.write_bytes(self.here.get("/api/mes/certificate-key").body)
        file.write_bytes(self.here.get(f"/api/mes/certificates/{unit['certificates'][0]['number']}").body)
        done = run([binary(), "verify", "certificate", file, "--key", public])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(self.server.psql("SELECT count(*) FROM trace_certificate"), [["1"]])
        self.what_a_reader_sees(unit)
        # Each change is told once, and the chain of what was told is whole.
        audit = self.ok(self.here, "GET", "/api/audit/verify")
        self.assertTrue(audit["ok"], audit)
        wait_until("nothing waits for the log", lambda: self.server.psql("SELECT count(*) FROM outbox") == [["0"]])
        told = Counter(one["id"] for one in self.here.timeline())
        self.assertEqual([one for one, count in told.items() if count != 1], [])

    def what_a_reader_sees(self, unit):
        """The views, by somebody who may read nothing else: what HTTP answers."""
        views = ", ".join(row[0] for row in self.server.psql("SELECT table_name FROM information_schema.views WHERE table_name LIKE 'report_%'"))
        self.server.psql(f"CREATE ROLE reports LOGIN PASSWORD '{PASSWORD}'; GRANT SELECT ON {views} TO reports")
        read = lambda statement: self.server.psql(statement, user="reports")
        with self.assertRaisesRegex(AssertionError, "permission denied"):
            read("SELECT * FROM person")
        order = self.ok(self.here, "GET", "/api/mes/orders/4711")
        created = "(extract(epoch FROM created) * 1000)::bigint"
        [[material, quantity, state, created]] = read(f"SELECT material, quantity, state, {created} FROM report_orders WHERE number = '4711'")
        self.assertEqual((material, float(quantity), state, int(created)), ("PUMP", 100, order["state"], order["created_ms"]))
        jobs = read("SELECT id, number, booked_good, pg_typeof(started) FROM report_jobs WHERE order_number = '4711' ORDER BY number")
        expected = [[job["id"], job["number"], job["good"], "timestamp with time zone"] for job in order["jobs"]]
        self.assertEqual([[id, number, float(good), kind] for id, number, good, kind in jobs], expected)
        self.assertEqual(len(read("SELECT number FROM report_orders WHERE material = 'BOLT'")), len(read("SELECT number FROM report_jobs WHERE material = 'BOLT'")))
        parts = read("SELECT from_material, from_number, quantity FROM report_genealogy WHERE to_number = 'U-1' AND removed_time IS NULL ORDER BY 1")
        self.assertEqual([(material, number, float(quantity)) for material, number, quantity in parts], [("MOTOR", "M-1", 1), ("VALVE", "V-0", 1)])
        [[id, kind, state]] = read("SELECT id, kind, state FROM report_lots WHERE number = 'U-1'")
        self.assertEqual((id, kind, state), (unit["id"], "unit", unit["state"]))
        self.assertEqual(read("SELECT made - consumed FROM report_lots WHERE number = 'V-0'")[0][0].split(".")[0], "7")
        read("SELECT path, begins, good / nullif(good + scrap + rework, 0) FROM report_hours")

    def born(self, serial: str):
        found = self.ok(self.here, "GET", f"/api/mes/units?number={serial}")["items"]
        self.assertLessEqual(len(found), 1, f"{serial} is there once")
        unit = self.ok(self.here, "GET", f"/api/mes/units/{found[0]['id']}") if found else None
        return unit if unit and unit["certificates"] else None


class Moving(OnPostgres):
    def test_the_records_of_a_file_move_into_an_empty_database_and_into_no_other(self):
        here = self.node()
        here.apply(PLANT + BOLT)
        here.make_user("olga", "operator", "works/line")
        for number in range(20):
            self.ok(here, "POST", "/api/mes/orders", {"number": f"B-{number}", "material": "BOLT", "quantity": 5}, 201)
        orders = self.ok(here, "GET", "/api/mes/orders")
        running = here.cli("records copy")
        self.assertEqual(running.returncode, 1)
        self.assertIn("the settings name no database", running.stderr)
        settings = here.config.read_text()
        here.config.write_text(settings + self.server.settings())
        self.assertIn("in use by another Andon", here.cli("records copy").stderr)
        here.stop()
        self.set_secret(here)
        self.refused(here, "is empty, but the log holds", "andon records copy")
        copied = here.cli("records copy", deadline=60)
        self.assertEqual(copied.returncode, 0, copied.stderr)
        self.assertIn("work_order: 20 rows", copied.stdout)
        self.assertIn("every table was counted on both sides", copied.stdout)
        self.assertFalse((here.data_dir / "records.sqlite").exists())
        doctor = here.cli("doctor")
        self.assertIn("which is fit for them", doctor.stdout)
        here.start()
        self.assertEqual(self.ok(here, "GET", "/api/mes/orders"), orders)
        here.log_in("olga")
        self.assertEqual(self.server.psql("SELECT count(*) FROM work_order"), [["20"]])
        here.stop()
        again = here.cli("records copy", "--from", here.data_dir / "records.sqlite.copied", deadline=60)
        self.assertEqual(again.returncode, 1)
        self.assertIn("holds records already, and they are not replaced", again.stderr)
        # Without the database it does not go on with what is old.
        here.config.write_text(settings)
        self.refused(here, "name it again in [records] url")

    def test_a_backup_holds_the_records_and_brings_them_into_a_new_database(self):
        here = self.settled().start()
        here.apply(PLANT + BOLT)
        for number in range(5):
            self.ok(here, "POST", "/api/mes/orders", {"number": f"B-{number}", "material": "BOLT", "quantity": 5}, 201)
        orders = self.ok(here, "GET", "/api/mes/orders")
        backups = self.temporary_folder() / "backups"
        for running in (True, False):
            if not running:
                here.stop()
            made = here.cli("backup", backups, deadline=60)
            self.assertEqual(made.returncode, 0, made.stderr)
        verified = run([binary(), "backup", "verify", backups], deadline=60)
        self.assertEqual((verified.returncode, "all is well" in verified.stdout), (0, True), verified.stdout)
        self.server.make("second")
        back = self.settled("second")
        for path in back.data_dir.iterdir():
            path.unlink()
        restored = run([binary(), "restore", backups, "--into", back.data_dir], deadline=60)
        self.assertEqual(restored.returncode, 0, restored.stderr)
        self.set_secret(back)
        copied = back.cli("records copy", deadline=60)
        self.assertEqual(copied.returncode, 0, copied.stderr)
        back.start()
        self.assertEqual(self.ok(back, "GET", "/api/mes/orders"), orders)
        self.assertEqual(self.server.psql("SELECT count(*) FROM work_order", database="second"), [["5"]])


class Wrong(OnPostgres):
    def test_what_is_wrong_is_said_before_anything_runs(self):
        here = self.node(start=False, extra=self.server.settings())
        self.refused(here, 'the secret "records" of [records] is not set', "andon secret set records")
        self.set_secret(here, "a guess")
        self.refused(here, "check the user of `url` and the secret")
        self.set_secret(here)
        self.server.psql("CREATE TABLE recipe (name TEXT)")
        self.refused(here, "is a database of another program")
        self.server.psql("DROP TABLE recipe")
        here.start()
        # Another one, while it runs and after that.
        other = self.settled()
        self.refused(other, "another node has the records in", "from 127.0.0.1")
        self.ok(here, "DELETE", "/api/secrets/records", status=409)
        here.stop()
        self.refused(other, "holds the records of another node")
        self.server.psql("INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, '\\x00', 0)")
        self.refused(here, "was written by a newer version of Andon")
        self.assertIn("was written by a newer version of Andon", here.cli("doctor").stdout)
        self.server.psql("DELETE FROM _sqlx_migrations WHERE version = 9999")
        here.start()
