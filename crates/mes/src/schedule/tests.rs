//! Plans of small requests by hand, of random ones by their rules, and of the smallest ones against every plan there is.

use super::build::Worth;
use super::*;
use crate::unit::JobId;
use andon_model::Timestamp;
use proptest::prelude::*;
use std::num::NonZeroU16;
use std::time::Duration;

const NONE: Effort = Effort { steps: 0, seed: 0 };

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn span(from: i64, to: i64) -> Span {
    Span { from: at(from), to: at(to) }
}

/// An operation on the given equipment, each with its run time in seconds.
fn operation(family: u32, alternatives: &[(u32, u64)]) -> Operation {
    let alternatives = alternatives
        .iter()
        .map(|(equipment, run)| Alternative { equipment: EquipmentId(*equipment), run: seconds(*run) });
    Operation {
        alternatives: alternatives.collect(),
        family: FamilyId(family),
        interruptible: false,
        wait: Duration::ZERO,
        material_ready: None,
        pin: None,
    }
}

fn job(id: u64, due: i64, operations: Vec<Operation>) -> Job {
    Job { id: JobId(id), release: None, due: Some(at(due)), weight: NonZeroU16::MIN, operations }
}

/// Equipment 0, 1, … set up for family 0, changeovers of ten seconds, beginning at second 0.
fn request(equipment: u32, jobs: Vec<Job>) -> Request {
    let unit = |id| Equipment { id: EquipmentId(id), set_to: Some(FamilyId(0)), closed: Vec::new(), changeovers: None };
    let changeovers = Changeovers { otherwise: seconds(10), ..Changeovers::default() };
    Request { from: at(0), equipment: (0..equipment).map(unit).collect(), changeovers, jobs }
}

/// A plan in a line: `job.step@equipment changeover+from..to`, by equipment and time.
fn shown(plan: &Plan) -> String {
    let s = |instant: Timestamp| instant.micros() / 1_000_000;
    let one = |it: &Placed| {
        let changeover = it.changeover.map_or(String::new(), |it| format!("{}..{}+", s(it.from), s(it.to)));
        let OperationId { job, step } = it.operation;
        format!("{}.{step}@{} {changeover}{}..{}", job.0, it.equipment.0, s(it.run.from), s(it.run.to))
    };
    plan.placed.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn planned(request: &Request) -> Plan {
    let plan = Problem::new(request).expect("a good request").plan(Effort { steps: 200, seed: 7 });
    assert_eq!(check(request, &plan), []);
    plan
}

fn late(plan: &Plan, id: u64) -> Option<(u64, Cause)> {
    let outcome = plan.outcomes.iter().find(|outcome| outcome.job == JobId(id)).expect("each order has an outcome");
    outcome.late.map(|late| (late.by.as_secs(), late.cause))
}

#[test]
fn orders_of_a_family_come_together_unless_one_would_be_late() {
    let jobs = |due| {
        let family = |id: u64| u32::try_from(id % 2).expect("0 or 1");
        (1..=4).map(|id| job(id, if id == 2 { due } else { 1_000 }, vec![operation(family(id), &[(0, 20)])])).collect()
    };
    let calm = planned(&request(1, jobs(1_000)));
    assert_eq!(shown(&calm), "2.0@0 0..20, 4.0@0 20..40, 1.0@0 40..50+50..70, 3.0@0 70..90");
    let mut hurried = request(1, jobs(1_000));
    hurried.jobs[0].due = Some(at(30));
    let plan = planned(&hurried);
    assert_eq!(shown(&plan), "1.0@0 0..10+10..30, 3.0@0 30..50, 2.0@0 50..60+60..80, 4.0@0 80..100");
    assert_eq!(plan.objective.weighted_tardiness_us, 0);
}

#[test]
fn the_changeover_is_done_before_the_material_comes_and_around_a_break() {
    let mut wanted = request(1, vec![job(1, 1_000, vec![operation(1, &[(0, 20)])])]);
    wanted.jobs[0].operations[0].material_ready = Some(at(50));
    wanted.equipment[0].closed = vec![span(45, 55)];
    assert_eq!(shown(&planned(&wanted)), "1.0@0 35..45+55..75");
    wanted.equipment[0].closed = vec![span(45, 48)];
    assert_eq!(shown(&planned(&wanted)), "1.0@0 35..45+50..70");
    wanted.changeovers.interruptible = true;
    assert_eq!(shown(&planned(&wanted)), "1.0@0 37..50+50..70");
    wanted.equipment[0].closed = vec![span(60, 100)];
    assert_eq!(shown(&planned(&wanted)), "1.0@0 50..60+100..120");
    wanted.jobs[0].operations[0].interruptible = true;
    assert_eq!(shown(&planned(&wanted)), "1.0@0 40..50+50..110");
}

#[test]
fn what_is_pinned_stays_and_the_others_go_round_it() {
    let one = |id| job(id, 1_000, vec![operation(0, &[(0, 30)])]);
    let mut wanted = request(1, vec![one(1), one(2), one(3)]);
    wanted.jobs[2].operations[0].pin = Some(Pin::Starts { equipment: EquipmentId(0), start: at(40) });
    assert_eq!(shown(&planned(&wanted)), "1.0@0 0..30, 3.0@0 40..70, 2.0@0 70..100");
    // There is room before it for a run, but not for the changeover from it.
    wanted.jobs[2].operations[0].family = FamilyId(1);
    assert_eq!(shown(&planned(&wanted)), "1.0@0 0..30, 3.0@0 30..40+40..70, 2.0@0 70..80+80..110");
    wanted.jobs[2].operations[0].pin = Some(Pin::Starts { equipment: EquipmentId(0), start: at(39) });
    assert_eq!(shown(&planned(&wanted)), "3.0@0 29..39+39..69, 1.0@0 69..79+79..109, 2.0@0 109..139");
    // What runs already has had its changeover.
    wanted.jobs[2].operations[0].pin = Some(Pin::Occupies { equipment: EquipmentId(0), span: span(-10, 5) });
    assert_eq!(shown(&planned(&wanted)), "3.0@0 -10..5, 1.0@0 5..15+15..45, 2.0@0 45..75");
}

#[test]
fn a_drag_times_anew_what_lies_behind_it_and_leaves_the_rest() {
    let one = |id| job(id, 1_000, vec![operation(0, &[(0, 10), (1, 15)]), operation(0, &[(2, 10)])]);
    let mut wanted = request(3, (1..=3).map(one).collect());
    let mut plan = Problem::new(&wanted).expect("a good request").plan(NONE);
    assert_eq!(shown(&plan), "1.0@0 0..10, 3.0@0 10..20, 2.0@1 0..15, 1.1@2 10..20, 2.1@2 20..30, 3.1@2 30..40");
    wanted.jobs[0].operations[0].pin = Some(Pin::NotBefore { equipment: EquipmentId(1), start: at(5) });
    plan = Problem::new(&wanted).expect("a good request").retime(&plan);
    assert_eq!(check(&wanted, &plan), []);
    assert_eq!(shown(&plan), "3.0@0 0..10, 2.0@1 0..15, 1.0@1 15..30, 1.1@2 30..40, 2.1@2 40..50, 3.1@2 50..60");
}

#[test]
fn what_cannot_be_met_is_planned_and_says_what_is_in_the_way() {
    let two = |due| job(1, due, vec![operation(1, &[(0, 30)]), operation(1, &[(1, 30)])]);
    let mut wanted = request(2, vec![two(50)]);
    assert_eq!(late(&planned(&wanted), 1), Some((20, Cause::Work)));
    wanted.jobs[0].due = Some(at(65));
    assert_eq!(late(&planned(&wanted), 1), Some((5, Cause::Changeover)));
    wanted.jobs[0].operations[1].material_ready = Some(at(55));
    assert_eq!(late(&planned(&wanted), 1), Some((20, Cause::Material)));
    wanted.jobs[0].release = Some(at(20));
    assert_eq!(late(&planned(&wanted), 1), Some((20, Cause::Release)));
    wanted = request(2, vec![two(80)]);
    wanted.equipment[1].closed = vec![span(30, 60)];
    assert_eq!(late(&planned(&wanted), 1), Some((10, Cause::Calendar)));
    wanted.equipment[1].closed.clear();
    wanted.jobs[0].operations[1].pin = Some(Pin::NotBefore { equipment: EquipmentId(1), start: at(60) });
    assert_eq!(late(&planned(&wanted), 1), Some((10, Cause::Pin)));
    wanted.jobs[0].operations[1].pin = None;
    wanted.jobs.push(job(2, 30, vec![operation(0, &[(0, 30)])]));
    wanted.jobs[1].weight = NonZeroU16::MAX;
    assert_eq!(late(&planned(&wanted), 1), Some((20, Cause::Capacity)));
    assert_eq!(late(&planned(&wanted), 2), None);
}

#[test]
fn breaches_of_pins_are_told_and_nothing_else_is_in_the_way() {
    let mut wanted = request(
        1,
        vec![
            job(1, 1_000, vec![operation(0, &[(0, 30)]), operation(0, &[(0, 30)])]),
            job(2, 1_000, vec![operation(1, &[(0, 30)])]),
        ],
    );
    wanted.jobs[0].operations[1].pin = Some(Pin::Starts { equipment: EquipmentId(0), start: at(10) });
    wanted.jobs[1].operations[0].pin = Some(Pin::Starts { equipment: EquipmentId(0), start: at(45) });
    let plan = Problem::new(&wanted).expect("a good request").plan(NONE);
    let id = |job, step| OperationId { job: JobId(job), step };
    assert_eq!(shown(&plan), "1.1@0 10..40, 2.0@0 35..45+45..75, 1.0@0 75..85+85..115");
    assert_eq!(
        check(&wanted, &plan),
        [
            Breach::Early { operation: id(1, 1), earliest: at(115) },
            Breach::Overlap { operation: id(2, 0), with: id(1, 1) }
        ]
    );
}

#[test]
fn what_is_wrong_with_a_request_is_said_with_its_remedy() {
    let refused = |change: fn(&mut Request)| {
        let mut wanted = request(2, vec![job(7, 50, vec![operation(0, &[(0, 30)])])]);
        change(&mut wanted);
        Problem::new(&wanted).map(|_| ()).expect_err("is refused").to_string()
    };
    assert_eq!(
        refused(
            |wanted| wanted.jobs[0].operations[0].pin = Some(Pin::Starts { equipment: EquipmentId(1), start: at(0) })
        ),
        "operation 1 of job order 7 is pinned to equipment 1, which is none of its alternatives; pin it to one of them, or give its span"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs[0].operations[0].alternatives[0].equipment = EquipmentId(9)),
        "operation 1 of job order 7 names equipment 9, which is not in the request"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs[0].operations.clear()),
        "job order 7 has no operations; leave it out, or give it its routing"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs[0].operations[0].alternatives.clear()),
        "operation 1 of job order 7 has no equipment; give at least one alternative"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs[0].operations[0].alternatives[0].run = Duration::ZERO),
        "operation 1 of job order 7: 0ns is no time for it; 1µs to 31622400s is"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs[0].due = Some(Timestamp::MAX)),
        "the due date of job order 7: +294247-01-10T04:00:54.775807Z is not in the years 0000 to 9999"
    );
    assert_eq!(
        refused(|wanted| wanted.equipment[1].closed.push(span(5, 5))),
        "the calendar of equipment 1: the span ends at 1970-01-01T00:00:05Z, which is not after its beginning 1970-01-01T00:00:05Z"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs.push(wanted.jobs[0].clone())),
        "job order 7 is there twice; give each its own number"
    );
    assert_eq!(
        refused(|wanted| wanted.jobs = vec![wanted.jobs[0].clone(); 5_001]),
        "5001 job orders; at most 5000 can be planned at once"
    );
}

/// The ends of all ranges at once: nothing overflows.
#[test]
fn the_longest_of_all_has_a_plan() {
    let mut wanted = request(1, Vec::new());
    let long = Operation { wait: LONGEST, ..operation(1, &[(0, LONGEST.as_secs())]) };
    wanted.jobs = (0..100).map(|id| job(id, 0, vec![long.clone(); 100])).collect();
    wanted.from = Timestamp::LAST_DATE;
    wanted.changeovers.otherwise = LONGEST;
    wanted.changeovers.times.insert((FamilyId(1), FamilyId(1)), LONGEST);
    wanted.equipment[0].closed = vec![Span { from: Timestamp::FIRST_DATE, to: Timestamp::LAST_DATE }];
    let problem = Problem::new(&wanted).expect("a good request");
    let plan = problem.plan(NONE);
    assert_eq!(check(&wanted, &plan), []);
    assert!(problem.bound(&plan, 1).end <= plan.objective.end);
}

fn any_operation(equipment: u32) -> impl Strategy<Value = Operation> {
    let alternatives = proptest::collection::btree_map(0..equipment, 1u64..12, 1..=equipment as usize);
    let material = proptest::option::weighted(0.2, 0i64..40);
    (alternatives, 0u32..3, any::<bool>(), 0u64..4, material).prop_map(
        |(alternatives, family, interruptible, wait, material)| {
            let alternatives: Vec<_> = alternatives.into_iter().collect();
            Operation {
                interruptible,
                wait: seconds(wait.saturating_sub(2)),
                material_ready: material.map(at),
                ..operation(family, &alternatives)
            }
        },
    )
}

fn any_changeovers() -> impl Strategy<Value = Changeovers> {
    let times = proptest::collection::btree_map((0u32..3, 0u32..3), 0u64..6, 0..6);
    (0u64..5, times, any::<bool>()).prop_map(|(otherwise, times, interruptible)| Changeovers {
        otherwise: seconds(otherwise),
        times: times.into_iter().map(|((from, to), time)| ((FamilyId(from), FamilyId(to)), seconds(time))).collect(),
        interruptible,
    })
}

/// Requests of a few orders, with calendars, releases and all; nothing pinned.
/// Of a unit: the family it is set to, its closed spans, its changeovers.
type Drawn<C> = (Option<u32>, Vec<(i64, i64)>, C);

fn any_request(jobs: usize, steps: usize) -> impl Strategy<Value = Request> {
    (1u32..4).prop_flat_map(move |equipment| {
        let closed = proptest::collection::vec((0i64..80, 1i64..12), 0..4);
        let unit = (proptest::option::of(0u32..3), closed, proptest::option::weighted(0.3, any_changeovers()));
        let units = proptest::collection::vec(unit, equipment as usize);
        let job = (
            proptest::option::of(0i64..30),
            proptest::option::weighted(0.9, 0i64..60),
            1u16..5,
            proptest::collection::vec(any_operation(equipment), 1..=steps),
        );
        (units, any_changeovers(), proptest::collection::vec(job, 1..=jobs)).prop_map(|(units, changeovers, jobs)| {
            let unit = |(id, (set_to, closed, changeovers)): (u32, Drawn<_>)| Equipment {
                id: EquipmentId(id),
                set_to: set_to.map(FamilyId),
                closed: closed.into_iter().map(|(from, length)| span(from, from + length)).collect(),
                changeovers,
            };
            let job = |(id, (release, due, weight, operations)): (u64, (Option<i64>, Option<i64>, u16, _))| Job {
                id: JobId(id),
                release: release.map(at),
                due: due.map(at),
                weight: NonZeroU16::new(weight).expect("is more than zero"),
                operations,
            };
            Request {
                from: at(0),
                equipment: (0..).zip(units).map(unit).collect(),
                changeovers,
                jobs: (1..).zip(jobs).map(job).collect(),
            }
        })
    })
}

/// Pins some operations: for each, its kind, an alternative and an instant.
fn pin(request: &mut Request, pins: &[(usize, u8, usize, i64)]) {
    let mut operations: Vec<_> = request.jobs.iter_mut().flat_map(|job| &mut job.operations).collect();
    let count = operations.len();
    for (which, kind, alternative, start) in pins {
        let operation = &mut operations[which % count];
        let alternative = operation.alternatives[alternative % operation.alternatives.len()];
        let equipment = alternative.equipment;
        operation.pin = Some(match kind % 3 {
            0 => Pin::NotBefore { equipment, start: at(*start) },
            1 => Pin::Starts { equipment, start: at(*start) },
            _ => Pin::Occupies { equipment, span: span(start - 20, start - 20 + 7) },
        });
    }
}

fn is_fixed(request: &Request, id: OperationId) -> bool {
    let job = request.jobs.iter().find(|job| job.id == id.job).expect("is known");
    matches!(job.operations[id.step].pin, Some(Pin::Starts { .. } | Pin::Occupies { .. }))
}

/// What a pin can make impossible.
fn is_of_a_pin(request: &Request, breach: Breach) -> bool {
    match breach {
        Breach::Early { operation, .. }
        | Breach::Closed(operation)
        | Breach::Overlap { operation, .. }
        | Breach::Changeover { operation, .. } => is_fixed(request, operation),
        _ => false,
    }
}

/// What every sequence with every choice of equipment comes to.
fn every_plan(problem: &Problem) -> Vec<Worth> {
    let free = |job: &super::problem::Job| {
        problem.operations[job.first..job.after].iter().filter(|op| op.fixed.is_none()).count()
    };
    let mut left: Vec<usize> = problem.jobs.iter().map(free).collect();
    let mut orders = Vec::new();
    permute(&mut left, &mut Vec::new(), &mut orders);
    let mut choices = vec![Vec::new()];
    for op in &problem.operations {
        let longer =
            |chosen: Vec<usize>| (0..op.choices.len().max(1)).map(move |choice| [&chosen[..], &[choice]].concat());
        choices = choices.into_iter().flat_map(longer).collect();
    }
    let mut builder = Builder::new(problem);
    let mut all = Vec::with_capacity(orders.len() * choices.len());
    for jobs in orders {
        for choices in &choices {
            let sequence = Sequence { jobs: jobs.clone(), choices: choices.clone() };
            let worth = search::build(problem, &mut builder, &sequence, u128::MAX, &mut Vec::new());
            all.push(worth.expect("the sequence is whole"));
        }
    }
    all
}

fn permute(left: &mut [usize], prefix: &mut Vec<usize>, orders: &mut Vec<Vec<usize>>) {
    if left.iter().all(|count| *count == 0) {
        return orders.push(prefix.clone());
    }
    for job in (0..left.len()).filter(|job| left[*job] > 0).collect::<Vec<_>>() {
        left[job] -= 1;
        prefix.push(job);
        permute(left, prefix, orders);
        prefix.pop();
        left[job] += 1;
    }
}

proptest! {
    #[test]
    fn every_plan_keeps_every_rule(wanted in any_request(6, 4), seed: u64) {
        let problem = Problem::new(&wanted).expect("a good request");
        let first = problem.plan(NONE);
        let plan = problem.plan(Effort { steps: 60, seed });
        let bound = problem.bound(&plan, 10);
        for plan in [&first, &plan] {
            prop_assert_eq!(check(&wanted, plan), []);
            prop_assert!(bound.weighted_tardiness_us <= plan.objective.weighted_tardiness_us);
            prop_assert!(bound.changeover <= plan.objective.changeover);
            prop_assert!(bound.end <= plan.objective.end);
        }
        prop_assert!(plan.objective <= first.objective);
        prop_assert_eq!(&problem.retime(&plan), &plan, "nothing has changed");
        let improved = problem.improve(&plan, Effort { steps: 20, seed });
        prop_assert!(improved.objective <= plan.objective);
    }

    /// With pins too, but for what they make impossible.
    #[test]
    fn what_is_pinned_stays_and_all_else_keeps_every_rule(
        mut wanted in any_request(6, 4),
        pins in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<usize>(), 0i64..60), 1..5),
        seed: u64,
    ) {
        let before = Problem::new(&wanted).expect("a good request").plan(NONE);
        pin(&mut wanted, &pins);
        let problem = Problem::new(&wanted).expect("a good request");
        let plan = problem.plan(Effort { steps: 60, seed });
        let dragged = problem.retime(&before);
        let bound = problem.bound(&plan, 10);
        for plan in [&plan, &dragged] {
            for breach in check(&wanted, plan) {
                prop_assert!(is_of_a_pin(&wanted, breach), "{:?} in {}", breach, shown(plan));
            }
            prop_assert!(bound.weighted_tardiness_us <= plan.objective.weighted_tardiness_us);
            prop_assert!(bound.changeover <= plan.objective.changeover);
            prop_assert!(bound.end <= plan.objective.end);
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against all plans there are: bound ≤ best ≤ found, each part of the bound for itself.
    #[test]
    fn the_bound_is_one_and_the_search_finds_the_best_of_few(
        mut wanted in any_request(4, 2),
        pins in proptest::collection::vec((any::<usize>(), any::<u8>(), any::<usize>(), 0i64..60), 0..2),
    ) {
        wanted.jobs.truncate(if wanted.jobs.iter().any(|job| job.operations.len() > 1) { 3 } else { 4 });
        wanted.jobs.iter_mut().flat_map(|job| &mut job.operations).for_each(|it| it.alternatives.truncate(2));
        pin(&mut wanted, &pins);
        let problem = Problem::new(&wanted).expect("a good request");
        let found = problem.plan(Effort { steps: 300, seed: 1 });
        let bound = problem.bound(&found, 40);
        let all = every_plan(&problem);
        let best = all.iter().min().expect("there is a plan");
        prop_assert!(best.tardiness <= found.objective.weighted_tardiness_us);
        for plan in &all {
            prop_assert!(bound.weighted_tardiness_us <= plan.tardiness);
            prop_assert!(bound.changeover.as_micros() <= u128::from(plan.changeover.unsigned_abs()));
            prop_assert!(bound.end.micros() <= plan.end);
        }
    }
}

proptest! {

    /// The checker sees what is moved by a second, wherever it is.
    #[test]
    fn the_checker_sees_what_is_moved(wanted in any_request(5, 3), which: usize, later: bool) {
        let mut plan = Problem::new(&wanted).expect("a good request").plan(NONE);
        let count = plan.placed.len();
        let run = &mut plan.placed[which % count].run;
        *run = if later { Span { from: run.from, to: run.to.plus(seconds(1)) } } else { Span { from: run.from.minus(seconds(1)), to: run.to } };
        prop_assert_ne!(check(&wanted, &plan), []);
    }
}
