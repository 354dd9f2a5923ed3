"""Orders, jobs, lots, what went into what and figures in the node's own SQL: what HTTP shows, to whom HTTP shows it, beside history; from a file and from PostgreSQL."""

import json
import os
import sqlite3
from datetime import datetime, timezone

import psycopg
from harness import MILL, OVEN, PASSWORD, PRESS, TWO_LINES, MesCase, key, now_ms, run, wait_until
from mqtt import Client
from test_records import OnPostgres
from test_sql import REPORTS

PLANT = f"""
{TWO_LINES}tag = [
  {{ path = "{PRESS}/force", type = "double" }}, {{ path = "{MILL}/force", type = "double" }},
  {{ path = "{PRESS}/serial", type = "string" }}, {{ path = "{PRESS}/valve", type = "string" }},
]

[[topic]]
filter = "{PRESS}/unit"
format = "json"
time = "ts"
fields = [{{ path = "serial", tag = "{PRESS}/serial" }}, {{ path = "valve", tag = "{PRESS}/valve" }}]

[[machine]]
equipment = "{PRESS}"
unit = {{ serial = "{PRESS}/serial", part = [{{ material = "VALVE", lot = "{PRESS}/valve" }}], first = true, last = true }}

[[material]]
name = "VALVE"
unit = "pcs"
tracked = "lot"

[[material]]
name = "PUMP"
title = "Pump"
tracked = "serial"
operation = [
  {{ name = "10", title = "Press", equipment = ["{PRESS}"], run_time = "1 s" }},
  {{ name = "20", title = "Mill", equipment = ["{MILL}"], run_time = "1 s" }},
]

[[material]]
name = "ROD"
operation = [{{ name = "10", equipment = ["{MILL}"], run_time = "1 s" }}]
"""
HOUR = 480_000
BEGINS = datetime(2024, 10, 4, tzinfo=timezone.utc)


class Stands:
    """What is the same wherever the records are; `here` is the node, `records` runs a statement in them."""

    def rows(self, query: str, parameters=None, user: str = "anna") -> list[tuple]:
        host, port = self.here.sql
        with psycopg.connect(host=host, port=port, user=user, password=PASSWORD, dbname="andon", connect_timeout=10) as link:
            return link.execute(query, parameters).fetchall()

    def psql(self, query: str, user: str = "anna") -> list[str]:
        host, port = self.here.sql
        command = ["psql", "-X", "-A", "-t", "-h", host, "-p", str(port), "-U", user, "-d", "andon", "-v", "ON_ERROR_STOP=1", "-c", query]
        done = run(command, env={**os.environ, "PGPASSWORD": PASSWORD, "LC_ALL": "C.UTF-8"}, deadline=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout.splitlines()

    def keep_figures(self, level: int, number: int, path: str, first: int) -> None:
        """An hour or a day of a node that was over long ago, as the floor keeps it."""
        known = self.records(f"SELECT number FROM floor_number WHERE kind = 'node' AND name = '{path}'")
        if not known:
            self.records(f"INSERT INTO floor_number (kind, name, number) SELECT 'node', '{path}', coalesce(max(number), -1) + 1 FROM floor_number WHERE kind = 'node'")
            known = self.records(f"SELECT number FROM floor_number WHERE kind = 'node' AND name = '{path}'")
        figures = ", ".join(str((first + n) * 1_000_000) for n in range(13))
        self.records(f"INSERT INTO floor_figure VALUES ({known[0][0]}, {level}, {number}, {figures})")

    def make(self) -> None:
        """Two orders of which one has a job at each line, a unit with a part of a lot, and hours that are over."""
        self.here.apply(PLANT)
        self.people = {name: self.here.make_user(name, role, branch) for name, role, branch in (
            ("anna", "administrator", ""), ("vera", "viewer", "works/line1"), ("zoe", "viewer", "works/line2"), ("nora", "viewer", OVEN))}
        new = {"number": "4711", "material": "PUMP", "quantity": 2.5, "due_ms": now_ms() + 3_600_000, "note": "by truck", "priority": 7, "release": True}
        order = self.ok("POST", "orders", new, status=201)
        self.ok("POST", "orders", {"number": "4712", "material": "ROD", "quantity": 3, "release": True}, status=201)
        self.ok("POST", "lots", {"key": key(), "material": "VALVE", "number": "V-1", "quantity": 20, "place": "store"})
        job = self.ok("POST", f"jobs/{order['jobs'][0]['id']}/begin", {"version": order["jobs"][0]["version"], "key": key()})
        for force in (1.5, 2.5):
            body = [{"path": f"{path}/force", "value": force, "ts": now_ms()} for path in (PRESS, MILL)]
            self.assertEqual(self.here.post("/api/ingest?precision=ms", body).status, 204)
        station = Client("station", durable=False).connect(self.here.mqtt)
        station.publish_and_wait(f"{PRESS}/unit", json.dumps({"ts": now_ms(), "serial": "P-1", "valve": "V-1"}))
        wait_until("the unit is there", lambda: self.ok("GET", "units?number=P-1")["items"])
        self.ok("POST", f"jobs/{job['id']}/counts", {"key": key(), "good": 2, "scrap": 0.25, "reason": "bent"})
        wait_until("history has it", lambda: self.rows(f"SELECT count(*) FROM samples WHERE path = '{MILL}/force'") == [(2,)])
        job = self.ok("GET", "orders/4711")["jobs"][0]
        self.ok("POST", f"jobs/{job['id']}/stop", {"version": job["version"], "key": key()})
        self.here.stop()
        for path, first in ((PRESS, 100), (MILL, 200), ("works", 300)):
            for hour in range(3):
                self.keep_figures(0, HOUR + hour, path, first + hour)
            self.keep_figures(1, HOUR // 24, path, first)
        self.here.start()

    def orders_as_http(self, who: str) -> list[tuple]:
        at = lambda ms: ms and datetime.fromtimestamp(ms / 1000, timezone.utc)
        fields = lambda order: (order["id"], order["number"], order["material"], order["title"], order["quantity"], order["state"], order["priority"], at(order.get("due_ms")))
        return sorted(fields(order) for order in self.ok("GET", "orders", who=self.people[who])["orders"])

    def jobs_as_http(self, who: str) -> list[tuple]:
        orders = self.ok("GET", "orders", who=self.people[who])["orders"]
        return sorted((job["number"], job["id"], order["number"], job.get("equipment"), job["state"], job["quantity"]) for order in orders for job in order["jobs"])

    def look(self) -> None:
        # Each sees what HTTP shows them, and as it shows it.
        for who, orders, jobs in (("anna", 2, 3), ("vera", 1, 1), ("zoe", 2, 2), ("nora", 0, 0)):
            asked = "SELECT id, number, material, title, quantity, state, priority, due FROM report_orders"
            listed = sorted(self.rows(asked, user=who))
            # HTTP tells milliseconds.
            listed = [(*row[:-1], row[-1] and row[-1].replace(microsecond=row[-1].microsecond // 1000 * 1000)) for row in listed]
            self.assertEqual((len(listed), listed), (orders, self.orders_as_http(who)), who)
            listed = self.rows("SELECT number, id, order_number, equipment, state, quantity FROM report_jobs ORDER BY number", user=who)
            self.assertEqual((len(listed), listed), (jobs, self.jobs_as_http(who)), who)
        booked = "SELECT number, booked_good, booked_scrap, started < ended, substate FROM report_jobs WHERE number = '4711/10'"
        self.assertEqual(self.rows(booked), [("4711/10", 2.0, 0.25, True, "Completed")])
        self.assertEqual(self.rows(booked, user="zoe"), [])
        self.assertEqual(self.rows("SELECT job_number, equipment, to_time IS NULL FROM report_job_times", user="vera"), [("4711/10", PRESS, False)])
        self.assertEqual(self.rows("SELECT count(*) FROM report_job_times", user="zoe"), [(0,)])
        # The station is at the first line: who sees it sees lots, and nobody else does, here as there.
        for who, sees in (("anna", True), ("vera", True), ("zoe", False), ("nora", False)):
            self.assertEqual(self.ask("GET", "lots", who=self.people[who]).status, 200 if sees else 404, who)
            lots = self.psql("SELECT number, kind, material, state, made, consumed, place FROM report_lots ORDER BY number", user=who)
            told = ["P-1|unit|PUMP|Released|1|0|" + PRESS, "V-1|lot|VALVE|Released|20|1|store"]
            self.assertEqual(lots if not sees else [line.rsplit("|", 1)[0] for line in lots], [line.rsplit("|", 1)[0] for line in told] if sees else [], who)
            edges = self.rows("SELECT from_number, to_number, quantity, equipment FROM report_genealogy WHERE to_number = %s", ("P-1",), user=who)
            self.assertEqual(edges, [("V-1", "P-1", 1.0, PRESS)] if sees else [], who)
        [lot] = [item for item in self.ok("GET", "lots")["items"] if item["number"] == "V-1"]
        self.assertEqual(self.rows("SELECT id FROM report_lots WHERE number = 'V-1'"), [(lot["id"],)])
        # Figures of what one sees, found by path and by when they begin.
        hours = "SELECT path, begins, production_s, off_shift_s, good, planned_run_good_s FROM report_hours WHERE begins >= '2024-10-04' AND begins < '2024-10-05' ORDER BY path, begins"
        expected = lambda path, first, n: (path, BEGINS.replace(hour=n), *(float(first + n + more) for more in (0, 7, 8, 12)))
        self.assertEqual(self.rows(hours, user="vera"), [expected(PRESS, 100, n) for n in range(3)])
        self.assertEqual([row[0] for row in self.rows(hours)], ["works"] * 3 + [PRESS] * 3 + [MILL] * 3)
        days = f"SELECT path, begins, production_s FROM report_days WHERE path IN ('{PRESS}', '{MILL}', 'works')"
        self.assertEqual(sorted(self.rows(f"{days} AND begins = '2024-10-04'", user="zoe")), [(MILL, BEGINS, 200.0)])
        # Beside history.
        joined = """SELECT j.number, count(s.value), avg(s.value) FROM report_jobs j JOIN samples s
            ON s.path = j.equipment || '/force' AND s.ts >= j.started AND s.ts < j.ended GROUP BY j.number"""
        self.assertEqual(self.rows(joined), [("4711/10", 2, 2.0)])
        self.assertEqual(self.rows(joined, user="vera"), [("4711/10", 2, 2.0)])
        self.assertEqual(self.rows(joined, user="zoe"), [])
        # Every column of each view has its type.
        for view in REPORTS:
            self.assertTrue(self.rows(f"SELECT * FROM {view}"), view)
        answer = self.here.post("/api/sql", {"query": "SELECT number, quantity, created FROM report_orders ORDER BY number", "format": "json"})
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual([row[:2] for row in answer.json["rows"]], [["4711", 2.5], ["4712", 3.0]])


class OnFile(Stands, MesCase):
    def records(self, statement: str) -> list[tuple]:
        link = sqlite3.connect(self.here.data_dir / "records.sqlite")
        try:
            with link:
                return link.execute(statement).fetchall()
        finally:
            link.close()

    def test_orders_lots_and_figures_stand_beside_history(self):
        self.here = self.node()
        self.make()
        self.look()
        self.assertIn("4711", self.here.cli("sql", "SELECT number FROM report_orders").stdout)
        self.assertEqual(len([line for line in self.psql(r"\d report_jobs") if "|" in line]), 17)


class OnServer(Stands, OnPostgres, MesCase):
    def ok(self, method, path, body=None, who=None, status=200):
        return MesCase.ok(self, method, path, body, who, status)

    def records(self, statement: str) -> list[list[str]]:
        return self.server.psql(statement)

    def test_of_records_on_a_server_they_say_the_same_and_say_when_it_is_away(self):
        self.here = self.settled().start()
        self.make()
        self.look()
        self.server.stop()
        with self.assertRaises(psycopg.Error) as away:
            self.rows("SELECT * FROM report_orders")
        self.assertEqual(away.exception.sqlstate, "58030", away.exception)
        self.assertEqual(self.rows("SELECT count(*) FROM tags"), [(4,)], "what needs no records is answered")
        self.server.start()
        wait_until("it is back", lambda: self.here.get("/readyz").status == 200, 60)
        self.assertEqual(self.rows("SELECT count(*) FROM report_jobs"), [(3,)])
