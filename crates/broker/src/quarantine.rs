//! Messages that were accepted and are kept from everybody until a person decides.
//!
//! They stand in the lane like others, so "yes" means that they are on disk. What is here is part of the durable state: it changes by
//! applied operations only, and in a replay in the same way.

use crate::frames::SessionNo;
use crate::message::Message;
use andon_wire::mqtt::Text;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The most messages that are kept. Part of the lane's format: a replay must let go of the same ones.
pub const QUARANTINE_MESSAGES: usize = 1_000;
/// The most bytes that they count for together. Part of the lane's format.
pub const QUARANTINE_BYTES: u64 = 16 << 20;

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

/// All that is in quarantine, by the number of the operation that brought it there.
#[derive(Debug, Default)]
pub(crate) struct Quarantine {
    kept: BTreeMap<u64, Arc<Withheld>>,
    bytes: u64,
    /// How many had to go for others since the start.
    pub(crate) pushed_out: u64,
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

    /// Keeps one more. Where there is no room, the oldest of the rule goes that has the most bytes here: one publisher that sends
    /// nothing but nonsense does not push out what others sent.
    pub(crate) fn put(&mut self, seq: u64, withheld: Arc<Withheld>) {
        self.bytes += withheld.message.weight() as u64;
        self.kept.insert(seq, withheld);
        while self.kept.len() > QUARANTINE_MESSAGES || self.bytes > QUARANTINE_BYTES {
            let mut by_rule: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
            for (seq, withheld) in &self.kept {
                by_rule.entry(withheld.rule.as_str()).or_insert((0, *seq)).0 += withheld.message.weight() as u64;
            }
            let Some((_, oldest)) = by_rule.into_values().max_by_key(|(bytes, _)| *bytes) else { return };
            self.take(oldest);
            self.pushed_out += 1;
        }
    }

    pub(crate) fn take(&mut self, seq: u64) -> Option<Arc<Withheld>> {
        let withheld = self.kept.remove(&seq)?;
        self.bytes = self.bytes.saturating_sub(withheld.message.weight() as u64);
        Some(withheld)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_wire::mqtt::{QoS, TopicName};

    fn withheld(rule: &str, bytes: usize) -> Arc<Withheld> {
        let topic = TopicName::parse("a").unwrap();
        let message = Message::internal(topic, vec![b'x'; bytes].into(), QoS::AtLeastOnce, false, Timestamp::default());
        let none = SessionNo::NODE;
        let (rule, words) = (Text::parse(rule).unwrap(), Text::parse("w").unwrap());
        Arc::new(Withheld {
            message: Arc::new(message),
            publisher: none,
            packet_id: 0,
            will_of: none,
            by: Uuid::nil(),
            rule,
            words,
        })
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
    }
}
