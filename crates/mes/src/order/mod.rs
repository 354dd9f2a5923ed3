//! Work orders and their job orders: one job for each operation of the material that is to be made.
//!
//! Nothing here keeps anything. Who wants to change an order reads it, asks a function of this module, and stores what it answers, with the
//! version that was read. What may happen is decided by three tables and nothing else: the job's states ([`crate::job`]), the order's
//! actions as triggers on its jobs ([`Action::triggers`]), and the rules of counts ([`count`]).
//!
//! # Invariants
//! - A job changes its state by [`JobState::after`] only; an order has no state of its own ([`state_of`]).
//! - What a job has made is the sum of its counts, and never below zero ([`count`]).
//! - On a work unit stands one job at a time: from its begin to its end, also while it is interrupted ([`begin`]).
//!
//! Start reading at [`jobs_of`], then [`state_of`], then [`begin::look`].

pub mod begin;
pub mod count;
pub mod ledger;
pub mod plan;
#[cfg(test)]
mod tests;

pub use count::{Count, CountError, Totals};

use crate::job::{Ending, JobState, NotNow, Stored, Trigger};
use crate::quantity::Quantity;
use andon_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use uuid::Uuid;

/// The most operations of an order.
pub const MOST_OPERATIONS: usize = 200;

/// An operation of a material, as the master data have it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Operation {
    /// `10`; no two operations of a material have one name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where it can be done: paths of work units, the first one preferred.
    pub equipment: Vec<String>,
    /// Planned time per item, in ns.
    pub run_time_ns: u64,
    /// Planned time before the first item.
    pub setup: Duration,
    /// The operations that come before it, by name; `None`: the one that stands before it.
    pub after: Option<Vec<String>>,
    /// What its operator has to be qualified for.
    pub skills: Vec<String>,
    /// What its operator has to have seen, by name.
    pub instructions: Vec<String>,
}

/// A job order: an operation of an order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobOrder {
    /// UUIDv7.
    pub id: Uuid,
    /// As people say it: `4711/10`.
    pub number: String,
    /// The operation's name.
    pub operation: String,
    /// What people call it.
    pub title: String,
    /// What it is in.
    pub state: JobState,
    /// Where it can be done. Empty: anywhere.
    pub alternatives: Vec<String>,
    /// Where it is or will be done, if that is decided.
    pub equipment: Option<String>,
    /// How much is wanted.
    pub quantity: Quantity,
    /// What came of it so far.
    pub totals: Totals,
    /// Planned time per item, in ns.
    pub run_time_ns: u64,
    /// Planned time before the first item.
    pub setup: Duration,
    /// When it is planned, from the beginning to the end.
    pub planned: Option<(Timestamp, Timestamp)>,
    /// A person has put it there.
    pub pinned: bool,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// The jobs that come before it.
    pub after: Vec<Uuid>,
    /// What its operator has to be qualified for.
    pub skills: Vec<String>,
    /// What its operator has to have seen, by name.
    pub instructions: Vec<String>,
}

/// A work order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WorkOrder {
    /// UUIDv7.
    pub id: Uuid,
    /// As people say it.
    pub number: String,
    /// The part number of what is to be made.
    pub material: String,
    /// Its revision.
    pub revision: Option<String>,
    /// How much is wanted.
    pub quantity: Quantity,
    /// By when.
    pub due: Option<Timestamp>,
    /// 1 to 9, 9 the most urgent.
    pub priority: u8,
    /// One for each operation, in the order of the material.
    pub jobs: Vec<JobOrder>,
}

/// What an order is in: a function of what its jobs are in ([`state_of`]).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum OrderState {
    /// It is known; no job may begin.
    Forecast,
    /// A job may begin.
    Released,
    /// A job has begun, and not all have ended.
    Running,
    /// All jobs have ended that were not given up; what was made can still be put right.
    Completed,
    /// Nothing of it changes any more.
    Closed,
    /// All jobs were given up.
    Cancelled,
}

impl OrderState {
    /// The word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Forecast => "Forecast",
            Self::Released => "Released",
            Self::Running => "Running",
            Self::Completed => "Completed",
            Self::Closed => "Closed",
            Self::Cancelled => "Cancelled",
        }
    }
}

/// Why there is no order of it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// The material is bought.
    #[error(
        "{material} has no operations: it is bought, not made; order a material that has some, or give it its operations"
    )]
    NoOperations {
        /// The material.
        material: String,
    },
    /// More operations than an order may have.
    #[error("{count} operations; an order has at most {MOST_OPERATIONS}")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// Two operations of one name.
    #[error("the operation {name} is there twice; give each its own name")]
    Twice {
        /// The name.
        name: String,
    },
    /// An operation comes after one that does not stand before it, and so perhaps after itself.
    #[error("the operation {name} comes after {after}, which does not stand before it in the list of operations")]
    After {
        /// The operation.
        name: String,
        /// What it names.
        after: String,
    },
    /// Nothing, or less.
    #[error("{0} is no quantity for an order; more than zero is")]
    Quantity(Quantity),
}

/// Makes the jobs of an order from the operations of its material. `ids` gives each its id.
///
/// A job that can be done in one place only has its equipment; of the others it is decided later.
///
/// # Errors
/// What is wrong with the operations or the quantity.
pub fn jobs_of(
    order: &str,
    material: &str,
    operations: &[Operation],
    quantity: Quantity,
    released: Stored,
    mut ids: impl FnMut() -> Uuid,
) -> Result<Vec<JobOrder>, OrderError> {
    if operations.is_empty() {
        return Err(OrderError::NoOperations { material: material.to_owned() });
    }
    if operations.len() > MOST_OPERATIONS {
        return Err(OrderError::TooMany { count: operations.len() });
    }
    if quantity <= Quantity::ZERO {
        return Err(OrderError::Quantity(quantity));
    }
    let mut known: BTreeMap<&str, Uuid> = BTreeMap::new();
    let mut jobs: Vec<JobOrder> = Vec::with_capacity(operations.len());
    for operation in operations {
        let after = match &operation.after {
            None => jobs.last().map(|job| job.id).into_iter().collect(),
            Some(names) => {
                let find = |name: &String| {
                    let unknown = || OrderError::After { name: operation.name.clone(), after: name.clone() };
                    known.get(name.as_str()).copied().ok_or_else(unknown)
                };
                let ids: BTreeSet<Uuid> = names.iter().map(find).collect::<Result<_, _>>()?;
                ids.into_iter().collect()
            }
        };
        let id = ids();
        if known.insert(&operation.name, id).is_some() {
            return Err(OrderError::Twice { name: operation.name.clone() });
        }
        jobs.push(JobOrder {
            id,
            number: format!("{order}/{}", operation.name),
            operation: operation.name.clone(),
            title: operation.title.clone(),
            state: JobState::new(released),
            equipment: if let [only] = operation.equipment.as_slice() { Some(only.clone()) } else { None },
            alternatives: operation.equipment.clone(),
            quantity,
            totals: Totals::default(),
            run_time_ns: operation.run_time_ns,
            setup: operation.setup,
            planned: None,
            pinned: false,
            started: None,
            ended: None,
            after,
            skills: operation.skills.clone(),
            instructions: operation.instructions.clone(),
        });
    }
    Ok(jobs)
}

/// What an order is in, by what its jobs are in. Jobs that were given up say nothing while there are others.
#[must_use]
pub fn state_of(jobs: impl IntoIterator<Item = JobState>) -> OrderState {
    let (mut any, mut begun, mut allowed, mut open, mut completed, mut closed) = (false, 0, 0, 0, 0, 0);
    for job in jobs {
        any = true;
        match job {
            JobState::NotAllowedToStart(_) => open += 1,
            JobState::AllowedToStart(_) => (open, allowed) = (open + 1, allowed + 1),
            JobState::Running | JobState::Interrupted(_) => begun += 1,
            JobState::Ended(Ending::Completed) => completed += 1,
            JobState::Ended(Ending::Closed) => closed += 1,
            JobState::Aborted => {}
        }
    }
    match (open, begun, completed + closed) {
        (0, 0, 0) if any => OrderState::Cancelled,
        (0, 0, 0) => OrderState::Forecast,
        (0, 0, _) if completed == 0 => OrderState::Closed,
        (0, 0, _) => OrderState::Completed,
        (_, 0, 0) if allowed > 0 => OrderState::Released,
        (_, 0, 0) => OrderState::Forecast,
        _ => OrderState::Running,
    }
}

/// What came of an order: good is what the last operations made, scrap and rework are those of all.
#[must_use]
pub fn made(jobs: &[JobOrder]) -> Totals {
    let before: BTreeSet<Uuid> = jobs.iter().flat_map(|job| job.after.iter().copied()).collect();
    let last = jobs.iter().filter(|job| !before.contains(&job.id));
    Totals {
        // Where operations end side by side, an item is good that all of them have made.
        good: last.map(|job| job.totals.good).min().unwrap_or(Quantity::ZERO),
        scrap: jobs.iter().map(|job| job.totals.scrap).sum(),
        rework: jobs.iter().map(|job| job.totals.rework).sum(),
    }
}

/// What a state knows.
pub fn may(state: JobState) -> impl Iterator<Item = Trigger> {
    Trigger::all().filter(move |trigger| state.after(*trigger).is_ok())
}

/// What a state knows, in the words of requests, each once: `begin`, `pause`, …; `start` and `revoke` are the order's.
#[must_use]
pub fn may_words(state: JobState) -> Vec<&'static str> {
    let mut words: Vec<_> = may(state).filter_map(word).collect();
    words.dedup();
    words.sort_unstable();
    words.dedup();
    words
}

/// The word of a request for a trigger; `None`: it is not asked of a job but of its order. Of a job that is interrupted, a pause says that
/// the cause is another.
#[must_use]
pub const fn word(trigger: Trigger) -> Option<&'static str> {
    match trigger {
        Trigger::Start | Trigger::RevokeStart | Trigger::Update => None,
        Trigger::Prepare(_) => Some("prepare"),
        Trigger::Begin => Some("begin"),
        Trigger::Pause(_) | Trigger::Attribute(_) => Some("pause"),
        Trigger::Resume => Some("resume"),
        Trigger::Stop => Some("stop"),
        Trigger::Abort => Some("abort"),
        Trigger::Close => Some("close"),
    }
}

/// What a person does with an order as a whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Action {
    /// Its jobs may begin.
    Release,
    /// Those that have not begun may not.
    Revoke,
    /// Those that have not begun are given up.
    Cancel,
    /// What was made is final.
    Close,
    /// Its content is replaced.
    Change,
}

/// Why an order is not released, revoked, cancelled, closed or changed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ActionError {
    /// There is nothing to be done.
    #[error("order {order} is {}: {why}", .state.word())]
    Nothing {
        /// The order.
        order: String,
        /// What it is in.
        state: OrderState,
        /// What would have to be.
        why: &'static str,
    },
    /// A job is in the way.
    #[error("job {job} is {state}: {why}")]
    Job {
        /// Its number.
        job: String,
        /// What it is in.
        state: JobState,
        /// What to do.
        why: &'static str,
    },
    /// The table of jobs does not know it.
    #[error(transparent)]
    NotNow(#[from] NotNow),
}

impl Action {
    /// What it is called once it is done, as in events.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Release => "released",
            Self::Revoke => "revoked",
            Self::Cancel => "cancelled",
            Self::Close => "closed",
            Self::Change => "changed",
        }
    }

    /// The jobs that it concerns, by their places, with the trigger and what each is in then.
    ///
    /// # Errors
    /// There is nothing to be done, or a job is in the way.
    pub fn triggers(self, order: &str, jobs: &[JobOrder]) -> Result<Vec<(usize, Trigger, JobState)>, ActionError> {
        let in_the_way = |job: &JobOrder, why| ActionError::Job { job: job.number.clone(), state: job.state, why };
        let mut done = Vec::new();
        for (place, job) in jobs.iter().enumerate() {
            let trigger = match (self, job.state) {
                (Self::Release, JobState::NotAllowedToStart(_)) => Trigger::Start,
                (Self::Revoke, JobState::AllowedToStart(_)) => Trigger::RevokeStart,
                (Self::Cancel, JobState::NotAllowedToStart(_) | JobState::AllowedToStart(_)) => Trigger::Abort,
                // What a machine works on is not ended from a desk.
                (Self::Cancel, JobState::Running | JobState::Interrupted(_)) => {
                    return Err(in_the_way(job, "stop it or abort it at its equipment first, then cancel the order"));
                }
                (Self::Close, JobState::Ended(Ending::Completed)) => Trigger::Close,
                (Self::Close, state) if !state.is_final() => {
                    return Err(in_the_way(job, "an order is closed when all its jobs have ended"));
                }
                (Self::Change, JobState::NotAllowedToStart(_) | JobState::AllowedToStart(_)) => Trigger::Update,
                (Self::Change, JobState::Running | JobState::Interrupted(_) | JobState::Ended(_)) => {
                    return Err(in_the_way(job, "an order is changed before its first job begins"));
                }
                _ => continue,
            };
            done.push((place, trigger, job.state.after(trigger)?));
        }
        if done.is_empty() {
            let state = state_of(jobs.iter().map(|job| job.state));
            let why = match self {
                Self::Release => "no job of it waits for its release",
                Self::Revoke => "no job of it is released and has not begun",
                Self::Cancel | Self::Change => "no job of it has yet to begin",
                Self::Close => "no job of it is Completed",
            };
            return Err(ActionError::Nothing { order: order.to_owned(), state, why });
        }
        Ok(done)
    }
}

impl JobOrder {
    /// The job after a trigger: its state, and when it began and ended. Whether a begin is allowed, [`begin::look`] says.
    ///
    /// # Errors
    /// The table has no such transition.
    pub fn after(&self, trigger: Trigger, at: Timestamp) -> Result<Self, NotNow> {
        let mut job = Self { state: self.state.after(trigger)?, ..self.clone() };
        if job.state.is_under_way() && job.started.is_none() {
            job.started = Some(at);
        }
        if matches!(job.state, JobState::Ended(_) | JobState::Aborted) && job.ended.is_none() {
            job.ended = Some(at);
        }
        Ok(job)
    }

    /// Whether it has not ended: it stands in dispatch lists.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        !matches!(self.state, JobState::Ended(_) | JobState::Aborted)
    }
}
