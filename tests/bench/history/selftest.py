"""Whether the benchmark itself can be trusted: the data are what they say, and a wrong answer is found. No peer is needed, and no binary; without
NumPy and Arrow only the comparison is tested. The last line is `N passed, N failed`."""

from __future__ import annotations

import importlib.util
import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import answers  # noqa: E402
import measure  # noqa: E402
import report  # noqa: E402

HAS_ARROW = all(importlib.util.find_spec(module) for module in ("numpy", "pyarrow"))


class Comparing(unittest.TestCase):
    RIGHT = [["a", 1_767_571_200_000, 1.5], ["b", 1_767_571_200_000, -2.25], ["b", 1_767_571_260_000, None]]

    def test_order_and_the_last_digits_do_not_matter(self):
        shaken = [[*row[:2], row[2] and row[2] * (1 + 1e-9)] for row in reversed(self.RIGHT)]
        self.assertIsNone(answers.difference(shaken, self.RIGHT))
        self.assertIsNone(answers.difference([["a", 3]], [["a", 3.0]]))

    def test_whatever_differs_is_found(self):
        for place, wrong in [((0, 0), "c"), ((1, 1), 1_767_571_200_001), ((1, 2), -2.2501), ((2, 2), 0.0), ((0, 2), None)]:
            rows = [list(row) for row in self.RIGHT]
            rows[place[0]][place[1]] = wrong
            self.assertIsNotNone(answers.difference(rows, self.RIGHT), wrong)
        self.assertIsNotNone(answers.difference(self.RIGHT[1:], self.RIGHT))
        self.assertIsNotNone(answers.difference(self.RIGHT + self.RIGHT[:1], self.RIGHT))
        self.assertIsNotNone(answers.difference([row[:2] for row in self.RIGHT], self.RIGHT))

    def test_only_the_columns_that_count_are_compared(self):
        self.assertIsNone(answers.difference([["a", None, 1.0]], [["a", 7, 1.0]], (0, 2)))

    def test_most_are_right_and_one_alone_proves_nothing(self):
        self.assertEqual(answers.agreed({"x": [[1.0]], "y": [[2.0]], "z": [[2.0]]}), [[2.0]])
        self.assertIsNone(answers.agreed({"x": [[1.0]], "y": [[2.0]]}))
        self.assertIsNone(answers.agreed({"x": [[1.0]]}))


class Measuring(unittest.TestCase):
    def test_percentiles_are_values_that_were_seen(self):
        values = list(range(1, 101))
        self.assertEqual([measure.percentile(values, share) for share in (0.5, 0.99, 1.0)], [50, 99, 100])
        self.assertEqual(measure.percentile([7.0], 0.99), 7.0)

    def test_a_ratio_stands_beside_its_figure(self):
        self.assertEqual(report.beside(3.0, 2.0), "3.00 (×1.50)")
        self.assertEqual(report.beside(None, 2.0), "–")


@unittest.skipUnless(HAS_ARROW, "NumPy and Arrow are not installed here; tests/bench/history.sh brings them and tests this, too")
class Data(unittest.TestCase):
    def setUp(self):
        import numpy
        import sets

        self.np, self.sets = numpy, sets

    def lines(self, data) -> list[str]:
        text = b"".join(bytes(piece) for piece, _ in data.lines([f"pv,tag={name} v=" for name in data.tags]))
        return text.decode().splitlines()

    def test_the_same_seed_gives_the_same_bytes_and_another_size_others(self):
        one, two, other = (self.sets.regular("S", "", 8, seconds) for seconds in (500, 500, 600))
        self.assertEqual(self.lines(one), self.lines(two))
        self.assertNotEqual(self.lines(one)[:100], self.lines(other)[:100])

    def test_lines_are_the_points(self):
        data = self.sets.regular("S", "", 8, 300, 20)
        read = []
        for line in self.lines(data):
            head, value, time = line.split(" ")
            read.append((head.partition("=")[2], float(value.partition("=")[2]), int(time)))
        self.assertEqual(read, [(data.tags[tag], value, ts) for tag, value, ts in zip(data.tag.tolist(), data.value.tolist(), data.ts.tolist())])

    def test_no_series_is_constant_and_one_point_in_twenty_is_late(self):
        data = self.sets.regular("S", "", 16, 5_000)
        for tag in range(16):
            self.assertGreater(len(set(data.value[data.tag == tag].tolist())), 2, tag)
        late = (self.np.maximum.accumulate(data.ts) > data.ts).mean()
        self.assertTrue(0.04 < late < 0.06, late)
        self.assertEqual(len(set(zip(data.tag.tolist(), data.ts.tolist()))), data.points)

    def test_recordings_are_real_and_no_copy_repeats_another(self):
        data = self.sets.recorded(3)
        series = [data.value[data.tag == tag].tolist() for tag in range(len(data.tags))]
        self.assertEqual(len(series), 12 * 3)
        for at in range(0, len(series), 3):
            self.assertNotEqual(series[at], series[at + 1], data.tags[at])

    def test_trucks_are_as_disordered_as_tsbs_says(self):
        trucks = self.sets.trucks(10, 2)
        whole = 10 * 2 * 360
        for table in trucks.rows.values():
            self.assertTrue(0.86 < len(table) / whole < 0.93, len(table) / whole)
        readings = trucks.rows["readings"]
        ts = readings["ts"].to_numpy().astype("int64")
        late = (self.np.maximum.accumulate(ts) > ts).mean()
        self.assertTrue(0.2 < late < 0.4, late)
        missing = sum(readings[name].null_count for name in self.sets.TRUCK_FIELDS["readings"]) / len(readings)
        self.assertTrue(0.08 < missing < 0.12, missing)
        self.assertLessEqual(max(readings["velocity"].drop_null().to_pylist()), 100)
        sent = sum(len(ends) for _, ends in trucks.lines(lambda table: [f"{table},name={n} " for n in range(10)], True))
        self.assertGreaterEqual(sent, 2)

    def test_the_right_answers_are_those_of_a_plain_loop(self):
        import queries

        data = self.sets.regular("S", "", 4, 7_300, 20)
        ask, by_time = queries.Ask(data), queries.Sorted(data)
        points = sorted(zip(data.tag.tolist(), data.ts.tolist(), data.value.tolist()))
        hours: dict = {}
        for tag, ts, value in points:
            hours.setdefault((data.tags[tag], ts // 3_600_000 * 3_600_000), []).append(value)
        plain = [[*key, sum(values) / len(values)] for key, values in hours.items()]
        self.assertIsNone(answers.difference(queries.narrow_truth("hourly", ask, by_time), plain))
        last = {data.tags[tag]: value for tag, _, value in points}
        self.assertIsNone(answers.difference(queries.narrow_truth("last", ask, by_time), [[tag, 0, value] for tag, value in last.items()], (0, 2)))


if __name__ == "__main__":
    suite = unittest.defaultTestLoader.loadTestsFromModule(sys.modules["__main__"])
    result = unittest.TextTestRunner(verbosity=0).run(suite)
    failed = len(result.failures) + len(result.errors)
    print(f"{result.testsRun - failed - len(result.skipped)} passed, {failed} failed", flush=True)
    sys.exit(1 if failed else 0)
