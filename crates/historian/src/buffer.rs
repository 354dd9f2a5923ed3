//! Samples on their way to files: per tag, in the order they came.
//!
//! Samples of many tags come in turns, so what one touches is kept together: the way to its tag, the tag's own state, and its row,
//! each a cache line or two.
//!
//! Order of arrival is order of sequence, so "the last writer by sequence wins" needs no number per sample: of equal
//! source times the later one in the column wins. A column that came in order (the usual case) is never sorted.

use crate::block::{Block, BlockBuilder};
use crate::compress::{Compression, Door};
use crate::point::{day_of, received_delta};
use andon_model::column::{Quality, Values};
use andon_model::{Sample, StatusCode, Value};
use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// What one sample takes.
const ROW_BYTES: usize = size_of::<Row>();
/// What a tag's empty columns take, roughly.
const COLUMN_BYTES: usize = 256;

const CLASS_NULL: u8 = 0;
const CLASS_BOOLEAN: u8 = 1;
const CLASS_INT64: u8 = 2;
const CLASS_DOUBLE: u8 = 3;
const CLASS_TEXT: u8 = 4;

/// All samples since the last flush. `bytes` counts what they hold; the columns' spare room can double it, and the order of
/// columns that did not come in order takes up to 8 bytes a row once they were read.
#[derive(Default)]
pub(crate) struct Buffer {
    /// Where each tag's column stands in `columns`.
    places: HashMap<u32, usize, foldhash::fast::RandomState>,
    columns: Vec<Column>,
    bytes: usize,
    points: u64,
    /// Taken out again by compression.
    left_out: u64,
    days: HashSet<i64>,
    /// Rows a new column has room for, and how many rows of room all new columns together may still get.
    room: (usize, usize),
}

/// What a sample does to the one before it.
#[derive(Clone, Copy)]
pub(crate) enum Fate<'r> {
    /// Nothing.
    Stays,
    /// It is newer than everything of its tag, and takes the place of the one before if this rule says so.
    MayReplace(&'r Compression),
}

/// One sample.
#[derive(Clone, Copy)]
struct Row {
    /// Source time, µs.
    ts: i64,
    /// Received minus source time, µs.
    delta: i64,
    /// A double's bits, a whole number, 0 or 1, or an index into `texts`.
    payload: u64,
    quality: u32,
    class: u8,
}

impl Row {
    const fn received_ms(&self) -> i64 {
        self.delta.div_euclid(1000)
    }
}

/// One tag's samples, as they came.
pub(crate) struct Column {
    rows: Vec<Row>,
    texts: Vec<Arc<str>>,
    /// Strictly ascending so far: then positions are already the sorted order.
    ascending: bool,
    /// Otherwise: all positions in order of source time, made at the first read.
    sorted: OnceLock<Box<Sorted>>,
    /// What that was before the last samples came, so that the next read sorts only these.
    sorted_before: Option<Box<Sorted>>,
    /// Every value so far has the class of the first.
    one_class: bool,
    /// Every status code so far is that of the first.
    one_quality: bool,
    /// Class and status code of the first.
    first: (u8, u32),
    /// Of a tag that is compressed: what the last points say about the next.
    door: Option<Box<Door>>,
}

/// Positions in order of source time, the last to come of equal times.
#[derive(Default)]
struct Sorted {
    positions: Vec<u32>,
    /// How many rows the column had.
    of: u32,
}

/// A column's positions in order of source time, one per time: the last to come of each.
pub(crate) enum Order<'c> {
    /// These positions, as they came.
    AsCame(Range<usize>),
    /// These.
    Sorted(&'c [u32]),
}

impl Buffer {
    /// An empty one to take the place of this one. What comes next is much like what came, so its columns have room for as many
    /// rows as a column has here on average (growing, each row would be copied about once), all together for as many as came.
    pub(crate) fn next(&self) -> Self {
        let points = usize::try_from(self.points).unwrap_or(usize::MAX);
        let average = points / self.columns.len().max(1);
        Self { room: (average + average / 8, points), ..Self::default() }
    }

    fn new_column(&mut self) -> Column {
        let (each, all) = &mut self.room;
        let room = (*each).min(*all);
        *all -= room;
        Column::new(room)
    }

    /// Adds a sample, and takes out the one before if the rules say so. It returns nothing: room is checked by the reader of
    /// the log before it reads on.
    pub(crate) fn push(&mut self, sample: &Sample, fate: Fate<'_>) {
        let place = if let Some(place) = self.places.get(&sample.tag.0) {
            *place
        } else {
            let column = self.new_column();
            self.columns.push(column);
            self.bytes += COLUMN_BYTES;
            self.places.insert(sample.tag.0, self.columns.len() - 1);
            self.columns.len() - 1
        };
        let Some(column) = self.columns.get_mut(place) else { return };
        let goes = match fate {
            Fate::MayReplace(rule) => column.drops_newest(sample, rule),
            Fate::Stays => {
                column.door = None;
                false
            }
        };
        if goes {
            column.pop();
            self.bytes -= ROW_BYTES.min(self.bytes);
            self.points -= 1;
            self.left_out += 1;
        }
        let day = day_of(sample.source_ts.micros());
        if column.rows.last().is_none_or(|last| day_of(last.ts) != day) {
            self.days.insert(day);
        }
        self.bytes += column.push(sample);
        self.points += 1;
    }

    /// Removes a tag's samples with `from <= ts < to`.
    pub(crate) fn delete(&mut self, tag: u32, from: i64, to: i64) {
        let column = self.places.get(&tag).and_then(|place| self.columns.get_mut(*place));
        if let Some(column) = column {
            let gone = column.delete(from, to);
            self.points -= gone as u64;
            self.bytes -= (gone * ROW_BYTES).min(self.bytes);
        }
    }

    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) const fn points(&self) -> u64 {
        self.points
    }

    pub(crate) const fn left_out(&self) -> u64 {
        self.left_out
    }

    /// How many UTC days the samples fall on.
    pub(crate) fn days(&self) -> usize {
        self.days.len()
    }

    /// The tags held, ascending.
    pub(crate) fn tags(&self) -> Vec<u32> {
        let mut tags: Vec<u32> = self.places.keys().copied().collect();
        tags.sort_unstable();
        tags
    }

    pub(crate) fn column(&self, tag: u32) -> Option<&Column> {
        self.columns.get(*self.places.get(&tag)?)
    }

    /// One tag's rows with `from <= ts < to`, sorted, one per source time.
    pub(crate) fn rows(&self, tag: u32, from: i64, to: i64) -> Block {
        let Some(column) = self.column(tag) else { return Block::empty() };
        let order = column.order_within(from, to);
        column.block(&order, 0..order.len())
    }

    /// One tag's last row before `before`.
    pub(crate) fn last_before(&self, tag: u32, before: i64) -> Option<Block> {
        let column = self.column(tag)?;
        let order = column.order_within(i64::MIN, before);
        let at = order.position(order.len().checked_sub(1)?);
        Some(column.block(&Order::AsCame(at..at + 1), 0..1))
    }
}

/// A number as a double, if it is one to the last digit.
fn exact(value: &Value) -> Option<f64> {
    match value {
        Value::Double(number) => Some(*number).filter(|number| number.is_finite()),
        Value::Int64(whole) if whole.unsigned_abs() < 1 << 53 => value.as_f64(),
        _ => None,
    }
}

impl Column {
    fn new(room: usize) -> Self {
        Self {
            rows: Vec::with_capacity(room),
            texts: Vec::new(),
            ascending: true,
            sorted: OnceLock::new(),
            sorted_before: None,
            one_class: true,
            one_quality: true,
            first: (CLASS_NULL, 0),
            door: None,
        }
    }

    /// Whether the last row can go now that this sample comes. Only good numbers in order of time let a row go.
    fn drops_newest(&mut self, sample: &Sample, rule: &Compression) -> bool {
        let (ts, number) = (sample.source_ts.micros(), exact(&sample.value));
        let number = number.filter(|_| sample.quality == StatusCode::GOOD && self.ascending);
        let number = number.filter(|_| self.newest().is_none_or(|newest| newest < ts));
        let Some(number) = number else {
            self.door = None;
            return false;
        };
        match &mut self.door {
            Some(door) => door.drops_newest(rule, ts, number),
            None => {
                self.door = Some(Box::new(Door::new(*rule, ts, number)));
                false
            }
        }
    }

    /// Takes the last row out. It is a number: no text goes with it.
    fn pop(&mut self) {
        self.forget_order();
        self.rows.pop();
    }

    /// Adds a sample; returns the bytes it takes.
    fn push(&mut self, sample: &Sample) -> usize {
        let ts = sample.source_ts.micros();
        self.ascending &= self.newest().is_none_or(|newest| newest < ts);
        if let Some(sorted) = self.sorted.take() {
            self.sorted_before = Some(sorted);
        }
        let mut text_bytes = 0;
        let (class, payload) = match &sample.value {
            Value::Null => (CLASS_NULL, 0),
            Value::Boolean(b) => (CLASS_BOOLEAN, u64::from(*b)),
            Value::Int64(i) => (CLASS_INT64, i.cast_unsigned()),
            Value::Double(d) => (CLASS_DOUBLE, d.to_bits()),
            Value::String(text) => {
                if self.texts.last() != Some(text) {
                    text_bytes = text.len() + size_of::<Arc<str>>() + 16;
                    self.texts.push(Arc::clone(text));
                }
                (CLASS_TEXT, (self.texts.len() - 1) as u64)
            }
        };
        let quality = sample.quality.0;
        if self.rows.is_empty() {
            self.first = (class, quality);
        }
        self.one_class &= self.first.0 == class;
        self.one_quality &= self.first.1 == quality;
        self.rows.push(Row { ts, delta: received_delta(sample), payload, quality, class });
        ROW_BYTES + text_bytes
    }

    /// Returns how many rows are gone. Texts stay until the next flush.
    fn delete(&mut self, from: i64, to: i64) -> usize {
        let before = self.rows.len();
        self.rows.retain(|row| !(from..to).contains(&row.ts));
        let gone = before - self.rows.len();
        if gone > 0 {
            self.door = None;
            self.forget_order();
        }
        gone
    }

    /// The rows of these ranks, in columns.
    pub(crate) fn block(&self, order: &Order<'_>, ranks: Range<usize>) -> Block {
        match order {
            Order::AsCame(positions) => {
                let start = positions.start + ranks.start;
                let positions = start..(positions.start + ranks.end).min(positions.end).max(start);
                self.gather(positions.clone(), positions.len())
            }
            Order::Sorted(positions) => {
                let positions = positions.get(ranks).unwrap_or_default();
                self.gather(positions.iter().map(|at| *at as usize), positions.len())
            }
        }
    }

    fn gather(&self, positions: impl Iterator<Item = usize> + Clone, length: usize) -> Block {
        let rows = || positions.clone().filter_map(|at| self.rows.get(at));
        fn filled<T>(length: usize, parts: impl Iterator<Item = T>) -> Vec<T> {
            let mut all = Vec::with_capacity(length);
            all.extend(parts);
            all
        }
        let values = match self.first.0 {
            CLASS_DOUBLE if self.one_class => {
                Values::Double(filled(length, rows().map(|row| f64::from_bits(row.payload))))
            }
            CLASS_INT64 if self.one_class => Values::Int(filled(length, rows().map(|row| row.payload.cast_signed()))),
            _ => return self.gather_mixed(rows()),
        };
        let quality = if self.one_quality {
            Quality::Same(self.first.1)
        } else {
            Quality::Each(filled(length, rows().map(|row| row.quality)))
        };
        Block {
            ts: filled(length, rows().map(|row| row.ts)),
            values,
            quality,
            received_ms: filled(length, rows().map(Row::received_ms)),
        }
    }

    fn gather_mixed<'r>(&self, rows: impl Iterator<Item = &'r Row>) -> Block {
        let mut builder = BlockBuilder::default();
        for row in rows {
            builder.push(row.ts, self.value(row), row.quality, row.received_ms());
        }
        builder.finish()
    }

    fn value(&self, row: &Row) -> Value {
        match row.class {
            CLASS_BOOLEAN => Value::Boolean(row.payload != 0),
            CLASS_INT64 => Value::Int64(row.payload.cast_signed()),
            CLASS_DOUBLE => Value::Double(f64::from_bits(row.payload)),
            CLASS_TEXT => usize::try_from(row.payload)
                .ok()
                .and_then(|at| self.texts.get(at))
                .map_or(Value::Null, |text| Value::String(Arc::clone(text))),
            _ => Value::Null,
        }
    }

    /// The source time of the sample that came last.
    fn newest(&self) -> Option<i64> {
        self.rows.last().map(|row| row.ts)
    }

    /// The source time at a position.
    pub(crate) fn ts(&self, at: usize) -> Option<i64> {
        self.rows.get(at).map(|row| row.ts)
    }

    /// All positions in order of source time, the last to come of each.
    pub(crate) fn order(&self) -> Order<'_> {
        if self.ascending { Order::AsCame(0..self.rows.len()) } else { Order::Sorted(self.sorted()) }
    }

    fn order_within(&self, from: i64, to: i64) -> Order<'_> {
        if self.ascending {
            let start = self.rows.partition_point(|row| row.ts < from);
            return Order::AsCame(start..self.rows.partition_point(|row| row.ts < to).max(start));
        }
        let sorted = self.sorted();
        let start = sorted.partition_point(|&at| self.time(at) < from);
        let end = sorted.partition_point(|&at| self.time(at) < to).max(start);
        Order::Sorted(sorted.get(start..end).unwrap_or_default())
    }

    fn sorted(&self) -> &[u32] {
        let sorted = self.sorted.get_or_init(|| {
            let (before, sorted) =
                self.sorted_before.as_ref().map_or((&[][..], 0), |before| (&before.positions[..], before.of));
            let of = self.len_u32();
            let positions = before.iter().copied().chain(sorted..of);
            // The times beside the positions: comparing does not go to the rows.
            let mut timed: Vec<_> = positions.map(|at| (self.time(at), std::cmp::Reverse(at))).collect();
            // Quick where most is in order already.
            timed.sort();
            timed.dedup_by_key(|(time, _)| *time);
            Box::new(Sorted { positions: timed.iter().map(|(_, at)| at.0).collect(), of })
        });
        &sorted.positions
    }

    /// Rows went.
    fn forget_order(&mut self) {
        self.sorted.take();
        self.sorted_before = None;
    }

    fn time(&self, at: u32) -> i64 {
        self.rows.get(at as usize).map_or(i64::MAX, |row| row.ts)
    }

    /// Bounded far below `u32::MAX` by the buffer's byte limit.
    fn len_u32(&self) -> u32 {
        u32::try_from(self.rows.len()).unwrap_or(u32::MAX)
    }
}

impl Order<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::AsCame(positions) => positions.len(),
            Self::Sorted(positions) => positions.len(),
        }
    }

    /// The column's position of the `rank`-th row.
    pub(crate) fn position(&self, rank: usize) -> usize {
        match self {
            Self::AsCame(positions) => positions.start + rank,
            Self::Sorted(positions) => positions.get(rank).map_or(usize::MAX, |at| *at as usize),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{StatusCode, TagId, Timestamp};

    fn sample(tag: u32, ts: i64, value: Value) -> Sample {
        Sample {
            tag: TagId(tag),
            value,
            quality: StatusCode::GOOD,
            source_ts: Timestamp::from_micros(ts),
            received_ts: Timestamp::from_micros(ts.wrapping_add(5)),
        }
    }

    fn filled(stamps: &[(i64, i64)]) -> Buffer {
        let mut buffer = Buffer::default();
        for (ts, value) in stamps {
            buffer.push(&sample(7, *ts, Value::Int64(*value)), Fate::Stays);
        }
        buffer
    }

    #[test]
    fn late_data_is_sorted_and_the_last_to_come_wins() {
        let buffer = filled(&[(10, 1), (30, 2), (20, 3), (30, 4), (10, 5)]);
        let rows = buffer.rows(7, i64::MIN, i64::MAX);
        assert_eq!((rows.ts, rows.values), (vec![10, 20, 30], Values::Int(vec![5, 3, 4])));
        assert_eq!(buffer.last_before(7, 31).map(|row| row.value(0)), Some(Value::Int64(4)));
        assert_eq!(buffer.last_before(7, 30).map(|row| row.value(0)), Some(Value::Int64(3)));
        assert_eq!(buffer.last_before(7, 10), None);
        assert_eq!(buffer.rows(7, 20, 30).len(), 1, "the end is not part of the range");
    }

    #[test]
    fn what_comes_after_a_read_is_in_the_next_one() {
        let mut buffer = filled(&[(10, 1), (30, 2), (20, 3)]);
        let add = |buffer: &mut Buffer, ts, value| buffer.push(&sample(7, ts, Value::Int64(value)), Fate::Stays);
        let read = |buffer: &Buffer| {
            let rows = buffer.rows(7, i64::MIN, i64::MAX);
            (rows.ts, rows.values)
        };
        assert_eq!(read(&buffer), (vec![10, 20, 30], Values::Int(vec![1, 3, 2])));
        add(&mut buffer, 20, 4);
        add(&mut buffer, 5, 5);
        assert_eq!(read(&buffer), (vec![5, 10, 20, 30], Values::Int(vec![5, 1, 4, 2])));
        buffer.delete(7, 5, 11);
        assert_eq!(read(&buffer), (vec![20, 30], Values::Int(vec![4, 2])));
        add(&mut buffer, 25, 6);
        assert_eq!(read(&buffer), (vec![20, 25, 30], Values::Int(vec![4, 6, 2])));
    }

    #[test]
    fn every_value_comes_back_as_it_went_in() {
        let values = [
            Value::Double(-0.0),
            Value::Double(f64::MIN_POSITIVE / 2.0),
            Value::Int64(i64::MIN),
            Value::Int64(i64::MAX),
            Value::Boolean(true),
            Value::String("ß 😀".into()),
            Value::String("".into()),
            Value::Null,
        ];
        let mut buffer = Buffer::default();
        for (ts, value) in values.iter().enumerate() {
            buffer.push(&sample(1, ts as i64, value.clone()), Fate::Stays);
        }
        let rows = buffer.rows(1, 0, 100);
        assert_eq!((0..rows.len()).map(|at| rows.value(at)).collect::<Vec<_>>(), values);
        assert!(matches!(rows.value(0), Value::Double(d) if d.is_sign_negative()), "-0.0 keeps its sign");
    }

    #[test]
    fn the_next_buffer_has_room_for_as_many_rows_and_no_more() {
        let mut before = Buffer::default();
        for ts in 0..100 {
            for tag in 0..10 {
                before.push(&sample(tag, ts, Value::Int64(ts)), Fate::Stays);
            }
        }
        let mut next = before.next();
        assert_eq!((next.points(), next.bytes(), next.tags().len()), (0, 0, 0));
        for tag in 0..1000 {
            next.push(&sample(tag, 1, Value::Int64(1)), Fate::Stays);
        }
        let room = |tag| next.column(tag).map_or(0, |column| column.rows.capacity());
        assert!(room(0) >= 112 && room(7) >= 112, "{} {}", room(0), room(7));
        assert!((0..1000).map(room).sum::<usize>() < 1000 + 1000 * 8, "what was not there before gets little");
    }

    #[test]
    fn the_byte_count_grows_with_texts() {
        let mut buffer = Buffer::default();
        buffer.push(&sample(1, 1, Value::Null), Fate::Stays);
        let before = buffer.bytes();
        buffer.push(&sample(1, 2, Value::String("x".repeat(10_000).into())), Fate::Stays);
        assert!(buffer.bytes() > before + 10_000);
    }

    #[test]
    fn extreme_times_do_not_overflow() {
        let buffer = filled(&[(i64::MIN, 1), (i64::MAX, 2)]);
        assert_eq!(buffer.rows(7, i64::MIN, i64::MAX).len(), 1);
        assert_eq!(buffer.days(), 2);
    }
}
