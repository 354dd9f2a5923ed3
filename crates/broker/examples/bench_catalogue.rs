//! What the catalogue costs for each message: nanoseconds, on one thread, with topics that are known.
//!
//! `cargo run --release -p andon-broker --example bench_catalogue -- [topics] [messages] [payload bytes]`

use andon_broker::{Catalogue, Message};
use andon_model::{Clock, SystemClock};
use andon_wire::mqtt::{QoS, Text, TopicName};
use bytes::Bytes;
use std::time::Duration;

fn main() {
    let given: Vec<usize> = std::env::args().skip(1).filter_map(|a| a.parse().ok()).collect();
    let setting = |at: usize, default: usize| given.get(at).copied().unwrap_or(default);
    let (topics, messages, bytes) = (setting(0, 10_000), setting(1, 2_000_000), setting(2, 64));
    let catalogue = Catalogue::new(1_000_000, 1 << 30);
    let publisher = Text::parse("gateway-1").ok();
    let message = |n: usize| {
        let topic = format!("plant/area{}/line{}/machine{}/sensor{n}/value", n % 7, n % 31, n % 257);
        let mut message = Message::internal(
            TopicName::parse(&topic).expect("a topic name"),
            Bytes::from(vec![b'7'; bytes]),
            QoS::AtMostOnce,
            false,
            SystemClock.now(),
        );
        message.publisher = publisher.clone();
        message
    };
    let all: Vec<Message> = (0..topics).map(message).collect();
    let begin = SystemClock.monotonic();
    all.iter().for_each(|message| catalogue.note(message));
    let first = SystemClock.monotonic() - begin;
    let mut rounds = Vec::new();
    for _ in 0..5 {
        let begin = SystemClock.monotonic();
        // In an order that no cache foresees, as messages come.
        let mut at = 0_usize;
        for _ in 0..messages {
            at = (at.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407))
                & (usize::MAX >> 1);
            catalogue.note(&all[(at >> 20) % topics]);
        }
        rounds.push(SystemClock.monotonic() - begin);
    }
    rounds.sort_unstable();
    let ns = |took: Duration, count: usize| took.as_nanos() as f64 / count.max(1) as f64;
    let begin = SystemClock.monotonic();
    let level = catalogue.level(None, 0, 200, SystemClock.now(), None);
    let first_look = SystemClock.monotonic() - begin;
    let begin = SystemClock.monotonic();
    let again = catalogue.level(None, 0, 200, SystemClock.now(), None);
    let look = SystemClock.monotonic() - begin;
    println!(
        "{topics} topics of {bytes} bytes: a new topic {:.0} ns; a known one {:.0} ns (median of 5 × {messages}, {:.0} to {:.0}); \
         the tree: {first_look:.1?} at the first look ({} rows), {look:.1?} after that ({}); about {} bytes a topic",
        ns(first, topics),
        ns(rounds[2], messages),
        ns(rounds[0], messages),
        ns(rounds[4], messages),
        level.total,
        again.total,
        catalogue.figures().bytes / topics.max(1),
    );
}
