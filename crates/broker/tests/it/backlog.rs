//! Messages that wait long: in the log, not in memory, and there when their turn comes.

use crate::harness::*;
use crate::moody_log::MoodyLog;
use andon_broker::*;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::SystemClock;
use andon_model::log::*;
use andon_wire::mqtt::*;
use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use uuid::Uuid;

/// More than a queue's front holds.
const MANY: usize = 9_000;

/// A content that tells its number and fills some bytes.
fn content(n: usize) -> String {
    format!("{n:06}{}", "x".repeat(n % 300))
}

fn number_of(publish: &Publish) -> usize {
    let text = std::str::from_utf8(&publish.payload).unwrap();
    let n = text[..6].parse().unwrap();
    assert_eq!(text, content(n), "whole");
    n
}

/// Publishes these with QoS 1 and 2 in turn and waits for every answer.
async fn publish_all(speaker: &mut Client, numbers: std::ops::Range<usize>) {
    for group in numbers.collect::<Vec<_>>().chunks(200) {
        for (n, id) in group.iter().zip(1..) {
            let qos = if n % 2 == 0 { QoS::AtLeastOnce } else { QoS::ExactlyOnce };
            speaker.send(Packet::Publish(publish(&format!("a/{}", n % 7), &content(*n), qos, id))).await;
        }
        let mut open = group.len();
        while open > 0 {
            match speaker.next().await {
                Packet::PubAck(ack) | Packet::PubComp(ack) => {
                    assert_eq!(ack.reason, ReasonCode::SUCCESS);
                    open -= 1;
                }
                Packet::PubRec(ack) => speaker.send(Packet::PubRel(Ack::new(ack.packet_id, ack.reason))).await,
                other => panic!("{other:?}"),
            }
        }
    }
}

/// A subscriber that keeps its half of the exchanges over connections.
#[derive(Default)]
struct Receiver {
    got: Vec<usize>,
    /// QoS 2: PUBREC was said, PUBREL has not come.
    begun: HashSet<u16>,
}

impl Receiver {
    /// Takes and answers until so many came, and until no exchange is open if that is asked for.
    async fn take(&mut self, client: &mut Client, count: usize, settled: bool) {
        while self.got.len() < count || (settled && !self.begun.is_empty()) {
            match client.next().await {
                Packet::Publish(publish) if publish.qos == QoS::ExactlyOnce => {
                    if self.begun.insert(publish.packet_id) {
                        self.got.push(number_of(&publish));
                    }
                    client.send(Packet::PubRec(Ack::new(publish.packet_id, ReasonCode::SUCCESS))).await;
                }
                Packet::Publish(publish) => {
                    // At least once: it may have been answered and come again.
                    let n = number_of(&publish);
                    if !(publish.dup && self.got.contains(&n)) {
                        self.got.push(n);
                    }
                    client.ack(&publish).await;
                }
                Packet::PubRel(ack) => {
                    self.begun.remove(&ack.packet_id);
                    client.send(Packet::PubComp(Ack::new(ack.packet_id, ReasonCode::SUCCESS))).await;
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

/// Takes so many messages with every answer due.
async fn take(listener: &mut Client, count: usize) -> Vec<usize> {
    let mut receiver = Receiver::default();
    receiver.take(listener, count, true).await;
    receiver.got
}

#[tokio::test]
async fn what_waits_long_comes_whole_and_in_order_over_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let options = || BrokerOptions { snapshot_bytes: 200 << 10, ..BrokerOptions::default() };
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), options()).await;
    for name in ["listener", "other"] {
        let mut listener = site.client(lasting(name)).await;
        listener.subscribe("a/+", QoS::ExactlyOnce).await;
        listener.leave().await;
    }
    let mut speaker = site.client(hello("speaker")).await;
    publish_all(&mut speaker, 0..MANY / 2).await;
    site.stop().await;
    log.close();

    // Saved in a snapshot; then more, which are in no snapshot, and a listener that took a part and was cut off.
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), options()).await;
    let mut speaker = site.client(hello("speaker")).await;
    publish_all(&mut speaker, MANY / 2..MANY).await;
    let mut listener = site.again(lasting("listener")).await;
    let mut receiver = Receiver::default();
    receiver.take(&mut listener, 1_000, false).await;
    drop(listener);
    site.until_away("listener").await;
    log.close();
    site.abandon();

    let site = Site::on(open_log(folder.path()), options()).await;
    let mut listener = site.again(lasting("listener")).await;
    receiver.take(&mut listener, MANY, true).await;
    assert_eq!(receiver.got, (0..MANY).collect::<Vec<_>>());
    listener.expect_nothing().await;
    let mut other = site.again(lasting("other")).await;
    assert_eq!(take(&mut other, MANY).await, (0..MANY).collect::<Vec<_>>());
    other.expect_nothing().await;
    until(|| site.broker.stats().queued == 0).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_stops_reading_catches_up_from_the_log_and_holds_up_nobody() {
    let (_folder, site) = Site::with(BrokerOptions { outbox_bytes: 32 << 10, ..BrokerOptions::default() }).await;
    for connect in [hello("stalled"), lasting("stalled for an hour")] {
        let mut stalled = site.client(connect).await;
        stalled.subscribe("a/+", QoS::AtLeastOnce).await;
        let mut here = site.client(hello("here")).await;
        here.subscribe("a/+", QoS::ExactlyOnce).await;
        let mut speaker = site.client(hello("speaker")).await;
        for from in (0..MANY).step_by(500) {
            publish_all(&mut speaker, from..from + 500).await;
            assert_eq!(take(&mut here, 500).await, (from..from + 500).collect::<Vec<_>>());
        }
        assert_eq!(take(&mut stalled, MANY).await, (0..MANY).collect::<Vec<_>>());
        stalled.expect_nothing().await;
        stalled.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn of_what_waits_in_the_log_the_client_gets_nothing_to_which_it_lost_the_right() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("#", QoS::ExactlyOnce).await;
    listener.leave().await;
    let mut speaker = site.client(hello("speaker")).await;
    // Its first messages are in memory, and what has their topics is known there; the others are in the log alone.
    publish_all(&mut speaker, 0..1_000).await;
    for n in 1_000..1_200 {
        let topic = if n % 2 == 0 { "late/a" } else { "late/b" };
        assert_eq!(speaker.publish_1(topic, &content(n)).await, ReasonCode::SUCCESS);
    }
    site.hooks.lost.lock().unwrap().extend(["a/3", "late/b"]);
    let mut listener = site.again(lasting("listener")).await;
    let allowed: Vec<_> = (0..1_200).filter(|n| if *n < 1_000 { n % 7 != 3 } else { n % 2 == 0 }).collect();
    assert_eq!(take(&mut listener, allowed.len()).await, allowed);
    until(|| site.broker.stats().queued == 0).await;
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn what_the_disk_damaged_is_told_and_what_it_cannot_give_just_now_comes_later() {
    let folder = tempfile::tempdir().unwrap();
    let log = MoodyLog::over(open_log(folder.path()));
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a/+", QoS::AtLeastOnce).await;
    listener.leave().await;
    let mut speaker = site.client(hello("speaker")).await;
    let first = log.durable_seq(Lane::Messages).0 + 1;
    for n in 0..300 {
        speaker.publish_1("a/0", &content(n)).await;
    }
    log.unreadable.store(true, Ordering::Relaxed);
    let mut listener = site.again(lasting("listener")).await;
    // What is in memory comes; then the connection ends, and nothing is lost.
    let mut before = Vec::new();
    let reason = loop {
        match listener.next().await {
            Packet::Publish(publish) => before.push(number_of(&publish)),
            Packet::Disconnect(disconnect) => break disconnect.reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reason, ReasonCode::UNSPECIFIED);
    assert!(before.len() < 200, "{}", before.len());
    log.unreadable.store(false, Ordering::Relaxed);
    // Numbers 250 to 252, and a session's operation somewhere before shifts none of them.
    let at = |n: u64| frame_of(&log, first, n);
    let range = at(250)..at(252) + 1;
    log.damaged.lock().unwrap().push(range);
    site.until_away("listener").await;
    let mut listener = site.again(lasting("listener")).await;
    let wanted: Vec<_> = (0..300).filter(|n| !(250..253).contains(n)).collect();
    assert_eq!(take(&mut listener, wanted.len()).await, wanted);
    listener.expect_nothing().await;
    until(|| site.broker.stats().queued == 0).await;
    let drops = site.hooks.drops.lock().unwrap().clone();
    assert_eq!(drops.len(), 1, "{drops:?}");
    assert_eq!(
        (drops[0].client_id.as_str(), drops[0].reason, drops[0].dropped),
        ("listener", DropReason::Unreadable, 3)
    );
    site.stop().await;
}

/// The number in the lane of the message with that content.
fn frame_of(log: &MoodyLog, first: u64, n: u64) -> u64 {
    let mut from = Seq(first);
    loop {
        let batch = log.read(Lane::Messages, from, 1 << 20).unwrap();
        let wanted = content(usize::try_from(n).unwrap());
        let holds = |frame: &Frame| frame.kind.kind == kind::PUBLISH.kind && frame.payload.ends_with(wanted.as_bytes());
        if let Some(frame) = batch.frames.iter().find(|frame| holds(frame)) {
            return frame.seq.0;
        }
        assert!(batch.next > from, "it is there");
        from = batch.next;
    }
}

/// A log whose messages lane has room for little.
fn tight_log(folder: &Path) -> Arc<DurableLog> {
    let mut options = LogOptions { segment_bytes: 64 << 10, ..LogOptions::small() };
    let messages = options.retention.get_mut(Lane::Messages as usize).unwrap();
    (messages.max_bytes, messages.held_bytes) = (Some(256 << 10), Some(512 << 10));
    DurableLog::open(folder, Uuid::from_u128(1), options, Arc::new(OsDisk), Arc::new(SystemClock)).unwrap().0
}

#[tokio::test]
async fn what_the_log_must_free_is_taken_into_memory_first_and_survives_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = tight_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a/+", QoS::ExactlyOnce).await;
    listener.leave().await;
    let mut speaker = site.client(hello("speaker")).await;
    let first = log.durable_seq(Lane::Messages).0;
    for from in (0..4_000).step_by(200) {
        publish_all(&mut speaker, from..from + 200).await;
        let saved = || log.load_snapshot("broker-queues").unwrap().map_or(Seq(0), |s| s.positions.messages);
        until(|| saved() >= log.pressed(Lane::Messages)).await;
    }
    assert!(log.first_seq(Lane::Messages).0 > first + 2_000, "the log went on");
    log.close();
    site.abandon();
    let site = Site::on(tight_log(folder.path()), BrokerOptions::default()).await;
    let mut listener = site.again(lasting("listener")).await;
    assert_eq!(take(&mut listener, 4_000).await, (0..4_000).collect::<Vec<_>>());
    listener.expect_nothing().await;
    assert_eq!(*site.hooks.drops.lock().unwrap(), []);
    site.stop().await;
}
