//! The settings of a connector or a topic: the document's own words, as JSON, without literal secrets.

use super::node::{Data, Entry, Node};
use super::report::{Place, Report, TYPE_AGAIN};
use andon_model::text::{self, password_in_url};
use serde_json::{Map, Value as Json};

/// A key that ends so holds a secret. Compared in lower case, without `_` and `-`.
const SECRET_ENDS: [&str; 10] =
    ["password", "passwd", "passphrase", "passcode", "pwd", "secret", "token", "apikey", "privatekey", "credentials"];

/// Turns the entries into JSON; what cannot stand there is reported and left out.
pub(super) fn to_json(entries: &[Entry], report: &mut Report) -> Json {
    let mut map = Map::new();
    for entry in entries {
        if let Err(hidden) = text::check_line(&entry.key) {
            report.add(entry.at, format!("in this key, {hidden}"), TYPE_AGAIN);
        }
        if let Some(value) = value(Some(&entry.key), &entry.value, report) {
            map.insert(entry.key.clone(), value);
        }
    }
    Json::Object(map)
}

fn value(key: Option<&str>, node: &Node, report: &mut Report) -> Option<Json> {
    match &node.data {
        Data::Bool(boolean) => Some(Json::from(*boolean)),
        Data::Int(number) => Some(Json::from(*number)),
        Data::Float(number) if number.is_finite() => Some(Json::from(*number)),
        Data::Text(text) => {
            if let Err(hidden) = text::check_lines(text) {
                report.add(node.at, format!("in this text, {hidden}"), TYPE_AGAIN);
            }
            refuse_secret(key, text, node.at, report);
            Some(Json::from(text.as_str()))
        }
        Data::List(nodes) => Some(Json::Array(nodes.iter().filter_map(|inner| value(key, inner, report)).collect())),
        Data::Table(entries) => {
            if let Some(reference) = reference(entries, report) {
                return Some(reference);
            }
            Some(to_json(entries, report))
        }
        Data::Float(_) | Data::Other(_) => {
            let word = if matches!(node.data, Data::Float(_)) { "a number that is not finite" } else { node.word() };
            report.add(node.at, format!("{word} cannot be a setting"), "write a text, a number, true or false");
            None
        }
    }
}

/// `{ secret = "name" }`, and nothing beside it.
fn reference(entries: &[Entry], report: &mut Report) -> Option<Json> {
    let [Entry { key, value: Node { at, data: Data::Text(name) }, .. }] = entries else { return None };
    if key != "secret" {
        return None;
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > 64 || !name.chars().all(allowed) {
        report.add(
            *at,
            "a secret's name is 1 to 64 letters, digits, `_`, `-` and `.`",
            "write the name, not the secret itself",
        );
    }
    Some(Json::Object([(key.clone(), Json::from(name.as_str()))].into_iter().collect()))
}

fn refuse_secret(key: Option<&str>, text: &str, at: Place, report: &mut Report) {
    let key = key.unwrap_or_default();
    let plain: String = key.to_lowercase().chars().filter(|c| !matches!(c, '_' | '-')).collect();
    if !text.is_empty() && SECRET_ENDS.iter().any(|end| plain.ends_with(end)) {
        let remedy = format!("write `{key} = {{ secret = \"name\" }}` and keep the secret itself outside the document");
        report.add(at, format!("\"{key}\" holds a secret in plain text"), remedy);
    } else if password_in_url(text) {
        let remedy = "leave the password out of the address and give it as `password = { secret = \"name\" }`";
        report.add(at, "the address holds a password in plain text", remedy);
    }
}

/// The place of what a finding points to: as deep as the document goes.
pub(super) fn place(entries: &[Entry], pointer: &[String], otherwise: Place) -> Place {
    let Some((first, rest)) = pointer.split_first() else { return otherwise };
    let Some(entry) = entries.iter().find(|entry| entry.key == *first) else { return otherwise };
    if rest.is_empty() { entry.value.at } else { inside(&entry.value, rest) }
}

/// The text to which a finding points.
pub(super) fn text_at<'j>(settings: &'j Json, pointer: &[String]) -> Option<&'j str> {
    let inner = pointer.iter().try_fold(settings, |at, key| match at {
        Json::Array(list) => list.get(key.parse::<usize>().ok()?),
        at => at.get(key),
    });
    inner?.as_str()
}

fn inside(node: &Node, pointer: &[String]) -> Place {
    let Some((first, rest)) = pointer.split_first() else { return node.at };
    match &node.data {
        Data::Table(entries) => place(entries, pointer, node.at),
        Data::List(nodes) => {
            let inner = first.parse().ok().and_then(|index: usize| nodes.get(index));
            inner.map_or(node.at, |inner| inside(inner, rest))
        }
        _ => node.at,
    }
}
