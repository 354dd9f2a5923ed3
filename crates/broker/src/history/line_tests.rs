//! The line of kept messages, with a disk that fails and a lane that has most of it.

use super::tests::{all, at, keep, message, query, with, write};
use super::*;
use crate::frames::{Op, Published, SessionNo};
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::SystemClock;
use andon_model::log::Lane;
use andon_wire::mqtt::{QoS, TopicName};
use bytes::{Bytes, BytesMut};
use std::fs::File;

const BYTES: u64 = 64 << 20;

fn offer(history: &History, numbers: std::ops::RangeInclusive<u64>) {
    numbers.for_each(|n| history.offer(Seq(n), keep(BYTES), &message("a", n, n as i64)));
}

/// Has another file in the place of the one that is written; that one.
fn swap(history: &History, file: Arc<File>) -> Arc<File> {
    lock(&history.stores).values_mut().next().unwrap().swap_file(file).unwrap()
}

/// A file that takes everything and cannot be synced.
fn unsynced() -> Arc<File> {
    let file = File::options().read(true).write(true).open("/dev/null").unwrap();
    assert!(file.sync_data().is_err());
    Arc::new(file)
}

/// A file that takes nothing.
fn full() -> Arc<File> {
    Arc::new(File::options().read(true).write(true).open("/dev/full").unwrap())
}

fn write_unsynced(history: &History, now: Timestamp) {
    let Taken { waiting, lost, last_no } = history.take();
    history.write(waiting.into(), lost, last_no, false, now);
}

/// Whether it says that all is synced, while somebody writes.
async fn settled(history: &History) -> bool {
    tokio::join!(history.settled(), async { write(history, at(10)) }).0
}

#[tokio::test]
async fn a_sync_that_failed_is_none_and_the_next_one_writes_again_what_it_was_to_bring() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), BYTES, at(0));
    offer(&history, 1..=5);
    assert!(settled(&history).await);
    offer(&history, 6..=10);
    write_unsynced(&history, at(10));
    let file = swap(&history, unsynced());
    assert!(!settled(&history).await);
    history.sync_wanted.store(false, Ordering::Release);
    write(&history, at(10));
    assert!(history.sync_wanted.load(Ordering::Acquire), "it is tried again before long");
    swap(&history, file.clone());
    // What the disk lost meanwhile is not taken for synced by a sync that works.
    let size = file.metadata().unwrap().len();
    std::os::unix::fs::FileExt::write_all_at(&*file, b"?", size - 100).unwrap();
    assert!(!settled(&history).await);
    std::os::unix::fs::FileExt::write_all_at(&*file, b"x", size - 100).unwrap();
    assert!(settled(&history).await);
    assert_eq!(all(&history, query("a")).0, (1..=10).collect::<Vec<_>>());
}

#[test]
fn what_the_disk_does_not_give_is_missing_and_ends_no_page() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), BYTES, at(0));
    offer(&history, 1..=3);
    write(&history, at(5));
    // One that can only be written.
    let file = swap(&history, Arc::new(File::options().write(true).open("/dev/null").unwrap()));
    let page = history.page(&HistoryQuery { from: at(0), ..query("a") }).unwrap();
    assert!(page.messages.is_empty() && page.end);
    assert_eq!(
        page.missing.iter().map(|m| (m.messages, m.why.as_str())).collect::<Vec<_>>(),
        [(Some(1), "damaged on the disk"); 3]
    );
    swap(&history, file);
    assert_eq!(all(&history, query("a")).0, [1, 2, 3]);
}

#[test]
fn a_file_that_cannot_be_finished_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), BYTES, at(0));
    offer(&history, 1..=5);
    write_unsynced(&history, at(5));
    let file = swap(&history, unsynced());
    history.keep_house(at(600), Duration::ZERO);
    swap(&history, file);
    assert_eq!(all(&history, query("a")).0, [1, 2, 3, 4, 5]);
    history.keep_house(at(600), Duration::ZERO);
    offer(&history, 6..=6);
    write(&history, at(600));
    assert_eq!(all(&history, query("a")).0, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_file_that_cannot_be_finished_does_not_keep_old_ones_from_going() {
    let folder = tempfile::tempdir().unwrap();
    let bound = 1 << 20;
    let history = with(folder.path(), bound, at(0));
    for n in 1..=2000 {
        history.offer(Seq(n), keep(bound), &message("a", n, 1));
        if n % 50 == 0 {
            write_unsynced(&history, at(1));
        }
    }
    assert!(history.figures().bytes > bound);
    let file = swap(&history, unsynced());
    history.keep_house(at(600), Duration::ZERO);
    swap(&history, file);
    assert!(history.figures().bytes <= bound, "{:?}", history.figures());
    assert_eq!(all(&history, query("a")).0.last(), Some(&2000));
}

#[test]
fn what_could_not_be_written_is_counted_once_however_often_that_fails() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), BYTES, at(0));
    offer(&history, 1..=1);
    write(&history, at(1));
    let file = swap(&history, full());
    offer(&history, 2..=4);
    write_unsynced(&history, at(4));
    offer(&history, 5..=6);
    write_unsynced(&history, at(6));
    write_unsynced(&history, at(7));
    assert_eq!(history.figures().lost, 5);
    swap(&history, file);
    offer(&history, 7..=7);
    write(&history, at(8));
    let (numbers, missing) = all(&history, HistoryQuery { from: at(0), ..query("a") });
    assert_eq!((numbers, history.figures().lost), (vec![1, 7], 5));
    assert_eq!(missing.iter().map(|missing| missing.messages).collect::<Vec<_>>(), [Some(5)]);
}

#[tokio::test]
async fn what_is_in_the_lane_alone_is_read_in_parts() {
    let folder = tempfile::tempdir().unwrap();
    let id = uuid::Uuid::from_u128(1);
    let (disk, clock) = (Arc::new(OsDisk), Arc::new(SystemClock));
    let log = DurableLog::open(&folder.path().join("log"), id, LogOptions::default(), disk, clock).unwrap().0;
    let history = with(&folder.path().join("kept"), 256 << 20, at(0));
    for n in 1..=40_u64 {
        let payload = Bytes::from(format!("{n:08}{}", "x".repeat(1 << 20)));
        let topic = TopicName::parse("a").unwrap();
        let message = Arc::new(Message::internal(topic, payload, QoS::AtLeastOnce, false, at(1)));
        let (publisher, will_of) = (SessionNo::NODE, SessionNo::NODE);
        let mut frame = BytesMut::new();
        let kind =
            Op::Publish(Published { message: message.clone(), publisher, packet_id: 0, will_of }).encode(&mut frame);
        let seq = log.append(Lane::Messages, kind, &frame).unwrap();
        log.durable(Lane::Messages, seq).await.unwrap();
        history.offer(seq, keep(256 << 20), &message);
    }
    let Taken { mut waiting, .. } = history.take();
    let in_lane = waiting.iter().filter(|one| one.message.is_none()).count();
    assert!(in_lane > 30, "{in_lane}");
    let mut parts = Vec::new();
    while !waiting.is_empty() {
        let part = history.next_part(&*log, &mut waiting);
        assert!(part.iter().all(|one| one.message.is_some()));
        parts.push(part.iter().map(|one| one.no).collect::<Vec<_>>());
    }
    assert_eq!(parts.concat(), (1..=40).collect::<Vec<_>>());
    // Those in the line, and at the most as much again and one more from the lane.
    assert!(parts.iter().all(|part| part.len() <= 7 + 9), "{parts:?}");
    log.close();
}
