//! Announcements of real devices and hostile ones, and what is found in them.

use super::*;
use crate::item::Wanted;
use proptest::prelude::*;

/// One line an item.
fn show(item: &Item) -> String {
    let what = match &item.what {
        Err(why) => format!("no: {why}"),
        Ok(Wanted { point, source, command }) => {
            let mut words = vec![point.data_type.name().to_owned()];
            words.extend(point.unit.as_ref().map(|unit| unit.code().to_owned()));
            words.extend(point.range.map(|(low, high)| format!("{low}..{high}")));
            words.extend(
                source
                    .as_ref()
                    .map(|source| format!("{} {} {}", source.filter, source.at, Json::Object(source.words.clone()))),
            );
            words.extend(source.as_ref().and_then(|source| source.availability.as_ref()).map(|it| format!("if {it}")));
            words.extend(command.as_ref().map(|command| {
                let words = Json::Object(command.words.clone());
                format!("> {} {words}", command.topic.as_deref().unwrap_or_default())
            }));
            words.join(" ")
        }
    };
    let left_out: String = item.left_out.iter().map(|why| format!(" ({why})")).collect();
    format!("{} / {} [{}] {what}{left_out}", item.device.name, item.name, item.kind)
}

fn check(topic: &str, payload: &str) -> Vec<String> {
    read("homeassistant", topic, payload.as_bytes()).iter().map(show).collect()
}

#[test]
fn an_esphome_sensor_with_short_names_is_read() {
    // As ESPHome announces a BME280.
    let payload = r#"{"dev_cla":"temperature","unit_of_meas":"°C","stat_cla":"measurement","name":"Temperature","stat_t":"boiler-room/sensor/temperature/state",
      "avty_t":"boiler-room/status","uniq_id":"ESPsensortemperature","dev":{"ids":"a4cf12c9f3f0","name":"boiler-room","sw":"esphome v2024.3.0","mdl":"nodemcuv2","mf":"espressif","sa":"Cellar"}}"#;
    let items = read("homeassistant", "homeassistant/sensor/boiler-room/temperature/config", payload.as_bytes());
    assert_eq!(
        items.iter().map(show).collect::<Vec<_>>(),
        [
            r#"boiler-room / Temperature [sensor temperature] double Cel boiler-room/sensor/temperature/state {{ value }} {"optional":true} if {"offline":"offline","online":"online","topic":"boiler-room/status"}"#
        ]
    );
    assert_eq!((items[0].device.id.as_str(), items[0].device.area.as_deref()), ("a4cf12c9f3f0", Some("Cellar")));
    assert_eq!(items[0].device.model, "espressif nodemcuv2");
}

#[test]
fn a_zigbee_switch_with_two_availabilities_is_read() {
    let payload = r#"{"availability":[{"topic":"zigbee2mqtt/bridge/state","value_template":"{{ value_json.state }}"},{"topic":"zigbee2mqtt/plug/availability","value_template":"{{ value_json.state }}"}],
      "availability_mode":"all","command_topic":"zigbee2mqtt/plug/set","device":{"identifiers":["zigbee2mqtt_0x00158d"],"manufacturer":"IKEA","model":"E1603","name":"plug"},
      "name":null,"payload_off":"OFF","payload_on":"ON","state_topic":"zigbee2mqtt/plug","unique_id":"0x00158d_switch_zigbee2mqtt","value_template":"{{ value_json.state }}"}"#;
    assert_eq!(
        check("homeassistant/switch/0x00158d/switch/config", payload),
        [
            r#"plug / switch [switch] boolean zigbee2mqtt/plug {{ value_json.state }} {"false":"OFF","optional":true,"true":"ON"} if [{"offline":"offline","online":"online","template":"{{ value_json.state }}","topic":"zigbee2mqtt/bridge/state"},{"offline":"offline","online":"online","template":"{{ value_json.state }}","topic":"zigbee2mqtt/plug/availability"}] > zigbee2mqtt/plug/set {"off":"OFF","on":"ON","text":"{value}"}"#
        ]
    );
}

#[test]
fn a_base_topic_is_put_before_and_behind() {
    let payload = r#"{"~":"tele/x","stat_t":"~/STATE","cmd_t":"cmnd/~","val_tpl":"{{value_json.POWER}}","avty":{"t":"~/LWT","pl_avail":"Online","pl_not_avail":"Offline"},"name":"Relay"}"#;
    assert_eq!(
        check("homeassistant/switch/x_relay/config", payload),
        [
            r#"x_relay / Relay [switch] boolean tele/x/STATE {{value_json.POWER}} {"false":"OFF","optional":true,"true":"ON"} if {"offline":"Offline","online":"Online","topic":"tele/x/LWT"} > cmnd/tele/x {"off":"OFF","on":"ON","text":"{value}"}"#
        ]
    );
}

#[test]
fn a_device_with_components_is_read() {
    let payload = r#"{"dev":{"ids":"ea334450945afc","name":"Kitchen","mf":"Bla electronics","mdl":"xya"},"o":{"name":"bla2mqtt","sw":"2.1","url":"https://bla2mqtt.example.com/support"},
      "cmps":{"t1":{"p":"sensor","device_class":"temperature","unit_of_measurement":"°C","value_template":"{{ value_json.temperature}}","unique_id":"temp01ae_t"},
              "h1":{"p":"sensor","device_class":"humidity","unit_of_measurement":"%","value_template":"{{ value_json.humidity}}","unique_id":"temp01ae_h"},
              "old":{"p":"sensor"}},
      "state_topic":"sensorBedroom/state","qos":2}"#;
    assert_eq!(
        check("homeassistant/device/0AFFD2/config", payload),
        [
            r#"Kitchen / humidity [sensor humidity] double % sensorBedroom/state {{ value_json.humidity}} {"optional":true}"#,
            r#"Kitchen / temperature [sensor temperature] double Cel sensorBedroom/state {{ value_json.temperature}} {"optional":true}"#,
        ]
    );
}

#[test]
fn lights_covers_and_climates_have_several_values() {
    let light = r#"{"schema":"json","brightness":true,"brightness_scale":254,"supported_color_modes":["xy","color_temp"],"command_topic":"z/lamp/set","state_topic":"z/lamp","name":"Lamp"}"#;
    assert_eq!(
        check("homeassistant/light/lamp/config", light),
        [
            r#"lamp / Lamp [light] boolean z/lamp {{ value_json.state }} {"false":"OFF","optional":true,"true":"ON"} > z/lamp/set {"json":{"state":"$ON_OFF"},"off":"OFF","on":"ON"} (its colours are not mapped)"#,
            r#"lamp / Lamp brightness [light] int64 0..254 z/lamp {{ value_json.brightness }} {"optional":true} > z/lamp/set {"json":{"brightness":"$VALUE","state":"ON"}}"#,
        ]
    );
    let cover = r#"{"state_topic":"c/state","command_topic":"c/set","position_topic":"c/pos","set_position_topic":"c/pos/set","set_position_template":"{\"pos\": {{ value }} }","name":"Blind"}"#;
    assert_eq!(
        check("homeassistant/cover/blind/config", cover),
        [
            r#"blind / Blind [cover] int64 c/state {{ value }} {"optional":true,"values":{"closed":0,"closing":3,"open":1,"opening":2,"stopped":4}} > c/set {"text":"{value}","values":{"CLOSE":0,"OPEN":1}}"#,
            r#"blind / Blind position [cover] double 0..100 c/pos {{ value }} {"optional":true} > c/pos/set {"text":"{\"pos\": {value} }","whole":true}"#,
        ]
    );
    let climate = r#"{"current_temperature_topic":"t","current_temperature_template":"{{ value_json.local_temperature }}","temperature_state_topic":"t","temperature_state_template":"{{ value_json.occupied_heating_setpoint }}",
      "temperature_command_topic":"t/set/occupied_heating_setpoint","min_temp":5,"max_temp":30,"temp_step":0.5,"modes":["off","heat"],"mode_state_topic":"t","mode_state_template":"{{ value_json.system_mode }}",
      "mode_command_topic":"t/set/system_mode","action_topic":"t","action_template":"{% set values = {None:None,'idle':'idle','heat':'heating'} %}{{ values[value_json.running_state] }}","name":"Valve"}"#;
    assert_eq!(
        check("homeassistant/climate/valve/config", climate),
        [
            r#"valve / Valve temperature [climate] double Cel t {{ value_json.local_temperature }} {"optional":true}"#,
            r#"valve / Valve set point [climate] double Cel 5..30 t {{ value_json.occupied_heating_setpoint }} {"optional":true} > t/set/occupied_heating_setpoint {"text":"{value}"}"#,
            r#"valve / Valve mode [climate] int64 t {{ value_json.system_mode }} {"optional":true,"values":{"heat":1,"off":0}} > t/set/system_mode {"text":"{value}","values":{"heat":1,"off":0}}"#,
            "valve / Valve action [climate] no: the template {% set values = {None:None,'idle':'idle','heat':'heating'} %}{{ values[value_json.running_state] }} is not understood: it has statements ({% … %}), which only Home Assistant runs",
        ]
    );
}

#[test]
fn numbers_choices_buttons_and_locks_can_be_written_within_their_words() {
    let check =
        |component: &str, payload: &str| check(&format!("homeassistant/{component}/x/config"), payload).join("\n");
    assert_eq!(
        check(
            "number",
            r#"{"state_topic":"n","command_topic":"n/set","command_template":"{{ value | int }}","min":0.5,"max":4,"step":0.25,"unit_of_measurement":"bar","name":"Pressure"}"#
        ),
        r#"x / Pressure [number] double bar 0.5..4 n {{ value }} {"optional":true} > n/set {"text":"{value}","whole":true}"#
    );
    assert_eq!(
        check("select", r#"{"state_topic":"s","command_topic":"s/set","options":["eco","comfort"],"name":"Mode"}"#),
        r#"x / Mode [select] int64 s {{ value }} {"optional":true,"values":{"comfort":1,"eco":0}} > s/set {"text":"{value}","values":{"comfort":1,"eco":0}}"#
    );
    assert_eq!(
        check("button", r#"{"command_topic":"b/set","payload_press":"restart","name":"Restart"}"#),
        r#"x / Restart [button] int64 > b/set {"text":"{value}","values":{"restart":1}}"#
    );
    assert_eq!(
        check("lock", r#"{"state_topic":"l","command_topic":"l/set","code_format":"^\\d{4}$","name":"Door"}"#),
        r#"x / Door [lock] int64 l {{ value }} {"optional":true,"values":{"JAMMED":4,"LOCKED":1,"LOCKING":2,"UNLOCKED":0,"UNLOCKING":3}} (not writable: it asks for a code, which is not kept)"#
    );
    assert_eq!(check("camera", r#"{"topic":"c"}"#), "x / camera [camera] no: an image is no value");
    assert_eq!(check("whatever", "{}"), "x / whatever [whatever] no: this kind of entity is not known");
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_guessed() {
    let check = |payload: &str| check("homeassistant/sensor/x/config", payload).join("\n");
    assert_eq!(
        check("["),
        "x / x [sensor] no: the configuration is no JSON: EOF while parsing a list at line 1 column 1"
    );
    assert_eq!(check("[]"), "x / x [sensor] no: the configuration is no JSON object");
    assert_eq!(check("{}"), "x / sensor [sensor] no: it has no topic for its state");
    assert_eq!(check(r#"{"stat_t":"a/#"}"#), "x / sensor [sensor] no: state_topic: \"a/#\" is no topic of a device");
    assert_eq!(
        check(r#"{"stat_t":"$SYS/x"}"#),
        "x / sensor [sensor] no: state_topic: \"$SYS/x\" is no topic of a device"
    );
    assert_eq!(
        check(r#"{"stat_t":"a","val_tpl":"{{ states('light.x') }}"}"#),
        "x / sensor [sensor] no: the template {{ states('light.x') }} is not understood: `states` is none of value and value_json"
    );
    assert_eq!(
        check(r#"{"stat_t":"a","avty_mode":"any","avty":[{"t":"b"},{"t":"c"}]}"#),
        r#"x / sensor [sensor] string a {{ value }} {"optional":true} (availability: that any of several topics says online cannot be mapped; it is left out)"#
    );
    for topic in [
        "homeassistant/sensor/config",
        "homeassistant/sensor/a/b/c/config",
        "homeassistant/sensor/a b/config",
        "other/sensor/x/config",
    ] {
        assert!(read("homeassistant", topic, b"{}").is_empty(), "{topic}");
    }
}

#[test]
fn one_announcement_takes_little_more_room_than_it_has() {
    // A word of a megabyte that a thousand components share.
    let long = "x".repeat(900_000);
    let components: Vec<String> = (0..1200)
        .map(|n| format!(r#""c{n}":{{"p":"sensor","val_tpl":"{{{{ value_json.v{n} }}}}","name":"v{n}"}}"#))
        .collect();
    let announced = |word: &str| {
        let avty = format!(r#""avty_t":"d/status","pl_avail":"{word}""#);
        format!(r#"{{"dev":{{"ids":"d"}},"stat_t":"d/state",{avty},"cmps":{{{}}}}}"#, components.join(","))
    };
    let size = |items: &[Item]| -> usize {
        let mut shared = std::collections::HashMap::new();
        let own = |item: &Item| {
            let source = item.what.as_ref().ok().and_then(|wanted| wanted.source.as_ref());
            let words = source.map(|source| source.at.len() + Json::Object(source.words.clone()).to_string().len());
            words.unwrap_or_default() + item.topic.len() + item.name.len()
        };
        for availability in
            items.iter().filter_map(|item| item.what.as_ref().ok()?.source.as_ref()?.availability.as_ref())
        {
            shared.insert(Arc::as_ptr(availability), availability.to_string().len());
        }
        shared.values().sum::<usize>() + items.iter().map(own).sum::<usize>()
    };
    let items = read("homeassistant", "homeassistant/device/d/config", announced("up").as_bytes());
    assert_eq!(items.len(), MAX_COMPONENTS);
    assert!(size(&items) < 200_000, "{}", size(&items));
    let items = read("homeassistant", "homeassistant/device/d/config", announced(&long).as_bytes());
    assert!(size(&items) < 200_000, "{}", size(&items));
}

#[test]
fn what_changes_the_meaning_and_cannot_be_mapped_is_told() {
    let check = |component: &str, more: &str| {
        check(&format!("homeassistant/{component}/x/config"), &format!(r#"{{"stat_t":"s","name":"a",{more}}}"#))
            .join("\n")
    };
    assert_eq!(
        check("binary_sensor", r#""off_dly":30"#),
        "x / a [binary_sensor] no: that it goes off by itself after `off_delay` cannot be mapped: it would stay on for ever"
    );
    assert_eq!(check("sensor", r#""e":"latin-1""#), "x / a [sensor] no: its messages are not UTF-8 (`encoding`)");
    assert!(check("sensor", r#""e":"utf-8","off_dly":3"#).contains("string s"), "of a sensor it says nothing");
    assert!(check("switch", r#""cmd_t":"c","ret":true"#).ends_with("(commands are sent without `retain`)"));
    assert!(!check("switch", r#""cmd_t":"c","ret":false"#).contains("retain"));
    assert!(check("number", r#""cmd_t":"c","pl_rst":"none""#).contains("`payload_reset`"));
}

/// JSON of the words that configurations have.
fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<f64>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        proptest::sample::select(vec![
            "",
            "~",
            "a/b",
            "~/x",
            "{{ value }}",
            "{{ value_json.a | int }}",
            "json",
            "any",
            "F",
            "é\u{202e}",
            "sensor",
            "#"
        ])
        .prop_map(Json::from),
    ];
    let key = prop_oneof![
        proptest::sample::select(abbreviations::KEYS.to_vec()).prop_map(|(short, long)| if short.len() % 2 == 0 {
            short
        } else {
            long
        }
        .to_owned()),
        proptest::sample::select(vec!["~", "dev", "device", "cmps", "p", "o", "avty", "ids", "name", "t"])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 64, 12, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Json::from),
            proptest::collection::vec((key.clone(), inner), 0..12)
                .prop_map(|pairs| Json::Object(pairs.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn no_announcement_panics_or_passes_the_bounds(
        component in proptest::sample::select(vec![
            "sensor", "binary_sensor", "switch", "light", "number", "select", "text", "button", "cover", "valve", "lock", "fan", "climate", "humidifier", "device", "camera", "x",
        ]),
        config in json(),
    ) {
        let items = read("homeassistant", &format!("homeassistant/{component}/x/config"), config.to_string().as_bytes());
        prop_assert!(items.len() <= MAX_COMPONENTS * 16);
        for item in items {
            prop_assert!(item.name.chars().count() <= 160 && item.device.name.chars().count() <= 80);
            let Ok(wanted) = item.what else { continue };
            prop_assert!(wanted.point.leaf.len() <= 64 && !wanted.point.leaf.is_empty());
            prop_assert!(wanted.source.is_some() || wanted.command.is_some());
        }
    }

    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = read("homeassistant", "homeassistant/sensor/x/config", &bytes);
        let _ = crate::zigbee2mqtt::read("z/bridge/devices", &bytes, 1000);
    }

    #[test]
    fn no_list_of_devices_panics(config in json()) {
        let _ = crate::zigbee2mqtt::read("z/bridge/devices", config.to_string().as_bytes(), 1000);
    }
}
