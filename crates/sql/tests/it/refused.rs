//! Only reading, and only within limits.

use crate::plant::{World, works};
use andon_sql::{Options, SqlError};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::timeout;

#[tokio::test]
async fn an_error_says_what_is_wrong_and_nothing_of_the_engine() {
    let world = World::new();
    for (text, says) in [
        (
            "SELECT value FROM samples WHERE path = 'x' AND ts >= 'yesterday'",
            "\"yesterday\" is not a time; write it as",
        ),
        ("SELEC 1", "Expected: an SQL statement"),
        ("SELECT avg(text) FROM samples", "avg"),
        ("SELECT date_trunc('day', ts, 'Europe/Berlin', 1) FROM samples", "date_trunc"),
        ("SELECT no_such FROM samples", "no_such"),
        ("SELECT valeu FROM samples", "there is no column \"valeu\", did you mean \"value\"?"),
        (
            "SELECT quality FROM resample('works/line1/state', '2026-01-01', '2026-01-02', INTERVAL '1 hour')",
            "There are: path, ts, value, min, max, last, samples, good.",
        ),
        ("SELECT no_such(1)", "no_such"),
    ] {
        let error = world.try_rows(&world.anna, text).await.expect_err(text).to_string();
        assert!(error.contains(says), "{text}: {error}");
        let suggests = error.to_lowercase().contains("did you mean");
        assert_eq!(suggests, text.contains("valeu"), "{text}: {error}");
        for word in
            ["DataFusion", "Optimizer", "caused by", "Error during", "ParserError", "Internal error", "Arrow error"]
        {
            assert!(!error.contains(word), "{text}: {error}");
        }
    }
}

#[tokio::test]
async fn everything_but_reading_is_refused_and_nothing_is_touched() {
    let dir = tempfile::tempdir().expect("folder");
    let file = dir.path().join("out.csv");
    let secret = dir.path().join("in.csv");
    std::fs::write(&secret, "a,b\n1,2\n").expect("written");
    let (out, secret) = (file.display(), secret.display());
    let world = World::new();
    let statements = [
        "INSERT INTO samples (path) VALUES ('x')".to_owned(),
        "INSERT INTO samples SELECT * FROM samples".to_owned(),
        "UPDATE tags SET title = 'x'".to_owned(),
        "DELETE FROM samples".to_owned(),
        "TRUNCATE samples".to_owned(),
        "CREATE TABLE t (a INT)".to_owned(),
        "CREATE TABLE t AS SELECT 1".to_owned(),
        "CREATE VIEW v AS SELECT * FROM samples".to_owned(),
        "CREATE OR REPLACE VIEW samples AS SELECT 1".to_owned(),
        "CREATE SCHEMA s".to_owned(),
        "CREATE DATABASE d".to_owned(),
        "CREATE INDEX i ON samples (ts)".to_owned(),
        "CREATE FUNCTION f() RETURNS INT RETURN 1".to_owned(),
        "DROP TABLE samples".to_owned(),
        "DROP VIEW samples".to_owned(),
        "DROP SCHEMA public CASCADE".to_owned(),
        "ALTER TABLE samples ADD COLUMN x INT".to_owned(),
        "GRANT ALL ON samples TO anna".to_owned(),
        "MERGE INTO tags USING samples ON tags.path = samples.path WHEN MATCHED THEN DELETE".to_owned(),
        format!("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '{secret}'"),
        format!("CREATE EXTERNAL TABLE t STORED AS PARQUET LOCATION '{secret}'"),
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION 'http://127.0.0.1:1/x.csv'".to_owned(),
        format!("COPY samples TO '{out}'"),
        format!("COPY (SELECT * FROM samples) TO '{out}' STORED AS CSV"),
        format!("COPY samples FROM '{secret}'"),
        "COPY samples TO STDOUT".to_owned(),
        "COPY samples FROM STDIN".to_owned(),
        "COPY samples TO PROGRAM 'id'".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SET search_path = x".to_owned(),
        "RESET ALL".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "EXECUTE p".to_owned(),
        "DEALLOCATE p".to_owned(),
        "CALL f()".to_owned(),
        "DO $$ BEGIN END $$".to_owned(),
        "LISTEN x".to_owned(),
        "NOTIFY x".to_owned(),
        "LOCK TABLE samples".to_owned(),
        "VACUUM".to_owned(),
        "ANALYZE samples".to_owned(),
        "EXPLAIN INSERT INTO samples (path) VALUES ('x')".to_owned(),
        format!("EXPLAIN ANALYZE COPY samples TO '{out}'"),
        format!("EXPLAIN COPY samples TO '{out}'"),
        "EXPLAIN CREATE TABLE t AS SELECT 1".to_owned(),
        "EXPLAIN ANALYZE DELETE FROM samples".to_owned(),
        "WITH x AS (INSERT INTO samples (path) VALUES ('x') RETURNING *) SELECT * FROM x".to_owned(),
        "WITH x AS (DELETE FROM samples RETURNING *) SELECT * FROM x".to_owned(),
        "SELECT * INTO t FROM samples".to_owned(),
        "SELECT 1; DROP TABLE samples".to_owned(),
        "SELECT 1; SELECT 2".to_owned(),
        format!("SELECT * FROM '{secret}'"),
        format!("SELECT * FROM \"{secret}\""),
        "SELECT * FROM 'file.parquet'".to_owned(),
        "SELECT * FROM \"s3://bucket/file.parquet\"".to_owned(),
        "SELECT * FROM 'http://127.0.0.1:1/x.csv'".to_owned(),
        format!("SELECT * FROM read_csv('{secret}')"),
        format!("SELECT * FROM read_parquet('{secret}')"),
        "SELECT * FROM parquet_metadata('x.parquet')".to_owned(),
        format!("SELECT pg_read_file('{secret}')"),
        "SELECT pg_sleep(100)".to_owned(),
        "SELECT lo_import('/etc/passwd')".to_owned(),
        "DESCRIBE '/etc/passwd'".to_owned(),
        String::new(),
        ";".to_owned(),
    ];
    for statement in &statements {
        let outcome = world.try_rows(&world.anna, statement).await;
        assert!(outcome.is_err(), "{statement:?} was answered: {outcome:?}");
        assert!(!outcome.expect_err("refused").to_string().is_empty());
    }
    assert!(!file.exists());
    assert_eq!(world.scans(), [], "nothing was read for any of them");
    // Whatever else may be wrong with it.
    for (statement, what) in [
        ("CREATE TABLE t (a INT)", "CREATE TABLE"),
        ("CREATE TEMP TABLE t (a INT)", "CREATE TEMPORARY"),
        ("INSERT INTO samples VALUES (1)", "INSERT INTO"),
        ("INSERT INTO nowhere VALUES (1)", "INSERT INTO"),
        ("UPDATE nowhere SET x = 1", "UPDATE"),
        ("EXPLAIN DELETE FROM nowhere", "DELETE FROM"),
        ("WITH x AS (INSERT INTO nowhere VALUES (1)) SELECT 1", "INSERT INTO"),
        ("WITH x AS (DELETE FROM samples RETURNING *) SELECT * FROM x", "DELETE FROM"),
        ("SELECT 1 INTO t", "SELECT INTO"),
        ("SELECT * FROM tags FOR UPDATE", "SELECT FOR UPDATE"),
        ("SELECT * FROM tags FOR SHARE", "SELECT FOR SHARE"),
        ("DO $$ BEGIN END $$", "DO"),
        ("REINDEX TABLE samples", "REINDEX"),
        ("/* x */ refresh materialized view v", "REFRESH"),
        ("COPY (SELECT 1) TO STDOUT", "COPY"),
    ] {
        let refused = world.try_rows(&world.anna, statement).await.expect_err("refused");
        assert_eq!(refused, SqlError::Refused { what: what.to_owned() }, "{statement}");
        assert_eq!(refused.code(), "25006");
    }
}

#[tokio::test]
async fn what_does_not_exist_is_told_in_postgres_codes() {
    let world = World::new();
    for (text, code) in [
        ("SELECT * FROM nowhere", "42P01"),
        ("SELECT * FROM public.nowhere", "42P01"),
        ("SELECT no_such FROM samples", "42703"),
        ("SELECT samples.no_such FROM samples", "42703"),
        ("SELECT no_such(1)", "42883"),
        ("SELECT * FROM no_such(1)", "42883"),
        ("SELEC 1", "42601"),
    ] {
        let error = world.try_rows(&world.anna, text).await.expect_err(text);
        assert_eq!(error.code(), code, "{text}: {error}");
    }
}

#[tokio::test]
async fn reading_in_all_its_forms_is_answered() {
    let world = World::new();
    for statement in [
        "SELECT 1",
        "VALUES (1), (2)",
        "WITH x AS (SELECT 1 AS a) SELECT a FROM x",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT count(*) FROM n",
        "SHOW TABLES",
        "SHOW COLUMNS FROM samples",
        "SHOW ALL",
        "SHOW server_version",
        "SHOW TIME ZONE",
        "EXPLAIN SELECT * FROM samples",
        "EXPLAIN ANALYZE SELECT count(*) FROM samples",
        "SELECT * FROM generate_series(1, 3)",
        "DESCRIBE samples",
        "SELECT * FROM information_schema.columns",
        "SELECT 'DROP TABLE samples; --' AS harmless",
    ] {
        assert!(!world.rows(statement).await.is_empty(), "{statement}");
    }
}

#[tokio::test]
async fn a_long_chain_is_answered_or_refused_and_never_ends_the_process() {
    let world = World::new();
    let ors = |n: usize| format!("SELECT count(*) FROM tags WHERE {}", vec!["title = 'x'"; n].join(" OR "));
    assert_eq!(world.rows(&ors(900)).await, ["0"]);
    let deep = world.try_rows(&world.anna, &ors(100_000)).await;
    assert!(matches!(deep, Err(SqlError::TooBig { .. })), "{deep:?}");
    for link in [
        "XOR true",
        "NOTNULL",
        "ISNULL",
        "IS NULL",
        "SIMILAR TO 'x'",
        "RLIKE 'x'",
        "REGEXP 'x'",
        "DIV 2",
        "COLLATE c",
        "OVERLAPS 1",
    ] {
        let chain = format!("SELECT true {}", vec![link; 20_000].join(" "));
        let outcome = world.try_rows(&world.anna, &chain[..chain.len().min(250_000)]).await;
        assert!(outcome.is_err(), "{link}");
    }
    let unions = vec!["SELECT 1"; 500].join(" UNION ALL ");
    assert_eq!(world.rows(&unions).await.len(), 500);
    let in_list = format!("SELECT count(*) FROM tags WHERE path IN ({})", vec!["'a/b'"; 20_000].join(","));
    assert_eq!(world.rows(&in_list).await, ["0"]);
}

#[tokio::test]
async fn what_is_named_once_and_used_often_is_counted_before_it_is_planned() {
    let world = World::new();
    let doubled = |n: usize| {
        let part = |at: usize| format!("c{at} AS (SELECT a.x FROM c{0} a UNION ALL SELECT b.x FROM c{0} b)", at - 1);
        let parts: Vec<String> = std::iter::once("c0 AS (SELECT 1 x)".to_owned()).chain((1..=n).map(part)).collect();
        format!("WITH {} SELECT count(*) FROM c{n}", parts.join(", "))
    };
    assert_eq!(world.rows(&doubled(4)).await, ["16"]);
    let crossed = format!("SELECT 1 FROM {}", (0..201).map(|at| format!("tags t{at}")).collect::<Vec<_>>().join(", "));
    // The same name at every level, each hiding the one within.
    let hidden = (0..12).fold("SELECT 1 x FROM tags".to_owned(), |within, _| {
        format!("WITH a AS ({within}) SELECT b.x FROM a b UNION ALL SELECT c.x FROM a c")
    });
    let unused = (0..201)
        .map(|at| format!("c{at} AS (SELECT 1 FROM tags a, tags b, tags c, tags d, tags e)"))
        .collect::<Vec<_>>()
        .join(", ");
    let twelve = |at: usize| vec![format!("SELECT x FROM c{}", at - 1); 12].join(" UNION ALL ");
    let chain: Vec<String> = (1..=8).map(|at| format!("c{at} AS ({})", twelve(at))).collect();
    for query in [
        doubled(12),
        doubled(60),
        format!("EXPLAIN {}", doubled(12)),
        format!("SELECT * FROM ({}) d", doubled(12)),
        format!("SELECT 1 WHERE EXISTS ({})", doubled(12)),
        hidden,
        format!("WITH {unused} SELECT 1"),
        doubled(12).replace("FROM c12", "FROM c0"),
        format!("WITH c0 AS (SELECT 1 AS x FROM samples), {} SELECT 1", chain.join(", ")),
        format!("SELECT 1 WHERE EXISTS (WITH c0 AS (SELECT 1 AS x FROM samples), {} SELECT 1)", chain.join(", ")),
        crossed,
    ] {
        let outcome = world.try_rows(&world.anna, &query).await;
        assert!(matches!(outcome, Err(SqlError::TooBig { what: "wide", .. })), "{outcome:?}");
    }
    let recursive =
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT count(*) FROM n";
    assert_eq!(world.rows(recursive).await, ["5"]);
}

#[tokio::test]
async fn a_subquery_over_a_table_without_a_name_is_not_answered_with_something_else() {
    let world = World::new();
    for query in [
        "SELECT (SELECT path FROM (SELECT path FROM tags) d)",
        "SELECT ARRAY(SELECT path FROM (SELECT path FROM tags) d)",
    ] {
        let outcome = world.try_rows(&world.anna, query).await;
        assert!(outcome.is_err(), "{query}: {outcome:?}");
    }
    assert_eq!(world.rows("SELECT ARRAY(SELECT option_name FROM pg_catalog.pg_options_to_table(NULL))").await, ["–"]);
}

#[tokio::test]
async fn what_each_row_would_have_a_copy_of_is_refused() {
    let world = World::new();
    let long = "x".repeat(5000);
    for query in [
        format!("SELECT count(*) FROM samples WHERE substr('{long}', value::bigint + 1) = 'x'"),
        format!(
            "SELECT count(*) FROM samples a JOIN tags b ON a.path = b.path AND substr('{long}', a.value::bigint) = b.path"
        ),
        format!("SELECT max(substr('{long}', value::bigint)) FROM samples"),
        format!("SELECT path FROM samples WHERE CASE WHEN concat(path, '{long}') = 'x' THEN true ELSE false END"),
    ] {
        let outcome = world.try_rows(&world.anna, &query).await;
        assert!(matches!(outcome, Err(SqlError::TooBig { .. })), "{outcome:?}");
    }
    assert_eq!(world.rows(&format!("SELECT count(*) FROM samples WHERE path = '{long}'")).await, ["0"]);
    assert_eq!(world.rows(&format!("SELECT count(*) FROM samples WHERE path IN ('{long}', 'y')")).await, ["0"]);
    for name in ["string_agg(path, '')", "array_agg(path)"] {
        let outcome = world.try_rows(&world.anna, &format!("SELECT {name} OVER (ORDER BY ts) FROM samples")).await;
        assert!(matches!(outcome, Err(SqlError::Unsupported(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn memory_time_and_rows_are_bounded() {
    let options = Options { memory_mib: 1, time: Duration::from_secs(2), rows: 1000, ..Options::default() };
    let world = World::with(works(), options);
    let cross = "SELECT a.ts, b.path FROM samples a, samples b ORDER BY a.value, b.value, a.ts, b.ts";
    let memory = world.try_rows(&world.anna, cross).await;
    assert!(matches!(memory, Err(SqlError::TooMuchMemory { mib: 1 } | SqlError::TimedOut(_))), "{memory:?}");
    let sorted = "SELECT * FROM samples ORDER BY value, raw";
    let memory = world.try_rows(&world.anna, sorted).await;
    assert!(matches!(memory, Err(SqlError::TooMuchMemory { mib: 1 })), "{memory:?}");
    let rows = world.try_rows(&world.anna, "SELECT ts FROM samples").await;
    assert!(matches!(rows, Err(SqlError::TooManyRows(1000))), "{rows:?}");
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    let time = world.try_rows(&world.anna, endless).await;
    assert!(matches!(time, Err(SqlError::TimedOut(_) | SqlError::TooMuchMemory { .. })), "{time:?}");
}

#[tokio::test]
async fn a_division_by_zero_is_called_so() {
    let world = World::new();
    for query in ["SELECT 1 / 0", "SELECT 1 / (status_code - status_code) FROM samples"] {
        let outcome = world.try_rows(&world.anna, query).await;
        assert!(matches!(&outcome, Err(error) if error.code() == "22012"), "{query}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_slow_scan_ends_with_its_time() {
    let world = World::with(works(), Options { time: Duration::from_millis(300), ..Options::default() });
    world.plant.slow_ms.store(100, Ordering::Relaxed);
    let time = world.try_rows(&world.anna, "SELECT count(value) FROM samples").await;
    assert!(matches!(time, Err(SqlError::TimedOut(_))), "{time:?}");
}

#[tokio::test]
async fn a_join_that_never_waits_ends_with_its_time_or_its_client_and_gives_its_place_back() {
    let big = "generate_series(1, 100000) a(x), generate_series(1, 1000000) b(y)";
    let joins = [
        format!("SELECT count(*) FROM {big}"),
        format!("SELECT count(*) FROM {big} WHERE a.x + b.y = 7"),
        format!("SELECT count(*) FROM {big} WHERE a.x < b.y"),
        format!("SELECT count(*) FROM {big} WHERE a.x % 2 = b.y % 2"),
        "SELECT count(*) FROM samples a, samples b, samples c".to_owned(),
    ];
    let short = World::with(works(), Options { time: Duration::from_millis(500), ..Options::default() });
    let one = World::with(works(), Options { queries: 1, ..Options::default() });
    let soon = Duration::from_secs(20);
    for join in joins {
        let outcome = timeout(soon, short.try_rows(&short.anna, &join)).await.expect("in time");
        assert!(matches!(outcome, Err(SqlError::TimedOut(_))), "{join}: {outcome:?}");
        drop(one.engine.run(&one.anna, &join).await.expect("begins"));
        assert_eq!(timeout(soon, one.rows("SELECT 1")).await.expect("the only place is free again"), ["1"], "{join}");
    }
}

#[tokio::test]
async fn queries_wait_for_their_turn_and_too_many_are_told() {
    let options = Options { queries: 1, waiting: 1, wait: Duration::from_millis(100), ..Options::default() };
    let world = World::with(works(), options);
    let first = world.engine.run(&world.anna, "SELECT * FROM samples").await.expect("runs");
    let (second, third) =
        tokio::join!(world.try_rows(&world.anna, "SELECT 1"), world.try_rows(&world.anna, "SELECT 1"),);
    assert!(
        matches!((&second, &third), (Err(SqlError::Busy { .. }), Err(SqlError::Busy { .. }))),
        "{second:?} {third:?}"
    );
    // Who leaves makes place.
    drop(first);
    assert_eq!(world.rows("SELECT 1").await, ["1"]);
}

/// Rows until the end, and the error there.
async fn to_the_end(answer: &mut andon_sql::Answer) -> (usize, Option<SqlError>) {
    let mut rows = 0;
    loop {
        match answer.next().await {
            Some(Ok(batch)) => rows += batch.num_rows(),
            Some(Err(error)) => return (rows, Some(error)),
            None => return (rows, None),
        }
    }
}

#[tokio::test]
async fn an_answer_that_nobody_takes_gives_its_place_to_who_waits() {
    let options = Options { queries: 1, wait: Duration::from_secs(1), ..Options::default() };
    let world = World::with(works(), options);
    let mut idle = world.engine.run(&world.anna, "SELECT * FROM samples").await.expect("runs");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(world.rows("SELECT 1").await, ["1"]);
    let (_, end) = to_the_end(&mut idle).await;
    assert!(matches!(end, Some(SqlError::NotTaken(_))), "{end:?}");
    // As long as nobody waits, there is no hurry.
    let mut idle = world.engine.run(&world.anna, "SELECT * FROM samples").await.expect("runs");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let all = world.plant.points.values().map(Vec::len).sum::<usize>();
    assert_eq!(to_the_end(&mut idle).await, (all, None));
}

#[tokio::test]
async fn an_answer_that_is_cut_off_says_so_however_late_it_is_taken() {
    let world = World::with(works(), Options { time: Duration::from_millis(200), ..Options::default() });
    let mut late = world.engine.run(&world.anna, "SELECT * FROM samples").await.expect("runs");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let (_, end) = to_the_end(&mut late).await;
    assert!(matches!(end, Some(SqlError::TimedOut(_))), "{end:?}");
}
