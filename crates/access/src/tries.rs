//! Wrong log-ins and the waits that follow from them, and which log-ins without a session were recorded. In bounded memory.

use crate::accounts::{AccountError, lock};
use crate::name;
use crate::secret::{Digest256, digest};
use andon_model::Clock;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// How many wrong log-ins of one name from one address are answered without delay.
const FREE_FAILURES: u32 = 4;
/// How many (name, address) pairs with failures are remembered.
const MAX_FAILURE_ENTRIES: usize = 10_000;
/// How often log-ins without a session of one person from one address are recorded: a pool of connections logs in all the time.
const RECORD_CHECKS_EVERY: Duration = Duration::from_secs(3600);
/// How many (person, address) pairs of such log-ins are remembered; beyond that they are all forgotten, and recorded anew.
const MAX_CHECKED: usize = 10_000;

/// Wrong tries of one name from one address; times are monotonic.
struct Failures {
    count: u32,
    blocked_until: Duration,
}

fn key_of(name: &str, from: &str) -> Digest256 {
    digest(&format!("{from}\n{}", name::key(name)))
}

/// Wrong tries, and the waits that follow from them.
pub(crate) struct Tries {
    clock: Arc<dyn Clock>,
    failures: Mutex<HashMap<Digest256, Failures>>,
}

impl Tries {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, failures: Mutex::default() }
    }

    /// Whether this name may try from there now.
    pub(crate) fn check_wait(&self, name: &str, from: &str) -> Result<(), AccountError> {
        let now = self.clock.monotonic();
        match lock(&self.failures).get(&key_of(name, from)) {
            Some(f) if f.blocked_until > now => Err(AccountError::Wait { wait: f.blocked_until.saturating_sub(now) }),
            _ => Ok(()),
        }
    }

    /// From the fifth wrong try on, the wait doubles: 1 s, 2 s, 4 s … 15 min. Per name and address, so that nobody can
    /// lock somebody else out.
    pub(crate) fn note_failure(&self, name: &str, from: &str) {
        let now = self.clock.monotonic();
        let mut failures = lock(&self.failures);
        if failures.len() >= MAX_FAILURE_ENTRIES {
            failures.retain(|_, f| f.blocked_until > now);
            if failures.len() >= MAX_FAILURE_ENTRIES {
                failures.clear();
            }
        }
        let entry = failures.entry(key_of(name, from)).or_insert(Failures { count: 0, blocked_until: Duration::ZERO });
        entry.count = entry.count.saturating_add(1);
        if entry.count > FREE_FAILURES {
            let seconds = 1_u64 << (entry.count - FREE_FAILURES - 1).min(10);
            entry.blocked_until = now.saturating_add(Duration::from_secs(seconds.min(900)));
        }
    }

    /// The right password was given.
    pub(crate) fn forget(&self, name: &str, from: &str) {
        lock(&self.failures).remove(&key_of(name, from));
    }
}

/// When log-ins without a session were last recorded; times are monotonic.
pub(crate) struct Checked {
    clock: Arc<dyn Clock>,
    at: Mutex<HashMap<Digest256, Duration>>,
}

impl Checked {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, at: Mutex::default() }
    }

    /// Whether no such log-in was recorded within [`RECORD_CHECKS_EVERY`]; notes that one is.
    pub(crate) fn is_to_be_recorded(&self, user: Uuid, from: &str) -> bool {
        let now = self.clock.monotonic();
        let mut at = lock(&self.at);
        let key = key_of(&user.to_string(), from);
        if at.get(&key).is_some_and(|last| now.saturating_sub(*last) < RECORD_CHECKS_EVERY) {
            return false;
        }
        if at.len() >= MAX_CHECKED {
            at.clear();
        }
        at.insert(key, now);
        true
    }

    /// It could not be recorded.
    pub(crate) fn forget(&self, user: Uuid, from: &str) {
        lock(&self.at).remove(&key_of(&user.to_string(), from));
    }
}
