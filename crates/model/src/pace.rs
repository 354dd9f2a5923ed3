//! How often strangers may come: a bucket of tokens for each of them, and one for all.

use crate::Clock;
use crate::peer::source_of;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A flood is told of this often.
const TELL_EVERY: Duration = Duration::from_secs(60);
/// Buckets that are full are forgotten whenever there are twice as many as were left the last time, and at least this many.
const FORGET_AT: usize = 1024;

/// Bounds how many connections begin in a second, of each stranger and of all together. Who has not come for a second may come as
/// often at once. Loopback is not counted: it is this machine itself.
///
/// Budget: one look into a table for each connection. Its memory is bounded by those who came within the last second.
pub struct Pace {
    each: Bucket,
    all: Bucket,
    counts_loopback: bool,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
    refused: AtomicU64,
}

/// What a bucket gives; it holds the tokens of one second.
#[derive(Clone, Copy)]
struct Bucket {
    per_second: u32,
    /// Between two tokens.
    every: Duration,
}

/// When a bucket will be full again, by the monotonic clock.
type Full = Duration;

#[derive(Default)]
struct State {
    all: Full,
    each: HashMap<IpAddr, Full>,
    forget_at: usize,
    told: Option<Duration>,
    refused_since: u64,
}

/// Whose connections are too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// This stranger's: an address or an IPv6 network.
    Source(IpAddr),
    /// Everybody's together.
    All,
}

/// More connections begin than may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooFast {
    /// Whose.
    pub whose: Whose,
    /// How many may begin in a second.
    pub per_second: u32,
    /// `Some`: write it to the log now, and that so many were refused since it was last written. At most once a minute.
    pub tell: Option<u64>,
}

impl std::fmt::Display for TooFast {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.whose {
            Whose::Source(source) => {
                write!(f, "from {source} begin more than {} connections a second", self.per_second)
            }
            Whose::All => write!(f, "more than {} connections begin in a second", self.per_second),
        }
    }
}

impl Bucket {
    fn new(per_second: u32) -> Self {
        let per_second = per_second.max(1);
        Self { per_second, every: Duration::from_secs(1) / per_second }
    }

    /// When the bucket is full again after a token was taken; `None`: there is none.
    fn take(self, full: Full, now: Duration) -> Option<Full> {
        let then = full.max(now) + self.every;
        (then <= now + Duration::from_secs(1)).then_some(then)
    }
}

impl Pace {
    /// At most so many of each and of all in a second.
    #[must_use]
    pub fn new(each: u32, all: u32, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with(each, all, false, clock)
    }

    /// As [`Pace::new`], but loopback counts like any other address: for tests.
    #[must_use]
    pub fn counting_loopback(each: u32, all: u32, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with(each, all, true, clock)
    }

    fn with(each: u32, all: u32, counts_loopback: bool, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (each, all, state) = (Bucket::new(each), Bucket::new(all), Mutex::default());
        Arc::new(Self { each, all, counts_loopback, clock, state, refused: AtomicU64::new(0) })
    }

    /// A connection from `address` begins.
    /// # Errors
    /// [`TooFast`]: it must not.
    pub fn take(&self, address: IpAddr) -> Result<(), TooFast> {
        let source = source_of(address);
        if source.is_loopback() && !self.counts_loopback {
            return Ok(());
        }
        let now = self.clock.monotonic();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Its own first, so that whoever comes too often takes nothing from the others.
        let own = self.each.take(state.each.get(&source).copied().unwrap_or_default(), now);
        let all = self.all.take(state.all, now);
        let (whose, per_second) = match (own, all) {
            (Some(own), Some(all)) => {
                state.all = all;
                if state.each.len() >= state.forget_at.max(FORGET_AT) {
                    state.each.retain(|_, full| *full > now);
                    state.forget_at = 2 * state.each.len();
                }
                state.each.insert(source, own);
                return Ok(());
            }
            (None, _) => (Whose::Source(source), self.each.per_second),
            (_, None) => (Whose::All, self.all.per_second),
        };
        self.refused.fetch_add(1, Ordering::Relaxed);
        state.refused_since += 1;
        let due = state.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY);
        let tell = due.then(|| std::mem::take(&mut state.refused_since));
        if due {
            state.told = Some(now);
        }
        Err(TooFast { whose, per_second, tell })
    }

    /// How many connections were refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (each, all) = (self.each.per_second, self.all.per_second);
        f.debug_struct("Pace")
            .field("each", &each)
            .field("all", &all)
            .field("refused", &self.refused())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Timestamp;

    /// A clock turned by hand, in milliseconds.
    #[derive(Default)]
    struct Hand(AtomicU64);

    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_millis(self.0.load(Ordering::Relaxed))
        }
    }

    /// How many of `tries` connections from there begin.
    fn begin(pace: &Pace, from: &str, tries: usize) -> usize {
        let address = from.parse().expect("an address");
        (0..tries).filter(|_| pace.take(address).is_ok()).count()
    }

    #[test]
    fn a_stranger_comes_so_often_in_a_second_and_takes_nothing_from_others() {
        let clock = Arc::new(Hand::default());
        let pace = Pace::new(10, 1000, clock.clone());
        assert_eq!(begin(&pace, "192.0.2.7", 500), 10, "as often as in a second, at once");
        assert_eq!(begin(&pace, "192.0.2.8", 500), 10);
        assert_eq!(begin(&pace, "::ffff:192.0.2.8", 5), 0, "the same one in other dress");
        clock.0.store(100, Ordering::Relaxed);
        assert_eq!(begin(&pace, "192.0.2.7", 500), 1, "one more in a tenth of a second");
        clock.0.store(10_000, Ordering::Relaxed);
        assert_eq!(begin(&pace, "192.0.2.7", 500), 10, "no more than of one second, however long it was away");
        assert_eq!(begin(&pace, "127.0.0.1", 5000), 5000, "loopback is not counted");
        assert_eq!(pace.refused(), 490 + 490 + 5 + 499 + 490);
    }

    #[test]
    fn all_together_come_so_often_however_many_they_are() {
        let clock = Arc::new(Hand::default());
        let pace = Pace::new(10, 100, clock.clone());
        let of_many = |pace: &Pace| (0..1000).map(|n| begin(pace, &format!("10.0.{}.{}", n / 250, n % 250), 1)).sum();
        let begun: usize = of_many(&pace);
        assert_eq!(begun, 100);
        // Who was refused for the others' sake has not used its own.
        clock.0.store(1000, Ordering::Relaxed);
        assert_eq!(begin(&pace, "10.0.3.249", 20), 10);
        let refused = pace.take("10.0.0.1".parse().expect("an address"));
        assert_eq!(refused, Ok(()));
        assert_eq!(
            begin(&pace, "2001:db8::1", 20) + begin(&pace, "2001:db8::2", 20),
            10,
            "one network is one stranger"
        );
    }

    #[test]
    fn a_flood_is_told_once_a_minute_with_its_count() {
        let clock = Arc::new(Hand::default());
        let pace = Pace::new(1, 1000, clock.clone());
        let from: IpAddr = "192.0.2.7".parse().expect("an address");
        assert_eq!(pace.take(from), Ok(()));
        let told = |pace: &Pace| pace.take(from).map_err(|refused| (refused.to_string(), refused.tell));
        let words = || "from 192.0.2.7 begin more than 1 connections a second".to_owned();
        assert_eq!(told(&pace), Err((words(), Some(1))));
        for _ in 0..50 {
            assert_eq!(told(&pace), Err((words(), None)));
        }
        clock.0.store(60_000, Ordering::Relaxed);
        assert_eq!(told(&pace), Ok(()));
        assert_eq!(told(&pace), Err((words(), Some(51))));
    }

    #[test]
    fn whoever_has_not_come_lately_is_forgotten() {
        let clock = Arc::new(Hand::default());
        let pace = Pace::new(10, u32::MAX, clock.clone());
        for second in 0..20_u64 {
            clock.0.store(second * 2000, Ordering::Relaxed);
            for n in 0..1000 {
                begin(&pace, &format!("10.{second}.{}.{}", n / 250, n % 250), 1);
            }
        }
        let remembered = pace.state.lock().expect("a lock").each.len();
        assert!(remembered <= 2 * FORGET_AT, "{remembered}");
    }
}
