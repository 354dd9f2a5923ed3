//! Format 3: the roll-ups of a chunk, field by field. What is alike then stands together, which is both smaller and quicker to
//! read.
//!
//! ```text
//! chunk     varint count · 4 bytes little endian: which columns there are · then each of them, in the order of `Column`:
//!           varint header, its lowest two bits say how the column is kept, the rest is a number n
//!             0  as it is: n bytes
//!             1  by zstd: n bytes, which unpacked are as many as the varint behind the header says
//!             2  one value for all: n
//! ```
//! A column is a row of varints, signed ones in zigzag, and has an entry for those roll-ups that need one. Three columns are
//! bytes: `Whole` (see the module above), `Double` and `Sum`, whose doubles stand byte by byte: the highest of all, then the next.
//!
//! **What a roll-up of good points needs.** Most plant values are decimals, and most are read at even steps. So values are whole
//! numbers of the same decimal unit, small ones from small neighbours; times are steps of the mean distance of two points, and
//! what they are off. The sum of such values is a whole number, too, and so are the areas: what is kept is the difference from what
//! even steps would give, mostly 0. Of the squared deviations from the mean the sum of squares around the nearest whole number is
//! kept. Each of these is only taken where it gives back the double it stands for but for what rounding has left in that; else the
//! double is kept.

use super::super::raw::{Extreme, Worst};
use super::super::rollup::Rollup;
use super::super::status::{Class, Point};
use super::super::sums::count_f64;
use super::Short;
use crate::decimal::{MOST_DIGITS, power, scale};
use andon_model::StatusCode;
use andon_model::varint::{put, take, unzigzag, zigzag};

/// The most roll-ups in a chunk: a day of minutes, and more hours than a month has.
pub(crate) const CHUNK_ROLLUPS: u64 = 1_440;
/// No chunk is larger when unpacked; one that claims to be is damaged. A day of minutes takes a twentieth of it.
pub(crate) const UNPACKED_MAX: usize = 4 << 20;
/// Columns that are shorter are not worth unpacking.
const WORTH_PACKING: usize = 64;
/// What areas, sums and squares may be off, in parts of the largest they could be: what adding up a minute has left.
const ROUNDING: f64 = 1.0 / (1_u64 << 48) as f64;
/// And in parts of the unit of their whole numbers: where large values cancel out, what is left may have more decimals than the
/// five values that were looked at.
const OFF_UNIT: f64 = 1.0 / 1024.0;
/// Whole numbers up to here are exact doubles.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// The columns, in the order of the chunk.
#[derive(Clone, Copy)]
enum Column {
    /// Minutes or hours since the one before.
    Number,
    /// See `flag`.
    Flags,
    /// How many decimals the values have; differs from `Number` only in who has one.
    Digits,
    /// Points.
    Count,
    /// Of the first point since the start of the minute or hour, in the unit that the flags say; as all times.
    FirstTime,
    /// From the first to the last point, difference from the roll-up before.
    Span,
    /// From the last but one to the last, less the mean step.
    ButTime,
    /// In mean steps after the first point, and what it is off.
    LowStep,
    LowTime,
    HighStep,
    HighTime,
    /// The first value, less the last one of the roll-up before.
    First,
    /// Less the first one.
    Last,
    /// Less the last one.
    But,
    /// How much it is below the smallest of these three.
    Low,
    /// How much it is above the largest of them.
    High,
    /// Less what it were if the mean lay halfway between smallest and largest.
    Total,
    Squares,
    Transitions,
    /// Twice so many units of time; or twice so many µs and 1.
    ZeroTime,
    /// Less what it were at even steps; as the next.
    Flat,
    Ramp,
    /// Of first, last, last but one and worst.
    Status,
    /// Values that are no decimals.
    Double,
    /// Sums that are none.
    Sum,
    Whole,
}

const COLUMNS: usize = Column::Whole as usize + 1;

mod flag {
    /// Only good points; without, the roll-up stands in `Whole`.
    pub(super) const ALL_GOOD: u64 = 1;
    /// Times are whole milliseconds, or whole seconds; else µs.
    pub(super) const MS: u64 = 2;
    pub(super) const SECONDS: u64 = 4;
    pub(super) const SMALLEST_AGAIN: u64 = 8;
    pub(super) const LARGEST_AGAIN: u64 = 16;
    pub(super) const WORST_AGAIN: u64 = 32;
    /// First, last, last but one and worst have status 0.
    pub(super) const PLAIN_STATUS: u64 = 64;
    pub(super) const BUT_ONE: u64 = 128;
    /// The values of the five points are decimals.
    pub(super) const DECIMAL: u64 = 256;
    /// The sum is; without, neither squares nor areas are kept as whole numbers.
    pub(super) const TOTAL: u64 = 512;
    pub(super) const SQUARES: u64 = 1024;
    /// The areas are whole numbers, or what even steps give; else doubles.
    pub(super) const AREAS: u64 = 2048;
    pub(super) const EVEN: u64 = 4096;
}

/// The µs in the unit of times.
const fn unit_of(flags: u64) -> i64 {
    if flags & flag::SECONDS != 0 {
        1_000_000
    } else if flags & flag::MS != 0 {
        1000
    } else {
        1
    }
}

/// Whether `kept` may stand for `value`, both at most as large as `size`. Beyond the range of doubles nothing is known.
fn stands_for(kept: f64, value: f64, size: f64) -> bool {
    let most = size * ROUNDING;
    most.is_finite() && (kept - value).abs() <= most
}

/// The same of a whole number of units.
fn whole_stands_for(kept: f64, value: f64, size: f64, unit: f64) -> bool {
    stands_for(kept, value, size) && (kept - value).abs() <= unit * OFF_UNIT
}

#[expect(clippy::cast_precision_loss, reason = "what is above 2^53 is kept as a double instead")]
const fn f64_of(whole: i64) -> f64 {
    whole as f64
}

/// The nearest whole number; out of reach, the nearest end of them.
#[expect(clippy::cast_possible_truncation, reason = "casts of doubles saturate")]
fn rounded(value: f64) -> i64 {
    value.round_ties_even() as i64
}

/// A double that is a whole number and exact.
fn exact(value: f64) -> Option<i64> {
    let whole = value.round_ties_even();
    (whole.abs() < EXACT).then(|| rounded(whole))
}

/// What both sides say of a roll-up whose values are decimals, before they look at its sums.
struct Decimal {
    power: f64,
    count: u64,
    /// µs.
    unit: i64,
    /// From the first point to the last, in units.
    span: u64,
    first: i64,
    last: i64,
    low: i64,
    high: i64,
}

impl Decimal {
    /// The sum if the mean lay halfway between the extremes.
    fn likely_total(&self) -> i64 {
        let count = self.count.cast_signed();
        (self.low.wrapping_add(self.high) >> 1).wrapping_mul(count)
    }

    /// The sum of squared deviations from the mean, of which the sum of squares around a whole number is known.
    fn squares(&self, total: i64, around: i64) -> f64 {
        (f64_of(around) - self.beside(total)).max(0.0) / (self.power * self.power)
    }

    /// By how much squares around the whole number next below the mean are more than around the mean.
    fn beside(&self, total: i64) -> f64 {
        let off = f64_of(total.checked_rem_euclid(self.count.cast_signed()).unwrap_or(0));
        off * off / count_f64(self.count)
    }

    /// The area under steps, if they are even, in decimal units × units of time.
    fn likely_flat(&self, total: i64) -> i64 {
        rounded(count_f64(self.span) * f64_of(total.wrapping_sub(self.last)) / self.steps())
    }

    /// Twice the area under lines, likewise, when that under steps is known.
    fn likely_ramp(&self, flat: i64) -> i64 {
        let rise = count_f64(self.span) * f64_of(self.last.wrapping_sub(self.first)) / self.steps();
        flat.wrapping_mul(2).wrapping_add(rounded(rise))
    }

    fn steps(&self) -> f64 {
        count_f64(self.count.saturating_sub(1).max(1))
    }

    /// The area as value × µs.
    fn area(&self, whole: i64) -> f64 {
        f64_of(whole) / self.power * f64_of(self.unit)
    }
}

/// The areas that even steps give, value × µs: under steps, and under lines.
fn even_areas(short: &Short) -> (f64, f64) {
    let step = short.span_f64() / count_f64(short.count.saturating_sub(1).max(1));
    let flat = step * (short.sum - short.last.value);
    (flat, flat + step * (short.last.value * 0.5 - short.first.value * 0.5))
}

/// The mean step between `count` points over `span`.
const fn mean_step(span: u64, count: u64) -> u64 {
    match count {
        0 | 1 => 0,
        _ => span / (count - 1),
    }
}

// ---------------------------------------------------------------- writing

/// Gathers the roll-ups of a chunk.
#[derive(Default)]
pub(crate) struct ColumnWriter {
    columns: [Gathered; COLUMNS],
    count: u64,
    before: Before,
}

/// What the next roll-up is told from.
#[derive(Default)]
struct Before {
    number: i64,
    span: u64,
    digits: u8,
    last: i64,
}

#[derive(Default)]
struct Gathered {
    bytes: Vec<u8>,
    first: u64,
    /// Another number than the first is among them.
    varied: bool,
}

impl Gathered {
    fn put(&mut self, number: u64) {
        if self.bytes.is_empty() {
            self.first = number;
        }
        self.varied |= self.first != number;
        put(&mut self.bytes, number);
    }
}

impl ColumnWriter {
    /// How many there are.
    pub(crate) const fn count(&self) -> u64 {
        self.count
    }

    /// The next minute or hour: its number, and where it starts, µs.
    pub(crate) fn push(&mut self, number: i64, start: i64, rollup: &Rollup) {
        if self.count > 0 {
            self.put(Column::Number, number.wrapping_sub(self.before.number).cast_unsigned());
        }
        self.before.number = number;
        self.count += 1;
        match rollup.short() {
            Some(short) => self.push_short(start, &short),
            None => {
                self.put(Column::Flags, 0);
                let whole = self.column(Column::Whole);
                whole.varied = true;
                rollup.encode_whole(start, &mut whole.bytes);
            }
        }
    }

    fn column(&mut self, column: Column) -> &mut Gathered {
        &mut self.columns[column as usize]
    }

    fn put(&mut self, column: Column, number: u64) {
        self.column(column).put(number);
    }

    fn put_signed(&mut self, column: Column, number: i64) {
        self.put(column, zigzag(number));
    }

    fn put_double(&mut self, column: Column, value: f64) {
        let gathered = self.column(column);
        gathered.varied = true;
        gathered.bytes.extend_from_slice(&value.to_bits().to_be_bytes());
    }

    fn push_short(&mut self, start: i64, short: &Short) {
        let points = [Some(short.first), Some(short.last), short.but_one];
        let times = points.iter().flatten().map(|point| point.ts).chain([short.smallest.ts, short.largest.ts]);
        let whole = |unit: i64| times.clone().all(|ts| ts.wrapping_sub(start) % unit == 0);
        let plain = points.iter().flatten().all(|point| point.status.0 == 0) && short.worst.status.0 == 0;
        let mut flags = flag::ALL_GOOD;
        for (set, bit) in [
            (whole(1000), flag::MS),
            (whole(1_000_000), flag::SECONDS),
            (short.smallest.again, flag::SMALLEST_AGAIN),
            (short.largest.again, flag::LARGEST_AGAIN),
            (short.worst.again, flag::WORST_AGAIN),
            (plain, flag::PLAIN_STATUS),
            (short.but_one.is_some(), flag::BUT_ONE),
        ] {
            flags |= if set { bit } else { 0 };
        }
        self.put(Column::Count, short.count);
        let span = self.push_times(start, unit_of(flags), short);
        flags |= match self.push_values(short, unit_of(flags), span) {
            Some(decimal) => flag::DECIMAL | self.push_decimal_sums(short, &decimal),
            None => self.push_sums(short),
        };
        self.put(Column::Transitions, short.transitions);
        let unit = unit_of(flags).cast_unsigned();
        let zero = short.zero_time;
        self.put(
            Column::ZeroTime,
            if zero.is_multiple_of(unit) { (zero / unit).wrapping_mul(2) } else { zero.wrapping_mul(2) | 1 },
        );
        if !plain {
            points.iter().flatten().for_each(|point| self.put(Column::Status, u64::from(point.status.0)));
            self.put(Column::Status, u64::from(short.worst.status.0));
        }
        self.put(Column::Flags, flags);
    }

    /// Returns from the first to the last point, in units.
    fn push_times(&mut self, start: i64, unit: i64, short: &Short) -> u64 {
        let units = |from: i64, to: i64| (to.wrapping_sub(from) / unit).cast_unsigned();
        let first = short.first.ts;
        self.put(Column::FirstTime, units(start, first));
        let span = units(first, short.last.ts);
        self.put_signed(Column::Span, span.wrapping_sub(self.before.span).cast_signed());
        self.before.span = span;
        let step = mean_step(span, short.count);
        if let Some(but) = &short.but_one {
            self.put_signed(Column::ButTime, units(but.ts, short.last.ts).wrapping_sub(step).cast_signed());
        }
        for (steps, off, ts) in [
            (Column::LowStep, Column::LowTime, short.smallest.ts),
            (Column::HighStep, Column::HighTime, short.largest.ts),
        ] {
            let time = units(first, ts);
            // The nearest one, so that what it is off is small.
            let number = time.saturating_add(step / 2).checked_div(step).unwrap_or(0);
            self.put(steps, number);
            self.put_signed(off, time.wrapping_sub(number.wrapping_mul(step)).cast_signed());
        }
        span
    }

    /// `None` when they are not all decimals, or too large.
    fn push_values(&mut self, short: &Short, unit: i64, span: u64) -> Option<Decimal> {
        let numbers = [Some(short.first.value), Some(short.last.value), short.but_one.map(|but| but.value)];
        let numbers = numbers.into_iter().flatten().chain([short.smallest.value, short.largest.value]);
        let fits = |digits: &u8| numbers.clone().all(|number| scale(number, power(*digits)).is_some());
        // Those of the one before first: they fit mostly, and then differences are small.
        let digits = std::iter::once(self.before.digits).chain(0..=MOST_DIGITS).find(fits);
        let Some(digits) = digits else {
            numbers.for_each(|number| self.put_double(Column::Double, number));
            return None;
        };
        let power = power(digits);
        let whole = |value: f64| scale(value, power).unwrap_or(0);
        let (first, last) = (whole(short.first.value), whole(short.last.value));
        let (low, high) = (whole(short.smallest.value), whole(short.largest.value));
        let before = if digits == self.before.digits { self.before.last } else { 0 };
        self.put(Column::Digits, u64::from(digits));
        self.put_signed(Column::First, first.wrapping_sub(before));
        self.put_signed(Column::Last, last.wrapping_sub(first));
        let but = short.but_one.map(|but| whole(but.value));
        if let Some(but) = but {
            self.put_signed(Column::But, but.wrapping_sub(last));
        }
        let (lowest, highest) = ends(first, last, but);
        self.put_signed(Column::Low, lowest.wrapping_sub(low));
        self.put_signed(Column::High, high.wrapping_sub(highest));
        (self.before.digits, self.before.last) = (digits, last);
        Some(Decimal { power, count: short.count, unit, span, first, last, low, high })
    }

    /// Returns what the flags say of it, as the two below.
    fn push_decimal_sums(&mut self, short: &Short, decimal: &Decimal) -> u64 {
        let largest = short.largest_size();
        let all = largest * count_f64(short.count);
        let total = exact(short.sum * decimal.power)
            .filter(|total| whole_stands_for(f64_of(*total) / decimal.power, short.sum, all, 1.0 / decimal.power));
        let Some(total) = total else { return self.push_sums(short) };
        self.put_signed(Column::Total, total.wrapping_sub(decimal.likely_total()));
        // Deviations of equal values are what rounding of the mean has left.
        let noise = largest * ROUNDING;
        let size = short.squares + noise * noise / ROUNDING * count_f64(short.count);
        let unit = 1.0 / (decimal.power * decimal.power);
        let around = exact(short.squares * decimal.power * decimal.power + decimal.beside(total))
            .filter(|around| whole_stands_for(decimal.squares(total, *around), short.squares, size, unit));
        let squares = match around {
            Some(around) => {
                self.put_signed(Column::Squares, around);
                flag::SQUARES
            }
            None => {
                self.put_double(Column::Sum, short.squares);
                0
            }
        };
        let scaled = decimal.power / f64_of(decimal.unit);
        let (size, unit) = (largest * short.span_f64(), 1.0 / scaled);
        let flat =
            exact(short.flat * scaled).filter(|flat| whole_stands_for(decimal.area(*flat), short.flat, size, unit));
        let ramp = exact(short.ramp * scaled * 2.0)
            .filter(|ramp| whole_stands_for(decimal.area(*ramp) * 0.5, short.ramp, size, unit));
        let Some((flat, ramp)) = flat.zip(ramp) else { return flag::TOTAL | squares | self.push_areas(short) };
        self.put_signed(Column::Flat, flat.wrapping_sub(decimal.likely_flat(total)));
        self.put_signed(Column::Ramp, ramp.wrapping_sub(decimal.likely_ramp(flat)));
        flag::TOTAL | squares | flag::AREAS
    }

    fn push_sums(&mut self, short: &Short) -> u64 {
        self.put_double(Column::Sum, short.sum);
        self.put_double(Column::Sum, short.squares);
        self.push_areas(short)
    }

    fn push_areas(&mut self, short: &Short) -> u64 {
        let size = short.largest_size() * short.span_f64();
        let (flat, ramp) = even_areas(short);
        if stands_for(flat, short.flat, size) && stands_for(ramp, short.ramp, size) {
            return flag::EVEN;
        }
        self.put_double(Column::Sum, short.flat);
        self.put_double(Column::Sum, short.ramp);
        0
    }

    /// The chunk's bytes; the writer is empty then.
    pub(crate) fn finish(&mut self, packer: &mut zstd::bulk::Compressor<'_>) -> std::io::Result<Vec<u8>> {
        let mut out = Vec::new();
        put(&mut out, self.count);
        let present = self.columns.iter().enumerate().filter(|(_, column)| !column.bytes.is_empty());
        out.extend_from_slice(&present.fold(0_u32, |all, (at, _)| all | 1 << at).to_le_bytes());
        for (at, column) in self.columns.iter_mut().enumerate() {
            if column.bytes.is_empty() {
                continue;
            }
            if at == Column::Double as usize || at == Column::Sum as usize {
                column.bytes = by_place(&column.bytes);
            }
            if !column.varied && column.first < 1 << 62 {
                put(&mut out, column.first << 2 | 2);
            } else if let Some(packed) = packed(&column.bytes, packer)? {
                put(&mut out, (packed.len() as u64) << 2 | 1);
                put(&mut out, column.bytes.len() as u64);
                out.extend_from_slice(&packed);
            } else {
                put(&mut out, (column.bytes.len() as u64) << 2);
                out.extend_from_slice(&column.bytes);
            }
            column.bytes.clear();
            column.varied = false;
        }
        (self.count, self.before) = (0, Before::default());
        Ok(out)
    }
}

fn packed(bytes: &[u8], packer: &mut zstd::bulk::Compressor<'_>) -> std::io::Result<Option<Vec<u8>>> {
    if bytes.len() < WORTH_PACKING {
        return Ok(None);
    }
    let packed = packer.compress(bytes)?;
    Ok((packed.len() < bytes.len()).then_some(packed))
}

/// Smallest and largest of the values that are there.
fn ends(first: i64, last: i64, but: Option<i64>) -> (i64, i64) {
    let but = but.unwrap_or(last);
    (first.min(last).min(but), first.max(last).max(but))
}

/// The first byte of all doubles, then the second of all, and so on.
fn by_place(doubles: &[u8]) -> Vec<u8> {
    (0..8).flat_map(|place| doubles.iter().skip(place).step_by(8).copied()).collect()
}

// ---------------------------------------------------------------- reading

/// The roll-ups of a chunk, one after the other.
pub(crate) struct ColumnReader {
    bytes: Vec<u8>,
    columns: [Held; COLUMNS],
    left: u64,
    begun: bool,
    before: Before,
}

#[derive(Clone, Copy)]
enum Held {
    /// Where the rest of it stands in the bytes.
    Bytes {
        at: usize,
        end: usize,
    },
    Same(u64),
    /// Doubles that stand byte by byte: where, how many, and how many were taken.
    Doubles {
        at: usize,
        count: usize,
        taken: usize,
    },
}

impl ColumnReader {
    /// Of what [`ColumnWriter::finish`] wrote; `first` is the number of the first roll-up. `None` when the bytes are something
    /// else.
    pub(crate) fn open(chunk: &[u8], first: i64, unpacker: &mut zstd::bulk::Decompressor<'_>) -> Option<Self> {
        let mut rest = chunk;
        let count = take(&mut rest).ok().filter(|count| *count <= CHUNK_ROLLUPS)?;
        let (present, after) = rest.split_first_chunk()?;
        let present = u32::from_le_bytes(*present);
        rest = after;
        let mut bytes = Vec::with_capacity(chunk.len() * 2);
        let mut columns = [Held::Bytes { at: 0, end: 0 }; COLUMNS];
        for (at, column) in columns.iter_mut().enumerate() {
            if present & 1 << at == 0 {
                continue;
            }
            let header = take(&mut rest).ok()?;
            if header & 3 == 2 {
                *column = Held::Same(header >> 2);
                continue;
            }
            let length = usize::try_from(header >> 2).ok()?;
            let start = bytes.len();
            match header & 3 {
                0 => {
                    let (plain, after) = rest.split_at_checked(length)?;
                    rest = after;
                    bytes.extend_from_slice(plain);
                }
                1 => {
                    let unpacked = usize::try_from(take(&mut rest).ok()?).ok()?;
                    let end = start.checked_add(unpacked).filter(|end| *end <= UNPACKED_MAX)?;
                    let (packed, after) = rest.split_at_checked(length)?;
                    rest = after;
                    bytes.resize(end, 0);
                    let done = unpacker.decompress_to_buffer(packed, bytes.get_mut(start..)?).ok()?;
                    (done == unpacked).then_some(())?;
                }
                _ => return None,
            }
            let end = bytes.len();
            *column = if at == Column::Double as usize || at == Column::Sum as usize {
                ((end - start) % 8 == 0).then_some(Held::Doubles { at: start, count: (end - start) / 8, taken: 0 })?
            } else {
                Held::Bytes { at: start, end }
            };
        }
        let before = Before { number: first, ..Before::default() };
        rest.is_empty().then_some(Self { bytes, columns, left: count, begun: false, before })
    }

    /// How many are left.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// The next roll-up, put into `rollup`, and its number; `start` tells from that where it starts, µs. `None`: the bytes are
    /// none of ours.
    pub(crate) fn next(&mut self, start: impl FnOnce(i64) -> i64, rollup: &mut Rollup) -> Option<i64> {
        self.left = self.left.checked_sub(1)?;
        if self.begun {
            let step = self.take(Column::Number).filter(|step| *step > 0)?;
            self.before.number = self.before.number.wrapping_add(step.cast_signed());
        }
        self.begun = true;
        let number = self.before.number;
        let flags = self.take(Column::Flags)?;
        if flags & flag::ALL_GOOD == 0 {
            *rollup = self.take_whole(start(number))?;
        } else {
            let short = self.take_short(start(number), flags)?;
            rollup.set_short(&short);
        }
        Some(number)
    }

    #[inline]
    fn take(&mut self, column: Column) -> Option<u64> {
        match &mut self.columns[column as usize] {
            Held::Same(number) => Some(*number),
            Held::Bytes { at, end } => {
                let mut rest = self.bytes.get(*at..*end)?;
                let number = take(&mut rest).ok()?;
                *at = *end - rest.len();
                Some(number)
            }
            Held::Doubles { .. } => None,
        }
    }

    #[inline]
    fn take_signed(&mut self, column: Column) -> Option<i64> {
        self.take(column).map(unzigzag)
    }

    fn take_double(&mut self, column: Column) -> Option<f64> {
        let Held::Doubles { at, count, taken } = &mut self.columns[column as usize] else { return None };
        let mut bytes = [0; 8];
        if taken >= count {
            return None;
        }
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = *self.bytes.get(*at + place * *count + *taken)?;
        }
        *taken += 1;
        Some(f64::from_bits(u64::from_be_bytes(bytes)))
    }

    fn take_whole(&mut self, start: i64) -> Option<Rollup> {
        let Held::Bytes { at, end } = &mut self.columns[Column::Whole as usize] else { return None };
        let mut rest = self.bytes.get(*at..*end)?;
        let rollup = Rollup::decode_whole(start, &mut rest)?;
        *at = *end - rest.len();
        Some(rollup)
    }

    fn take_short(&mut self, start: i64, flags: u64) -> Option<Short> {
        let has = |bit: u64| flags & bit != 0;
        let unit = unit_of(flags);
        let count = self.take(Column::Count)?;
        let point = |ts| Point { ts, value: 0.0, status: StatusCode(0), class: Class::Good };
        let extreme = |ts, again| Extreme { value: 0.0, ts, again };
        let after = |from: i64, units: u64| from.wrapping_add(units.cast_signed().wrapping_mul(unit));
        // Times.
        let first = after(start, self.take(Column::FirstTime)?);
        let span = self.before.span.wrapping_add(self.take_signed(Column::Span)?.cast_unsigned());
        self.before.span = span;
        let last = after(first, span);
        let step = mean_step(span, count);
        let but = if has(flag::BUT_ONE) {
            let back = step.wrapping_add(self.take_signed(Column::ButTime)?.cast_unsigned());
            Some(point(after(last, back.wrapping_neg())))
        } else {
            None
        };
        let mut place = |steps, off| {
            let number = self.take(steps)?;
            let time = number.wrapping_mul(step).wrapping_add(self.take_signed(off)?.cast_unsigned());
            Some(after(first, time))
        };
        let low = place(Column::LowStep, Column::LowTime)?;
        let high = place(Column::HighStep, Column::HighTime)?;
        let mut short = Short {
            count,
            first: point(first),
            last: point(last),
            but_one: but,
            smallest: extreme(low, has(flag::SMALLEST_AGAIN)),
            largest: extreme(high, has(flag::LARGEST_AGAIN)),
            worst: Worst { class: Class::Good, status: StatusCode(0), again: has(flag::WORST_AGAIN) },
            sum: 0.0,
            squares: 0.0,
            transitions: 0,
            zero_time: 0,
            ramp: 0.0,
            flat: 0.0,
        };
        let decimal = self.take_values(flags, unit, span, &mut short)?;
        self.take_sums(flags, decimal.as_ref(), &mut short)?;
        short.transitions = self.take(Column::Transitions)?;
        let zero = self.take(Column::ZeroTime)?;
        short.zero_time = if zero & 1 == 0 { (zero >> 1).wrapping_mul(unit.cast_unsigned()) } else { zero >> 1 };
        if !has(flag::PLAIN_STATUS) {
            let mut status = || Some(StatusCode(u32::try_from(self.take(Column::Status)?).ok()?));
            short.first.status = status()?;
            short.last.status = status()?;
            if let Some(but) = &mut short.but_one {
                but.status = status()?;
            }
            short.worst.status = status()?;
        }
        Some(short)
    }

    /// Values, and what is known of them if they are decimals.
    #[expect(clippy::option_option, reason = "what may be missing is told from what cannot be read")]
    fn take_values(&mut self, flags: u64, unit: i64, span: u64, short: &mut Short) -> Option<Option<Decimal>> {
        if flags & flag::DECIMAL == 0 {
            short.first.value = self.take_double(Column::Double)?;
            short.last.value = self.take_double(Column::Double)?;
            if let Some(but) = &mut short.but_one {
                but.value = self.take_double(Column::Double)?;
            }
            short.smallest.value = self.take_double(Column::Double)?;
            short.largest.value = self.take_double(Column::Double)?;
            return Some(None);
        }
        let digits = u8::try_from(self.take(Column::Digits)?).ok().filter(|digits| *digits <= MOST_DIGITS)?;
        let before = if digits == self.before.digits { self.before.last } else { 0 };
        let first = before.wrapping_add(self.take_signed(Column::First)?);
        let last = first.wrapping_add(self.take_signed(Column::Last)?);
        let but = match short.but_one {
            Some(_) => Some(last.wrapping_add(self.take_signed(Column::But)?)),
            None => None,
        };
        let (lowest, highest) = ends(first, last, but);
        let low = lowest.wrapping_sub(self.take_signed(Column::Low)?);
        let high = highest.wrapping_add(self.take_signed(Column::High)?);
        (self.before.digits, self.before.last) = (digits, last);
        let power = power(digits);
        short.first.value = f64_of(first) / power;
        short.last.value = f64_of(last) / power;
        if let Some((point, but)) = short.but_one.as_mut().zip(but) {
            point.value = f64_of(but) / power;
        }
        short.smallest.value = f64_of(low) / power;
        short.largest.value = f64_of(high) / power;
        Some(Some(Decimal { power, count: short.count, unit, span, first, last, low, high }))
    }

    fn take_sums(&mut self, flags: u64, decimal: Option<&Decimal>, short: &mut Short) -> Option<()> {
        let Some((decimal, total)) = decimal
            .filter(|_| flags & flag::TOTAL != 0)
            .and_then(|decimal| Some((decimal, decimal.likely_total().wrapping_add(self.take_signed(Column::Total)?))))
        else {
            short.sum = self.take_double(Column::Sum)?;
            short.squares = self.take_double(Column::Sum)?;
            return self.take_areas(flags, short);
        };
        short.sum = f64_of(total) / decimal.power;
        short.squares = if flags & flag::SQUARES != 0 {
            decimal.squares(total, self.take_signed(Column::Squares)?)
        } else {
            self.take_double(Column::Sum)?
        };
        if flags & flag::AREAS == 0 {
            return self.take_areas(flags, short);
        }
        let flat = decimal.likely_flat(total).wrapping_add(self.take_signed(Column::Flat)?);
        let ramp = decimal.likely_ramp(flat).wrapping_add(self.take_signed(Column::Ramp)?);
        (short.flat, short.ramp) = (decimal.area(flat), decimal.area(ramp) * 0.5);
        Some(())
    }

    fn take_areas(&mut self, flags: u64, short: &mut Short) -> Option<()> {
        (short.flat, short.ramp) = if flags & flag::EVEN != 0 {
            even_areas(short)
        } else {
            (self.take_double(Column::Sum)?, self.take_double(Column::Sum)?)
        };
        Some(())
    }
}
