"""SQL as ODBC, Grafana, Npgsql and Power BI ask for it.

ODBC runs as it is. Grafana, Npgsql and Power BI cannot be had here: the statements below ask for the same tables, columns and functions in the same
shapes as theirs, in the simple and in the extended protocol.
"""

import struct
import unittest
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal

import psycopg
from harness import PASSWORD, Case, wait_until
from test_sql import BIG, PLANT, POINTS, REPORTS, T0, value

try:
    import pyodbc
except ImportError:  # unixODBC itself is missing.
    pyodbc = None

DRIVER = "PostgreSQL Unicode"
HAS_ODBC = pyodbc is not None and DRIVER in pyodbc.drivers()
TEXT = "Größe 测量 🌡 it's"
SENT = 3 * POINTS + 12
# In ODBC a time has no zone; the driver gives UTC.
UTC0 = T0.replace(tzinfo=None)
VIEWS = ["equipment", "events", "gaps", "last_values", *REPORTS, "samples", "samples_by_day", "samples_by_hour", "samples_by_minute", "tags"]
AWAY = """
[[connector]]
name = "away"
type = "modbus"
title = "A device that is not there"
endpoint = "ENDPOINT"
poll = "50ms"
timeout = "200ms"
register = [{ tag = "works/line2/away", table = "holding", address = 0, type = "u16" }]

[[tag]]
path = "works/line2/away"
title = "Away"
type = "int64"
"""


class Clients(Case):
    def setUp(self):
        super().setUp()
        device = self.device()
        device.stop()
        self.here = self.node()
        self.here.apply(PLANT + AWAY.replace("ENDPOINT", device.endpoint))
        self.here.make_user("anna", "administrator")
        at = lambda n: int((T0 + timedelta(seconds=n)).timestamp())
        lines = [f"works/line1 pressure={value(n)},count={n}i {at(n)}" for n in range(POINTS)]
        lines += [f"works/line2 pressure={value(n) + 1} {at(n)}" for n in range(POINTS)]
        lines += [f'works/line1 state="{"running" if n % 2 else "held"}" {at(60 * n)}' for n in range(10)]
        lines += [f"works/line1 count={BIG}i {at(POINTS)}", f'works/line1 state="{TEXT}" {at(POINTS)}']
        answer = self.here.post("/api/ingest?precision=s", "\n".join(lines))
        self.assertEqual(answer.status, 204, answer)
        self.link = psycopg.connect(**self.where(), user="anna", password=PASSWORD, dbname="andon", connect_timeout=10, autocommit=True)
        self.addCleanup(self.link.close)
        wait_until("what was sent is in history", lambda: self.rows("SELECT count(*) FROM samples WHERE path <> 'works/line2/away'") == [(SENT,)])
        wait_until("the device that is not there is bad", lambda: self.rows("SELECT 1 FROM samples WHERE path = 'works/line2/away'"))

    def where(self) -> dict:
        host, port = self.here.sql
        return {"host": host, "port": port}

    def rows(self, query: str) -> list[tuple]:
        return self.link.execute(query).fetchall()

    def both(self, query: str) -> list[tuple]:
        """The rows in the extended protocol, after the simple one has given as many."""
        simple = self.link.pgconn.exec_(query.encode())
        self.assertEqual(simple.status, psycopg.pq.ExecStatus.TUPLES_OK, f"{simple.error_message.decode()}\n{query}")
        rows = self.rows(query)
        self.assertEqual(simple.ntuples, len(rows), query)
        return rows


@unittest.skipUnless(HAS_ODBC, "unixodbc or odbc-postgresql is not installed")
class Odbc(Clients):
    """psqlODBC with unixODBC, the way of Excel and of many a report program."""

    def connect(self, autocommit: bool = True, **options):
        where = {"Driver": DRIVER, "Server": self.where()["host"], "Port": self.where()["port"], "Database": "andon", "UID": "anna", "PWD": PASSWORD, **options}
        link = pyodbc.connect(";".join(f"{key}={value}" for key, value in where.items()), autocommit=autocommit, timeout=20)
        self.addCleanup(link.close)
        return link

    def each_way(self):
        """Whole answers, blocks through a cursor, and parameters put into the text by the driver."""
        for options in ({"UseDeclareFetch": 0}, {"UseDeclareFetch": 1, "Fetch": 100}, {"UseServerSidePrepare": 0}):
            with self.subTest(**options):
                yield self.connect(**options)

    def test_the_catalogue_is_listed(self):
        for link in self.each_way():
            all_of = lambda name, *args, **named: [tuple(row) for row in getattr(link.cursor(), name)(*args, **named).fetchall()]
            tables = [("andon", "public", view, "TABLE", "") for view in VIEWS]
            self.assertEqual(all_of("tables"), tables)
            self.assertEqual(all_of("tables", schema="public", tableType="TABLE"), tables)
            self.assertEqual([row[1] for row in all_of("tables", catalog="", schema="%", table="")], ["public"])
            columns = {row[3]: row[4:6] for row in all_of("columns", table="samples")}
            self.assertEqual(columns["ts"], (pyodbc.SQL_TYPE_TIMESTAMP, "timestamptz"))
            self.assertEqual(columns["value"], (pyodbc.SQL_FLOAT, "float8"))
            self.assertEqual(columns["status_code"], (pyodbc.SQL_BIGINT, "int8"))
            self.assertEqual(columns["path"][1], "text")
            for nothing in ("primaryKeys", "statistics", "foreignKeys", "rowIdColumns"):
                self.assertEqual(all_of(nothing, "samples"), [], nothing)
            self.assertEqual(all_of("foreignKeys", foreignTable="samples"), [])
            ours = ["date_format", "json_extract_path", "json_extract_path_text", "last_side_by_side", "resample", "side_by_side", "thin", "time_bucket", "time_weighted_average"]
            self.assertEqual([row[2] for row in all_of("procedures", schema="public")], ours)
            columns = [row[6] for row in all_of("procedureColumns", schema="public") if row[2] == "time_weighted_average"]
            self.assertEqual(columns[-3:], ["timestamptz", "float8", "bool"])
            self.assertIn("timestamptz", {row[0] for row in all_of("getTypeInfo")})
            self.assertTrue(link.getinfo(pyodbc.SQL_DBMS_VER).startswith("16."))

    def test_values_nulls_quality_and_texts(self):
        for link in self.each_way():
            ask = lambda query, *given: [tuple(row) for row in link.cursor().execute(query, *given).fetchall()]
            rows = ask('SELECT "samples"."ts", "samples"."value", "quality" FROM "public"."samples" WHERE "path" = \'works/line1/pressure\' ORDER BY "ts"')
            self.assertEqual(rows, [(UTC0 + timedelta(seconds=n), value(n), "good") for n in range(POINTS)])
            self.assertEqual(ask('SELECT "path" FROM "andon"."public"."tags" WHERE 1 = 0'), [])
            self.assertEqual(ask("SELECT text, value FROM samples WHERE path = 'works/line1/state' ORDER BY ts DESC LIMIT 1"), [(TEXT, None)])
            self.assertEqual(ask("SELECT raw FROM samples WHERE path = 'works/line1/count' ORDER BY ts DESC LIMIT 1"), [(str(BIG),)])
            self.assertEqual(ask("SELECT CAST(raw AS bigint) FROM samples WHERE path = 'works/line1/count' ORDER BY ts DESC LIMIT 1"), [(BIG,)])
            bad = ask("SELECT value, quality, status, status_code FROM samples WHERE path = 'works/line2/away' LIMIT 1")
            self.assertEqual(bad, [(None, "bad", "BadNoCommunication", 0x8031_0000)])

    def test_parameters_of_each_type(self):
        count = "SELECT count(*) FROM samples WHERE path = ? AND "
        pressure = "works/line1/pressure"
        for link in self.each_way():
            ask = lambda query, *given: [tuple(row) for row in link.cursor().execute(query, *given).fetchall()]
            for more, given, wanted in [
                ("value > ?", 5.85, POINTS // 60),
                ("value > ?", Decimal("5.85"), POINTS // 60),
                ("value >= ?", 5, POINTS // 6),
                ("ts >= ?", datetime(2026, 11, 1, 6, 9), 60),
                ("ts >= ?", date(2026, 11, 1), POINTS),
                ("quality = ?", "good", POINTS),
                ("status_code < ?", 2**40, POINTS),
                ("unit = ?", None, 0),
            ]:
                view = count.replace("samples", "last_values") if "unit" in more else count
                self.assertEqual(ask(view + more, pressure, given), [(wanted,)], f"{more} {given!r}")
            # 07:09 in Berlin is 06:09 UTC.
            self.assertEqual(ask(count + "ts >= CAST(? AS timestamptz)", pressure, "2026-11-01T07:09:00+01:00"), [(60,)])
            self.assertEqual(ask(count + "ts >= {ts '2026-11-01 06:09:00'}", pressure), [(60,)])
            self.assertEqual(ask("SELECT path FROM tags WHERE stepped = ?", True), [("works/line1/state",)])
            self.assertEqual(ask("SELECT CAST(? AS text), CAST(? AS text)", TEXT, None), [(TEXT, None)])
            self.assertEqual(ask("SELECT CAST(? AS bigint), CAST(? AS double precision)", BIG, 1.5), [(BIG, 1.5)])
            self.assertEqual(len(ask("SELECT ts FROM samples LIMIT ?", 7)), 7)

    def test_rows_in_blocks_two_answers_at_a_time_and_errors(self):
        for link in self.each_way():
            cursor, count = link.cursor().execute("SELECT path, ts FROM samples WHERE path <> 'works/line2/away' ORDER BY path, ts"), 0
            while rows := cursor.fetchmany(77):
                count += len(rows)
            self.assertEqual(count, SENT)
            first = link.cursor().execute("SELECT ts FROM samples WHERE path = 'works/line1/pressure' ORDER BY ts")
            self.assertEqual(first.fetchone()[0], UTC0)
            self.assertEqual(len(link.cursor().execute("SELECT path FROM tags").fetchall()), 5)
            self.assertEqual(len(first.fetchall()), POINTS - 1)
            with self.assertRaises(pyodbc.Error) as wrong:
                link.cursor().execute("SELECT nonsense FROM samples").fetchall()
            self.assertIn("nonsense", str(wrong.exception))
            self.assertEqual(link.cursor().execute("SELECT count(*) FROM tags").fetchval(), 5)
        for options in ({}, {"UseDeclareFetch": 1, "Fetch": 100}):
            link = self.connect(autocommit=False, **options)
            self.assertEqual(len(link.cursor().execute("SELECT ts FROM samples WHERE path = 'works/line1/pressure'").fetchall()), POINTS)
            link.commit()
            with self.assertRaises(pyodbc.Error):
                link.cursor().execute("SELECT nonsense FROM samples").fetchall()
            link.rollback()
            self.assertEqual(link.cursor().execute("SELECT count(*) FROM tags").fetchval(), 5)

    def test_a_wrong_password_is_refused(self):
        with self.assertRaises(pyodbc.Error) as wrong:
            self.connect(PWD="not this one")
        self.assertIn("wrong", str(wrong.exception))


class Cursors(Clients):
    def test_a_cursor_gives_its_rows_in_blocks_until_it_is_closed(self):
        ask = lambda query: self.link.execute(query).fetchall()
        self.link.execute("BEGIN")
        self.link.execute("DECLARE c CURSOR FOR SELECT value FROM samples WHERE path = 'works/line1/pressure' ORDER BY ts")
        self.assertEqual(ask("FETCH 2 FROM c"), [(0.0,), (0.1,)])
        self.assertEqual(ask("FETCH NEXT FROM C"), [(0.2,)])
        self.assertEqual(len(ask("FETCH ALL IN c")), POINTS - 3)
        self.assertEqual(ask("FETCH FORWARD 5 FROM c"), [])
        self.link.execute("DECLARE d CURSOR WITH HOLD FOR SELECT 1")
        self.link.execute("COMMIT")
        self.assertEqual(ask("FETCH 5 FROM d"), [(1,)])
        self.link.execute("CLOSE d")
        for statement, code in [
            ("FETCH 1 FROM c", "34000"),
            ("CLOSE d", "34000"),
            ("DECLARE e CURSOR FOR SELECT 1", "25P01"),
            ("DECLARE e CURSOR WITH HOLD FOR SELECT nonsense", "42703"),
            ("FETCH BACKWARD 1 FROM c", "42601"),
        ]:
            with self.subTest(statement), self.assertRaises(psycopg.Error) as wrong:
                self.link.execute(statement)
            self.assertEqual(wrong.exception.sqlstate, code)
        for n in range(16):
            self.link.execute(f"DECLARE many{n} CURSOR WITH HOLD FOR SELECT {n}")
        with self.assertRaises(psycopg.Error) as full:
            self.link.execute("DECLARE one CURSOR WITH HOLD FOR SELECT 1")
        self.assertEqual(full.exception.sqlstate, "54000")
        self.link.execute("CLOSE ALL")
        self.link.execute("DECLARE one CURSOR WITH HOLD FOR SELECT 1")

    def test_a_server_side_cursor_of_psycopg(self):
        for binary in (False, True):
            with self.subTest(binary=binary), self.link.transaction(), self.link.cursor(name="mine", binary=binary) as cursor:
                cursor.itersize = 100
                cursor.execute("SELECT ts, value FROM samples WHERE path = %s ORDER BY ts", ["works/line1/pressure"])
                self.assertEqual([column.name for column in cursor.description], ["ts", "value"])
                self.assertEqual(list(cursor), [(T0 + timedelta(seconds=n), value(n)) for n in range(POINTS)])


SEARCH_PATH = """quote_ident(table_schema) IN (
    SELECT CASE WHEN trim(part[n]) = '"$user"' THEN user ELSE trim(part[n]) END
    FROM generate_series(array_lower(string_to_array(current_setting('search_path'), ','), 1),
                         array_upper(string_to_array(current_setting('search_path'), ','), 1)) AS n,
         string_to_array(current_setting('search_path'), ',') part)"""
OWN = "NOT IN ('information_schema', 'pg_catalog', '_timescaledb_cache')"


class Grafana(Clients):
    """What the PostgreSQL data source asks about the catalogue, and what its macros become."""

    def test_version_schemas_tables_and_columns(self):
        self.assertEqual(self.both("SELECT current_setting('server_version_num')::int/100 AS version"), [(1600,)])
        self.assertEqual(self.both("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"), [])
        tables = [(view,) for view in VIEWS]
        for query in (
            f'SELECT quote_ident(table_name) AS "table" FROM information_schema.tables WHERE quote_ident(table_schema) {OWN} AND {SEARCH_PATH} ORDER BY 1',
            f"""SELECT CASE WHEN {SEARCH_PATH} THEN quote_ident(table_name) ELSE quote_ident(table_schema) || '.' || quote_ident(table_name) END AS "table"
                FROM information_schema.tables WHERE quote_ident(table_schema) {OWN} ORDER BY CASE WHEN {SEARCH_PATH} THEN 0 ELSE 1 END, 1""",
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type IN ('BASE TABLE', 'VIEW') ORDER BY table_name",
        ):
            self.assertEqual(self.both(query), tables, query)
        for name in ("samples", "public.samples", '"public"."samples"'):
            columns = self.both(f"""SELECT quote_ident(column_name) AS "column", data_type AS "type" FROM information_schema.columns
                WHERE CASE WHEN array_length(parse_ident('{name}'), 1) = 2
                    THEN quote_ident(table_schema) = (parse_ident('{name}'))[1] AND quote_ident(table_name) = (parse_ident('{name}'))[2]
                    ELSE quote_ident(table_name) = '{name}' AND {SEARCH_PATH} END""")
            self.assertEqual(columns[:3], [("path", "text"), ("ts", "timestamp with time zone"), ("value", "double precision")], name)
        self.assertEqual(self.both("SELECT schema_name FROM information_schema.schemata WHERE schema_name NOT LIKE 'pg_%' AND schema_name <> 'information_schema' ORDER BY 1"), [("public",)])
        values = self.both("""SELECT 'unit' AS name, "unit"::text AS value FROM (SELECT DISTINCT "unit" FROM "public"."tags" WHERE "unit" IS NOT NULL ORDER BY "unit" LIMIT 100) a
            UNION ALL SELECT 'title' AS name, "title"::text AS value FROM (SELECT DISTINCT "title" FROM "public"."tags" WHERE "title" IS NOT NULL ORDER BY "title" LIMIT 100) b""")
        self.assertEqual(sorted(values), [("title", "Away"), ("title", "Count"), ("title", "Pressure"), ("title", "State"), ("unit", "bar")])

    def test_what_the_macros_become(self):
        begin = int(T0.timestamp())
        only = "FROM samples WHERE path = 'works/line1/pressure'"
        between = "ts BETWEEN '2026-11-01T06:00:00Z' AND '2026-11-01T06:04:59.999Z'"
        five = "floor(extract(epoch from ts)/300)*300"
        average = sum(value(n) for n in range(300)) / 300
        rows = self.both(f'SELECT ts AS "time", value {only} AND {between} ORDER BY 1')
        self.assertEqual(rows, [(T0 + timedelta(seconds=n), value(n)) for n in range(300)])
        # $__timeGroupAlias, $__timeGroup, and the way of old panels with names in GROUP BY.
        for query in (
            f'SELECT {five} AS "time", avg(value) AS "value" {only} GROUP BY 1 ORDER BY 1',
            f'SELECT {five} AS "time", avg(value) {only} GROUP BY {five} ORDER BY {five}',
            f"SELECT {five} AS time, avg(value) {only} GROUP BY time ORDER BY time",
        ):
            rows = self.both(query)
            self.assertEqual([time for time, _ in rows], [begin, begin + 300], query)
            for _, mean in rows:
                self.assertAlmostEqual(mean, average)
        rows = self.both(f'SELECT floor(extract(epoch from ts)/0.5)*0.5 AS "time", path AS metric, max(value) AS "value" {only} GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 2')
        self.assertEqual(rows, [(begin, "works/line1/pressure", 0.0), (begin + 1, "works/line1/pressure", 0.1)])
        # With TimescaleDB switched on.
        rows = self.both(f"SELECT time_bucket('300.000s', ts) AS \"time\", count(value) {only} GROUP BY 1 ORDER BY 1")
        self.assertEqual(rows, [(T0, 300), (T0 + timedelta(minutes=5), 300)])
        rows = self.both(f'SELECT extract(epoch from ts) AS "time", value {only} AND extract(epoch from ts) >= {begin} AND extract(epoch from ts) <= {begin + 2} ORDER BY 1')
        self.assertEqual(rows, [(begin, 0.0), (begin + 1, 0.1), (begin + 2, 0.2)])
        self.assertEqual(self.both(f"SELECT count(*) {only} AND ts >= to_timestamp({begin}) AND ts < to_timestamp({begin + 10.5})"), [(11,)])
        self.assertEqual(self.both(f"SELECT count(*) {only} AND floor((extract(epoch from ts))/300)*300 = {begin}"), [(300,)])
        self.assertEqual(self.both(f"SELECT count(*) {only} AND ts >= '2026-11-01T06:00:00Z' AND ts <= '2026-11-01T06:00:09Z'"), [(10,)])
        self.assertEqual(self.both("SELECT count(*) FROM samples WHERE path IN ('works/line1/pressure','it''s not there')"), [(POINTS,)])

    def test_binary_parameters_of_a_prepared_statement_have_the_types_that_were_told(self):
        """As pgx does: prepare, ask for the types, send each in its binary form."""
        pg, format_ = self.link.pgconn, psycopg.pq.Format
        ready = lambda result, status: self.assertEqual(result.status, status, result.error_message.decode())
        ready(pg.prepare(b"s", b"SELECT count(*) FROM samples WHERE path = $1 AND value > $2 AND ts >= $3 LIMIT $4"), psycopg.pq.ExecStatus.COMMAND_OK)
        told = pg.describe_prepared(b"s")
        ready(told, psycopg.pq.ExecStatus.COMMAND_OK)
        self.assertEqual([told.param_type(n) for n in range(told.nparams)], [25, 701, 1184, 20])
        since = int((T0 - datetime(2000, 1, 1, tzinfo=timezone.utc)) / timedelta(microseconds=1))
        given = [b"works/line1/pressure", struct.pack(">d", 5.85), since.to_bytes(8, "big"), (7).to_bytes(8, "big")]
        answer = pg.exec_prepared(b"s", given, [format_.BINARY] * 4, result_format=format_.BINARY)
        ready(answer, psycopg.pq.ExecStatus.TUPLES_OK)
        self.assertEqual(int.from_bytes(answer.get_value(0, 0), "big"), POINTS // 60)


class Npgsql(Clients):
    """What Npgsql reads at the start, before Power BI and .NET programs see a row."""

    def new_types(self, ranges: str, relations: str) -> str:
        return f"""
            SELECT ns.nspname, t.oid, t.typname, t.typtype, t.typnotnull, t.elemtypoid
            FROM (
                -- Arrays are told by their typreceive, also as elements
                SELECT typ.oid, typ.typnamespace, typ.typname, typ.typtype, typ.typrelid, typ.typnotnull, typ.relkind,
                    elemtyp.oid AS elemtypoid, elemtyp.typname AS elemtypname, elemcls.relkind AS elemrelkind,
                    CASE WHEN elemproc.proname='array_recv' THEN 'a' ELSE elemtyp.typtype END AS elemtyptype
                FROM (
                    SELECT typ.oid, typnamespace, typname, typrelid, typnotnull, relkind, typelem AS elemoid,
                        CASE WHEN proc.proname='array_recv' THEN 'a' ELSE typ.typtype END AS typtype,
                        CASE WHEN proc.proname='array_recv' THEN typ.typelem {ranges} WHEN typ.typtype='d' THEN typ.typbasetype END AS elemtypoid
                    FROM pg_type AS typ
                    LEFT JOIN pg_class AS cls ON (cls.oid = typ.typrelid)
                    LEFT JOIN pg_proc AS proc ON proc.oid = typ.typreceive
                    {"LEFT JOIN pg_range ON (pg_range.rngtypid = typ.oid)" if ranges else ""}
                ) AS typ
                LEFT JOIN pg_type AS elemtyp ON elemtyp.oid = elemtypoid
                LEFT JOIN pg_class AS elemcls ON (elemcls.oid = elemtyp.typrelid)
                LEFT JOIN pg_proc AS elemproc ON elemproc.oid = elemtyp.typreceive
            ) AS t
            JOIN pg_namespace AS ns ON (ns.oid = typnamespace)
            WHERE typtype IN ('b', 'r', 'm', 'e', 'd') OR (typtype = 'c' AND {relations}) OR (typtype = 'p' AND typname IN ('record', 'void')) OR
                (typtype = 'a' AND (elemtyptype IN ('b', 'r', 'm', 'e', 'd') OR (elemtyptype = 'p' AND elemtypname IN ('record', 'void')) OR (elemtyptype = 'c' AND {relations})))
            ORDER BY CASE WHEN typtype IN ('b', 'e', 'p') THEN 0 WHEN typtype = 'r' THEN 1 WHEN typtype = 'm' THEN 2 WHEN typtype = 'c' THEN 3
                WHEN typtype = 'd' AND elemtyptype <> 'a' THEN 4 WHEN typtype = 'a' THEN 5 WHEN typtype = 'd' AND elemtyptype = 'a' THEN 6 END"""

    OLD_TYPES = """
        /*** As Npgsql 4 does, which Power BI brings along ***/
        SELECT ns.nspname, a.typname, a.oid, a.typbasetype,
            CASE WHEN pg_proc.proname='array_recv' THEN 'a' ELSE a.typtype END AS typtype,
            CASE WHEN pg_proc.proname='array_recv' THEN a.typelem WHEN a.typtype='r' THEN rngsubtype ELSE 0 END AS typelem,
            CASE WHEN pg_proc.proname IN ('array_recv','oidvectorrecv') THEN 3 WHEN a.typtype='r' THEN 2 WHEN a.typtype='d' THEN 1 ELSE 0 END AS ord
        FROM pg_type AS a
        JOIN pg_namespace AS ns ON (ns.oid = a.typnamespace)
        JOIN pg_proc ON pg_proc.oid = a.typreceive
        LEFT OUTER JOIN pg_class AS cls ON (cls.oid = a.typrelid)
        LEFT OUTER JOIN pg_type AS b ON (b.oid = a.typelem)
        LEFT OUTER JOIN pg_class AS elemcls ON (elemcls.oid = b.typrelid)
        LEFT OUTER JOIN pg_range ON (pg_range.rngtypid = a.oid)
        WHERE a.typtype IN ('b', 'r', 'e', 'd') OR (a.typtype = 'c' AND cls.relkind='c') OR
            (pg_proc.proname='array_recv' AND (b.typtype IN ('b', 'r', 'e', 'd') OR (b.typtype = 'p' AND b.typname IN ('record', 'void')) OR (b.typtype = 'c' AND elemcls.relkind='c'))) OR
            (a.typtype = 'p' AND a.typname IN ('record', 'void'))
        ORDER BY ord"""
    COMPOSITES = """SELECT typ.oid, att.attname, att.atttypid FROM pg_type AS typ
        JOIN pg_namespace AS ns ON (ns.oid = typ.typnamespace) JOIN pg_class AS cls ON (cls.oid = typ.typrelid) JOIN pg_attribute AS att ON (att.attrelid = typ.typrelid)
        WHERE (typ.typtype = 'c' AND cls.relkind='c') AND attnum > 0 AND NOT attisdropped ORDER BY typ.oid, att.attnum"""
    ENUMS = "SELECT pg_type.oid, enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid=enumtypid ORDER BY oid, enumsortorder"
    RESET = "SET SESSION AUTHORIZATION DEFAULT;RESET ALL;CLOSE ALL;UNLISTEN *;SELECT pg_advisory_unlock_all();DISCARD SEQUENCES;DISCARD TEMP"

    def check_types(self, types: dict):
        """By id: name, kind, element."""
        for oid, name in [(16, "bool"), (20, "int8"), (25, "text"), (701, "float8"), (1184, "timestamptz"), (1700, "numeric")]:
            self.assertEqual(types[oid][:2], (name, "b"))
        self.assertEqual(types[1009], ("_text", "a", 25))
        self.assertEqual(types[1185], ("_timestamptz", "a", 1184))

    def test_the_types_of_newer_and_older_versions(self):
        ranges = "WHEN typ.typtype='r' THEN rngsubtype"
        multi = ranges + " WHEN typ.typtype='m' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = typ.oid)"
        for more in ("", ranges, multi):
            for relations in ("relkind='c'", "ns.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')"):
                rows = self.both(self.new_types(more, relations))
                self.check_types({oid: (name, kind, of) for _, oid, name, kind, _, of in rows})
                arrays = [kind == "a" for _, _, _, kind, _, _ in rows]
                self.assertEqual(arrays, sorted(arrays), "elements come before their arrays")
        rows = self.both(self.OLD_TYPES)
        self.check_types({oid: (name, kind, of) for _, name, oid, _, kind, of, _ in rows})
        self.assertEqual(self.both(self.COMPOSITES), [])
        self.assertEqual(self.both(self.ENUMS), [])

    def test_the_start_in_one_message_and_the_way_back_into_the_pool(self):
        start = ";\n".join(["SELECT version()", self.new_types("WHEN typ.typtype='r' THEN rngsubtype", "relkind='c'"), self.COMPOSITES, self.ENUMS]) + ";"
        with self.link.cursor() as cursor:
            cursor.execute(start)
            sizes = [len(cursor.fetchall())]
            while cursor.nextset():
                sizes.append(len(cursor.fetchall()))
        self.assertEqual((sizes[0], sizes[2:]), (1, [0, 0]))
        self.assertGreater(sizes[1], 30)
        for reset in (self.RESET, "DISCARD ALL"):
            result = self.link.pgconn.exec_(reset.encode())
            self.assertEqual(result.status, psycopg.pq.ExecStatus.COMMAND_OK, result.error_message)

    def test_a_decimal_number_as_binary_parameter(self):
        with self.link.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM samples WHERE path = 'works/line1/pressure' AND value > %b", [Decimal("5.85")])
            self.assertEqual(cursor.fetchone(), (POINTS // 60,))


class PowerBi(Clients):
    """What Power BI's navigator and its relations ask, and how it reads."""

    def test_tables_columns_and_no_keys(self):
        tables = self.both("""select TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE from INFORMATION_SCHEMA.tables
            where TABLE_SCHEMA not in ('information_schema', 'pg_catalog') order by TABLE_SCHEMA, TABLE_NAME""")
        self.assertEqual(tables, [("public", view, "BASE TABLE") for view in VIEWS])
        self.assertEqual(self.both("select character_set_name from INFORMATION_SCHEMA.character_sets"), [("UTF8",)])
        columns = self.both("""select COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE,
                case when (data_type like '%unsigned%') then DATA_TYPE || ' unsigned' else DATA_TYPE end as DATA_TYPE
            from INFORMATION_SCHEMA.columns where TABLE_SCHEMA = 'public' and TABLE_NAME = 'samples' order by TABLE_SCHEMA, TABLE_NAME, ORDINAL_POSITION""")
        self.assertEqual(columns[:3], [("path", 1, "NO", "text"), ("ts", 2, "NO", "timestamp with time zone"), ("value", 3, "YES", "double precision")])
        keys = """from (select distinct constraint_catalog, constraint_schema, unique_constraint_schema, constraint_name, unique_constraint_name
                from INFORMATION_SCHEMA.REFERENTIAL_CONSTRAINTS) ref
            inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE foreign_ on ref.CONSTRAINT_SCHEMA = foreign_.CONSTRAINT_SCHEMA and ref.CONSTRAINT_NAME = foreign_.CONSTRAINT_NAME
            inner join INFORMATION_SCHEMA.KEY_COLUMN_USAGE primary_ on ref.UNIQUE_CONSTRAINT_SCHEMA = primary_.CONSTRAINT_SCHEMA and ref.UNIQUE_CONSTRAINT_NAME = primary_.CONSTRAINT_NAME"""
        for one, other in (("primary_", "foreign_"), ("foreign_", "primary_")):
            self.assertEqual(self.both(f"""select {other}.TABLE_SCHEMA AS S, {other}.TABLE_NAME AS T, primary_.COLUMN_NAME as P, foreign_.COLUMN_NAME as F, foreign_.ORDINAL_POSITION as ORDINAL,
                    ref.CONSTRAINT_SCHEMA || '_' || {other}.TABLE_NAME || '_' || 'samples' || '_' || ref.CONSTRAINT_NAME as FK_NAME
                {keys} where {one}.TABLE_SCHEMA = 'public' and {one}.TABLE_NAME = 'samples' and primary_.ORDINAL_POSITION = foreign_.ORDINAL_POSITION
                order by FK_NAME, foreign_.ORDINAL_POSITION"""), [])
        self.assertEqual(self.both("""select i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME as INDEX_NAME, k.COLUMN_NAME, k.ORDINAL_POSITION,
                case when i.CONSTRAINT_TYPE = 'PRIMARY KEY' then 'Y' else 'N' end as PRIMARY_KEY
            from INFORMATION_SCHEMA.table_constraints i inner join INFORMATION_SCHEMA.key_column_usage k
                on i.CONSTRAINT_SCHEMA = k.CONSTRAINT_SCHEMA and i.CONSTRAINT_NAME = k.CONSTRAINT_NAME and i.TABLE_SCHEMA = k.TABLE_SCHEMA and i.TABLE_NAME = k.TABLE_NAME
            where i.TABLE_SCHEMA = 'public' and i.TABLE_NAME = 'samples' and i.CONSTRAINT_TYPE in ('PRIMARY KEY', 'UNIQUE')
            order by i.CONSTRAINT_SCHEMA || '_' || i.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.ORDINAL_POSITION"""), [])

    def test_preview_and_folded_steps(self):
        begin = "timestamp '2026-11-01 06:00:00'"
        self.assertEqual(len(self.both('select "$Table"."path" as "path", "$Table"."ts" as "ts", "$Table"."value" as "value" from "public"."samples" "$Table" limit 1000')), 1000)
        rows = self.both(f"""select "_"."path", "_"."ts", "_"."value" from "public"."samples" "_"
            where (("_"."path" = 'works/line1/pressure' and "_"."path" is not null) and "_"."ts" >= {begin}) and "_"."ts" < {begin} + interval '3 seconds'
            order by "_"."ts" limit 4096""")
        self.assertEqual(rows, [("works/line1/pressure", T0 + timedelta(seconds=n), value(n)) for n in range(3)])
        rows = self.both("""select "rows"."path" as "path", sum("rows"."value") as "a0", count(distinct("rows"."quality")) as "a1"
            from (select "path", "value", "quality" from "public"."samples" where "path" like 'works/line_/pressure') "rows"
            group by "path" order by "path" limit 1000001""")
        self.assertEqual([(path, round(total, 6), kinds) for path, total, kinds in rows], [("works/line1/pressure", 1770.0, 1), ("works/line2/pressure", 2370.0, 1)])
