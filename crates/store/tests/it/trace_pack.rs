//! Containers: what is packed lies where its container lies, goes where it goes, and is packed or carried away once.

use crate::fakes::{Base, on_both};
use crate::trace::{applied, at, build, built, carry, id, lot, made, make, named, refusal, take_all, unit};
use andon_store::Store;
use andon_store::trace::{
    CARRIED_MAX, ItemKind, ItemRef, NewEdge, NewItem, NewUnpacking, ONE, Place, Step, TraceRefusal, TraceRepository,
};
use proptest::prelude::*;
use std::collections::BTreeMap;

on_both! {
    a_container_goes_with_all_that_lies_in_it_and_nothing_goes_without_it
    what_lies_elsewhere_is_not_packed_and_what_lies_nowhere_comes_along
    what_lies_in_a_place_is_added_up_beyond_what_a_number_of_the_database_holds
}

fn box_(number: &str) -> ItemRef {
    named(ItemKind::Container, number)
}

fn at_place(item: &ItemRef, number: u128, quantity: Option<i64>, place: &str) -> Step {
    Step::Item(NewItem { place: Some(place.to_owned()), ..made(item, number, quantity) })
}

fn pack(item: &ItemRef, container: &ItemRef, quantity: i64, second: i64) -> Step {
    Step::Edge(NewEdge { position: String::new(), equipment: None, ..built(item, container, quantity, second) })
}

fn unpack(item: &ItemRef, container: &ItemRef, quantity: Option<i64>, second: i64) -> Step {
    Step::Unpack(NewUnpacking {
        item: item.clone(),
        container: container.clone(),
        quantity: quantity.map(|quantity| quantity * ONE),
        at: at(second),
        by: None,
    })
}

fn go(item: &ItemRef, from: Option<&str>, to: Option<&str>, quantity: i64, second: i64) -> Step {
    Step::Move(carry(item, from, to, quantity, second))
}

async fn lies(store: &Store, number: u128) -> Vec<(String, i64)> {
    let stock = store.trace_stock(id(number)).await.unwrap();
    stock.into_iter().map(|(place, quantity)| (place, quantity / ONE)).collect()
}

async fn contents(store: &Store, container: u128) -> Vec<(u128, i64)> {
    let found = store.trace_contents(id(container), None, 100).await.unwrap();
    found.into_iter().map(|packed| (packed.item.id.as_u128(), packed.quantity / ONE)).collect()
}

fn place(name: &str, quantity: i64) -> (String, i64) {
    (name.to_owned(), quantity)
}

async fn a_container_goes_with_all_that_lies_in_it_and_nothing_goes_without_it(base: Base) {
    let store = base.open().await;
    let (oil, pump, small, pallet) = (lot("OIL"), unit("P"), box_("BOX"), box_("PAL"));
    take_all(
        &store,
        vec![
            at_place(&oil, 1, Some(20), "store"),
            at_place(&pump, 2, None, "store"),
            make(&small, 3, None),
            at_place(&pallet, 4, None, "store"),
            pack(&oil, &small, 12, 10),
            pack(&pump, &small, 1, 11),
            pack(&small, &pallet, 1, 12),
        ],
    )
    .await;
    assert_eq!(lies(&store, 3).await, [place("store", 1)], "the box is where what is put into it lay");
    assert_eq!(contents(&store, 3).await, [(2, 1), (1, 12)]);
    // What is packed is neither carried away nor packed again, and does not leave its container behind.
    assert!(matches!(
        refusal(&store, vec![go(&pump, Some("store"), Some("dock"), 1, 20)]).await,
        TraceRefusal::BuiltIn { .. }
    ));
    assert!(matches!(
        refusal(&store, vec![go(&small, Some("store"), Some("dock"), 1, 20)]).await,
        TraceRefusal::BuiltIn { .. }
    ));
    assert!(matches!(refusal(&store, vec![pack(&pump, &pallet, 1, 20)]).await, TraceRefusal::BuiltIn { .. }));
    let refused = refusal(&store, vec![go(&oil, Some("store"), Some("dock"), 9, 20)]).await;
    assert_eq!(refused.to_string(), "of lot 4711 OIL 8 lie loose and 12 are packed; 9 cannot be taken from there");
    assert!(matches!(refusal(&store, vec![pack(&oil, &pallet, 9, 20)]).await, TraceRefusal::Packed { .. }));
    let step = go(&pallet, Some("store"), Some("dock"), 1, 21);
    let report = applied(&store, vec![step.clone(), step]).await;
    assert_eq!((report.changed, report.unchanged, report.findings), (1, 1, 0));
    assert_eq!(lies(&store, 1).await, [place("dock", 12), place("store", 8)]);
    for whole in [2, 3, 4] {
        assert_eq!(lies(&store, whole).await, [place("dock", 1)]);
    }
    // A part of the oil is taken out, and stays there when the rest goes.
    take_all(&store, vec![unpack(&oil, &small, Some(5), 30), unpack(&oil, &small, Some(5), 30)]).await;
    assert_eq!(contents(&store, 3).await, [(2, 1), (1, 7)]);
    take_all(&store, vec![go(&pallet, Some("dock"), None, 1, 31)]).await;
    assert_eq!(lies(&store, 1).await, [place("dock", 5), place("store", 8)]);
    assert_eq!((lies(&store, 2).await, lies(&store, 4).await), (vec![], vec![]), "they have left");
    assert_eq!(store.trace_item(pump.clone()).await.unwrap().unwrap().place, Place::Nowhere);
    take_all(
        &store,
        vec![go(&pallet, None, Some("yard"), 1, 32), unpack(&small, &pallet, None, 33), unpack(&oil, &small, None, 34)],
    )
    .await;
    assert_eq!(lies(&store, 1).await, [place("dock", 5), place("store", 8), place("yard", 7)]);
    assert_eq!(contents(&store, 4).await, []);
    let refused = refusal(&store, vec![unpack(&oil, &small, Some(1), 35)]).await;
    assert_eq!(refused.to_string(), "in container 4711 BOX there is 0 of lot 4711 OIL; 1 cannot be taken out");
    assert!(matches!(
        refusal(&store, vec![unpack(&oil, &pump, None, 35)]).await,
        TraceRefusal::Unfit { what: "container", .. }
    ));
    assert!(matches!(
        refusal(&store, vec![unpack(&pump, &small, None, 11)]).await,
        TraceRefusal::Unfit { what: "time", .. }
    ));
    assert_eq!(store.trace_check().await.unwrap(), []);
}

async fn what_lies_elsewhere_is_not_packed_and_what_lies_nowhere_comes_along(base: Base) {
    let store = base.open().await;
    let (near, far, gone, pump, small) = (lot("NEAR"), lot("FAR"), lot("GONE"), unit("P"), box_("BOX"));
    take_all(
        &store,
        vec![
            make(&near, 1, Some(10)),
            at_place(&far, 2, Some(10), "store"),
            make(&gone, 3, None),
            make(&pump, 4, None),
            at_place(&small, 5, None, "dock"),
            pack(&near, &small, 4, 10),
            pack(&near, &small, 6, 11),
            pack(&gone, &small, 3, 12),
            pack(&gone, &small, 3, 13),
            pack(&pump, &small, 1, 14),
        ],
    )
    .await;
    assert_eq!(lies(&store, 1).await, [place("dock", 10)], "nobody had said where it lay");
    assert_eq!((lies(&store, 3).await, lies(&store, 4).await), (vec![place("dock", 6)], vec![place("dock", 1)]));
    let refused = refusal(&store, vec![pack(&far, &small, 1, 20)]).await;
    assert_eq!(refused.to_string(), "in dock there is 0 of lot 4711 FAR; 1 cannot be carried away from there");
    assert!(
        matches!(refusal(&store, vec![pack(&near, &small, 1, 20)]).await, TraceRefusal::Packed { .. }),
        "all of it is packed"
    );
    let refused = refusal(&store, vec![go(&far, None, Some("dock"), 1, 20)]).await;
    assert_eq!(
        refused.to_string(),
        "of lot 4711 FAR there is 10, and 10 of it lie somewhere already; 1 more cannot come from outside"
    );
    take_all(
        &store,
        vec![go(&far, Some("store"), None, 4, 21), go(&far, None, Some("dock"), 4, 22), pack(&far, &small, 4, 23)],
    )
    .await;
    assert_eq!(lies(&store, 2).await, [place("dock", 4), place("store", 6)], "what had left came back");
    // One in several places does not say where a container is.
    take_all(&store, vec![make(&box_("NEW"), 6, None)]).await;
    assert!(matches!(
        refusal(&store, vec![pack(&far, &box_("NEW"), 1, 24)]).await,
        TraceRefusal::Unfit { what: "container", .. }
    ));
    // One that has left with another is not back because something is put into it.
    take_all(
        &store,
        vec![make(&box_("OUT"), 8, None), make(&box_("IN"), 9, None), pack(&box_("IN"), &box_("OUT"), 1, 25)],
    )
    .await;
    take_all(&store, vec![at_place(&lot("L"), 10, Some(5), "dock")]).await;
    assert!(matches!(
        refusal(&store, vec![pack(&lot("L"), &box_("IN"), 1, 26)]).await,
        TraceRefusal::Unfit { what: "container", .. }
    ));
    // A station takes one out of its box without a word: it is in the machine, and the box goes without it.
    take_all(
        &store,
        vec![make(&unit("M"), 7, None), Step::Edge(NewEdge { even_so: true, ..built(&pump, &unit("M"), 1, 30) })],
    )
    .await;
    take_all(&store, vec![go(&small, Some("dock"), Some("yard"), 1, 31)]).await;
    assert_eq!(lies(&store, 4).await, []);
    // And of a lot it takes more than lies loose: the box goes, and that is told.
    take_all(
        &store,
        vec![Step::Edge(NewEdge { equipment: Some("yard/press".to_owned()), ..built(&near, &unit("M"), 2, 32) })],
    )
    .await;
    let report = applied(&store, vec![go(&small, Some("yard"), Some("dock"), 1, 33)]).await;
    assert_eq!((report.changed, report.findings), (1, 1));
    assert_eq!(lies(&store, 1).await, [place("dock", 10), place("yard", -2)]);
    assert_eq!(store.trace_check().await.unwrap(), []);
}

#[tokio::test]
async fn a_container_with_too_much_in_it_is_not_carried() {
    let base = Base::file();
    let store = base.open().await;
    let mut steps = vec![at_place(&box_("BOX"), 1, None, "dock")];
    for n in 0..=CARRIED_MAX as u128 {
        let pump = unit(&format!("P{n}"));
        steps.extend([make(&pump, 100 + n, None), build(&pump, &box_("BOX"), 1, 10)]);
    }
    let rest = steps.split_off(andon_store::trace::STEPS_MAX);
    take_all(&store, steps).await;
    take_all(&store, rest).await;
    let refused = refusal(&store, vec![go(&box_("BOX"), Some("dock"), Some("yard"), 1, 20)]).await;
    assert!(matches!(refused, TraceRefusal::Unfit { what: "container", .. }), "{refused}");
    take_all(
        &store,
        vec![unpack(&unit("P0"), &box_("BOX"), None, 21), go(&box_("BOX"), Some("dock"), Some("yard"), 1, 22)],
    )
    .await;
    assert_eq!(
        store.trace_places(10).await.unwrap(),
        [("dock".to_owned(), 1), ("yard".to_owned(), CARRIED_MAX as i64 + 1)]
    );
    let page = store.trace_contents(id(1), None, 3).await.unwrap();
    let last = page.last().map(|packed| packed.item.id);
    let next = store.trace_contents(id(1), last, 1).await.unwrap();
    assert_eq!(next[0].item.id.as_u128() + 1, page[2].item.id.as_u128(), "page by page");
    assert_eq!(store.trace_check().await.unwrap(), []);
}

async fn what_lies_in_a_place_is_added_up_beyond_what_a_number_of_the_database_holds(base: Base) {
    let store = base.open().await;
    let huge = |n: u128| {
        let name = lot(&format!("H{n}"));
        Step::Item(NewItem {
            quantity: Some(i64::MAX),
            place: Some("hall".to_owned()),
            ..made(&name, 20_000 + n, None)
        })
    };
    take_all(&store, (0..3).map(huge).collect()).await;
    let sums = store.trace_materials_in("hall".to_owned(), 10).await.unwrap();
    assert_eq!(
        (sums[0].items, sums[0].quantity, sums[0].released),
        (3, 3 * i128::from(i64::MAX), 3 * i128::from(i64::MAX))
    );
}

/// What is done at random with two lots, two units and two containers at three places.
#[derive(Clone, Debug)]
enum Done {
    Carry { what: usize, from: usize, to: usize, quantity: i64 },
    Pack { what: usize, into: usize, quantity: i64 },
    Unpack { what: usize, out_of: usize, quantity: Option<i64> },
}

const THINGS: usize = 6;

fn thing(n: usize) -> ItemRef {
    match n {
        0 | 1 => lot(&format!("L{n}")),
        2 | 3 => unit(&format!("U{n}")),
        _ => box_(&format!("B{n}")),
    }
}

async fn play(store: &Store, done: Vec<Done>) {
    let steps = (0..THINGS).map(|n| at_place(&thing(n), n as u128 + 1, Some(10), if n < 2 { "a" } else { "b" }));
    take_all(store, steps.collect()).await;
    let places = [None, Some("a"), Some("b"), Some("c")];
    for (second, done) in (10..).zip(done) {
        let whole = |what: usize, quantity: i64| if what < 2 { quantity } else { 1 };
        let step = match done {
            Done::Carry { what, from, to, quantity } => {
                go(&thing(what), places[from], places[to], whole(what, quantity), second)
            }
            Done::Pack { what, into, quantity } => pack(&thing(what), &thing(into), whole(what, quantity), second),
            Done::Unpack { what, out_of, quantity } => {
                unpack(&thing(what), &thing(out_of), quantity.filter(|_| what < 2), second)
            }
        };
        applied(store, vec![step]).await;
    }
    let mut packed: BTreeMap<(u128, String), i64> = BTreeMap::new();
    for container in [5, 6] {
        let stands = lies(store, container).await;
        for (item, quantity) in contents(store, container).await {
            // What is packed lies with its container, and is packed once.
            match stands.first() {
                Some((place, _)) => *packed.entry((item, place.clone())).or_default() += quantity,
                None if item > 2 => assert_eq!(lies(store, item).await, [], "{item} has left with {container}"),
                None => {}
            }
        }
    }
    for ((item, place), quantity) in packed {
        let there = lies(store, item).await.into_iter().find(|(at, _)| *at == place).map_or(0, |(_, there)| there);
        assert!(there >= quantity, "of {item} {quantity} are packed in {place}, and {there} lie there");
    }
    for item in 1..=THINGS as u128 {
        let stock = lies(store, item).await;
        assert!(stock.iter().all(|(_, quantity)| *quantity > 0), "{item}: {stock:?}");
        assert!(
            stock.iter().map(|(_, quantity)| quantity).sum::<i64>() <= if item < 3 { 10 } else { 1 },
            "{item}: {stock:?}"
        );
    }
    assert_eq!(
        store.trace_findings(None, 100).await.unwrap().iter().filter(|found| found.what != "refused").count(),
        0
    );
    assert_eq!(store.trace_check().await.unwrap(), []);
}

fn things_done() -> impl Strategy<Value = Vec<Done>> {
    let one = prop_oneof![
        3 => (0..THINGS, 0..4usize, 0..4usize, 1..8i64)
            .prop_map(|(what, from, to, quantity)| Done::Carry { what, from, to, quantity }),
        3 => (0..THINGS, 4..THINGS, 1..8i64).prop_map(|(what, into, quantity)| Done::Pack { what, into, quantity }),
        2 => (0..THINGS, 4..THINGS, proptest::option::of(1..8i64))
            .prop_map(|(what, out_of, quantity)| Done::Unpack { what, out_of, quantity }),
    ];
    proptest::collection::vec(one, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_carried_and_packed_nothing_is_in_two_places_and_nothing_comes_of_nothing(done in things_done()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let base = Base::file();
            play(&base.open().await, done).await;
        });
    }
}

proptest! {
    // Each is a database to be made.
    #![proptest_config(ProptestConfig { cases: 4, ..ProptestConfig::default() })]
    #[test]
    fn whatever_is_carried_and_packed_on_a_server_nothing_is_in_two_places(done in things_done()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            if let Some(base) = Base::server().await {
                let store = base.open().await;
                play(&store, done).await;
                store.close().await.unwrap();
            }
        });
    }
}
