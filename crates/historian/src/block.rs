//! Rows of one tag in columns: what buffer, files and merges hand to each other.
//!
//! A block is ascending by source time, each time once. Nothing here is per row but plain numbers, so that a trend or an
//! average runs over slices; only values that are neither doubles nor whole numbers are boxed in [`Values::Mixed`].

use crate::point::Point;
use andon_model::column::{Quality, Values};
use andon_model::{Timestamp, Value};
use std::ops::Range;

/// The most rows in a block that a file hands out.
pub(crate) const BLOCK_ROWS: usize = 64 * 1024;

/// Rows of one tag. All columns have the length of `ts`.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    /// Source times, µs since 1970-01-01 UTC, strictly ascending.
    pub ts: Vec<i64>,
    /// The values, of exactly the classes that were stored.
    pub values: Values,
    /// OPC UA status codes.
    pub quality: Quality,
    /// Received minus source time, ms; empty where it was not asked for.
    pub received_ms: Vec<i64>,
}

impl Block {
    /// A block without rows.
    pub(crate) const fn empty() -> Self {
        Self { ts: Vec::new(), values: Values::Mixed(Vec::new()), quality: Quality::Same(0), received_ms: Vec::new() }
    }

    /// How many rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ts.len()
    }

    /// The value of a row; null behind the last.
    #[must_use]
    pub fn value(&self, at: usize) -> Value {
        self.values.get(at)
    }

    /// Whether there is no row; never so in a block that a scan hands out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ts.is_empty()
    }

    /// The value as a number, if it is one.
    #[must_use]
    pub fn number(&self, at: usize) -> Option<f64> {
        self.values.number(at)
    }

    /// The status code of a row.
    #[must_use]
    pub fn status(&self, at: usize) -> u32 {
        self.quality.get(at).0
    }

    pub(crate) fn point(&self, at: usize) -> Option<Point> {
        let ts = Timestamp::from_micros(*self.ts.get(at)?);
        Some(Point { ts, value: self.value(at), quality: self.quality.get(at) })
    }

    /// Positions with `from <= ts < to`.
    pub(crate) fn within(&self, from: i64, to: i64) -> Range<usize> {
        let start = self.ts.partition_point(|ts| *ts < from);
        start..self.ts.partition_point(|ts| *ts < to).max(start)
    }

    /// Only these rows.
    pub(crate) fn slice(&self, rows: Range<usize>) -> Self {
        fn part<T: Clone>(all: &[T], rows: &Range<usize>) -> Vec<T> {
            all.get(rows.clone()).unwrap_or_default().to_vec()
        }
        Self {
            ts: part(&self.ts, &rows),
            values: match &self.values {
                Values::Double(values) => Values::Double(part(values, &rows)),
                Values::Int(values) => Values::Int(part(values, &rows)),
                Values::Mixed(values) => Values::Mixed(part(values, &rows)),
            },
            quality: match &self.quality {
                Quality::Same(code) => Quality::Same(*code),
                Quality::Each(codes) => Quality::Each(part(codes, &rows)),
            },
            received_ms: part(&self.received_ms, &rows),
        }
    }

    /// Adds rows of another block behind the last one.
    pub(crate) fn append(&mut self, other: &Self, rows: Range<usize>) {
        if rows.is_empty() {
            return;
        }
        if self.ts.is_empty() {
            *self = other.slice(rows);
            return;
        }
        let length = self.ts.len();
        match (&mut self.values, &other.values) {
            (Values::Double(ours), Values::Double(theirs)) => {
                ours.extend_from_slice(theirs.get(rows.clone()).unwrap_or_default());
            }
            (Values::Int(ours), Values::Int(theirs)) => {
                ours.extend_from_slice(theirs.get(rows.clone()).unwrap_or_default());
            }
            (Values::Mixed(ours), _) => ours.extend(rows.clone().map(|at| other.value(at))),
            (ours, _) => {
                let mut mixed = std::mem::replace(ours, Values::Mixed(Vec::new())).into_mixed();
                mixed.extend(rows.clone().map(|at| other.value(at)));
                *ours = Values::Mixed(mixed);
            }
        }
        match (&mut self.quality, &other.quality) {
            (Quality::Same(ours), Quality::Same(theirs)) if ours == theirs => {}
            (Quality::Each(ours), _) => ours.extend(rows.clone().map(|at| other.status(at))),
            (Quality::Same(ours), _) => {
                let mut each = vec![*ours; length];
                each.extend(rows.clone().map(|at| other.status(at)));
                self.quality = Quality::Each(each);
            }
        }
        self.ts.extend_from_slice(other.ts.get(rows.clone()).unwrap_or_default());
        self.received_ms.extend_from_slice(other.received_ms.get(rows).unwrap_or_default());
    }
}

/// Builds a block row by row.
#[derive(Default)]
pub(crate) struct BlockBuilder {
    ts: Vec<i64>,
    doubles: Vec<f64>,
    ints: Vec<i64>,
    mixed: Vec<Value>,
    quality: Vec<u32>,
    received_ms: Vec<i64>,
}

impl BlockBuilder {
    pub(crate) fn push(&mut self, ts: i64, value: Value, quality: u32, received_ms: i64) {
        let before = self.ts.len();
        match value {
            Value::Double(value) if self.doubles.len() == before => self.doubles.push(value),
            Value::Int64(value) if self.ints.len() == before => self.ints.push(value),
            value => {
                self.make_mixed();
                self.mixed.push(value);
            }
        }
        self.ts.push(ts);
        self.quality.push(quality);
        self.received_ms.push(received_ms);
    }

    /// From here on values are boxed.
    fn make_mixed(&mut self) {
        if self.mixed.len() == self.ts.len() {
            return;
        }
        self.mixed = if self.doubles.len() == self.ts.len() {
            self.doubles.drain(..).map(Value::Double).collect()
        } else {
            self.ints.drain(..).map(Value::Int64).collect()
        };
    }

    pub(crate) fn finish(self) -> Block {
        let length = self.ts.len();
        let values = if length > 0 && self.doubles.len() == length {
            Values::Double(self.doubles)
        } else if length > 0 && self.ints.len() == length {
            Values::Int(self.ints)
        } else {
            Values::Mixed(self.mixed)
        };
        let first = self.quality.first().copied().unwrap_or(0);
        let quality = if self.quality.iter().all(|code| *code == first) {
            Quality::Same(first)
        } else {
            Quality::Each(self.quality)
        };
        Block { ts: self.ts, values, quality, received_ms: self.received_ms }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int64),
            (-1e6..1e6f64).prop_map(Value::Double),
            any::<bool>().prop_map(Value::Boolean),
            Just(Value::Null)
        ]
    }

    fn block(rows: &[(Value, u32)], start: i64) -> Block {
        let mut builder = BlockBuilder::default();
        for (at, (value, quality)) in rows.iter().enumerate() {
            builder.push(start + at as i64, value.clone(), *quality, 7);
        }
        builder.finish()
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order_however_it_is_cut_and_joined(
            rows in proptest::collection::vec((value(), 0..2u32), 1..40), cut in 0..40usize,
        ) {
            let whole = block(&rows, 100);
            for (at, (value, quality)) in rows.iter().enumerate() {
                prop_assert_eq!(&whole.value(at), value);
                prop_assert_eq!(whole.status(at), *quality);
                prop_assert_eq!(whole.number(at), value.as_f64());
            }
            let cut = cut.min(rows.len());
            let mut joined = whole.slice(0..cut);
            joined.append(&whole, cut..rows.len());
            prop_assert_eq!(joined.ts.clone(), whole.ts.clone());
            for at in 0..rows.len() {
                prop_assert_eq!(joined.value(at), whole.value(at));
                prop_assert_eq!(joined.status(at), whole.status(at));
            }
            prop_assert_eq!(joined.received_ms.len(), rows.len());
        }
    }
}
