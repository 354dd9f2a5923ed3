//! How many QoS 1 messages per second the broker acknowledges, each after `fdatasync` unless its topic is volatile, and how long a
//! PUBACK takes.
//!
//! In one process: broker on the real log in a temporary folder, publishers over loopback TCP, one durable session away
//! (its queue is bounded, so what does not fit is dropped for it alone).
//!
//! `cargo run -p andon-broker --example bench_qos1 -- [publishers] [messages each] [window] [messages per second each, 0: as many as possible]
//! [1: on volatile topics]`

use andon_broker::*;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::{Clock, SystemClock};
use andon_wire::mqtt::*;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

mod common;
use common::{Failure, OpenDoor};

async fn connect(address: SocketAddr, client_id: &str, lasting: bool) -> Result<(TcpStream, Decoder), Failure> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    common::connect(stream, client_id, lasting).await
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let given: Vec<usize> = std::env::args().skip(1).map(|a| a.parse()).collect::<Result<_, _>>()?;
    let setting = |at: usize, default: usize| given.get(at).copied().unwrap_or(default);
    let root = if setting(4, 0) == 1 { "volatile" } else { "plant" };
    let (publishers, each, window, rate) = (setting(0, 10), setting(1, 20_000), setting(2, 500), setting(3, 0));

    let folder = std::env::temp_dir().join(format!("andon-bench-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let clock = Arc::new(SystemClock);
    let (log, _) =
        DurableLog::open(&folder, Uuid::from_u128(1), LogOptions::default(), Arc::new(OsDisk), clock.clone())?;
    let broker = Broker::new(BrokerOptions::default(), log.clone(), Arc::new(OpenDoor), clock)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = broker.clone();
    let accepting = tokio::spawn(async move {
        while let Ok((stream, address)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            tokio::spawn(serving.clone().serve(
                stream,
                Peer { address, tls: false, websocket: false, certificate: None },
                (),
            ));
        }
    });

    away(address, root).await?;
    let begin = SystemClock.monotonic();
    let tasks: Vec<_> =
        (0..publishers).map(|n| tokio::spawn(publisher(address, root, n, each, window, rate))).collect();
    let mut waits = Vec::with_capacity(publishers * each);
    for task in tasks {
        waits.extend(task.await??);
    }
    let took = SystemClock.monotonic() - begin;
    waits.sort_unstable();
    let at = |share: f64| waits.get(((waits.len() - 1) as f64 * share) as usize).copied().unwrap_or_default();
    println!(
        "{root}: {} messages, {publishers} publishers, window {window}: {:.0} msg/s acknowledged; PUBACK p50 {:.2} ms, p99 {:.2} ms",
        waits.len(),
        waits.len() as f64 / took.as_secs_f64(),
        at(0.5).as_secs_f64() * 1e3,
        at(0.99).as_secs_f64() * 1e3,
    );
    accepting.abort();
    broker.stop().await;
    log.close();
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

/// A session that subscribes to everything and goes away.
async fn away(address: SocketAddr, root: &str) -> Result<(), Failure> {
    let (mut stream, mut decoder) = connect(address, "away", true).await?;
    common::subscribe(&mut stream, &mut decoder, &[format!("{root}/#")], QoS::AtLeastOnce).await
}

/// Keeps up to `window` messages under way; returns how long each PUBACK took.
async fn publisher(
    address: SocketAddr,
    root: &str,
    number: usize,
    each: usize,
    window: usize,
    rate: usize,
) -> Result<Vec<Duration>, Failure> {
    let (mut stream, mut decoder) = connect(address, &format!("publisher-{number}"), false).await?;
    let message = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: false,
        topic: Some(TopicName::parse(&format!("{root}/hall-2/line-4/press-{number}/temperature"))?),
        packet_id: 0,
        properties: PublishProperties::default(),
        payload: Bytes::from_static(&[b'7'; 100]),
    };
    let message = EncodedPublish::new(&message, Version::V5)?;
    let mut sent_at = vec![Duration::ZERO; usize::from(u16::MAX) + 1];
    let (mut sent, mut waits) = (0_usize, Vec::with_capacity(each));
    let (mut out, mut buffer) = (BytesMut::new(), BytesMut::new());
    let begin = SystemClock.monotonic();
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    while waits.len() < each {
        let now = SystemClock.monotonic();
        let due = if rate == 0 { each } else { ((now - begin).as_secs_f64() * rate as f64) as usize };
        while sent < each.min(due) && sent - waits.len() < window {
            let id = (sent % 65_535) as u16 + 1;
            sent_at[usize::from(id)] = now;
            message.write(id, false, &mut out);
            sent += 1;
        }
        stream.write_all(&out).await?;
        out.clear();
        tokio::select! {
            read = stream.read_buf(&mut buffer) => if read? == 0 { return Err("the broker closed".into()) },
            _ = tick.tick(), if rate != 0 => {}
        }
        while let Some(packet) = decoder.decode(&mut buffer)? {
            match packet {
                Packet::PubAck(ack) if ack.reason.is_success() => {
                    waits.push(SystemClock.monotonic() - sent_at[usize::from(ack.packet_id)]);
                }
                other => return Err(format!("instead of PUBACK: {other:?}").into()),
            }
        }
    }
    Ok(waits)
}
