//! Format 1, which is no longer written: one Arrow record batch layout with values as they are.
//!
//! Columns `tag` (u32), `ts` (µs, UTC), one nullable column per class of value (`v_double`, `v_int`, `v_bool`, `v_text`),
//! `quality` and `received_delta` (µs). There is no directory: pages are chosen by the smallest and largest tag and time.

use super::footer::Sound;
use super::{SegmentError, Window};
use crate::block::{Block, BlockBuilder};
use crate::manifest::FileInfo;
use andon_model::Value;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType, UInt32Type};
use arrow_array::{Array as _, BooleanArray, PrimitiveArray, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};
use parquet::file::page_index::column_index::ColumnIndexMetaData;
use parquet::file::statistics::Statistics;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

pub(super) const FORMAT: &str = "1";
const PAGE_ROWS: usize = 8 * 1024;
const BATCH_ROWS: usize = 8 * 1024;
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

/// Footer and page index.
pub(super) struct FirstFooter {
    parquet: ArrowReaderMetadata,
    sound: Sound,
}

impl FirstFooter {
    pub(super) fn load(path: &Path, file: &File, groups: usize) -> Result<Self, SegmentError> {
        let options =
            ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Optional).with_skip_arrow_metadata(true);
        let options = options.with_schema(Arc::clone(&SCHEMA));
        let parquet = ArrowReaderMetadata::load(file, options).map_err(|error| SegmentError::damaged(path, error))?;
        Ok(Self { parquet, sound: Sound::new(groups) })
    }

    pub(super) fn memory_size(&self) -> usize {
        self.metadata().memory_size()
    }

    fn metadata(&self) -> &ParquetMetaData {
        self.parquet.metadata()
    }
}

/// A file being read.
pub(super) struct FirstReader {
    path: PathBuf,
    info: FileInfo,
    file: File,
    footer: Arc<FirstFooter>,
    selected: Option<(ParquetRecordBatchReader, Wanted)>,
}

/// One tag's rows.
#[derive(Clone, Copy)]
struct Wanted {
    tag: u32,
    window: Window,
}

/// Row groups to read, and which rows of them, counted over these groups alone.
#[derive(Default)]
struct ReadPlan {
    groups: Vec<usize>,
    ranges: Vec<Range<usize>>,
    total_rows: usize,
}

impl ReadPlan {
    fn add(&mut self, group: usize, rows: &[Range<usize>], group_rows: usize) {
        self.groups.push(group);
        self.ranges.extend(rows.iter().map(|rows| rows.start + self.total_rows..rows.end + self.total_rows));
        self.total_rows += group_rows;
    }
}

impl FirstReader {
    pub(super) fn new(path: &Path, info: &FileInfo, file: File, footer: Arc<FirstFooter>) -> Self {
        Self { path: path.to_owned(), info: info.clone(), file, footer, selected: None }
    }

    pub(super) fn tags(&mut self) -> Result<Vec<u32>, SegmentError> {
        let mut plan = ReadPlan::default();
        for group in 0..self.footer.metadata().num_row_groups() {
            let rows = group_rows(self.footer.metadata(), group);
            self.footer.sound.check(&self.path, &self.info, &self.file, group)?;
            plan.add(group, std::slice::from_ref(&(0..rows)), rows);
        }
        let mut tags = Vec::new();
        for batch in self.reader(plan)? {
            let batch = batch.map_err(|error| SegmentError::damaged(&self.path, error))?;
            tags.extend(self.columns(&batch)?.tag.values().iter().copied());
            tags.dedup();
        }
        Ok(tags)
    }

    pub(super) fn select(&mut self, tag: u32, window: Window) -> Result<(), SegmentError> {
        let wanted = Wanted { tag, window };
        let mut plan = ReadPlan::default();
        for group in 0..self.footer.metadata().num_row_groups() {
            let found = candidates(self.footer.metadata(), group, wanted);
            if !found.is_empty() {
                self.footer.sound.check(&self.path, &self.info, &self.file, group)?;
                plan.add(group, &found, group_rows(self.footer.metadata(), group));
            }
        }
        self.selected = Some((self.reader(plan)?, wanted));
        Ok(())
    }

    pub(super) fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        while let Some((reader, wanted)) = &mut self.selected {
            let wanted = *wanted;
            let Some(batch) = reader.next() else {
                self.selected = None;
                break;
            };
            let batch = batch.map_err(|error| SegmentError::damaged(&self.path, error))?;
            let block = self.columns(&batch)?.block(wanted);
            if !block.is_empty() {
                return Ok(Some(block));
            }
        }
        Ok(None)
    }

    /// Looks from the end, a page at a time.
    pub(super) fn last_before(&mut self, tag: u32, before: i64) -> Result<Option<Block>, SegmentError> {
        let wanted = Wanted { tag, window: Window::Times { from: i64::MIN, to: before } };
        for group in (0..self.footer.metadata().num_row_groups()).rev() {
            let group_rows = group_rows(self.footer.metadata(), group);
            for mut range in candidates(self.footer.metadata(), group, wanted).into_iter().rev() {
                self.footer.sound.check(&self.path, &self.info, &self.file, group)?;
                while !range.is_empty() {
                    let start = range.end.saturating_sub(PAGE_ROWS).max(range.start);
                    let mut plan = ReadPlan::default();
                    plan.add(group, std::slice::from_ref(&(start..range.end)), group_rows);
                    range.end = start;
                    let mut last = None;
                    for batch in self.reader(plan)? {
                        let batch = batch.map_err(|error| SegmentError::damaged(&self.path, error))?;
                        let block = self.columns(&batch)?.block(wanted);
                        if let Some(at) = block.len().checked_sub(1) {
                            last = Some(block.slice(at..at + 1));
                        }
                    }
                    if last.is_some() {
                        return Ok(last);
                    }
                }
            }
        }
        Ok(None)
    }

    fn reader(&self, plan: ReadPlan) -> Result<ParquetRecordBatchReader, SegmentError> {
        let file = self.file.try_clone().map_err(|error| SegmentError::io(&self.path, error))?;
        ParquetRecordBatchReaderBuilder::new_with_metadata(file, self.footer.parquet.clone())
            .with_batch_size(BATCH_ROWS)
            .with_row_groups(plan.groups)
            .with_row_selection(RowSelection::from_consecutive_ranges(plan.ranges.into_iter(), plan.total_rows))
            .build()
            .map_err(|error| SegmentError::damaged(&self.path, error))
    }

    fn columns(&self, batch: &RecordBatch) -> Result<Columns, SegmentError> {
        Columns::of(batch).ok_or_else(|| SegmentError::damaged(&self.path, "its columns are not those of format 1"))
    }
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

    fn block(&self, wanted: Wanted) -> Block {
        let mut builder = BlockBuilder::default();
        for at in 0..self.rows {
            let ts = self.ts.value(at);
            if self.tag.value(at) == wanted.tag && wanted.window.touches((ts, ts)) {
                builder.push(ts, self.value(at), self.quality.value(at), self.delta.value(at).div_euclid(1000));
            }
        }
        builder.finish()
    }

    /// `at` is below `rows`, which is the length of every column.
    fn value(&self, at: usize) -> Value {
        if self.double.is_valid(at) {
            Value::Double(self.double.value(at))
        } else if self.int.is_valid(at) {
            Value::Int64(self.int.value(at))
        } else if self.boolean.is_valid(at) {
            Value::Boolean(self.boolean.value(at))
        } else if self.text.is_valid(at) {
            Value::String(self.text.value(at).into())
        } else {
            Value::Null
        }
    }
}

/// The rows of a group that may be wanted: those in pages whose smallest and largest tag and time leave it open.
fn candidates(footer: &ParquetMetaData, group: usize, wanted: Wanted) -> Vec<Range<usize>> {
    let Wanted { tag, window } = wanted;
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
            (Some(first), Some(last)) => window.touches((*first, *last)),
            _ => true,
        },
        _ => true,
    });
    match (by_tag, by_time) {
        (Some(by_tag), Some(by_time)) => intersect(&by_tag, &by_time),
        (Some(ranges), None) | (None, Some(ranges)) => ranges,
        (None, None) => vec![Range { start: 0, end: group_rows(footer, group) }],
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
) -> Option<Vec<Range<usize>>> {
    let index = footer.column_index()?.get(group)?.get(column)?;
    let locations = footer.offset_index()?.get(group)?.get(column)?.page_locations();
    if index.num_pages() != locations.len() as u64 {
        return None;
    }
    let first_row = |page: usize| locations.get(page).map(|page| usize::try_from(page.first_row_index).unwrap_or(0));
    let mut ranges: Vec<Range<usize>> = Vec::new();
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
fn intersect(left: &[Range<usize>], right: &[Range<usize>]) -> Vec<Range<usize>> {
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
