"""gmqtt as the judge: a client of its own making, in Python's asyncio."""

import asyncio
import logging
import ssl

import gmqtt
from gmqtt.mqtt.constants import MQTTv50, MQTTv311
from gmqtt.mqtt.handler import MQTTConnectError
from harness import Case

VERSIONS = {"3.1.1": MQTTv311, "5.0": MQTTv50}
PATIENCE_S = 15


class Gmqtt(gmqtt.Client):
    """A client that writes down what it gets."""

    def __init__(self, client_id: str, **properties):
        # By default it says PUBACK and PUBREC before the application has the message; then a kill between the two loses it.
        super().__init__(client_id, optimistic_acknowledgement=False, **properties)
        self.got: asyncio.Queue = asyncio.Queue()
        self.granted: asyncio.Queue = asyncio.Queue()
        self.lost = asyncio.Event()
        # Whoever gives 0 has handled it: that is what it acknowledges with.
        async def on_message(_client, topic, payload, qos, properties):
            self.got.put_nowait((topic, payload.decode(), qos, properties))
            return 0

        self.on_message = on_message
        self.on_subscribe = lambda _client, _mid, granted, _properties: self.granted.put_nowait(list(granted))
        self.on_disconnect = lambda _client, _packet, exc=None: self.lost.set()

    async def reconnect(self, delay=False):
        """Nothing reconnects by itself, so that a test knows what the client has seen."""

    def drop(self):
        """Cuts the connection without a word."""
        self._connection._transport.abort()

    async def next(self):
        return await asyncio.wait_for(self.got.get(), PATIENCE_S)

    async def subscribed(self, topic: str, qos: int, **properties) -> list:
        self.subscribe(gmqtt.Subscription(topic, qos=qos), **properties)
        return await asyncio.wait_for(self.granted.get(), PATIENCE_S)


async def connected(node, client_id: str, version: str, *, clean: bool = True, tls=None, user=None, password=None, will=None, **properties) -> Gmqtt:
    if version == "5.0" and not clean:
        properties["session_expiry_interval"] = 3600
    client = Gmqtt(client_id, clean_session=clean, **({"will_message": will} if will else {}), **properties)
    if user:
        client.set_auth_credentials(user, password)
    host, port = node.mqtt
    if tls:
        host, port = "localhost", int(node.addresses["mqtts"].rsplit(":", 1)[1])
    await asyncio.wait_for(client.connect(host, port, ssl=tls or False, keepalive=30, version=VERSIONS[version]), PATIENCE_S)
    return client


class GmqttJudges(Case):
    @classmethod
    def setUpClass(cls):
        logging.getLogger("gmqtt").setLevel(logging.CRITICAL)

    def each_version(self, run):
        """Runs a coroutine of a node and a version for both."""
        node = self.node()
        for version in VERSIONS:
            with self.subTest(version=version):
                asyncio.run(run(node, version))

    def test_every_qos_both_ways(self):
        async def run(node, version):
            listener = await connected(node, "listener", version)
            self.assertEqual(await listener.subscribed(f"q/{version}/#", 2), [2])
            speaker = await connected(node, "speaker", version)
            for qos in range(3):
                for number in range(20):
                    speaker.publish(f"q/{version}/{qos}", str(number), qos=qos)
            got = [await listener.next() for _ in range(60)]
            for qos in range(3):
                mine = [(payload, as_qos) for topic, payload, as_qos, _ in got if topic.endswith(f"/{qos}")]
                self.assertEqual(mine, [(str(n), qos) for n in range(20)])
            await listener.disconnect()
            await speaker.disconnect()

        self.each_version(run)

    def test_retained_messages_and_wills(self):
        async def run(node, version):
            speaker = await connected(node, "speaker", version)
            for payload in ("old", "new"):
                speaker.publish(f"kept/{version}", payload, qos=1, retain=True)
            listener = await connected(node, "listener", version)
            await listener.subscribed(f"kept/{version}", 1)
            while (got := await listener.next())[1] != "new":
                self.assertEqual(got[1], "old")
            await listener.subscribed(f"will/{version}/#", 1)
            will = lambda name: gmqtt.Message(f"will/{version}/{name}", "gone", qos=1)
            leaves = await connected(node, "leaves", version, will=will("leaves"))
            dies = await connected(node, "dies", version, will=will("dies"))
            await leaves.disconnect()
            dies.drop()
            self.assertEqual((await listener.next())[0], f"will/{version}/dies")
            await listener.disconnect()
            await speaker.disconnect()

        self.each_version(run)

    def test_a_session_outlives_a_kill_of_the_node(self):
        node = self.node()

        async def leave(version):
            client = await connected(node, f"lasting-{version}", version, clean=False)
            await client.subscribed(f"post/{version}", 2)
            client.drop()
            speaker = await connected(node, "speaker", version)
            for qos in (1, 2):
                speaker.publish(f"post/{version}", f"before {qos}", qos=qos)
            # Answered in order: once this comes back, the others are kept.
            await speaker.subscribed(f"back/{version}", 2)
            speaker.publish(f"back/{version}", "all", qos=2)
            self.assertEqual((await speaker.next())[1], "all")
            await speaker.disconnect()

        async def come_back(version):
            client = await connected(node, f"lasting-{version}", version, clean=False)
            got = [await client.next() for _ in range(2)]
            self.assertEqual(sorted(payload for _, payload, _, _ in got), ["before 1", "before 2"])
            await client.disconnect()

        for version in VERSIONS:
            asyncio.run(leave(version))
        node.kill()
        node.start()
        for version in VERSIONS:
            with self.subTest(version=version):
                asyncio.run(come_back(version))

    def test_properties_come_in_their_order(self):
        node = self.node()

        async def run():
            listener = await connected(node, "listener", "5.0")
            await listener.subscribed("p", 1, subscription_identifier=77)
            speaker = await connected(node, "speaker", "5.0")
            user = [("line", "3"), ("shift", "night"), ("line", "1"), ("", ""), ("line", "2")]
            speaker.publish(
                "p", "x", qos=1, user_property=user, content_type="text/plain", response_topic="answers", message_expiry_interval=600
            )
            _, payload, qos, properties = await listener.next()
            self.assertEqual((payload, qos), ("x", 1))
            self.assertEqual(properties["user_property"], user, "in the order in which they were sent")
            self.assertEqual((properties["content_type"], properties["response_topic"]), (["text/plain"], ["answers"]))
            self.assertEqual(properties["subscription_identifier"], [77])
            self.assertLessEqual(properties["message_expiry_interval"][0], 600)
            await listener.disconnect()
            await speaker.disconnect()

        asyncio.run(run())

    def test_reasons_are_told(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "press-7", "publish": ["mine/#"], "subscribe": ["mine/#"]}).json
        user = {"user": made["user"], "password": made["password"]}

        async def run():
            for version, code in (("3.1.1", 4), ("5.0", 0x86)):
                with self.assertRaises(MQTTConnectError) as refused:
                    await connected(node, "wrong", version, user=made["user"], password="wrong")
                self.assertEqual(refused.exception._code, code)
            client = await connected(node, "right", "5.0", **user)
            self.assertEqual(await client.subscribed("others/#", 1), [0x87])
            self.assertEqual(await client.subscribed("mine/#", 1), [1])
            client.publish("mine/a", "in", qos=2)
            self.assertEqual((await client.next())[1], "in")
            await client.disconnect()
            old = await connected(node, "old", "3.1.1", **user)
            old.publish("others/a", "x", qos=1)
            await asyncio.wait_for(old.lost.wait(), PATIENCE_S)

        asyncio.run(run())

    def test_over_tls(self):
        node = self.node(extra='[tls]\nnames = ["localhost"]\n', start=False)
        node.config.write_text(node.config.read_text().replace("[mqtt]\n", '[mqtt]\ntls_listen = "127.0.0.1:0"\n'))
        node.start()
        trusted = ssl.create_default_context(cafile=node.data_dir / "tls/certificate.pem")

        async def run():
            for version in VERSIONS:
                client = await connected(node, "secret", version, tls=trusted)
                await client.subscribed("t", 1)
                client.publish("t", "x" * 100_000, qos=1)
                self.assertEqual(len((await client.next())[1]), 100_000)
                await client.disconnect()

        asyncio.run(run())

