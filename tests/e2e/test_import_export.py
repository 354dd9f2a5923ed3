"""Files in and files out: what is exported is imported elsewhere and is the same; DuckDB and Polars read and write them."""

import json
import shutil
import signal
import subprocess

import duckdb
import polars
from harness import Case, binary, spawn, wait_until

HALL = "works/hall"
KINDS = {"level": "double", "count": "int64", "open": "boolean", "batch": "string"}
PLANT = """
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/hall"
level = "area"
""" + "".join(f'\n[[tag]]\npath = "{HALL}/{name}"\ntype = "{kind}"\n' for name, kind in KINDS.items())
BEGIN_US = 1_700_000_000_000_000
BAD = 0x808C_0000
TEXTS = ["plain", "", " blank ", 'quoted "so"', "two\nlines", "a,b;c", "true", "1e5", "küche 🌡", "\ttab"]


def rows() -> list[dict]:
    """Readings of every kind: whole numbers beyond 2^53, doubles to the last bit, texts, bad ones, microseconds."""
    made = []
    for n in range(400):
        ts = BEGIN_US + n * 1_000_003
        values = {
            "level": [0.1 + n, 1 / (n + 3), -0.0, 1e300, 5e-324, float(n)][n % 6],
            "count": [n, 9_007_199_254_740_993 + n, -9_223_372_036_854_775_808, 9_223_372_036_854_775_807][n % 4],
            "open": n % 3 == 0,
            "batch": TEXTS[n % len(TEXTS)],
        }
        for name, value in values.items():
            quality = 0
            if n % 17 == 0:
                value, quality = None, BAD
            elif n % 19 == 0:
                quality = 0x4000_0000
            made.append({"path": f"{HALL}/{name}", "ts": ts, "value": value, "quality": quality})
    return made


class Transfer(Case):
    def target(self):
        node = self.node()
        node.apply(PLANT)
        return node

    def exported(self, node, tag: str) -> list[dict]:
        answer = node.get(f"/api/history/export?tag={tag}")
        self.assertEqual(answer.status, 200, answer)
        return [json.loads(line) for line in answer.text.splitlines()]

    def everything(self, node) -> dict:
        return {name: self.exported(node, f"{HALL}/{name}") for name in KINDS}

    def ran(self, node, *words, code: int = 0) -> str:
        result = node.cli(*words, deadline=60)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        return result.stdout + result.stderr

    def test_what_is_exported_and_imported_is_the_same_in_every_form(self):
        here = self.target()
        sent = rows()
        answer = here.post("/api/ingest?precision=us", sent)
        self.assertEqual(answer.status, 204, answer)
        wait_until("all is history", lambda: sum(map(len, self.everything(here).values())) == len(sent))
        expected = self.everything(here)
        self.assertEqual([p["value"] for p in expected["count"]][1], 9_007_199_254_740_994)
        self.assertEqual(expected["level"][1]["ts"], "2023-11-14T22:13:21.000003Z")
        folder = self.temporary_folder()
        for form in ("csv", "jsonl", "parquet"):
            file = folder / f"history.{form}"
            self.ran(here, "history export", "--tags", f"{HALL}/*", file)
            if form == "jsonl":
                self.assertEqual(len(file.read_text().splitlines()), len(sent))
                continue
            there = self.target()
            self.assertIn(f"{len(sent)} points stored, 0 rows refused", self.ran(there, "import", file))
            wait_until("all is history", lambda: sum(map(len, self.everything(there).values())) == len(sent))
            self.assertEqual(self.everything(there), expected, form)
            self.assertEqual([path.name for path in folder.iterdir() if "andon-import" in path.name or "refused" in path.name], [])
        # Others read the same in it.
        file = folder / "history.parquet"
        count = f"path = '{HALL}/count'"
        told = duckdb.sql(f"select epoch_us(ts), int_value, quality from read_parquet('{file}') where {count} order by ts").fetchall()
        self.assertEqual(told, [(r["ts"], r["value"], r["quality"]) for r in sent if r["path"].endswith("/count")])
        table = polars.read_parquet(file).filter(polars.col.path == f"{HALL}/batch").sort("ts")
        self.assertEqual(table["text_value"].to_list(), [r["value"] for r in sent if r["path"].endswith("/batch")])
        part = folder / "part.csv"
        self.ran(here, "history export", "--tags", f"{HALL}/level", "--from", "2023-11-14T22:13:21Z", "--to", "2023-11-14T22:13:23Z", part)
        self.assertEqual(len(part.read_text().splitlines()), 3)
        self.assertIn("is there already", self.ran(here, "history export", "--tags", HALL, part, code=1))
        self.assertIn("no tag is meant", self.ran(here, "history export", "--tags", "nowhere", folder / "x.csv", code=1))

    def test_files_of_others_with_columns_mapped_and_refused_rows_told(self):
        here = self.target()
        folder = self.temporary_folder()
        wide = folder / "wide.parquet"
        frame = polars.DataFrame({"Time": polars.Series([BEGIN_US, BEGIN_US + 1, BEGIN_US + 2]).cast(polars.Datetime("us")), "T1": [1.5, None, float("nan")], "Tür": [True, False, None]})
        frame.write_parquet(wide)
        self.ran(here, "import", "--map", "ts=Time", "--map", f"{HALL}/level=T1", "--map", f"{HALL}/open=Tür", wide)
        wait_until("all is history", lambda: len(self.exported(here, f"{HALL}/open")) == 2)
        self.assertEqual([p["value"] for p in self.exported(here, f"{HALL}/level")], [1.5])
        for packed in ("snappy", "gzip", "zstd", "uncompressed", "lz4"):
            file = folder / f"{packed}.parquet"
            duckdb.sql(f"copy (select '{HALL}/count' as path, 5000000 + i as ts, i as value from range(3) t(i)) to '{file}' (compression '{packed}')")
            said = self.ran(here, "import", file, code=1 if packed == "lz4" else 0)
            self.assertIn("packed with LZ4" if packed == "lz4" else "3 points stored", said)
        long = folder / "long.csv"
        duckdb.sql(
            f"copy (select '{HALL}/' || (case when i = 3 then 'none' else 'count' end) as path, i * 1000 as ts, "
            f"case when i = 7 then 'x' else i::varchar end as value from range(10) t(i)) to '{long}' (header, delimiter ';')"
        )
        said = self.ran(here, "import", long, code=2)
        self.assertIn("8 points stored, 2 rows refused", said)
        refused = (folder / "long.csv.refused.csv").read_text().splitlines()
        self.assertEqual(refused[0], "row,reason")
        self.assertTrue(refused[1].startswith(f'5,"{HALL}/none is not known'), refused)
        self.assertEqual(refused[2], f'9,"""x"" is no value of {HALL}/count, which is a whole number (int64)"')
        self.assertIn("--skip COLUMN", said)
        for form in ("csv", "parquet"):
            other = folder / f"other.{form}"
            duckdb.sql(f"copy (select i * 1000 + 20000 as ts, i as \"{HALL}/count\", 'x' as \"Remark\", i as n from range(3) t(i)) to '{other}'" + (" (header)" if form == "csv" else ""))
            self.assertIn("0 points stored, 3 rows refused" if form == "csv" else "3 points stored, 6 rows refused", self.ran(here, "import", other, code=2))
            said = self.ran(here, "import", "--restart", "--skip", "Remark", "--skip", "n", other)
            self.assertIn("3 points stored, 0 rows refused", said)
            self.assertIn("there is no column", self.ran(here, "import", "--skip", "None", other, code=1))
        comma = folder / "comma.csv"
        comma.write_text(f'path;ts;value\n{HALL}/level;1000;"23,5"\n')
        self.ran(here, "import", comma, code=2)
        self.assertIn("decimals take a point", (folder / "comma.csv.refused.csv").read_text())
        headless = folder / "headless.csv"
        headless.write_text("Zeit;T1;T2\n1;2;3\n")
        self.assertIn('the first line names "Zeit", "T1", "T2"', self.ran(here, "import", headless, code=1))
        twice = folder / "twice.csv"
        twice.write_text("ts,A,B\n1,2,3\n")
        level = ("--map", f"{HALL}/level=A")
        for words, why in [
            ((*level, "--map", f"{HALL}/level=B"), f'columns "A" and "B" both stand for {HALL}/level'),
            ((*level, "--skip", "A", "--skip", "B"), 'column "A" is named twice'),
            (("--skip", "A", "--skip", "B"), "no column is left that holds values"),
            ((*level, "--skip", "ts"), 'there is no column "ts"'),
        ]:
            self.assertIn(why, self.ran(here, "import", *words, twice, code=1))
        texts = lambda: [event["summary"] for event in here.timeline(kind="system")]
        wait_until("the audit trail tells it", lambda: "import of 8 points from long.csv; 2 rows refused" in texts())
        self.assertIn("an import of long.csv begins", texts())
        for words, why in [(("--map", "ts=When"), "there is no column"), (("--map", "x"), "is not understood")]:
            self.assertIn(why, self.ran(here, "import", *words, long, code=1))

    def test_an_interrupted_import_goes_on_where_it_was(self):
        here = self.target()
        folder = self.temporary_folder()
        total = 1_000_000
        for form in ("csv", "parquet"):
            file = folder / f"long.{form}"
            copy = f"copy (select '{HALL}/level' as path, {BEGIN_US} + i as ts, i * 0.5 as value from range({total}) t(i)) to '{file}'"
            duckdb.sql(copy + (" (header)" if form == "csv" else ""))
            state = folder / f"long.{form}.andon-import"
            command = [binary(), "import", "--config", here.config, "--precision", "us", file]
            process = spawn(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            wait_until("some of it is done", lambda: json.loads(state.read_text())["stored"] > 0)
            process.send_signal(signal.SIGKILL)
            process.wait()
            done = json.loads(state.read_text())["stored"]
            self.assertTrue(0 < done < total, done)
            self.assertIn("other options", self.ran(here, "import", file, code=1))
            said = self.ran(here, "import", "--precision", "us", file)
            self.assertIn("goes on behind row", said)
            self.assertIn(f"{total} points stored, 0 rows refused", said)
            self.assertFalse(state.exists())
        asked = {"query": f"select count(*), sum(value) from samples where path = '{HALL}/level'"}
        told = lambda: here.post("/api/sql", asked, deadline=60).json["rows"]
        wait_until("all is history, once", lambda: told() == [[total, total * (total - 1) / 4]], 60)

    def test_a_damaged_file_is_told_and_nothing_half_is_called_whole(self):
        here = self.target()
        folder = self.temporary_folder()
        whole = folder / "whole.parquet"
        n = polars.int_range(0, 60_000, eager=True)
        frame = polars.DataFrame({"path": [f"{HALL}/level"] * 60_000, "ts": n, "value": n.hash().cast(polars.Float64)})
        frame.write_parquet(whole, row_group_size=10_000)
        cut = folder / "cut.parquet"
        cut.write_bytes(whole.read_bytes()[:-100])
        said = self.ran(here, "import", cut, code=1)
        self.assertIn("not a whole Parquet file", said)
        self.assertEqual(self.exported(here, f"{HALL}/level"), [])
        damaged = folder / "damaged.parquet"
        shutil.copy(whole, damaged)
        with damaged.open("r+b") as file:
            file.seek(damaged.stat().st_size * 2 // 3)
            file.write(b"\xff" * 20_000)
        said = self.ran(here, "import", damaged, code=1)
        self.assertIn("damaged.parquet is not wholly imported", said)
        self.assertIn("damaged behind row", said)
