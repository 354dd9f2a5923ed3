//! The views and functions against plain loops over the same samples.

use crate::plant::{Point, SECOND, T0, World};
use andon_model::StatusCode;
use std::sync::atomic::Ordering;

const PRESSURE: &str = "works/line1/filler/pressure";
const LEVEL: &str = "works/line1/filler/level";

fn good(point: &Point) -> Option<f64> {
    if StatusCode(point.2).is_bad() { None } else { point.1.as_f64() }
}

fn number(text: &str) -> f64 {
    text.parse().expect("a number")
}

#[tokio::test]
async fn a_scan_gives_every_sample_once_in_order() {
    let world = World::new();
    let rows = world.rows(&format!("SELECT ts, value FROM samples WHERE path = '{PRESSURE}' ORDER BY ts")).await;
    let points = world.plant.of(PRESSURE);
    assert_eq!(rows.len(), points.len());
    for (row, point) in rows.iter().zip(points) {
        assert_eq!(number(row.split('|').nth(1).expect("a value")), good(point).expect("good"));
    }
    assert_eq!(
        world.rows("SELECT count(*) FROM samples").await,
        [world.plant.points.values().map(Vec::len).sum::<usize>().to_string()]
    );
    assert_eq!(world.rows("SELECT count(DISTINCT path) FROM samples").await, ["7"]);
}

#[tokio::test]
async fn damaged_history_has_no_answer_and_its_own_state() {
    let world = World::new();
    world.plant.damaged.store(true, Ordering::Relaxed);
    let queries = [
        format!("SELECT * FROM samples WHERE path = '{PRESSURE}'"),
        format!("SELECT count(*) FROM samples WHERE path = '{PRESSURE}'"),
        "SELECT path, avg(value) FROM samples GROUP BY path".to_owned(),
        "SELECT * FROM samples_by_hour".to_owned(),
        format!("SELECT * FROM resample('{PRESSURE}', '2026-11-01', '2026-11-02', INTERVAL '1 hour')"),
        "SELECT * FROM side_by_side('works/line1/%', '2026-01-01', '2027-01-01', 'pressure', 'level')".to_owned(),
    ];
    for query in queries {
        let mut answer = world.engine.run(&world.anna, &query).await.unwrap_or_else(|error| panic!("{query}: {error}"));
        let error = answer.look_ahead().await.expect_err("no rows").clone();
        assert_eq!(error.code(), "XX001", "{query}: {error}");
        assert!(error.to_string().contains("h.parquet is damaged; restore it from a backup"), "{error}");
    }
    world.plant.damaged.store(false, Ordering::Relaxed);
    let mut answer = world.engine.run(&world.anna, "SELECT count(*) FROM samples").await.expect("an answer");
    for _ in 0..2 {
        answer.look_ahead().await.expect("rows");
    }
    let rows = answer.next().await.expect("the first rows still come").expect("rows");
    assert_eq!((rows.num_rows(), answer.next().await.is_none()), (1, true));
}

#[tokio::test]
async fn bad_values_are_null_and_still_there() {
    let world = World::new();
    let rows = world
        .rows(&format!(
            "SELECT value, quality, status, status_code, raw FROM samples WHERE path = '{LEVEL}' ORDER BY ts LIMIT 10"
        ))
        .await;
    assert_eq!(rows[0], "0.0|good|Good|0|0");
    assert_eq!(rows[7], "7.0|uncertain|Uncertain|1073741824|7");
    assert_eq!(rows[8], "–|bad|BadNoCommunication|2150694912|–");
    assert_eq!(rows[9], "–|bad|BadSensorFailure|2156658688|9999");
    let points = world.plant.of(LEVEL);
    let numbers: Vec<f64> = points.iter().filter_map(good).collect();
    let average = numbers.iter().sum::<f64>() / f64::from(u32::try_from(numbers.len()).expect("few"));
    let row = &world
        .rows(&format!("SELECT avg(value), max(value), count(value), count(*) FROM samples WHERE path = '{LEVEL}'"))
        .await[0];
    let parts: Vec<&str> = row.split('|').collect();
    assert!((number(parts[0]) - average).abs() < 1e-9, "{row}");
    assert_eq!(
        &parts[1..],
        ["7.0", "90", "100"].map(|p| if p == "90" { "80" } else { p }),
        "the bad 9999 is not a maximum"
    );
    let texts =
        world.rows("SELECT text, value, raw FROM samples WHERE path = 'works/line1/state' ORDER BY ts LIMIT 2").await;
    assert_eq!(texts, ["running|–|running", "held|–|held"]);
    let whole = world.rows("SELECT raw FROM samples WHERE path = 'home/hall/lamp' ORDER BY ts").await;
    assert_eq!(whole, ["true", "9223372036854775807"], "raw has every digit");
}

#[tokio::test]
async fn last_values_are_made_of_the_tags_and_columns_that_are_asked_for() {
    let world = World::new();
    let all = world.rows("SELECT * FROM last_values").await;
    assert!(all.len() == world.plant.tags.len() && all.is_sorted(), "{all:?}");
    let columns = "path ts value text quality status status_code raw unit stale".split(' ');
    for (place, column) in columns.enumerate() {
        for prefix in ["works/line1/", "home/"] {
            let asked = format!("SELECT {column} FROM last_values WHERE path LIKE '{prefix}%'");
            let right = all
                .iter()
                .filter(|row| row.starts_with(prefix))
                .map(|row| row.split('|').nth(place).expect("a column"));
            assert_eq!(world.rows(&asked).await, right.collect::<Vec<_>>(), "{asked}");
        }
    }
    assert_eq!(
        world.rows("SELECT count(*) FROM last_values WHERE unit = 'bar' AND path NOT LIKE 'home/%'").await,
        ["6"]
    );
    assert_eq!(world.rows("SELECT path FROM last_values LIMIT 2").await.len(), 2);
    let before = world.plant.all_paths.load(Ordering::Relaxed);
    assert_eq!(world.rows(&format!("SELECT path FROM last_values WHERE path = '{LEVEL}'")).await, [LEVEL]);
    assert_eq!(world.plant.all_paths.load(Ordering::Relaxed), before, "a tag that is named is looked up");
}

fn in_bins(from: &str, to: &str) -> String {
    format!("time_bucket('1 minute', ts) {from} AND date_bin(INTERVAL '1 minute', ts) {to}")
}

#[tokio::test]
async fn history_summed_up_is_what_grouping_gives_and_reads_no_more() {
    let world = World::new();
    for (view, width) in [("minute", "1 minute"), ("hour", "1 hour"), ("day", "1 day")] {
        let ours = world.rows(&format!("SELECT * FROM samples_by_{view} ORDER BY path, ts")).await;
        let grouped = world
            .rows(&format!(
                "SELECT path, time_bucket('{width}', ts), count(*), count(value), avg(value), min(value), max(value), sum(value) FROM samples GROUP BY 1, 2 ORDER BY 1, 2"
            ))
            .await;
        assert_eq!(ours, grouped);
        assert!(!ours.is_empty());
    }
    world.scans();
    let text = format!(
        "SELECT ts, average, numbers FROM samples_by_minute WHERE path = '{PRESSURE}' AND ts >= '2026-01-01T00:02:00Z' AND ts < '2026-01-01T00:04:00Z' ORDER BY ts"
    );
    let rows = world.rows(&text).await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(rows.iter().all(|row| row.ends_with("|60")), "{rows:?}");
    let read: Vec<(i64, i64)> = world.scans().into_iter().map(|(_, from, to)| (from, to)).collect();
    assert_eq!(read, [(T0 + 120 * SECOND, T0 + 240 * SECOND)]);
    let plan = world.rows(&format!("EXPLAIN {text}")).await.join("\n");
    assert!(plan.contains("SummaryExec"), "{plan}");
    let rights = world.try_rows(&world.bert, "SELECT DISTINCT path FROM samples_by_day").await.expect("an answer");
    let seen = world.try_rows(&world.bert, "SELECT DISTINCT path FROM samples").await.expect("an answer");
    assert_eq!(rights.len(), seen.len(), "as many tags as the caller sees");
    assert!(rights.len() < world.plant.tags.len());
}

#[tokio::test]
async fn a_day_of_another_zone_is_not_taken_for_one_of_utc() {
    let world = World::new();
    // From 00:00 to 01:23 UTC on 1 January: in New York it is still 31 December.
    for (predicate, wanted) in [
        ("date_trunc('day', ts, 'America/New_York') = TIMESTAMPTZ '2025-12-31 00:00:00-05'", "5000"),
        ("date_trunc('day', ts AT TIME ZONE 'America/New_York') = TIMESTAMP '2025-12-31 00:00:00'", "5000"),
        ("date_trunc('day', ts AT TIME ZONE 'America/New_York') >= '2026-01-01T00:00:00'", "0"),
        ("date_trunc('day', ts) >= '2026-01-01T00:00:00Z'", "5000"),
        ("date_trunc('hour', ts, 'Asia/Kolkata') = TIMESTAMPTZ '2025-12-31 23:30:00Z'", "1800"),
        ("date_trunc('hour', ts AT TIME ZONE 'Asia/Kolkata') = TIMESTAMP '2026-01-01 05:00:00'", "1800"),
    ] {
        let text = format!("SELECT count(*) FROM samples WHERE path = '{PRESSURE}' AND {predicate}");
        assert_eq!(world.rows(&text).await, [wanted], "{predicate}");
    }
}

#[tokio::test]
async fn predicates_prune_tags_and_times() {
    let world = World::new();
    let id = |path: &str| world.plant.tags.iter().find(|tag| &*tag.path == path).expect("a tag").id.0;
    let at = |seconds: i64| T0 + seconds * SECOND;
    world.scans();
    for (predicate, from, to) in [
        ("ts >= '2026-01-01T00:01:40Z' AND ts < '2026-01-01T00:03:20Z'", at(100), at(200)),
        ("ts > '2026-01-01T00:01:40Z' AND ts <= '2026-01-01T00:03:20Z'", at(100) + 1, at(200) + 1),
        ("ts BETWEEN '2026-01-01T00:01:40Z' AND '2026-01-01T00:03:20Z'", at(100), at(200) + 1),
        ("'2026-01-01T00:01:40Z' <= ts AND '2026-01-01T00:03:20Z' > ts", at(100), at(200)),
        (
            "ts >= now() - INTERVAL '1 day' + INTERVAL '100 seconds' AND ts < now() - INTERVAL '86200 seconds'",
            at(100),
            at(200),
        ),
        ("ts = TIMESTAMPTZ '2026-01-01 00:01:40+00'", at(100), at(100) + 1),
        ("ts >= '2026-01-01 01:01:40+01' AND ts < TIMESTAMP '2026-01-01 00:03:20'", at(100), at(200)),
        // A minute begins in the span just when its times lie in whole minutes of it.
        (&in_bins(">= '2026-01-01T00:01:40Z'", "< '2026-01-01T00:03:20Z'"), at(120), at(240)),
        (&in_bins("> '2026-01-01T00:02:00Z'", "<= '2026-01-01T00:03:00Z'"), at(180), at(240)),
        (&in_bins(">= '2026-01-01T00:02:00Z'", "<= '2026-01-01T00:03:00.000001Z'"), at(120), at(240)),
        ("time_bucket('1 minute', ts) BETWEEN '2026-01-01T00:02:00Z' AND '2026-01-01T00:03:59Z'", at(120), at(240)),
        ("date_trunc('minute', ts) = TIMESTAMPTZ '2026-01-01 00:02:00+00'", at(120), at(180)),
    ] {
        world.plant.rows_read.store(0, Ordering::Relaxed);
        let text = format!("SELECT count(*) FROM samples WHERE path = '{PRESSURE}' AND {predicate}");
        let rows = world.rows(&text).await;
        let wanted = world.plant.of(PRESSURE).iter().filter(|point| (from..to).contains(&point.0)).count();
        assert_eq!(rows, [wanted.to_string()], "{predicate}");
        assert_eq!(world.scans(), [(id(PRESSURE), from, to)], "{predicate}");
        assert_eq!(world.plant.rows_read.load(Ordering::Relaxed), wanted, "{predicate}");
    }
    for (predicate, tags) in [
        ("path IN ('works/line1/filler/pressure', 'works/line1/filler/level')", 2),
        ("path LIKE 'works/line1/%'", 4),
        ("path LIKE 'works/%/pressure'", 4),
        ("path ~ '^home/'", 1),
        ("split_part(path, '/', 2) = 'line2'", 2),
        ("path = 'nowhere/at/all'", 0),
        ("(path = 'home/hall/lamp' OR path LIKE '%level') AND path <> 'home/hall/lamp'", 1),
        ("ts > '2027-01-01' AND ts < '2026-01-01'", 0),
    ] {
        world.rows(&format!("SELECT count(value) FROM samples WHERE {predicate}")).await;
        assert_eq!(world.scans().len(), tags, "{predicate}");
    }
    let plan = world
        .rows(&format!("EXPLAIN SELECT value FROM samples WHERE path = '{PRESSURE}' AND ts >= '2026-01-01T00:01:40Z'"))
        .await
        .join("\n");
    assert!(
        plan.contains("tags=1") && plan.contains("from=2026-01-01T00:01:40Z") && !plan.contains("FilterExec"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_limit_ends_the_reading_and_an_order_by_time_needs_no_sort() {
    let world = World::new();
    world.plant.rows_read.store(0, Ordering::Relaxed);
    assert_eq!(world.rows(&format!("SELECT ts FROM samples WHERE path = '{PRESSURE}' LIMIT 5")).await.len(), 5);
    assert!(world.plant.rows_read.load(Ordering::Relaxed) <= 1000, "one block");
    for query in [
        format!("EXPLAIN SELECT ts, value FROM samples WHERE path = '{PRESSURE}' ORDER BY ts"),
        "EXPLAIN SELECT path, ts, value FROM samples ORDER BY path, ts".to_owned(),
    ] {
        let plan = world.rows(&query).await.join("\n");
        assert!(!plan.contains("SortExec"), "{plan}");
    }
    let rows = world.rows("SELECT path, ts FROM samples ORDER BY path, ts").await;
    assert!(rows.is_sorted(), "the declared order is true");
}

#[tokio::test]
async fn buckets_and_time_weighted_averages_agree_with_a_loop() {
    let world = World::new();
    let text = format!(
        "SELECT time_bucket('1 minute', ts) AS minute, avg(value), min(value), max(value), count(*), time_weighted_average(ts, value) \
         FROM samples WHERE path = '{PRESSURE}' GROUP BY 1 ORDER BY 1"
    );
    let rows = world.rows(&text).await;
    let points = world.plant.of(PRESSURE);
    let minutes: Vec<Vec<&Point>> = points
        .chunk_by(|a, b| (a.0 - T0) / (60 * SECOND) == (b.0 - T0) / (60 * SECOND))
        .map(|chunk| chunk.iter().collect())
        .collect();
    assert_eq!(rows.len(), minutes.len());
    for (row, minute) in rows.iter().zip(&minutes) {
        let parts: Vec<f64> = row.split('|').skip(1).map(number).collect();
        let values: Vec<f64> = minute.iter().filter_map(|point| good(point)).collect();
        let average = values.iter().sum::<f64>() / f64::from(u32::try_from(values.len()).expect("few"));
        let (mut area, mut span) = (0.0, 0.0);
        for pair in values.windows(2) {
            area += f64::midpoint(pair[0], pair[1]);
            span += 1.0;
        }
        assert!((parts[0] - average).abs() < 1e-9 && (parts[4] - area / span).abs() < 1e-9, "{row}");
        assert_eq!(parts[3], f64::from(u32::try_from(values.len()).expect("few")));
    }
    // The same over several tags and threads, and where the samples are not in order.
    let by_tag = "SELECT path, time_weighted_average(ts, value) FROM samples WHERE path LIKE '%pressure' GROUP BY path ORDER BY path";
    assert_eq!(world.rows(by_tag).await.len(), 4);
    let mixed = world
        .try_rows(&world.anna, "SELECT time_weighted_average(ts, value) FROM samples WHERE path LIKE '%pressure'")
        .await;
    assert!(mixed.expect_err("refused").to_string().contains("GROUP BY"));
    let held = world.rows(&format!("SELECT time_weighted_average(ts, value, true) FROM samples WHERE path = '{LEVEL}' AND ts < '2026-01-01T00:00:10Z'")).await;
    assert_eq!(held, ["3.5"], "0 to 7 hold for a second each; what follows a bad sample does not count");
}

#[tokio::test]
async fn thinning_and_resampling_read_one_tag_once() {
    let world = World::new();
    world.scans();
    let rows = world
        .rows(&format!("SELECT ts, value FROM thin('{PRESSURE}', '2026-01-01T00:00:00Z', '2026-01-01T01:00:00Z', 100)"))
        .await;
    assert!(rows.len() <= 100 && rows.len() > 40, "{}", rows.len());
    assert_eq!(world.scans().len(), 1);
    let values: Vec<f64> = rows.iter().map(|row| number(row.split('|').nth(1).expect("value"))).collect();
    assert!(values.contains(&0.1) && values.contains(&59.1), "the extremes are kept");
    let rows = world.rows(&format!("SELECT value, min, max, samples, good FROM resample('{PRESSURE}', '2026-01-01T00:00:00Z', '2026-01-01T00:02:00Z', INTERVAL '1 minute')")).await;
    assert_eq!(rows.len(), 2);
    let parts: Vec<f64> = rows[0].split('|').map(number).collect();
    assert!(
        (parts[1] - 0.1).abs() < 1e-9 && (parts[2] - 59.1).abs() < 1e-9 && (parts[3] - 60.0).abs() < 1e-9,
        "{rows:?}"
    );
    // A line that ends between two samples is known to its end.
    let rows = world.rows(&format!("SELECT good, samples FROM resample('{PRESSURE}', '2026-01-01T00:00:01Z', '2026-01-01T00:00:11.5Z', INTERVAL '7 seconds')")).await;
    assert_eq!(rows, ["1.0|7", "1.0|4"], "of the shorter last step, too");
    for wrong in [
        "SELECT * FROM thin('x')",
        "SELECT * FROM thin('works/line1/filler/pressure', '2026-01-02', '2026-01-01', 100)",
        "SELECT * FROM thin('works/line1/filler/pressure', '2026-01-01', '2026-01-02', 1)",
        "SELECT * FROM resample('works/line1/filler/pressure', '2026-01-01', '2026-01-02', '1 month')",
        "SELECT * FROM resample('works/line1/filler/pressure', '2000-01-01', '2026-01-02', '1 ms')",
    ] {
        assert!(world.try_rows(&world.anna, wrong).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn the_small_views_are_there() {
    let world = World::new();
    let last = world.rows("SELECT path, value, quality, unit, stale FROM last_values WHERE path LIKE 'works/line1/filler/%' ORDER BY path").await;
    assert_eq!(last, [format!("{LEVEL}|–|bad|bar|false"), format!("{PRESSURE}|19.1|good|bar|false")]);
    assert_eq!(world.rows("SELECT count(*) FROM tags").await, ["7"]);
    let gaps = "SELECT since, until, reason FROM gaps WHERE until > '2025-12-31'";
    assert_eq!(world.rows(gaps).await, ["23:58:30|23:59:00|Andon was not running"]);
    let number = format!("SELECT number, path FROM tags WHERE path = '{PRESSURE}'");
    assert_eq!(world.rows(&number).await, [format!("1|{PRESSURE}")], "as the open table names it");
    assert_eq!(
        world.rows("SELECT path FROM equipment WHERE parent = 'works' ORDER BY 1").await,
        ["works/line1", "works/line2"]
    );
    assert_eq!(world.rows("SELECT count(*), min(seq), max(seq) FROM events").await, ["2500|1|2500"], "all pages");
    let range = world
        .rows("SELECT count(*) FROM events WHERE at >= '2026-01-01T00:00:10Z' AND at < '2026-01-01T00:00:20Z'")
        .await;
    assert_eq!(range, ["10"]);
    let joined = "SELECT t.unit, avg(s.value) FROM samples s JOIN tags t ON t.path = s.path WHERE s.path LIKE 'works/line2/%' GROUP BY t.unit";
    assert_eq!(world.rows(joined).await.len(), 1);
}

#[tokio::test]
async fn the_catalogue_queries_of_clients_are_answered() {
    let world = World::new();
    let list = "SELECT n.nspname as \"Schema\", c.relname as \"Name\", CASE c.relkind WHEN 'r' THEN 'table' WHEN 'v' THEN 'view' END as \"Type\", \
        pg_catalog.pg_get_userbyid(c.relowner) as \"Owner\" FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
        LEFT JOIN pg_catalog.pg_am am ON am.oid = c.relam WHERE c.relkind IN ('r','p','') AND n.nspname <> 'pg_catalog' AND n.nspname !~ '^pg_toast' \
        AND n.nspname <> 'information_schema' AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 1,2";
    assert_eq!(world.rows(list).await.len(), andon_sql::views::VIEWS.len());
    let columns = "SELECT a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod), (SELECT pg_catalog.pg_get_expr(d.adbin, d.adrelid, true) \
        FROM pg_catalog.pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.atthasdef), a.attnotnull, \
        (SELECT c.collname FROM pg_catalog.pg_collation c, pg_catalog.pg_type t WHERE c.oid = a.attcollation AND t.oid = a.atttypid AND a.attcollation <> t.typcollation) AS attcollation, \
        a.attidentity, a.attgenerated FROM pg_catalog.pg_attribute a WHERE a.attrelid = '16384' AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";
    let rows = world.rows(columns).await;
    assert_eq!(rows.len(), 8);
    assert_eq!(rows[1], "ts|timestamp with time zone|–|true|–||");
    for query in [
        "SELECT c.oid, n.nspname, c.relname FROM pg_catalog.pg_class c LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.relname OPERATOR(pg_catalog.~) '^(samples)$' COLLATE pg_catalog.default AND pg_catalog.pg_table_is_visible(c.oid) ORDER BY 2, 3",
        "SELECT quote_ident(table_name) FROM information_schema.tables WHERE quote_ident(table_schema) = 'public'",
        "SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_TYPE FROM INFORMATION_SCHEMA.tables WHERE TABLE_SCHEMA NOT IN ('information_schema', 'pg_catalog') ORDER BY TABLE_SCHEMA, TABLE_NAME",
        "SELECT COLUMN_NAME, ORDINAL_POSITION, IS_NULLABLE, DATA_TYPE FROM INFORMATION_SCHEMA.columns WHERE TABLE_SCHEMA = 'public' AND TABLE_NAME = 'samples' ORDER BY 1",
        "SELECT current_database(), current_schema(), current_user, version()",
        "SELECT current_setting('server_version_num')::int/100 as version",
        "SELECT oid, typname FROM pg_type WHERE typname = ANY('{int4,text}') ORDER BY oid",
        "SELECT 'samples'::regclass::oid",
        "SELECT nspname FROM pg_namespace WHERE nspname = ANY(current_schemas(true))",
        "SELECT d.description FROM pg_catalog.pg_description d WHERE d.classoid = 'pg_class'::regclass",
    ] {
        assert!(!world.rows(query).await.is_empty(), "{query}");
    }
}

#[tokio::test]
async fn paths_that_are_named_are_looked_up_and_all_others_are_sifted() {
    let world = World::new();
    for (predicate, tags, sifts) in [
        ("path = 'works/line1/filler/pressure'", 1, 0),
        ("'works/line1/filler/pressure' = path", 1, 0),
        ("path IN ('works/line1/filler/pressure', 'works/line1/state', 'there is none', 'works/line1/state')", 2, 0),
        ("path IN ('works/line1/state', 'home/hall/lamp', 'a', 'b', 'c', 'd', 'e')", 2, 0),
        ("path = 'works/line1/state' OR path = 'home/hall/lamp'", 2, 0),
        ("path = 'works/line1/state' AND path LIKE 'home/%'", 0, 0),
        ("path = 'works/line1/state' OR path LIKE '%lamp'", 2, 1),
        ("path NOT IN ('works/line1/state', 'home/hall/lamp')", 5, 1),
        ("path <> 'works/line1/state'", 6, 1),
        ("path = upper('there is none')", 0, 0),
        ("path LIKE '%pressure'", 4, 1),
    ] {
        world.plant.all_paths.store(0, Ordering::Relaxed);
        let rows = world.rows(&format!("SELECT DISTINCT path FROM samples WHERE {predicate}")).await;
        assert_eq!((rows.len(), world.plant.all_paths.load(Ordering::Relaxed)), (tags, sifts), "{predicate}: {rows:?}");
    }
    let hidden = world.try_rows(&world.bert, "SELECT * FROM samples WHERE path = 'home/hall/lamp'").await;
    assert_eq!(hidden.expect("an answer"), Vec::<String>::new(), "what may not be seen looks like what does not exist");
}

#[tokio::test]
async fn a_day_of_another_zone_has_its_date_and_times_without_a_z_are_local() {
    use andon_sql::output::{Format, Writer};
    let world = World::new();
    let text = "SELECT CAST(ts AT TIME ZONE 'Europe/Berlin' AS date) AS day, \
        date_trunc('day', ts AT TIME ZONE 'Europe/Berlin') AS begins \
        FROM (VALUES (TIMESTAMPTZ '2026-11-25T22:30:00Z'), (TIMESTAMPTZ '2026-11-25T23:30:00Z')) AS s(ts) ORDER BY 1";
    for format in [Format::Csv, Format::Json] {
        let mut writer = Writer::new(world.engine.run(&world.anna, text).await.expect("runs"), format);
        let mut out = Vec::new();
        while let Some(bytes) = writer.next().await {
            out.extend_from_slice(&bytes.expect("written"));
        }
        let out = String::from_utf8(out).expect("text").replace('"', "");
        for row in ["2026-11-25,2026-11-25T00:00:00.000000", "2026-11-26,2026-11-26T00:00:00.000000"] {
            assert!(out.contains(row), "{out}");
        }
    }
}

#[tokio::test]
async fn the_detail_of_an_event_is_read_in_sql() {
    let mut plant = crate::plant::works();
    plant.events[0].detail = r#"{"kind":"alarm","limit":{"high":80.5},"tags":["a","b"],"by":null}"#.to_owned();
    let world = World::with(plant, andon_sql::Options::default());
    let first = "FROM events WHERE seq = 1";
    for (text, wanted) in [
        ("detail ->> 'kind', detail -> 'kind'", "alarm|\"alarm\""),
        ("(detail -> 'limit' ->> 'high')::float8 + 1, detail::json -> 'limit'", "81.5|{\"high\":80.5}"),
        ("detail -> 'tags' ->> 1, detail -> 'tags' -> -2, detail -> 'tags' -> 2", "b|\"a\"|–"),
        ("detail ->> 'by', detail ->> 'nothing', detail -> 'kind' ->> 'x'", "–|–|–"),
        ("json_extract_path_text(detail, 'tags', '0'), json_extract_path(detail, 'limit', 'high')", "a|80.5"),
    ] {
        assert_eq!(world.rows(&format!("SELECT {text} {first}")).await, [wanted], "{text}");
    }
    assert_eq!(world.rows("SELECT count(*) FROM events WHERE detail ->> 'kind' = 'alarm'").await, ["1"]);
    assert_eq!(world.rows("SELECT severity, severity_name FROM events LIMIT 1").await, ["2|high"]);
    let wrong = world.try_rows(&world.anna, "SELECT path ->> 'x' FROM tags").await.expect_err("no JSON");
    assert!(wrong.code() == "22023" && wrong.to_string().contains("is not JSON"), "{wrong}");
}

#[tokio::test]
async fn people_and_functions_are_listed_by_name() {
    let world = World::new();
    assert_eq!(
        world.rows("SELECT current_user, session_user, (SELECT min(rolname) FROM pg_roles)").await,
        ["anna|anna|anna"]
    );
    let listed = world.rows("SELECT p.proname, pg_get_function_result(p.oid), pg_get_function_arguments(p.oid), obj_description(p.oid, 'pg_proc') \
        FROM pg_proc p LEFT JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = 'public' AND p.proname = 'time_weighted_average'").await;
    let [one] = &listed[..] else { panic!("{listed:?}") };
    assert!(
        one.starts_with("time_weighted_average|double precision|ts timestamp with time zone, value double precision")
            && one.contains("average over time"),
        "{one}"
    );
    // None is listed that there is not.
    for name in world.rows("SELECT routine_name FROM information_schema.routines").await {
        let called = world.try_rows(&world.anna, &format!("SELECT * FROM {name}()")).await.err();
        let called = if called.as_ref().is_some_and(|error| error.to_string().contains("called as")) {
            called
        } else {
            world.try_rows(&world.anna, &format!("SELECT {name}()")).await.err()
        };
        let error = called.expect("it wants arguments").to_string();
        assert!(!error.contains("Invalid function"), "{name}: {error}");
    }
}
