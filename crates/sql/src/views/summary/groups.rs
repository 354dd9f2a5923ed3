//! What rows add up to, for each tag and stretch of time.

use super::super::samples;
use crate::functions::bin;
use crate::ports::Rows;
use andon_model::StatusCode;
use andon_model::column::{Quality, StretchSum, Values};
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, Int64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::{DataType, Float64Type, Int64Type};

/// Numbers that are added side by side.
const LANES: usize = 8;

/// A column that is summed up, without what is null.
pub(super) enum Column {
    Numbers(Float64Array),
    Whole(Int64Array),
    /// Only counted: which of them are not null.
    Other(Option<NullBuffer>),
}

impl Column {
    /// Of an expression's answer; where `kept` is not set it counts as null.
    pub(super) fn of(array: &ArrayRef, kept: Option<&NullBuffer>) -> Self {
        let nulls = NullBuffer::union(array.logical_nulls().as_ref(), kept);
        match array.data_type() {
            DataType::Float64 => {
                Self::Numbers(Float64Array::new(array.as_primitive::<Float64Type>().values().clone(), nulls))
            }
            DataType::Int64 => Self::Whole(Int64Array::new(array.as_primitive::<Int64Type>().values().clone(), nulls)),
            _ => Self::Other(nulls),
        }
    }
}

/// What the values of a group add up to.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sums {
    /// Numbers: neither null nor bad.
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    /// The sum of whole numbers; so wide that it never wraps around.
    pub(super) whole: i128,
}

/// The rows of one tag in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Group {
    pub(super) target: usize,
    pub(super) begin: i64,
    pub(super) rows: u64,
    /// Of the first input, the usual case; those of others in a list that is seldom needed.
    first: Sums,
    others: Vec<Sums>,
}

/// Groups in the order in which they were begun.
#[derive(Debug, Default)]
pub(super) struct Groups {
    pub(super) all: Vec<Group>,
    /// Of each group.
    inputs: usize,
    target: usize,
    /// The last group belongs to an earlier tag.
    fresh: bool,
    /// Where the stretch of the last group ends.
    end: i64,
}

impl Groups {
    /// With so many inputs to sum up.
    pub(super) fn new(inputs: usize) -> Self {
        Self { inputs, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// What the groups take in memory.
    pub(super) fn bytes(&self) -> usize {
        let others = self.inputs.saturating_sub(1) * size_of::<Sums>();
        self.all.capacity() * size_of::<Group>() + self.all.len() * others
    }

    /// Rows of another tag follow.
    pub(super) fn begin(&mut self, target: usize) {
        self.target = target;
        self.fresh = true;
    }

    pub(super) fn at_least_one(&mut self) {
        if self.all.is_empty() {
            self.push(0);
        }
    }

    fn push(&mut self, begin: i64) {
        self.fresh = false;
        let others = vec![Sums::default(); self.inputs.saturating_sub(1)];
        self.all.push(Group { target: self.target, begin, rows: 0, first: Sums::default(), others });
    }

    /// Begins a new group if the time belongs to none that is open.
    fn open(&mut self, ts: i64, width: Option<i64>) {
        if self.fresh || self.all.is_empty() || (width.is_some() && ts >= self.end) {
            let begin = width.map_or(0, |width| bin::begin(ts, width));
            self.end = width.map_or(i64::MAX, |width| begin.saturating_add(width));
            self.push(begin);
        }
    }

    /// Adds what rows add up to. They come after those that were added for this tag.
    pub(super) fn take_sum(&mut self, sum: &StretchSum, width: Option<i64>) {
        self.open(sum.first, width);
        let Some(group) = self.all.last_mut() else { return };
        group.rows += sum.rows;
        let Some((min, max)) = sum.extremes else { return };
        group.first.extreme(min, max);
        group.first.sum += sum.sum;
        group.first.count += sum.numbers;
    }

    /// Adds the values of a block. They come after those that were added for this tag.
    pub(super) fn take(&mut self, rows: &Rows, width: Option<i64>) {
        self.stretches(&rows.ts, width, |group, at, to| group.first.values(rows, at, to));
    }

    /// Adds a column for each input, as long as the times, which come after those that were added for this tag.
    pub(super) fn take_columns(&mut self, ts: &[i64], columns: &[Column], width: Option<i64>) {
        self.stretches(ts, width, |group, at, to| {
            for (input, column) in columns.iter().enumerate() {
                if let Some(sums) = group.sums_mut(input) {
                    sums.column(column, at, to);
                }
            }
        });
    }

    /// Takes ascending times apart into groups.
    fn stretches(&mut self, ts: &[i64], width: Option<i64>, mut take: impl FnMut(&mut Group, usize, usize)) {
        let mut at = 0;
        while at < ts.len() {
            self.open(ts[at], width);
            let rest = &ts[at..];
            let len = if width.is_none() { rest.len() } else { within(rest, self.end) };
            if let Some(group) = self.all.last_mut() {
                group.rows += len as u64;
                take(group, at, at + len);
            }
            at += len;
        }
    }

    /// Hands out the first groups.
    pub(super) fn split_to(&mut self, count: usize) -> Vec<Group> {
        let rest = self.all.split_off(count);
        std::mem::replace(&mut self.all, rest)
    }
}

/// How many of ascending times lie before `end`: at least one. Looks in steps that double, for stretches may be short or long.
fn within(ts: &[i64], end: i64) -> usize {
    let mut reach = 1;
    while reach < ts.len() && ts[reach] < end {
        reach *= 2;
    }
    let from = reach / 2;
    let to = reach.min(ts.len());
    (from + ts[from..to].partition_point(|ts| *ts < end)).max(1)
}

impl Group {
    /// What an input adds up to.
    pub(super) fn sums(&self, input: usize) -> &Sums {
        input.checked_sub(1).and_then(|other| self.others.get(other)).unwrap_or(&self.first)
    }

    fn sums_mut(&mut self, input: usize) -> Option<&mut Sums> {
        match input.checked_sub(1) {
            None => Some(&mut self.first),
            Some(other) => self.others.get_mut(other),
        }
    }
}

impl Sums {
    /// Adds part of a block's values.
    fn values(&mut self, rows: &Rows, at: usize, to: usize) {
        match (&rows.values, &rows.quality) {
            (_, Quality::Same(code)) if StatusCode(*code).is_bad() => {}
            (Values::Double(numbers), Quality::Same(_)) => self.numbers(&numbers[at..to]),
            (Values::Double(numbers), Quality::Each(codes)) => {
                let alike = |a: &u32, b: &u32| StatusCode(*a).is_bad() == StatusCode(*b).is_bad();
                let mut numbers = &numbers[at..to];
                for codes in codes[at..to].chunk_by(alike) {
                    let (these, others) = numbers.split_at(codes.len());
                    numbers = others;
                    if !StatusCode(codes[0]).is_bad() {
                        self.numbers(these);
                    }
                }
            }
            _ => (at..to).filter_map(|row| samples::number(rows, row)).for_each(|number| self.number(number)),
        }
    }

    /// Adds part of a column.
    fn column(&mut self, column: &Column, at: usize, to: usize) {
        match column {
            Column::Numbers(array) => valid(array.nulls(), at, to, |at, to| self.numbers(&array.values()[at..to])),
            Column::Whole(array) => valid(array.nulls(), at, to, |at, to| {
                self.whole += array.values()[at..to].iter().map(|number| i128::from(*number)).sum::<i128>();
                self.count += (to - at) as u64;
            }),
            Column::Other(nulls) => valid(nulls.as_ref(), at, to, |at, to| self.count += (to - at) as u64),
        }
    }

    /// Adds numbers, several side by side: one sum after the other would wait for each addition.
    fn numbers(&mut self, numbers: &[f64]) {
        let chunks = numbers.chunks_exact(LANES);
        let rest = chunks.remainder();
        let mut sums = [0.0_f64; LANES];
        let (mut smallest, mut largest, mut ordered) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES], true);
        for chunk in chunks {
            for lane in 0..LANES {
                let number = chunk[lane];
                sums[lane] += number;
                smallest[lane] = if number < smallest[lane] { number } else { smallest[lane] };
                largest[lane] = if number > largest[lane] { number } else { largest[lane] };
                ordered &= !number.is_nan();
            }
        }
        let (min, max) = smallest.into_iter().zip(largest).fold((f64::INFINITY, f64::NEG_INFINITY), |known, lane| {
            (if lane.0 < known.0 { lane.0 } else { known.0 }, if lane.1 > known.1 { lane.1 } else { known.1 })
        });
        // The quick comparisons know neither NaN nor the order of the zeros.
        if !ordered || ((min == 0.0 || max == 0.0) && numbers.iter().any(is_negative_zero)) {
            numbers.iter().for_each(|number| self.number(*number));
            return;
        }
        let count = numbers.len() - rest.len();
        if count > 0 {
            self.extreme(min, max);
            self.sum += sums.iter().sum::<f64>();
            self.count += count as u64;
        }
        rest.iter().for_each(|number| self.number(*number));
    }

    fn number(&mut self, number: f64) {
        self.extreme(number, number);
        self.sum += number;
        self.count += 1;
    }

    /// As PostgreSQL orders: NaN is above all numbers. Of the zeros, the negative one is the smaller.
    fn extreme(&mut self, min: f64, max: f64) {
        let (min, max) = (one_nan(min), one_nan(max));
        if self.count == 0 || min.total_cmp(&self.min).is_lt() {
            self.min = min;
        }
        if self.count == 0 || max.total_cmp(&self.max).is_gt() {
            self.max = max;
        }
    }
}

/// A total order would tell NaN from NaN, and put those with a sign below all numbers.
const fn one_nan(number: f64) -> f64 {
    if number.is_nan() { f64::NAN } else { number }
}

fn is_negative_zero(number: &f64) -> bool {
    *number == 0.0 && number.is_sign_negative()
}

/// The runs of what is not null between two rows.
fn valid(nulls: Option<&NullBuffer>, at: usize, to: usize, mut run: impl FnMut(usize, usize)) {
    match nulls {
        None => run(at, to),
        Some(nulls) => nulls.slice(at, to - at).valid_slices().for_each(|(from, end)| run(at + from, at + end)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![6 => -1e3..1e3_f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0), 1 => Just(-0.0)]
    }

    fn same(ours: &Sums, plain: &Sums) -> bool {
        (ours.count, ours.whole) == (plain.count, plain.whole)
            && (ours.min.to_bits(), ours.max.to_bits()) == (plain.min.to_bits(), plain.max.to_bits())
            && (ours.sum == plain.sum || ours.sum.is_nan() && plain.sum.is_nan() || (ours.sum - plain.sum).abs() < 1e-9)
    }

    #[test]
    fn in_every_order_the_smallest_is_a_number_and_nan_is_the_largest() {
        let cases: [(&[f64], f64, f64); 7] = [
            (&[1.0, f64::NAN, 3.0], 1.0, f64::NAN),
            (&[1.0, -f64::NAN, 3.0], 1.0, f64::NAN),
            (&[-f64::NAN, f64::NAN], f64::NAN, f64::NAN),
            (&[f64::NEG_INFINITY, -f64::NAN, f64::INFINITY, 0.0], f64::NEG_INFINITY, f64::NAN),
            (&[0.0, -0.0], -0.0, 0.0),
            (&[0.0, -0.0, 2.0, -0.0], -0.0, 2.0),
            (&[0.0, -0.0, -2.0, f64::INFINITY], -2.0, f64::INFINITY),
        ];
        for (values, min, max) in cases {
            for order in orders(values) {
                // One by one, and several times over so that they are compared side by side.
                for times in [1, 8, 9] {
                    let mut sums = Sums::default();
                    let each: Vec<f64> = order.iter().flat_map(|value| std::iter::repeat_n(*value, times)).collect();
                    sums.numbers(&each);
                    let bits = (sums.min.to_bits(), sums.max.to_bits());
                    assert_eq!(bits, (min.to_bits(), max.to_bits()), "{each:?}: {sums:?}");
                }
            }
        }
    }

    fn orders(values: &[f64]) -> Vec<Vec<f64>> {
        if values.is_empty() {
            return vec![Vec::new()];
        }
        let begin_with = |at: usize| {
            let mut rest = values.to_vec();
            let first = rest.remove(at);
            orders(&rest).into_iter().map(move |rest| [vec![first], rest].concat())
        };
        (0..values.len()).flat_map(begin_with).collect()
    }

    proptest! {
        #[test]
        fn side_by_side_or_one_by_one_numbers_add_up_to_the_same(runs in proptest::collection::vec(proptest::collection::vec(number(), 0..40), 0..4)) {
            let (mut ours, mut plain) = (Sums::default(), Sums::default());
            for run in &runs {
                ours.numbers(run);
                run.iter().for_each(|number| plain.number(*number));
            }
            prop_assert!(same(&ours, &plain), "{:?} {:?}", ours, plain);
        }

        #[test]
        fn a_column_adds_up_without_its_nulls_wherever_groups_begin(
            rows in proptest::collection::vec((1..9_i64, proptest::option::of(number()), any::<bool>()), 0..80),
            cut in 0..80_usize,
        ) {
            let (width, mut now) = (10, 0);
            let ts: Vec<i64> = rows.iter().map(|row| { now += row.0; now }).collect();
            let numbers: ArrayRef = Arc::new(rows.iter().map(|row| row.1).collect::<Float64Array>());
            let kept = NullBuffer::from(rows.iter().map(|row| row.2).collect::<Vec<bool>>());
            let mut groups = Groups::new(2);
            groups.begin(7);
            let cut = cut.min(ts.len());
            for (at, to) in [(0, cut), (cut, ts.len())] {
                let part = numbers.slice(at, to - at);
                let columns = [Column::of(&part, None), Column::of(&part, Some(&kept.slice(at, to - at)))];
                groups.take_columns(&ts[at..to], &columns, Some(width));
            }
            let mut begins: Vec<i64> = ts.iter().map(|ts| ts - ts % width).collect();
            begins.dedup();
            prop_assert_eq!(groups.all.iter().map(|group| group.begin).collect::<Vec<_>>(), begins);
            for group in &groups.all {
                let mine = || rows.iter().zip(&ts).filter(|(_, ts)| **ts - **ts % width == group.begin);
                prop_assert_eq!((group.target, group.rows), (7, mine().count() as u64));
                let mut plain = [Sums::default(), Sums::default()];
                for ((_, value, kept), _) in mine() {
                    value.iter().for_each(|value| plain[0].number(*value));
                    value.iter().filter(|_| *kept).for_each(|value| plain[1].number(*value));
                }
                for (input, plain) in plain.iter().enumerate() {
                    prop_assert!(same(group.sums(input), plain), "{:?} {:?}", group, plain);
                }
            }
        }
    }
}
