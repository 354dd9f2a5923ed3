//! Data types, and values between the wire and a tag (Sparkplug 3.0.0 §6.4.16).

use crate::proto::{Metric, MetricValue};
use andon_model::{self as model, StatusCode, Value};

macro_rules! types {
    ($($name:ident = $code:literal, $tag:expr;)*) => {
        /// What kind of value a metric has.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
        #[expect(missing_docs, reason = "the specification's own words")]
        pub enum DataType { $($name = $code),* }

        impl DataType {
            /// From the code on the wire; `None` for 0 (unknown) and codes that do not exist.
            #[must_use]
            pub const fn from_code(code: u32) -> Option<Self> {
                match code { $($code => Some(Self::$name),)* _ => None }
            }

            /// The code on the wire.
            #[must_use]
            pub const fn code(self) -> u32 {
                self as u32
            }

            /// The specification's word.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// What a tag must be to take it; `None` for those that become no tag: tables, structures, bytes, files and arrays.
            #[must_use]
            pub const fn tag_type(self) -> Option<model::DataType> {
                match self { $(Self::$name => $tag),* }
            }
        }
    };
}

const WHOLE: Option<model::DataType> = Some(model::DataType::Int64);
const NUMBER: Option<model::DataType> = Some(model::DataType::Double);
const TEXT: Option<model::DataType> = Some(model::DataType::String);

types! {
    Int8 = 1, WHOLE;
    Int16 = 2, WHOLE;
    Int32 = 3, WHOLE;
    Int64 = 4, WHOLE;
    UInt8 = 5, WHOLE;
    UInt16 = 6, WHOLE;
    UInt32 = 7, WHOLE;
    UInt64 = 8, WHOLE;
    Float = 9, NUMBER;
    Double = 10, NUMBER;
    Boolean = 11, Some(model::DataType::Boolean);
    String = 12, TEXT;
    DateTime = 13, WHOLE;
    Text = 14, TEXT;
    UUID = 15, TEXT;
    DataSet = 16, None;
    Bytes = 17, None;
    File = 18, None;
    Template = 19, None;
    PropertySet = 20, None;
    PropertySetList = 21, None;
    Int8Array = 22, None;
    Int16Array = 23, None;
    Int32Array = 24, None;
    Int64Array = 25, None;
    UInt8Array = 26, None;
    UInt16Array = 27, None;
    UInt32Array = 28, None;
    UInt64Array = 29, None;
    FloatArray = 30, None;
    DoubleArray = 31, None;
    BooleanArray = 32, None;
    StringArray = 33, None;
    DateTimeArray = 34, None;
}

impl DataType {
    /// The type under which a tag's value is published.
    #[must_use]
    pub const fn of_tag(tag: model::DataType) -> Self {
        match tag {
            model::DataType::Boolean => Self::Boolean,
            model::DataType::Int64 => Self::Int64,
            model::DataType::Double => Self::Double,
            model::DataType::String => Self::String,
        }
    }
}

/// The whole number in either integer field: some libraries write UInt32 to the 64-bit one, some small signed numbers.
const fn raw(value: &MetricValue) -> Option<u64> {
    match value {
        MetricValue::Int(raw) => Some(*raw as u64),
        MetricValue::Long(raw) => Some(*raw),
        _ => None,
    }
}

/// A signed number of so many bits from two's complement in an unsigned field of that width, of 32 or of 64 bits. `None` if it is none.
const fn signed(raw: u64, bits: u32) -> Option<i64> {
    let shift = 64 - bits;
    let value = ((raw << shift) as i64) >> shift;
    let narrow = (value as u64) & (u64::MAX >> shift);
    let fits = raw == narrow || raw == (value as u64 & 0xffff_ffff) && bits <= 32 || raw == value as u64;
    if fits { Some(value) } else { None }
}

/// An unsigned number of so many bits.
fn unsigned(raw: u64, bits: u32) -> Option<i64> {
    i64::try_from(raw).ok().filter(|_| raw <= u64::MAX >> (64 - bits))
}

/// A metric's value, and how far it can be trusted as far as its encoding goes: what is null, out of its type's range or encoded as something
/// else is null and bad. Only for types that a tag can take.
pub(crate) fn decode(metric: &Metric, data_type: DataType) -> (Value, StatusCode) {
    let bad = |quality| (Value::Null, quality);
    if metric.is_null == Some(true) {
        return bad(StatusCode::BAD_NO_DATA);
    }
    let Some(value) = &metric.value else { return bad(StatusCode::BAD_NO_DATA) };
    let whole = |number: fn(u64) -> Option<i64>| match raw(value) {
        None => bad(StatusCode::BAD_TYPE_MISMATCH),
        Some(raw) => match number(raw) {
            None => bad(StatusCode::BAD_OUT_OF_RANGE),
            Some(number) => (Value::Int64(number), StatusCode::GOOD),
        },
    };
    match data_type {
        DataType::Int8 => whole(|raw| signed(raw, 8)),
        DataType::Int16 => whole(|raw| signed(raw, 16)),
        DataType::Int32 => whole(|raw| signed(raw, 32)),
        DataType::Int64 => whole(|raw| signed(raw, 64)),
        DataType::UInt8 => whole(|raw| unsigned(raw, 8)),
        DataType::UInt16 => whole(|raw| unsigned(raw, 16)),
        DataType::UInt32 => whole(|raw| unsigned(raw, 32)),
        DataType::UInt64 | DataType::DateTime => whole(|raw| unsigned(raw, 64)),
        DataType::Float | DataType::Double => {
            let number = match value {
                MetricValue::Float(number) => f64::from(*number),
                MetricValue::Double(number) => *number,
                _ => return bad(StatusCode::BAD_TYPE_MISMATCH),
            };
            if number.is_finite() {
                (Value::Double(number), StatusCode::GOOD)
            } else {
                bad(StatusCode::BAD_OUT_OF_RANGE)
            }
        }
        DataType::Boolean => match value {
            MetricValue::Boolean(truth) => (Value::Boolean(*truth), StatusCode::GOOD),
            _ => bad(StatusCode::BAD_TYPE_MISMATCH),
        },
        DataType::String | DataType::Text | DataType::UUID => match value {
            MetricValue::Text(text) => (Value::String(text.as_str().into()), StatusCode::GOOD),
            _ => bad(StatusCode::BAD_TYPE_MISMATCH),
        },
        _ => bad(StatusCode::BAD_TYPE_MISMATCH),
    }
}

/// Why a value cannot be sent as a metric of this type.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EncodeError {
    /// It is another kind of value, or outside of the type's range.
    #[error("{value} is no {} of Sparkplug", data_type.name())]
    DoesNotFit {
        /// The value, as people see it.
        value: String,
        /// The metric's type.
        data_type: DataType,
    },
}

/// A value as a metric of this type, exactly; negative numbers in two's complement of the field's width.
pub(crate) fn encode(value: &Value, data_type: DataType) -> Result<MetricValue, EncodeError> {
    let no = || EncodeError::DoesNotFit { value: value.to_string(), data_type };
    let wanted = data_type.tag_type().ok_or_else(no)?;
    let whole = |low: i64, high: i64| match value.coerce(wanted) {
        Some(Value::Int64(number)) if (low..=high).contains(&number) => Ok(number),
        _ => Err(no()),
    };
    // Two's complement is what the wire wants: the bits stay as they are.
    let narrow = |number: i64| MetricValue::Int(u32::try_from(number & 0xffff_ffff).unwrap_or_default());
    let wide = |number: i64| MetricValue::Long(number.cast_unsigned());
    Ok(match data_type {
        DataType::Int8 => narrow(whole(i8::MIN.into(), i8::MAX.into())?),
        DataType::Int16 => narrow(whole(i16::MIN.into(), i16::MAX.into())?),
        DataType::Int32 => narrow(whole(i32::MIN.into(), i32::MAX.into())?),
        DataType::Int64 => wide(whole(i64::MIN, i64::MAX)?),
        DataType::UInt8 => narrow(whole(0, u8::MAX.into())?),
        DataType::UInt16 => narrow(whole(0, u16::MAX.into())?),
        DataType::UInt32 => narrow(whole(0, u32::MAX.into())?),
        DataType::UInt64 | DataType::DateTime => wide(whole(0, i64::MAX)?),
        _ => match (value.coerce(wanted), data_type) {
            (Some(Value::Double(number)), DataType::Float) => {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "a single is what the metric is; infinite is refused"
                )]
                let single = number as f32;
                if single.is_finite() { MetricValue::Float(single) } else { return Err(no()) }
            }
            (Some(Value::Double(number)), _) => MetricValue::Double(number),
            (Some(Value::Boolean(truth)), _) => MetricValue::Boolean(truth),
            (Some(Value::String(text)), _) => MetricValue::Text(text.to_string()),
            _ => return Err(no()),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(value: MetricValue, data_type: DataType) -> (Value, StatusCode) {
        decode(&Metric { value: Some(value), ..Metric::default() }, data_type)
    }

    fn good(number: i64) -> (Value, StatusCode) {
        (Value::Int64(number), StatusCode::GOOD)
    }

    #[test]
    fn whole_numbers_are_taken_from_either_field() {
        // npm's sparkplug-payload writes UInt32 to the 64-bit field.
        assert_eq!(read(MetricValue::Long(4_000_000_000), DataType::UInt32), good(4_000_000_000));
        assert_eq!(read(MetricValue::Int(4_000_000_000), DataType::UInt32), good(4_000_000_000));
        assert_eq!(read(MetricValue::Int(7), DataType::Int64), good(7));
        assert_eq!(read(MetricValue::Int(5), DataType::DateTime), good(5));
    }

    #[test]
    fn negative_numbers_are_twos_complement_of_any_width() {
        for raw in [MetricValue::Int(0xff), MetricValue::Int(0xffff_ffff), MetricValue::Long(u64::MAX)] {
            assert_eq!(read(raw, DataType::Int8), good(-1));
        }
        assert_eq!(read(MetricValue::Int(0x8000_0000), DataType::Int32), good(i32::MIN.into()));
        assert_eq!(read(MetricValue::Long(1 << 63), DataType::Int64), good(i64::MIN));
    }

    #[test]
    fn what_its_type_cannot_be_is_null_and_bad() {
        let bad = |quality| (Value::Null, quality);
        for (raw, data_type, quality) in [
            (MetricValue::Int(300), DataType::UInt8, StatusCode::BAD_OUT_OF_RANGE),
            (MetricValue::Int(300), DataType::Int8, StatusCode::BAD_OUT_OF_RANGE),
            (MetricValue::Long(1 << 32), DataType::UInt32, StatusCode::BAD_OUT_OF_RANGE),
            (MetricValue::Long(u64::MAX), DataType::UInt64, StatusCode::BAD_OUT_OF_RANGE),
            (MetricValue::Double(f64::NAN), DataType::Double, StatusCode::BAD_OUT_OF_RANGE),
            (MetricValue::Float(f32::INFINITY), DataType::Float, StatusCode::BAD_OUT_OF_RANGE),
            (MetricValue::Text("1".to_owned()), DataType::Int32, StatusCode::BAD_TYPE_MISMATCH),
            (MetricValue::Int(1), DataType::Boolean, StatusCode::BAD_TYPE_MISMATCH),
        ] {
            assert_eq!(read(raw, data_type), bad(quality), "{data_type:?}");
        }
        let null = Metric { is_null: Some(true), value: Some(MetricValue::Int(1)), ..Metric::default() };
        assert_eq!(decode(&null, DataType::Int32), bad(StatusCode::BAD_NO_DATA));
        assert_eq!(decode(&Metric::default(), DataType::Int32), bad(StatusCode::BAD_NO_DATA));
    }

    #[test]
    fn a_value_that_does_not_fit_is_not_sent() {
        for (value, data_type) in [
            (Value::Int64(128), DataType::Int8),
            (Value::Int64(-1), DataType::UInt64),
            (Value::Double(1.5), DataType::Int32),
            (Value::Double(1e300), DataType::Float),
            (Value::Null, DataType::Double),
            (Value::String("x".into()), DataType::Boolean),
            (Value::Int64(1), DataType::DataSet),
        ] {
            assert!(encode(&value, data_type).is_err(), "{value:?} as {data_type:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_sent_is_read_back(number: i64, narrow: i8, double in -1e38..1e38_f64, text: String) {
            for data_type in (1..=15).filter_map(DataType::from_code) {
                for value in [Value::Int64(number), Value::Int64(narrow.into()), Value::Double(double), Value::Boolean(true), Value::String(text.as_str().into())] {
                    if let Ok(raw) = encode(&value, data_type) {
                        let (back, quality) = read(raw, data_type);
                        prop_assert!(quality.is_good());
                        let same = match (&back, data_type) {
                            #[expect(clippy::cast_possible_truncation, reason = "so it is sent")]
                            (Value::Double(back), DataType::Float) => value.as_f64().is_some_and(|v| f64::from(v as f32) == *back),
                            _ => data_type.tag_type().and_then(|t| value.coerce(t)) == Some(back.clone()),
                        };
                        prop_assert!(same, "{value:?} as {data_type:?}: {back:?}");
                    }
                }
            }
        }
    }
}
