//! Vessels: people and stations draw what is in there, and what they do is kept and told.

use super::{Here, PLANT, at, key, person};
use crate::mes::testbed::{Testbed, plant_of};
use andon_api::ports::NotDone;
use andon_api::ports::stock::{MoveWish, Stock as _};
use andon_api::ports::trace::{DecisionWish, ReceiptWish, Traces as _, UnitView};
use andon_api::ports::vessel::{DrawWish, EmptyWish, FillWish, IntoWish, LevelWish, VesselQuery, Vessels as _};
use andon_bus::ids::new_id;
use andon_model::access::Principal;
use andon_store::PlantRepository as _;
use andon_store::trace::TraceRepository as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// The vessel of the plant.
const TANK: &str = "works/line";

async fn resin(here: &Here, number: &str) -> Uuid {
    let receipt = ReceiptWish {
        key: new_id(&*here.bed.clock),
        material: "RESIN".to_owned(),
        revision: None,
        number: number.to_owned(),
        quantity: 100.0,
        place: Some("store".to_owned()),
        state: "Released".to_owned(),
    };
    here.trace.receive(receipt, person()).await.expect("received").item.id
}

fn fill_of(number: u128, item: Uuid, quantity: f64) -> FillWish {
    FillWish { key: key(number), item, quantity, from: Some("store".to_owned()), at: None, happened: false }
}

fn draw_of(number: u128, quantity: f64, into: IntoWish) -> DrawWish {
    let (position, place) = (String::new(), Some("yard".to_owned()));
    DrawWish { key: key(number), quantity, into, position, place, at: None, happened: false }
}

fn drum(number: &str) -> IntoWish {
    IntoWish::Lot { material: "RESIN".to_owned(), revision: None, number: number.to_owned() }
}

#[tokio::test]
async fn a_vessel_is_filled_drawn_from_and_put_right_and_what_is_asked_twice_is_done_once() {
    let here = Here::new().await;
    let trace = &here.trace;
    let [first, second] = [resin(&here, "R-1").await, resin(&here, "R-2").await];
    trace.fill(TANK.to_owned(), fill_of(1, first, 60.0), person()).await.expect("filled");
    let full = trace.fill(TANK.to_owned(), fill_of(2, second, 40.0), person()).await.expect("filled");
    assert_eq!((full.vessel.level, full.vessel.lots, full.vessel.unit.as_deref()), (100.0, 2, Some("kg")));
    let again = trace.fill(TANK.to_owned(), fill_of(2, second, 40.0), person()).await.expect("again");
    assert_eq!((again.vessel.level, again.flows.len()), (100.0, 2), "it is filled in once");
    let over = trace.fill(TANK.to_owned(), fill_of(3, second, 1.0), person()).await;
    assert!(matches!(over, Err(NotDone::Conflict(..))), "{over:?}");
    let drawn = trace.draw(TANK.to_owned(), draw_of(4, 10.0, drum("D-1")), person()).await.expect("drawn");
    let shares: Vec<_> = drawn.contents.iter().map(|lot| (lot.item.number.as_str(), lot.quantity, lot.share)).collect();
    assert_eq!(shares, [("R-1", 54.0, 0.6), ("R-2", 36.0, 0.4)]);
    let into = drawn.flows[0].into.clone().expect("a drum");
    assert_eq!((into.remaining, into.place.as_deref()), (Some(10.0), Some("yard")));
    // Into the same drum once more, it is more by as much.
    let more = trace.draw(TANK.to_owned(), draw_of(5, 20.0, drum("D-1")), person()).await.expect("drawn");
    assert_eq!(more.flows[0].into.as_ref().and_then(|into| into.remaining), Some(30.0));
    let recall = trace.recall(second, None).await.expect("a recall");
    assert!(recall.lots.iter().any(|row| row.item.number == "D-1"), "{:?}", recall.lots);
    let low = trace.draw(TANK.to_owned(), draw_of(6, 80.0, drum("D-2")), person()).await;
    assert!(matches!(low, Err(NotDone::Conflict(..))), "{low:?}");
    let level = LevelWish { key: key(7), level: 60.0, reason: "weighed".to_owned() };
    let right = trace.level(TANK.to_owned(), level.clone(), person()).await.expect("put right");
    assert_eq!(
        (right.vessel.level, right.flows[0].kind.as_str(), right.flows[0].reason.as_str()),
        (60.0, "loss", "weighed")
    );
    let same = LevelWish { key: key(8), ..level.clone() };
    for _ in 0..2 {
        let same = trace.level(TANK.to_owned(), same.clone(), person()).await;
        assert!(matches!(same, Err(NotDone::Conflict(..))), "nothing changes by it: {same:?}");
    }
    let again = trace.level(TANK.to_owned(), level, person()).await.expect("what was done is said again");
    assert_eq!(again.flows.len(), right.flows.len());
    let clean = EmptyWish { key: key(9), reason: "rinsed".to_owned() };
    let clean = trace.empty(TANK.to_owned(), clean, person()).await.expect("emptied");
    assert_eq!((clean.vessel.level, clean.contents.len()), (0.0, 0));
    let unit = IntoWish::Item(first);
    let still = trace.draw(TANK.to_owned(), DrawWish { happened: true, ..draw_of(10, 1.0, unit) }, person()).await;
    still.expect("it happened, so it is kept");
    let unknown = VesselQuery { path: "works/none".to_owned(), at: None, before: None, limit: 2 };
    assert!(matches!(trace.vessel(unknown).await, Err(NotDone::Unknown(_))));
    let all = trace.all().await.expect("all");
    assert_eq!((all.vessels.len(), all.truncated), (1, false));
    assert_eq!((all.vessels[0].path.as_str(), all.vessels[0].mixing.as_deref()), (TANK, Some("ideal")));
    assert!(trace.all_vessels(1).await.expect("one").truncated, "there may be more");
    let none = trace.all_vessels(0).await.expect("none");
    assert_eq!((none.vessels, none.truncated), (vec![], true), "one that is left out is not shown as empty");
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
    let told = here.told().await;
    let told: Vec<_> = told.iter().map(|(action, shown, _)| format!("{action} {shown}")).collect();
    let wanted = ["filled RESIN R-1", "filled RESIN R-2", "drawn RESIN D-1", "drawn RESIN D-1", "level works/line"];
    assert_eq!(told[2..7], wanted, "each change is told once, after what was received");
    assert_eq!(told[7..], ["emptied works/line", "overdrawn RESIN R-1", "drawn RESIN R-1"]);
}

#[tokio::test]
async fn a_drum_that_is_drawn_from_an_empty_vessel_is_as_much_as_was_drawn() {
    let here = Here::new().await;
    let draw = DrawWish { happened: true, ..draw_of(1, 5.0, drum("D-1")) };
    let drawn = here.trace.draw(TANK.to_owned(), draw, person()).await.expect("it happened");
    let into = drawn.flows[0].into.clone().expect("a drum");
    assert_eq!((into.quantity, into.remaining), (Some(5.0), Some(5.0)));
    // So is one of another material that is counted alike, and of pieces nobody knows how many that many kilograms are.
    let lot = resin(&here, "R-1").await;
    here.trace.fill(TANK.to_owned(), fill_of(2, lot, 8.0), person()).await.expect("filled");
    for (n, material, quantity) in [(3, "PASTE", Some(3.0)), (4, "VALVE", None)] {
        let other = IntoWish::Lot { material: material.to_owned(), revision: None, number: "V-1".to_owned() };
        let drawn = here.trace.draw(TANK.to_owned(), draw_of(n, 3.0, other), person()).await.expect("drawn");
        assert_eq!(drawn.flows[0].into.as_ref().and_then(|into| into.quantity), quantity, "{material}");
    }
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
}

#[tokio::test]
async fn what_is_told_of_a_vessel_at_a_time_is_of_that_time_and_not_of_one_to_come() {
    let here = Here::new().await;
    let lot = resin(&here, "R-1").await;
    here.bed.clock.set(at(100));
    let late = FillWish { at: Some(at(40)), ..fill_of(1, lot, 10.0) };
    here.trace.fill(TANK.to_owned(), late, person()).await.expect("filled");
    let come = FillWish { at: Some(at(200)), ..fill_of(2, lot, 10.0) };
    let come = here.trace.fill(TANK.to_owned(), come, person()).await;
    assert!(matches!(come, Err(NotDone::Asked(_))), "{come:?}");
    let content = |second| VesselQuery { path: TANK.to_owned(), at: Some(at(second)), before: None, limit: 9 };
    let before = here.trace.vessel(content(39)).await.expect("what was in it");
    assert_eq!((before.vessel.level, before.flows.len()), (0.0, 0));
    let then = here.trace.vessel(content(40)).await.expect("what was in it");
    assert_eq!((then.vessel.level, then.flows[0].told_ms), (10.0, at(40).millis()));
    // The lot is not carried out of the vessel.
    let away = MoveWish { key: key(3), quantity: Some(1.0), from: Some(TANK.to_owned()), to: None };
    let away = here.trace.carry(lot, away, person()).await;
    assert!(matches!(away, Err(NotDone::Conflict(..))), "{away:?}");
}

#[tokio::test]
async fn each_unit_of_a_station_gets_its_part_of_a_vessel_once() {
    let plant = PLANT.replace("first = true }", "draw = [{ vessel = \"works/line\", quantity = 0.5 }], first = true }");
    let mut here = Here::over(Testbed::new_at(at(-600), &plant).await).await;
    let [first, second] = [resin(&here, "R-1").await, resin(&here, "R-2").await];
    here.trace.fill(TANK.to_owned(), fill_of(1, first, 0.6), person()).await.expect("filled");
    here.trace.fill(TANK.to_owned(), fill_of(2, second, 0.2), person()).await.expect("filled");
    here.hear("10 mount serial P1").await;
    let parts = |unit: UnitView| -> Vec<(String, f64, String)> {
        let parts = unit.as_maintained.into_iter().map(|part| (part.item.number, part.quantity, part.position));
        parts.collect()
    };
    let gets = [("R-1".to_owned(), 0.375, TANK.to_owned()), ("R-2".to_owned(), 0.125, TANK.to_owned())];
    assert_eq!(parts(here.unit("P1").await), gets);
    // A further attempt gets nothing more; the next unit gets more than there is, and that is told.
    here.hear("20 mount valve V-1, 20 mount serial P1").await;
    here.hear("30 mount serial P2").await;
    let tank = VesselQuery { path: TANK.to_owned(), at: None, before: None, limit: 9 };
    let tank = here.trace.vessel(tank).await.expect("what is in it");
    let kinds: Vec<_> = tank.flows.iter().map(|flow| (flow.kind.as_str(), flow.quantity)).collect();
    assert_eq!(kinds, [("draw", 0.5), ("surplus", 0.2), ("draw", 0.5), ("fill", 0.2), ("fill", 0.6)]);
    let found = here.bed.store.trace_findings(None, 9).await.expect("findings");
    assert!(found.iter().any(|found| found.what == "overdrawn"), "{found:?}");
    let recall = here.trace.recall(second, None).await.expect("a recall");
    let units: BTreeSet<_> = recall.units.iter().map(|row| row.item.number.as_str()).collect();
    assert_eq!(units, BTreeSet::from(["P1", "P2"]));
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
}

#[tokio::test]
async fn each_station_draws_of_its_own_vessel_though_others_and_a_part_are_called_like_it() {
    let plant = PLANT
        .replace("first = true }", "draw = [{ vessel = \"works/line\", quantity = 0.5 }], first = true }")
        .replace("measure = [{ characteristic", "draw = [{ vessel = \"works/b/line\", quantity = 0.25 }], measure = [{ characteristic")
        .replace("last = true }", "draw = [{ vessel = \"works/line\", quantity = 0.1 }], last = true }")
        .replace("vessel = [", "vessel = [{ equipment = \"works/b/line\" }, ")
        .replace("{ path = \"works/line/mount\", level", "{ path = \"works/b\", level = \"work_center\" }, { path = \"works/b/line\", level = \"work_unit\" }, { path = \"works/line/mount\", level")
        .replace("mount/valve", "mount/line");
    let mut here = Here::over(Testbed::new_at(at(-600), &plant).await).await;
    let [first, second] = [resin(&here, "R-1").await, resin(&here, "R-2").await];
    here.trace.fill(TANK.to_owned(), fill_of(1, first, 60.0), person()).await.expect("filled");
    here.trace.fill("works/b/line".to_owned(), fill_of(2, second, 60.0), person()).await.expect("filled");
    here.hear("10 mount serial P1, 10 mount line V-1").await;
    here.hear("20 test serial P1, 20 test result 0").await;
    // A further attempt at each, the first with another valve.
    here.hear("30 mount line V-2, 31 mount serial P1").await;
    here.hear("40 test serial P1, 40 test result 1").await;
    here.hear("50 pack serial P1").await;
    let unit = here.unit("P1").await;
    let mut parts: Vec<_> = unit
        .as_maintained
        .iter()
        .map(|part| (part.item.number.as_str(), part.quantity, part.position.as_str()))
        .collect();
    parts.sort_by(|a, b| a.partial_cmp(b).expect("numbers"));
    // Two products are mounted here and no order runs: nobody knows which bill holds, so it is one valve.
    let wanted = [("R-1", 0.1, TANK), ("R-1", 0.5, TANK), ("R-2", 0.25, "works/b/line"), ("V-2", 1.0, "line")];
    assert_eq!(parts, wanted);
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
}

#[tokio::test]
async fn what_is_in_a_vessel_that_was_taken_out_of_the_plant_model_can_still_be_drawn_and_poured_out() {
    let here = Here::new().await;
    let lot = resin(&here, "R-1").await;
    here.trace.fill(TANK.to_owned(), fill_of(1, lot, 60.0), person()).await.expect("filled");
    let without = PLANT.replace("vessel = [{ equipment = \"works/line\", material = \"RESIN\", capacity = 100 }]", "");
    let version = here.bed.store.current_plant().await.expect("a model").0.version;
    here.bed.store.apply_plant(version, plant_of(&without), Principal::SYSTEM, None).await.expect("applied");
    let (plant, ids) = here.bed.store.current_plant().await.expect("a model");
    here.bed.bus.set_plant(Arc::new(plant), ids);
    here.bed.mes.follow().await.expect("followed");
    here.trace.follow();
    let away = MoveWish { key: key(2), quantity: Some(1.0), from: Some(TANK.to_owned()), to: None };
    match here.trace.carry(lot, away, person()).await {
        Err(NotDone::Conflict(_, remedy)) => assert!(remedy.contains("vessels/works%2Fline/empty"), "{remedy}"),
        other => panic!("it is refused, but {other:?}"),
    }
    let fill = here.trace.fill(TANK.to_owned(), fill_of(3, lot, 1.0), person()).await;
    assert!(matches!(fill, Err(NotDone::Conflict(..))), "{fill:?}");
    let drawn = here.trace.draw(TANK.to_owned(), draw_of(4, 10.0, drum("D-1")), person()).await.expect("drawn");
    assert_eq!((drawn.vessel.level, drawn.vessel.mixing), (50.0, None));
    let level = LevelWish { key: key(5), level: 45.0, reason: "weighed".to_owned() };
    here.trace.level(TANK.to_owned(), level, person()).await.expect("put right");
    let empty = EmptyWish { key: key(6), reason: "pumped out".to_owned() };
    let empty = here.trace.empty(TANK.to_owned(), empty, person()).await.expect("emptied");
    assert_eq!(empty.vessel.level, 0.0);
    let unknown = EmptyWish { key: key(7), reason: String::new() };
    let unknown = here.trace.empty("works/none".to_owned(), unknown, person()).await;
    assert!(matches!(unknown, Err(NotDone::Unknown(_))), "{unknown:?}");
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
}

#[tokio::test]
async fn what_is_refused_says_how_it_is_recorded_if_it_happened_and_what_is_found_then_is_told_with_what_to_do() {
    let here = Here::new().await;
    let lot = resin(&here, "R-1").await;
    let over = FillWish { happened: true, ..fill_of(1, lot, 120.0) };
    here.trace.fill(TANK.to_owned(), over, person()).await.expect("it happened");
    let remedy = async |wish: DrawWish| match here.trace.draw(TANK.to_owned(), wish, person()).await {
        Err(NotDone::Refused(_, remedy) | NotDone::Conflict(_, remedy)) => remedy,
        other => panic!("it is refused, but {other:?}"),
    };
    let short = remedy(draw_of(2, 110.0, drum("D-1"))).await;
    assert!(short.contains("what was used of it; if it flowed all the same, say \"happened\": true"), "{short}");
    let circle = remedy(draw_of(3, 1.0, IntoWish::Item(lot))).await;
    assert!(circle.contains("a lot of a number of its own") && !circle.contains("happened"), "{circle}");
    let hold = DecisionWish { key: key(4), state: "Hold".to_owned(), reason: "cracks".to_owned() };
    here.trace.decide(lot, hold, person()).await.expect("held");
    let held = remedy(draw_of(5, 1.0, drum("D-1"))).await;
    assert!(held.contains("have somebody release it; if it flowed all the same"), "{held}");
    let all_the_same = DrawWish { happened: true, ..draw_of(6, 110.0, drum("D-1")) };
    here.trace.draw(TANK.to_owned(), all_the_same, person()).await.expect("it happened");
    let told = here.told().await;
    for (action, shown, wanted) in [
        ("not_there", "RESIN R-1", "look where it lies"),
        ("overfull", "RESIN R-1", "put its level right"),
        ("overdrawn", "RESIN D-1", "count what is left of it"),
        ("not_released", "RESIN D-1", "decide about the lot, and about what it went into"),
    ] {
        let found: Vec<_> = told.iter().filter(|(found, ..)| found == action).collect();
        let [(_, about, text)] = found[..] else { panic!("{action}: {told:?}") };
        assert!(about == shown && text.contains(wanted), "{about}: {text}");
    }
}
