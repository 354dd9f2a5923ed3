//! B2MML 7.01 (MESA International, 2023; after ANSI/ISA-95.00.02-2018 and .05-2018): what an ERP and an MES write to each other,
//! from XML to types and back.
//!
//! [`read`] takes the bytes of one message, [`Message::write`] gives its text. Pure: no I/O, no clock, no async.
//!
//! # Invariants
//! - What is written has the elements, their order, their types and their codes as the edition has them: each type is declared
//!   once, as a list of its elements ([`sequence`](crate#sequences)), and a test compares these lists with a transcript of the edition's.
//! - What is read is bounded in bytes, depth, elements and attributes ([`MAX_BYTES`] …), has no DOCTYPE and no entities of its own.
//! - What is not kept is counted and named ([`LeftOut`]), never silently dropped; what is wrong or missing is an error with its path.
//! - Numbers are exact ([`Decimal`]), and a time without a zone stays one ([`DateTime`]).
//!
//! # Sequences
//! [`schedule`], [`performance`], [`material`], [`definition`], [`area`] and [`verb`] mirror the edition's types. `One`, `Option`,
//! `Vec` and [`OneOrMore`] say how often an element occurs there. Elements that are not kept are not in them.
//!
//! Start reading at [`Message`], then `sequence.rs`, then `tree.rs`.
//!
//! The Business To Manufacturing Markup Language (B2MML) is used courtesy of MESA International.

#[macro_use]
mod sequence;

pub mod area;
mod code;
mod content;
pub mod definition;
mod error;
pub mod material;
mod message;
mod number;
pub mod performance;
pub mod schedule;
mod time;
mod tree;
pub mod value;
pub mod verb;
mod word;

#[cfg(test)]
mod tests;

pub use code::{
    ActionCode, AssemblyRelationship, AssemblyType, ClassPropertyType, ConfirmationCode, DataType, DefinitionType,
    EquipmentLevel, LocationType, MaterialUse, OperationsType, RequestState, ResponseCode, ResponseState,
};
pub use content::{LeftOut, Nillable, One, OneOrMore};
pub use error::{Problem, ReadError, WrongValue};
pub use message::{Bod, DataArea, Message, NAMESPACE, RELEASE, Read, read};
pub use number::{Decimal, Priority};
pub use time::{DateTime, Duration};
pub use tree::{MAX_ATTRIBUTES, MAX_BYTES, MAX_DEPTH, MAX_ELEMENTS};
pub use word::{Code, Identifier, Text};
