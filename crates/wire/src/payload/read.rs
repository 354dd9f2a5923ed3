//! One message on one route: what it says about the tags of its mapping.

use super::convert;
use super::lines::Lines;
use super::settings::{Availability, Definition, Field, Format, Part, Route};
use super::{MAX_ERRORS, MAX_READINGS, MapError, Mapped, Reading, TagTypes};
use crate::value_template::{RenderError, Rendered, ValueTemplate};
use andon_model::{StatusCode, Timestamp, Value};
use serde_json::Value as Json;
use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;

/// A message while it is mapped. Its JSON is read at most once, however many mappings want it.
pub(super) struct Message<'m> {
    levels: Vec<&'m str>,
    payload: &'m [u8],
    received: Timestamp,
    json: OnceCell<Result<Json, String>>,
}

impl<'m> Message<'m> {
    pub(super) fn new(topic: &'m str, payload: &'m [u8], received: Timestamp) -> Self {
        Self { levels: topic.split('/').collect(), payload, received, json: OnceCell::new() }
    }

    fn text(&self) -> Result<&str, String> {
        let text = std::str::from_utf8(self.payload).map_err(|_| "the payload is not UTF-8 text".to_owned())?;
        if text.trim().is_empty() { Err("the payload is empty".to_owned()) } else { Ok(text) }
    }

    fn json(&self) -> Result<&Json, String> {
        let read = || {
            let text = self.text()?;
            serde_json::from_str(text).map_err(|error| {
                format!("the payload is no JSON ({error}); it begins with {:?}", convert::shorten(text.trim_start()))
            })
        };
        self.json.get_or_init(read).as_ref().map_err(Clone::clone)
    }
}

/// What a message has given so far.
#[derive(Default)]
pub(super) struct Output {
    pub(super) readings: Vec<Reading>,
    errors: Vec<MapError>,
    more: usize,
}

impl Output {
    pub(super) fn error(&mut self, tag: Option<Arc<str>>, message: String) {
        if self.errors.len() < MAX_ERRORS - 1 {
            self.errors.push(MapError { tag, message });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn finish(mut self) -> Mapped {
        if self.more > 0 {
            self.errors.push(MapError { tag: None, message: format!("and {} more errors in this message", self.more) });
        }
        Mapped { readings: self.readings, errors: self.errors, matched: true }
    }
}

/// When a value was so, and how sure that is.
pub(super) type Stamp = (Timestamp, StatusCode);

/// One message on one route.
pub(super) struct Job<'j> {
    pub(super) types: &'j TagTypes,
    pub(super) definition: &'j Definition,
    pub(super) route: &'j Route,
    pub(super) message: &'j Message<'j>,
    pub(super) out: &'j mut Output,
}

impl<'j> Job<'j> {
    pub(super) fn run(mut self) {
        let result = match &self.route.part {
            Part::Main => self.main(),
            Part::Availability(rule) => self.availability(rule),
            Part::TasmotaTele => self.tasmota_tele(),
            Part::TasmotaStat => self.tasmota_stat(),
            Part::ShellyEvents => self.shelly_events(),
            Part::ShellyStatus => self.shelly_status(),
            Part::ShellyReply => self.shelly_reply(),
            Part::ShellyFirst => self.shelly_first(),
        };
        if let Err(message) = result {
            self.out.error(self.only_tag(), message);
        }
    }

    fn main(&mut self) -> Result<(), String> {
        let message = self.message;
        match &self.definition.format {
            Format::Value => {
                let raw = Json::from(message.text()?.trim());
                self.scalar(&raw);
                Ok(())
            }
            Format::Json { batch: None } => {
                self.object(message.json()?, None, None);
                Ok(())
            }
            Format::Json { batch: Some(path) } => {
                let root = message.json()?;
                let list = path.find(root).ok_or("the payload has no list at `batch`")?;
                let list = list
                    .as_array()
                    .ok_or_else(|| format!("`batch` leads to {}, not to a list", convert::show(list)))?;
                if list.len().saturating_mul(self.definition.fields.len()) > MAX_READINGS {
                    return Err(format!(
                        "a batch of {} elements is too long; at most {MAX_READINGS} readings",
                        list.len()
                    ));
                }
                for element in list {
                    self.object(element, Some(root), None);
                }
                Ok(())
            }
            Format::Line { tag, precision } => {
                let text = message.text()?;
                let wildcards = self.wildcards();
                let lines = Lines { template: tag, precision: *precision, types: self.types, wildcards: &wildcards };
                lines.read(text, message.received, self.out);
                Ok(())
            }
            Format::Template => {
                if !message.payload.is_empty() {
                    self.templates()?;
                }
                Ok(())
            }
            Format::Device => {
                // Zigbee2MQTT clears a retained state with an empty payload when a device is removed.
                if !message.payload.is_empty() {
                    self.object(message.json()?, None, None);
                }
                Ok(())
            }
        }
    }

    /// Offline: every tag of the mapping is without communication. Online: the next values will tell.
    fn availability(&mut self, rule: &Availability) -> Result<(), String> {
        let text = self.message.text()?.trim();
        let nested = match (&rule.path, &rule.template, text.starts_with('{')) {
            (Some(path), ..) => path.find(self.message.json()?).cloned(),
            (None, Some(template), _) => match self.render(template).map_err(|error| error.to_string())? {
                Rendered::Text(text) => Some(Json::from(text)),
                Rendered::Nothing | Rendered::Null => return Ok(()),
            },
            (None, None, true) => self.message.json()?.get("state").cloned(),
            (None, None, false) => Some(Json::from(text)),
        };
        let word = nested.map(|json| json.as_str().map_or_else(|| json.to_string(), str::to_owned)).unwrap_or_default();
        let is = |own: &Option<String>, usual: &[&str]| match own {
            Some(own) => *own == word,
            None => usual.iter().any(|usual| usual.eq_ignore_ascii_case(&word)),
        };
        if is(&rule.offline, &["offline", "false", "off", "0"]) {
            self.offline()
        } else if is(&rule.online, &["online", "true", "on", "1"]) {
            Ok(())
        } else {
            Err(format!(
                "{} says neither online nor offline; set `online` and `offline` in `availability`",
                convert::show(&Json::from(word))
            ))
        }
    }

    fn offline(&mut self) -> Result<(), String> {
        let wildcards = self.wildcards();
        if wildcards.is_empty() && self.definition.fields.iter().any(|field| field.tag.fixed.is_none()) {
            return Err(
                "offline, but this topic does not say which of the mapped devices; their tags will go stale".to_owned()
            );
        }
        let mut done = HashSet::new();
        for field in &self.definition.fields {
            let Ok((tag, _)) = field.tag.resolve(&wildcards, self.types) else { continue };
            if done.insert(Arc::clone(&tag)) {
                self.out.readings.push(Reading {
                    tag,
                    value: Value::Null,
                    quality: StatusCode::BAD_NO_COMMUNICATION,
                    source_ts: self.message.received,
                });
            }
        }
        Ok(())
    }

    fn tasmota_tele(&mut self) -> Result<(), String> {
        // INFO1…3, UPTIME, MARGINS and the like hold no values of ours; LWT is a route of its own.
        if matches!(self.rest().first(), Some(&("STATE" | "SENSOR"))) {
            self.object(self.message.json()?, None, None);
        }
        Ok(())
    }

    fn tasmota_stat(&mut self) -> Result<(), String> {
        let message = self.message;
        let rest = self.rest();
        let Some(word) = rest.first() else { return Ok(()) };
        match *word {
            "RESULT" => {
                let root = message.json()?;
                if root.get("Command").is_some_and(|answer| answer == "Unknown") {
                    return Err("the device does not know the command that it was sent".to_owned());
                }
                self.object(root, None, None);
            }
            "STATUS8" | "STATUS10" => self.under(message.json()?, "StatusSNS"),
            "STATUS11" => self.under(message.json()?, "StatusSTS"),
            power if power.strip_prefix("POWER").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_digit())) => {
                let state = Json::from(message.text()?.trim());
                self.object(&state, None, Some(power));
            }
            _ => {}
        }
        Ok(())
    }

    fn under(&mut self, root: &Json, key: &str) {
        if let Some(inner) = root.get(key) {
            self.object(inner, None, None);
        }
    }

    fn shelly_events(&mut self) -> Result<(), String> {
        let root = self.message.json()?;
        // NotifyEvent tells of button presses and the like: no state.
        if !root.get("method").is_some_and(|method| method == "NotifyStatus" || method == "NotifyFullStatus") {
            return Ok(());
        }
        let params = root.get("params").ok_or("the notification has no `params`")?;
        let stamp = match params.get("ts") {
            Some(raw) if !raw.is_null() && self.definition.time.is_none() => self.stamp(raw),
            _ => self.stamp_in(params, None),
        };
        self.fields(stamp, |field| field.path.find(params));
        Ok(())
    }

    fn shelly_status(&mut self) -> Result<(), String> {
        let rest = self.rest();
        let component = rest.first().copied().unwrap_or_default();
        self.object(self.message.json()?, None, Some(component));
        Ok(())
    }

    /// The answer to a command of ours; only "no" matters, for the state comes by itself.
    fn shelly_reply(&mut self) -> Result<(), String> {
        let root = self.message.json()?;
        match root.get("error") {
            None => Ok(()),
            Some(error) => {
                Err(format!("the device refused a command: {}", convert::show(error.get("message").unwrap_or(error))))
            }
        }
    }

    /// Gen1: the topic is the path and the payload is one plain value.
    fn shelly_first(&mut self) -> Result<(), String> {
        let rest = self.rest().join("/");
        let definition = self.definition;
        if !definition.fields.iter().any(|field| field.path_text == rest) {
            return Ok(());
        }
        let raw = Json::from(self.message.text()?.trim());
        let stamp = (self.message.received, StatusCode::GOOD);
        self.fields(stamp, |field| (field.path_text == rest).then_some(&raw));
        Ok(())
    }

    fn render(&self, template: &ValueTemplate) -> Result<Rendered, RenderError> {
        let text = self.message.text().map_err(RenderError::Unfit)?;
        let json = if template.uses_json() { self.message.json().ok() } else { None };
        template.render(text, json)
    }

    /// A template that gives nothing says nothing about its tag; one that lacks what it asks for is as a field that is missing.
    fn templates(&mut self) -> Result<(), String> {
        self.message.text()?;
        let (wildcards, stamp, definition) =
            (self.wildcards(), (self.message.received, StatusCode::GOOD), self.definition);
        for field in &definition.fields {
            let Some(template) = &field.template else { continue };
            let raw = match self.render(template) {
                Ok(Rendered::Text(text)) => Json::from(text),
                Ok(Rendered::Null) => Json::Null,
                Ok(Rendered::Nothing) => continue,
                Err(RenderError::Missing(_)) if field.optional => continue,
                Err(error) => {
                    let tag = field.tag.resolve(&wildcards, self.types).ok().map(|(tag, _)| tag);
                    self.out.error(tag, format!("{error}; the template is {}", convert::shorten(template.as_str())));
                    continue;
                }
            };
            self.field(field, &raw, &wildcards, stamp);
        }
        Ok(())
    }

    fn scalar(&mut self, raw: &Json) {
        let stamp = (self.message.received, StatusCode::GOOD);
        self.fields(stamp, |_| Some(raw));
    }

    /// The fields of one object; `outer` may hold the time that the object lacks; `under` is the first key of the
    /// paths when the message leaves it out.
    fn object(&mut self, root: &Json, outer: Option<&Json>, under: Option<&str>) {
        let stamp = self.stamp_in(root, outer);
        self.fields(stamp, |field| match under {
            Some(key) => field.path.find_under(key, root),
            None => field.path.find(root),
        });
    }

    fn fields<'r>(&mut self, stamp: Stamp, find: impl Fn(&Field) -> Option<&'r Json>) {
        let wildcards = self.wildcards();
        let lenient = matches!(self.definition.format, Format::Device);
        for field in &self.definition.fields {
            match find(field) {
                Some(raw) => self.field(field, raw, &wildcards, stamp),
                None if lenient || field.optional => {}
                None => {
                    let tag = field.tag.resolve(&wildcards, self.types).ok().map(|(tag, _)| tag);
                    let text = &field.path_text;
                    self.out
                        .error(tag, format!("the payload has no \"{text}\"; correct `path`, or set `optional = true`"));
                }
            }
        }
    }

    fn field(&mut self, field: &Field, raw: &Json, wildcards: &[&str], stamp: Stamp) {
        let (tag, wanted) = match field.tag.resolve(wildcards, self.types) {
            Ok(resolved) => resolved,
            Err(message) => return self.out.error(None, message),
        };
        match field.convert.read(raw, wanted) {
            Ok(value) => self.out.readings.push(reading(tag, value, stamp)),
            Err(message) => self.out.error(Some(tag), message),
        }
    }

    fn stamp_in(&mut self, root: &Json, outer: Option<&Json>) -> Stamp {
        let Some(path) = &self.definition.time else { return (self.message.received, StatusCode::GOOD) };
        match path.find(root).or_else(|| path.find(outer?)).filter(|raw| !raw.is_null()) {
            Some(raw) => self.stamp(raw),
            None => (self.message.received, StatusCode::GOOD),
        }
    }

    fn stamp(&mut self, raw: &Json) -> Stamp {
        match self.definition.time_rule.read(raw, self.message.received) {
            Ok(stamp) => (stamp, StatusCode::GOOD),
            Err(message) => {
                let tag = self.only_tag();
                self.out.error(tag, format!("{message}; the received time is used"));
                (self.message.received, StatusCode::UNCERTAIN)
            }
        }
    }

    /// What the `+` of the user's filter stand for.
    fn wildcards(&self) -> Vec<&'j str> {
        self.route.wildcards.iter().filter_map(|level| self.message.levels.get(*level).copied()).collect()
    }

    /// The levels that the device adds to its own topic.
    fn rest(&self) -> Vec<&'j str> {
        self.message.levels.get(self.route.rest..).unwrap_or_default().to_vec()
    }

    /// The tag to name in an error of the whole message, when there is only one.
    fn only_tag(&self) -> Option<Arc<str>> {
        match self.definition.fields.as_slice() {
            [field] => field.tag.resolve(&self.wildcards(), self.types).ok().map(|(tag, _)| tag),
            _ => None,
        }
    }
}

pub(super) fn reading(tag: Arc<str>, value: Value, (source_ts, quality): Stamp) -> Reading {
    let quality = if value == Value::Null { StatusCode::BAD_NO_DATA } else { quality };
    Reading { tag, value, quality, source_ts }
}
