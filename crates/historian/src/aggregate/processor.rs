//! Takes points in columns and hands each to the interval it belongs to.
//!
//! Columns are looked at in blocks. A block of good points is cut where intervals end, and each piece goes to the kernel as a
//! whole; any other block goes point by point. An interval is closed by the first point behind it, so bounds at its end are
//! known, and what is left when all points have come is closed by [`Processor::finish`].

use super::grid::{Frame, Grid, span};
use super::interpolated::InterpolatedKernel;
use super::raw::RawKernel;
use super::rollup::Rollup;
use super::simple::SimpleKernel;
use super::status::{Point, Standing};
use super::sums::{ascending_within, for_each_stretch};
use super::{Aggregate, AggregateValue, Bounds, Loss, Needs, Request, RequestError};
use andon_model::{StatusCode, Timestamp, Value};
use std::collections::{BTreeMap, VecDeque};

/// Why points were not taken. Nothing of the push has been used then.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// Columns belong together row by row.
    #[error("the columns differ in length: {ts} times, {values} values, {status} status codes")]
    Uneven {
        /// Rows.
        ts: usize,
        /// Rows.
        values: usize,
        /// Rows.
        status: usize,
    },
    /// Times must ascend, without equals.
    #[error("the point at {ts} comes after the one at {after}; sort points by time, one per time")]
    OutOfOrder {
        /// Of the point.
        ts: Timestamp,
        /// Of the point before it.
        after: Timestamp,
    },
    /// Points outside of the range are bounds, not points.
    #[error("the point at {ts} is not in the range from {from} up to {to}; give it as a bound, or not at all")]
    OutOfRange {
        /// Of the point.
        ts: Timestamp,
        /// Start of the range.
        from: Timestamp,
        /// End of the range.
        to: Timestamp,
    },
    /// A roll-up cannot be taken apart.
    #[error("{reason}; push the points instead of their roll-up")]
    NotFromRollup {
        /// In plain words.
        reason: &'static str,
    },
}

enum Kernel {
    Raw(RawKernel),
    Simple(SimpleKernel),
    Interpolated(InterpolatedKernel),
}

/// Calculates one aggregate over one range; see the module `aggregate`.
pub struct Processor {
    grid: Grid,
    kernel: Kernel,
    treat_uncertain_as_bad: bool,
    counts_annotations: bool,
    /// The current interval and its number; `None` when all are closed.
    current: Option<(u64, Frame)>,
    /// Whether the current interval knows its start bound.
    opened: bool,
    /// The first and the last point at all, the ones around the range included.
    first: Option<i64>,
    last: Option<i64>,
    /// Stretches in which readings were lost that may still lie before a point.
    lost: VecDeque<Loss>,
    /// Annotations per interval.
    annotations: BTreeMap<u64, u64>,
    results: Vec<AggregateValue>,
}

impl Processor {
    /// For `request`, knowing the points before the range (see [`Aggregate::needs`]).
    ///
    /// # Errors
    /// [`RequestError`] when the request makes no sense or its answer would be too long.
    pub fn new(request: &Request, bounds: &Bounds<'_>) -> Result<Self, RequestError> {
        let (good, bad) = (request.config.percent_data_good, request.config.percent_data_bad);
        if good > 100 || bad > 100 || good + bad < 100 {
            return Err(RequestError::Percentages { good, bad });
        }
        let grid = Grid::new(request)?;
        let kernel = match request.aggregate.needs() {
            Needs::LastAndUsable => {
                Kernel::Interpolated(InterpolatedKernel::new(request.aggregate, request.config, request.stepped))
            }
            Needs::Neighbours => Kernel::Simple(SimpleKernel::new(request.aggregate, request.config, request.stepped)),
            Needs::Existence | Needs::UsableBefore => Kernel::Raw(RawKernel::new(request.aggregate, request.config)),
        };
        let mut processor = Self {
            grid,
            kernel,
            treat_uncertain_as_bad: request.config.treat_uncertain_as_bad,
            counts_annotations: request.aggregate == Aggregate::AnnotationCount,
            current: Some((0, grid.frame(0))),
            opened: false,
            first: None,
            last: None,
            lost: VecDeque::new(),
            annotations: BTreeMap::new(),
            results: Vec::with_capacity(usize::try_from(grid.count.min(65_536)).unwrap_or(0)),
        };
        for point in bounds.before.iter().map(Point::from).filter(|point| point.ts < grid.from) {
            if processor.last.is_none_or(|last| last < point.ts) {
                processor.before(&point);
            }
        }
        // Points that are missing behind the range say that data goes on.
        let within = |loss: &&Loss| loss.from < loss.to && (loss.from < request.to || !loss.goes_on);
        processor.lost = bounds.lost.iter().filter(within).copied().collect();
        Ok(processor)
    }

    fn before(&mut self, point: &Point) {
        if !self.notes(point) {
            return;
        }
        match &mut self.kernel {
            Kernel::Raw(kernel) => kernel.before(point),
            Kernel::Simple(kernel) => kernel.before(point),
            Kernel::Interpolated(kernel) => kernel.before(point),
        }
    }

    /// Takes more points of the range: µs, values (NaN for none), status codes. They ascend in time, over all pushes.
    ///
    /// # Errors
    /// [`PushError`]; nothing of these columns has been used then.
    pub fn push_columns(&mut self, ts: &[i64], values: &[f64], status: &[u32]) -> Result<(), PushError> {
        check_lengths(ts, values, status)?;
        self.check_times(ts)?;
        for_each_stretch(ts, values, status, |good, ts, values, status| {
            if good {
                self.good_block(ts, values, status);
            } else {
                for ((ts, value), status) in ts.iter().zip(values).zip(status) {
                    self.point(&Point::new(*ts, *value, *status));
                }
            }
        });
        Ok(())
    }

    /// Takes the roll-up of all points of a stretch in their place.
    ///
    /// # Errors
    /// [`PushError`] when the roll-up is not wholly in one interval, is out of order, or does not hold what the aggregate
    /// wants; nothing has been used then.
    pub fn push_rollup(&mut self, rollup: &Rollup) -> Result<(), PushError> {
        let (Some(first), Some(last)) = (rollup.first, rollup.last) else { return Ok(()) };
        let after = self.last.filter(|last| *last >= self.grid.from);
        if first.ts < self.grid.from || last.ts >= self.grid.to || after.is_some_and(|after| first.ts <= after) {
            let ends = [first.ts, last.ts];
            self.check_times(if first.ts == last.ts { &ends[..1] } else { &ends })?;
        }
        // The usual case without a division.
        let in_current = self
            .current
            .is_some_and(|(_, frame)| frame.start <= first.ts && first.ts <= last.ts && last.ts < frame.end);
        let reason = if !in_current && self.grid.index(first.ts) != self.grid.index(last.ts) {
            Some("an interval ends within the roll-up")
        } else if !self.treat_uncertain_as_bad && rollup.shares.uncertain > 0 {
            Some("the roll-up holds uncertain points, and treat_uncertain_as_bad is off")
        } else if self.first.is_none() && first.is_created_mark() {
            Some("the roll-up begins before the first reading of the tag")
        } else if self.is_lost_within(first.ts, last.ts) {
            Some("readings were lost within the roll-up")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(PushError::NotFromRollup { reason });
        }
        self.pass_lost(&first);
        self.first.get_or_insert(first.ts);
        self.last = Some(last.ts);
        if let (Kernel::Interpolated(kernel), None) = (&mut self.kernel, rollup.first_good) {
            kernel.skip(&first);
            return Ok(());
        }
        let arrival =
            if let Kernel::Interpolated(_) = self.kernel { rollup.first_good.unwrap_or(first) } else { first };
        if let Kernel::Interpolated(kernel) = &mut self.kernel
            && arrival.ts != first.ts
        {
            // The stretch that leads here is doubtful in the intervals before, too.
            kernel.skip(&first);
        }
        self.advance(&arrival);
        let Some((_, frame)) = self.current else { return Ok(()) };
        match &mut self.kernel {
            Kernel::Raw(kernel) => kernel.rollup(rollup),
            Kernel::Simple(kernel) => kernel.rollup(&frame, rollup),
            Kernel::Interpolated(kernel) => kernel.rollup(&frame, rollup),
        }
        Ok(())
    }

    /// Times of annotations of the tag, µs, in any order, for `AnnotationCount`. Those outside of the range are passed over.
    pub fn push_annotations(&mut self, ts: &[i64]) {
        for ts in ts.iter().filter(|ts| (self.grid.from..self.grid.to).contains(ts)) {
            let count = self.annotations.entry(self.grid.index(*ts)).or_default();
            *count = count.saturating_add(1);
        }
    }

    /// The result of every interval, in order, once all points have been pushed.
    #[must_use]
    pub fn finish(mut self, bounds: &Bounds<'_>) -> Vec<AggregateValue> {
        let to = self.grid.to;
        for point in bounds.after.iter().map(Point::from).filter(|point| point.ts >= to) {
            if self.current.is_none() {
                break;
            }
            if self.last.is_some_and(|last| last >= point.ts) {
                continue;
            }
            self.pass_lost(&point);
            if self.notes(&point) {
                if self.takes(&point) {
                    self.advance(&point);
                } else {
                    self.skip(&point);
                }
            }
        }
        self.pass_missing();
        self.hold(bounds.holds_until);
        while let Some((_, frame)) = self.current {
            self.open(&frame, None);
            self.close(None);
        }
        // Annotations may come in any order, also after their interval was closed.
        for (index, count) in &self.annotations {
            let result = usize::try_from(*index).ok().and_then(|index| self.results.get_mut(index));
            if let Some(result) = result.filter(|result| self.counts_annotations && !result.status.is_bad()) {
                result.value = Value::Int64(i64::try_from(*count).unwrap_or(i64::MAX));
            }
        }
        self.results
    }

    /// Behind the last point there were others, where some are known to be missing: data ends with the stretch, not with the point.
    fn pass_missing(&mut self) {
        while let Some(front) = self.lost.front().copied().filter(|_| self.current.is_some()) {
            let is_behind = |loss: &&Loss| self.last.is_none_or(|last| last < loss.to.micros());
            let known = self.lost.iter().filter(|loss| loss.had_points()).find(is_behind).copied();
            // A stretch in doubt in front of a known one lies before the end of the data.
            let Some(loss) = known.filter(|known| *known == front || front.in_doubt) else {
                self.lost.pop_front();
                self.doubt(front);
                continue;
            };
            let end = Point::new(loss.to.micros(), f64::NAN, StatusCode::BAD.0);
            if end.ts < self.grid.from {
                self.before(&end);
                continue;
            }
            self.pass_lost(&end);
            self.notes(&end);
            if !self.takes(&end) {
                self.skip(&end);
                continue;
            }
            self.advance(&end);
            if let (Some((_, frame)), Kernel::Simple(kernel)) = (self.current, &mut self.kernel) {
                kernel.point(&frame, &end);
            }
        }
    }

    /// Behind the last point there may have been others: what is left of its interval is lost time there, and no sign of more data.
    fn doubt(&mut self, loss: Loss) {
        let (Some((_, frame)), Some(last)) = (self.current, self.last) else { return };
        if !loss.in_doubt || loss.goes_on || !(frame.start..frame.end).contains(&last) {
            return;
        }
        let (from, to) = (loss.from.micros().max(last), loss.to.micros().min(frame.end));
        if from < to {
            match &mut self.kernel {
                Kernel::Raw(kernel) => kernel.lose(span(from, to)),
                Kernel::Simple(kernel) => kernel.miss(span(from, to)),
                // Behind its last point it is in doubt anyway.
                Kernel::Interpolated(_) => {}
            }
        }
    }

    /// The last point is known to hold until `until`, though no other has come.
    fn hold(&mut self, until: Option<Timestamp>) {
        let (Some(until), Some(last)) = (until.map(Timestamp::micros), self.last) else { return };
        let held = match &self.kernel {
            Kernel::Raw(_) => None,
            Kernel::Simple(kernel) => kernel.last(),
            Kernel::Interpolated(kernel) => kernel.unskipped(),
        };
        if until <= last {
            return;
        }
        if let Some(held) = held {
            let point = Point { ts: until, ..held };
            self.pass_lost(&point);
            self.advance(&point);
            if let Some((_, frame)) = self.current.filter(|(_, frame)| frame.start < until) {
                match &mut self.kernel {
                    Kernel::Raw(_) => {}
                    Kernel::Simple(kernel) => kernel.hold(&frame, &point),
                    Kernel::Interpolated(kernel) => kernel.point(&frame, &point),
                }
            }
        }
        // An interval that begins at this very instant has nothing of it.
        self.last = Some(until.saturating_sub(1).max(last));
    }

    /// A block of good points.
    fn good_block(&mut self, mut ts: &[i64], mut values: &[f64], mut status: &[u32]) {
        while let (Some(first), Some(last), Some(value), Some(code)) =
            (ts.first(), ts.last(), values.first(), status.first())
        {
            let point = Point::new(*first, *value, *code);
            self.pass_lost(&point);
            self.first.get_or_insert(*first);
            self.advance(&point);
            let Some((_, frame)) = self.current else { return };
            let end = frame.end.min(self.known_until(*first));
            let inside = if *last < end { ts.len() } else { ts.partition_point(|ts| *ts < end) };
            let (now, later) = (ts.split_at(inside), (values.split_at(inside), status.split_at(inside)));
            let ((now_ts, rest_ts), ((now_values, rest_values), (now_status, rest_status))) = (now, later);
            match &mut self.kernel {
                Kernel::Raw(kernel) => kernel.good(now_ts, now_values, now_status),
                Kernel::Simple(kernel) => kernel.good(&frame, now_ts, now_values, now_status),
                Kernel::Interpolated(kernel) => kernel.good(&frame, now_ts, now_values, now_status),
            }
            self.last = now_ts.last().copied();
            (ts, values, status) = (rest_ts, rest_values, rest_status);
        }
    }

    /// One point, of whatever quality.
    fn point(&mut self, point: &Point) {
        self.pass_lost(point);
        if !self.notes(point) {
            return;
        }
        if !self.takes(point) {
            self.skip(point);
            return;
        }
        self.advance(point);
        let Some((_, frame)) = self.current else { return };
        match &mut self.kernel {
            Kernel::Raw(kernel) => kernel.point(point),
            Kernel::Simple(kernel) => kernel.point(&frame, point),
            Kernel::Interpolated(kernel) => kernel.point(&frame, point),
        }
    }

    /// Whether readings were lost between the first and the last point of a stretch.
    fn is_lost_within(&self, first: i64, last: i64) -> bool {
        let [first, last] = [first, last].map(Timestamp::from_micros);
        let mut reached = self.lost.iter().take_while(|loss| loss.from < last);
        reached.any(|loss| loss.between(first, last).is_some())
    }

    /// Up to here no point follows the one at `ts` across a loss (exclusive).
    fn known_until(&self, ts: i64) -> i64 {
        let here = Timestamp::from_micros(ts);
        match self.lost.front() {
            None => i64::MAX,
            Some(loss) if loss.from >= here => loss.from.micros().saturating_add(1),
            Some(loss) if loss.kept(here, here) => loss.kept_until().micros(),
            Some(_) => ts.saturating_add(1),
        }
    }

    /// Goes through what was lost between the last point and `next`, which has not been noted yet.
    fn pass_lost(&mut self, next: &Point) {
        let after = Timestamp::from_micros(next.ts);
        let mut reached = i64::MIN;
        while let Some(loss) = self.lost.front().copied().filter(|loss| loss.from < after) {
            if let Some(lost) = self.last_before(loss).and_then(|last| loss.between(last, after)) {
                // To the next point the course is not known; what came is.
                let to = if let Kernel::Raw(_) = self.kernel { lost.to.min(loss.to) } else { lost.to };
                let (from, to) = (lost.from.micros().max(reached), to.micros());
                if from < to {
                    self.lose(from, to, next);
                    reached = to;
                }
            }
            if after < loss.to {
                return;
            }
            self.lost.pop_front();
        }
    }

    /// The last point. Before the first one there is nothing to lose but points that are known to be missing, which only counts count.
    fn last_before(&self, loss: Loss) -> Option<Timestamp> {
        let counts = matches!(self.kernel, Kernel::Raw(_)) && !loss.goes_on;
        self.last.map(Timestamp::from_micros).or(counts.then_some(Timestamp::MIN))
    }

    /// Nothing is known in `[from, to)`, which lies between the last point and `next`.
    fn lose(&mut self, from: i64, to: i64, next: &Point) {
        if let Kernel::Interpolated(kernel) = &mut self.kernel {
            kernel.skip(&Point::new(from, f64::NAN, StatusCode::BAD_NO_DATA.0));
            return;
        }
        if to <= self.grid.from {
            return;
        }
        if let Kernel::Raw(_) = self.kernel {
            self.lose_counted(from.max(self.grid.from), to, next);
            return;
        }
        for (ts, lost) in [(from.max(self.grid.from), true), (to, false)] {
            self.advance_to(ts, next);
            if let (Some((_, frame)), Kernel::Simple(kernel)) = (self.current, &mut self.kernel) {
                if lost { kernel.lose(&frame, ts, next) } else { kernel.find(&frame, ts, next) }
            }
        }
    }

    /// As [`Self::lose`], for what counts points: each interval hears how much of it was lost.
    fn lose_counted(&mut self, from: i64, to: i64, next: &Point) {
        let mut at = from;
        while at < to {
            self.advance_to(at, next);
            let (Some((_, frame)), Kernel::Raw(kernel)) = (self.current, &mut self.kernel) else { return };
            let end = frame.end.min(to);
            kernel.lose(span(at, end));
            at = end;
        }
    }

    /// Whether the point counts at all: not so the mark that a point was created, before its first reading.
    fn notes(&mut self, point: &Point) -> bool {
        let counts = self.first.is_some() || !point.is_created_mark();
        if counts {
            self.first.get_or_insert(point.ts);
            self.last = Some(point.ts);
        }
        counts
    }

    fn takes(&self, point: &Point) -> bool {
        if let Kernel::Interpolated(kernel) = &self.kernel { kernel.takes(point) } else { true }
    }

    fn skip(&mut self, point: &Point) {
        if let Kernel::Interpolated(kernel) = &mut self.kernel {
            kernel.skip(point);
        }
    }

    /// Closes all intervals that end before or at `next`, and opens the one that holds it.
    fn advance(&mut self, next: &Point) {
        self.advance_to(next.ts, next);
    }

    /// The same up to an instant on the way to `next`.
    fn advance_to(&mut self, ts: i64, next: &Point) {
        while let Some((_, frame)) = self.current {
            self.open(&frame, Some(next));
            if ts < frame.end {
                break;
            }
            self.close(Some(next));
        }
    }

    fn open(&mut self, frame: &Frame, next: Option<&Point>) {
        if !std::mem::replace(&mut self.opened, true) {
            match &mut self.kernel {
                Kernel::Raw(_) => {}
                Kernel::Simple(kernel) => kernel.open(frame, next),
                Kernel::Interpolated(kernel) => kernel.open(frame, next),
            }
        }
    }

    fn close(&mut self, next: Option<&Point>) {
        let Some((index, frame)) = self.current else { return };
        let standing = self.standing(&frame, next.is_some());
        let result = match &mut self.kernel {
            Kernel::Raw(kernel) => kernel.close(&frame, standing),
            Kernel::Simple(kernel) => kernel.close(&frame, next, standing),
            Kernel::Interpolated(kernel) => kernel.close(&frame, next, standing),
        };
        self.results.push(result);
        self.opened = false;
        let next_index = index + 1;
        self.current = (next_index < self.grid.count).then(|| (next_index, self.grid.frame(next_index)));
    }

    /// `goes_on`: there is data at or after the end of the interval.
    fn standing(&self, frame: &Frame, goes_on: bool) -> Standing {
        let (Some(first), Some(last)) = (self.first, self.last) else { return Standing::Outside };
        let goes_on = goes_on || last >= frame.end;
        if first >= frame.end || (!goes_on && last < frame.start) {
            return Standing::Outside;
        }
        Standing::Within { partial: first > frame.start || !goes_on || frame.shorter }
    }

    fn check_times(&self, ts: &[i64]) -> Result<(), PushError> {
        let after = self.last.filter(|last| *last >= self.grid.from);
        if ascending_within(ts, self.grid.from, self.grid.to.wrapping_sub(1))
            && after.is_none_or(|after| ts.first().is_none_or(|first| *first > after))
        {
            return Ok(());
        }
        let range = self.grid.from..self.grid.to;
        if let Some(ts) = ts.iter().find(|ts| !range.contains(ts)) {
            let [ts, from, to] = [*ts, range.start, range.end].map(Timestamp::from_micros);
            return Err(PushError::OutOfRange { ts, from, to });
        }
        Err(out_of_order(ts, after))
    }
}

impl Aggregate {
    /// Calculates from points that are all at hand.
    ///
    /// # Errors
    /// [`RequestError`] when the request makes no sense or its answer would be too long; a [`PushError`] when `points` are
    /// not in order or not in the range.
    pub fn over(
        request: &Request,
        bounds: &Bounds<'_>,
        points: (&[i64], &[f64], &[u32]),
    ) -> Result<Vec<AggregateValue>, AggregateError> {
        let mut processor = Processor::new(request, bounds)?;
        processor.push_columns(points.0, points.1, points.2)?;
        Ok(processor.finish(bounds))
    }
}

/// Why [`Aggregate::over`] has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AggregateError {
    /// The request makes no sense.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The points do not fit.
    #[error(transparent)]
    Push(#[from] PushError),
}

pub(super) fn check_lengths(ts: &[i64], values: &[f64], status: &[u32]) -> Result<(), PushError> {
    if ts.len() == values.len() && ts.len() == status.len() {
        return Ok(());
    }
    Err(PushError::Uneven { ts: ts.len(), values: values.len(), status: status.len() })
}

/// Names the first point that is not after the one before it.
pub(super) fn out_of_order(ts: &[i64], after: Option<i64>) -> PushError {
    let mut before = after;
    for ts in ts {
        if let Some(after) = before.filter(|before| before >= ts) {
            let [ts, after] = [*ts, after].map(Timestamp::from_micros);
            return PushError::OutOfOrder { ts, after };
        }
        before = Some(*ts);
    }
    let nowhere = Timestamp::MIN;
    PushError::OutOfOrder { ts: nowhere, after: nowhere }
}
