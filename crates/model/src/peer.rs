//! Who counts as one stranger on the network, and how many connections one stranger may hold.

use crate::Clock;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The same stranger is told of this often.
const TELL_EVERY: Duration = Duration::from_secs(60);

/// What limits for one stranger are counted under: an IPv4 address; of an IPv6 address its network (/64), for whoever
/// has one address of it usually has all 2^64. An IPv4 address in IPv6 dress is the IPv4 address.
#[must_use]
pub fn source_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(six) if !six.is_loopback() => IpAddr::V6(Ipv6Addr::from_bits(six.to_bits() & !u128::from(u64::MAX))),
        other => other,
    }
}

/// Bounds the connections of each stranger, beside a bound of them all. Loopback is not counted: it is this machine itself.
///
/// Its memory is bounded by the connections that are held.
pub struct Places {
    most: usize,
    counts_loopback: bool,
    clock: Arc<dyn Clock>,
    held: Mutex<HashMap<IpAddr, Held>>,
    refused: AtomicU64,
}

struct Held {
    places: usize,
    /// When its refusals were last told, by the monotonic clock.
    told: Option<Duration>,
    refused_since: u64,
}

/// A connection that has a place; dropping it gives the place back.
pub struct Place(Option<(Arc<Places>, IpAddr)>);

/// A stranger has as many connections as one may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooMany {
    /// The stranger: an address or an IPv6 network.
    pub source: IpAddr,
    /// How many it may have.
    pub most: usize,
    /// `Some`: write it to the log now, and that so many were refused since it was last written. At most once a minute for each.
    pub tell: Option<u64>,
}

impl Places {
    /// At most `most` connections each.
    #[must_use]
    pub fn new(most: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with(most, false, clock)
    }

    /// As [`Places::new`], but loopback counts like any other address: for tests.
    #[must_use]
    pub fn counting_loopback(most: usize, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::with(most, true, clock)
    }

    fn with(most: usize, counts_loopback: bool, clock: Arc<dyn Clock>) -> Arc<Self> {
        let (most, held) = (most.max(1), Mutex::default());
        Arc::new(Self { most, counts_loopback, clock, held, refused: AtomicU64::new(0) })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<IpAddr, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a connection from `address`.
    /// # Errors
    /// [`TooMany`]: close it.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Result<Place, TooMany> {
        let source = source_of(address);
        if source.is_loopback() && !self.counts_loopback {
            return Ok(Place(None));
        }
        let mut all = self.held();
        let held = all.entry(source).or_insert(Held { places: 0, told: None, refused_since: 0 });
        if held.places < self.most {
            held.places += 1;
            return Ok(Place(Some((self.clone(), source))));
        }
        self.refused.fetch_add(1, Ordering::Relaxed);
        held.refused_since += 1;
        let now = self.clock.monotonic();
        let due = held.told.is_none_or(|told| now.saturating_sub(told) >= TELL_EVERY);
        let tell = due.then(|| std::mem::take(&mut held.refused_since));
        if due {
            held.told = Some(now);
        }
        Err(TooMany { source, most: self.most, tell })
    }

    /// How many connections were refused since the start.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Places {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Places").field("most", &self.most).field("refused", &self.refused()).finish_non_exhaustive()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((places, source)) = self.0.take() else { return };
        if let Entry::Occupied(mut held) = places.held().entry(source) {
            held.get_mut().places -= 1;
            if held.get().places == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Places, source_of};
    use crate::{Clock, Timestamp};
    use std::net::IpAddr;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[derive(Default)]
    struct Hand(AtomicU64);
    impl Clock for Hand {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.load(Ordering::Relaxed))
        }
    }

    #[test]
    fn an_ipv6_network_is_one_stranger_and_an_ipv4_address_is() {
        let source = |text: &str| source_of(address(text)).to_string();
        assert_eq!(source("2001:db8:1:2:3:4:5:6"), source("2001:db8:1:2:ffff::1"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
        assert_eq!(source("::ffff:192.0.2.7"), "192.0.2.7");
        assert_ne!(source("192.0.2.7"), source("192.0.2.8"));
        assert_eq!(source("::1"), "::1");
    }

    #[test]
    fn a_stranger_has_so_many_places_and_takes_none_of_the_others() {
        let places = Places::new(2, Arc::new(Hand::default()));
        let (first, second) = (places.take(address("192.0.2.7")), places.take(address("::ffff:192.0.2.7")));
        assert!(first.is_ok() && second.is_ok());
        assert!(places.take(address("192.0.2.7")).is_err());
        assert!(places.take(address("192.0.2.8")).is_ok());
        drop(first);
        assert!(places.take(address("192.0.2.7")).is_ok(), "a place is given back");
        drop(second);
        assert!(places.held().is_empty(), "nothing is remembered of who has gone");
        let local: Vec<_> = (0..100).map(|_| places.take(address("127.0.0.1"))).collect();
        assert!(local.iter().all(Result::is_ok), "loopback is not counted");
        assert_eq!(places.refused(), 1);
    }

    #[test]
    fn a_flood_is_told_once_a_minute_with_its_count() {
        let clock = Arc::new(Hand::default());
        let places = Places::new(1, clock.clone());
        let _held = places.take(address("2001:db8::1"));
        let tell = || places.take(address("2001:db8::2")).err().expect("refused").tell;
        assert_eq!(tell(), Some(1));
        for _ in 0..1000 {
            assert_eq!(tell(), None);
        }
        clock.0.store(60, Ordering::Relaxed);
        assert_eq!((tell(), places.refused()), (Some(1001), 1002));
    }
}
