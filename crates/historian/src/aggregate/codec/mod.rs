//! Roll-ups as bytes: what a roll-up file keeps of a tag's minutes or hours.
//!
//! A stretch of nothing but good points, the usual case, has a short form: [`columns`] writes and reads it, [`rows`] reads that of
//! the first two formats of roll-up files. Any other takes all its fields, one after the other, which is here:
//!
//! ```text
//! counts    varints
//! times     zigzag varints from the start of the minute or hour, µs
//! numbers   1 byte e ≤ 4: zigzag varint n, the number is n / 10^e to the last bit · 255: 8 bytes little endian
//! ```
//! Sums are kept rounded to one double: what compensation had saved on top is below their last bit.

mod columns;
mod rows;
#[cfg(test)]
mod tests;

use super::raw::{Extreme, Worst};
use super::rollup::Rollup;
use super::status::{Class, Point, Shares};
use super::sums::{Moments, Sum, count_f64};
use crate::decimal::{power, scale};
use andon_model::StatusCode;
use andon_model::varint::{put, take, unzigzag, zigzag};
pub(crate) use columns::{CHUNK_ROLLUPS, ColumnReader, ColumnWriter, UNPACKED_MAX};

/// Numbers by themselves are tried as decimals with up to so many digits.
const DIGITS: u8 = 4;
const RAW: u8 = 255;

impl Rollup {
    /// The short form, if nothing is lost by it.
    fn short(&self) -> Option<Short> {
        let (first, last) = (self.first?, self.last?);
        let (smallest, largest, worst) = (self.smallest?, self.largest?, self.worst?);
        let plain = self.shares.uncertain == 0
            && self.shares.bad == 0
            && self.first_good == self.first
            && self.last_good == self.last
            && self.uncertain.is_none()
            && self.other_after_good.is_none()
            && (self.good_to_other, self.from_other) == (0, 0)
            && !self.bridged
            && worst.class == Class::Good
            && self.moments.count == self.shares.good
            && u64::try_from(last.ts.checked_sub(first.ts)?).ok()? == self.good_to_good;
        plain.then_some(Short {
            count: self.shares.good,
            first,
            last,
            but_one: self.good_before_last,
            smallest,
            largest,
            worst,
            sum: self.sum.value(),
            squares: self.moments.squares,
            transitions: self.transitions,
            zero_time: self.zero_time,
            ramp: self.ramp.value(),
            flat: self.flat.value(),
        })
    }

    /// Becomes what a short form says; nothing stays of what it was.
    fn set_short(&mut self, short: &Short) {
        self.shares = Shares { good: short.count, ..Shares::default() };
        self.sum = Sum::of(short.sum);
        self.moments = Moments { count: short.count, mean: short.sum / count_f64(short.count), squares: short.squares };
        (self.smallest, self.largest) = (Some(short.smallest), Some(short.largest));
        (self.transitions, self.zero_time) = (short.transitions, short.zero_time);
        (self.first, self.last, self.good_before_last) = (Some(short.first), Some(short.last), short.but_one);
        (self.first_good, self.last_good) = (Some(short.first), Some(short.last));
        self.worst = Some(short.worst);
        self.good_to_good = short.last.ts.wrapping_sub(short.first.ts).cast_unsigned();
        (self.ramp, self.flat) = (Sum::of(short.ramp), Sum::of(short.flat));
        // What a stretch of nothing but good points has not.
        (self.uncertain, self.other_after_good, self.bridged) = (None, None, false);
        (self.good_to_other, self.from_other) = (0, 0);
        (self.flat_to_other, self.bridges) = (Sum::default(), Sum::default());
    }

    fn encode_whole(&self, start: i64, out: &mut Vec<u8>) {
        for number in [self.shares.good, self.shares.uncertain, self.shares.bad, self.moments.count] {
            put(out, number);
        }
        for number in [self.transitions, self.good_to_good, self.good_to_other, self.from_other, self.zero_time] {
            put(out, number);
        }
        for sum in [&self.sum, &self.ramp, &self.flat, &self.flat_to_other, &self.bridges] {
            put_f64(out, sum.value());
        }
        put_f64(out, self.moments.mean);
        put_f64(out, self.moments.squares);
        for extreme in [self.smallest, self.largest] {
            put_option(out, extreme.as_ref(), |out, extreme| {
                put_f64(out, extreme.value);
                put(out, zigzag(extreme.ts.wrapping_sub(start)));
                put(out, u64::from(extreme.again));
            });
        }
        put_option(out, self.uncertain.as_ref(), |out, (low, high)| {
            put_f64(out, *low);
            put_f64(out, *high);
        });
        for point in [self.first, self.last, self.first_good, self.last_good, self.good_before_last] {
            put_option(out, point.as_ref(), |out, point| {
                put(out, zigzag(point.ts.wrapping_sub(start)));
                put_f64(out, point.value);
                put(out, u64::from(point.status.0));
                put(out, class_code(point.class));
            });
        }
        put_option(out, self.other_after_good.as_ref(), |out, ts| put(out, zigzag(ts.wrapping_sub(start))));
        put_option(out, self.worst.as_ref(), |out, worst| {
            put(out, class_code(worst.class));
            put(out, u64::from(worst.status.0));
            put(out, u64::from(worst.again));
        });
        put(out, u64::from(self.bridged));
    }

    fn decode_whole(start: i64, rest: &mut &[u8]) -> Option<Self> {
        let number = |rest: &mut &[u8]| take(rest).ok();
        let shares = Shares { good: number(rest)?, uncertain: number(rest)?, bad: number(rest)? };
        let count = number(rest)?;
        let [transitions, good_to_good, good_to_other, from_other, zero_time] =
            [number(rest)?, number(rest)?, number(rest)?, number(rest)?, number(rest)?];
        let [sum, ramp, flat, flat_to_other, bridges] =
            [take_f64(rest)?, take_f64(rest)?, take_f64(rest)?, take_f64(rest)?, take_f64(rest)?].map(Sum::of);
        let moments = Moments { count, mean: take_f64(rest)?, squares: take_f64(rest)? };
        let time = |rest: &mut &[u8]| Some(start.wrapping_add(unzigzag(take(rest).ok()?)));
        let extreme =
            |rest: &mut &[u8]| Some(Extreme { value: take_f64(rest)?, ts: time(rest)?, again: take(rest).ok()? != 0 });
        let (smallest, largest) = (take_option(rest, extreme)?, take_option(rest, extreme)?);
        let uncertain = take_option(rest, |rest| Some((take_f64(rest)?, take_f64(rest)?)))?;
        let point = |rest: &mut &[u8]| {
            Some(Point {
                ts: time(rest)?,
                value: take_f64(rest)?,
                status: StatusCode(u32::try_from(take(rest).ok()?).ok()?),
                class: class_of(take(rest).ok()?)?,
            })
        };
        let [first, last, first_good, last_good, good_before_last] = [
            take_option(rest, point)?,
            take_option(rest, point)?,
            take_option(rest, point)?,
            take_option(rest, point)?,
            take_option(rest, point)?,
        ];
        let other_after_good = take_option(rest, time)?;
        let worst = take_option(rest, |rest| {
            Some(Worst {
                class: class_of(take(rest).ok()?)?,
                status: StatusCode(u32::try_from(take(rest).ok()?).ok()?),
                again: take(rest).ok()? != 0,
            })
        })?;
        let bridged = take(rest).ok()? != 0;
        Some(Self {
            shares,
            sum,
            moments,
            smallest,
            largest,
            transitions,
            uncertain,
            first,
            last,
            first_good,
            last_good,
            good_before_last,
            other_after_good,
            worst,
            good_to_good,
            good_to_other,
            from_other,
            zero_time,
            ramp,
            flat,
            flat_to_other,
            bridges,
            bridged,
        })
    }
}

/// What a roll-up of nothing but good points is told by.
struct Short {
    count: u64,
    first: Point,
    last: Point,
    but_one: Option<Point>,
    smallest: Extreme,
    largest: Extreme,
    worst: Worst,
    sum: f64,
    /// Squared deviations from the mean.
    squares: f64,
    transitions: u64,
    /// µs.
    zero_time: u64,
    /// Areas under lines and under steps, value × µs.
    ramp: f64,
    flat: f64,
}

impl Short {
    /// Of the value that is furthest from 0.
    fn largest_size(&self) -> f64 {
        self.smallest.value.abs().max(self.largest.value.abs())
    }

    /// From the first to the last point, µs.
    fn span_f64(&self) -> f64 {
        count_f64(self.last.ts.wrapping_sub(self.first.ts).cast_unsigned())
    }
}

fn put_option<T>(out: &mut Vec<u8>, option: Option<&T>, encode: impl FnOnce(&mut Vec<u8>, &T)) {
    put(out, u64::from(option.is_some()));
    if let Some(value) = option {
        encode(out, value);
    }
}

/// The outer `None`: the bytes are not what they should be.
#[expect(clippy::option_option, reason = "what may be missing is told from what cannot be read")]
fn take_option<T>(rest: &mut &[u8], decode: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<Option<T>> {
    match take(rest).ok()? {
        0 => Some(None),
        1 => decode(rest).map(Some),
        _ => None,
    }
}

const fn class_code(class: Class) -> u64 {
    match class {
        Class::Good => 0,
        Class::Uncertain => 1,
        Class::Bad => 2,
    }
}

const fn class_of(code: u64) -> Option<Class> {
    match code {
        0 => Some(Class::Good),
        1 => Some(Class::Uncertain),
        2 => Some(Class::Bad),
        _ => None,
    }
}

fn put_f64(out: &mut Vec<u8>, value: f64) {
    if let Some((digits, whole)) = (0..=DIGITS).find_map(|digits| Some((digits, scale(value, power(digits))?))) {
        out.push(digits);
        put(out, zigzag(whole));
        return;
    }
    out.push(RAW);
    out.extend_from_slice(&value.to_bits().to_le_bytes());
}

#[expect(clippy::cast_precision_loss, reason = "below 2^53, and otherwise refused by the checksum of the file")]
fn take_f64(rest: &mut &[u8]) -> Option<f64> {
    let (kind, after) = rest.split_first()?;
    *rest = after;
    if *kind == RAW {
        let (bytes, after) = rest.split_first_chunk()?;
        *rest = after;
        return Some(f64::from_bits(u64::from_le_bytes(*bytes)));
    }
    if *kind > DIGITS {
        return None;
    }
    Some(unzigzag(take(rest).ok()?) as f64 / power(*kind))
}
