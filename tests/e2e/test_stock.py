"""What lies where: people carry, pack, unpack and exchange over kills and lost answers, and nothing is in two places or comes of nothing."""

import json
import random
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote

from harness import MesCase, key, now_ms, wait_until
from mqtt import Client

LINE = "works/line"
PLANT = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "works/elsewhere", level = "work_center" }},
  {{ path = "{LINE}", level = "work_center" }},
  {{ path = "{LINE}/mount", level = "work_unit" }},
]
tag = [{{ path = "{LINE}/mount/serial", type = "string" }}, {{ path = "{LINE}/mount/valve", type = "string" }}, {{ path = "{LINE}/mount/motor", type = "string" }}]

[[topic]]
filter = "{LINE}/mount/unit"
format = "json"
time = "ts"
fields = [{{ path = "serial", tag = "{LINE}/mount/serial" }}, {{ path = "valve", tag = "{LINE}/mount/valve" }}, {{ path = "motor", tag = "{LINE}/mount/motor" }}]

[[machine]]
equipment = "{LINE}/mount"
unit = {{ serial = "{LINE}/mount/serial", part = [{{ material = "VALVE", lot = "{LINE}/mount/valve" }}, {{ material = "MOTOR", serial = "{LINE}/mount/motor" }}], first = true, last = true }}

[[material]]
name = "VALVE"
unit = "pcs"
tracked = "lot"

[[material]]
name = "MOTOR"
tracked = "serial"

[[material]]
name = "PUMP"
tracked = "serial"
operation = [{{ name = "10", equipment = ["{LINE}/mount"], run_time = "1 s" }}]
"""
SSCC, GRAI = "340123450000000017", "04012345000085PAL-7"


class Stock(MesCase):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)

    def receive(self, number, quantity, place="store", **more):
        return self.ok("POST", "lots", {"key": key(), "material": "VALVE", "number": number, "quantity": quantity, "place": place, **more})["id"]

    def container(self, number, place=None):
        return self.ok("POST", "containers", {"key": key(), "material": "BOX", "number": number, "place": place})["id"]

    def build(self, *units):
        """Units with their parts pass the first station."""
        client = Client("station", durable=False).connect(self.here.mqtt)
        for unit in units:
            client.publish_and_wait(f"{LINE}/mount/unit", json.dumps({"ts": now_ms(), **unit}))
        found = lambda serial: self.ok("GET", f"units?number={serial}")["items"]
        return [wait_until(f"{unit['serial']} is there", lambda unit=unit: found(unit["serial"]))[0]["id"] for unit in units]

    def lies(self, item):
        return {stock["place"]: stock["quantity"] for stock in self.ok("GET", f"lots/{item}")["stock"]}

    def test_a_pallet_is_packed_and_goes_with_all_that_lies_in_it_over_kills(self):
        lot = self.receive("V-1", 20)
        box = self.ok("POST", "containers", first := {"key": key(), "material": "BOX", "number": GRAI, "place": "store"})["id"]
        pallet = self.container(f"https://id.gs1.org/00/{SSCC}", "store")
        [pump] = self.build({"serial": "P1", "valve": "V-2"})
        self.again()
        self.assertEqual(self.ok("POST", "containers", first)["id"], box, "the answer was lost: the same again")
        self.refused(409, "POST", "containers", {**first, "number": "OTHER"})
        self.refused(422, "POST", "containers", {"key": key(), "material": "BOX", "number": "340123450000000018"})
        # What a scanner reads finds it, and its label says what GS1 says.
        scanned = quote(f"https://works.example/00/{SSCC}", safe="")
        self.assertEqual([one["id"] for one in self.ok("GET", f"containers?number={scanned}")["items"]], [pallet])
        self.assertIn(f"^FD(00){SSCC}^FS", self.here.get(f"/api/mes/lots/{pallet}/label.zpl").text)
        pack = {"key": key(), "item": lot, "quantity": 12}
        packed = self.ok("POST", f"containers/{box}/pack", pack)
        self.assertEqual([(one["item"]["id"], one["quantity"]) for one in packed["contents"]], [(lot, 12)])
        self.ok("POST", f"containers/{box}/pack", {"key": key(), "item": pump})
        self.ok("POST", f"containers/{pallet}/pack", {"key": key(), "item": box})
        self.again()
        self.assertEqual(len(self.ok("POST", f"containers/{box}/pack", pack)["contents"]), 2, "it is packed once")
        self.refused(409, "POST", f"containers/{box}/pack", {**pack, "quantity": 1})
        self.refused(409, "POST", f"lots/{lot}/move", {"key": key(), "quantity": 9, "from": "store", "to": "dock"})
        self.refused(409, "POST", f"lots/{pump}/move", {"key": key(), "from": "store", "to": "dock"})
        self.refused(422, "POST", f"containers/{box}/pack", {"key": key(), "item": lot})
        go = {"key": key(), "from": "store", "to": "dock"}
        self.ok("POST", f"lots/{pallet}/move", go)
        self.again()
        self.ok("POST", f"lots/{pallet}/move", go)
        self.assertEqual((self.lies(lot), self.lies(pump), self.lies(box)), ({"store": 8, "dock": 12}, {"dock": 1}, {"dock": 1}))
        dock = self.ok("GET", "stock?place=dock")
        told = [(one["material"], one["unit"], one["quantity"], one["released"], one["items"]) for one in dock["materials"]]
        boxes = next(one for one in told if one[0] == "BOX")
        self.assertEqual((boxes[2], boxes[4]), (2, 2))
        self.assertIn(("VALVE", "pcs", 12, 12, 1), told)
        self.assertEqual({one["item"]["id"] for one in dock["items"]}, {lot, pump, box, pallet})
        page = self.ok("GET", "stock?place=dock&limit=3")
        rest = self.ok("GET", f"stock?place=dock&limit=3&after={page['next']}")
        self.assertEqual(([one["item"]["id"] for one in page["items"] + rest["items"]], rest["next"]), ([one["item"]["id"] for one in dock["items"]], None))
        self.assertEqual(self.ok("GET", "stock"), {"places": [{"place": "dock", "items": 4}, {"place": "store", "items": 1}], "truncated": False})
        # It leaves, comes back, and is unpacked where it is.
        self.ok("POST", f"lots/{pallet}/move", {"key": key(), "from": "dock"})
        self.assertEqual((self.lies(lot), self.lies(pump)), ({"store": 8}, {}))
        recall = self.ok("GET", f"lots/{pump}/recall")["units"]
        self.assertEqual([[name.split()[-1] for name in one["packed_in"]] for one in recall], [[GRAI, SSCC]])
        self.ok("POST", f"lots/{pallet}/move", {"key": key(), "to": "yard"})
        out = {"key": key(), "item": lot, "quantity": 5}
        self.ok("POST", f"containers/{box}/unpack", out)
        self.again()
        left = self.ok("POST", f"containers/{box}/unpack", out)
        self.assertEqual({one["item"]["id"]: one["quantity"] for one in left["contents"]}, {lot: 7, pump: 1})
        self.refused(409, "POST", f"containers/{box}/unpack", {"key": key(), "item": lot, "quantity": 8})
        self.refused(409, "POST", f"lots/{lot}/move", {"key": key(), "quantity": 1, "to": "yard"})
        self.assertEqual(self.lies(lot), {"store": 8, "yard": 12})
        moves = self.ok("GET", f"moves?item={lot}")["moves"]
        self.assertEqual([(one["from"], one["to"], one["quantity"]) for one in moves], [(None, "yard", 12), ("dock", None, 12), ("store", "dock", 12), (None, "store", 20)])
        self.assertEqual({one["by_name"] for one in moves}, {moves[0]["by_name"]})
        one_by_one, after = [], ""
        while after is not None:
            page = self.ok("GET", f"moves?item={lot}&limit=1{after and f'&after={quote(after)}'}")
            one_by_one, after = one_by_one + page["moves"], page["next"]
        self.assertEqual(one_by_one, moves)
        self.refused(400, "GET", f"moves?item={lot}&after=nonsense")
        told = lambda: sorted(event["detail"]["action"] for event in self.here.timeline(kind="trace", limit=1000) if event["detail"]["action"] in ("packed", "unpacked", "moved"))
        wait_until("each is told once", lambda: told() == ["moved"] * 3 + ["packed"] * 3 + ["unpacked"])
        self.assertTrue(self.here.get("/api/audit/verify").json["ok"])

    def test_whoever_carries_at_once_and_however_often_it_is_killed_nothing_is_lost_or_doubled(self):
        places = ["a", "b", "c", "d"]
        lots = [self.receive(f"V-{n}", 1000, "a") for n in range(2)]
        stop, lost, done = threading.Event(), [], []

        def carrier(seed):
            """Carries one at a time, and asks again with the same key as long as there is no answer."""
            chance = random.Random(seed)
            while not stop.is_set():
                origin, target = chance.sample(places, 2)
                lot, body = chance.choice(lots), {"key": key(), "quantity": 1, "from": origin, "to": target}
                while True:
                    try:
                        answer = self.ask("POST", f"lots/{lot}/move", body)
                    except OSError:
                        if stop.is_set():
                            lost.append((lot, body))
                            return
                        time.sleep(0.02)
                        continue
                    if answer.status == 503:
                        continue
                    self.assertIn(answer.status, (200, 409), answer)
                    if answer.status == 200:
                        done.append((lot, origin, target))
                    break

        with ThreadPoolExecutor(4) as pool:
            carriers = [pool.submit(carrier, seed) for seed in range(4)]
            for turn in range(5):
                before = len(done)
                wait_until("something is carried", lambda: len(done) > before + 20, 30)
                self.again()
            stop.set()
            for one in carriers:
                one.result(60)
        for lot, body in lost:
            if self.ask("POST", f"lots/{lot}/move", body).status == 200:
                done.append((lot, body["from"], body["to"]))
        for lot in lots:
            wanted = {"a": 1000, "b": 0, "c": 0, "d": 0}
            for moved, origin, target in done:
                if moved == lot:
                    wanted[origin] -= 1
                    wanted[target] += 1
            self.assertEqual(self.lies(lot), {place: n for place, n in wanted.items() if n}, "as acknowledged")
            self.assertEqual(sum(self.lies(lot).values()), 1000)
        self.assertEqual(self.ok("GET", "findings")["findings"], [])
        moved = lambda: sum(event["detail"]["action"] == "moved" for event in self.here.timeline(kind="trace", limit=10_000))
        wait_until("each is told once", lambda: moved() == len(done))

    def test_a_part_is_exchanged_once_and_passes_are_told(self):
        self.receive("V-1", 5)
        spare = self.build({"serial": "P1", "valve": "V-1", "motor": "M-1"}, {"serial": "P2", "valve": "V-1", "motor": "M-2"}, {"serial": "P3", "motor": "M-3"})
        unit = self.ok("GET", f"units/{spare[0]}")
        motor = next(part for part in unit["as_maintained"] if part["position"] == "motor")
        [other] = [part for part in self.ok("GET", f"units/{spare[1]}")["as_maintained"] if part["position"] == "motor"]
        wish = {"key": key(), "part": motor["item"]["id"], "position": "motor", "put_in_ms": motor["at_ms"], "reason": "hums"}
        path = f"units/{unit['id']}/exchange"
        self.refused(409, "POST", path, {**wish, "key": key(), "with": other["item"]["id"]})
        self.refused(404, "POST", path, {**wish, "position": "valve"})
        self.refused(404, "POST", path, {**wish, "put_in_ms": motor["at_ms"] + 1})
        # The other is taken out of its unit, and is not good before somebody says so.
        self.ok("POST", f"units/{spare[1]}/exchange", {**wish, "key": key(), "part": other["item"]["id"], "put_in_ms": other["at_ms"]})
        self.refused(409, "POST", path, {**wish, "with": other["item"]["id"]})
        self.ok("POST", f"lots/{other['item']['id']}/state", {"key": key(), "state": "Released", "reason": "tested"})
        wish["with"] = other["item"]["id"]
        done = self.ok("POST", path, wish)
        self.again()
        self.assertEqual(self.ok("POST", path, wish), done, "the answer was lost: the same again")
        self.refused(409, "POST", path, {**wish, "reason": "other"})
        now_in = {part["position"]: part["item"]["number"] for part in done["as_maintained"]}
        self.assertEqual(now_in, {"valve": "V-1", "motor": "M-2"})
        old = next(part for part in done["as_built"] if part["position"] == "motor" and part["item"]["number"] == "M-1")
        self.assertEqual((old["replaced_by"], old["item"]["state"]), (other["item"]["id"], "Quarantine"))
        self.assertIn("hums", self.ok("GET", f"lots/{motor['item']['id']}")["decisions"][-1]["reason"])
        self.refused(409, "POST", path, {**wish, "key": key(), "with": None})
        # Units that passed, the newest first, page by page.
        passes = self.ok("GET", f"passes?equipment={LINE}/mount&from_ms={now_ms() - 600_000}")["passes"]
        self.assertEqual([one["unit"] for one in passes], spare[::-1])
        page = self.ok("GET", f"passes?equipment={LINE}/mount&limit=2")
        self.assertEqual([one["unit"] for one in page["passes"] + self.ok("GET", f"passes?equipment={LINE}/mount&limit=2&after={page['next']}")["passes"]], spare[::-1])
        self.assertEqual(self.ok("GET", f"passes?equipment={LINE}/mount&to_ms={now_ms() - 600_000}")["passes"], [])
        self.refused(404, "GET", "passes?equipment=works/line9")

    def test_who_sees_and_who_changes_and_what_cannot_be_meant(self):
        lot, box = self.receive("V-1", 5), self.container("B-1", "store")
        viewer = self.here.make_user("vera", "viewer", LINE)
        operator = self.here.make_user("olga", "operator", LINE)
        stranger = self.here.make_user("sam", "operator", "works/elsewhere")
        move = lambda **more: {"key": key(), "quantity": 1, "from": "store", "to": "dock", **more}
        for path in ("stock", "stock?place=store", f"moves?item={lot}", "containers", f"containers/{box}", f"passes?equipment={LINE}/mount"):
            self.ok("GET", path, who=viewer)
            self.refused(404, "GET", path, who=stranger)
        for path, body in (
            (f"lots/{lot}/move", move()),
            ("containers", {"key": key(), "material": "BOX", "number": "B-2"}),
            (f"containers/{box}/pack", {"key": key(), "item": lot, "quantity": 1}),
            (f"containers/{box}/unpack", {"key": key(), "item": lot}),
            (f"units/{lot}/exchange", {"key": key(), "part": lot, "position": "", "put_in_ms": 0, "reason": "x"}),
        ):
            self.refused(403, "POST", path, body, viewer)
            self.refused(404, "POST", path, body, stranger)
        self.ok("POST", f"lots/{lot}/move", move(), operator)
        for change, status in (
            ({"quantity": 0}, 400),
            ({"quantity": -1}, 400),
            ({"quantity": 1e10}, 400),
            ({"quantity": 1e-9}, 422),
            ({"quantity": None}, 422),
            ({"quantity": 5}, 409),
            ({"from": "nowhere"}, 409),
            ({"from": None, "to": None}, 400),
            ({"to": "store"}, 400),
            ({"to": " dock"}, 400),
            ({"to": "x" * 501}, 400),
            ({"to": "a\u202eb"}, 400),
            ({"from": None}, 409),
        ):
            self.assertTrue(self.refused(status, "POST", f"lots/{lot}/move", move(**change))["detail"], change)
        self.refused(422, "POST", f"lots/{box}/move", move())
        self.refused(404, "POST", f"lots/{uuid.uuid4()}/move", move())
        self.refused(404, "POST", f"containers/{lot}/pack", {"key": key(), "item": box})
        self.refused(422, "POST", f"containers/{box}/pack", {"key": key(), "item": box})
        self.refused(409, "POST", "containers", {"key": key(), "material": "BOX", "number": "B-1", "place": "dock"})
        self.refused(400, "GET", "stock?place=store&limit=501")
        self.refused(404, "GET", f"moves?item={uuid.uuid4()}")
        self.assertEqual(self.ok("GET", "stock?place=nowhere"), {"place": "nowhere", "materials": [], "items": [], "next": None, "truncated": False})
