"""The shift: what is written down and handed over between two people, who is signed on where, over kills and lost answers; and who sees whom."""

from concurrent.futures import ThreadPoolExecutor

from harness import MesCase, key, now_ms, wait_until

LINE, PRESS, OVEN, MILL = "works/line1", "works/line1/press", "works/line1/oven", "works/line2/mill"
# Two shifts of a day without a gap, so that it is always one of them.
PLANT = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "{LINE}", level = "work_center" }},
  {{ path = "{PRESS}", level = "work_unit" }},
  {{ path = "{OVEN}", level = "work_unit" }},
  {{ path = "works/line2", level = "work_center" }},
  {{ path = "{MILL}", level = "work_unit" }},
  {{ path = "works/store", level = "work_center" }},
]
tag = [{{ path = "{PRESS}/state", type = "int64" }}]

[[calendar]]
name = "shifts"
time_zone = "UTC"
shift = [{{ name = "Day", from = "06:00", to = "18:00" }}, {{ name = "Night", from = "18:00", to = "06:00" }}]

[[machine]]
equipment = "{PRESS}"
state = {{ tag = "{PRESS}/state", packml = true }}
calendar = "shifts"

[[machine]]
equipment = "{OVEN}"
state = {{ tag = "{PRESS}/state", packml = true }}

[[machine]]
equipment = "{MILL}"
state = {{ tag = "{PRESS}/state", packml = true }}

[[material]]
name = "BOLT-8"
operation = [{{ name = "10", title = "Press", equipment = ["{PRESS}"], run_time = "0.3 s" }}]
"""
HOUR_MS = 3_600_000


class Shift(MesCase):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.mara = self.here.make_user("mara", "operator", "works/line1")
        self.jonas = self.here.make_user("jonas", "operator", "works/line1")
        self.people = {user["name"]: user["id"] for user in self.here.get("/api/users").json["users"]}

    def entry(self, text, **more):
        return {"key": key(), "path": LINE, "kind": "note", "text": text, **more}

    def window(self):
        """The last hour, up to now."""
        return f"from_ms={now_ms() - HOUR_MS}&to_ms={now_ms() + 1}"

    def test_what_is_written_stays_and_is_corrected_by_another_entry(self):
        wish = self.entry("Öl at the gear.\nLot C-77.", kind="quality", pinned=True, links={"order": "4711", "machine": PRESS})
        first = self.ok("POST", "logbook", wish, self.mara, 201)
        self.assertEqual((first["by_name"], first["open"], first["handover"], first["links"]), ("mara", True, False, wish["links"]))
        self.assertIn(first["shift"]["name"], ("Day", "Night"))
        self.assertTrue(first["shift"]["from_ms"] <= first["at_ms"] < first["shift"]["to_ms"])
        self.again()
        self.assertEqual(self.ok("POST", "logbook", wish, self.mara), first, "the answer was lost: the same again")
        self.refused(409, "POST", "logbook", {**wish, "text": "Other."}, self.mara)
        self.refused(409, "POST", "logbook", wish, self.jonas)
        # What is wrong is corrected by who wrote it or by an engineer, once.
        self.refused(403, "POST", "logbook", self.entry("No.", corrects=first["number"]), self.jonas)
        right = self.ok("POST", "logbook", self.entry("Lot C-78.", corrects=first["number"]), self.mara, 201)
        self.refused(409, "POST", "logbook", self.entry("No.", corrects=first["number"]), self.mara)
        self.refused(422, "POST", "logbook", self.entry("No.", corrects=right["number"], path=PRESS), self.mara)
        self.assertEqual(self.ok("GET", f"logbook/{first['number']}"), {**first, "open": False, "corrected_by": right["number"]})
        self.ok("POST", "logbook", self.entry("Goggles.", kind="safety", path=PRESS), self.jonas, 201)
        found = lambda query: [entry["text"] for entry in self.ok("GET", f"logbook?{query}", who=self.mara)["entries"]]
        self.assertEqual(found(""), ["Goggles.", "Lot C-78.", wish["text"]])
        self.assertEqual((found(f"path={PRESS}"), found("kind=safety,quality"), found("text=%C3%B6l")), (["Goggles."], ["Goggles.", wish["text"]], [wish["text"]]))
        page = self.ok("GET", "logbook?limit=2")
        self.assertEqual([entry["text"] for entry in self.ok("GET", f"logbook?limit=2&after={page['next']}")["entries"]], [wish["text"]])
        for change, status in (
            ({"kind": "gossip"}, 400),
            ({"kind": "handover"}, 400),
            ({"text": " "}, 400),
            ({"text": "x" * 4001}, 400),
            ({"text": "a\u202eb"}, 400),
            ({"path": "works/line9"}, 404),
            ({"corrects": 99}, 404),
        ):
            self.assertTrue(self.refused(status, "POST", "logbook", {**self.entry("Fine."), **change}, self.mara)["detail"])

    def test_a_hand_over_between_two_people_over_kills(self):
        order = {"number": "4711", "material": "BOLT-8", "quantity": 500, "release": True}
        job = self.ok("POST", "orders", order, status=201)["jobs"][0]
        begun = self.ok("POST", f"jobs/{job['id']}/begin", {"version": job["version"], "key": key()}, self.mara)
        self.ok("POST", f"jobs/{job['id']}/counts", {"key": key(), "good": 320}, self.mara)
        self.ok("POST", f"jobs/{job['id']}/pause", {"version": begun["version"], "key": key(), "why": "Held"}, self.mara)
        first = self.ok("POST", "logbook", self.entry("Caps sit loose.", pinned=True), self.mara, 201)["number"]
        second = self.ok("POST", "logbook", self.entry("Grease is short.", pinned=True), self.mara, 201)["number"]
        proposed = self.ok("GET", f"handover?path={LINE}", who=self.mara)
        told = [(item["kind"], item["path"], item["title"], item["state"]) for item in proposed["items"]]
        self.assertEqual(told, [
            ("job", PRESS, "4711/10 Press, 320 of 500", "Interrupted (Held)"),
            ("entry", LINE, "Grease is short.", None),
            ("entry", LINE, "Caps sit loose.", None),
        ])  # fmt: skip
        self.assertEqual((proposed["from_ms"], proposed["truncated"]), (proposed["shift"]["from_ms"], False))
        wish = {"key": key(), "path": LINE, "summary": "The press is held.", "keep": [second]}
        self.refused(422, "POST", "handovers", {**wish, "keep": [99]}, self.mara)
        handed = self.ok("POST", "handovers", wish, self.mara, 201)
        self.assertEqual((handed["state"], handed["items"], handed["kept"]), ("waiting", proposed["items"], [second]))
        self.again()
        # Nothing is lost and nothing doubled, whoever asks again.
        self.assertEqual(self.ok("POST", "handovers", wish, self.mara), handed)
        number = handed["number"]
        still_open = lambda: [entry["number"] for entry in self.ok("GET", "logbook?open=true")["entries"]]
        waiting = lambda: [one["number"] for one in self.ok("GET", "handovers?state=waiting")["handovers"]]
        self.assertEqual((still_open(), waiting()), ([number, second, first], [number]), "visible until it is confirmed")
        self.assertEqual(self.ok("GET", f"handover?path={LINE}", who=self.jonas)["items"][-1]["kind"], "handover")
        self.refused(422, "POST", f"handovers/{number}/confirm", {"key": key()}, self.mara)
        # Two of the coming shift at once, of whom one is first.
        lena = self.here.make_user("lena", "operator", "works")
        asked = {who: {"key": key(), "note": "read"} for who in (self.jonas, lena)}
        with ThreadPoolExecutor(2) as pool:
            answers = dict(zip(asked, pool.map(lambda who: self.ask("POST", f"handovers/{number}/confirm", asked[who], who), asked)))
        self.assertEqual(sorted(answer.status for answer in answers.values()), [200, 409], answers)
        first_one = next(who for who, answer in answers.items() if answer.status == 200)
        confirmed = answers[first_one].json
        self.assertEqual((confirmed["state"], confirmed["confirmed_by_name"], confirmed["note"]), ("confirmed", "jonas" if first_one == self.jonas else "lena", "read"))
        self.again()
        self.assertEqual(self.ok("POST", f"handovers/{number}/confirm", asked[first_one], first_one), confirmed)
        self.assertEqual(self.ok("GET", f"handovers/{number}"), confirmed)
        self.assertEqual((still_open(), waiting()), ([second], []), "what was kept")
        notes = lambda: sorted(event["summary"] for event in self.here.timeline(kind="note") if event["path"] == LINE)
        shift = handed["shift"]["name"]
        wait_until("each is told once", lambda: notes() == sorted([
            "Caps sit loose.", "Grease is short.", f"hand-over of {shift}: The press is held.", f"hand-over {number} confirmed: read",
        ]))  # fmt: skip

    def test_sign_on_and_off_with_lost_answers_and_kills(self):
        on = {"key": key(), "path": PRESS}
        span = self.ok("POST", "labour/sign-on", on, self.jonas, 201)
        self.assertEqual((span["name"], span["path"], span["to_ms"], span["corrections"]), ("jonas", PRESS, None, []))
        self.again()
        self.assertEqual(self.ok("POST", "labour/sign-on", on, self.jonas), span)
        self.refused(409, "POST", "labour/sign-on", {**on, "path": OVEN}, self.jonas)
        self.assertEqual(self.ok("POST", "labour/sign-on", {"key": key(), "path": PRESS}, self.jonas), span, "there already")
        self.refused(422, "POST", "labour/sign-on", {"key": key(), "path": "works/store"})
        self.refused(404, "POST", "labour/sign-on", {"key": key(), "path": MILL}, self.jonas)
        moved = self.ok("POST", "labour/sign-on", {"key": key(), "path": OVEN}, self.jonas, 201)
        self.again()
        off = {"key": key()}
        ended = self.ok("POST", "labour/sign-off", off, self.jonas)
        self.assertEqual((ended["number"], ended["ended"]), (moved["number"], "self"))
        self.again()
        back = self.ok("POST", "labour/sign-on", {"key": key(), "path": PRESS}, self.jonas, 201)
        self.assertEqual(self.ok("POST", "labour/sign-off", off, self.jonas), ended, "the answer was lost: the same again")
        self.assertEqual(self.ok("GET", f"labour/now?path={LINE}", who=self.jonas)["me"]["number"], back["number"], "and he stays where he is")
        self.ok("POST", "labour/sign-off", {"key": key()}, self.jonas)
        self.refused(409, "POST", "labour/sign-off", {"key": key()}, self.jonas)
        spans = self.ok("GET", f"labour/spans?path={LINE}&{self.window()}", who=self.jonas)["spans"]
        self.assertEqual([(one["path"], one["ended"]) for one in spans], [(PRESS, "self"), (OVEN, "self"), (PRESS, "elsewhere")])
        self.assertEqual(spans[2]["to_ms"], spans[1]["from_ms"], "in one place at a time")
        # Each is told once, with its number and without a name.
        signs = lambda: [event for event in self.here.timeline(kind="user") if event["detail"]["action"] in ("signed_on", "signed_off")]
        wait_until("each is told once", lambda: len(signs()) == 5)
        self.assertEqual(sorted(event["detail"]["detail"] for event in signs()), ["sign-on 1", "sign-on 2", "sign-on 2", "sign-on 3", "sign-on 3"])
        self.assertFalse([event for event in signs() if self.people["jonas"] in str(event) or "jonas" in str(event)])

    def test_who_sees_whom(self):
        vera = self.here.make_user("vera", "viewer", "works")
        zoe = self.here.make_user("zoe", "operator", "works/line2")
        sara = self.here.make_user("sara", "operator", "works/line1")
        sara_id = next(user["id"] for user in self.here.get("/api/users").json["users"] if user["name"] == "sara")
        made = self.here.post("/api/tokens", {"name": "badge", "grants": [{"role": "operator", "branch": PRESS}]})
        badge = lambda path, body: self.here.request("POST", f"/api/mes/labour/{path}", body, token=made.json["token"])
        self.ok("PUT", f"labour/supervisors/{sara_id}?branch={LINE}", {}, status=204)
        self.refused(403, "PUT", f"labour/supervisors/{sara_id}", {}, sara)
        # A terminal signs on whom it names, at its own place.
        self.assertEqual(badge("sign-on", {"key": key(), "path": PRESS}).status, 422)
        self.assertEqual(badge("sign-on", {"key": key(), "path": OVEN, "person": self.people["jonas"]}).status, 404)
        jonas = badge("sign-on", {"key": key(), "path": PRESS, "person": self.people["jonas"]})
        self.assertEqual(jonas.status, 201, jonas)
        self.ok("POST", "labour/sign-on", {"key": key(), "path": PRESS}, self.mara, 201)
        self.refused(403, "POST", "labour/sign-off", {"key": key(), "person": self.people["jonas"]}, self.mara)
        # The line's people: each sees himself, the supervisor and an administrator all, others how many.
        names = lambda who: sorted(one["name"] for place in self.ok("GET", f"labour/now?path={LINE}", who=who)["places"] for one in place["persons"])
        self.assertEqual((names(self.jonas), names(self.mara), names(sara), names(vera), names(None)), (["jonas"], ["mara"], ["jonas", "mara"], [], ["jonas", "mara"]))
        self.refused(404, "GET", f"labour/now?path={LINE}", who=zoe)
        self.assertEqual(self.ok("GET", f"labour/now?path={LINE}", who=vera)["places"], [{"path": PRESS, "people": 2, "persons": []}])
        sums = self.ok("GET", f"labour?path=works&{self.window()}", who=vera)
        self.assertEqual((sums["people"], sums["persons"], sums["working_ms"]), (2, [], 0))
        spans = lambda who, more="": self.ok("GET", f"labour/spans?path={LINE}&{self.window()}{more}", who=who)["spans"]
        self.assertEqual([len(spans(who)) for who in (self.jonas, self.mara, sara, vera)], [1, 1, 2, 0])
        self.assertEqual(spans(self.mara, f"&person={self.people['jonas']}"), [])
        # A supervisor puts it right, and what stood there stays.
        number, was = jonas.json["number"], jonas.json["from_ms"]
        right = {"key": key(), "from_ms": was - 600_000, "to_ms": None, "reason": "came at six"}
        self.refused(404, "POST", f"labour/spans/{number}/correct", right, self.mara)
        self.refused(403, "POST", f"labour/spans/{number}/correct", right, self.jonas)
        self.refused(422, "POST", f"labour/spans/{number}/correct", {**right, "to_ms": now_ms() + HOUR_MS}, sara)
        done = self.ok("POST", f"labour/spans/{number}/correct", right, sara)
        self.again()
        self.assertEqual(self.ok("POST", f"labour/spans/{number}/correct", right, sara), done)
        kept = [(one["by_name"], one["was_from_ms"], one["was_to_ms"], one["reason"]) for one in done["corrections"]]
        self.assertEqual((done["from_ms"], kept), (was - 600_000, [("sara", was, None, "came at six")]))
        attended = self.ok("GET", f"labour?path={LINE}&{self.window()}", who=self.jonas)["persons"]
        self.assertEqual([(one["name"], one["attendance_ms"] >= 600_000) for one in attended], [("jonas", True)])
        # Who is no supervisor any more sees himself.
        self.ok("DELETE", f"labour/supervisors/{sara_id}?branch={LINE}", status=204)
        self.assertEqual(names(sara), [])
