//! From drafts to one model: merged into the model in force, then checked as a whole.

use super::check::{TAG_LIMIT, TOPIC_RULE_LIMIT, keep_days};
use super::form::carries_profile;
use super::read::{AlarmDraft, Draft, Placed, TagDraft};
use super::report::{Place, Report, nearest};
use super::settings;
use andon_model::plant::{
    AlarmDef, Condition, ConnectorDef, Equipment, Finding, KEEP_DAYS_LIMIT, MASTER_LIMIT, MasterDef, MasterKind, Plant,
    Profile, SettingsCheck, TagDef, TopicDef, TopicRuleDef,
};
use andon_model::{DataType, EquipmentPath, TagPath};
use serde_json::Value as Json;
use std::cell::LazyCell;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::Hash;
use uuid::Uuid;

/// With more unusable equipment and tags than this, there is enough to mend before settings are looked at.
const DOUBTS_LIMIT: usize = 100;

/// Merges `draft` into `base` and checks the outcome; everything wrong goes to `report`.
pub(super) fn assemble(
    base: &Plant,
    mut draft: Draft,
    prune: bool,
    checks: &dyn SettingsCheck,
    report: &mut Report,
) -> Plant {
    once(report, "equipment", &draft.equipment, |item| item.0.path.clone());
    once(report, "tag", &draft.tags, |item| item.def.path.clone());
    once(report, "connector", &draft.connectors, |item| item.name.clone());
    once(report, "topic", &draft.topics, |item| item.filter.clone());
    once(report, "topic_rule", &draft.topic_rules, |item| item.name.clone());
    for (kind, list) in &draft.master {
        once(report, kind.word(), list, |item| item.name.clone());
    }
    once(report, "alarm", &draft.alarms, |item| item.def.name.clone());
    let equipment = merge_equipment(base, &draft, prune);
    let renamed = give_ids(base, &mut draft, report);
    let tags = merge_tags(base, &draft, &renamed, prune);
    once_by_id(report, &draft, &tags);
    name_states(&mut draft.alarms, &tags, report);
    let mut connectors: BTreeMap<&str, &ConnectorDef> =
        base.connectors.iter().filter(|_| !prune).map(|item| (item.name.as_str(), item)).collect();
    connectors.extend(draft.connectors.iter().map(|placed| (placed.item.name.as_str(), &placed.item)));
    let mut topics: BTreeMap<&str, &TopicDef> =
        base.topics.iter().filter(|_| !prune).map(|item| (item.filter.as_str(), item)).collect();
    topics.extend(draft.topics.iter().map(|placed| (placed.item.filter.as_str(), &placed.item)));
    let mut topic_rules: BTreeMap<&str, &TopicRuleDef> =
        base.topic_rules.iter().filter(|_| !prune).map(|item| (item.name.as_str(), item)).collect();
    topic_rules.extend(draft.topic_rules.iter().map(|placed| (placed.item.name.as_str(), &placed.item)));
    let mut master: BTreeMap<(MasterKind, &str), &MasterDef> =
        base.master.iter().filter(|_| !prune).map(|item| ((item.kind, item.name.as_str()), item)).collect();
    let placed = draft.master.values().flatten();
    master.extend(placed.map(|placed| ((placed.item.kind, placed.item.name.as_str()), &placed.item)));
    let mut alarms: BTreeMap<String, AlarmDef> = base
        .alarms
        .iter()
        .filter(|_| !prune)
        .map(|item| follow(item, &renamed))
        .map(|item| (item.name.clone(), item))
        .collect();
    alarms.extend(draft.alarms.iter().map(|placed| (placed.item.def.name.clone(), placed.item.def.clone())));
    let plant = Plant {
        version: base.version,
        equipment: equipment.into_values().collect(),
        tags: tags.into_values().collect(),
        connectors: connectors.into_values().cloned().collect(),
        topics: topics.into_values().cloned().collect(),
        topic_rules: topic_rules.into_values().cloned().collect(),
        master: master.into_values().cloned().collect(),
        alarms: alarms.into_values().collect(),
    };
    check_tree(&plant, &draft, report);
    check_keep_days(base, &plant, &draft, report);
    check_alarms(&plant, &draft, report);
    check_rule_filters(&plant, &draft, report);
    check_master_limit(&plant, &draft, report);
    let told = report.places();
    if draft.unusable.len() <= DOUBTS_LIMIT {
        check_settings(base, &plant, &draft, checks, &told, report);
        // Its tables name each other: what is missing may stand in one that could not be read.
        if !draft.unreadable && !draft.master_unusable {
            check_master(base, &plant, &draft, checks, &told, report);
        }
    }
    if draft.unusable.is_empty() && !draft.unreadable {
        // They look at all equipment at once.
        check_rules(base, &plant, &draft, checks, &told, report);
    }
    plant
}

/// No two tables of one name.
fn once<T, K: Eq + Hash + std::fmt::Display>(
    report: &mut Report,
    kind: &str,
    list: &[Placed<T>],
    key: impl Fn(&T) -> K,
) {
    let mut first: HashMap<K, Place> = HashMap::with_capacity(list.len());
    for placed in list {
        let name = key(&placed.item);
        if let Some(other) = first.get(&name) {
            let message = format!("the {kind} \"{name}\" is defined twice, first in {}", report.name(*other));
            let remedy = if kind == "alarm" { "keep one, or tell them apart with `name = \"2\"`" } else { "keep one" };
            report.add(placed.at, message, remedy);
        } else {
            first.insert(name, placed.at);
        }
    }
}

fn merge_equipment(base: &Plant, draft: &Draft, prune: bool) -> BTreeMap<EquipmentPath, Equipment> {
    // With the profile that stands there, where one does: only those hand it down.
    let mut merged: BTreeMap<EquipmentPath, (Equipment, Option<Profile>)> = BTreeMap::new();
    if !prune {
        let own = |item: &Equipment| carries_profile(item.level).then_some(item.profile);
        merged.extend(base.equipment.iter().map(|item| (item.path.clone(), (item.clone(), own(item)))));
    }
    merged.extend(draft.equipment.iter().map(|placed| (placed.item.0.path.clone(), placed.item.clone())));
    let mut profiles: HashMap<EquipmentPath, Profile> = HashMap::with_capacity(merged.len());
    let mut resolved = BTreeMap::new();
    // Sorted, so that what is above comes first.
    for (path, (mut item, own)) in merged {
        let above = path.parent().and_then(|parent| profiles.get(&parent).copied());
        item.profile = own.or(above).unwrap_or_default();
        profiles.insert(path.clone(), item.profile);
        resolved.insert(path, item);
    }
    resolved
}

/// Every tag that is known under its path, its former path or its id gets the id it has. Returns former → new path.
fn give_ids(base: &Plant, draft: &mut Draft, report: &mut Report) -> HashMap<TagPath, TagPath> {
    let by_path: HashMap<&TagPath, Uuid> = base.tags.iter().map(|tag| (&tag.path, tag.id)).collect();
    let by_id: HashMap<Uuid, &TagPath> = base.tags.iter().map(|tag| (tag.id, &tag.path)).collect();
    let mut renamed: HashMap<TagPath, TagPath> = HashMap::new();
    let mut claimed: HashMap<Uuid, Place> = HashMap::new();
    for placed in &mut draft.tags {
        let (at, from_place) = (placed.at, placed.place("renamed_from"));
        let TagDraft { def, renamed_from } = &mut placed.item;
        if !def.id.is_nil() {
            if let Some(path) = by_id.get(&def.id).filter(|path| ***path != def.path) {
                renamed.insert((*path).clone(), def.path.clone());
            }
            claimed.insert(def.id, at);
            continue;
        }
        // A path that is known already has been renamed before: the line may stay in the document.
        let Some(from) = renamed_from.as_ref().filter(|_| !by_path.contains_key(&def.path)) else { continue };
        match by_path.get(from) {
            Some(id) if claimed.contains_key(id) => {
                let other = claimed.get(id).copied().unwrap_or(Place::NONE);
                let message = format!("two tags claim to have been \"{from}\", the first in {}", report.name(other));
                report.add(from_place, message, "take `renamed_from` out of one of them");
            }
            Some(id) => {
                def.id = *id;
                claimed.insert(*id, at);
                renamed.insert(from.clone(), def.path.clone());
            }
            None if base.tags.is_empty() => {}
            None => {
                let near = nearest(from.as_str(), by_path.keys().map(|path| path.as_str()));
                let remedy = near.map_or_else(
                    || "take `renamed_from` out; the tag is new".to_owned(),
                    |near| format!("did you mean \"{near}\"? If the tag is new, take `renamed_from` out"),
                );
                report.add(from_place, format!("there is no tag \"{from}\" that could have been renamed"), remedy);
            }
        }
    }
    for placed in draft.tags.iter_mut().filter(|placed| placed.item.def.id.is_nil()) {
        let def = &mut placed.item.def;
        def.id = by_path.get(&def.path).copied().filter(|id| !claimed.contains_key(id)).unwrap_or_default();
    }
    renamed
}

fn merge_tags(
    base: &Plant,
    draft: &Draft,
    renamed: &HashMap<TagPath, TagPath>,
    prune: bool,
) -> BTreeMap<TagPath, TagDef> {
    let mut merged: BTreeMap<TagPath, TagDef> = BTreeMap::new();
    if !prune {
        let stays = base.tags.iter().filter(|tag| !renamed.contains_key(&tag.path));
        merged.extend(stays.map(|tag| (tag.path.clone(), tag.clone())));
    }
    merged.extend(draft.tags.iter().map(|placed| (placed.item.def.path.clone(), placed.item.def.clone())));
    merged
}

/// No two tags of one id; a written id may also meet one that the model in force holds.
fn once_by_id(report: &mut Report, draft: &Draft, tags: &BTreeMap<TagPath, TagDef>) {
    let mut paths: HashMap<Uuid, &TagPath> = HashMap::with_capacity(tags.len());
    let mut twice: HashSet<&TagPath> = HashSet::new();
    for tag in tags.values().filter(|tag| !tag.id.is_nil()) {
        if let Some(other) = paths.insert(tag.id, &tag.path) {
            twice.extend([other, &tag.path]);
        }
    }
    if tags.len() > TAG_LIMIT {
        report.add(
            Place::NONE,
            format!("{} tags are over the limit of {TAG_LIMIT}", tags.len()),
            "split the plant over several nodes",
        );
    }
    for placed in draft.tags.iter().filter(|placed| twice.contains(&placed.item.def.path)) {
        report.add(
            placed.place("id"),
            "another tag has the same id",
            "leave `id` out: the store gives every tag its own",
        );
    }
}

/// Few different limits, for history is written once more for each. Said where one comes that is not in the model in force.
fn check_keep_days(base: &Plant, plant: &Plant, draft: &Draft, report: &mut Report) {
    let all = keep_days(plant);
    if all.len() <= KEEP_DAYS_LIMIT {
        return;
    }
    let known = keep_days(base);
    let equipment = draft.equipment.iter().map(|placed| (placed.item.0.keep_days, placed.place("keep_days")));
    let tags = draft.tags.iter().map(|placed| (placed.item.def.keep_days, placed.place("keep_days")));
    let mut new = equipment.chain(tags).filter(|(days, _)| days.is_some_and(|days| !known.contains(&days)));
    let place = new.next_back().map_or(Place::NONE, |(_, place)| place);
    report.add(
        place,
        format!(
            "{} different keep_days are over the limit of {KEEP_DAYS_LIMIT}: history is written once more for each",
            all.len()
        ),
        "give tags that may be kept about as long the same number of days",
    );
}

/// An alarm of a renamed tag goes with it.
fn follow(alarm: &AlarmDef, renamed: &HashMap<TagPath, TagPath>) -> AlarmDef {
    let Some(path) = renamed.get(&alarm.tag) else { return alarm.clone() };
    let rest = alarm.name.strip_prefix(alarm.tag.as_str()).unwrap_or_default();
    AlarmDef { name: format!("{path}{rest}"), tag: path.clone(), ..alarm.clone() }
}

/// Turns a state's word into its number.
fn name_states(alarms: &mut [Placed<AlarmDraft>], tags: &BTreeMap<TagPath, TagDef>, report: &mut Report) {
    for placed in alarms {
        let place = placed.place("equals");
        let AlarmDraft { def, state_word: Some(word) } = &mut placed.item else { continue };
        let Some(tag) = tags.get(&def.tag) else { continue };
        match tag.states.iter().find(|(_, known)| *known == word) {
            Some((number, _)) => def.condition = Condition::State { equals: *number },
            None => {
                let states = states_of(tag);
                report.add(
                    place,
                    format!("\"{word}\" is not a state of {}", tag.path),
                    format!("write one of its states: {states}"),
                );
                // Reported once; the number must not be looked at again.
                def.condition = Condition::State { equals: tag.states.keys().next().copied().unwrap_or(0) };
            }
        }
    }
}

fn states_of(tag: &TagDef) -> String {
    if tag.states.is_empty() {
        return "it has none; give the tag `states`, or write a number".to_owned();
    }
    tag.states.iter().map(|(number, word)| format!("{number} = \"{word}\"")).collect::<Vec<_>>().join(", ")
}

/// Everything hangs on something that is there.
fn check_tree(plant: &Plant, draft: &Draft, report: &mut Report) {
    let known: HashMap<&str, &Equipment> = plant.equipment.iter().map(|item| (item.path.as_str(), item)).collect();
    let missing = |report: &mut Report, place, path: &EquipmentPath| {
        if draft.unreadable {
            return;
        }
        let message = format!("there is no equipment \"{path}\"");
        let remedy = match nearest(path.as_str(), known.keys().copied()) {
            Some(near) => format!("did you mean \"{near}\"? Or add [[equipment]] with path = \"{path}\""),
            None => format!("add [[equipment]] with path = \"{path}\""),
        };
        report.add(place, message, remedy);
    };
    let places: HashMap<&str, &Placed<_>> =
        draft.equipment.iter().map(|placed| (placed.item.0.path.as_str(), placed)).collect();
    for item in &plant.equipment {
        let Some(parent) = item.path.parent() else { continue };
        let own = places.get(item.path.as_str());
        match known.get(parent.as_str()) {
            None if draft.unusable.contains(parent.as_str()) => {}
            None => missing(report, own.map_or(Place::NONE, |placed| placed.place("path")), &parent),
            Some(above) if above.level > item.level => {
                let placed = own.or_else(|| places.get(parent.as_str()));
                let place = placed.map_or(Place::NONE, |placed| placed.place("level"));
                let (level, above_level) = (item.level.word(item.profile), above.level.word(above.profile));
                let message = format!("{} ({level}) cannot stand under {parent} ({above_level})", item.path);
                report.add(place, message, "from the top: enterprise, site, area, work_center, work_unit");
            }
            Some(_) => {}
        }
    }
    for placed in &draft.tags {
        let path = placed.item.def.path.equipment();
        if !known.contains_key(path.as_str()) && !draft.unusable.contains(path.as_str()) {
            missing(report, placed.place("path"), &path);
        }
    }
}

/// No two rules for one topic filter, and no more of them than [`TOPIC_RULE_LIMIT`].
fn check_rule_filters(plant: &Plant, draft: &Draft, report: &mut Report) {
    let own: HashMap<&str, &Placed<TopicRuleDef>> =
        draft.topic_rules.iter().map(|placed| (placed.item.name.as_str(), placed)).collect();
    let mut first: HashMap<&str, &str> = HashMap::with_capacity(plant.topic_rules.len());
    for rule in &plant.topic_rules {
        let Some(other) = first.insert(&rule.filter, &rule.name) else { continue };
        let placed = own.get(rule.name.as_str()).or_else(|| own.get(other));
        let message = format!("the topic rules \"{other}\" and \"{}\" are for the same topic filter", rule.name);
        let place = placed.map_or(Place::NONE, |placed| placed.place("filter"));
        report.add(place, message, "make one rule of both: a topic has one rule, that of the most exact filter");
    }
    if plant.topic_rules.len() > TOPIC_RULE_LIMIT {
        let place = draft.topic_rules.last().map_or(Place::NONE, |placed| placed.at);
        let message = format!("{} topic rules are over the limit of {TOPIC_RULE_LIMIT}", plant.topic_rules.len());
        report.add(place, message, "write rules for wider topic filters");
    }
}

/// No more tables of one kind than [`MASTER_LIMIT`].
fn check_master_limit(plant: &Plant, draft: &Draft, report: &mut Report) {
    for kind in MasterKind::ALL {
        let count = plant.master.iter().filter(|item| item.kind == kind).count();
        if count > MASTER_LIMIT {
            let last = draft.master.get(&kind).and_then(|list| list.last());
            let message = format!("{count} tables [[{}]] are over the limit of {MASTER_LIMIT}", kind.word());
            report.add(last.map_or(Place::NONE, |placed| placed.at), message, "take out what is no longer used");
        }
    }
}

/// Every alarm watches a tag that can raise it.
fn check_alarms(plant: &Plant, draft: &Draft, report: &mut Report) {
    let tags: HashMap<&TagPath, &TagDef> = plant.tags.iter().map(|tag| (&tag.path, tag)).collect();
    let own: HashMap<&str, &Placed<AlarmDraft>> =
        draft.alarms.iter().map(|placed| (placed.item.def.name.as_str(), placed)).collect();
    let changed: HashMap<&TagPath, &Placed<TagDraft>> =
        draft.tags.iter().map(|placed| (&placed.item.def.path, placed)).collect();
    for alarm in &plant.alarms {
        let placed = own.get(alarm.name.as_str());
        let Some(tag) = tags.get(&alarm.tag) else {
            if !draft.unreadable && !draft.unusable.contains(alarm.tag.as_str()) {
                let remedy = nearest(alarm.tag.as_str(), tags.keys().map(|path| path.as_str())).map_or_else(
                    || "add the [[tag]], or take the alarm out".to_owned(),
                    |near| format!("did you mean \"{near}\"?"),
                );
                let place = placed.map_or(Place::NONE, |placed| placed.place("tag"));
                report.add(place, format!("there is no tag \"{}\"", alarm.tag), remedy);
            }
            continue;
        };
        if let Err((key, message, remedy)) = fits(alarm, tag) {
            // An alarm that is in force already breaks only because its tag changes.
            let place = match placed {
                Some(placed) => placed.place(key),
                None => changed.get(&alarm.tag).map_or(Place::NONE, |placed| placed.at),
            };
            report.add(place, format!("the alarm {}: {message}", alarm.name), remedy);
        }
    }
}

/// The key that is wrong, what is wrong with it, what to do.
type Misfit = (&'static str, String, String);

fn fits(alarm: &AlarmDef, tag: &TagDef) -> Result<(), Misfit> {
    let type_name = tag.data_type.name();
    match &alarm.condition {
        Condition::High { limit, .. } | Condition::Low { limit, .. } => {
            if !matches!(tag.data_type, DataType::Int64 | DataType::Double) {
                return Err((
                    "condition",
                    format!("a {type_name} has no limit"),
                    "use the condition \"state\" or \"silent\"".to_owned(),
                ));
            }
            match tag.range.filter(|(low, high)| limit < low || limit > high) {
                Some((low, high)) => Err((
                    "limit",
                    format!(
                        "the limit {limit} lies outside the tag's range {low} to {high}, so it could never be reached"
                    ),
                    "bring it into the range, or widen the range".to_owned(),
                )),
                None => Ok(()),
            }
        }
        Condition::State { equals } => {
            if !matches!(tag.data_type, DataType::Int64 | DataType::Boolean) {
                return Err((
                    "condition",
                    format!("a {type_name} has no states"),
                    "use \"high\", \"low\" or \"silent\"".to_owned(),
                ));
            }
            let possible = tag.data_type != DataType::Boolean || matches!(equals, 0 | 1);
            if !possible || (!tag.states.is_empty() && !tag.states.contains_key(equals)) {
                return Err((
                    "equals",
                    format!("{equals} is not a state of {}", tag.path),
                    format!("write one of its states: {}", states_of(tag)),
                ));
            }
            Ok(())
        }
        Condition::Silent { .. } => Ok(()),
    }
}

/// Asks those who understand the settings.
fn check_settings(
    base: &Plant,
    plant: &Plant,
    draft: &Draft,
    checks: &dyn SettingsCheck,
    told: &[Place],
    report: &mut Report,
) {
    let connectors: HashMap<&str, &Placed<ConnectorDef>> =
        draft.connectors.iter().map(|placed| (placed.item.name.as_str(), placed)).collect();
    for connector in &plant.connectors {
        let mut findings = checks.check_connector(connector, plant);
        findings.retain(|finding| !follows(finding, &connector.settings, draft));
        blame(
            report,
            told,
            findings,
            &format!("connector \"{}\"", connector.name),
            connectors.get(connector.name.as_str()),
            || checks.check_connector(connector, base),
        );
    }
    let topics: HashMap<&str, &Placed<TopicDef>> =
        draft.topics.iter().map(|placed| (placed.item.filter.as_str(), placed)).collect();
    for topic in &plant.topics {
        let mut findings = checks.check_topic(topic, plant);
        findings.retain(|finding| !follows(finding, &topic.settings, draft));
        let (what, placed) = (format!("topic \"{}\"", topic.filter), topics.get(topic.filter.as_str()));
        blame(report, told, findings, &what, placed, || checks.check_topic(topic, base));
    }
}

/// Whether a finding only follows from something that is wrong elsewhere and told there: a connector is not blamed for a tag that is
/// misspelled in its own table, or that may stand in a document which cannot be read.
fn follows(finding: &Finding, settings: &Json, draft: &Draft) -> bool {
    let named = settings::text_at(settings, &finding.pointer);
    let is_unusable = named.is_some_and(|named| draft.unusable.contains(named))
        || draft.unusable.iter().any(|path| finding.message.contains(&format!("\"{path}\"")));
    let is_missing = named.is_some_and(|named| {
        ["tag", "equipment"].iter().any(|what| finding.message.starts_with(&format!("there is no {what} \"{named}\"")))
    });
    is_unusable || (draft.unreadable && is_missing)
}

fn check_rules(
    base: &Plant,
    plant: &Plant,
    draft: &Draft,
    checks: &dyn SettingsCheck,
    told: &[Place],
    report: &mut Report,
) {
    let own: HashMap<&str, &Placed<TopicRuleDef>> =
        draft.topic_rules.iter().map(|placed| (placed.item.name.as_str(), placed)).collect();
    for rule in &plant.topic_rules {
        let findings = checks.check_topic_rule(rule, plant);
        let (what, placed) = (format!("topic rule \"{}\"", rule.name), own.get(rule.name.as_str()));
        blame(report, told, findings, &what, placed, || checks.check_topic_rule(rule, base));
    }
}

fn check_master(
    base: &Plant,
    plant: &Plant,
    draft: &Draft,
    checks: &dyn SettingsCheck,
    told: &[Place],
    report: &mut Report,
) {
    let own: HashMap<(MasterKind, &str), &Placed<MasterDef>> =
        draft.master.values().flatten().map(|placed| ((placed.item.kind, placed.item.name.as_str()), placed)).collect();
    let settings: HashMap<(MasterKind, &str), &Json> =
        plant.master.iter().map(|item| ((item.kind, item.name.as_str()), &item.settings)).collect();
    // All of it at once, and only where something in force is no longer right.
    let before: LazyCell<HashMap<(MasterKind, String), Vec<Finding>>, _> = LazyCell::new(|| {
        checks.check_master(base).into_iter().map(|wrong| ((wrong.kind, wrong.name), wrong.findings)).collect()
    });
    for wrong in checks.check_master(plant) {
        let key = (wrong.kind, wrong.name.as_str());
        let mut findings = wrong.findings;
        findings.retain(|finding| !settings.get(&key).is_some_and(|settings| follows(finding, settings, draft)));
        let what = format!("{} \"{}\"", wrong.kind.word(), wrong.name);
        let was = || before.get(&(wrong.kind, wrong.name.clone())).cloned().unwrap_or_default();
        blame(report, told, findings, &what, own.get(&key), was);
    }
}

/// `told`: the places of which something was said before. `before`: what is wrong with it in the model in force. What these documents do not
/// name and was wrong already is not their fault: a version that looks closer must not refuse every change of a plant that it knows.
fn blame<T>(
    report: &mut Report,
    told: &[Place],
    mut findings: Vec<Finding>,
    what: &str,
    placed: Option<&&Placed<T>>,
    before: impl FnOnce() -> Vec<Finding>,
) {
    if placed.is_none() && !findings.is_empty() {
        let before = before();
        // The remedy may differ where only what is near a misspelled name did.
        let was = |finding: &Finding| {
            before.iter().any(|old| old.pointer == finding.pointer && old.message == finding.message)
        };
        findings.retain(|finding| !was(finding));
    }
    for finding in findings {
        match placed {
            Some(placed) => {
                let place = settings::place(&placed.entries, &finding.pointer, placed.at);
                // A password in clear is told once, where it was read.
                if place == placed.at || !told.contains(&place) {
                    report.add(place, finding.message, finding.remedy);
                }
            }
            // In force already, and no longer right with what these documents change.
            None => {
                let message = format!("the {what} in force, at {}: {}", finding.pointer.join("."), finding.message);
                report.add(
                    Place::NONE,
                    message,
                    format!("{}; add the {what}, mended, to the documents", finding.remedy),
                );
            }
        }
    }
}
