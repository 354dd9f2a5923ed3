"""Discovery judged by Home Assistant itself: its MQTT integration (2024.3.3) runs as a client of our broker, in a process that says and hears lines of JSON."""

import json
import os
import queue
import subprocess
import threading
import unittest
import uuid
from pathlib import Path

import paho.mqtt.client as paho
from harness import HERE, Case, run, spawn, wait_until
from mqtt import Client

VENV = Path(os.environ.get("ANDON_HOME_ASSISTANT_VENV") or os.environ.get("ANDON_VENV", str(Path.home() / ".cache/andon/venv")) + "-homeassistant")
JUDGED = HERE.parents[1] / "crates/wire/cases/value_template/judged.json"
ANNOUNCEMENTS = HERE / "homeassistant/announcements.json"
NO_COMMUNICATION = 0x8031_0000
UNITS = {"°C": "Cel", "kWh": "kW.h"}
# Parts of it that want packages or a web server which are not there; nothing of discovery.
APART = ("homeassistant.setup", "homeassistant.components.camera", "homeassistant.components.image", "homeassistant.config_entries")


def python() -> Path:
    if not (VENV / "bin/python").exists():
        raise unittest.SkipTest(f"{VENV} is missing; scripts/setup.sh test makes it")
    return VENV / "bin/python"


class HomeAssistant:
    """Home Assistant, connected to a node."""

    def __init__(self, case: Case, node, user: str, password: str):
        self.process = spawn(
            [python(), "-B", HERE / "homeassistant/peer.py", node.mqtt[1], user, password],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        case.addCleanup(self.close)
        self.events: queue.Queue = queue.Queue()
        self.states: dict[str, dict] = {}
        self.logs: list[str] = []
        self.answers: list[dict] = []
        threading.Thread(target=self._read, daemon=True).start()
        wait_until("Home Assistant is there", lambda: self.heard() and any("ready" in answer for answer in self.answers), 60)

    def _read(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def heard(self):
        while not self.events.empty():
            event = self.events.get()
            if "state" in event:
                self.states[event["state"]] = event
            elif "log" in event:
                if not event["by"].startswith(APART):
                    self.logs.append(event["text"])
            else:
                self.answers.append(event)
        return True

    def state(self, entity: str):
        self.heard()
        return self.states.get(entity, {}).get("is")

    def wait(self, entity: str, state, deadline: float = 15):
        wait_until(f"{entity} is {state}; it is {self.states.get(entity)}; {self.logs[-3:]}", lambda: self.state(entity) == state, deadline)

    def call(self, domain: str, service: str, **data):
        self.heard()
        count = len(self.answers)
        self.process.stdin.write(json.dumps({"call": [domain, service, data]}) + "\n")
        self.process.stdin.flush()
        wait_until(f"{domain}.{service} is done", lambda: self.heard() and len(self.answers) > count)
        answer = self.answers[-1]
        assert answer.get("called"), answer


class Device:
    """A device that holds what it is told and reports it: what comes to `dev/<name>/set` it says on `dev/<name>`."""

    def __init__(self, case: Case, node):
        self.told: list[tuple[str, str]] = []
        ready = threading.Event()
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=f"device-{uuid.uuid4().hex[:6]}")
        self.paho.on_message = self._told
        self.paho.on_subscribe = lambda *_: ready.set()
        self.paho.connect(*node.mqtt)
        self.paho.subscribe("dev/+/set", 1)
        self.paho.loop_start()
        case.addCleanup(self.paho.loop_stop)
        case.addCleanup(self.paho.disconnect)
        assert ready.wait(10)

    def _told(self, _client, _userdata, message):
        payload = message.payload.decode()
        self.told.append((message.topic, payload))
        self.paho.publish(message.topic.removesuffix("/set"), payload, 1)

    def say(self, name: str, payload: str):
        self.paho.publish(f"dev/{name}" if "/" not in name else name, payload, 1).wait_for_publish(10)


# name, rest of the tag, rest of the topic's mapping
TAGS = [
    ("temperature", 'type = "double"\nunit = "Cel"\ndigits = 1', ""),
    ("energy", 'type = "double"\nunit = "kW.h"', ""),
    ("flow", 'type = "double"\nunit = "L/min"', ""),
    ("count", 'type = "int64"', ""),
    ("door", 'type = "boolean"', ""),
    ("stage", 'type = "int64"\nstates = { 0 = "idle", 1 = "heating" }', ""),
    ("note", 'type = "string"', ""),
    ("on", 'type = "boolean"\nwrite = {}', 'command = { tag = "home/living/heater/on", topic = "dev/on/set", on = "ON", off = "OFF" }'),
    ("set_point", 'type = "double"\nunit = "Cel"\nrange = [5, 30]\ndigits = 1\nwrite = {}', 'command = { tag = "home/living/heater/set_point", topic = "dev/set_point/set" }'),
    ("mode", 'type = "int64"\nstates = { 0 = "eco", 1 = "comfort" }\nwrite = { min = 0, max = 1 }', 'command = { tag = "home/living/heater/mode", topic = "dev/mode/set" }'),
    ("label", 'type = "string"\nwrite = {}', 'command = { tag = "home/living/heater/label", topic = "dev/label/set" }'),
    ("restart", 'type = "int64"\nstates = { 1 = "press" }\nwrite = { min = 1, max = 1 }', 'values = { PRESS = 1 }\ncommand = { tag = "home/living/heater/restart", topic = "dev/restart/set", values = { PRESS = 1 } }'),
    ("guarded", 'type = "boolean"\nwrite = { needs_reason = true }', 'command = { tag = "home/living/heater/guarded", topic = "dev/guarded/set" }'),
]
HOUSE = """
[[equipment]]
path = "home"
level = "house"
profile = "home"
[[equipment]]
path = "home/living"
level = "room"
title = "Living room"
[[equipment]]
path = "home/living/heater"
level = "appliance"
title = "Heater"
"""
ANNOUNCE = '[[connector]]\nname = "to-ha"\ntype = "mqtt_announce"\nbranch = "home"\ncommands = true\nevery = "100ms"\n'


def tags(names=None) -> str:
    text = ""
    for name, rest, command in TAGS:
        if names is None or name in names:
            text += f'[[tag]]\npath = "home/living/heater/{name}"\n{rest}\n[[topic]]\nfilter = "dev/{name}"\nformat = "value"\ntag = "home/living/heater/{name}"\navailability = "dev/here"\n{command}\n'
    return text


class Announced(Case):
    """Our tags in Home Assistant."""

    def begin(self):
        python()
        node = self.node()
        node.apply(HOUSE + tags() + ANNOUNCE)
        made = node.post("/api/devices", {"name": "ha", "publish": ["homeassistant/status"], "subscribe": ["homeassistant/#", "andon/#"], "operate": "home"}).json
        device = Device(self, node)
        for name, value in [("temperature", "21.5"), ("energy", "12.25"), ("flow", "3.5"), ("count", "7"), ("door", "true"), ("stage", "1"), ("note", "Öl"), ("on", "OFF"), ("set_point", "20"),
                            ("mode", "0"), ("label", "x"), ("guarded", "false")]:
            device.say(name, value)
        return node, device, HomeAssistant(self, node, made["user"], made["password"])

    def test_each_tag_is_an_entity_with_its_value_unit_and_quality(self):
        node, device, ha = self.begin()
        for entity, state, attributes in [
            ("sensor.home_living_heater_temperature", "21.5", {"unit_of_measurement": "°C", "device_class": "temperature", "state_class": "measurement"}),
            ("sensor.home_living_heater_energy", "12.25", {"unit_of_measurement": "kWh", "device_class": "energy", "state_class": "total"}),
            ("sensor.home_living_heater_flow", "3.5", {"unit_of_measurement": "L/min", "device_class": "volume_flow_rate"}),
            ("sensor.home_living_heater_count", "7", {"state_class": "measurement"}),
            ("binary_sensor.home_living_heater_door", "on", {}),
            ("sensor.home_living_heater_stage", "heating", {}),
            ("sensor.home_living_heater_note", "Öl", {}),
            ("switch.home_living_heater_on", "off", {}),
            ("number.home_living_heater_set_point", "20.0", {"unit_of_measurement": "°C", "min": 5, "max": 30, "step": 0.1}),
            ("select.home_living_heater_mode", "eco", {"options": ["eco", "comfort"]}),
            ("text.home_living_heater_label", "x", {"max": 255}),
            ("binary_sensor.home_living_heater_guarded", "off", {}),
        ]:
            ha.wait(entity, state)
            told = ha.states[entity]["attributes"]
            self.assertEqual({key: told.get(key) for key in attributes}, attributes, entity)
            self.assertTrue(told["friendly_name"].startswith("Heater "), told)
            self.assertEqual(told["quality"], "Good", entity)
        device.say("temperature", "22.75")
        ha.wait("sensor.home_living_heater_temperature", "22.75")
        device.say("dev/here", "offline")
        for entity in ("sensor.home_living_heater_temperature", "switch.home_living_heater_on", "text.home_living_heater_label"):
            ha.wait(entity, "unavailable")
        device.say("temperature", "23")
        ha.wait("sensor.home_living_heater_temperature", "23.0")
        self.assertEqual(ha.logs, [], "it has nothing to complain about")

    def test_what_is_done_there_goes_through_the_door(self):
        node, device, ha = self.begin()
        on, set_point, mode, label = (f"{kind}.home_living_heater_{name}" for kind, name in [("switch", "on"), ("number", "set_point"), ("select", "mode"), ("text", "label")])
        ha.wait(label, "x")
        ha.call("switch", "turn_on", entity_id=on)
        ha.wait(on, "on")
        ha.call("number", "set_value", entity_id=set_point, value=21.5)
        ha.wait(set_point, "21.5")
        ha.call("select", "select_option", entity_id=mode, option="comfort")
        ha.wait(mode, "comfort")
        ha.call("text", "set_value", entity_id=label, value="y")
        ha.wait(label, "y")
        # A button has no state: there it is unknown until it is pressed for the first time, and it is there although the tag never had a value.
        restart = "button.home_living_heater_restart"
        ha.wait(restart, "unknown")
        ha.call("button", "press", entity_id=restart)
        wait_until("the device is told of the press", lambda: ("dev/restart/set", "PRESS") in device.told)
        self.assertEqual(sorted(device.told), [("dev/label/set", "y"), ("dev/mode/set", "1"), ("dev/on/set", "ON"), ("dev/restart/set", "PRESS"), ("dev/set_point/set", "21.5")])
        steps = [e for e in node.timeline(kind="command") if e["path"] == "home/living/heater/on"]
        self.assertEqual(len(steps), 2, "the intent and the outcome are recorded")
        # Beyond the limits of the tag, and by somebody without the right to operate it: refused, and nothing leaves.
        guest = node.post("/api/devices", {"name": "guest", "publish": ["#"], "subscribe": []}).json
        stranger = Client(f"guest-{uuid.uuid4().hex[:6]}", protocol=5, durable=False, user=guest["user"], password=guest["password"]).connect(node.mqtt)
        self.addCleanup(stranger.paho.disconnect)
        count = len(device.told)
        stranger.publish("andon/home/living/heater/on/set", "OFF")
        stranger.until(lambda: stranger.refused)
        self.assertEqual(len(device.told), count)
        self.assertEqual(ha.state(on), "on")

    def test_what_goes_is_taken_back_and_what_was_lost_is_said_again(self):
        node, _, ha = self.begin()
        sensor, door = "sensor.home_living_heater_temperature", "binary_sensor.home_living_heater_door"
        ha.wait(sensor, "21.5")
        ha.wait(door, "on")
        # Somebody deletes what stands retained; Home Assistant comes again, and hears it again.
        rogue = Client(f"rogue-{uuid.uuid4().hex[:6]}", durable=False).connect(node.mqtt).subscribe("homeassistant/+/+/+/config")
        self.addCleanup(rogue.paho.disconnect)
        rogue.until(lambda: len(rogue.messages) == len(TAGS))
        config = next(topic for topic, payload, *_ in rogue.messages if b"heater_temperature" in payload)
        rogue.publish_and_wait(config, "", retain=True)
        ha.wait(sensor, None)
        rogue.publish_and_wait("homeassistant/status", "online")
        ha.wait(sensor, "21.5", 30)
        # A tag that leaves the model leaves Home Assistant.
        export = node.cli("export").stdout
        parts = [part for part in export.split("\n[[") if '/door"' not in part and '"dev/door"' not in part]
        body = {"documents": [{"name": "all.toml", "text": "\n[[".join(parts)}], "expected_version": node.plant_version(), "reason": "no door", "prune": True}
        self.assertEqual(node.post("/api/plant/apply", body).status, 200)
        ha.wait(door, None)
        ha.wait(sensor, "21.5")
        # And a connector that is switched off takes all of it back.
        node.apply(ANNOUNCE + "enabled = false\n")
        ha.wait(sensor, None)
        fresh = Client(f"fresh-{uuid.uuid4().hex[:6]}", durable=False).connect(node.mqtt).subscribe("andon/#", "homeassistant/+/#")
        self.addCleanup(fresh.paho.disconnect)
        fresh.publish_and_wait("mark/end", "x")
        self.assertEqual([topic for topic, *_ in fresh.messages if topic != "homeassistant/status"], [])


class Found(Case):
    """What devices announce, in Home Assistant and here."""

    def test_what_devices_announce_is_the_same_here_and_there(self):
        python()
        examples = json.loads(ANNOUNCEMENTS.read_text())
        node = self.node()
        node.apply(HOUSE + '[[connector]]\nname = "devices"\ntype = "mqtt_discovery"\nplace = "home"\n')
        ha = HomeAssistant(self, node, "", "")
        device = Device(self, node)
        announce = lambda topic, payload: device.paho.publish(topic, payload, 1, True).wait_for_publish(10)
        for example in examples:
            announce(example["topic"], json.dumps(example["config"]))
        found = lambda: node.get("/api/connectors/found?name=devices").json
        wait_until("all are listed", lambda: len(found()["values"]) >= len(examples))
        listed = {value["place"].split(": ")[0]: value for value in found()["values"]}
        for example in examples:
            value = listed[example["topic"]]
            refused = example.get("refused")
            self.assertEqual(value["state"], "not understood" if refused else "proposed", value)
            self.assertIn(refused or "", value["why"])
        document = self.temporary_folder() / "found.toml"
        document.write_text(found()["document"])
        applied = node.cli("apply", document, "--reason", "found devices")
        self.assertEqual(applied.returncode, 0, applied.stderr)
        for example in examples:
            for topic, payload in example["messages"]:
                announce(topic, payload)
        model = node.cli("export").stdout
        for example in examples:
            if example["entity"]:
                ha.wait(example["entity"], example["state"])
            if example.get("refused"):
                continue
            path = listed[example["topic"]]["tag"]
            wait_until(f"{path} has a value", lambda: (node.live(path) or [None] * 3)[1] is not None)
            value = node.live(path)[1]
            wanted = {"on": True, "off": False}.get(example["state"], example.get("value"))
            if wanted is None:
                wanted = float(example["state"])
            self.assertEqual(value, wanted, example["topic"])
            if unit := example.get("unit"):
                self.assertEqual(ha.states[example["entity"]]["attributes"]["unit_of_measurement"], unit)
                tag = next(part for part in model.split("\n[[") if f'path = "{path}"' in part)
                self.assertIn(f'unit = "{UNITS.get(unit, unit)}"', tag)
        # Two devices in a room that they name: one room.
        self.assertIn('path = "home/cellar/boiler_room"', model)
        self.assertIn('path = "home/cellar/heat_pump"', model)
        # Gone is gone in both.
        announce("boiler-room/status", "offline")
        ha.wait("sensor.boiler_temperature", "unavailable")
        self.assertEqual(node.live("home/cellar/boiler_room/temperature")[1:3], [None, NO_COMMUNICATION])
        # A command leaves as the device wants it, through the door.
        device.paho.subscribe("pump/set", 1)
        told = lambda topic: [payload for at, payload in device.told if at == topic]
        command = lambda path, value: node.post("/api/commands", {"tag": path, "value": value})
        wait_until("the pump is told", lambda: command("home/cellar/heat_pump/curve", 1.5) and told("pump/set"))
        self.assertEqual(told("pump/set")[0], '{"curve": 1.5}')
        # What is taken back is told, and its tag stays until people take it out.
        announce(examples[0]["topic"], "")
        ha.wait("sensor.boiler_temperature", None)
        gone = lambda: [value for value in found()["values"] if value["state"] == "gone"]
        wait_until("it is told", gone)
        self.assertEqual(gone()[0]["tag"], "home/cellar/boiler_room/temperature")

    def test_announcements_of_device_families_become_tags(self):
        node = self.node()
        node.apply(HOUSE + '[[connector]]\nname = "devices"\ntype = "mqtt_discovery"\nplace = "home"\n')
        device = Client(f"device-{uuid.uuid4().hex[:6]}", durable=False).connect(node.mqtt)
        self.addCleanup(device.paho.disconnect)
        lamp = [{"ieee_address": "0x1", "type": "Router", "friendly_name": "kitchen/lamp", "definition": {"vendor": "V", "model": "M", "exposes": [
            {"type": "light", "features": [{"access": 7, "name": "state", "property": "state", "type": "binary", "value_on": "ON", "value_off": "OFF"}]}]}}]
        device.publish_and_wait("zigbee2mqtt/bridge/devices", json.dumps(lamp), retain=True)
        plug = {"dn": "Plug", "fn": ["Plug"], "mac": "A4E5", "md": "NOUS A1T", "ofln": "Offline", "onln": "Online", "t": "plug", "ft": "%prefix%/%topic%/", "tp": ["cmnd", "stat", "tele"],
                "rl": [1, 0], "so": {}, "lt_st": 0}
        device.publish_and_wait("tasmota/discovery/A4E5/config", json.dumps(plug), retain=True)
        device.publish_and_wait("tasmota/discovery/A4E5/sensors", json.dumps({"sn": {"ENERGY": {"Power": 5}}, "ver": 1}), retain=True)
        device.publish_and_wait("shellyplus1pm-a8/status/switch:0", json.dumps({"id": 0, "output": True, "apower": 8.9}))
        found = lambda: node.get("/api/connectors/found?name=devices").json
        wait_until("all are listed", lambda: len(found()["values"]) == 5)
        document = self.temporary_folder() / "found.toml"
        document.write_text(node.cli("found", "devices", "--document").stdout)
        listed = node.cli("found", "devices").stdout
        self.assertIn("proposed        home/kitchen/lamp/state  zigbee2mqtt/kitchen/lamp: lamp / state", listed)
        applied = node.cli("apply", document, "--reason", "found devices")
        self.assertEqual(applied.returncode, 0, applied.stderr + found()["document"])
        device.publish("zigbee2mqtt/kitchen/lamp", '{"state":"ON"}')
        device.publish("tele/plug/STATE", '{"POWER":"ON"}')
        device.publish("tele/plug/SENSOR", '{"ENERGY":{"Power":74}}')
        device.publish_and_wait("shellyplus1pm-a8/status/switch:0", json.dumps({"id": 0, "output": True, "apower": 9.5}))
        for path, value in [("home/kitchen/lamp/state", True), ("home/plug/on", True), ("home/plug/energy_power", 74.0), ("home/shellyplus1pm_a8/switch_0_apower", 9.5)]:
            wait_until(f"{path} is {value}", lambda: node.value(path) == value)
        self.assertEqual({value["state"] for value in found()["values"]}, {"mapped"})
        self.assertEqual(node.connector("devices")["tags"], 5)


class Templates(unittest.TestCase):
    def test_the_judged_answers_are_home_assistants(self):
        made = run([python(), HERE / "homeassistant/templates.py"], deadline=120)
        self.assertEqual(json.loads(made.stdout), json.loads(JUDGED.read_text()))


if __name__ == "__main__":
    unittest.main()
