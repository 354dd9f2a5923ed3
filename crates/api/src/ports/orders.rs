//! What the API needs of work orders and job orders.

use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use andon_store::orders::{JobSpan, OrderFilter, PersonSkill};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// An instruction that a job's operator has to have seen, in the revision in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct JobInstructionView {
    /// Its name.
    pub name: String,
    /// Its revision; empty: it has none.
    pub revision: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
    /// Who asks has confirmed this very content for this job.
    pub seen: bool,
}

/// A job order. Amounts in the order's unit.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct JobView {
    /// Its id.
    pub id: Uuid,
    /// As people say it: `4711/10`.
    pub number: String,
    /// The order's number.
    pub order: String,
    /// The operation: `10`.
    pub operation: String,
    /// What the operation is called.
    pub title: String,
    /// Where it is or will be done; `null`: that is not decided.
    pub equipment: Option<String>,
    /// Where it can be done.
    pub alternatives: Vec<String>,
    /// How much is wanted.
    pub quantity: f64,
    /// Good: what people counted, and what the work unit's counters counted while the job stood there. So are the next two.
    pub good: f64,
    /// Scrap.
    pub scrap: f64,
    /// Rework.
    pub rework: f64,
    /// `NotAllowedToStart`, `AllowedToStart`, `Running`, `Interrupted`, `Ended`, `Aborted`.
    pub state: String,
    /// `Waiting`, `Ready`, `Loaded`; `Held`, `Suspended`; `Completed`, `Closed`.
    pub substate: Option<String>,
    /// When it is planned to begin, in ms since 1970.
    pub planned_start_ms: Option<i64>,
    /// When it is planned to end.
    pub planned_end_ms: Option<i64>,
    /// When it began.
    pub started_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Planned time for all of it, without its setup.
    pub run_time_ms: i64,
    /// Planned time before the first item.
    pub setup_ms: i64,
    /// The jobs that come before it.
    pub after: Vec<Uuid>,
    /// What its operator has to be qualified for.
    pub skills: Vec<String>,
    /// What its operator has to have seen.
    pub instructions: Vec<JobInstructionView>,
    /// Grows with each change of it, not with counts.
    pub version: u64,
    /// The triggers that its state knows.
    pub may: Vec<String>,
    /// What should be known of it: in the answer to its begin, that an operation before it has made nothing yet; and that what counters
    /// counted is not in its amounts, where the records of that are damaged.
    pub warnings: Vec<String>,
}

/// A list of jobs.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct JobList {
    /// They.
    pub jobs: Vec<JobView>,
    /// There are more.
    pub truncated: bool,
}

/// A work order.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OrderView {
    /// Its id.
    pub id: Uuid,
    /// Its number.
    pub number: String,
    /// The part number of what is made.
    pub material: String,
    /// Its revision.
    pub revision: Option<String>,
    /// What the material is called.
    pub title: String,
    /// `pcs`, `kg`, …
    pub unit: String,
    /// How much is wanted.
    pub quantity: f64,
    /// By when, in ms since 1970.
    pub due_ms: Option<i64>,
    /// 1 low to 9 high.
    pub priority: u8,
    /// `Forecast`, `Released`, `Running`, `Completed`, `Closed`, `Cancelled`: what its jobs come to.
    pub state: String,
    /// What the last operations made.
    pub good: f64,
    /// Scrap of all operations.
    pub scrap: f64,
    /// Rework of all operations.
    pub rework: f64,
    /// Its jobs that the caller may see.
    pub jobs: Vec<JobView>,
    /// When it was made.
    pub created_ms: i64,
    /// Where it comes from: `person`, `erp`.
    pub source: String,
    /// As somebody wrote it.
    pub note: String,
    /// Grows with each change of it and of its jobs, not with counts.
    pub version: u64,
}

/// A page of orders, the newest first.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct OrdersPage {
    /// They.
    pub orders: Vec<OrderView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<Uuid>,
}

/// The source of an order that somebody made here.
pub const BY_PERSON: &str = "person";
/// The source of an order that came from an ERP.
pub const BY_ERP: &str = "erp";

/// The longest number of an order, in characters.
const NUMBER_LIMIT: usize = 64;

/// Whether an order can have this number: 1 to 64 letters (a-z, A-Z), digits, `-`, `.`, `_` and `~`, the first a letter or a digit.
#[must_use]
pub fn is_number(text: &str) -> bool {
    text.len() <= NUMBER_LIMIT
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

/// A new order.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderWish {
    /// Its number.
    pub number: String,
    /// The part number.
    pub material: String,
    /// `None`: the newest.
    pub revision: Option<String>,
    /// How much.
    pub quantity: f64,
    /// By when.
    pub due: Option<Timestamp>,
    /// 1 to 9.
    pub priority: u8,
    /// As somebody wrote it.
    pub note: String,
    /// Its jobs may begin at once.
    pub release: bool,
    /// Where it comes from: [`BY_PERSON`], [`BY_ERP`].
    pub source: &'static str,
}

/// A change of an order; what is missing stays.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OrderPatch {
    /// The version that was looked at.
    pub version: u64,
    /// How much.
    pub quantity: Option<f64>,
    /// By when; `Some(None)`: there is no date any more.
    pub due: Option<Option<Timestamp>>,
    /// 1 to 9.
    pub priority: Option<u8>,
    /// As somebody wrote it.
    pub note: Option<String>,
}

/// What is done with an order as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderAction {
    /// Its jobs may begin.
    Release,
    /// Those that have not begun may not.
    Revoke,
    /// Those that have not begun are given up.
    Cancel,
    /// What was made is final.
    Close,
}

/// What is asked of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobTrigger {
    /// The equipment begins.
    Begin,
    /// It stops, to go on later; of a job that is interrupted: the cause is another.
    Pause,
    /// It goes on.
    Resume,
    /// It ends as it is.
    Stop,
    /// It is given up.
    Abort,
    /// What was made is final.
    Close,
    /// It is prepared so far.
    Prepare,
}

/// A trigger, with what belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TriggerWish {
    /// What.
    pub what: JobTrigger,
    /// The version that was looked at.
    pub version: u64,
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// Why.
    pub reason: Option<String>,
    /// `Held` or `Suspended`, of a pause.
    pub why: Option<String>,
    /// `Waiting`, `Ready` or `Loaded`, of a preparation.
    pub prepared: Option<String>,
    /// Where it begins.
    pub equipment: Option<String>,
}

/// What somebody counted: to be added.
#[derive(Debug, Clone, PartialEq)]
pub struct CountWish {
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// Good items; below zero where a count is put right. So are the next two.
    pub good: f64,
    /// Scrap.
    pub scrap: f64,
    /// Rework.
    pub rework: f64,
    /// Why it is scrap or rework.
    pub reason: Option<String>,
}

/// That an instruction was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenWish {
    /// Its name.
    pub instruction: String,
    /// Its revision.
    pub revision: String,
    /// SHA-256 of what was seen, in lower-case hex.
    pub sha256: String,
}

/// Another place in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlaceWish {
    /// The version that was looked at.
    pub version: u64,
    /// Where.
    pub equipment: String,
    /// From when.
    pub start: Timestamp,
}

/// An entry of a job's ledger.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LedgerView {
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// `release`, `revoke`, `prepare`, `begin`, `pause`, `resume`, `stop`, `abort`, `close`, `count`, `seen`, `plan`, `change`.
    pub kind: String,
    /// What the job was in after it, where that changed.
    pub state: Option<String>,
    /// Likewise.
    pub substate: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Good items that were counted.
    pub good: f64,
    /// Scrap.
    pub scrap: f64,
    /// Rework.
    pub rework: f64,
    /// The instruction that was seen, with its revision.
    pub instruction: Option<String>,
    /// Where the job was after it.
    pub equipment: Option<String>,
    /// When it was planned to begin.
    pub planned_start_ms: Option<i64>,
    /// Who.
    pub by: Uuid,
}

/// A page of a job's ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerPage {
    /// Entries, the oldest first.
    pub entries: Vec<LedgerView>,
    /// Before which number the entries before these stand; `None`: there are none.
    pub next: Option<u64>,
}

/// A material.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct MaterialView {
    /// The part number.
    pub name: String,
    /// Its revision.
    pub revision: Option<String>,
    /// What people call it.
    pub title: String,
    /// `pcs`, `kg`, …
    pub unit: String,
    /// How many operations it has; 0: it is bought.
    pub operations: usize,
}

/// A step of an instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct StepView {
    /// What it is about; empty: nobody has said.
    pub title: String,
    /// What to do.
    pub text: String,
}

/// An instruction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct InstructionView {
    /// Its name.
    pub name: String,
    /// Its revision; empty: it has none.
    pub revision: String,
    /// What people call it.
    pub title: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
    /// What to do, where it has no steps.
    pub text: Option<String>,
    /// What to do, step by step; empty where it is a text.
    pub steps: Vec<StepView>,
}

/// A span in which equipment does not work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ClosedView {
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
    /// `off`, `break`, `maintenance`.
    pub name: String,
}

/// The setup of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SetupView {
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
    /// The job.
    pub job: Uuid,
}

/// Equipment on the Gantt chart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LaneView {
    /// Its path.
    pub path: String,
    /// What people call it.
    pub title: String,
    /// When it does not work.
    pub closed: Vec<ClosedView>,
    /// When it is set up.
    pub setups: Vec<SetupView>,
}

/// What is planned and was done over a window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ScheduleView {
    /// Jobs that are planned in it, that stand on equipment in it, or stood: at most 5,000.
    pub jobs: Vec<JobView>,
    /// There are more: a shorter window has them.
    pub truncated: bool,
    /// Equipment, by path.
    pub equipment: Vec<LaneView>,
}

/// Where a job goes in a new plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PlacingView {
    /// The job.
    pub job: Uuid,
    /// Where.
    pub equipment: String,
    /// From when, in ms since 1970.
    pub planned_start_ms: i64,
    /// Until when.
    pub planned_end_ms: i64,
}

/// An order that will be late.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LateView {
    /// Its number.
    pub order: String,
    /// After its due date.
    pub by_ms: i64,
    /// Because of what it cannot be in time: `work`, `release`, `material`, `calendar`, `pin`, `changeover`, `capacity`.
    pub cause: String,
}

/// A new plan.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ProposalView {
    /// By which rule it was made.
    pub rule: String,
    /// Hours late, each order's with its priority as weight, added up.
    pub lateness_weighted_h: f64,
    /// No plan has less of it.
    pub bound_weighted_h: f64,
    /// How far it may be from the best, as a share of the bound; `null`: that cannot be said, for the bound is zero.
    pub gap: Option<f64>,
    /// What is planned otherwise than before.
    pub changes: Vec<PlacingView>,
    /// Orders that will be late.
    pub late: Vec<LateView>,
    /// What cannot be met, in words.
    pub unmet: Vec<String>,
}

/// A skill of the plant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SkillView {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// More about it.
    pub description: String,
}

/// What stands on equipment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The job's number.
    pub number: String,
    /// Where, since when, and who put it there.
    pub span: JobSpan,
}

/// What is there, of a refusal.
#[derive(Debug, Clone, PartialEq)]
pub enum Current {
    /// The job that was asked for.
    Job(Box<JobView>),
    /// The order.
    Order(Box<OrderView>),
}

/// Why something was not done.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum OrdersProblem {
    /// There is no such thing: `work order 4711`.
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
        current: Option<Current>,
        /// What is in the way.
        standing: Option<Box<Standing>>,
    },
    /// A failure of ours.
    #[error("{0}")]
    Failed(String),
}

impl From<andon_store::StoreError> for OrdersProblem {
    fn from(error: andon_store::StoreError) -> Self {
        Self::Failed(andon_model::error::causes(&error))
    }
}

/// The answer of a change.
pub type Changed<'a, T> = BoxFuture<'a, Result<T, OrdersProblem>>;

/// Work orders and job orders. What a caller may do is looked at before; `who` asks, for whose eyes `seen` is told.
pub trait Orders: Send + Sync + 'static {
    /// Orders, the newest first.
    fn orders(&self, filter: OrderFilter, who: Uuid) -> Changed<'_, OrdersPage>;
    /// An order by its number, with all its jobs.
    fn order(&self, number: String, who: Uuid) -> Changed<'_, OrderView>;
    /// Where an order of a material can be made.
    /// # Errors
    /// There is no such material, or it is bought.
    fn places(&self, material: &str, revision: Option<&str>) -> Result<Vec<String>, OrdersProblem>;
    /// Makes an order; `false`: it was there, with the same content.
    fn make(&self, wish: OrderWish, by: Principal) -> Changed<'_, (bool, OrderView)>;
    /// Changes an order that has not begun.
    fn change(&self, number: String, patch: OrderPatch, by: Principal) -> Changed<'_, OrderView>;
    /// Releases, revokes, cancels or closes an order.
    fn act(
        &self,
        number: String,
        action: OrderAction,
        version: u64,
        reason: Option<String>,
        by: Principal,
    ) -> Changed<'_, OrderView>;
    /// Open jobs in the order in which they are to be made, of what is on or below one of the branches.
    fn jobs(
        &self,
        equipment: Option<String>,
        states: Vec<String>,
        branches: Vec<String>,
        who: Uuid,
    ) -> Changed<'_, JobList>;
    /// A job.
    fn job(&self, job: Uuid, who: Uuid) -> Changed<'_, JobView>;
    /// Something happens to a job.
    fn trigger(&self, job: Uuid, wish: TriggerWish, by: Principal) -> Changed<'_, JobView>;
    /// Somebody counts.
    fn count(&self, job: Uuid, wish: CountWish, by: Principal) -> Changed<'_, JobView>;
    /// Somebody has seen an instruction.
    fn seen(&self, job: Uuid, wish: SeenWish, by: Principal) -> Changed<'_, ()>;
    /// A person puts a job somewhere in the plan.
    fn place(&self, job: Uuid, wish: PlaceWish, by: Principal) -> Changed<'_, JobView>;
    /// What happened to a job: the newest entries, or the newest before a number.
    fn ledger(&self, job: Uuid, before: Option<u64>, limit: u32) -> Changed<'_, LedgerPage>;
    /// The plant's materials, by name.
    fn materials(&self) -> Vec<MaterialView>;
    /// An instruction; of the newest revision where none is said.
    fn instruction(&self, name: &str, revision: Option<&str>) -> Option<InstructionView>;
    /// What is planned and was done over a window, of what is on or below one of the branches.
    fn schedule(&self, from: Timestamp, to: Timestamp, branches: Vec<String>, who: Uuid) -> Changed<'_, ScheduleView>;
    /// Plans the open orders of which every place lies on or below one of the branches; nothing is changed by a dry run.
    fn plan(&self, seed: u64, dry_run: bool, branches: Vec<String>, by: Principal) -> Changed<'_, ProposalView>;
    /// The plant's skills, by name.
    fn skills(&self) -> Vec<SkillView>;
    /// What one person, or everybody, is qualified for.
    fn held(&self, person: Option<Uuid>) -> Changed<'_, Vec<PersonSkill>>;
    /// Says that a person is qualified.
    fn qualify(&self, held: PersonSkill, by: Principal) -> Changed<'_, ()>;
    /// Takes a qualification back.
    fn disqualify(&self, person: Uuid, skill: String, by: Principal) -> Changed<'_, ()>;
}
