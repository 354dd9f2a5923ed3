//! The short form of formats 1 and 2, which are read and no longer written: the fields of one roll-up after the other.
//!
//! ```text
//! flags     varint, see `flag`
//! count     varint
//! times     zigzag varints from the start of the minute or hour, in ms if all are whole ms, else in µs
//! values    of points, if all are such decimals: 1 byte e, then zigzag varints, the first one itself and then differences
//!           from it; otherwise as numbers
//! ```

use super::super::raw::{Extreme, Worst};
use super::super::rollup::Rollup;
use super::super::status::{Class, Point};
use super::{DIGITS, Short, take_f64};
use crate::decimal::power;
use andon_model::StatusCode;
use andon_model::varint::{take, unzigzag};

pub(super) mod flag {
    /// Only good points; the fields that say so are left out.
    pub(in super::super) const ALL_GOOD: u64 = 1;
    /// Every time is a whole millisecond after the start.
    pub(in super::super) const MS: u64 = 2;
    pub(in super::super) const SMALLEST_AGAIN: u64 = 4;
    pub(in super::super) const LARGEST_AGAIN: u64 = 8;
    pub(in super::super) const WORST_AGAIN: u64 = 16;
    /// First, last and worst have status 0.
    pub(in super::super) const PLAIN_STATUS: u64 = 32;
    pub(in super::super) const BUT_ONE: u64 = 64;
    /// The values of points are decimals of the same length.
    pub(in super::super) const DECIMAL: u64 = 128;
}

impl Rollup {
    /// Becomes what formats 1 and 2 kept of it; `None` when the bytes are something else, and half of them is read then.
    pub(crate) fn decode_row(&mut self, start: i64, rest: &mut &[u8]) -> Option<()> {
        let flags = take(rest).ok()?;
        if flags & flag::ALL_GOOD != 0 {
            self.decode_good(start, flags, rest)
        } else {
            *self = Self::decode_whole(start, rest)?;
            Some(())
        }
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
        self.set_short(&Short {
            count,
            first,
            last,
            but_one,
            smallest,
            largest,
            worst,
            sum,
            squares,
            transitions,
            zero_time,
            ramp,
            flat,
        });
        Some(())
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

    #[expect(clippy::cast_precision_loss, reason = "below 2^53, and otherwise refused by the checksum of the file")]
    fn take(&mut self, rest: &mut &[u8]) -> Option<f64> {
        let Some(digits) = self.digits else { return take_f64(rest) };
        let whole = unzigzag(take(rest).ok()?).wrapping_add(self.first.unwrap_or(0));
        self.first.get_or_insert(whole);
        (digits <= DIGITS).then(|| whole as f64 / power(digits))
    }
}
