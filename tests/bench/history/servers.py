"""The systems that are servers: Andon, InfluxDB, VictoriaMetrics. Each in a folder of its own, on loopback, and ended with us.

A server is loaded with batches of line protocol over connections that are kept, and answers with columns of NumPy. What the client
does with an answer after its last byte is not measured.
"""

from __future__ import annotations

import csv
import http.client
import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.parse
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))
import harness  # noqa: E402
import measure  # noqa: E402
from sets import CAPACITIES, TRUCK_FIELDS, Narrow, Trucks  # noqa: E402


class CannotSay(Exception):
    """The system has no way to ask this, or none within its protocol."""


class Link:
    """One HTTP connection that stays open."""

    def __init__(self, address: str, headers: dict | None = None):
        host, _, port = address.rpartition(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=300)
        self.headers = headers or {}
        self.used = 0.0

    def ask(self, method: str, path: str, body=None, headers: dict | None = None) -> bytes:
        if time.monotonic() - self.used > 5:
            self.connection.close()  # A server ends what was idle for a while.
            self.connection.connect()
            self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connection.request(method, path, body=body, headers={**self.headers, **(headers or {})})
        answer = self.connection.getresponse()
        data = answer.read()
        self.used = time.monotonic()
        if answer.status >= 300:
            raise SystemError(f"{method} {path.partition('?')[0]}: {answer.status} {data[:500]!r}")
        return data

    def close(self) -> None:
        self.connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def seconds(ms: int) -> str:
    return f"{ms / 1000:.3f}"


class Server:
    """What the driver asks of every server."""

    name = ""
    durable = ""
    #: What its "points per second" are made of.
    face = "line protocol over HTTP"

    def __init__(self, folder: Path):
        self.folder = folder
        self.pid = 0

    @classmethod
    def missing(cls) -> str | None:
        """Why it cannot take part; `None`: it can."""
        raise NotImplementedError

    def version(self) -> str:
        raise NotImplementedError

    def prepare(self, data) -> None:
        """Makes what must be there before the first point."""

    def lines(self, data):
        """The batches of a set in the system's own form."""
        raise NotImplementedError

    def link(self) -> Link:
        raise NotImplementedError

    def write(self, link: Link, batch: memoryview) -> None:
        raise NotImplementedError

    def make_durable(self) -> None:
        """Where an answer does not mean that it is on disk: what makes it so. It counts as part of the load."""

    def compact(self) -> None:
        """Merges as far as it can be asked to, and waits."""

    def disk(self) -> tuple[int, int]:
        """Bytes on disk after merging, and for how many points they are (0: for all)."""
        return measure.disk_bytes(self.folder), 0


# ---- Andon ----


class Andon(Server):
    name = "Andon"
    durable = "every answer"

    def __init__(self, folder: Path, write_path: str):
        super().__init__(folder)
        self.node = harness.Node(folder=folder, extra="[sql]\nlisten = \"127.0.0.1:0\"\nrows = 100000000\nmemory_mib = 1024\nseconds = 600\n").start()
        self.pid = self.node.process.pid
        self.write_path = write_path
        self.api = self.link()
        self._sql = None
        self.stored = 0

    @classmethod
    def missing(cls) -> str | None:
        try:
            harness.binary()
        except AssertionError as error:
            return str(error)
        return None

    def version(self) -> str:
        return harness.run([harness.binary(), "--version"]).stdout.strip().removeprefix("andon ")

    def path(self, data, number: int) -> str:
        return f"bench/u{number // 100:03}/{data.tags[number]}"

    def prepare(self, data) -> None:
        place = lambda path, level: f'[[equipment]]\npath = "{path}"\nlevel = "{level}"\ntitle = "{path.rpartition("/")[2]}"\n'
        tag = lambda path, kind: f'[[tag]]\npath = "{path}"\ntitle = "{path.rpartition("/")[2]}"\ntype = "{kind}"\n'
        text = [place("bench", "site")]
        if isinstance(data, Narrow):
            text += [place(f"bench/u{n:03}", "area") for n in range(-(-len(data.tags) // 100))]
            text += [tag(self.path(data, n), "double") for n in range(len(data.tags))]
        else:
            text += [place(f"bench/{fleet}", "area") for fleet in sorted(set(data.trucks["fleet"].to_pylist()))]
            for truck in data.trucks.to_pylist():
                here = f"bench/{truck['fleet']}/{truck['name']}"
                text.append(place(here, "work_unit"))
                text += [tag(f"{here}/{name}", "double") for names in TRUCK_FIELDS.values() for name in names]
                text += [tag(f"{here}/{name}", "double") for name in CAPACITIES]
                text += [tag(f"{here}/{name}", "string") for name in ("driver", "model", "device_version")]
        body = {"documents": [{"name": "bench.toml", "text": "\n".join(text)}], "expected_version": self.node.plant_version(), "reason": "bench"}
        answer = self.node.post("/api/plant/apply", body, deadline=300)
        assert answer.status == 200, answer
        if isinstance(data, Trucks):
            # What a truck is, is told once: a tag that does not change.
            facts = []
            for truck in data.trucks.to_pylist():
                words = ",".join(f'{name}="{truck[name]}"' for name in ("driver", "model", "device_version"))
                numbers = ",".join(f"{name}={truck[name]}" for name in CAPACITIES)
                facts.append(f"bench/{truck['fleet']}/{truck['name']} {words},{numbers} {data.span[0]}")
            self.api.ask("POST", self.write_path, "\n".join(facts).encode())
            self.stored = len(facts) * 6

    def lines(self, data):
        if isinstance(data, Narrow):
            yield from data.lines([f"{self.path(data, n).rpartition('/')[0]} {name}=" for n, name in enumerate(data.tags)])
        else:
            here = [f"bench/{fleet}/{name} " for fleet, name in zip(data.trucks["fleet"].to_pylist(), data.trucks["name"].to_pylist())]
            yield from data.lines(lambda _: here, with_capacities=False)

    def link(self) -> Link:
        return Link(self.node.http, {"authorization": f"Bearer {self.node.token}", "x-andon": "1"})

    def write(self, link: Link, batch: memoryview) -> None:
        link.ask("POST", self.write_path, batch)

    def storage(self) -> dict:
        return json.loads(self.api.ask("GET", "/api/storage"))

    def compact(self) -> None:
        harness.wait_until("history has followed the log", lambda: self.storage()["frames_behind"] == 0, 120)
        self.api.ask("POST", "/api/history/compact")

    def from_points(self) -> None:
        """From now on every row is read: sums of whole minutes and hours are not taken as they are."""
        if self._sql is not None:
            self._sql.close()
            self._sql = None
        self.api.close()
        config = self.node.config
        config.write_text(config.read_text().replace("[sql]\n", "[sql]\nuse_rollups = false\n"))
        self.node.restart()
        self.pid = self.node.process.pid
        self.api = self.link()

    def disk(self) -> tuple[int, int]:
        storage = self.storage()
        return storage["file_bytes"] + storage["rollup_bytes"], storage["points"]

    def disk_parts(self) -> dict[str, float]:
        """Bytes a point of what no peer keeps: sums of minutes and hours, and when each reading was received."""
        import pyarrow.parquet

        storage = self.storage()
        table, files, received = self.node.data_dir / "history" / "parquet", set(), 0
        for commit in sorted((table / "_delta_log").glob("*.json")):
            for action in map(json.loads, commit.read_text().splitlines()):
                files |= {action["add"]["path"]} if "add" in action else set()
                files -= {action["remove"]["path"]} if "remove" in action else set()
        for file in files:
            told = pyarrow.parquet.read_metadata(table / file)
            for group in range(told.num_row_groups):
                columns = [told.row_group(group).column(at) for at in range(told.num_columns)]
                received += sum(column.total_compressed_size for column in columns if column.path_in_schema in ("received_ms", "received_at_ms"))
        return {"roll-ups": storage["rollup_bytes"] / storage["points"], "received": received / storage["points"]}

    # -- questions --

    @property
    def sql(self):
        """A connection over the PostgreSQL protocol."""
        if self._sql is None:
            import psycopg

            host, port = self.node.sql
            self._sql = psycopg.connect(host=host, port=port, user="bench", password=self.node.token, dbname="andon", autocommit=True)
        return self._sql

    def by_wire(self, text: str):
        """The rows as the client's library has them when the last has come."""
        result = self.sql.pgconn.exec_(text.encode())
        if result.status not in (1, 2):  # A command, or rows.
            raise SystemError(f"{result.error_message.decode(errors='replace').strip()}: {text}")
        return result

    @staticmethod
    def columns_of(result) -> list[list]:
        return [[result.get_value(row, column) for row in range(result.ntuples)] for column in range(result.nfields)]

    def by_http(self, text: str, form: str = "arrow") -> bytes:
        return self.api.ask("POST", "/api/sql", json.dumps({"query": text, "format": form}), {"content-type": "application/json"})

    def aggregate(self, tag: str, aggregate: str, from_ms: int, to_ms: int, interval_ms: int = 0) -> bytes:
        query = {"tag": tag, "aggregate": aggregate, "from_ms": from_ms, "to_ms": to_ms, "interval_ms": interval_ms, "stepped": "false"}
        return self.api.ask("GET", "/api/aggregate?" + urllib.parse.urlencode(query))

    def aggregates(self, tag: str, aggregates: list[str], from_ms: int, to_ms: int, interval_ms: int) -> bytes:
        """Several aggregates in one question."""
        asked = {"tags": [tag], "aggregates": aggregates, "from_ms": from_ms, "to_ms": to_ms, "interval_ms": interval_ms, "stepped": False}
        return self.api.ask("POST", "/api/aggregate", json.dumps(asked), {"content-type": "application/json"})

    def explain(self, text: str) -> str:
        result = self.by_wire("EXPLAIN ANALYZE " + text)
        return "\n".join(value.decode() for value in self.columns_of(result)[-1])

    def close(self) -> None:
        if self._sql is not None:
            self._sql.close()
        self.api.close()
        self.node.close()


# ---- peers ----


class Peer(Server):
    """A server that is only measured: started with a command, its answers told apart by its port."""

    def start(self, command: list, environment: dict | None = None) -> None:
        self.log = (self.folder / "server.log").open("wb")
        self.process = harness.spawn(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})}, cwd=self.folder)
        self.pid = self.process.pid

    def wait_for(self, path: str) -> None:
        def answers():
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with {self.process.returncode}: {(self.folder / 'server.log').read_text(errors='replace')[-2000:]}")
            link = Link(self.address)
            link.ask("GET", path)
            return link

        self.api = harness.wait_until(f"{self.name} answers", answers, 30)

    def link(self) -> Link:
        return Link(self.address)

    def lines(self, data):
        if isinstance(data, Narrow):
            yield from data.lines([f"pv,tag={name} v=" for name in data.tags])
        else:
            trucks = data.trucks.to_pylist()
            words = [",".join(f"{key}={truck[key]}" for key in ("name", "fleet", "driver", "model", "device_version")) for truck in trucks]
            yield from data.lines(lambda table: [f"{table},{word} " for word in words], with_capacities=True)

    def close(self) -> None:
        self.api.close()
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


class Influx(Peer):
    name = "InfluxDB"
    durable = "every answer"

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.address = f"127.0.0.1:{free_port()}"
        data = folder / "data"
        settings = {
            "REPORTING_DISABLED": "true",
            "BIND_ADDRESS": f"127.0.0.1:{free_port()}",
            "META_DIR": str(data / "meta"),
            "DATA_DIR": str(data / "data"),
            "DATA_WAL_DIR": str(data / "wal"),
            "DATA_WAL_FSYNC_DELAY": "0s",
            "DATA_INDEX_VERSION": "tsi1",
            "DATA_QUERY_LOG_ENABLED": "false",
            # Written out and compacted soon after the last point, so that what is measured is what will be.
            "DATA_CACHE_SNAPSHOT_WRITE_COLD_DURATION": "2s",
            "DATA_COMPACT_FULL_WRITE_COLD_DURATION": "2s",
            "DATA_MAX_SERIES_PER_DATABASE": "0",
            "HTTP_BIND_ADDRESS": self.address,
            "HTTP_LOG_ENABLED": "false",
            "HTTP_MAX_BODY_SIZE": "0",
            "MONITOR_STORE_ENABLED": "false",
        }
        config = folder / "influxdb.conf"
        config.write_text("")
        self.start(["influxd", "run", "-config", config], {f"INFLUXDB_{key}": value for key, value in settings.items()})
        self.data = data
        self.wait_for("/ping")
        self.api.ask("POST", "/query?q=" + urllib.parse.quote("CREATE DATABASE bench"))

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("influxd") else "influxd is not installed (Debian: influxdb)"

    def version(self) -> str:
        return harness.run(["influxd", "version"]).stdout.split()[1].lstrip("v")

    def write(self, link: Link, batch: memoryview) -> None:
        link.ask("POST", "/write?db=bench&precision=ms", batch)

    def disk(self) -> tuple[int, int]:
        return measure.disk_bytes(self.data), 0

    def query(self, text: str) -> bytes:
        return self.api.ask("GET", "/query?" + urllib.parse.urlencode({"db": "bench", "epoch": "ms", "q": text}))

    @staticmethod
    def series(answer: bytes) -> list[dict]:
        result = json.loads(answer)["results"][0]
        if "error" in result:
            raise SystemError(result["error"])
        return result.get("series", [])

    def compact(self) -> None:
        time.sleep(5)  # Both "cold" durations, and the second in which it looks.


class Victoria(Peer):
    name = "VictoriaMetrics"
    durable = "no; its flush is counted"

    def __init__(self, folder: Path):
        super().__init__(folder)
        self.address = f"127.0.0.1:{free_port()}"
        self.data = folder / "data"
        self.start(
            [
                "victoria-metrics",
                f"-storageDataPath={self.data}",
                f"-httpListenAddr={self.address}",
                "-retentionPeriod=100y",
                "-search.disableCache",
                "-search.maxPointsPerTimeseries=10000000",
                "-search.maxUniqueTimeseries=10000000",
                "-search.maxSamplesPerQuery=1000000000",
                "-search.maxQueryDuration=10m",
                "-search.latencyOffset=0s",
                # No look-back beyond the window that is asked for.
                "-search.maxStalenessInterval=1ms",
                "-loggerLevel=WARN",
                "-influxTrimTimestamp=1ms",
            ]
        )
        self.wait_for("/health")

    @classmethod
    def missing(cls) -> str | None:
        return None if shutil.which("victoria-metrics") else "victoria-metrics is not installed (Debian: victoria-metrics)"

    def version(self) -> str:
        done = harness.run(["dpkg-query", "-W", "-f", "${Version}", "victoria-metrics"])
        return done.stdout.split("+")[0] or "unknown"

    def write(self, link: Link, batch: memoryview) -> None:
        link.ask("POST", "/write?precision=ms", batch)

    def make_durable(self) -> None:
        self.api.ask("GET", "/internal/force_flush")

    def compact(self) -> None:
        self.api.ask("GET", "/internal/force_flush")
        self.api.ask("GET", "/internal/force_merge")

    def disk(self) -> tuple[int, int]:
        return measure.disk_bytes(self.data), 0

    def instant(self, query: str, at_ms: int) -> bytes:
        return self.api.ask("POST", "/api/v1/query", urllib.parse.urlencode({"query": query, "time": seconds(at_ms), "nocache": "1", "step": "1ms"}), {"content-type": "application/x-www-form-urlencoded"})

    def range(self, query: str, from_ms: int, to_ms: int, step_ms: int) -> bytes:
        body = {"query": query, "start": seconds(from_ms), "end": seconds(to_ms), "step": f"{step_ms}ms", "nocache": "1"}
        return self.api.ask("POST", "/api/v1/query_range", urllib.parse.urlencode(body), {"content-type": "application/x-www-form-urlencoded"})

    @staticmethod
    def result(answer: bytes) -> list[dict]:
        return json.loads(answer)["data"]["result"]
