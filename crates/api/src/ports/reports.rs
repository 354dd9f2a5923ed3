//! What the API needs of kept reports.

use crate::ports::NotDone;
use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use andon_store::report::ReportFilter;
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

/// A kept report, without what it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportView {
    /// Its id.
    pub id: Uuid,
    /// `shift`, `day`, `order`.
    pub kind: String,
    /// The place; of an order, the branch that holds all its jobs.
    pub path: String,
    /// The order's number.
    pub order: Option<String>,
    /// What people call the shift.
    pub shift: Option<String>,
    /// The first instant of its window, in ms since 1970; of an order, when that was made.
    pub from_ms: i64,
    /// The first instant after it; of an order, when the report was made.
    pub to_ms: i64,
    /// When it was made.
    pub made_ms: i64,
    /// Who asked; `null`: a schedule.
    pub by: Option<Uuid>,
    /// Their name; `null`: erased, or a schedule.
    pub by_name: Option<String>,
    /// The schedule.
    pub schedule: Option<String>,
    /// The report that it takes the place of; that may have been deleted since.
    pub replaces: Option<Uuid>,
    /// The report that takes its place.
    pub replaced_by: Option<Uuid>,
    /// How many bytes are signed.
    pub bytes: u64,
}

/// A page of reports, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportsPage {
    /// They.
    pub reports: Vec<ReportView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<Uuid>,
}

/// The signature of a report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SignatureView {
    /// `Ed25519`.
    pub alg: String,
    /// The public key, in lower-case hex.
    pub key_id: String,
    /// The signature, in lower-case hex.
    pub value: String,
}

/// A report as it was signed.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct WholeReport {
    /// Which.
    #[serde(flatten)]
    pub row: ReportView,
    /// What it says. Numbers that can be broken are texts of decimal digits.
    #[schema(value_type = Object)]
    pub report: Value,
    /// Over its canonical form (RFC 8785).
    pub signature: SignatureView,
    /// It is this report, and the node's own key has signed it as it is: that was just looked at.
    pub verified: bool,
    /// What it tells comes to something else now; `null`: that cannot be told.
    pub superseded: Option<bool>,
    /// The names of people in it; who is erased is not among them.
    pub people: BTreeMap<Uuid, String>,
}

/// Where a report stands, as far as rights go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportPlace {
    /// The place.
    pub path: String,
    /// It is of an order, and tells of units and of what went into them.
    pub is_of_order: bool,
}

/// A report's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// What to call it.
    pub name: String,
    /// As it is verified.
    pub bytes: Vec<u8>,
}

/// What is to be made a report of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReportSubject {
    /// A shift of a place: of that window, or the one that is on or was last.
    Shift(String, Option<(Timestamp, Timestamp)>),
    /// A day of a place: of that window, or the one that is on.
    Day(String, Option<(Timestamp, Timestamp)>),
    /// An order, by its number.
    Order(String),
}

/// A window, and when its report will be made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NextReportView {
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it.
    pub to_ms: i64,
    /// When its report will be made.
    pub at_ms: i64,
}

/// Why the node could not do something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportErrorView {
    /// In words.
    pub text: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
}

/// Reports that the node makes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ReportScheduleView {
    /// Its name.
    pub name: String,
    /// `shift`, `day`.
    pub kind: String,
    /// The place.
    pub path: String,
    /// So long after the end of the shift or day, in ms.
    pub after_ms: i64,
    /// Where its files are written, below the node's folder of reports.
    pub folder: Option<String>,
    /// Its reports are deleted after so many days; `null`: never.
    pub keep_days: Option<u64>,
    /// The one that was made last.
    pub last: Option<ReportView>,
    /// The next one; `null`: no such shift is in sight.
    pub next: Option<NextReportView>,
    /// What could not be done last; `null`: all was.
    pub error: Option<ReportErrorView>,
}

/// An answer.
pub type Reported<'a, T> = BoxFuture<'a, Result<T, NotDone>>;

/// Kept reports. Rights at a place are looked at before.
pub trait Reports: Send + Sync + 'static {
    /// Reports, the newest first.
    fn reports(&self, filter: ReportFilter) -> Reported<'_, ReportsPage>;
    /// Where a report stands.
    fn place_of_report(&self, id: Uuid) -> Reported<'_, ReportPlace>;
    /// The branch that holds all jobs of an order.
    fn place_of_order(&self, order: String) -> Reported<'_, String>;
    /// One report.
    fn report(&self, id: Uuid) -> Reported<'_, WholeReport>;
    /// The file of one.
    fn file(&self, id: Uuid) -> Reported<'_, ReportFile>;
    /// Makes a report; `false`: it was made before, by the same request.
    fn make(&self, key: Uuid, subject: ReportSubject, by: Principal) -> Reported<'_, (bool, ReportView)>;
    /// What the node makes by itself, by name.
    fn schedules(&self) -> Reported<'_, Vec<ReportScheduleView>>;
}
