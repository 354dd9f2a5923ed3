"""Runs the tests one after the other, a line for each; ends with `N passed, N failed`."""

from __future__ import annotations

import sys
import time
import unittest
from pathlib import Path

import harness  # Its exit handlers come first.


class Result(unittest.TestResult):
    def __init__(self):
        super().__init__()
        self.passed = 0
        self.began = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.began = time.monotonic()

    def line(self, word: str, test, more: str = "") -> None:
        print(f"{word:4} {test.id()} {time.monotonic() - self.began:.1f} s{more}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        self.line("ok", test)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line("skip", test, f": {reason}")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.show(test, self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.show(test, self.errors[-1][1])

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err:
            self.show(subtest, self._exc_info_to_string(err, subtest))

    def show(self, test, text: str) -> None:
        self.line("FAIL", test)
        print(text, flush=True)
        for node in getattr(test, "nodes", []):
            print(f"---- the node's log, {node.log_path}\n{node.log_tail()}\n----", flush=True)


def tests_of(suite):
    for item in suite:
        if isinstance(item, unittest.TestSuite):
            yield from tests_of(item)
        else:
            yield item


def main(words: list[str]) -> int:
    began = time.monotonic()
    found = unittest.defaultTestLoader.discover(str(Path(__file__).parent), pattern="test_*.py")
    chosen = [test for test in tests_of(found) if not words or any(word in test.id() for word in words)]
    result = Result()
    unittest.TestSuite(chosen).run(result)
    failed = len(result.failures) + len(result.errors)
    print(f"end to end: {len(result.skipped)} skipped, {time.monotonic() - began:.0f} s")
    print(f"{result.passed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
