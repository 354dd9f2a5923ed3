//! Messages that were accepted and are kept from everybody until a person decides.
//!
//! They stand in the lane like others, so "yes" means that they are on disk. What is here is part of the durable state: it changes by
//! applied operations only, and in a replay in the same way. Budget of one more: some look-ups in trees of at most
//! [`QUARANTINE_MESSAGES`], for a client may send them as fast as it can.

use crate::frames::SessionNo;
use crate::message::Message;
use andon_model::access::Principal;
use andon_wire::mqtt::{QoS, Text};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// The most messages that are kept. Part of the lane's format: a replay must let go of the same ones.
pub const QUARANTINE_MESSAGES: usize = 1_000;
/// The most bytes that they count for together. Part of the lane's format.
pub const QUARANTINE_BYTES: u64 = 16 << 20;

/// The most messages of QoS 0 that are kept of a publisher under a rule.
pub const QUARANTINE_PASSING: usize = 20;

/// A message in quarantine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Withheld {
    /// The message, as it was published.
    pub message: Arc<Message>,
    /// The session it came from.
    pub publisher: SessionNo,
    /// With QoS 2 the packet identifier to remember until PUBREL; else 0.
    pub packet_id: u16,
    /// The session whose will it is, which has none from now on.
    pub will_of: SessionNo,
    /// Who published it; nil where nobody was connected.
    pub by: Uuid,
    /// The rule that it breaks.
    pub rule: Text,
    /// How.
    pub words: Text,
}

impl Withheld {
    /// What it counts for against the bounds. Part of the lane's format.
    fn weight(&self) -> u64 {
        let message = &*self.message;
        let more = [
            message.content_type.as_ref().map_or(0, |text| text.as_bytes().len()),
            message.response_topic.as_ref().map_or(0, |topic| topic.as_bytes().len()),
            message.correlation_data.as_ref().map_or(0, |data| data.len()),
            self.rule.as_bytes().len(),
            self.words.as_bytes().len(),
        ];
        (message.weight() + more.into_iter().sum::<usize>()) as u64
    }

    /// Who published it; a will's is whoever set it. Nil where nobody was connected.
    fn whose(&self) -> Uuid {
        self.message.user.as_ref().map_or(self.by, |user| user.id)
    }

    /// Who published it, as people mean it: a credential or, without one, a client.
    #[must_use]
    pub fn publisher(&self) -> (Uuid, Option<&Text>) {
        let whose = self.whose();
        let is_nobody = whose.is_nil() || whose == Principal::ANONYMOUS.id;
        (whose, self.message.publisher.as_ref().filter(|_| is_nobody))
    }

    /// Of which rule and of whom it is.
    fn share(&self) -> Share {
        (self.rule.clone(), self.whose())
    }
}

/// What one publisher has here under one rule.
type Share = (Text, Uuid);

/// The messages of one [`Share`].
#[derive(Debug, Default)]
struct Held {
    bytes: u64,
    numbers: BTreeSet<u64>,
    /// How many of them have QoS 0.
    passing: usize,
}

/// All that is in quarantine, by the number of the operation that brought it there.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    kept: BTreeMap<u64, Arc<Withheld>>,
    bytes: u64,
    shares: HashMap<Share, Held>,
    /// The shares by their bytes. Where two have as many, their names decide, so that a replay comes to the same.
    largest: BTreeSet<(u64, Share)>,
    /// How many had to go for others since the start.
    pub(crate) pushed_out: u64,
    /// How many of QoS 0 were not taken since the start.
    pub(crate) not_taken: u64,
}

impl Quarantine {
    pub(crate) fn len(&self) -> usize {
        self.kept.len()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &Arc<Withheld>)> {
        self.kept.iter().map(|(seq, withheld)| (*seq, withheld))
    }

    pub(crate) fn get(&self, seq: u64) -> Option<&Arc<Withheld>> {
        self.kept.get(&seq)
    }

    /// Whether one more is taken, before it is written; what is not is counted. Of QoS 0 a publisher has [`QUARANTINE_PASSING`] under
    /// a rule at most: nobody waits for its acknowledgement, so nothing else would slow it down.
    pub(crate) fn takes(&mut self, withheld: &Withheld) -> bool {
        let passing = self.shares.get(&withheld.share()).map_or(0, |held| held.passing);
        let takes = withheld.message.qos != QoS::AtMostOnce || passing < QUARANTINE_PASSING;
        self.not_taken += u64::from(!takes);
        takes
    }

    /// Keeps one more. Where there is no room, the oldest of the publisher and rule goes that has the most bytes here: who sends
    /// nothing but nonsense pushes out its own.
    pub(crate) fn put(&mut self, seq: u64, withheld: Arc<Withheld>) {
        let (weight, share) = (withheld.weight(), withheld.share());
        self.bytes += weight;
        let held = self.shares.entry(share.clone()).or_default();
        self.largest.remove(&(held.bytes, share.clone()));
        held.bytes += weight;
        held.numbers.insert(seq);
        held.passing += usize::from(withheld.message.qos == QoS::AtMostOnce);
        self.largest.insert((held.bytes, share));
        self.kept.insert(seq, withheld);
        while self.kept.len() > QUARANTINE_MESSAGES || self.bytes > QUARANTINE_BYTES {
            let largest = self.largest.last().and_then(|(_, share)| self.shares.get(share));
            let Some(oldest) = largest.and_then(|held| held.numbers.first().copied()) else { return };
            self.take(oldest);
            self.pushed_out += 1;
        }
    }

    pub(crate) fn take(&mut self, seq: u64) -> Option<Arc<Withheld>> {
        let withheld = self.kept.remove(&seq)?;
        let (weight, share) = (withheld.weight(), withheld.share());
        self.bytes -= weight;
        if let Some(held) = self.shares.get_mut(&share) {
            self.largest.remove(&(held.bytes, share.clone()));
            held.bytes -= weight;
            held.numbers.remove(&seq);
            held.passing -= usize::from(withheld.message.qos == QoS::AtMostOnce);
            if held.numbers.is_empty() {
                self.shares.remove(&share);
            } else {
                self.largest.insert((held.bytes, share));
            }
        }
        Some(withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_wire::mqtt::{QoS, TopicName};

    fn of(rule: &str, by: u128, qos: QoS, bytes: usize) -> Arc<Withheld> {
        let topic = TopicName::parse("a").unwrap();
        let message = Message::internal(topic, vec![b'x'; bytes].into(), qos, false, Timestamp::default());
        let none = SessionNo::NODE;
        let (rule, words) = (Text::parse(rule).unwrap(), Text::parse("w").unwrap());
        Arc::new(Withheld {
            message: Arc::new(message),
            publisher: none,
            packet_id: 0,
            will_of: none,
            by: Uuid::from_u128(by),
            rule,
            words,
        })
    }

    fn withheld(rule: &str, bytes: usize) -> Arc<Withheld> {
        of(rule, 0, QoS::AtLeastOnce, bytes)
    }

    #[test]
    fn who_sends_the_most_pushes_out_its_own() {
        let mut quarantine = Quarantine::default();
        quarantine.put(1, withheld("quiet", 10));
        for seq in 2..=QUARANTINE_MESSAGES as u64 + 10 {
            quarantine.put(seq, withheld("loud", 10));
        }
        assert_eq!((quarantine.len(), quarantine.pushed_out), (QUARANTINE_MESSAGES, 10));
        assert!(quarantine.get(1).is_some() && quarantine.get(2).is_none());
        quarantine.put(9_999, withheld("large", usize::try_from(QUARANTINE_BYTES).unwrap()));
        assert!(quarantine.bytes <= QUARANTINE_BYTES && quarantine.get(9_999).is_none(), "bytes count too");
        assert!(quarantine.get(1).is_some());
        let all: Vec<u64> = quarantine.iter().map(|(seq, _)| seq).collect();
        all.into_iter().for_each(|seq| assert!(quarantine.take(seq).is_some()));
        assert_eq!(quarantine.bytes, 0);
        assert!(quarantine.shares.is_empty() && quarantine.largest.is_empty());
    }

    #[test]
    fn under_one_rule_one_publisher_does_not_push_out_what_others_sent() {
        let mut quarantine = Quarantine::default();
        quarantine.put(1, of("r", 1, QoS::AtLeastOnce, 10));
        for seq in 2..=QUARANTINE_MESSAGES as u64 + 10 {
            quarantine.put(seq, of("r", 2, QoS::AtLeastOnce, 10));
        }
        assert!(quarantine.get(1).is_some() && quarantine.get(2).is_none());
    }

    #[test]
    fn what_is_pushed_out_is_the_same_from_a_snapshot_and_from_the_begin() {
        let weights = |seq: u64| of(["a", "b", "c"][(seq % 3) as usize], u128::from(seq % 7), QoS::AtLeastOnce, 10);
        let (mut whole, mut later) = (Quarantine::default(), Quarantine::default());
        for seq in 1..=3_000 {
            whole.put(seq, weights(seq));
            later.put(seq, weights(seq));
            if seq == 1_500 {
                // As a snapshot is read: those that are there, in their order.
                let kept: Vec<_> = later.iter().map(|(seq, withheld)| (seq, withheld.clone())).collect();
                later = Quarantine::default();
                kept.into_iter().for_each(|(seq, withheld)| later.put(seq, withheld));
            }
        }
        let numbers = |quarantine: &Quarantine| quarantine.iter().map(|(seq, _)| seq).collect::<Vec<_>>();
        assert_eq!(numbers(&whole), numbers(&later));
    }

    #[test]
    fn of_qos_0_a_publisher_has_a_small_share_and_the_rest_is_counted() {
        let mut quarantine = Quarantine::default();
        let mut seq = 0;
        let mut offer = |by, qos| {
            let withheld = of("r", by, qos, 10);
            let takes = quarantine.takes(&withheld);
            seq += 1;
            if takes {
                quarantine.put(seq, withheld);
            }
            (takes, quarantine.not_taken)
        };
        for _ in 0..QUARANTINE_PASSING {
            assert_eq!(offer(1, QoS::AtMostOnce), (true, 0));
        }
        assert_eq!(offer(1, QoS::AtMostOnce), (false, 1));
        assert_eq!(offer(1, QoS::AtLeastOnce), (true, 1), "what is acknowledged is kept");
        assert_eq!(offer(2, QoS::AtMostOnce), (true, 1));
        quarantine.take(1);
        assert!(quarantine.takes(&of("r", 1, QoS::AtMostOnce, 10)), "there is room again");
    }
}
