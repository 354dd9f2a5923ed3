//! `[[reason]]`: why something stands. Names are paths of a tree, such as `Mechanical/Jam`.

use crate::element::Element;
use andon_model::settings::Table;

/// The most levels of the tree: what is deeper is not found in two taps.
const LEVELS: usize = 4;
/// The longest name of one level, in bytes.
const NAME_LIMIT: usize = 60;

/// Why something stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reason {
    /// What it counts as.
    pub counts_as: Element,
    /// Whether the cause is outside the machine, as PackML's Suspend says it, and not inside, as Hold does.
    pub is_outside: bool,
    /// What to do about it, for people.
    pub action: String,
}

const COUNTS_AS: &[(&str, Element)] = &[
    ("delay", Element::Delay),
    ("setup", Element::Setup),
    ("planned_down", Element::PlannedDown),
    ("idle", Element::Idle),
];

const CAUSES: &[(&str, bool)] = &[("inside", false), ("outside", true)];

pub(super) fn read(table: &mut Table<'_, '_>, name: &str) -> Reason {
    table.only(&["counts_as", "cause", "action"]);
    let levels: Vec<_> = name.split('/').collect();
    let wrong = levels.iter().any(|level| level.trim() != *level || level.is_empty() || level.len() > NAME_LIMIT);
    if wrong || levels.len() > LEVELS {
        let message = format!("{name:?} is no name of a reason");
        let remedy = format!(
            "write one to {LEVELS} names of 1 to {NAME_LIMIT} bytes with / between them, such as \"Mechanical/Jam\""
        );
        table.found("name", message, &remedy);
    }
    let counts_as = table.word("counts_as", COUNTS_AS).unwrap_or(Element::Delay);
    let is_outside = table.word("cause", CAUSES).unwrap_or(matches!(counts_as, Element::PlannedDown | Element::Idle));
    let action = table.text("action", |_| Ok(())).unwrap_or_default();
    Reason { counts_as, is_outside, action }
}
