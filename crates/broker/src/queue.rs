//! The messages on their way to one session: waiting, under way, half answered.
//!
//! **Idea.** A packet identifier is given when a message comes near the front, by a rule that depends on nothing but the
//! order of operations. So a replay gives the same identifiers, and an acknowledgement read from the log means the same
//! message as when it arrived.

use crate::asks::Extra;
use crate::backlog::Backlog;
use crate::front::Front;
use crate::message::Message;
use andon_model::log::Seq;
use andon_wire::mqtt::QoS;
use std::collections::HashMap;
use std::sync::Arc;

/// How many messages of a session may have a packet identifier. Part of the format: changing it changes what a replay
/// gives. Tests that make up traffic have a small one, so that queues reach beyond it.
pub(crate) const ID_WINDOW: usize = if cfg!(test) { 4 } else { 4096 };

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
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// `None`: it is in the log alone.
    pub(crate) message: Option<Arc<Message>>,
    /// Where in the messages lane it is; 0: nowhere, it stays in memory until it is done.
    pub(crate) seq: Seq,
    /// [`Message::weight`].
    pub(crate) weight: u32,
    /// 1 or 2.
    pub(crate) qos: QoS,
    pub(crate) retain: bool,
    pub(crate) ids: Box<[u32]>,
    pub(crate) extra: Extra,
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

impl Entry {
    /// A message that is yet to be sent.
    pub(crate) fn new(message: &Arc<Message>, seq: Seq, qos: QoS, retain: bool, ids: Box<[u32]>, extra: Extra) -> Self {
        let weight = u32::try_from(message.weight()).unwrap_or(u32::MAX);
        Self { qos, retain, ids, extra, ..Self::waiting(Some(message.clone()), seq, weight) }
    }

    /// A message with QoS 1 that is yet to be sent; `message`: it is in memory.
    pub(crate) fn waiting(message: Option<Arc<Message>>, seq: Seq, weight: u32) -> Self {
        Self {
            message,
            seq,
            weight,
            qos: QoS::AtLeastOnce,
            retain: false,
            ids: Box::default(),
            extra: Extra::default(),
            packet_id: 0,
            released: false,
            maybe_sent: false,
            sent: false,
            answered: false,
            received: false,
        }
    }

    /// How many bytes of it are in memory without need, for the log has them.
    fn spare(&self) -> u64 {
        let message = self.message.as_ref().filter(|_| self.seq.0 != 0);
        message.map_or(0, |message| message.size() as u64)
    }

    /// Whether it must be fetched before it can be sent.
    const fn is_missing(&self) -> bool {
        self.message.is_none() && !(self.released || self.sent || self.answered)
    }
}

/// A queue: its front, which has packet identifiers, and the backlog behind it. In memory is what is about to be sent;
/// the rest is in the log.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    entries: Front,
    /// The places of packet identifiers, which are our own, so that a quick hash does.
    ids: HashMap<u16, u64, foldhash::fast::RandomState>,
    /// In memory of its own, for most queues have none.
    backlog: Option<Box<Backlog>>,
    last_id: u16,
    /// The weight of all.
    bytes: u64,
    /// Bytes of messages in memory that the log has, too.
    spare: u64,
    /// The last number that came.
    last_seq: Seq,
    /// One came after a later one, as what waited for its turn does: the first is not the oldest.
    mixed: bool,
    /// A replay cannot know what was sent: whatever comes to the front may have been.
    suspect: bool,
    pub(crate) dropped: u64,
    /// Within an episode of dropping.
    pub(crate) full: bool,
}

impl Queue {
    /// The queue as a snapshot keeps it: the front, with identifiers, and the backlog.
    pub(crate) fn restore(last_id: u16, dropped: u64, front: Vec<Entry>, backlog: Option<Backlog>) -> Self {
        let mut queue = Self { last_id, dropped, ..Self::default() };
        for entry in front {
            queue.bytes += u64::from(entry.weight);
            queue.came(entry.seq);
            queue.ids.insert(entry.packet_id, queue.entries.next_place());
            queue.entries.push(entry);
        }
        for entry in backlog.iter().flat_map(Backlog::iter) {
            queue.bytes += u64::from(entry.weight);
            queue.came(entry.seq);
        }
        queue.backlog = backlog.map(Box::new);
        queue
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len() + self.backlog_len()
    }

    pub(crate) const fn last_id(&self) -> u16 {
        self.last_id
    }

    /// The entries that have identifiers, in order.
    pub(crate) fn front(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    pub(crate) const fn front_len(&self) -> usize {
        self.entries.len()
    }

    /// The entries whose messages are in memory.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.entries
            .iter()
            .filter_map(|entry| entry.message.as_ref())
            .chain(self.backlog.iter().flat_map(|backlog| backlog.held()))
    }

    pub(crate) fn backlog(&self) -> Option<&Backlog> {
        self.backlog.as_deref()
    }

    fn backlog_len(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.len())
    }

    /// Appends a message; false: the queue is full and it was dropped.
    pub(crate) fn push(&mut self, entry: Entry, bounds: Bounds) -> bool {
        let weight = u64::from(entry.weight);
        if self.len() as u64 >= bounds.messages || self.bytes.saturating_add(weight) > bounds.bytes {
            self.dropped += 1;
            return false;
        }
        self.bytes += weight;
        self.mixed &= self.len() != 0;
        self.came(entry.seq);
        if self.ids.len() < ID_WINDOW && self.backlog_len() == 0 {
            self.come_to_front(entry);
        } else {
            self.backlog.get_or_insert_default().push(entry);
        }
        true
    }

    fn came(&mut self, seq: Seq) {
        if seq.0 != 0 {
            self.mixed |= seq < self.last_seq;
            self.last_seq = seq;
        }
    }

    /// Whether half of the bounds is free, which ends an episode of dropping.
    pub(crate) fn is_relaxed(&self, bounds: Bounds) -> bool {
        self.len() as u64 <= bounds.messages / 2 && self.bytes <= bounds.bytes / 2
    }

    fn come_to_front(&mut self, mut entry: Entry) {
        let id = self.free_id();
        entry.packet_id = id;
        entry.maybe_sent |= self.suspect;
        self.spare += entry.spare();
        let place = self.entries.push(entry);
        self.ids.insert(id, place);
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
        self.entries.get_mut(*self.ids.get(&packet_id)?)
    }

    /// The subscriber is done with a message.
    pub(crate) fn done(&mut self, packet_id: u16) -> Option<Entry> {
        let order = self.ids.remove(&packet_id)?;
        let entry = self.entries.remove(order)?;
        self.bytes = self.bytes.saturating_sub(u64::from(entry.weight));
        self.spare = self.spare.saturating_sub(entry.spare());
        while self.ids.len() < ID_WINDOW {
            let Some(backlog) = &mut self.backlog else { break };
            let next = backlog.pop();
            if backlog.len() == 0 {
                self.backlog = None;
            }
            let Some(next) = next else { break };
            self.come_to_front(next);
        }
        Some(entry)
    }

    /// The next message from `cursor` on that has an identifier, with its place.
    pub(crate) fn next_from(&mut self, cursor: u64) -> Option<(u64, &mut Entry)> {
        self.entries.next_from(cursor)
    }

    /// A message was written to the connection. Its bytes are under way; should it be sent again, the log has it.
    pub(crate) fn sent(&mut self, order: u64) {
        let Self { entries, spare, .. } = self;
        if let Some(entry) = entries.get_mut(order) {
            (entry.sent, entry.maybe_sent) = (true, true);
            let_go(entry, spare);
        }
    }

    /// Keeps about `most` bytes of messages in memory that the log has too: the first ones. Cheap when there are no more.
    pub(crate) fn let_go_beyond(&mut self, most: u64) {
        let Self { entries, spare, .. } = self;
        let mut place = entries.next_place();
        while *spare > most {
            let Some(before) = entries.before(place) else { return };
            place = before;
            entries.get_mut(place).into_iter().for_each(|entry| let_go(entry, spare));
        }
    }

    /// The numbers of messages that are to be sent from `cursor` on and are in the log alone: at least one, about `bytes`
    /// in all.
    pub(crate) fn missing(&self, cursor: u64, bytes: u64) -> Vec<Seq> {
        let mut weight = 0;
        let missing = self.entries.from(cursor).filter(|entry| entry.is_missing());
        let few = missing.take_while(|entry| {
            let taken = weight < bytes;
            weight += u64::from(entry.weight);
            taken
        });
        few.map(|entry| entry.seq).collect()
    }

    /// Messages came from the log.
    pub(crate) fn found(&mut self, mut message: impl FnMut(Seq) -> Option<Arc<Message>>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.is_missing()) {
            entry.message = message(entry.seq);
            self.spare += entry.spare();
        }
    }

    /// The identifiers of messages to be sent that are where `lost` says; they count as answered.
    pub(crate) fn give_up(&mut self, mut lost: impl FnMut(Seq) -> bool) -> Vec<u16> {
        let missing = self.entries.iter_mut().filter(|entry| entry.is_missing());
        let given_up = missing.filter_map(|entry| {
            lost(entry.seq).then(|| {
                entry.answered = true;
                entry.packet_id
            })
        });
        given_up.collect()
    }

    /// The numbers of messages in the log, in the order in which they are sent.
    fn seqs(&self) -> impl Iterator<Item = Seq> {
        let front = self.entries.iter().map(|entry| entry.seq);
        let all = front.chain(self.backlog.iter().flat_map(|backlog| backlog.iter()).map(|entry| entry.seq));
        all.filter(|seq| seq.0 != 0)
    }

    /// The number of the oldest message that is in the log, and may be in the log alone.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        if self.mixed { self.seqs().min() } else { self.seqs().next() }
    }

    /// The numbers up to `last` of messages in the log.
    pub(crate) fn up_to(&self, last: Seq) -> Vec<Seq> {
        self.seqs().take_while(|seq| self.mixed || *seq <= last).filter(|seq| *seq <= last).collect()
    }

    /// Holds messages that the log is about to lose.
    pub(crate) fn hold(&mut self, mut found: impl FnMut(Seq) -> Option<Arc<Message>>) {
        for entry in self.entries.iter_mut().filter(|entry| entry.seq.0 != 0) {
            let Some(message) = found(entry.seq) else { continue };
            self.spare = self.spare.saturating_sub(entry.spare());
            (entry.message, entry.seq) = (Some(message), Seq(0));
        }
        if let Some(backlog) = &mut self.backlog {
            backlog.hold(found);
        }
    }

    /// A new connection: nothing has been written to it yet.
    pub(crate) fn restart(&mut self) {
        self.suspect = false;
        for entry in self.entries.iter_mut() {
            (entry.sent, entry.answered, entry.received) = (false, false, false);
        }
    }

    /// In a replay: the client connected, and nobody knows what was sent to it until it is gone.
    pub(crate) fn suspect_sent(&mut self, suspect: bool) {
        self.suspect = suspect;
        if suspect {
            self.entries.iter_mut().for_each(|entry| entry.maybe_sent = true);
        }
    }
}

/// The message need not be in memory.
fn let_go(entry: &mut Entry, spare: &mut u64) {
    if entry.seq.0 != 0 {
        *spare = spare.saturating_sub(entry.spare());
        entry.message = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_wire::mqtt::TopicName;
    use bytes::Bytes;

    const BOUNDS: Bounds = Bounds { messages: 10_000, bytes: 1 << 30 };

    impl Entry {
        /// An entry with a message of that text, at `seq` of the log.
        pub(crate) fn to_test(text: &str, seq: u64) -> Self {
            let topic = TopicName::parse("a").unwrap();
            let payload = Bytes::copy_from_slice(text.as_bytes());
            let message = Message::internal(topic, payload, QoS::AtLeastOnce, false, Timestamp::default());
            Self::new(&Arc::new(message), Seq(seq), QoS::AtLeastOnce, false, Box::default(), Extra::default())
        }
    }

    fn entry(text: &str) -> Entry {
        Entry::to_test(text, 1)
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
        assert_eq!((queue.front_len(), queue.backlog_len()), (ID_WINDOW, 2));
        assert!(queue.front().all(|e| e.packet_id != 0));
        queue.done(3);
        assert_eq!((queue.front_len(), queue.backlog_len()), (ID_WINDOW, 1));
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

    #[test]
    fn of_what_is_in_the_log_only_the_first_bytes_stay_in_memory() {
        let mut queue = Queue::default();
        let weight = u64::from(entry("x").weight);
        (1..=3).for_each(|seq| assert!(queue.push(Entry::to_test("x", seq), BOUNDS)));
        queue.push(Entry::to_test("nowhere", 0), BOUNDS);
        queue.push(Entry::to_test("x", 4), BOUNDS);
        queue.let_go_beyond(weight);
        let there: Vec<bool> = queue.front().map(|e| e.message.is_some()).collect();
        assert_eq!(there, [true, false, false, true]);
        queue.sent(0);
        assert!(queue.front().next().unwrap().message.is_none(), "what is under way need not stay");
        assert_eq!(queue.missing(0, 1), [Seq(2)], "one at least");
        assert_eq!(queue.missing(0, weight * 2), [Seq(2), Seq(3)]);
        queue.found(|seq| (seq.0 == 2).then(|| entry("x").message.unwrap()));
        assert_eq!(queue.missing(0, 1), [Seq(3)]);
        assert_eq!(queue.give_up(|seq| seq.0 == 3), [3]);
        assert_eq!(queue.missing(0, 1), []);
        // Taken out in any order, the count of what is in memory comes to nothing.
        for id in [3, 1, 5, 4, 2] {
            assert!(queue.done(id).is_some(), "{id}");
        }
        assert_eq!((queue.len(), queue.bytes, queue.spare), (0, 0, 0));
    }

    #[test]
    fn what_the_log_will_lose_is_held_wherever_it_waits() {
        let mut queue = Queue::default();
        let many = ID_WINDOW as u64 + 3;
        (1..=many).for_each(|seq| assert!(queue.push(Entry::to_test("x", seq), BOUNDS)));
        queue.let_go_beyond(0);
        assert_eq!(queue.oldest(), Some(Seq(1)));
        let last = Seq(many - 1);
        assert_eq!(queue.up_to(last).len() as u64, many - 1);
        queue.hold(|seq| (seq <= last).then(|| entry("x").message.unwrap()));
        assert_eq!(queue.oldest(), Some(Seq(many)));
        assert_eq!((queue.up_to(last), queue.spare), (vec![], 0));
        assert!(queue.front().all(|e| e.message.is_some()));
    }

    #[test]
    fn the_oldest_is_found_wherever_it_stands() {
        let numbers = [7, 9, 3, 0, 8, 2, 10, 4];
        let mut queue = Queue::default();
        numbers.iter().for_each(|seq| assert!(queue.push(Entry::to_test("x", *seq), BOUNDS)));
        let mut behind = Backlog::default();
        [8, 5].into_iter().for_each(|seq| behind.push(Entry::to_test("x", seq)));
        let in_order =
            vec![Entry { packet_id: 1, ..Entry::to_test("x", 3) }, Entry { packet_id: 2, ..Entry::to_test("x", 7) }];
        let again = Queue::restore(2, 0, in_order, Some(behind));
        assert_eq!(
            (again.oldest(), again.up_to(Seq(6))),
            (Some(Seq(3)), vec![Seq(3), Seq(5)]),
            "out of order behind the front"
        );
        let check = |queue: &mut Queue| {
            assert_eq!((queue.oldest(), queue.up_to(Seq(4))), (Some(Seq(2)), vec![Seq(3), Seq(2), Seq(4)]));
            (1..=6).for_each(|id| assert!(queue.done(id).is_some(), "{id}"));
            assert_eq!((queue.oldest(), queue.up_to(Seq(9))), (Some(Seq(4)), vec![Seq(4)]));
        };
        let mut again = Queue::restore(queue.last_id(), 0, queue.front().cloned().collect(), queue.backlog().cloned());
        check(&mut queue);
        check(&mut again);
        // In order again when what was out of order is gone.
        (7..=8).for_each(|id| drop(queue.done(id)));
        assert!(queue.push(Entry::to_test("x", 11), BOUNDS) && !queue.mixed);
    }

    #[test]
    fn what_comes_to_the_front_in_a_replay_while_its_client_was_there_may_have_been_sent() {
        let mut queue = Queue::default();
        (1..=ID_WINDOW as u64 + 2).for_each(|seq| assert!(queue.push(Entry::to_test("x", seq), BOUNDS)));
        queue.suspect_sent(true);
        queue.done(1);
        queue.suspect_sent(false);
        queue.done(2);
        let last_two: Vec<bool> = queue.front().skip(ID_WINDOW - 2).map(|e| e.maybe_sent).collect();
        assert_eq!(last_two, [true, false]);
    }
}
