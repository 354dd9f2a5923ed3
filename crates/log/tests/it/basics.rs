//! What every caller relies on, on the operating system's disk.

use crate::support::{KIND, NODE};
use andon_log::{AppendError, DurableLog, Lane, Log, LogOptions, OpenError, OpenReport, OsDisk, Positions, Seq};
use andon_model::SystemClock;
use std::path::Path;
use std::sync::Arc;

fn open(dir: &Path, options: LogOptions) -> (Arc<DurableLog>, OpenReport) {
    DurableLog::open(dir, NODE, options, Arc::new(OsDisk), Arc::new(SystemClock)).unwrap()
}

pub fn read_all(log: &DurableLog, lane: Lane) -> (Vec<(u64, Vec<u8>)>, Vec<andon_log::Gap>) {
    let (mut frames, mut gaps, mut next) = (Vec::new(), Vec::new(), Seq(1));
    while next <= log.durable_seq(lane) {
        let batch = log.read(lane, next, 10_000).unwrap();
        assert!(batch.next > next, "reading must come on");
        next = batch.next;
        frames.extend(batch.frames.into_iter().map(|frame| (frame.seq.0, frame.payload.to_vec())));
        gaps.extend(batch.gaps);
    }
    (frames, gaps)
}

#[tokio::test]
async fn what_is_durable_is_read_and_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let (log, report) = open(dir.path(), LogOptions::small());
    assert_eq!(report.epoch, 1);
    for lane in Lane::ALL {
        for number in 1..=500_u64 {
            assert_eq!(log.append(lane, KIND, &number.to_le_bytes()), Ok(Seq(number)));
        }
        log.durable(lane, Seq(500)).await.unwrap();
        assert_eq!(log.durable_seq(lane), Seq(500));
    }
    let expected: Vec<_> = (1..=500_u64).map(|n| (n, n.to_le_bytes().to_vec())).collect();
    assert_eq!(read_all(&log, Lane::Samples), (expected.clone(), vec![]));
    log.close();
    assert_eq!(log.append(Lane::Samples, KIND, b"late"), Err(AppendError::Closed));

    let (log, report) = open(dir.path(), LogOptions { tail_bytes: 0, ..LogOptions::small() });
    assert_eq!((report.epoch, report.notices.len(), report.notes.len()), (2, 0, 0));
    for lane in Lane::ALL {
        assert_eq!(read_all(&log, lane), (expected.clone(), vec![]));
        assert_eq!(log.append(lane, KIND, b"next"), Ok(Seq(501)));
        log.durable(lane, Seq(501)).await.unwrap();
        let frame = log.read(lane, Seq(501), 1).unwrap().frames.remove(0);
        assert_eq!((frame.epoch, frame.node, &frame.payload[..]), (2, NODE, &b"next"[..]));
    }
}

#[tokio::test]
async fn frames_span_many_segments_and_a_frame_may_be_larger_than_a_segment() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { segment_bytes: 4096, first_segment_bytes: 1024, tail_bytes: 0, ..LogOptions::small() };
    let (log, _) = open(dir.path(), options.clone());
    let payload =
        |n: u64| vec![u8::try_from(n % 251).unwrap(); if n == 70 { 100_000 } else { usize::try_from(n).unwrap() * 7 }];
    for number in 1..=200 {
        log.append(Lane::Messages, KIND, &payload(number)).unwrap();
    }
    log.durable(Lane::Messages, Seq(200)).await.unwrap();
    assert!(log.stats().lanes[1].segments > 10);
    let expected: Vec<_> = (1..=200).map(|n| (n, payload(n))).collect();
    assert_eq!(read_all(&log, Lane::Messages).0, expected);
    drop(log);
    let (log, _) = open(dir.path(), options);
    assert_eq!(read_all(&log, Lane::Messages), (expected, vec![]));
    // From the middle, too.
    assert_eq!(log.read(Lane::Messages, Seq(137), 1).unwrap().frames[0].payload, payload(137));
}

#[tokio::test]
async fn a_snapshot_comes_back_and_its_former_one_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), LogOptions::small());
    assert_eq!(log.load_snapshot("bus.last-values").unwrap(), None);
    log.register_reader("bus.last-values", &[Lane::Samples]).unwrap();
    let positions = |n| Positions { samples: Seq(n), ..Positions::default() };
    log.save_snapshot("bus.last-values", positions(1), b"one").unwrap();
    log.save_snapshot("bus.last-values", positions(2), b"two").unwrap();
    assert!(log.save_snapshot("No/Such", positions(1), b"").is_err());
    drop(log);
    let (log, _) = open(dir.path(), LogOptions::small());
    let found = log.load_snapshot("bus.last-values").unwrap().unwrap();
    assert_eq!((found.positions, &found.state[..]), (positions(2), &b"two"[..]));
    let path = dir.path().join("snapshots/bus.last-values");
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut notices = log.notices();
    let found = log.load_snapshot("bus.last-values").unwrap().unwrap();
    assert_eq!((found.positions, &found.state[..]), (positions(1), &b"one"[..]));
    assert!(matches!(notices.try_recv(), Ok(andon_log::LogNotice::SnapshotUnusable { .. })));
}

#[test]
fn half_a_snapshot_of_a_killed_process_is_gone_after_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), LogOptions::small());
    log.save_snapshot("alarms", Positions::default(), b"one").unwrap();
    drop(log);
    let half = dir.path().join("snapshots/alarms~new");
    std::fs::write(&half, b"hal").unwrap();
    let (log, _) = open(dir.path(), LogOptions::small());
    assert!(!half.exists());
    assert_eq!(&log.load_snapshot("alarms").unwrap().unwrap().state[..], b"one");
}

#[test]
fn a_log_in_use_and_a_log_of_another_node_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), LogOptions::small());
    let again = |node| {
        DurableLog::open(dir.path(), node, LogOptions::small(), Arc::new(OsDisk), Arc::new(SystemClock)).map(|_| ())
    };
    assert!(matches!(again(NODE), Err(OpenError::InUse { .. })));
    log.close();
    assert!(matches!(again(uuid::Uuid::from_u128(1)), Err(OpenError::OtherNode { found: NODE, .. })));
    again(NODE).unwrap();
}

#[tokio::test]
async fn a_busy_lane_pushes_back_and_says_when_it_has_room() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { max_pending_bytes: 2000, background: false, ..LogOptions::small() };
    let (log, _) = open(dir.path(), options);
    log.append(Lane::Samples, KIND, &[1; 1500]).unwrap();
    assert!(matches!(log.append(Lane::Samples, KIND, &[2; 500]), Err(AppendError::Busy { pending_bytes: 1544, .. })));
    let ready = tokio::spawn(log.ready(Lane::Samples));
    tokio::task::yield_now().await;
    assert!(!ready.is_finished());
    log.step();
    ready.await.unwrap().unwrap();
    assert_eq!(log.append(Lane::Samples, KIND, &[2; 500]), Ok(Seq(2)));
    let limit = LogOptions::default().max_frame_bytes;
    assert!(matches!(log.append(Lane::Samples, KIND, &vec![0; limit + 1]), Err(AppendError::TooLarge { .. })));
}

#[tokio::test]
async fn ready_waits_for_room_for_the_frame_that_found_none() {
    let dir = tempfile::tempdir().unwrap();
    let options = LogOptions { max_pending_bytes: 4000, background: false, ..LogOptions::small() };
    let (log, _) = open(dir.path(), options);
    log.append(Lane::Samples, KIND, &[1; 1000]).unwrap();
    assert!(matches!(log.append(Lane::Samples, KIND, &[2; 3500]), Err(AppendError::Busy { .. })));
    let ready = tokio::spawn(log.ready(Lane::Samples));
    tokio::task::yield_now().await;
    assert!(!ready.is_finished(), "1,044 bytes are below half, but 3,544 more do not fit");
    log.step();
    ready.await.unwrap().unwrap();
    log.append(Lane::Samples, KIND, &[2; 3500]).unwrap();
}

#[test]
fn a_damaged_snapshot_does_not_push_out_the_former_one() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path(), LogOptions::small());
    for state in [b"one", b"two"] {
        log.save_snapshot("alarms", Positions::default(), state).unwrap();
    }
    let path = dir.path().join("snapshots/alarms");
    std::fs::write(&path, b"rubbish").unwrap();
    assert_eq!(&log.load_snapshot("alarms").unwrap().unwrap().state[..], b"one");
    log.save_snapshot("alarms", Positions::default(), b"three").unwrap();
    std::fs::write(&path, b"rubbish").unwrap();
    assert_eq!(&log.load_snapshot("alarms").unwrap().unwrap().state[..], b"one");
    std::fs::write(dir.path().join("snapshots/alarms~"), b"rubbish").unwrap();
    assert!(matches!(log.load_snapshot("alarms"), Err(andon_log::SnapshotError::Unusable { .. })));
}
