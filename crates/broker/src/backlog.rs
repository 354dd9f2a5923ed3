//! What waits behind the front of a queue: references into the log, a few bytes each, in order.
//!
//! A session that is away or does not read is a reader of the log that stands still. What it has not come to yet is there
//! already, so here stands only where. Messages that the log does not have, or will not have much longer, are held.

use crate::asks::Extra;
use crate::message::Message;
use crate::queue::Entry;
use andon_model::log::Seq;
use andon_model::varint;
use andon_wire::mqtt::QoS;
use std::collections::VecDeque;
use std::sync::Arc;

/// The bits of a reference's first byte.
mod bit {
    pub(super) const QOS_2: u8 = 1;
    pub(super) const RETAIN: u8 = 2;
    /// The message is not in the log but held.
    pub(super) const HELD: u8 = 4;
    /// Subscription identifiers follow.
    pub(super) const IDS: u8 = 8;
    /// As heavy as the one before; otherwise its weight follows.
    pub(super) const SAME_WEIGHT: u8 = 16;
    /// The number after that of the one before; otherwise the difference follows.
    pub(super) const NEXT: u8 = 32;
    /// The subscriber is told more; what follows.
    pub(super) const EXTRA: u8 = 64;
}

/// What the next reference is told from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Before {
    seq: u64,
    weight: u32,
}

/// Entries without packet identifiers, first in, first out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlog {
    references: VecDeque<u8>,
    held: VecDeque<Arc<Message>>,
    len: usize,
    /// What came before the first reference.
    front: Before,
    /// The last one.
    back: Before,
}

/// References that make no sense: bytes from a damaged file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Nonsense;

impl Backlog {
    /// References as [`Backlog::parts`] gave them. They are read once, so that nothing is found wrong later.
    pub(crate) fn restore(
        len: usize,
        front: (u64, u32),
        references: &[u8],
        held: VecDeque<Arc<Message>>,
    ) -> Result<Self, Nonsense> {
        let front = Before { seq: front.0, weight: front.1 };
        let references: VecDeque<u8> = references.iter().copied().collect();
        let mut backlog = Self { references, held, len, front, back: front };
        let mut walk = backlog.walk();
        let whole = walk.by_ref().count() == len;
        let (at, taken, back) = (walk.at, walk.held, walk.before);
        if !whole || at != backlog.references.len() || taken != backlog.held.len() {
            return Err(Nonsense);
        }
        backlog.back = back;
        Ok(backlog)
    }

    /// How many there are, what the first is told from, the references and the messages held.
    pub(crate) fn parts(
        &self,
    ) -> (usize, (u64, u32), impl Iterator<Item = u8>, impl ExactSizeIterator<Item = &Arc<Message>>) {
        let front = (self.front.seq, self.front.weight);
        (self.len, front, self.references.iter().copied(), self.held.iter())
    }

    pub(crate) fn held(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.held.iter()
    }

    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Appends an entry; of one that is in the log only where.
    pub(crate) fn push(&mut self, entry: Entry) {
        let held = entry.seq.0 == 0;
        let seq = if held { self.back.seq } else { entry.seq.0 };
        let (ahead, same) = (seq.wrapping_sub(self.back.seq), entry.weight == self.back.weight);
        let bytes = &mut self.references;
        let when = |yes: bool, bit: u8| if yes { bit } else { 0 };
        bytes.push_back(
            when(entry.qos == QoS::ExactlyOnce, bit::QOS_2)
                | when(entry.retain, bit::RETAIN)
                | when(held, bit::HELD)
                | when(!entry.ids.is_empty(), bit::IDS)
                | when(same, bit::SAME_WEIGHT)
                | when(ahead == 1, bit::NEXT)
                | when(entry.extra != Extra::default(), bit::EXTRA),
        );
        if !held && ahead != 1 {
            put(bytes, ahead);
        }
        if !same {
            put(bytes, u64::from(entry.weight));
        }
        if !entry.ids.is_empty() {
            put(bytes, entry.ids.len() as u64);
            entry.ids.iter().for_each(|id| put(bytes, u64::from(*id)));
        }
        if entry.extra != Extra::default() {
            let mut extra = Vec::new();
            entry.extra.put(&mut extra);
            bytes.extend(extra);
        }
        if let Some(message) = entry.message.filter(|_| held) {
            self.held.push_back(message);
        }
        self.back = Before { seq, weight: entry.weight };
        self.len += 1;
    }

    /// Takes the first entry.
    pub(crate) fn pop(&mut self) -> Option<Entry> {
        let mut walk = self.walk();
        let entry = walk.next()?;
        let Walk { at, held, before, .. } = walk;
        self.references.drain(..at);
        self.held.drain(..held);
        self.front = before;
        self.len -= 1;
        Some(entry)
    }

    const fn walk(&self) -> Walk<'_> {
        Walk { backlog: self, at: 0, held: 0, before: self.front, left: self.len }
    }

    /// Every entry, in order, without taking it.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> + '_ {
        self.walk()
    }

    /// Holds messages that the log is about to lose.
    pub(crate) fn hold(&mut self, mut found: impl FnMut(Seq) -> Option<Arc<Message>>) {
        let mut anew = Self::default();
        for entry in self.iter() {
            let message = if entry.seq.0 == 0 { None } else { found(entry.seq) };
            anew.push(match message {
                Some(message) => Entry { message: Some(message), seq: Seq(0), ..entry },
                None => entry,
            });
        }
        *self = anew;
    }
}

/// As [`varint::put`], at the end of a ring.
fn put(out: &mut VecDeque<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push_back((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push_back((number & 0x7F) as u8);
}

/// Reads the references from the first on.
struct Walk<'a> {
    backlog: &'a Backlog,
    /// The place of the next byte.
    at: usize,
    /// The place of the next message held.
    held: usize,
    before: Before,
    left: usize,
}

impl Walk<'_> {
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.backlog.references.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    fn number(&mut self) -> Option<u64> {
        let mut bytes = [0; 10];
        for place in &mut bytes {
            *place = self.byte()?;
            if *place & 0x80 == 0 {
                break;
            }
        }
        varint::take(&mut &bytes[..]).ok()
    }

    fn ids(&mut self) -> Option<Box<[u32]>> {
        let count = self.number()?;
        // Each takes a byte at least, so what is not there is not reserved for.
        let count = usize::try_from(count).ok().filter(|count| *count <= self.backlog.references.len())?;
        (0..count).map(|_| u32::try_from(self.number()?).ok()).collect()
    }
}

impl Iterator for Walk<'_> {
    type Item = Entry;

    fn next(&mut self) -> Option<Entry> {
        self.left = self.left.checked_sub(1)?;
        let bits = self.byte()?;
        let set = |bit: u8| bits & bit != 0;
        let seq = match (set(bit::HELD), set(bit::NEXT)) {
            (true, _) => self.before.seq,
            (false, true) => self.before.seq.wrapping_add(1),
            (false, false) => self.before.seq.wrapping_add(self.number()?),
        };
        let weight = if set(bit::SAME_WEIGHT) { self.before.weight } else { u32::try_from(self.number()?).ok()? };
        let ids = if set(bit::IDS) { self.ids()? } else { Box::default() };
        let extra = if set(bit::EXTRA) { Extra::take(|| self.byte().ok_or(())).ok()? } else { Extra::default() };
        self.before = Before { seq, weight };
        let message = if set(bit::HELD) {
            self.held += 1;
            Some(self.backlog.held.get(self.held - 1)?.clone())
        } else {
            None
        };
        let seq = Seq(if set(bit::HELD) { 0 } else { seq });
        Some(Entry {
            qos: if set(bit::QOS_2) { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
            retain: set(bit::RETAIN),
            ids,
            extra,
            ..Entry::waiting(message, seq, weight)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_wire::mqtt::TopicName;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn message(text: &str) -> Arc<Message> {
        let topic = TopicName::parse("a").unwrap();
        let payload = Bytes::copy_from_slice(text.as_bytes());
        Arc::new(Message::internal(topic, payload, QoS::AtLeastOnce, false, Timestamp::default()))
    }

    fn arbitrary_entry() -> impl Strategy<Value = Entry> {
        let weight = prop_oneof![Just(300_u32), any::<u32>()];
        let ids = proptest::collection::vec(any::<u32>(), 0..3);
        let flags = (any::<bool>(), any::<bool>(), any::<bool>(), (any::<bool>(), any::<bool>(), 0_u32..3));
        (0_u64..4, weight, ids, flags).prop_map(|(ahead, weight, ids, (held, two, retain, extra))| Entry {
            qos: if two { QoS::ExactlyOnce } else { QoS::AtLeastOnce },
            retain,
            ids: ids.into_boxed_slice(),
            extra: Extra { asked: extra.0, origin: extra.1, left_out: extra.2.saturating_mul(70_000), past: false },
            ..Entry::waiting(held.then(|| message("held")), Seq(if held { 0 } else { ahead }), weight)
        })
    }

    proptest! {
        #[test]
        fn what_goes_in_comes_out_in_order_also_over_a_snapshot(
            entries in proptest::collection::vec(arbitrary_entry(), 0..40),
            taken in 0_usize..40,
            start in any::<u32>(),
        ) {
            let mut at = u64::from(start);
            let entries: Vec<Entry> = entries
                .into_iter()
                .map(|entry| {
                    at += entry.seq.0;
                    Entry { seq: Seq(if entry.message.is_some() { 0 } else { at.max(1) }), ..entry }
                })
                .collect();
            let mut backlog = Backlog::default();
            entries.iter().for_each(|entry| backlog.push(entry.clone()));
            let taken = taken.min(entries.len());
            for entry in &entries[..taken] {
                prop_assert_eq!(&backlog.pop().unwrap(), entry);
            }
            let (len, front, references, held) = backlog.parts();
            let held: VecDeque<_> = held.cloned().collect();
            let bytes: Vec<u8> = references.collect();
            let mut again = Backlog::restore(len, front, &bytes, held).unwrap();
            again.push(entries.first().cloned().unwrap_or_else(|| Entry::to_test("a", 1)));
            for entry in &entries[taken..] {
                prop_assert_eq!(&again.pop().unwrap(), entry);
            }
            prop_assert_eq!(again.len(), 1);
        }

        #[test]
        fn damaged_references_are_refused_or_read_to_their_end(
            len in 0_usize..20,
            bytes in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            if let Ok(backlog) = Backlog::restore(len, (5, 300), &bytes, VecDeque::new()) {
                prop_assert_eq!(backlog.iter().count(), len);
            }
        }
    }

    #[test]
    fn a_message_that_waits_takes_a_byte_or_three() {
        let mut backlog = Backlog::default();
        for seq in 1..=100_000_u64 {
            backlog.push(Entry { seq: Seq(seq * 3), message: None, ..Entry::to_test("a", 1) });
        }
        assert!(backlog.references.len() < 250_000, "{}", backlog.references.len());
        assert_eq!(backlog.iter().next().unwrap().seq, Seq(3));
    }

    #[test]
    fn what_the_log_will_lose_is_held_and_the_order_stays() {
        let mut backlog = Backlog::default();
        (1..=4).for_each(|seq| backlog.push(Entry { seq: Seq(seq), message: None, ..Entry::to_test("a", 1) }));
        backlog.hold(|seq| (seq.0 <= 2).then(|| message(&seq.0.to_string())));
        let got: Vec<_> = backlog.iter().map(|e| (e.seq.0, e.message.map(|m| m.payload.to_vec()))).collect();
        assert_eq!(got, [(0, Some(b"1".to_vec())), (0, Some(b"2".to_vec())), (3, None), (4, None)]);
    }
}
