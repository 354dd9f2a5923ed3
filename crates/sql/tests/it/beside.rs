//! Tags side by side, against a plain walk over the same samples.

use crate::plant::{Plant, Point, SECOND, T0, World, works};
use andon_model::{StatusCode, Value};
use andon_sql::{Options, SqlError};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;
use std::time::Duration;

const DAY: &str = "'2026-01-01', '2026-01-02'";

/// Machines whose tags have their readings now together, now apart; one lacks a tag, one tag is text, some readings are bad.
fn cells() -> Plant {
    let mut plant = works();
    let number = |n: i64| Value::Double(f64::from(i32::try_from(n).expect("small")));
    for cell in 0..4 {
        let speed = (0..500).map(|n| (T0 + n * (cell + 1) * SECOND, number(n), 0));
        plant.add(&format!("works/cell{cell}/speed"), false, speed.collect());
        let load = |n: i64| match n % 7 {
            6 => (T0 + n * 3 * SECOND, number(n), StatusCode::BAD_SENSOR_FAILURE.0),
            5 => (T0 + n * 3 * SECOND + 1, number(-n), 0),
            _ => (T0 + n * 3 * SECOND, Value::Int64(n), 0),
        };
        if cell != 2 {
            plant.add(&format!("works/cell{cell}/load"), true, (0..200).map(load).collect());
        }
        let word = |n: i64| (T0 + n * 10 * SECOND, Value::String(format!("order {}", n % 3).into()), 0);
        plant.add(&format!("works/cell{cell}/order"), true, (0..30).map(word).collect());
        if let Some(tag) = plant.tags.last_mut() {
            tag.data_type = "string";
        }
    }
    plant
}

fn world(block: usize) -> World {
    World::with(Plant { block, ..cells() }, Options::default())
}

/// As it is shown: a number, a text, or nothing where it is bad.
fn shown(point: &Point) -> Option<String> {
    if StatusCode(point.2).is_bad() {
        return None;
    }
    match &point.1 {
        Value::String(text) => Some(text.to_string()),
        other => other.as_f64().map(|number| format!("{number:?}")),
    }
}

/// The rows of some cells: path, seconds, and what each tag has at that time.
fn plain(plant: &Plant, cells: &[&str], names: &[&str], within: std::ops::Range<i64>) -> Vec<String> {
    let mut rows = Vec::new();
    for cell in cells {
        let mut times: BTreeMap<i64, Vec<Option<String>>> = BTreeMap::new();
        for (place, name) in names.iter().enumerate() {
            let path = format!("works/{cell}/{name}");
            let Some(tag) = plant.tags.iter().find(|tag| *tag.path == *path) else { continue };
            for point in plant.points[&tag.id.0].iter().filter(|point| within.contains(&point.0)) {
                times.entry(point.0).or_insert_with(|| vec![None; names.len()])[place] = shown(point);
            }
        }
        rows.extend(times.into_iter().map(|(ts, values)| {
            let values: Vec<String> = values.into_iter().map(|value| value.unwrap_or("–".to_owned())).collect();
            format!("works/{cell}|{}|{}", ts - T0, values.join("|"))
        }));
    }
    rows
}

const US: &str = "arrow_cast(ts, 'Int64') - 1767225600000000 AS us";

#[tokio::test]
async fn each_time_of_each_machine_is_one_row_with_what_its_tags_have_then() {
    for block in [1, 3, 7, 1000] {
        let world = world(block);
        let plant = &world.plant;
        let all = i64::MIN..i64::MAX;
        for names in [&["speed", "load", "order"][..], &["order", "speed"], &["load"], &["load", "order"]] {
            let columns = names.join(", ");
            let tags = names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
            let asked = world
                .rows(&format!(
                    "SELECT path, {US}, {columns} FROM side_by_side('works/%', {DAY}, {tags}) ORDER BY path, ts"
                ))
                .await;
            let right = plain(plant, &["cell0", "cell1", "cell2", "cell3"], names, all.clone());
            assert_eq!(asked, right, "{names:?} in blocks of {block}");
        }
        let one = world
            .rows(&format!(
                "SELECT path, {US}, speed, load FROM side_by_side('works/cell1', {DAY}, 'speed', 'load') ORDER BY ts"
            ))
            .await;
        assert_eq!(one, plain(plant, &["cell1"], &["speed", "load"], all.clone()));
        // Times come from the call and from conditions, machines from conditions, too.
        let within = T0 + 100 * SECOND..T0 + 200 * SECOND;
        let some = world
            .rows(&format!(
                "SELECT path, {US}, load, speed FROM side_by_side('works/cell_', '2026-01-01T00:01:40Z', '2026-01-02', 'load', 'speed') \
                 WHERE ts < '2026-01-01T00:03:20Z' AND path IN ('works/cell0', 'works/cell2') AND path <> 'works/cell1' ORDER BY path, ts"
            ))
            .await;
        assert_eq!(some, plain(plant, &["cell0", "cell2"], &["load", "speed"], within));
    }
}

#[tokio::test]
async fn only_what_is_asked_for_is_read_and_an_order_costs_nothing() {
    let world = world(100);
    let read = |world: &World| -> BTreeSet<u32> { world.scans().into_iter().map(|scan| scan.0).collect() };
    let ids = |paths: &[&str]| -> BTreeSet<u32> {
        world.plant.tags.iter().filter(|tag| paths.contains(&&*tag.path)).map(|tag| tag.id.0).collect()
    };
    let text = format!(
        "SELECT * FROM side_by_side('works/%', {DAY}, 'speed', 'load') WHERE path = 'works/cell1' ORDER BY path, ts"
    );
    world.scans();
    world.rows(&text).await;
    assert_eq!(read(&world), ids(&["works/cell1/speed", "works/cell1/load"]));
    assert!(!world.rows(&format!("EXPLAIN {text}")).await.join("\n").contains("SortExec"));
    let before = world.plant.rows_read.load(Ordering::Relaxed);
    assert_eq!(
        world.rows(&format!("SELECT * FROM side_by_side('works/%', {DAY}, 'speed', 'load') LIMIT 5")).await.len(),
        5
    );
    let read = world.plant.rows_read.load(Ordering::Relaxed) - before;
    assert!(read <= 4 * 100, "{read} rows were read for five");
}

#[tokio::test]
async fn sums_of_what_stands_side_by_side_are_those_of_the_engine() {
    const SIDES: &str = "side_by_side('works/%', '2026-01-01', '2026-01-02', 'speed', 'load', 'order')";
    let plain = format!("(SELECT * FROM {SIDES} LIMIT 100000000)");
    for block in [3, 1000] {
        let world = world(block);
        for text in [
            "SELECT path, sum(load), count(load), count(*), min(speed), max(load) FROM {sides} s WHERE speed > 20 GROUP BY path ORDER BY path",
            "SELECT path, time_bucket('1 minute', ts), avg(speed - load), avg(CASE WHEN \"order\" = 'order 1' THEN 1.0 ELSE 0.0 END) FROM {sides} s GROUP BY 1, 2 ORDER BY 1, 2",
            "SELECT avg(speed) FILTER (WHERE load > 10), count(\"order\") FROM {sides} s",
            "SELECT path, avg(load) FROM {sides} s WHERE \"order\" IS NOT NULL GROUP BY path ORDER BY path",
        ] {
            let [asked, right] = [SIDES, &plain].map(|sides| text.replace("{sides}", sides));
            let explained = world.rows(&format!("EXPLAIN {asked}")).await.join("\n");
            assert!(explained.contains("SummaryExec") && !explained.contains("SideBySideExec"), "{explained}");
            let (mine, right) = (world.rows(&asked).await, world.rows(&right).await);
            assert!(crate::summaries::same(&mine, &right) && !mine.is_empty(), "{asked}: {mine:?} {right:?}");
        }
    }
}

#[tokio::test]
async fn last_values_stand_side_by_side() {
    let world = world(100);
    let rows =
        world.rows("SELECT * FROM last_side_by_side('works/cell%', 'order', 'load', 'speed') ORDER BY path").await;
    let last =
        |path: &str| world.plant.tags.iter().find(|tag| &*tag.path == path).map(|tag| &world.plant.points[&tag.id.0]);
    let right: Vec<String> = (0..4)
        .map(|cell| {
            let of = |name: &str| last(&format!("works/cell{cell}/{name}")).and_then(|points| shown(points.last()?));
            let values = ["order", "load", "speed"].map(|name| of(name).unwrap_or("–".to_owned()));
            format!("works/cell{cell}|{}", values.join("|"))
        })
        .collect();
    assert_eq!(rows, right);
    let one = world.rows("SELECT state FROM last_side_by_side('works/line1/', 'state')").await;
    assert_eq!(one, ["–"], "text in a tag of numbers is no number");
}

#[tokio::test]
async fn nobody_sees_more_side_by_side_than_one_by_one() {
    let world = world(100);
    world.plant.grant(&world.bert, &["works/cell1", "works/cell3/load"]);
    world.scans();
    let text =
        format!("SELECT path, {US}, speed, load FROM side_by_side('%', {DAY}, 'speed', 'load') ORDER BY path, ts");
    let his = world.try_rows(&world.bert, &text).await.expect("rows");
    let plant = &world.plant;
    let mut right = plain(plant, &["cell1"], &["speed", "load"], i64::MIN..i64::MAX);
    let load = plain(plant, &["cell3"], &["load"], i64::MIN..i64::MAX);
    right.extend(load.iter().map(|row| {
        let (at, load) = row.rsplit_once('|').expect("columns");
        format!("{at}|–|{load}")
    }));
    assert_eq!(his, right);
    let hers: BTreeSet<u32> = plant
        .tags
        .iter()
        .filter(|tag| tag.path.starts_with("works/cell1/") || &*tag.path == "works/cell3/load")
        .map(|tag| tag.id.0)
        .collect();
    assert!(world.scans().iter().all(|scan| hers.contains(&scan.0)));
    let last = world
        .try_rows(&world.bert, "SELECT path, speed FROM last_side_by_side('works/%', 'speed', 'load') ORDER BY path")
        .await;
    assert_eq!(last, Ok(vec!["works/cell1|499.0".to_owned(), "works/cell3|–".to_owned()]));
    for call in
        ["side_by_side('works/{}', '2026-01-01', '2026-01-02', 'speed')", "last_side_by_side('works/{}', 'speed')"]
    {
        let words = |outcome: Result<Vec<String>, SqlError>| outcome.expect_err("refused").to_string();
        let [hidden, missing] = ["cell0", "cell9"].map(|cell| format!("SELECT * FROM {}", call.replace("{}", cell)));
        let hidden = words(world.try_rows(&world.bert, &hidden).await).replace("cell0", "cell9");
        assert_eq!(
            hidden,
            words(world.try_rows(&world.bert, &missing).await),
            "what is hidden looks like what is not there"
        );
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_or_time_that_is_over_ends_it() {
    for summed in [false, true] {
        let options = Options { time: Duration::from_millis(300), ..Options::default() };
        let columns = if summed { "avg(speed)" } else { "speed" };
        let text = format!("SELECT {columns} FROM side_by_side('works/%', {DAY}, 'speed', 'load')");
        let world = World::with(Plant { block: 1, ..cells() }, options);
        world.plant.slow_ms.store(5, Ordering::Relaxed);
        let outcome = world.try_rows(&world.anna, &text).await;
        assert!(matches!(outcome, Err(SqlError::TimedOut(_))), "{outcome:?}");

        let world = self::world(1);
        world.plant.grant(&world.bert, &["works"]);
        world.plant.slow_ms.store(5, Ordering::Relaxed);
        let asked = world.try_rows(&world.bert, &text);
        let taken = async {
            while world.plant.rows_read.load(Ordering::Relaxed) == 0 {
                tokio::task::yield_now().await;
            }
            world.plant.grant(&world.bert, &["works/cell1"]);
        };
        let (outcome, ()) = tokio::join!(asked, taken);
        assert!(matches!(outcome, Err(SqlError::NotAllowed(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_wrong_call_is_told_what_is_wrong() {
    let world = world(100);
    for (call, words) in [
        ("side_by_side('works/%')", "side_by_side is called as"),
        ("side_by_side('works/%', '2026-01-01', '2026-01-02')", "side_by_side is called as"),
        ("side_by_side('works/%', 'soon', '2026-01-02', 'speed')", "second argument of side_by_side is a time"),
        ("side_by_side('works/%', '2026-01-02', '2026-01-01', 'speed')", "run backwards"),
        ("side_by_side('works/%', '2026-01-01', '2026-01-02', 'speed', 'speed')", "two columns \"speed\""),
        ("side_by_side('works/%', '2026-01-01', '2026-01-02', 'ts')", "two columns \"ts\""),
        ("side_by_side('works/%', '2026-01-01', '2026-01-02', 'sped')", "there is no tag \"sped\" below \"works/%\""),
        ("last_side_by_side('works/%')", "last_side_by_side is called as"),
        ("last_side_by_side('works/%', 7)", "last_side_by_side is called as"),
    ] {
        let error = world.try_rows(&world.anna, &format!("SELECT * FROM {call}")).await.expect_err(call).to_string();
        assert!(error.contains(words), "{call}: {error}");
    }
    let many: Vec<String> = (0..65).map(|n| format!("'t{n}'")).collect();
    let error =
        world.try_rows(&world.anna, &format!("SELECT * FROM last_side_by_side('a', {})", many.join(", "))).await;
    assert!(error.expect_err("too many").to_string().contains("at most 64 tags"));
}
