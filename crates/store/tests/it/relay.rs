//! The relay: nothing lost, nothing doubled, in order, wherever the power is cut.

use crate::fakes::{Base, Fate, FateRecorder, MemLog, note, on_both};
use andon_model::log::{Log, Seq};
use andon_model::record::Recorder;
use andon_store::relay::READER;
use andon_store::{AccountRepository, OutboxRepository, Store, relay};
use proptest::prelude::*;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

on_both! {
    events_reach_the_log_in_the_order_of_their_commits_and_new_ones_wake_the_relay
    waiting_for_an_event_ends_when_there_is_no_relay
    a_kill_between_the_log_and_the_outbox_doubles_nothing
    a_relay_that_sleeps_through_many_events_of_others_need_not_read_them_later
}

const SOON: Duration = Duration::from_secs(20);

async fn put(store: &Store, numbers: impl IntoIterator<Item = u128>) {
    for number in numbers {
        store.change_accounts(Vec::new(), Some(note(number, ""))).await.unwrap();
    }
}

fn ids(numbers: impl IntoIterator<Item = u128>) -> Vec<Uuid> {
    numbers.into_iter().map(Uuid::from_u128).collect()
}

/// Runs a relay until the outbox is empty.
async fn drain(store: &Store, recorder: Arc<dyn Recorder>, log: &Arc<MemLog>, last: u128) {
    let stop = CancellationToken::new();
    let task = tokio::spawn(relay::run(Arc::new(store.clone()), recorder, log.clone() as Arc<dyn Log>, stop.clone()));
    assert!(store.relay_now(Uuid::from_u128(last), SOON).await.unwrap());
    stop.cancel();
    task.await.unwrap().unwrap();
}

async fn events_reach_the_log_in_the_order_of_their_commits_and_new_ones_wake_the_relay(base: Base) {
    let (store, log) = (base.open().await, MemLog::new());
    put(&store, 1..=70).await;
    let stop = CancellationToken::new();
    let recorder = FateRecorder::new(&log, [Fate::Busy, Fate::Record, Fate::Busy, Fate::Busy]);
    let running = store.clone();
    let (log_of_relay, stop_of_relay) = (log.clone(), stop.clone());
    let task = tokio::spawn(async move { running.relay(recorder, log_of_relay, stop_of_relay).await });
    assert!(store.relay_now(Uuid::from_u128(70), SOON).await.unwrap());
    put(&store, 71..=72).await;
    assert!(store.relay_now(Uuid::from_u128(72), SOON).await.unwrap());
    stop.cancel();
    task.await.unwrap().unwrap();
    assert_eq!(log.event_ids(), ids(1..=72));
}

async fn waiting_for_an_event_ends_when_there_is_no_relay(base: Base) {
    let store = base.open().await;
    put(&store, [1]).await;
    assert!(!store.relay_now(Uuid::from_u128(1), Duration::from_millis(20)).await.unwrap());
}

async fn a_kill_between_the_log_and_the_outbox_doubles_nothing(base: Base) {
    let log = MemLog::new();
    {
        let store = base.open().await;
        put(&store, 1..=3).await;
        // Two were recorded, then the power went before their rows were deleted; others came between.
        for number in [1, 100, 101, 102, 103, 2] {
            log.put_event(note(number, ""));
        }
    }
    let store = base.open().await;
    drain(&store, FateRecorder::new(&log, []), &log, 3).await;
    assert_eq!(log.event_ids(), ids([1, 100, 101, 102, 103, 2, 3]));
}

async fn a_relay_that_sleeps_through_many_events_of_others_need_not_read_them_later(base: Base) {
    let (store, log) = (base.open().await, MemLog::new());
    for number in 1..=10_000 {
        log.put_event(note(number, ""));
    }
    put(&store, [20_001]).await;
    drain(&store, FateRecorder::new(&log, []), &log, 20_001).await;
    assert!(store.applied(READER, andon_model::log::Lane::Records).await.unwrap() >= Seq(10_000));
    // And the log may free what lies before: it knows.
    drain(&store, FateRecorder::new(&log, []), &log, 20_001).await;
    assert_eq!(log.snapshot(READER).unwrap().positions.records, Seq(10_001));
}

/// One life of the process: changes are committed, a relay runs and meets these fates until it falls or is done.
async fn live(base: &Base, log: &Arc<MemLog>, numbers: std::ops::Range<u128>, fates: Vec<Fate>) {
    let store = base.open().await;
    let recorder = FateRecorder::new(log, fates);
    let stop = CancellationToken::new();
    let task = tokio::spawn(relay::run(Arc::new(store.clone()), recorder, log.clone() as Arc<dyn Log>, stop.clone()));
    put(&store, numbers).await;
    let mut changes = store.outbox_changes();
    while !task.is_finished() && !store.outbox_pending(1).await.unwrap().is_empty() {
        let _ = tokio::time::timeout(Duration::from_millis(5), changes.changed()).await;
    }
    stop.cancel();
    let _ = task.await.unwrap();
}

/// The lives of a process, each with how many changes are made in it and what the recorder does.
fn lives() -> impl Strategy<Value = Vec<(u128, Vec<Fate>)>> {
    let fate = prop_oneof![4 => Just(Fate::Record), 1 => Just(Fate::Busy), 2 => Just(Fate::CutBefore), 2 => Just(Fate::CutAfter)];
    proptest::collection::vec((0_u128..5, proptest::collection::vec(fate, 0..6)), 1..5)
}

async fn live_through(base: Base, lives: Vec<(u128, Vec<Fate>)>) {
    let log = MemLog::new();
    let mut next = 1;
    for (count, fates) in lives {
        live(&base, &log, next..next + count, fates).await;
        next += count;
    }
    live(&base, &log, next..next + 1, vec![]).await;
    assert_eq!(log.event_ids(), ids(1..=next));
}

fn block_on(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn whatever_falls_between_two_steps_each_event_stands_in_the_log_once_and_in_order(lives in lives()) {
        block_on(live_through(Base::file(), lives));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn on_a_server_too_each_event_stands_in_the_log_once_and_in_order(lives in lives()) {
        block_on(async {
            if let Some(base) = Base::server().await {
                live_through(base, lives).await;
            }
        });
    }
}
