//! What was announced, as it came, within bounds.

use crate::Kind;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much is kept of what anybody may announce. Each family has its own room, so that one does not drive another out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Announcements of one family.
    pub count: usize,
    /// Bytes of all of these, names and payloads.
    pub bytes: usize,
    /// Bytes of one payload.
    pub payload: usize,
    /// Those that were taken back, of which it is still told.
    pub gone: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { count: 5000, bytes: 8 << 20, payload: 2 << 20, gone: 1000 }
    }
}

/// One of them.
#[derive(Clone, PartialEq, Debug)]
pub struct Announcement {
    /// Where it came.
    pub topic: Arc<str>,
    /// What that topic is.
    pub kind: Kind,
    /// What it said; empty when it was taken back.
    pub payload: Arc<[u8]>,
    /// When something was first announced there, as far as is known since the start: what is read comes in this order, whatever its words become.
    pub at: Timestamp,
}

/// What became of an announcement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Noted {
    /// It says something new.
    New,
    /// It is as before, or says nothing.
    Same,
    /// It took an earlier one back.
    Gone,
    /// There is no room for it.
    Full,
    /// It is too long.
    TooLong,
}

/// All of them, by topic.
#[derive(Clone, Debug, Default)]
pub struct Announcements {
    limits: Limits,
    there: BTreeMap<Arc<str>, Announcement>,
    gone: BTreeMap<Arc<str>, Announcement>,
    /// How many there are of each family, and of how many bytes.
    used: [(usize, usize); Kind::ALL],
    refused: usize,
}

impl Announcements {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Notes one. What is full keeps what it has: who announces much does not drive others out.
    pub fn note(&mut self, topic: &str, kind: Kind, payload: &[u8], at: Timestamp) -> Noted {
        if payload.is_empty() {
            return self.take_back(topic);
        }
        if payload.len() > self.limits.payload || topic.len() > 1024 {
            self.refused += 1;
            return Noted::TooLong;
        }
        let known = self.there.get(topic);
        if known.is_some_and(|known| *known.payload == *payload) {
            return Noted::Same;
        }
        // Reports come all the time; what they look like is known from the longest one.
        if kind == Kind::Shelly && known.is_some_and(|known| payload.len() <= known.payload.len()) {
            return Noted::Same;
        }
        let before = known.map_or(0, |known| known.topic.len() + known.payload.len());
        let Some(used) = self.used.get_mut(kind as usize) else { return Noted::Full };
        let bytes = used.1 - before + topic.len() + payload.len();
        if bytes > self.limits.bytes || (known.is_none() && used.0 >= self.limits.count) {
            self.refused += 1;
            return Noted::Full;
        }
        let at = known.map_or(at, |known| known.at);
        let topic: Arc<str> = known.map_or_else(|| topic.into(), |known| known.topic.clone());
        self.gone.remove(&topic);
        *used = (used.0 + usize::from(known.is_none()), bytes);
        self.there.insert(topic.clone(), Announcement { topic, kind, payload: payload.into(), at });
        Noted::New
    }

    fn take_back(&mut self, topic: &str) -> Noted {
        let Some(known) = self.there.remove(topic) else { return Noted::Same };
        if let Some(used) = self.used.get_mut(known.kind as usize) {
            *used = (used.0 - 1, used.1 - known.topic.len() - known.payload.len());
        }
        if self.gone.len() < self.limits.gone && known.payload.len() <= 65_536 {
            self.gone.insert(known.topic.clone(), known);
        }
        Noted::Gone
    }

    /// Those that are there.
    pub fn iter(&self) -> impl Iterator<Item = &Announcement> {
        self.there.values()
    }

    /// Those that are there, who came first before who came later.
    pub fn by_arrival(&self) -> impl Iterator<Item = &Announcement> {
        let mut all: Vec<&Announcement> = self.there.values().collect();
        all.sort_by_key(|one| one.at);
        all.into_iter()
    }

    /// One by its topic.
    #[must_use]
    pub fn get(&self, topic: &str) -> Option<&Announcement> {
        self.there.get(topic)
    }

    /// Those that were taken back since the start, as announcements of their own.
    #[must_use]
    pub fn gone(&self) -> Self {
        Self { limits: self.limits, there: self.gone.clone(), ..Self::default() }
    }

    /// How many are there, and how many found no room.
    #[must_use]
    pub fn figures(&self) -> (usize, usize) {
        (self.there.len(), self.refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { count: 3, bytes: 60, payload: 20, gone: 2 };

    #[test]
    fn what_is_full_keeps_what_it_has_and_an_empty_one_makes_room() {
        let mut all = Announcements::new(LIMITS);
        let mut note =
            |topic: &str, payload: &str| all.note(topic, Kind::HomeAssistant, payload.as_bytes(), Timestamp::default());
        assert_eq!(note("a", "1"), Noted::New);
        assert_eq!(note("a", "1"), Noted::Same);
        assert_eq!(note("b", "2"), Noted::New);
        assert_eq!(note("c", "3"), Noted::New);
        assert_eq!(note("d", "4"), Noted::Full);
        assert_eq!(note("c", "333"), Noted::New);
        assert_eq!(note("c", &"3".repeat(21)), Noted::TooLong);
        assert_eq!(note("c", &"3".repeat(20)), Noted::New);
        assert_eq!(note("b", ""), Noted::Gone);
        assert_eq!(note("b", ""), Noted::Same);
        assert_eq!(note("d", "4"), Noted::New);
        assert_eq!(all.gone().iter().map(|one| &*one.topic).collect::<Vec<_>>(), ["b"]);
        assert_eq!(all.figures(), (3, 2));
        // Another family has room of its own.
        assert_eq!(all.note("e", Kind::Shelly, b"5", Timestamp::default()), Noted::New);
    }

    proptest! {
        #[test]
        fn nothing_passes_the_bounds(steps in proptest::collection::vec(("[a-e]{1,3}", 0_usize..25), 0..60)) {
            let mut all = Announcements::new(LIMITS);
            for (topic, length) in steps {
                all.note(&topic, Kind::Shelly, &vec![1; length], Timestamp::default());
                let bytes: usize = all.iter().map(|one| one.topic.len() + one.payload.len()).sum();
                prop_assert_eq!((all.there.len(), bytes), all.used[Kind::Shelly as usize]);
                prop_assert!(bytes <= LIMITS.bytes && all.there.len() <= LIMITS.count && all.gone.len() <= LIMITS.gone);
            }
        }
    }
}
