//! The timeline: everything from the log once, and found again.

use crate::fakes::{Base, MemLog, note, on_both};
use andon_model::Timestamp;
use andon_model::event::{Event, Note, SealedEvent, UserChange, What};
use andon_model::log::{FrameKind, Gap, Lane, Log, Seq, kind};
use andon_store::timeline::{READER, run_timeline};
use andon_store::{OutboxRepository, Store, TimelineFilter, TimelineRepository};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

on_both! {
    the_log_is_taken_over_once_however_often_the_reader_starts
    a_batch_that_comes_twice_is_taken_once_and_one_that_overlaps_adds_the_rest
    what_the_log_cannot_give_is_known_with_the_reason
    a_log_put_back_from_a_backup_makes_the_timeline_anew
    a_note_is_found_by_its_own_time_and_by_the_time_it_is_about
    finds_by_time_kind_place_and_page
}

fn sealed(seq: u64, event: Event) -> SealedEvent {
    SealedEvent { seq: Seq(seq), event, prev: "0".repeat(64), hash: "f".repeat(64) }
}

async fn found(store: &Store, filter: TimelineFilter) -> Vec<u64> {
    store.timeline_query(filter).await.unwrap().iter().map(|event| event.seq.0).collect()
}

/// Runs the reader until it has come as far as the log.
async fn fill(store: &Store, log: &Arc<MemLog>) {
    let stop = CancellationToken::new();
    let task = tokio::spawn(run_timeline(Arc::new(store.clone()), log.clone() as Arc<dyn Log>, stop.clone()));
    let caught_up = async {
        let mut changes = store.outbox_changes();
        while store.applied(READER, Lane::Records).await.unwrap() != log.durable_seq(Lane::Records) {
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), caught_up).await.unwrap();
    stop.cancel();
    task.await.unwrap().unwrap();
}

async fn the_log_is_taken_over_once_however_often_the_reader_starts(base: Base) {
    let (store, log) = (base.open().await, MemLog::new());
    let mut written = Vec::new();
    for number in 1..=8 {
        written.insert(0, (*log.put_event(note(number, "press"))).clone());
    }
    fill(&store, &log).await;
    written.insert(0, (*log.put_event(note(9, "press"))).clone());
    fill(&store, &log).await;
    fill(&store, &log).await;
    assert_eq!(store.timeline_query(TimelineFilter::default()).await.unwrap(), written);
    assert_eq!(log.snapshot(READER).unwrap().positions.records, Seq(9));
}

async fn a_batch_that_comes_twice_is_taken_once_and_one_that_overlaps_adds_the_rest(base: Base) {
    let store = base.open().await;
    let batch: Vec<_> = (1..=3).map(|n| sealed(n, note(u128::from(n), ""))).collect();
    for _ in 0..2 {
        store.timeline_apply(batch.clone(), vec![], Seq(3)).await.unwrap();
    }
    // The same event under another number of the log is shown once.
    let overlap = vec![batch[2].clone(), sealed(4, note(3, "")), sealed(5, note(5, ""))];
    store.timeline_apply(overlap, vec![], Seq(5)).await.unwrap();
    assert_eq!(found(&store, TimelineFilter::default()).await, [5, 3, 2, 1]);
}

async fn what_the_log_cannot_give_is_known_with_the_reason(base: Base) {
    let (store, log) = (base.open().await, MemLog::new());
    for number in 1..=4 {
        log.put_event(note(number, ""));
    }
    log.free(2);
    log.append(Lane::Records, kind::EVENT, b"{nonsense").unwrap();
    log.append(Lane::Records, FrameKind { kind: kind::EVENT.kind, version: 9 }, b"{}").unwrap();
    let gap = Gap { from: Seq(40), to: Seq(41), reason: "told by the log".into() };
    log.append(Lane::Records, kind::GAP, &serde_json::to_vec(&gap).unwrap()).unwrap();
    fill(&store, &log).await;
    assert_eq!(found(&store, TimelineFilter::default()).await, [4, 3]);
    let gaps = store.timeline_gaps().await.unwrap();
    let spans: Vec<_> = gaps.iter().map(|gap| (gap.from.0, gap.to.0)).collect();
    assert_eq!(spans, [(1, 2), (5, 5), (6, 6), (40, 41)]);
    assert!(gaps[2].reason.contains("version 9"), "{}", gaps[2].reason);
}

async fn a_log_put_back_from_a_backup_makes_the_timeline_anew(base: Base) {
    let (store, log) = (base.open().await, MemLog::new());
    for number in 1..=5 {
        log.put_event(note(number, ""));
    }
    fill(&store, &log).await;
    let older = MemLog::new();
    older.put_event(note(1, ""));
    fill(&store, &older).await;
    assert_eq!(found(&store, TimelineFilter::default()).await, [1]);
}

async fn a_note_is_found_by_its_own_time_and_by_the_time_it_is_about(base: Base) {
    let store = base.open().await;
    let ms = Timestamp::from_millis;
    let written = |about: u32| {
        let what = What::Note(Note { text: "belt changed".into(), until: None });
        Event { source_at: Some(ms(about.into())), what, ..note((100 + about).into(), "works/line1") }
    };
    let alarm_with_a_time_of_its_source = Event { source_at: Some(ms(10)), ..note(100, "works/line1") };
    let batch = vec![sealed(1, written(10)), sealed(2, alarm_with_a_time_of_its_source), sealed(3, written(20))];
    store.timeline_apply(batch, vec![], Seq(3)).await.unwrap();
    for (from, to, wanted) in [
        (Some(10), Some(11), vec![1]),
        (Some(10), Some(20), vec![1]),
        (None, Some(21), vec![3, 1]),
        (Some(100), None, vec![3, 2, 1]),
        (Some(21), Some(100), vec![]),
        (None, None, vec![3, 2, 1]),
    ] {
        let filter = TimelineFilter { from: from.map(ms), to: to.map(ms), ..TimelineFilter::default() };
        let found: Vec<_> = store.timeline_query(filter).await.unwrap().iter().map(|event| event.seq.0).collect();
        assert_eq!(found, wanted, "{from:?} {to:?}");
    }
}

async fn finds_by_time_kind_place_and_page(base: Base) {
    let store = base.open().await;
    let refused = UserChange { action: "login_refused".into(), subject: None, from: None, detail: None };
    let events = [
        note(1, ""),
        note(2, "works/line1"),
        note(3, "works/line1/filler"),
        note(4, "works/line10"),
        Event { what: What::User(refused), ..note(5, "works") },
    ];
    let batch = events.into_iter().zip(1..).map(|(event, seq)| sealed(seq, event)).collect();
    store.timeline_apply(batch, vec![], Seq(5)).await.unwrap();
    let all = TimelineFilter::default();
    let branches = |list: &[&str]| list.iter().map(|&branch| branch.into()).collect::<Vec<String>>();
    let ms = |ms| Some(Timestamp::from_millis(ms));
    for (wanted, filter) in [
        (vec![5, 4, 3, 2, 1], all.clone()),
        (vec![3, 2], TimelineFilter { from: ms(2), to: ms(4), ..all.clone() }),
        (vec![5], TimelineFilter { kinds: vec!["user".into()], ..all.clone() }),
        (vec![4, 3, 2, 1], TimelineFilter { kinds: vec!["system".into(), "alarm".into()], ..all.clone() }),
        (vec![3, 2], TimelineFilter { branches: branches(&["works/line1"]), ..all.clone() }),
        (vec![4, 3], TimelineFilter { branches: branches(&["works/line1/filler", "works/line10"]), ..all.clone() }),
        (
            vec![3],
            TimelineFilter {
                branches: branches(&["works/line1"]),
                path: Some("works/line1/filler".into()),
                ..all.clone()
            },
        ),
        (
            vec![],
            TimelineFilter { branches: branches(&["works/line10"]), path: Some("works/line1".into()), ..all.clone() },
        ),
        (vec![], TimelineFilter { branches: vec![], ..all.clone() }),
        (vec![], TimelineFilter { branches: branches(&["works/line1' OR 1=1 --", "%"]), ..all.clone() }),
        (vec![5, 4], TimelineFilter { limit: 2, ..all.clone() }),
        (vec![3, 2], TimelineFilter { before: Some(Seq(4)), limit: 2, ..all.clone() }),
    ] {
        assert_eq!(found(&store, filter.clone()).await, wanted, "{filter:?}");
    }
}
