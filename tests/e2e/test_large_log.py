"""How long a start takes after a kill when the log is large. Long form only: it writes a gigabyte."""

import os

from harness import LONG, Case
from mqtt import Client

GIB = 1 << 30
PAYLOAD = 4096
READY_WITHIN_S = 5


class LargeLog(Case):
    def test_a_kill_with_a_gibibyte_of_messages_is_over_in_five_seconds(self):
        if not LONG:
            self.skipTest("ANDON_LONG=1 runs it")
        node = self.node()
        Client("away").connect(node.mqtt).subscribe("large/sample", qos=1).close()
        publisher = Client("fill", 5).connect(node.mqtt)
        acknowledged = 0

        def count(_mid):
            nonlocal acknowledged
            acknowledged += 1

        publisher.on_acknowledged = count
        body = os.urandom(PAYLOAD)
        sent = 0
        while sent * PAYLOAD < GIB:
            # Every hundredth is for the one who is away; a thousand topics are retained.
            topic = "large/sample" if sent % 100 == 0 else f"large/{sent % 1000}"
            publisher.publish(topic, body, 1, retain=sent < 100_000)
            sent += 1
            if sent - acknowledged >= 500:
                publisher.until(lambda: sent - acknowledged < 250, 60)
        publisher.until(lambda: acknowledged == sent, 60)
        node.kill()
        node.start(deadline=120)
        print(f"large log: {sent} messages, ready after {node.ready_s:.2f} s", flush=True)
        self.assertLess(node.ready_s, READY_WITHIN_S)
        again = Client("away").connect(node.mqtt)
        again.until(lambda: len(again.messages) >= (sent + 99) // 100, 60)
