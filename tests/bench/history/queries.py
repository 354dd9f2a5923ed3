"""What is asked, and how each system says it.

Every question has a name, the set it is asked of, and for each system a way to ask. An answer is a list of rows: texts, times in ms and
numbers, in any order. What a system cannot say in one question of its own language is left out for it.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from datetime import datetime, timezone

import numpy as np
import pyarrow as pa

from servers import Andon, CannotSay, Influx, Victoria
from sets import Narrow, Trucks

MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000

# ---- dialects of SQL ----


def iso(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3]


@dataclass(frozen=True)
class Dialect:
    """The words in which the SQL of the systems differs."""

    at: object  # ms -> literal
    bucket: object  # (ms, column) -> expression
    last: object  # (value, time) -> aggregate
    lag: str = "lag"
    lead: str = "lead"
    epoch: object = staticmethod(lambda column: f"extract(epoch FROM {column})")


DIALECTS = {
    "DuckDB": Dialect(
        at=lambda ms: f"epoch_ms({ms})",
        bucket=lambda ms, ts: f"time_bucket(INTERVAL '{ms // 1000} seconds', {ts})",
        last=lambda value, ts: f"arg_max({value}, {ts})",
    ),
    "chdb": Dialect(
        at=lambda ms: f"fromUnixTimestamp64Milli({ms}, 'UTC')",
        bucket=lambda ms, ts: f"toDateTime64(toStartOfInterval({ts}, INTERVAL {ms // 1000} second), 3, 'UTC')",
        last=lambda value, ts: f"argMax({value}, {ts})",
        epoch=lambda column: f"toUnixTimestamp({column})",
    ),
    "DataFusion": Dialect(
        at=lambda ms: f"to_timestamp_millis({ms})",
        bucket=lambda ms, ts: f"date_bin(INTERVAL '{ms // 1000} seconds', {ts})",
        last=lambda value, ts: f"last_value({value} ORDER BY {ts})",
    ),
    "Andon": Dialect(
        at=lambda ms: f"'{iso(ms)}Z'",
        bucket=lambda ms, ts: f"time_bucket('{ms // 1000} seconds', {ts})",
        last=lambda value, ts: f"last_value({value} ORDER BY {ts})",
    ),
}


# ---- questions to narrow sets ----


@dataclass
class Question:
    says: str
    #: The sets it is asked of.
    sets: str
    #: Which columns of a row are compared; the others are only asked for.
    compare: tuple | None = None


def where(d: Dialect, span, tag: str | None = None, column: str = "tag") -> str:
    said = f"ts >= {d.at(span[0])} AND ts < {d.at(span[1])}"
    return f"{column} = '{tag}' AND {said}" if tag else said


class Ask:
    """One set in front of a system: its times and tags."""

    def __init__(self, data: Narrow):
        self.data = data
        self.span = data.span
        self.tag = data.tags[0]
        self.hour = (self.span[0] + DAY_MS, self.span[0] + DAY_MS + HOUR_MS)

    def told(self) -> dict:
        """What a process that does not have the data must know."""
        return {"span": self.span, "tag": self.tag, "hour": self.hour}

    @staticmethod
    def said(told: dict) -> "Ask":
        ask = Ask.__new__(Ask)
        ask.span, ask.tag, ask.hour = tuple(told["span"]), told["tag"], tuple(told["hour"])
        return ask

    def andon_path(self) -> str:
        return f"bench/u000/{self.tag}"


def narrow_sql(name: str, dialect: str, ask: Ask) -> str:
    d = DIALECTS[dialect]
    andon = dialect == "Andon"
    table, tag, v = ("samples", "path", "value") if andon else ("pv", "tag", "v")
    one = ask.andon_path() if andon else ask.tag
    if name == "last":
        if andon:
            return "SELECT path, ts, value FROM last_values"
        return f"SELECT tag, max(ts), {d.last('v', 'ts')} FROM pv GROUP BY tag"
    if name == "avg-1h":
        return f"SELECT avg({v}) FROM {table} WHERE {where(d, ask.hour, one, tag)}"
    if name == "week-minutes":
        return f"SELECT {d.bucket(MINUTE_MS, 'ts')} AS t, min({v}), max({v}), avg({v}) FROM {table} WHERE {where(d, ask.span, one, tag)} GROUP BY 1 ORDER BY 1"
    if name == "top-10":
        return f"SELECT {tag}, avg({v}) AS mean FROM {table} WHERE {where(d, ask.span)} GROUP BY {tag} ORDER BY mean DESC LIMIT 10"
    if name == "hourly":
        return f"SELECT {tag}, {d.bucket(HOUR_MS, 'ts')} AS t, avg({v}) FROM {table} WHERE {where(d, ask.span)} GROUP BY 1, 2"
    if name == "year-hours":
        return f"SELECT {d.bucket(HOUR_MS, 'ts')} AS t, avg({v}) FROM {table} WHERE {where(d, ask.span, one, tag)} GROUP BY 1 ORDER BY 1"
    raise KeyError(name)


def narrow_influx(name: str, ask: Ask):
    span = lambda s: f"time >= {s[0]}ms AND time < {s[1]}ms"
    of = f"\"tag\" = '{ask.tag}'"
    flat = lambda series: [[s["tags"]["tag"], *row] for s in series for row in s["values"]]
    times = lambda series: [row for s in series for row in s["values"]]
    return {
        "last": ('SELECT last(v) FROM pv GROUP BY "tag"', flat),
        "avg-1h": (f"SELECT mean(v) FROM pv WHERE {of} AND {span(ask.hour)}", lambda s: [row[1:] for row in times(s)]),
        "week-minutes": (f"SELECT min(v), max(v), mean(v) FROM pv WHERE {of} AND {span(ask.span)} GROUP BY time(1m)", times),
        "top-10": (f'SELECT top(mean, "tag", 10) FROM (SELECT mean(v) FROM pv WHERE {span(ask.span)} GROUP BY "tag")', lambda s: [[row[2], row[1]] for row in times(s)]),
        "hourly": (f'SELECT mean(v) FROM pv WHERE {span(ask.span)} GROUP BY time(1h), "tag"', flat),
        "year-hours": (f"SELECT mean(v) FROM pv WHERE {of} AND {span(ask.span)} GROUP BY time(1h)", times),
    }[name]


def narrow_victoria(name: str, ask: Ask, server: Victoria):
    """MetricsQL looks back from a time, and a window holds its end: 1 ms before the end of an interval it looks at just that interval."""
    end = ask.span[1] - 1
    one = f'pv_v{{tag="{ask.tag}"}}'
    label = lambda s: s["metric"]["tag"]
    now = lambda result: [[label(s), float(s["value"][1])] for s in result]
    back = lambda step: lambda t: round(t * 1000) - step + 1
    steps = lambda step, s: [(back(step)(t), float(v)) for t, v in s["values"]]

    def minutes(result):
        kinds = {s["metric"]["rollup"]: dict(steps(MINUTE_MS, s)) for s in result}
        return [[t, kinds["min"][t], kinds["max"][t], kinds["avg"][t]] for t in sorted(kinds["avg"])]

    hours = lambda q: server.range(q, ask.span[0] + HOUR_MS - 1, end, HOUR_MS)
    return {
        # The window must reach back to the last point of every tag.
        "last": (lambda: server.instant("last_over_time(pv_v[5m])", end), lambda r: [[tag, None, v] for tag, v in now(r)]),
        "avg-1h": (lambda: server.instant(f"avg_over_time({one}[1h])", ask.hour[1] - 1), lambda r: [[float(s["value"][1])] for s in r]),
        "week-minutes": (lambda: server.range(f"rollup({one}[1m])", ask.span[0] + MINUTE_MS - 1, end, MINUTE_MS), minutes),
        "top-10": (lambda: server.instant(f"topk(10, avg_over_time(pv_v[{(ask.span[1] - ask.span[0]) // 1000}s]))", end), now),
        "hourly": (lambda: hours("avg_over_time(pv_v[1h])"), lambda r: [[label(s), t, v] for s in r for t, v in steps(HOUR_MS, s)]),
        "year-hours": (lambda: hours(f"avg_over_time({one}[1h])"), lambda r: [[t, v] for s in r for t, v in steps(HOUR_MS, s)]),
    }[name]


def narrow_api(name: str, ask: Ask, server: Andon):
    """Andon's aggregates of OPC UA Part 13."""
    import json

    path = ask.andon_path()
    one = lambda kind, span, step=0: server.aggregate(path, kind, span[0], span[1], step)
    values = lambda answer: [[row[0], row[1]] for row in json.loads(answer)["values"]]
    if name == "avg-1h":
        return lambda: one("Average", ask.hour), lambda answer: [row[1:] for row in values(answer)]
    if name == "week-minutes":

        def three(answer):
            columns = [series["values"] for series in json.loads(answer)["series"]]
            return [[a[0], a[1], b[1], c[1]] for a, b, c in zip(*columns)]

        return lambda: server.aggregates(path, ["Minimum", "Maximum", "Average"], *ask.span, MINUTE_MS), three
    if name == "year-hours":
        return lambda: one("Average", ask.span, HOUR_MS), values
    raise CannotSay


def polars_frame(name: str, ask: Ask):
    """A lazy frame's answer; the frame `pv` is scanned from Parquet."""

    def run(pv):
        import polars as pl

        at = lambda ms: pl.lit(datetime.fromtimestamp(ms / 1000, timezone.utc).replace(tzinfo=None)).cast(pl.Datetime("ms"))
        within = lambda span: (pl.col("ts") >= at(span[0])) & (pl.col("ts") < at(span[1]))
        one = pl.col("tag") == ask.tag
        v = pl.col("v")
        if name == "last":
            return pv.group_by("tag").agg(pl.col("ts").max().alias("at"), v.sort_by("ts").last())
        if name == "avg-1h":
            return pv.filter(one & within(ask.hour)).select(v.mean())
        if name == "top-10":
            return pv.filter(within(ask.span)).group_by("tag").agg(v.mean()).sort("v", descending=True).head(10)
        if name == "hourly":
            return pv.filter(within(ask.span)).group_by("tag", pl.col("ts").dt.truncate("1h")).agg(v.mean())
        width, of = ("1m", [v.min().alias("low"), v.max().alias("high"), v.mean().alias("mean")]) if name == "week-minutes" else ("1h", [v.mean()])
        return pv.filter(one & within(ask.span)).group_by(pl.col("ts").dt.truncate(width)).agg(*of).sort("ts")

    return run


# -- the right answers --


class Sorted:
    """A narrow set by tag and time, with the means of stretches."""

    def __init__(self, data: Narrow):
        order = np.lexsort((data.ts, data.tag))
        self.tag, self.ts, self.value = data.tag[order], data.ts[order], data.value[order]
        self.starts = np.searchsorted(self.tag, np.arange(len(data.tags) + 1))

    def stretch(self, tag: int, span) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.starts[tag], self.starts[tag + 1]
        ts = self.ts[a:b]
        low, high = np.searchsorted(ts, span[0]), np.searchsorted(ts, span[1])
        return ts[low:high], self.value[a + low : a + high]

    def buckets(self, tag: int, span, width: int):
        ts, value = self.stretch(tag, span)
        numbers = ts // width
        at = np.flatnonzero(np.diff(numbers, prepend=numbers[0] - 1))
        counts = np.diff(np.append(at, len(ts)))
        return numbers[at] * width, np.minimum.reduceat(value, at), np.maximum.reduceat(value, at), np.add.reduceat(value, at) / counts


def narrow_truth(name: str, ask: Ask, data: Sorted) -> list:
    names = ask.data.tags
    if name == "last":
        ends = data.starts[1:] - 1
        return [[names[n], int(data.ts[end]), float(data.value[end])] for n, end in enumerate(ends)]
    if name == "avg-1h":
        return [[float(data.stretch(0, ask.hour)[1].mean())]]
    if name == "week-minutes":
        return [[int(t), *map(float, row)] for t, *row in zip(*data.buckets(0, ask.span, MINUTE_MS))]
    if name == "year-hours":
        times, _, _, means = data.buckets(0, ask.span, HOUR_MS)
        return [[int(t), float(m)] for t, m in zip(times, means)]
    if name == "top-10":
        means = [(float(data.value[a:b].mean()), n) for n, (a, b) in enumerate(zip(data.starts, data.starts[1:]))]
        return [[names[n], mean] for mean, n in sorted(means, reverse=True)[:10]]
    rows = []
    for n in range(len(names)):
        times, _, _, means = data.buckets(n, ask.span, HOUR_MS)
        rows += [[names[n], int(t), float(m)] for t, m in zip(times, means)]
    return rows


NARROW = {
    "last": Question("last value of all tags", "W", compare=(0, 2)),
    "avg-1h": Question("average of 1 h of one tag", "D"),
    "week-minutes": Question("a week of one tag by minute: min, max, mean", "D"),
    "top-10": Question("the 10 tags with the highest average", "WD"),
    "hourly": Question("hourly averages of all tags", "D"),
    "year-hours": Question("a year of one tag by hour", "Y"),
}


# ---- TSBS iot ----


@dataclass
class Drawn:
    """What TSBS draws for its questions: a fleet, a truck and windows, here once and on whole ten minutes."""

    fleet: str
    truck: str
    span: tuple[int, int]
    short: tuple[int, int]
    long: tuple[int, int]
    day: tuple[int, int]

    @staticmethod
    def of(data: Trucks) -> "Drawn":
        rng = np.random.default_rng(data.trucks.num_rows)
        first, last = data.span

        def window(width: int) -> tuple[int, int]:
            width = min(width, last - first)
            start = first + int(rng.integers(0, (last - first - width) // 600_000 + 1)) * 600_000
            return start, start + width

        facts = data.trucks.to_pylist()
        some = facts[int(rng.integers(len(facts)))]
        return Drawn(some["fleet"], some["name"], data.span, window(600_000), window(4 * HOUR_MS), window(DAY_MS))


TRUCKS = {
    "last-loc": "last place of each truck of a fleet",
    "single-last-loc": "last place of one truck",
    "low-fuel": "trucks of a fleet with little fuel",
    "high-load": "trucks of a fleet that are nearly full",
    "stationary-trucks": "trucks of a fleet that stood for 10 min",
    "long-driving-sessions": "drove more than 220 min of 4 h",
    "long-daily-sessions": "drove more than 10 h of a day",
    "avg-vs-projected-fuel-consumption": "fuel used and expected, by fleet",
    "avg-daily-driving-duration": "hours driven a day, by driver",
    "avg-daily-driving-session": "length of a drive, by truck and day",
    "avg-load": "average load by fleet and model",
    "daily-activity": "active hours by fleet, model and day",
    "breakdown-frequency": "breakdowns by model",
}


def trucks_sql(name: str, dialect: str, q: Drawn) -> str:
    """For tables `trucks`, `readings`, `diagnostics`; and for Andon, where each field is a tag and a truck's facts are tags too."""
    d = DIALECTS[dialect]
    andon = dialect == "Andon"
    ten = lambda: d.bucket(600_000, "ts")
    day = lambda column: d.bucket(DAY_MS, column)
    if andon:
        # Text over paths is for few rows: samples are grouped by their path, and its parts are taken afterwards.
        truck = "split_part(path, '/', 3)"
        of = lambda what, fleet=None: f"path LIKE 'bench/{fleet or '%'}/%/{what}'"
        # What stands about a truck in a table elsewhere stands here in tags of its own, side by side.
        now = lambda trucks, *tags: f"last_side_by_side('{trucks}', {', '.join(map(repr, tags))})"
        facts = (
            "SELECT split_part(path, '/', 3) AS name, split_part(path, '/', 2) AS fleet, driver, model, load_capacity, nominal_fuel_consumption AS nominal, path "
            f"FROM {now('bench/%/%', 'driver', 'model', 'load_capacity', 'nominal_fuel_consumption')}"
        )
        v, within = "value", lambda what, span, fleet=None: f"{of(what, fleet)} AND {where(d, span)}"
        samples = lambda what, span, fleet=None: f"samples WHERE {within(what, span, fleet)}"
        key = "path"
    else:
        facts = "SELECT name, fleet, driver, model, load_capacity, nominal_fuel_consumption AS nominal FROM trucks"
        truck, key = "name", "name"
        table = lambda what: "diagnostics" if what in ("fuel_state", "current_load", "status") else "readings"

        def samples(what, span, fleet=None):
            mine = f" AND name IN (SELECT name FROM trucks WHERE fleet = '{fleet}')" if fleet else ""
            return f"{table(what)} WHERE {what} IS NOT NULL AND {where(d, span)}{mine}"

    value = lambda what: "value" if andon else what
    mean = lambda what: f"avg({value(what)})"
    named = f"{truck} AS name"
    # A ten-minute mean of each truck.
    tens = lambda what, span, fleet=None, of="{mean} AS m": (
        f"SELECT {key}, {ten()} AS t, {of.format(mean=mean(what), value=value(what))} FROM {samples(what, span, fleet)} GROUP BY 1, 2"
    )

    if name in ("last-loc", "single-last-loc"):
        only = f"name = '{q.truck}'" if name == "single-last-loc" else f"fleet = '{q.fleet}'"
        if andon:
            mine = f"bench/%/{q.truck}" if name == "single-last-loc" else f"bench/{q.fleet}/%"
            return f"SELECT {named}, driver, longitude, latitude FROM {now(mine, 'driver', 'longitude', 'latitude')}"
        last = lambda what: f"(SELECT name, {d.last(what, 'ts')} AS v FROM readings WHERE {what} IS NOT NULL AND name IN (SELECT name FROM trucks WHERE {only}) GROUP BY name)"
        return f"SELECT f.name, f.driver, a.v, b.v FROM trucks f JOIN {last('longitude')} a ON a.name = f.name JOIN {last('latitude')} b ON b.name = f.name WHERE f.{only}"
    if name == "low-fuel":
        if andon:
            return f"SELECT {named}, driver, fuel_state FROM {now(f'bench/{q.fleet}/%', 'driver', 'fuel_state')} WHERE fuel_state < 0.1"
        return f"SELECT f.name, f.driver, a.fuel FROM trucks f JOIN (SELECT name, {d.last('fuel_state', 'ts')} AS fuel FROM {samples('fuel_state', q.span, q.fleet)} GROUP BY name) a ON a.name = f.name WHERE a.fuel < 0.1"
    if name == "high-load":
        if andon:
            return f"SELECT {named}, driver, current_load / load_capacity FROM {now(f'bench/{q.fleet}/%', 'driver', 'current_load', 'load_capacity')} WHERE current_load / load_capacity > 0.9"
        return f"SELECT f.name, f.driver, a.l / f.load_capacity FROM trucks f JOIN (SELECT name, {d.last('current_load', 'ts')} AS l FROM {samples('current_load', q.span, q.fleet)} GROUP BY name) a ON a.name = f.name WHERE a.l / f.load_capacity > 0.9"
    if name == "stationary-trucks":
        return f"SELECT f.name, f.driver FROM ({facts}) f JOIN (SELECT {named} FROM (SELECT {key}, {mean('velocity')} AS m FROM {samples('velocity', q.short, q.fleet)} GROUP BY {key}) x WHERE m < 1) a ON a.name = f.name"
    if name in ("long-driving-sessions", "long-daily-sessions"):
        span, more = (q.long, 22) if name == "long-driving-sessions" else (q.day, 60)
        long = f"SELECT {named} FROM ({tens('velocity', span, q.fleet)}) x WHERE m > 1 GROUP BY 1 HAVING count(*) > {more}"
        return f"SELECT f.name, f.driver FROM ({facts}) f JOIN ({long}) a ON a.name = f.name"
    if name == "avg-vs-projected-fuel-consumption":
        if andon:
            return (
                "WITH driving AS (SELECT path, sum(fuel_consumption) AS used, count(fuel_consumption) AS n, count(*) AS rows "
                f"FROM side_by_side('bench/%/%', {d.at(q.span[0])}, {d.at(q.span[1])}, 'velocity', 'fuel_consumption') WHERE velocity > 1 GROUP BY path) "
                f"SELECT f.fleet, sum(d.used) / sum(d.n), sum(f.nominal * d.rows) / sum(d.rows) FROM driving d JOIN ({facts}) f ON f.path = d.path GROUP BY f.fleet"
            )
        return f"SELECT f.fleet, avg(r.fuel_consumption), avg(f.nominal) FROM readings r JOIN ({facts}) f ON f.name = r.name WHERE r.velocity > 1 GROUP BY f.fleet"
    if name == "avg-daily-driving-duration":
        days = f"SELECT {key}, {day('t')} AS d, count(*) / 6.0 AS hours FROM ({tens('velocity', q.span)}) x WHERE m > 1 GROUP BY 1, 2"
        return f"SELECT f.fleet, f.name, f.driver, avg(a.hours) FROM ({facts}) f JOIN (SELECT {named}, hours FROM ({days}) y) a ON a.name = f.name GROUP BY 1, 2, 3"
    if name == "avg-daily-driving-session":
        state = f"SELECT {named}, t, m > 5 AS driving FROM ({tens('velocity', q.span)}) x"
        over = "OVER (PARTITION BY name ORDER BY t)"
        return (
            f"SELECT name, {day('begun')} AS d, avg({d.epoch('ended')} - {d.epoch('begun')}) FROM (SELECT name, t AS begun, {d.lead}(t) {over} AS ended, driving FROM "
            f"(SELECT name, t, driving, {d.lag}(driving) {over} AS before, row_number() {over} AS n FROM ({state}) s) c WHERE n > 1 AND driving <> before) e "
            f"WHERE driving AND ended > begun GROUP BY 1, 2"
        )
    if name == "avg-load":
        each = f"SELECT {named}, m FROM (SELECT {key}, {mean('current_load')} AS m FROM {samples('current_load', q.span)} GROUP BY {key}) x"
        return f"SELECT f.fleet, f.model, avg(a.m / f.load_capacity) FROM ({facts}) f JOIN ({each}) a ON a.name = f.name GROUP BY 1, 2"
    if name == "daily-activity":
        counted = tens("status", q.span, of="{mean} AS m, count({value}) AS n")
        return f"SELECT f.fleet, f.model, {day('a.t')} AS d, sum(a.n) / 144.0 FROM ({facts}) f JOIN (SELECT {named}, t, n FROM ({counted}) x WHERE m < 1) a ON a.name = f.name GROUP BY 1, 2, 3"
    if name == "breakdown-frequency":
        share = tens("status", q.span, of="avg(CASE WHEN {value} = 0 THEN 1.0 ELSE 0.0 END) AS m")
        over = "OVER (PARTITION BY name ORDER BY t)"
        return (
            f"SELECT f.model, count(*) FROM ({facts}) f JOIN (SELECT name, broken, {d.lag}(broken) {over} AS before, row_number() {over} AS n FROM "
            f"(SELECT {named}, t, m >= 0.5 AS broken FROM ({share}) x) s) c ON c.name = f.name WHERE n > 1 AND c.broken AND NOT c.before GROUP BY 1"
        )
    raise KeyError(name)


def trucks_influx(name: str, q: Drawn):
    span = lambda s: f"time >= {s[0]}ms AND time < {s[1]}ms"
    fleet = f"\"fleet\" = '{q.fleet}'"
    tags = lambda *names: lambda series: [[*(s["tags"][n] for n in names), *row[1:]] for s in series for row in s["values"]]
    who = '"name", "driver"'
    driving = lambda s, more: (
        f"SELECT n FROM (SELECT count(m) AS n FROM (SELECT mean(velocity) AS m FROM readings WHERE {fleet} AND {span(s)} GROUP BY time(10m), {who}) WHERE m > 1 GROUP BY {who}) WHERE n > {more} GROUP BY {who}"
    )
    only = lambda *names: lambda series: [[s["tags"][n] for n in names] for s in series]
    table = {
        "last-loc": (f"SELECT last(longitude), last(latitude) FROM readings WHERE {fleet} GROUP BY {who}", tags("name", "driver")),
        "single-last-loc": (f"SELECT last(longitude), last(latitude) FROM readings WHERE \"name\" = '{q.truck}' GROUP BY {who}", tags("name", "driver")),
        "low-fuel": (f"SELECT f FROM (SELECT last(fuel_state) AS f FROM \"diagnostics\" WHERE {fleet} GROUP BY {who}) WHERE f < 0.1 GROUP BY {who}", tags("name", "driver")),
        "high-load": (f"SELECT l FROM (SELECT last(current_load) / last(load_capacity) AS l FROM \"diagnostics\" WHERE {fleet} GROUP BY {who}) WHERE l > 0.9 GROUP BY {who}", tags("name", "driver")),
        "stationary-trucks": (f"SELECT m FROM (SELECT mean(velocity) AS m FROM readings WHERE {fleet} AND {span(q.short)} GROUP BY {who}) WHERE m < 1 GROUP BY {who}", only("name", "driver")),
        "long-driving-sessions": (driving(q.long, 22), only("name", "driver")),
        "long-daily-sessions": (driving(q.day, 60), only("name", "driver")),
        "avg-vs-projected-fuel-consumption": ('SELECT mean(fuel_consumption), mean(nominal_fuel_consumption) FROM readings WHERE velocity > 1 GROUP BY "fleet"', tags("fleet")),
        "avg-daily-driving-duration": (
            f'SELECT mean(h) FROM (SELECT count(m) / 6.0 AS h FROM (SELECT mean(velocity) AS m FROM readings WHERE {span(q.span)} GROUP BY time(10m), "fleet", {who}) WHERE m > 1 AND {span(q.span)} GROUP BY time(1d), "fleet", {who}) GROUP BY "fleet", {who}',
            tags("fleet", "name", "driver"),
        ),
        "avg-load": (f'SELECT mean(l) FROM (SELECT mean(current_load) / mean(load_capacity) AS l FROM "diagnostics" WHERE {span(q.span)} GROUP BY "name", "fleet", "model") GROUP BY "fleet", "model"', tags("fleet", "model")),
    }
    if name not in table:
        raise CannotSay
    return table[name]


def trucks_victoria(name: str, q: Drawn, server: Victoria):
    end = q.span[1] - 1
    length = lambda span: f"{(span[1] - span[0]) // 1000}s"
    all_time = length(q.span)
    of = lambda metric, fleet=True: metric + (f'{{fleet="{q.fleet}"}}' if fleet else "")
    labels = lambda *names: lambda result: [[*(s["metric"][n] for n in names), float(s["value"][1])] for s in result]
    only = lambda *names: lambda result: [[s["metric"][n] for n in names] for s in result]
    now = lambda query, read, at=end: (lambda: server.instant(query, at), read)
    driving = lambda span, more: now(f"count_over_time((avg_over_time({of('readings_velocity')}[10m]) > 1)[{length(span)}:10m]) > {more}", only("name", "driver"), span[1] - 1)

    def places(result):
        found = {}
        for s in result:
            m = s["metric"]
            found.setdefault((m["name"], m["driver"]), {})[m["__name__"]] = float(s["value"][1])
        return [[*who, at["readings_longitude"], at["readings_latitude"]] for who, at in found.items()]

    place = lambda label: now(f'last_over_time({{__name__=~"readings_(longitude|latitude)", {label}}}[{all_time}]) keep_metric_names', places)
    table = {
        "last-loc": lambda: place(f'fleet="{q.fleet}"'),
        "single-last-loc": lambda: place(f'name="{q.truck}"'),
        "low-fuel": lambda: now(f"last_over_time({of('diagnostics_fuel_state')}[{all_time}]) < 0.1", labels("name", "driver")),
        "high-load": lambda: now(f"last_over_time({of('diagnostics_current_load')}[{all_time}]) / last_over_time({of('diagnostics_load_capacity')}[{all_time}]) > 0.9", labels("name", "driver")),
        "stationary-trucks": lambda: now(f"avg_over_time({of('readings_velocity')}[10m]) < 1", only("name", "driver"), q.short[1] - 1),
        "long-driving-sessions": lambda: driving(q.long, 22),
        "long-daily-sessions": lambda: driving(q.day, 60),
        "avg-load": lambda: now(f"avg(avg_over_time(diagnostics_current_load[{all_time}]) / avg_over_time(diagnostics_load_capacity[{all_time}])) by (fleet, model)", labels("fleet", "model")),
    }
    if name not in table:
        raise CannotSay
    return table[name]()


# ---- answers in rows ----


def rows_of_table(table: pa.Table) -> list:
    """Rows of an Arrow table; times as ms."""
    columns = []
    for column in table.columns:
        kind = column.type
        if pa.types.is_timestamp(kind):
            column = column.cast(pa.timestamp("ms", kind.tz), safe=False).cast(pa.int64())
        elif pa.types.is_dictionary(kind):
            column = column.cast(kind.value_type)
        values = column.to_pylist()
        columns.append([float(v) if not isinstance(v, (str, int, float, type(None))) else v for v in values])
    return [list(row) for row in zip(*columns)]


def rows_of_arrow(stream: bytes) -> list:
    if stream[:6] == b"ARROW1":
        return rows_of_table(pa.ipc.open_file(io.BytesIO(stream)).read_all())
    return rows_of_table(pa.ipc.open_stream(io.BytesIO(stream)).read_all())


def rows_of_wire(result) -> list:
    """Rows of a PostgreSQL answer in text."""
    readers = []
    for column in range(result.nfields):
        oid = result.ftype(column)
        if oid in (1114, 1184):
            readers.append(lambda text: round(datetime.fromisoformat(text).replace(tzinfo=timezone.utc).timestamp() * 1000))
        elif oid in (20, 21, 23, 700, 701, 1700):
            readers.append(float)
        else:
            readers.append(str)
    value = lambda row, column: result.get_value(row, column)
    return [
        [None if (raw := value(row, column)) is None else read(raw.decode()) for column, read in enumerate(readers)]
        for row in range(result.ntuples)
    ]


def short_names(rows: list) -> list:
    """Andon's paths by their last part, as the tags are called elsewhere."""
    return [[cell.rpartition("/")[2] if isinstance(cell, str) else cell for cell in row] for row in rows]
