//! The first plan: a dispatching rule.
//!
//! Of all operations that could be next, the one that could end first says which equipment is looked at, and up to when (Giffler and
//! Thompson 1960). Of those that could begin there before, the one with the largest index is taken: Apparent Tardiness Cost with Setups,
//! ATCS (Lee, Bhaskaran and Pinedo, IIE Transactions 29, 1997),
//!
//! ```text
//! w / p · exp(−slack / (k1 · p̄)) · exp(−s / (k2 · s̄))
//! ```
//!
//! with the weight `w`, the run time `p`, the changeover `s`, their means `p̄` and `s̄`, and as slack what is left to the due date when
//! the rest of the job order takes its shortest time. An operation that is not ready yet counts the wait for it like its run time. The
//! plan is made for several `k1` and `k2`, since no pair suits tight and loose due dates alike, and the best is kept.
//!
//! Indices are compared by their logarithm, computed with additions, multiplications and divisions alone: these give the same bits on every
//! machine, and so the same plan.

use super::build::{Builder, Offer, Worth};
use super::problem::{NEVER, Problem};

/// The pairs that are tried: how far before its due date an order is urgent, and how much a changeover is shunned.
const TRIED: [(f64, f64); 6] = [(0.5, 0.2), (1.0, 0.7), (2.0, 0.2), (2.0, 1.5), (4.0, 0.5), (8.0, 0.1)];

/// An order of operations, each with its equipment: what a plan is built from.
#[derive(Clone, Debug)]
pub(super) struct Sequence {
    /// Job orders; its n-th mention of one is its n-th operation that is not fixed. So there is no order that breaks a routing.
    pub(super) jobs: Vec<usize>,
    /// For each operation of the problem, which of its choices.
    pub(super) choices: Vec<usize>,
}

/// What the rule needs to know of an operation.
struct Known {
    /// The logarithm of the weight.
    weight: f64,
    /// The shortest time from its beginning to the end of its job order, in µs.
    rest: i64,
}

/// The best sequence of all pairs.
pub(super) fn dispatch(problem: &Problem) -> Sequence {
    let known = known(problem);
    let (run, changeover) = means(problem);
    let mut best = (Worth::WORST, None);
    for (k1, k2) in TRIED {
        let (worth, sequence) = dispatch_with(problem, &known, k1 * run, k2 * changeover);
        if best.1.is_none() || worth < best.0 {
            best = (worth, Some(sequence));
        }
    }
    best.1.unwrap_or(Sequence { jobs: Vec::new(), choices: Vec::new() })
}

fn dispatch_with(problem: &Problem, known: &[Known], slack_scale: f64, changeover_scale: f64) -> (Worth, Sequence) {
    let mut builder = Builder::new(problem);
    let mut sequence = Sequence { jobs: Vec::new(), choices: vec![0; problem.operations.len()] };
    // For each job order, what its next operation is offered: by choice.
    let mut offers: Vec<Vec<Offer>> = vec![Vec::new(); problem.jobs.len()];
    for (job, offers) in offers.iter_mut().enumerate() {
        ask(&builder, problem, job, None, offers);
    }
    while let Some(first) = offers.iter().flatten().min_by_key(|offer| (offer.to, offer.from)) {
        let (unit, limit) = (first.unit(), first.to);
        let on_unit = offers.iter().flatten().filter(|offer| offer.unit() == unit);
        let now = on_unit.map(Offer::begins).min().unwrap_or(limit);
        let mut best: Option<(f64, usize, usize)> = None;
        for (job, offers) in offers.iter().enumerate() {
            for (choice, offer) in
                offers.iter().enumerate().filter(|(_, offer)| offer.unit() == unit && offer.from < limit)
            {
                let Some(op) = builder.next(job) else { continue };
                let index = index(problem, &known[op], op, offer, now, (slack_scale, changeover_scale));
                if best.is_none_or(|(most, ..)| index > most) {
                    best = Some((index, job, choice));
                }
            }
        }
        let Some((_, job, choice)) = best else { break };
        let Some(op) = builder.next(job) else { break };
        builder.take(op, &offers[job][choice]);
        sequence.jobs.push(job);
        sequence.choices[op] = choice;
        for (other, offers) in offers.iter_mut().enumerate() {
            ask(&builder, problem, other, (other != job).then_some(unit), offers);
        }
    }
    (builder.worth(), sequence)
}

/// Asks anew where a job order's next operation could go; when it has not gone on itself, only on the unit that has changed.
fn ask(builder: &Builder<'_>, problem: &Problem, job: usize, only: Option<usize>, offers: &mut Vec<Offer>) {
    let Some(op) = builder.next(job) else { return offers.clear() };
    let choices = &problem.operations[op].choices;
    if let Some(unit) = only {
        let changed = choices.iter().zip(offers).filter(|(choice, _)| choice.unit == unit);
        changed.for_each(|(choice, offer)| *offer = builder.offer(op, *choice));
    } else {
        offers.clear();
        offers.extend(choices.iter().map(|choice| builder.offer(op, *choice)));
    }
}

#[expect(clippy::cast_precision_loss, reason = "an index is compared, not added up")]
fn index(problem: &Problem, known: &Known, op: usize, offer: &Offer, now: i64, scales: (f64, f64)) -> f64 {
    let due = problem.jobs[problem.operations[op].job].due;
    if due == NEVER {
        // Behind all that has a due date; among themselves the shortest changeover first.
        return -1e18 - offer.changeover as f64;
    }
    let slack = (due - now - known.rest).max(0) as f64;
    let takes = (offer.run() + (offer.begins() - now).max(0)) as f64;
    known.weight - logarithm(takes) - slack / scales.0 - offer.changeover as f64 / scales.1
}

fn known(problem: &Problem) -> Vec<Known> {
    let mut known: Vec<Known> = Vec::with_capacity(problem.operations.len());
    for job in &problem.jobs {
        let mut rest = 0;
        for op in problem.operations[job.first..job.after].iter().rev() {
            rest += op.choices.iter().map(|choice| choice.run).min().unwrap_or(0);
            known.push(Known { weight: logarithm(f64::from(job.weight)), rest });
            rest += op.wait;
        }
        known[job.first..job.after].reverse();
    }
    known
}

/// The mean run time and changeover, at least a microsecond.
#[expect(clippy::cast_precision_loss, reason = "scales of an index")]
fn means(problem: &Problem) -> (f64, f64) {
    let (mut run, mut changeover, mut count) = (0.0, 0.0, 0.0);
    for (number, op) in problem.operations.iter().enumerate() {
        // The next operation stands for any other one: all pairs would be many.
        let other = &problem.operations[(number + 1) % problem.operations.len()];
        for choice in &op.choices {
            run += choice.run as f64;
            changeover += problem.changeover(choice.unit, Some(other.family), op.family) as f64;
            count += 1.0;
        }
    }
    let mean = |sum: f64| if count > 0.0 { (sum / count).max(1.0) } else { 1.0 };
    (mean(run), mean(changeover))
}

/// The natural logarithm of a number of at least one, to about twelve digits.
fn logarithm(number: f64) -> f64 {
    let (mut mantissa, mut halved) = (number, 0.0);
    while mantissa > 1.5 {
        mantissa /= 2.0;
        halved += 1.0;
    }
    // ln m = 2 artanh((m − 1) / (m + 1)); with m in 0.75 to 1.5 each term is less than a 25th of the one before.
    let part = (mantissa - 1.0) / (mantissa + 1.0);
    let (square, mut power, mut sum) = (part * part, part, 0.0);
    for odd in [1.0, 3.0, 5.0, 7.0, 9.0, 11.0, 13.0, 15.0, 17.0] {
        sum += power / odd;
        power *= square;
    }
    2.0 * sum + halved * std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_logarithm_is_one() {
        for number in [1.0, 1.5, 2.0, 7.0, 1e3, 123_456_789.0, 3.2e13] {
            let off = (logarithm(number) - number.ln()).abs();
            assert!(off < 1e-11, "{number}: {off}");
        }
    }
}
