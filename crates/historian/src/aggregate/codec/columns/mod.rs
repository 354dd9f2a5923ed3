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

mod read;
mod write;

use super::super::sums::count_f64;
use super::Short;
pub(crate) use read::ColumnReader;
pub(crate) use write::ColumnWriter;

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
    /// How many decimals the values have; only of those whose values are decimals.
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

/// What the next roll-up is told from.
#[derive(Default)]
struct Before {
    number: i64,
    span: u64,
    digits: u8,
    last: i64,
}

/// Smallest and largest of the values that are there.
fn ends(first: i64, last: i64, but: Option<i64>) -> (i64, i64) {
    let but = but.unwrap_or(last);
    (first.min(last).min(but), first.max(last).max(but))
}
