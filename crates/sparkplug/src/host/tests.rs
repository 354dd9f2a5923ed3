//! A host application against edge nodes that behave and such that do not.

mod templates;

use super::*;
use crate::proto::MetricValue;
use proptest::prelude::*;

const NODE: &str = "n";
const SPEED: TagId = TagId(1);
const LAMP: TagId = TagId(2);
/// More than is kept of a text.
const TEXT_OVER: usize = 5000;

fn now(seconds: f64) -> Now {
    let (since, start) = (Duration::from_secs_f64(seconds.abs()), Timestamp::from_millis(1_700_000_000_000));
    Now { wall: if seconds < 0.0 { start.minus(since) } else { start.plus(since) }, mono: since }
}

fn at(seconds: f64) -> u64 {
    payload::millis(now(seconds).wall)
}

fn metric(name: &str, alias: u64, data_type: DataType, value: MetricValue, seconds: f64) -> Metric {
    Metric {
        name: Some(name.to_owned()),
        alias: Some(alias),
        timestamp: Some(at(seconds)),
        datatype: Some(data_type.code()),
        value: Some(value),
        ..Metric::default()
    }
}

fn speed(value: f64, seconds: f64) -> Metric {
    metric("Motor/speed", 10, DataType::Double, MetricValue::Double(value), seconds)
}

fn lamp(value: bool, seconds: f64) -> Metric {
    metric("lamp", 20, DataType::Boolean, MetricValue::Boolean(value), seconds)
}

/// As data carry it: by alias, without name and type.
fn data(mut metric: Metric) -> Metric {
    (metric.name, metric.datatype) = (None, None);
    metric
}

/// A host that listens to the group `g`, with a tag for the speed of the node and for the lamp of its device.
struct Desk(Host);

impl Desk {
    fn new() -> Self {
        Self::with(HostOptions { groups: vec!["g".into()], ..HostOptions::default() })
    }

    fn with(options: HostOptions) -> Self {
        let mut targets = Targets::default();
        targets.insert(&address(None, "Motor/speed"), SPEED);
        targets.insert(&address(Some("d"), "lamp"), LAMP);
        Self(Host::new(options, targets))
    }

    fn say(&mut self, what: &str, seq: Option<u64>, metrics: Vec<Metric>, seconds: f64) -> Outcome {
        let (verb, device) = what.split_once(' ').map_or((what, None), |(verb, device)| (verb, Some(device)));
        let topic = match device {
            Some(device) => format!("spBv1.0/g/{verb}/{NODE}/{device}"),
            None => format!("spBv1.0/g/{verb}/{NODE}"),
        };
        let payload = Payload { timestamp: Some(at(seconds)), metrics, seq, ..Payload::default() };
        self.0.handle(&topic, &payload.encode_to_vec(), now(seconds))
    }

    fn birth(&mut self, bd_seq: u8, seconds: f64) -> Outcome {
        self.say("NBIRTH", Some(0), vec![payload::bd_seq_metric(bd_seq, at(seconds)), speed(1.0, seconds)], seconds)
    }

    /// Node and device are born with bdSeq 3; next is number 2.
    fn born() -> Self {
        let mut desk = Self::new();
        desk.birth(3, 0.0);
        desk.say("DBIRTH d", Some(1), vec![lamp(true, 0.0)], 0.0);
        desk
    }

    fn death(&mut self, bd_seq: u8, seconds: f64) -> Outcome {
        self.say("NDEATH", None, vec![payload::bd_seq_metric(bd_seq, at(0.0))], seconds)
    }

    fn speed(&mut self, seq: u64, value: f64, seconds: f64) -> Outcome {
        self.say("NDATA", Some(seq), vec![data(speed(value, seconds))], seconds)
    }
}

fn address(device: Option<&str>, metric: &str) -> Address {
    let node = NodeName::new("g", NODE).expect("a name");
    Address { node, device: device.map(Into::into), metric: metric.into() }
}

fn told(outcome: &Outcome) -> Vec<(TagId, Value, StatusCode)> {
    outcome.samples.iter().map(|s| (s.tag, s.value.clone(), s.quality)).collect()
}

fn good(tag: TagId, value: Value) -> (TagId, Value, StatusCode) {
    (tag, value, StatusCode::GOOD)
}

fn stale(tag: TagId) -> (TagId, Value, StatusCode) {
    (tag, Value::Null, StatusCode::BAD_NO_COMMUNICATION)
}

fn asks_for_birth(outcome: &Outcome) -> bool {
    let [message] = outcome.send.as_slice() else { return false };
    message.topic == "spBv1.0/g/NCMD/n" && message.payload == payload::rebirth_request(now_of(&message.payload))
}

fn now_of(payload: &[u8]) -> Timestamp {
    let payload = payload::decode(payload, &Limits::default()).expect("a payload");
    payload::time(payload.timestamp).expect("a time")
}

#[test]
fn births_and_data_by_alias_become_samples_with_their_times() {
    let mut desk = Desk::new();
    let outcome = desk.birth(0, 0.0);
    assert_eq!(told(&outcome), [good(SPEED, Value::Double(1.0))]);
    assert_eq!(outcome.notes, [Note::Born(address(None, "x").node, 2)]);
    let outcome = desk.say("DBIRTH d", Some(1), vec![lamp(false, 0.0)], 0.1);
    assert_eq!(told(&outcome), [good(LAMP, Value::Boolean(false))]);
    let outcome = desk.speed(2, 7.5, 3.0);
    let sample = &outcome.samples[0];
    assert_eq!((sample.value.clone(), sample.source_ts), (Value::Double(7.5), now(3.0).wall));
    let outcome = desk.say("DDATA d", Some(3), vec![data(lamp(true, 4.0))], 5.0);
    assert_eq!((outcome.samples[0].source_ts, outcome.samples[0].received_ts), (now(4.0).wall, now(5.0).wall));
}

#[test]
fn tck_id_payloads_sequence_num_incrementing() {
    let mut desk = Desk::born();
    for n in 2..600_u64 {
        let outcome = desk.speed(n % 256, 1.0, 1.0);
        assert_eq!((outcome.samples.len(), outcome.send.len()), (1, 0), "{n}");
    }
}

#[test]
fn tck_id_operational_behavior_host_reordering_success() {
    let mut desk = Desk::born();
    assert!(told(&desk.speed(3, 3.0, 1.0)).is_empty());
    assert!(told(&desk.speed(4, 4.0, 1.1)).is_empty());
    let values: Vec<_> = desk.speed(2, 2.0, 1.2).samples.into_iter().map(|s| s.value).collect();
    assert_eq!(values, [Value::Double(2.0), Value::Double(3.0), Value::Double(4.0)]);
    assert_eq!(desk.0.tick(now(60.0)), Outcome::default());
}

#[test]
fn tck_id_operational_behavior_host_reordering_rebirth() {
    let mut desk = Desk::born();
    desk.speed(3, 3.0, 1.0);
    assert_eq!(desk.0.tick(now(2.9)), Outcome::default(), "it may still come");
    let outcome = desk.0.tick(now(3.0));
    assert!(asks_for_birth(&outcome), "{outcome:?}");
    assert_eq!(outcome.notes, [Note::Gap(address(None, "x").node, 2)]);
    let uncertain = StatusCode::UNCERTAIN_LAST_USABLE_VALUE;
    assert_eq!(told(&outcome), [(SPEED, Value::Double(1.0), uncertain), (LAMP, Value::Boolean(true), uncertain)]);
    // What comes before the birth is not taken: an alias may stand for another metric.
    assert_eq!(told(&desk.speed(4, 4.0, 3.1)), []);
    assert_eq!(told(&desk.birth(3, 4.0)), [good(SPEED, Value::Double(1.0))]);
    assert_eq!(told(&desk.say("DBIRTH d", Some(1), vec![lamp(true, 0.0)], 4.0)), [good(LAMP, Value::Boolean(true))]);
}

#[test]
fn tck_id_operational_behavior_host_reordering_param() {
    let mut desk = Desk::with(HostOptions { reorder_timeout: Duration::ZERO, ..HostOptions::default() });
    desk.birth(0, 0.0);
    assert!(asks_for_birth(&desk.speed(2, 1.0, 1.0)));
}

#[test]
fn a_number_that_was_there_before_is_no_data() {
    let mut desk = Desk::born();
    desk.speed(2, 2.0, 1.0);
    let outcome = desk.speed(2, 9.0, 1.0);
    assert!(outcome.samples.iter().all(|s| s.value != Value::Double(9.0)) && asks_for_birth(&outcome));
    let refused = Desk::born().say("NDATA", None, vec![data(speed(9.0, 1.0))], 1.0);
    assert!(refused.samples.is_empty() && matches!(refused.notes[..], [Note::Refused(..)]));
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ndeath_devices_tags_stale() {
    let mut desk = Desk::born();
    let outcome = desk.death(3, 9.0);
    assert_eq!(told(&outcome), [stale(SPEED), stale(LAMP)]);
    assert!(outcome.samples.iter().all(|s| s.source_ts == now(9.0).wall), "at the time it was received");
    assert!(desk.0.states().iter().all(|state| !state.online));
    assert_eq!(desk.death(3, 10.0), Outcome::default(), "told once");
}

#[test]
fn tck_id_payloads_ndeath_bdseq() {
    let mut desk = Desk::born();
    let outcome = desk.death(2, 9.0);
    assert_eq!(outcome.notes, [Note::OldDeath(address(None, "x").node)]);
    assert!(outcome.samples.is_empty() && desk.0.states().iter().all(|state| state.online));
}

/// As pysparkplug 0.6 does it: a node that leaves on purpose says the bdSeq that its next birth will have.
#[test]
fn a_death_that_names_the_next_birth_counts() {
    assert_eq!(told(&Desk::born().death(4, 9.0)), [stale(SPEED), stale(LAMP)]);
}

#[test]
fn a_value_that_is_older_than_the_death_holds_from_the_birth() {
    let mut desk = Desk::born();
    desk.death(3, 9.0);
    let metrics = vec![payload::bd_seq_metric(4, at(12.0)), speed(5.0, 1.0)];
    let outcome = desk.say("NBIRTH", Some(0), metrics, 12.0);
    assert_eq!((outcome.samples[0].quality, outcome.samples[0].source_ts), (StatusCode::GOOD, now(12.0).wall));
    let earlier = desk.speed(1, 6.0, 11.0).samples[0].source_ts;
    assert!(earlier >= now(12.0).wall, "what the tag was told before is not taken back: {earlier}");
    assert_eq!(desk.speed(2, 7.0, 13.0).samples[0].source_ts, now(13.0).wall, "later ones keep their times");
}

/// The times that the tag of the speed is told for values that come each `step` seconds from `begin` on, from a device whose clock is `slow` seconds late.
fn told_times(desk: &mut Desk, begin: f64, step: f64, slow: f64) -> Vec<f64> {
    let mut times = Vec::new();
    for n in 0..100_u32 {
        let seconds = begin + f64::from(n) * step;
        let payload = Payload {
            timestamp: Some(at(seconds - slow)),
            metrics: vec![data(speed(f64::from(n), seconds - slow))],
            seq: Some(u64::from(n) + 1),
            ..Payload::default()
        };
        let outcome = desk.0.handle("spBv1.0/g/NDATA/n", &payload.encode_to_vec(), now(seconds));
        assert_eq!(outcome.samples.len(), 1, "{outcome:?}");
        times.extend(outcome.samples.iter().map(|sample| {
            assert!(sample.quality.is_good() && sample.source_ts <= sample.received_ts, "{sample:?}");
            sample.source_ts.since(now(0.0).wall).as_secs_f64()
        }));
    }
    times
}

#[test]
fn a_device_whose_clock_is_slow_is_not_late_after_its_birth() {
    let mut desk = Desk::new();
    desk.birth(0, 5000.0);
    let times = told_times(&mut desk, 5001.0, 1.0, 3600.0);
    assert_eq!((times[0], times[99]), (5001.0, 5100.0), "each holds from the time it was received");
    let mut desk = Desk::new();
    desk.birth(0, 5000.0);
    let times = told_times(&mut desk, 5000.0, 0.05, 0.2);
    assert!(times.is_sorted() && times[0] >= 5000.0, "{times:?}");
    assert!((times[99] - 5004.75).abs() < 0.001, "one that is late by little has its own times again: {times:?}");
}

#[test]
fn a_metric_that_comes_back_or_is_mapped_to_another_tag_holds_from_then() {
    let mut desk = Desk::born();
    let without = |desk: &mut Desk, seconds| desk.say("NBIRTH", Some(0), vec![payload::bd_seq_metric(3, 0)], seconds);
    assert_eq!(without(&mut desk, 5.0).samples[0].source_ts, now(5.0).wall);
    let back = desk.say("NBIRTH", Some(0), vec![payload::bd_seq_metric(3, 0), speed(2.0, 1.0)], 6.0);
    assert_eq!((told(&back), back.samples[0].source_ts), (vec![good(SPEED, Value::Double(2.0))], now(6.0).wall));

    let mut targets = Targets::default();
    targets.insert(&address(None, "other"), SPEED);
    targets.insert(&address(None, "Motor/speed"), TagId(8));
    let other = metric("other", 12, DataType::Double, MetricValue::Double(9.0), 1.0);
    desk.say("NBIRTH", Some(0), vec![payload::bd_seq_metric(3, 0), speed(2.0, 7.0), other.clone()], 7.0);
    let outcome = desk.0.set_targets(targets, now(20.0));
    assert_eq!(told(&outcome), [good(TagId(8), Value::Double(2.0)), good(SPEED, Value::Double(9.0))]);
    assert!(outcome.samples.iter().all(|sample| sample.source_ts == now(20.0).wall), "{outcome:?}");
    // A value of before is not told as one of before either.
    let outcome = desk.say("NDATA", Some(1), vec![data(Metric { timestamp: Some(at(19.0)), ..other })], 21.0);
    assert!(outcome.samples[0].source_ts >= now(20.0).wall, "{outcome:?}");
}

#[test]
fn a_long_text_that_is_mapped_later_comes_with_the_next_birth_and_holds_from_then() {
    let mut desk = Desk::new();
    let long = metric("recipe", 12, DataType::String, MetricValue::Text("x".repeat(TEXT_OVER)), 1.0);
    let births = |desk: &mut Desk, seconds| desk.say("NBIRTH", Some(0), vec![long.clone()], seconds);
    births(&mut desk, 2.0);
    let mut targets = Targets::default();
    targets.insert(&address(None, "recipe"), SPEED);
    let outcome = desk.0.set_targets(targets, now(20.0));
    assert!(outcome.samples.is_empty() && asks_for_birth(&outcome), "{outcome:?}");
    assert!(births(&mut desk, 21.0).samples[0].source_ts >= now(20.0).wall);
}

#[test]
fn a_metric_that_becomes_a_table_is_out_of_service() {
    let mut desk = Desk::born();
    let table = metric("Motor/speed", 1, DataType::DataSet, MetricValue::DataSet(Box::default()), 5.0);
    let births =
        |desk: &mut Desk, own, seconds| desk.say("NBIRTH", Some(0), vec![payload::bd_seq_metric(3, 0), own], seconds);
    let outcome = births(&mut desk, table, 5.0);
    assert_eq!(told(&outcome), [(SPEED, Value::Null, StatusCode::BAD_OUT_OF_SERVICE)]);
    let outcome = births(&mut desk, speed(3.0, 4.0), 6.0);
    assert_eq!((told(&outcome), outcome.samples[0].source_ts), (vec![good(SPEED, Value::Double(3.0))], now(6.0).wall));
}

#[test]
fn what_is_bad_is_no_better_after_a_gap() {
    let mut desk = Desk::born();
    let (key, value) = payload::quality_property(StatusCode::BAD).expect("a property");
    desk.say(
        "NDATA",
        Some(2),
        vec![Metric { properties: payload::properties([(key, value)]), ..data(speed(2.0, 1.0)) }],
        1.0,
    );
    desk.speed(4, 3.0, 1.0);
    let outcome = desk.0.tick(now(3.0));
    assert_eq!(told(&outcome), [(LAMP, Value::Boolean(true), StatusCode::UNCERTAIN_LAST_USABLE_VALUE)]);
    assert_eq!(told(&desk.death(3, 4.0)), [stale(SPEED), stale(LAMP)]);
}

#[test]
fn tck_id_operational_behavior_edge_node_termination_host_action_ddeath_devices_tags_stale() {
    let mut desk = Desk::born();
    let outcome = desk.say("DDEATH d", Some(2), vec![], 5.0);
    assert_eq!(told(&outcome), [stale(LAMP)]);
    let online: Vec<_> = desk.0.states().into_iter().map(|state| state.online).collect();
    assert_eq!(online, [true, false]);
    assert!(asks_for_birth(&desk.say("DDATA d", Some(3), vec![data(lamp(true, 6.0))], 6.0)));
}

#[test]
fn a_birth_of_a_new_session_makes_its_devices_stale_and_one_of_the_same_waits_for_them() {
    let mut desk = Desk::born();
    assert_eq!(told(&desk.birth(4, 5.0)), [good(SPEED, Value::Double(1.0)), stale(LAMP)]);
    let mut desk = Desk::born();
    assert_eq!(told(&desk.birth(3, 5.0)), [good(SPEED, Value::Double(1.0))]);
    assert_eq!(desk.0.tick(now(6.9)), Outcome::default());
    assert_eq!(told(&desk.0.tick(now(7.0))), [stale(LAMP)]);
}

#[test]
fn data_without_a_birth_asks_for_one_at_a_bounded_rate() {
    let mut desk = Desk::new();
    let outcome = desk.speed(7, 1.0, 0.0);
    assert!(asks_for_birth(&outcome) && outcome.samples.is_empty());
    let mut asked = Vec::new();
    for tenths in 1..3000 {
        let seconds = f64::from(tenths) / 10.0;
        let mut outcome = desk.speed(8, 1.0, seconds);
        outcome.send.append(&mut desk.0.tick(now(seconds)).send);
        asked.extend(outcome.send.iter().map(|_| seconds));
    }
    assert_eq!(asked, [10.0, 30.0, 70.0, 150.0], "ten seconds, then twice as long each time");
    desk.birth(0, 300.0);
    assert!(desk.speed(1, 1.0, 301.0).send.is_empty());
}

/// When a birth was asked for within an hour of `message`, one each second, by a host that gets one from `birth` whenever it asks.
fn asked(mut desk: Desk, birth: impl Fn(&mut Desk, f64), message: impl Fn(&mut Desk, f64) -> Outcome) -> Vec<f64> {
    birth(&mut desk, 0.0);
    let mut asked = Vec::new();
    for second in 1..3600 {
        let seconds = f64::from(second);
        let mut outcome = message(&mut desk, seconds);
        outcome.send.append(&mut desk.0.tick(now(seconds)).send);
        if !outcome.send.is_empty() {
            asked.push(seconds);
            birth(&mut desk, seconds);
        }
    }
    asked
}

#[test]
fn births_that_do_not_mend_it_are_asked_for_ever_less_often() {
    let seldom =
        [1.0, 21.0, 61.0, 141.0, 301.0, 601.0, 901.0, 1201.0, 1501.0, 1801.0, 2101.0, 2401.0, 2701.0, 3001.0, 3301.0];
    let birth = |desk: &mut Desk, seconds| drop(desk.birth(0, seconds));
    // Its numbers never go on after a birth.
    assert_eq!(asked(Desk::new(), birth, |desk, seconds| desk.speed(0, 1.0, seconds)), seldom);
    let next = |desk: &Desk| u64::from(desk.0.node(&address(None, "x").node).expect("known").next_seq());
    // It sends what is not in its birth, among good data.
    let odd = |desk: &mut Desk, seconds| {
        let mut good = desk.speed(next(desk), 1.0, seconds);
        assert_eq!(good.samples.len(), 1);
        let other = metric("other", 99, DataType::Double, MetricValue::Double(1.0), seconds);
        good.send.append(&mut desk.say("NDATA", Some(next(desk)), vec![data(other)], seconds).send);
        good
    };
    assert_eq!(asked(Desk::new(), birth, odd), seldom);
    let unborn =
        |desk: &mut Desk, seconds| desk.say("DDATA d", Some(next(desk)), vec![data(lamp(true, seconds))], seconds);
    assert_eq!(asked(Desk::new(), birth, unborn), seldom);
}

#[test]
fn data_that_are_taken_make_the_next_loss_asked_for_soon() {
    let mut desk = Desk::born();
    for n in 0..20_u32 {
        let seconds = f64::from(n) * 11.0 + 1.0;
        desk.speed(9, 1.0, seconds);
        assert!(asks_for_birth(&desk.0.tick(now(seconds + 2.0))), "the {n}th loss");
        desk.birth(3, seconds + 3.0);
        assert_eq!(desk.speed(1, 1.0, seconds + 4.0).samples.len(), 1);
    }
}

#[test]
fn nobody_is_asked_for_what_a_bound_cut_off() {
    let mut desk = Desk::with(HostOptions { devices: 1, metrics: 2, ..HostOptions::default() });
    let extra = metric("extra", 21, DataType::Boolean, MetricValue::Boolean(true), 0.0);
    let births = |desk: &mut Desk, seconds| {
        desk.say("NBIRTH", Some(0), vec![speed(1.0, seconds)], seconds);
        let told = desk.say("DBIRTH d", Some(1), vec![lamp(true, seconds), extra.clone()], seconds);
        assert!(told.notes.contains(&Note::TooMany("metrics", 2)), "{told:?}");
        assert_eq!(
            desk.say("DBIRTH e", Some(2), vec![lamp(true, seconds)], seconds).notes,
            [Note::TooMany("devices", 1)]
        );
    };
    births(&mut desk, 0.0);
    let both = vec![data(extra.clone()), data(lamp(false, 1.0))];
    let outcome = desk.say("DDATA d", Some(3), both, 1.0);
    assert_eq!(
        (told(&outcome), outcome.send.len(), outcome.notes.len()),
        (vec![good(LAMP, Value::Boolean(false))], 0, 0)
    );
    let outcome = desk.say("DDATA e", Some(4), vec![data(lamp(true, 1.0))], 1.0);
    assert_eq!(outcome, Outcome::default());
    let odd = Metric { datatype: Some(DataType::Int8.code()), ..lamp(true, 2.0) };
    assert!(asks_for_birth(&desk.say("DDATA d", Some(5), vec![odd], 2.0)), "what is known and odd is asked for");
}

#[test]
fn a_node_that_somebody_has_seen_is_asked_for_a_birth_until_it_is_born() {
    let mut desk = Desk::new();
    let name = address(None, "x").node;
    desk.0.expect(&name, now(0.0));
    assert!(asks_for_birth(&desk.0.tick(now(0.1))));
    assert!(asks_for_birth(&desk.0.tick(now(10.2))), "a request may get lost");
    desk.birth(0, 11.0);
    desk.0.expect(&name, now(12.0));
    assert_eq!(desk.0.tick(now(400.0)), Outcome::default());
    desk.0.expect(&NodeName::new("other", "n").expect("a name"), now(0.0));
    assert_eq!(desk.0.states().len(), 1, "of another group");
}

#[test]
fn a_storm_of_unknown_nodes_is_asked_a_few_at_a_time() {
    let mut desk = Desk::new();
    let data = Payload { seq: Some(9), ..Payload::default() }.encode_to_vec();
    let mut sent = 0;
    for n in 0..100 {
        sent += desk.0.handle(&format!("spBv1.0/g/NDATA/n{n}"), &data, now(0.0)).send.len();
    }
    assert_eq!(sent, 20);
    for quarter in 1..=40 {
        sent += desk.0.tick(now(f64::from(quarter) / 4.0 - 0.01)).send.len();
    }
    assert_eq!(sent, 100, "each in the end, and once");
}

#[test]
fn what_the_birth_does_not_have_is_left_aside_and_a_birth_is_asked_for() {
    for odd in [
        data(metric("", 99, DataType::Double, MetricValue::Double(1.0), 1.0)),
        metric("other", 99, DataType::Double, MetricValue::Double(1.0), 1.0),
        metric("Motor/speed", 10, DataType::Boolean, MetricValue::Boolean(true), 1.0),
        Metric::default(),
    ] {
        let outcome = Desk::born().say("NDATA", Some(2), vec![odd, data(speed(5.0, 1.0))], 1.0);
        assert_eq!(told(&outcome), [good(SPEED, Value::Double(5.0))]);
        assert!(asks_for_birth(&outcome) && matches!(outcome.notes[..], [Note::Unknown(..)]), "{outcome:?}");
    }
}

#[test]
fn tck_id_payloads_alias_uniqueness() {
    let mut desk = Desk::new();
    let twin = metric("twin", 10, DataType::Double, MetricValue::Double(0.0), 0.0);
    desk.say("NBIRTH", Some(0), vec![speed(1.0, 0.0), twin], 0.0);
    let outcome = desk.speed(1, 9.0, 1.0);
    assert!(outcome.samples.is_empty() && asks_for_birth(&outcome), "an alias that two have stands for neither");
    for times in 3..6 {
        let mut desk = Desk::new();
        let twin = |n| metric(&format!("twin {n}"), 10, DataType::Double, MetricValue::Double(0.0), 0.0);
        let mut metrics: Vec<_> = (1..times).map(twin).collect();
        metrics.push(speed(1.0, 0.0));
        desk.say("NBIRTH", Some(0), metrics, 0.0);
        assert!(desk.speed(1, 9.0, 1.0).samples.is_empty(), "nor for one of {times}");
    }
    // A name that stands there twice gives up its first alias.
    let mut desk = Desk::new();
    let again = Metric { alias: Some(30), ..speed(2.0, 0.0) };
    desk.say("NBIRTH", Some(0), vec![speed(1.0, 0.0), again, lamp(true, 0.0)], 0.0);
    assert!(desk.speed(1, 9.0, 1.0).samples.is_empty());
    let outcome = desk.say("NDATA", Some(2), vec![data(Metric { alias: Some(30), ..speed(9.0, 1.0) })], 1.0);
    assert_eq!(told(&outcome), [good(SPEED, Value::Double(9.0))]);
}

#[test]
fn a_birth_tells_the_unit_and_it_is_known_after_a_restart() {
    let with = |unit: &str, metric: Metric| Metric {
        properties: payload::properties([payload::text_property("engUnit", unit)]),
        ..metric
    };
    let mut desk = Desk::new();
    let long = with(&"x".repeat(33), metric("long", 11, DataType::Double, MetricValue::Double(0.0), 0.0));
    let metrics = vec![payload::bd_seq_metric(3, at(0.0)), with(" rpm ", speed(1.0, 0.0)), long];
    desk.say("NBIRTH", Some(0), metrics, 0.0);
    let units = |desk: &Desk| {
        let found = desk.0.found().into_iter().filter(|found| &*found.address.metric != payload::BD_SEQ);
        found.map(|found| found.unit.map(String::from)).collect::<Vec<_>>()
    };
    assert_eq!(units(&desk), [Some("rpm".to_owned()), None]);
    let mut later = Desk::new();
    later.0.restore(&desk.0.save(), now(1.0)).expect("restored");
    assert_eq!(units(&later), [Some("rpm".to_owned()), None]);
}

#[test]
fn qualities_nulls_history_and_odd_values_are_what_they_say() {
    let mut desk = Desk::born();
    let (key, value) = payload::quality_property(StatusCode::BAD).expect("a property");
    let bad = Metric { properties: payload::properties([(key, value)]), ..data(speed(2.0, 1.0)) };
    let null = Metric { is_null: Some(true), value: None, ..data(speed(0.0, 2.0)) };
    let old = Metric { is_historical: Some(true), ..data(speed(8.0, -100.0)) };
    let nan = Metric { value: Some(MetricValue::Double(f64::NAN)), ..data(speed(0.0, 3.0)) };
    let outcome = desk.say("NDATA", Some(2), vec![bad, null, old, nan], 3.0);
    let expected = [
        (SPEED, Value::Double(2.0), StatusCode::BAD),
        (SPEED, Value::Null, StatusCode::BAD_NO_DATA),
        good(SPEED, Value::Double(8.0)),
        (SPEED, Value::Null, StatusCode::BAD_OUT_OF_RANGE),
    ];
    assert_eq!(told(&outcome), expected);
    assert_eq!(outcome.samples[2].source_ts, now(-100.0).wall);
    let found = desk.0.found().into_iter().find(|found| found.tag == Some(SPEED)).expect("found");
    assert_eq!(
        (found.value, found.quality),
        (Value::Null, StatusCode::BAD_OUT_OF_RANGE),
        "history is no current value"
    );
}

#[test]
fn what_no_tag_can_take_is_listed_and_left_out() {
    let mut desk = Desk::new();
    let table = metric("Motor/speed", 1, DataType::DataSet, MetricValue::DataSet(Box::default()), 0.0);
    let odd = Metric { datatype: Some(77), ..metric("odd", 2, DataType::Int8, MetricValue::Int(1), 0.0) };
    let outcome = desk.say("NBIRTH", Some(0), vec![table, odd], 0.0);
    assert!(outcome.samples.is_empty());
    let kinds: Vec<_> = desk.0.found().into_iter().map(|found| (found.data_type, found.tag_type)).collect();
    assert_eq!(kinds, [(Some(DataType::DataSet), None), (None, None)]);
}

#[test]
fn a_metric_that_a_new_birth_does_not_have_is_out_of_service() {
    let mut desk = Desk::born();
    let outcome = desk.say("NBIRTH", Some(0), vec![payload::bd_seq_metric(3, 0)], 5.0);
    assert_eq!(told(&outcome), [(SPEED, Value::Null, StatusCode::BAD_OUT_OF_SERVICE)]);
}

#[test]
fn a_tag_that_is_mapped_later_comes_with_the_value_there_is() {
    let mut desk = Desk::born();
    let mut targets = desk.0.targets.clone();
    targets.insert(&address(None, "bdSeq"), TagId(9));
    let outcome = desk.0.set_targets(targets, now(5.0));
    assert_eq!(told(&outcome), [good(TagId(9), Value::Int64(3))]);
}

#[test]
fn commands_are_sent_by_alias_or_name_and_only_to_whom_is_there() {
    let mut desk = Desk::born();
    let lamp = address(Some("d"), "lamp");
    let sent = |desk: &Desk, address: &Address, value| {
        let message = desk.0.command(address, &value, now(1.0).wall)?;
        let payload = payload::decode(&message.payload, &Limits::default()).expect("a payload");
        assert_eq!((payload.seq, payload.timestamp), (None, Some(at(1.0))), "[tck-id-payloads-dcmd-seq]");
        Ok((message.topic, payload.metrics[0].clone()))
    };
    let (topic, metric) = sent(&desk, &lamp, Value::Boolean(true)).expect("sent");
    assert_eq!(topic, "spBv1.0/g/DCMD/n/d");
    assert_eq!((metric.name, metric.alias, metric.value), (None, Some(20), Some(MetricValue::Boolean(true))));
    let (topic, metric) = sent(&desk, &address(None, "Motor/speed"), Value::Int64(4)).expect("sent");
    assert_eq!((topic.as_str(), metric.value), ("spBv1.0/g/NCMD/n", Some(MetricValue::Double(4.0))));
    assert!(matches!(sent(&desk, &lamp, Value::Double(0.5)), Err(CommandError::Value(_))));
    assert!(matches!(sent(&desk, &address(None, "x"), Value::Null), Err(CommandError::NoMetric(_))));
    desk.0.options.command_by = CommandBy::Name;
    let (_, metric) = sent(&desk, &lamp, Value::Boolean(true)).expect("sent");
    assert_eq!((metric.name.as_deref(), metric.alias), (Some("lamp"), None));
    desk.say("DDEATH d", Some(2), vec![], 5.0);
    assert!(matches!(sent(&desk, &lamp, Value::Boolean(true)), Err(CommandError::Offline(_))));
    desk.death(3, 6.0);
    assert!(matches!(sent(&desk, &address(None, "Motor/speed"), Value::Int64(4)), Err(CommandError::Offline(_))));
}

#[test]
fn what_somebody_else_commands_is_read_by_name_and_by_alias() {
    let desk = Desk::born();
    let by_alias = Payload { metrics: vec![data(lamp(false, 0.0))], ..Payload::default() }.encode_to_vec();
    let wanted = desk.0.wanted_by("spBv1.0/g/DCMD/n/d", &by_alias);
    assert_eq!(wanted, Some(vec![(address(Some("d"), "lamp"), Value::Boolean(false))]));
    let rebirth = payload::rebirth_request(now(0.0).wall);
    let wanted = desk.0.wanted_by("spBv1.0/g/NCMD/n", &rebirth).expect("read");
    assert_eq!(&*wanted[0].0.metric, payload::REBIRTH);
    let wanted_by = |desk: &Desk, metric: Metric| {
        let payload = Payload { metrics: vec![metric], ..Payload::default() };
        desk.0.wanted_by("spBv1.0/g/DCMD/n/d", &payload.encode_to_vec()).map(|wanted| wanted[0].0.metric.to_string())
    };
    assert_eq!(wanted_by(&desk, Metric { alias: Some(99), ..Metric::default() }), None);
    assert_eq!(wanted_by(&desk, lamp(false, 0.0)).as_deref(), Some("lamp"), "both, and of the same");
    for (name, alias) in [("other", 20), ("lamp", 99), ("lamp", 10)] {
        let odd = Metric { name: Some(name.to_owned()), alias: Some(alias), ..lamp(false, 0.0) };
        assert_eq!(wanted_by(&desk, odd), None, "{name} is not {alias}");
    }
    let mut desk = desk;
    desk.say("DDEATH d", Some(2), vec![], 5.0);
    assert_eq!(wanted_by(&desk, data(lamp(false, 6.0))), None, "its next birth may give the alias to another one");
    let by_name = Metric { alias: None, ..lamp(false, 6.0) };
    assert_eq!(wanted_by(&desk, by_name).as_deref(), Some("lamp"));
}

#[test]
fn how_many_are_online_and_what_each_has_is_told() {
    let mut desk = Desk::born();
    let birth = Payload { seq: Some(0), ..Payload::default() }.encode_to_vec();
    desk.0.handle("spBv1.0/g/NBIRTH/n2", &birth, now(0.0));
    assert_eq!(desk.0.online(), (2, 2));
    desk.death(3, 5.0);
    assert_eq!((desk.0.online(), desk.0.nodes().len()), ((1, 2), 2));
    assert_eq!(desk.0.found_of(&address(None, "x").node).len(), 3);
    assert_eq!(desk.0.quality(&address(Some("d"), "lamp")), Some(StatusCode::BAD_NO_COMMUNICATION));
    assert_eq!(desk.0.quality(&address(Some("d"), "none")), None);
}

#[test]
fn how_often_a_birth_was_asked_for_and_what_was_odd_is_told_of_the_edge_node() {
    let mut desk = Desk::born();
    let states = |desk: &Desk| {
        let states = desk.0.states_of(&address(None, "x").node);
        states.into_iter().map(|state| (state.births_asked, state.trouble)).collect::<Vec<_>>()
    };
    assert_eq!(states(&desk), [(0, None), (0, None)]);
    desk.speed(9, 1.0, 5.0);
    desk.0.tick(now(7.0));
    let gap = Note::Gap(address(None, "x").node, 2).to_string();
    assert_eq!(states(&desk), [(1, Some((now(7.0).wall, gap.clone()))), (0, None)]);
    desk.birth(3, 8.0);
    assert_eq!(states(&desk)[0], (1, Some((now(7.0).wall, gap))), "kept after it is over");
    desk.say("DDATA e", Some(1), vec![], 9.0);
    let (_, trouble) = &states(&desk)[0];
    assert!(trouble.as_ref().is_some_and(|(at, text)| *at == now(9.0).wall && text.contains("g/n/e")), "{trouble:?}");
}

#[test]
fn names_of_strangers_are_told_so_that_all_is_seen() {
    let mut desk = Desk::new();
    let topic = "spBv1.0/g/NBIRTH/a\u{202e}b";
    let node = NodeName::new("g", "a\u{202e}b").expect("a name");
    let mut notes =
        desk.0.handle(topic, &Payload { seq: Some(0), ..Payload::default() }.encode_to_vec(), now(0.0)).notes;
    notes.append(&mut desk.0.handle(topic, b"\xff", now(1.0)).notes);
    notes.extend([
        Note::Gap(node.clone(), 3),
        Note::Unborn(node.clone(), Some("\u{202e}".into())),
        Note::OldDeath(node),
    ]);
    assert_eq!(notes.len(), 5);
    for note in notes.iter().map(ToString::to_string) {
        assert!(note.contains(r"\u{202e}") && !note.contains('\u{202e}'), "{note}");
    }
}

#[test]
fn over_a_restart_names_are_kept_and_nothing_counts_before_the_next_birth() {
    let saved = Desk::born().0.save();
    let mut desk = Desk::new();
    let outcome = desk.0.restore(&saved, now(100.0)).expect("restored");
    assert_eq!(told(&outcome), [stale(SPEED), stale(LAMP)]);
    assert_eq!(desk.0.found().len(), 3);
    let outcome = desk.speed(2, 5.0, 101.0);
    assert!(outcome.samples.is_empty() && asks_for_birth(&outcome), "an alias may have changed meanwhile");
    assert!(told(&desk.birth(4, 102.0)).contains(&good(SPEED, Value::Double(1.0))));
    assert_eq!(Desk::new().0.restore(b"\x08\x02", now(0.0)), Err(RestoreError::Format(2)));
    assert!(matches!(Desk::new().0.restore(b"\xff", now(0.0)), Err(RestoreError::Damaged(_))));
}

/// Names in a room for four, with who is known of them after each message.
fn room(messages: &[(&str, &str)]) -> Vec<String> {
    let mut targets = Targets::default();
    targets.insert(&address(None, "Motor/speed"), SPEED);
    let mut host = Host::new(HostOptions { nodes: 4, ..HostOptions::default() }, targets);
    let mut known = Vec::new();
    for (second, (verb, node)) in (0_u32..).zip(messages) {
        let seconds = f64::from(second);
        let metrics = vec![payload::bd_seq_metric(1, at(seconds)), speed(1.0, seconds)];
        let payload = Payload { timestamp: Some(at(seconds)), metrics, seq: Some(0), ..Payload::default() };
        host.handle(&format!("spBv1.0/g/{verb}/{node}"), &payload.encode_to_vec(), now(seconds));
        let mut names: Vec<String> = host.nodes().iter().map(|name| name.node.to_string()).collect();
        names.sort();
        known.push(names.join(" "));
    }
    let counted: usize = host.nodes().iter().map(|name| host.found_of(name).len()).sum();
    assert_eq!(host.counts.metrics, counted, "what was forgotten counts for nothing");
    known
}

#[test]
fn names_that_somebody_invents_keep_nobody_out() {
    let invented = [("NDATA", "x1"), ("NDATA", "x2"), ("NDATA", "x3"), ("NDATA", "x4")];
    let known = room(&[&invented[..], &[("NBIRTH", "a"), ("NBIRTH", "b"), ("NDATA", "x5")]].concat());
    assert_eq!(known[3..], ["x1 x2 x3 x4", "a x2 x3 x4", "a b x3 x4", "a b x4 x5"], "the oldest goes first");
    let dead = [("NBIRTH", NODE), ("NDEATH", NODE), ("NBIRTH", "a"), ("NDEATH", "a"), ("NBIRTH", "b"), ("NDATA", "x1")];
    let known = room(&[&dead[..], &[("NBIRTH", "c"), ("NBIRTH", "d"), ("NBIRTH", "e")]].concat());
    assert_eq!(
        known[5..],
        ["a b n x1", "a b c n", "b c d n", "b c d n"],
        "then the dead; who has tags and who is there stays"
    );
}

#[test]
fn a_birth_finds_the_room_that_the_dead_took() {
    let mut host = Host::new(HostOptions { metrics: 3, devices: 1, ..HostOptions::default() }, Targets::default());
    let mut say = |topic: &str, metrics: Vec<Metric>| {
        let payload = Payload { timestamp: Some(at(0.0)), metrics, seq: Some(0), ..Payload::default() };
        let notes = host.handle(topic, &payload.encode_to_vec(), now(0.0)).notes;
        notes.into_iter().filter(|note| matches!(note, Note::TooMany(..))).collect::<Vec<_>>()
    };
    let three = || vec![payload::bd_seq_metric(1, at(0.0)), speed(1.0, 0.0), lamp(true, 0.0)];
    assert_eq!(say("spBv1.0/g/NBIRTH/x", three()), []);
    assert_eq!(say("spBv1.0/g/NBIRTH/a", three()), [Note::TooMany("metrics", 3)], "x is there");
    assert_eq!(say("spBv1.0/g/NDEATH/x", vec![payload::bd_seq_metric(1, at(0.0))]), []);
    assert_eq!(say("spBv1.0/g/NBIRTH/a", three()), []);
    assert_eq!(say("spBv1.0/g/NBIRTH/a", three()), [], "its own places are its own");
}

/// A host that knows one mapped edge node by name, with a birth of so many metrics said on a topic; what there was no room for.
fn born_at(host: &mut Host, topic: &str, seq: Option<u64>, metrics: usize, seconds: f64) -> Vec<Note> {
    let many = (0..metrics).map(|n| match n {
        0 => speed(1.0, seconds),
        n => metric(&format!("m{n}"), 10 + n as u64, DataType::Boolean, MetricValue::Boolean(true), seconds),
    });
    let payload = Payload { timestamp: Some(at(seconds)), metrics: many.collect(), seq, ..Payload::default() };
    let notes = host.handle(&format!("spBv1.0/g/{topic}"), &payload.encode_to_vec(), now(seconds)).notes;
    notes.into_iter().filter(|note| matches!(note, Note::TooMany(..) | Note::Refused(..))).collect()
}

fn small_host(options: HostOptions) -> Host {
    let mut targets = Targets::default();
    targets.insert(&address(None, "Motor/speed"), SPEED);
    Host::new(options, targets)
}

fn names_of(host: &Host) -> Vec<String> {
    let mut names: Vec<String> = host.nodes().iter().map(|name| name.node.to_string()).collect();
    names.sort();
    names
}

#[test]
fn births_that_somebody_invents_keep_nobody_out_that_has_tags() {
    let births = [("NBIRTH", "x1"), ("NBIRTH", "x2"), ("NDATA", "x3"), ("NBIRTH", "x4")];
    let more = [("NBIRTH", "a"), ("NBIRTH", "b"), ("NBIRTH", NODE), ("NBIRTH", "c"), ("NDEATH", NODE), ("NBIRTH", "d")];
    let known = room(&[&births[..], &more].concat());
    assert_eq!(known[4..], ["a x1 x2 x4", "a x1 x2 x4", "a n x2 x4", "a n x2 x4", "a n x2 x4", "a n x2 x4"]);
    // The same of places for metrics and devices.
    let mut host = small_host(HostOptions { metrics: 3, devices: 1, ..HostOptions::default() });
    assert_eq!(born_at(&mut host, "NBIRTH/x", Some(0), 0, 0.0), []);
    assert_eq!(born_at(&mut host, "DBIRTH/x/d", Some(1), 2, 0.0), []);
    assert_eq!(born_at(&mut host, "NBIRTH/y", Some(0), 2, 1.0), [Note::TooMany("metrics", 3)]);
    assert_eq!(born_at(&mut host, "NBIRTH/n", Some(0), 2, 2.0), []);
    assert_eq!((names_of(&host), host.counts.devices), (vec!["n".to_owned(), "y".to_owned()], 0), "the older one goes");
    assert_eq!(born_at(&mut host, "DBIRTH/n/d", Some(1), 1, 3.0), []);
    assert_eq!((names_of(&host), host.counts.metrics), (vec!["n".to_owned()], 3));
    // Even where that is not enough.
    assert_eq!(born_at(&mut host, "NBIRTH/z", Some(0), 0, 4.0), []);
    assert_eq!(born_at(&mut host, "NBIRTH/n", Some(0), 9, 5.0), [Note::TooMany("metrics", 3)]);
    assert_eq!(names_of(&host), ["n"]);
}

#[test]
fn nobody_gives_way_for_nothing() {
    let dead = |host: &mut Host, name: &str, metrics: usize, seconds: f64| {
        born_at(host, &format!("NBIRTH/{name}"), Some(0), metrics, seconds);
        born_at(host, &format!("NDEATH/{name}"), None, 0, seconds);
    };
    // Not for a birth that is not taken.
    let mut host = small_host(HostOptions { nodes: 3, metrics: 3, ..HostOptions::default() });
    dead(&mut host, "x", 2, 0.0);
    assert_eq!(born_at(&mut host, "NBIRTH/a", Some(0), 1, 1.0), []);
    let refused = born_at(&mut host, "NBIRTH/a", None, 3, 2.0);
    assert!(matches!(refused[..], [Note::Refused(..)]) && names_of(&host) == ["a", "x"], "{refused:?}");
    for seq in [None, Some(200), Some(256)] {
        born_at(&mut host, "DBIRTH/a/d", seq, 2, 3.0);
        assert_eq!(names_of(&host), ["a", "x"], "{seq:?}");
    }
    born_at(&mut host, "NBIRTH/a", Some(0), 1, 4.0);
    assert_eq!(born_at(&mut host, "DBIRTH/a/d", Some(1), 2, 4.0), []);
    assert_eq!(names_of(&host), ["a"]);
    // Not if that is not enough.
    let mut host = small_host(HostOptions { metrics: 4, ..HostOptions::default() });
    dead(&mut host, "x", 2, 0.0);
    born_at(&mut host, "NBIRTH/a", Some(0), 2, 1.0);
    assert_eq!(born_at(&mut host, "NBIRTH/b", Some(0), 3, 2.0), [Note::TooMany("metrics", 4)]);
    assert_eq!(names_of(&host), ["a", "b", "x"]);
    // And of those who were born no more than are needed.
    let mut host = small_host(HostOptions { nodes: 200, ..HostOptions::default() });
    (0..200).for_each(|n| dead(&mut host, &format!("x{n}"), 1, f64::from(n)));
    born_at(&mut host, "NBIRTH/a", Some(0), 0, 300.0);
    assert_eq!(host.nodes().len(), 200);
}

#[test]
fn who_was_never_born_is_not_kept_over_a_restart() {
    let mut desk = Desk::born();
    let stranger = Payload { seq: Some(0), ..Payload::default() }.encode_to_vec();
    desk.0.handle("spBv1.0/g/NDATA/x", &stranger, now(1.0));
    assert_eq!(desk.0.nodes().len(), 2);
    let mut later = Desk::new();
    later.0.restore(&desk.0.save(), now(2.0)).expect("restored");
    assert_eq!(later.0.nodes().iter().map(|name| &*name.node).collect::<Vec<_>>(), [NODE]);
}

#[test]
fn everything_has_a_bound_and_the_rest_is_told() {
    let options = HostOptions { nodes: 2, devices: 1, metrics: 3, held_bytes: 600, ..HostOptions::default() };
    let mut desk = Desk::with(options);
    desk.birth(0, 0.0);
    let two = vec![lamp(true, 0.0), metric("b", 21, DataType::Boolean, MetricValue::Boolean(true), 0.0)];
    let outcome = desk.say("DBIRTH d", Some(1), two, 0.0);
    assert!(outcome.notes.contains(&Note::TooMany("metrics", 3)) && desk.0.found().len() == 3);
    assert_eq!(desk.say("DBIRTH e", Some(2), vec![], 0.0).notes, [Note::TooMany("devices", 1)]);
    desk.speed(4, 1.0, 1.0);
    desk.speed(5, 1.0, 1.0);
    let over = desk.speed(6, 1.0, 1.0);
    assert!(matches!(over.notes[..], [Note::Gap(..)]), "what waits is bounded: {over:?}");
    assert_eq!(desk.0.counts.held_bytes, 0);
    let birth = Payload { seq: Some(0), ..Payload::default() }.encode_to_vec();
    desk.0.handle("spBv1.0/g/NBIRTH/n2", &birth, now(0.0));
    let outcome = desk.0.handle("spBv1.0/g/NBIRTH/n3", &birth, now(0.0));
    assert_eq!(outcome.notes, [Note::TooMany("edge nodes", 2)]);
    // A smaller birth gives its places back.
    desk.say("NBIRTH", Some(0), vec![], 2.0);
    assert_eq!(desk.0.counts.metrics, desk.0.found().len());
}

#[test]
fn tck_id_case_sensitivity_metric_names_and_other_groups() {
    let mut desk = Desk::new();
    assert_eq!(desk.0.handle("spBv1.0/G/NBIRTH/n", b"", now(0.0)), Outcome::default());
    let upper = metric("MOTOR/speed", 1, DataType::Double, MetricValue::Double(1.0), 0.0);
    assert!(desk.say("NBIRTH", Some(0), vec![upper], 0.0).samples.is_empty());
}

#[test]
fn what_cannot_be_read_is_told_and_its_number_missed() {
    let mut desk = Desk::born();
    let outcome = desk.0.handle("spBv1.0/g/NDATA/n", b"\xff\xff", now(1.0));
    assert!(matches!(outcome.notes[..], [Note::Unreadable(..)]));
    desk.speed(3, 1.0, 1.0);
    assert!(asks_for_birth(&desk.0.tick(now(3.0))));
}

proptest! {
    /// A node whose aliases change with every birth, and whose data are lost, doubled and swapped on the way: a good value is only ever one
    /// that was sent under that name, and what is counted is what there is.
    #[test]
    fn a_value_is_never_given_out_under_another_name(steps in prop::collection::vec((0..12_u8, any::<bool>()), 0..80), twins in 0..4_usize) {
        let mut desk = Desk::new();
        let (mut swapped, mut seq, mut bd_seq, mut waiting) = (false, 0_u64, 0_u8, None);
        for (n, (what, flag)) in steps.into_iter().enumerate() {
            let seconds = f64::from(u32::try_from(n).expect("few")) / 2.0;
            let pair = |swapped: bool| {
                let (a, b) = if swapped { (11, 10) } else { (10, 11) };
                let other = metric("other", b, DataType::Double, MetricValue::Double(2.0), seconds);
                [Metric { alias: Some(a), ..speed(1.0, seconds) }, other]
            };
            let mut outcomes = Vec::new();
            match what {
                0 | 1 => {
                    (swapped, seq) = (flag, 0);
                    bd_seq = bd_seq.wrapping_add(what);
                    let [own, other] = pair(swapped);
                    // Others may have its alias as well; then it stands for none of them.
                    let twin = |n| Metric { name: Some(format!("twin {n}")), value: Some(MetricValue::Double(2.0)), ..own.clone() };
                    let mut metrics: Vec<_> = (0..twins).map(twin).collect();
                    metrics.extend([payload::bd_seq_metric(bd_seq, 0), own, other]);
                    outcomes.push(desk.say("NBIRTH", Some(0), metrics, seconds));
                }
                2 => outcomes.push(desk.death(if flag { bd_seq } else { bd_seq.wrapping_sub(1) }, seconds)),
                3 => outcomes.push(desk.0.tick(now(seconds))),
                _ => {
                    seq = (seq + 1) % 256;
                    let mut data = pair(swapped).map(data).to_vec();
                    if twins > 0 {
                        data[0].value = Some(MetricValue::Double(2.0));
                    }
                    match what {
                        // Lost on the way.
                        4 => {}
                        // Overtaken by the next one of the same session.
                        5 => waiting = Some((bd_seq, seq, data)),
                        _ => outcomes.push(desk.say("NDATA", Some(seq), data, seconds)),
                    }
                    if let Some((session, seq, data)) = waiting.take_if(|_| what != 5)
                        && session == bd_seq
                        && what != 6
                    {
                        outcomes.push(desk.say("NDATA", Some(seq), data.clone(), seconds));
                        if flag {
                            outcomes.push(desk.say("NDATA", Some(seq), data, seconds));
                        }
                    }
                }
            }
            if what < 2 {
                waiting = None;
            }
            for sample in outcomes.iter().flat_map(|outcome| &outcome.samples).filter(|sample| sample.tag == SPEED) {
                prop_assert!(!sample.quality.is_good() || sample.value == Value::Double(1.0), "{sample:?}");
            }
            prop_assert_eq!(desk.0.counts.metrics, desk.0.found().len());
            prop_assert!(desk.0.counts.held_bytes <= desk.0.options.held_bytes);
        }
        let saved = desk.0.save();
        prop_assert!(Desk::new().0.restore(&saved, now(0.0)).is_ok());
    }

    #[test]
    fn no_saved_bytes_panic(bytes: Vec<u8>) {
        let _ = Desk::new().0.restore(&bytes, now(0.0));
    }
}
