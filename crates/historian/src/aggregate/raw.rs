//! Aggregates over the points of an interval, each counting the same: Average, Minimum, Count, Start, Delta, deviations.

use super::grid::{Frame, span};
use super::rollup::Rollup;
use super::status::{Class, InfoBits, Point, Shares, Standing, good_unless, no_data, number, whole};
use super::sums::{Moments, Sum, changes, count_f64, largest, smallest, sum};
use super::{Aggregate, AggregateConfiguration, AggregateValue};
use andon_model::{StatusCode, Timestamp};

/// A smallest or largest value, the earliest of equals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Extreme {
    pub value: f64,
    pub ts: i64,
    /// Whether it was met again.
    pub again: bool,
}

/// Keeps the better of two extremes; the earlier of equals, which then has been met again.
pub(super) fn keep_extreme(best: &mut Option<Extreme>, new: Extreme, largest: bool) {
    match best {
        Some(old) if old.value == new.value => old.again = true,
        Some(old) if (old.value < new.value) != largest => {}
        _ => *best = Some(new),
    }
}

/// The extreme of a block of good points.
pub(super) fn extreme_of(times: &[i64], values: &[f64], wants_largest: bool) -> Option<Extreme> {
    let best = if wants_largest { largest(values) } else { smallest(values) };
    let mut places = values.iter().zip(times).filter(|(value, _)| **value == best);
    let (value, ts) = places.next()?;
    Some(Extreme { value: *value, ts: *ts, again: places.next().is_some() })
}

/// As [`keep_extreme`] over a block, without looking for the place unless the block has something to say.
pub(super) fn keep_extreme_of(best: &mut Option<Extreme>, times: &[i64], values: &[f64], wants_largest: bool) {
    if let Some(old) = best {
        let new = if wants_largest { largest(values) } else { smallest(values) };
        if new == old.value {
            old.again = true;
            return;
        }
        if (old.value < new) != wants_largest {
            return;
        }
    }
    if let Some(new) = extreme_of(times, values, wants_largest) {
        keep_extreme(best, new, wants_largest);
    }
}

/// The worst status met, the first of equals.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Worst {
    pub class: Class,
    pub status: StatusCode,
    pub again: bool,
}

pub(super) fn keep_worst(worst: &mut Option<Worst>, new: Worst) {
    match worst {
        Some(old) if old.class == new.class => old.again = true,
        Some(old) if old.class > new.class => {}
        _ => *worst = Some(new),
    }
}

pub(super) fn worst_value(start: i64, worst: Option<Worst>, bits: InfoBits) -> AggregateValue {
    let Some(worst) = worst else { return no_data(start, bits) };
    // Several good values are nothing to report.
    let bits = bits.with(InfoBits::CALCULATED);
    let bits = bits.with_if(worst.again && worst.class != Class::Good, InfoBits::MULTIPLE_VALUES);
    whole(start, u64::from(worst.status.0), StatusCode::GOOD, bits)
}

/// What one interval has shown so far.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    shares: Shares,
    sum: Sum,
    moments: Moments,
    smallest: Option<Extreme>,
    largest: Option<Extreme>,
    /// Smallest and largest uncertain value.
    uncertain: Option<(f64, f64)>,
    first: Option<Point>,
    last: Option<Point>,
    first_good: Option<f64>,
    last_good: Option<f64>,
    worst: Option<Worst>,
    transitions: u64,
    /// Of how much of the interval readings were lost, µs.
    lost: u64,
}

/// The kernel; see the module.
pub(super) struct RawKernel {
    aggregate: Aggregate,
    config: AggregateConfiguration,
    /// The last usable value, over the borders of intervals.
    held: Option<f64>,
    seen: Seen,
}

impl RawKernel {
    pub(super) fn new(aggregate: Aggregate, config: AggregateConfiguration) -> Self {
        Self { aggregate, config, held: None, seen: Seen::default() }
    }

    fn usable(&self, point: &Point) -> bool {
        point.class.usable(self.config.treat_uncertain_as_bad)
    }

    /// A point before the range.
    pub(super) fn before(&mut self, point: &Point) {
        if self.usable(point) {
            self.held = Some(point.value);
        }
    }

    /// Of so much of the current interval, µs, nothing was recorded, or what was cannot be read.
    pub(super) fn lose(&mut self, time: u64) {
        self.seen.lost = self.seen.lost.saturating_add(time);
        let nothing = Worst { class: Class::Bad, status: StatusCode::BAD_NO_DATA, again: false };
        keep_worst(&mut self.seen.worst, nothing);
    }

    /// A point of the current interval.
    pub(super) fn point(&mut self, point: &Point) {
        let usable = self.usable(point);
        let seen = &mut self.seen;
        seen.shares.add(point.class, 1);
        seen.first.get_or_insert(*point);
        seen.last = Some(*point);
        keep_worst(&mut seen.worst, Worst { class: point.class, status: point.status, again: false });
        if usable {
            seen.transitions += u64::from(self.held != Some(point.value));
            self.held = Some(point.value);
        }
        match point.class {
            Class::Good => {
                let here = Extreme { value: point.value, ts: point.ts, again: false };
                seen.sum.add(point.value);
                seen.moments.add(point.value);
                keep_extreme(&mut seen.smallest, here, false);
                keep_extreme(&mut seen.largest, here, true);
                seen.first_good.get_or_insert(point.value);
                seen.last_good = Some(point.value);
            }
            Class::Uncertain => {
                let (low, high) = seen.uncertain.unwrap_or((point.value, point.value));
                seen.uncertain = Some((low.min(point.value), high.max(point.value)));
            }
            Class::Bad => {}
        }
    }

    /// Good points of the current interval. Only what the aggregate wants is looked at.
    pub(super) fn good(&mut self, times: &[i64], values: &[f64], status: &[u32]) {
        let (Some(first), Some(last)) = (times.first(), times.last()) else { return };
        let (Some(first_value), Some(last_value)) = (values.first(), values.last()) else { return };
        let seen = &mut self.seen;
        seen.shares.add(Class::Good, times.len() as u64);
        match self.aggregate {
            Aggregate::Average => seen.sum.add(sum(values)),
            Aggregate::StandardDeviationSample
            | Aggregate::VarianceSample
            | Aggregate::StandardDeviationPopulation
            | Aggregate::VariancePopulation => seen.moments.add_all(values),
            Aggregate::Minimum | Aggregate::MinimumActualTime => {
                keep_extreme_of(&mut seen.smallest, times, values, false);
            }
            Aggregate::Maximum | Aggregate::MaximumActualTime => {
                keep_extreme_of(&mut seen.largest, times, values, true);
            }
            Aggregate::Range => {
                keep_extreme_of(&mut seen.smallest, times, values, false);
                keep_extreme_of(&mut seen.largest, times, values, true);
            }
            Aggregate::NumberOfTransitions => {
                seen.transitions += u64::from(self.held != Some(*first_value)) + changes(values);
            }
            Aggregate::Start | Aggregate::End | Aggregate::WorstQuality => {
                let point = |ts, value, status: Option<&u32>| Point::new(ts, value, status.copied().unwrap_or(0));
                let first = point(*first, *first_value, status.first());
                seen.first.get_or_insert(first);
                seen.last = Some(point(*last, *last_value, status.last()));
                let again = times.len() > 1;
                keep_worst(&mut seen.worst, Worst { class: Class::Good, status: first.status, again });
            }
            Aggregate::Delta => {
                let first = Point::new(*first, *first_value, 0);
                seen.first.get_or_insert(first);
                seen.last = Some(Point::new(*last, *last_value, 0));
                seen.first_good.get_or_insert(*first_value);
                seen.last_good = Some(*last_value);
            }
            _ => {}
        }
        self.held = Some(*last_value);
    }

    /// The points of a roll-up, all in the current interval.
    pub(super) fn rollup(&mut self, rollup: &Rollup) {
        let (held, seen) = (self.held, &mut self.seen);
        let shares = rollup.shares;
        seen.shares.add(Class::Good, shares.good);
        seen.shares.add(Class::Uncertain, shares.uncertain);
        seen.shares.add(Class::Bad, shares.bad);
        seen.sum.merge(&rollup.sum);
        if matches!(self.aggregate, Aggregate::Average | Aggregate::Count) {
            self.held = rollup.last_good.map_or(held, |last| Some(last.value));
            return;
        }
        seen.moments.merge(&rollup.moments);
        for (best, theirs, largest) in
            [(&mut seen.smallest, rollup.smallest, false), (&mut seen.largest, rollup.largest, true)]
        {
            if let Some(theirs) = theirs {
                keep_extreme(best, theirs, largest);
            }
        }
        if let Some((low, high)) = rollup.uncertain {
            let ours = seen.uncertain.unwrap_or((low, high));
            seen.uncertain = Some((ours.0.min(low), ours.1.max(high)));
        }
        if seen.first.is_none() {
            seen.first = rollup.first;
        }
        seen.last = rollup.last.or(seen.last);
        if let (Some(first), Some(last)) = (rollup.first_good, rollup.last_good) {
            seen.first_good.get_or_insert(first.value);
            seen.last_good = Some(last.value);
            seen.transitions += u64::from(held != Some(first.value)) + rollup.transitions;
            self.held = Some(last.value);
        }
        if let Some(worst) = rollup.worst {
            keep_worst(&mut seen.worst, worst);
        }
    }

    /// The result of the interval; the next one begins.
    pub(super) fn close(&mut self, frame: &Frame, standing: Standing) -> AggregateValue {
        let seen = std::mem::take(&mut self.seen);
        let Standing::Within { partial } = standing else { return no_data(frame.start, InfoBits::RAW) };
        let bits = InfoBits::RAW.with_if(partial, InfoBits::PARTIAL);
        let calculated = bits.with(InfoBits::CALCULATED);
        let start = frame.start;
        match self.aggregate {
            Aggregate::Average if seen.shares.good == 0 => no_data(start, InfoBits::RAW),
            // The only one that never has the partial bit, besides Interpolative.
            Aggregate::Average => {
                let mean = seen.sum.value() / count_f64(seen.shares.good);
                number(start, mean, seen.status(frame, &self.config), InfoBits::CALCULATED)
            }
            Aggregate::Count => counted(start, seen.shares.good, seen.status(frame, &self.config), bits),
            Aggregate::NumberOfTransitions => counted(start, seen.transitions, seen.status(frame, &self.config), bits),
            // The processor knows how many.
            Aggregate::AnnotationCount => whole(start, 0, StatusCode::GOOD, calculated),
            Aggregate::Start => raw_value(start, seen.first, seen.lost > 0, bits),
            Aggregate::End => raw_value(start, seen.last, seen.lost > 0, bits),
            Aggregate::WorstQuality => worst_value(start, seen.worst, bits),
            Aggregate::Delta => seen.delta(start, bits),
            Aggregate::StandardDeviationSample
            | Aggregate::VarianceSample
            | Aggregate::StandardDeviationPopulation
            | Aggregate::VariancePopulation => seen.deviation(self.aggregate, start, bits),
            _ => seen.extreme(self.aggregate, start, self.config.treat_uncertain_as_bad, bits),
        }
    }
}

impl Seen {
    /// The worse of the status by values, and of the one by time, of which only what was lost is bad.
    fn status(&self, frame: &Frame, config: &AggregateConfiguration) -> StatusCode {
        let known = span(frame.start, frame.end).saturating_sub(self.lost);
        let by_time = Shares { good: known, uncertain: 0, bad: self.lost }.by_time(config);
        let by_values = self.shares.by_values(config);
        if by_time.0 > by_values.0 { by_time } else { by_values }
    }

    /// Whether a value that is not good was passed over before the first or after the last good one.
    fn delta(&self, start: i64, bits: InfoBits) -> AggregateValue {
        let (Some(first), Some(last)) = (self.first_good, self.last_good) else {
            return no_data(start, bits);
        };
        let is_good = |point: Option<Point>| point.is_some_and(|point| point.class == Class::Good);
        number(
            start,
            last - first,
            good_unless(!is_good(self.first) || !is_good(self.last) || self.lost > 0),
            bits.with(InfoBits::CALCULATED),
        )
    }

    fn deviation(&self, aggregate: Aggregate, start: i64, bits: InfoBits) -> AggregateValue {
        let count = self.moments.count;
        if count == 0 {
            return no_data(start, bits);
        }
        let sample = matches!(aggregate, Aggregate::StandardDeviationSample | Aggregate::VarianceSample);
        let degrees = if sample { count.saturating_sub(1) } else { count };
        let variance = if degrees == 0 { 0.0 } else { self.moments.squares / count_f64(degrees) };
        let is_variance = matches!(aggregate, Aggregate::VarianceSample | Aggregate::VariancePopulation);
        let value = if is_variance { variance } else { variance.sqrt() };
        let ignored = self.shares.uncertain > 0 || self.shares.bad > 0 || self.lost > 0;
        number(start, value, good_unless(ignored), bits.with(InfoBits::CALCULATED))
    }

    /// Minimum, Maximum, their actual times, and Range.
    fn extreme(&self, aggregate: Aggregate, start: i64, uncertain_is_bad: bool, bits: InfoBits) -> AggregateValue {
        let (Some(low), Some(high)) = (self.smallest.or(self.largest), self.largest.or(self.smallest)) else {
            return no_data(start, bits);
        };
        let bad = self.shares.bad > 0 || (uncertain_is_bad && self.shares.uncertain > 0) || self.lost > 0;
        let below = self.uncertain.is_some_and(|(least, _)| least < low.value);
        let above = self.uncertain.is_some_and(|(_, most)| most > high.value);
        let (best, doubtful) = match aggregate {
            Aggregate::Range => {
                let status = good_unless(bad || below || above);
                return number(start, high.value - low.value, status, bits.with(InfoBits::CALCULATED));
            }
            Aggregate::Minimum | Aggregate::MinimumActualTime => (low, bad || below),
            _ => (high, bad || above),
        };
        let actual_time = matches!(aggregate, Aggregate::MinimumActualTime | Aggregate::MaximumActualTime);
        let calculated = !actual_time && (best.ts != start || doubtful);
        let bits = bits.with_if(calculated, InfoBits::CALCULATED).with_if(best.again, InfoBits::MULTIPLE_VALUES);
        number(if actual_time { best.ts } else { start }, best.value, good_unless(doubtful), bits)
    }
}

/// A count; a bad one is not shown.
fn counted(start: i64, count: u64, status: StatusCode, bits: InfoBits) -> AggregateValue {
    whole(start, count, status, bits.with_if(!status.is_bad(), InfoBits::CALCULATED))
}

/// A raw point as it is; the value of a bad one is not shown. A good one is in doubt where others of its interval are missing.
fn raw_value(start: i64, point: Option<Point>, doubtful: bool, bits: InfoBits) -> AggregateValue {
    let Some(point) = point else { return no_data(start, bits) };
    let doubtful = doubtful && point.status.is_good();
    let mut result = number(point.ts, point.value, if doubtful { good_unless(true) } else { point.status }, bits);
    result.ts = Timestamp::from_micros(point.ts);
    result
}
