"""SQL with foreign clients: psql and psycopg list the schema, run what the manual shows, and get the values that went in."""

import csv
import gzip
import io
import json
import os
import socket
import unittest
import urllib.parse
from datetime import datetime, timedelta, timezone
from pathlib import Path

import psycopg
from harness import PASSWORD, ROOT, Case, http, run, wait_until
from mqtt import Client

PLANT = """
[[equipment]]
path = "works"
level = "site"
profile = "plant"
title = "Works"

[[equipment]]
path = "works/line1"
level = "work_center"
title = "Line 1"

[[equipment]]
path = "works/line2"
level = "work_center"
title = "Line 2"

[[tag]]
path = "works/line1/pressure"
type = "double"
unit = "bar"
title = "Pressure"
range = [0, 10]

[[tag]]
path = "works/line1/state"
type = "string"
title = "State"

[[tag]]
path = "works/line1/count"
type = "int64"
title = "Count"

[[tag]]
path = "works/line2/pressure"
type = "double"
unit = "bar"
title = "Pressure"
"""

REPORTS = ("report_days", "report_genealogy", "report_hours", "report_job_times", "report_jobs", "report_lots", "report_orders")
JDBC = Path("/usr/share/java/postgresql.jar")

T0 = datetime(2026, 11, 1, 6, 0, tzinfo=timezone.utc)
POINTS = 600
BIG = 2**62 + 1


def value(n: int) -> float:
    return (n % 60) / 10


class Sql(Case):
    def setUp(self):
        super().setUp()
        self.here = self.node()
        self.here.apply(PLANT)
        self.here.make_user("anna", "administrator")
        self.here.make_user("bert", "viewer", "works/line1")
        at = lambda n: int((T0 + timedelta(seconds=n)).timestamp())
        lines = [f"works/line1 pressure={value(n)},count={n}i {at(n)}" for n in range(POINTS)]
        lines += [f"works/line2 pressure={value(n) + 1} {at(n)}" for n in range(POINTS)]
        lines += [f'works/line1 state="{"running" if n % 2 else "held"}" {at(60 * n)}' for n in range(10)]
        lines.append(f"works/line1 count={BIG}i {at(POINTS)}")
        answer = self.here.post("/api/ingest?precision=s", "\n".join(lines))
        self.assertEqual(answer.status, 204, answer)
        self.wait_stored(POINTS)

    def wait_stored(self, count: int):
        ask = lambda: self.rows("SELECT count(*) FROM samples WHERE path = 'works/line2/pressure'") == [(count,)]
        wait_until("what was taken is in history", ask)

    # -- clients --

    def connect(self, user: str = "anna", password: str = PASSWORD, **options) -> psycopg.Connection:
        host, port = self.here.sql
        link = psycopg.connect(host=host, port=port, user=user, password=password, dbname="andon", connect_timeout=10, **options)
        self.addCleanup(link.close)
        return link

    def rows(self, query: str, parameters=None, user: str = "anna", **options) -> list[tuple]:
        with self.connect(user, **options) as link:
            return link.execute(query, parameters).fetchall()

    def psql(self, *arguments: str, user: str = "anna", code: int = 0) -> str:
        host, port = self.here.sql
        environment = {**os.environ, "PGPASSWORD": PASSWORD, "PGCONNECT_TIMEOUT": "10", "LC_ALL": "C.UTF-8", "PSQLRC": "/dev/null"}
        command = ["psql", "-X", "-h", host, "-p", str(port), "-U", user, "-d", "andon", "-v", "ON_ERROR_STOP=1", *arguments]
        done = run(command, env=environment, deadline=60)
        self.assertEqual(done.returncode, code, f"{arguments}: {done.stdout}{done.stderr}")
        return done.stdout + done.stderr

    def test_all_that_was_acknowledged_is_compacted_and_a_damaged_file_is_said_and_not_passed_over(self):
        later = T0 + timedelta(days=1)
        lines = [f"works/line2 pressure=1 {int((later + timedelta(seconds=n)).timestamp())}" for n in range(POINTS)]
        self.assertEqual(self.here.post("/api/ingest?precision=s", "\n".join(lines)).status, 204)
        # Not asked whether history has followed: what was answered belongs to it.
        stored = self.here.post("/api/history/compact", None)
        self.assertEqual((stored.status, stored.json["buffered_points"], stored.json["files"]), (200, 0, 2), stored)
        whole = "SELECT count(*), sum(value) FROM samples WHERE path = 'works/line2/pressure'"
        before = self.rows(whole)
        self.assertEqual(before[0][0], 2 * POINTS)
        self.here.stop()
        (file,) = (self.here.data_dir / "history" / "parquet").rglob(f"*{T0:%Y-%m-%d}*/*.parquet")
        bytes_ = bytearray(file.read_bytes())
        bytes_[len(bytes_) // 3] ^= 0x55
        file.write_bytes(bytes_)
        file.with_suffix(".rollup").unlink()
        self.here.start()
        for query in (whole, "SELECT value FROM samples WHERE path = 'works/line2/pressure'", "SELECT * FROM samples_by_hour"):
            with self.assertRaises(psycopg.Error) as fault:
                self.rows(query)
            self.assertIn(file.name, str(fault.exception))
            self.assertIn("restore it from a backup", str(fault.exception))
        rest = self.rows(f"{whole} AND ts >= '{later:%Y-%m-%d}'")
        self.assertEqual(rest, [(POINTS, float(POINTS))], "the other day is served")

    # -- psql --

    def test_psql_lists_the_schema_and_reads(self):
        views = ("equipment", "events", "gaps", "last_values", *REPORTS, "samples", "samples_by_day", "samples_by_hour", "samples_by_minute", "tags")
        for command in (r"\d", r"\dt", r"\dv", r"\dtv", r"\dv *"):
            listed = self.psql("-A", "-t", "-c", command).split()
            self.assertEqual(listed, [f"public|{view}|table|andon" for view in views], command)
        for command in (r"\d samples", r"\d public.samples"):
            self.assertEqual(
                [line.split("|")[:4] for line in self.psql("-A", "-t", "-c", command).split("\n") if "|" in line],
                [
                    ["path", "text", "", "not null"],
                    ["ts", "timestamp with time zone", "", "not null"],
                    ["value", "double precision", "", ""],
                    ["text", "text", "", ""],
                    ["quality", "text", "", "not null"],
                    ["status", "text", "", "not null"],
                    ["status_code", "bigint", "", "not null"],
                    ["raw", "text", "", ""],
                ],
            )
        self.assertIn("samples_by_hour", self.psql("-A", "-t", "-c", r"\dv samples*"))
        functions = {line.split("|")[1]: line.split("|")[2:] for line in self.psql("-A", "-t", "-c", r"\df").splitlines()}
        self.assertEqual(functions["time_weighted_average"][::2], ["double precision", "agg"])
        self.assertTrue(functions["time_bucket"][1].startswith("width interval, ts timestamp with time zone"), functions)
        self.assertIn("The average over time", self.psql("-c", r"\df+ time_weighted_average"))
        self.assertEqual(self.psql("-A", "-t", "-c", r"\du").split("|")[0], "anna")
        self.assertEqual(self.psql("-A", "-t", "-c", "SELECT current_user").strip(), "anna")
        for command in (r"\d", r"\d+ samples", r"\dt+", r"\l", r"\dn", r"\du", r"\dv", r"\di", r"\df", r"\conninfo"):
            self.psql("-c", command)
        out = self.psql("--csv", "-c", "SELECT ts, value FROM samples WHERE path = 'works/line1/pressure' ORDER BY ts LIMIT 3")
        self.assertEqual(out.splitlines(), ["ts,value", "2026-11-01 06:00:00+00,0", "2026-11-01 06:00:01+00,0.1", "2026-11-01 06:00:02+00,0.2"])
        self.assertIn("SET", self.psql("-c", "SET statement_timeout = 0", "-c", "BEGIN", "-c", "SELECT 1", "-c", "COMMIT"))
        refused = self.psql("-c", "DROP TABLE samples", code=1)
        self.assertIn("refused", refused)
        for changes in ("INSERT INTO samples VALUES (1)", "CREATE TEMP TABLE t (a int)"):
            self.assertIn("25006", self.psql("-v", "VERBOSITY=verbose", "-c", changes, code=1))
        cursor = self.psql("-A", "-t", "-v", "FETCH_COUNT=0", "-c", "SELECT count(*) FROM samples")
        self.assertEqual(cursor.strip(), str(POINTS * 3 + 11))

    def test_an_event_is_as_grave_in_sql_as_in_the_timeline(self):
        self.assertEqual(self.here.post("/api/history/compact", None).status, 200)
        with self.assertRaises(psycopg.Error):
            self.connect(password="wrong")
        Client("press-7", durable=False).connect(self.here.mqtt).close()

        def both():
            told = {event["id"]: event for event in self.here.timeline()}
            came = [event for event in told.values() if event["kind"] == "connection"]
            return len(came) == 2 and (told, {id_: severity for id_, severity in self.rows("SELECT id, severity FROM events")})

        told, listed = wait_until("the client has come and gone", both)
        here = {id_: event["severity"] for id_, event in told.items()}
        self.assertEqual({id_: severity for id_, severity in listed.items() if id_ in here}, here)
        names = self.rows("SELECT detail ->> 'action', detail -> 'action', severity_name FROM events WHERE detail ->> 'action' = 'login_refused'")
        self.assertEqual(names, [("login_refused", '"login_refused"', "low")])
        word = lambda event: event["detail"].get("action", event["kind"])
        seen = {(word(event), event["severity"]) for event in told.values()}
        self.assertLessEqual({("started", 0), ("history_compacted", 0), ("connection", 0), ("login_refused", 4)}, seen)

    def test_what_the_manual_shows_works(self):
        # Its examples are about tags of the demo.
        levels = {"works/packaging": "area", "works/packaging/line1": "work_center", "works/packaging/line1/filler": "work_unit"}
        places = [f'[[equipment]]\npath = "{path}"\nlevel = "{level}"\n' for path, level in levels.items()]
        kinds = {"pressure": "double", "speed": "double", "state": "string"}
        tags = [f'[[tag]]\npath = "works/packaging/line1/filler/{name}"\ntype = "{kind}"\n' for name, kind in kinds.items()]
        self.here.apply("\n".join([*places, *tags]))
        manual = (ROOT / "docs/manual/sql.md").read_text()
        shown = [block.split("```")[0].strip() for block in manual.split("```sql\n")[1:]]
        statements = [text.strip() for block in shown for text in block.split(";\n") if text.strip()]
        self.assertGreater(len(statements), 8)
        with self.connect(autocommit=True) as link:
            for statement in statements:
                with self.subTest(statement):
                    link.execute(statement).fetchall()

    # -- psycopg --

    def test_values_nulls_quality_and_time_zones(self):
        for binary in (False, True):
            with self.subTest(binary=binary), self.connect() as link, link.cursor(binary=binary) as cursor:
                cursor.execute("SELECT ts, value, text, quality, status_code FROM samples WHERE path = 'works/line1/pressure' ORDER BY ts")
                rows = cursor.fetchall()
                self.assertEqual(len(rows), POINTS)
                for n, (ts, number, text, quality, code) in enumerate(rows):
                    self.assertEqual((ts, number, text, quality, code), (T0 + timedelta(seconds=n), value(n), None, "good", 0))
                cursor.execute("SELECT text, value FROM samples WHERE path = 'works/line1/state' ORDER BY ts LIMIT 2")
                self.assertEqual(cursor.fetchall(), [("held", None), ("running", None)])
                cursor.execute("SELECT raw FROM samples WHERE path = 'works/line1/count' ORDER BY ts DESC LIMIT 1")
                self.assertEqual(cursor.fetchone(), (str(BIG),))

    def test_parameters_of_every_kind(self):
        berlin = timezone(timedelta(hours=1))
        for prepare in (False, True):
            with self.subTest(prepare=prepare), self.connect() as link:
                ask = lambda query, *given: link.execute(query, given, prepare=prepare).fetchall()
                # 07:01 in Berlin is 06:01 UTC.
                since, until = datetime(2026, 11, 1, 7, 1, tzinfo=berlin), datetime(2026, 11, 1, 7, 2, tzinfo=berlin)
                count = ask("SELECT count(*) FROM samples WHERE path = %s AND ts >= %s AND ts < %s", "works/line1/pressure", since, until)
                self.assertEqual(count, [(60,)])
                self.assertEqual(ask("SELECT count(*) FROM samples WHERE path = ANY(%s)", ["works/line1/pressure", "works/line2/pressure"]), [(2 * POINTS,)])
                self.assertEqual(ask("SELECT count(*) FROM samples WHERE path = %s AND value > %s", "works/line1/pressure", 5.85), [(POINTS // 60,)])
                self.assertEqual(len(ask("SELECT ts FROM samples WHERE path LIKE %s LIMIT %s", "works/line2/%", 7)), 7)
                self.assertEqual(ask("SELECT %s::text, %s::int, %s::float8, %s::bool", "it's", 42, 1.5, True), [("it's", 42, 1.5, True)])
                self.assertEqual(ask("SELECT count(*) FROM tags WHERE unit = %s", None), [(0,)])

    # -- times --

    def test_times_in_every_spelling_from_psql_and_as_parameters(self):
        count = "SELECT count(*) FROM samples WHERE path = 'works/line1/pressure' AND ts < "
        for time in ("'2026-11-01 06:01'", "'2026-11-01T06:01Z'", "'2026-11-01 07:01+01'", "timestamptz '2026-11-01 06:01'", "'20261101T060100'::timestamptz"):
            self.assertEqual(self.psql("-A", "-t", "-c", count + time).strip(), "60", time)
        for prepare in (False, True):
            with self.connect() as link:
                ask = lambda query, *given: link.execute(query, given, prepare=prepare).fetchall()
                for time in ("2026-11-01 06:01", "2026-11-01T06:01", "2026-11-01 07:01 +01:00", "2026-11-01 07:01 Europe/Berlin"):
                    self.assertEqual(ask(count + "%s", time), [(60,)], time)
                    self.assertEqual(ask(count + "%s::timestamptz", time), [(60,)], time)
                self.assertEqual(ask(count + "%s", datetime(2026, 11, 1, 6, 1)), [(60,)])
        refused = self.psql("-c", r"\set VERBOSITY verbose", "-c", count + "'yesterday'", code=1)
        self.assertIn("22007", refused)
        self.assertIn("write it as '2026-11-01 08:00'", refused)

    def test_local_times_of_a_place_and_to_char(self):
        first = "FROM samples WHERE path = 'works/line1/pressure' ORDER BY ts LIMIT 1"
        out = self.psql("--csv", "-c", f"SELECT ts, ts AT TIME ZONE 'Europe/Paris', date_trunc('day', ts AT TIME ZONE 'Europe/Paris') AS day {first}")
        self.assertEqual(out.splitlines(), ["ts,timezone,day", "2026-11-01 06:00:00+00,2026-11-01 07:00:00,2026-11-01 00:00:00"])
        for binary in (False, True):
            with self.connect() as link, link.cursor(binary=binary) as cursor:
                cursor.execute(f"SELECT ts AT TIME ZONE %s, extract(hour from ts AT TIME ZONE 'Europe/Paris'), to_char(ts AT TIME ZONE 'Europe/Paris', 'FMDay DD FMMonth YYYY, HH24:MI') {first}", ("Europe/Paris",))
                self.assertEqual(cursor.fetchall(), [(datetime(2026, 11, 1, 7, 0), 7, "Sunday 01 November 2026, 07:00")])
        self.assertIn("date_format", self.psql("-c", f"SELECT to_char(ts, '%Y') {first}", code=1))

    def test_a_reading_of_the_first_or_last_year_breaks_no_question_about_ages(self):
        # Microseconds since 1970 of 0001-01-01 and 9999-12-31.
        lines = "works/line1 count=1i -62135596800000000\nworks/line2 pressure=1 253402214400000000"
        self.assertEqual(self.here.post("/api/ingest?precision=us", lines).status, 204)
        last = wait_until("both are the last values", lambda: (rows := self.rows("SELECT path, extract(epoch from now() - ts) FROM last_values")) and any(age < -200e9 for _, age in rows) and rows)
        self.assertEqual(len(last), 4)
        self.assertEqual(len(self.rows("SELECT now() - ts > INTERVAL '1 day' FROM last_values")), 4)

    def test_buckets_and_averages(self):
        rows = self.rows(
            "SELECT time_bucket('1 minute', ts) AS minute, avg(value), time_weighted_average(ts, value), count(*) "
            "FROM samples WHERE path = 'works/line1/pressure' GROUP BY 1 ORDER BY 1"
        )
        self.assertEqual([row[0] for row in rows], [T0 + timedelta(minutes=n) for n in range(10)])
        for _, average, weighted, count in rows:
            self.assertAlmostEqual(average, 2.95)
            self.assertAlmostEqual(weighted, 2.95)
            self.assertEqual(count, 60)
        thin = self.rows("SELECT ts, value FROM thin('works/line1/pressure', '2026-11-01T06:00:00Z', '2026-11-01T06:10:00Z', 50)")
        self.assertTrue(10 < len(thin) <= 50 and {0.0, 5.9} <= {row[1] for row in thin}, thin)

    def test_averages_over_time_agree_with_the_standard_aggregate_but_where_the_manual_says(self):
        ms = lambda n: int((T0 + timedelta(seconds=n)).timestamp()) * 1000

        def standard(tag: str, to: int, interval: int, **more) -> list[float]:
            query = {"tag": tag, "aggregate": "TimeAverage2", "from_ms": ms(0), "to_ms": ms(to), "interval_ms": interval * 1000, **more}
            answer = self.here.get(f"/api/aggregate?{urllib.parse.urlencode(query)}")
            self.assertEqual(answer.status, 200, answer)
            return [value for _, value, _ in answer.json["values"]]

        def resampled(tag: str, to: int, step: int) -> list[float]:
            rows = self.rows(f"SELECT value FROM resample('{tag}', '{T0:%Y-%m-%d %H:%M}', '{T0 + timedelta(seconds=to):%Y-%m-%d %H:%M}', INTERVAL '{step} seconds')")
            return [value for (value,) in rows]

        for step in (60, 7):
            here, there = resampled("works/line1/pressure", 420, step), standard("works/line1/pressure", 420, step)
            self.assertEqual(len(here), -(-420 // step))
            for one, other in zip(here, there, strict=True):
                self.assertAlmostEqual(one, other, places=9)
        # The worked example of docs/manual/aggregates.md.
        self.here.apply('[[tag]]\npath = "works/slope"\ntype = "double"\n[[tag]]\npath = "works/steps"\ntype = "double"\ninterpolation = "stepped"\n')
        example = [(0, 20, "good"), (10, 30, "good"), (20, "", "bad"), (40, 50, "good"), (50, 60, "uncertain"), (60, 40, "good")]
        rows = [f"works/{name},{ms(n)},{number},{quality}" for name in ("slope", "steps") for n, number, quality in example]
        self.assertEqual(self.here.post("/api/ingest", "\n".join(["path,ts,value,quality", *rows]), headers={"content-type": "text/csv"}).status, 204)
        wait_until("both are history", lambda: self.rows("SELECT count(*) FROM samples WHERE path IN ('works/slope', 'works/steps')") == [(12,)])
        uncertain_too = {"treat_uncertain_as_bad": "false"}
        for here, there in [
            (standard("works/slope", 60, 60), 35),
            (standard("works/slope", 60, 60, **uncertain_too), 40),
            (resampled("works/slope", 60, 60), 1300 / 30),
            (standard("works/steps", 60, 60), 100 / 3),
            (standard("works/steps", 60, 60, **uncertain_too), 40),
            (resampled("works/steps", 60, 60), 40),
        ]:
            self.assertEqual(len(here), 1)
            self.assertAlmostEqual(here[0], there)

    def test_a_server_side_cursor_and_cancel(self):
        with self.connect() as link:
            with link.cursor() as cursor:
                rows = list(cursor.stream("SELECT ts FROM samples ORDER BY path, ts"))
                self.assertEqual(len(rows), POINTS * 3 + 11)
            self.assertEqual(link.execute("SELECT 1").fetchone(), (1,))

    def test_rights_are_those_of_andon(self):
        self.assertEqual(self.rows("SELECT DISTINCT path FROM samples WHERE path LIKE '%line2%' OR true ORDER BY 1", user="bert"),
                         [("works/line1/count",), ("works/line1/pressure",), ("works/line1/state",)])
        with self.assertRaises(psycopg.OperationalError) as wrong:
            self.connect(password="not this one")
        self.assertIn("wrong", str(wrong.exception))
        refusals = wait_until("the refusal is recorded", lambda: [e for e in self.here.timeline(kind="user") if "login_refused" in json.dumps(e)])
        self.assertTrue(refusals)
        with self.connect("bert") as link:
            link.execute("SELECT 1").fetchall()
            user = next(u for u in self.here.get("/api/users").json["users"] if u["name"] == "bert")
            self.here.request("PATCH", f"/api/users/{user['id']}", {"enabled": False})
            with self.assertRaises(psycopg.Error) as gone:
                link.execute("SELECT * FROM samples").fetchall()
            self.assertEqual(gone.exception.sqlstate, "42501")

    def test_nothing_but_reading(self):
        with self.connect(autocommit=True) as link:
            for statement in ("CREATE TABLE t (a int)", "COPY samples TO '/tmp/x'", "DELETE FROM samples", "SELECT * FROM '/etc/passwd'"):
                with self.subTest(statement), self.assertRaises(psycopg.Error):
                    link.execute(statement)

    # -- Java --

    @unittest.skipUnless(JDBC.exists(), "libpostgresql-jdbc-java is not installed")
    def test_jdbc_reads_metadata_and_values(self):
        host, port = self.here.sql
        source = Path(__file__).with_name("Jdbc.java")
        done = run(["java", "-cp", JDBC, source, f"jdbc:postgresql://{host}:{port}/andon", "anna", PASSWORD], deadline=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        lines = done.stdout.splitlines()
        self.assertIn("table samples", lines)
        self.assertIn("column ts timestamptz 93", lines)
        self.assertIn("column value float8 8", lines)
        self.assertIn(f"rows {POINTS}", lines)
        self.assertIn("first 2026-11-01T06:00:00Z 0.0", lines)
        self.assertIn("prepared 60", lines)

    # -- HTTP and the command line --

    def test_http_answers_in_three_forms(self):
        query = "SELECT ts, value FROM samples WHERE path = 'works/line1/pressure' ORDER BY ts LIMIT 2"
        answer = self.here.post("/api/sql", {"query": query})
        self.assertEqual(answer.json, {
            "columns": [{"name": "ts", "type": "timestamp with time zone"}, {"name": "value", "type": "double precision"}],
            "rows": [["2026-11-01T06:00:00.000000Z", 0.0], ["2026-11-01T06:00:01.000000Z", 0.1]],
        })
        answer = self.here.post("/api/sql", {"query": "SELECT 1e308 * 10 AS a, -1e308 * 10 AS b, 'NaN'::float8 AS c, NULL::float8 AS d, 1.5 AS e"})
        self.assertEqual(answer.json["rows"], [["Infinity", "-Infinity", "NaN", None, 1.5]])
        answer = self.here.post("/api/sql", {"query": query, "format": "csv"})
        self.assertEqual(list(csv.reader(io.StringIO(answer.text))), [["ts", "value"], ["2026-11-01T06:00:00.000000Z", "0.0"], ["2026-11-01T06:00:01.000000Z", "0.1"]])
        answer = self.here.post("/api/sql", {"query": query, "format": "arrow"})
        self.assertEqual((answer.status, answer.headers["content-type"]), (200, "application/vnd.apache.arrow.stream"))
        self.assertEqual(answer.body[:4], b"\xff\xff\xff\xff", "an IPC stream")
        # As a browser asks: the answer comes packed, in pieces, and whole.
        asked = {"accept-encoding": "gzip"}
        answer = http(self.here.http, "POST", "/api/sql", {"query": query}, token=self.here.token, headers=asked)
        self.assertEqual(answer.headers["content-encoding"], "gzip")
        self.assertEqual(len(json.loads(gzip.decompress(answer.body))["rows"]), 2)
        for wrong, status in (("DROP TABLE samples", 400), ("SELECT nonsense", 400), ("", 400)):
            answer = self.here.post("/api/sql", {"query": wrong})
            self.assertEqual((answer.status, answer.headers["content-type"]), (status, "application/problem+json"), wrong)
        self.assertEqual(self.here.post("/api/sql", {"query": "SELECT 1"}, token=None).status, 401)

    def test_the_command_line_prints_tables_csv_and_json(self):
        query = "SELECT path, value FROM last_values WHERE unit = 'bar' ORDER BY path"
        done = self.here.cli("sql", query)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("(2 rows)", done.stdout)
        self.assertRegex(done.stdout, r"works/line1/pressure +5\.9")
        done = self.here.cli("sql", "--format", "csv", query)
        self.assertEqual(done.stdout.splitlines()[1:], ["works/line1/pressure,5.9", "works/line2/pressure,6.9"])
        done = self.here.cli("sql", "--format", "json", query)
        self.assertEqual(json.loads(done.stdout)["rows"][0], ["works/line1/pressure", 5.9])
        done = self.here.cli("sql", "DROP TABLE samples")
        self.assertEqual(done.returncode, 1)
        self.assertIn("refused", done.stderr)


class Encrypted(Case):
    """Beyond loopback: only with TLS."""

    def test_another_machine_must_encrypt(self):
        with socket.create_server(("", 0)) as free:
            port = free.getsockname()[1]
        here = self.node(extra=f'[sql]\nlisten = "0.0.0.0:{port}"\n')
        self.assertNotIn("sql", here.addresses, "nothing listens beyond loopback before an administrator exists")
        here.make_user("anna", "administrator")
        wait_until("SQL listens", lambda: "SQL listens now" in here.log_text())
        options = {"port": port, "user": "anna", "password": PASSWORD, "dbname": "andon", "connect_timeout": 10}
        with psycopg.connect(host="127.0.0.1", sslmode="require", **options) as link:
            self.assertTrue(link.pgconn.ssl_in_use)
        outside = next((a[4][0] for a in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET) if not a[4][0].startswith("127.")), None)
        if outside is None:
            self.skipTest("this machine has no address beyond loopback")
        with psycopg.connect(host=outside, sslmode="require", **options) as link:
            self.assertEqual(link.execute("SELECT 1").fetchone(), (1,))
        with self.assertRaises(psycopg.OperationalError) as refused:
            psycopg.connect(host=outside, sslmode="disable", **options)
        self.assertIn("encrypted", str(refused.exception))
