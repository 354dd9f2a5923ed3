//! Answers for HTTP: JSON, CSV and Arrow, batch by batch.

use crate::engine::Answer;
use crate::error::SqlError;
use arrow::array::{Array, ArrayRef, AsArray, Float64Array, StringViewArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Float64Type, SchemaRef};
use arrow::ipc::writer::StreamWriter;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use bytes::Bytes;
use std::io::Write;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `{"columns": [{"name", "type"}…], "rows": [[…]…]}`; ends with `"error"` when it breaks off.
    Json,
    /// With a header line; null is nothing.
    Csv,
    /// Arrow IPC stream.
    Arrow,
}

impl Format {
    /// Its media type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

/// Writes an answer piece by piece.
pub struct Writer {
    answer: Answer,
    format: Format,
    begun: bool,
    ended: bool,
    first: bool,
    arrow: Option<StreamWriter<Vec<u8>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("format", &self.format).finish_non_exhaustive()
    }
}

fn failed(error: impl std::fmt::Display) -> SqlError {
    SqlError::Failed(format!("the answer cannot be written: {error}"))
}

impl Writer {
    /// Begins with an answer.
    #[must_use]
    pub const fn new(answer: Answer, format: Format) -> Self {
        Self { answer, format, begun: false, ended: false, first: true, arrow: None }
    }

    /// The next bytes; `None` at the end. JSON tells an error inside the answer; the other forms can only break off.
    pub async fn next(&mut self) -> Option<Result<Bytes, SqlError>> {
        if self.ended {
            return None;
        }
        let mut out = Vec::new();
        if !self.begun {
            self.begun = true;
            if let Err(error) = self.head(&mut out) {
                self.ended = true;
                return Some(Err(error));
            }
            return Some(Ok(out.into()));
        }
        let written = match self.answer.next().await {
            Some(Ok(batch)) => self.batch(&batch, &mut out),
            Some(Err(error)) => Err(error),
            None => {
                self.ended = true;
                self.tail(&mut out, None)
            }
        };
        if let Err(error) = written {
            self.ended = true;
            if self.format != Format::Json {
                return Some(Err(error));
            }
            out.clear();
            let _ = self.tail(&mut out, Some(&error));
        }
        Some(Ok(out.into()))
    }

    fn head(&mut self, out: &mut Vec<u8>) -> Result<(), SqlError> {
        let schema = &self.answer.schema;
        match self.format {
            Format::Json => {
                let column = |field: &arrow::datatypes::FieldRef| serde_json::json!({"name": field.name(), "type": type_name(field.data_type())});
                let columns: Vec<_> = schema.fields().iter().map(column).collect();
                write!(out, "{{\"columns\":{},\"rows\":[", serde_json::Value::from(columns)).map_err(failed)
            }
            Format::Csv => {
                let names = RecordBatch::new_empty(schema.clone());
                WriterBuilder::new().with_header(true).build(&mut *out).write(&names).map_err(failed)?;
                if out.is_empty() {
                    let names: Vec<_> = schema.fields().iter().map(|field| csv_text(field.name())).collect();
                    writeln!(out, "{}", names.join(",")).map_err(failed)?;
                }
                Ok(())
            }
            Format::Arrow => {
                let mut writer = StreamWriter::try_new(Vec::new(), schema).map_err(failed)?;
                out.append(writer.get_mut());
                self.arrow = Some(writer);
                Ok(())
            }
        }
    }

    fn batch(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<(), SqlError> {
        match self.format {
            Format::Json => json_rows(&in_utc(batch)?, out, &mut self.first),
            Format::Csv => {
                let batch = plain(&in_utc(batch)?)?;
                let builder = WriterBuilder::new()
                    .with_header(false)
                    .with_timestamp_tz_format("%Y-%m-%dT%H:%M:%S%.6fZ".to_owned())
                    .with_timestamp_format("%Y-%m-%dT%H:%M:%S%.6f".to_owned());
                builder.build(out).write(&batch).map_err(failed)
            }
            Format::Arrow => {
                let Some(writer) = &mut self.arrow else { return Ok(()) };
                writer.write(batch).map_err(failed)?;
                out.append(writer.get_mut());
                Ok(())
            }
        }
    }

    fn tail(&mut self, out: &mut Vec<u8>, error: Option<&SqlError>) -> Result<(), SqlError> {
        match self.format {
            Format::Json => match error {
                None => out.extend_from_slice(b"]}"),
                Some(error) => {
                    let error = serde_json::json!({"code": error.code(), "message": error.to_string()});
                    write!(out, "],\"error\":{error}}}").map_err(failed)?;
                }
            },
            Format::Csv => {}
            Format::Arrow => {
                if let Some(writer) = &mut self.arrow {
                    writer.finish().map_err(failed)?;
                    out.append(writer.get_mut());
                }
            }
        }
        Ok(())
    }
}

fn csv_text(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

/// Times of another zone (`AT TIME ZONE`) in UTC, as they are written with a `Z`.
fn in_utc(batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
    let foreign = |data_type: &DataType| matches!(data_type, DataType::Timestamp(_, Some(zone)) if &**zone != "UTC");
    if !batch.schema().fields().iter().any(|field| foreign(field.data_type())) {
        return Ok(batch.clone());
    }
    let (mut fields, mut columns) = (Vec::new(), Vec::new());
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        let data_type = match field.data_type() {
            DataType::Timestamp(unit, Some(_)) => DataType::Timestamp(*unit, Some("UTC".into())),
            other => other.clone(),
        };
        columns.push(arrow::compute::cast(column, &data_type).map_err(failed)?);
        fields.push(field.as_ref().clone().with_data_type(data_type));
    }
    let schema: SchemaRef = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new(schema, columns).map_err(failed)
}

/// What CSV has no form for, as text.
fn plain(batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
    let nested = |data_type: &DataType| {
        data_type.is_nested() || matches!(data_type, DataType::Interval(_) | DataType::Duration(_))
    };
    if !batch.schema().fields().iter().any(|field| nested(field.data_type())) {
        return Ok(batch.clone());
    }
    let columns = batch.columns().iter().map(|array| -> Result<(ArrayRef, DataType), SqlError> {
        if !nested(array.data_type()) {
            return Ok((array.clone(), array.data_type().clone()));
        }
        let options = FormatOptions::default();
        let formatter = ArrayFormatter::try_new(array, &options).map_err(failed)?;
        let texts: arrow::array::StringArray =
            (0..array.len()).map(|row| (!array.is_null(row)).then(|| formatter.value(row).to_string())).collect();
        Ok((std::sync::Arc::new(texts), DataType::Utf8))
    });
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let schema = batch.schema();
    let fields: Vec<_> = schema
        .fields()
        .iter()
        .zip(&columns)
        .map(|(field, (_, data_type))| arrow::datatypes::Field::new(field.name(), data_type.clone(), true))
        .collect();
    let schema: SchemaRef = std::sync::Arc::new(arrow::datatypes::Schema::new(fields));
    RecordBatch::try_new(schema, columns.into_iter().map(|(array, _)| array).collect()).map_err(failed)
}

/// PostgreSQL's word for a column's type.
fn type_name(data_type: &DataType) -> String {
    let oid = crate::pg::values::oid_of(data_type);
    crate::pg::catalog::type_words(i64::from(oid)).unwrap_or_else(|| "text".to_owned())
}

/// How a cell is written in JSON.
enum Cells<'a> {
    /// Its text is JSON already: numbers, booleans.
    Bare,
    /// Short numbers, as they are shown, beside themselves as doubles.
    Float(Float64Array),
    /// Doubles, the usual numbers; straight from their column.
    Double(&'a Float64Array),
    /// Text.
    Quoted,
    /// Text that stands in its column.
    Text(&'a StringViewArray),
}

fn json_rows(batch: &RecordBatch, out: &mut Vec<u8>, first: &mut bool) -> Result<(), SqlError> {
    let options = FormatOptions::default()
        .with_timestamp_tz_format(Some("%Y-%m-%dT%H:%M:%S%.6fZ"))
        .with_timestamp_format(Some("%Y-%m-%dT%H:%M:%S%.6f"));
    let formatters = batch.columns().iter().map(|array| ArrayFormatter::try_new(array, &options).map_err(failed));
    let formatters = formatters.collect::<Result<Vec<_>, _>>()?;
    let kinds = batch.columns().iter().map(|array| {
        Ok(match array.data_type() {
            DataType::Float64 => Cells::Double(array.as_primitive()),
            DataType::Utf8View => Cells::Text(array.as_string_view()),
            DataType::Boolean => Cells::Bare,
            DataType::Float16 | DataType::Float32 => {
                let doubles = arrow::compute::cast(array, &DataType::Float64).map_err(failed)?;
                Cells::Float(doubles.as_primitive::<Float64Type>().clone())
            }
            other if other.is_integer() => Cells::Bare,
            _ => Cells::Quoted,
        })
    });
    let kinds = kinds.collect::<Result<Vec<Cells>, SqlError>>()?;
    for row in 0..batch.num_rows() {
        out.extend_from_slice(if *first { b"[" } else { b",[" });
        *first = false;
        for (place, ((array, formatter), kind)) in batch.columns().iter().zip(&formatters).zip(&kinds).enumerate() {
            if place > 0 {
                out.push(b',');
            }
            if array.is_null(row) || matches!(array.data_type(), DataType::Null) {
                out.extend_from_slice(b"null");
                continue;
            }
            let value = formatter.value(row);
            match kind {
                Cells::Double(numbers) => double(out, numbers.value(row))?,
                Cells::Text(texts) => serde_json::to_writer(&mut *out, texts.value(row)).map_err(failed)?,
                Cells::Bare => write!(out, "{value}").map_err(failed)?,
                Cells::Float(numbers) => match endless(numbers.value(row)) {
                    Some(word) => serde_json::to_writer(&mut *out, word).map_err(failed)?,
                    None => write!(out, "{value}").map_err(failed)?,
                },
                // What cannot be told (a date beyond all calendars) is an error and no text in its place.
                Cells::Quoted => {
                    serde_json::to_writer(&mut *out, &value.try_to_string().map_err(failed)?).map_err(failed)?;
                }
            }
        }
        out.push(b']');
    }
    Ok(())
}

/// A number with a decimal point, as the engine shows it. What JSON has no number for stands there as PostgreSQL's `to_json` writes it:
/// `"Infinity"`, `"-Infinity"`, `"NaN"`; null is a value that is not there, and nothing else.
fn double(out: &mut Vec<u8>, number: f64) -> Result<(), SqlError> {
    match endless(number) {
        Some(word) => serde_json::to_writer(out, word),
        None => serde_json::to_writer(out, &number),
    }
    .map_err(failed)
}

fn endless(number: f64) -> Option<&'static str> {
    match number {
        f64::INFINITY => Some("Infinity"),
        f64::NEG_INFINITY => Some("-Infinity"),
        number => number.is_nan().then_some("NaN"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float32Array, TimestampMicrosecondArray};

    #[test]
    fn a_number_that_json_lacks_is_a_word_and_never_null() {
        let doubles: ArrayRef = std::sync::Arc::new(Float64Array::from(vec![Some(1.5), None, Some(f64::INFINITY)]));
        let singles: ArrayRef = std::sync::Arc::new(Float32Array::from(vec![f32::NEG_INFINITY, f32::NAN, 0.1]));
        let batch = RecordBatch::try_from_iter([("double", doubles), ("single", singles)]).expect("a batch");
        let mut out = Vec::new();
        json_rows(&batch, &mut out, &mut true).expect("written");
        assert_eq!(String::from_utf8_lossy(&out), r#"[1.5,"-Infinity"],[null,"NaN"],["Infinity",0.1]"#);
    }

    #[test]
    fn a_time_beyond_all_calendars_is_an_error_and_no_text_in_its_place() {
        let json = |us| {
            let times: ArrayRef = std::sync::Arc::new(TimestampMicrosecondArray::from(vec![us]).with_timezone("UTC"));
            let batch = RecordBatch::try_from_iter([("ts", times)]).expect("a batch");
            let mut out = Vec::new();
            json_rows(&batch, &mut out, &mut true).map(|()| String::from_utf8_lossy(&out).into_owned())
        };
        assert_eq!(json(-1).expect("a date"), r#"["1969-12-31T23:59:59.999999Z"]"#);
        assert!(json(i64::MAX).is_err() && json(i64::MIN).is_err());
    }
}
