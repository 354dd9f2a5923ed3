//! A clock whose hands a test turns.

use andon_model::{Clock, Timestamp};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Stands still until [`ManualClock::advance`] or [`ManualClock::set`].
#[derive(Debug)]
pub struct ManualClock {
    hands: Mutex<(Timestamp, Duration)>,
}

impl ManualClock {
    /// Shows `now`; its monotonic time is zero.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self { hands: Mutex::new((now, Duration::ZERO)) }
    }

    /// Turns both hands on by `span`.
    pub fn advance(&self, span: Duration) {
        let mut hands = self.hands();
        *hands = (hands.0.plus(span), hands.1.saturating_add(span));
    }

    /// Steps the wall clock alone, forwards or back, as a time server does.
    pub fn set(&self, now: Timestamp) {
        self.hands().0 = now;
    }

    fn hands(&self) -> MutexGuard<'_, (Timestamp, Duration)> {
        // The pair is written whole, so a panic elsewhere cannot have left it half changed.
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.hands().0
    }
    fn monotonic(&self) -> Duration {
        self.hands().1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_leaves_monotonic_time_alone() {
        let clock = ManualClock::new(Timestamp::from_millis(5_000));
        clock.advance(Duration::from_secs(2));
        clock.set(Timestamp::from_millis(1_000));
        assert_eq!((clock.now(), clock.monotonic()), (Timestamp::from_millis(1_000), Duration::from_secs(2)));
    }
}
