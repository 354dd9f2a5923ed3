//! `time_weighted_average(ts, value [, stepped])`: what a value was on average over time, not over samples.
//!
//! Between two samples the value runs in a straight line, or holds when `stepped` is true. A null value (a bad sample is one)
//! is not a number: what touches it in a straight line, or follows it in steps, does not count, neither as value nor as
//! time. Where no time counts (a single sample), it is the plain average of the good samples.
//!
//! Rows come in batches, perhaps on several threads. Each batch becomes a run with its ends and its area; the runs are joined
//! in the order of time at the end. Runs that overlap are the samples of several tags, which have no common average: an error.

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::datatypes::{DataType, Field, FieldRef, Float64Type, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDFImpl, Signature, TypeSignature, Volatility};
use std::mem::size_of_val;
use std::sync::Arc;

#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct TimeWeightedAverage {
    signature: Signature,
}

impl TimeWeightedAverage {
    pub(super) fn new() -> Self {
        let times = crate::views::time();
        let both = vec![times.clone(), DataType::Float64];
        let all = vec![times, DataType::Float64, DataType::Boolean];
        let forms = vec![TypeSignature::Exact(both), TypeSignature::Exact(all)];
        Self { signature: Signature::one_of(forms, Volatility::Immutable) }
    }
}

/// Samples that follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Run {
    first: (i64, Option<f64>),
    last: (i64, Option<f64>),
    /// Value times µs.
    area: f64,
    /// µs that count.
    span: f64,
    /// Sum and number of the good samples.
    sum: f64,
    count: f64,
}

impl Run {
    fn one(ts: i64, value: Option<f64>) -> Self {
        Self {
            first: (ts, value),
            last: (ts, value),
            area: 0.0,
            span: 0.0,
            sum: value.unwrap_or(0.0),
            count: f64::from(u8::from(value.is_some())),
        }
    }

    /// Joins what comes later.
    fn join(&mut self, later: &Self, stepped: bool) {
        let (from, to) = (self.last, later.first);
        #[expect(clippy::cast_precision_loss, reason = "µs between two samples; 2^53 µs are 285 years")]
        let span = to.0.saturating_sub(from.0) as f64;
        let height = match (from.1, to.1, stepped) {
            (Some(from), _, true) => Some(from),
            (Some(from), Some(to), false) => Some(f64::midpoint(from, to)),
            _ => None,
        };
        if let Some(height) = height {
            self.area += height * span;
            self.span += span;
        }
        self.area += later.area;
        self.span += later.span;
        self.sum += later.sum;
        self.count += later.count;
        self.last = later.last;
    }

    fn average(&self) -> Option<f64> {
        if self.span > 0.0 { Some(self.area / self.span) } else { (self.count > 0.0).then(|| self.sum / self.count) }
    }
}

#[derive(Debug, Default)]
struct Runs {
    runs: Vec<Run>,
    stepped: bool,
}

impl Runs {
    fn joined(&mut self) -> Result<Option<Run>> {
        self.runs.sort_by_key(|run| (run.first.0, run.last.0));
        let mut runs = self.runs.iter();
        let Some(mut all) = runs.next().copied() else { return Ok(None) };
        for run in runs {
            if run.first.0 < all.last.0 {
                return exec_err!(
                    "time_weighted_average has samples of several tags, or out of order, in one group; add path to GROUP BY, or select one tag and order by ts"
                );
            }
            all.join(run, self.stepped);
        }
        Ok(Some(all))
    }
}

impl AggregateUDFImpl for TimeWeightedAverage {
    fn name(&self) -> &'static str {
        "time_weighted_average"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Float64)
    }

    fn accumulator(&self, _: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(Runs::default()))
    }

    fn state_fields(&self, args: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        // A run is eight numbers, an absent value NaN; the last item tells whether the value holds.
        let items =
            Field::new_list(format!("{}_runs", args.name), Field::new_list_field(DataType::Float64, true), true);
        let times = Field::new_list(format!("{}_times", args.name), Field::new_list_field(DataType::Int64, true), true);
        let stepped = Field::new(format!("{}_stepped", args.name), DataType::Boolean, true);
        Ok(vec![Arc::new(items), Arc::new(times), Arc::new(stepped)])
    }
}

impl Accumulator for Runs {
    fn update_batch(&mut self, columns: &[ArrayRef]) -> Result<()> {
        let [ts, value, rest @ ..] = columns else {
            return exec_err!("time_weighted_average takes a time and a value");
        };
        let (ts, value) = (ts.as_primitive::<TimestampMicrosecondType>(), value.as_primitive::<Float64Type>());
        if let [stepped] = rest {
            let stepped = stepped.as_boolean();
            self.stepped |= (0..stepped.len()).any(|row| stepped.is_valid(row) && stepped.value(row));
        }
        let point = |row: usize| (ts.value(row), value.is_valid(row).then(|| value.value(row)));
        let mut run: Option<Run> = None;
        for (ts, value) in (0..ts.len()).filter(|row| ts.is_valid(*row)).map(point) {
            match &mut run {
                Some(run) if ts >= run.last.0 => run.join(&Run::one(ts, value), self.stepped),
                // A step back in time begins another run; whether the two fit is seen at the end.
                other => self.runs.extend(other.replace(Run::one(ts, value))),
            }
        }
        self.runs.extend(run);
        Ok(())
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        Ok(ScalarValue::Float64(self.joined()?.and_then(|run| run.average())))
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.runs.capacity() * size_of::<Run>()
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let number = |value: Option<f64>| ScalarValue::Float64(value);
        let numbers = self.runs.iter().flat_map(|run| {
            [run.first.1, run.last.1, Some(run.area), Some(run.span), Some(run.sum), Some(run.count)].map(number)
        });
        let times = self.runs.iter().flat_map(|run| [run.first.0, run.last.0].map(|at| ScalarValue::Int64(Some(at))));
        let numbers: Vec<_> = numbers.collect();
        let times: Vec<_> = times.collect();
        Ok(vec![
            ScalarValue::List(ScalarValue::new_list_nullable(&numbers, &DataType::Float64)),
            ScalarValue::List(ScalarValue::new_list_nullable(&times, &DataType::Int64)),
            ScalarValue::Boolean(Some(self.stepped)),
        ])
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let [numbers, times, stepped] = states else {
            return exec_err!("time_weighted_average has a state of three parts");
        };
        let (numbers, times, stepped) = (numbers.as_list::<i32>(), times.as_list::<i32>(), stepped.as_boolean());
        for row in 0..numbers.len() {
            if numbers.is_null(row) || times.is_null(row) {
                continue;
            }
            self.stepped |= stepped.is_valid(row) && stepped.value(row);
            let (numbers, times) = (numbers.value(row), times.value(row));
            let numbers = numbers.as_primitive::<Float64Type>();
            let times: &Int64Array = times.as_primitive();
            let maybe = |at: usize| numbers.is_valid(at).then(|| numbers.value(at));
            for run in 0..times.len() / 2 {
                let at = run * 6;
                let part = |part: usize| maybe(at + part).unwrap_or(0.0);
                self.runs.push(Run {
                    first: (times.value(run * 2), maybe(at)),
                    last: (times.value(run * 2 + 1), maybe(at + 1)),
                    area: part(2),
                    span: part(3),
                    sum: part(4),
                    count: part(5),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn average(points: &[(i64, Option<f64>)], stepped: bool, cut: usize) -> Option<f64> {
        let run = |points: &[(i64, Option<f64>)]| {
            let mut points = points.iter().map(|(ts, value)| Run::one(*ts, *value));
            let mut first = points.next()?;
            points.for_each(|point| first.join(&point, stepped));
            Some(first)
        };
        let runs = [run(&points[cut..]), run(&points[..cut])].into_iter().flatten().collect();
        Runs { runs, stepped }.joined().expect("in order").and_then(|run| run.average())
    }

    #[test]
    fn the_average_is_over_time_wherever_it_is_cut() {
        let points = [(0, Some(0.0)), (10, Some(10.0)), (30, Some(10.0)), (40, Some(0.0))];
        for cut in 0..=points.len() {
            assert_eq!(average(&points, false, cut), Some(7.5), "cut at {cut}");
            assert_eq!(average(&points, true, cut), Some(7.5), "cut at {cut}");
        }
    }

    #[test]
    fn a_bad_sample_counts_neither_as_value_nor_as_time() {
        let points = [(0, Some(1.0)), (10, Some(1.0)), (20, None), (30, Some(5.0)), (40, Some(5.0))];
        assert_eq!(average(&points, false, 2), Some(3.0));
        assert_eq!(average(&points, true, 2), Some((10.0 + 10.0 + 50.0) / 30.0));
        assert_eq!(average(&[(0, None)], false, 0), None);
        assert_eq!(average(&[(0, Some(4.0))], false, 0), Some(4.0));
    }

    #[test]
    fn samples_of_several_tags_are_an_error() {
        let run = |from, to| Run {
            first: (from, Some(1.0)),
            last: (to, Some(1.0)),
            area: 0.0,
            span: 1.0,
            sum: 0.0,
            count: 0.0,
        };
        assert!(Runs { runs: vec![run(0, 10), run(5, 15)], stepped: false }.joined().is_err());
    }
}
