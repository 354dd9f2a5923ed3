//! JSON Schema (2020-12), as far as a payload can be checked by it in bounded time.
//!
//! Our own, and not a library: a check runs on the way of every message, so it must be bounded whatever the schema and the payload.
//! What is checked is every assertion and applicator of the core, applicator and validation vocabularies, without `unevaluated…`.
//! References lead within the schema (`#/$defs/…`), never out of it, and never in a circle. `format` and the like are annotations,
//! which say something to people and are not checked, as the standard has it by default. What is not known is refused when the rule is
//! applied, not passed over. The cases of the official test suite are among the tests (`cases/json-schema/`).
//!
//! # Invariants
//! - A compiled schema has no circle, at most [`COST_LIMIT`] parts when every reference is written out, and [`DEPTH_LIMIT`] levels; its patterns
//!   take at most [`PATTERNS_LIMIT`].
//! - Patterns are matched in linear time.
//! - Numbers that are mathematically equal are equal: 1 is 1.0, and 1.0 is an integer.

mod compile;
mod numbers;

pub(crate) use compile::compile;

use numbers::{canonical, compare, is_multiple, is_whole};
use regex::Regex;
use serde_json::{Number, Value as Json};
use std::cmp::Ordering;
use std::collections::{HashMap, HashSet};

/// The most parts of a schema with every reference written out: so many at most look at one value of a payload.
pub(crate) const COST_LIMIT: u64 = 10_000;
/// The most levels of a schema, counted through references.
pub(crate) const DEPTH_LIMIT: usize = 64;
/// The most memory that the patterns of a schema take together, in bytes.
pub(crate) const PATTERNS_LIMIT: usize = 16 << 20;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Schema {
    /// A part refers to parts before it alone.
    parts: Vec<Part>,
    root: usize,
}

/// Everything that one schema object asks of a value.
#[derive(Debug, Default)]
struct Part {
    checks: Vec<Check>,
}

#[derive(Debug)]
enum Check {
    /// `false`: no value is good.
    Never,
    Types(Vec<Type>),
    /// By canonical text, and as it is told.
    OneOfValues(HashSet<String>, String),
    Number(Bound, Number),
    MultipleOf(Number),
    Length(Size, u64),
    Pattern(String, Regex),
    Items(Size, u64),
    Unique,
    Each {
        first: Vec<usize>,
        rest: Option<usize>,
    },
    Contains {
        part: usize,
        least: u64,
        most: Option<u64>,
    },
    Members(Size, u64),
    Required(Vec<String>),
    /// What a member asks for: others that must be there.
    DependentRequired(Vec<(String, Vec<String>)>),
    DependentSchemas(Vec<(String, usize)>),
    Properties {
        named: HashMap<String, usize>,
        patterns: Vec<(Regex, usize)>,
        rest: Option<usize>,
    },
    Names(usize),
    All(Vec<usize>),
    Any(Vec<usize>),
    One(Vec<usize>),
    Not(usize),
    If {
        condition: usize,
        then: Option<usize>,
        otherwise: Option<usize>,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Null,
    Boolean,
    Integer,
    Number,
    String,
    Array,
    Object,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bound {
    Least,
    Above,
    Most,
    Below,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Size {
    Least,
    Most,
}

impl Size {
    const fn holds(self, count: u64, limit: u64) -> bool {
        match self {
            Self::Least => count >= limit,
            Self::Most => count <= limit,
        }
    }
    const fn words(self) -> &'static str {
        match self {
            Self::Least => "at least",
            Self::Most => "at most",
        }
    }
}

/// Where in a payload something is wrong, from the outside in, and what.
struct Wrong {
    /// The path as a JSON pointer (RFC 6901), written from its end.
    path: Vec<String>,
    words: String,
}

impl Wrong {
    fn new(words: impl Into<String>) -> Self {
        Self { path: Vec::new(), words: words.into() }
    }

    fn below(mut self, level: impl Into<String>) -> Self {
        self.path.push(level.into());
        self
    }
}

type Verdict = Result<(), Wrong>;

impl Schema {
    /// In words, where and how a value does not fit.
    pub(crate) fn check(&self, value: &Json) -> Result<(), String> {
        self.part(self.root, value).map_err(|wrong| {
            let path: String = wrong
                .path
                .iter()
                .rev()
                .map(|level| format!("/{}", level.replace('~', "~0").replace('/', "~1")))
                .collect();
            let place = if path.is_empty() { "the payload".to_owned() } else { format!("the payload at {path}") };
            format!("{place}: {}", wrong.words)
        })
    }

    fn part(&self, number: usize, value: &Json) -> Verdict {
        let Some(part) = self.parts.get(number) else { return Ok(()) };
        part.checks.iter().try_for_each(|check| self.holds(check, value))
    }

    fn fits(&self, number: usize, value: &Json) -> bool {
        self.part(number, value).is_ok()
    }

    fn holds(&self, check: &Check, value: &Json) -> Verdict {
        match check {
            Check::Never => Err(Wrong::new("nothing may stand here")),
            Check::Types(types) => of_type(types, value),
            Check::OneOfValues(known, told) => {
                if known.contains(&canonical(value)) {
                    Ok(())
                } else {
                    Err(Wrong::new(format!("{} is not {told}", brief(value))))
                }
            }
            Check::All(parts) => parts.iter().try_for_each(|part| self.part(*part, value)),
            Check::Any(parts) => {
                if parts.iter().any(|part| self.fits(*part, value)) {
                    return Ok(());
                }
                Err(Wrong::new(format!("{} fits none of the {} alternatives", brief(value), parts.len())))
            }
            Check::One(parts) => match parts.iter().filter(|part| self.fits(**part, value)).take(2).count() {
                1 => Ok(()),
                0 => Err(Wrong::new(format!("{} fits none of the {} alternatives", brief(value), parts.len()))),
                _ => Err(Wrong::new(format!("{} fits more than one of the alternatives", brief(value)))),
            },
            Check::Not(part) if self.fits(*part, value) => {
                Err(Wrong::new(format!("{} is what it must not be", brief(value))))
            }
            Check::Not(_) => Ok(()),
            Check::If { condition, then, otherwise } => {
                let next = if self.fits(*condition, value) { then } else { otherwise };
                next.map_or(Ok(()), |part| self.part(part, value))
            }
            _ => match value {
                Json::Number(number) => number_holds(check, number),
                Json::String(text) => text_holds(check, text),
                Json::Array(items) => self.list_holds(check, items),
                Json::Object(members) => self.object_holds(check, members),
                Json::Null | Json::Bool(_) => Ok(()),
            },
        }
    }

    fn list_holds(&self, check: &Check, items: &[Json]) -> Verdict {
        match check {
            Check::Items(size, limit) if !size.holds(items.len() as u64, *limit) => {
                Err(Wrong::new(format!("{} elements, and it should be {} {limit}", items.len(), size.words())))
            }
            Check::Unique => {
                let mut seen = HashSet::with_capacity(items.len());
                match items.iter().position(|item| !seen.insert(canonical(item))) {
                    None => Ok(()),
                    Some(at) => Err(Wrong::new("is there twice").below(at.to_string())),
                }
            }
            Check::Each { first, rest } => items.iter().enumerate().try_for_each(|(at, item)| {
                let part = first.get(at).copied().or(*rest);
                part.map_or(Ok(()), |part| self.part(part, item)).map_err(|wrong| wrong.below(at.to_string()))
            }),
            Check::Contains { part, least, most } => {
                let enough = most.map_or(*least, |most| most.saturating_add(1));
                let enough = usize::try_from(enough.max(*least)).unwrap_or(usize::MAX);
                let count = items.iter().filter(|item| self.fits(*part, item)).take(enough).count() as u64;
                if count >= *least && most.is_none_or(|most| count <= most) {
                    return Ok(());
                }
                let wanted = if count < *least { "too few" } else { "too many" };
                Err(Wrong::new(format!("{wanted} of its elements are what it must contain")))
            }
            _ => Ok(()),
        }
    }

    fn object_holds(&self, check: &Check, members: &serde_json::Map<String, Json>) -> Verdict {
        match check {
            Check::Members(size, limit) if !size.holds(members.len() as u64, *limit) => {
                Err(Wrong::new(format!("{} members, and it should be {} {limit}", members.len(), size.words())))
            }
            Check::Required(names) => match names.iter().find(|name| !members.contains_key(*name)) {
                None => Ok(()),
                Some(name) => Err(Wrong::new(format!("\"{name}\" is missing"))),
            },
            Check::DependentRequired(all) => {
                let there = all.iter().filter(|(name, _)| members.contains_key(name));
                let mut missing =
                    there.filter_map(|(name, others)| Some((name, others.iter().find(|o| !members.contains_key(*o))?)));
                match missing.next() {
                    None => Ok(()),
                    Some((name, other)) => Err(Wrong::new(format!("\"{name}\" is there, and \"{other}\" is missing"))),
                }
            }
            Check::DependentSchemas(all) => {
                let whole = Json::Object(members.clone());
                all.iter()
                    .filter(|(name, _)| members.contains_key(name))
                    .try_for_each(|(_, part)| self.part(*part, &whole))
            }
            Check::Properties { named, patterns, rest } => members.iter().try_for_each(|(name, value)| {
                let own = named.get(name);
                let mut known = own.is_some();
                let mut all = || {
                    own.map_or(Ok(()), |part| self.part(*part, value))?;
                    for (_, part) in patterns.iter().filter(|(pattern, _)| pattern.is_match(name)) {
                        known = true;
                        self.part(*part, value)?;
                    }
                    match rest.filter(|_| !known) {
                        Some(part) => self.part(part, value),
                        None => Ok(()),
                    }
                };
                all().map_err(|wrong| wrong.below(name.as_str()))
            }),
            Check::Names(part) => members.keys().try_for_each(|name| {
                let text = Json::String(name.clone());
                self.part(*part, &text).map_err(|wrong| Wrong::new(format!("the name \"{name}\": {}", wrong.words)))
            }),
            _ => Ok(()),
        }
    }
}

fn number_holds(check: &Check, number: &Number) -> Verdict {
    let fits = match check {
        Check::Number(bound, limit) => {
            let order = compare(number, limit);
            match bound {
                Bound::Least => order != Ordering::Less,
                Bound::Above => order == Ordering::Greater,
                Bound::Most => order != Ordering::Greater,
                Bound::Below => order == Ordering::Less,
            }
        }
        Check::MultipleOf(unit) => is_multiple(number, unit),
        _ => true,
    };
    if fits {
        return Ok(());
    }
    let wanted = match check {
        Check::Number(Bound::Least, limit) => format!("below the least {limit}"),
        Check::Number(Bound::Above, limit) => format!("not above {limit}"),
        Check::Number(Bound::Most, limit) => format!("above the most {limit}"),
        Check::Number(Bound::Below, limit) => format!("not below {limit}"),
        Check::MultipleOf(unit) => format!("no multiple of {unit}"),
        _ => return Ok(()),
    };
    Err(Wrong::new(format!("{number} is {wanted}")))
}

fn text_holds(check: &Check, text: &str) -> Verdict {
    match check {
        Check::Length(size, limit) => {
            let count = text.chars().count() as u64;
            if size.holds(count, *limit) {
                return Ok(());
            }
            Err(Wrong::new(format!("{count} characters, and it should be {} {limit}", size.words())))
        }
        Check::Pattern(written, pattern) if !pattern.is_match(text) => {
            Err(Wrong::new(format!("{} does not match {written}", brief_text(text))))
        }
        _ => Ok(()),
    }
}

fn of_type(types: &[Type], value: &Json) -> Verdict {
    let fits = |wanted: &Type| match (wanted, value) {
        (Type::Null, Json::Null)
        | (Type::Boolean, Json::Bool(_))
        | (Type::Number, Json::Number(_))
        | (Type::String, Json::String(_))
        | (Type::Array, Json::Array(_))
        | (Type::Object, Json::Object(_)) => true,
        (Type::Integer, Json::Number(number)) => is_whole(number),
        _ => false,
    };
    if types.iter().any(fits) {
        return Ok(());
    }
    let wanted: Vec<&str> = types.iter().map(|wanted| wanted.word()).collect();
    Err(Wrong::new(format!("{} is not {}", brief(value), wanted.join(" or "))))
}

impl Type {
    const ALL: [(&'static str, Self); 7] = [
        ("null", Self::Null),
        ("boolean", Self::Boolean),
        ("integer", Self::Integer),
        ("number", Self::Number),
        ("string", Self::String),
        ("array", Self::Array),
        ("object", Self::Object),
    ];

    const fn word(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Boolean => "true or false",
            Self::Integer => "a whole number",
            Self::Number => "a number",
            Self::String => "a text",
            Self::Array => "a list",
            Self::Object => "an object",
        }
    }
}

/// A value in a few words.
fn brief(value: &Json) -> String {
    match value {
        Json::Array(_) => "a list".to_owned(),
        Json::Object(_) => "an object".to_owned(),
        Json::String(text) => brief_text(text),
        other => other.to_string(),
    }
}

fn brief_text(text: &str) -> String {
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("\"{}…\"", text.get(..end).unwrap_or_default()),
        None => format!("\"{text}\""),
    }
}

#[cfg(test)]
mod tests;
