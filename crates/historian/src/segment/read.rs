//! Reading a tag's rows from a file of format 2 or 3.
//!
//! The directory says which rows are the tag's and how its values are stored, the page index which of them can lie in the
//! time asked for; only those pages of only the needed columns are decoded, straight into plain vectors. A reader keeps
//! its place in each column, so that reading tag after tag, as a merge does, decodes every page once.

use super::SegmentError;
use super::Window;
use super::bytes::Pages;
use super::classify::Class;
use super::directory::{Entry, Kind};
use super::footer::CurrentFooter;
use super::layout::{
    PAGE_ROWS, QUALITY, RECEIVED_AT_MS, RECEIVED_MS, SCALE, TS_MS, TS_US, V_BOOL, V_DOUBLE, V_FLOAT, V_INT, V_TEXT,
    join_ts, split_ts,
};
use crate::block::{BLOCK_ROWS, Block};
use crate::decimal::power;
use crate::manifest::FileInfo;
use andon_model::Value;
use andon_model::column::{Quality, Values};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::{BoolType, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::serialized_reader::SerializedPageReader;
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file being read.
pub(super) struct CurrentReader {
    path: PathBuf,
    info: FileInfo,
    pages: Pages,
    footer: Arc<CurrentFooter>,
    group: Option<Group>,
    selected: Option<Selected>,
}

/// The rest of what [`CurrentReader::select`] asked for.
struct Selected {
    entry: Entry,
    /// Rows of the file.
    rows: Range<u64>,
    window: Window,
    columns: Columns,
}

/// Which columns a read hands out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Columns {
    /// Source times alone.
    Times,
    /// These, values and status codes.
    Values,
    /// These and the received times.
    All,
}

/// Numbers as they are stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Numbers {
    /// As they are.
    Doubles(Vec<f64>),
    /// Whole numbers that are to be divided by a power of ten.
    Whole(Vec<i64>, f64),
}

/// The columns of one row group, as far as they were needed, each at its place.
struct Group {
    index: usize,
    ts_ms: Option<Column<Int64Type>>,
    ts_us: Option<Column<Int32Type>>,
    int: Option<Column<Int64Type>>,
    scale: Option<Column<DoubleType>>,
    float: Option<Column<FloatType>>,
    double: Option<Column<DoubleType>>,
    boolean: Option<Column<BoolType>>,
    text: Option<Column<ByteArrayType>>,
    quality: Option<Column<Int64Type>>,
    received_ms: Option<Column<Int64Type>>,
    received_at_ms: Option<Column<Int64Type>>,
}

/// One column of a row group and the row it is at.
struct Column<T: DataType> {
    reader: ColumnReaderImpl<T>,
    at: usize,
}

/// Values of an optional column: those there are, and for each row whether it has one.
#[derive(Default)]
struct Sparse<T> {
    values: std::vec::IntoIter<T>,
    levels: Vec<i16>,
}

impl CurrentReader {
    pub(super) fn new(path: &Path, info: &FileInfo, file: Arc<File>, footer: Arc<CurrentFooter>) -> Self {
        let pages = Pages { file, bytes: info.bytes };
        Self { path: path.to_owned(), info: info.clone(), pages, footer, group: None, selected: None }
    }

    pub(super) fn tags(&self) -> Vec<u32> {
        self.footer.directory.iter().map(|entry| entry.tag).collect()
    }

    /// First and last source time of each tag, ascending by tag.
    pub(super) fn spans(&self) -> Vec<(u32, (i64, i64))> {
        self.footer.directory.iter().map(|entry| (entry.tag, entry.ts)).collect()
    }

    /// Source times of a tag's rows; no other column is decoded.
    pub(super) fn times(&mut self, tag: u32, window: Window) -> Result<Vec<i64>, SegmentError> {
        self.select_columns(tag, window, Columns::Times);
        let mut times = Vec::new();
        while let Some(block) = self.next()? {
            times.extend(block.ts);
        }
        Ok(times)
    }

    fn entry(&self, tag: u32) -> Option<Entry> {
        self.footer.entry(tag)
    }

    pub(super) fn select(&mut self, tag: u32, window: Window, received: bool) {
        self.select_columns(tag, window, if received { Columns::All } else { Columns::Values });
    }

    fn select_columns(&mut self, tag: u32, window: Window, columns: Columns) {
        self.selected = self.entry(tag).filter(|entry| window.touches(entry.ts)).map(|entry| {
            let rows = match window {
                Window::All => entry.rows(),
                Window::Times { from, to } => self.rows_within(&entry, from, to),
            };
            Selected { entry, rows, window, columns }
        });
    }

    /// The tag's rows that can lie in the time, by the times of pages; never too few.
    fn rows_within(&self, entry: &Entry, from: i64, to: i64) -> Range<u64> {
        let mut rows = entry.rows();
        let all = rows.clone();
        if from <= entry.ts.0 && to > entry.ts.1 {
            return rows;
        }
        for page in self.time_pages(&all) {
            // The first time of a page that begins within the tag's rows and ends within them is the page's smallest.
            if page.rows.start < all.start || page.rows.end > all.end {
                continue;
            }
            let Some(ms) = page.smallest_ms else { continue };
            // Only the ms are known, so the page's first time is somewhere within one.
            let us = i128::from(ms) * 1000;
            if us + 999 <= i128::from(from) {
                rows.start = rows.start.max(page.rows.start);
            }
            if us >= i128::from(to) {
                rows.end = rows.end.min(page.rows.start);
            }
        }
        rows.start..rows.end.max(rows.start)
    }

    /// The pages of `ts_ms` that overlap these rows.
    fn time_pages(&self, rows: &Range<u64>) -> Vec<TimePage> {
        let parquet = &self.footer.parquet;
        let mut pages = Vec::new();
        let mut start = 0;
        for (index, group) in parquet.row_groups().iter().enumerate() {
            let group_rows = u64::try_from(group.num_rows()).unwrap_or(0);
            let group_start = start;
            start += group_rows;
            if start <= rows.start || group_start >= rows.end {
                continue;
            }
            let Some(locations) = parquet
                .offset_index()
                .and_then(|groups| groups.get(index))
                .and_then(|columns| columns.get(TS_MS))
                .map(|column| column.page_locations())
            else {
                continue;
            };
            let times = parquet.column_index().and_then(|groups| groups.get(index)).and_then(|c| c.get(TS_MS));
            let first = |page: usize| locations.get(page).map(|p| u64::try_from(p.first_row_index).unwrap_or(0));
            for page in 0..locations.len() {
                let begin = group_start + first(page).unwrap_or(0);
                let end = group_start + first(page + 1).unwrap_or(group_rows);
                if end > rows.start && begin < rows.end {
                    let smallest_ms = match times {
                        Some(ColumnIndexMetaData::INT64(index)) => index.min_value(page).copied(),
                        _ => None,
                    };
                    pages.push(TimePage { rows: begin..end, smallest_ms });
                }
            }
        }
        pages
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        while let Some(selected) = &mut self.selected {
            let (index, group_rows) = group_of(&self.footer, selected.rows.start);
            // Mixed values may be long texts.
            let most = if selected.entry.kind == Kind::Mixed { PAGE_ROWS } else { BLOCK_ROWS } as u64;
            let wanted = selected.rows.start..selected.rows.end.min(group_rows.end).min(selected.rows.start + most);
            if wanted.is_empty() {
                self.selected = None;
                break;
            }
            selected.rows.start = wanted.end;
            let (entry, window, columns) = (selected.entry, selected.window, selected.columns);
            let rows = local(&wanted, &group_rows);
            let block = self.read(index, rows, &entry, columns)?;
            let Window::Times { from, to } = window else { return Ok(Some(block)) };
            let inside = block.within(from, to);
            if inside.end < block.len() {
                self.selected = None;
            }
            if inside.len() == block.len() {
                return Ok(Some(block));
            }
            if !inside.is_empty() {
                return Ok(Some(block.slice(inside)));
            }
        }
        Ok(None)
    }

    pub(super) fn last_before(&mut self, tag: u32, before: i64) -> Result<Option<Block>, SegmentError> {
        let Some(entry) = self.entry(tag).filter(|entry| entry.ts.0 < before) else { return Ok(None) };
        let mut rows = self.rows_within(&entry, i64::MIN, before);
        while !rows.is_empty() {
            let (index, group_rows) = group_of(&self.footer, rows.end - 1);
            let start = rows.end.saturating_sub(PAGE_ROWS as u64).max(rows.start).max(group_rows.start);
            let wanted = start..rows.end;
            rows.end = start;
            let last = self.decode(index, |source| source.last_before(&local(&wanted, &group_rows), &entry, before))?;
            if last.is_some() {
                return Ok(last);
            }
        }
        Ok(None)
    }

    /// Hands out all numbers of a tag and nothing else; `false`, and none, unless all its rows are good numbers.
    pub(super) fn good_numbers(&mut self, tag: u32, mut take: impl FnMut(Numbers)) -> Result<bool, SegmentError> {
        let good = |entry: &Entry| entry.all_good && entry.kind != Kind::Mixed;
        let Some(entry) = self.entry(tag).filter(good) else { return Ok(false) };
        self.selected = None;
        let mut rows = entry.rows();
        while !rows.is_empty() {
            let (index, group_rows) = group_of(&self.footer, rows.start);
            let wanted = rows.start..rows.end.min(group_rows.end).min(rows.start + BLOCK_ROWS as u64);
            if wanted.is_empty() {
                return Err(SegmentError::damaged(&self.path, missing()));
            }
            rows.start = wanted.end;
            take(self.decode(index, |source| source.numbers(&local(&wanted, &group_rows), &entry))?);
        }
        Ok(true)
    }

    /// Decodes rows of one row group that are all of `entry`'s tag.
    fn read(
        &mut self,
        index: usize,
        rows: Range<usize>,
        entry: &Entry,
        columns: Columns,
    ) -> Result<Block, SegmentError> {
        self.decode(index, |source| source.block(rows, entry, columns))
    }

    fn decode<T>(
        &mut self,
        index: usize,
        decode: impl FnOnce(&mut Source) -> Result<T, ParquetError>,
    ) -> Result<T, SegmentError> {
        self.footer.sound.check(&self.path, &self.info, &self.pages.file, index)?;
        let group = match self.group.take() {
            Some(group) if group.index == index => group,
            _ => Group::new(index),
        };
        let mut source = Source { footer: &self.footer, pages: &self.pages, group };
        let decoded = decode(&mut source);
        // After an error the columns are no longer at the same row.
        self.group = decoded.is_ok().then_some(source.group);
        decoded.map_err(|error| SegmentError::damaged(&self.path, error))
    }
}

struct TimePage {
    rows: Range<u64>,
    smallest_ms: Option<i64>,
}

/// The row group of a row of the file, and which rows it has. A row behind the end: an empty range there.
fn group_of(footer: &CurrentFooter, row: u64) -> (usize, Range<u64>) {
    let mut start = 0;
    for (index, group) in footer.parquet.row_groups().iter().enumerate() {
        let end = start + u64::try_from(group.num_rows()).unwrap_or(0);
        if row < end {
            return (index, start..end);
        }
        start = end;
    }
    (footer.parquet.num_row_groups(), start..start)
}

/// Rows of the file as rows of the group. A group has at most 128 Ki rows.
fn local(rows: &Range<u64>, group: &Range<u64>) -> Range<usize> {
    let at = |row: u64| usize::try_from(row.saturating_sub(group.start)).unwrap_or(usize::MAX);
    at(rows.start)..at(rows.end)
}

/// What decoding needs.
struct Source<'a> {
    footer: &'a CurrentFooter,
    pages: &'a Pages,
    group: Group,
}

impl Group {
    const fn new(index: usize) -> Self {
        Self {
            index,
            ts_ms: None,
            ts_us: None,
            int: None,
            scale: None,
            float: None,
            double: None,
            boolean: None,
            text: None,
            quality: None,
            received_ms: None,
            received_at_ms: None,
        }
    }
}

/// Reads rows of one column; `$column` is opened on first use and again when it is already past them.
macro_rules! column {
    ($self:ident, $field:ident, $at:expr, $rows:expr) => {{
        let passed = $self.group.$field.as_ref().is_none_or(|column| column.at > $rows.start);
        if passed {
            $self.group.$field = Some(Column::open($self.footer, $self.pages, $self.group.index, $at)?);
        }
        // Just opened.
        $self.group.$field.as_mut().ok_or_else(missing)
    }};
}

fn missing() -> ParquetError {
    ParquetError::General("a column is missing".to_owned())
}

impl Source<'_> {
    fn block(&mut self, rows: Range<usize>, entry: &Entry, columns: Columns) -> Result<Block, ParquetError> {
        let ts = self.times(&rows)?;
        if columns == Columns::Times {
            Ok(Block { ts, ..Block::empty() })
        } else {
            self.beside(ts, &rows, entry, columns)
        }
    }

    /// The last of these rows whose time is before `before`. Of the other columns nothing else is kept.
    fn last_before(&mut self, rows: &Range<usize>, entry: &Entry, before: i64) -> Result<Option<Block>, ParquetError> {
        let ts = self.times(rows)?;
        let Some((at, ts)) = ts.iter().enumerate().rev().find(|(_, ts)| **ts < before) else { return Ok(None) };
        let row = rows.start + at;
        self.beside(vec![*ts], &(row..row + 1), entry, Columns::All).map(Some)
    }

    /// What stands beside these times of these rows.
    fn beside(
        &mut self,
        ts: Vec<i64>,
        rows: &Range<usize>,
        entry: &Entry,
        columns: Columns,
    ) -> Result<Block, ParquetError> {
        let values = match entry.kind {
            Kind::Int => Values::Int(self.ints(rows)?),
            Kind::Double(class) => Values::Double(self.doubles(rows, class)?),
            Kind::Mixed => self.mixed(rows)?,
        };
        let quality = if entry.all_good { Quality::Same(0) } else { self.quality(rows)? };
        let received_ms = if columns == Columns::All { self.received(rows, &ts)? } else { Vec::new() };
        Ok(Block { ts, values, quality, received_ms })
    }

    fn times(&mut self, rows: &Range<usize>) -> Result<Vec<i64>, ParquetError> {
        let mut ts = column!(self, ts_ms, TS_MS, rows)?.required(rows)?;
        if self.is_always_zero(TS_US) {
            // As `join_ts` without µs; this runs for every row that is read.
            ts.iter_mut().for_each(|ts| *ts = ts.wrapping_mul(1000));
        } else {
            let us = column!(self, ts_us, TS_US, rows)?.required(rows)?;
            ts.iter_mut().zip(us).for_each(|(ts, us)| *ts = join_ts(*ts, us));
        }
        Ok(ts)
    }

    /// Whether a column's statistics say that the whole group is 0.
    fn is_always_zero(&self, column: usize) -> bool {
        let chunk =
            self.footer.parquet.row_groups().get(self.group.index).and_then(|group| group.columns().get(column));
        match chunk.and_then(|chunk| chunk.statistics()) {
            Some(Statistics::Int32(numbers)) => numbers.min_opt() == Some(&0) && numbers.max_opt() == Some(&0),
            Some(Statistics::Int64(numbers)) => numbers.min_opt() == Some(&0) && numbers.max_opt() == Some(&0),
            _ => false,
        }
    }

    /// Whether a column's statistics say that no row of the group has a value.
    fn is_always_null(&self, column: usize) -> bool {
        let Some(group) = self.footer.parquet.row_groups().get(self.group.index) else { return false };
        let nulls = group.columns().get(column).and_then(|chunk| chunk.statistics()?.null_count_opt());
        nulls.is_some_and(|nulls| i64::try_from(nulls) == Ok(group.num_rows()))
    }

    fn ints(&mut self, rows: &Range<usize>) -> Result<Vec<i64>, ParquetError> {
        column!(self, int, V_INT, rows)?.filled(rows)
    }

    /// The numbers of an entry that is not mixed, as they are stored.
    fn numbers(&mut self, rows: &Range<usize>, entry: &Entry) -> Result<Numbers, ParquetError> {
        Ok(match entry.kind {
            Kind::Int => Numbers::Whole(self.ints(rows)?, 1.0),
            Kind::Double(Class::Scaled { exponent }) => Numbers::Whole(self.ints(rows)?, power(exponent)),
            Kind::Double(class) => Numbers::Doubles(self.doubles(rows, class)?),
            Kind::Mixed => return Err(missing()),
        })
    }

    #[expect(clippy::cast_precision_loss, reason = "scaled values are below 2^53")]
    fn doubles(&mut self, rows: &Range<usize>, class: Class) -> Result<Vec<f64>, ParquetError> {
        Ok(match class {
            Class::Scaled { exponent: 0 } => self.ints(rows)?.into_iter().map(|whole| whole as f64).collect(),
            Class::Scaled { exponent } => {
                let power = power(exponent);
                self.ints(rows)?.into_iter().map(|whole| whole as f64 / power).collect()
            }
            Class::Float => column!(self, float, V_FLOAT, rows)?.filled(rows)?.into_iter().map(f64::from).collect(),
            Class::Double => column!(self, double, V_DOUBLE, rows)?.filled(rows)?,
        })
    }

    fn quality(&mut self, rows: &Range<usize>) -> Result<Quality, ParquetError> {
        let codes = column!(self, quality, QUALITY, rows)?.required(rows)?;
        let codes: Result<Vec<u32>, _> = codes.into_iter().map(u32::try_from).collect();
        let codes = codes.map_err(|_| ParquetError::General("a status code has more than 32 bits".to_owned()))?;
        let first = codes.first().copied().unwrap_or(0);
        Ok(if codes.iter().all(|code| *code == first) { Quality::Same(first) } else { Quality::Each(codes) })
    }

    /// Received minus source time, ms; `ts` are the rows' source times.
    fn received(&mut self, rows: &Range<usize>, ts: &[i64]) -> Result<Vec<i64>, ParquetError> {
        if !self.footer.received_at {
            return column!(self, received_ms, RECEIVED_MS, rows)?.required(rows);
        }
        let mut soon = column!(self, received_ms, RECEIVED_MS, rows)?.sparse(rows)?;
        if soon.left() == rows.len() {
            return Ok(soon.values.collect());
        }
        let mut later = column!(self, received_at_ms, RECEIVED_AT_MS, rows)?.sparse(rows)?;
        let mut received = Vec::with_capacity(rows.len());
        for (at, ts) in ts.iter().enumerate() {
            let after = |at_ms: i64| at_ms.wrapping_sub(split_ts(*ts).0);
            let ms = soon.next(at).or_else(|| later.next(at).map(after));
            received
                .push(ms.ok_or_else(|| ParquetError::General("a row does not say when it was received".to_owned()))?);
        }
        Ok(received)
    }

    /// Values of several classes.
    fn mixed(&mut self, rows: &Range<usize>) -> Result<Values, ParquetError> {
        // The column's values; none where the whole group has none, which opens nothing.
        macro_rules! sparse {
            ($field:ident, $at:expr) => {
                if self.is_always_null($at) {
                    Sparse::default()
                } else {
                    column!(self, $field, $at, rows)?.sparse(rows)?
                }
            };
        }
        let (mut int, mut scale) = (sparse!(int, V_INT), sparse!(scale, SCALE));
        let (mut float, mut double) = (sparse!(float, V_FLOAT), sparse!(double, V_DOUBLE));
        let (mut boolean, mut text) = (sparse!(boolean, V_BOOL), sparse!(text, V_TEXT));
        let numbers = [int.left(), float.left(), double.left()];
        if boolean.left() + text.left() == 0
            && int.left() == scale.left()
            && numbers.iter().sum::<usize>() == rows.len()
        {
            return Ok(Values::Double(doubles(rows.len(), int, scale, float, double)));
        }
        let mut values = Vec::with_capacity(rows.len());
        let mut last_text: Option<Arc<str>> = None;
        for at in 0..rows.len() {
            let (int, scale) = (int.next(at), scale.next(at));
            #[expect(clippy::cast_precision_loss, reason = "scaled values are below 2^53")]
            let number = match (int, scale) {
                (Some(whole), Some(power)) => Some(Value::Double(whole as f64 / power)),
                (Some(whole), None) => Some(Value::Int64(whole)),
                (None, _) => None,
            };
            let float = float.next(at).map(|value| Value::Double(f64::from(value)));
            let double = double.next(at).map(Value::Double);
            let boolean = boolean.next(at).map(Value::Boolean);
            let text = match text.next(at) {
                Some(bytes) => {
                    let text = bytes.as_utf8()?;
                    let shared = last_text.take().filter(|last| **last == *text).unwrap_or_else(|| text.into());
                    last_text = Some(Arc::clone(&shared));
                    Some(Value::String(shared))
                }
                None => None,
            };
            values.push(number.or(float).or(double).or(boolean).or(text).unwrap_or(Value::Null));
        }
        Ok(Values::Mixed(values))
    }
}

/// A few odd doubles among scaled ones are still doubles: every row has a value in one of these columns.
fn doubles(
    rows: usize,
    mut int: Sparse<i64>,
    mut scale: Sparse<f64>,
    mut float: Sparse<f32>,
    mut double: Sparse<f64>,
) -> Vec<f64> {
    let mut values = Vec::with_capacity(rows);
    for at in 0..rows {
        #[expect(clippy::cast_precision_loss, reason = "scaled values are below 2^53")]
        let scaled = int.next(at).zip(scale.next(at)).map(|(whole, power)| whole as f64 / power);
        let value = scaled.or_else(|| double.next(at)).or_else(|| float.next(at).map(f64::from));
        values.push(value.unwrap_or(f64::NAN));
    }
    values
}

impl<T: Clone> Sparse<T> {
    /// How many values there still are.
    fn left(&self) -> usize {
        self.values.len()
    }

    /// The value of the `at`-th row; rows come in order.
    fn next(&mut self, at: usize) -> Option<T> {
        if self.levels.get(at).is_some_and(|level| *level > 0) { self.values.next() } else { None }
    }
}

impl<T: DataType> Column<T> {
    fn open(footer: &CurrentFooter, pages: &Pages, group: usize, column: usize) -> Result<Self, ParquetError> {
        let row_group = footer.parquet.row_groups().get(group).ok_or_else(missing)?;
        let chunk = row_group.columns().get(column).ok_or_else(missing)?;
        let rows = usize::try_from(row_group.num_rows()).unwrap_or(0);
        let locations = footer
            .parquet
            .offset_index()
            .and_then(|groups| groups.get(group))
            .and_then(|columns| columns.get(column))
            .map(|column| column.page_locations().clone());
        let pages = SerializedPageReader::new(Arc::new(pages.clone()), chunk, rows, locations)?;
        Ok(Self { reader: ColumnReaderImpl::new(chunk.column_descr_ptr(), Box::new(pages)), at: 0 })
    }

    /// Reads rows of a column: its values and, if the column is optional, its levels.
    fn read(&mut self, rows: &Range<usize>, levels: Option<&mut Vec<i16>>) -> Result<Vec<T::T>, ParquetError> {
        let skip = rows.start.saturating_sub(self.at);
        if skip > 0 && self.reader.skip_records(skip)? != skip {
            return Err(ParquetError::EOF("a column is shorter than its row group".to_owned()));
        }
        let mut values = Vec::with_capacity(rows.len());
        let (read, ..) = self.reader.read_records(rows.len(), levels, None, &mut values)?;
        if read != rows.len() {
            return Err(ParquetError::EOF("a column is shorter than its row group".to_owned()));
        }
        self.at = rows.end;
        Ok(values)
    }

    fn required(&mut self, rows: &Range<usize>) -> Result<Vec<T::T>, ParquetError> {
        self.read(rows, None)
    }

    /// An optional column of which every row is known to have a value.
    fn filled(&mut self, rows: &Range<usize>) -> Result<Vec<T::T>, ParquetError> {
        let mut levels = Vec::with_capacity(rows.len());
        let values = self.read(rows, Some(&mut levels))?;
        if values.len() == rows.len() {
            Ok(values)
        } else {
            Err(ParquetError::General("a value is missing that the list of tags promises".to_owned()))
        }
    }

    fn sparse(&mut self, rows: &Range<usize>) -> Result<Sparse<T::T>, ParquetError> {
        let mut levels = Vec::with_capacity(rows.len());
        let values = self.read(rows, Some(&mut levels))?;
        Ok(Sparse { values: values.into_iter(), levels })
    }
}
