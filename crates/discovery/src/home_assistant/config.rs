//! One configuration, with long names, and how its words are read.

use super::leaf;
use crate::item::{Command, Device, Family, Item, Point, Source, Wanted};
use crate::text::line;
use andon_wire::mqtt::TopicName;
use andon_wire::value_template::ValueTemplate;
use serde_json::{Map, Value as Json, json};
use std::sync::Arc;

/// The most topics by which a device says that it is there.
pub(super) const MAX_AVAILABILITY: usize = 8;

/// One entity.
pub(super) struct Config<'c> {
    pub(super) topic: &'c str,
    pub(super) component: &'c str,
    pub(super) map: &'c Map<String, Json>,
    /// How its device says that it is there; what of it is left out.
    availability: Availability,
}

/// How a device says that it is there, shared by all its entities; and what of it is left out.
pub(super) type Availability = (Option<Arc<Json>>, Option<String>);

/// What becomes of a command.
pub(super) struct Asked {
    pub(super) command: Option<Command>,
    /// Why there is none, where one was announced.
    pub(super) why: Option<String>,
}

impl Asked {
    pub(super) fn none() -> Self {
        Self { command: None, why: None }
    }
}

impl<'c> Config<'c> {
    /// `shared`: what holds for an entity that says nothing else of whether it is there.
    pub(super) fn new(
        topic: &'c str,
        component: &'c str,
        map: &'c Map<String, Json>,
        shared: Option<&Availability>,
    ) -> Self {
        let config = Self { topic, component, map, availability: (None, None) };
        let availability = shared.cloned().unwrap_or_else(|| config.read_availability());
        Self { availability, ..config }
    }

    /// How its device says that it is there.
    pub(super) fn availability(&self) -> &Availability {
        &self.availability
    }

    /// A text; numbers and truth values as Python writes them.
    pub(super) fn text(&self, key: &str) -> Option<String> {
        word(self.map.get(key)?)
    }

    pub(super) fn text_or(&self, key: &str, usual: &str) -> String {
        self.text(key).unwrap_or_else(|| usual.to_owned())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| !value.is_null())
    }

    pub(super) fn number(&self, key: &str) -> Option<f64> {
        let value = self.map.get(key)?;
        let number = value.as_f64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
        number.filter(|number: &f64| number.is_finite())
    }

    pub(super) fn flag(&self, key: &str) -> bool {
        self.map.get(key).is_some_and(|value| value.as_bool() == Some(true))
    }

    /// Words to choose from; at most 200.
    pub(super) fn list(&self, key: &str) -> Vec<String> {
        let list = self.map.get(key).and_then(Json::as_array).map(Vec::as_slice).unwrap_or_default();
        let mut words: Vec<String> = Vec::new();
        for text in list.iter().take(200).filter_map(word) {
            if !text.is_empty() && line(&text, 200) == text && !words.contains(&text) {
                words.push(text);
            }
        }
        words
    }

    /// What people call the entity.
    pub(super) fn name(&self) -> String {
        let own =
            self.text("name").filter(|name| name != "None").map(|name| line(&name, 80)).filter(|name| !name.is_empty());
        own.or_else(|| self.text("device_class").filter(|class| class != "None").map(|class| line(&class, 40)))
            .unwrap_or_else(|| line(&self.component.replace('_', " "), 40))
    }

    /// The kind, with the class of device.
    pub(super) fn kind(&self) -> String {
        let class = self.text("device_class").filter(|class| class != "None");
        class.map_or_else(|| line(self.component, 40), |class| line(&format!("{} {class}", self.component), 60))
    }

    fn topic_of(&self, key: &str) -> Result<Option<String>, String> {
        let Some(topic) = self.text(key) else { return Ok(None) };
        match TopicName::parse(&topic) {
            Ok(name) if !name.is_server_owned() && topic.len() <= 512 && line(&topic, 600) == topic => Ok(Some(topic)),
            _ => Err(format!("{key}: {:?} is no topic of a device", line(&topic, 80))),
        }
    }

    /// Where a value stands; `None`: nowhere.
    pub(super) fn source(&self, topic: &str, template: &str) -> Result<Option<Source>, String> {
        let Some(filter) = self.topic_of(topic)? else { return Ok(None) };
        let text =
            self.text(template).filter(|text| !text.trim().is_empty()).unwrap_or_else(|| "{{ value }}".to_owned());
        self.templated(filter, &text).map(Some)
    }

    /// A value at a topic by a template of ours or of the device.
    pub(super) fn templated(&self, filter: String, template: &str) -> Result<Source, String> {
        ValueTemplate::parse(template)
            .map_err(|error| format!("the template {} is not understood: {error}", line(template, 200)))?;
        let mut words = Map::new();
        words.insert("optional".to_owned(), Json::Bool(true));
        Ok(Source { filter, format: "template", at: template.to_owned(), words, availability: None, base: None })
    }

    /// How a write leaves; its words for values are given.
    pub(super) fn command(&self, topic: &str, template: &str, words: Map<String, Json>) -> Asked {
        let topic = match self.topic_of(topic) {
            Ok(None) => return Asked::none(),
            Ok(Some(topic)) => topic,
            Err(why) => return Asked { command: None, why: Some(why) },
        };
        let mut words = words;
        if let Some(text) = self.text(template) {
            let parsed = ValueTemplate::parse(&text).map_err(|error| error.to_string());
            let around = parsed.as_ref().map_err(Clone::clone).and_then(|template| {
                let around = template.around_value().ok_or("it does more than put the value into a text")?;
                let before = around.before.trim_start().to_owned();
                Ok((before, around.behind.trim_end().to_owned(), around.whole))
            });
            match around {
                Ok((before, behind, whole)) if !format!("{before}{behind}").contains("{value}") => {
                    words.insert("text".to_owned(), json!(format!("{before}{{value}}{behind}")));
                    if whole {
                        words.insert("whole".to_owned(), json!(true));
                    }
                }
                Ok(_) => return Asked { command: None, why: Some("the command's template holds {value}".to_owned()) },
                Err(why) => {
                    let why = format!("not writable: the template {} is not understood: {why}", line(&text, 200));
                    return Asked { command: None, why: Some(why) };
                }
            }
        }
        words.entry("text").or_insert_with(|| json!("{value}"));
        Asked { command: Some(Command { topic: Some(topic), words }), why: None }
    }

    /// As it stands in a topic mapping; and what of it is left out.
    fn read_availability(&self) -> Availability {
        let one = |map: &Map<String, Json>, topic: &str, template: &str| -> Result<Json, String> {
            let of = Config { map, topic: self.topic, component: self.component, availability: (None, None) };
            let topic = of.topic_of(topic)?.ok_or("a topic is missing")?;
            let mut one = json!({
                "topic": topic,
                "online": of.text_or("payload_available", "online"),
                "offline": of.text_or("payload_not_available", "offline"),
            });
            if let (Some(text), Some(one)) = (of.text(template), one.as_object_mut()) {
                ValueTemplate::parse(&text)
                    .map_err(|error| format!("the template {} is not understood: {error}", line(&text, 200)))?;
                one.insert("template".to_owned(), json!(text));
            }
            Ok(one)
        };
        let list: Vec<Result<Json, String>> = match self.map.get("availability") {
            Some(Json::Array(list)) => {
                if list.len() > MAX_AVAILABILITY {
                    let why =
                        format!("availability: more than {MAX_AVAILABILITY} topics cannot be mapped; it is left out");
                    return (None, Some(why));
                }
                list.iter().filter_map(Json::as_object).map(|map| one(map, "topic", "value_template")).collect()
            }
            _ if self.has("availability_topic") => vec![one(self.map, "availability_topic", "availability_template")],
            _ => return (None, None),
        };
        let count = list.len();
        let (good, bad): (Vec<_>, Vec<_>) = list.into_iter().partition(Result::is_ok);
        let mut good: Vec<Json> = good.into_iter().flatten().collect();
        let why = bad.into_iter().find_map(Result::err).map(|why| format!("availability: {why}"));
        if count > 1 && self.text("availability_mode").as_deref() == Some("any") {
            return (
                None,
                Some(
                    "availability: that any of several topics says online cannot be mapped; it is left out".to_owned(),
                ),
            );
        }
        let given = if good.len() == 1 {
            good.pop()
        } else {
            Some(Json::Array(good)).filter(|list| list.as_array().is_some_and(|list| !list.is_empty()))
        };
        (given.map(Arc::new), why)
    }

    /// An item of this entity. `part`: which of its values, where it has several.
    pub(super) fn item(
        &self,
        device: &Arc<Device>,
        part: &str,
        point: Point,
        source: Result<Option<Source>, String>,
        asked: Asked,
    ) -> Item {
        let own = self.name();
        let name = if part.is_empty() { own } else { format!("{own} {part}") };
        let mut left_out: Vec<String> = asked.why.into_iter().collect();
        let (availability, why) = self.availability.clone();
        let what = match source {
            Err(why) => Err(why),
            Ok(None) if asked.command.is_none() => {
                Err(left_out.pop().unwrap_or_else(|| "it has no topic for its state".to_owned()))
            }
            Ok(source) => {
                left_out.extend(why);
                let source = source.map(|source| Source { availability, ..source });
                let leaf = if point.leaf.is_empty() { leaf(&name) } else { point.leaf.clone() };
                Ok(Wanted { point: Point { leaf, ..point }, source, command: asked.command })
            }
        };
        Item {
            family: Family::HomeAssistant,
            topic: self.topic.to_owned(),
            device: device.clone(),
            kind: self.kind(),
            name,
            what,
            left_out,
        }
    }

    /// An item that cannot be a tag.
    pub(super) fn not_mapped(&self, device: &Arc<Device>, why: &str) -> Item {
        self.item(device, "", Point::new("", andon_model::DataType::String), Err(why.to_owned()), Asked::none())
    }
}

/// A word as Home Assistant reads it from JSON.
pub(super) fn word(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Bool(true) => Some("True".to_owned()),
        Json::Bool(false) => Some("False".to_owned()),
        Json::Number(number) => Some(number.to_string()),
        Json::Null | Json::Array(_) | Json::Object(_) => None,
    }
}

/// A table of words.
pub(super) fn words<const N: usize>(pairs: [(&str, Json); N]) -> Map<String, Json> {
    pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

/// Words and the numbers that stand for them.
pub(super) fn numbered(words: &[String]) -> Json {
    Json::Object(words.iter().zip(0..).map(|(word, number)| (word.clone(), json!(number))).collect())
}
