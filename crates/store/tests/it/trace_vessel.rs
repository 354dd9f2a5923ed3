//! Vessels: what is drawn holds the lots as the vessel does, nothing is lost by rounding, and no lot is lost from a recall.

use crate::fakes::{Base, note, on_both};
use crate::trace::{
    applied, at, built, carry, change, decide, id, lot, made, make, numbers, refusal, set, split, take_all, unit,
};
use andon_store::trace::{
    AsOf, Direction, Disposition, FlowKind, ItemKind, ItemName, ItemRef, Mixing, NewDraw, NewEdge, NewEmptying,
    NewFill, NewItem, NewLevel, NewMove, ONE, Step, TraceRefusal, TraceRepository, Vessel, VesselContent, VesselLevel,
};
use andon_store::{Store, StoreError};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use uuid::Uuid;

on_both! {
    a_draw_names_every_lot_with_its_share_and_what_was_in_it_then_can_be_asked
    what_each_station_draws_of_each_vessel_is_drawn_once_whatever_else_is_in_that_position
    first_in_first_out_and_into_a_lot_of_the_same_material
    a_lot_that_is_made_for_a_draw_is_as_much_as_is_drawn_whatever_that_is
    a_lot_that_was_thinned_out_is_still_called_back
    what_is_told_late_loses_no_lot
    what_is_so_now_is_taken_though_the_clock_was_set_back
    more_than_is_in_it_is_refused_or_comes_of_a_lot_that_names_what_was_in_it
    what_was_in_it_last_is_called_back_whole_however_often_more_is_drawn
    what_is_found_in_it_is_put_right_and_a_cleaned_vessel_begins_anew
    what_lies_in_a_vessel_neither_comes_nor_goes_otherwise
    a_place_from_which_more_was_taken_than_lay_there_becomes_a_vessel_all_the_same
    what_does_not_belong_into_it_is_refused_or_told
}

const TANK: &str = "works/line/tank";

fn tank(mixing: Mixing) -> Vessel {
    Vessel { path: TANK.to_owned(), mixing, capacity: None, material: None }
}

fn filled(vessel: &Vessel, item: &ItemRef, quantity: i64, second: i64) -> NewFill {
    NewFill {
        vessel: vessel.clone(),
        item: item.clone(),
        quantity,
        from: None,
        at: at(second),
        now: false,
        job: None,
        by: Some(id(5)),
        spare: id(0x1_0000_0000 + u128::from(second.unsigned_abs()) * 1000),
        even_so: false,
    }
}

fn fill(vessel: &Vessel, item: &ItemRef, quantity: i64, second: i64) -> Step {
    Step::Fill(filled(vessel, item, quantity * ONE, second))
}

fn drawn(vessel: &Vessel, into: &ItemRef, quantity: i64, second: i64) -> NewDraw {
    NewDraw {
        vessel: vessel.clone(),
        quantity,
        into: into.clone(),
        position: "resin".to_owned(),
        place: None,
        at: at(second),
        now: false,
        job: Some(id(77)),
        by: Some(id(5)),
        spare: id(0x2_0000_0000 + u128::from(second.unsigned_abs()) * 1000),
        even_so: false,
        once: false,
        makes: false,
    }
}

fn draw(vessel: &Vessel, into: &ItemRef, quantity: i64, second: i64) -> Step {
    Step::Draw(drawn(vessel, into, quantity * ONE, second))
}

fn level(vessel: &Vessel, level: i64, second: i64) -> NewLevel {
    NewLevel {
        vessel: vessel.clone(),
        level: level * ONE,
        at: at(second),
        now: false,
        by: Some(id(5)),
        why: "weighed".to_owned(),
        spare: id(0x3_0000_0000 + u128::from(second.unsigned_abs()) * 1000),
    }
}

fn empty(vessel: &Vessel, second: i64) -> Step {
    let (vessel, why) = (vessel.clone(), "rinsed".to_owned());
    Step::Empty(NewEmptying { vessel, at: at(second), now: false, by: Some(id(5)), why })
}

/// Lots A, B, C of a thousand each, and units U1 to U9.
async fn stocked(store: &Store) -> [ItemRef; 3] {
    let lots = ["A", "B", "C"].map(lot);
    let mut steps: Vec<Step> = lots.iter().zip(1..).map(|(item, number)| make(item, number, Some(1000))).collect();
    steps.extend((1..10).map(|number| make(&unit(&format!("U{number}")), 100 + number, None)));
    take_all(store, steps).await;
    lots
}

/// What was put into an item itself: number and millionths.
async fn parts(store: &Store, item: u128) -> Vec<(String, i64)> {
    let parts = store.trace_parts(id(item)).await.unwrap();
    let mut parts: Vec<_> = parts.into_iter().map(|(item, edge)| (item.name.number, edge.quantity)).collect();
    parts.sort();
    parts
}

async fn inside(store: &Store, second: Option<i64>) -> Vec<(String, i64)> {
    let found = store.trace_vessel(TANK.to_owned(), second.map(at)).await.unwrap().unwrap();
    found.lots.into_iter().map(|lot| (lot.item.name.number, lot.quantity / ONE)).collect()
}

/// A lot of another material.
fn oil() -> ItemName {
    ItemName { kind: ItemKind::Lot, material: "OIL".to_owned(), number: "O".to_owned() }
}

fn of(list: &[(&str, i64)]) -> Vec<(String, i64)> {
    list.iter().map(|(number, quantity)| ((*number).to_owned(), *quantity)).collect()
}

async fn whole(store: &Store) {
    assert_eq!(store.trace_check().await.unwrap(), []);
}

async fn a_draw_names_every_lot_with_its_share_and_what_was_in_it_then_can_be_asked(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    let into = unit("U1");
    take_all(&store, vec![fill(&tank, &a, 60, 10), fill(&tank, &b, 40, 20), draw(&tank, &into, 10, 30)]).await;
    take_all(&store, vec![fill(&tank, &c, 10, 40), draw(&tank, &unit("U2"), 50, 50)]).await;
    assert_eq!(parts(&store, 101).await, of(&[("A", 6 * ONE), ("B", 4 * ONE)]));
    assert_eq!(parts(&store, 102).await, of(&[("A", 27 * ONE), ("B", 18 * ONE), ("C", 5 * ONE)]));
    assert_eq!(numbers(&store, &c, Direction::Forward, AsOf::Ever).await, set(&["U2"]));
    assert_eq!(numbers(&store, &b, Direction::Forward, AsOf::At(at(35))).await, set(&["U1"]));
    let recall = store.trace_recall(a.clone(), AsOf::Ever).await.unwrap().unwrap();
    let lies: Vec<_> = recall.lots.iter().map(|row| row.places.clone()).collect();
    assert_eq!((recall.units.len(), lies), (2, vec![vec![(TANK.to_owned(), 27 * ONE)]]));
    assert_eq!(inside(&store, Some(5)).await, []);
    assert_eq!(inside(&store, Some(20)).await, of(&[("A", 60), ("B", 40)]));
    assert_eq!(inside(&store, Some(39)).await, of(&[("A", 54), ("B", 36)]));
    assert_eq!(inside(&store, None).await, of(&[("A", 27), ("B", 18), ("C", 5)]));
    let vessels = store.trace_vessels(9).await.unwrap();
    let there = VesselLevel { path: TANK.to_owned(), level: 50 * ONE, lots: 3, at: at(50) };
    assert_eq!(vessels, [there]);
    assert_eq!(store.trace_vessels(0).await.unwrap(), []);
    let flows = store.trace_flows(TANK.to_owned(), Some(at(45)), Some(4), 2).await.unwrap();
    let flows: Vec<_> = flows.into_iter().map(|flow| (flow.turn, flow.kind.word(), flow.level / ONE)).collect();
    assert_eq!(flows, [(3, "draw", 90), (2, "fill", 100)]);
    // Said again it is done once; said otherwise it is refused.
    let again = applied(&store, vec![draw(&tank, &into, 10, 30), fill(&tank, &a, 60, 10)]).await;
    assert_eq!((again.changed, again.unchanged), (0, 2));
    assert!(matches!(refusal(&store, vec![draw(&tank, &into, 11, 30)]).await, TraceRefusal::Differs { .. }));
    // A draw that happens once for a position.
    let once = Step::Draw(NewDraw { once: true, ..drawn(&tank, &into, ONE, 60) });
    assert_eq!(applied(&store, vec![once]).await.unchanged, 1);
    whole(&store).await;
}

async fn what_each_station_draws_of_each_vessel_is_drawn_once_whatever_else_is_in_that_position(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let (tank, into) = (tank(Mixing::Ideal), unit("U1"));
    let other = Vessel { path: "works/other/tank".to_owned(), ..tank.clone() };
    take_all(&store, vec![fill(&tank, &a, 60, 10), fill(&other, &b, 60, 11)]).await;
    let once = |vessel: &Vessel, station: &str, second| {
        let place = Some(station.to_owned());
        Step::Draw(NewDraw { once: true, place, ..drawn(vessel, &into, ONE, second) })
    };
    let part = NewEdge { position: "resin".to_owned(), ..built(&c, &into, 1, 19) };
    take_all(&store, vec![Step::Edge(part)]).await;
    let drawn = applied(&store, vec![once(&tank, "s1", 20), once(&other, "s2", 21), once(&tank, "s2", 22)]).await;
    assert_eq!((drawn.changed, drawn.refused), (3, vec![]));
    assert_eq!(parts(&store, 101).await, of(&[("A", ONE), ("A", ONE), ("B", ONE), ("C", ONE)]));
    let again = applied(&store, vec![once(&tank, "s1", 30), once(&other, "s2", 31), once(&tank, "s2", 32)]).await;
    assert_eq!((again.changed, again.unchanged), (0, 3));
    let flows = store.trace_flows(TANK.to_owned(), None, None, 9).await.unwrap();
    let places: Vec<_> = flows.iter().map(|flow| flow.place.as_deref()).collect();
    assert_eq!(places, [Some("s2"), Some("s1"), None]);
    whole(&store).await;
}

async fn first_in_first_out_and_into_a_lot_of_the_same_material(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let silo = tank(Mixing::Plug);
    let drum = lot("DRUM");
    take_all(&store, vec![fill(&silo, &a, 10, 10), fill(&silo, &b, 10, 20), fill(&silo, &a, 5, 30)]).await;
    let into = Step::Item(NewItem { at: at(40), ..made(&drum, 50, Some(0)) });
    let drain = Step::Draw(NewDraw { place: Some("yard".to_owned()), ..drawn(&silo, &drum, 15 * ONE, 40) });
    take_all(&store, vec![into, drain]).await;
    assert_eq!(parts(&store, 50).await, of(&[("A", 10 * ONE), ("B", 5 * ONE)]));
    let drum_now = store.trace_item(drum.clone()).await.unwrap().unwrap();
    assert_eq!(drum_now.remaining(), Some(15 * ONE), "it is more by what was drawn into it");
    assert_eq!(store.trace_stock(id(50)).await.unwrap(), [("yard".to_owned(), 15 * ONE)]);
    assert_eq!(inside(&store, None).await, of(&[("B", 5), ("A", 5)]));
    // From one vessel into the other by way of the lot.
    let second = Vessel { path: "works/line/day tank".to_owned(), ..tank(Mixing::Ideal) };
    let over = Step::Fill(NewFill { from: Some("yard".to_owned()), ..filled(&second, &drum, 15 * ONE, 50) });
    take_all(&store, vec![over, fill(&second, &c, 5, 51), draw(&second, &unit("U1"), 4, 60)]).await;
    assert_eq!(parts(&store, 101).await, of(&[("C", ONE), ("DRUM", 3 * ONE)]));
    assert_eq!(numbers(&store, &b, Direction::Forward, AsOf::Ever).await, set(&["DRUM", "U1"]));
    // What would end in itself is refused.
    let back = refusal(&store, vec![draw(&second, &drum, 1, 70)]).await;
    assert!(matches!(back, TraceRefusal::Circle { .. }), "{back}");
    whole(&store).await;
}

async fn a_lot_that_is_made_for_a_draw_is_as_much_as_is_drawn_whatever_that_is(base: Base) {
    let store = base.open().await;
    let [a, _, _] = stocked(&store).await;
    let (oil, tank) = (ItemRef::Name(oil()), tank(Mixing::Ideal));
    let into = |number: &str, quantity: i64, second| {
        let makes = NewDraw { even_so: true, makes: true, ..drawn(&tank, &lot(number), quantity * ONE, second) };
        vec![make(&lot(number), 100 + second as u128, None), Step::Draw(makes)]
    };
    let is = |number: &'static str| {
        let store = &store;
        async move {
            let item = store.trace_item(lot(number)).await.unwrap().unwrap();
            (item.quantity(), item.made)
        }
    };
    // From a vessel of which nobody knows anything: what comes is taken for more of the same.
    take_all(&store, into("D1", 5, 20)).await;
    assert_eq!(is("D1").await, (Some(5 * ONE), Some(0)));
    // Of the same material alone, more than is in it, and into the same once more.
    take_all(&store, vec![fill(&tank, &a, 6, 30)]).await;
    take_all(&store, into("D2", 8, 40)).await;
    assert_eq!(is("D2").await, (Some(8 * ONE), Some(0)));
    take_all(&store, into("D2", 2, 41)[1..].to_vec()).await;
    assert_eq!(is("D2").await, (Some(10 * ONE), Some(0)));
    // Of another, and of both.
    take_all(&store, vec![empty(&tank, 50), make(&oil, 70, Some(100)), fill(&tank, &oil, 30, 51)]).await;
    take_all(&store, into("D3", 10, 60)).await;
    assert_eq!(is("D3").await, (Some(10 * ONE), Some(10 * ONE)));
    take_all(&store, vec![fill(&tank, &a, 20, 61)]).await;
    take_all(&store, into("D4", 10, 70)).await;
    assert_eq!(is("D4").await, (Some(10 * ONE), Some(5 * ONE)));
    whole(&store).await;
}

async fn a_lot_that_was_thinned_out_is_still_called_back(base: Base) {
    let store = base.open().await;
    let [a, _, _] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    // A tenth is left of A with each turn: after seven it is less than a millionth.
    let mut steps = vec![fill(&tank, &a, 10, 1)];
    for turn in 0..9 {
        steps.push(make(&lot(&format!("T{turn}")), 200 + turn, Some(100)));
        steps.push(Step::Draw(drawn(&tank, &unit(&format!("U{}", turn + 1)), 9 * ONE, 10 * turn as i64 + 5)));
        steps.push(fill(&tank, &lot(&format!("T{turn}")), 9, 10 * turn as i64 + 8));
    }
    take_all(&store, steps).await;
    let direct = parts(&store, 109).await;
    assert!(direct.iter().all(|(number, _)| number != "A"), "it is no longer named by itself: {direct:?}");
    assert!(direct.iter().any(|(number, _)| number.starts_with("tank traces")), "{direct:?}");
    assert_eq!(direct.iter().map(|(_, part)| part).sum::<i64>(), 9 * ONE);
    let reached = store.trace_recall(a.clone(), AsOf::Ever).await.unwrap().unwrap();
    let units: BTreeSet<_> = reached.units.iter().map(|row| row.item.name.number.clone()).collect();
    assert_eq!(units.len(), 9, "all nine hold something of it: {units:?}");
    assert!(reached.cut.is_none());
    // What came later is in nothing that was drawn before.
    let reached_from = async |number: &str| numbers(&store, &lot(number), Direction::Forward, AsOf::Ever).await;
    assert_eq!(reached_from("T8").await, set(&[]));
    assert_eq!(reached_from("T7").await, set(&["U9"]));
    let early = reached_from("T0").await;
    assert!(!early.contains("U1") && (2..=9).all(|unit| early.contains(&format!("U{unit}"))), "{early:?}");
    let flows = store.trace_flows(TANK.to_owned(), None, None, 100).await.unwrap();
    let thin = flows.iter().rev().find(|flow| flow.kind == FlowKind::Traces).unwrap();
    assert_eq!(thin.item.as_ref().unwrap().name.number, "A");
    assert!(thin.quantity < 10, "{} millionths of ten", thin.quantity);
    // A lot that is held stays named, however little is left of it.
    let [held, new] = ["HELD", "NEW"].map(lot);
    take_all(&store, vec![make(&held, 300, Some(1)), make(&new, 301, Some(1000))]).await;
    take_all(&store, vec![empty(&tank, 100), Step::Fill(filled(&tank, &held, 5, 101))]).await;
    take_all(&store, vec![decide(&held, Disposition::Hold, 102), fill(&tank, &new, 100, 103)]).await;
    let into = refusal(&store, vec![draw(&tank, &lot("X"), 1, 104)]).await;
    assert!(matches!(into, TraceRefusal::Unknown { .. }), "{into}");
    take_all(&store, vec![make(&unit("V"), 302, None)]).await;
    let held = refusal(&store, vec![draw(&tank, &unit("V"), 1, 104)]).await;
    assert!(matches!(held, TraceRefusal::NotReleased { .. }), "{held}");
    whole(&store).await;
}

async fn what_is_told_late_loses_no_lot(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let silo = tank(Mixing::Plug);
    take_all(&store, vec![fill(&silo, &a, 10, 10), draw(&silo, &unit("U1"), 2, 20), draw(&silo, &unit("U2"), 2, 40)])
        .await;
    // B came at 30 and is told now: what was drawn at 40 may hold it, what was drawn at 20 does not.
    take_all(&store, vec![fill(&silo, &b, 5, 30)]).await;
    assert_eq!(numbers(&store, &b, Direction::Forward, AsOf::Ever).await, set(&["U2"]));
    assert_eq!(parts(&store, 102).await, of(&[("A", 2 * ONE), ("B", 0)]));
    assert_eq!(inside(&store, None).await, of(&[("A", 6), ("B", 5)]));
    // A is drawn out; then a draw is told that was before that.
    take_all(&store, vec![draw(&silo, &unit("U3"), 6, 50), fill(&silo, &c, 5, 60)]).await;
    take_all(&store, vec![draw(&silo, &unit("U4"), 1, 45)]).await;
    assert_eq!(parts(&store, 104).await, of(&[("A", 0), ("B", ONE)]));
    // What is emptied or found now is not said of a time before.
    let same = || change(0x0dd, vec![Step::Level(level(&silo, 9, 65))], note(901, "works"));
    for _ in 0..2 {
        // What changes nothing is refused each time: its key stands for nothing.
        let refused = store.trace_change(same()).await;
        let Err(StoreError::Refused(refusal)) = refused else { panic!("it is refused, but {refused:?}") };
        assert_eq!(*refusal, TraceRefusal::Nothing);
    }
    let late = refusal(&store, vec![empty(&silo, 55)]).await;
    assert!(matches!(late, TraceRefusal::Unfit { what: "time", .. }), "{late}");
    let late = refusal(&store, vec![Step::Level(level(&silo, 3, 55))]).await;
    assert!(matches!(late, TraceRefusal::Unfit { what: "time", .. }), "{late}");
    let flows = store.trace_flows(TANK.to_owned(), None, None, 1).await.unwrap();
    assert_eq!((flows[0].told, flows[0].at), (at(45), at(60)));
    whole(&store).await;
}

async fn what_is_so_now_is_taken_though_the_clock_was_set_back(base: Base) {
    let store = base.open().await;
    let [a, b, _] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    take_all(&store, vec![fill(&tank, &a, 10, 100), draw(&tank, &unit("U1"), 2, 110), fill(&tank, &b, 10, 120)]).await;
    // The clock says 50 from here on.
    let now = |quantity: i64| Step::Fill(NewFill { now: true, ..filled(&tank, &b, quantity * ONE, 50) });
    take_all(&store, vec![now(1), now(1)]).await;
    assert_eq!(parts(&store, 101).await, of(&[("A", 2 * ONE)]), "it did not hold what came later");
    let drawn = Step::Draw(NewDraw { now: true, ..drawn(&tank, &unit("U2"), 2 * ONE, 51) });
    let weighed = Step::Level(NewLevel { now: true, ..level(&tank, 9, 52) });
    let (vessel, why) = (tank.clone(), "rinsed".to_owned());
    let rinsed = Step::Empty(NewEmptying { vessel, at: at(53), now: true, by: None, why });
    take_all(&store, vec![drawn, weighed, rinsed]).await;
    let flows = store.trace_flows(TANK.to_owned(), None, None, 9).await.unwrap();
    let told: Vec<_> = flows.iter().map(|flow| (flow.kind.word(), flow.told.micros() - at(120).micros())).collect();
    assert_eq!(told[..5], [("empty", 5), ("loss", 4), ("draw", 3), ("fill", 2), ("fill", 1)]);
    assert!(flows.iter().all(|flow| flow.told == flow.at), "nothing of it was told late");
    whole(&store).await;
}

async fn more_than_is_in_it_is_refused_or_comes_of_a_lot_that_names_what_was_in_it(base: Base) {
    let store = base.open().await;
    let [a, b, _] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    take_all(&store, vec![fill(&tank, &a, 10, 10)]).await;
    let low = refusal(&store, vec![draw(&tank, &unit("U1"), 11, 20)]).await;
    assert_eq!(low.to_string(), format!("in {TANK} there is 10; 11 cannot be drawn"));
    whole(&store).await;
    let even_so = |number: &str, quantity: i64, second| {
        Step::Draw(NewDraw { even_so: true, ..drawn(&tank, &unit(number), quantity * ONE, second) })
    };
    let report = applied(&store, vec![even_so("U1", 11, 20), even_so("U2", 1, 30)]).await;
    assert_eq!((report.changed, report.findings, report.refused), (2, 2, vec![]));
    let first = parts(&store, 101).await;
    assert_eq!(first.iter().map(|(_, part)| part).sum::<i64>(), 11 * ONE);
    assert!(first[1].0.starts_with("tank surplus") && first[1].1 == ONE, "{first:?}");
    // From the empty vessel comes what was in it last.
    let reached = numbers(&store, &a, Direction::Forward, AsOf::Ever).await;
    assert!(reached.contains("U1") && reached.contains("U2"), "{reached:?}");
    let found = store.trace_findings(None, 9).await.unwrap();
    assert_eq!((found[0].what.as_str(), found[0].item), ("overdrawn", Some(id(102))));
    // Of two materials, each has a surplus of its own, also where nothing of it comes to a millionth.
    let (oil, both) = (ItemRef::Name(oil()), Vessel { path: "works/c".to_owned(), ..tank.clone() });
    take_all(&store, vec![make(&oil, 70, Some(1)), Step::Fill(filled(&both, &oil, 1, 40)), fill(&both, &b, 9, 41)])
        .await;
    take_all(&store, vec![Step::Draw(drawn(&both, &unit("U4"), 9 * ONE + 1, 42))]).await;
    let found = Step::Draw(NewDraw { even_so: true, ..drawn(&both, &unit("U5"), 1, 43) });
    take_all(&store, vec![found]).await;
    assert_eq!(parts(&store, 105).await.iter().map(|(_, part)| *part).sum::<i64>(), 1);
    for lot in [&oil, &b] {
        let reached = numbers(&store, lot, Direction::Forward, AsOf::Ever).await;
        assert!(reached.contains("U4") && reached.contains("U5"), "{lot}: {reached:?}");
    }
    // A vessel of which nothing was ever told, and which has a material.
    let other = Vessel { path: "works/b".to_owned(), material: Some("4711".to_owned()), ..tank.clone() };
    let unheard = Step::Draw(NewDraw { even_so: true, ..drawn(&other, &unit("U3"), ONE, 40) });
    assert_eq!(applied(&store, vec![unheard]).await.changed, 1);
    assert_eq!(parts(&store, 103).await.len(), 1);
    assert!(!numbers(&store, &a, Direction::Forward, AsOf::Ever).await.contains("U3"));
    whole(&store).await;
}

async fn what_was_in_it_last_is_called_back_whole_however_often_more_is_drawn(base: Base) {
    let store = base.open().await;
    let [a, _, _] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    take_all(&store, vec![fill(&tank, &a, 1, 10), draw(&tank, &unit("U1"), 1, 11)]).await;
    // Nobody says any more that it is filled, as long as a recall is deep.
    let deep = 1_100;
    for turns in (0..deep).collect::<Vec<i64>>().chunks(100) {
        let turn = |n: &i64| {
            let into = unit(&format!("N{n}"));
            let draw = NewDraw { even_so: true, ..drawn(&tank, &into, ONE, 20 + n) };
            [make(&into, 10_000 + n.unsigned_abs() as u128, None), Step::Draw(draw)]
        };
        take_all(&store, turns.iter().flat_map(turn).collect()).await;
    }
    let recall = store.trace_recall(a, AsOf::Ever).await.unwrap().unwrap();
    assert_eq!((recall.units.len(), recall.cut), (1 + deep as usize, None));
    whole(&store).await;
}

async fn what_is_found_in_it_is_put_right_and_a_cleaned_vessel_begins_anew(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    take_all(&store, vec![fill(&tank, &a, 6, 10), fill(&tank, &b, 4, 11)]).await;
    take_all(&store, vec![Step::Level(level(&tank, 5, 20))]).await;
    assert_eq!(inside(&store, None).await, of(&[("A", 3), ("B", 2)]), "less is less of each");
    take_all(&store, vec![Step::Level(level(&tank, 7, 30)), draw(&tank, &unit("U1"), 7, 40)]).await;
    let direct = parts(&store, 101).await;
    assert_eq!(direct.iter().map(|(_, part)| *part).collect::<Vec<_>>(), [3 * ONE, 2 * ONE, 2 * ONE]);
    let flows = store.trace_flows(TANK.to_owned(), None, None, 9).await.unwrap();
    let said: Vec<_> = flows.iter().map(|flow| (flow.kind.word(), flow.why.as_str())).collect();
    assert_eq!(said[..3], [("draw", ""), ("surplus", "weighed"), ("loss", "weighed")]);
    // Rinsed, nothing is of what was in it.
    take_all(&store, vec![empty(&tank, 50), fill(&tank, &c, 5, 60), draw(&tank, &unit("U2"), 1, 70)]).await;
    assert_eq!(parts(&store, 102).await, of(&[("C", ONE)]));
    take_all(&store, vec![empty(&tank, 80)]).await;
    let unknown = refusal(&store, vec![Step::Level(level(&tank, 1, 90))]).await;
    assert!(matches!(unknown, TraceRefusal::Unfit { what: "level", .. }), "{unknown}");
    assert_eq!(store.trace_stock(id(3)).await.unwrap(), [], "what was poured out lies nowhere");
    whole(&store).await;
}

async fn what_lies_in_a_vessel_neither_comes_nor_goes_otherwise(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    // What lay in the place before it was a vessel is in it.
    take_all(&store, vec![Step::Move(carry(&a, None, Some(TANK), 5, 5)), fill(&tank, &b, 5, 10)]).await;
    assert_eq!(inside(&store, None).await, of(&[("A", 5), ("B", 5)]));
    let in_vessel = |refusal: TraceRefusal| assert!(matches!(refusal, TraceRefusal::InVessel { .. }), "{refusal}");
    in_vessel(refusal(&store, vec![Step::Move(carry(&a, Some(TANK), Some("yard"), 1, 20))]).await);
    in_vessel(refusal(&store, vec![Step::Move(carry(&c, None, Some(TANK), 1, 20))]).await);
    let there = NewItem { place: Some(TANK.to_owned()), ..made(&lot("D"), 60, Some(1)) };
    in_vessel(refusal(&store, vec![Step::Item(there)]).await);
    in_vessel(
        refusal(&store, vec![Step::Fill(NewFill { from: Some(TANK.to_owned()), ..filled(&tank, &c, ONE, 20) })]).await,
    );
    // A lot that is used by its number is not taken out of the vessel.
    take_all(&store, vec![Step::Edge(built(&a, &unit("U1"), 2, 30)), split(&b, &lot("C"), 1, 31)]).await;
    assert_eq!(inside(&store, None).await, of(&[("A", 5), ("B", 5)]));
    whole(&store).await;
    // What a draw gave is not given back by halves.
    take_all(&store, vec![draw(&tank, &unit("U2"), 2, 40)]).await;
    let back = andon_store::trace::NewRemoval {
        from: a,
        to: unit("U2"),
        position: "resin".to_owned(),
        at: at(40),
        removed_at: at(50),
        replaced_by: None,
        given_back: true,
        by: None,
    };
    let given = refusal(&store, vec![Step::Remove(back.clone())]).await;
    assert!(matches!(given, TraceRefusal::Unfit { what: "removal", .. }), "{given}");
    take_all(&store, vec![Step::Remove(andon_store::trace::NewRemoval { given_back: false, ..back })]).await;
    whole(&store).await;
}

async fn a_place_from_which_more_was_taken_than_lay_there_becomes_a_vessel_all_the_same(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let tank = tank(Mixing::Ideal);
    let more = Step::Move(NewMove { even_so: true, ..carry(&a, Some(TANK), Some("yard"), 3, 5) });
    take_all(&store, vec![Step::Move(carry(&b, None, Some(TANK), 4, 6)), more]).await;
    assert!(store.trace_stock(id(1)).await.unwrap().contains(&(TANK.to_owned(), -3 * ONE)));
    take_all(&store, vec![fill(&tank, &c, 6, 10)]).await;
    assert_eq!(inside(&store, None).await, of(&[("B", 4), ("C", 6)]), "what is missing is not in it");
    assert_eq!(store.trace_stock(id(1)).await.unwrap(), [("yard".to_owned(), 3 * ONE)]);
    let found = store.trace_findings(None, 9).await.unwrap();
    let told = found.iter().find(|found| found.what == "overdrawn" && found.item == Some(id(1))).unwrap();
    assert!(told.text.starts_with("3 more of lot 4711 A was taken from works/line/tank"), "{}", told.text);
    whole(&store).await;
    // A unit is carried away first, and the refusal says so.
    let shelf = Vessel { path: "works/shelf".to_owned(), ..tank };
    take_all(&store, vec![Step::Move(carry(&unit("U1"), None, Some("works/shelf"), 1, 20))]).await;
    let told = refusal(&store, vec![fill(&shelf, &a, 1, 21)]).await.to_string();
    assert!(told.contains("units or containers lie in it"), "{told}");
    take_all(&store, vec![Step::Move(carry(&unit("U1"), Some("works/shelf"), None, 1, 22)), fill(&shelf, &c, 1, 23)])
        .await;
    whole(&store).await;
}

async fn what_does_not_belong_into_it_is_refused_or_told(base: Base) {
    let store = base.open().await;
    let [a, b, c] = stocked(&store).await;
    let oil = ItemRef::Name(oil());
    take_all(&store, vec![make(&oil, 70, Some(10)), decide(&c, Disposition::Hold, 1)]).await;
    let tank = Vessel { capacity: Some(20 * ONE), material: Some("4711".to_owned()), ..tank(Mixing::Ideal) };
    take_all(&store, vec![fill(&tank, &a, 15, 10)]).await;
    for (step, wanted) in [
        (fill(&tank, &oil, 1, 20), "into works/line/tank goes 4711, and not lot OIL O"),
        (fill(&tank, &b, 6, 20), "works/line/tank holds 20, and 15 is in it; 6 more does not go in"),
        (fill(&tank, &c, 1, 20), "lot 4711 C may not be used: its state is Hold"),
        (fill(&tank, &unit("U1"), 1, 20), "the fill cannot be: only lots are filled into a vessel"),
        (fill(&tank, &b, 1001, 20), "holds 20"),
        (Step::Fill(NewFill { from: Some("x".to_owned()), ..filled(&tank, &b, ONE, 20) }), "in x there is 0"),
        (fill(&tank, &b, 0, 20), "the quantity cannot be: 0 is too little"),
        (Step::Level(level(&tank, 21, 20)), "the level cannot be: works/line/tank holds no more than 20"),
    ] {
        let told = refusal(&store, vec![step]).await.to_string();
        assert!(told.contains(wanted), "{told}");
    }
    let even_so = |item: &ItemRef, quantity: i64, second| {
        Step::Fill(NewFill { even_so: true, ..filled(&tank, item, quantity * ONE, second) })
    };
    take_all(&store, vec![even_so(&oil, 1, 30), even_so(&b, 6, 40), even_so(&c, 1, 50)]).await;
    let told: BTreeSet<_> = store.trace_findings(None, 9).await.unwrap().into_iter().map(|found| found.what).collect();
    assert_eq!(told, set(&["other_material", "overfull", "not_released"]));
    // More than it holds is in it, as was said: a little less than that can be read.
    take_all(&store, vec![Step::Level(level(&tank, 22, 60))]).await;
    whole(&store).await;
}

/// What is done with a vessel.
#[derive(Clone, Copy, Debug)]
enum Done {
    Fill(u128, i64),
    Draw(i64),
    Level(i64),
    Empty,
}

fn things_done() -> impl Strategy<Value = Vec<Done>> {
    let amount = || prop_oneof![1..30i64, 1..40_000_000i64, 1_000_000_000..2_000_000_000i64];
    let one = prop_oneof![
        6 => (1..8u128, amount()).prop_map(|(lot, quantity)| Done::Fill(lot, quantity)),
        6 => amount().prop_map(Done::Draw),
        1 => amount().prop_map(Done::Level),
        1 => Just(Done::Empty),
    ];
    proptest::collection::vec(one, 0..40)
}

/// A vessel as anybody would count it: parts in their order, and every lot that was in it since it was empty.
#[derive(Clone, Default)]
struct Plain {
    parts: VecDeque<(String, i128)>,
    ever: BTreeSet<String>,
}

impl Plain {
    fn level(&self) -> i128 {
        self.parts.iter().map(|(_, part)| part).sum()
    }

    fn lots(&self) -> BTreeMap<String, i128> {
        let mut lots = BTreeMap::new();
        for (number, part) in self.parts.iter().filter(|(_, part)| *part > 0) {
            *lots.entry(number.clone()).or_default() += part;
        }
        lots
    }

    /// First in, first out.
    fn take_first(&mut self, mut wanted: i128) -> BTreeMap<String, i128> {
        let mut taken = BTreeMap::new();
        while wanted > 0 {
            let Some((number, part)) = self.parts.front_mut() else { break };
            let now = wanted.min(*part);
            *taken.entry(number.clone()).or_default() += now;
            (*part, wanted) = (*part - now, wanted - now);
            if *part == 0 {
                self.parts.pop_front();
            }
        }
        taken
    }

    fn take(&mut self, number: &str, part: i128) {
        let found = self.parts.iter_mut().find(|(known, _)| known == number).unwrap();
        found.1 -= part;
        assert!(found.1 >= 0);
    }
}

/// Does it in the store and beside it, and looks after each thing whether both say the same.
async fn play(store: &Store, mixing: Mixing, done: Vec<Done>) {
    let vessel = tank(mixing);
    let mut steps: Vec<Step> = (1..8).map(|n| make(&lot(&format!("L{n}")), n, Some(1_000_000))).collect();
    steps.extend((0..done.len()).map(|n| make(&unit(&format!("U{n}")), 1000 + n as u128, None)));
    take_all(store, steps).await;
    let mut plain = Plain::default();
    let (mut past, mut ids) = (Vec::new(), BTreeMap::new());
    let mut turn = 0;
    for (n, done) in done.into_iter().enumerate() {
        let second = 10 + 10 * n as i64;
        let step = match done {
            Done::Fill(number, quantity) => Step::Fill(filled(&vessel, &lot(&format!("L{number}")), quantity, second)),
            Done::Draw(quantity) => {
                Step::Draw(NewDraw { even_so: true, ..drawn(&vessel, &unit(&format!("U{n}")), quantity, second) })
            }
            Done::Level(quantity) => Step::Level(NewLevel { level: quantity, ..level(&vessel, 0, second) }),
            Done::Empty => empty(&vessel, second),
        };
        let report = applied(store, vec![step]).await;
        let before = plain.clone();
        let unknown = plain.parts.is_empty() && plain.ever.is_empty();
        if !report.refused.is_empty() {
            assert!(matches!(done, Done::Level(_)) && unknown, "{done:?}: {:?}", report.refused);
            continue;
        }
        let mut flows = store.trace_flows(TANK.to_owned(), None, None, 1000).await.unwrap();
        flows.retain(|flow| flow.turn > turn);
        flows.reverse();
        turn = flows.last().map_or(turn, |flow| flow.turn);
        let direct: BTreeMap<String, i128> = match done {
            Done::Draw(_) => {
                parts(store, 1000 + n as u128).await.into_iter().map(|(number, part)| (number, part.into())).collect()
            }
            _ => BTreeMap::new(),
        };
        let items = flows.iter().flat_map(|flow| flow.item.iter().chain(&flow.into));
        ids.extend(items.map(|item| (item.name.number.clone(), item.id)));
        for flow in &flows {
            let number = flow.item.as_ref().map(|item| item.name.number.clone()).unwrap_or_default();
            let quantity = i128::from(flow.quantity);
            match flow.kind {
                FlowKind::Fill if mixing == Mixing::Ideal && plain.parts.iter().any(|(known, _)| *known == number) => {
                    plain.take(&number, -quantity);
                }
                FlowKind::Fill => {
                    if plain.level() == 0 && plain.parts.is_empty() {
                        plain.ever.clear();
                    }
                    plain.parts.push_back((number.clone(), quantity));
                }
                FlowKind::Surplus => plain.parts.push_front((number.clone(), quantity)),
                FlowKind::Draw | FlowKind::Loss if mixing == Mixing::Plug => {
                    let taken = plain.take_first(quantity);
                    if flow.kind == FlowKind::Draw {
                        assert_eq!(direct, taken, "first in, first out");
                    }
                }
                FlowKind::Draw => {
                    let (total, lots) = (plain.level(), plain.lots());
                    assert_eq!(direct.values().sum::<i128>(), quantity);
                    assert!(lots.keys().all(|number| direct.contains_key(number)), "{direct:?} of {lots:?}");
                    for (number, part) in &direct {
                        let off = part * total - lots.get(number).copied().unwrap_or(0) * quantity;
                        assert!(off.abs() < total.max(1), "{number} is within a millionth of its share");
                        plain.take(number, *part);
                    }
                }
                FlowKind::Loss => {
                    let (total, lots) = (plain.level(), plain.lots());
                    let moved = poured(store, second, &ids).await;
                    assert_eq!(moved.values().sum::<i128>(), quantity);
                    for (number, part) in moved {
                        let off = part * total - lots[&number] * quantity;
                        assert!(off.abs() < total, "{number} is within a millionth of its share");
                        plain.take(&number, part);
                    }
                }
                FlowKind::Traces => {
                    let at = plain.parts.iter().position(|(known, _)| *known == number).unwrap();
                    let (_, left) = plain.parts.remove(at).unwrap();
                    assert_eq!(left, quantity);
                    assert!(
                        left * 1_000_000 < before.level().max(plain.level() + left),
                        "only what is next to nothing"
                    );
                    let into = flow.into.as_ref().unwrap().name.number.clone();
                    match plain.parts.iter_mut().find(|(known, _)| *known == into) {
                        Some((_, part)) => *part += left,
                        None => plain.parts.push_back((into, left)),
                    }
                }
                FlowKind::Empty => plain = Plain::default(),
            }
            if number.starts_with('L') && flow.kind == FlowKind::Fill {
                plain.ever.insert(number);
            }
        }
        if let (Done::Draw(quantity), Mixing::Ideal) = (done, mixing) {
            assert_eq!(direct.values().sum::<i128>(), i128::from(quantity));
            let reached = numbers(store, &unit(&format!("U{n}")), Direction::Backward, AsOf::Ever).await;
            let lots: BTreeSet<String> = reached.into_iter().filter(|number| number.starts_with('L')).collect();
            assert_eq!(lots, before.ever, "all that was in it since it was empty, and nothing else");
        }
        if plain.level() == 0 {
            plain.parts.clear();
        }
        let now = store.trace_vessel(TANK.to_owned(), None).await.unwrap().unwrap();
        let held = held_of(now);
        assert_eq!(held, plain.lots());
        past.push((second, held));
    }
    assert_eq!(store.trace_check().await.unwrap(), []);
    for (second, held) in past {
        let then = store.trace_vessel(TANK.to_owned(), Some(at(second + 5))).await.unwrap().unwrap();
        assert_eq!(held_of(then), held, "at {second}");
    }
}

/// What was poured out of the vessel at a time.
async fn poured(store: &Store, second: i64, lots: &BTreeMap<String, Uuid>) -> BTreeMap<String, i128> {
    let mut all = BTreeMap::new();
    for (number, item) in lots {
        let moves = store.trace_moves(*item, None, 1000).await.unwrap();
        let out = moves.into_iter().filter(|moved| moved.at == at(second) && moved.from.as_deref() == Some(TANK));
        let out: i128 = out.map(|moved| i128::from(moved.quantity)).sum();
        if out > 0 {
            all.insert(number.clone(), out);
        }
    }
    all
}

fn held_of(content: VesselContent) -> BTreeMap<String, i128> {
    let held = content.lots.into_iter().filter(|lot| lot.quantity > 0);
    held.map(|lot| (lot.item.name.number, lot.quantity.into())).collect()
}

fn mixings() -> impl Strategy<Value = Mixing> {
    prop_oneof![2 => Just(Mixing::Ideal), 1 => Just(Mixing::Plug)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]
    #[test]
    fn what_is_drawn_of_a_vessel_is_what_plain_counting_gives(mixing in mixings(), done in things_done()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let base = Base::file();
            play(&base.open().await, mixing, done).await;
        });
    }
}

proptest! {
    // Each is a database to be made.
    #![proptest_config(ProptestConfig { cases: 5, ..ProptestConfig::default() })]
    #[test]
    fn what_is_drawn_of_a_vessel_on_a_server_is_what_plain_counting_gives(mixing in mixings(), done in things_done()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            if let Some(base) = Base::server().await {
                let store = base.open().await;
                play(&store, mixing, done).await;
                store.close().await.unwrap();
            }
        });
    }
}
