//! What went into what: refused where it cannot be, found both ways and at any date. Each test takes any repository.

use crate::fakes::{Base, note, on_both};
use andon_model::Timestamp;
use andon_model::event::Event;
use andon_model::log::{Lane, Seq};
use andon_store::trace::{
    AsOf, Change, ClosureWish, Cut, Direction, Disposition, ItemFilter, ItemKind, ItemName, ItemRef, NewCertificate,
    NewEdge, NewItem, NewMove, NewPass, NewRemoval, NewState, ONE, Place, Program, READER, Report, Step, Told,
    TraceRefusal,
};
use andon_store::{Repository, StoreError};
use proptest::prelude::*;
use serde_json::{Map, json};
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

pub(crate) fn id(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

pub(crate) fn named(kind: ItemKind, number: &str) -> ItemRef {
    ItemRef::Name(ItemName { kind, material: "4711".to_owned(), number: number.to_owned() })
}

pub(crate) fn lot(number: &str) -> ItemRef {
    named(ItemKind::Lot, number)
}

pub(crate) fn unit(number: &str) -> ItemRef {
    named(ItemKind::Unit, number)
}

pub(crate) fn made(item: &ItemRef, number: u128, quantity: Option<i64>) -> NewItem {
    let ItemRef::Name(name) = item.clone() else { panic!("a new item has a name") };
    NewItem {
        id: id(number),
        name,
        revision: None,
        quantity: quantity.map(|q| q * ONE),
        state: Disposition::Released,
        place: None,
        at: at(0),
        job: Some(id(77)),
        by: None,
        told_if_new: None,
    }
}

pub(crate) fn make(item: &ItemRef, number: u128, quantity: Option<i64>) -> Step {
    Step::Item(made(item, number, quantity))
}

pub(crate) fn built(from: &ItemRef, to: &ItemRef, quantity: i64, second: i64) -> NewEdge {
    NewEdge {
        from: from.clone(),
        to: to.clone(),
        quantity: quantity * ONE,
        position: "A1".to_owned(),
        at: at(second),
        job: Some(id(77)),
        equipment: Some("works/line/press".to_owned()),
        by: Some(id(5)),
        adds: false,
        even_so: false,
        replaces: false,
    }
}

pub(crate) fn build(from: &ItemRef, to: &ItemRef, quantity: i64, second: i64) -> Step {
    Step::Edge(built(from, to, quantity, second))
}

pub(crate) fn split(from: &ItemRef, to: &ItemRef, quantity: i64, second: i64) -> Step {
    Step::Edge(NewEdge { adds: true, position: String::new(), ..built(from, to, quantity, second) })
}

pub(crate) fn take(from: &ItemRef, to: &ItemRef, second: i64, removed: i64, given_back: bool) -> Step {
    Step::Remove(NewRemoval {
        from: from.clone(),
        to: to.clone(),
        position: "A1".to_owned(),
        at: at(second),
        removed_at: at(removed),
        replaced_by: None,
        given_back,
        by: Some(id(5)),
    })
}

pub(crate) fn carry(item: &ItemRef, from: Option<&str>, to: Option<&str>, quantity: i64, second: i64) -> NewMove {
    let [from, to] = [from, to].map(|place| place.map(str::to_owned));
    NewMove { item: item.clone(), quantity: quantity * ONE, from, to, at: at(second), by: None, even_so: false }
}

pub(crate) fn decide(item: &ItemRef, state: Disposition, second: i64) -> Step {
    Step::State(NewState { item: item.clone(), state, at: at(second), by: Some(id(5)), why: "cracks".to_owned() })
}

pub(crate) async fn applied(store: &dyn Repository, steps: Vec<Step>) -> Report {
    store.trace_apply(Told::of(steps, None)).await.unwrap()
}

/// Steps that are all taken.
pub(crate) async fn take_all(store: &dyn Repository, steps: Vec<Step>) {
    let report = applied(store, steps).await;
    assert_eq!(report.refused, []);
}

pub(crate) async fn refusal(store: &dyn Repository, steps: Vec<Step>) -> TraceRefusal {
    let event = note(900, "works");
    match store.trace_change(change(rand(), steps, event)).await {
        Err(StoreError::Refused(refusal)) => *refusal,
        other => panic!("it is refused, but {other:?}"),
    }
}

/// A change with a digest of its steps.
pub(crate) fn change(key: u128, steps: Vec<Step>, event: Event) -> Change {
    let mut content = [0_u8; 32];
    for (at, byte) in format!("{steps:?}").bytes().enumerate() {
        content[at % 32] = content[at % 32].rotate_left(1) ^ byte;
    }
    Change::new(Uuid::from_u128(key), content, steps, event)
}

/// A key that no other change has.
pub(crate) fn rand() -> u128 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(1 << 40);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).into()
}

pub(crate) async fn numbers(
    store: &dyn Repository,
    root: &ItemRef,
    direction: Direction,
    as_of: AsOf,
) -> BTreeSet<String> {
    let closure = store.trace_closure(ClosureWish::all(root.clone(), direction, as_of)).await.unwrap().unwrap();
    assert_eq!(closure.cut, None);
    closure.items.into_iter().skip(1).map(|reached| reached.item.name.number).collect()
}

pub(crate) fn set(numbers: &[&str]) -> BTreeSet<String> {
    numbers.iter().map(|number| (*number).to_owned()).collect()
}

/// Runs a test against each implementation there is.
macro_rules! with_a_repository {
    ($($name:ident($store:ident) $body:block)*) => {
        $(async fn $name(base: Base) {
            async fn test($store: &dyn Repository) $body
            test(&base.open().await).await;
        })*
        on_both! { $($name)* }
    };
}

with_a_repository! {
    what_went_into_what_is_found_both_ways_and_at_any_date(store) {
        let (steel, bar, rotor, pump) = (lot("STEEL"), lot("BAR"), unit("R1"), unit("P1"));
        take_all(store, vec![
            make(&steel, 1, Some(100)), make(&bar, 2, Some(50)), make(&rotor, 3, None), make(&pump, 4, None),
            build(&steel, &bar, 60, 10), build(&bar, &rotor, 2, 20), build(&rotor, &pump, 1, 30),
            take(&rotor, &pump, 30, 40, false),
        ]).await;
        let forward = async |second| numbers(store, &steel, Direction::Forward, AsOf::At(at(second))).await;
        assert_eq!(forward(9).await, set(&[]));
        assert_eq!(forward(10).await, set(&["BAR"]));
        assert_eq!(forward(39).await, set(&["BAR", "R1", "P1"]));
        assert_eq!(forward(40).await, set(&["BAR", "R1"]), "it was taken out");
        assert_eq!(numbers(store, &steel, Direction::Forward, AsOf::Ever).await, set(&["BAR", "R1", "P1"]));
        assert_eq!(numbers(store, &pump, Direction::Backward, AsOf::At(at(39))).await, set(&["STEEL", "BAR", "R1"]));
        assert_eq!(numbers(store, &pump, Direction::Backward, AsOf::At(at(40))).await, set(&[]));

        let wish = ClosureWish::all(pump.clone(), Direction::Backward, AsOf::Ever);
        let closure = store.trace_closure(wish.clone()).await.unwrap().unwrap();
        assert_eq!(closure.items.iter().map(|reached| reached.depth).collect::<Vec<_>>(), [0, 1, 2, 3]);
        let last = closure.edges.last().unwrap();
        assert_eq!((last.from, last.to, last.quantity), (id(3), id(4), ONE));
        assert_eq!((last.position.as_str(), last.equipment.as_deref()), ("A1", Some("works/line/press")));
        assert_eq!((last.removed_at, last.given_back, last.by, last.job), (Some(at(40)), true, Some(id(5)), Some(id(77))));
        let cut = store.trace_closure(ClosureWish { depth_max: 1, ..wish.clone() }).await.unwrap().unwrap();
        assert_eq!((cut.items.len(), cut.edges.len(), cut.cut), (2, 1, Some(Cut::Depth)));
        let cut = store.trace_closure(ClosureWish { items_max: 3, ..wish.clone() }).await.unwrap().unwrap();
        assert_eq!((cut.items.len(), cut.edges.len(), cut.cut), (3, 2, Some(Cut::Items)));
        let all = store.trace_closure(ClosureWish { depth_max: 3, items_max: 4, ..wish }).await.unwrap().unwrap();
        assert_eq!((all.items.len(), all.cut), (4, None));
        let none = ClosureWish::all(lot("NONE"), Direction::Forward, AsOf::Ever);
        assert_eq!(store.trace_closure(none).await.unwrap(), None);
        assert_eq!(store.trace_check().await.unwrap(), []);
    }

    a_lot_that_would_end_in_itself_is_refused_with_the_way(store) {
        let lots: Vec<ItemRef> = ["A", "B", "C", "D"].map(lot).to_vec();
        let mut steps: Vec<Step> = lots.iter().zip(1..).map(|(lot, n)| make(lot, n, Some(100))).collect();
        steps.extend((0..3).map(|n| build(&lots[n], &lots[n + 1], 1, 10)));
        take_all(store, steps).await;
        let refused = refusal(store, vec![build(&lots[3], &lots[0], 1, 20)]).await;
        let TraceRefusal::Circle { path } = &refused else { panic!("{refused}") };
        assert_eq!(path.iter().map(|name| name.number.as_str()).collect::<Vec<_>>(), ["D", "A", "B", "C", "D"]);
        let said = "lot 4711 D would end in itself: lot 4711 D → lot 4711 A → lot 4711 B → lot 4711 C → lot 4711 D";
        assert_eq!(refused.to_string(), said);
        let itself = refusal(store, vec![build(&lots[0], &lots[0], 1, 20)]).await;
        assert!(matches!(&itself, TraceRefusal::Circle { path } if path.len() == 2), "{itself}");
        // Also if what closes the circle was earlier: then it would hold at the same date.
        assert!(matches!(refusal(store, vec![build(&lots[3], &lots[0], 1, 5)]).await, TraceRefusal::Circle { .. }));
        // What was taken out before holds nothing together any more.
        take_all(store, vec![take(&lots[1], &lots[2], 10, 15, false)]).await;
        assert!(matches!(refusal(store, vec![build(&lots[3], &lots[0], 1, 14)]).await, TraceRefusal::Circle { .. }));
        take_all(store, vec![build(&lots[3], &lots[0], 1, 15)]).await;
        assert_eq!(numbers(store, &lots[2], Direction::Forward, AsOf::At(at(15))).await, set(&["A", "B", "D"]));
    }

    a_lot_is_not_used_beyond_what_there_is_of_it_unless_that_has_happened(store) {
        let (bag, batch, other) = (lot("BAG"), lot("BATCH"), lot("OTHER"));
        take_all(store, vec![make(&bag, 1, Some(25)), make(&batch, 2, None), make(&other, 3, None), build(&bag, &batch, 25, 10)]).await;
        let refused = refusal(store, vec![build(&bag, &other, 25, 11)]).await;
        assert_eq!(refused.to_string(), "of lot 4711 BAG there is 0, the other 25 are used already; 25 cannot be taken");
        let kept = store.trace_item(bag.clone()).await.unwrap().unwrap();
        assert_eq!((kept.consumed, kept.remaining(), kept.is_consumed()), (25 * ONE, Some(0), true));

        let even_so = Step::Edge(NewEdge { even_so: true, ..built(&bag, &other, 25, 11) });
        let report = applied(store, vec![even_so.clone(), even_so]).await;
        assert_eq!((report.changed, report.unchanged, report.findings), (1, 1, 1));
        let findings = store.trace_findings(None, 10).await.unwrap();
        assert_eq!((findings[0].what.as_str(), findings[0].item, findings[0].other), ("overdrawn", Some(id(1)), Some(id(3))));
        assert_eq!(findings[0].text, refused.to_string());
        assert_eq!(store.trace_item(bag.clone()).await.unwrap().unwrap().remaining(), Some(-25 * ONE));

        // Of a lot of which nobody has said how much there was, nothing is too much, until somebody says it.
        let (sack, report) = (lot("SACK"), vec![make(&lot("SACK"), 4, None), build(&lot("SACK"), &batch, 90, 12)]);
        take_all(store, report).await;
        assert_eq!(store.trace_item(sack.clone()).await.unwrap().unwrap().remaining(), None);
        let report = applied(store, vec![make(&sack, 9, Some(80))]).await;
        assert_eq!((report.changed, report.findings, report.items), (1, 1, vec![id(4)]), "it keeps its id");
        let differs = refusal(store, vec![make(&sack, 4, Some(81))]).await;
        assert!(matches!(differs, TraceRefusal::Differs { .. }), "{differs}");
        assert_eq!(store.trace_check().await.unwrap(), []);
    }

    a_unit_is_in_one_place_at_a_time(store) {
        let (motor, first, second) = (unit("M"), unit("X"), unit("Y"));
        take_all(store, vec![make(&motor, 1, None), make(&first, 2, None), make(&second, 3, None), build(&motor, &first, 1, 10)]).await;
        let refused = refusal(store, vec![build(&motor, &second, 1, 20)]).await;
        assert_eq!(refused.to_string(), "unit 4711 M is in unit 4711 X already; take it out there first");
        let half = Step::Edge(NewEdge { quantity: ONE / 2, ..built(&motor, &second, 1, 20) });
        assert!(matches!(refusal(store, vec![half]).await, TraceRefusal::Unfit { what: "quantity", .. }));
        let again = applied(store, vec![build(&motor, &first, 1, 12)]).await;
        assert_eq!((again.changed, again.unchanged), (0, 1), "a second station says the same");
        take_all(store, vec![take(&motor, &first, 10, 20, false), build(&motor, &second, 1, 20)]).await;
        let late = refusal(store, vec![build(&motor, &second, 1, 15)]).await;
        assert!(matches!(late, TraceRefusal::BuiltIn { .. }), "it was in the first one then: {late}");
        assert!(matches!(refusal(store, vec![take(&motor, &second, 10, 30, false)]).await, TraceRefusal::NotIn { .. }));
        assert!(matches!(refusal(store, vec![take(&motor, &second, 20, 20, false)]).await, TraceRefusal::Unfit { what: "time", .. }));
        assert_eq!(applied(store, vec![take(&motor, &first, 10, 20, false)]).await.unchanged, 1);
        assert!(matches!(refusal(store, vec![take(&motor, &first, 10, 21, false)]).await, TraceRefusal::Differs { .. }));
        assert_eq!(store.trace_item(motor).await.unwrap().unwrap().consumed, ONE);
        assert_eq!(store.trace_check().await.unwrap(), []);
    }

    parts_of_a_lot_are_taken_from_it_and_added_to_what_they_are_merged_with(store) {
        let (whole, part, rest, mixed) = (lot("L"), named(ItemKind::Sublot, "L/1"), named(ItemKind::Sublot, "L/2"), lot("M"));
        take_all(store, vec![
            make(&whole, 1, Some(100)), make(&part, 2, Some(0)), make(&rest, 3, Some(0)), make(&mixed, 4, Some(7)),
            split(&whole, &part, 30, 10), split(&whole, &rest, 70, 10), split(&part, &mixed, 20, 11),
        ]).await;
        let quantity = async |item: &ItemRef| {
            let item = store.trace_item(item.clone()).await.unwrap().unwrap();
            (item.quantity().unwrap() / ONE, item.remaining().unwrap() / ONE)
        };
        assert_eq!(quantity(&whole).await, (100, 0));
        assert_eq!(quantity(&part).await, (30, 10));
        assert_eq!(quantity(&mixed).await, (27, 27));
        assert!(matches!(refusal(store, vec![split(&part, &mixed, 11, 12)]).await, TraceRefusal::Short { .. }));
        assert!(matches!(refusal(store, vec![split(&part, &unit("U"), 1, 12)]).await, TraceRefusal::Unknown { .. }));
        // A part of what is held is held.
        take_all(store, vec![decide(&rest, Disposition::Hold, 20), make(&named(ItemKind::Sublot, "L/3"), 5, Some(0))]).await;
        let (away, held) = (named(ItemKind::Sublot, "L/3"), split(&rest, &named(ItemKind::Sublot, "L/3"), 1, 21));
        assert!(matches!(refusal(store, vec![held.clone()]).await, TraceRefusal::NotReleased { .. }));
        take_all(store, vec![decide(&away, Disposition::Hold, 20), held]).await;
        assert_eq!(store.trace_check().await.unwrap(), []);
    }

    what_was_split_off_can_be_put_back_and_what_is_packed_stays_what_it_is(store) {
        let (whole, part, box_) = (lot("L"), named(ItemKind::Sublot, "L/1"), named(ItemKind::Container, "BOX"));
        take_all(store, vec![
            make(&whole, 1, Some(100)), make(&part, 2, Some(0)), make(&box_, 3, None), make(&lot("M"), 4, None),
            Step::Edge(NewEdge { position: "A1".to_owned(), ..match split(&whole, &part, 30, 10) { Step::Edge(edge) => edge, other => panic!("{other:?}") } }),
            build(&part, &lot("M"), 10, 11), build(&whole, &box_, 70, 12),
        ]).await;
        let left = async |item: &ItemRef| store.trace_item(item.clone()).await.unwrap().unwrap().remaining().unwrap() / ONE;
        assert_eq!((left(&whole).await, left(&part).await), (70, 20), "what is packed is not used");
        let used = refusal(store, vec![take(&whole, &part, 10, 20, true)]).await;
        assert!(matches!(used, TraceRefusal::Short { .. }), "a third of it is used: {used}");
        take_all(store, vec![take(&part, &lot("M"), 11, 21, true), take(&whole, &part, 10, 22, true)]).await;
        take_all(store, vec![take(&whole, &box_, 12, 23, true)]).await;
        assert_eq!((left(&whole).await, left(&part).await), (100, 0), "unpacking gives nothing back");
        assert_eq!(store.trace_check().await.unwrap(), []);
    }

    what_may_not_be_used_is_refused_and_every_decision_stands_in_the_ledger(store) {
        let (bag, batch, at_place) = (lot("BAG"), lot("BATCH"), "works/store");
        let quarantined = NewItem { state: Disposition::Quarantine, place: Some(at_place.to_owned()), ..made(&bag, 1, Some(25)) };
        take_all(store, vec![Step::Item(quarantined), make(&batch, 2, None)]).await;
        let refused = refusal(store, vec![build(&bag, &batch, 1, 10)]).await;
        assert_eq!(refused.to_string(), "lot 4711 BAG may not be used: its state is Quarantine");
        take_all(store, vec![decide(&bag, Disposition::Released, 20), decide(&bag, Disposition::Hold, 15)]).await;
        let state = store.trace_item(bag.clone()).await.unwrap().unwrap().state;
        assert_eq!(state, Disposition::Released, "what was decided last holds, in whatever order it comes");
        assert_eq!(applied(store, vec![decide(&bag, Disposition::Hold, 15)]).await.unchanged, 1);
        assert!(matches!(refusal(store, vec![decide(&bag, Disposition::Scrapped, 15)]).await, TraceRefusal::Differs { .. }));
        let states = store.trace_states(id(1), None).await.unwrap();
        let told: Vec<_> = states.iter().map(|said| (said.at, said.state, said.by, said.why.as_str())).collect();
        assert_eq!(told, [
            (at(0), Disposition::Quarantine, None, ""),
            (at(15), Disposition::Hold, Some(id(5)), "cracks"),
            (at(20), Disposition::Released, Some(id(5)), "cracks"),
        ]);
        take_all(store, vec![build(&bag, &batch, 1, 30), decide(&bag, Disposition::Hold, 40)]).await;
        let report = applied(store, vec![Step::Edge(NewEdge { even_so: true, ..built(&bag, &batch, 1, 41) })]).await;
        assert_eq!((report.changed, report.findings), (1, 1));
        assert_eq!(store.trace_findings(None, 1).await.unwrap()[0].what, "not_released");
    }

    stock_is_the_sum_of_movements(store) {
        let (bag, pump) = (lot("BAG"), unit("P"));
        let placed = NewItem { place: Some("store".to_owned()), ..made(&bag, 1, Some(25)) };
        take_all(store, vec![Step::Item(placed.clone()), Step::Item(placed), make(&pump, 2, None)]).await;
        let place = async |item: &ItemRef| store.trace_item(item.clone()).await.unwrap().unwrap().place;
        assert_eq!(place(&bag).await, Place::In("store".to_owned()));
        let step = Step::Move(carry(&bag, Some("store"), Some("line"), 10, 10));
        let report = applied(store, vec![step.clone(), step]).await;
        assert_eq!((report.changed, report.unchanged), (1, 1));
        assert_eq!(store.trace_stock(id(1)).await.unwrap(), [("line".to_owned(), 10 * ONE), ("store".to_owned(), 15 * ONE)]);
        assert_eq!(place(&bag).await, Place::Several);
        let refused = refusal(store, vec![Step::Move(carry(&bag, Some("store"), None, 16, 11))]).await;
        assert_eq!(refused.to_string(), "in store there is 15 of lot 4711 BAG; 16 cannot be carried away from there");
        take_all(store, vec![Step::Move(carry(&bag, Some("store"), None, 15, 11))]).await;
        assert_eq!(place(&bag).await, Place::In("line".to_owned()));
        let even_so = NewMove { even_so: true, ..carry(&bag, Some("line"), Some("bin"), 11, 12) };
        assert_eq!(applied(store, vec![Step::Move(even_so)]).await.findings, 1);
        assert_eq!(store.trace_stock(id(1)).await.unwrap(), [("bin".to_owned(), 11 * ONE), ("line".to_owned(), -ONE)]);
        take_all(store, vec![Step::Move(carry(&pump, None, Some("line"), 1, 5))]).await;
        assert!(matches!(refusal(store, vec![Step::Move(carry(&pump, None, Some("dock"), 1, 6))]).await, TraceRefusal::Unfit { .. }));
        let there = store.trace_stock_in("line".to_owned(), None, 10).await.unwrap();
        assert_eq!(there.iter().map(|(item, n)| (item.id, *n)).collect::<Vec<_>>(), [(id(2), ONE), (id(1), -ONE)]);
        assert_eq!(store.trace_stock_in("line".to_owned(), Some(id(2)), 10).await.unwrap().len(), 1);
        assert_eq!(store.trace_places(10).await.unwrap(), [("bin".to_owned(), 1), ("line".to_owned(), 2)]);
        let moves = store.trace_moves(id(1), None, 10).await.unwrap();
        assert_eq!(moves.len(), 4);
        assert_eq!((moves[3].from.clone(), moves[3].to.as_deref(), moves[3].quantity), (None, Some("store"), 25 * ONE));
        assert_eq!(store.trace_moves(id(1), Some(moves[2].clone()), 10).await.unwrap().len(), 1);
        assert_eq!(store.trace_check().await.unwrap(), []);
    }

    a_unit_at_a_station_is_one_pass_however_often_it_is_said(store) {
        let pump = unit("P");
        let pass = |passed, measures: serde_json::Value| Step::Pass(NewPass {
            unit: pump.clone(), equipment: "works/test".to_owned(), at: at(10), job: Some(id(77)),
            operation: Some("30".to_owned()), passed,
            measures: measures.as_object().cloned().unwrap_or_else(Map::new), firmware: BTreeMap::new(), last: false,
        });
        take_all(store, vec![make(&pump, 1, None), pass(None, json!({ "flow": 4.5 }))]).await;
        let more = applied(store, vec![pass(Some(true), json!({ "noise": 61 })), pass(None, json!({ "flow": 4.5 }))]).await;
        assert_eq!((more.changed, more.unchanged), (1, 1), "the rest of the message came later");
        let passes = store.trace_passes(id(1), None).await.unwrap();
        assert_eq!(passes.len(), 1);
        assert_eq!(json!(passes[0].measures), json!({ "flow": 4.5, "noise": 61 }));
        assert_eq!((passes[0].passed, passes[0].operation.as_deref(), passes[0].job), (Some(true), Some("30"), Some(id(77))));
        let report = applied(store, vec![pass(Some(false), json!({})), pass(None, json!({ "flow": 5 }))]).await;
        assert_eq!((report.changed, report.refused.len(), report.findings), (0, 2, 2), "{report:?}");
        let station = async |from, to| store.trace_passes_at("works/test".to_owned(), at(from), at(to), None, 10).await.unwrap().len();
        assert_eq!((station(10, 11).await, station(0, 10).await, station(11, 20).await), (1, 0, 0));
        let of_a_lot = NewPass { unit: lot("L"), equipment: "e".to_owned(), at: at(1), job: None, operation: None, passed: None, measures: Map::new(), firmware: BTreeMap::new(), last: false };
        take_all(store, vec![make(&lot("L"), 2, None)]).await;
        assert!(matches!(refusal(store, vec![Step::Pass(of_a_lot)]).await, TraceRefusal::Unfit { what: "pass", .. }));
    }

    what_is_said_of_a_program_is_added_and_never_becomes_another(store) {
        let pump = unit("P");
        let pass = |component: &str, version: Option<&str>, sha256: Option<&str>| {
            let program = Program { version: version.map(str::to_owned), sha256: sha256.map(str::to_owned) };
            Step::Pass(NewPass {
                unit: pump.clone(), equipment: "works/test".to_owned(), at: at(10), job: None, operation: None, passed: None,
                measures: Map::new(), firmware: [(component.to_owned(), program)].into(), last: false,
            })
        };
        take_all(store, vec![make(&pump, 1, None), pass("controller", Some("2.4"), None)]).await;
        let more = vec![pass("controller", None, Some("5a")), pass("drive", Some("1"), None), pass("drive", Some("1"), None)];
        let more = applied(store, more).await;
        assert_eq!((more.changed, more.unchanged), (2, 1));
        let other = applied(store, vec![pass("controller", Some("2.5"), None), pass("controller", None, Some("5b"))]).await;
        assert_eq!((other.changed, other.refused.len(), other.findings), (0, 2, 2), "{other:?}");
        let passes = store.trace_passes(id(1), None).await.unwrap();
        let known = json!({ "controller": { "version": "2.4", "sha256": "5a" }, "drive": { "version": "1" } });
        assert_eq!(json!(passes[0].firmware), known);
        let long = "x".repeat(70_000);
        assert!(matches!(refusal(store, vec![pass("controller", Some(&long), None)]).await, TraceRefusal::Unfit { what: "firmware", .. }));
    }

    what_a_job_used_is_what_went_into_the_units_that_passed_for_it(store) {
        let (steel, oil, first, second) = (lot("STEEL"), lot("OIL"), unit("X"), unit("Y"));
        let pass = |unit: &ItemRef, equipment: &str, second, job| Step::Pass(NewPass {
            unit: unit.clone(), equipment: equipment.to_owned(), at: at(second), job: Some(id(job)), operation: None,
            passed: None, measures: Map::new(), firmware: BTreeMap::new(), last: false,
        });
        take_all(store, vec![
            make(&steel, 1, Some(100)), make(&oil, 2, Some(100)), make(&first, 3, None), make(&second, 4, None),
            build(&steel, &first, 5, 10), build(&steel, &second, 6, 11), build(&oil, &second, 7, 12),
            pass(&first, "works/test", 20, 77), pass(&first, "works/test", 21, 77), pass(&second, "works/test", 30, 77),
        ]).await;
        let used = async |job, equipment: &str, from, to| {
            let used = store.trace_used_for(id(job), equipment.to_owned(), at(from), at(to)).await.unwrap();
            used.into_iter().map(|used| (used.material, used.number, used.quantity / ONE)).collect::<Vec<_>>()
        };
        let of = |rows: &[(&str, i64)]| rows.iter().map(|(number, count)| ("4711".to_owned(), (*number).to_owned(), *count)).collect::<Vec<_>>();
        assert_eq!(used(77, "works/test", 20, 30).await, of(&[("OIL", 7), ("STEEL", 11)]), "who passed twice counts once");
        assert_eq!(used(77, "works/test", 20, 29).await, of(&[("STEEL", 5)]));
        assert_eq!(used(77, "works/test", 22, 29).await, of(&[]));
        assert_eq!(used(77, "works/line", 20, 30).await, of(&[]));
        assert_eq!(used(78, "works/test", 20, 30).await, of(&[]));
        // What was put back was not used; what was thrown away was.
        take_all(store, vec![take(&steel, &second, 11, 40, true), take(&oil, &second, 12, 40, false)]).await;
        assert_eq!(used(77, "works/test", 20, 30).await, of(&[("OIL", 7), ("STEEL", 5)]));
        // Another job's passes and parts are not this one's.
        take_all(store, vec![make(&unit("Z"), 5, None), pass(&unit("Z"), "works/test", 50, 78), build(&steel, &unit("Z"), 1, 45)]).await;
        assert_eq!(used(77, "works/test", 20, 60).await, of(&[("OIL", 7), ("STEEL", 5)]));
        assert_eq!(used(78, "works/test", 20, 60).await, of(&[]), "it was built in for another one");
    }

    a_certificate_is_kept_as_it_was_signed_and_a_new_one_takes_its_place(store) {
        let (pump, other) = (unit("P"), unit("Q"));
        let certificate = |unit: &ItemRef, number: &str, byte: u8| Step::Certificate(NewCertificate {
            unit: unit.clone(), number: number.to_owned(), issued_at: at(50), sha256: [byte; 32],
            key_id: "k1".to_owned(), bytes: vec![byte; 1000],
        });
        take_all(store, vec![make(&pump, 1, None), make(&other, 2, None), certificate(&pump, "C1", 1)]).await;
        assert_eq!(applied(store, vec![certificate(&pump, "C1", 1)]).await.unchanged, 1);
        for changed in [certificate(&pump, "C1", 2), certificate(&other, "C1", 1)] {
            assert!(matches!(refusal(store, vec![changed]).await, TraceRefusal::Differs { .. }));
        }
        take_all(store, vec![certificate(&pump, "C2", 3)]).await;
        let told: Vec<_> = store.trace_certificates(id(1)).await.unwrap().into_iter().map(|c| (c.number, c.superseded_by)).collect();
        assert_eq!(told, [("C1".to_owned(), Some("C2".to_owned())), ("C2".to_owned(), None)]);
        let first = store.trace_certificate("C1".to_owned()).await.unwrap().unwrap();
        assert_eq!((first.unit, first.bytes, first.brief.sha256), (id(1), vec![1; 1000], [1; 32]));
        assert_eq!(store.trace_certificate("C3".to_owned()).await.unwrap(), None);
    }

    a_change_is_made_once_and_told_once_and_wholly_or_not_at_all(store) {
        let (bag, batch) = (lot("BAG"), lot("BATCH"));
        let steps = vec![make(&bag, 1, Some(5)), make(&batch, 2, None), build(&bag, &batch, 5, 10)];
        let report = store.trace_change(change(500, steps.clone(), note(101, "works"))).await.unwrap();
        assert_eq!((report.changed, report.repeated, report.items.as_slice()), (3, false, [id(1), id(2)].as_slice()));
        let again = store.trace_change(change(500, steps.clone(), note(102, "works"))).await.unwrap();
        assert_eq!((again.changed, again.repeated), (0, true));
        let same = store.trace_change(change(501, steps, note(103, "works"))).await.unwrap();
        assert_eq!((same.changed, same.unchanged, same.repeated), (0, 3, false));
        let bad = vec![make(&lot("NEW"), 3, Some(5)), build(&bag, &batch, 5, 11)];
        assert!(matches!(store.trace_change(change(502, bad.clone(), note(104, "works"))).await, Err(StoreError::Refused(_))));
        assert_eq!(store.trace_item(lot("NEW")).await.unwrap(), None, "nothing of it is there");
        let told = store.outbox_pending(10).await.unwrap();
        assert_eq!(told.iter().map(|event| event.id.as_u128()).collect::<Vec<_>>(), [101]);
        // The key of what was refused is free again, and one that was taken stands for nothing else.
        let good = vec![bad[0].clone()];
        let other = store.trace_change(change(500, good.clone(), note(106, "works"))).await;
        assert!(matches!(&other, Err(StoreError::Refused(refusal)) if **refusal == TraceRefusal::OtherChange), "{other:?}");
        assert_eq!(store.trace_item(lot("NEW")).await.unwrap(), None);
        assert_eq!(store.trace_change(change(502, good, note(105, "works"))).await.unwrap().changed, 1);
    }

    a_part_of_the_lane_is_dealt_with_once_and_what_cannot_be_stops_nothing(store) {
        let (bag, batch) = (lot("BAG"), lot("BATCH"));
        let steps = vec![
            make(&bag, 1, Some(5)), make(&batch, 2, None), build(&bag, &batch, 6, 10), build(&lot("NO"), &batch, 1, 11), build(&bag, &batch, 5, 12),
        ];
        let report = store.trace_apply(Told::of(steps.clone(), Some(Seq(40)))).await.unwrap();
        assert_eq!((report.changed, report.findings), (3, 2));
        assert_eq!(report.refused.iter().map(|(place, _)| *place).collect::<Vec<_>>(), [2, 3]);
        assert_eq!(store.applied(READER, Lane::Samples).await.unwrap(), Seq(40));
        let again = store.trace_apply(Told::of(steps.clone(), Some(Seq(40)))).await.unwrap();
        assert!(again.repeated && again.changed == 0);
        let said_again = store.trace_apply(Told::of(steps, Some(Seq(41)))).await.unwrap();
        assert_eq!((said_again.changed, said_again.unchanged), (0, 3));
        let findings = store.trace_findings(None, 10).await.unwrap();
        assert_eq!(findings.last().unwrap().what, "refused");
        assert_eq!(store.trace_findings(Some(findings[0].number), 10).await.unwrap().len(), findings.len() - 1);
        let many = vec![make(&bag, 1, Some(5)); andon_store::trace::STEPS_MAX + 1];
        assert!(matches!(store.trace_apply(Told::of(many, None)).await, Err(StoreError::Refused(_))));
        for (item, what) in [(lot(""), "number"), (lot(&"x".repeat(129)), "number"), (lot("a\0"), "number")] {
            assert!(matches!(refusal(store, vec![make(&item, 9, None)]).await, TraceRefusal::Unfit { what: w, .. } if w == what));
        }
        assert!(matches!(refusal(store, vec![build(&bag, &batch, -1, 13)]).await, TraceRefusal::Unfit { .. }));
    }

    what_has_to_be_called_back_is_the_outermost_units_and_what_is_left_of_lots(store) {
        let (melt, bar, gone) = (lot("MELT"), lot("BAR"), lot("GONE"));
        let (rotor, pump, spare, pallet) = (unit("R"), unit("P"), unit("S"), named(ItemKind::Container, "PAL"));
        let items = [&melt, &bar, &gone, &rotor, &pump, &spare, &pallet];
        let mut steps: Vec<Step> = items.iter().zip(1..).map(|(item, n)| make(item, n, Some(10))).collect();
        steps.extend([
            build(&melt, &bar, 5, 10), build(&melt, &gone, 5, 10), build(&bar, &rotor, 1, 20), build(&gone, &spare, 10, 20),
            build(&rotor, &pump, 1, 30), Step::Move(carry(&pump, None, Some("dock"), 1, 40)),
            build(&pump, &pallet, 1, 40), Step::Move(carry(&bar, None, Some("store"), 9, 40)),
            decide(&pump, Disposition::Shipped, 50),
        ]);
        take_all(store, steps).await;
        let recall = store.trace_recall(melt.clone(), AsOf::At(at(60))).await.unwrap().unwrap();
        assert_eq!((recall.reached, recall.cut, recall.root.name.number.as_str()), (7, None, "MELT"));
        let units: Vec<_> = recall.units.iter().map(|row| (row.item.name.number.as_str(), row.item.state, row.depth)).collect();
        assert_eq!(units, [("S", Disposition::Released, 2), ("P", Disposition::Shipped, 3)], "the rotor is in the pump, the melt is used up");
        assert_eq!(recall.units[1].places, [("dock".to_owned(), ONE)]);
        assert_eq!(recall.units[1].packed_in[0].number, "PAL");
        let lots: Vec<_> = recall.lots.iter().map(|row| (row.item.name.number.as_str(), row.item.remaining(), row.places.clone())).collect();
        assert_eq!(lots, [("BAR", Some(9 * ONE), vec![("store".to_owned(), 9 * ONE)])]);
        // Before it was built in, and after it was taken out again, the rotor is called back by itself.
        let units = async |as_of| {
            let recall = store.trace_recall(melt.clone(), as_of).await.unwrap().unwrap();
            recall.units.into_iter().map(|row| row.item.name.number).collect::<BTreeSet<_>>()
        };
        assert_eq!(units(AsOf::At(at(29))).await, set(&["S", "R"]));
        take_all(store, vec![take(&rotor, &pump, 30, 70, false)]).await;
        assert_eq!(units(AsOf::At(at(70))).await, set(&["S", "R"]));
        assert_eq!(units(AsOf::Ever).await, set(&["S", "R", "P"]), "it was in the pump, which may have taken harm");
        assert_eq!(store.trace_recall(lot("NONE"), AsOf::Ever).await.unwrap(), None);
    }

    items_are_found_page_by_page(store) {
        let items: Vec<ItemRef> = (0..5).map(|n| lot(&format!("A{n}"))).chain([unit("A9"), lot("B")]).collect();
        take_all(store, items.iter().zip(1..).map(|(item, n)| make(item, n, None)).collect()).await;
        let find = async |filter: ItemFilter| {
            store.trace_items(filter).await.unwrap().into_iter().map(|item| item.name.number).collect::<Vec<_>>()
        };
        let filter = ItemFilter { begins: Some("A".to_owned()), kind: Some(ItemKind::Lot), material: Some("4711".to_owned()), limit: 2, ..ItemFilter::default() };
        assert_eq!(find(filter.clone()).await, ["A4", "A3"]);
        assert_eq!(find(ItemFilter { before: Some(id(4)), limit: 10, ..filter.clone() }).await, ["A2", "A1", "A0"]);
        assert_eq!(find(ItemFilter { material: Some("no".to_owned()), ..filter }).await, [] as [&str; 0]);
        assert_eq!(find(ItemFilter { state: Some(Disposition::Released), limit: 10, ..ItemFilter::default() }).await.len(), 7);
    }
}

/// What is said at random: of ten items, one goes into another, or is taken out again.
#[derive(Clone, Debug)]
enum Said {
    In { from: usize, to: usize, quantity: i64, second: i64 },
    Out { which: usize, after: i64, given_back: bool },
}

/// An edge that was taken: from, to, quantity, in, out, given back.
type Kept = (usize, usize, i64, i64, Option<i64>, bool);

const ITEMS: usize = 10;

fn random_item(n: usize) -> ItemRef {
    if n < 6 { lot(&format!("L{n}")) } else { unit(&format!("U{n}")) }
}

/// What a plain walk over all edges reaches.
fn walked(edges: &[Kept], root: usize, forward: bool, date: Option<i64>) -> BTreeSet<usize> {
    let holds = |edge: &&Kept| date.is_none_or(|t| edge.3 <= t && edge.4.is_none_or(|out| out > t));
    let (mut seen, mut waiting) = (BTreeSet::new(), vec![root]);
    while let Some(here) = waiting.pop() {
        for edge in edges.iter().filter(holds) {
            let (from, to) = if forward { (edge.0, edge.1) } else { (edge.1, edge.0) };
            if from == here && seen.insert(to) {
                waiting.push(to);
            }
        }
    }
    seen
}

async fn play(store: &dyn Repository, said: Vec<Said>) {
    let mut edges: Vec<Kept> = Vec::new();
    take_all(store, (0..ITEMS).map(|n| make(&random_item(n), n as u128 + 1, Some(20))).collect()).await;
    for said in said {
        match said {
            Said::In { from, to, quantity, second } => {
                let quantity = if from < 6 { quantity } else { 1 };
                let step = build(&random_item(from), &random_item(to), quantity, second);
                let report = applied(store, vec![step]).await;
                if report.changed == 1 {
                    edges.push((from, to, quantity, second, None, false));
                } else if let Some((_, TraceRefusal::Circle { .. })) = report.refused.first() {
                    let later: Vec<Kept> =
                        edges.iter().filter(|edge| edge.4.is_none_or(|out| out > second)).copied().collect();
                    assert!(from == to || walked(&later, to, true, None).contains(&from), "{from} → {to} is no circle");
                }
            }
            Said::Out { which, after, given_back } => {
                let Some(count) = std::num::NonZeroUsize::new(edges.len()) else { continue };
                let edge = &mut edges[which % count];
                let removed = edge.3 + after;
                let step = take(&random_item(edge.0), &random_item(edge.1), edge.3, removed, given_back);
                if applied(store, vec![step]).await.changed == 1 {
                    (edge.4, edge.5) = (Some(removed), given_back || edge.0 >= 6);
                }
            }
        }
    }
    let dates = [None, Some(0), Some(7), Some(15), Some(25), Some(60)];
    for date in dates {
        let as_of = date.map_or(AsOf::Ever, |second| AsOf::At(at(second)));
        let mut reached = BTreeMap::new();
        for (direction, forward) in [(Direction::Forward, true), (Direction::Backward, false)] {
            for root in 0..ITEMS {
                let wish = ClosureWish::all(random_item(root), direction, as_of);
                let closure = store.trace_closure(wish).await.unwrap().unwrap();
                let found: BTreeSet<usize> =
                    closure.items.iter().skip(1).map(|r| r.item.id.as_u128() as usize - 1).collect();
                let mut wanted = walked(&edges, root, forward, date);
                if date.is_some() {
                    assert!(!wanted.contains(&root), "{root} ends in itself at {date:?}: {edges:?}");
                }
                wanted.remove(&root);
                assert_eq!(found, wanted, "{root} {direction:?} at {date:?} of {edges:?}");
                reached.insert((forward, root), found);
            }
        }
        for (a, b) in (0..ITEMS).flat_map(|a| (0..ITEMS).map(move |b| (a, b))) {
            assert_eq!(reached[&(true, b)].contains(&a), reached[&(false, a)].contains(&b), "{b} → {a} at {date:?}");
        }
    }
    for n in 0..ITEMS {
        let item = store.trace_item(random_item(n)).await.unwrap().unwrap();
        let used: i64 = edges.iter().filter(|edge| edge.0 == n && !edge.5).map(|edge| edge.2).sum();
        assert_eq!(item.consumed, used * ONE, "of {n} in {edges:?}");
        assert!(item.remaining().unwrap() >= 0);
    }
    assert_eq!(store.trace_check().await.unwrap(), []);
}

fn things_said() -> impl Strategy<Value = Vec<Said>> {
    let built = (0..ITEMS, 0..ITEMS, 1..9i64, 0..30i64).prop_map(|(from, to, quantity, second)| Said::In {
        from,
        to,
        quantity,
        second,
    });
    let taken = (0..100usize, 0..20i64, any::<bool>()).prop_map(|(which, after, given_back)| Said::Out {
        which,
        after,
        given_back,
    });
    proptest::collection::vec(prop_oneof![4 => built, 1 => taken], 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn what_went_into_what_is_the_same_from_both_ends_at_any_date(said in things_said()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            play(&Base::file().open().await, said).await;
        });
    }
}

proptest! {
    // Each is a database to be made.
    #![proptest_config(ProptestConfig { cases: 6, ..ProptestConfig::default() })]
    #[test]
    fn what_went_into_what_is_the_same_from_both_ends_on_a_server(said in things_said()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            if let Some(base) = Base::server().await {
                let store = base.open().await;
                play(&store, said).await;
                store.close().await.unwrap();
            }
        });
    }
}
