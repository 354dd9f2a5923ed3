//! Samples of one tag in columns: how history hands them on, so that sums run over plain numbers.

use crate::{StatusCode, Value};

/// Values in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// All are doubles, in the tag's unit.
    Double(Vec<f64>),
    /// All are whole numbers, in the tag's unit.
    Int(Vec<i64>),
    /// Anything: text, booleans, null among numbers.
    Mixed(Vec<Value>),
}

impl Values {
    /// The value of a row; null behind the last.
    #[must_use]
    pub fn get(&self, row: usize) -> Value {
        match self {
            Self::Double(values) => values.get(row).map_or(Value::Null, |value| Value::Double(*value)),
            Self::Int(values) => values.get(row).map_or(Value::Null, |value| Value::Int64(*value)),
            Self::Mixed(values) => values.get(row).cloned().unwrap_or(Value::Null),
        }
    }

    /// The value of a row as a number, if it is one; see [`Value::as_f64`].
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "as `Value::as_f64`: counts above 2^53 lose their last digits")]
    pub fn number(&self, row: usize) -> Option<f64> {
        match self {
            Self::Double(values) => values.get(row).copied(),
            Self::Int(values) => values.get(row).map(|value| *value as f64),
            Self::Mixed(values) => values.get(row).and_then(Value::as_f64),
        }
    }

    /// Each value boxed.
    #[must_use]
    pub fn into_mixed(self) -> Vec<Value> {
        match self {
            Self::Double(values) => values.into_iter().map(Value::Double).collect(),
            Self::Int(values) => values.into_iter().map(Value::Int64).collect(),
            Self::Mixed(values) => values,
        }
    }
}

/// OPC UA StatusCodes in a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Quality {
    /// All rows have this one.
    Same(u32),
    /// One for each row.
    Each(Vec<u32>),
}

impl Quality {
    /// The status code of a row; Good behind the last.
    #[must_use]
    pub fn get(&self, row: usize) -> StatusCode {
        match self {
            Self::Same(code) => StatusCode(*code),
            Self::Each(codes) => StatusCode(codes.get(row).copied().unwrap_or(0)),
        }
    }
}

/// What the samples of a stretch of time, all of one tag, add up to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StretchSum {
    /// The source time of the first one, µs since 1970-01-01T00:00:00Z.
    pub first: i64,
    /// How many there are, whatever their quality.
    pub rows: u64,
    /// How many of them are numbers of good quality, in the tag's unit; the others are bad or no numbers.
    pub numbers: u64,
    /// The sum of these numbers; 0 where there is none.
    pub sum: f64,
    /// The smallest and the largest of them.
    pub extremes: Option<(f64, f64)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_column_gives_its_rows_and_nothing_behind_the_last() {
        let columns = [
            Values::Double(vec![1.0, 2.0]),
            Values::Int(vec![1, 2]),
            Values::Mixed(vec![Value::Boolean(true), Value::Int64(2)]),
        ];
        for column in columns {
            assert_eq!((column.number(0), column.number(1), column.number(2)), (Some(1.0), Some(2.0), None));
            assert_eq!(column.get(2), Value::Null);
            assert_eq!(column.clone().into_mixed(), [column.get(0), column.get(1)]);
        }
        assert_eq!(Quality::Same(7).get(99), StatusCode(7));
        assert_eq!(Quality::Each(vec![1, 2]).get(1), StatusCode(2));
    }
}
