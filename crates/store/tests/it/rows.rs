//! The records as rows: what the database's own views say, page by page, to those who may see it.

use crate::fakes::{Base, on_both};
use andon_store::Store;
use andon_store::floor::{Figures, FloorKeep, FloorRepository, NumberKind};
use andon_store::rows::{ColumnKind, RowColumn, RowsFilter, RowsRepository, View};

on_both! {
    pages_say_what_the_views_of_the_database_say
    everybody_sees_what_is_of_their_branches
    what_is_looked_up_is_what_a_look_at_every_row_finds
    hours_are_found_by_path_and_by_when_they_begin
    what_is_written_while_others_read_leaves_each_row_once
}

const HOUR_US: i64 = 3_600_000_000;

/// Something in each view, and no two numbers of a row alike, so that none can stand for another.
async fn fill(base: &Base) -> Store {
    let store = base.open().await;
    crate::orders::fill(&store).await;
    base.change(
        "UPDATE work_order SET due = 1700000000000001, revision = 'B', note = 'by truck', priority = 7, created = 1700000000000002;
        UPDATE job_order SET good = 1500000, scrap = 2500001, rework = 3, planned_start = 1700000000000003, planned_end = 1700000000000004
            WHERE position = 0;
        UPDATE job_order SET ended = 1700000000000005, substate = 'Completed' WHERE position = 1;",
    )
    .await;
    let id = |number: u32| match base {
        Base::File(_) => format!("x'{number:032x}'"),
        Base::Server(_) => format!("'\\x{number:032x}'"),
    };
    base.change(&format!(
        "INSERT INTO trace_word (number, text) VALUES (1, 'VALVE'), (2, 'PUMP'), (3, 'works/dock'), (4, 'left'), (5, 'C'), (6, 'a job'), (7, 'works/mount');
        INSERT INTO trace_item (key, id, kind, material, number, revision, made, received, consumed, state, place, made_at, job) VALUES
            (1, {}, 0, 1, 'L-1', 5, 9500000, 1, 1500000, 1, 3, 1000000, NULL), (2, {}, 2, 2, 'U-1', NULL, 1000000, 0, 0, 4, -1, 2000001, 6),
            (3, {}, 1, 1, 'L-2', NULL, NULL, 0, 0, 0, 0, 3, NULL), (4, {}, 3, 2, 'L-1', NULL, NULL, 0, 0, 2, 3, 4, 6);
        INSERT INTO trace_edge (from_key, to_key, at, position, removed_at, quantity, adds, job, equipment) VALUES
            (1, 2, 3000000, 4, 4000000, 1500000, 0, 6, 7), (1, 2, 3000001, 0, NULL, 2, 0, NULL, NULL), (3, 4, 5, 0, NULL, 1000000, 1, NULL, 3);",
        id(0xabc),
        id(2),
        id(3),
        id(4)
    ))
    .await;
    let nodes = ["works", "works/press", "works/oven"].map(str::to_owned).to_vec();
    let numbers = store.floor_numbers(NumberKind::Node, nodes).await.unwrap();
    let figures = |node: u32, level: u8, number: i64| {
        let first = i64::from(node) * 100 + number + i64::from(level) * 50;
        let times = std::array::from_fn(|n| first + i64::try_from(n).unwrap());
        Figures {
            node,
            level,
            number,
            times,
            amounts: [first + 8, first + 9, first + 10],
            work: [first + 11, first + 12],
        }
    };
    let hours = numbers.iter().flat_map(|node| (0..5).map(|hour| figures(*node, 0, 500_000 + hour)));
    let days = numbers.iter().map(|node| figures(*node, 1, 20_833));
    store.floor_keep(FloorKeep { figures: hours.chain(days).collect(), ..FloorKeep::default() }).await.unwrap();
    store
}

fn every_column(view: View) -> RowsFilter {
    RowsFilter { columns: view.columns().map(|(name, _)| name).collect(), ..RowsFilter::of(view) }
}

/// The rows of all pages, in words.
async fn rows(store: &Store, mut filter: RowsFilter) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        let page = store.rows_page(filter.clone()).await.unwrap();
        assert!(page.rows <= usize::try_from(filter.limit).unwrap());
        let words = |column: &RowColumn, row: usize| match column {
            RowColumn::Texts(texts) => texts[row].clone(),
            RowColumn::Numbers(numbers) => numbers[row].map(|number| number.to_string()),
        };
        for row in 0..page.rows {
            let cells = page.columns.iter().map(|column| words(column, row).unwrap_or_else(|| "–".to_owned()));
            all.push(cells.collect::<Vec<_>>().join("|"));
        }
        match page.next {
            Some(next) => filter.after = Some(next),
            None => return all,
        }
    }
}

fn sorted(mut rows: Vec<String>) -> Vec<String> {
    rows.sort();
    rows
}

/// What a view of the database says, in the same words.
async fn told(base: &Base, view: View) -> Vec<String> {
    let cell = |(name, kind): (&str, ColumnKind)| {
        let text = match (kind, base) {
            (ColumnKind::Text | ColumnKind::Id, _) => format!("CAST({name} AS TEXT)"),
            (ColumnKind::Whole, _) => format!("CAST(CAST({name} AS BIGINT) AS TEXT)"),
            (ColumnKind::Amount, _) => format!("CAST(CAST(round({name} * 1000000) AS BIGINT) AS TEXT)"),
            (ColumnKind::Time, Base::File(_)) => format!(
                "CAST(CAST(strftime('%s', {name}) AS BIGINT) * 1000000 + CAST(substr({name}, 21, 6) AS BIGINT) AS TEXT)"
            ),
            (ColumnKind::Time, Base::Server(_)) => {
                format!("CAST(CAST(extract(epoch FROM {name}) * 1000000 AS BIGINT) AS TEXT)")
            }
        };
        format!("coalesce({text}, '–')")
    };
    let cells: Vec<String> = view.columns().map(cell).collect();
    sorted(base.texts_of(&format!("SELECT {} FROM {}", cells.join(" || '|' || "), view.name())).await)
}

async fn pages_say_what_the_views_of_the_database_say(base: Base) {
    let store = fill(&base).await;
    for view in View::ALL {
        let told = told(&base, view).await;
        assert!(told.len() >= if view == View::Orders || view == View::JobTimes { 1 } else { 2 }, "{view:?}: {told:?}");
        for limit in [1, 2, 5_000, u32::MAX] {
            let found = rows(&store, RowsFilter { limit, ..every_column(view) }).await;
            assert_eq!(sorted(found), told, "{view:?} by {limit}");
        }
        // One column alone, and none: the rows are counted all the same.
        let (last, _) = view.columns().last().unwrap();
        let one = rows(&store, RowsFilter { columns: vec![last], ..RowsFilter::of(view) }).await;
        let of_told = told.iter().map(|row| row.rsplit('|').next().unwrap().to_owned()).collect();
        assert_eq!(sorted(one), sorted(of_told), "{view:?}");
        assert_eq!(rows(&store, RowsFilter { limit: 2, ..RowsFilter::of(view) }).await.len(), told.len(), "{view:?}");
    }
}

async fn everybody_sees_what_is_of_their_branches(base: Base) {
    let store = fill(&base).await;
    let seen = async |view: View, column: &'static str, branches: &[&str]| {
        let branches = branches.iter().map(|branch| (*branch).to_owned()).collect();
        sorted(rows(&store, RowsFilter { columns: vec![column], branches, limit: 1, ..RowsFilter::of(view) }).await)
    };
    let jobs = base.texts("SELECT number FROM job_order ORDER BY position").await;
    let [press, oven] = &jobs[..] else { panic!("{jobs:?}") };
    assert_eq!(seen(View::Jobs, "number", &["press"]).await, std::slice::from_ref(press));
    assert_eq!(seen(View::Jobs, "number", &["oven2"]).await, std::slice::from_ref(oven), "where it can be done");
    assert_eq!(seen(View::Jobs, "number", &["oven2", "press", "works"]).await, jobs);
    for branch in ["press", "oven", "oven2"] {
        assert_eq!(seen(View::Orders, "number", &[branch]).await, ["1"], "{branch}");
    }
    assert_eq!(seen(View::JobTimes, "equipment", &["press"]).await, ["press"]);
    assert_eq!(seen(View::JobTimes, "equipment", &["oven", "oven2"]).await, [""; 0]);
    for branches in [&["pres"][..], &["press/1"], &["works"], &[]] {
        for view in [View::Orders, View::Jobs, View::JobTimes] {
            assert_eq!(seen(view, view.columns().next().unwrap().0, branches).await, [""; 0], "{view:?} {branches:?}");
        }
    }
    assert_eq!(seen(View::Hours, "path", &["works/press"]).await, ["works/press"; 5], "and not what lies above");
    assert_eq!(seen(View::Days, "path", &["works"]).await, ["works", "works/oven", "works/press"]);
    assert_eq!(seen(View::Days, "path", &["works/pres", "work"]).await, [""; 0]);
    for view in View::ALL {
        assert_eq!(seen(view, view.columns().next().unwrap().0, &[]).await, [""; 0], "{view:?}");
    }
}

async fn what_is_looked_up_is_what_a_look_at_every_row_finds(base: Base) {
    let store = fill(&base).await;
    for (view, column) in [
        (View::Orders, "number"),
        (View::Jobs, "number"),
        (View::Jobs, "order_number"),
        (View::JobTimes, "job_number"),
        (View::JobTimes, "equipment"),
        (View::Lots, "number"),
        (View::Genealogy, "from_number"),
        (View::Genealogy, "to_number"),
        (View::Hours, "path"),
    ] {
        let place = view.columns().position(|(name, _)| name == column).unwrap();
        let of = |row: &String| row.split('|').nth(place).unwrap().to_owned();
        let all = rows(&store, every_column(view)).await;
        let first = of(&all[0]);
        for wanted in [vec![first.clone()], vec![first.clone(), "none".to_owned()], vec!["none".to_owned()]] {
            let filter = RowsFilter { texts: vec![(column, wanted.clone())], limit: 1, ..every_column(view) };
            let looked_at = all.iter().filter(|row| wanted.contains(&of(row))).cloned().collect();
            assert_eq!(sorted(rows(&store, filter).await), sorted(looked_at), "{view:?} by {column}");
        }
    }
    // What no index finds is not left out.
    let by_state = RowsFilter { texts: vec![("state", vec!["none".to_owned()])], ..every_column(View::Lots) };
    assert_eq!(rows(&store, by_state).await.len(), 4);
}

async fn hours_are_found_by_path_and_by_when_they_begin(base: Base) {
    let store = fill(&base).await;
    let first = 500_000 * HOUR_US;
    let begins = async |from_us: Option<i64>, to_us: Option<i64>| {
        let texts = vec![("path", vec!["works/oven".to_owned()])];
        let columns = vec!["begins"];
        let found =
            rows(&store, RowsFilter { columns, texts, from_us, to_us, limit: 2, ..RowsFilter::of(View::Hours) });
        found.await.iter().map(|at| (at.parse::<i64>().unwrap() - first) / HOUR_US).collect::<Vec<_>>()
    };
    assert_eq!(begins(None, None).await, [0, 1, 2, 3, 4]);
    assert_eq!(begins(Some(first + HOUR_US), Some(first + 3 * HOUR_US)).await, [1, 2]);
    assert_eq!(begins(Some(first + HOUR_US + 1), Some(first + 3 * HOUR_US + 1)).await, [2, 3]);
    assert_eq!(begins(Some(first + HOUR_US - 1), Some(first + HOUR_US)).await, [0; 0]);
    assert_eq!(begins(Some(i64::MIN), Some(i64::MAX)).await, [0, 1, 2, 3, 4]);
    let days = RowsFilter { from_us: Some(20_833 * 24 * HOUR_US + 1), ..every_column(View::Days) };
    assert_eq!(rows(&store, days).await, [""; 0]);
}

async fn what_is_written_while_others_read_leaves_each_row_once(base: Base) {
    let store = fill(&base).await;
    let filter = RowsFilter { limit: 1, ..every_column(View::Genealogy) };
    let before = rows(&store, filter.clone()).await;
    let page = store.rows_page(filter.clone()).await.unwrap();
    // Before the place that was reached, behind it, and where it was.
    base.change(
        "INSERT INTO trace_edge (from_key, to_key, at, position, quantity, adds) VALUES (1, 2, 1, 0, 1, 0), (4, 1, 1, 0, 7000000, 0);
        UPDATE trace_edge SET removed_at = 9000000 WHERE from_key = 1 AND at = 3000001;",
    )
    .await;
    let rest = rows(&store, RowsFilter { after: page.next, ..filter.clone() }).await;
    assert_eq!((page.rows, rest.len()), (1, 3), "one row is new behind the place: {rest:?}");
    assert!(rest[0].ends_with("|9000000"), "as it is now: {rest:?}");
    assert_eq!(rest[1], before[2], "and nothing twice");
}
