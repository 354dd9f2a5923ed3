//! What a new model changes against the old one, part by part and field by field, in words.

use super::form::{self, Form};
use crate::repository::{Change, Op};
use andon_model::plant::{MasterKind, Plant, TagDef};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// The longest detail, in characters; what is beyond is left out with an ellipsis.
const DETAIL_LIMIT: usize = 2_000;
/// The longest value shown within a detail, in characters.
const VALUE_LIMIT: usize = 120;

/// A part before and after, under the name it has after (or had).
type Pair = (String, Option<Form>, Option<Form>);

/// What changes from `old` to `new`: equipment, tags, connectors, topics, topic rules, master data by its kind, alarms, each sorted by
/// name.
///
/// A tag that keeps its id under another path is one change ("path: … → …"), not a removal and an addition.
#[must_use]
pub fn plan(old: &Plant, new: &Plant) -> Vec<Change> {
    let (old_above, new_above) = (form::inherited(old), form::inherited(new));
    let above = |map: &HashMap<&str, _>, path: &str| map.get(path).copied().unwrap_or_default();
    let equipment = by_name(
        old.equipment.iter().map(|e| (e.path.to_string(), form::equipment(e, above(&old_above, e.path.as_str())))),
        new.equipment.iter().map(|e| (e.path.to_string(), form::equipment(e, above(&new_above, e.path.as_str())))),
    );
    let connectors = by_name(
        old.connectors.iter().map(|c| (c.name.clone(), form::connector(c))),
        new.connectors.iter().map(|c| (c.name.clone(), form::connector(c))),
    );
    let topics = by_name(
        old.topics.iter().map(|t| (t.filter.clone(), form::topic(t))),
        new.topics.iter().map(|t| (t.filter.clone(), form::topic(t))),
    );
    let rules = by_name(
        old.topic_rules.iter().map(|r| (r.name.clone(), form::topic_rule(r))),
        new.topic_rules.iter().map(|r| (r.name.clone(), form::topic_rule(r))),
    );
    let alarms = by_name(
        old.alarms.iter().map(|a| (a.name.clone(), form::alarm(a))),
        new.alarms.iter().map(|a| (a.name.clone(), form::alarm(a))),
    );
    let mut changes = Vec::new();
    describe(&mut changes, "equipment", equipment);
    describe(&mut changes, "tag", tags(old, new));
    describe(&mut changes, "connector", connectors);
    describe(&mut changes, "topic", topics);
    describe(&mut changes, "topic_rule", rules);
    for kind in MasterKind::ALL {
        describe(&mut changes, kind.word(), by_name(master(old, kind), master(new, kind)));
    }
    describe(&mut changes, "alarm", alarms);
    changes
}

fn master(plant: &Plant, kind: MasterKind) -> impl Iterator<Item = (String, Form)> {
    let own = plant.master.iter().filter(move |item| item.kind == kind);
    own.map(|item| (item.name.clone(), form::master(item)))
}

fn by_name(old: impl Iterator<Item = (String, Form)>, new: impl Iterator<Item = (String, Form)>) -> Vec<Pair> {
    let mut sides: BTreeMap<String, (Option<Form>, Option<Form>)> = BTreeMap::new();
    for (name, form) in old {
        sides.entry(name).or_default().0 = Some(form);
    }
    for (name, form) in new {
        sides.entry(name).or_default().1 = Some(form);
    }
    sides.into_iter().map(|(name, (old, new))| (name, old, new)).collect()
}

/// A tag goes by its id; one that has none yet, or a new one, by its path.
fn tags(old: &Plant, new: &Plant) -> Vec<Pair> {
    let (mut by_id, mut by_path): (HashMap<Uuid, &TagDef>, HashMap<&str, &TagDef>) = Default::default();
    for tag in &old.tags {
        if tag.id.is_nil() {
            by_path.insert(tag.path.as_str(), tag);
        } else {
            by_id.insert(tag.id, tag);
        }
    }
    let mut pairs = Vec::with_capacity(new.tags.len());
    let mut rest = Vec::new();
    for tag in &new.tags {
        match by_id.remove(&tag.id) {
            Some(before) => pairs.push((tag.path.to_string(), Some(form::tag(before)), Some(form::tag(tag)))),
            None => rest.push(tag),
        }
    }
    by_path.extend(by_id.values().map(|tag| (tag.path.as_str(), *tag)));
    for tag in rest {
        let before = by_path.remove(tag.path.as_str()).map(|before| {
            // Its id is still to be given and will be the one of its path: no change.
            let id = if tag.id.is_nil() { Uuid::nil() } else { before.id };
            form::tag(&TagDef { id, ..before.clone() })
        });
        pairs.push((tag.path.to_string(), before, Some(form::tag(tag))));
    }
    pairs.extend(by_path.into_iter().map(|(path, before)| (path.to_owned(), Some(form::tag(before)), None)));
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    pairs
}

fn describe(changes: &mut Vec<Change>, kind: &str, pairs: Vec<Pair>) {
    for (name, old, new) in pairs {
        let (op, detail) = match (old, new) {
            (None, None) => continue,
            (None, Some(_)) => (Op::Add, String::new()),
            (Some(_), None) => (Op::Remove, String::new()),
            (Some(old), Some(new)) if old == new => continue,
            (Some(old), Some(new)) => (Op::Change, detail(&old, &new)),
        };
        changes.push(Change { op, kind: kind.to_owned(), name, detail });
    }
}

/// `limit: 80.0 → 85.0, action: "…" added`.
fn detail(old: &Form, new: &Form) -> String {
    let mut words = Vec::new();
    let find = |form: &Form, key: &str| form.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone());
    for (key, after) in new {
        differ(&mut words, key, find(old, key).as_ref(), Some(after));
    }
    for (key, before) in old.iter().filter(|(key, _)| find(new, key).is_none()) {
        differ(&mut words, key, Some(before), None);
    }
    shorten(&words.join(", "), DETAIL_LIMIT)
}

/// Goes down to the fields that differ.
fn differ(words: &mut Vec<String>, at: &str, old: Option<&Json>, new: Option<&Json>) {
    match (old, new) {
        (Some(old), Some(new)) if old == new => {}
        (Some(Json::Object(old)), Some(Json::Object(new))) => {
            for (key, after) in new {
                differ(words, &format!("{at}.{key}"), old.get(key), Some(after));
            }
            for (key, before) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
                differ(words, &format!("{at}.{key}"), Some(before), None);
            }
        }
        (Some(Json::Array(old)), Some(Json::Array(new)))
            if [old, new].iter().any(|list| list.iter().any(Json::is_object)) =>
        {
            for index in 0..old.len().max(new.len()) {
                differ(words, &format!("{at}[{index}]"), old.get(index), new.get(index));
            }
        }
        (Some(old), Some(new)) => words.push(format!("{at}: {} → {}", shown(old), shown(new))),
        (None, Some(new)) => words.push(format!("{at}: {} added", shown(new))),
        (Some(old), None) => words.push(format!("{at}: {} removed", shown(old))),
        (None, None) => {}
    }
}

fn shown(value: &Json) -> String {
    shorten(&value.to_string(), VALUE_LIMIT)
}

fn shorten(text: &str, limit: usize) -> String {
    match text.char_indices().nth(limit) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
