"""deltalake, DuckDB and Polars as the judges: history read from the open table is history asked for by HTTP."""

import importlib.util
import json
import math
import shutil
import unittest
from collections import defaultdict
from pathlib import Path

import duckdb
import polars
from deltalake import DeltaTable, QueryBuilder
from harness import Case, now_ms, wait_until

HALL = "works/hall"
PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[equipment]]
path = "works/hall"
level = "area"
title = "Hall"

[[connector]]
name = "away"
type = "modbus"
title = "A device that is not there"
endpoint = "ENDPOINT"
poll = "50ms"
timeout = "200ms"
register = [{ tag = "works/hall/away", table = "holding", address = 0, type = "u16" }]
""" + "".join(
    f'\n[[tag]]\npath = "{HALL}/{name}"\ntitle = "{name}"\ntype = "{kind}"\n'
    for name, kind in [
        ("count", "int64"),
        ("level", "double"),
        ("ratio", "double"),
        ("half", "double"),
        ("open", "boolean"),
        ("batch", "string"),
        ("away", "int64"),
    ]
)
DAY_US = 86_400_000_000
BEGIN_US = 1_600_000_000 // 86_400 * DAY_US
# A buffer with more days than this is written to files at once.
DAYS = 520
# As the manual says it.
VALUE = "coalesce(v_int / coalesce(scale, 1.0), v_float, v_double)"
RECEIVED = "coalesce(received_at_ms, ts_ms + received_ms)"
BAD = 0x8031_0000


def readings(day: int, n: int) -> dict:
    """A value of each class: whole, decimal, any double, single precision, boolean, text."""
    return {
        "count": day * 1_000 + n,
        "level": round(20 + (day * 7 + n) % 1_000 / 100, 2),
        "ratio": 1 / (day + n + 1.1),
        "half": (day + n) / 2**40,
        "open": (day + n) % 2 == 0,
        "batch": f"charge {day % 9} “{n}”",
    }


def field(value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return f"{value}i"
    return f'"{value}"' if isinstance(value, str) else repr(value)


class Judges:
    """The table as each foreign reader has it: rows of tag, ts_ms, ts_us, number, v_bool, v_text, quality, received in ms."""

    COLUMNS = ("tag", "ts_ms", "ts_us", "number", "v_bool", "v_text", "quality", "received")
    SQL = ", ".join(COLUMNS).replace("number", f"{VALUE} as number").replace("received", f"{RECEIVED} as received")
    READERS = ("deltalake", "duckdb", "polars")

    def __init__(self, path: str):
        self.path = path
        self.table = DeltaTable(path)

    def rows(self, readers: tuple) -> dict[str, list[tuple]]:
        return {reader: getattr(self, reader)() for reader in readers}

    def deltalake(self) -> list[tuple]:
        # Its own engine; the answer is an Arrow table that Polars only unpacks.
        answer = QueryBuilder().register("history", self.table).execute(f"select {self.SQL} from history").read_all()
        return polars.DataFrame(answer).rows()

    def duckdb(self) -> list[tuple]:
        # Its extension for Delta cannot be downloaded everywhere; the list of files comes from deltalake.
        return duckdb.sql(f"select {self.SQL} from read_parquet({self.table.file_uris()!r}, union_by_name = true)").fetchall()

    def polars(self) -> list[tuple]:
        col = polars.col
        number = polars.coalesce(col.v_int / col.scale.fill_null(1.0), col.v_float, col.v_double).alias("number")
        received = polars.coalesce(col.received_at_ms, col.ts_ms + col.received_ms).alias("received")
        columns = [{"number": number, "received": received}.get(name, col(name)) for name in self.COLUMNS]
        return polars.scan_delta(self.path).select(columns).collect().rows()

    def spark(self) -> list[tuple]:
        # On the list of files too: Spark's extension for Delta comes from a package server of its own. In a zone far from UTC.
        from pyspark.sql import SparkSession

        builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false").config("spark.driver.bindAddress", "127.0.0.1")
        session = builder.config("spark.driver.host", "127.0.0.1").config("spark.sql.session.timeZone", "Asia/Tokyo").getOrCreate()
        try:
            session.sparkContext.setLogLevel("ERROR")
            session.read.option("mergeSchema", True).parquet(*self.table.file_uris()).createOrReplaceTempView("history")
            at = "timestamp_micros(ts_ms * 1000 + ts_us)"
            wrong = session.sql(f"""select count(*) from history where unix_micros({at}) <> ts_ms * 1000 + ts_us
                or hour({at}) <> (floor(ts_ms / 3600000) + 9) % 24""").collect()
            assert wrong[0][0] == 0, "times are the same moments, shown in Spark's zone"
            return [tuple(row) for row in session.sql(f"select {self.SQL} from history").collect()]
        finally:
            session.stop()


def series(rows: list[tuple]) -> dict[int, list[tuple]]:
    """Per tag, ascending: ts_ms, ts_us, value, quality."""
    tags = defaultdict(list)
    for tag, ms, us, number, boolean, text, quality, _ in rows:
        value = next((v for v in (number, boolean, text) if v is not None), None)
        tags[tag].append((ms, us, value, quality))
    for points in tags.values():
        points.sort(key=lambda point: point[:2])
    return tags


class OpenTable(Case):
    def setUp(self):
        super().setUp()
        self.begun_ms = now_ms()
        device = self.device()
        device.stop()
        self.here = self.node()
        self.here.apply(PLANT.replace("ENDPOINT", device.endpoint))
        wait_until("the device that is not there is bad", lambda: (live := self.here.live(f"{HALL}/away")) and live[2] == BAD)
        self.path = str(self.here.data_dir / "history" / "parquet")
        # What was sent, by name and µs; later ones replace earlier ones.
        self.sent: dict[tuple[str, int], object] = {}

    def send(self, days: range, n: int, offset_us: int) -> None:
        """A reading of each tag on each day, at the same time of the day."""
        lines = []
        for day in days:
            values, at = readings(day, n), BEGIN_US + day * DAY_US + offset_us
            lines.append(f"{HALL} {','.join(f'{name}={field(value)}' for name, value in values.items())} {at}")
            self.sent.update({(name, at): value for name, value in values.items()})
        answer = self.here.post("/api/ingest?precision=us", "\n".join(lines).encode(), headers={"content-type": "text/plain"})
        self.assertEqual(answer.status, 204, answer)

    def rows_in_table(self) -> int:
        # The device's own readings come and go with it; there is one or a few.
        files = DeltaTable(self.path).file_uris()
        return duckdb.sql(f"select count(*) from read_parquet({files!r}) where quality = 0").fetchall()[0][0] if files else 0

    def wait_table(self) -> None:
        wait_until(f"the table has {len(self.sent)} rows", lambda: self.rows_in_table() == len(self.sent), 60)

    def by_http(self, name: str) -> list[tuple]:
        """Ascending: ms, value, quality."""
        until = (BEGIN_US + 3_000 * DAY_US) // 1_000
        return [tuple(point) for point in self.here.history(f"{HALL}/{name}", BEGIN_US // 1_000, until)["points"]]

    def compare(self, *readers: str) -> None:
        names = sorted({name for name, _ in self.sent})
        http = {name: self.by_http(name) for name in names}
        for reader, rows in Judges(self.path).rows(readers or Judges.READERS).items():
            with self.subTest(reader=reader):
                self.assertEqual([row for row in rows if not self.begun_ms <= row[-1] <= now_ms()], [], "received while this test runs")
                tags = series(rows)
                for tag in [tag for tag, points in tags.items() if points[0][3] == BAD]:
                    self.assertTrue(all(value is None for _, _, value, _ in tags.pop(tag)), "no value where there is none")
                self.assertEqual(sum(map(len, tags.values())), len(self.sent), "rows")
                for name in names:
                    self.compare_tag(name, http[name], tags)
                self.assertEqual(tags, {}, "and no other tags")

    def compare_tag(self, name: str, ours: list[tuple], tags: dict) -> None:
        """The table knows numbers and no names, so a tag is found by what it holds."""
        same = lambda points: [(ms, value, quality) for ms, _, value, quality in points] == ours
        theirs = tags.pop(next((tag for tag, points in tags.items() if same(points)), None), None)
        self.assertIsNotNone(theirs, f"{name}: times, values and quality are those of HTTP")
        sent = sorted((at, value) for (of, at), value in self.sent.items() if of == name)
        self.assertEqual([(ms * 1_000 + us, value) for ms, us, value, _ in theirs], sent, f"{name}: to the microsecond as sent")
        if not isinstance(sent[0][1], (bool, str)):
            self.assertEqual(math.fsum(value for _, _, value, _ in theirs), math.fsum(value for _, value in sent), f"{name}: sum")

    def test_foreign_readers_see_what_http_answers_also_after_merges_and_checkpoints(self):
        self.assertEqual(DeltaTable(self.path).version(), 0, "an empty table is there from the start")
        self.send(range(DAYS), 1, 1_234_567)
        self.wait_table()
        self.compare()
        # Sixty days come again with other times, twenty of them with the same times too: replaced, and merged.
        self.send(range(DAYS - 20, DAYS), 3, 1_234_567)
        self.send(range(DAYS - 60, 2 * DAYS - 60), 2, 2_345_678)
        self.wait_table()
        self.compare()
        self.here.kill()
        self.here.start()
        self.send(range(2 * DAYS - 100, 3 * DAYS - 100), 4, 3_456_789)
        self.wait_table()
        self.compare()
        # Late readings for some of these months, and merges of them, until there are commits enough for a checkpoint.
        log = Path(self.path) / "_delta_log"
        pointer = log / "_last_checkpoint"
        for n in range(5, 60):
            if pointer.exists():
                break
            self.send(range(n, n + 200, 30), n, n * 1_000_003)
            self.assertEqual(self.here.post("/api/history/compact", None).status, 200)
        self.wait_table()
        self.compare()
        # Without the commits that it covers, every reader must go through the checkpoint.
        covered = json.loads(pointer.read_text())["version"]
        for version in range(covered):
            (log / f"{version:020}.json").unlink()
        self.compare()
        self.assertNotIn("could not bring the open table", self.here.log_text())

    def test_switched_off_a_table_that_was_there_becomes_empty(self):
        self.send(range(DAYS), 1, 1_234_567)
        self.wait_table()
        self.here.stop()
        with self.here.config.open("a") as settings:
            settings.write("\n[history]\npublish = false\n")
        self.here.start()
        wait_until("the table is empty", lambda: DeltaTable(self.path).file_uris() == [])
        self.assertEqual(len(self.by_http("level")), DAYS, "and history is not")

    @unittest.skipUnless(importlib.util.find_spec("pyspark") and shutil.which("java"), "pyspark is not installed here: 400 MB; pip install pyspark")
    def test_spark_sees_what_http_answers(self):
        self.send(range(DAYS), 1, 1_234_567)
        self.wait_table()
        self.compare("spark")
        self.send(range(DAYS - 20, DAYS), 3, 1_234_567)
        self.send(range(DAYS - 60, 2 * DAYS - 60), 2, 2_345_678)
        self.wait_table()
        self.compare("spark")
