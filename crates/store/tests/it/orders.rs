//! Orders and jobs: changed by one at a time, told once, found page by page. Each case takes any [`Repository`], so that another
//! database is held to the same.

use crate::fakes::{note, on_both};
use andon_model::Timestamp;
use andon_store::orders::{
    Created, EntryKind, EntryWrite, JobFilter, JobRow, NewEntry, NewOrder, OrderFilter, OrderRow, OrderWrite,
    PersonSkill, SpanFilter, StoredOrder, Written,
};
use andon_store::repository::{AccountChange, User};
use andon_store::{Repository, StoreError};
use serde_json::json;
use std::time::Duration;
use uuid::Uuid;

on_both! {
    cases:
    an_order_comes_back_as_it_was_made_and_its_number_is_its_own
    a_change_of_an_old_version_is_told_what_is_there
    the_same_key_is_done_once
    of_two_who_begin_the_same_job_one_wins_and_the_other_sees_it
    of_two_jobs_that_begin_on_one_unit_one_wins_and_the_other_is_told_which
    counts_are_added_and_a_total_below_zero_is_a_conflict
    totals_are_the_sums_of_the_ledger_whatever_comes_at_once
    a_span_lasts_from_the_begin_to_the_end_and_moves_with_the_job
    a_span_begins_after_the_last_one_of_its_unit_also_when_the_clock_was_set_back
    spans_come_page_by_page_of_a_branch
    what_was_seen_is_found_in_a_long_ledger
    orders_come_page_by_page_each_once
    orders_are_found_by_state_branch_and_text
    a_branch_and_a_permission_find_what_a_plain_look_finds
    jobs_stand_in_dispatch_lists_in_the_order_in_which_they_are_to_be_made
    what_is_refused_leaves_nothing_behind
    what_a_person_is_qualified_for_goes_with_the_person
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

/// A job of order `order`: its id is `order * 100 + step`.
fn job(order: u128, step: u128, alternatives: &[&str]) -> JobRow {
    JobRow {
        id: id(order * 100 + step),
        ordinal: 0,
        order: id(order),
        number: format!("{order}/{step}"),
        operation: step.to_string(),
        title: format!("Step {step}"),
        equipment: if let [only] = alternatives { Some((*only).to_owned()) } else { None },
        alternatives: alternatives.iter().map(|path| (*path).to_owned()).collect(),
        quantity: 5_000_000,
        good: 0,
        scrap: 0,
        rework: 0,
        state: "AllowedToStart".into(),
        substate: Some("Waiting".into()),
        open: true,
        stands: false,
        planned_start: None,
        planned_end: None,
        pinned: false,
        started: None,
        ended: None,
        run_time_ns: 300_000_000,
        setup: Duration::from_secs(60),
        after: if step > 10 { vec![id(order * 100 + 10)] } else { vec![] },
        skills: vec!["welding".into()],
        instructions: vec!["W-1".into()],
        version: 0,
    }
}

fn new(number: u128, jobs: Vec<JobRow>) -> NewOrder {
    let order = OrderRow {
        id: id(number),
        number: number.to_string(),
        material: "bolt_m6".into(),
        revision: Some("B".into()),
        title: "Schraube Größe 6".into(),
        unit: "pcs".into(),
        quantity: 5_000_000,
        due: Some(at(5_000)),
        priority: 5,
        state: "Released".into(),
        source: "person".into(),
        note: "for Monday".into(),
        created: at(1),
        version: 0,
    };
    NewOrder { order: StoredOrder { order, jobs }, event: note(900_000 + number, "") }
}

async fn made(store: &impl Repository, number: u128, jobs: Vec<JobRow>) -> StoredOrder {
    match store.orders_create(vec![new(number, jobs)]).await.unwrap().remove(0) {
        Created::Now(order) => order,
        Created::There(order) => panic!("{} was there", order.order.number),
    }
}

fn entry(key: u128, job: &JobRow, seconds: i64, kind: EntryKind) -> NewEntry {
    NewEntry {
        key: id(key),
        job: job.id,
        at: at(seconds),
        kind,
        content: json!({ "trigger": "Begin" }),
        good: 0,
        scrap: 0,
        rework: 0,
        by: id(7),
        event: id(key + 500_000),
    }
}

/// The job of that place begins on a unit, as somebody worked it out who read `order`.
fn begin(order: &StoredOrder, place: usize, unit: &str, key: u128, seconds: i64) -> OrderWrite {
    let mut job = order.jobs[place].clone();
    (job.state, job.substate, job.stands) = ("Running".into(), None, true);
    (job.equipment, job.started) = (Some(unit.into()), Some(at(seconds)));
    let entries = vec![entry(key, &job, seconds, EntryKind::Trigger)];
    let order = OrderRow { state: "Running".into(), ..order.order.clone() };
    OrderWrite { order, jobs: vec![job], entries, events: vec![note(key + 500_000, unit)] }
}

fn stop(order: &StoredOrder, place: usize, key: u128, seconds: i64) -> OrderWrite {
    let mut job = order.jobs[place].clone();
    (job.state, job.substate) = ("Ended".into(), Some("Completed".into()));
    (job.stands, job.open, job.ended) = (false, false, Some(at(seconds)));
    let entries =
        vec![NewEntry { content: json!({ "trigger": "Stop" }), ..entry(key, &job, seconds, EntryKind::Trigger) }];
    let order = OrderRow { state: "Completed".into(), ..order.order.clone() };
    OrderWrite { order, jobs: vec![job], entries, events: vec![note(key + 500_000, "press")] }
}

fn count(job: &JobRow, key: u128, [good, scrap, rework]: [i64; 3]) -> EntryWrite {
    let content = json!({ "good": good, "scrap": scrap, "rework": rework });
    let entry = NewEntry { content, good, scrap, rework, ..entry(key, job, 50, EntryKind::Count) };
    EntryWrite { version: job.version, entry, event: note(key + 500_000, "press") }
}

fn now(written: Written) -> StoredOrder {
    match written {
        Written::Now(order) => order,
        other => panic!("it should have been written: {other:?}"),
    }
}

fn numbers<'a>(orders: impl IntoIterator<Item = &'a StoredOrder>) -> Vec<&'a str> {
    orders.into_iter().map(|order| order.order.number.as_str()).collect()
}

async fn told(store: &impl Repository) -> usize {
    store.outbox_pending(10_000).await.unwrap().len()
}

/// Something in each table of orders.
pub async fn fill(store: &impl Repository) {
    let order = made(store, 1, vec![job(1, 10, &["press"]), job(1, 20, &["oven", "oven2"])]).await;
    now(store.order_write(begin(&order, 0, "press", 1, 10)).await.unwrap());
}

mod cases {
    use super::*;

    pub(super) async fn an_order_comes_back_as_it_was_made_and_its_number_is_its_own(store: &impl Repository) {
        let wanted = new(1, vec![job(1, 10, &["press"]), job(1, 20, &["oven", "oven2"])]);
        let order = made(store, 1, wanted.order.jobs.clone()).await;
        let mut numbered = wanted.order.clone();
        numbered.order.version = 1;
        for (ordinal, job) in (1..).zip(&mut numbered.jobs) {
            (job.ordinal, job.version) = (ordinal, 1);
        }
        assert_eq!(order, numbered);
        assert_eq!(store.order("1").await.unwrap(), Some(order.clone()));
        assert_eq!(store.order_of_job(id(120)).await.unwrap(), Some(order.clone()));
        assert_eq!(store.order("2").await.unwrap(), None);
        assert_eq!(store.order_of_job(id(999)).await.unwrap(), None);
        // Once more, beside a new one: the first is there, and told once.
        let mut again = new(1, vec![]);
        again.event = note(77, "");
        let done = store.orders_create(vec![again, new(2, vec![job(2, 10, &["press"])])]).await.unwrap();
        assert_eq!(done[0], Created::There(order));
        assert!(matches!(&done[1], Created::Now(order) if order.jobs[0].ordinal == 3));
        assert_eq!(told(store).await, 2);
    }

    pub(super) async fn a_change_of_an_old_version_is_told_what_is_there(store: &impl Repository) {
        let old = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let mut write =
            OrderWrite { order: old.order.clone(), jobs: old.jobs.clone(), entries: vec![], events: vec![] };
        write.order.priority = 9;
        write.order.note = "hurry".into();
        write.jobs[0].quantity = 7_000_000;
        write.jobs[0].good = 1; // Of counts nothing changes.
        write.events.push(note(50, ""));
        let new = now(store.order_write(write.clone()).await.unwrap());
        assert_eq!((new.order.version, new.jobs[0].version), (2, 2));
        assert_eq!((new.order.priority, new.order.note.as_str(), new.jobs[0].quantity), (9, "hurry", 7_000_000));
        assert_eq!(new.jobs[0].good, 0);
        write.events = vec![note(51, "")];
        assert_eq!(store.order_write(write).await.unwrap(), Written::Conflict(new));
        assert_eq!(told(store).await, 2);
    }

    pub(super) async fn the_same_key_is_done_once(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let begun = now(store.order_write(begin(&order, 0, "press", 1, 10)).await.unwrap());
        let counted = now(store.job_entry(count(&begun.jobs[0], 2, [3, 1, 0])).await.unwrap());
        let before = told(store).await;
        for _ in 0..2 {
            let again = store.order_write(begin(&order, 0, "press", 1, 11)).await.unwrap();
            assert!(matches!(&again, Written::Before { entry, order } if entry.number == 1 && *order == counted));
            let again = store.job_entry(count(&begun.jobs[0], 2, [3, 1, 0])).await.unwrap();
            assert!(matches!(&again, Written::Before { entry, order } if entry.number == 2 && *order == counted));
        }
        let other = store.job_entry(count(&begun.jobs[0], 2, [4, 1, 0])).await.unwrap();
        assert!(matches!(&other, Written::KeyUsed(entry) if entry.entry.good == 3), "{other:?}");
        let other = store.order_write(stop(&counted, 0, 2, 60)).await.unwrap();
        assert!(matches!(other, Written::KeyUsed(_)), "{other:?}");
        assert_eq!(told(store).await, before);
        let ledger = store.job_ledger(id(110), None, 99).await.unwrap();
        assert_eq!(
            ledger.iter().map(|it| (it.number, it.state.as_str())).collect::<Vec<_>>(),
            [(1, "Running"), (2, "Running")]
        );
        assert_eq!(ledger[0].equipment.as_deref(), Some("press"));
        assert_eq!(store.job_ledger(id(110), None, 1).await.unwrap(), ledger[1..], "the newest");
        assert_eq!(store.job_ledger(id(110), Some(2), 9).await.unwrap(), ledger[..1], "those before it");
        assert_eq!(store.job_entry_of(id(2)).await.unwrap().as_ref(), ledger.get(1));
        assert_eq!(store.job_entry_of(id(3)).await.unwrap(), None);
    }

    pub(super) async fn of_two_who_begin_the_same_job_one_wins_and_the_other_sees_it(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let (a, b) = tokio::join!(
            store.order_write(begin(&order, 0, "press", 1, 10)),
            store.order_write(begin(&order, 0, "press", 2, 10)),
        );
        let (a, b) = (a.unwrap(), b.unwrap());
        let (won, lost) = if matches!(a, Written::Now(_)) { (a, b) } else { (b, a) };
        assert_eq!(lost, Written::Conflict(now(won)));
        assert_eq!(store.jobs_standing(None).await.unwrap().len(), 1);
        assert_eq!(store.job_ledger(id(110), None, 99).await.unwrap().len(), 1);
    }

    /// They are of two orders, so that no version stands in the way: the unit does.
    pub(super) async fn of_two_jobs_that_begin_on_one_unit_one_wins_and_the_other_is_told_which(
        store: &impl Repository,
    ) {
        for round in 0..10 {
            let (first, second) = (round * 2 + 1, round * 2 + 2);
            let unit = format!("press{round}");
            let one = made(store, first, vec![job(first, 10, &[&unit])]).await;
            let other = made(store, second, vec![job(second, 10, &[&unit])]).await;
            let (a, b) = tokio::join!(
                store.order_write(begin(&one, 0, &unit, first, 10)),
                store.order_write(begin(&other, 0, &unit, second, 10)),
            );
            let (a, b) = (a.unwrap(), b.unwrap());
            let (won, lost) = if matches!(a, Written::Now(_)) { (a, b) } else { (b, a) };
            let won = now(won);
            let Written::Occupied { span, by, order } = lost else { panic!("the unit is occupied: {lost:?}") };
            assert_eq!((span.job, span.by, &*by), (won.jobs[0].id, id(7), &won.jobs[0]));
            assert_eq!(order.jobs[0].state, "AllowedToStart");
            assert_eq!(order.order.version, 1);
            let standing = store.jobs_standing(Some(&unit)).await.unwrap();
            assert_eq!(standing, [span]);
            assert!(store.job_ledger(order.jobs[0].id, None, 9).await.unwrap().is_empty());
        }
        assert_eq!(store.jobs_standing(None).await.unwrap().len(), 10);
    }

    pub(super) async fn counts_are_added_and_a_total_below_zero_is_a_conflict(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let begun = now(store.order_write(begin(&order, 0, "press", 1, 10)).await.unwrap());
        let job = &begun.jobs[0];
        now(store.job_entry(count(job, 2, [5, 0, 0])).await.unwrap());
        // Of the same version: counts do not wait for each other, and change none.
        let two = now(store.job_entry(count(job, 3, [4, 2, 1])).await.unwrap());
        let totals = |order: &StoredOrder| [order.jobs[0].good, order.jobs[0].scrap, order.jobs[0].rework];
        assert_eq!(
            (totals(&two), two.jobs[0].version, two.order.version),
            ([9, 2, 1], job.version, begun.order.version)
        );
        let right = now(store.job_entry(count(job, 4, [-9, 9, -1])).await.unwrap());
        assert_eq!(totals(&right), [0, 11, 0]);
        for impossible in [[-1, 0, 0], [0, -12, 0], [5, 0, -1], [0, i64::MAX, 0]] {
            let refused = store.job_entry(count(job, 5, impossible)).await.unwrap();
            assert_eq!(refused, Written::Conflict(right.clone()), "{impossible:?}");
        }
        let ended = now(store.order_write(stop(&right, 0, 6, 60)).await.unwrap());
        let late = store.job_entry(count(job, 7, [1, 0, 0])).await.unwrap();
        assert_eq!(late, Written::Conflict(ended), "its state has changed since it was read");
    }

    pub(super) async fn totals_are_the_sums_of_the_ledger_whatever_comes_at_once(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let begun = now(store.order_write(begin(&order, 0, "press", 1, 10)).await.unwrap());
        let job = &begun.jobs[0];
        let counts = |first: u128| async move {
            for n in 0..20u128 {
                let good = i64::try_from(n).unwrap() - 8;
                // Each is said twice, as by a client that had no answer.
                for _ in 0..2 {
                    store.job_entry(count(job, first + n, [good, 1, 0])).await.unwrap();
                }
            }
        };
        tokio::join!(counts(100), counts(200), counts(300));
        let ledger = store.job_ledger(job.id, None, 999).await.unwrap();
        let now = store.order("1").await.unwrap().unwrap();
        let sum = |part: fn(&NewEntry) -> i64| ledger.iter().map(|it| part(&it.entry)).sum::<i64>();
        assert_eq!((now.jobs[0].good, now.jobs[0].scrap), (sum(|it| it.good), sum(|it| it.scrap)));
        assert!(now.jobs[0].scrap > 20 && now.jobs[0].scrap <= 60);
        // One event for each entry, and one for the order.
        assert_eq!(told(store).await, ledger.len() + 1);
    }

    pub(super) async fn a_span_lasts_from_the_begin_to_the_end_and_moves_with_the_job(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press", "press2"])]).await;
        let begun = now(store.order_write(begin(&order, 0, "press", 1, 10)).await.unwrap());
        let spans = async |unit, from, to| {
            let unit = Option::<&str>::map(unit, str::to_owned);
            let spans = store.job_spans(SpanFilter { unit, ..SpanFilter::of(at(from), at(to)) }).await.unwrap();
            let s = |at: Timestamp| at.millis() / 1000;
            spans.iter().map(|it| (it.unit.clone(), s(it.from), it.to.map(s))).collect::<Vec<_>>()
        };
        assert_eq!(spans(Some("press"), 500, 600).await, [("press".to_owned(), 10, None)]);
        assert_eq!(spans(Some("press"), 0, 10).await, []);
        let span = store.jobs_standing(Some("press")).await.unwrap().remove(0);
        assert_eq!((span.ordinal, span.run_time_ns, span.by), (begun.jobs[0].ordinal, 300_000_000, id(7)));
        // An interruption leaves it where it is.
        let mut held = stop(&begun, 0, 2, 20);
        (held.jobs[0].state, held.jobs[0].stands, held.jobs[0].open) = ("Interrupted".into(), true, true);
        let held = now(store.order_write(held).await.unwrap());
        assert_eq!(spans(None, 0, 99).await, [("press".to_owned(), 10, None)]);
        let moved = now(store.order_write(begin(&held, 0, "press2", 3, 30)).await.unwrap());
        assert_eq!(spans(None, 0, 99).await, [("press".to_owned(), 10, Some(30)), ("press2".to_owned(), 30, None)]);
        // The clock was set back in between: the span is empty, not turned round.
        now(store.order_write(stop(&moved, 0, 4, 25)).await.unwrap());
        let all = [("press".to_owned(), 10, Some(30)), ("press2".to_owned(), 30, Some(30))];
        assert_eq!(spans(None, 0, 99).await, all);
        assert_eq!(spans(Some("press"), 29, 99).await, all[..1]);
        assert_eq!(spans(Some("press"), 30, 99).await, []);
        assert_eq!(store.jobs_standing(None).await.unwrap(), []);
    }

    pub(super) async fn a_span_begins_after_the_last_one_of_its_unit_also_when_the_clock_was_set_back(
        store: &impl Repository,
    ) {
        assert_eq!(store.unit_last("press").await.unwrap(), None);
        let order = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let begun = now(store.order_write(begin(&order, 0, "press", 1, 100)).await.unwrap());
        assert_eq!(store.unit_last("press").await.unwrap(), Some(at(100)));
        now(store.order_write(stop(&begun, 0, 2, 200)).await.unwrap());
        assert_eq!(store.unit_last("press").await.unwrap(), Some(at(200)));
        let next = made(store, 2, vec![job(2, 10, &["press"])]).await;
        let begun = now(store.order_write(begin(&next, 0, "press", 3, 150)).await.unwrap());
        now(store.order_write(stop(&begun, 0, 4, 160)).await.unwrap());
        let spans = store.job_spans(SpanFilter::of(at(0), at(999))).await.unwrap();
        let lasted: Vec<_> = spans.iter().map(|span| (span.from, span.to)).collect();
        assert_eq!(lasted, [(at(100), Some(at(200))), (at(200), Some(at(200)))]);
        assert_eq!(store.unit_last("press").await.unwrap(), Some(at(200)));
    }

    pub(super) async fn spans_come_page_by_page_of_a_branch(store: &impl Repository) {
        for number in 1..=9 {
            let unit = format!("works/line{}/press", number % 3);
            let order = made(store, number, vec![job(number, 10, &[&unit])]).await;
            let begun = now(store.order_write(begin(&order, 0, &unit, number * 2, 10)).await.unwrap());
            // Some end at once, and the last ones do not.
            if number < 7 {
                now(store.order_write(stop(&begun, 0, number * 2 + 1, 20)).await.unwrap());
            }
        }
        let branches = vec!["works/line1".to_owned(), "works/line2".to_owned()];
        let mut filter = SpanFilter { branches, limit: 2, ..SpanFilter::of(at(0), at(99)) };
        let mut found = Vec::new();
        loop {
            let page = store.job_spans(filter.clone()).await.unwrap();
            filter.after = page.last().cloned();
            found.extend(page.iter().map(|span| span.job.as_u128() / 100));
            if page.len() < 2 {
                break;
            }
        }
        assert_eq!(found, [1, 2, 4, 5, 7, 8]);
        let mut newest = SpanFilter { newest_first: true, after: None, limit: 4, ..filter.clone() };
        let page = store.job_spans(newest.clone()).await.unwrap();
        newest.after = page.last().cloned();
        let jobs = |page: Vec<andon_store::orders::JobSpan>| {
            page.into_iter().map(|span| span.job.as_u128() / 100).collect::<Vec<_>>()
        };
        assert_eq!(jobs(page), [8, 7, 5, 4]);
        assert_eq!(jobs(store.job_spans(newest).await.unwrap()), [2, 1]);
        filter.branches = vec![];
        assert_eq!(store.job_spans(filter).await.unwrap(), []);
    }

    pub(super) async fn what_was_seen_is_found_in_a_long_ledger(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press"])]).await;
        let begun = now(store.order_write(begin(&order, 0, "press", 1, 10)).await.unwrap());
        let job = &begun.jobs[0];
        for n in 0..20 {
            store.job_entry(count(job, 100 + n, [1, 0, 0])).await.unwrap();
        }
        let seen = EntryWrite {
            version: job.version,
            entry: entry(2, job, 60, EntryKind::Seen),
            event: note(500_002, "press"),
        };
        now(store.job_entry(seen).await.unwrap());
        let seen = store.job_seen(job.id).await.unwrap();
        assert_eq!(seen.iter().map(|entry| (entry.number, entry.entry.key)).collect::<Vec<_>>(), [(22, id(2))]);
        assert_eq!(store.job_seen(id(999)).await.unwrap(), []);
    }

    pub(super) async fn orders_come_page_by_page_each_once(store: &impl Repository) {
        let all = (1..=25).map(|n| new(n, vec![job(n, 10, &["press"]), job(n, 20, &["oven"])])).collect();
        store.orders_create(all).await.unwrap();
        let mut filter = OrderFilter { limit: 10, ..OrderFilter::default() };
        let mut found = Vec::new();
        for size in [10, 10, 5] {
            let page = store.orders(filter.clone()).await.unwrap();
            assert_eq!(page.orders.len(), size);
            assert!(page.orders.iter().all(|order| order.jobs.len() == 2 && order.jobs[0].operation == "10"));
            // What is made while somebody turns pages comes before them all.
            let newer = 1000 + u128::try_from(found.len()).unwrap();
            made(store, newer, vec![job(newer, 10, &["press"])]).await;
            found.extend(page.orders);
            filter.after = page.next;
        }
        assert_eq!(filter.after, None);
        let wanted: Vec<String> = (1..=25).rev().map(|n: u32| n.to_string()).collect();
        assert_eq!(numbers(&found), wanted);
    }

    pub(super) async fn orders_are_found_by_state_branch_and_text(store: &impl Repository) {
        let mut all = [
            new(1, vec![job(1, 10, &["works/line1/press"])]),
            new(2, vec![job(2, 10, &["works/line2/press", "works/line1/oven"])]),
            new(3, vec![job(3, 10, &["works/line10"])]),
            new(4, vec![job(4, 10, &[])]),
            new(5, vec![job(5, 10, &["house"]), job(5, 20, &["works/line2"])]),
        ];
        all[0].order.order.state = "Forecast".into();
        all[2].order.order.state = "Closed".into();
        all[4].order.order.material = "nut-50%".into();
        store.orders_create(all.to_vec()).await.unwrap();
        let find = async |filter: OrderFilter| {
            let page = store.orders(filter).await.unwrap();
            numbers(&page.orders).join(" ")
        };
        let any = OrderFilter::default;
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        assert_eq!(find(any()).await, "5 4 3 2 1");
        assert_eq!(find(OrderFilter { states: words(&["Forecast", "Closed"]), ..any() }).await, "3 1");
        assert_eq!(find(OrderFilter { states: words(&["Released"]), limit: 2, ..any() }).await, "5 4");
        assert_eq!(find(OrderFilter { branch: Some("works/line1".into()), ..any() }).await, "2 1");
        assert_eq!(find(OrderFilter { branch: Some("works".into()), ..any() }).await, "5 3 2 1");
        assert_eq!(find(OrderFilter { branches: vec![], ..any() }).await, "");
        let hers = OrderFilter { branches: words(&["works/line10", "house"]), ..any() };
        assert_eq!(find(hers.clone()).await, "5 3");
        assert_eq!(find(OrderFilter { branch: Some("works/line2".into()), ..hers }).await, "5");
        // A branch knows what its orders are in now.
        let two = store.order("2").await.unwrap().unwrap();
        now(store.order_write(begin(&two, 0, "works/line2/press", 1, 10)).await.unwrap());
        let in_line = |state| OrderFilter { states: words(&[state]), branch: Some("works".into()), ..any() };
        assert_eq!(find(in_line("Running")).await, "2");
        assert_eq!(find(in_line("Released")).await, "5");
        let text = async |text: &str| find(OrderFilter { text: Some(text.into()), ..any() }).await;
        assert_eq!(text("GRÖSSE").await, "", "it is folded, and ß is no ss");
        assert_eq!(text("größe").await, "5 4 3 2 1");
        assert_eq!(text("BOLT_M6").await, "4 3 2 1");
        assert_eq!(text("boltxm6").await, "", "a sign of a pattern means itself");
        assert_eq!(text("50%").await, "5");
        assert_eq!(text("%").await, "5");
    }

    pub(super) async fn a_branch_and_a_permission_find_what_a_plain_look_finds(store: &impl Repository) {
        let paths = ["a", "a/b", "a/b/c", "a/b/d", "a/bc", "e/f", "e", "e/f/g", "h"];
        let places = |n: usize| [n % 9, n * 7 % 9, n * n % 9].map(|place| paths[place]);
        let made = (1..=40_usize).map(|n| {
            let number = u128::try_from(n).unwrap();
            let [first, second, third] = places(n);
            let jobs = vec![job(number, 10, &[first]), job(number, 20, &[second, third])];
            let mut new = new(number, if n % 10 == 0 { vec![] } else { jobs });
            new.order.order.state = if n % 3 == 0 { "Closed" } else { "Released" }.into();
            new
        });
        store.orders_create(made.collect()).await.unwrap();
        let below =
            |path: &str, branch: &str| branch.is_empty() || path == branch || path.starts_with(&format!("{branch}/"));
        let permissions: [&[&str]; 8] = [
            &[""],
            &["a"],
            &["a/b", "e"],
            &["a/b", "a/b/c", "a"],
            &["e/f", "h"],
            &["x"],
            &["a/bc", "x", "h"],
            &["x", ""],
        ];
        for (branches, branch) in
            permissions.iter().flat_map(|all| paths.iter().chain(&["", "x"]).map(move |one| (all, one)))
        {
            for state in [None, Some("Closed")] {
                let permitted = |n: usize| {
                    let is_there =
                        |branch: &str| !n.is_multiple_of(10) && places(n).iter().any(|path| below(path, branch));
                    branches.iter().any(|branch| branch.is_empty() || is_there(branch))
                        && (branch.is_empty() || is_there(branch))
                };
                let is_wanted = |n: &usize| permitted(*n) && state.is_none_or(|_| n.is_multiple_of(3));
                let wanted: Vec<String> = (1..=40).rev().filter(is_wanted).map(|n| n.to_string()).collect();
                let mut filter = OrderFilter {
                    states: state.iter().map(|state| (*state).to_owned()).collect(),
                    branches: branches.iter().map(|branch| (*branch).to_owned()).collect(),
                    branch: Some((*branch).to_owned()),
                    limit: 7,
                    ..OrderFilter::default()
                };
                let mut found = Vec::new();
                loop {
                    let page = store.orders(filter.clone()).await.unwrap();
                    found.extend(page.orders);
                    filter.after = page.next;
                    if filter.after.is_none() {
                        break;
                    }
                }
                assert_eq!(numbers(&found), wanted, "{branches:?} {branch:?} {state:?}");
            }
        }
    }

    pub(super) async fn jobs_stand_in_dispatch_lists_in_the_order_in_which_they_are_to_be_made(
        store: &impl Repository,
    ) {
        let one = |number, start: Option<i64>, priority, due: Option<i64>, alternatives: &[&str]| {
            let mut new = new(number, vec![job(number, 10, alternatives)]);
            new.order.jobs[0].planned_start = start.map(at);
            new.order.jobs[0].planned_end = start.map(|start| at(start + 5));
            (new.order.order.priority, new.order.order.due) = (priority, due.map(at));
            new
        };
        let all = vec![
            one(1, None, 9, Some(100), &["works/press"]),
            one(2, Some(50), 1, None, &["works/press", "works/press2"]),
            one(3, Some(20), 5, Some(90), &["works/press"]),
            one(4, Some(20), 5, Some(80), &["works/press2", "works/press"]),
            one(5, Some(20), 8, None, &["works/press"]),
            one(6, None, 9, None, &["house"]),
        ];
        store.orders_create(all).await.unwrap();
        let list = async |filter: JobFilter| {
            let jobs = store.jobs_to_make(filter).await.unwrap();
            jobs.iter().map(|listed| listed.order.as_str()).collect::<Vec<_>>().join(" ")
        };
        let on = |path: &str| JobFilter { equipment: Some(path.into()), ..JobFilter::default() };
        assert_eq!(list(on("works/press")).await, "5 4 3 2 1");
        assert_eq!(list(on("works/press2")).await, "4 2");
        assert_eq!(list(on("works")).await, "");
        assert_eq!(list(JobFilter::default()).await, "5 4 3 2 1 6");
        assert_eq!(list(JobFilter { limit: 2, ..on("works/press") }).await, "5 4");
        assert_eq!(list(JobFilter { branches: vec!["house".into()], ..JobFilter::default() }).await, "6");
        assert_eq!(list(JobFilter { branches: vec![], ..JobFilter::default() }).await, "");

        assert_eq!(list(JobFilter { planned: Some((at(0), at(20))), ..JobFilter::default() }).await, "");
        assert_eq!(list(JobFilter { planned: Some((at(0), at(21))), ..JobFilter::default() }).await, "5 4 3");
        assert_eq!(list(JobFilter { planned: Some((at(25), at(60))), ..on("works/press") }).await, "2");

        // Where it is decided, it stands there alone; it stays while it runs, and goes when it ends.
        let four = store.order("4").await.unwrap().unwrap();
        let begun = now(store.order_write(begin(&four, 0, "works/press2", 1, 10)).await.unwrap());
        assert_eq!(list(on("works/press")).await, "5 3 2 1");
        assert_eq!(list(on("works/press2")).await, "4 2");
        // Who sees a place where it could have been done sees it all the same.
        let at_press = JobFilter { branches: vec!["works/press".into()], ..JobFilter::default() };
        assert_eq!(list(at_press.clone()).await, "5 4 3 2 1");
        assert_eq!(list(JobFilter { branches: vec!["works/press".into()], ..on("works/press2") }).await, "4 2");
        assert_eq!(list(JobFilter { states: vec!["Running".into()], ..JobFilter::default() }).await, "4");
        now(store.order_write(stop(&begun, 0, 2, 20)).await.unwrap());
        assert_eq!(list(on("works/press2")).await, "2");
        assert_eq!(list(at_press).await, "5 3 2 1");
        // A change of the order moves its jobs, also those that are not mentioned.
        let mut hurry = store.order("3").await.unwrap().unwrap().order;
        hurry.priority = 9;
        let write = OrderWrite { order: hurry, jobs: vec![], entries: vec![], events: vec![note(3, "")] };
        now(store.order_write(write).await.unwrap());
        assert_eq!(list(on("works/press")).await, "3 5 2 1");
    }

    pub(super) async fn what_is_refused_leaves_nothing_behind(store: &impl Repository) {
        let order = made(store, 1, vec![job(1, 10, &["press"]), job(1, 20, &["press"])]).await;
        let before = told(store).await;
        // A job's number that is taken takes the whole batch back.
        let mut twice = new(3, vec![job(3, 10, &["press"])]);
        twice.order.jobs[0].number = "1/10".into();
        let refused = store.orders_create(vec![new(2, vec![]), twice]).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Taken { what: "job order", name } if name == "1/10"), "{refused}");
        assert_eq!(store.order("2").await.unwrap(), None);
        // Two jobs that begin at once on one unit, in one change.
        let mut both = begin(&order, 0, "press", 1, 10);
        let other = begin(&order, 1, "press", 2, 10);
        both.jobs.extend(other.jobs);
        both.entries.extend(other.entries);
        let refused = store.order_write(both).await.unwrap_err();
        assert!(matches!(refused, StoreError::Taken { what: "place on equipment", .. }), "{refused}");
        let mut silent = begin(&order, 0, "press", 1, 10);
        silent.entries.clear();
        assert!(matches!(store.order_write(silent).await, Err(StoreError::Missing { .. })));
        let mut foreign = begin(&order, 0, "press", 1, 10);
        foreign.jobs[0].id = id(999);
        assert!(matches!(store.order_write(foreign).await, Err(StoreError::Missing { .. })));
        let nothing = EntryWrite { version: 1, ..count(&job(9, 10, &[]), 1, [1, 0, 0]) };
        assert!(matches!(store.job_entry(nothing).await, Err(StoreError::Missing { what: "job order", .. })));
        assert_eq!(store.order("1").await.unwrap(), Some(order));
        assert_eq!(store.jobs_standing(None).await.unwrap(), []);
        assert_eq!(told(store).await, before);
    }

    pub(super) async fn what_a_person_is_qualified_for_goes_with_the_person(store: &impl Repository) {
        let user = |number| User {
            id: id(number),
            name: format!("user {number}"),
            password_hash: "$argon2id$…".into(),
            enabled: true,
            grants: vec![],
            created: at(1),
            last_login: None,
        };
        let change = [1, 2].map(|number| AccountChange::PutUser(user(number)));
        store.change_accounts(change.to_vec(), None).await.unwrap();
        let skill = |person, until: Option<i64>| PersonSkill {
            person: id(person),
            skill: "welding".into(),
            until: until.map(at),
        };
        store.person_skill_put(skill(1, Some(10)), note(1, "")).await.unwrap();
        store.person_skill_put(skill(2, None), note(2, "")).await.unwrap();
        store.person_skill_put(skill(1, Some(20)), note(3, "")).await.unwrap();
        assert_eq!(store.person_skills(None).await.unwrap(), [skill(1, Some(20)), skill(2, None)]);
        let stranger = store.person_skill_put(skill(9, None), note(4, "")).await.unwrap_err();
        assert!(matches!(stranger, StoreError::Missing { what: "user", .. }), "{stranger}");
        store.person_skill_remove(id(2), "welding", note(5, "")).await.unwrap();
        assert!(store.person_skill_remove(id(2), "welding", note(6, "")).await.is_err());
        assert_eq!(store.person_skills(Some(id(2))).await.unwrap(), []);
        assert_eq!(store.person_skills(Some(id(1))).await.unwrap(), [skill(1, Some(20))]);
        // A changed account keeps them; a removed one does not.
        store.change_accounts(vec![AccountChange::PutUser(user(1))], None).await.unwrap();
        assert_eq!(store.person_skills(None).await.unwrap().len(), 1);
        store.change_accounts(vec![AccountChange::RemoveUser(id(1))], None).await.unwrap();
        assert_eq!(store.person_skills(None).await.unwrap(), []);
        assert_eq!(told(store).await, 4);
    }
}
