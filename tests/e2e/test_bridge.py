"""Bridges: to a real Mosquitto and to another Andon, over cuts and kills on either side."""

import socket
import threading
import time
from collections import defaultdict

from harness import Case, binary, run, spawn, wait_until
from mqtt import Client
from test_certificates import Issuer

PASSWORD = "over the hills and far away"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Mosquitto:
    """Eclipse Mosquitto at an address that stays the same over restarts."""

    def __init__(self, folder, *, settings: str = "allow_anonymous true\n"):
        self.folder, self.settings, self.process = folder, settings, None
        self.config = folder / "mosquitto.conf"
        self.move()

    def move(self) -> None:
        self.port = free_port()
        self.config.write_text(
            f"per_listener_settings false\nlistener {self.port} 127.0.0.1\nuser root\npersistence true\n"
            f"persistence_location {self.folder}/\nmax_queued_messages 0\n{self.settings}"
        )

    @property
    def address(self):
        return "127.0.0.1", self.port

    def start(self) -> "Mosquitto":
        is_first = self.process is None

        def launch():
            with (self.folder / "mosquitto.log").open("wb") as log:
                self.process = spawn(["mosquitto", "-c", self.config], stdout=log, stderr=log)

        def listens():
            if self.process.poll() is not None:
                said = (self.folder / "mosquitto.log").read_text()
                # Somebody else was given the port meanwhile. Once others know it, it stays.
                assert is_first and "Address already in use" in said, said
                self.move()
                launch()
            with socket.create_connection(self.address, 1):
                return True

        launch()
        wait_until("mosquitto listens", listens)
        return self

    def stop(self) -> None:
        """It saves what it knows."""
        self.process.terminate()
        self.process.wait(10)


def document(port: int, *, scheme: str = "mqtt", name: str = "to-head", more: str = "", send='[{ filter = "plant/#", prefix = "p7/" }]') -> str:
    return (
        f'[[connector]]\nname = "{name}"\ntype = "mqtt_bridge"\nendpoint = "{scheme}://127.0.0.1:{port}"\nclient_id = "plant-7"\n'
        f"send = {send}\n{more}"
    )


def firsts(messages) -> dict[str, list[int]]:
    """What came on each topic, in the order in which each came first."""
    seen: dict[str, dict[int, None]] = defaultdict(dict)
    for topic, payload, _qos, _retained in messages:
        seen[topic].setdefault(int(payload), None)
    return {topic: list(numbers) for topic, numbers in seen.items()}


class Bridges(Case):
    def mosquitto(self, **options) -> Mosquitto:
        remote = Mosquitto(self.temporary_folder(), **options)
        self.addCleanup(lambda: remote.process and remote.process.kill())
        return remote

    def bridge(self, node, name: str = "to-head") -> dict:
        return node.connector(name)

    def wait_state(self, node, state: str, deadline: float = 30):
        return wait_until(f"the bridge is {state}", lambda: (b := self.bridge(node))["state"] == state and b, deadline)

    def wait_empty(self, node, deadline: float = 60):
        empty = lambda: (b := self.bridge(node))["bridge"]["waiting_messages"] == 0 and b
        return wait_until("nothing waits any more", empty, deadline)

    def listener(self, address, *filters, protocol: int = 5, client_id: str = "listener") -> Client:
        return Client(client_id, protocol).connect(address).subscribe(*filters, qos=1)

    def publish(self, node, numbers, topics, client_id: str = "device") -> None:
        """Each number on each topic, all acknowledged when this returns."""
        device = Client(client_id, 5, durable=False).connect(node.mqtt)
        wanted = {device.publish(topic, str(number)) for number in numbers for topic in topics}
        device.until(lambda: wanted <= device.acknowledged, 60)
        device.close()

    def test_thousands_of_messages_cross_after_a_long_cut_and_kills_in_order_and_whole(self):
        remote = self.mosquitto().start()
        # The listener has its session from before.
        self.listener(remote.address, "p7/#").drop()
        remote.stop()
        node = self.node()
        node.apply(document(remote.port))
        topics = [f"plant/line{n}/count" for n in range(5)]
        self.publish(node, range(400), topics)
        failed = self.wait_state(node, "failed")
        self.assertIn("cannot be reached", failed["last_error"]["text"])
        wait_until("all are counted", lambda: self.bridge(node)["bridge"]["waiting_messages"] == 2000)
        node.kill()
        node.start()
        self.publish(node, range(400, 600), topics)
        retain = Client("keeper", 5, durable=False).connect(node.mqtt)
        retain.publish_and_wait("plant/state", "1", retain=True)
        wait_until("they still wait", lambda: self.bridge(node)["bridge"]["waiting_messages"] == 3001)
        self.assertIsNotNone(self.bridge(node)["bridge"]["oldest_ms"])
        metrics = node.get("/metrics").text
        self.assertIn('andon_bridge_waiting_messages{bridge="to-head"} 3001', metrics)
        remote.start()
        listener = Client("listener", 5).connect(remote.address)
        # Killed once more, in the middle of catching up.
        listener.until(lambda: len(listener.messages) > 500, 90)
        node.kill()
        node.start()
        whole = lambda: len(firsts(listener.messages)) == 6 and all(len(n) == 600 for t, n in firsts(listener.messages).items() if "count" in t)
        listener.until(whole, 120)
        got = firsts(listener.messages)
        for n in range(5):
            self.assertEqual(got[f"p7/plant/line{n}/count"], list(range(600)))
        self.wait_empty(node)
        self.assertEqual(self.bridge(node)["bridge"]["lost_messages"], 0)
        fresh = self.listener(remote.address, "p7/plant/state", client_id="fresh")
        fresh.until(lambda: fresh.messages)
        self.assertEqual(fresh.messages[0], ("p7/plant/state", b"1", 1, True))
        kinds = [event["kind"] for event in node.timeline()]
        self.assertIn("connection", kinds)
        listener.close()

    def test_the_secret_is_kept_shown_nowhere_and_tls_is_as_the_document_says(self):
        folder = self.temporary_folder()
        issuer = Issuer(folder, "ca")
        issuer.issue_server("server", "broker.test")
        passwords = folder / "passwords"
        done = run(["mosquitto_passwd", "-b", "-c", passwords, "plant-7", PASSWORD])
        self.assertEqual(done.returncode, 0, done.stderr)
        tls = f"certfile {folder}/server.pem\nkeyfile {folder}/server.key\n"
        remote = self.mosquitto(settings=f"{tls}allow_anonymous false\npassword_file {passwords}\n").start()
        node = self.node()
        more = 'user = "plant-7"\npassword = { secret = "head" }\n'
        named = f'server_name = "broker.test"\nca = """\n{issuer.file.read_text()}"""\n'
        text = document(remote.port, scheme="mqtts", more=more + named)
        body = {"documents": [{"name": "b.toml", "text": text}], "expected_version": node.plant_version(), "reason": "test"}
        refused = node.post("/api/plant/apply", body)
        self.assertIn('the secret \\"head\\" is not set', refused.text)
        self.set_secret(node, "head", "wrong")
        node.apply(text)
        failed = wait_until("it is refused", lambda: (b := self.bridge(node))["state"] == "failed" and b)
        self.assertIn("refused the connection", failed["last_error"]["text"])
        self.assertIn("andon secret set", failed["last_error"]["remedy"])
        self.set_secret(node, "head", PASSWORD)
        self.wait_state(node, "connected")
        self.publish(node, range(10), ["plant/a"])
        wait_until("all are sent", lambda: self.bridge(node)["bridge"]["sent"] == 10)
        self.wait_empty(node)
        # Without the authority it is no link.
        node.apply(document(remote.port, scheme="mqtts", more=more + 'server_name = "broker.test"\n'))
        failed = wait_until("it does not trust", lambda: (b := self.bridge(node))["state"] == "failed" and b)
        self.assertIn("`ca`", failed["last_error"]["remedy"])
        used = node.cli("secret remove", "head")
        self.assertNotEqual(used.returncode, 0)
        self.assertIn("to-head", used.stderr)
        self.assertEqual(node.cli("secret list").stdout, "head (used by to-head)\n")
        stored = node.data_dir / "secrets.json"
        self.assertEqual(stored.stat().st_mode & 0o777, 0o600)
        told = [event for event in node.timeline() if "secret head" in str(event)]
        self.assertGreaterEqual(len(told), 2)
        places = {
            "export": node.cli("export").stdout,
            "timeline": str(node.timeline()),
            "log": node.log_text(),
            "plant": node.get("/api/plant").text,
            "connectors": node.get("/api/connectors").text,
            "secrets": node.get("/api/secrets").text,
        }
        backups = self.temporary_folder() / "backups"
        self.assertEqual(node.cli("backup", backups, deadline=60).returncode, 0)
        places["backup"] = "\n".join(path.read_bytes().decode(errors="replace") for path in backups.rglob("*") if path.is_file())
        for place, text in places.items():
            self.assertNotIn(PASSWORD, text, place)

    def test_the_other_side_may_ask_for_a_certificate_and_an_engineer_may_not_send_its_key_elsewhere(self):
        folder = self.temporary_folder()
        issuer = Issuer(folder, "ca")
        issuer.issue_server("server", "broker.test")
        certificate, key = issuer.issue("plant", "/CN=plant-7")
        _, strange_key = issuer.issue("strange", "/CN=strange")
        tls = f"cafile {issuer.file}\ncertfile {folder}/server.pem\nkeyfile {folder}/server.key\nrequire_certificate true\n"
        remote = self.mosquitto(settings=f"{tls}use_identity_as_username true\nallow_anonymous false\n").start()
        node = self.node()
        trust = f'server_name = "broker.test"\nca = """\n{issuer.file.read_text()}"""\n'
        own = f'certificate = """\n{certificate.read_text()}"""\nkey = {{ secret = "plant-key" }}\n'
        text = document(remote.port, scheme="mqtts", more=trust + own)
        # Without one nobody is let in.
        node.apply(document(remote.port, scheme="mqtts", more=trust))
        wait_until("it is not let in", lambda: self.bridge(node)["state"] == "failed")
        self.set_secret(node, "plant-key", strange_key.read_text())
        node.apply(text)
        failed = wait_until("the key is of another", lambda: (b := self.bridge(node))["state"] == "failed" and "TLS cannot be set up" in str(b["last_error"]) and b)
        self.assertIn("certificate and key", failed["last_error"]["remedy"])
        self.set_secret(node, "plant-key", key.read_text())
        self.wait_state(node, "connected")
        listener = self.listener(node.mqtt, "plant/#")
        self.publish(node, range(10), ["plant/a"])
        self.wait_empty(node)
        wait_until("all ten are told as sent", lambda: self.bridge(node)["bridge"]["sent"] == 10)
        listener.close()
        # An engineer may change what is sent, and not to whom.
        cookie = node.make_user("Emil", "engineer")
        as_emil = {"token": None, "cookie": cookie}

        def apply(text: str, **who):
            body = {"documents": [{"name": "b.toml", "text": text}], "expected_version": node.plant_version(), "reason": "test"}
            return node.post("/api/plant/apply", body, **who)

        elsewhere = apply(text.replace(f":{remote.port}", ":1"), **as_emil)
        self.assertEqual(elsewhere.status, 403, elsewhere)
        self.assertIn("administrator", elsewhere.text)
        self.assertEqual(apply(text.replace("plant/#", "plant/+"), **as_emil).status, 200)
        before = node.plant_version()
        self.assertEqual(apply(text.replace(f":{remote.port}", ":1")).status, 200)
        back = {"version": before, "expected_version": node.plant_version(), "reason": "test"}
        self.assertEqual(node.post("/api/plant/rollback", back, **as_emil).status, 403)
        self.assertEqual(node.post("/api/plant/rollback", back).status, 200)
        self.wait_state(node, "connected")
        # What is no value is refused without a word of it.
        refused = node.request("PUT", "/api/secrets/plant-key", {"value": 4711471147})
        self.assertEqual((refused.status, "4711471147" in refused.text), (422, False), refused)

    def set_secret(self, node, name: str, value: str) -> None:
        given = self.temporary_folder() / "given"
        given.write_text(value + "\n")
        with given.open() as stdin:
            done = run([binary(), "secret", "set", "--config", node.config, name], stdin=stdin)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_a_message_that_is_refused_holds_all_up_and_says_so_or_is_passed_over_and_told(self):
        rights = self.temporary_folder() / "rights"
        rights.write_text("topic write p7/plant/good\ntopic read #\n")
        remote = self.mosquitto(settings=f"allow_anonymous true\nacl_file {rights}\n").start()
        listener = self.listener(remote.address, "p7/#")
        node = self.node()
        node.apply(document(remote.port))
        self.wait_state(node, "connected")
        self.publish(node, [1], ["plant/bad"])
        self.publish(node, [2], ["plant/good"])
        failed = wait_until("it says so", lambda: (e := self.bridge(node)["last_error"]) and "refused a message" in e["text"] and e)
        self.assertIn("when_refused", failed["remedy"])
        wait_until("both wait", lambda: self.bridge(node)["bridge"]["waiting_messages"] == 2)
        node.apply(document(remote.port, more='when_refused = "skip"\n'))
        listener.until(lambda: firsts(listener.messages) == {"p7/plant/good": [2]})
        self.wait_empty(node)
        wait_until("it is told", lambda: any(e["kind"] == "system" and "refused them" in str(e) for e in node.timeline()), 20)
        self.assertEqual(self.bridge(node)["bridge"]["lost_messages"], 1)
        listener.close()

    def test_an_other_side_that_never_answers_is_not_called_connected(self):
        deaf = socket.socket()
        self.addCleanup(deaf.close)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        node = self.node()
        node.apply(document(deaf.getsockname()[1], more='answer_within = "1s"\nalarm_after = "10s"\n'))
        states = set()

        def given_up():
            states.add(self.bridge(node)["state"])
            return self.bridge(node)["state"] == "failed"

        wait_until("it is given up", given_up)
        self.assertNotIn("connected", states)
        self.assertIn("did not answer", self.bridge(node)["last_error"]["text"])
        self.publish(node, range(3), ["plant/a"])
        behind = lambda: any("is behind" in str(event) for event in node.timeline())
        wait_until("the lag is told", behind, 40)
        self.assertTrue(self.bridge(node)["bridge"]["behind"])

    def test_a_bridge_that_lags_raises_an_alarm_and_one_that_is_gone_is_out_of_service(self):
        plant = (
            '[[equipment]]\npath = "works"\nlevel = "site"\n'
            '[[tag]]\npath = "works/lag"\ntype = "double"\nunit = "s"\n'
            '[[tag]]\npath = "works/link"\ntype = "boolean"\n'
            '[[tag]]\npath = "works/waiting"\ntype = "int64"\n'
            '[[alarm]]\ntag = "works/lag"\ncondition = "high"\nlimit = 3.0\npriority = "high"\nmessage = "Head office gets nothing"\n'
        )
        measures = "".join(
            f'[[connector.measure]]\nwhat = "{what}"\ntag = "works/{tag}"\n'
            for what, tag in [("lag", "lag"), ("connected", "link"), ("waiting_messages", "waiting")]
        )
        remote = self.mosquitto().start()
        node = self.node()
        node.apply(plant + document(remote.port, more=measures))
        value = lambda tag: node.value(f"works/{tag}")
        wait_until("the link is measured", lambda: value("link") is True and value("lag") == 0.0)
        remote.stop()
        wait_until("its end is measured", lambda: value("link") is False)
        self.publish(node, range(3), ["plant/a"])
        wait_until("what waits is measured", lambda: value("waiting") == 3)
        wait_until("the alarm comes", lambda: node.alarm("works/lag:high"), 30)
        remote.start()
        wait_until("it has caught up", lambda: value("waiting") == 0 and value("lag") == 0.0, 90)
        gone = "returned_to_normal_unacknowledged"
        wait_until("the alarm goes", lambda: node.alarm("works/lag:high")["state"] == gone)
        node.apply(plant, prune=True)
        wait_until("nothing is measured any more", lambda: [node.live(f"works/{tag}")[2] for tag in ("lag", "link", "waiting")] == [0x808D0000] * 3)

    def test_what_the_other_side_has_for_us_comes_with_3_1_1_and_5_over_restarts(self):
        for version in (4, 5):
            with self.subTest(version=version):
                remote = self.mosquitto().start()
                node = self.node()
                more = f'version = {version}\nreceive = [{{ filter = "orders/#", prefix = "head/" }}]\n'
                node.apply(document(remote.port, more=more))
                self.wait_state(node, "connected")
                office = Client("office", 5, durable=False).connect(remote.address)
                listener = self.listener(node.mqtt, "head/#")
                for number in range(50):
                    office.publish_and_wait("orders/a", str(number))
                node.kill()
                for number in range(50, 100):
                    office.publish_and_wait("orders/a", str(number))
                node.start()
                listener.connect(node.mqtt)
                listener.until(lambda: len(firsts(listener.messages).get("head/orders/a", [])) == 100, 60)
                self.assertEqual(firsts(listener.messages)["head/orders/a"], list(range(100)))
                node.close()

    def test_both_nodes_are_killed_again_and_again_and_all_that_was_acknowledged_arrives(self):
        port = free_port()
        head = self.node(start=False)
        text = head.config.read_text().replace('[mqtt]\nlisten = "127.0.0.1:0"', f'[mqtt]\nlisten = "127.0.0.1:{port}"')
        head.config.write_text(text)
        head.start()
        listener = self.listener(head.mqtt, "p7/#")
        plant = self.node()
        plant.apply(document(port))
        self.wait_state(plant, "connected")
        acknowledged: list[int] = []
        stop = threading.Event()

        def produce():
            """Publishes numbers one by one; one that was not acknowledged is published again."""
            number, device = 0, None
            while not stop.is_set():
                try:
                    if device is None:
                        device = Client("device", 5, durable=False).connect(plant.mqtt, 2)
                    device.publish_and_wait("plant/a", str(number), deadline=3)
                    acknowledged.append(number)
                    number += 1
                except (OSError, ValueError):
                    device = None
                    stop.wait(0.05)

        producer = threading.Thread(target=produce)
        producer.start()
        try:
            for turn in range(6):
                before = len(acknowledged)
                wait_until("the producer goes on", lambda: len(acknowledged) > before + 30, 30)
                victims = [[plant], [head], [plant, head]][turn % 3]
                for victim in victims:
                    victim.kill()
                for victim in victims:
                    victim.start()
            before = len(acknowledged)
            wait_until("the producer goes on", lambda: len(acknowledged) > before + 30, 30)
        finally:
            stop.set()
            producer.join()
        listener.drop()
        listener.connect(head.mqtt)
        wanted = set(acknowledged)
        listener.until(lambda: wanted <= set(firsts(listener.messages).get("p7/plant/a", [])), 120)
        got = firsts(listener.messages)["p7/plant/a"]
        self.assertEqual([number for number in got if number in wanted], acknowledged)
        self.wait_empty(plant)

    def test_two_nodes_that_bridge_to_each_other_do_not_go_round_in_a_ring(self):
        one, two = self.node(), self.node()
        both = 'receive = [{ filter = "#" }]\n'
        one.apply(document(two.mqtt[1], send='[{ filter = "#" }]', more=both))
        two.apply(document(one.mqtt[1], send='[{ filter = "#" }]', more=both))
        self.wait_state(one, "connected")
        self.wait_state(two, "connected")
        listeners = [self.listener(node.mqtt, "m/#") for node in (one, two)]
        self.publish(one, range(20), ["m/one"])
        self.publish(two, range(20), ["m/two"])
        for listener in listeners:
            listener.until(lambda: {t: len(n) for t, n in firsts(listener.messages).items()} == {"m/one": 20, "m/two": 20}, 30)
        self.wait_empty(one)
        self.wait_empty(two)
        quiet_since, counts = time.monotonic(), None
        while time.monotonic() < quiet_since + 1.5:
            for listener in listeners:
                listener.turn()
            now = [len(listener.messages) for listener in listeners]
            if now != counts:
                self.assertLess(max(now), 200, "it goes round and round")
                quiet_since, counts = time.monotonic(), now
        # Two bridges are two ways: a message may come twice at the other node, and once at its own.
        self.assertLessEqual(sum(counts), 120)

    def test_a_bridge_that_is_removed_lets_go_of_what_waited(self):
        node = self.node()
        node.apply(document(free_port()))
        self.publish(node, range(10), ["plant/a"])
        wait_until("they wait", lambda: self.bridge(node)["bridge"]["waiting_messages"] == 10)
        readers = node.data_dir / "log/readers"
        self.assertIn("bridge-to-head", readers.read_text())
        body = {"documents": [], "expected_version": node.plant_version(), "reason": "test", "prune": True}
        self.assertEqual(node.post("/api/plant/apply", body).status, 200)
        wait_until("its place is gone", lambda: "bridge-to-head" not in readers.read_text())
        self.assertEqual(node.get("/api/connectors").json["connectors"], [])
