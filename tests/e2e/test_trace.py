"""Units at stations over real MQTT: serial numbers pass, the node is killed in the middle, certificates are made once and verified offline."""

import json
import uuid
from collections import Counter
from urllib.parse import quote

from harness import Case, binary, now_ms, run, wait_until
from mqtt import Client

LINE = "works/line"
PLANT = f"""
equipment = [
  {{ path = "works", level = "site" }},
  {{ path = "works/elsewhere", level = "work_center" }},
  {{ path = "{LINE}", level = "work_center" }},
  {{ path = "{LINE}/mount", level = "work_unit" }},
  {{ path = "{LINE}/leak", level = "work_unit" }},
  {{ path = "{LINE}/pack", level = "work_unit" }},
]
tag = [
  {{ path = "{LINE}/mount/serial", type = "string" }}, {{ path = "{LINE}/mount/valve", type = "string" }}, {{ path = "{LINE}/mount/motor", type = "string" }},
  {{ path = "{LINE}/leak/serial", type = "string" }}, {{ path = "{LINE}/leak/result", type = "int64" }}, {{ path = "{LINE}/leak/rate", type = "double", unit = "g/a" }},
  {{ path = "{LINE}/pack/serial", type = "string" }},
]

[[topic]]
filter = "{LINE}/mount/unit"
format = "json"
time = "ts"
fields = [{{ path = "serial", tag = "{LINE}/mount/serial" }}, {{ path = "valve", tag = "{LINE}/mount/valve" }}, {{ path = "motor", tag = "{LINE}/mount/motor" }}]

[[topic]]
filter = "{LINE}/leak/unit"
format = "json"
time = "ts"
fields = [{{ path = "serial", tag = "{LINE}/leak/serial" }}, {{ path = "result", tag = "{LINE}/leak/result" }}, {{ path = "rate", tag = "{LINE}/leak/rate" }}]

[[topic]]
filter = "{LINE}/pack/unit"
format = "json"
time = "ts"
fields = [{{ path = "serial", tag = "{LINE}/pack/serial" }}]

[[machine]]
equipment = "{LINE}/mount"
unit = {{ serial = "{LINE}/mount/serial", part = [{{ material = "VALVE", lot = "{LINE}/mount/valve" }}, {{ material = "MOTOR", serial = "{LINE}/mount/motor" }}], first = true }}

[[machine]]
equipment = "{LINE}/leak"
unit = {{ serial = "{LINE}/leak/serial", result = {{ tag = "{LINE}/leak/result" }}, measure = [{{ characteristic = "leak_rate", tag = "{LINE}/leak/rate" }}] }}

[[machine]]
equipment = "{LINE}/pack"
unit = {{ serial = "{LINE}/pack/serial", last = true }}

[[material]]
name = "VALVE"
tracked = "lot"

[[material]]
name = "MOTOR"
gtin = "4012345000085"
tracked = "serial"

[[material]]
name = "PUMP"
revision = "B"
tracked = "serial"
characteristic = [{{ name = "leak_rate", unit = "g/a", upper = 3 }}]
operation = [
  {{ name = "10", equipment = ["{LINE}/mount"], run_time = "1 s" }},
  {{ name = "20", equipment = ["{LINE}/leak"], run_time = "1 s", after = [] }},
  {{ name = "30", equipment = ["{LINE}/pack"], run_time = "1 s", after = [] }},
]
"""
UNITS = 24
LOT_SIZE = 8
BAD = "V-1"


def key() -> str:
    return str(uuid.uuid4())


def lot_of(n: int) -> str:
    return f"V-{n // LOT_SIZE}"


class Station:
    """One that keeps what was not acknowledged, and sends it again after a kill, as any station does."""

    def __init__(self, case, name: str):
        self.case, self.name, self.client = case, name, None

    def say(self, **said):
        payload = json.dumps({"ts": now_ms(), **said})
        while True:
            try:
                if self.client is None:
                    self.client = Client(f"station-{self.name}", durable=False).connect(self.case.here.mqtt)
                self.client.publish_and_wait(f"{LINE}/{self.name}/unit", payload)
                return
            except OSError:
                self.client = None


class Trace(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.stations = {name: Station(self, name) for name in ("mount", "leak", "pack")}

    def die(self):
        """What was acknowledged a moment ago is read again after the start."""
        self.here.kill()
        self.here.start()

    def ok(self, method, path, body=None, status=200, **options):
        answer = self.here.request(method, path, body, **options)
        self.assertEqual(answer.status, status, answer)
        return answer

    def get(self, path):
        return self.ok("GET", path).json

    def run_order(self):
        order = self.ok("POST", "/api/mes/orders", {"number": "4711", "material": "PUMP", "quantity": 100, "release": True}, 201).json
        for job in order["jobs"]:
            self.ok("POST", f"/api/mes/jobs/{job['id']}/begin", {"version": job["version"], "key": key()})

    def receive(self, number, **more):
        body = {"key": key(), "material": "VALVE", "number": number, "quantity": LOT_SIZE, "place": "works/store", **more}
        return self.ok("POST", "/api/mes/lots", body).json

    def unit(self, serial):
        found = self.get(f"/api/mes/units?number={serial}")["items"]
        self.assertLessEqual(len(found), 1, f"{serial} is there once")
        return self.get(f"/api/mes/units/{found[0]['id']}") if found else None

    def is_born(self, serial):
        unit = self.unit(serial)
        return unit if unit and unit["certificates"] else None

    def verify(self, file, *keys, code):
        done = run([binary(), "verify", "certificate", file, *(word for one in keys for word in ("--key", one))])
        self.assertEqual(done.returncode, code, f"{done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_units_pass_over_kills_are_born_once_and_a_bad_lot_finds_its_own(self):
        self.run_order()
        lots = {number: self.receive(number) for number in (lot_of(n) for n in range(0, UNITS, LOT_SIZE))}
        for n in range(UNITS):
            serial = f"P-{n:03}"
            self.stations["mount"].say(serial=serial, valve=lot_of(n), motor=f"M-{n:03}")
            if n % 5 == 1:
                self.die()
            self.stations["leak"].say(serial=serial, result=1, rate=1.0 + n / 10)
            if n % 5 == 3:
                self.die()
            self.stations["pack"].say(serial=serial)
        self.die()
        units = [wait_until(f"P-{n:03} is born", lambda n=n: self.is_born(f"P-{n:03}"), 60) for n in range(UNITS)]
        folder = self.temporary_folder()
        public = folder / "works.pem"
        public.write_bytes(self.ok("GET", "/api/mes/certificate-key").body)
        numbers = Counter()
        for n, unit in enumerate(units):
            stations = Counter(one["equipment"].rsplit("/", 1)[1] for one in unit["passes"])
            self.assertEqual(stations, Counter(mount=1, leak=1, pack=1), f"P-{n:03} passes once")
            parts = {one["item"]["material"]: one["item"]["number"] for one in unit["as_built"]}
            self.assertEqual(parts, {"VALVE": lot_of(n), "MOTOR": f"M-{n:03}"})
            self.assertEqual(len(unit["certificates"]), 1, "one certificate")
            number = unit["certificates"][0]["number"]
            numbers[number] += 1
            file = folder / f"{n}.json"
            file.write_bytes(self.ok("GET", f"/api/mes/certificates/{number}").body)
            told = self.verify(file, public, code=0)
            self.assertIn(f"serial P-{n:03} of PUMP, revision B", told)
            self.assertIn("job order 4711/30, 2 parts, 1 test value", told)
        self.assertEqual(len(numbers), UNITS)
        # Any changed byte is seen; and without the key nothing is believed.
        good = (folder / "0.json").read_bytes()
        self.assertEqual(json.loads(good)["certificate"]["tests"][0]["verdict"], "pass")
        for at in (good.index(b"V-0"), good.index(b"P-000"), len(good) // 2):
            changed = folder / "changed.json"
            changed.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
            self.verify(changed, public, code=2)
        self.verify(folder / "0.json", code=2)
        # The bad lot: its units and no others.
        bad = lots[BAD]["id"]
        wanted = {f"P-{n:03}" for n in range(UNITS) if lot_of(n) == BAD}
        recall = self.get(f"/api/mes/lots/{bad}/recall")
        self.assertEqual(({one["number"] for one in recall["units"]}, recall["lots"], recall["cut"]), (wanted, [], None))
        table = self.ok("GET", f"/api/mes/lots/{bad}/recall.csv").text.splitlines()
        self.assertEqual({row.split(",")[3] for row in table[1:]}, wanted)
        self.assertEqual(self.get(f"/api/mes/lots/{bad}")["remaining"], 0)
        back = self.get(f"/api/mes/lots/{units[0]['id']}/trace/backward")
        self.assertEqual({one["number"] for one in back["items"]}, {"P-000", "V-0", "M-000"})
        audit = self.get("/api/audit/verify")
        self.assertTrue(audit["ok"], audit)
        born = [one for one in self.here.timeline(kind="trace", limit=1000) if ": certificate" in one["summary"]]
        self.assertEqual(len(born), UNITS, "each is told once")
        # Another key is not taken in silence.
        told = lambda: [one["summary"] for one in self.here.timeline(limit=1000) if "are signed with the key" in one["summary"]]
        self.die()
        self.assertEqual(told(), [])
        self.here.stop()
        (self.here.data_dir / "tls/signing-key.pem").unlink()
        self.here.start()
        wait_until("the new key is told", told)

    def test_what_cannot_be_right_is_kept_and_told(self):
        self.run_order()
        held = self.receive("V-HELD", state="Quarantine")
        self.stations["mount"].say(serial="A", valve="V-HELD", motor="M-1")
        self.stations["mount"].say(serial="B", valve="V-NEVER", motor="M-1")
        self.stations["leak"].say(serial="STRAY", result=1, rate=1)
        self.stations["pack"].say(serial="A")
        self.stations["pack"].say(serial="B")
        self.stations["pack"].say(serial="A")
        wanted = {"not_released", "elsewhere", "not_known", "finished"}
        found = lambda: {one["what"] for one in self.get("/api/mes/findings")["findings"]} >= wanted
        wait_until("all of it is found", found)
        text = lambda: " ".join(one["summary"] for one in self.here.timeline(kind="trace"))
        for words in ("its state is Quarantine", "one of the two was scanned wrongly", "Receive it", "passed again", "no first station told of it"):
            wait_until(f"it is told: {words}", lambda words=words: words in text())
        for serial in ("A", "B", "STRAY"):
            self.assertTrue(self.unit(serial)["passes"], f"{serial} is not dropped")
        # Somebody decides, with a reason; the same request again changes nothing, another under its key is refused.
        body = {"key": key(), "state": "Released", "reason": "tested again"}
        path = f"/api/mes/lots/{held['id']}/state"
        self.assertEqual(self.ok("POST", path, body).json["state"], "Released")
        self.assertEqual(len(self.ok("POST", path, body).json["decisions"]), 2)
        self.ok("POST", path, {**body, "state": "Scrapped"}, 409)

    def test_rights_labels_and_a_unit_that_connects(self):
        self.run_order()
        lot = self.receive("V-0")
        self.stations["mount"].say(serial="A", valve="V-0", motor="M/7")
        unit = wait_until("it is there", lambda: self.unit("A"))
        viewer = self.here.make_user("vera", "viewer", LINE)
        stranger = self.here.make_user("sam", "operator", "works/elsewhere")
        as_viewer, as_stranger = dict(token=None, cookie=viewer), dict(token=None, cookie=stranger)
        self.ok("GET", f"/api/mes/units/{unit['id']}", **as_viewer)
        self.ok("GET", f"/api/mes/units/{unit['id']}", None, 404, **as_stranger)
        body = {"key": key(), "state": "Hold", "reason": "leaks"}
        self.ok("POST", f"/api/mes/lots/{lot['id']}/state", body, 403, **as_viewer)
        self.ok("POST", f"/api/mes/units/{unit['id']}/identity", {}, 403, **as_viewer)
        self.ok("POST", f"/api/mes/units/{unit['id']}/certificate", {}, 409)
        self.assertIn("<svg", self.ok("GET", f"/api/mes/lots/{unit['id']}/label.svg").text)
        scanned = quote("https://works.example/01/04012345000085/21/M%2F7?17=271231", safe="")
        motors = self.get(f"/api/mes/units?number={scanned}")["items"]
        self.assertEqual([motor["number"] for motor in motors], ["M/7"], "as a scanner reads it")
        label = self.ok("GET", f"/api/mes/lots/{motors[0]['id']}/label.zpl").text
        self.assertIn("^FDMA,https://id.gs1.org/01/04012345000085/21/M%2F7^FS", label)
        self.assertIn("^FD(01)04012345000085(21)M/7^FS", label)
        self.assertIn("^FDMA,V-0^FS", self.ok("GET", f"/api/mes/lots/{lot['id']}/label.zpl").text, "it has no GTIN")
        given = self.ok("POST", f"/api/mes/units/{unit['id']}/identity", {}).json
        self.assertEqual(given["user"], unit["id"])
        self.ok("POST", f"/api/mes/units/{unit['id']}/identity", {}, 409)
        client = Client(unit["id"], durable=False, user=given["user"], password=given["password"]).connect(self.here.mqtt)
        client.publish_and_wait(f"units/{unit['id']}/state", "1")
        with self.assertRaises(OSError):
            Client(unit["id"], durable=False, user=given["user"], password="guess").connect(self.here.mqtt)
