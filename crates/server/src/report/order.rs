//! What a report of an order tells: the order, its jobs, what was scrap and why, what went in, and its units with their certificates.

use super::sections::{amount, job_rows};
use super::{Of, Reports, pick, table, told};
use crate::trace::units_of;
use andon_api::ports::NotDone;
use andon_api::ports::orders::{Orders as _, OrdersProblem};
use andon_api::ports::trace::OrderUnitView;
use andon_model::Timestamp;
use andon_store::orders::OrderRepository as _;
use andon_store::trace::{PAGE_MAX, TraceRepository as _};
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
    pub(super) async fn of_order(&self, number: String) -> Result<Of, NotDone> {
        let stored = self.parts.store.order(&number).await?;
        let stored = stored.ok_or_else(|| NotDone::Unknown(format!("work order {number}")))?;
        let places = stored.jobs.iter().flat_map(|job| job.alternatives.iter().chain(&job.equipment));
        let path = common(places.map(String::as_str));
        let from = stored.order.created;
        Ok(Of { kind: "order", path, order: number, shift: None, from, to: self.now().max(from) })
    }

    pub(super) async fn order_sections(&self, number: &str, now: Timestamp) -> Result<Map<String, Value>, NotDone> {
        let order = self.parts.mes.order(number.to_owned(), Uuid::nil()).await.map_err(unreadable)?;
        let view = told(&order)?;
        let mut of = pick(&view, &ORDER);
        of.insert("note".to_owned(), view["note"].clone());
        let (counts, counts_cut) = self.counts(&order.jobs).await?;
        let (consumed, consumed_cut) = self.consumption(&order.jobs, now).await?;
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
    async fn consumption(
        &self,
        jobs: &[andon_api::ports::orders::JobView],
        now: Timestamp,
    ) -> Result<(Vec<Value>, bool), NotDone> {
        let (mut rows, mut cut) = (Vec::new(), false);
        for job in jobs {
            let (Some(path), Some(started)) = (&job.equipment, job.started_ms) else { continue };
            let ended = job.ended_ms.map_or(now, Timestamp::from_millis);
            // Times of the API are cut to the millisecond.
            let until = ended.plus(std::time::Duration::from_millis(1));
            let from = Timestamp::from_millis(started);
            let used = self.parts.store.trace_used_for(job.id, path.clone(), from, until).await?;
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

/// The longest path at or below which all of these are; empty: the whole tree.
fn common<'p>(mut paths: impl Iterator<Item = &'p str>) -> String {
    let Some(first) = paths.next() else { return String::new() };
    let mut names: Vec<&str> = first.split('/').collect();
    for path in paths {
        let same = names.iter().zip(path.split('/')).take_while(|(a, b)| *a == b).count();
        names.truncate(same);
    }
    names.join("/")
}

fn unreadable(problem: OrdersProblem) -> NotDone {
    match problem {
        OrdersProblem::Unknown(what) => NotDone::Unknown(what),
        problem => NotDone::Failed(problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::common;

    #[test]
    fn a_branch_holds_all_places_and_no_part_of_a_name() {
        assert_eq!(common(["works/line/press", "works/line/oven"].into_iter()), "works/line");
        assert_eq!(common(["works/line1", "works/line2"].into_iter()), "works");
        assert_eq!(common(["works/line", "works/line/oven"].into_iter()), "works/line");
        assert_eq!(common(["a/b", "c/b"].into_iter()), "");
        assert_eq!(common([].into_iter()), "");
    }
}
