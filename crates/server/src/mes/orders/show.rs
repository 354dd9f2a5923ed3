//! What is there: orders and jobs as they are shown, with what counters counted.

use super::{Manufacturing, counts_of, is_below_one, job_of, jobs_of};
use andon_api::ports::orders::{
    Current, JobInstructionView, JobView, LedgerView, OrderView, OrdersPage, OrdersProblem, OrdersQuery, StandingView,
};
use andon_mes::floor::NodeId;
use andon_mes::job::{JobState, Trigger};
use andon_mes::order::begin::{Seen, unseen};
use andon_mes::order::ledger::Content;
use andon_mes::order::{JobOrder, Totals, made, may_words, word};
use andon_mes::quantity::Quantity;
use andon_mes::sums::Amounts;
use andon_model::Timestamp;
use andon_store::StoreError;
use andon_store::orders::{
    Counted, EntryKind, JobFilter, JobRow, LedgerEntry, MOST_ENTRIES, MOST_JOBS, OrderFilter, OrderRepository,
    OrderRow, StoredOrder,
};
use std::collections::HashMap;
use uuid::Uuid;

/// The most jobs of a dispatch list.
const LISTED: u32 = 1_000;

impl Manufacturing {
    pub(super) async fn stored(&self, number: &str) -> Result<StoredOrder, OrdersProblem> {
        self.store.order(number).await?.ok_or_else(|| OrdersProblem::Unknown(format!("work order {number}")))
    }

    pub(super) async fn stored_of(&self, job: Uuid) -> Result<StoredOrder, OrdersProblem> {
        self.store.order_of_job(job).await?.ok_or_else(|| OrdersProblem::Unknown("this job order".to_owned()))
    }

    pub(super) async fn page(&self, query: OrdersQuery, who: Uuid) -> Result<OrdersPage, OrdersProblem> {
        let OrdersQuery { states, branches, branch, text, after, limit } = query;
        let _turn = self.turn.read().await;
        let page = self.store.orders(OrderFilter { states, branches, branch, text, after, limit }).await?;
        let mut orders = Vec::with_capacity(page.orders.len());
        for stored in &page.orders {
            orders.push(self.order_view(stored, who).await?);
        }
        Ok(OrdersPage { orders, next: page.next })
    }

    pub(super) async fn to_make(
        &self,
        equipment: Option<String>,
        states: Vec<String>,
        branches: Vec<String>,
        who: Uuid,
    ) -> Result<Vec<JobView>, OrdersProblem> {
        let _turn = self.turn.read().await;
        let rows = self.store.jobs_to_make(JobFilter { equipment, states, branches, limit: LISTED }).await?;
        self.views_of(rows, who).await
    }

    /// Jobs of whatever orders. In turn, as all below.
    pub(super) async fn views_of(&self, rows: Vec<JobRow>, who: Uuid) -> Result<Vec<JobView>, OrdersProblem> {
        // The number of the order is the number of the job up to the operation's name.
        let mut views = Vec::with_capacity(rows.len());
        for row in rows {
            let order = row.number.strip_suffix(&row.operation).and_then(|number| number.strip_suffix('/'));
            let order = order.unwrap_or(&row.number).to_owned();
            let job = self.with_counters(&row).await?;
            views.push(self.view(&order, &row, &job, who).await?);
        }
        Ok(views)
    }

    pub(super) async fn order_view(&self, stored: &StoredOrder, who: Uuid) -> Result<OrderView, OrdersProblem> {
        let mut jobs = Vec::with_capacity(stored.jobs.len());
        for row in &stored.jobs {
            jobs.push(self.with_counters(row).await?);
        }
        let mut views = Vec::with_capacity(jobs.len());
        for (row, job) in stored.jobs.iter().zip(&jobs) {
            views.push(self.view(&stored.order.number, row, job, who).await?);
        }
        Ok(order_view(&stored.order, made(&jobs), views))
    }

    pub(super) async fn job_view(&self, stored: &StoredOrder, id: Uuid, who: Uuid) -> Result<JobView, OrdersProblem> {
        let row = row_in(stored, id)?;
        let job = self.with_counters(row).await?;
        self.view(&stored.order.number, row, &job, who).await
    }

    async fn view(&self, order: &str, row: &JobRow, job: &JobOrder, who: Uuid) -> Result<JobView, OrdersProblem> {
        let in_force = self.state().instructions(&job.instructions);
        let seen = if in_force.is_empty() { Vec::new() } else { self.seen_of(job.id).await? };
        let missing = unseen(&in_force, &seen, who);
        let instructions = in_force.into_iter().map(|instruction| JobInstructionView {
            seen: !missing.contains(&instruction),
            name: instruction.name,
            revision: instruction.revision,
            sha256: instruction.sha256,
        });
        let (state, substate) = job.state.words();
        let ms = |at: Option<Timestamp>| at.map(Timestamp::millis);
        Ok(JobView {
            id: job.id,
            number: job.number.clone(),
            order: order.to_owned(),
            operation: job.operation.clone(),
            title: job.title.clone(),
            equipment: job.equipment.clone(),
            alternatives: job.alternatives.clone(),
            quantity: job.quantity.to_f64(),
            good: job.totals.good.to_f64(),
            scrap: job.totals.scrap.to_f64(),
            rework: job.totals.rework.to_f64(),
            state: state.to_owned(),
            substate: substate.map(str::to_owned),
            planned_start_ms: ms(row.planned_start),
            planned_end_ms: ms(row.planned_end),
            started_ms: ms(row.started),
            ended_ms: ms(row.ended),
            run_time_ms: run_time_ms(job),
            setup_ms: i64::try_from(job.setup.as_millis()).unwrap_or(i64::MAX),
            after: job.after.clone(),
            skills: job.skills.clone(),
            instructions: instructions.collect(),
            version: row.version,
            may: may_words(job.state).into_iter().map(str::to_owned).collect(),
        })
    }

    /// A job whose totals are what people and counters counted.
    pub(super) async fn with_counters(&self, row: &JobRow) -> Result<JobOrder, OrdersProblem> {
        let mut job = job_of(row)?;
        let counted = self.by_counters(row).await?;
        let [good, scrap, rework] = [counted.good, counted.scrap, counted.rework].map(Quantity::from_millionths);
        let Totals { good: g, scrap: s, rework: r } = job.totals;
        job.totals = Totals { good: g + good, scrap: s + scrap, rework: r + rework };
        Ok(job)
    }

    /// What a unit's counters counted while a job stood on it: what the floor has of that time, less what people counted there then.
    async fn by_counters(&self, row: &JobRow) -> Result<Counted, StoreError> {
        if row.started.is_none() {
            return Ok(Counted::default());
        }
        if let Some(found) = self.orders.of(row.id) {
            return Ok(found);
        }
        let (now, kept_until) = (self.clock.now(), self.state().follower.floor().kept_until());
        let mut sum = Counted::default();
        let mut is_kept = row.ended.is_some();
        for span in self.store.spans_of_job(row.id).await? {
            let to = span.to.unwrap_or(now).min(now);
            is_kept &= span.to.is_some_and(|to| to <= kept_until);
            if to <= span.from {
                continue;
            }
            let counted = self.counted_on(&span.unit, span.from, to).await?;
            let people = self.store.unit_counted(&span.unit, span.from, to).await?;
            // Below zero: people counted where no machine was followed then.
            sum.good += (counted.good.millionths() - people.good).max(0);
            sum.scrap += (counted.scrap.millionths() - people.scrap).max(0);
            sum.rework += (counted.rework.millionths() - people.rework).max(0);
        }
        if is_kept {
            self.orders.remember(row.id, sum);
        }
        Ok(sum)
    }

    /// All that was counted on a unit over a window that is over.
    async fn counted_on(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<Amounts, StoreError> {
        let Some(node) = self.state().nodes.get(path).copied() else { return Ok(Amounts::default()) };
        let question = self.state().follower.floor().question(node, from, to, to);
        let mut sum = self.amounts_of_slots(node, &question.kept.slots).await?;
        for edge in &question.kept.edges {
            for hour in self.kept_hours_of(vec![node.0], *edge).await? {
                let within = hour.recorded.counts.iter().filter(|count| edge.from <= count.at && count.at < edge.to);
                sum = within.fold(sum, |sum, count| sum + count.amounts());
            }
        }
        let state = self.state();
        let counts_as = state.counts_as();
        let here = state.follower.floor().answer(&question, &counts_as, andon_mes::rollup::Totals::default());
        Ok(sum + here.sums.amounts)
    }

    async fn amounts_of_slots(&self, node: NodeId, slots: &[andon_mes::rollup::Slot]) -> Result<Amounts, StoreError> {
        let totals = self.slots(node, slots).await?;
        Ok(totals.values().fold(Amounts::default(), |sum, totals| sum + totals.sums.amounts))
    }

    /// The whole ledger of a job.
    pub(super) async fn ledger_of(&self, job: Uuid) -> Result<Vec<LedgerEntry>, StoreError> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.store.job_ledger(job, after, MOST_ENTRIES).await?;
            let full = page.len() >= usize::try_from(MOST_ENTRIES).unwrap_or(usize::MAX);
            after = page.last().map_or(after, |entry| entry.number);
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    /// What was confirmed for a job.
    pub(super) async fn seen_of(&self, job: Uuid) -> Result<Vec<Seen>, StoreError> {
        let entries = self.ledger_of(job).await?.into_iter().filter(|entry| entry.entry.kind == EntryKind::Seen);
        let seen = entries.filter_map(|entry| match serde_json::from_value(entry.entry.content) {
            Ok(Content::Seen { instruction, sha256, .. }) => Some(Seen { instruction, sha256, by: entry.entry.by }),
            _ => None,
        });
        Ok(seen.collect())
    }

    pub(super) async fn entries(&self, job: Uuid) -> Result<Vec<LedgerView>, OrdersProblem> {
        Ok(self.ledger_of(job).await?.iter().map(ledger_view).collect())
    }

    /// What stands on equipment, for a refusal.
    pub(super) async fn standing_on(&self, path: &str) -> Result<Option<(Uuid, StandingView)>, OrdersProblem> {
        let Some(span) = self.store.jobs_standing(Some(path)).await?.into_iter().next() else { return Ok(None) };
        let stored = self.stored_of(span.job).await?;
        let number = row_in(&stored, span.job)?.number.clone();
        Ok(Some((span.job, StandingView { number, equipment: span.unit, since: span.from, by: span.by })))
    }

    /// A refusal for somebody was faster, with the job as it is now.
    pub(super) async fn overtaken(
        &self,
        stored: &StoredOrder,
        job: Uuid,
        who: Uuid,
    ) -> Result<OrdersProblem, OrdersProblem> {
        let view = self.job_view(stored, job, who).await?;
        let standing = match &view.equipment {
            Some(path) => self.standing_on(path).await?.filter(|(id, _)| *id == job).map(|(_, standing)| standing),
            None => None,
        };
        let state = JobState::from_words(&view.state, view.substate.as_deref())
            .map_or_else(|| view.state.clone(), |state| state.to_string());
        let text = format!("the job {} was changed meanwhile: it is {state}", view.number);
        let remedy = "look at it as it is now, then decide again".to_owned();
        Ok(OrdersProblem::Conflict {
            text,
            remedy,
            current: Some(Current::Job(Box::new(view))),
            standing: standing.map(Box::new),
        })
    }

    /// All orders of which a job has not ended.
    pub(super) async fn open_orders(&self, branches: Vec<String>) -> Result<Vec<StoredOrder>, StoreError> {
        let states = ["Forecast", "Released", "Running"].map(str::to_owned).to_vec();
        let (mut all, mut after) = (Vec::new(), None);
        loop {
            let filter = OrderFilter {
                states: states.clone(),
                branches: branches.clone(),
                after,
                limit: 500,
                ..OrderFilter::default()
            };
            let page = self.store.orders(filter).await?;
            all.extend(page.orders);
            after = page.next;
            // More cannot be planned at once in any case.
            if after.is_none() || all.len() > usize::try_from(MOST_JOBS).unwrap_or(usize::MAX) {
                return Ok(all);
            }
        }
    }

    /// Puts what a person counted on the floor.
    pub(super) fn count_on_floor(&self, path: Option<&str>, at: Timestamp, counted: Counted) {
        let mut state = self.state();
        let Some(unit) = path.and_then(|path| state.units.get(path)).copied() else { return };
        for count in counts_of(at, counted) {
            // It is not late: its time was read in this turn.
            let _ = state.follower.floor_mut().count(unit, count);
        }
    }

    pub(super) async fn jobs_over(
        &self,
        from: Timestamp,
        to: Timestamp,
        branches: &[String],
    ) -> Result<Vec<(String, JobRow)>, StoreError> {
        let now = self.clock.now();
        let mut found: HashMap<Uuid, (String, JobRow)> = HashMap::new();
        for stored in self.open_orders(branches.to_vec()).await? {
            for row in stored.jobs {
                let planned =
                    row.planned_start.zip(row.planned_end).is_some_and(|(start, end)| start < to && from < end);
                let stands = row.stands && row.started.is_some_and(|started| started < to) && from < now;
                if row.open && (planned || stands) {
                    found.insert(row.id, (stored.order.number.clone(), row));
                }
            }
        }
        for span in self.store.job_spans(None, from, to, LISTED).await? {
            if found.contains_key(&span.job) || !is_below_one(&span.unit, branches) {
                continue;
            }
            if let Some(stored) = self.store.order_of_job(span.job).await? {
                let number = stored.order.number;
                found.extend(
                    stored.jobs.into_iter().filter(|row| row.id == span.job).map(|row| (row.id, (number.clone(), row))),
                );
            }
        }
        let mut all: Vec<_> = found.into_values().collect();
        all.sort_by(|(_, a), (_, b)| (a.planned_start, &a.number).cmp(&(b.planned_start, &b.number)));
        Ok(all)
    }

    pub(super) async fn views_in(&self, rows: Vec<(String, JobRow)>, who: Uuid) -> Result<Vec<JobView>, OrdersProblem> {
        let mut views = Vec::with_capacity(rows.len());
        for (order, row) in &rows {
            let job = self.with_counters(row).await?;
            views.push(self.view(order, row, &job, who).await?);
        }
        Ok(views)
    }
}

pub(super) fn row_in(stored: &StoredOrder, id: Uuid) -> Result<&JobRow, OrdersProblem> {
    stored.jobs.iter().find(|row| row.id == id).ok_or_else(|| OrdersProblem::Unknown("this job order".to_owned()))
}

/// What an order is in by its jobs.
pub(super) fn state_of(stored: &StoredOrder) -> Result<&'static str, OrdersProblem> {
    Ok(andon_mes::order::state_of(jobs_of(stored)?.iter().map(|job| job.state)).word())
}

fn order_view(order: &OrderRow, made: Totals, jobs: Vec<JobView>) -> OrderView {
    OrderView {
        id: order.id,
        number: order.number.clone(),
        material: order.material.clone(),
        revision: order.revision.clone(),
        title: order.title.clone(),
        unit: order.unit.clone(),
        quantity: Quantity::from_millionths(order.quantity).to_f64(),
        due_ms: order.due.map(Timestamp::millis),
        priority: order.priority,
        state: order.state.clone(),
        good: made.good.to_f64(),
        scrap: made.scrap.to_f64(),
        rework: made.rework.to_f64(),
        jobs,
        created_ms: order.created.millis(),
        source: order.source.clone(),
        note: order.note.clone(),
        version: order.version,
    }
}

/// For the whole job, as planned.
pub(super) fn run_time_ms(job: &JobOrder) -> i64 {
    let nanos = i128::from(job.run_time_ns) * i128::from(job.quantity.millionths()) / 1_000_000;
    i64::try_from(nanos / 1_000_000).unwrap_or(i64::MAX)
}

fn ledger_view(entry: &LedgerEntry) -> LedgerView {
    let amount = |millionths| Quantity::from_millionths(millionths).to_f64();
    let mut view = LedgerView {
        at_ms: entry.entry.at.millis(),
        kind: String::new(),
        state: None,
        substate: None,
        reason: None,
        good: amount(entry.entry.good),
        scrap: amount(entry.entry.scrap),
        rework: amount(entry.entry.rework),
        instruction: None,
        equipment: entry.equipment.clone(),
        planned_start_ms: None,
        by: entry.entry.by,
    };
    let kind = match serde_json::from_value::<Content>(entry.entry.content.clone()) {
        Ok(Content::Trigger { trigger, reason, .. }) => {
            (view.state, view.substate, view.reason) = (Some(entry.state.clone()), entry.substate.clone(), reason);
            deed(trigger)
        }
        Ok(Content::Count { reason, .. }) => {
            view.reason = reason;
            "count"
        }
        Ok(Content::Seen { instruction, revision, .. }) => {
            let shown = if revision.is_empty() { instruction } else { format!("{instruction}, {revision}") };
            view.instruction = Some(shown);
            "seen"
        }
        Ok(Content::Plan { equipment, start_ms, .. }) => {
            (view.equipment, view.planned_start_ms) = (Some(equipment), Some(start_ms));
            "plan"
        }
        Ok(Content::Change { .. }) => "change",
        Err(_) => match entry.entry.kind {
            EntryKind::Count => "count",
            EntryKind::Seen => "seen",
            EntryKind::Plan => "plan",
            EntryKind::Trigger | EntryKind::Change => "change",
        },
    };
    kind.clone_into(&mut view.kind);
    view
}

/// The word for a trigger in a ledger. That the cause of an interruption is another is told as a pause.
const fn deed(trigger: Trigger) -> &'static str {
    match (trigger, word(trigger)) {
        (Trigger::Start, _) => "release",
        (Trigger::RevokeStart, _) => "revoke",
        (Trigger::Attribute(_), _) => "pause",
        (_, Some(word)) => word,
        (_, None) => "change",
    }
}
