//! Maintenance over hours that a test turns by hand: plans that become due once, orders that people work on, and figures of failures.

use super::{Alarms, Maintenance, Parts};
use crate::mes::testbed::{EXECUTE, HELD, NODE, Testbed, at, plant_of, window};
use andon_alarms::AlarmStatus;
use andon_api::ports::maintenance::{
    AlarmWish, DeedWish, Maintain as _, MaintenanceFiguresView, MaintenanceOrderView, MaintenancePatch,
    MaintenancePlanView, MaintenanceProblem, MaintenanceWish, NewMaintenanceWish, PartWish,
};
use andon_mes::maintenance::figures::Failure;
use andon_mes::maintenance::ledger::Content;
use andon_mes::quantity::Quantity;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::event::AlarmState;
use andon_model::{EquipmentPath, StatusCode, TagPath, Value};
use andon_store::PlantRepository as _;
use andon_store::maintenance::{MaintenanceFilter, MaintenanceRepository as _, MaintenanceWrite};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/oven", level = "work_unit" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" }, { path = "works/line/oven/state", type = "int64" }]
reason = [{ name = "Mechanical/Jam" }]
material = [{ name = "SEAL", title = "Seal" }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
[[machine]]
equipment = "works/line/oven"
state = { tag = "works/line/oven/state", packml = true }
[[alarm]]
tag = "works/line/press/good"
condition = "high"
limit = 1000
priority = 2
message = "Dirty"
[[maintenance_plan]]
name = "oil"
title = "Change the oil"
equipment = "works/line/press"
every_cycles = 100
within = "1 h"
parts = [{ material = "SEAL", quantity = 2 }]
[[maintenance_plan]]
name = "check"
equipment = "works/line"
every = "3 h"
lead = "30 min"
[[maintenance_plan]]
name = "hours"
equipment = "works/line"
every_run_time = "10 h"
[[maintenance_plan]]
name = "dirty"
equipment = "works/line/press"
condition = "works/line/press/good:high"
"#;

#[derive(Default)]
struct Board(Mutex<Vec<AlarmStatus>>);

impl Alarms for Board {
    fn standing(&self) -> Vec<AlarmStatus> {
        self.0.lock().expect("nobody panicked").clone()
    }
}

fn alarm(occurrence: u128, minute: i64) -> AlarmStatus {
    AlarmStatus {
        name: "works/line/press/good:high".to_owned(),
        occurrence: Uuid::from_u128(occurrence),
        state: AlarmState::Unacknowledged,
        priority: 2,
        condition: "high",
        message: "Dirty".to_owned(),
        cause: String::new(),
        consequence: String::new(),
        action: String::new(),
        tag: TagPath::parse("works/line/press/good").expect("a path"),
        equipment: EquipmentPath::parse("works/line/press").expect("a path"),
        value: Value::Int64(1),
        quality: StatusCode::GOOD,
        limit: None,
        raised_at: at(minute),
        changed_at: at(minute),
        acknowledged_by: None,
    }
}

fn person(number: u128) -> Principal {
    Principal { id: Uuid::from_u128(number), kind: PrincipalKind::Person }
}

/// A shop floor with maintenance.
struct Bed {
    floor: Testbed,
    board: Arc<Board>,
    here: Arc<Maintenance>,
    keys: u128,
}

fn over(floor: &Testbed, board: Arc<Board>) -> Arc<Maintenance> {
    Maintenance::new(Parts {
        store: floor.store.clone(),
        mes: floor.mes.clone(),
        alarms: board,
        bus: floor.bus.clone(),
        clock: floor.clock.clone(),
    })
}

impl Bed {
    async fn new() -> Self {
        let (floor, board) = (Testbed::new(PLANT).await, Arc::new(Board::default()));
        let here = over(&floor, board.clone());
        here.tick().await.expect("looked");
        Self { floor, board, here, keys: 1_000 }
    }

    async fn killed(self) -> Self {
        let mut again = self.killed_before_it_reads().await;
        again.floor.go_on().await;
        again
    }

    async fn killed_before_it_reads(self) -> Self {
        drop(self.here);
        let floor = self.floor.killed_before_it_reads().await;
        let here = over(&floor, self.board.clone());
        Self { floor, board: self.board, here, keys: self.keys }
    }

    /// At a minute, with what the press says; then it is looked what is due.
    async fn at(&mut self, minute: i64, readings: &[(&str, i64)]) {
        self.floor.at_minute(minute, readings).await;
        self.here.tick().await.expect("looked");
    }

    /// The same, and a moment later it is looked: what was counted in an instant belongs to the window that begins with it.
    async fn past(&mut self, minute: i64, readings: &[(&str, i64)]) {
        self.floor.at_minute(minute, readings).await;
        self.floor.clock.set(at(minute).plus(Duration::from_micros(1)));
        self.here.tick().await.expect("looked");
    }

    /// Another model is in force.
    async fn replan(&self, plant: &str) {
        let version = self.floor.store.current_plant().await.expect("a model").0.version;
        self.floor.store.apply_plant(version, plant_of(plant), Principal::SYSTEM, None).await.expect("applied");
        let (plant, ids) = self.floor.store.current_plant().await.expect("a model");
        self.floor.bus.set_plant(Arc::new(plant), ids);
        self.floor.mes.follow().await.expect("followed");
    }

    async fn orders(&self) -> Vec<MaintenanceOrderView> {
        self.here.orders(MaintenanceFilter::default(), NODE).await.expect("orders").orders
    }

    async fn of_plan(&self, plan: &str) -> Vec<String> {
        let filter = MaintenanceFilter { plan: Some(plan.to_owned()), ..MaintenanceFilter::default() };
        let orders = self.here.orders(filter, NODE).await.expect("orders").orders;
        orders.iter().rev().map(|order| format!("{} {} {}", order.turn.unwrap_or(0), order.kind, order.state)).collect()
    }

    async fn plan(&self, name: &str) -> MaintenancePlanView {
        let plans = self.here.plans().await.expect("plans");
        plans.into_iter().find(|plan| plan.name == name).expect("the plan")
    }

    fn key(&mut self) -> Uuid {
        self.keys += 1;
        Uuid::from_u128(self.keys)
    }

    async fn act(
        &mut self,
        number: &str,
        deed: &'static str,
        who: u128,
    ) -> Result<MaintenanceOrderView, MaintenanceProblem> {
        let version = self.here.order(number.to_owned(), NODE).await.expect("an order").version;
        let into = (deed == "pause").then(|| "Held".to_owned());
        let wish =
            DeedWish { deed, version, key: self.key(), reason: None, into, failure: MaintenancePatch::default() };
        self.here.act(number.to_owned(), wish, person(who)).await
    }

    async fn failure(&mut self, equipment: &str, minute: i64) -> MaintenanceOrderView {
        let wish = MaintenanceWish {
            corrective: true,
            equipment: equipment.to_owned(),
            title: "It failed".to_owned(),
            priority: 5,
            failed_ms: Some(at(minute).millis()),
            code: Some("Mechanical/Jam".to_owned()),
            release: true,
            ..MaintenanceWish::default()
        };
        let key = self.key();
        self.here.make(NewMaintenanceWish::Person(Box::new(wish)), key, person(1)).await.expect("made").1
    }

    async fn figures(&self, path: &str, from: i64, to: i64) -> MaintenanceFiguresView {
        self.here.figures(path.to_owned(), window(from, to)).await.expect("figures")
    }
}

fn ratio(figures: &MaintenanceFiguresView, id: &str) -> (f64, f64, Option<f64>) {
    let figure = figures.figures.iter().find(|figure| figure.id == id).expect("the figure");
    (figure.numerator, figure.denominator, figure.value)
}

#[tokio::test]
async fn a_plan_by_cycles_is_due_once_per_turn_over_kills_and_a_clock_set_back() {
    let mut bed = Bed::new().await;
    bed.past(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    bed.past(30, &[("press/good", 60)]).await;
    let plan = bed.plan("oil").await;
    assert_eq!((plan.state.as_str(), plan.measures[0].used, plan.turn), ("Ok", Some(60.0), 1));
    bed.past(50, &[("press/good", 99)]).await;
    assert_eq!(bed.of_plan("oil").await, [""; 0]);
    bed.past(55, &[("press/good", 100)]).await;
    assert_eq!(bed.of_plan("oil").await, ["1 preventive AllowedToStart"]);
    bed = bed.killed().await;
    bed.past(56, &[("press/good", 130)]).await;
    bed.floor.clock.set(at(20));
    bed.here.tick().await.expect("looked");
    bed.floor.clock.set(at(57));
    bed.here.tick().await.expect("looked");
    assert_eq!(bed.of_plan("oil").await, ["1 preventive AllowedToStart"], "once");
    let plan = bed.plan("oil").await;
    assert_eq!((plan.state.as_str(), plan.due_by.as_deref()), ("Due", Some("cycles")));
    bed.past(116, &[]).await;
    assert_eq!(bed.plan("oil").await.state, "Overdue");
    // The work ends the turn: from then on it is counted anew.
    let number = bed.plan("oil").await.order.expect("an order").number;
    bed.act(&number, "begin", 1).await.expect("begun");
    bed.past(120, &[]).await;
    let done = bed.act(&number, "finish", 1).await.expect("finished");
    assert_eq!((done.work_ms, done.planned_parts[0].quantity), (4 * 60_000, 2.0));
    let plan = bed.plan("oil").await;
    assert_eq!((plan.state.as_str(), plan.turn, plan.since_ms), ("Ok", 2, at(120).millis()));
    assert_eq!((plan.measures[0].used, plan.last.map(|last| last.number)), (Some(0.0), Some(number)));
    bed = bed.killed().await;
    bed.past(130, &[("press/good", 229)]).await;
    assert_eq!(bed.of_plan("oil").await.len(), 1);
    bed.past(131, &[("press/good", 230)]).await;
    assert_eq!(bed.of_plan("oil").await, ["1 preventive Ended", "2 preventive AllowedToStart"]);
}

#[tokio::test]
async fn after_a_start_the_time_in_which_the_node_was_down_makes_no_plan_due() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    bed.at(100, &[("press/state", EXECUTE), ("press/good", 60)]).await;
    let mut bed = bed.killed_before_it_reads().await;
    bed.floor.clock.set(at(2 * 24 * 60));
    bed.here.tick().await.expect("looked");
    assert_eq!(bed.of_plan("hours").await, [""; 0], "nothing is read yet");
    assert_eq!(bed.of_plan("check").await.len(), 1, "time goes by all the same");
    bed.floor.go_on().await;
    bed.here.tick().await.expect("looked");
    assert_eq!(bed.of_plan("hours").await, [""; 0], "no machine has spoken yet");
    let plan = bed.plan("hours").await;
    assert_eq!((plan.state.as_str(), plan.measures[0].used), ("Ok", None), "it is not known to have run all the while");
    assert!(plan.warning.expect("it says so").contains("no machine has spoken"));
    let key = bed.key();
    bed.here.make(NewMaintenanceWish::Plan("hours".to_owned()), key, person(1)).await.expect("made early");
    bed.at(2 * 24 * 60 + 1, &[("press/state", EXECUTE), ("press/good", 60)]).await;
    let plan = bed.plan("hours").await;
    assert_eq!((plan.state.as_str(), plan.measures[0].used, plan.warning), ("Ok", Some(99.0 * 60.0), None));
    // From then on it counts, and what was counted before is there.
    for hour in 1..=9 {
        assert_eq!(bed.plan("hours").await.state, "Ok", "before hour {hour}");
        bed.at((48 + hour) * 60 + 1, &[("press/state", EXECUTE)]).await;
    }
    let plan = bed.plan("hours").await;
    assert_eq!((plan.state.as_str(), plan.due_by.as_deref()), ("Due", Some("run_time")));
}

#[tokio::test]
async fn while_the_log_is_read_after_a_start_a_plan_whose_order_was_cancelled_stays_due() {
    let mut bed = Bed::new().await;
    bed.past(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    bed.past(30, &[("press/good", 100)]).await;
    let number = bed.plan("oil").await.order.expect("due").number;
    bed.act(&number, "cancel", 1).await.expect("cancelled");
    bed.past(31, &[]).await;
    let mut bed = bed.killed_before_it_reads().await;
    bed.here.tick().await.expect("looked");
    bed.floor.go_on().await;
    bed.here.tick().await.expect("looked");
    bed.past(32, &[("press/good", 101)]).await;
    assert_eq!(bed.plan("oil").await.state, "Due");
    assert_eq!(bed.of_plan("oil").await, ["1 preventive Aborted"]);
}

#[tokio::test]
async fn an_order_that_a_person_made_early_is_due_when_its_plan_is_and_is_not_made_again_when_cancelled() {
    let mut bed = Bed::new().await;
    bed.past(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    let key = bed.key();
    let (made, early) = bed.here.make(NewMaintenanceWish::Plan("oil".to_owned()), key, person(1)).await.expect("made");
    assert!(made);
    bed.past(30, &[("press/good", 99)]).await;
    assert_eq!(bed.plan("oil").await.state, "Ok");
    bed.past(40, &[("press/good", 100)]).await;
    let plan = bed.plan("oil").await;
    assert_eq!((plan.state.as_str(), plan.due_by.as_deref()), ("Due", Some("cycles")));
    let since = plan.due_since_ms.expect("it is due");
    bed.past(90, &[]).await;
    assert_eq!(bed.plan("oil").await.due_since_ms, Some(since), "once");
    bed.past(102, &[]).await;
    assert_eq!(bed.plan("oil").await.state, "Overdue");
    bed.act(&early.number, "cancel", 7).await.expect("cancelled");
    bed.past(103, &[]).await;
    let plan = bed.plan("oil").await;
    assert_eq!((plan.state.as_str(), plan.cancelled.map(|order| order.number)), ("Overdue", Some(early.number)));
    assert_eq!(bed.of_plan("oil").await, ["1 preventive Aborted"]);
}

#[tokio::test]
async fn a_request_that_found_its_order_makes_no_other_when_it_comes_again_later() {
    let mut bed = Bed::new().await;
    bed.board.0.lock().expect("nobody panicked").push(alarm(6, 9));
    bed.floor.clock.set(at(10));
    let wishes: [fn() -> NewMaintenanceWish; 2] = [|| of_alarm(6), || NewMaintenanceWish::Plan("oil".to_owned())];
    for wish in wishes {
        let (first, second) = (bed.key(), bed.key());
        let (made, order) = bed.here.make(wish(), first, person(1)).await.expect("made");
        let (twice, same) = bed.here.make(wish(), second, person(2)).await.expect("there");
        assert_eq!((made, twice, &same.number), (true, false, &order.number));
        bed.act(&order.number, "cancel", 1).await.expect("cancelled");
        // Its answer was lost, and it comes again.
        let (again, same) = bed.here.make(wish(), second, person(2)).await.expect("the same");
        assert_eq!((again, &same.number, same.state.as_str()), (false, &order.number, "Aborted"));
        let other = bed.here.make(NewMaintenanceWish::Plan("check".to_owned()), second, person(2)).await;
        assert!(matches!(other, Err(MaintenanceProblem::Conflict { .. })), "{other:?}");
        let (entries, _) = bed.here.ledger(order.number, None, 100).await.expect("a ledger");
        let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
        assert_eq!(kinds, ["made", "asked", "cancel"]);
    }
}

#[tokio::test]
async fn a_plan_whose_order_is_in_a_state_that_nobody_knows_says_so_and_hides_no_other() {
    let mut bed = Bed::new().await;
    bed.past(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    bed.past(30, &[("press/good", 100)]).await;
    let number = bed.plan("oil").await.order.expect("due").number;
    let stored = bed.floor.store.maintenance_order(&number).await.expect("read").expect("an order");
    let mut order = stored.order;
    order.state = "Melted".to_owned();
    let content = Content::Changed { wish: String::new(), words: String::new() };
    let write = MaintenanceWrite {
        entry: bed.here.entry(Uuid::from_u128(1), at(31), &content, &person(1)).expect("an entry"),
        event: bed.here.event(&order, at(31), &content, None, None, &person(1)),
        order,
        begins: Vec::new(),
        ends: Vec::new(),
        used: None,
        next_turn: None,
    };
    bed.floor.store.maintenance_write(write).await.expect("written");
    let warning = bed.plan("oil").await.warning.expect("it says so");
    assert!(warning.contains("Melted"), "{warning}");
    assert_eq!((bed.plan("check").await.warning, bed.here.plans().await.expect("plans").len()), (None, 4));
}

#[test]
fn what_was_used_is_told_with_its_lot_and_its_serial_number() {
    let words =
        |lot: &str, serial: &str| super::show::part_words(Quantity::from_f64(2.5).expect("some"), "SEAL", lot, serial);
    assert_eq!(
        [words("", ""), words("L1", ""), words("", "S1"), words("L1", "S1")],
        ["2.5 SEAL", "2.5 SEAL L1", "2.5 SEAL S1", "2.5 SEAL L1 S1"]
    );
}

#[test]
fn machines_that_were_within_too_many_failures_are_refused() {
    let failure = |minute: i64| Failure {
        path: "works/line".to_owned(),
        code: None,
        failed: at(2 * minute),
        restored: Some(at(2 * minute + 1)),
    };
    let failures: Vec<Failure> = (0..100).map(failure).collect();
    let all = |units: usize| {
        let units = (0..units).map(|unit| format!("works/line/{unit}")).collect();
        super::figures::all_down(units, &failures, at(0), at(1_000))
    };
    assert_eq!(all(30).expect("as many as are read").len(), 3_000);
    assert!(matches!(all(31), Err(MaintenanceProblem::Refused(..))));
}

#[tokio::test]
async fn a_machine_that_went_on_in_a_failure_of_its_line_was_within_it() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE), ("oven/state", EXECUTE)]).await;
    bed.at(30, &[]).await;
    let line = bed.failure("works/line", 30).await.number;
    bed.act(&line, "begin", 1).await.expect("begun");
    bed.at(40, &[]).await;
    bed.act(&line, "finish", 1).await.expect("finished");
    bed.at(60, &[]).await;
    let (line, press, oven) = (
        bed.figures("works/line", 10, 60).await,
        bed.figures("works/line/press", 10, 60).await,
        bed.figures("works/line/oven", 10, 60).await,
    );
    assert_eq!((ratio(&line, "mttf"), ratio(&line, "mtbf").0), ((80.0 * 60.0, 1.0, Some(80.0 * 60.0)), 100.0 * 60.0));
    assert_eq!((ratio(&press, "mttf").0, press.failures, press.open_failures), (40.0 * 60.0, 0, 0));
    for id in ["mtbf", "mttf"] {
        assert_eq!(ratio(&line, id).0, ratio(&press, id).0 + ratio(&oven, id).0, "levels add up: {id}");
    }
}

#[tokio::test]
async fn a_plan_by_time_is_told_before_and_stays_due_when_its_order_is_cancelled() {
    let mut bed = Bed::new().await;
    bed.at(149, &[]).await;
    assert_eq!(bed.plan("check").await.state, "Ok");
    bed.at(150, &[]).await;
    assert_eq!(
        (bed.plan("check").await.state.as_str(), bed.plan("check").await.forecast_ms),
        ("Soon", Some(at(180).millis()))
    );
    bed.at(180, &[]).await;
    let number = bed.plan("check").await.order.expect("an order").number;
    bed.act(&number, "cancel", 7).await.expect("cancelled");
    bed.at(200, &[]).await;
    bed = bed.killed().await;
    bed.at(201, &[]).await;
    let plan = bed.plan("check").await;
    assert_eq!((plan.state.as_str(), plan.order, bed.of_plan("check").await.len()), ("Due", None, 1));
    let cancelled = plan.cancelled.expect("it says so");
    assert_eq!((&cancelled.number, cancelled.by), (&number, person(7).id));
    // A person makes it again; two who ask get one.
    let (key, other) = (bed.key(), bed.key());
    let wish = || NewMaintenanceWish::Plan("check".to_owned());
    let (made, again) = bed.here.make(wish(), key, person(1)).await.expect("made");
    let (twice, same) = bed.here.make(wish(), other, person(2)).await.expect("there");
    assert_eq!((made, twice, &again.number), (true, false, &same.number));
    assert_eq!(again.turn, Some(1));
    bed.act(&again.number, "begin", 1).await.expect("begun");
    bed.act(&again.number, "finish", 1).await.expect("finished");
    assert_eq!((bed.plan("check").await.turn, bed.plan("check").await.cancelled), (2, None));
}

#[tokio::test]
async fn an_alarm_makes_one_order_per_occurrence_by_its_plan_and_by_people() {
    let mut bed = Bed::new().await;
    bed.board.0.lock().expect("nobody panicked").push(alarm(5, 3));
    bed.at(5, &[]).await;
    bed.at(6, &[]).await;
    assert_eq!(bed.of_plan("dirty").await, ["1 condition_based AllowedToStart"]);
    let number = bed.plan("dirty").await.order.expect("an order").number;
    bed.act(&number, "begin", 1).await.expect("begun");
    bed.act(&number, "finish", 1).await.expect("finished");
    bed.at(8, &[]).await;
    assert_eq!(bed.of_plan("dirty").await.len(), 1, "the same occurrence makes no second");
    *bed.board.0.lock().expect("nobody panicked") = vec![alarm(6, 9)];
    bed.at(10, &[]).await;
    assert_eq!(bed.of_plan("dirty").await, ["1 condition_based Ended", "2 condition_based AllowedToStart"]);
    // From the alarm to an order is one request, and the same occurrence is the same order.
    let wish = || of_alarm(6);
    let (first, second) = (bed.key(), bed.key());
    let (made, order) = bed.here.make(wish(), first, person(1)).await.expect("made");
    let (twice, same) = bed.here.make(wish(), second, person(2)).await.expect("there");
    assert_eq!((made, twice, order.id), (true, false, same.id));
    assert_eq!((order.title.as_str(), order.priority, order.equipment.as_str()), ("Dirty", 7, "works/line/press"));
    assert_eq!((order.failed_ms, order.source.as_str()), (Some(at(9).millis()), "alarm"));
    bed.board.0.lock().expect("nobody panicked").clear();
    let third = bed.key();
    assert_eq!(bed.here.make(wish(), third, person(3)).await.expect("there").1.id, order.id, "also when it is over");
}

fn of_alarm(occurrence: u128) -> NewMaintenanceWish {
    NewMaintenanceWish::Alarm(AlarmWish {
        name: "works/line/press/good:high".to_owned(),
        occurrence: Uuid::from_u128(occurrence),
        title: None,
        priority: None,
        note: String::new(),
        code: None,
    })
}

#[tokio::test]
async fn an_alarm_that_flaps_has_one_open_order_and_one_that_was_cancelled_can_be_made_again() {
    let mut bed = Bed::new().await;
    let mut numbers = Vec::new();
    for occurrence in 1..=20 {
        *bed.board.0.lock().expect("nobody panicked") = vec![alarm(occurrence, 3)];
        let key = bed.key();
        numbers.push(bed.here.make(of_alarm(occurrence), key, person(1)).await.expect("an order").1.number);
        bed.here.tick().await.expect("looked");
    }
    numbers.dedup();
    assert_eq!((numbers.len(), bed.of_plan("dirty").await.len()), (1, 1), "one of people, and one of the plan");
    // Cancelled by mistake: the alarm stands, and has another.
    bed.act(&numbers[0], "cancel", 1).await.expect("cancelled");
    let (key, other) = (bed.key(), bed.key());
    let (made, again) = bed.here.make(of_alarm(20), key, person(1)).await.expect("made");
    assert!(made && again.number != numbers[0]);
    // Done: the occurrence has its order, and no other.
    bed.act(&again.number, "begin", 1).await.expect("begun");
    bed.act(&again.number, "finish", 1).await.expect("finished");
    let (made, same) = bed.here.make(of_alarm(20), other, person(2)).await.expect("there");
    assert_eq!((made, same.number), (false, again.number));
}

#[tokio::test]
async fn a_plan_by_an_alarm_whose_order_was_cancelled_is_due_until_the_alarm_is_over_and_then_again_by_the_next() {
    let mut bed = Bed::new().await;
    let put = |bed: &Bed, alarms: Vec<AlarmStatus>| *bed.board.0.lock().expect("nobody panicked") = alarms;
    put(&bed, vec![alarm(5, 3)]);
    bed.at(5, &[]).await;
    let number = bed.plan("dirty").await.order.expect("an order").number;
    bed.act(&number, "cancel", 1).await.expect("cancelled");
    bed.at(6, &[]).await;
    assert_eq!((bed.plan("dirty").await.state.as_str(), bed.of_plan("dirty").await.len()), ("Due", 1));
    put(&bed, Vec::new());
    bed.at(7, &[]).await;
    assert_eq!(bed.plan("dirty").await.state, "Ok");
    put(&bed, vec![alarm(6, 8)]);
    bed.at(9, &[]).await;
    assert_eq!(bed.of_plan("dirty").await, ["1 condition_based Aborted", "1 condition_based AllowedToStart"]);
}

#[tokio::test]
async fn a_counter_that_begins_again_uses_no_less_and_a_plan_that_is_changed_while_due_follows_once_its_order_is_given_up()
 {
    let mut bed = Bed::new().await;
    bed.past(1, &[("press/state", EXECUTE), ("press/good", 0)]).await;
    bed.past(30, &[("press/good", 60)]).await;
    bed.past(40, &[("press/good", 5)]).await;
    let after_reset = bed.plan("oil").await.measures[0].used.expect("counted");
    assert!(after_reset >= 60.0, "{after_reset}");
    bed.past(50, &[("press/good", 25)]).await;
    assert_eq!(bed.plan("oil").await.measures[0].used, Some(after_reset + 20.0));
    bed.past(60, &[("press/good", 60)]).await;
    let number = bed.plan("oil").await.order.expect("due").number;
    // Twice as long a turn: while its order is open it is due, and then it is not.
    bed.replan(&PLANT.replace("every_cycles = 100", "every_cycles = 200")).await;
    bed.past(61, &[]).await;
    assert_eq!(bed.plan("oil").await.state, "Due");
    bed.act(&number, "cancel", 1).await.expect("cancelled");
    bed.past(62, &[]).await;
    let plan = bed.plan("oil").await;
    assert_eq!((plan.state.as_str(), plan.due_by, plan.measures[0].every), ("Ok", None, 200.0));
    bed.past(90, &[("press/good", 200)]).await;
    assert_eq!(bed.of_plan("oil").await, ["1 preventive Aborted", "1 preventive AllowedToStart"]);
}

#[tokio::test]
async fn what_did_not_fail_has_no_value_and_what_is_closed_stays_closed() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE)]).await;
    bed.at(60, &[]).await;
    let figures = bed.figures("works/line/press", 0, 60).await;
    for id in ["mtbf", "mttf", "mttr", "corrective_maintenance_ratio"] {
        assert_eq!((ratio(&figures, id).1, ratio(&figures, id).2), (0.0, None), "{id}");
    }
    let empty = bed.figures("works/line/press", 60, 60).await;
    assert_eq!((empty.operating_ms, ratio(&empty, "mtbf").2), (0, None));
    let number = bed.failure("works/line/press", 30).await.number;
    for deed in ["begin", "finish", "close"] {
        bed.act(&number, deed, 1).await.expect("done");
    }
    for deed in ["close", "begin", "finish", "cancel", "join", "release"] {
        let again = bed.act(&number, deed, 2).await;
        assert!(matches!(again, Err(MaintenanceProblem::Conflict { current: Some(_), .. })), "{deed}: {again:?}");
    }
    let order = bed.here.order(number, NODE).await.expect("an order");
    assert_eq!((order.substate.as_deref(), order.version), (Some("Closed"), 4));
}

#[tokio::test]
async fn a_request_that_comes_again_is_done_once() {
    let mut bed = Bed::new().await;
    bed.at(10, &[]).await;
    let order = bed.failure("works/line/press", 5).await;
    assert_eq!((order.number.as_str(), order.state.as_str()), ("M-1", "AllowedToStart"));
    let deed = |key, version| DeedWish {
        deed: "begin",
        version,
        key,
        reason: None,
        into: None,
        failure: MaintenancePatch::default(),
    };
    let key = bed.key();
    let begun = bed.here.act("M-1".to_owned(), deed(key, order.version), person(1)).await.expect("begun");
    let again = bed.here.act("M-1".to_owned(), deed(key, order.version), person(1)).await.expect("the same");
    assert_eq!((begun.version, again.version), (2, 2));
    // An old version, and a key of something else.
    let (other, part_key) = (bed.key(), bed.key());
    let old = bed.here.act("M-1".to_owned(), deed(other, order.version), person(2)).await;
    assert!(matches!(old, Err(MaintenanceProblem::Conflict { current: Some(_), .. })), "{old:?}");
    let part = |key, quantity| PartWish {
        key,
        material: "SEAL".to_owned(),
        lot: Some("L1".to_owned()),
        serial: None,
        quantity,
        note: None,
    };
    bed.here.part("M-1".to_owned(), part(part_key, 3.0), person(1)).await.expect("used");
    let twice = bed.here.part("M-1".to_owned(), part(part_key, 3.0), person(1)).await.expect("the same");
    assert_eq!(twice.parts[0].quantity, 3.0);
    let used = bed.here.part("M-1".to_owned(), part(key, 1.0), person(1)).await;
    assert!(matches!(used, Err(MaintenanceProblem::Conflict { .. })), "a key of something else");
    let back = bed.key();
    let too_much = bed.here.part("M-1".to_owned(), part(back, -4.0), person(1)).await;
    assert!(matches!(too_much, Err(MaintenanceProblem::Refused(..))));
    // Several people; the last one does not leave.
    bed.act("M-1", "join", 2).await.expect("joined");
    bed.at(20, &[]).await;
    bed.act("M-1", "leave", 1).await.expect("left");
    assert!(bed.act("M-1", "leave", 2).await.is_err());
    bed.at(30, &[]).await;
    let done = bed.act("M-1", "finish", 2).await.expect("finished");
    assert_eq!((done.running_ms, done.work_ms), (20 * 60_000, 30 * 60_000));
    assert_eq!(done.restored_ms, Some(at(30).millis()));
    let (entries, next) = bed.here.ledger("M-1".to_owned(), None, 100).await.expect("a ledger");
    let kinds: Vec<_> = entries.iter().map(|entry| entry.kind.as_str()).collect();
    assert_eq!((kinds, next), (vec!["made", "begin", "part", "join", "leave", "finish"], None));
}

#[tokio::test]
async fn figures_come_from_failures_across_the_edges_and_the_operating_time() {
    let mut bed = Bed::new().await;
    bed.at(1, &[("press/state", EXECUTE), ("oven/state", EXECUTE)]).await;
    // The press fails at minute 50 and is restored at 70, over the edge of a kept hour; the oven goes on with a fault from 100 to 110.
    bed.at(50, &[("press/state", HELD)]).await;
    let press = bed.failure("works/line/press", 50).await.number;
    bed.act(&press, "begin", 1).await.expect("begun");
    bed.at(70, &[("press/state", EXECUTE)]).await;
    bed.act(&press, "finish", 1).await.expect("finished");
    bed.at(100, &[]).await;
    let oven = bed.failure("works/line/oven", 100).await.number;
    bed.act(&oven, "begin", 2).await.expect("begun");
    bed.at(110, &[]).await;
    bed.act(&oven, "finish", 2).await.expect("finished");
    let gone = bed.failure("works/line/oven", 105).await.number;
    bed.act(&gone, "cancel", 2).await.expect("cancelled");
    bed.at(200, &[]).await;
    bed = bed.killed().await;
    bed.at(201, &[]).await;

    let line = bed.figures("works/line", 2, 182).await;
    let (unit_press, unit_oven) =
        (bed.figures("works/line/press", 2, 182).await, bed.figures("works/line/oven", 2, 182).await);
    assert_eq!((line.failures, line.open_failures, line.repair_ms), (2, 0, 30 * 60_000));
    // 180 minutes each, of which the press stood for 20.
    assert_eq!(line.operating_ms, 340 * 60_000);
    assert_eq!(ratio(&line, "mtbf"), (340.0 * 60.0, 2.0, Some(170.0 * 60.0)));
    assert_eq!(ratio(&line, "mttf"), (330.0 * 60.0, 2.0, Some(165.0 * 60.0)), "the oven went on with its fault");
    assert_eq!(ratio(&line, "mttr"), (30.0 * 60.0, 2.0, Some(15.0 * 60.0)));
    // Levels add up.
    for id in ["mtbf", "mttf", "mttr"] {
        let (line, press, oven) = (ratio(&line, id), ratio(&unit_press, id), ratio(&unit_oven, id));
        assert!((line.0 - press.0 - oven.0).abs() < 1e-9 && (line.1 - press.1 - oven.1).abs() < 1e-9, "{id}");
    }
    // A window that cuts the failure: it counts where it began, its repair where it ended.
    let (before, later) = (bed.figures("works/line", 2, 60).await, bed.figures("works/line", 60, 182).await);
    assert_eq!((before.failures, before.open_failures, before.repair_ms), (1, 1, 0));
    assert_eq!((later.failures, later.repair_ms), (1, 30 * 60_000));
    assert_eq!(before.operating_ms + later.operating_ms, line.operating_ms);
    assert_eq!(ratio(&before, "mttr").2, None, "nothing was restored: no value");
    // All the work was corrective; the check of the line is planned work.
    assert_eq!(ratio(&line, "corrective_maintenance_ratio"), (1_800.0, 1_800.0, Some(1.0)));
    let check = bed.plan("check").await.order.expect("due").number;
    bed.act(&check, "begin", 1).await.expect("begun");
    bed.at(211, &[]).await;
    bed.act(&check, "finish", 1).await.expect("finished");
    let all = bed.figures("works/line", 2, 220).await;
    assert_eq!((all.corrective_ms, all.preventive_ms), (30 * 60_000, 10 * 60_000));
    assert_eq!(ratio(&all, "corrective_maintenance_ratio").2, Some(0.75));
    assert_eq!(line.pareto.len(), 1);
    assert_eq!((line.pareto[0].code.as_deref(), line.pareto[0].failures), (Some("Mechanical/Jam"), 2));
    assert_eq!(bed.orders().await.len(), 4);
}
