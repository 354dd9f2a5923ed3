//! What the API needs of maintenance.

use super::mes::Window;
use super::orders::{JobInstructionView, SeenWish};
use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use andon_store::maintenance::MaintenanceFilter;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A part: planned, or used.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct PartView {
    /// The material.
    pub material: String,
    /// What the material is called; its name where the plant does not know it.
    pub title: String,
    /// Its unit.
    pub unit: String,
    /// Its lot.
    pub lot: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// How much.
    pub quantity: f64,
}

/// What one person worked on an order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PersonWorkView {
    /// Who.
    pub person: Uuid,
    /// The name; `null`: erased.
    pub name: Option<String>,
    /// Works on it now since, in ms since 1970; `null`: does not.
    pub since_ms: Option<i64>,
    /// For how long, all spans together.
    pub work_ms: i64,
}

/// The alarm that an order comes of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OrderAlarmView {
    /// Its name.
    pub name: String,
    /// The occurrence.
    pub occurrence: Uuid,
}

/// A maintenance order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenanceOrderView {
    /// Its id.
    pub id: Uuid,
    /// As people say it: `M-12`.
    pub number: String,
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
    /// By when, in ms since 1970.
    pub due_ms: Option<i64>,
    /// The plan that it is of.
    pub plan: Option<String>,
    /// The turn of the plan.
    pub turn: Option<u64>,
    /// The alarm that it comes of.
    pub alarm: Option<OrderAlarmView>,
    /// `person`, `alarm`, `plan`.
    pub source: String,
    /// As of job orders: `AllowedToStart`, …
    pub state: String,
    /// Likewise.
    pub substate: Option<String>,
    /// When the equipment failed, in ms since 1970; `null`: nothing failed.
    pub failed_ms: Option<i64>,
    /// When it was restored.
    pub restored_ms: Option<i64>,
    /// Why it failed, in the tree of reasons.
    pub code: Option<String>,
    /// What caused it, in words.
    pub cause: String,
    /// What was done about it, in words.
    pub remedy: String,
    /// How long the work takes.
    pub estimated_ms: Option<i64>,
    /// What whoever works on it has to be qualified for.
    pub skills: Vec<String>,
    /// What whoever works on it has to have seen.
    pub instructions: Vec<JobInstructionView>,
    /// What it is planned to need.
    pub planned_parts: Vec<PartView>,
    /// What was used.
    pub parts: Vec<PartView>,
    /// Who worked on it.
    pub people: Vec<PersonWorkView>,
    /// What people worked on it, all together.
    pub work_ms: i64,
    /// How long somebody worked on it.
    pub running_ms: i64,
    /// When it was made.
    pub created_ms: i64,
    /// Who made it.
    pub created_by: Uuid,
    /// The name; `null`: erased, or the node.
    pub created_by_name: Option<String>,
    /// When it began.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Grows with each change.
    pub version: u64,
    /// What its state knows.
    pub may: Vec<String>,
}

/// A page of orders, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenanceOrdersPage {
    /// They.
    pub orders: Vec<MaintenanceOrderView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<Uuid>,
}

/// An entry of an order's ledger.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenanceEntryView {
    /// Its number.
    pub number: u64,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// `made`, `changed`, `begin`, `join`, `part`, `seen`, …
    pub kind: String,
    /// What the order was in after it.
    pub state: String,
    /// Likewise.
    pub substate: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// In words: what was changed, which part, which instruction.
    pub detail: Option<String>,
    /// Who.
    pub by: Uuid,
    /// The name; `null`: erased, or the node.
    pub by_name: Option<String>,
}

/// How far a measure of a plan has come.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MeasureView {
    /// `time`, `cycles`, `run_time`.
    pub by: String,
    /// How much is used; `null`: nothing is counted there.
    pub used: Option<f64>,
    /// Of how much.
    pub every: f64,
    /// `s` or `items`.
    pub unit: String,
    /// Used / every.
    pub share: Option<f64>,
    /// When it will be used up, in ms since 1970.
    pub forecast_ms: Option<i64>,
}

/// The alarm of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ConditionView {
    /// Its name.
    pub alarm: String,
    /// It is not normal now.
    pub stands: bool,
}

/// An order of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanOrderView {
    /// Its number.
    pub number: String,
    /// What it is in.
    pub state: String,
}

/// That the order of a plan was cancelled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanCancelledView {
    /// Its number.
    pub number: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// Who.
    pub by: Uuid,
    /// The name; `null`: erased.
    pub by_name: Option<String>,
}

/// What ended the turn before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlanLastView {
    /// The order's number.
    pub number: String,
    /// When it ended, in ms since 1970.
    pub ended_ms: Option<i64>,
}

/// A maintenance plan, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenancePlanView {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The path of what is maintained.
    pub equipment: String,
    /// `preventive`, or `condition_based` where it is due by an alarm alone.
    pub kind: String,
    /// `Ok`, `Soon`, `Due`, `Overdue`.
    pub state: String,
    /// Counted from 1.
    pub turn: u64,
    /// When the turn began, in ms since 1970.
    pub since_ms: i64,
    /// How far it has come.
    pub measures: Vec<MeasureView>,
    /// Its alarm.
    pub condition: Option<ConditionView>,
    /// When it will be due, in ms since 1970.
    pub forecast_ms: Option<i64>,
    /// Since when it is due.
    pub due_since_ms: Option<i64>,
    /// `time`, `cycles`, `run_time`, `condition`.
    pub due_by: Option<String>,
    /// It is overdue after it.
    pub order_due_ms: Option<i64>,
    /// How long before it is due it is told.
    pub lead_ms: i64,
    /// In which time it is done once it is due.
    pub within_ms: i64,
    /// How long the work takes.
    pub estimated_ms: Option<i64>,
    /// What whoever works on it has to be qualified for.
    pub skills: Vec<String>,
    /// What whoever works on it has to have seen, by name.
    pub instructions: Vec<String>,
    /// What it needs.
    pub parts: Vec<PartView>,
    /// The open order of this turn.
    pub order: Option<PlanOrderView>,
    /// The last order of this turn was cancelled: the plan is due again.
    pub cancelled: Option<PlanCancelledView>,
    /// What ended the turn before.
    pub last: Option<PlanLastView>,
    /// What should be known of it.
    pub warning: Option<String>,
}

/// A figure.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenanceFigureView {
    /// `mtbf`, `mttf`, `mttr`, `corrective_maintenance_ratio`.
    pub id: String,
    /// What it is called.
    pub title: String,
    /// In the unit; `null`: there is zero below the line.
    pub value: Option<f64>,
    /// `s`, or empty for a ratio.
    pub unit: String,
    /// Above the line, in s.
    pub numerator: f64,
    /// Below the line: a count, or s for the ratio.
    pub denominator: f64,
    /// How it is made, in the standard's symbols.
    pub formula: String,
    /// `up` or `down`.
    pub better: String,
}

/// What failures of one code come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ParetoView {
    /// The reason; `null`: nobody has said.
    pub code: Option<String>,
    /// Failures that began in the window.
    pub failures: u64,
    /// Failures that were restored in it.
    pub restored: u64,
    /// Their time to restore.
    pub repair_ms: i64,
}

/// Figures of maintenance over a window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MaintenanceFiguresView {
    /// At or below which path.
    pub path: String,
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first after it; not after now.
    pub to_ms: i64,
    /// Now.
    pub now_ms: i64,
    /// Failures that began in the window.
    pub failures: u64,
    /// Failures that were not restored by its end.
    pub open_failures: u64,
    /// APT + AUST.
    pub operating_ms: i64,
    /// Times to restore of failures that were restored in the window.
    pub repair_ms: i64,
    /// CMT.
    pub corrective_ms: i64,
    /// PMT.
    pub preventive_ms: i64,
    /// MTBF, MTTF, MTTR, corrective maintenance ratio.
    pub figures: Vec<MaintenanceFigureView>,
    /// By code, the largest time to restore first.
    pub pareto: Vec<ParetoView>,
}

/// A new order of a person.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct MaintenanceWish {
    /// Its number; `None`: the node gives one.
    pub number: Option<String>,
    /// Something failed, or it is preventive.
    pub corrective: bool,
    /// The path of what is maintained.
    pub equipment: String,
    /// What it is about.
    pub title: String,
    /// 1 to 9.
    pub priority: u8,
    /// By when.
    pub due_ms: Option<i64>,
    /// As somebody wrote it.
    pub note: String,
    /// Why it failed.
    pub code: Option<String>,
    /// When it failed.
    pub failed_ms: Option<i64>,
    /// What caused it.
    pub cause: String,
    /// What whoever works on it has to be qualified for.
    pub skills: Vec<String>,
    /// What whoever works on it has to have seen.
    pub instructions: Vec<String>,
    /// How long the work takes.
    pub estimated_ms: Option<i64>,
    /// It may begin at once.
    pub release: bool,
}

/// A new order out of an alarm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AlarmWish {
    /// The alarm's name.
    pub name: String,
    /// Its occurrence.
    pub occurrence: Uuid,
    /// `None`: what the operator reads.
    pub title: Option<String>,
    /// `None`: by the alarm's.
    pub priority: Option<u8>,
    /// As somebody wrote it.
    pub note: String,
    /// Why it failed.
    pub code: Option<String>,
}

/// A new order.
#[derive(Debug, Clone, PartialEq)]
pub enum NewMaintenanceWish {
    /// As a person says.
    Person(Box<MaintenanceWish>),
    /// Out of an alarm.
    Alarm(AlarmWish),
    /// The order of a plan's turn.
    Plan(String),
}

/// A change of an order; what is missing stays. `Some(None)`: there is none any more. It is kept as JSON: words are added, never changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct MaintenancePatch {
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// 1 to 9.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// By when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due_ms: Option<Option<i64>>,
    /// As somebody wrote it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Option<String>>,
    /// When it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_ms: Option<Option<i64>>,
    /// When it was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub restored_ms: Option<Option<i64>>,
    /// What caused it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// What was done about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A deed, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeedWish {
    /// What.
    pub deed: &'static str,
    /// The version that was looked at.
    pub version: u64,
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// Why.
    pub reason: Option<String>,
    /// `Held` or `Suspended`, of a pause; `Waiting`, `Ready` or `Loaded`, of a preparation.
    pub into: Option<String>,
    /// What a finish says of the failure.
    pub failure: MaintenancePatch,
}

/// A part that was used, or put back.
#[derive(Debug, Clone, PartialEq)]
pub struct PartWish {
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// The material.
    pub material: String,
    /// Its lot.
    pub lot: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// How much; below zero: put back.
    pub quantity: f64,
    /// What the person wrote about it.
    pub note: Option<String>,
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MaintenanceProblem {
    /// There is no such thing.
    #[error("{0} is not known here")]
    Unknown(String),
    /// It cannot be meant: what is wrong, and what to do.
    #[error("{0}")]
    Refused(String, String),
    /// Who asks is not qualified, and what to do.
    #[error("{0}")]
    NotQualified(String, String),
    /// It does not fit what is there now.
    #[error("{text}")]
    Conflict {
        /// What does not fit.
        text: String,
        /// What to do.
        remedy: String,
        /// What is there.
        current: Option<Box<MaintenanceOrderView>>,
    },
    /// A failure of ours.
    #[error("{0}")]
    Failed(String),
}

impl From<andon_store::StoreError> for MaintenanceProblem {
    fn from(error: andon_store::StoreError) -> Self {
        Self::Failed(andon_model::error::causes(&error))
    }
}

/// An answer.
pub type Maintained<'a, T> = BoxFuture<'a, Result<T, MaintenanceProblem>>;

/// Maintenance. What a caller may do is looked at before; `who` asks, for whose eyes `seen` is told.
pub trait Maintain: Send + Sync + 'static {
    /// Orders, the newest first.
    fn orders(&self, filter: MaintenanceFilter, who: Uuid) -> Maintained<'_, MaintenanceOrdersPage>;
    /// An order by its number.
    fn order(&self, number: String, who: Uuid) -> Maintained<'_, MaintenanceOrderView>;
    /// What a new order would be of: the path of its equipment.
    /// # Errors
    /// There is no such alarm, plan or equipment.
    fn place(&self, wish: &NewMaintenanceWish) -> Maintained<'_, String>;
    /// Makes an order; `false`: it was there.
    fn make(&self, wish: NewMaintenanceWish, key: Uuid, by: Principal) -> Maintained<'_, (bool, MaintenanceOrderView)>;
    /// Changes an order.
    fn change(
        &self,
        number: String,
        version: u64,
        key: Uuid,
        patch: MaintenancePatch,
        by: Principal,
    ) -> Maintained<'_, MaintenanceOrderView>;
    /// Something is done with an order.
    fn act(&self, number: String, wish: DeedWish, by: Principal) -> Maintained<'_, MaintenanceOrderView>;
    /// A part was used, or put back.
    fn part(&self, number: String, wish: PartWish, by: Principal) -> Maintained<'_, MaintenanceOrderView>;
    /// Somebody has seen an instruction.
    fn seen(&self, number: String, wish: SeenWish, by: Principal) -> Maintained<'_, ()>;
    /// The newest entries of the ledger, or those before a number; and before which the entries before these stand.
    fn ledger(
        &self,
        number: String,
        before: Option<u64>,
        limit: u32,
    ) -> Maintained<'_, (Vec<MaintenanceEntryView>, Option<u64>)>;
    /// All plans, by what is due first.
    fn plans(&self) -> Maintained<'_, Vec<MaintenancePlanView>>;
    /// Figures of a window.
    fn figures(&self, path: String, window: Window) -> Maintained<'_, MaintenanceFiguresView>;
    /// Now.
    fn now(&self) -> Timestamp;
}
