//! The last connections that ended, and why; and who was last connected under an identifier.

use crate::hooks::{ConnectionEvent, EndReason};
use andon_model::Timestamp;
use andon_model::access::Principal;
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// So many ends are remembered; the oldest goes for a new one.
const REMEMBERED: usize = 1000;
/// So many identifiers are remembered with their principals; the one that came first goes for a new one.
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
    /// The identifiers in the order in which they first came.
    order: VecDeque<Arc<str>>,
}

/// Whether the broker made this identifier for a client that has none: nobody asks for it again.
fn is_made(client_id: &str) -> bool {
    client_id.strip_prefix("auto-").is_some_and(|rest| uuid::Uuid::try_parse(rest).is_ok())
}

impl Departures {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note(&self, event: &ConnectionEvent, at: Timestamp) {
        let mut memory = self.memory();
        let client_id: Arc<str> = event.client_id.as_str().into();
        if !is_made(&client_id) && memory.by_client.insert(client_id.clone(), event.principal.clone()).is_none() {
            memory.order.push_back(client_id.clone());
            if memory.order.len() > IDENTIFIERS
                && let Some(oldest) = memory.order.pop_front()
            {
                memory.by_client.remove(&oldest);
            }
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
        let made = format!("auto-{}", uuid::Uuid::from_u128(7));
        departures.note(&event(&made, true), Timestamp::default());
        departures.note(&event(&made, false), Timestamp::default());
        assert_eq!(departures.memory().by_client.len(), 0);
        assert_eq!(&*departures.list(None, 1)[0].client_id, made, "but why it went is told");
        departures.note(&event("auto-clave-1", true), Timestamp::default());
        assert!(departures.principal("auto-clave-1").is_some());
    }

    #[test]
    fn a_new_identifier_pushes_out_the_one_that_came_first() {
        let departures = Departures::default();
        for n in 0..IDENTIFIERS + 10 {
            departures.note(&event(&format!("press-{n}"), true), Timestamp::default());
            departures.note(&event(&format!("press-{n}"), false), Timestamp::default());
        }
        assert_eq!(departures.memory().by_client.len(), IDENTIFIERS);
        assert_eq!(departures.principal("press-9"), None);
        assert_eq!(departures.principal("press-10"), Some(Principal::ANONYMOUS));
        assert!(departures.principal(&format!("press-{}", IDENTIFIERS + 9)).is_some());
    }
}
