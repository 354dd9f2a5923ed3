//! How fast points come, from a counter that is looked at now and then: nothing is done per point.

use std::collections::VecDeque;
use std::time::Duration;

/// How often the counter is noted.
const EVERY: Duration = Duration::from_secs(10);
/// How far back rates reach.
const HOUR: Duration = Duration::from_secs(3600);
/// A rate over less time than this would be noise.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Points taken into history per second; `None` before there is enough to tell. Those that are read again from the log
/// after a start count too.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Over the last 10 to 20 s.
    pub now: Option<f64>,
    /// Over the last minute, or since the start if that is less.
    pub minute: Option<f64>,
    /// Over the last hour, or since the start if that is less.
    pub hour: Option<f64>,
}

/// What the counter said at some times of the monotonic clock, ascending. At most one for every 10 s of an hour.
#[derive(Default)]
pub(crate) struct Meter(VecDeque<(Duration, u64)>);

impl Meter {
    /// Notes the counter, unless that was done just now.
    pub(crate) fn note(&mut self, now: Duration, points: u64) {
        if self.0.back().is_some_and(|(last, _)| now.saturating_sub(*last) < EVERY) {
            return;
        }
        self.0.push_back((now, points));
        // One from before the hour stays: the rate over the whole hour begins there.
        while self.0.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= HOUR) {
            self.0.pop_front();
        }
    }

    /// The rates, with what the counter says now.
    pub(crate) fn rates(&self, now: Duration, points: u64) -> Rates {
        let over = |span| self.over(span, now, points);
        Rates { now: over(EVERY), minute: over(Duration::from_secs(60)), hour: over(HOUR) }
    }

    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn over(&self, span: Duration, now: Duration, points: u64) -> Option<f64> {
        let behind = self.0.partition_point(|(at, _)| now.saturating_sub(*at) >= span);
        let (at, before) = self.0.get(behind.saturating_sub(1))?;
        let time = now.saturating_sub(*at);
        (time >= AT_LEAST).then(|| points.saturating_sub(*before) as f64 / time.as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_their_span_or_since_the_start() {
        let s = Duration::from_secs;
        let mut meter = Meter::default();
        assert_eq!(meter.rates(s(5), 9), Rates::default());
        meter.note(s(100), 0);
        assert_eq!(meter.rates(s(100), 9), Rates::default(), "no time has passed");
        let young = meter.rates(s(104), 40);
        assert_eq!((young.now, young.minute, young.hour), (Some(10.0), Some(10.0), Some(10.0)));
        // 10 a second for two hours, then none for 20 s.
        for n in 0..=14_400_u64 {
            meter.note(Duration::from_millis(100_000 + n * 500), n * 5);
        }
        assert!(meter.0.len() <= 362, "{}", meter.0.len());
        let rates = meter.rates(s(7_320), 72_000);
        let [now, minute, hour] = [rates.now, rates.minute, rates.hour].map(Option::unwrap);
        assert!(now.abs() < 1e-9 && (minute - 40.0 / 6.0).abs() < 0.1 && (hour - 9.94).abs() < 0.02, "{rates:?}");
    }
}
