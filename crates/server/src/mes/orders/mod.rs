//! Work orders and job orders on a running node, and what they are on the floor.
//!
//! [`change`] takes people's wishes, [`show`] tells what is there, [`plan`] plans. What may happen is decided in `andon-mes`, what is kept
//! stands in the store. Here both meet the floor: a job that begins comes onto its unit there, one that ends leaves it, an interrupted one
//! stays (that time is delay).
//!
//! # One turn
//! A change looks, writes and tells the floor in one turn ([`Manufacturing::turn`]), in which no hour is kept. Its time is read in the turn
//! and is not before what is kept ([`Manufacturing::time_on`]). So every hour that is kept holds all jobs and counts of its time, and those
//! after it are in the store: after a start they are put on the floor again from there ([`Manufacturing::restored`]), whether the node
//! stopped or was killed between the store and the floor.
//!
//! # What is counted twice, and what is not
//! - People's counts stand in the ledger and are put on the floor at the instant at which they were given, so that KPIs have them. Those
//!   before [`andon_mes::floor::Floor::kept_until`] come back with the kept hours, those from it on with the ledger: none with both.
//! - A job's totals are its row in the store, which is the sum of its people's counts, and what the unit's counters counted while it stood
//!   there ([`Manufacturing::by_counters`]): all that the floor has of that time but for people's counts, which are marked
//!   ([`Count::by_person`]). So no count of a person is in it a second time.
//! - What people count of a job after its end counts for the KPIs of the time at which they say it.
//! - Whoever books what a counter counts as well counts it twice: on a unit that counts good items, people count what it does not know.
//!
//! Start reading at [`change`].

mod change;
mod plan;
mod show;

pub(crate) use change::branch_of;
#[cfg(test)]
mod tests;

use super::{Manufacturing, State};
use andon_api::ports::orders::{
    Changed, CountWish, Current, InstructionView, JobList, JobView, LedgerPage, MaterialView, OrderAction, OrderPatch,
    OrderView, OrderWish, Orders, OrdersPage, OrdersProblem, PlaceWish, ProposalView, ScheduleView, SeenWish,
    SkillView, StepView, TriggerWish,
};
use andon_bus::ids::new_id;
use andon_mes::floor::UnitId;
use andon_mes::job::JobState;
use andon_mes::master::Body;
use andon_mes::order::{JobOrder, Totals, WorkOrder};
use andon_mes::quantity::Quantity;
use andon_mes::unit::{Count, Job, JobId, Made, UnitLog};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::event::{Event, UserChange, What};
use andon_model::path::is_under;
use andon_store::StoreError;
use andon_store::orders::{
    Counted, JobRow, JobSpan, MOST_ENTRIES, OrderFilter, OrderRepository, OrderRow, PersonSkill, SpanFilter,
    StoredOrder, UnitCount,
};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long the answer waits for the event to be in the records lane.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

/// What the floor has to hear of a unit again after a start: jobs and people's counts from the last kept hour on.
#[derive(Default)]
pub(super) struct Restored {
    spans: Vec<JobSpan>,
    counts: Vec<UnitCount>,
}

impl Restored {
    /// Puts it into the log of a unit that ends with the last kept hour.
    pub(super) fn into_log(self, log: &mut UnitLog, kept_until: Timestamp) {
        // Whatever the hour before ended with: what stands there now is told by the spans alone.
        let mut at = kept_until;
        let mut says = |when: Timestamp, job: Option<Job>| {
            at = at.max(when);
            // Not before what was said before it.
            let _ = log.job(at, job);
        };
        says(kept_until, None);
        for span in self.spans {
            says(span.from, Some(job_on(span.ordinal, span.run_time_ns)));
            if let Some(to) = span.to {
                says(to, None);
            }
        }
        for UnitCount { at, counted, .. } in self.counts {
            counts_of(at, counted).for_each(|count| log.count(count));
        }
    }
}

/// A job as the floor has it.
const fn job_on(ordinal: u64, run_time_ns: u64) -> Job {
    Job { id: JobId(ordinal), planned_run_time_per_item_ns: Some(run_time_ns) }
}

/// What a person counted, as counts of the floor.
fn counts_of(at: Timestamp, counted: Counted) -> impl Iterator<Item = Count> {
    let all = [(Made::Good, counted.good), (Made::Scrap, counted.scrap), (Made::Rework, counted.rework)];
    let some = all.into_iter().filter(|(_, amount)| *amount != 0);
    some.map(move |(made, amount)| Count { at, made, quantity: Quantity::from_millionths(amount), by_person: true })
}

impl Manufacturing {
    /// What the floor has to hear again of these units.
    pub(super) async fn restored(
        &self,
        units: &[(UnitId, String)],
        kept_until: Timestamp,
    ) -> Result<HashMap<UnitId, Restored>, StoreError> {
        let mut all = HashMap::new();
        for (unit, path) in units {
            let mut restored = Restored::default();
            let end = Timestamp::from_micros(i64::MAX);
            let mut spans =
                self.spans(SpanFilter { unit: Some(path.clone()), ..SpanFilter::of(kept_until, end) }).await?;
            spans.sort_by_key(|span| (span.from, span.to.is_none(), span.to));
            restored.spans = spans;
            let (mut from, mut after) = (kept_until, 0);
            loop {
                let page = self.store.unit_counts(path, from, after).await?;
                let full = page.len() >= usize::try_from(MOST_ENTRIES).unwrap_or(usize::MAX);
                if let Some(last) = page.last() {
                    (from, after) = (last.at, last.number);
                }
                restored.counts.extend(page);
                if !full {
                    break;
                }
            }
            all.insert(*unit, restored);
        }
        Ok(all)
    }

    /// All spans of a window, page by page.
    pub(crate) async fn spans(&self, mut filter: SpanFilter) -> Result<Vec<JobSpan>, StoreError> {
        let mut all = Vec::new();
        loop {
            let page = self.store.job_spans(filter.clone()).await?;
            let full = page.len() >= usize::try_from(filter.limit).unwrap_or(usize::MAX);
            filter.after = page.last().cloned();
            all.extend(page);
            if !full {
                return Ok(all);
            }
        }
    }

    /// Now, for something that happens on a unit: in turn. A clock that was set back does not lead into what is kept.
    fn time_on(&self, path: Option<&str>) -> Timestamp {
        let state = self.state();
        let floor = state.follower.floor();
        let unit = path.and_then(|path| state.units.get(path));
        let margin = unit
            .and_then(|unit| floor.settings_of(*unit))
            .map_or(Duration::ZERO, |settings| settings.rules.minor_stop_under);
        self.clock.now().max(floor.kept_until().plus(margin.max(Duration::from_micros(1))))
    }

    /// Now, for something that happens to a job on a unit: not before the last one came there or left, also where the clock was set back,
    /// for what a machine counts is one job's.
    async fn job_time_on(&self, path: Option<&str>) -> Result<Timestamp, StoreError> {
        let now = self.time_on(path);
        let Some(path) = path else { return Ok(now) };
        Ok(self.store.unit_last(path).await?.map_or(now, |last| now.max(last)))
    }

    /// Tells the floor what stands on a unit from an instant on; nothing, where no machine is followed there.
    fn tell_floor(&self, path: &str, at: Timestamp, job: Option<Job>) {
        let mut state = self.state();
        let Some(unit) = state.units.get(path).copied() else { return };
        let floor = state.follower.floor_mut();
        // It is not late: its time is not before that of the last job there.
        let _ = floor.job(unit, at, job);
    }

    /// The event that tells of something.
    fn event(&self, at: Timestamp, path: &str, by: &Principal, what: What) -> Event {
        Event { id: new_id(&*self.clock), at, source_at: None, path: path.to_owned(), by: by.clone(), what }
    }

    /// Makes a change to its end, whoever waits for it, and waits for its event; whether there is one: something was done.
    async fn made<T, F>(&self, change: impl FnOnce(Arc<Self>) -> F) -> Result<(T, bool), OrdersProblem>
    where
        T: Send + 'static,
        F: Future<Output = change::Told<T>> + Send + 'static,
    {
        let (view, told) = self.to_the_end(change, OrdersProblem::Failed).await?;
        self.recorded(told).await?;
        Ok((view, told.is_some()))
    }

    /// Waits for what was told to be in the records lane.
    async fn recorded(&self, event: Option<Uuid>) -> Result<(), OrdersProblem> {
        if let Some(event) = event {
            self.store.relay_now(event, RECORDED_WITHIN).await?;
        }
        Ok(())
    }
}

/// A job of the store as the rules have it. Its totals are what people counted.
fn job_of(row: &JobRow) -> Result<JobOrder, OrdersProblem> {
    let state = JobState::from_words(&row.state, row.substate.as_deref()).ok_or_else(|| {
        OrdersProblem::Failed(format!(
            "the job {} is {} {:?}, which this version does not know",
            row.number, row.state, row.substate
        ))
    })?;
    let [good, scrap, rework] = [row.good, row.scrap, row.rework].map(Quantity::from_millionths);
    Ok(JobOrder {
        id: row.id,
        number: row.number.clone(),
        operation: row.operation.clone(),
        title: row.title.clone(),
        state,
        alternatives: row.alternatives.clone(),
        equipment: row.equipment.clone(),
        quantity: Quantity::from_millionths(row.quantity),
        totals: Totals { good, scrap, rework },
        run_time_ns: row.run_time_ns,
        setup: row.setup,
        planned: row.planned_start.zip(row.planned_end),
        pinned: row.pinned,
        started: row.started,
        ended: row.ended,
        after: row.after.clone(),
        skills: row.skills.clone(),
        instructions: row.instructions.clone(),
    })
}

fn jobs_of(stored: &StoredOrder) -> Result<Vec<JobOrder>, OrdersProblem> {
    stored.jobs.iter().map(job_of).collect()
}

/// A job as the store has it. What only the store says is taken from the row that was read.
fn row_of(job: &JobOrder, order: Uuid, was: Option<&JobRow>) -> JobRow {
    let (state, substate) = job.state.words();
    JobRow {
        id: job.id,
        ordinal: was.map_or(0, |was| was.ordinal),
        order,
        number: job.number.clone(),
        operation: job.operation.clone(),
        title: job.title.clone(),
        equipment: job.equipment.clone(),
        alternatives: job.alternatives.clone(),
        quantity: job.quantity.millionths(),
        good: job.totals.good.millionths(),
        scrap: job.totals.scrap.millionths(),
        rework: job.totals.rework.millionths(),
        state: state.to_owned(),
        substate: substate.map(str::to_owned),
        open: job.is_open(),
        stands: job.state.is_under_way(),
        planned_start: job.planned.map(|(from, _)| from),
        planned_end: job.planned.map(|(_, to)| to),
        pinned: job.pinned,
        started: job.started,
        ended: job.ended,
        run_time_ns: job.run_time_ns,
        setup: job.setup,
        after: job.after.clone(),
        skills: job.skills.clone(),
        instructions: job.instructions.clone(),
        version: was.map_or(0, |was| was.version),
    }
}

fn order_of(row: &OrderRow, jobs: Vec<JobOrder>) -> WorkOrder {
    WorkOrder {
        id: row.id,
        number: row.number.clone(),
        material: row.material.clone(),
        revision: row.revision.clone(),
        quantity: Quantity::from_millionths(row.quantity),
        due: row.due,
        priority: row.priority,
        jobs,
    }
}

fn refused(text: impl ToString, remedy: &str) -> OrdersProblem {
    OrdersProblem::Refused(text.to_string(), remedy.to_owned())
}

fn conflict(text: impl ToString, remedy: &str, current: Option<Current>) -> OrdersProblem {
    OrdersProblem::Conflict { text: text.to_string(), remedy: remedy.to_owned(), current, standing: None }
}

/// Whether a path lies on or below one of the branches.
fn is_below_one(path: &str, branches: &[String]) -> bool {
    branches.iter().any(|branch| is_under(path, branch))
}

impl State {
    /// Instructions of these names that are in force. One that the plant has no more is asked of nobody.
    pub(super) fn instructions(&self, names: &[String]) -> Vec<andon_mes::order::begin::Instruction> {
        let named = names.iter().filter_map(|name| self.master.instruction_named(name));
        let in_force = |instruction: &andon_mes::master::Instruction| andon_mes::order::begin::Instruction {
            name: instruction.name.clone(),
            revision: instruction.revision.clone().unwrap_or_default(),
            sha256: instruction.sha256.to_string(),
        };
        named.map(in_force).collect()
    }
}

impl Orders for Manufacturing {
    fn orders(&self, filter: OrderFilter, who: Uuid) -> Changed<'_, OrdersPage> {
        Box::pin(self.page(filter, who))
    }

    fn order(&self, number: String, who: Uuid) -> Changed<'_, OrderView> {
        Box::pin(async move {
            let _turn = self.turn.read().await;
            let stored = self.stored(&number).await?;
            self.order_view(&stored, who).await
        })
    }

    fn places(&self, material: &str, revision: Option<&str>) -> Result<Vec<String>, OrdersProblem> {
        let master = self.state().master.clone();
        let material = change::made_of(&master, material, revision)?;
        let mut places: Vec<String> =
            material.operations.iter().flat_map(|operation| operation.equipment.clone()).collect();
        places.sort_unstable();
        places.dedup();
        Ok(places)
    }

    fn make(&self, wish: OrderWish, by: Principal) -> Changed<'_, (bool, OrderView)> {
        Box::pin(async move {
            let (view, told) = self.made(|own| async move { own.make_in_turn(wish, by).await }).await?;
            Ok((told, view))
        })
    }

    fn change(&self, number: String, patch: OrderPatch, by: Principal) -> Changed<'_, OrderView> {
        Box::pin(
            async move { Ok(self.made(|own| async move { own.change_in_turn(number, patch, by).await }).await?.0) },
        )
    }

    fn act(
        &self,
        number: String,
        action: OrderAction,
        version: u64,
        reason: Option<String>,
        by: Principal,
    ) -> Changed<'_, OrderView> {
        Box::pin(async move {
            let act = |own: Arc<Self>| async move { own.act_in_turn(number, action, version, reason, by).await };
            Ok(self.made(act).await?.0)
        })
    }

    fn jobs(
        &self,
        equipment: Option<String>,
        states: Vec<String>,
        branches: Vec<String>,
        who: Uuid,
    ) -> Changed<'_, JobList> {
        Box::pin(self.to_make(equipment, states, branches, who))
    }

    fn job(&self, job: Uuid, who: Uuid) -> Changed<'_, JobView> {
        Box::pin(async move {
            let _turn = self.turn.read().await;
            let stored = self.stored_of(job).await?;
            self.job_view(&stored, job, who).await
        })
    }

    fn trigger(&self, job: Uuid, wish: TriggerWish, by: Principal) -> Changed<'_, JobView> {
        Box::pin(async move { Ok(self.made(|own| async move { own.trigger_in_turn(job, wish, by).await }).await?.0) })
    }

    fn count(&self, job: Uuid, wish: CountWish, by: Principal) -> Changed<'_, JobView> {
        Box::pin(async move { Ok(self.made(|own| async move { own.count_in_turn(job, wish, by).await }).await?.0) })
    }

    fn seen(&self, job: Uuid, wish: SeenWish, by: Principal) -> Changed<'_, ()> {
        Box::pin(async move { self.made(|own| async move { own.seen_in_turn(job, wish, by).await }).await.map(drop) })
    }

    fn place(&self, job: Uuid, wish: PlaceWish, by: Principal) -> Changed<'_, JobView> {
        Box::pin(async move { Ok(self.made(|own| async move { own.place_in_turn(job, wish, by).await }).await?.0) })
    }

    fn ledger(&self, job: Uuid, before: Option<u64>, limit: u32) -> Changed<'_, LedgerPage> {
        Box::pin(self.entries(job, before, limit))
    }

    fn materials(&self) -> Vec<MaterialView> {
        let master = self.state().master.clone();
        let view = |material: &andon_mes::master::Material| MaterialView {
            name: material.name.clone(),
            revision: material.revision.clone(),
            title: material.title.clone(),
            unit: material.unit.clone(),
            operations: material.operations.len(),
        };
        master.materials.values().map(view).collect()
    }

    fn instruction(&self, name: &str, revision: Option<&str>) -> Option<InstructionView> {
        let master = self.state().master.clone();
        let found = master.instruction(name, revision)?;
        let (text, steps) = match &found.body {
            Body::Text(text) => (Some(text.clone()), Vec::new()),
            Body::Steps(steps) => (
                None,
                steps.iter().map(|step| StepView { title: step.title.clone(), text: step.text.clone() }).collect(),
            ),
        };
        Some(InstructionView {
            name: found.name.clone(),
            revision: found.revision.clone().unwrap_or_default(),
            title: found.title.clone(),
            sha256: found.sha256.to_string(),
            text,
            steps,
        })
    }

    fn schedule(&self, from: Timestamp, to: Timestamp, branches: Vec<String>, who: Uuid) -> Changed<'_, ScheduleView> {
        Box::pin(self.planned_over(from, to, branches, who))
    }

    fn plan(&self, seed: u64, dry_run: bool, branches: Vec<String>, by: Principal) -> Changed<'_, ProposalView> {
        Box::pin(async move {
            let plan = |own: Arc<Self>| async move { own.make_plan(seed, dry_run, &branches, by).await };
            Ok(self.made(plan).await?.0)
        })
    }

    fn skills(&self) -> Vec<SkillView> {
        let master = self.state().master.clone();
        let view = |(name, skill): (&String, &andon_mes::master::Skill)| SkillView {
            name: name.clone(),
            title: skill.title.clone(),
            description: skill.description.clone(),
        };
        master.skills.iter().map(view).collect()
    }

    fn held(&self, person: Option<Uuid>) -> Changed<'_, Vec<PersonSkill>> {
        Box::pin(async move { Ok(self.store.person_skills(person).await?) })
    }

    fn qualify(&self, held: PersonSkill, by: Principal) -> Changed<'_, ()> {
        Box::pin(async move {
            if !self.state().master.skills.contains_key(&held.skill) {
                let remedy = "choose one of /api/mes/skills, or add a [[skill]] to the plant model";
                return Err(refused(format!("there is no skill {:?}", held.skill), remedy));
            }
            let until = held.until.map_or_else(|| "without end".to_owned(), |until| format!("until {until}"));
            let what = skill_event("skill_given", held.person, format!("{}, {until}", held.skill));
            let event = self.event(self.clock.now(), "", &by, what);
            let told = event.id;
            self.store.person_skill_put(held, event).await.map_err(of_person)?;
            self.recorded(Some(told)).await
        })
    }

    fn disqualify(&self, person: Uuid, skill: String, by: Principal) -> Changed<'_, ()> {
        Box::pin(async move {
            let event = self.event(self.clock.now(), "", &by, skill_event("skill_taken", person, skill.clone()));
            let told = event.id;
            self.store.person_skill_remove(person, &skill, event).await.map_err(of_person)?;
            self.recorded(Some(told)).await
        })
    }
}

fn skill_event(action: &str, person: Uuid, detail: String) -> What {
    What::User(UserChange { action: action.to_owned(), subject: Some(person), from: None, detail: Some(detail) })
}

fn of_person(error: StoreError) -> OrdersProblem {
    match error {
        StoreError::Missing { what, .. } => OrdersProblem::Unknown(format!("this {what}")),
        other => other.into(),
    }
}
