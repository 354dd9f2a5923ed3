//! Tags announced to a Home Assistant: for each a retained configuration, a state with its quality, and a command topic where it may be written.
//!
//! A value of bad quality is `unavailable` there, as the device is here: each state says so beside the value. What is announced is judged by Home
//! Assistant's own schemas, 2024.3.3 (`tests/e2e/test_home_assistant.py`).

use crate::text::line;
use crate::units::{class, written};
use andon_model::plant::{Equipment, Level, Plant, TagDef};
use andon_model::{DataType, EquipmentPath, Sample, Value};
use serde_json::{Map, Value as Json, json};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Home Assistant takes no longer states and texts, in characters.
const LONGEST: usize = 255;
/// What is sent when a button is pressed there.
const PRESS: &str = "PRESS";
/// The smallest step of a number there.
const SMALLEST_STEP: f64 = 0.001;

/// How a branch is announced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// The first levels of Home Assistant's discovery.
    pub prefix: String,
    /// The first levels of the topics of states and commands.
    pub base: String,
    /// Which Andon it is: two at one broker are not each other's.
    pub node: Uuid,
    /// What tells these announcements from others of this Andon: the connector's name.
    pub name: String,
    /// What is announced: everything below.
    pub branch: EquipmentPath,
    /// Whether commands are taken.
    pub commands: bool,
}

/// A tag as Home Assistant sees it.
#[derive(Clone, PartialEq, Debug)]
pub struct Entity {
    /// The tag's path.
    pub path: String,
    /// Where its configuration stands.
    pub config_topic: String,
    /// Its configuration.
    pub config: Json,
    /// Where its state stands; what is pressed has none.
    pub state_topic: Option<String>,
    /// Where it is commanded.
    pub command_topic: Option<String>,
}

/// How the level begins under which this Andon announces, and no other.
#[must_use]
pub fn own(node: Uuid) -> String {
    format!("andon_{}_", node.simple())
}

impl Options {
    /// The level of their own in configuration topics: letters, digits, `_` and `-`.
    #[must_use]
    pub fn node_level(&self) -> String {
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        format!("{}{}", own(self.node), self.name.chars().map(plain).collect::<String>())
    }

    /// Where it stands whether Andon is there: `online` or `offline`.
    #[must_use]
    pub fn status_topic(&self) -> String {
        format!("{}/status", self.base)
    }

    /// All their configurations, as a topic filter.
    #[must_use]
    pub fn config_filter(&self) -> String {
        format!("{}/+/{}/+/config", self.prefix, self.node_level())
    }

    /// Where Home Assistant says that it is there.
    #[must_use]
    pub fn birth_topic(&self) -> String {
        format!("{}/status", self.prefix)
    }
}

/// The tags of the branch, in the order of their paths.
#[must_use]
pub fn entities(options: &Options, plant: &Plant) -> Vec<Entity> {
    let equipment: HashMap<&str, &Equipment> = plant.equipment.iter().map(|item| (item.path.as_str(), item)).collect();
    let below = |tag: &&TagDef| tag.path.is_under(options.branch.as_str());
    plant.tags.iter().filter(below).filter_map(|tag| entity(options, tag, &equipment)).collect()
}

/// What a tag is there, and what only that kind says.
fn kind(tag: &TagDef, writable: bool) -> (&'static str, Map<String, Json>) {
    let mut config = Map::new();
    let component = match tag.data_type {
        DataType::Boolean if writable => "switch",
        DataType::Boolean => "binary_sensor",
        DataType::Int64 if tag.press().is_some() => {
            config.insert("payload_press".to_owned(), json!(PRESS));
            "button"
        }
        DataType::Int64 if has_words(tag) && writable => {
            config.insert("options".to_owned(), json!(tag.states.values().collect::<Vec<_>>()));
            "select"
        }
        DataType::Int64 if has_words(tag) => "sensor",
        DataType::Int64 | DataType::Double => {
            if let Some(unit) = &tag.unit {
                config.insert("unit_of_measurement".to_owned(), json!(written(unit)));
                config.extend(class(unit).map(|class| ("device_class".to_owned(), json!(class))));
            }
            match limits(tag).filter(|_| writable) {
                Some((low, high)) => {
                    config.insert("min".to_owned(), json!(low));
                    config.insert("max".to_owned(), json!(high));
                    config.insert("step".to_owned(), json!(step(tag)));
                    config.insert("mode".to_owned(), json!("box"));
                    "number"
                }
                None => {
                    // A meter's total may go back when it is replaced; a measurement of energy is none to Home Assistant.
                    let energy = config.get("device_class").is_some_and(|class| class == "energy");
                    config.insert("state_class".to_owned(), json!(if energy { "total" } else { "measurement" }));
                    config.extend(tag.digits.map(|digits| ("suggested_display_precision".to_owned(), json!(digits))));
                    "sensor"
                }
            }
        }
        DataType::String if writable => {
            config.insert("max".to_owned(), json!(LONGEST));
            "text"
        }
        DataType::String => "sensor",
    };
    (component, config)
}

/// The entity of a tag; none for what is pressed where it cannot be: it has nothing to show.
fn entity(options: &Options, tag: &TagDef, equipment: &HashMap<&str, &Equipment>) -> Option<Entity> {
    let path = tag.path.to_string();
    // A reason cannot be given there, so what needs one is for reading.
    let writable = options.commands && tag.write.as_ref().is_some_and(|rule| !rule.needs_reason) && can_be_written(tag);
    if tag.press().is_some() && !writable {
        return None;
    }
    let (component, mut config) = kind(tag, writable);
    let state_topic = tag.press().is_none().then(|| format!("{}/{path}/state", options.base));
    let command_topic = writable.then(|| format!("{}/{path}/set", options.base));
    let object: String =
        path.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '_' }).collect();
    config.extend([
        ("name".to_owned(), json!(line(&tag.title, 80))),
        ("unique_id".to_owned(), json!(tag.id.to_string())),
        ("object_id".to_owned(), json!(object)),
        ("availability_mode".to_owned(), json!("all")),
        ("device".to_owned(), device(options.node, tag, equipment)),
        ("origin".to_owned(), json!({ "name": "Andon", "sw_version": env!("CARGO_PKG_VERSION") })),
    ]);
    let mut there = vec![json!({ "topic": options.status_topic() })];
    if let Some(topic) = &state_topic {
        there.push(json!({ "topic": topic, "value_template": "{{ value_json.availability }}" }));
        let attributes = "{{ {'quality': value_json.quality, 'at': value_json.at} | tojson }}";
        config.extend([
            ("state_topic".to_owned(), json!(topic)),
            ("value_template".to_owned(), json!("{{ value_json.state }}")),
            ("json_attributes_topic".to_owned(), json!(topic)),
            ("json_attributes_template".to_owned(), json!(attributes)),
        ]);
    }
    config.insert("availability".to_owned(), json!(there));
    config.extend(command_topic.iter().map(|topic| ("command_topic".to_owned(), json!(topic))));
    let config_topic = format!("{}/{component}/{}/{}/config", options.prefix, options.node_level(), tag.id);
    Some(Entity { path, config_topic, config: Json::Object(config), state_topic, command_topic })
}

/// The equipment it stands in, with the nearest room, line or area above.
fn device(node: Uuid, tag: &TagDef, equipment: &HashMap<&str, &Equipment>) -> Json {
    let path = tag.path.equipment();
    let own = equipment.get(path.as_str());
    let title = own.map_or_else(|| path.leaf().to_owned(), |own| line(&own.title, 80));
    let mut device =
        json!({ "identifiers": [format!("andon:{}:{path}", node.simple())], "name": title, "manufacturer": "Andon" });
    let mut above = Some(path);
    while let Some(path) = above {
        let room = equipment.get(path.as_str()).filter(|item| matches!(item.level, Level::Area | Level::WorkCenter));
        if let (Some(room), Some(device)) = (room, device.as_object_mut()) {
            device.insert("suggested_area".to_owned(), json!(line(&room.title, 80)));
            break;
        }
        above = path.parent();
    }
    device
}

/// Whether its numbers have a word each, which tells them apart.
fn has_words(tag: &TagDef) -> bool {
    let words: HashSet<&String> = tag.states.values().collect();
    !words.is_empty()
        && words.len() == tag.states.len()
        && words.iter().all(|word| word.chars().count() <= LONGEST && !word.trim().is_empty())
}

/// From where to where it may be written.
fn limits(tag: &TagDef) -> Option<(f64, f64)> {
    let rule = tag.write.as_ref()?;
    let low = rule.min.or(tag.range.map(|range| range.0))?;
    let high = rule.max.or(tag.range.map(|range| range.1))?;
    (low < high).then_some((low, high))
}

fn can_be_written(tag: &TagDef) -> bool {
    match tag.data_type {
        DataType::Boolean | DataType::String => true,
        DataType::Int64 if has_words(tag) => true,
        DataType::Int64 | DataType::Double => limits(tag).is_some(),
    }
}

fn step(tag: &TagDef) -> f64 {
    match (tag.data_type, tag.digits) {
        (DataType::Int64, _) => 1.0,
        (_, Some(digits)) => 10_f64.powi(-i32::from(digits)).max(SMALLEST_STEP),
        (_, None) => SMALLEST_STEP,
    }
}

/// The state of a tag; `None`: it never had a value.
#[must_use]
pub fn state(tag: &TagDef, sample: Option<&Sample>) -> String {
    let value = sample.map_or(&Value::Null, |sample| &sample.value);
    let quality = sample.map_or(andon_model::StatusCode::BAD_WAITING_FOR_INITIAL_DATA, |sample| sample.quality);
    let there = !quality.is_bad() && *value != Value::Null;
    let word = match value {
        Value::Null => "None".to_owned(),
        Value::Boolean(true) => "ON".to_owned(),
        Value::Boolean(false) => "OFF".to_owned(),
        Value::Int64(number) => {
            tag.states.get(number).filter(|_| has_words(tag)).cloned().unwrap_or_else(|| number.to_string())
        }
        Value::Double(number) => json!(number).to_string(),
        Value::String(text) => text.chars().take(LONGEST).collect(),
    };
    json!({
        "value": value,
        "state": word,
        "quality": quality.to_string(),
        "availability": if there { "online" } else { "offline" },
        "at": sample.map(|sample| sample.source_ts.to_string()),
    })
    .to_string()
}

/// What a message on the command topic of a tag asks for.
/// # Errors
/// In words, why it is no value of the tag.
pub fn wanted(tag: &TagDef, payload: &[u8]) -> Result<Value, String> {
    let text = std::str::from_utf8(payload).ok().filter(|text| text.chars().count() <= LONGEST);
    let text = text.ok_or_else(|| format!("a command is a text of at most {LONGEST} characters"))?;
    let no = || format!("{:?} is no value of the tag", line(text, 60));
    if let Some(number) = tag.press() {
        return if text == PRESS { Ok(Value::Int64(number)) } else { Err(no()) };
    }
    match tag.data_type {
        DataType::Boolean => match text {
            "ON" => Ok(Value::Boolean(true)),
            "OFF" => Ok(Value::Boolean(false)),
            _ => Err(no()),
        },
        DataType::Int64 if has_words(tag) => {
            let number = tag.states.iter().find(|(_, word)| *word == text).map(|(number, _)| *number);
            number.map(Value::Int64).ok_or_else(no)
        }
        DataType::Int64 => text.trim().parse().map(Value::Int64).or_else(|_| {
            let number = Value::Double(text.trim().parse().map_err(|_| no())?);
            number.coerce(DataType::Int64).ok_or_else(no)
        }),
        DataType::Double => {
            let number = text.trim().parse().ok().filter(|number: &f64| number.is_finite());
            number.map(Value::Double).ok_or_else(no)
        }
        DataType::String => Ok(Value::String(text.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home_assistant;
    use andon_model::plant::{Interpolation, Profile, WriteRule};
    use andon_model::{StatusCode, TagId, TagPath, Timestamp, Unit};
    use std::collections::BTreeMap;
    use uuid::Uuid;

    fn tag(path: &str, data_type: DataType) -> TagDef {
        TagDef {
            id: Uuid::from_u128(7),
            path: TagPath::parse(path).expect("a path"),
            title: path.rsplit('/').next().unwrap_or_default().to_owned(),
            description: String::new(),
            data_type,
            unit: None,
            range: None,
            digits: None,
            states: BTreeMap::new(),
            interpolation: Interpolation::Stepped,
            compress: None,
            keep_days: None,
            stale_after_ms: None,
            write: None,
            origin: None,
        }
    }

    fn writable(mut tag: TagDef, limits: Option<(f64, f64)>) -> TagDef {
        let (min, max) = (limits.map(|it| it.0), limits.map(|it| it.1));
        tag.write = Some(WriteRule { min, max, needs_reason: false, life_ms: 1, tolerance: 0.0, confirm_within_ms: 1 });
        tag
    }

    fn options(commands: bool) -> Options {
        Options {
            prefix: "homeassistant".to_owned(),
            base: "andon".to_owned(),
            node: Uuid::from_u128(9),
            name: "to.ha".to_owned(),
            branch: EquipmentPath::parse("home").expect("a path"),
            commands,
        }
    }

    fn plant() -> Plant {
        let at = |path: &str, level, title: &str| Equipment {
            path: EquipmentPath::parse(path).expect("a path"),
            level,
            profile: Profile::Home,
            title: title.to_owned(),
            description: String::new(),
            keep_days: None,
        };
        let words = |mut tag: TagDef| {
            tag.states = [(0, "eco".to_owned()), (1, "comfort".to_owned())].into();
            tag
        };
        let mut temperature = tag("home/living/heater/temperature", DataType::Double);
        temperature.unit = Unit::parse("Cel").ok();
        let mut energy = tag("home/living/heater/energy", DataType::Double);
        energy.unit = Unit::parse("kW.h").ok();
        let mut guarded = writable(tag("home/living/heater/guarded", DataType::Boolean), None);
        guarded.write.as_mut().expect("a rule").needs_reason = true;
        let mut restart = writable(tag("home/living/heater/restart", DataType::Int64), Some((1.0, 1.0)));
        restart.states = [(1, "press".to_owned())].into();
        Plant {
            equipment: vec![
                at("home", Level::Site, "Our house"),
                at("home/living", Level::WorkCenter, "Living room"),
                at("home/living/heater", Level::WorkUnit, "Heater"),
            ],
            tags: vec![
                energy,
                guarded,
                words(writable(tag("home/living/heater/mode", DataType::Int64), Some((0.0, 1.0)))),
                writable(tag("home/living/heater/name", DataType::String), None),
                writable(tag("home/living/heater/on", DataType::Boolean), None),
                restart,
                writable(tag("home/living/heater/set_point", DataType::Double), Some((5.0, 30.0))),
                temperature,
                tag("homely/other", DataType::Double),
            ],
            ..Plant::default()
        }
    }

    #[test]
    fn each_tag_becomes_the_entity_of_its_kind() {
        let kinds = |commands| {
            let all = entities(&options(commands), &plant());
            let kind = |entity: &Entity| {
                let component = entity.config_topic.split('/').nth(1).unwrap_or_default().to_owned();
                format!(
                    "{} {component} {}",
                    entity.path.rsplit('/').next().unwrap_or_default(),
                    entity.command_topic.is_some()
                )
            };
            all.iter().map(kind).collect::<Vec<_>>()
        };
        assert_eq!(
            kinds(true),
            [
                "energy sensor false",
                "guarded binary_sensor false",
                "mode select true",
                "name text true",
                "on switch true",
                "restart button true",
                "set_point number true",
                "temperature sensor false"
            ]
        );
        assert!(kinds(false).iter().all(|kind| kind.ends_with("sensor false")), "{:?}", kinds(false));
        let all = entities(&options(true), &plant());
        let temperature = &all[7];
        assert_eq!(
            temperature.config_topic,
            "homeassistant/sensor/andon_00000000000000000000000000000009_to_ha/00000000-0000-0000-0000-000000000007/config"
        );
        assert_eq!(temperature.config["device"]["suggested_area"], "Living room");
        assert_eq!(temperature.config["device"]["name"], "Heater");
        assert_eq!(
            (&temperature.config["unit_of_measurement"], &temperature.config["device_class"]),
            (&json!("°C"), &json!("temperature"))
        );
        assert_eq!(all[0].config["state_class"], "total");
    }

    #[test]
    fn what_is_pressed_is_a_button_that_shows_no_state() {
        let plant = plant();
        let restart = &plant.tags[5];
        let all = entities(&options(true), &plant);
        let button = all.iter().find(|entity| entity.path == restart.path.as_str()).expect("it is announced");
        assert!(button.config_topic.starts_with("homeassistant/button/"), "{}", button.config_topic);
        assert_eq!((&button.state_topic, button.config.get("state_topic")), (&None, None));
        assert_eq!(button.config["availability"], json!([{ "topic": "andon/status" }]));
        assert_eq!(
            wanted(restart, button.config["payload_press"].as_str().expect("a word").as_bytes()),
            Ok(Value::Int64(1))
        );
        assert!(wanted(restart, b"press").is_err() && wanted(restart, b"1").is_err());
        // Where nothing may be commanded, there is nothing of it to see.
        assert!(entities(&options(false), &plant).iter().all(|entity| entity.path != restart.path.as_str()));
        // What a button of a device becomes is pressed; what may be written more, or has a second word, is chosen.
        let read = |config: &str| home_assistant::read("ha", "ha/button/x/config", config.as_bytes());
        let items = read(r#"{"cmd_t":"x/restart","name":"Restart","pl_prs":"NOW"}"#);
        let point = &items[0].what.as_ref().expect("it is understood").point;
        let of = |states: &[i64], min: f64, max: f64| TagDef {
            states: states.iter().map(|number| (*number, format!("word {number}"))).collect(),
            write: Some(WriteRule { min: Some(min), max: Some(max), ..point.write.clone() }),
            ..restart.clone()
        };
        let found = TagDef { states: point.states.clone(), write: Some(point.write.clone()), ..restart.clone() };
        assert_eq!((found.press(), of(&[4], 4.0, 4.0).press()), (Some(1), Some(4)));
        let chosen = [of(&[0, 1], 1.0, 1.0), of(&[1], 0.0, 1.0), of(&[1], 2.0, 2.0), of(&[], 1.0, 1.0)];
        assert!(chosen.iter().all(|tag| tag.press().is_none()));
    }

    #[test]
    fn what_is_announced_is_understood_by_our_own_reading_of_it() {
        for entity in entities(&options(true), &plant()) {
            let items =
                home_assistant::read("homeassistant", &entity.config_topic, entity.config.to_string().as_bytes());
            let [item] = items.as_slice() else { panic!("{items:?}") };
            let wanted = item.what.as_ref().unwrap_or_else(|why| panic!("{}: {why}", entity.path));
            assert_eq!(wanted.command.is_some(), entity.command_topic.is_some(), "{}", entity.path);
            assert_eq!(item.left_out, Vec::<String>::new(), "{}", entity.path);
            // This Andon does not take its own for a device; another one at the same broker may.
            let places = |node| crate::Places {
                prefix: "homeassistant".to_owned(),
                own: own(Uuid::from_u128(node)),
                zigbee2mqtt: None,
                tasmota: None,
                shelly: false,
            };
            assert_eq!(places(9).announces(&entity.config_topic), None);
            assert_eq!(places(8).announces(&entity.config_topic), Some(crate::Kind::HomeAssistant));
            assert_eq!(
                places(9).kind_of(&entity.config_topic),
                Some(crate::Kind::HomeAssistant),
                "nobody else's topic"
            );
        }
    }

    #[test]
    fn a_bad_value_is_not_there() {
        let plant = plant();
        let (mode, on) = (&plant.tags[2], &plant.tags[4]);
        let sample = |value, quality| Sample {
            tag: TagId(1),
            value,
            quality,
            source_ts: Timestamp::from_micros(0),
            received_ts: Timestamp::from_micros(0),
        };
        assert_eq!(
            state(mode, Some(&sample(Value::Int64(1), StatusCode::GOOD))),
            r#"{"at":"1970-01-01T00:00:00Z","availability":"online","quality":"Good","state":"comfort","value":1}"#
        );
        assert_eq!(
            state(on, Some(&sample(Value::Boolean(true), StatusCode::BAD_NO_COMMUNICATION))),
            r#"{"at":"1970-01-01T00:00:00Z","availability":"offline","quality":"BadNoCommunication","state":"ON","value":true}"#
        );
        assert!(
            state(on, None).contains(
                r#""availability":"offline","quality":"BadWaitingForInitialData","state":"None","value":null"#
            )
        );
    }

    #[test]
    fn two_of_one_name_at_a_broker_do_not_clear_each_other() {
        let other = Options { node: Uuid::from_u128(8), ..options(true) };
        let filter = andon_wire::mqtt::TopicFilter::parse(&options(true).config_filter()).expect("a filter");
        assert!(entities(&options(true), &plant()).iter().all(|entity| filter.matches(&entity.config_topic)));
        assert!(entities(&other, &plant()).iter().all(|entity| !filter.matches(&entity.config_topic)));
    }

    #[test]
    fn commands_are_read_in_the_words_that_were_announced() {
        let plant = plant();
        let (mode, name, on, set_point) = (&plant.tags[2], &plant.tags[3], &plant.tags[4], &plant.tags[6]);
        assert_eq!(wanted(mode, b"comfort"), Ok(Value::Int64(1)));
        assert!(wanted(mode, b"1").is_err());
        assert_eq!(wanted(on, b"ON"), Ok(Value::Boolean(true)));
        assert!(wanted(on, b"TOGGLE").is_err() && wanted(on, b"\xff").is_err() && wanted(set_point, b"nan").is_err());
        assert_eq!(wanted(set_point, b"21"), Ok(Value::Double(21.0)));
        assert_eq!(wanted(name, b"x"), Ok(Value::String("x".into())));
        assert!(wanted(name, "x".repeat(256).as_bytes()).is_err());
    }
}
