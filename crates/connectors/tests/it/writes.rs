//! Commands: confirmed, refused, uncertain, too late.

use crate::rig::{PATIENCE, Rig, tag};
use andon_connectors::modbus::config::Table;
use andon_connectors::modbus::sim::{Bank, Fault, Simulator};
use andon_model::command::{WriteError, Written};
use andon_model::{Clock, DataType, SystemClock, Value};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

async fn write(rig: &Rig, path: &str, value: Value) -> Result<Written, WriteError> {
    let actuator = rig.bus.actuator(rig.id(path)).expect("a writable tag has an actuator");
    let deadline = SystemClock.now().plus(Duration::from_secs(5));
    let outcome = tokio::time::timeout(PATIENCE, actuator.write(rig.id(path), value, deadline)).await;
    outcome.expect("every write is answered")
}

fn read_back(outcome: Result<Written, WriteError>) -> Value {
    match outcome {
        Ok(Written::ReadBack(sample)) => sample.value,
        other => panic!("{other:?}"),
    }
}

/// One register of each writable kind.
async fn device() -> (Rig, Simulator, Arc<Bank>) {
    let bank = Bank::new();
    bank.set(Table::Holding, 0, &[0; 12]);
    bank.set(Table::Holding, 12, &[0b1010_0000]);
    bank.set_bit(Table::Coil, 0, false);
    let registers = json!([
        { "tag": "m/speed", "table": "holding", "address": 0, "type": "u16", "scale": 0.1, "write": true },
        { "tag": "m/pressure", "table": "holding", "address": 2, "type": "f32", "write": true },
        { "tag": "m/recipe", "table": "holding", "address": 4, "type": "string", "length": 8, "write": true },
        { "tag": "m/lamp", "table": "holding", "address": 12, "bit": 3, "write": true },
        { "tag": "m/valve", "table": "coil", "address": 0, "write": true },
        { "tag": "m/fixed", "table": "holding", "address": 1, "type": "u16" },
    ]);
    let tags = vec![
        tag("m/speed", DataType::Double),
        tag("m/pressure", DataType::Double),
        tag("m/recipe", DataType::String),
        tag("m/lamp", DataType::Boolean),
        tag("m/valve", DataType::Boolean),
        tag("m/fixed", DataType::Int64),
    ];
    let (rig, device, _) = Rig::with_device(tags, bank.clone(), registers).await;
    rig.until("m/valve", |sample| sample.quality.is_good()).await;
    (rig, device, bank)
}

#[tokio::test]
async fn a_write_takes_effect_and_is_read_back() {
    let (rig, _device, bank) = device().await;
    assert_eq!(read_back(write(&rig, "m/speed", Value::Double(12.3)).await), Value::Double(12.3));
    assert_eq!(bank.word(Table::Holding, 0), 123);
    assert_eq!(
        read_back(write(&rig, "m/pressure", Value::Double(2.3)).await),
        Value::Double(2.3),
        "not the nearest float of 2.3"
    );
    assert!((bank.f32(Table::Holding, 2) - 2.3).abs() < 1e-6);
    assert_eq!(
        read_back(write(&rig, "m/recipe", Value::String("Water 0.5 l".into())).await),
        Value::String("Water 0.5 l".into())
    );
    assert_eq!(read_back(write(&rig, "m/valve", Value::Boolean(true)).await), Value::Boolean(true));
    assert_eq!(bank.word(Table::Coil, 0), 1);
    assert_eq!(rig.last("m/valve").unwrap().value, Value::Boolean(true), "the bus knows it at once");
}

#[tokio::test]
async fn a_bit_is_written_without_touching_its_neighbours() {
    let (rig, _device, bank) = device().await;
    assert_eq!(read_back(write(&rig, "m/lamp", Value::Boolean(true)).await), Value::Boolean(true));
    assert_eq!(bank.word(Table::Holding, 12), 0b1010_1000);
    assert_eq!(read_back(write(&rig, "m/lamp", Value::Boolean(false)).await), Value::Boolean(false));
    assert_eq!(bank.word(Table::Holding, 12), 0b1010_0000);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_never_sent() {
    let (rig, _device, bank) = device().await;
    for value in
        [Value::Double(7000.0), Value::Double(-1.0), Value::Double(2.55), Value::String("fast".into()), Value::Null]
    {
        assert!(matches!(write(&rig, "m/speed", value.clone()).await, Err(WriteError::NotSent(_))), "{value:?}");
    }
    assert_eq!(bank.word(Table::Holding, 0), 0);
}

#[tokio::test]
async fn the_devices_no_is_told_in_words() {
    let (rig, device, _bank) = device().await;
    device.misbehave(Fault::Refuse { table: Table::Coil, address: 0, code: 0x04 });
    let outcome = write(&rig, "m/valve", Value::Boolean(true)).await;
    assert_eq!(outcome, Err(WriteError::Refused("exception 0x04 server device failure".to_owned())));
}

#[tokio::test]
async fn a_write_without_an_answer_is_uncertain_and_not_sent_again() {
    let (rig, device, bank) = device().await;
    device.misbehave(Fault::Delay(Duration::from_millis(400))); // Longer than the timeout of 200 ms.
    let writes = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let counted = writes.clone();
    bank.on_write(Box::new(move |_, _, _| {
        counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Ok(())
    }));
    let outcome = write(&rig, "m/valve", Value::Boolean(true)).await;
    match outcome {
        Err(WriteError::NoAnswer(_)) => {
            device.behave();
            rig.until_value("m/valve", true).await;
            assert_eq!(writes.load(std::sync::atomic::Ordering::Relaxed), 1);
        }
        // A poll may have timed out first; then the device was already known to be away and nothing was sent.
        Err(WriteError::NotConnected(_)) => assert_eq!(writes.load(std::sync::atomic::Ordering::Relaxed), 0),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_write_that_is_cut_off_is_uncertain() {
    // Polled once an hour, so that the write is the next request.
    let bank = Bank::new();
    bank.set_bit(Table::Coil, 0, false);
    let registers = json!([{ "tag": "m/valve", "table": "coil", "address": 0, "write": true, "poll": "1h" }]);
    let (rig, device, _) = Rig::with_device(vec![tag("m/valve", DataType::Boolean)], bank.clone(), registers).await;
    rig.until("m/valve", |sample| sample.quality.is_good()).await;
    device.misbehave(Fault::Vanish);
    let outcome = write(&rig, "m/valve", Value::Boolean(true)).await;
    assert!(
        matches!(&outcome, Err(WriteError::NoAnswer(words)) if words.contains("closed the connection")),
        "{outcome:?}"
    );
    assert_eq!(bank.word(Table::Coil, 0), 1, "it did take effect: that is why it is uncertain, not failed");
    rig.until_value("m/valve", true).await;
}

#[tokio::test]
async fn nothing_is_sent_after_the_deadline() {
    let (rig, _device, bank) = device().await;
    let actuator = rig.bus.actuator(rig.id("m/valve")).unwrap();
    let outcome = actuator
        .write(rig.id("m/valve"), Value::Boolean(true), SystemClock.now().minus(Duration::from_millis(1)))
        .await;
    assert!(matches!(outcome, Err(WriteError::NotSent(_))), "{outcome:?}");
    assert_eq!(bank.word(Table::Coil, 0), 0);
}

#[tokio::test]
async fn while_the_device_is_away_a_write_says_so_at_once() {
    let (rig, device, _bank) = device().await;
    device.stop().await;
    rig.until("m/valve", |sample| sample.quality.is_bad()).await;
    let outcome = write(&rig, "m/valve", Value::Boolean(true)).await;
    assert!(matches!(outcome, Err(WriteError::NotConnected(_))), "{outcome:?}");
}

#[tokio::test]
async fn only_tags_marked_writable_have_an_actuator() {
    let (rig, _device, _bank) = device().await;
    assert!(rig.bus.actuator(rig.id("m/fixed")).is_none());
    rig.runner.stop().await;
    assert!(rig.bus.actuator(rig.id("m/valve")).is_none());
}
