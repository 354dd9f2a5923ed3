//! Devices that refuse, answer late, mix up their answers, or vanish.

use crate::rig::{PATIENCE, Rig, eventually, plant, tag};
use andon_connectors::ConnectorState;
use andon_connectors::modbus::config::Table;
use andon_connectors::modbus::sim::{Bank, Fault, Simulator};
use andon_model::plant::TagDef;
use andon_model::{DataType, StatusCode, Value};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

fn three() -> (Vec<TagDef>, serde_json::Value) {
    let tags = vec![tag("m/a", DataType::Int64), tag("m/b", DataType::Int64), tag("m/c", DataType::Int64)];
    let registers = json!([
        { "tag": "m/a", "table": "holding", "address": 0, "type": "u16" },
        { "tag": "m/b", "table": "holding", "address": 1, "type": "u16" },
        { "tag": "m/c", "table": "holding", "address": 2, "type": "u16" },
    ]);
    (tags, registers)
}

#[tokio::test]
async fn a_refused_register_leaves_the_others_good() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let device = Simulator::start("127.0.0.1:0".parse().unwrap(), bank).await.unwrap();
    device.misbehave(Fault::Refuse { table: Table::Holding, address: 1, code: 0x02 });
    let plant = plant(tags, json!({ "endpoint": device.address().to_string(), "poll": "20ms", "register": registers }));
    let rig = Rig::new(&plant);
    rig.runner.apply(&plant).await;
    rig.until_value("m/a", 10_i64).await;
    rig.until_value("m/c", 12_i64).await;
    let refused = rig.until("m/b", |_| true).await;
    assert_eq!((refused.value, refused.quality), (Value::Null, StatusCode::BAD_CONFIGURATION_ERROR));
    let health = rig.health();
    assert_eq!(health.state, ConnectorState::Connected, "an exception is an answer");
    let error = health.last_error.unwrap();
    assert_eq!(error.text, "the device refused \"read holding 1\": exception 0x02 illegal data address");
    assert!(error.remedy.contains("addresses here count from zero"));
    assert_eq!(health.refused, 1);
}

#[tokio::test]
async fn a_hole_that_the_device_refuses_costs_no_tag() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10]);
    bank.set(Table::Holding, 5, &[15]); // 1..4 do not exist, but are read along.
    let registers = json!([
        { "tag": "m/a", "table": "holding", "address": 0, "type": "u16" },
        { "tag": "m/b", "table": "holding", "address": 5, "type": "u16" },
    ]);
    let (rig, device, _) =
        Rig::with_device(vec![tag("m/a", DataType::Int64), tag("m/b", DataType::Int64)], bank, registers).await;
    rig.until_value("m/a", 10_i64).await;
    rig.until_value("m/b", 15_i64).await;
    assert_eq!(rig.health().errors, 0);
    // The layout was learned: two requests per poll from now on, no third one that is refused.
    let (before, samples) = (device.requests(), rig.health().requests);
    eventually("twenty more requests", || rig.health().requests >= samples + 20).await;
    assert!(device.requests() >= before + 20);
    assert!(rig.last("m/a").unwrap().quality.is_good());
}

#[tokio::test]
async fn a_gateway_that_cannot_reach_its_device_is_no_configuration_error() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let device = Simulator::start("127.0.0.1:0".parse().unwrap(), bank).await.unwrap();
    device.misbehave(Fault::Refuse { table: Table::Holding, address: 1, code: 0x0B });
    let plant = plant(tags, json!({ "endpoint": device.address().to_string(), "poll": "20ms", "register": registers }));
    let rig = Rig::new(&plant);
    rig.runner.apply(&plant).await;
    for path in ["m/a", "m/b", "m/c"] {
        assert_eq!(rig.until(path, |_| true).await.quality, StatusCode::BAD_NO_COMMUNICATION);
    }
}

#[tokio::test]
async fn what_is_refused_again_and_again_is_bad_since_the_first_time() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let device = Simulator::start("127.0.0.1:0".parse().unwrap(), bank).await.unwrap();
    // Busy: asked again at every poll.
    device.misbehave(Fault::Refuse { table: Table::Holding, address: 1, code: 0x06 });
    let plant = plant(tags, json!({ "endpoint": device.address().to_string(), "poll": "20ms", "register": registers }));
    let rig = Rig::new(&plant);
    rig.runner.apply(&plant).await;
    let first = rig.until("m/b", |_| true).await;
    assert_eq!(first.quality, StatusCode::BAD_DEVICE_FAILURE);
    let requests = device.requests();
    eventually("it is asked for again", || device.requests() > requests + 10).await;
    assert_eq!(rig.last("m/b").unwrap().source_ts, first.source_ts);
    let health = rig.health();
    assert_eq!((health.state, health.refused, health.errors), (ConnectorState::Connected, 3, 3));
    device.behave();
    rig.until_value("m/b", 11_i64).await;
    eventually("nothing is refused any more", || rig.health().refused == 0).await;
}

#[tokio::test]
async fn a_vanished_device_turns_every_tag_bad_once_and_comes_back() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let (rig, device, _) = Rig::with_device(tags, bank.clone(), registers).await;
    rig.until_value("m/a", 10_i64).await;
    let mut everything = rig.bus.subscribe_all(1000);
    let address = device.address();
    device.stop().await;
    for path in ["m/a", "m/b", "m/c"] {
        let lost = rig.until(path, |sample| sample.quality.is_bad()).await;
        assert_eq!((lost.value, lost.quality), (Value::Null, StatusCode::BAD_NO_COMMUNICATION));
    }
    eventually("two failed attempts", || rig.health().errors >= 3).await;
    assert_eq!(rig.health().state, ConnectorState::Failed);
    assert!(rig.health().last_error.unwrap().text.contains("connection refused"));
    bank.set(Table::Holding, 0, &[20]);
    let _device = Simulator::start(address, bank).await.unwrap();
    rig.until_value("m/a", 20_i64).await;
    assert_eq!(rig.health().state, ConnectorState::Connected);

    let mut bad = 0;
    while let Some(batch) = everything.try_next() {
        bad += batch.iter().filter(|sample| sample.quality.is_bad()).count();
    }
    assert_eq!(bad, 3, "each tag says it once");
    let changes: Vec<bool> = rig.notebook.connections().iter().map(|change| change.connected).collect();
    assert_eq!(changes, [true, false, true], "came, went, returned: once each");
}

#[tokio::test]
async fn a_connection_cut_in_the_middle_of_an_answer_is_not_trusted() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let (rig, device, _) = Rig::with_device(tags, bank, registers).await;
    rig.until_value("m/c", 12_i64).await;
    device.misbehave(Fault::Vanish);
    rig.until("m/c", |sample| sample.quality == StatusCode::BAD_NO_COMMUNICATION).await;
    rig.until_value("m/c", 12_i64).await;
}

/// A gateway as they exist: it answers late, and with the transaction id of the newest question.
/// Whoever goes on asking on the same connection gets each answer one question too late, and cannot tell.
async fn careless_gateway(late: Arc<AtomicBool>) -> (String, Arc<AtomicU16>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let connections = Arc::new(AtomicU16::new(0));
    let count = connections.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(careless_connection(stream, late.clone()));
        }
    });
    (address, connections)
}

async fn careless_connection(stream: TcpStream, late: Arc<AtomicBool>) {
    let (mut from, mut to) = stream.into_split();
    let (questions, mut queue) = tokio::sync::mpsc::unbounded_channel::<u16>();
    let newest = Arc::new(AtomicU16::new(0));
    let seen = newest.clone();
    tokio::spawn(async move {
        while let Some(address) = queue.recv().await {
            if late.load(Ordering::Relaxed) {
                tokio::time::sleep(Duration::from_millis(150)).await;
            }
            let [high, low] = seen.load(Ordering::Relaxed).to_be_bytes();
            let [value_high, value_low] = (1000 + address).to_be_bytes();
            if to.write_all(&[high, low, 0, 0, 0, 5, 1, 3, 2, value_high, value_low]).await.is_err() {
                return;
            }
        }
    });
    let mut request = [0; 12];
    while from.read_exact(&mut request).await.is_ok() {
        newest.store(u16::from_be_bytes([request[0], request[1]]), Ordering::Relaxed);
        if questions.send(u16::from_be_bytes([request[8], request[9]])).is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn late_answers_never_become_the_values_of_other_registers() {
    let late = Arc::new(AtomicBool::new(true));
    let (endpoint, connections) = careless_gateway(late.clone()).await;
    let tags = vec![tag("m/a", DataType::Int64), tag("m/b", DataType::Int64), tag("m/c", DataType::Int64)];
    let registers = json!([
        { "tag": "m/a", "table": "holding", "address": 0, "type": "u16" },
        { "tag": "m/b", "table": "holding", "address": 100, "type": "u16" },
        { "tag": "m/c", "table": "holding", "address": 200, "type": "u16" },
    ]);
    let settings = json!({ "endpoint": endpoint, "poll": "20ms", "timeout": "100ms", "register": registers });
    let plant = plant(tags, settings);
    let rig = Rig::new(&plant);
    let mut everything = rig.bus.subscribe_all(1000);
    rig.runner.apply(&plant).await;
    eventually("three timeouts", || rig.health().errors >= 3).await;
    let last_error = rig.health().last_error.unwrap().text;
    late.store(false, Ordering::Relaxed);
    for (path, value) in [("m/a", 1000_i64), ("m/b", 1100), ("m/c", 1200)] {
        rig.until_value(path, value).await;
    }
    let check = async {
        for _ in 0..20 {
            for sample in everything.next().await.unwrap().iter().filter(|sample| !sample.quality.is_bad()) {
                let expected = [1000, 1100, 1200][sample.tag.0 as usize - 1];
                assert_eq!(sample.value, Value::Int64(expected), "the value of another register");
            }
        }
    };
    tokio::time::timeout(PATIENCE, check).await.unwrap();
    assert!(connections.load(Ordering::Relaxed) >= 4, "each timeout cost its connection");
    assert_eq!(last_error, "no answer to \"read holding 0\" within 100ms");
}

#[tokio::test]
async fn a_device_that_answers_late_now_and_then_recovers_with_right_values() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let (rig, device, _) = Rig::with_device(tags, bank.clone(), registers).await;
    rig.until_value("m/a", 10_i64).await;
    device.misbehave(Fault::Delay(Duration::from_millis(250)));
    rig.until("m/a", |sample| sample.quality == StatusCode::BAD_NO_COMMUNICATION).await;
    bank.set(Table::Holding, 0, &[20, 21, 22]);
    device.behave();
    rig.until_value("m/a", 20_i64).await;
    rig.until_value("m/c", 22_i64).await;
}

#[tokio::test]
async fn how_far_its_readings_have_come_stands_still_when_a_device_falls_silent() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[10, 11, 12]);
    let (tags, registers) = three();
    let (rig, device, plant) = Rig::with_device(tags, bank.clone(), registers).await;
    let arrived = || rig.runner.arrivals().into_iter().next().expect("the connector").1;
    let first = rig.until_value("m/a", 10_i64).await;
    eventually("a reading is noted", || arrived().came_to >= Some(first.source_ts)).await;
    assert_eq!(arrived().durable_to, None, "nobody stores here");
    device.misbehave(Fault::Delay(Duration::from_secs(60)));
    let lost = rig.until("m/a", |sample| sample.quality.is_bad()).await;
    let still = arrived();
    assert!(still.came_to < Some(lost.source_ts), "that it is lost is no reading: {still:?}");
    // A connector that is begun anew knows what its tags had, but not from bad values.
    rig.runner.stop().await;
    rig.runner.apply(&plant).await;
    assert_eq!(arrived().came_to, None);
    device.behave();
    bank.set(Table::Holding, 0, &[20, 21, 22]);
    let again = rig.until_value("m/a", 20_i64).await;
    eventually("it goes on", || arrived().came_to >= Some(again.source_ts)).await;
    rig.runner.stop().await;
    rig.runner.apply(&plant).await;
    assert!(arrived().came_to >= Some(again.source_ts));
}
