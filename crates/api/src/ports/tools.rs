//! What the API needs of tools and moulds.

use crate::ports::NotDone;
use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// How much a tool can do in a life: one of the two, or neither.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ToolLifeView {
    /// Cycles.
    pub cycles: Option<f64>,
    /// Time of production, in ms.
    pub run_time_ms: Option<i64>,
}

/// What a tool has used of its present life.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct ToolUsedView {
    /// Cycles: items by cavities.
    pub cycles: f64,
    /// Time of production, in ms.
    pub run_time_ms: i64,
}

/// What was told of a life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolToldView {
    /// `warn` or `end`.
    pub level: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
}

/// A tool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ToolView {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it is, in the plant's own word.
    pub kind: String,
    /// It is in the documents; what is not stays with what it did.
    pub in_documents: bool,
    /// Where it may be mounted; empty: anywhere. Of one that is not in the documents: where it was last.
    pub machines: Vec<String>,
    /// Items that a cycle makes.
    pub cavities: u32,
    /// The machine it is mounted on.
    pub machine: Option<String>,
    /// Since when, in ms since 1970.
    pub mounted_ms: Option<i64>,
    /// How much it can do.
    pub life: ToolLifeView,
    /// The share of its life at which it is told.
    pub warn: f64,
    /// What of it is used.
    pub used: ToolUsedView,
    /// Used by life; `null`: nobody said how long it lasts.
    pub share: Option<f64>,
    /// `ok`, `warn`, `end`; `no_life`: nobody said how long it lasts.
    pub state: String,
    /// How often it was renewed.
    pub renewals: u64,
    /// When it was last, in ms since 1970.
    pub renewed_ms: Option<i64>,
    /// What was told of this life.
    pub told: Vec<ToolToldView>,
    /// What it did somewhere cannot be told, in words.
    pub warning: Option<String>,
}

/// Tools by name.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ToolsPage {
    /// Now, in ms since 1970.
    pub now_ms: i64,
    /// They.
    pub tools: Vec<ToolView>,
    /// Send it as `after` for the next page, also where this one is short; `null`: this is the last one.
    pub next: Option<String>,
}

/// A mounting that was put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolCorrectionView {
    /// When it was, in ms since 1970.
    pub at_ms: i64,
    /// By whom.
    pub by: Uuid,
    /// Their name; `null`: erased.
    pub by_name: Option<String>,
    /// When it began before.
    pub was_from_ms: i64,
    /// When it ended before; `null`: it lasted.
    pub was_to_ms: Option<i64>,
    /// Why.
    pub reason: String,
}

/// A mounting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolSpanView {
    /// Its number.
    pub number: u64,
    /// The machine.
    pub machine: String,
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it; `null`: it is there.
    pub to_ms: Option<i64>,
    /// Who mounted it.
    pub by: Uuid,
    /// Their name; `null`: erased.
    pub by_name: Option<String>,
    /// Why, as the person said it.
    pub reason: String,
    /// How it was put right, the newest first.
    pub corrections: Vec<ToolCorrectionView>,
}

/// A renewal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolRenewalView {
    /// 1 for the first.
    pub number: u64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// By whom.
    pub by: Uuid,
    /// Their name; `null`: erased.
    pub by_name: Option<String>,
    /// Why.
    pub reason: String,
}

/// Something that people did with a tool.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ToolChangeView {
    /// Later than all before it.
    pub number: u64,
    /// `mount`, `unmount`, `correct`, `renew`, `used`.
    pub kind: String,
    /// When it was said, in ms since 1970.
    pub at_ms: i64,
    /// By whom.
    pub by: Uuid,
    /// Their name; `null`: erased.
    pub by_name: Option<String>,
    /// Why; may be empty.
    pub reason: String,
    /// The machine of the mounting.
    pub machine: Option<String>,
    /// What was said to be used besides.
    pub cycles: Option<f64>,
    /// Likewise, in ms.
    pub run_time_ms: Option<i64>,
}

/// A tool with all that was done with it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ToolDetail {
    /// The tool.
    #[serde(flatten)]
    pub tool: ToolView,
    /// Its mountings, the newest first, at most 500.
    pub spans: Vec<ToolSpanView>,
    /// Its renewals, the newest first, at most 500.
    pub renewals_done: Vec<ToolRenewalView>,
    /// What people did with it, the newest first, at most 500.
    pub changes: Vec<ToolChangeView>,
}

/// A unit that passed a machine while a tool was mounted there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolUnitView {
    /// The unit.
    pub unit: Uuid,
    /// The machine.
    pub machine: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// The job order that ran there.
    pub job: Option<Uuid>,
    /// Its operation.
    pub operation: Option<String>,
    /// Whether it was good; `null`: nobody has said.
    pub passed: Option<bool>,
}

/// Such units, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ToolUnitsPage {
    /// They.
    pub units: Vec<ToolUnitView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<String>,
}

/// Which tools.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolFilter {
    /// Those that one may see who views these branches.
    pub branches: Vec<String>,
    /// Mounted at or below this path.
    pub machine: Option<String>,
    /// In these states, by their words; empty: any.
    pub states: Vec<String>,
    /// After this name.
    pub after: String,
    /// How many.
    pub limit: u32,
}

/// What somebody wants to do with a tool.
#[derive(Debug, Clone, PartialEq)]
pub enum ToolWish {
    /// Mount it.
    Mount {
        /// Where.
        machine: String,
        /// From when; `None`: now.
        at: Option<Timestamp>,
        /// Until when, of a mounting that is over.
        until: Option<Timestamp>,
    },
    /// Take it off.
    Unmount {
        /// Where it is, as whoever asks knows it.
        machine: String,
        /// When; `None`: now.
        at: Option<Timestamp>,
    },
    /// Put a mounting right.
    Correct {
        /// Which.
        span: u64,
        /// The first instant.
        from: Timestamp,
        /// The first instant after it; `None`: it lasts, as it did.
        to: Option<Timestamp>,
    },
    /// Renew it.
    Renew,
    /// Say what this life had used besides; `None`: as was said before.
    Used {
        /// Cycles.
        cycles: Option<f64>,
        /// Time of production, in ms.
        run_time_ms: Option<i64>,
    },
}

/// An answer.
pub type ToolAnswer<'a, T> = BoxFuture<'a, Result<T, NotDone>>;

/// Tools. Rights are looked at before.
pub trait Tools: Send + Sync + 'static {
    /// Tools by name.
    fn list(&self, filter: ToolFilter) -> ToolAnswer<'_, ToolsPage>;
    /// One tool.
    fn tool(&self, name: String) -> ToolAnswer<'_, ToolDetail>;
    /// The machine of one of its mountings.
    fn mounting(&self, name: String, number: u64) -> ToolAnswer<'_, String>;
    /// Does something with it; whether it was done now.
    fn act(
        &self,
        name: String,
        wish: ToolWish,
        reason: String,
        key: Uuid,
        by: Principal,
    ) -> ToolAnswer<'_, (bool, ToolDetail)>;
    /// Units that passed machines at or below these branches while the tool was mounted there, after the `next` of the page before.
    fn units(
        &self,
        name: String,
        branches: Vec<String>,
        after: Option<String>,
        limit: u32,
    ) -> ToolAnswer<'_, ToolUnitsPage>;
}
