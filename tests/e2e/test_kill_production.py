"""What production promises over kills, one test each. The loop itself is a process of its own: `kill_production.py`."""

import json
import sys
import unittest

from harness import HERE, LONG, run


class KillProduction(unittest.TestCase):
    """Ten kills; a hundred in the long form."""

    report: dict

    @classmethod
    def setUpClass(cls):
        kills = 100 if LONG else 10
        done = run([sys.executable, "-B", HERE / "kill_production.py", "--kills", str(kills)], deadline=120 + 20 * kills)
        last = done.stdout.splitlines()[-1] if done.stdout else ""
        if not last.startswith("{"):
            raise AssertionError(f"the loop did not come to its end\n{done.stdout}\n{done.stderr}")
        cls.report = json.loads(last)
        print(f"kill production: {last}", flush=True)

    def promise(self, counts: tuple, *names: str) -> None:
        for name in counts:
            self.assertGreater(self.report["counts"].get(name, 0), 0, f"a promise about nothing is no promise: {name}")
        broken = {name: found for name, found in self.report["violations"].items() if name in names}
        self.assertFalse(broken, f"seed {self.report['seed']}")

    def test_every_acknowledged_count_and_state_is_in_the_kpis_once(self):
        self.promise(("readings", "states_checked"), "count", "state")

    def test_every_acknowledged_order_job_and_count_by_hand_is_there_once(self):
        self.promise(("orders", "begins", "counts", "stops"), "order_lost", "order_doubled", "count_by_hand", "job_state")

    def test_every_acknowledged_correction_is_there_once(self):
        self.promise(("corrections", "edges_checked"), "correction", "correction_doubled")

    def test_every_acknowledged_unit_passes_once_holds_its_parts_and_is_born_once(self):
        self.promise(("units", "units_checked"), "unit_lost", "unit_doubled", "unit_of_nobody", "pass", "part", "certificate")

    def test_nothing_that_is_asked_again_with_its_key_is_refused(self):
        self.promise((), "refused")

    def test_the_audit_trail_is_whole_and_the_judge_worked(self):
        self.promise(("kills",), "audit", "judge")
