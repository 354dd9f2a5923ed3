//! Births on their way to the retained messages below `$sparkplug/certificates/`: the newest of each topic, within bounds.

use andon_broker::Broker;
use andon_sparkplug::aware;
use andon_wire::mqtt::{QoS, TopicName};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

/// The most births that wait to be kept, and the most bytes of them; further ones are refused until there is room.
const WAITING: usize = 10_000;
const WAITING_BYTES: usize = 64 << 20;

/// Births that are to be kept.
#[derive(Default)]
pub struct Certificates {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Default)]
struct Waiting {
    by_topic: BTreeMap<String, Bytes>,
    bytes: usize,
}

impl Certificates {
    /// Takes note of a message that passed through. False when it is a birth and too much waits already.
    pub fn note(&self, topic: &str, payload: &Bytes) -> bool {
        let Some(kept_under) = aware::certificate_topic(topic) else { return true };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let former = waiting.by_topic.get(&kept_under).map(Bytes::len);
        let bytes = waiting.bytes - former.unwrap_or(0) + payload.len();
        if bytes > WAITING_BYTES || (former.is_none() && waiting.by_topic.len() >= WAITING) {
            return false;
        }
        // In memory of its own: the message's may be a connection's read buffer.
        waiting.by_topic.insert(kept_under, Bytes::copy_from_slice(payload));
        waiting.bytes = bytes;
        drop(waiting);
        self.wake.notify_one();
        true
    }

    /// Resolves when something waits.
    pub async fn wait(&self) {
        self.wake.notified().await;
    }

    /// Keeps what waits. Gives the topics of those that could not be kept, each with the reason.
    pub async fn keep(&self, broker: &Broker) -> Vec<(String, String)> {
        let waiting = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        let mut failed = Vec::new();
        for (topic, payload) in waiting.by_topic {
            if !TopicName::parse(&topic).is_ok_and(|name| broker.may_retain(&name)) {
                failed.push((topic, "no more retained messages can be kept".to_owned()));
                continue;
            }
            if let Err(error) = broker.publish_internal(&topic, payload, QoS::AtMostOnce, true).await {
                failed.push((topic, error.to_string()));
            }
        }
        failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_births_wait_the_newest_of_each_and_within_bounds() {
        let certificates = Certificates::default();
        let held = || {
            let waiting = certificates.waiting.lock().expect("held");
            (waiting.by_topic.len(), waiting.bytes)
        };
        assert!(certificates.note("spBv1.0/g/NDATA/n", &Bytes::from_static(b"data")));
        assert_eq!(held(), (0, 0));
        for payload in [&b"first"[..], b"two"] {
            assert!(certificates.note("spBv1.0/g/NBIRTH/n", &Bytes::copy_from_slice(payload)));
        }
        assert_eq!(held(), (1, 3));
        let large = Bytes::from(vec![0; WAITING_BYTES - 3]);
        assert!(certificates.note("spBv1.0/g/NBIRTH/large", &large));
        assert!(!certificates.note("spBv1.0/g/NBIRTH/more", &Bytes::from_static(b"x")));
        assert!(certificates.note("spBv1.0/g/NBIRTH/n", &Bytes::from_static(b"2")), "a smaller one of the same");
        assert_eq!(held(), (2, WAITING_BYTES - 2));
    }
}
