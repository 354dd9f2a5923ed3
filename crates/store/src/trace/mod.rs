//! Where things come from and where they go: lots, serial units and containers, what went into what, and where they are.
//!
//! What machines tell comes in by [`TraceRepository::trace_apply`], what people change by [`TraceRepository::trace_change`]; both as
//! [`Step`]s. A step that is said again changes nothing: each is known by what it is about and when. What cannot be is refused, or, if
//! it is said that it happened all the same, recorded with a [`Finding`].
//!
//! Quantities are millionths of the material's unit, as of `andon-mes`'s `Quantity`.

mod ask;
mod refusal;
mod step;
pub(crate) mod vessel;

pub use ask::{
    AsOf, CertificateBrief, CertificateState, Closure, ClosureWish, Cut, Direction, Edge, Finding, Finished, Flowed,
    Identity, InVessel, Item, ItemFilter, JobUse, LyingMaterial, Move, Packed, PassAt, Place, Reached, Recall,
    RecallRow, StateSaid, StoredCertificate, UnitOfJob, VesselContent, VesselLevel, Wrong,
};
pub use refusal::TraceRefusal;
pub(crate) use refusal::amount;
pub use step::{
    Change, Disposition, Firmware, ItemKind, ItemName, ItemRef, NewCertificate, NewDraw, NewEdge, NewEmptying, NewFill,
    NewItem, NewLevel, NewMove, NewPass, NewRemoval, NewState, NewUnpacking, Program, Report, Step, Tell, Told, Vessel,
};
pub use vessel::{FlowKind, LAYERS_MAX, Mixing};

use crate::error::StoreError;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use uuid::Uuid;

/// Under which name traceability reads the samples lane.
pub const READER: &str = "trace";
/// One whole thing, in millionths.
pub const ONE: i64 = 1_000_000;
/// The most steps of one batch.
pub const STEPS_MAX: usize = 20_000;
/// The most items that an answer reaches.
pub const REACH_MAX: usize = 1_000_000;
/// The most items that are looked at for a circle, while everybody who writes waits.
pub const CIRCLE_MAX: usize = 20_000;
/// The most things that are carried with a container.
pub const CARRIED_MAX: usize = 10_000;
/// The deepest way that is followed.
pub const DEPTH_MAX: u32 = 1_000;
/// The most rows of one page.
pub const PAGE_MAX: u32 = 1_000;
/// The most vessels of a list, which has no pages.
pub const VESSELS_MAX: u32 = 10_000;
/// So many findings are kept; older ones go.
pub const FINDINGS_MAX: i64 = 100_000;

/// Traceability. One task writes; anybody reads.
#[async_trait]
pub trait TraceRepository: Send + Sync + 'static {
    /// Records what machines said, with how far the samples lane is dealt with, in one transaction. A step that cannot be is left out
    /// and told in the report, with a finding, for the lane must go on. Does nothing if that part of the lane was dealt with before.
    /// # Errors
    /// [`StoreError::Refused`]: more than [`STEPS_MAX`] steps.
    async fn trace_apply(&self, told: Told) -> Result<Report, StoreError>;
    /// Makes a person's change: all of it or nothing, with the event that tells of it. The event is recorded if something changed.
    /// Its key stands for this one change: given again with the same content, nothing happens, and the report says so. What is refused is
    /// refused again, for its key stands for nothing.
    /// # Errors
    /// [`StoreError::Refused`]: why not. Nothing was changed.
    async fn trace_change(&self, change: Change) -> Result<Report, StoreError>;
    /// What each station said that belongs to no unit yet, as it was given with the last part of the lane.
    async fn trace_stations(&self) -> Result<Vec<(String, String)>, StoreError>;

    /// Units that were finished until then and of which a certificate is due, the longest finished first, at most [`PAGE_MAX`].
    async fn trace_due(&self, until: Timestamp) -> Result<Vec<Finished>, StoreError>;
    /// Whether a unit is finished, and what became of its certificate.
    async fn trace_finished(&self, unit: Uuid) -> Result<Option<Finished>, StoreError>;
    /// Keeps the certificate of a finished unit, with the event that tells of it. The first one once: if there is one and `anew` is not
    /// said, nothing happens, and the report says so.
    /// # Errors
    /// [`StoreError::Refused`]: it is not finished, or the number stands for another.
    async fn trace_certify(&self, certificate: NewCertificate, anew: bool, event: Event) -> Result<Report, StoreError>;
    /// Keeps why no certificate can be made of a finished unit, with the event that tells of it; once.
    async fn trace_not_certified(&self, unit: Uuid, why: String, event: Event) -> Result<(), StoreError>;
    /// Notes that a unit was given a credential, with the event that tells of it. `false`: it was before.
    async fn trace_identify(&self, unit: Uuid, identity: Identity, event: Event) -> Result<bool, StoreError>;
    /// The credential that a unit was given.
    async fn trace_identity(&self, unit: Uuid) -> Result<Option<Identity>, StoreError>;

    /// One item.
    async fn trace_item(&self, item: ItemRef) -> Result<Option<Item>, StoreError>;
    /// Items, newest first.
    async fn trace_items(&self, filter: ItemFilter) -> Result<Vec<Item>, StoreError>;
    /// What an item went into, or what went into it, at any depth. `None`: there is no such item.
    async fn trace_closure(&self, wish: ClosureWish) -> Result<Option<Closure>, StoreError>;
    /// What has to be called back if this item is bad: every outermost serial unit it is in, and every lot it is in of which there is
    /// still something. `None`: there is no such item.
    async fn trace_recall(&self, item: ItemRef, as_of: AsOf) -> Result<Option<Recall>, StoreError>;
    /// Serial units with any of these numbers, of whatever material, newest first, at most [`PAGE_MAX`].
    async fn trace_numbered(&self, numbers: Vec<String>) -> Result<Vec<Item>, StoreError>;
    /// What was put into an item itself, whatever it is made of, in order of time; also what was taken out again. At most [`PAGE_MAX`].
    async fn trace_parts(&self, item: Uuid) -> Result<Vec<(Item, Edge)>, StoreError>;
    /// Where an item was moved, newest first, before one, at most [`PAGE_MAX`].
    async fn trace_moves(&self, item: Uuid, before: Option<Move>, limit: u32) -> Result<Vec<Move>, StoreError>;
    /// How much of an item lies where.
    async fn trace_stock(&self, item: Uuid) -> Result<Vec<(String, i64)>, StoreError>;
    /// What lies in a place, packed or loose: at most [`PAGE_MAX`] items, those that were recorded last first, before one.
    async fn trace_stock_in(
        &self,
        place: String,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<(Item, i64)>, StoreError>;
    /// What lies in a place by material, in the order of the materials, at most [`PAGE_MAX`].
    async fn trace_materials_in(&self, place: String, limit: u32) -> Result<Vec<LyingMaterial>, StoreError>;
    /// The places where something lies, in the order of their names, each with how many items lie there, at most [`PAGE_MAX`].
    async fn trace_places(&self, limit: u32) -> Result<Vec<(String, i64)>, StoreError>;
    /// What lies in a container itself now: at most [`PAGE_MAX`] items, those that were recorded last first, before one.
    async fn trace_contents(
        &self,
        container: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Packed>, StoreError>;
    /// The vessels that something was told of, in the order of their paths, each as it is now; at most [`VESSELS_MAX`].
    async fn trace_vessels(&self, limit: u32) -> Result<Vec<VesselLevel>, StoreError>;
    /// What is in a vessel, or was at a time, as it was known then. `None`: nothing was told of it.
    async fn trace_vessel(&self, path: String, at: Option<Timestamp>) -> Result<Option<VesselContent>, StoreError>;
    /// What flowed in and out of a vessel, newest first, until a time and before a turn, at most [`PAGE_MAX`].
    async fn trace_flows(
        &self,
        path: String,
        until: Option<Timestamp>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Flowed>, StoreError>;
    /// What was said about what may be done with an item, oldest first, after a time, at most [`PAGE_MAX`].
    async fn trace_states(&self, item: Uuid, after: Option<Timestamp>) -> Result<Vec<StateSaid>, StoreError>;
    /// A unit at stations, oldest first, after a time and station, at most [`PAGE_MAX`].
    async fn trace_passes(&self, unit: Uuid, after: Option<(Timestamp, String)>) -> Result<Vec<PassAt>, StoreError>;
    /// Units at a station from one time to before another, newest first, before a time and unit, at most [`PAGE_MAX`].
    async fn trace_passes_at(
        &self,
        equipment: String,
        from: Timestamp,
        to: Timestamp,
        before: Option<(Timestamp, Uuid)>,
        limit: u32,
    ) -> Result<Vec<PassAt>, StoreError>;
    /// What was built into the units that passed a station for a job over a time, without what was given back: by material and number,
    /// at most [`PAGE_MAX`].
    async fn trace_used_for(
        &self,
        job: Uuid,
        equipment: String,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<JobUse>, StoreError>;
    /// Serial units that were made under any of these jobs, newest first, before one, at most [`PAGE_MAX`] and one more.
    async fn trace_units_of(
        &self,
        jobs: Vec<Uuid>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<UnitOfJob>, StoreError>;
    /// The last pass of any unit at a station before a time.
    async fn trace_pass_before(&self, equipment: String, at: Timestamp) -> Result<Option<PassAt>, StoreError>;
    /// A certificate by its number, byte for byte.
    async fn trace_certificate(&self, number: String) -> Result<Option<StoredCertificate>, StoreError>;
    /// The id of the key that signed the certificate that was kept last; `None`: there is none yet.
    async fn trace_last_key(&self) -> Result<Option<String>, StoreError>;
    /// The certificates of a unit without their bytes, oldest first; the last one holds.
    async fn trace_certificates(&self, unit: Uuid) -> Result<Vec<CertificateBrief>, StoreError>;
    /// Findings, newest first, before a number, at most [`PAGE_MAX`].
    async fn trace_findings(&self, before: Option<i64>, limit: u32) -> Result<Vec<Finding>, StoreError>;
    /// Looks whether every kept sum is the sum of its rows. Reads everything: for tools and tests.
    async fn trace_check(&self) -> Result<Vec<Wrong>, StoreError>;
}
