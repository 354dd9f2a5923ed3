//! Master data in the user's words, checked: reasons, calendars, and how each machine is followed.
//!
//! # The words
//! | table | key | words |
//! | --- | --- | --- |
//! | `[[reason]]` | `name`, as `Mechanical/Jam` | `counts_as`: `delay` (default), `setup`, `planned_down` or `idle`; `cause`: `inside` the machine or `outside`; `action`, what to do |
//! | `[[calendar]]` | `name` | `time_zone`; `shift`: tables of `name`, `days`, `from`, `to`, `breaks`, `weeks` and `turn`, `since`, `until`; `exception`: tables of `name`, `from`, `to`, `planned` |
//! | `[[skill]]` | `name` | `title`, `description` |
//! | `[[instruction]]` | `name`, `revision` | `title`; `text`, or `steps`: tables of `title`, `text` |
//! | `[[material]]` | `name`, `revision` | `title`, `description`, `unit`, `gtin`, `tracked`, `family`; `bill`: tables of `material`, `quantity`, `operation`; `characteristic`: tables of `name`, `unit`, `target`, `lower`, `upper`, `operation`; `operation`: tables of `name`, `title`, `equipment`, `run_time`, `setup`, `after`, `skills`, `instructions` |
//! | `[[maintenance_plan]]` | `name` | `title`, `equipment`; `every`, `every_cycles`, `every_run_time`, `condition`; `begins`, `lead`, `within`, `estimated`, `priority`, `skills`, `instructions`; `parts`: tables of `material`, `quantity` |
//! | `[[tool]]` | `name` | `title`, `kind`, `machines`, `cavities`; `life`: a table of `cycles` or `run_time`; `warn` |
//! | `[[meter]]` | `name` | `title`, `at`, `tag`, `reads`, `carrier`, `factor`, `rolls_over_at`, `most_kw` |
//! | `[[tariff]]` | `name` | `carrier`, `at`, `currency`, `time_zone`, `price`, `demand_price`, `valid_from`; `window`: tables of `name`, `days`, `from`, `to`, `price` |
//! | `[[machine]]` | `equipment` | `state`, `mode`, `reason`: tables of `tag` and what its values mean; `good`, `scrap`, `rework`: tables of `tag`, `counts`, `rolls_over_at`, `scale`, `at_most`; `calendar`, `minor_stop`, `run_time`, `start_up`, `orders`; `changeover`: tables of `from`, `to`, `takes`; `changeover_default`; `unit`: a table of `serial`, `product`, `result`, `measure`, `part`, `draw`, `first`, `last` |
//! | `[[vessel]]` | `equipment` | `mixing`: `ideal` (default) or `plug`; `capacity`, `material` |
//! | `[[target]]` | `equipment` | the ids of KPIs, each with what it is to come to |
//! | `[[report]]` | `name` | `kind`, `shift` or `day`; `at`, `after`, `folder`, `keep` |
//!
//! A table is read whole or not at all: what is in [`MasterData`] names nothing that is not there, in the tables that were read or in
//! others that are told to be wrong.

mod bills;
mod calendar;
mod index;
mod instruction;
mod machine;
mod maintenance;
mod material;
mod meter;
mod reason;
mod report;
mod revision;
mod skill;
mod station;
mod target;
mod tariff;
mod tool;
mod vessel;

pub use instruction::{Body, Instruction, Step, TEXT_LIMIT};
pub(crate) use machine::good;
pub use machine::{CountTag, Counts, Machine, Meanings, StateTag};
pub use maintenance::{MaintenancePlan, PlanPart};
pub use material::{BillLine, Characteristic, Material, Operation, Tracked};
pub use meter::{CARRIERS, MeterPoint};
pub use reason::Reason;
pub use report::{ReportKind, ReportSchedule};
pub use revision::order as revision_order;
pub use skill::Skill;
pub use station::{DrawFrom, FirmwareTag, MeasureTag, PartTag, ResultTag, Station};
pub use target::Target;
pub use tool::{Life, Tool};
pub use vessel::{Mixing, Vessel};

use crate::calendar::Calendar;
use crate::energy::tariff::Tariff;
use andon_model::path::is_under;
use andon_model::plant::{Finding, MasterDef, MasterFindings, MasterKind, Plant};
use andon_model::settings::Table;
use andon_model::text::{check_line, check_lines};
use index::{Index, Wrong};
use serde_json::{Map, Value as Json};
use std::collections::{BTreeMap, BTreeSet};

/// The longest name of a skill, a family and a characteristic, in bytes.
const NAME_LIMIT: usize = 64;
/// The longest title, in bytes.
const TITLE_LIMIT: usize = 200;
/// The longest description, in bytes.
const DESCRIPTION_LIMIT: usize = 4_096;

/// All master data of a plant, by name.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct MasterData {
    /// Why something stands.
    pub reasons: BTreeMap<String, Reason>,
    /// When something is meant to work.
    pub calendars: BTreeMap<String, Calendar>,
    /// What somebody must have learned.
    pub skills: BTreeMap<String, Skill>,
    /// What is read, by `name` or `name@revision`; [`MasterData::instruction`] finds them.
    pub instructions: BTreeMap<String, Instruction>,
    /// What is bought, made and sold, by `name` or `name@revision`; [`MasterData::material`] finds them.
    pub materials: BTreeMap<String, Material>,
    /// How machines are followed, by the path of their equipment.
    pub machines: BTreeMap<String, Machine>,
    /// What is done to keep equipment in order.
    pub maintenance_plans: BTreeMap<String, MaintenancePlan>,
    /// What is mounted on machines and wears.
    pub tools: BTreeMap<String, Tool>,
    /// What counts energy.
    pub meters: BTreeMap<String, MeterPoint>,
    /// What energy costs.
    pub tariffs: BTreeMap<String, Tariff>,
    /// In what lots mix, by the path of the equipment.
    pub vessels: BTreeMap<String, Vessel>,
    /// What KPIs are to come to, by the path of the equipment.
    pub targets: BTreeMap<String, Target>,
    /// Which reports the node makes by itself.
    pub reports: BTreeMap<String, ReportSchedule>,
}

impl MasterData {
    /// What of the plant's master data can be used, and what is wrong with the rest: nothing, if the plant was checked.
    #[must_use]
    pub fn of_plant(plant: &Plant) -> (Self, Vec<MasterFindings>) {
        let index = Index::new(plant);
        let (mut data, mut wrong) = (Self::default(), Vec::new());
        for def in &plant.master {
            let mut findings = Vec::new();
            data.add(def, &index, &mut findings);
            if !findings.is_empty() {
                wrong.push(MasterFindings { kind: def.kind, name: def.name.clone(), findings });
            }
        }
        data.refuse_circles(&mut wrong);
        (data, wrong)
    }

    fn add(&mut self, def: &MasterDef, index: &Index<'_>, findings: &mut Vec<Finding>) {
        let name = def.name.clone();
        match def.kind {
            MasterKind::Reason => {
                let reason = with_table(def, findings, |table| reason::read(table, &def.name));
                self.reasons.extend(reason.map(|reason| (name, reason)));
            }
            MasterKind::Calendar => {
                let calendar = with_table(def, findings, calendar::read);
                self.calendars.extend(calendar.flatten().map(|calendar| (name, calendar)));
            }
            MasterKind::Skill => {
                let skill = with_table(def, findings, |table| skill::read(table, &def.name));
                self.skills.extend(skill.map(|skill| (name, skill)));
            }
            MasterKind::Instruction => {
                let instruction = with_table(def, findings, |table| instruction::read(table, def));
                self.instructions.extend(instruction.flatten().map(|instruction| (name, instruction)));
            }
            MasterKind::Material => {
                let material = with_table(def, findings, |table| material::read(table, def, index));
                self.materials.extend(material.flatten().map(|material| (name, material)));
            }
            MasterKind::Machine => {
                let machine = with_table(def, findings, |table| machine::read(table, &def.name, index));
                self.machines.extend(machine.flatten().map(|machine| (name, machine)));
            }
            MasterKind::MaintenancePlan => {
                let plan = with_table(def, findings, |table| maintenance::read(table, &def.name, index));
                self.maintenance_plans.extend(plan.flatten().map(|plan| (name, plan)));
            }
            MasterKind::Tool => {
                let tool = with_table(def, findings, |table| tool::read(table, &def.name, index));
                self.tools.extend(tool.flatten().map(|tool| (name, tool)));
            }
            MasterKind::Meter => {
                let meter = with_table(def, findings, |table| meter::read(table, &def.name, index));
                self.meters.extend(meter.flatten().map(|meter| (name, meter)));
            }
            MasterKind::Tariff => {
                let tariff = with_table(def, findings, |table| tariff::read(table, &def.name, index));
                self.tariffs.extend(tariff.flatten().map(|tariff| (name, tariff)));
            }
            MasterKind::Vessel => {
                let vessel = with_table(def, findings, |table| vessel::read(table, &def.name, index));
                self.vessels.extend(vessel.map(|vessel| (name, vessel)));
            }
            MasterKind::Target => {
                let target = with_table(def, findings, |table| target::read(table, &def.name, index));
                self.targets.extend(target.map(|target| (name, target)));
            }
            MasterKind::Report => {
                let report = with_table(def, findings, |table| report::read(table, &def.name, index));
                self.reports.extend(report.flatten().map(|report| (name, report)));
            }
        }
    }

    /// Tells of materials that are made with themselves, and takes them out: nothing that follows a bill may go round for ever.
    fn refuse_circles(&mut self, wrong: &mut Vec<MasterFindings>) {
        let found = |named: &str| self.named(named).map(|(key, _)| key);
        let mut told: BTreeMap<String, Vec<Finding>> = BTreeMap::new();
        for (key, at) in bills::circles(&self.materials, found) {
            let part = self.materials.get(key).and_then(|material| material.bill.get(at)).map(|line| &*line.material);
            let part = part.unwrap_or_default();
            let message = if found(part) == Some(key) {
                format!("\"{key}\" is made with itself")
            } else {
                format!("\"{key}\" is made with \"{part}\", which in the end is made with \"{key}\"")
            };
            told.entry(key.to_owned()).or_default().push(Finding {
                pointer: vec!["bill".to_owned(), at.to_string(), "material".to_owned()],
                message,
                remedy: "take one of them out of the other's bill".to_owned(),
            });
        }
        for (name, findings) in told {
            self.materials.remove(&name);
            wrong.push(MasterFindings { kind: MasterKind::Material, name, findings });
        }
    }

    /// The calendar of a place: that of the first machine at or below it that has one.
    #[must_use]
    pub fn calendar_at(&self, path: &str) -> Option<&Calendar> {
        let below = self.machines.iter().filter(|(machine, _)| is_under(machine, path));
        below.map(|(_, machine)| machine).find_map(|machine| self.calendars.get(machine.calendar.as_ref()?))
    }

    /// A material. Without a revision: the greatest by natural order, where digits count as numbers and letters as drawings are counted
    /// (`2` before `10`, `B` before `AA`; [`revision_order`] has the whole rule). One that has no revision comes before all that have;
    /// `Some("")` is that one, whatever others there are.
    #[must_use]
    pub fn material(&self, name: &str, revision: Option<&str>) -> Option<&Material> {
        of_revision(&self.materials, name, revision).map(|(_, material)| material)
    }

    /// The material that is written `name` or `name@revision`, and the key by which it stands in `materials`.
    #[must_use]
    pub fn named(&self, named: &str) -> Option<(&str, &Material)> {
        let (name, revision) = MasterDef::split(MasterKind::Material, named);
        of_revision(&self.materials, name, revision)
    }

    /// An instruction, as [`MasterData::material`] a material.
    #[must_use]
    pub fn instruction(&self, name: &str, revision: Option<&str>) -> Option<&Instruction> {
        of_revision(&self.instructions, name, revision).map(|(_, instruction)| instruction)
    }

    /// The instruction that is written `name` or `name@revision`.
    #[must_use]
    pub fn instruction_named(&self, named: &str) -> Option<&Instruction> {
        let (name, revision) = MasterDef::split(MasterKind::Instruction, named);
        self.instruction(name, revision)
    }
}

fn of_revision<'m, T>(all: &'m BTreeMap<String, T>, name: &str, revision: Option<&str>) -> Option<(&'m str, &'m T)> {
    let key = match revision {
        None => {
            let of_name = |key: &str| key.strip_prefix(name).is_some_and(|rest| rest.starts_with('@'));
            let revised = all.range(format!("{name}@")..).take_while(|(key, _)| of_name(key));
            let order = |key: &str| MasterDef::split(MasterKind::Material, key).1.map(str::to_owned);
            let newest = revised.max_by(|(a, _), (b, _)| revision::order(order(a).as_deref(), order(b).as_deref()));
            newest.map_or_else(|| name.to_owned(), |(key, _)| key.clone())
        }
        Some("") => name.to_owned(),
        Some(revision) => MasterDef::joined(name, Some(revision)),
    };
    all.get_key_value(&key).map(|(key, item)| (key.as_str(), item))
}

/// Checks all master data of a plant; for the document check. Nothing, if all of it can be used.
#[must_use]
pub fn check(plant: &Plant) -> Vec<MasterFindings> {
    MasterData::of_plant(plant).1
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

/// `None`, and told: the list at a key is longer than it may be.
fn limited(table: &mut Table<'_, '_>, key: &str, most: usize) -> Option<()> {
    let count = table.map.get(key).and_then(Json::as_array).map_or(0, Vec::len);
    if count > most {
        table.found(
            key,
            format!("{count} are over the limit of {most}"),
            "take some out, or make several tables of it",
        );
        return None;
    }
    Some(())
}

/// A list of different texts, each of which is looked at; empty if there is none, `None` if it is none.
fn texts(
    table: &mut Table<'_, '_>,
    key: &str,
    most: usize,
    check: &dyn Fn(&str) -> Result<(), Wrong>,
) -> Option<Vec<String>> {
    limited(table, key, most)?;
    let Some(value) = table.map.get(key) else { return Some(Vec::new()) };
    let list: Option<Vec<&str>> = value.as_array().and_then(|list| list.iter().map(Json::as_str).collect());
    let Some(list) = list else { return table.wrong(key, "a list of texts in quotes, such as [\"a\", \"b\"]") };
    let mut seen = BTreeSet::new();
    for (at, text) in list.iter().enumerate() {
        let twice = || Err((format!("\"{text}\" stands here twice"), "keep one".to_owned()));
        let checked = if seen.insert(*text) { check(text) } else { twice() };
        if let Err((message, remedy)) = checked {
            table.found_at(vec![key.to_owned(), at.to_string()], message, &remedy);
        }
    }
    Some(list.into_iter().map(str::to_owned).collect())
}

/// Whether people can read it, write it and tell it from others.
fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= NAME_LIMIT && text.trim() == text && check_line(text).is_ok()
}

/// A text of one line, not empty.
fn line(table: &mut Table<'_, '_>, key: &str) -> Option<String> {
    let most = if key == "family" { NAME_LIMIT } else { TITLE_LIMIT };
    table.text(key, |text| match check_line(text) {
        Err(hidden) => Err(format!("in this text, {hidden}")),
        Ok(()) if text.trim() != text || text.is_empty() => {
            Err("this is empty, or has white space around it".to_owned())
        }
        Ok(()) if text.len() > most => Err(format!("this text of {} bytes is over the limit of {most}", text.len())),
        Ok(()) => Ok(()),
    })
}

/// A text of several lines.
fn lines(table: &mut Table<'_, '_>, key: &str) -> Option<String> {
    table.text(key, |text| check_text(text, DESCRIPTION_LIMIT))
}

/// A text of several lines that must be there.
fn needed_lines(table: &mut Table<'_, '_>, key: &str, most: usize, remedy: &str) -> Option<String> {
    needed(table, key, remedy)?;
    table.text(key, |text| check_text(text, most))
}

fn check_text(text: &str, most: usize) -> Result<(), String> {
    if let Err(hidden) = check_lines(text) {
        return Err(format!("in this text, {hidden}"));
    }
    if text.len() > most {
        Err(format!("this text of {} bytes is over the limit of {most}", text.len()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod tests_material;
