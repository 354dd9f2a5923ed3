//! How often something comes: a decayed average that is right for a hundred a second and for one a day.
//!
//! **Idea.** Two sums, of intervals and of their number, fade together; their quotient is the rate. They fade by time ([`MEMORY_S`]),
//! but never by more than [`LEAST`] for one interval: what comes once an hour is judged by its last intervals, not by a minute in which
//! nothing came.

use std::time::Duration;

/// Within this many seconds a rate follows a change, where enough comes.
const MEMORY_S: f64 = 60.0;
/// What is left of the past after one interval, at least: about eight intervals are remembered.
const LEAST: f64 = 0.875;
/// Intervals that must be known before anything is called overdue.
const KNOWN: f64 = 3.5;
/// Nothing is overdue sooner.
const OVERDUE_AT_LEAST_S: f64 = 5.0;

/// A decayed average. Its memory: five numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Rate {
    /// Intervals, faded.
    intervals: f64,
    /// Their lengths in seconds, faded.
    seconds: f64,
    /// How far each was from the mean of its time, in seconds, faded.
    apart: f64,
    /// Bytes that came at their ends, faded.
    bytes: f64,
}

impl Rate {
    /// One more came, `seconds` after the one before.
    pub(super) fn add(&mut self, seconds: f64, bytes: usize) {
        let apart = if self.intervals > 0.0 { (seconds - self.seconds / self.intervals).abs() } else { 0.0 };
        let left = if seconds > MEMORY_S * 0.2 { LEAST } else { (-seconds / MEMORY_S).exp().max(LEAST) };
        self.intervals = self.intervals * left + 1.0;
        self.seconds = self.seconds * left + seconds;
        self.apart = self.apart * left + apart;
        #[expect(clippy::cast_precision_loss, reason = "a payload has far fewer than 2^52 bytes")]
        let bytes = bytes as f64;
        self.bytes = self.bytes * left + bytes;
    }

    /// The mean interval in seconds; `None` before the second message.
    fn mean_s(&self) -> Option<f64> {
        (self.intervals > 0.0).then(|| self.seconds / self.intervals)
    }

    /// The usual interval; `None` before the second message.
    pub(super) fn usual(&self) -> Option<Duration> {
        self.mean_s().and_then(|mean| Duration::try_from_secs_f64(mean).ok())
    }

    /// Messages and bytes per second, when the last one came `silent_s` seconds ago. `None` before the second message, and while all
    /// came in the same instant.
    pub(super) fn per_second(&self, silent_s: f64) -> Option<(f64, f64)> {
        let mean = self.mean_s()?;
        // Silence counts once it is longer than usual; until then the next one is just not due yet.
        let late = (silent_s - mean).max(0.0);
        let left = if late > 0.0 { (-late / MEMORY_S).exp().max(LEAST.powf(late / mean.max(1e-6))) } else { 1.0 };
        let seconds = self.seconds * left + late;
        (seconds > 0.0).then(|| (self.intervals * left / seconds, self.bytes * left / seconds))
    }

    /// Whether what has been silent for `silent_s` seconds should have come by now: three usual intervals, and four times what they
    /// usually differ by, are over.
    pub(super) fn is_overdue(&self, silent_s: f64) -> bool {
        self.intervals >= KNOWN
            && self
                .mean_s()
                .is_some_and(|mean| silent_s > OVERDUE_AT_LEAST_S.max(3.0 * mean + 4.0 * self.apart / self.intervals))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every(seconds: f64, count: usize) -> Rate {
        let mut rate = Rate::default();
        (0..count).for_each(|_| rate.add(seconds, 10));
        rate
    }

    fn near(found: f64, wanted: f64) {
        assert!((found / wanted - 1.0).abs() < 0.01, "{found}, not {wanted}");
    }

    #[test]
    fn a_steady_rate_is_told_exactly_however_long_the_interval() {
        for seconds in [0.000_1, 0.01, 1.0, 60.0, 3_600.0, 86_400.0] {
            let rate = every(seconds, 5_000);
            let (messages, bytes) = rate.per_second(0.0).unwrap();
            near(messages, 1.0 / seconds);
            near(bytes, 10.0 / seconds);
            near(rate.usual().unwrap().as_secs_f64(), seconds);
            // Between two messages nothing changes.
            near(rate.per_second(seconds * 0.99).unwrap().0, 1.0 / seconds);
        }
    }

    #[test]
    fn two_messages_an_hour_apart_are_no_two_in_a_minute() {
        near(every(3_600.0, 1).per_second(5.0).unwrap().0, 1.0 / 3_600.0);
    }

    #[test]
    fn before_the_second_message_nothing_is_known() {
        assert_eq!((Rate::default().per_second(1.0), Rate::default().usual()), (None, None));
        assert_eq!(every(0.0, 3).per_second(0.0), None, "all in one instant");
    }

    #[test]
    fn a_burst_of_ten_a_second_is_followed_within_the_memory() {
        let mut rate = every(1.0, 1_000);
        (0..1_200).for_each(|_| rate.add(0.1, 10));
        let (messages, _) = rate.per_second(0.0).unwrap();
        assert!((8.0..10.1).contains(&messages), "{messages}");
    }

    #[test]
    fn silence_lets_the_rate_fall_towards_nothing() {
        for seconds in [0.1, 10.0, 3_600.0] {
            let rate = every(seconds, 2_000);
            let then = |silent: f64| rate.per_second(silent).unwrap().0 * seconds;
            let much_later = 600.0_f64.max(100.0 * seconds);
            assert!(then(much_later / 10.0) < 0.6 && then(much_later) < 0.02, "{seconds}: {}", then(much_later));
        }
    }

    #[test]
    fn a_steady_topic_is_overdue_after_three_intervals_and_one_that_comes_by_chance_is_not() {
        let steady = every(10.0, 20);
        assert!(!steady.is_overdue(29.0) && steady.is_overdue(31.0));
        let mut chance = Rate::default();
        for seconds in [1.0, 40.0, 3.0, 90.0, 2.0, 25.0, 70.0, 1.0, 33.0] {
            chance.add(seconds, 1);
        }
        assert!(!chance.is_overdue(120.0) && chance.is_overdue(3_000.0));
    }

    #[test]
    fn what_came_a_few_times_only_is_never_overdue() {
        assert!(!every(1.0, 3).is_overdue(86_400.0));
        assert!(!every(0.01, 1_000).is_overdue(4.9), "a short pause of what comes often");
    }
}
