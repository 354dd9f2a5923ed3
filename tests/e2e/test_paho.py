"""Paho as the judge: the handshakes over a restart, and payloads that become tags."""

import json

from harness import Case, now_ms, wait_until
from mqtt import Client

HOUSE = """
[[equipment]]
path = "house"
level = "house"
profile = "home"
title = "The house"

[[equipment]]
path = "house/ground"
level = "floor"
title = "Ground floor"

[[equipment]]
path = "house/ground/living"
level = "room"
title = "Living room"

[[tag]]
path = "house/ground/living/temperature"
title = "Temperature"
type = "double"
unit = "Cel"

[[alarm]]
tag = "house/ground/living/temperature"
condition = "high"
limit = 30
priority = "medium"
message = "Too warm"

[[tag]]
path = "house/ground/living/contact"
title = "Window"
type = "boolean"

[[tag]]
path = "house/ground/living/lamp"
title = "Lamp"
type = "boolean"
write = { life = "3s", confirm_within = "2s" }

[[topic]]
filter = "zigbee2mqtt/living_climate"
format = "zigbee2mqtt"
fields = [
  { path = "temperature", tag = "house/ground/living/temperature" },
  { path = "contact", tag = "house/ground/living/contact", true = true, false = false },
]

[[topic]]
filter = "zigbee2mqtt/living_lamp"
format = "zigbee2mqtt"
fields = [{ path = "state", tag = "house/ground/living/lamp" }]
command = [{ tag = "house/ground/living/lamp", command_topic = "andon/house/ground/living/lamp/set" }]
"""


class Handshakes(Case):
    def test_qos_2_arrives_exactly_once_over_a_restart_in_the_middle_of_the_handshakes(self):
        for protocol in (4, 5):
            with self.subTest(protocol=protocol):
                node = self.node()
                subscriber = Client("sub", protocol).connect(node.mqtt).subscribe("once/#", qos=2)
                publisher = Client("pub", protocol).connect(node.mqtt)
                sent = [f"{protocol}-{n}" for n in range(200)]
                for payload in sent:
                    publisher.publish("once/a", payload, qos=2)
                # Some handshakes are through, the others stand anywhere between PUBLISH and PUBCOMP.
                publisher.until(lambda: len(publisher.acknowledged) >= 40)
                subscriber.until(lambda: len(subscriber.messages) >= 20)
                node.kill()
                node.start()
                publisher.connect(node.mqtt).until(lambda: len(publisher.acknowledged) == len(sent), 20)
                subscriber.connect(node.mqtt)
                self.assertTrue(subscriber.session_present)
                # A message after all others shows that nothing comes any more.
                publisher.publish_and_wait("once/end", "end", qos=2)
                subscriber.until(lambda: subscriber.messages[-1:] and subscriber.messages[-1][1] == b"end", 20)
                got = [payload.decode() for _, payload, _, _ in subscriber.messages]
                self.assertEqual(sorted(got), sorted([*sent, "end"]), "each once")
                node.close()

    def test_both_versions_talk_to_each_other(self):
        node = self.node()
        old = Client("old", 4, durable=False).connect(node.mqtt).subscribe("talk/+", qos=1)
        new = Client("new", 5, durable=False).connect(node.mqtt).subscribe("talk/+", qos=2)
        old.publish_and_wait("talk/4", "from 3.1.1", qos=2)
        new.publish_and_wait("talk/5", "from 5.0", qos=1)
        wanted = {("talk/4", b"from 3.1.1"), ("talk/5", b"from 5.0")}
        for client, most in ((old, 1), (new, 2)):
            client.until(lambda: {m[:2] for m in client.messages} >= wanted)
            self.assertTrue(all(qos <= most for _, _, qos, _ in client.messages), client.messages)

    def test_a_second_client_of_the_same_name_takes_over_the_session(self):
        node = self.node()
        for protocol in (4, 5):
            first = Client(f"twin{protocol}", protocol).connect(node.mqtt).subscribe("twin", qos=1)
            second = Client(f"twin{protocol}", protocol).connect(node.mqtt)
            self.assertTrue(second.session_present)
            with self.assertRaises(ConnectionError):
                first.until(lambda: False, 5)
            Client("other", protocol, durable=False).connect(node.mqtt).publish_and_wait("twin", "x")
            second.until(lambda: second.messages)

    def test_a_clean_start_forgets_the_old_session(self):
        node = self.node()
        for protocol in (4, 5):
            Client(f"forget{protocol}", protocol).connect(node.mqtt).subscribe("forget", qos=1).close()
            clean = Client(f"forget{protocol}", protocol, durable=False).connect(node.mqtt)
            self.assertFalse(clean.session_present)
            clean.close()
            again = Client(f"forget{protocol}", protocol).connect(node.mqtt)
            self.assertFalse(again.session_present)
            again.close()


class Mapping(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(HOUSE)

    def test_a_zigbee2mqtt_payload_becomes_values_and_history_at_every_qos(self):
        began = now_ms() - 1000
        tag = "house/ground/living/temperature"
        for protocol in (4, 5):
            client = Client(f"z2m{protocol}", protocol, durable=False).connect(self.here.mqtt)
            for qos in (0, 1, 2):
                value = protocol * 10 + qos + 0.5
                client.publish("zigbee2mqtt/living_climate", json.dumps({"temperature": value, "contact": qos == 1, "linkquality": 80}), qos)
                client.until(lambda: self.here.value(tag) == value)
        path, value, quality, source_ms, _ = self.here.live(tag)
        self.assertEqual((path, value, quality), (tag, 52.5, 0))
        self.assertLessEqual(began, source_ms)
        wanted = [40.5, 41.5, 42.5, 50.5, 51.5, 52.5]
        stored = lambda: [p[1] for p in self.here.history(tag, began, now_ms() + 1000)["points"]]
        wait_until("all six are in history", lambda: stored() == wanted)
        self.here.kill()
        self.here.start()
        self.assertEqual(stored(), wanted, "and after a kill")
        self.assertEqual(self.here.value(tag), 52.5, "the last value too")

    def test_old_messages_raise_no_alarm_again_and_change_no_value_after_a_kill(self):
        name = "house/ground/living/temperature:high"
        client = Client("sensor").connect(self.here.mqtt)
        for round_ in range(3):
            client.publish_and_wait("zigbee2mqtt/living_climate", '{"temperature": 35}')
            alarm = wait_until("raised", lambda: self.here.alarm(name))
            self.here.post("/api/alarms/ack", {"alarms": [{"name": name, "occurrence": alarm["occurrence"]}]})
            client.publish_and_wait("zigbee2mqtt/living_climate", '{"temperature": 20}')
            wait_until("normal", lambda: self.here.alarm(name) is None)
            changes = lambda: len(self.here.timeline(kind="alarm"))
            wait_until("each step is in the timeline", lambda: changes() == 3 * (round_ + 1))
            stored = lambda: [p[1] for p in self.here.history("house/ground/living/temperature", now_ms() - 60_000, now_ms())["points"]]
            wait_until("the readings are stored", lambda: stored() == [35.0, 20.0] * (round_ + 1))
            self.here.kill()
            self.here.start()
            client.connect(self.here.mqtt)
            self.assertEqual(self.here.live("house/ground/living/temperature")[1:3], [20.0, 0])
        client.publish_and_wait("zigbee2mqtt/living_climate", '{"contact": true}')
        client.until(lambda: self.here.value("house/ground/living/contact") is True)
        self.assertEqual(changes(), 9, "no step more than happened")

    def test_an_acknowledged_message_raises_its_alarm_even_if_the_node_dies_at_once(self):
        client = Client("sensor").connect(self.here.mqtt)
        for degrees in (35, 36, 37):
            client.publish_and_wait("zigbee2mqtt/living_climate", f'{{"temperature": {degrees}}}')
            self.here.kill()
            self.here.start()
            wait_until("the last value is there", lambda: self.here.value("house/ground/living/temperature") == degrees)
            wait_until("the alarm stands", lambda: self.here.alarm("house/ground/living/temperature:high")["state"] == "unacknowledged")
            client.connect(self.here.mqtt)
        raised = lambda: [e for e in self.here.timeline(kind="alarm") if e["detail"]["to"] == "unacknowledged"]
        wait_until("it was raised once", lambda: len(raised()) == 1)

    def test_an_offline_device_makes_its_tags_bad_and_its_next_word_good(self):
        client = Client("bridge", durable=False).connect(self.here.mqtt)
        client.publish_and_wait("zigbee2mqtt/living_climate", '{"temperature": 20.5}')
        client.publish_and_wait("zigbee2mqtt/living_climate/availability", '{"state": "offline"}')
        quality = lambda: self.here.live("house/ground/living/temperature")[2]
        client.until(lambda: quality() >= 0x8000_0000)
        client.publish_and_wait("zigbee2mqtt/living_climate/availability", '{"state": "online"}')
        client.publish_and_wait("zigbee2mqtt/living_climate", '{"temperature": 21.5}')
        client.until(lambda: quality() == 0)

    def test_a_broken_payload_changes_nothing(self):
        client = Client("stray", durable=False).connect(self.here.mqtt)
        client.publish_and_wait("zigbee2mqtt/living_climate", '{"temperature": 20.5}')
        for payload in ("{", '{"temperature": "warm"}', '{"temperature": 1e999}', "\x00\x01", "[" * 5000):
            client.publish_and_wait("zigbee2mqtt/living_climate", payload)
        client.publish_and_wait("zigbee2mqtt/living_climate", '{"contact": true}')
        client.until(lambda: self.here.value("house/ground/living/contact") is True)
        self.assertEqual(self.here.live("house/ground/living/temperature")[1:3], [20.5, 0])

    def test_a_command_reaches_the_device_as_its_own_message_and_its_report_confirms_it(self):
        device = Client("lamp", durable=False).connect(self.here.mqtt).subscribe("zigbee2mqtt/living_lamp/set", qos=1)
        device.on_message = lambda message: device.publish("zigbee2mqtt/living_lamp", message.payload)
        device.publish_and_wait("zigbee2mqtt/living_lamp", '{"state": "OFF"}')
        device.paho.loop_start()
        self.addCleanup(device.paho.loop_stop)
        done = self.here.post("/api/commands", {"tag": "house/ground/living/lamp", "value": True})
        self.assertEqual(done.json["outcome"], "confirmed", done)
        self.assertIs(self.here.value("house/ground/living/lamp"), True)

    def test_a_command_to_a_device_that_is_away_fails_and_is_not_kept_for_it(self):
        device = Client("lamp").connect(self.here.mqtt).subscribe("zigbee2mqtt/living_lamp/set", qos=1)
        device.publish_and_wait("zigbee2mqtt/living_lamp", '{"state": "OFF"}')
        device.close()
        wait_until("the lamp is away", lambda: not self.here.mqtt_client("lamp")["connected"])
        done = self.here.post("/api/commands", {"tag": "house/ground/living/lamp", "value": True})
        self.assertEqual(done.json["outcome"], "failed", done)
        self.assertIn("not connected", done.json["detail"])
        device.connect(self.here.mqtt)
        self.assertTrue(device.session_present)
        device.subscribe("end", qos=1).publish_and_wait("end", "x")
        device.until(lambda: device.messages)
        self.assertEqual([m[0] for m in device.messages], ["end"], "a command is never queued")

    def test_who_asks_by_mqtt_for_what_cannot_be_done_hears_no_at_every_qos(self):
        asking = Client("asking", 5, durable=False).connect(self.here.mqtt)
        for qos in (1, 2):
            asking.publish("andon/house/ground/living/lamp/set", "ON", qos)
            asking.until(lambda: len(asking.refused) == qos or asking.acknowledged)
            self.assertEqual(asking.acknowledged, set(), f"QoS {qos}")
