//! A stretch of points summed up once and for all, so that a year of minutes can be answered without the points.
//!
//! A roll-up holds what lies between its first and its last point, and nothing about the time before and after: so the border
//! between two roll-ups is joined when they are merged, from the last point of one to the first of the other, exactly as if
//! all points had come in one piece. Areas are kept both as steps and as lines, so the same roll-up serves either.
//!
//! **What can be answered from it**: every aggregate. Which is what [`Processor::push_rollup`] does: it takes roll-ups and
//! points in any order of pieces, and joins the borders between them the same way. **What cannot**: intervals that cut a
//! roll-up in two, and `treat_uncertain_as_bad = false` when there are uncertain points in it, because their values are not
//! kept apart. Both are refused, and the points are needed.
//!
//! [`Processor::push_rollup`]: super::Processor::push_rollup

use super::RawPoint;
use super::grid::span;
use super::raw::{Extreme, Worst, keep_extreme, keep_extreme_of, keep_worst};
use super::status::{Class, Point, Shares};
use super::sums::{
    Moments, Sum, ascending_within, changes, count_f64, for_each_stretch, ramp_area, step_area, sum, zero_time,
};
use super::{PushError, processor};
use andon_model::column::StretchSum;

/// Mergeable sums over a stretch of points. `merge(rollup(a), rollup(b))` is `rollup(a ++ b)`.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub struct Rollup {
    pub(super) shares: Shares,
    /// Of good values, as the four below.
    pub(super) sum: Sum,
    pub(super) moments: Moments,
    pub(super) smallest: Option<Extreme>,
    pub(super) largest: Option<Extreme>,
    /// Changes from one good value to the next.
    pub(super) transitions: u64,
    /// Smallest and largest uncertain value.
    pub(super) uncertain: Option<(f64, f64)>,
    pub(super) first: Option<Point>,
    pub(super) last: Option<Point>,
    pub(super) first_good: Option<Point>,
    pub(super) last_good: Option<Point>,
    pub(super) good_before_last: Option<Point>,
    /// The first point after `last_good`.
    pub(super) other_after_good: Option<i64>,
    pub(super) worst: Option<Worst>,
    /// Time from a good point to a good neighbour, from a good one to another, and from another to any, µs.
    pub(super) good_to_good: u64,
    pub(super) good_to_other: u64,
    pub(super) from_other: u64,
    /// Time for which a good 0 holds, µs.
    pub(super) zero_time: u64,
    /// Area under lines from a good point to a good neighbour, value × µs.
    pub(super) ramp: Sum,
    /// Area under good values that hold until the next point.
    pub(super) flat: Sum,
    /// The part of `flat` where the next point is not good.
    pub(super) flat_to_other: Sum,
    /// Area under lines from a good point to the next good one across others.
    pub(super) bridges: Sum,
    /// Whether there are such lines.
    pub(super) bridged: bool,
}

impl Rollup {
    /// Sums up more points, which ascend in time and come after those already in it. NaN stands for no value.
    ///
    /// # Errors
    /// [`PushError`] when the columns differ in length or the points are not in order; nothing is added then.
    pub fn push_columns(&mut self, ts: &[i64], values: &[f64], status: &[u32]) -> Result<(), PushError> {
        processor::check_lengths(ts, values, status)?;
        let (Some(first), Some(end), after) = (ts.first(), ts.last(), self.last.map(|last| last.ts)) else {
            return Ok(());
        };
        if after.is_some_and(|after| *first <= after) || !ascending_within(ts, *first, *end) {
            return Err(processor::out_of_order(ts, after));
        }
        for_each_stretch(ts, values, status, |good, ts, values, status| {
            if good {
                self.good(ts, values, status);
            } else {
                for ((ts, value), status) in ts.iter().zip(values).zip(status) {
                    self.point(&Point::new(*ts, *value, *status));
                }
            }
        });
        Ok(())
    }

    /// The roll-up of both stretches; `later` begins after `self` ends.
    ///
    /// # Errors
    /// [`PushError::OutOfOrder`] when it does not.
    pub fn merge(&self, later: &Self) -> Result<Self, PushError> {
        let mut both = *self;
        let (Some(last), Some(first)) = (self.last, later.first) else {
            return Ok(if self.last.is_none() { *later } else { both });
        };
        if first.ts <= last.ts {
            return Err(PushError::OutOfOrder { ts: first.raw().ts, after: last.raw().ts });
        }
        both.join(&first);
        both.append(later);
        Ok(both)
    }

    /// How many points are in it: good, uncertain, bad.
    #[must_use]
    pub fn counts(&self) -> (u64, u64, u64) {
        (self.shares.good, self.shares.uncertain, self.shares.bad)
    }

    /// What SQL and other plain sums want of it; `None` where uncertain numbers are in it, whose sum is not kept. No sum
    /// where there is no point.
    pub(crate) fn plain_sum(&self) -> Option<Option<StretchSum>> {
        if self.shares.uncertain > 0 {
            return None;
        }
        let Some(first) = self.first else { return Some(None) };
        let extremes = self.smallest.zip(self.largest).map(|(smallest, largest)| (smallest.value, largest.value));
        Some(Some(StretchSum {
            first: first.ts,
            rows: self.shares.good.saturating_add(self.shares.bad),
            numbers: self.shares.good,
            sum: self.sum.value(),
            extremes,
        }))
    }

    /// The first and the last point in it, whatever their quality.
    #[must_use]
    pub fn ends(&self) -> Option<(RawPoint, RawPoint)> {
        Some((self.first?.raw(), self.last?.raw()))
    }

    /// A single point.
    fn of(point: &Point) -> Self {
        let mut one = Self { first: Some(*point), last: Some(*point), ..Self::default() };
        one.shares.add(point.class, 1);
        one.worst = Some(Worst { class: point.class, status: point.status, again: false });
        match point.class {
            Class::Good => {
                let here = Some(Extreme { value: point.value, ts: point.ts, again: false });
                one.sum.add(point.value);
                one.moments.add(point.value);
                (one.smallest, one.largest) = (here, here);
                (one.first_good, one.last_good) = (Some(*point), Some(*point));
            }
            Class::Uncertain => one.uncertain = Some((point.value, point.value)),
            Class::Bad => {}
        }
        one
    }

    fn point(&mut self, point: &Point) {
        if self.last.is_none() {
            *self = Self::of(point);
        } else {
            self.join(point);
            self.append(&Self::of(point));
        }
    }

    fn good(&mut self, ts: &[i64], values: &[f64], status: &[u32]) {
        let (Some((first, ts_after)), Some((first_value, values_after))) = (ts.split_first(), values.split_first())
        else {
            return;
        };
        let status_at = |status: Option<&u32>| status.copied().unwrap_or(0);
        self.point(&Point::new(*first, *first_value, status_at(status.first())));
        let (Some([but_one, last]), Some([value_but_one, value])) = (ts.last_chunk(), values.last_chunk()) else {
            return;
        };
        let last = Point::new(*last, *value, status_at(status.last()));
        self.shares.add(Class::Good, ts_after.len() as u64);
        self.sum.add(sum(values_after));
        self.moments.add_all(values_after);
        keep_extreme_of(&mut self.smallest, ts_after, values_after, false);
        keep_extreme_of(&mut self.largest, ts_after, values_after, true);
        self.transitions = self.transitions.saturating_add(changes(values));
        self.good_to_good = self.good_to_good.saturating_add(span(*first, last.ts));
        self.zero_time = self.zero_time.saturating_add(zero_time(ts, values));
        self.ramp.add(ramp_area(ts, values));
        self.flat.add(step_area(ts, values));
        keep_worst(&mut self.worst, Worst { class: Class::Good, status: last.status, again: true });
        let but_one = Point::new(*but_one, *value_but_one, status_at(status.iter().rev().nth(1)));
        (self.last, self.last_good, self.good_before_last) = (Some(last), Some(last), Some(but_one));
    }

    /// What lies between our last point and `next`, which is `later`'s first.
    fn join(&mut self, next: &Point) {
        let Some(last) = self.last else { return };
        let time = span(last.ts, next.ts);
        if last.class != Class::Good {
            self.from_other = self.from_other.saturating_add(time);
            return;
        }
        let flat = last.value * count_f64(time);
        self.flat.add(flat);
        if last.value == 0.0 {
            self.zero_time = self.zero_time.saturating_add(time);
        }
        if next.class == Class::Good {
            self.good_to_good = self.good_to_good.saturating_add(time);
            self.ramp.add((last.value * 0.5 + next.value * 0.5) * count_f64(time));
        } else {
            self.good_to_other = self.good_to_other.saturating_add(time);
            self.flat_to_other.add(flat);
        }
    }

    /// Adds what lies within `later`, after [`Self::join`].
    fn append(&mut self, later: &Self) {
        if let (Some(ours), Some(theirs)) = (self.last_good, later.first_good) {
            self.transitions += u64::from(ours.value != theirs.value);
            let neighbours = self.last.is_some_and(|last| last.class == Class::Good)
                && later.first.is_some_and(|first| first.class == Class::Good);
            if !neighbours {
                self.bridges.add((ours.value * 0.5 + theirs.value * 0.5) * count_f64(span(ours.ts, theirs.ts)));
                self.bridged = true;
            }
        }
        self.shares.good = self.shares.good.saturating_add(later.shares.good);
        self.shares.uncertain = self.shares.uncertain.saturating_add(later.shares.uncertain);
        self.shares.bad = self.shares.bad.saturating_add(later.shares.bad);
        self.moments.merge(&later.moments);
        for (ours, theirs) in [
            (&mut self.sum, &later.sum),
            (&mut self.ramp, &later.ramp),
            (&mut self.flat, &later.flat),
            (&mut self.flat_to_other, &later.flat_to_other),
            (&mut self.bridges, &later.bridges),
        ] {
            ours.merge(theirs);
        }
        for (ours, theirs) in [
            (&mut self.good_to_good, later.good_to_good),
            (&mut self.good_to_other, later.good_to_other),
            (&mut self.from_other, later.from_other),
            (&mut self.zero_time, later.zero_time),
            (&mut self.transitions, later.transitions),
        ] {
            *ours = ours.saturating_add(theirs);
        }
        if let (Some(smallest), Some(largest)) = (later.smallest, later.largest) {
            keep_extreme(&mut self.smallest, smallest, false);
            keep_extreme(&mut self.largest, largest, true);
        }
        if let Some((low, high)) = later.uncertain {
            let ours = self.uncertain.unwrap_or((low, high));
            self.uncertain = Some((ours.0.min(low), ours.1.max(high)));
        }
        if let Some(worst) = later.worst {
            keep_worst(&mut self.worst, worst);
        }
        self.bridged |= later.bridged;
        if later.last_good.is_some() {
            self.good_before_last = later.good_before_last.or(self.last_good);
            self.last_good = later.last_good;
            self.other_after_good = later.other_after_good;
        } else if self.other_after_good.is_none() && self.last_good.is_some() {
            self.other_after_good = later.first.map(|first| first.ts);
        }
        self.first_good = self.first_good.or(later.first_good);
        self.last = later.last.or(self.last);
    }
}
