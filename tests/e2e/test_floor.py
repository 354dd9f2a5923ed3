"""The shop floor: what machines say becomes states, times and KPIs, and people put them right."""

import uuid

from harness import Case, now_ms, wait_until

PLANT = """
equipment = [
  { path = "works", level = "site", profile = "plant" },
  { path = "works/line1", level = "work_center" },
  { path = "works/line1/press", level = "work_unit", title = "Press" },
  { path = "works/line1/oven", level = "work_unit" },
]
tag = [
  { path = "works/line1/press/state", type = "int64" },
  { path = "works/line1/press/good", type = "int64" },
  { path = "works/line1/press/scrap", type = "int64" },
  { path = "works/line1/oven/power", type = "double", unit = "kW" },
]
reason = [{ name = "Mechanical/Jam", action = "Open the guard." }, { name = "Cleaning", counts_as = "planned_down" }]

[[machine]]
equipment = "works/line1/press"
state = { tag = "works/line1/press/state", packml = true }
good = { tag = "works/line1/press/good" }
scrap = { tag = "works/line1/press/scrap" }
orders = false
run_time = "1 s"

[[machine]]
equipment = "works/line1/oven"
state = { tag = "works/line1/oven/power", runs_above = 5.0 }
orders = false
"""
EXECUTE, HELD, SUSPENDED = 6, 11, 5
PRESS = "works/line1/press"


class Floor(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        # What was before a machine was followed is not known, so all of this is of now.
        self.begun = now_ms()

    def say(self, **tags) -> None:
        """Readings of the press, as of now."""
        body = [{"path": f"{PRESS}/{tag}", "value": value, "ts": now_ms()} for tag, value in tags.items()]
        answer = self.here.post("/api/ingest?precision=ms", body)
        self.assertEqual(answer.status, 204, answer)

    def kpis(self, path=PRESS, **window):
        window = {"from_ms": self.begun, "to_ms": now_ms(), **window}
        answer = self.here.get(f"/api/mes/kpis?path={path}&from_ms={window['from_ms']}&to_ms={window['to_ms']}")
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def state(self, path=PRESS):
        machines = self.here.get("/api/mes/machines").json["machines"]
        return next(machine["state"] for machine in machines if machine["path"] == path)

    def test_states_and_counts_become_kpis_and_outlive_kills(self):
        self.say(state=EXECUTE, good=100, scrap=7)
        wait_until("the press runs", lambda: self.state() == "Execute")
        for _ in range(3):
            self.say(good=self.here_good(), scrap=7)
            self.here.kill()
            self.here.start()
            self.say(state=EXECUTE, good=self.here_good(10))
            wait_until("what was counted is there", lambda: self.kpis()["amounts"]["good"] == self.here_good() - 100)
            wait_until("the press runs", lambda: self.state() == "Execute")
        answer = self.kpis()
        times = answer["times"]
        window = answer["to_ms"] - answer["from_ms"]
        self.assertAlmostEqual(sum(times[f"{name}_ms"] for name in ELEMENTS), window, delta=2, msg="every moment is one thing")
        self.assertGreater(times["unknown_ms"], 0, "while nothing ran nothing is known")
        oee = next(kpi for kpi in answer["kpis"] if kpi["id"] == "oee_index")
        self.assertAlmostEqual(oee["value"], answer["amounts"]["good"] / (times["pbt_ms"] / 1000), delta=1e-6)
        line = self.kpis("works/line1", to_ms=answer["to_ms"])
        self.assertEqual((line["machines"], line["amounts"]["good"]), (2, answer["amounts"]["good"]))
        self.assertAlmostEqual(line["times"]["pbt_ms"], 2 * times["pbt_ms"], delta=5)

    good = 100

    def here_good(self, more: int = 0) -> int:
        self.good += more
        return self.good

    def test_a_stop_is_explained_put_right_and_taken_back(self):
        self.say(state=EXECUTE)
        stopped = now_ms()
        self.say(state=HELD)
        wait_until("the press is held", lambda: self.state() == "Held")
        stops = lambda: self.here.get(f"/api/mes/stops?path=works&from_ms={self.begun}&to_ms={now_ms()}").json["stops"]
        stop = wait_until("there is a stop", lambda: [one for one in stops() if one["unit"] == PRESS])[0]
        self.assertEqual((stop["open"], stop["reason"], stop["cause"]), (True, None, "inside"))
        wait_until("a moment has passed", lambda: now_ms() > stop["from_ms"] + 20)
        key = str(uuid.uuid4())
        say = lambda **change: self.here.post(
            "/api/mes/corrections",
            {"path": PRESS, "from_ms": stop["from_ms"], "to_ms": stop["from_ms"] + 20, "key": key, "reason": "Mechanical/Jam", **change},
        )
        first = say(note="Cap in the star wheel")
        self.assertEqual((first.status, first.json["number"]), (201, 1), first)
        self.assertEqual(say(note="Cap in the star wheel").json["number"], 1, "the same request again is the same correction")
        self.assertEqual(say(to_ms=stop["from_ms"] + 10).status, 409, "another one with the same key is not")
        self.here.kill()
        self.here.start()
        explained = lambda: [(one["from_ms"], one["to_ms"]) for one in stops() if one["reason"] == "Mechanical/Jam"]
        self.assertEqual(explained(), [(stop["from_ms"], stop["from_ms"] + 20)])
        reasons = {(one["reason"], one["ms"]) for one in self.kpis()["reasons"]}
        self.assertIn(("Mechanical/Jam", 20), reasons)
        self.assertEqual(say(key=str(uuid.uuid4()), reason=None, as_recorded=True).json["number"], 2)
        self.assertEqual(explained(), [])
        made = self.here.get(f"/api/mes/corrections?path={PRESS}&from_ms={stopped}&to_ms={now_ms()}").json["corrections"]
        self.assertEqual([one["says"] for one in made], ["reason Mechanical/Jam", "as recorded"])
        told = wait_until("both stand in the timeline", lambda: len(self.here.timeline(kind="machine")) == 2 and self.here.timeline(kind="machine"))
        self.assertIn("Cap in the star wheel", told[1]["summary"])
        why = self.here.get(f"/api/mes/why?path={PRESS}&kpi=availability&from_ms={self.begun}&to_ms={now_ms()}").json
        busy = next(term for term in why["terms"] if term["symbol"] == "PBT")
        self.assertAlmostEqual(busy["value"], sum(row["amount"] for row in busy["rows"]), delta=1e-6)
        self.here.stop()
        self.assertEqual(self.here.cli("audit verify").returncode, 0)

    def test_what_cannot_be_meant_and_what_one_may_not(self):
        self.say(state=SUSPENDED)
        window = f"from_ms={self.begun}&to_ms={self.begun + 1000}"
        for path, status, words in (
            (f"/api/mes/kpis?path=works/line9&{window}", 404, "works/line9"),
            (f"/api/mes/kpis?path={PRESS}&from_ms=5&to_ms=5", 400, "must be before"),
            (f"/api/mes/kpis?path={PRESS}&from_ms=-5&to_ms=5", 400, "from_ms"),
            (f"/api/mes/states?path=works/line1&{window}", 404, "works/line1"),
            (f"/api/mes/states?path={PRESS}&from_ms=0&to_ms={now_ms()}", 422, "too long"),
            (f"/api/mes/why?path={PRESS}&kpi=oee&{window}", 422, "oee"),
            (f"/api/mes/stops?path=works&limit=0&{window}", 400, "limit"),
        ):
            answer = self.here.get(path)
            self.assertEqual(answer.status, status, (path, answer))
            self.assertIn(words, answer.json["detail"])
        wish = {"path": PRESS, "from_ms": self.begun, "to_ms": self.begun + 1, "key": str(uuid.uuid4())}
        for change, status, words in (
            ({}, 400, "one of"),
            ({"reason": "Cleaning", "state": "Held"}, 400, "one of"),
            ({"reason": "No such"}, 422, "No such"),
            ({"state": "Sleeping"}, 422, "no such state"),
            ({"state": "Held", "to_ms": now_ms() + 60_000}, 422, "cannot be put right"),
            ({"state": "Held", "note": "a\u202eb"}, 400, "U+202E"),
            ({"state": "Held", "path": "works/line1"}, 404, "works/line1"),
        ):
            answer = self.here.post("/api/mes/corrections", {**wish, **change})
            self.assertEqual(answer.status, status, (change, answer))
            self.assertIn(words, answer.json["detail"])
        viewer = self.here.make_user("vera", "viewer", PRESS)
        self.assertEqual(self.here.post("/api/mes/corrections", {**wish, "state": "Held"}, token=None, cookie=viewer).status, 403)
        seen = self.here.get("/api/mes/machines", token=None, cookie=viewer).json["machines"]
        self.assertEqual([machine["path"] for machine in seen], [PRESS])
        self.assertEqual(self.here.get(f"/api/mes/kpis?path=works/line1&{window}", token=None, cookie=viewer).status, 404)
        self.assertEqual(self.here.timeline(kind="machine"), [])


ELEMENTS = ("production", "setup", "delay", "minor_stop", "idle", "unknown", "planned_down", "off_shift")
