//! Aggregates that are calculated while samples are read, against the engine's own over the same rows.

use crate::plant::{SECOND, T0, World, works};
use andon_model::Value;
use andon_sql::{Options, SqlError};
use std::sync::atomic::Ordering;

const FIGURES: &str = "avg(value), min(value), max(value), sum(value), count(value), count(*), count(ts)";
/// A scan with a limit is never summed up.
const PLAIN: &str = "(SELECT * FROM samples LIMIT 100000000)";

/// Questions to `{samples}`, with whether they are summed up.
fn questions() -> Vec<(String, bool)> {
    let mut all: Vec<(String, bool)> = [
        ("SELECT path, {figures} FROM {samples} s GROUP BY path", true),
        ("SELECT {figures} FROM {samples} s", true),
        ("SELECT {figures} FROM {samples} s WHERE path = 'works/line1/filler/level'", true),
        ("SELECT {figures} FROM {samples} s WHERE path = 'works/line1/state'", true),
        ("SELECT {figures} FROM {samples} s WHERE path = 'home/hall/lamp'", true),
        ("SELECT {figures} FROM {samples} s WHERE path = 'there is none'", true),
        ("SELECT path, {figures} FROM {samples} s WHERE path LIKE 'there is %' GROUP BY path", true),
        ("SELECT {figures} FROM {samples} s WHERE ts < '2001-01-01'", true),
        ("SELECT path, avg(value) AS mean FROM {samples} s GROUP BY path ORDER BY mean DESC, path LIMIT 3", true),
        ("SELECT count(*) FROM {samples} s GROUP BY path HAVING count(*) > 100", true),
        ("SELECT max(value) - min(value) FROM {samples} s WHERE ts >= '2026-01-01T00:01:00Z' AND ts < '2026-01-01T00:02:30Z'", true),
        ("SELECT path, {figures} FROM {samples} s WHERE value > 3 GROUP BY path", true),
        ("SELECT {figures} FROM {samples} s WHERE value > 3 AND quality = 'good'", true),
        ("SELECT {figures} FROM {samples} s WHERE value > 1e9", true),
        ("SELECT path, count(*) FROM {samples} s WHERE value > 40 AND value < 41 GROUP BY path", true),
        ("SELECT path, count(*) FROM {samples} s WHERE NOT value > 3 GROUP BY path", true),
        ("SELECT path, avg(value) FILTER (WHERE value > 3), count(*) FILTER (WHERE quality = 'bad'), count(*), sum(value) FROM {samples} s GROUP BY path", true),
        ("SELECT count(*) FILTER (WHERE value > 3), count(value) FILTER (WHERE path LIKE '%level') FROM {samples} s", true),
        ("SELECT sum(10 / status_code) FILTER (WHERE status_code <> 0) FROM {samples} s", true),
        ("SELECT path, avg(CASE WHEN value > 5 THEN 1.0 ELSE 0.0 END), sum(CASE WHEN value > 5 THEN 1 ELSE 0 END), sum(CASE WHEN value > 5 THEN 1 END) FROM {samples} s GROUP BY path", true),
        ("SELECT path, avg(value * 2 + 1), min(abs(value - 30)), max(abs(value - 30)), count(text), count(nullif(value, 3)) FROM {samples} s GROUP BY path", true),
        ("SELECT path, count(*), count(text) FROM {samples} s WHERE text = 'held' GROUP BY path", true),
        ("SELECT path, sum(twice), max(twice) FROM (SELECT path, value * 2 AS twice FROM {samples} s WHERE value < 30) x WHERE twice > 4 GROUP BY path", true),
        ("SELECT path, sum(status_code), count(status_code) FROM {samples} s WHERE quality = 'uncertain' GROUP BY path", true),
        ("SELECT path, min(status_code) FROM {samples} s GROUP BY path", false),
        ("SELECT path, max(text) FROM {samples} s GROUP BY path", false),
        ("SELECT path, avg(value + random() * 0) FROM (SELECT path, value + random() * 0 AS value FROM {samples} s) x GROUP BY path", false),
        ("SELECT path, count(DISTINCT value) FROM {samples} s GROUP BY path", false),
        ("SELECT quality, count(*) FROM {samples} s GROUP BY quality", false),
        ("SELECT path, date_trunc('month', ts), avg(value) FROM {samples} s GROUP BY 1, 2", false),
    ]
    .map(|(text, summed)| (text.to_owned(), summed))
    .into();
    for bucket in [
        "time_bucket('1 minute', ts)",
        "date_bin(INTERVAL '7 seconds', ts)",
        "date_bin(INTERVAL '1 day', ts)",
        "date_trunc('second', ts)",
        "date_trunc('HOUR', ts)",
        "date_trunc('day', ts)",
    ] {
        all.push((format!("SELECT {bucket} AS t, {{figures}} FROM {{samples}} s WHERE path = 'works/line1/filler/pressure' GROUP BY 1"), true));
        all.push((format!("SELECT {bucket} AS t, {{figures}} FROM {{samples}} s WHERE path = 'works/line1/filler/level' GROUP BY 1 ORDER BY 1 LIMIT 5"), true));
        all.push((format!("SELECT {bucket} AS t, {{figures}} FROM {{samples}} s GROUP BY 1"), true));
        all.push((
            format!("SELECT path, {bucket} AS t, {{figures}} FROM {{samples}} s GROUP BY 1, 2 ORDER BY 1, 2"),
            true,
        ));
        all.push((format!("SELECT path, {bucket} AS t, {{figures}}, avg(CASE WHEN value < 5 THEN 1.0 ELSE 0.0 END) FROM {{samples}} s WHERE value < 20 OR quality = 'bad' GROUP BY 1, 2 ORDER BY 1, 2"), true));
        all.push((format!("SELECT {bucket} AS t, path, max(value) FROM {{samples}} s GROUP BY 1, 2"), true));
    }
    all
}

/// Equal but for the last digits of sums, which are added up in another order.
pub fn same(a: &[String], b: &[String]) -> bool {
    let close = |(a, b): (&str, &str)| {
        let numbers = a.parse::<f64>().ok().zip(b.parse::<f64>().ok());
        a == b || numbers.is_some_and(|(a, b)| (a - b).abs() <= 1e-9 * a.abs().max(b.abs()))
    };
    let row = |(a, b): (&String, &String)| {
        a.matches('|').count() == b.matches('|').count() && a.split('|').zip(b.split('|')).all(close)
    };
    a.len() == b.len() && a.iter().zip(b).all(row)
}

fn of(text: &str, samples: &str) -> String {
    text.replace("{figures}", FIGURES).replace("{samples}", samples)
}

#[tokio::test]
async fn summed_up_or_row_by_row_the_answer_is_the_same() {
    // Blocks of odd lengths, so that stretches begin and end in the middle of one; at last with minutes added up already.
    for (block, sums) in [(3, false), (7, false), (1000, false), (100_000, false), (7, true)] {
        let mut plant = works();
        plant.block = block;
        plant.sums = sums.into();
        let world = World::with(plant, Options::default());
        for (text, summed) in questions() {
            let (asked, plain) = (of(&text, "samples"), of(&text, PLAIN));
            let explained = world.rows(&format!("EXPLAIN {asked}")).await.join("\n");
            assert_eq!(explained.contains("SummaryExec"), summed, "{asked}\n{explained}");
            let (mut mine, mut right) = (world.rows(&asked).await, world.rows(&plain).await);
            if !text.contains("ORDER BY") {
                mine.sort();
                right.sort();
            }
            assert!(same(&mine, &right), "{asked} in blocks of {block}: {mine:?} {right:?}");
            assert!(!world.rows(&format!("EXPLAIN {plain}")).await.join("\n").contains("SummaryExec"));
        }
        assert_eq!(world.plant.sums_read.load(Ordering::Relaxed) > 1000, sums, "minutes were taken as they are");
    }
}

#[tokio::test]
async fn tags_are_read_by_their_numbers_and_told_by_their_paths() {
    let mut plant = works();
    for n in (0..40).rev() {
        plant.add(&format!("works/line2/n{n:02}"), true, vec![(T0, Value::Double(f64::from(n)), 0)]);
    }
    let world = World::with(plant, Options::default());
    world.scans();
    let rows = world
        .rows("SELECT path, sum(value) FROM samples WHERE path LIKE 'works/line2/n%' GROUP BY path ORDER BY path")
        .await;
    let right: Vec<String> = (0..40).map(|n| format!("works/line2/n{n:02}|{n}.0")).collect();
    assert_eq!(rows, right);
    let read: Vec<u32> = world.scans().into_iter().map(|scan| scan.0).collect();
    // Two partitions run side by side.
    let turns = read.windows(2).filter(|pair| pair[0] > pair[1]).count();
    assert!(read.len() == 40 && turns < 40, "{read:?}");
}

#[tokio::test]
async fn where_each_group_is_of_one_tag_nothing_is_left_to_do_after_the_summing_up() {
    let world = World::new();
    let explained = async |text: &str| world.rows(&format!("EXPLAIN {text}")).await.join("\n");
    for text in [
        "SELECT path, time_bucket('1 minute', ts), avg(value) FROM samples GROUP BY 1, 2 ORDER BY 1, 2",
        "SELECT path, max(value) FROM samples WHERE value > 1 GROUP BY path ORDER BY path",
        "SELECT time_bucket('1 minute', ts), avg(value) FROM samples WHERE path = 'works/line1/filler/level' GROUP BY 1 ORDER BY 1",
        "SELECT avg(value), count(*) FROM samples WHERE path = 'works/line1/filler/level'",
    ] {
        let plan = explained(text).await;
        assert!(
            plan.contains("SummaryExec") && !plan.contains("AggregateExec") && !plan.contains("SortExec"),
            "{plan}"
        );
    }
    for text in
        ["SELECT time_bucket('1 minute', ts), avg(value) FROM samples GROUP BY 1", "SELECT avg(value) FROM samples"]
    {
        let plan = explained(text).await;
        assert!(plan.contains("SummaryExec") && plan.contains("AggregateExec: mode=Final"), "{plan}");
    }
}

#[tokio::test]
async fn many_groups_come_in_order_and_each_once() {
    let mut plant = works();
    let points =
        (0..50_000).map(|n| (T0 + n * SECOND / 2, Value::Double(f64::from(i32::try_from(n).expect("small"))), 0));
    plant.add("works/line2/count", true, points.collect());
    let world = World::with(plant, Options::default());
    let rows = world
        .rows("SELECT path, date_trunc('second', ts), sum(value), count(*) FROM samples WHERE path LIKE 'works/line2/%' GROUP BY 1, 2 ORDER BY 1, 2")
        .await;
    let of_tag: Vec<_> = rows.iter().filter_map(|row| row.strip_prefix("works/line2/count|")).collect();
    assert_eq!(of_tag.len(), 25_000);
    assert!(of_tag.is_sorted() && of_tag.iter().all(|row| row.ends_with("|2")));
    assert_eq!(rows.len(), 25_000 + 2 * 5000);
}

#[tokio::test]
async fn sums_take_no_more_memory_than_the_query_may() {
    let mut plant = works();
    for n in 0..600 {
        plant.add(&format!("works/many/n{n:03}"), true, vec![(T0, Value::Double(f64::from(n)), 0)]);
    }
    let points = (0..20_000).map(|n| (T0 + n * SECOND, Value::Double(1.0), 0));
    plant.add("works/long", true, points.collect());
    let sums = |count: usize| (0..count).map(|n| format!("sum(value + {n})")).collect::<Vec<_>>().join(", ");
    let world = World::with(plant, Options { memory_mib: 8, ..Options::default() });
    let by_tag = |tags: &str| {
        format!("SELECT path, {} FROM samples WHERE path LIKE 'works/many/{tags}' GROUP BY path", sums(900))
    };
    let many = world.try_rows(&world.anna, &by_tag("%")).await;
    assert!(matches!(many, Err(SqlError::TooMuchMemory { mib: 8 })), "{many:?}");
    assert_eq!(world.rows(&by_tag("n00%")).await.len(), 10);
    // Groups that are done are handed out: of 20,000 with 30 sums each, few are there at a time.
    let by_second =
        format!("SELECT time_bucket('1 second', ts), {} FROM samples WHERE path = 'works/long' GROUP BY 1", sums(30));
    assert_eq!(world.rows(&by_second).await.len(), 20_000);
}

#[tokio::test]
async fn a_filter_keeps_a_calculation_from_rows_on_which_it_would_fail() {
    let mut plant = works();
    plant.add("works/line2/codes", true, vec![(T0, Value::Double(1.0), 0), (T0 + SECOND, Value::Double(2.0), 1)]);
    let world = World::with(plant, Options::default());
    let guarded = "sum(10 / status_code) FILTER (WHERE status_code <> 0), count(*)";
    let one = "FROM samples WHERE path = 'works/line2/codes'";
    assert_eq!(world.rows(&format!("SELECT {guarded} {one}")).await, ["10|2"]);
    assert_eq!(world.rows(&format!("SELECT path, {guarded} {one} GROUP BY path")).await, ["works/line2/codes|10|2"]);
    let bucket = "time_bucket('1 minute', ts)";
    assert_eq!(world.rows(&format!("SELECT {guarded} {one} GROUP BY {bucket}")).await, ["10|2"]);
    let failed = world.try_rows(&world.anna, &format!("SELECT sum(10 / status_code) {one}")).await;
    assert!(matches!(&failed, Err(error) if error.code() == "22012"), "{failed:?}");
}

#[tokio::test]
async fn a_sum_of_whole_numbers_is_right_or_out_of_range() {
    let mut plant = works();
    let points = (0..4).map(|n| (T0 + n * SECOND, Value::Double(1.0), u32::from(n > 1)));
    plant.add("works/line2/codes", true, points.collect());
    let world = World::with(plant, Options::default());
    let of = |sum: &str| format!("SELECT path, {sum} FROM samples WHERE path = 'works/line2/codes' GROUP BY path");
    // On the way, the sum is twice the largest.
    let back = "sum(CASE WHEN status_code = 0 THEN 9223372036854775807 ELSE -9223372036854775807 END)";
    assert_eq!(world.rows(&of(back)).await, ["works/line2/codes|0"]);
    let beyond = world.try_rows(&world.anna, &of("sum(9223372036854775807 - status_code)")).await;
    assert!(matches!(&beyond, Err(error) if error.code() == "22003"), "{beyond:?}");
    assert!(beyond.is_err_and(|error| error.to_string() == "bigint out of range"));
}

#[tokio::test]
async fn beginnings_of_stretches_are_those_of_the_engine() {
    let world = World::new();
    let times =
        ["1969-12-31T23:59:59.999Z", "1970-01-01T00:00:00Z", "2026-03-29T00:59:59.5Z", "1905-02-03T04:05:06.789Z"];
    for width in ["1 millisecond", "7 seconds", "90 minutes", "1 day", "36 hours"] {
        for time in times {
            // Times of another type go the engine's own way.
            let text = format!(
                "SELECT date_bin(INTERVAL '{width}', t) = arrow_cast(date_bin(INTERVAL '{width}', arrow_cast(t, 'Timestamp(Millisecond, None)')), 'Timestamp(Microsecond, Some(\"UTC\"))') \
                 FROM (SELECT arrow_cast(TIMESTAMP '{time}', 'Timestamp(Microsecond, Some(\"UTC\"))') AS t FROM samples WHERE path = 'works/line1/filler/pressure' LIMIT 1) x"
            );
            assert_eq!(world.rows(&text).await, ["true"], "{width} {time}");
        }
    }
    for unit in ["microsecond", "millisecond", "second", "minute", "hour", "day", "week", "month", "year"] {
        for time in times {
            let text = format!(
                "SELECT arrow_cast(date_trunc('{unit}', t), 'Int64') = arrow_cast(date_trunc('{unit}', arrow_cast(t, 'Timestamp(Microsecond, None)')), 'Int64') \
                 FROM (SELECT arrow_cast(TIMESTAMP '{time}', 'Timestamp(Microsecond, Some(\"UTC\"))') AS t FROM samples WHERE path = 'works/line1/filler/pressure' LIMIT 1) x"
            );
            assert_eq!(world.rows(&text).await, ["true"], "{unit} {time}");
        }
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_the_summing_up() {
    let mut plant = works();
    plant.block = 10;
    let world = World::with(plant, Options::default());
    world.plant.slow_ms.store(5, Ordering::Relaxed);
    let asked = world.try_rows(&world.bert, "SELECT path, avg(value) FROM samples GROUP BY path");
    let taken = async {
        while world.plant.rows_read.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        world.plant.grant(&world.bert, &[]);
    };
    let (answer, ()) = tokio::join!(asked, taken);
    assert!(answer.expect_err("not allowed any more").to_string().contains("rights were changed"));
    world.plant.slow_ms.store(0, Ordering::Relaxed);
    let rows = world.try_rows(&world.bert, "SELECT path, avg(value) FROM samples GROUP BY path").await;
    assert!(rows.is_err(), "{rows:?}");
}
