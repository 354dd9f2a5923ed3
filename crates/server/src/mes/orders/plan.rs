//! The plan: what is on which equipment and when, and a better one.

use super::change::{Told, branch_of};
use super::show::SCHEDULED;
use super::{Manufacturing, is_below_one, job_of, order_of, refused, row_of};
use andon_api::ports::orders::{
    ClosedView, JobList, LaneView, LateView, OrdersProblem, PlacingView, ProposalView, ScheduleView, SetupView,
};
use andon_mes::element::Planned;
use andon_mes::master::MasterData;
use andon_mes::order::ledger::Content;
use andon_mes::order::plan::{Answer, PlannedJob, RULE, Unit, Unmet, Wanted, ask, end};
use andon_mes::order::{JobOrder, WorkOrder};
use andon_mes::schedule::{Bound, Cause, Effort, MOST_CLOSED, Span};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::event::{OrderChange, What};
use andon_store::orders::{
    EntryKind, JobFilter, JobRow, ListedJob, MOST_JOBS, MOST_ORDERS, OrderFilter, OrderRepository, OrderRow,
    OrderWrite, SpanFilter, StoredOrder,
};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;
use uuid::Uuid;

/// How far ahead calendars are looked at.
const AHEAD: Duration = Duration::from_secs(366 * 86_400);
/// How far back what a machine was last set up for is looked for.
const BACK: Duration = Duration::from_secs(7 * 86_400);
/// Operations × plans that are tried.
const WORK: usize = 2_000_000;
/// Plans that are tried, at least and at most.
const STEPS: (usize, usize) = (200, 20_000);
/// Operations × rounds in which the bound is found, and rounds at least and at most.
const BOUND_WORK: usize = 10_000;
const ROUNDS: (usize, usize) = (5, 200);
/// µs in an hour, as a number to divide by.
const HOUR_US: f64 = 3_600_000_000.0;

impl Manufacturing {
    /// When equipment does not work, in order of time.
    fn closed(master: &MasterData, path: &str, from: Timestamp, to: Timestamp) -> Vec<(Span, Planned)> {
        let calendar = master.machines.get(path).and_then(|machine| master.calendars.get(machine.calendar.as_ref()?));
        let Some(calendar) = calendar else { return Vec::new() };
        let planned = calendar.planned(from, to);
        let closed = planned.within(from, to).filter(|piece| *piece.value != Planned::Busy);
        closed.map(|piece| (Span { from: piece.from, to: piece.to }, *piece.value)).take(MOST_CLOSED).collect()
    }

    /// When work ends that begins at an instant, with pauses where the equipment is closed.
    pub(super) fn end_of(&self, path: &str, start: Timestamp, work: Duration) -> Timestamp {
        let closed = Self::closed(&self.master(), path, start, start.plus(AHEAD));
        end(start, work, &closed.into_iter().map(|(span, _)| span).collect::<Vec<_>>())
    }

    pub(super) async fn planned_over(
        &self,
        from: Timestamp,
        to: Timestamp,
        branches: Vec<String>,
        who: Uuid,
    ) -> Result<ScheduleView, OrdersProblem> {
        let _turn = self.turn.read().await;
        let rows = self.jobs_over(from, to, &branches).await?;
        let JobList { jobs, truncated } = self.list_of(rows, SCHEDULED, who).await?;
        let (master, view) = (self.master(), self.bus.plant());
        let lanes = master.machines.keys().filter(|path| is_below_one(path, &branches)).map(|path| {
            let closed = Self::closed(&master, path, from, to).into_iter().map(|(span, planned)| ClosedView {
                from_ms: span.from.millis(),
                to_ms: span.to.millis(),
                name: match planned {
                    Planned::Off | Planned::Busy => "off",
                    Planned::Break => "break",
                    Planned::Maintenance => "maintenance",
                }
                .to_owned(),
            });
            let setups =
                jobs.iter().filter(|job| job.setup_ms > 0 && job.equipment.as_ref() == Some(path)).filter_map(|job| {
                    let from_ms = job.started_ms.or(job.planned_start_ms)?;
                    Some(SetupView { from_ms, to_ms: from_ms.saturating_add(job.setup_ms), job: job.id })
                });
            let title =
                view.plant.equipment.iter().find(|item| item.path.as_str() == path).map(|item| item.title.clone());
            LaneView {
                path: path.clone(),
                title: title.filter(|title| !title.is_empty()).unwrap_or_else(|| path.clone()),
                closed: closed.collect(),
                setups: setups.collect(),
            }
        });
        let equipment = lanes.collect();
        Ok(ScheduleView { jobs, truncated, equipment })
    }

    /// Plans the open orders that lie on the branches with all their places; what others have planned on the same equipment stays.
    pub(super) async fn make_plan(
        &self,
        seed: u64,
        dry_run: bool,
        branches: &[String],
        by: Principal,
    ) -> Told<ProposalView> {
        let (orders, mut wanted, others) = {
            let _turn = self.turn.read().await;
            let orders = self.open_orders(branches).await?;
            let mut wanted = Vec::with_capacity(orders.len());
            for stored in &orders {
                let mut jobs = Vec::with_capacity(stored.jobs.len());
                for row in &stored.jobs {
                    jobs.push(self.with_counters(row).await?);
                }
                wanted.push(order_of(&stored.order, jobs));
            }
            let others = self.planned_by_others(&orders).await?;
            (orders, wanted, others)
        };
        let now = self.clock.now();
        let master = self.master();
        let units = self.units(&master, &places_of(&orders), now).await?;
        let foreign: HashSet<String> =
            others.iter().flat_map(|order| &order.jobs).map(|job| job.number.clone()).collect();
        wanted.extend(others);
        let families: Vec<String> = wanted.iter().map(|order| family_of(&master, order)).collect();
        // What is asked of a machine's time may take seconds.
        let planned = tokio::task::spawn_blocking(move || make(now, &units, &wanted, &families, seed)).await;
        let (answer, bound) =
            planned.map_err(|error| OrdersProblem::Failed(format!("the plan was not made: {error}")))??;
        let mut proposal = shape(&own_of(answer.clone(), &foreign), bound);
        let told = if dry_run { None } else { self.follow_plan(&orders, &answer, &by, &mut proposal).await? };
        Ok((proposal, told))
    }

    /// Orders of which a job has not ended, where all places are on or below the branches.
    async fn open_orders(&self, branches: &[String]) -> Result<Vec<StoredOrder>, OrdersProblem> {
        let states = ["Forecast", "Released", "Running"].map(str::to_owned).to_vec();
        let (branches, limit) = (branches.to_vec(), MOST_ORDERS);
        let mut filter = OrderFilter { states, branches: branches.clone(), limit, ..OrderFilter::default() };
        let mut all: Vec<StoredOrder> = Vec::new();
        loop {
            let page = self.store.orders(filter.clone()).await?;
            let inside = |stored: &StoredOrder| places(&stored.jobs).all(|path| is_below_one(path, &branches));
            all.extend(page.orders.into_iter().filter(inside));
            if all.len() > usize::try_from(MOST_JOBS).unwrap_or(usize::MAX) {
                let text = format!("more than {MOST_JOBS} orders are open, which cannot be planned at once");
                return Err(refused(text, "close or cancel orders that are no longer wanted"));
            }
            if page.next.is_none() {
                return Ok(all);
            }
            filter.after = page.next;
        }
    }

    /// What is in the way of a plan of these orders: jobs of others that stand or are planned on the same equipment, each as an order of
    /// its own that is pinned and never late.
    async fn planned_by_others(&self, orders: &[StoredOrder]) -> Result<Vec<WorkOrder>, OrdersProblem> {
        let own: HashSet<Uuid> = orders.iter().map(|stored| stored.order.id).collect();
        let mut found = Vec::new();
        for path in places_of(orders) {
            let filter = JobFilter { equipment: Some(path), limit: MOST_JOBS, ..JobFilter::default() };
            for ListedJob { job: row, .. } in self.store.jobs_to_make(filter).await? {
                let decided = row.stands || (row.equipment.is_some() && row.planned_start.is_some());
                if own.contains(&row.order) || !decided {
                    continue;
                }
                if let Some(stored) = self.store.order_of_job(row.id).await? {
                    found.push(stays(&stored.order, self.with_counters(&row).await?));
                }
            }
        }
        Ok(found)
    }

    /// The machines as they are planned on.
    async fn units(
        &self,
        master: &MasterData,
        places: &BTreeSet<String>,
        now: Timestamp,
    ) -> Result<Vec<Unit>, OrdersProblem> {
        let mut last: HashMap<String, Uuid> = HashMap::new();
        // By their ends: the last one of a unit is the last that is told.
        for span in self.spans(SpanFilter::of(now.minus(BACK), now)).await? {
            last.insert(span.unit, span.job);
        }
        let mut units = Vec::with_capacity(master.machines.len());
        for (path, machine) in master.machines.iter().filter(|(path, _)| places.contains(*path)) {
            let order = match last.get(path) {
                Some(job) => self.store.order_of_job(*job).await?,
                None => None,
            };
            let material = order.and_then(|stored| {
                let revision = stored.order.revision.clone().unwrap_or_default();
                master.material(&stored.order.material, Some(&revision)).cloned()
            });
            units.push(Unit {
                path: path.clone(),
                closed: Self::closed(master, path, now, now.plus(AHEAD)).into_iter().map(|(span, _)| span).collect(),
                set_to: material.map(|material| material.family.unwrap_or_default()),
                changeover: machine.changeover_default,
                changeovers: machine
                    .changeovers
                    .iter()
                    .map(|((from, to), takes)| (from.clone(), to.clone(), *takes))
                    .collect(),
            });
        }
        Ok(units)
    }

    /// Writes a plan down, order by order; what somebody changed meanwhile stays as it is and is told.
    async fn follow_plan(
        &self,
        orders: &[StoredOrder],
        answer: &Answer,
        by: &Principal,
        proposal: &mut ProposalView,
    ) -> Result<Option<Uuid>, OrdersProblem> {
        let changes: HashMap<Uuid, &PlannedJob> =
            answer.jobs.iter().filter(|job| job.changed && !job.fixed).map(|job| (job.job, job)).collect();
        let mut last = None;
        for stored in orders {
            // In a turn of its own: who begins or counts meanwhile does not wait for the whole plan.
            let _turn = self.turn.write().await;
            let now = self.clock.now();
            let (mut rows, mut entries, told) =
                (Vec::new(), Vec::new(), self.event(now, "", by, planned_event(stored)));
            for row in &stored.jobs {
                let Some(planned) = changes.get(&row.id) else { continue };
                let mut job = job_of(row)?;
                job.equipment = Some(planned.equipment.clone());
                job.planned = Some((planned.span.from, planned.span.to));
                rows.push(row_of(&job, stored.order.id, Some(row)));
                let (start_ms, end_ms) = (planned.span.from.millis(), planned.span.to.millis());
                let content =
                    Content::Plan { equipment: planned.equipment.clone(), start_ms, end_ms, pinned: job.pinned };
                entries.push(self.entry(row.id, now, EntryKind::Plan, &content, by, told.id)?);
            }
            if rows.is_empty() {
                continue;
            }
            let (id, branch) = (told.id, branch_of(&stored.jobs));
            let event = andon_model::event::Event { path: branch, ..told };
            let moved: BTreeSet<Uuid> = rows.iter().map(|row| row.id).collect();
            let write = OrderWrite { order: stored.order.clone(), jobs: rows, entries, events: vec![event] };
            match self.written(write, by.id).await {
                Ok(_) => last = Some(id),
                Err(OrdersProblem::Conflict { .. }) => {
                    proposal.changes.retain(|change| !moved.contains(&change.job));
                    proposal.unmet.push(format!(
                        "order {} was changed meanwhile and stays as it is; plan again",
                        stored.order.number
                    ));
                }
                Err(other) => return Err(other),
            }
        }
        Ok(last)
    }
}

/// Where jobs are or can be done.
fn places(jobs: &[JobRow]) -> impl Iterator<Item = &String> {
    jobs.iter().filter(|job| job.open).flat_map(|job| job.alternatives.iter().chain(&job.equipment))
}

fn places_of(orders: &[StoredOrder]) -> BTreeSet<String> {
    orders.iter().flat_map(|stored| places(&stored.jobs)).cloned().collect()
}

/// A job of somebody else's order as what stays where it is.
fn stays(order: &OrderRow, job: JobOrder) -> WorkOrder {
    let job = JobOrder { pinned: true, after: Vec::new(), ..job };
    WorkOrder { due: None, ..order_of(order, vec![job]) }
}

/// What of a plan is told to whom it was made for: nothing of other people's jobs.
fn own_of(mut answer: Answer, foreign: &HashSet<String>) -> Answer {
    answer.jobs.retain(|job| !foreign.contains(&job.number));
    answer.unmet.retain(|unmet| !foreign.contains(unmet.job()));
    for unmet in &mut answer.unmet {
        if let Unmet::Overlap { with, .. } = unmet
            && foreign.contains(with)
        {
            "a job of another order".clone_into(with);
        }
    }
    answer
}

fn planned_event(stored: &StoredOrder) -> What {
    What::Order(OrderChange {
        order: stored.order.id,
        number: stored.order.number.clone(),
        action: "planned".to_owned(),
        state: stored.order.state.clone(),
        detail: None,
    })
}

fn family_of(master: &MasterData, order: &WorkOrder) -> String {
    let material = master.material(&order.material, Some(order.revision.as_deref().unwrap_or_default()));
    material.and_then(|material| material.family.clone()).unwrap_or_default()
}

/// Makes the plan, with as much work as fits into some seconds.
fn make(
    now: Timestamp,
    units: &[Unit],
    orders: &[WorkOrder],
    families: &[String],
    seed: u64,
) -> Result<(Answer, Bound), OrdersProblem> {
    let wanted: Vec<Wanted<'_>> = orders.iter().zip(families).map(|(order, family)| Wanted { order, family }).collect();
    let asked = ask(now, units, &wanted);
    let problem = asked
        .problem()
        .map_err(|error| refused(error, "close or cancel orders that are no longer wanted, or plan fewer machines"))?;
    let operations: usize = asked.request.jobs.iter().map(|job| job.operations.len()).sum::<usize>().max(1);
    let steps = (WORK / operations).clamp(STEPS.0, STEPS.1);
    let rounds = (BOUND_WORK / operations).clamp(ROUNDS.0, ROUNDS.1);
    let plan = problem.plan(Effort { steps: u32::try_from(steps).unwrap_or(u32::MAX), seed });
    let bound = problem.bound(&plan, u32::try_from(rounds).unwrap_or(u32::MAX));
    Ok((asked.answer(&plan), bound))
}

const fn cause_word(cause: Cause) -> &'static str {
    match cause {
        Cause::Work => "work",
        Cause::Release => "release",
        Cause::Material => "material",
        Cause::Calendar => "calendar",
        Cause::Pin => "pin",
        Cause::Changeover => "changeover",
        Cause::Capacity => "capacity",
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown")]
fn hours(us: u128) -> f64 {
    us as f64 / HOUR_US
}

fn shape(answer: &Answer, bound: Bound) -> ProposalView {
    let (lateness, least) = (hours(answer.objective.weighted_tardiness_us), hours(bound.weighted_tardiness_us));
    let gap = if least > 0.0 {
        Some((lateness - least) / least)
    } else if lateness > 0.0 {
        None
    } else {
        Some(0.0)
    };
    let changed = answer.jobs.iter().filter(|job| job.changed && !job.fixed);
    ProposalView {
        rule: RULE.to_owned(),
        lateness_weighted_h: lateness,
        bound_weighted_h: least,
        gap,
        changes: changed
            .map(|job| PlacingView {
                job: job.job,
                equipment: job.equipment.clone(),
                planned_start_ms: job.span.from.millis(),
                planned_end_ms: job.span.to.millis(),
            })
            .collect(),
        late: answer
            .late
            .iter()
            .map(|late| LateView {
                order: late.order.clone(),
                by_ms: i64::try_from(late.by.as_millis()).unwrap_or(i64::MAX),
                cause: cause_word(late.cause).to_owned(),
            })
            .collect(),
        unmet: answer.unmet.iter().map(ToString::to_string).collect(),
    }
}
