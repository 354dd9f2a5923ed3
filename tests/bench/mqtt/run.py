"""Andon's broker beside Mosquitto and rumqttd: the same load from the same generator, one server after the other, in one run."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "e2e"))
import harness  # noqa: E402

#: name, workload, settings, what is told of it, and what goes on beside it
WORKLOADS = [
    ("point to point, QoS 0", "pairs", "n=10 qos=0 window=200", "rate"),
    ("point to point, QoS 1", "pairs", "n=10 qos=1 window=100", "rate"),
    ("fan-in 50 to 1, QoS 1", "in", "n=50 qos=1 window=10", "rate"),
    ("fan-out 1 to 100, QoS 0", "out", "n=100 qos=0 window=50", "rate"),
    ("10,000 filters with wildcards, QoS 0", "filters", "n=10000 qos=0 window=200", "rate"),
    ("QoS 1 to a session that is away, 50 x 20 under way", "away", "n=50 window=20", "acked"),
    ("acknowledgement at 5,000 a second, QoS 1", "acks", "rate=5000", "waits"),
    ("acknowledgement at 100 a second beside a flood, QoS 1", "acks", "rate=100", "waits", ("in", "n=20 qos=1 window=200")),
    ("50,000 retained messages to one subscriber", "retained", "n=50000 window=500", "time"),
    ("10,000 a second, QoS 1, to one subscriber", "stalled", "n=0 qos=1 rate=10000 fill=100000", "stalled"),
    ("the same beside 100 that do not read, QoS 1", "stalled", "n=100 qos=1 rate=10000 fill=100000", "stalled"),
    ("the same beside 100 that do not read, QoS 0", "stalled", "n=100 qos=0 rate=10000 fill=100000", "stalled"),
    ("the same while the buffers of these fill, QoS 1", "stalled", "n=100 qos=1 rate=10000", "stalled"),
    ("the same while the buffers of these fill, QoS 0", "stalled", "n=100 qos=0 rate=10000", "stalled"),
    ("connections", "connects", "n=15000 window=50", "connects"),
]

def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Andon:
    name = "Andon"

    def __init__(self, folder: Path):
        extra = "[limits]\nmqtt_connections = 30000\nmqtt_connections_per_address = 30000\n"
        self.node = harness.Node(folder=folder, extra=extra).start()
        self.address = "{}:{}".format(*self.node.mqtt)
        self.pids = [self.node.process.pid]

    @staticmethod
    def missing() -> str | None:
        try:
            harness.binary()
        except AssertionError as error:
            return str(error)
        return None

    def close(self) -> None:
        self.node.close()


class Process:
    """A server that is one process."""

    def start(self, folder: Path, command: list, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.log = (folder / "log").open("ab")
        self.process = harness.spawn(command, stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL, cwd=folder)
        self.pids = [self.process.pid]
        harness.wait_until(f"{self.name} listens", self.listens)

    def listens(self) -> bool:
        assert self.process.poll() is None, f"{self.name} ended: {Path(self.log.name).read_text()[-2000:]}"
        host, _, port = self.address.rpartition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def close(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.log.close()


class Mosquitto(Process):
    """As it comes, with its store switched on as in Debian."""

    name = "Mosquitto"

    def __init__(self, folder: Path):
        port = free_port()
        config = folder / "mosquitto.conf"
        config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence true\npersistence_location {folder}/\nuser root\n")
        self.start(folder, [shutil.which("mosquitto"), "-c", config], port)

    @staticmethod
    def missing() -> str | None:
        return None if shutil.which("mosquitto") else "mosquitto is not installed"


class Rumqttd(Process):
    """The configuration that its crate brings, with one listener."""

    name = "rumqttd"

    def __init__(self, folder: Path):
        port = free_port()
        config = folder / "rumqttd.toml"
        config.write_text(
            "id = 0\n[router]\nid = 0\nmax_connections = 30010\nmax_outgoing_packet_count = 200\nmax_segment_size = 104857600\nmax_segment_count = 10\n"
            f'[v4.1]\nname = "v4-1"\nlisten = "127.0.0.1:{port}"\nnext_connection_delay_ms = 1\n'
            "[v4.1.connections]\nconnection_timeout_ms = 60000\nmax_payload_size = 20480\nmax_inflight_count = 100\ndynamic_filters = true\n"
        )
        self.start(folder, [self.binary(), "-c", config], port)

    @staticmethod
    def binary() -> str | None:
        given = os.environ.get("ANDON_RUMQTTD")
        return given if given and Path(given).exists() else None

    @staticmethod
    def missing() -> str | None:
        return None if Rumqttd.binary() else "rumqttd is not built"


SYSTEMS = [Andon, Mosquitto, Rumqttd]


def command(server, workload: str, settings: str, seconds: float) -> list[str]:
    return [os.environ["ANDON_MQTT_LOAD"], server.address, workload, *settings.split(), f"seconds={seconds}"]


def load(server, workload: str, settings: str, seconds: float, beside: tuple[str, str] | None = None) -> dict | None:
    pids = [f"pid={pid}" for pid in server.pids]
    flood = None
    if beside:
        flood = harness.spawn(command(server, *beside, seconds + 2), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1)
    try:
        done = harness.run([*command(server, workload, settings, seconds), *pids], deadline=180)
    finally:
        if flood:
            flood.kill()
            flood.wait()
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"code {done.returncode}"}
    return json.loads(done.stdout)


def told(kind: str, result: dict | None) -> str:
    if result is None or "error" in result:
        return "failed: " + (result or {}).get("error", "?")
    cpu = max(result["cpu_s"], 0.01)
    if kind == "rate":
        return f"{result['delivered'] / cpu / 1000:,.0f} k/CPU s ({result['delivered'] / result['seconds'] / 1000:,.0f} k/s)"
    if kind == "acked":
        return f"{result['acknowledged'] / result['seconds'] / 1000:,.1f} k/s ({result['acknowledged'] / cpu / 1000:,.0f} k/CPU s)"
    if kind == "waits":
        return f"p50 {result['p50_ms']:.1f}, p99 {result['p99_ms']:.1f} ms"
    if kind == "stalled":
        return f"p50 {result['p50_ms']:.1f}, p99 {result['p99_ms']:.1f} ms, {result['kib_each']:,.0f} KiB each"
    if kind == "time":
        return f"{result['seconds'] * 1000:,.0f} ms for {result['delivered']:,}"
    return f"{result['connections'] / result['seconds']:,.0f}/s ({result['connections'] / cpu:,.0f}/CPU s), {result['bytes_each']:,.0f} B each, of which {result['own_bytes_each']:,.0f} not pages of files"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--systems", default="Andon,Mosquitto,rumqttd", help="which, with commas")
    parser.add_argument("--only", default="", help="words of which one must be in the name of a workload, with commas")
    parser.add_argument("--seconds", type=float, default=5, help="how long each load goes on")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    wanted = parser.parse_args()
    words = [word for word in wanted.only.split(",") if word]
    workloads = [each for each in WORKLOADS if not words or any(word in each[0] for word in words)]
    systems = [system for system in SYSTEMS if system.name in wanted.systems.split(",")]
    if not workloads or len(systems) < len(wanted.systems.split(",")):
        parser.error(f"workloads: {', '.join(each[0] for each in WORKLOADS)}; systems: {', '.join(system.name for system in SYSTEMS)}")
    for system in systems[:]:
        if why := system.missing():
            print(f"left out: {system.name}: {why}")
            systems.remove(system)
    print(f"load of the machine before: {os.getloadavg()[0]:.1f}")
    figures: dict = {}
    for name, workload, settings, kind, *beside in workloads:
        for system in systems:
            folder = Path(tempfile.mkdtemp(prefix="andon-bench-mqtt-"))
            server = None
            try:
                server = system(folder)
                time.sleep(0.5)
                result = load(server, workload, settings, wanted.seconds, *beside)
            finally:
                if server:
                    server.close()
                shutil.rmtree(folder, ignore_errors=True)
            figures.setdefault(name, {})[system.name] = result
            print(f"{name:52} {system.name:10} {told(kind, result)}", flush=True)
    if wanted.json:
        wanted.json.write_text(json.dumps({"load_before": os.getloadavg()[0], "figures": figures}, indent=1))


if __name__ == "__main__":
    main()
