//! New ids: UUID version 7 (RFC 9562 §5.7), so that they sort by time.

use andon_model::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

/// A new UUIDv7: the clock's milliseconds, then 74 random bits.
#[must_use]
pub fn new_id(clock: &dyn Clock) -> Uuid {
    let millis = u64::try_from(clock.now().millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random_bytes(clock)).into_uuid()
}

/// Ten random bytes. An id must be unique, not secret, so where the operating system has no randomness (it says so
/// on no system we know) a counter and the monotonic clock stand in.
fn random_bytes(clock: &dyn Clock) -> [u8; 10] {
    static COUNTER: AtomicU64 = AtomicU64::new(0);
    let mut bytes = [0; 10];
    if getrandom::fill(&mut bytes).is_err() {
        let nanos = u64::try_from(clock.monotonic().as_nanos()).unwrap_or(u64::MAX);
        let count = COUNTER.fetch_add(1, Ordering::Relaxed);
        let mixed = (u128::from(nanos) << 32) ^ u128::from(count);
        bytes.iter_mut().zip(mixed.to_be_bytes().iter().skip(6)).for_each(|(byte, from)| *byte = *from);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::new_id;
    use andon_model::SystemClock;
    use std::collections::HashSet;

    #[test]
    fn ids_are_version_7_and_differ() {
        let ids: HashSet<_> = (0..1000).map(|_| new_id(&SystemClock)).collect();
        assert_eq!(ids.len(), 1000);
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
    }
}
