//! Writing a file of format 3 from blocks that come sorted by tag and time.
//!
//! Budget: about 100 ns a row on one core, of which Parquet's encoders and zstd take most. Rows are gathered column by
//! column until a row group is full; nothing is allocated per row but text.

use super::SegmentError;
use super::classify::{Class, classify, classify_after};
use super::directory::{self, Entry, Kind};
use super::layout::{self, DIRECTORY_KEY, GROUP_ROWS, is_later, split_ts};
use crate::block::Block;
use crate::decimal::{power, scale};
use crate::manifest::{FileInfo, Piece};
use crate::rollup::RollupWriter;
use andon_model::Value;
use andon_model::column::{Quality, Values};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A row group ends at so many bytes of text, however few rows it has.
const GROUP_TEXT_BYTES: usize = 16 << 20;
/// So many rows with text at most are taken between two looks at that.
const MIXED_ROWS: usize = 1024;

/// Counts and checksums what passes, piece by piece.
struct Checked<W> {
    inner: W,
    crc32c: u32,
    bytes: u64,
}

impl<W> Checked<W> {
    /// Ends a piece here.
    fn end_piece(&mut self, pieces: &mut Vec<Piece>) {
        pieces.push(Piece { end: self.bytes, crc32c: std::mem::take(&mut self.crc32c) });
    }
}

impl<W: Write> Write for Checked<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(data)?;
        self.crc32c = crc32c::crc32c_append(self.crc32c, data.get(..written).unwrap_or(data));
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Writes one file.
pub(crate) struct SegmentWriter {
    path: PathBuf,
    writer: SerializedFileWriter<Checked<BufWriter<File>>>,
    group: Group,
    entries: Vec<Entry>,
    rollups: RollupWriter,
    info: FileInfo,
}

/// The rows of the row group that is being gathered.
#[derive(Default)]
struct Group {
    tag: Vec<i64>,
    ts_ms: Vec<i64>,
    ts_us: Vec<i32>,
    int: Optional<i64>,
    scale: Optional<f64>,
    float: Optional<f32>,
    double: Optional<f64>,
    boolean: Optional<bool>,
    text: Optional<ByteArray>,
    quality: Vec<i64>,
    received_ms: Optional<i64>,
    received_at_ms: Optional<i64>,
    /// Bytes of the texts, equal neighbours counted once.
    text_bytes: usize,
    /// The last text: equal neighbours share their bytes.
    last_text: Option<ByteArray>,
}

/// A column that may be null: the values there are, and for each row whether it has one. Rows behind the last
/// value are filled in at the end, so that a column without values costs nothing per row.
#[derive(Default)]
struct Optional<T> {
    values: Vec<T>,
    levels: Vec<i16>,
}

impl<T> Optional<T> {
    /// Of row `row`.
    fn set(&mut self, row: usize, value: T) {
        self.levels.resize(row, 0);
        self.levels.push(1);
        self.values.push(value);
    }

    /// Of the rows from `row` on.
    fn set_all(&mut self, row: usize, values: impl ExactSizeIterator<Item = T>) {
        self.levels.resize(row, 0);
        self.levels.resize(row + values.len(), 1);
        self.values.extend(values);
    }

    fn clear(&mut self) {
        self.values.clear();
        self.levels.clear();
    }
}

impl SegmentWriter {
    /// Into `file`, which will be known as `path`; `info` is that of a file without rows.
    pub(crate) fn new(file: File, path: &Path, info: FileInfo, rollups: RollupWriter) -> Result<Self, SegmentError> {
        let target = Checked { inner: BufWriter::with_capacity(256 * 1024, file), crc32c: 0, bytes: 0 };
        let writer = layout::properties()
            .and_then(|properties| SerializedFileWriter::new(target, layout::schema()?, Arc::new(properties)))
            .map_err(|error| SegmentError::unwritten(path, error))?;
        Ok(Self { path: path.to_owned(), writer, group: Group::default(), entries: Vec::new(), rollups, info })
    }

    /// Adds rows of a tag; they come after all that were added before.
    pub(crate) fn push(&mut self, tag: u32, block: &Block, rows: Range<usize>) -> Result<(), SegmentError> {
        let mut rows = rows;
        self.rollups.push(tag, block, rows.clone()).map_err(|error| SegmentError::io(&self.path, error))?;
        while !rows.is_empty() {
            let room = GROUP_ROWS - self.group.tag.len();
            let room = if matches!(block.values, Values::Mixed(_)) { room.min(MIXED_ROWS) } else { room };
            let now = rows.start..rows.end.min(rows.start + room);
            rows.start = now.end;
            self.note(tag, block, now);
            if self.group.tag.len() >= GROUP_ROWS || self.group.text_bytes >= GROUP_TEXT_BYTES {
                self.end_group()?;
            }
        }
        Ok(())
    }

    /// Takes rows into the open group and into the directory.
    fn note(&mut self, tag: u32, block: &Block, rows: Range<usize>) {
        let (Some(first), Some(last)) =
            (block.ts.get(rows.start), rows.end.checked_sub(1).and_then(|at| block.ts.get(at)))
        else {
            return;
        };
        let info = &mut self.info;
        info.rows += rows.len() as u64;
        info.tags = (info.tags.0.min(tag), info.tags.1.max(tag));
        info.ts = (info.ts.0.min(*first), info.ts.1.max(*last));
        let before = self.entries.last().filter(|entry| entry.tag == tag).map(|entry| entry.kind);
        let (kind, all_good) = self.group.push(tag, before, block, rows.clone());
        match self.entries.last_mut() {
            Some(entry) if entry.tag == tag => {
                entry.rows = entry.rows.saturating_add(u32::try_from(rows.len()).unwrap_or(u32::MAX));
                entry.ts.1 = *last;
                entry.all_good &= all_good;
                if entry.kind != kind {
                    entry.kind = Kind::Mixed;
                }
            }
            before => {
                let first_row = before.map_or(0, |entry| entry.first_row + u64::from(entry.rows));
                let rows = u32::try_from(rows.len()).unwrap_or(u32::MAX);
                self.entries.push(Entry { tag, first_row, rows, kind, all_good, ts: (*first, *last) });
            }
        }
    }

    /// Writes the rest and the footer; the file and its roll-ups, if it has any, are complete but not yet synced.
    pub(crate) fn finish(mut self) -> Result<(File, Option<File>, FileInfo), SegmentError> {
        self.end_group()?;
        let directory = directory::encode(&self.entries);
        self.writer.append_key_value_metadata(KeyValue::new(DIRECTORY_KEY.to_owned(), directory));
        let path = self.path;
        let mut checked = self.writer.into_inner().map_err(|error| SegmentError::unwritten(&path, error))?;
        self.info.bytes = checked.bytes;
        checked.end_piece(&mut self.info.pieces);
        let file = checked.inner.into_inner().map_err(|error| SegmentError::io(&path, error.into_error()))?;
        let rollups = self.rollups.finish().map_err(|error| SegmentError::io(&path, error))?;
        self.info.rollup = rollups.as_ref().map(|(_, info)| *info);
        Ok((file, rollups.map(|(file, _)| file), self.info))
    }

    /// Writes the open row group, if it has rows, and notes its checksum.
    fn end_group(&mut self) -> Result<(), SegmentError> {
        if self.group.tag.is_empty() {
            return Ok(());
        }
        let failed = |error| SegmentError::unwritten(&self.path, error);
        let mut row_group = self.writer.next_row_group().map_err(failed)?;
        self.group.write(&mut row_group).map_err(failed)?;
        row_group.close().map_err(failed)?;
        // What Parquet still holds belongs to this piece.
        self.writer.flush().map_err(|error| SegmentError::io(&self.path, error))?;
        self.writer.inner_mut().end_piece(&mut self.info.pieces);
        self.group.clear();
        Ok(())
    }
}

impl Group {
    /// Returns what the directory says of these rows; `before` is what it says of those of the same tag before them.
    fn push(&mut self, tag: u32, before: Option<Kind>, block: &Block, rows: Range<usize>) -> (Kind, bool) {
        let row = self.tag.len();
        self.tag.resize(row + rows.len(), i64::from(tag));
        for ts in block.ts.get(rows.clone()).unwrap_or_default() {
            let (ms, us) = split_ts(*ts);
            self.ts_ms.push(ms);
            self.ts_us.push(us);
        }
        let kind = match &block.values {
            Values::Double(values) => self.push_doubles(row, before, values.get(rows.clone()).unwrap_or_default()),
            Values::Int(values) => {
                self.int.set_all(row, values.get(rows.clone()).unwrap_or_default().iter().copied());
                Kind::Int
            }
            Values::Mixed(values) => self.push_mixed(row, values.get(rows.clone()).unwrap_or_default()),
        };
        let all_good = match &block.quality {
            Quality::Same(code) => {
                self.quality.resize(row + rows.len(), i64::from(*code));
                *code == 0
            }
            Quality::Each(codes) => {
                let codes = codes.get(rows.clone()).unwrap_or_default();
                self.quality.extend(codes.iter().map(|code| i64::from(*code)));
                codes.iter().all(|code| *code == 0)
            }
        };
        self.push_received(row, block.received_ms.get(rows));
        (kind, all_good)
    }

    /// Of the rows from `row` on; `None` where the block does not know.
    fn push_received(&mut self, row: usize, received_ms: Option<&[i64]>) {
        let rows = self.tag.len() - row;
        match received_ms {
            Some(received) if received.iter().any(|ms| is_later(*ms)) => {
                for (at, ms) in received.iter().enumerate() {
                    let row = row + at;
                    if is_later(*ms) {
                        let ts_ms = self.ts_ms.get(row).copied().unwrap_or_default();
                        self.received_at_ms.set(row, ts_ms.wrapping_add(*ms));
                    } else {
                        self.received_ms.set(row, *ms);
                    }
                }
            }
            Some(received) => self.received_ms.set_all(row, received.iter().copied()),
            None => self.received_ms.set_all(row, std::iter::repeat_n(0, rows)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "the class says that all fit")]
    fn push_doubles(&mut self, row: usize, before: Option<Kind>, values: &[f64]) -> Kind {
        let before = if let Some(Kind::Double(class)) = before { Some(class) } else { None };
        match classify_after(before, values) {
            Class::Float => {
                self.float.set_all(row, values.iter().map(|value| *value as f32));
                Kind::Double(Class::Float)
            }
            Class::Double => {
                self.double.set_all(row, values.iter().copied());
                Kind::Double(Class::Double)
            }
            Class::Scaled { exponent } => self.push_scaled(row, values, exponent),
        }
    }

    fn push_scaled(&mut self, row: usize, values: &[f64], exponent: u8) -> Kind {
        let power = power(exponent);
        let mut kind = Kind::Double(Class::Scaled { exponent });
        self.int.levels.resize(row, 0);
        self.scale.levels.resize(row, 0);
        for (at, value) in values.iter().enumerate() {
            if let Some(whole) = scale(*value, power) {
                self.int.set(row + at, whole);
                self.scale.set(row + at, power);
            } else {
                self.double.set(row + at, *value);
                kind = Kind::Mixed;
            }
        }
        kind
    }

    fn push_mixed(&mut self, row: usize, values: &[Value]) -> Kind {
        // Doubles among other things: each for itself, by the class of all.
        let doubles: Vec<f64> =
            values.iter().filter_map(|value| if let Value::Double(d) = value { Some(*d) } else { None }).collect();
        let power = match classify(&doubles) {
            Class::Scaled { exponent } => Some(power(exponent)),
            Class::Float | Class::Double => None,
        };
        for (at, value) in values.iter().enumerate() {
            let row = row + at;
            match value {
                Value::Double(value) => match power.and_then(|power| Some((scale(*value, power)?, power))) {
                    Some((whole, power)) => {
                        self.int.set(row, whole);
                        self.scale.set(row, power);
                    }
                    None => self.double.set(row, *value),
                },
                Value::Int64(value) => self.int.set(row, *value),
                Value::Boolean(value) => self.boolean.set(row, *value),
                Value::String(text) => {
                    let known = self.last_text.as_ref().filter(|last| last.data() == text.as_bytes()).cloned();
                    let bytes = known.unwrap_or_else(|| {
                        self.text_bytes += text.len();
                        ByteArray::from(bytes::Bytes::copy_from_slice(text.as_bytes()))
                    });
                    self.last_text = Some(bytes.clone());
                    self.text.set(row, bytes);
                }
                Value::Null => {}
            }
        }
        Kind::Mixed
    }

    fn write<W: Write + Send>(&mut self, out: &mut SerializedRowGroupWriter<'_, W>) -> Result<(), ParquetError> {
        let rows = self.tag.len();
        required::<Int64Type, W>(out, &self.tag)?;
        required::<Int64Type, W>(out, &self.ts_ms)?;
        required::<Int32Type, W>(out, &self.ts_us)?;
        optional::<Int64Type, W>(out, &mut self.int, rows)?;
        optional::<DoubleType, W>(out, &mut self.scale, rows)?;
        optional::<FloatType, W>(out, &mut self.float, rows)?;
        optional::<DoubleType, W>(out, &mut self.double, rows)?;
        optional::<BoolType, W>(out, &mut self.boolean, rows)?;
        optional::<ByteArrayType, W>(out, &mut self.text, rows)?;
        required::<Int64Type, W>(out, &self.quality)?;
        optional::<Int64Type, W>(out, &mut self.received_ms, rows)?;
        optional::<Int64Type, W>(out, &mut self.received_at_ms, rows)
    }

    fn clear(&mut self) {
        self.tag.clear();
        self.ts_ms.clear();
        self.ts_us.clear();
        self.int.clear();
        self.scale.clear();
        self.float.clear();
        self.double.clear();
        self.boolean.clear();
        self.text.clear();
        self.quality.clear();
        self.received_ms.clear();
        self.received_at_ms.clear();
        self.text_bytes = 0;
        self.last_text = None;
    }
}

fn required<T: DataType, W: Write + Send>(
    out: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
) -> Result<(), ParquetError> {
    write_column::<T, W>(out, values, None)
}

fn optional<T: DataType, W: Write + Send>(
    out: &mut SerializedRowGroupWriter<'_, W>,
    column: &mut Optional<T::T>,
    rows: usize,
) -> Result<(), ParquetError> {
    column.levels.resize(rows, 0);
    write_column::<T, W>(out, &column.values, Some(&column.levels))
}

fn write_column<T: DataType, W: Write + Send>(
    out: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let mut column =
        out.next_column()?.ok_or_else(|| ParquetError::General("the layout has fewer columns".to_owned()))?;
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}
