//! Bills of material as a whole: nothing is made with itself.

use super::material::Material;
use std::collections::BTreeMap;

/// The lines of bills by which a material is made with itself, as the key of the material and the line's number from 0.
///
/// `found` gives the key of the material that a line names. Every line of a circle is told, and no other: the strongly connected
/// components of what goes into what (Tarjan, without recursion, so that no bill is too deep).
pub(super) fn circles<'m>(
    materials: &'m BTreeMap<String, Material>,
    found: impl Fn(&str) -> Option<&'m str>,
) -> Vec<(&'m str, usize)> {
    let numbers: BTreeMap<&str, usize> = materials.keys().map(String::as_str).zip(0..).collect();
    let lines = |material: &'m Material| {
        let named = material.bill.iter().map(|line| found(&line.material).and_then(|name| numbers.get(name)).copied());
        named.collect::<Vec<Option<usize>>>()
    };
    let bills: Vec<Vec<Option<usize>>> = materials.values().map(lines).collect();
    let parts = components(&bills);
    let mut told = Vec::new();
    for ((name, own), bill) in materials.keys().zip(0..).zip(&bills) {
        for (at, other) in bill.iter().enumerate() {
            let same = other.and_then(|other| parts.get(other)) == parts.get(own);
            if same {
                told.push((name.as_str(), at));
            }
        }
    }
    told
}

/// For each node the number of its strongly connected component.
fn components(edges: &[Vec<Option<usize>>]) -> Vec<usize> {
    const NEW: usize = usize::MAX;
    let mut tarjan = (vec![NEW; edges.len()], vec![NEW; edges.len()], vec![NEW; edges.len()]);
    let (seen, low, part) = (&mut tarjan.0, &mut tarjan.1, &mut tarjan.2);
    let (mut count, mut parts, mut open) = (0, 0, Vec::new());
    for start in 0..edges.len() {
        if seen[start] != NEW {
            continue;
        }
        // What is being looked at, and at which of its edges.
        let mut path = vec![(start, 0)];
        while let Some((node, at)) = path.last_mut() {
            let node = *node;
            if *at == 0 && seen[node] == NEW {
                (seen[node], low[node]) = (count, count);
                count += 1;
                open.push(node);
            }
            if let Some(edge) = edges[node].get(*at) {
                *at += 1;
                match *edge {
                    Some(other) if seen[other] == NEW => path.push((other, 0)),
                    Some(other) if part[other] == NEW => low[node] = low[node].min(seen[other]),
                    _ => {}
                }
                continue;
            }
            path.pop();
            if let Some((above, _)) = path.last() {
                low[*above] = low[*above].min(low[node]);
            }
            if low[node] == seen[node] {
                while let Some(other) = open.pop() {
                    part[other] = parts;
                    if other == node {
                        break;
                    }
                }
                parts += 1;
            }
        }
    }
    tarjan.2
}

#[cfg(test)]
mod tests {
    use super::components;
    use proptest::prelude::*;

    /// Which nodes reach which, by trying.
    fn reach(edges: &[Vec<Option<usize>>]) -> Vec<Vec<bool>> {
        let mut reach = vec![vec![false; edges.len()]; edges.len()];
        for _ in 0..edges.len() {
            for (node, out) in edges.iter().enumerate() {
                for other in out.iter().flatten() {
                    reach[node][*other] = true;
                    let further = reach[*other].clone();
                    reach[node].iter_mut().zip(further).for_each(|(reaches, further)| *reaches |= further);
                }
            }
        }
        reach
    }

    proptest! {
        #[test]
        fn what_reaches_each_other_is_one(
            edges in prop::collection::vec(prop::collection::vec(prop::option::of(0..7_usize), 0..4), 7)
        ) {
            let (parts, reach) = (components(&edges), reach(&edges));
            for a in 0..7 {
                for b in 0..7 {
                    prop_assert_eq!(parts[a] == parts[b], a == b || (reach[a][b] && reach[b][a]), "{} {}", a, b);
                }
            }
        }
    }

    #[test]
    fn no_bill_is_too_deep() {
        let chain: Vec<Vec<Option<usize>>> = (1..200_000).map(|next| vec![Some(next)]).chain([vec![]]).collect();
        assert_eq!(components(&chain).len(), 200_000);
    }
}
