"""Backups of a node that is hard at work, and what comes back from them.

The judge keeps a ledger of what was acknowledged before a backup began, as the kill loop does; a restored node is asked for each entry.
"""

import hashlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import tomllib
import uuid
from collections import Counter
from pathlib import Path

import duckdb
from deltalake import DeltaTable
from harness import Case, Node, binary, http, now_ms, run, spawn, wait_until
from mqtt import Client

PLANT = """
[[equipment]]
path = "works"
level = "site"
title = "Works"

[[tag]]
path = "works/count"
title = "Count"
type = "int64"

[[tag]]
path = "works/old"
title = "Old"
type = "int64"

[[tag]]
path = "works/text"
title = "Text"
type = "string"

[[tag]]
path = "works/setpoint"
title = "Set point"
type = "int64"
range = [0, 100]
write = { life = "2s", confirm_within = "1s" }
"""
DAY_MS = 86_400_000
OLD_MS = 1_600_000_000_000 // DAY_MS * DAY_MS
# More days than this in the buffer are written to files at once.
DAYS = 520


def objects(repository: Path) -> list[Path]:
    return sorted(path for path in (repository / "objects").rglob("*") if path.is_file())


def snapshot(repository: Path) -> dict:
    return json.loads(max((repository / "snapshots").glob("*.json")).read_text())


class Busy:
    """Writes into a node on every face without pause, and notes what was acknowledged."""

    def __init__(self, node: Node):
        self.node, self.stop_it = node, threading.Event()
        self.ledger = {"samples": [], "messages": [], "retained": [], "versions": [], "commands": []}
        self.failed: list[str] = []
        self.epoch_ms = now_ms() - 3_600_000
        self.subscriber = Client("durable", 5).connect(node.mqtt).subscribe("judge/#", qos=1)
        self.subscriber.close()
        self.http, self.mqtt, self.token = node.http, node.mqtt, node.token
        self.threads = [threading.Thread(target=self.work, args=[work], daemon=True) for work in (self.ingest, self.publish, self.configure, self.command)]
        for thread in self.threads:
            thread.start()

    def work(self, work) -> None:
        try:
            work()
        except Exception as error:
            self.failed.append(f"{work.__name__}: {error!r}")

    def ask(self, path: str, body):
        return http(self.http, "POST", path, body, token=self.token)

    def ingest(self) -> None:
        number = 0
        while not self.stop_it.is_set():
            numbers = range(number, number + 50)
            number += 50
            body = "\n".join(f"works count={n}i {self.epoch_ms + n}" for n in numbers)
            answer = self.ask("/api/ingest?precision=ms", body)
            if answer.status == 204:
                self.ledger["samples"] += numbers
            elif answer.status != 503:
                raise AssertionError(answer)

    def publish(self) -> None:
        client, pending, number = Client("publisher", 5).connect(self.mqtt), {}, 0

        def acknowledged(mid: int) -> None:
            kind, n = pending.pop(mid)
            self.ledger[kind].append(n)

        client.on_acknowledged = acknowledged
        while not self.stop_it.is_set():
            while len(pending) < 20:
                number += 1
                kind, topic = ("retained", "keep/it") if number % 10 == 0 else ("messages", "judge/it")
                pending[client.publish(topic, str(number), 1, kind == "retained")] = (kind, number)
            client.turn(0.01)
        client.drop()

    def configure(self) -> None:
        number = 0
        while not self.stop_it.is_set():
            number += 1
            version = http(self.http, "GET", "/api/plant", token=self.token).json["version"]
            text = PLANT.replace('title = "Count"', f'title = "Count {number}"')
            body = {"documents": [{"name": "p.toml", "text": text}], "expected_version": version, "reason": f"change {number}"}
            answer = self.ask("/api/plant/apply", body)
            assert answer.status == 200, answer
            self.ledger["versions"].append((answer.json["version"], f"change {number}"))

    def command(self) -> None:
        number = 0
        while not self.stop_it.is_set():
            number += 1
            # Nothing writes this tag: refused, and recorded.
            key = str(uuid.uuid4())
            answer = self.ask("/api/commands", {"tag": "works/setpoint", "value": 1000 + number, "key": key})
            assert answer.status == 200, answer
            self.ledger["commands"].append((key, answer.json["outcome"]))

    def acknowledged(self) -> dict:
        return {kind: list(entries) for kind, entries in self.ledger.items()}

    def wait(self, times: int) -> None:
        """Until every kind of work was acknowledged so often again."""
        goal = {kind: len(entries) + times for kind, entries in self.ledger.items()}
        wait_until("work goes on", lambda: self.failed or all(len(self.ledger[kind]) >= n for kind, n in goal.items()), 60)

    def stop(self) -> None:
        self.stop_it.set()
        for thread in self.threads:
            thread.join(20)


class Backup(Case):
    def setUp(self):
        super().setUp()
        self.repository = self.temporary_folder() / "backups"
        self.aside = self.temporary_folder()
        self.number = 0

    def backup(self, node: Node, *more, code: int = 0) -> subprocess.CompletedProcess:
        done = node.cli("backup", self.repository, *more, deadline=120)
        self.assertEqual(done.returncode, code, (done.stdout, done.stderr))
        return done

    def tool(self, *words, code: int = 0) -> str:
        done = run([binary(), *words], deadline=120)
        self.assertEqual(done.returncode, code, (words, done.stdout, done.stderr))
        return done.stdout + done.stderr

    def verify(self, code: int = 0) -> str:
        return self.tool("backup", "verify", self.repository, code=code)

    def restored(self, *more, start: bool = True, code: int = 0) -> Node:
        """A node of its own on what a backup gives back."""
        self.number += 1
        folder = self.aside / str(self.number)
        folder.mkdir()
        self.tool("restore", self.repository, "--into", folder / "data", *more, code=code)
        return self.node(folder=folder, start=start)

    def fill_history(self, node: Node, first: int = 0) -> None:
        body = "\n".join(f"works old={first + day}i {OLD_MS + (first + day) * DAY_MS + 5}" for day in range(DAYS))
        self.assertEqual(node.post("/api/ingest?precision=ms", body).status, 204)
        wait_until("history is in files", lambda: node.get("/api/storage").json["points"] >= first + DAYS, 60)

    def files(self, node: Node) -> list[Path]:
        """The files of history in use; others lie beside them for those who still read an older version."""
        return sorted(Path(file.removeprefix("file://")) for file in DeltaTable(str(node.data_dir / "history/parquet")).file_uris())

    # -- the judge --

    def judge(self, node: Node, ledger: dict, epoch_ms: int, session: bool = True) -> None:
        """Everything of the ledger is there, and nothing is there twice."""
        wanted = set(ledger["samples"])
        last = max(wanted)

        def stored() -> list[int]:
            parts = (node.history("works/count", epoch_ms + n, epoch_ms + n + 50_000)["points"] for n in range(0, last + 1, 50_000))
            return [value for part in parts for _, value, _ in part]

        wait_until("every acknowledged sample is in history", lambda: wanted <= set(stored()), 30)
        self.assertEqual([n for n, times in Counter(stored()).items() if times > 1], [], "samples that are there twice")

        if session:
            self.judge_session(node, ledger)
        keeper = Client("keeper", durable=False).connect(node.mqtt).subscribe("keep/#")
        keeper.until(lambda: keeper.messages, 10)
        self.assertGreaterEqual(int(keeper.messages[-1][1]), max(ledger["retained"]))
        keeper.close()

        def whole():
            """The timeline and the check of the log behind it, once the one has caught up with the other."""
            events, audit = node.timeline(), node.get("/api/audit/verify").json
            return (events, audit) if audit["events"] == len(events) else None

        events, audit = wait_until("the timeline is the log's", whole, 30)
        self.assertEqual([i for i, times in Counter(event["id"] for event in events).items() if times > 1], [])
        versions = {v["version"]: v["reason"] for v in node.get("/api/plant/versions").json["versions"]}
        recorded = Counter(event["detail"]["version"] for event in events if event["kind"] == "configuration")
        for version, reason in ledger["versions"]:
            self.assertEqual(versions.get(version, reason), reason)
            self.assertEqual(recorded[version], 1, f"version {version}")
        self.assertLessEqual(max(recorded), node.plant_version(), "no event of a change that is not there")
        self.assertEqual(max(recorded), node.plant_version(), "and no change without its event")
        steps = Counter((event["detail"]["command"], event["detail"]["step"]) for event in events if event["kind"] == "command")
        for command, outcome in ledger["commands"]:
            self.assertEqual(steps[(command, outcome)], 1, (command, outcome))
        self.assertTrue(audit["ok"], audit)
        self.assertEqual(len([e for e in events if e["kind"] == "system" and "restored from the backup" in json.dumps(e)]), 1)
        self.assertEqual([e for e in events if "orderly way" in e["summary"]], [], "that a node ran while it was backed up is no crash")

    def judge_session(self, node: Node, ledger: dict) -> None:
        subscriber, got, missing = Client("durable", 5), Counter(), set(ledger["messages"])

        def received(message) -> None:
            got[int(message.payload)] += 1
            missing.discard(int(message.payload))

        subscriber.on_message = received
        subscriber.connect(node.mqtt)
        self.assertTrue(subscriber.session_present, "the session came back")
        subscriber.until(lambda: not missing, 60)
        subscriber.publish_and_wait("judge/it", "0")
        subscriber.until(lambda: got[0], 60)  # Behind all that waited.
        self.assertEqual([n for n, times in got.items() if times > 1], [], "messages that came twice")
        subscriber.close()

    def table(self, node: Node) -> tuple:
        files = [str(file) for file in self.files(node)]
        return duckdb.sql(f"select count(*), sum(v_int), min(ts_ms), max(ts_ms) from read_parquet({files!r}) where ts_ms < {OLD_MS + 3000 * DAY_MS}").fetchall()[0]

    # -- tests --

    def test_all_that_was_acknowledged_before_a_backup_of_a_busy_node_comes_back_and_nothing_twice(self):
        node = self.node()
        node.apply(PLANT)
        self.fill_history(node)
        busy = Busy(node)
        busy.wait(20)
        for _ in range(3):
            before = busy.acknowledged()
            began = time.monotonic()
            done = self.backup(node)
            took = time.monotonic() - began
            busy.wait(3)
        self.assertEqual(busy.failed, [], "work went on all the time")
        rate = len(before["versions"]) + len(before["commands"])
        print(f"busy node: {rate} events, backup in {took:.1f} s, {done.stdout.splitlines()[1]}; before it {sum(map(len, before.values()))} acknowledgements", flush=True)
        busy.stop()
        self.assertIn("all is well", self.verify())
        texts = lambda: [json.dumps(e) for e in node.timeline(kind="system")]
        made = lambda: len([t for t in texts() if "backup " in t and " made: everything up to record" in t])
        wait_until("each of them is in the timeline, which follows the log", lambda: made() >= 3)
        self.assertEqual(made(), 3, "recorded")
        metrics = http(node.http, "GET", "/metrics").text
        at = float(re.search(r"^andon_backup_last_success_timestamp_seconds (\S+)$", metrics, re.M).group(1))
        self.assertLess(abs(at - time.time()), 600)
        self.assertEqual(list((node.data_dir / "backup-hold").glob("*")), [], "nothing is held any more")
        history, table = node.history("works/old", OLD_MS, OLD_MS + DAYS * DAY_MS)["points"], self.table(node)
        node.stop()

        back = self.restored()
        self.judge(back, before, busy.epoch_ms)
        self.assertEqual(back.history("works/old", OLD_MS, OLD_MS + DAYS * DAY_MS)["points"], history)
        self.assertEqual(self.table(back), table)
        # It goes on: new samples, a merge of old days, another life.
        self.fill_history(back, DAYS)
        back.restart()
        self.judge(back, before, busy.epoch_ms, session=False)
        self.assertNotIn("could not bring the open table", back.log_text())

    def test_a_backup_that_was_killed_goes_on_and_is_never_taken_for_a_finished_one(self):
        node = self.node()
        node.apply(PLANT)
        self.fill_history(node)
        # Slow enough to be killed in the middle.
        process = spawn([binary(), "backup", "--config", node.config, self.repository, "--max-rate", "1"], stderr=subprocess.DEVNULL)
        wait_until("some files are copied", lambda: len(objects(self.repository)) > 20, 60)
        process.kill()
        process.wait()
        self.assertEqual(len(list((node.data_dir / "backup-hold").glob("*"))), 1, "the node does not know yet")
        self.assertIn("none that is finished", self.tool("restore", self.repository, "--into", self.aside / "no", code=1))
        self.assertFalse((self.aside / "no").exists())
        there = set(objects(self.repository))
        kept = {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in there}
        text = self.backup(node).stdout
        files, copied = map(int, re.search(r"files: (\d+) with \d+ bytes, of which (\d+) with", text).groups())
        self.assertLessEqual(copied, files - len(there) + 20, "what was copied is not copied again")
        self.assertEqual({path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in there if path.exists()}, kept)
        self.assertIn("all is well", self.verify())
        # The second backup is small.
        again = self.backup(node).stdout
        copied = int(re.search(r"of which (\d+) with", again).group(1))
        self.assertLess(copied, 20, again)
        node.kill()
        self.assertEqual(self.restored().history("works/old", OLD_MS, OLD_MS + DAYS * DAY_MS)["points"][7][1], 7)
        node.start()
        self.assertFalse((node.data_dir / "backup-hold").exists(), "a start lets go of all")

    def test_a_node_that_is_killed_while_it_is_backed_up_spoils_nothing(self):
        node = self.node()
        node.apply(PLANT)
        self.fill_history(node)
        command = [binary(), "backup", "--config", node.config, self.repository, "--max-rate", "1"]
        process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("some files are copied", lambda: len(objects(self.repository)) > 20, 60)
        node.kill()
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 2, (out, err))
        self.assertIn("the backup is whole, but the node could not record it", err)
        self.assertIn("all is well", self.verify())
        self.assertEqual(len(self.restored().history("works/old", OLD_MS, OLD_MS + DAYS * DAY_MS)["points"]), DAYS)
        node.start()
        shutil.rmtree(self.repository)
        process = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until("some files are copied", lambda: len(objects(self.repository)) > 20, 60)
        # It stands still until the node is back, or it would be done before.
        process.send_signal(signal.SIGSTOP)
        node.kill()
        node.start()
        process.send_signal(signal.SIGCONT)
        out, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, 1, (out, err))
        self.assertIn("the node was started anew meanwhile", err)
        self.backup(node)
        self.assertIn("all is well", self.verify())

    def test_damage_anywhere_is_found_by_verify_and_not_restored(self):
        node = self.node()
        node.apply(PLANT)
        self.assertEqual(node.post("/api/ingest", "works count=5i").status, 204)
        node.restart()
        self.backup(node)
        node.stop()
        self.verify()
        seed = int.from_bytes(os.urandom(4))
        chance = random.Random(seed)
        target = self.aside / "never"
        paths = {file["sha256"]: file["path"] for file in snapshot(self.repository)["files"]}
        for path in [*objects(self.repository), *(self.repository / "snapshots").iterdir(), self.repository / "andon-backup"]:
            whole = path.read_bytes()
            if path.parent.parent.name == "objects":
                self.assertEqual(hashlib.sha256(whole).hexdigest(), path.name, "as sha256sum says")
            damages = {"cut": whole[:-1], "longer": whole + b"x", "gone": None}
            if whole:
                at = chance.randrange(len(whole))
                damages["flipped"] = whole[:at] + bytes([whole[at] ^ 1 << chance.randrange(8)]) + whole[at + 1 :]
            else:
                damages.pop("cut")
            for what, content in damages.items():
                with self.subTest(path=paths.get(path.name, path.name), what=what, seed=seed):
                    path.unlink() if content is None else path.write_bytes(content)
                    if path.suffix == ".json" and content is None:
                        pass  # Then there is no backup at all.
                    elif path.name == "andon-backup":
                        self.verify(code=1)
                    else:
                        self.assertIn(path.name, self.verify(code=2))
                    self.tool("restore", self.repository, "--into", target, code=1)
                    self.assertFalse(target.exists() or target.with_name("never.restoring").exists())
            path.write_bytes(whole)
        (self.repository / "notes.txt").write_text("mine")
        self.assertIn("notes.txt does not belong here", self.verify(code=2))
        (self.repository / "notes.txt").unlink()
        self.assertIn("all is well", self.verify())
        target.mkdir()
        (target / "mine").write_text("x")
        self.assertIn("is not empty", self.tool("restore", self.repository, "--into", target, code=1))
        self.assertEqual([path.name for path in target.iterdir()], ["mine"])

    def test_damage_that_was_there_before_is_found_inside(self):
        node = self.node()
        node.apply(PLANT)
        self.fill_history(node)
        node.stop()
        rows = self.files(node)
        lost = duckdb.sql(f"select count(*) from read_parquet({[str(rows[3]), str(rows[5])]!r})").fetchall()[0][0]
        content = bytearray(rows[3].read_bytes())
        content[len(content) // 2] ^= 1
        rows[3].write_bytes(content)
        rows[5].unlink()
        self.assertIn(f"{rows[5].parent.name}/{rows[5].name} should be there and is not", self.backup(node, code=2).stderr)
        text = self.verify(code=2)
        self.assertIn(f"history/parquet/{rows[3].parent.name}/{rows[3].name}:", text)
        self.assertIn(f"{rows[5].name} was missing already", text)
        self.assertIn("2 files damaged or missing already when copied", self.tool("backup", "list", self.repository))
        points = self.restored(code=2).history("works/old", OLD_MS, OLD_MS + DAYS * DAY_MS)["points"]
        self.assertEqual(len(points), DAYS - lost, "and all else comes back")

    def test_a_node_that_does_not_run_is_backed_up_and_its_records_alone_come_back(self):
        node = self.node()
        node.apply(PLANT)
        self.assertEqual(node.post("/api/ingest", "works count=5i").status, 204)
        node.kill()
        self.backup(node)
        self.assertIn("all is well", self.verify())
        back = self.restored()
        self.assertEqual((back.value("works/count"), back.plant_version()), (5, node.start().plant_version()))
        node.stop()
        # As the node says it when its records are damaged.
        for path in node.data_dir.glob("records.sqlite*"):
            path.rename(path.with_name(path.name + ".damaged"))
        node.launch()
        self.assertEqual(node.process.wait(20), 1)
        self.assertIn("andon restore BACKUP --only records.sqlite --into", node.log_text())
        self.tool("restore", self.repository, "--only", "records.sqlite", "--into", node.data_dir / "records-back")
        (node.data_dir / "records-back/records.sqlite").rename(node.data_dir / "records.sqlite")
        node.start()
        self.assertEqual((node.value("works/count"), node.plant_version()), (5, 1))
        self.assertTrue(node.get("/api/audit/verify").json["ok"])

    def test_a_node_with_a_relative_data_dir_is_backed_up_from_any_folder(self):
        node = self.node(start=False)
        node.config.write_text(node.config.read_text().replace(f'data_dir = "{node.data_dir}"', 'data_dir = "data"'))
        with node.log_path.open("ab") as log:
            node.process = spawn([binary(), "serve", "--config", "andon.toml"], cwd=node.folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        wait_until("the node listens", (node.data_dir / "addresses.json").exists)
        node.addresses = json.loads((node.data_dir / "addresses.json").read_text())
        wait_until("the node is ready", lambda: node.get("/readyz").status == 200)
        node.apply(PLANT)
        above, folder = node.folder.parent, node.folder.name
        done = run([binary(), "backup", "--config", f"{folder}/andon.toml", self.repository], cwd=above, deadline=120)
        self.assertEqual(done.returncode, 0, (done.stdout, done.stderr))
        self.assertIn("all is well", self.verify())

    def test_secrets_stay_and_only_an_administrator_may(self):
        node = self.node()
        node.apply(PLANT)
        (node.data_dir / "tls").mkdir(exist_ok=True)
        (node.data_dir / "tls/key.pem").write_text("secret")
        self.backup(node)
        paths = {file["path"] for file in snapshot(self.repository)["files"]}
        self.assertTrue({"node-id", "records.sqlite", "history/manifest", "log/node", "andon.toml"} <= paths, paths)
        self.assertFalse({path for path in paths if path.startswith("tls") or path in ("cli.token", "addresses.json", "lock")})
        self.backup(node, "--with-tls-key")
        self.assertIn("tls/key.pem", {file["path"] for file in snapshot(self.repository)["files"]})
        for path in [self.repository, *self.repository.rglob("*")]:
            self.assertEqual(path.stat().st_mode & 0o077, 0, path)
        engineer = node.make_user("Eve", "engineer")
        for method, path in [("POST", "/api/backups"), ("GET", f"/api/backups/{'0' * 8}-0000-7000-8000-{'0' * 12}")]:
            answer = http(node.http, method, path, {"keys": True} if method == "POST" else None, cookie=engineer)
            self.assertEqual(answer.status, 403, answer)
        begun = [node.post("/api/backups", {}) for _ in range(5)]
        self.assertEqual([answer.status for answer in begun], [202] * 4 + [503])
        for answer in begun[:4]:
            wait_until("it is held", lambda: node.get(f"/api/backups/{answer.json['id']}").status == 200)
            self.assertEqual(node.request("DELETE", f"/api/backups/{answer.json['id']}").status, 204)
        self.assertEqual(node.get(f"/api/backups/{begun[0].json['id']}").status, 404)
        self.assertEqual(list((node.data_dir / "backup-hold").glob("*")), [])
        self.assertIn("lies in the data directory", node.cli("backup", node.data_dir / "mine").stderr)

    def test_a_full_target_is_told_harms_nobody_and_the_backup_goes_on_when_there_is_space(self):
        if os.geteuid() != 0:
            self.skipTest("needs root, to mount a small file system")
        disk = self.temporary_folder()
        mounted = run(["mount", "-t", "tmpfs", "-o", "size=4m", "andon-e2e", disk])
        if mounted.returncode != 0:
            self.skipTest(f"cannot mount a tmpfs: {mounted.stderr.strip()}")
        self.addCleanup(lambda: subprocess.run(["umount", "-l", str(disk)], check=False))
        self.repository = disk / "backups"
        node = self.node()
        node.apply(PLANT)
        body = "\n".join(f"works count={n}i,text=\"{os.urandom(40).hex()}\" {n + 1}" for n in range(60_000))
        self.assertEqual(node.post("/api/ingest?precision=ms", body).status, 204)
        text = self.backup(node, code=1).stderr
        self.assertIn("no space left for", text)
        self.assertEqual(node.get("/readyz").status, 200)
        self.assertEqual(node.post("/api/ingest", "works count=1i").status, 204)
        self.assertEqual(list((self.repository / "incoming").iterdir()), [], "no half file fills it")
        self.assertEqual(list((self.repository / "snapshots").iterdir()), [])
        wait_until("nothing is held", lambda: not list((node.data_dir / "backup-hold").glob("*")))
        run(["mount", "-o", "remount,size=200m", disk])
        self.backup(node)
        self.assertEqual(self.restored().value("works/count"), 1)

    def test_the_trial_of_the_manual_works_as_it_is_printed_beside_the_node(self):
        manual = (Path(__file__).parents[2] / "docs/manual/backup.md").read_text()
        block = re.search(r"^## Try it before.*?^```\n(.*?)^```", manual, re.M | re.S).group(1)
        node = self.node()
        node.apply(PLANT)
        self.assertEqual(node.post("/api/ingest", "works count=5i").status, 204)
        self.backup(node)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        trial = self.aside / "try"
        for printed, ours in [("/mnt/backup/andon", self.repository), ("/tmp/try", trial), ("18080", port), (r"^andon ", f"{binary()} ")]:
            block, times = re.subn(printed, str(ours), block, flags=re.M)
            self.assertGreater(times, 0, printed)
        *before, serve = block.splitlines()
        for line in before:
            done = run(["sh", "-c", line], deadline=60)
            self.assertEqual(done.returncode, 0, (line, done.stdout, done.stderr))
        listeners = tomllib.loads((trial / "andon.toml").read_text())
        self.assertEqual({face: listeners[face]["listen"] for face in ("http", "mqtt", "sql")}, {"http": f"127.0.0.1:{port}", "mqtt": "off", "sql": "off"})
        process = spawn(["sh", "-c", f"exec {serve}"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

        def ready() -> bool:
            self.assertIsNone(process.poll(), "it ended by itself")
            return http(f"127.0.0.1:{port}", "GET", "/readyz").status == 200

        wait_until("the trial is ready", ready, 30)
        self.assertEqual(node.get("/readyz").status, 200, "and the node goes on")
        process.terminate()
        self.assertEqual(process.wait(20), 0)

    def test_two_restores_into_one_target_do_not_take_from_each_other_and_a_slash_at_its_end_changes_nothing(self):
        node = self.node()
        node.apply(PLANT)
        self.fill_history(node)
        self.backup(node)
        target = self.aside / "deep/data"
        command = [binary(), "restore", self.repository, "--into", f"{target}/", "--max-rate", "1"]
        first = spawn(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        beside = target.with_name("data.restoring")
        wait_until("it is under way", lambda: (beside / "log/node").exists(), 30)
        self.assertIn(f"another restore into {target} is under way", self.tool("restore", self.repository, "--into", target, code=1))
        out, err = first.communicate(timeout=120)
        self.assertEqual(first.returncode, 0, (out, err))
        self.assertEqual([path.name for path in target.parent.iterdir()], ["data"])
        for file in snapshot(self.repository)["files"]:
            self.assertTrue((target / file["path"]).exists(), file["path"])
        # One that was killed keeps nobody out.
        shutil.rmtree(target)
        killed = spawn(command, stderr=subprocess.DEVNULL)
        wait_until("it is under way", lambda: (beside / "log/node").exists(), 30)
        killed.kill()
        killed.wait()
        self.tool("restore", self.repository, "--into", target)
        self.assertEqual([path.name for path in target.parent.iterdir()], ["data"])
