//! Fewer points for a chart, without lying about it.
//!
//! Time is cut into equal stretches (a few per pixel). Of each stretch the first, the smallest, the largest and the
//! last point are kept (the "M4" set, Jugel et al., VLDB 2014: a line drawn from them covers the same pixels), and
//! one bad point if there is any. Stretches can be merged pairwise without another look at the data, so the finest
//! cut that fits the wanted number is found after a single pass, in memory that depends only on that number.

use crate::block::Block;
use crate::point::Point;
use andon_model::StatusCode;
use andon_model::column::{Quality, Values};
use std::ops::Range;

/// The most points a stretch keeps.
pub(crate) const KEPT_PER_STRETCH: usize = 5;

/// Collects points of one tag, ascending in time, and gives back at most the wanted number of them.
pub(crate) struct Thinner {
    from: i64,
    /// Microseconds from the first to the end, at least 1.
    span: i128,
    stretches: Vec<Stretch>,
    limit: usize,
}

#[derive(Clone, Default)]
struct Stretch {
    first: Option<Point>,
    smallest: Option<(f64, Point)>,
    largest: Option<(f64, Point)>,
    last: Option<Point>,
    bad: Option<Point>,
}

impl Thinner {
    /// For points with `from <= ts < to`, keeping at most `limit` (at least [`KEPT_PER_STRETCH`]) of them.
    pub(crate) fn new(from: i64, to: i64, limit: usize) -> Self {
        let limit = limit.max(KEPT_PER_STRETCH);
        Self::with_stretches(from, to, limit, limit)
    }

    fn with_stretches(from: i64, to: i64, stretches: usize, limit: usize) -> Self {
        let span = (i128::from(to) - i128::from(from)).max(1);
        Self { from, span, stretches: vec![Stretch::default(); stretches.max(1)], limit }
    }

    /// Takes the next points.
    pub(crate) fn take(&mut self, block: &Block) {
        let mut at = 0;
        while let Some(ts) = block.ts.get(at) {
            let (stretch, end) = self.stretch_of(*ts);
            let rest = block.ts.get(at..).unwrap_or_default();
            let stop = at + rest.partition_point(|ts| i128::from(*ts) < end).max(1);
            if let Some(stretch) = self.stretches.get_mut(stretch) {
                stretch.add(block, at..stop);
            }
            at = stop;
        }
    }

    /// In which stretch a time lies, and where that ends.
    fn stretch_of(&self, ts: i64) -> (usize, i128) {
        let offset = i128::from(ts) - i128::from(self.from);
        let count = self.stretches.len() as i128;
        let at = (offset.saturating_mul(count) / self.span).clamp(0, count - 1);
        // The last stretch takes whatever lies behind the end, too.
        let end = if at == count - 1 {
            i128::MAX
        } else {
            i128::from(self.from) + ((at + 1) * self.span + count - 1) / count
        };
        (usize::try_from(at).unwrap_or(0), end)
    }

    /// The points kept, ascending, each once.
    pub(crate) fn finish(mut self) -> Vec<Point> {
        while self.stretches.len() > 1 && self.stretches.iter().map(Stretch::kept_count).sum::<usize>() > self.limit {
            self.halve();
        }
        self.stretches.into_iter().flat_map(Stretch::kept).collect()
    }

    /// Merges neighbours.
    fn halve(&mut self) {
        let mut merged = Vec::with_capacity(self.stretches.len().div_ceil(2));
        let mut rest = std::mem::take(&mut self.stretches).into_iter();
        while let Some(mut left) = rest.next() {
            if let Some(right) = rest.next() {
                left.merge(right);
            }
            merged.push(left);
        }
        self.stretches = merged;
    }
}

impl Stretch {
    fn add(&mut self, block: &Block, rows: Range<usize>) {
        let Some(last) = rows.end.checked_sub(1) else { return };
        if self.first.is_none() {
            self.first = block.point(rows.start);
        }
        self.last = block.point(last);
        match (&block.values, &block.quality) {
            (Values::Double(values), Quality::Same(code)) if !StatusCode(*code).is_bad() => {
                self.add_numbers(block, values.get(rows.clone()).unwrap_or_default(), rows.start);
            }
            _ => self.add_one_by_one(block, rows),
        }
    }

    /// Numbers that are all usable, from row `start` on.
    fn add_numbers(&mut self, block: &Block, values: &[f64], start: usize) {
        let (mut least, mut most) = ((f64::INFINITY, 0), (f64::NEG_INFINITY, 0));
        for (at, number) in values.iter().enumerate() {
            if *number < least.0 {
                least = (*number, at);
            }
            if *number > most.0 {
                most = (*number, at);
            }
        }
        if least.0.is_finite() && self.smallest.as_ref().is_none_or(|(known, _)| least.0 < *known) {
            self.smallest = block.point(start + least.1).map(|point| (least.0, point));
        }
        if most.0.is_finite() && self.largest.as_ref().is_none_or(|(known, _)| most.0 > *known) {
            self.largest = block.point(start + most.1).map(|point| (most.0, point));
        }
    }

    fn add_one_by_one(&mut self, block: &Block, rows: Range<usize>) {
        for at in rows {
            if StatusCode(block.status(at)).is_bad() {
                if self.bad.is_none() {
                    self.bad = block.point(at);
                }
            } else if let Some(number) = block.number(at).filter(|number| number.is_finite()) {
                if self.smallest.as_ref().is_none_or(|(least, _)| number < *least) {
                    self.smallest = block.point(at).map(|point| (number, point));
                }
                if self.largest.as_ref().is_none_or(|(most, _)| number > *most) {
                    self.largest = block.point(at).map(|point| (number, point));
                }
            }
        }
    }

    /// `later` lies after `self` in time, so of equal extremes ours is the first.
    fn merge(&mut self, later: Self) {
        if self.first.is_none() {
            self.first = later.first;
        }
        if let Some(theirs) = later.smallest
            && self.smallest.as_ref().is_none_or(|ours| theirs.0 < ours.0)
        {
            self.smallest = Some(theirs);
        }
        if let Some(theirs) = later.largest
            && self.largest.as_ref().is_none_or(|ours| theirs.0 > ours.0)
        {
            self.largest = Some(theirs);
        }
        if later.last.is_some() {
            self.last = later.last;
        }
        if self.bad.is_none() {
            self.bad = later.bad;
        }
    }

    fn times(&self) -> [Option<i64>; KEPT_PER_STRETCH] {
        let ts = |point: &Point| point.ts.micros();
        [
            self.first.as_ref().map(ts),
            self.smallest.as_ref().map(|(_, point)| ts(point)),
            self.largest.as_ref().map(|(_, point)| ts(point)),
            self.bad.as_ref().map(ts),
            self.last.as_ref().map(ts),
        ]
    }

    fn kept_count(&self) -> usize {
        let times = self.times();
        times
            .iter()
            .enumerate()
            .filter(|(at, ts)| ts.is_some() && !times.iter().take(*at).any(|other| other == *ts))
            .count()
    }

    fn kept(self) -> Vec<Point> {
        let number = |pair: Option<(f64, Point)>| pair.map(|(_, point)| point);
        let all = [self.first, number(self.smallest), number(self.largest), self.bad, self.last];
        let mut points: Vec<Point> = all.into_iter().flatten().collect();
        points.sort_by_key(|point| point.ts);
        points.dedup_by_key(|point| point.ts);
        points
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{Timestamp, Value};
    use proptest::prelude::*;

    /// M4 sets made outside of this project with NumPy over equal buckets, first minimum and first maximum of each
    /// (see the file's `origin`).
    const REFERENCE: &str = include_str!("../testdata/m4.json");

    impl Thinner {
        fn push(&mut self, point: &Point) {
            let mut builder = crate::block::BlockBuilder::default();
            builder.push(point.ts.micros(), point.value.clone(), point.quality.0, 0);
            self.take(&builder.finish());
        }
    }

    fn blocks(points: &[Point], size: usize) -> Vec<Block> {
        let block = |points: &[Point]| {
            let mut builder = crate::block::BlockBuilder::default();
            points.iter().for_each(|p| builder.push(p.ts.micros(), p.value.clone(), p.quality.0, 0));
            builder.finish()
        };
        points.chunks(size).map(block).collect()
    }

    fn point(ts: i64, value: f64, quality: StatusCode) -> Point {
        Point { ts: Timestamp::from_micros(ts), value: Value::Double(value), quality }
    }

    #[test]
    fn keeps_the_same_points_as_the_m4_reference() {
        let reference: serde_json::Value = serde_json::from_str(REFERENCE).unwrap();
        let mut checked = 0;
        for case in reference["cases"].as_array().unwrap() {
            let values: Vec<f64> = case["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
            let expected: Vec<i64> = case["indices"].as_array().unwrap().iter().map(|v| v.as_i64().unwrap()).collect();
            let buckets = usize::try_from(case["buckets"].as_u64().unwrap()).unwrap();
            let mut thinner = Thinner::with_stretches(0, values.len() as i64, buckets, usize::MAX);
            for (at, value) in values.iter().enumerate() {
                thinner.push(&point(at as i64, *value, StatusCode::GOOD));
            }
            let kept: Vec<i64> = thinner.finish().iter().map(|p| p.ts.micros()).collect();
            assert_eq!(kept, expected, "{} in {buckets} buckets", case["id"]);
            checked += 1;
        }
        assert_eq!(checked, 4);
    }

    #[test]
    fn a_single_bad_point_is_never_thinned_away() {
        let mut thinner = Thinner::new(0, 10_000, 50);
        for at in 0..10_000 {
            let quality = if at == 5_003 { StatusCode::BAD_NO_COMMUNICATION } else { StatusCode::GOOD };
            thinner.push(&point(at, f64::from(u32::try_from(at % 97).unwrap()), quality));
        }
        let kept = thinner.finish();
        assert!(kept.len() <= 50);
        assert!(kept.iter().any(|p| p.ts.micros() == 5_003 && p.quality.is_bad()));
    }

    #[test]
    fn texts_and_nulls_keep_their_ends() {
        let mut thinner = Thinner::new(0, 1000, 10);
        for at in 0..1000 {
            let value = if at % 2 == 0 { Value::String("a".into()) } else { Value::Null };
            thinner.push(&Point { ts: Timestamp::from_micros(at), value, quality: StatusCode::GOOD });
        }
        let kept = thinner.finish();
        assert!(kept.len() <= 10 && kept.len() >= 2);
        assert_eq!((kept[0].ts.micros(), kept[kept.len() - 1].ts.micros()), (0, 999));
    }

    proptest! {
        #[test]
        fn never_more_than_wanted_and_never_without_the_extremes(
            values in proptest::collection::vec((-1e9..1e9f64, 0..50u8), 1..2000),
            limit in 0..300usize,
            size in 1..500usize,
            whole in any::<bool>(),
        ) {
            let (from, to) = if whole { (i64::MIN, i64::MAX) } else { (0, values.len() as i64) };
            let mut thinner = Thinner::new(from, to, limit);
            let points: Vec<Point> = values.iter().enumerate()
                .map(|(at, (v, q))| point(at as i64, *v, if *q == 0 { StatusCode::BAD } else { StatusCode::GOOD })).collect();
            blocks(&points, size).iter().for_each(|block| thinner.take(block));
            let kept = thinner.finish();
            let mut one_by_one = Thinner::new(from, to, limit);
            points.iter().for_each(|p| one_by_one.push(p));
            prop_assert_eq!(&kept, &one_by_one.finish());
            prop_assert!(kept.len() <= limit.max(KEPT_PER_STRETCH));
            prop_assert!(kept.windows(2).all(|pair| pair[0].ts < pair[1].ts));
            prop_assert!(kept.iter().all(|p| points.contains(p)), "only points that exist");
            let extreme = |set: &[Point], pick: fn(f64, f64) -> f64| set.iter()
                .filter(|p| !p.quality.is_bad()).filter_map(|p| p.value.as_f64()).reduce(pick);
            prop_assert_eq!(extreme(&kept, f64::max), extreme(&points, f64::max));
            prop_assert_eq!(extreme(&kept, f64::min), extreme(&points, f64::min));
            prop_assert_eq!(kept.first(), points.first());
            prop_assert_eq!(kept.last(), points.last());
            prop_assert_eq!(kept.iter().any(|p| p.quality.is_bad()), points.iter().any(|p| p.quality.is_bad()));
        }
    }
}
