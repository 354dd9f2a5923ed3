//! Packet sequences of the Eclipse Mosquitto project (see `tests/conformance/README.md`), each against the broker.

use crate::harness::{Site, hello, open_log};
use andon_broker::BrokerOptions;
use andon_wire::mqtt::{Connect, Packet, Text, Version};
use bytes::BytesMut;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const SEQUENCES: &str = include_str!("../conformance/sequences.jsonl");
const NOT_PASSING: &str = include_str!("../conformance/not-passing.txt");
const PATIENCE: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread")]
async fn every_packet_sequence_goes_as_it_should() {
    let listed: BTreeMap<&str, &str> =
        NOT_PASSING.lines().filter(|l| !l.starts_with('#')).filter_map(|l| l.split_once('\t')).collect();
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let (mut passed, mut wrong) = (0, Vec::new());
    for line in SEQUENCES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let name = case["name"].as_str().unwrap();
        match (run(site.address, &case).await, listed.get(name)) {
            (Ok(()), None) => passed += 1,
            (Ok(()), Some(_)) => wrong.push(format!("{name}: passes now; take it off the list")),
            (Err(_), Some(_)) => {}
            (Err(detail), None) => wrong.push(format!("{name}: {detail}")),
        }
    }
    site.stop().await;
    println!("{passed} of {} sequences pass, {} are listed as not passing", SEQUENCES.lines().count(), listed.len());
    assert!(wrong.is_empty(), "{} sequences:\n{}", wrong.len(), wrong.join("\n"));
}

struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Wire {
    async fn dial(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    async fn send(&mut self, bytes: &[u8]) {
        // The broker may have closed already; what it sent before is judged.
        let _ = self.stream.write_all(bytes).await;
    }

    /// One whole packet as bytes; empty: closed.
    async fn packet(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some(whole) = whole_packet(&self.buffer) {
                return Ok(self.buffer.drain(..whole).collect());
            }
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            match read.map_err(|_| "nothing came".to_owned())? {
                Ok(0) | Err(_) => return Ok(Vec::new()),
                Ok(_) => {}
            }
        }
    }
}

fn whole_packet(bytes: &[u8]) -> Option<usize> {
    let mut length = 0;
    for at in 0..4 {
        let byte = *bytes.get(1 + at)?;
        length |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some(2 + at + length).filter(|whole| bytes.len() >= *whole);
        }
    }
    None
}

async fn run(address: SocketAddr, case: &Value) -> Result<(), String> {
    let version = match case["protocol"].as_str() {
        Some("5.0") => Version::V5,
        Some("3.1.1") => Version::V311,
        _ => Version::V31,
    };
    let mut wire = Wire::dial(address).await;
    if case["connect_first"] == true {
        let client_id = Text::parse("sequence-test").unwrap();
        wire.send(&connect_bytes(Connect { version, client_id, ..hello("") })).await;
        let conn_ack = wire.packet().await?;
        if conn_ack.first() != Some(&0x20) || conn_ack.get(3) != Some(&0) {
            return Err(format!("the ordinary CONNECT was answered with {conn_ack:02x?}"));
        }
    }
    for step in case["steps"].as_array().unwrap() {
        if let Some(bytes) = step["send"].as_str() {
            wire.send(&hex(bytes)).await;
        } else if let Some(bytes) = step["recv"].as_str() {
            let came = wire.packet().await?;
            compare(&hex(bytes), &came)?;
        } else {
            publish_from_another(address, &step["publish_from_another_client"]).await?;
        }
    }
    if case["server_closes"] == true { expect_close(&mut wire).await } else { expect_alive(&mut wire).await }
}

fn compare(wanted: &[u8], came: &[u8]) -> Result<(), String> {
    let same = match wanted[0] >> 4 {
        // Type, session present, reason code.
        2 => came.len() >= 4 && came[0] == wanted[0] && came[2..4] == wanted[2..4],
        // Type and reason code.
        14 => came.first() == wanted.first() && came.get(2) == wanted.get(2),
        _ => came == wanted,
    };
    if same { Ok(()) } else { Err(format!("wanted {wanted:02x?}, came {came:02x?}")) }
}

/// A last DISCONNECT (5.0) or refusing CONNACK may come where the sequence does not ask for it: saying why is allowed.
async fn expect_close(wire: &mut Wire) -> Result<(), String> {
    loop {
        let came = wire.packet().await.map_err(|_| "the broker did not close".to_owned())?;
        match came.first() {
            None => return Ok(()),
            Some(0xE0) => {}
            Some(0x20) if came.get(3) != Some(&0) => {}
            Some(_) => return Err(format!("before closing came {came:02x?}")),
        }
    }
}

async fn expect_alive(wire: &mut Wire) -> Result<(), String> {
    wire.send(&[0xC0, 0]).await;
    let came = wire.packet().await?;
    if came == [0xD0, 0] { Ok(()) } else { Err(format!("instead of PINGRESP came {came:02x?}")) }
}

async fn publish_from_another(address: SocketAddr, message: &Value) -> Result<(), String> {
    let (topic, payload) = (message["topic"].as_str().unwrap(), message["payload"].as_str().unwrap());
    assert_eq!(message["qos"], 2, "the only QoS in the sequences");
    let mut wire = Wire::dial(address).await;
    wire.send(&connect_bytes(Connect { version: Version::V311, ..hello("another-client") })).await;
    wire.packet().await?;
    let mut publish = vec![0x34, u8::try_from(4 + topic.len() + payload.len()).unwrap(), 0];
    publish.push(u8::try_from(topic.len()).unwrap());
    publish.extend_from_slice(topic.as_bytes());
    publish.extend_from_slice(&[0, 1]);
    publish.extend_from_slice(payload.as_bytes());
    wire.send(&publish).await;
    compare(&[0x50, 2, 0, 1], &wire.packet().await?)?;
    wire.send(&[0x62, 2, 0, 1]).await;
    compare(&[0x70, 2, 0, 1], &wire.packet().await?)?;
    wire.send(&[0xE0, 0]).await;
    Ok(())
}

fn connect_bytes(connect: Connect) -> Vec<u8> {
    let (version, mut out) = (connect.version, BytesMut::new());
    Packet::Connect(Box::new(connect)).encode(version, &mut out).unwrap();
    out.to_vec()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
