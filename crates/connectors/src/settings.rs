//! Reading a connector's settings: the user's words in JSON, every complaint with its place.
//!
//! A [`Section`] hands out one key after another and notes what is wrong as a [`Finding`]; it never stops at the
//! first. [`Section::finish`] complains about keys that nobody asked for, and names the nearest one that exists.
//!
//! **Invariants**: no panic on any JSON; at most [`MAX_FINDINGS`] findings, so that a wrong file stays readable.

use andon_model::duration;
use andon_model::plant::{ConnectorDef, Finding};
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Duration;

/// After this many findings the rest is left out.
pub const MAX_FINDINGS: usize = 100;

/// Findings of one settings document, in reading order.
#[derive(Debug, Default)]
pub struct Findings(Vec<Finding>);

impl Findings {
    /// What `read` makes of some settings, if it found nothing wrong.
    /// # Errors
    /// Everything that it found wrong.
    pub fn gather<T>(read: impl FnOnce(&mut Self) -> Option<T>) -> Result<T, Vec<Finding>> {
        let mut findings = Self::default();
        let made = read(&mut findings);
        made.filter(|_| findings.is_empty()).ok_or_else(|| findings.into_vec())
    }

    /// Notes something wrong at `pointer`.
    pub fn add(&mut self, pointer: Vec<String>, message: impl Into<String>, remedy: impl Into<String>) {
        if self.0.len() < MAX_FINDINGS {
            self.0.push(Finding { pointer, message: message.into(), remedy: remedy.into() });
        }
    }

    /// True when nothing was wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The list.
    #[must_use]
    pub fn into_vec(self) -> Vec<Finding> {
        self.0
    }
}

/// The lists of a connector's settings in which tags stand that it reads: `register` (Modbus), `metric` (Sparkplug), `measure` (bridges).
const LISTS: [&str; 3] = ["register", "metric", "measure"];

/// A tag that a connector reads.
struct Read<'p> {
    tag: &'p str,
    connector: &'p ConnectorDef,
    list: &'static str,
    /// Where in the list, from 0.
    index: usize,
}

fn reads<'p>(connectors: impl IntoIterator<Item = &'p ConnectorDef>) -> impl Iterator<Item = Read<'p>> {
    connectors.into_iter().flat_map(|connector| {
        LISTS.into_iter().flat_map(move |list| {
            let entries = connector.settings.get(list).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
            entries.iter().enumerate().filter_map(move |(index, entry)| {
                Some(Read { tag: entry.get("tag")?.as_str()?, connector, list, index })
            })
        })
    })
}

/// The tags that connectors read, each with the connector's name.
pub fn tags_read<'p>(
    connectors: impl IntoIterator<Item = &'p ConnectorDef>,
) -> impl Iterator<Item = (&'p str, &'p str)> {
    reads(connectors).map(|read| (read.tag, read.connector.name.as_str()))
}

/// A finding for every tag of `written`, each with its place in what writes it, that one of `connectors` reads as well: of a tag with
/// two sources nobody could tell whose value it has. A connector that is switched off is no source.
pub fn two_sources<'p>(
    written: impl IntoIterator<Item = (Vec<String>, &'p str)>,
    connectors: &'p [ConnectorDef],
) -> Vec<Finding> {
    let written: Vec<_> = written.into_iter().collect();
    let wanted: HashSet<&str> = written.iter().map(|(_, tag)| *tag).collect();
    let on = connectors.iter().filter(|connector| connector.enabled);
    let read: HashMap<&str, Read<'_>> =
        reads(on).filter(|read| wanted.contains(read.tag)).map(|read| (read.tag, read)).collect();
    let finding = |(pointer, tag): (Vec<String>, &str)| {
        let Read { connector, list, index, .. } = read.get(tag)?;
        let (name, number) = (&connector.name, index + 1);
        Some(Finding {
            pointer,
            message: format!(
                "the tag \"{tag}\" has two sources: this topic, and the connector \"{name}\" in its `{list}` number {number}"
            ),
            remedy: format!(
                "a tag has one source: take it out of one of the two, or switch the connector off (`enabled = false` in \"{name}\")"
            ),
        })
    };
    written.into_iter().filter_map(finding).take(MAX_FINDINGS).collect()
}

/// One table of the settings, with the keys that were asked for so far.
#[derive(Debug)]
pub struct Section<'a> {
    object: &'a Map<String, Value>,
    pointer: Vec<String>,
    known: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// Takes a table; `None`, with a finding, if `value` is not one.
    pub fn open(value: &'a Value, pointer: Vec<String>, findings: &mut Findings) -> Option<Self> {
        let Some(object) = value.as_object() else {
            findings.add(
                pointer,
                format!("this must be a table of keys, not {}", kind(value)),
                "write it as key = value",
            );
            return None;
        };
        Some(Self { object, pointer, known: Vec::new() })
    }

    /// Where `key` stands.
    #[must_use]
    pub fn at(&self, key: &str) -> Vec<String> {
        let mut pointer = self.pointer.clone();
        pointer.push(key.to_owned());
        pointer
    }

    /// Where the table itself stands.
    #[must_use]
    pub fn here(&self) -> Vec<String> {
        self.pointer.clone()
    }

    fn get(&mut self, key: &'static str) -> Option<&'a Value> {
        self.known.push(key);
        self.object.get(key)
    }

    /// Notes that a key which must be there is missing.
    fn missing(&self, key: &str, example: &str, findings: &mut Findings) {
        findings.add(self.here(), format!("`{key}` is missing"), format!("add {key} = {example}"));
    }

    /// A text; `None` if it is absent or wrong.
    pub fn text(&mut self, key: &'static str, findings: &mut Findings) -> Option<&'a str> {
        match self.get(key)? {
            Value::String(text) => Some(text),
            other => {
                findings.add(self.at(key), format!("`{key}` must be a text, not {}", kind(other)), "put it in quotes");
                None
            }
        }
    }

    /// The name of the secret, where `key` is `{ secret = "name" }`.
    pub fn secret(&mut self, key: &'static str) -> Option<&'a str> {
        let table = self.get(key)?.as_object().filter(|table| table.len() == 1)?;
        table.get("secret")?.as_str()
    }

    /// A text that must be there.
    pub fn required_text(&mut self, key: &'static str, example: &str, findings: &mut Findings) -> Option<&'a str> {
        if !self.object.contains_key(key) {
            self.known.push(key);
            self.missing(key, example, findings);
            return None;
        }
        self.text(key, findings)
    }

    /// A whole number within `range`.
    pub fn integer(&mut self, key: &'static str, range: RangeInclusive<i64>, findings: &mut Findings) -> Option<i64> {
        let value = self.get(key)?;
        match value.as_i64() {
            Some(number) if range.contains(&number) => Some(number),
            _ => {
                let message = format!(
                    "`{key}` must be a whole number from {} to {}, not {}",
                    range.start(),
                    range.end(),
                    shown(value)
                );
                findings.add(self.at(key), message, "correct the number");
                None
            }
        }
    }

    /// A whole number within `range` that must be there.
    pub fn required_integer(
        &mut self,
        key: &'static str,
        range: RangeInclusive<i64>,
        example: &str,
        findings: &mut Findings,
    ) -> Option<i64> {
        if !self.object.contains_key(key) {
            self.known.push(key);
            self.missing(key, example, findings);
            return None;
        }
        self.integer(key, range, findings)
    }

    /// A finite number.
    pub fn number(&mut self, key: &'static str, findings: &mut Findings) -> Option<f64> {
        let value = self.get(key)?;
        let number = value.as_f64().filter(|n| n.is_finite());
        if number.is_none() {
            findings.add(
                self.at(key),
                format!("`{key}` must be a number, not {}", shown(value)),
                "write it without quotes",
            );
        }
        number
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str, findings: &mut Findings) -> Option<bool> {
        let value = self.get(key)?;
        let answer = value.as_bool();
        if answer.is_none() {
            findings.add(
                self.at(key),
                format!("`{key}` must be true or false, not {}", shown(value)),
                "write true or false without quotes",
            );
        }
        answer
    }

    /// A time span such as `"500ms"`, within `range`.
    pub fn duration(
        &mut self,
        key: &'static str,
        range: RangeInclusive<Duration>,
        findings: &mut Findings,
    ) -> Option<Duration> {
        let value = self.get(key)?;
        let span = value.as_str().and_then(duration::parse).filter(|span| range.contains(span));
        if span.is_none() {
            let (low, high) = (duration::show(*range.start()), duration::show(*range.end()));
            let message = format!("`{key}` must be a time from {low} to {high}, not {}", shown(value));
            findings.add(self.at(key), message, "write a number with ms, s, min or h, in quotes: \"500ms\"");
        }
        span
    }

    /// One of a few words.
    pub fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
        findings: &mut Findings,
    ) -> Option<T> {
        let text = self.text(key, findings)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
            let remedy = nearest(text, &all)
                .map_or_else(|| "use one of these words".to_owned(), |word| format!("did you mean \"{word}\"?"));
            findings.add(self.at(key), format!("`{key}` must be one of {}, not \"{text}\"", all.join(", ")), remedy);
        }
        found
    }

    /// A list; empty if absent or, with a finding, wrong.
    pub fn list(&mut self, key: &'static str, findings: &mut Findings) -> &'a [Value] {
        match self.get(key) {
            None => &[],
            Some(Value::Array(list)) => list,
            Some(other) => {
                findings.add(
                    self.at(key),
                    format!("`{key}` must be a list, not {}", kind(other)),
                    "write it in square brackets",
                );
                &[]
            }
        }
    }

    /// True when `key` is there, right or wrong.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.object.contains_key(key)
    }

    /// Complains about keys that nobody asked for.
    pub fn finish(self, findings: &mut Findings) {
        for key in self.object.keys().filter(|key| !self.known.contains(&key.as_str())) {
            let remedy = match nearest(key, &self.known) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known here: {}", self.known.join(", ")),
            };
            findings.add(self.at(key), format!("`{key}` is not a setting here"), remedy);
        }
    }
}

/// The word that `text` is most likely a slip of the pen for.
pub(crate) fn nearest<'w>(text: &str, words: &[&'w str]) -> Option<&'w str> {
    let (word, distance) =
        words.iter().map(|word| (*word, edit_distance(text, word))).min_by_key(|(_, distance)| *distance)?;
    (distance <= 2.max(word.len() / 3)).then_some(word)
}

/// Insertions, deletions and replacements between two words (Levenshtein); long texts are cut at 64 characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(64).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut next = vec![i + 1];
        for ((to, diagonal), above) in b.iter().zip(&row).zip(row.iter().skip(1)) {
            let left = next.last().copied().unwrap_or_default();
            next.push((left + 1).min(above + 1).min(diagonal + usize::from(from != *to)));
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table",
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("\"{}\"", text.chars().take(40).collect::<String>()),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        other => kind(other).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_unknown_key_names_the_nearest_known_one() {
        let value = json!({"time_out": "1s"});
        let mut findings = Findings::default();
        let mut section = Section::open(&value, vec![], &mut findings).unwrap();
        let _ = section.duration("timeout", Duration::ZERO..=Duration::from_secs(60), &mut findings);
        section.finish(&mut findings);
        let findings = findings.into_vec();
        assert_eq!(findings[0].pointer, ["time_out"]);
        assert_eq!(findings[0].remedy, "did you mean `timeout`?");
    }

    #[test]
    fn edit_distance_counts_slips() {
        assert_eq!(edit_distance("adress", "address"), 1);
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("same", "same"), 0);
    }

    fn connector(name: &str, enabled: bool, settings: Value) -> ConnectorDef {
        let (name, kind) = (name.to_owned(), "any".to_owned());
        ConnectorDef { name, kind, title: String::new(), enabled, settings }
    }

    #[test]
    fn a_tag_that_is_written_elsewhere_too_is_found_with_both_places() {
        let connectors = [
            connector("press", true, json!({"register": [{"tag": "a/x"}, {"address": 3}, {"tag": "a/y"}]})),
            connector("head", true, json!({"measure": [{"tag": "a/lag", "what": "lag"}]})),
            connector("old", false, json!({"metric": [{"tag": "a/z"}]})),
        ];
        let at = |key: &str| vec![key.to_owned()];
        let written = [(at("1"), "a/y"), (at("2"), "a/z"), (at("3"), "a/free"), (at("4"), "a/lag")];
        let said: Vec<String> = two_sources(written, &connectors)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.pointer.join("."), finding.message))
            .collect();
        assert_eq!(
            said,
            [
                "1: the tag \"a/y\" has two sources: this topic, and the connector \"press\" in its `register` number 3",
                "4: the tag \"a/lag\" has two sources: this topic, and the connector \"head\" in its `measure` number 1",
            ]
        );
    }
}
