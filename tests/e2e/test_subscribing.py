"""Paho as the judge of what a subscriber may ask for beyond MQTT, by user properties of SUBSCRIBE."""

import datetime
import json
import time
import urllib.parse

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
        # Before it there may be messages again whose acknowledgements the kill took.
        asker.connect(node.mqtt).until(lambda: ("from/kept", "r") in asker.values())
        kept = next(told for topic, _, told in asker.told if topic == "from/kept")
        self.assertEqual(dict(kept)["andon-client"], "press-7")
        late = Asker("late").connect(node.mqtt).ask("from/kept", origin="yes")
        late.until(lambda: late.told)
        self.assertEqual(late.told[0][2], kept)

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


KEEP = """
[[topic_rule]]
name = "line"
filter = "line/#"
keep = "7d"
keep_mib = 64
"""


class History(Case):
    def read(self, node, **query) -> dict:
        answer = node.get("/api/mqtt/history?" + urllib.parse.urlencode(query))
        self.assertEqual(answer.status, 200, answer.text)
        return answer.json

    def until_end(self, asker: Asker, marker: str = "$andon/history") -> dict:
        asker.until(lambda: any(topic == marker for topic, _, _ in asker.told), 30)
        at = next(n for n, (topic, _, _) in enumerate(asker.told) if topic == marker)
        _, payload, told = asker.told.pop(at)
        self.assertEqual(told, [(f"andon-{marker.rpartition('/')[2]}", "end")])
        return json.loads(payload)

    def test_what_is_kept_comes_before_what_comes_over_kills_none_missing_and_none_twice(self):
        node = self.node()
        self.assertEqual(Asker("early").connect(node.mqtt).ask("line/#", from_="-1h").failures, [0x83])
        node.apply(KEEP)
        publisher = Client("pub", 5).connect(node.mqtt)
        sent = []
        for round_ in range(3):
            for n in range(300):
                qos = (1, 2, 0)[n % 3]
                payload = f"{round_}-{n}-{qos}"
                sent.append(payload)
                publisher.publish(f"line/{n % 2}", payload, qos=qos)
            publisher.until(lambda: len(publisher.acknowledged) >= len(sent), 30)
            if round_ == 1:
                # What is written already survives this too; QoS 0 that stands in the line may not.
                def written():
                    kept = self.read(node, filter="line/#", limit=1000)["messages"]
                    return sum(m["text"].startswith("1-") for m in kept) == 300

                wait_until("it is written", written)
            if round_ < 2:
                publisher.drop()
                node.kill()
                node.start()
                publisher.connect(node.mqtt)
        asker = Asker("asker").connect(node.mqtt).ask("line/#", from_="-1h")
        self.assertEqual(asker.failures, [])
        end = self.until_end(asker)
        values = [payload for _, payload in asker.values()]
        self.assertEqual(len(values), len(set(values)), "none twice")
        # QoS 0 does not wait for the disk, and so comes before what does.
        handed_out = [p for p in values if p.endswith("-0") and not p.startswith("0-")]
        self.assertEqual(handed_out, [p for p in sent if p.endswith("-0") and not p.startswith("0-")])
        acknowledged = [p for p in values if not p.endswith("-0")]
        self.assertEqual(acknowledged, [p for p in sent if not p.endswith("-0")], "all that was acknowledged, in order")
        self.assertEqual(end["messages"], len(values))
        for topic, payload, told in asker.told:
            names = dict(told)
            self.assertEqual((names["andon-history"], names["andon-client"], names["andon-publisher"]), ("yes", "pub", "anonymous"))
        # By HTTP it is the same, page by page.
        by_http, after = [], 0
        while after is not None:
            page = self.read(node, filter="line/#", after=after, limit=97)
            by_http += page["messages"]
            after = page["next"]
        self.assertEqual([m["text"] for m in by_http], values)
        self.assertEqual({m["topic"] for m in by_http}, {"line/0", "line/1"})
        first = datetime.datetime.fromtimestamp(by_http[0]["received_ms"] / 1000, datetime.timezone.utc)
        self.assertEqual(dict(asker.told[0][2])["andon-received"], first.isoformat(timespec="milliseconds").replace("+00:00", "Z"))
        publisher.publish_and_wait("line/0", "live", qos=2)
        asker.until(lambda: asker.values()[-1][1] == "live")
        self.assertEqual(len(asker.told), len(values) + 1)
        self.assertNotIn("andon-history", dict(asker.told[-1][2]))
        one = self.read(node, topic="line/1", limit=1000)
        self.assertEqual([m["text"] for m in one["messages"]], [m["text"] for m in by_http if m["topic"] == "line/1"])

    def test_history_while_others_publish_has_no_gap(self):
        node = self.node()
        node.apply(KEEP)
        publisher = Client("pub", 5).connect(node.mqtt)
        asker = Asker("asker").connect(node.mqtt)
        for n in range(2000):
            publisher.publish("line/a", str(n), qos=n % 2)
            publisher.turn(0)
            if n == 700:
                properties = Properties(PacketTypes.SUBSCRIBE)
                properties.UserProperty = ("andon-from", "-1h")
                asker.paho.subscribe("line/#", options=SubscribeOptions(qos=1), properties=properties)
            if n >= 700:
                asker.turn(0)
        publisher.until(lambda: len(publisher.acknowledged) == 2000, 30)
        self.until_end(asker)
        asker.until(lambda: len(asker.told) == 2000, 30)
        self.assertEqual(sorted(int(payload) for _, payload in asker.values()), list(range(2000)))

    def test_the_last_so_many_until_a_time_and_nothing_after(self):
        node = self.node()
        node.apply(KEEP)
        publisher = Client("pub", 5).connect(node.mqtt)
        for n in range(50):
            publisher.publish_and_wait(f"line/{n % 5}", str(n))
        asker = Asker("asker").connect(node.mqtt).ask("line/3", max="4", until="2100-01-01T00:00:00Z")
        self.assertEqual(self.until_end(asker)["messages"], 4)
        self.assertEqual([payload for _, payload in asker.values()], ["33", "38", "43", "48"])
        publisher.publish_and_wait("line/3", "after")
        self.assertEqual(node.get("/api/mqtt/subscriptions").json["total"], 0)
        for asks, words in (({"from_": "yesterday"}, "must be a time"), ({"from_": "-1h", "until": "-2h"}, "must be after"), ({"max": "0"}, "whole number"), ({"from_": "-1h", "last": "yes"}, "goes with neither")):
            asker.ask("line/#", **asks)
            self.assertEqual(asker.failures, [0x83])
            self.assertIn(words, asker.reason)
        self.assertEqual([m["text"] for m in self.read(node, topic="line/3", last=3)["messages"]], ["43", "48", "after"])
        for query in ("", "?topic=a&last=0", "?topic=a&last=3&after=1", "?topic=a&filter=b", "?topic=a/%23", "?topic=a&from=soon", "?topic=a&limit=0"):
            self.assertEqual(node.get(f"/api/mqtt/history{query}").status, 400, query)

    def test_the_last_message_of_each_topic_comes_at_once(self):
        node = self.node()
        publisher = Client("pub", 5).connect(node.mqtt)
        for n in range(300):
            publisher.publish_and_wait(f"last/{n % 100:03}", str(n), qos=n % 3, retain=n == 250) if n % 3 else publisher.publish(f"last/{n % 100:03}", str(n), qos=0)
        publisher.publish_and_wait("other", "x")
        wait_until("all are listed", lambda: node.get("/api/mqtt/topics/search?text=last/").json["total"] == 100)
        asker = Asker("asker").connect(node.mqtt).ask("last/+", last="yes", origin="yes")
        self.assertEqual(self.until_end(asker, "$andon/last"), {"messages": 100, "too_long": 0})
        self.assertEqual(dict(asker.values()), {f"last/{n:03}": str(200 + n) for n in range(100)})
        self.assertTrue(all(dict(told)["andon-client"] == "pub" for _, _, told in asker.told))
        publisher.publish_and_wait("last/000", "new")
        asker.until(lambda: asker.values()[-1] == ("last/000", "new"))
