"""Energy over HTTP: meters read, the node killed in between, totals, costs and peaks as they were said; a viewer of elsewhere sees nothing."""

from harness import Case, now_ms, wait_until

PRESS = "works/line1/press"
PLANT = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "works/line1", level = "work_center" }},
  {{ path = "{PRESS}", level = "work_unit" }},
  {{ path = "works/line2", level = "work_center" }},
]
tag = [
  {{ path = "{PRESS}/state", type = "int64" }}, {{ path = "{PRESS}/good", type = "int64" }},
  {{ path = "{PRESS}/kwh", type = "double", unit = "kW.h" }},
]

[[machine]]
equipment = "{PRESS}"
state = {{ tag = "{PRESS}/state", packml = true }}
good = {{ tag = "{PRESS}/good" }}

[[meter]]
name = "press"
at = "{PRESS}"
tag = "{PRESS}/kwh"

[[tariff]]
name = "grid"
at = "works"
currency = "EUR"
time_zone = "Europe/Berlin"
price = 0.25
demand_price = 10
"""
QUARTER = 900_000


class Energy(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.begin = now_ms() // QUARTER * QUARTER - 8 * QUARTER

    def say(self, quarter, kwh):
        body = {"path": f"{PRESS}/kwh", "value": kwh, "ts": self.begin + quarter * QUARTER}
        answer = self.here.post("/api/ingest", body)
        self.assertEqual(answer.status, 204, answer)

    def energy(self, path=PRESS, step="quarter", **more):
        query = f"path={path}&from_ms={self.begin}&to_ms={self.begin + 4 * QUARTER}&step={step}"
        return self.here.request("GET", f"/api/mes/energy?{query}", **more)

    def test_it_is_counted_once_over_a_kill(self):
        for quarter, kwh in enumerate([100, 101, 105]):
            self.say(quarter, kwh)
        wait_until("the first readings", lambda: self.energy().json["kwh"] == 5)
        self.here.kill()
        self.here.start()
        for quarter, kwh in enumerate([107, 108], 3):
            self.say(quarter, kwh)
        wait_until("all readings, each once", lambda: self.energy().json["kwh"] == 8)
        works = self.energy("works").json
        power = works["carriers"][0]
        self.assertEqual([slot["kwh"] for slot in works["slots"]], [[1], [4], [2], [1]])
        self.assertEqual(works["costs"], [{"currency": "EUR", "cost": 2}])
        self.assertEqual((power["peak"]["from_ms"], power["peak"]["kw"]), (self.begin + QUARTER, 16))
        self.assertEqual([meter["name"] for meter in power["meters"]], ["press"])
        self.assertEqual((works["unmetered"], works["kwh_per_item"]), ([], None))

    def test_what_one_does_not_see_does_not_exist(self):
        nina = self.here.make_user("nina", "viewer", "works/line2")
        self.assertEqual(self.energy(token=None, cookie=nina).status, 404)
        self.assertEqual(self.energy(token=None).status, 401)
        peaks = "/api/mes/energy/peaks?month=2026-06&path="
        self.assertEqual(self.here.request("GET", peaks + PRESS, token=None, cookie=nina).status, 404)
        self.assertEqual(self.here.request("GET", peaks + "works/line2", token=None, cookie=nina).status, 200)
        self.assertEqual(self.here.request("GET", peaks + PRESS, token=None).status, 401)
        self.assertEqual(self.here.request("GET", "/api/mes/energy/peaks?path=works&month=2026").status, 400)
        self.assertEqual(self.here.request("GET", "/api/mes/energy/peaks?path=works&month=2026-06").status, 200)
