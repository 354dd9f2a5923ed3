//! What is proposed for what was found, and what never is.

use super::*;
use crate::{Announcements, Limits, MAX_ITEMS, Places, read};
use andon_model::{StatusCode, Timestamp, Value};
use proptest::prelude::*;

const DEVICES: &str = r#"[{"ieee_address":"0x1","type":"Router","friendly_name":"lamp","definition":{"model":"L","vendor":"V","exposes":[
  {"type":"light","features":[{"access":7,"name":"state","property":"state","type":"binary","value_off":"OFF","value_on":"ON"},
                              {"access":7,"name":"brightness","property":"brightness","type":"numeric","value_max":254,"value_min":0}]}]}}]"#;
const LAMP: &str = r#"{"state_topic":"zigbee2mqtt/lamp","command_topic":"zigbee2mqtt/lamp/set","value_template":"{{ value_json.state }}","name":null,"device":{"identifiers":["zigbee2mqtt_0x1"],"name":"lamp"}}"#;
const BOILER: &str = r#"{"stat_t":"boiler/temp","unit_of_meas":"°C","stat_cla":"measurement","name":"Temperature","avty_t":"boiler/status","dev":{"ids":"b1","name":"Boiler room","sa":"Cellar"}}"#;
const RELAY: &str = r#"{"stat_t":"boiler/relay","cmd_t":"boiler/relay/command","name":"Relay","avty_t":"boiler/status","dev":{"ids":"b1","name":"Boiler room","sa":"Cellar"}}"#;
const RESTART: &str =
    r#"{"cmd_t":"boiler/restart","name":"Restart","dev":{"ids":"b1","name":"Boiler room","sa":"Cellar"}}"#;

fn places() -> Places {
    Places {
        prefix: "ha".to_owned(),
        own: crate::announce::own(Uuid::nil()),
        zigbee2mqtt: Some("zigbee2mqtt".to_owned()),
        tasmota: None,
        shelly: false,
    }
}

fn items(announced: &[(&str, &str)]) -> Vec<Arc<Item>> {
    let mut all = Announcements::new(Limits::default());
    for (topic, payload) in announced {
        let kind = places().kind_of(topic).unwrap_or_else(|| panic!("{topic} announces nothing"));
        all.note(topic, kind, payload.as_bytes(), Timestamp::default());
    }
    read(&places(), &all, MAX_ITEMS).0
}

fn house() -> Plant {
    let at = |path: &str, level, title: &str| Equipment {
        path: EquipmentPath::parse(path).expect("a path"),
        level,
        profile: Profile::Home,
        title: title.to_owned(),
        description: String::new(),
        keep_days: None,
    };
    Plant {
        equipment: vec![at("home", Level::Site, "House"), at("home/keller", Level::WorkCenter, "Cellar")],
        ..Plant::default()
    }
}

fn proposed(items: &[Arc<Item>], plant: &Plant) -> Proposal {
    let mut last = 0;
    let mut id = || {
        last += 1;
        Uuid::from_u128(last)
    };
    let place = EquipmentPath::parse("home").expect("a path");
    let taken = |topic: &str| topic.starts_with("spBv1.0/").then(|| "it is Sparkplug's".to_owned());
    propose(items, &[], plant, Some(&place), &taken, &mut id)
}

/// The model with the proposal in it, as a document would merge it.
fn merged(plant: &Plant, parts: &Plant) -> Plant {
    let mut merged = plant.clone();
    merged.equipment.extend(parts.equipment.clone());
    merged.tags.extend(parts.tags.clone());
    merged.topics.retain(|topic| parts.topics.iter().all(|new| new.filter != topic.filter));
    merged.topics.extend(parts.topics.clone());
    merged
}

fn lines(proposal: &Proposal) -> Vec<String> {
    let line = |listed: &Listed| {
        let tag = listed.tag.as_ref().map_or("-", TagPath::as_str);
        format!("{} {} {tag} {}", listed.item.name, listed.state.word(), listed.why).trim_end().to_owned()
    };
    proposal.listed.iter().map(line).collect()
}

#[test]
fn values_flow_and_commands_leave_once_a_proposal_is_applied() {
    let items = items(&[
        ("zigbee2mqtt/bridge/devices", DEVICES),
        ("ha/switch/0x1/switch/config", LAMP),
        ("ha/sensor/boiler/temp/config", BOILER),
        ("ha/switch/boiler/relay/config", RELAY),
        ("ha/button/boiler/restart/config", RESTART),
    ]);
    let plant = house();
    let proposal = proposed(&items, &plant);
    assert_eq!(
        lines(&proposal),
        [
            "state proposed home/lamp/state",
            "brightness proposed home/lamp/brightness",
            "Restart proposed home/keller/boiler_room/restart nobody tells its state, so whether a write had an effect stays unknown",
            "Temperature proposed home/keller/boiler_room/temperature",
            "switch same home/lamp/state the same value is proposed as zigbee2mqtt/bridge/devices announced it",
            "Relay proposed home/keller/boiler_room/relay",
        ]
    );
    let all = merged(&plant, &proposal.parts);
    for topic in &all.topics {
        assert_eq!(andon_wire::payload::check_topic(topic, &all), Vec::new(), "{}", topic.filter);
    }
    let mapping = Mapping::of_plant(&all).expect("a mapping");
    let now = Timestamp::default();
    let value = |topic: &str, payload: &str| {
        let mapped = mapping.map(topic, payload.as_bytes(), now);
        assert_eq!(mapped.errors, Vec::new(), "{topic} {payload}");
        mapped.readings.into_iter().map(|it| (it.tag.to_string(), it.value, it.quality)).collect::<Vec<_>>()
    };
    let boiler = "home/keller/boiler_room";
    assert_eq!(
        value("boiler/temp", "21.5"),
        [(format!("{boiler}/temperature"), Value::Double(21.5), StatusCode::GOOD)]
    );
    assert_eq!(value("boiler/relay", "ON"), [(format!("{boiler}/relay"), Value::Boolean(true), StatusCode::GOOD)]);
    assert_eq!(value("boiler/status", "offline").len(), 2, "each mapping of the device hears that it is gone");
    assert_eq!(value("zigbee2mqtt/lamp", r#"{"state":"ON","brightness":12}"#).len(), 2);
    let sent = |tag: &str, value: Value| {
        mapping.outgoing(tag, &value).map(|out| (out.topic, String::from_utf8(out.payload).expect("a text")))
    };
    let to = |topic: &str, payload: &str| Some((topic.to_owned(), payload.to_owned()));
    assert_eq!(sent(&format!("{boiler}/relay"), Value::Boolean(false)), to("boiler/relay/command", "OFF"));
    assert_eq!(sent(&format!("{boiler}/restart"), Value::Int64(1)), to("boiler/restart", "PRESS"));
    assert_eq!(sent("home/lamp/brightness", Value::Double(12.0)), to("zigbee2mqtt/lamp/set", r#"{"brightness":12}"#));
    // Once they are tags, there is nothing left to propose.
    let again = proposed(&items, &all);
    assert!(again.listed.iter().all(|listed| listed.state == State::Mapped), "{:?}", lines(&again));
    assert_eq!(again.parts, Plant::default());
}

/// What somebody announces who may publish announcements, and nothing else.
#[test]
fn an_announcement_takes_no_topic_from_anybody() {
    let first = items(&[("ha/sensor/boiler/temp/config", BOILER), ("ha/switch/boiler/relay/config", RELAY)]);
    let plant = merged(&house(), &proposed(&first, &house()).parts);
    let evil = |topic: &str, state: &str, command: &str| {
        (format!("ha/switch/{topic}/config"), format!(r#"{{"stat_t":"{state}","cmd_t":"{command}","name":"{topic}"}}"#))
    };
    let announced = [
        evil("a_reports_where_the_relay_is_commanded", "boiler/relay/command", "x/a"),
        evil("b_commands_where_the_boiler_reports", "x/b", "boiler/temp"),
        evil("c_commands_the_relay", "x/c", "boiler/relay/command"),
        evil("d_commands_sparkplug", "x/d", "spBv1.0/g/NCMD/n"),
        evil("e_commands_where_f_reports", "x/e", "x/f"),
        evil("f_is_honest", "x/f", "x/f/set"),
        evil("g_commands_what_f_commands", "x/g", "x/f/set"),
        evil("h_commands_itself", "x/h", "x/h"),
        evil("i_has_wildcards", "x/i", "x/#"),
    ];
    let announced: Vec<(&str, &str)> =
        announced.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    let proposal = proposed(&items(&announced), &plant);
    let shown = lines(&proposal);
    for (line, wanted) in shown.iter().zip([
        "refused - the topic boiler/relay/command commands the tag home/keller/boiler_room/relay",
        "not writable: somebody reports on boiler/temp (boiler/temp)",
        "not writable: the topic boiler/relay/command commands the tag home/keller/boiler_room/relay already",
        "not writable: the topic spBv1.0/g/NCMD/n: it is Sparkplug's",
        "not writable: somebody reports on x/f (x/f)",
        "not writable: ha/switch/f_is_honest/config and ha/switch/g_commands_what_f_commands/config both ask for the topic x/f/set",
        "not writable: ha/switch/f_is_honest/config and ha/switch/g_commands_what_f_commands/config both ask for the topic x/f/set",
        "not writable: somebody reports on x/h (x/h)",
        "command_topic: \"x/#\" is no topic of a device",
    ]) {
        assert!(line.contains(wanted), "{line}\nis not: {wanted}");
    }
    let commanded: Vec<String> =
        proposal.parts.topics.iter().flat_map(|topic| commands_of(&topic.settings)).map(str::to_owned).collect();
    assert_eq!(commanded, Vec::<String>::new());
    // And what was there works as before.
    let mapping = Mapping::of_plant(&merged(&plant, &proposal.parts)).expect("a mapping");
    assert_eq!(mapping.map("boiler/temp", b"20", Timestamp::default()).readings.len(), 1);
    assert_eq!(mapping.command_for("boiler/relay/command").as_deref(), Some("home/keller/boiler_room/relay"));
}

#[test]
fn a_mapping_that_is_there_keeps_what_it_has() {
    let mut plant = house();
    let first = items(&[("ha/sensor/a/config", r#"{"stat_t":"s","val_tpl":"{{ value_json.a }}","name":"a"}"#)]);
    plant = merged(&plant, &proposed(&first, &plant).parts);
    let both = items(&[
        ("ha/sensor/a/config", r#"{"stat_t":"s","val_tpl":"{{ value_json.a }}","name":"a"}"#),
        ("ha/sensor/b/config", r#"{"stat_t":"s","val_tpl":"{{ value_json.b }}","name":"b"}"#),
    ]);
    let proposal = proposed(&both, &plant);
    assert_eq!(proposal.parts.topics.len(), 1);
    assert_eq!(fields_of(&proposal.parts.topics[0].settings).len(), 2);
    plant.topics[0].settings = json!({ "format": "line_protocol", "tag": "w/{measurement}" });
    let refused = proposed(&both, &plant);
    assert!(lines(&refused)[0].contains("is mapped with the format line_protocol already"), "{:?}", lines(&refused));
}

#[test]
fn without_a_place_there_is_a_list_and_no_document() {
    let items = items(&[("ha/sensor/boiler/temp/config", BOILER)]);
    let listed = propose(&items, &items, &house(), None, &|_| None, &mut || Uuid::nil());
    let states: Vec<State> = listed.listed.iter().map(|listed| listed.state).collect();
    assert_eq!(states, [State::Refused, State::Gone]);
    assert_eq!(listed.parts, Plant::default());
}

/// A switch of Home Assistant's discovery, on the state and command topics given, with more words.
fn switch(name: &str, state: &str, command: &str, more: &str) -> (String, String) {
    (format!("ha/switch/{name}/config"), format!(r#"{{"stat_t":"{state}","cmd_t":"{command}","name":"{name}"{more}}}"#))
}

/// What is listed for announcements, one after the other, beside a model; and the tags that the proposal commands.
fn judged(announced: &[(String, String)], plant: &Plant) -> (Vec<String>, Vec<String>) {
    let announced: Vec<(&str, &str)> =
        announced.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    let proposal = proposed(&items(&announced), plant);
    let commanded = proposal.parts.topics.iter().flat_map(|topic| commands_of(&topic.settings)).map(str::to_owned);
    (lines(&proposal), commanded.collect())
}

fn of(topic: &str, payload: &str) -> (String, String) {
    (topic.to_owned(), payload.to_owned())
}

#[test]
fn nobody_is_commanded_where_a_device_says_that_it_is_there() {
    // The boiler announces it; the lamp's family has it by itself; the pump's is in the model.
    let mut plant = merged(&house(), &proposed(&items(&[("ha/switch/boiler/relay/config", RELAY)]), &house()).parts);
    let boiler = of("ha/sensor/boiler/temp/config", BOILER);
    let lamp = of("zigbee2mqtt/bridge/devices", DEVICES);
    for (topic, own) in [
        ("boiler/status", "boiler/relay"),
        ("zigbee2mqtt/lamp/availability", "zigbee2mqtt/lamp"),
        ("zigbee2mqtt/bridge/state", "zigbee2mqtt/lamp"),
    ] {
        let (shown, commanded) = judged(&[boiler.clone(), lamp.clone(), switch("a_evil", "x/a", topic, "")], &plant);
        let evil = shown.iter().find(|line| line.starts_with("a_evil")).expect("it is listed");
        assert_eq!(
            evil,
            &format!("a_evil proposed home/a_evil/a_evil not writable: somebody reports on {topic} ({own})")
        );
        assert!(!commanded.contains(&"home/a_evil/a_evil".to_owned()), "{topic}");
    }
    // What only the model has, and nobody announces.
    plant.topics[0].settings["availability"] = json!("pump/LWT");
    let (shown, _) = judged(&[switch("a_evil", "x/a", "pump/LWT", "")], &plant);
    assert!(shown[0].contains("not writable: somebody reports on pump/LWT (boiler/relay)"), "{shown:?}");
}

#[test]
fn a_family_keeps_the_topics_of_its_commands() {
    let lamp = of("zigbee2mqtt/bridge/devices", DEVICES);
    let evil = [
        switch("a_commands", "x/a", "zigbee2mqtt/lamp/set", ""),
        switch("b_reports", "zigbee2mqtt/lamp/set", "x/b", ""),
    ];
    let (shown, commanded) = judged(&[&evil[..], &[lamp]].concat(), &house());
    assert_eq!(
        shown,
        [
            "state proposed home/lamp/state",
            "brightness proposed home/lamp/brightness",
            "a_commands proposed home/a_commands/a_commands not writable: the topic zigbee2mqtt/lamp/set was asked for by zigbee2mqtt/bridge/devices already",
            "b_reports refused - the topic zigbee2mqtt/lamp/set commands lamp (zigbee2mqtt/bridge/devices)",
        ]
    );
    assert_eq!(commanded, ["home/lamp/state", "home/lamp/brightness"]);
}

#[test]
fn nobody_takes_a_value_by_announcing_it_as_well() {
    let relay = of("ha/switch/boiler/relay/config", RELAY);
    let avty = r#","avty_t":"boiler/status""#;
    for (evil, how) in [
        (switch("a_evil", "boiler/relay", "x/evil", avty), "want it commanded differently"),
        // Spelled otherwise, and as if it were the same device.
        (
            switch(
                "a_evil",
                "boiler/relay",
                "x/evil",
                r#","avty_t":"boiler/status","val_tpl":"{{ value | upper }}","dev":{"ids":"b1","name":"Boiler room"}"#,
            ),
            "want it commanded differently",
        ),
        (switch("a_evil", "boiler/relay", "boiler/relay/command", r#","avty_t":"x/lies""#), "say differently whether"),
        (
            of("ha/sensor/a_evil/config", r#"{"stat_t":"boiler/relay","name":"a_evil","avty_t":"x/lies"}"#),
            "say differently",
        ),
    ] {
        let (shown, commanded) = judged(&[evil, relay.clone()], &house());
        assert_eq!(shown.len(), 2);
        for line in &shown {
            assert!(line.contains(" refused - ") && line.contains(how), "{line}\nis not: {how}");
            assert!(line.contains("a_evil/config and ha/switch/boiler/relay/config both report"), "{line}");
        }
        assert_eq!(commanded, Vec::<String>::new());
    }
    // Who says the same is no danger.
    let twin = ("ha/switch/twin/config".to_owned(), relay.1.clone());
    let (shown, commanded) = judged(&[relay, twin], &house());
    assert_eq!(
        shown,
        [
            "Relay proposed home/keller/boiler_room/relay",
            "Relay same home/keller/boiler_room/relay the same value is proposed as ha/switch/boiler/relay/config announced it",
        ]
    );
    assert_eq!(commanded, ["home/keller/boiler_room/relay"]);
}

#[test]
fn of_two_values_of_one_device_that_say_as_well_as_they_can_whether_it_is_there_the_better_word_counts() {
    let one = |name: &str, avty: &str| {
        let text = format!(
            r#"{{"stat_t":"z2m/door","name":"{name}","val_tpl":"{{{{ value_json.{name} }}}}","dev":{{"ids":"d","name":"Door"}}{avty}}}"#
        );
        (format!("ha/sensor/{name}/config"), text)
    };
    let (bridge, door) = (r#"{"topic":"z2m/bridge/state"}"#, r#"{"topic":"z2m/door/availability"}"#);
    let list = |of: &[&str]| format!(r#","availability":[{}],"availability_mode":"all""#, of.join(","));
    let contact = one("contact", &list(&[bridge, door]));
    for battery in [one("battery", &list(&[bridge])), one("battery", "")] {
        for order in [[battery.clone(), contact.clone()], [contact.clone(), battery.clone()]] {
            let found: Vec<_> = order.iter().map(|(topic, text)| (topic.as_str(), text.as_str())).collect();
            let proposal = proposed(&items(&found), &house());
            assert!(proposal.listed.iter().all(|one| one.state == State::Proposed), "{:?}", proposal.listed);
            let topic = &proposal.parts.topics[0];
            let topics: Vec<_> =
                topic.settings["availability"].as_array().unwrap().iter().map(|one| &one["topic"]).collect();
            assert_eq!(topics, ["z2m/bridge/state", "z2m/door/availability"]);
        }
    }
    let foreign = one("battery", &list(&[r#"{"topic":"x/lies"}"#]));
    let (shown, _) = judged(&[contact, foreign], &house());
    assert!(shown.iter().all(|line| line.contains("say differently whether the device is there")), "{shown:?}");
}

/// A sensor of a state topic, by the key of its value, with more words.
fn sensor(name: &str, state: &str, more: &str) -> (String, String) {
    let template = format!("{{{{ value_json.{name} }}}}");
    let config = format!(r#"{{"stat_t":"{state}","val_tpl":"{template}","name":"{name}"{more}}}"#);
    (format!("ha/sensor/{name}/config"), config)
}

/// Whether all of these are proposed, in whatever order they come; if not, all are refused, for they say differently whether their device is there.
fn agree_on_availability(announced: &[(String, String)]) -> bool {
    let backwards: Vec<_> = announced.iter().rev().cloned().collect();
    let mut agree = [announced, &backwards].into_iter().map(|announced| {
        let (shown, _) = judged(announced, &house());
        let refused = shown.iter().filter(|line| line.contains("say differently whether the device is there")).count();
        let proposed = shown.iter().filter(|line| line.contains(" proposed ")).count();
        assert!([(0, shown.len()), (shown.len(), 0)].contains(&(refused, proposed)), "{shown:#?}");
        refused == 0
    });
    let (one, other) = (agree.next(), agree.next());
    assert_eq!(one, other, "the order counts");
    one == Some(true)
}

#[test]
fn whoever_says_more_of_whether_a_device_is_there_says_all_that_others_say_and_stands_beside_it() {
    let one = |topic: &str, more: &str| format!(r#"{{"topic":"{topic}"{more}}}"#);
    let list = |of: &[&str]| format!(r#","availability":[{}],"availability_mode":"all""#, of.join(","));
    let (bridge, door) = (one("z2m/bridge/state", ""), one("z2m/door/availability", ""));
    let swapped = one("z2m/bridge/state", r#","payload_available":"offline","payload_not_available":"online""#);
    let templated = one("z2m/bridge/state", r#","value_template":"{{ value_json.state }}""#);
    let less = sensor("battery", "z2m/door", &list(&[&bridge]));
    let with = |more: &[&str]| agree_on_availability(&[less.clone(), sensor("contact", "z2m/door", &list(more))]);
    assert!(with(&[&bridge, &door]) && with(&[&door, &bridge]));
    for wrong in [
        // Others of the same topics.
        vec![&swapped],
        vec![&templated],
        vec![&swapped, &door],
        // More topics, without the one that is named, or with it turned around as well.
        vec![&door, &one("z2m/lamp/availability", "")],
        vec![&bridge, &swapped],
        // A topic of somebody else.
        vec![&bridge, &one("x/lies", "")],
    ] {
        let wrong: Vec<&str> = wrong.iter().map(|one| one.as_str()).collect();
        assert!(!with(&wrong), "{wrong:?}");
    }
    // Beside it, not only somewhere below the same first level.
    let floor = |state: &str| {
        let more = list(&[&one("home/ground/lamp/there", "")]);
        agree_on_availability(&[sensor("a", state, ""), sensor("b", state, &more)])
    };
    assert!(floor("home/ground/lamp") && floor("home/ground/lamp/state"));
    assert!(!floor("home/first/lamp") && !floor("home/groun/lamp") && !floor("lamp") && !floor("/lamp"));
}

#[test]
fn a_family_has_its_own_word_whether_a_device_is_there() {
    let evil = sensor("evil", "zigbee2mqtt/lamp", r#","avty_t":"x/lies""#);
    let announced = [of("zigbee2mqtt/bridge/devices", DEVICES), evil];
    let announced: Vec<_> = announced.iter().map(|(topic, text)| (topic.as_str(), text.as_str())).collect();
    let proposal = proposed(&items(&announced), &house());
    assert_eq!(proposal.parts.topics.len(), 1);
    let settings = &proposal.parts.topics[0].settings;
    assert_eq!((settings["format"].as_str(), settings.get("availability")), (Some("zigbee2mqtt"), None));
}

#[test]
fn once_two_announce_a_value_every_word_of_either_counts() {
    let part = |name: &str, command: &str| {
        format!(
            r#""{name}":{{"p":"switch","unique_id":"{name}","name":"{name}","stat_t":"boiler/relay","cmd_t":"{command}"}}"#
        )
    };
    let own = "boiler/relay/command";
    // The first part agrees with the honest one; the second part is of the same announcement as the first.
    let evil =
        format!(r#"{{"dev":{{"ids":"b1"}},"o":{{"name":"x"}},"cmps":{{{},{}}}}}"#, part("a", own), part("b", "x/evil"));
    let evil = of("ha/device/a_evil/config", &evil);
    let relay = of("ha/switch/boiler/relay/config", &RELAY.replace(r#""avty_t":"boiler/status","#, ""));
    for order in [[evil.clone(), relay.clone()], [relay.clone(), evil.clone()]] {
        let (shown, commanded) = judged(&order, &house());
        assert_eq!(shown.len(), 3);
        for line in &shown {
            assert!(line.contains(" refused - ") && line.contains("want it commanded differently"), "{line}");
            assert!(line.contains("a_evil/config") && line.contains("boiler/relay/config"), "{line}");
        }
        assert_eq!(commanded, Vec::<String>::new());
    }
}

/// A switch whose state stands where a template says, with or without a command.
fn templated(name: &str, template: &str, command: Option<&str>) -> (String, String) {
    let kind = if command.is_some() { "switch" } else { "sensor" };
    let mut config = json!({ "stat_t": "boiler/all", "val_tpl": template, "name": name });
    if let Some(command) = command {
        config["cmd_t"] = json!(command);
    }
    (format!("ha/{kind}/{name}/config"), config.to_string())
}

#[test]
fn a_template_of_several_places_is_at_all_of_them() {
    let relay = templated("relay", "{{ value_json.relay.state }}", Some("boiler/relay/command"));
    let others = [
        "{{ value_json.relay.state if value_json.relay.state is defined else value_json.x }}",
        "{{ value_json.x | default(value_json.relay.state) }}",
        "{{ value_json.relay.state ~ value_json['x'] }}",
        "{{ value_json.relay.state | upper }}",
        "{{ value_json['relay'].state.part }}",
        "{{ value_json.relay }}",
        "{{ value_json.relay ~ value_json.x }}",
        "{{ value }}",
        "{{ value[12] }}",
        // Whenever the relay reports.
        "{{ 'ON' }}",
    ];
    for template in others {
        for name in ["a_evil", "z_evil"] {
            let evil = templated(name, template, Some("x/evil"));
            let (shown, commanded) = judged(&[relay.clone(), evil], &house());
            assert_eq!(shown.len(), 2);
            for line in &shown {
                assert!(
                    line.contains(" refused - ") && line.contains("want it commanded differently"),
                    "{template}: {line}"
                );
                assert!(line.contains("evil/config") && line.contains("relay/config"), "{template}: {line}");
            }
            assert_eq!(commanded, Vec::<String>::new(), "{template}");
        }
        // Whoever only reads it does not keep it from being commanded.
        let reader = templated("a_reader", template, None);
        let (shown, commanded) = judged(&[relay.clone(), reader], &house());
        let same_place = template == "{{ value_json.relay.state | upper }}";
        assert_eq!(commanded.len(), usize::from(!same_place), "{template}: {shown:?}");
    }
    for template in
        ["{{ value_json.relay.stated }}", "{{ value_json.relay.x ~ value_json.state }}", "{{ value_json.rel }}"]
    {
        let other = templated("other", template, Some("x/other"));
        let (shown, commanded) = judged(&[relay.clone(), other], &house());
        assert_eq!(commanded.len(), 2, "{template}: {shown:?}");
    }
    // Beside a tag of the model.
    let relay: Vec<_> = [&relay].map(|(topic, text)| (topic.as_str(), text.as_str())).to_vec();
    let plant = merged(&house(), &proposed(&items(&relay), &house()).parts);
    for template in others {
        let (shown, commanded) = judged(&[templated("evil", template, Some("x/evil"))], &plant);
        assert!(
            shown[0].contains("not writable: what it reports is the tag home/relay/relay already"),
            "{template}: {shown:?}"
        );
        assert_eq!(commanded, ["home/relay/relay"], "{template}");
    }
}

#[test]
fn a_relay_of_the_model_gets_no_second_tag() {
    let relay = items(&[("ha/switch/boiler/relay/config", RELAY)]);
    let plant = merged(&house(), &proposed(&relay, &house()).parts);
    for (command, why) in [
        ("boiler/relay/command", "commands the tag home/keller/boiler_room/relay already"),
        ("x/evil", "what it reports is the tag home/keller/boiler_room/relay already"),
    ] {
        let evil = switch("evil", "boiler/relay", command, r#","val_tpl":"{{ value | upper }}""#);
        let (shown, commanded) = judged(&[evil], &plant);
        assert!(shown[0].contains(why), "{shown:?}");
        assert_eq!(commanded, ["home/keller/boiler_room/relay"], "{command}");
    }
    // Another key of the same message is another value; the same one is not.
    let lamp = items(&[("zigbee2mqtt/bridge/devices", DEVICES)]);
    let of_state = |path: &str| {
        let mut plant = merged(&house(), &proposed(&lamp, &house()).parts);
        plant.topics[0].settings = json!({ "format": "zigbee2mqtt", "fields": [{ "path": "linkquality", "tag": "home/lamp/brightness" }],
            "command": { "tag": "home/lamp/state", "path": path } });
        lines(&proposed(&lamp, &plant))
    };
    assert!(of_state("color_temp").iter().all(|line| !line.contains("not writable")), "{:?}", of_state("color_temp"));
    let state = of_state("state");
    assert!(
        state[0].contains("not writable: the topic zigbee2mqtt/lamp/set commands the tag home/lamp/state already"),
        "{state:?}"
    );
}

#[test]
fn of_two_who_ask_for_one_command_topic_nobody_has_it_whoever_came_first() {
    let (z, a) = (switch("z", "z/state", "shared/set", ""), switch("a", "a/state", "shared/set", ""));
    let why = "ha/switch/a/config and ha/switch/z/config both ask for the topic shared/set";
    for order in [[&z, &a], [&a, &z]] {
        let mut all = Announcements::new(Limits::default());
        for (at, (topic, payload)) in order.into_iter().enumerate() {
            all.note(topic, crate::Kind::HomeAssistant, payload.as_bytes(), Timestamp::from_micros(at as i64 + 1));
        }
        let proposal = proposed(&read(&places(), &all, MAX_ITEMS).0, &house());
        for listed in &proposal.listed {
            let other = if listed.item.name == "a" { "z" } else { "a" };
            assert_eq!(listed.state, State::Proposed, "its state is nobody else's");
            assert!(
                listed.why.starts_with("not writable: ") && listed.why.contains(&format!("ha/switch/{other}/config"))
            );
            assert!(listed.why.contains("both ask for the topic shared/set"), "{}\nis not: {why}", listed.why);
        }
        assert!(proposal.parts.topics.iter().all(|topic| commands_of(&topic.settings).is_empty()));
    }
    // A third one that asks for what one of them asks for, word for word, changes nothing; nor do parts of one announcement beside a foreign one.
    let third = ("ha/switch/b/config".to_owned(), a.1.clone());
    let (_, commanded) = judged(&[a.clone(), third, z.clone()], &house());
    assert_eq!(commanded, Vec::<String>::new());
    let part = |name: &str, state: &str| {
        format!(
            r#""{name}":{{"p":"switch","unique_id":"{name}","name":"{name}","stat_t":"{state}","cmd_t":"shared/set"}}"#
        )
    };
    let device = format!(
        r#"{{"dev":{{"ids":"d"}},"o":{{"name":"x"}},"cmps":{{{},{}}}}}"#,
        part("a", "a/state"),
        part("c", "c/state")
    );
    let device = of("ha/device/d/config", &device);
    // Of its own topics an announcement says as it likes.
    assert_eq!(judged(std::slice::from_ref(&device), &house()).1.len(), 2);
    for order in [[a.clone(), device.clone()], [device, a]] {
        assert_eq!(judged(&order, &house()).1, Vec::<String>::new());
    }
    // What has no state is no other.
    let button = |name: &str| (format!("ha/button/{name}/config"), RESTART.replace("Restart", name));
    let boiler = of("ha/sensor/boiler/temp/config", BOILER);
    let (shown, commanded) = judged(&[boiler.clone(), button("x"), button("y")], &house());
    assert_eq!(commanded, Vec::<String>::new(), "{shown:?}");
    assert!(
        shown.iter().filter(|line| line.contains("both ask for the topic boiler/restart")).count() == 2,
        "{shown:?}"
    );
    assert_eq!(judged(&[boiler, button("x")], &house()).1.len(), 1);
}

#[test]
fn what_no_document_would_take_is_not_understood() {
    let long = "x".repeat(300);
    for (words, why) in [
        (r#""pl_on":"O\u200bN""#, "in its word for `true`, character 2 is U+200B, a character that cannot be seen"),
        (r#""stat_off":"\u0007""#, "in its word for `false`, character 1 is U+0007, a control character"),
        (r#""avty_t":"b","pl_avail":"\u202eok""#, "in its word for `online`, character 1 is U+202E"),
        (r#""avty_t":"b/{x}""#, "no mapping can hold it: {x}"),
        (r#""pl_on":"mqtt://me:secret@host""#, "an address with a password"),
        (&format!(r#""pl_on":"{long}""#), "its word for `true` has more than 256 bytes"),
        (&format!(r#""avty_t":"b","pl_not_avail":"{long}""#), "its word for `offline` has more than 256 bytes"),
    ] {
        let evil = of("ha/switch/evil/config", &format!(r#"{{"stat_t":"x/s","cmd_t":"x/c","name":"evil",{words}}}"#));
        let (shown, _) = judged(&[evil, of("ha/switch/boiler/relay/config", RELAY)], &house());
        assert!(shown.iter().any(|line| line.starts_with("Relay proposed")), "{shown:?}");
        let evil = shown.iter().find(|line| line.starts_with("evil")).expect("it is listed");
        assert!(evil.starts_with("evil not understood - ") && evil.contains(why), "{evil}\nis not: {why}");
    }
    // Where only the command is wrong, it can still be read.
    let (shown, commanded) = judged(&[switch("lamp", "x/s", "x/{2}/set", "")], &house());
    assert!(
        shown[0].starts_with("lamp proposed home/lamp/lamp not writable: no mapping can hold it: {2}"),
        "{shown:?}"
    );
    assert_eq!(commanded, Vec::<String>::new());
}

#[test]
fn nothing_is_made_beyond_the_room_of_a_family() {
    let config = |n: usize| (format!("ha/sensor/s{n}/config"), format!(r#"{{"stat_t":"s/{n}","name":"{n}"}}"#));
    let mut all = Announcements::new(Limits::default());
    for n in 0..30 {
        let (topic, payload) = config(n);
        all.note(&topic, crate::Kind::HomeAssistant, payload.as_bytes(), Timestamp::from_micros(n as i64));
    }
    all.note("zigbee2mqtt/bridge/devices", crate::Kind::Zigbee2Mqtt, DEVICES.as_bytes(), Timestamp::from_micros(99));
    let (items, more) = read(&places(), &all, 10);
    assert_eq!((items.len(), more), (2 + 10, 20), "each family has its own room");
    let (items, more) = read(&places(), &all, 1);
    assert_eq!((items.len(), more), (1 + 1, 1 + 29));
    // Of one name there are as many as there are numbers.
    let same: Vec<(String, String)> =
        (0..1100).map(|n| (config(n).0, format!(r#"{{"stat_t":"s/{n}","name":"a","dev":{{"ids":"d"}}}}"#))).collect();
    let same: Vec<(&str, &str)> = same.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
    let proposal = proposed(&super::tests::items(&same), &house());
    assert_eq!(proposal.parts.tags.len(), 999);
    assert!(proposal.listed.iter().any(|listed| listed.why.contains("too long or too deep")));
}

proptest! {
    /// Whatever the names and topics are, what is proposed is a model that its checks take.
    #[test]
    fn what_is_proposed_can_be_applied(
        announced in proptest::collection::vec(
            ("[a-c]{1,2}", "[a-c/+]{1,5}|boiler/temp", "[a-c/]{1,5}|boiler/relay/command", "[ -~é\u{202e}/]{0,12}",
             proptest::sample::select(vec!["sensor", "switch", "number", "select", "cover", "climate", "light", "button", "text"]),
             "[ab]|[{}]|x\u{200b}|\u{7}|a/\\{1\\}|x{250,270}"),
            0..12,
        ),
    ) {
        let base = merged(&house(), &proposed(&items(&[("ha/switch/boiler/relay/config", RELAY)]), &house()).parts);
        let config = |state: &str, command: &str, name: &str, word: &str| json!({
            "pl_on": word, "state_closed": word, "pl_prs": word, "avty": [{ "t": state }, { "t": format!("a/{word}"), "pl_avail": word }],
            "stat_t": state, "cmd_t": command, "name": name, "options": ["x", name], "unit_of_meas": name, "temp_stat_t": state, "temp_cmd_t": command,
            "dev": { "ids": name, "name": name, "sa": command },
        }).to_string();
        let announced: Vec<(String, String)> = announced
            .iter()
            .map(|(object, state, command, name, component, word)| (format!("ha/{component}/{object}/config"), config(state, command, name, word)))
            .collect();
        let announced: Vec<(&str, &str)> = announced.iter().map(|(topic, payload)| (topic.as_str(), payload.as_str())).collect();
        let proposal = proposed(&items(&announced), &base);
        let all = merged(&base, &proposal.parts);
        for topic in &all.topics {
            prop_assert_eq!(andon_wire::payload::check_topic(topic, &all), Vec::new());
        }
        let mapping = Mapping::of_plant(&all);
        prop_assert!(mapping.is_ok(), "{:?}", mapping.err());
        let relay = mapping.unwrap_or_default().command_for("boiler/relay/command");
        prop_assert_eq!(relay.as_deref(), Some("home/keller/boiler_room/relay"));
        let paths: HashSet<_> = all.tags.iter().map(|tag| tag.path.to_string()).collect();
        prop_assert_eq!(paths.len(), all.tags.len());
        for topic in &proposal.parts.topics {
            // As `documents` reads texts; escaped, what is hidden shows as `\u`.
            let text = topic.settings.to_string();
            prop_assert!(andon_model::text::check_lines(&topic.filter).is_ok() && andon_model::text::check_lines(&text).is_ok() && !text.contains("\\u"), "{}", text);
        }
        for tag in &proposal.parts.tags {
            prop_assert!(andon_model::text::check_line(&tag.title).is_ok() && andon_model::text::check_line(&tag.description).is_ok());
        }
    }
}
