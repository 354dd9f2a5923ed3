//! Registers to values and back. Pure, and exact: a value that the device cannot hold is refused, never wrapped or cut.
//!
//! Word and byte order are undone first, so the arithmetic below only ever sees bytes with the most significant first.

use super::config::{Kind, Order, Register, Scaling, Table};
use andon_model::{DataType, StatusCode, Value};
use std::sync::Arc;

/// What one read brought for one register, in the order of the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Raw<'a> {
    /// From a holding or input table: as many words as the register is wide.
    Words(&'a [u16]),
    /// From a coil or discrete table.
    Bit(bool),
}

/// What one write sends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RawWrite {
    /// One coil (function code 5).
    Coil(bool),
    /// Words from the register's address on (function code 6 for one, 16 for several).
    Words(Vec<u16>),
    /// One bit of a holding register (function code 22, so that the neighbours keep their state).
    Bit {
        /// 0 is the lowest.
        bit: u8,
        /// The wanted state.
        on: bool,
    },
}

/// Why a value cannot be written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum EncodeError {
    /// The value is of another type than the tag.
    #[error("{value} is not {}", expected.name())]
    Type {
        /// As given.
        value: Value,
        /// The tag's type.
        expected: DataType,
    },
    /// Beyond what the register holds.
    #[error("{value} does not fit: the register holds {low} to {high}")]
    Range {
        /// As given.
        value: f64,
        /// The smallest value it holds.
        low: f64,
        /// The largest value it holds.
        high: f64,
    },
    /// Between two steps of the register.
    #[error("{value} lies between two steps of the register: write {below} or {above}")]
    Step {
        /// As given.
        value: f64,
        /// The step below.
        below: f64,
        /// The step above.
        above: f64,
    },
    /// Longer than the register.
    #[error("the text has {bytes} bytes, the registers hold {room}")]
    TooLong {
        /// Of the text.
        bytes: usize,
        /// That there is room for.
        room: usize,
    },
    /// The text has a NUL character, which ends it in the device.
    #[error("the text must not contain a NUL character")]
    Nul,
    /// The register is not one that a value can be written to.
    #[error("this register cannot be written")]
    ReadOnly,
}

/// What the words mean as a value of the tag, and how far to trust it.
///
/// NaN and the infinities become null with `BadSensorFailure` (drives and meters say "no sensor" so); a value that the
/// tag's type cannot hold becomes null with `BadOutOfRange`. The bus judges the instrument's range.
#[must_use]
pub fn decode(register: &Register, raw: Raw<'_>) -> (Value, StatusCode) {
    let value = match raw {
        Raw::Bit(on) => Ok(Value::Boolean(on)),
        Raw::Words(words) => from_words(register, words),
    };
    match value.map(|value| value.coerce(register.data_type)) {
        Err(status) => (Value::Null, status),
        Ok(None) => (Value::Null, StatusCode::BAD_OUT_OF_RANGE),
        Ok(Some(value)) => (value, StatusCode::GOOD),
    }
}

fn from_words(register: &Register, words: &[u16]) -> Result<Value, StatusCode> {
    if words.len() != usize::from(register.kind.width()) {
        return Err(StatusCode::BAD_DECODING_ERROR);
    }
    let bytes = to_bytes(register, words);
    let wide = |bytes: &[u8]| bytes.iter().fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    let raw = wide(bytes.get(..8).unwrap_or(&bytes));
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_possible_wrap,
        reason = "the width of the kind says how many bits count"
    )]
    let whole: i128 = match register.kind {
        Kind::U16 | Kind::U32 | Kind::U64 => i128::from(raw),
        Kind::I16 => i128::from(raw as u16 as i16),
        Kind::I32 => i128::from(raw as u32 as i32),
        Kind::I64 => i128::from(raw as i64),
        Kind::F32 => return float(register.scaling, f64::from(f32::from_bits(raw as u32))),
        Kind::F64 => return float(register.scaling, f64::from_bits(raw)),
        Kind::Bool { bit: Some(bit) } => return Ok(Value::Boolean(raw >> bit & 1 == 1)),
        Kind::Bool { bit: None } => return Ok(Value::Boolean(raw != 0)),
        Kind::Text { .. } => return text(&bytes),
    };
    scaled(register, whole)
}

fn float(scaling: Scaling, raw: f64) -> Result<Value, StatusCode> {
    let value = if scaling.is_none() { raw } else { raw.mul_add(scaling.scale, scaling.offset) };
    if value.is_finite() { Ok(Value::Double(value)) } else { Err(StatusCode::BAD_SENSOR_FAILURE) }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "whole scalings are below 1e15; doubles round by design"
)]
fn scaled(register: &Register, raw: i128) -> Result<Value, StatusCode> {
    let scaling = register.scaling;
    if register.data_type == DataType::Int64 {
        let value = raw.checked_mul(scaling.scale as i128).and_then(|value| value.checked_add(scaling.offset as i128));
        return value.and_then(|value| i64::try_from(value).ok()).map(Value::Int64).ok_or(StatusCode::BAD_OUT_OF_RANGE);
    }
    let value = match divisor(scaling.scale) {
        Some(divisor) => raw as f64 / divisor + scaling.offset,
        None => raw as f64 * scaling.scale + scaling.offset,
    };
    if value.is_finite() { Ok(Value::Double(value)) } else { Err(StatusCode::BAD_OUT_OF_RANGE) }
}

/// 10 for 0.1, 100 for 0.01: dividing by it gives 23.7 where multiplying would give 23.700000000000003.
fn divisor(scale: f64) -> Option<f64> {
    let divisor = (1.0 / scale).round();
    (scale.fract() != 0.0 && divisor.abs() < 1e15 && 1.0 / divisor == scale).then_some(divisor)
}

/// Text ends at the first NUL; blanks at its end are filling.
fn text(bytes: &[u8]) -> Result<Value, StatusCode> {
    let used = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    match std::str::from_utf8(used) {
        Ok(text) => Ok(Value::String(Arc::from(text.trim_end()))),
        Err(_) => Err(StatusCode::BAD_DECODING_ERROR),
    }
}

/// The bytes with the most significant first, for text with the first character first.
fn to_bytes(register: &Register, words: &[u16]) -> Vec<u8> {
    let mut bytes: Vec<u8> = Vec::with_capacity(words.len() * 2);
    let mut push = |word: &u16| match register.byte_order {
        Order::Big => bytes.extend(word.to_be_bytes()),
        Order::Little => bytes.extend(word.to_le_bytes()),
    };
    match (register.kind, register.word_order) {
        (Kind::Text { .. }, _) | (_, Order::Big) => words.iter().for_each(&mut push),
        (_, Order::Little) => words.iter().rev().for_each(&mut push),
    }
    bytes
}

/// The words as the device wants them; the inverse of [`to_bytes`].
fn to_words(register: &Register, bytes: &[u8]) -> Vec<u16> {
    let word = |pair: &[u8]| match (pair, register.byte_order) {
        ([high, low], Order::Big) => u16::from_be_bytes([*high, *low]),
        ([high, low], Order::Little) => u16::from_le_bytes([*high, *low]),
        _ => 0,
    };
    let mut words: Vec<u16> = bytes.chunks_exact(2).map(word).collect();
    if register.word_order == Order::Little && !matches!(register.kind, Kind::Text { .. }) {
        words.reverse();
    }
    words
}

/// What must be sent so that the device holds `value`.
/// # Errors
/// [`EncodeError`] says why the device cannot hold it.
pub fn encode(register: &Register, value: &Value) -> Result<RawWrite, EncodeError> {
    let wrong_type = || EncodeError::Type { value: value.clone(), expected: register.data_type };
    let value = match value {
        Value::Null => return Err(wrong_type()),
        value => value.coerce(register.data_type).ok_or_else(wrong_type)?,
    };
    match (register.kind, &value) {
        (Kind::Bool { bit }, _) => {
            let Some(Value::Boolean(on)) = value.coerce(DataType::Boolean) else { return Err(wrong_type()) };
            match (register.table, bit) {
                (Table::Coil, _) => Ok(RawWrite::Coil(on)),
                (Table::Holding, Some(bit)) => Ok(RawWrite::Bit { bit, on }),
                _ => Err(EncodeError::ReadOnly),
            }
        }
        (Kind::Text { words }, Value::String(text)) => {
            text_bytes(text, words).map(|bytes| RawWrite::Words(to_words(register, &bytes)))
        }
        (Kind::F32 | Kind::F64, value) => {
            let bytes = float_bytes(register, value.as_f64().ok_or_else(wrong_type)?)?;
            Ok(RawWrite::Words(to_words(register, &bytes)))
        }
        (_, value) => {
            let raw = whole_raw(register, value).unwrap_or_else(|| Err(wrong_type()))?;
            let bytes = raw.to_be_bytes();
            let width = usize::from(register.kind.width()) * 2;
            Ok(RawWrite::Words(to_words(register, bytes.get(bytes.len().saturating_sub(width)..).unwrap_or_default())))
        }
    }
}

fn text_bytes(text: &str, words: u16) -> Result<Vec<u8>, EncodeError> {
    let room = usize::from(words) * 2;
    if text.len() > room {
        return Err(EncodeError::TooLong { bytes: text.len(), room });
    }
    if text.contains('\0') {
        return Err(EncodeError::Nul);
    }
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(room, 0);
    Ok(bytes)
}

/// An `f32` register takes the nearest single-precision number; beyond its range is refused.
fn float_bytes(register: &Register, value: f64) -> Result<Vec<u8>, EncodeError> {
    let Scaling { scale, offset } = register.scaling;
    let raw = if register.scaling.is_none() { value } else { (value - offset) / scale };
    let limit = if register.kind == Kind::F32 { f64::from(f32::MAX) } else { f64::MAX };
    if !raw.is_finite() || raw.abs() > limit {
        let (one, other) = (offset - limit * scale, offset + limit * scale);
        return Err(EncodeError::Range { value, low: one.min(other), high: one.max(other) });
    }
    #[expect(clippy::cast_possible_truncation, reason = "within the range of f32; the nearest one is wanted")]
    Ok(if register.kind == Kind::F32 { (raw as f32).to_be_bytes().to_vec() } else { raw.to_be_bytes().to_vec() })
}

/// The raw number of a whole-number register; `None` when `value` is no number.
fn whole_raw(register: &Register, value: &Value) -> Option<Result<i128, EncodeError>> {
    let raw = match value {
        Value::Int64(number) => exact_raw(register, *number),
        other => nearest_raw(register, other.as_f64()?),
    };
    Some(raw.and_then(|raw| in_kind(register, raw, value.as_f64().unwrap_or_default())))
}

/// Whole scalings of whole values need no rounding at all.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "whole scalings are below 1e15; the floats are for the message"
)]
fn exact_raw(register: &Register, value: i64) -> Result<i128, EncodeError> {
    let (scale, offset) = (register.scaling.scale as i128, register.scaling.offset as i128);
    let distance = i128::from(value) - offset;
    if scale != 0 && distance % scale == 0 {
        return Ok(distance / scale);
    }
    nearest_raw(register, value as f64)
}

/// Steps are matched within a millionth of a step, for 2.3 is not a binary number.
#[expect(clippy::cast_possible_truncation, reason = "bounded by the test before it")]
fn nearest_raw(register: &Register, value: f64) -> Result<i128, EncodeError> {
    let Scaling { scale, offset } = register.scaling;
    let steps = match divisor(scale) {
        Some(divisor) => (value - offset) * divisor,
        None => (value - offset) / scale,
    };
    let near = steps.round();
    if !steps.is_finite() || near.abs() > 1e30 {
        return Err(range_error(register, value));
    }
    if (steps - near).abs() > 1e-6 {
        let at = |steps: f64| divisor(scale).map_or(steps * scale + offset, |divisor| steps / divisor + offset);
        let (one, other) = (at(steps.floor()), at(steps.ceil()));
        return Err(EncodeError::Step { value, below: one.min(other), above: one.max(other) });
    }
    Ok(near as i128)
}

fn limits(kind: Kind) -> (i128, i128) {
    match kind {
        Kind::U16 => (0, i128::from(u16::MAX)),
        Kind::I16 => (i128::from(i16::MIN), i128::from(i16::MAX)),
        Kind::U32 => (0, i128::from(u32::MAX)),
        Kind::I32 => (i128::from(i32::MIN), i128::from(i32::MAX)),
        Kind::U64 => (0, i128::from(u64::MAX)),
        Kind::I64 => (i128::from(i64::MIN), i128::from(i64::MAX)),
        Kind::F32 | Kind::F64 | Kind::Bool { .. } | Kind::Text { .. } => (0, 0),
    }
}

fn in_kind(register: &Register, raw: i128, value: f64) -> Result<i128, EncodeError> {
    let (low, high) = limits(register.kind);
    if (low..=high).contains(&raw) { Ok(raw) } else { Err(range_error(register, value)) }
}

#[expect(clippy::cast_precision_loss, reason = "for the message only")]
fn range_error(register: &Register, value: f64) -> EncodeError {
    let Scaling { scale, offset } = register.scaling;
    let (low, high) = limits(register.kind);
    let at = |raw: i128| divisor(scale).map_or(raw as f64 * scale + offset, |divisor| raw as f64 / divisor + offset);
    let (one, other) = (at(low), at(high));
    EncodeError::Range { value, low: one.min(other), high: one.max(other) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::TagPath;
    use proptest::prelude::*;
    use std::time::Duration;

    fn register(kind: Kind, data_type: DataType) -> Register {
        Register {
            tag: TagPath::parse("a/b").unwrap(),
            data_type,
            table: Table::Holding,
            address: 0,
            kind,
            word_order: Order::Big,
            byte_order: Order::Big,
            scaling: Scaling::NONE,
            writable: true,
            poll: Duration::from_secs(1),
        }
    }

    fn words(register: &Register, value: Value) -> Vec<u16> {
        match encode(register, &value) {
            Ok(RawWrite::Words(words)) => words,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_four_orders_of_a_float_are_told_apart() {
        // 123.456 as single precision is 42 F6 E9 79.
        let cases = [
            (Order::Big, Order::Big, [0x42F6, 0xE979]),
            (Order::Little, Order::Big, [0xE979, 0x42F6]),
            (Order::Big, Order::Little, [0xF642, 0x79E9]),
            (Order::Little, Order::Little, [0x79E9, 0xF642]),
        ];
        for (word_order, byte_order, wire) in cases {
            let register = Register { word_order, byte_order, ..register(Kind::F32, DataType::Double) };
            let expected = Value::Double(f64::from(123.456_f32));
            assert_eq!(decode(&register, Raw::Words(&wire)), (expected, StatusCode::GOOD));
            assert_eq!(words(&register, Value::Double(123.456)), wire);
        }
    }

    #[test]
    fn a_decimal_scale_gives_the_decimal_that_people_expect() {
        let register =
            Register { scaling: Scaling { scale: 0.1, offset: 0.0 }, ..register(Kind::U16, DataType::Double) };
        for raw in 0..=u16::MAX {
            let (value, _) = decode(&register, Raw::Words(&[raw]));
            assert_eq!(value, Value::Double(format!("{}.{}", raw / 10, raw % 10).parse().unwrap()));
            assert_eq!(words(&register, value), [raw]);
        }
    }

    #[test]
    fn a_value_beyond_the_register_is_refused_not_wrapped() {
        let scaled =
            Register { scaling: Scaling { scale: 0.001, offset: 0.0 }, ..register(Kind::U16, DataType::Double) };
        assert_eq!(
            encode(&scaled, &Value::Double(300.0)),
            Err(EncodeError::Range { value: 300.0, low: 0.0, high: 65.535 })
        );
        let plain = register(Kind::U16, DataType::Int64);
        assert!(matches!(encode(&plain, &Value::Int64(65_536)), Err(EncodeError::Range { .. })));
        assert!(matches!(encode(&plain, &Value::Int64(-1)), Err(EncodeError::Range { .. })));
        let single = register(Kind::F32, DataType::Double);
        assert!(matches!(encode(&single, &Value::Double(1e39)), Err(EncodeError::Range { .. })));
        let signed = register(Kind::I64, DataType::Int64);
        assert_eq!(words(&signed, Value::Int64(i64::MIN)), [0x8000, 0, 0, 0]);
    }

    #[test]
    fn a_value_between_two_steps_is_refused_with_both() {
        let register =
            Register { scaling: Scaling { scale: 0.1, offset: 0.0 }, ..register(Kind::U16, DataType::Double) };
        let refused = encode(&register, &Value::Double(2.55)).unwrap_err();
        assert_eq!(refused.to_string(), "2.55 lies between two steps of the register: write 2.5 or 2.6");
    }

    #[test]
    fn a_dead_sensor_is_bad_and_null() {
        let single = register(Kind::F32, DataType::Double);
        for raw in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bits = raw.to_bits();
            let wire = [(bits >> 16) as u16, bits as u16];
            assert_eq!(decode(&single, Raw::Words(&wire)), (Value::Null, StatusCode::BAD_SENSOR_FAILURE));
        }
    }

    #[test]
    fn a_u64_beyond_int64_is_bad_not_negative() {
        let register = register(Kind::U64, DataType::Int64);
        assert_eq!(decode(&register, Raw::Words(&[0xFFFF; 4])), (Value::Null, StatusCode::BAD_OUT_OF_RANGE));
    }

    #[test]
    fn text_ends_at_nul_and_knows_both_byte_orders() {
        let register = register(Kind::Text { words: 4 }, DataType::String);
        assert_eq!(words(&register, Value::String("Café".into())), [0x4361, 0x66C3, 0xA900, 0]);
        let swapped = Register { byte_order: Order::Little, ..register.clone() };
        let (value, _) = decode(&swapped, Raw::Words(&[0x6143, 0xC366, 0x00A9, 0x4141]));
        assert_eq!(value, Value::String("Café".into()));
        assert_eq!(decode(&register, Raw::Words(&[0xFFFF; 4])).1, StatusCode::BAD_DECODING_ERROR);
        assert_eq!(
            encode(&register, &Value::String("123456789".into())),
            Err(EncodeError::TooLong { bytes: 9, room: 8 })
        );
    }

    #[test]
    fn a_bit_is_picked_and_written_alone() {
        let register = register(Kind::Bool { bit: Some(3) }, DataType::Boolean);
        assert_eq!(decode(&register, Raw::Words(&[0b1000])).0, Value::Boolean(true));
        assert_eq!(decode(&register, Raw::Words(&[0b0111])).0, Value::Boolean(false));
        assert_eq!(encode(&register, &Value::Boolean(true)), Ok(RawWrite::Bit { bit: 3, on: true }));
        assert!(matches!(encode(&register, &Value::Int64(2)), Err(EncodeError::Type { .. })));
    }

    fn kinds() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![Kind::U16, Kind::I16, Kind::U32, Kind::I32, Kind::I64, Kind::F32, Kind::F64])
    }

    fn orders() -> impl Strategy<Value = Order> {
        prop::sample::select(vec![Order::Big, Order::Little])
    }

    proptest! {
        /// Whatever the device holds, writing what was read leaves it as it was.
        #[test]
        fn what_was_read_writes_back_the_same_words(
            kind in kinds(), word_order in orders(), byte_order in orders(), wire in prop::array::uniform4(any::<u16>()),
        ) {
            let data_type = if matches!(kind, Kind::F32 | Kind::F64) { DataType::Double } else { DataType::Int64 };
            let register = Register { word_order, byte_order, ..register(kind, data_type) };
            let wire = &wire[..usize::from(kind.width())];
            let (value, quality) = decode(&register, Raw::Words(wire));
            if quality.is_good() {
                prop_assert_eq!(words(&register, value), wire);
            }
        }

        #[test]
        fn no_words_and_no_value_make_it_panic(
            kind in kinds(), scale in -1e6_f64..1e6, offset in -1e6_f64..1e6, wire in prop::collection::vec(any::<u16>(), 0..6), value in any::<f64>(),
        ) {
            prop_assume!(scale != 0.0);
            let register = Register { scaling: Scaling { scale, offset }, ..register(kind, DataType::Double) };
            let _ = decode(&register, Raw::Words(&wire));
            let _ = encode(&register, &Value::Double(value));
        }
    }
}
