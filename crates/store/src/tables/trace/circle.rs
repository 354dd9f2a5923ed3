//! Whether something would end in itself.
//!
//! A circle that stands at some date is made of edges that were all in force then, so any two of them overlap in time; the one that is
//! recorded last would close it. So it is enough to look, when an edge is recorded, for a way back among the edges that overlap with it:
//! those that were not taken out before it. That may refuse a way around that was never whole at one date, which nobody needs.

use super::row::{ASKED_AT_A_TIME, push_keys};
use crate::error::StoreError;
use crate::sql::{Link, sql};
use crate::trace::CIRCLE_MAX;
use std::collections::HashMap;

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It does not end in itself.
    Nothing,
    /// The way from what it would go into to itself, both ends included.
    Way(Vec<i64>),
    /// There is too much to look through.
    TooMuch,
}

/// Looks for a way from `to` to `from` among what was not taken out before `at`.
///
/// Both ends are widened in turn, the smaller first: a new unit goes nowhere yet, and a bought lot is made of nothing, so that mostly one
/// look is enough, however much hangs on the other end.
pub(super) async fn way_back(tx: &mut Link<'_>, from: i64, to: i64, at: i64) -> Result<Found, StoreError> {
    if from == to {
        return Ok(Found::Way(vec![from]));
    }
    let (mut ahead, mut behind) = (Side::new(to), Side::new(from));
    while !ahead.edge.is_empty() && !behind.edge.is_empty() {
        let looked_at = ahead.seen.len() + behind.seen.len();
        if looked_at > CIRCLE_MAX || ahead.is_cut || behind.is_cut {
            return Ok(Found::TooMuch);
        }
        let is_ahead = ahead.edge.len() <= behind.edge.len();
        let (side, other) = if is_ahead { (&mut ahead, &behind) } else { (&mut behind, &ahead) };
        if let Some(meet) = side.widen(tx, other, is_ahead, at, CIRCLE_MAX + 1 - looked_at).await? {
            let mut way = ahead.way_from(meet);
            way.reverse();
            way.extend(behind.way_from(meet).into_iter().skip(1));
            return Ok(Found::Way(way));
        }
    }
    Ok(Found::Nothing)
}

/// What was seen from one end, and over what.
struct Side {
    seen: HashMap<i64, i64>,
    edge: Vec<i64>,
    /// Not all was looked at.
    is_cut: bool,
}

impl Side {
    fn new(start: i64) -> Self {
        Self { seen: HashMap::from([(start, start)]), edge: vec![start], is_cut: false }
    }

    /// From an item back to where this side began.
    fn way_from(&self, meet: i64) -> Vec<i64> {
        let mut way = vec![meet];
        let mut here = meet;
        while let Some(before) = self.seen.get(&here).copied().filter(|before| *before != here) {
            way.push(before);
            here = before;
        }
        way
    }

    /// Goes on by one step, and tells where it met the other side. At most so many new items are looked at; then it is known to be too much.
    async fn widen(
        &mut self,
        tx: &mut Link<'_>,
        other: &Self,
        forward: bool,
        at: i64,
        most: usize,
    ) -> Result<Option<i64>, StoreError> {
        let mut next = Vec::new();
        for keys in std::mem::take(&mut self.edge).chunks(ASKED_AT_A_TIME) {
            let mut query = sql(match forward {
                true => "SELECT from_key, to_key FROM trace_edge WHERE from_key IN ",
                false => "SELECT to_key, from_key FROM trace_edge WHERE to_key IN ",
            });
            push_keys(&mut query, keys);
            query.push(" AND (removed_at IS NULL OR removed_at > ").push_bind(at).push(")");
            // Those that were seen before, and one more than there is room for.
            let limit = CIRCLE_MAX + most;
            query.push(" LIMIT ").push_bind(limit);
            let rows: Vec<(i64, i64)> = query.rows(tx, "look whether something would end in itself").await?;
            self.is_cut |= rows.len() >= limit;
            for (here, there) in rows {
                if self.seen.contains_key(&there) {
                    continue;
                }
                self.seen.insert(there, here);
                if other.seen.contains_key(&there) {
                    return Ok(Some(there));
                }
                next.push(there);
            }
            if next.len() >= most || self.is_cut {
                break;
            }
        }
        self.edge = next;
        Ok(None)
    }
}
