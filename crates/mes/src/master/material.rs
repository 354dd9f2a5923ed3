//! `[[material]]`: what is bought, made and sold, what goes into it, what it must be like, and how it is made.

use super::index::{Index, Wrong};
use super::revision::{self, SHORT_LIMIT, is_id};
use super::{NAME_LIMIT, is_name, limited, line, lines, needed, texts};
use crate::certificate::Gtin;
use crate::quantity::Quantity;
use andon_model::near::nearest;
use andon_model::plant::{MasterDef, MasterKind};
use andon_model::settings::Table;
use andon_model::{Unit, text};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most lines of a bill.
const BILL: usize = 1_000;
/// The most characteristics.
const CHARACTERISTICS: usize = 500;
/// The most operations.
const OPERATIONS: usize = 200;
/// The most equipment that an operation can be done on: as many as a plan chooses from.
const EQUIPMENT: usize = crate::schedule::MOST_ALTERNATIVES;
/// The most skills, and the most instructions, of an operation.
const NAMES: usize = 50;
/// The most of a material in one of another, in its unit: a quantity is exact up to here.
pub(super) const QUANTITY_MOST: f64 = 1e9;
/// The longest unit of a material, in bytes.
const UNIT_LIMIT: usize = 16;

/// What is bought, made and sold.
#[derive(Clone, PartialEq, Debug)]
pub struct Material {
    /// Its part number.
    pub name: String,
    /// Which edition it is; `None`: it has none.
    pub revision: Option<String>,
    /// What people call it; its name where nothing else is said.
    pub title: String,
    /// More about it.
    pub description: String,
    /// What its quantities count: `pcs`, `kg`, `l`.
    pub unit: String,
    /// Its number in trade.
    pub gtin: Option<Gtin>,
    /// How what is made of it is told apart.
    pub tracked: Tracked,
    /// What equipment has to be set up for.
    pub family: Option<String>,
    /// What goes into one of it.
    pub bill: Vec<BillLine>,
    /// What it must be like.
    pub characteristics: Vec<Characteristic>,
    /// How it is made, in the order of the document; none: it is bought.
    pub operations: Vec<Operation>,
}

/// How what there is of a material is told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Tracked {
    /// Not at all.
    #[default]
    None,
    /// By the lot.
    Lot,
    /// Each one by its serial number.
    Serial,
}

pub(super) const TRACKED: &[(&str, Tracked)] =
    &[("serial", Tracked::Serial), ("lot", Tracked::Lot), ("none", Tracked::None)];

/// What goes into a material.
#[derive(Clone, PartialEq, Debug)]
pub struct BillLine {
    /// What goes in: `HP-8@B`, or `HP-8` for its newest revision ([`super::MasterData::named`] finds either).
    pub material: String,
    /// How much of it goes into one, in its unit; above zero.
    pub quantity: Quantity,
    /// At which operation; `None`: nobody has said.
    pub operation: Option<String>,
}

/// What a material must be like.
#[derive(Clone, PartialEq, Debug)]
pub struct Characteristic {
    /// Its name, one in the material.
    pub name: String,
    /// In which unit it is measured.
    pub unit: Option<Unit>,
    /// What is wanted.
    pub target: Option<f64>,
    /// The least that is good; not above `target` and `upper`.
    pub lower: Option<f64>,
    /// The most that is good.
    pub upper: Option<f64>,
    /// After which operation it holds; `None`: when the material is made.
    pub operation: Option<String>,
}

/// A step of how a material is made.
#[derive(Clone, PartialEq, Debug)]
pub struct Operation {
    /// Its name, one in the material: `10`.
    pub name: String,
    /// What people call it; its name where nothing else is said.
    pub title: String,
    /// The paths of the equipment that can do it, at least one.
    pub equipment: Vec<String>,
    /// How long it takes for one, 1 ms to 30 d.
    pub run_time: Duration,
    /// How long it takes before the first one.
    pub setup: Duration,
    /// The operations that must be done before; none: it may begin at once.
    pub after: Vec<String>,
    /// What somebody must have learned to do it.
    pub skills: Vec<String>,
    /// What is to be read for it, as `name` or `name@revision`.
    pub instructions: Vec<String>,
}

const WORDS: &[&str] =
    &["title", "description", "unit", "gtin", "tracked", "family", "bill", "characteristic", "operation"];

pub(super) fn read(table: &mut Table<'_, '_>, def: &MasterDef, index: &Index<'_>) -> Option<Material> {
    table.only(WORDS);
    let (name, revision) = revision::read(table, MasterKind::Material, &def.name);
    let title = line(table, "title").unwrap_or_else(|| name.clone());
    let description = lines(table, "description").unwrap_or_default();
    let unit = table.text("unit", |unit| {
        let fits = !unit.is_empty() && unit.len() <= UNIT_LIMIT && unit.trim() == unit;
        let fits = fits && text::check_line(unit).is_ok();
        if fits { Ok(()) } else { Err(format!("a unit is 1 to {UNIT_LIMIT} bytes, such as \"pcs\", \"kg\" or \"l\"")) }
    });
    let gtin = table.text("gtin", |gtin| Gtin::parse(gtin).map(drop).map_err(|error| error.to_string()));
    let tracked = table.word("tracked", TRACKED).unwrap_or_default();
    let family = line(table, "family");
    let operations = operations(table, index);
    let known: Vec<&str> = operations.iter().flatten().map(|operation| operation.name.as_str()).collect();
    // Where one could not be read, what is said of the others rests on too little.
    let known = operations.is_some().then_some(known.as_slice());
    let bill = bill(table, index, known);
    let characteristics = characteristics(table, known);
    Some(Material {
        name,
        revision,
        title,
        description,
        unit: unit.unwrap_or_else(|| "pcs".to_owned()),
        gtin: gtin.and_then(|gtin| Gtin::parse(&gtin).ok()),
        tracked,
        family,
        bill: bill?,
        characteristics: characteristics?,
        operations: operations?,
    })
}

fn bill(table: &mut Table<'_, '_>, index: &Index<'_>, known: Option<&[&str]>) -> Option<Vec<BillLine>> {
    limited(table, "bill", BILL)?;
    let mut seen = BTreeSet::new();
    let lines = table.tables("bill", |table| {
        table.only(&["material", "quantity", "operation"]);
        let material = needed(table, "material", "write the name of a material");
        if let Some(Err((message, remedy))) = material.as_deref().map(|name| index.material(name)) {
            table.found("material", message, &remedy);
        }
        let quantity = match table.map.contains_key("quantity") {
            true => quantity(table),
            false => {
                table.found_here("\"quantity\" is missing".to_owned(), "write how much goes into one: quantity = 2");
                None
            }
        };
        let operation = own_operation(table, known);
        if let Some(material) = &material
            && !seen.insert((material.clone(), operation.clone()))
        {
            let message = format!("\"{material}\" stands in the bill twice for the same operation");
            table.found("material", message, "make one line of both");
        }
        Some(BillLine { material: material?, quantity: quantity?, operation })
    });
    lines.into_iter().collect()
}

/// How much: above zero, with at most six decimals.
pub(super) fn quantity(table: &mut Table<'_, '_>) -> Option<Quantity> {
    let number = table.number("quantity", 1e-6, QUANTITY_MOST)?;
    let exact = Quantity::from_f64(number).ok().filter(|quantity| quantity.to_f64() == number);
    exact.or_else(|| table.wrong("quantity", "a number with at most six decimals, or choose a smaller unit"))
}

fn own_operation(table: &mut Table<'_, '_>, known: Option<&[&str]>) -> Option<String> {
    let name = table.text("operation", |_| Ok(()))?;
    if let Some(Err((message, remedy))) = known.map(|known| in_material(&name, known)) {
        table.found("operation", message, &remedy);
    }
    Some(name)
}

fn in_material(name: &str, known: &[&str]) -> Result<(), Wrong> {
    if known.contains(&name) {
        return Ok(());
    }
    let remedy = match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => "add an `operation` of it, or take it out".to_owned(),
        None => format!("known are: {}", known.join(", ")),
    };
    Err((format!("there is no operation \"{name}\" in this material"), remedy))
}

fn characteristics(table: &mut Table<'_, '_>, known: Option<&[&str]>) -> Option<Vec<Characteristic>> {
    limited(table, "characteristic", CHARACTERISTICS)?;
    let mut seen = BTreeSet::new();
    let all = table.tables("characteristic", |table| {
        table.only(&["name", "unit", "target", "lower", "upper", "operation"]);
        let name = needed(table, "name", "write what people call it: name = \"Filling level\"");
        if let Some(name) = &name {
            if !is_name(name) {
                let remedy = format!("write 1 to {NAME_LIMIT} bytes without white space around them");
                table.found("name", format!("{name:?} is no name of a characteristic"), &remedy);
            }
            if !seen.insert(name.clone()) {
                table.found("name", format!("the characteristic \"{name}\" is there twice"), "keep one");
            }
        }
        let unit = table.text("unit", |unit| {
            let hint = "write a UCUM code, as for tags: mm, bar, g, Cel, N.m";
            Unit::parse(unit).map(drop).map_err(|error| format!("{error}; {hint}"))
        });
        let mut number = |key| table.number(key, -1e300, 1e300);
        let [target, lower, upper] = ["target", "lower", "upper"].map(&mut number);
        for (low, below, high) in [(lower, "upper", upper), (lower, "target", target), (target, "upper", upper)] {
            if let (Some(low), Some(high)) = (low, high)
                && low > high
            {
                let message = format!("this goes from {low} to {high}, which is below it");
                table.found(below, message, "write lower, target and upper so that none is below the one before");
            }
        }
        let operation = own_operation(table, known);
        let unit = unit.and_then(|unit| Unit::parse(&unit).ok());
        Some(Characteristic { name: name?, unit, target, lower, upper, operation })
    });
    all.into_iter().collect()
}

fn operations(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<Vec<Operation>> {
    limited(table, "operation", OPERATIONS)?;
    let (mut before, mut seen) = (None, BTreeSet::new());
    let all = table.tables("operation", |table| operation(table, index, &mut before, &mut seen));
    let all: Vec<Operation> = all.into_iter().collect::<Option<_>>()?;
    let known: Vec<&str> = all.iter().map(|operation| operation.name.as_str()).collect();
    let mut good = true;
    for (at, operation) in all.iter().enumerate() {
        for (number, name) in operation.after.iter().enumerate() {
            let wrong = if *name == operation.name {
                Err(("an operation does not wait for itself".to_owned(), "take it out".to_owned()))
            } else {
                in_material(name, &known)
            };
            if let Err((message, remedy)) = wrong {
                good = false;
                let place = ["operation", &at.to_string(), "after", &number.to_string()].map(str::to_owned);
                table.found_at(place.into(), message, &remedy);
            }
        }
    }
    if good && let Some(circle) = circle(&all) {
        let at = known.iter().position(|name| Some(name) == circle.first());
        let message = format!("the operations {} wait for each other, so none can begin", circle.join(", "));
        let place = at.map(|at| vec!["operation".to_owned(), at.to_string(), "after".to_owned()]);
        table.found_at(place.unwrap_or_default(), message, "take one of them out of the `after` of another");
    }
    Some(all)
}

fn operation(
    table: &mut Table<'_, '_>,
    index: &Index<'_>,
    before: &mut Option<String>,
    seen: &mut BTreeSet<String>,
) -> Option<Operation> {
    table.only(&["name", "title", "equipment", "run_time", "setup", "after", "skills", "instructions"]);
    let name = needed(table, "name", "write its number: name = \"10\"");
    if let Some(name) = &name {
        if !is_id(name, SHORT_LIMIT) {
            let remedy = format!("write 1 to {SHORT_LIMIT} letters, digits, `.`, `_` and `-`, such as \"10\"");
            table.found("name", format!("{name:?} is no name of an operation"), &remedy);
        }
        if !seen.insert(name.clone()) {
            table.found("name", format!("the operation \"{name}\" is there twice"), "give one another name");
        }
    }
    let title = line(table, "title").or_else(|| name.clone());
    let equipment = texts(table, "equipment", EQUIPMENT, &|path| index.machine(path));
    if equipment.as_ref().is_some_and(Vec::is_empty) || !table.map.contains_key("equipment") {
        let message = "nothing says on which equipment this is done".to_owned();
        table.found_here(message, "write the paths of work units: equipment = [\"works/line1/filler\"]");
    }
    let day = Duration::from_secs(86_400);
    let run_time = table.span("run_time", &(Duration::from_millis(1)..=30 * day));
    if !table.map.contains_key("run_time") {
        let message = "\"run_time\" is missing".to_owned();
        table.found_here(message, "write how long it takes for one: run_time = \"0.3 s\"");
    }
    let setup = table.span("setup", &(Duration::ZERO..=30 * day)).unwrap_or_default();
    // A name that is there twice is told above, and not once more as an operation that waits for itself.
    let usual = before.take().filter(|before| Some(before) != name.as_ref());
    let after = match table.map.contains_key("after") {
        true => texts(table, "after", OPERATIONS, &|_| Ok(())),
        false => Some(usual.into_iter().collect()),
    };
    before.clone_from(&name);
    let skills = texts(table, "skills", NAMES, &|name| index.has(MasterKind::Skill, name)).unwrap_or_default();
    let instructions = texts(table, "instructions", NAMES, &|name| index.instruction(name)).unwrap_or_default();
    Some(Operation {
        name: name?,
        title: title?,
        equipment: equipment.unwrap_or_default(),
        run_time: run_time.unwrap_or_default(),
        setup,
        after: after.unwrap_or_default(),
        skills,
        instructions,
    })
}

/// Operations that wait for each other, in the order of the document; `None`: all can be done one after the other.
fn circle(all: &[Operation]) -> Option<Vec<&str>> {
    let mut waits: BTreeMap<&str, BTreeSet<&str>> =
        all.iter().map(|one| (one.name.as_str(), one.after.iter().map(String::as_str).collect())).collect();
    // Whatever waits for nothing that is left can be done, and whatever nothing waits for is not what holds the others up.
    loop {
        let left = waits.len();
        let names: BTreeSet<&str> = waits.keys().copied().collect();
        waits.retain(|_, after| after.iter().any(|name| names.contains(name)));
        let awaited: BTreeSet<&str> = waits.values().flatten().copied().collect();
        waits.retain(|name, _| awaited.contains(name));
        if waits.len() == left {
            break;
        }
    }
    let circle: Vec<&str> = all.iter().map(|one| one.name.as_str()).filter(|name| waits.contains_key(name)).collect();
    (!circle.is_empty()).then_some(circle)
}
