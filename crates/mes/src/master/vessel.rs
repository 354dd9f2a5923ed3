//! `[[vessel]]`: a tank or silo in which lots mix.

use super::index::Index;
use crate::quantity::Quantity;
use andon_model::settings::Table;

/// The most that a vessel holds, in the unit of its material.
const MOST: f64 = 1e9;

/// How lots mix.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Mixing {
    /// What is drawn holds them as the vessel does.
    #[default]
    Ideal,
    /// First in, first out.
    Plug,
}

/// A tank or silo.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Vessel {
    /// How lots mix in it.
    pub mixing: Mixing,
    /// How much it holds; `None`: nobody has said.
    pub capacity: Option<Quantity>,
    /// The only material that comes in, without its revision; `None`: any.
    pub material: Option<String>,
}

pub(super) fn read(table: &mut Table<'_, '_>, equipment: &str, index: &Index<'_>) -> Vessel {
    table.only(&["mixing", "capacity", "material"]);
    if let Err((message, remedy)) = index.equipment(equipment) {
        table.found("equipment", message, &remedy);
    }
    let mixing = table.word("mixing", &[("ideal", Mixing::Ideal), ("plug", Mixing::Plug)]).unwrap_or_default();
    let capacity = table.number("capacity", 0.000_001, MOST).and_then(|number| Quantity::from_f64(number).ok());
    let material = table.text("material", |name| match name.contains('@') {
        true => Err("a vessel is for every revision of its material".to_owned()),
        false => Ok(()),
    });
    if let Some(Err((message, remedy))) = material.as_deref().map(|name| index.material(name)) {
        table.found("material", message, &remedy);
    }
    Vessel { mixing, capacity, material }
}
