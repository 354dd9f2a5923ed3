//! What a report of an order tells: the order, its jobs, what was scrap and why, what went in, and its units with their certificates.

use super::sections::{amount, job_rows};
use super::{Of, Reports, pick, table, told};
use crate::erp::uses;
use crate::mes::branch_of;
use crate::trace::units_of;
use andon_api::ports::NotDone;
use andon_api::ports::orders::{Orders as _, OrdersProblem};
use andon_api::ports::trace::OrderUnitView;
use andon_model::Timestamp;
use andon_store::orders::OrderRepository as _;
use andon_store::trace::PAGE_MAX;
use serde_json::{Map, Value, json};
use uuid::Uuid;

/// What is told of an order itself.
const ORDER: [&str; 14] = [
    "number",
    "material",
    "revision",
    "title",
    "unit",
    "quantity",
    "good",
    "scrap",
    "rework",
    "state",
    "due_ms",
    "priority",
    "created_ms",
    "source",
];
/// What of it tells whether a report is out of date.
pub(super) const FIGURES: [&str; 5] = ["quantity", "good", "scrap", "rework", "state"];
/// Rows of the tables.
pub(super) const COUNT: [&str; 6] = ["job", "at_ms", "scrap", "rework", "reason", "by"];
pub(super) const CONSUMED: [&str; 4] = ["job", "material", "number", "quantity"];
pub(super) const UNIT: [&str; 5] = ["number", "state", "made_ms", "certificate", "sha256"];
/// The most rows of each. All together they stay below the values that a report may have.
const JOBS: usize = 200;
const COUNTS: usize = 1_000;
const CONSUMPTIONS: usize = 1_000;
const UNITS: usize = 10_000;
/// The most entries of a job's ledger that are looked at.
const ENTRIES: u32 = 10_000;

impl Reports {
    /// An order, from when it was made until now, at the branch that holds all places where its jobs are or can be done.
    pub(super) async fn of_order(&self, number: String, now: Timestamp) -> Result<Of, NotDone> {
        let stored = self.parts.store.order(&number).await?;
        let stored = stored.ok_or_else(|| NotDone::Unknown(format!("work order {number}")))?;
        let (path, from) = (branch_of(&stored.jobs), stored.order.created);
        Ok(Of { kind: "order", path, order: number, shift: None, from, to: now.max(from) })
    }

    pub(super) async fn order_sections(&self, number: &str, now: Timestamp) -> Result<Map<String, Value>, NotDone> {
        let order = self.parts.mes.order(number.to_owned(), Uuid::nil()).await.map_err(unreadable)?;
        let view = told(&order)?;
        let mut of = pick(&view, &ORDER);
        of.insert("note".to_owned(), view["note"].clone());
        let (counts, counts_cut) = self.counts(&order.jobs).await?;
        let (consumed, consumed_cut) = self.consumption(number, now).await?;
        let (units, units_cut) = self.units(order.jobs.iter().map(|job| job.id).collect()).await?;
        let jobs = job_rows(&order.jobs.iter().take(JOBS).collect::<Vec<_>>())?;
        Ok([
            ("order", of),
            ("jobs", table(jobs, order.jobs.len() > JOBS)),
            ("counts", table(counts, counts_cut)),
            ("consumption", table(consumed, consumed_cut)),
            ("units", table(units, units_cut)),
        ]
        .into_iter()
        .map(|(name, section)| (name.to_owned(), Value::Object(section)))
        .collect())
    }

    /// What the figures of an order come to now.
    pub(super) async fn order_now(&self, number: &str) -> Result<Value, NotDone> {
        told(&self.parts.mes.order(number.to_owned(), Uuid::nil()).await.map_err(unreadable)?)
    }

    /// What people counted as scrap or rework, job by job in order of time.
    async fn counts(&self, jobs: &[andon_api::ports::orders::JobView]) -> Result<(Vec<Value>, bool), NotDone> {
        let (mut rows, mut cut) = (Vec::new(), false);
        for job in jobs {
            let page = self.parts.mes.ledger(job.id, None, ENTRIES).await.map_err(unreadable)?;
            cut |= page.next.is_some();
            for entry in page.entries.iter().filter(|entry| entry.kind == "count") {
                if entry.scrap == 0.0 && entry.rework == 0.0 {
                    continue;
                }
                let mut row = pick(&told(entry)?, &COUNT);
                row.insert("job".to_owned(), job.number.clone().into());
                rows.push(Value::Object(row));
            }
        }
        cut |= rows.len() > COUNTS;
        rows.truncate(COUNTS);
        Ok((rows, cut))
    }

    /// What went into the units of each job, where units are traced.
    async fn consumption(&self, number: &str, now: Timestamp) -> Result<(Vec<Value>, bool), NotDone> {
        let Some((_, jobs)) = self.parts.mes.counted(number).await.map_err(unreadable)? else {
            return Ok((Vec::new(), false));
        };
        let mut used = uses(&self.parts.store, &jobs, now).await.map_err(unreadable)?;
        let (mut rows, mut cut) = (Vec::new(), false);
        for job in jobs {
            let used = used.remove(&job.id).unwrap_or_default();
            cut |= used.len() >= usize::try_from(PAGE_MAX).unwrap_or(usize::MAX);
            let row = |used: andon_store::trace::JobUse| json!({ "job": job.number, "material": used.material, "number": used.number, "quantity": amount(used.quantity) });
            rows.extend(used.into_iter().map(row));
        }
        cut |= rows.len() > CONSUMPTIONS;
        rows.truncate(CONSUMPTIONS);
        Ok((rows, cut))
    }

    /// Units that were made under the order, the newest first.
    async fn units(&self, jobs: Vec<Uuid>) -> Result<(Vec<Value>, bool), NotDone> {
        let (mut rows, mut before) = (Vec::new(), None);
        loop {
            let page = units_of(&self.parts.store, jobs.clone(), before, PAGE_MAX).await;
            let page = page.map_err(|problem| NotDone::Failed(problem.to_string()))?;
            rows.extend(page.units.into_iter().map(unit));
            before = page.next;
            if before.is_none() || rows.len() >= UNITS {
                let cut = before.is_some() || rows.len() > UNITS;
                rows.truncate(UNITS);
                return Ok((rows, cut));
            }
        }
    }
}

fn unit(unit: OrderUnitView) -> Value {
    let (certificate, sha256) = unit.certificate.map(|holding| (holding.number, holding.sha256)).unzip();
    json!({ "number": unit.number, "state": unit.state, "made_ms": unit.made_ms, "certificate": certificate, "sha256": sha256 })
}

fn unreadable(problem: OrdersProblem) -> NotDone {
    match problem {
        OrdersProblem::Unknown(what) => NotDone::Unknown(what),
        problem => NotDone::Failed(problem.to_string()),
    }
}
