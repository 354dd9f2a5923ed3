//! Fewer points for a chart, without lying about it.
//!
//! Time is cut into equal stretches (a few per pixel). Of each stretch the first, the smallest, the largest and the
//! last point are kept (the "M4" set, Jugel et al., VLDB 2014: a line drawn from them covers the same pixels), and
//! one bad point if there is any. Stretches can be merged pairwise without another look at the data, so the finest
//! cut that fits the wanted number is found after a single pass, in memory that depends only on that number.

use crate::row::Point;

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

    /// Takes the next point.
    pub(crate) fn push(&mut self, point: &Point) {
        let offset = i128::from(point.ts.micros()) - i128::from(self.from);
        let count = self.stretches.len() as i128;
        let at = usize::try_from((offset.saturating_mul(count) / self.span).clamp(0, count - 1)).unwrap_or(0);
        if let Some(stretch) = self.stretches.get_mut(at) {
            stretch.add(point);
        }
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
    fn add(&mut self, point: &Point) {
        if self.first.is_none() {
            self.first = Some(point.clone());
        }
        if point.quality.is_bad() {
            self.bad.get_or_insert_with(|| point.clone());
        } else if let Some(number) = point.value.as_f64().filter(|number| number.is_finite()) {
            if self.smallest.as_ref().is_none_or(|(least, _)| number < *least) {
                self.smallest = Some((number, point.clone()));
            }
            if self.largest.as_ref().is_none_or(|(most, _)| number > *most) {
                self.largest = Some((number, point.clone()));
            }
        }
        self.last = Some(point.clone());
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
    use andon_model::{StatusCode, Timestamp, Value};
    use proptest::prelude::*;

    /// M4 sets made outside of this project with NumPy over equal buckets, first minimum and first maximum of each
    /// (see the file's `origin`).
    const REFERENCE: &str = include_str!("../testdata/m4.json");

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
            whole in any::<bool>(),
        ) {
            let (from, to) = if whole { (i64::MIN, i64::MAX) } else { (0, values.len() as i64) };
            let mut thinner = Thinner::new(from, to, limit);
            let points: Vec<Point> = values.iter().enumerate()
                .map(|(at, (v, q))| point(at as i64, *v, if *q == 0 { StatusCode::BAD } else { StatusCode::GOOD })).collect();
            points.iter().for_each(|p| thinner.push(p));
            let kept = thinner.finish();
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
