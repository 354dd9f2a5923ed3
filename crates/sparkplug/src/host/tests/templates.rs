//! Instances of templates: each member is a metric of its own.

use super::*;
use crate::proto::{PropertyKind, PropertyValue, Template};

const TEMPERATURE: TagId = TagId(11);
const RUNNING: TagId = TagId(12);
const DEPTH: TagId = TagId(13);
const PUMP: u64 = 70;

fn template(members: Vec<Metric>, is_definition: bool) -> MetricValue {
    let template_ref = (!is_definition).then(|| "Pump".to_owned());
    let version = Some("2.1".to_owned());
    MetricValue::Template(Box::new(Template {
        version,
        metrics: members,
        template_ref,
        is_definition: Some(is_definition),
        ..Template::default()
    }))
}

/// A member; without a time of its own.
fn member(name: &str, data_type: DataType, value: MetricValue) -> Metric {
    let (name, datatype) = (Some(name.to_owned()), Some(data_type.code()));
    Metric { name, datatype, value: Some(value), ..Metric::default() }
}

fn temperature(value: f64) -> Metric {
    member("temperature", DataType::Double, MetricValue::Double(value))
}

fn running(value: bool) -> Metric {
    member("running", DataType::Boolean, MetricValue::Boolean(value))
}

fn well(depth: u32) -> Metric {
    member("well", DataType::Template, template(vec![member("depth", DataType::Int32, MetricValue::Int(depth))], false))
}

fn pump(members: Vec<Metric>, seconds: f64) -> Metric {
    metric("Pump 1", PUMP, DataType::Template, template(members, false), seconds)
}

/// A pump with a temperature, a state, and a well, which is a template too; next is number 1.
fn desk_with(options: HostOptions) -> (Desk, Outcome) {
    let mut targets = Targets::default();
    targets.insert(&address(None, "Pump 1/temperature"), TEMPERATURE);
    targets.insert(&address(None, "Pump 1/running"), RUNNING);
    targets.insert(&address(None, "Pump 1/well/depth"), DEPTH);
    let mut desk = Desk(Host::new(HostOptions { groups: vec!["g".into()], ..options }, targets));
    let outcome = birth(&mut desk, pump(vec![temperature(20.0), running(false), well(7)], 0.0));
    (desk, outcome)
}

fn birth(desk: &mut Desk, pump: Metric) -> Outcome {
    let definition =
        metric("Pump", 0, DataType::Template, template(vec![temperature(0.0), running(false), well(0)], true), 0.0);
    let bd_seq = payload::bd_seq_metric(1, at(0.0));
    desk.say("NBIRTH", Some(0), vec![bd_seq, Metric { alias: None, ..definition }, pump], 0.0)
}

fn desk() -> Desk {
    desk_with(HostOptions::default()).0
}

#[test]
fn tck_id_payloads_template_instance_members_birth() {
    let (desk, outcome) = desk_with(HostOptions::default());
    let born =
        [good(TEMPERATURE, Value::Double(20.0)), good(RUNNING, Value::Boolean(false)), good(DEPTH, Value::Int64(7))];
    assert_eq!(told(&outcome), born);
    assert!(outcome.samples.iter().all(|sample| sample.source_ts == now(0.0).wall), "of the template's time");
    let found: Vec<String> = desk.0.found().iter().map(|found| found.address.metric.to_string()).collect();
    let names = ["Pump", "Pump 1", "Pump 1/running", "Pump 1/temperature", "Pump 1/well", "Pump 1/well/depth", "bdSeq"];
    assert_eq!(found, names, "the definition's members are no values");
}

#[test]
fn tck_id_payloads_template_instance_members_data() {
    let mut desk = desk();
    let outcome = desk.say("NDATA", Some(1), vec![data(pump(vec![running(true)], 3.0))], 5.0);
    assert_eq!(told(&outcome), [good(RUNNING, Value::Boolean(true))], "by the alias, and only some");
    assert_eq!(outcome.samples[0].source_ts, now(3.0).wall);
    let own = Metric { timestamp: Some(at(4.0)), ..temperature(21.0) };
    let by_name = Metric { alias: None, datatype: None, ..pump(vec![own, well(8)], 3.5) };
    let outcome = desk.say("NDATA", Some(2), vec![by_name], 5.0);
    assert_eq!(told(&outcome), [good(TEMPERATURE, Value::Double(21.0)), good(DEPTH, Value::Int64(8))]);
    assert_eq!(outcome.samples[0].source_ts, now(4.0).wall, "its own time");
    assert_eq!(outcome.samples[1].source_ts, now(3.5).wall);
    assert!(outcome.send.is_empty() && outcome.notes.is_empty(), "{outcome:?}");
}

#[test]
fn tck_id_payloads_template_instance_members() {
    let mut desk = desk();
    let strange = member("colour", DataType::Int32, MetricValue::Int(1));
    let outcome = desk.say("NDATA", Some(1), vec![data(pump(vec![strange, running(true)], 12.0))], 12.0);
    assert_eq!(told(&outcome), [good(RUNNING, Value::Boolean(true))]);
    assert_eq!(outcome.notes, [Note::Unknown(address(None, "").node, "the metric \"Pump 1/colour\"".to_owned())]);
    assert!(asks_for_birth(&outcome));
}

#[test]
fn a_member_has_quality_and_history_from_its_template() {
    let mut desk = desk();
    let stale = PropertyValue { kind: Some(3), is_null: None, value: Some(PropertyKind::Int(500)) };
    let good_property = PropertyValue { value: Some(PropertyKind::Int(192)), ..stale.clone() };
    let with = |value, metric| Metric { properties: payload::properties([("Quality".to_owned(), value)]), ..metric };
    let odd = with(stale, pump(vec![with(good_property, running(true)), temperature(1.0)], 3.0));
    let outcome = desk.say("NDATA", Some(1), vec![data(odd)], 3.0);
    let bad = (TEMPERATURE, Value::Double(1.0), StatusCode::BAD_NO_COMMUNICATION);
    assert_eq!(told(&outcome), [good(RUNNING, Value::Boolean(true)), bad]);
    let past = Metric { is_historical: Some(true), ..pump(vec![temperature(2.0)], 1.0) };
    let outcome = desk.say("NDATA", Some(2), vec![data(past)], 4.0);
    assert_eq!(outcome.samples[0].source_ts, now(1.0).wall);
    let found = desk.0.found().into_iter().find(|found| found.tag == Some(TEMPERATURE)).expect("found");
    assert_eq!(found.value, Value::Double(1.0), "what is historical is no current value");
}

fn null(seconds: f64) -> Metric {
    Metric { value: None, is_null: Some(true), ..data(pump(Vec::new(), seconds)) }
}

fn none(tag: TagId) -> (TagId, Value, StatusCode) {
    (tag, Value::Null, StatusCode::BAD_NO_DATA)
}

#[test]
fn a_template_that_is_null_has_members_that_are_null() {
    let mut desk = desk();
    let outcome = desk.say("NDATA", Some(1), vec![null(3.0), null(3.0)], 3.0);
    assert_eq!(told(&outcome), [none(TEMPERATURE), none(RUNNING), none(DEPTH)], "once");
    let on_and_off = vec![null(4.0), data(pump(vec![running(true), well(3)], 4.0)), null(4.5)];
    let outcome = desk.say("NDATA", Some(2), on_and_off, 5.0);
    let (on, deep) = (good(RUNNING, Value::Boolean(true)), good(DEPTH, Value::Int64(3)));
    assert_eq!(told(&outcome), [on, deep, none(RUNNING), none(DEPTH)], "in the order of the message");
    assert_eq!(outcome.samples[3].source_ts, now(4.5).wall);
    let outcome = desk.say("NDATA", Some(3), vec![data(pump(vec![temperature(5.0)], 6.0))], 6.0);
    assert_eq!(told(&outcome), [good(TEMPERATURE, Value::Double(5.0))], "and then there is one again");
    // One of long ago says nothing of now, and one without a word is null.
    let past = Metric { is_historical: Some(true), ..null(1.0) };
    assert_eq!(told(&desk.say("NDATA", Some(4), vec![past], 7.0)), []);
    let wordless = Metric { is_null: None, ..null(7.0) };
    assert_eq!(told(&desk.say("NDATA", Some(5), vec![wordless], 7.0)), [none(TEMPERATURE)]);
}

#[test]
fn an_inner_template_that_is_null_takes_its_own_members_only() {
    let mut desk = desk();
    let inner = Metric { value: None, is_null: Some(true), ..well(0) };
    assert_eq!(told(&desk.say("NDATA", Some(1), vec![data(pump(vec![inner], 3.0))], 3.0)), [none(DEPTH)]);
    assert_eq!(told(&desk.say("NDATA", Some(2), vec![null(4.0)], 4.0)), [none(TEMPERATURE), none(RUNNING)]);
}

#[test]
fn who_stands_beside_a_template_under_a_name_like_its_members_does_not_keep_others_from_being_null() {
    for plain_first in [true, false] {
        let mut desk = desk();
        let plain = Metric {
            alias: Some(5),
            ..metric("Pump 1/temperature", 5, DataType::Double, MetricValue::Double(1.0), 0.0)
        };
        let mut metrics = vec![payload::bd_seq_metric(1, at(0.0)), pump(vec![temperature(2.0), running(true)], 0.0)];
        metrics.insert(if plain_first { 1 } else { 2 }, plain);
        desk.say("NBIRTH", Some(0), metrics, 0.0);
        let told = told(&desk.say("NDATA", Some(1), vec![null(1.0)], 1.0));
        assert!(told.contains(&none(RUNNING)), "{told:?}");
        assert_eq!(told.contains(&none(TEMPERATURE)), plain_first, "it is what came last: {told:?}");
    }
}

#[test]
fn a_template_that_is_not_good_and_names_no_member_says_so_of_all() {
    let mut desk = desk();
    let stale_now = PropertyValue { kind: Some(3), is_null: None, value: Some(PropertyKind::Int(500)) };
    let properties = payload::properties([("Quality".to_owned(), stale_now)]);
    let outcome = desk.say("NDATA", Some(1), vec![Metric { properties, ..data(pump(Vec::new(), 3.0)) }], 3.0);
    assert_eq!(told(&outcome), [stale(TEMPERATURE), stale(RUNNING), stale(DEPTH)]);
    // One that is good and names none says nothing.
    assert_eq!(told(&desk.say("NDATA", Some(2), vec![data(pump(Vec::new(), 4.0))], 4.0)), []);
}

#[test]
fn an_alias_of_a_member_is_taken_unless_it_is_another_metrics() {
    let mut desk = desk();
    let aliased = |alias| Metric { alias: Some(alias), ..running(false) };
    let lone = |alias| Metric { name: None, datatype: None, ..Metric { alias: Some(alias), ..running(true) } };
    birth(&mut desk, pump(vec![aliased(71)], 0.0));
    let outcome = desk.say("NDATA", Some(1), vec![data(pump(vec![lone(71)], 1.0))], 1.0);
    assert_eq!(told(&outcome), [good(RUNNING, Value::Boolean(true))]);
    let command = |alias| Payload { metrics: vec![lone(alias)], ..Payload::default() }.encode_to_vec();
    let address = address(None, "Pump 1/running");
    let wanted = desk.0.wanted_by("spBv1.0/g/NCMD/n", &command(71));
    assert_eq!(wanted, Some(vec![(address.clone(), Value::Boolean(true))]));
    // We say it by its name, within its template.
    let message = desk.0.command(&address, &Value::Boolean(true), now(2.0).wall).expect("a command");
    let payload = payload::decode(&message.payload, &Limits::default()).expect("a payload");
    let inner = &table::instance(&payload.metrics[0]).expect("an instance").metrics[0];
    assert_eq!((inner.name.as_deref(), inner.alias), (Some("running"), None));
    // In data it is the metric's that has it by right; in commands nobody's.
    birth(&mut desk, pump(vec![aliased(PUMP)], 0.0));
    let outcome = desk.say("NDATA", Some(1), vec![data(pump(vec![running(true)], 1.0))], 1.0);
    assert_eq!(told(&outcome), [good(RUNNING, Value::Boolean(true))]);
    let by_alias = Payload { metrics: vec![data(pump(vec![running(true)], 1.0))], ..Payload::default() };
    assert_eq!(desk.0.wanted_by("spBv1.0/g/NCMD/n", &by_alias.encode_to_vec()), None);
}

#[test]
fn members_that_a_new_birth_does_not_have_are_out_of_service() {
    let mut desk = desk();
    let outcome = birth(&mut desk, pump(vec![temperature(1.0)], 0.0));
    let gone = |tag| (tag, Value::Null, StatusCode::BAD_OUT_OF_SERVICE);
    assert_eq!(told(&outcome), [good(TEMPERATURE, Value::Double(1.0)), gone(RUNNING), gone(DEPTH)]);
    let outcome = desk.say("NDATA", Some(1), vec![data(pump(vec![running(true)], 12.0))], 12.0);
    assert!(told(&outcome).is_empty() && asks_for_birth(&outcome));
}

#[test]
fn a_command_to_a_member_stands_in_its_template() {
    for (command_by, named) in [(CommandBy::Alias, (None, Some(PUMP))), (CommandBy::Name, (Some("Pump 1"), None))] {
        let (desk, _) = desk_with(HostOptions { command_by, ..HostOptions::default() });
        let depth = address(None, "Pump 1/well/depth");
        let message = desk.0.command(&depth, &Value::Int64(9), now(1.0).wall).expect("a command");
        assert_eq!(message.topic, "spBv1.0/g/NCMD/n");
        let payload = payload::decode(&message.payload, &Limits::default()).expect("a payload");
        let outer = &payload.metrics[0];
        assert_eq!((outer.name.as_deref(), outer.alias), named);
        assert_eq!(outer.datatype, Some(DataType::Template.code()));
        let whole = table::instance(outer).expect("an instance");
        assert_eq!((whole.template_ref.as_deref(), whole.version.as_deref()), (Some("Pump"), Some("2.1")));
        assert_eq!((whole.is_definition, whole.metrics[0].name.as_deref()), (Some(false), Some("well")));
        let inner = &table::instance(&whole.metrics[0]).expect("an instance").metrics[0];
        assert_eq!((inner.name.as_deref(), &inner.value), (Some("depth"), &Some(MetricValue::Int(9))));
        // Somebody else who writes so writes the tag.
        let wanted = desk.0.wanted_by(&message.topic, &message.payload);
        assert_eq!(wanted, Some(vec![(depth, Value::Int64(9))]));
    }
}

#[test]
fn what_somebody_else_writes_in_a_template_is_each_of_its_members_in_order() {
    let desk = desk();
    let payload = |metrics| Payload { metrics, ..Payload::default() }.encode_to_vec();
    let both = payload(vec![data(pump(vec![running(true), well(3), temperature(4.0)], 1.0)), speed(1.0, 1.0)]);
    let wanted = desk.0.wanted_by("spBv1.0/g/NCMD/n", &both);
    // An alias that the node does not have is nobody's.
    assert_eq!(wanted, None);
    let both = payload(vec![data(pump(vec![running(true), well(3), temperature(4.0)], 1.0))]);
    let wanted = desk.0.wanted_by("spBv1.0/g/NCMD/n", &both).expect("read");
    let names: Vec<&str> = wanted.iter().map(|(address, _)| &*address.metric).collect();
    assert_eq!(names, ["Pump 1/running", "Pump 1/well/depth", "Pump 1/temperature"]);
    let long = payload(vec![data(pump(vec![member(&"x".repeat(300), DataType::Int32, MetricValue::Int(1))], 1.0))]);
    assert_eq!(desk.0.wanted_by("spBv1.0/g/NCMD/n", &long), None, "nobody knows which it would be");
}

/// Somebody writes a tag past the door by saying it so that others read something else than we do.
#[test]
fn what_others_might_read_as_a_write_of_a_tag_is_not_passed_on() {
    let (mut desk, _) = desk_with(HostOptions::default());
    desk.0.targets.insert(&address(None, "Motor/speed"), SPEED);
    let speeds = vec![payload::bd_seq_metric(1, at(0.0)), speed(1.0, 0.0), pump(vec![running(false), well(1)], 0.0)];
    desk.say("NBIRTH", Some(0), speeds, 0.0);
    let wanted = |metric: Metric| {
        desk.0.wanted_by("spBv1.0/g/NCMD/n", &Payload { metrics: vec![metric], ..Payload::default() }.encode_to_vec())
    };
    let named = |metric: Metric| Metric { alias: None, ..metric };
    let members = |is_definition| template(vec![running(true)], is_definition);
    let with_parameters = || {
        let MetricValue::Template(mut of) = members(false) else { unreachable!() };
        of.parameters.push(crate::proto::Parameter { name: Some("p".to_owned()), ..Default::default() });
        MetricValue::Template(of)
    };
    let pump = |value| Metric { value, ..named(pump(Vec::new(), 1.0)) };
    let odd = [
        ("a template where a number is to be", Metric { value: Some(members(false)), ..named(speed(1.0, 1.0)) }),
        ("the same without a type", Metric { value: Some(members(false)), datatype: None, ..named(speed(1.0, 1.0)) }),
        ("a definition", pump(Some(members(true)))),
        ("parameters too", pump(Some(with_parameters()))),
        ("parameters alone", pump(Some(template(Vec::new(), true)))),
        ("no members", pump(Some(template(Vec::new(), false)))),
        ("null", Metric { is_null: Some(true), ..pump(None) }),
        ("another value", pump(Some(MetricValue::Int(1)))),
        ("a type that is none of it", Metric { datatype: Some(DataType::Double.code()), ..pump(Some(members(false))) }),
        (
            "an inner one that is null",
            pump(Some(template(vec![Metric { value: None, is_null: Some(true), ..well(0) }], false))),
        ),
    ];
    for (what, metric) in odd {
        assert_eq!(wanted(metric), None, "{what}");
    }
    // Of those of which no tag is within, nobody minds.
    for value in [members(true), with_parameters(), template(Vec::new(), false)] {
        assert!(wanted(Metric { name: Some("other".to_owned()), ..pump(Some(value)) }).is_some());
    }
    // Before a birth it goes by what is mapped.
    let unborn = desk_with(HostOptions::default()).0;
    let unknown = Host::new(HostOptions::default(), unborn.0.targets.clone());
    let payload = Payload { metrics: vec![pump(Some(MetricValue::Double(1.0)))], ..Payload::default() }.encode_to_vec();
    assert_eq!(unknown.wanted_by("spBv1.0/g/NCMD/n", &payload), None);
}

#[test]
fn who_has_tags_has_room_for_the_members_of_its_templates() {
    let (mut desk, _) = desk_with(HostOptions { metrics: 10, ..HostOptions::default() });
    for stranger in ["s1", "s2", "s3"] {
        let metrics = vec![lamp(true, 0.0)];
        let payload = Payload { timestamp: Some(at(0.0)), metrics, seq: Some(0), ..Payload::default() };
        desk.0.handle(&format!("spBv1.0/g/NBIRTH/{stranger}"), &payload.encode_to_vec(), now(0.0));
    }
    // Seven are its own, and three strangers'; with two members more it needs room for nine.
    let extra = |name| member(name, DataType::Int32, MetricValue::Int(1));
    let outcome = birth(&mut desk, pump(vec![extra("a"), extra("b"), temperature(1.0), running(true), well(7)], 0.0));
    assert_eq!(told(&outcome).last(), Some(&good(DEPTH, Value::Int64(7))), "{outcome:?}");
}

#[test]
fn what_an_instance_says_of_its_definition_is_kept_within_bounds() {
    let mut desk = desk();
    let MetricValue::Template(mut long) = template(vec![running(true)], false) else { unreachable!() };
    (long.version, long.template_ref) = (Some("v".repeat(100_000)), Some("r".repeat(256)));
    birth(&mut desk, Metric { value: Some(MetricValue::Template(long)), ..pump(Vec::new(), 0.0) });
    let message =
        desk.0.command(&address(None, "Pump 1/running"), &Value::Boolean(true), now(1.0).wall).expect("a command");
    let payload = payload::decode(&message.payload, &Limits::default()).expect("a payload");
    let kept = table::instance(&payload.metrics[0]).expect("an instance");
    assert_eq!((kept.version.as_deref(), kept.template_ref.as_ref().map(String::len)), (None, Some(256)));
}

#[test]
fn names_that_grow_too_long_are_left_out_and_no_birth_is_asked_for() {
    let mut desk = desk();
    let long = || member(&"x".repeat(250), DataType::Int32, MetricValue::Int(1));
    birth(&mut desk, pump(vec![long(), temperature(1.0)], 0.0));
    assert!(desk.0.found().iter().all(|found| found.address.metric.len() <= 256));
    let outcome = desk.say("NDATA", Some(1), vec![data(pump(vec![long(), temperature(2.0)], 12.0))], 12.0);
    assert_eq!(told(&outcome), [good(TEMPERATURE, Value::Double(2.0))]);
    assert!(outcome.send.is_empty() && outcome.notes.is_empty(), "{outcome:?}");
}

#[test]
fn members_count_for_the_bound_of_metrics() {
    let (desk, outcome) = desk_with(HostOptions { metrics: 5, ..HostOptions::default() });
    assert_eq!(told(&outcome), [good(TEMPERATURE, Value::Double(20.0)), good(RUNNING, Value::Boolean(false))]);
    assert!(outcome.notes.contains(&Note::TooMany("metrics", 5)), "{outcome:?}");
    assert_eq!(desk.0.found().len(), 5);
}

#[test]
fn after_a_restart_members_are_known_by_name() {
    let desk = desk();
    let saved = desk.0.save();
    let mut targets = Targets::default();
    targets.insert(&address(None, "Pump 1/running"), RUNNING);
    let options = HostOptions { groups: vec!["g".into()], ..HostOptions::default() };
    let mut later = Host::new(options, targets);
    assert_eq!(told(&later.restore(&saved, now(9.0)).expect("restored")), [stale(RUNNING)]);
    let command = later.command(&address(None, "Pump 1/running"), &Value::Boolean(true), now(9.0).wall);
    assert!(matches!(command, Err(CommandError::Offline(_))), "{command:?}");
}

proptest! {
    /// Whatever stands in each other by whatever names: no panic, no endless chain, and each member's command names that member.
    #[test]
    fn any_templates_in_templates_are_taken(names in proptest::collection::vec("[ab/]{0,2}", 1..12), depths in proptest::collection::vec(0..4_usize, 12)) {
        let leaf = || MetricValue::Int(1);
        let metrics: Vec<Metric> = names.iter().zip(&depths).map(|(name, depth)| {
            let mut inner = member(name, DataType::Int32, leaf());
            for level in 0..*depth {
                let name = names.get(level).map_or("a", String::as_str);
                inner = member(name, DataType::Template, template(vec![inner, member("b", DataType::Int32, leaf())], false));
            }
            inner
        }).collect();
        let mut desk = Desk::new();
        desk.say("NBIRTH", Some(0), metrics.clone(), 0.0);
        let nulls = metrics.iter().map(|metric| Metric { value: None, is_null: Some(true), ..metric.clone() });
        let all: Vec<Metric> = metrics.iter().cloned().chain(nulls).chain(metrics.clone()).collect();
        desk.say("NDATA", Some(1), all, 1.0);
        for found in desk.0.found() {
            if let Ok(message) = desk.0.command(&found.address, &Value::Int64(5), now(2.0).wall) {
                let wanted = desk.0.wanted_by(&message.topic, &message.payload);
                let written = wanted.expect("one's own command").pop().expect("one");
                // A name that came twice may be another one's by now, but it is the same name.
                prop_assert_eq!(written.0.metric, found.address.metric);
            }
        }
    }
}
