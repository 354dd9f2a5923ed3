"""Systems that live in the asking process: DuckDB, chdb, DataFusion, Polars. Each runs in a process of its own, so that its memory and
processor time can be told: `python embedded.py SYSTEM FOLDER` reads requests as JSON lines and answers in kind.

DuckDB and chdb store: batches of 5,000 rows, Arrow columns without any parsing, each durable when it returns. DataFusion and Polars read
Parquet that was written for them, sorted by tag and time: what an engine does with a good file.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

import measure

BATCH_ROWS = 5_000
TABLES = ("pv", "trucks", "readings", "diagnostics")
KEYS = {"pv": ["tag", "ts"], "readings": ["name", "ts"], "diagnostics": ["name", "ts"], "trucks": ["name"]}


def read(folder: Path) -> dict[str, pa.Table]:
    """The tables of a set, mapped and not copied, in order of arrival."""
    found = {}
    for name in TABLES:
        path = folder / f"{name}.arrow"
        if path.exists():
            found[name] = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return found


def plain(table: pa.Table) -> pa.Table:
    """Names as texts: what a program that stores has in its hands."""
    for at, column in enumerate(table.schema):
        if pa.types.is_dictionary(column.type):
            table = table.set_column(at, column.name, table.column(at).cast(column.type.value_type))
    return table


class Engine:
    durable = "every batch"
    stores = True

    def __init__(self, folder: Path):
        self.folder = folder
        self.place = folder / "store"
        self.place.mkdir()

    def load(self, tables: dict[str, pa.Table]) -> list[float]:
        """Stores in batches; returns how long each took, in seconds."""
        took = []
        for name, table in tables.items():
            self.create(name, table.schema)
            for at in range(0, len(table), BATCH_ROWS):
                batch = plain(table.slice(at, BATCH_ROWS))
                began = time.perf_counter()
                self.insert(name, batch)
                took.append(time.perf_counter() - began)
        return took


class DuckDb(Engine):
    def __init__(self, folder: Path):
        super().__init__(folder)
        import duckdb

        self.open = lambda name: duckdb.connect(str(self.place / name), config={"temp_directory": str(folder), "memory_limit": "4GB"})
        self.link = self.open("arrived.duckdb")
        self.version = duckdb.__version__

    def create(self, name: str, schema: pa.Schema) -> None:
        kind = lambda field: "VARCHAR" if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type) else "TIMESTAMP_MS" if pa.types.is_timestamp(field.type) else "BIGINT" if pa.types.is_integer(field.type) else "DOUBLE"
        self.link.execute(f"CREATE TABLE {name} ({', '.join(f'{field.name} {kind(field)}' for field in schema)})")

    def insert(self, name: str, batch: pa.Table) -> None:
        self.link.register("batch", batch)
        self.link.execute(f"INSERT INTO {name} SELECT * FROM batch")
        self.link.unregister("batch")

    def compact(self) -> None:
        """It has no order of its own: the best that can be done for the questions is a copy, sorted by tag and time."""
        self.link.execute("CHECKPOINT")
        self.link.execute(f"ATTACH '{self.place / 'sorted.duckdb'}' AS sorted")
        for name in [row[0] for row in self.link.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'arrived'").fetchall()]:
            self.link.execute(f"CREATE TABLE sorted.{name} AS SELECT * FROM {name} ORDER BY {', '.join(KEYS[name])}")
        self.link.execute("CHECKPOINT sorted")
        self.link.close()
        (self.place / "arrived.duckdb").unlink()
        self.link = self.open("sorted.duckdb")

    def ask(self, text: str):
        return self.link.execute(text).to_arrow_table()


class ChDb(Engine):
    def __init__(self, folder: Path):
        super().__init__(folder)
        import chdb
        from chdb import session

        self.session = session.Session(str(self.place))
        self.version = f"{chdb.__version__} ({self.session.query('SELECT version()', 'CSV').data().strip().strip(chr(34))})"
        self.tables: list[str] = []

    def create(self, name: str, schema: pa.Schema) -> None:
        def column(field: pa.Field) -> str:
            if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type):
                return f"{field.name} LowCardinality(String)"
            if pa.types.is_timestamp(field.type):
                return f"{field.name} DateTime64(3, 'UTC') CODEC(DoubleDelta, ZSTD(1))"
            kind, codec = ("Int64", "T64") if pa.types.is_integer(field.type) else ("Float64", "ALP")
            wraps = f"Nullable({kind})" if name in ("readings", "diagnostics") else kind
            return f"{field.name} {wraps} CODEC({codec}, ZSTD(1))"

        columns = ", ".join(column(field) for field in schema)
        self.session.query(
            f"CREATE TABLE {name} ({columns}) ENGINE = MergeTree ORDER BY ({', '.join(KEYS[name])}) SETTINGS fsync_after_insert = 1, allow_nullable_key = 1"
            " SETTINGS enable_alp_codec = 1"
        )
        self.tables.append(name)

    def insert(self, name: str, batch: pa.Table) -> None:
        self.session.query(f"INSERT INTO {name} SELECT * FROM Python(batch)")

    def compact(self) -> None:
        for name in self.tables:
            self.session.query(f"OPTIMIZE TABLE {name} FINAL")
        # Parts that were merged stay for eight minutes; only active ones count.

    def disk(self) -> int:
        answer = self.session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND database = currentDatabase()", "CSV").data()
        return int(answer.strip() or 0)

    def ask(self, text: str):
        return self.session.query(text, "Arrow").bytes()


class Files(Engine):
    """Parquet, sorted, with the encodings that suit it."""

    durable = ""
    stores = False

    def load(self, tables: dict[str, pa.Table]) -> list[float]:
        for name, table in tables.items():
            table = plain(table).sort_by([(key, "ascending") for key in KEYS[name]])
            pq.write_table(
                table,
                self.place / f"{name}.parquet",
                compression="zstd",
                compression_level=1,
                row_group_size=131_072,
                data_page_size=65_536,
                write_page_index=True,
                use_dictionary=[column for column in table.schema.names if column != "ts"],
                column_encoding={"ts": "DELTA_BINARY_PACKED"} if "ts" in table.schema.names else None,
            )
        self.opened()
        return []

    def compact(self) -> None:
        pass


class DataFusion(Files):
    def __init__(self, folder: Path):
        super().__init__(folder)
        import datafusion

        self.version = datafusion.__version__

    def opened(self) -> None:
        import datafusion

        settings = {"datafusion.execution.parquet.pushdown_filters": "true", "datafusion.execution.parquet.reorder_filters": "true"}
        self.context = datafusion.SessionContext(datafusion.SessionConfig(settings))
        for path in self.place.glob("*.parquet"):
            order = [[datafusion.col(key).sort(ascending=True, nulls_first=False) for key in KEYS[path.stem]]]
            self.context.register_parquet(path.stem, str(path), file_sort_order=order)

    def ask(self, text: str):
        return self.context.sql(text).to_arrow_table()


class Polars(Files):
    def __init__(self, folder: Path):
        super().__init__(folder)
        import polars

        self.version = polars.__version__

    def opened(self) -> None:
        import polars

        self.frame = polars.scan_parquet(self.place / "pv.parquet")

    def ask(self, text: str):
        """`text`: the name of a question and the ends of its set; Polars is asked with frames."""
        import queries

        wanted = json.loads(text)
        return queries.polars_frame(wanted["name"], queries.Ask.said(wanted["ask"]))(self.frame).collect().to_arrow()


ENGINES = {"DuckDB": DuckDb, "chdb": ChDb, "DataFusion": DataFusion, "Polars": Polars}


def serve(engine: Engine) -> None:
    import queries

    tell = lambda answer: print(json.dumps(answer), flush=True, file=ANSWERS)
    tell({"version": engine.version, "durable": engine.durable, "stores": engine.stores})
    for line in sys.stdin:
        wanted = json.loads(line)
        try:
            if wanted["do"] == "load":
                tables = read(Path(wanted["from"]))
                before, began = measure.cpu_s(os.getpid()), time.perf_counter()
                took = engine.load(tables)
                seconds = time.perf_counter() - began
                engine.compact()
                measure.settle(os.getpid(), quiet_s=1, deadline_s=60)
                disk = engine.disk() if hasattr(engine, "disk") else measure.disk_bytes(engine.place)
                tell({"took": took, "seconds": seconds, "cpu_s": measure.cpu_s(os.getpid()) - before, "disk": disk})
            elif wanted["do"] == "ask":
                answer, times = measure.repeat(lambda: engine.ask(wanted["text"]), wanted["n"], wanted["budget_s"], os.getpid())
                rows = queries.rows_of_arrow(answer) if isinstance(answer, bytes) else queries.rows_of_table(answer)
                tell({"rows": rows, "times": vars(times)})
        except Exception as error:  # The driver says it and goes on with the next question.
            tell({"error": f"{type(error).__name__}: {error}"[:600]})


if __name__ == "__main__":
    # Whatever a library prints must not be taken for an answer.
    ANSWERS = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    serve(ENGINES[sys.argv[1]](Path(sys.argv[2])))
