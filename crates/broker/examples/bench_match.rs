//! How long it takes to find who subscribed to a topic and to hand the message on, among many filters with wildcards.
//!
//! In one process, without a network: clients over pipes in memory, which read what they get. Each message matches as many filters as
//! is said, in different clients. Measured are `reach`, which only finds them, and `publish_internal` with QoS 0, which hands the message
//! on and wakes who has to write it; each from the call to its return.
//!
//! `cargo run -p andon-broker --example bench_match -- [filters] [clients] [messages]`

use andon_broker::*;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::{Clock, SystemClock};
use andon_wire::mqtt::*;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use uuid::Uuid;

mod common;
use common::{Failure, OpenDoor};

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let given: Vec<usize> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let setting = |at: usize, default: usize| given.get(at).copied().unwrap_or(default);
    let (filters, clients, messages) = (setting(0, 100_000), setting(1, 100), setting(2, 50_000));

    let folder = std::env::temp_dir().join(format!("andon-bench-match-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let clock = Arc::new(SystemClock);
    let (log, _) =
        DurableLog::open(&folder, Uuid::from_u128(1), LogOptions::default(), Arc::new(OsDisk), clock.clone())?;
    let options = BrokerOptions { subscriptions: filters, ..BrokerOptions::default() };
    let broker = Broker::new(options, log.clone(), Arc::new(OpenDoor), clock)?;
    let mut serving = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let peer = Peer { address: ([127, 0, 0, 1], 1).into(), tls: false, websocket: false, certificate: None };
        serving.spawn(broker.clone().serve(theirs, peer, ()));
        let (mut stream, mut decoder) = common::connect(ours, &format!("client-{client}"), false).await?;
        let mine: Vec<String> = (client..filters).step_by(clients).map(filter_of).collect();
        for some in mine.chunks(500) {
            common::subscribe(&mut stream, &mut decoder, some, QoS::AtMostOnce).await?;
        }
        serving.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while matches!(stream.read(&mut buffer).await, Ok(read) if read > 0) {}
        });
    }

    let payload = Bytes::from_static(&[b'x'; 100]);
    let (mut finds, mut waits, mut reached) = (Vec::with_capacity(messages), Vec::with_capacity(messages), 0);
    for n in 0..messages {
        // Another topic, so that what is handed on is not found the quicker for it.
        let topic = topic_of(n * 104_729 % filters);
        let begin = SystemClock.monotonic();
        std::hint::black_box(broker.reach(&topic));
        finds.push(SystemClock.monotonic() - begin);
        let topic = topic_of(n * 7919 % filters);
        let begin = SystemClock.monotonic();
        reached += broker.publish_internal(&topic, payload.clone(), QoS::AtMostOnce, false).await?;
        waits.push(SystemClock.monotonic() - begin);
        if n % 64 == 0 {
            tokio::task::yield_now().await;
        }
    }
    println!(
        "{filters} filters of {clients} clients, {:.2} receivers a message; microseconds to find them: {}; to hand on as well: {}",
        reached as f64 / messages as f64,
        spread(&mut finds),
        spread(&mut waits),
    );
    broker.stop().await;
    serving.abort_all();
    log.close();
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

fn spread(waits: &mut [Duration]) -> String {
    waits.sort_unstable();
    let at = |share: f64| waits.get(((waits.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    let micros = |share: f64| at(share).as_secs_f64() * 1e6;
    format!("p50 {:.1}, p99 {:.1}, p99.9 {:.1}", micros(0.5), micros(0.99), micros(0.999))
}

/// Half of them with `+` within, half with `#` at the end.
fn filter_of(n: usize) -> String {
    let (line, device) = (n / 1000, n % 1000);
    if n.is_multiple_of(2) {
        format!("plant/line{line}/+/device{device}/value")
    } else {
        format!("plant/line{line}/cell/device{device}/#")
    }
}

fn topic_of(n: usize) -> String {
    format!("plant/line{}/cell/device{}/value", n / 1000, n % 1000)
}
