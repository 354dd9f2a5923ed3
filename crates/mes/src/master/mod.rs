//! Master data in the user's words, checked: reasons, calendars, and how each machine is followed.
//!
//! # The words
//! | table | key | words |
//! | --- | --- | --- |
//! | `[[reason]]` | `name`, as `Mechanical/Jam` | `counts_as`: `delay` (default), `setup`, `planned_down` or `idle`; `action`, what to do |
//! | `[[calendar]]` | `name` | `time_zone`; `shift`: tables of `name`, `days`, `from`, `to`, `breaks`, `weeks` and `turn`, `since`, `until`; `exception`: tables of `name`, `from`, `to`, `planned` |
//! | `[[machine]]` | `equipment` | `state`, `mode`, `reason`: tables of `tag` and what its values mean; `good`, `scrap`, `rework`: tables of `tag`, `counts`, `rolls_over_at`, `scale`, `at_most`; `calendar`, `minor_stop`, `run_time`, `start_up`, `orders` |

mod calendar;
mod machine;
mod reason;

pub use machine::{CountTag, Counts, Machine, Meanings, StateTag};
pub use reason::Reason;

use crate::calendar::Calendar;
use andon_model::plant::{Finding, MasterDef, MasterKind, Plant};
use andon_model::settings::Table;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;

/// The most tables of one kind.
pub const KIND_LIMIT: usize = 5_000;

/// All master data of a plant, by name.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MasterData {
    /// Why something stands.
    pub reasons: BTreeMap<String, Reason>,
    /// When something is meant to work.
    pub calendars: BTreeMap<String, Calendar>,
    /// How machines are followed, by the path of their equipment.
    pub machines: BTreeMap<String, Machine>,
}

impl MasterData {
    /// What of the plant's master data can be used, and what is wrong with the rest: nothing, if the plant was checked.
    #[must_use]
    pub fn of_plant(plant: &Plant) -> (Self, Vec<(MasterKind, String, Vec<Finding>)>) {
        let (mut data, mut wrong) = (Self::default(), Vec::new());
        for def in &plant.master {
            let name = def.name.clone();
            let mut findings = Vec::new();
            match def.kind {
                MasterKind::Reason => {
                    let reason = with_table(def, &mut findings, |table| reason::read(table, &def.name));
                    data.reasons.extend(reason.map(|reason| (name, reason)));
                }
                MasterKind::Calendar => {
                    let calendar = with_table(def, &mut findings, calendar::read);
                    data.calendars.extend(calendar.flatten().map(|calendar| (name, calendar)));
                }
                MasterKind::Machine => {
                    let machine = with_table(def, &mut findings, |table| machine::read(table, &def.name, plant));
                    data.machines.extend(machine.flatten().map(|machine| (name, machine)));
                }
            }
            if !findings.is_empty() {
                wrong.push((def.kind, def.name.clone(), findings));
            }
        }
        (data, wrong)
    }
}

/// Checks one table of master data against the plant; for the document check.
#[must_use]
pub fn check(def: &MasterDef, plant: &Plant) -> Vec<Finding> {
    let mut findings = Vec::new();
    match def.kind {
        MasterKind::Reason => drop(with_table(def, &mut findings, |table| reason::read(table, &def.name))),
        MasterKind::Calendar => drop(with_table(def, &mut findings, calendar::read)),
        MasterKind::Machine => drop(with_table(def, &mut findings, |table| machine::read(table, &def.name, plant))),
    }
    findings
}

/// Reads a table; `None` where something in it is wrong.
fn with_table<T>(
    def: &MasterDef,
    findings: &mut Vec<Finding>,
    read: impl FnOnce(&mut Table<'_, '_>) -> T,
) -> Option<T> {
    let empty = Map::new();
    let map = def.settings.as_object().unwrap_or(&empty);
    let before = findings.len();
    let read = read(&mut Table::new(map, findings));
    (findings.len() == before).then_some(read)
}

/// Whether the plant has master data of a kind and name.
fn has(plant: &Plant, kind: MasterKind, name: &str) -> bool {
    plant.master.iter().any(|def| def.kind == kind && def.name == name)
}

/// A text that must be there.
fn needed(table: &mut Table<'_, '_>, key: &str, remedy: &str) -> Option<String> {
    if !table.map.contains_key(key) {
        table.found_here(format!("\"{key}\" is missing"), remedy);
        return None;
    }
    table.text(key, |text| if text.is_empty() { Err("this is empty".to_owned()) } else { Ok(()) })
}

/// A list of whatever can be read from each item.
fn list<T>(table: &mut Table<'_, '_>, key: &str, wanted: &str, item: impl Fn(&Json) -> Option<T>) -> Vec<T> {
    let Some(value) = table.map.get(key) else { return Vec::new() };
    let read: Option<Vec<T>> = value.as_array().and_then(|list| list.iter().map(item).collect());
    read.or_else(|| table.wrong(key, wanted)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
