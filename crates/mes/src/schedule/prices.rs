//! A proved lower bound of Σ weight × lateness: equipment is priced (Lagrangean relaxation; Hoitomt, Luh and Pattipati, IEEE Transactions
//! on Robotics and Automation 9, 1993, with the time-indexed form of Sousa and Wolsey, Mathematical Programming 54, 1992).
//!
//! # Proof
//! Let every slot of every unit have a price of at least zero, and let each order pay for the slots that it uses. In a valid plan a slot
//! is used once at most, so all orders together pay at most the sum of all prices; hence
//!
//! ```text
//! Σ weight × lateness  ≥  Σ over orders (weight × lateness + what it pays)  −  Σ of all prices
//!                      ≥  Σ over orders (the least it can be for this order alone)  −  Σ of all prices
//! ```
//!
//! and the last line falls apart into one shortest path for each order. It holds for any prices; good ones are found by raising those of
//! slots that are wanted more than once, and lowering the others (subgradient steps towards the lateness of a plan that is known). All of
//! it is computed in whole numbers, so that no rounding can lift it; a price is at most so large that no sum leaves its range.
//!
//! **Slots.** A slot is a piece of `Δ` µs of a unit's *work time*: the time from the beginning of the plan, closed times and what is
//! fixed cut out. `A(t)` is the work time before `t`. Operations of any length are rounded to slots so that every valid plan stays valid
//! and none becomes later:
//! - An operation with run time `p` and changeover of at least `c` that ends at `C` is given the slots up to the number `⌊A(C)/Δ⌋`, and
//!   `⌊(p+c)/Δ⌋` of them. What is before it on the unit ended at `B` with `A(C) − A(B) ≥ p + c`, so its slots end at `⌊A(B)/Δ⌋ ≤ ⌊A(C)/Δ⌋
//!   − ⌊(p+c)/Δ⌋`: no slot is used twice. (An operation is interrupted by closed times alone and not by what is fixed, and what may not
//!   be interrupted is treated as if it might: both only add plans.)
//! - Its run has the last `⌊p/Δ⌋` of these. The first has the number `k ≥ ⌊A(s)/Δ⌋` for the run's beginning `s`. So `s` is before the
//!   instant at which slot `k` is over; and the operations before it in its order, with `w` of waiting, ended at least `w` before `s`.
//!   Ends of operations are counted in pieces of `Δ` from the beginning of the plan, rounded down, waits rounded down, and the latest `s`
//!   rounded down: whatever is true of the instants is true of the rounded ones.
//! - The order's lateness is counted from the instant at which the slots of its last operation are over, which is not after `C`, or from
//!   the end that it would have alone ([`super::bound::Ground`]) if that is later.
//!
//! Slots beyond a horizon have no price, and times beyond the last that is counted are counted as that one: both only lower the bound.
//! Changeovers are counted as the shortest that can lie before the operation; what more they take in a plan is about
//! half of the gap where due dates are tight.

use super::bound::Ground;
use super::plan::Plan;
use super::problem::{NEVER, Problem};

/// No way leads there; three of them can be added.
const NO_WAY: i64 = i64::MAX / 4;
/// The most slots of a unit that have a price.
const MOST_SLOTS: i64 = 2_000;

/// The slots of one unit.
struct Slots {
    /// For each number of slots, the first instant at which so many are over.
    over: Vec<i64>,
    /// The same in pieces of Δ from the beginning of the plan.
    over_piece: Vec<usize>,
    /// The last piece in which a run can begin that begins in this slot.
    last_piece: Vec<usize>,
    prices: Vec<f64>,
    /// The prices of all slots before each, as whole numbers.
    sum: Vec<i64>,
    used: Vec<i32>,
}

/// A choice of an operation, in slots.
struct Taken {
    unit: usize,
    run: usize,
    /// Run and changeover.
    all: usize,
    /// The first slot that the run can have.
    first: usize,
}

/// An operation, in slots and pieces.
struct Step {
    taken: Vec<Taken>,
    wait: usize,
    /// What is fixed ends in this piece.
    fixed: Option<usize>,
}

/// How the cheapest way to an end in a piece or before came there: the slots that it used.
#[derive(Clone, Copy)]
struct Used {
    unit: usize,
    from: usize,
    to: usize,
    /// The piece in which what is before it ended.
    before: usize,
}

struct Priced<'a> {
    problem: &'a Problem,
    ground: &'a Ground,
    slot: i64,
    /// The last piece that is counted.
    last: usize,
    slots: Vec<Slots>,
    steps: Vec<Step>,
    /// For each operation of an order and each piece: the least cost to have ended by then, and how.
    cost: Vec<Vec<i64>>,
    how: Vec<Vec<Option<Used>>>,
}

/// No plan of the problem has less Σ weight × lateness, in µs.
pub(super) fn least_tardiness(problem: &Problem, ground: &Ground, plan: &Plan, rounds: u32) -> u128 {
    let aim = plan.objective.weighted_tardiness_us;
    let alone = |job: &super::problem::Job| {
        let late = ground.ends[job.after - 1].saturating_sub(job.due).max(0);
        u128::from(late.unsigned_abs()) * u128::from(job.weight)
    };
    let mut best: u128 = problem.jobs.iter().map(alone).sum();
    if best >= aim {
        return best;
    }
    let mut priced = Priced::new(problem, ground, plan);
    let (mut pace, mut idle) = (1.0, 0);
    for _ in 0..rounds {
        let value = priced.value();
        if value > 0 && value.unsigned_abs() > best {
            (best, idle) = (value.unsigned_abs(), 0);
        } else {
            idle += 1;
        }
        if idle == 12 {
            (pace, idle) = (pace * 0.7, 0);
        }
        if best >= aim || !priced.step(aim, value, pace) {
            break;
        }
    }
    best
}

impl<'a> Priced<'a> {
    fn new(problem: &'a Problem, ground: &'a Ground, plan: &Plan) -> Self {
        let horizon = (plan.objective.end.micros() - problem.from).max(1);
        let slot = slot(problem, horizon);
        let mut priced = Self {
            problem,
            ground,
            slot,
            last: usize::try_from(2 * horizon / slot + 2).unwrap_or(1),
            slots: Vec::with_capacity(problem.units.len()),
            steps: Vec::with_capacity(problem.operations.len()),
            cost: Vec::new(),
            how: Vec::new(),
        };
        priced.add_slots(problem.from + horizon);
        priced.add_steps();
        let longest = problem.jobs.iter().map(|job| job.after - job.first).max().unwrap_or(0);
        priced.cost = vec![vec![NO_WAY; priced.last + 1]; longest + 1];
        priced.how = vec![vec![None; priced.last + 1]; longest];
        priced
    }

    fn piece(&self, instant: i64) -> usize {
        let piece = (instant - self.problem.from).max(0) / self.slot;
        usize::try_from(piece).map_or(self.last, |piece| piece.min(self.last))
    }

    fn in_slots(&self, length: i64) -> usize {
        usize::try_from(length / self.slot).unwrap_or(usize::MAX)
    }

    fn add_slots(&mut self, horizon: i64) {
        for calendar in &self.ground.calendars {
            let origin = calendar.until(self.problem.from);
            let priced = self.in_slots((calendar.until(horizon) - origin).max(0));
            // Beyond the priced ones as many again, so that a run that begins within the horizon has an end.
            let over = (0i64..).take(2 * priced + 2).map(|count| calendar.after(origin + count * self.slot));
            let over: Vec<i64> = over.map(|instant| instant.max(self.problem.from)).collect();
            let last_piece = over.iter().skip(1).map(|end| self.piece(end - 1)).chain([self.last]).collect();
            let over_piece = over.iter().map(|end| self.piece(*end)).collect();
            self.slots.push(Slots {
                over,
                over_piece,
                last_piece,
                prices: vec![0.0; priced],
                sum: vec![0; priced + 1],
                used: vec![0; priced],
            });
        }
    }

    fn add_steps(&mut self) {
        for (number, op) in self.problem.operations.iter().enumerate() {
            let taken = op.choices.iter().zip(&self.ground.changeovers[number]).map(|(choice, changeover)| {
                let calendar = &self.ground.calendars[choice.unit];
                let ready = calendar.until(self.ground.ready[number]) - calendar.until(self.problem.from);
                Taken {
                    unit: choice.unit,
                    run: self.in_slots(choice.run),
                    all: self.in_slots(choice.run + changeover),
                    first: self.in_slots(ready.max(0)),
                }
            });
            let taken = taken.collect();
            let fixed = op.fixed.map(|fixed| self.piece(fixed.to));
            self.steps.push(Step { taken, wait: self.in_slots(op.wait), fixed });
        }
    }

    /// The bound at the present prices; notes how often each slot is used.
    fn value(&mut self) -> i128 {
        for slots in &mut self.slots {
            slots.used.fill(0);
            for (place, price) in slots.prices.iter().enumerate() {
                slots.sum[place + 1] = slots.sum[place] + whole(*price);
            }
        }
        let prices: i128 = self.slots.iter().map(|slots| slots.sum.last().map_or(0, |sum| i128::from(*sum))).sum();
        (0..self.problem.jobs.len()).map(|job| i128::from(self.least_cost(job))).sum::<i128>() - prices
    }

    /// The least that an order costs with what it pays.
    fn least_cost(&mut self, number: usize) -> i64 {
        let job = &self.problem.jobs[number];
        let release = self.piece(job.release);
        self.cost[0].fill(NO_WAY);
        self.cost[0][release..].fill(0);
        let count = job.after - job.first;
        for step in 0..count {
            self.extend(job.first + step, step, step + 1 == count);
        }
        // Where the last operation ends does not matter any more: its lateness is in its cost.
        let mut piece = self.last;
        let cost = self.cost[count][piece];
        for step in (0..count).rev() {
            let Some(used) = self.how[step][piece] else { continue };
            let slots = &mut self.slots[used.unit].used;
            let priced = slots.len();
            slots[used.from.min(priced)..used.to.min(priced)].iter_mut().for_each(|count| *count += 1);
            piece = used.before;
        }
        cost
    }

    /// From the costs to have ended the operations before, to those of having ended this one too.
    fn extend(&mut self, op: usize, step: usize, is_last: bool) {
        let Self { problem, ground, slots, steps, cost, how, last, .. } = self;
        let (before, after) = cost.split_at_mut(step + 1);
        let (before, after, how) = (&before[step], &mut after[0], &mut how[step]);
        let job = &problem.jobs[problem.operations[op].job];
        let lateness = |end: i64| {
            if !is_last || job.due == NEVER {
                return 0;
            }
            let late = end.max(ground.ends[op]).saturating_sub(job.due).max(0);
            late.saturating_mul(i64::from(job.weight)).min(NO_WAY)
        };
        after.fill(NO_WAY);
        if let Some(fixed) = steps[op].fixed {
            // The same as before, but for those that had ended earlier.
            let end = problem.operations[op].fixed.map_or(problem.from, |fixed| fixed.to);
            for piece in fixed..=*last {
                let own = problem.from + i64::try_from(piece).unwrap_or(0) * self.slot;
                let late = if piece > fixed { lateness(own.max(end)) } else { lateness(end) };
                after[piece] = before[piece].saturating_add(late).min(NO_WAY);
                how[piece] = None;
            }
            if is_last {
                // Only the least counts, and it is looked for in the last piece.
                after[*last] = after.iter().copied().min().unwrap_or(NO_WAY);
            }
            return;
        }
        for taken in &steps[op].taken {
            let slots = &slots[taken.unit];
            let (priced, ends) = (slots.prices.len(), slots.over.len() - 1);
            for from in taken.first.min(priced)..=priced {
                let to = (from + taken.run).min(ends);
                // A changeover does not begin before the plan; the last number stands for all beyond the horizon, where nothing is paid.
                let all = if from == priced { priced } else { (from + taken.run).wrapping_sub(taken.all) };
                if all > to {
                    continue;
                }
                let latest = slots.last_piece[from];
                let ready = if from == priced || latest == *last {
                    *last
                } else if let Some(ready) = latest.checked_sub(steps[op].wait) {
                    ready
                } else {
                    continue;
                };
                let paid = slots.sum[to.min(priced)] - slots.sum[all.min(priced)];
                let total = before[ready].saturating_add(paid).saturating_add(lateness(slots.over[to])).min(NO_WAY);
                let piece = slots.over_piece[to];
                if total < after[piece] {
                    after[piece] = total;
                    how[piece] = Some(Used { unit: taken.unit, from: all, to, before: ready });
                }
            }
        }
        for piece in 1..=*last {
            if after[piece] >= after[piece - 1] {
                after[piece] = after[piece - 1];
                how[piece] = how[piece - 1];
            }
        }
    }

    /// Moves the prices towards what is wanted; `false`: nothing is wanted more than it is there.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a step may have any length; what counts is computed in whole numbers"
    )]
    fn step(&mut self, aim: u128, value: i128, pace: f64) -> bool {
        let slack = |used: i32, price: f64| if used == 0 && price <= 0.0 { 0.0 } else { f64::from(used - 1) };
        let each = self.slots.iter().flat_map(|slots| slots.used.iter().zip(&slots.prices));
        let norm: f64 = each.map(|(used, price)| slack(*used, *price).powi(2)).sum();
        let gap = aim as f64 - value as f64;
        if norm <= 0.0 || gap <= 0.0 {
            return false;
        }
        let length = pace * gap / norm;
        for slots in &mut self.slots {
            // So that the sum of all prices of a unit stays far from the end of its range.
            let most = NO_WAY as f64 / (slots.prices.len() + 1) as f64;
            for (price, used) in slots.prices.iter_mut().zip(&slots.used) {
                *price = (*price + length * slack(*used, *price)).clamp(0.0, most);
            }
        }
        true
    }
}

#[expect(clippy::cast_possible_truncation, reason = "prices are at most a quarter of the range")]
fn whole(price: f64) -> i64 {
    price as i64
}

/// The longest slot that loses nothing, if there are few enough; else the shortest that is long enough.
fn slot(problem: &Problem, horizon: i64) -> i64 {
    let runs = problem.operations.iter().flat_map(|op| op.choices.iter().map(|choice| choice.run).chain([op.wait]));
    let common = runs.fold(0, common_divisor).max(1);
    if horizon / common <= 2 * MOST_SLOTS { common } else { (horizon / MOST_SLOTS).max(1) }
}

fn common_divisor(mut one: i64, mut other: i64) -> i64 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}
