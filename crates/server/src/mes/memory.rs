//! What was found in kept hours, so that it need not be added up each time.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// The most that is remembered of a kind; beyond that it begins anew.
const REMEMBERED: usize = 100_000;

/// Found for each key in hours that were kept by then. It is told and asked in turn.
pub(super) struct Memory<K, V> {
    /// How often kept hours were changed: what was found before then is not believed.
    changes: AtomicU64,
    found: Mutex<HashMap<K, (u64, V)>>,
}

impl<K, V> Default for Memory<K, V> {
    fn default() -> Self {
        Self { changes: AtomicU64::new(0), found: Mutex::default() }
    }
}

impl<K: Eq + Hash, V: Copy> Memory<K, V> {
    /// Kept hours are made anew: what was found in them may be another.
    pub(super) fn changed(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn of(&self, key: &K) -> Option<V> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(key).filter(|(at, _)| *at == self.changes.load(Ordering::Acquire)).map(|(_, value)| *value)
    }

    pub(super) fn remember(&self, key: K, value: V) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.len() >= REMEMBERED {
            found.clear();
        }
        found.insert(key, (self.changes.load(Ordering::Acquire), value));
    }
}
