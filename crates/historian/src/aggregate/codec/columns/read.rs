//! Reading the roll-ups of a chunk, one after the other.

use super::super::super::raw::{Extreme, Worst};
use super::super::super::rollup::Rollup;
use super::super::super::status::{Class, Point};
use super::super::Short;
use super::{
    Before, CHUNK_ROLLUPS, COLUMNS, Column, Decimal, UNPACKED_MAX, ends, even_areas, f64_of, flag, mean_step, unit_of,
};
use crate::decimal::{MOST_DIGITS, power};
use andon_model::StatusCode;
use andon_model::varint::{take, unzigzag};

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
