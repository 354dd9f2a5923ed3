//! What tables of master data may name, found at once: a plant has some ten thousand of each, and they name each other.

use super::revision;
use andon_model::near::nearest;
use andon_model::path::is_under;
use andon_model::plant::{Equipment, Level, MasterDef, MasterKind, Plant, TagDef};
use serde_json::Value as Json;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

/// For so many names that are not there, the one that was meant is looked for; each takes a look at some thousand others.
const GUESSES: u32 = 50;

/// What is wrong, and what to do.
pub(super) type Wrong = (String, String);

/// The parts of a plant by their names.
pub(super) struct Index<'p> {
    equipment: BTreeMap<&'p str, &'p Equipment>,
    tags: BTreeMap<&'p str, &'p TagDef>,
    alarms: BTreeSet<&'p str>,
    master: BTreeMap<(MasterKind, &'p str), &'p MasterDef>,
    /// The full name of the greatest revision, by the name without it.
    newest: BTreeMap<&'p str, (MasterKind, &'p str)>,
    /// What materials are of, for changeovers.
    families: BTreeSet<&'p str>,
    /// The units in which materials have a characteristic, by its name.
    characteristics: BTreeMap<&'p str, BTreeSet<Option<&'p str>>>,
    guesses: Cell<u32>,
}

impl<'p> Index<'p> {
    pub(super) fn new(plant: &'p Plant) -> Self {
        let mut index = Self {
            equipment: plant.equipment.iter().map(|item| (item.path.as_str(), item)).collect(),
            tags: plant.tags.iter().map(|tag| (tag.path.as_str(), tag)).collect(),
            alarms: plant.alarms.iter().map(|alarm| alarm.name.as_str()).collect(),
            master: plant.master.iter().map(|def| ((def.kind, def.name.as_str()), def)).collect(),
            newest: BTreeMap::new(),
            families: BTreeSet::new(),
            characteristics: BTreeMap::new(),
            guesses: Cell::new(GUESSES),
        };
        for def in plant.master.iter().filter(|def| def.kind == MasterKind::Material) {
            index.add_material(def);
        }
        index
    }

    fn add_material(&mut self, def: &'p MasterDef) {
        let (name, own) = MasterDef::split(def.kind, &def.name);
        let newest = self.newest.entry(name).or_insert((def.kind, &def.name));
        if revision::order(own, MasterDef::split(newest.0, newest.1).1).is_gt() {
            *newest = (def.kind, &def.name);
        }
        self.families.extend(def.settings.get("family").and_then(Json::as_str));
        let list = def.settings.get("characteristic").and_then(Json::as_array);
        for item in list.into_iter().flatten() {
            if let Some(name) = item.get("name").and_then(Json::as_str) {
                let unit = item.get("unit").and_then(Json::as_str);
                self.characteristics.entry(name).or_default().insert(unit);
            }
        }
    }

    /// A tag.
    pub(super) fn tag(&self, path: &str) -> Result<&'p TagDef, Wrong> {
        let remedy = "write the path of a tag, or add a [[tag]] of it";
        self.tags.get(path).copied().ok_or_else(|| self.missing("tag", path, remedy, self.tags.keys().copied()))
    }

    /// Equipment of any level.
    pub(super) fn equipment(&self, path: &str) -> Result<(), Wrong> {
        if self.equipment.contains_key(path) {
            return Ok(());
        }
        let remedy = "write the path of a machine, a line, an area or a site, or add an [[equipment]] of it";
        Err(self.missing("equipment", path, remedy, self.equipment.keys().copied()))
    }

    /// Equipment on which something is done.
    pub(super) fn machine(&self, path: &str) -> Result<(), Wrong> {
        match self.equipment.get(path) {
            None => {
                let remedy = "write the path of a work unit, or add an [[equipment]] of it";
                Err(self.missing("equipment", path, remedy, self.equipment.keys().copied()))
            }
            Some(item) if !matches!(item.level, Level::WorkUnit | Level::WorkCenter) => {
                let message = format!("\"{path}\" is a {} and no machine", item.level.word(item.profile));
                Err((message, "write the path of a work unit".to_owned()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Equipment at or below which a machine is followed.
    pub(super) fn followed(&self, path: &str) -> Result<(), Wrong> {
        let below = self.master.range((MasterKind::Machine, path)..);
        let mut machines = below
            .map(|((kind, name), _)| (*kind, *name))
            .take_while(|(kind, name)| *kind == MasterKind::Machine && name.starts_with(path));
        if machines.any(|(_, name)| is_under(name, path)) {
            return Ok(());
        }
        let message = format!("no machine is followed at or below \"{path}\", so nothing is counted there");
        Err((message, "add a [[machine]] of it, or plan by time: every = \"30 d\"".to_owned()))
    }

    /// An alarm, by its name.
    pub(super) fn alarm(&self, name: &str) -> Result<(), Wrong> {
        if self.alarms.contains(name) {
            return Ok(());
        }
        let remedy =
            "write the name of an alarm, such as \"works/line1/press/pressure:low\", or add an [[alarm]] of it";
        Err(self.missing("alarm", name, remedy, self.alarms.iter().copied()))
    }

    /// A table of master data that is not a material.
    pub(super) fn has(&self, kind: MasterKind, name: &str) -> Result<(), Wrong> {
        if self.master.contains_key(&(kind, name)) {
            return Ok(());
        }
        let word = kind.word();
        let names = self.master.range((kind, "")..).map(|(key, _)| *key).take_while(|(other, _)| *other == kind);
        let article = if kind == MasterKind::Instruction { "an" } else { "a" };
        Err(self.missing(word, name, &format!("add {article} [[{word}]] of it"), names.map(|(_, name)| name)))
    }

    /// An instruction, with or without its revision.
    pub(super) fn instruction(&self, name: &str) -> Result<(), Wrong> {
        // Of any revision: the first one that is not before `name@`.
        let prefix = format!("{name}@");
        let mut from = self.master.range((MasterKind::Instruction, prefix.as_str())..);
        let is_revised = from
            .next()
            .is_some_and(|((kind, other), _)| *kind == MasterKind::Instruction && other.starts_with(prefix.as_str()));
        if is_revised { Ok(()) } else { self.has(MasterKind::Instruction, name) }
    }

    /// The material of a name, `HP-8@B`, or the newest of those of a name without a revision.
    pub(super) fn material(&self, name: &str) -> Result<&'p MasterDef, Wrong> {
        let exact = self.master.get(&(MasterKind::Material, name));
        let newest = || self.newest.get(name).and_then(|key| self.master.get(key));
        let found = if name.contains('@') { exact } else { newest() };
        found
            .copied()
            .ok_or_else(|| self.missing("material", name, "add a [[material]] of it", self.newest.keys().copied()))
    }

    /// A family of materials.
    pub(super) fn family(&self, name: &str) -> Result<(), Wrong> {
        if self.families.contains(name) {
            return Ok(());
        }
        let message = format!("no material is of the family \"{name}\"");
        let near = self.near(name, self.families.iter().copied());
        Err((message, near.unwrap_or_else(|| "write the `family` of a [[material]]".to_owned())))
    }

    /// The units that a characteristic is given in; at least one.
    pub(super) fn characteristic(&self, name: &str) -> Result<&BTreeSet<Option<&'p str>>, Wrong> {
        self.characteristics.get(name).ok_or_else(|| {
            let message = format!("no material has a characteristic \"{name}\"");
            let near = self.near(name, self.characteristics.keys().copied());
            (message, near.unwrap_or_else(|| "write the name of a `characteristic` of a [[material]]".to_owned()))
        })
    }

    fn missing<'n>(&self, what: &str, name: &str, remedy: &str, known: impl IntoIterator<Item = &'n str>) -> Wrong {
        let message = format!("there is no {what} \"{name}\"");
        let near = self.near(name, known);
        (message, near.map_or_else(|| remedy.to_owned(), |near| format!("{near} Or {remedy}")))
    }

    fn near<'n>(&self, name: &str, known: impl IntoIterator<Item = &'n str>) -> Option<String> {
        let left = self.guesses.get().checked_sub(1)?;
        self.guesses.set(left);
        nearest(name, known).map(|near| format!("did you mean \"{near}\"?"))
    }
}
