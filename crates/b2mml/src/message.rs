//! Whole messages: a head, a verb, and the things that it is about.

use crate::area::ApplicationArea;
use crate::code::ActionCode;
use crate::content::{At, Content, LeftOut, OneOrMore, Out, Parts};
use crate::definition::OperationsDefinition;
use crate::error::{Problem, ReadError, WrongValue};
use crate::material::{MaterialClass, MaterialDefinition};
use crate::performance::OperationsPerformance;
use crate::schedule::OperationsSchedule;
#[cfg(test)]
use crate::tests::Random;
use crate::tree::{self, Element};
use crate::verb::{Confirm, Expression, ResponseCriteria, Verb};
use crate::word::Text;

/// The namespace of B2MML 7.
pub const NAMESPACE: &str = "http://www.mesa.org/xml/B2MML";
/// The edition, as it is written into `releaseID`.
pub const RELEASE: &str = "7.01";

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its head.
    pub application_area: ApplicationArea,
    /// What it says.
    pub data_area: DataArea,
}

sequence! {
    /// What a `ConfirmBOD` says of one message.
    pub struct Bod = "BODType" {
        /// The head of that message.
        original_application_area: Option<ApplicationArea> = "OriginalApplicationArea",
        /// What became of it, for people.
        description: Vec<Text> = "Description",
        /// Remarks.
        notes: Vec<Text> = "Note",
    }
}

/// Declares what messages can be about.
macro_rules! nouns {
    ($($(#[$about:meta])* $noun:ident,)*) => {
        /// What a message says: a verb and things.
        #[derive(Clone, PartialEq, Eq, Debug)]
        pub enum DataArea {
            $( $(#[$about])* $noun(Verb, OneOrMore<$noun>), )*
            /// What became of messages themselves.
            Confirm(Confirm, OneOrMore<Bod>),
        }

        const NOUNS: &[&str] = &[$(stringify!($noun)),*];

        impl DataArea {
            /// The name of the message: `ProcessOperationsSchedule`, `ConfirmBOD`.
            #[must_use]
            pub fn message_name(&self) -> String {
                match self {
                    $( Self::$noun(verb, _) => format!("{}{}", verb.name(), stringify!($noun)), )*
                    Self::Confirm(..) => CONFIRM.to_owned(),
                }
            }

            fn read(kind: Kind, element: &Element, at: &mut At) -> Result<Self, ReadError> {
                match kind {
                    $( Kind(verb, stringify!($noun)) => {
                        let parts = Parts::of(element, &[verb, stringify!($noun)], at);
                        Ok(Self::$noun(Verb::read(verb, &parts, at)?, things(&parts, stringify!($noun), at)?))
                    } )*
                    Kind(verb, noun) => {
                        let parts = Parts::of(element, &[verb, noun], at);
                        Ok(Self::Confirm(parts.one(verb, at)?, things(&parts, noun, at)?))
                    }
                }
            }

            fn write(&self, out: &mut Out) {
                match self {
                    $( Self::$noun(verb, things) => {
                        verb.write(out);
                        things.iter().for_each(|thing| thing.write(stringify!($noun), out));
                    } )*
                    Self::Confirm(confirm, bods) => {
                        confirm.write("Confirm", out);
                        bods.iter().for_each(|bod| bod.write("BOD", out));
                    }
                }
            }

            #[cfg(test)]
            pub(crate) fn sample(random: &mut Random) -> Self {
                use crate::content::Occurs;
                let kinds: &[fn(&mut Random) -> Self] = &[
                    $( |random| Self::$noun(Verb::sample(random), Occurs::<$noun>::sample(random)), )*
                    |random| Self::Confirm(Content::sample(random), Occurs::<Bod>::sample(random)),
                ];
                kinds[random.below(kinds.len())](random)
            }
        }
    };
}

nouns! {
    /// Orders.
    OperationsSchedule,
    /// Reports.
    OperationsPerformance,
    /// Classes of materials.
    MaterialClass,
    /// Materials.
    MaterialDefinition,
    /// How things are made.
    OperationsDefinition,
}

const CONFIRM: &str = "ConfirmBOD";

/// A verb and a noun.
#[derive(Clone, Copy)]
struct Kind(&'static str, &'static str);

impl Kind {
    fn of(message: &str) -> Option<Self> {
        if message == CONFIRM {
            return Some(Self("Confirm", "BOD"));
        }
        Verb::NAMES.into_iter().find_map(|verb| {
            let rest = message.strip_prefix(verb)?;
            NOUNS.iter().find(|noun| **noun == rest).map(|noun| Self(verb, noun))
        })
    }
}

fn things<T: Content>(parts: &Parts<'_>, noun: &'static str, at: &mut At) -> Result<OneOrMore<T>, ReadError> {
    OneOrMore::new(parts.many(noun, at)?).ok_or_else(|| at.error(Problem::Missing(noun)))
}

/// What was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Read {
    /// The message.
    pub message: Message,
    /// What it had that is not kept.
    pub left_out: LeftOut,
}

/// Reads a message of UTF-8.
///
/// Any prefix, CDATA, comments and whitespace are taken, elements in any order; attributes that say nothing about the content are passed
/// over, elements that are not kept are counted. Elements of values that may be left out and are empty count as left out.
///
/// # Errors
/// It is no XML, is beyond a bound, is another message, or a required element is missing or a value wrong; with the path. When the head
/// could be read, the error has it.
pub fn read(bytes: &[u8]) -> Result<Read, ReadError> {
    let in_text = |problem| ReadError { path: String::new(), problem, application_area: None };
    let tree = tree::parse(bytes, NAMESPACE).map_err(in_text)?;
    let mut at = At::new(WrongValue::new(&tree.root.name, "").value);
    let parts = Parts::of(&tree.root, &["ApplicationArea", "DataArea"], &mut at);
    let application_area = parts.one::<ApplicationArea>("ApplicationArea", &mut at);
    let Some(kind) = Kind::of(&tree.root.name) else {
        let understood = format!("{} with {}", Verb::NAMES.join(", "), NOUNS.join(", "));
        return Err(ReadError {
            application_area: application_area.ok().map(Box::new),
            ..at.error(Problem::Unknown(understood))
        });
    };
    let application_area = application_area?;
    let data_area = parts
        .element("DataArea", &mut at)
        .and_then(|element| at.within("DataArea", None, |at| DataArea::read(kind, element, at)));
    match data_area {
        Ok(data_area) => {
            let mut left_out = at.left_out;
            left_out.count = left_out.count.saturating_add(tree.foreign);
            Ok(Read { message: Message { application_area, data_area }, left_out })
        }
        Err(error) => Err(ReadError { application_area: Some(Box::new(application_area)), ..error }),
    }
}

impl Message {
    /// The message as text: XML 1.0 in UTF-8, indented, elements and their order as the edition has them.
    #[must_use]
    pub fn write(&self) -> String {
        let mut attributes = vec![("xmlns", NAMESPACE), ("xmlns:xsi", "http://www.w3.org/2001/XMLSchema-instance")];
        if !matches!(self.data_area, DataArea::Confirm(..)) {
            // The edition requires it of every message but this one, which has no attributes at all.
            attributes.push(("releaseID", RELEASE));
        }
        let mut out = Out::new();
        out.element(&self.data_area.message_name(), &attributes, |out| {
            self.application_area.write("ApplicationArea", out);
            out.element("DataArea", &[], |out| self.data_area.write(out));
        });
        out.finish()
    }

    /// The receipt for a message: it was accepted, or why it was not. `own` is the head of the receipt, `original` that of the message.
    #[must_use]
    pub fn confirmation(own: ApplicationArea, original: ApplicationArea, outcome: Result<(), Text>) -> Self {
        let action = if outcome.is_ok() { ActionCode::Accepted } else { ActionCode::Rejected };
        let criteria = ResponseCriteria {
            response_expression: Some(Expression { action, about: None }),
            ..ResponseCriteria::default()
        };
        let confirm = Confirm { original_application_area: Some(original.clone()), response_criteria: vec![criteria] };
        let bod = Bod {
            original_application_area: Some(original),
            description: outcome.err().into_iter().collect(),
            ..Bod::default()
        };
        Self { application_area: own, data_area: DataArea::Confirm(confirm, OneOrMore::one(bod)) }
    }
}
