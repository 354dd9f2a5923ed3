//! One Parquet file: how it is written, and how a tag's rows are found in it.
//!
//! Columns `tag` (u32), `ts` (µs, UTC), one nullable column per class of value (`v_double`, `v_int`, `v_bool`, `v_text`;
//! at most one of them is set, none for null), `quality` (OPC UA StatusCode) and `received_delta` (µs, received minus
//! source time). Rows are sorted by (tag, ts) and unique. Row groups hold at most 128 Ki rows and the page index says
//! which rows a tag has, so that a read of one tag decodes a few pages.
//!
//! Parquet's own checks are few: a flipped bit can come back as another value, or as a panic in a decoder. So the
//! manifest has a checksum for every row group and for the footer, and nothing is decoded before its bytes were
//! compared, once while its footer is in memory.

use crate::manifest::{FileInfo, Piece};
use crate::row::Row;
use andon_model::Value;
use andon_model::log::Seq;
use arrow_array::builder::{
    BooleanBuilder, Float64Builder, Int64Builder, StringBuilder, TimestampMicrosecondBuilder, UInt32Builder,
};
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{Array as _, ArrayRef, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::{KeyValue, PageIndexPolicy, ParquetMetaData, SortingColumn};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::statistics::Statistics;
use parquet::schema::types::ColumnPath;
use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek as _, SeekFrom, Write};
use std::ops;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Rows per row group.
const GROUP_ROWS: usize = 128 * 1024;
/// Rows per page: small enough that one tag's hour costs a page or two.
const PAGE_ROWS: usize = 8 * 1024;
/// Rows handed to the Parquet writer, and read back, at a time.
const BATCH_ROWS: usize = 8 * 1024;
/// The key in the file's own metadata, and the version of the layout above.
const FORMAT_KEY: &str = "andon.historian.format";
const FORMAT: &str = "1";

const TAG: usize = 0;
const TS: usize = 1;

static SCHEMA: LazyLock<SchemaRef> = LazyLock::new(|| {
    Arc::new(Schema::new(vec![
        Field::new("tag", DataType::UInt32, false),
        Field::new("ts", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("v_double", DataType::Float64, true),
        Field::new("v_int", DataType::Int64, true),
        Field::new("v_bool", DataType::Boolean, true),
        Field::new("v_text", DataType::Utf8, true),
        Field::new("quality", DataType::UInt32, false),
        Field::new("received_delta", DataType::Int64, false),
    ]))
});

/// Why a history file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The disk refused.
    #[error("the history file {path} cannot be read or written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its content is not what was written.
    #[error("the history file {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Written by a later version.
    #[error("the history file {path} has format {found:?}, and this version of Andon reads format {FORMAT}")]
    UnknownFormat {
        /// Which file.
        path: PathBuf,
        /// The format it names.
        found: Option<String>,
    },
}

impl SegmentError {
    pub(crate) fn damaged(path: &Path, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Damaged { path: path.to_owned(), source: source.into() }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

// ---------------------------------------------------------------- writing

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

/// Writes one file from rows that come sorted by (tag, ts) and unique.
pub(crate) struct SegmentWriter {
    path: PathBuf,
    writer: ArrowWriter<Checked<BufWriter<File>>>,
    batch: Batch,
    info: FileInfo,
}

#[derive(Default)]
struct Batch {
    rows: usize,
    tag: UInt32Builder,
    ts: TimestampMicrosecondBuilder,
    double: Float64Builder,
    int: Int64Builder,
    boolean: BooleanBuilder,
    text: StringBuilder,
    quality: UInt32Builder,
    delta: Int64Builder,
}

impl SegmentWriter {
    /// Into `file`, which will be known as `path`.
    pub(crate) fn new(file: File, path: &Path, day: i64, from: Seq, to: Seq) -> Result<Self, SegmentError> {
        let target = Checked { inner: BufWriter::with_capacity(256 * 1024, file), crc32c: 0, bytes: 0 };
        let writer = properties()
            .and_then(|properties| ArrowWriter::try_new(target, Arc::clone(&SCHEMA), Some(properties)))
            .map_err(|error| SegmentError::damaged(path, error))?;
        Ok(Self { path: path.to_owned(), writer, batch: Batch::default(), info: FileInfo::empty(day, from, to) })
    }

    /// Adds the next row.
    pub(crate) fn push(&mut self, row: &Row) -> Result<(), SegmentError> {
        self.batch.push(row);
        let info = &mut self.info;
        info.rows += 1;
        info.tags = (info.tags.0.min(row.tag), info.tags.1.max(row.tag));
        info.ts = (info.ts.0.min(row.ts), info.ts.1.max(row.ts));
        if self.batch.rows >= BATCH_ROWS {
            self.write_batch()?;
        }
        if self.writer.in_progress_rows() >= GROUP_ROWS { self.end_group() } else { Ok(()) }
    }

    /// Writes the rest and the footer; the file is complete but not yet synced.
    pub(crate) fn finish(mut self) -> Result<(File, FileInfo), SegmentError> {
        self.write_batch()?;
        self.end_group()?;
        let path = self.path;
        let mut checked = self.writer.into_inner().map_err(|error| SegmentError::damaged(&path, error))?;
        self.info.bytes = checked.bytes;
        checked.end_piece(&mut self.info.pieces);
        let file = checked.inner.into_inner().map_err(|error| SegmentError::io(&path, error.into_error()))?;
        Ok((file, self.info))
    }

    /// Ends the row group, if one is open, and notes its checksum.
    fn end_group(&mut self) -> Result<(), SegmentError> {
        if self.writer.in_progress_rows() == 0 {
            return Ok(());
        }
        self.writer.flush().map_err(|error| SegmentError::damaged(&self.path, error))?;
        self.writer.sync().map_err(|error| SegmentError::io(&self.path, error))?;
        self.writer.inner_mut().end_piece(&mut self.info.pieces);
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), SegmentError> {
        if self.batch.rows == 0 {
            return Ok(());
        }
        let damaged = |error: Box<dyn Error + Send + Sync>| SegmentError::damaged(&self.path, error);
        let batch = self.batch.take().map_err(|error| damaged(error.into()))?;
        self.writer.write(&batch).map_err(|error| damaged(error.into()))
    }
}

impl Batch {
    fn push(&mut self, row: &Row) {
        self.rows += 1;
        self.tag.append_value(row.tag);
        self.ts.append_value(row.ts);
        let (mut double, mut int, mut boolean, mut text) = (None, None, None, None);
        match &row.value {
            Value::Double(d) => double = Some(*d),
            Value::Int64(i) => int = Some(*i),
            Value::Boolean(b) => boolean = Some(*b),
            Value::String(s) => text = Some(&**s),
            Value::Null => {}
        }
        self.double.append_option(double);
        self.int.append_option(int);
        self.boolean.append_option(boolean);
        self.text.append_option(text);
        self.quality.append_value(row.quality);
        self.delta.append_value(row.delta);
    }

    fn take(&mut self) -> Result<RecordBatch, arrow_schema::ArrowError> {
        self.rows = 0;
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.tag.finish()),
            Arc::new(self.ts.finish().with_timezone("UTC")),
            Arc::new(self.double.finish()),
            Arc::new(self.int.finish()),
            Arc::new(self.boolean.finish()),
            Arc::new(self.text.finish()),
            Arc::new(self.quality.finish()),
            Arc::new(self.delta.finish()),
        ];
        RecordBatch::try_new(Arc::clone(&SCHEMA), columns)
    }
}

fn properties() -> Result<WriterProperties, parquet::errors::ParquetError> {
    let column = |name: &str| ColumnPath::from(name);
    let ascending = |at| SortingColumn { column_idx: at, descending: false, nulls_first: false };
    let mut builder = WriterProperties::builder()
        .set_created_by("andon-historian".to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        // Groups are ended by `end_group`, which must know where each one ends.
        .set_max_row_group_row_count(None)
        .set_data_page_row_count_limit(PAGE_ROWS)
        .set_data_page_size_limit(64 * 1024)
        .set_write_batch_size(1024)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_sorting_columns(Some(vec![ascending(0), ascending(1)]))
        .set_key_value_metadata(Some(vec![KeyValue::new(FORMAT_KEY.to_owned(), FORMAT.to_owned())]));
    for name in ["tag", "ts"] {
        builder = builder.set_column_statistics_enabled(column(name), EnabledStatistics::Page);
    }
    for name in ["ts", "v_int", "received_delta"] {
        builder = builder
            .set_column_dictionary_enabled(column(name), false)
            .set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(builder.build())
}

// ---------------------------------------------------------------- footers in memory

/// A file's footer and page index, and which of its row groups were found to be as written.
struct Footer {
    parquet: ArrowReaderMetadata,
    sound: Vec<AtomicBool>,
}

/// Footers of files read lately, up to a number of bytes; the one not used for longest goes first.
pub(crate) struct Footers {
    limit_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_path: HashMap<PathBuf, (Arc<Footer>, usize, u64)>,
    bytes: usize,
    uses: u64,
}

impl Footer {
    /// Checks the footer's bytes, then understands them.
    fn load(path: &Path, info: &FileInfo, file: &File) -> Result<Self, SegmentError> {
        let groups = info.pieces.len().saturating_sub(1);
        check_piece(path, info, file, groups)?;
        let options =
            ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional).with_skip_arrow_metadata(true);
        let options = options.with_schema(Arc::clone(&SCHEMA));
        let parquet = ArrowReaderMetadata::load(file, options).map_err(|error| SegmentError::damaged(path, error))?;
        check_format(&parquet, path)?;
        if parquet.metadata().num_row_groups() != groups {
            return Err(SegmentError::damaged(path, "it has another number of row groups than the manifest says"));
        }
        Ok(Self { parquet, sound: (0..groups).map(|_| AtomicBool::new(false)).collect() })
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.parquet.metadata()
    }

    /// Checks a row group's bytes, unless that was done before.
    fn check_group(&self, path: &Path, info: &FileInfo, file: &File, group: usize) -> Result<(), SegmentError> {
        let Some(sound) = self.sound.get(group) else { return Ok(()) };
        if !sound.load(Ordering::Relaxed) {
            check_piece(path, info, file, group)?;
            sound.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// Compares one piece of a file with its checksum.
fn check_piece(path: &Path, info: &FileInfo, mut file: &File, piece: usize) -> Result<(), SegmentError> {
    let start = piece.checked_sub(1).and_then(|before| info.pieces.get(before)).map_or(0, |before| before.end);
    let piece =
        info.pieces.get(piece).ok_or_else(|| SegmentError::damaged(path, "the manifest has no checksum for it"))?;
    let failed = |error| SegmentError::io(path, error);
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut rest = file.take(piece.end.saturating_sub(start));
    let (mut buffer, mut crc) = (vec![0; 64 * 1024], 0);
    loop {
        let read = rest.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        crc = crc32c::crc32c_append(crc, buffer.get(..read).unwrap_or(&buffer));
    }
    if rest.limit() == 0 && crc == piece.crc32c {
        Ok(())
    } else {
        Err(SegmentError::damaged(path, "a checksum does not fit its content"))
    }
}

impl Footers {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, kept: Mutex::default() }
    }

    fn get(&self, path: &Path, info: &FileInfo, file: &File) -> Result<Arc<Footer>, SegmentError> {
        if let Some(known) = self.known(path) {
            return Ok(known);
        }
        let footer = Arc::new(Footer::load(path, info, file)?);
        self.keep(path, &footer);
        Ok(footer)
    }

    fn known(&self, path: &Path) -> Option<Arc<Footer>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let uses = kept.uses;
        let (footer, _, used) = kept.by_path.get_mut(path)?;
        *used = uses;
        Some(Arc::clone(footer))
    }

    fn keep(&self, path: &Path, footer: &Arc<Footer>) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = footer.metadata().memory_size();
        let uses = kept.uses;
        if let Some((_, replaced, _)) = kept.by_path.insert(path.to_owned(), (Arc::clone(footer), bytes, uses)) {
            kept.bytes = kept.bytes.saturating_sub(replaced);
        }
        kept.bytes = kept.bytes.saturating_add(bytes);
        while kept.bytes > self.limit_bytes && kept.by_path.len() > 1 {
            let oldest = kept.by_path.iter().min_by_key(|(_, (_, _, used))| *used).map(|(path, _)| path.clone());
            let Some(oldest) = oldest else { break };
            kept.forget(&oldest);
        }
    }

    /// The file is gone or replaced.
    pub(crate) fn forget(&self, path: &Path) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).forget(path);
    }
}

impl Kept {
    fn forget(&mut self, path: &Path) {
        if let Some((_, bytes, _)) = self.by_path.remove(path) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}

fn check_format(footer: &ArrowReaderMetadata, path: &Path) -> Result<(), SegmentError> {
    let pairs = footer.metadata().file_metadata().key_value_metadata();
    let found =
        pairs.and_then(|pairs| pairs.iter().find(|pair| pair.key == FORMAT_KEY)).and_then(|pair| pair.value.clone());
    if found.as_deref() == Some(FORMAT) {
        Ok(())
    } else {
        Err(SegmentError::UnknownFormat { path: path.to_owned(), found })
    }
}

// ---------------------------------------------------------------- reading

/// Which rows of a file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wanted {
    /// Every row.
    All,
    /// One tag's rows with `from <= ts < to`.
    Tag { tag: u32, from: i64, to: i64 },
}

impl Wanted {
    fn matches(self, tag: u32, ts: i64) -> bool {
        match self {
            Self::All => true,
            Self::Tag { tag: wanted, from, to } => tag == wanted && (from..to).contains(&ts),
        }
    }
}

/// Rows of one file, sorted, read a batch at a time.
pub(crate) struct Rows {
    path: PathBuf,
    wanted: Wanted,
    reader: ParquetRecordBatchReader,
    columns: Option<Columns>,
    at: usize,
}

struct Columns {
    rows: usize,
    tag: PrimitiveArray<UInt32Type>,
    ts: PrimitiveArray<TimestampMicrosecondType>,
    double: PrimitiveArray<Float64Type>,
    int: PrimitiveArray<Int64Type>,
    boolean: BooleanArray,
    text: StringArray,
    quality: PrimitiveArray<UInt32Type>,
    delta: PrimitiveArray<Int64Type>,
}

/// Row groups to read, and which rows of them, counted over these groups alone.
#[derive(Default)]
struct ReadPlan {
    groups: Vec<usize>,
    ranges: Vec<ops::Range<usize>>,
    total_rows: usize,
}

impl ReadPlan {
    fn add(&mut self, group: usize, rows: &[ops::Range<usize>], group_rows: usize) {
        self.groups.push(group);
        self.ranges.extend(rows.iter().map(|rows| rows.start + self.total_rows..rows.end + self.total_rows));
        self.total_rows += group_rows;
    }
}

impl Rows {
    /// Opens the file, finds the pages that can hold the wanted rows, and checks the row groups they are in.
    pub(crate) fn open(path: &Path, info: &FileInfo, footers: &Footers, wanted: Wanted) -> Result<Self, SegmentError> {
        let file = File::open(path).map_err(|error| SegmentError::io(path, error))?;
        let footer = footers.get(path, info, &file)?;
        let mut plan = ReadPlan::default();
        for group in 0..footer.metadata().num_row_groups() {
            let found = candidates(footer.metadata(), group, wanted);
            if !found.is_empty() {
                footer.check_group(path, info, &file, group)?;
                plan.add(group, &found, group_rows(footer.metadata(), group));
            }
        }
        Self::over(path, file, &footer, wanted, plan)
    }

    fn over(path: &Path, file: File, footer: &Footer, wanted: Wanted, plan: ReadPlan) -> Result<Self, SegmentError> {
        let reader = ParquetRecordBatchReaderBuilder::new_with_metadata(file, footer.parquet.clone())
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(plan.groups)
            .with_row_selection(RowSelection::from_consecutive_ranges(plan.ranges.into_iter(), plan.total_rows))
            .build()
            .map_err(|error| SegmentError::damaged(path, error))?;
        Ok(Self { path: path.to_owned(), wanted, reader, columns: None, at: 0 })
    }

    /// Loads the next batch; `false` at the end.
    fn refill(&mut self) -> Result<bool, SegmentError> {
        let Some(batch) = self.reader.next() else { return Ok(false) };
        let batch = batch.map_err(|error| SegmentError::damaged(&self.path, error))?;
        self.columns = Some(
            Columns::of(&batch)
                .ok_or_else(|| SegmentError::damaged(&self.path, "its columns are not those of format 1"))?,
        );
        self.at = 0;
        Ok(true)
    }
}

impl Iterator for Rows {
    type Item = Result<Row, SegmentError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            while let Some(columns) = self.columns.as_ref().filter(|columns| self.at < columns.rows) {
                let at = self.at;
                self.at += 1;
                if self.wanted.matches(columns.tag.value(at), columns.ts.value(at)) {
                    return Some(Ok(columns.row(at)));
                }
            }
            match self.refill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Columns {
    fn of(batch: &RecordBatch) -> Option<Self> {
        let column = |at: usize| batch.columns().get(at);
        let whole = |at: usize| column(at).filter(|array| array.null_count() == 0);
        Some(Self {
            rows: batch.num_rows(),
            tag: whole(TAG)?.as_primitive_opt::<UInt32Type>()?.clone(),
            ts: whole(TS)?.as_primitive_opt::<TimestampMicrosecondType>()?.clone(),
            double: column(2)?.as_primitive_opt::<Float64Type>()?.clone(),
            int: column(3)?.as_primitive_opt::<Int64Type>()?.clone(),
            boolean: column(4)?.as_boolean_opt()?.clone(),
            text: column(5)?.as_string_opt::<i32>()?.clone(),
            quality: whole(6)?.as_primitive_opt::<UInt32Type>()?.clone(),
            delta: whole(7)?.as_primitive_opt::<Int64Type>()?.clone(),
        })
    }

    /// `at` is below `rows`, which is the length of every column.
    fn row(&self, at: usize) -> Row {
        let value = if self.double.is_valid(at) {
            Value::Double(self.double.value(at))
        } else if self.int.is_valid(at) {
            Value::Int64(self.int.value(at))
        } else if self.boolean.is_valid(at) {
            Value::Boolean(self.boolean.value(at))
        } else if self.text.is_valid(at) {
            Value::String(self.text.value(at).into())
        } else {
            Value::Null
        };
        Row {
            tag: self.tag.value(at),
            ts: self.ts.value(at),
            value,
            quality: self.quality.value(at),
            delta: self.delta.value(at),
        }
    }
}

/// A tag's last row before `before`: looks from the end, a page at a time.
pub(crate) fn last_before(
    path: &Path,
    info: &FileInfo,
    footers: &Footers,
    tag: u32,
    before: i64,
) -> Result<Option<Row>, SegmentError> {
    let wanted = Wanted::Tag { tag, from: i64::MIN, to: before };
    let file = File::open(path).map_err(|error| SegmentError::io(path, error))?;
    let footer = footers.get(path, info, &file)?;
    for group in (0..footer.metadata().num_row_groups()).rev() {
        let group_rows = group_rows(footer.metadata(), group);
        for mut range in candidates(footer.metadata(), group, wanted).into_iter().rev() {
            footer.check_group(path, info, &file, group)?;
            while !range.is_empty() {
                let start = range.end.saturating_sub(PAGE_ROWS).max(range.start);
                let mut plan = ReadPlan::default();
                plan.add(group, std::slice::from_ref(&(start..range.end)), group_rows);
                range.end = start;
                let file = file.try_clone().map_err(|error| SegmentError::io(path, error))?;
                let rows = Rows::over(path, file, &footer, wanted, plan)?;
                if let Some(last) = rows.last() {
                    return last.map(Some);
                }
            }
        }
    }
    Ok(None)
}

/// Whether the file is byte for byte what was written.
pub(crate) fn verify(path: &Path, info: &FileInfo) -> Result<(), SegmentError> {
    let file = File::open(path).map_err(|error| SegmentError::io(path, error))?;
    let bytes = file.metadata().map_err(|error| SegmentError::io(path, error))?.len();
    if bytes != info.bytes {
        return Err(SegmentError::damaged(path, format!("it has {bytes} bytes instead of {}", info.bytes)));
    }
    (0..info.pieces.len()).try_for_each(|piece| check_piece(path, info, &file, piece))
}

/// The rows of a group that may be wanted: those in pages whose smallest and largest tag and time leave it open.
fn candidates(footer: &ParquetMetaData, group: usize, wanted: Wanted) -> Vec<ops::Range<usize>> {
    let everything = ops::Range { start: 0, end: group_rows(footer, group) };
    let Wanted::Tag { tag, from, to } = wanted else { return vec![everything] };
    let group_tags = footer
        .row_groups()
        .get(group)
        .and_then(|group| group.columns().get(TAG))
        .and_then(|column| column.statistics());
    if let Some(Statistics::Int32(tags)) = group_tags
        && let (Some(first), Some(last)) = (tags.min_opt(), tags.max_opt())
        && !(first.cast_unsigned()..=last.cast_unsigned()).contains(&tag)
    {
        return Vec::new();
    }
    let by_tag = pages(footer, group, TAG, |index, page| match index {
        ColumnIndexMetaData::INT32(index) => match (index.min_value(page), index.max_value(page)) {
            (Some(first), Some(last)) => (first.cast_unsigned()..=last.cast_unsigned()).contains(&tag),
            _ => true,
        },
        _ => true,
    });
    let by_time = pages(footer, group, TS, |index, page| match index {
        ColumnIndexMetaData::INT64(index) => match (index.min_value(page), index.max_value(page)) {
            (Some(first), Some(last)) => *first < to && *last >= from,
            _ => true,
        },
        _ => true,
    });
    match (by_tag, by_time) {
        (Some(by_tag), Some(by_time)) => intersect(&by_tag, &by_time),
        (Some(ranges), None) | (None, Some(ranges)) => ranges,
        (None, None) => vec![everything],
    }
}

fn group_rows(footer: &ParquetMetaData, group: usize) -> usize {
    footer.row_groups().get(group).map_or(0, |group| usize::try_from(group.num_rows()).unwrap_or(0))
}

/// Row ranges of a column's pages that pass `keep`, neighbours joined; `None` without a page index.
fn pages(
    footer: &ParquetMetaData,
    group: usize,
    column: usize,
    keep: impl Fn(&ColumnIndexMetaData, usize) -> bool,
) -> Option<Vec<ops::Range<usize>>> {
    let index = footer.column_index()?.get(group)?.get(column)?;
    let locations = footer.offset_index()?.get(group)?.get(column)?.page_locations();
    if index.num_pages() != locations.len() as u64 {
        return None;
    }
    let first_row = |page: usize| locations.get(page).map(|page| usize::try_from(page.first_row_index).unwrap_or(0));
    let mut ranges: Vec<ops::Range<usize>> = Vec::new();
    for page in (0..locations.len()).filter(|page| keep(index, *page)) {
        let start = first_row(page)?;
        let end = first_row(page + 1).unwrap_or_else(|| group_rows(footer, group));
        match ranges.last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => ranges.push(start..end),
        }
    }
    Some(ranges)
}

/// Rows in both; both ascending and without overlap.
fn intersect(left: &[ops::Range<usize>], right: &[ops::Range<usize>]) -> Vec<ops::Range<usize>> {
    let mut both = Vec::new();
    let (mut left, mut right) = (left.iter().peekable(), right.iter().peekable());
    while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
        let (start, end) = (a.start.max(b.start), a.end.min(b.end));
        if start < end {
            both.push(start..end);
        }
        if a.end <= b.end {
            left.next();
        } else {
            right.next();
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, rows: &[Row]) -> FileInfo {
        let mut writer = SegmentWriter::new(File::create(path).unwrap(), path, 0, Seq(1), Seq(2)).unwrap();
        rows.iter().for_each(|row| writer.push(row).unwrap());
        writer.finish().unwrap().1
    }

    fn row(tag: u32, ts: i64, value: Value) -> Row {
        Row { tag, ts, value, quality: 0x8031_0000, delta: i64::MIN }
    }

    fn read(path: &Path, info: &FileInfo, wanted: Wanted) -> Vec<Row> {
        Rows::open(path, info, &Footers::new(1 << 20), wanted).unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn every_value_comes_back_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let values = [
            Value::Double(-0.0),
            Value::Double(0.1 + 0.2),
            Value::Double(f64::MAX),
            Value::Double(5e-324),
            Value::Int64(i64::MIN),
            Value::Int64(i64::MAX),
            Value::Int64(0),
            Value::Boolean(false),
            Value::Boolean(true),
            Value::String("".into()),
            Value::String("Füllstand 😀\n".into()),
            Value::Null,
        ];
        let mut rows: Vec<Row> =
            values.iter().enumerate().map(|(at, value)| row(u32::MAX, at as i64, value.clone())).collect();
        rows.insert(0, row(0, i64::MIN, Value::Null));
        rows.push(row(u32::MAX, i64::MAX, Value::Null));
        let info = write(&path, &rows);
        let back = read(&path, &info, Wanted::All);
        assert_eq!(back, rows);
        let bits = |rows: &[Row]| -> Vec<u64> {
            rows.iter()
                .filter_map(|row| if let Value::Double(d) = row.value { Some(d.to_bits()) } else { None })
                .collect()
        };
        assert_eq!(bits(&back), bits(&rows));
    }

    #[test]
    fn finds_any_tag_and_time_across_groups_and_pages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        // Tags of very different lengths, the ids around the sign bit included; tag 9 spans three row groups.
        let lengths =
            [(1_u32, 3_i64), (5, 20_000), (9, 300_000), (0x7FFF_FFFF, 1), (0x8000_0000, 9_000), (u32::MAX, 2)];
        let rows: Vec<Row> =
            lengths.iter().flat_map(|(tag, length)| (0..*length).map(|n| row(*tag, n * 10, Value::Int64(n)))).collect();
        let info = write(&path, &rows);
        assert_eq!((info.rows, info.tags, info.ts), (rows.len() as u64, (1, u32::MAX), (0, 2_999_990)));
        let footers = Footers::new(1 << 20);
        for (tag, length) in lengths {
            for (from, to) in [
                (0, 10),
                (i64::MIN, i64::MAX),
                (length * 5, length * 5 + 500),
                (length * 10 - 10, i64::MAX),
                (-5, 0),
                (7, 7),
            ] {
                let expected: Vec<&Row> =
                    rows.iter().filter(|row| row.tag == tag && row.ts >= from && row.ts < to).collect();
                let found = read(&path, &info, Wanted::Tag { tag, from, to });
                assert!(found.iter().eq(expected), "{tag} {from}..{to}");
                let before = rows.iter().rfind(|row| row.tag == tag && row.ts < from);
                assert_eq!(
                    last_before(&path, &info, &footers, tag, from).unwrap().as_ref(),
                    before,
                    "{tag} before {from}"
                );
            }
        }
        assert!(read(&path, &info, Wanted::Tag { tag: 6, from: 0, to: i64::MAX }).is_empty());
        verify(&path, &info).unwrap();
    }

    #[test]
    fn a_read_of_one_tag_touches_few_rows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let rows: Vec<Row> =
            (0..100).flat_map(|tag| (0..2_000).map(move |n| row(tag, n, Value::Double(0.5)))).collect();
        let info = write(&path, &rows);
        let file = File::open(&path).unwrap();
        let footer = Footers::new(1 << 20).get(&path, &info, &file).unwrap();
        let touched: usize = (0..footer.metadata().num_row_groups())
            .flat_map(|group| candidates(footer.metadata(), group, Wanted::Tag { tag: 42, from: 0, to: 100 }))
            .map(|range| range.len())
            .sum();
        assert!(touched <= 2 * PAGE_ROWS, "{touched} of {} rows", rows.len());
        assert!(
            footer
                .metadata()
                .row_groups()
                .iter()
                .all(|group| group.sorting_columns().is_some_and(|sorted| sorted.len() == 2))
        );
    }

    #[test]
    fn any_damage_is_an_error_that_names_the_file_and_never_another_value() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let info = write(&path, &(0..5_000).map(|n| row(1, n, Value::Double(n as f64))).collect::<Vec<_>>());
        let whole = std::fs::read(&path).unwrap();
        let read_all = || {
            let rows = Rows::open(&path, &info, &Footers::new(0), Wanted::All);
            rows.and_then(Iterator::collect::<Result<Vec<_>, _>>)
        };
        let tag_before = || last_before(&path, &info, &Footers::new(0), 1, i64::MAX);
        for cut in [0, 3, whole.len() / 2, whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let error = read_all().expect_err("cut off").to_string();
            assert!(error.contains("a.parquet"), "{error}");
            assert!(verify(&path, &info).is_err() && tag_before().is_err());
        }
        for at in (0..whole.len()).step_by(61) {
            let mut changed = whole.clone();
            changed[at] ^= 0x10;
            std::fs::write(&path, &changed).unwrap();
            assert!(verify(&path, &info).is_err() && read_all().is_err() && tag_before().is_err(), "byte {at}");
        }
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(read_all().unwrap().len(), 5_000);
    }

    #[test]
    fn footers_are_kept_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let footers = Footers::new(20_000);
        for name in 0..20 {
            let path = folder.path().join(format!("{name}.parquet"));
            let info = write(&path, &[row(1, 1, Value::Null)]);
            footers.get(&path, &info, &File::open(&path).unwrap()).unwrap();
        }
        let kept = footers.kept.lock().unwrap();
        assert!(kept.bytes <= 20_000 && !kept.by_path.is_empty() && kept.by_path.len() < 20);
    }
}
