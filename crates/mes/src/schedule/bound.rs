//! What no plan can be better than.
//!
//! Each of the three parts of a [`Bound`] holds for every plan of the problem by itself; so no plan's [`super::Objective`] is smaller
//! than the three together, compared rank by rank.
//!
//! **End.** (1) An order does not end before its operations have followed each other, each on its fastest equipment by the calendar; what
//! is fixed ends where it does. (2) Let `G` be a set of equipment and `O` the operations that can be done only in `G`. None begins before
//! the earliest `r` at which one of them can be ready, and behind the last of them lies at least the smallest rest `q` of their orders.
//! In between, the equipment of `G` works at least the sum of their shortest run times, and at least one changeover to each family that
//! none of `G` is set up for. So no plan ends before the first instant `t` at which the open times of `G` from `r` to `t`, added, are
//! that much, plus `q`. The sets that are tried are those of single operations.
//!
//! **Changeover.** For every family that has operations, and that no equipment on which they can be done is set up for, at least one
//! changeover to it is made on one of these; and changeovers to different families are different ones.
//!
//! **Lateness.** See [`super::prices`].

use super::Plan;
use super::calendar::Calendar;
use super::prices;
use super::problem::Problem;
use andon_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What no plan of a problem can be better than, each part for itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bound {
    /// No plan has less Σ weight × lateness, in µs.
    pub weighted_tardiness_us: u128,
    /// No plan has less changeover time.
    pub changeover: Duration,
    /// No plan ends earlier.
    pub end: Timestamp,
}

/// What the bounds have in common.
pub(super) struct Ground {
    /// Each unit's calendar with what is fixed cut out.
    pub(super) calendars: Vec<Calendar>,
    /// The earliest that each operation is ready, and ends, were its order alone.
    pub(super) ready: Vec<i64>,
    pub(super) ends: Vec<i64>,
    /// For each operation and choice, the shortest changeover that can lie before it, in µs.
    pub(super) changeovers: Vec<Vec<i64>>,
}

impl Problem {
    /// What no plan can be better than. It is found in so many rounds, from a plan that says what to aim at; any plan and any number of
    /// rounds give a valid bound, a good plan and some hundred rounds a close one. A round costs operations × alternatives × 4,000 steps
    /// at most.
    #[must_use]
    pub fn bound(&self, plan: &Plan, rounds: u32) -> Bound {
        let ground = Ground::of(self);
        Bound {
            weighted_tardiness_us: prices::least_tardiness(self, &ground, plan, rounds),
            changeover: Duration::from_micros(least_changeover(self).unsigned_abs()),
            end: Timestamp::from_micros(least_end(self, &ground)),
        }
    }
}

impl Ground {
    fn of(problem: &Problem) -> Self {
        let calendars = problem.units.iter().map(|unit| {
            let fixed = unit.fixed.iter().filter_map(|op| problem.operations[*op].fixed);
            unit.calendar.also_without(fixed.map(|fixed| (fixed.from, fixed.to)))
        });
        let mut ground = Self {
            calendars: calendars.collect(),
            ready: Vec::with_capacity(problem.operations.len()),
            ends: Vec::with_capacity(problem.operations.len()),
            changeovers: shortest_changeovers(problem),
        };
        for job in &problem.jobs {
            let mut done = job.release;
            for op in &problem.operations[job.first..job.after] {
                let ready = (done + op.wait).max(op.material).max(op.not_before);
                let ends = op
                    .choices
                    .iter()
                    .map(|choice| ground.calendars[choice.unit].place(ready, choice.run, op.interruptible).1);
                let end = op.fixed.map_or_else(|| ends.min().unwrap_or(ready), |fixed| fixed.to);
                done = done.max(end);
                ground.ready.push(ready);
                ground.ends.push(done);
            }
        }
        ground
    }
}

/// What can stand before an operation on a unit: the family at the beginning, one that is fixed there, or that of another operation.
fn shortest_changeovers(problem: &Problem) -> Vec<Vec<i64>> {
    let mut on: Vec<BTreeMap<Option<usize>, u32>> =
        problem.units.iter().map(|unit| BTreeMap::from([(unit.family, 1)])).collect();
    for op in &problem.operations {
        let fixed = op.fixed.iter().map(|fixed| fixed.unit);
        for unit in op.choices.iter().map(|choice| choice.unit).chain(fixed) {
            *on[unit].entry(Some(op.family)).or_default() += 1;
        }
    }
    let shortest = |op: &super::problem::Op, unit: usize| {
        // It does not follow itself.
        let others = on[unit].iter().filter(|(family, count)| **family != Some(op.family) || **count > 1);
        others.map(|(family, _)| problem.changeover(unit, *family, op.family)).min().unwrap_or(0)
    };
    let of = |op: &super::problem::Op| op.choices.iter().map(|choice| shortest(op, choice.unit)).collect();
    problem.operations.iter().map(of).collect()
}

/// The shortest changeover to a family on a set of equipment when none of it is set up for it, from whatever else can be there; 0 when
/// one is.
fn to_family(
    problem: &Problem,
    units: &BTreeSet<usize>,
    family: usize,
    here: &BTreeMap<usize, BTreeSet<usize>>,
) -> i64 {
    if units.iter().any(|unit| problem.units[*unit].family == Some(family)) {
        return 0;
    }
    let from = |unit: usize| {
        let others = here.get(&unit).into_iter().flatten().filter(move |other| **other != family);
        let others = others.map(move |other| problem.changeover(unit, Some(*other), family));
        others.chain([problem.changeover(unit, problem.units[unit].family, family)])
    };
    units.iter().flat_map(|unit| from(*unit)).min().unwrap_or(0)
}

/// The families that can be on each unit.
fn families(problem: &Problem) -> BTreeMap<usize, BTreeSet<usize>> {
    let mut here: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    for op in &problem.operations {
        let fixed = op.fixed.iter().map(|fixed| fixed.unit);
        for unit in op.choices.iter().map(|choice| choice.unit).chain(fixed) {
            here.entry(unit).or_default().insert(op.family);
        }
    }
    here
}

fn least_changeover(problem: &Problem) -> i64 {
    let here = families(problem);
    let mut where_of: BTreeMap<usize, BTreeSet<usize>> = BTreeMap::new();
    let mut fixed_before = BTreeSet::new();
    for op in &problem.operations {
        let fixed = op.fixed.iter().map(|fixed| fixed.unit);
        where_of.entry(op.family).or_default().extend(op.choices.iter().map(|choice| choice.unit).chain(fixed));
        // What began before the plan has had its changeover, which may have served the whole family.
        if op.fixed.is_some_and(|fixed| fixed.from < problem.from) {
            fixed_before.insert(op.family);
        }
    }
    let needed = where_of.iter().filter(|(family, _)| !fixed_before.contains(family));
    needed.map(|(family, units)| to_family(problem, units, *family, &here)).sum()
}

fn least_end(problem: &Problem, ground: &Ground) -> i64 {
    let alone = ground.ends.iter().copied().max().unwrap_or(problem.from);
    let sets: BTreeSet<BTreeSet<usize>> = (problem.operations.iter())
        .filter(|op| op.fixed.is_none())
        .map(|op| op.choices.iter().map(|choice| choice.unit).collect())
        .collect();
    let here = families(problem);
    sets.iter().map(|units| end_of_load(problem, ground, units, &here)).fold(alone.max(problem.from), i64::max)
}

/// When a set of equipment can have done what only it can do.
fn end_of_load(
    problem: &Problem,
    ground: &Ground,
    units: &BTreeSet<usize>,
    here: &BTreeMap<usize, BTreeSet<usize>>,
) -> i64 {
    let (mut ready, mut rest, mut load) = (i64::MAX, i64::MAX, 0);
    let mut wanted = BTreeSet::new();
    for job in &problem.jobs {
        // The least time from the end of an operation to that of its order.
        let mut behind = 0;
        for number in (job.first..job.after).rev() {
            let op = &problem.operations[number];
            let shortest = op.choices.iter().map(|choice| choice.run).min().unwrap_or(0);
            if op.fixed.is_none() && op.choices.iter().all(|choice| units.contains(&choice.unit)) {
                ready = ready.min(ground.ready[number]);
                rest = rest.min(behind);
                load += shortest;
                wanted.insert(op.family);
            }
            // Behind what is fixed, nothing is known: it may lie before what stands before it in its order.
            behind = if op.fixed.is_some() { 0 } else { behind + op.wait + shortest };
        }
    }
    if ready == i64::MAX {
        return problem.from;
    }
    let fixed_here = |family: usize| {
        let fixed = problem.operations.iter().filter(|op| op.family == family).filter_map(|op| op.fixed);
        fixed.into_iter().any(|fixed| units.contains(&fixed.unit))
    };
    // A changeover may lie before the first operation is ready: then the load begins with it.
    let changeovers: i64 = (wanted.iter())
        .filter(|family| !fixed_here(**family))
        .map(|family| to_family(problem, units, *family, here))
        .sum();
    let done = |from: i64, load: i64| {
        let worked = |until: i64| -> i64 {
            let each = units.iter().map(|unit| &ground.calendars[*unit]);
            each.map(|calendar| calendar.until(until) - calendar.until(from)).sum()
        };
        let (mut low, mut high) = (from, from);
        let mut stride = load.max(1);
        while worked(high) < load {
            (low, high) = (high, high + stride);
            stride *= 2;
        }
        while low < high {
            let middle = low + (high - low) / 2;
            if worked(middle) < load { low = middle + 1 } else { high = middle }
        }
        high
    };
    done(ready, load).max(done(problem.from, load + changeovers)) + rest
}
