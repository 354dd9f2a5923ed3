//! What came under a rule since it is in force, and who broke it. Bounded, in memory.

use crate::{Breach, Offered};
use andon_model::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The most offenders remembered of a rule: a publisher on a topic.
const OFFENDERS: usize = 64;
/// The most topics of them for one publisher.
const TOPICS_OF_ONE: usize = 16;
/// Where there is no room, offenders go that did nothing for so long.
const FORGET_AFTER: Duration = Duration::from_secs(3_600);
/// How much of a payload is kept, in bytes.
pub const PAYLOAD_BEGIN: usize = 256;
/// How much of a topic is kept, in bytes.
const TOPIC_BEGIN: usize = 1_024;

/// The book of a rule.
#[derive(Debug)]
pub struct Book {
    /// Since when it counts.
    pub since: Timestamp,
    matched: AtomicU64,
    broke: AtomicU64,
    offenders: Mutex<Offenders>,
}

#[derive(Debug, Default)]
struct Offenders {
    known: Vec<Offender>,
    others: u64,
}

/// A publisher that broke the rule on a topic.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offender {
    /// The client, as the broker names it.
    pub client_id: String,
    /// Who that is; nil: nobody was connected.
    pub by: Uuid,
    /// Where, its first 1,024 bytes.
    pub topic: String,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
    /// How it was broken, the last time.
    pub words: String,
    /// The begin of the payload, the last time.
    pub payload: Vec<u8>,
    /// The size of that payload, in bytes.
    pub size: usize,
}

/// How a rule stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Messages that came under it.
    pub matched: u64,
    /// Those of them that broke it.
    pub broke: u64,
    /// Who did, the last ones first.
    pub offenders: Vec<Offender>,
    /// How many messages broke it for whose publisher there was no room.
    pub others: u64,
}

impl Book {
    pub(crate) fn new(since: Timestamp) -> Self {
        Self { since, matched: AtomicU64::new(0), broke: AtomicU64::new(0), offenders: Mutex::default() }
    }

    fn offenders(&self) -> MutexGuard<'_, Offenders> {
        self.offenders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message came under the rule.
    pub fn matched(&self) {
        self.matched.fetch_add(1, Ordering::Relaxed);
    }

    /// It broke the rule.
    pub fn broke(&self, client_id: &str, by: Uuid, offered: &Offered<'_>, breach: &Breach, now: Timestamp) {
        self.broke.fetch_add(1, Ordering::Relaxed);
        let topic = begin_of(offered.topic);
        let payload = offered.payload.get(..PAYLOAD_BEGIN).unwrap_or(offered.payload);
        let mut offenders = self.offenders();
        let Offenders { known, others } = &mut *offenders;
        let same = known.iter_mut().find(|one| one.client_id == client_id && one.by == by && one.topic == topic);
        if let Some(one) = same {
            one.count += 1;
            one.last = now;
            one.words.clone_from(&breach.words);
            payload.clone_into(&mut one.payload);
            one.size = offered.payload.len();
            return;
        }
        if known.len() >= OFFENDERS {
            known.retain(|one| now.since(one.last) < FORGET_AFTER);
        }
        // One publisher with ever new topics leaves room for others.
        let of_one = known.iter().filter(|one| one.client_id == client_id).count();
        if known.len() >= OFFENDERS || of_one >= TOPICS_OF_ONE {
            *others += 1;
            return;
        }
        known.push(Offender {
            client_id: client_id.to_owned(),
            by,
            topic: topic.to_owned(),
            count: 1,
            first: now,
            last: now,
            words: breach.words.clone(),
            payload: payload.to_owned(),
            size: offered.payload.len(),
        });
    }

    /// How the rule stands.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let (matched, broke) = self.counts();
        let offenders = self.offenders();
        let mut known = offenders.known.clone();
        known.sort_by_key(|one| std::cmp::Reverse(one.last));
        Standing { matched, broke, offenders: known, others: offenders.others }
    }

    /// Messages that came under the rule, and those that broke it.
    #[must_use]
    pub fn counts(&self) -> (u64, u64) {
        (self.matched.load(Ordering::Relaxed), self.broke.load(Ordering::Relaxed))
    }
}

fn begin_of(topic: &str) -> &str {
    let end = (0..=TOPIC_BEGIN.min(topic.len())).rev().find(|end| topic.is_char_boundary(*end)).unwrap_or(0);
    topic.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Part;

    #[test]
    fn offenders_are_counted_by_publisher_and_topic_and_none_takes_all_the_room() {
        let book = Book::new(Timestamp::default());
        let breach = |words: &str| Breach { part: Part::Payload, words: words.to_owned() };
        let broke = |client: &str, topic: &str, at: i64| {
            let offered = Offered { topic, payload: &[b'x'; 300], retain: false };
            book.broke(client, Uuid::from_u128(1), &offered, &breach(topic), Timestamp::from_millis(at));
        };
        broke("quiet", "a", 0);
        broke("quiet", "a", 5);
        for n in 0..40 {
            broke("loud", &format!("t/{n}"), 10 + n);
        }
        for n in 0..60 {
            broke(&format!("many-{n}"), "b", 100 + n);
        }
        let standing = book.standing();
        assert_eq!((standing.broke, standing.offenders.len()), (102, OFFENDERS));
        assert_eq!(standing.others, 24 + 13);
        let quiet = standing.offenders.iter().find(|one| one.client_id == "quiet").expect("it is there");
        assert_eq!((quiet.count, quiet.first.millis(), quiet.last.millis()), (2, 0, 5));
        assert_eq!((quiet.payload.len(), quiet.size), (PAYLOAD_BEGIN, 300));
        assert_eq!(standing.offenders[0].client_id, "many-46", "the last one first");
        let hours = 2 * 3_600_000;
        broke("new", "c", hours);
        assert_eq!(book.standing().offenders.len(), 1, "what is long over makes room");
    }
}
