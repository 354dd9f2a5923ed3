//! How far plans are from what no plan can be better than: twenty problems from seeds, then the time that a large one takes.
//!
//! `cargo run --release -p andon-mes --example bench_schedule [STEPS] [ROUNDS]`; 40,000 steps and 400 rounds unless said otherwise.
//! All but the times is the same in every run.

mod seeded_problems;

use andon_mes::schedule::{Bound, Changeovers, Effort, Plan, Problem, Request, check};
use andon_model::{Clock, SystemClock};
use seeded_problems::{CLASSES, Class, LARGE, SEEDS};

fn main() {
    let number =
        |place: usize, otherwise| std::env::args().nth(place).and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (steps, rounds) = (number(1, 40_000), number(2, 400));
    println!("{steps} steps, {rounds} rounds; lateness in weighted hours, changeover and end in hours");
    println!(
        "class                    seed  ops units |     rule     plan    bound   gap % | changeover bound |    end  bound | without changeovers: plan  bound gap % | ms: rule   plan  bound"
    );
    for class in &CLASSES {
        let rows: Vec<(f64, f64)> = SEEDS.map(|seed| row(class, seed, steps, rounds)).collect();
        let (with, without) = rows.into_iter().unzip();
        println!("{:<23}  gap {}; without changeovers {}", class.name, spread(with), spread(without));
    }
    let problem = Problem::new(&LARGE.problem(1)).expect("a problem of ours");
    let (first, rule_ms) = timed(|| problem.plan(Effort { steps: 0, seed: 1 }));
    let (_, retime_ms) = timed(|| problem.retime(&first));
    println!(
        "{} operations on 50 work units: {rule_ms:.0} ms for the rule, {retime_ms:.1} ms to time it anew",
        first.placed.len()
    );
}

fn spread(mut gaps: Vec<f64>) -> String {
    gaps.sort_by(f64::total_cmp);
    let median = gaps.get(gaps.len() / 2).copied().unwrap_or(0.0);
    let [least, .., most] = gaps[..] else { return "of too few".to_owned() };
    format!("median {median:.1} %, {least:.1} to {most:.1} %")
}

/// What a problem comes to.
struct Solved {
    rule: Plan,
    plan: Plan,
    bound: Bound,
    /// In percent of the plan's lateness.
    gap: f64,
    ms: [f64; 3],
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn solve(request: &Request, steps: u32, rounds: u32) -> Solved {
    let problem = Problem::new(request).expect("a problem of ours");
    let (rule, rule_ms) = timed(|| problem.plan(Effort { steps: 0, seed: 1 }));
    let (plan, plan_ms) = timed(|| problem.plan(Effort { steps, seed: 1 }));
    let (bound, bound_ms) = timed(|| problem.bound(&plan, rounds));
    assert_eq!(check(request, &plan), []);
    let (late, least) = (plan.objective.weighted_tardiness_us, bound.weighted_tardiness_us);
    assert!(least <= late, "no plan is better than the bound");
    let gap = if late == 0 { 0.0 } else { 100.0 * (late - least) as f64 / late as f64 };
    Solved { rule, plan, bound, gap, ms: [rule_ms, plan_ms, bound_ms] }
}

/// One line of the table; returns the gap, with changeovers and without.
#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn row(class: &Class, seed: u64, steps: u32, rounds: u32) -> (f64, f64) {
    let mut request = class.problem(seed);
    let Solved { rule, plan, bound, gap, ms } = solve(&request, steps, rounds);
    request.changeovers = Changeovers::default();
    let without = solve(&request, steps, rounds);
    let late = |micros: u128| micros as f64 / 3.6e9;
    let end = |instant: andon_model::Timestamp| instant.since(request.from).as_secs_f64() / 3600.0;
    println!(
        "{:<23} {seed:>5} {:>4} {:>5} | {:>8.1} {:>8.1} {:>8.1} {gap:>7.1} | {:>10.1} {:>5.1} | {:>6.1} {:>6.1} | {:>25.1} {:>6.1} {:>5.1} | {:>8.0} {:>6.0} {:>6.0}",
        class.name,
        plan.placed.len(),
        request.equipment.len(),
        late(rule.objective.weighted_tardiness_us),
        late(plan.objective.weighted_tardiness_us),
        late(bound.weighted_tardiness_us),
        plan.objective.changeover.as_secs_f64() / 3600.0,
        bound.changeover.as_secs_f64() / 3600.0,
        end(plan.objective.end),
        end(bound.end),
        late(without.plan.objective.weighted_tardiness_us),
        late(without.bound.weighted_tardiness_us),
        without.gap,
        ms[0],
        ms[1],
        ms[2],
    );
    (gap, without.gap)
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let begin = SystemClock.monotonic();
    let result = run();
    (result, (SystemClock.monotonic() - begin).as_secs_f64() * 1e3)
}
