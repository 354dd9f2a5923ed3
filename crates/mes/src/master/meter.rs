//! `[[meter]]`: what counts energy.

use super::{Index, NAME_LIMIT, is_name, line, needed};
use crate::energy::meter::{MeterRule, Reads, SHOWN_MAX};
use andon_model::DataType;
use andon_model::path::TagPath;
use andon_model::plant::TagDef;
use andon_model::settings::Table;

/// The carriers that a meter can be of.
pub const CARRIERS: [&str; 10] =
    ["electricity", "gas", "oil", "heat", "cold", "steam", "compressed_air", "water", "hydrogen", "other"];
/// The carrier where none is said.
pub(super) const CARRIER: &str = "electricity";
/// No register counts further.
const REGISTER: f64 = 1e16;
/// The least that is counted, in kWh.
const LEAST: f64 = 1e-6;

/// A point at which energy is metered. The device may be exchanged: the name stays, and so does what was counted.
#[derive(Clone, PartialEq, Debug)]
pub struct MeterPoint {
    /// What people call it.
    pub title: String,
    /// The path of the equipment at which it stands: it counts all that goes in there.
    pub at: String,
    /// The tag that says it.
    pub tag: TagPath,
    /// One of [`CARRIERS`].
    pub carrier: String,
    /// How it is read.
    pub rule: MeterRule,
}

/// UCUM codes of energy, and of power, with kWh and kW in one.
const ENERGIES: [(&str, f64); 8] = [
    ("W.h", 1e-3),
    ("kW.h", 1.0),
    ("MW.h", 1e3),
    ("GW.h", 1e6),
    ("J", 1.0 / 3.6e6),
    ("kJ", 1.0 / 3.6e3),
    ("MJ", 1.0 / 3.6),
    ("GJ", 1e3 / 3.6),
];
const POWERS: [(&str, f64); 4] = [("W", 1e-3), ("kW", 1.0), ("MW", 1e3), ("GW", 1e6)];

pub(super) fn read(table: &mut Table<'_, '_>, name: &str, index: &Index<'_>) -> Option<MeterPoint> {
    table.only(&["title", "at", "tag", "reads", "carrier", "factor", "rolls_over_at", "most_kw"]);
    if !is_name(name) {
        let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them, such as \"line1-main\"");
        table.found("name", format!("{name:?} is no name of a meter"), &remedy);
    }
    let title = line(table, "title").unwrap_or_else(|| name.to_owned());
    let at = place(table, index);
    let carrier = carrier(table);
    let path = needed(table, "tag", "write the path of the tag that counts: tag = \"works/line1/energy\"");
    let tag =
        path.and_then(|path| index.tag(&path).map_err(|(message, remedy)| table.found("tag", message, &remedy)).ok());
    if tag.is_some_and(|tag| !matches!(tag.data_type, DataType::Int64 | DataType::Double)) {
        table.found("tag", "a tag that is no number meters nothing".to_owned(), "write a tag with numbers");
    }
    let said = table.word("reads", &[("energy", Reads::Energy), ("power", Reads::Power)]);
    let given = table.number("factor", 1e-9, 1e9);
    let rolls_over_at = table.number("rolls_over_at", 1.0, REGISTER);
    let most_kw = table.number("most_kw", 1e-3, 1e9);
    let tag = tag?;
    let (reads, factor) = understood(table, tag, said, given)?;
    if reads == Reads::Power && rolls_over_at.is_some() {
        table.found("rolls_over_at", "a power does not roll over".to_owned(), "take it out");
    }
    // Of any other register no reading would ever be near its end.
    let end = rolls_over_at.filter(|_| reads == Reads::Energy).map(|end| end * factor);
    if let Some(end) = end.filter(|end| !(LEAST..=SHOWN_MAX).contains(end)) {
        let message = format!("the register would end at {end} kWh, and it can only at {LEAST} to {SHOWN_MAX} kWh");
        table.found(
            "rolls_over_at",
            message,
            "write the first number that the register cannot show, in the tag's unit",
        );
    }
    let rule = MeterRule { reads, factor, rolls_over_at, most_kw };
    Some(MeterPoint { title, at: at?, tag: tag.path.clone(), carrier, rule })
}

/// What the tag says, and kWh (kW) in one of its units: by its unit, or as the table says.
fn understood(
    table: &mut Table<'_, '_>,
    tag: &TagDef,
    said: Option<Reads>,
    given: Option<f64>,
) -> Option<(Reads, f64)> {
    let code = tag.unit.as_ref().map(|unit| unit.code());
    let factor_in =
        |units: &[(&str, f64)]| units.iter().find(|(unit, _)| Some(*unit) == code).map(|(_, factor)| *factor);
    let (energy, power) = (factor_in(&ENERGIES), factor_in(&POWERS));
    let reads = said.unwrap_or(if power.is_some() { Reads::Power } else { Reads::Energy });
    let (own, other) = if reads == Reads::Power { (power, energy) } else { (energy, power) };
    let shown = code.unwrap_or("none");
    if other.is_some() {
        let message = format!("the tag's unit is {shown}, which is no {}", reads.word());
        table.found(if said.is_some() { "reads" } else { "tag" }, message, "take `reads` out, or write another tag");
        return None;
    }
    if let (Some(_), true) = (own, table.map.contains_key("factor")) {
        let message = format!("the tag's unit {shown} says already how much it is");
        table.found("factor", message, "take it out, or mend the tag's unit");
        return None;
    }
    if let Some(factor) = own.or(given) {
        return Some((reads, factor));
    }
    if !table.map.contains_key("factor") {
        let message = format!("the tag's unit is {shown}: how much energy one is, is not said");
        table.found_here(message, "write the kWh of one unit, for instance of a m³ of gas: factor = 10.3");
    }
    None
}

/// Where something stands or holds.
pub(super) fn place(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<String> {
    let at = needed(table, "at", "write the path of a machine, a line, an area or a site: at = \"works/line1\"")?;
    if let Err((message, remedy)) = index.equipment(&at) {
        table.found("at", message, &remedy);
        return None;
    }
    Some(at)
}

pub(super) fn carrier(table: &mut Table<'_, '_>) -> String {
    let words = CARRIERS.map(|carrier| (carrier, carrier));
    table.word("carrier", &words).unwrap_or(CARRIER).to_owned()
}
