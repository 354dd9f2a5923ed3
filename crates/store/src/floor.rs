//! What is kept for manufacturing execution: hours of units, totals of slots, corrections. Blobs are `andon-mes`'s.

use crate::error::StoreError;
use andon_model::event::Event;
use andon_model::log::Seq;
use andon_model::{TagId, Timestamp};
use async_trait::async_trait;
use uuid::Uuid;

/// Under which name the floor reads the lane of samples.
pub const READER: &str = "floor";

/// What has a number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum NumberKind {
    /// A node of the tree of equipment, by its path.
    Node,
    /// A reason, by its name.
    Reason,
}

/// An hour of a unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredHour {
    /// The unit's number.
    pub unit: u32,
    /// Hours since 1970.
    pub hour: i64,
    /// What was recorded.
    pub recorded: Vec<u8>,
    /// What it comes to.
    pub derived: Vec<u8>,
}

/// The totals of a slot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredSlot {
    /// The node's number.
    pub node: u32,
    /// 0: an hour, 1: a day, 2: 32 days.
    pub level: u8,
    /// How many of that length since 1970.
    pub number: i64,
    /// The totals.
    pub totals: Vec<u8>,
}

/// What the totals of an hour or a day come to, for whoever asks in SQL. Times in µs, amounts in millionths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Figures {
    /// The node's number.
    pub node: u32,
    /// 0: an hour, 1: a day.
    pub level: u8,
    /// How many of that length since 1970.
    pub number: i64,
    /// Production, setup, delay, minor stops, idle, unknown, planned down, off shift.
    pub times: [i64; 8],
    /// Good, scrap, rework.
    pub amounts: [i64; 3],
    /// Planned run time of all that was made, and of what of it was good.
    pub work: [i64; 2],
}

/// What a person put right.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredCorrection {
    /// Its number: later than all before it.
    pub number: u32,
    /// The unit's number.
    pub unit: u32,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// What is said.
    pub change: serde_json::Value,
    /// Who says so.
    pub by: Uuid,
    /// When.
    pub at: Timestamp,
    /// By which the same request is known when it comes again.
    pub key: Uuid,
}

/// What is kept together: all of it or nothing.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct FloorKeep {
    /// Hours, in the place of what was there.
    pub hours: Vec<StoredHour>,
    /// Totals, in the place of what was there.
    pub slots: Vec<StoredSlot>,
    /// What totals come to, in the place of what was there.
    pub figures: Vec<Figures>,
    /// What counters show, as JSON, in the place of what was there.
    pub counters: Vec<(TagId, String)>,
    /// What people put right, with the events that tell of it.
    pub corrections: Vec<(StoredCorrection, Event)>,
    /// How far the floor has come, if that changed.
    pub progress: Option<Progress>,
}

/// How far the floor has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Everything before it is kept: a whole hour.
    pub kept_until: Timestamp,
    /// The first frame of the samples lane that speaks of what is after it.
    pub first: Seq,
    /// What came late in frames up to this one is kept.
    pub seen: Seq,
}

/// Manufacturing execution. One task writes; anybody reads.
#[async_trait]
pub trait FloorRepository: Send + Sync + 'static {
    /// The numbers of names, in their order; a name that has none gets the next.
    async fn floor_numbers(&self, kind: NumberKind, names: Vec<String>) -> Result<Vec<u32>, StoreError>;
    /// Every name of a kind, with its number.
    async fn floor_names(&self, kind: NumberKind) -> Result<Vec<(String, u32)>, StoreError>;
    /// Kept hours of units, from one hour to before another, in the order of units and hours.
    async fn floor_hours(&self, units: Vec<u32>, from: i64, to: i64) -> Result<Vec<StoredHour>, StoreError>;
    /// Kept slots of a node, by level and number; those that are not there are left out.
    async fn floor_slots(&self, node: u32, slots: Vec<(u8, i64)>) -> Result<Vec<StoredSlot>, StoreError>;
    /// Some hours and days whose figures are not kept, which an older version wrote; at most `limit`. Once there are none, there are none any more.
    async fn floor_without_figures(&self, limit: u32) -> Result<Vec<StoredSlot>, StoreError>;
    /// What counters showed when the first hour began that is not kept.
    async fn floor_counters(&self) -> Result<Vec<(TagId, String)>, StoreError>;
    /// Corrections of a unit that touch a window, in the order in which they were made.
    async fn floor_corrections(
        &self,
        unit: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredCorrection>, StoreError>;
    /// The correction that was made with a key.
    async fn floor_correction_of(&self, key: Uuid) -> Result<Option<StoredCorrection>, StoreError>;
    /// How far the floor had come; `None`: there is none yet.
    async fn floor_progress(&self) -> Result<Option<Progress>, StoreError>;
    /// The number of the last correction; 0: there is none.
    async fn floor_last_correction(&self) -> Result<u32, StoreError>;
    /// Keeps all of it, or nothing.
    /// # Errors
    /// [`StoreError::Taken`]: a correction has that number or that key already. Nothing was kept.
    async fn floor_keep(&self, keep: FloorKeep) -> Result<(), StoreError>;
}
