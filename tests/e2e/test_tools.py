"""Tools: a mould is mounted, wears by what its machine counts, is told of once over kills, renewed; who may; and which units it made."""

import urllib.parse

from harness import MesCase, key, now_ms, wait_until

LINE, PRESS, OVEN, MILL = "works/line1", "works/line1/press", "works/line1/oven", "works/line2/mill"
PLANT = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "{LINE}", level = "work_center" }},
  {{ path = "{PRESS}", level = "work_unit" }},
  {{ path = "{OVEN}", level = "work_unit" }},
  {{ path = "works/line2", level = "work_center" }},
  {{ path = "{MILL}", level = "work_unit" }},
]
tag = [
  {{ path = "{PRESS}/state", type = "int64" }}, {{ path = "{PRESS}/good", type = "int64" }}, {{ path = "{PRESS}/serial", type = "string" }},
  {{ path = "{MILL}/state", type = "int64" }},
]

[[machine]]
equipment = "{PRESS}"
state = {{ tag = "{PRESS}/state", packml = true }}
good = {{ tag = "{PRESS}/good" }}
unit = {{ serial = "{PRESS}/serial", first = true, last = true }}

[[machine]]
equipment = "{OVEN}"
state = {{ tag = "{PRESS}/state", packml = true }}

[[machine]]
equipment = "{MILL}"
state = {{ tag = "{MILL}/state", packml = true }}

[[material]]
name = "CAP"
tracked = "serial"
operation = [{{ name = "10", equipment = ["{PRESS}"], run_time = "6 s" }}]

[[tool]]
name = "M/17"
title = "Cap mould"
kind = "mould"
machines = ["{PRESS}", "{OVEN}"]
cavities = 4
life = {{ cycles = 100 }}

[[tool]]
name = "drill"
"""
MOULD = urllib.parse.quote("M/17", safe="")
SOON = 75  # It is looked once a minute.


class Tools(MesCase):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.olga = self.here.make_user("olga", "operator", LINE)
        self.emil = self.here.make_user("emil", "engineer", LINE)
        self.nina = self.here.make_user("nina", "operator", "works/line2")

    def say(self, **readings):
        body = [{"path": f"{PRESS}/{tag}", "value": value, "ts": now_ms()} for tag, value in readings.items()]
        answer = self.here.post("/api/ingest?precision=ms", body)
        self.assertEqual(answer.status, 204, answer)

    def mould(self):
        return self.ok("GET", f"tools/{MOULD}")

    def uses(self, cycles):
        return wait_until(f"{cycles} cycles are used", lambda: (tool := self.mould())["used"]["cycles"] == cycles and tool, 20)

    def tells(self, levels):
        return wait_until(f"{levels} is told", lambda: [told["level"] for told in self.mould()["told"]] == levels, SOON)

    def test_a_mould_wears_is_told_once_over_kills_and_renewed(self):
        self.say(state=6, good=0)
        wish = {"key": key(), "machine": PRESS}
        mounted = self.ok("POST", f"tools/{MOULD}/mount", wish, self.olga, 201)
        self.assertEqual((mounted["machine"], mounted["spans"][0]["by_name"], mounted["state"], mounted["life"]), (PRESS, "olga", "ok", {"cycles": 100, "run_time_ms": None}))
        self.again()
        self.assertEqual(self.ok("POST", f"tools/{MOULD}/mount", wish, self.olga)["spans"], mounted["spans"], "the answer was lost: the same again")
        self.refused(409, "POST", f"tools/{MOULD}/mount", {**wish, "machine": OVEN}, self.olga)
        self.assertIn(PRESS, self.refused(409, "POST", f"tools/{MOULD}/mount", {"key": key(), "machine": OVEN}, self.olga)["detail"])
        self.say(state=6, good=380)
        self.assertEqual(self.uses(95)["state"], "warn")
        self.tells(["warn"])
        self.again()
        self.say(state=6, good=400)
        self.assertEqual(self.uses(100)["share"], 1.0)
        self.tells(["warn", "end"])
        self.again()
        # Who begins a job there is told, and begins.
        order = {"number": "4711", "material": "CAP", "quantity": 5, "release": True}
        job = self.ok("POST", "orders", order, status=201)["jobs"][0]
        begun = self.ok("POST", f"jobs/{job['id']}/begin", {"version": job["version"], "key": key()}, self.olga)
        self.assertEqual((begun["state"], len(begun["warnings"])), ("Running", 1))
        self.assertIn("tool M/17 is at its end: 100 of 100 cycles", begun["warnings"][0])
        # A unit passes.
        self.say(serial="C-1")
        units = wait_until("the unit passed", lambda: self.ok("GET", f"tools/{MOULD}/units", who=self.olga)["units"], 30)
        self.assertEqual([(unit["machine"], unit["job"]) for unit in units], [(PRESS, job["id"])])
        self.refused(403, "POST", f"tools/{MOULD}/renew", {"key": key(), "reason": "overhauled"}, self.olga)
        renewal = {"key": key(), "reason": "overhauled"}
        renewed = self.ok("POST", f"tools/{MOULD}/renew", renewal, self.emil)
        self.assertEqual((renewed["renewals"], renewed["used"]["cycles"], renewed["state"], renewed["told"]), (1, 0, "ok", []))
        self.again()
        self.assertEqual(self.ok("POST", f"tools/{MOULD}/renew", renewal, self.emil)["renewals"], 1)
        told = [(event["path"], event["severity"], event["summary"]) for event in reversed(self.here.timeline(kind="tool"))]
        self.assertEqual(told, [
            (PRESS, 0, "tool M/17 mounted"),
            (PRESS, 4, "tool M/17 near its end: 95 of 100 cycles are used"),
            (PRESS, 3, "tool M/17 at its end: 100 of 100 cycles are used"),
            (PRESS, 0, "tool M/17 renewed (overhauled)"),
        ], "each once")  # fmt: skip

    def test_who_sees_and_who_may(self):
        names = lambda who: [tool["name"] for tool in self.ok("GET", "tools", who=who)["tools"]]
        self.assertEqual((names(self.olga), names(self.nina)), (["M/17", "drill"], ["drill"]))
        self.refused(404, "GET", f"tools/{MOULD}", who=self.nina)
        self.refused(404, "POST", f"tools/{MOULD}/mount", {"key": key(), "machine": MILL}, self.nina)
        self.refused(404, "POST", "tools/drill/mount", {"key": key(), "machine": PRESS}, self.nina)
        self.refused(422, "POST", f"tools/{MOULD}/mount", {"key": key(), "machine": MILL})
        self.refused(404, "GET", "tools/nothing")
        start = now_ms() - 60_000
        self.ok("POST", "tools/drill/mount", {"key": key(), "machine": MILL, "at_ms": start}, self.nina, 201)
        self.assertEqual(names(self.olga), ["M/17"], "it is where she does not look")
        self.refused(404, "POST", "tools/drill/unmount", {"key": key()}, self.olga)
        self.refused(422, "POST", "tools/drill/unmount", {"key": key(), "at_ms": now_ms() + 60_000}, self.nina)
        off = {"key": key(), "at_ms": start + 30_000, "reason": "blunt"}
        self.ok("POST", "tools/drill/unmount", off, self.nina)
        self.ok("POST", "tools/drill/unmount", off, self.nina)
        self.refused(409, "POST", "tools/drill/unmount", {"key": key()}, self.nina)
        number = self.ok("GET", "tools/drill")["spans"][0]["number"]
        right = {"key": key(), "from_ms": start, "to_ms": start + 20_000, "reason": "was noted late"}
        self.refused(403, "POST", f"tools/drill/spans/{number}/correct", right, self.nina)
        corrected = self.ok("POST", f"tools/drill/spans/{number}/correct", right)["spans"][0]
        self.assertEqual((corrected["to_ms"], corrected["corrections"][0]["was_to_ms"]), (start + 20_000, start + 30_000))
        used = {"key": key(), "cycles": 12.5, "reason": "card"}
        self.refused(403, "POST", f"tools/{MOULD}/used", used, self.olga)
        self.assertEqual(self.ok("POST", f"tools/{MOULD}/used", used, self.emil)["used"]["cycles"], 12.5)
        for change in ({"cycles": -1}, {"cycles": None}, {"reason": " "}, {"reason": "x" * 201}, {"more": 1}):
            answer = self.ask("POST", f"tools/{MOULD}/used", {**used, "key": key(), **change}, self.emil)
            self.assertIn(answer.status, (400, 422), answer)
        self.refused(400, "GET", "tools?state=worn")
        self.assertEqual([tool["name"] for tool in self.ok("GET", "tools?state=ok")["tools"]], ["M/17"])
