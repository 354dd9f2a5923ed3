"""Paho and mosquitto as judges of what people see of the broker: what flows, who is there, and that the dry run says what then happens."""

import urllib.parse

from harness import Case, run, wait_until
from mqtt import Client
from test_paho import HOUSE

DEVICES = [
    {"name": "press-7", "publish": ["plant/press-7/#", "plant/+/state"], "subscribe": ["plant/press-7/set", "plant/+/state"]},
    {"name": "wall", "publish": [], "subscribe": ["plant/#"]},
    {"name": "lamp", "publish": ["andon/#"], "subscribe": ["#"], "operate": "house/ground/living"},
    {"name": "guest", "publish": ["andon/#"], "subscribe": ["#"]},
]


class Flow(Case):
    def topic(self, node, topic):
        answer = node.get("/api/mqtt/topic?" + urllib.parse.urlencode({"topic": topic}))
        return answer.json if answer.status == 200 else None

    def test_what_foreign_clients_publish_is_listed_whole_with_qos_retain_and_publisher(self):
        node = self.node()
        host, port = node.mqtt
        for version in ("mqttv311", "mqttv5"):
            for qos in "012":
                topic = f"flow/{version}/{qos}"
                command = ["mosquitto_pub", "-h", host, "-p", str(port), "-V", version, "-q", qos, "-i", f"pub-{qos}", "-t", topic, "-m", f"{qos}.5", *(["-r"] if qos == "1" else [])]
                self.assertEqual(run(command).returncode, 0)
                seen = wait_until(f"{topic} is listed", lambda: self.topic(node, topic))
                last = seen["topic"]
                self.assertEqual((seen["text"], last["kind"], last["qos"], last["count"]), (f"{qos}.5", "number", int(qos), 1))
                self.assertEqual((last["retain"], last["retained"], last["publisher"]), (qos == "1", qos == "1", f"pub-{qos}"))
        level = node.get("/api/mqtt/topics?under=flow").json
        self.assertEqual([(row["name"], row["below"]) for row in level["rows"]], [("mqttv311", 3), ("mqttv5", 3)])
        # What is retained is known again after a restart, and nothing else is.
        node.restart()
        level = node.get("/api/mqtt/topics?under=flow").json
        self.assertEqual([(row["name"], row["below"]) for row in level["rows"]], [("mqttv311", 1), ("mqttv5", 1)])
        self.assertEqual(self.topic(node, "flow/mqttv5/1")["topic"]["count"], 0)
        self.assertEqual(node.get("/api/mqtt/value?topic=flow/mqttv5/1").text, "1.5")

    def test_a_thousand_topics_are_paged_through_without_a_gap(self):
        node = self.node()
        publisher = Client("many", 5).connect(node.mqtt)
        for n in range(1000):
            publisher.publish(f"many/{n:04}", str(n), qos=1)
        publisher.until(lambda: len(publisher.acknowledged) == 1000)
        names = []
        for skip in range(0, 1000, 300):
            page = node.get(f"/api/mqtt/topics?under=many&skip={skip}&limit=300").json
            self.assertEqual(page["total"], 1000)
            names += [row["name"] for row in page["rows"]]
        self.assertEqual(names, [f"{n:04}" for n in range(1000)])

    def test_a_client_is_told_with_why_it_went_and_its_connection_can_be_ended(self):
        node = self.node()
        client = Client("press-7", 5, durable=True).connect(node.mqtt).subscribe("plant/+/set", qos=1)
        one = node.get("/api/mqtt/client?client=press-7").json
        self.assertTrue(one["client"]["connected"])
        self.assertEqual([(s["filter"], s["qos"]) for s in one["subscriptions"]], [("plant/+/set", 1)])
        under = node.get("/api/mqtt/subscriptions?topic=plant/a/set").json
        self.assertEqual([s["client_id"] for s in under["subscriptions"]], ["press-7"])
        self.assertEqual(node.get("/api/mqtt/subscriptions?topic=plant/a").json["total"], 0)
        self.assertEqual(node.post("/api/mqtt/disconnect", {"client_id": "press-7", "reason": "a test"}).status, 204)
        away = wait_until("it is away", lambda: (c := node.get("/api/mqtt/client?client=press-7").json)["client"]["connected"] is False and c)
        self.assertIn("administrative action", away["client"]["left"]["reason"])
        self.assertEqual(node.post("/api/mqtt/disconnect", {"client_id": "press-7"}).status, 404)
        event = wait_until("it is recorded", lambda: next((e for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_disconnected"), None))
        self.assertIn('"press-7" was ended by hand: a test', event["summary"])
        client.paho.disconnect()

    def test_a_message_by_hand_reaches_a_foreign_subscriber_with_its_properties(self):
        node = self.node()
        subscriber = Client("sub", 5).connect(node.mqtt).subscribe("by/hand", qos=1)
        properties = []
        plain = subscriber.on_message
        subscriber.on_message = lambda message: (properties.append(message.properties), plain(message))
        body = {"topic": "by/hand", "text": "grün", "qos": 1, "content_type": "text/plain", "response_topic": "by/answer", "correlation_data": "7", "user_properties": [["a", "1"], ["a", "2"]]}
        answer = node.post("/api/mqtt/publish", body)
        self.assertEqual((answer.status, answer.json), (200, {"reached": 1, "durable": True}))
        subscriber.until(lambda: len(subscriber.messages) == 1)
        self.assertEqual(subscriber.messages, [("by/hand", "grün".encode(), 1, False)])
        got = properties[0]
        self.assertEqual((got.ContentType, got.ResponseTopic, got.CorrelationData), ("text/plain", "by/answer", b"7"))
        self.assertEqual(got.UserProperty, [("a", "1"), ("a", "2")])


class DryRun(Case):
    """Each answer of the dry run is held against what the broker does with a real client."""

    def setUp(self):
        super().setUp()
        self.here = self.node(anonymous=False)
        self.here.apply(HOUSE)
        self.passwords = {}
        for device in DEVICES:
            made = self.here.post("/api/devices", device)
            self.assertEqual(made.status, 201, made)
            self.passwords[device["name"]] = made.json["password"]

    def ask(self, user, wish, topic, **more):
        answer = self.here.post("/api/mqtt/permission", {"user": user, "wish": wish, "topic": topic, **more})
        self.assertEqual(answer.status, 200, answer)
        return answer.json["verdict"]

    def client(self, user, client_id):
        return Client(client_id, 5, durable=False, user=user, password=self.passwords[user]).connect(self.here.mqtt)

    def test_publishing_happens_as_it_was_said(self):
        cases = [
            ("press-7", "plant/press-7/temperature", True, '"plant/press-7/#" lets it'),
            ("press-7", "plant/press-8/state", True, '"plant/+/state" lets it'),
            ("press-7", "plant/press-8/temperature", False, '"plant/press-7/#", "plant/+/state"'),
            ("press-7", "$SYS/broker/version", False, "the server's"),
            ("wall", "plant/a", False, "matches: none"),
            ("lamp", "andon/house/ground/living/lamp/set", None, "may operate this tag"),
            ("guest", "andon/house/ground/living/lamp/set", False, "may not operate the tag house/ground/living/lamp"),
        ]
        clients = {user: self.client(user, f"c-{user}") for user in self.passwords}
        for user, topic, wanted, word in cases:
            with self.subTest(user=user, topic=topic):
                said = self.ask(user, "publish", topic)
                self.assertIn(word, said["reason"])
                self.assertEqual(said["allowed"], wanted is not False)
                client = clients[user]
                before = len(client.acknowledged), len(client.refused)
                client.publish(topic, "true", qos=1)
                client.until(lambda: (len(client.acknowledged), len(client.refused)) != before, 20)
                if wanted is None:
                    # It may; the lamp is not there to obey, and that is another matter.
                    self.assertNotIn("Not authorized", client.refused[-1:])
                else:
                    self.assertEqual(len(client.acknowledged) > before[0], wanted, client.refused)

    def test_subscribing_and_receiving_happen_as_it_was_said(self):
        speaker = self.client("press-7", "speaker")
        wall = self.client("wall", "wall-1")
        for filter_, wanted in [("plant/#", True), ("plant/+/state", True), ("#", False), ("+/press-7/state", False), ("other", False)]:
            with self.subTest(filter=filter_):
                self.assertEqual(self.ask("wall", "subscribe", filter_)["allowed"], wanted)
        said = self.ask("wall", "receive", "plant/press-7/state", client="wall-1")
        self.assertEqual((said["allowed"], "None of its subscriptions matches" in said["reason"]), (False, True), said)
        wall.subscribe("plant/+/state", qos=1)
        said = self.ask("wall", "receive", "plant/press-7/state", client="wall-1")
        self.assertTrue(said["allowed"], said)
        self.assertIn("connected, and gets it", said["reason"])
        self.assertFalse(self.ask("wall", "receive", "plant/press-7/temperature", client="wall-1")["allowed"])
        for topic in ("plant/press-7/temperature", "plant/press-7/state"):
            speaker.publish(topic, "1", qos=1)
        speaker.until(lambda: len(speaker.acknowledged) == 2)
        wall.until(lambda: wall.messages)
        self.assertEqual([m[0] for m in wall.messages], ["plant/press-7/state"])

    def test_who_is_not_let_in_is_told_so(self):
        said = self.here.post("/api/mqtt/permission", {"wish": "publish", "topic": "a"}).json["verdict"]
        self.assertEqual((said["allowed"], said["reason"]), (False, "Clients without credentials are not let in"))
        self.assertEqual(self.here.post("/api/mqtt/permission", {"user": "nobody", "wish": "publish", "topic": "a"}).status, 404)
