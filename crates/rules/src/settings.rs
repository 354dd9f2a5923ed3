//! The user's words, checked: from a `[[topic_rule]]` to a [`Rule`].

use crate::book::Book;
use crate::naming::Naming;
use crate::payload::{Kind, PayloadRule};
use crate::schema::{self, Schema};
use crate::{Mode, Rule, RuleKeep, SparkplugCheck};
use andon_model::Timestamp;
use andon_model::plant::{Finding, Plant, TopicRuleDef};
use andon_model::settings::Table;
use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value as Json};
use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

/// The longest pattern, in bytes.
pub(crate) const PATTERN_LIMIT: usize = 1_000;
/// The most memory that a compiled pattern takes, in bytes.
const PATTERN_MEMORY: usize = 1 << 20;
/// How much is tried first for a pattern, in bytes.
const PATTERN_LEAST: usize = 4 << 10;
/// The most levels of a topic, as the broker takes them.
const LEVEL_LIMIT: u64 = 32;
/// The longest text of a schema, in bytes.
const SCHEMA_LIMIT: usize = 256 << 10;
/// The largest `max_bytes`.
const BYTES_LIMIT: u64 = 256 << 20;

/// How long messages can be kept.
const KEEP: RangeInclusive<Duration> = Duration::from_secs(60)..=Duration::from_secs(3650 * 86_400);
/// How much is kept where nothing is said, in MiB.
const KEEP_MIB: u64 = 256;
/// The largest `keep_mib`.
const KEEP_MIB_LIMIT: u64 = 1 << 20;

/// Checks one rule against the plant; for the document check.
#[must_use]
pub fn check_rule(rule: &TopicRuleDef, plant: &Plant) -> Vec<Finding> {
    compile(rule, &equipment_of(plant), |_| Ok(())).err().unwrap_or_default()
}

/// The paths of the plant's equipment.
pub(crate) fn equipment_of(plant: &Plant) -> Arc<HashSet<String>> {
    Arc::new(plant.equipment.iter().map(|item| item.path.to_string()).collect())
}

/// A finding where there should be one and is none.
pub(crate) fn unknown() -> Finding {
    Finding { pointer: Vec::new(), message: "it cannot be used".to_owned(), remedy: String::new() }
}

const WORDS: &[&str] = &["description", "durability", "keep", "keep_mib", "mode", "payload", "naming"];
const MODES: &[(&str, Mode)] =
    &[("observe", Mode::Observe), ("warn", Mode::Warn), ("reject", Mode::Reject), ("quarantine", Mode::Quarantine)];
const KINDS: &[(&str, Kind)] =
    &[("json", Kind::Json), ("number", Kind::Number), ("text", Kind::Text), ("sparkplug", Kind::Sparkplug)];

/// Compiles one rule.
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn compile(
    def: &TopicRuleDef,
    equipment: &Arc<HashSet<String>>,
    sparkplug: SparkplugCheck,
) -> Result<Rule, Vec<Finding>> {
    let mut findings = Vec::new();
    let empty = Map::new();
    let map = def.settings.as_object().unwrap_or(&empty);
    let mut table = Table::new(map, &mut findings);
    table.only(WORDS);
    if def.filter.starts_with('$') {
        let message = "topics that begin with `$` are the server's, and have no rule";
        table.found("filter", message.to_owned(), "write the filter of your own topics");
    }
    let description = table.text("description", |_| Ok(())).unwrap_or_default();
    let durability = [("durable", false), ("volatile", true)];
    let volatile = table.word("durability", &durability).unwrap_or(false);
    let keep = keep(&mut table);
    let mode = table.word("mode", MODES);
    let payload = table.table("payload", payload_rule);
    let naming = table.table("naming", |table| naming_rule(table, equipment));
    if mode.is_some() && !map.contains_key("payload") && !map.contains_key("naming") {
        let message = "the rule asks nothing of messages, so none can break it";
        table.found("mode", message.to_owned(), "add `payload` or `naming`, or take `mode` out");
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let mode = mode.unwrap_or(Mode::Warn);
    let book = Arc::new(Book::new(Timestamp::default()));
    Ok(Rule { def: def.clone(), description, volatile, keep, mode, book, naming, payload, sparkplug })
}

/// How long and how much is kept.
fn keep(table: &mut Table<'_, '_>) -> Option<RuleKeep> {
    let mib = table.whole("keep_mib", 1, KEEP_MIB_LIMIT);
    let Some(written) = table.map.get("keep") else {
        if mib.is_some() {
            let message = "how long messages are kept is not said".to_owned();
            table.found("keep_mib", message, "add `keep`, such as \"7d\", or take `keep_mib` out");
        }
        return None;
    };
    let Some(age) = written.as_str().and_then(span).filter(|age| KEEP.contains(age)) else {
        return table.wrong("keep", "a time from \"1min\" to \"3650d\", in min, h or d");
    };
    Some(RuleKeep { age, bytes: mib.map_or(KEEP_MIB, |mib| mib as u64) << 20 })
}

/// A time span such as `90min`, `12h` or `7d`.
fn span(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.find(|c: char| !c.is_ascii_digit())?)?;
    let seconds = match unit {
        "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

fn payload_rule(table: &mut Table<'_, '_>) -> PayloadRule {
    table.only(&["kind", "max_bytes", "json_schema"]);
    let kind = table.word("kind", KINDS);
    let schema = json_schema(table);
    if schema.is_some() && kind.is_some_and(|kind| kind != Kind::Json) {
        let message = "a payload that is held against a JSON Schema is JSON".to_owned();
        table.found("kind", message, "take `kind` out, or write \"json\"");
    }
    let max_bytes = table.whole("max_bytes", 1, BYTES_LIMIT);
    if table.map.is_empty() {
        let message = "nothing is asked of payloads here".to_owned();
        table.found_here(message, "write `kind`, `max_bytes` or `json_schema`, or take `payload` out");
    }
    PayloadRule { kind, max_bytes, schema }
}

/// A schema as a table, or as the text of its file.
fn json_schema(table: &mut Table<'_, '_>) -> Option<Schema> {
    let key = "json_schema";
    let written = table.map.get(key)?;
    let read;
    let (schema, in_text) = match written {
        Json::Object(_) => (written, false),
        Json::String(text) if text.len() > SCHEMA_LIMIT => {
            let message = format!("a schema of {} bytes is over the limit of {SCHEMA_LIMIT}", text.len());
            table.found(key, message, "ask for less");
            return None;
        }
        Json::String(text) => match schema::read(text.as_bytes()) {
            Ok(schema) => {
                read = schema;
                (&read, true)
            }
            Err(error) => {
                let words = if error.is_data() { "this text cannot be used" } else { "this text is no JSON" };
                table.found(key, format!("{words}: {error}"), "mend it, or write the schema as a table");
                return None;
            }
        },
        _ => return table.wrong(key, "a table, or the text of a JSON Schema in quotes"),
    };
    match schema::compile(schema) {
        Ok(schema) => Some(schema),
        Err(faults) => {
            for fault in faults {
                let place: String = fault.at.iter().map(|level| format!("/{level}")).collect();
                if in_text || fault.at.is_empty() {
                    let at = if place.is_empty() { String::new() } else { format!("at {place}: ") };
                    table.found(key, format!("{at}{}", fault.message), fault.remedy);
                } else {
                    let pointer = [vec![key.to_owned()], fault.at].concat();
                    table.found_at(pointer, fault.message, fault.remedy);
                }
            }
            None
        }
    }
}

fn naming_rule(table: &mut Table<'_, '_>, equipment: &Arc<HashSet<String>>) -> Naming {
    table.only(&["pattern", "levels", "skip", "equipment", "max_levels"]);
    let pattern = table.text("pattern", |text| pattern(text).map(|_| ())).and_then(|text| {
        let compiled = pattern(&text).ok()?;
        Some((text, compiled))
    });
    let levels = table.texts("levels");
    let skip = table.whole("skip", 0, LEVEL_LIMIT - 1).unwrap_or(0);
    let of_equipment = table.flag("equipment");
    let max_levels = table.whole("max_levels", 1, LEVEL_LIMIT);
    if of_equipment && levels.is_empty() {
        let message = "which levels of a topic are equipment is not said".to_owned();
        table.found("equipment", message, "name them: `levels = [\"site\", \"area\"]`");
    }
    let least = skip + levels.len();
    if least > LEVEL_LIMIT as usize || max_levels.is_some_and(|most| least > most) {
        let message = format!("no topic can have {least} levels here");
        table.found(
            if max_levels.is_some() { "max_levels" } else { "levels" },
            message,
            "allow as many levels as you name",
        );
    }
    if pattern.is_none() && levels.is_empty() && max_levels.is_none() {
        let message = "nothing is asked of topics here".to_owned();
        table.found_here(message, "write `pattern`, `levels` or `max_levels`, or take `naming` out");
    }
    Naming { skip, levels, pattern, equipment: of_equipment.then(|| equipment.clone()), max_levels }
}

/// A pattern that a whole level must match.
fn pattern(text: &str) -> Result<Regex, String> {
    compile_pattern(&format!("^(?:{text})$"), text).map(|(pattern, _)| pattern)
}

/// Compiles a regular expression that is matched in linear time: without look-around and back-references. With it: the most memory that it
/// takes as it is compiled, in bytes; a power of two, for the library tells only whether a pattern keeps within a bound. Matching takes up to
/// twice [`PATTERN_MEMORY`] more, for one way and for the other, in each thread that matches it.
pub(crate) fn compile_pattern(whole: &str, written: &str) -> Result<(Regex, usize), String> {
    if written.len() > PATTERN_LIMIT {
        return Err(format!("a pattern of {} bytes is over the limit of {PATTERN_LIMIT}", written.len()));
    }
    let mut most = PATTERN_LEAST;
    let error = loop {
        match RegexBuilder::new(whole).size_limit(most).dfa_size_limit(PATTERN_MEMORY).build() {
            Ok(pattern) => return Ok((pattern, most)),
            Err(regex::Error::CompiledTooBig(_)) if most < PATTERN_MEMORY => most *= 2,
            Err(error) => break error,
        }
    };
    // The last line says what is wrong; the ones before draw where.
    let words = error.to_string();
    let last = words.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
    Err(format!("the pattern cannot be used: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_pattern_takes_what_the_manual_says() {
        let takes = |pattern: &str| compile_pattern(&format!("^(?:{pattern})$"), pattern).map(|(_, most)| most);
        assert_eq!(takes(r"\w{20}"), Ok(PATTERN_MEMORY));
        assert!(takes(r"\w{1,20}").is_ok() && takes(r"\w{30}").is_err());
        assert_eq!(takes("[a-z0-9]{1,20}"), Ok(PATTERN_LEAST));
    }

    fn findings(filter: &str, settings: Json) -> Vec<String> {
        let rule = TopicRuleDef { name: "r".to_owned(), filter: filter.to_owned(), settings };
        check_rule(&rule, &Plant::default())
            .into_iter()
            .map(|f| format!("{}: {}", f.pointer.join("."), f.message))
            .collect()
    }

    #[test]
    fn what_is_kept_is_said_by_time_and_bytes() {
        let keep = |settings: Json| {
            let def = TopicRuleDef { name: "r".to_owned(), filter: "a/#".to_owned(), settings };
            compile(&def, &Arc::default(), |_| Ok(())).unwrap().keep
        };
        let kept = |seconds, bytes| Some(RuleKeep { age: Duration::from_secs(seconds), bytes });
        assert_eq!(keep(json!({})), None);
        assert_eq!(keep(json!({"keep": "7d"})), kept(7 * 86_400, 256 << 20));
        assert_eq!(keep(json!({"keep": "90min", "keep_mib": 1})), kept(5400, 1 << 20));
        assert_eq!(keep(json!({"keep": "12h", "durability": "volatile"})), kept(43_200, 256 << 20));
    }

    #[test]
    fn a_rule_that_cannot_be_meant_is_refused_at_its_place() {
        for (settings, words) in [
            (json!({"durability": "memory"}), "durability: this cannot stand at \"durability\""),
            (json!({"mode": "warn"}), "mode: the rule asks nothing of messages, so none can break it"),
            (json!({"keeep": 1}), "keeep: \"keeep\" is not a word that can stand here"),
            (json!({"keep": "7"}), "keep: this cannot stand at \"keep\""),
            (json!({"keep": "30s"}), "keep: this cannot stand at \"keep\""),
            (json!({"keep": 7}), "keep: this cannot stand at \"keep\""),
            (json!({"keep": "3651d"}), "keep: this cannot stand at \"keep\""),
            (json!({"keep": "7d", "keep_mib": 0}), "keep_mib: this cannot stand at \"keep_mib\""),
            (json!({"keep_mib": 5}), "keep_mib: how long messages are kept is not said"),
            (json!({"payload": {}}), "payload: nothing is asked of payloads here"),
            (json!({"payload": {"kind": "xml"}}), "payload.kind: this cannot stand at \"kind\""),
            (json!({"payload": {"max_bytes": 0}}), "payload.max_bytes: this cannot stand at \"max_bytes\""),
            (
                json!({"naming": {"equipment": true, "pattern": "a"}}),
                "naming.equipment: which levels of a topic are equipment is not said",
            ),
            (
                json!({"payload": {"kind": "text", "json_schema": {}}}),
                "payload.kind: a payload that is held against a JSON Schema is JSON",
            ),
            (
                json!({"payload": {"json_schema": "{"}}),
                "payload.json_schema: this text is no JSON: EOF while parsing an object at line 1 column 1",
            ),
            (
                json!({"payload": {"json_schema": "{\"type\": \"float\"}"}}),
                "payload.json_schema: at /type: this is not a type",
            ),
            (
                json!({"payload": {"json_schema": {"properties": {"t": {"type": "float"}}}}}),
                "payload.json_schema.properties.t.type: this is not a type",
            ),
            (json!({"naming": {"levels": []}}), "naming.levels: this cannot stand at \"levels\""),
            (
                json!({"naming": {"levels": ["a", "b"], "max_levels": 1}}),
                "naming.max_levels: no topic can have 2 levels here",
            ),
            (
                json!({"naming": {"pattern": "(?=a)"}}),
                "naming.pattern: the pattern cannot be used: look-around, including look-ahead and look-behind, is not supported",
            ),
            (
                json!({"naming": {"pattern": "(\\w{999}){999}"}}),
                "naming.pattern: the pattern cannot be used: Compiled regex exceeds size limit of 1048576 bytes.",
            ),
        ] {
            let found = findings("a/#", settings);
            assert!(found.iter().any(|f| f == words), "{words}\n{found:?}");
        }
        let found = findings("$SYS/#", json!({}));
        assert!(found[0].starts_with("filter: topics that begin with `$`"), "{found:?}");
    }

    #[test]
    fn a_rule_with_all_its_words_is_taken() {
        let settings = json!({
            "description": "presses", "durability": "volatile", "mode": "reject",
            "payload": {"kind": "json", "max_bytes": 4096},
            "naming": {"levels": ["site", "area"], "skip": 1, "pattern": "[a-z]+", "equipment": true, "max_levels": 8},
        });
        assert_eq!(findings("plant/#", settings), Vec::<String>::new());
        assert_eq!(findings("#", json!({})), Vec::<String>::new());
    }
}
