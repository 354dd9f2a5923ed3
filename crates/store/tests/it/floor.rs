//! What is kept for manufacturing execution: all of it or nothing, and found again.

use crate::fakes::{Base, note, on_both};
use andon_model::log::Seq;
use andon_model::{TagId, Timestamp};
use andon_store::floor::{
    Figures, FloorKeep, FloorRepository, NumberKind, Progress, StoredCorrection, StoredHour, StoredSlot,
};
use andon_store::{OutboxRepository, StoreError};
use serde_json::json;
use uuid::Uuid;

on_both! {
    a_number_is_given_once_and_stays
    what_is_kept_is_found_and_replaced
    totals_of_an_older_version_get_their_figures_once
    a_correction_is_kept_with_what_it_changes_and_its_event_or_not_at_all
}

fn hour(unit: u32, hour: i64, byte: u8) -> StoredHour {
    StoredHour { unit, hour, recorded: vec![byte; 3], derived: vec![byte; 5] }
}

fn slot(node: u32, level: u8, number: i64, byte: u8) -> StoredSlot {
    StoredSlot { node, level, number, totals: vec![byte; 4] }
}

async fn totals_of_an_older_version_get_their_figures_once(base: Base) {
    let store = base.open().await;
    let slots = vec![slot(1, 0, 5, 1), slot(1, 1, 0, 1), slot(1, 2, 0, 1), slot(2, 0, 5, 1)];
    store.floor_keep(FloorKeep { slots, ..FloorKeep::default() }).await.unwrap();
    let of =
        |slot: &StoredSlot| Figures { node: slot.node, level: slot.level, number: slot.number, ..Figures::default() };
    let mut found = Vec::new();
    loop {
        let slots = store.floor_without_figures(2).await.unwrap();
        if slots.is_empty() {
            break;
        }
        let figures = slots.iter().map(of).collect();
        store.floor_keep(FloorKeep { figures, ..FloorKeep::default() }).await.unwrap();
        found.extend(slots.iter().map(|slot| (slot.node, slot.level)));
    }
    found.sort_unstable();
    assert_eq!(found, [(1, 0), (1, 1), (2, 0)], "days of days have none");
    // Nobody looks again, though it has to be written with its figures from now on.
    store.floor_keep(FloorKeep { slots: vec![slot(3, 0, 5, 1)], ..FloorKeep::default() }).await.unwrap();
    assert_eq!(store.floor_without_figures(2).await.unwrap(), []);
}

fn correction(number: u32, from: i64, to: i64) -> StoredCorrection {
    let [from, to, at] = [from, to, 1000].map(Timestamp::from_micros);
    StoredCorrection {
        number,
        unit: 7,
        from,
        to,
        change: json!({ "reason": number }),
        by: Uuid::from_u128(5),
        at,
        key: Uuid::from_u128(u128::from(number)),
    }
}

async fn a_number_is_given_once_and_stays(base: Base) {
    let store = base.open().await;
    let numbers = async |kind, names: &[&str]| {
        store.floor_numbers(kind, names.iter().map(|name| (*name).to_owned()).collect()).await.unwrap()
    };
    assert_eq!(numbers(NumberKind::Node, &["works", "works/line", "works"]).await, [0, 1, 0]);
    assert_eq!(numbers(NumberKind::Reason, &["Jam"]).await, [0]);
    assert_eq!(numbers(NumberKind::Node, &["works/press", "works/line"]).await, [2, 1]);
    store.close().await.unwrap();
    let store = base.open().await;
    assert_eq!(
        store.floor_numbers(NumberKind::Node, vec!["works/line".to_owned(), "house".to_owned()]).await.unwrap(),
        [1, 3]
    );
    let mut names = store.floor_names(NumberKind::Node).await.unwrap();
    names.sort_by_key(|(_, number)| *number);
    assert_eq!(
        names.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["works", "works/line", "works/press", "house"]
    );
}

async fn what_is_kept_is_found_and_replaced(base: Base) {
    let store = base.open().await;
    // More than one statement takes.
    let hours: Vec<_> = (0..3u32).flat_map(|unit| (0..100).map(move |n| hour(unit, 490_000 + n, 1))).collect();
    let slots: Vec<_> =
        (0..200).map(|number| slot(4, 0, number, 1)).chain([slot(4, 1, 3, 2), slot(5, 1, 3, 3)]).collect();
    let counters = vec![(TagId(3), "{\"last\":7}".to_owned()), (TagId(1), "{}".to_owned())];
    assert_eq!(store.floor_progress().await.unwrap(), None);
    let progress =
        Progress { kept_until: Timestamp::from_micros(490_100 * 3_600_000_000), first: Seq(17), seen: Seq(20) };
    let keep = FloorKeep { hours: hours.clone(), slots, counters, progress: Some(progress), ..FloorKeep::default() };
    store.floor_keep(keep).await.unwrap();
    assert_eq!(store.floor_progress().await.unwrap(), Some(progress));
    assert_eq!(store.floor_hours(vec![0, 1, 2], 0, i64::MAX).await.unwrap(), hours);
    let some = store.floor_hours(vec![2, 9], 490_010, 490_012).await.unwrap();
    assert_eq!(some, [hour(2, 490_010, 1), hour(2, 490_011, 1)]);
    let mut found = store.floor_slots(4, vec![(0, 5), (1, 3), (0, 199), (0, 200), (2, 0)]).await.unwrap();
    found.sort_by_key(|slot| (slot.level, slot.number));
    assert_eq!(found, [slot(4, 0, 5, 1), slot(4, 0, 199, 1), slot(4, 1, 3, 2)]);
    assert_eq!(
        store.floor_counters().await.unwrap(),
        [(TagId(1), "{}".to_owned()), (TagId(3), "{\"last\":7}".to_owned())]
    );

    let keep = FloorKeep { hours: vec![hour(2, 490_010, 9)], slots: vec![slot(4, 1, 3, 9)], ..FloorKeep::default() };
    store.floor_keep(keep).await.unwrap();
    assert_eq!(store.floor_hours(vec![2], 490_010, 490_011).await.unwrap(), [hour(2, 490_010, 9)]);
    assert_eq!(store.floor_slots(4, vec![(1, 3)]).await.unwrap(), [slot(4, 1, 3, 9)]);
    assert_eq!(store.floor_progress().await.unwrap(), Some(progress), "it did not come further");
}

async fn a_correction_is_kept_with_what_it_changes_and_its_event_or_not_at_all(base: Base) {
    let store = base.open().await;
    assert_eq!(store.floor_last_correction().await.unwrap(), 0);
    let keep = |number, byte, event| FloorKeep {
        hours: vec![hour(7, 1, byte)],
        corrections: vec![(correction(number, 10, 20), note(event, "works"))],
        ..FloorKeep::default()
    };
    store.floor_keep(keep(1, 1, 101)).await.unwrap();
    let told = store.outbox_pending(10).await.unwrap();
    assert_eq!(told.iter().map(|event| event.id.as_u128()).collect::<Vec<_>>(), [101]);

    let error = store.floor_keep(keep(1, 2, 102)).await.unwrap_err();
    assert!(matches!(error, StoreError::Taken { what: "correction", .. }), "{error}");
    assert_eq!(store.floor_hours(vec![7], 0, 9).await.unwrap(), [hour(7, 1, 1)], "nothing of it is there");
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), 1);

    store.floor_keep(keep(2, 2, 102)).await.unwrap();
    assert_eq!(store.floor_last_correction().await.unwrap(), 2);
    assert_eq!(store.floor_correction_of(Uuid::from_u128(2)).await.unwrap(), Some(correction(2, 10, 20)));
    assert_eq!(store.floor_correction_of(Uuid::from_u128(3)).await.unwrap(), None);
    let at = Timestamp::from_micros;
    assert_eq!(
        store.floor_corrections(7, at(19), at(20)).await.unwrap(),
        [correction(1, 10, 20), correction(2, 10, 20)]
    );
    assert_eq!(store.floor_corrections(7, at(20), at(30)).await.unwrap(), []);
    assert_eq!(store.floor_corrections(7, at(0), at(10)).await.unwrap(), []);
    assert_eq!(store.floor_corrections(8, at(0), at(30)).await.unwrap(), []);
}
