//! Plans of the seeded problems are valid, better than the rule's, the same in every run, and not better than the bound.

#[path = "../examples/seeded_problems/mod.rs"]
mod seeded_problems;

use andon_mes::schedule::{Effort, Problem, check};
use seeded_problems::{CLASSES, LARGE, SEEDS};

#[test]
fn seeded_plans_are_valid_and_not_better_than_the_bound() {
    for class in &CLASSES {
        for seed in SEEDS.take(2) {
            let request = class.problem(seed);
            let problem = Problem::new(&request).expect("a problem of ours");
            let first = problem.plan(Effort { steps: 0, seed });
            let plan = problem.plan(Effort { steps: 300, seed });
            let bound = problem.bound(&plan, 30);
            for plan in [&first, &plan] {
                assert_eq!(check(&request, plan), [], "{} {seed}", class.name);
                assert!(bound.weighted_tardiness_us <= plan.objective.weighted_tardiness_us, "{} {seed}", class.name);
                assert!(bound.changeover <= plan.objective.changeover, "{} {seed}", class.name);
                assert!(bound.end <= plan.objective.end, "{} {seed}", class.name);
            }
            assert!(plan.objective <= first.objective, "{} {seed}", class.name);
            assert_eq!(plan, problem.plan(Effort { steps: 300, seed }), "{} {seed}", class.name);
            assert_eq!(plan, problem.retime(&plan), "{} {seed}", class.name);
        }
    }
}

#[test]
fn a_thousand_operations_have_a_plan() {
    let request = LARGE.problem(1);
    let plan = Problem::new(&request).expect("a problem of ours").plan(Effort { steps: 0, seed: 1 });
    assert_eq!((plan.placed.len(), check(&request, &plan)), (1_000, Vec::new()));
}
