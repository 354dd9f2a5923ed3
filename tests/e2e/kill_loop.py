"""kill -9 in the middle of everything, and then: was any acknowledged thing lost, or done twice?

The judge is this process, which is never killed. As soon as it sees an acknowledgement it writes it into its own ledger file and syncs
that; at the end it reads the ledger back and asks the node for each entry. Actors work without pause while the main thread starts
the node, lets it run for a random time, and kills it: at once, at the very moment of an acknowledgement, in the middle of a clean
stop, in the middle of a start, while files of history are compacted or written. What happens to history is in `kill_history.py`.

`kill_loop.py [--kills N] [--how kill|ack|stop|start|compact|file] [--seed N]` prints one line of JSON at the end: counts, the slowest start, and every broken promise.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from datetime import datetime, timezone
from pathlib import Path

from harness import ModbusDevice, Node, http, now_ms, wait_until
from kill_actors import UNIT, Actor, Ledger, Site
from kill_history import HistoryJudge
from mqtt import Client

HOT = f"{UNIT}/heat:high"
# Publishers rest while this many messages are under way to a subscriber, so that its queue in the node never fills.
BACKLOG = 20_000
SHOWN = 5
# At a random time, at the very moment of an acknowledgement, in the middle of a clean stop, in the middle of the next start, while
# files of history are compacted, at the sight of one that is half written.
HOW = ["kill", "kill", "ack", "ack", "stop", "start", "compact", "file"]
# What an acknowledgement may be for.
KINDS = ["mqtt", "retained", "meter", "ingest", "command", "ack", "configuration", "past", "delete", "compact", "backup"]

PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[equipment]]
path = "works/cell"
level = "work_center"
title = "Cell"

[[tag]]
path = "works/cell/setpoint"
title = "Set point"
type = "int64"
range = [0, 65535]
write = { life = "2s", confirm_within = "1s" }

[[tag]]
path = "works/cell/count"
title = "Count"
type = "int64"

[[tag]]
path = "works/cell/meter"
title = "Meter"
type = "int64"

[[tag]]
path = "works/cell/heat"
title = "Heat"
type = "double"

PAST[[alarm]]
tag = "works/cell/heat"
condition = "high"
limit = 80
deadband = 5
priority = "high"
message = "Too hot"

[[connector]]
name = "plc"
type = "modbus"
endpoint = "ENDPOINT"
poll = "100ms"
timeout = "500ms"
register = [{ tag = "works/cell/setpoint", table = "holding", address = 0, type = "u16", write = true }]

[[topic]]
filter = "meter/cell"
format = "json"
time = "t"
time_unit = "ms"
fields = [{ path = "v", tag = "works/cell/meter" }]
"""


class Publisher(Actor):
    """Publishes numbered messages and keeps its half of every handshake over the node's deaths."""

    WINDOW = 20

    def __init__(self, judge, name: str, qos: int, protocol: int):
        super().__init__(judge, name)
        self.qos = qos
        self.client = Client(name, protocol)
        self.client.on_acknowledged = self.acknowledged
        self.pending: dict[int, tuple[str, dict]] = {}
        self.number = 0

    def acknowledged(self, mid: int) -> None:
        kind, entry = self.pending.pop(mid)
        self.ledger.note(kind, **entry)
        self.judge.count(kind if kind != "mqtt" else f"mqtt_qos{self.qos}")

    def next(self) -> None:
        self.number += 1
        if self.number % 10 == 0:
            self.send("retained", f"keep/{self.name}", str(self.number), {"topic": f"keep/{self.name}", "number": self.number}, retain=True)
        else:
            body = f"{self.name}-{self.number}"
            self.send("mqtt", f"judge/q{self.qos}", body, {"qos": self.qos, "id": body})

    def send(self, kind: str, topic: str, payload: str, entry: dict, retain: bool = False) -> None:
        self.pending[self.client.publish(topic, payload, self.qos, retain)] = (kind, entry)

    def live(self, life, _web, mqtt, _token):
        self.client.connect(mqtt, 3)
        while self.site.lives(life):
            while len(self.pending) < self.WINDOW and self.judge.backlog() < BACKLOG:
                self.next()
            if not self.client.turn(0.01):
                return


class Meter(Publisher):
    """Publishes readings to a topic that is mapped to a tag: an acknowledged message must become history."""

    def next(self) -> None:
        self.number += 1
        at = self.judge.epoch_ms + self.number
        self.send("meter", "meter/cell", json.dumps({"v": self.number, "t": at}), {"at": at, "value": self.number})


class Subscriber(Actor):
    """A durable session that is connected only part of the time."""

    def __init__(self, judge, name: str, protocol: int):
        super().__init__(judge, name)
        self.client = Client(name, protocol)
        self.client.on_message = lambda message: self.received.update([message.payload.decode()])
        self.received: Counter[str] = Counter()
        self.subscribed = threading.Event()

    def live(self, life, _web, mqtt, _token):
        self.client.connect(mqtt, 3)
        if not self.subscribed.is_set():
            self.client.subscribe("judge/+", qos=2)
            self.subscribed.set()
        elif not self.client.session_present:
            self.judge.broken("session", f"{self.name}: the session was forgotten")
            self.client.subscribe("judge/+", qos=2)
        until = time.monotonic() + self.random.uniform(0.02, 1.0)
        while self.site.lives(life) and time.monotonic() < until:
            if not self.client.turn():
                return
        if self.random.random() < 0.5:
            self.client.close()
        else:
            self.client.drop()
        away = time.monotonic() + self.random.uniform(0, 1.0)
        while self.site.lives(life) and time.monotonic() < away:
            time.sleep(0.01)


class Ingester(Actor):
    """Sends numbered samples by HTTP."""

    number = 0

    def live(self, life, web, _mqtt, token):
        while self.site.lives(life):
            points = range(self.number, self.number + 5)
            self.number += 5
            body = "\n".join(f"{UNIT} count={n}i {self.judge.epoch_ms + n}" for n in points)
            answer = http(web, "POST", "/api/ingest?precision=ms", body, token=token, deadline=5)
            if answer.status == 204:
                self.ledger.note("ingest", points=list(points))
                self.judge.count("ingest_samples", len(points))
            elif answer.status != 503:
                raise AssertionError(answer)


class Commander(Actor):
    """Writes numbered set points; a command whose answer died with the node is asked for again with the same key."""

    number = 0
    unanswered: tuple[str, int] | None = None

    def live(self, life, web, _mqtt, token):
        while self.site.lives(life):
            if self.unanswered is None or self.random.random() < 0.3:
                self.number += 1
                self.unanswered = (str(uuid.uuid4()), self.number)
            key, value = self.unanswered
            body = {"tag": f"{UNIT}/setpoint", "value": value, "key": key}
            answer = http(web, "POST", "/api/commands", body, token=token, deadline=10)
            self.unanswered = None
            if answer.status != 200:
                raise AssertionError(answer)
            self.ledger.note("command", key=key, value=value, outcome=answer.json["outcome"])
            self.judge.count(f"command_{answer.json['outcome']}")


class Operator(Actor):
    """Heats until the alarm is raised, acknowledges it, cools until it is gone, and begins again."""

    def live(self, life, web, _mqtt, token):
        ask = lambda method, path, body=None: http(web, method, path, body, token=token, deadline=5)
        acknowledged = {entry["occurrence"] for entry in self.ledger.read("ack")}
        while self.site.lives(life):
            alarm = next((a for a in ask("GET", "/api/alarms").json["alarms"] if a["name"] == HOT), None)
            if alarm and alarm["state"] != "acknowledged":
                if alarm["occurrence"] in acknowledged:
                    self.judge.broken("ack_lost", alarm["occurrence"])
                answer = ask("POST", "/api/alarms/ack", {"alarms": [{"name": HOT, "occurrence": alarm["occurrence"]}], "note": "judge"})
                if answer.status == 200 and answer.json["results"][0]["ok"]:
                    self.ledger.note("ack", occurrence=alarm["occurrence"])
                    acknowledged.add(alarm["occurrence"])
                    self.judge.count("acknowledgements")
            # The answer to an acknowledgement may have died with the node, so the alarm itself is asked.
            heat = 20.0 if alarm and (alarm["state"] == "acknowledged" or alarm["occurrence"] in acknowledged) else 100.0
            ask("POST", "/api/ingest", f"{UNIT} heat={heat}")


class Engineer(Actor):
    """Changes the plant model again and again."""

    number = 0

    def live(self, life, web, _mqtt, token):
        while self.site.lives(life):
            self.number += 1
            version = http(web, "GET", "/api/plant", token=token, deadline=5).json["version"]
            text = self.judge.plant().replace('title = "Count"', f'title = "Count {self.number}"')
            reason = f"change {self.number}"
            body = {"documents": [{"name": "cell.toml", "text": text}], "expected_version": version, "reason": reason}
            answer = http(web, "POST", "/api/plant/apply", body, token=token, deadline=10)
            if answer.status != 200:
                raise AssertionError(answer)
            self.ledger.note("configuration", version=answer.json["version"], reason=reason)
            self.judge.count("configurations")
            until = time.monotonic() + 0.1
            while self.site.lives(life) and time.monotonic() < until:
                time.sleep(0.01)


class Judge:
    def __init__(self, kills: int, seed: int, how: list[str]):
        self.kills, self.seed, self.how = kills, seed, how
        self.random = random.Random(seed)
        self.folder = Path(tempfile.mkdtemp(prefix="andon-judge-"))
        self.ledger = Ledger(self.folder / "ledger.jsonl")
        self.site = Site()
        (self.folder / "node").mkdir()
        self.node = Node(folder=self.folder / "node")
        self.device = ModbusDevice().start()
        self.epoch_ms = now_ms() - 3_600_000
        self.counts: Counter[str] = Counter()
        self.violations: dict[str, list[str]] = {}
        self.starts_s: list[float] = []
        self._lock = threading.Lock()
        self.subscribers = [Subscriber(self, "sub4", 4), Subscriber(self, "sub5", 5)]
        self.publishers = [Publisher(self, f"q{qos}v{protocol}", qos, protocol) for qos in (1, 2) for protocol in (4, 5)]
        self.publishers.append(Meter(self, "meter", 1, 5))
        others = [Ingester(self, "ingester"), Commander(self, "commander"), Operator(self, "operator"), Engineer(self, "engineer")]
        self.history = HistoryJudge(self)
        self.actors = [*self.publishers, *others, *self.history.actors]

    def plant(self) -> str:
        return PLANT.replace("ENDPOINT", self.device.endpoint).replace("PAST", self.history.tags())

    def count(self, what: str, number: int = 1) -> None:
        with self._lock:
            self.counts[what] += number

    def broken(self, promise: str, detail) -> None:
        with self._lock:
            self.violations.setdefault(promise, []).append(str(detail))

    def backlog(self) -> int:
        sent = self.counts["mqtt_qos1"] + self.counts["mqtt_qos2"]
        return sent - min(len(subscriber.received) for subscriber in self.subscribers)

    # -- the loop --

    def run(self) -> dict:
        self.start()
        self.node.apply(self.plant())
        self.site.up(self.node)
        for subscriber in self.subscribers:
            subscriber.start()
        for subscriber in self.subscribers:
            assert subscriber.subscribed.wait(10), "the durable subscriptions must stand first"
        for actor in self.actors:
            actor.start()
        for kill in range(self.kills):
            how = self.random.choice(self.how)
            # As many deaths in the first tenth of a second as in the rest.
            time.sleep(self.random.choice((self.random.uniform(0.02, 0.2), self.random.uniform(0.2, 2.0))))
            self.die(how)
            if how == "start":
                self.cut_a_start_short()
            self.start()
            self.site.up(self.node)
            self.count(f"kills_{how}")
        self.site.over.set()
        for actor in [*self.actors, *self.subscribers]:
            actor.join(30)
            if actor.is_alive():
                self.broken("judge", f"the actor {actor.name} does not end")
        self.check()
        self.node.stop()
        self.history.check_restored()
        self.device.close()
        return self.report()

    def start(self) -> None:
        self._start(deadline=60)
        self.starts_s.append(self.node.ready_s)

    def _start(self, **how) -> None:
        try:
            self.node.start(**how)
        except SystemError:
            # A backup that began in the moment of a death works on the data directory as on one of a node that does not run.
            if not self.history.wait_for_backup():
                raise
            self.count("starts_after_a_backup")
            self.node.start(**how)

    def die(self, how: str) -> None:
        if how == "stop":
            self.node.process.send_signal(signal.SIGTERM)
            time.sleep(self.random.uniform(0, 0.3))  # Somewhere within the clean stop, its snapshots included.
        if how == "ack":
            self.ledger.set_trap(self.random.choice(KINDS), self.node.process.pid)
            try:
                self.node.process.wait(2)
            except subprocess.TimeoutExpired:
                pass  # No acknowledgement of this kind came; it dies all the same.
            self.ledger.remove_trap()
        if how in ("compact", "file"):
            self.history.wait_for(how)
        self.node.kill()
        self.site.down()

    def cut_a_start_short(self) -> None:
        self._start(ready=False) if self.random.random() < 0.3 else self.node.launch()
        time.sleep(self.random.uniform(0, 0.2))
        self.node.kill()

    # -- judgement --

    def check(self) -> None:
        # Everything that is under way comes to its end first; then one more kill, so that only what is on disk counts.
        for publisher in self.publishers:
            publisher.client.connect(self.node.mqtt).until(lambda: not publisher.pending, 60)
            publisher.client.close()
        self.node.kill()
        self.start()
        self.check_messages()
        self.check_retained()
        self.check_history("ingest", "count", [(self.epoch_ms + n, n) for e in self.ledger.read("ingest") for n in e["points"]])
        self.check_history("meter", "meter", [(e["at"], e["value"]) for e in self.ledger.read("meter")])
        events = self.events()
        self.check_commands(events)
        self.check_acknowledgements(events)
        self.check_configurations(events)
        report = self.node.get("/api/audit/verify", deadline=60).json
        if not report["ok"]:
            self.broken("audit", report["detail"])
        self.history.check()

    def check_messages(self) -> None:
        acknowledged = {entry["id"]: entry["qos"] for entry in self.ledger.read("mqtt")}
        for subscriber in self.subscribers:
            client = subscriber.client.connect(self.node.mqtt)
            if not client.session_present:
                self.broken("session", f"{subscriber.name}: the session was forgotten")
            try:
                client.until(lambda: acknowledged.keys() <= subscriber.received.keys(), 60)
            except TimeoutError:
                pass
            # A last message of each QoS: what was to come twice has come before it.
            last = [f"last-{subscriber.name}-{qos}" for qos in (1, 2)]
            other = Client(f"last-{subscriber.name}", durable=False).connect(self.node.mqtt)
            for qos, body in enumerate(last, 1):
                other.publish_and_wait(f"judge/q{qos}", body, qos)
            client.until(lambda: all(body in subscriber.received for body in last), 30)
            for lost in acknowledged.keys() - subscriber.received.keys():
                self.broken(f"mqtt_qos{acknowledged[lost]}_lost", f"{subscriber.name}: {lost}")
            for body, times in subscriber.received.items():
                if times > 1 and body.startswith("q2"):
                    self.broken("mqtt_qos2_doubled", f"{subscriber.name}: {body} came {times} times")
                if times > 1 and body.startswith("q1"):
                    self.count("mqtt_qos1_came_again")
            client.close()

    def check_retained(self) -> None:
        newest: dict[str, int] = {}
        for entry in self.ledger.read("retained"):
            newest[entry["topic"]] = max(newest.get(entry["topic"], 0), entry["number"])
        reader = Client("keeper", durable=False).connect(self.node.mqtt).subscribe("keep/+")
        kept = lambda: {topic: int(payload) for topic, payload, _, _ in reader.messages}
        try:
            reader.until(lambda: kept().keys() >= newest.keys(), 10)
        except TimeoutError:
            pass
        for topic, number in newest.items():
            if kept().get(topic, 0) < number:
                self.broken("retained_lost", f"{topic} holds {kept().get(topic)}, {number} was acknowledged")

    def check_history(self, kind: str, tag: str, wanted: list[tuple[int, int]]) -> None:
        self.check_points(self.node, f"{kind}_lost", kind, tag, dict(wanted))

    def check_points(self, node: Node, promise: str, what: str, tag: str, wanted: dict[int, int]) -> None:
        """Each of these values, by time, is in the node's history of a tag."""
        if not wanted:
            return
        first, last = min(wanted), max(wanted)

        def missing() -> list[int]:
            stored: dict[int, int] = {}
            for at in range(first, last + 1, 50_000):
                points = node.history(f"{UNIT}/{tag}", at - 1 if at == first else at, min(at + 50_000, last + 2))["points"]
                stored.update((time_ms, value) for time_ms, value, _ in points)
            return [at for at, value in wanted.items() if stored.get(at) != value]

        try:
            wait_until(f"every acknowledged sample is in history ({what})", lambda: not missing(), 20)
        except AssertionError:
            for at in missing():
                self.broken(promise, f"{what}: {tag} {wanted[at]} at {at}")

    def events(self) -> list[dict]:
        """The whole timeline, oldest first, once it has caught up with the records."""
        newest = lambda: self.node.get("/api/timeline?limit=1").json["events"][0]["seq"]
        wait_until("the timeline stands still", lambda: (seen := newest()) and (time.sleep(0.2) or newest() == seen), 30)
        events = self.node.timeline()[::-1]
        for doubled, times in Counter(event["id"] for event in events).items():
            if times > 1:
                self.broken("event_doubled", f"{doubled} stands {times} times in the timeline")
        self.count("events", len(events))
        return events

    def check_commands(self, events: list[dict]) -> None:
        steps: dict[str, list[str]] = {}
        for event in events:
            if event["kind"] == "command":
                steps.setdefault(event["detail"]["command"], []).append(event["detail"]["step"])
        for command, each in steps.items():
            if each.count("intent") > 1 or len([s for s in each if s != "intent"]) != 1:
                self.broken("command_steps", f"{command}: {each}")
        writes = Counter(values[0] for _, _, values in self.device.writes)
        for value, times in writes.items():
            if times > 1:
                self.broken("command_doubled", f"the device was told {value} {times} times")
        self.count("device_writes", sum(writes.values()))
        for entry in self.ledger.read("command"):
            key, value, outcome = entry["key"], entry["value"], entry["outcome"]
            if outcome not in steps.get(key, []):
                self.broken("command_outcome", f"{key} was reported {outcome}, the timeline has {steps.get(key)}")
            if outcome == "confirmed" and writes[value] != 1 or outcome in ("refused", "expired") and writes[value]:
                self.broken("command_untrue", f"{key} was reported {outcome}, the device was told {value} {writes[value]} times")

    def check_acknowledgements(self, events: list[dict]) -> None:
        changes: dict[str, list[tuple[str, str]]] = {}
        for event in events:
            if event["kind"] == "alarm":
                changes.setdefault(event["detail"]["occurrence"], []).append((event["detail"]["from"], event["detail"]["to"]))
        self.count("alarm_occurrences", len(changes))
        by_person = {("unacknowledged", "acknowledged"), ("returned_to_normal_unacknowledged", "normal")}
        for occurrence, each in changes.items():
            if each[0] != ("normal", "unacknowledged") or any(a[1] != b[0] for a, b in zip(each, each[1:])):
                self.broken("alarm_sequence", f"{occurrence}: {each}")
        for entry in self.ledger.read("ack"):
            acts = [change for change in changes.get(entry["occurrence"], []) if change in by_person]
            if len(acts) != 1:
                self.broken("ack_lost", f"{entry['occurrence']}: {changes.get(entry['occurrence'])}")

    def check_configurations(self, events: list[dict]) -> None:
        versions = {v["version"]: v["reason"] for v in self.node.get("/api/plant/versions").json["versions"]}
        recorded = Counter(event["detail"]["version"] for event in events if event["kind"] == "configuration")
        for entry in self.ledger.read("configuration"):
            # The list is limited; beyond it the event must do.
            if versions.get(entry["version"], entry["reason"]) != entry["reason"] or not recorded[entry["version"]]:
                self.broken("configuration_lost", entry)
        for version, times in recorded.items():
            if times > 1:
                self.broken("configuration_doubled", f"version {version} stands {times} times in the timeline")
        for version in versions.keys() - recorded.keys():
            self.broken("configuration_unrecorded", f"version {version} has no event")

    def report(self) -> dict:
        starts = sorted(self.starts_s)
        return {
            "seed": self.seed,
            "kills": self.kills + 1,
            "counts": dict(sorted(self.counts.items())),
            "ready_ms_median": round(starts[len(starts) // 2] * 1000),
            "ready_ms_slowest": round(starts[-1] * 1000),
            "violations": {promise: {"number": len(all_of), "first": all_of[:SHOWN]} for promise, all_of in self.violations.items()},
        }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--how", choices=sorted(set(HOW)), help="die only so")
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(4)))
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    judge = Judge(options.kills, options.seed, [options.how] if options.how else HOW)
    try:
        report = judge.run()
    except BaseException:
        print(f"kept for a look: {judge.folder}\n{judge.node.log_tail()}", flush=True)
        raise
    if report["violations"]:
        print(f"kept for a look: {judge.folder}", flush=True)
    else:
        judge.node.close()
        shutil.rmtree(judge.folder, ignore_errors=True)
    print(json.dumps(report), flush=True)
    to = os.environ.get("ANDON_LEDGER")
    if to:
        path = Path(__file__).resolve().parents[2] / "docs/ledger.jsonl" if to == "1" else Path(to)
        path.parent.mkdir(parents=True, exist_ok=True)
        line = {"at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "what": "kill loop", **report}
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
    return 1 if report["violations"] else 0


if __name__ == "__main__":
    sys.exit(main())
