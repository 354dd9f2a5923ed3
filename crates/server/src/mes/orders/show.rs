//! What is there: orders and jobs as they are shown, with what counters counted.

use super::{Manufacturing, counts_of, job_of};
use andon_api::ports::orders::{
    Current, JobInstructionView, JobList, JobView, LedgerPage, LedgerView, OrderView, OrdersPage, OrdersProblem,
    Standing,
};
use andon_mes::job::{JobState, Trigger};
use andon_mes::order::begin::{Seen, unseen};
use andon_mes::order::ledger::Content;
use andon_mes::order::{JobOrder, Totals, made, may_words, word};
use andon_mes::quantity::Quantity;
use andon_mes::sums::{Amounts, Sums};
use andon_model::Timestamp;
use andon_store::StoreError;
use andon_store::orders::{
    Counted, EntryKind, JobFilter, JobRow, LedgerEntry, ListedJob, MOST_JOBS, OrderFilter, OrderRepository, OrderRow,
    SpanFilter, StoredOrder,
};
use std::collections::HashMap;
use uuid::Uuid;

/// The most jobs of a dispatch list.
const LISTED: u32 = 1_000;
/// The most jobs of a schedule.
pub(super) const SCHEDULED: u32 = MOST_JOBS;
/// How many spans are read at once.
const SPANS: u32 = 1_000;

impl Manufacturing {
    pub(super) async fn stored(&self, number: &str) -> Result<StoredOrder, OrdersProblem> {
        self.store.order(number).await?.ok_or_else(|| OrdersProblem::Unknown(format!("work order {number}")))
    }

    pub(super) async fn stored_of(&self, job: Uuid) -> Result<StoredOrder, OrdersProblem> {
        self.store.order_of_job(job).await?.ok_or_else(|| OrdersProblem::Unknown("this job order".to_owned()))
    }

    /// An order with its jobs, whose totals are what people and counters counted; `None`: there is none of that number.
    pub(crate) async fn counted(&self, number: &str) -> Result<Option<(OrderRow, Vec<JobOrder>)>, OrdersProblem> {
        let _turn = self.turn.read().await;
        let stored = self.store.order(number).await?;
        self.with_totals(stored).await
    }

    /// The same, of the order that has a job.
    pub(crate) async fn counted_of_job(&self, job: Uuid) -> Result<Option<(OrderRow, Vec<JobOrder>)>, OrdersProblem> {
        let _turn = self.turn.read().await;
        let stored = self.store.order_of_job(job).await?;
        self.with_totals(stored).await
    }

    async fn with_totals(
        &self,
        stored: Option<StoredOrder>,
    ) -> Result<Option<(OrderRow, Vec<JobOrder>)>, OrdersProblem> {
        let Some(StoredOrder { order, jobs: rows }) = stored else { return Ok(None) };
        let mut jobs = Vec::with_capacity(rows.len());
        for row in &rows {
            jobs.push(self.with_counters(row).await?);
        }
        Ok(Some((order, jobs)))
    }

    pub(super) async fn page(&self, filter: OrderFilter, who: Uuid) -> Result<OrdersPage, OrdersProblem> {
        let _turn = self.turn.read().await;
        let page = self.store.orders(filter).await?;
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
    ) -> Result<JobList, OrdersProblem> {
        let _turn = self.turn.read().await;
        let filter = JobFilter { equipment, states, branches, limit: LISTED + 1, ..JobFilter::default() };
        self.list_of(self.store.jobs_to_make(filter).await?, LISTED, who).await
    }

    /// The first ones of a list that may be longer than is told.
    pub(super) async fn list_of(
        &self,
        mut listed: Vec<ListedJob>,
        most: u32,
        who: Uuid,
    ) -> Result<JobList, OrdersProblem> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let truncated = listed.len() > most;
        listed.truncate(most);
        Ok(JobList { jobs: self.views_of(listed, who).await?, truncated })
    }

    /// Jobs of whatever orders. In turn, as all below.
    pub(super) async fn views_of(&self, listed: Vec<ListedJob>, who: Uuid) -> Result<Vec<JobView>, OrdersProblem> {
        let mut views = Vec::with_capacity(listed.len());
        for ListedJob { order, job: row } in listed {
            let (job, doubt) = self.counted_up(&row).await?;
            views.push(self.view(&order, &row, &job, doubt, who).await?);
        }
        Ok(views)
    }

    pub(super) async fn order_view(&self, stored: &StoredOrder, who: Uuid) -> Result<OrderView, OrdersProblem> {
        let (mut jobs, mut views) = (Vec::with_capacity(stored.jobs.len()), Vec::with_capacity(stored.jobs.len()));
        for row in &stored.jobs {
            let (job, doubt) = self.counted_up(row).await?;
            views.push(self.view(&stored.order.number, row, &job, doubt, who).await?);
            jobs.push(job);
        }
        Ok(order_view(&stored.order, made(&jobs), views))
    }

    pub(super) async fn job_view(&self, stored: &StoredOrder, id: Uuid, who: Uuid) -> Result<JobView, OrdersProblem> {
        let row = row_in(stored, id)?;
        let (job, doubt) = self.counted_up(row).await?;
        self.view(&stored.order.number, row, &job, doubt, who).await
    }

    async fn view(
        &self,
        order: &str,
        row: &JobRow,
        job: &JobOrder,
        doubt: Option<String>,
        who: Uuid,
    ) -> Result<JobView, OrdersProblem> {
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
            warnings: doubt.into_iter().collect(),
        })
    }

    /// A job whose totals are what people and counters counted.
    pub(super) async fn with_counters(&self, row: &JobRow) -> Result<JobOrder, OrdersProblem> {
        Ok(self.counted_up(row).await?.0)
    }

    /// A job whose totals are what people and counters counted. Where an hour of its unit is damaged, they are what people counted, which
    /// is told: a list of jobs does not fail for one of them.
    async fn counted_up(&self, row: &JobRow) -> Result<(JobOrder, Option<String>), OrdersProblem> {
        let mut job = job_of(row)?;
        let counted = match self.by_counters(row).await {
            Ok(counted) => counted,
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(job = job.number, %error, "what counters counted of a job cannot be added up");
                return Ok((job, Some(format!("what counters counted is not in its amounts: {error}"))));
            }
            Err(error) => return Err(error.into()),
        };
        let Totals { good, scrap, rework } = job.totals;
        job.totals =
            Totals { good: good + counted.good, scrap: scrap + counted.scrap, rework: rework + counted.rework };
        Ok((job, None))
    }

    /// What a unit's counters counted while a job stood on it.
    async fn by_counters(&self, row: &JobRow) -> Result<Amounts, StoreError> {
        if row.started.is_none() {
            return Ok(Amounts::default());
        }
        if let Some(found) = self.orders.of(&row.id) {
            return Ok(found);
        }
        let (now, kept_until) = (self.clock.now(), self.state().follower.floor().kept_until());
        let mut sum = Amounts::default();
        let mut is_kept = row.ended.is_some();
        for span in self.store.spans_of_job(row.id).await? {
            let to = span.to.unwrap_or(now).min(now);
            is_kept &= span.to.is_some_and(|to| to <= kept_until);
            if span.from < to {
                sum = sum + self.counters_on(&span.unit, span.from, to).await?;
            }
        }
        if is_kept {
            self.orders.remember(row.id, sum);
        }
        Ok(sum)
    }

    /// What counters counted on a unit over a window that is over.
    async fn counters_on(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<Amounts, StoreError> {
        let Some(node) = self.state().nodes.get(path).copied() else { return Ok(Amounts::default()) };
        let question = self.state().follower.floor().question(node, from, to, to);
        let mut sum = Sums::ZERO;
        for totals in self.slots(node, &question.kept.slots).await?.values() {
            sum += totals.sums;
        }
        for edge in &question.kept.edges {
            for hour in self.kept_hours_of(vec![node.0], *edge).await? {
                let within = hour.recorded.counts.iter().filter(|count| edge.from <= count.at && count.at < edge.to);
                within.for_each(|count| sum += count.sums(None));
            }
        }
        let state = self.state();
        let here = state.follower.floor().answer(&question, &state.counts_as(), andon_mes::rollup::Totals::default());
        Ok((sum + here.sums).by_counters())
    }

    /// What was confirmed for a job.
    pub(super) async fn seen_of(&self, job: Uuid) -> Result<Vec<Seen>, StoreError> {
        let entries = self.store.job_seen(job).await?.into_iter();
        let seen = entries.filter_map(|entry| match serde_json::from_value(entry.entry.content) {
            Ok(Content::Seen { instruction, sha256, .. }) => Some(Seen { instruction, sha256, by: entry.entry.by }),
            _ => None,
        });
        Ok(seen.collect())
    }

    pub(super) async fn entries(
        &self,
        job: Uuid,
        before: Option<u64>,
        limit: u32,
    ) -> Result<LedgerPage, OrdersProblem> {
        let entries = self.store.job_ledger(job, before, limit).await?;
        let full = entries.len() >= usize::try_from(limit).unwrap_or(usize::MAX);
        let next = entries.first().filter(|_| full).map(|first| first.number);
        Ok(LedgerPage { entries: entries.iter().map(ledger_view).collect(), next })
    }

    /// What stands on equipment, for a refusal.
    pub(super) async fn standing_on(&self, path: &str) -> Result<Option<Standing>, OrdersProblem> {
        let Some(span) = self.store.jobs_standing(Some(path)).await?.into_iter().next() else { return Ok(None) };
        let stored = self.stored_of(span.job).await?;
        let number = row_in(&stored, span.job)?.number.clone();
        Ok(Some(Standing { number, span }))
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
            Some(path) => self.standing_on(path).await?.filter(|standing| standing.span.job == job),
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

    /// Puts what a person counted on the floor.
    pub(super) fn count_on_floor(&self, path: Option<&str>, at: Timestamp, counted: Counted) {
        let mut state = self.state();
        let Some(unit) = path.and_then(|path| state.units.get(path)).copied() else { return };
        for count in counts_of(at, counted) {
            // It is not late: its time was read in this turn.
            let _ = state.follower.floor_mut().count(unit, count);
        }
    }

    /// Jobs that are planned in a window, or that stand or stood on equipment in it, by when they are planned: of more than
    /// [`SCHEDULED`] as many and some more.
    pub(super) async fn jobs_over(
        &self,
        from: Timestamp,
        to: Timestamp,
        branches: &[String],
    ) -> Result<Vec<ListedJob>, StoreError> {
        let open = JobFilter { branches: branches.to_vec(), limit: MOST_JOBS, ..JobFilter::default() };
        let mut found: HashMap<Uuid, ListedJob> = HashMap::new();
        // What stands there now stands there until now, and not in the time to come.
        if from <= self.clock.now() {
            let states = ["Running", "Interrupted"].map(str::to_owned).to_vec();
            let stands = self.store.jobs_to_make(JobFilter { states, ..open.clone() }).await?;
            let stands = stands.into_iter().filter(|listed| listed.job.started.is_some_and(|started| started < to));
            found.extend(stands.map(|listed| (listed.job.id, listed)));
        }
        let planned = self.store.jobs_to_make(JobFilter { planned: Some((from, to)), ..open }).await?;
        found.extend(planned.into_iter().map(|listed| (listed.job.id, listed)));
        let mut stood = SpanFilter { branches: branches.to_vec(), limit: SPANS, ..SpanFilter::of(from, to) };
        let most = usize::try_from(SCHEDULED).unwrap_or(usize::MAX);
        while found.len() <= most && from <= self.clock.now() {
            let page = self.store.job_spans(stood.clone()).await?;
            for span in &page {
                if let Some(listed) = self.listed(span.job, &found).await? {
                    found.insert(span.job, listed);
                }
            }
            if page.len() < usize::try_from(SPANS).unwrap_or(usize::MAX) {
                break;
            }
            stood.after = page.last().cloned();
        }
        let mut all: Vec<_> = found.into_values().collect();
        all.sort_by(|a, b| (a.job.planned_start, &a.job.number).cmp(&(b.job.planned_start, &b.job.number)));
        Ok(all)
    }

    /// A job with its order's number, unless it was found already.
    async fn listed(&self, id: Uuid, found: &HashMap<Uuid, ListedJob>) -> Result<Option<ListedJob>, StoreError> {
        if found.contains_key(&id) {
            return Ok(None);
        }
        let Some(stored) = self.store.order_of_job(id).await? else { return Ok(None) };
        let order = stored.order.number;
        Ok(stored.jobs.into_iter().find(|row| row.id == id).map(|job| ListedJob { order, job }))
    }
}

pub(super) fn row_in(stored: &StoredOrder, id: Uuid) -> Result<&JobRow, OrdersProblem> {
    stored.jobs.iter().find(|row| row.id == id).ok_or_else(|| OrdersProblem::Unknown("this job order".to_owned()))
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

/// The word for a trigger in a ledger.
const fn deed(trigger: Trigger) -> &'static str {
    match (trigger, word(trigger)) {
        (Trigger::Start, _) => "release",
        (Trigger::RevokeStart, _) => "revoke",
        (_, Some(word)) => word,
        (_, None) => "change",
    }
}
