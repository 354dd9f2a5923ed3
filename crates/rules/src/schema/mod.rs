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
//! - A check takes at most [`STEPS_LIMIT`] steps, whatever the schema and the payload; a payload that would take more breaks its rule.
//! - Numbers that are mathematically equal are equal: 1 is 1.0, and 1.0 is an integer.

mod check;
mod compile;
mod read;
mod values;

pub(crate) use compile::compile;
pub(crate) use read::read;

use regex::Regex;
use serde_json::{Number, Value as Json};
use std::collections::HashMap;

/// The most parts of a schema with every reference written out: so many at most look at one value of a payload.
pub(crate) const COST_LIMIT: u64 = 10_000;
/// The most levels of a schema, counted through references.
pub(crate) const DEPTH_LIMIT: usize = 64;
/// The most memory that the patterns of a schema take together, in bytes.
pub(crate) const PATTERNS_LIMIT: usize = 16 << 20;
/// The most steps that the check of one payload takes. A step is a look at one value for one thing that is asked of it, or so much of
/// a text as is looked at in that time: some tens of nanoseconds.
pub(crate) const STEPS_LIMIT: u64 = 1_000_000;

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
    /// In the order of [`values::order`], and as it is told.
    OneOfValues(Vec<Json>, String),
    Number(Bound, Number),
    MultipleOf(Number),
    Length(Size, u64),
    Pattern(Pattern),
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
        patterns: Vec<(Pattern, usize)>,
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

/// A pattern that texts are matched with.
#[derive(Debug)]
struct Pattern {
    regex: Regex,
    /// The most memory that it takes, in bytes.
    memory: usize,
}

impl Pattern {
    /// How many steps a text of so many bytes takes. Most patterns take next to nothing for a byte; one with many ways to go on may
    /// take as long as there are ways, and their number goes with its memory.
    const fn steps(&self, bytes: usize) -> u64 {
        1 + (bytes as u64).saturating_mul(self.memory as u64) / PATTERN_BYTES_PER_STEP
    }
}

/// A byte of text and so many of a pattern's memory are a step.
const PATTERN_BYTES_PER_STEP: u64 = 8 << 10;

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
