//! The parts of the model in the words of documents: what [`super::export`] prints and [`super::plan`] compares.
//!
//! A form holds the keys of one `[[table]]` in their canonical order; what has its default is left out.

use andon_model::DataType;
use andon_model::plant::{
    AlarmDef, CompressRule, Condition, ConnectorDef, Equipment, Interpolation, Level, MasterDef, Plant, Profile,
    TagDef, TopicDef, TopicRuleDef, WriteRule,
};
use serde_json::{Value as Json, json};
use std::collections::HashMap;
use std::time::Duration;

/// The keys and values of one table.
pub(super) type Form = Vec<(String, Json)>;

/// How long a command may live where the document does not say, in ms.
pub(super) const DEFAULT_LIFE_MS: u64 = 10_000;
/// How often a compressed history keeps a point at least where the document does not say, in ms.
pub(super) const DEFAULT_KEPT_EVERY_MS: u64 = 600_000;
/// How long to wait for the read-back where the document does not say, in ms.
pub(super) const DEFAULT_CONFIRM_MS: u64 = 3_000;

/// How to read between samples where the document does not say.
pub(super) fn default_interpolation(data_type: DataType, has_states: bool) -> Interpolation {
    match data_type {
        DataType::Boolean | DataType::String => Interpolation::Stepped,
        DataType::Int64 if has_states => Interpolation::Stepped,
        DataType::Int64 | DataType::Double => Interpolation::Sloped,
    }
}

/// A time span as in documents: `500ms`, `2s`, `5min`, `1h`.
pub(super) fn duration(ms: u64) -> String {
    andon_model::duration::show(Duration::from_millis(ms))
}

/// The word for a level that documents use.
pub(super) fn level_word(level: Level, profile: Profile) -> String {
    level.word(profile).replace(' ', "_")
}

/// True for the levels that may say which profile holds below them.
pub(super) fn carries_profile(level: Level) -> bool {
    level <= Level::Site
}

/// The profile that the equipment above hands down.
pub(super) fn inherited(plant: &Plant) -> HashMap<&str, Profile> {
    let own: HashMap<&str, Profile> = plant.equipment.iter().map(|e| (e.path.as_str(), e.profile)).collect();
    let above =
        |e: &Equipment| e.path.parent().and_then(|parent| own.get(parent.as_str()).copied()).unwrap_or_default();
    plant.equipment.iter().map(|e| (e.path.as_str(), above(e))).collect()
}

pub(super) fn equipment(item: &Equipment, inherited: Profile) -> Form {
    let mut form = Builder::new();
    form.put("path", item.path.as_str());
    form.put("level", level_word(item.level, item.profile));
    form.put("title", item.title.as_str());
    if carries_profile(item.level) && item.profile != inherited {
        form.put("profile", if item.profile == Profile::Home { "home" } else { "plant" });
    }
    form.put_some("keep_days", item.keep_days);
    form.put_text("description", &item.description);
    form.0
}

pub(super) fn tag(item: &TagDef) -> Form {
    let mut form = Builder::new();
    form.put("path", item.path.as_str());
    if !item.id.is_nil() {
        form.put("id", item.id.to_string());
    }
    form.put("title", item.title.as_str());
    form.put("type", item.data_type.name());
    form.put_some("unit", item.unit.as_ref().map(|unit| unit.code()));
    form.put_some("range", item.range.map(|(low, high)| json!([low, high])));
    form.put_some("digits", item.digits);
    if !item.states.is_empty() {
        form.put(
            "states",
            item.states.iter().map(|(k, v)| (k.to_string(), Json::from(v.as_str()))).collect::<serde_json::Map<_, _>>(),
        );
    }
    if item.interpolation != default_interpolation(item.data_type, !item.states.is_empty()) {
        form.put("interpolation", if item.interpolation == Interpolation::Sloped { "sloped" } else { "stepped" });
    }
    form.put_some("compress", item.compress.as_ref().map(compress_rule));
    form.put_some("keep_days", item.keep_days);
    form.put_some("stale_after", item.stale_after_ms.map(duration));
    form.put_some("write", item.write.as_ref().map(|rule| write_rule(rule, item.range)));
    form.put_some("origin", item.origin.as_deref());
    form.put_text("description", &item.description);
    form.0
}

fn compress_rule(rule: &CompressRule) -> Json {
    let mut map = serde_json::Map::new();
    map.insert("deviation".to_owned(), json!(rule.deviation));
    if rule.at_least_every_ms != DEFAULT_KEPT_EVERY_MS {
        map.insert("at_least_every".to_owned(), json!(duration(rule.at_least_every_ms)));
    }
    Json::Object(map)
}

fn write_rule(rule: &WriteRule, range: Option<(f64, f64)>) -> Json {
    let mut map = serde_json::Map::new();
    if let Some(min) = rule.min.filter(|min| range.is_none_or(|(low, _)| low != *min)) {
        map.insert("min".to_owned(), json!(min));
    }
    if let Some(max) = rule.max.filter(|max| range.is_none_or(|(_, high)| high != *max)) {
        map.insert("max".to_owned(), json!(max));
    }
    if rule.needs_reason {
        map.insert("needs_reason".to_owned(), json!(true));
    }
    if rule.life_ms != DEFAULT_LIFE_MS {
        map.insert("life".to_owned(), json!(duration(rule.life_ms)));
    }
    if rule.confirm_within_ms != DEFAULT_CONFIRM_MS {
        map.insert("confirm_within".to_owned(), json!(duration(rule.confirm_within_ms)));
    }
    if rule.tolerance != 0.0 {
        map.insert("tolerance".to_owned(), json!(rule.tolerance));
    }
    Json::Object(map)
}

pub(super) fn connector(item: &ConnectorDef) -> Form {
    let mut form = Builder::new();
    form.put("name", item.name.as_str());
    form.put("type", item.kind.as_str());
    form.put_text("title", &item.title);
    if !item.enabled {
        form.put("enabled", false);
    }
    form.put_settings(&item.settings);
    form.0
}

pub(super) fn topic(item: &TopicDef) -> Form {
    let mut form = Builder::new();
    form.put("filter", item.filter.as_str());
    form.put_settings(&item.settings);
    form.0
}

pub(super) fn topic_rule(item: &TopicRuleDef) -> Form {
    let mut form = Builder::new();
    form.put("name", item.name.as_str());
    form.put("filter", item.filter.as_str());
    form.put_settings(&item.settings);
    form.0
}

pub(super) fn master(item: &MasterDef) -> Form {
    let mut form = Builder::new();
    let (name, revision) = MasterDef::split(item.kind, &item.name);
    form.put(item.kind.key(), name);
    form.put_some("revision", revision);
    form.put_settings(&item.settings);
    form.0
}

pub(super) fn alarm(item: &AlarmDef) -> Form {
    let mut form = Builder::new();
    form.put("tag", item.tag.as_str());
    form.put("condition", item.condition.word());
    let plain = format!("{}:{}#", item.tag, item.condition.word());
    form.put_some("name", item.name.strip_prefix(&plain));
    match &item.condition {
        Condition::High { limit, deadband } | Condition::Low { limit, deadband } => {
            form.put("limit", *limit);
            if *deadband != 0.0 {
                form.put("deadband", *deadband);
            }
        }
        Condition::State { equals } => form.put("equals", *equals),
        Condition::Silent { after_ms } => form.put("after", duration(*after_ms)),
    }
    if item.on_delay_ms != 0 {
        form.put("on_delay", duration(item.on_delay_ms));
    }
    if item.off_delay_ms != 0 {
        form.put("off_delay", duration(item.off_delay_ms));
    }
    let priority = usize::from(item.priority).checked_sub(1).and_then(|index| PRIORITIES.get(index));
    form.put("priority", priority.map_or(json!(item.priority), |word| json!(word)));
    form.put("message", item.message.as_str());
    form.put_text("cause", &item.cause);
    form.put_text("consequence", &item.consequence);
    form.put_text("action", &item.action);
    form.0
}

/// The words for priorities 1 to 4.
pub(super) const PRIORITIES: [&str; 4] = ["critical", "high", "medium", "low"];

struct Builder(Form);

impl Builder {
    fn new() -> Self {
        Self(Vec::new())
    }
    fn put(&mut self, key: &str, value: impl Into<Json>) {
        self.0.push((key.to_owned(), value.into()));
    }
    fn put_some(&mut self, key: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }
    fn put_text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, text);
        }
    }
    fn put_settings(&mut self, settings: &Json) {
        if let Json::Object(map) = settings {
            self.0.extend(map.iter().map(|(key, value)| (key.clone(), value.clone())));
        }
    }
}
