//! Parquet files in chunks: columns by name, rows as JSON readings.

use super::{CHUNK_READINGS, CHUNK_ROWS, Chunk, Map, Position, Rows};
use andon_model::Timestamp;
use anyhow::{Context as _, Result, bail};
use arrow::array::{Array as _, ArrayRef, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type, Int64Type, TimeUnit, TimestampMicrosecondType, UInt64Type};
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};
use parquet::basic::Compression;
use parquet::file::metadata::ColumnChunkMetaData;
use serde_json::{Map as Object, Value as Json};
use std::fs::File;
use std::path::Path;

/// Columns of a value, where there are several; the first that is not null counts.
const VALUES: [&str; 4] = ["text_value", "bool_value", "int_value", "value"];

/// A Parquet file.
pub(super) struct Source {
    reader: ParquetRecordBatchReader,
    rows: u64,
    targets: Vec<String>,
    at: Position,
}

impl Source {
    /// Opens the file and goes on behind `done`.
    pub(super) fn open(file: &Path, map: &Map, done: Position) -> Result<Self> {
        let opened = File::open(file).with_context(|| format!("could not read {}", file.display()))?;
        let builder = ParquetRecordBatchReaderBuilder::try_new(opened).context(
            "it is not a whole Parquet file: nothing of it was imported\n  try: copy it anew from where it was made",
        )?;
        let columns: Vec<String> = builder.schema().fields().iter().map(|field| field.name().clone()).collect();
        let groups = builder.metadata().row_groups().iter().flat_map(|group| group.columns());
        if let Some(packed) = groups.map(ColumnChunkMetaData::compression).find(|packed| !is_readable(*packed)) {
            bail!(
                "it is packed with {packed}, which is not read here\n  try: write it with zstd, snappy, gzip or uncompressed"
            );
        }
        let rows = u64::try_from(builder.metadata().file_metadata().num_rows()).unwrap_or(0);
        let targets = map.targets(&columns)?;
        let named = |wanted: &str| targets.iter().any(|target| target == wanted);
        if named("path") && !VALUES.iter().any(|value| named(value)) {
            bail!("there is no column \"value\"; there are {}\n  try: --map value=COLUMN", columns.join(", "));
        }
        let skip = usize::try_from(done.row).unwrap_or(usize::MAX);
        let chunk_rows = (CHUNK_READINGS / targets.len().max(1)).clamp(1, CHUNK_ROWS);
        let reader = builder.with_batch_size(chunk_rows).with_offset(skip).build().context("it cannot be read")?;
        Ok(Self { reader, rows, targets, at: done })
    }

    /// Rows of the whole file.
    pub(super) const fn rows(&self) -> u64 {
        self.rows
    }

    /// The next rows; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Chunk>> {
        let Some(batch) = self.reader.next() else { return Ok(None) };
        let damaged =
            || format!("the file is damaged behind row {}\n  try: copy it anew from where it was made", self.at.row);
        let batch = batch.with_context(damaged)?;
        let (readings, rows) = self.readings(&batch)?;
        self.at.row += batch.num_rows() as u64;
        let body = serde_json::to_vec(&readings)?.into();
        Ok(Some(Chunk { body, kind: "application/json", rows: Rows::Of(rows), then: self.at }))
    }

    /// Readings, and the row of each.
    fn readings(&self, batch: &RecordBatch) -> Result<(Vec<Json>, Vec<u64>)> {
        let column = |wanted: &str| {
            let place = self.targets.iter().position(|target| target == wanted)?;
            Some(Cells::of(batch.column(place)).with_context(|| format!("the column {wanted:?}")))
        };
        let ts = column("ts").context("there is no column \"ts\"")??;
        let ts = Times {
            cells: ts,
            written: self.targets.iter().position(|target| target == "ts").map(|place| batch.column(place)),
        };
        let (mut readings, mut rows) = (Vec::new(), Vec::new());
        let mut add = |row: usize, path: Json, value: Json, quality: Option<Json>| {
            let mut reading = Object::new();
            reading.insert("path".to_owned(), path);
            reading.insert("ts".to_owned(), ts.time_at(row));
            reading.insert("value".to_owned(), value);
            reading.extend(quality.map(|quality| ("quality".to_owned(), quality)));
            readings.push(Json::Object(reading));
            rows.push(self.at.row + row as u64 + 1);
        };
        if let Some(path) = column("path").transpose()? {
            let values: Vec<Cells> = VALUES.iter().filter_map(|value| column(value)).collect::<Result<_>>()?;
            let quality = column("quality").transpose()?;
            for row in 0..batch.num_rows() {
                let value = values.iter().map(|cells| cells.at(row)).find(|value| !value.is_null()).unwrap_or_default();
                let name = path.at(row);
                let name = if name.is_string() { name } else { Json::from(name.to_string()) };
                add(row, name, value, quality.as_ref().map(|cells| cells.at(row)));
            }
        } else {
            let tags = self.targets.iter().filter(|target| !matches!(target.as_str(), "ts" | ""));
            let tags: Vec<(&String, Cells)> =
                tags.map(|target| Ok((target, column(target).context("a column is gone")??))).collect::<Result<_>>()?;
            for row in 0..batch.num_rows() {
                for (path, cells) in &tags {
                    let value = cells.at(row);
                    if !value.is_null() {
                        add(row, Json::from(path.as_str()), value, None);
                    }
                }
            }
        }
        Ok((readings, rows))
    }
}

const fn is_readable(packed: Compression) -> bool {
    matches!(packed, Compression::UNCOMPRESSED | Compression::SNAPPY | Compression::GZIP(_) | Compression::ZSTD(_))
}

/// What stands where a time is that cannot be kept. It is no time, so its row is refused.
const NO_TIME: &str = "a time beyond what can be kept";

/// The cells of the times.
struct Times<'b> {
    cells: Cells,
    /// The column as it is in the file.
    written: Option<&'b ArrayRef>,
}

impl Times<'_> {
    /// A time as JSON; null only where the file has none.
    fn time_at(&self, row: usize) -> Json {
        match self.cells.at(row) {
            Json::Null if self.written.is_some_and(|written| written.is_valid(row)) => NO_TIME.into(),
            time => time,
        }
    }
}

/// The cells of a column, in one of few kinds.
enum Cells {
    Time(ArrayRef),
    Signed(ArrayRef),
    Unsigned(ArrayRef),
    Float(ArrayRef),
    Bool(ArrayRef),
    Text(ArrayRef),
}

impl Cells {
    fn of(column: &ArrayRef) -> Result<Self> {
        let kind = match column.data_type() {
            DataType::Dictionary(_, value) => (**value).clone(),
            kind => kind.clone(),
        };
        let to = |wanted: &DataType| Ok::<_, anyhow::Error>(cast(column, wanted)?);
        Ok(match kind {
            DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => {
                // Without a time zone, as UTC.
                Self::Time(to(&DataType::Timestamp(TimeUnit::Microsecond, None))?)
            }
            DataType::UInt64 => Self::Unsigned(to(&DataType::UInt64)?),
            kind if kind.is_integer() => Self::Signed(to(&DataType::Int64)?),
            kind if kind.is_floating() || kind.is_decimal() => Self::Float(to(&DataType::Float64)?),
            DataType::Boolean => Self::Bool(to(&DataType::Boolean)?),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {
                Self::Text(to(&DataType::Utf8)?)
            }
            other => bail!("it holds {other}, which is no value of a tag\n  try: a number, a boolean or a text"),
        })
    }

    /// A cell as JSON; null where there is none, and for NaN, by which others say the same.
    fn at(&self, row: usize) -> Json {
        let (Self::Time(array)
        | Self::Signed(array)
        | Self::Unsigned(array)
        | Self::Float(array)
        | Self::Bool(array)
        | Self::Text(array)) = self;
        if array.is_null(row) {
            return Json::Null;
        }
        match self {
            Self::Time(array) => {
                Timestamp::from_micros(array.as_primitive::<TimestampMicrosecondType>().value(row)).to_string().into()
            }
            Self::Signed(array) => array.as_primitive::<Int64Type>().value(row).into(),
            Self::Unsigned(array) => array.as_primitive::<UInt64Type>().value(row).into(),
            Self::Float(array) => match array.as_primitive::<Float64Type>().value(row) {
                // Refused with its row, for no number of JSON says this.
                endless if endless.is_infinite() => endless.to_string().into(),
                number => number.into(),
            },
            Self::Bool(array) => array.as_boolean().value(row).into(),
            Self::Text(array) => array.as_string::<i32>().value(row).into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Float64Array, TimestampSecondArray};
    use parquet::arrow::ArrowWriter;
    use std::sync::Arc;

    #[test]
    fn a_time_that_cannot_be_kept_is_not_taken_for_none() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("x.parquet");
        let ts: ArrayRef = Arc::new(TimestampSecondArray::from(vec![Some(1), Some(i64::MAX / 1000), None]));
        let heat: ArrayRef = Arc::new(Float64Array::from(vec![1.0, 2.0, 3.0]));
        let batch = RecordBatch::try_from_iter_with_nullable([("ts", ts, true), ("a/b", heat, true)]).expect("a batch");
        let mut writer =
            ArrowWriter::try_new(File::create(&file).expect("a file"), batch.schema(), None).expect("good");
        writer.write(&batch).expect("written");
        writer.close().expect("closed");
        let mut source = Source::open(&file, &Map(Vec::new()), Position::default()).expect("open");
        let chunk = source.next().expect("good").expect("a chunk");
        let readings: Vec<Json> = serde_json::from_slice(&chunk.body).expect("JSON");
        let times: Vec<&Json> = readings.iter().map(|reading| &reading["ts"]).collect();
        assert_eq!(times, [&Json::from("1970-01-01T00:00:01Z"), &Json::from(NO_TIME), &Json::Null]);
    }
}
