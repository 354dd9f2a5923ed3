//! Energy: what meters counted by quarter hours, what it cost, and when most was drawn.
//!
//! - [`meter`] turns readings into quarter hours,
//! - [`trail`] remembers the last readings, so that what lies between two moments is known better than by quarter hours,
//! - [`tree`] says which meters make the number of a node,
//! - [`tariff`] says what a kWh costs when,
//! - [`window`] adds quarter hours up over any window.
//!
//! # Invariants
//! - Energy is whole millionths of a kWh (mWh), so that sums are the same in whatever order they are made.
//! - **The quarter hours of a counter add up to its last reading less its first**, wherever reading was broken off and taken up again.
//! - A quarter hour that is over never changes: time only goes forward for a meter.
//! - A main meter and what it measures further down are never both counted.
//! - A cost is rounded for each meter and quarter hour, to a millionth; all other costs are sums of those.

pub mod meter;
pub mod tariff;
pub mod trail;
pub mod tree;
pub mod window;

#[cfg(test)]
mod tests;

/// A quarter hour, in µs.
pub const QUARTER_US: i64 = 900_000_000;

/// The number of the quarter hour (since 1970, UTC) in which an instant lies.
#[must_use]
pub const fn quarter_of(at_us: i64) -> i64 {
    at_us.div_euclid(QUARTER_US)
}

/// When a quarter hour begins, in µs since 1970.
#[must_use]
pub const fn begin_of(quarter: i64) -> i64 {
    quarter.saturating_mul(QUARTER_US)
}
