//! Maintenance in the store: changed by one at a time, told once, one order of one occurrence and one turn.

use crate::fakes::{Base, note, on_both};
use andon_model::Timestamp;
use andon_store::maintenance::{
    MaintenanceFilter, MaintenanceRepository as _, MaintenanceRow, MaintenanceWrite, MaintenanceWritten,
    NewMaintenance, NewMaintenanceEntry, Part, StoredMaintenance, TurnDue,
};
use andon_store::{OutboxRepository as _, Store};
use serde_json::json;
use uuid::Uuid;

on_both! {
    an_order_comes_back_as_it_was_made_and_the_same_key_is_done_once
    of_two_who_change_one_wins_and_work_lasts_from_begin_to_end
    parts_are_added_up_and_no_more_is_put_back_than_was_used
    one_turn_has_one_order_and_the_next_begins_with_its_end
    the_open_order_of_an_alarm_is_found_by_its_name
    orders_and_failures_are_found_by_branch_state_text_and_time
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

const fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn row(number: u128, equipment: &str) -> MaintenanceRow {
    MaintenanceRow {
        id: id(number),
        number: format!("M-{number}"),
        ordinal: u64::try_from(number).ok(),
        origin: None,
        kind: "corrective".into(),
        equipment: equipment.into(),
        title: "Größe 6 leaks".into(),
        note: "behind the guard".into(),
        priority: 7,
        due: Some(at(900)),
        plan: None,
        alarm: None,
        source: "person".into(),
        state: "AllowedToStart".into(),
        substate: Some("Waiting".into()),
        open: true,
        failed: Some(at(100)),
        restored: None,
        code: Some("Mechanical/Jam".into()),
        cause: "worn".into(),
        remedy: String::new(),
        estimated: Some(std::time::Duration::from_secs(60)),
        skills: vec!["welding".into()],
        instructions: vec!["W-1".into()],
        parts: vec![Part { material: "SEAL".into(), lot: String::new(), serial: String::new(), quantity: 2_000_000 }],
        created: at(110),
        created_by: id(1),
        started: None,
        ended: None,
        version: 0,
    }
}

fn entry(key: u128, seconds: i64, kind: &str) -> NewMaintenanceEntry {
    NewMaintenanceEntry {
        key: id(key),
        at: at(seconds),
        kind: kind.into(),
        content: json!({ "kind": kind }),
        by: id(1),
    }
}

fn new(order: MaintenanceRow, key: u128, turn: Option<TurnDue>) -> NewMaintenance {
    NewMaintenance { order, entry: entry(key, 110, "made"), turn, event: note(key + 500_000, "") }
}

async fn made(store: &Store, number: u128, equipment: &str) -> StoredMaintenance {
    match store.maintenance_create(new(row(number, equipment), 10_000 + number, None)).await.unwrap() {
        MaintenanceWritten::Now(stored) => stored,
        other => panic!("{other:?}"),
    }
}

fn write(stored: &StoredMaintenance, key: u128, seconds: i64, kind: &str) -> MaintenanceWrite {
    MaintenanceWrite {
        order: stored.order.clone(),
        entry: entry(key, seconds, kind),
        begins: Vec::new(),
        ends: Vec::new(),
        used: None,
        next_turn: None,
        event: note(key + 500_000, ""),
    }
}

fn now(written: MaintenanceWritten) -> StoredMaintenance {
    match written {
        MaintenanceWritten::Now(stored) => stored,
        other => panic!("{other:?}"),
    }
}

async fn an_order_comes_back_as_it_was_made_and_the_same_key_is_done_once(base: Base) {
    let store = base.open().await;
    assert_eq!(store.maintenance_next().await.unwrap(), 1);
    let stored = made(&store, 4, "works/press").await;
    assert_eq!(stored.order, MaintenanceRow { version: 1, ..row(4, "works/press") });
    assert_eq!(store.maintenance_next().await.unwrap(), 5);
    let again = store.maintenance_create(new(row(5, "works/press"), 10_004, None)).await.unwrap();
    assert_eq!(again, MaintenanceWritten::Before(stored.clone()), "the same key: the same order");
    let other = NewMaintenance { entry: entry(10_004, 110, "other"), ..new(row(5, "works/press"), 1, None) };
    assert_eq!(store.maintenance_create(other).await.unwrap(), MaintenanceWritten::KeyUsed);
    let taken = NewMaintenance {
        order: MaintenanceRow { id: id(9), ordinal: None, ..row(4, "x") },
        ..new(row(4, "x"), 77, None)
    };
    assert!(matches!(store.maintenance_create(taken).await.unwrap(), MaintenanceWritten::Conflict(_)));
    let found = store.maintenance_asked(id(4), entry(78, 120, "asked")).await.unwrap();
    assert_eq!(found, MaintenanceWritten::Before(stored.clone()), "it is there, and nothing of it changes");
    assert_eq!(store.maintenance_asked(id(4), entry(78, 130, "asked")).await.unwrap(), found);
    assert_eq!(
        store.maintenance_create(new(row(5, "x"), 78, None)).await.unwrap(),
        MaintenanceWritten::KeyUsed,
        "the key is used"
    );
    assert!(store.maintenance_asked(id(9), entry(79, 120, "asked")).await.is_err(), "there is none");
    let entries = store.maintenance_ledger(id(4), None, 9).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.entry.kind.as_str()).collect::<Vec<_>>(), ["made", "asked"]);
    assert_eq!(store.outbox_pending(100).await.unwrap().len(), 1, "what was not done is not told");
}

async fn of_two_who_change_one_wins_and_work_lasts_from_begin_to_end(base: Base) {
    let store = base.open().await;
    let stored = made(&store, 1, "works/press").await;
    let begin = |key: u128, person: u128| MaintenanceWrite {
        begins: vec![id(person)],
        order: MaintenanceRow {
            state: "Running".into(),
            substate: None,
            started: Some(at(200)),
            ..stored.order.clone()
        },
        ..write(&stored, key, 200, "begin")
    };
    let (one, other) = tokio::join!(store.maintenance_write(begin(1, 1)), store.maintenance_write(begin(2, 2)));
    let (one, other) = (one.unwrap(), other.unwrap());
    let won = [&one, &other].into_iter().filter(|written| matches!(written, MaintenanceWritten::Now(_))).count();
    let lost = [&one, &other].into_iter().filter(|written| matches!(written, MaintenanceWritten::Conflict(_))).count();
    assert_eq!((won, lost), (1, 1), "{one:?} {other:?}");
    let begun = store.maintenance_order("M-1").await.unwrap().unwrap();
    assert_eq!((begun.work.len(), begun.work[0].from, begun.work[0].to), (1, at(200), None));
    let person = begun.work[0].person;
    // The clock was set back: the span has no length, and no less.
    let end = MaintenanceWrite { ends: vec![person], ..write(&begun, 3, 150, "pause") };
    let ended = now(store.maintenance_write(end).await.unwrap());
    assert_eq!((ended.work[0].to, ended.order.version), (Some(at(200)), 3));
    assert_eq!(store.maintenance_work("works", at(0), at(1_000), 10).await.unwrap().len(), 0, "it took no time");
    let entries = store.maintenance_ledger(id(1), None, 2).await.unwrap();
    assert_eq!(entries.iter().map(|entry| entry.entry.kind.as_str()).collect::<Vec<_>>(), ["begin", "pause"]);
    assert_eq!(store.maintenance_ledger(id(1), Some(entries[0].number), 9).await.unwrap().len(), 1);
}

async fn parts_are_added_up_and_no_more_is_put_back_than_was_used(base: Base) {
    let store = base.open().await;
    let mut stored = made(&store, 1, "works/press").await;
    let part =
        |lot: &str, quantity| Some(Part { material: "SEAL".into(), lot: lot.into(), serial: String::new(), quantity });
    for (key, lot, quantity, total) in [
        (1, "L1", 5, Some(5)),
        (2, "L1", -2, Some(3)),
        (3, "L2", -1, None),
        (4, "L1", -4, None),
        (5, "L1", -3, Some(0)),
    ] {
        let written = store
            .maintenance_write(MaintenanceWrite { used: part(lot, quantity), ..write(&stored, key, 1, "part") })
            .await;
        match (written.unwrap(), total) {
            (MaintenanceWritten::Now(is), Some(total)) => {
                assert_eq!(is.used.iter().map(|part| part.quantity).sum::<i64>(), total);
                stored = is;
            }
            (MaintenanceWritten::Conflict(is), None) => assert_eq!(is, stored),
            (other, _) => panic!("{other:?}"),
        }
    }
    assert!(stored.used.is_empty());
}

async fn one_turn_has_one_order_and_the_next_begins_with_its_end(base: Base) {
    let store = base.open().await;
    let turn = store.maintenance_turn_begin("oil", at(10)).await.unwrap();
    assert_eq!(store.maintenance_turn_begin("oil", at(99)).await.unwrap(), turn, "it began before");
    let due = |turn| TurnDue { plan: "oil".into(), turn, due: Some((at(50), "time".into())), occurrence: Some(id(7)) };
    let planned = |number, turn: u64, origin: &str| MaintenanceRow {
        plan: Some(("oil".into(), turn)),
        origin: Some(origin.into()),
        ..row(number, "works/press")
    };
    let (one, other) = tokio::join!(
        store.maintenance_create(new(planned(1, 1, "plan/1"), 1, Some(due(1)))),
        store.maintenance_create(new(planned(2, 1, "plan/1"), 2, Some(due(1)))),
    );
    let all = [one.unwrap(), other.unwrap()];
    assert_eq!(all.iter().filter(|written| matches!(written, MaintenanceWritten::Now(_))).count(), 1, "{all:?}");
    assert_eq!(all.iter().filter(|written| matches!(written, MaintenanceWritten::Before(_))).count(), 1, "{all:?}");
    let over = store.maintenance_create(new(planned(3, 2, "plan/2"), 3, Some(due(2)))).await.unwrap();
    assert_eq!(over, MaintenanceWritten::TurnOver);
    assert_eq!(
        store.maintenance_orders(MaintenanceFilter::default()).await.unwrap().orders.len(),
        1,
        "nothing was made"
    );
    // What is due no more is not due; its order stays the one of the turn.
    store.maintenance_turn_undue("oil", 7).await.unwrap();
    let [turn] = store.maintenance_turns().await.unwrap().try_into().unwrap();
    assert_eq!(turn.due, Some((at(50), "time".to_owned())), "of another turn");
    store.maintenance_turn_undue("oil", 1).await.unwrap();
    let [turn] = store.maintenance_turns().await.unwrap().try_into().unwrap();
    assert_eq!((turn.turn, turn.due, turn.order.is_some()), (1, None, true));
    // It becomes due again while that order is there: once, and in that turn only.
    for (of, since) in [(2, 60), (1, 70), (1, 80)] {
        let due = TurnDue { due: Some((at(since), "cycles".into())), occurrence: None, ..due(of) };
        store.maintenance_turn_due(due).await.unwrap();
    }
    let [turn] = store.maintenance_turns().await.unwrap().try_into().unwrap();
    assert_eq!((turn.due, turn.occurrence), (Some((at(70), "cycles".to_owned())), Some(id(7))));
    let stored = store.maintenance_of("plan/1").await.unwrap().unwrap();
    let finish = MaintenanceWrite { next_turn: Some(at(300)), ..write(&stored, 9, 300, "finish") };
    now(store.maintenance_write(finish.clone()).await.unwrap());
    assert!(matches!(store.maintenance_write(finish).await.unwrap(), MaintenanceWritten::Before(_)));
    let [turn] = store.maintenance_turns().await.unwrap().try_into().unwrap();
    assert_eq!((turn.turn, turn.since, turn.due, turn.order), (2, at(300), None, None));
    assert_eq!((turn.last, turn.occurrence), (Some(stored.order.id), Some(id(7))));
}

async fn the_open_order_of_an_alarm_is_found_by_its_name(base: Base) {
    let store = base.open().await;
    for number in [1, 2] {
        let order = MaintenanceRow { alarm: Some(("press:low".into(), id(number))), ..row(number, "works/press") };
        now(store.maintenance_create(new(order, number, None)).await.unwrap());
    }
    let number =
        async |alarm: &str| store.maintenance_open_of_alarm(alarm).await.unwrap().map(|stored| stored.order.number);
    assert_eq!(number("press:low").await.as_deref(), Some("M-2"));
    assert_eq!(number("press:high").await, None);
    for (key, order) in [(11, "M-2"), (12, "M-1")] {
        let stored = store.maintenance_order(order).await.unwrap().unwrap();
        assert!(store.maintenance_is_open(stored.order.id).await.unwrap());
        let over = MaintenanceRow { state: "Ended".into(), open: false, ..stored.order.clone() };
        now(store
            .maintenance_write(MaintenanceWrite { order: over, ..write(&stored, key, 1, "finish") })
            .await
            .unwrap());
    }
    assert_eq!(number("press:low").await, None);
    assert!(!store.maintenance_is_open(id(1)).await.unwrap() && !store.maintenance_is_open(id(9)).await.unwrap());
}

async fn orders_and_failures_are_found_by_branch_state_text_and_time(base: Base) {
    let store = base.open().await;
    for (number, path) in [(1, "works/a"), (2, "works/a/pump"), (3, "works/ab"), (4, "yard")] {
        made(&store, number, path).await;
    }
    let found = async |filter: MaintenanceFilter| {
        let page = store.maintenance_orders(filter).await.unwrap();
        (page.orders.iter().map(|stored| stored.order.number.clone()).collect::<Vec<_>>().join(" "), page.next)
    };
    let all = MaintenanceFilter::default;
    let branch = |branch: &str| MaintenanceFilter { branch: Some(branch.into()), ..all() };
    assert_eq!(found(branch("works/a")).await.0, "M-2 M-1");
    assert_eq!(found(MaintenanceFilter { branches: vec!["yard".into()], ..all() }).await.0, "M-4");
    assert_eq!(found(MaintenanceFilter { branches: vec![], ..all() }).await.0, "");
    assert_eq!(found(MaintenanceFilter { text: Some("GRÖSSE".into()), ..all() }).await.0, "");
    assert_eq!(found(MaintenanceFilter { text: Some("größe 6 l".into()), ..all() }).await.0, "M-4 M-3 M-2 M-1");
    assert_eq!(found(MaintenanceFilter { text: Some("m_2".into()), ..all() }).await.0, "");
    assert_eq!(found(MaintenanceFilter { open: Some(false), ..all() }).await.0, "");
    assert_eq!(found(MaintenanceFilter { limit: 2, ..all() }).await, ("M-4 M-3".to_owned(), Some(id(3))));
    assert_eq!(found(MaintenanceFilter { limit: 2, after: Some(id(3)), ..all() }).await, ("M-2 M-1".to_owned(), None));
    let stored = store.maintenance_order("M-2").await.unwrap().unwrap();
    let restored = MaintenanceRow { restored: Some(at(150)), ..stored.order.clone() };
    now(store.maintenance_write(MaintenanceWrite { order: restored, ..write(&stored, 1, 1, "finish") }).await.unwrap());
    let stored = store.maintenance_order("M-3").await.unwrap().unwrap();
    let given_up = MaintenanceRow { state: "Aborted".into(), open: false, ..stored.order.clone() };
    now(store.maintenance_write(MaintenanceWrite { order: given_up, ..write(&stored, 2, 1, "cancel") }).await.unwrap());
    let failures =
        async |branch: &str, from, to| store.maintenance_failures(branch, at(from), at(to), 10).await.unwrap().len();
    assert_eq!(failures("works/a", 0, 200).await, 2);
    assert_eq!(failures("works/a", 150, 200).await, 2, "restored with the window's first instant");
    assert_eq!(failures("works/a", 151, 200).await, 1);
    assert_eq!(failures("works/a", 0, 100).await, 0, "it failed with the first instant after it");
    assert_eq!(failures("", 0, 200).await, 3, "what was given up is no failure");
    let at_itself = async |paths: &[&str], from, to| {
        let paths = paths.iter().map(|&path| path.to_owned()).collect();
        store.maintenance_failures_at(paths, at(from), at(to), 10).await.unwrap().len()
    };
    assert_eq!((at_itself(&["works", "works/a"], 0, 200).await, at_itself(&["works/ab"], 0, 200).await), (1, 0));
    assert_eq!((at_itself(&["works/a/pump"], 151, 200).await, at_itself(&[], 0, 200).await), (0, 0));
    assert_eq!(found(MaintenanceFilter { states: vec!["Aborted".into()], ..all() }).await.0, "M-3");
}
