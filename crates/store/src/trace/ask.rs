//! What is asked, and what is answered.

use super::{DEPTH_MAX, Disposition, Firmware, FlowKind, ItemKind, ItemName, ItemRef, Mixing, REACH_MAX};
use andon_model::Timestamp;
use serde_json::{Map, Value as Json};
use uuid::Uuid;

/// Where an item lies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// Nobody has said, or it is used up or gone.
    Nowhere,
    /// All of it there.
    In(String),
    /// In several places.
    Several,
}

/// A lot, unit or container, as it is now.
#[derive(Clone, PartialEq, Debug)]
pub struct Item {
    /// UUIDv7.
    pub id: Uuid,
    /// What it is known by.
    pub name: ItemName,
    /// The material's revision.
    pub revision: Option<String>,
    /// How much there was to begin with; `None`: nobody has said.
    pub made: Option<i64>,
    /// How much came to it by splits and merges.
    pub received: i64,
    /// How much of it was used.
    pub consumed: i64,
    /// What may be done with it.
    pub state: Disposition,
    /// Where it is.
    pub place: Place,
    /// When it was made, or came.
    pub made_at: Timestamp,
    /// The job order it was made under.
    pub job: Option<Uuid>,
}

impl Item {
    /// How much there was of it; `None`: nobody has said.
    #[must_use]
    pub fn quantity(&self) -> Option<i64> {
        self.made.map(|made| made.saturating_add(self.received))
    }

    /// How much is left: below zero, if more was used than there was; `None`: nobody has said how much there was.
    #[must_use]
    pub fn remaining(&self) -> Option<i64> {
        self.quantity().map(|quantity| quantity.saturating_sub(self.consumed))
    }

    /// Whether nothing is left to be used.
    #[must_use]
    pub fn is_consumed(&self) -> bool {
        self.name.kind != ItemKind::Container && self.remaining().is_some_and(|left| left <= 0)
    }
}

/// Which items. Everything that is given must hold.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ItemFilter {
    /// Of this material.
    pub material: Option<String>,
    /// Of this kind.
    pub kind: Option<ItemKind>,
    /// In this state.
    pub state: Option<Disposition>,
    /// Whose number begins so.
    pub begins: Option<String>,
    /// With just this number.
    pub number: Option<String>,
    /// Recorded before this one: the last of the page before.
    pub before: Option<Uuid>,
    /// How many, at most [`super::PAGE_MAX`].
    pub limit: u32,
}

/// A serial unit that was made under a job order, with what became of its certificate.
#[derive(Clone, PartialEq, Debug)]
pub struct UnitOfJob {
    /// The unit, as it is now.
    pub item: Item,
    /// When it was finished, and what became of its certificate; `None`: it is not finished.
    pub finished: Option<(Timestamp, CertificateState)>,
    /// The certificate that holds.
    pub certificate: Option<CertificateBrief>,
}

/// At which date.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AsOf {
    /// What was in there then.
    At(Timestamp),
    /// What was ever in there, taken out again or not.
    Ever,
}

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Direction {
    /// What it went into.
    Forward,
    /// What went into it.
    Backward,
}

/// What an item hangs together with.
#[derive(Clone, PartialEq, Debug)]
pub struct ClosureWish {
    /// Where to begin.
    pub root: ItemRef,
    /// Which way.
    pub direction: Direction,
    /// At which date.
    pub as_of: AsOf,
    /// How deep, at most [`DEPTH_MAX`].
    pub depth_max: u32,
    /// How many items with the root, at most [`REACH_MAX`].
    pub items_max: usize,
}

impl ClosureWish {
    /// All of it, as far as there is a limit.
    #[must_use]
    pub fn all(root: ItemRef, direction: Direction, as_of: AsOf) -> Self {
        Self { root, direction, as_of, depth_max: DEPTH_MAX, items_max: REACH_MAX }
    }
}

/// Why an answer is not all there is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cut {
    /// It goes deeper.
    Depth,
    /// There are more items.
    Items,
}

/// An item that was reached.
#[derive(Clone, PartialEq, Debug)]
pub struct Reached {
    /// The item, as it is now.
    pub item: Item,
    /// By how many steps on the shortest way; 0: the root.
    pub depth: u32,
}

/// What went into what.
#[derive(Clone, PartialEq, Debug)]
pub struct Edge {
    /// What went in.
    pub from: Uuid,
    /// What it went into.
    pub to: Uuid,
    /// How much.
    pub quantity: i64,
    /// Where in it; empty: nobody has said.
    pub position: String,
    /// When.
    pub at: Timestamp,
    /// When it was taken out again.
    pub removed_at: Option<Timestamp>,
    /// It went back to where it came from.
    pub given_back: bool,
    /// What came in its place.
    pub replaced_by: Option<Uuid>,
    /// A split or merge.
    pub adds: bool,
    /// The job order.
    pub job: Option<Uuid>,
    /// Where it was done.
    pub equipment: Option<String>,
    /// Who did it.
    pub by: Option<Uuid>,
    /// Who took it out.
    pub removed_by: Option<Uuid>,
}

/// What an item hangs together with. Every edge is between two of the items.
#[derive(Clone, PartialEq, Debug)]
pub struct Closure {
    /// The items, the root first, nearer ones before farther ones.
    pub items: Vec<Reached>,
    /// What went into what among them, at that date.
    pub edges: Vec<Edge>,
    /// Why that is not all.
    pub cut: Option<Cut>,
}

/// One to be called back.
#[derive(Clone, PartialEq, Debug)]
pub struct RecallRow {
    /// The unit or lot, with its state, and where it is.
    pub item: Item,
    /// By how many steps it was reached; 0: it is the item itself.
    pub depth: u32,
    /// Where it lies, and how much of it there.
    pub places: Vec<(String, i64)>,
    /// The containers it lies in, from the inside out: a box, the pallet it stands on.
    pub packed_in: Vec<ItemName>,
}

/// What has to be called back.
#[derive(Clone, PartialEq, Debug)]
pub struct Recall {
    /// The item it is about.
    pub root: Item,
    /// How many items hang together with it, itself too.
    pub reached: usize,
    /// The outermost units.
    pub units: Vec<RecallRow>,
    /// Lots of which there is still something, or of which nobody has said how much there was.
    pub lots: Vec<RecallRow>,
    /// Why that is not all.
    pub cut: Option<Cut>,
}

/// A movement.
#[derive(Clone, PartialEq, Debug)]
pub struct Move {
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
}

/// How much of a material lies in a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LyingMaterial {
    /// Its part number.
    pub material: String,
    /// How many lots, units and containers.
    pub items: i64,
    /// How much, in millionths; below zero: more was taken away than was known to be there.
    pub quantity: i128,
    /// How much of that may be used.
    pub released: i128,
}

/// What lies in a container.
#[derive(Clone, PartialEq, Debug)]
pub struct Packed {
    /// The item, as it is now.
    pub item: Item,
    /// How much of it.
    pub quantity: i64,
    /// When something of it was packed last.
    pub at: Timestamp,
}

/// How full a vessel is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VesselLevel {
    /// Its path.
    pub path: String,
    /// How much is in it.
    pub level: i64,
    /// Of how many lots.
    pub lots: usize,
    /// When something flowed last.
    pub at: Timestamp,
}

/// A lot in a vessel.
#[derive(Clone, PartialEq, Debug)]
pub struct InVessel {
    /// The lot, as it is now.
    pub item: Item,
    /// How much of it; zero: less than a millionth.
    pub quantity: i64,
}

/// What is in a vessel.
#[derive(Clone, PartialEq, Debug)]
pub struct VesselContent {
    /// How full it is.
    pub level: VesselLevel,
    /// The lots in it, in the order in which they came.
    pub lots: Vec<InVessel>,
}

/// What flowed in or out of a vessel.
#[derive(Clone, PartialEq, Debug)]
pub struct Flowed {
    /// Later than all before it.
    pub turn: i64,
    /// What it was.
    pub kind: FlowKind,
    /// How lots mixed in the vessel then.
    pub mixing: Mixing,
    /// From when on it counts.
    pub at: Timestamp,
    /// When it was; before `at`, if it was told late.
    pub told: Timestamp,
    /// How much.
    pub quantity: i64,
    /// How much was in it afterwards.
    pub level: i64,
    /// What came in, or what became traces.
    pub item: Option<Item>,
    /// What it went into.
    pub into: Option<Item>,
    /// From where, or to where.
    pub place: Option<String>,
    /// The job order.
    pub job: Option<Uuid>,
    /// Who did it.
    pub by: Option<Uuid>,
    /// Why.
    pub why: String,
}

/// What was said about what may be done with an item.
#[derive(Clone, PartialEq, Debug)]
pub struct StateSaid {
    /// The state.
    pub state: Disposition,
    /// When it was decided.
    pub at: Timestamp,
    /// Who decided.
    pub by: Option<Uuid>,
    /// Why.
    pub why: String,
}

/// A unit at a station.
#[derive(Clone, PartialEq, Debug)]
pub struct PassAt {
    /// The unit.
    pub unit: Uuid,
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
}

/// What is known of a certificate without reading it.
#[derive(Clone, PartialEq, Debug)]
pub struct CertificateBrief {
    /// Its number.
    pub number: String,
    /// When it was issued.
    pub issued_at: Timestamp,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Which key signed it.
    pub key_id: String,
    /// The number of the one that took its place.
    pub superseded_by: Option<String>,
}

/// A certificate, byte for byte.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredCertificate {
    /// Whose.
    pub unit: Uuid,
    /// What is known of it.
    pub brief: CertificateBrief,
    /// The signed document.
    pub bytes: Vec<u8>,
}

/// What became of the certificate of a finished unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CertificateState {
    /// It is to be made.
    Due,
    /// There is one.
    Issued,
    /// It cannot be made; why.
    NotPossible(String),
}

/// A unit that passed a last station.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// The unit.
    pub unit: Uuid,
    /// When.
    pub at: Timestamp,
    /// The path of the station.
    pub equipment: String,
    /// Its certificate.
    pub certificate: CertificateState,
}

/// That a unit was given a credential to connect with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The device's account.
    pub device: Uuid,
    /// When.
    pub at: Timestamp,
    /// Who gave it.
    pub by: Option<Uuid>,
}

/// Something that cannot be right, for people to look into.
#[derive(Clone, PartialEq, Debug)]
pub struct Finding {
    /// Later than all before it.
    pub number: i64,
    /// `overdrawn`, `not_released`, `not_there`, `not_known`, `elsewhere`, `unseen` (too much to be sure that it does not end in itself),
    /// `finished`, `refused`, `overfull`, `other_material`.
    pub what: String,
    /// When what it is about was.
    pub at: Timestamp,
    /// What it is about, if there is such an item.
    pub item: Option<Uuid>,
    /// What it went into, or was to go into.
    pub other: Option<Uuid>,
    /// In words.
    pub text: String,
}

/// A kept sum that is not the sum of its rows.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wrong {
    /// `consumed`, `received`, `ins`, `outs`, `stock`, `vessel` (what is in it lies there), `flows` (what flowed comes to what is in it),
    /// `level` (how much of how many lots is in a vessel; of no item).
    pub what: String,
    /// Of which item.
    pub item: Uuid,
    /// What is kept.
    pub kept: i64,
    /// What the rows give.
    pub summed: i64,
}

/// How much of an item was used for a job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobUse {
    /// Its material.
    pub material: String,
    /// Its number.
    pub number: String,
    /// How much, in millionths.
    pub quantity: i64,
}
