//! Which files must be merged before outside readers may see them.
//!
//! Our own reads let the newer file win where two have a row of the same tag and time. Outside readers cannot know that,
//! so a new file that has such a row in common with any older one of its day is held back until a merge made one of
//! both. Two rules follow. A file's `collides` says how far back its merge must reach; a merge that takes in such a file
//! must reach as far. Then no merged file ever collides with an older one, and what is in the table stays.

use crate::buffer::{Buffer, Order};
use crate::historian::{Historian, Segment};
use crate::manifest::FileInfo;
use crate::segment::{Reader, SegmentError, Window};
use andon_model::log::Seq;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// The rows of a new file, while they are still in the buffer.
pub(crate) struct NewRows<'a> {
    pub buffer: &'a Buffer,
    pub orders: &'a BTreeMap<u32, Order<'a>>,
    /// Per tag, ascending, which ranks of its sorted column.
    pub plan: &'a [(u32, Range<usize>)],
}

impl NewRows<'_> {
    fn ts(&self, tag: u32, rank: usize) -> Option<i64> {
        self.buffer.column(tag)?.ts(self.orders.get(&tag)?.position(rank))
    }

    /// First and last time of these ranks, both inclusive.
    fn span(&self, tag: u32, ranks: &Range<usize>) -> Option<(i64, i64)> {
        Some((self.ts(tag, ranks.start)?, self.ts(tag, ranks.end.checked_sub(1)?)?))
    }

    /// The times from first to last, both inclusive, ascending.
    fn times(&self, tag: u32, ranks: &Range<usize>, (first, last): (i64, i64)) -> Vec<i64> {
        let times = ranks.clone().filter_map(|rank| self.ts(tag, rank));
        times.skip_while(|ts| *ts < first).take_while(|ts| *ts <= last).collect()
    }
}

impl Historian {
    /// The first frame of the oldest file of its period that has a row of the same tag and time as the new one.
    /// While nothing is published it may name a file that only might; then nobody reads files for nothing.
    ///
    /// Budget: a comparison per tag and older file; times are read only of tags that reach into each other's time.
    pub(crate) fn collides(&self, info: &FileInfo, rows: &NewRows<'_>) -> Option<Seq> {
        let older = self.state().segments.files_of(info.day).to_vec();
        // A file that was given up is in no table.
        let older = older.iter().filter(|segment| !segment.info.given_up && may_collide(&segment.info, info));
        let collision = older.clone().find(|segment| {
            !self.options.publish
                || segment.is_damaged()
                || self.have_common_row(segment, rows).unwrap_or_else(|error| {
                    self.note_damage(segment, &error);
                    true
                })
        });
        collision.map(|segment| segment.info.from)
    }

    fn have_common_row(&self, older: &Segment, rows: &NewRows<'_>) -> Result<bool, SegmentError> {
        let mut reader = Reader::open(&older.path, &older.info, &self.footers)?;
        let spans = reader.spans();
        for (tag, ranks) in rows.plan {
            let Some(ours) = rows.span(*tag, ranks) else { continue };
            let theirs = match &spans {
                Some(spans) => match spans.binary_search_by_key(tag, |(tag, _)| *tag) {
                    Ok(at) => spans.get(at).map_or(older.info.ts, |(_, span)| *span),
                    Err(_) => continue,
                },
                None => older.info.ts,
            };
            let shared = (ours.0.max(theirs.0), ours.1.min(theirs.1));
            if shared.0 > shared.1 {
                continue;
            }
            let ours = rows.times(*tag, ranks, shared);
            if !ours.is_empty() && have_common(&ours, &reader.times(*tag, window(shared))?) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// From first to last, both inclusive.
const fn window((first, last): (i64, i64)) -> Window {
    match last.checked_add(1) {
        Some(to) => Window::Times { from: first, to },
        None => Window::All,
    }
}

/// By what the manifest says of them.
pub(crate) fn may_collide(a: &FileInfo, b: &FileInfo) -> bool {
    a.tags.0 <= b.tags.1 && b.tags.0 <= a.tags.1 && a.ts.0 <= b.ts.1 && b.ts.0 <= a.ts.1
}

/// Whether two ascending lists have a number in common.
fn have_common(a: &[i64], b: &[i64]) -> bool {
    let (mut a, mut b) = (a.iter().peekable(), b.iter().peekable());
    while let (Some(x), Some(y)) = (a.peek(), b.peek()) {
        match x.cmp(y) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => a.next(),
            std::cmp::Ordering::Greater => b.next(),
        };
    }
    false
}

/// A period's files, oldest first: where a merge that takes in file `at` must begin.
fn reach(files: &[Arc<Segment>], at: usize) -> usize {
    let Some(info) = files.get(at).map(|segment| &segment.info) else { return at };
    let older = || files.iter().take(at).map(|segment| &segment.info);
    let oldest = if info.is_closed() {
        older().position(|other| !other.given_up && may_collide(other, info))
    } else {
        info.collides.and_then(|seq| older().position(|other| !other.given_up && other.to >= seq))
    };
    oldest.unwrap_or(at)
}

/// The range with all that must be merged together with it. `None` if a damaged file is among that.
pub(crate) fn closed(files: &[Arc<Segment>], mut range: Range<usize>) -> Option<Range<usize>> {
    loop {
        let start = range.clone().map(|at| reach(files, at)).min().unwrap_or(range.start).min(range.start);
        if start == range.start {
            break;
        }
        range.start = start;
    }
    let damaged = files.get(range.clone()).unwrap_or_default().iter().any(|segment| segment.is_damaged());
    (!damaged).then_some(range)
}

/// From position `from` on, the next files to merge so that those held back can be published: all at once that need a
/// file in common.
pub(crate) fn held_back(files: &[Arc<Segment>], from: usize) -> Option<Range<usize>> {
    let waits = |at: &usize| files.get(*at).is_some_and(|segment| !segment.info.is_for_all() && !segment.info.given_up);
    let mut ranges = (from..files.len()).filter(waits).filter_map(|at| closed(files, at..at + 1));
    let first = ranges.next()?;
    Some(ranges.fold(first, |all, next| if next.start < all.end { all.start.min(next.start)..next.end } else { all }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_times_are_found_wherever_they_are() {
        assert!(have_common(&[1, 5, 9], &[2, 9]));
        assert!(have_common(&[i64::MIN], &[i64::MIN, 0]));
        assert!(!have_common(&[1, 5, 9], &[2, 6, 10]));
        assert!(!have_common(&[], &[1]));
    }
}
