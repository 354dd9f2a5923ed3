"""Node-RED as the judge: a flow whose MQTT nodes subscribe and publish, as people wire machines together with it."""

import json
import os
import unittest
from pathlib import Path

from harness import Case, spawn, wait_until
from peers import PEERS, Peer, encoded, needed

NODE_RED = Path(os.environ.get("ANDON_NODE_RED", PEERS.parent / "node-red"))
RED = NODE_RED / "node_modules/node-red/red.js"

#: It says so when its flows run; until then nothing is wired.
STARTED = "Started flows"
SETTINGS = """
module.exports = {
  uiPort: 0, uiHost: '127.0.0.1', httpAdminRoot: false, httpNodeRoot: false,
  credentialSecret: false, flowFile: 'flows.json', logging: { console: { level: 'info', metrics: false, audit: false } },
  externalModules: { autoInstall: false, palette: { allowInstall: false }, modules: { allowInstall: false } },
};
"""


def flow(node, version: int, device: dict | None = None) -> list[dict]:
    """What comes on `in/#` goes out on `out/` with the same QoS, through a change that marks it."""
    host, port = node.mqtt
    broker = {
        "id": "n-broker", "type": "mqtt-broker", "broker": host, "port": str(port), "clientid": f"red-{version}",
        "autoConnect": True, "usetls": False, "protocolVersion": str(version), "keepalive": "30", "cleansession": False,
        "sessionExpiry": "3600", "autoUnsubscribe": False,
        "birthTopic": f"red/{version}/state", "birthPayload": "here", "birthQos": "1", "birthRetain": "true",
        "willTopic": f"red/{version}/state", "willPayload": "gone", "willQos": "1", "willRetain": "true",
        "closeTopic": f"red/{version}/state", "closePayload": "closed", "closeQos": "1", "closeRetain": "true",
    }
    if device:
        broker["credentials"] = {"user": device["user"], "password": device["password"]}
    change = [
        {"t": "change", "p": "topic", "pt": "msg", "from": "in/", "fromt": "str", "to": "out/", "tot": "str"},
        {"t": "set", "p": "payload", "pt": "msg", "to": "payload & '!'", "tot": "jsonata"},
        {"t": "set", "p": "retain", "pt": "msg", "to": "false", "tot": "bool"},
    ]
    return [
        {"id": "n-tab", "type": "tab", "label": "judge", "disabled": False},
        broker,
        {"id": "n-in", "type": "mqtt in", "z": "n-tab", "topic": f"in/{version}/#", "qos": "2", "datatype": "utf8", "broker": "n-broker", "nl": False, "rap": True, "rh": 0, "inputs": 0, "wires": [["n-change"]]},
        {"id": "n-change", "type": "change", "z": "n-tab", "rules": change, "wires": [["n-out"]]},
        {"id": "n-out", "type": "mqtt out", "z": "n-tab", "topic": "", "qos": "", "retain": "", "broker": "n-broker", "wires": []},
    ]  # fmt: skip


@needed
@unittest.skipUnless(RED.exists(), f"no Node-RED in {NODE_RED}: scripts/setup.sh test")
class NodeRed(Case):
    def red(self, node, version: int, device: dict | None = None):
        folder = self.temporary_folder()
        (folder / "settings.js").write_text(SETTINGS)
        (folder / "flows.json").write_text(json.dumps(flow(node, version, device)))
        log = folder / "red.log"
        with log.open("wb") as out:
            process = spawn(["node", RED, "--userDir", folder, "--settings", folder / "settings.js"], stdout=out, stderr=out)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        wait_until("Node-RED runs its flow", lambda: STARTED in log.read_text(errors="replace"), 60)
        node.wait_subscribed(f"red-{version}")
        return process

    def judge(self, node, version: int) -> Peer:
        peer = Peer(self, "mqttjs.mjs")
        peer.call("connect", url="mqtt://{}:{}".format(*node.mqtt), options={"clientId": f"judge-{version}", "protocolVersion": version})
        return peer

    def test_a_flow_over_a_kill_of_the_node(self):
        node = self.node()
        for version in (4, 5):
            with self.subTest(version=version):
                process = self.red(node, version)
                judge = self.judge(node, version)
                judge.call("subscribe", filters=[f"out/{version}/#", f"red/{version}/state"], options={"qos": 2})
                self.assertEqual([(m["payload"], m["retain"]) for m in judge.wait("message")], [("here", True)])
                for qos in range(3):
                    for number in range(10):
                        judge.call("publish", topic=f"in/{version}/{qos}", payload=str(number), options={"qos": qos})
                messages = [m for m in judge.wait("message", 31) if m["topic"].startswith("out/")]
                for qos in range(3):
                    got = [(m["payload"], m["qos"]) for m in messages if m["topic"] == f"out/{version}/{qos}"]
                    self.assertEqual(got, [(f"{n}!", qos) for n in range(10)])
                if version == 5:
                    properties = {
                        "contentType": "text/plain", "responseTopic": "answers", "correlationData": encoded(b"\x00\xff"),
                        "userProperties": {"line": "2", "shift": "night"}, "messageExpiryInterval": 600,
                    }  # fmt: skip
                    judge.call("publish", topic="in/5/1", payload="p", options={"qos": 1, "properties": properties})
                    got = judge.wait("message", 32)[-1]["properties"]
                    self.assertLessEqual(got.pop("messageExpiryInterval"), 600)
                    self.assertEqual({name: got[name] for name in got if name in properties}, {n: p for n, p in properties.items() if n != "messageExpiryInterval"})
                # What comes while it is away waits in its session, over a kill of the node.
                process.kill()
                process.wait()
                wait_until("its will is there", lambda: judge.all("message")[-1]["payload"] == "gone")
                before = len(judge.all("message"))
                for qos in (1, 2):
                    judge.call("publish", topic=f"in/{version}/{qos}", payload=f"while away {qos}", options={"qos": qos})
                judge.call("drop")
                port = node.mqtt[1]
                node.kill()
                node.config.write_text(node.config.read_text().replace('[mqtt]\nlisten = "127.0.0.1:0"', f'[mqtt]\nlisten = "127.0.0.1:{port}"'))
                node.start()
                judge = self.judge(node, version)
                judge.call("subscribe", filters=[f"out/{version}/#"], options={"qos": 2})
                process = self.red(node, version)
                self.assertEqual(sorted(judge.payloads(2)), ["while away 1!", "while away 2!"])
                # And a kill while both are there: it reconnects by itself.
                node.kill()
                node.start()
                judge = self.judge(node, version)
                judge.call("subscribe", filters=[f"out/{version}/#"], options={"qos": 2})
                wait_until("it is back", lambda: node.mqtt_client(f"red-{version}").get("connected"), 40)
                judge.call("publish", topic=f"in/{version}/2", payload="again", options={"qos": 2})
                self.assertEqual(judge.payloads(1), ["again!"])
                self.assertGreater(before, 30)
                process.kill()
