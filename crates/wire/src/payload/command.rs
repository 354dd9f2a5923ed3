//! The way back: which message switches a tag, and what a PUBLISH to a command topic asks for.

use super::convert::{Convert, boolean_word, shorten, show};
use super::settings::TagName;
use super::template::Template;
use andon_model::{DataType, Value};
use serde_json::Value as Json;

/// A tag that can be written, and how.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) tag: TagName,
    /// Where the device listens.
    pub(super) topic: Template,
    /// `topic` as a filter, with the wildcard that each `+` stands for.
    pub(super) filter: String,
    pub(super) order: Vec<usize>,
    /// The topic on which others may command the tag, as a filter.
    pub(super) bound: Option<(String, Vec<usize>)>,
    pub(super) payload: Payload,
    pub(super) convert: Convert,
    /// How many `+` the mapping's filter has.
    pub(super) wildcards: usize,
}

/// A payload with one hole for the value.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Payload {
    Text {
        before: String,
        after: String,
    },
    Json {
        template: Json,
        /// RFC 6901 pointer to the hole.
        hole: String,
        /// `$VALUE` rather than `$ON_OFF`.
        plain: bool,
        /// Pointers to what may differ in a foreign client's payload.
        ignored: Vec<String>,
    },
}

impl Payload {
    pub(super) fn text(text: &str) -> Result<Self, String> {
        match text.split_once("{value}") {
            Some((before, after)) if !after.contains("{value}") => {
                Ok(Self::Text { before: before.to_owned(), after: after.to_owned() })
            }
            _ => Err("a payload has exactly one {value}".to_owned()),
        }
    }

    pub(super) fn json(template: Json) -> Result<Self, String> {
        let holes: Vec<(String, bool)> = leaves(&template)
            .into_iter()
            .filter_map(|(at, leaf)| match leaf.as_str() {
                Some("$ON_OFF") => Some((at, false)),
                Some("$VALUE") => Some((at, true)),
                _ => None,
            })
            .collect();
        match holes.as_slice() {
            [(hole, plain)] => Ok(Self::Json { hole: hole.clone(), plain: *plain, template, ignored: Vec::new() }),
            _ => Err("a payload has exactly one \"$ON_OFF\" or \"$VALUE\"".to_owned()),
        }
    }

    pub(super) fn ignoring(mut self, pointers: &[&str]) -> Self {
        if let Self::Json { ignored, .. } = &mut self {
            ignored.extend(pointers.iter().map(|pointer| (*pointer).to_owned()));
        }
        self
    }

    /// Whether a boolean stands as JSON `true`, not as a word.
    pub(super) const fn is_plain_value(&self) -> bool {
        matches!(self, Self::Json { plain: true, .. })
    }

    /// `fill` puts the wildcards into the texts of a template, such as the device's id.
    pub(super) fn render(&self, value: Json, fill: &dyn Fn(&str) -> String) -> Vec<u8> {
        match self {
            Self::Text { before, after } => format!("{before}{}{after}", plain_text(&value)).into_bytes(),
            Self::Json { template, hole, .. } => {
                let mut message = template.clone();
                fill_texts(&mut message, fill);
                if let Some(slot) = message.pointer_mut(hole) {
                    *slot = value;
                }
                message.to_string().into_bytes()
            }
        }
    }
}

fn plain_text(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn fill_texts(json: &mut Json, fill: &dyn Fn(&str) -> String) {
    match json {
        Json::String(text) if text.contains('{') => *text = fill(text),
        Json::Array(items) => items.iter_mut().for_each(|item| fill_texts(item, fill)),
        Json::Object(map) => map.values_mut().for_each(|item| fill_texts(item, fill)),
        _ => {}
    }
}

/// Every value that is no table or list, under its RFC 6901 pointer. As deep as the JSON reader allows (128).
fn leaves(root: &Json) -> Vec<(String, &Json)> {
    fn walk<'j>(at: String, json: &'j Json, found: &mut Vec<(String, &'j Json)>) {
        match json {
            Json::Object(map) => {
                for (key, inner) in map {
                    walk(format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), inner, found);
                }
            }
            Json::Array(items) => {
                for (number, inner) in items.iter().enumerate() {
                    walk(format!("{at}/{number}"), inner, found);
                }
            }
            leaf => found.push((at, leaf)),
        }
    }
    let mut found = Vec::new();
    walk(String::new(), root, &mut found);
    found
}

/// What a payload on a device's command topic asks of each of `commands`, all of which listen there.
/// # Errors
/// In words, when the payload asks for something that none of them can carry out: it is then not carried out in part.
pub(super) fn parse_device_payload<'c>(
    commands: &[&'c Command],
    payload: &str,
) -> Result<Vec<(&'c Command, Json)>, String> {
    if let [command] = commands
        && let Payload::Text { before, after } = &command.payload
    {
        let inner =
            payload.trim().strip_prefix(before.trim_start()).and_then(|rest| rest.strip_suffix(after.trim_end()));
        let inner =
            inner.ok_or_else(|| format!("\"{}\" is not of the form \"{before}{{value}}{after}\"", shorten(payload)))?;
        return Ok(vec![(*command, Json::from(inner))]);
    }
    let root: Json = serde_json::from_str(payload).map_err(|error| format!("the payload is no JSON: {error}"))?;
    let asked = leaves(&root);
    let mut wanted = Vec::new();
    for command in commands {
        let Payload::Json { template, hole, ignored, .. } = &command.payload else { continue };
        let constants_agree = leaves(template).into_iter().all(|(at, constant)| {
            at == *hole || ignored.contains(&at) || root.pointer(&at).is_some_and(|given| given == constant)
        });
        if let Some(value) = root.pointer(hole).filter(|_| constants_agree) {
            wanted.push((*command, value.clone()));
        }
    }
    let understood = |at: &String| {
        wanted.iter().any(|(command, _)| match &command.payload {
            Payload::Json { template, ignored, .. } => template.pointer(at).is_some() || ignored.contains(at),
            Payload::Text { .. } => false,
        })
    };
    if wanted.is_empty() {
        return Err(format!("{} is not a command that this node can carry out", show(&root)));
    }
    match asked.iter().find(|(at, _)| !understood(at)) {
        Some((at, _)) => Err(format!(
            "\"{}\" cannot be carried out with the rest; leave it out",
            shorten(at.trim_start_matches('/'))
        )),
        None => Ok(wanted),
    }
}

/// What a payload on a bound command topic asks for: a plain value, or a JSON scalar.
pub(super) fn bound_value(payload: &str) -> Json {
    let text = payload.trim();
    let quoted = text.starts_with('"').then(|| serde_json::from_str(text).ok()).flatten();
    quoted.unwrap_or_else(|| Json::from(text))
}

/// A wanted value in the tag's type. On a bound topic the plain words of every format count as well.
/// # Errors
/// In words, why the value cannot be read.
pub(super) fn wanted_value(convert: &Convert, raw: &Json, wanted: DataType, bound: bool) -> Result<Value, String> {
    let text = raw.as_str().unwrap_or_default();
    if text.eq_ignore_ascii_case("toggle") {
        return Err("\"toggle\" says no wanted state; send on or off".to_owned());
    }
    if bound {
        let plain = Convert::default();
        return match boolean_word(text) {
            Some(state) if wanted == DataType::Boolean => Ok(Value::Boolean(state)),
            _ => some(plain.read(raw, wanted)?),
        };
    }
    // The words for on and off belong to boolean tags; a level beside them is a plain number.
    let words = wanted == DataType::Boolean;
    let convert = Convert {
        on: convert.on.clone().filter(|_| words),
        off: convert.off.clone().filter(|_| words),
        ..convert.clone()
    };
    some(convert.read(raw, wanted)?)
}

fn some(value: Value) -> Result<Value, String> {
    if value == Value::Null { Err("the payload has no value".to_owned()) } else { Ok(value) }
}
