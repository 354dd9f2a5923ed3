//! Orders, jobs, lots, what went into what, and figures of hours beside history.

use crate::plant::{Cell, Plant, Record, SECOND, T0, World, number, text, works};
use andon_sql::ports::RecordQuery;
use andon_sql::views::{VIEWS, columns};
use andon_sql::{Options, SqlError};
use std::sync::atomic::Ordering;
use std::time::Duration;

const LINE1: &str = "works/line1/filler";
const LINE2: &str = "works/line2/filler";
const HOUR: i64 = 3600 * SECOND;

/// Of a view's columns those that are told; what is not, is null.
fn record(view: &str, place: &'static str, told: &[(&str, Cell)]) -> Record {
    let schema = columns(view).expect("a view");
    let cell = |name: &String| told.iter().find(|(known, _)| known == name).map(|(_, cell)| cell.clone());
    let cells = schema.fields().iter().map(|field| cell(field.name()).unwrap_or(Cell::Text(None)));
    Record { place, cells: cells.collect() }
}

/// Two jobs at two lines, a thousand seconds each, and 12,003 edges of three pages.
fn plant() -> Plant {
    let mut plant = works();
    let job = |name: &str, place: &'static str, from: i64| {
        let cells = [
            ("id", text("00000000-0000-7000-8000-000000000001")),
            ("number", text(name)),
            ("order_number", text("4711")),
            ("equipment", text(place)),
            ("quantity", number(2_500_000)),
            ("booked_good", number(i64::MAX)),
            ("started", number(T0 + from * SECOND)),
            ("ended", number(T0 + (from + 1000) * SECOND)),
        ];
        record("report_jobs", place, &cells)
    };
    plant.records.insert("report_jobs", vec![job("4711/10", LINE1, 0), job("4711/20", LINE2, 1000)]);
    let priority = [("number", text("4711")), ("priority", number(7)), ("quantity", number(1))];
    plant.records.insert("report_orders", vec![record("report_orders", LINE1, &priority)]);
    let edge = |n: i64| {
        let cells = [
            ("from_number", text(&format!("L{}", n % 100))),
            ("to_number", text(&format!("U{n}"))),
            ("at_time", number(T0)),
        ];
        record("report_genealogy", "", &cells)
    };
    plant.records.insert("report_genealogy", (0..12_003).map(edge).collect());
    plant
        .records
        .insert("report_lots", vec![record("report_lots", "", &[("number", text("L1")), ("made", number(1))])]);
    let hour = |place: &'static str, n: i64| {
        let cells =
            [("path", text(place)), ("begins", number(T0 + n * HOUR)), ("production_s", number(n * 600 * SECOND))];
        record("report_hours", place, &cells)
    };
    let hours = [LINE1, LINE2, "works"].into_iter().flat_map(|place| (0..5).map(move |n| hour(place, n)));
    plant.records.insert("report_hours", hours.collect());
    plant.stations = vec![LINE1.to_owned()].into();
    plant
}

fn world() -> World {
    World::with(plant(), Options::default())
}

fn asked(world: &World) -> Vec<RecordQuery> {
    std::mem::take(&mut *world.plant.asked.lock().expect("lock"))
}

#[test]
fn the_views_have_the_columns_that_the_manual_promises() {
    let manual = include_str!("../../../../docs/manual/records.md");
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    let mut promised = Vec::new();
    for row in manual.lines().filter(|line| line.starts_with("| `report_")) {
        let cells: Vec<&str> = row.split('|').collect();
        let name = quoted(cells[1]).remove(0);
        let schema = columns(&name).unwrap_or_else(|| panic!("there is no view {name}"));
        let names: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(names, quoted(cells[3]), "{name}");
        promised.push(name);
    }
    let listed: Vec<&str> = VIEWS.iter().map(|(name, _)| *name).filter(|name| name.starts_with("report_")).collect();
    assert_eq!((listed.len(), listed), (7, promised.iter().map(String::as_str).collect()));
}

#[tokio::test]
async fn jobs_stand_beside_the_history_of_their_machines() {
    let world = world();
    assert_eq!(
        world.rows("SELECT number, quantity, booked_good, priority, due FROM report_jobs JOIN (SELECT number AS o, priority, due FROM report_orders) AS o ON o = order_number ORDER BY 1").await,
        ["4711/10|2.5|9223372036854.775|7|–", "4711/20|2.5|9223372036854.775|7|–"]
    );
    let joined = "SELECT j.number, count(*), min(s.ts), max(s.ts), round(avg(s.value) * 100) FROM report_jobs j \
        JOIN samples s ON s.path = j.equipment || '/pressure' AND s.ts >= j.started AND s.ts < j.ended GROUP BY j.number ORDER BY 1";
    let average = |line: i64, from: i64| {
        let sum: i64 = (from..from + 1000).map(|n| (n % 60) * 10 + line).sum();
        (f64::from(i32::try_from(sum).expect("small")) / 100.0).round()
    };
    let rows = world.rows(joined).await;
    let [first, second] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(*first, format!("4711/10|1000|00:00:00|00:16:39|{:.1}", average(1, 0)));
    assert_eq!(*second, format!("4711/20|1000|00:16:40|00:33:19|{:.1}", average(2, 1000)));
    let hours = "SELECT begins, production_s / 3600 FROM report_hours WHERE path = 'works' AND begins >= '2026-01-01T03:00:00Z' ORDER BY 1";
    assert_eq!(world.rows(hours).await, ["03:00:00|0.5", "04:00:00|0.6666666666666666"]);
}

#[tokio::test]
async fn only_what_is_asked_for_is_read_and_it_is_looked_up() {
    let world = world();
    assert_eq!(world.rows("SELECT count(*) FROM report_genealogy").await, ["12003"]);
    assert_eq!((asked(&world).remove(0).columns.len(), world.plant.pages.load(Ordering::Relaxed)), (0, 3));
    assert_eq!(world.rows("SELECT to_number, at_time FROM report_genealogy LIMIT 10").await.len(), 10);
    let query = asked(&world).remove(0);
    assert_eq!((query.columns, query.page, query.texts), (vec!["to_number", "at_time"], 10, vec![]));
    assert!(world.plant.pages.load(Ordering::Relaxed) <= 5, "and no more than its first rows");
    let many = (0..501).map(|n| format!("'L{n}'")).collect::<Vec<_>>().join(", ");
    for (condition, texts, count) in [
        ("from_number = 'L7'".to_owned(), vec![("from_number", vec!["L7"])], 120),
        (
            "'L7' = from_number AND to_number = 'U107'".to_owned(),
            vec![("from_number", vec!["L7"]), ("to_number", vec!["U107"])],
            1,
        ),
        (
            "to_number IN ('U1', 'U2', 'U3', 'U4', 'none')".to_owned(),
            vec![("to_number", vec!["U1", "U2", "U3", "U4", "none"])],
            4,
        ),
        ("from_number = 'L7' OR to_number = 'U8'".to_owned(), vec![], 121),
        ("from_number <> 'L7'".to_owned(), vec![], 11_883),
        ("from_number LIKE 'L7'".to_owned(), vec![], 120),
        (format!("from_number IN ({many})"), vec![], 12_003),
    ] {
        let rows = world.rows(&format!("SELECT count(*) FROM report_genealogy WHERE {condition}")).await;
        assert_eq!(rows, [count.to_string()], "{condition}");
        let found = asked(&world).remove(0).texts;
        // What is written with LIKE and no sign of a pattern may be an equality to the engine.
        if !condition.contains("LIKE") {
            let texts: Vec<_> = texts
                .into_iter()
                .map(|(column, texts)| (column, texts.into_iter().map(str::to_owned).collect::<Vec<_>>()))
                .collect();
            assert_eq!(found, texts, "{condition}");
        }
    }
    for (condition, from, to, count) in [
        ("begins >= '2026-01-01T01:00:00Z' AND begins < '2026-01-01T03:00:00Z'", Some(1), Some(3), 6),
        ("begins BETWEEN '2026-01-01T01:00:00Z' AND '2026-01-01T02:00:00Z' AND path = 'works'", Some(1), Some(2), 2),
        ("begins = '2026-01-01T01:00:00Z'", Some(1), Some(1), 3),
        ("begins <> '2026-01-01T01:00:00Z'", None, None, 12),
    ] {
        assert_eq!(
            world.rows(&format!("SELECT count(*) FROM report_hours WHERE {condition}")).await,
            [count.to_string()],
            "{condition}"
        );
        let query = asked(&world).remove(0);
        let hour = |at: Option<i64>| at.map(|at| (at - T0) / HOUR);
        assert_eq!((hour(query.from_us), hour(query.to_us)), (from, to), "{condition}");
        assert_eq!(query.texts.len(), usize::from(condition.contains("path")), "{condition}");
    }
}

#[tokio::test]
async fn everybody_sees_the_records_of_their_branches() {
    let world = world();
    let bert = async |statement: &str| world.try_rows(&world.bert, statement).await.expect("an answer");
    assert_eq!(bert("SELECT number FROM report_jobs WHERE number LIKE '%' OR true").await, ["4711/10"]);
    assert_eq!(bert("SELECT number FROM report_jobs WHERE number = '4711/20'").await, [""; 0]);
    assert_eq!(bert("SELECT DISTINCT path FROM report_hours").await, [LINE1]);
    assert_eq!(bert("SELECT count(*) FROM report_lots").await, ["1"], "he sees a station");
    for query in asked(&world) {
        assert_eq!(query.branches, ["works/line1"], "{query:?}");
    }
    *world.plant.stations.lock().expect("lock") = vec![LINE2.to_owned()];
    assert_eq!(bert("SELECT count(*) FROM report_lots").await, ["0"]);
    assert_eq!(bert("SELECT * FROM report_genealogy WHERE from_number = 'L1' LIMIT 1").await, [""; 0]);
    assert_eq!(asked(&world), [], "nothing was read for that");
    assert_eq!(world.rows("SELECT count(*) FROM report_lots").await, ["1"]);
}

#[tokio::test]
async fn what_is_no_longer_seen_ends_the_query() {
    let world = world();
    world.plant.slow_ms.store(100, Ordering::Relaxed);
    for take in ["the right", "the station"] {
        world.plant.grant(&world.bert, &["works/line1"]);
        *world.plant.stations.lock().expect("lock") = vec![LINE1.to_owned()];
        let mut answer = world.engine.run(&world.bert, "SELECT to_number FROM report_genealogy").await.expect("runs");
        assert!(matches!(answer.batches.recv().await, Some(Ok(_))), "{take}");
        if take == "the right" {
            world.plant.grant(&world.bert, &["works/line1/state"]);
        } else {
            *world.plant.stations.lock().expect("lock") = vec![LINE2.to_owned()];
        }
        let end = async {
            loop {
                match answer.batches.recv().await {
                    Some(Ok(_)) => {}
                    other => break other,
                }
            }
        };
        let end = tokio::time::timeout(Duration::from_secs(2), end).await.expect("soon");
        assert!(matches!(end, Some(Err(SqlError::NotAllowed(_)))), "{take}: {end:?}");
    }
}

#[tokio::test]
async fn an_answer_that_nobody_wants_any_more_reads_no_further_page() {
    let mut plant = plant();
    let edge = plant.records["report_genealogy"][0].clone();
    plant.records.insert("report_genealogy", vec![edge; 500_000]);
    let world = World::with(plant, Options::default());
    world.plant.slow_ms.store(20, Ordering::Relaxed);
    let mut answer = world.engine.run(&world.anna, "SELECT to_number FROM report_genealogy").await.expect("runs");
    assert!(matches!(answer.batches.recv().await, Some(Ok(_))));
    drop(answer);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let read = world.plant.pages.load(Ordering::Relaxed);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(read < 20, "{read} of 100 pages");
    assert_eq!(world.plant.pages.load(Ordering::Relaxed), read);
}

#[tokio::test]
async fn records_that_cannot_be_read_are_an_error_and_no_answer() {
    let world = world();
    world.plant.damaged.store(true, Ordering::Relaxed);
    for statement in ["SELECT * FROM report_orders", "SELECT count(*) FROM report_genealogy"] {
        let error = world.try_rows(&world.anna, statement).await.expect_err("no answer");
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("58030", "the database gives no answer; try again once it is back")
        );
    }
    let small = World::with(super::records::plant(), Options { rows: 5_000, ..Options::default() });
    let error = small.try_rows(&small.anna, "SELECT to_number FROM report_genealogy").await.expect_err("too many");
    assert_eq!(error, SqlError::TooManyRows(5_000));
}
