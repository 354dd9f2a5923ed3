//! A reading: value, quality and two times.

use crate::{StatusCode, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// A tag's short name inside one node: dense, never reused, never sent to the outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TagId(pub u32);

impl fmt::Debug for TagId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tag#{}", self.0)
    }
}

/// What kind of value a tag has. Spelled in documents as `boolean`, `int64`, `double`, `string`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DataType {
    /// True or false.
    Boolean,
    /// A whole number, 64 bit, signed.
    Int64,
    /// An IEEE 754 double.
    Double,
    /// UTF-8 text.
    String,
}

impl DataType {
    /// The spelling in documents and JSON.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Boolean => "boolean",
            Self::Int64 => "int64",
            Self::Double => "double",
            Self::String => "string",
        }
    }
}

/// A value as it stands in a tag. In JSON: a boolean, a number, a text, or null.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// True or false.
    Boolean(bool),
    /// A whole number.
    Int64(i64),
    /// A number; NaN and the infinities never enter a tag.
    Double(f64),
    /// Text.
    String(Arc<str>),
    /// Nothing is known: the usual companion of a bad quality.
    Null,
}

impl Value {
    /// The value as a number: booleans are 0 and 1; text and null are `None`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts above 2^53 lose their last digits in charts, by design")]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Boolean(b) => Some(f64::from(u8::from(*b))),
            Self::Int64(i) => Some(*i as f64),
            Self::Double(d) => Some(*d),
            Self::String(_) | Self::Null => None,
        }
    }

    /// The same value as `wanted`, when nothing is lost: 1 and 0 are booleans, a whole double is an int64, any number a double.
    /// `None` when the value does not fit; null fits every type.
    #[must_use]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "guarded by the range test before it"
    )]
    pub fn coerce(&self, wanted: DataType) -> Option<Self> {
        Some(match (self, wanted) {
            (Self::Null, _) => Self::Null,
            (Self::Boolean(b), DataType::Boolean) => Self::Boolean(*b),
            (Self::Boolean(b), DataType::Int64) => Self::Int64(i64::from(*b)),
            (Self::Boolean(b), DataType::Double) => Self::Double(f64::from(u8::from(*b))),
            (Self::Int64(i @ (0 | 1)), DataType::Boolean) => Self::Boolean(*i == 1),
            (Self::Int64(i), DataType::Int64) => Self::Int64(*i),
            (Self::Int64(i), DataType::Double) => Self::Double(*i as f64),
            (Self::Double(d), DataType::Double) if d.is_finite() => Self::Double(*d),
            (Self::Double(d), DataType::Int64) if d.fract() == 0.0 && d.abs() < 9.0e18 => Self::Int64(*d as i64),
            (Self::Double(d), DataType::Boolean) if *d == 0.0 || *d == 1.0 => Self::Boolean(*d == 1.0),
            (Self::String(s), DataType::String) => Self::String(s.clone()),
            _ => return None,
        })
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(b) => write!(f, "{b}"),
            Self::Int64(i) => write!(f, "{i}"),
            Self::Double(d) => write!(f, "{d}"),
            Self::String(s) => f.write_str(s),
            Self::Null => f.write_str("–"),
        }
    }
}

/// One reading of one tag.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sample {
    /// Whose value.
    pub tag: TagId,
    /// The value, in the tag's unit; [`Value::Null`] when nothing is known.
    pub value: Value,
    /// How far it can be trusted.
    pub quality: StatusCode,
    /// When the source says it was so; the received time where the source does not say.
    pub source_ts: Timestamp,
    /// When this node received it.
    pub received_ts: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::{DataType, Value};

    #[test]
    fn coercion_never_loses() {
        assert_eq!(Value::Double(3.0).coerce(DataType::Int64), Some(Value::Int64(3)));
        assert_eq!(Value::Double(3.5).coerce(DataType::Int64), None);
        assert_eq!(Value::Int64(2).coerce(DataType::Boolean), None);
        assert_eq!(Value::Double(f64::NAN).coerce(DataType::Double), None);
        assert_eq!(Value::String("1".into()).coerce(DataType::Double), None);
    }
}
