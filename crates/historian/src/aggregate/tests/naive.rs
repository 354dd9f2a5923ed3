//! The aggregates again, as plainly as can be: every interval by itself, from the list of all points, time cut into ticks of one
//! millisecond each of which is looked at. Slow, and nothing to get wrong in borders, blocks or carried sums.

use super::*;

/// One unit of the time resolution.
const TICK: i64 = MS;

pub(super) struct Naive<'a> {
    pub request: &'a Request,
    /// All points, the ones around the range included; times are whole ticks.
    pub points: Vec<RawPoint>,
}

#[derive(Clone, Copy, PartialEq, PartialOrd, Debug)]
enum Quality {
    Good,
    Uncertain,
    Bad,
}

fn quality(point: &RawPoint) -> Quality {
    if !point.value.is_finite() || point.status.is_bad() {
        Quality::Bad
    } else if point.status.is_uncertain() {
        Quality::Uncertain
    } else {
        Quality::Good
    }
}

fn honest(point: &RawPoint) -> StatusCode {
    let code = StatusCode(point.status.0 & 0xFFFF_0000);
    if quality(point) == Quality::Bad && !code.is_bad() { StatusCode::BAD } else { code }
}

/// A value at an instant, its quality, and whether it is a point.
type Bound = Option<(f64, StatusCode, bool)>;

impl<'a> Naive<'a> {
    pub(super) fn new(request: &'a Request, points: &[RawPoint]) -> Self {
        let created = points.iter().take_while(|point| honest(point) == StatusCode::BAD_NO_DATA).count();
        Self { request, points: points[created..].to_vec() }
    }

    pub(super) fn results(&self) -> Vec<AggregateValue> {
        let (from, to) = (self.request.from.micros(), self.request.to.micros());
        let step = if self.request.interval_us == 0 { to - from } else { self.request.interval_us.min(to - from) };
        let starts = (0..).map(|number| from + number * step).take_while(|start| *start < to);
        starts.map(|start| self.interval(start, (start + step).min(to), to - start < step)).collect()
    }

    fn usable(&self, point: &RawPoint) -> bool {
        let uncertain_is_bad =
            self.request.config.treat_uncertain_as_bad && self.request.aggregate != Aggregate::WorstQuality2;
        match quality(point) {
            Quality::Good => true,
            Quality::Uncertain => !uncertain_is_bad,
            Quality::Bad => false,
        }
    }

    fn last_before(&self, ts: i64, wanted: impl Fn(&RawPoint) -> bool) -> Option<RawPoint> {
        self.points.iter().rev().find(|point| point.ts.micros() < ts && wanted(point)).copied()
    }

    fn first_from(&self, ts: i64, wanted: impl Fn(&RawPoint) -> bool) -> Option<RawPoint> {
        self.points.iter().find(|point| point.ts.micros() >= ts && wanted(point)).copied()
    }

    fn line(a: &RawPoint, b: &RawPoint, ts: f64) -> f64 {
        let (from, to) = (a.ts.micros() as f64, b.ts.micros() as f64);
        a.value + (b.value - a.value) * (ts - from) / (to - from)
    }

    /// §3.1.9.
    fn simple_bound(&self, ts: i64) -> Bound {
        let next = self.first_from(ts, |_| true)?;
        if next.ts.micros() == ts {
            return self.usable(&next).then(|| (next.value, honest(&next), true));
        }
        let before = self.last_before(ts, |_| true).filter(|before| self.usable(before))?;
        let certain = quality(&before) == Quality::Good && (self.request.stepped || quality(&next) == Quality::Good);
        let status = if certain { StatusCode::GOOD } else { UNCERTAIN_DATA_SUB_NORMAL };
        let held = self.request.stepped || !self.usable(&next);
        Some((if held { before.value } else { Self::line(&before, &next, ts as f64) }, status, false))
    }

    /// §3.1.8.
    fn interpolated_bound(&self, ts: i64, stepped: bool) -> Bound {
        if let Some(here) = self.first_from(ts, |_| true).filter(|here| here.ts.micros() == ts && self.usable(here)) {
            return Some((here.value, honest(&here), true));
        }
        let before = self.last_before(ts, |point| self.usable(point))?;
        let doubtful =
            |value, doubtful| Some((value, if doubtful { UNCERTAIN_DATA_SUB_NORMAL } else { StatusCode::GOOD }, false));
        let skipped_until = |end: i64| {
            self.points.iter().any(|point| point.ts > before.ts && point.ts.micros() <= end && !self.usable(point))
        };
        let Some(after) = self.first_from(ts, |point| self.usable(point)) else {
            let earlier = self.last_before(before.ts.micros(), |point| self.usable(point));
            return match earlier {
                Some(earlier) if self.request.config.use_sloped_extrapolation && !stepped => {
                    doubtful(Self::line(&earlier, &before, ts as f64), true)
                }
                _ => doubtful(before.value, true),
            };
        };
        let good_before = quality(&before) == Quality::Good;
        if stepped {
            return doubtful(before.value, !good_before || skipped_until(ts));
        }
        let certain = good_before && quality(&after) == Quality::Good && !skipped_until(after.ts.micros());
        doubtful(Self::line(&before, &after, ts as f64), !certain)
    }

    /// The quality and value of the tick that begins at `tick`, by simple bounds; `None` for the value when there is none.
    fn tick(&self, tick: i64, start: i64, by_start: bool) -> (Quality, f64) {
        let bad = (Quality::Bad, f64::NAN);
        let Some(point) = self.last_before(tick + 1, |_| true) else { return bad };
        if by_start {
            // The region begins with the point, or with the bound at the start of the interval.
            let (value, status) = if point.ts.micros() >= start {
                if !self.usable(&point) {
                    return bad;
                }
                (point.value, honest(&point))
            } else {
                match self.simple_bound(start) {
                    Some((value, status, _)) => (value, status),
                    None => return bad,
                }
            };
            return (if status.is_good() { Quality::Good } else { Quality::Uncertain }, value);
        }
        if !self.usable(&point) {
            return bad;
        }
        let next = self.first_from(tick + 1, |_| true);
        let certain = self.request.stepped || next.is_some_and(|next| quality(&next) == Quality::Good);
        let quality = if quality(&point) == Quality::Good && certain { Quality::Good } else { Quality::Uncertain };
        let value = match next.filter(|next| !self.request.stepped && self.usable(next)) {
            Some(next) => Self::line(&point, &next, (tick + TICK / 2) as f64),
            None => point.value,
        };
        (quality, value)
    }

    fn judge(&self, good: u64, bad: u64, total: u64) -> StatusCode {
        let config = self.request.config;
        let (good_percent, bad_percent) = (u64::from(config.percent_data_good), u64::from(config.percent_data_bad));
        if total == 0 {
            return StatusCode::GOOD;
        }
        if bad == total {
            return StatusCode::BAD;
        }
        if good_percent != 100 - bad_percent && bad > 0 && bad * 100 >= bad_percent * total {
            return StatusCode::BAD;
        }
        if good * 100 >= good_percent * total { StatusCode::GOOD } else { UNCERTAIN_DATA_SUB_NORMAL }
    }

    fn interval(&self, start: i64, end: i64, shorter: bool) -> AggregateValue {
        use Aggregate as A;
        let aggregate = self.request.aggregate;
        let result = |ts: i64, value: Value, status: StatusCode, bits: InfoBits| AggregateValue {
            ts: Timestamp::from_micros(ts),
            value: if status.is_bad() { Value::Null } else { value },
            status: bits.on(status),
        };
        let none = |bits: InfoBits| result(start, Value::Null, StatusCode::BAD_NO_DATA, bits);
        if aggregate == A::Interpolative {
            return match self.interpolated_bound(start, self.request.stepped) {
                None => none(InfoBits::RAW),
                Some((value, status, raw)) => result(
                    start,
                    Value::Double(value),
                    status,
                    if raw { InfoBits::RAW } else { InfoBits::INTERPOLATED },
                ),
            };
        }
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else { return none(InfoBits::RAW) };
        let (first, last) = (first.ts.micros(), last.ts.micros());
        if first >= end || last < start {
            return none(InfoBits::RAW);
        }
        let partial = first > start || last < end || shorter;
        let bits = if partial && aggregate != A::Average { InfoBits::PARTIAL } else { InfoBits::RAW };
        let calculated = bits.with(InfoBits::CALCULATED);
        let inside: Vec<RawPoint> =
            self.points.iter().filter(|point| (start..end).contains(&point.ts.micros())).copied().collect();
        let of = |wanted: Quality| inside.iter().filter(move |point| quality(point) == wanted);
        let good: Vec<f64> = of(Quality::Good).map(|point| point.value).collect();
        let (bad, uncertain) = (of(Quality::Bad).count() as u64, of(Quality::Uncertain).count() as u64);
        let uncertain_is_bad = self.request.config.treat_uncertain_as_bad;
        let by_values =
            self.judge(good.len() as u64, bad + if uncertain_is_bad { uncertain } else { 0 }, inside.len() as u64);
        let doubtful = |doubtful| if doubtful { UNCERTAIN_DATA_SUB_NORMAL } else { StatusCode::GOOD };
        let whole = |count: usize, status: StatusCode| {
            let bits = if status.is_bad() { bits } else { calculated };
            result(start, Value::Int64(count as i64), status, bits)
        };
        match aggregate {
            A::Count => whole(good.len(), by_values),
            A::AnnotationCount => whole(0, StatusCode::GOOD),
            A::Average if good.is_empty() => none(bits),
            A::Average => {
                result(start, Value::Double(good.iter().sum::<f64>() / good.len() as f64), by_values, calculated)
            }
            A::NumberOfTransitions => {
                let mut held = self.last_before(start, |point| self.usable(point)).map(|point| point.value);
                let mut count = 0;
                for point in inside.iter().filter(|point| self.usable(point)) {
                    count += usize::from(held != Some(point.value));
                    held = Some(point.value);
                }
                whole(count, by_values)
            }
            A::Start | A::End => match if aggregate == A::Start { inside.first() } else { inside.last() } {
                None => none(bits),
                Some(point) => result(point.ts.micros(), Value::Double(point.value), honest(point), bits),
            },
            A::Delta if good.is_empty() => none(bits),
            A::Delta => {
                let ends = [inside[0], inside[inside.len() - 1]];
                let status = doubtful(ends.iter().any(|point| quality(point) != Quality::Good));
                result(start, Value::Double(good[good.len() - 1] - good[0]), status, calculated)
            }
            A::StandardDeviationSample | A::VarianceSample | A::StandardDeviationPopulation | A::VariancePopulation => {
                if good.is_empty() {
                    return none(bits);
                }
                let mean = good.iter().sum::<f64>() / good.len() as f64;
                let squares: f64 = good.iter().map(|value| (value - mean).powi(2)).sum();
                let sample = matches!(aggregate, A::StandardDeviationSample | A::VarianceSample);
                let degrees = good.len() - usize::from(sample);
                let variance = if degrees == 0 { 0.0 } else { squares / degrees as f64 };
                let root = matches!(aggregate, A::StandardDeviationSample | A::StandardDeviationPopulation);
                let value = if root { variance.sqrt() } else { variance };
                result(start, Value::Double(value), doubtful(bad + uncertain > 0), calculated)
            }
            A::Minimum | A::Maximum | A::MinimumActualTime | A::MaximumActualTime | A::Range => {
                if good.is_empty() {
                    return none(bits);
                }
                let low = good.iter().copied().fold(f64::INFINITY, f64::min);
                let high = good.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                let any_bad = bad > 0 || (uncertain_is_bad && uncertain > 0);
                let below = of(Quality::Uncertain).any(|point| point.value < low);
                let above = of(Quality::Uncertain).any(|point| point.value > high);
                if aggregate == A::Range {
                    return result(start, Value::Double(high - low), doubtful(any_bad || below || above), calculated);
                }
                let is_low = matches!(aggregate, A::Minimum | A::MinimumActualTime);
                let (best, unsure) = if is_low { (low, any_bad || below) } else { (high, any_bad || above) };
                let places: Vec<i64> =
                    of(Quality::Good).filter(|point| point.value == best).map(|point| point.ts.micros()).collect();
                let own_time = matches!(aggregate, A::MinimumActualTime | A::MaximumActualTime);
                let is_calculated = !own_time && (unsure || places[0] != start);
                let bits = if is_calculated { calculated } else { bits };
                let bits = if places.len() > 1 { bits.with(InfoBits::MULTIPLE_VALUES) } else { bits };
                result(if own_time { places[0] } else { start }, Value::Double(best), doubtful(unsure), bits)
            }
            A::WorstQuality | A::WorstQuality2 => {
                let mut all: Vec<(Quality, StatusCode)> =
                    inside.iter().map(|point| (quality(point), honest(point))).collect();
                if aggregate == A::WorstQuality2 && inside.first().is_none_or(|point| point.ts.micros() > start) {
                    let bound = self.simple_bound(start);
                    let status = bound.map_or(StatusCode::BAD_NO_DATA, |(_, status, _)| status);
                    let quality = match bound {
                        None => Quality::Bad,
                        Some((_, status, _)) if status.is_good() => Quality::Good,
                        Some(_) => Quality::Uncertain,
                    };
                    all.insert(0, (quality, status));
                }
                let Some(worst) = all.iter().map(|one| one.0).reduce(|a, b| if b > a { b } else { a }) else {
                    return none(bits);
                };
                let matching: Vec<StatusCode> = all.iter().filter(|one| one.0 == worst).map(|one| one.1).collect();
                let several = matching.len() > 1 && worst != Quality::Good;
                let bits = if several { calculated.with(InfoBits::MULTIPLE_VALUES) } else { calculated };
                result(start, Value::Int64(i64::from(matching[0].0)), StatusCode::GOOD, bits)
            }
            A::TimeAverage | A::Total => self.across(start, end, calculated, none(bits)),
            _ => self.by_ticks(start, end, last, bits),
        }
    }

    /// TimeAverage and Total: lines between usable points, tick by tick.
    fn across(&self, start: i64, end: i64, bits: InfoBits, none: AggregateValue) -> AggregateValue {
        let (mut area, mut ticks, mut certain) = (0.0, 0_u64, true);
        for tick in (start..end).step_by(TICK as usize) {
            let (Some((a, ..)), Some((b, ..))) =
                (self.interpolated_bound(tick, false), self.interpolated_bound(tick + TICK, false))
            else {
                certain = false;
                continue;
            };
            area += (a + b) / 2.0 * TICK as f64;
            ticks += 1;
            // Within a tick there is no point, so its middle tells of the whole.
            certain &= self.interpolated_bound(tick + TICK / 2, false).is_some_and(|middle| middle.1.is_good());
        }
        if ticks == 0 {
            return none;
        }
        let average = area / (ticks as f64 * TICK as f64);
        let value = if self.request.aggregate == Aggregate::Total { area / 1e6 } else { average };
        let status = if certain { StatusCode::GOOD } else { UNCERTAIN_DATA_SUB_NORMAL };
        AggregateValue { ts: Timestamp::from_micros(start), value: Value::Double(value), status: bits.on(status) }
    }

    /// The aggregates with simple bounds.
    fn by_ticks(&self, start: i64, end: i64, last: i64, bits: InfoBits) -> AggregateValue {
        use Aggregate as A;
        let aggregate = self.request.aggregate;
        let by_start = matches!(
            aggregate,
            A::DurationGood
                | A::DurationBad
                | A::PercentGood
                | A::PercentBad
                | A::DurationInStateZero
                | A::DurationInStateNonZero
        );
        // Data ends one tick after the last point.
        let known = if last < end { last + TICK } else { end };
        let ticks: Vec<(Quality, f64)> =
            (start..known).step_by(TICK as usize).map(|tick| self.tick(tick, start, by_start)).collect();
        let count = |wanted: Quality| ticks.iter().filter(|tick| tick.0 == wanted).count() as u64;
        let (good, uncertain, bad) = (count(Quality::Good), count(Quality::Uncertain), count(Quality::Bad));
        let bad_too = self.request.config.treat_uncertain_as_bad && aggregate != A::WorstQuality2;
        let by_time = if bad_too {
            self.judge(good, bad + uncertain, good + uncertain + bad)
        } else {
            self.judge(good + uncertain, bad, good + uncertain + bad)
        };
        let calculated = bits.with(InfoBits::CALCULATED);
        let result = |ts: i64, value: f64, status: StatusCode, bits: InfoBits| AggregateValue {
            ts: Timestamp::from_micros(ts),
            value: if status.is_bad() { Value::Null } else { Value::Double(value) },
            status: bits.on(status),
        };
        let none = || result(start, 0.0, StatusCode::BAD_NO_DATA, bits);
        let used: Vec<f64> = ticks.iter().filter(|tick| tick.0 != Quality::Bad).map(|tick| tick.1).collect();
        let in_state =
            |zero: bool| ticks.iter().filter(|tick| tick.0 == Quality::Good && (tick.1 == 0.0) == zero).count() as f64;
        let (begin, finish) = (self.simple_bound(start), self.simple_bound(end));
        let total = ticks.len() as f64;
        match aggregate {
            A::TimeAverage2 | A::Total2 if used.is_empty() => none(),
            A::TimeAverage2 => result(start, used.iter().sum::<f64>() / used.len() as f64, by_time, calculated),
            A::Total2 => result(start, used.iter().sum::<f64>() * TICK as f64 / 1e6, by_time, calculated),
            A::DurationInStateZero => result(start, in_state(true), by_time, calculated),
            A::DurationInStateNonZero => result(start, in_state(false), by_time, calculated),
            A::DurationGood => result(start, good as f64, StatusCode::GOOD, calculated),
            A::DurationBad => result(start, bad as f64, StatusCode::GOOD, calculated),
            A::PercentGood => result(start, good as f64 / total * 100.0, StatusCode::GOOD, calculated),
            A::PercentBad => result(start, bad as f64 / total * 100.0, StatusCode::GOOD, calculated),
            A::StartBound => match begin {
                None => none(),
                Some((value, status, true)) => result(start, value, status, bits),
                Some((value, status, false)) => result(start, value, status, bits.with(InfoBits::INTERPOLATED)),
            },
            A::EndBound => match finish {
                None => none(),
                Some((value, status, _)) => result(start, value, status, calculated),
            },
            A::DeltaBounds => match (begin, finish) {
                (Some(begin), Some(finish)) => {
                    let sure = begin.1.is_good() && finish.1.is_good();
                    let status = if sure { StatusCode::GOOD } else { UNCERTAIN_DATA_SUB_NORMAL };
                    result(start, finish.0 - begin.0, status, calculated)
                }
                _ => none(),
            },
            _ => {
                let mut all: Vec<(f64, i64, bool)> = begin.map(|begin| (begin.0, start, begin.2)).into_iter().collect();
                let inside = self.points.iter().filter(|point| point.ts.micros() > start && point.ts.micros() < end);
                all.extend(inside.filter(|p| self.usable(p)).map(|p| (p.value, p.ts.micros(), true)));
                if !self.request.stepped {
                    all.extend(finish.map(|finish| (finish.0, end, finish.2)));
                }
                let low = all.iter().map(|one| one.0).reduce(f64::min);
                let high = all.iter().map(|one| one.0).reduce(f64::max);
                let (Some(low), Some(high)) = (low, high) else { return none() };
                if aggregate == A::Range2 {
                    let status = if by_time.is_bad() { StatusCode::BAD_NO_DATA } else { by_time };
                    return result(start, high - low, status, calculated);
                }
                let best = if matches!(aggregate, A::Minimum2 | A::MinimumActualTime2) { low } else { high };
                let places: Vec<_> = all.iter().filter(|one| one.0 == best).collect();
                let (_, ts, raw) = *places[0];
                let several = if places.len() > 1 { bits.with(InfoBits::MULTIPLE_VALUES) } else { bits };
                if matches!(aggregate, A::MinimumActualTime2 | A::MaximumActualTime2) {
                    let interpolated = !raw || ts == end;
                    let bits = if interpolated { several.with(InfoBits::INTERPOLATED) } else { several };
                    return result(if ts == end { end - TICK } else { ts }, best, by_time, bits);
                }
                let bits = match (raw, ts == start) {
                    (false, _) => several.with(InfoBits::INTERPOLATED),
                    (true, true) => several,
                    (true, false) => several.with(InfoBits::CALCULATED),
                };
                result(start, best, by_time, bits)
            }
        }
    }
}
