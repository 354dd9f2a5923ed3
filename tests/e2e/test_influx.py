"""InfluxDB's own client, and requests as Telegraf and curl make them, write into history."""

import base64
import gzip
import json
import urllib.parse

from harness import Case, http, wait_until
from influxdb_client import InfluxDBClient, Point, WritePrecision
from influxdb_client.client.write_api import SYNCHRONOUS
from influxdb_client.rest import ApiException

PLANT = """
[[equipment]]
path = "works"
level = "site"
[[equipment]]
path = "works/oven"
level = "area"
[[equipment]]
path = "works/oven/2"
level = "work_center"
[[equipment]]
path = "works/oven/2/left"
level = "work_unit"
""" + "".join(
    f'\n[[tag]]\npath = "works/oven/2/left/{name}"\ntype = "{kind}"\n'
    for name, kind in [("heat", "double"), ("count", "int64"), ("on", "boolean"), ("batch", "string")]
)
LEFT = "works/oven/2/left"
BEGIN_S = 1_700_000_000


class Influx(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        answer = self.here.post("/api/tokens", {"name": "telegraf", "grants": [{"role": "operator", "branch": "works/oven"}]})
        self.assertEqual(answer.status, 201, answer)
        self.secret = answer.json["token"]

    def client(self, **options) -> InfluxDBClient:
        client = InfluxDBClient(url=f"http://{self.here.http}", token=options.pop("token", self.secret), org="any", **options)
        self.addCleanup(client.close)
        return client

    def has(self, name: str, expected: list) -> None:
        """History follows the log a moment later."""
        read = lambda: self.here.history(f"{LEFT}/{name}", 0, 4_000_000_000_000)["points"]
        wait_until(f"{name} has {len(expected)} points", lambda: len(read()) >= len(expected))
        self.assertEqual(read(), expected, name)

    def point(self, n: int) -> Point:
        point = Point("oven").tag("side", "left").tag("number", "2").time(BEGIN_S + n, WritePrecision.S)
        return point.field("heat", n + 0.25).field("count", n).field("on", n % 2 == 0).field("batch", f'charge "{n}", ü')

    def check(self, count: int) -> None:
        at = [(BEGIN_S + n) * 1_000 for n in range(count)]
        self.has("heat", [[ms, n + 0.25, 0] for n, ms in enumerate(at)])
        self.has("count", [[ms, n, 0] for n, ms in enumerate(at)])
        self.has("on", [[ms, n % 2 == 0, 0] for n, ms in enumerate(at)])
        self.has("batch", [[ms, f'charge "{n}", ü', 0] for n, ms in enumerate(at)])

    def test_the_client_of_influxdb_writes_and_what_it_wrote_survives_a_kill(self):
        self.assertTrue(self.client().ping())
        # One at a time, and packed in batches from the client's own thread.
        self.client().write_api(write_options=SYNCHRONOUS).write(bucket="works", record=self.point(0))
        with self.client(enable_gzip=True) as client, client.write_api() as batches:
            for n in range(1, 3_000):
                batches.write(bucket="works", record=self.point(n))
        self.here.kill()
        self.here.start()
        self.check(3_000)

    def test_the_client_hears_what_was_refused_and_the_rest_is_kept(self):
        api = self.client().write_api(write_options=SYNCHRONOUS)
        lines = ["oven,number=2,side=left count=1i 1", "oven,number=3,side=left count=1i 1", "oven,number=2,side=left count=2i 2"]
        with self.assertRaises(ApiException) as refused:
            api.write(bucket="works", record=lines, write_precision=WritePrecision.S)
        self.assertEqual(refused.exception.status, 400)
        self.assertIn("1 lines were refused, the others are stored: line 2: works/oven/3/left/count is not known", refused.exception.message)
        self.has("count", [[1_000, 1, 0], [2_000, 2, 0]])
        for token, bucket, status in [("wrong", "works", 401), (self.secret, "elsewhere", 403)]:
            with self.assertRaises(ApiException) as refused:
                self.client(token=token).write_api(write_options=SYNCHRONOUS).write(bucket=bucket, record=lines)
            self.assertEqual(refused.exception.status, status)

    def test_version_1_in_every_way_to_log_in(self):
        basic = base64.b64encode(f"anybody:{self.secret}".encode()).decode()
        query = urllib.parse.urlencode({"db": "telegraf", "rp": "", "consistency": "any", "precision": "s"})
        ways = [
            ({"authorization": f"Basic {basic}"}, query),
            ({"authorization": f"Token {self.secret}"}, query),
            ({}, query + "&" + urllib.parse.urlencode({"u": "anybody", "p": self.secret})),
        ]
        for second, (headers, query) in enumerate(ways):
            line = f"works/oven,number=2,side=left count={second}i {second}\n"
            headers = {"x-andon": None, "content-type": "text/plain; charset=utf-8", "user-agent": "Telegraf/1.30", **headers}
            answer = http(self.here.http, "POST", f"/write?{query}", line, headers=headers)
            self.assertEqual(answer.status, 204, answer)
        self.has("count", [[second * 1_000, second, 0] for second in range(3)])
        answer = http(self.here.http, "POST", "/write?u=anna&p=wrong", line, headers={"x-andon": None})
        self.assertEqual((answer.status, "not known" in answer.json["error"]), (401, True), answer)

    def test_what_is_packed_is_bounded_unpacked(self):
        def send(body: bytes, path="/api/v2/write?bucket=works&precision=s"):
            headers = {"authorization": f"Bearer {self.secret}", "content-encoding": "gzip", "content-type": "text/plain"}
            return http(self.here.http, "POST", path, body, headers=headers)

        line = b"oven,number=2,side=left count=1i 1\n"
        self.assertEqual(send(gzip.compress(line) + gzip.compress(line.replace(b"1i 1", b"2i 2"))).status, 204)
        self.has("count", [[1_000, 1, 0], [2_000, 2, 0]])
        bomb = gzip.compress(line * 2_000_000)
        self.assertLess(len(bomb), 1 << 20)
        for path in ("/api/v2/write?bucket=works", "/write", "/api/ingest"):
            self.assertEqual(send(bomb, path).status, 413, path)
            for damaged in (gzip.compress(line * 100)[:-40], b"not packed"):
                answer = send(damaged, path)
                self.assertEqual(answer.status, 400, answer)
        self.has("count", [[1_000, 1, 0], [2_000, 2, 0]])

    def test_a_million_unknown_names_make_no_tags_and_no_harm(self):
        lines = "".join(f"oven,number={n},side=x value=1\n" for n in range(200_000)).encode()
        for _ in range(5):
            answer = self.here.post("/api/v2/write?bucket=works", lines, headers={"content-type": "text/plain"}, deadline=60)
            self.assertEqual(answer.status, 400, answer)
            self.assertLess(len(answer.body), 20_000)
            self.assertIn("nothing was stored, 200000 lines were refused", json.loads(answer.body)["message"])
        self.assertEqual(len(self.here.get("/api/plant").json["tags"]), 4)
        self.assertEqual(self.here.post("/api/v2/write?bucket=works&precision=s", "oven,number=2,side=left count=1i 1").status, 204)
