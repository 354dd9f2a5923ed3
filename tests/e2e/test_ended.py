"""How a run ended: the timeline tells an orderly stop from a power cut, and for how long Andon was not running."""

import re
from datetime import datetime

from harness import Case, now_ms, wait_until

CUT_OFF = "not been stopped in an orderly way"


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
        seen, span = re.search(r"last seen alive at (\S+Z),.* not running for (\d+) s at most", cut_off["summary"]).groups()
        last_alive = datetime.fromisoformat(seen.replace("Z", "+00:00")).timestamp() * 1000
        self.assertTrue(begun - 1 <= last_alive <= killed, f"{begun} {last_alive} {killed}")
        self.assertEqual(int(span), int((cut_off["at_ms"] - last_alive) // 1000))
        self.assertIn(CUT_OFF, node.log_text(), "the program's log has it, too")
        node.restart()
        told("started", "stopped", "started", "gap")
