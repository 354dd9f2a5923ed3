"""How a run ended: the timeline tells an orderly stop from a power cut, and for how long Andon was not running."""

import json
import math
import os
import re
import subprocess
from datetime import datetime

from harness import Case, binary, now_ms, spawn, wait_until

PLANT = """
[[equipment]]
path = "works"
level = "site"
profile = "plant"
title = "Works"

[[tag]]
path = "works/pump"
type = "boolean"
title = "Pump"
"""
CUT_OFF = "it was cut off, not stopped in an orderly way"


class Ended(Case):
    def test_the_timeline_tells_a_kill_from_an_orderly_stop(self):
        node = self.node()
        actions = lambda: [event["detail"]["action"] for event in node.timeline(kind="system")]
        told = lambda *wanted: wait_until(f"the newest are {wanted}", lambda: tuple(actions()[: len(wanted)]) == wanted)
        told("started")
        self.assertEqual(actions(), ["started"], "the first start follows nothing")
        node.restart()
        told("started", "stopped", "started")
        begun = now_ms()
        node.make_user("anna", "viewer")  # Is recorded, and so is the last sign of life.
        node.kill()
        killed = now_ms()
        node.start()
        told("started", "gap", "started", "stopped")
        cut_off = next(event for event in node.timeline(kind="system") if event["detail"]["action"] == "gap")
        self.assertEqual((cut_off["severity"], cut_off["by"]["kind"]), (2, "system"))
        self.assertIn(CUT_OFF, cut_off["summary"])
        span, seen = re.match(r"Andon was not running for (\d+) s at most, from (\S+ \S+) UTC: ", cut_off["summary"]).groups()
        last_alive = datetime.fromisoformat(f"{seen}+00:00").timestamp() * 1000  # To the second.
        self.assertTrue((begun - 1) // 1000 * 1000 <= last_alive <= killed, f"{begun} {last_alive} {killed}")
        # Words are made just before the event has its time.
        self.assertIn(math.ceil((cut_off["at_ms"] - last_alive) / 1000) - int(span), (0, 1))
        self.assertIn(CUT_OFF, node.log_text(), "the program's log has it, too")
        self.assertNotIn("\x1b", node.log_text(), "a file has no colours")
        node.restart()
        told("started", "stopped", "started", "gap")

    def test_a_node_whose_words_nobody_reads_any_more_goes_on(self):
        node = self.node()
        node.stop()
        addresses = node.data_dir / "addresses.json"
        addresses.unlink(missing_ok=True)
        reads, writes = os.pipe()
        node.process = spawn([binary(), "serve", "--config", node.config], stdout=writes, stderr=writes, stdin=subprocess.DEVNULL)
        os.close(writes)
        os.read(reads, 10)
        os.close(reads)
        node.addresses = wait_until("it listens", lambda: addresses.exists() and json.loads(addresses.read_text()))
        wait_until("it is ready", lambda: node.get("/readyz").status == 200)
        node.stop()

    def test_the_time_in_which_nothing_ran_is_no_good_time(self):
        node = self.node()
        node.apply(PLANT)
        began = now_ms() - 60_000

        def tell(state: str) -> None:
            self.assertEqual(node.post("/api/ingest?precision=ms", f"works pump={state} {now_ms()}").status, 204)

        node.post("/api/ingest?precision=ms", f"works pump=true {began}")
        tell("true")
        node.stop()
        stopped = now_ms()
        node.start()
        started = now_ms()
        # Long before the next reading, the gap is known, and it is as long as nothing ran.
        query = "SELECT EXTRACT(EPOCH FROM since) * 1000, EXTRACT(EPOCH FROM until) * 1000 FROM gaps"
        ((since, until),) = wait_until("history knows of the stop", lambda: node.post("/api/sql", {"query": query, "format": "json"}).json["rows"])
        self.assertTrue(stopped - 2_000 <= since <= stopped and stopped <= until <= started, f"{since} {stopped} {until} {started}")
        tell("true")
        node.kill()
        node.start()
        tell("false")
        ends = now_ms() + 1
        tell("false")

        def figures() -> list[dict]:
            names = ["DurationGood", "DurationBad", "PercentGood", "DurationInStateNonZero"]
            body = {"tags": ["works/pump"], "aggregates": names, "from_ms": began, "to_ms": ends, "interval_ms": 0, "stepped": True}
            series = node.post("/api/aggregate", body).json["series"]
            # The last reading, too, must have come.
            whole = sum(one["values"][0][1] or 0 for one in series[:2]) >= ends - began - 2
            return series if whole and len(series[0]["gaps"]) == 2 else []

        good, bad, percent, running = wait_until("history knows of the gap", figures)
        gaps = good["gaps"]
        lost = sum(gap["to_ms"] - gap["from_ms"] for gap in gaps)
        value = lambda series: series["values"][0][1]
        self.assertEqual([gap["reason"] for gap in gaps], ["Andon was not running"] * 2)
        # Whole milliseconds are told, and microseconds are counted.
        self.assertAlmostEqual(value(bad), lost, delta=4)
        self.assertAlmostEqual(value(good) + value(bad), ends - began, delta=2)
        self.assertAlmostEqual(value(percent), 100 * value(good) / (ends - began), delta=0.01)
        self.assertLessEqual(value(running), ends - began - lost + 4)
        rows = lambda query: node.post("/api/sql", {"query": query, "format": "json"}).json["rows"]
        self.assertEqual(rows("SELECT count(*) AS n, min(reason) AS reason FROM gaps"), [[2, "Andon was not running"]])
        step = f"SELECT good FROM resample('works/pump', to_timestamp_millis({began}), to_timestamp_millis({ends}), INTERVAL '1 hour')"
        ((share,),) = rows(step)
        self.assertAlmostEqual(share * (ends - began), value(good), delta=5)
