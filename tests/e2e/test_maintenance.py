"""Maintenance over HTTP: a failure reported, worked on by two people, killed in between, finished; a plan that makes its order once."""


from harness import MesCase, key, now_ms, wait_until

PRESS = "works/line1/press"
PLANT = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "works/line1", level = "work_center" }},
  {{ path = "{PRESS}", level = "work_unit" }},
  {{ path = "works/line2", level = "work_center" }},
]
tag = [{{ path = "{PRESS}/state", type = "int64" }}, {{ path = "{PRESS}/good", type = "int64" }}, {{ path = "{PRESS}/pressure", type = "double" }}]
skill = [{{ name = "Hydraulics" }}]
instruction = [{{ name = "WI-9", revision = "A", text = "Switch off first." }}]
reason = [{{ name = "Mechanical/Jam" }}]
material = [{{ name = "SEAL", title = "Seal" }}]

[[machine]]
equipment = "{PRESS}"
state = {{ tag = "{PRESS}/state", packml = true }}
good = {{ tag = "{PRESS}/good" }}

[[alarm]]
tag = "{PRESS}/pressure"
condition = "low"
limit = 2
message = "Hydraulic pressure is low"
priority = "high"

[[maintenance_plan]]
name = "oil"
title = "Change the oil"
equipment = "{PRESS}"
every = "3650 d"
begins = "2010-01-01T00:00:00Z"
skills = ["Hydraulics"]
instructions = ["WI-9"]
parts = [{{ material = "SEAL", quantity = 2 }}]
"""


class Maintenance(MesCase):
    base = "/api/mes/maintenance"

    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.olga = self.here.make_user("olga", "operator", "works/line1")
        self.otto = self.here.make_user("otto", "operator", "works/line1")
        self.nina = self.here.make_user("nina", "viewer", "works/line2")
        self.people = {user["name"]: user["id"] for user in self.here.get("/api/users").json["users"]}

    def act(self, number, what, who=None, status=200, **more):
        version = self.ok("GET", f"/orders/{number}")["version"]
        return self.ok("POST", f"/orders/{number}/{what}", {"version": version, "key": key(), **more}, who, status)

    def test_a_failure_from_report_to_figures_over_kills(self):
        began = now_ms() - 60_000
        new = {"key": key(), "equipment": PRESS, "title": "Ram stuck", "failed_ms": began, "code": "Mechanical/Jam"}
        self.assertEqual(self.ask("POST", "/orders", new, self.nina).status, 404, "what one does not see does not exist")
        order = self.ok("POST", "/orders", new, self.olga, status=201)
        self.assertEqual((order["number"], order["kind"], order["created_by_name"]), ("M-1", "corrective", "olga"))
        self.here.kill()
        self.here.start()
        self.assertEqual(self.ok("POST", "/orders", new, self.olga)["id"], order["id"], "the same again is the same, over a kill")
        self.ok("POST", "/orders", {**new, "title": "Other"}, self.olga, status=409)
        self.ok("POST", "/orders", {**new, "key": key(), "number": "M-7"}, self.olga, status=422)
        self.ok("POST", "/orders", {**new, "key": key(), "equipment": "works/nowhere"}, status=422)
        self.ok("POST", "/orders", {**new, "key": key(), "kind": "preventive"}, self.olga, status=403)
        begin = {"version": order["version"], "key": key()}
        self.ok("POST", "/orders/M-1/begin", begin, self.olga)
        self.here.kill()
        self.here.start()
        again = self.ok("POST", "/orders/M-1/begin", begin, self.olga)
        self.assertEqual((again["state"], again["version"], [person["name"] for person in again["people"]]), ("Running", 2, ["olga"]))
        late = self.ok("POST", "/orders/M-1/begin", {**begin, "key": key()}, self.otto, status=409)
        self.assertEqual(late["current"]["state"], "Running")
        self.act("M-1", "join", self.otto)
        part = {"key": key(), "material": "SEAL", "quantity": 2, "lot": "L-5"}
        self.ok("POST", "/orders/M-1/parts", part, self.otto)
        self.assertEqual(self.ok("POST", "/orders/M-1/parts", part, self.otto)["parts"][0]["quantity"], 2)
        self.act("M-1", "leave", self.olga)
        self.assertEqual(self.act("M-1", "cancel", self.otto, status=403)["status"], 403)
        done = self.act("M-1", "finish", self.otto, cause="Worn seal", remedy="Seal changed", restored_ms=began + 30_000)
        self.assertEqual((done["state"], done["restored_ms"], done["remedy"]), ("Ended", began + 30_000, "Seal changed"))
        figures = self.ok("GET", f"/figures?path=works&from_ms={began - 1}&to_ms={now_ms() + 1000}")
        by_id = {figure["id"]: figure for figure in figures["figures"]}
        self.assertEqual((figures["failures"], by_id["mttr"]["value"]), (1, 30.0))
        self.assertEqual(by_id["corrective_maintenance_ratio"]["value"], 1.0)
        kinds = [entry["kind"] for entry in self.ok("GET", "/orders/M-1/ledger")["entries"]]
        self.assertEqual(kinds, ["made", "begin", "join", "part", "leave", "finish"])
        told = lambda: [event["detail"]["action"] for event in self.here.timeline(kind="maintenance") if event["detail"]["number"] == "M-1"]
        wait_until("all is told", lambda: len(told()) >= 6, 30)
        self.assertEqual(len(told()), 6, f"each is told once: {told()}")

    def test_a_plan_makes_its_order_once_and_its_gates_are_those_of_jobs(self):
        plan = wait_until("the plan made its order", lambda: next((plan for plan in self.ok("GET", "/plans")["plans"] if plan["order"]), None), 30)
        self.assertEqual((plan["state"] in ("Due", "Overdue"), plan["due_by"], plan["turn"]), (True, "time", 1))
        number = plan["order"]["number"]
        for _ in range(3):
            self.here.kill()
            self.here.start()
        self.assertEqual(len(self.ok("GET", "/orders?plan=oil")["orders"]), 1)
        self.act(number, "begin", self.olga, status=403)
        self.assertEqual(self.here.request("PUT", f"/api/users/{self.people['olga']}/skills/Hydraulics", {}).status, 204)
        self.act(number, "begin", self.olga, status=409)
        text = self.here.get("/api/mes/instructions/WI-9").json
        seen = {"instruction": "WI-9", "revision": "A", "sha256": text["sha256"]}
        self.ok("POST", f"/orders/{number}/seen", seen, self.olga, status=204)
        self.act(number, "begin", self.olga)
        self.act(number, "finish", self.olga)
        plan = self.ok("GET", "/plans")["plans"][0]
        self.assertEqual((plan["state"], plan["turn"], plan["last"]["number"]), ("Ok", 2, number))

    def test_an_alarm_becomes_one_order(self):
        self.assertEqual(self.here.post("/api/ingest?precision=ms", [{"path": f"{PRESS}/pressure", "value": 1.0, "ts": now_ms()}]).status, 204)
        alarm = wait_until("the alarm stands", lambda: next(iter(self.here.get("/api/alarms").json["alarms"]), None), 30)
        wish = {"alarm": {"name": alarm["name"], "occurrence": alarm["occurrence"]}}
        order = self.ok("POST", "/orders", {"key": key(), **wish}, self.olga, status=201)
        same = self.ok("POST", "/orders", {"key": key(), **wish}, self.otto)
        self.assertEqual((order["id"], order["equipment"], order["title"]), (same["id"], PRESS, "Hydraulic pressure is low"))
        self.assertEqual(order["failed_ms"], alarm["raised_ms"])
