//! An edge node as its host hears it: births, data, rebirths, and what it does without a host.

use super::*;
use crate::host::{Address, Host, HostOptions, Targets};
use std::time::Duration;

const RUN: TagId = TagId(1);
const LEVEL: TagId = TagId(2);
const VALVE: TagId = TagId(3);

fn now(seconds: i64) -> Now {
    let since = Duration::from_secs(seconds.unsigned_abs());
    Now { wall: Timestamp::from_millis(1_700_000_000_000).plus(since), mono: since }
}

fn config(primary_host: Option<&str>) -> EdgeConfig {
    let def = |tag, name: &str, data_type, unit: Option<&str>, writable| MetricDef {
        tag,
        name: name.to_owned(),
        data_type,
        unit: unit.map(str::to_owned),
        writable,
    };
    EdgeConfig {
        name: NodeName::new("g", "andon").expect("a name"),
        primary_host: primary_host.map(Into::into),
        metrics: vec![def(RUN, "run", model::DataType::Boolean, None, false)],
        devices: vec![DeviceDef {
            id: "tank".into(),
            metrics: vec![
                def(LEVEL, "level", model::DataType::Double, Some("mm"), false),
                def(VALVE, "outlet/valve", model::DataType::Int64, None, true),
            ],
        }],
    }
}

fn sample(tag: TagId, value: Value, seconds: i64) -> Sample {
    let at = now(seconds).wall;
    Sample { tag, value, quality: StatusCode::GOOD, source_ts: at, received_ts: at }
}

fn lost(tag: TagId, seconds: i64) -> Sample {
    Sample { quality: StatusCode::BAD_NO_COMMUNICATION, ..sample(tag, Value::Null, seconds) }
}

fn edge() -> EdgeNode {
    let mut edge = EdgeNode::new(config(None), 0);
    edge.take(&sample(RUN, Value::Boolean(true), 1));
    edge.take(&sample(LEVEL, Value::Double(5.5), 1));
    edge
}

fn read(message: &Message) -> (String, Payload) {
    let payload = payload::decode(&message.payload, &Limits::default()).expect("a payload");
    (message.topic.strip_prefix("spBv1.0/g/").expect("our group").to_owned(), payload)
}

fn topics(messages: &[Message]) -> Vec<(String, Option<u64>)> {
    messages.iter().map(read).map(|(topic, payload)| (topic, payload.seq)).collect()
}

fn topic(words: &str, seq: u64) -> (String, Option<u64>) {
    (words.to_owned(), Some(seq))
}

#[test]
fn tck_id_payloads_dbirth_order() {
    let mut edge = edge();
    assert_eq!(topics(&edge.start(now(2))), [topic("NBIRTH/andon", 0), topic("DBIRTH/andon/tank", 1)]);
    assert!(edge.flush(now(2)).is_empty(), "the births have all values");
}

#[test]
fn tck_id_topics_nbirth_metrics() {
    let births = edge().start(now(2));
    let (_, node) = read(&births[0]);
    assert_eq!((node.timestamp, node.seq), (Some(payload::millis(now(2).wall)), Some(0)));
    let (_, device) = read(&births[1]);
    for metric in node.metrics.iter().chain(&device.metrics) {
        // [tck-id-operational-behavior-data-commands-rebirth-name-aliases]
        assert_eq!(metric.alias.is_none(), metric.name.as_deref() == Some(REBIRTH), "{metric:?}");
        assert!(metric.name.is_some() && metric.datatype.is_some() && metric.timestamp.is_some());
    }
    let level = &device.metrics[0];
    assert_eq!(
        (level.name.as_deref(), level.datatype, &level.value),
        (Some("level"), Some(10), &Some(MetricValue::Double(5.5)))
    );
    assert_eq!(level.properties.as_ref().map(|p| p.keys.clone()), Some(vec!["engUnit".to_owned()]));
    let valve = &device.metrics[1];
    assert_eq!((valve.is_null, &valve.value), (Some(true), &None), "nothing is known of it yet");
    let mut aliases: Vec<_> = node.metrics.iter().chain(&device.metrics).filter_map(|metric| metric.alias).collect();
    aliases.sort_unstable();
    aliases.dedup();
    assert_eq!(aliases.len(), 4, "[tck-id-payloads-alias-uniqueness]");
}

#[test]
fn tck_id_payloads_nbirth_rebirth_req() {
    let (_, node) = read(&edge().start(now(2))[0]);
    let rebirth = node.metrics.iter().find(|metric| metric.name.as_deref() == Some(REBIRTH)).expect("it is there");
    assert_eq!((rebirth.datatype, &rebirth.value), (Some(11), &Some(MetricValue::Boolean(false))));
}

#[test]
fn tck_id_topics_nbirth_bdseq_matching() {
    let mut edge = EdgeNode::new(config(None), 255);
    let (will_topic, will) = read(&edge.death(now(1)));
    assert_eq!((will_topic.as_str(), will.seq), ("NDEATH/andon", None), "[tck-id-payloads-ndeath-seq]");
    assert_eq!((will.metrics.len(), payload::bd_seq(&will)), (1, Some(255)), "[tck-id-topics-ndeath-payload]");
    let (_, birth) = read(&edge.start(now(2))[0]);
    assert_eq!(payload::bd_seq(&birth), Some(255));
}

#[test]
fn tck_id_payloads_alias_data_cmd_requirement() {
    let mut edge = edge();
    edge.start(now(2));
    edge.take(&sample(LEVEL, Value::Double(6.0), 3));
    edge.take(&sample(RUN, Value::Boolean(false), 3));
    let data = edge.flush(now(3));
    assert_eq!(topics(&data), [topic("NDATA/andon", 2), topic("DDATA/andon/tank", 3)]);
    for message in &data {
        let (_, payload) = read(message);
        assert!(payload.metrics.iter().all(|m| m.name.is_none() && m.alias.is_some() && m.timestamp.is_some()));
    }
}

#[test]
fn tck_id_operational_behavior_data_publish_dbirth_change() {
    let mut edge = edge();
    edge.start(now(2));
    edge.take(&sample(LEVEL, Value::Double(5.5), 3));
    assert!(edge.flush(now(3)).is_empty(), "the same value is no change");
    edge.take(&Sample { quality: StatusCode::BAD_SENSOR_FAILURE, ..sample(LEVEL, Value::Null, 4) });
    let (_, payload) = read(&edge.flush(now(4))[0]);
    assert_eq!(
        (payload.metrics[0].is_null, payload::quality(&payload.metrics[0])),
        (Some(true), Some(StatusCode::BAD))
    );
}

#[test]
fn tck_id_operational_behavior_data_publish_dbirth_order() {
    let mut edge = edge();
    edge.start(now(2));
    edge.take(&sample(LEVEL, Value::Double(7.0), 9));
    edge.take(&sample(VALVE, Value::Int64(1), 8));
    let (_, payload) = read(&edge.flush(now(10))[0]);
    let times: Vec<_> = payload.metrics.iter().map(|metric| metric.timestamp).collect();
    assert!(times.is_sorted() && times.len() == 2, "{times:?}");
}

#[test]
fn tck_id_operational_behavior_data_publish_nbirth_order() {
    let mut config = config(None);
    let moved = config.devices.remove(0).metrics;
    config.metrics.extend(moved);
    let mut edge = EdgeNode::new(config, 0);
    for (tag, value, seconds) in
        [(RUN, Value::Boolean(true), 5), (LEVEL, Value::Double(5.5), 4), (VALVE, Value::Int64(1), 3)]
    {
        edge.take(&sample(tag, value, seconds));
    }
    let times_of =
        |message: &Message| read(message).1.metrics.iter().map(|metric| metric.timestamp).collect::<Vec<_>>();
    let births = times_of(&edge.start(now(9))[0]);
    assert!(births.is_sorted() && births.len() == 5, "{births:?}");
    edge.take(&sample(RUN, Value::Boolean(false), 12));
    edge.take(&sample(LEVEL, Value::Double(6.5), 11));
    let data = times_of(&edge.flush(now(13))[0]);
    assert!(data.is_sorted() && data.len() == 2, "{data:?}");
}

#[test]
fn tck_id_payloads_ddata_seq_inc() {
    let mut edge = edge();
    edge.start(now(2));
    for n in 2..600_u64 {
        edge.take(&sample(VALVE, Value::Int64(i64::try_from(n).expect("small")), 3));
        assert_eq!(topics(&edge.flush(now(3))), [topic("DDATA/andon/tank", n % 256)]);
    }
}

#[test]
fn tck_id_operational_behavior_device_ddeath() {
    let mut edge = edge();
    edge.start(now(2));
    edge.take(&lost(LEVEL, 3));
    let messages = edge.flush(now(3));
    assert_eq!(topics(&messages), [topic("DDEATH/andon/tank", 2)]);
    assert!(read(&messages[0]).1.timestamp.is_some(), "[tck-id-payloads-ddeath-timestamp]");
    edge.take(&lost(VALVE, 4));
    assert!(edge.flush(now(4)).is_empty(), "nothing is sent for a device that is dead");
    assert_eq!(topics(&edge.rebirth(now(4))), [topic("NBIRTH/andon", 0)]);
    edge.take(&sample(LEVEL, Value::Double(1.0), 5));
    assert_eq!(topics(&edge.flush(now(5))), [topic("DBIRTH/andon/tank", 1)]);
    edge.take(&lost(VALVE, 6));
    edge.take(&sample(LEVEL, Value::Double(2.0), 6));
    assert_eq!(topics(&edge.flush(now(6))), [topic("DDATA/andon/tank", 2)], "one that is there is enough");
}

#[test]
fn tck_id_operational_behavior_data_commands_rebirth_action_2() {
    let mut edge = edge();
    edge.start(now(2));
    let request = payload::rebirth_request(now(3).wall);
    assert_eq!(edge.command("spBv1.0/g/NCMD/andon", &request, &Limits::default()), Ok(vec![Order::Rebirth]));
    let births = edge.rebirth(now(3));
    assert_eq!(topics(&births), [topic("NBIRTH/andon", 0), topic("DBIRTH/andon/tank", 1)]);
    assert_eq!(
        payload::bd_seq(&read(&births[0]).1),
        Some(0),
        "[tck-id-operational-behavior-data-commands-rebirth-action-3]"
    );
}

#[test]
fn births_on_request_come_at_most_once_a_second() {
    let mut edge = edge();
    assert!(edge.rebirth_in(now(2)).is_zero(), "nothing is there to wait for");
    edge.start(now(2));
    assert_eq!(edge.rebirth_in(now(2)), Duration::from_secs(1));
    assert!(edge.rebirth_in(now(3)).is_zero());
    edge.rebirth(now(3));
    assert_eq!(edge.rebirth_in(now(3)), Duration::from_secs(1));
}

#[test]
fn tck_id_message_flow_edge_node_birth_publish_phid_wait() {
    let mut edge = EdgeNode::new(config(Some("scada")), 7);
    let state = |online, seconds: i64| State::at(online, now(seconds));
    assert!(edge.start(now(1)).is_empty() && edge.rebirth(now(1)).is_empty());
    edge.take(&sample(RUN, Value::Boolean(true), 1));
    assert!(edge.flush(now(1)).is_empty());
    assert!(edge.host_state("other", state(true, 1), now(1)).is_empty());
    assert!(edge.host_state("scada", state(false, 5), now(5)).is_empty());
    assert!(edge.host_state("scada", state(true, 4), now(5)).is_empty(), "an older state does not count");
    assert_eq!(edge.host_state("scada", state(true, 6), now(6)).len(), 2);
    assert!(edge.host_state("scada", state(true, 6), now(6)).is_empty(), "born once");
    assert!(edge.host_state("scada", state(false, 5), now(7)).is_empty(), "an old death does not count");
    let death = edge.host_state("scada", state(false, 8), now(8));
    assert_eq!((read(&death[0]).0.as_str(), payload::bd_seq(&read(&death[0]).1)), ("NDEATH/andon", Some(7)));
    edge.take(&sample(RUN, Value::Boolean(false), 9));
    assert!(edge.flush(now(9)).is_empty() && edge.bd_seq() == 8);
    let births = edge.host_state("scada", state(true, 10), now(10));
    assert_eq!(payload::bd_seq(&read(&births[0]).1), Some(8), "[tck-id-topics-nbirth-bdseq-increment]");
}

#[test]
fn tck_id_operational_behavior_edge_node_intentional_disconnect_ndeath() {
    let mut edge = edge();
    assert!(edge.stop(now(1)).is_none());
    edge.start(now(2));
    assert_eq!(edge.stop(now(3)).map(|message| read(&message).0).as_deref(), Some("NDEATH/andon"));
    assert!(edge.flush(now(4)).is_empty());
}

fn commanded(edge: &EdgeNode, topic: &str, metric: Metric) -> Result<Vec<Order>, OrderError> {
    let payload = Payload { metrics: vec![metric], ..Payload::default() };
    edge.command(&format!("spBv1.0/g/{topic}"), &payload.encode_to_vec(), &Limits::default())
}

#[test]
fn a_command_is_read_by_name_or_alias_and_as_the_type_it_says() {
    let edge = edge();
    let valve = |name: Option<&str>, alias, code: Option<u32>, value| Metric {
        name: name.map(str::to_owned),
        alias,
        datatype: code,
        value: Some(value),
        ..Metric::default()
    };
    let wanted = Ok(vec![Order::Write(VALVE, Value::Int64(4))]);
    let device = "DCMD/andon/tank";
    assert_eq!(commanded(&edge, device, valve(Some("outlet/valve"), None, Some(4), MetricValue::Long(4))), wanted);
    assert_eq!(commanded(&edge, device, valve(None, Some(4), None, MetricValue::Long(4))), wanted);
    assert_eq!(commanded(&edge, device, valve(Some("outlet/valve"), None, Some(9), MetricValue::Float(4.0))), wanted);
    for (topic, metric) in [
        (device, valve(Some("outlet/valve"), None, Some(9), MetricValue::Float(4.5))),
        (device, valve(Some("level"), None, Some(10), MetricValue::Double(1.0))),
        (device, valve(None, Some(99), Some(4), MetricValue::Long(1))),
        (device, Metric { is_null: Some(true), ..valve(Some("outlet/valve"), None, Some(4), MetricValue::Long(4)) }),
        ("NCMD/andon", valve(Some("bdSeq"), None, Some(8), MetricValue::Long(1))),
        ("NCMD/andon", valve(Some(REBIRTH), None, Some(11), MetricValue::Boolean(false))),
        ("DCMD/andon/other", valve(Some("outlet/valve"), None, Some(4), MetricValue::Long(4))),
        ("NCMD/other", valve(Some(REBIRTH), None, Some(11), MetricValue::Boolean(true))),
        ("NDATA/andon", valve(Some(REBIRTH), None, Some(11), MetricValue::Boolean(true))),
    ] {
        assert!(commanded(&edge, topic, metric.clone()).is_err(), "{topic} {metric:?}");
    }
}

/// Our own host reads our own edge node; that other hosts do is tested from outside.
#[test]
fn a_host_of_ours_sees_what_the_edge_node_has() {
    let mut targets = Targets::default();
    let node = NodeName::new("g", "andon").expect("a name");
    let address = |metric: &str| Address { node: node.clone(), device: Some("tank".into()), metric: metric.into() };
    targets.insert(&address("level"), LEVEL);
    targets.insert(&address("outlet/valve"), VALVE);
    let mut host = Host::new(HostOptions::default(), targets);
    let mut edge = edge();
    let mut messages = edge.start(now(2));
    edge.take(&sample(VALVE, Value::Int64(-3), 3));
    messages.append(&mut edge.flush(now(3)));
    messages.extend(edge.stop(now(4)));
    let samples: Vec<_> = messages.iter().flat_map(|m| host.handle(&m.topic, &m.payload, now(5)).samples).collect();
    let values: Vec<_> = samples.into_iter().map(|s| (s.tag, s.value)).collect();
    let expected = [
        (LEVEL, Value::Double(5.5)),
        (VALVE, Value::Null),
        (VALVE, Value::Int64(-3)),
        (LEVEL, Value::Null),
        (VALVE, Value::Null),
    ];
    assert_eq!(values, expected);
    edge.start(now(6)).iter().for_each(|m| drop(host.handle(&m.topic, &m.payload, now(6))));
    let command = host.command(&address("outlet/valve"), &Value::Int64(9), now(7).wall).expect("sent");
    let orders = edge.command(&command.topic, &command.payload, &Limits::default());
    assert_eq!(orders, Ok(vec![Order::Write(VALVE, Value::Int64(9))]));
}
