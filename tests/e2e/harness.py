"""What every end-to-end test needs: the real binary in a temporary folder, HTTP, a Modbus device, waiting for conditions.

Nothing here waits for a while: `wait_until` asks again until something is true or its deadline has passed, and then says what it saw.
Every process is started through `spawn`, which sees to it that it ends with us, however we end. Everything listens on loopback.
"""

from __future__ import annotations

import asyncio
import atexit
import ctypes
import json
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
LONG = os.environ.get("ANDON_LONG") == "1"
PASSWORD = "correct horse battery staple"

# ---- processes ----

_children: list[subprocess.Popen] = []
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def spawn(command: list, *, thread: bool = False, **options) -> subprocess.Popen:
    """Starts a process that is killed when this one ends. The system watches the thread that starts it, so that is the main one, or
    (`thread`) one that waits for the process before it ends."""
    assert thread or threading.current_thread() is threading.main_thread(), "spawn from the main thread"
    process = subprocess.Popen([str(part) for part in command], preexec_fn=_die_with_parent, **options)
    _children.append(process)
    return process


@atexit.register
def _kill_children() -> None:
    for process in _children:
        if process.poll() is None:
            process.kill()
            process.wait()


def _stop_on_signal(number, _frame) -> None:
    sys.exit(128 + number)  # Runs the exit handlers.


for _number in (signal.SIGTERM, signal.SIGHUP):
    signal.signal(_number, _stop_on_signal)


def run(command: list, *, deadline: float = 30, **options) -> subprocess.CompletedProcess:
    """Runs a command to its end; text in and out."""
    process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
    try:
        out, err = process.communicate(timeout=deadline)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{command[0]} did not end within {deadline} s\n{out}\n{err}") from None
    return subprocess.CompletedProcess(command, process.returncode, out, err)


def binary() -> Path:
    target = Path(os.environ.get("CARGO_TARGET_DIR", Path.home() / ".cache/andon/target"))
    path = Path(os.environ.get("ANDON_BIN", target / "debug/andon"))
    assert path.exists(), f"{path} is missing: cargo build --workspace --bin andon, or set ANDON_BIN"
    return path


def example(name: str) -> Path:
    return binary().parent / "examples" / name


# ---- waiting ----


def wait_until(what: str, ask, deadline: float = 10):
    """Asks until the answer is true, and returns it. What went wrong the last time is part of the failure."""
    end = time.monotonic() + deadline
    seen = None
    while True:
        try:
            seen = ask()
            if seen:
                return seen
        except (AssertionError, OSError, KeyError, IndexError, TypeError, ValueError) as error:
            seen = error
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline} s: {what}; last seen: {seen!r}")
        time.sleep(0.01)


# ---- HTTP ----


class Answer:
    """What an HTTP request was answered."""

    def __init__(self, status: int, headers, body: bytes):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self):
        return json.loads(self.body)

    def __repr__(self) -> str:
        return f"<{self.status} {self.body[:400]!r}>"


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), _NoRedirect())


def http(base: str, method: str, path: str, body=None, *, token=None, cookie=None, headers=None, deadline: float = 20) -> Answer:
    """One request. A body that is not text or bytes is sent as JSON, a header that is None not at all. Raises OSError when nobody answers."""
    sent = {name: value for name, value in {"x-andon": "1", **(headers or {})}.items() if value is not None}
    if token:
        sent["authorization"] = f"Bearer {token}"
    if cookie:
        sent["cookie"] = cookie
    data = body.encode() if isinstance(body, str) else body
    if body is not None and not isinstance(body, (str, bytes)):
        data = json.dumps(body).encode()
        sent.setdefault("content-type", "application/json")
    request = urllib.request.Request(f"http://{base}{path}", data=data, method=method, headers=sent)
    try:
        with _opener.open(request, timeout=deadline) as response:
            return Answer(response.status, response.headers, response.read())
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read())
    except (urllib.error.URLError, ConnectionError, TimeoutError) as error:
        raise OSError(f"{method} {path}: {error}") from error
    except Exception as error:  # http.client raises its own family when a server dies in the middle of an answer.
        if type(error).__module__ == "http.client":
            raise OSError(f"{method} {path}: {error!r}") from error
        raise


# Two lines with three machines, for tests of orders.
PRESS, OVEN, MILL = "works/line1/press", "works/line1/oven", "works/line2/mill"
TWO_LINES = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "works/line1", level = "work_center" }},
  {{ path = "{PRESS}", level = "work_unit" }},
  {{ path = "{OVEN}", level = "work_unit" }},
  {{ path = "works/line2", level = "work_center" }},
  {{ path = "{MILL}", level = "work_unit" }},
]
"""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


# ---- the node ----


class Node:
    """The binary, serving in a folder of its own."""

    def __init__(self, *, folder: Path | None = None, data_dir: Path | None = None, anonymous: bool = True, access: str = "login", extra: str = ""):
        self.folder = Path(folder or tempfile.mkdtemp(prefix="andon-e2e-"))
        self.data_dir = Path(data_dir or self.folder / "data")
        self.config = self.folder / "andon.toml"
        self.log_path = self.folder / "node.log"
        self.process: subprocess.Popen | None = None
        self.ready_s = 0.0
        self.addresses: dict[str, str] = {}
        self.config.write_text(
            f'data_dir = "{self.data_dir}"\n'
            '[http]\nlisten = "127.0.0.1:0"\n'
            f'[mqtt]\nlisten = "127.0.0.1:0"\nallow_anonymous = {"true" if anonymous else "false"}\n'
            + ("" if "[sql]" in extra else '[sql]\nlisten = "127.0.0.1:0"\n')
            + f'[access]\nmode = "{access}"\n{extra}'
        )

    # -- life --

    def start(self, *, ready: bool = True, deadline: float = 30) -> "Node":
        assert self.process is None or self.process.poll() is not None, "the node runs already"
        announced = self.data_dir / "addresses.json"
        announced.unlink(missing_ok=True)
        began = time.monotonic()
        self.launch()

        def listening():
            self._must_run()
            return announced.exists() and json.loads(announced.read_text())

        self.addresses = wait_until("the node listens", listening, deadline)
        if ready:
            wait_until("the node is ready", lambda: self._must_run() and self.get("/readyz").status == 200, deadline)
            self.ready_s = time.monotonic() - began
        return self

    def launch(self) -> None:
        """Starts the process and waits for nothing."""
        with self.log_path.open("ab") as log:
            self.process = spawn([binary(), "serve", "--config", self.config], stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def _must_run(self) -> bool:
        code = self.process.poll()
        if code is not None:
            raise SystemError(f"the node ended with code {code}:\n{self.log_tail()}")
        return True

    def stop(self, deadline: float = 20) -> None:
        """SIGTERM; the end must be clean."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=deadline)
        assert code == 0, f"a clean stop ends with 0, not {code}:\n{self.log_tail()}"

    def kill(self) -> None:
        """SIGKILL: what a power cut is to a process."""
        self.process.kill()
        self.process.wait()

    def restart(self) -> "Node":
        self.stop()
        return self.start()

    def close(self) -> None:
        if self.process and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log_text(self) -> str:
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def setup_code(self) -> str:
        printed = lambda: re.search(r"set-up code: ([0-9A-Z]{4}(?:-[0-9A-Z]{4}){3})\b", self.log_text())
        return wait_until("a set-up code is printed", printed).group(1)

    def log_tail(self, lines: int = 40) -> str:
        return "\n".join(self.log_text().splitlines()[-lines:])

    # -- faces --

    @property
    def http(self) -> str:
        return self.addresses["http"]

    @property
    def mqtt(self) -> tuple[str, int]:
        host, port = self.addresses["mqtt"].rsplit(":", 1)
        return host, int(port)

    @property
    def sql(self) -> tuple[str, int]:
        host, port = self.addresses["sql"].rsplit(":", 1)
        return host, int(port)

    @property
    def token(self) -> str:
        """The administrator's token of the local command line."""
        return (self.data_dir / "cli.token").read_text().strip()

    def request(self, method: str, path: str, body=None, *, token="cli", **options) -> Answer:
        return http(self.http, method, path, body, token=self.token if token == "cli" else token, **options)

    def get(self, path: str, **options) -> Answer:
        return self.request("GET", path, **options)

    def post(self, path: str, body, **options) -> Answer:
        return self.request("POST", path, body, **options)

    def cli(self, *arguments, stdin: str | None = None, deadline: float = 30) -> subprocess.CompletedProcess:
        """`andon COMMAND… --config FILE` beside the running node. Two words of a command come as one: "audit verify"."""
        words = str(arguments[0]).split()
        return run([binary(), *words, "--config", self.config, *arguments[1:]], deadline=deadline)

    # -- the plant --

    def plant_version(self) -> int:
        return self.get("/api/plant").json["version"]

    def apply(self, text: str, reason: str = "test", prune: bool = False) -> int:
        """Applies a document by HTTP; returns the new version."""
        body = {"documents": [{"name": "test.toml", "text": text}], "expected_version": self.plant_version(), "reason": reason, "prune": prune}
        answer = self.post("/api/plant/apply", body)
        assert answer.status == 200, answer
        return answer.json["version"]

    def live(self, tag: str):
        """[path, value, quality, source_ms, received_ms], or None."""
        values = self.get("/api/values?" + urllib.parse.urlencode({"tag": tag})).json["values"]
        return values[0] if values else None

    def value(self, tag: str):
        live = self.live(tag)
        return live and live[1]

    def history(self, tag: str, from_ms: int, to_ms: int, max_points: int = 100_000) -> dict:
        query = urllib.parse.urlencode({"tag": tag, "from_ms": from_ms, "to_ms": to_ms, "max_points": max_points})
        answer = self.get(f"/api/history?{query}")
        assert answer.status == 200, answer
        return answer.json

    def timeline(self, **query) -> list[dict]:
        """All events, newest first."""
        events, before = [], None
        while True:
            page = {**query, "limit": 1000, **({"before": before} if before is not None else {})}
            answer = self.get("/api/timeline?" + urllib.parse.urlencode(page))
            assert answer.status == 200, answer
            events += answer.json["events"]
            before = answer.json["next"]
            if before is None:
                return events

    def alarm(self, name: str):
        return next((a for a in self.get("/api/alarms").json["alarms"] if a["name"] == name), None)

    def connector(self, name: str) -> dict:
        return next(c for c in self.get("/api/connectors").json["connectors"] if c["name"] == name)

    def mqtt_client(self, client_id: str) -> dict:
        return next((c for c in self.get("/api/connectors").json["mqtt"]["clients"] if c["client_id"] == client_id), {})

    def wait_subscribed(self, client_id: str, count: int = 1) -> None:
        wait_until(
            f"{client_id} has {count} subscription(s)",
            lambda: (c := self.mqtt_client(client_id)) and c["connected"] and c["subscriptions"] >= count,
        )

    def make_user(self, name: str, role: str, branch: str = "") -> str:
        """A person who has logged in; returns the cookie."""
        answer = self.post("/api/users", {"name": name, "password": PASSWORD, "grants": [{"role": role, "branch": branch}]})
        assert answer.status == 201, answer
        return self.log_in(name)

    def log_in(self, name: str, password: str = PASSWORD) -> str:
        answer = self.post("/api/login", {"name": name, "password": password}, token=None)
        assert answer.status == 204, answer
        return answer.headers["set-cookie"].split(";")[0]


# ---- a Modbus device ----


class ModbusDevice:
    """A pymodbus server whose registers are plain lists here, and which writes down every write."""

    SIZE = 128

    def __init__(self):
        self.holding = [0] * self.SIZE
        self.input = [0] * self.SIZE
        self.coils = [False] * self.SIZE
        self.discrete = [False] * self.SIZE
        self.writes: list[tuple[int, int, list]] = []  # function, address, values
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._server = None
        threading.Thread(target=self._loop.run_forever, daemon=True).start()

    def start(self) -> "ModbusDevice":
        self._call(self._start())
        return self

    def stop(self) -> None:
        """Closes the listener and every connection, as a device without power does."""
        if self._server:
            self._call(self._server.shutdown())
            self._server = None

    def close(self) -> None:
        self.stop()
        self._loop.call_soon_threadsafe(self._loop.stop)

    @property
    def endpoint(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set_words(self, address: int, words: list[int]) -> None:
        self.holding[address : address + len(words)] = words

    def _call(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(10)

    async def _start(self) -> None:
        from pymodbus.server import ModbusTcpServer
        from pymodbus.simulator import DataType, SimData, SimDevice

        logging.getLogger("pymodbus").setLevel(logging.CRITICAL)  # It shows its last packets whenever a client goes away.
        bits = lambda: [SimData(0, values=[False] * self.SIZE, datatype=DataType.BITS)]
        words = lambda: [SimData(0, values=[0] * self.SIZE, datatype=DataType.REGISTERS)]
        device = SimDevice(1, simdata=(bits(), bits(), words(), words()), action=self._on_request)
        # The port of the first start is taken again, as a device keeps its address.
        self._server = ModbusTcpServer(device, address=("127.0.0.1", self.port))
        await self._server.serve_forever(background=True)
        self.port = self._server.transport.sockets[0].getsockname()[1]

    async def _on_request(self, function, _start, address, _count, current, values):
        words = {4: self.input}.get(function, self.holding)
        bits = {2: self.discrete}.get(function, self.coils)
        if values is not None:
            self.writes.append((function, address, list(values)))
            table = bits if function in (5, 15) else words
            table[address : address + len(values)] = values
        elif function in (1, 2, 5, 15):
            current[:] = [sum(bit << n for n, bit in enumerate(bits[at : at + 16])) for at in range(0, self.SIZE, 16)]
        else:
            current[:] = words
        return None


# ---- test cases ----


class Case(unittest.TestCase):
    """A test case whose nodes are closed at its end; their logs are shown when it fails."""

    def setUp(self) -> None:
        self.nodes: list[Node] = []

    def node(self, *, start: bool = True, **options) -> Node:
        node = Node(**options)
        self.nodes.append(node)
        self.addCleanup(node.close)
        return node.start() if start else node

    def device(self) -> ModbusDevice:
        device = ModbusDevice().start()
        self.addCleanup(device.close)
        return device

    def temporary_folder(self) -> Path:
        folder = Path(tempfile.mkdtemp(prefix="andon-e2e-"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        return folder


class MesCase(Case):
    """A case about manufacturing: `here` is the node that is asked."""

    base = "/api/mes/"
    here: Node

    def ask(self, method: str, path: str, body=None, who: str | None = None):
        """`who` is somebody's cookie; if missing, the administrator asks."""
        return self.here.request(method, self.base + path, body, **({"token": None, "cookie": who} if who else {}))

    def ok(self, method: str, path: str, body=None, who: str | None = None, status: int = 200):
        answer = self.ask(method, path, body, who)
        self.assertEqual(answer.status, status, answer)
        return answer.json if answer.body else None

    def refused(self, status: int, method: str, path: str, body=None, who: str | None = None):
        return self.ok(method, path, body, who, status)

    def again(self) -> None:
        """The power goes and comes back."""
        self.here.kill()
        self.here.start()


def key() -> str:
    """By which a request is known when it comes again."""
    return str(uuid.uuid4())
