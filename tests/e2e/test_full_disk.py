"""A disk that is full: nothing is acknowledged that cannot be kept, and everything goes on by itself when there is space."""

import itertools
import os
import re
import subprocess
import time
from collections import Counter

from harness import Answer, Case, now_ms, run, wait_until
from mqtt import Client
from test_modbus import PLANT, UNIT

SIZE_MIB = 400


class FullDisk(Case):
    def setUp(self):
        super().setUp()
        if os.geteuid() != 0:
            self.skipTest("needs root, to mount a small file system")
        self.disk = self.temporary_folder()
        mounted = run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m", "andon-e2e", self.disk])
        if mounted.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(self.disk)], check=False))

    def fill(self) -> None:
        with (self.disk / "filler").open("wb", buffering=0) as filler:
            for size in (1 << 20, 4096):
                try:
                    while True:
                        filler.write(bytes(size))
                except OSError:
                    pass

    def test_nothing_is_acknowledged_while_full_and_nothing_acknowledged_is_lost(self):
        node = self.node(data_dir=self.disk / "data")
        node.apply(PLANT.replace("ENDPOINT", "127.0.0.1:9"))
        subscriber = Client("sub").connect(node.mqtt).subscribe("disk/#", qos=2)
        subscriber.close()
        publisher = Client("pub", 5).connect(node.mqtt)
        acknowledged: set[int] = set()
        refused: list[str] = []
        pending: dict[int, int] = {}  # Packet identifier to number.
        publisher.on_acknowledged = lambda mid: acknowledged.add(pending.pop(mid))
        publisher.on_refused = lambda mid, reason: refused.append(reason) or pending.pop(mid)
        numbers = itertools.count()
        began = now_ms()

        def publish() -> None:
            """Even numbers with QoS 1, odd ones with QoS 2."""
            n = next(numbers)
            pending[publisher.publish("disk/a", b"%06d" % n + bytes(32_768), 1 + n % 2)] = n

        def ingest(n: int) -> Answer:
            return node.post("/api/ingest?precision=ms", f"{UNIT} level={n}i {began + n}")

        for _ in range(20):
            publish()
        publisher.until(lambda: len(acknowledged) == 20)
        kept = [n for n in range(20) if ingest(n).status == 204]
        self.assertEqual(len(kept), 20)

        self.fill()
        # What is prepared on disk already takes some more; then it must end.
        quiet_since, seen = time.monotonic(), 0
        while time.monotonic() - quiet_since < 1.5:
            while len(pending) < 8 and not refused:
                publish()
            if publisher.paho.socket() is None:
                break
            publisher.turn()
            if len(acknowledged) != seen:
                quiet_since, seen = time.monotonic(), len(acknowledged)
            self.assertLess(seen * 32_768, SIZE_MIB << 20, "more is acknowledged than the disk holds")
        self.assertTrue(pending or refused, "a message that cannot be kept is not acknowledged")
        # Long texts fill what is prepared of the samples lane with few points.
        for n in range(1000, 100_000):
            answer = node.post("/api/ingest?precision=ms", f'{UNIT} level={n}i,recipe="{"x" * 60_000}" {began + n}')
            if answer.status != 204:
                break
            kept.append(n)
        self.assertEqual(answer.status, 503, answer)
        self.assertIn("retry-after", answer.headers)
        self.assertRegex(answer.text.lower(), "full|no space")
        # Events have a reserve: what people do is still recorded, so it can still be done.
        command = node.post("/api/commands", {"tag": f"{UNIT}/speed", "value": 1e9})
        self.assertEqual((command.status, command.json["outcome"]), (200, "refused"), command)
        self.assertIn("outside the limits", command.json["detail"])
        self.assertEqual(node.get("/healthz").status, 200)
        self.assertEqual(node.get("/readyz").status, 503)
        self.assertRegex(node.get("/readyz").text.lower(), "full|no space")
        warnings = node.get("/api/status").json["warnings"]
        self.assertTrue(any(re.search("full|no space", w.lower()) for w in warnings), warnings)

        (self.disk / "filler").unlink()
        again = lambda: publisher.connect(node.mqtt).until(lambda: not pending, 5)
        wait_until("what was under way is acknowledged", again, 30)
        wait_until("samples are taken again", lambda: ingest(5).status == 204, 30)

        node.kill()
        node.start()
        node.make_user("Ada", "viewer")
        subscriber.connect(node.mqtt)
        self.assertTrue(subscriber.session_present)
        got = lambda: Counter(int(payload[:6]) for _, payload, _, _ in subscriber.messages)
        subscriber.until(lambda: got().keys() >= acknowledged, 30)
        self.assertEqual([n for n, times in got().items() if n % 2 and times > 1], [], "QoS 2 messages that came twice")
        stored = lambda: {value for _, value, _ in node.history(f"{UNIT}/level", began - 1, began + 100_000)["points"]}
        wait_until("every acknowledged sample is in history", lambda: set(kept) <= stored(), 20)
        self.assertTrue(node.get("/api/audit/verify").json["ok"])
