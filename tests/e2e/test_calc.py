"""The formulas through the command line, checked by arithmetic that is not Andon's."""

import json
from fractions import Fraction

from harness import Case, binary, run


class Calc(Case):
    def calc(self, cases: dict, code: int = 0):
        file = self.temporary_folder() / "cases.json"
        file.write_text(json.dumps(cases))
        done = run([binary(), "calc", file, "--kind", "oee"])
        self.assertEqual(done.returncode, code, done.stderr)
        return done

    def test_kpis_are_what_plain_arithmetic_says(self):
        inputs = {
            f"{pbt}-{good}": {"PBT": pbt, "APT": pbt - 47, "AUST": 21, "ADET": 13, "PRI": 0.25, "GQ": good, "SQ": 31, "RQ": 7}
            for pbt in (300, 480)
            for good in (800, 1500)
        }
        answer = json.loads(self.calc({"cases": [{"id": name, "input": given} for name, given in inputs.items()]}).stdout)
        self.assertEqual(set(answer), set(inputs))
        for name, given in inputs.items():
            f = {key: Fraction(value) for key, value in given.items()}
            produced = f["GQ"] + f["SQ"] + f["RQ"]
            expected = {
                "availability": f["APT"] / f["PBT"],
                "effectiveness": f["PRI"] * produced / f["APT"],
                "quality_ratio": f["GQ"] / produced,
                "oee_index": f["PRI"] * f["GQ"] / f["PBT"],
                "setup_ratio": f["AUST"] / (f["APT"] + f["AUST"]),
                "technical_efficiency": f["APT"] / (f["APT"] + f["ADET"]),
                "utilization_efficiency": f["APT"] / (f["APT"] + f["AUST"] + f["ADET"]),
            }
            for kpi, value in expected.items():
                self.assertAlmostEqual(answer[name][kpi], float(value), places=12, msg=f"{name} {kpi}")

    def test_a_log_is_counted_and_a_zero_is_no_value(self):
        log = [["22:00", "Running", None], ["22:30", "Down", "unplanned:jam"], ["22:40", "Idle", "planned_break"], ["23:00", None, None]]
        cases = [{"id": "log", "input": {"log": log, "PRI": 0.1, "PQ": 270, "GQ": 243}}, {"id": "stood", "input": {"PBT": 480, "APT": 0, "PRI": 1, "PQ": 0, "GQ": 0}}]
        answer = json.loads(self.calc({"cases": cases}).stdout)
        self.assertEqual((answer["log"]["PBT"], answer["log"]["APT"], answer["log"]["planned_downtime"]), (40, 30, 20))
        self.assertAlmostEqual(answer["log"]["oee_index"], 24.3 / 40)
        self.assertEqual((answer["stood"]["availability"], answer["stood"]["oee_index"]), (0, None))

    def test_what_differs_is_told_and_what_is_wrong_is_refused(self):
        given = {"PBT": 400, "APT": 300, "PRI": 1, "PQ": 200, "GQ": 100}
        done = self.calc({"cases": [{"id": "a", "input": given, "expected": {"oee_index": 0.26, "availability": 0.75}}]}, code=2)
        self.assertEqual(done.stderr.strip().splitlines(), ["a: oee_index is 0.25, expected 0.26", "1 difference in 1 case with expectations"])
        self.assertEqual(json.loads(done.stdout)["a"]["oee_index"], 0.25)
        done = self.calc({"cases": [{"id": "a", "input": {"PTB": 1}}]}, code=1)
        self.assertIn('a: "PTB" is no figure; known are CT, POT, PBT', done.stderr)
        self.assertEqual(done.stdout, "")
