//! Values, quantities, parameters and places that many types share (`B2MML-Common.xsd`).

use crate::code::{DataType, EquipmentLevel, LocationType};
use crate::content::{At, Content, Nillable, One, OneOrMore, Out, Parts};
use crate::error::ReadError;
use crate::number::Decimal;
#[cfg(test)]
use crate::tests::Random;
use crate::tree::Element;
use crate::word::{Code, Identifier, Text};

sequence! {
    /// How much of something.
    pub struct Quantity = "QuantityValueType" {
        /// The number, or nil: it is not known.
        amount: One<Nillable<Decimal>> = "QuantityString",
        /// The type of the number.
        data_type: Option<DataType> = "DataType",
        /// The unit, in a spelling that both sides agreed upon.
        unit_of_measure: Option<Code> = "UnitOfMeasure",
        /// Names this quantity among several.
        key: Option<Identifier> = "Key",
    }

    /// A value of any type.
    pub struct Value = "ValueType" {
        /// The value as text, or nil: it is not known.
        value: One<Nillable<Text>> = "ValueString",
        /// The type of the value.
        data_type: Option<DataType> = "DataType",
        /// The unit, in a spelling that both sides agreed upon.
        unit_of_measure: Option<Code> = "UnitOfMeasure",
        /// Names this value among several.
        key: Option<Identifier> = "Key",
    }

    /// What a segment is run with.
    pub struct Parameter = "ParameterType" {
        /// Its id.
        id: One<Identifier> = "ID",
        /// Its values.
        values: Vec<Value> = "Value",
        /// What it is, for people.
        description: Vec<Text> = "Description",
        /// Parameters within it.
        children: Vec<Parameter> = "ParameterChild",
    }

    /// Where a thing is.
    pub struct Location = "ResourceLocationType" {
        /// An id or a description.
        location: One<Text> = "Location",
        /// Which of them.
        location_type: One<LocationType> = "LocationType",
    }
}

impl Quantity {
    /// A number with its unit.
    #[must_use]
    pub fn of(amount: Decimal, unit_of_measure: Option<Code>) -> Self {
        Self { unit_of_measure, ..Self::new(Nillable(Some(amount))) }
    }
}

/// Where in the equipment hierarchy something belongs: from the widest level down, each with its equipment (`HierarchyScopeType`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HierarchyScope(pub OneOrMore<HierarchyLevel>);

/// One level of a [`HierarchyScope`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HierarchyLevel {
    /// The equipment.
    pub equipment_id: Identifier,
    /// The level that it is of.
    pub level: EquipmentLevel,
}

impl Content for HierarchyScope {
    #[cfg(test)]
    const TYPE: &'static str = "HierarchyScopeType";

    fn read(element: &Element, at: &mut At) -> Result<Self, ReadError> {
        let (first, below) = level(element, at)?;
        let mut levels = OneOrMore::one(first).into_vec();
        if let Some(Self(below)) = below {
            levels.append(&mut below.into_vec());
        }
        OneOrMore::new(levels).map(Self).ok_or_else(|| at.error(crate::Problem::Empty))
    }

    fn write(&self, name: &str, out: &mut Out) {
        write_levels(&self.0, name, out);
    }

    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        let level = |random: &mut Random| HierarchyLevel {
            equipment_id: Content::sample(random),
            level: Content::sample(random),
        };
        let mut levels = vec![level(random)];
        while levels.len() < 4 && random.wants_more() {
            levels.push(level(random));
        }
        Self(OneOrMore::new(levels).unwrap())
    }
}

/// The edition has two names for the level, of which one is to be there; the newer one is written.
fn level(element: &Element, at: &mut At) -> Result<(HierarchyLevel, Option<HierarchyScope>), ReadError> {
    let known = ["EquipmentID", "EquipmentLevel", "EquipmentElementLevel", "HierarchyScopeChild"];
    let parts = Parts::of(element, &known, at);
    let equipment_id = parts.one("EquipmentID", at)?;
    let level = match parts.optional("EquipmentElementLevel", at)? {
        Some(level) => level,
        None => parts.one("EquipmentLevel", at)?,
    };
    Ok((HierarchyLevel { equipment_id, level }, parts.optional("HierarchyScopeChild", at)?))
}

fn write_levels(levels: &[HierarchyLevel], name: &str, out: &mut Out) {
    let Some((level, below)) = levels.split_first() else { return };
    out.element(name, &[], |out| {
        level.equipment_id.write("EquipmentID", out);
        level.level.write("EquipmentLevel", out);
        write_levels(below, "HierarchyScopeChild", out);
    });
}
