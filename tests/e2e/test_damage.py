"""A file of history is damaged on disk: everybody who meets it says so, nobody takes what is left for all there was, and a backup heals it.

The judge knows what was stored; psycopg and HTTP ask for it.
"""

import shutil
from datetime import datetime, timezone
from pathlib import Path

import psycopg
from harness import PASSWORD, Case, Node, binary, run, wait_until

PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[tag]]
path = "works/level"
title = "Level"
type = "double"
"""
DAY_S = 86_400
# A day in each of three months that are long over, a reading a minute: each month is a file, and stays one.
DAYS_S = [int(datetime(2026, month, 3, tzinfo=timezone.utc).timestamp()) for month in (6, 7, 8)]
A_DAY = 1_440
ALL_S = (DAYS_S[0], DAYS_S[2] + DAY_S)


class Damage(Case):
    def setUp(self):
        super().setUp()
        self.repository = self.temporary_folder() / "backups"
        self.here: Node = self.node(extra="[history]\npublish = false\n")
        self.here.apply(PLANT)
        self.here.make_user("Anna", "administrator")
        lines = [f"works level={n % 97 / 8} {day + n * 60}" for day in DAYS_S for n in range(A_DAY)]
        self.assertEqual(self.here.post("/api/ingest?precision=s", "\n".join(lines)).status, 204)
        self.assertEqual(self.compact(), "")
        self.files = sorted((self.here.data_dir / "history/parquet").rglob("*.parquet"))
        self.assertEqual([file.parent.name for file in self.files], ["2026-06", "2026-07", "2026-08"])

    # -- who is asked --

    def cli(self, *words, code: int) -> str:
        done = self.here.cli(*words, deadline=120)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def tool(self, *words, code: int) -> str:
        done = run([binary(), *words], deadline=120)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def compact(self, code: int = 0) -> str:
        """What it says beyond its first line."""
        return "".join(self.cli("history compact", code=code).splitlines(keepends=True)[1:])

    def doctor(self) -> list[str]:
        done = self.here.cli("doctor", deadline=120)
        return [line for line in done.stdout.splitlines() if "history" in line] + [f"rc {done.returncode}"]

    def sql(self, query: str) -> list[tuple]:
        host, port = self.here.sql
        with psycopg.connect(host=host, port=port, user="Anna", password=PASSWORD, dbname="andon", autocommit=True) as link:
            return link.execute(query).fetchall()

    def aggregate(self, kind: str, from_s: int, to_s: int) -> tuple:
        query = f"tag=works/level&aggregate={kind}&from_ms={from_s * 1000}&to_ms={to_s * 1000}"
        answer = self.here.get(f"/api/aggregate?{query}")
        self.assertEqual(answer.status, 200, answer)
        ((_, value, status),) = answer.json["values"]
        return value, ("good", "uncertain", "bad")[status >> 30], answer.json["gaps"]

    def told(self, name: str) -> list[dict]:
        events = [event for event in self.here.timeline(kind="system") if event["detail"].get("action") == "damage"]
        return [event for event in events if name in event["detail"]["text"]]

    def names(self, path: Path) -> str:
        return path.relative_to(self.here.data_dir).as_posix()

    # -- the tests --

    def test_a_damaged_file_is_told_by_everybody_and_healed_from_a_backup(self):
        path = "samples WHERE path = 'works/level'"
        self.cli("backup", self.repository, code=0)
        self.assertIn("all is well", self.tool("backup", "verify", self.repository, code=0))
        rows = self.files[1]
        self.assertEqual(self.sql(f"SELECT count(*) FROM {path}"), [(3 * A_DAY,)])
        whole = rows.read_bytes()
        # In the running node, which has read it a moment ago.
        with rows.open("r+b") as file:
            file.seek(200)
            file.write(bytes([whole[200] ^ 0x10]))

        # The trend says where it has nothing, and one gap is one.
        for _ in range(20):
            trend = self.here.history("works/level", *(s * 1000 for s in ALL_S))
            self.assertEqual((len(trend["points"]), len(trend["gaps"])), (2 * A_DAY, 1), trend["gaps"])
        (gap,) = trend["gaps"]
        self.assertEqual((gap["from_ms"], gap["to_ms"]), (DAYS_S[1] * 1000, (DAYS_S[1] + DAY_S - 60) * 1000), gap)

        # One event for all that, of high severity, with the file, the time, the readings and what to do.
        (event,) = wait_until("the timeline tells it", lambda: self.told(rows.name))
        text = event["detail"]["text"]
        self.assertEqual(event["severity"], 2, event)
        for part in (str(rows), "checksum", f"{A_DAY} readings from 2026-07-03T00:00:00Z to 2026-07-03T23:59:00Z", f"--only {self.names(rows)}", "andon doctor"):
            self.assertIn(part, text)
        storage = self.here.get("/api/storage").json
        mine = [one for one in storage["damage"] if one["holds"] == "readings"]
        self.assertEqual([(one["file"], one["readings"]) for one in mine], [(str(rows), A_DAY)])

        # An aggregate over it is never good, whether it counts points or time.
        from_s, to_s = DAYS_S[0] + 23 * 3600, DAYS_S[1] + DAY_S
        for kind in ("Average", "Count", "Maximum", "StandardDeviationSample", "TimeAverage2", "Minimum2", "Total2"):
            value, status, gaps = self.aggregate(kind, from_s, to_s)
            self.assertNotEqual(status, "good", (kind, value))
            self.assertEqual(len(gaps), 1, kind)
        self.assertEqual(self.aggregate("Average", DAYS_S[1], DAYS_S[1] + 3600)[:2], (None, "bad"))
        self.assertEqual(self.aggregate("Count", DAYS_S[0], DAYS_S[0] + 3600)[:2], (60, "good"), "another day is as it was")

        # SQL has no place to say it, so there is no answer: by PostgreSQL's protocol and by HTTP.
        for query in (f"SELECT count(*) FROM {path}", f"SELECT avg(value) FROM {path}", f"SELECT * FROM {path}",
                      "SELECT * FROM resample('works/level', '2026-06-01', '2026-09-01', INTERVAL '1 day')"):
            with self.assertRaises(psycopg.errors.DataCorrupted) as fault:
                self.sql(query)
            self.assertIn(rows.name, str(fault.exception))
            self.assertIn("restore it from a backup", str(fault.exception))
            answer = self.here.post("/api/sql", {"query": query})
            self.assertEqual((answer.status, answer.json["type"]), (500, "andon:history-damaged"), answer)
            self.assertIn(rows.name, answer.json["detail"])

        # The tools: each names the file and ends with another code than 0.
        (said, code) = [line for line in self.doctor() if rows.name in line or line.startswith("rc")]
        self.assertRegex(said, r"^WEAK .*row group 1 of \d+ \(bytes 0 to \d+\) does not fit its checksum")
        self.assertEqual(code, "rc 2")
        self.assertIn(f"DAMAGED the history file {rows} is damaged", self.compact(code=2))
        self.assertEqual(rows.read_bytes()[:4], b"PAR1", "it stays for whoever can mend it")
        done = self.cli("backup", self.repository, code=2)
        self.assertIn(f"DAMAGED {self.names(rows)}: row group 1", done)
        self.assertRegex(done, rf"the backup \S+ has another copy of it: andon restore \S+ --backup \S+ --only {self.names(rows)}")
        again = self.cli("backup", self.repository, code=2)
        self.assertIn(f"DAMAGED {self.names(rows)}: row group 1", again, "also where nothing is copied anew")
        self.assertIn(f"DAMAGED {self.names(rows)}", self.tool("backup", "verify", self.repository, code=2))
        self.assertIn("1 file damaged or missing already when copied", self.tool("backup", "list", self.repository, code=0))
        copy = self.temporary_folder() / "data"
        self.assertIn(f"DAMAGED {self.names(rows)}", self.tool("restore", self.repository, "--into", copy, code=2))
        self.assertEqual(len(self.told(rows.name)), 1, "still once")

        # The file from the first backup: put in its place while the node runs, all is well again.
        first = min(name.stem for name in (self.repository / "snapshots").iterdir())
        back = self.temporary_folder() / "back"
        self.tool("restore", self.repository, "--backup", first, "--only", self.names(rows), "--into", back, code=0)
        shutil.move(back / self.names(rows), rows)
        self.assertEqual(self.sql(f"SELECT count(*) FROM {path}"), [(3 * A_DAY,)])
        self.assertEqual(self.aggregate("Count", *ALL_S)[:2], (3 * A_DAY, "good"))
        self.assertEqual(self.compact(), "")
        self.assertEqual([one["file"] for one in self.here.get("/api/storage").json["damage"]], [])
        self.assertTrue(any(line.startswith("ok   history is whole") for line in self.doctor()))
        self.cli("backup", self.repository, code=0)

    def test_a_file_that_nobody_can_put_back_is_given_up(self):
        path = "samples WHERE path = 'works/level'"
        lost, name = self.files[1], self.names(self.files[1])
        whole = lost.read_bytes()
        lost.unlink()
        with self.assertRaises(psycopg.errors.DataCorrupted):
            self.sql(f"SELECT count(*) FROM {path}")
        (event,) = wait_until("the timeline tells it", lambda: self.told(lost.name))
        self.assertIn(f"andon history give-up {name} --reason WHY", event["detail"]["text"])

        # Only somebody who may, with a reason, and only what is damaged.
        self.assertIn("--reason", self.cli(f"history give-up {name}", code=2))
        self.assertIn("is whole", self.cli("history give-up", str(self.files[0]), "--reason", "no", code=1))
        self.assertIn("is no file of readings", self.cli("history give-up", "x.parquet", "--reason", "no", code=1))
        self.assertEqual(self.here.post("/api/history/give-up", {"file": name, "reason": " "}).status, 400)
        otto = self.here.make_user("Otto", "operator").split(";")[0]
        self.assertEqual(self.here.post("/api/history/give-up", {"file": name, "reason": "no"}, token=None, cookie=otto).status, 403)
        self.assertEqual(self.here.get("/api/storage").json["given_up"], [])

        said = self.cli("history give-up", name, "--reason", "the disk broke and the backup is younger", code=0)
        self.assertIn(f"{lost} is given up. It was written with {A_DAY} readings from 2026-07-03T00:00:00Z", said)
        noted = lambda: {event["detail"]["action"]: event["detail"]["text"] for event in reversed(self.here.timeline(kind="system"))}
        notes = wait_until("it is recorded", lambda: noted() if "history_given_up" in noted() else None)
        self.assertIn("the disk broke and the backup is younger", notes["history_give_up"])

        for _ in range(2):
            # SQL answers, and says what is missing where gaps are said; what holds a value over it does not.
            self.assertEqual(self.sql(f"SELECT count(*) FROM {path}"), [(2 * A_DAY,)])
            gaps = self.sql("SELECT since, until, reason FROM gaps WHERE reason LIKE '%given up'")
            self.assertEqual([(since.isoformat(), until.isoformat()) for since, until, _ in gaps],
                             [("2026-07-03T00:00:00+00:00", "2026-07-03T23:59:00.000001+00:00")])
            self.assertIn(lost.name, gaps[0][2])
            days = self.sql("SELECT ts, value, good FROM resample('works/level', '2026-06-03', '2026-09-01', INTERVAL '1 day')")
            held = [str(ts.date()) for ts, value, _ in days if value is not None]
            self.assertNotIn("2026-07-04", held)
            self.assertNotIn("2026-07-03", held)
            # Everything else is silent, and no answer over it is good.
            self.assertEqual(self.compact(), "")
            said = self.doctor()[:-1]
            self.assertTrue(all(line.startswith("ok   ") for line in said) and any("was given up" in line for line in said), said)
            self.cli("backup", self.repository, code=0)
            self.assertIn("all is well", self.tool("backup", "verify", self.repository, code=0))
            value, status, gaps = self.aggregate("Count", *ALL_S)
            self.assertEqual((value, ["given up" in gap["reason"] for gap in gaps][:1]), (2 * A_DAY, [True]), gaps)
            self.assertNotEqual(status, "good")
            storage = self.here.get("/api/storage").json
            self.assertEqual((storage["damage"], [one["readings"] for one in storage["given_up"]]), ([], [A_DAY]))
            self.here.stop()
            self.here.start()
        self.assertEqual(len(self.told(lost.name)), 1, "it is not told again")
        self.assertIn("given up already", self.cli("history give-up", name, "--reason", "no", code=1))

        # A node that is restored knows it, too; and what is found after all comes back.
        copy = self.temporary_folder() / "data"
        self.tool("restore", self.repository, "--into", copy, code=0)
        self.assertFalse((copy / name).exists())
        lost.write_bytes(whole)
        self.assertTrue([line for line in self.doctor() if line.startswith("WEAK") and "is whole again" in line])
        self.assertEqual(self.compact(), "")
        self.assertEqual(self.sql(f"SELECT count(*) FROM {path}"), [(3 * A_DAY,)])
        self.assertEqual(self.aggregate("Count", *ALL_S)[:2], (3 * A_DAY, "good"))
        self.assertEqual([line.split()[0] for line in self.doctor()[:-1]], ["ok"])

    def test_what_is_missing_or_cut_off_is_told_at_the_start(self):
        cut = self.files[0]
        size = cut.stat().st_size
        self.here.stop()
        with cut.open("r+b") as file:
            file.truncate(size - 10)
        self.here.start()
        (event,) = wait_until("the timeline tells it", lambda: self.told(cut.name))
        self.assertIn(f"it has {size - 10} bytes instead of {size}", event["detail"]["text"])
        said = [line for line in self.doctor() if cut.name in line]
        self.assertEqual(len(said), 1, said)
        self.assertIn(f"it has {size - 10} bytes instead of {size}", said[0])
        self.here.stop()
        cut.unlink()
        self.here.start()
        (event,) = wait_until("the timeline tells it", lambda: [e for e in self.told(cut.name) if "is missing" in e["detail"]["text"]])
        self.assertEqual(event["severity"], 2)
        (said,) = [line for line in self.doctor() if cut.name in line]
        self.assertIn("it is missing", said)
