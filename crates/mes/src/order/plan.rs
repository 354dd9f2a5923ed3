//! From open jobs, equipment and calendars to a request of [`crate::schedule`], and from its plan back to jobs with planned times.
//!
//! What runs stays where it is and takes as long as what is left of it; what a person has put somewhere stays there. All else is planned
//! anew. What cannot be met is told ([`Unmet`], [`LateOrder`]), and the rest is planned all the same.
//!
//! # What it takes for granted
//! - The jobs of an order follow each other in their list, also those that could be done side by side.
//! - A job and a changeover may stop while the equipment is closed, and go on after it.
//! - Good, scrap and rework alike have taken their time: what is left is what was wanted less all of them.
//! - A job's own setup time comes before its first item, besides the changeover between families.

use super::{JobOrder, WorkOrder};
use crate::quantity::Quantity;
use crate::schedule::{
    Alternative, Breach, Cause, Changeovers, Equipment, EquipmentId, FamilyId, Job, LONGEST, Objective, Operation,
    OperationId, Pin, Placed, Plan, Problem, ProblemError, Request, Span, check,
};
use crate::unit::JobId;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;
use uuid::Uuid;

/// By which rule it is planned, as people are told.
pub const RULE: &str = "least lateness × priority; then least changeover time; then the earliest end";

/// A work unit that jobs are planned on.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Unit {
    /// Its path.
    pub path: String,
    /// When it does not work, in any order, from the calendar as far as the plan may reach.
    pub closed: Vec<Span>,
    /// The family that it is set up for; `None`: nobody knows.
    pub set_to: Option<String>,
    /// How long it takes from a family to another of which nothing is said below.
    pub changeover: Duration,
    /// From a family to another.
    pub changeovers: Vec<(String, String, Duration)>,
}

/// An order that is to be planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Wanted<'a> {
    /// The order, with its jobs.
    pub order: &'a WorkOrder,
    /// Its material's family.
    pub family: &'a str,
}

/// A job in the plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedJob {
    /// The job.
    pub job: Uuid,
    /// Its number.
    pub number: String,
    /// Where.
    pub equipment: String,
    /// When it begins and ends. Of one that runs: when it began, and when it will have ended.
    pub span: Span,
    /// The changeover before it, if it needs one.
    pub changeover: Option<Span>,
    /// It runs, or a person has put it there.
    pub fixed: bool,
    /// It is planned otherwise than before.
    pub changed: bool,
}

/// An order that will be late.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LateOrder {
    /// Its number.
    pub order: String,
    /// After its due date.
    pub by: Duration,
    /// Why.
    pub cause: Cause,
}

/// What cannot be met.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Unmet {
    /// It can be done on nothing that is planned; it is not in the plan.
    NoEquipment {
        /// The job's number.
        job: String,
    },
    /// It runs on something that is not planned; it is not in the plan.
    RunsElsewhere {
        /// The job's number.
        job: String,
        /// Where.
        equipment: String,
    },
    /// It would take longer than a year; it is not in the plan unless it runs.
    TooLong {
        /// The job's number.
        job: String,
    },
    /// A job of its order that comes before it is not in the plan, so that it is not either.
    Behind {
        /// The job's number.
        job: String,
        /// The one before it.
        before: String,
    },
    /// It was to begin at a time that has passed; it begins as early as it can there.
    Passed {
        /// The job's number.
        job: String,
        /// When it was to begin.
        start: Timestamp,
    },
    /// It lies over another one, for a person has put it there.
    Overlap {
        /// The job's number.
        job: String,
        /// The other one's.
        with: String,
    },
    /// It lies before what has to be done before it, for a person has put it there.
    Early {
        /// The job's number.
        job: String,
        /// When it could begin.
        earliest: Timestamp,
    },
    /// There is no time for its changeover where a person has put it.
    Changeover {
        /// The job's number.
        job: String,
        /// How long that takes.
        needed: Duration,
    },
    /// It begins or ends while the equipment is closed, for a person has put it there.
    Closed {
        /// The job's number.
        job: String,
    },
}

impl Unmet {
    /// The number of the job that it is told of.
    #[must_use]
    pub fn job(&self) -> &str {
        match self {
            Self::NoEquipment { job }
            | Self::RunsElsewhere { job, .. }
            | Self::TooLong { job }
            | Self::Behind { job, .. }
            | Self::Passed { job, .. }
            | Self::Overlap { job, .. }
            | Self::Early { job, .. }
            | Self::Changeover { job, .. }
            | Self::Closed { job } => job,
        }
    }
}

impl fmt::Display for Unmet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEquipment { job } => {
                write!(f, "job {job} can be done on nothing that is planned; give its operation equipment")
            }
            Self::RunsElsewhere { job, equipment } => write!(f, "job {job} runs on {equipment}, which is not planned"),
            Self::TooLong { job } => {
                write!(f, "job {job} would take longer than a year; check its run time, or divide its order")
            }
            Self::Behind { job, before } => write!(f, "job {job} is not planned, for {before} before it is not"),
            Self::Passed { job, start } => {
                write!(f, "job {job} was to begin at {start}, which has passed; it is planned from now on")
            }
            Self::Overlap { job, with } => write!(f, "job {job} lies over {with}; move one of them"),
            Self::Early { job, earliest } => {
                write!(f, "job {job} lies before what comes before it; it could begin at {earliest}")
            }
            Self::Changeover { job, needed } => {
                write!(
                    f,
                    "job {job} leaves no time for its changeover of {} min; move it",
                    needed.as_secs().div_ceil(60)
                )
            }
            Self::Closed { job } => write!(f, "job {job} begins or ends while its equipment is closed; move it"),
        }
    }
}

/// A request, and what its numbers mean.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Asked {
    /// To be planned by [`Problem::new`].
    pub request: Request,
    /// What cannot be met whatever the plan.
    pub unmet: Vec<Unmet>,
    units: Vec<String>,
    /// Of each order in the request, its jobs that are.
    jobs: Vec<(String, Vec<JobOrder>)>,
}

/// What came of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// Every job that is in the plan, by equipment and time.
    pub jobs: Vec<PlannedJob>,
    /// The orders that will be late.
    pub late: Vec<LateOrder>,
    /// What cannot be met.
    pub unmet: Vec<Unmet>,
    /// What the plan is worth.
    pub objective: Objective,
}

/// Puts open jobs, as they are now, into a request. Jobs that have ended are left out, and orders without open jobs.
#[must_use]
pub fn ask(now: Timestamp, units: &[Unit], orders: &[Wanted<'_>]) -> Asked {
    let places: BTreeMap<&str, usize> =
        units.iter().enumerate().map(|(place, unit)| (unit.path.as_str(), place)).collect();
    let mut families = Families::default();
    let equipment = units.iter().enumerate().map(|(place, unit)| equipment(place, unit, &mut families)).collect();
    let mut asked = Asked {
        request: Request { from: now, equipment, changeovers: Changeovers::default(), jobs: Vec::new() },
        unmet: Vec::new(),
        units: units.iter().map(|unit| unit.path.clone()).collect(),
        jobs: Vec::new(),
    };
    for wanted in orders {
        let family = families.number(wanted.family);
        let (mut jobs, mut operations) = (Vec::new(), Vec::new());
        let mut missing: Option<&str> = None;
        for job in wanted.order.jobs.iter().filter(|job| job.is_open()) {
            if let Some(before) = missing.filter(|_| !job.state.is_under_way()) {
                asked.unmet.push(Unmet::Behind { job: job.number.clone(), before: before.to_owned() });
                continue;
            }
            let maker = Maker { now, units, places: &places };
            match maker.operation(job, family, &mut asked.unmet) {
                Ok(operation) => {
                    jobs.push(job.clone());
                    operations.push(operation);
                }
                Err(unmet) => {
                    asked.unmet.push(unmet);
                    missing = Some(&job.number);
                }
            }
        }
        if operations.is_empty() {
            continue;
        }
        let id = JobId(u64::try_from(asked.jobs.len()).unwrap_or(u64::MAX));
        let weight = NonZeroU16::new(u16::from(wanted.order.priority)).unwrap_or(NonZeroU16::MIN);
        asked.request.jobs.push(Job { id, release: None, due: wanted.order.due, weight, operations });
        asked.jobs.push((wanted.order.number.clone(), jobs));
    }
    asked
}

/// Numbers for the names of families.
#[derive(Default)]
struct Families(BTreeMap<String, u32>);

impl Families {
    fn number(&mut self, name: &str) -> FamilyId {
        let next = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        FamilyId(*self.0.entry(name.to_owned()).or_insert(next))
    }
}

fn equipment(place: usize, unit: &Unit, families: &mut Families) -> Equipment {
    let times = unit.changeovers.iter();
    let times = times.map(|(from, to, takes)| ((families.number(from), families.number(to)), *takes)).collect();
    Equipment {
        id: id_of(place),
        set_to: unit.set_to.as_deref().map(|family| families.number(family)),
        closed: unit.closed.clone(),
        changeovers: Some(Changeovers { otherwise: unit.changeover, times, interruptible: true }),
    }
}

fn id_of(place: usize) -> EquipmentId {
    EquipmentId(u32::try_from(place).unwrap_or(u32::MAX))
}

/// What an operation is made with.
struct Maker<'a> {
    now: Timestamp,
    units: &'a [Unit],
    places: &'a BTreeMap<&'a str, usize>,
}

impl Maker<'_> {
    fn operation(&self, job: &JobOrder, family: FamilyId, unmet: &mut Vec<Unmet>) -> Result<Operation, Unmet> {
        let mut run = left(job);
        if run > LONGEST {
            let too_long = Unmet::TooLong { job: job.number.clone() };
            if !job.state.is_under_way() {
                return Err(too_long);
            }
            // It stands there all the same.
            unmet.push(too_long);
            run = LONGEST;
        }
        let mut operation = Operation {
            alternatives: self.alternatives(job, run),
            family,
            interruptible: true,
            wait: Duration::ZERO,
            material_ready: None,
            pin: None,
        };
        if job.state.is_under_way() {
            let equipment = job.equipment.as_deref().unwrap_or_default();
            let Some(place) = self.places.get(equipment).copied() else {
                return Err(Unmet::RunsElsewhere { job: job.number.clone(), equipment: equipment.to_owned() });
            };
            let from = job.started.unwrap_or(self.now).min(self.now);
            let to = end(self.now, run, &self.units[place].closed);
            operation.pin = Some(Pin::Occupies { equipment: id_of(place), span: Span { from, to } });
            return Ok(operation);
        }
        if operation.alternatives.is_empty() {
            return Err(Unmet::NoEquipment { job: job.number.clone() });
        }
        let decided = job.equipment.as_deref().and_then(|path| self.places.get(path)).map(|place| id_of(*place));
        if let (true, Some(equipment), Some((start, _))) = (job.pinned, decided, job.planned) {
            operation.pin = if start < self.now {
                unmet.push(Unmet::Passed { job: job.number.clone(), start });
                Some(Pin::NotBefore { equipment, start: self.now })
            } else {
                Some(Pin::Starts { equipment, start })
            };
        }
        Ok(operation)
    }

    /// Where it can be done, of what is planned; where a person has put it, too.
    fn alternatives(&self, job: &JobOrder, run: Duration) -> Vec<Alternative> {
        let decided = job.equipment.iter().filter(|_| job.pinned || job.alternatives.is_empty());
        let mut places: Vec<usize> =
            job.alternatives.iter().chain(decided).filter_map(|path| self.places.get(path.as_str()).copied()).collect();
        let mut known = std::collections::BTreeSet::new();
        places.retain(|place| known.insert(*place));
        places.into_iter().map(|place| Alternative { equipment: id_of(place), run }).collect()
    }
}

/// How long what is left of a job takes, without its changeover; at least a microsecond.
fn left(job: &JobOrder) -> Duration {
    let made = job.totals.good + job.totals.scrap + job.totals.rework;
    let left = (job.quantity - made).max(Quantity::ZERO).millionths().unsigned_abs();
    let nanos = u128::from(left) * u128::from(job.run_time_ns) / 1_000_000;
    let micros = u64::try_from(nanos.div_ceil(1_000)).unwrap_or(u64::MAX);
    let setup = if job.state.is_under_way() { Duration::ZERO } else { job.setup };
    Duration::from_micros(micros).saturating_add(setup).max(Duration::from_micros(1))
}

/// When work ends that goes on from an instant, with pauses where the equipment is closed.
#[must_use]
pub fn end(now: Timestamp, work: Duration, closed: &[Span]) -> Timestamp {
    let mut closed: Vec<&Span> = closed.iter().filter(|span| now < span.to).collect();
    closed.sort_unstable();
    let (mut at, mut left) = (now, work);
    for span in closed {
        let open = span.from.since(at);
        if left <= open {
            break;
        }
        left -= open;
        at = at.max(span.to);
    }
    at.plus(left)
}

impl Asked {
    /// The request, looked at.
    ///
    /// # Errors
    /// There is more than can be planned at once, or a time that no calendar can write.
    pub fn problem(&self) -> Result<Problem, ProblemError> {
        Problem::new(&self.request)
    }

    /// What a plan of this request says of jobs and orders.
    #[must_use]
    pub fn answer(&self, plan: &Plan) -> Answer {
        let jobs = plan.placed.iter().filter_map(|placed| self.planned(placed)).collect();
        let late = plan.outcomes.iter().filter_map(|outcome| {
            let (order, _) = self.jobs.get(usize::try_from(outcome.job.0).ok()?)?;
            outcome.late.map(|late| LateOrder { order: order.clone(), by: late.by, cause: late.cause })
        });
        let mut unmet = self.unmet.clone();
        unmet.extend(check(&self.request, plan).iter().filter_map(|breach| self.unmet_by(breach)));
        Answer { jobs, late: late.collect(), unmet, objective: plan.objective }
    }

    fn job(&self, id: OperationId) -> Option<&JobOrder> {
        self.jobs.get(usize::try_from(id.job.0).ok()?)?.1.get(id.step)
    }

    fn planned(&self, placed: &Placed) -> Option<PlannedJob> {
        let job = self.job(placed.operation)?;
        let operation = self.request.jobs.iter().find(|job| job.id == placed.operation.job)?;
        let equipment = self.units.get(usize::try_from(placed.equipment.0).ok()?)?.clone();
        let Span { from, to } = placed.run;
        Some(PlannedJob {
            job: job.id,
            number: job.number.clone(),
            fixed: matches!(
                operation.operations.get(placed.operation.step)?.pin,
                Some(Pin::Occupies { .. } | Pin::Starts { .. })
            ),
            changed: job.planned != Some((from, to)) || job.equipment.as_ref() != Some(&equipment),
            equipment,
            span: placed.run,
            changeover: placed.changeover,
        })
    }

    /// What a plan of ours can do against its request is what pins make impossible; all else would be a fault of the planner.
    fn unmet_by(&self, breach: &Breach) -> Option<Unmet> {
        let number = |id: OperationId| self.job(id).map(|job| job.number.clone());
        Some(match *breach {
            Breach::Overlap { operation, with } => Unmet::Overlap { job: number(operation)?, with: number(with)? },
            Breach::Early { operation, earliest } => Unmet::Early { job: number(operation)?, earliest },
            Breach::Changeover { operation, needed } => Unmet::Changeover { job: number(operation)?, needed },
            Breach::Closed(operation) | Breach::Length(operation) => Unmet::Closed { job: number(operation)? },
            Breach::NotOnce(_) | Breach::Elsewhere(_) | Breach::Moved(_) | Breach::Outcome(_) | Breach::Objective => {
                debug_assert!(false, "a plan of ours holds every operation where it may be: {breach:?}");
                return None;
            }
        })
    }
}
