//! A full disk, and what is freed when.

use crate::support::{KIND, dir, open_on, read_lane, tiny};
use andon_log::sim::{HandClock, MemDisk};
use andon_log::{
    AppendError, DurableLog, KeepPolicy, Lane, LaneRetention, Log, LogNotice, LogOptions, Positions, Seq, kind,
};
use andon_model::Timestamp;
use std::sync::Arc;
use std::time::Duration;

fn drain(receiver: &mut andon_log::NoticeReceiver) -> Vec<LogNotice> {
    std::iter::from_fn(|| receiver.try_recv().ok()).collect()
}

/// Appends frames of 200 bytes until the lane refuses; how many it took.
fn fill(log: &DurableLog, lane: Lane) -> (usize, AppendError) {
    for taken in 0..10_000 {
        if let Err(reason) = log.append(lane, KIND, &[5; 200]) {
            return (taken, reason);
        }
        log.step();
    }
    panic!("the disk never got full");
}

#[tokio::test]
async fn on_a_full_disk_records_go_on_in_their_reserve_and_the_others_are_refused_until_there_is_space() {
    let disk = MemDisk::new();
    let options = LogOptions { records_reserve_bytes: 3 * 4096, ..tiny() };
    let (log, _) = open_on(Arc::new(disk.clone()), options).unwrap();
    let mut notices = log.notices();
    log.step();
    disk.set_space(Some(disk.used() + 6000));

    let (_, reason) = fill(&log, Lane::Samples);
    assert_eq!(reason, AppendError::DiskFull { lane: Lane::Samples });
    let stuck = log.durable_seq(Lane::Samples).next();
    assert_eq!(log.durable(Lane::Samples, stuck).await, Err(AppendError::DiskFull { lane: Lane::Samples }));
    assert_eq!(log.ready(Lane::Samples).await, Err(AppendError::DiskFull { lane: Lane::Samples }));
    let said = drain(&mut notices);
    assert!(said.contains(&LogNotice::DiskFull { lane: Lane::Samples, refusing: true }), "{said:?}");

    let (taken, reason) = fill(&log, Lane::Records);
    assert!(taken >= 3 * 4096 / 300, "the reserve carried only {taken} records");
    assert_eq!(reason, AppendError::DiskFull { lane: Lane::Records });
    let said = drain(&mut notices);
    assert!(said.contains(&LogNotice::ReserveInUse { segments_left: 0 }), "{said:?}");

    disk.set_space(None);
    log.step();
    assert_eq!(log.durable(Lane::Samples, stuck).await, Ok(()), "the pending frame kept its number and is durable now");
    assert_eq!(log.append(Lane::Samples, KIND, b"on"), Ok(stuck.next()));
    log.step();
    assert_eq!(log.stats().lanes[0].reserve_segments, 3, "the reserve is made whole again");
    assert!(drain(&mut notices).contains(&LogNotice::SpaceAgain { lane: Lane::Samples }));
    assert_eq!(read_lane(&log, Lane::Samples).0.len() as u64, log.durable_seq(Lane::Samples).0);
}

#[test]
fn a_log_on_a_full_disk_opens_and_serves() {
    let disk = MemDisk::new();
    let (log, _) = open_on(Arc::new(disk.clone()), tiny()).unwrap();
    log.append(Lane::Messages, KIND, b"x").unwrap();
    log.step();
    log.close();
    disk.set_space(Some(disk.used() + 200));
    let (log, _) = open_on(Arc::new(disk), tiny()).unwrap();
    assert_eq!(read_lane(&log, Lane::Messages).0.len(), 1);
}

fn positions(samples: u64) -> Positions {
    Positions { samples: Seq(samples), ..Positions::default() }
}

fn append_many(log: &DurableLog, lane: Lane, count: usize) {
    for _ in 0..count {
        log.append(lane, KIND, &[1; 200]).unwrap();
        log.step();
    }
}

#[test]
fn samples_are_freed_behind_the_slowest_reader_and_not_before() {
    let disk = MemDisk::new();
    let (log, _) = open_on(Arc::new(disk.clone()), tiny()).unwrap();
    log.register_reader("fast", &[Lane::Samples]).unwrap();
    log.register_reader("slow", &[Lane::Samples]).unwrap();
    log.register_reader("elsewhere", &[Lane::Records]).unwrap();
    append_many(&log, Lane::Samples, 100);
    log.save_snapshot("fast", positions(100), b"").unwrap();
    log.step();
    assert_eq!(log.first_seq(Lane::Samples), Seq(1));
    log.save_snapshot("slow", positions(50), b"").unwrap();
    log.step();
    let first = log.first_seq(Lane::Samples);
    assert!(first > Seq(20) && first <= Seq(51), "{first:?}");

    // A second snapshot frees only behind the former one, which may be needed if the new one is damaged.
    log.save_snapshot("slow", positions(100), b"").unwrap();
    log.step();
    assert!(log.first_seq(Lane::Samples) <= Seq(51));
    log.save_snapshot("slow", positions(100), b"").unwrap();
    log.step();
    assert!(log.first_seq(Lane::Samples) > Seq(51));

    // Over a restart the readers are still known before they register again.
    append_many(&log, Lane::Samples, 50);
    log.close();
    let (log, _) = open_on(Arc::new(disk), tiny()).unwrap();
    log.save_snapshot("fast", positions(150), b"").unwrap();
    log.save_snapshot("fast", positions(150), b"").unwrap();
    log.step();
    assert!(log.first_seq(Lane::Samples) <= Seq(101), "\"slow\" still needs 101");
    log.forget_reader("slow").unwrap();
    log.step();
    assert!(log.first_seq(Lane::Samples) > Seq(101));
}

#[test]
fn a_lane_without_readers_is_kept() {
    let (log, _) = open_on(Arc::new(MemDisk::new()), tiny()).unwrap();
    append_many(&log, Lane::Samples, 100);
    assert_eq!(log.first_seq(Lane::Samples), Seq(1));
}

#[test]
fn a_reader_behind_the_limit_gets_a_gap_a_notice_once_and_a_gap_record() {
    let limit =
        LaneRetention { max_bytes: Some(16 << 10), max_age: None, keep: KeepPolicy::UntilRead, held_bytes: None };
    let mut options = tiny();
    options.retention[2] = limit;
    let (log, _) = open_on(Arc::new(MemDisk::new()), options).unwrap();
    let mut notices = log.notices();
    log.register_reader("slow", &[Lane::Samples]).unwrap();
    log.save_snapshot("slow", positions(3), b"").unwrap();
    append_many(&log, Lane::Samples, 150);
    assert!(log.stats().lanes[2].bytes_on_disk <= 20 << 10);
    let batch = log.read(Lane::Samples, Seq(4), 1000).unwrap();
    let first = log.first_seq(Lane::Samples);
    assert_eq!((batch.gaps[0].from, batch.gaps[0].to), (Seq(4), Seq(first.0 - 1)));
    assert_eq!(batch.frames[0].seq, first, "the rest is served");
    let said = drain(&mut notices);
    assert!(
        matches!(&said[..], [LogNotice::ReaderGap { reader, gap, .. }] if reader == "slow" && gap.from == Seq(4)),
        "{said:?}"
    );
    assert!(log.stats().lanes[2].frames > 150, "the gap record");
}

#[test]
fn a_gap_record_is_read_like_any_frame() {
    let mut options = tiny();
    options.retention[2].max_bytes = Some(8 << 10);
    let (log, _) = open_on(Arc::new(MemDisk::new()), options).unwrap();
    log.register_reader("slow", &[Lane::Samples]).unwrap();
    while log.read(Lane::Samples, Seq(1), 1).unwrap().gaps.is_empty() {
        append_many(&log, Lane::Samples, 1);
    }
    log.step();
    let (frames, _) = read_lane(&log, Lane::Samples);
    let record = frames.iter().find(|frame| frame.kind == kind::GAP).unwrap();
    let gap: andon_log::Gap = serde_json::from_slice(&record.payload).unwrap();
    assert_eq!(gap.from, Seq(1));
    assert!(gap.reason.contains("slow"), "{}", gap.reason);
}

#[test]
fn messages_are_kept_by_age_even_when_read() {
    let mut options = tiny();
    options.retention[1] = LaneRetention {
        max_bytes: None,
        max_age: Some(Duration::from_secs(3600)),
        keep: KeepPolicy::ByRetention,
        held_bytes: None,
    };
    let clock = Arc::new(HandClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let (log, _) =
        DurableLog::open(dir(), crate::support::NODE, options, Arc::new(MemDisk::new()), clock.clone()).unwrap();
    log.register_reader("sessions", &[Lane::Messages]).unwrap();
    append_many(&log, Lane::Messages, 60);
    log.save_snapshot("sessions", Positions { messages: Seq(60), ..Positions::default() }, b"").unwrap();
    clock.advance(Duration::from_secs(3590));
    log.step();
    assert_eq!(log.first_seq(Lane::Messages), Seq(1));
    clock.advance(Duration::from_secs(20));
    log.step();
    assert!(log.first_seq(Lane::Messages) > Seq(30));
    // The clock may step back; nothing is freed for it, and nothing breaks.
    clock.set(Timestamp::from_millis(0));
    append_many(&log, Lane::Messages, 60);
    assert_eq!(log.durable_seq(Lane::Messages), Seq(120));
}

#[test]
fn what_a_reader_needs_is_held_beyond_the_limits_until_there_is_too_much() {
    let mut options = tiny();
    options.retention[1] = LaneRetention {
        max_bytes: Some(8 << 10),
        max_age: Some(Duration::from_secs(3600)),
        keep: KeepPolicy::ByRetention,
        held_bytes: Some(32 << 10),
    };
    let clock = Arc::new(HandClock::new(Timestamp::from_millis(1_800_000_000_000)));
    let (log, _) =
        DurableLog::open(dir(), crate::support::NODE, options, Arc::new(MemDisk::new()), clock.clone()).unwrap();
    let at = |messages| Positions { messages: Seq(messages), ..Positions::default() };
    let bytes = || log.stats().lanes[1].bytes_on_disk;
    log.register_reader("queues", &[Lane::Messages]).unwrap();
    while bytes() < 20 << 10 {
        append_many(&log, Lane::Messages, 10);
    }
    clock.advance(Duration::from_secs(4000));
    log.step();
    assert_eq!((log.first_seq(Lane::Messages), log.pressed(Lane::Messages)), (Seq(1), Seq(0)), "over both limits");

    // What is needed no more goes, down to the limit.
    let half = log.durable_seq(Lane::Messages).0 / 2;
    (0..2).for_each(|_| log.save_snapshot("queues", at(half), b"").unwrap());
    log.step();
    let first = log.first_seq(Lane::Messages);
    assert!(first > Seq(1) && first <= Seq(half + 1), "{first:?}");

    // Near the limit for what is held it is told what has to go next: what lies in the older half.
    while log.pressed(Lane::Messages) == Seq(0) {
        append_many(&log, Lane::Messages, 10);
    }
    let pressed = log.pressed(Lane::Messages);
    assert!(bytes() > 24 << 10 && bytes() <= 32 << 10, "{}", bytes());
    assert!(pressed > first && pressed < log.durable_seq(Lane::Messages), "{pressed:?}");
    assert_eq!(log.first_seq(Lane::Messages), first, "nothing is freed yet");
    (0..2).for_each(|_| log.save_snapshot("queues", at(pressed.0), b"").unwrap());
    log.step();
    assert!(log.first_seq(Lane::Messages) > first);
    assert!(log.first_seq(Lane::Messages).0 <= pressed.0 + 1);

    // A reader that does not listen loses, and is told.
    let mut notices = log.notices();
    append_many(&log, Lane::Messages, 300);
    assert!(bytes() <= 36 << 10, "{}", bytes());
    assert!(log.first_seq(Lane::Messages).0 > pressed.0 + 1);
    let said = drain(&mut notices);
    assert!(
        said.iter().any(|notice| matches!(notice, LogNotice::ReaderGap { reader, .. } if reader == "queues")),
        "{said:?}"
    );
}
