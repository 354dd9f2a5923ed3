//! What a subscription that asked for less is not sent: the newest of each topic waits here instead of all in the queue.
//!
//! **Idea.** A message either passes, or waits for its turn, or is left out. One that waits makes way for a newer one of its
//! topic, so what waits takes a place a topic and no more. It enters the queue (QoS 1 and 2) or is written (QoS 0) when
//! there is room: what was left out was never under way.
//!
//! **Invariants**
//! - Of a topic the newest is never left out while nothing newer passes, but for what is within a deadband.
//! - At most [`TOPICS`] topics with [`NAME_BYTES`] of names are kept track of, and of messages that are nowhere else
//!   [`HELD_BYTES`]. What is beyond passes as if nothing had been asked for.
//! - It goes by the times it is given, so that a replay leaves out what was left out.

use crate::asks::Deliver;
use crate::message::Message;
use crate::queue::Entry;
use andon_model::Timestamp;
use andon_model::log::Seq;
use andon_wire::mqtt::TopicName;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// The most topics of a session that are kept track of. Part of the format: it decides what a replay leaves out.
pub(crate) const TOPICS: usize = if cfg!(test) { 3 } else { 10_000 };
/// The most bytes their names take. Part of the format.
const NAME_BYTES: usize = 2 << 20;
/// The most bytes of messages that wait and are not in the log.
const HELD_BYTES: usize = 8 << 20;

/// What becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Offered {
    /// It goes on its way; `None`: it waits, or is left out.
    pub(crate) pass: Option<Entry>,
    /// One was left out: this one, or an older one that waited.
    pub(crate) left_out: bool,
}

/// When something is due, and its turn among what is due then.
type Turn = (Timestamp, u64);

/// What is known of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Track {
    /// Nothing is sent before, of a subscription with an interval; of one with a deadband, until when what was sent holds.
    pub(crate) until: Timestamp,
    /// The interval in milliseconds; 0: none.
    pub(crate) every_ms: u32,
    /// The bits of the last value sent, or of the one that waits, of a subscription with a deadband.
    pub(crate) value: Option<u64>,
    /// Left out since the last one that was sent.
    pub(crate) left_out: u32,
    /// When its turn comes: to be sent if something waits, else to be forgotten.
    pub(crate) turn: Turn,
    pub(crate) waiting: Option<Entry>,
}

impl Track {
    const fn interval(&self) -> Duration {
        Duration::from_millis(self.every_ms as u64)
    }

    /// Whether its interval is over, also where the clock was put back by more than that.
    fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now || self.until > now.plus(self.interval())
    }
}

/// What is kept track of for a session, or for a connection.
#[derive(Debug, Default)]
pub(crate) struct Sieve {
    tracks: BTreeMap<TopicName, Track>,
    /// Topics of which something waits.
    due: BTreeMap<Turn, TopicName>,
    /// Topics of which nothing waits, with an interval that is not over.
    idle: BTreeMap<Turn, TopicName>,
    next_turn: u64,
    name_bytes: usize,
    /// Of messages that wait here and are not in the log.
    held_bytes: usize,
    /// Of messages that wait here and are in the log, too.
    spare_bytes: u64,
}

impl Sieve {
    pub(crate) fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Decides about a message, which is in the entry. `room`: it could be sent now. `spare`: so many bytes of messages that
    /// the log has may stay in memory.
    pub(crate) fn offer(&mut self, deliver: Deliver, entry: Entry, now: Timestamp, room: bool, spare: u64) -> Offered {
        let Some(message) = entry.message.clone() else { return Offered { pass: Some(entry), left_out: false } };
        self.forget_idle(now);
        self.bring_back(now);
        let topic = &message.topic;
        let track = self.tracks.get(topic);
        let may_pass = match deliver {
            Deliver::All => true,
            Deliver::Latest => room,
            Deliver::Every { .. } => room && track.is_none_or(|track| track.is_over(now)),
            Deliver::Deadband { bits } => {
                // What waits is not sent yet, so nothing is told from it: the newest takes its place.
                // Nor from what may have expired on its way.
                let sent =
                    track.filter(|track| track.waiting.is_none() && track.until > now).and_then(|track| track.value);
                let within = |value: f64, sent: u64| (value - f64::from_bits(sent)).abs() < f64::from_bits(bits);
                if number(&message.payload).zip(sent).is_some_and(|(value, sent)| within(value, sent)) {
                    if let Some(track) = self.tracks.get_mut(topic) {
                        track.left_out = track.left_out.saturating_add(1);
                    }
                    return Offered { pass: None, left_out: true };
                }
                room
            }
        };
        let fits = entry.seq.0 != 0 || self.held_bytes.saturating_add(message.size()) <= HELD_BYTES;
        if may_pass || !fits || !self.has_place(topic) {
            return self.pass(deliver, entry, &message, now);
        }
        self.wait(deliver, entry, &message, now, spare)
    }

    fn has_place(&self, topic: &TopicName) -> bool {
        let more = self.name_bytes.saturating_add(topic.as_bytes().len());
        self.tracks.contains_key(topic) || (self.tracks.len() < TOPICS && more <= NAME_BYTES)
    }

    /// It goes on its way, and with it the count of those left out before.
    fn pass(&mut self, deliver: Deliver, mut entry: Entry, message: &Message, now: Timestamp) -> Offered {
        let topic = &message.topic;
        let mut left_out = false;
        if let Some(track) = self.take(topic) {
            left_out = track.waiting.is_some();
            entry.extra.left_out = track.left_out.saturating_add(u32::from(left_out));
            // What the deadband is told from stays, also over what is no number.
            if matches!(deliver, Deliver::Deadband { .. }) && number(&message.payload).is_none() {
                self.put(topic.compact(), Track { left_out: 0, waiting: None, ..track });
                return Offered { pass: Some(entry), left_out };
            }
        }
        if !self.has_place(topic) {
            return Offered { pass: Some(entry), left_out };
        }
        let track = |value, every_ms, until| {
            let turn = (until, 0);
            Track { until, every_ms, value, left_out: 0, turn, waiting: None }
        };
        match deliver {
            Deliver::All | Deliver::Latest => {}
            Deliver::Every { ms } => {
                let until = now.plus(Duration::from_millis(u64::from(ms)));
                self.put(topic.compact(), track(None, ms, until));
            }
            Deliver::Deadband { .. } => {
                if let Some(value) = number(&message.payload) {
                    self.put(topic.compact(), track(Some(value.to_bits()), 0, holds_until(message)));
                }
            }
        }
        Offered { pass: Some(entry), left_out }
    }

    /// It waits, in the place of an older one if there is one.
    fn wait(&mut self, deliver: Deliver, mut entry: Entry, message: &Message, now: Timestamp, spare: u64) -> Offered {
        if entry.seq.0 != 0 && self.spare_bytes.saturating_add(message.size() as u64) > spare {
            entry.message = None;
        }
        let before = self.take(&message.topic);
        let every_ms = if let Deliver::Every { ms } = deliver { ms } else { 0 };
        let mut track =
            before.unwrap_or(Track { until: now, every_ms, value: None, left_out: 0, turn: (now, 0), waiting: None });
        track.every_ms = every_ms;
        track.value = None;
        if let Deliver::Deadband { .. } = deliver {
            (track.value, track.until) = (number(&message.payload).map(f64::to_bits), holds_until(message));
        }
        let left_out = track.waiting.replace(entry).is_some();
        track.left_out = track.left_out.saturating_add(u32::from(left_out));
        if !left_out {
            track.turn = (if track.is_over(now) { now } else { track.until }, 0);
        }
        self.put(message.topic.compact(), track);
        Offered { pass: None, left_out }
    }

    /// The next one whose turn it is.
    pub(crate) fn next(&mut self, now: Timestamp) -> Option<(TopicName, Entry)> {
        self.bring_back(now);
        let (turn, topic) = self.due.first_key_value()?;
        if turn.0 > now {
            return None;
        }
        let topic = topic.clone();
        let mut track = self.take(&topic)?;
        let mut entry = track.waiting.take()?;
        entry.extra.left_out = track.left_out;
        if track.every_ms > 0 {
            let until = now.plus(track.interval());
            self.put(topic.clone(), Track { until, left_out: 0, turn: (until, 0), ..track });
        } else if track.value.is_some() {
            self.put(topic.clone(), Track { left_out: 0, ..track });
        }
        Some((topic, entry))
    }

    /// What was let go was dropped: nothing is told from it.
    pub(crate) fn forget(&mut self, topic: &TopicName) {
        if self.tracks.get(topic).is_some_and(|track| track.waiting.is_none()) {
            self.take(topic);
        }
    }

    /// Where the clock was put back, what waits for a time that is further away than its interval waits for its interval.
    fn bring_back(&mut self, now: Timestamp) {
        loop {
            let Some((turn, topic)) = self.due.last_key_value() else { return };
            let every = self.tracks.get(topic).map_or(Duration::ZERO, Track::interval);
            if turn.0 <= now.plus(every) {
                return;
            }
            let topic = topic.clone();
            let Some(track) = self.take(&topic) else { return };
            let until = now.plus(every);
            self.put(topic, Track { until, turn: (until, 0), ..track });
        }
    }

    /// When the first of those that wait is due.
    pub(crate) fn first_due(&self) -> Option<Timestamp> {
        self.due.first_key_value().map(|(turn, _)| turn.0)
    }

    fn forget_idle(&mut self, now: Timestamp) {
        while let Some((_, topic)) = self.idle.first_key_value().filter(|(turn, _)| turn.0 <= now) {
            let topic = topic.clone();
            self.take(&topic);
        }
    }

    /// Takes a topic out.
    fn take(&mut self, topic: &TopicName) -> Option<Track> {
        let track = self.tracks.remove(topic)?;
        self.name_bytes = self.name_bytes.saturating_sub(topic.as_bytes().len());
        match &track.waiting {
            Some(entry) => {
                self.due.remove(&track.turn);
                self.count(entry, false);
            }
            None => drop(self.idle.remove(&track.turn)),
        }
        Some(track)
    }

    /// Puts a topic in. One that has no turn of its own yet (0) is the last of those due at its time.
    pub(crate) fn put(&mut self, topic: TopicName, mut track: Track) {
        if track.turn.1 == 0 {
            self.next_turn += 1;
            track.turn.1 = self.next_turn;
        }
        self.name_bytes += topic.as_bytes().len();
        match &track.waiting {
            Some(entry) => {
                self.due.insert(track.turn, topic.clone());
                self.count(&entry.clone(), true);
            }
            None if track.every_ms > 0 => drop(self.idle.insert(track.turn, topic.clone())),
            None => {}
        }
        self.tracks.insert(topic, track);
    }

    fn count(&mut self, entry: &Entry, more: bool) {
        let size = entry.message.as_ref().map_or(0, |message| message.size());
        match (entry.seq.0 != 0, more) {
            (true, true) => self.spare_bytes += size as u64,
            (true, false) => self.spare_bytes = self.spare_bytes.saturating_sub(size as u64),
            (false, true) => self.held_bytes += size,
            (false, false) => self.held_bytes = self.held_bytes.saturating_sub(size),
        }
    }

    /// What a snapshot keeps: the topics, and the last turn given.
    pub(crate) fn parts(&self) -> (impl ExactSizeIterator<Item = (&TopicName, &Track)>, u64) {
        (self.tracks.iter(), self.next_turn)
    }

    /// As [`Sieve::parts`] gave it.
    pub(crate) fn restore(tracks: Vec<(TopicName, Track)>, next_turn: u64) -> Self {
        let mut sieve = Self { next_turn, ..Self::default() };
        tracks.into_iter().for_each(|(topic, track)| sieve.put(topic, track));
        sieve
    }

    fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.tracks.values().filter_map(|track| track.waiting.as_ref())
    }

    /// Messages in memory.
    pub(crate) fn in_memory(&self) -> impl Iterator<Item = &Arc<Message>> {
        self.waiting().filter_map(|entry| entry.message.as_ref())
    }

    /// The numbers up to `last` of messages that wait and are in the log.
    pub(crate) fn up_to(&self, last: Seq) -> Vec<Seq> {
        self.waiting().map(|entry| entry.seq).filter(|seq| seq.0 != 0 && *seq <= last).collect()
    }

    /// The number of the first message that waits and is in the log.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        self.waiting().map(|entry| entry.seq).filter(|seq| seq.0 != 0).min()
    }

    /// Holds messages that the log is about to lose.
    pub(crate) fn hold(&mut self, mut found: impl FnMut(Seq) -> Option<Arc<Message>>) {
        self.change_waiting(|entry| {
            if let Some(message) = Some(entry.seq).filter(|seq| seq.0 != 0).and_then(&mut found) {
                (entry.message, entry.seq) = (Some(message), Seq(0));
            }
        });
    }

    /// Keeps nothing in memory that the log has: the connection is over.
    pub(crate) fn let_go(&mut self) {
        self.change_waiting(|entry| {
            if entry.seq.0 != 0 {
                entry.message = None;
            }
        });
    }

    fn change_waiting(&mut self, mut change: impl FnMut(&mut Entry)) {
        (self.held_bytes, self.spare_bytes) = (0, 0);
        for entry in self.tracks.values_mut().filter_map(|track| track.waiting.as_mut()) {
            change(entry);
            let size = entry.message.as_ref().map_or(0, |message| message.size());
            if entry.seq.0 == 0 {
                self.held_bytes += size;
            } else {
                self.spare_bytes += size as u64;
            }
        }
    }
}

fn holds_until(message: &Message) -> Timestamp {
    message.expires.unwrap_or(Timestamp::from_micros(i64::MAX))
}

/// A payload that is one number in text.
fn number(payload: &[u8]) -> Option<f64> {
    // No number takes as much; what is longer is not looked at.
    let text = payload.get(..64).is_none().then(|| std::str::from_utf8(payload).ok()).flatten()?;
    text.trim().parse::<f64>().ok().filter(|value| value.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asks::Extra;
    use andon_wire::mqtt::QoS;
    use bytes::Bytes;

    const SPARE: u64 = 1 << 20;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(1_000_000 + ms)
    }

    fn entry(topic: &str, payload: &str, seq: u64) -> Entry {
        let topic = TopicName::parse(topic).unwrap();
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        let message = Message::internal(topic, payload, QoS::AtLeastOnce, false, at(0));
        Entry::new(&Arc::new(message), Seq(seq), QoS::AtLeastOnce, false, Box::default(), Extra::default())
    }

    fn told(entry: &Entry) -> (String, u32) {
        let message = entry.message.as_ref().unwrap();
        (format!("{} {}", message.topic.as_str(), String::from_utf8_lossy(&message.payload)), entry.extra.left_out)
    }

    /// Offers `topic payload`; what passes with the count left out, or whether one was left out.
    fn offer(sieve: &mut Sieve, deliver: Deliver, what: &str, ms: i64, room: bool) -> Result<(String, u32), bool> {
        let (topic, payload) = what.split_once(' ').unwrap();
        match sieve.offer(deliver, entry(topic, payload, 0), at(ms), room, SPARE) {
            Offered { pass: Some(entry), .. } => Ok(told(&entry)),
            Offered { pass: None, left_out } => Err(left_out),
        }
    }

    fn passes(what: &str, left_out: u32) -> Result<(String, u32), bool> {
        Ok((what.to_owned(), left_out))
    }

    #[test]
    fn the_newest_of_each_topic_waits_for_room_in_the_order_the_topics_began_to_wait() {
        let mut sieve = Sieve::default();
        let mut say = |what: &str, room| offer(&mut sieve, Deliver::Latest, what, 0, room);
        assert_eq!(say("a 1", true), passes("a 1", 0));
        assert_eq!((say("b 1", false), say("a 2", false)), (Err(false), Err(false)));
        assert_eq!((say("b 2", false), say("b 3", false)), (Err(true), Err(true)));
        let next: Vec<_> = std::iter::from_fn(|| sieve.next(at(0))).map(|(_, entry)| told(&entry)).collect();
        assert_eq!(next, [("b 3".to_owned(), 2), ("a 2".to_owned(), 0)]);
        assert!(sieve.is_empty() && sieve.due.is_empty() && sieve.idle.is_empty());
        assert_eq!((sieve.name_bytes, sieve.held_bytes, sieve.spare_bytes), (0, 0, 0));
    }

    #[test]
    fn of_an_interval_the_first_goes_at_once_and_the_last_when_it_is_over() {
        let every = Deliver::Every { ms: 1000 };
        let mut sieve = Sieve::default();
        assert_eq!(offer(&mut sieve, every, "a 1", 0, true), passes("a 1", 0));
        assert_eq!(offer(&mut sieve, every, "a 2", 400, true), Err(false));
        assert_eq!(offer(&mut sieve, every, "a 3", 999, true), Err(true));
        assert_eq!(sieve.next(at(999)), None);
        assert_eq!(sieve.first_due(), Some(at(1000)));
        assert_eq!(sieve.next(at(1100)).map(|(_, entry)| told(&entry)), Some(("a 3".to_owned(), 1)));
        // The interval begins anew with what was sent.
        assert_eq!(offer(&mut sieve, every, "a 4", 2000, true), Err(false));
        assert_eq!(offer(&mut sieve, every, "a 5", 2100, true), passes("a 5", 1));
        // A topic that is silent takes no place.
        assert_eq!(offer(&mut sieve, every, "b 1", 4000, true), passes("b 1", 0));
        assert_eq!(sieve.tracks.len(), 1);
        assert_eq!(sieve.idle.len(), 1);
    }

    #[test]
    fn what_an_interval_lets_pass_waits_for_room_too() {
        let every = Deliver::Every { ms: 1000 };
        let mut sieve = Sieve::default();
        assert_eq!(offer(&mut sieve, every, "a 1", 0, false), Err(false));
        assert_eq!(offer(&mut sieve, every, "a 2", 5000, false), Err(true));
        assert_eq!(sieve.next(at(5000)).map(|(_, entry)| told(&entry)), Some(("a 2".to_owned(), 1)));
    }

    #[test]
    fn within_the_deadband_of_what_was_sent_nothing_is_sent() {
        let deadband = Deliver::Deadband { bits: 0.5_f64.to_bits() };
        let mut sieve = Sieve::default();
        let mut say = |what: &str| offer(&mut sieve, deadband, what, 0, true);
        assert_eq!(say("a 20"), passes("a 20", 0));
        assert_eq!((say("a 20.4"), say("a 19.6"), say("a 20.49")), (Err(true), Err(true), Err(true)));
        assert_eq!(say("a 20.5"), passes("a 20.5", 3), "as much as the deadband is a change");
        assert_eq!(say("a  20.1\n"), Err(true), "from the last one that was sent, not the last one that came");
        assert_eq!(
            (say("a off"), say("a NaN"), say("a {\"v\":1}")),
            (passes("a off", 1), passes("a NaN", 0), passes("a {\"v\":1}", 0))
        );
        assert_eq!(say("a 20.6"), Err(true), "what is no number leaves the last one standing");
        assert_eq!(say("b 20.6"), passes("b 20.6", 0));
    }

    #[test]
    fn what_a_deadband_lets_pass_waits_for_room_and_the_newest_is_what_is_sent() {
        let deadband = Deliver::Deadband { bits: 1_f64.to_bits() };
        let mut sieve = Sieve::default();
        assert_eq!(offer(&mut sieve, deadband, "a 20", 0, true), passes("a 20", 0));
        assert_eq!(offer(&mut sieve, deadband, "a 30", 0, false), Err(false));
        assert_eq!(
            offer(&mut sieve, deadband, "a 20.1", 0, false),
            Err(true),
            "30 was not sent, and 20.1 is what holds"
        );
        assert_eq!(offer(&mut sieve, deadband, "b off", 0, false), Err(false), "what is no number waits, too");
        assert_eq!(offer(&mut sieve, deadband, "c 40", 0, false), Err(false));
        assert_eq!(
            offer(&mut sieve, deadband, "c 40.1", 0, false),
            Err(true),
            "40 was not sent, so 40.1 takes its place"
        );
        let next: Vec<_> = std::iter::from_fn(|| sieve.next(at(0))).map(|(_, entry)| told(&entry)).collect();
        assert_eq!(next, [("a 20.1".to_owned(), 1), ("b off".to_owned(), 0), ("c 40.1".to_owned(), 1)]);
        assert_eq!(
            offer(&mut sieve, deadband, "a 21", 0, true),
            Err(true),
            "within the deadband of what was sent last"
        );
        assert_eq!(offer(&mut sieve, deadband, "a 21.2", 0, true), passes("a 21.2", 1));
        let mut brief = entry("a", "23", 0);
        brief.message = brief.message.map(|m| Arc::new(Message { expires: Some(at(100)), ..(*m).clone() }));
        let mut offered = sieve.offer(deadband, brief, at(0), true, SPARE);
        assert_eq!(offered.pass.take().map(|entry| told(&entry)), Some(("a 23".to_owned(), 0)));
        assert_eq!(offer(&mut sieve, deadband, "a 22.9", 99, true), Err(true));
        assert_eq!(offer(&mut sieve, deadband, "a 22.8", 100, true), passes("a 22.8", 1), "23 may have expired unseen");
        // It was dropped on its way, so the next one is not told from it.
        sieve.forget(&TopicName::parse("a").unwrap());
        assert_eq!(offer(&mut sieve, deadband, "a 22.7", 100, true), passes("a 22.7", 0));
    }

    #[test]
    fn a_clock_that_was_ahead_silences_nothing_once_it_is_put_back() {
        const DAY: i64 = 86_400_000;
        let every = Deliver::Every { ms: 1000 };
        let mut sieve = Sieve::default();
        assert_eq!(offer(&mut sieve, every, "a 1", DAY, true), passes("a 1", 0));
        assert_eq!(offer(&mut sieve, every, "a 2", 0, true), passes("a 2", 0));
        assert_eq!(offer(&mut sieve, every, "b 1", DAY, true), passes("b 1", 0));
        assert_eq!(offer(&mut sieve, every, "b 2", DAY + 1, true), Err(false));
        // Another topic's message, or room, is enough to see that what waits has waited for its time.
        assert_eq!((sieve.next(at(500)), sieve.first_due()), (None, Some(at(1500))));
        assert_eq!(sieve.next(at(1500)).map(|(_, entry)| told(&entry)), Some(("b 2".to_owned(), 0)));
    }

    #[test]
    fn beyond_the_bounds_everything_passes() {
        let mut sieve = Sieve::default();
        for n in 0..TOPICS {
            assert_eq!(offer(&mut sieve, Deliver::Latest, &format!("{n} 1"), 0, false), Err(false));
        }
        assert_eq!(offer(&mut sieve, Deliver::Latest, "more 1", 0, false), passes("more 1", 0));
        assert_eq!(offer(&mut sieve, Deliver::Latest, "0 2", 0, false), Err(true), "of those known the newest waits");
        let mut sieve = Sieve::default();
        let large = "x".repeat(HELD_BYTES / 2);
        assert_eq!(offer(&mut sieve, Deliver::Latest, &format!("a {large}"), 0, false), Err(false));
        assert!(offer(&mut sieve, Deliver::Latest, &format!("b {large}"), 0, false).is_ok());
        assert_eq!(sieve.tracks.len(), 1);
    }

    #[test]
    fn what_the_log_has_need_not_be_in_memory() {
        let mut sieve = Sieve::default();
        for (topic, seq) in [("a", 5), ("b", 6)] {
            let size = entry(topic, "1", seq).message.unwrap().size() as u64;
            let kept = sieve.offer(Deliver::Latest, entry(topic, "1", seq), at(0), false, size);
            assert_eq!(kept, Offered { pass: None, left_out: false });
        }
        assert_eq!((sieve.in_memory().count(), sieve.oldest(), sieve.up_to(Seq(5))), (1, Some(Seq(5)), vec![Seq(5)]));
        sieve.let_go();
        assert_eq!((sieve.in_memory().count(), sieve.spare_bytes), (0, 0));
        sieve.hold(|seq| (seq == Seq(5)).then(|| entry("a", "1", 5).message.unwrap()));
        assert_eq!((sieve.in_memory().count(), sieve.oldest()), (1, Some(Seq(6))));
        let next: Vec<_> = std::iter::from_fn(|| sieve.next(at(0))).map(|(_, entry)| entry.seq.0).collect();
        assert_eq!(next, [0, 6]);
        assert_eq!(sieve.held_bytes, 0);
    }

    #[test]
    fn a_subscription_that_asks_for_all_again_gets_nothing_older_after_something_newer() {
        let mut sieve = Sieve::default();
        assert_eq!(offer(&mut sieve, Deliver::Latest, "a 1", 0, false), Err(false));
        assert_eq!(offer(&mut sieve, Deliver::All, "a 2", 0, false), passes("a 2", 1));
        assert_eq!(sieve.next(at(10)), None);
        assert!(sieve.is_empty());
    }
}
