"""TLS as openssl and mosquitto speak it: versions, and devices that come with a certificate."""

import socket
import ssl
import subprocess
import time
from pathlib import Path

from harness import Case, run, wait_until

TLS = '[tls]\nnames = ["localhost"]\n'


class Issuer:
    """Issues certificates, in a folder, by openssl."""

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.file = folder / f"{name}.pem"
        self._openssl("req", "-x509", *self._key(name), "-out", self.file, "-subj", f"/CN={name}", "-days", "30")

    def _openssl(self, *arguments) -> None:
        done = run(["openssl", *arguments])
        assert done.returncode == 0, done.stderr

    def _key(self, name: str) -> list:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.folder / f"{name}.key"]

    def issue(self, file: str, subject: str, days: int = 30) -> tuple[Path, Path]:
        """A certificate for a client, and its key."""
        return self._issue(file, subject, days, "extendedKeyUsage = clientAuth\n")

    def issue_server(self, file: str, host: str, days: int = 30) -> tuple[Path, Path]:
        """A certificate for a server of this name, and its key."""
        return self._issue(file, f"/CN={host}", days, f"subjectAltName = DNS:{host}\n")

    def _issue(self, file: str, subject: str, days: int, extension: str) -> tuple[Path, Path]:
        request, made = self.folder / f"{file}.csr", self.folder / f"{file}.pem"
        extensions = self.folder / f"{file}.ext"
        extensions.write_text(extension)
        self._openssl("req", *self._key(file), "-out", request, "-subj", subject)
        issuer = ["-CA", self.file, "-CAkey", self.folder / f"{self.name}.key", "-CAcreateserial"]
        self._openssl("x509", "-req", "-in", request, *issuer, "-out", made, "-days", str(days), "-extfile", extensions)
        return made, self.folder / f"{file}.key"


class Certificates(Case):
    def secure(self, mqtt: str = "", tls: str = TLS, anonymous: bool = False):
        node = self.node(extra=tls, anonymous=anonymous, start=False)
        node.config.write_text(node.config.read_text().replace("[mqtt]\n", f'[mqtt]\ntls_listen = "127.0.0.1:0"\n{mqtt}'))
        return node.start()

    def port(self, node) -> int:
        return int(node.addresses["mqtts"].rsplit(":", 1)[1])

    def publish(self, node, *arguments, certificate=None, topic="mine/a") -> subprocess.CompletedProcess:
        shown = ["--cert", certificate[0], "--key", certificate[1]] if certificate else []
        trusted = ["--cafile", node.data_dir / "tls/certificate.pem", "-h", "localhost", "-p", str(self.port(node))]
        return run(["mosquitto_pub", *trusted, *shown, "-q", "1", "-t", topic, "-m", "x", *arguments])

    def s_client(self, node, *arguments, waits: bool = False) -> subprocess.CompletedProcess:
        """Connects, says nothing and leaves. In TLS 1.3 a client learns after its handshake that it was refused: then it waits for that."""
        command = ["openssl", "s_client", "-connect", f"localhost:{self.port(node)}", "-CAfile", node.data_dir / "tls/certificate.pem"]
        return run([*command, "-servername", "localhost", "-verify_return_error", *(["-ign_eof"] if waits else []), *arguments], stdin=subprocess.DEVNULL)

    def test_tls_1_3_by_default_and_1_2_where_the_settings_say_so(self):
        for tls, versions in ((TLS, {"-tls1_2": False, "-tls1_3": True}), (TLS + 'oldest = "1.2"\n', {"-tls1_2": True, "-tls1_3": True})):
            node = self.secure(tls=tls, anonymous=True)
            for version, spoken in versions.items():
                with self.subTest(tls=tls, version=version):
                    done = self.s_client(node, version)
                    self.assertEqual("Verify return code: 0 (ok)" in done.stdout and "Cipher is (NONE)" not in done.stdout, spoken, done.stdout)
            self.assertNotIn("Cipher is ECDHE", self.s_client(node, "-tls1_1").stdout)

    def test_a_device_comes_with_its_certificate(self):
        folder = self.temporary_folder()
        works, others = Issuer(folder, "works"), Issuer(folder, "others")
        press = works.issue("press", "/O=Works/CN=press-7.works.example")
        renewed = works.issue("renewed", "/O=Works/OU=Hall 2/CN=press-7.works.example", days=60)
        oven = works.issue("oven", "/CN=oven")
        forged = others.issue("forged", "/O=Works/CN=press-7.works.example")
        node = self.secure(f'client_ca = "{works.file}"\n')
        rights = {"publish": ["mine/#"], "subscribe": ["mine/#"]}
        made = node.post("/api/devices", {"name": "press-7", "certificate": "press-7.works.example", **rights})
        self.assertEqual(made.status, 201, made)
        digest = run(["openssl", "x509", "-in", oven[0], "-noout", "-fingerprint", "-sha256"]).stdout.strip().split("=")[1]
        self.assertEqual(node.post("/api/devices", {"name": "oven", "certificate": digest, **rights}).status, 201)
        taken = node.post("/api/devices", {"name": "another", "certificate": "press-7.works.example"})
        self.assertEqual(taken.status, 409, taken)
        listed = {device["user"]: device["certificate"] for device in node.get("/api/devices").json["devices"]}
        self.assertEqual(listed, {"press-7": "press-7.works.example", "oven": digest.replace(":", "").lower()})
        password = ["-u", "press-7", "-P", made.json["password"]]
        for version in ("mqttv311", "mqttv5"):
            v = ["-V", version]
            for good in ({"certificate": press}, {"certificate": renewed}, {"certificate": oven}):
                done = self.publish(node, *v, **good)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual(self.publish(node, *v, *password, certificate=press).returncode, 0)
            for why, options, arguments in [
                ("the password alone", {}, password),
                ("another's certificate", {"certificate": oven}, password),
                ("a wrong password beside it", {"certificate": press}, ["-u", "press-7", "-P", "wrong"]),
                ("another issuer's", {"certificate": forged}, []),
                ("nothing", {}, []),
            ]:
                self.assertNotEqual(self.publish(node, *v, *arguments, **options).returncode, 0, why)
        said = lambda: [e["summary"] for e in node.timeline(kind="system") if e["detail"]["action"] == "mqtt_refused"]
        wait_until("the timeline tells of the other issuer", lambda: any("before it said who it is" in words for words in said()))
        outside = self.publish(node, "-V", "mqttv5", "-d", certificate=press, topic="others/a")
        self.assertIn("Not authorized", outside.stdout + outside.stderr)
        # By WebSocket no certificate is asked for, and over a restart nothing changes.
        node.kill()
        node.start()
        self.assertEqual(self.publish(node, certificate=press).returncode, 0)

    def test_a_connection_ends_within_a_second_when_its_device_is_removed(self):
        folder = self.temporary_folder()
        works = Issuer(folder, "works")
        press = works.issue("press", "/CN=press-7")
        node = self.secure(f'client_ca = "{works.file}"\nclient_certificate = "required"\n')
        wish = {"name": "press-7", "certificate": "press-7"}
        trusted = ssl.create_default_context(cafile=node.data_dir / "tls/certificate.pem")
        trusted.load_cert_chain(*press)
        for take_away in (lambda id: node.request("DELETE", f"/api/devices/{id}"), lambda _: node.post("/api/devices", {"name": "press-7"})):
            made = node.post("/api/devices", wish).json
            plain = socket.create_connection(("localhost", self.port(node)), timeout=10)
            with trusted.wrap_socket(plain, server_hostname="localhost") as stream:
                stream.sendall(bytes([0x10, 14, 0, 4, *b"MQTT", 5, 2, 0, 60, 0, 0, 1, *b"p"]))
                self.assertEqual(stream.recv(1000)[3], 0, "let in")
                self.assertEqual(node.mqtt_client("p")["connected"], True)
                began = time.monotonic()
                self.assertIn(take_away(made["id"]).status, (201, 204))
                self.assertEqual(stream.recv(1000)[:3], bytes([0xE0, 1, 0x87]))
                self.assertEqual(stream.recv(1000), b"")
                self.assertLess(time.monotonic() - began, 1)
            self.assertNotEqual(self.publish(node, certificate=press).returncode, 0, "and it is not let in again")
        self.assertEqual(node.post("/api/devices", wish).status, 201)
        self.assertEqual(self.publish(node, certificate=press).returncode, 0)
        shown = ["-cert", press[0], "-key", press[1]]
        self.assertIn("alert", self.s_client(node, waits=True).stderr, "a client without a certificate gets no further")
        self.assertNotIn("alert", self.s_client(node, *shown, waits=True).stderr)
