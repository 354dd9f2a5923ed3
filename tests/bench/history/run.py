"""Andon's history beside its peers, in one run: loads the same data into each, one after the other, asks the same questions, compares the
answers, and writes figures as JSON and as a table. `tests/bench/history.sh --help`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pyarrow as pa

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import answers  # noqa: E402
import embedded  # noqa: E402
import measure  # noqa: E402
import queries  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402
import sets  # noqa: E402
from servers import CannotSay, harness  # noqa: E402

ANDON, SERVERS, ENGINES = ["Andon"], ["InfluxDB", "VictoriaMetrics"], list(embedded.ENGINES)
ALL = ANDON + SERVERS + ENGINES
#: In the last seconds of the deep set batches come at half of the rate that was reached before.
PACED_S = 6
FREE_GIB = 12


def say(*words) -> None:
    print(time.strftime("%H:%M:%S"), *words, flush=True)


# ---- load ----


class Batches:
    """The batches of a set, in order, for several senders."""

    def __init__(self, lines):
        self.pieces = list(lines)  # Text in memory, below half a gigabyte for each set.
        self.count = sum(len(ends) for _, ends in self.pieces)

    def __iter__(self):
        for data, ends in self.pieces:
            at = 0
            for end in ends:
                yield data[at:end]
                at = end


def send(server, batches, connections: int, gap_s: float = 0) -> tuple[list[float], float]:
    """Sends batches over so many connections, as fast as they are taken or one every `gap_s`; returns how long each answer took, and all."""
    took: list[float] = []
    source, lock, faults = iter(batches), threading.Lock(), []
    began = time.perf_counter()
    next_at = [began]

    def sender(link):
        try:
            while not faults:
                with lock:
                    batch = next(source, None)
                    due = next_at[0]
                    next_at[0] += gap_s
                if batch is None:
                    return
                if gap_s and (wait := due - time.perf_counter()) > 0:
                    time.sleep(wait)
                at = time.perf_counter() if not gap_s else max(due, began)
                server.write(link, batch)
                took.append(time.perf_counter() - at)
        except Exception as fault:
            faults.append(fault)
        finally:
            link.close()

    threads = [threading.Thread(target=sender, args=(server.link(),), daemon=True) for _ in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
    return took, time.perf_counter() - began


def load_server(server, data, options) -> dict:
    server.prepare(data)
    batches = Batches(server.lines(data))
    each = data.points / batches.count
    before = measure.cpu_s(server.pid)
    stream = iter(batches)
    paced_batches = 0
    if data.name == "D":
        # A first tenth tells how many batches half the rate has in the paced seconds.
        first = batches.count // 10
        took, seconds = send(server, take(stream, first), options.connections)
        paced_batches = min(int(first / seconds / 2 * PACED_S), batches.count // 2)
        more, again = send(server, take(stream, batches.count - first - paced_batches), options.connections)
        took, seconds = took + more, seconds + again
    else:
        took, seconds = send(server, stream, options.connections)
    sent = batches.count - paced_batches
    at = time.perf_counter()
    server.make_durable()
    seconds += time.perf_counter() - at
    result = {
        "points": data.points,
        "points_per_s": each * sent / seconds,
        "ack_ms": {"p50": measure.percentile(took, 0.5) * 1e3, "p99": measure.percentile(took, 0.99) * 1e3, "n": len(took)},
    }
    if paced_batches:
        rate = result["points_per_s"] / each / 2
        paced, _ = send(server, stream, options.connections, 1 / rate)
        result["ack_half_ms"] = {"p50": measure.percentile(paced, 0.5) * 1e3, "p99": measure.percentile(paced, 0.99) * 1e3, "n": len(paced), "points_per_s": rate * each}
    server.compact()
    result["settled"] = measure.settle(server.pid)
    result["cpu_s"] = measure.cpu_s(server.pid) - before
    result["points_per_cpu_s"] = data.points / result["cpu_s"]
    disk, of = server.disk()
    result["disk_points"] = of or data.points
    result["bytes_parts"] = server.disk_parts() if isinstance(server, servers.Andon) else {}
    result["bytes_per_point"] = disk / of if of else disk / data.points if disk and not isinstance(server, servers.Andon) else None
    return result


def take(stream, count: int):
    for _ in range(count):
        yield next(stream)


# ---- questions ----


class Asking:
    """The questions to one set, and what the systems answered."""

    def __init__(self, data, options):
        self.data, self.options = data, options
        self.narrow = isinstance(data, sets.Narrow)
        if self.narrow:
            self.ask = queries.Ask(data)
            self.names = [name for name, question in queries.NARROW.items() if data.name in question.sets]
        else:
            self.drawn = queries.Drawn.of(data)
            self.names = list(queries.TRUCKS)
        #: (question, system) -> rows, times
        self.rows: dict[str, dict[str, list]] = {name: {} for name in self.names}
        self.times: dict[str, dict[str, dict]] = {name: {} for name in self.names}
        self.faults: dict[str, dict[str, str]] = {name: {} for name in self.names}

    def put(self, name: str, system: str, pid: int, run, read) -> None:
        try:
            answer, times = measure.repeat(run, self.options.repeat, self.options.budget, pid)
            self.rows[name][system] = read(answer)
            self.times[name][system] = vars(times)
        except (SystemError, OSError, ValueError, KeyError, IndexError, TypeError) as fault:
            self.faults[name][system] = str(fault)[:600]
            say(f"  {system} has no answer to {name}: {str(fault)[:300]}")

    def sql_of(self, name: str, dialect: str) -> str:
        return queries.narrow_sql(name, dialect, self.ask) if self.narrow else queries.trucks_sql(name, dialect, self.drawn)

    def andon(self, server) -> None:
        for name in self.names:
            text = self.sql_of(name, "Andon")
            read = lambda result: queries.short_names(queries.rows_of_wire(result))
            self.put(name, "Andon SQL", server.pid, lambda: server.by_wire(text), read)
            if self.options.explain:
                try:
                    say(f"EXPLAIN {name}: {text}\n" + server.explain(text))
                except SystemError as fault:
                    say(f"EXPLAIN {name}: {fault}")
            if self.narrow:
                self.put(name, "Andon HTTP SQL", server.pid, lambda: server.by_http(text), lambda answer: queries.short_names(queries.rows_of_arrow(answer)))
                try:
                    self.put(name, "Andon API", server.pid, *queries.narrow_api(name, self.ask, server))
                except CannotSay:
                    pass
        if self.narrow:
            server.from_points()
            for name in self.names:
                text = self.sql_of(name, "Andon")
                read = lambda result: queries.short_names(queries.rows_of_wire(result))
                self.put(name, "Andon SQL, all rows", server.pid, lambda: server.by_wire(text), read)

    def peer(self, server) -> None:
        for name in self.names:
            try:
                if isinstance(server, servers.Influx):
                    text, read = queries.narrow_influx(name, self.ask) if self.narrow else queries.trucks_influx(name, self.drawn)
                    self.put(name, server.name, server.pid, lambda: server.query(text), lambda answer: read(server.series(answer)))
                else:
                    run, read = queries.narrow_victoria(name, self.ask, server) if self.narrow else queries.trucks_victoria(name, self.drawn, server)
                    self.put(name, server.name, server.pid, run, lambda answer: read(server.result(answer)))
            except CannotSay:
                pass

    def engine(self, system: str, worker: "Worker") -> None:
        for name in self.names:
            if system == "Polars":
                if not self.narrow:
                    return
                text = json.dumps({"name": name, "ask": self.ask.told()})
            else:
                text = self.sql_of(name, system)
            answer = worker.ask({"do": "ask", "text": text, "n": self.options.repeat, "budget_s": self.options.budget})
            if "error" in answer:
                self.faults[name][system] = answer["error"]
                say(f"  {system} has no answer to {name}: {answer['error'][:300]}")
            else:
                self.rows[name][system], self.times[name][system] = answer["rows"], answer["times"]

    def judged(self) -> list[dict]:
        """The questions with the times of those who answered right."""
        by_time = queries.Sorted(self.data) if self.narrow else None
        out = []
        for name in self.names:
            compare = queries.NARROW[name].compare if self.narrow else None
            says = queries.NARROW[name].says if self.narrow else queries.TRUCKS[name]
            right = queries.narrow_truth(name, self.ask, by_time) if self.narrow else answers.agreed(self.rows[name], compare)
            wrong = dict(self.faults[name])
            for system, rows in self.rows[name].items():
                told = "no other system agrees" if right is None else answers.difference(rows, right, compare)
                if told:
                    wrong[system] = told
                    say(f"  {system} answers {name} differently, so its time is not shown: {told}")
            times = {system: value for system, value in self.times[name].items() if system not in wrong}
            out.append({"question": name, "says": says, "set": self.data.name, "rows": len(right or []), "times_ms": times, "not_shown": wrong})
        return out


# ---- engines in a process ----


class Worker:
    """One engine in a process of its own."""

    def __init__(self, system: str, folder: Path):
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": str(folder)}
        self.log = (folder / "engine.log").open("wb")
        self.process = harness.spawn([sys.executable, HERE / "embedded.py", system, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, env=environment, cwd=folder)
        self.system, self.folder = system, folder
        self.hello = self.answer()

    def answer(self) -> dict:
        line = self.process.stdout.readline()
        if not line:
            return {"error": f"{self.system} ended: {(self.folder / 'engine.log').read_text(errors='replace')[-500:]}"}
        return json.loads(line)

    def ask(self, request: dict) -> dict:
        try:
            self.process.stdin.write(json.dumps(request) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def close(self) -> None:
        self.process.stdin.close()
        try:
            self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def keep_tables(data, folder: Path) -> None:
    """A set as Arrow files, in order of arrival, for the engines."""
    if isinstance(data, sets.Narrow):
        tables = {"pv": data.table().rename_columns(["tag", "ts", "v"])}
    else:
        names = pa.array(data.trucks["name"].to_pylist())
        named = lambda rows: rows.set_column(0, "name", pa.DictionaryArray.from_arrays(rows["truck"].combine_chunks(), names))
        tables = {"trucks": data.trucks, **{name: named(rows.take(arrival(data, name))) for name, rows in data.rows.items()}}
    for name, table in tables.items():
        with pa.ipc.new_file(str(folder / f"{name}.arrow"), table.schema) as file:
            file.write_table(table)


def arrival(data, table: str) -> pa.Array:
    order = data.order
    return pa.array(order[order >= 0] if table == "readings" else -1 - order[order < 0])


# ---- the run ----


def missing(system: str) -> str | None:
    if system in ENGINES:
        module = {"DuckDB": "duckdb", "chdb": "chdb", "DataFusion": "datafusion", "Polars": "polars"}[system]
        import importlib.util

        return None if importlib.util.find_spec(module) else f"the Python package {module} is not installed"
    return {"Andon": servers.Andon, "InfluxDB": servers.Influx, "VictoriaMetrics": servers.Victoria}[system].missing()


def one(system: str, data, asking: Asking, work: Path, tables: Path, options) -> dict:
    """One system and one set: load, settle, ask, remove."""
    folder = Path(tempfile.mkdtemp(prefix=f"{system.lower()}-", dir=work))
    result: dict = {"system": system, "set": data.name}
    at = time.monotonic()
    try:
        if system in ENGINES:
            worker = Worker(system, folder)
            try:
                if "error" in worker.hello:
                    raise SystemError(worker.hello["error"])
                loaded = worker.ask({"do": "load", "from": str(tables)})
                if "error" in loaded:
                    raise SystemError(loaded["error"])
                result |= {"version": worker.hello["version"], "durable": worker.hello["durable"], "points": data.points, "bytes_per_point": loaded["disk"] / data.points, "disk_points": data.points}
                if worker.hello["stores"]:
                    took = loaded["took"]
                    result |= {
                        "points_per_s": data.points / loaded["seconds"],
                        "cpu_s": loaded["cpu_s"],
                        "points_per_cpu_s": data.points / loaded["cpu_s"],
                        "ack_ms": {"p50": measure.percentile(took, 0.5) * 1e3, "p99": measure.percentile(took, 0.99) * 1e3, "n": len(took)},
                    }
                asking.engine(system, worker)
                result["rss_peak_mib"] = measure.rss_peak_mib(worker.process.pid)
            finally:
                worker.close()
        else:
            server = servers.Andon(folder, options.write_path) if system == "Andon" else {"InfluxDB": servers.Influx, "VictoriaMetrics": servers.Victoria}[system](folder)
            try:
                result |= {"version": server.version(), "durable": server.durable, **load_server(server, data, options)}
                # The peak while it was loaded; what questions take comes on top.
                result["rss_peak_mib"] = measure.rss_peak_mib(server.pid)
                (asking.andon if system == "Andon" else asking.peer)(server)
                result["rss_peak_asked_mib"] = measure.rss_peak_mib(server.pid)
            finally:
                server.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    result["took_s"] = round(time.monotonic() - at, 1)
    rate = f"{result['points_per_cpu_s'] / 1e6:.2f} M points per CPU second, " if "points_per_cpu_s" in result else ""
    size = f"{result['bytes_per_point']:.2f} bytes a point, " if result.get("bytes_per_point") else ""
    say(f"  {system}: {rate}{size}{result['took_s']} s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests/bench/history.sh", description=__doc__.split("\n\n")[0])
    parser.add_argument("--quick", action="store_true", help="smaller sets: about two minutes instead of twelve")
    parser.add_argument("--sets", default="", help="letters of the sets: W wide, D deep, J jitter, R recorded, T TSBS iot, Y a year (default WDJRT, quick: WDT)")
    parser.add_argument("--year", action="store_true", help="also Y: one tag, a year at 1 s, 31.5 million points")
    parser.add_argument("--systems", default=",".join(ALL), help=f"comma-separated (default all: {','.join(ALL)})")
    parser.add_argument("--trucks", type=int, help="trucks of T (default 100; TSBS: 4000)")
    parser.add_argument("--hours", type=float, help="hours of T (default 12)")
    parser.add_argument("--connections", type=int, default=2, help="connections that load (default 2)")
    parser.add_argument("--repeat", type=int, default=9, help="times each question is asked after a first time (default 9)")
    parser.add_argument("--budget", type=float, default=4, help="seconds for one question at most, but twice at least (default 4)")
    parser.add_argument("--write-path", default="/api/ingest?precision=ms", help="where Andon takes line protocol (default %(default)s)")
    parser.add_argument("--profile", default="", help="what to call Andon's build in the table; history.sh builds it")
    parser.add_argument("--explain", action="store_true", help="also print EXPLAIN ANALYZE of each of Andon's questions")
    parser.add_argument("--work", default="", help="where the data lie meanwhile, a few gigabytes (default: the system's temporary folder)")
    parser.add_argument("--json", default="", help="write the raw figures to this file")
    parser.add_argument("--docs", default="", help="write the table into this file, between its markers")
    options = parser.parse_args()
    if options.quick:
        options.budget = min(options.budget, 1)
        options.repeat = min(options.repeat, 5)
    letters = (options.sets or ("WDT" if options.quick else "WDJRT")) + ("Y" if options.year else "")

    systems, skipped = [], {}
    for system in options.systems.split(","):
        if system not in ALL:
            raise SystemExit(f"there is no system {system!r}: {', '.join(ALL)}")
        if why := missing(system):
            skipped[system] = why
            say(f"SKIPPED {system}: {why}")
        else:
            systems.append(system)

    work = Path(tempfile.mkdtemp(prefix="andon-bench-", dir=options.work or None))
    try:
        if (free := shutil.disk_usage(work).free / 2**30) < FREE_GIB:
            raise SystemExit(f"{work} has {free:.0f} GiB free, {FREE_GIB} are needed; name another place with --work")
        began = time.monotonic()
        out = {"machine": measure.machine(work), "profile": options.profile, "quick": options.quick, "skipped": skipped, "connections": options.connections, "write_path": options.write_path, "sets": {}, "loads": [], "questions": []}
        for letter in letters:
            data = sets.make(letter, options.quick, options)
            out["sets"][letter] = {"says": data.says, "points": data.points}
            say(f"{letter}: {data.says}, {data.points / 1e6:.1f} M points")
            tables = Path(tempfile.mkdtemp(prefix="tables-", dir=work))
            if any(system in ENGINES for system in systems):
                keep_tables(data, tables)
            asking = Asking(data, options)
            for system in systems:
                if system == "Polars" and not asking.narrow:
                    continue
                if system in ("DataFusion", "Polars") and not asking.names:
                    continue  # They store nothing, and nothing is asked.
                try:
                    out["loads"].append(one(system, data, asking, work, tables, options))
                except (SystemError, AssertionError, OSError) as fault:
                    say(f"  {system} failed: {fault}")
                    out["loads"].append({"system": system, "set": letter, "failed": str(fault)[:600]})
            out["questions"] += asking.judged()
            shutil.rmtree(tables, ignore_errors=True)
        out["machine"]["load_at_end"] = [round(load, 1) for load in os.getloadavg()]
        out["took_s"] = round(time.monotonic() - began)
    finally:
        shutil.rmtree(work, ignore_errors=True)

    text = report.markdown(out)
    print(text)
    if options.json:
        Path(options.json).write_text(json.dumps(out, indent=1) + "\n")
    if options.docs:
        report.put_into(Path(options.docs), text)
    say(f"{out['took_s']} s")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
