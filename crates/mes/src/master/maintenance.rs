//! `[[maintenance_plan]]`: what is done to keep equipment in order, and when it is due.

use super::material::quantity;
use super::{Index, NAME_LIMIT, is_name, limited, line, needed, texts};
use crate::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::plant::MasterKind;
use andon_model::settings::Table;
use std::collections::BTreeSet;
use std::time::Duration;

/// The most parts of a plan, and the most names of a list.
const PARTS: usize = 200;
const NAMES: usize = 50;
const DAY: Duration = Duration::from_secs(86_400);
/// The longest turn.
const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);
/// The most items of a turn.
const CYCLES: f64 = 1e12;

/// A part that the work needs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanPart {
    /// The material.
    pub material: String,
    /// How much, in its unit.
    pub quantity: Quantity,
}

/// What is done again and again, and after what. At least one of the four `every…` and `condition` is there; the first that is reached makes
/// it due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaintenancePlan {
    /// What people call it.
    pub title: String,
    /// The path of what is maintained.
    pub equipment: String,
    /// Calendar time of a turn.
    pub every: Option<Duration>,
    /// Items of a turn: all that was produced at or below the equipment, good or not.
    pub every_cycles: Option<Quantity>,
    /// Operating time of a turn: production and setup at or below the equipment (APT + AUST).
    pub every_run_time: Option<Duration>,
    /// The alarm that makes it due, by its name.
    pub condition: Option<String>,
    /// When the first turn begins; `None`: when the plan is first seen.
    pub begins: Option<Timestamp>,
    /// How long before it is due it is told.
    pub lead: Duration,
    /// In which time it is done once it is due.
    pub within: Duration,
    /// How long the work takes.
    pub estimated: Option<Duration>,
    /// 1 low to 9 high.
    pub priority: u8,
    /// What whoever works on it has to be qualified for.
    pub skills: Vec<String>,
    /// What whoever works on it has to have seen.
    pub instructions: Vec<String>,
    /// What it needs.
    pub parts: Vec<PlanPart>,
}

pub(super) fn read(table: &mut Table<'_, '_>, name: &str, index: &Index<'_>) -> Option<MaintenancePlan> {
    table.only(&[
        "title",
        "equipment",
        "every",
        "every_cycles",
        "every_run_time",
        "condition",
        "begins",
        "lead",
        "within",
        "estimated",
        "priority",
        "skills",
        "instructions",
        "parts",
    ]);
    if !is_name(name) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them, such as \"press-oil\"");
        table.found("name", format!("{name:?} is no name of a maintenance plan"), &remedy);
    }
    let title = line(table, "title").unwrap_or_else(|| name.to_owned());
    let equipment =
        needed(table, "equipment", "write the path of what is maintained: equipment = \"works/line1/press\"");
    let every = table.span("every", &(Duration::from_secs(60)..=LONGEST));
    let every_cycles = table.number("every_cycles", 1e-6, CYCLES).and_then(|number| Quantity::from_f64(number).ok());
    let every_run_time = table.span("every_run_time", &(Duration::from_secs(60)..=LONGEST));
    let condition = table.text("condition", |_| Ok(()));
    if !["every", "every_cycles", "every_run_time", "condition"].iter().any(|key| table.map.contains_key(*key)) {
        let remedy =
            "write every = \"30 d\", every_cycles = 50000, every_run_time = \"200 h\", or the alarm of a condition";
        table.found_here("nothing says when this is due".to_owned(), remedy);
    }
    if let Some(path) = &equipment {
        let counted = ["every_cycles", "every_run_time"].iter().any(|key| table.map.contains_key(*key));
        let wrong = index.equipment(path).and_then(|()| if counted { index.followed(path) } else { Ok(()) });
        if let Err((message, remedy)) = wrong {
            table.found("equipment", message, &remedy);
        }
    }
    if let Some(Err((message, remedy))) = condition.as_deref().map(|alarm| index.alarm(alarm)) {
        table.found("condition", message, &remedy);
    }
    let mut begins = None;
    table.text("begins", |text| {
        begins = Timestamp::parse_rfc3339(text);
        begins.map(drop).ok_or_else(|| "write a time, such as \"2026-01-01T06:00:00Z\"".to_owned())
    });
    let lead = table.span("lead", &(Duration::ZERO..=LONGEST)).unwrap_or_default();
    let within = table.span("within", &(Duration::ZERO..=LONGEST)).unwrap_or(DAY);
    let estimated = table.span("estimated", &(Duration::from_secs(1)..=30 * DAY));
    let priority = table.whole("priority", 1, 9).and_then(|priority| u8::try_from(priority).ok()).unwrap_or(5);
    let skills = texts(table, "skills", NAMES, &|name| index.has(MasterKind::Skill, name)).unwrap_or_default();
    let instructions = texts(table, "instructions", NAMES, &|name| index.instruction(name)).unwrap_or_default();
    let parts = parts(table, index);
    Some(MaintenancePlan {
        title,
        equipment: equipment?,
        every,
        every_cycles,
        every_run_time,
        condition,
        begins,
        lead,
        within,
        estimated,
        priority,
        skills,
        instructions,
        parts: parts?,
    })
}

fn parts(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<Vec<PlanPart>> {
    limited(table, "parts", PARTS)?;
    let mut seen = BTreeSet::new();
    let parts = table.tables("parts", |table| {
        table.only(&["material", "quantity"]);
        let material = needed(table, "material", "write the name of a material");
        if let Some(Err((message, remedy))) = material.as_deref().map(|name| index.material(name)) {
            table.found("material", message, &remedy);
        }
        if let Some(name) = material.as_ref().filter(|name| !seen.insert((*name).clone())) {
            table.found("material", format!("\"{name}\" stands here twice"), "make one line of both");
        }
        let quantity = match table.map.contains_key("quantity") {
            true => quantity(table),
            false => Quantity::pieces(1),
        };
        Some(PlanPart { material: material?, quantity: quantity? })
    });
    parts.into_iter().collect()
}
