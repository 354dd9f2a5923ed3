"""How long history is kept, branch by branch, on a real node: what is past its time is gone from every face, and does not come back."""

import json
import urllib.parse
from collections import Counter

import duckdb
from deltalake import DeltaTable
from harness import Case, Node, now_ms

DAY_MS, HOUR_MS = 86_400_000, 3_600_000
DAYS = 70
# Of each day, so many readings one second apart: enough for roll-ups of minutes and hours.
READINGS = 240
# The settings' limit, that of a branch, and that of a tag in it, in days; 0: for ever.
ALL_DAYS, BRANCH_DAYS = 50, 20
PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[tag]]
path = "works/usual"
title = "Usual"
type = "double"

[[equipment]]
path = "works/line"
level = "work_unit"
title = "Line"
keep_days = BRANCH

[[tag]]
path = "works/line/short"
title = "Short"
type = "double"

[[tag]]
path = "works/line/ever"
title = "Ever"
type = "double"
keep_days = 0
"""
TAGS = ["works/usual", "works/line/short", "works/line/ever"]


class Retention(Case):
    def setUp(self):
        super().setUp()
        self.here: Node = self.node(extra=f"[limits]\nhistory_days = {ALL_DAYS}\n")
        self.apply(BRANCH_DAYS)
        # So far from midnight that the day does not change while this runs, or it is told.
        self.today = now_ms() // DAY_MS

    def apply(self, branch_days: int) -> None:
        self.here.apply(PLANT.replace("BRANCH", str(branch_days)))
        self.keep = {"works/usual": ALL_DAYS, "works/line/short": branch_days, "works/line/ever": DAYS + 1}

    def send(self, first_day: int, days: int) -> None:
        """The same readings of every tag on each of these days, counted back from today."""
        lines = []
        for back in range(first_day, first_day + days):
            begin = (self.today - back) * DAY_MS + HOUR_MS
            lines += [f"works usual={back}.5 {begin + n * 1_000}\nworks/line short={back}.5,ever={back}.5 {begin + n * 1_000}" for n in range(READINGS)]
        self.assertEqual(self.here.post("/api/ingest?precision=ms", "\n".join(lines), deadline=60).status, 204)

    def compact(self) -> None:
        answer = self.here.post("/api/history/compact", None, deadline=60)
        self.assertEqual(answer.status, 200, answer)

    # -- what each face has, as number of readings of each day, counted back --

    def days(self, times_ms) -> Counter:
        return Counter(self.today - ms // DAY_MS for ms in times_ms)

    def by_http(self, tag: str) -> Counter:
        return self.days(at for at, _, _ in self.here.history(tag, (self.today - DAYS - 9) * DAY_MS, (self.today + 1) * DAY_MS)["points"])

    def sql(self, statement: str) -> list:
        answer = self.here.post("/api/sql", {"query": statement, "format": "json"})
        self.assertEqual(answer.status, 200, answer)
        self.assertNotIn("error", answer.json)
        return answer.json["rows"]

    def by_sql(self, tag: str) -> Counter:
        epoch = "cast(extract(epoch from date_bin('1 day', ts)) as bigint)"
        rows = self.sql(f"select {epoch} as day, count(value) as n from samples where path = '{tag}' group by 1")
        return Counter({self.today - int(day) // 86_400: n for day, n in rows})

    def by_rollups(self, tag: str) -> Counter:
        first = self.today - DAYS - 9
        query = {"tag": tag, "from_ms": first * DAY_MS, "to_ms": (self.today + 1) * DAY_MS, "interval_ms": DAY_MS, "aggregate": "Count"}
        answer = self.here.get(f"/api/aggregate?{urllib.parse.urlencode(query)}")
        self.assertEqual(answer.status, 200, answer)
        return Counter({self.today - at // DAY_MS: int(n) for at, n, _ in answer.json["values"] if n})

    def by_table(self, tag: str) -> Counter:
        number = self.sql(f"select number from tags where path = '{tag}'")[0][0]
        files = DeltaTable(str(self.here.data_dir / "history/parquet")).file_uris()
        rows = duckdb.sql(f"select ts_ms from read_parquet({files!r}) where tag = {number}").fetchall()
        return self.days(ms for (ms,) in rows)

    def check(self) -> None:
        self.assertEqual(now_ms() // DAY_MS, self.today, "midnight came in between; run it again")
        for tag in TAGS:
            kept = Counter({back: READINGS for back in range(1, DAYS + 1) if back <= self.keep[tag]})
            for face in (self.by_http, self.by_sql, self.by_rollups, self.by_table):
                with self.subTest(tag=tag, face=face.__name__):
                    self.assertEqual(sorted(face(tag).items()), sorted(kept.items()))

    # -- tests --

    def test_what_is_past_its_time_is_gone_from_every_face_and_stays_gone_over_kills(self):
        # In two halves, so that months have files of days, too.
        self.send(1, DAYS // 2)
        self.compact()
        self.send(DAYS // 2 + 1, DAYS // 2)
        self.compact()
        self.check()
        self.here.kill()
        self.here.start()
        self.check()
        # The people of the line want less, while it runs.
        self.apply(BRANCH_DAYS // 2)
        self.compact()
        self.check()
        # What comes late and is past its time already goes with the next tidying.
        self.send(BRANCH_DAYS // 2 + 1, DAYS - BRANCH_DAYS // 2)
        self.compact()
        self.check()
        for _ in range(2):
            self.here.kill()
            self.here.start()
            self.check()
        self.compact()
        self.check()
        # A longer limit brings nothing back.
        self.here.apply(PLANT.replace("BRANCH", "0"))
        self.compact()
        self.here.kill()
        self.here.start()
        self.check()
        self.compact()
        limits = self.here.get("/api/storage").json["retention"]
        self.assertTrue(limits and all(limit["points_past"] == 0 for limit in limits), json.dumps(limits))
