//! The rules of a whole model, for whoever brings one: put in order, then checked.
//!
//! A model that came through documents cannot break them; there every breach has a line. This is the lock on the
//! store's door for models that were built by hand or came out of an old version.

use andon_model::plant::{KEEP_DAYS_LIMIT, MASTER_LIMIT, MasterKind, Plant};
use std::collections::{BTreeSet, HashSet};
use std::hash::Hash;

/// The most tags a model may have.
pub(super) const TAG_LIMIT: usize = 200_000;
/// The most topic rules a model may have.
pub(super) const TOPIC_RULE_LIMIT: usize = 1_000;

/// Sorts every part by its name and checks the invariants of [`andon_model::plant`].
/// # Errors
/// The first rule that is broken, in words.
pub(crate) fn order_and_check(plant: &mut Plant) -> Result<(), String> {
    plant.equipment.sort_by(|a, b| a.path.cmp(&b.path));
    plant.tags.sort_by(|a, b| a.path.cmp(&b.path));
    plant.connectors.sort_by(|a, b| a.name.cmp(&b.name));
    plant.topics.sort_by(|a, b| a.filter.cmp(&b.filter));
    plant.topic_rules.sort_by(|a, b| a.name.cmp(&b.name));
    plant.master.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    plant.alarms.sort_by(|a, b| a.name.cmp(&b.name));
    if plant.tags.len() > TAG_LIMIT {
        return Err(format!("{} tags are over the limit of {TAG_LIMIT}", plant.tags.len()));
    }
    let equipment = unique("equipment", plant.equipment.iter().map(|e| e.path.as_str()))?;
    let tags = unique("tag", plant.tags.iter().map(|t| t.path.as_str()))?;
    unique("tag id", plant.tags.iter().map(|t| t.id))?;
    unique("connector", plant.connectors.iter().map(|c| c.name.as_str()))?;
    unique("topic", plant.topics.iter().map(|t| t.filter.as_str()))?;
    unique("topic rule", plant.topic_rules.iter().map(|r| r.name.as_str()))?;
    unique("topic filter of a rule", plant.topic_rules.iter().map(|r| r.filter.as_str()))?;
    if plant.topic_rules.len() > TOPIC_RULE_LIMIT {
        return Err(format!("{} topic rules are over the limit of {TOPIC_RULE_LIMIT}", plant.topic_rules.len()));
    }
    for kind in MasterKind::ALL {
        let names = plant.master.iter().filter(|def| def.kind == kind).map(|def| def.name.as_str());
        let count = unique(kind.word(), names)?.len();
        if count > MASTER_LIMIT {
            return Err(format!("{count} tables [[{}]] are over the limit of {MASTER_LIMIT}", kind.word()));
        }
    }
    unique("alarm", plant.alarms.iter().map(|a| a.name.as_str()))?;
    let parents = plant.equipment.iter().filter_map(|e| Some((e.path.as_str(), e.path.parent()?)));
    for (path, parent) in parents {
        if !equipment.contains(parent.as_str()) {
            return Err(format!("the equipment {path} stands under {parent}, which is not there"));
        }
    }
    for tag in &plant.tags {
        if !equipment.contains(tag.path.equipment().as_str()) {
            return Err(format!("the tag {} belongs to {}, which is not there", tag.path, tag.path.equipment()));
        }
    }
    let limits = keep_days(plant).len();
    if limits > KEEP_DAYS_LIMIT {
        return Err(format!("{limits} different keep_days are over the limit of {KEEP_DAYS_LIMIT}"));
    }
    for alarm in &plant.alarms {
        if !tags.contains(alarm.tag.as_str()) {
            return Err(format!("the alarm {} watches {}, which is not there", alarm.name, alarm.tag));
        }
    }
    Ok(())
}

/// Every `keep_days` that is said anywhere.
pub(super) fn keep_days(plant: &Plant) -> BTreeSet<u32> {
    let equipment = plant.equipment.iter().filter_map(|item| item.keep_days);
    equipment.chain(plant.tags.iter().filter_map(|item| item.keep_days)).collect()
}

fn unique<K: Eq + Hash + Copy + std::fmt::Display>(
    what: &str,
    keys: impl Iterator<Item = K>,
) -> Result<HashSet<K>, String> {
    let mut seen = HashSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(format!("the {what} {key} is there twice"));
        }
    }
    Ok(seen)
}
