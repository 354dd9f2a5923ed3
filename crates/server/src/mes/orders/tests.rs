//! Orders on the floor, over hours that a test turns by hand: made, begun, counted, killed, ended, planned.

use crate::mes::testbed::{EXECUTE, HELD, IDLE, STARTING, Testbed, at, begins, plant_of};
use andon_api::ports::mes::{JobBrief, KpiAnswer, Mes as _, NodeView, Window};
use andon_api::ports::orders::{
    CountWish, Current, JobTrigger, JobView, OrderAction, OrderPatch, OrderView, OrderWish, Orders, OrdersProblem,
    PlaceWish, ProposalView, SeenWish, TriggerWish,
};
use andon_model::access::{Principal, PrincipalKind};
use andon_store::PlantRepository as _;
use andon_store::floor::{FloorKeep, FloorRepository as _, StoredHour};
use andon_store::orders::{JobFilter, OrderFilter, OrderRepository as _, PersonSkill};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" }, { path = "works/line/press/scrap", type = "int64" }, { path = "works/line/oven/state", type = "int64" }]
skill = [{ name = "Brazing" }]
instruction = [{ name = "WI-1", revision = "B", text = "Press it." }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
scrap = { tag = "works/line/press/scrap", counts = "each" }
[[machine]]
equipment = "works/line/oven"
state = { tag = "works/line/oven/state", packml = true }
[[material]]
name = "BOLT"
title = "Bolt"
operation = [{ name = "10", equipment = ["works/line/press"], run_time = "6 s", setup = "10 min" }]
[[material]]
name = "PLATE"
revision = "C"
unit = "kg"
operation = [{ name = "20", equipment = ["works/line/oven", "works/line/press"], run_time = "1 s", after = ["10"] }, { name = "10", equipment = ["works/line/press"], run_time = "2 s", after = [], skills = ["Brazing"], instructions = ["WI-1"] }]
[[material]]
name = "STEEL"
"#;

fn person(number: u128) -> Principal {
    Principal { id: Uuid::from_u128(number), kind: PrincipalKind::Person }
}

impl Testbed {
    /// Another model of the plant.
    async fn apply(&self, plant: &str) {
        let version = self.store.current_plant().await.expect("a model").0.version;
        self.store.apply_plant(version, plant_of(plant), Principal::SYSTEM, None).await.expect("applied");
        let (plant, ids) = self.store.current_plant().await.expect("a model");
        self.mes.bus.set_plant(Arc::new(plant), ids);
        self.mes.follow().await.expect("followed");
    }

    /// Which jobs stand on machines, as a board tells it.
    async fn stands(&self) -> Vec<(String, String)> {
        let machines = self.mes.machines().await.expect("machines").into_iter();
        let told = |job: JobBrief| format!("{} of {}: {}", job.number, job.order, job.state);
        machines.filter_map(|machine| Some((machine.path, told(machine.job?)))).collect()
    }

    async fn make(&self, number: &str, material: &str, quantity: f64) -> OrderView {
        self.mes.make(wish(number, material, quantity), person(1)).await.expect("made").1
    }

    async fn job(&self, id: Uuid) -> JobView {
        self.mes.job(id, person(1).id).await.expect("a job")
    }

    async fn trigger(&self, job: Uuid, what: JobTrigger, key: u128, by: u128) -> Result<JobView, OrdersProblem> {
        let version = self.job(job).await.version;
        self.trigger_of(job, what, key, by, version).await
    }

    async fn trigger_of(
        &self,
        job: Uuid,
        what: JobTrigger,
        key: u128,
        by: u128,
        version: u64,
    ) -> Result<JobView, OrdersProblem> {
        let why = (what == JobTrigger::Pause).then(|| "Held".to_owned());
        let wish = TriggerWish {
            what,
            version,
            key: Uuid::from_u128(key),
            reason: None,
            why,
            prepared: None,
            equipment: None,
        };
        self.mes.trigger(job, wish, person(by)).await
    }

    async fn count(&self, job: Uuid, good: f64, scrap: f64, key: u128) -> Result<JobView, OrdersProblem> {
        let reason = (scrap != 0.0).then(|| "bent".to_owned());
        self.mes.count(job, CountWish { key: Uuid::from_u128(key), good, scrap, rework: 0.0, reason }, person(1)).await
    }

    /// A plan of what lies on a branch.
    async fn plan(&self, dry_run: bool, branch: &str) -> Result<ProposalView, OrdersProblem> {
        Orders::plan(&*self.mes, 1, dry_run, vec![branch.to_owned()], person(1)).await
    }

    /// A change of an order's quantity.
    async fn of_quantity(&self, order: &str, version: u64, quantity: f64) -> OrderView {
        let patch = OrderPatch { version, quantity: Some(quantity), ..OrderPatch::default() };
        Orders::change(&*self.mes, order.to_owned(), patch, person(1)).await.expect("changed")
    }
}

fn wish(number: &str, material: &str, quantity: f64) -> OrderWish {
    OrderWish {
        number: number.to_owned(),
        material: material.to_owned(),
        revision: None,
        quantity,
        due: None,
        priority: 5,
        note: String::new(),
        release: true,
        source: andon_api::ports::orders::BY_PERSON,
    }
}

/// Minutes of setup, production, delay and idle; good and scrap.
fn told(answer: &KpiAnswer) -> ([f64; 4], [f64; 2]) {
    let times = answer.times;
    let minutes = [times.setup_ms, times.production_ms, times.delay_ms, times.idle_ms].map(|ms| ms / 60_000.0);
    (minutes, [answer.amounts.good, answer.amounts.scrap])
}

#[tokio::test]
async fn a_job_is_time_and_amounts_of_its_unit_and_counts_once_whatever_happens_in_between() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(1, &[("press/state", IDLE), ("press/good", 10)]).await;
    let order = here.make("4711", "BOLT", 200.0).await;
    let job = order.jobs[0].id;
    assert_eq!(
        (&*order.state, &*order.jobs[0].state, order.jobs[0].run_time_ms),
        ("Released", "AllowedToStart", 1_200_000)
    );
    here.at_minute(5, &[("press/state", STARTING)]).await;
    here.trigger(job, JobTrigger::Begin, 1, 1).await.expect("begun");
    assert_eq!(here.stands().await, [("works/line/press".to_owned(), "4711/10 of 4711: Running".to_owned())]);
    here.at_minute(15, &[("press/state", EXECUTE)]).await;
    here.at_minute(40, &[("press/good", 110)]).await;
    here.at_minute(60, &[("press/state", HELD)]).await;
    here.trigger(job, JobTrigger::Pause, 2, 1).await.expect("paused");
    // Between two runs nothing is known of a machine until it says something: it speaks just before and a minute after.
    here.at_minute(65, &[("press/state", HELD)]).await;
    here = here.killed().await;
    here.at_minute(66, &[("press/state", HELD)]).await;
    here.at_minute(70, &[("press/state", EXECUTE)]).await;
    here.trigger(job, JobTrigger::Resume, 3, 1).await.expect("resumed");
    here.at_minute(80, &[("press/state", EXECUTE)]).await;
    here.count(job, 2.0, 4.0, 4).await.expect("counted");
    here = here.killed().await;
    here.at_minute(81, &[("press/state", EXECUTE)]).await;
    here.at_minute(100, &[("press/state", IDLE)]).await;
    assert_eq!(here.count(job, 2.0, 4.0, 4).await.expect("again").good, 102.0, "the same key again");
    let ended = here.trigger(job, JobTrigger::Stop, 5, 1).await.expect("stopped");
    assert_eq!(here.stands().await, [], "what has ended has left");
    assert_eq!(
        (&*ended.state, ended.substate.as_deref(), ended.good, ended.scrap),
        ("Ended", Some("Completed"), 102.0, 4.0)
    );
    here.at_minute(120, &[("press/good", 130)]).await;
    here.at_minute(125, &[]).await;
    let expected = ([10.0, 74.0, 9.0, 24.0], [122.0, 4.0]);
    for round in 0..3 {
        let mut answer = here.kpis("works/line/press", 1, 120).await;
        // The machine said 130 at 120, which the window is without.
        answer.amounts.good += 20.0;
        let (times, amounts) = told(&answer);
        assert_eq!((times, amounts), expected, "round {round}");
        let shown = here.job(job).await;
        assert_eq!((shown.good, shown.scrap), (102.0, 4.0), "round {round}");
        here = here.killed().await;
        here.at_minute(250 + round * 100, &[]).await;
    }
    // A device was cut off and tells now what was.
    here.say(&[("press/scrap", 50, 7)]).await;
    here.go_on().await;
    assert_eq!(here.job(job).await.scrap, 11.0, "what comes late counts for the job that stood there");
    assert_eq!(told(&here.kpis("works/line/press", 1, 120).await).1[1], 11.0);
    let order = Orders::order(&*here.mes, "4711".to_owned(), person(1).id).await.expect("the order");
    assert_eq!((&*order.state, order.good, order.scrap), ("Completed", 102.0, 11.0));
    let kinds: Vec<_> =
        here.mes.ledger(job, None, 99).await.expect("a ledger").entries.into_iter().map(|entry| entry.kind).collect();
    assert_eq!(kinds, ["begin", "pause", "resume", "count", "stop"]);
}

#[tokio::test]
async fn a_node_tells_the_orders_that_run_there_and_those_that_are_late() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(1, &[("press/state", EXECUTE)]).await;
    let due = |minute| OrderWish { due: Some(at(minute)), ..wish("x", "BOLT", 1.0) };
    let order = here.mes.make(OrderWish { number: "A".to_owned(), ..due(30) }, person(1)).await.expect("made").1;
    here.mes.make(OrderWish { number: "B".to_owned(), ..due(300) }, person(1)).await.expect("made");
    let waits = OrderWish { number: "C".to_owned(), release: false, ..due(30) };
    here.mes.make(waits, person(1)).await.expect("made");
    here.trigger(order.jobs[0].id, JobTrigger::Begin, 1, 1).await.expect("begun");
    let told = async |here: &Testbed, path: &str| {
        let window = Window { from: at(0), to: at(60) };
        let answer = here.mes.children(path.to_owned(), window, vec![String::new()]).await.expect("an answer");
        let orders = |node: NodeView| (node.path, node.orders.map(|orders| (orders.running, orders.late)));
        answer.node.into_iter().chain(answer.children).map(orders).collect::<Vec<_>>()
    };
    let of = |path: &str, running, late| (path.to_owned(), Some((running, late)));
    here.at_minute(20, &[("press/state", EXECUTE)]).await;
    let line = [of("works/line", 1, 0), of("works/line/oven", 0, 0), of("works/line/press", 1, 0)];
    assert_eq!(told(&here, "works/line").await, line);
    // What is due is late once its time is over; what was not released is nobody's delay.
    here.at_minute(31, &[("press/state", EXECUTE)]).await;
    let line = [of("works/line", 1, 1), of("works/line/oven", 0, 0), of("works/line/press", 1, 1)];
    assert_eq!(told(&here, "works/line").await, line);
    here.trigger(order.jobs[0].id, JobTrigger::Stop, 2, 1).await.expect("stopped");
    assert_eq!(told(&here, "").await, [of("works", 0, 0)]);
}

#[tokio::test]
async fn of_two_who_begin_at_once_one_wins_and_the_other_is_told_who() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(5, &[]).await;
    let (a, b) = (here.make("A", "BOLT", 1.0).await.jobs[0].clone(), here.make("B", "BOLT", 1.0).await.jobs[0].clone());
    let begin = |job: &JobView, key, by| here.trigger_of(job.id, JobTrigger::Begin, key, by, job.version);
    // Two on one unit, then two on one job.
    let (first, second) = tokio::join!(begin(&a, 1, 1), begin(&b, 2, 2));
    assert!(first.is_ok() != second.is_ok(), "{first:?} {second:?}");
    let (lost, by) = if first.is_ok() { (second, 1) } else { (first, 2) };
    let Err(OrdersProblem::Conflict { standing: Some(standing), current: Some(Current::Job(current)), .. }) = lost
    else {
        panic!("{lost:?}")
    };
    assert_eq!((standing.span.by, standing.span.from, &*current.state), (person(by).id, at(5), "AllowedToStart"));
    let (running, waits) = if by == 1 { (a, b) } else { (b, a) };
    let again = begin(&running, by, by).await.expect("the same key again");
    assert_eq!((&*again.state, again.version), ("Running", running.version + 1));
    assert!(matches!(begin(&waits, by, by).await, Err(OrdersProblem::Conflict { .. })), "the key of something else");
    here.trigger(running.id, JobTrigger::Stop, 9, 1).await.expect("stopped");
    let (first, second) = tokio::join!(begin(&waits, 11, 1), begin(&waits, 12, 2));
    assert!(first.is_ok() != second.is_ok());
    let Err(OrdersProblem::Conflict { standing: Some(_), current: Some(Current::Job(current)), .. }) =
        first.and(second)
    else {
        panic!("one lost")
    };
    assert_eq!((&*current.state, current.version), ("Running", waits.version + 1));
}

#[tokio::test]
async fn skills_and_instructions_keep_a_job_from_its_begin() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(5, &[]).await;
    let order = here.make("P1", "PLATE", 2.5).await;
    assert_eq!((&*order.unit, order.revision.as_deref(), order.quantity), ("kg", Some("C"), 2.5));
    let operations: Vec<_> = order.jobs.iter().map(|job| job.number.as_str()).collect();
    assert_eq!(operations, ["P1/10", "P1/20"], "what comes before stands before");
    let job = order.jobs[0].id;
    let refused = here.trigger(job, JobTrigger::Begin, 1, 1).await;
    assert!(matches!(&refused, Err(OrdersProblem::NotQualified(text, _)) if text.contains("Brazing")), "{refused:?}");
    let held = PersonSkill { person: person(1).id, skill: "Brazing".to_owned(), until: None };
    assert!(
        matches!(here.mes.qualify(held.clone(), person(9)).await, Err(OrdersProblem::Unknown(_))),
        "there is no such person"
    );
    let unknown = PersonSkill { skill: "Sewing".to_owned(), ..held };
    assert!(matches!(here.mes.qualify(unknown, person(9)).await, Err(OrdersProblem::Refused(..))));
    let asked = here.job(job).await.instructions[0].clone();
    let seen = |sha256: String| SeenWish { instruction: "WI-1".to_owned(), revision: "B".to_owned(), sha256 };
    assert!(matches!(here.mes.seen(job, seen("0".repeat(64)), person(1)).await, Err(OrdersProblem::Conflict { .. })));
    for _ in 0..2 {
        here.mes.seen(job, seen(asked.sha256.clone()), person(1)).await.expect("seen");
    }
    assert!(
        here.job(job).await.instructions[0].seen
            && !here.mes.job(job, person(2).id).await.expect("a job").instructions[0].seen
    );
    assert_eq!(here.mes.ledger(job, None, 99).await.expect("a ledger").entries.len(), 1, "seen twice is seen once");
    let undecided = here.trigger(order.jobs[1].id, JobTrigger::Begin, 3, 1).await;
    assert!(
        matches!(&undecided, Err(OrdersProblem::Refused(text, _)) if text.contains("say on which")),
        "{undecided:?}"
    );
}

#[tokio::test]
async fn an_order_is_made_once_changed_before_it_begins_planned_and_given_up() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(5, &[]).await;
    let bought = here.mes.make(wish("S", "STEEL", 1.0), person(1)).await;
    assert!(
        matches!(&bought, Err(OrdersProblem::Refused(text, remedy)) if text.contains("no operations") && !remedy.is_empty()),
        "{bought:?}"
    );
    for quantity in [0.0, -1.0, f64::NAN, 1e10] {
        assert!(matches!(here.mes.make(wish("Q", "BOLT", quantity), person(1)).await, Err(OrdersProblem::Refused(..))));
    }
    let order = here.make("O1", "PLATE", 600.0).await;
    let (again, same) = here.mes.make(wish("O1", "PLATE", 600.0), person(2)).await.expect("the same again");
    assert!(!again && same.id == order.id);
    assert!(matches!(here.mes.make(wish("O1", "PLATE", 601.0), person(1)).await, Err(OrdersProblem::Conflict { .. })));
    let patch = OrderPatch {
        version: order.version,
        quantity: Some(300.0),
        priority: Some(9),
        due: Some(Some(at(20))),
        ..OrderPatch::default()
    };
    let order = Orders::change(&*here.mes, "O1".to_owned(), patch.clone(), person(1)).await.expect("changed");
    assert_eq!((order.jobs[0].quantity, order.priority, order.due_ms), (300.0, 9, Some(at(20).millis())));
    assert!(
        matches!(
            Orders::change(&*here.mes, "O1".to_owned(), patch, person(1)).await,
            Err(OrdersProblem::Conflict { .. })
        ),
        "an old version"
    );
    let dry = here.plan(true, "").await.expect("a plan");
    assert_eq!((dry.changes.len(), here.job(order.jobs[0].id).await.planned_start_ms), (2, None));
    let plan = here.plan(false, "").await.expect("a plan");
    assert_eq!(plan.changes, dry.changes, "the same seed gives the same plan");
    let (press, oven) = (here.job(order.jobs[0].id).await, here.job(order.jobs[1].id).await);
    assert_eq!((press.planned_start_ms, press.planned_end_ms), (Some(at(5).millis()), Some(at(15).millis())));
    assert_eq!((oven.planned_start_ms, oven.planned_end_ms), (press.planned_end_ms, Some(at(20).millis())));
    assert!(plan.late.is_empty() && plan.gap == Some(0.0));
    let place = PlaceWish { version: oven.version, equipment: "works/line/press".to_owned(), start: at(30) };
    let placed = here.mes.place(oven.id, place, person(1)).await.expect("placed");
    assert_eq!((placed.equipment.as_deref(), placed.planned_end_ms), (Some("works/line/press"), Some(at(35).millis())));
    let after = here.plan(true, "").await.expect("a plan");
    assert!(
        after.changes.iter().all(|change| change.job != oven.id) && after.late[0].by_ms == 15 * 60_000,
        "{after:?}"
    );
    let shown = here.mes.schedule(at(0), at(60), vec!["works".to_owned()], person(1).id).await.expect("a schedule");
    assert_eq!((shown.jobs.len(), shown.equipment.len()), (2, 2));
    let version = Orders::order(&*here.mes, "O1".to_owned(), person(1).id).await.expect("an order").version;
    let given_up = here
        .mes
        .act("O1".to_owned(), OrderAction::Cancel, version, Some("not wanted".to_owned()), person(1))
        .await
        .expect("cancelled");
    assert_eq!((&*given_up.state, &*given_up.jobs[0].state), ("Cancelled", "Aborted"));
}

#[tokio::test]
async fn what_is_asked_is_done_to_its_end_also_when_its_caller_has_gone() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(1, &[("press/state", EXECUTE), ("press/good", 10)]).await;
    let job = here.make("4711", "BOLT", 200.0).await.jobs[0].clone();
    here.at_minute(10, &[]).await;
    {
        let asked = here.trigger_of(job.id, JobTrigger::Begin, 1, 1, job.version);
        // It is begun, and then nobody waits for it any more.
        let _ = tokio::time::timeout(Duration::ZERO, asked).await;
    }
    let waited = async {
        while here.job(job.id).await.state != "Running" {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), waited).await.expect("it is done all the same");
    // In turn, so that the floor has heard of it, too.
    here.go_on().await;
    let run_time = |state: &super::State| {
        let (unit, floor) = (state.units["works/line/press"], state.follower.floor());
        floor.log_of(unit)?.run_time(floor.settings_of(unit)?.rules, at(10))
    };
    assert_eq!(run_time(&here.mes.state()), Some(6_000_000_000), "on the floor stands the job");
    let again = here.trigger_of(job.id, JobTrigger::Begin, 1, 1, job.version).await.expect("the same key again");
    assert_eq!((&*again.state, again.version), ("Running", job.version + 1));
}

#[tokio::test]
async fn a_clock_that_is_set_back_gives_what_a_machine_counts_to_one_job() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    let (a, b) = (here.make("A", "BOLT", 9.0).await.jobs[0].id, here.make("B", "BOLT", 9.0).await.jobs[0].id);
    here.at_minute(10, &[]).await;
    here.trigger(a, JobTrigger::Begin, 1, 1).await.expect("begun");
    here.at_minute(40, &[("press/good", 100)]).await;
    here.at_minute(50, &[]).await;
    assert_eq!(here.trigger(a, JobTrigger::Stop, 2, 1).await.expect("stopped").good, 100.0);
    here.clock.set(at(20));
    let begun = here.trigger(b, JobTrigger::Begin, 3, 1).await.expect("begun");
    assert_eq!(begun.started_ms, Some(at(50).millis()), "when the last one left");
    here.at_minute(60, &[("press/good", 103)]).await;
    here.at_minute(61, &[]).await;
    for _ in 0..2 {
        assert_eq!((here.job(a).await.good, here.job(b).await.good), (100.0, 3.0));
        here = here.killed().await;
    }
}

#[tokio::test]
async fn a_machine_that_is_added_under_a_running_job_loses_no_item() {
    let (head, rest) = PLANT.split_once("[[machine]]\nequipment = \"works/line/oven\"").expect("two machines");
    let without = head.split_once("[[machine]]").expect("a machine").0.to_owned()
        + "[[machine]]\nequipment = \"works/line/oven\""
        + rest;
    let mut here = Testbed::new(&without).await;
    here.at_minute(1, &[("press/state", EXECUTE), ("press/good", 10)]).await;
    let job = here.make("4711", "BOLT", 200.0).await.jobs[0].id;
    here.at_minute(5, &[]).await;
    here.trigger(job, JobTrigger::Begin, 1, 1).await.expect("begun");
    assert_eq!(here.count(job, 50.0, 0.0, 2).await.expect("counted").good, 50.0);
    here.apply(PLANT).await;
    here.at_minute(20, &[("press/good", 10)]).await;
    here.at_minute(30, &[("press/good", 30)]).await;
    here.count(job, 5.0, 0.0, 3).await.expect("counted");
    here.at_minute(31, &[]).await;
    assert_eq!(here.job(job).await.good, 75.0, "50 and 5 of people, 20 of the counter");
    here.at_minute(300, &[]).await;
    here = here.killed().await;
    assert_eq!(here.job(job).await.good, 75.0);
}

#[tokio::test]
async fn a_number_that_is_taken_says_no_more_and_one_that_waits_says_how_to_release_it() {
    let here = Testbed::new(PLANT).await;
    let waits = OrderWish { release: false, ..wish("O1", "BOLT", 600.0) };
    let order = here.mes.make(waits.clone(), person(1)).await.expect("made").1;
    let other = here.mes.make(wish("O1", "PLATE", 1.0), person(2)).await;
    let Err(OrdersProblem::Conflict { text, current: Some(_), .. }) = other else { panic!("{other:?}") };
    assert_eq!(text, "the number O1 is taken");
    let released = here.mes.make(wish("O1", "BOLT", 600.0), person(1)).await;
    let Err(OrdersProblem::Conflict { text, remedy, current: Some(Current::Order(current)), .. }) = released else {
        panic!("{released:?}")
    };
    assert_eq!((&*text, &*current.state), ("the order O1 is there, and is not released", "Forecast"));
    assert_eq!(remedy, "release it with POST /api/mes/orders/O1/release");
    here.mes.act("O1".to_owned(), OrderAction::Release, order.version, None, person(1)).await.expect("released");
    for again in [waits, wish("O1", "BOLT", 600.0)] {
        assert!(!here.mes.make(again, person(1)).await.expect("the same again").0);
    }
}

#[tokio::test]
async fn a_list_says_when_there_is_more_and_a_ledger_comes_page_by_page() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(5, &[]).await;
    let job = here.make("A", "BOLT", 9.0).await.jobs[0].id;
    here.make("B", "BOLT", 9.0).await;
    let all = || here.store.jobs_to_make(JobFilter::default());
    let cut = here.mes.list_of(all().await.expect("jobs"), 1, person(1).id).await.expect("a list");
    assert_eq!((cut.jobs.len(), cut.truncated), (1, true));
    let whole = here.mes.list_of(all().await.expect("jobs"), 2, person(1).id).await.expect("a list");
    assert_eq!((whole.jobs.len(), whole.truncated), (2, false));
    here.trigger(job, JobTrigger::Begin, 1, 1).await.expect("begun");
    for key in 2..6 {
        here.count(job, 1.0, 0.0, key).await.expect("counted");
    }
    let (mut kinds, mut next) = (Vec::new(), None);
    loop {
        let page = here.mes.ledger(job, next, 2).await.expect("a page");
        kinds.splice(0..0, page.entries.into_iter().map(|entry| entry.kind));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    assert_eq!(kinds, ["begin", "count", "count", "count", "count"]);
    for amount in [1_000_000_001.0, -1_000_000_001.0] {
        let refused = here.count(job, amount, 0.0, 9).await;
        assert!(matches!(refused, Err(OrdersProblem::Refused(..))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_plan_is_made_of_what_one_may_configure_around_what_others_have_planned() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(0, &[]).await;
    let theirs = here.make("T", "PLATE", 600.0).await;
    here.plan(false, "").await.expect("a plan");
    let before = here.job(theirs.jobs[0].id).await;
    assert_eq!((before.planned_start_ms, before.planned_end_ms), (Some(at(0).millis()), Some(at(20).millis())));
    let due = OrderWish { due: Some(at(30)), ..wish("M", "BOLT", 100.0) };
    let mine = here.mes.make(due, person(1)).await.expect("made").1.jobs[0].id;
    let plan = here.plan(false, "works/line/press").await.expect("a plan");
    assert_eq!(plan.changes.iter().map(|change| change.job).collect::<Vec<_>>(), [mine], "no job of others");
    assert_eq!((plan.late.len(), &*plan.late[0].cause, plan.unmet.len()), (1, "capacity", 0));
    assert_eq!(here.job(mine).await.planned_start_ms, Some(at(20).millis()), "behind it");
    assert_eq!(here.job(theirs.jobs[0].id).await, before);
    let nothing = here.plan(false, "works/line/oven").await.expect("a plan");
    assert_eq!((nothing.changes.len(), nothing.late.len()), (0, 0));
    // Less is wanted: the job ends earlier.
    let order = Orders::order(&*here.mes, "M".to_owned(), person(1).id).await.expect("an order");
    let less = here.of_quantity("M", order.version, 50.0).await;
    assert_eq!(less.jobs[0].planned_end_ms, Some(at(35).millis()), "10 min setup, 50 at 6 s");
}

#[tokio::test]
async fn who_begins_before_anything_was_made_is_told() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(5, &[("press/state", EXECUTE)]).await;
    let oven = here.make("P1", "PLATE", 2.5).await.jobs[1].clone();
    let wish = TriggerWish {
        what: JobTrigger::Begin,
        version: oven.version,
        key: Uuid::from_u128(1),
        reason: None,
        why: None,
        prepared: None,
        equipment: Some("works/line/oven".to_owned()),
    };
    let begun = here.mes.trigger(oven.id, wish, person(1)).await.expect("begun");
    assert_eq!(begun.warnings, ["job P1/10, which comes before, is AllowedToStart (Waiting) and has made nothing yet"]);
    assert_eq!(here.job(oven.id).await.warnings, [""; 0]);
    let paused = here.trigger(oven.id, JobTrigger::Pause, 2, 1).await.expect("paused");
    assert_eq!(paused.may, ["abort", "pause", "resume", "stop"]);
    let other = TriggerWish { why: Some("Suspended".to_owned()), ..pause(&paused, 3) };
    let other = here.mes.trigger(oven.id, other, person(1)).await.expect("another cause");
    assert_eq!(other.substate.as_deref(), Some("Suspended"));
}

fn pause(job: &JobView, key: u128) -> TriggerWish {
    TriggerWish {
        what: JobTrigger::Pause,
        version: job.version,
        key: Uuid::from_u128(key),
        reason: None,
        why: Some("Held".to_owned()),
        prepared: None,
        equipment: None,
    }
}

#[tokio::test]
async fn a_job_of_which_an_hour_is_damaged_says_so_and_fails_no_list() {
    let mut here = Testbed::new(PLANT).await;
    here.at_minute(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    let job = here.make("4711", "BOLT", 200.0).await.jobs[0].id;
    here.at_minute(10, &[]).await;
    here.trigger(job, JobTrigger::Begin, 1, 1).await.expect("begun");
    here.count(job, 2.0, 0.0, 2).await.expect("counted");
    here.at_minute(20, &[("press/good", 30)]).await;
    here.at_minute(30, &[]).await;
    here.trigger(job, JobTrigger::Stop, 3, 1).await.expect("stopped");
    here.at_minute(250, &[]).await;
    assert_eq!((here.job(job).await.good, here.job(job).await.warnings), (32.0, Vec::new()));
    let unit = here.mes.state().units["works/line/press"].0;
    let hour = begins().micros() / 3_600_000_000;
    let damaged = StoredHour { unit, hour, recorded: vec![99], derived: vec![99] };
    here.store.floor_keep(FloorKeep { hours: vec![damaged], ..FloorKeep::default() }).await.expect("written");
    here = here.killed().await;
    let page = here.mes.orders(OrderFilter::default(), person(1).id).await.expect("a page");
    let shown = &page.orders[0].jobs[0];
    assert!(shown.warnings[0].starts_with("what counters counted is not in its amounts"), "{:?}", shown.warnings);
    assert_eq!(shown.good, 2.0, "what people counted");
}

#[test]
fn a_branch_holds_all_places_and_no_part_of_a_name() {
    let over = |places: &[&str]| {
        let places: Vec<String> = places.iter().map(|place| (*place).to_owned()).collect();
        super::change::branch_over(places.iter())
    };
    assert_eq!(over(&["works/line/press", "works/line/oven"]), "works/line");
    assert_eq!(over(&["works/line1", "works/line2"]), "works");
    assert_eq!(over(&["works/line", "works/line/oven"]), "works/line");
    assert_eq!(over(&["a/b", "c/b"]), "");
    assert_eq!(over(&[]), "");
}
