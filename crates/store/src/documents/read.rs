//! From trees to drafts: every `[[table]]` on its own, every key of it. What looks at several tables is in `assemble`.

use super::form::{DEFAULT_CONFIRM_MS, DEFAULT_KEPT_EVERY_MS, DEFAULT_LIFE_MS, PRIORITIES, default_interpolation};
use super::node::{Data, Entry, Node};
use super::report::{Place, Report, nearest};
use super::settings;
use andon_model::plant::{
    AlarmDef, CompressRule, Condition, ConnectorDef, Equipment, Interpolation, Level, MasterDef, MasterKind, Profile,
    TagDef, TopicDef, TopicRuleDef, WriteRule,
};
use andon_model::{DataType, EquipmentPath, TagPath, Unit, duration, text};
use std::collections::{BTreeMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// The version of the document format.
const FORMAT: i64 = 1;
/// The longest text of a key that people read, in bytes.
const TEXT_LIMIT: usize = 4_096;
/// The longest name of a table of master data, in bytes.
const MASTER_NAME_LIMIT: usize = 255;
/// The longest time span, in ms: a year.
const SPAN_LIMIT_MS: u64 = 366 * 86_400_000;
/// The most days that history is kept where it is not kept for ever: a hundred years.
const KEEP_LIMIT_DAYS: u32 = 36_500;
/// The longest life of a command, in ms.
const LIFE_LIMIT_MS: u64 = 3_600_000;

/// One table of a document and what it became.
pub(super) struct Placed<T> {
    pub(super) item: T,
    pub(super) at: Place,
    pub(super) entries: Vec<Entry>,
}

impl<T> Placed<T> {
    /// Where the value of `key` stands; the table's head where it does not.
    pub(super) fn place(&self, key: &str) -> Place {
        self.entries.iter().find(|entry| entry.key == key).map_or(self.at, |entry| entry.value.at)
    }
}

/// A tag as written: its id may be nil.
pub(super) struct TagDraft {
    pub(super) def: TagDef,
    pub(super) renamed_from: Option<TagPath>,
}

/// An alarm as written: the state may be given by its word, which only the tag knows.
pub(super) struct AlarmDraft {
    pub(super) def: AlarmDef,
    pub(super) state_word: Option<String>,
}

/// Everything the documents say.
#[derive(Default)]
pub(super) struct Draft {
    /// With the profile that is written there, if one is.
    pub(super) equipment: Vec<Placed<(Equipment, Option<Profile>)>>,
    pub(super) tags: Vec<Placed<TagDraft>>,
    pub(super) connectors: Vec<Placed<ConnectorDef>>,
    pub(super) topics: Vec<Placed<TopicDef>>,
    pub(super) topic_rules: Vec<Placed<TopicRuleDef>>,
    pub(super) master: BTreeMap<MasterKind, Vec<Placed<MasterDef>>>,
    /// A table of master data could not be used: what others name may be that one.
    pub(super) master_unusable: bool,
    pub(super) alarms: Vec<Placed<AlarmDraft>>,
    /// Paths of equipment and tags that could not be used: a reference to one is not a second error.
    pub(super) unusable: HashSet<String>,
    /// A document could not be read at all: what is missing may stand in it.
    pub(super) unreadable: bool,
}

/// Reads all tables of all documents.
pub(super) fn read(trees: Vec<Node>, report: &mut Report) -> Draft {
    let mut draft = Draft::default();
    for tree in trees {
        let Data::Table(entries) = tree.data else {
            report.add(
                tree.at,
                format!("a document is a table, not {}", tree.word()),
                "begin with `tag:` or `[[tag]]`",
            );
            continue;
        };
        for entry in entries {
            section(entry, &mut draft, report);
        }
    }
    draft
}

const SECTIONS: [&str; 20] = [
    "equipment",
    "tag",
    "connector",
    "topic",
    "topic_rule",
    "reason",
    "calendar",
    "skill",
    "instruction",
    "material",
    "machine",
    "maintenance_plan",
    "tool",
    "meter",
    "tariff",
    "vessel",
    "target",
    "report",
    "alarm",
    "format",
];

fn section(entry: Entry, draft: &mut Draft, report: &mut Report) {
    let Entry { key, at, value } = entry;
    if key == "format" {
        if value.data != Data::Int(FORMAT) {
            let remedy = format!("write `format = {FORMAT}`, or use the version of Andon that wrote the document");
            report.add(value.at, "this format of document is not known", remedy);
        }
        return;
    }
    if !SECTIONS.contains(&key.as_str()) {
        report.add(at, format!("\"{key}\" is not a part of the plant model"), meant(&key, &SECTIONS));
        return;
    }
    let word = value.word();
    let Data::List(tables) = value.data else {
        report.add(
            at,
            format!("\"{key}\" is {word}, and should be a list of tables"),
            format!("write `[[{key}]]` (YAML: `{key}:` and a list)"),
        );
        return;
    };
    for table in tables {
        let word = table.word();
        let Data::Table(entries) = table.data else {
            report.add(
                table.at,
                format!("{word} cannot be a {key}"),
                format!("write a table with the keys of a {key}"),
            );
            continue;
        };
        one(&key, table.at, entries, draft, report);
    }
}

fn one(kind: &str, at: Place, entries: Vec<Entry>, draft: &mut Draft, report: &mut Report) {
    let path = entries.iter().find(|entry| entry.key == "path").and_then(|entry| match &entry.value.data {
        Data::Text(text) => Some(text.clone()),
        _ => None,
    });
    let mut fields = Fields { kind, at, entries: &entries, known: Vec::new(), report };
    let used = match kind {
        "equipment" => equipment(&mut fields).map(|item| draft.equipment.push(Placed { item, at, entries })),
        "tag" => tag(&mut fields).map(|item| draft.tags.push(Placed { item, at, entries })),
        "connector" => connector(&mut fields).map(|item| draft.connectors.push(Placed { item, at, entries })),
        "topic" => topic(&mut fields).map(|item| draft.topics.push(Placed { item, at, entries })),
        "topic_rule" => topic_rule(&mut fields).map(|item| draft.topic_rules.push(Placed { item, at, entries })),
        "alarm" => alarm(&mut fields).map(|item| draft.alarms.push(Placed { item, at, entries })),
        _ => {
            let kind = MasterKind::ALL.into_iter().find(|known| known.word() == kind);
            let read = kind.and_then(|kind| master(kind, &mut fields));
            draft.master_unusable |= read.is_none();
            read.map(|item| draft.master.entry(item.kind).or_default().push(Placed { item, at, entries }))
        }
    };
    if let (None, Some(path)) = (used, path) {
        draft.unusable.insert(path);
    }
}

fn equipment(fields: &mut Fields<'_, '_>) -> Option<(Equipment, Option<Profile>)> {
    let path = fields.checked("path", EquipmentPath::parse, "write a path such as `works/bottling/line1`");
    let level = fields.required("level", |fields, node| fields.word(node, &LEVELS));
    let title = fields.text("title").or_else(|| path.as_ref().map(|path| path.leaf().to_owned()));
    let profile = fields.optional("profile", |fields, node| fields.word(node, &PROFILES));
    let keep_days = fields.optional("keep_days", keep_days);
    let description = fields.lines("description").unwrap_or_default();
    fields.finish();
    if let (Some(level), Some(_)) = (level, profile)
        && level > Level::Site
    {
        let place = fields.place("profile");
        fields.report.add(
            place,
            "a profile belongs to a site and holds for everything below it",
            "move the line to the site",
        );
    }
    let equipment =
        Equipment { path: path?, level: level?, profile: Profile::default(), title: title?, description, keep_days };
    Some((equipment, profile))
}

const LEVELS: [(&str, Level); 10] = [
    ("enterprise", Level::Enterprise),
    ("site", Level::Site),
    ("area", Level::Area),
    ("work_center", Level::WorkCenter),
    ("work_unit", Level::WorkUnit),
    ("family", Level::Enterprise),
    ("house", Level::Site),
    ("floor", Level::Area),
    ("room", Level::WorkCenter),
    ("appliance", Level::WorkUnit),
];
const PROFILES: [(&str, Profile); 2] = [("plant", Profile::Plant), ("home", Profile::Home)];
const TYPES: [(&str, DataType); 4] = [
    ("boolean", DataType::Boolean),
    ("int64", DataType::Int64),
    ("double", DataType::Double),
    ("string", DataType::String),
];
const INTERPOLATIONS: [(&str, Interpolation); 2] =
    [("sloped", Interpolation::Sloped), ("stepped", Interpolation::Stepped)];

fn is_number(data_type: DataType) -> bool {
    matches!(data_type, DataType::Int64 | DataType::Double)
}

fn tag(fields: &mut Fields<'_, '_>) -> Option<TagDraft> {
    let path = fields.checked(
        "path",
        TagPath::parse,
        "write the equipment's path and the tag's name, such as `press-7/temperature`",
    );
    let id = fields.optional("id", |fields, node| {
        let id = fields.text_of(node).and_then(|text| Uuid::parse_str(&text).ok()).filter(|id| !id.is_nil());
        if id.is_none() {
            fields.report.add(node.at, "this is not a UUID", "leave `id` out, so that the tag keeps the one it has");
        }
        id
    });
    let renamed_from = fields.optional("renamed_from", |fields, node| {
        let text = fields.text_of(node)?;
        fields.parsed(node.at, &text, TagPath::parse, "write the tag's former path")
    });
    let title = fields.text("title").or_else(|| path.as_ref().map(|path| path.leaf().to_owned()));
    let description = fields.lines("description").unwrap_or_default();
    let data_type = fields.required("type", |fields, node| fields.word(node, &TYPES));
    let unit = fields.optional("unit", |fields, node| {
        let text = fields.text_of(node)?;
        let remedy = "write a UCUM code (case matters): Cel, [degF], %, bar, kW.h, L/min, m3/h, [ppm], {bottles}/h";
        fields.parsed(node.at, &text, Unit::parse, remedy)
    });
    let range = fields.optional("range", range);
    let digits = fields.optional("digits", |fields, node| match node.data {
        Data::Int(digits @ 0..=9) => u8::try_from(digits).ok(),
        _ => fields.wrong(node, "a whole number from 0 to 9"),
    });
    let states = fields.optional("states", states).unwrap_or_default();
    let interpolation = fields.optional("interpolation", |fields, node| fields.word(node, &INTERPOLATIONS));
    let compress_node = fields.take("compress");
    let keep_days = fields.optional("keep_days", keep_days);
    let stale_after_ms = fields.optional("stale_after", |fields, node| fields.span_from(node, 1, SPAN_LIMIT_MS));
    let origin = fields.text("origin");
    let write_node = fields.take("write");
    fields.finish();
    // What can be said of these without the type is said, too.
    let compress = compress_node.and_then(|node| compress_rule(fields, node, data_type));
    let write = write_node.and_then(|node| write_rule(fields, node, data_type, range));
    let data_type = data_type?;
    only_for_numbers(fields, data_type);
    if !states.is_empty() && !matches!(data_type, DataType::Int64 | DataType::Boolean) {
        let place = fields.place("states");
        fields.report.add(
            place,
            format!("a {} has no states", data_type.name()),
            "use `type = \"int64\"` or \"boolean\"",
        );
    }
    if compress_node.is_some() && compress.is_none() {
        return None;
    }
    if write_node.is_some() && write.is_none() {
        return None;
    }
    let def = TagDef {
        id: id.unwrap_or_default(),
        path: path?,
        title: title?,
        description,
        data_type,
        unit,
        range,
        digits,
        interpolation: interpolation.unwrap_or_else(|| default_interpolation(data_type, !states.is_empty())),
        states,
        compress,
        keep_days,
        stale_after_ms,
        write,
        origin,
    };
    Some(TagDraft { def, renamed_from })
}

fn only_for_numbers(fields: &mut Fields<'_, '_>, data_type: DataType) {
    if is_number(data_type) {
        return;
    }
    for key in ["unit", "range", "digits"] {
        if fields.has(key) {
            let place = fields.place(key);
            fields.report.add(
                place,
                format!("a {} has no {key}", data_type.name()),
                "leave it out, or use `type = \"double\"` or \"int64\"",
            );
        }
    }
}

fn keep_days(fields: &mut Fields<'_, '_>, node: &Node) -> Option<u32> {
    match node.data {
        Data::Int(days) if (0..=i64::from(KEEP_LIMIT_DAYS)).contains(&days) => u32::try_from(days).ok(),
        _ => {
            fields.wrong(node, &format!("a whole number of days from 1 to {KEEP_LIMIT_DAYS}, or 0 to keep it for ever"))
        }
    }
}

fn range(fields: &mut Fields<'_, '_>, node: &Node) -> Option<(f64, f64)> {
    let Data::List(ends) = &node.data else { return fields.wrong(node, "two numbers, such as [0, 100]") };
    let [low, high] = ends.as_slice() else { return fields.wrong(node, "two numbers, such as [0, 100]") };
    let (low, high) = (fields.number_of(low)?, fields.number_of(high)?);
    if low < high {
        return Some((low, high));
    }
    fields.report.add(
        node.at,
        format!("the range ends at {high}, which is not above its beginning {low}"),
        "write the lower end first",
    );
    None
}

fn states(fields: &mut Fields<'_, '_>, node: &Node) -> Option<BTreeMap<i64, String>> {
    let Data::Table(entries) = &node.data else {
        return fields.wrong(node, "a table, such as { 0 = \"stopped\", 1 = \"running\" }");
    };
    let mut states = BTreeMap::new();
    for entry in entries {
        let number = match entry.key.as_str() {
            "false" => Some(0),
            "true" => Some(1),
            key => key.parse().ok(),
        };
        let Some(number) = number else {
            fields.report.add(
                entry.at,
                format!("\"{}\" is not a value that a tag can have", entry.key),
                "write a whole number, such as 0 = \"stopped\"",
            );
            continue;
        };
        if let Some(word) = fields.text_of(&entry.value)
            && let Some(other) = states.insert(number, word)
        {
            fields.report.add(entry.at, format!("the state {number} is named twice, first \"{other}\""), "keep one");
        }
    }
    Some(states)
}

fn compress_rule(fields: &mut Fields<'_, '_>, node: &Node, data_type: Option<DataType>) -> Option<CompressRule> {
    let Data::Table(entries) = &node.data else {
        return fields.wrong(node, "a table, such as { deviation = 0.05 }");
    };
    let mut inner = Fields { kind: "compress rule", at: node.at, entries, known: Vec::new(), report: fields.report };
    let deviation = inner.required("deviation", Fields::number_of);
    let at_least_every_ms = inner
        .optional("at_least_every", |fields, node| fields.span_from(node, 1000, SPAN_LIMIT_MS))
        .unwrap_or(DEFAULT_KEPT_EVERY_MS);
    inner.finish();
    if let Some(data_type) = data_type.filter(|data_type| !is_number(*data_type)) {
        inner.report.add(
            node.at,
            format!("the history of a {} cannot be compressed", data_type.name()),
            "leave `compress` out",
        );
        return None;
    }
    let deviation = deviation?;
    if deviation <= 0.0 {
        let place = inner.place("deviation");
        inner.report.add(
            place,
            "a deviation is above 0",
            "write how far history may differ from what came, in the tag's unit, or leave `compress` out to keep every reading",
        );
        return None;
    }
    data_type.map(|_| CompressRule { deviation, at_least_every_ms })
}

fn write_rule(
    fields: &mut Fields<'_, '_>,
    node: &Node,
    data_type: Option<DataType>,
    range: Option<(f64, f64)>,
) -> Option<WriteRule> {
    let range_is_wrong = fields.has("range") && range.is_none();
    let Data::Table(entries) = &node.data else {
        return fields.wrong(node, "a table, such as { min = 0, max = 100 }, or { } for the defaults");
    };
    let mut inner = Fields { kind: "write rule", at: node.at, entries, known: Vec::new(), report: fields.report };
    let min = inner.optional("min", Fields::number_of);
    let max = inner.optional("max", Fields::number_of);
    let needs_reason = inner.optional("needs_reason", Fields::boolean_of).unwrap_or(false);
    let life_ms =
        inner.optional("life", |fields, node| fields.span_from(node, 1, LIFE_LIMIT_MS)).unwrap_or(DEFAULT_LIFE_MS);
    let confirm_within_ms = inner
        .optional("confirm_within", |fields, node| fields.span_from(node, 1, LIFE_LIMIT_MS))
        .unwrap_or(DEFAULT_CONFIRM_MS);
    let tolerance = inner.optional("tolerance", Fields::number_of).unwrap_or(0.0);
    inner.finish();
    if tolerance < 0.0 {
        let place = inner.place("tolerance");
        inner.report.add(
            place,
            "a tolerance is not below 0",
            "write how far the read-back may differ, in the tag's unit",
        );
    }
    let data_type = data_type?;
    let (min, max) = if is_number(data_type) {
        if range_is_wrong && (min.is_none() || max.is_none()) {
            return None;
        }
        bounds(&mut inner, min, max, range)?
    } else {
        for key in ["min", "max", "tolerance"] {
            if inner.has(key) {
                let place = inner.place(key);
                inner.report.add(place, format!("a {} has no {key}", data_type.name()), "leave it out");
            }
        }
        (None, None)
    };
    Some(WriteRule { min, max, needs_reason, life_ms, tolerance, confirm_within_ms })
}

type Bounds = (Option<f64>, Option<f64>);

/// Every number that may be written has a lowest and a highest value: its own or the range's, and within the range.
fn bounds(
    fields: &mut Fields<'_, '_>,
    min: Option<f64>,
    max: Option<f64>,
    range: Option<(f64, f64)>,
) -> Option<Bounds> {
    let (Some(low), Some(high)) = (min.or(range.map(|r| r.0)), max.or(range.map(|r| r.1))) else {
        let at = fields.at;
        fields.report.add(
            at,
            "nothing says how low and how high may be written",
            "give the tag a `range`, or `write` both `min` and `max`",
        );
        return None;
    };
    if low > high {
        let place = fields.place("min");
        fields.report.add(place, format!("min {low} is above max {high}"), "write the lower one as `min`");
    }
    if let Some((from, to)) = range {
        for (key, value) in [("min", low), ("max", high)] {
            if value < from || value > to {
                let place = fields.place(key);
                fields.report.add(
                    place,
                    format!("{key} {value} lies outside the tag's range {from} to {to}"),
                    "bring it into the range, or widen the range",
                );
            }
        }
    }
    Some((Some(low), Some(high)))
}

fn connector(fields: &mut Fields<'_, '_>) -> Option<ConnectorDef> {
    let name = fields.checked("name", name, "write a short name, such as \"press-7\"");
    let kind = if fields.has("kind") && !fields.has("type") {
        let place = fields.place_of_key("kind");
        fields.report.add(place, "\"kind\" is not a key of a connector", "did you mean \"type\"?");
        // Its word is looked at all the same.
        fields.checked("kind", name_of_kind, "write the protocol, such as \"modbus\"")
    } else {
        fields.checked("type", name_of_kind, "write the protocol, such as \"modbus\"")
    };
    let title = fields.text("title").unwrap_or_default();
    let enabled = fields.optional("enabled", Fields::boolean_of).unwrap_or(true);
    let settings = fields.settings();
    Some(ConnectorDef { name: name?, kind: kind?, title, enabled, settings })
}

fn topic(fields: &mut Fields<'_, '_>) -> Option<TopicDef> {
    let filter = fields.checked("filter", topic_filter, "write an MQTT topic filter, such as \"tele/plug/#\"");
    let settings = fields.settings();
    Some(TopicDef { filter: filter?, settings })
}

fn topic_rule(fields: &mut Fields<'_, '_>) -> Option<TopicRuleDef> {
    let name = fields.checked("name", name, "write a short name, such as \"presses\"");
    let filter = fields.checked("filter", topic_filter, "write an MQTT topic filter, such as \"plant/+/press/#\"");
    let settings = fields.settings();
    Some(TopicRuleDef { name: name?, filter: filter?, settings })
}

fn master(kind: MasterKind, fields: &mut Fields<'_, '_>) -> Option<MasterDef> {
    let name = match kind {
        MasterKind::Machine | MasterKind::Vessel | MasterKind::Target => {
            let remedy = match kind {
                MasterKind::Machine => "write the path of a work unit, such as `works/line1/filler`",
                MasterKind::Vessel => "write the path of an equipment, such as `works/line1/tank`",
                _ => "write the path of an equipment, such as `works/line1`",
            };
            fields.checked(kind.key(), EquipmentPath::parse, remedy).map(|path| path.to_string())
        }
        _ => {
            let parse = |text: &str| master_name(kind, text);
            fields.checked(kind.key(), parse, "write a name; a revision stands by itself: revision = \"B\"")
        }
    };
    let mut revision = None;
    if kind.has_revisions() && fields.has("revision") {
        let parse = |text: &str| master_name(kind, text);
        revision = Some(fields.checked("revision", parse, "write it in quotes, such as revision = \"B\"")?);
    }
    let settings = fields.settings();
    Some(MasterDef { kind, name: MasterDef::joined(&name?, revision.as_deref()), settings })
}

/// What a table of master data is known by. What else it may be, each kind says for itself.
fn master_name(kind: MasterKind, text: &str) -> Result<String, String> {
    text::check_line(text).map_err(|hidden| format!("in this name, {hidden}"))?;
    if text.is_empty() || text.len() > MASTER_NAME_LIMIT {
        return Err(format!("a name has 1 to {MASTER_NAME_LIMIT} bytes"));
    }
    if kind.has_revisions() && text.contains('@') {
        return Err("`@` stands between a name and its revision, and in neither of them".to_owned());
    }
    Ok(text.to_owned())
}

/// A name that can stand in paths, messages and file names.
fn name(text: &str) -> Result<String, String> {
    text::check_line(text).map_err(|hidden| format!("in this name, {hidden}"))?;
    let allowed = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.is_empty() || text.len() > 64 || !text.chars().all(allowed) {
        return Err("a name is 1 to 64 letters, digits, `_`, `-` and `.`".to_owned());
    }
    Ok(text.to_owned())
}

fn name_of_kind(text: &str) -> Result<String, &'static str> {
    name(text).map_err(|_| "a connector's type is the name of its protocol")
}

/// MQTT 5.0 §4.7.1: `+` fills a level, `#` fills the last one; 1 to 65,535 bytes without NUL.
fn topic_filter(text: &str) -> Result<String, String> {
    text::check_line(text).map_err(|hidden| format!("in this topic filter, {hidden}"))?;
    if text.is_empty() || text.len() > 65_535 {
        return Err("a topic filter has 1 to 65,535 bytes".to_owned());
    }
    let last = text.split('/').count();
    for (level, number) in text.split('/').zip(1..) {
        if level.contains('+') && level != "+" {
            return Err("`+` stands for a whole level of a topic".to_owned());
        }
        if level.contains('#') && (level != "#" || number != last) {
            return Err("`#` stands for the last levels of a topic, alone and at the end".to_owned());
        }
    }
    Ok(text.to_owned())
}

const CONDITIONS: [(&str, &str); 4] = [("high", "high"), ("low", "low"), ("state", "state"), ("silent", "silent")];
const CONDITION_KEYS: [&str; 4] = ["limit", "deadband", "equals", "after"];

fn alarm(fields: &mut Fields<'_, '_>) -> Option<AlarmDraft> {
    let tag = fields.checked("tag", TagPath::parse, "write the path of the tag that the alarm watches");
    let word = fields.required("condition", |fields, node| fields.word(node, &CONDITIONS));
    let suffix = fields.optional("name", |fields, node| {
        let text = fields.text_of(node)?;
        fields.parsed(node.at, &text, name, "write a short suffix, such as \"2\" or \"hot\"")
    });
    let (condition, state_word) = condition(fields, word).unzip();
    let delay = |fields: &mut Fields<'_, '_>, node: &Node| fields.span_from(node, 0, SPAN_LIMIT_MS);
    let on_delay_ms = fields.optional("on_delay", delay).unwrap_or(0);
    let off_delay_ms = fields.optional("off_delay", delay).unwrap_or(0);
    let priority = fields.required("priority", priority);
    let message = fields.required("message", Fields::text_of);
    let cause = fields.lines("cause").unwrap_or_default();
    let consequence = fields.lines("consequence").unwrap_or_default();
    let action = fields.lines("action").unwrap_or_default();
    fields.finish();
    let (tag, condition) = (tag?, condition?);
    let name = match suffix {
        Some(suffix) => format!("{tag}:{}#{suffix}", condition.word()),
        None => format!("{tag}:{}", condition.word()),
    };
    let def = AlarmDef {
        name,
        tag,
        condition,
        on_delay_ms,
        off_delay_ms,
        priority: priority?,
        message: message?,
        cause,
        consequence,
        action,
    };
    Some(AlarmDraft { def, state_word: state_word.flatten() })
}

/// The condition with the keys that belong to it, and the word where a state is given by its word.
fn condition(fields: &mut Fields<'_, '_>, word: Option<&str>) -> Option<(Condition, Option<String>)> {
    let wanted: &[&str] = match word {
        Some("high" | "low") => &["limit", "deadband"],
        Some("state") => &["equals"],
        Some(_) => &["after"],
        None => &CONDITION_KEYS,
    };
    fields.known.extend(CONDITION_KEYS);
    for key in CONDITION_KEYS.iter().filter(|key| !wanted.contains(key)) {
        if fields.has(key) {
            let place = fields.place_of_key(key);
            let remedy = format!("for this condition write {}", wanted.join(" and "));
            fields.report.add(
                place,
                format!("\"{key}\" does not belong to the condition \"{}\"", word.unwrap_or_default()),
                remedy,
            );
        }
    }
    match word? {
        "state" => fields.required("equals", |fields, node| match &node.data {
            Data::Int(equals) => Some((Condition::State { equals: *equals }, None)),
            Data::Bool(equals) => Some((Condition::State { equals: i64::from(*equals) }, None)),
            Data::Text(word) => Some((Condition::State { equals: 0 }, Some(word.clone()))),
            _ => fields.wrong(node, "a whole number, true, false, or one of the tag's states"),
        }),
        "silent" => {
            let after_ms = fields.required("after", |fields, node| fields.span_from(node, 1, SPAN_LIMIT_MS))?;
            Some((Condition::Silent { after_ms }, None))
        }
        word => {
            let limit = fields.required("limit", Fields::number_of);
            let deadband = fields.optional("deadband", Fields::number_of).unwrap_or(0.0);
            if deadband < 0.0 {
                let place = fields.place("deadband");
                fields.report.add(
                    place,
                    "a deadband is not below 0",
                    "write how far the value must come back, in the tag's unit",
                );
            }
            let limit = limit?;
            let high = word == "high";
            Some((if high { Condition::High { limit, deadband } } else { Condition::Low { limit, deadband } }, None))
        }
    }
}

fn priority(fields: &mut Fields<'_, '_>, node: &Node) -> Option<u8> {
    match &node.data {
        Data::Int(number @ 1..=4) => u8::try_from(*number).ok(),
        Data::Text(word) if PRIORITIES.contains(&word.as_str()) => {
            PRIORITIES.iter().zip(1..).find(|(known, _)| *known == word).map(|(_, number)| number)
        }
        _ => fields.wrong(node, "1 to 4, or critical, high, medium, low"),
    }
}

/// A time span in whole milliseconds.
fn span(text: &str) -> Option<u64> {
    let span = duration::parse(text)?;
    let ms = u64::try_from(span.as_millis()).ok()?;
    (Duration::from_millis(ms) == span).then_some(ms)
}

fn meant(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("known are: {}", known.join(", ")),
    }
}

/// The keys of one table, taken one after the other; what is left over is unknown.
struct Fields<'n, 'r> {
    kind: &'n str,
    at: Place,
    entries: &'n [Entry],
    known: Vec<&'static str>,
    report: &'r mut Report,
}

impl<'n> Fields<'n, '_> {
    fn find(&self, key: &str) -> Option<&'n Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    fn has(&self, key: &str) -> bool {
        self.find(key).is_some()
    }

    /// Where the value of `key` stands; the table's head where it does not.
    fn place(&self, key: &str) -> Place {
        self.find(key).map_or(self.at, |entry| entry.value.at)
    }

    fn place_of_key(&self, key: &str) -> Place {
        self.find(key).map_or(self.at, |entry| entry.at)
    }

    fn take(&mut self, key: &'static str) -> Option<&'n Node> {
        self.known.push(key);
        self.find(key).map(|entry| &entry.value)
    }

    fn optional<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self, &Node) -> Option<T>) -> Option<T> {
        let node = self.take(key)?;
        read(self, node)
    }

    fn required<T>(&mut self, key: &'static str, read: impl FnOnce(&mut Self, &Node) -> Option<T>) -> Option<T> {
        let Some(node) = self.take(key) else {
            let (at, kind) = (self.at, self.kind);
            self.report.add(at, format!("this {kind} has no \"{key}\""), format!("add a line `{key} = …`"));
            return None;
        };
        read(self, node)
    }

    /// A required text that a parser takes.
    fn checked<T, E: std::fmt::Display>(
        &mut self,
        key: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        remedy: &str,
    ) -> Option<T> {
        self.required(key, |fields, node| {
            let text = fields.text_of(node)?;
            fields.parsed(node.at, &text, parse, remedy)
        })
    }

    fn parsed<T, E: std::fmt::Display>(
        &mut self,
        at: Place,
        text: &str,
        parse: impl FnOnce(&str) -> Result<T, E>,
        remedy: &str,
    ) -> Option<T> {
        parse(text).map_err(|error| self.report.add(at, error.to_string(), remedy)).ok()
    }

    fn text(&mut self, key: &'static str) -> Option<String> {
        self.optional(key, Self::text_of)
    }

    /// A text that may have several lines.
    fn lines(&mut self, key: &'static str) -> Option<String> {
        self.optional(key, |fields, node| fields.readable(node, text::check_lines))
    }

    fn text_of(&mut self, node: &Node) -> Option<String> {
        self.readable(node, text::check_line)
    }

    fn readable(&mut self, node: &Node, check: impl FnOnce(&str) -> Result<(), text::Hidden>) -> Option<String> {
        let Data::Text(text) = &node.data else { return self.wrong(node, "a text in quotes") };
        if let Err(hidden) = check(text) {
            self.report.add(node.at, format!("in this text, {hidden}"), super::report::TYPE_AGAIN);
            return None;
        }
        if text.len() > TEXT_LIMIT {
            self.report.add(
                node.at,
                format!("this text of {} bytes is over the limit of {TEXT_LIMIT}", text.len()),
                "shorten it",
            );
            return None;
        }
        Some(text.clone())
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "limits and ranges are doubles; whole numbers above 2^53 are refused"
    )]
    fn number_of(&mut self, node: &Node) -> Option<f64> {
        match node.data {
            Data::Int(number) if number.unsigned_abs() <= 1 << 53 => Some(number as f64),
            Data::Float(number) if number.is_finite() => Some(number),
            _ => self.wrong(node, "a finite number"),
        }
    }

    fn boolean_of(&mut self, node: &Node) -> Option<bool> {
        match node.data {
            Data::Bool(boolean) => Some(boolean),
            _ => self.wrong(node, "true or false"),
        }
    }

    fn span_from(&mut self, node: &Node, least: u64, most: u64) -> Option<u64> {
        let Data::Text(text) = &node.data else {
            return self.wrong(node, "a time span in quotes, such as \"500ms\", \"2s\", \"5min\" or \"1h\"");
        };
        let Some(ms) = span(text) else {
            return self.wrong(node, "a time span, such as \"500ms\", \"2s\", \"5min\" or \"1h\"");
        };
        if ms < least || ms > most {
            let (least, most) = (super::form::duration(least), super::form::duration(most));
            self.report.add(
                node.at,
                format!("{text} is not between {least} and {most}"),
                "choose a time span in between",
            );
            return None;
        }
        Some(ms)
    }

    fn word<T: Copy>(&mut self, node: &Node, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text_of(node)?;
        let plain = text.replace([' ', '-'], "_");
        if let Some((_, meaning)) = words.iter().find(|(word, _)| *word == plain) {
            return Some(*meaning);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        self.report.add(
            node.at,
            format!("\"{text}\" is not one of the words that can stand here"),
            meant(&text, &known),
        );
        None
    }

    fn wrong<T>(&mut self, node: &Node, wanted: &str) -> Option<T> {
        let shown = match &node.data {
            Data::Text(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
            Data::Int(number) => number.to_string(),
            Data::Float(number) => number.to_string(),
            _ => node.word().to_owned(),
        };
        self.report.add(node.at, format!("{shown} cannot stand here"), format!("write {wanted}"));
        None
    }

    /// Everything that was not taken, as settings.
    fn settings(&mut self) -> serde_json::Value {
        let rest: Vec<Entry> =
            self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())).cloned().collect();
        settings::to_json(&rest, self.report)
    }

    /// Reports every key that was not asked for.
    fn finish(&mut self) {
        for entry in self.entries.iter().filter(|entry| !self.known.contains(&entry.key.as_str())) {
            let message = format!("\"{}\" is not a key of a {}", entry.key, self.kind);
            self.report.add(entry.at, message, meant(&entry.key, &self.known));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{span, topic_filter};

    #[test]
    fn reads_time_spans() {
        for (text, ms) in [
            ("0s", 0),
            ("500ms", 500),
            ("2s", 2_000),
            ("5m", 300_000),
            ("5min", 300_000),
            ("1.5s", 1_500),
            ("1d", 86_400_000),
        ] {
            assert_eq!(span(text), Some(ms), "{text}");
        }
        for bad in ["", "5", "s", "-1s", "0.5ms", "1w", "99999999999999999999s", "999999999999999999h", "1é"] {
            assert_eq!(span(bad), None, "{bad}");
        }
    }

    #[test]
    fn checks_topic_filters() {
        assert!(["a", "+", "#", "a/+/b", "a/#", "/", "+/+/#"].iter().all(|filter| topic_filter(filter).is_ok()));
        assert!(["", "a+", "a/b#", "#/a", "a\0"].iter().all(|filter| topic_filter(filter).is_err()));
    }
}
