"""History under the kill loop: written late, written over, deleted, compacted, published and backed up, all the time.

Each archivist owns a tag and is the only one who writes it, so it knows at every moment what must be there. Of the one request whose
answer died with the node it is asked at the next start whether it took effect: wholly or not at all, and from then on it is known.
Foreign readers look at the open table without pause. At the end history, table, and what the last backup gives back are compared with
what was acknowledged.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import threading
import time
import urllib.parse
from collections import Counter
from dataclasses import dataclass
from datetime import date, datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable
from harness import Node, binary, http, run, spawn, wait_until
from kill_actors import UNIT, Actor

if TYPE_CHECKING:
    from kill_loop import Judge

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS
FIRST_YEAR = 2012
# More days than this in the buffer are written to files at once.
WIDE_DAYS = 520
# A month may have readings every so often, and the tag has at most this many in all: one answer holds them.
STEP_MS = 3 * HOUR_MS
MOST_POINTS = 100_000


def month_ms(number: int) -> int:
    """When the month of this number begins; the first is January of the first year."""
    year, month = divmod(number, 12)
    return int(datetime(FIRST_YEAR + year, month + 1, 1, tzinfo=timezone.utc).timestamp() * 1000)


MONTHS = (date.today().year - FIRST_YEAR) * 12 + date.today().month - 3


@dataclass(frozen=True)
class Op:
    """A request: readings by time, or a stretch to be deleted."""

    points: dict[int, int] | None = None
    stretch: tuple[int, int] | None = None

    def applied(self, there: dict[int, int]) -> dict[int, int]:
        if self.points is not None:
            return {**there, **self.points}
        first, end = self.stretch
        return {at: value for at, value in there.items() if not first <= at < end}


class Archivist(Actor):
    """Writes into past months, over what is there, and deletes; after each death of the node it looks whether all of that is true."""

    def __init__(self, judge: "Judge", number: int):
        super().__init__(judge, f"archivist{number}")
        self.tag, self.mark_tag = f"{UNIT}/past{number}", f"{UNIT}/mark{number}"
        self.there: dict[int, int] = {}
        self.done: list[Op] = []  # What took effect, in order.
        self.pending: Op | None = None
        self.number = self.marks = 0
        self.settled_life = 0
        self.months: dict[int, int] = {}  # Months with readings, and the number of compactions when each got its first.

    # -- what it does --

    def live(self, life, web, _mqtt, token):
        if self.settled_life != life:
            self.settle(web, token)
            self.settled_life = life
        while self.pending and self.site.lives(life):
            time.sleep(0.01)  # What became of it is known in the next life.
        while self.site.lives(life):
            op = self.next()
            self.pending = op
            answer = self.send(op, web, token)
            if answer.status == 503 and b"still being worked" in answer.body:
                self.pending = None  # Certainly not: it was refused before the log.
                self.judge.count("deletes_put_off")
            elif answer.status == 503:
                return  # Perhaps.
            elif answer.status != 204:
                raise AssertionError(answer)
            else:
                self.took_effect(op)
                self.acknowledged(op, web, token)
            time.sleep(0.01)  # A pace, not a wait for something.

    def send(self, op: Op, web: str, token: str):
        if op.points is not None:
            return self.ingest(web, token, self.tag, op.points)
        first, end = op.stretch
        body = {"tag": self.tag, "from_ms": first, "to_ms": end, "reason": "judge"}
        return http(web, "POST", "/api/history/delete", body, token=token, deadline=10)

    def ingest(self, web: str, token: str, tag: str, points: dict[int, int]):
        branch, name = tag.rsplit("/", 1)
        body = "\n".join(f"{branch} {name}={value}i {at}" for at, value in points.items())
        return http(web, "POST", "/api/ingest?precision=ms", body, token=token, deadline=10)

    def took_effect(self, op: Op) -> None:
        self.there = op.applied(self.there)
        self.done.append(op)
        self.pending = None

    def acknowledged(self, op: Op, web: str, token: str) -> None:
        if op.points is not None:
            self.ledger.note("past", tag=self.tag, op=len(self.done), points=len(op.points))
            self.judge.count("past_samples", len(op.points))
            return
        self.ledger.note("delete", tag=self.tag, op=len(self.done), stretch=op.stretch)
        self.judge.count("deletes")
        if back := self.read(web, token, *op.stretch):
            self.judge.broken("delete_undone", f"{self.tag}: {len(back)} points of {op.stretch} right after its acknowledgement")

    def next(self) -> Op:
        self.number += 1
        roll = self.random.random()
        ready = [month for month, since in self.months.items() if self.judge.counts["compactions"] > since + 1]
        if roll < 0.01:
            return self.write(month_ms(0) + HOUR_MS + day * DAY_MS for day in range(WIDE_DAYS))
        if not ready or roll < 0.15:
            # A single day of a new month makes a file of that month; when others follow after a flush, that is written anew.
            month = len(self.months) if len(self.months) < MONTHS else self.random.randrange(MONTHS)
            self.months.setdefault(month, self.judge.counts["compactions"])
            day = month_ms(month) + self.random.randrange(28) * DAY_MS
            return self.write(day + self.random.randrange(8) * STEP_MS for _ in range(5))
        month = self.random.choice(ready)
        slot = lambda: month_ms(month) + self.random.randrange(28 * 8) * STEP_MS
        if roll < 0.75:
            return self.write(slot() for _ in range(self.random.randrange(1, 30)))
        if roll < 0.97:
            first = slot()
            return Op(stretch=(first, first + self.random.randrange(HOUR_MS, 6 * DAY_MS)))
        return Op(stretch=(month_ms(month), month_ms(month + self.random.choice((1, 1, 2, 14)))))

    def write(self, times) -> Op:
        return Op(points={at: self.number * 1_000 + n for n, at in enumerate(times)})

    # -- what must be there --

    def read(self, web: str, token: str, first: int = month_ms(0), end: int = month_ms(MONTHS + 24), tag: str | None = None) -> dict[int, int]:
        query = urllib.parse.urlencode({"tag": tag or self.tag, "from_ms": first, "to_ms": end, "max_points": MOST_POINTS})
        answer = http(web, "GET", f"/api/history?{query}", token=token, deadline=20)
        if answer.status != 200 or answer.json["thinned"]:
            raise AssertionError(answer)
        points = answer.json["points"]
        seen = {at: value for at, value, _ in points}
        if len(seen) != len(points):
            self.judge.broken("past_doubled", f"{tag or self.tag}: {len(points) - len(seen)} points twice in one answer")
        return seen

    def settle(self, web: str, token: str) -> None:
        """After a start: compares history with what must be there, and learns what became of the request without an answer."""
        self.marks += 1
        at = self.judge.epoch_ms + self.marks
        if self.ingest(web, token, self.mark_tag, {at: self.marks}).status != 204:
            raise OSError("the node stops already")
        # What was durable before the mark is history before it is.
        until = time.monotonic() + 20
        while not self.read(web, token, at, at + 1, self.mark_tag):
            assert time.monotonic() < until, "history does not follow"
            time.sleep(0.01)
        seen, pending = self.read(web, token), self.pending
        self.judge.count("lives_compared")
        if pending and seen == pending.applied(self.there) != self.there:
            self.took_effect(pending)
            self.judge.count("unanswered_took_effect")
        elif seen != self.there:
            self.blame(seen)
            self.there = seen  # So that one fault is told once.
        elif pending:
            self.judge.count("unanswered_without_effect")
        self.pending = None

    def blame(self, seen: dict[int, int]) -> None:
        after = self.pending.applied(self.there) if self.pending else self.there
        possible = lambda at: (self.there.get(at), after.get(at))
        strange = [at for at in seen.keys() | self.there.keys() if seen.get(at) not in possible(at)]
        if not strange:
            self.judge.broken("past_half", f"{self.tag}: {str(self.pending)[:200]} took effect in parts")
        back = [at for at in strange if at in seen]
        lost = [at for at in strange if at not in seen]
        if back:
            self.judge.broken("delete_undone", f"{self.tag}: {len(back)} points came back or are older ones, as {seen[back[0]]} at {back[0]}")
        if lost:
            self.judge.broken("past_lost", f"{self.tag}: {len(lost)} points, as {self.there.get(lost[0])} at {lost[0]}")


class Compactor(Actor):
    """Has the files of history compacted again and again."""

    def __init__(self, judge: "Judge", name: str):
        super().__init__(judge, name)
        self.began = threading.Event()
        self.took_s = 0.1

    def live(self, life, web, _mqtt, token):
        while self.site.lives(life):
            self.began.set()
            at = time.monotonic()
            answer = http(web, "POST", "/api/history/compact", "", token=token, deadline=60)
            if answer.status == 200:
                self.took_s = time.monotonic() - at
                self.ledger.note("compact")
                self.judge.count("compactions")
            elif answer.status not in (409, 503):
                raise AssertionError(answer)
            pause = time.monotonic() + self.random.uniform(0, 0.3)
            while self.site.lives(life) and time.monotonic() < pause:
                time.sleep(0.01)


class Onlooker(Actor):
    """Reads the open table as strangers do, also while the node is dead."""

    def __init__(self, judge: "Judge", name: str):
        super().__init__(judge, name)
        self.path = judge.node.data_dir / "history/parquet"
        self.version = self.txn = -1
        self.of_folder: dict[str, set[str]] = {}

    def run(self) -> None:
        try:
            while not self.site.over.is_set():
                if (self.path / "_delta_log").exists():
                    self.look()
                self.site.over.wait(0.2)
        except Exception as error:
            self.judge.broken("table_unreadable", repr(error)[:500])

    def look(self) -> list[tuple[int, int, int]]:
        """Rows of tag, ms and number; what is not true of them is told."""
        table = DeltaTable(str(self.path))
        version, txn = table.version(), table.transaction_version("andon-historian")
        if version < self.version or txn < self.txn:
            self.judge.broken("table_txn", f"from version {self.version}, txn {self.txn} back to {version}, {txn}")
        self.version, self.txn = version, txn
        files = [urllib.parse.unquote(uri.removeprefix("file://")) for uri in table.file_uris()]
        self.judge.count("table_looks")
        if not files:
            return []
        with duckdb.connect(config={"threads": 1}) as reader:
            rows = reader.execute("select tag, ts_ms, ts_us, v_int, quality, v_double from read_parquet(?)", [files]).fetchall()
        doubled = [key for key, times in Counter(row[:3] for row in rows).items() if times > 1]
        if doubled:
            self.judge.broken("table_doubled", f"version {version}: {len(doubled)} keys more than once, as {doubled[0]}")
        self.note_rewrites(files)
        return [(tag, ms, number) for tag, ms, _, number, _, _ in rows]

    def note_rewrites(self, files: list[str]) -> None:
        now: dict[str, set[str]] = {}
        for file in files:
            now.setdefault(Path(file).parent.name, set()).add(file)
        # Days of the past share a month's file from the beginning; what comes later, or is deleted, is worked into a new one.
        for folder, new in now.items():
            old = self.of_folder.get(folder, set())
            if len(folder) == 7 and old - new and new - old:
                self.judge.count("months_rewritten")
        self.of_folder = now


@dataclass
class Made:
    """A backup that is whole: what was acknowledged before it began, and at most until its end."""

    name: str
    ledger_bytes: int
    begin: list[int]
    end: list[int]


class Keeper(Actor):
    """Makes backups of the node, alive or just dead, and verifies each that is whole."""

    def __init__(self, judge: "Judge", name: str):
        super().__init__(judge, name)
        self.repository = judge.folder / "backups"
        self.last: Made | None = None
        self.process: subprocess.Popen | None = None

    def live(self, life, _web, _mqtt, _token):
        node, archivists = self.judge.node, self.judge.history.archivists
        begin, ledger_bytes = [len(a.done) for a in archivists], self.ledger.path.stat().st_size
        code, out = self.tool("backup", "--config", node.config, self.repository)
        end = [len(a.done) + 1 for a in archivists]  # One more may be under way.
        whole = code == 0 or "the backup is whole" in out
        self.judge.count("backups" if code == 0 else "backups_not_recorded" if whole else "backups_cut_off")
        if not whole:
            return
        if code == 0:
            self.ledger.note("backup")
        self.last = Made(re.search(r"^backup: (\S+)$", out, re.M).group(1), ledger_bytes, begin, end)
        code, out = self.tool("backup", "verify", self.repository)
        if code != 0:
            self.judge.broken("backup_unverified", f"{self.last.name}: {out[-800:]}")
        pause = time.monotonic() + self.random.uniform(0, 1.0)
        while self.site.lives(life) and time.monotonic() < pause:
            time.sleep(0.01)

    def tool(self, *words) -> tuple[int, str]:
        self.process = spawn([binary(), *words], thread=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        out, _ = self.process.communicate(timeout=120)
        return self.process.returncode, out


class HistoryJudge:
    """The actors of history, and what is asked of it at the end."""

    def __init__(self, judge: "Judge"):
        self.judge = judge
        self.archivists = [Archivist(judge, number) for number in range(2)]
        self.compactor, self.onlooker, self.keeper = Compactor(judge, "compactor"), Onlooker(judge, "onlooker"), Keeper(judge, "keeper")
        self.actors = [*self.archivists, self.compactor, self.onlooker, self.keeper]
        self.folder = judge.node.data_dir / "history"

    def tags(self) -> str:
        paths = [path for archivist in self.archivists for path in (archivist.tag, archivist.mark_tag)]
        return "".join(f'[[tag]]\npath = "{path}"\ntitle = "{path[-5:]}"\ntype = "int64"\n\n' for path in paths)

    # -- moments to die --

    def wait_for(self, how: str) -> None:
        until = time.monotonic() + 2
        if how == "compact":
            self.compactor.began.clear()
            if self.compactor.began.wait(2):
                time.sleep(self.judge.random.uniform(0, self.compactor.took_s))
            return
        while time.monotonic() < until:
            if self.half_written():
                self.judge.count("kills_at_half_a_file")
                return

    def half_written(self) -> list[Path]:
        return [path for path in (Path(at) / name for at, _, names in os.walk(self.folder) for name in names) if path.suffix == ".tmp"]

    def wait_for_backup(self) -> bool:
        """Whether one is under way; then until it has ended."""
        process = self.keeper.process
        if process is None or process.poll() is not None:
            return False
        wait_until("the backup ends", lambda: process.poll() is not None, 60)
        return True

    # -- judgement --

    def check(self) -> None:
        node = self.judge.node
        for archivist in self.archivists:
            archivist.settle(node.http, node.token)
        compacted = node.post("/api/history/compact", None, deadline=120)
        if compacted.status != 200:
            self.judge.broken("judge", f"nothing can be compacted: {compacted}")
        for archivist in self.archivists:
            archivist.settle(node.http, node.token)
        node.post("/api/history/compact", None, deadline=120)
        self.check_table(node)
        self.check_left_over(node)
        self.judge.count("months_written", len(set().union(*(a.months for a in self.archivists))))

    def check_table(self, node: Node) -> None:
        answer = node.post("/api/sql", {"query": "select path, number from tags", "format": "json"}).json
        numbers = dict(answer["rows"])
        rows: dict[int, dict[int, int]] = {}
        for tag, ms, value in self.onlooker.look():
            rows.setdefault(tag, {})[ms] = value
        wanted = {a.tag: a.there for a in self.archivists}
        for tag, there in wanted.items():
            self.compare(f"the open table, {tag}", there, rows.get(numbers[tag], {}), "table_lost", "table_delete_undone")
        for kind, tag, points in self.acknowledged():
            table = rows.get(numbers[f"{UNIT}/{tag}"], {})
            for at in [at for at, value in points.items() if table.get(at) != value]:
                self.judge.broken("table_lost", f"{kind} {points[at]} at {at}")
        manifest = json.loads((self.folder / "manifest").read_text().split("\n", 1)[1])
        if self.onlooker.txn != manifest["number"]:
            self.judge.broken("table_txn", f"the table's txn is {self.onlooker.txn}, the manifest's number {manifest['number']}")
        self.judge.count("table_rows", sum(map(len, rows.values())))

    def compare(self, where: str, wanted: dict[int, int], seen: dict[int, int], lost: str, undone: str) -> None:
        missing = [at for at in wanted if at not in seen]
        strange = [at for at in seen if seen[at] != wanted.get(at)]
        if missing:
            self.judge.broken(lost, f"{where}: {len(missing)} points, as {wanted[missing[0]]} at {missing[0]}")
        if strange:
            self.judge.broken(undone, f"{where}: {len(strange)} points, as {seen[strange[0]]} at {strange[0]}")

    def acknowledged(self, ledger_bytes: int | None = None) -> list[tuple[str, str, dict[int, int]]]:
        """Kind, tag and points of the present that were acknowledged, as far as the ledger went then."""
        with self.judge.ledger.path.open("rb") as file:
            entries = [json.loads(line) for line in file.read(-1 if ledger_bytes is None else ledger_bytes).splitlines()]
        ingested = {self.judge.epoch_ms + n: n for entry in entries if entry["kind"] == "ingest" for n in entry["points"]}
        metered = {entry["at"]: entry["value"] for entry in entries if entry["kind"] == "meter"}
        return [("ingest", "count", ingested), ("meter", "meter", metered)]

    def check_left_over(self, node: Node) -> None:
        """Half a file, a file nobody names, a folder that is held: within a quiet minute there is none."""

        def left_over() -> list[str]:
            parquet = self.folder / "parquet"
            listed = {urllib.parse.unquote(uri.removeprefix("file://")) for uri in DeltaTable(str(parquet)).file_uris()}
            kept = {str(parquet / path) for path in json.loads((self.folder / "manifest").read_text().split("\n", 1)[1])["removed"]}
            found = [path for path in node.data_dir.rglob("*") if path.name.endswith((".tmp", "~new"))]
            for path in parquet.glob("*/*"):
                if path.suffix == ".parquet" and str(path) not in listed | kept and path.parent.name != "_delta_log":
                    found.append(path)
                if path.suffix == ".rollup" and str(path.with_suffix(".parquet")) not in listed:
                    found.append(path)
            found += [path for path in parquet.iterdir() if path.is_dir() and not any(path.iterdir())]
            found += (node.data_dir / "backup-hold").glob("*")
            return [str(path.relative_to(node.data_dir)) for path in found]

        try:
            wait_until("nothing is left over", lambda: not left_over(), 60)
        except AssertionError:
            for path in left_over():
                self.judge.broken("left_over", path)

    def check_restored(self) -> None:
        """What the last backup gives back is history as it was at one moment between its begin and its end. The node is stopped."""
        made = self.keeper.last
        if made is None:
            return
        verified = run([binary(), "backup", "verify", self.keeper.repository], deadline=120)
        if verified.returncode != 0:
            self.judge.broken("backup_unverified", f"at the end: {verified.stdout[-800:]}")
        folder = self.judge.folder / "restored"
        folder.mkdir()
        restored = run([binary(), "restore", self.keeper.repository, "--into", folder / "data"], deadline=120)
        if restored.returncode != 0:
            self.judge.broken("restore_lost", f"{made.name}: {restored.stdout}{restored.stderr}")
            return
        node = Node(folder=folder).start(deadline=60)
        for number, archivist in enumerate(self.archivists):
            archivist.ingest(node.http, node.token, archivist.mark_tag, {1: 1})
            wait_until("history follows", lambda: archivist.read(node.http, node.token, 1, 2, archivist.mark_tag), 20)
            seen = archivist.read(node.http, node.token)
            if not self.was_so(archivist, seen, made.begin[number], made.end[number]):
                self.judge.broken("restore_lost", f"{made.name}: {archivist.tag} is not what it was at any moment of the backup")
        for kind, tag, points in self.acknowledged(made.ledger_bytes):
            self.judge.check_points(node, "restore_lost", f"{made.name}: {kind}", tag, points)
            self.judge.count("restored_points", len(points))
        node.stop()

    @staticmethod
    def was_so(archivist: Archivist, seen: dict[int, int], begin: int, end: int) -> bool:
        there: dict[int, int] = {}
        for number, op in enumerate(archivist.done, 1):
            if begin <= number - 1 <= end and seen == there:
                return True
            there = op.applied(there)
        return len(archivist.done) <= end and seen == there
