//! Orders and jobs by their rules, and under whatever is done to them; and jobs on their way into a plan and back.

use super::begin::{Begin, BeginError, HeldSkill, Instruction, Seen, Standing, Warning, look, missing_skills, place};
use super::ledger::Content;
use super::plan::{Answer, Unit, Unmet, Wanted, ask};
use super::*;
use crate::job::{Interruption, Prepared};
use crate::schedule::{Cause, Effort, Span};
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn pieces(count: i64) -> Quantity {
    Quantity::pieces(count).expect("few pieces")
}

fn strings(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Ids from `first` on.
fn ids(first: u128) -> impl FnMut() -> Uuid {
    let mut next = first;
    move || {
        next += 1;
        Uuid::from_u128(next - 1)
    }
}

const ACTIONS: [Action; 5] = [Action::Release, Action::Revoke, Action::Cancel, Action::Close, Action::Change];

/// An operation of a second per item.
fn operation(name: &str, equipment: &[&str]) -> Operation {
    let (name, equipment) = (name.to_owned(), strings(equipment));
    Operation { title: format!("Step {name}"), name, equipment, run_time_ns: 1_000_000_000, ..Operation::default() }
}

fn jobs(operations: &[Operation], stored: Stored) -> Vec<JobOrder> {
    jobs_of("4711", "bolt", operations, pieces(100), stored, ids(1)).expect("good operations")
}

fn two() -> Vec<JobOrder> {
    jobs(&[operation("10", &["press"]), operation("20", &["oven", "oven2"])], Stored::AndStart)
}

fn states(jobs: &[JobOrder]) -> OrderState {
    state_of(jobs.iter().map(|job| job.state))
}

#[test]
fn an_order_has_a_job_for_each_operation_that_follows_the_one_before_it() {
    let mut side = operation("30", &["oven"]);
    side.after = Some(strings(&["10"]));
    let mut last = operation("40", &[]);
    last.after = Some(strings(&["20", "30", "20"]));
    let jobs = jobs(&[operation("10", &["press"]), operation("20", &["oven", "oven2"]), side, last], Stored::Only);
    let shown: Vec<_> = jobs.iter().map(|job| (job.number.as_str(), job.equipment.as_deref(), &job.after)).collect();
    let id = Uuid::from_u128;
    assert_eq!(
        shown,
        [
            ("4711/10", Some("press"), &vec![]),
            ("4711/20", None, &vec![id(1)]),
            ("4711/30", Some("oven"), &vec![id(1)]),
            ("4711/40", None, &vec![id(2), id(3)]),
        ]
    );
    assert!(jobs.iter().all(|job| job.state == JobState::NotAllowedToStart(Prepared::Waiting)));
}

#[test]
fn what_cannot_be_made_is_told_with_what_to_do() {
    let refused = |operations: &[Operation], quantity| {
        jobs_of("4711", "bolt", operations, quantity, Stored::Only, ids(1)).expect_err("refused").to_string()
    };
    let mut itself = operation("10", &[]);
    itself.after = Some(strings(&["10"]));
    let mut later = operation("10", &[]);
    later.after = Some(strings(&["20"]));
    let many: Vec<_> = (0..201).map(|n| operation(&n.to_string(), &[])).collect();
    assert!(refused(&[], pieces(1)).starts_with("bolt has no operations: it is bought"));
    assert!(refused(&many, pieces(1)).starts_with("201 operations"));
    assert!(refused(&[operation("10", &[])], pieces(0)).starts_with("0 is no quantity"));
    assert!(refused(&[operation("10", &[])], pieces(-1)).starts_with("-1 is no quantity"));
    assert!(refused(&[operation("10", &[]), operation("10", &[])], pieces(1)).contains("twice"));
    assert!(refused(&[itself], pieces(1)).contains("10 comes after 10"));
    assert!(refused(&[later, operation("20", &[])], pieces(1)).contains("10 comes after 20"));
}

#[test]
fn an_order_is_in_what_its_jobs_are_in() {
    let waits = JobState::NotAllowedToStart(Prepared::Ready);
    let may = JobState::AllowedToStart(Prepared::Loaded);
    let held = JobState::Interrupted(Interruption::Held);
    let (done, closed) = (JobState::Ended(Ending::Completed), JobState::Ended(Ending::Closed));
    let (runs, gone) = (JobState::Running, JobState::Aborted);
    for (jobs, wanted) in [
        (vec![], OrderState::Forecast),
        (vec![waits, waits], OrderState::Forecast),
        (vec![waits, gone], OrderState::Forecast),
        (vec![may, waits], OrderState::Released),
        (vec![may, gone], OrderState::Released),
        (vec![runs, waits], OrderState::Running),
        (vec![held, may], OrderState::Running),
        (vec![done, may], OrderState::Running),
        (vec![closed, waits], OrderState::Running),
        (vec![done, runs], OrderState::Running),
        (vec![done, closed], OrderState::Completed),
        (vec![done, gone], OrderState::Completed),
        (vec![closed, closed], OrderState::Closed),
        (vec![closed, gone], OrderState::Closed),
        (vec![gone, gone], OrderState::Cancelled),
    ] {
        assert_eq!(state_of(jobs.iter().copied()), wanted, "{jobs:?}");
    }
}

#[test]
fn actions_of_an_order_are_triggers_on_its_jobs() {
    let waiting = || jobs(&[operation("10", &["press"]), operation("20", &["oven"])], Stored::Only);
    let done = |action: Action, mut jobs: Vec<JobOrder>| {
        for (place, _, state) in action.triggers("4711", &jobs).map_err(|error| error.to_string())? {
            jobs[place].state = state;
        }
        Ok::<_, String>(jobs)
    };
    let released = done(Action::Release, waiting()).expect("released");
    assert_eq!(states(&released), OrderState::Released);
    assert_eq!(states(&done(Action::Revoke, released.clone()).expect("revoked")), OrderState::Forecast);
    assert_eq!(states(&done(Action::Cancel, released.clone()).expect("cancelled")), OrderState::Cancelled);
    let again = done(Action::Release, released.clone()).expect_err("nothing to release");
    assert_eq!(again, "order 4711 is Released: no job of it waits for its release");

    let mut running = released;
    running[0].state = JobState::Running;
    let refused = done(Action::Cancel, running.clone()).expect_err("it runs");
    assert_eq!(refused, "job 4711/10 is Running: stop it or abort it at its equipment first, then cancel the order");
    assert!(done(Action::Change, running.clone()).expect_err("it runs").contains("before its first job begins"));
    assert!(done(Action::Close, running.clone()).expect_err("it runs").contains("4711/10 is Running"));
    let revoked = done(Action::Revoke, running.clone()).expect("the other one is revoked");
    assert_eq!((revoked[0].state, states(&revoked)), (JobState::Running, OrderState::Running));

    running[0].state = JobState::Ended(Ending::Completed);
    let rest = done(Action::Cancel, running).expect("the rest is given up");
    assert_eq!(states(&rest), OrderState::Completed);
    let closed = done(Action::Close, rest).expect("closed");
    assert_eq!(states(&closed), OrderState::Closed);
    for action in ACTIONS {
        assert!(done(action, closed.clone()).is_err(), "{action:?} of what is closed");
    }
    let known = |jobs: &[JobOrder]| ACTIONS.into_iter().filter(|it| it.triggers("", jobs).is_ok()).collect::<Vec<_>>();
    assert_eq!(known(&waiting()), [Action::Release, Action::Cancel, Action::Change]);
    assert_eq!(known(&closed), []);
}

#[test]
fn a_state_says_what_can_be_asked_of_a_job() {
    let words = |state| may_words(state).join(" ");
    assert_eq!(words(JobState::NotAllowedToStart(Prepared::Waiting)), "abort prepare");
    assert_eq!(words(JobState::AllowedToStart(Prepared::Ready)), "abort begin prepare");
    assert_eq!(words(JobState::Running), "abort pause stop");
    assert_eq!(words(JobState::Interrupted(Interruption::Held)), "abort pause resume stop");
    assert_eq!(words(JobState::Ended(Ending::Completed)), "close");
    assert_eq!(words(JobState::Aborted), "");
}

#[test]
fn a_job_remembers_its_first_begin_and_its_end() {
    let mut job = two().remove(0);
    for (trigger, seconds) in [
        (Trigger::Begin, 10),
        (Trigger::Pause(Interruption::Held), 20),
        (Trigger::Resume, 30),
        (Trigger::Stop, 40),
        (Trigger::Close, 50),
    ] {
        job = job.after(trigger, at(seconds)).expect("the table knows it");
    }
    assert_eq!((job.started, job.ended), (Some(at(10)), Some(at(40))));
}

/// A begin of the second job by operator 7, who is qualified and has seen everything.
fn begin_with(
    change: impl FnOnce(&mut Vec<JobOrder>, &mut Vec<HeldSkill>, &mut Vec<Seen>),
) -> Result<Vec<Warning>, BeginError> {
    let mut order = two();
    order[1].skills = strings(&["welding"]);
    let mut held = vec![HeldSkill { skill: "welding".to_owned(), until: Some(at(1_000)) }];
    let sha256 = "ab".repeat(32);
    let instructions = [Instruction { name: "W-1".to_owned(), revision: "B".to_owned(), sha256: sha256.clone() }];
    let mut seen = vec![Seen { instruction: "W-1".to_owned(), sha256, by: Uuid::from_u128(7) }];
    change(&mut order, &mut held, &mut seen);
    look(&Begin {
        job: &order[1],
        order: &order,
        equipment: "oven",
        standing: None,
        operator: Uuid::from_u128(7),
        held: &held,
        instructions: &instructions,
        seen: &seen,
        now: at(999),
    })
}

#[test]
fn who_begins_a_job_is_qualified_and_has_seen_what_is_in_force() {
    let warned = begin_with(|_, _, _| {}).expect("it may begin");
    assert_eq!(warned.len(), 1);
    assert_eq!(
        warned[0].to_string(),
        "job 4711/10, which comes before, is AllowedToStart (Waiting) and has made nothing yet"
    );
    let calm = begin_with(|order, _, _| order[0].totals.good = pieces(1)).expect("it may begin");
    assert_eq!(calm, []);
    let given_up = begin_with(|order, _, _| order[0].state = JobState::Aborted).expect("it may begin");
    assert_eq!(given_up, [], "nothing comes of it any more");

    let refused = |change: fn(&mut Vec<JobOrder>, &mut Vec<HeldSkill>, &mut Vec<Seen>)| {
        begin_with(change).expect_err("refused").to_string()
    };
    assert!(
        refused(|_, held, _| held[0].until = Some(at(999)))
            .starts_with("the operator is not qualified: welding (expired")
    );
    assert_eq!(refused(|_, held, _| held.clear()), "the operator is not qualified: welding");
    assert!(refused(|_, _, seen| seen.clear()).starts_with("not yet confirmed as seen: W-1 B;"));
    assert!(
        refused(|_, _, seen| seen[0].sha256 = "cd".repeat(32)).starts_with("not yet confirmed"),
        "an older revision"
    );
    assert!(refused(|_, _, seen| seen[0].by = Uuid::from_u128(8)).starts_with("not yet confirmed"), "somebody else");
    assert!(refused(|order, _, _| order[1].state = JobState::Running).contains("has no \"begin\""));
    assert!(refused(|order, _, _| order[1].alternatives = strings(&["press"])).contains("cannot be done on oven"));
}

#[test]
fn a_skill_counts_until_the_last_of_its_times() {
    let held = |until: Option<i64>| HeldSkill { skill: "welding".to_owned(), until: until.map(at) };
    let missing = |held: &[HeldSkill]| missing_skills(&strings(&["welding"]), held, at(100));
    assert_eq!(missing(&[held(Some(50)), held(Some(101))]), []);
    assert_eq!(missing(&[held(None)]), []);
    assert_eq!(missing(&[held(Some(50)), held(Some(100))])[0].expired, Some(at(100)));
}

#[test]
fn on_a_unit_stands_one_job_and_the_second_is_told_which() {
    let order = two();
    let standing =
        Standing { job: Uuid::from_u128(99), number: "4700/20".to_owned(), since: at(5), by: Uuid::from_u128(3) };
    let begin = |standing: &Standing| {
        let nothing = (&[][..], &[][..], &[][..]);
        look(&Begin {
            job: &order[0],
            order: &order,
            equipment: "press",
            standing: Some(standing),
            operator: Uuid::from_u128(7),
            held: nothing.0,
            instructions: nothing.1,
            seen: nothing.2,
            now: at(10),
        })
    };
    let refused = begin(&standing).expect_err("it is occupied");
    assert!(refused.to_string().starts_with("job 4700/20 stands on press since 1970-01-01T00:00:05"), "{refused}");
    assert!(matches!(&refused, BeginError::Occupied { standing: found, .. } if *found == standing));
    assert!(begin(&Standing { job: order[0].id, ..standing }).is_ok(), "it does not stand in its own way");
}

#[test]
fn where_a_job_begins_is_asked_or_decided() {
    let [only, either] = <[JobOrder; 2]>::try_from(two()).expect("two jobs");
    assert_eq!(place(&only, None), Ok("press"));
    assert_eq!(place(&either, Some("oven2")), Ok("oven2"));
    assert_eq!(
        place(&either, None).expect_err("nobody said").to_string(),
        "job 4711/20 can be done on oven, oven2: say on which"
    );
    assert!(place(&only, Some("oven")).is_err());
    let anywhere = JobOrder { alternatives: Vec::new(), equipment: None, ..only };
    assert_eq!(place(&anywhere, Some("bench")), Ok("bench"));
    assert!(place(&anywhere, None).is_err());
}

fn counted(good: i64, scrap: i64, rework: i64, reason: Option<&str>) -> Count {
    let [good, scrap, rework] = [good, scrap, rework].map(pieces);
    Count { good, scrap, rework, reason: reason.map(str::to_owned) }
}

#[test]
fn a_count_has_its_reason_and_leaves_no_total_below_zero() {
    let so_far = Totals { good: pieces(5), scrap: pieces(2), rework: pieces(0) };
    let add = |count: &Count| count::add(JobState::Running, so_far, count).map_err(|error| error.to_string());
    assert_eq!(add(&counted(3, 0, 0, None)), Ok(Totals { good: pieces(8), ..so_far }));
    assert_eq!(
        add(&counted(2, -2, 0, Some("sorted"))),
        Ok(Totals { good: pieces(7), scrap: pieces(0), rework: pieces(0) })
    );
    let refused = |count: &Count| add(count).expect_err("refused");
    assert!(refused(&counted(0, 0, 0, Some("x"))).starts_with("nothing was counted"));
    assert!(refused(&counted(0, 1, 0, None)).starts_with("scrap without a reason"));
    assert!(refused(&counted(0, 0, 1, Some("  "))).starts_with("rework without a reason"));
    assert_eq!(refused(&counted(-6, 0, 0, None)), "-6 good would leave less than none: 5 were counted so far");
    assert!(refused(&counted(0, -3, 0, Some("x"))).contains("-3 scrap"));
    for huge in [pieces(1_000_000_001), Quantity::from_millionths(i64::MAX)] {
        assert!(refused(&Count { good: huge, ..Count::default() }).contains("more than can be counted"));
    }
    assert!(add(&counted(1_000_000_000, 0, 0, None)).is_ok());
    let many = Totals { good: pieces(2_000_000_000), ..Totals::default() };
    assert!(count::add(JobState::Running, many, &counted(-1_000_000_001, 0, 0, None)).is_err());
    let full = Totals { good: pieces(1_000_000_000_000 - 1), ..Totals::default() };
    let over = count::add(JobState::Running, full, &counted(2, 0, 0, None)).map_err(|error| error.to_string());
    assert!(over.is_err_and(|text| text.contains("1000000000000 in all")));
    for state in JobState::all() {
        let counts = state.is_under_way() || state == JobState::Ended(Ending::Completed);
        assert_eq!(count::add(state, so_far, &counted(1, 0, 0, None)).is_ok(), counts, "{state}");
    }
}

#[test]
fn good_of_an_order_is_what_its_last_operations_made() {
    let mut order = two();
    order[0].totals = Totals { good: pieces(90), scrap: pieces(10), rework: pieces(1) };
    order[1].totals = Totals { good: pieces(70), scrap: pieces(5), rework: pieces(0) };
    assert_eq!(made(&order), Totals { good: pieces(70), scrap: pieces(15), rework: pieces(1) });
    order[1].after.clear();
    assert_eq!(made(&order).good, pieces(70), "side by side: what both have made");
    assert_eq!(made(&[]), Totals::default());
}

#[test]
fn the_json_of_a_ledger_stays_as_it_is() {
    let trigger = |trigger, reason: Option<&str>, equipment: Option<&str>| Content::Trigger {
        trigger,
        reason: reason.map(str::to_owned),
        equipment: equipment.map(str::to_owned),
    };
    let (instruction, revision, sha256) = ("W-1".to_owned(), "B".to_owned(), "ab".to_owned());
    for (content, wanted) in [
        (trigger(Trigger::Begin, None, Some("press")), r#"{"kind":"trigger","trigger":"Begin","equipment":"press"}"#),
        (
            trigger(Trigger::Pause(Interruption::Held), Some("Jam"), None),
            r#"{"kind":"trigger","trigger":{"Pause":"Held"},"reason":"Jam"}"#,
        ),
        (
            Content::from(&counted(3, -1, 0, Some("sorted"))),
            r#"{"kind":"count","good_millionths":3000000,"scrap_millionths":-1000000,"rework_millionths":0,"reason":"sorted"}"#,
        ),
        (
            Content::Seen { instruction, revision, sha256 },
            r#"{"kind":"seen","instruction":"W-1","revision":"B","sha256":"ab"}"#,
        ),
        (
            Content::Plan { equipment: "press".to_owned(), start_ms: 1, end_ms: 2, pinned: true },
            r#"{"kind":"plan","equipment":"press","start_ms":1,"end_ms":2,"pinned":true}"#,
        ),
        (Content::Change { quantity_millionths: 5 }, r#"{"kind":"change","quantity_millionths":5}"#),
    ] {
        assert_eq!(serde_json::to_string(&content).expect("it is JSON"), wanted);
        assert_eq!(serde_json::from_str::<Content>(wanted).expect("it reads back"), content);
    }
}

/// What is done to an order.
#[derive(Clone, Debug)]
enum Done {
    Trigger(usize, Trigger),
    Order(Action),
    Count(usize, Count),
}

fn anything() -> impl Strategy<Value = Done> {
    let trigger = proptest::sample::select(Trigger::all().collect::<Vec<_>>());
    let amount = || -20i64..30;
    let count = (amount(), amount(), amount(), proptest::option::of("[a-z]{0,3}"));
    prop_oneof![
        6 => (0usize..3, trigger).prop_map(|(job, trigger)| Done::Trigger(job, trigger)),
        1 => proptest::sample::select(ACTIONS.to_vec()).prop_map(Done::Order),
        4 => (0usize..3, count).prop_map(|(job, (good, scrap, rework, reason))| {
            Done::Count(job, counted(good, scrap, rework, reason.as_deref()))
        }),
    ]
}

proptest! {
    /// Whatever is done: states move by the table, totals are the ledger's sums and never below zero, and the order is in what its
    /// jobs are in.
    #[test]
    fn whatever_is_done_an_order_keeps_its_rules(all in proptest::collection::vec(anything(), 0..80)) {
        let mut order = jobs(&[operation("10", &["a"]), operation("20", &["b"]), operation("30", &["c"])], Stored::Only);
        let mut ledger: Vec<(usize, Count)> = Vec::new();
        for (second, done) in (0..).zip(all) {
            let before = order.clone();
            match done {
                Done::Trigger(job, trigger) => match order[job].after(trigger, at(second)) {
                    Ok(after) => order[job] = after,
                    Err(refused) => prop_assert_eq!(refused.state, before[job].state),
                },
                Done::Order(action) => {
                    if let Ok(triggers) = action.triggers("4711", &order) {
                        for (place, trigger, state) in triggers {
                            order[place] = order[place].after(trigger, at(second)).expect("it was looked at");
                            prop_assert_eq!(order[place].state, state);
                        }
                    }
                }
                Done::Count(job, count) => {
                    if let Ok(totals) = count::add(order[job].state, order[job].totals, &count) {
                        order[job].totals = totals;
                        ledger.push((job, count));
                    }
                }
            }
            for (job, was) in order.iter().zip(&before) {
                let moved = Trigger::all().any(|trigger| was.state.after(trigger) == Ok(job.state));
                prop_assert!(job.state == was.state || moved, "{} -> {}", was.state, job.state);
                prop_assert!(was.started.is_none() || job.started == was.started);
                prop_assert_eq!(job.ended.is_some(), !job.is_open());
                if was.state.is_final() {
                    prop_assert_eq!(job.totals, was.totals, "it was final");
                }
            }
        }
        for (place, job) in order.iter().enumerate() {
            let sum = |part: fn(&Count) -> Quantity| -> Quantity {
                ledger.iter().filter(|(of, _)| *of == place).map(|(_, count)| part(count)).sum()
            };
            let sums = Totals { good: sum(|c| c.good), scrap: sum(|c| c.scrap), rework: sum(|c| c.rework) };
            prop_assert_eq!(job.totals, sums);
            prop_assert!(![sums.good, sums.scrap, sums.rework].iter().any(|total| total.is_negative()));
        }
        // Said a second time, in other words.
        let left: Vec<_> = order.iter().map(|job| job.state).filter(|state| *state != JobState::Aborted).collect();
        let begun = |state: &JobState| state.is_under_way() || matches!(state, JobState::Ended(_));
        let wanted = if left.is_empty() {
            OrderState::Cancelled
        } else if left.iter().all(|state| *state == JobState::Ended(Ending::Closed)) {
            OrderState::Closed
        } else if left.iter().all(|state| matches!(state, JobState::Ended(_))) {
            OrderState::Completed
        } else if left.iter().any(begun) {
            OrderState::Running
        } else if left.iter().any(|state| matches!(state, JobState::AllowedToStart(_))) {
            OrderState::Released
        } else {
            OrderState::Forecast
        };
        prop_assert_eq!(states(&order), wanted);
    }
}

fn work(number: &str, first: u128, operations: &[Operation], due: Option<i64>, priority: u8) -> WorkOrder {
    let jobs = jobs_of(number, "bolt", operations, pieces(100), Stored::AndStart, ids(first)).expect("good operations");
    WorkOrder {
        id: Uuid::from_u128(first + 1_000),
        number: number.to_owned(),
        material: "bolt".to_owned(),
        revision: None,
        quantity: pieces(100),
        due: due.map(at),
        priority,
        jobs,
    }
}

fn unit(path: &str) -> Unit {
    let changeover = Duration::from_secs(10);
    Unit { path: path.to_owned(), set_to: Some("m6".to_owned()), changeover, ..Unit::default() }
}

fn planned(units: &[Unit], orders: &[(&WorkOrder, &str)]) -> Answer {
    let orders: Vec<_> = orders.iter().map(|(order, family)| Wanted { order, family }).collect();
    let asked = ask(at(1_000), units, &orders);
    let problem = asked.problem().expect("a good request");
    asked.answer(&problem.plan(Effort { steps: 300, seed: 1 }))
}

/// `number@equipment changeover+from..to`, in seconds from the plan's beginning; `!`: fixed.
fn shown(answer: &Answer) -> String {
    let s = |instant: Timestamp| instant.micros() / 1_000_000 - 1_000;
    let job = |job: &plan::PlannedJob| {
        let changeover = job.changeover.map_or(String::new(), |it| format!("{}..{}+", s(it.from), s(it.to)));
        let fixed = if job.fixed { "!" } else { "" };
        format!("{}@{} {changeover}{}..{}{fixed}", job.number, job.equipment, s(job.span.from), s(job.span.to))
    };
    answer.jobs.iter().map(job).collect::<Vec<_>>().join(", ")
}

fn unmet(answer: &Answer) -> Vec<String> {
    answer.unmet.iter().map(Unmet::to_string).collect()
}

#[test]
fn jobs_get_equipment_and_times_with_changeovers_and_closed_times() {
    let mut press = unit("press");
    press.closed = vec![Span { from: at(1_050), to: at(1_080) }];
    press.changeovers = vec![("m6".to_owned(), "m8".to_owned(), Duration::from_secs(20))];
    let steps = [operation("10", &["press"]), operation("20", &["oven", "oven2"])];
    let (one, other) = (work("1", 1, &steps, Some(2_000), 5), work("2", 11, &steps, Some(1_500), 5));
    let answer = planned(&[press, unit("oven"), unit("oven2")], &[(&one, "m6"), (&other, "m8")]);
    assert_eq!(
        shown(&answer),
        "1/10@press 0..130, 2/10@press 130..150+150..250, 1/20@oven 130..230, 2/20@oven 240..250+250..350"
    );
    assert_eq!((answer.late, answer.unmet), (vec![], vec![]));
    assert!(answer.jobs.iter().all(|job| job.changed && !job.fixed));
}

#[test]
fn what_runs_stays_and_takes_as_long_as_what_is_left_of_it() {
    let mut runs = work("1", 1, &[operation("10", &["press"])], None, 5);
    runs.jobs[0] = runs.jobs[0].after(Trigger::Begin, at(900)).expect("it begins");
    runs.jobs[0].totals = Totals { good: pieces(50), scrap: pieces(10), rework: pieces(0) };
    runs.jobs[0].setup = Duration::from_secs(500);
    let waits = work("2", 11, &[operation("10", &["press"])], None, 9);
    let mut press = unit("press");
    press.closed = vec![Span { from: at(1_010), to: at(1_020) }, Span { from: at(0), to: at(1_005) }];
    let answer = planned(&[press], &[(&runs, "m6"), (&waits, "m6")]);
    assert_eq!(shown(&answer), "1/10@press -100..55!, 2/10@press 55..155");
    // What has ended is not planned.
    runs.jobs[0] = runs.jobs[0].after(Trigger::Stop, at(990)).expect("it stops");
    assert_eq!(shown(&planned(&[unit("press")], &[(&runs, "m6"), (&waits, "m6")])), "2/10@press 0..100");
}

#[test]
fn what_a_person_has_put_somewhere_stays_and_is_told_where_it_cannot() {
    let pin = |mut order: WorkOrder, equipment: &str, start: i64| {
        let job = &mut order.jobs[0];
        (job.pinned, job.equipment, job.planned) =
            (true, Some(equipment.to_owned()), Some((at(start), at(start + 100))));
        order
    };
    let step = [operation("10", &["press", "press2"])];
    let (one, other) = (work("1", 1, &step, None, 5), work("2", 11, &step, None, 5));
    let dragged = pin(one.clone(), "press2", 1_040);
    let answer = planned(&[unit("press"), unit("press2")], &[(&dragged, "m6"), (&other, "m6")]);
    assert_eq!(shown(&answer), "2/10@press 0..100, 1/10@press2 40..140!");
    assert!(!answer.jobs[1].changed, "it is where it was put");
    assert_eq!(answer.unmet, []);

    let over = pin(other.clone(), "press2", 1_100);
    let answer = planned(&[unit("press2")], &[(&dragged, "m6"), (&over, "m6")]);
    assert_eq!(unmet(&answer), ["job 2/10 lies over 1/10; move one of them"]);
    let late = pin(one, "press2", 900);
    let answer = planned(&[unit("press2")], &[(&late, "m6")]);
    assert_eq!(shown(&answer), "1/10@press2 0..100");
    assert!(unmet(&answer)[0].contains("which has passed; it is planned from now on"), "{:?}", answer.unmet);
}

#[test]
fn what_cannot_be_met_is_told_and_the_rest_is_planned() {
    let mut endless = operation("10", &["press"]);
    endless.run_time_ns = u64::MAX;
    let nowhere = work("1", 1, &[operation("10", &["lathe"]), operation("20", &["press"])], None, 5);
    let endless = work("2", 11, &[endless], None, 5);
    let mut elsewhere = work("3", 21, &[operation("10", &["lathe"])], None, 5);
    elsewhere.jobs[0] = elsewhere.jobs[0].after(Trigger::Begin, at(900)).expect("it begins");
    let late = work("4", 31, &[operation("10", &["press"])], Some(1_040), 5);
    let all = [(&nowhere, "m6"), (&endless, "m6"), (&elsewhere, "m6"), (&late, "m6")];
    let answer = planned(&[unit("press")], &all);
    assert_eq!(shown(&answer), "4/10@press 0..100");
    assert_eq!(
        unmet(&answer),
        [
            "job 1/10 can be done on nothing that is planned; give its operation equipment",
            "job 1/20 is not planned, for 1/10 before it is not",
            "job 2/10 would take longer than a year; check its run time, or divide its order",
            "job 3/10 runs on lathe, which is not planned",
        ]
    );
    let wanted = plan::LateOrder { order: "4".to_owned(), by: Duration::from_secs(60), cause: Cause::Work };
    assert_eq!(answer.late, [wanted]);
}

proptest! {
    /// Of any mixture of jobs, each open one is either planned once or told, and what runs and is pinned stays.
    #[test]
    fn every_open_job_is_planned_once_or_told(
        kinds in proptest::collection::vec((0u8..6, 0i64..150, 0usize..3), 1..8),
    ) {
        let units = [unit("a"), unit("b")];
        let paths = ["a", "b", "lathe"];
        let mut standing = std::collections::BTreeSet::new();
        let orders: Vec<WorkOrder> = (0u128..).zip(&kinds).map(|(n, (kind, quantity, place))| {
            let steps = [operation("10", &[paths[*place]]), operation("20", &["a", "b"])];
            let mut order = work(&n.to_string(), n * 10 + 1, &steps, Some(1_000 + quantity), 5);
            let job = &mut order.jobs[0];
            match kind {
                0 if standing.insert(*place) => *job = job.after(Trigger::Begin, at(990)).expect("it begins"),
                1 => *job = job.after(Trigger::Abort, at(990)).expect("it is given up"),
                2 => (job.pinned, job.planned) = (true, Some((at(950 + quantity), at(2_000)))),
                _ => {}
            }
            order
        }).collect();
        let wanted: Vec<_> = orders.iter().map(|order| (order, if order.id.as_u128() % 20 > 10 { "m6" } else { "m8" })).collect();
        let answer = planned(&units, &wanted);
        let told = unmet(&answer).join("\n");
        for job in orders.iter().flat_map(|order| &order.jobs) {
            let found: Vec<_> = answer.jobs.iter().filter(|planned| planned.job == job.id).collect();
            prop_assert!(found.len() <= 1);
            match found.first() {
                Some(planned) => {
                    prop_assert!(job.is_open());
                    if job.state.is_under_way() {
                        prop_assert_eq!(planned.span.from, at(990));
                    } else {
                        prop_assert!(planned.span.from >= at(1_000));
                    }
                    if let (true, Some((start, _))) = (job.pinned, job.planned) {
                        let wanted = start.max(at(1_000));
                        prop_assert!(planned.span.from == wanted || start < at(1_000), "{} at {}", job.number, planned.span.from);
                    }
                }
                None => prop_assert!(!job.is_open() || told.contains(&job.number), "{} is nowhere: {told}", job.number),
            }
        }
    }
}
