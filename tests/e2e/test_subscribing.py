"""Paho as the judge of what a subscriber may ask for beyond MQTT, by user properties of SUBSCRIBE."""

import datetime
import time

from harness import Case, now_ms, wait_until
from mqtt import Client
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions


class Asker(Client):
    """A client of MQTT 5.0 that asks, and keeps the user properties of what it gets."""

    def __init__(self, client_id: str, **options):
        super().__init__(client_id, 5, **options)
        self.told: list[tuple[str, bytes, list[tuple[str, str]]]] = []
        self.on_message = lambda m: self.told.append((m.topic, m.payload, list(getattr(m.properties, "UserProperty", []))))
        self.reason = None
        self.paho.on_subscribe = self._on_subscribe

    def _on_subscribe(self, _client, _userdata, _mid, reasons, properties):
        self.reason = getattr(properties, "ReasonString", None)
        self.suback = reasons

    def ask(self, topic_filter: str, qos: int = 1, retain_handling: int = 0, **asks: str) -> "Asker":
        """`ask("a/#", origin="yes")` subscribes with the user property `andon-origin: yes`."""
        self.suback = None
        properties = Properties(PacketTypes.SUBSCRIBE)
        for name, value in asks.items():
            properties.UserProperty = (f"andon-{name.rstrip('_')}", value)
        options = SubscribeOptions(qos=qos, retainHandling=retain_handling)
        self.paho.subscribe(topic_filter, options=options, properties=properties)
        self.until(lambda: self.suback is not None)
        return self

    @property
    def failures(self) -> list[int]:
        return [reason.value for reason in self.suback if reason.is_failure]

    def values(self) -> list[tuple[str, str]]:
        return [(topic, payload.decode()) for topic, payload, _ in self.told]


def left_out(properties: list[tuple[str, str]]) -> int:
    return int(dict(properties).get("andon-left-out", 0))


class Subscribing(Case):
    def test_a_subscriber_is_told_when_a_message_came_and_from_whom_and_nobody_can_forge_it(self):
        node = self.node()
        asker = Asker("asker").connect(node.mqtt).ask("from/#", origin="yes")
        self.assertEqual(asker.failures, [])
        plain = Asker("plain").connect(node.mqtt).ask("from/#")
        old = Client("old", 4).connect(node.mqtt).subscribe("from/#", qos=1)
        publisher = Client("press-7", 5).connect(node.mqtt)
        own = [("a", "1"), ("andon-client", "somebody else"), ("b", "2"), ("a", "3")]
        properties = Properties(PacketTypes.PUBLISH)
        properties.UserProperty = own
        before = now_ms()
        for qos in (0, 1, 2):
            publisher.paho.publish("from/a", str(qos), qos, properties=properties)
        publisher.until(lambda: len(publisher.acknowledged) == 3)
        for client in (asker, plain):
            client.until(lambda: len(client.told) == 3)
        for topic, _, told in plain.told:
            self.assertEqual((topic, told), ("from/a", own))
        for _, _, told in asker.told:
            self.assertEqual(told[:3], [("a", "1"), ("b", "2"), ("a", "3")])
            self.assertEqual([name for name, _ in told[3:]], ["andon-received", "andon-client", "andon-publisher"])
            received = datetime.datetime.fromisoformat(told[3][1].replace("Z", "+00:00")).timestamp() * 1000
            self.assertTrue(before - 1 <= received <= now_ms() + 1, (before, told[3]))
            self.assertEqual(dict(told[4:]), {"andon-client": "press-7", "andon-publisher": "anonymous"})
        old.until(lambda: len(old.messages) == 3)
        # A kill later it is still known of what waits and of what is retained.
        asker.drop()
        publisher.publish_and_wait("from/kept", "r", retain=True)
        node.kill()
        node.start()
        asker.connect(node.mqtt).until(lambda: len(asker.told) == 4)
        self.assertEqual(dict(asker.told[3][2])["andon-client"], "press-7")
        late = Asker("late").connect(node.mqtt).ask("from/kept", origin="yes")
        late.until(lambda: late.told)
        self.assertEqual(late.told[0][2], asker.told[3][2])

    def test_what_is_not_understood_is_refused_with_a_reason(self):
        node = self.node()
        asker = Asker("asker").connect(node.mqtt)
        for asks, words in (
            ({"origin": "perhaps"}, "must be yes or no"),
            ({"deliver": "some"}, "must be all, latest"),
            ({"delivery": "latest"}, '"andon-delivery" is not known'),
        ):
            asker.ask("a", **asks)
            self.assertEqual(asker.failures, [0x83])
            self.assertIn(words, asker.reason)
        asker.ask("$share/g/a", deliver="latest")
        self.assertIn("not for shared subscriptions", asker.reason)
        self.assertEqual(node.get("/api/mqtt/subscriptions").json["total"], 0)

    def test_a_reader_that_stalled_gets_the_newest_of_each_topic(self):
        node = self.node()
        for qos in (0, 1):
            with self.subTest(qos=qos):
                asker = Asker(f"asker-{qos}").connect(node.mqtt).ask(f"flow{qos}/+", qos=qos, deliver="latest")
                historian = Asker(f"historian-{qos}").connect(node.mqtt).ask(f"flow{qos}/+", qos=1)
                publisher = Client(f"pub-{qos}", 5).connect(node.mqtt)
                # 48 MB: more than the buffers between them take. The asker does not read meanwhile.
                filling = "x" * 16_000
                for n in range(3000):
                    publisher.publish(f"flow{qos}/{n % 3}", f"{n}-{filling}", qos=1)
                    if n % 100 == 99:
                        publisher.until(lambda: len(publisher.acknowledged) == n + 1, 30)
                        historian.until(lambda: len(historian.told) == n + 1, 30)
                asker.until(lambda: len(asker.told) + sum(left_out(told) for _, _, told in asker.told) == 3000, 30)
                numbers = [(topic, int(payload.split(b"-")[0])) for topic, payload, _ in asker.told]
                for k in range(3):
                    of_topic = [n for topic, n in numbers if topic == f"flow{qos}/{k}"]
                    self.assertEqual(of_topic, sorted(set(of_topic)))
                    self.assertEqual(of_topic[-1], 2997 + k)
                self.assertLess(len(numbers), 2500)
                own = node.get(f"/api/mqtt/client?client=asker-{qos}").json
                self.assertEqual([(s["deliver"], s["left_out"]) for s in own["subscriptions"]], [("latest", 3000 - len(numbers))])
                self.assertEqual(own["client"]["dropped"], 0)

    def test_at_most_one_in_an_interval_and_the_last_one_too(self):
        node = self.node()
        for qos in (0, 1):
            with self.subTest(qos=qos):
                asker = Asker(f"asker-{qos}").connect(node.mqtt).ask(f"fast{qos}/+", qos=qos, deliver="every=1s")
                came = []
                plain = asker.on_message
                asker.on_message = lambda m: (came.append(time.monotonic()), plain(m))
                publisher = Client(f"pub-{qos}", 5).connect(node.mqtt)
                begin, n = time.monotonic(), 0
                while time.monotonic() - begin < 3.3:
                    n += 1
                    publisher.publish_and_wait(f"fast{qos}/a", str(n), qos=1)
                    asker.turn(0.01)
                asker.until(lambda: asker.values()[-1][1] == str(n), 5)
                self.assertEqual(asker.values()[0][1], "1")
                self.assertIn(len(asker.told), (4, 5), asker.values())
                self.assertEqual(len(asker.told) + sum(left_out(told) for _, _, told in asker.told), n)
                # The clock of the node says a second; the way here may take what it likes.
                self.assertTrue(all(b - a > 0.7 for a, b in zip(came, came[1:])), came)

    def test_within_a_deadband_nothing_is_sent(self):
        node = self.node()
        asker = Asker("asker").connect(node.mqtt).ask("t", deliver="deadband=0.5", origin="yes")
        publisher = Client("pub", 5).connect(node.mqtt)
        for payload in ("20", "20.3", "19.8", "20.6", "stopped", "20.7", "30"):
            publisher.publish_and_wait("t", payload)
        asker.until(lambda: len(asker.told) == 4)
        self.assertEqual([payload for _, payload in asker.values()], ["20", "20.6", "stopped", "30"])
        self.assertEqual([left_out(told) for _, _, told in asker.told], [0, 2, 0, 1])
        self.assertEqual(dict(asker.told[0][2])["andon-client"], "pub")

    def test_the_newest_waits_for_a_session_over_a_kill(self):
        node = self.node()
        asker = Asker("asker").connect(node.mqtt).ask("w/+", deliver="latest")
        asker.drop()
        wait_until("it is away", lambda: node.get("/api/mqtt/client?client=asker").json["client"]["connected"] is False)
        publisher = Client("pub", 5).connect(node.mqtt)
        for n in range(3000):
            publisher.publish(f"w/{n % 2}", str(n), qos=1)
        publisher.until(lambda: len(publisher.acknowledged) == 3000, 30)
        node.kill()
        node.start()
        asker.connect(node.mqtt)
        asker.until(lambda: len(asker.told) + sum(left_out(told) for _, _, told in asker.told) == 3000, 30)
        last = dict(asker.values())
        self.assertEqual(last, {"w/0": "2998", "w/1": "2999"})
        self.assertLess(len(asker.told), 1100, "what it takes at a time, and the newest")
