//! How far the readings of each source have come, and how far of that is safely in the log.
//!
//! A sample does not carry its source, so whoever brings samples says what each batch of them was; nothing is done per
//! sample but a look at its times. A bad sample tells that there was no reading, so it moves nothing.

use andon_model::{Sample, Timestamp};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Batches within this time are one step.
const STEP: Duration = Duration::from_millis(50);
/// The most steps that wait to be stored; more make the last one longer.
const STEPS_MAX: usize = 64;

/// Ways into the node that many sources share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Way {
    /// Messages that are mapped to tags.
    Mqtt,
    /// Readings by HTTP, in whatever form.
    Http,
    /// Those of imports, which are of the past.
    Import,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mqtt, Self::Http, Self::Import];

    /// Its name in interfaces.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::Http => "http",
            Self::Import => "import",
        }
    }
}

/// What a batch of samples says about its source.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arrival {
    /// The newest time of a reading; one from the future counts as of when it was received.
    newest: Option<Timestamp>,
    received: Option<Timestamp>,
}

impl Arrival {
    /// Of these samples, without those that are bad.
    #[must_use]
    pub fn of(samples: &[Sample]) -> Self {
        let readings = samples.iter().filter(|sample| !sample.quality.is_bad());
        readings.fold(Self::default(), |all, sample| Self {
            newest: all.newest.max(Some(sample.source_ts.min(sample.received_ts))),
            received: all.received.max(Some(sample.received_ts)),
        })
    }
}

/// How far a source has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Arrived {
    /// The newest time of its readings; `None`: none has come since the start.
    pub came_to: Option<Timestamp>,
    /// The same of those that are safely in the log; never beyond `came_to`.
    pub durable_to: Option<Timestamp>,
    /// When the last one was received.
    pub received: Option<Timestamp>,
}

/// The marks of one source.
#[derive(Debug, Default)]
pub struct Arrivals(Mutex<Marks>);

#[derive(Debug, Default)]
struct Marks {
    arrived: Arrived,
    /// Not known to be stored yet, oldest first.
    waiting: VecDeque<Step>,
}

#[derive(Clone, Copy, Debug)]
struct Step {
    begun: Timestamp,
    received: Timestamp,
    came_to: Timestamp,
}

impl Arrivals {
    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a batch that was published; `stored` is [`Bus::all_stored_up_to`](crate::Bus::all_stored_up_to).
    pub fn note(&self, batch: Arrival, stored: Option<Timestamp>) {
        let mut marks = self.marks();
        marks.settle(stored);
        marks.add(batch);
    }

    /// Notes a batch that is safely in the log.
    pub fn note_stored(&self, batch: Arrival) {
        let mut marks = self.marks();
        marks.take(batch);
        marks.arrived.durable_to = marks.arrived.durable_to.max(batch.newest);
    }

    /// How far it has come; `stored` as in [`Arrivals::note`].
    #[must_use]
    pub fn look(&self, stored: Option<Timestamp>) -> Arrived {
        let mut marks = self.marks();
        marks.settle(stored);
        marks.arrived
    }
}

impl Marks {
    fn take(&mut self, batch: Arrival) {
        let arrived = &mut self.arrived;
        arrived.came_to = arrived.came_to.max(batch.newest);
        arrived.received = arrived.received.max(batch.received);
    }

    fn add(&mut self, batch: Arrival) {
        self.take(batch);
        let (Some(came_to), Some(received)) = (self.arrived.came_to, batch.received) else { return };
        let full = self.waiting.len() >= STEPS_MAX;
        match self.waiting.back_mut() {
            Some(last) if full || received.since(last.begun) < STEP => {
                last.received = last.received.max(received);
                last.came_to = came_to;
            }
            _ => self.waiting.push_back(Step { begun: received, received, came_to }),
        }
    }

    fn settle(&mut self, stored: Option<Timestamp>) {
        while let Some(first) = self.waiting.front().copied().filter(|first| Some(first.received) <= stored) {
            self.arrived.durable_to = self.arrived.durable_to.max(Some(first.came_to));
            self.waiting.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::{StatusCode, TagId, Value};

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn sample(source_ms: i64, received_ms: i64, quality: StatusCode) -> Sample {
        Sample { tag: TagId(1), value: Value::Null, quality, source_ts: at(source_ms), received_ts: at(received_ms) }
    }

    fn good(source_ms: i64, received_ms: i64) -> Arrival {
        Arrival::of(&[sample(source_ms, received_ms, StatusCode::GOOD)])
    }

    fn marks(arrivals: &Arrivals, stored_ms: Option<i64>) -> (Option<i64>, Option<i64>) {
        let arrived = arrivals.look(stored_ms.map(at));
        (arrived.came_to.map(Timestamp::millis), arrived.durable_to.map(Timestamp::millis))
    }

    #[test]
    fn what_has_come_is_durable_once_all_received_so_far_is_stored() {
        let arrivals = Arrivals::default();
        assert_eq!(marks(&arrivals, Some(1)), (None, None));
        arrivals.note(good(900, 1_000), None);
        arrivals.note(good(950, 1_100), Some(at(999)));
        assert_eq!(marks(&arrivals, Some(999)), (Some(950), None));
        assert_eq!(marks(&arrivals, Some(1_000)), (Some(950), Some(900)));
        assert_eq!(marks(&arrivals, Some(1_100)), (Some(950), Some(950)));
        // A late reading moves nothing back.
        arrivals.note(good(100, 1_300), Some(at(1_100)));
        assert_eq!(marks(&arrivals, Some(1_300)), (Some(950), Some(950)));
        assert_eq!(arrivals.look(None).received, Some(at(1_300)));
    }

    #[test]
    fn a_bad_sample_is_no_reading_and_the_future_counts_as_now() {
        let arrivals = Arrivals::default();
        arrivals.note(Arrival::of(&[sample(500, 500, StatusCode::BAD_NO_COMMUNICATION)]), Some(at(500)));
        assert_eq!(arrivals.look(Some(at(500))), Arrived::default());
        arrivals.note_stored(good(99_999, 700));
        assert_eq!(marks(&arrivals, None), (Some(700), Some(700)));
    }

    #[test]
    fn steps_are_bounded_and_a_flood_does_not_keep_the_mark_from_moving() {
        let arrivals = Arrivals::default();
        // 10 s of ten batches a millisecond; what was received is stored 300 ms later.
        for tenth in 0..100_000_i64 {
            let now = tenth / 10;
            arrivals.note(good(now, now), Some(at(now - 300)));
        }
        let (came_to, durable_to) = marks(&arrivals, Some(9_700));
        assert_eq!(came_to, Some(9_999));
        assert!(durable_to.is_some_and(|to| (9_600..=9_700).contains(&to)), "{durable_to:?}");
        // The log takes nothing for a while.
        for now in 10_000..100_000_i64 {
            arrivals.note(good(now, now), Some(at(9_700)));
        }
        assert!(arrivals.marks().waiting.len() <= STEPS_MAX);
        assert_eq!(marks(&arrivals, Some(99_999)), (Some(99_999), Some(99_999)));
    }
}
