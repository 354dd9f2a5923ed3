"""What a process uses, what a folder takes, what the machine is, and how a list of times is told."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor seconds of a process, user and system, all threads, as /proc/PID/stat counts them."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def rss_peak_mib(pid: int) -> float:
    """The most memory that the process has had resident."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def settle(pid: int, quiet_s: float = 3, deadline_s: float = 90) -> bool:
    """Waits until the process uses less than a twentieth of a core for `quiet_s`; false if it did not within the deadline."""
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        before = cpu_s(pid)
        time.sleep(quiet_s)
        if cpu_s(pid) - before < quiet_s / 20:
            return True
    return False


def disk_bytes(folder: Path) -> int:
    """What the files below a folder take on the disk."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except FileNotFoundError:
                pass  # A server tidies up while we look.
    return total


def percentile(values: list[float], share: float) -> float:
    """The smallest value that at least `share` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-int(len(ordered) * share * 1000) // 1000) - 1)] if ordered else float("nan")


@dataclass
class Times:
    """Times of one query, warm, in ms."""

    best: float
    median: float
    worst: float
    n: int
    #: Processor time of the system that answers, for each question, in ms; the kernel counts in steps of 10 ms.
    cpu: float


def repeat(ask, n: int, budget_s: float, pid: int):
    """Asks once to warm up, then `n` times or until the budget is used (twice at least); returns the last answer and its times.
    `pid`: the process that answers."""
    began = time.perf_counter()
    answer = ask()
    took, before = [], cpu_s(pid)
    while len(took) < 2 or (len(took) < n and time.perf_counter() - began < budget_s):
        at = time.perf_counter()
        answer = ask()
        took.append(time.perf_counter() - at)
    cpu = (cpu_s(pid) - before) / len(took)
    took.sort()
    return answer, Times(took[0] * 1e3, took[len(took) // 2] * 1e3, took[-1] * 1e3, len(took), cpu * 1e3)


def machine(folder: Path) -> dict:
    """The machine and how busy it is. `syncs_per_s`: how often a second it makes 4 KiB durable in `folder`."""
    memory = next(line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal:"))
    models = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return {
        "cores": len(os.sched_getaffinity(0)),
        "cpu": models[0] if models else platform.machine(),
        "memory_gib": round(int(memory.split()[1]) / 2**20, 1),
        "kernel": platform.release(),
        "syncs_per_s": round(sync_rate(folder)),
        "load": [round(load, 1) for load in os.getloadavg()],
        "at": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }


def sync_rate(folder: Path, seconds: float = 1) -> float:
    path = folder / "sync-rate"
    block, count = os.urandom(4096), 0
    handle = os.open(path, os.O_CREAT | os.O_WRONLY, 0o600)
    try:
        end = (began := time.monotonic()) + seconds
        while time.monotonic() < end:
            os.pwrite(handle, block, count * 4096 % (1 << 24))
            os.fdatasync(handle)
            count += 1
        return count / (time.monotonic() - began)
    finally:
        os.close(handle)
        path.unlink()
