//! How long orders take at 100,000 orders of four jobs: `cargo run --release -p andon-store --example bench_orders [ORDERS]`.

#![expect(clippy::unwrap_used, reason = "a measurement that fails has nothing to say")]

use andon_model::access::Principal;
use andon_model::event::{Event, OrderChange, What};
use andon_model::log::Seq;
use andon_model::{Clock, SystemClock, Timestamp};
use andon_store::orders::{
    EntryKind, EntryWrite, JobFilter, JobRow, NewEntry, NewOrder, OrderFilter, OrderRepository, OrderRow, OrderWrite,
    StoredOrder,
};
use andon_store::{OutboxRepository, Store};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Of a hundred orders, so many have not ended.
const OPEN_PERCENT: u128 = 5;
const LINES: u128 = 20;
const BATCH: usize = 500;

fn event(number: u128) -> Event {
    let what = What::Order(OrderChange {
        order: Uuid::from_u128(number),
        number: number.to_string(),
        action: "created".into(),
        state: "Released".into(),
        detail: None,
    });
    let (at, by) = (Timestamp::from_millis(1), Principal::SYSTEM);
    Event { id: Uuid::from_u128(number), at, source_at: None, path: String::new(), by, what }
}

fn job(order: u128, step: u128, open: bool) -> JobRow {
    let unit = |unit: u128| format!("works/hall/line{:02}/unit{step}{unit}", order % LINES);
    let start = i64::try_from(order).unwrap() * 60_000;
    JobRow {
        id: Uuid::from_u128(order * 10 + step),
        ordinal: 0,
        order: Uuid::from_u128(order),
        number: format!("{order}/{step}0"),
        operation: format!("{step}0"),
        title: format!("Step {step}"),
        equipment: None,
        alternatives: vec![unit(0), unit(1)],
        quantity: 100_000_000,
        good: 0,
        scrap: 0,
        rework: 0,
        state: if open { "AllowedToStart" } else { "Ended" }.into(),
        substate: Some(if open { "Waiting" } else { "Closed" }.into()),
        open,
        stands: false,
        planned_start: Some(Timestamp::from_millis(start)),
        planned_end: Some(Timestamp::from_millis(start + 60_000)),
        pinned: false,
        started: None,
        ended: None,
        run_time_ns: 300_000_000,
        setup: Duration::ZERO,
        after: vec![],
        skills: vec![],
        instructions: vec!["W-1".into()],
        version: 0,
    }
}

fn order(number: u128) -> NewOrder {
    let open = number % 100 < OPEN_PERCENT;
    let row = OrderRow {
        id: Uuid::from_u128(number),
        number: format!("{number:07}"),
        material: format!("part-{}", number % 997),
        revision: None,
        title: format!("Housing {}", number % 997),
        unit: "pcs".into(),
        quantity: 100_000_000,
        due: Some(Timestamp::from_millis(i64::try_from(number).unwrap() * 90_000)),
        priority: u8::try_from(number % 9).unwrap() + 1,
        state: if open { "Released" } else { "Closed" }.into(),
        source: "erp".into(),
        note: String::new(),
        created: Timestamp::from_millis(1),
        version: 0,
    };
    let jobs = (1..=4).map(|step| job(number, step, open)).collect();
    NewOrder { order: StoredOrder { order: row, jobs }, event: event(number) }
}

/// The median and the longest of some rounds, in ms.
async fn measure<T>(what: &str, clock: &SystemClock, rounds: u32, mut work: impl AsyncFnMut(u32) -> T) {
    let mut took = Vec::new();
    for round in 0..rounds {
        let begun = clock.monotonic();
        work(round).await;
        took.push(clock.monotonic().saturating_sub(begun).as_secs_f64() * 1e3);
    }
    took.sort_by(f64::total_cmp);
    println!("{what:60} median {:8.2} ms, longest {:8.2} ms", took[took.len() / 2], took[took.len() - 1]);
}

#[tokio::main]
async fn main() {
    let count: u128 = std::env::args().nth(1).map_or(100_000, |text| text.parse().unwrap());
    let clock = SystemClock;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("store.db");
    let store = Store::open(&file, Arc::new(SystemClock)).await.unwrap();
    let begun = clock.monotonic();
    let all: Vec<u128> = (1..=count).collect();
    for numbers in all.chunks(BATCH) {
        store.orders_create(numbers.iter().map(|number| order(*number)).collect()).await.unwrap();
        store.outbox_done(numbers.iter().map(|number| Uuid::from_u128(*number)).collect(), Seq(1)).await.unwrap();
    }
    let bytes = std::fs::metadata(&file).unwrap().len();
    let took = clock.monotonic().saturating_sub(begun).as_secs_f64();
    println!("{count} orders of 4 jobs made in {took:.1} s, in batches of {BATCH}; the file has {} MiB", bytes >> 20);

    let page = |filter: OrderFilter| {
        let store = store.clone();
        async move { store.orders(filter).await.unwrap().orders.len() }
    };
    let filter = || OrderFilter { limit: 50, ..OrderFilter::default() };
    measure("page of 50, all", &clock, 50, async |_| page(filter()).await).await;
    let middle = |round: u32| Some(Uuid::from_u128(count / 2 + u128::from(round)));
    measure("page of 50, from the middle", &clock, 50, async |round| {
        page(OrderFilter { after: middle(round), ..filter() }).await
    })
    .await;
    let states = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let open = states(&["Forecast", "Released", "Running"]);
    measure("page of 50, three states", &clock, 50, async |_| {
        page(OrderFilter { states: open.clone(), ..filter() }).await
    })
    .await;
    let line = || Some("works/hall/line07".to_owned());
    measure("page of 50, one of 20 branches", &clock, 50, async |_| {
        page(OrderFilter { branch: line(), ..filter() }).await
    })
    .await;
    measure("page of 50, a branch without orders", &clock, 10, async |_| {
        page(OrderFilter { branch: Some("house".into()), ..filter() }).await
    })
    .await;
    measure("page of 50, text that is common", &clock, 50, async |_| {
        page(OrderFilter { text: Some("housing 12".into()), ..filter() }).await
    })
    .await;
    measure("page of 50, text that is nowhere", &clock, 10, async |_| {
        page(OrderFilter { text: Some("nowhere".into()), ..filter() }).await
    })
    .await;
    let unit = || Some("works/hall/line02/unit10".to_owned());
    measure("dispatch list of a unit, 100 jobs", &clock, 50, async |_| {
        store.jobs_to_make(JobFilter { equipment: unit(), limit: 100, ..JobFilter::default() }).await.unwrap()
    })
    .await;
    measure("dispatch list of all, 1,000 jobs", &clock, 20, async |_| {
        store.jobs_to_make(JobFilter::default()).await.unwrap()
    })
    .await;
    measure("one order", &clock, 50, async |round| {
        store.order(&format!("{:07}", u128::from(round) + 1)).await.unwrap()
    })
    .await;

    let begin = |number: u128, key: u128, found: &StoredOrder| {
        let mut job = found.jobs[0].clone();
        (job.state, job.substate, job.stands) = ("Running".into(), None, true);
        job.equipment = Some(format!("works/bench/{number}"));
        let entry = entry(key, job.id, EntryKind::Trigger, 0);
        let order = OrderRow { state: "Running".into(), ..found.order.clone() };
        OrderWrite { order, jobs: vec![job], entries: vec![entry], events: vec![event(key)] }
    };
    measure("begin: read, write, sync", &clock, 100, async |round| {
        let number = u128::from(round) * 100 + 1;
        let found = store.order(&format!("{number:07}")).await.unwrap().unwrap();
        store.order_write(begin(number, 1_000_000_000 + u128::from(round), &found)).await.unwrap()
    })
    .await;
    let found = store.order("0000001").await.unwrap().unwrap();
    measure("count: write, sync", &clock, 200, async |round| {
        let key = 2_000_000_000 + u128::from(round);
        let entry = entry(key, found.jobs[0].id, EntryKind::Count, 1_000_000);
        store.job_entry(EntryWrite { version: found.jobs[0].version, entry, event: event(key) }).await.unwrap()
    })
    .await;
    store.close().await.unwrap();
}

fn entry(key: u128, job: Uuid, kind: EntryKind, good: i64) -> NewEntry {
    let key = Uuid::from_u128(key);
    let at = Timestamp::from_millis(1);
    NewEntry {
        key,
        job,
        at,
        kind,
        content: json!({ "trigger": "Begin" }),
        good,
        scrap: 0,
        rework: 0,
        by: key,
        event: key,
    }
}
