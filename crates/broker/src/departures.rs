//! The last connections that ended, and why; and who was last connected under an identifier.

use crate::hooks::{ConnectionEvent, EndReason};
use andon_model::Timestamp;
use andon_model::access::Principal;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many ends are remembered; the oldest goes for a new one.
const REMEMBERED: usize = 1000;
/// So many identifiers are remembered with their principals.
const IDENTIFIERS: usize = 20_000;

/// A connection that ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// Which client.
    pub client_id: Arc<str>,
    /// When.
    pub at: Timestamp,
    /// Who it was.
    pub principal: Principal,
    /// From where.
    pub address: SocketAddr,
    /// Why.
    pub reason: EndReason,
}

/// What is remembered of connections.
#[derive(Debug, Default)]
pub(crate) struct Departures(Mutex<Memory>);

#[derive(Debug, Default)]
struct Memory {
    /// The newest last.
    ends: VecDeque<Departure>,
    by_client: HashMap<Arc<str>, Principal>,
}

impl Departures {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, event: &ConnectionEvent, at: Timestamp) {
        let mut memory = self.memory();
        let client_id: Arc<str> = event.client_id.as_str().into();
        // The broker makes a new identifier for each connection of a client that has none: nobody asks for these again.
        if memory.by_client.contains_key(&client_id) || memory.by_client.len() < IDENTIFIERS {
            memory.by_client.insert(client_id.clone(), event.principal.clone());
        }
        if !event.connected && client_id.starts_with("auto-") {
            memory.by_client.remove(&client_id);
        }
        let Some(reason) = event.reason.clone().filter(|_| !event.connected) else { return };
        if memory.ends.len() >= REMEMBERED {
            memory.ends.pop_front();
        }
        let (principal, address) = (event.principal.clone(), event.address);
        memory.ends.push_back(Departure { client_id, at, principal, address, reason });
    }

    /// The newest first; of one client, or of all.
    pub(crate) fn list(&self, client_id: Option<&str>, limit: usize) -> Vec<Departure> {
        let memory = self.memory();
        let wanted = memory.ends.iter().rev().filter(|end| client_id.is_none_or(|id| *end.client_id == *id));
        wanted.take(limit).cloned().collect()
    }

    /// Who was last connected as this client.
    pub(crate) fn principal(&self, client_id: &str) -> Option<Principal> {
        self.memory().by_client.get(client_id).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::ReasonCode;

    fn event(client: &str, connected: bool) -> ConnectionEvent {
        ConnectionEvent {
            client_id: client.to_owned(),
            connected,
            reason: (!connected).then_some(EndReason::Client(ReasonCode::SUCCESS)),
            principal: Principal::ANONYMOUS,
            address: ([127, 0, 0, 1], 1).into(),
        }
    }

    #[test]
    fn the_last_ends_are_remembered_the_newest_first() {
        let departures = Departures::default();
        for n in 0..1500 {
            departures.note(&event("press-7", true), Timestamp::from_millis(n));
            departures.note(&event(if n % 2 == 0 { "press-7" } else { "press-8" }, false), Timestamp::from_millis(n));
        }
        let all = departures.list(None, usize::MAX);
        assert_eq!(
            (all.len(), all[0].at, all[999].at),
            (1000, Timestamp::from_millis(1499), Timestamp::from_millis(500))
        );
        let one = departures.list(Some("press-7"), 2);
        assert_eq!(one.iter().map(|end| end.at.millis()).collect::<Vec<_>>(), [1498, 1496]);
        assert_eq!(departures.principal("press-7"), Some(Principal::ANONYMOUS));
        assert_eq!(departures.principal("press-9"), None);
    }

    #[test]
    fn identifiers_that_the_broker_made_are_not_kept() {
        let departures = Departures::default();
        departures.note(&event("auto-1", true), Timestamp::default());
        assert!(departures.principal("auto-1").is_some());
        departures.note(&event("auto-1", false), Timestamp::default());
        assert_eq!(departures.memory().by_client.len(), 0);
    }
}
