//! What a plan says: where every operation is, when every job order ends, and why one is late.

use super::problem::{NEVER, Problem};
use super::request::{EquipmentId, OperationId, Span};
use crate::unit::JobId;
use andon_model::Timestamp;
use std::time::Duration;

/// Where and when an operation is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Placed {
    /// The operation.
    pub operation: OperationId,
    /// Where.
    pub equipment: EquipmentId,
    /// The changeover before it, as late as it can be; `None`: it needs none. Closed times within it count as pauses.
    pub changeover: Option<Span>,
    /// Its run. Closed times within it count as pauses.
    pub run: Span,
}

/// How a job order comes out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Outcome {
    /// The job order.
    pub job: JobId,
    /// When the last of its operations ends.
    pub end: Timestamp,
    /// How late that is, and why; `None`: it is in time, or has no due date.
    pub late: Option<Late>,
}

/// How late a job order is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Late {
    /// After the due date.
    pub by: Duration,
    /// Why.
    pub cause: Cause,
}

/// The first thing, in this order, because of which a job order could not be in time whatever came after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Cause {
    /// Its operations take longer than there is time, even if all began at once where they are fastest.
    Work,
    /// It was released too late.
    Release,
    /// Material comes too late.
    Material,
    /// The equipment is closed.
    Calendar,
    /// What somebody pinned.
    Pin,
    /// The changeovers before its own operations: without them, at the same places, it would have been in time.
    Changeover,
    /// Other orders are on the equipment that it needs.
    Capacity,
}

/// What a plan is worth: a smaller one is better. First the lateness, then the changeovers, then the end, each only where what stands
/// before it is equal (see the module).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Objective {
    /// Lateness × weight, added over all job orders, in µs.
    pub weighted_tardiness_us: u128,
    /// All changeovers from the beginning of the plan on, added.
    pub changeover: Duration,
    /// When the last operation ends; the beginning of the plan when there is none.
    pub end: Timestamp,
}

/// A plan. It holds every operation of its request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// By equipment in the order of the request, then by beginning.
    pub placed: Vec<Placed>,
    /// In the order of the request.
    pub outcomes: Vec<Outcome>,
    /// What it is worth.
    pub objective: Objective,
}

/// Where an operation has come to lie, in the numbers of a [`Problem`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Place {
    pub(super) unit: usize,
    pub(super) from: i64,
    pub(super) to: i64,
}

impl Plan {
    /// Writes down where every operation is.
    pub(super) fn of(problem: &Problem, places: &[Place]) -> Self {
        let mut by_unit: Vec<Vec<usize>> = vec![Vec::new(); problem.units.len()];
        for (op, place) in places.iter().enumerate() {
            by_unit[place.unit].push(op);
        }
        let mut plan = Self {
            placed: Vec::with_capacity(places.len()),
            outcomes: Vec::with_capacity(problem.jobs.len()),
            objective: Objective {
                weighted_tardiness_us: 0,
                changeover: Duration::ZERO,
                end: Timestamp::from_micros(problem.from),
            },
        };
        // How much of each operation's run is later for the changeover before it.
        let mut pushed = vec![0; places.len()];
        for (unit, ops) in by_unit.iter_mut().enumerate() {
            ops.sort_by_key(|op| (places[*op].from, places[*op].to, *op));
            plan.place_unit(problem, places, unit, ops, &mut pushed);
        }
        for job in 0..problem.jobs.len() {
            plan.judge(problem, places, &pushed, job);
        }
        plan
    }

    fn place_unit(&mut self, problem: &Problem, places: &[Place], unit: usize, ops: &[usize], pushed: &mut [i64]) {
        let calendar = &problem.units[unit].calendar;
        let (mut family, mut free) = (problem.units[unit].family, problem.from);
        for &op in ops {
            let place = places[op];
            let needed = problem.changeover(unit, family, problem.operations[op].family);
            // What began before the plan has had its changeover.
            let changeover = (needed > 0 && place.from >= problem.from)
                .then(|| calendar.place_before(place.from, needed, problem.changeover_is_interruptible(unit)));
            if changeover.is_some() {
                self.objective.changeover += Duration::from_micros(needed.unsigned_abs());
                pushed[op] = place.from - free.min(place.from);
            }
            self.objective.end = self.objective.end.max(Timestamp::from_micros(place.to));
            self.placed.push(Placed {
                operation: problem.id(op),
                equipment: problem.units[unit].id,
                changeover: changeover.map(span),
                run: span((place.from, place.to)),
            });
            family = Some(problem.operations[op].family);
            free = free.max(place.to);
        }
    }

    fn judge(&mut self, problem: &Problem, places: &[Place], pushed: &[i64], number: usize) {
        let job = &problem.jobs[number];
        let ops = job.first..job.after;
        let end = ops.map(|op| places[op].to).max().unwrap_or(problem.from);
        let late = end.saturating_sub(job.due).max(0);
        self.objective.weighted_tardiness_us += u128::from(late.unsigned_abs()) * u128::from(job.weight);
        let by = Duration::from_micros(late.unsigned_abs());
        self.outcomes.push(Outcome {
            job: job.id,
            end: Timestamp::from_micros(end),
            late: (late > 0).then(|| Late { by, cause: cause(problem, places, pushed, number) }),
        });
    }
}

fn span((from, to): (i64, i64)) -> Span {
    Span { from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) }
}

/// Why a late job order is late: one thing after another is taken into account, until it is late.
fn cause(problem: &Problem, places: &[Place], pushed: &[i64], number: usize) -> Cause {
    let due = problem.jobs[number].due;
    debug_assert_ne!(due, NEVER);
    let steps = [Cause::Work, Cause::Release, Cause::Material, Cause::Calendar, Cause::Pin];
    let alone = steps.into_iter().find(|upto| earliest_end(problem, number, *upto) > due);
    alone.unwrap_or_else(|| {
        if without_changeovers(problem, places, pushed, number) <= due { Cause::Changeover } else { Cause::Capacity }
    })
}

/// When a job order would end, were it alone and were there nothing but what stands up to a cause.
fn earliest_end(problem: &Problem, number: usize, upto: Cause) -> i64 {
    let job = &problem.jobs[number];
    let mut done = if upto >= Cause::Release { job.release } else { problem.from };
    for op in &problem.operations[job.first..job.after] {
        let mut ready = done + op.wait;
        if upto >= Cause::Material {
            ready = ready.max(op.material);
        }
        let end = match op.fixed {
            Some(fixed) if upto >= Cause::Pin => fixed.to,
            // Its alternatives are not known any more: what it takes is what its span says, at most.
            Some(fixed) => (ready + fixed.to - fixed.from).min(fixed.to),
            None => {
                let ready = if upto >= Cause::Pin { ready.max(op.not_before) } else { ready };
                let ends = op.choices.iter().map(|choice| {
                    if upto >= Cause::Calendar {
                        problem.units[choice.unit].calendar.place(ready, choice.run, op.interruptible).1
                    } else {
                        ready + choice.run
                    }
                });
                ends.min().unwrap_or(ready)
            }
        };
        done = done.max(end);
    }
    done
}

/// When a job order would end, had its own operations no changeovers, each at the earliest where what lies before it on the equipment ends.
fn without_changeovers(problem: &Problem, places: &[Place], pushed: &[i64], number: usize) -> i64 {
    let job = &problem.jobs[number];
    let mut done = job.release;
    for number in job.first..job.after {
        let (op, place) = (&problem.operations[number], places[number]);
        let end = if op.fixed.is_some() {
            place.to
        } else {
            let ready = (done + op.wait).max(op.material).max(op.not_before);
            let run = op.choices.iter().find(|choice| choice.unit == place.unit);
            // Without changeover it begins when it is ready and the equipment is free; with none it began there already.
            let earliest = ready.max(place.from - pushed[number]);
            run.map_or(place.to, |choice| problem.run(number, *choice, earliest).1).min(place.to)
        };
        done = done.max(end);
    }
    done
}
