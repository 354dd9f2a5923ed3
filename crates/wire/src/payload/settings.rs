//! The words of a `[[topic]]` table, checked into a [`Definition`]. The words themselves: the table in [`super`].

use super::TagTypes;
use super::command::{Command, Payload};
use super::convert::{Convert, TimeRule, TimeUnit, shorten};
use super::filter::check_filter;
use super::path::JsonPath;
use super::presets::{self, Family, Routes};
use super::template::{Holes, Template};
use crate::line_protocol::Precision;
use crate::value_template::ValueTemplate;
use andon_model::plant::{Finding, TopicDef};
use andon_model::{DataType, TagPath};
use serde_json::{Map, Value as Json};
use std::sync::Arc;

/// One `[[topic]]`, checked.
#[derive(Debug)]
pub(super) struct Definition {
    /// Which topics it reads, and as what.
    pub(super) routes: Vec<Route>,
    pub(super) format: Format,
    pub(super) fields: Vec<Field>,
    pub(super) time: Option<JsonPath>,
    pub(super) time_rule: TimeRule,
    pub(super) commands: Vec<Command>,
}

/// A topic filter and what its messages are.
#[derive(Debug)]
pub(super) struct Route {
    pub(super) filter: String,
    pub(super) part: Part,
    /// The levels at which the `+` of the user's filter stand.
    pub(super) wildcards: Vec<usize>,
    /// The level at which the device's own words begin.
    pub(super) rest: usize,
}

/// What a message on a route is.
#[derive(Debug)]
pub(super) enum Part {
    /// As the format says.
    Main,
    /// Whether the device is there.
    Availability(Availability),
    TasmotaTele,
    TasmotaStat,
    ShellyEvents,
    ShellyStatus,
    ShellyReply,
    ShellyFirst,
}

/// What the payload is.
#[derive(Debug)]
pub(super) enum Format {
    Value,
    Json {
        batch: Option<JsonPath>,
    },
    Line {
        tag: Template,
        precision: Precision,
    },
    /// A device family: JSON by path, where a message holds some of the fields.
    Device,
    /// Whatever the templates of the fields make of it.
    Template,
}

/// How the fields of a format say where a value stands.
#[derive(Clone, Copy)]
enum Paths {
    Json,
    /// The path is one key as it is.
    Literal,
    Templates,
}

/// Where a value stands and which tag it goes to.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) path_text: String,
    pub(super) path: JsonPath,
    /// Instead of the path.
    pub(super) template: Option<ValueTemplate>,
    pub(super) tag: TagName,
    pub(super) convert: Convert,
    pub(super) optional: bool,
}

/// A tag, or a family of tags with placeholders.
#[derive(Debug, Clone)]
pub(super) struct TagName {
    pub(super) template: Template,
    /// Path and type, when there is no placeholder.
    pub(super) fixed: Option<(Arc<str>, DataType)>,
}

/// How a device says that it is there.
#[derive(Debug, Clone, Default)]
pub(super) struct Availability {
    /// Where in a JSON payload; `state` when nothing is said and the payload is an object.
    pub(super) path: Option<JsonPath>,
    /// Instead of the path.
    pub(super) template: Option<ValueTemplate>,
    pub(super) online: Option<String>,
    pub(super) offline: Option<String>,
}

/// The `{"<key>": "<word>"}` tables of the settings with their place, for findings.
#[derive(Clone)]
struct Table<'a> {
    map: &'a Map<String, Json>,
    at: Vec<String>,
}

impl<'a> Table<'a> {
    fn get(&self, key: &str) -> Option<&'a Json> {
        self.map.get(key)
    }
    fn place(&self, key: &str) -> Vec<String> {
        self.at.iter().cloned().chain([key.to_owned()]).collect()
    }
}

const FORMATS: &[&str] = &["value", "json", "template", "zigbee2mqtt", "tasmota", "shelly", "line_protocol"];
const COMMON: &[&str] = &["format", "command", "command_topic", "availability"];
const CONVERT: &[&str] = &["true", "false", "values", "scale", "offset", "whole"];
const TIME: &[&str] = &["time", "time_unit", "utc_offset"];

/// Checks one `[[topic]]`.
/// # Errors
/// Everything that is wrong with it.
pub(super) fn check(topic: &TopicDef, types: &TagTypes) -> Result<Definition, Vec<Finding>> {
    let mut checker = Checker { types, findings: Vec::new(), wildcards: 0, line: false };
    let definition = checker.definition(topic);
    match definition {
        Some(definition) if checker.findings.is_empty() => Ok(definition),
        _ => Err(checker.findings),
    }
}

struct Checker<'t> {
    types: &'t TagTypes,
    findings: Vec<Finding>,
    wildcards: usize,
    line: bool,
}

impl Checker<'_> {
    fn fault(&mut self, pointer: Vec<String>, message: impl Into<String>, remedy: impl Into<String>) {
        self.findings.push(Finding { pointer, message: message.into(), remedy: remedy.into() });
    }

    fn definition(&mut self, topic: &TopicDef) -> Option<Definition> {
        if let Err(message) = check_filter(&topic.filter) {
            self.fault(vec!["filter".to_owned()], message, "write a topic such as `plant/+/temperature`");
            return None;
        }
        let Some(map) = topic.settings.as_object() else {
            self.fault(Vec::new(), "the mapping has no settings", "add `format = \"value\"` and `tag = \"…\"`");
            return None;
        };
        let table = Table { map, at: Vec::new() };
        self.wildcards = topic.filter.split('/').filter(|level| *level == "+").count();
        let Some(format) = self.text(&table, "format") else {
            if !map.contains_key("format") {
                self.fault(
                    Vec::new(),
                    "the mapping says no format",
                    format!("add `format = \"…\"`: {}", FORMATS.join(", ")),
                );
            }
            return None;
        };
        match format {
            "value" => self.value(topic, &table),
            "json" => self.json(topic, &table),
            "template" => self.templates(topic, &table),
            "line_protocol" => self.line_protocol(topic, &table),
            "zigbee2mqtt" => self.device(topic, &table, &["base"]),
            "tasmota" => self.device(topic, &table, &[]),
            "shelly" => self.device(topic, &table, &["generation"]),
            other => {
                let remedy = nearest(other, FORMATS).map_or_else(
                    || format!("write one of {}", FORMATS.join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                );
                self.fault(table.place("format"), format!("there is no format \"{other}\""), remedy);
                None
            }
        }
    }

    fn value(&mut self, topic: &TopicDef, table: &Table<'_>) -> Option<Definition> {
        self.known(table, &[COMMON, CONVERT, &["tag"]]);
        let field = self.field(table, "$".to_owned(), JsonPath::parse("$").ok()?);
        let fields = Vec::from_iter(field);
        self.finish(topic, table, Format::Value, fields, Routes::plain(&topic.filter))
    }

    fn json(&mut self, topic: &TopicDef, table: &Table<'_>) -> Option<Definition> {
        self.known(table, &[COMMON, TIME, &["fields", "batch"]]);
        let fields = self.fields(table, Paths::Json);
        let batch = self.path(table, "batch");
        self.finish(topic, table, Format::Json { batch }, fields, Routes::plain(&topic.filter))
    }

    fn templates(&mut self, topic: &TopicDef, table: &Table<'_>) -> Option<Definition> {
        self.known(table, &[COMMON, &["fields"]]);
        let fields = self.fields(table, Paths::Templates);
        self.finish(topic, table, Format::Template, fields, Routes::plain(&topic.filter))
    }

    fn line_protocol(&mut self, topic: &TopicDef, table: &Table<'_>) -> Option<Definition> {
        self.line = true;
        self.known(table, &[COMMON, &["tag", "precision"]]);
        let precision = match self.text(table, "precision") {
            None => Precision::default(),
            Some(word) => Precision::parse(word).unwrap_or_else(|| {
                self.fault(table.place("precision"), format!("\"{word}\" is no precision"), "write ns, us, ms or s");
                Precision::default()
            }),
        };
        let text = self.required_text(table, "tag", "add `tag = \"works/{measurement}/{field}\"`")?;
        let tag = self.template(table.place("tag"), text)?;
        self.line = false;
        self.finish(topic, table, Format::Line { tag, precision }, Vec::new(), Routes::plain(&topic.filter))
    }

    fn device(&mut self, topic: &TopicDef, table: &Table<'_>, own: &[&str]) -> Option<Definition> {
        self.known(table, &[COMMON, TIME, &["fields"], own]);
        let base = if own.contains(&"base") { self.text(table, "base") } else { None };
        let generation = if own.contains(&"generation") { self.number(table, "generation") } else { None };
        let preset = match self.text(table, "format") {
            Some("zigbee2mqtt") => presets::zigbee2mqtt(&topic.filter, base),
            Some("tasmota") => presets::tasmota(&topic.filter),
            _ => presets::shelly(&topic.filter, generation),
        };
        let routes = match preset {
            Ok(routes) => Some(routes),
            Err(fault) => {
                self.fault(table.place(fault.key), fault.message, fault.remedy);
                None
            }
        };
        let literal = matches!(routes.as_ref().map(|routes| &routes.family), Some(Family::ShellyFirst { .. }));
        let fields = self.fields(table, if literal { Paths::Literal } else { Paths::Json });
        self.finish(topic, table, Format::Device, fields, routes?)
    }

    fn finish(
        &mut self,
        topic: &TopicDef,
        table: &Table<'_>,
        format: Format,
        fields: Vec<Field>,
        mut routes: Routes,
    ) -> Option<Definition> {
        self.availability(table, &mut routes);
        let commands = self.commands(topic, table, &fields, &routes.family);
        let mut time = self.path(table, "time");
        if time.is_none() {
            time = routes.time.and_then(|path| JsonPath::parse(path).ok());
        }
        let time_rule = self.time_rule(table);
        let levels = |filter: &str, sign: &str| -> Vec<usize> {
            filter.split('/').enumerate().filter(|(_, level)| *level == sign).map(|(at, _)| at).collect()
        };
        let routes = routes.routes.into_iter().map(|(filter, part, rest)| {
            let mut wildcards = levels(&filter, "+");
            wildcards.truncate(self.wildcards);
            Route { filter, part, wildcards, rest }
        });
        Some(Definition { routes: routes.collect(), format, fields, time, time_rule, commands })
    }

    fn fields(&mut self, table: &Table<'_>, paths: Paths) -> Vec<Field> {
        let Some(list) = table.get("fields") else {
            self.fault(
                table.at.clone(),
                "the mapping has no fields",
                "add `fields = [{ path = \"temperature\", tag = \"…\" }]`",
            );
            return Vec::new();
        };
        let Some(list) = list.as_array() else {
            self.fault(
                table.place("fields"),
                "`fields` is not a list",
                "write `fields = [{ path = \"…\", tag = \"…\" }]`",
            );
            return Vec::new();
        };
        let mut fields = Vec::new();
        for (number, item) in list.iter().enumerate() {
            let at = vec!["fields".to_owned(), number.to_string()];
            let Some(map) = item.as_object() else {
                self.fault(at, "a field is a table", "write `{ path = \"…\", tag = \"…\" }`");
                continue;
            };
            let table = Table { map, at };
            if matches!(paths, Paths::Templates) {
                self.known(&table, &[CONVERT, &["template", "tag", "optional"]]);
                self.required_text(&table, "template", "add `template = \"{{ value_json.temperature }}\"`");
                let Some(template) = self.value_template(&table) else { continue };
                let field = self.field(&table, template.as_str().to_owned(), JsonPath::key(""));
                fields.extend(field.map(|field| Field { template: Some(template), ..field }));
                continue;
            }
            self.known(&table, &[CONVERT, &["path", "tag", "optional"]]);
            let Some(text) = self.required_text(&table, "path", "add `path = \"temperature\"`") else { continue };
            let path =
                if matches!(paths, Paths::Literal) { Some(JsonPath::key(text)) } else { self.path(&table, "path") };
            let Some(path) = path else { continue };
            fields.extend(self.field(&table, text.to_owned(), path));
        }
        fields
    }

    fn field(&mut self, table: &Table<'_>, path_text: String, path: JsonPath) -> Option<Field> {
        let convert = self.convert(table, "true", "false");
        let optional = self.flag(table, "optional").unwrap_or(false);
        let text = self.required_text(table, "tag", "add `tag = \"…\"`, the path of a tag")?;
        let tag = self.tag(table.place("tag"), text)?;
        Some(Field { path_text, path, template: None, tag, convert, optional })
    }

    fn convert(&mut self, table: &Table<'_>, on: &str, off: &str) -> Convert {
        let mut convert = Convert { on: self.word(table, on), off: self.word(table, off), ..Convert::default() };
        convert.scale = self.number(table, "scale").unwrap_or(1.0);
        convert.offset = self.number(table, "offset").unwrap_or(0.0);
        convert.whole = self.flag(table, "whole").unwrap_or(false);
        if convert.scale == 0.0 {
            self.fault(
                table.place("scale"),
                "a scale of 0 makes every value the same",
                "write the factor, such as 0.1",
            );
        }
        if let Some(values) = table.get("values") {
            let words = values.as_object().map(|map| {
                map.iter()
                    .map(|(word, number)| number.as_f64().map(|number| (word.clone(), number)))
                    .collect::<Option<Vec<_>>>()
            });
            match words.flatten() {
                Some(words) => convert.words = words,
                None => self.fault(
                    table.place("values"),
                    "`values` turns words into numbers",
                    "write `values = { idle = 0, heat = 1 }`",
                ),
            }
        }
        convert
    }

    fn tag(&mut self, at: Vec<String>, text: &str) -> Option<TagName> {
        let template = self.template(at.clone(), text)?;
        if template.fixed().is_none() {
            return Some(TagName { template, fixed: None });
        }
        let known = TagPath::parse(text).map_err(|error| error.to_string());
        let known = known.and_then(|_| (self.types)(text).ok_or_else(|| format!("there is no tag \"{text}\"")));
        match known {
            Ok(data_type) => Some(TagName { template, fixed: Some((text.into(), data_type)) }),
            Err(message) => {
                self.fault(at, message, "correct the path, or add a [[tag]] with it");
                None
            }
        }
    }

    fn template(&mut self, at: Vec<String>, text: &str) -> Option<Template> {
        let holes = Holes { wildcards: self.wildcards, line: self.line };
        match Template::parse(text, holes) {
            Ok(template) => Some(template),
            Err(message) => {
                self.fault(at, message, "correct the placeholder");
                None
            }
        }
    }

    fn time_rule(&mut self, table: &Table<'_>) -> TimeRule {
        let mut rule = TimeRule::default();
        if let Some(word) = self.text(table, "time_unit") {
            rule.unit = TimeUnit::parse(word);
            if rule.unit.is_none() {
                self.fault(table.place("time_unit"), format!("\"{word}\" is no unit of time"), "write s, ms, us or ns");
            }
        }
        if let Some(zone) = self.text(table, "utc_offset") {
            match zone_minutes(zone) {
                Some(minutes) => rule.zone_minutes = minutes,
                None => self.fault(
                    table.place("utc_offset"),
                    format!("\"{zone}\" is no offset from UTC"),
                    "write +01:00 or -05:30",
                ),
            }
        }
        rule
    }

    fn availability(&mut self, table: &Table<'_>, routes: &mut Routes) {
        let is_default = |part: &Part| matches!(part, Part::Availability(_));
        let Some(given) = table.get("availability") else { return };
        // A battery device that sleeps says "offline" and is well: the family's own topic is left unread.
        routes.routes.retain(|(_, part, _)| !is_default(part));
        let at = table.place("availability");
        match given {
            Json::Bool(false) => {}
            Json::Array(list) => {
                for (number, one) in list.iter().enumerate() {
                    let at = at.iter().cloned().chain([number.to_string()]).collect();
                    self.one_availability(one, at, routes);
                }
            }
            one => self.one_availability(one, at, routes),
        }
    }

    /// Each of several topics that says "offline" counts.
    fn one_availability(&mut self, given: &Json, at: Vec<String>, routes: &mut Routes) {
        let (text, own) = match given {
            Json::String(text) => (text.as_str(), Availability::default()),
            Json::Object(map) => {
                let table = Table { map, at: at.clone() };
                self.known(&table, &[&["topic", "path", "template", "online", "offline"]]);
                let own = Availability {
                    path: self.path(&table, "path"),
                    template: self.value_template(&table),
                    online: self.text(&table, "online").map(str::to_owned),
                    offline: self.text(&table, "offline").map(str::to_owned),
                };
                if own.path.is_some() && own.template.is_some() {
                    let remedy = "keep the one that says where the word stands";
                    self.fault(at.clone(), "`path` and `template` both say where the word stands", remedy);
                }
                let Some(text) = self.required_text(&table, "topic", "add `topic = \"device/LWT\"`") else { return };
                (text, own)
            }
            _ => {
                let remedy = "write `availability = \"device/LWT\"`, a list of such topics, or false";
                self.fault(at, "`availability` is a topic", remedy);
                return;
            }
        };
        if let Some((filter, order)) = self.topic(at.clone(), text) {
            if order.iter().enumerate().any(|(at, number)| at != *number) {
                self.fault(
                    at,
                    "the placeholders stand out of order",
                    "use {1}, {2}, … in the order of the filter's `+`",
                );
            }
            routes.routes.push((filter, Part::Availability(own), 0));
        }
    }

    fn value_template(&mut self, table: &Table<'_>) -> Option<ValueTemplate> {
        let text = self.text(table, "template")?;
        let remedy = "write one such as `{{ value_json.temperature }}`; the manual says what is understood";
        ValueTemplate::parse(text)
            .map_err(|error| {
                self.fault(table.place("template"), format!("this template is not understood: {error}"), remedy)
            })
            .ok()
    }

    /// A topic with placeholders, as a filter.
    fn topic(&mut self, at: Vec<String>, text: &str) -> Option<(String, Vec<usize>)> {
        let template = self.template(at.clone(), text)?;
        let checked = if text.contains(['+', '#']) {
            Err("a topic has no wildcards; write {1} for what the first `+` of the filter stands for".to_owned())
        } else {
            template.as_filter().and_then(|(filter, order)| check_filter(&filter).map(|()| (filter, order)))
        };
        checked.map_err(|message| self.fault(at, message, "write one topic, such as `andon/house/lamp/set`")).ok()
    }

    fn commands(&mut self, topic: &TopicDef, table: &Table<'_>, fields: &[Field], family: &Family) -> Vec<Command> {
        let tables: Vec<Table<'_>> = match table.get("command") {
            None => Vec::new(),
            Some(Json::Object(map)) => vec![Table { map, at: table.place("command") }],
            Some(Json::Array(list)) => list
                .iter()
                .enumerate()
                .filter_map(|(at, item)| {
                    let at = table.place("command").into_iter().chain([at.to_string()]).collect();
                    item.as_object().map(|map| Table { map, at })
                })
                .collect(),
            Some(_) => {
                self.fault(
                    table.place("command"),
                    "`command` is a table, or a list of tables",
                    "write `command = { tag = \"…\", topic = \"…\" }`",
                );
                Vec::new()
            }
        };
        let mut commands: Vec<Command> =
            tables.iter().filter_map(|table| self.command(topic, table, fields, family)).collect();
        if let Some(text) = self.text(table, "command_topic") {
            let bound = self.topic(table.place("command_topic"), text);
            match (commands.as_mut_slice(), bound) {
                ([only], Some(bound)) => only.bound = Some(bound),
                (_, None) => {}
                _ => self.fault(
                    table.place("command_topic"),
                    "`command_topic` stands beside exactly one command",
                    "put it inside the `command` table that it belongs to",
                ),
            }
        }
        commands
    }

    fn command(&mut self, topic: &TopicDef, table: &Table<'_>, fields: &[Field], family: &Family) -> Option<Command> {
        self.known(
            table,
            &[&[
                "tag",
                "topic",
                "json",
                "text",
                "on",
                "off",
                "path",
                "command_topic",
                "values",
                "scale",
                "offset",
                "whole",
            ]],
        );
        let text = self.required_text(table, "tag", "add `tag = \"…\"`, the tag that is written")?;
        let tag = self.tag(table.place("tag"), text)?;
        let field = fields.iter().find(|field| field.tag.template == tag.template);
        let bound = match self.text(table, "command_topic") {
            Some(text) => Some(self.topic(table.place("command_topic"), text)?),
            None => None,
        };
        let mut convert = self.convert(table, "on", "off");
        let (topic_text, payload) = if table.get("topic").is_some() || *family == Family::None {
            let topic = self.required_text(table, "topic", "add `topic = \"zigbee2mqtt/lamp/set\"`")?.to_owned();
            (topic, self.payload(table, &mut convert)?)
        } else {
            for key in ["json", "text"] {
                if table.get(key).is_some() {
                    self.fault(
                        table.place(key),
                        format!("`{key}` needs `topic` beside it"),
                        "add `topic`, or leave both to the device family",
                    );
                }
            }
            let path = self.text(table, "path").or(field.map(|field| field.path_text.as_str()));
            let Some(path) = path else {
                self.fault(
                    table.at.clone(),
                    "it is not said what the device calls this",
                    "add `path = \"state\"`, or a field with the same tag",
                );
                return None;
            };
            if let Some(field) = field {
                inherit(&mut convert, &field.convert, table);
            }
            let Some((topic, payload, words)) = family.command(path) else {
                self.fault(
                    table.at.clone(),
                    format!("the device family has no command for \"{path}\""),
                    "add `topic` and `json` or `text` to the command",
                );
                return None;
            };
            convert.on.get_or_insert(words.0);
            convert.off.get_or_insert(words.1);
            (topic, payload)
        };
        let (filter, order) = self.topic(table.place("topic"), &topic_text)?;
        if filter == topic.filter {
            self.fault(
                table.place("topic"),
                "reports and commands on the same topic cannot be told apart",
                "give the device a topic of its own for commands",
            );
        }
        let topic = self.template(table.place("topic"), &topic_text)?;
        Some(Command { tag, topic, filter, order, bound, payload, convert, wildcards: self.wildcards })
    }

    fn payload(&mut self, table: &Table<'_>, convert: &mut Convert) -> Option<Payload> {
        let words_given = convert.on.is_some() || convert.off.is_some();
        let made = match (table.get("json"), table.get("text")) {
            (Some(_), Some(_)) => Err("a command has `json` or `text`, not both".to_owned()),
            (Some(json), None) => Payload::json(json.clone()),
            (None, Some(Json::String(text))) => Payload::text(text),
            (None, None) => Payload::text("{value}"),
            (None, Some(_)) => Err("`text` is a text".to_owned()),
        };
        let payload = made
            .map_err(|message| {
                let key = if table.get("json").is_some() { "json" } else { "text" };
                self.fault(table.place(key), message, "write `json = { state = \"$ON_OFF\" }` or `text = \"{value}\"`");
            })
            .ok()?;
        if !payload.is_plain_value() || words_given {
            convert.on.get_or_insert_with(|| Json::from("ON"));
            convert.off.get_or_insert_with(|| Json::from("OFF"));
        }
        Some(payload)
    }

    fn known(&mut self, table: &Table<'_>, lists: &[&[&str]]) {
        let known = lists.concat();
        for key in table.map.keys().filter(|key| !known.contains(&key.as_str())) {
            let remedy = nearest(key, &known)
                .map_or_else(|| format!("known here: {}", known.join(", ")), |near| format!("did you mean `{near}`?"));
            self.fault(table.place(key), format!("`{key}` is not a word of this mapping"), remedy);
        }
    }

    fn text<'a>(&mut self, table: &Table<'a>, key: &str) -> Option<&'a str> {
        let value = table.get(key)?;
        if value.as_str().is_none() {
            self.fault(table.place(key), format!("`{key}` is a text"), format!("write `{key} = \"…\"`"));
        }
        value.as_str()
    }

    fn required_text<'a>(&mut self, table: &Table<'a>, key: &str, remedy: &str) -> Option<&'a str> {
        if table.get(key).is_none() {
            self.fault(table.at.clone(), format!("`{key}` is missing"), remedy);
        }
        self.text(table, key)
    }

    fn number(&mut self, table: &Table<'_>, key: &str) -> Option<f64> {
        let value = table.get(key)?;
        let number = value.as_f64().filter(|number| number.is_finite());
        if number.is_none() {
            self.fault(table.place(key), format!("`{key}` is a number"), format!("write `{key} = 0.1`"));
        }
        number
    }

    fn flag(&mut self, table: &Table<'_>, key: &str) -> Option<bool> {
        let value = table.get(key)?;
        if value.as_bool().is_none() {
            self.fault(table.place(key), format!("`{key}` is true or false"), format!("write `{key} = true`"));
        }
        value.as_bool()
    }

    /// A word for a state: a text, a number, true or false.
    fn word(&mut self, table: &Table<'_>, key: &str) -> Option<Json> {
        let value = table.get(key)?;
        if value.is_array() || value.is_object() || value.is_null() {
            self.fault(
                table.place(key),
                format!("`{key}` is what the device sends for it"),
                format!("write `{key} = \"ON\"`"),
            );
            return None;
        }
        Some(value.clone())
    }

    fn path(&mut self, table: &Table<'_>, key: &str) -> Option<JsonPath> {
        let text = self.text(table, key)?;
        JsonPath::parse(text)
            .map_err(|message| self.fault(table.place(key), message, "write a path such as `ENERGY.Power` or `a[0].b`"))
            .ok()
    }
}

impl TagName {
    /// The tag's path and type, with the wildcards filled in.
    /// # Errors
    /// In words, when the filled-in path is no tag.
    pub(super) fn resolve(&self, wildcards: &[&str], types: &TagTypes) -> Result<(Arc<str>, DataType), String> {
        if let Some((path, data_type)) = &self.fixed {
            return Ok((Arc::clone(path), *data_type));
        }
        let path = self.template.fill(wildcards);
        match types(&path) {
            Some(data_type) => Ok((path.into(), data_type)),
            None => Err(no_such_tag(&path)),
        }
    }
}

pub(super) fn no_such_tag(path: &str) -> String {
    format!("there is no tag \"{}\"; add it to the plant, or narrow the topic filter", shorten(path))
}

/// What the command does not say itself, it takes from the field of the same tag.
fn inherit(convert: &mut Convert, field: &Convert, table: &Table<'_>) {
    let said = |key: &str| table.get(key).is_some();
    if convert.on.is_none() {
        convert.on.clone_from(&field.on);
    }
    if convert.off.is_none() {
        convert.off.clone_from(&field.off);
    }
    if !said("values") {
        convert.words.clone_from(&field.words);
    }
    if !said("scale") && !said("offset") {
        (convert.scale, convert.offset) = (field.scale, field.offset);
    }
    if !said("whole") {
        convert.whole = field.whole;
    }
}

/// Minutes east of UTC of `+01:00`, `-0530`, `Z`.
fn zone_minutes(text: &str) -> Option<i32> {
    if text == "Z" {
        return Some(0);
    }
    let (sign, digits) = text.split_at_checked(1)?;
    let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
    let part = |digits: &str| -> Option<i32> {
        (digits.len() == 2 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok()).flatten()
    };
    let (hours, minutes) = (part(hours)?, part(minutes)?);
    let sign = match sign {
        "+" => 1,
        "-" => -1,
        _ => return None,
    };
    (hours <= 14 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

/// The word of `known` that `text` was probably meant to be: at most two letters different, and not most of them.
fn nearest<'a>(text: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |word: &&&str| edit_distance(text, word);
    known.iter().min_by_key(distance).filter(|word| distance(word) <= 2.min(word.len() / 2)).copied()
}

fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.chars().count()).collect();
    for (i, from) in a.chars().enumerate().take(64) {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.chars().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row.last().copied().unwrap_or_default()
}
