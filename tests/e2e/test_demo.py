"""`andon demo`: one line to a plant and a house that live, with a link that logs in."""

import re
import signal

from harness import Case, binary, http, now_ms, spawn, wait_until


class Demo(Case):
    def start(self, folder) -> tuple:
        log = (folder / "demo.log").open("ab")
        self.addCleanup(log.close)
        began = log.tell()
        process = spawn(
            [binary(), "demo", "--data-dir", folder / "data", "--http", "127.0.0.1:0", "--mqtt", "127.0.0.1:0"], stdout=log, stderr=log
        )
        self.addCleanup(process.kill)
        text = lambda: (folder / "demo.log").read_text()[began:]

        def link():
            if process.poll() is not None:
                raise SystemError(text())
            return re.search(r"open: +http://([^/]+)/login\?code=(\S+)", text())

        return process, *wait_until("the link is printed", link, 30).groups()

    def test_the_link_logs_in_and_plant_and_house_are_alive(self):
        folder = self.temporary_folder()
        process, address, code = self.start(folder)
        self.assertIn("127.0.0.1:", address)
        done = http(address, "POST", "/api/login-link", {"code": code})
        self.assertEqual(done.status, 204, done)
        cookie = done.headers["set-cookie"].split(";")[0]
        get = lambda path: http(address, "GET", path, cookie=cookie)
        self.assertEqual(http(address, "GET", "/api/values").status, 401, "the link is not an open door")
        status = get("/api/status").json
        self.assertTrue(status["demo"])
        self.assertRegex(status["demo_text"], "simulated")
        profiles = {e["profile"] for e in get("/api/plant").json["equipment"]}
        self.assertEqual(profiles, {"plant", "home"})
        tags = [t["path"] for t in get("/api/plant").json["tags"]]
        # A station tells of a unit when one has passed it, which takes a while.
        tags = [tag for tag in tags if not re.search(r"works/assembly/line2/(leak|eol|pack)/", tag)]
        wait_until("nearly every tag has a good value", lambda: self.share_good(get, tags) > 0.9, 30)
        connectors = get("/api/connectors").json
        self.assertTrue(all(c["state"] == "connected" for c in connectors["connectors"]), connectors["connectors"])
        self.assertGreater(len([c for c in connectors["mqtt"]["clients"] if c["connected"]]), 3)
        moving = lambda: {v[0]: v[1] for v in get("/api/values").json["values"]}
        before = moving()
        wait_until("values move", lambda: sum(moving()[tag] != value for tag, value in before.items()) > 10, 30)
        tag = next(t for t in tags if "temperature" in t)
        wait_until("history grows", lambda: len(get(f"/api/history?tag={tag}&from_ms={now_ms() - 60_000}&to_ms={now_ms()}").json["points"]) > 2, 30)
        self.orders_are_made(get)
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(20), 0)

        process, address, code = self.start(folder)
        self.assertEqual(http(address, "POST", "/api/login-link", {"code": code}).status, 204, "a second start works too")
        process.kill()
        process.wait()
        process, address, code = self.start(folder)
        self.assertEqual(http(address, "POST", "/api/login-link", {"code": code}).status, 204, "and one after a kill")

    @staticmethod
    def share_good(get, tags) -> float:
        good = {v[0] for v in get("/api/values").json["values"] if v[2] == 0}
        return sum(tag in good for tag in tags) / len(tags)

    def orders_are_made(self, get) -> None:
        """The assembly line works on an order, and what is made of it is what its counter counts."""

        def mounting():
            orders = get("/api/mes/orders?branch=works/assembly/line2&state=Running").json["orders"]
            jobs = [job for order in orders for job in order["jobs"] if job["equipment"] == "works/assembly/line2/mount"]
            return next((job for job in jobs if job["state"] == "Running" and job["good"] >= 1), None)

        job = wait_until("a unit of an order is mounted", mounting, 90)
        people = {user["id"]: user["name"] for user in get("/api/users").json["users"]}
        ledger = get(f"/api/mes/jobs/{job['id']}/ledger").json["entries"]
        self.assertEqual([(entry["kind"], people[entry["by"]]) for entry in ledger if entry["kind"] in ("seen", "begin")], [("seen", "line2-operator"), ("begin", "line2-operator")])
        self.assertEqual([entry for entry in ledger if entry["kind"] == "count"], [], "nobody counts by hand")
