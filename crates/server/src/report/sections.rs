//! What a report of a shift or a day tells: figures, nodes below, orders and jobs, alarms, the logbook, people's hours, maintenance.
//!
//! Each section is what the API answers for the window, cut to what is told. One that cannot be told says why (`missing`) and leaves the others
//! standing; only what may go well at the next try makes the whole report fail.

use super::{Of, Reports, pick, table, told};
use andon_api::ports::NotDone;
use andon_api::ports::maintenance::MaintenanceProblem;
use andon_api::ports::mes::{Mes as _, MesProblem, Window};
use andon_api::ports::orders::{JobView, Orders as _, OrdersProblem};
use andon_api::ports::shift::{EntryView, HandoverView, Labour as _, Logbook as _};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_store::logbook::{EntryFilter, HANDOVER};
use andon_store::maintenance::{MaintenanceRepository as _, WorkSpan};
use andon_store::orders::{OrderRepository as _, SpanFilter};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// What of the figures tells whether a report is out of date.
pub(super) const FIGURES: [&str; 5] = ["times", "amounts", "reasons", "losses", "good_ms"];

/// Rows of the tables.
pub(super) const CHILD: [&str; 14] = [
    "path",
    "title",
    "level",
    "machines",
    "oee",
    "availability",
    "effectiveness",
    "quality_ratio",
    "target",
    "produced",
    "good",
    "scrap",
    "loss",
    "loss_ms",
];
pub(super) const ORDER: [&str; 11] =
    ["number", "material", "revision", "title", "unit", "state", "quantity", "good", "scrap", "rework", "due_ms"];
pub(super) const JOB: [&str; 15] = [
    "number",
    "order",
    "operation",
    "title",
    "equipment",
    "state",
    "substate",
    "quantity",
    "good",
    "scrap",
    "rework",
    "planned_start_ms",
    "planned_end_ms",
    "started_ms",
    "ended_ms",
];
pub(super) const ENTRY: [&str; 14] = [
    "number",
    "path",
    "kind",
    "text",
    "at_ms",
    "by",
    "pinned",
    "corrects",
    "corrected_by",
    "order",
    "job",
    "alarm",
    "maintenance",
    "machine",
];
pub(super) const HANDED_OVER: [&str; 9] =
    ["number", "path", "summary", "at_ms", "by", "state", "confirmed_at_ms", "confirmed_by", "note"];
pub(super) const LABOUR: [&str; 5] = ["path", "people", "attendance_ms", "working_ms", "worker_efficiency"];
pub(super) const MAINTAINED: [&str; 14] = [
    "number",
    "kind",
    "equipment",
    "title",
    "state",
    "priority",
    "work_ms",
    "started_ms",
    "ended_ms",
    "failed_ms",
    "restored_ms",
    "code",
    "cause",
    "remedy",
];

/// The most rows of each table. All together they stay below the values that a report may have.
const REASONS: usize = 500;
const CHILDREN: usize = 500;
const ORDERS: usize = 200;
const JOBS: usize = 500;
const ENTRIES: u32 = 500;
const HANDOVERS: u32 = 100;
const PLACES: usize = 500;
const MAINTENANCE: usize = 200;
/// The most spans of jobs, and of maintenance work, that are looked at.
const SPANS: u32 = 5_000;
const WORK: u32 = 5_000;
/// A hand-over of the shift is written so long after its end at the latest.
const HANDED_OVER_WITHIN: Duration = Duration::from_secs(4 * 3600);

/// A section, or why there is none.
type Section = Result<Map<String, Value>, Missing>;

/// Why a section is not there.
pub(super) enum Missing {
    /// It cannot be told; the report goes without it.
    Told(String),
    /// It may be told at the next try.
    Failed(NotDone),
}

impl From<andon_store::StoreError> for Missing {
    fn from(error: andon_store::StoreError) -> Self {
        Self::Failed(error.into())
    }
}

impl From<MesProblem> for Missing {
    fn from(problem: MesProblem) -> Self {
        match problem {
            MesProblem::Failed(text) => Self::Failed(NotDone::Failed(text)),
            problem => Self::Told(problem.to_string()),
        }
    }
}

impl From<NotDone> for Missing {
    fn from(problem: NotDone) -> Self {
        match problem {
            NotDone::Failed(text) => Self::Failed(NotDone::Failed(text)),
            problem => Self::Told(problem.to_string()),
        }
    }
}

impl From<OrdersProblem> for Missing {
    fn from(problem: OrdersProblem) -> Self {
        match problem {
            OrdersProblem::Failed(text) => Self::Failed(NotDone::Failed(text)),
            problem => Self::Told(problem.to_string()),
        }
    }
}

impl From<MaintenanceProblem> for Missing {
    fn from(problem: MaintenanceProblem) -> Self {
        match problem {
            MaintenanceProblem::Failed(text) => Self::Failed(NotDone::Failed(text)),
            problem => Self::Told(problem.to_string()),
        }
    }
}

impl Reports {
    /// The sections of a window, as far as it is over.
    pub(super) async fn window_sections(&self, of: &Of, now: Timestamp) -> Result<Map<String, Value>, NotDone> {
        let path = of.path.as_str();
        let until = of.to.min(now).max(of.from);
        let span = (of.from, until);
        let (orders, jobs) = match self.orders_and_jobs(path, span).await {
            Ok((orders, jobs)) => (Ok(orders), Ok(jobs)),
            Err(Missing::Failed(problem)) => return Err(problem),
            Err(Missing::Told(why)) => (Err(Missing::Told(why.clone())), Err(Missing::Told(why))),
        };
        let sections = [
            ("kpis", self.kpi_section(path, of.from, until).await),
            ("children", self.children_section(path, of.from, until).await),
            ("orders", orders),
            ("jobs", jobs),
            ("alarms", self.alarm_section(path, span).await.map_err(Missing::from)),
            ("logbook", self.logbook_section(path, span).await),
            ("handovers", self.handover_section(path, span, now).await),
            ("labour", self.labour_section(path, span).await),
            ("maintenance", self.maintenance_section(path, span).await),
        ];
        let mut all = Map::new();
        for (name, section) in sections {
            let section = match section {
                Ok(section) => section,
                Err(Missing::Told(why)) => [("missing".to_owned(), Value::String(why))].into_iter().collect(),
                Err(Missing::Failed(problem)) => return Err(problem),
            };
            all.insert(name.to_owned(), Value::Object(section));
        }
        Ok(all)
    }

    /// What the figures of a window come to now.
    pub(super) async fn kpis_of(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<Value, NotDone> {
        match self.kpi_section(path, from, to).await {
            Ok(section) => Ok(Value::Object(section)),
            Err(Missing::Told(why)) => Err(NotDone::Refused(why, "ask for another place".to_owned())),
            Err(Missing::Failed(problem)) => Err(problem),
        }
    }

    async fn kpi_section(&self, path: &str, from: Timestamp, to: Timestamp) -> Section {
        let mut answer = self.parts.mes.kpis(path.to_owned(), Window { from, to }).await?;
        // The longest come first.
        let truncated = answer.reasons.len() > REASONS;
        answer.reasons.truncate(REASONS);
        let names = ["from_ms", "to_ms", "machines", "times", "amounts", "kpis", "losses", "good_ms", "reasons"];
        let mut section = pick(&told(&answer)?, &names);
        section.insert("truncated".to_owned(), truncated.into());
        Ok(section)
    }

    async fn children_section(&self, path: &str, from: Timestamp, to: Timestamp) -> Section {
        let answer = self.parts.mes.children(path.to_owned(), Window { from, to }, vec![String::new()]).await?;
        let mut rows = Vec::new();
        for child in answer.children.iter().take(CHILDREN) {
            let view = told(child)?;
            let mut row = pick(&view, &CHILD);
            row.insert("loss".to_owned(), view["loss"]["id"].clone());
            row.insert("loss_ms".to_owned(), view["loss"]["ms"].clone());
            rows.push(Value::Object(row));
        }
        Ok(table(rows, answer.truncated || answer.children.len() > CHILDREN))
    }

    /// Orders with a job that stood at a machine in the window, and these jobs.
    async fn orders_and_jobs(
        &self,
        path: &str,
        (from, to): (Timestamp, Timestamp),
    ) -> Result<(Map<String, Value>, Map<String, Value>), Missing> {
        let (stood, mut cut) = self.jobs_that_stood(path, (from, to), (SPANS, JOBS)).await?;
        let (mut numbers, mut known) = (BTreeSet::new(), BTreeSet::new());
        for job in &stood {
            // An order names all of its jobs.
            if known.contains(job) {
                continue;
            }
            if let Some(stored) = self.parts.store.order_of_job(*job).await? {
                known.extend(stored.jobs.iter().map(|row| row.id));
                numbers.insert(stored.order.number);
            }
        }
        cut |= numbers.len() > ORDERS;
        let (mut orders, mut jobs) = (Vec::new(), Vec::new());
        for number in numbers.into_iter().take(ORDERS) {
            let order = self.parts.mes.order(number, Uuid::nil()).await?;
            orders.push(Value::Object(pick(&told(&order)?, &ORDER)));
            jobs.extend(job_rows(&order.jobs.iter().filter(|job| stood.contains(&job.id)).collect::<Vec<_>>())?);
        }
        Ok((table(orders, cut), table(jobs, cut)))
    }

    /// Jobs that stood at a machine on or below a path; of more than so many spans and jobs those that stood there last, and that there are
    /// more.
    pub(super) async fn jobs_that_stood(
        &self,
        path: &str,
        (from, to): (Timestamp, Timestamp),
        (most_spans, most_jobs): (u32, usize),
    ) -> Result<(BTreeSet<Uuid>, bool), Missing> {
        let branches = vec![path.to_owned()];
        let filter = SpanFilter { branches, limit: most_spans, newest_first: true, ..SpanFilter::of(from, to) };
        let spans = self.parts.store.job_spans(filter).await?;
        let mut cut = spans.len() >= usize::try_from(most_spans).unwrap_or(usize::MAX);
        let mut stood = BTreeSet::new();
        for span in spans {
            if stood.len() >= most_jobs && !stood.contains(&span.job) {
                cut = true;
                break;
            }
            stood.insert(span.job);
        }
        Ok((stood, cut))
    }

    async fn logbook_section(&self, path: &str, window: (Timestamp, Timestamp)) -> Section {
        let filter = EntryFilter { window, ..EntryFilter::of(vec![path.to_owned()], ENTRIES) };
        let page = self.parts.shift.entries(filter).await?;
        let mut rows = Vec::new();
        // Hand-overs have a section of their own; the oldest first, as one reads a book.
        for entry in page.entries.iter().rev().filter(|entry| !entry.handover) {
            rows.push(Value::Object(entry_row(entry)?));
        }
        Ok(table(rows, page.next.is_some()))
    }

    /// Hand-overs that were written in the window, and those of its shift that were written soon after it.
    async fn handover_section(&self, path: &str, (from, to): (Timestamp, Timestamp), now: Timestamp) -> Section {
        let until = to.plus(HANDED_OVER_WITHIN).min(now.plus(Duration::from_micros(1))).max(to);
        let filter = EntryFilter {
            kinds: vec![HANDOVER.to_owned()],
            window: (from, until),
            ..EntryFilter::of(vec![path.to_owned()], HANDOVERS)
        };
        let page = self.parts.shift.handovers(filter).await?;
        let is_of = |handover: &&HandoverView| {
            handover.at_ms < to.millis() || handover.shift.as_ref().is_some_and(|shift| shift.from_ms == from.millis())
        };
        let mut rows = Vec::new();
        for handover in page.handovers.iter().rev().filter(is_of) {
            let mut row = pick(&told(handover)?, &HANDED_OVER);
            row.insert("items".to_owned(), handover.items.len().into());
            rows.push(Value::Object(row));
        }
        Ok(table(rows, page.next.is_some()))
    }

    /// Sums of places; whoever is behind them is not told.
    async fn labour_section(&self, path: &str, window: (Timestamp, Timestamp)) -> Section {
        let answer = self.parts.shift.worked(path.to_owned(), window, Principal::SYSTEM).await?;
        let mut rows = Vec::new();
        for place in answer.places.iter().take(PLACES) {
            rows.push(Value::Object(pick(&told(place)?, &LABOUR)));
        }
        let mut section = table(rows, answer.truncated || answer.places.len() > PLACES);
        section.extend(pick(&told(&answer)?, &["people", "attendance_ms", "working_ms", "worker_efficiency"]));
        Ok(section)
    }

    /// Maintenance orders that somebody worked on in the window, with how long.
    async fn maintenance_section(&self, path: &str, (from, to): (Timestamp, Timestamp)) -> Section {
        let spans = self.parts.store.maintenance_work(path, from, to, WORK).await?;
        let mut cut = spans.len() >= usize::try_from(WORK).unwrap_or(usize::MAX);
        let mut worked: BTreeMap<Uuid, Duration> = BTreeMap::new();
        for span in &spans {
            let time = worked.entry(span.order).or_default();
            *time = time.saturating_add(within(span, from, to));
        }
        cut |= worked.len() > MAINTENANCE;
        let mut rows = Vec::new();
        for (order, time) in worked.into_iter().take(MAINTENANCE) {
            let Some(stored) = self.parts.store.maintenance_by_id(order).await? else { continue };
            let view = self.parts.maintenance.shown(&stored).await?;
            let mut row = pick(&told(&view)?, &MAINTAINED);
            row.insert("work_ms".to_owned(), u64::try_from(time.as_millis()).unwrap_or(u64::MAX).into());
            rows.push(Value::Object(row));
        }
        Ok(table(rows, cut))
    }
}

/// How much of a span of work lies in a window.
fn within(span: &WorkSpan, from: Timestamp, to: Timestamp) -> Duration {
    span.to.unwrap_or(to).min(to).since(span.from.max(from))
}

/// An entry of the logbook, with what it is about.
fn entry_row(entry: &EntryView) -> Result<Map<String, Value>, NotDone> {
    let view = told(entry)?;
    let mut row = pick(&view, &ENTRY);
    for name in ["order", "job", "alarm", "maintenance", "machine"] {
        row.insert(name.to_owned(), view["links"][name].clone());
    }
    Ok(row)
}

/// Jobs as rows.
pub(super) fn job_rows(jobs: &[&JobView]) -> Result<Vec<Value>, NotDone> {
    jobs.iter().map(|job| Ok(Value::Object(pick(&told(job)?, &JOB)))).collect()
}

/// Millionths as an amount.
pub(super) fn amount(millionths: i64) -> f64 {
    Quantity::from_millionths(millionths).to_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_of_maintenance_that_cannot_be_told_is_no_reason_to_make_no_report() {
        let (why, remedy) = ("as it is".to_owned(), "none".to_owned());
        let told = |problem: MaintenanceProblem| match Missing::from(problem) {
            Missing::Told(why) => Some(why),
            Missing::Failed(_) => None,
        };
        assert_eq!(told(MaintenanceProblem::Refused(why.clone(), remedy)).as_ref(), Some(&why));
        assert!(told(MaintenanceProblem::Unknown(why.clone())).is_some_and(|told| told.contains(&why)));
        assert_eq!(told(MaintenanceProblem::Failed(why)), None, "that is tried again");
    }
}
