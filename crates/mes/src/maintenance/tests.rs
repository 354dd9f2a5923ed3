//! Tests of maintenance: who works, what is due, what failures come to.

use super::due::{By, State, Used, look};
use super::figures::{Failure, count, down, length, merged};
use super::ledger::Content;
use super::work::{Deed, DeedError, after, may};
use crate::job::{Ending, Interruption, JobState, Prepared, Stored};
use crate::master::MaintenancePlan;
use crate::quantity::Quantity;
use andon_model::Timestamp;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::time::Duration;
use uuid::Uuid;

const fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(seconds * 1_000_000)
}

const fn person(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn plan() -> MaintenancePlan {
    MaintenancePlan {
        title: "Oil".to_owned(),
        equipment: "works/press".to_owned(),
        every: None,
        every_cycles: None,
        every_run_time: None,
        condition: None,
        begins: None,
        lead: Duration::ZERO,
        within: Duration::from_secs(50),
        estimated: None,
        priority: 5,
        skills: Vec::new(),
        instructions: Vec::new(),
        parts: Vec::new(),
    }
}

#[test]
fn people_come_and_go_while_it_runs_and_the_last_one_ends_it() {
    let (ada, bob) = (person(1), person(2));
    let begun = after(JobState::new(Stored::AndStart), &[], Deed::Begin, ada).expect("it begins");
    assert_eq!((begun.state, begun.begins, begun.ends), (JobState::Running, vec![ada], vec![]));
    let running = |at_work: &[Uuid], deed, who| after(JobState::Running, at_work, deed, who);
    assert_eq!(running(&[ada], Deed::Join, bob).expect("joins").begins, [bob]);
    assert_eq!(running(&[ada, bob], Deed::Leave, ada).expect("leaves").ends, [ada]);
    assert_eq!(running(&[ada], Deed::Join, ada), Err(DeedError::There));
    assert_eq!(running(&[ada], Deed::Leave, bob), Err(DeedError::NotThere));
    assert_eq!(running(&[ada], Deed::Leave, ada), Err(DeedError::Last));
    let paused = running(&[ada, bob], Deed::Pause(Interruption::Held), bob).expect("pauses");
    assert_eq!((paused.state, paused.ends), (JobState::Interrupted(Interruption::Held), vec![ada, bob]));
    let finished = running(&[ada, bob], Deed::Finish, bob).expect("finishes");
    assert_eq!((finished.state, finished.ends.len()), (JobState::Ended(Ending::Completed), 2));
    assert!(matches!(after(paused.state, &[], Deed::Join, bob), Err(DeedError::NotRunning(_))));
    assert_eq!(after(paused.state, &[], Deed::Resume, bob).expect("resumes").begins, [bob]);
    assert_eq!(may(JobState::Running, &[ada]), ["cancel", "finish", "join", "pause"]);
    assert_eq!(may(JobState::Running, &[ada, bob]), ["cancel", "finish", "join", "leave", "pause"]);
    assert_eq!(may(JobState::AllowedToStart(Prepared::Waiting), &[]), ["begin", "cancel", "prepare", "revoke"]);
    assert_eq!(may(JobState::Ended(Ending::Completed), &[]), ["close"]);
    assert_eq!(may(JobState::Aborted, &[]), [""; 0]);
}

#[test]
fn a_plan_is_due_by_the_first_measure_that_is_reached() {
    let plan = MaintenancePlan {
        every: Some(Duration::from_secs(1_000)),
        every_cycles: Quantity::pieces(100),
        every_run_time: Some(Duration::from_secs(500)),
        lead: Duration::from_secs(100),
        ..plan()
    };
    let used = |produced: i64, operating: i64| Used {
        produced: Quantity::pieces(produced),
        operating: Some(operating * 1_000_000),
        alarm: false,
    };
    let check = |used: &Used, due_since, now: i64| {
        let standing = look(&plan, at(0), used, due_since, at(now));
        (standing.state, standing.due_by, standing.forecast.map(|at| at.micros() / 1_000_000))
    };
    assert_eq!(check(&used(0, 0), None, 10), (State::Ok, None, Some(1_000)));
    assert_eq!(check(&used(10, 20), None, 100), (State::Ok, None, Some(1_000)));
    // A fifth of the items in 100 s: in 400 s more.
    assert_eq!(check(&used(20, 20), None, 100), (State::Ok, None, Some(500)));
    assert_eq!(check(&used(80, 20), None, 320), (State::Soon, None, Some(400)));
    assert_eq!(check(&used(100, 20), None, 320), (State::Due, Some(By::Cycles), Some(320)));
    assert_eq!(check(&used(10, 500), None, 600), (State::Due, Some(By::RunTime), Some(600)));
    assert_eq!(check(&used(10, 20), None, 900).0, State::Soon);
    assert_eq!(check(&used(10, 20), None, 999).1, None);
    assert_eq!(check(&used(10, 20), None, 1_000), (State::Due, Some(By::Time), Some(1_000)));
    // It stays due, and becomes overdue, by when it was found to be.
    assert_eq!(check(&used(0, 0), Some(at(300)), 350).0, State::Due);
    assert_eq!(check(&used(0, 0), Some(at(300)), 351).0, State::Overdue);
    // A clock that was set back.
    assert_eq!(check(&used(0, 0), None, -50), (State::Ok, None, Some(1_000)));
    let alarm = Used { alarm: true, ..used(0, 0) };
    assert_eq!(check(&alarm, None, 10).1, Some(By::Condition));
    let unknown = look(&plan, at(0), &Used::default(), None, at(10));
    assert_eq!((unknown.measures[1].used, unknown.state), (None, State::Ok));
}

fn failure(path: &str, code: Option<&str>, failed: i64, restored: Option<i64>) -> Failure {
    Failure { path: path.to_owned(), code: code.map(str::to_owned), failed: at(failed), restored: restored.map(at) }
}

#[test]
fn a_failure_counts_where_it_begins_and_its_repair_where_it_ends() {
    let all = [
        failure("works/press", Some("Jam"), 90, Some(110)),
        failure("works/press", Some("Jam"), 150, Some(160)),
        failure("works/oven", None, 180, Some(220)),
        failure("works/oven", None, 199, None),
    ];
    let counted = count(&all, at(100), at(200));
    assert_eq!((counted.all.failures, counted.all.restored, counted.all.repair), (3, 2, 30_000_000));
    assert_eq!(counted.open, 2);
    assert_eq!(counted.codes[&Some("Jam".to_owned())].repair, 30_000_000);
    assert_eq!(counted.codes[&None].failures, 2);
    // On the edge: what begins with the window is in it, what begins with its end is not.
    assert_eq!(count(&all, at(90), at(150)).all.failures, 1);
    let down_of = |unit| down(unit, &all, at(100), at(200));
    assert_eq!(down_of("works/press"), [(100_000_000, 110_000_000), (150_000_000, 160_000_000)]);
    assert_eq!(down_of("works/oven"), [(180_000_000, 200_000_000)]);
    assert_eq!(down_of("works/mill"), []);
    // A failure of the line is one of each unit in it, and one of a part of the unit is the unit's.
    let line = [failure("works", None, 120, Some(130)), failure("works/press/pump", None, 125, Some(140))];
    assert_eq!(down("works/press", &line, at(100), at(200)), [(120_000_000, 140_000_000)]);
}

#[test]
fn the_json_of_a_ledger_stays_as_it_is() {
    let deed = Content::Deed { deed: "pause".to_owned(), into: Some("Held".to_owned()), reason: None, wish: None };
    let part = Content::Part {
        material: "SEAL".to_owned(),
        lot: Some("L1".to_owned()),
        serial: None,
        quantity_millionths: 2_000_000,
        note: None,
    };
    for (content, wanted) in [
        (deed, r#"{"kind":"deed","deed":"pause","into":"Held"}"#),
        (part, r#"{"kind":"part","material":"SEAL","lot":"L1","quantity_millionths":2000000}"#),
        (Content::Made { wish: "{}".to_owned() }, r#"{"kind":"made","wish":"{}"}"#),
    ] {
        assert_eq!(serde_json::to_string(&content).expect("it is JSON"), wanted);
        assert_eq!(serde_json::from_str::<Content>(wanted).expect("it reads back"), content);
    }
}

proptest! {
    /// Whatever is done, somebody works on an order exactly while it runs, nobody twice, and the time of work is that of its running.
    #[test]
    fn somebody_works_exactly_while_it_runs(all in proptest::collection::vec((0usize..11, 0u128..3), 0..60)) {
        let mut state = JobState::new(Stored::Only);
        let mut at_work: Vec<Uuid> = Vec::new();
        let mut open: BTreeMap<Uuid, i64> = BTreeMap::new();
        let (mut spans, mut running) = (Vec::new(), 0);
        // A deed is done at the end of its second; after the last one nothing happens until the end.
        let end = 1_000;
        let rest = end - i64::try_from(all.len()).expect("at most 60");
        for (second, (deed, who)) in (0i64..).zip(all) {
            running += i64::from(state == JobState::Running);
            let Ok(done) = after(state, &at_work, Deed::all()[deed], person(who)) else { continue };
            for ends in done.ends {
                prop_assert!(at_work.contains(&ends));
                at_work.retain(|one| *one != ends);
                spans.push((open.remove(&ends).expect("it had begun"), second + 1));
            }
            for begins in done.begins {
                prop_assert!(!at_work.contains(&begins), "twice");
                at_work.push(begins);
                open.insert(begins, second + 1);
            }
            state = done.state;
            prop_assert_eq!(state == JobState::Running, !at_work.is_empty());
        }
        running += if state == JobState::Running { rest } else { 0 };
        spans.extend(open.values().map(|from| (*from, end)));
        prop_assert_eq!(length(spans.iter().copied()), running);
    }

    /// Windows that follow each other add up, and so does equipment; and the sums are what a plain count of instants finds.
    #[test]
    fn figures_add_up_over_windows_and_equipment(
        all in proptest::collection::vec((0usize..3, 0i64..100, proptest::option::of(0i64..60), proptest::bool::ANY), 0..20),
        cut in 0i64..120,
    ) {
        let paths = ["works/a", "works/b", "works/b/pump"];
        let failures: Vec<Failure> = all.iter().map(|(path, failed, lasts, coded)| {
            failure(paths[*path], coded.then_some("Jam"), *failed, lasts.map(|lasts| failed + lasts))
        }).collect();
        let whole = count(&failures, at(0), at(200));
        let parts = [count(&failures, at(0), at(cut)), count(&failures, at(cut), at(200))];
        prop_assert_eq!(whole.all.failures, parts.iter().map(|part| part.all.failures).sum::<u64>());
        prop_assert_eq!(whole.all.restored, parts.iter().map(|part| part.all.restored).sum::<u64>());
        prop_assert_eq!(whole.all.repair, parts.iter().map(|part| part.all.repair).sum::<i64>());
        let of = |path: &str| -> Vec<Failure> { failures.iter().filter(|one| one.path == path).cloned().collect() };
        let each: Vec<_> = paths.iter().map(|path| count(&of(path), at(0), at(200))).collect();
        prop_assert_eq!(whole.all.failures, each.iter().map(|one| one.all.failures).sum::<u64>());
        prop_assert_eq!(whole.open, each.iter().map(|one| one.open).sum::<u64>());
        let coded: u64 = whole.codes.values().map(|code| code.failures).sum();
        prop_assert_eq!(whole.all.failures, coded);
        // MTTR × restorations is the time to restore.
        let plain: i64 = failures.iter().filter_map(|one| Some(one.restored?.micros() - one.failed.micros())).sum();
        prop_assert_eq!(whole.all.repair, plain);
        for unit in ["works/a", "works/b"] {
            let spans = down(unit, &failures, at(0), at(200));
            let plain = (0..200).filter(|second| failures.iter().any(|one| {
                (one.path == unit || one.path.starts_with(&format!("{unit}/")))
                    && one.failed <= at(*second) && one.restored.is_none_or(|end| at(*second) < end)
            })).count();
            prop_assert_eq!(length(spans.clone()), i64::try_from(plain).unwrap_or(0) * 1_000_000);
            prop_assert_eq!(merged(spans.clone()), spans);
        }
    }
}
