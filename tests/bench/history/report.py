"""Figures as tables in Markdown."""

from __future__ import annotations

from pathlib import Path

BEGIN = "<!-- beside others: begin; made by tests/bench/history.sh --docs -->"
END = "<!-- beside others: end -->"
ORDER = ["Andon SQL", "Andon SQL, all rows", "Andon HTTP SQL", "Andon API", "InfluxDB", "VictoriaMetrics", "DuckDB", "chdb", "DataFusion", "Polars"]


def number(value: float) -> str:
    """Three digits, which is more than such a measurement means."""
    if value >= 99.5:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 9.95 else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    return ["| " + " | ".join(head) + " |", "| " + " | ".join("---" for _ in head) + " |", *("| " + " | ".join(row) + " |" for row in rows)]


def beside(value: float | None, base: float | None, unit: str = "") -> str:
    """A figure and its ratio to Andon's."""
    if value is None:
        return "–"
    told = number(value) + unit
    return f"{told} (×{number(value / base)})" if base else told


def loads(out: dict) -> list[str]:
    lines = []
    for letter, about in out["sets"].items():
        mine = [load for load in out["loads"] if load["set"] == letter and "failed" not in load]
        base = next((load for load in mine if load["system"] == "Andon"), {})
        rows = []
        for load in mine:
            ratio = lambda key, scale=1.0: beside(load[key] / scale if load.get(key) else None, base[key] / scale if base.get(key) else None)
            both = lambda key: f"{number(load[key]['p50'])} / {number(load[key]['p99'])}" if load.get(key) else "–"
            size = ratio("bytes_per_point")
            if load.get("bytes_per_point") and load["disk_points"] < load["points"]:
                size += f" of {load['disk_points'] / load['points']:.0%}"
            if load.get("bytes_parts"):
                size += "<br>" + ", ".join(f"{number(part)} {name}" for name, part in load["bytes_parts"].items())
            settled = "" if load.get("settled", True) else " (still busy)"
            rows.append([load["system"], load["durable"] or "not stored", ratio("points_per_cpu_s", 1e6) + settled, ratio("points_per_s", 1e6), both("ack_ms"), both("ack_half_ms"), size, f"{load['rss_peak_mib']:,.0f}"])
        if rows:
            late = "" if letter == "T" else ", 5 % late"
            lines += ["", f"**{letter}**: {about['says']}; {about['points'] / 1e6:.1f} million points{late}.", ""]
            lines += table(["", "durable", "M points/CPU s", "M points/s", "batch p50 / p99, ms", "at half the rate", "bytes a point", "peak MiB"], rows)
    return lines


def questions(out: dict) -> list[str]:
    seen = {system for question in out["questions"] for system in question["times_ms"]}
    systems = [system for system in ORDER if system in seen]
    rows = []
    for question in out["questions"]:
        times = question["times_ms"]
        base = times.get("Andon SQL", {}).get("median")
        cells = []
        for system in systems:
            if system in times:
                t = times[system]
                cpu = f"<br>{number(t['cpu'])} CPU" if t["cpu"] >= 5 else ""
                cells.append(f"{beside(t['median'], base if system != 'Andon SQL' else None)}<br>{number(t['best'])}–{number(t['worst'])}{cpu}")
            else:
                cells.append("differs" if system in question["not_shown"] else "–")
        rows.append([f"{question['set']}: {question['says']}", *cells])
    return table(["ms", *systems], rows) if rows else []


def markdown(out: dict) -> str:
    machine = out["machine"]
    versions = {}
    for load in out["loads"]:
        if "version" in load:
            versions[load["system"]] = load["version"]
    build = f" ({out['profile']} build)" if out["profile"] else ""
    lines = [
        ("Smaller sets (`--quick`). " if out["quick"] else "") + f"{machine['at']}; {machine['cores']} cores ({machine['cpu']}), {machine['memory_gib']} GiB, Linux {machine['kernel']}, a disk with {machine['syncs_per_s']:,} synced 4 KiB writes a second; "
        f"load average {machine['load'][0]} before and {machine['load_at_end'][0]} after. {out['connections']} connections load, batches of 5,000 lines; `{out['write_path']}`.",
        "",
        "Versions: " + ", ".join(f"{system} {version}" + (build if system == "Andon" else "") for system, version in versions.items()) + ".",
    ]
    for system, why in out["skipped"].items():
        lines.append(f"Skipped: {system}, {why}.")
    for load in out["loads"]:
        if "failed" in load:
            lines.append(f"Failed: {load['system']} on {load['set']}: {load['failed'].splitlines()[0]}.")
    how = (
        "Median in ms and how many times that of Andon's SQL it is; below it best and worst, and the processor time of the system that answers, where it can be told. "
        "`–`: the system cannot say it in one question, or was not asked. `differs`: its answer was another one."
    )
    lines += ["", "### Taking in", *loads(out), "", "### Answering", "", how, "", *questions(out)]
    return "\n".join(lines) + "\n"


def put_into(path: Path, text: str) -> None:
    """Replaces what stands between the markers."""
    old = path.read_text()
    before, begin, rest = old.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{path} has no markers {BEGIN!r} and {END!r}")
    path.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}")
