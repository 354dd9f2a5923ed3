"""A large shop floor on the whole node: 50 lines of 20 units, each with a change of state a second, and 200 counts a second in all.

The same readings go to two nodes, one after the other: one that follows the machines, and one that only keeps the readings. What the first
takes more of the processor is what states, OEE and orders cost. On the first it is measured how long after a reading's acknowledgement the
plant's KPIs have it, and how long answers take.
"""

import argparse
import http.client
import json
import os
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "e2e"))
from harness import Node, now_ms  # noqa: E402

LINES, UNITS, PARTS = 50, 20, 10
COUNT_EVERY = 5  # Each unit counts every so many seconds: 200 counts a second in all.
STATES = [6, 11, 6, 5, 6, 3]  # Execute, Held, Execute, Suspended, Execute, Starting
UNIT_PATHS = [f"works/l{line:02}/u{unit:02}" for line in range(LINES) for unit in range(UNITS)]


def plant(followed: bool) -> str:
    equipment = ['{ path = "works", level = "site", profile = "plant" }']
    equipment += [f'{{ path = "works/l{line:02}", level = "work_center" }}' for line in range(LINES)]
    equipment += [f'{{ path = "{path}", level = "work_unit" }}' for path in UNIT_PATHS]
    tags = [f'{{ path = "{path}/{tag}", type = "int64" }}' for path in UNIT_PATHS for tag in ("state", "good")]
    text = f"equipment = [{', '.join(equipment)}]\ntag = [{', '.join(tags)}]\n"
    for path in UNIT_PATHS if followed else []:
        text += (
            f'[[machine]]\nequipment = "{path}"\nstate = {{ tag = "{path}/state", packml = true }}\n'
            f'good = {{ tag = "{path}/good" }}\norders = false\nrun_time = "1 s"\n'
        )
    return text


class Client:
    """One connection that stays open."""

    def __init__(self, node: Node):
        self.connection = http.client.HTTPConnection(node.http.removeprefix("http://"), timeout=60)
        self.headers = {"authorization": f"Bearer {node.token}", "content-type": "application/json"}

    def ask(self, method: str, path: str, body=None):
        self.connection.request(method, path, None if body is None else json.dumps(body), self.headers)
        answer = self.connection.getresponse()
        data = answer.read()
        assert answer.status in (200, 204), (answer.status, data[:500])
        return json.loads(data) if data else None


def cpu(node: Node) -> float:
    fields = Path(f"/proc/{node.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def second(client: Client, number: int, good: dict) -> None:
    """What all machines say in one second, in a few requests."""
    now = now_ms()
    rows = []
    for at, path in enumerate(UNIT_PATHS):
        rows.append({"path": f"{path}/state", "value": STATES[(number + at) % len(STATES)], "ts": now})
        if (number + at) % COUNT_EVERY == 0:
            good[path] += 1
            rows.append({"path": f"{path}/good", "value": good[path], "ts": now})
    for part in range(PARTS):
        client.ask("POST", "/api/ingest?precision=ms", rows[part::PARTS])


def run(followed: bool, seconds: int) -> dict:
    node = Node()
    try:
        node.start()
        node.apply(plant(followed))
        client, asking = Client(node), Client(node)
        good = dict.fromkeys(UNIT_PATHS, 0)
        begun = now_ms()
        for number in range(5):
            second(client, number, good)
        first = sum(good.values())
        lags, spent, started = [], cpu(node), time.monotonic()
        late = 0
        for number in range(5, 5 + seconds):
            second(client, number, good)
            acknowledged = time.monotonic()
            while followed:
                # The first count of a counter tells where it stands, and is no item.
                answer = asking.ask("GET", f"/api/mes/kpis?path=works&from_ms={begun}&to_ms={now_ms() + 1000}")
                if answer["amounts"]["good"] >= sum(good.values()) - LINES * UNITS:
                    lags.append(time.monotonic() - acknowledged)
                    break
            behind = started + (number - 4) - time.monotonic()
            late += behind < 0
            time.sleep(max(0.0, behind))
        took = time.monotonic() - started
        result = {"cpu": (cpu(node) - spent) / took, "late": late, "items": sum(good.values()) - first}
        if followed:
            answers = {}
            end = now_ms()
            questions = {
                "KPIs of the plant": f"/api/mes/kpis?path=works&from_ms={begun}&to_ms={end}",
                "the plant's lines in brief": f"/api/mes/kpis/children?path=works&from_ms={begun}&to_ms={end}",
                "a line's units in brief": f"/api/mes/kpis/children?path=works/l07&from_ms={begun}&to_ms={end}",
                "what all machines are in": "/api/mes/machines",
            }
            for name, path in questions.items():
                times = []
                for _ in range(20):
                    clock = time.monotonic()
                    asking.ask("GET", path)
                    times.append((time.monotonic() - clock) * 1000)
                answers[name] = times
            result |= {"lags": lags, "answers": answers}
        return result
    finally:
        node.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    seconds = parser.parse_args().seconds
    with_floor, without = run(True, seconds), run(False, seconds)
    print(f"{LINES} lines of {UNITS} units, {LINES * UNITS} changes of state and {LINES * UNITS // COUNT_EVERY} counts a second, {seconds} s")
    print(f"processor, of one core: {with_floor['cpu']:.1%} with machines followed and asked once a second, {without['cpu']:.1%} with the readings alone")
    print(f"  so states and KPIs: {with_floor['cpu'] - without['cpu']:.1%}; seconds that came late: {with_floor['late']} and {without['late']}")
    lags = [lag * 1000 for lag in with_floor["lags"]]
    print(f"live after the last acknowledgement of a second: median {statistics.median(lags):.0f} ms, p95 {percentile(lags, 0.95):.0f}, worst {max(lags):.0f}")
    for name, times in with_floor["answers"].items():
        print(f"{name}: median {statistics.median(times):.1f} ms, worst {max(times):.1f}")


if __name__ == "__main__":
    main()
