//! From a sequence to times: the one way in which a plan comes into being, whoever made the sequence.
//!
//! Operations are taken one after another, and each is put behind what lies on its equipment already, as early as its order, its material,
//! the changeover and the calendar let it. What is fixed stays; an operation goes before it when there is room for its run and for the
//! changeover from it to what is fixed, and behind it otherwise.
//!
//! Nothing is lost by this. Take any plan without fixed operations and build anew from its operations in the order of their beginnings, on
//! the same equipment: each begins at its old time or earlier, because all that it waits for ends at its old time or earlier, and
//! [`super::calendar::Calendar::place`] never gives a later run for an earlier wish. So some sequence leads to a plan of least lateness.

use super::plan::Place;
use super::problem::{Choice, NEVER, Problem};

/// A plan in the making.
#[derive(Clone, Debug)]
pub(super) struct Builder<'a> {
    problem: &'a Problem,
    units: Vec<OnUnit>,
    jobs: Vec<OfJob>,
    places: Vec<Place>,
    worth: Worth,
}

/// What a plan is worth, in µs: see [`super::Objective`].
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Worth {
    pub(super) tardiness: u128,
    pub(super) changeover: i64,
    pub(super) end: i64,
}

impl Worth {
    pub(super) const WORST: Self = Self { tardiness: u128::MAX, changeover: i64::MAX, end: i64::MAX };
}

/// The end of what lies on a unit.
#[derive(Clone, Copy, Debug)]
struct OnUnit {
    free: i64,
    family: Option<usize>,
    /// How many of its fixed operations lie before that.
    fixed: usize,
    changeover: i64,
}

#[derive(Clone, Copy, Debug)]
struct OfJob {
    /// Its next operation that is not fixed; the one after its last when there is none.
    next: usize,
    /// When all before it have ended.
    done: i64,
}

/// Where an operation could go.
#[derive(Clone, Copy, Debug)]
pub(super) struct Offer {
    pub(super) from: i64,
    pub(super) to: i64,
    /// The changeover before it.
    pub(super) changeover: i64,
    choice: Choice,
    /// The unit as it would be before it.
    before: OnUnit,
}

impl Offer {
    pub(super) const fn unit(&self) -> usize {
        self.choice.unit
    }

    pub(super) const fn run(&self) -> i64 {
        self.choice.run
    }

    /// When its changeover begins, but for closed times, if that comes last.
    pub(super) const fn begins(&self) -> i64 {
        self.from - self.changeover
    }
}

impl<'a> Builder<'a> {
    pub(super) fn new(problem: &'a Problem) -> Self {
        let mut builder = Self {
            problem,
            units: Vec::with_capacity(problem.units.len()),
            jobs: Vec::with_capacity(problem.jobs.len()),
            places: vec![Place::default(); problem.operations.len()],
            worth: Worth { tardiness: 0, changeover: 0, end: problem.from },
        };
        builder.restart();
        builder
    }

    /// Takes all away but what is fixed.
    pub(super) fn restart(&mut self) {
        let problem = self.problem;
        self.worth = Worth { tardiness: 0, changeover: 0, end: problem.from };
        self.units.clear();
        self.units.extend(problem.units.iter().map(|unit| OnUnit {
            free: problem.from,
            family: unit.family,
            fixed: 0,
            changeover: 0,
        }));
        for unit in &problem.units {
            for &op in &unit.fixed {
                if let Some(fixed) = problem.operations[op].fixed {
                    self.places[op] = Place { unit: fixed.unit, from: fixed.from, to: fixed.to };
                    self.worth.end = self.worth.end.max(fixed.to);
                }
            }
        }
        self.jobs.clear();
        self.jobs.extend(problem.jobs.iter().map(|job| OfJob { next: job.first, done: job.release }));
        for job in 0..self.jobs.len() {
            self.pass_fixed(job);
        }
    }

    /// The next operation of a job order that has no place yet.
    pub(super) fn next(&self, job: usize) -> Option<usize> {
        let next = self.jobs[job].next;
        (next < self.problem.jobs[job].after).then_some(next)
    }

    /// Where a job order's next operation could go on a unit.
    pub(super) fn offer(&self, op: usize, choice: Choice) -> Offer {
        let problem = self.problem;
        let (operation, unit) = (&problem.operations[op], &problem.units[choice.unit]);
        let ready = (self.jobs[operation.job].done + operation.wait).max(operation.material).max(operation.not_before);
        let interruptible = problem.changeover_is_interruptible(choice.unit);
        let mut before = self.units[choice.unit];
        loop {
            let changeover = problem.changeover(choice.unit, before.family, operation.family);
            let set = match changeover {
                0 => before.free,
                needed => unit.calendar.place(before.free, needed, interruptible).1,
            };
            let (from, to) = problem.run(op, choice, ready.max(set));
            let offer = Offer { from, to, changeover, choice, before };
            let Some(&fixed) = unit.fixed.get(before.fixed) else { return offer };
            let limit = self.places[fixed].from;
            let away = problem.changeover(choice.unit, Some(operation.family), problem.operations[fixed].family);
            let room = if away == 0 { to } else { unit.calendar.place(to, away, interruptible).1 };
            if to.max(room) <= limit {
                return offer;
            }
            self.pass(&mut before, choice.unit, fixed);
        }
    }

    /// Puts an operation where it was offered to go.
    pub(super) fn take(&mut self, op: usize, offer: &Offer) {
        let family = Some(self.problem.operations[op].family);
        self.units[offer.choice.unit] = OnUnit {
            free: offer.to,
            family,
            fixed: offer.before.fixed,
            changeover: offer.before.changeover + offer.changeover,
        };
        self.places[op] = Place { unit: offer.choice.unit, from: offer.from, to: offer.to };
        self.worth.end = self.worth.end.max(offer.to);
        let job = self.problem.operations[op].job;
        self.jobs[job] = OfJob { next: op + 1, done: self.jobs[job].done.max(offer.to) };
        self.pass_fixed(job);
    }

    /// The lateness of the job orders that have all their operations.
    pub(super) const fn tardiness(&self) -> u128 {
        self.worth.tardiness
    }

    /// What it is worth, when every operation has its place.
    pub(super) fn worth(&self) -> Worth {
        let mut changeover = 0;
        for (number, on) in self.units.iter().enumerate() {
            let mut on = *on;
            while let Some(&fixed) = self.problem.units[number].fixed.get(on.fixed) {
                self.pass(&mut on, number, fixed);
            }
            changeover += on.changeover;
        }
        Worth { changeover, ..self.worth }
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    /// Goes on to behind a fixed operation. One that began before the plan has had its changeover.
    fn pass(&self, on: &mut OnUnit, unit: usize, fixed: usize) {
        let (place, family) = (self.places[fixed], self.problem.operations[fixed].family);
        if place.from >= self.problem.from {
            on.changeover += self.problem.changeover(unit, on.family, family);
        }
        on.free = on.free.max(place.to);
        on.family = Some(family);
        on.fixed += 1;
    }

    /// Goes on to the next operation that is not fixed; behind the last one the job order's lateness is known.
    fn pass_fixed(&mut self, number: usize) {
        let (job, of) = (&self.problem.jobs[number], &mut self.jobs[number]);
        while of.next < job.after {
            let Some(fixed) = self.problem.operations[of.next].fixed else { return };
            of.done = of.done.max(fixed.to);
            of.next += 1;
        }
        if job.due != NEVER {
            let late = (of.done - job.due).max(0).unsigned_abs();
            self.worth.tardiness += u128::from(late) * u128::from(job.weight);
        }
    }
}
