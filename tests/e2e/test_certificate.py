"""Python's cryptography and rfc8785 as the judges of birth certificates: what Andon signs they verify, and what they sign Andon does."""

import copy
import json
import random
import uuid

import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_public_key
from harness import ROOT, Case, binary, run

# Made by Andon; a test of andon-mes keeps them as what it makes today.
SAMPLE = ROOT / "crates/mes/cases/certificate/sample.json"
KEY = ROOT / "crates/mes/cases/certificate/key.pem"
SPELLING = dict(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class Certificate(Case):
    def setUp(self):
        super().setUp()
        self.folder = self.temporary_folder()
        self.owner = Ed25519PrivateKey.generate()
        self.key = self.owner.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw).hex()

    def andon(self, file, *keys, code: int) -> str:
        done = run([binary(), "verify", "certificate", file, *(word for key in keys for word in ("--key", key))])
        self.assertEqual(done.returncode, code, f"{done.stdout}{done.stderr}")
        return done.stdout if code == 0 else done.stderr

    def write(self, name: str, content: bytes | str):
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def certificate(self, **change) -> dict:
        """A certificate of somebody else's making, in the order in which people would write it."""
        return {
            "format": "andon-birth-certificate",
            "version": 1,
            "unit": {"serial": "Z-7/ü/😀/דּ", "product": {"id": "PRESS-7", "revision": "B"}},
            "identity": {"id": "press-7-0815"},
            "issuer": {"site": "elsewhere", "node_id": str(uuid.uuid4()), "key_id": self.key},
            "issued_at": "2026-11-27T08:00:00.000001Z",
            "job_order": 'A "quoted" \\ order',
            "parts": [{"component": "Ram", "serial": "R-1", "quantity": "1", "unit": "1"}],
            "tests": [
                {"characteristic": "Force", "value": "49.75", "unit": "kN", "lower": "49.5", "upper": "50.5", "verdict": "pass"},
                {"characteristic": "Run-out", "value": "0.0301", "unit": "mm", "upper": "0.03", "verdict": "fail"},
            ],
            "firmware": [],
            "documents": [{"name": "Fitting", "revision": "2", "sha256": "ab" * 32}],
            "roles": [{"role": "inspector", "person": str(uuid.uuid4())}],
            "states": [
                {
                    "work_unit": "elsewhere/line/cell",
                    "from": "2026-11-27T07:00:00Z",
                    "to": "2026-11-27T07:00:02.500Z",
                    "times_us": {"setup": 500_000, "production": 2_000_000},
                }
            ],
            "energy": [{"carrier": "electricity", "quantity": "0", "unit": "kW.h"}],
            **change,
        }

    def signed(self, certificate: dict) -> dict:
        value = self.owner.sign(rfc8785.dumps(certificate)).hex()
        return {"certificate": certificate, "signature": {"alg": "Ed25519", "key_id": self.key, "value": value}}

    def test_what_andon_signed_is_verified_by_others(self):
        envelope = json.loads(SAMPLE.read_bytes())
        certificate, signature = envelope["certificate"], envelope["signature"]
        canonical = rfc8785.dumps(certificate)
        key = load_pem_public_key(KEY.read_bytes())
        self.assertIsInstance(key, Ed25519PublicKey)
        key.verify(bytes.fromhex(signature["value"]), canonical)
        self.assertEqual(signature["key_id"], key.public_bytes(Encoding.Raw, PublicFormat.Raw).hex())
        with self.assertRaises(InvalidSignature):
            key.verify(bytes.fromhex(signature["value"]), canonical.replace(b"pass", b"fail", 1))
        # No float in it: whoever has no RFC 8785 gets the same bytes from a JSON writer that sorts.
        self.assertEqual(json.dumps(certificate, **SPELLING).encode(), canonical)
        self.assertEqual(SAMPLE.read_bytes(), rfc8785.dumps(envelope) + b"\n")

    def test_what_andon_signed_is_verified_by_openssl(self):
        envelope = json.loads(SAMPLE.read_bytes())
        message = self.write("message", json.dumps(envelope["certificate"], **SPELLING))
        signature = self.write("signature", bytes.fromhex(envelope["signature"]["value"]))
        verify = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", KEY, "-rawin", "-sigfile", signature, "-in"]
        done = run([*verify, message])
        self.assertEqual((done.returncode, done.stdout.strip()), (0, "Signature Verified Successfully"), done.stderr)
        self.assertNotEqual(run([*verify, signature]).returncode, 0)

    def test_andon_verifies_its_own_with_the_key_in_any_form(self):
        key = load_pem_public_key(KEY.read_bytes())
        raw = key.public_bytes(Encoding.Raw, PublicFormat.Raw)
        der = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        for form in (KEY, self.write("raw", raw), self.write("der", der), self.write("hex", raw.hex() + "\n"), raw.hex(), raw.hex().upper()):
            with self.subTest(form):
                said = self.andon(SAMPLE, form, code=0)
                self.assertIn("good: serial CP25-0004711 of GTIN 4006381333931, revision C\n", said)
                self.assertIn("job order 4711-10, 3 parts, 4 test values, none outside its limits\n", said)
        self.andon(SAMPLE, self.key, KEY, code=0)

    def test_andon_verifies_what_others_signed(self):
        envelope = self.signed(self.certificate())
        pem = self.owner.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        key = self.write("key.pem", pem)
        for name, text in (
            ("as written", json.dumps(envelope, ensure_ascii=False)),
            ("laid out", json.dumps(envelope, ensure_ascii=False, indent=2)),
            ("canonical", rfc8785.dumps(envelope)),
        ):
            with self.subTest(name):
                said = self.andon(self.write("theirs.json", text), key, code=0)
                self.assertIn("good: serial Z-7/ü/😀/דּ of PRESS-7, revision B\n", said)
                self.assertIn("2 test values, 1 outside their limits\n", said)

    def test_what_is_wrong_is_refused_with_the_reason(self):
        good = self.signed(self.certificate())

        def refused(envelope, words: str, *keys, **spelling):
            text = envelope if isinstance(envelope, (str, bytes)) else json.dumps(envelope, **{"ensure_ascii": False, **spelling})
            said = self.andon(self.write("wrong.json", text), *(keys or [self.key]), code=2)
            self.assertTrue(said.startswith("refused: "), said)
            self.assertIn(words, said)

        changed = copy.deepcopy(good)
        changed["certificate"]["tests"][1].update(value="0.0299", verdict="pass")
        refused(changed, "the signature is wrong")
        lying = self.certificate()
        lying["tests"][1]["verdict"] = "pass"
        refused(self.signed(lying), '"Run-out" says pass, but 0.0301 with the upper limit 0.03 is fail')
        refused(self.signed(self.certificate(version=2)), "version 2")
        refused(self.signed(self.certificate(format="passport")), '"passport"')
        refused(self.signed(self.certificate(roles=[{"role": "inspector", "person": "Erika Mustermann"}])), "the content is not")
        refused(self.signed(self.certificate(price="12.50")), "unknown field `price`")
        refused(self.signed(self.certificate(issued_at="yesterday")), "no time")
        refused(good, "which is none of the 1 trusted", "00" * 32)
        refused(json.dumps(good, ensure_ascii=False).replace('"Ram"', '"Bar", "component": "Ram"'), 'two members "component"')
        refused(good, "is not spelled as RFC 8785 has it", ensure_ascii=True)
        refused("not at all", "this is no JSON")
        refused(b" " * (8 << 20) + b" ", "larger than 8 MiB")
        refused("[" * 1_000_000, "more than 8 deep")
        said = self.andon(SAMPLE, code=2)
        self.assertIn("none of the 0 trusted", said)
        self.assertIn("try: --key", said)

    def test_a_changed_byte_is_refused(self):
        file, chance = SAMPLE.read_bytes(), random.Random(4711)
        for at in sorted(chance.sample(range(len(file) - 1), 40)):
            changed = bytearray(file)
            changed[at] ^= 1 << chance.randrange(8)
            with self.subTest(at):
                self.andon(self.write("changed.json", bytes(changed)), KEY, code=2)

    def test_what_cannot_be_judged_is_neither_good_nor_refused(self):
        secret = run(["openssl", "genpkey", "-algorithm", "ed25519"]).stdout
        other = self.folder / "p256.pem"
        made = run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]).stdout
        other.write_text(run(["openssl", "pkey", "-pubout", "-in", self.write("p256.key", made)]).stdout)
        for file, key, words in (
            (self.folder / "nowhere.json", KEY, "could not read"),
            (SAMPLE, self.folder / "nowhere.pem", "could not read"),
            (SAMPLE, self.write("secret.pem", secret), "this is a private key"),
            (SAMPLE, other, "not one of Ed25519"),
            (SAMPLE, SAMPLE, "this is no public key"),
        ):
            with self.subTest(words):
                self.assertIn(words, self.andon(file, key, code=1))
