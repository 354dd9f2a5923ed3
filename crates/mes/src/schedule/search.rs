//! From a plan to a better one: late acceptance hill climbing.
//!
//! A step changes the sequence in one place, builds the plan anew and keeps the change when the plan is no worse than the present one, or
//! than the one of so many steps ago (Burke and Bykov, European Journal of Operational Research 258, 2017). The method compares plans and
//! needs no scale of their worth, so it works with an objective of several ranks, where simulated annealing would need a temperature for
//! each. The best plan that was seen is the result.
//!
//! Half of the steps move an operation of a late order earlier; the others move any operation, earlier, later or to other equipment.

use super::Effort;
use super::build::{Builder, Worth};
use super::problem::Problem;
use super::rule::Sequence;

/// Numbers that look random and come from a seed (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From 0 to below `count`, which is more than zero.
    #[expect(clippy::cast_possible_truncation, reason = "less than a usize")]
    pub(super) fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.next()) * count as u128) >> 64) as usize
    }
}

/// Builds a plan from a sequence; gives up when it is already later than a limit. Writes down the operation of each place of the sequence.
pub(super) fn build(
    problem: &Problem,
    builder: &mut Builder<'_>,
    sequence: &Sequence,
    limit: u128,
    ops: &mut Vec<usize>,
) -> Option<Worth> {
    builder.restart();
    ops.clear();
    for &job in &sequence.jobs {
        let op = builder.next(job)?;
        let offer = builder.offer(op, problem.operations[op].choices[sequence.choices[op]]);
        builder.take(op, &offer);
        ops.push(op);
        if builder.tardiness() > limit {
            return None;
        }
    }
    Some(builder.worth())
}

/// The best sequence that a number of steps leads to; never one that is worse than the first.
pub(super) fn improve(problem: &Problem, first: Sequence, effort: Effort) -> Sequence {
    let mut climb = Climb::new(problem, first, effort);
    if climb.now.sequence.jobs.len() < 2 {
        return climb.now.sequence;
    }
    for step in 0..effort.steps as usize {
        climb.step(step);
    }
    climb.best.1
}

/// A sequence that was built.
struct Built {
    worth: Worth,
    sequence: Sequence,
    /// The operation of each place.
    ops: Vec<usize>,
    /// The places that belong to late job orders.
    late: Vec<usize>,
}

struct Climb<'a> {
    problem: &'a Problem,
    builder: Builder<'a>,
    random: Random,
    now: Built,
    best: (Worth, Sequence),
    /// The worth of so many steps ago, as a ring.
    past: Vec<Worth>,
    trial: Sequence,
    ops: Vec<usize>,
}

impl<'a> Climb<'a> {
    fn new(problem: &'a Problem, sequence: Sequence, effort: Effort) -> Self {
        let mut builder = Builder::new(problem);
        let mut ops = Vec::with_capacity(sequence.jobs.len());
        let worth = build(problem, &mut builder, &sequence, u128::MAX, &mut ops).unwrap_or(Worth::WORST);
        let length = (effort.steps as usize / 100).clamp(1, 400);
        let mut climb = Self {
            problem,
            builder,
            random: Random(effort.seed),
            best: (worth, sequence.clone()),
            past: vec![worth; length],
            trial: sequence.clone(),
            now: Built { worth, sequence, ops, late: Vec::new() },
            ops: Vec::new(),
        };
        climb.note_late();
        climb
    }

    fn step(&mut self, step: usize) {
        self.trial.jobs.clone_from(&self.now.sequence.jobs);
        self.trial.choices.clone_from(&self.now.sequence.choices);
        if !self.change() {
            return;
        }
        let ring = step % self.past.len();
        let limit = self.past[ring].max(self.now.worth);
        let worth = build(self.problem, &mut self.builder, &self.trial, limit.tardiness, &mut self.ops);
        if let Some(worth) = worth.filter(|worth| *worth <= limit) {
            std::mem::swap(&mut self.now.sequence, &mut self.trial);
            std::mem::swap(&mut self.now.ops, &mut self.ops);
            self.now.worth = worth;
            if worth < self.best.0 {
                self.best = (worth, self.now.sequence.clone());
            }
            self.note_late();
        }
        self.past[ring] = self.past[ring].min(self.now.worth);
    }

    /// Which places of the present sequence belong to late job orders. The builder holds its plan.
    fn note_late(&mut self) {
        let (problem, places) = (self.problem, self.builder.places());
        let late = |op: usize| {
            let job = &problem.jobs[problem.operations[op].job];
            places[job.first..job.after].iter().any(|place| place.to > job.due)
        };
        self.now.late.clear();
        self.now.late.extend((0..self.now.ops.len()).filter(|place| late(self.now.ops[*place])));
    }

    /// Changes the trial in one place; `false`: there was nothing to change there.
    fn change(&mut self) -> bool {
        let count = self.now.ops.len();
        let urgent = !self.now.late.is_empty() && self.random.below(2) == 0;
        let place =
            if urgent { self.now.late[self.random.below(self.now.late.len())] } else { self.random.below(count) };
        let op = self.now.ops[place];
        let choices = self.problem.operations[op].choices.len();
        if choices > 1 && self.random.below(3) == 0 {
            self.trial.choices[op] = (self.trial.choices[op] + 1 + self.random.below(choices - 1)) % choices;
            let reach = 1 + count / 4;
            let to = (place + self.random.below(2 * reach)).saturating_sub(reach).min(count - 1);
            shift(&mut self.trial.jobs, place, to);
            return true;
        }
        let earlier = urgent || self.random.below(2) == 0;
        let hops = 1 + if self.random.below(4) == 0 { self.random.below(12) } else { self.random.below(3) };
        let to = self.beyond(place, earlier, hops);
        shift(&mut self.trial.jobs, place, to);
        to != place
    }

    /// The place beyond so many operations on the same equipment, or beyond the last one there is.
    fn beyond(&self, place: usize, earlier: bool, hops: usize) -> usize {
        let unit_of = |place: usize| {
            let op = self.now.ops[place];
            self.problem.operations[op].choices[self.now.sequence.choices[op]].unit
        };
        let unit = unit_of(place);
        let same = |other: &usize| unit_of(*other) == unit;
        let beyond = if earlier {
            (0..place).rev().filter(same).take(hops).last()
        } else {
            (place + 1..self.now.ops.len()).filter(same).take(hops).last()
        };
        beyond.unwrap_or(place)
    }
}

/// Takes the element at one place out and puts it in at another.
fn shift(jobs: &mut [usize], from: usize, to: usize) {
    if from < to {
        jobs[from..=to].rotate_left(1);
    } else {
        jobs[to..=from].rotate_right(1);
    }
}
