//! Values on the wire: columns to text or binary, and parameters to literals.

use crate::dialect::array_items;
use andon_model::Timestamp;
use arrow::array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Date32Array, DurationMicrosecondArray, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, StringViewArray, Time64MicrosecondArray,
    TimestampMicrosecondArray,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::{BufMut, BytesMut};
use datafusion::sql::sqlparser::ast::{self, CastKind, Expr, TimezoneInfo, Value};
use std::fmt::Write;

/// Microseconds from 1970 to 2000, where PostgreSQL's times begin.
const EPOCH_US: i64 = 946_684_800_000_000;
/// The same in days.
const EPOCH_DAYS: i32 = 10_957;

/// PostgreSQL's id of the type that stands for a column.
#[must_use]
pub fn oid_of(data_type: &DataType) -> u32 {
    match data_type {
        DataType::Boolean => 16,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => 17,
        DataType::Int8 | DataType::Int16 | DataType::UInt8 => 21,
        DataType::Int32 | DataType::UInt16 => 23,
        DataType::Int64 | DataType::UInt32 | DataType::UInt64 => 20,
        DataType::Float16 | DataType::Float32 => 700,
        DataType::Float64 => 701,
        DataType::Date32 | DataType::Date64 => 1082,
        DataType::Time32(_) | DataType::Time64(_) => 1083,
        DataType::Timestamp(_, None) => 1114,
        DataType::Timestamp(_, Some(_)) => 1184,
        DataType::Interval(_) | DataType::Duration(_) => 1186,
        DataType::Decimal32(..) | DataType::Decimal64(..) | DataType::Decimal128(..) | DataType::Decimal256(..) => 1700,
        DataType::Dictionary(_, value) => oid_of(value),
        _ => 25,
    }
}

/// The length of a type in bytes, -1 where it varies.
#[must_use]
pub const fn size_of(oid: u32) -> i16 {
    match oid {
        16 => 1,
        21 => 2,
        23 | 700 | 1082 => 4,
        20 | 701 | 1083 | 1114 | 1184 => 8,
        1186 => 16,
        _ => -1,
    }
}

enum Column {
    Bool(BooleanArray),
    I16(Int16Array),
    I32(Int32Array),
    I64(Int64Array),
    F32(Float32Array),
    F64(Float64Array),
    Text(StringViewArray),
    Numeric(StringViewArray),
    Bytes(BinaryArray),
    Date(Date32Array),
    Time(Time64MicrosecondArray),
    Stamp(TimestampMicrosecondArray, bool),
    Interval(IntervalMonthDayNanoArray),
    Duration(DurationMicrosecondArray),
}

fn typed<T: Array + Clone + 'static>(array: &ArrayRef) -> Result<T, ArrowError> {
    array.as_any().downcast_ref::<T>().cloned().ok_or_else(|| ArrowError::CastError("an unexpected column".to_owned()))
}

fn column(array: &ArrayRef) -> Result<Column, ArrowError> {
    let to = |data_type: DataType| cast(array, &data_type);
    Ok(match oid_of(array.data_type()) {
        16 => Column::Bool(typed(array)?),
        17 => Column::Bytes(typed(&to(DataType::Binary)?)?),
        21 => Column::I16(typed(&to(DataType::Int16)?)?),
        23 => Column::I32(typed(&to(DataType::Int32)?)?),
        20 => Column::I64(typed(&to(DataType::Int64)?)?),
        700 => Column::F32(typed(&to(DataType::Float32)?)?),
        701 => Column::F64(typed(&to(DataType::Float64)?)?),
        1082 => Column::Date(typed(&to(DataType::Date32)?)?),
        1083 => Column::Time(typed(&to(DataType::Time64(TimeUnit::Microsecond))?)?),
        1114 => Column::Stamp(typed(&to(DataType::Timestamp(TimeUnit::Microsecond, None))?)?, false),
        1184 => Column::Stamp(typed(&to(DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?)?, true),
        1186 if matches!(array.data_type(), DataType::Duration(_)) => {
            Column::Duration(typed(&to(DataType::Duration(TimeUnit::Microsecond))?)?)
        }
        1186 => Column::Interval(typed(&to(DataType::Interval(IntervalUnit::MonthDayNano))?)?),
        1700 => Column::Numeric(typed(&to(DataType::Utf8View)?)?),
        _ => Column::Text(match array.data_type() {
            DataType::Utf8View => typed(array)?,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Dictionary(..) | DataType::Null => {
                typed(&to(DataType::Utf8View)?)?
            }
            _ => words(array)?,
        }),
    })
}

/// Lists and whatever has no type of its own, as readable text.
fn words(array: &ArrayRef) -> Result<StringViewArray, ArrowError> {
    let options = FormatOptions::default();
    let formatter = ArrayFormatter::try_new(array, &options)?;
    Ok((0..array.len()).map(|row| (!array.is_null(row)).then(|| formatter.value(row).to_string())).collect())
}

/// Appends a `DataRow` for each row of a batch.
/// # Errors
/// A column cannot be shown.
pub fn rows(out: &mut BytesMut, batch: &RecordBatch, formats: &[i16]) -> Result<(), ArrowError> {
    let columns = batch.columns().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let count = i16::try_from(columns.len()).unwrap_or(i16::MAX);
    let mut scratch = Scratch::default();
    for row in 0..batch.num_rows() {
        super::wire::message_with(out, b'D', |out| {
            out.put_i16(count);
            for (place, column) in columns.iter().enumerate() {
                let binary = formats.get(place).copied() == Some(1);
                cell(out, column, row, binary, &mut scratch);
            }
        });
    }
    Ok(())
}

/// The format of each column from what a client asked for: none, one for all, or one for each.
#[must_use]
pub fn formats(asked: &[i16], columns: usize) -> Vec<i16> {
    match asked {
        [] => vec![0; columns],
        [one] => vec![*one; columns],
        many => (0..columns).map(|place| many.get(place).copied().unwrap_or(0)).collect(),
    }
}

fn is_null(column: &Column, row: usize) -> bool {
    match column {
        Column::Bool(a) => a.is_null(row),
        Column::I16(a) => a.is_null(row),
        Column::I32(a) => a.is_null(row),
        Column::I64(a) => a.is_null(row),
        Column::F32(a) => a.is_null(row),
        Column::F64(a) => a.is_null(row),
        Column::Text(a) | Column::Numeric(a) => a.is_null(row),
        Column::Bytes(a) => a.is_null(row),
        Column::Date(a) => a.is_null(row),
        Column::Time(a) => a.is_null(row),
        Column::Stamp(a, _) => a.is_null(row),
        Column::Interval(a) => a.is_null(row),
        Column::Duration(a) => a.is_null(row),
    }
}

/// The day that was written last: the next time is mostly of the same one.
#[derive(Debug, Default)]
struct Day {
    days: i64,
    text: String,
}

impl Day {
    fn date(&mut self, out: &mut String, days: i64) -> std::fmt::Result {
        if self.days != days || self.text.is_empty() {
            (self.days, self.text) = (days, String::new());
            date(&mut self.text, days)?;
        }
        out.write_str(&self.text)
    }
}

/// What is kept from cell to cell.
#[derive(Debug, Default)]
struct Scratch {
    text: String,
    day: Day,
}

fn cell(out: &mut BytesMut, column: &Column, row: usize, binary: bool, scratch: &mut Scratch) {
    if is_null(column, row) {
        out.put_i32(-1);
        return;
    }
    if binary {
        let at = out.len();
        out.put_i32(0);
        binary_into(out, column, row);
        let len = i32::try_from(out.len() - at - 4).unwrap_or(i32::MAX);
        out[at..at + 4].copy_from_slice(&len.to_be_bytes());
        return;
    }
    if let Column::Text(texts) | Column::Numeric(texts) = column {
        sized(out, texts.value(row));
        return;
    }
    scratch.text.clear();
    text_into(&mut scratch.text, column, row, &mut scratch.day);
    sized(out, &scratch.text);
}

fn sized(out: &mut BytesMut, text: &str) {
    out.put_i32(i32::try_from(text.len()).unwrap_or(i32::MAX));
    out.put_slice(text.as_bytes());
}

fn text_into(out: &mut String, column: &Column, row: usize, known: &mut Day) {
    // Writing to a String cannot fail.
    let _ = match column {
        Column::Bool(a) => out.write_str(if a.value(row) { "t" } else { "f" }),
        Column::I16(a) => write!(out, "{}", a.value(row)),
        Column::I32(a) => write!(out, "{}", a.value(row)),
        Column::I64(a) => write!(out, "{}", a.value(row)),
        Column::F32(a) => float(out, f64::from(a.value(row)), &a.value(row)),
        Column::F64(a) => double(out, a.value(row)),
        Column::Text(a) | Column::Numeric(a) => out.write_str(a.value(row)),
        Column::Bytes(a) => {
            out.push_str("\\x");
            a.value(row).iter().try_for_each(|byte| write!(out, "{byte:02x}"))
        }
        Column::Date(a) => date(out, i64::from(a.value(row))),
        Column::Time(a) => clock(out, a.value(row)),
        Column::Stamp(a, zoned) => {
            let at = a.value(row);
            known
                .date(out, at.div_euclid(86_400_000_000))
                .and_then(|()| out.write_char(' '))
                .and_then(|()| clock(out, at.rem_euclid(86_400_000_000)))
                .and_then(|()| if *zoned { out.write_str("+00") } else { Ok(()) })
        }
        Column::Interval(a) => {
            let v = a.value(row);
            interval(out, v.months, v.days, v.nanoseconds / 1000)
        }
        Column::Duration(a) => interval(out, 0, 0, a.value(row)),
    };
}

fn float(out: &mut String, value: f64, shortest: &(impl std::fmt::Display + std::fmt::LowerExp)) -> std::fmt::Result {
    if value.is_nan() {
        out.write_str("NaN")
    } else if value.is_infinite() {
        out.write_str(if value > 0.0 { "Infinity" } else { "-Infinity" })
    } else if value != 0.0 && !PLAIN.contains(&value.abs()) {
        write!(out, "{shortest:e}")
    } else {
        write!(out, "{shortest}")
    }
}

/// Of which size numbers are written without an exponent.
const PLAIN: std::ops::Range<f64> = 1e-4..1e15;

/// And of which the quick way writes the same text: from 2^46 on two of the same length can be equally near.
const QUICK: std::ops::Range<f64> = 1e-4..70_368_744_177_664.0;

/// A double as [`float`] writes it. Answers are full of them, so those of the usual size go the quickest way there is.
fn double(out: &mut String, value: f64) -> std::fmt::Result {
    let mut text = std::io::Cursor::new([0_u8; 32]);
    if !QUICK.contains(&value.abs()) || serde_json::to_writer(&mut text, &value).is_err() {
        return float(out, value, &value);
    }
    let len = usize::try_from(text.position()).unwrap_or(0);
    let text = text.get_ref().get(..len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    out.write_str(text.strip_suffix(".0").unwrap_or(text))
}

fn date(out: &mut String, days: i64) -> std::fmt::Result {
    let (year, month, day, ..) = Timestamp::from_micros(days.saturating_mul(86_400_000_000)).civil();
    write!(out, "{year:04}-{month:02}-{day:02}")
}

/// A time of day in µs.
fn clock(out: &mut String, at: i64) -> std::fmt::Result {
    let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
    let hours = seconds / 3600;
    if hours < 100 {
        two(out, hours);
    } else {
        write!(out, "{hours}")?;
    }
    for part in [seconds / 60 % 60, seconds % 60] {
        out.push(':');
        two(out, part);
    }
    if micros != 0 {
        let start = out.len();
        write!(out, ".{micros:06}")?;
        out.truncate(start + out.get(start..).map_or(0, |digits| digits.trim_end_matches('0').len()));
    }
    Ok(())
}

/// A number from 0 to 99 with two digits.
fn two(out: &mut String, number: i64) {
    let digit = |number: i64| char::from_digit(u32::try_from(number).unwrap_or(0), 10).unwrap_or('0');
    out.push(digit(number / 10 % 10));
    out.push(digit(number % 10));
}

fn interval(out: &mut String, months: i32, days: i32, micros: i64) -> std::fmt::Result {
    let start = out.len();
    for (amount, word) in [(months / 12, "year"), (months % 12, "mon"), (days, "day")] {
        if amount != 0 {
            let blank = if out.len() > start { " " } else { "" };
            write!(out, "{blank}{amount} {word}{}", if amount == 1 { "" } else { "s" })?;
        }
    }
    if micros != 0 || out.len() == start {
        if out.len() > start {
            out.push(' ');
        }
        if micros < 0 {
            out.push('-');
        }
        clock(out, micros.saturating_abs())?;
    }
    Ok(())
}

fn binary_into(out: &mut BytesMut, column: &Column, row: usize) {
    match column {
        Column::Bool(a) => out.put_u8(u8::from(a.value(row))),
        Column::I16(a) => out.put_i16(a.value(row)),
        Column::I32(a) => out.put_i32(a.value(row)),
        Column::I64(a) => out.put_i64(a.value(row)),
        Column::F32(a) => out.put_f32(a.value(row)),
        Column::F64(a) => out.put_f64(a.value(row)),
        Column::Text(a) => out.put_slice(a.value(row).as_bytes()),
        Column::Numeric(a) => numeric_into(out, a.value(row)),
        Column::Bytes(a) => out.put_slice(a.value(row)),
        Column::Date(a) => out.put_i32(a.value(row).saturating_sub(EPOCH_DAYS)),
        Column::Time(a) => out.put_i64(a.value(row)),
        Column::Stamp(a, _) => out.put_i64(a.value(row).saturating_sub(EPOCH_US)),
        Column::Interval(a) => {
            let v = a.value(row);
            out.put_i64(v.nanoseconds / 1000);
            out.put_i32(v.days);
            out.put_i32(v.months);
        }
        Column::Duration(a) => {
            out.put_i64(a.value(row));
            out.put_i64(0);
        }
    }
}

/// A decimal number in PostgreSQL's binary form: groups of four digits.
fn numeric_into(out: &mut BytesMut, text: &str) {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let padded = format!("{}{whole}", "0".repeat((4 - whole.len() % 4) % 4));
    let tail = format!("{fraction}{}", "0".repeat((4 - fraction.len() % 4) % 4));
    let weight = i16::try_from(padded.len() / 4).unwrap_or(0) - 1;
    let all = format!("{padded}{tail}");
    let groups: Vec<i16> = all
        .as_bytes()
        .chunks(4)
        .map(|four| four.iter().fold(0, |n, d| n * 10 + i16::from(d.wrapping_sub(b'0') % 10)))
        .collect();
    out.put_i16(i16::try_from(groups.len()).unwrap_or(0));
    out.put_i16(weight);
    out.put_u16(if negative { 0x4000 } else { 0 });
    out.put_i16(i16::try_from(fraction.len()).unwrap_or(0));
    for group in groups {
        out.put_i16(group);
    }
}

// ---- parameters ----

fn string(text: &str) -> Expr {
    Expr::Value(Value::SingleQuotedString(text.to_owned()).into())
}

fn cast_to(text: &str, data_type: ast::DataType) -> Expr {
    Expr::Cast { kind: CastKind::Cast, expr: Box::new(string(text)), data_type, array: false, format: None }
}

const fn stamp(zone: TimezoneInfo) -> ast::DataType {
    ast::DataType::Timestamp(Some(6), zone)
}

/// The type that a parameter of this kind has in SQL; `None` for text and what is not known.
fn sql_type(oid: u32) -> Option<ast::DataType> {
    Some(match oid {
        16 => ast::DataType::Boolean,
        20 | 21 | 23 | 26 => ast::DataType::BigInt(None),
        700 | 701 | 1700 => ast::DataType::DoublePrecision,
        1082 => ast::DataType::Date,
        1083 => ast::DataType::Time(None, TimezoneInfo::None),
        1114 => stamp(TimezoneInfo::None),
        1184 => stamp(TimezoneInfo::WithTimeZone),
        _ => return None,
    })
}

/// A null of the type of a parameter, to find out the columns before it is known.
#[must_use]
pub fn null_of(oid: u32) -> Expr {
    let null = Expr::Value(Value::Null.into());
    match sql_type(oid) {
        Some(data_type) => {
            Expr::Cast { kind: CastKind::Cast, expr: Box::new(null), data_type, array: false, format: None }
        }
        None => null,
    }
}

/// The type of the items of an array type.
const fn item_of(oid: u32) -> Option<u32> {
    Some(match oid {
        1000 => 16,
        1005 => 21,
        1007 => 23,
        1016 => 20,
        1009 | 1002 | 1003 | 1014 => 25,
        1015 => 1043,
        1021 => 700,
        1022 => 701,
        1115 => 1114,
        1182 => 1082,
        1185 => 1184,
        1231 => 1700,
        _ => return None,
    })
}

/// A parameter as the literal that stands for it in the statement.
/// # Errors
/// What is wrong with it.
pub fn parameter(oid: u32, binary: bool, bytes: Option<&[u8]>) -> Result<Expr, String> {
    let Some(bytes) = bytes else { return Ok(null_of(oid)) };
    if let Some(item) = item_of(oid) {
        let items = if binary { binary_array(bytes)? } else { text_array(item, bytes)? };
        return Ok(Expr::Array(ast::Array { elem: items, named: true }));
    }
    let text = if binary { binary_text(oid, bytes)? } else { utf8(bytes)?.to_owned() };
    literal(oid, &text)
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|_| "a parameter is not UTF-8".to_owned())
}

fn literal(oid: u32, text: &str) -> Result<Expr, String> {
    if oid == 1186 {
        let value = Box::new(string(text));
        return Ok(Expr::Interval(ast::Interval {
            value,
            leading_field: None,
            leading_precision: None,
            last_field: None,
            fractional_seconds_precision: None,
        }));
    }
    if matches!(oid, 20 | 21 | 23 | 26) && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Ok(Expr::Value(Value::Number(text.to_owned(), false).into()));
    }
    if oid == 16 {
        let yes = matches!(text.to_ascii_lowercase().as_str(), "t" | "true" | "1" | "on" | "yes" | "y");
        return Ok(Expr::Value(Value::Boolean(yes).into()));
    }
    Ok(sql_type(oid).map_or_else(|| string(text), |data_type| cast_to(text, data_type)))
}

fn text_array(item: u32, bytes: &[u8]) -> Result<Vec<Expr>, String> {
    let items = array_items(utf8(bytes)?).ok_or("a parameter is not an array of one dimension")?;
    items.iter().map(|text| text.as_deref().map_or_else(|| Ok(null_of(item)), |text| literal(item, text))).collect()
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| format!("a parameter has {} bytes where {N} are right", bytes.len()))
}

/// A binary parameter in words that [`literal`] understands.
fn binary_text(oid: u32, bytes: &[u8]) -> Result<String, String> {
    let time = |micros: i64| Timestamp::from_micros(micros.saturating_add(EPOCH_US)).to_string();
    Ok(match oid {
        16 => if bytes == [0] { "f" } else { "t" }.to_owned(),
        21 => i16::from_be_bytes(fixed(bytes)?).to_string(),
        23 => i32::from_be_bytes(fixed(bytes)?).to_string(),
        26 => u32::from_be_bytes(fixed(bytes)?).to_string(),
        20 => i64::from_be_bytes(fixed(bytes)?).to_string(),
        700 => f32::from_be_bytes(fixed(bytes)?).to_string(),
        701 => f64::from_be_bytes(fixed(bytes)?).to_string(),
        1082 => {
            let days = i64::from(i32::from_be_bytes(fixed(bytes)?)) + i64::from(EPOCH_DAYS);
            let mut text = String::new();
            let _ = date(&mut text, days);
            text
        }
        1114 => time(i64::from_be_bytes(fixed(bytes)?)).trim_end_matches('Z').to_owned(),
        1184 => time(i64::from_be_bytes(fixed(bytes)?)),
        1186 => {
            let all: [u8; 16] = fixed(bytes)?;
            let micros = i64::from_be_bytes(fixed(&all[..8])?);
            let (days, months) = (i32::from_be_bytes(fixed(&all[8..12])?), i32::from_be_bytes(fixed(&all[12..])?));
            format!("{months} months {days} days {}.{:06} seconds", micros / 1_000_000, micros.rem_euclid(1_000_000))
        }
        1083 => {
            let at = i64::from_be_bytes(fixed(bytes)?);
            let mut text = String::new();
            let _ = clock(&mut text, at.clamp(0, 86_400_000_000));
            text
        }
        1700 => numeric_text(bytes)?,
        0 | 18 | 19 | 25 | 114 | 705 | 1042 | 1043 => utf8(bytes)?.to_owned(),
        other => return Err(format!("a parameter of type {other} in binary form is not understood; send it as text")),
    })
}

/// A decimal number from PostgreSQL's binary form; the other way of [`numeric_into`].
fn numeric_text(bytes: &[u8]) -> Result<String, String> {
    let rest = &mut &*bytes;
    let mut half = || -> Result<i16, String> { Ok(i16::from_be_bytes(fixed(take(rest, 2)?)?)) };
    let (count, weight, sign, scale) = (half()?, half()?, half()?.cast_unsigned(), half()?);
    if sign == 0xC000 {
        return Ok("NaN".to_owned());
    }
    let digits = (0..count).map(|_| half()).collect::<Result<Vec<_>, _>>()?;
    let known = (0..=9999).contains(&digits.iter().copied().max().unwrap_or(0))
        && digits.iter().all(|digit| *digit >= 0)
        && matches!(sign, 0 | 0x4000)
        && (-1000..=1000).contains(&weight)
        && (0..=1000).contains(&scale);
    if !known {
        return Err("a decimal number as parameter is not one, or has more than 4000 digits".to_owned());
    }
    let digit = |place: i16| usize::try_from(place).ok().and_then(|place| digits.get(place)).copied().unwrap_or(0);
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    if weight < 0 {
        text.push('0');
    }
    // Writing to a String cannot fail.
    for place in 0..=weight {
        let _ = if place == 0 { write!(text, "{}", digit(0)) } else { write!(text, "{:04}", digit(place)) };
    }
    if scale > 0 {
        text.push('.');
        let point = text.len();
        for place in weight + 1..=weight + 1 + scale / 4 {
            let _ = write!(text, "{:04}", digit(place));
        }
        text.truncate(point + usize::try_from(scale).unwrap_or(0));
    }
    Ok(text)
}

/// Takes `len` bytes off the front.
fn take<'a>(rest: &mut &'a [u8], len: usize) -> Result<&'a [u8], String> {
    let (taken, after) = rest.split_at_checked(len).ok_or("an array parameter is cut off")?;
    *rest = after;
    Ok(taken)
}

fn word(rest: &mut &[u8]) -> Result<i32, String> {
    Ok(i32::from_be_bytes(fixed(take(rest, 4)?)?))
}

fn binary_array(bytes: &[u8]) -> Result<Vec<Expr>, String> {
    let rest = &mut &*bytes;
    let (dimensions, _nulls, item) = (word(rest)?, word(rest)?, word(rest)?.cast_unsigned());
    match dimensions {
        0 => return Ok(Vec::new()),
        1 => {}
        _ => return Err("an array parameter has more than one dimension".to_owned()),
    }
    let (count, _lower) = (word(rest)?, word(rest)?);
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(match word(rest)? {
            -1 => null_of(item),
            len => literal(item, &binary_text(item, take(rest, usize::try_from(len).unwrap_or(usize::MAX))?)?)?,
        });
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(column: Column) -> String {
        let mut text = String::new();
        text_into(&mut text, &column, 0, &mut Day::default());
        text
    }

    #[test]
    fn values_read_as_postgres_writes_them() {
        let at = |us| Column::Stamp(TimestampMicrosecondArray::from(vec![us]), true);
        assert_eq!(shown(at(0)), "1970-01-01 00:00:00+00");
        assert_eq!(shown(at(1_700_000_000_120_000)), "2023-11-14 22:13:20.12+00");
        assert_eq!(shown(at(-1)), "1969-12-31 23:59:59.999999+00");
        for (value, wanted) in [
            (1.5, "1.5"),
            (0.1, "0.1"),
            (-0.0, "-0"),
            (1e300, "1e300"),
            (1e-7, "1e-7"),
            (f64::INFINITY, "Infinity"),
            (42.0, "42"),
        ] {
            assert_eq!(shown(Column::F64(Float64Array::from(vec![value]))), wanted);
        }
        assert_eq!(shown(Column::Duration(DurationMicrosecondArray::from(vec![90_061_000_000]))), "25:01:01");
        assert_eq!(shown(Column::Bool(BooleanArray::from(vec![true]))), "t");
    }

    #[test]
    fn rows_of_several_days_have_their_dates() {
        let times: Vec<i64> = [0, 5, 86_400_000_000, -1, 86_399_999_999].to_vec();
        let mut day = Day::default();
        let column = Column::Stamp(TimestampMicrosecondArray::from(times), false);
        let shown = (0..5).map(|row| {
            let mut text = String::new();
            text_into(&mut text, &column, row, &mut day);
            text
        });
        let right = [
            "1970-01-01 00:00:00",
            "1970-01-01 00:00:00.000005",
            "1970-01-02 00:00:00",
            "1969-12-31 23:59:59.999999",
            "1970-01-01 23:59:59.999999",
        ];
        assert_eq!(shown.collect::<Vec<_>>(), right);
    }

    proptest::proptest! {
        #[test]
        fn the_quick_way_to_write_a_double_gives_the_same_text(bits in proptest::prelude::any::<u64>(), digits in -999_999_999..999_999_999_i64, power in 0..20_i32) {
            let decimal = digits as f64 / 10_f64.powi(power);
            for value in [f64::from_bits(bits), decimal, decimal.trunc(), 1e15, 1e-4, 999_999_999_999_999.9, f64::from_bits(14_042_263_433_606_101_988)] {
                let (mut quick, mut plain) = (String::new(), String::new());
                double(&mut quick, value).and(float(&mut plain, value, &value)).expect("texts take anything");
                proptest::prop_assert_eq!(quick, plain);
            }
        }

        #[test]
        fn a_time_of_day_is_written_with_all_its_parts(at in 0..1_000_000_000_000_i64) {
            let mut text = String::new();
            clock(&mut text, at).expect("texts take anything");
            let (seconds, micros) = (at / 1_000_000, at % 1_000_000);
            let mut right = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
            if micros != 0 {
                right += format!(".{micros:06}").trim_end_matches('0');
            }
            proptest::prop_assert_eq!(text, right);
        }
    }

    #[test]
    fn a_decimal_number_has_its_binary_form() {
        let mut out = BytesMut::new();
        numeric_into(&mut out, "-12345.678");
        assert_eq!(&out[..], [0, 3, 0, 1, 0x40, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1A, 0x7C]);
    }

    #[test]
    fn a_decimal_number_is_read_from_its_binary_form() {
        for text in ["0", "5", "-12345.678", "0.05", "100000000", "0.00000001", "-1.5", "99999999.9999"] {
            let mut out = BytesMut::new();
            numeric_into(&mut out, text);
            assert_eq!(numeric_text(&out).as_deref(), Ok(text));
        }
        // As other programs send it: without the groups that are zero.
        assert_eq!(numeric_text(&[0, 1, 0, 1, 0, 0, 0, 0, 0, 5]).as_deref(), Ok("50000"));
        assert_eq!(numeric_text(&[0, 1, 0xFF, 0xFE, 0, 0, 0, 8, 0, 1]).as_deref(), Ok("0.00000001"));
        assert_eq!(numeric_text(&[0, 0, 0, 0, 0, 0, 0, 0]).as_deref(), Ok("0"));
        for wrong in [&[0, 1][..], &[0, 1, 0, 0, 0, 0, 0, 0, 0xFF, 0xFF], &[0, 0, 0x7F, 0xFF, 0, 0, 0, 0]] {
            assert!(numeric_text(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn parameters_become_literals() {
        let text = |oid, binary, bytes: &[u8]| parameter(oid, binary, Some(bytes)).map(|expr| expr.to_string());
        assert_eq!(text(23, true, &5_i32.to_be_bytes()).as_deref(), Ok("5"));
        assert_eq!(text(20, false, b"-5").as_deref(), Ok("CAST('-5' AS BIGINT)"));
        assert_eq!(text(25, false, b"it's").as_deref(), Ok("'it''s'"));
        assert_eq!(
            text(1184, true, &0_i64.to_be_bytes()).as_deref(),
            Ok("CAST('2000-01-01T00:00:00Z' AS TIMESTAMP(6) WITH TIME ZONE)")
        );
        assert_eq!(text(1009, false, b"{a,b}").as_deref(), Ok("ARRAY['a', 'b']"));
        assert!(text(23, true, &[1]).is_err());
        assert_eq!(parameter(20, true, None).map(|expr| expr.to_string()).as_deref(), Ok("CAST(NULL AS BIGINT)"));
    }
}
