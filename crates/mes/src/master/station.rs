//! What of a `[[machine]]` says which unit it works on: `unit`, a table of tags whose readings come together.

use super::index::Index;
use super::machine::{good, key, tag_at, value_fits};
use super::material::{Tracked, quantity};
use super::{MasterKind, limited, needed};
use crate::quantity::Quantity;
use andon_model::plant::MasterDef;
use andon_model::settings::Table;
use andon_model::{DataType, Sample, TagPath};
use serde_json::Value as Json;
use std::collections::BTreeSet;

/// The most measured values, parts, vessels and programs of a station, each.
const LIMIT: usize = 200;
/// The longest name of a component, in bytes: what a certificate takes is no shorter.
const NAME_LIMIT: usize = 128;
/// The most values that mean "pass".
const PASS_LIMIT: usize = 100;

/// Which tags say what passes a station.
#[derive(Clone, PartialEq, Debug)]
pub struct Station {
    /// Each good reading of it is one unit that passes, by its serial number.
    pub serial: TagPath,
    /// What says which product it is, as `name` or `name@revision`, until it says something else; `None`: the job does.
    pub product: Option<TagPath>,
    /// Whether the unit passed; `None`: it does, always.
    pub result: Option<ResultTag>,
    /// What was measured.
    pub measures: Vec<MeasureTag>,
    /// What was put in.
    pub parts: Vec<PartTag>,
    /// What each unit gets out of a vessel.
    pub draws: Vec<DrawFrom>,
    /// Which programs were loaded.
    pub firmware: Vec<FirmwareTag>,
    /// Whether units are made here; elsewhere one that is not known is told.
    pub first: bool,
    /// Whether a unit that passes here is finished.
    pub last: bool,
}

/// The tag that says whether a unit passed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ResultTag {
    /// The tag.
    pub tag: TagPath,
    /// Its values that mean so, as documents write them.
    pub pass: BTreeSet<String>,
}

impl ResultTag {
    /// Whether a reading says that the unit passed; `None`: it says nothing.
    #[must_use]
    pub fn passed(&self, sample: &Sample) -> Option<bool> {
        Some(self.pass.contains(&key(good(sample)?)?))
    }
}

/// A tag that measures a characteristic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MeasureTag {
    /// The characteristic of the material.
    pub characteristic: String,
    /// The tag.
    pub tag: TagPath,
}

/// A tag that says which part was put in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartTag {
    /// The material of the part, as `name` or `name@revision`.
    pub material: String,
    /// The tag with the number of its lot or its serial number.
    pub tag: TagPath,
    /// Which of them it is: never [`Tracked::None`].
    pub by: Tracked,
    /// How much of it was put in; `None`: as much as the bill says.
    pub quantity: Option<Quantity>,
}

/// The tags that say which program was loaded into a component of the unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FirmwareTag {
    /// What it runs on: a word of the plant's own, such as `controller`.
    pub component: String,
    /// The tag with its version.
    pub version: TagPath,
    /// The tag with the SHA-256 of the file that was loaded, in hexadecimal digits; `None`: that is not told.
    pub sha256: Option<TagPath>,
}

/// So much of what is in a vessel goes into each unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DrawFrom {
    /// The path of the `[[vessel]]`.
    pub vessel: String,
    /// How much, in the unit of what is in it.
    pub quantity: Quantity,
}

impl DrawFrom {
    /// The last word of the vessel's path.
    #[must_use]
    pub fn name(&self) -> &str {
        self.vessel.rsplit('/').next().unwrap_or(&self.vessel)
    }
}

pub(super) fn read(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<Station> {
    table.only(&["serial", "product", "result", "measure", "part", "draw", "firmware", "first", "last"]);
    let serial = match table.map.contains_key("serial") {
        true => text_tag(table, "serial", index),
        false => {
            let message = "\"serial\" is missing".to_owned();
            table.found_here(message, "write the tag that says the serial number of the unit");
            None
        }
    };
    let product = table.map.contains_key("product").then(|| text_tag(table, "product", index));
    let result = table.table("result", |table| result(table, index)).flatten();
    limited(table, "measure", LIMIT)?;
    let mut seen = BTreeSet::new();
    let measures = table.tables("measure", |table| {
        let measure = measure(table, index)?;
        if !seen.insert(measure.characteristic.clone()) {
            let message = format!("\"{}\" is measured twice here", measure.characteristic);
            table.found("characteristic", message, "keep one");
        }
        Some(measure)
    });
    limited(table, "part", LIMIT)?;
    let parts = table.tables("part", |table| part(table, index));
    limited(table, "draw", LIMIT)?;
    let mut names = BTreeSet::new();
    let draws = table.tables("draw", |table| {
        let draw = draw(table, index)?;
        if !names.insert(draw.name().to_owned()) {
            let message = format!("two vessels are called \"{}\" here, and one is taken for the other", draw.name());
            table.found("vessel", message, "keep one, or call one of them otherwise");
        }
        Some(draw)
    });
    let draws: Vec<DrawFrom> = draws.into_iter().collect::<Option<_>>()?;
    limited(table, "firmware", LIMIT)?;
    let mut components = BTreeSet::new();
    let firmware = table.tables("firmware", |table| {
        let firmware = firmware(table, index)?;
        if !components.insert(firmware.component.clone()) {
            let message = format!("two programs run on \"{}\" here", firmware.component);
            table.found("component", message, "keep one, or call one of them otherwise");
        }
        Some(firmware)
    });
    let firmware: Vec<FirmwareTag> = firmware.into_iter().collect::<Option<_>>()?;
    let (first, last) = (table.flag("first"), table.flag("last"));
    let (measures, parts) = (measures.into_iter().collect::<Option<_>>(), parts.into_iter().collect::<Option<_>>());
    // One that is wrong is told, and is not as if it were not there.
    let product = product.map_or(Some(None), |product| product.map(Some))?;
    Some(Station { serial: serial?, product, result, measures: measures?, parts: parts?, draws, firmware, first, last })
}

/// A tag with texts.
fn text_tag(table: &mut Table<'_, '_>, at: &str, index: &Index<'_>) -> Option<TagPath> {
    let tag = tag_at(table, at, index)?;
    if tag.data_type != DataType::String {
        let message = format!("{} is a {} tag, and what names something is a text", tag.path, tag.data_type.name());
        table.found(at, message, "write a string tag");
        return None;
    }
    Some(tag.path.clone())
}

fn result(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<ResultTag> {
    table.only(&["tag", "pass"]);
    let tag = tag_at(table, "tag", index)?;
    let pass: BTreeSet<String> = match (table.map.get("pass"), tag.data_type) {
        (None, DataType::Boolean) => ["true".to_owned()].into(),
        (None, DataType::Int64 | DataType::Double) => ["1".to_owned()].into(),
        (None, DataType::String) => {
            let message = format!("which texts of {} mean that the unit passed is not said", tag.path);
            table.found_here(message, "write them: pass = [\"OK\"]");
            return None;
        }
        (Some(_), _) => {
            limited(table, "pass", PASS_LIMIT)?;
            table.texts("pass").into_iter().collect()
        }
    };
    if let Some(value) = pass.iter().find(|value| !value_fits(tag.data_type, value)) {
        let message = format!("a {} tag never has the value {value:?}", tag.data_type.name());
        table.found("pass", message, "write values that the tag can have");
    }
    Some(ResultTag { tag: tag.path.clone(), pass })
}

fn measure(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<MeasureTag> {
    table.only(&["characteristic", "tag"]);
    let characteristic = needed(table, "characteristic", "write the name of a characteristic of the material");
    let tag = tag_at(table, "tag", index);
    if let Some(tag) = tag.filter(|tag| !matches!(tag.data_type, DataType::Int64 | DataType::Double)) {
        let message = format!("a {} tag measures nothing", tag.data_type.name());
        table.found("tag", message, "write a tag with numbers");
    }
    match characteristic.as_deref().map(|name| index.characteristic(name)) {
        Some(Err((message, remedy))) => table.found("characteristic", message, &remedy),
        Some(Ok(units)) => {
            let own = tag.and_then(|tag| tag.unit.as_ref()).map(andon_model::Unit::code);
            // One that says no unit takes any.
            let fits = own.is_none() || units.contains(&None) || units.contains(&own);
            if let (false, Some(own)) = (fits, own) {
                let unit = units.iter().flatten().next().copied().unwrap_or_default();
                let message = format!("the tag is in {own}, and the characteristic in {unit}");
                table.found("tag", message, "give both the same unit");
            }
        }
        None => {}
    }
    Some(MeasureTag { characteristic: characteristic?, tag: tag?.path.clone() })
}

fn part(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<PartTag> {
    table.only(&["material", "lot", "serial", "quantity"]);
    let material = needed(table, "material", "write the name of a material");
    let by = match (table.map.contains_key("lot"), table.map.contains_key("serial")) {
        (true, false) => Some(("lot", Tracked::Lot)),
        (false, true) => Some(("serial", Tracked::Serial)),
        _ => {
            let message = "which tag says what was put in is not said, or said twice".to_owned();
            table.found_here(message, "write either `lot` or `serial`, with the path of a string tag");
            None
        }
    };
    match material.as_deref().map(|name| index.material(name)) {
        Some(Err((message, remedy))) => table.found("material", message, &remedy),
        Some(Ok(def)) => {
            if let Some((word, by)) = by
                && tracked(def) != Some(by)
            {
                let message = format!("the material \"{}\" is not told apart by its {word}", def.name);
                table.found(
                    word,
                    message,
                    &format!("write `tracked = \"{word}\"` in the material, or another word here"),
                );
            }
        }
        None => {}
    }
    let tag = by.and_then(|(word, _)| text_tag(table, word, index));
    let quantity = quantity(table);
    if let (Some(("serial", _)), Some(quantity)) = (by, quantity)
        && Some(quantity) != Quantity::pieces(1)
    {
        table.found("quantity", "what has a serial number is one".to_owned(), "take `quantity` out");
    }
    Some(PartTag { material: material?, tag: tag?, by: by?.1, quantity })
}

fn firmware(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<FirmwareTag> {
    table.only(&["component", "version", "sha256"]);
    let component = needed(table, "component", "write what the program runs on, such as \"controller\"");
    if let Some(component) = component.as_deref().filter(|component| component.len() > NAME_LIMIT) {
        let message = format!("a component's name has at most {NAME_LIMIT} bytes, and this has {}", component.len());
        table.found("component", message, "write a shorter one");
    }
    if !table.map.contains_key("version") {
        table.found_here("\"version\" is missing".to_owned(), "write the tag that says which version was loaded");
        return None;
    }
    let version = text_tag(table, "version", index);
    let sha256 = table.map.contains_key("sha256").then(|| text_tag(table, "sha256", index));
    let sha256 = sha256.map_or(Some(None), |sha256| sha256.map(Some));
    Some(FirmwareTag { component: component?, version: version?, sha256: sha256? })
}

fn draw(table: &mut Table<'_, '_>, index: &Index<'_>) -> Option<DrawFrom> {
    table.only(&["vessel", "quantity"]);
    let vessel = needed(table, "vessel", "write the path of a [[vessel]]");
    if let Some(Err((message, remedy))) = vessel.as_deref().map(|path| index.has(MasterKind::Vessel, path)) {
        table.found("vessel", message, &remedy);
    }
    if !table.map.contains_key("quantity") {
        table.found_here("\"quantity\" is missing".to_owned(), "write how much each unit gets");
    }
    Some(DrawFrom { vessel: vessel?, quantity: quantity(table)? })
}

/// `None`: what stands there is no word for it, which is told where it stands.
fn tracked(def: &MasterDef) -> Option<Tracked> {
    debug_assert_eq!(def.kind, MasterKind::Material);
    match def.settings.get("tracked") {
        None => Some(Tracked::None),
        Some(Json::String(word)) => {
            super::material::TRACKED.iter().find(|(known, _)| known == word).map(|found| found.1)
        }
        Some(_) => None,
    }
}
