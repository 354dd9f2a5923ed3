//! What is still to be said because it failed, and when it is tried again.

use std::collections::BTreeSet;
use std::time::Duration;

/// What failed for the first time is tried again after this time.
pub const FIRST: Duration = Duration::from_secs(10);
/// The longest time between two tries.
pub const MOST: Duration = Duration::from_secs(160);

/// What failed, each thing once: only this is tried again, all of it together, and every time that fails doubles the wait. Bounded by how many things
/// there are to say.
#[derive(Debug)]
pub struct Owed<T> {
    what: BTreeSet<T>,
    wait: Duration,
    due: Duration,
}

impl<T> Default for Owed<T> {
    fn default() -> Self {
        Self { what: BTreeSet::new(), wait: Duration::ZERO, due: Duration::ZERO }
    }
}

impl<T: Ord + Copy> Owed<T> {
    /// Whether nothing is owed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.what.is_empty()
    }

    /// Whether this waits for its next try; what it says by then is said then.
    #[must_use]
    pub fn contains(&self, what: &T) -> bool {
        self.what.contains(what)
    }

    /// When the next try is due, by the monotonic clock; `None`: nothing is owed.
    #[must_use]
    pub fn due(&self) -> Option<Duration> {
        (!self.is_empty()).then_some(self.due)
    }

    /// All that is owed, in its order, once it is due; else nothing.
    #[must_use]
    pub fn now_due(&self, now: Duration) -> Vec<T> {
        let due = self.due().is_some_and(|due| due <= now);
        self.what.iter().filter(|_| due).copied().collect()
    }

    /// These were tried, and of them these failed.
    pub fn tried(&mut self, tried: &[T], failed: &[T], now: Duration) {
        let is_due = self.due().is_none_or(|due| due <= now);
        tried.iter().for_each(|one| {
            self.what.remove(one);
        });
        self.what.extend(failed);
        if self.what.is_empty() {
            self.wait = Duration::ZERO;
        } else if is_due {
            self.wait = (self.wait * 2).clamp(FIRST, MOST);
            self.due = now + self.wait;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_what_failed_is_tried_again_and_ever_less_often() {
        let mut owed = Owed::default();
        assert!(owed.is_empty() && owed.due().is_none());
        owed.tried(&[1, 2, 3], &[2], SECOND * 5);
        assert_eq!((owed.due(), owed.now_due(SECOND * 14)), (Some(SECOND * 15), Vec::new()));
        let mut now = SECOND * 15;
        for wait in [20, 40, 80, 160, 160, 160] {
            assert_eq!(owed.now_due(now), [2]);
            owed.tried(&[2], &[2], now);
            now += SECOND * wait;
            assert_eq!((owed.due(), owed.now_due(now - SECOND)), (Some(now), Vec::new()));
        }
        owed.tried(&owed.now_due(now), &[], now);
        assert!(owed.is_empty());
        owed.tried(&[7], &[7], now);
        assert_eq!(owed.due(), Some(now + FIRST), "it begins anew");
    }

    #[test]
    fn what_fails_meanwhile_waits_with_the_rest_and_what_succeeds_is_owed_no_more() {
        let mut owed = Owed::default();
        owed.tried(&[1, 2], &[2, 1], SECOND);
        owed.tried(&[3, 4], &[4], SECOND * 2);
        assert!(owed.contains(&4) && !owed.contains(&3) && owed.due() == Some(SECOND * 11));
        assert_eq!(owed.now_due(SECOND * 11), [1, 2, 4], "in their order");
        // Half of it goes.
        owed.tried(&[1, 2, 4], &[1], SECOND * 11);
        assert_eq!((owed.due(), owed.now_due(SECOND * 31)), (Some(SECOND * 31), vec![1]));
        // Said in between, by whatever reason.
        owed.tried(&[1, 2, 3, 4], &[], SECOND * 12);
        assert!(owed.is_empty());
    }
}
