"""A disk that is full: nothing is acknowledged that cannot be kept, and everything goes on by itself when there is space."""

import os
import subprocess

from harness import Case, now_ms, run, wait_until
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
        acknowledged: dict[int, bytes] = {}
        pending: dict[int, bytes] = {}
        publisher.on_acknowledged = lambda mid: acknowledged.setdefault(mid, pending.pop(mid))
        began = now_ms()

        def publish(n: int, qos: int) -> None:
            payload = f"{n:06d}".encode() + bytes(32_768)
            pending[publisher.publish("disk/a", payload, qos)] = payload[:6]

        def ingest(n: int) -> int:
            return node.post("/api/ingest?precision=ms", f"{UNIT} level={n}i {began + n}").status

        for n in range(20):
            publish(n, 1 + n % 2)
        publisher.until(lambda: len(acknowledged) == 20)
        kept = [n for n in range(20) if ingest(n) == 204]
        self.assertEqual(len(kept), 20)

        self.fill()
        # What is prepared on disk already may still take some; then it must end.
        count, refused = 20, []

        def no_more() -> bool:
            nonlocal count
            if len(pending) < 8:
                publish(count, 1 + count % 2)
                count += 1
            publisher.turn()
            return node.get("/readyz").status != 200

        wait_until("the node says that it is not ready", no_more, 60)
        self.assertIn("full", node.get("/readyz").text.lower())
        self.assertTrue(any("full" in w.lower() for w in node.get("/api/status").json["warnings"]), node.get("/api/status"))
        stuck = set(pending)
        end = now_ms() + 1500
        publisher.until(lambda: now_ms() > end or not stuck & set(pending), 10) if self.connected(publisher) else None
        self.assertTrue(stuck & set(pending), "a message that cannot be kept is not acknowledged")
        for n in range(1000, 1200):
            status = ingest(n)
            if status == 204:
                kept.append(n)
            else:
                refused.append(node.post("/api/ingest?precision=ms", f"{UNIT} level={n}i {began + n}"))
                break
        self.assertTrue(refused, "ingest must end when the disk is full")
        self.assertEqual(refused[0].status, 503, refused[0])
        self.assertIn("retry-after", refused[0].headers)
        self.assertIn("full", refused[0].text.lower())
        # Events have a reserve: people can still act.
        self.assertEqual(node.get("/healthz").status, 200)

        (self.disk / "filler").unlink()
        wait_until("ready again by itself", lambda: node.get("/readyz").status == 200, 30)
        if not self.connected(publisher):
            publisher.connect(node.mqtt)
        publisher.until(lambda: not pending, 30)
        self.assertEqual(ingest(5000), 204)
        kept.append(5000)

        node.kill()
        node.start()
        subscriber.connect(node.mqtt)
        self.assertTrue(subscriber.session_present)
        got = lambda: [payload[:6] for _, payload, _, _ in subscriber.messages]
        subscriber.until(lambda: set(got()) >= set(acknowledged.values()), 30)
        twice = [n for n in got() if int(n) % 2 == 1 and got().count(n) > 1]
        self.assertEqual(twice, [], "QoS 2 messages that came twice")
        stored = {value for _, value, _ in node.history(f"{UNIT}/level", began - 1, began + 10_000)["points"]}
        self.assertLessEqual(set(kept), stored)
        self.assertTrue(node.get("/api/audit/verify").json["ok"])

    @staticmethod
    def connected(client: Client) -> bool:
        return client.paho.socket() is not None
