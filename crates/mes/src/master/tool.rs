//! `[[tool]]`: what is mounted on machines and wears: a mould, a die, a cutter.

use super::{Index, NAME_LIMIT, is_name, line, texts};
use crate::quantity::Quantity;
use andon_model::plant::MasterKind;
use andon_model::settings::Table;
use std::num::NonZeroU32;
use std::time::Duration;

/// The most machines of a tool.
const MACHINES: usize = 200;
/// The most cavities.
const CAVITIES: u64 = 10_000;
/// The longest life in cycles.
const CYCLES: f64 = 1e12;
/// The longest life in run time.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);
/// Of the whole.
const MILLION: u32 = 1_000_000;
/// Told at so much of its life where nothing else is said.
const WARN: f64 = 0.9;

/// How much a tool can do until it is renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Life {
    /// So many cycles, each of which makes an item in each cavity.
    Cycles(Quantity),
    /// So much time of production (APT).
    RunTime(Duration),
}

/// What is mounted on machines and wears.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tool {
    /// What people call it; its name where nothing else is said.
    pub title: String,
    /// What it is, in the plant's own word: `mould`, `die`; `tool` where nothing else is said.
    pub kind: String,
    /// The paths of the machines on which it may be mounted; empty: on any.
    pub machines: Vec<String>,
    /// Items that a cycle makes.
    pub cavities: NonZeroU32,
    /// How much it can do; `None`: nobody said.
    pub life: Option<Life>,
    /// At how much of its life it is told, in millionths of it.
    pub warn: u32,
}

impl Tool {
    /// Whether it may be mounted there.
    #[must_use]
    pub fn fits(&self, machine: &str) -> bool {
        self.machines.is_empty() || self.machines.iter().any(|path| path == machine)
    }
}

pub(super) fn read(table: &mut Table<'_, '_>, name: &str, index: &Index<'_>) -> Option<Tool> {
    table.only(&["title", "kind", "machines", "cavities", "life", "warn"]);
    if !is_name(name) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them, such as \"M-17\"");
        table.found("name", format!("{name:?} is no name of a tool"), &remedy);
    }
    let title = line(table, "title").unwrap_or_else(|| name.to_owned());
    let kind = line(table, "kind").unwrap_or_else(|| "tool".to_owned());
    let machines = texts(table, "machines", MACHINES, &|path| index.has(MasterKind::Machine, path)).unwrap_or_default();
    let cavities = table.whole("cavities", 1, CAVITIES).and_then(|count| u32::try_from(count).ok());
    let life = table.table("life", life).flatten();
    let warn = millionths(table.number("warn", 0.01, 1.0).unwrap_or(WARN));
    let cavities = cavities.and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
    Some(Tool { title, kind, machines, cavities, life, warn })
}

fn life(table: &mut Table<'_, '_>) -> Option<Life> {
    table.only(&["cycles", "run_time"]);
    match (table.map.contains_key("cycles"), table.map.contains_key("run_time")) {
        (true, false) => {
            let cycles = table.number("cycles", 1.0, CYCLES).and_then(|number| Quantity::from_f64(number).ok());
            cycles.map(Life::Cycles)
        }
        (false, true) => table.span("run_time", &(Duration::from_secs(60)..=LONGEST)).map(Life::RunTime),
        _ => {
            let message = "how long it lasts is not said, or said twice".to_owned();
            table.found_here(message, "write either `cycles = 500000` or `run_time = \"2000 h\"`");
            None
        }
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0.01 to 1, as it was read")]
fn millionths(share: f64) -> u32 {
    ((share * f64::from(MILLION)).round() as u32).min(MILLION)
}
