//! Aggregates over regions of time between neighbouring points, whatever their quality: TimeAverage2, Total2, Minimum2,
//! DurationGood, StartBound and their like.
//!
//! From a point `p` to the next point `q` a region has one quality and one course (OPC 10000-13 v1.05 §3.1.9, §5.4.3.2.2):
//!
//! | `p` | `q` | stepped | sloped |
//! | --- | --- | --- | --- |
//! | not usable | any | bad | bad |
//! | uncertain | any | uncertain, holds `p` | uncertain, line to `q`, or holds `p` when `q` is not usable |
//! | good | good | good, holds `p` | good, line to `q` |
//! | good | not good | good, holds `p` | uncertain, line to `q`, or holds `p` when `q` is not usable |
//!
//! That does not depend on where intervals begin and end, so an interval adds up the parts of regions that lie in it, and the
//! bound at a border is the region's value there. Durations are the exception: their regions take the quality of the point
//! (or start bound) they begin with, and look at nothing behind.

use super::grid::{Frame, span};
use super::raw::{Extreme, Worst, keep_extreme, keep_extreme_of, keep_worst, worst_value};
use super::rollup::Rollup;
use super::status::{Class, InfoBits, Point, Shares, Standing, good_unless, no_data, number};
use super::sums::{Sum, count_f64, ramp_area, step_area, zero_time};
use super::{Aggregate, AggregateConfiguration, AggregateValue};
use andon_model::StatusCode;

/// The time resolution of durations and bounds (§5.4.2.4): what the last point of all counts for, and how far before the end
/// of an interval its end bound lies. 1 ms, as in the examples of the standard.
pub(super) const RESOLUTION_US: u64 = 1_000;

/// A value at a border of an interval.
#[derive(Clone, Copy, Debug)]
struct Bound {
    value: f64,
    status: StatusCode,
    /// It stands there as a point.
    raw: bool,
}

impl Bound {
    const NO_DATA: Self = Self { value: f64::NAN, status: StatusCode::BAD_NO_DATA, raw: false };

    fn class(&self) -> Class {
        Class::of(self.value, self.status.0)
    }
}

/// Where the region that is not yet closed begins, within the current interval.
#[derive(Clone, Copy, Debug)]
struct Head {
    ts: i64,
    value: f64,
    /// Of the point or start bound it begins with.
    class: Class,
}

/// What one interval has shown so far.
#[derive(Clone, Copy, Default, Debug)]
struct Seen {
    times: Shares,
    area: Sum,
    /// Time under `area`, µs.
    area_time: u64,
    zero_time: u64,
    non_zero_time: u64,
    smallest: Option<Extreme>,
    largest: Option<Extreme>,
    worst: Option<Worst>,
    start: Option<Bound>,
    end: Option<Bound>,
    head: Option<Head>,
}

/// What has to be kept besides the quality of regions.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wants {
    Area,
    Extremes,
    States,
    Nothing,
}

/// The kernel; see the module.
pub(super) struct SimpleKernel {
    aggregate: Aggregate,
    config: AggregateConfiguration,
    uncertain_is_bad: bool,
    stepped: bool,
    wants: Wants,
    /// Regions take the quality of the point they begin with, and look at nothing behind.
    by_start: bool,
    /// The last point, whatever its quality.
    previous: Option<Point>,
    /// Within a stretch in which readings were lost.
    lost: bool,
    seen: Seen,
}

impl SimpleKernel {
    pub(super) fn new(aggregate: Aggregate, config: AggregateConfiguration, stepped: bool) -> Self {
        let wants = match aggregate {
            Aggregate::TimeAverage2 | Aggregate::Total2 => Wants::Area,
            Aggregate::DurationInStateZero | Aggregate::DurationInStateNonZero => Wants::States,
            Aggregate::Minimum2
            | Aggregate::Maximum2
            | Aggregate::MinimumActualTime2
            | Aggregate::MaximumActualTime2
            | Aggregate::Range2 => Wants::Extremes,
            _ => Wants::Nothing,
        };
        let by_start = wants == Wants::States
            || matches!(
                aggregate,
                Aggregate::DurationGood | Aggregate::DurationBad | Aggregate::PercentGood | Aggregate::PercentBad
            );
        // WorstQuality2 does not know the setting (§5.4.3.36).
        let uncertain_is_bad = config.treat_uncertain_as_bad && aggregate != Aggregate::WorstQuality2;
        let seen = Seen::default();
        Self { aggregate, config, uncertain_is_bad, stepped, wants, by_start, previous: None, lost: false, seen }
    }

    /// A point before the range.
    pub(super) fn before(&mut self, point: &Point) {
        self.previous = Some(*point);
    }

    /// An interval begins; `next` is the first point at or after its start, if there is one.
    pub(super) fn open(&mut self, frame: &Frame, next: Option<&Point>) {
        if next.is_some_and(|next| next.ts == frame.start) {
            return; // The point itself is the bound; it comes next.
        }
        let bound = self.bound(frame.start, next);
        self.seen.start = Some(bound);
        self.seen.head = Some(Head { ts: frame.start, value: bound.value, class: bound.class() });
        if self.wants == Wants::Extremes && !bound.status.is_bad() {
            self.keep(Extreme { value: bound.value, ts: frame.start, again: false });
        }
        keep_worst(&mut self.seen.worst, Worst { class: bound.class(), status: bound.status, again: false });
    }

    /// A point of the current interval.
    pub(super) fn point(&mut self, frame: &Frame, point: &Point) {
        self.arrive(frame, point);
        if self.wants == Wants::Extremes && point.class.usable(self.uncertain_is_bad) {
            self.keep(Extreme { value: point.value, ts: point.ts, again: false });
        }
        keep_worst(&mut self.seen.worst, Worst { class: point.class, status: point.status, again: false });
    }

    /// Good points of the current interval.
    pub(super) fn good(&mut self, frame: &Frame, times: &[i64], values: &[f64], status: &[u32]) {
        let (Some((first, after_first)), Some((first_value, values_after))) =
            (times.split_first(), values.split_first())
        else {
            return;
        };
        let status_at = |status: Option<&u32>| status.copied().unwrap_or(0);
        self.point(frame, &Point::new(*first, *first_value, status_at(status.first())));
        let (Some(last), Some(last_value)) = (after_first.last(), values_after.last()) else { return };
        let time = span(*first, *last);
        self.seen.times.add(Class::Good, time);
        match self.wants {
            Wants::Area => {
                let area = if self.stepped { step_area(times, values) } else { ramp_area(times, values) };
                self.seen.area.add(area);
                self.seen.area_time = self.seen.area_time.saturating_add(time);
            }
            Wants::States => {
                let zero = zero_time(times, values);
                self.seen.zero_time = self.seen.zero_time.saturating_add(zero);
                self.seen.non_zero_time = self.seen.non_zero_time.saturating_add(time.saturating_sub(zero));
            }
            Wants::Extremes => {
                keep_extreme_of(&mut self.seen.smallest, after_first, values_after, false);
                keep_extreme_of(&mut self.seen.largest, after_first, values_after, true);
            }
            Wants::Nothing => {}
        }
        let last = Point::new(*last, *last_value, status_at(status.last()));
        self.seen.head = Some(Head { ts: last.ts, value: last.value, class: Class::Good });
        self.previous = Some(last);
        keep_worst(&mut self.seen.worst, Worst { class: Class::Good, status: last.status, again: true });
    }

    /// The points of a roll-up, all in the current interval. Uncertain points in it are not usable (see [`Rollup`]).
    pub(super) fn rollup(&mut self, frame: &Frame, rollup: &Rollup) {
        let (Some(first), Some(last)) = (rollup.first, rollup.last) else { return };
        self.arrive(frame, &first);
        let good_time = rollup.good_to_good.saturating_add(rollup.good_to_other);
        let other = if self.stepped || self.by_start { Class::Good } else { Class::Uncertain };
        self.seen.times.add(Class::Good, rollup.good_to_good);
        self.seen.times.add(other, rollup.good_to_other);
        self.seen.times.add(Class::Bad, rollup.from_other);
        match self.wants {
            Wants::Area => {
                let areas =
                    if self.stepped { [rollup.flat, Sum::default()] } else { [rollup.ramp, rollup.flat_to_other] };
                areas.iter().for_each(|area| self.seen.area.merge(area));
                self.seen.area_time = self.seen.area_time.saturating_add(good_time);
            }
            Wants::States => {
                self.seen.zero_time = self.seen.zero_time.saturating_add(rollup.zero_time);
                let non_zero = good_time.saturating_sub(rollup.zero_time);
                self.seen.non_zero_time = self.seen.non_zero_time.saturating_add(non_zero);
            }
            Wants::Extremes => {
                if let (Some(smallest), Some(largest)) = (rollup.smallest, rollup.largest) {
                    keep_extreme(&mut self.seen.smallest, smallest, false);
                    keep_extreme(&mut self.seen.largest, largest, true);
                }
            }
            Wants::Nothing => {}
        }
        if let Some(worst) = rollup.worst {
            keep_worst(&mut self.seen.worst, worst);
        }
        self.seen.head = Some(Head { ts: last.ts, value: last.value, class: self.class_by_start(&last) });
        self.previous = Some(last);
    }

    /// From `ts` on, which lies in the current interval and before `next`, nothing is known.
    pub(super) fn lose(&mut self, frame: &Frame, ts: i64, next: &Point) {
        if ts == frame.start && self.previous.is_none_or(|previous| previous.ts < ts) {
            // Nor is it at the start.
            self.lost = true;
            self.seen = Seen::default();
            self.open(frame, Some(next));
            return;
        }
        let bound = self.bound(ts, Some(next));
        self.region(ts, Some(next), bound.value);
        self.keep_reached(ts, &bound);
        let nothing = Worst { class: Class::Bad, status: StatusCode::BAD_NO_DATA, again: false };
        keep_worst(&mut self.seen.worst, nothing);
        self.lost = true;
        self.seen.head = Some(Head { ts, value: f64::NAN, class: Class::Bad });
    }

    /// From `ts` on, which lies in the current interval and not behind `next`, the course is known again.
    pub(super) fn find(&mut self, frame: &Frame, ts: i64, next: &Point) {
        self.region(ts, Some(next), f64::NAN);
        self.lost = false;
        if ts == frame.start {
            self.seen = Seen::default();
            self.open(frame, Some(next));
        } else if ts < next.ts {
            let bound = self.bound(ts, Some(next));
            let class = self.previous.map_or(Class::Bad, |previous| self.class_by_start(&previous));
            self.seen.head = Some(Head { ts, value: bound.value, class });
            self.keep_reached(ts, &bound);
        }
    }

    /// Behind the last point nothing is known for so many µs of the current interval.
    pub(super) fn miss(&mut self, time: u64) {
        self.seen.times.add(Class::Bad, time);
        let nothing = Worst { class: Class::Bad, status: StatusCode::BAD_NO_DATA, again: false };
        keep_worst(&mut self.seen.worst, nothing);
    }

    /// A value at the edge of what is known, if it goes beyond what the interval has shown.
    fn keep_reached(&mut self, ts: i64, bound: &Bound) {
        let shown = |extreme: Option<Extreme>| extreme.is_some_and(|extreme| extreme.value == bound.value);
        if self.wants != Wants::Extremes || bound.status.is_bad() {
            return;
        }
        let here = Extreme { value: bound.value, ts, again: false };
        if !shown(self.seen.smallest) {
            keep_extreme(&mut self.seen.smallest, here, false);
        }
        if !shown(self.seen.largest) {
            keep_extreme(&mut self.seen.largest, here, true);
        }
    }

    /// The last point.
    pub(super) fn last(&self) -> Option<Point> {
        self.previous
    }

    /// The last point still holds here, though there is none.
    pub(super) fn hold(&mut self, frame: &Frame, point: &Point) {
        self.arrive(frame, point);
    }

    /// The current interval ends with `next`, the first point at or after its end, or because there are no more points.
    pub(super) fn close(&mut self, frame: &Frame, next: Option<&Point>, standing: Standing) -> AggregateValue {
        if let Some(next) = next {
            let end = if next.ts == frame.end { self.raw_bound(next) } else { self.bound(frame.end, Some(next)) };
            self.region(frame.end, Some(next), end.value);
            self.seen.end = Some(end);
        } else if let Some(last) = self.previous.filter(|last| last.ts >= frame.start) {
            // The end of all data. The last point counts for one unit of time.
            let rest = span(last.ts, frame.end).min(RESOLUTION_US);
            self.region(last.ts.wrapping_add(rest.cast_signed()), None, last.value);
        }
        let seen = std::mem::take(&mut self.seen);
        match standing {
            Standing::Outside => no_data(frame.start, InfoBits::RAW),
            Standing::Within { partial } => {
                self.result(&seen, frame, InfoBits::RAW.with_if(partial, InfoBits::PARTIAL))
            }
        }
    }

    /// Ends the open region at `point` and begins the next one there.
    fn arrive(&mut self, frame: &Frame, point: &Point) {
        self.region(point.ts, Some(point), point.value);
        if point.ts == frame.start {
            self.seen.start = Some(self.raw_bound(point));
        }
        self.seen.head = Some(Head { ts: point.ts, value: point.value, class: self.class_by_start(point) });
        self.previous = Some(*point);
    }

    fn class_by_start(&self, point: &Point) -> Class {
        if point.class.usable(self.uncertain_is_bad) { point.class } else { Class::Bad }
    }

    /// Adds the open region up to `end`; `next` is the point it runs towards, `value` what a line has reached at `end`.
    fn region(&mut self, end: i64, next: Option<&Point>, value: f64) {
        let Some(head) = self.seen.head.take() else { return };
        let time = span(head.ts, end);
        let class = if self.by_start && !self.lost { head.class } else { self.class_of_region(next) };
        self.seen.times.add(class, time);
        match self.wants {
            Wants::Area if class != Class::Bad => {
                let is_line = !self.stepped && next.is_some_and(|next| next.class.usable(self.uncertain_is_bad));
                let height = if is_line { head.value * 0.5 + value * 0.5 } else { head.value };
                self.seen.area.add(height * count_f64(time));
                self.seen.area_time = self.seen.area_time.saturating_add(time);
            }
            Wants::States if class == Class::Good => {
                let state = if head.value == 0.0 { &mut self.seen.zero_time } else { &mut self.seen.non_zero_time };
                *state = state.saturating_add(time);
            }
            _ => {}
        }
    }

    /// The table at the top, for the region from the last point to `next`.
    fn class_of_region(&self, next: Option<&Point>) -> Class {
        let usable = |point: &Point| !self.lost && point.class.usable(self.uncertain_is_bad);
        let Some(previous) = self.previous.filter(usable) else { return Class::Bad };
        let next = next.map_or(Class::Bad, |next| next.class);
        if self.stepped || (previous.class == Class::Good && next == Class::Good) {
            previous.class
        } else {
            Class::Uncertain
        }
    }

    /// The simple bound at `ts`, between the last point and `next` (§3.1.9).
    fn bound(&self, ts: i64, next: Option<&Point>) -> Bound {
        let (Some(previous), Some(next)) = (self.previous, next) else { return Bound::NO_DATA };
        let doubtful = match self.class_of_region(Some(next)) {
            Class::Bad => return Bound::NO_DATA,
            class => class == Class::Uncertain,
        };
        let is_line = !self.stepped && next.class.usable(self.uncertain_is_bad);
        let value = if is_line { on_line(&previous, next, ts) } else { previous.value };
        Bound { value, status: good_unless(doubtful), raw: false }
    }

    /// A point at a border is the bound, unless it is not usable.
    fn raw_bound(&self, point: &Point) -> Bound {
        let bound = Bound { value: point.value, status: point.status, raw: true };
        if point.class.usable(self.uncertain_is_bad) { bound } else { Bound::NO_DATA }
    }

    fn keep(&mut self, extreme: Extreme) {
        keep_extreme(&mut self.seen.smallest, extreme, false);
        keep_extreme(&mut self.seen.largest, extreme, true);
    }

    fn result(&self, seen: &Seen, frame: &Frame, bits: InfoBits) -> AggregateValue {
        let calculated = bits.with(InfoBits::CALCULATED);
        let (start, good) = (frame.start, StatusCode::GOOD);
        let by_time = seen.times.by_time(&self.config);
        match self.aggregate {
            Aggregate::TimeAverage2 | Aggregate::Total2 if seen.area_time == 0 => no_data(start, bits),
            Aggregate::TimeAverage2 => {
                number(start, seen.area.value() / count_f64(seen.area_time), by_time, calculated)
            }
            Aggregate::Total2 => number(start, seen.area.value() / 1e6, by_time, calculated),
            Aggregate::DurationInStateZero => number(start, millis(seen.zero_time), by_time, calculated),
            Aggregate::DurationInStateNonZero => number(start, millis(seen.non_zero_time), by_time, calculated),
            Aggregate::DurationGood => number(start, millis(seen.times.good), good, calculated),
            Aggregate::DurationBad => number(start, millis(seen.times.bad), good, calculated),
            Aggregate::PercentGood => number(start, percent(seen.times.good, seen.times), good, calculated),
            Aggregate::PercentBad => number(start, percent(seen.times.bad, seen.times), good, calculated),
            Aggregate::WorstQuality2 => worst_value(start, seen.worst, bits),
            Aggregate::StartBound => {
                let bound = seen.start.unwrap_or(Bound::NO_DATA);
                let interpolated = !bound.raw && !bound.status.is_bad();
                number(start, bound.value, bound.status, bits.with_if(interpolated, InfoBits::INTERPOLATED))
            }
            Aggregate::EndBound => {
                let bound = seen.end.unwrap_or(Bound::NO_DATA);
                number(start, bound.value, bound.status, bits.with_if(!bound.status.is_bad(), InfoBits::CALCULATED))
            }
            Aggregate::DeltaBounds => {
                let (begin, end) = (seen.start.unwrap_or(Bound::NO_DATA), seen.end.unwrap_or(Bound::NO_DATA));
                if begin.status.is_bad() || end.status.is_bad() {
                    return no_data(start, bits);
                }
                let doubtful = !begin.status.is_good() || !end.status.is_good();
                number(start, end.value - begin.value, good_unless(doubtful), calculated)
            }
            _ => self.extreme(seen, frame, by_time, bits),
        }
    }

    /// Minimum2, Maximum2, their actual times, and Range2.
    fn extreme(&self, seen: &Seen, frame: &Frame, by_time: StatusCode, bits: InfoBits) -> AggregateValue {
        let (mut smallest, mut largest) = (seen.smallest, seen.largest);
        // The end bound only counts on a slope; there it may be what the line has reached (§5.4.3.15).
        let end = seen.end.filter(|end| !self.stepped && !end.status.is_bad());
        if let Some(end) = end {
            let end = Extreme { value: end.value, ts: frame.end, again: false };
            keep_extreme(&mut smallest, end, false);
            keep_extreme(&mut largest, end, true);
        }
        let (Some(smallest), Some(largest)) = (smallest, largest) else { return no_data(frame.start, bits) };
        let best = match self.aggregate {
            Aggregate::Range2 => {
                let status = if by_time.is_bad() { StatusCode::BAD_NO_DATA } else { by_time };
                return number(frame.start, largest.value - smallest.value, status, bits.with(InfoBits::CALCULATED));
            }
            Aggregate::Minimum2 | Aggregate::MinimumActualTime2 => smallest,
            _ => largest,
        };
        let actual_time = matches!(self.aggregate, Aggregate::MinimumActualTime2 | Aggregate::MaximumActualTime2);
        let at_start = best.ts == frame.start;
        let interpolated = if best.ts == frame.end {
            actual_time || end.is_some_and(|end| !end.raw)
        } else {
            at_start && seen.start.is_some_and(|start| !start.raw)
        };
        let bits = bits
            .with_if(interpolated, InfoBits::INTERPOLATED)
            .with_if(!actual_time && !interpolated && !at_start, InfoBits::CALCULATED)
            .with_if(best.again, InfoBits::MULTIPLE_VALUES);
        let ts = match (actual_time, best.ts == frame.end) {
            (false, _) => frame.start,
            (true, false) => best.ts,
            // The time immediately before the end (§3.1.3).
            (true, true) => frame.end.wrapping_sub(RESOLUTION_US.min(span(frame.start, frame.end)).cast_signed()),
        };
        number(ts, best.value, by_time, bits)
    }
}

/// The value at `ts` of the line from `a` to `b`, which are at different times around it.
pub(super) fn on_line(a: &Point, b: &Point, ts: i64) -> f64 {
    let share = count_f64(span(a.ts, ts)) / count_f64(span(a.ts, b.ts));
    let rise = b.value - a.value;
    // So that a flat line stays exactly flat; the second form is for values near the end of the range of a double.
    if rise.is_finite() { a.value + rise * share } else { a.value * (1.0 - share) + b.value * share }
}

fn millis(micros: u64) -> f64 {
    count_f64(micros) / 1000.0
}

fn percent(share: u64, of: Shares) -> f64 {
    let total = count_f64(of.good) + count_f64(of.uncertain) + count_f64(of.bad);
    if total == 0.0 { 0.0 } else { 100.0 * count_f64(share) / total }
}
