"""Sparkplug B judged by others: pysparkplug and npm's sparkplug-client as edge nodes before our host application, pysparkplug as a host before our
edge node. They run as processes of their own that say and hear a line of JSON at a time."""

import json
import os
import queue
import subprocess
import threading
import unittest
import urllib.parse
import uuid
from pathlib import Path

from harness import HERE, Case, spawn, wait_until
from mqtt import Client

VENV = Path(os.environ.get("ANDON_SPARKPLUG_VENV") or os.environ.get("ANDON_VENV", str(Path.home() / ".cache/andon/venv")) + "-sparkplug")
NPM = Path(os.environ.get("ANDON_SPARKPLUG_NPM") or VENV.parent / "npm-sparkplug")
PEERS = ("pysparkplug", "npm")
GOOD, NO_COMMUNICATION, LAST_USABLE = 0, 0x8031_0000, 0x4090_0000
START = {"speed": 1.5, "count": 4_000_000_000, "offset": -7, "lamp": True, "recipe": "Öl 5", "single": 0.25}
TYPES = {"speed": "double", "count": "int64", "offset": "int64", "lamp": "boolean", "recipe": "string", "single": "double"}
WRITE = {"speed": "{ min = 0, max = 100, confirm_within = \"2s\" }", "lamp": "{ confirm_within = \"2s\" }"}


class Peer:
    """A process that says and hears lines of JSON."""

    def __init__(self, case: Case, script: str, *arguments):
        command = [VENV / "bin/python", "-B"] if script.endswith(".py") else ["node"]
        known = VENV / "bin/python" if script.endswith(".py") else NPM / "node_modules"
        if not known.exists():
            raise unittest.SkipTest(f"{known} is missing; scripts/setup.sh test makes it")
        environment = {**os.environ, "ANDON_SPARKPLUG_NPM": str(NPM)}
        self.process = spawn(
            [*command, HERE / "sparkplug" / script, *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
        )
        case.addCleanup(self.kill)
        self.events: queue.Queue = queue.Queue()
        self.seen: list[dict] = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            # npm's library logs between our lines.
            if line.startswith("{"):
                self.events.put(json.loads(line))

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()

    def say(self, **command):
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()

    def heard(self) -> list[dict]:
        """All events so far."""
        while not self.events.empty():
            self.seen.append(self.events.get())
        return self.seen

    def wait(self, what: str, ask, deadline: float = 10):
        """The first event, also of those heard before, for which `ask` is true."""
        try:
            return wait_until(what, lambda: next((event for event in self.heard() if ask(event)), None), deadline)
        except AssertionError as error:
            raise AssertionError(f"{error}; heard last: {self.seen[-5:]}") from None


def host_plant(node: str) -> str:
    tags = "".join(
        f'[[tag]]\npath = "works/press/{key}"\ntype = "{kind}"\n' + (f"write = {WRITE[key]}\n" if key in WRITE else "")
        for key, kind in TYPES.items()
    )
    metrics = "".join(
        f'[[connector.metric]]\ntag = "works/press/{key}"\nnode = "g/{node}"\ndevice = "press"\nmetric = "{key}"\n' for key in TYPES
    )
    commands = '"name"' if node == "npm" else '"alias"'
    return f"""
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/press"
level = "work_unit"
{tags}
[[connector]]
name = "floor"
type = "sparkplug_host"
host_id = "andon"
groups = ["g"]
place = "works"
reorder_timeout = "1s"
commands = {commands}
{metrics}
"""


class HostApplication(Case):
    """Our host application, with each peer as the edge node."""

    def begin(self, peer: str):
        node = self.node()
        node.apply(host_plant(peer))
        _, port = node.mqtt
        edge = self.edge(peer, port)
        for key, value in START.items():
            self.wait_value(node, key, value)
        return node, edge

    def edge(self, peer: str, port: int) -> Peer:
        return Peer(self, "edge.py" if peer == "pysparkplug" else "edge.mjs", port, "g", peer)

    def wait_value(self, node, key, value, quality=GOOD):
        wait_until(f"{key} is {value}", lambda: node.live(f"works/press/{key}")[1:3] == [value, quality])

    def test_births_and_data_become_values_of_every_type(self):
        for peer in PEERS:
            with self.subTest(peer=peer):
                node, edge = self.begin(peer)
                edge.say(device={"speed": 2.5, "offset": -32768, "recipe": "Lot 7"})
                for key, value in {"speed": 2.5, "offset": -32768, "recipe": "Lot 7"}.items():
                    self.wait_value(node, key, value)
                self.assertEqual((node.connector("floor")["state"], node.connector("floor")["tags"]), ("connected", len(TYPES)))

    def test_an_edge_node_that_was_there_before_the_host_is_asked_for_its_birth(self):
        node = self.node()
        edge = self.edge("npm", node.mqtt[1])
        edge.wait("it is born", lambda e: e.get("born"))
        certificate = Observer(self, node, "$sparkplug/certificates/#")
        certificate.wait(lambda topic, *_: topic.endswith("/DBIRTH/npm/press"))
        node.apply(host_plant("npm"))
        self.wait_value(node, "speed", 1.5)

    def test_an_edge_node_that_dies_or_leaves_is_bad_for_want_of_communication(self):
        for peer in PEERS:
            with self.subTest(peer=peer):
                node, edge = self.begin(peer)
                edge.kill()
                for key in TYPES:
                    self.wait_value(node, key, None, NO_COMMUNICATION)
                edge = self.edge(peer, node.mqtt[1])
                for key, value in START.items():
                    self.wait_value(node, key, value)
                edge.say(leave=True)
                for key in TYPES:
                    self.wait_value(node, key, None, NO_COMMUNICATION)

    def test_a_device_that_dies_is_bad_and_its_edge_node_is_not(self):
        node, edge = self.begin("pysparkplug")
        edge.say(deregister=True)
        self.wait_value(node, "speed", None, NO_COMMUNICATION)
        wait_until("the node is there", lambda: node.connector("floor")["endpoint"].startswith("1 of 1"))
        edge.say(register=True)
        self.wait_value(node, "speed", 1.5)

    def test_a_message_that_is_lost_makes_values_uncertain_until_the_node_is_born_again(self):
        node, edge = self.begin("npm")
        edge.say(deaf=True)
        edge.say(device={"speed": 9.5}, skip=1)
        edge.wait("a rebirth is asked for", lambda e: ["Node Control/Rebirth", True] in e.get("ncmd", []))
        for key, value in START.items():
            self.wait_value(node, key, value, LAST_USABLE)
        # The births bring the value that was lost.
        edge.say(birth=True)
        self.wait_value(node, "speed", 9.5)
        self.wait_value(node, "lamp", True)

    def test_a_command_is_one_message_and_confirmed_by_the_data_that_answer_it(self):
        node, edge = self.begin("npm")
        answer = node.post("/api/commands", {"tag": "works/press/speed", "value": 42.5}).json
        self.assertEqual(answer["outcome"], "confirmed", answer)
        edge.wait("the command came", lambda e: e.get("dcmd") == "press" and e["metrics"] == [["speed", 42.5]])
        self.wait_value(node, "speed", 42.5)
        node, edge = self.begin("pysparkplug")
        answer = node.post("/api/commands", {"tag": "works/press/lamp", "value": False}).json
        self.assertNotEqual(answer["outcome"], "confirmed", "this one answers nothing")
        heard = edge.wait("the command came", lambda e: "DCMD" in e.get("command", ""))
        self.assertEqual((heard["metrics"], heard["seq"]), ([[None, 103, False]], None))
        edge.kill()
        self.wait_value(node, "lamp", None, NO_COMMUNICATION)
        answer = node.post("/api/commands", {"tag": "works/press/lamp", "value": True}).json
        self.assertEqual(answer["outcome"], "failed", answer)
        self.assertIn("not online", answer["detail"])

    def test_a_command_of_another_host_goes_through_the_door_and_one_that_concerns_no_tag_is_passed_on(self):
        node, edge = self.begin("npm")
        host = Peer(self, "host.py", node.mqtt[1], "g")
        host.wait("it is connected", lambda e: e.get("ready"))
        host.say(dcmd=["npm", "press"], metrics=[["speed", "DOUBLE", 21.5]])
        refused = lambda: [e for e in node.timeline(kind="system") if "mqtt_refused" in json.dumps(e)]
        wait_until("an anonymous client may not operate it", refused)
        made = node.post("/api/devices", {"name": "scada", "publish": ["spBv1.0/g/#"], "subscribe": ["spBv1.0/#"], "operate": "works/press"}).json
        scada = Peer(self, "host.py", node.mqtt[1], "g", "scada", made["user"], made["password"])
        scada.wait("it is connected", lambda e: e.get("ready"))
        # `recipe` is a tag that cannot be written: partly for a tag is not carried out, and alone it is passed on.
        scada.say(dcmd=["npm", "press"], metrics=[["speed", "DOUBLE", 22.5], ["recipe", "STRING", "Lot 8"]])
        scada.say(dcmd=["npm", "press"], metrics=[["recipe", "STRING", "Lot 9"]])
        edge.wait("what concerns no tag is passed on", lambda e: e.get("metrics") == [["recipe", "Lot 9"]])
        scada.say(dcmd=["npm", "press"], metrics=[["speed", "DOUBLE", 23.5]])
        edge.wait("and a tag is written", lambda e: e.get("metrics") == [["speed", 23.5]])
        self.assertEqual([e["metrics"] for e in edge.heard() if "dcmd" in e], [[["recipe", "Lot 9"]], [["speed", 23.5]]])
        command = wait_until("it stands in the timeline", lambda: node.timeline(kind="command"))
        self.assertIn("scada", json.dumps(command))
        self.wait_value(node, "speed", 23.5)

    def test_members_of_a_template_are_tags_that_are_read_and_written(self):
        node, edge = self.begin("npm")
        edge.say(skid={"temperature": 21.5}, birth=True)
        found = lambda: node.get("/api/connectors/found?" + urllib.parse.urlencode({"name": "floor", "place": "works"})).json
        members = lambda: {v["place"]: v["state"] for v in found()["values"] if "Pump 1/" in v["place"]}
        wait_until("the members are found", lambda: len(members()) == 2)
        tags = '[[tag]]\npath = "works/press/temperature"\ntype = "double"\n[[tag]]\npath = "works/press/running"\ntype = "boolean"\nwrite = { confirm_within = "2s" }\n'
        member = '[[connector.metric]]\ntag = "works/press/{0}"\nnode = "g/npm"\ndevice = "skid"\nmetric = "Pump 1/{0}"\n'
        node.apply(tags + host_plant("npm") + member.format("temperature") + member.format("running"))
        self.wait_value(node, "temperature", 21.5)
        self.wait_value(node, "running", False)
        edge.say(skid={"temperature": 22.0})
        self.wait_value(node, "temperature", 22.0)
        self.wait_value(node, "running", False)
        answer = node.post("/api/commands", {"tag": "works/press/running", "value": True}).json
        self.assertEqual(answer["outcome"], "confirmed", answer)
        command = edge.wait("the command came", lambda e: e.get("dcmd") == "skid")
        self.assertEqual(command["template"], ["Pump 1", "Pump", "2.1", False])
        self.assertEqual(command["members"], {"running": True})
        self.wait_value(node, "running", True)

    def test_what_is_found_can_be_applied_as_a_document(self):
        node, edge = self.begin("pysparkplug")
        found = node.get("/api/connectors/found?" + urllib.parse.urlencode({"name": "floor"})).json
        uptime = next(v for v in found["values"] if v["place"] == "g/pysparkplug/uptime")
        self.assertEqual((uptime["state"], uptime["data_type"], uptime["tag_type"], uptime["value"]), ("proposed", "Int64", "int64", 1))
        self.assertEqual([(n["node"], n["device"], n["online"]) for n in found["nodes"]], [("g/pysparkplug", None, True), ("g/pysparkplug", "press", True)])
        self.assertEqual((found["nodes"][0]["trouble"], found["more_nodes"]), (None, 0))
        node.apply(found["document"])
        wait_until("it has its value at once", lambda: node.value("works/pysparkplug/uptime") == 1)
        edge.say(node=77)
        wait_until("and follows", lambda: node.value("works/pysparkplug/uptime") == 77)
        self.assertEqual(node.get("/api/connectors/found?name=nobody").status, 404)

    def test_after_a_restart_nothing_counts_before_the_next_birth(self):
        node, edge = self.begin("pysparkplug")
        node.stop()
        edge.kill()
        node.start()
        self.wait_value(node, "speed", None, NO_COMMUNICATION)
        found = node.get("/api/connectors/found?name=floor").json["values"]
        self.assertIn("g/pysparkplug/press/speed", [v["place"] for v in found])
        self.edge("pysparkplug", node.mqtt[1])
        self.wait_value(node, "speed", 1.5)


class Observer:
    """Any MQTT client, to see what stands where."""

    def __init__(self, case: Case, node, *filters, name="observer"):
        self.client = Client(f"{name}-{uuid.uuid4().hex[:6]}", durable=False).connect(node.mqtt).subscribe(*filters)
        case.addCleanup(self.client.paho.disconnect)

    def wait(self, ask, deadline=10):
        self.client.until(lambda: any(ask(*m) for m in self.client.messages), deadline)
        return next(m for m in self.client.messages if ask(*m))


class AwareServer(Case):
    """What a Sparkplug-aware MQTT server does, and the state of the host application."""

    def test_the_state_is_retained_and_says_when_it_goes(self):
        node = self.node()
        node.apply(host_plant("pysparkplug"))
        late = Observer(self, node, "spBv1.0/STATE/#")
        topic, payload, qos, retained = late.wait(lambda topic, *_: topic == "spBv1.0/STATE/andon")
        birth = json.loads(payload)
        self.assertEqual((birth["online"], qos, retained, sorted(birth)), (True, 1, True, ["online", "timestamp"]))
        # Somebody's old will says that it is gone; it says again that it is there, with the time of its birth.
        late.client.messages.clear()
        late.client.publish("spBv1.0/STATE/andon", json.dumps({"online": False, "timestamp": birth["timestamp"]}), qos=1, retain=True)
        late.wait(lambda _t, payload, *_: json.loads(payload) == birth)
        node.apply('[[connector]]\nname = "floor"\ntype = "sparkplug_host"\nhost_id = "andon"\ngroups = ["g"]\nenabled = false\n')
        death = json.loads(late.wait(lambda _t, payload, *_: json.loads(payload)["online"] is False and json.loads(payload) != {**birth, "online": False})[1])
        self.assertGreaterEqual(death["timestamp"], birth["timestamp"])

    def test_births_are_kept_for_those_who_come_late(self):
        node = self.node()
        peer = Peer(self, "edge.py", node.mqtt[1], "g", "n")
        peer.wait("it is connected", lambda e: e.get("ready"))
        base = "$sparkplug/certificates/spBv1.0/g"
        live = Observer(self, node, "$sparkplug/certificates/#", name="live")
        for topic in (f"{base}/NBIRTH/n", f"{base}/DBIRTH/n/press"):
            live.wait(lambda seen, *_: seen == topic)
        late = Observer(self, node, "$sparkplug/certificates/#", name="late")
        for topic in (f"{base}/NBIRTH/n", f"{base}/DBIRTH/n/press"):
            _, payload, _, retained = late.wait(lambda seen, *_: seen == topic)
            self.assertTrue(retained, topic)
            self.assertIn(b"bdSeq" if topic.endswith("/NBIRTH/n") else b"recipe", payload)
        node.restart()
        again = Observer(self, node, "$sparkplug/certificates/#", name="again")
        again.wait(lambda topic, _p, _q, retained: topic == f"{base}/DBIRTH/n/press" and retained)
        # That of one that was taken away is removed by an empty birth.
        again.client.publish("spBv1.0/g/DBIRTH/n/press", "")
        again.wait(lambda topic, payload, *_: topic == f"{base}/DBIRTH/n/press" and payload == b"")
        after = Observer(self, node, "$sparkplug/certificates/#", name="after")
        after.wait(lambda topic, *_: topic == f"{base}/NBIRTH/n")
        self.assertEqual([topic for topic, *_ in after.client.messages], [f"{base}/NBIRTH/n"])

    def test_a_death_has_the_time_at_which_it_is_told(self):
        node = self.node()
        watch = Observer(self, node, "spBv1.0/g/NDEATH/#", "spBv1.0/g/NBIRTH/#")
        peer = Peer(self, "edge.py", node.mqtt[1], "g", "n")
        watch.wait(lambda topic, *_: "NBIRTH" in topic)
        connected = timestamp(watch.wait(lambda topic, *_: "NBIRTH" in topic)[1])
        wait_until("a second has passed since the will was made", lambda: __import__("time").time() * 1000 > connected + 1000)
        peer.kill()
        _, payload, _, _ = watch.wait(lambda topic, *_: "NDEATH" in topic)
        self.assertGreaterEqual(timestamp(payload), connected + 1000)


def timestamp(payload: bytes) -> int:
    """Field 1 of a payload, which our peers and we write first."""
    assert payload[0] == 0x08, payload[:4]
    value = 0
    for place, byte in enumerate(payload[1:11]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value
    raise AssertionError("no number")


EDGE = """
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/tank"
level = "work_unit"
[[tag]]
path = "works/running"
type = "boolean"
[[tag]]
path = "works/tank/level"
type = "double"
unit = "mm"
[[tag]]
path = "works/tank/valve"
type = "int64"
range = [0, 100]
write = {{ confirm_within = "2s" }}
[[topic]]
filter = "in/level"
format = "value"
tag = "works/tank/level"
[[topic]]
filter = "in/running"
format = "value"
tag = "works/running"
[[connector]]
name = "plc"
type = "modbus"
endpoint = "{endpoint}"
poll = "50ms"
[[connector.register]]
tag = "works/tank/valve"
table = "holding"
address = 3
type = "u16"
write = true
[[connector]]
name = "up"
type = "sparkplug_edge"
group = "g"
node = "andon"
branch = "works"
commands = true
{more}
"""


class OurEdgeNode(Case):
    """Our tags as an edge node, with pysparkplug as the host that reads its aliases."""

    def begin(self, more=""):
        device = self.device()
        device.set_words(3, [5])
        node = self.node()
        # An anonymous client may read and publish, and operate nothing.
        host = Peer(self, "host.py", node.mqtt[1], "g")
        host.wait("it is connected", lambda e: e.get("ready"))
        wait_until("it has subscribed", lambda: any(c["subscriptions"] >= 6 for c in node.get("/api/connectors").json["mqtt"]["clients"]))
        node.apply(EDGE.format(endpoint=device.endpoint, more=more))
        return device, node, host

    @staticmethod
    def of(kind):
        return lambda event: f"/{kind}/" in event.get("topic", "")

    def test_births_with_aliases_data_by_alias_and_a_death(self):
        device, node, host = self.begin()
        birth = host.wait("a birth", self.of("NBIRTH"))
        names = {m[0]: m for m in birth["metrics"]}
        self.assertEqual(birth["seq"], 0)
        self.assertEqual(names["Node Control/Rebirth"][2:], ["BOOLEAN", False])
        self.assertEqual(names["bdSeq"][3], 0)
        self.assertIn("running", names)
        tank = host.wait("a birth of the device", self.of("DBIRTH"))
        self.assertEqual((tank["topic"], tank["seq"]), ("spBv1.0/g/DBIRTH/andon/tank", 1))
        self.assertEqual(sorted(m[0] for m in tank["metrics"]), ["level", "valve"])
        host.wait("the valve's value", lambda e: any(m[0] == "valve" and m[3] == 5 for m in e.get("metrics", [])))
        writer = Observer(self, node, "nothing", name="writer").client
        writer.publish("in/level", "12.5", qos=1)
        data = host.wait("data", lambda e: self.of("DDATA")(e) and any(m[0] == "level" and m[3] == 12.5 for m in e["metrics"]))
        self.assertTrue(all(m[1] is not None for m in data["metrics"]), data)
        node.process.send_signal(15)
        death = host.wait("a death", self.of("NDEATH"))
        self.assertIsNone(death["seq"])
        node.process.wait(20)

    def test_a_rebirth_is_answered_and_the_next_session_has_the_next_number(self):
        _, node, host = self.begin()
        host.wait("a birth", self.of("DBIRTH"))
        host.seen.clear()
        host.say(ncmd="andon", metrics=[["Node Control/Rebirth", "BOOLEAN", True]])
        again = host.wait("born again", self.of("NBIRTH"))
        self.assertEqual((again["seq"], next(m[3] for m in again["metrics"] if m[0] == "bdSeq")), (0, 0))
        host.wait("with its device", self.of("DBIRTH"))
        node.restart()
        late = Peer(self, "host.py", node.mqtt[1], "g")
        late.wait("it is connected", lambda e: e.get("ready"))
        wait_until("it has subscribed", lambda: any(c["subscriptions"] >= 6 for c in node.get("/api/connectors").json["mqtt"]["clients"]))
        late.say(ncmd="andon", metrics=[["Node Control/Rebirth", "BOOLEAN", True]])
        birth = late.wait("a birth", self.of("NBIRTH"))
        self.assertEqual(next(m[3] for m in birth["metrics"] if m[0] == "bdSeq"), 1)

    def test_a_command_from_outside_goes_through_the_door(self):
        device, node, host = self.begin()
        host.wait("a birth", self.of("DBIRTH"))
        host.say(dcmd=["andon", "tank"], metrics=[["valve", "INT64", 40]])
        refused = lambda: [e for e in node.timeline(kind="note") + node.timeline(kind="system") if "mqtt_refused" in json.dumps(e)]
        wait_until("an anonymous client may not operate it", refused)
        self.assertEqual(device.holding[3], 5)
        made = node.post("/api/devices", {"name": "scada", "publish": ["spBv1.0/g/#"], "subscribe": ["spBv1.0/#"], "operate": "works/tank"}).json
        scada = Peer(self, "host.py", node.mqtt[1], "g", "scada", made["user"], made["password"])
        scada.wait("it is connected", lambda e: e.get("ready"))
        scada.say(dcmd=["andon", "tank"], metrics=[["valve", "INT64", 40]])
        wait_until("the valve is written", lambda: device.holding[3] == 40)
        commands = lambda: [e for e in node.timeline(kind="command") if e["path"] == "works/tank/valve"]
        wait_until("and it stands in the timeline", lambda: len(commands()) >= 2)
        host.wait("the data say so", lambda e: any(m[0] == "valve" and m[3] == 40 for m in e.get("metrics", [])))
        self.assertEqual(len([w for w in device.writes if w[2] == [40]]), 1, "written once")

    def test_npm_reads_the_births_and_data(self):
        _, node, _ = self.begin()
        reader = Peer(self, "host.mjs", node.mqtt[1], "g")
        reader.wait("it is connected", lambda e: e.get("ready"))
        asker = Peer(self, "host.py", node.mqtt[1], "g")
        asker.wait("it is connected", lambda e: e.get("ready"))
        asker.say(ncmd="andon", metrics=[["Node Control/Rebirth", "BOOLEAN", True]])
        birth = reader.wait("a birth", lambda e: self.of("DBIRTH")(e) and any(m[0] == "valve" and m[3] == 5 for m in e["metrics"]))
        self.assertEqual(sorted((m[0], m[2]) for m in birth["metrics"]), [("level", "Double"), ("valve", "Int64")])
        writer = Observer(self, node, "nothing", name="writer").client
        writer.publish("in/level", "12.5", qos=1)
        level = next(m[1] for m in birth["metrics"] if m[0] == "level")
        reader.wait("data by alias", lambda e: self.of("DDATA")(e) and any(m[1] == level and m[3] == 12.5 for m in e["metrics"]))

    def test_nothing_is_sent_while_the_primary_host_is_away(self):
        _, node, host = self.begin('primary_host = "scada"\n')
        scada = Observer(self, node, "spBv1.0/g/NBIRTH/#", name="scada").client
        wait_until("the edge node waits", lambda: node.connector("up")["state"] == "connecting")
        state = lambda online, ms: scada.publish("spBv1.0/STATE/scada", json.dumps({"online": online, "timestamp": ms}), qos=1, retain=True)
        # It hears in order; what was sent before this was heard before it.
        scada.publish("spBv1.0/g/NBIRTH/mark", b"\x08\x01\x18\x00")
        mark = lambda e: e.get("topic") == "spBv1.0/g/NBIRTH/mark"
        host.wait("the mark", mark)
        self.assertEqual([e["topic"] for e in host.heard() if "topic" in e and not mark(e)], [])
        state(True, 1000)
        born = lambda event: self.of("NBIRTH")(event) and event["topic"].endswith("/andon")
        host.wait("born when it comes", born)
        state(False, 2000)
        host.wait("dead when it goes", self.of("NDEATH"))
        host.seen.clear()
        state(True, 3000)
        birth = host.wait("born again", born)
        self.assertEqual(next(m[3] for m in birth["metrics"] if m[0] == "bdSeq"), 1)
        # Away and back at once: it is a new session all the same.
        host.seen.clear()
        state(False, 4000)
        state(True, 4001)
        host.wait("dead when it goes", self.of("NDEATH"))
        birth = host.wait("and born again", born)
        self.assertEqual(next(m[3] for m in birth["metrics"] if m[0] == "bdSeq"), 2)

    def test_an_edge_node_whose_connector_is_renamed_says_that_it_goes_before_it_comes(self):
        device, node, host = self.begin()
        host.wait("a birth", self.of("DBIRTH"))
        host.seen.clear()
        node.apply(EDGE.format(endpoint=device.endpoint, more="").replace('name = "up"', 'name = "uplink"'), prune=True)
        host.wait("born under the new name", self.of("NBIRTH"))
        kinds = [e["topic"].split("/")[2] for e in host.heard() if "topic" in e]
        self.assertLess(kinds.index("NDEATH"), kinds.index("NBIRTH"), kinds)
        wait_until("it is connected", lambda: node.connector("uplink")["state"] == "connected")


if __name__ == "__main__":
    unittest.main()
