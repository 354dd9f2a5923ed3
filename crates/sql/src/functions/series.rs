//! `thin(path, from, to, n)` and `resample(path, from, to, step)`: one tag, read once, in little memory.
//!
//! `thin` gives at most about `n` samples that draw the same picture: first, smallest, largest and last of each stretch, and a
//! bad one where there is any. `resample` gives one row for each step of time with the time-weighted average, smallest,
//! largest and last value, and the share of time that was good; it looks back for the value with which the range begins.

use crate::engine::Caller;
use crate::error::SqlError;
use crate::ports::{Rows, Tag, Unreadable};
use crate::views::samples;
use crate::views::time;
use crate::views::whole::{Make, Whole};
use andon_model::column::{Quality, Values};
use andon_model::{Loss, StatusCode, Timestamp, Value};
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::Expr;
use std::collections::VecDeque;
use std::sync::Arc;

/// The most rows that either function gives.
const MAX_ROWS: i64 = 1_000_000;
/// How far `resample` looks for the value with which its range begins and to which it runs at the end, µs.
const LOOK_AROUND: [i64; 5] =
    [3_600_000_000, 86_400_000_000, 7 * 86_400_000_000, 31 * 86_400_000_000, 400 * 86_400_000_000];

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Fewer samples, the same picture.
    Thin,
    /// Regular steps of time.
    Resample,
}

impl Kind {
    /// Its name in SQL.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Thin => "thin",
            Self::Resample => "resample",
        }
    }

    fn schema(self) -> SchemaRef {
        match self {
            Self::Thin => samples::schema(),
            Self::Resample => Arc::new(Schema::new(vec![
                Field::new("path", DataType::Utf8View, false),
                Field::new("ts", time(), false),
                Field::new("value", DataType::Float64, true),
                Field::new("min", DataType::Float64, true),
                Field::new("max", DataType::Float64, true),
                Field::new("last", DataType::Float64, true),
                Field::new("samples", DataType::Int64, false),
                Field::new("good", DataType::Float64, false),
            ])),
        }
    }
}

/// The function, for one caller.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) caller: Caller,
    pub(crate) kind: Kind,
}

pub(super) fn bad(words: impl Into<String>) -> DataFusionError {
    DataFusionError::Plan(words.into())
}

fn literal(expr: &Expr) -> Option<&ScalarValue> {
    match expr {
        Expr::Literal(value, _) => Some(value),
        Expr::Alias(alias) => literal(&alias.expr),
        _ => None,
    }
}

pub(super) fn text_of(expr: &Expr) -> Option<&str> {
    literal(expr)?.try_as_str().flatten()
}

pub(super) fn time_of(expr: &Expr) -> Option<i64> {
    if let Some(text) = text_of(expr) {
        return crate::times::literal::moment(text);
    }
    match literal(expr)?.cast_to(&time()).ok()? {
        ScalarValue::TimestampMicrosecond(at, _) => at,
        _ => None,
    }
}

/// A width in µs: an interval without months, or its text.
fn width_of(expr: &Expr) -> Option<i64> {
    let value = literal(expr)?;
    let interval = DataType::Interval(arrow::datatypes::IntervalUnit::MonthDayNano);
    match value.cast_to(&interval).ok()? {
        ScalarValue::IntervalMonthDayNano(Some(v)) if v.months == 0 => {
            i64::from(v.days).checked_mul(86_400_000_000)?.checked_add(v.nanoseconds / 1000)
        }
        _ => None,
    }
}

impl TableFunctionImpl for Series {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let name = self.kind.name();
        let fourth = if self.kind == Kind::Thin { "n" } else { "step" };
        let [path, from, to, last] = args.exprs() else {
            return Err(bad(format!("{name} is called as {name}('path', from, to, {fourth})")));
        };
        let path =
            text_of(path).ok_or_else(|| bad(format!("the first argument of {name} is a tag's path, as text")))?;
        let at = |expr: &Expr, which: &str| {
            time_of(expr).ok_or_else(|| bad(format!("the {which} argument of {name} is a time, such as '2026-11-25T06:00:00Z' or now() - INTERVAL '1 day'")))
        };
        let (from, to) = (at(from, "second")?, at(to, "third")?);
        if from >= to {
            return Err(bad(format!("the times of {name} run backwards")));
        }
        let number = match self.kind {
            Kind::Thin => match literal(last).and_then(|value| value.cast_to(&DataType::Int64).ok()) {
                Some(ScalarValue::Int64(Some(n))) if (5..=MAX_ROWS).contains(&n) => n,
                _ => return Err(bad(format!("the fourth argument of thin is a number of samples, 5 to {MAX_ROWS}"))),
            },
            Kind::Resample => {
                let step = width_of(last).filter(|step| *step > 0);
                step.ok_or_else(|| {
                    bad("the fourth argument of resample is a step of time, such as INTERVAL '1 minute'")
                })?
            }
        };
        if self.kind == Kind::Resample && to.saturating_sub(from) / number >= MAX_ROWS {
            return Err(bad(format!("resample gives at most {MAX_ROWS} rows; take a longer step or a shorter time")));
        }
        // What may not be seen looks like what does not exist.
        let tags = self.caller.ports.catalog.tags();
        let tag = tags.into_iter().find(|tag| &*tag.path == path && self.caller.sees(&tag.path));
        let tag = tag.ok_or_else(|| bad(format!("there is no tag \"{path}\"")))?;
        Ok(Arc::new(Whole(Read {
            caller: self.caller.clone(),
            kind: self.kind,
            schema: self.kind.schema(),
            tag,
            from,
            to,
            number,
        })))
    }
}

/// One call.
#[derive(Debug, Clone)]
struct Read {
    caller: Caller,
    kind: Kind,
    schema: SchemaRef,
    tag: Tag,
    from: i64,
    to: i64,
    number: i64,
}

impl Make for Read {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    async fn make(self) -> Result<RecordBatch> {
        let mut reading = self.begin();
        // One block at a time on a thread that may wait.
        loop {
            let step = tokio::task::spawn_blocking(move || reading.step()).await;
            match step.map_err(|fault| DataFusionError::Execution(format!("reading history failed: {fault}")))?? {
                Step::More(next) => reading = *next,
                Step::Done(batch) => return Ok(batch),
            }
        }
    }
}

/// A sample as the folds see it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    ts: i64,
    value: Value,
    status: u32,
}

impl Sample {
    fn good(&self) -> Option<f64> {
        if StatusCode(self.status).is_bad() { None } else { self.value.as_f64() }
    }
}

fn sample(rows: &Rows, at: usize) -> Sample {
    Sample { ts: rows.ts[at], value: rows.values.get(at), status: rows.quality.get(at).0 }
}

enum Fold {
    Thin(Thinning),
    Resample(Resampling),
}

struct Reading {
    call: Read,
    blocks: Option<Box<dyn crate::ports::Blocks>>,
    fold: Fold,
}

enum Step {
    More(Box<Reading>),
    Done(RecordBatch),
}

impl Read {
    fn begin(self) -> Reading {
        let fold = match self.kind {
            Kind::Thin => Fold::Thin(Thinning::new(self.from, self.to, self.number)),
            Kind::Resample => {
                let fold = Resampling::new(self.from, self.to, self.number, self.tag.stepped);
                Fold::Resample(fold.without(self.caller.ports.history.lost(self.tag.id)))
            }
        };
        Reading { call: self, blocks: None, fold }
    }

    fn error(&self, unreadable: &Unreadable) -> DataFusionError {
        SqlError::Damaged(format!("history of {}: {unreadable}", self.tag.path)).into()
    }

    /// The last sample before the range.
    fn before(&self) -> Result<Option<Sample>> {
        let mut upto = self.from;
        for back in LOOK_AROUND {
            self.caller.still()?;
            let start = self.from.saturating_sub(back);
            let mut blocks = self.caller.ports.history.open();
            blocks.begin(self.tag.id, start, upto);
            let mut last = None;
            while let Some(rows) = blocks.next() {
                let rows = rows.map_err(|unreadable| self.error(&unreadable))?;
                last = rows.ts.len().checked_sub(1).map(|at| sample(&rows, at)).or(last);
            }
            if last.is_some() {
                return Ok(last);
            }
            upto = start;
        }
        Ok(None)
    }

    /// The first sample behind the range.
    fn after(&self) -> Result<Option<Sample>> {
        let mut from = self.to;
        for ahead in LOOK_AROUND {
            self.caller.still()?;
            let end = self.to.saturating_add(ahead);
            let mut blocks = self.caller.ports.history.open();
            blocks.begin(self.tag.id, from, end);
            while let Some(rows) = blocks.next() {
                let rows = rows.map_err(|unreadable| self.error(&unreadable))?;
                if !rows.ts.is_empty() {
                    return Ok(Some(sample(&rows, 0)));
                }
            }
            from = end;
        }
        Ok(None)
    }
}

impl Reading {
    fn step(mut self) -> Result<Step> {
        self.call.caller.still().map_err(|error: SqlError| DataFusionError::from(error))?;
        let Some(blocks) = &mut self.blocks else {
            if let Fold::Resample(fold) = &mut self.fold {
                fold.begin(self.call.before()?);
            }
            let mut blocks = self.call.caller.ports.history.open();
            blocks.begin(self.call.tag.id, self.call.from, self.call.to);
            self.blocks = Some(blocks);
            return Ok(Step::More(Box::new(self)));
        };
        match blocks.next() {
            Some(rows) => {
                let rows = rows.map_err(|unreadable| self.call.error(&unreadable))?;
                for at in 0..rows.ts.len() {
                    match &mut self.fold {
                        Fold::Thin(fold) => fold.take(sample(&rows, at)),
                        Fold::Resample(fold) => fold.take(&sample(&rows, at)),
                    }
                }
                Ok(Step::More(Box::new(self)))
            }
            None => Ok(Step::Done(match self.fold {
                Fold::Thin(fold) => thinned(&self.call.tag.path, fold.finish())?,
                Fold::Resample(mut fold) => {
                    if !fold.stepped {
                        fold.run_to(self.call.after()?);
                    }
                    let now = self.call.caller.ports.catalog.now_us();
                    resampled(&self.call.schema, &self.call.tag.path, &fold.finish(now))?
                }
            })),
        }
    }
}

// ---- thinning ----

/// The samples of one stretch that must stay, in the order of time once finished.
#[derive(Default)]
struct Stretch {
    first: Option<Sample>,
    low: Option<Sample>,
    high: Option<Sample>,
    bad: Option<Sample>,
    last: Option<Sample>,
}

struct Thinning {
    from: i64,
    width: i64,
    at: i64,
    open: Stretch,
    kept: Vec<Sample>,
}

impl Thinning {
    fn new(from: i64, to: i64, n: i64) -> Self {
        let stretches = (n / 5).max(1);
        let width =
            i64::try_from((i128::from(to) - i128::from(from)).div_ceil_by(stretches)).unwrap_or(i64::MAX).max(1);
        Self { from, width, at: 0, open: Stretch::default(), kept: Vec::new() }
    }

    fn take(&mut self, sample: Sample) {
        let at = sample.ts.saturating_sub(self.from) / self.width;
        if at != self.at {
            self.close();
            self.at = at;
        }
        let open = &mut self.open;
        match sample.good() {
            None if StatusCode(sample.status).is_bad() => {
                open.bad.get_or_insert_with(|| sample.clone());
            }
            None => {}
            Some(value) => {
                if open.low.as_ref().and_then(Sample::good).is_none_or(|low| value < low) {
                    open.low = Some(sample.clone());
                }
                if open.high.as_ref().and_then(Sample::good).is_none_or(|high| value > high) {
                    open.high = Some(sample.clone());
                }
            }
        }
        open.first.get_or_insert_with(|| sample.clone());
        open.last = Some(sample);
    }

    fn close(&mut self) {
        let Stretch { first, low, high, bad, last } = std::mem::take(&mut self.open);
        let mut all: Vec<Sample> = [first, low, high, bad, last].into_iter().flatten().collect();
        all.sort_by_key(|sample| sample.ts);
        all.dedup_by_key(|sample| sample.ts);
        self.kept.extend(all);
    }

    fn finish(mut self) -> Vec<Sample> {
        self.close();
        self.kept
    }
}

trait DivCeilBy {
    fn div_ceil_by(self, parts: i64) -> i128;
}

impl DivCeilBy for i128 {
    /// For what is not negative.
    fn div_ceil_by(self, parts: i64) -> i128 {
        (self + i128::from(parts) - 1) / i128::from(parts)
    }
}

fn thinned(path: &str, kept: Vec<Sample>) -> Result<RecordBatch> {
    let rows = Rows {
        ts: kept.iter().map(|sample| sample.ts).collect(),
        quality: Quality::Each(kept.iter().map(|sample| sample.status).collect()),
        values: Values::Mixed(kept.into_iter().map(|sample| sample.value).collect()),
    };
    samples::batch_of(path, &rows)
}

// ---- resampling ----

/// One step of time.
#[derive(Debug, Clone, Default, PartialEq)]
struct Bucket {
    area: f64,
    /// µs that count.
    span: f64,
    sum: f64,
    count: f64,
    min: Option<f64>,
    max: Option<f64>,
    last: Option<f64>,
    samples: i64,
}

struct Resampling {
    from: i64,
    to: i64,
    step: i64,
    stepped: bool,
    buckets: Vec<Bucket>,
    before: Option<(i64, Option<f64>)>,
    /// What no sample has reached yet, ascending.
    lost: VecDeque<Loss>,
}

#[expect(clippy::cast_precision_loss, reason = "µs within a range of samples")]
impl Resampling {
    fn new(from: i64, to: i64, step: i64, stepped: bool) -> Self {
        let len = usize::try_from((i128::from(to) - i128::from(from)).div_ceil_by(step)).unwrap_or(0);
        Self { from, to, step, stepped, buckets: vec![Bucket::default(); len], before: None, lost: VecDeque::new() }
    }

    /// In these stretches nothing is known.
    fn without(mut self, lost: Vec<Loss>) -> Self {
        self.lost = Loss::in_order(lost).into();
        self
    }

    fn begin(&mut self, before: Option<Sample>) {
        self.before = before.map(|sample| (sample.ts, sample.good()));
    }

    fn place(&self, ts: i64) -> usize {
        let since = i128::from(ts) - i128::from(self.from);
        usize::try_from(since / i128::from(self.step)).unwrap_or(0)
    }

    fn take(&mut self, sample: &Sample) {
        let value = sample.good();
        self.reach(sample.ts, value);
        let place = self.place(sample.ts);
        if let Some(bucket) = self.buckets.get_mut(place) {
            bucket.samples += 1;
            bucket.last = value.or(bucket.last);
            if let Some(value) = value {
                bucket.sum += value;
                bucket.count += 1.0;
                widen(bucket, value);
            }
        }
        self.before = Some((sample.ts, value));
    }

    /// The line goes on to this sample behind the range, as far as the range goes.
    fn run_to(&mut self, after: Option<Sample>) {
        if let Some(after) = after {
            self.reach(after.ts, after.good());
        }
    }

    /// Adds what lies between the sample before and the one at `to`, within the range.
    fn reach(&mut self, to: i64, value: Option<f64>) {
        let Some((from, Some(start))) = self.before else { return };
        let end = if self.stepped { Some(start) } else { value };
        let Some(end) = end else { return };
        if to <= from {
            return;
        }
        let slope = (end - start) / to.abs_diff(from) as f64;
        let at = |ts: i64| start + slope * ts.abs_diff(from) as f64;
        let mut ts = from.max(self.from);
        let [before, after] = [from, to].map(Timestamp::from_micros);
        while let Some(loss) = self.lost.front().copied().filter(|loss| loss.from < after) {
            if let Some(lost) = loss.between(before, after) {
                self.add(ts, lost.from.micros().min(self.to), at);
                ts = ts.max(lost.to.micros());
            }
            if after < loss.to {
                break;
            }
            self.lost.pop_front();
        }
        self.add(ts, to.min(self.to), at);
    }

    /// Adds a stretch in which the value is known.
    fn add(&mut self, mut ts: i64, to: i64, at: impl Fn(i64) -> f64) {
        while ts < to {
            let place = self.place(ts);
            let edge = begin_of(self.from, self.step, place.saturating_add(1));
            let until = edge.min(to);
            let Some(bucket) = self.buckets.get_mut(place) else { return };
            let span = until.abs_diff(ts) as f64;
            bucket.area += f64::midpoint(at(ts), at(until)) * span;
            bucket.span += span;
            widen(bucket, at(ts));
            if !self.stepped {
                widen(bucket, at(until));
            }
            ts = until;
        }
    }

    /// Until the end of the range, or until now, a value that holds goes on holding.
    fn finish(mut self, now: i64) -> Self {
        if self.stepped {
            self.reach(self.to.min(now), None);
        }
        self
    }
}

/// When a step of time begins; at the end of time at the latest.
fn begin_of(from: i64, step: i64, place: usize) -> i64 {
    let after = i128::from(step).saturating_mul(i128::try_from(place).unwrap_or(i128::MAX));
    i64::try_from(i128::from(from).saturating_add(after)).unwrap_or(i64::MAX)
}

fn widen(bucket: &mut Bucket, value: f64) {
    bucket.min = Some(bucket.min.map_or(value, |min| min.min(value)));
    bucket.max = Some(bucket.max.map_or(value, |max| max.max(value)));
}

#[expect(clippy::cast_precision_loss, reason = "a step in µs")]
fn resampled(schema: &SchemaRef, path: &str, filled: &Resampling) -> Result<RecordBatch> {
    let Resampling { from, to, step, buckets, .. } = filled;
    let starts: Vec<i64> = (0..buckets.len()).map(|place| begin_of(*from, *step, place)).collect();
    // The last step may be cut short by the end of the range.
    let share =
        |(bucket, start): (&Bucket, &i64)| (bucket.span / start.abs_diff(*to).min(step.unsigned_abs()) as f64).min(1.0);
    let good = buckets.iter().zip(&starts).map(share).collect::<Float64Array>();
    let average = |bucket: &Bucket| {
        if bucket.span > 0.0 {
            Some(bucket.area / bucket.span)
        } else {
            (bucket.count > 0.0).then(|| bucket.sum / bucket.count)
        }
    };
    let columns: Vec<ArrayRef> = vec![
        Arc::new(buckets.iter().map(|_| Some(path)).collect::<StringViewArray>()),
        Arc::new(TimestampMicrosecondArray::from(starts).with_timezone("UTC")),
        Arc::new(buckets.iter().map(average).collect::<Float64Array>()),
        Arc::new(buckets.iter().map(|bucket| bucket.min).collect::<Float64Array>()),
        Arc::new(buckets.iter().map(|bucket| bucket.max).collect::<Float64Array>()),
        Arc::new(buckets.iter().map(|bucket| bucket.last).collect::<Float64Array>()),
        Arc::new(buckets.iter().map(|bucket| Some(bucket.samples)).collect::<Int64Array>()),
        Arc::new(good),
    ];
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(ts: i64, value: f64) -> Sample {
        Sample { ts, value: Value::Double(value), status: 0 }
    }

    #[test]
    fn thinning_keeps_extremes_and_bad_samples() {
        let mut fold = Thinning::new(0, 1000, 20);
        for ts in 0..1000 {
            let value = if ts == 333 {
                99.0
            } else if ts == 777 {
                -99.0
            } else {
                1.0
            };
            let mut sample = point(ts, value);
            if ts == 555 {
                sample.status = StatusCode::BAD.0;
            }
            fold.take(sample);
        }
        let kept = fold.finish();
        assert!(kept.len() <= 20 && kept.is_sorted_by_key(|sample| sample.ts));
        for must in [0, 333, 555, 777, 999] {
            assert!(kept.iter().any(|sample| sample.ts == must), "{must}");
        }
    }

    #[test]
    fn resampling_weighs_by_time_and_begins_with_the_value_before() {
        let mut fold = Resampling::new(0, 30, 10, true);
        fold.begin(Some(point(-100, 4.0)));
        fold.take(&point(5, 8.0));
        let Resampling { buckets, .. } = fold.finish(25);
        let average = |b: &Bucket| (b.area / b.span, b.span);
        assert_eq!(buckets.iter().map(average).collect::<Vec<_>>(), [(6.0, 10.0), (8.0, 10.0), (8.0, 5.0)]);
        let mut sloped = Resampling::new(0, 20, 10, false);
        sloped.begin(Some(point(-10, 0.0)));
        sloped.take(&point(10, 20.0));
        assert_eq!(sloped.buckets[1].span, 0.0, "nothing is known behind the last sample");
        sloped.run_to(Some(point(30, 40.0)));
        assert_eq!((sloped.buckets[1].area / sloped.buckets[1].span, sloped.buckets[1].span), (25.0, 10.0));
        let Resampling { buckets, .. } = sloped.finish(100);
        assert_eq!((buckets[0].area / buckets[0].span, buckets[0].min, buckets[0].max), (15.0, Some(10.0), Some(20.0)));
        assert_eq!((buckets[1].max, buckets[1].samples), (Some(30.0), 1));
    }

    #[test]
    fn all_of_time_is_resampled_without_overflow() {
        for step in [i64::MAX, 1_000_000 * 86_400_000_000] {
            for stepped in [true, false] {
                let mut fold = Resampling::new(i64::MIN, i64::MAX, step, stepped);
                fold.begin(None);
                for ts in [i64::MIN, -5, 0, i64::MAX - 1] {
                    fold.take(&point(ts, 1.0));
                }
                let filled = fold.finish(i64::MAX);
                assert!(filled.buckets.iter().all(|bucket| bucket.max == Some(1.0)), "{step}");
                assert!(resampled(&Kind::Resample.schema(), "a", &filled).is_ok());
            }
        }
    }

    #[test]
    fn what_was_lost_is_no_good_time() {
        const SECOND: i64 = 1_000_000;
        let at = |seconds: i64| Timestamp::from_micros(seconds * SECOND);
        let lost = [
            Loss { from: at(-60), to: at(-50), goes_on: true, in_doubt: false },
            Loss { from: at(105), to: at(125), goes_on: true, in_doubt: false },
        ];
        for (stepped, averages) in [(true, [4.0, 4.0, 4.0]), (false, [9.0, 11.0, (5.0 * 12.1 + 25.0 * 13.5) / 30.0])] {
            let mut fold = Resampling::new(0, 150 * SECOND, 50 * SECOND, stepped).without(lost.to_vec());
            fold.begin(Some(point(-100 * SECOND, 4.0)));
            fold.take(&point(150 * SECOND, 14.0));
            let Resampling { buckets, .. } = fold.finish(0);
            assert_eq!(buckets.iter().map(|b| b.span / 1e6).collect::<Vec<_>>(), [50.0, 50.0, 30.0]);
            let close = |(b, right): (&Bucket, f64)| (b.area / b.span - right).abs() < 1e-9;
            assert!(buckets.iter().zip(averages).all(close), "{buckets:?}");
        }
    }

    #[test]
    fn a_bad_sample_is_a_hole() {
        let mut fold = Resampling::new(0, 30, 10, true);
        fold.take(&point(0, 1.0));
        fold.take(&Sample { ts: 10, value: Value::Double(500.0), status: StatusCode::BAD.0 });
        fold.take(&point(20, 3.0));
        let Resampling { buckets, .. } = fold.finish(1000);
        assert_eq!(
            buckets.iter().map(|b| (b.span, b.max)).collect::<Vec<_>>(),
            [(10.0, Some(1.0)), (0.0, None), (10.0, Some(3.0))]
        );
    }
}
