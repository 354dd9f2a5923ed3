"""Work orders: made, released, begun, counted by machine and people, killed in between, ended; two people, and nothing lost or doubled."""

from concurrent.futures import ThreadPoolExecutor

from harness import MILL, OVEN, PRESS, TWO_LINES, MesCase, key, now_ms, wait_until

PLANT = f"""
{TWO_LINES}tag = [{{ path = "{PRESS}/state", type = "int64" }}, {{ path = "{PRESS}/good", type = "int64" }}, {{ path = "{OVEN}/state", type = "int64" }}]
skill = [{{ name = "Pressing", title = "Pressing to work instruction 7" }}]
instruction = [{{ name = "WI-7", revision = "A", title = "Press", steps = [{{ title = "Look", text = "Gloves on." }}] }}]

[[machine]]
equipment = "{PRESS}"
state = {{ tag = "{PRESS}/state", packml = true }}
good = {{ tag = "{PRESS}/good" }}

[[machine]]
equipment = "{OVEN}"
state = {{ tag = "{OVEN}/state", packml = true }}

[[material]]
name = "BOLT-8"
title = "Bolt M8"
operation = [
  {{ name = "10", title = "Press", equipment = ["{PRESS}"], run_time = "0.3 s", skills = ["Pressing"], instructions = ["WI-7"] }},
  {{ name = "20", title = "Harden", equipment = ["{OVEN}"], run_time = "0.1 s", setup = "1 min" }},
]

[[material]]
name = "PIN"
operation = [{{ name = "10", equipment = ["{PRESS}", "{OVEN}"], run_time = "1 s", instructions = ["WI-7"] }}]

[[material]]
name = "ROD"
operation = [{{ name = "10", equipment = ["{MILL}"], run_time = "1 s" }}]

[[material]]
name = "STEEL"
"""


class Orders(MesCase):
    base = ""

    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.olga = self.here.make_user("olga", "operator", "works/line1")
        self.otto = self.here.make_user("otto", "operator", "works/line1")
        self.people = {user["name"]: user["id"] for user in self.here.get("/api/users").json["users"]}

    def job(self, number):
        return next(job for job in self.ok("GET", f"/api/mes/orders/{number.split('/')[0]}")["jobs"] if job["number"] == number)

    def trigger(self, job, what, who=None, **more):
        return self.ask("POST", f"/api/mes/jobs/{job['id']}/{what}", {"version": job["version"], "key": key(), **more}, who)

    def say(self, **readings):
        body = [{"path": f"{PRESS}/{tag}", "value": value, "ts": now_ms()} for tag, value in readings.items()]
        answer = self.here.post("/api/ingest?precision=ms", body)
        self.assertEqual(answer.status, 204, answer)

    def qualify(self):
        for name in ("olga", "otto"):
            self.ok("PUT", f"/api/users/{self.people[name]}/skills/Pressing", {}, status=204)

    def read(self, job, who):
        text = self.ok("GET", "/api/mes/instructions/WI-7?revision=A", who=who)
        self.assertEqual((text["steps"][0]["title"], len(text["sha256"])), ("Look", 64))
        self.ok("POST", f"/api/mes/jobs/{job['id']}/seen", {"instruction": "WI-7", "revision": "A", "sha256": text["sha256"]}, who, status=204)

    def test_a_life_of_an_order_with_two_people_and_kills(self):
        new = {"number": "4711", "material": "BOLT-8", "quantity": 500, "due_ms": now_ms() + 3_600_000, "note": "by truck"}
        order = self.ok("POST", "/api/mes/orders", new, status=201)
        self.assertEqual((order["state"], order["title"], [job["number"] for job in order["jobs"]]), ("Forecast", "Bolt M8", ["4711/10", "4711/20"]))
        self.here.kill()
        self.here.start()
        self.assertEqual(self.ok("POST", "/api/mes/orders", new), order, "the same again is the same, over a kill")
        self.ok("POST", "/api/mes/orders", {**new, "quantity": 501}, status=409)
        self.ok("POST", "/api/mes/orders", {**new, "number": "4712"}, self.olga, status=403)
        order = self.ok("PATCH", "/api/mes/orders/4711", {"version": order["version"], "quantity": 400})
        order = self.ok("POST", "/api/mes/orders/4711/release", {"version": order["version"]})
        self.assertEqual((order["state"], order["quantity"], order["jobs"][0]["quantity"]), ("Released", 400, 400))
        job = order["jobs"][0]
        # Not qualified, then not read.
        self.assertEqual(self.trigger(job, "begin", self.olga).status, 403)
        self.qualify()
        unread = self.trigger(job, "begin", self.olga)
        self.assertEqual((unread.status, unread.json["current"]["instructions"][0]["seen"]), (409, False))
        self.read(job, self.olga)
        self.read(job, self.otto)
        # Two at once.
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda who: self.trigger(job, "begin", who), (self.olga, self.otto)))
        self.assertEqual(sorted(answer.status for answer in answers), [200, 409], answers)
        lost = next(answer for answer in answers if answer.status == 409)
        winner = "olga" if answers[0].status == 200 else "otto"
        self.assertEqual((lost.json["current"]["state"], lost.json["current"]["version"]), ("Running", job["version"] + 1))
        self.assertIn(winner, lost.json["detail"])
        # Counted by the machine and by a person, and killed.
        self.say(state=6, good=100)
        self.say(good=130)
        wait_until("the counter's items are the job's", lambda: self.job("4711/10")["good"] == 30)
        count = {"key": key(), "good": 2, "scrap": 5, "reason": "bent"}
        self.ok("POST", f"/api/mes/jobs/{job['id']}/counts", count, self.olga)
        self.here.kill()
        self.here.start()
        self.ok("POST", f"/api/mes/jobs/{job['id']}/counts", count, self.olga)
        wait_until("nothing is lost and nothing doubled", lambda: (now := self.job("4711/10"))["good"] == 32 and now["scrap"] == 5)
        pause = {"version": self.job("4711/10")["version"], "key": key(), "why": "Held", "reason": "jam"}
        paused = self.ok("POST", f"/api/mes/jobs/{job['id']}/pause", pause, self.otto)
        self.here.kill()
        self.here.start()
        self.assertEqual(self.ok("POST", f"/api/mes/jobs/{job['id']}/pause", pause, self.otto)["version"], paused["version"])
        resumed = self.trigger(self.job("4711/10"), "resume", self.otto)
        stopped = self.trigger(resumed.json, "stop", self.otto)
        self.assertEqual((stopped.status, stopped.json["state"], stopped.json["substate"]), (200, "Ended", "Completed"))
        kpis = self.ok("GET", f"/api/mes/kpis?path={PRESS}&from_ms={order['created_ms'] - 1000}&to_ms={now_ms() + 1000}")
        self.assertEqual((kpis["amounts"]["good"], kpis["amounts"]["scrap"]), (32, 5))
        whole = self.ok("GET", f"/api/mes/jobs/{job['id']}/ledger", who=self.olga)
        entries = whole["entries"]
        self.assertIsNone(whole["next"])
        self.assertEqual([entry["kind"] for entry in entries], ["change", "release", "seen", "seen", "begin", "count", "pause", "resume", "stop"])
        self.assertEqual((entries[4]["by_name"], entries[5]["scrap"], entries[6]["reason"]), (winner, 5, "jam"))
        last = self.ok("GET", f"/api/mes/jobs/{job['id']}/ledger?limit=6", who=self.olga)
        self.assertEqual(last["entries"], entries[3:], "the newest")
        self.assertEqual(self.ok("GET", f"/api/mes/jobs/{job['id']}/ledger?limit=6&after={last['next']}", who=self.olga), {"entries": entries[:3], "next": None})
        # The second operation, and the end.
        harden = self.trigger(self.job("4711/20"), "begin", self.otto)
        self.assertEqual(harden.status, 200, harden)
        self.ok("POST", f"/api/mes/jobs/{harden.json['id']}/counts", {"key": key(), "good": 32}, self.otto)
        self.assertEqual(self.trigger(harden.json, "stop", self.otto).status, 200)
        order = self.ok("GET", "/api/mes/orders/4711")
        self.assertEqual((order["state"], order["good"], order["scrap"]), ("Completed", 32, 5))
        order = self.ok("POST", "/api/mes/orders/4711/close", {"version": order["version"]})
        self.assertEqual(order["state"], "Closed")
        # One event for each entry; a change and a release are the order's.
        told = lambda: [event for event in self.here.timeline(kind="job") if event["path"] == PRESS]
        wait_until("each is told once", lambda: len(told()) == len(entries) - 2)
        self.here.stop()
        self.assertEqual(self.here.cli("audit verify").returncode, 0)

    def test_who_sees_and_may_what(self):
        self.qualify()
        self.ok("POST", "/api/mes/orders", {"number": "A-1", "material": "BOLT-8", "quantity": 10, "release": True}, status=201)
        other = self.here.make_user("zoe", "engineer", "works/line2")
        viewer = self.here.make_user("vera", "viewer", "works/line1")
        engineer = self.here.make_user("egon", "engineer", "works/line1")
        self.ok("GET", "/api/mes/orders/A-1", who=other, status=404)
        self.assertEqual(self.ok("GET", "/api/mes/orders", who=other), {"orders": [], "next": None})
        self.assertEqual(self.ok("GET", "/api/mes/jobs", who=other), {"jobs": [], "truncated": False})
        # A number that is taken tells nothing of what one does not see.
        taken = self.ask("POST", "/api/mes/orders", {"number": "A-1", "material": "ROD", "quantity": 1}, other)
        self.assertEqual((taken.status, taken.json["detail"], "current" in taken.json), (409, "the number A-1 is taken", False))
        self.assertEqual(self.ok("POST", "/api/mes/schedule/plan", {"seed": 7}, other)["changes"], [], "no order of others")
        job = self.ok("GET", f"/api/mes/jobs?equipment={PRESS}", who=viewer)["jobs"][0]
        self.assertEqual(self.trigger(job, "abort", other).status, 404)
        self.assertEqual(self.trigger(job, "abort", viewer).status, 403)
        self.ok("POST", "/api/mes/orders/A-1/cancel", {"version": 1}, self.olga, status=403)
        self.ok("POST", "/api/mes/schedule/plan", {"dry_run": True}, self.olga, status=403)
        self.ok("PUT", f"/api/users/{self.people['olga']}/skills/Pressing", {}, engineer, status=403)
        plan = self.ok("POST", "/api/mes/schedule/plan", {"dry_run": False, "seed": 7}, engineer)
        self.assertEqual((len(plan["changes"]), plan["gap"]), (2, 0))
        now = now_ms()
        shown = self.ok("GET", f"/api/mes/schedule?from_ms={now - 3_600_000}&to_ms={now + 86_400_000}", who=viewer)
        self.assertEqual(([job["number"] for job in shown["jobs"]], [lane["path"] for lane in shown["equipment"]]), (["A-1/10", "A-1/20"], [OVEN, PRESS]))
        order = self.ok("GET", "/api/mes/orders/A-1", who=engineer)
        self.assertEqual(self.ok("POST", "/api/mes/orders/A-1/cancel", {"version": order["version"]}, engineer)["state"], "Cancelled")

    def test_a_job_that_can_be_done_at_two_places(self):
        ann, ben = self.here.make_user("ann", "operator", PRESS), self.here.make_user("ben", "operator", OVEN)
        job = self.ok("POST", "/api/mes/orders", {"number": "P-1", "material": "PIN", "quantity": 10, "release": True}, status=201)["jobs"][0]
        self.assertIsNone(job["equipment"])
        job = self.trigger(job, "prepare", ann, prepared="Ready").json
        told = lambda: [event["path"] for event in self.here.timeline(kind="job")]
        wait_until("it is told where both places lie", lambda: told() == ["works/line1"])
        job = self.ok("POST", f"/api/mes/jobs/{job['id']}/plan", {"version": job["version"], "equipment": OVEN, "planned_start_ms": now_ms()})
        self.assertEqual(job["equipment"], OVEN)
        # Who sees the press sees the job, which is not to be done there.
        numbers = lambda query, who: [job["number"] for job in self.ok("GET", f"/api/mes/jobs{query}", who=who)["jobs"]]
        self.assertEqual((numbers("", ann), numbers(f"?equipment={PRESS}", ann), numbers(f"?equipment={OVEN}", ben)), (["P-1/10"], [], ["P-1/10"]))
        # Elsewhere than decided, only who may at both places; read, wherever one may.
        for who in (ann, ben, self.olga):
            self.read(job, who)
        self.assertEqual([self.trigger(job, "begin", who, equipment=PRESS).status for who in (ann, ben)], [403, 403])
        begun = self.trigger(job, "begin", self.olga, equipment=PRESS)
        self.assertEqual((begun.status, begun.json["equipment"], begun.json["warnings"]), (200, PRESS, []))
        self.assertEqual(self.trigger(begun.json, "pause", ben, why="Held").status, 403)
        self.assertEqual(self.trigger(begun.json, "pause", ann, why="Held").status, 200)

    def test_what_cannot_be_meant_says_why(self):
        good = {"number": "B-1", "material": "BOLT-8", "quantity": 10}
        for change, status, words in (
            ({"material": "STEEL"}, 422, "no operations"),
            ({"material": "NUT"}, 422, "no material"),
            ({"number": "a/b"}, 400, "no number"),
            ({"number": "x" * 65}, 400, "no number"),
            ({"quantity": 0}, 422, "no quantity"),
            ({"priority": 10}, 400, "from 1 to 9"),
            ({"due_ms": -1}, 400, "due_ms"),
            ({"note": "a\u202eb"}, 400, "U+202E"),
        ):
            answer = self.ask("POST", "/api/mes/orders", {**good, **change})
            self.assertEqual(answer.status, status, answer)
            self.assertIn(words, answer.json["detail"])
            self.assertTrue(status == 400 or answer.json["remedy"])
        order = self.ok("POST", "/api/mes/orders", {**good, "release": True}, status=201)
        job = order["jobs"][0]
        self.assertEqual(self.trigger(job, "dance").status, 404)
        self.assertEqual(self.trigger(job, "resume").status, 409)
        self.assertEqual(self.trigger(job, "prepare").status, 422)
        self.assertEqual(self.trigger(job, "attribute", why="Held").status, 404)
        counts = f"/api/mes/jobs/{job['id']}/counts"
        early = self.ask("POST", counts, {"key": key(), "good": 1})
        self.assertEqual((early.status, early.json["detail"]), (409, "the job is AllowedToStart (Waiting): it is counted from its begin until it is closed"))
        self.qualify()
        self.read(job, self.olga)
        self.assertEqual(self.trigger(job, "begin", self.olga).status, 200)
        for body, status, detail in (
            ({"key": key()}, 422, "nothing was counted: give good, scrap or rework"),
            ({"key": key(), "scrap": 1}, 422, "scrap without a reason: say why"),
            ({"key": key(), "good": -1}, 422, "-1 good would leave less than none: 0 were counted so far"),
            ({"key": key(), "good": 1e9 + 1}, 422, "1000000001 good is more than can be counted: 1000000000 at once, 1000000000000 in all"),
            ({"key": key(), "scrap": 1, "reason": "x" * 201}, 400, '"reason" is longer than 200 characters'),
            ({"good": 1}, 422, "Failed to deserialize the JSON body into the target type: missing field `key` at line 1 column 11"),
        ):
            answer = self.ask("POST", counts, body)
            self.assertEqual((answer.status, answer.json["detail"]), (status, detail))
        waits = {**good, "number": "B-2"}
        self.ok("POST", "/api/mes/orders", waits, status=201)
        released = self.ask("POST", "/api/mes/orders", {**waits, "release": True})
        self.assertEqual((released.status, released.json["remedy"]), (409, "release it with POST /api/mes/orders/B-2/release"))
