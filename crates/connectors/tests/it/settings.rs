//! Wrong settings are refused with their place and a remedy.

use crate::rig::{plant, tag};
use andon_connectors::check;
use andon_model::DataType;
use serde_json::{Value, json};

/// `pointer: message; remedy` of each finding.
fn findings(settings: Value) -> Vec<String> {
    let mut read_only = tag("m/read", DataType::Int64);
    read_only.write = None;
    let tags = vec![
        tag("m/int", DataType::Int64),
        tag("m/double", DataType::Double),
        tag("m/text", DataType::String),
        tag("m/flag", DataType::Boolean),
        read_only,
    ];
    let plant = plant(tags, settings);
    let list = check(&plant.connectors[0], &plant);
    list.into_iter()
        .map(|finding| format!("{}: {}; {}", finding.pointer.join("."), finding.message, finding.remedy))
        .collect()
}

/// The findings of one register on a good device.
fn register(register: Value) -> Vec<String> {
    findings(json!({ "endpoint": "10.0.0.1:502", "register": [register] }))
}

#[test]
fn good_settings_have_no_findings() {
    let list = findings(json!({
        "endpoint": "plc-7.example:502", "unit_id": 0, "poll": "250ms", "timeout": "2s", "max_gap": 0, "max_read": 60,
        "word_order": "little", "byte_order": "big",
        "register": [
            { "tag": "m/int", "table": "holding", "address": 65535, "type": "i16", "scale": 10, "offset": -5, "write": true, "poll": "5s" },
            { "tag": "m/double", "table": "input", "address": 0, "type": "f64" },
            { "tag": "m/text", "table": "holding", "address": 10, "type": "string", "length": 16 },
            { "tag": "m/flag", "table": "holding", "address": 3, "bit": 15 },
            { "tag": "m/read", "table": "coil", "address": 0 },
        ],
    }));
    assert!(list.is_empty(), "{list:?}");
}

#[test]
fn every_wrong_word_has_its_place_and_a_remedy() {
    let list = findings(
        json!({ "endpont": "10.0.0.1", "unit_id": 300, "poll": "fast", "word_order": "litle", "register": 5 }),
    );
    assert_eq!(
        list,
        [
            ": `endpoint` is missing; add endpoint = \"192.168.1.20:502\"",
            "unit_id: `unit_id` must be a whole number from 0 to 255, not 300; correct the number",
            "poll: `poll` must be a time from 10ms to 24h, not \"fast\"; write a number with ms, s, min or h, in quotes: \"500ms\"",
            "word_order: `word_order` must be one of big, little, not \"litle\"; did you mean \"little\"?",
            "register: `register` must be a list, not a number; write it in square brackets",
            "endpont: `endpont` is not a setting here; did you mean `endpoint`?",
        ]
    );
    for endpoint in ["10.0.0.1", "10.0.0.1:0", "10.0.0.1:70000", ":502", "{filler}:502", "a b:1", "::1:502", ""] {
        assert_eq!(findings(json!({ "endpoint": endpoint, "register": [] })).len(), 1, "{endpoint}");
    }
    assert!(findings(json!({ "endpoint": "[::1]:502", "register": [] })).is_empty());
}

#[test]
fn a_register_must_fit_the_device_and_its_tag() {
    let one = |value: Value, words: &str| {
        let list = register(value.clone());
        assert!(list.len() == 1 && list[0].contains(words), "{value}: {list:?}");
    };
    one(json!({ "tag": "m/int", "table": "holding", "address": 65535, "type": "u32" }), "end beyond 65535");
    one(json!({ "tag": "m/int", "table": "holding", "address": -1, "type": "u16" }), "from 0 to 65535, not -1");
    one(json!({ "tag": "m/int", "table": "holding", "address": 65536, "type": "u16" }), "from 0 to 65535");
    one(
        json!({ "tag": "m/int", "table": "holding", "adress": 1, "type": "u16", "address": 1 }),
        "did you mean `address`?",
    );
    one(json!({ "tag": "m/int", "table": "holding", "address": 1 }), "`type` is missing");
    one(json!({ "tag": "m/int", "address": 1, "type": "u16" }), "`table` is missing");
    one(json!({ "tag": "m/nobody", "table": "holding", "address": 1, "type": "u16" }), "there is no tag \"m/nobody\"");
    one(
        json!({ "tag": "m/int", "table": "holding", "address": 1, "type": "f32" }),
        "f32 does not fit the tag m/int, which is int64",
    );
    one(
        json!({ "tag": "m/int", "table": "holding", "address": 1, "type": "u16", "scale": 0.1 }),
        "a scaled u16 does not fit",
    );
    one(json!({ "tag": "m/flag", "table": "holding", "address": 1, "type": "u16" }), "use type = \"bool\"");
    one(json!({ "tag": "m/double", "table": "coil", "address": 1 }), "bool does not fit");
    one(json!({ "tag": "m/int", "table": "coil", "address": 1, "type": "u16" }), "one bit, not u16");
    one(json!({ "tag": "m/text", "table": "holding", "address": 1, "type": "string" }), "`length` is missing");
    one(
        json!({ "tag": "m/int", "table": "holding", "address": 1, "type": "u16", "length": 2 }),
        "for type = \"string\" only",
    );
    one(json!({ "tag": "m/int", "table": "holding", "address": 1, "type": "u16", "bit": 2 }), "for type = \"bool\"");
    one(json!({ "tag": "m/flag", "table": "holding", "address": 1, "bit": 16 }), "from 0 to 15");
    one(json!({ "tag": "m/double", "table": "holding", "address": 1, "type": "u16", "scale": 0 }), "must not be 0");
    one(json!({ "tag": "m/flag", "table": "coil", "address": 1, "scale": 2 }), "for numbers only");
    one(json!({ "tag": "m/int", "table": "input", "address": 1, "type": "u16", "write": true }), "cannot be written");
    one(
        json!({ "tag": "m/read", "table": "holding", "address": 1, "type": "u16", "write": true }),
        "has no write rule",
    );
    one(json!({ "tag": "m/flag", "table": "holding", "address": 1, "type": "bool", "write": true }), "name the bit");
}

#[test]
fn a_tag_has_one_source() {
    let twice = json!([
        { "tag": "m/int", "table": "holding", "address": 1, "type": "u16" },
        { "tag": "m/int", "table": "holding", "address": 2, "type": "u16" },
    ]);
    let list = findings(json!({ "endpoint": "10.0.0.1:502", "register": twice }));
    assert_eq!(list, ["register.1.tag: the tag m/int is already read by an earlier register; remove one of the two"]);

    let one = json!({ "endpoint": "10.0.0.1:502", "register": [{ "tag": "m/int", "table": "holding", "address": 1, "type": "u16" }] });
    let mut plant = plant(vec![tag("m/int", DataType::Int64)], one);
    let mut second = plant.connectors[0].clone();
    second.name = "second".to_owned();
    plant.connectors.push(second);
    assert!(check(&plant.connectors[1], &plant)[0].message.contains("already read by the connector \"device\""));
}

#[test]
fn an_unknown_kind_is_refused() {
    let mut plant = plant(vec![], json!({}));
    plant.connectors[0].kind = "modbos".to_owned();
    assert_eq!(check(&plant.connectors[0], &plant)[0].remedy, "did you mean \"modbus\"?");
    plant.connectors[0].kind = "fax".to_owned();
    assert_eq!(
        check(&plant.connectors[0], &plant)[0].remedy,
        "use one of: modbus, sparkplug_host, sparkplug_edge, mqtt_discovery, mqtt_announce, mqtt_bridge"
    );
}

#[test]
fn no_json_makes_it_panic() {
    for settings in [
        json!(null),
        json!([]),
        json!("text"),
        json!({ "register": [null, [], 3, { "tag": {} }] }),
        json!({ "endpoint": [] }),
    ] {
        assert!(!findings(settings).is_empty());
    }
    let many: Vec<Value> = (0..10_001).map(|_| json!({})).collect();
    assert_eq!(findings(json!({ "endpoint": "10.0.0.1:502", "register": many })).len(), 1);
}
