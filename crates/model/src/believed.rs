//! A clock as far as it can be believed by whoever deletes by it.
//!
//! What gets its time from a clock is old as soon as that clock jumps ahead. What is deleted by it then is gone, while everything else
//! that a wrong clock does can be put right. So a time far ahead of the last one counts only once the clock has stood by it.

use std::time::Duration;

/// The last time that counted, in whatever unit and from whatever beginning its owner counts, such as days since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Believed {
    at: Option<i64>,
    far: i64,
    /// Since when, by the monotonic clock, the clock has been far ahead of that.
    ahead_since: Option<Duration>,
}

/// What counts now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// The time.
    pub at: i64,
    /// The clock has just come to be far ahead of it: that is worth a word.
    pub doubted: bool,
}

impl Believed {
    /// As it was saved, or as the data has it; `None`: the first time is believed. More than `far` ahead is not believed at once.
    #[must_use]
    pub const fn new(at: Option<i64>, far: i64) -> Self {
        Self { at, far, ahead_since: None }
    }

    /// The last time that counted, to be saved.
    #[must_use]
    pub const fn at(&self) -> Option<i64> {
        self.at
    }

    /// What counts when the clock says `now`: that, unless it is far ahead of the last and has been so for less than `believe_after` by
    /// the monotonic clock. A clock that goes back is believed: it deletes less.
    pub fn count(&mut self, now: i64, monotonic: Duration, believe_after: Duration) -> Counted {
        let known = match self.at {
            Some(known) if now > known.saturating_add(self.far) => known,
            _ => return self.believe(now),
        };
        let doubted = self.ahead_since.is_none();
        let since = *self.ahead_since.get_or_insert(monotonic);
        if monotonic.saturating_sub(since) >= believe_after {
            return self.believe(now);
        }
        Counted { at: known, doubted }
    }

    fn believe(&mut self, now: i64) -> Counted {
        (self.at, self.ahead_since) = (Some(now), None);
        Counted { at: now, doubted: false }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_time_far_ahead_counts_once_the_clock_has_stood_by_it() {
        let mut believed = Believed::new(None, 2);
        let mut at = |now, hours| believed.count(now, HOUR * hours, HOUR * 24);
        let counted = |at| Counted { at, doubted: false };
        assert_eq!(at(100, 0), counted(100), "the first is believed");
        assert_eq!(at(102, 48), counted(102), "days pass");
        assert_eq!(at(5_102, 49), Counted { at: 102, doubted: true }, "a jump");
        assert_eq!(at(5_103, 72), counted(102), "told once");
        assert_eq!(at(103, 73), counted(103), "put right");
        assert_eq!(at(5_103, 74), Counted { at: 103, doubted: true }, "it begins anew");
        assert_eq!(at(5_104, 97), counted(103));
        assert_eq!(at(5_104, 98), counted(5_104), "it was no jump, but a long silence");
        assert_eq!(at(90, 99), counted(90), "backwards deletes less");
        let mut at_once = Believed::new(Some(1), 2);
        assert_eq!(at_once.count(i64::MAX, HOUR, Duration::ZERO), counted(i64::MAX));
    }
}
