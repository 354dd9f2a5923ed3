"""The data: made from a seed, the same bytes for every system, and never a constant.

A narrow set is columns in order of arrival: `tag` (its number), `ts` (ms since 1970) and `value`. One point in twenty arrives late, by up to
half an hour. The wide set `T` follows the description of TSBS, use case "iot": rows of `readings` and `diagnostics` with fields
missing, entries lost and late.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

START_MS = 1_767_571_200_000  # 2026-01-05T00:00:00Z, a Monday.
LATE = 0.05
LATE_BY_MS = 1_800_000
BATCH_LINES = 5_000
SEED = 123
RECORDINGS = Path(__file__).resolve().parents[3] / "crates/testkit/data"


# ---- narrow sets ----


@dataclass
class Narrow:
    """One value a row. Columns stand in order of arrival."""

    name: str
    says: str
    tags: list[str]
    tag: np.ndarray  # int32
    ts: np.ndarray  # int64, ms
    value: np.ndarray  # float64
    step_ms: int = 1000

    @property
    def points(self) -> int:
        return len(self.ts)

    @property
    def span(self) -> tuple[int, int]:
        """From the first point to just after the last one, in ms, in whole steps."""
        first, last = int(self.ts.min()), int(self.ts.max())
        step = self.step_ms
        return first // step * step, (last // step + 1) * step

    def table(self) -> pa.Table:
        """Columns `tag` (dictionary of names), `ts` and `value`, in order of arrival."""
        names = pa.DictionaryArray.from_arrays(pa.array(self.tag, pa.int32()), pa.array(self.tags))
        return pa.table({"tag": names, "ts": pa.array(self.ts, pa.timestamp("ms")), "value": pa.array(self.value)})

    def lines(self, prefixes: list[str]):
        """Line protocol with times in ms, in pieces of at most a million lines: bytes and the ends of the batches in them."""
        prefixes = pa.array(prefixes)
        for at in range(0, self.points, 1_000_000):
            piece = slice(at, at + 1_000_000)
            start = prefixes.take(pa.array(self.tag[piece]))
            value = pc.cast(pa.array(self.value[piece]), pa.string())
            time = pc.cast(pa.array(self.ts[piece]), pa.string())
            yield batches(pc.binary_join_element_wise(start, value, pa.scalar(" "), time, pa.scalar("\n"), ""))


def batches(lines: pa.Array) -> tuple[memoryview, list[int]]:
    """The bytes of lines that end with a line feed, and where each batch of lines ends in them."""
    lines = lines.combine_chunks() if isinstance(lines, pa.ChunkedArray) else lines
    _, offsets, data = lines.buffers()
    ends = np.frombuffer(offsets, np.int32)[: len(lines) + 1]
    assert ends[0] == 0
    return memoryview(data)[: ends[-1]], [int(ends[min(at + BATCH_LINES, len(lines))]) for at in range(0, len(lines), BATCH_LINES)]


def signal(tag: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """One of four kinds, as a plant has them: random walk of two decimals, noisy sine of three, a state, single precision noise."""
    kind = tag % 4
    if kind == 0:
        return np.round(20 + np.cumsum(rng.normal(0, 0.05, n)), 2)
    if kind == 1:
        turn = np.arange(n) * (2 * math.pi / rng.uniform(60, 900)) + rng.uniform(0, 6)
        return np.round(3 + np.sin(turn) + rng.normal(0, 0.02, n), 3)
    if kind == 2:
        changes = rng.random(n) < 1 / 120
        changes[0] = True
        levels = rng.integers(0, 6, int(changes.sum())).astype(np.float64)
        return levels[np.cumsum(changes) - 1]
    return (50 + rng.normal(0, 7.3, n)).astype(np.float32).astype(np.float64)


def arrived(name: str, says: str, tags: list[str], series: list[np.ndarray], times: list[np.ndarray], rng, step_ms: int = 1000) -> Narrow:
    """Puts series in the order in which they arrive."""
    tag = np.repeat(np.arange(len(series), dtype=np.int32), [len(s) for s in series])
    ts, value = np.concatenate(times), np.concatenate(series)
    late = np.where(rng.random(len(ts)) < LATE, rng.integers(0, LATE_BY_MS, len(ts)), 0)
    order = np.argsort(ts + late, kind="stable")
    return Narrow(name, says, tags, tag[order], ts[order], value[order], step_ms)


def regular(name: str, says: str, count: int, seconds: int, jitter_ms: int = 0) -> Narrow:
    rng = np.random.default_rng([SEED, count, seconds, jitter_ms])
    series = [signal(tag, seconds, rng) for tag in range(count)]
    base = START_MS + np.arange(seconds, dtype=np.int64) * 1000
    shake = lambda: rng.integers(-jitter_ms, jitter_ms + 1, seconds) if jitter_ms else 0
    width = len(str(count - 1))
    tags = [f"{name.lower()}{tag:0{width}}" for tag in range(count)]
    return arrived(name, says, tags, series, [base + jitter_ms + shake() for _ in range(count)], rng)


def recorded(copies: int) -> Narrow:
    """Real series: the recordings of the test kit, a row a second. Each copy begins elsewhere and has its own gain, as another
    sensor would, so that no copy repeats the bytes of another."""
    rng = np.random.default_rng([SEED, copies])
    names, series = [], []
    for path in sorted(RECORDINGS.glob("*.csv")):
        with path.open() as file:
            head, *rows = list(csv.reader(file))
        for column in range(1, len(head)):
            texts = [row[column] for row in rows if row[column]]
            numbers = np.array(texts, dtype=np.float64)
            decimals = max(len(text.partition(".")[2]) for text in texts)
            for copy in range(copies):
                gain = 1 + copy / 500 if decimals else 1
                names.append(f"{path.stem}-{head[column]}-{copy}".replace("_", "-"))
                series.append(np.round(np.roll(numbers, int(rng.integers(len(numbers)))) * gain, decimals))
    times = [START_MS + np.arange(len(s), dtype=np.int64) * 1000 for s in series]
    return arrived("R", f"recordings of machines and rooms, {len(names)} tags, a row a second", names, series, times, rng)


# ---- TSBS iot ----

TRUCK_FIELDS = {"readings": ["latitude", "longitude", "elevation", "velocity", "heading", "grade", "fuel_consumption"], "diagnostics": ["fuel_state", "current_load", "status"]}
CAPACITIES = ["load_capacity", "fuel_capacity", "nominal_fuel_consumption"]
FLEETS = ["East", "West", "North", "South"]
DRIVERS = ["Derek", "Rodney", "Albert", "Andy", "Seth", "Trish"]
MODELS = {"F-150": (2000.0, 200.0, 15.0), "G-2000": (5000.0, 300.0, 19.0), "H-2": (1500.0, 150.0, 12.0)}
VERSIONS = ["v1.0", "v1.5", "v2.0", "v2.3"]
TICK_MS = 10_000
TRUCKS_START_MS = 1_451_606_400_000  # 2016-01-01T00:00:00Z


@dataclass
class Trucks:
    """TSBS iot. `rows[table]`: columns `truck`, `ts` and one for each field, null where it is missing."""

    name: str
    says: str
    trucks: pa.Table  # name, fleet, driver, model, device_version and the capacities
    rows: dict[str, pa.Table]
    order: np.ndarray  # arrival: row of readings, or -1 - row of diagnostics
    span: tuple[int, int]
    points: int = field(default=0)

    def __post_init__(self):
        fields = ((self.rows[table], name) for table, names in TRUCK_FIELDS.items() for name in names)
        self.points = sum(len(rows) - rows[name].null_count for rows, name in fields)

    def lines(self, prefix_of, with_capacities: bool):
        """Line protocol; `prefix_of(table)` gives what stands before the fields, one for each truck."""
        texts = {}
        for table, names in TRUCK_FIELDS.items():
            rows = self.rows[table]
            fields = []
            for name in names:
                digits = pc.cast(rows[name].combine_chunks(), pa.string())
                suffix = pa.scalar("i" if name == "status" else "")
                fields.append(pc.binary_join_element_wise(pa.scalar(f"{name}="), digits, suffix, ""))
            if with_capacities:
                for name in CAPACITIES:
                    fact = pc.cast(self.trucks[name], pa.string()).combine_chunks().take(rows["truck"].combine_chunks())
                    fields.append(pc.binary_join_element_wise(pa.scalar(f"{name}="), fact, ""))
            joined = pc.binary_join_element_wise(*fields, ",", null_handling="skip")
            prefix = pa.array(prefix_of(table)).take(rows["truck"].combine_chunks())
            time = pc.cast(rows["ts"].combine_chunks().cast(pa.int64()), pa.string())
            texts[table] = pc.binary_join_element_wise(prefix, joined, pa.scalar(" "), time, pa.scalar("\n"), "")
        both = pa.concat_arrays([texts["readings"], texts["diagnostics"]])
        place = np.where(self.order >= 0, self.order, len(texts["readings"]) - 1 - self.order)
        for at in range(0, len(place), 1_000_000):
            yield batches(both.take(pa.array(place[at : at + 1_000_000])))


def walk(rng, step, low: float, high: float, start: np.ndarray, ticks: int) -> np.ndarray:
    """A clamped random walk for each truck: (trucks, ticks)."""
    state = np.array(start, dtype=np.float64)
    out = np.empty((len(state), ticks))
    for tick in range(ticks):
        state = np.clip(state + step(len(state)), low, high)
        out[:, tick] = state
    return out


def cut(values: np.ndarray, decimals: int) -> np.ndarray:
    return np.trunc(values * 10**decimals) / 10**decimals


def trucks(count: int, hours: float) -> Trucks:
    """As TSBS describes it, but for "one tag empty": what has no name has no place in some of the systems, and every query leaves
    it out."""
    rng = np.random.default_rng([SEED, count, int(hours * 3600)])
    ticks = int(hours * 3_600_000 // TICK_MS)
    models = rng.choice(list(MODELS), count)
    capacity = lambda at: [MODELS[model][at] for model in models]
    facts = pa.table(
        {
            "name": [f"truck_{n}" for n in range(count)],
            "fleet": rng.choice(FLEETS, count),
            "driver": rng.choice(DRIVERS, count),
            "model": models,
            "device_version": rng.choice(VERSIONS, count),
            **{name: capacity(at) for at, name in enumerate(CAPACITIES)},
        }
    )
    uniform = lambda low, high: lambda n: rng.uniform(low, high, n)
    zero = np.zeros(count)
    fields = {
        "latitude": cut(walk(rng, uniform(-0.005, 0.005), -90, 90, rng.uniform(0, 90, count), ticks), 5),
        "longitude": cut(walk(rng, uniform(-0.005, 0.005), -180, 180, rng.uniform(0, 180, count), ticks), 5),
        "elevation": cut(walk(rng, uniform(-10, 10), 0, 5000, rng.uniform(0, 500, count), ticks), 0),
        "velocity": cut(walk(rng, uniform(-10, 10), 0, 100, zero, ticks), 0),
        "heading": cut(walk(rng, uniform(-5, 5), 0, 360, rng.uniform(0, 360, count), ticks), 0),
        "grade": cut(walk(rng, uniform(-5, 5), 0, 100, zero, ticks), 0),
        "fuel_consumption": cut(walk(rng, uniform(-5, 5), 0, 50, zero + 25, ticks), 1),
        "fuel_state": fuel(rng, count, ticks),
        "current_load": load(rng, count, ticks),
        "status": cut(walk(rng, lambda n: rng.normal(0, 1, n), 0, 5, zero, ticks), 0),
    }
    # For each tick first the readings of every truck, then the diagnostics of every truck; then disorder.
    entries = np.arange(ticks * 2 * count)
    kept = disorder(entries, rng)
    tick, rest = np.divmod(kept, 2 * count)
    table, truck = np.divmod(rest, count)
    rows, order = {}, np.empty(len(kept), dtype=np.int64)
    for number, (name, names) in enumerate(TRUCK_FIELDS.items()):
        mine = np.flatnonzero(table == number)
        of, at = truck[mine], tick[mine]
        # One field of ten entries is empty.
        empty = np.where(rng.random(len(mine)) < 0.1, rng.integers(0, len(names), len(mine)), -1)
        columns = {"truck": pa.array(of.astype(np.int32)), "ts": pa.array(TRUCKS_START_MS + at * TICK_MS, pa.timestamp("ms"))}
        for place, column in enumerate(names):
            values = fields[column][of, at]
            kind = pa.int64() if column == "status" else pa.float64()
            columns[column] = pa.array(values.astype(np.int64) if column == "status" else values, kind, mask=empty == place)
        rows[name] = pa.table(columns)
        order[mine] = np.arange(len(mine)) if number == 0 else -1 - np.arange(len(mine))
    says = f"TSBS iot, {count} trucks x {hours:g} h at 10 s"
    return Trucks("T", says, facts, rows, order, (TRUCKS_START_MS, TRUCKS_START_MS + ticks * TICK_MS))


def fuel(rng, count: int, ticks: int) -> np.ndarray:
    state = np.ones(count)
    out = np.empty((count, ticks))
    for tick in range(ticks):
        state = np.clip(state + rng.uniform(-0.001, 0, count), 0, 1)
        out[:, tick] = state
        state = np.where(state <= 0, 1.0, state)
    return cut(out, 1)


def load(rng, count: int, ticks: int) -> np.ndarray:
    new = rng.random((count, ticks)) < 0.05
    new[:, 0] = True
    drawn = cut(rng.uniform(0, 5000, (count, ticks)), 0)
    last = np.maximum.accumulate(np.where(new, np.arange(ticks), 0), axis=1)
    return np.take_along_axis(drawn, last, axis=1)


def disorder(entries: np.ndarray, rng) -> np.ndarray:
    """Batches of ten: lost 0.01, held back 0.05 and put in again with 0.5; within them entries lost 0.1, held back 0.3, put in
    again with 0.5. What is left comes at the end."""
    out, held_batches, held = [], [], []
    count = -(-len(entries) // 10)
    of_batch, of_entry, again = rng.random(count), rng.random((count, 10)), rng.random((count, 10, 2))
    for number in range(count):
        if of_batch[number] < 0.01:
            continue
        batch = entries[number * 10 : number * 10 + 10].tolist()
        if of_batch[number] < 0.06:
            held_batches.append(batch)
            continue
        if held_batches and again[number, 0, 1] < 0.5:
            out.extend(held_batches.pop(0))
        for place, entry in enumerate(batch):
            luck = of_entry[number, place]
            if luck < 0.1:
                continue
            if luck < 0.4:
                held.append(entry)
                continue
            if held and again[number, place, 0] < 0.5:
                out.append(held.pop(0))
            out.append(entry)
    for batch in held_batches:
        out.extend(batch)
    out.extend(held)
    return np.array(out)


# ---- which ones ----

WEEK = 604_800
YEAR = 365 * 86_400


def make(name: str, quick: bool, options) -> Narrow | Trucks:
    """A set by its letter, in the standard or the quick size."""
    if name == "W":
        count, seconds = (2_000, 500) if quick else (10_000, 1_000)
        return regular("W", f"wide: {count:,} tags x {seconds:,} at 1 s", count, seconds)
    if name == "D":
        count = 2 if quick else 16
        return regular("D", f"deep: {count} tags x a week at 1 s", count, WEEK)
    if name == "J":
        count, seconds = (4, 86_400) if quick else (16, 2 * 86_400)
        return regular("J", f"{count} tags x {seconds // 86_400} day(s) at 1 s with ±20 ms of jitter", count, seconds, 20)
    if name == "R":
        return recorded(20 if quick else 120)
    if name == "Y":
        return regular("Y", "1 tag x a year at 1 s", 1, YEAR)
    if name == "T":
        return trucks(options.trucks or (20 if quick else 100), options.hours or (6 if quick else 12))
    raise SystemExit(f"there is no set {name!r}: W, D, J, R, T, Y")
