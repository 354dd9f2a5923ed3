//! What the demo's operator does when, from lists as the API tells them.

use super::*;

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

fn job(number: u128, place: Place, state: &str, good: f64) -> JobView {
    let started = (state != "AllowedToStart").then_some(NOW.millis() - 1000 + i64::try_from(number).unwrap());
    JobView {
        id: Uuid::from_u128(number),
        number: format!("HP/{number}"),
        order: "HP".to_owned(),
        operation: "10".to_owned(),
        title: String::new(),
        equipment: None,
        alternatives: vec![path(place)],
        quantity: 3.0,
        good,
        scrap: 0.0,
        rework: 0.0,
        state: state.to_owned(),
        substate: None,
        planned_start_ms: None,
        planned_end_ms: None,
        started_ms: started,
        ended_ms: None,
        run_time_ms: 0,
        setup_ms: 0,
        after: vec![],
        skills: vec![],
        instructions: vec![],
        version: 1,
        may: vec![],
        warnings: vec![],
    }
}

/// An order with its four jobs, which get the numbers from `number` on.
fn order(number: u128, material: &str, jobs: [(&str, f64); 4]) -> OrderView {
    let jobs = (number..).zip(Place::ALL).zip(jobs).map(|((id, place), (state, good))| job(id, place, state, good));
    OrderView {
        id: Uuid::from_u128(number),
        number: "HP".to_owned(),
        material: material.to_owned(),
        revision: None,
        title: String::new(),
        unit: "pcs".to_owned(),
        quantity: 3.0,
        due_ms: None,
        priority: 5,
        state: "Running".to_owned(),
        good: 0.0,
        scrap: 0.0,
        rework: 0.0,
        jobs: jobs.collect(),
        created_ms: 0,
        source: "person".to_owned(),
        note: String::new(),
        version: 1,
    }
}

fn machine_in(place: Place, state: &str, reason: Option<&str>, since: Duration) -> MachineView {
    MachineView {
        path: path(place),
        title: String::new(),
        line: LINE.to_owned(),
        state: Some(state.to_owned()),
        mode: None,
        since_ms: Some(NOW.minus(since).millis()),
        element: "delay".to_owned(),
        reason: reason.map(str::to_owned),
        planned: "busy".to_owned(),
        calendar: None,
        shift: None,
        job: None,
    }
}

const WAITS: (&str, f64) = ("AllowedToStart", 0.0);

fn begin(number: u128) -> Deed {
    Deed::Begin(Uuid::from_u128(number))
}

fn stop(number: u128) -> Deed {
    Deed::Stop(Uuid::from_u128(number))
}

fn deeds(open: &[OrderView]) -> Vec<Deed> {
    decide(open, &[], NOW).deeds
}

#[test]
fn an_order_begins_at_the_first_station_and_then_at_the_others() {
    let mut open = vec![order(10, "HP-8", [WAITS; 4]), order(20, "HP-12", [WAITS; 4])];
    assert_eq!(deeds(&open), [begin(10)], "where nothing was mounted yet there is nothing to do");
    open[1].jobs[0].planned_start_ms = Some(5);
    assert_eq!(deeds(&open), [begin(20)], "as it is planned");
    let open = [order(10, "HP-8", [("Running", 0.0), WAITS, WAITS, WAITS]), order(20, "HP-12", [WAITS; 4])];
    assert_eq!(deeds(&open), [begin(11), begin(12), begin(13)], "and none where one stands");
}

#[test]
fn units_do_not_overtake_each_other() {
    // The second order was begun first.
    let first = order(20, "HP-8", [("Running", 0.0), WAITS, WAITS, WAITS]);
    let second = order(10, "HP-12", [("Ended", 3.0), WAITS, WAITS, ("Running", 0.0)]);
    assert_eq!(deeds(&[first, second]), [begin(11), begin(12)]);
}

#[test]
fn a_job_ends_when_it_has_made_what_was_wanted_or_what_came() {
    let made = |mount, leak, eol| deeds(&[order(10, "HP-8", [mount, leak, eol, WAITS])]);
    assert_eq!(made(("Running", 2.0), WAITS, WAITS)[0], begin(11), "two of three");
    assert_eq!(made(("Running", 3.0), ("Running", 2.0), WAITS)[0], stop(10));
    assert_eq!(made(("Running", 3.0), ("Running", 3.0), WAITS)[0], stop(10));
    assert_eq!(made(("Ended", 4.0), ("Running", 3.0), ("Running", 0.0)), [begin(13)], "one more was mounted");
    let mut order = order(10, "HP-8", [("Ended", 4.0), ("Running", 3.0), ("Running", 3.0), WAITS]);
    order.jobs[1].scrap = 1.0;
    assert_eq!(
        deeds(&[order]),
        [stop(11), begin(13)],
        "what is scrap has come as well; and that is not over at the next"
    );
}

#[test]
fn a_station_to_which_nothing_comes_any_more_ends_its_job() {
    let open = [order(10, "HP-8", [("Ended", 3.0), ("Running", 1.0), WAITS, WAITS])];
    let waits = |state, seconds| {
        decide(&open, &[machine_in(Place::Leak, state, None, Duration::from_secs(seconds))], NOW).deeds[0]
    };
    assert_eq!(waits("Idle", 299), begin(12));
    assert_eq!(waits("Idle", 300), stop(11));
    assert_eq!(waits("Execute", 9_999), begin(12));
    let open = [order(10, "HP-8", [("Running", 1.0), ("Running", 1.0), WAITS, WAITS])];
    let machines = [machine_in(Place::Leak, "Idle", None, Duration::from_secs(9_999))];
    assert_eq!(decide(&open, &machines, NOW).deeds, [begin(12), begin(13)], "it may still come");
}

#[test]
fn what_a_visitor_has_paused_or_made_otherwise_stays() {
    let open = [order(10, "HP-8", [("Interrupted", 3.0), WAITS, WAITS, WAITS]), order(20, "bolt", [WAITS; 4])];
    let work = decide(&open, &[], NOW);
    assert_eq!(work.deeds, [begin(11), begin(12), begin(13)]);
    assert!(!work.controls.run);
    assert_eq!(deeds(&[order(20, "bolt", [WAITS; 4])]), []);
}

#[test]
fn the_first_station_makes_no_unit_too_many() {
    let run = |good, state, reason| {
        let open = [order(10, "HP-12", [("Running", good), WAITS, WAITS, WAITS])];
        let controls = decide(&open, &[machine_in(Place::Mount, state, reason, Duration::ZERO)], NOW).controls;
        assert_eq!(controls.product, Product::Hp12);
        controls.run
    };
    assert!(run(1.0, "Execute", None));
    assert!(!run(2.0, "Execute", None), "the last one is on the bench");
    assert!(run(2.0, "Idle", None), "or was scrap");
    assert!(run(2.0, "Suspended", Some("Material/Not delivered")));
    assert!(!run(2.0, "Suspended", Some("Flow/Blocked")));
    assert!(!run(3.0, "Idle", None));
    assert_eq!(decide(&[], &[], NOW).controls, Controls::default());
}
