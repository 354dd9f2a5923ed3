"""The edges of time, through every way in and out: a clear refusal, or the very same time everywhere, over a compaction and a kill."""

import csv
import io
import json
import urllib.parse
from datetime import datetime, timedelta, timezone

import duckdb
from deltalake import DeltaTable
from harness import Case, wait_until

FIRST, LAST = -62_167_219_200_000_000, 253_402_300_799_999_999
INSIDE = [FIRST, FIRST + 1, -1, 0, 1, LAST - 1, LAST]
OUTSIDE = [-(2**63), -(2**63) + 1, -(2**62), FIRST - 1, LAST + 1, 2**62, 2**63 - 2, 2**63 - 1]
NO_NUMBERS = [2**63, -(2**63) - 1, 10**30]
EDGES_MS = (-(2**63), 2**63 - 1)
PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"
""" + "".join(f'\n[[tag]]\npath = "works/{name}"\ntitle = "{name}"\ntype = "int64"\n' for name in ("lines", "json", "csv", "text"))


def rfc3339(us: int) -> str:
    """The year 0000 is none of Python's."""
    if us < -62_135_596_800_000_000:
        return "0000" + rfc3339(us + 146_097 * 86_400_000_000)[4:]  # Four hundred years later is the same calendar.
    return (datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%f").rjust(26, "0") + "Z"


class Times(Case):
    def test_the_edges_of_time_are_refused_or_come_back_exactly(self):
        node = self.here = self.node()
        node.apply(PLANT)
        for name, body_of in self.ways_in().items():
            for us in INSIDE:
                self.assertEqual(self.send(name, body_of(us, INSIDE.index(us))).status, 204, (name, us))
            for us in OUTSIDE + NO_NUMBERS:
                answer = self.send(name, body_of(us, 99))
                self.assertEqual(answer.status, 400, (name, us, answer))
                self.assertTrue("years 0000 to 9999" in answer.text or us in NO_NUMBERS, (name, us, answer))
        for beyond in ["10000-01-01T00:00:00Z", "-0001-12-31T23:59:59Z", "+294247-01-10T04:00:54Z", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-23:59"]:
            for form in ("json", "csv"):
                answer = self.send("text", self.texts(form)(beyond, 99), form)
                self.assertEqual((answer.status, "is no time" in answer.text), (400, True), (beyond, answer))
        for n, us in enumerate(INSIDE):
            self.assertEqual(self.send("text", self.texts(("json", "csv")[n % 2])(rfc3339(us), n), ("json", "csv")[n % 2]).status, 204)
        self.check()
        self.assertEqual(node.post("/api/history/compact", None).status, 200)
        self.check()
        self.check_table()
        node.kill()
        node.start()
        self.check()
        self.assertNotIn("panicked", node.log_text())

    # -- in --

    def ways_in(self) -> dict:
        return {
            "lines": lambda us, n: f"works lines={n}i {us}",
            "json": lambda us, n: json.dumps([{"path": "works/json", "ts": us, "value": n}]),
            "csv": lambda us, n: f"path,ts,value\nworks/csv,{us},{n}\n",
        }

    def texts(self, form: str):
        if form == "json":
            return lambda text, n: json.dumps([{"path": "works/text", "ts": text, "value": n}])
        return lambda text, n: f"path,ts,value\nworks/text,{text},{n}\n"

    def send(self, name: str, body: str, form: str = ""):
        kind = {"lines": "text/plain", "json": "application/json", "csv": "text/csv"}[form or name]
        return self.here.post("/api/ingest?precision=us", body, headers={"content-type": kind})

    # -- out --

    def sql(self, statement: str, form: str):
        answer = self.here.post("/api/sql", {"query": statement, "format": form})
        self.assertEqual(answer.status, 200, answer)
        if form == "csv":
            return [row for row in csv.reader(io.StringIO(answer.text))][1:]
        self.assertNotIn("error", answer.json)
        return answer.json["rows"]

    def check(self) -> None:
        wanted = [(rfc3339(us), n) for n, us in enumerate(INSIDE)]
        for name in ("lines", "json", "csv", "text"):
            tag = f"works/{name}"
            export = lambda: [json.loads(line) for line in self.here.get(f"/api/history/export?tag={tag}").text.splitlines()]
            wait_until("history follows", lambda: len(export()) == len(INSIDE))
            # Whole seconds and milliseconds are written shorter.
            exact = lambda text: rfc3339(self.us(text))
            self.assertEqual([(exact(row["ts"]), row["value"]) for row in export()], wanted)
            points = self.here.history(tag, *EDGES_MS)["points"]
            self.assertEqual([(at, value) for at, value, _ in points], [(us // 1000, n) for n, us in enumerate(INSIDE)])
            select = f"from samples where path = '{tag}' order by ts"
            for form in ("json", "csv"):
                self.assertEqual([(at, int(float(value))) for at, value in self.sql(f"select ts, value {select}", form)], wanted, form)
            texts = self.sql(f"select cast(ts as text) {select}", "json")
            self.assertEqual(sorted(exact(text.replace(" ", "T")) for (text,) in texts), [text for text, _ in wanted])
            both = self.sql(f"select min(ts), max(ts), count(*) from samples where path = '{tag}'", "json")
            self.assertEqual(both, [[wanted[0][0], wanted[-1][0], len(INSIDE)]])
            query = {"tag": tag, "from_ms": FIRST // 1000, "to_ms": LAST // 1000 + 1, "interval_ms": (LAST - FIRST) // 1000 + 1, "aggregate": "Count"}
            answer = self.here.get(f"/api/aggregate?{urllib.parse.urlencode(query)}")
            self.assertEqual((answer.status, answer.json["values"][0][:2]), (200, [FIRST // 1000, len(INSIDE)]))
            for from_ms, to_ms, interval in [(*EDGES_MS, 10**15), (EDGES_MS[0], 0, 10**15), (0, EDGES_MS[1], 2**62), (EDGES_MS[1] - 10, EDGES_MS[1], 5)]:
                query |= {"from_ms": from_ms, "to_ms": to_ms, "interval_ms": interval}
                answer = self.here.get(f"/api/aggregate?{urllib.parse.urlencode(query)}")
                self.assertIn(answer.status, (200, 400), answer)

    def us(self, text: str) -> int:
        """What an RFC 3339 time in UTC stands for."""
        year, rest = text[:4], text[4:].removesuffix("Z").removesuffix("+00").removesuffix("+00:00")
        shift = 146_097 * 86_400_000_000 if year == "0000" else 0
        at = datetime.fromisoformat(("0400" if shift else year) + rest.ljust(0)).replace(tzinfo=timezone.utc)
        return (at - datetime(1970, 1, 1, tzinfo=timezone.utc)) // timedelta(microseconds=1) - shift

    def check_table(self) -> None:
        files = DeltaTable(str(self.here.data_dir / "history/parquet")).file_uris()
        rows = duckdb.sql(f"select tag, ts_ms * 1000 + ts_us, v_int from read_parquet({files!r}) order by 1, 2").fetchall()
        tags = sorted({tag for tag, _, _ in rows})
        self.assertEqual(rows, [(tag, us, n) for tag in tags for n, us in enumerate(INSIDE)])
