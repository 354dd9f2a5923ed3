//! What is kept of maintenance: orders, who worked on them, what was used, and the turns of plans. The rules are `andon-mes`'s.
//!
//! As with [`crate::orders`], a change is worked out on what was read and handed in with the version that was read; inside one transaction
//! the store compares it and writes the row, the ledger, the work of people, the plan's turn and the event, or nothing. One occurrence of an
//! alarm and one turn of a plan have one order ([`MaintenanceRow::origin`]), whoever asks for it and however often.

use crate::error::StoreError;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// The longest page of orders.
pub const MOST_ORDERS: u32 = 500;
/// The most entries of a ledger at once.
pub const MOST_ENTRIES: u32 = 10_000;

/// A part: planned, or used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Part {
    /// The material.
    pub material: String,
    /// Its lot; empty: none.
    #[serde(default)]
    pub lot: String,
    /// Its serial number; empty: none.
    #[serde(default)]
    pub serial: String,
    /// How much, in millionths.
    pub quantity: i64,
}

/// A maintenance order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaintenanceRow {
    /// UUIDv7: sorts by when it was made.
    pub id: Uuid,
    /// As people say it; no two orders have one.
    pub number: String,
    /// Of a number that the node gave.
    pub ordinal: Option<u64>,
    /// What it comes of: no two orders have one.
    pub origin: Option<String>,
    /// `corrective`, `preventive`, `condition_based`.
    pub kind: String,
    /// The path of what is maintained.
    pub equipment: String,
    /// What it is about.
    pub title: String,
    /// As somebody wrote it.
    pub note: String,
    /// 1 low to 9 high.
    pub priority: u8,
    /// By when.
    pub due: Option<Timestamp>,
    /// The plan, and its turn.
    pub plan: Option<(String, u64)>,
    /// The alarm's name, and its occurrence.
    pub alarm: Option<(String, Uuid)>,
    /// `person`, `alarm`, `plan`.
    pub source: String,
    /// `AllowedToStart`, …
    pub state: String,
    /// `Waiting`, …
    pub substate: Option<String>,
    /// It has not ended.
    pub open: bool,
    /// When the equipment failed; `None`: it did not.
    pub failed: Option<Timestamp>,
    /// When it was restored; `None`: not yet.
    pub restored: Option<Timestamp>,
    /// Why it failed, in the tree of reasons.
    pub code: Option<String>,
    /// What caused it, in words.
    pub cause: String,
    /// What was done about it, in words.
    pub remedy: String,
    /// How long the work takes.
    pub estimated: Option<Duration>,
    /// What whoever works on it has to be qualified for.
    pub skills: Vec<String>,
    /// What whoever works on it has to have seen.
    pub instructions: Vec<String>,
    /// What it is planned to need.
    pub parts: Vec<Part>,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub created_by: Uuid,
    /// When somebody began it.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Grows with each change. The store numbers it.
    pub version: u64,
}

/// A span in which a person worked on an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkSpan {
    /// The order.
    pub order: Uuid,
    /// Its equipment.
    pub equipment: String,
    /// Its kind.
    pub kind: String,
    /// Who.
    pub person: Uuid,
    /// The first instant.
    pub from: Timestamp,
    /// The first after it; `None`: the person still does.
    pub to: Option<Timestamp>,
}

/// An order with who worked on it and what was used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMaintenance {
    /// The order.
    pub order: MaintenanceRow,
    /// Who worked on it, in the order in which they began.
    pub work: Vec<WorkSpan>,
    /// What was used, by material, lot and serial number; nothing of what was put back.
    pub used: Vec<Part>,
}

/// A new entry of the ledger.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMaintenanceEntry {
    /// From who asks. The same key again: the same thing is asked again.
    pub key: Uuid,
    /// When.
    pub at: Timestamp,
    /// `made`, `begin`, `part`, …
    pub kind: String,
    /// What was asked, as JSON of `andon-mes`; the same for the same key.
    pub content: Value,
    /// Who.
    pub by: Uuid,
}

/// An entry of the ledger.
#[derive(Clone, PartialEq, Debug)]
pub struct MaintenanceEntry {
    /// Later than all before it.
    pub number: u64,
    /// The order.
    pub order: Uuid,
    /// What was handed in.
    pub entry: NewMaintenanceEntry,
    /// What the order was in after it.
    pub state: String,
    /// Likewise.
    pub substate: Option<String>,
}

/// What an order says about the turn of its plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TurnDue {
    /// The plan.
    pub plan: String,
    /// Its turn; another one is in force: nothing is made.
    pub turn: u64,
    /// Since when it is due, and by what; `None`: it is not, the order comes before.
    pub due: Option<(Timestamp, String)>,
    /// The alarm that made it due.
    pub occurrence: Option<Uuid>,
}

/// A new order, with what tells of it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewMaintenance {
    /// The order. Its version is given by the store.
    pub order: MaintenanceRow,
    /// The first entry of its ledger.
    pub entry: NewMaintenanceEntry,
    /// Of an order of a plan.
    pub turn: Option<TurnDue>,
    /// What tells of it.
    pub event: Event,
}

/// A change of an order.
#[derive(Clone, PartialEq, Debug)]
pub struct MaintenanceWrite {
    /// The order as it is to be, with the version that was read. Number, origin, equipment and kind do not change.
    pub order: MaintenanceRow,
    /// What to write down of it.
    pub entry: NewMaintenanceEntry,
    /// Who works on it from the entry's time on.
    pub begins: Vec<Uuid>,
    /// Who does no longer.
    pub ends: Vec<Uuid>,
    /// What was used, to be added; below zero: put back, no more than there is.
    pub used: Option<Part>,
    /// It ends the turn of its plan; the next begins then.
    pub next_turn: Option<Timestamp>,
    /// What tells of it.
    pub event: Event,
}

/// What became of a change.
#[derive(Clone, PartialEq, Debug)]
pub enum MaintenanceWritten {
    /// It is on disk, and the order is so now.
    Now(StoredMaintenance),
    /// The same was asked before and is done, or what it comes of has its order. Nothing was written; the order is so now.
    Before(StoredMaintenance),
    /// Somebody was faster, or the number is another order's. Nothing was written; the order is so now.
    Conflict(StoredMaintenance),
    /// The plan is in another turn. Nothing was written.
    TurnOver,
    /// Something else was asked before under that key. Nothing was written.
    KeyUsed,
}

/// Which orders. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaintenanceFilter {
    /// One of these states; empty: all.
    pub states: Vec<String>,
    /// One of these kinds; empty: all.
    pub kinds: Vec<String>,
    /// Whether they have ended; `None`: no matter.
    pub open: Option<bool>,
    /// On or below one of these paths; `""` is the whole tree. An empty list finds nothing: it is also the permission.
    pub branches: Vec<String>,
    /// On or below this path.
    pub branch: Option<String>,
    /// Stands in its number, title or equipment, without regard to case.
    pub text: Option<String>,
    /// Of this plan.
    pub plan: Option<String>,
    /// Only orders made before this one: the `next` of the page before.
    pub after: Option<Uuid>,
    /// How many, 1 to [`MOST_ORDERS`].
    pub limit: u32,
}

impl Default for MaintenanceFilter {
    fn default() -> Self {
        Self {
            states: Vec::new(),
            kinds: Vec::new(),
            open: None,
            branches: vec![String::new()],
            branch: None,
            text: None,
            plan: None,
            after: None,
            limit: 100,
        }
    }
}

/// A page of orders, the newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MaintenancePage {
    /// They.
    pub orders: Vec<StoredMaintenance>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Uuid>,
}

/// A failure of equipment, out of an order that was not given up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FailureRow {
    /// The equipment.
    pub equipment: String,
    /// Why.
    pub code: Option<String>,
    /// When it failed.
    pub failed: Timestamp,
    /// When it was restored; `None`: it is not.
    pub restored: Option<Timestamp>,
}

/// The turn in which a plan is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlanTurn {
    /// The plan's name.
    pub plan: String,
    /// Counted from 1.
    pub turn: u64,
    /// When it began.
    pub since: Timestamp,
    /// When it was found to be due, and by what.
    pub due: Option<(Timestamp, String)>,
    /// The last order of this turn.
    pub order: Option<Uuid>,
    /// The order that ended the turn before.
    pub last: Option<Uuid>,
    /// The last alarm that made it due.
    pub occurrence: Option<Uuid>,
}

/// Maintenance. Anybody writes, anybody reads.
#[async_trait]
pub trait MaintenanceRepository: Send + Sync + 'static {
    /// Makes an order; or finds the one that was asked for with that key, or that comes of the same.
    async fn maintenance_create(&self, new: NewMaintenance) -> Result<MaintenanceWritten, StoreError>;
    /// Changes an order, if nobody was faster.
    /// # Errors
    /// [`StoreError::Missing`]: there is no such order. Nothing was written.
    async fn maintenance_write(&self, write: MaintenanceWrite) -> Result<MaintenanceWritten, StoreError>;
    /// Notes that an order was asked for that is there already: the same key asks for nothing else later. Nothing is told of it. How the
    /// order is.
    /// # Errors
    /// [`StoreError::Missing`]: there is no such order. Nothing was written.
    async fn maintenance_asked(
        &self,
        order: Uuid,
        entry: NewMaintenanceEntry,
    ) -> Result<MaintenanceWritten, StoreError>;
    /// Says since when a plan is in its first turn, if it is in none. What is in force then.
    async fn maintenance_turn_begin(&self, plan: &str, since: Timestamp) -> Result<PlanTurn, StoreError>;

    /// A plan has become due in this turn, though its order was made before. What was found to be due first stays.
    async fn maintenance_turn_due(&self, due: TurnDue) -> Result<(), StoreError>;

    /// A plan is not due any more in this turn, for its order was given up and nothing makes it due: it can become due again.
    async fn maintenance_turn_undue(&self, plan: &str, turn: u64) -> Result<(), StoreError>;

    /// The next number that the node gives.
    async fn maintenance_next(&self) -> Result<u64, StoreError>;
    /// Orders, the newest first.
    async fn maintenance_orders(&self, filter: MaintenanceFilter) -> Result<MaintenancePage, StoreError>;
    /// The order of that number.
    async fn maintenance_order(&self, number: &str) -> Result<Option<StoredMaintenance>, StoreError>;
    /// The order of that id.
    async fn maintenance_by_id(&self, id: Uuid) -> Result<Option<StoredMaintenance>, StoreError>;
    /// Whether the order of that id has not ended; one that is not there has.
    async fn maintenance_is_open(&self, id: Uuid) -> Result<bool, StoreError>;
    /// The order that comes of something.
    async fn maintenance_of(&self, origin: &str) -> Result<Option<StoredMaintenance>, StoreError>;
    /// The newest order of an alarm, by its name, that has not ended.
    async fn maintenance_open_of_alarm(&self, alarm: &str) -> Result<Option<StoredMaintenance>, StoreError>;
    /// What was written under a key.
    async fn maintenance_entry_of(&self, key: Uuid) -> Result<Option<MaintenanceEntry>, StoreError>;
    /// The newest entries of a ledger, or the newest before a number, at most [`MOST_ENTRIES`]. Of them the oldest comes first.
    async fn maintenance_ledger(
        &self,
        order: Uuid,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MaintenanceEntry>, StoreError>;
    /// What was confirmed as seen for an order, the oldest first.
    async fn maintenance_seen(&self, order: Uuid) -> Result<Vec<MaintenanceEntry>, StoreError>;
    /// Failures on or below a path that touch a window, at most so many: as many as the limit, and there may be more.
    async fn maintenance_failures(
        &self,
        branch: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<FailureRow>, StoreError>;
    /// Failures of this equipment itself that touch a window, likewise.
    async fn maintenance_failures_at(
        &self,
        paths: Vec<String>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<FailureRow>, StoreError>;
    /// Work on or below a path that touches a window, at most so many.
    async fn maintenance_work(
        &self,
        branch: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkSpan>, StoreError>;
    /// The turns of all plans that ever were.
    async fn maintenance_turns(&self) -> Result<Vec<PlanTurn>, StoreError>;
}
