"""Clients that do not read, and rights that are taken away while an answer is under way: real sockets that stop reading.

What the kernel says of them (bytes that have arrived, the end of the connection) is the judge.
"""

import array
import base64
import fcntl
import json
import os
import select
import socket
import struct
import termios
import threading
import time
import unittest

from harness import LONG, PASSWORD, Case, Node, http, now_ms, wait_until

PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[tag]]
path = "works/level"
title = "Level"
type = "double"
""" + "".join(f'\n[[tag]]\npath = "works/text{n}"\ntitle = "Text {n}"\ntype = "string"\n' for n in range(32))
POINTS = 400_000
# A right is gone within a second; so much more the machine may take that runs the test.
GONE_S, SLACK_S = 1.0, 0.5
# What the node's system may hold of an answer whose client reads by the PostgreSQL protocol.
SYSTEM_HOLDS = 300_000
STATEMENT = "select ts, path, value from samples"


def arrived(stream: socket.socket) -> int:
    """Bytes that have arrived and were not read."""
    number = array.array("i", [0])
    fcntl.ioctl(stream, termios.FIONREAD, number)
    return number[0]


def drain(stream: socket.socket) -> tuple[int, bool, bytes]:
    """Reads to the end: bytes, whether the connection was reset, and the last bytes."""
    stream.settimeout(30)
    total, last = 0, b""
    while True:
        try:
            piece = stream.recv(65536)
        except ConnectionResetError:
            return total, True, last
        if not piece:
            return total, False, last
        total, last = total + len(piece), (last + piece)[-200:]


class Streams(Case):
    def setUp(self):
        super().setUp()
        self.here: Node = self.node()
        self.here.apply(PLANT)
        first = now_ms() - POINTS * 10
        for begin in range(0, POINTS, 100_000):
            body = "\n".join(f"works level={n / 8} {first + n * 10}" for n in range(begin, begin + 100_000))
            self.assertEqual(self.here.post("/api/ingest?precision=ms", body, deadline=60).status, 204)
        self.cookie = self.here.make_user("Eve", "viewer")
        self.user = next(user["id"] for user in self.here.get("/api/users").json["users"] if user["name"] == "Eve")

    # -- clients --

    def connect(self, address: str) -> socket.socket:
        stream = socket.socket()
        # A small buffer on this side, so that what waits, waits at the node.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        host, port = address.rsplit(":", 1)
        stream.connect((host, int(port)))
        self.addCleanup(stream.close)
        return stream

    def ask(self, method: str, path: str, body: str = "", more: str = "") -> socket.socket:
        stream = self.connect(self.here.http)
        head = f"{method} {path} HTTP/1.1\r\nhost: {self.here.http}\r\ncookie: {self.cookie}\r\nx-andon: 1\r\n{more}"
        stream.sendall(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode())
        return stream

    def export(self) -> socket.socket:
        return self.ask("GET", "/api/history/export?tag=works/level")

    def sql(self, form: str) -> socket.socket:
        return self.ask("POST", "/api/sql", json.dumps({"query": STATEMENT, "format": form}))

    def live(self) -> socket.socket:
        key = base64.b64encode(os.urandom(16)).decode()
        upgrade = f"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n"
        stream = self.ask("GET", "/api/ws", more=upgrade)
        self.assertIn(b"101", stream.recv(12))
        text = b'{"op":"subscribe","tags":"*"}'
        mask = os.urandom(4)
        stream.sendall(bytes([0x81, 0x80 | len(text)]) + mask + bytes(byte ^ mask[n % 4] for n, byte in enumerate(text)))
        return stream

    def postgres(self) -> socket.socket:
        stream = self.connect("{}:{}".format(*self.here.sql))
        message = lambda kind, body: kind + struct.pack(">i", len(body) + 4) + body
        stream.sendall(message(b"", struct.pack(">i", 196608) + b"user\0Eve\0database\0andon\0\0"))
        stream.recv(100)
        stream.sendall(message(b"p", PASSWORD.encode() + b"\0"))
        seen = b""
        while b"Z\0\0\0\5I" not in seen:
            seen += stream.recv(4096)
        stream.sendall(message(b"Q", STATEMENT.encode() + b"\0"))
        return stream

    def stuck(self, stream: socket.socket) -> None:
        """Until nothing moves any more: the client reads nothing, and everything between it and the node is full."""
        wait_until("everything is full", lambda: (seen := arrived(stream)) and (time.sleep(0.4) or arrived(stream) == seen), 20)

    def busy_screens(self) -> None:
        """Live values larger than all buffers together, until the test ends."""
        stop = threading.Event()

        def publish() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                text = f"{number} " + "x" * 8_000
                fields = ",".join(f'text{n}="{text}"' for n in range(32))
                http(self.here.http, "POST", "/api/ingest", f"works {fields}", token=token)

        token = self.here.token
        thread = threading.Thread(target=publish, daemon=True)
        thread.start()
        self.addCleanup(lambda: (stop.set(), thread.join(20)))

    # -- tests --

    def test_nothing_is_sent_a_second_after_the_right_is_gone(self):
        self.busy_screens()
        for name, begin in [("export", self.export), ("sql, csv", lambda: self.sql("csv")), ("sql, json", lambda: self.sql("json")), ("sql, arrow", lambda: self.sql("arrow")), ("live", self.live)]:
            with self.subTest(stream=name):
                stream = begin()
                self.stuck(stream)
                self.grant([])
                took = self.ends(stream)
                held = arrived(stream)
                read, reset, _ = drain(stream)
                print(f"{name}: cut off {took:.2f} s after the right was gone", flush=True)
                self.assertLess(took, GONE_S + SLACK_S)
                self.assertEqual((read, reset), (held, True), "nothing came after it, and it does not look like an end")
                self.grant([{"role": "viewer", "branch": ""}])

    def test_rows_that_wait_for_a_postgresql_client_are_not_sent_when_the_right_is_gone(self):
        stream = self.postgres()
        self.stuck(stream)
        self.grant([])
        wait_until("the connection is given up", lambda: "an SQL connection was ended" in self.here.log_text(), GONE_S + SLACK_S)
        read, _, last = drain(stream)
        self.assertLess(read, SYSTEM_HOLDS, "what the system had taken before, and no more")
        self.assertNotIn(b"Z\0\0\0\5I", last, "that is no end of an answer")

    def test_a_slow_reader_gets_all_of_its_export(self):
        stream = self.export()
        self.stuck(stream)
        stream.settimeout(30)
        body = b""
        for _ in range(100):  # Its pace.
            body += stream.recv(4096)
            time.sleep(0.01)
        read, reset, last = drain(stream)
        self.assertFalse(reset)
        self.assertTrue(last.endswith(b"0\r\n\r\n"), last)
        self.assertGreater(len(body) + read, POINTS * 50)

    @unittest.skipUnless(LONG, "takes a minute and a half")
    def test_clients_that_take_nothing_lose_their_places_after_a_minute(self):
        steady, taken = self.steady(self.export())
        stalled = {f"export {n}": self.export() for n in range(3)} | {"sql": self.sql("csv")}
        postgres = self.postgres()
        for stream in [*stalled.values(), postgres]:
            self.stuck(stream)
        ask = lambda: http(self.here.http, "GET", "/api/history/export?tag=works/level&to_ms=1", token=self.here.token).status
        self.assertEqual(ask(), 503, "all places are taken")
        wait_until("all are cut off", lambda: all(self.over(stream) for stream in stalled.values()), 90)
        for name, stream in stalled.items():
            held = arrived(stream)
            self.assertEqual(drain(stream)[:2], (held, True), f"{name}: an answer that is cut off does not look whole")
        said = lambda what: self.here.log_text().count(what)
        wait_until("it is said", lambda: said("a client was cut off: it asked for something") >= 4 and said("an SQL client was cut off") == 1, 30)
        self.assertNotIn(b"Z\0\0\0\5I", drain(postgres)[2])
        self.assertEqual([ask() for _ in range(3)], [200] * 3, "there are places again")
        before = taken[0]
        wait_until("the slow one goes on", lambda: taken[0] > before + 100_000, 60)
        steady.close()

    def steady(self, stream: socket.socket) -> tuple[socket.socket, list[int]]:
        """Takes 20 kB a second, as over a bad line."""
        taken = [0]

        def read() -> None:
            try:
                while piece := stream.recv(2_000):
                    taken[0] += len(piece)
                    time.sleep(0.1)
            except OSError:
                pass

        threading.Thread(target=read, daemon=True).start()
        return stream, taken

    def grant(self, grants: list) -> None:
        answer = self.here.request("PATCH", f"/api/users/{self.user}", {"grants": grants})
        self.assertEqual(answer.status, 204, answer)

    def over(self, stream: socket.socket) -> bool:
        poll = select.poll()
        poll.register(stream, 0)  # Its end only, not that it can be read.
        return bool(poll.poll(0))

    def ends(self, stream: socket.socket) -> float:
        """Seconds until the connection is over."""
        began = time.monotonic()
        wait_until("the connection is over", lambda: self.over(stream), 10)
        return time.monotonic() - began
