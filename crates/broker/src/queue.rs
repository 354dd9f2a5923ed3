//! The messages on their way to one session: waiting, under way, half answered.
//!
//! **Idea.** A packet identifier is given when a message comes near the front, by a rule that depends on nothing but the
//! order of operations. So a replay gives the same identifiers, and an acknowledgement read from the log means the same
//! message as when it arrived.

use crate::message::Message;
use andon_wire::mqtt::QoS;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// How many messages of a session may have a packet identifier. Part of the format: changing it changes what a replay
/// gives.
pub(crate) const ID_WINDOW: usize = 4096;

/// The bounds of a queue.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Bounds {
    pub(crate) messages: u64,
    pub(crate) bytes: u64,
}

impl Default for Bounds {
    /// What holds in a new lane until it says otherwise. Part of the format, like [`ID_WINDOW`].
    fn default() -> Self {
        Self { messages: 100_000, bytes: 64 << 20 }
    }
}

/// A message with how it is to be delivered.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) message: Arc<Message>,
    /// 1 or 2.
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) ids: Box<[u32]>,
    /// 0: not near the front yet.
    pub(crate) packet_id: u16,
    /// QoS 2: the subscriber has it, PUBREL is what it waits for.
    pub(crate) released: bool,
    /// It may have been sent on an earlier connection: say so with DUP.
    pub(crate) maybe_sent: bool,
    /// Written to the present connection.
    pub(crate) sent: bool,
    /// Answered on the present connection; the operation that says so is on its way through the log.
    pub(crate) answered: bool,
    /// PUBREC came on the present connection; likewise.
    pub(crate) received: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: BTreeMap<u64, Entry>,
    ids: HashMap<u16, u64>,
    next_order: u64,
    first_without_id: u64,
    last_id: u16,
    bytes: u64,
    pub(crate) dropped: u64,
    /// Within an episode of dropping.
    pub(crate) full: bool,
}

impl Queue {
    /// The queue as a snapshot keeps it; entries in order, the first ones with identifiers.
    pub(crate) fn restore(last_id: u16, dropped: u64, entries: Vec<Entry>) -> Self {
        let mut queue = Self { last_id, dropped, ..Self::default() };
        for (order, entry) in (0_u64..).zip(entries) {
            queue.bytes += entry.message.weight() as u64;
            if entry.packet_id != 0 {
                queue.ids.insert(entry.packet_id, order);
                queue.first_without_id = order + 1;
            }
            queue.next_order = order + 1;
            queue.entries.insert(order, entry);
        }
        queue
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) const fn last_id(&self) -> u16 {
        self.last_id
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// Appends a message; false: the queue is full and it was dropped.
    pub(crate) fn push(&mut self, entry: Entry, bounds: Bounds) -> bool {
        let weight = entry.message.weight() as u64;
        let messages = self.entries.len() as u64;
        if messages >= bounds.messages || self.bytes.saturating_add(weight) > bounds.bytes {
            self.dropped += 1;
            return false;
        }
        self.bytes += weight;
        self.entries.insert(self.next_order, entry);
        self.next_order += 1;
        self.give_ids();
        true
    }

    /// Whether half of the bounds is free, which ends an episode of dropping.
    pub(crate) fn is_relaxed(&self, bounds: Bounds) -> bool {
        self.entries.len() as u64 <= bounds.messages / 2 && self.bytes <= bounds.bytes / 2
    }

    fn give_ids(&mut self) {
        while self.ids.len() < ID_WINDOW && self.first_without_id < self.next_order {
            let id = self.free_id();
            if let Some(entry) = self.entries.get_mut(&self.first_without_id) {
                entry.packet_id = id;
                self.ids.insert(id, self.first_without_id);
            }
            self.first_without_id += 1;
        }
    }

    /// The next identifier that no message has; there are far more of them than [`ID_WINDOW`].
    fn free_id(&mut self) -> u16 {
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.ids.contains_key(&self.last_id) {
                return self.last_id;
            }
        }
    }

    pub(crate) fn get_mut(&mut self, packet_id: u16) -> Option<&mut Entry> {
        let order = self.ids.get(&packet_id)?;
        self.entries.get_mut(order)
    }

    /// The subscriber is done with a message.
    pub(crate) fn done(&mut self, packet_id: u16) -> Option<Entry> {
        let order = self.ids.remove(&packet_id)?;
        let entry = self.entries.remove(&order)?;
        self.bytes = self.bytes.saturating_sub(entry.message.weight() as u64);
        self.give_ids();
        Some(entry)
    }

    /// The next message from `cursor` on that has an identifier, with its place.
    pub(crate) fn next_from(&mut self, cursor: u64) -> Option<(u64, &mut Entry)> {
        let (order, entry) = self.entries.range_mut(cursor..).next()?;
        (entry.packet_id != 0).then_some((*order, entry))
    }

    /// A new connection: nothing has been written to it yet.
    pub(crate) fn restart(&mut self) {
        for entry in self.entries.values_mut().take_while(|e| e.packet_id != 0) {
            (entry.sent, entry.answered, entry.received) = (false, false, false);
        }
    }

    /// Everything near the front may have been sent, as far as a replay can know.
    pub(crate) fn suspect_sent(&mut self) {
        for entry in self.entries.values_mut().take_while(|e| e.packet_id != 0) {
            entry.maybe_sent = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_wire::mqtt::TopicName;
    use bytes::Bytes;

    const BOUNDS: Bounds = Bounds { messages: 10_000, bytes: 1 << 30 };

    fn entry(text: &str) -> Entry {
        let topic = TopicName::parse("a").unwrap();
        let payload = Bytes::copy_from_slice(text.as_bytes());
        let message = Message::internal(topic, payload, QoS::AtLeastOnce, false, Timestamp::default());
        Entry {
            message: Arc::new(message),
            qos: QoS::AtLeastOnce,
            retain: false,
            ids: Box::default(),
            packet_id: 0,
            released: false,
            maybe_sent: false,
            sent: false,
            answered: false,
            received: false,
        }
    }

    #[test]
    fn identifiers_begin_at_1_and_skip_those_in_use_after_the_turn() {
        let mut queue = Queue::default();
        queue.push(entry("kept"), BOUNDS);
        for _ in 0..65_534 {
            queue.push(entry("x"), BOUNDS);
            let id = queue.last_id();
            assert!(queue.done(id).is_some());
        }
        assert_eq!(queue.last_id(), 65_535);
        queue.push(entry("after the turn"), BOUNDS);
        assert_eq!(queue.last_id(), 2, "1 is in use, 0 is none");
    }

    #[test]
    fn only_the_front_has_identifiers() {
        let mut queue = Queue::default();
        (0..ID_WINDOW + 2).for_each(|_| assert!(queue.push(entry("x"), BOUNDS)));
        assert_eq!(queue.iter().filter(|e| e.packet_id != 0).count(), ID_WINDOW);
        queue.done(7);
        assert_eq!(queue.iter().filter(|e| e.packet_id == 0).count(), 1);
    }

    #[test]
    fn a_full_queue_drops_the_newest() {
        let mut queue = Queue::default();
        let bounds = Bounds { messages: 2, bytes: 1 << 20 };
        assert!(queue.push(entry("1"), bounds) && queue.push(entry("2"), bounds));
        assert!(!queue.push(entry("3"), bounds));
        assert_eq!((queue.len(), queue.dropped), (2, 1));
        let tight = Bounds { messages: 100, bytes: 600 };
        assert!(!queue.push(entry("4"), tight), "bytes count too");
        queue.done(1);
        assert!(queue.push(entry("5"), bounds));
    }
}
