"""MQTT.js as the judge, over TCP, TLS and WebSocket."""

from harness import Case, wait_until
from mqtt import Client
from peers import Peer, Refused, decoded, encoded, needed

OLD, NEW = {"protocolVersion": 4}, {"protocolVersion": 5}
VERSIONS = {"3.1.1": OLD, "5.0": NEW}
LASTING = {"3.1.1": {"clean": False, **OLD}, "5.0": {"clean": False, "properties": {"sessionExpiryInterval": 3600}, **NEW}}


@needed
class MqttJs(Case):
    def at(self, node, way: str = "tcp") -> dict:
        """Where a client connects, and what it needs for that."""
        if way == "tcp":
            return {"url": "mqtt://{}:{}".format(*node.mqtt)}
        if way == "ws":
            return {"url": "ws://{}/mqtt".format(node.addresses["http"])}
        name = "mqtts" if way == "tls" else "https"
        port = node.addresses[name].rsplit(":", 1)[1]
        made = {"ca": str(node.data_dir / "tls/certificate.pem")}
        return {"url": f"mqtts://localhost:{port}" if way == "tls" else f"wss://localhost:{port}/mqtt", **made}

    def client(self, node, client_id: str, options: dict, way: str = "tcp", **more) -> Peer:
        peer = Peer(self, "mqttjs.mjs")
        peer.call("connect", **self.at(node, way), options={"clientId": client_id, **options}, **more)
        return peer

    def test_every_qos_both_ways_over_every_transport(self):
        node = self.node(extra='[tls]\nnames = ["localhost"]\n')
        node.stop()
        text = node.config.read_text()
        node.config.write_text(
            text.replace("[http]\n", '[http]\ntls_listen = "127.0.0.1:0"\n').replace("[mqtt]\n", '[mqtt]\ntls_listen = "127.0.0.1:0"\n')
        )
        node.start()
        for way in ("tcp", "tls", "ws", "wss"):
            for version, options in VERSIONS.items():
                with self.subTest(way=way, version=version):
                    topic = f"q/{way}/{version}"
                    listener = self.client(node, f"l-{way}-{version}", options, way)
                    granted = listener.call("subscribe", filters=[f"{topic}/{qos}" for qos in range(3)], options={"qos": 2})
                    self.assertEqual([line["qos"] for line in granted], [2, 2, 2])
                    speaker = self.client(node, f"s-{way}-{version}", options, way)
                    for qos in range(3):
                        for number in range(20):
                            speaker.call("publish", topic=f"{topic}/{qos}", payload=str(number), options={"qos": qos})
                    messages = listener.wait("message", 60)
                    for qos in range(3):
                        got = [m["payload"] for m in messages if m["topic"].endswith(f"/{qos}")]
                        self.assertEqual(got, [str(n) for n in range(20)])
                        self.assertEqual({m["qos"] for m in messages if m["topic"].endswith(f"/{qos}")}, {qos})
                    large = "x" * 500_000
                    speaker.call("publish", topic=f"{topic}/1", payload=large, options={"qos": 1})
                    self.assertEqual(listener.payloads(61)[-1], large)
                    for peer in (listener, speaker):
                        peer.call("end")
                        peer.wait("close")
                        self.assertEqual(peer.all("error"), [])

    def test_a_command_that_a_device_does_not_answer_is_sent_to_it_once(self):
        """With 3.1.1 this client comes again after each end of its connection, and says again without DUP what was not acknowledged."""
        node = self.node()
        node.apply(
            '[[equipment]]\npath = "house"\nlevel = "house"\n'
            '[[tag]]\npath = "house/lamp"\ntype = "boolean"\nwrite = { life = "2s", confirm_within = "1s" }\n'
            '[[topic]]\nfilter = "z/lamp"\nformat = "zigbee2mqtt"\nfields = [{ path = "state", tag = "house/lamp" }]\n'
            'command = [{ tag = "house/lamp", command_topic = "set/lamp" }]\n'
        )
        made = node.post("/api/devices", {"name": "panel", "publish": ["set/#"], "subscribe": ["x"], "operate": "house"}).json
        lamp = Client("lamp", durable=False).connect(node.mqtt).subscribe("z/lamp/set", qos=1)
        lamp.publish_and_wait("z/lamp", '{"state": "OFF"}')
        wait_until("the lamp is known", lambda: node.value("house/lamp") is False)
        who = {"username": made["user"], "password": made["password"], "reconnectPeriod": 100}
        panel = self.client(node, "panel", {**OLD, **who})
        panel.call("publish", topic="set/lamp", payload="ON", options={"qos": 1})
        # Were it said again, that would be before this.
        panel.call("publish", topic="set/lamp", payload="OFF", options={"qos": 1})
        lamp.until(lambda: len(lamp.messages) >= 2)
        self.assertEqual([message[1] for message in lamp.messages], [b'{"state":"ON"}', b'{"state":"OFF"}'])
        self.assertEqual(panel.all("close"), [])
        steps = lambda: sorted(event["detail"]["step"] for event in node.timeline(kind="command"))
        wait_until("both are told", lambda: steps() == ["intent", "intent", "unknown", "unknown"])

    def test_retained_messages_and_wills(self):
        node = self.node()
        for version, options in VERSIONS.items():
            for way in ("tcp", "ws"):
                with self.subTest(version=version, way=way):
                    topic = f"kept/{version}/{way}"
                    speaker = self.client(node, "speaker", options, way)
                    speaker.call("publish", topic=f"{topic}/a", payload="old", options={"qos": 1, "retain": True})
                    speaker.call("publish", topic=f"{topic}/a", payload="new", options={"qos": 2, "retain": True})
                    speaker.call("publish", topic=f"{topic}/b", payload="gone", options={"qos": 1, "retain": True})
                    speaker.call("publish", topic=f"{topic}/b", payload="", options={"qos": 1, "retain": True})
                    listener = self.client(node, "listener", options, way)
                    listener.call("subscribe", filters=[f"{topic}/#", f"will/{version}/{way}/#"], options={"qos": 1})
                    self.assertEqual([(m["payload"], m["retain"]) for m in listener.wait("message")], [("new", True)])
                    will = lambda name: {"will": {"topic": f"will/{version}/{way}/{name}", "payload": "gone", "qos": 1, "retain": False}}
                    leaves = self.client(node, "leaves", {**options, **will("leaves")}, way)
                    dies = self.client(node, "dies", {**options, **will("dies")}, way)
                    leaves.call("end")
                    dies.call("drop")
                    self.assertEqual([m["topic"] for m in listener.wait("message", 2)][1:], [f"will/{version}/{way}/dies"])

    def test_a_session_outlives_a_kill_of_the_node(self):
        node = self.node()
        clients = {}
        for version, options in LASTING.items():
            clients[version] = self.client(node, f"lasting-{version}", options)
            clients[version].call("subscribe", filters=[f"post/{version}"], options={"qos": 2})
            clients[version].call("drop")
            clients[version].wait("close")
        speaker = self.client(node, "speaker", NEW)
        for version in LASTING:
            for qos in (1, 2):
                speaker.call("publish", topic=f"post/{version}", payload=f"before {qos}", options={"qos": qos})
        node.kill()
        node.start()
        for version, client in clients.items():
            with self.subTest(version=version):
                self.assertTrue(client.call("reconnect", url=self.at(node)["url"])["sessionPresent"])
                self.assertEqual(sorted(client.payloads(2)), ["before 1", "before 2"])
                # What it sends over a kill arrives, and what it had acknowledged does not come again.
                client.call("publish", topic=f"post/{version}", payload="own", options={"qos": 2})
                self.assertEqual(client.payloads(3)[-1], "own")
                client.call("drop")
                wait_until("it is away", lambda: not node.mqtt_client(f"lasting-{version}")["connected"])
                self.assertTrue(client.call("reconnect", url=self.at(node)["url"])["sessionPresent"])
                client.call("publish", topic=f"post/{version}", payload="last", options={"qos": 1})
                self.assertEqual(client.payloads(4)[3:], ["last"])

    def test_properties_come_as_they_were_sent(self):
        node = self.node()
        listener = self.client(node, "listener", {**NEW, "properties": {"topicAliasMaximum": 5}})
        granted = listener.call("subscribe", filters=["p/#"], options={"qos": 1, "properties": {"subscriptionIdentifier": 77}})
        self.assertEqual(granted[0]["qos"], 1)
        speaker = self.client(node, "speaker", {**NEW, "autoUseTopicAlias": True, "autoAssignTopicAlias": True})
        properties = {
            "payloadFormatIndicator": True,
            "messageExpiryInterval": 600,
            "contentType": "text/plain",
            "responseTopic": "answers/here",
            "correlationData": encoded(b"\x00\xff number 7"),
            # MQTT.js keeps names in an object: the order of the values of one name is all that it can tell.
            "userProperties": {"line": ["3", "1", "2"], "": "an empty name"},
        }
        for number in range(3):
            speaker.call("publish", topic="p/a/long/name", payload=str(number), options={"qos": 1, "properties": properties})
        for number, message in enumerate(listener.wait("message", 3)):
            got = message["properties"]
            self.assertEqual((message["payload"], message["topic"]), (str(number), "p/a/long/name"))
            self.assertLessEqual(got.pop("messageExpiryInterval"), 600)
            self.assertEqual(got.pop("subscriptionIdentifier"), 77)
            got.pop("topicAlias", None)
            self.assertEqual(got, {name: value for name, value in properties.items() if name != "messageExpiryInterval"})

    def test_reasons_are_told(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "press-7", "publish": ["mine/#"], "subscribe": ["mine/#"]}).json
        login = {"username": made["user"], "password": made["password"]}
        for version, code in (("3.1.1", 5), ("5.0", 0x86)):
            with self.subTest(version=version):
                with self.assertRaises(Refused) as refused:
                    self.client(node, "wrong", {**VERSIONS[version], **login, "password": "wrong"})
                self.assertIn(refused.exception.code, (4, code))
        client = self.client(node, "right", {**NEW, **login})
        for qos in (1, 2):
            with self.assertRaises(Refused) as refused:
                client.call("publish", topic="others/a", payload="x", options={"qos": qos})
            self.assertEqual(refused.exception.code, 0x87)
        with self.assertRaises(Refused) as refused:
            client.call("subscribe", filters=["others/#"], options={"qos": 1})
        self.assertEqual(client.call("subscribe", filters=["mine/#"], options={"qos": 1})[0]["qos"], 1)
        client.call("publish", topic="mine/a", payload="still there", options={"qos": 2})
        self.assertEqual(client.payloads(1), ["still there"])
        self.assertEqual(client.call("unsubscribe", filters=["mine/#", "never/#"]), [0x00, 0x11])
        node.request("DELETE", f"/api/devices/{made['id']}")
        self.assertEqual(client.wait("disconnect")[0]["reason"], 0x87)
        old = self.client(self.node(), "old", OLD)
        with self.assertRaises(Refused):
            old.call("connect", url="mqtt://127.0.0.1:1", options={})


@needed
class Scram(Case):
    """Enhanced authentication: MQTT.js carries the words, scramp makes and checks them."""

    def words(self, made: dict, password: str | None = None):
        from scramp import ScramClient

        return ScramClient(["SCRAM-SHA-256"], made["user"], password or made["password"])

    def begin(self, node, client_id: str, scram, method: str = "SCRAM-SHA-256") -> tuple[Peer, int]:
        peer = Peer(self, "mqttjs.mjs")
        properties = {"authenticationMethod": method, "authenticationData": encoded(scram.get_client_first().encode())}
        options = {"clientId": client_id, **NEW, "properties": properties}
        return peer, peer.begin("connect", url="mqtt://{}:{}".format(*node.mqtt), options=options)

    def answer(self, peer: Peer, scram, count: int = 1) -> None:
        question = peer.wait("auth", count)[-1]
        self.assertEqual((question["reason"], question["properties"]["authenticationMethod"]), (0x18, "SCRAM-SHA-256"))
        scram.set_server_first(decoded(question["properties"]["authenticationData"]).decode())
        peer.call("answer", data=encoded(scram.get_client_final().encode()))

    def test_a_device_proves_its_password_and_hears_that_the_node_knows_it(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "press=7, hall", "client_id": "press-7"}).json
        for _ in range(2):
            scram = self.words(made)
            peer, connecting = self.begin(node, "press-7", scram)
            self.answer(peer, scram)
            connected = peer.end(connecting)
            self.assertEqual(connected["properties"]["authenticationMethod"], "SCRAM-SHA-256")
            # scramp checks the node's signature, and raises if it is wrong.
            scram.set_server_final(decoded(connected["properties"]["authenticationData"]).decode())
            peer.call("subscribe", filters=["a"], options={"qos": 1})
            again = self.words(made)
            peer.call("authenticate_again", method="SCRAM-SHA-256", data=encoded(again.get_client_first().encode()))
            self.answer(peer, again, 2)
            again.set_server_final(decoded(peer.wait("authenticated")[0]["properties"]["authenticationData"]).decode())
            peer.call("publish", topic="a", payload="still in", options={"qos": 1})
            self.assertEqual(peer.payloads(1), ["still in"])
            # The password alone is as good, and both are known after a kill.
            plain = Peer(self, "mqttjs.mjs")
            options = {"clientId": "press-7", "username": made["user"], "password": made["password"], **NEW}
            plain.call("connect", url="mqtt://{}:{}".format(*node.mqtt), options=options)
            self.assertEqual(peer.wait("disconnect")[0]["reason"], 0x8E, "taken over")
            node.kill()
            node.start()

    def test_whoever_cannot_prove_it_is_refused(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "press-7", "client_id": "press-7"}).json
        for client_id, user, password in (("press-7", "press-7", "wrong"), ("press-8", "press-7", made["password"]), ("press-7", "nobody", "x")):
            with self.subTest(client_id=client_id, user=user):
                scram = self.words({"user": user, "password": password})
                peer, connecting = self.begin(node, client_id, scram)
                self.answer(peer, scram)
                with self.assertRaises(Refused) as refused:
                    peer.end(connecting)
                self.assertEqual(refused.exception.code, 0x86)
        for method in ("SCRAM-SHA-1", "GSSAPI", "scram-sha-256"):
            _, connecting = (begun := self.begin(node, "press-7", self.words(made), method))
            with self.assertRaises(Refused) as refused:
                begun[0].end(connecting)
            self.assertEqual(refused.exception.code, 0x8C, method)
        told = lambda: [e for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_refused"]
        wait_until("the timeline tells of it", told)
        # A proof that fails on the way ends the connection.
        scram = self.words(made)
        peer, connecting = self.begin(node, "press-7", scram)
        self.answer(peer, scram)
        peer.end(connecting)
        again = self.words(made, "wrong")
        peer.call("authenticate_again", method="SCRAM-SHA-256", data=encoded(again.get_client_first().encode()))
        self.answer(peer, again, 2)
        self.assertEqual(peer.wait("disconnect")[0]["reason"], 0x87)
        self.assertEqual(node.request("DELETE", f"/api/devices/{made['id']}").status, 204)
        peer, connecting = self.begin(node, "press-7", scram := self.words(made))
        self.answer(peer, scram)
        self.assertRaises(Refused, peer.end, connecting)
