//! The kinds of entities, and what each is as tags.

use super::config::{Asked, Config, numbered, words};
use crate::item::{Device, Item, MOVES_MS, Point, SOON_MS, Source, write_rule};
use crate::units::unit;
use andon_model::DataType;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// Components that are known and become no tag, and why.
const NOT_MAPPED: [(&str, &str); 14] = [
    ("device_automation", "a trigger is a moment, not a value"),
    ("tag", "a scanned tag is a moment, not a value"),
    ("scene", "a scene has no state"),
    ("notify", "a message to people is no value"),
    ("camera", "an image is no value"),
    ("image", "an image is no value"),
    ("vacuum", "vacuum cleaners are not mapped"),
    ("lawn_mower", "lawn mowers are not mapped"),
    ("alarm_control_panel", "alarm panels are not mapped: a code must not be kept"),
    ("siren", "sirens are not mapped"),
    ("water_heater", "water heaters are not mapped"),
    ("device_tracker", "where somebody is, is not mapped"),
    ("update", "what updates there are is not mapped"),
    ("event", "an event is a moment, not a value"),
];

/// Classes of sensors whose values are texts.
const TEXT_CLASSES: [&str; 3] = ["enum", "date", "timestamp"];

type Devices<'d> = &'d Arc<Device>;

/// Keys that change what an entity's values are in a way that no mapping has: what was read without them would be wrong.
const STOPS: [(&str, &str, &str); 1] = [(
    "binary_sensor",
    "off_delay",
    "that it goes off by itself after `off_delay` cannot be mapped: it would stay on for ever",
)];

/// Keys that change less, and of which it is told that they are left out. An empty component stands for all.
const LEFT_OUT: [(&str, &str, &str); 6] = [
    ("", "retain", "commands are sent without `retain`"),
    ("", "payload_reset", "its word for an unknown value (`payload_reset`) is not mapped"),
    ("light", "on_command_type", "how brightness and being on depend on each other (`on_command_type`) is not mapped"),
    ("light", "effect_command_topic", "its effects are not mapped"),
    ("sensor", "last_reset_value_template", "when its total began anew is not mapped"),
    ("text", "pattern", "its `pattern` is not checked"),
];

/// The items of one entity.
pub(super) fn read(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    let given = |key: &str| config.map.get(key).is_some_and(|value| !value.is_null() && value.as_bool() != Some(false));
    let of = |component: &str| component.is_empty() || component == config.component;
    let encoding = config.text("encoding").filter(|encoding| !["utf-8", "utf8"].contains(&&*encoding.to_lowercase()));
    if encoding.is_some() {
        return vec![config.not_mapped(device, "its messages are not UTF-8 (`encoding`)")];
    }
    if let Some((_, _, why)) = STOPS.iter().find(|(component, key, _)| of(component) && given(key)) {
        return vec![config.not_mapped(device, why)];
    }
    let mut items = of_kind(config, device);
    for (_, _, why) in LEFT_OUT.iter().filter(|(component, key, _)| of(component) && given(key)) {
        items.iter_mut().filter(|item| item.what.is_ok()).for_each(|item| item.left_out.push((*why).to_owned()));
    }
    items
}

fn of_kind(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    match config.component {
        "sensor" => vec![sensor(config, device)],
        "binary_sensor" => vec![binary_sensor(config, device)],
        "switch" => vec![switch(config, device)],
        "light" => light(config, device),
        "number" => vec![number(config, device)],
        "select" => vec![select(config, device)],
        "text" => vec![text(config, device)],
        "button" => vec![button(config, device)],
        "cover" => cover(config, device),
        "valve" => vec![valve(config, device)],
        "lock" => vec![lock(config, device)],
        "fan" => fan(config, device),
        "climate" => climate(config, device),
        "humidifier" => humidifier(config, device),
        other => {
            let why = NOT_MAPPED.iter().find(|(component, _)| *component == other);
            vec![config.not_mapped(device, why.map_or("this kind of entity is not known", |(_, why)| why))]
        }
    }
}

fn stale_after(config: &Config<'_>) -> Option<u64> {
    let seconds = config.number("expire_after").filter(|seconds| (1.0..=31_536_000.0).contains(seconds))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between a second and a year")]
    let seconds = seconds as u64;
    Some(seconds * 1000)
}

fn with_unit(config: &Config<'_>, point: Point) -> (Point, Option<String>) {
    let Some(text) = config.text("unit_of_measurement").filter(|text| !text.trim().is_empty() && text != "None") else {
        return (point, None);
    };
    match unit(&text) {
        Some(unit) => (Point { unit: Some(unit), ..point }, None),
        None => (point, Some("its unit is not known, and left out".to_owned())),
    }
}

fn sensor(config: &Config<'_>, device: Devices<'_>) -> Item {
    let class = config.text("device_class").filter(|class| class != "None");
    let of_text = class.as_deref().is_some_and(|class| TEXT_CLASSES.contains(&class));
    let numeric = !of_text
        && (class.is_some()
            || ["unit_of_measurement", "state_class", "suggested_display_precision"].iter().any(|key| config.has(key)));
    let mut point = Point::new("", if numeric { DataType::Double } else { DataType::String });
    point.stale_after_ms = stale_after(config);
    let (mut point, why) = if numeric { with_unit(config, point) } else { (point, None) };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 9")]
    let digits =
        config.number("suggested_display_precision").filter(|n| numeric && (0.0..=9.0).contains(n)).map(|n| n as u8);
    point.digits = digits;
    let mut item = config.item(device, "", point, config.source("state_topic", "value_template"), Asked::none());
    item.left_out.extend(why);
    item
}

/// What stands for true and for false.
fn on_off(source: Result<Option<Source>, String>, on: &str, off: &str) -> Result<Option<Source>, String> {
    Ok(source?.map(|mut source| {
        source.words.insert("true".to_owned(), json!(on));
        source.words.insert("false".to_owned(), json!(off));
        source
    }))
}

/// Words for numbers.
fn with_words(source: Result<Option<Source>, String>, numbers: Json) -> Result<Option<Source>, String> {
    Ok(source?.map(|mut source| {
        source.words.insert("values".to_owned(), numbers);
        source
    }))
}

fn binary_sensor(config: &Config<'_>, device: Devices<'_>) -> Item {
    let mut point = Point::new("", DataType::Boolean);
    point.stale_after_ms = stale_after(config);
    let (on, off) = (config.text_or("payload_on", "ON"), config.text_or("payload_off", "OFF"));
    config.item(device, "", point, on_off(config.source("state_topic", "value_template"), &on, &off), Asked::none())
}

fn switch(config: &Config<'_>, device: Devices<'_>) -> Item {
    let (on, off) = (config.text_or("payload_on", "ON"), config.text_or("payload_off", "OFF"));
    let (is_on, is_off) = (config.text_or("state_on", &on), config.text_or("state_off", &off));
    let source = on_off(config.source("state_topic", "value_template"), &is_on, &is_off);
    let asked = config.command("command_topic", "command_template", words([("on", json!(on)), ("off", json!(off))]));
    config.item(device, "", Point::new("", DataType::Boolean), source, asked)
}

fn light(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    let scale = config.number("brightness_scale").filter(|scale| *scale >= 1.0).unwrap_or(255.0);
    let brightness = || {
        let mut point = Point::new("", DataType::Int64).within(0.0, scale);
        point.digits = None;
        point
    };
    match config.text_or("schema", "basic").as_str() {
        "json" => {
            let state = config.source("state_topic", "no template").and_then(|source| {
                source.map(|source| config.templated(source.filter, "{{ value_json.state }}")).transpose()
            });
            let with = |json: Json| {
                let mut asked = config.command("command_topic", "no template", words([("json", json)]));
                if let Some(command) = &mut asked.command {
                    command.words.remove("text");
                }
                asked
            };
            let mut on = with(json!({ "state": "$ON_OFF" }));
            if let Some(command) = &mut on.command {
                command.words.extend(words([("on", json!("ON")), ("off", json!("OFF"))]));
            }
            let mut items =
                vec![config.item(device, "", Point::new("", DataType::Boolean), on_off(state, "ON", "OFF"), on)];
            let modes = config.list("supported_color_modes");
            let dims = config.flag("brightness") || modes.iter().any(|mode| mode != "onoff");
            if dims {
                let level = config.source("state_topic", "no template").and_then(|source| {
                    source.map(|source| config.templated(source.filter, "{{ value_json.brightness }}")).transpose()
                });
                let asked = with(json!({ "state": "ON", "brightness": "$VALUE" }));
                items.push(config.item(device, "brightness", brightness(), level, asked));
            }
            if modes.iter().any(|mode| !["onoff", "brightness"].contains(&mode.as_str()))
                && let Some(first) = items.first_mut()
            {
                first.left_out.push("its colours are not mapped".to_owned());
            }
            items
        }
        "basic" => {
            let (on, off) = (config.text_or("payload_on", "ON"), config.text_or("payload_off", "OFF"));
            let source = on_off(config.source("state_topic", "state_value_template"), &on, &off);
            let asked = config.command("command_topic", "no template", words([("on", json!(on)), ("off", json!(off))]));
            let mut items = vec![config.item(device, "", Point::new("", DataType::Boolean), source, asked)];
            if config.has("brightness_command_topic") || config.has("brightness_state_topic") {
                let level = config.source("brightness_state_topic", "brightness_value_template");
                let asked = config.command("brightness_command_topic", "brightness_command_template", Map::new());
                items.push(config.item(device, "brightness", brightness(), level, asked));
            }
            items
        }
        other => vec![
            config.not_mapped(device, &format!("lights of the schema {} are not mapped", crate::text::line(other, 20))),
        ],
    }
}

/// How many digits a step asks for.
fn digits_of(step: f64) -> Option<u8> {
    (0..=9_u8).find(|digits| {
        let scaled = step * 10_f64.powi(i32::from(*digits));
        (scaled - scaled.round()).abs() < 1e-6
    })
}

fn number(config: &Config<'_>, device: Devices<'_>) -> Item {
    let (low, high) = (config.number("min").unwrap_or(1.0), config.number("max").unwrap_or(100.0));
    let step = config.number("step").filter(|step| *step > 0.0).unwrap_or(1.0);
    let mut point = Point::new("", DataType::Double).within(low, high);
    point.digits = digits_of(step);
    let (point, why) = with_unit(config, point);
    let asked = match point.range {
        Some(_) => config.command("command_topic", "command_template", Map::new()),
        None => {
            Asked { command: None, why: Some("not writable: its highest value is not above its lowest".to_owned()) }
        }
    };
    let mut item = config.item(device, "", point, config.source("state_topic", "value_template"), asked);
    item.left_out.extend(why);
    item
}

/// One of several words, by a topic for its state and one for its command.
fn choice(config: &Config<'_>, device: Devices<'_>, part: &str, list: &[String], topics: [&str; 4]) -> Item {
    if list.is_empty() {
        return config.not_mapped(
            device,
            &format!("{}: there is nothing to choose from", if part.is_empty() { "options" } else { part }),
        );
    }
    let [state, state_template, command, command_template] = topics;
    let source = with_words(config.source(state, state_template), numbered(list));
    let asked = config.command(command, command_template, words([("values", numbered(list))]));
    config.item(device, part, Point::of_words("", list), source, asked)
}

fn select(config: &Config<'_>, device: Devices<'_>) -> Item {
    choice(
        config,
        device,
        "",
        &config.list("options"),
        ["state_topic", "value_template", "command_topic", "command_template"],
    )
}

fn text(config: &Config<'_>, device: Devices<'_>) -> Item {
    let asked = config.command("command_topic", "command_template", Map::new());
    config.item(device, "", Point::new("", DataType::String), config.source("state_topic", "value_template"), asked)
}

/// A press has one word and no state: only 1 can be written, and nobody reports it.
fn button(config: &Config<'_>, device: Devices<'_>) -> Item {
    let press = config.text_or("payload_press", "PRESS");
    let mut point = Point::new("", DataType::Int64);
    point.states.insert(1, "press".to_owned());
    point.write = write_rule(Some(1.0), Some(1.0), 1000);
    let asked = config.command("command_topic", "command_template", words([("values", json!({ press: 1 }))]));
    config.item(device, "", point, Ok(None), asked)
}

/// Something that moves between two ends: words for its states, the first two of which can be asked for.
struct Moving<'m> {
    /// Numbered from 0: the two ends, then the others.
    states: [(&'m str, &'m str); 5],
    /// The words that ask for the two ends.
    asks: [(&'m str, &'m str); 2],
}

fn moving(config: &Config<'_>, device: Devices<'_>, topics: [&str; 4], moving: &Moving<'_>) -> Item {
    let states: Vec<String> = moving.states.iter().map(|(key, usual)| config.text_or(key, usual)).collect();
    let mut point = Point::of_words("", &states);
    point.states = (0..).zip(moving.states).map(|(number, (_, usual))| (number, usual.to_lowercase())).collect();
    point.write = write_rule(Some(0.0), Some(1.0), MOVES_MS);
    let asks: Vec<String> = moving.asks.iter().map(|(key, usual)| config.text_or(key, usual)).collect();
    let [state, state_template, command, command_template] = topics;
    let source = with_words(config.source(state, state_template), numbered(&states));
    let null = moving.asks.iter().any(|(key, _)| config.map.get(*key).is_some_and(Json::is_null));
    let asked = match null {
        true => Asked { command: None, why: Some("not writable: one of its ends cannot be asked for".to_owned()) },
        false => config.command(command, command_template, words([("values", numbered(&asks))])),
    };
    config.item(device, "", point, source, asked)
}

const COVER: Moving<'_> = Moving {
    states: [
        ("state_closed", "closed"),
        ("state_open", "open"),
        ("state_opening", "opening"),
        ("state_closing", "closing"),
        ("state_stopped", "stopped"),
    ],
    asks: [("payload_close", "CLOSE"), ("payload_open", "OPEN")],
};

fn cover(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    let topics = ["state_topic", "value_template", "command_topic", "no template"];
    let mut items = Vec::new();
    if config.has("state_topic") || config.has("command_topic") {
        items.push(moving(config, device, topics, &COVER));
    }
    for (part, low, high, topics) in [
        (
            "position",
            ("position_closed", 0.0),
            ("position_open", 100.0),
            ["position_topic", "position_template", "set_position_topic", "set_position_template"],
        ),
        (
            "tilt",
            ("tilt_min", 0.0),
            ("tilt_max", 100.0),
            ["tilt_status_topic", "tilt_status_template", "tilt_command_topic", "tilt_command_template"],
        ),
    ] {
        if !config.has(topics[0]) && !config.has(topics[2]) {
            continue;
        }
        let (low, high) = (config.number(low.0).unwrap_or(low.1), config.number(high.0).unwrap_or(high.1));
        let mut point = Point::new("", DataType::Double).within(low.min(high), low.max(high));
        point.digits = Some(0);
        point.write.confirm_within_ms = MOVES_MS;
        let asked = config.command(topics[2], topics[3], words([("whole", json!(true))]));
        items.push(config.item(device, part, point, config.source(topics[0], topics[1]), asked));
    }
    if items.is_empty() {
        items.push(config.not_mapped(device, "it has neither a state nor a command"));
    }
    items
}

fn valve(config: &Config<'_>, device: Devices<'_>) -> Item {
    if config.flag("reports_position") {
        let (low, high) =
            (config.number("position_closed").unwrap_or(0.0), config.number("position_open").unwrap_or(100.0));
        let mut point = Point::new("", DataType::Double).within(low.min(high), low.max(high));
        point.digits = Some(0);
        point.write.confirm_within_ms = MOVES_MS;
        let asked = config.command("command_topic", "command_template", words([("whole", json!(true))]));
        return config.item(device, "position", point, config.source("state_topic", "value_template"), asked);
    }
    moving(config, device, ["state_topic", "value_template", "command_topic", "command_template"], &COVER)
}

fn lock(config: &Config<'_>, device: Devices<'_>) -> Item {
    let lock = Moving {
        states: [
            ("state_unlocked", "UNLOCKED"),
            ("state_locked", "LOCKED"),
            ("state_locking", "LOCKING"),
            ("state_unlocking", "UNLOCKING"),
            ("state_jammed", "JAMMED"),
        ],
        asks: [("payload_unlock", "UNLOCK"), ("payload_lock", "LOCK")],
    };
    let mut item =
        moving(config, device, ["state_topic", "value_template", "command_topic", "command_template"], &lock);
    if config.has("code_format")
        && let Ok(wanted) = &mut item.what
    {
        wanted.command = None;
        item.left_out.push("not writable: it asks for a code, which is not kept".to_owned());
    }
    item
}

fn fan(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    let (on, off) = (config.text_or("payload_on", "ON"), config.text_or("payload_off", "OFF"));
    let source = on_off(config.source("state_topic", "state_value_template"), &on, &off);
    let asked = config.command("command_topic", "command_template", words([("on", json!(on)), ("off", json!(off))]));
    let mut items = vec![config.item(device, "", Point::new("", DataType::Boolean), source, asked)];
    if config.has("percentage_state_topic") || config.has("percentage_command_topic") {
        let (low, high) =
            (config.number("speed_range_min").unwrap_or(1.0), config.number("speed_range_max").unwrap_or(100.0));
        // 0 is off, whatever the lowest speed is.
        let point = Point::new("", DataType::Int64).within(low.min(0.0), high);
        let source = config.source("percentage_state_topic", "percentage_value_template");
        let asked =
            config.command("percentage_command_topic", "percentage_command_template", words([("whole", json!(true))]));
        items.push(config.item(device, "speed", point, source, asked));
    }
    if config.has("preset_modes") {
        let topics = [
            "preset_mode_state_topic",
            "preset_mode_value_template",
            "preset_mode_command_topic",
            "preset_mode_command_template",
        ];
        items.push(choice(config, device, "preset", &config.list("preset_modes"), topics));
    }
    if config.has("oscillation_state_topic") || config.has("oscillation_command_topic") {
        let (on, off) = (
            config.text_or("payload_oscillation_on", "oscillate_on"),
            config.text_or("payload_oscillation_off", "oscillate_off"),
        );
        let source = on_off(config.source("oscillation_state_topic", "oscillation_value_template"), &on, &off);
        let asked = config.command(
            "oscillation_command_topic",
            "oscillation_command_template",
            words([("on", json!(on)), ("off", json!(off))]),
        );
        items.push(config.item(device, "oscillation", Point::new("", DataType::Boolean), source, asked));
    }
    items
}

fn climate(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    let mut items = Vec::new();
    let unit = match config.text("temperature_unit").as_deref() {
        Some("F") => "°F",
        _ => "°C",
    };
    let degrees = |point: Point| Point { unit: crate::units::unit(unit), digits: Some(1), ..point };
    let usual = if unit == "°F" { (44.6, 95.0) } else { (7.0, 35.0) };
    if config.has("current_temperature_topic") {
        let source = config.source("current_temperature_topic", "current_temperature_template");
        items.push(config.item(
            device,
            "temperature",
            degrees(Point::new("", DataType::Double)),
            source,
            Asked::none(),
        ));
    }
    let (low, high) = (config.number("min_temp").unwrap_or(usual.0), config.number("max_temp").unwrap_or(usual.1));
    for (part, topics) in [
        (
            "set point",
            [
                "temperature_state_topic",
                "temperature_state_template",
                "temperature_command_topic",
                "temperature_command_template",
            ],
        ),
        (
            "low set point",
            [
                "temperature_low_state_topic",
                "temperature_low_state_template",
                "temperature_low_command_topic",
                "temperature_low_command_template",
            ],
        ),
        (
            "high set point",
            [
                "temperature_high_state_topic",
                "temperature_high_state_template",
                "temperature_high_command_topic",
                "temperature_high_command_template",
            ],
        ),
    ] {
        if config.has(topics[0]) || config.has(topics[2]) {
            let mut point = degrees(Point::new("", DataType::Double).within(low, high));
            point.digits = config.number("temp_step").and_then(digits_of).or(point.digits);
            point.write.tolerance = 0.05;
            point.write.confirm_within_ms = SOON_MS * 2;
            items.push(config.item(
                device,
                part,
                point,
                config.source(topics[0], topics[1]),
                config.command(topics[2], topics[3], Map::new()),
            ));
        }
    }
    let usual = |list: &[&str]| list.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let modes = if config.has("modes") {
        config.list("modes")
    } else {
        usual(&["auto", "off", "cool", "heat", "dry", "fan_only"])
    };
    let fans =
        if config.has("fan_modes") { config.list("fan_modes") } else { usual(&["auto", "low", "medium", "high"]) };
    for (part, list, topics) in [
        ("mode", modes, ["mode_state_topic", "mode_state_template", "mode_command_topic", "mode_command_template"]),
        (
            "fan mode",
            fans,
            ["fan_mode_state_topic", "fan_mode_state_template", "fan_mode_command_topic", "fan_mode_command_template"],
        ),
        (
            "preset",
            config.list("preset_modes"),
            [
                "preset_mode_state_topic",
                "preset_mode_value_template",
                "preset_mode_command_topic",
                "preset_mode_command_template",
            ],
        ),
    ] {
        if config.has(topics[0]) || config.has(topics[2]) {
            items.push(choice(config, device, part, &list, topics));
        }
    }
    if config.has("action_topic") {
        let actions = usual(&["off", "idle", "heating", "cooling", "drying", "fan", "preheating", "defrosting"]);
        let source = with_words(config.source("action_topic", "action_template"), numbered(&actions));
        items.push(config.item(device, "action", Point::of_words("", &actions), source, Asked::none()));
    }
    if items.is_empty() {
        items.push(config.not_mapped(device, "it has neither a state nor a command"));
    }
    items
}

fn humidifier(config: &Config<'_>, device: Devices<'_>) -> Vec<Item> {
    let (on, off) = (config.text_or("payload_on", "ON"), config.text_or("payload_off", "OFF"));
    let source = on_off(config.source("state_topic", "state_value_template"), &on, &off);
    let asked = config.command("command_topic", "command_template", words([("on", json!(on)), ("off", json!(off))]));
    let mut items = vec![config.item(device, "", Point::new("", DataType::Boolean), source, asked)];
    let (low, high) = (config.number("min_humidity").unwrap_or(0.0), config.number("max_humidity").unwrap_or(100.0));
    let mut point = Point::new("", DataType::Double).within(low, high);
    point.unit = crate::units::unit("%");
    let source = config.source("target_humidity_state_topic", "target_humidity_state_template");
    let asked = config.command(
        "target_humidity_command_topic",
        "target_humidity_command_template",
        words([("whole", json!(true))]),
    );
    items.push(config.item(device, "set point", point, source, asked));
    if config.has("current_humidity_topic") {
        let mut point = Point::new("", DataType::Double);
        point.unit = crate::units::unit("%");
        let source = config.source("current_humidity_topic", "current_humidity_template");
        items.push(config.item(device, "humidity", point, source, Asked::none()));
    }
    if config.has("modes") {
        let topics = ["mode_state_topic", "mode_state_template", "mode_command_topic", "mode_command_template"];
        items.push(choice(config, device, "mode", &config.list("modes"), topics));
    }
    items
}
