//! What whoever asks in SQL sees: the views that the manual promises, the same on both databases.

use crate::fakes::{Base, on_both};
use andon_store::floor::{Figures, FloorKeep, FloorRepository, NumberKind};

on_both! {
    views_have_the_columns_that_the_manual_names
    orders_and_jobs_are_rows_with_decimals_and_times
    lots_and_what_went_into_what_are_rows
    hours_and_days_are_rows_of_figures
}

/// The columns that the manual names, in its order, each view with its own.
fn promised() -> Vec<(String, Vec<String>)> {
    let manual = include_str!("../../../../docs/manual/records.md");
    let rows = manual.lines().filter_map(|line| line.strip_prefix("| `report_"));
    let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    rows.map(|row| {
        let (name, rest) = row.split_once('`').unwrap();
        (format!("report_{name}"), quoted(rest.split('|').nth(2).unwrap()))
    })
    .collect()
}

async fn views_have_the_columns_that_the_manual_names(base: Base) {
    let _store = base.open().await;
    let promised = promised();
    assert_eq!(promised.len(), 7);
    for (view, columns) in promised {
        let statement = match &base {
            Base::File(_) => format!("SELECT name FROM pragma_table_info('{view}') ORDER BY cid"),
            Base::Server(_) => format!(
                "SELECT column_name::text FROM information_schema.columns WHERE table_name = '{view}' ORDER BY ordinal_position"
            ),
        };
        assert_eq!(base.texts_of(&statement).await, columns, "{view}");
    }
}

async fn orders_and_jobs_are_rows_with_decimals_and_times(base: Base) {
    crate::orders::fill(&base.open().await).await;
    let orders = base
        .texts("SELECT number || ' ' || state || ' ' || CAST(quantity * 1000000 AS BIGINT) FROM report_orders ORDER BY number")
        .await;
    let raw = base.texts("SELECT number || ' ' || state || ' ' || quantity FROM work_order ORDER BY number").await;
    assert!(!orders.is_empty());
    assert_eq!(orders, raw);
    let jobs = "SELECT j.number || ' of ' || j.order_number || ' ' || CAST(j.quantity * 1000000 AS BIGINT) || ' ' || CAST(j.booked_good * 1000000 AS BIGINT) \
        FROM report_jobs j ORDER BY j.number";
    let raw = "SELECT j.number || ' of ' || o.number || ' ' || j.quantity || ' ' || j.good FROM job_order j JOIN work_order o ON o.id = j.order_id ORDER BY j.number";
    assert_eq!(base.texts(jobs).await, base.texts(raw).await);
    // To the microsecond, and what has no end has none.
    let micros = match base {
        Base::File(_) => {
            "SELECT substr(created, 21, 6) || ' ' || CAST(strftime('%s', created) AS TEXT) FROM report_orders ORDER BY number"
        }
        Base::Server(_) => {
            "SELECT to_char(created AT TIME ZONE 'UTC', 'US') || ' ' || floor(extract(epoch FROM created))::bigint FROM report_orders ORDER BY number"
        }
    };
    let raw = match base {
        Base::File(_) => {
            "SELECT printf('%06d %d', created % 1000000, created / 1000000) FROM work_order ORDER BY number"
        }
        Base::Server(_) => {
            "SELECT lpad((created % 1000000)::text, 6, '0') || ' ' || created / 1000000 FROM work_order ORDER BY number"
        }
    };
    assert_eq!(base.texts(micros).await, base.texts(raw).await);
    let lasts = "SELECT job_number || ' ' || equipment || ' ' || CASE WHEN to_time IS NULL THEN 'still' ELSE 'over' END FROM report_job_times ORDER BY 1";
    let raw = "SELECT j.number || ' ' || s.unit || ' ' || CASE WHEN s.to_at = 9223372036854775807 THEN 'still' ELSE 'over' END \
        FROM job_span s JOIN job_order j ON j.id = s.job ORDER BY 1";
    assert_eq!(base.texts(lasts).await, base.texts(raw).await);
}

async fn lots_and_what_went_into_what_are_rows(base: Base) {
    let _store = base.open().await;
    let id = |number: u32| match base {
        Base::File(_) => format!("x'{number:032x}'"),
        Base::Server(_) => format!("'\\x{number:032x}'"),
    };
    base.change(&format!(
        "INSERT INTO trace_word (number, text) VALUES (1, 'VALVE'), (2, 'PUMP'), (3, 'works/dock'), (4, 'left');
        INSERT INTO trace_item (key, id, kind, material, number, revision, made, consumed, state, place, made_at)
            VALUES (1, {}, 0, 1, 'L-1', NULL, 9500000, 1500000, 1, 3, 1000000), (2, {}, 2, 2, 'U-1', NULL, 1000000, 0, 4, -1, 2000001);
        INSERT INTO trace_edge (from_key, to_key, at, position, removed_at, quantity, adds) VALUES (1, 2, 3000000, 4, 4000000, 1500000, 0);",
        id(0xabc),
        id(2)
    ))
    .await;
    let lots = "SELECT CAST(id AS TEXT) || ' ' || kind || ' ' || material || ' ' || number || ' ' || state || ' ' || CAST(made * 10 AS BIGINT) || ' ' || \
        CAST(consumed * 10 AS BIGINT) || ' ' || coalesce(place, 'nowhere') || ' ' || is_in_several_places FROM report_lots ORDER BY number";
    assert_eq!(
        base.texts(lots).await,
        [
            "00000000-0000-0000-0000-000000000abc lot VALVE L-1 Quarantine 95 15 works/dock 0",
            "00000000-0000-0000-0000-000000000002 unit PUMP U-1 Shipped 10 0 nowhere 1"
        ]
    );
    let genealogy = "SELECT from_material || ' ' || from_number || ' into ' || to_material || ' ' || to_number || ' ' || CAST(quantity * 10 AS BIGINT) || ' ' || \
        position || ' ' || CASE WHEN removed_time > at_time THEN 'taken out' ELSE 'in it' END FROM report_genealogy";
    assert_eq!(base.texts(genealogy).await, ["VALVE L-1 into PUMP U-1 15 left taken out"]);
}

async fn hours_and_days_are_rows_of_figures(base: Base) {
    let store = base.open().await;
    store.floor_numbers(NumberKind::Node, vec!["works/press".to_owned()]).await.unwrap();
    let figures = |level, number, times| Figures {
        node: 0,
        level,
        number,
        times,
        amounts: [12_500_000, 1_000_000, 0],
        work: [1_500_000_000, 1_000_000_000],
    };
    let (hour, day) = ([3_600_000_000, 0, 0, 0, 0, 0, 0, 0], [1, 2, 3, 4, 5, 6, 7, 8].map(|s| s * 1_000_000));
    let old = figures(0, 500_000, [0; 8]);
    let kept = vec![figures(0, 500_000, hour), figures(1, 20_833, day)];
    for figures in [vec![old], kept] {
        store.floor_keep(FloorKeep { figures, ..FloorKeep::default() }).await.unwrap();
    }
    let hours = "SELECT path || ' ' || substr(CAST(begins AS TEXT), 1, 10) || ' ' || CAST(production_s AS BIGINT) || ' ' || CAST(good * 10 AS BIGINT) || ' ' || \
        CAST(planned_run_s AS BIGINT) || ' ' || CAST(planned_run_good_s AS BIGINT) FROM report_hours";
    assert_eq!(base.texts(hours).await, ["works/press 2027-01-15 3600 125 1500 1000"]);
    let days = "SELECT CAST(production_s AS BIGINT) || ' ' || CAST(setup_s AS BIGINT) || ' ' || CAST(delay_s AS BIGINT) || ' ' || CAST(minor_stop_s AS BIGINT) || ' ' || \
        CAST(idle_s AS BIGINT) || ' ' || CAST(unknown_s AS BIGINT) || ' ' || CAST(planned_down_s AS BIGINT) || ' ' || CAST(off_shift_s AS BIGINT) || ' ' || \
        CAST(scrap AS BIGINT) || ' ' || CAST(rework AS BIGINT) FROM report_days";
    assert_eq!(base.texts(days).await, ["1 2 3 4 5 6 7 8 1 0"]);
}
