//! Settings in a user's words, read key by key: what is wrong is gathered with its place, and nothing stops at the first.

use crate::duration;
use crate::plant::Finding;
use serde_json::{Map, Value as Json};
use std::time::Duration;

/// A table of the settings, and what is wrong in it.
pub struct Table<'s, 'f> {
    at: Vec<String>,
    /// What stands in it.
    pub map: &'s Map<String, Json>,
    findings: &'f mut Vec<Finding>,
}

impl<'s, 'f> Table<'s, 'f> {
    /// The settings as a whole.
    pub const fn new(map: &'s Map<String, Json>, findings: &'f mut Vec<Finding>) -> Self {
        Self { at: Vec::new(), map, findings }
    }

    /// A finding at a key of this table.
    pub fn found(&mut self, key: &str, message: String, remedy: &str) {
        let pointer = self.at.iter().cloned().chain([key.to_owned()]).collect();
        self.findings.push(Finding { pointer, message, remedy: remedy.to_owned() });
    }

    /// A finding below this table.
    pub fn found_at(&mut self, below: Vec<String>, message: String, remedy: &str) {
        let pointer = self.at.iter().cloned().chain(below).collect();
        self.findings.push(Finding { pointer, message, remedy: remedy.to_owned() });
    }

    /// A finding about this table as a whole.
    pub fn found_here(&mut self, message: String, remedy: &str) {
        self.findings.push(Finding { pointer: self.at.clone(), message, remedy: remedy.to_owned() });
    }

    /// No other keys than these may stand here.
    pub fn only(&mut self, known: &[&str]) {
        let unknown: Vec<String> = self.map.keys().filter(|key| !known.contains(&key.as_str())).cloned().collect();
        for key in unknown {
            let message = format!("\"{key}\" is not a word that can stand here");
            self.found(&key, message, &format!("known are: {}", known.join(", ")));
        }
    }

    /// What stands at a key is of another kind; `wanted` says what could.
    pub fn wrong<T>(&mut self, key: &str, wanted: &str) -> Option<T> {
        self.found(key, format!("this cannot stand at \"{key}\""), &format!("write {wanted}"));
        None
    }

    /// A text that passes a check, which says what is wrong with it.
    pub fn text(&mut self, key: &str, check: impl FnOnce(&str) -> Result<(), String>) -> Option<String> {
        let Json::String(text) = self.map.get(key)? else { return self.wrong(key, "a text in quotes") };
        match check(text) {
            Ok(()) => Some(text.clone()),
            Err(message) => {
                self.found(key, message, "mend it");
                None
            }
        }
    }

    /// One of some words.
    pub fn word<T: Copy>(&mut self, key: &str, words: &[(&str, T)]) -> Option<T> {
        let value = self.map.get(key)?;
        let meaning = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
        if let Some((_, meaning)) = meaning {
            return Some(*meaning);
        }
        let known: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        self.wrong(key, &known.join(" or "))
    }

    /// A whole number within bounds.
    pub fn whole(&mut self, key: &str, least: u64, most: u64) -> Option<usize> {
        let value = self.map.get(key)?;
        match value.as_u64().filter(|number| (least..=most).contains(number)) {
            Some(number) => usize::try_from(number).ok(),
            None => self.wrong(key, &format!("a whole number from {least} to {most}")),
        }
    }

    /// True or false; false if there is nothing.
    pub fn flag(&mut self, key: &str) -> bool {
        match self.map.get(key) {
            None => false,
            Some(Json::Bool(flag)) => *flag,
            Some(_) => self.wrong(key, "true or false").unwrap_or(false),
        }
    }

    /// A list of different names, none if there is none.
    pub fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.map.get(key) else { return Vec::new() };
        let texts: Option<Vec<String>> = value.as_array().filter(|list| !list.is_empty()).and_then(|list| {
            list.iter().map(|item| item.as_str().filter(|text| !text.is_empty()).map(str::to_owned)).collect()
        });
        texts.or_else(|| self.wrong(key, "a list of names, such as [\"site\", \"area\"]")).unwrap_or_default()
    }

    /// A table at a key.
    pub fn table<T>(&mut self, key: &str, read: impl FnOnce(&mut Table<'_, '_>) -> T) -> Option<T> {
        let Json::Object(map) = self.map.get(key)? else { return self.wrong(key, "a table in braces") };
        let at = self.at.iter().cloned().chain([key.to_owned()]).collect();
        Some(read(&mut Table { at, map, findings: self.findings }))
    }

    /// A number within bounds.
    pub fn number(&mut self, key: &str, least: f64, most: f64) -> Option<f64> {
        let value = self.map.get(key)?;
        match value.as_f64().filter(|number| (least..=most).contains(number)) {
            Some(number) => Some(number),
            None => self.wrong(key, &format!("a number from {least} to {most}")),
        }
    }

    /// A span of time within bounds, such as `2min`.
    pub fn span(&mut self, key: &str, within: &std::ops::RangeInclusive<Duration>) -> Option<Duration> {
        let value = self.map.get(key)?;
        match value.as_str().and_then(duration::parse).filter(|span| within.contains(span)) {
            Some(span) => Some(span),
            None => {
                let [least, most] = [within.start(), within.end()].map(|span| duration::show(*span));
                self.wrong(key, &format!("a time from \"{least}\" to \"{most}\""))
            }
        }
    }

    /// A list of tables, none if there is none.
    pub fn tables<T>(&mut self, key: &str, mut read: impl FnMut(&mut Table<'_, '_>) -> T) -> Vec<T> {
        let Some(value) = self.map.get(key) else { return Vec::new() };
        let Some(list) = value.as_array() else { return self.wrong(key, "a list of tables").unwrap_or_default() };
        let mut all = Vec::new();
        for (number, item) in list.iter().enumerate() {
            let at: Vec<String> = self.at.iter().cloned().chain([key.to_owned(), number.to_string()]).collect();
            match item {
                Json::Object(map) => all.push(read(&mut Table { at, map, findings: self.findings })),
                _ => self.findings.push(Finding {
                    pointer: at,
                    message: "this is no table".to_owned(),
                    remedy: "write a table in braces".to_owned(),
                }),
            }
        }
        all
    }
}
