"""Paho as judge of topic rules: what is volatile, what is refused with which words, and what waits in quarantine."""

from concurrent.futures import ThreadPoolExecutor

from harness import Case, http, wait_until
from mqtt import Client

PLANT = """
[[equipment]]
path = "works"
level = "site"

[[tag]]
path = "works/t"
type = "double"

[[topic]]
filter = "plant/+/press/7"
format = "json"
fields = [{ path = "t", tag = "works/t" }]

[[topic_rule]]
name = "presses"
filter = "plant/+/press/#"
mode = "MODE"
payload = { max_bytes = 100, json_schema = { type = "object", required = ["t"], properties = { t = { type = "number", maximum = 90 } } } }

[[topic_rule]]
name = "names"
filter = "plant/#"
mode = "reject"
naming = { skip = 1, levels = ["site"], equipment = true, pattern = "[a-z0-9]+" }

[[topic_rule]]
name = "fast"
filter = "fast/#"
durability = "volatile"
"""


def rule(node, name):
    return next(one for one in node.get("/api/mqtt/violations").json["rules"] if one["name"] == name)


class Rules(Case):
    def test_what_breaks_a_rule_is_refused_with_the_reason_and_neither_stored_nor_mapped(self):
        node = self.node()
        node.apply(PLANT.replace("MODE", "reject"))
        watcher = Client("watcher", 5).connect(node.mqtt).subscribe("plant/#", qos=1)
        press = Client("press", 5, durable=False).connect(node.mqtt)
        for topic, payload, reason in [
            ("plant/works/press/7", '{"t": "hot"}', "Payload format invalid"),
            ("plant/works/press/7", '{"t": 91}', "Payload format invalid"),
            ("plant/works/press/7", "{", "Payload format invalid"),
            ("plant/works/press/7", '{"t": 1, "x": "' + "y" * 100 + '"}', "Payload format invalid"),
            ("plant/mill/a", "1", "Topic name invalid"),
            ("plant/works/A", "1", "Topic name invalid"),
        ]:
            press.refused.clear()
            press.publish(topic, payload, qos=1)
            press.until(lambda: press.refused)
            self.assertEqual(press.refused, [reason], payload)
        press.publish_and_wait("plant/works/press/7", '{"t": 41.5}')
        watcher.until(lambda: watcher.messages)
        self.assertEqual([payload for _, payload, _, _ in watcher.messages], [b'{"t": 41.5}'])
        wait_until("the reading is there", lambda: node.value("works/t") == 41.5)
        standing = rule(node, "presses")
        self.assertEqual((standing["matched"], standing["broke"], standing["mode"]), (5, 4, "reject"))
        offender = standing["offenders"][0]
        self.assertEqual((offender["client"], offender["topic"], offender["count"]), ("press", "plant/works/press/7", 4))
        self.assertIn("at most 100 are allowed", offender["words"])
        metrics = http(node.http, "GET", "/metrics").text
        self.assertIn('andon_mqtt_rule_broken_total{rule="presses"} 4', metrics)
        told = wait_until("it is told", lambda: [e["summary"] for e in node.timeline(kind="system") if e["detail"]["action"] == "topic_rules"])
        self.assertEqual(len([words for words in told if '"presses"' in words]), 1, "once, however often it is broken")
        # Who is no 5.0 client has no word for "no": its connection ends, and it does not take the message for delivered.
        old = Client("old", 4, durable=False).connect(node.mqtt)
        old.publish("plant/works/press/7", "{", qos=1)
        with self.assertRaises(OSError):
            old.until(lambda: old.acknowledged)
        left = wait_until("why it went is told", lambda: node.get("/api/mqtt/departures?client=old").json["departures"])
        self.assertIn("breaks the rule of its topic", left[0]["reason"])
        by_hand = node.post("/api/mqtt/publish", {"topic": "plant/works/press/7", "text": "{"})
        self.assertEqual(by_hand.status, 409)
        self.assertIn("presses", by_hand.text)
        asked = node.post("/api/mqtt/permission", {"wish": "publish", "topic": "plant/works/press/7"}).json["verdict"]
        self.assertTrue(asked["allowed"])
        self.assertIn('topic rule "presses"', asked["reason"])
        asked = node.post("/api/mqtt/permission", {"wish": "publish", "topic": "plant/mill/a"}).json["verdict"]
        self.assertFalse(asked["allowed"])
        self.assertIn('no equipment "mill"', asked["reason"])
        for client in (watcher, press):
            client.close()

    def test_what_is_in_quarantine_outlives_a_kill_and_is_released_or_thrown_away(self):
        node = self.node()
        node.apply(PLANT.replace("MODE", "quarantine"))
        watcher = Client("watcher", 5).connect(node.mqtt).subscribe("plant/#", qos=1)
        old = Client("old", 4, durable=False).connect(node.mqtt)
        for payload in ('{"t": 95}', '{"t": "n/a"}'):
            old.publish_and_wait("plant/works/press/7", payload)
        node.kill()
        node.start()
        kept = node.get("/api/mqtt/quarantine").json
        self.assertEqual([(m["preview"], m["client"], m["rule"]) for m in kept["messages"]], [('{"t": "n/a"}', "old", "presses"), ('{"t": 95}', "old", "presses")])
        self.assertIsNone(node.value("works/t"))
        watcher = Client("watcher", 5).connect(node.mqtt)
        newest, oldest = (m["number"] for m in kept["messages"])
        released = node.post("/api/mqtt/quarantine/release", {"number": oldest, "reason": "measured by hand"})
        self.assertEqual((released.status, released.json["reached"]), (200, 1))
        watcher.until(lambda: watcher.messages)
        self.assertEqual(watcher.messages[0][1], b'{"t": 95}')
        wait_until("the reading is there", lambda: node.value("works/t") == 95)
        self.assertEqual(node.post("/api/mqtt/quarantine/discard", {"number": newest}).status, 204)
        self.assertEqual(node.post("/api/mqtt/quarantine/discard", {"number": newest}).status, 404)
        self.assertEqual(node.get("/api/mqtt/quarantine").json["total"], 0)
        told = wait_until("both are recorded", lambda: (all := [e["summary"] for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_quarantine"]) and len(all) == 2 and all)
        self.assertTrue(any("released from quarantine: measured by hand" in words for words in told), told)
        watcher.close()

    def test_all_of_a_credential_is_of_all_its_clients_and_of_nobody_else(self):
        node = self.node()
        node.apply(PLANT.replace("MODE", "quarantine"))
        login = lambda name: {key: (made := node.post("/api/devices", {"name": name, "publish": ["plant/#"]}).json)[key] for key in ("user", "password")}
        meter, fan = login("meter"), login("fan")
        clients = [Client(name, 4, durable=False, **who).connect(node.mqtt) for name, who in (("fan-1", fan), ("meter-1", meter), ("meter-2", meter))]
        for client in clients:
            client.publish_and_wait("plant/works/press/7", '{"t": "n/a"}')
        kept = lambda: node.get("/api/mqtt/quarantine?rule=presses").json["messages"]
        newest = kept()[0]
        self.assertEqual([(m["client"], m["alike"]) for m in kept()], [("meter-2", 2), ("meter-1", 2), ("fan-1", 1)])
        done = node.post("/api/mqtt/quarantine/discard-all", {"like": newest["number"], "up_to": newest["number"]})
        self.assertEqual(done.json, {"discarded": 2})
        self.assertEqual([m["client"] for m in kept()], ["fan-1"])
        told = wait_until("it is recorded", lambda: [e["summary"] for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_quarantine"])
        self.assertEqual(told, ['MQTT: 2 messages of the client "meter-2" and 1 other client of the same credential under the topic rule "presses", thrown away from quarantine'])
        for client in clients:
            client.drop()

    def test_all_of_a_publisher_and_all_of_a_rule_are_thrown_away_at_once_and_recorded_once(self):
        node = self.node()
        node.apply(PLANT.replace("MODE", "quarantine"))
        clients = {name: Client(name, 4, durable=False).connect(node.mqtt) for name in ("press", "mill")}
        clear = lambda **what: node.post("/api/mqtt/quarantine/discard-all", what)
        kept = lambda: node.get("/api/mqtt/quarantine?rule=presses").json
        for n in range(40):
            for client in clients.values():
                client.publish_and_wait("plant/works/press/7", f'{{"t": "{n}"}}')
        first = kept()
        self.assertEqual((first["total"], first["messages"][0]["alike"]), (80, 40), "without a credential each client is for itself")
        newest = first["messages"][0]["number"]
        clients["press"].publish_and_wait("plant/works/press/7", '{"t": "later"}')
        for what, status in (({"up_to": newest}, 400), ({"rule": "presses", "like": newest, "up_to": newest}, 400), ({"rule": "none", "up_to": newest}, 404), ({"like": newest + 9_999, "up_to": newest}, 404)):
            self.assertEqual(clear(**what).status, status, what)
        mills = first["messages"][0]["number"] if first["messages"][0]["client"] == "mill" else first["messages"][1]["number"]
        self.assertEqual(clear(like=mills, up_to=newest).json, {"discarded": 40})
        self.assertEqual({m["client"] for m in kept()["messages"]}, {"press"}, "nobody else's is gone")
        done = clear(rule="presses", up_to=newest, reason="mended")
        self.assertEqual((done.status, done.json), (200, {"discarded": 40}))
        self.assertEqual([m["preview"] for m in kept()["messages"]], ['{"t": "later"}'], "what came after it was looked at stays")
        later = kept()["messages"][0]["number"]
        self.assertEqual(clear(like=later, up_to=later).json, {"discarded": 1})
        self.assertEqual(clear(like=later, up_to=later).status, 404)
        told = lambda: [e["summary"] for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_quarantine"]
        wait_until("both are recorded", lambda: len(told()) == 3)
        self.assertIn('40 messages of the client "mill" under the topic rule "presses", thrown away', told()[2])
        self.assertEqual(told()[1], 'MQTT: 40 messages under the topic rule "presses", thrown away from quarantine: mended')
        self.assertIn('1 message of the client "press" under the topic rule "presses", thrown away', told()[0])
        node.kill()
        node.start()
        self.assertEqual(kept()["total"], 0)
        for client in clients.values():
            client.drop()

    def test_of_two_people_who_decide_on_a_message_the_record_says_whose_decision_it_was(self):
        node = self.node()
        node.apply(PLANT.replace("MODE", "quarantine"))
        press = Client("press", 4, durable=False).connect(node.mqtt)
        for n in range(12):
            press.publish_and_wait("plant/works/press/7", '{"t": "n/a"}')
        for message in node.get("/api/mqtt/quarantine").json["messages"]:
            with ThreadPoolExecutor(2) as people:
                asked = [people.submit(node.post, f"/api/mqtt/quarantine/{way}", {"number": message["number"]}) for way in ("release", "discard")]
            self.assertEqual([answer.result().status == 404 for answer in asked].count(True), 1)
        told = lambda: [e["summary"] for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_quarantine"]
        stands = lambda: [("after all" not in words) - ("after all" in words) for words in told()]
        wait_until("each is decided once", lambda: sum(stands()) == 12)
        press.close()

    def test_a_volatile_topic_is_acknowledged_at_once_and_only_what_is_retained_outlives_a_kill(self):
        node = self.node()
        node.apply(PLANT.replace("MODE", "warn"))
        here = Client("here", 5, durable=False).connect(node.mqtt).subscribe("fast/#", "slow/#", qos=2)
        away = Client("away", 4).connect(node.mqtt).subscribe("fast/#", "slow/#", qos=2)
        away.close()
        press = Client("press", 5, durable=False).connect(node.mqtt)
        for qos in (1, 2):
            press.publish_and_wait("fast/a", str(qos), qos=qos)
        press.publish_and_wait("fast/kept", "kept", retain=True)
        press.publish_and_wait("slow/a", "slow")
        here.until(lambda: len(here.messages) == 4)
        # Paho hands out a QoS 2 message at the end of its handshake, after others that came later.
        self.assertEqual(sorted((payload, qos) for _, payload, qos, _ in here.messages), [(b"1", 1), (b"2", 2), (b"kept", 1), (b"slow", 1)])
        node.kill()
        node.start()
        away = Client("away", 4).connect(node.mqtt)
        away.until(lambda: len(away.messages) == 2)
        self.assertEqual([payload for _, payload, _, _ in away.messages], [b"kept", b"slow"])
        late = Client("late", 5, durable=False).connect(node.mqtt).subscribe("fast/#", qos=1)
        late.until(lambda: late.messages)
        self.assertEqual(late.messages[0][1], b"kept")
        for client in (away, late):
            client.close()

