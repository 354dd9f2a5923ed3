//! What machines said that cannot be right, what lies where after it was used, and that nothing is lost at the edge of a page.

use crate::fakes::{Base, note, on_both};
use crate::trace::{
    applied, at, build, built, carry, change, decide, id, lot, made, make, named, rand, refusal, set, split, take,
    take_all, unit,
};
use andon_model::log::{Lane, Seq};
use andon_store::trace::{
    AsOf, CertificateState, Change, Direction, Disposition, Finding, Identity, ItemKind, ItemRef, NewCertificate,
    NewEdge, NewItem, NewPass, ONE, PAGE_MAX, Place, READER, Step, Told, TraceRefusal, TraceRepository,
};
use andon_store::{OutboxRepository, Store};
use serde_json::Map;
use std::collections::BTreeMap;
use std::sync::Arc;

on_both! {
    a_lot_that_was_used_before_it_came_is_held_when_it_comes_into_quarantine
    what_may_be_used_is_judged_by_what_held_when_it_was_used
    what_is_used_lies_no_longer_where_it_lay_and_what_is_split_off_lies_there
    a_unit_that_a_machine_finds_elsewhere_is_in_one_place_at_a_time_and_that_is_told
    what_a_station_puts_in_a_position_takes_the_place_of_what_was_there
    a_container_in_a_container_is_found_from_what_lies_in_it
    a_refused_step_leaves_nothing_not_even_a_word
    no_row_is_lost_at_the_edge_of_a_page_inside_one_time
    looking_for_a_circle_ends_and_what_a_machine_says_is_taken_all_the_same
    a_unit_is_finished_once_and_what_comes_after_is_told
    findings_events_and_what_stations_said_are_kept_with_the_part_of_the_lane
}

/// As a machine says it: it has happened.
fn said(from: &ItemRef, to: &ItemRef, quantity: i64, second: i64) -> Step {
    Step::Edge(NewEdge { even_so: true, replaces: true, ..built(from, to, quantity, second) })
}

fn pass(unit: &ItemRef, station: &str, second: i64, passed: Option<bool>, last: bool) -> Step {
    Step::Pass(NewPass {
        unit: unit.clone(),
        equipment: station.to_owned(),
        at: at(second),
        job: None,
        operation: None,
        passed,
        measures: Map::new(),
        firmware: BTreeMap::new(),
        last,
    })
}

async fn remaining(store: &Store, item: &ItemRef) -> i64 {
    store.trace_item(item.clone()).await.unwrap().unwrap().remaining().unwrap() / ONE
}

async fn lies(store: &Store, number: u128) -> Vec<(String, i64)> {
    let stock = store.trace_stock(id(number)).await.unwrap();
    stock.into_iter().map(|(place, quantity)| (place, quantity / ONE)).collect()
}

fn place(name: &str, quantity: i64) -> (String, i64) {
    (name.to_owned(), quantity)
}

async fn found(store: &Store) -> Vec<(String, String)> {
    store.trace_findings(None, 100).await.unwrap().into_iter().map(|found| (found.what, found.text)).collect()
}

async fn a_lot_that_was_used_before_it_came_is_held_when_it_comes_into_quarantine(base: Base) {
    let store = base.open().await;
    let (bag, pump) = (lot("BAG"), unit("P"));
    take_all(&store, vec![make(&bag, 1, None), make(&pump, 2, None), build(&bag, &pump, 2, 10)]).await;
    let receipt = NewItem {
        state: Disposition::Quarantine,
        place: Some("store".to_owned()),
        at: at(20),
        ..made(&bag, 3, Some(25))
    };
    take_all(&store, vec![Step::Item(receipt.clone())]).await;
    let kept = store.trace_item(bag.clone()).await.unwrap().unwrap();
    assert_eq!((kept.state, kept.id), (Disposition::Quarantine, id(1)));
    assert_eq!(lies(&store, 1).await, [place("store", 23)], "two were used before");
    assert!(matches!(refusal(&store, vec![build(&bag, &pump, 1, 30)]).await, TraceRefusal::NotReleased { .. }));
    assert_eq!(applied(&store, vec![Step::Item(receipt.clone())]).await.unchanged, 1);
    // Released since: the same receipt said again does not hold it again, another one later does.
    take_all(&store, vec![decide(&bag, Disposition::Released, 40)]).await;
    assert_eq!(applied(&store, vec![Step::Item(receipt.clone())]).await.unchanged, 1);
    take_all(&store, vec![Step::Item(NewItem { at: at(50), ..receipt })]).await;
    assert_eq!(store.trace_item(bag).await.unwrap().unwrap().state, Disposition::Quarantine);
    assert_eq!(store.trace_check().await.unwrap(), []);
}

async fn what_may_be_used_is_judged_by_what_held_when_it_was_used(base: Base) {
    let store = base.open().await;
    let (bag, pump) = (lot("BAG"), unit("P"));
    let quarantined = NewItem { state: Disposition::Quarantine, at: at(10), ..made(&bag, 1, Some(25)) };
    take_all(&store, vec![Step::Item(quarantined), make(&pump, 2, None)]).await;
    take_all(&store, vec![decide(&bag, Disposition::Released, 20), decide(&bag, Disposition::Hold, 30)]).await;
    for (second, state) in
        [(5, Some(Disposition::Quarantine)), (19, Some(Disposition::Quarantine)), (30, Some(Disposition::Hold))]
    {
        let refused = refusal(&store, vec![build(&bag, &pump, 1, second)]).await;
        let TraceRefusal::NotReleased { state: told, .. } = refused else { panic!("{refused}") };
        assert_eq!(Some(told), state, "at {second}");
    }
    take_all(&store, vec![build(&bag, &pump, 1, 25)]).await;
}

async fn what_is_used_lies_no_longer_where_it_lay_and_what_is_split_off_lies_there(base: Base) {
    let store = base.open().await;
    let (bag, part, pump, motor) = (lot("BAG"), named(ItemKind::Sublot, "BAG/1"), unit("P"), unit("M"));
    let placed = |item: &ItemRef, number, quantity| {
        Step::Item(NewItem { place: Some("works".to_owned()), ..made(item, number, quantity) })
    };
    take_all(
        &store,
        vec![placed(&bag, 1, Some(25)), make(&part, 2, Some(0)), make(&pump, 3, None), placed(&motor, 4, None)],
    )
    .await;
    take_all(&store, vec![build(&bag, &pump, 3, 10), build(&motor, &pump, 1, 10), split(&bag, &part, 5, 11)]).await;
    assert_eq!(lies(&store, 1).await, [place("works", 17)]);
    assert_eq!(lies(&store, 2).await, [place("works", 5)]);
    assert_eq!(store.trace_item(motor.clone()).await.unwrap().unwrap().place, Place::Nowhere, "it is in the pump");
    // What is given back lies there again.
    take_all(&store, vec![take(&bag, &pump, 10, 20, true), take(&motor, &pump, 10, 20, false)]).await;
    assert_eq!(lies(&store, 1).await, [place("works", 20)]);
    assert_eq!(lies(&store, 4).await, [place("works", 1)]);
    // Of several places, the one where the station is.
    take_all(&store, vec![Step::Move(carry(&bag, Some("works"), Some("works/line"), 4, 30))]).await;
    take_all(&store, vec![build(&bag, &pump, 1, 31)]).await;
    assert_eq!(lies(&store, 1).await, [place("works", 16), place("works/line", 3)], "at works/line/press");
    let elsewhere = NewEdge { equipment: Some("works/lines/x".to_owned()), ..built(&bag, &pump, 1, 32) };
    take_all(&store, vec![Step::Edge(elsewhere)]).await;
    assert_eq!(lies(&store, 1).await, [place("works", 15), place("works/line", 3)]);
    // Packing is no use.
    take_all(
        &store,
        vec![
            make(&named(ItemKind::Container, "BOX"), 5, None),
            build(&motor, &named(ItemKind::Container, "BOX"), 1, 40),
        ],
    )
    .await;
    assert_eq!(lies(&store, 4).await, [place("works", 1)]);
    assert_eq!(store.trace_check().await.unwrap(), []);
}

async fn a_unit_that_a_machine_finds_elsewhere_is_in_one_place_at_a_time_and_that_is_told(base: Base) {
    let store = base.open().await;
    let (motor, units) = (unit("M"), ["X", "Y", "Z"].map(unit));
    let mut steps = vec![make(&motor, 1, None)];
    steps.extend(units.iter().zip(2..).map(|(unit, number)| make(unit, number, None)));
    steps.extend([said(&motor, &units[0], 1, 10), said(&motor, &units[1], 1, 30), said(&motor, &units[2], 1, 20)]);
    let report = applied(&store, steps.clone()).await;
    assert_eq!((report.refused, report.findings), (vec![], 2));
    let places = async |second| crate::trace::numbers(&store, &motor, Direction::Forward, AsOf::At(at(second))).await;
    assert_eq!(places(19).await, set(&["X"]));
    assert_eq!(places(20).await, set(&["Z"]), "what is said late ends what was before it");
    assert_eq!(places(30).await, set(&["Y"]));
    let found = found(&store).await;
    assert_eq!(
        found[1],
        ("elsewhere".to_owned(), "unit 4711 M is in unit 4711 X already; take it out there first".to_owned())
    );
    assert_eq!(store.trace_item(motor.clone()).await.unwrap().unwrap().consumed, ONE);
    assert_eq!(store.trace_check().await.unwrap(), []);
    // All of it once more changes nothing.
    let again = applied(&store, steps).await;
    assert_eq!((again.changed, again.findings), (0, 0));
    // A recall over all times names everything it was ever in.
    let recall = store.trace_recall(motor, AsOf::Ever).await.unwrap().unwrap();
    assert_eq!(recall.units.len(), 3);
}

async fn what_a_station_puts_in_a_position_takes_the_place_of_what_was_there(base: Base) {
    let store = base.open().await;
    let (pump, valves, motors) = (unit("P"), ["V1", "V2"].map(lot), ["M1", "M2"].map(unit));
    take_all(
        &store,
        vec![
            make(&pump, 1, None),
            make(&valves[0], 2, Some(9)),
            make(&valves[1], 3, Some(9)),
            make(&motors[0], 4, None),
            make(&motors[1], 5, None),
        ],
    )
    .await;
    take_all(&store, vec![said(&valves[0], &pump, 1, 10), said(&motors[0], &pump, 1, 10)]).await;
    // A second attempt with the same valve uses no other; one with another does.
    assert_eq!(applied(&store, vec![said(&valves[0], &pump, 1, 15)]).await.unchanged, 1);
    assert_eq!(remaining(&store, &valves[0]).await, 8);
    let second = Step::Edge(NewEdge {
        position: "B".to_owned(),
        even_so: true,
        replaces: true,
        ..built(&motors[1], &pump, 1, 20)
    });
    take_all(&store, vec![said(&valves[1], &pump, 1, 20), second]).await;
    let inside = crate::trace::numbers(&store, &pump, Direction::Backward, AsOf::At(at(20))).await;
    assert_eq!(inside, set(&["V2", "M2"]), "both were in the position A1; the second motor is in B");
    assert_eq!((remaining(&store, &valves[0]).await, remaining(&store, &valves[1]).await), (8, 8));
    let parts = store.trace_parts(id(1)).await.unwrap();
    let first = parts.iter().find(|(item, _)| item.id == id(2)).unwrap();
    assert_eq!((first.1.removed_at, first.1.replaced_by, first.1.given_back), (Some(at(20)), Some(id(3)), false));
    // What comes late was in there only until what is known to have come after it.
    take_all(&store, vec![said(&motors[0], &unit("P"), 1, 5)]).await;
    assert_eq!(crate::trace::numbers(&store, &pump, Direction::Backward, AsOf::At(at(7))).await, set(&["M1"]));
    take_all(&store, vec![said(&valves[1], &pump, 1, 3)]).await;
    assert_eq!(crate::trace::numbers(&store, &pump, Direction::Backward, AsOf::At(at(4))).await, set(&["V2"]));
    assert_eq!(crate::trace::numbers(&store, &pump, Direction::Backward, AsOf::At(at(5))).await, set(&["M1"]));
    assert_eq!(store.trace_check().await.unwrap(), []);
}

async fn a_container_in_a_container_is_found_from_what_lies_in_it(base: Base) {
    let store = base.open().await;
    let (pump, box_, pallet) = (unit("P"), named(ItemKind::Container, "BOX"), named(ItemKind::Container, "PALLET"));
    take_all(
        &store,
        vec![
            make(&lot("L"), 1, Some(5)),
            make(&pump, 2, None),
            make(&box_, 3, None),
            make(&pallet, 4, None),
            build(&lot("L"), &pump, 1, 10),
            build(&pump, &box_, 1, 20),
            build(&box_, &pallet, 1, 30),
        ],
    )
    .await;
    let around = async |second| {
        let recall = store.trace_recall(lot("L"), AsOf::At(at(second))).await.unwrap().unwrap();
        recall.units[0].packed_in.iter().map(|name| name.number.clone()).collect::<Vec<_>>()
    };
    assert_eq!(around(10).await, [""; 0]);
    assert_eq!(around(20).await, ["BOX"]);
    assert_eq!(around(30).await, ["BOX", "PALLET"]);
}

async fn a_refused_step_leaves_nothing_not_even_a_word(base: Base) {
    let store = base.open().await;
    let words = async || base.texts("SELECT text FROM trace_word ORDER BY number").await;
    take_all(&store, vec![make(&lot("BAG"), 1, Some(5)), make(&unit("P"), 2, None)]).await;
    let before = words().await;
    let position = NewEdge { position: "nowhere".to_owned(), ..built(&lot("BAG"), &unit("P"), 9, 1) };
    let report =
        applied(&store, vec![Step::Edge(position), Step::Move(carry(&lot("BAG"), Some("a"), Some("b"), 1, 1))]).await;
    assert_eq!(report.refused.len(), 2);
    assert_eq!(words().await, before);
    // A word that was taken back gets a number when it is needed.
    take_all(&store, vec![Step::Move(carry(&lot("BAG"), None, Some("b"), 1, 1))]).await;
    assert_eq!(store.trace_item(lot("BAG")).await.unwrap().unwrap().place, Place::In("b".to_owned()));
}

async fn no_row_is_lost_at_the_edge_of_a_page_inside_one_time(base: Base) {
    let store = base.open().await;
    let most = usize::try_from(PAGE_MAX).unwrap();
    let mut steps = vec![make(&lot("L"), 1, Some(2 * i64::from(PAGE_MAX)))];
    for n in 0..most + 10 {
        let pump = unit(&format!("P{n}"));
        steps.extend([make(&pump, 100 + n as u128, None), pass(&pump, "works/test", 10, Some(true), false)]);
        steps.push(Step::Move(carry(&lot("L"), None, Some(&format!("place {n}")), 1, 10)));
        steps.push(pass(&unit("P0"), &format!("works/s{n}"), 10, None, false));
    }
    take_all(&store, steps).await;
    let test = || "works/test".to_owned();
    let page = store.trace_passes_at(test(), at(0), at(20), None, PAGE_MAX).await.unwrap();
    let last = page.last().map(|pass| (pass.at, pass.unit));
    let rest = store.trace_passes_at(test(), at(0), at(20), last, PAGE_MAX).await.unwrap();
    assert_eq!((page.len(), rest.len()), (most, 10));
    let page = store.trace_moves(id(1), None, PAGE_MAX).await.unwrap();
    let rest = store.trace_moves(id(1), page.last().cloned(), PAGE_MAX).await.unwrap();
    assert_eq!((page.len(), rest.len()), (most, 10));
    let page = store.trace_passes(id(100), None).await.unwrap();
    let last = page.last().map(|pass| (pass.at, pass.equipment.clone()));
    let rest = store.trace_passes(id(100), last).await.unwrap();
    assert_eq!((page.len(), rest.len()), (most, 11));
    let before = store.trace_pass_before(test(), at(11)).await.unwrap().unwrap();
    assert_eq!((before.at, store.trace_pass_before(test(), at(10)).await.unwrap()), (at(10), None));
}

async fn looking_for_a_circle_ends_and_what_a_machine_says_is_taken_all_the_same(base: Base) {
    let store = base.open().await;
    // Two wide fans, so that neither end is small: 12,000 lots behind one item and 12,000 before the other.
    let (hub, sink) = (lot("HUB"), lot("SINK"));
    take_all(&store, vec![make(&hub, 1, None), make(&sink, 2, None)]).await;
    for part in 0..3_u128 {
        let mut steps = Vec::new();
        for n in 0..4_000_u128 {
            let (into, out) = (lot(&format!("I{part}-{n}")), lot(&format!("O{part}-{n}")));
            steps.extend([make(&into, 1_000_000 + part * 10_000 + n, None), build(&into, &hub, 0, 10)]);
            steps.extend([make(&out, 2_000_000 + part * 10_000 + n, None), build(&sink, &out, 0, 10)]);
        }
        take_all(&store, steps).await;
    }
    let refused = refusal(&store, vec![build(&hub, &sink, 0, 20)]).await;
    assert!(matches!(refused, TraceRefusal::Wide { .. }), "{refused}");
    let report = applied(&store, vec![said(&hub, &sink, 0, 20)]).await;
    assert_eq!((report.changed, report.findings), (1, 1));
    assert_eq!(found(&store).await[0].0, "unseen");
}

async fn a_unit_is_finished_once_and_what_comes_after_is_told(base: Base) {
    let store = base.open().await;
    let pump = unit("P");
    take_all(&store, vec![make(&pump, 1, None), pass(&pump, "works/pack", 20, None, true)]).await;
    assert_eq!(store.trace_due(at(99)).await.unwrap(), [], "whether it is good is not said");
    take_all(
        &store,
        vec![pass(&pump, "works/pack", 20, Some(true), true), pass(&pump, "works/pack", 20, Some(true), true)],
    )
    .await;
    take_all(&store, vec![pass(&pump, "works/test", 15, Some(true), false)]).await;
    let due = store.trace_due(at(99)).await.unwrap();
    assert_eq!((due.len(), due[0].unit, due[0].at, due[0].equipment.as_str()), (1, id(1), at(20), "works/pack"));
    assert_eq!(store.trace_due(at(19)).await.unwrap(), [], "then it was not finished yet");
    assert_eq!(found(&store).await, [], "what comes before the certificate is made is in it");
    let certificate = |number: &str| NewCertificate {
        unit: pump.clone(),
        number: number.to_owned(),
        issued_at: at(30),
        sha256: [1; 32],
        key_id: "k".to_owned(),
        bytes: number.into(),
    };
    assert_eq!(store.trace_last_key().await.unwrap(), None);
    let kept = store.trace_certify(certificate("C1"), false, note(201, "works")).await.unwrap();
    assert_eq!(store.trace_last_key().await.unwrap().as_deref(), Some("k"));
    let again = store.trace_certify(certificate("C2"), false, note(202, "works")).await.unwrap();
    assert_eq!((kept.changed, again.changed, again.repeated), (1, 0, true));
    assert_eq!(store.trace_due(at(99)).await.unwrap(), []);
    assert_eq!(store.trace_finished(id(1)).await.unwrap().unwrap().certificate, CertificateState::Issued);
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), 1);
    take_all(
        &store,
        vec![pass(&pump, "works/test", 16, Some(true), false), pass(&pump, "works/mount", 40, Some(true), false)],
    )
    .await;
    let texts = found(&store).await;
    assert!(texts[1].1.contains("was told late to have passed works/test"), "{texts:?}");
    assert!(texts[0].1.contains("passed again works/mount"), "{texts:?}");
    store.trace_certify(certificate("C2"), true, note(203, "works")).await.unwrap();
    assert_eq!(store.trace_certificates(id(1)).await.unwrap().len(), 2);
    // One of which none can be made is tried no more, until somebody wants it.
    take_all(&store, vec![make(&unit("Q"), 2, None), pass(&unit("Q"), "works/pack", 21, Some(true), true)]).await;
    store.trace_not_certified(id(2), "no product".to_owned(), note(204, "works")).await.unwrap();
    assert_eq!(store.trace_due(at(99)).await.unwrap(), []);
    let state = store.trace_finished(id(2)).await.unwrap().unwrap().certificate;
    assert_eq!(state, CertificateState::NotPossible("no product".to_owned()));
    let identity = |n| Identity { device: id(n), at: at(60), by: Some(id(5)) };
    assert!(store.trace_identify(id(1), identity(300), note(205, "works")).await.unwrap());
    assert!(!store.trace_identify(id(1), identity(301), note(206, "works")).await.unwrap(), "it is given once");
    assert_eq!(store.trace_identity(id(1)).await.unwrap(), Some(identity(300)));
    assert_eq!(store.trace_identity(id(2)).await.unwrap(), None);
}

async fn findings_events_and_what_stations_said_are_kept_with_the_part_of_the_lane(base: Base) {
    let store = base.open().await;
    let tell = Arc::new(|place: usize, found: &Finding| {
        let event = note(1_000 + u128::try_from(place).unwrap(), "works");
        assert!(!found.text.is_empty());
        event
    });
    let unknown = NewItem { told_if_new: Some("nobody received it".to_owned()), ..made(&lot("L"), 1, None) };
    let told = |seq| Told {
        steps: vec![make(&unit("P"), 2, None), Step::Item(unknown.clone()), said(&lot("NONE"), &unit("P"), 1, 10)],
        upto: Some(Seq(seq)),
        stations: vec![("works/mount".to_owned(), format!("{{\"seq\":{seq}}}"))],
        events: vec![note(2_000 + u128::from(seq), "works")],
        tell: Some(tell.clone()),
    };
    let report = store.trace_apply(told(7)).await.unwrap();
    assert_eq!((report.changed, report.findings, report.refused.len()), (2, 2, 1));
    let events: Vec<u128> = store.outbox_pending(10).await.unwrap().iter().map(|event| event.id.as_u128()).collect();
    assert_eq!(events, [1_001, 1_002, 2_007]);
    assert!(store.trace_apply(told(7)).await.unwrap().repeated);
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), 3);
    store.trace_apply(told(8)).await.unwrap();
    assert_eq!(store.trace_stations().await.unwrap(), [("works/mount".to_owned(), "{\"seq\":8}".to_owned())]);
    assert_eq!(store.applied(READER, Lane::Samples).await.unwrap(), Seq(8));
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), 4, "what was found before is not told again");
    // So is what is found with a person's change.
    let overdrawn = NewEdge { even_so: true, ..built(&lot("L"), &unit("P"), 5, 30) };
    let steps = vec![make(&lot("L"), 1, Some(1)), Step::Edge(overdrawn)];
    let tell = Arc::new(|place: usize, found: &Finding| {
        assert_eq!(found.what, "overdrawn");
        note(4_000 + u128::try_from(place).unwrap(), "works")
    });
    let change = Change { tell: Some(tell), ..change(rand(), steps, note(3_000, "works")) };
    assert_eq!(store.trace_change(change).await.unwrap().findings, 1);
    let events: Vec<u128> = store.outbox_pending(10).await.unwrap().iter().map(|event| event.id.as_u128()).collect();
    assert_eq!(events[4..], [4_001, 3_000]);
    let numbered = store.trace_numbered(vec!["P".to_owned(), "L".to_owned()]).await.unwrap();
    assert_eq!(numbered.iter().map(|item| item.id).collect::<Vec<_>>(), [id(2)], "a lot has no serial number");
}
