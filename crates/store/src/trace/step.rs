//! What is recorded, step by step.

use super::{Finding, Mixing, TraceRefusal};
use andon_model::Timestamp;
use andon_model::event::Event;
use andon_model::log::Seq;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use uuid::Uuid;

/// What an item is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ItemKind {
    /// An amount of a material that is taken for one.
    Lot,
    /// A part of a lot that is told from the rest.
    Sublot,
    /// One thing with a serial number.
    Unit,
    /// What others lie in: a box, a pallet. What goes into it is not used up.
    Container,
}

impl ItemKind {
    /// Every kind, in the order of their numbers in the store.
    pub const ALL: [Self; 4] = [Self::Lot, Self::Sublot, Self::Unit, Self::Container];

    /// The word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Lot => "lot",
            Self::Sublot => "sublot",
            Self::Unit => "unit",
            Self::Container => "container",
        }
    }

    /// Whether it is one whole thing, which is in one place at a time.
    #[must_use]
    pub const fn is_whole(self) -> bool {
        matches!(self, Self::Unit | Self::Container)
    }
}

/// What may be done with an item.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Disposition {
    /// It may be used.
    Released,
    /// It may not be used until it has been looked at.
    Quarantine,
    /// Somebody stopped its use.
    Hold,
    /// It is waste.
    Scrapped,
    /// It has left the house.
    Shipped,
}

impl Disposition {
    /// Every state, in the order of their numbers in the store.
    pub const ALL: [Self; 5] = [Self::Released, Self::Quarantine, Self::Hold, Self::Scrapped, Self::Shipped];

    /// The word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Released => "Released",
            Self::Quarantine => "Quarantine",
            Self::Hold => "Hold",
            Self::Scrapped => "Scrapped",
            Self::Shipped => "Shipped",
        }
    }
}

/// What an item is known by outside: no two are alike in all three.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct ItemName {
    /// What it is.
    pub kind: ItemKind,
    /// The material's part number.
    pub material: String,
    /// The lot or serial number.
    pub number: String,
}

impl fmt::Display for ItemName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind.word(), self.material, self.number)
    }
}

/// Which item.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ItemRef {
    /// By its id.
    Id(Uuid),
    /// By what it is known by.
    Name(ItemName),
}

impl fmt::Display for ItemRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "item {id}"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// An item that is there from now on. One of that name that is there already stays as it is, but for what was not known of it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewItem {
    /// UUIDv7; one that is there already keeps its own.
    pub id: Uuid,
    /// What it is known by.
    pub name: ItemName,
    /// The material's revision.
    pub revision: Option<String>,
    /// How much there is to begin with; `None`: nobody has said, and then nothing can be used beyond it. A unit or container is one,
    /// whatever stands here. Zero for a lot that gets its quantity by splits and merges.
    pub quantity: Option<i64>,
    /// What may be done with it.
    pub state: Disposition,
    /// Where all of it lies.
    pub place: Option<String>,
    /// When it was made, or came.
    pub at: Timestamp,
    /// The job order it was made under.
    pub job: Option<Uuid>,
    /// Who recorded it.
    pub by: Option<Uuid>,
    /// It should have been there already: if it was not, this is told with a finding.
    pub told_if_new: Option<String>,
}

/// Something went into something. What goes into a container lies from then on where that is.
#[derive(Clone, PartialEq, Debug)]
pub struct NewEdge {
    /// What went in.
    pub from: ItemRef,
    /// What it went into.
    pub to: ItemRef,
    /// How much; one whole for a unit or a container; zero: nobody has said.
    pub quantity: i64,
    /// Where in it; empty: nobody has said.
    pub position: String,
    /// When.
    pub at: Timestamp,
    /// The job order.
    pub job: Option<Uuid>,
    /// The path of the equipment where it was done.
    pub equipment: Option<String>,
    /// Who did it.
    pub by: Option<Uuid>,
    /// A split or merge: what it went into is of the same material and is more by as much.
    pub adds: bool,
    /// It has happened, whether it should or not: more than there was, not released, or a unit that was in another. Recorded with a
    /// finding; a unit is taken out where it was, for it is in one place at a time.
    pub even_so: bool,
    /// What was in that position before is taken out by it. A lot that is in there already stays, and so is not used a second time.
    pub replaces: bool,
}

/// Something was taken out again.
#[derive(Clone, PartialEq, Debug)]
pub struct NewRemoval {
    /// What had gone in.
    pub from: ItemRef,
    /// What it had gone into.
    pub to: ItemRef,
    /// Where in it.
    pub position: String,
    /// When it had gone in.
    pub at: Timestamp,
    /// When it was taken out.
    pub removed_at: Timestamp,
    /// What came in its place.
    pub replaced_by: Option<ItemRef>,
    /// It is again part of what it came from, as if it had not been used. Always so with units and containers.
    pub given_back: bool,
    /// Who did it.
    pub by: Option<Uuid>,
}

/// Something was carried from one place to another. A container is carried with all that lies in it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMove {
    /// What.
    pub item: ItemRef,
    /// How much.
    pub quantity: i64,
    /// From where; `None`: from outside.
    pub from: Option<String>,
    /// To where; `None`: to outside, or used up.
    pub to: Option<String>,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Option<Uuid>,
    /// It has happened, whether there was enough there or not. Recorded with a finding.
    pub even_so: bool,
}

/// Something is taken out of the container that it lies in; it stays where the container is.
#[derive(Clone, PartialEq, Debug)]
pub struct NewUnpacking {
    /// What lies in there.
    pub item: ItemRef,
    /// The container.
    pub container: ItemRef,
    /// How much; `None`: all of it that lies in there. What was packed last is taken first.
    pub quantity: Option<i64>,
    /// When.
    pub at: Timestamp,
    /// Who did it.
    pub by: Option<Uuid>,
}

/// A vessel in which lots mix, as the plant model has it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Vessel {
    /// The path of the equipment, which is the place of what is in it.
    pub path: String,
    /// How lots mix in it.
    pub mixing: Mixing,
    /// How much it holds; `None`: nobody has said.
    pub capacity: Option<i64>,
    /// The only material that comes in; `None`: any.
    pub material: Option<String>,
}

/// So much of a lot comes into a vessel. Told late, it is in there from now on, and what was drawn meanwhile holds nobody knows how much of it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewFill {
    /// The vessel.
    pub vessel: Vessel,
    /// The lot.
    pub item: ItemRef,
    /// How much, above zero.
    pub quantity: i64,
    /// From where; `None`: from outside.
    pub from: Option<String>,
    /// When.
    pub at: Timestamp,
    /// It is of now: whatever the clock says, it comes after all that was told.
    pub now: bool,
    /// The job order.
    pub job: Option<Uuid>,
    /// Who did it.
    pub by: Option<Uuid>,
    /// UUIDv7 from which those of lots that have to be made for it are counted.
    pub spare: Uuid,
    /// It has happened, whether it should or not: another material, more than the vessel holds or than there was, or not released.
    /// Recorded with a finding.
    pub even_so: bool,
}

/// So much is drawn from a vessel into a lot or unit. Each lot of the vessel goes into that in its proportion; a lot of the same material is
/// more by as much.
#[derive(Clone, PartialEq, Debug)]
pub struct NewDraw {
    /// The vessel.
    pub vessel: Vessel,
    /// How much, above zero.
    pub quantity: i64,
    /// What it goes into.
    pub into: ItemRef,
    /// Where in it; empty: nobody has said.
    pub position: String,
    /// Where it goes: there lies from then on what is drawn into a lot of the same material; of a unit the station. `None`: nobody has said.
    pub place: Option<String>,
    /// When.
    pub at: Timestamp,
    /// It is of now: whatever the clock says, it comes after all that was told.
    pub now: bool,
    /// The job order.
    pub job: Option<Uuid>,
    /// Who did it.
    pub by: Option<Uuid>,
    /// UUIDv7 from which those of lots that have to be made for it are counted.
    pub spare: Uuid,
    /// It has happened, whether it should or not: more than was in there, or not released. Recorded with a finding; what was not known
    /// to be in there comes of a lot of its own, which all lots that were in there went into.
    pub even_so: bool,
    /// What was drawn into it from this vessel at that place already, or nobody has said where, is not drawn again.
    pub once: bool,
    /// The lot that it goes into was made for it: if nobody has said how much that is, it is what is drawn. What is more of the same comes
    /// to it, and all else it is made of.
    pub makes: bool,
}

/// A vessel is emptied and cleaned. What was in it goes to outside.
#[derive(Clone, PartialEq, Debug)]
pub struct NewEmptying {
    /// The vessel.
    pub vessel: Vessel,
    /// When; not before what was told last.
    pub at: Timestamp,
    /// It is of now: whatever the clock says, it comes after all that was told.
    pub now: bool,
    /// Who did it.
    pub by: Option<Uuid>,
    /// Why, or how.
    pub why: String,
}

/// How much was found in a vessel. What is less goes to outside in the proportions of a draw; what is more comes of a lot of its own,
/// which all lots that were in there went into.
#[derive(Clone, PartialEq, Debug)]
pub struct NewLevel {
    /// The vessel.
    pub vessel: Vessel,
    /// How much is in it.
    pub level: i64,
    /// When; not before what was told last.
    pub at: Timestamp,
    /// It is of now: whatever the clock says, it comes after all that was told.
    pub now: bool,
    /// Who found it.
    pub by: Option<Uuid>,
    /// How it was found.
    pub why: String,
    /// UUIDv7 from which those of lots that have to be made for it are counted.
    pub spare: Uuid,
}

/// Somebody decided what may be done with an item.
#[derive(Clone, PartialEq, Debug)]
pub struct NewState {
    /// Which item.
    pub item: ItemRef,
    /// What may be done with it.
    pub state: Disposition,
    /// When that was decided.
    pub at: Timestamp,
    /// Who decided.
    pub by: Option<Uuid>,
    /// Why.
    pub why: String,
}

/// Programs by what they run on.
pub type Firmware = BTreeMap<String, Program>;

/// A program, as far as it is told.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Program {
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The SHA-256 of the file that was loaded, in lower-case hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A unit at a station. What more is said of the same unit, station and time is added to it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewPass {
    /// The unit.
    pub unit: ItemRef,
    /// The path of the station.
    pub equipment: String,
    /// When.
    pub at: Timestamp,
    /// The job order that ran there.
    pub job: Option<Uuid>,
    /// Its operation.
    pub operation: Option<String>,
    /// Whether it was good; `None`: nobody has said.
    pub passed: Option<bool>,
    /// What was measured, by characteristic.
    pub measures: Map<String, Json>,
    /// Which programs were loaded, by what they run on.
    pub firmware: Firmware,
    /// Once it is said to be good here, the unit is finished, and a certificate is due.
    pub last: bool,
}

/// A birth certificate that was issued. It takes the place of the one before it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewCertificate {
    /// Whose.
    pub unit: ItemRef,
    /// Its number.
    pub number: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// SHA-256 of the bytes.
    pub sha256: [u8; 32],
    /// Which key signed it.
    pub key_id: String,
    /// The signed document.
    pub bytes: Vec<u8>,
}

/// One thing that is recorded.
#[derive(Clone, PartialEq, Debug)]
#[expect(missing_docs, reason = "each says what it is by what it holds")]
pub enum Step {
    Item(NewItem),
    Edge(NewEdge),
    Remove(NewRemoval),
    Move(NewMove),
    Unpack(NewUnpacking),
    Fill(NewFill),
    Draw(NewDraw),
    Empty(NewEmptying),
    Level(NewLevel),
    State(NewState),
    Pass(NewPass),
    Certificate(NewCertificate),
}

impl Step {
    /// When it was.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Item(item) => item.at,
            Self::Edge(edge) => edge.at,
            Self::Remove(removal) => removal.removed_at,
            Self::Move(moved) => moved.at,
            Self::Unpack(unpacking) => unpacking.at,
            Self::Fill(fill) => fill.at,
            Self::Draw(draw) => draw.at,
            Self::Empty(emptying) => emptying.at,
            Self::Level(level) => level.at,
            Self::State(state) => state.at,
            Self::Pass(pass) => pass.at,
            Self::Certificate(certificate) => certificate.issued_at,
        }
    }
}

/// What machines said in a part of the lane.
#[derive(Clone, Default)]
pub struct Told {
    /// What is recorded of it.
    pub steps: Vec<Step>,
    /// Up to where the lane is dealt with by it.
    pub upto: Option<Seq>,
    /// What each station said that belongs to no unit yet, by its path: a JSON object.
    pub stations: Vec<(String, String)>,
    /// What people are to hear of it in any case.
    pub events: Vec<Event>,
    /// What people are to hear of a finding.
    pub tell: Option<Arc<Tell>>,
}

/// The event for a finding about the step at this place in the batch.
pub type Tell = dyn Fn(usize, &Finding) -> Event + Send + Sync;

impl Told {
    /// Steps, up to somewhere.
    #[must_use]
    pub fn of(steps: Vec<Step>, upto: Option<Seq>) -> Self {
        Self { steps, upto, ..Self::default() }
    }
}

/// A change that a person makes.
#[derive(Clone)]
pub struct Change {
    /// Stands for this one change.
    pub key: Uuid,
    /// A digest of what was asked for: the same key with another is refused.
    pub content: [u8; 32],
    /// All of it or nothing.
    pub steps: Vec<Step>,
    /// What tells of it.
    pub event: Event,
    /// What people are to hear of a finding.
    pub tell: Option<Arc<Tell>>,
}

impl Change {
    /// One of which no finding is told.
    #[must_use]
    pub const fn new(key: Uuid, content: [u8; 32], steps: Vec<Step>, event: Event) -> Self {
        Self { key, content, steps, event, tell: None }
    }
}

/// What became of steps.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Report {
    /// How many changed something.
    pub changed: usize,
    /// How many were there already.
    pub unchanged: usize,
    /// The id of each item that was to be made, in the order of its steps; also of those that were there.
    pub items: Vec<Uuid>,
    /// Which could not be, by their place in the batch, and why.
    pub refused: Vec<(usize, TraceRefusal)>,
    /// How many findings were recorded.
    pub findings: usize,
    /// The change, or this part of the lane, was dealt with before; nothing was looked at.
    pub repeated: bool,
}
