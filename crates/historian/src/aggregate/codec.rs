//! A roll-up as bytes: what a roll-up file keeps of a minute or an hour.
//!
//! ```text
//! flags     varint, see `flag`
//! count     varint
//! times     zigzag varints from the start of the minute or hour, in ms if all are whole ms, else in µs
//! numbers   1 byte e ≤ 4: zigzag varint n, the number is n / 10^e to the last bit · 255: 8 bytes little endian
//! values    of points, if all are such decimals: 1 byte e, then zigzag varints, the first one itself and then differences
//!           from it; otherwise as numbers
//! ```
//! A stretch of nothing but good points, the usual case, takes 40 to 60 bytes; any other takes all fields. Sums are kept
//! rounded to one double: what compensation had saved on top is below their last bit.

use super::raw::{Extreme, Worst};
use super::rollup::Rollup;
use super::status::{Class, Point, Shares};
use super::sums::{Moments, Sum, count_f64};
use crate::decimal::{power, scale};
use andon_model::StatusCode;
use andon_model::varint::{put, take, unzigzag, zigzag};

mod flag {
    /// Only good points; the fields that say so are left out.
    pub(super) const ALL_GOOD: u64 = 1;
    /// Every time is a whole millisecond after the start.
    pub(super) const MS: u64 = 2;
    pub(super) const SMALLEST_AGAIN: u64 = 4;
    pub(super) const LARGEST_AGAIN: u64 = 8;
    pub(super) const WORST_AGAIN: u64 = 16;
    /// First, last and worst have status 0.
    pub(super) const PLAIN_STATUS: u64 = 32;
    pub(super) const BUT_ONE: u64 = 64;
    /// The values of points are decimals of the same length.
    pub(super) const DECIMAL: u64 = 128;
}

/// Doubles are tried as decimals with up to so many digits.
const DIGITS: u8 = 4;
const RAW: u8 = 255;

impl Rollup {
    /// Adds its bytes; `start` is that of its minute or hour, µs.
    pub(crate) fn encode(&self, start: i64, out: &mut Vec<u8>) {
        match self.all_good() {
            Some(good) => good.encode(start, out),
            None => self.encode_whole(start, out),
        }
    }

    /// Becomes what [`Rollup::encode`] wrote; `None` when it is something else, and half of it is read then. In place,
    /// because a roll-up takes 400 bytes in memory, which to move takes as long as to decode.
    pub(crate) fn decode(&mut self, start: i64, rest: &mut &[u8]) -> Option<()> {
        let flags = take(rest).ok()?;
        if flags & flag::ALL_GOOD != 0 {
            self.decode_good(start, flags, rest)
        } else {
            *self = Self::decode_whole(start, rest)?;
            Some(())
        }
    }

    /// The short form, if nothing is lost by it.
    fn all_good(&self) -> Option<Good<'_>> {
        let (first, last) = (self.first.as_ref()?, self.last.as_ref()?);
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
        plain.then_some(Good { rollup: self, first, last, smallest, largest, worst })
    }

    fn decode_good(&mut self, start: i64, flags: u64, rest: &mut &[u8]) -> Option<()> {
        let unit = if flags & flag::MS != 0 { 1000 } else { 1 };
        let time = |rest: &mut &[u8]| Some(start.wrapping_add(unzigzag(take(rest).ok()?).wrapping_mul(unit)));
        let count = take(rest).ok()?;
        let plain = flags & flag::PLAIN_STATUS != 0;
        let status = |rest: &mut &[u8]| -> Option<StatusCode> {
            if plain { Some(StatusCode(0)) } else { Some(StatusCode(u32::try_from(take(rest).ok()?).ok()?)) }
        };
        let mut values = Values::decoder(flags, rest)?;
        let mut point = |rest: &mut &[u8]| {
            Some(Point { ts: time(rest)?, value: values.take(rest)?, status: status(rest)?, class: Class::Good })
        };
        let first = point(rest)?;
        let last = point(rest)?;
        let but_one = if flags & flag::BUT_ONE != 0 { Some(point(rest)?) } else { None };
        let mut extreme = |rest: &mut &[u8], again| {
            Some(Extreme { value: values.take(rest)?, ts: time(rest)?, again: flags & again != 0 })
        };
        let smallest = extreme(rest, flag::SMALLEST_AGAIN)?;
        let largest = extreme(rest, flag::LARGEST_AGAIN)?;
        let worst = Worst { class: Class::Good, status: status(rest)?, again: flags & flag::WORST_AGAIN != 0 };
        let sum = take_f64(rest)?;
        let squares = take_f64(rest)?;
        let (transitions, zero_time) = (take(rest).ok()?, take(rest).ok()?);
        let (ramp, flat) = (take_f64(rest)?, take_f64(rest)?);
        self.shares = Shares { good: count, ..Shares::default() };
        self.sum = Sum::of(sum);
        self.moments = Moments { count, mean: sum / count_f64(count), squares };
        (self.smallest, self.largest) = (Some(smallest), Some(largest));
        (self.transitions, self.zero_time) = (transitions, zero_time);
        (self.first, self.last, self.good_before_last) = (Some(first), Some(last), but_one);
        (self.first_good, self.last_good) = (Some(first), Some(last));
        self.worst = Some(worst);
        self.good_to_good = last.ts.wrapping_sub(first.ts).cast_unsigned();
        (self.ramp, self.flat) = (Sum::of(ramp), Sum::of(flat));
        // What a stretch of nothing but good points has not.
        (self.uncertain, self.other_after_good, self.bridged) = (None, None, false);
        (self.good_to_other, self.from_other) = (0, 0);
        (self.flat_to_other, self.bridges) = (Sum::default(), Sum::default());
        Some(())
    }

    fn encode_whole(&self, start: i64, out: &mut Vec<u8>) {
        put(out, 0);
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

/// A roll-up of nothing but good points.
struct Good<'a> {
    rollup: &'a Rollup,
    first: &'a Point,
    last: &'a Point,
    smallest: Extreme,
    largest: Extreme,
    worst: Worst,
}

impl Good<'_> {
    fn encode(&self, start: i64, out: &mut Vec<u8>) {
        let but_one = self.rollup.good_before_last;
        let points = [Some(*self.first), Some(*self.last), but_one];
        let times = points.iter().flatten().map(|point| point.ts).chain([self.smallest.ts, self.largest.ts]);
        let ms = times.clone().all(|ts| ts.wrapping_sub(start) % 1000 == 0);
        let plain = points.iter().flatten().all(|point| point.status.0 == 0) && self.worst.status.0 == 0;
        let numbers = points.iter().flatten().map(|point| point.value).chain([self.smallest.value, self.largest.value]);
        let digits = common_digits(numbers);
        let mut flags = flag::ALL_GOOD;
        for (set, bit) in [
            (ms, flag::MS),
            (self.smallest.again, flag::SMALLEST_AGAIN),
            (self.largest.again, flag::LARGEST_AGAIN),
            (self.worst.again, flag::WORST_AGAIN),
            (plain, flag::PLAIN_STATUS),
            (but_one.is_some(), flag::BUT_ONE),
            (digits.is_some(), flag::DECIMAL),
        ] {
            flags |= if set { bit } else { 0 };
        }
        let unit = if ms { 1000 } else { 1 };
        let time = |out: &mut Vec<u8>, ts: i64| put(out, zigzag(ts.wrapping_sub(start) / unit));
        let status = |out: &mut Vec<u8>, status: StatusCode| {
            if !plain {
                put(out, u64::from(status.0));
            }
        };
        put(out, flags);
        put(out, self.rollup.shares.good);
        let mut values = Values { digits, first: None };
        out.extend(digits);
        for point in points.iter().flatten() {
            time(out, point.ts);
            values.put(out, point.value);
            status(out, point.status);
        }
        for extreme in [self.smallest, self.largest] {
            values.put(out, extreme.value);
            time(out, extreme.ts);
        }
        status(out, self.worst.status);
        put_f64(out, self.rollup.sum.value());
        put_f64(out, self.rollup.moments.squares);
        put(out, self.rollup.transitions);
        put(out, self.rollup.zero_time);
        put_f64(out, self.rollup.ramp.value());
        put_f64(out, self.rollup.flat.value());
    }
}

/// Values of points that resemble each other.
struct Values {
    /// How many decimals all have.
    digits: Option<u8>,
    /// The first, as a whole number.
    first: Option<i64>,
}

impl Values {
    fn decoder(flags: u64, rest: &mut &[u8]) -> Option<Self> {
        let digits = if flags & flag::DECIMAL == 0 {
            None
        } else {
            let (digits, after) = rest.split_first()?;
            *rest = after;
            Some(*digits)
        };
        Some(Self { digits, first: None })
    }

    fn put(&mut self, out: &mut Vec<u8>, value: f64) {
        match self.digits.and_then(|digits| whole(value, digits)) {
            Some(whole) => {
                put(out, zigzag(whole.wrapping_sub(self.first.unwrap_or(0))));
                self.first.get_or_insert(whole);
            }
            None => put_f64(out, value),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "below 2^53, and otherwise refused by the checksum of the file")]
    fn take(&mut self, rest: &mut &[u8]) -> Option<f64> {
        let Some(digits) = self.digits else { return take_f64(rest) };
        let whole = unzigzag(take(rest).ok()?).wrapping_add(self.first.unwrap_or(0));
        self.first.get_or_insert(whole);
        (digits <= DIGITS).then(|| whole as f64 / power(digits))
    }
}

/// The fewest decimals with which all these numbers are whole, to the last bit.
fn common_digits(numbers: impl Iterator<Item = f64> + Clone) -> Option<u8> {
    (0..=DIGITS).find(|digits| numbers.clone().all(|number| whole(number, *digits).is_some()))
}

fn whole(value: f64, digits: u8) -> Option<i64> {
    scale(value, power(digits))
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
    if let Some((digits, whole)) = (0..=DIGITS).find_map(|digits| Some((digits, whole(value, digits)?))) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rollup(points: &[(i64, f64, u32)]) -> Rollup {
        let mut rollup = Rollup::default();
        let ts: Vec<i64> = points.iter().map(|point| point.0).collect();
        let values: Vec<f64> = points.iter().map(|point| point.1).collect();
        let status: Vec<u32> = points.iter().map(|point| point.2).collect();
        rollup.push_columns(&ts, &values, &status).expect("in order");
        rollup
    }

    /// Equal but for what rounding sums to one double changes.
    fn alike(ours: &Rollup, theirs: &Rollup) -> bool {
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-12 * a.abs().max(b.abs()) || a.to_bits() == b.to_bits();
        let rounded = |of: &Rollup| Rollup {
            sum: Sum::default(),
            ramp: Sum::default(),
            flat: Sum::default(),
            flat_to_other: Sum::default(),
            bridges: Sum::default(),
            moments: Moments { mean: 0.0, ..of.moments },
            ..*of
        };
        let sums = |of: &Rollup| {
            [
                of.sum.value(),
                of.ramp.value(),
                of.flat.value(),
                of.flat_to_other.value(),
                of.bridges.value(),
                of.moments.mean,
            ]
        };
        format!("{:?}", rounded(ours)) == format!("{:?}", rounded(theirs))
            && sums(ours).into_iter().zip(sums(theirs)).all(|(a, b)| close(a, b))
    }

    #[test]
    fn a_good_minute_takes_few_bytes() {
        let points: Vec<_> = (0..60).map(|n| (n * 1_000_000, f64::from(2_000 + n as i32 % 7) / 100.0, 0)).collect();
        let mut bytes = Vec::new();
        rollup(&points).encode(0, &mut bytes);
        assert!(bytes.len() <= 55, "{}", bytes.len());
    }

    proptest! {
        #[test]
        fn comes_back_as_written(
            steps in proptest::collection::vec((1..5_000_000i64, prop_oneof![(-10_000..10_000i32).prop_map(|n| f64::from(n) / 100.0), -1e9..1e9f64, Just(f64::NAN), Just(0.0)],
                prop_oneof![6 => Just(0_u32), 1 => Just(0x4090_0000), 1 => Just(0x8031_0000), 1 => Just(0x0096_0000)]), 1..60),
            start in any::<i32>(),
        ) {
            let mut ts = i64::from(start) * 1000;
            let points: Vec<_> = steps.into_iter().map(|(step, value, status)| { ts += step; (ts, value, status) }).collect();
            let original = rollup(&points);
            let mut bytes = Vec::new();
            original.encode(i64::from(start) * 1000, &mut bytes);
            let mut rest = bytes.as_slice();
            // Into one that is in use: nothing of it may stay.
            let mut back = rollup(&[(1, f64::NAN, 0x8031_0000), (2, 3.0, 0), (3, 7.0, 0x4090_0000), (4, 1.0, 0)]);
            back.decode(i64::from(start) * 1000, &mut rest).expect("as written");
            prop_assert!(rest.is_empty());
            prop_assert!(alike(&original, &back), "{original:?}\n{back:?}");
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Rollup::default().decode(0, &mut bytes.as_slice());
        }
    }
}
