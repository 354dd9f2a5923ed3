//! Detailed scheduling: which job order's operation is done on which equipment and when, against what the equipment can do.
//!
//! A [`Request`] is looked at once ([`Problem::new`]); from then on there is a plan for everything, however late: each order that is late
//! says by how much and why ([`Late`]). [`Problem::plan`] makes a plan, [`Problem::retime`] keeps the sequence of an earlier one and
//! moves only what has to move (after a drag on the Gantt, a breakdown, a delay), [`Problem::bound`] says how good a plan can be at best,
//! and [`check`] holds any plan against its request.
//!
//! # Times
//! Instants are [`andon_model::Timestamp`] and lengths [`std::time::Duration`], as everywhere; inside, both are whole µs. Seconds would
//! do for planning, but plans are held against what machines did, whose times are µs, and a rounding in between would make an operation
//! that ended in time late.
//!
//! # What is best
//! [`Objective`]: least Σ weight × lateness; among those the least changeover time; among those the earliest end. Ranks and no weighted
//! sum: what a second of lateness costs against a second of changeover is seldom known, a wrong guess silently delivers late to save a
//! changeover, and nobody can explain on a Gantt what a sum has traded. Lateness is linear, so that an order that is late already is
//! still worth hurrying, and zero before the due date, so that slack is used for fewer changeovers.
//!
//! # How
//! [`build`] makes times of a sequence; the [`rule`] ATCS makes a first sequence, [`search`] (late acceptance hill climbing) better ones.
//! The steps are counted, not timed, and randomness comes from a seed: the same request, steps and seed give the same plan on every
//! machine. A step costs one building: operations × (log closed spans) look-ups.
//!
//! Solvers that were weighed in November 2026, both permissively licensed and kept alive: `pumpkin-solver` 0.5 (constraint programming
//! with explanations; 32-bit integers as times, and changeovers that depend on the sequence have to be spelled out as a disjunction for
//! each pair and equipment, which a thousand operations make millions) and `solverforge` 0.24 (local search over a model made by its
//! macros, with an interface that changed in each of its many releases; sequence, changeovers and calendars would be ours to compute
//! after every move, and that is the whole of [`build`]). Neither gives a lower bound of lateness for such a problem, and a drag needs
//! [`build`] anyhow. So the solver is the 150 lines of [`search`].
//!
//! # What it does not know
//! People, tools and energy as further capacities; equipment that takes several orders at once (an oven); operations that overlap with
//! the next one of their order; room in front of equipment. Orders of one family come together because changeovers cost, not because they
//! must.

mod bound;
mod build;
mod calendar;
mod check;
mod plan;
mod prices;
mod problem;
mod request;
mod rule;
mod search;
#[cfg(test)]
mod tests;

pub use bound::Bound;
pub use check::{Breach, check};
pub use plan::{Cause, Late, Objective, Outcome, Placed, Plan};
pub use problem::{
    LONGEST, MOST_ALTERNATIVES, MOST_CHANGEOVERS, MOST_CLOSED, MOST_EQUIPMENT, MOST_JOBS, MOST_OPERATIONS, Problem,
    ProblemError,
};
pub use request::{
    Alternative, Changeovers, Equipment, EquipmentId, FamilyId, Job, Operation, OperationId, Pin, Request, Span,
};

use build::Builder;
use rule::Sequence;
use std::collections::BTreeMap;

/// How much work goes into a plan.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effort {
    /// Plans that are tried after the first one; 0: the rule's plan as it is. With 200 operations, 20,000 take about a second.
    pub steps: u32,
    /// Where its random choices come from.
    pub seed: u64,
}

impl Problem {
    /// A good plan.
    #[must_use]
    pub fn plan(&self, effort: Effort) -> Plan {
        self.built(&search::improve(self, rule::dispatch(self), effort))
    }

    /// A plan with the sequence and the equipment of another one, each operation as early as it can be then: for a request that has
    /// changed.
    ///
    /// An operation that is pinned to begin not before an instant has its place in the sequence there; what is fixed goes where it is
    /// fixed; what the other plan does not know comes last.
    #[must_use]
    pub fn retime(&self, earlier: &Plan) -> Plan {
        self.built(&self.sequence_of(earlier))
    }

    /// A plan that is at least as good as [`Problem::retime`]'s, found from it.
    #[must_use]
    pub fn improve(&self, earlier: &Plan, effort: Effort) -> Plan {
        self.built(&search::improve(self, self.sequence_of(earlier), effort))
    }

    fn built(&self, sequence: &Sequence) -> Plan {
        let mut builder = Builder::new(self);
        let whole = search::build(self, &mut builder, sequence, u128::MAX, &mut Vec::new());
        debug_assert!(whole.is_some(), "a sequence mentions each job order as often as it has operations");
        Plan::of(self, builder.places())
    }

    fn sequence_of(&self, plan: &Plan) -> Sequence {
        let known: BTreeMap<OperationId, &Placed> = plan.placed.iter().map(|place| (place.operation, place)).collect();
        let mut sequence = Sequence { jobs: Vec::new(), choices: vec![0; self.operations.len()] };
        let mut order = Vec::with_capacity(self.operations.len());
        let mut latest = i64::MIN;
        for (number, op) in self.operations.iter().enumerate() {
            if op.fixed.is_some() {
                latest = if number == self.jobs[op.job].first { i64::MIN } else { latest };
                continue;
            }
            let place = known.get(&self.id(number));
            let unit = place.map(|place| place.equipment);
            let same = op.choices.iter().position(|choice| Some(self.units[choice.unit].id) == unit);
            sequence.choices[number] = same.unwrap_or(0);
            let from = place.map_or(i64::MAX, |place| place.run.from.micros()).max(op.not_before);
            // Not before the operations of its order that it follows, which may have been pinned to later than they were.
            latest = if number == self.jobs[op.job].first { from } else { from.max(latest) };
            order.push((latest, op.job, number));
        }
        order.sort_unstable();
        sequence.jobs = order.into_iter().map(|(_, job, _)| job).collect();
        sequence
    }
}
