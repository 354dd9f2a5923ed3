"""How fast a large store is backed up, and what a backup does to those who send readings meanwhile.

`tests/bench/backup.py [million points]` starts the node in a temporary folder, sends it random walks of a thousand tags, a reading a second each, and
has them compacted. Then readings go on at a steady pace, 20 requests of 1,000 a second, first alone, then while one backup after the
other is made into a new folder. A wait is counted from the appointed time of a request to its 204. Prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "e2e"))

from harness import Node, binary, http, now_ms, spawn, wait_until  # noqa: E402

MACHINES, FIELDS = 50, 20
TAGS = MACHINES * FIELDS
SECONDS_A_REQUEST = 20
PACE_S, MEASURED_S = 0.05, 20.0


def plant() -> str:
    units = (f'[[equipment]]\npath = "works/m{m}"\nlevel = "work_unit"\ntitle = "M{m}"\n' for m in range(MACHINES))
    tags = (f'[[tag]]\npath = "works/m{m}/f{f}"\ntitle = "F{f}"\ntype = "double"\n' for m in range(MACHINES) for f in range(FIELDS))
    return '[[equipment]]\npath = "works"\nlevel = "site"\ntitle = "Works"\n' + "".join(units) + "".join(tags)


class Walks:
    """Random walks of two decimals."""

    def __init__(self):
        self.chance, self.values = random.Random(7), [2_000] * TAGS

    def lines(self, at_ms: int, seconds: int) -> str:
        out = []
        for second in range(seconds):
            self.values = [value + step for value, step in zip(self.values, self.chance.choices(range(-9, 10), k=TAGS))]
            for m in range(MACHINES):
                fields = ",".join(f"f{f}={self.values[m * FIELDS + f] / 100}" for f in range(FIELDS))
                out.append(f"works/m{m} {fields} {at_ms + second * 1_000}")
        return "\n".join(out)


def load(node: Node, walks: Walks, points: int) -> int:
    """Sends the points; returns the time of the first behind them."""
    at = now_ms() - points // TAGS * 1_000 - 3_600_000
    for _ in range(points // TAGS // SECONDS_A_REQUEST):
        answer = node.post("/api/ingest?precision=ms", walks.lines(at, SECONDS_A_REQUEST), deadline=60)
        assert answer.status == 204, answer
        at += SECONDS_A_REQUEST * 1_000
    answer = node.post("/api/history/compact", None, deadline=600)
    assert answer.status == 200 and answer.json["points"] >= points, answer
    return at


def waits_ms(node: Node, walks: Walks, at: int, over: threading.Event) -> tuple[list[float], int]:
    """Sends at the pace until it is over."""
    bodies = [walks.lines(at + n * 1_000, 1) for n in range(int(MEASURED_S / PACE_S) + 1)]
    waits, appointed = [], time.monotonic()
    for body in bodies:
        time.sleep(max(0.0, appointed - time.monotonic()))
        answer = http(node.http, "POST", "/api/ingest?precision=ms", body, token=node.token)
        assert answer.status == 204, answer
        waits.append((time.monotonic() - appointed) * 1_000)
        appointed += PACE_S
    over.set()
    return sorted(waits), at + len(bodies) * 1_000


def figures(waits: list[float]) -> dict:
    at = lambda share: round(waits[min(len(waits) - 1, int(len(waits) * share))], 1)
    return {"p50_ms": at(0.5), "p99_ms": at(0.99), "max_ms": at(1)}


def back_up(node: Node, over: threading.Event, into: Path, made: list[dict]) -> None:
    while not over.is_set():
        began = time.monotonic()
        command = [binary(), "backup", "--config", node.config, into]
        process = spawn(command, thread=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        out, _ = process.communicate()
        took = time.monotonic() - began
        assert process.returncode == 0, out
        size = int(re.search(r"of which \d+ with (\d+) bytes", out).group(1))
        made.append({"s": round(took, 2), "mb": round(size / 1e6, 1), "mb_per_s": round(size / 1e6 / took, 1)})
        shutil.rmtree(into)


def main() -> None:
    points = int(float(sys.argv[1] if len(sys.argv) > 1 else 10) * 1_000_000)
    node = Node().start()
    try:
        node.apply(plant())
        walks, made, over = Walks(), [], threading.Event()
        began = time.monotonic()
        at = load(node, walks, points)
        loaded_s = time.monotonic() - began
        alone, at = waits_ms(node, walks, at, threading.Event())
        backups = threading.Thread(target=back_up, args=[node, over, node.folder / "backups", made])
        backups.start()
        wait_until("the first backup", lambda: made, 120)
        beside, _ = waits_ms(node, walks, at, over)
        backups.join()
        storage = node.get("/api/storage").json
        print(json.dumps({"points": storage["points"], "loaded_s": round(loaded_s), "history_mb": round((storage["file_bytes"] + storage["rollup_bytes"]) / 1e6, 1),
            "alone": figures(alone), "beside": figures(beside), "load": os.getloadavg()[0], "backups": made}))
    finally:
        node.close()


if __name__ == "__main__":
    main()
