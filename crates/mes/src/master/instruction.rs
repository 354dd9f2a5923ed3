//! `[[instruction]]`: what somebody reads to do some work, and the digest by which they confirm that they have seen this and nothing else.

use super::{limited, line, needed_lines, revision};
use crate::certificate::{Hex, Sha256};
use andon_model::plant::{MasterDef, MasterKind};
use andon_model::settings::Table;
use serde_json::Value as Json;
use sha2::Digest as _;
use std::collections::BTreeMap;

/// The longest text of an instruction, all steps together, in bytes.
pub const TEXT_LIMIT: usize = 64 << 10;
/// The most steps.
const STEPS: usize = 200;

/// What somebody reads to do some work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Its name.
    pub name: String,
    /// Which edition it is; `None`: it has none.
    pub revision: Option<String>,
    /// What people call it; its name where nothing else is said.
    pub title: String,
    /// What is to be read, as plain text or Markdown.
    pub body: Body,
    /// SHA-256 over the canonical JSON (RFC 8785) of everything in the document's table but `name` and `revision`. Whoever confirms that
    /// they have seen the instruction confirms this digest.
    pub sha256: Sha256,
}

/// What is to be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Body {
    /// One text.
    Text(String),
    /// One thing after the other.
    Steps(Vec<Step>),
}

/// One step of an instruction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// What people call it; may be empty.
    pub title: String,
    /// What is to be done.
    pub text: String,
}

pub(super) fn read(table: &mut Table<'_, '_>, def: &MasterDef) -> Option<Instruction> {
    table.only(&["title", "text", "steps"]);
    let (name, revision) = revision::read(table, MasterKind::Instruction, &def.name);
    let title = line(table, "title").unwrap_or_else(|| name.clone());
    let body = match (table.map.contains_key("text"), table.map.contains_key("steps")) {
        (true, false) => needed_lines(table, "text", TEXT_LIMIT, "write what is to be done").map(Body::Text),
        (false, true) => steps(table).map(Body::Steps),
        _ => {
            let message = "what is to be done is not said, or said twice".to_owned();
            table.found_here(message, "write either `text` or `steps`");
            None
        }
    };
    Some(Instruction { name, revision, title, body: body?, sha256: digest(&def.settings) })
}

fn steps(table: &mut Table<'_, '_>) -> Option<Vec<Step>> {
    limited(table, "steps", STEPS)?;
    let steps = table.tables("steps", |table| {
        table.only(&["title", "text"]);
        let title = line(table, "title").unwrap_or_default();
        Some(Step { title, text: needed_lines(table, "text", TEXT_LIMIT, "write what is to be done")? })
    });
    let steps: Vec<Step> = steps.into_iter().collect::<Option<_>>()?;
    let bytes: usize = steps.iter().map(|step| step.title.len() + step.text.len()).sum();
    if bytes > TEXT_LIMIT {
        let message = format!("the steps have {bytes} bytes, which is over the limit of {TEXT_LIMIT}");
        table.found("steps", message, "make several instructions of it");
        return None;
    }
    if steps.is_empty() {
        return table.wrong("steps", "at least one step: { title = \"…\", text = \"…\" }");
    }
    Some(steps)
}

/// The digest of settings that hold texts, lists and tables only, as those of an instruction do.
fn digest(settings: &Json) -> Sha256 {
    // Serde writes no white space and escapes in texts what RFC 8785 escapes; the order of members is ours to give.
    Hex(sha2::Sha256::digest(sorted(settings).to_string()).into())
}

/// With the members of all tables in the order of their names. Those of an instruction are ASCII, where the order of bytes is that of
/// UTF-16 code units.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Object(map) => {
            let members: BTreeMap<&String, Json> = map.iter().map(|(key, value)| (key, sorted(value))).collect();
            Json::Object(members.into_iter().map(|(key, value)| (key.clone(), value)).collect())
        }
        Json::Array(list) => Json::Array(list.iter().map(sorted).collect()),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_digest_is_that_of_the_canonical_json() {
        // printf '%s' '{"steps":[{"text":"turn\n\"it\" é","title":"1"}],"title":"A"}' | sha256sum
        let settings = json!({ "title": "A", "steps": [{ "title": "1", "text": "turn\n\"it\" é" }] });
        assert_eq!(digest(&settings).to_string(), "00ff5ab265e2231eb666cddd8f21afea7205a74c39dfbd068afcd2255318f6d9");
        assert_ne!(digest(&json!({ "title": "A" })), digest(&json!({ "title": "B" })));
    }
}
