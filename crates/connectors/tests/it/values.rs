//! What is in the registers arrives in the tags.

use crate::rig::{Rig, eventually, tag};
use andon_connectors::ConnectorState;
use andon_connectors::modbus::config::Table;
use andon_connectors::modbus::sim::Bank;
use andon_model::{DataType, StatusCode, Value};
use serde_json::json;

#[tokio::test]
async fn every_type_and_table_arrives() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[237, 0xFFFB]);
    bank.set_u32(Table::Holding, 2, 4_000_000_000);
    bank.set_f32(Table::Holding, 4, 1.5);
    bank.set(Table::Holding, 6, &[0, 0x3FC0]); // 1.5, the low word first
    bank.set(Table::Holding, 8, &[0xFFFF, 0xFFFF, 0xFFFF, 0xFFFE]);
    bank.set_text(Table::Holding, 12, 4, "Andon");
    bank.set(Table::Input, 7, &[0b100]);
    bank.set_bit(Table::Coil, 3, true);
    bank.set_bit(Table::Discrete, 9, false);
    let tags = vec![
        tag("m/scaled", DataType::Double),
        tag("m/signed", DataType::Int64),
        tag("m/count", DataType::Int64),
        tag("m/float", DataType::Double),
        tag("m/swapped", DataType::Double),
        tag("m/wide", DataType::Int64),
        tag("m/name", DataType::String),
        tag("m/bit", DataType::Boolean),
        tag("m/coil", DataType::Boolean),
        tag("m/input", DataType::Int64),
    ];
    let registers = json!([
        { "tag": "m/scaled", "table": "holding", "address": 0, "type": "u16", "scale": 0.1 },
        { "tag": "m/signed", "table": "holding", "address": 1, "type": "i16" },
        { "tag": "m/count", "table": "holding", "address": 2, "type": "u32" },
        { "tag": "m/float", "table": "holding", "address": 4, "type": "f32" },
        { "tag": "m/swapped", "table": "holding", "address": 6, "type": "f32", "word_order": "little" },
        { "tag": "m/wide", "table": "holding", "address": 8, "type": "i64" },
        { "tag": "m/name", "table": "holding", "address": 12, "type": "string", "length": 4 },
        { "tag": "m/bit", "table": "input", "address": 7, "type": "bool", "bit": 2 },
        { "tag": "m/coil", "table": "coil", "address": 3 },
        { "tag": "m/input", "table": "discrete", "address": 9, "type": "bool" },
    ]);
    let (rig, _device, _) = Rig::with_device(tags, bank, registers).await;
    rig.until_value("m/scaled", 23.7).await;
    rig.until_value("m/signed", -5_i64).await;
    rig.until_value("m/count", 4_000_000_000_i64).await;
    rig.until_value("m/float", 1.5).await;
    rig.until_value("m/swapped", 1.5).await;
    rig.until_value("m/wide", -2_i64).await;
    rig.until_value("m/name", "Andon").await;
    rig.until_value("m/bit", true).await;
    rig.until_value("m/coil", true).await;
    rig.until_value("m/input", 0_i64).await;
    let health = rig.health();
    assert_eq!((health.state, health.tags, health.errors), (ConnectorState::Connected, 10, 0));
    assert!(health.latency_ms.is_some());
}

#[tokio::test]
async fn neighbours_cost_one_request() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[7; 50]);
    let paths: Vec<String> = (0..40).map(|n| format!("m/v{n}")).collect();
    let tags = paths.iter().map(|path| tag(path, DataType::Int64)).collect();
    let registers: Vec<_> = (0..40)
        .map(|n| json!({ "tag": paths[n], "table": "holding", "address": n, "type": "u16", "poll": "1h" }))
        .collect();
    let (rig, device, _) = Rig::with_device(tags, bank, json!(registers)).await;
    for path in &paths {
        rig.until_value(path, 7_i64).await;
    }
    assert_eq!(device.requests(), 1);
}

#[tokio::test]
async fn a_dead_sensor_and_an_exceeded_range_are_told() {
    let bank = Bank::new();
    bank.set_f32(Table::Holding, 0, f32::NAN);
    bank.set(Table::Holding, 2, &[500]);
    let mut ranged = tag("m/ranged", DataType::Int64);
    ranged.range = Some((0.0, 100.0));
    let registers = json!([
        { "tag": "m/sensor", "table": "holding", "address": 0, "type": "f32" },
        { "tag": "m/ranged", "table": "holding", "address": 2, "type": "u16" },
    ]);
    let (rig, _device, _) = Rig::with_device(vec![tag("m/sensor", DataType::Double), ranged], bank, registers).await;
    let sensor = rig.until("m/sensor", |_| true).await;
    assert_eq!((sensor.value, sensor.quality), (Value::Null, StatusCode::BAD_SENSOR_FAILURE));
    let ranged = rig.until("m/ranged", |_| true).await;
    assert_eq!((ranged.value, ranged.quality), (Value::Int64(500), StatusCode::UNCERTAIN_ENGINEERING_UNITS_EXCEEDED));
}

#[tokio::test]
async fn a_new_plant_restarts_only_what_changed() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[1, 2]);
    let registers = json!([{ "tag": "m/a", "table": "holding", "address": 0, "type": "u16" }]);
    let (rig, _device, mut plant) =
        Rig::with_device(vec![tag("m/a", DataType::Int64), tag("m/b", DataType::Int64)], bank, registers).await;
    rig.until_value("m/a", 1_i64).await;
    rig.runner.apply(&plant).await;
    assert_eq!(rig.health().state, ConnectorState::Connected, "an unchanged connector keeps its connection");

    plant.connectors[0].settings["register"][0]["tag"] = json!("m/b");
    plant.connectors[0].settings["register"][0]["address"] = json!(1);
    rig.runner.apply(&plant).await;
    rig.until_value("m/b", 2_i64).await;
    let orphan = rig.until("m/a", |sample| sample.quality.is_bad()).await;
    assert_eq!((orphan.value, orphan.quality), (Value::Null, StatusCode::BAD_OUT_OF_SERVICE));

    plant.connectors[0].enabled = false;
    rig.runner.apply(&plant).await;
    assert_eq!(rig.health().state, ConnectorState::Disabled);
    assert!(rig.bus.actuator(rig.id("m/b")).is_none());
    assert_eq!(rig.last("m/b").unwrap().quality, StatusCode::BAD_OUT_OF_SERVICE);
}

#[tokio::test]
async fn a_test_reads_everything_once_and_says_what_is_wrong() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[1]);
    let registers = json!([
        { "tag": "m/a", "table": "holding", "address": 0, "type": "u16" },
        { "tag": "m/b", "table": "holding", "address": 40, "type": "u16" },
    ]);
    let (rig, device, mut plant) =
        Rig::with_device(vec![tag("m/a", DataType::Int64), tag("m/b", DataType::Int64)], bank, registers).await;
    rig.until_value("m/a", 1_i64).await;
    let report = rig.runner.test("device").await;
    assert!(!report.ok);
    assert!(report.detail.contains("1 of 2 tags have a value"), "{}", report.detail);
    assert!(report.detail.contains("read holding 40\": exception 0x02 illegal data address"), "{}", report.detail);

    plant.connectors[0].enabled = false;
    rig.runner.apply(&plant).await;
    let report = rig.runner.test("device").await;
    assert!(report.detail.contains("1 of 2"), "a disabled connector is tried on its own connection: {}", report.detail);

    device.stop().await;
    let report = rig.runner.test("device").await;
    assert!(!report.ok && report.detail.contains("connection refused"), "{}", report.detail);
    assert!(!rig.runner.test("nobody").await.ok);
}

#[tokio::test]
async fn a_slow_rate_is_not_starved_by_a_fast_one() {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[1, 2]);
    let registers = json!([
        { "tag": "m/fast", "table": "holding", "address": 0, "type": "u16", "poll": "10ms" },
        { "tag": "m/slow", "table": "holding", "address": 1, "type": "u16", "poll": "50ms" },
    ]);
    let tags = vec![tag("m/fast", DataType::Int64), tag("m/slow", DataType::Int64)];
    let (rig, device, _) = Rig::with_device(tags, bank.clone(), registers).await;
    // Every answer takes longer than the fast rate, so the fast one is always due.
    device.misbehave(andon_connectors::modbus::sim::Fault::Delay(std::time::Duration::from_millis(30)));
    rig.until_value("m/slow", 2_i64).await;
    bank.set(Table::Holding, 1, &[3]);
    rig.until_value("m/slow", 3_i64).await;
    eventually("samples are counted", || rig.health().samples_per_s > 0.0).await;
}
