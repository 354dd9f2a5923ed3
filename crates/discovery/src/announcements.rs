//! What was announced, as it came, within bounds.

use crate::Kind;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How much is kept of what anybody may announce. Each family has its own room, so that one does not drive another out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// Announcements of one family, with those that were taken back.
    pub count: usize,
    /// Bytes of all of these, names and payloads.
    pub bytes: usize,
    /// Bytes of one payload.
    pub payload: usize,
    /// Those of all families that were taken back, of which it is still told while nobody needs their room.
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
    /// Of each family, with those that were taken back.
    used: [Used; Kind::COUNT],
    refused: usize,
}

/// The room that is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Used {
    count: usize,
    bytes: usize,
}

impl Used {
    fn give_back(&mut self, one: &Announcement) {
        self.count -= 1;
        self.bytes -= one.bytes();
    }
}

impl Announcement {
    fn bytes(&self) -> usize {
        self.topic.len() + self.payload.len()
    }
}

impl Announcements {
    /// None yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Whether a message says nothing that is not known, so that [`Announcements::note`] would change nothing.
    #[must_use]
    pub fn knows(&self, topic: &str, kind: Kind, payload: &[u8]) -> bool {
        match self.there.get(topic) {
            None => payload.is_empty(),
            // Reports come all the time; what they look like is known from the longest one.
            Some(known) => {
                *known.payload == *payload
                    || (kind == Kind::Shelly && !payload.is_empty() && payload.len() <= known.payload.len())
            }
        }
    }

    /// Notes one. What is full keeps what it has: who announces much does not drive others out. Only what was taken back makes room.
    pub fn note(&mut self, topic: &str, kind: Kind, payload: &[u8], at: Timestamp) -> Noted {
        if self.knows(topic, kind, payload) {
            return Noted::Same;
        }
        if payload.is_empty() {
            return self.take_back(topic);
        }
        if payload.len() > self.limits.payload || topic.len() > 1024 {
            self.refused += 1;
            return Noted::TooLong;
        }
        let known = self.there.get(topic).or_else(|| self.gone.get(topic));
        let (more, before) = (usize::from(known.is_none()), known.map_or(0, Announcement::bytes));
        let needed =
            |used: Used| Used { count: used.count + more, bytes: used.bytes - before + topic.len() + payload.len() };
        let Limits { count: most, bytes: most_bytes, .. } = self.limits;
        let fits = |used: Used| used.bytes <= most_bytes && (more == 0 || used.count <= most);
        let full = needed(self.used[kind.place()]);
        if !fits(full) {
            let (mut count, mut bytes) = (full.count, full.bytes);
            for gone in self.gone.values().filter(|one| one.kind == kind && &*one.topic != topic) {
                (count, bytes) = (count - 1, bytes - gone.bytes());
            }
            if !fits(Used { count, bytes }) {
                self.refused += 1;
                return Noted::Full;
            }
        }
        while !fits(needed(self.used[kind.place()])) && self.forget_gone(kind, topic) {}
        self.used[kind.place()] = needed(self.used[kind.place()]);
        let known = self.gone.remove(topic);
        let known = self.there.get(topic).or(known.as_ref());
        let at = known.map_or(at, |known| known.at);
        let topic: Arc<str> = known.map_or_else(|| topic.into(), |known| known.topic.clone());
        self.there.insert(topic.clone(), Announcement { topic, kind, payload: payload.into(), at });
        Noted::New
    }

    /// Lets go of the first of this family that was taken back, but for the one of this topic.
    fn forget_gone(&mut self, kind: Kind, but: &str) -> bool {
        let of_family = |one: &&Announcement| one.kind == kind && &*one.topic != but;
        let Some(topic) = self.gone.values().find(of_family).map(|one| one.topic.clone()) else { return false };
        if let Some(gone) = self.gone.remove(&topic) {
            self.used[kind.place()].give_back(&gone);
        }
        true
    }

    fn take_back(&mut self, topic: &str) -> Noted {
        let Some(known) = self.there.remove(topic) else { return Noted::Same };
        if self.gone.len() < self.limits.gone && known.payload.len() <= 65_536 {
            self.gone.insert(known.topic.clone(), known);
        } else {
            self.used[known.kind.place()].give_back(&known);
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
        let gone = |all: &Announcements| all.gone().iter().map(|one| one.topic.to_string()).collect::<Vec<_>>();
        assert_eq!(gone(&all), ["b"]);
        assert_eq!(all.note("d", Kind::HomeAssistant, b"4", Timestamp::default()), Noted::New);
        assert_eq!(gone(&all), Vec::<String>::new(), "its place was needed");
        assert_eq!(all.figures(), (3, 2));
        // Another family has room of its own.
        assert_eq!(all.note("e", Kind::Shelly, b"5", Timestamp::default()), Noted::New);
    }

    #[test]
    fn what_was_taken_back_counts_and_makes_room() {
        let mut all = Announcements::new(LIMITS);
        let at = Timestamp::default();
        // Three times as long as the room, one after the other, and taken back.
        for topic in ["a", "b", "c"] {
            assert_eq!(all.note(topic, Kind::Tasmota, &[1; 19], at), Noted::New);
        }
        for topic in ["a", "b"] {
            assert_eq!(all.note(topic, Kind::Tasmota, b"", at), Noted::Gone);
        }
        let there = |all: &Announcements| {
            let names = |of: &BTreeMap<Arc<str>, Announcement>| of.keys().map(|it| it.to_string()).collect::<String>();
            (names(&all.there), names(&all.gone))
        };
        assert_eq!(all.note("d", Kind::Tasmota, &[1; 19], at), Noted::New);
        assert_eq!(there(&all), ("cd".to_owned(), "b".to_owned()), "no more than is needed");
        // What comes again needs no second place.
        assert_eq!(all.note("b", Kind::Tasmota, &[2; 19], at), Noted::New);
        assert_eq!(there(&all), ("bcd".to_owned(), String::new()));
        assert_eq!(all.note("e", Kind::Tasmota, &[1; 3], at), Noted::Full);
        // Another family's makes none, and nothing gives way for what does not fit all the same.
        assert_eq!(all.note("x", Kind::Shelly, &[1; 3], at), Noted::New);
        assert_eq!(all.note("x", Kind::Shelly, b"", at), Noted::Gone);
        assert_eq!(all.note("e", Kind::Tasmota, &[1; 3], at), Noted::Full);
        assert_eq!(there(&all), ("bcd".to_owned(), "x".to_owned()));
        assert!(all.knows("x", Kind::Shelly, b"") && !all.knows("b", Kind::Tasmota, b""));
    }

    proptest! {
        #[test]
        fn nothing_passes_the_bounds(steps in proptest::collection::vec(("[a-e]{1,3}", 0_usize..25), 0..60)) {
            let mut all = Announcements::new(LIMITS);
            for (topic, length) in steps {
                let (payload, before) = (vec![1; length], all.clone());
                let knows = all.knows(&topic, Kind::Shelly, &payload);
                let noted = all.note(&topic, Kind::Shelly, &payload, Timestamp::default());
                prop_assert_eq!(knows, noted == Noted::Same);
                prop_assert!(!knows || (before.there == all.there && before.gone == all.gone && before.refused == all.refused));
                let bytes = all.there.values().chain(all.gone.values()).map(Announcement::bytes).sum();
                let count = all.there.len() + all.gone.len();
                prop_assert_eq!(Used { count, bytes }, all.used[Kind::Shelly.place()]);
                prop_assert!(bytes <= LIMITS.bytes && count <= LIMITS.count && all.gone.len() <= LIMITS.gone);
                prop_assert!(all.gone.keys().all(|topic| !all.there.contains_key(topic)));
            }
        }
    }
}
