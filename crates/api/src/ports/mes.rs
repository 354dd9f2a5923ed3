//! What the API needs of manufacturing execution: what machines are in, what comes of it, and people's word on it.

use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A window of time, `from` with it and `to` without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// A machine, and what it is in now.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MachineView {
    /// The path of its equipment.
    pub path: String,
    /// What people call it.
    pub title: String,
    /// The path of what it stands under.
    pub line: String,
    /// Its PackML state; `null`: it is not known.
    pub state: Option<String>,
    /// Its PackML mode; `null`: it has not said.
    pub mode: Option<String>,
    /// Since when the machine says that state, in ms since 1970; `null`: it has said nothing, or for longer than is known.
    pub since_ms: Option<i64>,
    /// The time that now belongs to.
    pub element: String,
    /// Why it is so, if somebody has said.
    pub reason: Option<String>,
    /// What the calendar says of now.
    pub planned: String,
    /// The calendar.
    pub calendar: Option<String>,
    /// The shift that it is in now.
    pub shift: Option<ShiftView>,
    /// The job that stands on it: begun, and not ended.
    pub job: Option<JobBrief>,
}

/// A job that stands on a machine, as far as a board has room for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobBrief {
    /// Its id.
    pub id: Uuid,
    /// As people say it: `4711/10`.
    pub number: String,
    /// The order's number.
    pub order: String,
    /// What the operation is called.
    pub title: String,
    /// `Running`, `Interrupted`.
    pub state: String,
}

/// A shift.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ShiftView {
    /// What people call it.
    pub name: String,
    /// Its first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
}

/// The times of a window, in ms, added up over all units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct TimesView {
    /// APT.
    pub production_ms: f64,
    /// AUST.
    pub setup_ms: f64,
    /// ADET, but for minor stops.
    pub delay_ms: f64,
    /// ADET that was short.
    pub minor_stop_ms: f64,
    /// ADOT.
    pub idle_ms: f64,
    /// Nobody knows.
    pub unknown_ms: f64,
    /// Planned not to work, within POT.
    pub planned_down_ms: f64,
    /// Outside POT.
    pub off_shift_ms: f64,
    /// PBT.
    pub pbt_ms: f64,
    /// POT.
    pub pot_ms: f64,
}

/// What was made, in the items' units.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, ToSchema)]
pub struct AmountsView {
    /// PQ.
    pub produced: f64,
    /// GQ.
    pub good: f64,
    /// SQ.
    pub scrap: f64,
    /// RQ.
    pub rework: f64,
}

/// A KPI, with what it is made of.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct KpiView {
    /// Its name.
    pub id: String,
    /// Its value; `null`: there is none, for nothing is below the line or a figure is not known.
    pub value: Option<f64>,
    /// Above the line, in the figures' units (seconds, items).
    pub numerator: Option<f64>,
    /// Below the line.
    pub denominator: Option<f64>,
    /// What it is to come to, if the plant model says so of this very node.
    pub target: Option<f64>,
    /// How it is made, in the symbols of ISO 22400-2:2014.
    pub formula: String,
    /// `up` or `down`: which way is better.
    pub better: String,
}

/// A part of the time that was lost on the way from the calendar to good items, in ms.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LossView {
    /// `off_shift`, `planned_down`, `unknown`, `idle`, `delay`, `minor_stop`, `setup`, `speed`, `scrap`, `rework`.
    pub id: String,
    /// How long. Below zero for `speed`: items took less time than planned.
    pub ms: f64,
}

/// How much time a reason took, and how often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonView {
    /// What it counts as.
    pub element: String,
    /// The reason; `null`: nobody has said.
    pub reason: Option<String>,
    /// How long.
    pub ms: i64,
    /// Stops that began with it.
    pub stops: i64,
}

/// What a window comes to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct KpiAnswer {
    /// Of which node.
    pub path: String,
    /// The window's first instant.
    pub from_ms: i64,
    /// The first after it, at the latest now.
    pub to_ms: i64,
    /// Now.
    pub now_ms: i64,
    /// How many machines are in it.
    pub machines: usize,
    /// Times.
    pub times: TimesView,
    /// Amounts.
    pub amounts: AmountsView,
    /// KPIs.
    pub kpis: Vec<KpiView>,
    /// From the calendar to good items. Empty where a planned run time is missing: speed and quality cannot be told apart then.
    pub losses: Vec<LossView>,
    /// The time of good items at their planned run time, in ms; `null` as for the losses.
    pub good_ms: Option<f64>,
    /// Reasons, the longest first.
    pub reasons: Vec<ReasonView>,
}

/// The greatest part of the time that was lost.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct GreatestLoss {
    /// As in [`LossView`], but none of `off_shift` and `planned_down`.
    pub id: String,
    /// How long, in ms.
    pub ms: f64,
    /// The reason with the most of it; `null`: nobody has said, or it is a loss that has none (`speed`, `scrap`, `rework`, `unknown`).
    pub reason: Option<String>,
}

/// How many orders have a job at or below a node that has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, ToSchema)]
pub struct OrdersBrief {
    /// With a job that stands at a machine there: begun, and not ended.
    pub running: usize,
    /// Released or begun, and not done by when they were due.
    pub late: usize,
}

/// A node of the tree, and what a window of it comes to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct NodeView {
    /// Its path.
    pub path: String,
    /// What people call it.
    pub title: String,
    /// `enterprise`, `site`, `area`, `work_center`, `work_unit`.
    pub level: String,
    /// How many nodes stand one level below it.
    pub children: usize,
    /// How many followed machines are at or below it; 0: all figures are `null`.
    pub machines: usize,
    /// OEE index; this and the next three as in `/api/mes/kpis` of the same window.
    pub oee: Option<f64>,
    /// Availability.
    pub availability: Option<f64>,
    /// Effectiveness.
    pub effectiveness: Option<f64>,
    /// Quality ratio.
    pub quality_ratio: Option<f64>,
    /// What its OEE index is to come to, if the plant model says so of this very node.
    pub target: Option<f64>,
    /// PQ.
    pub produced: Option<f64>,
    /// GQ.
    pub good: Option<f64>,
    /// SQ.
    pub scrap: Option<f64>,
    /// The greatest loss; `null`: nothing was lost, or it cannot be told.
    pub loss: Option<GreatestLoss>,
    /// Its orders now, whatever the window; `null`: there are more open orders than are looked at (5,000).
    pub orders: Option<OrdersBrief>,
}

/// What stands one level below a node.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ChildrenAnswer {
    /// The node; empty: what stands at the top.
    pub path: String,
    /// The window's first instant.
    pub from_ms: i64,
    /// The first after it, at the latest now.
    pub to_ms: i64,
    /// Now.
    pub now_ms: i64,
    /// The node itself; `null` at the top.
    pub node: Option<NodeView>,
    /// Those one level below it, by path; at most 500.
    pub children: Vec<NodeView>,
    /// There are more.
    pub truncated: bool,
}

/// KPIs of one of a row of windows.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SlotView {
    /// The first instant.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
    /// The shift's name, where the windows are shifts.
    pub name: Option<String>,
    /// OEE index.
    pub oee: Option<f64>,
    /// Availability.
    pub availability: Option<f64>,
    /// Effectiveness.
    pub effectiveness: Option<f64>,
    /// Quality ratio.
    pub quality_ratio: Option<f64>,
    /// GQ.
    pub good: f64,
    /// SQ.
    pub scrap: f64,
}

/// A span in which one thing held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PieceView {
    /// The first instant.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
    /// The time that it belongs to.
    pub element: String,
    /// PackML state.
    pub state: Option<String>,
    /// PackML mode.
    pub mode: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// What the calendar said.
    pub planned: String,
    /// The correction that says so.
    pub corrected: Option<u32>,
}

/// A time in which an order was held up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StopView {
    /// The machine.
    pub unit: String,
    /// When it began, be it before the window.
    pub from_ms: i64,
    /// When it ended; the window's end if it goes on.
    pub to_ms: i64,
    /// It goes on.
    pub open: bool,
    /// The state in which it began.
    pub state: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// `inside`, `outside`: where the cause is, as PackML's Hold and Suspend say it.
    pub cause: Option<String>,
    /// Shorter than the machine's limit.
    pub minor: bool,
}

/// A reason of the plant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReasonDefView {
    /// Its name, a path such as `Mechanical/Jam`.
    pub name: String,
    /// What it counts as.
    pub counts_as: String,
    /// `inside` the machine or `outside`: whether a job that stands for it is Held or Suspended.
    pub cause: String,
    /// What to do about it.
    pub action: String,
}

/// What a person says of a span.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// Why it was so, by the reason's name.
    Reason(String),
    /// What the machine was in, by the PackML state's name.
    State(String),
    /// It was as it was recorded.
    AsRecorded,
}

/// A span to be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CorrectionWish {
    /// The machine.
    pub path: String,
    /// The first instant.
    pub from: Timestamp,
    /// The first after it.
    pub to: Timestamp,
    /// What is said.
    pub said: Said,
    /// What the person wrote about it.
    pub note: Option<String>,
    /// By which the request is known when it comes again.
    pub key: Uuid,
}

/// What a person put right.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CorrectionView {
    /// Its number; later ones lie over earlier ones.
    pub number: u32,
    /// The first instant.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
    /// In words: `reason Mechanical/Jam`, `state Held`, `as recorded`.
    pub says: String,
    /// What the person wrote about it.
    pub note: Option<String>,
    /// Who.
    pub by: Uuid,
    /// When.
    pub at_ms: i64,
}

/// Where a figure of a KPI comes from.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TermView {
    /// The symbol of ISO 22400-2:2014.
    pub symbol: String,
    /// Its value; `null`: not known.
    pub value: Option<f64>,
    /// `s` or `items`.
    pub unit: String,
    /// What it is added up from, in order of time, at most [`WHY_ROWS`].
    pub rows: Vec<RowView>,
    /// How many more there are.
    pub more: usize,
}

/// The most rows of a term.
pub const WHY_ROWS: usize = 500;

/// A row behind a figure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct RowView {
    /// The machine.
    pub unit: String,
    /// The first instant.
    pub from_ms: i64,
    /// The first after it; the same where it is an instant.
    pub to_ms: i64,
    /// What held, or what was counted.
    pub what: String,
    /// How much of the term's unit: seconds, or items; for work, items at their planned run time.
    pub amount: f64,
}

/// What a KPI is made of, down to the rows.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WhyView {
    /// The KPI.
    pub kpi: KpiView,
    /// The edition of the formula.
    pub edition: String,
    /// Its terms.
    pub terms: Vec<TermView>,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MesProblem {
    /// No machine is followed there or below.
    #[error("no machine is followed at or below \"{0}\"")]
    NoMachine(String),
    /// It cannot be meant: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String, String),
    /// It does not fit what is there.
    #[error("{0}")]
    Conflict(String),
    /// A failure of ours.
    #[error("{0}")]
    Failed(String),
}

impl From<andon_store::StoreError> for MesProblem {
    fn from(error: andon_store::StoreError) -> Self {
        Self::Failed(andon_model::error::causes(&error))
    }
}

/// How a window is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// By whole hours UTC.
    Hour,
    /// By shifts of the machines' calendar.
    Shift,
    /// By days of 24 hours from the window's beginning.
    Day,
}

/// Manufacturing execution.
pub trait Mes: Send + Sync + 'static {
    /// Every machine that is followed, by path.
    fn machines(&self) -> BoxFuture<'_, Result<Vec<MachineView>, MesProblem>>;
    /// The plant's reasons, by name.
    fn reasons(&self) -> Vec<ReasonDefView>;
    /// What a window of a node comes to.
    fn kpis(&self, path: String, window: Window) -> BoxFuture<'_, Result<KpiAnswer, MesProblem>>;
    /// The same in brief of a node and of those one level below it, as far as they are on or below the branches.
    fn children(
        &self,
        path: String,
        window: Window,
        branches: Vec<String>,
    ) -> BoxFuture<'_, Result<ChildrenAnswer, MesProblem>>;
    /// The same, cut into steps; at most 1,000.
    fn series(&self, path: String, window: Window, step: Step) -> BoxFuture<'_, Result<Vec<SlotView>, MesProblem>>;
    /// What one machine was in, without gap.
    fn states(&self, path: String, window: Window) -> BoxFuture<'_, Result<Vec<PieceView>, MesProblem>>;
    /// The stops of all machines at or below a path: those without a reason first, then the longest.
    fn stops(&self, path: String, window: Window) -> BoxFuture<'_, Result<Vec<StopView>, MesProblem>>;
    /// Where a KPI comes from.
    fn why(&self, path: String, kpi: String, window: Window) -> BoxFuture<'_, Result<WhyView, MesProblem>>;
    /// Puts a span right; the correction's number.
    fn correct(&self, wish: CorrectionWish, by: Principal) -> BoxFuture<'_, Result<u32, MesProblem>>;
    /// What was put right of a machine.
    fn corrections(&self, path: String, window: Window) -> BoxFuture<'_, Result<Vec<CorrectionView>, MesProblem>>;
}
