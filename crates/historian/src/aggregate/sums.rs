//! The loops over blocks of good points, and the sums they feed.
//!
//! The budget is 10 ns a point (100 million points a second on one core), all passes together. So a block is at most
//! [`BLOCK`] points, which stay in the fastest cache over the passes, and each loop keeps [`LANES`] independent results
//! that the compiler lays side by side; a floating-point sum in one chain would be bound by the latency of an addition.
//! Across blocks sums are compensated (Neumaier), so that the error does not grow with the number of points.

/// Points looked at in one go.
const BLOCK: usize = 1024;

/// A block with a flaw is looked at again in pieces of this size, so that one bad point slows down only its neighbours.
const PIECE: usize = 64;

/// Independent results per loop.
const LANES: usize = 8;

/// A compensated sum.
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub(super) struct Sum {
    total: f64,
    lost: f64,
}

impl Sum {
    /// Of which only the rounded value is known.
    pub(super) const fn of(value: f64) -> Self {
        Self { total: value, lost: 0.0 }
    }

    pub(super) fn add(&mut self, term: f64) {
        let total = self.total + term;
        self.lost +=
            if self.total.abs() >= term.abs() { (self.total - total) + term } else { (term - total) + self.total };
        self.total = total;
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.add(other.total);
        self.lost += other.lost;
    }

    pub(super) fn value(&self) -> f64 {
        if self.lost.is_finite() { self.total + self.lost } else { self.total }
    }
}

/// Mean and sum of squared deviations, merged without cancellation (Chan, Golub, LeVeque 1979).
#[derive(Clone, Copy, Default, Debug, PartialEq)]
pub(super) struct Moments {
    pub count: u64,
    pub mean: f64,
    pub squares: f64,
}

impl Moments {
    pub(super) fn add(&mut self, value: f64) {
        self.merge(&Self { count: 1, mean: value, squares: 0.0 });
    }

    pub(super) fn add_all(&mut self, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        let mean = sum(values) / count_f64(values.len() as u64);
        // The second term is what rounding of the mean has left; it is nearly zero.
        let (squares, rest) = deviations(values, mean);
        let count = values.len() as u64;
        self.merge(&Self { count, mean, squares: (squares - rest * rest / count_f64(count)).max(0.0) });
    }

    pub(super) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        let count = self.count.saturating_add(other.count);
        let (ours, theirs, all) = (count_f64(self.count), count_f64(other.count), count_f64(count));
        let apart = other.mean - self.mean;
        self.mean += apart * (theirs / all);
        self.squares += other.squares + apart * apart * (ours * (theirs / all));
        self.count = count;
    }
}

/// A count as a double.
#[expect(clippy::cast_precision_loss, reason = "counts and microseconds above 2^53 lose their last digits")]
pub(super) const fn count_f64(count: u64) -> f64 {
    count as f64
}

/// Cuts columns of one length into stretches of good points and others. Tells each stretch which it is.
pub(super) fn for_each_stretch(
    times: &[i64],
    values: &[f64],
    status: &[u32],
    mut found: impl FnMut(bool, &[i64], &[f64], &[u32]),
) {
    let columns = times.chunks(BLOCK).zip(values.chunks(BLOCK)).zip(status.chunks(BLOCK));
    for ((times, values), status) in columns {
        if all_good(values, status) {
            found(true, times, values, status);
            continue;
        }
        let pieces = times.chunks(PIECE).zip(values.chunks(PIECE)).zip(status.chunks(PIECE));
        for ((times, values), status) in pieces {
            found(all_good(values, status), times, values, status);
        }
    }
}

/// Whether every point is good and has a finite value.
fn all_good(values: &[f64], status: &[u32]) -> bool {
    let severities = status.iter().fold(0, |all, one| all | one);
    severities >> 30 == 0 && all_finite(values)
}

fn all_finite(values: &[f64]) -> bool {
    // x · 0 is 0 for a finite x and NaN otherwise.
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value * 0.0;
        }
    }
    lanes.iter().sum::<f64>() == 0.0 && rest.iter().all(|value| value.is_finite())
}

/// Whether `times` ascend strictly and lie in `[from, last]`.
pub(super) fn ascending_within(times: &[i64], from: i64, last: i64) -> bool {
    if last.wrapping_sub(from) < 0 {
        // The range is longer than half of all time, where differences of signed times may wrap.
        return times.iter().all(|ts| (from..=last).contains(ts)) && times.is_sorted_by(|a, b| a < b);
    }
    // A sign bit in any of these differences tells of a point outside or not after its neighbour. A difference that wraps
    // hides its sign only for a point so far outside that the other one shows it.
    let outside = times.iter().fold(0, |all, ts| all | ts.wrapping_sub(from) | last.wrapping_sub(*ts));
    let steps = times.iter().zip(times.iter().skip(1));
    let backwards = steps.fold(0, |all, (a, b)| all | b.wrapping_sub(*a).wrapping_sub(1));
    outside >= 0 && backwards >= 0
}

pub(super) fn sum(values: &[f64]) -> f64 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane += value;
        }
    }
    lanes.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// Sum of (x - mean)² and of (x - mean).
fn deviations(values: &[f64], mean: f64) -> (f64, f64) {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let (mut squares, mut plain) = ([0.0; LANES], [0.0; LANES]);
    for block in blocks {
        for ((square, sum), value) in squares.iter_mut().zip(&mut plain).zip(block) {
            let apart = value - mean;
            *square += apart * apart;
            *sum += apart;
        }
    }
    rest.iter().map(|value| value - mean).fold((squares.iter().sum(), plain.iter().sum()), |(squares, plain), apart| {
        (squares + apart * apart, plain + apart)
    })
}

/// The smallest value; infinity when there is none.
pub(super) fn smallest(values: &[f64]) -> f64 {
    reduce(values, f64::INFINITY, |best, value| if value < best { value } else { best })
}

/// The largest value; minus infinity when there is none.
pub(super) fn largest(values: &[f64]) -> f64 {
    reduce(values, f64::NEG_INFINITY, |best, value| if value > best { value } else { best })
}

#[inline(always)]
fn reduce(values: &[f64], start: f64, better: impl Fn(f64, f64) -> f64) -> f64 {
    let (blocks, rest) = values.as_chunks::<LANES>();
    let mut lanes = [start; LANES];
    for block in blocks {
        for (lane, value) in lanes.iter_mut().zip(block) {
            *lane = better(*lane, *value);
        }
    }
    lanes.iter().chain(rest).fold(start, |best, value| better(best, *value))
}

/// How many of the values differ from the one before them.
pub(super) fn changes(values: &[f64]) -> u64 {
    let pairs = values.iter().zip(values.iter().skip(1));
    pairs.map(|(before, after)| u64::from(before != after)).sum()
}

/// Area under straight lines between neighbouring points, value × µs.
pub(super) fn ramp_area(times: &[i64], values: &[f64]) -> f64 {
    area(times, values, |before, after| before * 0.5 + after * 0.5)
}

/// Area under values that hold until the next point, value × µs.
pub(super) fn step_area(times: &[i64], values: &[f64]) -> f64 {
    area(times, values, |before, _| before)
}

/// Microseconds for which the value 0 holds until the next point.
pub(super) fn zero_time(times: &[i64], values: &[f64]) -> u64 {
    let steps = times.iter().zip(times.iter().skip(1)).zip(values);
    steps.map(|((a, b), value)| if *value == 0.0 { b.wrapping_sub(*a).cast_unsigned() } else { 0 }).sum()
}

#[inline(always)]
fn area(times: &[i64], values: &[f64], height: impl Fn(f64, f64) -> f64) -> f64 {
    let (Some(first), Some(last)) = (times.first(), times.last()) else { return 0.0 };
    // All of one length, so that no bound is checked in the loop.
    let steps = times.len().min(values.len()).saturating_sub(1);
    let (Some(starts), Some(ends)) = (times.get(..steps), times.get(1..=steps)) else { return 0.0 };
    let (Some(befores), Some(afters)) = (values.get(..steps), values.get(1..=steps)) else { return 0.0 };
    if last.wrapping_sub(*first).cast_unsigned() >= 1 << 52 {
        let pairs = starts.iter().zip(ends).zip(befores.iter().zip(afters));
        return pairs
            .map(|((a, b), (before, after))| height(*before, *after) * count_f64(b.wrapping_sub(*a).cast_unsigned()))
            .sum();
    }
    let (start_blocks, starts) = starts.as_chunks::<LANES>();
    let (end_blocks, ends) = ends.as_chunks::<LANES>();
    let (before_blocks, befores) = befores.as_chunks::<LANES>();
    let (after_blocks, afters) = afters.as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    let blocks = start_blocks.iter().zip(end_blocks).zip(before_blocks.iter().zip(after_blocks));
    for ((start, end), (before, after)) in blocks {
        for lane in 0..LANES {
            lanes[lane] += height(before[lane], after[lane]) * short_f64(end[lane].wrapping_sub(start[lane]));
        }
    }
    let pairs = starts.iter().zip(ends).zip(befores.iter().zip(afters));
    let rest: f64 =
        pairs.map(|((a, b), (before, after))| height(*before, *after) * short_f64(b.wrapping_sub(*a))).sum();
    lanes.iter().sum::<f64>() + rest
}

/// A whole number from 0 to below 2^52 as a double, exactly. Made of its bits, for processors without such an instruction on
/// vectors.
fn short_f64(number: i64) -> f64 {
    const TWO_TO_52: f64 = 4_503_599_627_370_496.0;
    f64::from_bits(TWO_TO_52.to_bits() | number.cast_unsigned()) - TWO_TO_52
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_keeps_what_a_plain_one_loses() {
        let mut sum = Sum::default();
        [1.0, 1e100, 1.0, -1e100].into_iter().for_each(|term| sum.add(term));
        assert_eq!(sum.value(), 2.0);
    }

    #[test]
    fn a_variance_far_from_zero_keeps_its_digits() {
        // Welford's own trap: a small spread on a large offset, where sum of squares minus square of sum is all noise.
        let values: Vec<f64> = (0..10_000).map(|n| 1e9 + f64::from(n % 2)).collect();
        let mut moments = Moments::default();
        values.chunks(BLOCK).for_each(|block| moments.add_all(block));
        assert!((moments.squares / count_f64(moments.count) - 0.25).abs() < 1e-9, "{moments:?}");
    }

    #[test]
    fn every_length_of_a_block_is_added_once() {
        for length in 0..40_usize {
            let values: Vec<f64> = (0..length).map(|n| count_f64(n as u64) - 7.0).collect();
            let times: Vec<i64> = (0..length as i64).map(|n| n * n).collect();
            let pairs = || times.windows(2).zip(values.windows(2)).map(|(t, v)| ((t[1] - t[0]) as f64, v[0], v[1]));
            assert_eq!(sum(&values), values.iter().sum::<f64>());
            assert_eq!(smallest(&values), values.iter().copied().fold(f64::INFINITY, f64::min));
            assert_eq!(largest(&values), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
            assert_eq!(step_area(&times, &values), pairs().map(|(dt, a, _)| dt * a).sum::<f64>());
            assert_eq!(ramp_area(&times, &values), pairs().map(|(dt, a, b)| dt * (a + b) / 2.0).sum::<f64>());
            let zeros: f64 = pairs().filter(|(_, a, _)| *a == 0.0).map(|(dt, ..)| dt).sum();
            assert_eq!(zero_time(&times, &values), zeros as u64);
        }
    }

    #[test]
    fn a_value_or_a_status_out_of_line_is_seen_wherever_it_stands() {
        for at in 0..20 {
            let mut values = vec![1.0; 20];
            let mut status = vec![0x0096_0000; 20];
            assert!(all_good(&values, &status));
            values[at] = if at % 2 == 0 { f64::NAN } else { f64::NEG_INFINITY };
            assert!(!all_good(&values, &status));
            values[at] = 1.0;
            status[at] = if at % 2 == 0 { 0x4000_0000 } else { 0x8000_0000 };
            assert!(!all_good(&values, &status));
        }
    }

    #[test]
    fn the_order_of_times_is_checked_to_the_ends_of_time() {
        let (min, max) = (i64::MIN, i64::MAX);
        assert!(ascending_within(&[], 0, 9));
        assert!(ascending_within(&[0, 1, 9], 0, 9));
        assert!(ascending_within(&[min, -1, 0, max], min, max));
        for (times, from, last) in [
            (&[0, 0][..], 0, 9),
            (&[1, 0], 0, 9),
            (&[-1, 0], 0, 9),
            (&[0, 10], 0, 9),
            (&[min, 5], 0, 9),
            (&[5, max], 0, 9),
            (&[max, min], min, max),
            (&[max, min], 0, 9),
            (&[min], max - 1, max),
            (&[max], min, min + 1),
        ] {
            assert!(!ascending_within(times, from, last), "{times:?} in {from}..={last}");
        }
    }
}
