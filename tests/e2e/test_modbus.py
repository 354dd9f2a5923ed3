"""pymodbus as the device that the node reads and writes, and as the client that reads our own simulator."""

import struct
import subprocess
import uuid

from harness import Case, example, now_ms, spawn, wait_until

PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[equipment]]
path = "works/hall"
level = "area"
title = "Hall"

[[equipment]]
path = "works/hall/line"
level = "work_center"
title = "Line"

[[equipment]]
path = "works/hall/line/filler"
level = "work_unit"
title = "Filler"

[[tag]]
path = "works/hall/line/filler/speed"
title = "Speed"
type = "double"
unit = "/min"
range = [0, 600]
digits = 1
write = { min = 10, max = 500, life = "3s", confirm_within = "2s" }

[[tag]]
path = "works/hall/line/filler/total"
title = "Bottles filled"
type = "int64"

[[tag]]
path = "works/hall/line/filler/pressure"
title = "Pressure"
type = "double"
unit = "bar"
range = [0, 100]

[[tag]]
path = "works/hall/line/filler/flow"
title = "Flow"
type = "double"

[[tag]]
path = "works/hall/line/filler/recipe"
title = "Recipe"
type = "string"

[[tag]]
path = "works/hall/line/filler/running"
title = "Running"
type = "boolean"
states = { 0 = "stopped", 1 = "running" }
write = { life = "3s", confirm_within = "2s" }

[[tag]]
path = "works/hall/line/filler/door"
title = "Door"
type = "boolean"

[[tag]]
path = "works/hall/line/filler/level"
title = "Level"
type = "int64"

[[alarm]]
tag = "works/hall/line/filler/pressure"
condition = "high"
limit = 80
deadband = 2
priority = "high"
message = "The pressure in the filler is too high"
cause = "The outlet valve is closed"
consequence = "The safety valve opens"
action = "Open the outlet valve"

[[connector]]
name = "filler"
type = "modbus"
title = "Filler, PLC"
endpoint = "ENDPOINT"
poll = "50ms"
timeout = "500ms"
register = [
  { tag = "works/hall/line/filler/speed", table = "holding", address = 0, type = "u16", scale = 0.1, write = true },
  { tag = "works/hall/line/filler/total", table = "holding", address = 1, type = "i32" },
  { tag = "works/hall/line/filler/pressure", table = "holding", address = 3, type = "f32" },
  { tag = "works/hall/line/filler/flow", table = "holding", address = 5, type = "f32", word_order = "little" },
  { tag = "works/hall/line/filler/recipe", table = "holding", address = 7, type = "string", length = 4 },
  { tag = "works/hall/line/filler/running", table = "coil", address = 2, type = "bool", write = true },
  { tag = "works/hall/line/filler/door", table = "discrete", address = 5, type = "bool" },
  { tag = "works/hall/line/filler/level", table = "input", address = 9, type = "u16" },
]
"""
UNIT = "works/hall/line/filler"
HIGH_PRESSURE = f"{UNIT}/pressure:high"


def words(layout: str, value) -> list[int]:
    data = struct.pack(">" + layout, value)
    return list(struct.unpack(f">{len(data) // 2}H", data))


class Device(Case):
    def setUp(self):
        super().setUp()
        self.plc = self.device()
        self.plc.set_words(0, [1234])
        self.plc.set_words(1, words("i", -123456))
        self.plc.set_words(3, words("f", 42.5))
        self.plc.set_words(5, words("f", 0.15625)[::-1])
        self.plc.set_words(7, [0x5665, 0x7267, 0x616E, 0x6700])  # "Vergang"
        self.plc.coils[2] = True
        self.plc.discrete[5] = True
        self.plc.input[9] = 65535
        self.here = self.node()
        self.here.apply(PLANT.replace("ENDPOINT", self.plc.endpoint))
        self.wait_value("speed", 123.4)

    def wait_value(self, tag, value):
        wait_until(f"{tag} is {value}", lambda: self.here.live(f"{UNIT}/{tag}")[1:3] == [value, 0])

    def command(self, tag, value, **more):
        answer = self.here.post("/api/commands", {"tag": f"{UNIT}/{tag}", "value": value, **more})
        self.assertEqual(answer.status, 200, answer)
        return answer.json

    def test_every_type_and_word_order_is_read_as_meant(self):
        expected = {
            "speed": 123.4, "total": -123456, "pressure": 42.5, "flow": 0.15625,
            "recipe": "Vergang", "running": True, "door": True, "level": 65535,
        }
        for tag, value in expected.items():
            self.wait_value(tag, value)
        health = self.here.connector("filler")
        self.assertEqual((health["state"], health["tags"]), ("connected", len(expected)))
        self.plc.set_words(3, words("f", 43.25))
        self.wait_value("pressure", 43.25)
        points = lambda: [p[1] for p in self.here.history(f"{UNIT}/pressure", now_ms() - 60_000, now_ms())["points"]]
        wait_until("both are in history", lambda: set(points()) >= {42.5, 43.25})

    def test_a_write_reaches_the_register_once_and_is_confirmed(self):
        done = self.command("speed", 250.5, reason="test")
        self.assertEqual((done["outcome"], done["read_back"]), ("confirmed", 250.5), done)
        self.assertEqual(self.plc.writes, [(6, 0, [2505])])
        done = self.command("running", False)
        self.assertEqual(done["outcome"], "confirmed", done)
        self.assertEqual(self.plc.writes[1:], [(5, 2, [False])])
        steps = lambda: [e["detail"]["step"] for e in self.here.timeline(kind="command", path=f"{UNIT}/speed")]
        wait_until("the steps are in the timeline, newest first", lambda: steps() == ["confirmed", "intent"])

    def test_the_same_key_is_carried_out_once_and_answered_alike(self):
        key = str(uuid.uuid4())
        first, second = (self.command("speed", 100, key=key) for _ in range(2))
        self.assertEqual(first, second)
        self.assertEqual(len(self.plc.writes), 1)
        self.here.kill()
        self.here.start()
        self.assertEqual(self.command("speed", 100, key=key)["outcome"], "confirmed", "also after a kill")
        self.assertEqual(len(self.plc.writes), 1)

    def test_what_is_out_of_limits_is_refused_with_the_limits(self):
        for value in (9.9, 500.1, 1e6, -1):
            done = self.command("speed", value)
            self.assertEqual(done["outcome"], "refused", done)
            self.assertIn("10", done["detail"])
            self.assertIn("500", done["detail"])
        for tag, value in (("speed", "fast"), ("speed", None), ("total", 5)):
            self.assertEqual(self.command(tag, value)["outcome"], "refused")
        self.assertEqual(self.plc.writes, [], "nothing was sent")

    def test_a_device_that_goes_away_is_told_in_plain_words_and_comes_back_by_itself(self):
        self.plc.stop()
        bad = lambda: all(self.here.live(f"{UNIT}/{tag}")[2] == 0x8031_0000 for tag in ("speed", "recipe", "door"))
        wait_until("quality is BadNoCommunication", bad)
        health = wait_until("the connector says failed", lambda: (h := self.here.connector("filler"))["state"] == "failed" and h)
        self.assertTrue(health["last_error"]["text"] and health["last_error"]["remedy"], health)
        self.assertNotIn("os error", health["last_error"]["text"].lower(), "plain words")
        done = self.command("speed", 200)
        self.assertEqual(done["outcome"], "failed", done)
        self.assertIn("not connected", done["detail"])
        self.plc.start()
        self.wait_value("speed", 123.4)
        self.assertEqual(self.here.connector("filler")["state"], "connected")
        self.assertEqual(self.plc.writes, [], "the failed command is not sent later")
        changes = lambda: [e["detail"]["connected"] for e in self.here.timeline(kind="connection") if e["detail"]["name"] == "filler"]
        wait_until("there, lost once, back once", lambda: changes() == [True, False, True])

    def test_an_alarm_is_raised_acknowledged_and_stands_so_after_a_kill(self):
        self.plc.set_words(3, words("f", 85.0))
        raised = wait_until("the alarm is raised", lambda: self.here.alarm(HIGH_PRESSURE))
        self.assertEqual((raised["state"], raised["value"], raised["limit"], raised["priority"]), ("unacknowledged", 85.0, 80.0, 2))
        self.assertEqual(raised["action"], "Open the outlet valve")
        one = {"name": HIGH_PRESSURE, "occurrence": raised["occurrence"]}
        answer = self.here.post("/api/alarms/ack", {"alarms": [one], "note": "seen"})
        self.assertTrue(answer.json["results"][0]["ok"], answer)
        self.assertEqual(self.here.alarm(HIGH_PRESSURE)["state"], "acknowledged")
        self.here.kill()
        self.here.start()
        stands = self.here.alarm(HIGH_PRESSURE)
        self.assertEqual((stands["state"], stands["occurrence"], stands["raised_ms"]), ("acknowledged", raised["occurrence"], raised["raised_ms"]))
        again = self.here.post("/api/alarms/ack", {"alarms": [{**one, "occurrence": str(uuid.uuid4())}]})
        self.assertFalse(again.json["results"][0]["ok"], "an occurrence of another time")
        self.plc.set_words(3, words("f", 79.0))
        self.wait_value("pressure", 79.0)
        self.assertIsNotNone(self.here.alarm(HIGH_PRESSURE), "within the deadband it stays")
        self.plc.set_words(3, words("f", 50.0))
        wait_until("back to normal", lambda: self.here.alarm(HIGH_PRESSURE) is None)
        events = lambda: [(e["detail"]["from"], e["detail"]["to"]) for e in self.here.timeline(kind="alarm")]
        whole = [("acknowledged", "normal"), ("unacknowledged", "acknowledged"), ("normal", "unacknowledged")]
        wait_until("the whole story is in the timeline", lambda: events() == whole)

    def test_an_alarm_that_returns_unseen_waits_for_its_acknowledgement(self):
        self.plc.set_words(3, words("f", 85.0))
        wait_until("raised", lambda: self.here.alarm(HIGH_PRESSURE))
        self.plc.set_words(3, words("f", 20.0))
        returned = lambda: (a := self.here.alarm(HIGH_PRESSURE)) and a["state"] == "returned_to_normal_unacknowledged" and a
        alarm = wait_until("returned, unacknowledged", returned)
        self.here.restart()
        wait_until("still so after a restart", returned)
        self.here.post("/api/alarms/ack", {"alarms": [{"name": HIGH_PRESSURE, "occurrence": alarm["occurrence"]}]})
        wait_until("normal", lambda: self.here.alarm(HIGH_PRESSURE) is None)

    def test_a_connection_test_says_what_is_there(self):
        self.assertTrue(self.here.post("/api/connectors/test", {"name": "filler"}).json["ok"])
        self.plc.stop()
        answer = self.here.post("/api/connectors/test", {"name": "filler"}).json
        self.assertFalse(answer["ok"])
        self.assertTrue(answer["detail"])


class Simulator(Case):
    def test_pymodbus_reads_and_writes_our_simulator(self):
        from pymodbus.client import ModbusTcpClient

        program = example("modbus_sim")
        if not program.exists():
            self.skipTest(f"{program} is not built: cargo build -p andon-connectors --example modbus_sim")
        process = spawn([program, "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.kill)
        address = process.stdout.readline().removeprefix("listening on ").strip()
        client = ModbusTcpClient("127.0.0.1", port=int(address.rsplit(":", 1)[1]))
        self.addCleanup(client.close)
        self.assertTrue(client.connect())
        kinds = client.DATATYPE
        read = client.read_holding_registers(0, count=16).registers
        value = lambda at, count, kind, order="big": client.convert_from_registers(read[at : at + count], kind, word_order=order)
        self.assertEqual((value(0, 1, kinds.UINT16), value(1, 1, kinds.INT16)), (1234, -5))
        self.assertEqual(value(2, 2, kinds.UINT32), 4_000_000_000)
        self.assertAlmostEqual(value(4, 2, kinds.FLOAT32), 123.456, 4)
        self.assertAlmostEqual(value(6, 2, kinds.FLOAT32, "little"), 123.456, 4)
        self.assertEqual(value(8, 4, kinds.FLOAT64), -0.1)
        self.assertEqual(value(12, 4, kinds.STRING), "Andon 1")
        self.assertEqual(client.read_input_registers(0, count=10).registers, list(range(100, 110)))
        self.assertEqual(client.read_coils(0, count=10).bits[:10], [n % 2 == 0 for n in range(10)])
        self.assertEqual(client.read_discrete_inputs(0, count=10).bits[:10], [n % 3 == 0 for n in range(10)])
        client.write_register(20, 999)
        client.write_registers(21, [1, 2, 3])
        client.mask_write_register(address=24, and_mask=0xFFF0, or_mask=0x0005)
        self.assertEqual(client.read_holding_registers(20, count=5).registers, [999, 1, 2, 3, 5])
        self.assertEqual(client.write_register(20, 1001).exception_code, 3)
        self.assertEqual(client.read_holding_registers(5000, count=1).exception_code, 2)
        client.write_coil(1, True)
        client.write_coils(2, [False, True, False])
        self.assertEqual(client.read_coils(0, count=5).bits[:5], [True, True, False, True, False])
