//! A clock that stands still until it is turned.

use crate::lock;
use andon_model::{Clock, Timestamp};
use std::sync::Mutex;
use std::time::Duration;

/// A hand-turned clock: the wall clock may be set to anything, the monotonic one only goes on.
#[derive(Debug)]
pub struct HandClock(Mutex<(Timestamp, Duration)>);

impl HandClock {
    /// Shows `now` until turned.
    #[must_use]
    pub const fn new(now: Timestamp) -> Self {
        Self(Mutex::new((now, Duration::ZERO)))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut hands = lock(&self.0);
        *hands = (hands.0.plus(by), hands.1.saturating_add(by));
    }

    /// Sets the wall clock, forwards or back; the monotonic one does not notice.
    pub fn set(&self, now: Timestamp) {
        lock(&self.0).0 = now;
    }
}

impl Clock for HandClock {
    fn now(&self) -> Timestamp {
        lock(&self.0).0
    }

    fn monotonic(&self) -> Duration {
        lock(&self.0).1
    }
}
