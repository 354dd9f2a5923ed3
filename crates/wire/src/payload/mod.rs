//! Topics to tags and back: what a device publishes becomes readings, and a write becomes the message that it obeys.
//!
//! A [`Mapping`] is compiled once from the plant's [`TopicDef`]s and then only read. [`Mapping::map`] takes one
//! message; [`Mapping::outgoing`] gives the message for one write; [`Mapping::parse_commands`] reads what a foreign
//! client asks for on a command topic. Nothing here has a clock, a socket or a memory of earlier messages.
//!
//! # The words of a `[[topic]]`
//! | word | in format | meaning |
//! | --- | --- | --- |
//! | `format` | all | `value`, `json`, `template`, `line_protocol`, `zigbee2mqtt`, `tasmota`, `shelly` |
//! | `tag` | value, line_protocol | the tag, with `{1}` for what the first `+` of the filter stands for; in line protocol also `{measurement}`, `{field}`, `{tag:NAME}` |
//! | `fields` | json, template, devices | list of `{ path, tag, optional, true, false, values, scale, offset, whole }`; in `template` with `template` for `path`, see [`crate::value_template`] |
//! | `true`, `false`, `values`, `scale`, `offset`, `whole` | value, fields, command | what stands for true and false, words for numbers, `tag = raw × scale + offset`, and whether the device wants whole numbers |
//! | `time`, `time_unit`, `utc_offset` | json, devices | path of the time (RFC 3339 or a number), `s ms us ns` (else by size), zone of times that name none |
//! | `batch` | json | path of a list whose elements hold the fields and their own time; `$` when the payload is the list |
//! | `precision` | line_protocol | `ns`, `us`, `ms`, `s` |
//! | `availability` | all | topic on which the device says online or offline, or `{ topic, path or template, online, offline }`, or a list of these; `false`: do not read the family's own |
//! | `command` | all | one or a list of `{ tag, topic, json or text, on, off, path, command_topic, … }`; device families need only `tag` |
//! | `command_topic` | all | topic on which others may command the one tag of `command` |
//! | `base`, `generation` | zigbee2mqtt, shelly | when the filter does not show it |
//!
//! # Invariants
//! - No payload panics. What cannot be read becomes a [`MapError`]; the tag keeps its last value, since a stray
//!   publisher must not make a good sensor bad.
//! - A value is of its tag's type or it is an error; NaN and the infinities never pass.
//! - A time that cannot be right is replaced by the received time, with quality Uncertain and an error.
//! - "Offline" gives every tag of the mapping `BadNoCommunication`; the next value makes it good again.
//! - A payload is at most [`MAX_PAYLOAD`] bytes, a message gives at most [`MAX_READINGS`] readings and
//!   [`MAX_ERRORS`] errors; what is left out is counted in the last error.
//!
//! Start reading at [`Mapping::map`].

mod command;
mod convert;
mod filter;
mod kind;
mod lines;
mod path;
mod presets;
mod read;
mod settings;
mod template;

pub use convert::MAX_TEXT;
pub use filter::Filters;
pub use kind::PayloadKind;

use andon_model::plant::{Finding, Plant, TopicDef};
use andon_model::{DataType, StatusCode, Timestamp, Value};
use command::Command;
use read::{Job, Message, Output};
use settings::Definition;
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use template::{Holes, Template};

/// Longer payloads are not read, in bytes.
pub const MAX_PAYLOAD: usize = 1 << 20;
/// A message that would give more is refused as a whole.
pub const MAX_READINGS: usize = 50_000;
/// Further errors of the same message are counted, not listed.
pub const MAX_ERRORS: usize = 20;

/// The type of a tag by its path; `None` when there is no such tag.
pub type TagTypes = Arc<dyn Fn(&str) -> Option<DataType> + Send + Sync>;

/// One value for one tag.
#[derive(Clone, PartialEq, Debug)]
pub struct Reading {
    /// The tag's path.
    pub tag: Arc<str>,
    /// In the tag's type; null when the device does not know.
    pub value: Value,
    /// Good, `BadNoData` for null, `BadNoCommunication` for offline, Uncertain when the time could not be used.
    pub quality: StatusCode,
    /// The device's time, else the received time.
    pub source_ts: Timestamp,
}

/// Something in a message that could not be read, in words for the person who set up the device.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{}{message}", tag.as_ref().map(|tag| format!("{tag}: ")).unwrap_or_default())]
pub struct MapError {
    /// The tag that got no value, where one is known.
    pub tag: Option<Arc<str>>,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What one message gave.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Mapped {
    /// In the order of the payload.
    pub readings: Vec<Reading>,
    /// What could not be read.
    pub errors: Vec<MapError>,
    /// Whether any mapping knows the topic.
    pub matched: bool,
}

/// The message that carries a write to its device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// Where the device listens.
    pub topic: String,
    /// What it obeys.
    pub payload: Vec<u8>,
    /// Always 1: at least once.
    pub qos: u8,
}

/// What a PUBLISH to a command topic asks for.
#[derive(Clone, PartialEq, Debug)]
pub struct WantedWrite {
    /// The tag's path.
    pub tag: Arc<str>,
    /// In the tag's type.
    pub value: Value,
}

/// A [`Finding`] and the topic it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicFinding {
    /// The index in the list of topics.
    pub topic: usize,
    /// What is wrong, and what to do.
    pub finding: Finding,
}

impl fmt::Display for TopicFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Finding { pointer, message, remedy } = &self.finding;
        write!(f, "topic {} at {}: {message}; {remedy}", self.topic + 1, pointer.join("."))
    }
}

/// All topic mappings of a plant, compiled. Shared freely between threads.
pub struct Mapping {
    definitions: Vec<Definition>,
    /// Numbers are indices of `routes`.
    filters: Filters,
    routes: Vec<(usize, usize)>,
    /// Numbers are indices of `command_routes`.
    command_filters: Filters,
    command_routes: Vec<CommandRoute>,
    /// Commands of tags without placeholders: definition and command.
    by_tag: HashMap<Arc<str>, (usize, usize)>,
    /// Commands of tags with placeholders.
    by_pattern: Vec<(usize, usize)>,
    types: TagTypes,
}

#[derive(Debug)]
struct CommandRoute {
    at: (usize, usize),
    /// The wildcard that each `+` of the filter stands for.
    order: Vec<usize>,
    /// The levels at which the `+` stand.
    levels: Vec<usize>,
    bound: bool,
}

impl fmt::Debug for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Mapping").field("definitions", &self.definitions.len()).finish_non_exhaustive()
    }
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            definitions: Vec::new(),
            filters: Filters::default(),
            routes: Vec::new(),
            command_filters: Filters::default(),
            command_routes: Vec::new(),
            by_tag: HashMap::new(),
            by_pattern: Vec::new(),
            types: Arc::new(|_| None),
        }
    }
}

/// Checks one topic mapping against the plant's tags; for the document check.
/// Besides what [`Mapping::compile`] refuses, a command for a tag without a write rule is a finding.
#[must_use]
pub fn check_topic(topic: &TopicDef, plant: &Plant) -> Vec<Finding> {
    match settings::check(topic, &types_of(plant)) {
        Err(findings) => findings,
        Ok(definition) => definition
            .commands
            .iter()
            .filter_map(|command| command.tag.fixed.as_ref())
            .filter(|(path, _)| plant.tags.iter().any(|tag| tag.path.as_str() == &**path && tag.write.is_none()))
            .map(|(path, _)| Finding {
                pointer: vec!["command".to_owned()],
                message: format!("the tag \"{path}\" has no write rule"),
                remedy: "add `write = { life = \"10s\" }` to the tag, or take the command away".to_owned(),
            })
            .collect(),
    }
}

/// The tags that a mapping writes, as their paths stand in its settings, each with its place there. A path with placeholders is no
/// tag's; which ones it becomes is known only once messages come.
pub fn tags_written(topic: &TopicDef) -> impl Iterator<Item = (Vec<String>, &str)> {
    let own = topic.settings.get("tag").and_then(serde_json::Value::as_str).map(|tag| (vec!["tag".to_owned()], tag));
    let fields = topic.settings.get("fields").and_then(serde_json::Value::as_array).map_or(&[][..], Vec::as_slice);
    own.into_iter().chain(fields.iter().enumerate().filter_map(|(at, field)| {
        let tag = field.get("tag")?.as_str()?;
        Some((vec!["fields".to_owned(), at.to_string(), "tag".to_owned()], tag))
    }))
}

fn types_of(plant: &Plant) -> TagTypes {
    let types: HashMap<String, DataType> = plant.tags.iter().map(|tag| (tag.path.to_string(), tag.data_type)).collect();
    Arc::new(move |path: &str| types.get(path).copied())
}

impl Mapping {
    /// Compiles all mappings of a plant.
    /// # Errors
    /// Every finding of every topic; nothing is compiled in part.
    pub fn of_plant(plant: &Plant) -> Result<Self, Vec<TopicFinding>> {
        Self::compile(&plant.topics, types_of(plant))
    }

    /// Compiles mappings; `types` also answers later for tags whose path holds placeholders.
    /// # Errors
    /// Every finding of every topic; nothing is compiled in part.
    pub fn compile(topics: &[TopicDef], types: TagTypes) -> Result<Self, Vec<TopicFinding>> {
        let mut findings = Vec::new();
        let mut mapping = Self { types: Arc::clone(&types), ..Self::default() };
        for (number, topic) in topics.iter().enumerate() {
            match settings::check(topic, &types) {
                Ok(definition) => findings.extend(mapping.add(definition).into_iter().map(|finding| (number, finding))),
                Err(found) => findings.extend(found.into_iter().map(|finding| (number, finding))),
            }
        }
        if findings.is_empty() {
            return Ok(mapping);
        }
        Err(findings.into_iter().map(|(topic, finding)| TopicFinding { topic, finding }).collect())
    }

    fn add(&mut self, definition: Definition) -> Vec<Finding> {
        let number = self.definitions.len();
        for (at, route) in definition.routes.iter().enumerate() {
            self.filters.insert(&route.filter, self.routes.len());
            self.routes.push((number, at));
        }
        let mut findings = Vec::new();
        for (at, command) in definition.commands.iter().enumerate() {
            let at = (number, at);
            match &command.tag.fixed {
                None => self.by_pattern.push(at),
                Some((path, _)) if self.by_tag.insert(Arc::clone(path), at).is_some() => findings.push(Finding {
                    pointer: vec!["command".to_owned()],
                    message: format!("the tag \"{path}\" already has a command"),
                    remedy: "keep one of the two".to_owned(),
                }),
                Some(_) => {}
            }
            let device = (&command.filter, &command.order, false);
            let bound = command.bound.as_ref().map(|(filter, order)| (filter, order, true));
            for (filter, order, bound) in [device].into_iter().chain(bound) {
                self.command_filters.insert(filter, self.command_routes.len());
                let levels =
                    filter.split('/').enumerate().filter(|(_, level)| *level == "+").map(|(at, _)| at).collect();
                self.command_routes.push(CommandRoute { at, order: order.clone(), levels, bound });
            }
        }
        self.definitions.push(definition);
        findings
    }

    /// All topics that are read, as filters, each with the number of its [`TopicDef`] in the list that was compiled: also those on which a device says
    /// that it is there.
    pub fn read_filters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.definitions
            .iter()
            .enumerate()
            .flat_map(|(number, definition)| definition.routes.iter().map(move |route| (number, route.filter.as_str())))
    }

    /// All topics on which something is commanded, as filters, each with the number of its [`TopicDef`].
    pub fn command_filters(&self) -> impl Iterator<Item = (usize, &str)> {
        self.definitions.iter().enumerate().flat_map(|(number, definition)| {
            definition.commands.iter().flat_map(move |command| {
                let bound = command.bound.as_ref().map(|(filter, _)| filter.as_str());
                [Some(command.filter.as_str()), bound].into_iter().flatten().map(move |filter| (number, filter))
            })
        })
    }

    /// What `payload` on `topic` says about tags. A message on a command topic says nothing: it is a wish.
    #[must_use]
    pub fn map(&self, topic: &str, payload: &[u8], received: Timestamp) -> Mapped {
        let routes = self.filters.matches(topic);
        let is_wish = !self.command_routes.is_empty() && !self.command_filters.matches(topic).is_empty();
        if routes.is_empty() || is_wish {
            return Mapped { matched: is_wish, ..Mapped::default() };
        }
        let message = Message::new(topic, payload, received);
        let mut out = Output::default();
        if payload.len() > MAX_PAYLOAD {
            out.error(
                None,
                format!("the payload has {} bytes, more than {MAX_PAYLOAD}; send smaller batches", payload.len()),
            );
        } else {
            for number in routes {
                let Some((definition, route)) = self.routes.get(number).and_then(|(definition, route)| {
                    let definition = self.definitions.get(*definition)?;
                    Some((definition, definition.routes.get(*route)?))
                }) else {
                    continue;
                };
                Job { types: &self.types, definition, route, message: &message, out: &mut out }.run();
            }
        }
        out.finish()
    }

    /// The tags that messages on `topic` can become, in order; and whether these are all: which tags a line of line protocol goes to
    /// stands in the line.
    #[must_use]
    pub fn tags_of(&self, topic: &str) -> (Vec<Arc<str>>, bool) {
        let is_wish = !self.command_routes.is_empty() && !self.command_filters.matches(topic).is_empty();
        let (mut tags, mut all) = (Vec::new(), true);
        if is_wish {
            return (tags, all);
        }
        let levels: Vec<&str> = topic.split('/').collect();
        for number in self.filters.matches(topic) {
            let Some((definition, route)) = self.routes.get(number).and_then(|(definition, route)| {
                let definition = self.definitions.get(*definition)?;
                Some((definition, definition.routes.get(*route)?))
            }) else {
                continue;
            };
            all &= !matches!(definition.format, settings::Format::Line { .. });
            let wildcards: Vec<&str> = route.wildcards.iter().filter_map(|level| levels.get(*level).copied()).collect();
            let fields = definition.fields.iter();
            tags.extend(fields.filter_map(|field| Some(field.tag.resolve(&wildcards, &self.types).ok()?.0)));
        }
        tags.sort();
        tags.dedup();
        (tags, all)
    }

    /// The message that writes `value` to the tag; `None` when no mapping commands it or the value does not fit.
    #[must_use]
    pub fn outgoing(&self, tag_path: &str, value: &Value) -> Option<Outgoing> {
        let command = |at: &(usize, usize)| self.definitions.get(at.0)?.commands.get(at.1);
        let (command, wildcards) = match self.by_tag.get(tag_path) {
            Some(at) => (command(at)?, Vec::new()),
            None => self
                .by_pattern
                .iter()
                .filter_map(command)
                .find_map(|command| Some((command, command.tag.template.unfill(tag_path, command.wildcards)?)))?,
        };
        let value = value.coerce((self.types)(tag_path)?).filter(|value| *value != Value::Null)?;
        let fill = |text: &str| {
            let holes = Holes { wildcards: command.wildcards, line: false };
            Template::parse(text, holes).map_or_else(|_| text.to_owned(), |template| template.fill(&wildcards))
        };
        let payload = command.payload.render(command.convert.write(&value), &fill);
        Some(Outgoing { topic: command.topic.fill(&wildcards), payload, qos: 1 })
    }

    /// The tag that a PUBLISH to `topic` commands; the first where a device takes several on one topic. A topic is a
    /// command topic when it is bound to a tag by `command_topic`, or when the device itself listens there: a foreign
    /// client that speaks to the device directly also goes through the one door.
    #[must_use]
    pub fn command_for(&self, topic: &str) -> Option<Arc<str>> {
        let levels: Vec<&str> = topic.split('/').collect();
        self.commands_on(topic)
            .into_iter()
            .find_map(|(route, command)| self.tag_of(route, command, &levels))
            .map(|(tag, _)| tag)
    }

    /// What a PUBLISH to a command topic asks for: usually one write, several where a device takes several at once.
    /// # Errors
    /// [`MapError`] when the payload asks for anything that cannot be carried out; then nothing may be.
    pub fn parse_commands(&self, topic: &str, payload: &[u8]) -> Result<Vec<WantedWrite>, MapError> {
        let on_topic = self.commands_on(topic);
        let levels: Vec<&str> = topic.split('/').collect();
        let fail = |tag: Option<Arc<str>>, message: String| MapError { tag, message };
        let tag = self.command_for(topic);
        if tag.is_none() {
            return Err(fail(None, format!("{} is no command topic of a known tag", convert::shorten(topic))));
        }
        let text = std::str::from_utf8(payload).ok().filter(|text| text.len() <= MAX_TEXT);
        let Some(text) = text else {
            return Err(fail(tag, format!("a command is UTF-8 text of at most {MAX_TEXT} bytes")));
        };
        let bound = on_topic.iter().find(|(route, _)| route.bound);
        let asked = match bound {
            Some((_, command)) => vec![(*command, command::bound_value(text))],
            None => {
                let commands: Vec<&Command> = on_topic.iter().map(|(_, command)| *command).collect();
                command::parse_device_payload(&commands, text).map_err(|message| fail(tag.clone(), message))?
            }
        };
        let mut writes = Vec::with_capacity(asked.len());
        for (command, raw) in asked {
            let route = on_topic.iter().find(|(_, other)| std::ptr::eq(*other, command)).map(|(route, _)| *route);
            let resolved = route.and_then(|route| self.tag_of(route, command, &levels));
            let (tag, wanted) = resolved.ok_or_else(|| fail(None, "there is no such tag".to_owned()))?;
            let value = command::wanted_value(&command.convert, &raw, wanted, bound.is_some());
            writes.push(WantedWrite { value: value.map_err(|message| fail(Some(Arc::clone(&tag)), message))?, tag });
        }
        Ok(writes)
    }

    fn commands_on(&self, topic: &str) -> Vec<(&CommandRoute, &Command)> {
        let numbers = self.command_filters.matches(topic);
        let find = |number: usize| {
            let route = self.command_routes.get(number)?;
            Some((route, self.definitions.get(route.at.0)?.commands.get(route.at.1)?))
        };
        numbers.into_iter().filter_map(find).collect()
    }

    fn tag_of(&self, route: &CommandRoute, command: &Command, levels: &[&str]) -> Option<(Arc<str>, DataType)> {
        let mut wildcards = vec![""; command.wildcards];
        for (number, level) in route.order.iter().zip(&route.levels) {
            *wildcards.get_mut(*number)? = levels.get(*level)?;
        }
        command.tag.resolve(&wildcards, &self.types).ok()
    }
}

#[cfg(test)]
mod tests;
