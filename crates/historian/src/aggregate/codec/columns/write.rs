//! Gathering and writing the columns of a chunk.

use super::super::super::rollup::Rollup;
use super::super::super::sums::count_f64;
use super::super::Short;
use super::{
    Before, COLUMNS, Column, Decimal, ROUNDING, WORTH_PACKING, ends, even_areas, exact, f64_of, flag, mean_step,
    stands_for, unit_of, whole_stands_for,
};
use crate::decimal::{MOST_DIGITS, power, scale};
use andon_model::varint::{put, zigzag};

/// Gathers the roll-ups of a chunk.
#[derive(Default)]
pub(crate) struct ColumnWriter {
    columns: [Gathered; COLUMNS],
    count: u64,
    before: Before,
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
        // By constants, which is no division.
        let whole_ms = times.clone().all(|ts| ts.wrapping_sub(start) % 1000 == 0);
        let whole_seconds = whole_ms && times.clone().all(|ts| ts.wrapping_sub(start) % 1_000_000 == 0);
        let plain = points.iter().flatten().all(|point| point.status.0 == 0) && short.worst.status.0 == 0;
        let mut flags = flag::ALL_GOOD;
        for (set, bit) in [
            (whole_ms, flag::MS),
            (whole_seconds, flag::SECONDS),
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

/// The first byte of all doubles, then the second of all, and so on.
fn by_place(doubles: &[u8]) -> Vec<u8> {
    (0..8).flat_map(|place| doubles.iter().skip(place).step_by(8).copied()).collect()
}
