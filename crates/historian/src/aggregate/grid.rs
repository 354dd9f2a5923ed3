//! The intervals of a request: `[from, from + step)`, ..., the last one perhaps shorter (OPC 10000-13 v1.05 §5.4.2.2).
//!
//! All differences of times are unsigned, so that a range from the first to the last instant works.

use super::{Request, RequestError};

/// The most intervals one request may have.
pub const MAX_INTERVALS: u64 = 1_000_000;

/// Where the intervals lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub from: i64,
    pub to: i64,
    /// Microseconds, at least 1.
    step: u64,
    /// At least 1.
    pub count: u64,
}

/// One interval, `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub start: i64,
    pub end: i64,
    /// The last one, cut short by the end of the range.
    pub shorter: bool,
}

/// Microseconds from `a` to `b`, which is not earlier.
pub(super) const fn span(a: i64, b: i64) -> u64 {
    b.wrapping_sub(a).cast_unsigned()
}

impl Grid {
    pub(super) fn new(request: &Request) -> Result<Self, RequestError> {
        let (from, to) = (request.from.micros(), request.to.micros());
        if from == to {
            return Err(RequestError::Empty(request.from));
        }
        if from > to {
            return Err(RequestError::Backwards { from: request.from, to: request.to });
        }
        let range = span(from, to);
        let step = match u64::try_from(request.interval_us) {
            Ok(0) => range,
            Ok(step) => step.min(range),
            Err(_) => return Err(RequestError::NegativeInterval(request.interval_us)),
        };
        let count = range.div_ceil(step);
        if count > MAX_INTERVALS {
            return Err(RequestError::TooManyIntervals { wanted: count });
        }
        Ok(Self { from, to, step, count })
    }

    /// The interval with this number, which is below `count`.
    pub(super) fn frame(&self, index: u64) -> Frame {
        let start = self.from.wrapping_add(index.wrapping_mul(self.step).cast_signed());
        let rest = span(start, self.to);
        let width = rest.min(self.step);
        Frame { start, end: start.wrapping_add(width.cast_signed()), shorter: rest < self.step }
    }

    /// The number of the interval that holds `ts`, which lies in the range.
    pub(super) fn index(&self, ts: i64) -> u64 {
        span(self.from, ts) / self.step
    }
}
