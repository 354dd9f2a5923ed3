//! What is kept of work orders and job orders. The rules are `andon-mes`'s, which this crate does not know.
//!
//! Who changes something reads the order ([`OrderRepository::order_of_job`]), works out the new rows from what was read, and hands them
//! in with the version that was read ([`OrderWrite`]). Inside one write transaction the store compares versions, looks whether the
//! equipment is free, and writes rows, ledger, spans and events; or nothing, and says what is there now ([`Written`]). So a decision is
//! always made on the rows that it changes, a reader never waits for one, and no rule stands here. An order and its jobs have one
//! version between them, for the order's state comes from all of its jobs.
//!
//! Counts do not wait for each other: they are added to the row ([`EntryWrite`]), and only a change of the job's state in between, or a
//! total below zero, is a conflict.
//!
//! States are words of `andon-mes`; quantities are millionths of the material's unit.

use crate::error::StoreError;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

/// The longest page of orders.
pub const MOST_ORDERS: u32 = 500;
/// The longest dispatch list.
pub const MOST_JOBS: u32 = 5_000;
/// The most entries of a ledger at once.
pub const MOST_ENTRIES: u32 = 10_000;
/// The most spans at once.
pub const MOST_SPANS: u32 = 50_000;

/// A work order, without its jobs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderRow {
    /// UUIDv7: sorts by when it was made.
    pub id: Uuid,
    /// As people say it; no two orders have one.
    pub number: String,
    /// The part number.
    pub material: String,
    /// Its revision.
    pub revision: Option<String>,
    /// What the material is called.
    pub title: String,
    /// `pcs`, `kg`, …
    pub unit: String,
    /// How much is wanted, in millionths; more than zero.
    pub quantity: i64,
    /// By when.
    pub due: Option<Timestamp>,
    /// 1 low to 9 high.
    pub priority: u8,
    /// Worked out from its jobs by the caller: `Forecast`, `Released`, …
    pub state: String,
    /// `person`.
    pub source: String,
    /// As somebody wrote it.
    pub note: String,
    /// When it was made.
    pub created: Timestamp,
    /// Grows with each change of it and of its jobs' states. The store numbers it.
    pub version: u64,
}

/// A job order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobRow {
    /// UUIDv7.
    pub id: Uuid,
    /// The number that logs of units have for it. The store gives it; 0: it has none yet.
    pub ordinal: u64,
    /// The order it belongs to.
    pub order: Uuid,
    /// As people say it: `4711/10`.
    pub number: String,
    /// The operation of the material: `10`.
    pub operation: String,
    /// What the operation is called.
    pub title: String,
    /// Where it is or will be done, if that is decided.
    pub equipment: Option<String>,
    /// Where it can be done.
    pub alternatives: Vec<String>,
    /// How much is wanted, in millionths.
    pub quantity: i64,
    /// How much came out good. Only counts change it ([`EntryWrite`]), as the next two.
    pub good: i64,
    /// How much is scrap.
    pub scrap: i64,
    /// How much has to be worked on again.
    pub rework: i64,
    /// `NotAllowedToStart`, …
    pub state: String,
    /// `Waiting`, …
    pub substate: Option<String>,
    /// It has not ended: it stands in dispatch lists.
    pub open: bool,
    /// It has begun and not ended: it stands on its equipment, where no other can begin.
    pub stands: bool,
    /// When it is planned to begin.
    pub planned_start: Option<Timestamp>,
    /// When it is planned to end.
    pub planned_end: Option<Timestamp>,
    /// A person has put it there: planning leaves it.
    pub pinned: bool,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// Planned time per item, in ns.
    pub run_time_ns: u64,
    /// Planned time before the first item.
    pub setup: Duration,
    /// The jobs that come before it.
    pub after: Vec<Uuid>,
    /// What its operator has to be qualified for.
    pub skills: Vec<String>,
    /// What its operator has to have seen.
    pub instructions: Vec<String>,
    /// Grows with each change of it, not with counts. The store numbers it.
    pub version: u64,
}

/// An order with its jobs, in their order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredOrder {
    /// The order.
    pub order: OrderRow,
    /// Its jobs.
    pub jobs: Vec<JobRow>,
}

/// What an entry of the ledger tells of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum EntryKind {
    /// A trigger: begin, pause, …
    Trigger,
    /// Somebody counted.
    Count,
    /// Somebody confirmed having seen an instruction.
    Seen,
    /// It got another place in the plan.
    Plan,
    /// Its content changed: the quantity, …
    Change,
}

/// A new entry of the ledger.
#[derive(Clone, PartialEq, Debug)]
pub struct NewEntry {
    /// From who asks. The same key again: the same thing is asked again.
    pub key: Uuid,
    /// The job.
    pub job: Uuid,
    /// When.
    pub at: Timestamp,
    /// What it tells of.
    pub kind: EntryKind,
    /// What was asked, as JSON of `andon-mes`; the same for the same key.
    pub content: Value,
    /// Good items to be added, in millionths; only with [`EntryKind::Count`], as the next two.
    pub good: i64,
    /// Scrap to be added.
    pub scrap: i64,
    /// Rework to be added.
    pub rework: i64,
    /// Who, by the id.
    pub by: Uuid,
    /// The event that tells of it.
    pub event: Uuid,
}

/// An entry of the ledger.
#[derive(Clone, PartialEq, Debug)]
pub struct LedgerEntry {
    /// Later than all before it.
    pub number: u64,
    /// What was handed in.
    pub entry: NewEntry,
    /// What the job was in after it.
    pub state: String,
    /// Likewise.
    pub substate: Option<String>,
    /// Where the job was after it.
    pub equipment: Option<String>,
}

/// A span in which a job stood on a work unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobSpan {
    /// Later than all before it.
    pub number: u64,
    /// The unit's path.
    pub unit: String,
    /// The job.
    pub job: Uuid,
    /// The number that logs of units have for it.
    pub ordinal: u64,
    /// Planned time per item, in ns.
    pub run_time_ns: u64,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it; `None`: it still stands there.
    pub to: Option<Timestamp>,
    /// Who put it there.
    pub by: Uuid,
}

/// A new order, with the event that tells of it.
#[derive(Clone, PartialEq, Debug)]
pub struct NewOrder {
    /// The order with its jobs. Versions and ordinals are given by the store.
    pub order: StoredOrder,
    /// Told when it is made, and not when it was there before.
    pub event: Event,
}

/// What became of a new order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Created {
    /// It was made.
    Now(StoredOrder),
    /// There is one of that number, as it is now: whether it is the same is for the caller to say. Nothing was written.
    There(StoredOrder),
}

/// A change of an order, of some of its jobs, or of both.
#[derive(Clone, PartialEq, Debug)]
pub struct OrderWrite {
    /// The order as it is to be, with the version that was read. Number, material and when it was made do not change.
    pub order: OrderRow,
    /// Those of its jobs that change, as they are to be. Of their counts nothing changes.
    pub jobs: Vec<JobRow>,
    /// What to write down of it; at least of jobs that begin or end. The first one's key tells whether it was asked before.
    pub entries: Vec<NewEntry>,
    /// What tells of it: at least one.
    pub events: Vec<Event>,
}

/// An entry that changes no state: a count, or something seen.
#[derive(Clone, PartialEq, Debug)]
pub struct EntryWrite {
    /// The version of the job that was read.
    pub version: u64,
    /// What to write down.
    pub entry: NewEntry,
    /// What tells of it.
    pub event: Event,
}

/// What became of a change.
#[derive(Clone, PartialEq, Debug)]
pub enum Written {
    /// It is on disk, and the order is so now.
    Now(StoredOrder),
    /// The same was asked before under that key and is done; the order is so now. Nothing was written.
    Before {
        /// What was written then.
        entry: Box<LedgerEntry>,
        /// The order as it is now.
        order: StoredOrder,
    },
    /// Somebody was faster, or a total would fall below zero. Nothing was written; the order is so now.
    Conflict(StoredOrder),
    /// Another job stands on the equipment. Nothing was written.
    Occupied {
        /// Since when, and who put it there.
        span: JobSpan,
        /// That job.
        by: Box<JobRow>,
        /// The order that was to change, as it is now.
        order: StoredOrder,
    },
    /// Something else was asked before under that key. Nothing was written.
    KeyUsed(Box<LedgerEntry>),
}

/// Which orders. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderFilter {
    /// One of these states; empty: all.
    pub states: Vec<String>,
    /// A job can be done on or below one of these paths; `""` is the whole tree. An empty list finds nothing: it is also the permission.
    pub branches: Vec<String>,
    /// On or below this path.
    pub branch: Option<String>,
    /// Stands in its number, its material or the material's title, without regard to case.
    pub text: Option<String>,
    /// Only orders made before this one: the `next` of the page before.
    pub after: Option<Uuid>,
    /// How many, 1 to [`MOST_ORDERS`].
    pub limit: u32,
}

impl Default for OrderFilter {
    fn default() -> Self {
        Self { states: Vec::new(), branches: vec![String::new()], branch: None, text: None, after: None, limit: 100 }
    }
}

/// A page of orders, the newest first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OrderPage {
    /// They, with their jobs.
    pub orders: Vec<StoredOrder>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<Uuid>,
}

/// Which open jobs. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobFilter {
    /// On this equipment: decided for it, or undecided and possible there. `None`: anywhere.
    pub equipment: Option<String>,
    /// In one of these states; empty: all.
    pub states: Vec<String>,
    /// Is or can be done on or below one of these paths, wherever it is decided for, as in [`OrderFilter::branches`].
    pub branches: Vec<String>,
    /// Planned for a span that touches this window, from its first instant to the first after it; `None`: planned or not.
    pub planned: Option<(Timestamp, Timestamp)>,
    /// How many, 1 to [`MOST_JOBS`].
    pub limit: u32,
}

impl Default for JobFilter {
    fn default() -> Self {
        Self { equipment: None, states: Vec::new(), branches: vec![String::new()], planned: None, limit: 1_000 }
    }
}

/// A job with the number of its order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListedJob {
    /// The order's number.
    pub order: String,
    /// The job.
    pub job: JobRow,
}

/// Which spans: those that touch a window, and those that last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SpanFilter {
    /// On this unit; `None`: on any.
    pub unit: Option<String>,
    /// On or below one of these paths, as in [`OrderFilter::branches`].
    pub branches: Vec<String>,
    /// The window's first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// Only spans after this one, in the order of the answer: the last of the page before.
    pub after: Option<JobSpan>,
    /// How many, 1 to [`MOST_SPANS`].
    pub limit: u32,
    /// What lasts and what ended last comes first; otherwise it comes last.
    pub newest_first: bool,
}

impl SpanFilter {
    /// Those of a window, everywhere.
    #[must_use]
    pub fn of(from: Timestamp, to: Timestamp) -> Self {
        Self {
            unit: None,
            branches: vec![String::new()],
            from,
            to,
            after: None,
            limit: MOST_SPANS,
            newest_first: false,
        }
    }
}

/// What people counted at a work unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counted {
    /// Good items, in millionths.
    pub good: i64,
    /// Scrap.
    pub scrap: i64,
    /// Rework.
    pub rework: i64,
}

/// A count of a person at a work unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct UnitCount {
    /// Its number in the ledger.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// How much.
    pub counted: Counted,
}

/// What a person is qualified for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PersonSkill {
    /// The person.
    pub person: Uuid,
    /// The skill's name.
    pub skill: String,
    /// Until then, exclusively; `None`: without end.
    pub until: Option<Timestamp>,
}

/// Work orders and job orders. Anybody writes, anybody reads.
#[async_trait]
pub trait OrderRepository: Send + Sync + 'static {
    /// Makes orders, each with its jobs and its event, all in one transaction; those whose number is taken are left as they are.
    /// # Errors
    /// [`StoreError::Taken`]: a job's number is. Nothing was made.
    async fn orders_create(&self, orders: Vec<NewOrder>) -> Result<Vec<Created>, StoreError>;
    /// Changes an order and its jobs, if nobody was faster.
    /// # Errors
    /// [`StoreError::Missing`]: there is no such order, a job is not of it, or one comes to equipment or leaves it without an entry.
    /// [`StoreError::Taken`]: two jobs of this change begin on one unit. Nothing was written.
    async fn order_write(&self, write: OrderWrite) -> Result<Written, StoreError>;
    /// Writes down what changes no state, and adds what was counted.
    /// # Errors
    /// [`StoreError::Missing`]: there is no such job.
    async fn job_entry(&self, write: EntryWrite) -> Result<Written, StoreError>;

    /// Orders, the newest first.
    async fn orders(&self, filter: OrderFilter) -> Result<OrderPage, StoreError>;
    /// The order of that number.
    async fn order(&self, number: &str) -> Result<Option<StoredOrder>, StoreError>;
    /// The order that a job belongs to.
    async fn order_of_job(&self, job: Uuid) -> Result<Option<StoredOrder>, StoreError>;
    /// Open jobs in the order in which they are to be made: planned start, priority, due date.
    async fn jobs_to_make(&self, filter: JobFilter) -> Result<Vec<ListedJob>, StoreError>;
    /// The newest entries of a job's ledger, or the newest before a number: at most so many, and at most [`MOST_ENTRIES`]. Of them the
    /// oldest comes first.
    async fn job_ledger(&self, job: Uuid, before: Option<u64>, limit: u32) -> Result<Vec<LedgerEntry>, StoreError>;
    /// What was confirmed as seen for a job, the oldest first.
    async fn job_seen(&self, job: Uuid) -> Result<Vec<LedgerEntry>, StoreError>;
    /// What was written under a key. Asked first, it answers a repeated request whatever the job is in by then.
    async fn job_entry_of(&self, key: Uuid) -> Result<Option<LedgerEntry>, StoreError>;
    /// Spans by their ends. As many as the limit: there may be more.
    async fn job_spans(&self, filter: SpanFilter) -> Result<Vec<JobSpan>, StoreError>;
    /// When a job came onto a unit or left it for the last time; `None`: none was ever there.
    async fn unit_last(&self, unit: &str) -> Result<Option<Timestamp>, StoreError>;
    /// What people counted of jobs on a unit from an instant on, in order of time, at most [`MOST_ENTRIES`]: the next ones come after the
    /// last one's time and number.
    async fn unit_counts(&self, unit: &str, from: Timestamp, after: u64) -> Result<Vec<UnitCount>, StoreError>;
    /// Where one job stood, in order of time.
    async fn spans_of_job(&self, job: Uuid) -> Result<Vec<JobSpan>, StoreError>;
    /// What stands on units now: on one, or on all.
    async fn jobs_standing(&self, unit: Option<&str>) -> Result<Vec<JobSpan>, StoreError>;

    /// What one person, or everybody, is qualified for.
    async fn person_skills(&self, person: Option<Uuid>) -> Result<Vec<PersonSkill>, StoreError>;
    /// Says that a person is qualified, in the place of what was said of that skill.
    /// # Errors
    /// [`StoreError::Missing`]: there is no such person.
    async fn person_skill_put(&self, skill: PersonSkill, event: Event) -> Result<(), StoreError>;
    /// Takes a qualification back.
    /// # Errors
    /// [`StoreError::Missing`]: the person has none such.
    async fn person_skill_remove(&self, person: Uuid, skill: &str, event: Event) -> Result<(), StoreError>;
}
