"""Who is let in, who may do what, and whether the audit trail tells of tampering."""

import gzip
import json
import shutil
import stat
import threading
import uuid
from pathlib import Path

from harness import PASSWORD, Case, Node, binary, http, run, wait_until
from mqtt import Client
from test_modbus import PLANT, UNIT


class FirstStart(Case):
    def test_the_set_up_code_makes_one_administrator_and_works_once(self):
        node = self.node(anonymous=False)
        self.assertTrue(node.get("/api/status", token=None).json["setup_needed"])
        code = node.setup_code()
        body = {"code": code, "name": "Ada", "password": PASSWORD}
        wrong = node.post("/api/setup", {**body, "code": "AAAA-AAAA-AAAA-AAAA"}, token=None)
        self.assertEqual(wrong.status, 401, wrong)
        weak = node.post("/api/setup", {**body, "password": "short"}, token=None)
        self.assertEqual(weak.status, 422, weak)
        done = node.post("/api/setup", body, token=None)
        self.assertEqual(done.status, 204, done)
        cookie = done.headers["set-cookie"]
        for word in ("HttpOnly", "SameSite=Strict", "Path=/"):
            self.assertIn(word, cookie)
        session = node.get("/api/session", token=None, cookie=cookie.split(";")[0]).json
        self.assertEqual((session["user"]["name"], session["may"]["administer"]), ("Ada", True))
        again = node.post("/api/setup", {**body, "name": "Eve"}, token=None)
        self.assertIn(again.status, (401, 409), again)
        self.assertFalse(node.get("/api/status", token=None).json["setup_needed"])
        node.restart()
        self.assertEqual(node.log_text().count("set-up code:"), 1, "none is printed once there is an administrator")

    def test_two_people_with_the_same_code_at_the_same_moment_make_one_administrator(self):
        node = self.node()
        code = node.setup_code()
        answers = []
        send = lambda name: answers.append(node.post("/api/setup", {"code": code, "name": name, "password": PASSWORD}, token=None).status)
        threads = [threading.Thread(target=send, args=(f"Ada {n}",)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(answers.count(204), 1, answers)
        self.assertEqual(len(node.get("/api/users").json["users"]), 1)

    def test_secrets_on_disk_are_for_their_owner_only(self):
        node = self.node()
        self.assertEqual(stat.S_IMODE((node.data_dir / "cli.token").stat().st_mode), 0o600)
        self.assertEqual(stat.S_IMODE(node.data_dir.stat().st_mode), 0o700)
        token = node.token
        holders = [p for p in node.data_dir.rglob("*") if p.is_file() and token.encode() in p.read_bytes()]
        self.assertEqual([p.name for p in holders], ["cli.token"], "kept as a digest elsewhere")

    def test_what_is_not_safe_is_refused_at_the_start(self):
        folder = self.temporary_folder()
        config = folder / "andon.toml"
        for text, word in (
            ('data_dir = "d"\n[http]\nlisten = "0.0.0.0:0"\n', "line 3"),
            ('data_dir = "d"\n[mqtt]\nlisten = "0.0.0.0:0"\nallow_anonymous = true\n', "line 3"),
            ('data_dir = "d"\n[access]\nmode = "open"\n[http]\ntls_listen = "0.0.0.0:0"\n', "line 3"),
        ):
            config.write_text(text)
            done = run([binary(), "serve", "--config", config], deadline=10)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn(word, done.stderr)
            self.assertIn("try:", done.stderr)

    def test_a_second_node_on_the_same_folder_is_refused(self):
        node = self.node()
        done = run([binary(), "serve", "--config", node.config], deadline=10)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("in use", done.stderr + done.stdout)
        self.assertEqual(node.get("/readyz").status, 200, "the first one is not disturbed")


class Rights(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node(anonymous=False)
        self.here.apply(PLANT.replace("ENDPOINT", "127.0.0.1:9").replace('title = "Filler, PLC"', 'title = "Filler, PLC"\nenabled = false'))

    def test_without_log_in_every_door_is_closed(self):
        document = self.here.get("/api/openapi.json").json
        open_to_all = {"/api/status", "/api/setup", "/api/login", "/api/login-link", "/healthz", "/readyz", "/metrics", "/api/openapi.json", "/ping", "/health"}
        tried = 0
        for path, methods in document["paths"].items():
            for method in methods:
                if path in open_to_all:
                    continue
                body = None if method == "get" else {}
                answer = self.here.request(method.upper(), path.replace("{id}", "0197a000-0000-7000-8000-000000000000"), body, token=None)
                self.assertEqual(answer.status, 401, f"{method} {path}: {answer}")
                tried += 1
        self.assertGreater(tried, 20)
        for token in ("", "x", self.here.token[:-1], self.here.token + "x"):
            self.assertEqual(self.here.get("/api/values", token=token or None).status, 401)

    def test_who_is_not_logged_in_hears_that_first_and_packed_refusals_have_their_words(self):
        nobody = self.here.post("/api/mes/lots", {}, token=None, headers={"x-andon": None})
        self.assertEqual(nobody.status, 401, nobody)
        packed = self.here.get("/api/mes/units/xyz", headers={"accept-encoding": "gzip"})
        self.assertEqual(packed.status, 400, packed)
        text = gzip.decompress(packed.body) if packed.headers["content-encoding"] == "gzip" else packed.body
        detail = json.loads(text)["detail"]
        self.assertIn("UUID", detail)
        self.assertTrue(detail.isprintable(), detail)

    def test_anonymous_mqtt_is_refused_by_default(self):
        for protocol in (4, 5):
            with self.assertRaises(ConnectionError):
                Client("nobody", protocol).connect(self.here.mqtt)

    def test_a_viewer_sees_and_may_do_nothing_else(self):
        cookie = self.here.make_user("Vera", "viewer")
        as_vera = {"token": None, "cookie": cookie}
        self.assertEqual(self.here.get("/api/plant", **as_vera).status, 200)
        done = self.here.post("/api/commands", {"tag": f"{UNIT}/speed", "value": 100}, **as_vera)
        self.assertTrue(done.status == 403 or done.json["outcome"] == "refused", done)
        for method, path, body in (
            ("POST", "/api/ingest", f"{UNIT} level=1i"),
            ("POST", "/api/plant/apply", {"documents": [], "expected_version": 1}),
            ("POST", "/api/plant/plan", {"documents": []}),
            ("GET", "/api/plant/export", None),
            ("GET", "/api/users", None),
            ("POST", "/api/users", {"name": "Eve", "password": PASSWORD, "grants": [{"role": "administrator", "branch": ""}]}),
            ("POST", "/api/tokens", {"name": "t", "grants": [{"role": "administrator", "branch": ""}]}),
            ("POST", "/api/devices", {"name": "d"}),
            ("PATCH", f"/api/devices/{uuid.uuid4()}", {"publish": ["#"]}),
            ("GET", "/api/audit/verify", None),
            ("POST", "/api/mqtt/publish", {"topic": "a", "text": "1"}),
            ("POST", "/api/mqtt/quarantine/discard", {"number": 1}),
            ("POST", "/api/mqtt/quarantine/discard-all", {"rule": "r", "up_to": 1}),
            ("POST", "/api/mqtt/quarantine/release", {"number": 1}),
        ):
            answer = self.here.request(method, path, body, **as_vera)
            self.assertEqual(answer.status, 403, f"{method} {path}: {answer}")
        refused = lambda: [e for e in self.here.timeline(kind="command") if e["detail"]["step"] == "refused"]
        wait_until("the refusal is on record", lambda: len(refused()) == 1)

    def test_a_grant_ends_at_its_branch(self):
        self.here.apply(
            '[[equipment]]\npath = "house"\nlevel = "house"\nprofile = "home"\ntitle = "House"\n'
            '[[tag]]\npath = "house/light"\ntitle = "Light"\ntype = "boolean"\n'
        )
        cookie = self.here.make_user("Otto", "operator", "house")
        as_otto = {"token": None, "cookie": cookie}
        plant = self.here.get("/api/plant", **as_otto).json
        self.assertEqual([t["path"] for t in plant["tags"]], ["house/light"])
        self.assertEqual(self.here.get(f"/api/values?tag={UNIT}/speed", **as_otto).status, 404)
        self.assertEqual(self.here.get(f"/api/history?tag={UNIT}/speed&from_ms=0&to_ms=9", **as_otto).status, 404)
        self.assertEqual(self.here.post("/api/ingest", "house light=true", **as_otto).status, 204)
        self.assertIn(self.here.post("/api/ingest", f"{UNIT} level=1i", **as_otto).status, (403, 404))
        for page in ("clients", "subscriptions", "violations", "quarantine", "departures"):
            self.assertEqual(self.here.get(f"/api/mqtt/{page}", **as_otto).status, 403, page)
        self.assertEqual(self.here.get("/api/mqtt/topics", **as_otto).status, 200)
        paths = {e["path"] for e in self.here.get("/api/timeline", **as_otto).json["events"]}
        self.assertFalse([p for p in paths if not p.startswith("house")], "events of other branches")

    def test_a_wrong_log_in_is_answered_alike_whether_the_name_exists_or_not(self):
        self.here.make_user("Vera", "viewer")
        attempt = lambda name: self.here.post("/api/login", {"name": name, "password": "not the right one"}, token=None)
        known, unknown = attempt("Vera"), attempt("Nobody")
        self.assertEqual((known.status, known.body), (401, unknown.body))
        self.assertEqual(known.status, unknown.status)
        for _ in range(5):
            last = attempt("Vera")
        self.assertEqual(last.status, 429, "tries are slowed down")
        self.assertIn("retry-after", last.headers)
        trail = wait_until("the refusals are on record", lambda: [e for e in self.here.timeline(kind="user") if "refused" in e["summary"]])
        self.assertNotIn("Vera", json.dumps([e["detail"] for e in trail]), "no names in the trail")

    def test_a_token_is_refused_at_once_when_it_is_revoked(self):
        made = self.here.post("/api/tokens", {"name": "line", "grants": [{"role": "operator", "branch": ""}]}).json
        self.assertEqual(self.here.get("/api/values", token=made["token"]).status, 200)
        self.assertEqual(self.here.request("DELETE", f"/api/tokens/{made['id']}").status, 204)
        self.assertEqual(self.here.get("/api/values", token=made["token"]).status, 401)
        self.here.kill()
        self.here.start()
        self.assertEqual(self.here.get("/api/values", token=made["token"]).status, 401, "also after a kill")

    def test_a_disabled_person_is_out_at_once(self):
        cookie = self.here.make_user("Vera", "viewer")
        user = next(u for u in self.here.get("/api/users").json["users"] if u["name"] == "Vera")
        self.assertEqual(self.here.get("/api/values", token=None, cookie=cookie).status, 200)
        self.assertEqual(self.here.request("PATCH", f"/api/users/{user['id']}", {"enabled": False}).status, 204)
        self.assertEqual(self.here.get("/api/values", token=None, cookie=cookie).status, 401)
        self.assertEqual(self.here.post("/api/login", {"name": "Vera", "password": PASSWORD}, token=None).status, 401)

    def test_a_session_outlives_a_restart_and_ends_with_log_out(self):
        cookie = self.here.make_user("Vera", "viewer")
        self.here.kill()
        self.here.start()
        self.assertEqual(self.here.get("/api/session", token=None, cookie=cookie).status, 200)
        self.assertEqual(self.here.post("/api/logout", {}, token=None, cookie=cookie).status, 204)
        self.assertEqual(self.here.get("/api/session", token=None, cookie=cookie).status, 401)

    def test_a_foreign_page_can_neither_change_nor_read(self):
        cookie = self.here.make_user("Olga", "operator")
        body = json.dumps({"tag": f"{UNIT}/speed", "value": 100})
        for headers in ({"content-type": "application/json", "x-andon": None}, {"content-type": "text/plain"}):
            answer = http(self.here.http, "POST", "/api/commands", body, cookie=cookie, headers=headers)
            self.assertIn(answer.status, (403, 415), headers)
        rebound = self.here.get("/api/status", headers={"host": "evil.example"}, token=None)
        self.assertEqual(rebound.status, 421, rebound)


class Audit(Case):
    """`andon audit verify` on a good trail, on one that was cut, and on one that was changed by somebody who knows the format."""

    def verify(self, node: Node, *more):
        done = node.cli("audit verify", *more)
        return done.returncode, done.stdout + done.stderr

    def test_the_trail_is_whole_and_a_flipped_byte_is_found(self):
        node = self.node()
        node.apply(PLANT.replace("ENDPOINT", "127.0.0.1:9"))
        for name in ("Ada", "Bob", "Cleo"):
            node.make_user(name, "viewer")
        report = node.get("/api/audit/verify").json
        self.assertTrue(report["ok"], report)
        self.assertGreater(report["events"], 5)
        head = report["head"]
        code, text = self.verify(node)
        self.assertEqual(code, 0, text)
        node.stop()
        code, text = self.verify(node, "--against", head)
        self.assertEqual(code, 0, text)
        code, text = self.verify(node, "--against", "f" * 64)
        self.assertNotEqual(code, 0, "a head that never was")

        for what, damage in (("a flipped byte", self.flip), ("a change with all checksums made right", self.forge)):
            with self.subTest(what):
                copy = self.node(start=False)
                shutil.copytree(node.data_dir, copy.data_dir)
                damage(copy.data_dir)
                code, text = self.verify(copy)
                self.assertNotEqual(code, 0, text)
        code, text = self.verify(node)
        self.assertEqual(code, 0, f"the original is still whole: {text}")

    @staticmethod
    def segment(data_dir: Path) -> Path:
        return next(p for p in sorted(data_dir.rglob("*.seg")) if p.parent.name == "records" and b'"kind":"user"' in p.read_bytes())

    def flip(self, data_dir: Path) -> None:
        path = self.segment(data_dir)
        data = bytearray(path.read_bytes())
        data[data.index(b'"kind":"user"') + 9] ^= 1
        path.write_bytes(data)

    def forge(self, data_dir: Path) -> None:
        """Changes an event and computes the frame's checksum anew (CRC32C of the payload, in the header whose own CRC covers it)."""
        path = self.segment(data_dir)
        data = bytearray(path.read_bytes())
        salt, first = data[56:64], data[40:48]
        seed = crc32c(first, crc32c(bytes([0]), crc32c(salt)))
        at = 96
        while True:
            length = int.from_bytes(data[at : at + 4], "little")
            assert length >= 44, "no event of a person was found"
            payload = data[at + 44 : at + length]
            if b'"kind":"user"' in payload and b'"action":"created"' in payload:
                break
            at += length
        changed = payload.replace(b'"action":"created"', b'"action":"removed"')
        data[at + 44 : at + length] = changed
        data[at + 8 : at + 12] = crc32c(changed).to_bytes(4, "little")
        header = crc32c(at.to_bytes(8, "little"), seed)
        header = crc32c(data[at : at + 4], crc32c(data[at + 8 : at + 44], header))
        data[at + 4 : at + 8] = header.to_bytes(4, "little")
        path.write_bytes(data)


def crc32c(data: bytes, crc: int = 0) -> int:
    """CRC-32C (Castagnoli), bit by bit; short inputs only."""
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF
