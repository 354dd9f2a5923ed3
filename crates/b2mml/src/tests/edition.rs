//! Our lists of elements and codes against `cases/edition.txt`, a transcript of the edition's.

use super::{Coded, Listed, Listing};
use crate::{area, code, definition, material, message, performance, schedule, value, verb};
use std::collections::BTreeMap;

/// Name, how often (` `, `?`, `*`, `+`), type.
type Line = (&'static str, char, &'static str);

#[derive(Default)]
struct Edition {
    types: BTreeMap<&'static str, Vec<Line>>,
    attributes: BTreeMap<&'static str, Vec<&'static str>>,
    codes: BTreeMap<&'static str, (Vec<&'static str>, bool)>,
    aliases: BTreeMap<&'static str, &'static str>,
}

impl Edition {
    fn read() -> Self {
        let mut edition = Self::default();
        let mut current = "";
        for line in include_str!("../../cases/edition.txt")
            .lines()
            .filter(|line| !line.trim().is_empty() && !line.starts_with('#'))
        {
            if let Some(name) = line.strip_prefix("type ") {
                current = name.split(' ').next().unwrap();
                edition.types.entry(current).or_default();
            } else if let Some(rest) = line.strip_prefix("codes ") {
                let (name, words) = rest.split_once(": ").unwrap();
                let own = name.ends_with(" @OtherValue");
                let words = words.split(" | ").collect();
                edition.codes.insert(name.trim_end_matches(" @OtherValue"), (words, own));
            } else if let Some((name, base)) = line.split_once(" = ") {
                edition.aliases.insert(name, base);
            } else if let Some(attribute) = line.trim().strip_prefix('@') {
                let (name, _) = attribute.split_once(": ").unwrap();
                edition.attributes.entry(current).or_default().push(name.trim_end_matches('!'));
            } else {
                let (name, kind) = line.trim().split_once(": ").unwrap();
                let how = name.chars().last().filter(|last| "?*+".contains(*last)).unwrap_or(' ');
                edition.types.get_mut(current).unwrap().push((name.trim_end_matches(how), how, kind));
            }
        }
        edition
    }

    fn base(&self, mut kind: &'static str) -> &'static str {
        while let Some(base) = self.aliases.get(kind) {
            kind = base;
        }
        kind
    }

    /// What is wrong with a list of ours.
    fn faults(&self, ours: &Listing) -> Vec<String> {
        let Some(theirs) = self.types.get(ours.name) else { return vec![format!("{} is not transcribed", ours.name)] };
        let mut faults = Vec::new();
        let mut rest = &theirs[..];
        for (name, occurs, kind) in &ours.elements {
            let Some(place) = rest.iter().position(|(theirs, ..)| theirs == name) else {
                faults.push(format!("{}/{name} is unknown there, or stands earlier", ours.name));
                continue;
            };
            let (_, how, their_kind) = rest[place];
            rest = &rest[place + 1..];
            let expected = match how {
                '?' => "Option",
                '*' => "Vec",
                '+' => "OneOrMore",
                _ => "One",
            };
            if *occurs != expected {
                faults.push(format!("{}/{name} is {occurs}, there {expected}", ours.name));
            }
            if self.base(kind) != self.base(their_kind) {
                faults.push(format!("{}/{name} is {kind}, there {their_kind}", ours.name));
            }
        }
        for (name, ..) in theirs.iter().filter(|(_, how, _)| " +".contains(*how)) {
            if !ours.elements.iter().any(|(ours, ..)| ours == name) {
                faults.push(format!("{}/{name} is required there", ours.name));
            }
        }
        let attributes = self.attributes.get(ours.name).cloned().unwrap_or_default();
        if attributes != ours.attributes {
            faults.push(format!("{} has the attributes {:?}, there {attributes:?}", ours.name, ours.attributes));
        }
        faults
    }
}

macro_rules! listings {
    ($($type:ty),* $(,)?) => { vec![$(<$type as Listed>::listed()),*] };
}

fn ours() -> Vec<Listing> {
    listings![
        area::ApplicationArea,
        area::Sender,
        area::Receiver,
        verb::Get,
        verb::Show,
        verb::Process,
        verb::Acknowledge,
        verb::Change,
        verb::Respond,
        verb::Cancel,
        verb::Sync,
        verb::Confirm,
        verb::ActionCriteria,
        verb::ResponseCriteria,
        verb::ChangeStatus,
        message::Bod,
        value::Quantity,
        value::Value,
        value::Parameter,
        value::Location,
        schedule::OperationsSchedule,
        schedule::OperationsRequest,
        schedule::SegmentRequirement,
        schedule::PersonnelRequirement,
        schedule::EquipmentRequirement,
        schedule::MaterialRequirement,
        performance::OperationsPerformance,
        performance::OperationsResponse,
        performance::SegmentResponse,
        performance::SegmentData,
        performance::PersonnelActual,
        performance::EquipmentActual,
        performance::MaterialActual,
        material::MaterialClass,
        material::MaterialClassProperty,
        material::MaterialDefinition,
        material::MaterialDefinitionProperty,
        definition::OperationsDefinition,
        definition::OperationsSegment,
        definition::PersonnelSpecification,
        definition::EquipmentSpecification,
        definition::MaterialSpecification,
    ]
}

#[test]
fn elements_their_order_number_and_type_are_the_editions() {
    let edition = Edition::read();
    let faults: Vec<String> = ours().iter().flat_map(|listing| edition.faults(listing)).collect();
    assert_eq!(faults, Vec::<String>::new());
}

#[test]
fn another_order_number_or_type_is_noticed() {
    let edition = Edition::read();
    let parts = |elements: &[(&'static str, &'static str, &'static str)]| Listing {
        name: "ResourceLocationType",
        attributes: Vec::new(),
        elements: elements.to_vec(),
    };
    let (first, second) = (("Location", "One", "TextType"), ("LocationType", "One", "ResourceLocationTypeType"));
    assert_eq!(edition.faults(&parts(&[first, second])), Vec::<String>::new());
    assert_eq!(edition.faults(&parts(&[second, first])).len(), 1, "order");
    assert_eq!(edition.faults(&parts(&[first])).len(), 1, "one is missing");
    assert_eq!(
        edition.faults(&parts(&[first, ("LocationType", "Vec", "ResourceLocationTypeType")])).len(),
        1,
        "number"
    );
    assert_eq!(edition.faults(&parts(&[first, ("LocationType", "One", "DateTimeType")])).len(), 1, "type");
    assert_eq!(edition.faults(&parts(&[first, second, ("Locale", "Option", "TextType")])).len(), 1, "unknown");
}

#[test]
fn codes_are_the_editions() {
    let edition = Edition::read();
    let ours = [
        code::OperationsType::CODES,
        code::RequestState::CODES,
        code::ResponseState::CODES,
        code::MaterialUse::CODES,
        code::EquipmentLevel::CODES,
        code::AssemblyType::CODES,
        code::AssemblyRelationship::CODES,
        code::LocationType::CODES,
        code::DefinitionType::CODES,
        code::ClassPropertyType::CODES,
        code::ConfirmationCode::CODES,
        code::ResponseCode::CODES,
        code::DataType::CODES,
    ];
    for (name, words, own) in ours {
        assert_eq!(edition.codes.get(name), Some(&(words.to_vec(), own)), "{name}");
    }
}
