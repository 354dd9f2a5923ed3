//! From a schema as it is written to one that can be asked, with everything that is wrong in it.

use super::values::order;
use super::{Bound, COST_LIMIT, Check, DEPTH_LIMIT, PATTERNS_LIMIT, Part, Pattern, Schema, Size, Type};
use crate::settings::compile_pattern;
use serde_json::{Map, Number, Value as Json};
use std::collections::HashMap;

/// The edition that is read.
const EDITION: &str = "https://json-schema.org/draft/2020-12/schema";
/// Words that say something to people, or to other programs, and ask nothing of a value.
const ANNOTATIONS: &[&str] = &[
    "$comment",
    "title",
    "description",
    "default",
    "examples",
    "deprecated",
    "readOnly",
    "writeOnly",
    "format",
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];
/// The most that is said about one schema.
const FAULTS: usize = 20;

/// Something wrong in a schema.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// Where: names and indices from the schema's root.
    pub(crate) at: Vec<String>,
    /// What.
    pub(crate) message: String,
    /// What to do.
    pub(crate) remedy: &'static str,
}

/// Compiles a schema.
/// # Errors
/// Everything that is wrong with it, at most [`FAULTS`] of it.
pub(crate) fn compile(schema: &Json) -> Result<Schema, Vec<Fault>> {
    let mut compiler = Compiler {
        schema,
        parts: Vec::new(),
        sizes: Vec::new(),
        known: HashMap::new(),
        within: 0,
        patterns: 0,
        faults: Vec::new(),
    };
    let root = compiler.at(&[]);
    match root.filter(|_| compiler.faults.is_empty()) {
        Some(root) => Ok(Schema { parts: compiler.parts, root }),
        None => {
            compiler.faults.truncate(FAULTS);
            Err(compiler.faults)
        }
    }
}

/// A schema's place: names and indices from the root.
type At = Vec<String>;

struct Compiler<'s> {
    schema: &'s Json,
    parts: Vec<Part>,
    /// Of each part with every reference written out: how many parts, how many levels.
    sizes: Vec<(u64, usize)>,
    /// By place; `None`: it is being compiled, or cannot be used.
    known: HashMap<At, Option<usize>>,
    /// In how many parts we are: each of them is a call within another one.
    within: usize,
    /// The most memory that the patterns so far take together, in bytes.
    patterns: usize,
    faults: Vec<Fault>,
}

impl<'s> Compiler<'s> {
    fn fault(&mut self, at: &[String], message: String, remedy: &'static str) {
        if self.faults.len() < FAULTS {
            self.faults.push(Fault { at: at.to_vec(), message, remedy });
        }
    }

    /// Compiles what stands there, once.
    fn at(&mut self, at: &[String]) -> Option<usize> {
        if let Some(known) = self.known.get(at).copied() {
            if known.is_none() && self.faults.is_empty() {
                let message =
                    "the schema refers to itself, so how long a check takes would depend on the payload".to_owned();
                self.fault(at, message, "write out as many levels as there can be");
            }
            return known;
        }
        if self.within >= DEPTH_LIMIT || at.len() > 2 * DEPTH_LIMIT || self.parts.len() as u64 > COST_LIMIT {
            self.too_large(at);
            return None;
        }
        self.within += 1;
        let part = self.new_part(at);
        self.within -= 1;
        part
    }

    fn new_part(&mut self, at: &[String]) -> Option<usize> {
        let found = at.iter().try_fold(self.schema, |value, level| match value {
            Json::Object(members) => members.get(level),
            Json::Array(items) => items.get(level.parse::<usize>().ok()?),
            _ => None,
        });
        let Some(found) = found else {
            self.fault(
                at,
                "there is nothing in the schema to which this refers".to_owned(),
                "look at the names behind `#/`",
            );
            return None;
        };
        self.known.insert(at.to_vec(), None);
        let before = self.faults.len();
        let (part, inner) = match found {
            Json::Bool(true) => (Part::default(), Vec::new()),
            Json::Bool(false) => (Part { checks: vec![Check::Never] }, Vec::new()),
            Json::Object(members) => {
                let mut one = One { compiler: self, at: at.to_vec(), members, inner: Vec::new() };
                let checks = one.checks();
                let inner = std::mem::take(&mut one.inner);
                (Part { checks }, inner)
            }
            _ => {
                self.fault(at, "a schema is a table, true or false".to_owned(), "write a table");
                return None;
            }
        };
        if self.faults.len() > before {
            return None;
        }
        let sizes = inner.iter().filter_map(|part| self.sizes.get(*part));
        let (cost, depth) = sizes.fold((1_u64, 0), |(cost, depth), (c, d)| (cost.saturating_add(*c), depth.max(*d)));
        if cost > COST_LIMIT || depth >= DEPTH_LIMIT {
            self.too_large(at);
            return None;
        }
        let number = self.parts.len();
        self.parts.push(part);
        self.sizes.push((cost, depth + 1));
        self.known.insert(at.to_vec(), Some(number));
        Some(number)
    }

    fn too_large(&mut self, at: &[String]) {
        let message = format!(
            "the schema is too large: with its references written out at most {COST_LIMIT} parts and {DEPTH_LIMIT} levels"
        );
        self.fault(at, message, "ask for less, or split the topics over several rules");
    }
}

/// One schema object.
struct One<'c, 's> {
    compiler: &'c mut Compiler<'s>,
    at: At,
    members: &'s Map<String, Json>,
    /// The parts it refers to.
    inner: Vec<usize>,
}

impl One<'_, '_> {
    fn below(&self, levels: &[&str]) -> At {
        self.at.iter().cloned().chain(levels.iter().map(|level| (*level).to_owned())).collect()
    }

    fn fault(&mut self, key: &str, message: impl Into<String>, remedy: &'static str) {
        let at = self.below(&[key]);
        self.compiler.fault(&at, message.into(), remedy);
    }

    /// The part that stands below.
    fn part(&mut self, levels: &[&str]) -> Option<usize> {
        let at = self.below(levels);
        let part = self.compiler.at(&at)?;
        self.inner.push(part);
        Some(part)
    }

    fn parts(&mut self, key: &str, value: &Json) -> Vec<usize> {
        let Some(items) = value.as_array().filter(|items| !items.is_empty()) else {
            self.fault(key, "this should be a list of schemas", "write at least one in brackets");
            return Vec::new();
        };
        (0..items.len()).filter_map(|at| self.part(&[key, &at.to_string()])).collect()
    }

    fn named<'v>(&mut self, key: &str, value: &'v Json) -> Vec<(&'v String, usize)> {
        let Some(members) = value.as_object() else {
            self.fault(key, "this should be a table of schemas", "write a table");
            return Vec::new();
        };
        members.keys().filter_map(|name| Some((name, self.part(&[key, name])?))).collect()
    }

    fn count(&mut self, key: &str, value: &Json) -> u64 {
        let whole = value.as_u64().or_else(|| {
            let real = value.as_f64().filter(|real| real.fract() == 0.0 && (0.0..1e15).contains(real))?;
            Some(real as u64)
        });
        whole.unwrap_or_else(|| {
            self.fault(key, "this should be a whole number, not below 0", "write one");
            0
        })
    }

    fn number(&mut self, key: &str, value: &Json) -> Number {
        value.as_number().cloned().unwrap_or_else(|| {
            self.fault(key, "this should be a number", "write one");
            Number::from(1)
        })
    }

    fn texts(&mut self, key: &str, value: &Json) -> Vec<String> {
        let texts = value
            .as_array()
            .and_then(|items| items.iter().map(|item| item.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
        texts.unwrap_or_else(|| {
            self.fault(key, "this should be a list of names", "write them in brackets, each in quotes");
            Vec::new()
        })
    }

    fn pattern(&mut self, at: &[&str], written: &str) -> Option<Pattern> {
        if self.compiler.patterns > PATTERNS_LIMIT {
            return None; // That has been said.
        }
        let (message, remedy) = match compile_pattern(written, written) {
            Ok((regex, memory)) => {
                self.compiler.patterns = self.compiler.patterns.saturating_add(memory);
                if self.compiler.patterns <= PATTERNS_LIMIT {
                    return Some(Pattern { regex, memory });
                }
                let most = PATTERNS_LIMIT >> 20;
                let message = format!("the patterns up to here take more than {most} MiB together");
                (message, "write simpler ones: `[a-z0-9]` takes far less than `\\w`, and `+` less than `{1,64}`")
            }
            Err(message) => (message, "mend it; look-around and back-references are not taken"),
        };
        let at = self.below(at);
        self.compiler.fault(&at, message, remedy);
        None
    }

    fn checks(&mut self) -> Vec<Check> {
        let members = self.members;
        let mut checks = Vec::new();
        // What is cheap first, and what says most.
        if let Some(value) = members.get("type") {
            checks.extend(self.types(value));
        }
        for (key, value) in members {
            if let Some(check) = self.check(key, value) {
                checks.push(check);
            }
        }
        checks.extend(self.properties());
        checks.extend(self.items());
        checks.extend(self.contains());
        checks.extend(self.condition());
        checks
    }

    fn types(&mut self, value: &Json) -> Option<Check> {
        let words: Vec<&str> = match value {
            Json::String(word) => vec![word],
            Json::Array(words) => words.iter().map(|word| word.as_str().unwrap_or_default()).collect(),
            _ => Vec::new(),
        };
        let known = |word: &&str| Type::ALL.iter().find(|(name, _)| name == word).map(|(_, meaning)| *meaning);
        let types: Option<Vec<Type>> = words.iter().map(known).collect();
        let types = types.filter(|types| !types.is_empty());
        if types.is_none() {
            let remedy = "write \"null\", \"boolean\", \"integer\", \"number\", \"string\", \"array\" or \"object\", or a list of them";
            self.fault("type", "this is not a type", remedy);
        }
        types.map(Check::Types)
    }

    /// What one keyword asks for on its own; `None` too where another keyword asks for it.
    fn check(&mut self, key: &str, value: &Json) -> Option<Check> {
        Some(match key {
            "enum" => {
                let Some(values) = value.as_array().filter(|values| !values.is_empty()) else {
                    self.fault(key, "this should be a list of values", "write at least one in brackets");
                    return None;
                };
                let mut values = values.clone();
                values.sort_by(|a, b| order(a, b, &mut 0));
                Check::OneOfValues(values, "one of the values that may stand here".to_owned())
            }
            "const" => Check::OneOfValues(vec![value.clone()], super::brief(value)),
            "minimum" => Check::Number(Bound::Least, self.number(key, value)),
            "exclusiveMinimum" => Check::Number(Bound::Above, self.number(key, value)),
            "maximum" => Check::Number(Bound::Most, self.number(key, value)),
            "exclusiveMaximum" => Check::Number(Bound::Below, self.number(key, value)),
            "multipleOf" => {
                let unit = self.number(key, value);
                if unit.as_f64().is_none_or(|unit| unit <= 0.0) {
                    self.fault(key, "this should be above 0", "write a number above 0");
                }
                Check::MultipleOf(unit)
            }
            "minLength" => Check::Length(Size::Least, self.count(key, value)),
            "maxLength" => Check::Length(Size::Most, self.count(key, value)),
            "minItems" => Check::Items(Size::Least, self.count(key, value)),
            "maxItems" => Check::Items(Size::Most, self.count(key, value)),
            "minProperties" => Check::Members(Size::Least, self.count(key, value)),
            "maxProperties" => Check::Members(Size::Most, self.count(key, value)),
            "pattern" => {
                let Some(written) = value.as_str() else {
                    self.fault(key, "this should be a pattern in quotes", "write one");
                    return None;
                };
                Check::Pattern(self.pattern(&[key], written)?)
            }
            "uniqueItems" => match value {
                Json::Bool(true) => Check::Unique,
                Json::Bool(false) => return None,
                _ => {
                    self.fault(key, "this should be true or false", "write one of them");
                    return None;
                }
            },
            "required" => Check::Required(self.texts(key, value)),
            "dependentRequired" => Check::DependentRequired(self.dependent_required(value)),
            "dependentSchemas" => {
                let named = self.named(key, value);
                Check::DependentSchemas(named.into_iter().map(|(name, part)| (name.clone(), part)).collect())
            }
            "propertyNames" => Check::Names(self.part(&[key])?),
            "allOf" => Check::All(self.parts(key, value)),
            "anyOf" => Check::Any(self.parts(key, value)),
            "oneOf" => Check::One(self.parts(key, value)),
            "not" => Check::Not(self.part(&[key])?),
            "$ref" => Check::All(vec![self.reference(value)?]),
            _ => {
                self.others(key, value);
                return None;
            }
        })
    }

    /// Keywords that ask for nothing, that others ask for, and those that are not known.
    fn others(&mut self, key: &str, value: &Json) {
        match key {
            "type"
            | "properties"
            | "patternProperties"
            | "additionalProperties"
            | "prefixItems"
            | "items"
            | "contains"
            | "minContains"
            | "maxContains"
            | "if"
            | "then"
            | "else" => {}
            "$defs" | "definitions" => _ = self.named(key, value),
            "$schema" if value.as_str().is_some_and(|edition| edition.trim_end_matches('#') == EDITION) => {}
            "$schema" => {
                let remedy = "write it for 2020-12: most schemas need only the other address, lists in `items` become `prefixItems`";
                self.fault(key, format!("this schema is for another edition than {EDITION}"), remedy);
            }
            // A name for others; references lead within the schema only.
            "$id" if self.at.is_empty() => {}
            key if ANNOTATIONS.contains(&key) => {}
            key => {
                let message = format!("\"{key}\" is not a keyword of JSON Schema that is checked here");
                self.fault(key, message, "take it out, or say it in other keywords; the manual lists them");
            }
        }
    }

    fn dependent_required(&mut self, value: &Json) -> Vec<(String, Vec<String>)> {
        let Some(members) = value.as_object() else {
            self.fault("dependentRequired", "this should be a table of lists", "write a table");
            return Vec::new();
        };
        members.iter().map(|(name, others)| (name.clone(), self.texts("dependentRequired", others))).collect()
    }

    fn reference(&mut self, value: &Json) -> Option<usize> {
        let pointer = value.as_str().and_then(|text| text.strip_prefix('#'));
        let local = pointer.filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let Some(pointer) = local else {
            let remedy = "put what it refers to under `$defs`, and write \"#/$defs/name\"";
            self.fault("$ref", "a reference leads within the schema, for nothing is fetched from elsewhere", remedy);
            return None;
        };
        let decoded = percent_decoded(pointer);
        let levels: At = decoded.split('/').skip(1).map(|level| level.replace("~1", "/").replace("~0", "~")).collect();
        let part = self.compiler.at(&levels)?;
        self.inner.push(part);
        Some(part)
    }

    fn properties(&mut self) -> Option<Check> {
        let members = self.members;
        let named = members.get("properties").map(|value| self.named("properties", value)).unwrap_or_default();
        let named: HashMap<String, usize> = named.into_iter().map(|(name, part)| (name.clone(), part)).collect();
        let written = members.get("patternProperties").map(|value| self.named("patternProperties", value));
        let mut patterns = Vec::new();
        for (pattern, part) in written.unwrap_or_default() {
            if let Some(compiled) = self.pattern(&["patternProperties", pattern], pattern) {
                patterns.push((compiled, part));
            }
        }
        let rest = members.get("additionalProperties").and_then(|_| self.part(&["additionalProperties"]));
        let asks = !named.is_empty() || !patterns.is_empty() || rest.is_some();
        asks.then_some(Check::Properties { named, patterns, rest })
    }

    fn items(&mut self) -> Option<Check> {
        let members = self.members;
        let first = members.get("prefixItems").map(|value| self.parts("prefixItems", value)).unwrap_or_default();
        let rest = match members.get("items") {
            Some(Json::Array(_)) => {
                self.fault("items", "since 2020-12 a list of schemas is `prefixItems`", "write `prefixItems` for it");
                None
            }
            Some(_) => self.part(&["items"]),
            None => None,
        };
        (!first.is_empty() || rest.is_some()).then_some(Check::Each { first, rest })
    }

    fn contains(&mut self) -> Option<Check> {
        let members = self.members;
        let least = members.get("minContains").map_or(1, |value| self.count("minContains", value));
        let most = members.get("maxContains").map(|value| self.count("maxContains", value));
        members.get("contains")?;
        let part = self.part(&["contains"])?;
        Some(Check::Contains { part, least, most })
    }

    fn condition(&mut self) -> Option<Check> {
        let members = self.members;
        let then = members.get("then").and_then(|_| self.part(&["then"]));
        let otherwise = members.get("else").and_then(|_| self.part(&["else"]));
        members.get("if")?;
        let condition = self.part(&["if"])?;
        Some(Check::If { condition, then, otherwise })
    }
}

/// `%25` is `%`. What is no such thing stays as it is.
fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = others.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = others;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
