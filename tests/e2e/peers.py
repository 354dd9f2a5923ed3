"""Foreign clients of JavaScript, each in a process of its own, driven by lines of JSON (`peers/driver.mjs`)."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
import unittest
from pathlib import Path

from harness import HERE, spawn, wait_until

PEERS = Path(os.environ.get("ANDON_PEERS", Path.home() / ".cache/andon/peers"))


#: For the test cases that need them.
needed = unittest.skipUnless((PEERS / "node_modules").is_dir(), f"no clients of npm in {PEERS}: scripts/setup.sh test")


class Refused(Exception):
    """The client says that it failed; `code` is the reason code that it gives."""

    def __init__(self, error: dict):
        super().__init__(error["message"])
        self.code = error["code"]


class Peer:
    """A client that does what it is told and writes down what happens to it."""

    def __init__(self, case, script: str):
        environment = {**os.environ, "ANDON_PEERS": str(PEERS)}
        self.events: list[dict] = []
        self._answers: dict[int, dict] = {}
        self._asked = 0
        self._process = spawn(
            ["node", HERE / "peers" / script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )
        case.addCleanup(self._close)
        threading.Thread(target=self._listen, daemon=True).start()

    def _close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdin.close()

    def _listen(self) -> None:
        with self._process.stdout as lines:
            for line in lines:
                said = json.loads(line)
                if "id" in said:
                    self._answers[said["id"]] = said
                else:
                    self.events.append(said)

    def begin(self, do: str, **arguments) -> int:
        """Tells it to do something and does not wait; `end` does."""
        self._asked += 1
        self._process.stdin.write(json.dumps({"id": self._asked, "do": do, **arguments}) + "\n")
        self._process.stdin.flush()
        return self._asked

    def end(self, number: int, deadline: float = 20):
        """The outcome of what was begun. Raises `Refused` when the client calls it a failure."""
        wait_until(f"the client answers; it saw {self.events[-3:]}", lambda: number in self._answers, deadline)
        answer = self._answers.pop(number)
        if "error" in answer:
            raise Refused(answer["error"])
        return answer["ok"]

    def call(self, do: str, **arguments):
        return self.end(self.begin(do, **arguments))

    def all(self, event: str) -> list[dict]:
        return [one for one in self.events if one["event"] == event]

    def wait(self, event: str, count: int = 1, deadline: float = 20) -> list[dict]:
        """Waits until that has happened so often; then all of them."""
        return wait_until(f"{count} × {event}", lambda: len(found := self.all(event)) >= count and found, deadline)

    def payloads(self, count: int) -> list[str]:
        return [message["payload"] for message in self.wait("message", count)]


def encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


def decoded(text: str) -> bytes:
    return base64.b64decode(text)
