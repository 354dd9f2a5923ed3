"""Commands, alarms and polite clients beside clients that send as fast as they are let."""

import subprocess

from harness import Case, spawn, wait_until
from mqtt import Client
from test_paho import HOUSE

LAMP = "house/ground/living/lamp"
CLIMATE = "zigbee2mqtt/living_climate"
ROUNDS = 10


class BesideAFlood(Case):
    def flood(self, node, qos: int, topic: str, line: str) -> None:
        host, port = node.mqtt
        source = spawn(["yes", line], stdout=subprocess.PIPE)
        command = ["mosquitto_pub", "-h", host, "-p", port, "-i", f"flood-{qos}-{topic.replace('/', '-')}", "-q", qos, "-t", topic, "-l"]
        sink = spawn(command, stdin=source.stdout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        source.stdout.close()
        for process in (sink, source):
            self.addCleanup(process.wait)
            self.addCleanup(process.kill)

    def received(self, node) -> int:
        return sum(client["received"] for client in node.get("/api/mqtt/clients").json["clients"])

    def test_commands_are_confirmed_and_alarms_raised_beside_floods_of_every_kind(self):
        node = self.node()
        node.apply(HOUSE)
        device = Client("lamp", durable=False).connect(node.mqtt).subscribe("zigbee2mqtt/living_lamp/set", qos=1)
        device.on_message = lambda message: device.publish("zigbee2mqtt/living_lamp", message.payload)
        device.publish_and_wait("zigbee2mqtt/living_lamp", '{"state": "OFF"}')
        device.paho.loop_start()
        self.addCleanup(device.paho.loop_stop)
        # Somebody who subscribed to all of it and does not read, too.
        deaf = Client("deaf", durable=False).connect(node.mqtt).subscribe("#", qos=1)
        self.addCleanup(deaf.close)
        for qos in (0, 1, 2):
            self.flood(node, qos, f"flood/{qos}", "x" * 100)
        self.flood(node, 0, CLIMATE, '{"contact": true}')
        polite = Client("polite", durable=False).connect(node.mqtt)
        wait_until("the flood flows", lambda: self.received(node) > 10_000)
        before = self.received(node)
        for turn in range(ROUNDS):
            on = turn % 2 == 0
            # It may live for 3 s and must be confirmed within 2 s, or it fails.
            done = node.post("/api/commands", {"tag": LAMP, "value": on})
            self.assertEqual(done.json["outcome"], "confirmed", (turn, done.json))
            polite.publish_and_wait(CLIMATE, f'{{"temperature": {35 if on else 20}}}')
            name = "house/ground/living/temperature:high"
            wait_until(f"the alarm is {'raised' if on else 'gone'}", lambda: (node.alarm(name) is not None) == on)
            if on:
                occurrence = {"name": name, "occurrence": node.alarm(name)["occurrence"]}
                self.assertEqual(node.post("/api/alarms/ack", {"alarms": [occurrence]}).status, 200)
        self.assertGreater(self.received(node) - before, 10_000, "the flood went on meanwhile")
