"""Paho for JavaScript as the judge: MQTT 3.1 and 3.1.1 over WebSocket, as a page in a browser speaks it."""

from harness import Case, wait_until
from peers import Peer, Refused, needed

# The protocol's version as Paho numbers it, and the sub-protocol that it offers for it.
VERSIONS = {3: "mqttv3.1", 4: "mqtt"}


@needed
class PahoJs(Case):
    def client(self, node, client_id: str, version: int, *, clean: bool = True, **more) -> Peer:
        peer = Peer(self, "paho.mjs")
        self.connect(peer, node, client_id, version, clean=clean, **more)
        return peer

    def connect(self, peer: Peer, node, client_id: str, version: int, *, clean: bool = True, will=None, **options) -> None:
        options = {"mqttVersion": version, "mqttVersionExplicit": True, "cleanSession": clean, **options}
        url = "ws://{}/mqtt".format(node.addresses["http"])
        connected = peer.call("connect", url=url, clientId=client_id, options=options, will=will)
        self.assertEqual(connected["protocol"], VERSIONS[version])

    def test_every_qos_both_ways(self):
        node = self.node()
        for version in VERSIONS:
            with self.subTest(version=version):
                listener = self.client(node, "listener", version)
                for qos in range(3):
                    self.assertEqual(listener.call("subscribe", filter=f"q/{version}/{qos}", qos=qos)["grantedQos"], {"0": qos})
                speaker = self.client(node, "speaker", version)
                for qos in range(3):
                    for number in range(20):
                        speaker.call("publish", topic=f"q/{version}/{qos}", payload=str(number), qos=qos)
                messages = listener.wait("message", 60)
                for qos in range(3):
                    got = [m for m in messages if m["topic"].endswith(f"/{qos}")]
                    self.assertEqual([(m["payload"], m["qos"]) for m in got], [(str(n), qos) for n in range(20)])
                # Also of QoS 0, which it calls delivered when it is sent.
                speaker.wait("delivered", 60)
                listener.call("unsubscribe", filter=f"q/{version}/1")
                speaker.call("publish", topic=f"q/{version}/1", payload="unheard", qos=1)
                speaker.call("publish", topic=f"q/{version}/2", payload="x" * 300_000, qos=2)
                self.assertEqual([m["topic"] for m in listener.wait("message", 61)[60:]], [f"q/{version}/2"])

    def test_retained_messages_and_wills(self):
        node = self.node()
        for version in VERSIONS:
            with self.subTest(version=version):
                speaker = self.client(node, "speaker", version)
                for payload in ("old", "new"):
                    speaker.call("publish", topic=f"kept/{version}", payload=payload, qos=1, retain=True)
                speaker.wait("delivered", 2)
                listener = self.client(node, "listener", version)
                listener.call("subscribe", filter=f"kept/{version}", qos=1)
                self.assertEqual([(m["payload"], m["retain"]) for m in listener.wait("message")], [("new", True)])
                listener.call("subscribe", filter=f"will/{version}/#", qos=1)
                will = lambda name: {"topic": f"will/{version}/{name}", "payload": "gone", "qos": 1, "retain": False}
                leaves = self.client(node, "leaves", version, will=will("leaves"))
                dies = self.client(node, "dies", version, will=will("dies"))
                leaves.call("end")
                leaves.wait("close")
                dies.call("drop")
                self.assertEqual([m["topic"] for m in listener.wait("message", 2)][1:], [f"will/{version}/dies"])

    def test_a_session_outlives_a_kill_of_the_node(self):
        node = self.node()
        for version in VERSIONS:
            with self.subTest(version=version):
                topic = f"post/{version}"
                lasting = self.client(node, f"lasting-{version}", version, clean=False)
                lasting.call("subscribe", filter=topic, qos=2)
                lasting.call("drop")
                lasting.wait("close")
                speaker = self.client(node, "speaker", version)
                for qos in (1, 2):
                    speaker.call("publish", topic=topic, payload=f"before {qos}", qos=qos)
                speaker.wait("delivered", 2)
                node.kill()
                node.start()
                self.connect(lasting, node, f"lasting-{version}", version, clean=False)
                self.assertEqual(sorted(lasting.payloads(2)), ["before 1", "before 2"])
                lasting.call("publish", topic=topic, payload="own", qos=2)
                self.assertEqual(lasting.payloads(3)[2:], ["own"])

    def test_a_refusal_is_told(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "press-7", "publish": ["mine/#"], "subscribe": ["mine/#"]}).json
        for version in VERSIONS:
            with self.subTest(version=version):
                with self.assertRaises(Refused) as refused:
                    self.client(node, "wrong", version, userName=made["user"], password="wrong")
                self.assertIn("user name or password", str(refused.exception).lower())
                client = self.client(node, "right", version, userName=made["user"], password=made["password"])
                with self.assertRaises(Refused) as refused:
                    client.call("subscribe", filter="others/#", qos=1)
                client.call("subscribe", filter="mine/#", qos=1)
                client.call("publish", topic="mine/a", payload="in", qos=2)
                self.assertEqual(client.payloads(1), ["in"])
                client.call("publish", topic="others/a", payload="x", qos=1)
                client.wait("close")
                self.assertEqual(client.all("delivered"), [{"event": "delivered", "payload": "in"}])
        wait_until("nobody is left", lambda: not node.mqtt_client("right").get("connected"))
