"""The kill loop's promises, one test each. The loop itself is a process of its own: `kill_loop.py`."""

import json
import sys
import unittest

from harness import HERE, LONG, run


class KillLoop(unittest.TestCase):
    """Fifteen kills; a hundred in the long form."""

    report: dict

    @classmethod
    def setUpClass(cls):
        kills = 100 if LONG else 15
        done = run([sys.executable, "-B", HERE / "kill_loop.py", "--kills", str(kills)], deadline=120 + 20 * kills)
        last = done.stdout.splitlines()[-1] if done.stdout else ""
        if not last.startswith("{"):
            raise AssertionError(f"the loop did not come to its end\n{done.stdout}\n{done.stderr}")
        cls.report = json.loads(last)
        print(f"kill loop: {last}", flush=True)

    def promise(self, *names: str) -> None:
        broken = {name: found for name, found in self.report["violations"].items() if name in names}
        self.assertFalse(broken, f"seed {self.report['seed']}")

    def worked(self, *counts: str) -> None:
        """A promise about nothing is no promise."""
        for name in counts:
            self.assertGreater(self.report["counts"].get(name, 0), 0, name)

    def test_every_acknowledged_message_is_delivered(self):
        self.worked("mqtt_qos1", "mqtt_qos2")
        self.promise("mqtt_qos1_lost", "mqtt_qos2_lost", "session")

    def test_no_qos_2_message_is_delivered_twice(self):
        self.promise("mqtt_qos2_doubled")

    def test_every_acknowledged_retained_message_is_kept(self):
        self.worked("retained")
        self.promise("retained_lost")

    def test_every_acknowledged_sample_is_in_history(self):
        self.worked("ingest_samples", "meter")
        self.promise("ingest_lost", "meter_lost")

    def test_a_delete_stays_and_what_was_not_answered_took_effect_wholly_or_not_at_all(self):
        self.worked("deletes", "past_samples", "lives_compared")
        self.promise("delete_undone", "past_half")

    def test_no_late_sample_is_lost_or_doubled_while_files_are_compacted_rewritten_and_published(self):
        self.worked("compactions", "months_written", "months_rewritten")
        self.promise("past_lost", "past_doubled")

    def test_the_open_table_is_whole_at_every_moment_and_holds_each_point_once(self):
        self.worked("table_looks", "table_rows")
        self.promise("table_unreadable", "table_doubled", "table_txn", "table_lost", "table_delete_undone")

    def test_a_backup_that_was_reported_verifies_and_gives_back_what_was_acknowledged_before_it(self):
        self.worked("backups", "restored_points")
        self.promise("backup_unverified", "restore_lost")

    def test_nothing_half_written_is_left_over(self):
        self.promise("left_over")

    def test_every_command_ends_once_as_it_was_reported_and_none_is_carried_out_twice(self):
        self.worked("command_confirmed", "device_writes")
        self.promise("command_steps", "command_outcome", "command_untrue", "command_doubled")

    def test_every_acknowledged_alarm_stays_acknowledged(self):
        self.worked("acknowledgements", "alarm_occurrences")
        self.promise("ack_lost", "alarm_sequence")

    def test_every_applied_configuration_exists_and_is_recorded_once(self):
        self.worked("configurations")
        self.promise("configuration_lost", "configuration_doubled", "configuration_unrecorded", "event_doubled")

    def test_the_audit_trail_is_whole(self):
        self.worked("events")
        self.promise("audit")

    def test_the_judge_itself_worked(self):
        self.promise("judge")

    def test_the_node_is_ready_soon_after_a_kill(self):
        self.assertLess(self.report["ready_ms_slowest"], 5_000)
