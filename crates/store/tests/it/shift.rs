//! The logbook and sign-ons: what was asked twice is done once, entries stay, and nobody is in two places at a time.

use crate::fakes::{Base, note, on_both};
use andon_model::Timestamp;
use andon_model::event::Event;
use andon_store::labour::{Ended, LabourFilter, LabourRepository, LabourSpan, SignOff, SignOn, Signed, SpanChange};
use andon_store::logbook::{
    Confirmation, Confirmed, EntryFilter, HANDOVER, InShift, Key, LogbookRepository, NewEntry, Told, Written,
};
use andon_store::{OutboxRepository, Store};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::json;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

on_both! {
    an_entry_that_is_asked_twice_is_written_once_and_is_found_by_branch_kind_text_and_page
    an_entry_is_corrected_once_and_stays_as_it_was
    a_hand_over_is_open_until_it_is_confirmed_once_and_settles_what_it_names
    a_sign_on_elsewhere_ends_the_first_and_a_forgotten_one_ends_by_rule
    what_is_refused_ends_nothing_also_where_the_clock_went_back
    whatever_people_do_no_two_spans_of_a_person_overlap
}

/// One that no other is.
fn event() -> Event {
    static LAST: AtomicU64 = AtomicU64::new(1);
    note(u128::from(LAST.fetch_add(1, Ordering::Relaxed)), "works")
}

fn us(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

fn key(number: u128) -> Key {
    Key { key: Uuid::from_u128(number), content: [7; 32] }
}

fn entry(number: u128, path: &str, text: &str) -> NewEntry {
    NewEntry {
        key: key(number),
        path: path.to_owned(),
        kind: "note".to_owned(),
        text: text.to_owned(),
        links: json!({ "order": "4711" }),
        at: us(i64::try_from(number).unwrap()),
        by: Uuid::from_u128(5),
        shift: Some(InShift { name: "Early".to_owned(), from: us(0), to: us(100) }),
        pinned: false,
        corrects: None,
        told: None,
        event: event(),
    }
}

fn handover(number: u128, path: &str, kept: &[u64]) -> NewEntry {
    let told = Told { items: json!([{ "kind": "entry", "entry": 1 }]), truncated: true, kept: kept.to_vec() };
    NewEntry { kind: HANDOVER.to_owned(), told: Some(told), ..entry(number, path, "all is well") }
}

async fn written(store: &Store, entry: NewEntry) -> u64 {
    match store.logbook_write(entry).await.unwrap() {
        Written::Now(entry) => entry.number,
        other => panic!("{other:?}"),
    }
}

async fn found(store: &Store, filter: EntryFilter) -> Vec<u64> {
    store.logbook_entries(filter).await.unwrap().iter().map(|entry| entry.number).collect()
}

fn of(branches: &[&str]) -> EntryFilter {
    EntryFilter::of(branches.iter().map(|branch| (*branch).to_owned()).collect(), 100)
}

async fn an_entry_that_is_asked_twice_is_written_once_and_is_found_by_branch_kind_text_and_page(base: Base) {
    let store = base.open().await;
    let first = entry(1, "works/line1/press", "Öl at 100% of_it");
    assert_eq!(written(&store, first.clone()).await, 1);
    let waiting = store.outbox_pending(10).await.unwrap().len();
    assert!(matches!(store.logbook_write(first.clone()).await.unwrap(), Written::Before(entry) if entry.number == 1));
    let other = NewEntry { key: Key { content: [8; 32], ..key(1) }, ..first };
    assert_eq!(store.logbook_write(other).await.unwrap(), Written::KeyUsed);
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), waiting);

    written(&store, entry(2, "works/line10", "two")).await;
    written(&store, NewEntry { kind: "safety".to_owned(), ..entry(3, "works/line1", "three") }).await;
    assert_eq!(found(&store, of(&[""])).await, [3, 2, 1]);
    assert_eq!(found(&store, of(&["works/line1"])).await, [3, 1]);
    assert_eq!(found(&store, of(&["works/line1/press", "works/line10"])).await, [2, 1]);
    assert_eq!(found(&store, of(&[])).await, [] as [u64; 0]);
    assert_eq!(found(&store, EntryFilter { kinds: vec!["safety".to_owned()], ..of(&["works"]) }).await, [3]);
    for (text, hits) in [("öL AT", 1), ("100%", 1), ("0% of_i", 1), ("1_0", 0), ("%two%", 0)] {
        let filter = EntryFilter { text: Some(text.to_owned()), ..of(&[""]) };
        assert_eq!(found(&store, filter).await.len(), hits, "{text}");
    }
    assert_eq!(found(&store, EntryFilter { after: Some(3), limit: 1, ..of(&[""]) }).await, [2]);
    assert_eq!(found(&store, EntryFilter { window: (us(2), us(3)), ..of(&[""]) }).await, [2]);
    store.close().await.unwrap();
    let again = base.open().await.logbook_entry(1).await.unwrap().unwrap();
    assert_eq!((again.text.as_str(), &again.links["order"]), ("Öl at 100% of_it", &json!("4711")));
    assert_eq!(again.shift.map(|shift| shift.name), Some("Early".to_owned()));
}

async fn an_entry_is_corrected_once_and_stays_as_it_was(base: Base) {
    let store = base.open().await;
    written(&store, NewEntry { pinned: true, ..entry(1, "works", "wrong") }).await;
    let right = NewEntry { corrects: Some(1), pinned: true, ..entry(2, "works", "right") };
    assert_eq!(written(&store, right).await, 2);
    let again = NewEntry { corrects: Some(1), ..entry(3, "works", "right too") };
    assert_eq!(store.logbook_write(again).await.unwrap(), Written::Corrected(2));
    let wrong = store.logbook_entry(1).await.unwrap().unwrap();
    assert_eq!((wrong.text.as_str(), wrong.corrected_by, wrong.open), ("wrong", Some(2), false));
    assert_eq!(found(&store, EntryFilter { open: Some(true), ..of(&["works"]) }).await, [2]);
    assert_eq!(found(&store, EntryFilter { open: Some(false), ..of(&["works"]) }).await, [1]);
}

async fn a_hand_over_is_open_until_it_is_confirmed_once_and_settles_what_it_names(base: Base) {
    let store = base.open().await;
    for number in [1, 2] {
        written(&store, NewEntry { pinned: true, ..entry(number, "works/line1", "open") }).await;
    }
    assert_eq!(written(&store, handover(3, "works/line1", &[2])).await, 3);
    let open_now = || found(&store, EntryFilter { open: Some(true), ..of(&["works"]) });
    assert_eq!(open_now().await, [3, 2, 1]);
    let confirmation = |number: u128, by: u128| Confirmation {
        key: key(number),
        number: 3,
        at: us(50),
        by: Uuid::from_u128(by),
        note: "read".to_owned(),
        settles: vec![1],
        event: event(),
    };
    assert!(matches!(store.logbook_confirm(confirmation(4, 6)).await.unwrap(), Confirmed::Now(_)));
    assert!(matches!(store.logbook_confirm(confirmation(4, 6)).await.unwrap(), Confirmed::Before(_)));
    assert!(matches!(store.logbook_confirm(confirmation(5, 8)).await.unwrap(), Confirmed::Already(_)));
    assert_eq!(open_now().await, [2]);
    let handover = store.logbook_entry(3).await.unwrap().unwrap().handover.unwrap();
    assert_eq!(handover.confirmed, Some((us(50), Uuid::from_u128(6))));
    assert_eq!((handover.told.kept, handover.told.truncated, handover.note.as_str()), (vec![2], true, "read"));
}

async fn on(store: &Store, request: u128, person: u128, path: &str, at: i64) -> Signed {
    let sign = SignOn {
        key: key(request),
        person: Uuid::from_u128(person),
        path: path.to_owned(),
        at: us(at),
        ends_by: us(at + 1_000),
        event: event(),
    };
    store.labour_sign_on(sign).await.unwrap()
}

async fn off(store: &Store, request: u128, person: u128, at: i64) -> Signed {
    let sign = SignOff { key: key(request), person: Uuid::from_u128(person), at: us(at), event: event() };
    store.labour_sign_off(sign).await.unwrap()
}

async fn put_right(store: &Store, request: u128, number: u64, from: i64, to: Option<i64>) -> Signed {
    let change = SpanChange {
        key: key(request),
        number,
        from: us(from),
        to: to.map(us),
        at: us(5_000),
        by: Uuid::from_u128(99),
        reason: "forgotten".to_owned(),
        event: event(),
    };
    store.labour_correct(change).await.unwrap()
}

async fn spans(store: &Store, path: &str) -> Vec<LabourSpan> {
    let (from, to) = (us(i64::MIN), us(i64::MAX));
    let filter = LabourFilter { path: path.to_owned(), person: None, from, to, limit: 1_000 };
    store.labour_spans(filter).await.unwrap()
}

async fn a_sign_on_elsewhere_ends_the_first_and_a_forgotten_one_ends_by_rule(base: Base) {
    let store = base.open().await;
    assert!(matches!(on(&store, 1, 7, "works/line1", 10).await, Signed::Now(_)));
    assert!(matches!(on(&store, 1, 7, "works/line1", 10).await, Signed::Before(span) if span.number == 1));
    assert!(matches!(on(&store, 2, 7, "works/line1", 20).await, Signed::Before(span) if span.number == 1));
    assert!(matches!(on(&store, 3, 7, "works/line2", 30).await, Signed::Now(span) if span.number == 2));
    let all = spans(&store, "").await;
    assert_eq!(
        all.iter().map(|span| (span.to, span.ended)).collect::<Vec<_>>(),
        [(None, None), (Some(us(30)), Some(Ended::Elsewhere))]
    );
    assert_eq!(spans(&store, "works/line").await, []);
    assert!(matches!(off(&store, 4, 8, 40).await, Signed::NotThere));
    assert_eq!(store.labour_overdue(us(1_029)).await.unwrap(), []);
    assert_eq!(store.labour_overdue(us(1_030)).await.unwrap().len(), 1);
    assert!(store.labour_end_by_rule(2, event()).await.unwrap());
    assert!(!store.labour_end_by_rule(2, event()).await.unwrap());
    let ended = store.labour_span(2).await.unwrap().unwrap();
    assert_eq!((ended.to, ended.ended), (Some(us(1_030)), Some(Ended::Rule)));
    // What stood there stays.
    assert!(
        matches!(put_right(&store, 5, 2, 30, Some(900)).await, Signed::Now(span) if span.ended == Some(Ended::Supervisor))
    );
    assert!(matches!(put_right(&store, 6, 2, 29, Some(900)).await, Signed::Overlaps(span) if span.number == 1));
    assert_eq!(put_right(&store, 7, 2, 30, None).await, Signed::Unfit);
    assert_eq!(put_right(&store, 8, 2, 30, Some(30)).await, Signed::Unfit);
    let kept = store.labour_corrections(vec![1, 2]).await.unwrap();
    assert_eq!(kept.iter().map(|kept| (kept.span, kept.was_to)).collect::<Vec<_>>(), [(2, Some(us(1_030)))]);
}

async fn what_is_refused_ends_nothing_also_where_the_clock_went_back(base: Base) {
    let store = base.open().await;
    assert!(matches!(on(&store, 1, 7, "works/line1", 5_000).await, Signed::Now(_)));
    let before = spans(&store, "").await;
    // It would begin after the other, and is to end before that.
    assert_eq!(on(&store, 2, 7, "works/line2", 10).await, Signed::Unfit);
    assert_eq!(spans(&store, "").await, before);
    assert!(matches!(off(&store, 3, 7, 6_000).await, Signed::Now(_)));
    assert_eq!(store.labour_of_key(key(3)).await.unwrap().map(|span| span.to), Some(Some(us(6_000))));
    assert_eq!(store.labour_of_key(Key { content: [8; 32], ..key(3) }).await.unwrap(), None);
    assert_eq!(store.labour_of_key(key(2)).await.unwrap(), None);
}

/// What people do: who, where, when (the clock may go back), and what.
fn deeds() -> impl Strategy<Value = Vec<(u128, u8, i64, u8)>> {
    proptest::collection::vec((0_u128..3, 0_u8..3, 0_i64..2_000, 0_u8..5), 1..40)
}

/// One store for all cases, for a database takes its time to come about: each case has people and requests of its own.
async fn whatever_people_do_no_two_spans_of_a_person_overlap(base: Base) {
    let store = base.open().await;
    let (runtime, cases) = (tokio::runtime::Handle::current(), AtomicU64::new(0));
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&deeds(), |deeds| {
        let case = u128::from(cases.fetch_add(1, Ordering::Relaxed));
        let all = tokio::task::block_in_place(|| runtime.block_on(done(&store, case, deeds)));
        for a in &all {
            let end = |span: &LabourSpan| span.to.unwrap_or(us(i64::MAX));
            prop_assert!(a.from <= end(a));
            for b in all.iter().filter(|b| b.person == a.person && b.number != a.number) {
                prop_assert!(end(a) <= b.from || end(b) <= a.from, "{a:?} and {b:?}");
            }
        }
        Ok(())
    });
    run.unwrap();
    assert!(cases.into_inner() >= 24);
}

/// What people did, and all spans there are then.
async fn done(store: &Store, case: u128, deeds: Vec<(u128, u8, i64, u8)>) -> Vec<LabourSpan> {
    for (request, (person, place, at, deed)) in (1 + case * 1_000..).zip(deeds) {
        let (person, number) = (case * 10 + person, u64::from(place) + 1);
        match deed {
            0 | 1 => drop(on(store, request, person, &format!("works/line{place}"), at).await),
            2 => drop(off(store, request, person, at).await),
            3 => {
                for span in store.labour_overdue(us(at)).await.unwrap() {
                    store.labour_end_by_rule(span.number, event()).await.unwrap();
                }
            }
            _ if store.labour_span(number).await.unwrap().is_some() => {
                let to = (at % 3 > 0).then_some(at + i64::from(place) * 100);
                drop(put_right(store, request, number, at - 50, to).await);
            }
            _ => {}
        }
    }
    spans(store, "").await
}
