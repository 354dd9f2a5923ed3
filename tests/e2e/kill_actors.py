"""What every actor of the kill loop needs: the judge's ledger, where the node is now, and a life after each of its deaths."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

from harness import Node

if TYPE_CHECKING:
    from kill_loop import Judge

UNIT = "works/cell"


class Ledger:
    """What was acknowledged, on disk before anything else happens."""

    def __init__(self, path: Path):
        self.path = path
        self._file = path.open("ab", buffering=0)
        self._lock = threading.Lock()
        self._trap: tuple[str, int] | None = None

    def set_trap(self, kind: str, process: int) -> None:
        """The next acknowledgement of this kind kills the process, before anything else is done with it."""
        with self._lock:
            self._trap = (kind, process)

    def remove_trap(self) -> None:
        with self._lock:
            self._trap = None

    def _spring_trap(self, kind: str) -> None:
        if self._trap is None:
            return
        with self._lock:  # So that it never springs after it was removed.
            if self._trap and self._trap[0] == kind:
                os.kill(self._trap[1], signal.SIGKILL)
                self._trap = None

    def note(self, kind: str, **entry) -> None:
        self._spring_trap(kind)
        line = json.dumps({"kind": kind, **entry}).encode() + b"\n"
        with self._lock:
            self._file.write(line)
            os.fsync(self._file.fileno())

    def read(self, kind: str) -> list[dict]:
        with self.path.open() as lines:
            return [entry for entry in map(json.loads, lines) if entry["kind"] == kind]


class Site:
    """Where the node is now, for the actors."""

    def __init__(self):
        self._change = threading.Condition()
        self._now: tuple[int, str, tuple[str, int], str] | None = None
        self._life = 0
        self.over = threading.Event()

    def up(self, node: Node) -> None:
        with self._change:
            self._life += 1
            self._now = (self._life, node.http, node.mqtt, node.token)
            self._change.notify_all()

    def down(self) -> None:
        with self._change:
            self._now = None

    def wait(self) -> tuple[int, str, tuple[str, int], str] | None:
        """Life, HTTP, MQTT and token of the running node; None when the loop is over."""
        with self._change:
            self._change.wait_for(lambda: self._now or self.over.is_set(), 1)
            return self._now

    def lives(self, life: int) -> bool:
        now = self._now
        return now is not None and now[0] == life and not self.over.is_set()


class Actor(threading.Thread):
    """Does its work in every life of the node. An OSError is a node that died: the work goes on in the next life."""

    def __init__(self, judge: "Judge", name: str):
        super().__init__(name=name, daemon=True)
        self.judge, self.site, self.ledger = judge, judge.site, judge.ledger
        self.random = random.Random(f"{judge.seed}/{name}")

    def run(self) -> None:
        try:
            while not self.site.over.is_set():
                now = self.site.wait()
                if now is None:
                    continue
                try:
                    self.live(*now)
                except OSError:
                    pass
                time.sleep(0.005)  # A pause between two tries, not a wait for something.
        except Exception as error:  # An actor must not end unnoticed: its promises would be judged on nothing.
            self.judge.broken("judge", f"the actor {self.name} failed: {error!r}")
            raise

    def live(self, life: int, web: str, mqtt: tuple[str, int], token: str) -> None:
        raise NotImplementedError
