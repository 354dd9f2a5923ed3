//! Aggregates on a line between neighbouring usable points, bad ones skipped: Interpolative, TimeAverage, Total.
//!
//! Interpolated bounds (OPC 10000-13 v1.05 §3.1.8) need the next usable point, however far it is, so an interval is closed
//! only when that has come. Bad points on the way are skipped and make the stretch uncertain: on a line the whole stretch
//! between its two usable ends, with stepped interpolation the part after the first skipped point. `TimeAverage` and `Total`
//! draw lines even for a stepped signal (§5.4.3.6); `TimeAverage2` and `Total2` are the ones that know steps.
//!
//! After the last usable point the value is extrapolated, held or along the last slope, and uncertain: by `Interpolative` for
//! ever, by the other two to the end of the interval that holds the last point.

use super::grid::{Frame, span};
use super::rollup::Rollup;
use super::simple::on_line;
use super::status::{Class, InfoBits, Point, Standing, good_unless, no_data, number};
use super::sums::{Sum, count_f64, ramp_area};
use super::{Aggregate, AggregateConfiguration, AggregateValue};

/// What one interval has shown so far.
#[derive(Clone, Default, Debug)]
struct Seen {
    area: Sum,
    /// Time under `area`, µs.
    time: u64,
    doubtful: bool,
    /// How far the line has been followed in this interval.
    head: Option<(i64, f64)>,
    /// The value at the start of the interval, when it is not a point.
    start: Option<AggregateValue>,
}

/// The kernel; see the module.
pub(super) struct InterpolatedKernel {
    aggregate: Aggregate,
    config: AggregateConfiguration,
    stepped: bool,
    /// The last usable point, and the usable one before it.
    last: Option<Point>,
    last_but_one: Option<Point>,
    /// The first point after `last` that was skipped.
    skipped: Option<i64>,
    seen: Seen,
}

impl InterpolatedKernel {
    pub(super) fn new(aggregate: Aggregate, config: AggregateConfiguration, stepped: bool) -> Self {
        let stepped = stepped && aggregate == Aggregate::Interpolative;
        Self { aggregate, config, stepped, last: None, last_but_one: None, skipped: None, seen: Seen::default() }
    }

    /// Whether the point can end a stretch; others are to be skipped.
    pub(super) fn takes(&self, point: &Point) -> bool {
        point.class.usable(self.config.treat_uncertain_as_bad)
    }

    pub(super) fn skip(&mut self, point: &Point) {
        self.skipped.get_or_insert(point.ts);
    }

    /// The last usable point, when none was skipped since.
    pub(super) fn unskipped(&self) -> Option<Point> {
        self.last.filter(|_| self.skipped.is_none())
    }

    /// A point before the range.
    pub(super) fn before(&mut self, point: &Point) {
        if self.takes(point) { self.follow(*point) } else { self.skip(point) }
    }

    fn follow(&mut self, point: Point) {
        self.last_but_one = self.last.replace(point);
        self.skipped = None;
    }

    /// An interval begins; `next` is the first usable point at or after its start, if there is one.
    pub(super) fn open(&mut self, frame: &Frame, next: Option<&Point>) {
        if next.is_some_and(|next| next.ts == frame.start) {
            return; // The point itself is the bound; it comes next.
        }
        let Some((value, doubtful)) = self.at(frame.start, next) else {
            self.seen.doubtful = true; // The interval begins before there is anything to go by.
            self.seen.start = Some(no_data(frame.start, InfoBits::RAW));
            return;
        };
        self.seen.head = Some((frame.start, value));
        self.seen.start = Some(number(frame.start, value, good_unless(doubtful), InfoBits::INTERPOLATED));
    }

    /// A usable point of the current interval.
    pub(super) fn point(&mut self, frame: &Frame, point: &Point) {
        self.stretch(point.ts, point.value, Some(point));
        if point.ts == frame.start {
            self.seen.start = Some(number(frame.start, point.value, point.status, InfoBits::RAW));
        }
        self.seen.head = Some((point.ts, point.value));
        self.follow(*point);
    }

    /// Good points of the current interval.
    pub(super) fn good(&mut self, frame: &Frame, times: &[i64], values: &[f64], status: &[u32]) {
        let (Some(first), Some(first_value)) = (times.first(), values.first()) else { return };
        self.point(frame, &Point::new(*first, *first_value, status.first().copied().unwrap_or(0)));
        let (Some([last_but_one, last]), Some([value_but_one, value])) = (times.last_chunk(), values.last_chunk())
        else {
            return;
        };
        if self.aggregate != Aggregate::Interpolative {
            self.seen.area.add(ramp_area(times, values));
            self.seen.time = self.seen.time.saturating_add(span(*first, *last));
        }
        self.seen.head = Some((*last, *value));
        self.last_but_one = Some(Point::new(*last_but_one, *value_but_one, 0));
        self.last = Some(Point::new(*last, *value, 0));
    }

    /// The points of a roll-up that holds a good one, all in the current interval. Uncertain points in it are not usable.
    pub(super) fn rollup(&mut self, frame: &Frame, rollup: &Rollup) {
        let (Some(first), Some(last)) = (rollup.first_good, rollup.last_good) else { return };
        if let Some(before) = rollup.first.filter(|before| before.class != Class::Good) {
            self.skip(&before);
        }
        self.point(frame, &first);
        self.seen.area.merge(&rollup.ramp);
        self.seen.area.merge(&rollup.bridges);
        self.seen.time = self.seen.time.saturating_add(span(first.ts, last.ts));
        self.seen.doubtful |= rollup.bridged;
        self.seen.head = Some((last.ts, last.value));
        self.last = Some(last);
        self.last_but_one = rollup.good_before_last.or(self.last_but_one);
        self.skipped = rollup.other_after_good;
    }

    /// The current interval ends with `next`, the first usable point at or after its end, or because there are no more.
    pub(super) fn close(&mut self, frame: &Frame, next: Option<&Point>, standing: Standing) -> AggregateValue {
        if self.aggregate != Aggregate::Interpolative
            && let Some(value) = match next {
                Some(next) if next.ts == frame.end => Some(next.value),
                _ => self.at(frame.end, next).map(|(value, _)| value),
            }
        {
            self.stretch(frame.end, value, next);
        }
        let seen = std::mem::take(&mut self.seen);
        let bits = match (self.aggregate, standing) {
            (Aggregate::Interpolative, _) => {
                return seen.start.unwrap_or_else(|| no_data(frame.start, InfoBits::RAW));
            }
            (_, Standing::Outside) => return no_data(frame.start, InfoBits::RAW),
            (_, Standing::Within { partial }) => InfoBits::RAW.with_if(partial, InfoBits::PARTIAL),
        };
        if seen.time == 0 {
            return no_data(frame.start, bits);
        }
        let value = if self.aggregate == Aggregate::Total {
            seen.area.value() / 1e6
        } else {
            seen.area.value() / count_f64(seen.time)
        };
        number(frame.start, value, good_unless(seen.doubtful), bits.with(InfoBits::CALCULATED))
    }

    /// Follows the line to `ts`, where it has reached `value`, on the way to `next`.
    fn stretch(&mut self, ts: i64, value: f64, next: Option<&Point>) {
        if self.aggregate == Aggregate::Interpolative {
            return;
        }
        let Some((from, before)) = self.seen.head.take() else { return };
        let time = span(from, ts);
        if time == 0 {
            return;
        }
        self.seen.area.add((before * 0.5 + value * 0.5) * count_f64(time));
        self.seen.time = self.seen.time.saturating_add(time);
        self.seen.doubtful |= self.is_doubtful(next);
    }

    /// Whether the stretch from the last usable point to `next` is more than a line between good neighbours.
    fn is_doubtful(&self, next: Option<&Point>) -> bool {
        let is_good = |point: Option<&Point>| point.is_some_and(|point| point.class == Class::Good);
        self.skipped.is_some() || !is_good(self.last.as_ref()) || !is_good(next)
    }

    /// The interpolated bound at `ts` between the last usable point and `next`, and whether it is uncertain. `None` before the
    /// first usable point.
    fn at(&self, ts: i64, next: Option<&Point>) -> Option<(f64, bool)> {
        let last = self.last?;
        Some(match (next, self.last_but_one) {
            (Some(_), _) if self.stepped => {
                let skipped = self.skipped.is_some_and(|skipped| skipped <= ts);
                (last.value, skipped || last.class != Class::Good)
            }
            (Some(next), _) => (on_line(&last, next, ts), self.is_doubtful(Some(next))),
            (None, Some(before)) if self.config.use_sloped_extrapolation && !self.stepped => {
                (on_line(&before, &last, ts), true)
            }
            (None, _) => (last.value, true),
        })
    }
}
