//! What the API needs of vessels in which lots mix.

use super::trace::{ItemView, Traced};
use andon_model::Timestamp;
use andon_model::access::Principal;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A lot that is filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct FillWish {
    /// Stands for this one fill.
    pub key: Uuid,
    /// The lot.
    pub item: Uuid,
    /// How much.
    pub quantity: f64,
    /// From where; `None`: from outside.
    pub from: Option<String>,
    /// When; `None`: now.
    pub at: Option<Timestamp>,
    /// It has happened, whether it should or not.
    pub happened: bool,
}

/// What is drawn goes into this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IntoWish {
    /// A lot or unit that there is.
    Item(Uuid),
    /// A lot of this name, made if there is none.
    Lot {
        /// The part number.
        material: String,
        /// The revision.
        revision: Option<String>,
        /// The lot's number.
        number: String,
    },
    /// The lot that is made for the order of this job.
    Job(Uuid),
}

/// Something that is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct DrawWish {
    /// Stands for this one draw.
    pub key: Uuid,
    /// How much.
    pub quantity: f64,
    /// Into what.
    pub into: IntoWish,
    /// Where in that; empty: nobody has said.
    pub position: String,
    /// Where a lot of the same material lies from then on.
    pub place: Option<String>,
    /// When; `None`: now.
    pub at: Option<Timestamp>,
    /// It has happened, whether it should or not.
    pub happened: bool,
}

/// A vessel that is emptied and cleaned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EmptyWish {
    /// Stands for this one time.
    pub key: Uuid,
    /// Why, or how; may be empty.
    pub reason: String,
}

/// How much was found in a vessel.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelWish {
    /// Stands for this one correction.
    pub key: Uuid,
    /// How much is in it.
    pub level: f64,
    /// How it was found.
    pub reason: String,
}

/// What is asked of a vessel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VesselQuery {
    /// Its path.
    pub path: String,
    /// At which time; `None`: now.
    pub at: Option<Timestamp>,
    /// Flows before this turn.
    pub before: Option<i64>,
    /// How many flows.
    pub limit: u32,
}

/// A vessel, and how full it is.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VesselView {
    /// Its path.
    pub path: String,
    /// `ideal`: what is drawn holds the lots as the vessel does; `plug`: first in, first out; `null`: the plant model has it no longer.
    pub mixing: Option<String>,
    /// The only material that comes in; `null`: any.
    pub material: Option<String>,
    /// The unit of that.
    pub unit: Option<String>,
    /// How much it holds; `null`: nobody has said.
    pub capacity: Option<f64>,
    /// How much is in it.
    pub level: f64,
    /// Of how many lots.
    pub lots: usize,
    /// When something flowed last, in ms since 1970; `null`: never.
    pub changed_ms: Option<i64>,
}

/// All vessels that the caller sees.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VesselsView {
    /// They, by their paths.
    pub vessels: Vec<VesselView>,
    /// There are more.
    pub truncated: bool,
}

/// A lot in a vessel.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct InVesselView {
    /// The lot, as it is now.
    pub item: ItemView,
    /// How much of it is in there; 0: less than a millionth.
    pub quantity: f64,
    /// How much of the whole that is, from 0 to 1.
    pub share: f64,
}

/// What flowed in or out.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FlowView {
    /// Later than all before it.
    pub turn: i64,
    /// `fill`, `draw`, `empty`; `loss` and `surplus`: less or more was in it than was counted; `traces`: so little was left of the lot that it
    /// became part of a lot of traces.
    pub kind: String,
    /// From when on it counts, in ms since 1970.
    pub at_ms: i64,
    /// When it was; before `at_ms`, if it was told late.
    pub told_ms: i64,
    /// How much.
    pub quantity: f64,
    /// How much was in it afterwards.
    pub level: f64,
    /// What came in, or what became traces.
    pub item: Option<ItemView>,
    /// What it went into.
    pub into: Option<ItemView>,
    /// From where, or to where.
    pub place: Option<String>,
    /// The job order.
    pub job: Option<Uuid>,
    /// Who, by the account's id.
    pub by: Option<Uuid>,
    /// Who, by name.
    pub by_name: Option<String>,
    /// Why.
    pub reason: String,
}

/// A vessel: what is in it, or was, and what flowed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct VesselContentView {
    /// The vessel, at that time.
    pub vessel: VesselView,
    /// The time that was asked for; `null`: now.
    pub at_ms: Option<i64>,
    /// The lots in it, in the order in which they came: in a vessel of plug flow what leaves next is first.
    pub contents: Vec<InVesselView>,
    /// A page of what flowed until then, the newest first.
    pub flows: Vec<FlowView>,
    /// Send it as `before` for the next page; `null`: this is the last one.
    pub next: Option<i64>,
}

/// Vessels in which lots mix. What a caller may do is looked at before.
pub trait Vessels: Send + Sync + 'static {
    /// Every vessel that is in the plant model, or that something was told of.
    fn all(&self) -> Traced<'_, VesselsView>;
    /// One of them.
    fn vessel(&self, query: VesselQuery) -> Traced<'_, VesselContentView>;
    /// A lot is filled in.
    fn fill(&self, path: String, wish: FillWish, by: Principal) -> Traced<'_, VesselContentView>;
    /// Something is drawn.
    fn draw(&self, path: String, wish: DrawWish, by: Principal) -> Traced<'_, VesselContentView>;
    /// It is emptied and cleaned.
    fn empty(&self, path: String, wish: EmptyWish, by: Principal) -> Traced<'_, VesselContentView>;
    /// How much was found in it.
    fn level(&self, path: String, wish: LevelWish, by: Principal) -> Traced<'_, VesselContentView>;
}
