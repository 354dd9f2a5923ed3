//! What a vessel holds and gives, by hand and by chance.

use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn flow(kind: FlowKind, mixing: Mixing, item: i64, quantity: i64, told: i64) -> Flow {
    Flow { kind, mixing, item, into: 0, quantity, told }
}

fn filled(mixing: Mixing, fills: &[(i64, i64)]) -> Content {
    let mut content = Content::default();
    for (told, (item, quantity)) in (1..).zip(fills) {
        content.flow(&flow(FlowKind::Fill, mixing, *item, *quantity, told));
    }
    content
}

#[test]
fn a_draw_holds_the_lots_as_the_vessel_does() {
    let mut content = filled(Mixing::Ideal, &[(1, 60_000_000), (2, 40_000_000)]);
    let parts = content.flow(&flow(FlowKind::Draw, Mixing::Ideal, 0, 10_000_000, 3));
    assert_eq!(parts, [(1, 6_000_000), (2, 4_000_000)]);
    content.flow(&flow(FlowKind::Fill, Mixing::Ideal, 3, 10_000_000, 4));
    let parts = content.drawn(1, Mixing::Ideal);
    assert_eq!(parts, [(1, 1), (2, 0), (3, 0)], "the largest remainder gets what cannot be divided, and all are named");
}

#[test]
fn what_came_first_leaves_first_and_a_late_fill_goes_before_what_came_after_it() {
    let mut content = filled(Mixing::Plug, &[(1, 10), (2, 10), (1, 10)]);
    assert_eq!(content.flow(&flow(FlowKind::Draw, Mixing::Plug, 0, 15, 4)), [(1, 10), (2, 5)]);
    content.flow(&flow(FlowKind::Fill, Mixing::Plug, 7, 4, 2));
    assert_eq!(content.drawn(20, Mixing::Plug), [(2, 5), (7, 4), (1, 10)], "and no more than there is");
    content.flow(&Flow { kind: FlowKind::Surplus, ..flow(FlowKind::Fill, Mixing::Plug, 9, 1, 5) });
    assert_eq!(content.drawn(2, Mixing::Plug), [(9, 1), (2, 1)], "what was counted too much of leaves next");
    let traced = filled(Mixing::Plug, &[(1, 10), (2, 0)]);
    assert_eq!(traced.drawn(10, Mixing::Plug), [(1, 10), (2, 0)], "with the last of it leaves what is next to nothing");
}

#[test]
fn of_what_is_found_in_an_empty_vessel_is_what_was_in_it_last_unless_it_was_cleaned() {
    let mut content = filled(Mixing::Ideal, &[(1, 5), (2, 5)]);
    content.flow(&flow(FlowKind::Draw, Mixing::Ideal, 0, 10, 3));
    assert_eq!((content.level(), content.origins()), (0, vec![(1, 5), (2, 5)]));
    content.flow(&flow(FlowKind::Empty, Mixing::Ideal, 0, 0, 4));
    assert_eq!(content.origins(), []);
}

#[test]
fn all_that_is_found_in_an_empty_vessel_is_of_what_was_in_it_last_and_not_of_what_was_found_before() {
    let mut content = filled(Mixing::Ideal, &[(1, 5)]);
    let found = |item, told| Flow { kind: FlowKind::Surplus, ..flow(FlowKind::Fill, Mixing::Ideal, item, 3, told) };
    let draw = |content: &mut Content, quantity| content.flow(&flow(FlowKind::Draw, Mixing::Ideal, 0, quantity, 9));
    draw(&mut content, 5);
    for item in 10..20 {
        assert_eq!(content.origins(), [(1, 5)]);
        content.flow(&found(item, 4));
        assert_eq!(draw(&mut content, 2), [(item, 2)]);
        draw(&mut content, 1);
    }
    // What comes in after that ends it.
    content.flow(&flow(FlowKind::Fill, Mixing::Ideal, 2, 7, 30));
    draw(&mut content, 7);
    assert_eq!(content.origins(), [(2, 7)]);
    // In one that nobody knows anything of, what was found first is all that is known.
    let mut content = Content::default();
    for item in 10..13 {
        content.flow(&found(item, 4));
        draw(&mut content, 3);
        assert_eq!(content.origins(), [(10, 3)]);
    }
}

#[test]
fn a_lot_is_faint_below_a_millionth_of_the_content_and_traces_are_not() {
    let mut content = filled(Mixing::Ideal, &[(1, 1_000_000), (2, 1), (3, 0)]);
    assert_eq!(content.faint(), [(2, 1), (3, 0)], "one in 1,000,001 is less than a millionth");
    content.flow(&Flow { into: 8, ..flow(FlowKind::Traces, Mixing::Ideal, 2, 1, 4) });
    content.set_traces(5, 8);
    assert_eq!((content.traces_of(5), content.faint()), (Some(8), vec![(3, 0)]));
    assert_eq!(filled(Mixing::Ideal, &[(1, 999_999), (2, 1)]).faint(), [], "one in a million is not");
    // As it is drained, others take their place.
    for told in 5..30 {
        content.flow(&flow(FlowKind::Draw, Mixing::Ideal, 0, 500_000, told));
        content.flow(&flow(FlowKind::Fill, Mixing::Ideal, 1, 500_000, told));
    }
    content.turn_over();
    assert_eq!(content.traces_of(5), None);
}

fn flows() -> impl Strategy<Value = Vec<(u8, i64, i64)>> {
    let amount = prop_oneof![0..20i64, 0..5_000_000_000i64, Just(i64::MAX / 300)];
    proptest::collection::vec((0..9u8, 1..12i64, amount), 0..200)
}

proptest! {
    #[test]
    fn of_each_lot_what_was_drawn_and_what_is_left_is_what_came_in(flows in flows(), plug in any::<bool>()) {
        let mixing = if plug { Mixing::Plug } else { Mixing::Ideal };
        let mut content = Content::default();
        let mut balance: BTreeMap<i64, i128> = BTreeMap::new();
        for (told, (kind, item, quantity)) in (0..).zip(flows) {
            let before = content.clone();
            let kind = match kind { 0..4 => FlowKind::Fill, 4..7 => FlowKind::Draw, 7 => FlowKind::Loss, _ => FlowKind::Empty };
            let parts = content.flow(&flow(kind, mixing, item, quantity, told));
            if kind == FlowKind::Fill {
                *balance.entry(item).or_default() += i128::from(quantity);
            }
            let sum: i64 = parts.iter().map(|(_, part)| part).sum();
            match kind {
                FlowKind::Fill => prop_assert_eq!(sum, 0),
                FlowKind::Empty => prop_assert_eq!(sum, before.level()),
                _ => prop_assert_eq!(sum, quantity.min(before.level())),
            }
            for (lot, part) in &parts {
                *balance.entry(*lot).or_default() -= i128::from(*part);
                if kind == FlowKind::Draw && !plug && sum > 0 {
                    // Within one millionth of its share.
                    let held = before.lots().into_iter().find(|(there, _)| there == lot).unwrap().1;
                    let off = i128::from(*part) * i128::from(before.level()) - i128::from(held) * i128::from(sum);
                    prop_assert!(off.abs() < i128::from(before.level()));
                }
            }
            balance.retain(|_, left| *left != 0);
            let left: BTreeMap<i64, i128> = content.lots().into_iter().filter(|lot| lot.1 > 0).map(|(lot, part)| (lot, i128::from(part))).collect();
            prop_assert_eq!(&left, &balance);
            // It is kept as JSON.
            let again: Content = serde_json::from_str(&serde_json::to_string(&content).unwrap()).unwrap();
            prop_assert!(again.is_as(&content));
        }
    }
}
