//! The last retained message of every topic.

use crate::message::Message;
use andon_model::Timestamp;
use andon_wire::mqtt::{TopicFilter, TopicName};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

#[derive(Debug, Default)]
pub(crate) struct Retained {
    by_topic: BTreeMap<TopicName, Arc<Message>>,
}

impl Retained {
    pub(crate) fn len(&self) -> usize {
        self.by_topic.len()
    }

    pub(crate) fn has(&self, topic: &TopicName) -> bool {
        self.by_topic.contains_key(topic)
    }

    pub(crate) fn get(&self, topic: &TopicName) -> Option<&Arc<Message>> {
        self.by_topic.get(topic)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.by_topic.values()
    }

    /// Keeps the message, or forgets its topic when the payload is empty. MQTT 5.0 [MQTT-3.3.1-5], [MQTT-3.3.1-6].
    pub(crate) fn set(&mut self, message: &Arc<Message>) {
        if message.payload.is_empty() {
            self.by_topic.remove(&message.topic);
        } else {
            self.by_topic.insert(message.topic.clone(), message.clone());
        }
    }

    /// Forgets what has expired.
    pub(crate) fn purge(&mut self, now: Timestamp) {
        self.by_topic.retain(|_, message| !message.is_expired(now));
    }

    /// Messages under the filter that are still good, by topic.
    pub(crate) fn matching(&self, filter: &TopicFilter, now: Timestamp) -> Vec<Arc<Message>> {
        let pattern = filter.pattern();
        // Names under the filter begin with what stands before its first wildcard (`a/#` also sees `a`).
        let fixed = pattern.find(['+', '#']).map_or(pattern, |at| pattern.get(..at).unwrap_or_default());
        let begin = fixed.strip_suffix('/').filter(|_| pattern.ends_with('#')).unwrap_or(fixed);
        let Ok(first) = TopicName::parse(begin) else {
            return good(self.by_topic.values(), filter, now);
        };
        let from = self.by_topic.range((Bound::Included(first), Bound::Unbounded)).map(|(_, message)| message);
        good(from.take_while(|m| m.topic.as_bytes().starts_with(begin.as_bytes())), filter, now)
    }
}

fn good<'a>(
    messages: impl Iterator<Item = &'a Arc<Message>>,
    filter: &TopicFilter,
    now: Timestamp,
) -> Vec<Arc<Message>> {
    messages.filter(|m| filter.matches(m.topic.as_str()) && !m.is_expired(now)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::QoS;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn message(topic: &str, payload: &'static str) -> Arc<Message> {
        let topic = TopicName::parse(topic).unwrap();
        Arc::new(Message::internal(
            topic,
            Bytes::from_static(payload.as_bytes()),
            QoS::AtMostOnce,
            true,
            Timestamp::default(),
        ))
    }

    #[test]
    fn an_empty_payload_forgets_the_topic() {
        let mut retained = Retained::default();
        retained.set(&message("a", "1"));
        retained.set(&message("a", ""));
        assert_eq!(retained.len(), 0);
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_of_everything_finds(
            topics in proptest::collection::vec("[$]?[ab/]{1,5}", 1..20),
            filter in "([ab]{0,2}/|[+]/){0,3}(#|[+]|[ab]{1,2})",
        ) {
            let mut retained = Retained::default();
            topics.iter().for_each(|t| retained.set(&message(t, "x")));
            let filter = TopicFilter::parse(&filter).unwrap();
            let found = retained.matching(&filter, Timestamp::default()).len();
            let wanted = retained.iter().filter(|m| filter.matches(m.topic.as_str())).count();
            prop_assert_eq!(found, wanted);
        }
    }
}
