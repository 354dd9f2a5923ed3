"""mosquitto_pub and mosquitto_sub as judges of the broker: both protocol versions, every QoS, what outlives a restart."""

import json
import subprocess
import uuid

from harness import Case, run, spawn, wait_until
from mqtt import Client

VERSIONS = ("mqttv311", "mqttv5")


class Mosquitto(Case):
    """Each test has a node of its own; anonymous clients are let in, the credentials have their own class."""

    def setUp(self):
        super().setUp()
        self.here = self.node()

    def address(self):
        host, port = self.here.mqtt
        return ["-h", host, "-p", str(port)]

    def publish(self, *arguments, expect=0):
        done = run(["mosquitto_pub", *self.address(), *arguments])
        self.assertEqual(done.returncode, expect, done.stderr)
        return done

    def subscribe(self, *arguments, subscriptions=1):
        """A subscriber in the background, subscribed when this returns."""
        client_id = f"sub-{uuid.uuid4().hex[:8]}"
        command = ["mosquitto_sub", *self.address(), "-i", client_id, "-W", "20", *arguments]
        process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        self.here.wait_subscribed(client_id, subscriptions)
        return process

    def lines(self, process):
        out, err = process.communicate(timeout=25)
        self.assertEqual(process.returncode, 0, err)
        return out.splitlines()

    def test_every_qos_arrives_in_order_with_both_versions(self):
        for version in VERSIONS:
            for qos in "012":
                with self.subTest(version=version, qos=qos):
                    subscriber = self.subscribe("-V", version, "-q", qos, "-t", f"q/{version}/{qos}/#", "-C", "50", "-F", "%q %p")
                    numbers = "".join(f"{n}\n" for n in range(50))
                    publisher = ["mosquitto_pub", *self.address(), "-V", version, "-q", qos, "-t", f"q/{version}/{qos}/a", "-l"]
                    process = spawn(publisher, stdin=subprocess.PIPE, text=True)
                    process.communicate(numbers, timeout=20)
                    self.assertEqual(process.returncode, 0)
                    self.assertEqual(self.lines(subscriber), [f"{qos} {n}" for n in range(50)])

    def test_a_retained_message_survives_a_restart_and_an_empty_one_removes_it(self):
        self.publish("-q", "1", "-r", "-t", "shelf/a", "-m", "kept")
        self.publish("-q", "1", "-r", "-t", "shelf/b", "-m", "gone soon")
        self.publish("-q", "1", "-r", "-t", "shelf/b", "-n")
        self.here.restart()
        for version in VERSIONS:
            done = run(["mosquitto_sub", *self.address(), "-V", version, "-t", "shelf/#", "-W", "2", "-F", "%r %t %p"])
            self.assertEqual(done.stdout.splitlines(), ["1 shelf/a kept"], done.stderr)

    def test_the_will_of_a_client_that_dies_is_published_and_of_one_that_leaves_is_not(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                watcher = self.subscribe("-q", "1", "-t", f"wills/{version}/#", "-C", "1", "-F", "%t %p")
                will = ["--will-qos", "1", "--will-payload", "I am gone"]
                # It leaves after its first message; a signal would make version 5 ask for its will.
                leaves = self.subscribe("-V", version, "-t", "leave", "-C", "1", *will, "--will-topic", f"wills/{version}/left")
                dies = self.subscribe("-V", version, "-t", "none", *will, "--will-topic", f"wills/{version}/died")
                self.publish("-t", "leave", "-m", "now")
                self.assertEqual(leaves.wait(10), 0)
                dies.kill()
                dies.wait(10)
                self.assertEqual(self.lines(watcher), [f"wills/{version}/died I am gone"])

    def test_a_persistent_session_gets_what_came_while_it_and_the_node_were_away(self):
        for version in VERSIONS:
            with self.subTest(version=version):
                expiry = ["-x", "3600"] if version == "mqttv5" else []
                session = ["-V", version, "-i", f"durable-{version}", "-c", *expiry, "-q", "2", "-t", f"post/{version}/+"]
                done = run(["mosquitto_sub", *self.address(), *session, "-E"])
                self.assertEqual(done.returncode, 0, done.stderr)
                for qos in "12":
                    self.publish("-q", qos, "-t", f"post/{version}/before", "-m", f"before {qos}")
                self.here.restart()
                for qos in "12":
                    self.publish("-q", qos, "-t", f"post/{version}/after", "-m", f"after {qos}")
                done = run(["mosquitto_sub", *self.address(), *session, "-C", "4", "-W", "10"])
                got = done.stdout.splitlines()
                # The order holds within one QoS: a client shows a QoS 2 message at the end of its handshake.
                for qos in "12":
                    self.assertEqual([m for m in got if m.endswith(qos)], [f"before {qos}", f"after {qos}"], done.stderr)
                again = run(["mosquitto_sub", *self.address(), *session, "-W", "1"])
                self.assertEqual(again.stdout, "", "delivered and acknowledged, so not again")

    def test_properties_of_version_5_travel_and_an_expired_message_does_not(self):
        session = ["-V", "mqttv5", "-i", "late", "-c", "-x", "3600", "-q", "1", "-t", "props"]
        run(["mosquitto_sub", *self.address(), *session, "-E"])
        wait_until("the session is away", lambda: not self.here.mqtt_client("late")["connected"])
        self.publish("-V", "mqttv5", "-q", "1", "-t", "props", "-m", "stale", "-D", "publish", "message-expiry-interval", "1")
        properties = ["content-type", "text/plain"], ["response-topic", "answers"], ["correlation-data", "c1"], ["user-property", "line", "2"]
        self.publish("-V", "mqttv5", "-q", "1", "-t", "props", "-m", "fresh", *[w for p in properties for w in ("-D", "publish", *p)])
        # The expiry is real time; this waits until the broker itself says that a message of one second is over.
        self.publish("-V", "mqttv5", "-q", "1", "-r", "-t", "clock/tick", "-m", "x", "-D", "publish", "message-expiry-interval", "1")
        wait_until(
            "one second has passed for the broker",
            lambda: run(["mosquitto_sub", *self.address(), "-V", "mqttv5", "-t", "clock/#", "-W", "1"]).stdout == "",
        )
        done = run(["mosquitto_sub", *self.address(), *session, "-C", "1", "-W", "10", "-F", "%j"])
        message = json.loads(done.stdout)
        self.assertEqual(message["payload"], "fresh")
        got = message["properties"]
        self.assertEqual(got["content-type"], "text/plain")
        self.assertEqual(got["response-topic"], "answers")
        self.assertIn({"line": "2"}, [got["user-properties"]] if isinstance(got["user-properties"], dict) else got["user-properties"])


class Credentials(Case):
    """Anonymous access stays off, as by default."""

    def test_a_device_comes_in_with_its_credential_and_with_nothing_else(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "press-7", "client_id": "press-7"})
        self.assertEqual(made.status, 201, made)
        user, password = made.json["user"], made.json["password"]
        host, port = node.mqtt
        base = ["mosquitto_pub", "-h", host, "-p", str(port), "-q", "1", "-t", "a", "-m", "x"]

        def attempt(*arguments):
            return run([*base, *arguments]).returncode

        for version in VERSIONS:
            with self.subTest(version=version):
                known = ["-V", version, "-i", "press-7", "-u", user]
                self.assertEqual(attempt(*known, "-P", password), 0)
                self.assertNotEqual(attempt(*known, "-P", password + "x"), 0, "wrong password")
                self.assertNotEqual(attempt(*known), 0, "no password")
                self.assertNotEqual(attempt("-V", version, "-i", "press-7"), 0, "anonymous")
                self.assertNotEqual(attempt("-V", version, "-i", "press-8", "-u", user, "-P", password), 0, "another client id")
        node.restart()
        base[4] = str(node.mqtt[1])
        self.assertEqual(attempt("-i", "press-7", "-u", user, "-P", password), 0, "known after a restart")
        self.assertEqual(node.request("DELETE", f"/api/devices/{made.json['id']}").status, 204)
        self.assertNotEqual(attempt("-i", "press-7", "-u", user, "-P", password), 0, "removed")

    def test_a_credential_ends_at_its_topics(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "meter", "publish": ["meters/7/#"], "subscribe": ["meters/7/set"]}).json
        host, port = node.mqtt
        login = ["-h", host, "-p", str(port), "-u", made["user"], "-P", made["password"], "-V", "mqttv5", "-q", "1"]
        allowed = run(["mosquitto_pub", *login, "-d", "-t", "meters/7/power", "-m", "1"])
        refused = run(["mosquitto_pub", *login, "-d", "-t", "meters/8/power", "-m", "1"])
        self.assertEqual(allowed.returncode, 0, allowed.stderr)
        self.assertIn("Not authorized", refused.stdout + refused.stderr)
        dropped = run(["mosquitto_pub", *login[:-1], "0", "-t", "meters/9/power", "-m", "1"])
        self.assertEqual(dropped.returncode, 0, "there is no answer to QoS 0")
        for will in ("meters/9/will", "meters/10/will"):
            self.assertNotEqual(run(["mosquitto_pub", *login, "-t", "meters/7/power", "-m", "1", "--will-topic", will]).returncode, 0)
        old = Client("old", durable=False, user=made["user"], password=made["password"]).connect(node.mqtt)
        with self.assertRaises(ConnectionError, msg="3.1.1 has no other answer"):
            old.publish_and_wait("meters/11/power", "1")
        topics = ["meters/8/power", "meters/9/power", "meters/9/will", "meters/10/will", "meters/11/power"]

        def told():
            events = [event for event in node.timeline(kind="system") if event["detail"]["action"] == "mqtt_refused"]
            self.assertEqual([event for event in events if event["severity"] != 4], [], "as grave as other refusals, in every version")
            said = [event["summary"] for event in events if "may not publish" in event["summary"]]
            return [topic for topic in topics if not any(f'"{topic}"' in words and "filter" in words for words in said)] == []

        wait_until("the timeline names each topic that was refused", told)
        run(["mosquitto_pub", *login, "-i", "a\u202eb", "-t", "meters/7/power", "-m", "1"])
        names = lambda: [event["detail"]["name"] for event in node.timeline(kind="connection")]
        wait_until("what is hidden in a client identifier is seen", lambda: r"a\u{202e}b" in names())
        for _ in range(30):
            with self.assertRaises(ConnectionError):
                Client("again", durable=False, user=made["user"], password=made["password"]).connect(node.mqtt).publish_and_wait("meters/11/power", "1")
        stays = Client("again", durable=False, user=made["user"], password=made["password"]).connect(node.mqtt)
        comings = lambda: [event["summary"] for event in node.timeline(kind="connection") if event["detail"]["name"] == "again"]
        wait_until("twenty comings and goings are told", lambda: len(comings()) >= 20)
        stays.until(lambda: node.mqtt_client("again")["connected"])
        self.assertEqual((len(comings()), "only counted" in comings()[0]), (20, True), comings())
        listening = run(["mosquitto_sub", *login, "-t", "meters/7/set", "-E"])
        self.assertEqual(listening.returncode, 0, listening.stderr)
        outside = run(["mosquitto_sub", *login, "-t", "#", "-E"])
        self.assertNotEqual((outside.returncode, outside.stderr), (0, ""), "a subscription to everything")
        summaries = lambda: [event["summary"] for event in node.timeline(kind="system")]
        wait_until("the timeline tells that, too", lambda: any('may not subscribe to "#"' in words for words in summaries()))

    def test_a_device_is_changed_where_it_stands_and_is_known_by_its_name(self):
        node = self.node(anonymous=False)
        made = node.post("/api/devices", {"name": "meter", "publish": ["a"], "subscribe": ["in/#"]}).json
        node.post("/api/devices", {"name": "fan", "client_id": "fan-1"})
        change = lambda **body: node.request("PATCH", f"/api/devices/{made['id']}", body)
        come = lambda client_id="": Client(client_id, 5, durable=False, user="meter", password=made["password"]).connect(node.mqtt)
        # Paho makes no identifier for version 5: the broker does.
        meter = come()
        meter.publish("b", "1")
        meter.until(lambda: meter.refused)
        told = lambda: [e for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_refused"]
        wait_until("the timeline names the topic", told)
        (event,) = told()
        self.assertEqual(event["by"]["name"], "meter")
        self.assertTrue(event["summary"].startswith('meter: A message of the MQTT client "auto-'), event)
        self.assertIn("give it a filter that does under Users & audit, MQTT devices", event["summary"])
        self.assertNotIn("meter", event["detail"]["text"], "no name stands in an event")
        self.assertEqual(change(publish=["a", "b"], operate=None).status, 204)
        meter.publish_and_wait("b", "2")
        meter.subscribe("in/x")
        (subscription,) = node.get("/api/mqtt/subscriptions").json["subscriptions"]
        self.assertEqual((subscription["user"], subscription["client_id"][:5]), ("meter", "auto-"))
        self.assertEqual(change(subscribe=["in/#", "in/x"]).status, 204)
        meter.publish_and_wait("b", "3")  # The connection is the same.
        for body, status in (({"client_id": "fan-1"}, 409), ({"publish": ["a/#/b"]}, 422), ({"operate": "nowhere"}, 422), ({"user": "x"}, 422)):
            self.assertEqual(change(**body).status, status, body)
        self.assertEqual(node.request("PATCH", f"/api/devices/{uuid.uuid4()}", {"publish": []}).status, 404)
        self.assertEqual(change(subscribe=[]).status, 204)
        with self.assertRaises(ConnectionError, msg="it lost what it subscribed to"):
            meter.until(lambda: False, 10)
        self.assertEqual(change(client_id="meter-1").status, 204)
        with self.assertRaises(ConnectionError, msg="it may come with its own identifier alone"):
            come()
        node.restart()
        come("meter-1").publish_and_wait("b", "4")
        (device,) = [d for d in node.get("/api/devices").json["devices"] if d["user"] == "meter"]
        self.assertEqual((device["publish"], device["subscribe"], device["client_id"]), (["a", "b"], [], "meter-1"))
        changed = [e["summary"] for e in node.timeline(kind="user") if e["detail"]["action"] == "device_changed"]
        self.assertEqual(
            changed,
            [
                "device changed: client identifier: bound to another",
                "device changed: subscribe -in/#, -in/x",
                "device changed: subscribe +in/x",
                "device changed: publish +b",
            ],
        )
