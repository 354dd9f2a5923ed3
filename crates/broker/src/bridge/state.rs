//! What a bridge must remember over restarts: which stretches of the messages lane it still has to send. Saved as the state of its reader
//! of the log, in JSON with a version, and read back for ever.

use super::status::brief;
use andon_model::Timestamp;
use serde::{Deserialize, Serialize};

/// The stretches that may be to be sent at a time; with so many, no new one is begun.
pub(super) const STRETCHES: usize = 64;
const VERSION: u32 = 1;

/// Frames of the lane that are to be sent: from `from` to before `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stretch {
    pub(super) from: u64,
    /// `None`: it goes on with the lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) to: Option<u64>,
}

impl Stretch {
    pub(super) fn has(&self, seq: u64) -> bool {
        seq >= self.from && self.to.is_none_or(|to| seq < to)
    }
}

/// How much.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// Messages.
    pub messages: u64,
    /// Bytes of their topics and payloads.
    pub bytes: u64,
}

impl Amount {
    pub(super) const fn of(bytes: u64) -> Self {
        Self { messages: 1, bytes }
    }

    pub(super) fn add(&mut self, other: Self) {
        self.messages = self.messages.saturating_add(other.messages);
        self.bytes = self.bytes.saturating_add(other.bytes);
    }

    pub(super) fn take(&mut self, other: Self) {
        self.messages = self.messages.saturating_sub(other.messages);
        self.bytes = self.bytes.saturating_sub(other.bytes);
    }
}

/// Why messages did not cross the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// More waited, or for longer, than is to be kept.
    Full,
    /// The messages lane freed them before they were sent.
    Freed,
    /// They were not of use any more.
    Expired,
    /// The other side takes no packet of this size.
    TooLarge,
    /// The other side said no to the message.
    Refused,
    /// They have no name on the other side, or have come over too many bridges.
    Unmappable,
    /// They have more user properties than the other side takes.
    TooManyProperties,
    /// They came from the other side, and are not taken here.
    NotTaken,
}

/// Messages that did not cross the bridge for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lost {
    /// Why.
    pub why: Loss,
    /// How much.
    pub amount: Amount,
    /// When the first of them was received here.
    pub from: Timestamp,
    /// And the last.
    pub to: Timestamp,
    /// About the first of them.
    pub detail: String,
    /// Just this was told before, since the start, and could not be kept.
    #[serde(skip)]
    pub again: bool,
}

impl Lost {
    fn join(&mut self, amount: Amount, from: Timestamp, to: Timestamp) {
        self.amount.add(amount);
        self.again = false;
        (self.from, self.to) = (self.from.min(from), self.to.max(to));
    }
}

/// Counting anew after a part of the lane was freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recount {
    /// Up to here it was counted before.
    pub(super) upto: u64,
    /// So much waited then.
    pub(super) before: Amount,
    /// When the oldest that waited was received.
    pub(super) from: Timestamp,
}

/// A session at the other side.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    pub(super) client_id: String,
    /// Where the other side is.
    pub(super) endpoint: String,
}

/// What is saved.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    version: u32,
    /// Since when there is this bridge.
    pub(super) begun: Timestamp,
    /// Ascending, apart from each other.
    pub(super) stretches: Vec<Stretch>,
    /// Everything up to here was looked at once, and counted in `waiting` if it is to be sent.
    pub(super) scouted: u64,
    /// Everything up to here was looked at before, where it is being counted anew: what of it was not to be sent was told then.
    #[serde(default)]
    pub(super) known_to: u64,
    pub(super) waiting: Amount,
    /// While it is counted anew what the lane has freed of what waited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) recount: Option<Recount>,
    /// The local filters for which messages are sent, so that new ones are noticed.
    pub(super) filters: Vec<String>,
    /// For each of them, whether its messages are kept until they are sent (`qos` 1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) keeps: Vec<bool>,
    /// Those of them whose retained messages are still to be sent, and the time up to which they are.
    #[serde(default)]
    pub(super) retained_due: Vec<(String, Timestamp)>,
    /// Filters with which the other side may know us as a subscriber.
    #[serde(default)]
    pub(super) subscribed: Vec<String>,
    /// The filters that the other side has granted in the session that it keeps for us, each with whether with QoS 1. 3.1.1 asks for them
    /// again only where it must.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) granted: Vec<(String, bool)>,
    /// Which session that is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) session: Option<Session>,
    /// What comes now is not taken, for too much waits: newest messages are dropped.
    #[serde(default)]
    pub(super) refusing: bool,
    /// Numbers, from the first to the last of each, of what is done for while something before it is not: lost and counted as such.
    /// Ascending. They are left out when their stretch is read again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) holes: Vec<(u64, u64)>,
    #[serde(default)]
    pub(super) lost: Vec<Lost>,
    /// What of it is being told, and not known to be kept yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) telling: Vec<Lost>,
    /// All that was lost since there is this bridge.
    #[serde(default)]
    pub(super) lost_ever: Amount,
}

impl State {
    /// A bridge that begins now, behind the frame `last`.
    pub(super) fn new(last: u64, now: Timestamp) -> Self {
        Self {
            version: VERSION,
            begun: now,
            stretches: vec![Stretch { from: last + 1, to: None }],
            scouted: last,
            known_to: last,
            waiting: Amount::default(),
            recount: None,
            filters: Vec::new(),
            keeps: Vec::new(),
            retained_due: Vec::new(),
            subscribed: Vec::new(),
            granted: Vec::new(),
            session: None,
            refusing: false,
            holes: Vec::new(),
            lost: Vec::new(),
            telling: Vec::new(),
            lost_ever: Amount::default(),
        }
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// # Errors
    /// In plain words.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if head.version != VERSION {
            return Err(format!("its format version {} is of a later program; this one knows {VERSION}", head.version));
        }
        let state: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        let ends = state.stretches.iter().map(|it| (it.from, it.to.unwrap_or(u64::MAX)));
        if !ends.clone().all(|(from, to)| from <= to)
            || !ends.clone().zip(ends.skip(1)).all(|((_, to), (from, _))| to <= from)
        {
            return Err("the stretches that are to be sent are out of order".to_owned());
        }
        let ends = state.holes.iter();
        if !ends.clone().all(|(from, to)| from <= to)
            || !ends.clone().zip(ends.skip(1)).all(|((_, to), (from, _))| to < from)
        {
            return Err("what is done for within its stretches is out of order".to_owned());
        }
        Ok(state)
    }

    /// Before what in the lane nothing is needed any more.
    pub(super) fn needed_from(&self) -> u64 {
        let first = self.stretches.first().map_or(self.scouted + 1, |stretch| stretch.from);
        first.min(self.scouted + 1)
    }

    /// Whether the frame is to be sent.
    pub(super) fn wants(&self, seq: u64) -> bool {
        self.stretches.iter().any(|stretch| stretch.has(seq)) && !self.is_hole(seq)
    }

    /// Whether the frame is done for, although the begin of its stretch is before it.
    pub(super) fn is_hole(&self, seq: u64) -> bool {
        let at = self.holes.partition_point(|(_, to)| *to < seq);
        self.holes.get(at).is_some_and(|(from, _)| *from <= seq)
    }

    /// Notes that a frame is done for. `after`: the one before it that is so, too, with none between them that is to be sent.
    pub(super) fn make_hole(&mut self, after: Option<u64>, seq: u64) {
        let at = self.holes.partition_point(|(_, to)| *to < seq);
        if self.is_hole(seq) {
            return;
        }
        match at.checked_sub(1).and_then(|before| self.holes.get_mut(before)).filter(|hole| after == Some(hole.1)) {
            Some(hole) => hole.1 = seq,
            None => self.holes.insert(at, (seq, seq)),
        }
    }

    /// Forgets holes that no stretch has any more.
    pub(super) fn close_holes(&mut self) {
        let stretches = &self.stretches;
        let within = |to: u64| stretches.iter().any(|stretch| stretch.has(to));
        self.holes.retain(|(_, to)| within(*to));
    }

    /// Notes a message that does not cross the bridge.
    pub(super) fn lose(&mut self, why: Loss, amount: Amount, at: Timestamp, detail: impl FnOnce() -> String) {
        self.lost_ever.add(amount);
        match self.lost.iter_mut().find(|lost| lost.why == why) {
            Some(lost) => lost.join(amount, at, at),
            None => self.lost.push(Lost { why, amount, from: at, to: at, detail: brief(&detail()), again: false }),
        }
    }

    /// What is being told is to be told again, but for what `kept` says, in the order of `telling`. True: all of it is kept.
    pub(super) fn told(&mut self, kept: &[bool]) -> bool {
        let telling = std::mem::take(&mut self.telling);
        let kept = kept.iter().copied().chain(std::iter::repeat(false));
        let mut all = true;
        for (again, _) in telling.into_iter().zip(kept).filter(|(_, kept)| !kept) {
            all = false;
            match self.lost.iter_mut().find(|lost| lost.why == again.why) {
                Some(lost) => {
                    lost.join(again.amount, again.from, again.to);
                    lost.detail = again.detail;
                }
                None => self.lost.push(Lost { again: true, ..again }),
            }
        }
        all
    }

    /// What waits is counted anew behind the frame `behind`.
    pub(super) fn count_anew(&mut self, behind: u64) {
        self.known_to = self.known_to.max(self.scouted).max(behind);
        (self.scouted, self.waiting) = (behind, Amount::default());
    }

    /// Takes what comes again, behind everything that was looked at, unless there are too many stretches. True: so it is.
    pub(super) fn take_again(&mut self) -> bool {
        let may = self.refusing && self.stretches.len() < STRETCHES;
        if may {
            self.refusing = false;
            self.stretches.push(Stretch { from: self.known_to.max(self.scouted) + 1, to: None });
        }
        may
    }

    /// Refuses what comes from this frame on, if it is in the stretch that goes on with the lane: in those before it are messages that wait
    /// already, however many they are.
    pub(super) fn refuse_from(&mut self, seq: u64) {
        let Some(last) = self.stretches.last_mut().filter(|last| last.to.is_none() && last.has(seq)) else { return };
        last.to = Some(seq);
        self.refusing = true;
        // Nothing behind it was refused before, also where it is counted anew.
        self.known_to = self.known_to.min(seq - 1);
    }

    /// Goes by another session: nothing is granted in it as far as we know. Former subscriptions are still ended if it has them, for it may
    /// be the same under another name. True: something changed.
    pub(super) fn move_to(&mut self, session: Session) -> bool {
        let moved = self.session.as_ref() != Some(&session);
        if moved {
            self.granted.clear();
            self.session = Some(session);
        }
        moved
    }

    /// Follows changed filters, each with whether its messages are kept: the retained messages of new ones are to be sent. True: what
    /// waits must be counted again.
    pub(super) fn follow(&mut self, filters: &[(String, bool)], now: Timestamp) -> bool {
        let (filters, keeps): (Vec<String>, Vec<bool>) = filters.iter().cloned().unzip();
        let new = filters.iter().filter(|filter| !self.filters.contains(filter));
        let new: Vec<_> = new.map(|filter| (filter.clone(), now)).collect();
        self.retained_due.retain(|(filter, _)| filters.contains(filter));
        let changed = self.filters != filters || self.keeps != keeps;
        self.retained_due.extend(new);
        (self.filters, self.keeps) = (filters, keeps);
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second * 1_000_000)
    }

    fn kept(filters: &[&str]) -> Vec<(String, bool)> {
        filters.iter().map(|filter| ((*filter).to_owned(), true)).collect()
    }

    #[test]
    fn a_state_reads_back_and_one_of_a_later_version_is_refused() {
        let mut state = State::new(7, at(1));
        state.follow(&kept(&["a/#"]), at(2));
        state.lose(Loss::Full, Amount::of(10), at(3), || "a/b".to_owned());
        // A restart while it is counted anew tells what was lost all the same.
        state.recount = Some(Recount { upto: 5, before: Amount::of(7), from: at(1) });
        assert_eq!(State::decode(&state.encode()), Ok(state.clone()));
        let later = String::from_utf8(state.encode()).unwrap().replace("\"version\":1", "\"version\":2");
        assert!(State::decode(later.as_bytes()).unwrap_err().contains("later program"));
        state.stretches = vec![Stretch { from: 9, to: None }, Stretch { from: 12, to: None }];
        assert!(State::decode(&state.encode()).unwrap_err().contains("to be sent are out of order"));
    }

    #[test]
    fn the_first_version_is_read_for_ever() {
        let text = br#"{"version":1,"begun":1795732200000000,"stretches":[{"from":8,"to":12},{"from":20}],"scouted":30,"waiting":{"messages":3,"bytes":99},"filters":["a/#"],"retained_due":[["a/#",1795732200000000]],"subscribed":["b/#"],"refusing":false,"lost":[],"lost_ever":{"messages":0,"bytes":0}}"#;
        let state = State::decode(text).unwrap();
        assert_eq!((state.needed_from(), state.waiting), (8, Amount { messages: 3, bytes: 99 }));
        assert!(state.wants(11) && !state.wants(12) && state.wants(1000));
    }

    #[test]
    fn new_filters_owe_their_retained_messages_and_old_ones_do_not_again() {
        let mut state = State::new(0, at(0));
        assert!(state.follow(&kept(&["a"]), at(1)));
        state.retained_due.clear();
        assert!(!state.follow(&kept(&["a"]), at(2)));
        assert!(state.follow(&kept(&["a", "b"]), at(3)));
        assert_eq!(state.retained_due, [("b".to_owned(), at(3))]);
        assert!(state.follow(&kept(&["a"]), at(4)));
        assert_eq!(state.retained_due, []);
        // The same filter, with other messages to be kept.
        assert!(state.follow(&[("a".to_owned(), false)], at(5)));
        assert_eq!(state.retained_due, []);
    }

    #[test]
    fn what_is_done_for_behind_the_begin_of_a_stretch_is_remembered_as_long_as_it_is_needed() {
        let mut state = State::new(0, at(0));
        state.make_hole(None, 5);
        state.make_hole(Some(5), 9);
        state.make_hole(None, 20);
        state.make_hole(None, 3);
        assert_eq!(state.holes, [(3, 3), (5, 9), (20, 20)]);
        let wanted: Vec<u64> = (1..=10).filter(|seq| state.wants(*seq)).collect();
        assert_eq!(wanted, [1, 2, 4, 10]);
        assert_eq!(State::decode(&state.encode()), Ok(state.clone()));
        state.stretches = vec![Stretch { from: 7, to: Some(15) }];
        state.close_holes();
        assert_eq!(state.holes, [(5, 9)]);
        state.holes = vec![(5, 9), (9, 12)];
        assert!(State::decode(&state.encode()).unwrap_err().contains("done for"));
    }

    #[test]
    fn what_comes_is_refused_and_taken_again_apart_from_what_waits_also_where_it_is_counted_anew() {
        let mut state = State::new(0, at(0));
        state.scouted = 100;
        state.refuse_from(60);
        assert_eq!((state.refusing, &state.stretches[..]), (true, &[Stretch { from: 1, to: Some(60) }][..]));
        state.count_anew(0);
        assert!(state.take_again() && !state.take_again());
        assert_eq!((state.known_to, state.stretches[1]), (100, Stretch { from: 101, to: None }));
        // Of a former stretch: it is not the one to end.
        state.refuse_from(30);
        assert!(!state.refusing);
        state.refuse_from(101);
        assert_eq!((state.refusing, state.known_to), (true, 100));
        assert_eq!(State::decode(&state.encode()), Ok(state));
    }

    #[test]
    fn what_could_not_be_kept_is_told_again_and_is_another_loss_once_more_are_lost() {
        let mut state = State::new(0, at(0));
        let lose = |state: &mut State| state.lose(Loss::Full, Amount::of(2), at(1), String::new);
        lose(&mut state);
        state.telling = std::mem::take(&mut state.lost);
        assert!(!state.told(&[false]) && state.lost[0].again);
        lose(&mut state);
        assert!(!state.lost[0].again);
        state.telling = std::mem::take(&mut state.lost);
        assert!(state.told(&[true]) && state.lost.is_empty());
    }

    #[test]
    fn losses_of_a_kind_are_told_together() {
        let mut state = State::new(0, at(0));
        for second in [5, 3, 9] {
            state.lose(Loss::Expired, Amount::of(2), at(second), || second.to_string());
        }
        let [lost] = &state.lost[..] else { panic!("one kind") };
        assert_eq!((lost.amount.messages, lost.from, lost.to, &*lost.detail), (3, at(3), at(9), "5"));
    }
}
