//! The edition's lists of codes. A code that is not in its list is an error; where the list has `Other`, the sender's own word stands in
//! the attribute `OtherValue`.

use crate::content::{At, Content, Out, Value};
use crate::error::{ReadError, WrongValue};
#[cfg(test)]
use crate::tests::Random;
use crate::tree::Element;
use crate::word::Code;

/// "is none of A, B, C".
fn none_of(text: &str, words: &[&str]) -> WrongValue {
    WrongValue::new(text, format!("is none of {}", words.join(", ")))
}

/// Declares a list of codes, closed, or with `Other` and the sender's own word.
macro_rules! codes {
    ($(#[$about:meta])* $name:ident = $kind:literal { $($code:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        pub enum $name { $( #[doc = concat!("`", $word, "`.")] $code, )* }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word),*];

            /// The edition's word for it.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self { $( Self::$code => $word, )* }
            }
        }

        impl Value for $name {
            #[cfg(test)]
            const TYPE: &'static str = $kind;
            fn parse(text: &str) -> Result<Self, WrongValue> {
                match text.trim() { $( $word => Ok(Self::$code), )* other => Err(none_of(other, Self::WORDS)) }
            }
            fn text(&self) -> String {
                self.word().to_owned()
            }
            #[cfg(test)]
            fn sample(random: &mut Random) -> Self {
                Self::parse(Self::WORDS[random.below(Self::WORDS.len())]).unwrap()
            }
        }

        #[cfg(test)]
        impl crate::tests::Coded for $name {
            const CODES: (&'static str, &'static [&'static str], bool) = ($kind, Self::WORDS, false);
        }
    };
    ($(#[$about:meta])* $name:ident = $kind:literal or other { $($code:ident = $word:literal),* $(,)? }) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Debug, Hash)]
        pub enum $name {
            $( #[doc = concat!("`", $word, "`.")] $code, )*
            /// None of the others; the sender's word for it, if there is one.
            Other(Option<Code>),
        }

        impl $name {
            const WORDS: &'static [&'static str] = &[$($word,)* "Other"];

            /// The edition's word for it.
            #[must_use]
            pub const fn word(&self) -> &'static str {
                match self { $( Self::$code => $word, )* Self::Other(_) => "Other" }
            }
        }

        impl Content for $name {
            #[cfg(test)]
            const TYPE: &'static str = $kind;
            const IS_TEXT: bool = true;

            fn read(element: &Element, at: &mut At) -> Result<Self, ReadError> {
                at.leave_out(element, &[]);
                match element.text.trim() {
                    $( $word => Ok(Self::$code), )*
                    "Other" => Ok(Self::Other(crate::content::attribute(element, "OtherValue", at)?)),
                    other => Err(at.error(none_of(other, Self::WORDS))),
                }
            }

            fn write(&self, name: &str, out: &mut Out) {
                match self {
                    Self::Other(Some(own)) => out.text(name, &[("OtherValue", own.as_str())], "Other"),
                    _ => out.text(name, &[], self.word()),
                }
            }

            #[cfg(test)]
            fn sample(random: &mut Random) -> Self {
                let all = [$( Self::$code, )* Self::Other(None), Self::Other(Some(Value::sample(random)))];
                all[random.below(all.len())].clone()
            }
        }

        #[cfg(test)]
        impl crate::tests::Coded for $name {
            const CODES: (&'static str, &'static [&'static str], bool) = ($kind, Self::WORDS, true);
        }
    };
}

codes! {
    /// The category of an activity.
    OperationsType = "OperationsTypeType" or other {
        Production = "Production", Maintenance = "Maintenance", Quality = "Quality", Inventory = "Inventory", Mixed = "Mixed",
    }
}
codes! {
    /// The state of a request, a schedule or a required segment.
    RequestState = "RequestStateType" or other {
        Forecast = "Forecast", Released = "Released", Waiting = "Waiting", Cancelled = "Cancelled", Ready = "Ready", Running = "Running",
        Completed = "Completed", Aborted = "Aborted", Held = "Held", Suspended = "Suspended", Closed = "Closed",
    }
}
codes! {
    /// The state of what is reported.
    ResponseState = "ResponseStateType" or other {
        Waiting = "Waiting", Ready = "Ready", Running = "Running", Completed = "Completed", Aborted = "Aborted", Held = "Held",
        Paused = "Paused", Suspended = "Suspended", Closed = "Closed",
    }
}
codes! {
    /// What becomes of a material.
    MaterialUse = "MaterialUseType" or other {
        Consumable = "Consumable", Consumed = "Consumed", Produced = "Produced", ByProductProduced = "By-product Produced",
        CoProductProduced = "Co-product Produced", YieldProduced = "Yield Produced", MaterialConsumed = "Material Consumed",
        MaterialProduced = "Material Produced", DestructiveSample = "Destructive Sample", ReturnedSample = "Returned Sample",
        RetainedSample = "Retained Sample", Inventoried = "Inventoried",
    }
}
codes! {
    /// A level of the equipment hierarchy.
    EquipmentLevel = "EquipmentLevelType" or other {
        Enterprise = "Enterprise", Site = "Site", Area = "Area", ProcessCell = "ProcessCell", Unit = "Unit",
        ProductionLine = "ProductionLine", WorkCell = "WorkCell", ProductionUnit = "ProductionUnit", StorageZone = "StorageZone",
        StorageUnit = "StorageUnit", WorkCenter = "WorkCenter", WorkUnit = "WorkUnit", EquipmentModule = "EquipmentModule",
        ControlModule = "ControlModule",
    }
}
codes! {
    /// Whether the parts of an assembly are joined.
    AssemblyType = "AssemblyTypeType" or other { Physical = "Physical", Logical = "Logical" }
}
codes! {
    /// Whether an assembly is to be taken apart again.
    AssemblyRelationship = "AssemblyRelationshipType" or other { Permanent = "Permanent", Transient = "Transient" }
}
codes! {
    /// What a location's text is.
    LocationType = "ResourceLocationTypeType" or other {
        OperationalLocationId = "Operational Location ID", OperationalLocation = "Operational Location", Equipment = "Equipment",
        Person = "Person", PhysicalAsset = "Physical Asset", Description = "Description",
    }
}
codes! {
    /// Whether a definition is scheduled, or is a template.
    DefinitionType = "DefinitionTypeType" { Pattern = "Pattern", Instance = "Instance" }
}
codes! {
    /// Whether a property's value belongs to the class, to the instance, or to the class until the instance has its own.
    ClassPropertyType = "ClassPropertyTypeType" {
        Class = "ClassType", Instance = "InstanceType", Default = "DefaultType", Other = "Other",
    }
}
codes! {
    /// When the sender wants a `ConfirmBOD`.
    ConfirmationCode = "TransConfirmationCodeType" { Always = "Always", Never = "Never", OnError = "OnError" }
}
codes! {
    /// When the sender wants an Acknowledge or a Respond.
    ResponseCode = "TransResponseCodeType" { Always = "Always", OnError = "OnError" }
}
codes! {
    /// The type of a value, for those who check it.
    DataType = "DataTypeType" or other {
        Amount = "Amount", BinaryObject = "BinaryObject", Code = "Code", DateTimeCore = "DateTime", Identifier = "Identifier",
        Indicator = "Indicator", Measure = "Measure", Numeric = "Numeric", Quantity = "Quantity", Text = "Text", String = "string",
        Byte = "byte", UnsignedByte = "unsignedByte", Binary = "binary", Integer = "integer", PositiveInteger = "positiveInteger",
        NegativeInteger = "negativeInteger", NonNegativeInteger = "nonNegativeInteger", NonPositiveInteger = "nonPositiveInteger",
        Int = "int", UnsignedInt = "unsignedInt", Long = "long", UnsignedLong = "unsignedLong", Short = "short",
        UnsignedShort = "unsignedShort", Decimal = "decimal", Float = "float", Double = "double", Boolean = "boolean", Time = "time",
        TimeInstant = "timeInstant", TimePeriod = "timePeriod", Duration = "duration", Date = "date", DateTime = "dateTime",
        Month = "month", Year = "year", Century = "century", RecurringDay = "recurringDay", RecurringDate = "recurringDate",
        RecurringDuration = "recurringDuration", Name = "Name", QName = "QName", NcName = "NCName", UriReference = "uriReference",
        Language = "language", Id = "ID", IdRef = "IDREF", IdRefs = "IDREFS", Entity = "ENTITY", Entities = "ENTITIES",
        Notation = "NOTATION", NmToken = "NMTOKEN", NmTokens = "NMTOKENS", Enumeration = "Enumeration", Svg = "SVG",
    }
}

/// What is to be done with a thing, or was (`actionCode`): the edition's list, or the sender's own word.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum ActionCode {
    /// `Add`.
    Add,
    /// `Change`.
    Change,
    /// `Delete`.
    Delete,
    /// `Replaced`.
    Replaced,
    /// `Accepted`.
    Accepted,
    /// `Modified`.
    Modified,
    /// `Rejected`.
    Rejected,
    /// Another word.
    Other(Code),
}

impl ActionCode {
    const LIST: [(&'static str, Self); 7] = [
        ("Add", Self::Add),
        ("Change", Self::Change),
        ("Delete", Self::Delete),
        ("Replaced", Self::Replaced),
        ("Accepted", Self::Accepted),
        ("Modified", Self::Modified),
        ("Rejected", Self::Rejected),
    ];
}

impl Value for ActionCode {
    #[cfg(test)]
    const TYPE: &'static str = "TransActionCodeType";
    fn parse(text: &str) -> Result<Self, WrongValue> {
        let known = Self::LIST.into_iter().find(|(word, _)| *word == text.trim());
        known.map_or_else(|| Code::new(text).map(Self::Other), |(_, code)| Ok(code))
    }
    fn text(&self) -> String {
        match self {
            Self::Other(own) => own.to_string(),
            code => Self::LIST.into_iter().find(|(_, known)| known == code).map_or("", |(word, _)| word).to_owned(),
        }
    }
    #[cfg(test)]
    fn sample(random: &mut Random) -> Self {
        let place = random.below(8);
        Self::LIST.get(place).map_or_else(|| Self::Other(Value::sample(random)), |(_, code)| code.clone())
    }
}
