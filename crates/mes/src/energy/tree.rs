//! Which meters make the number of a node.
//!
//! A carrier's total of a node is that of the meters that stand at the node, if there are any; else the sum of the nodes below. So a main meter
//! and what is measured behind it are never both counted.

use andon_model::path::is_under;

/// Of meters of one carrier by where they stand, those that make the number of a node: their places in the list, in its order.
#[must_use]
pub fn counted(places: &[&str], node: &str) -> Vec<usize> {
    let below: Vec<usize> =
        (0..places.len()).filter(|at| places.get(*at).is_some_and(|place| is_under(place, node))).collect();
    let is_behind = |place: &str| {
        below.iter().filter_map(|other| places.get(*other)).any(|other| *other != place && is_under(place, other))
    };
    below.iter().copied().filter(|at| places.get(*at).is_some_and(|place| !is_behind(place))).collect()
}

/// Whether what a machine draws is in the number of a node above it, or a part of it is: a meter that was counted stands at it, above or below it.
#[must_use]
pub fn is_metered(counted: &[&str], machine: &str) -> bool {
    counted.iter().any(|place| is_under(machine, place) || is_under(place, machine))
}
