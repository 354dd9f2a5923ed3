"""Hours of coming and going: clients that are cut off, taken over, slow or deaf beside those that must get everything. Nothing may be lost,
nothing done twice, and the node's memory must stay where it is.

Twelve seconds; two hours in the long form. `ANDON_SOAK_SECONDS` sets another length.
"""

import json
import os
import random
import statistics
import threading
import time
from datetime import datetime, timezone
from pathlib import Path

from harness import LONG, Case, wait_until
from mqtt import Client

SECONDS = float(os.environ.get("ANDON_SOAK_SECONDS") or (7200 if LONG else 12))
# Messages a second of each publisher.
RATE = 100
# Publishers rest while so many messages are under way to the steady subscriber.
UNDER_WAY = 2_000
# And while so many wait for one that comes and goes: well below the bound of a queue, beyond which they would rightly be dropped where the
# machine is too slow for the clients.
BEHIND = 40_000
# The first part, in which caches and pools fill, is not judged.
WARM_UP = 0.25


class Counts:
    """How often each message came, by publisher and number."""

    def __init__(self):
        self.of: dict[str, bytearray] = {}
        # Messages, each counted once.
        self.total = 0

    def add(self, payload: bytes) -> None:
        name, number = payload.split(b" ")[:2]
        counts, at = self.of.setdefault(name.decode(), bytearray()), int(number)
        if at >= len(counts):
            counts.extend(bytes(at + 1 - len(counts)))
        self.total += counts[at] == 0
        counts[at] = min(counts[at] + 1, 255)

    def lacks(self, name: str, numbers: int) -> list[int]:
        counts = self.of.get(name, b"")
        return [at for at in range(numbers) if at >= len(counts) or counts[at] == 0]

    def doubled(self, name: str) -> list[int]:
        return [at for at, times in enumerate(self.of.get(name, b"")) if times > 1]


class Soak(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node(extra="[limits]\nmqtt_connections = 1000\nmqtt_connections_per_address = 1000\n")
        self.over = threading.Event()
        self.faults: list[str] = []
        self.told: dict[str, int] = {"connections": 0, "taken_over": 0, "cut_off": 0}
        self.threads: list[threading.Thread] = []

    def actor(self, name: str, work, *arguments) -> None:
        def run():
            try:
                work(name, *arguments)
            except Exception as error:  # An actor must not end unnoticed.
                self.faults.append(f"{name}: {error!r}")

        thread = threading.Thread(target=run, name=name, daemon=True)
        self.threads.append(thread)
        thread.start()

    def memory_kib(self) -> int:
        status = Path(f"/proc/{self.here.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])

    # --- those that must get everything, and those who send it -------------------------------------------------------

    def publisher(self, name: str, qos: int, protocol: int, sent: dict, may_send) -> None:
        client, answers = Client(name, protocol), []
        client.on_acknowledged = answers.append
        client.connect(self.here.mqtt)
        began, body = time.monotonic(), "x" * 80
        while not self.over.is_set():
            due = (time.monotonic() - began) * RATE
            while sent[name] < due and may_send():
                client.publish(f"soak/q{qos}/{name}", f"{name} {sent[name]} {body}", qos)
                sent[name] += 1
            if not client.turn(0.01):
                raise ConnectionError("the connection is gone")
        client.until(lambda: len(answers) == sent[name], 60)
        client.close()

    def steady(self, name: str, counts: Counts, done) -> None:
        client = Client(name, 5)
        client.on_message = lambda message: counts.add(message.payload)
        client.connect(self.here.mqtt).subscribe("soak/#", qos=2)
        while not (self.over.is_set() and done(counts)):
            if not client.turn(0.02):
                raise ConnectionError("the connection is gone")
        client.close()

    def comer(self, name: str, protocol: int, counts: Counts, done) -> None:
        """Comes, stays a while, and is cut off or leaves."""
        chance = random.Random(name)
        client = Client(name, protocol)
        client.on_message = lambda message: counts.add(message.payload)
        client.connect(self.here.mqtt).subscribe("soak/#", qos=2)
        while not (self.over.is_set() and done(counts)):
            until = time.monotonic() + chance.uniform(0.1, 3)
            while time.monotonic() < until:
                if not client.turn(0.02):
                    raise ConnectionError("the connection is gone")
            (client.drop if chance.random() < 0.5 else client.close)()
            self.told["cut_off"] += 1
            away = chance.uniform(0, 60 if SECONDS > 600 and not self.over.is_set() else 2)
            self.over.wait(away)
            client.connect(self.here.mqtt)
            self.assertTrue(client.session_present)
        client.close()

    # --- the others --------------------------------------------------------------------------------------------------

    def deaf(self, name: str, qos: int) -> None:
        """Subscribes, reads nothing, and begins anew from time to time."""
        while not self.over.is_set():
            client = Client(name, 4, durable=False).connect(self.here.mqtt)
            client.subscribe("soak/#", qos=qos)
            self.over.wait(min(60, SECONDS / 4))
            client.drop()

    def churn(self, name: str) -> None:
        chance = random.Random(name)
        number = 0
        while not self.over.is_set():
            number += 1
            client = Client(f"{name}-{number}", chance.choice((4, 5)), durable=False)
            client.paho.will_set(f"gone/{name}", str(number), 1, retain=True)
            client.connect(self.here.mqtt).subscribe(f"churn/{number % 50}/#", "gone/+", qos=1)
            client.publish_and_wait(f"churn/{number % 50}/{name}", str(number), 1, retain=number % 7 == 0)
            (client.drop if chance.random() < 0.5 else client.close)()
            self.told["connections"] += 1

    def rival(self, name: str) -> None:
        """One of two that come under the same identifier and end each other's connections."""
        while not self.over.is_set():
            client = Client("rival", 5)
            try:
                client.connect(self.here.mqtt).subscribe("churn/#", qos=1)
                client.until(self.over.is_set, 0.2)
            except TimeoutError:
                client.drop()
            except ConnectionError:
                self.told["taken_over"] += 1

    # --- the judge ---------------------------------------------------------------------------------------------------

    def test_nothing_is_lost_and_memory_stays_flat_under_coming_and_going(self):
        sent = {"pub-a": 0, "pub-b": 0, "pub-c": 0}
        qos_of = {"pub-a": 1, "pub-b": 2, "pub-c": 2}
        steady, comer_4, comer_5 = Counts(), Counts(), Counts()
        publishing = threading.Event()

        def done(counts: Counts) -> bool:
            return publishing.is_set() and not any(counts.lacks(name, sent[name]) for name in sent)

        def may_send() -> bool:
            total = sum(sent.values())
            waits = ((steady, UNDER_WAY), (comer_4, BEHIND), (comer_5, BEHIND))
            return all(total - counts.total < most for counts, most in waits)

        # All are subscribed before the first message.
        self.actor("steady", self.steady, steady, done)
        self.actor("comer-4", self.comer, 4, comer_4, done)
        self.actor("comer-5", self.comer, 5, comer_5, done)
        for name in ("steady", "comer-4", "comer-5"):
            self.here.wait_subscribed(name)
        for (name, qos), protocol in zip(qos_of.items(), (5, 5, 4)):
            self.actor(name, self.publisher, qos, protocol, sent, may_send)
        publishers = self.threads[-3:]
        for number in range(6):
            self.actor(f"deaf-{number}", self.deaf, number % 2)
        self.actor("churn-a", self.churn)
        self.actor("churn-b", self.churn)
        self.actor("rival-a", self.rival)
        self.actor("rival-b", self.rival)

        memory, end = [], time.monotonic() + SECONDS
        while (left := end - time.monotonic()) > 0 and not self.faults:
            if left < SECONDS * (1 - WARM_UP):
                memory.append(self.memory_kib())
            self.over.wait(min(1, left))
        self.over.set()
        for thread in publishers:
            thread.join(120)
        publishing.set()

        def stay() -> list[str]:
            return [] if self.faults else [thread.name for thread in self.threads if thread.is_alive()]

        try:
            wait_until("every actor came to its end", lambda: not stay(), 300)
        except AssertionError as error:
            lacks = {name: [len(counts.lacks(name, sent[name])) for counts in (steady, comer_4, comer_5)] for name in sent}
            raise AssertionError(f"{error}; these stay: {stay()}; steady, comer-4 and comer-5 lack {lacks}") from error
        self.assertEqual(self.faults, [])
        for counts in (steady, comer_4, comer_5):
            for name, qos in qos_of.items():
                self.assertEqual(counts.lacks(name, sent[name]), [], name)
                if qos == 2:
                    self.assertEqual(counts.doubled(name), [], name)
        self.assertTrue(self.here.get("/readyz").status == 200)
        third = max(1, len(memory) // 3)
        before, after = statistics.median(memory[:third]), statistics.median(memory[-third:])
        report = {
            "what": "MQTT soak: clients cut off, taken over, deaf and new ones without end",
            "seconds": SECONDS,
            **self.told,
            **{f"messages_{name}": count for name, count in sent.items()},
            "lost": 0,
            "doubled": 0,
            "memory_kib_first_third": before,
            "memory_kib_last_third": after,
            "memory_kib_most": max(memory),
        }
        print(f"soak: {json.dumps(report)}", flush=True)
        for what, least in (("connections", 20), ("taken_over", 5), ("cut_off", 5)):
            self.assertGreater(self.told[what], least, "a soak without coming and going proves nothing")
        # A twentieth and some pages: what grows without end grows beyond that in two hours.
        self.assertLess(after, before * 1.05 + 8192, memory[:: max(1, len(memory) // 40)])
        if to := os.environ.get("ANDON_LEDGER"):
            path = Path(__file__).resolve().parents[2] / "docs/ledger.jsonl" if to == "1" else Path(to)
            with path.open("a") as file:
                file.write(json.dumps({"at": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), **report}) + "\n")
