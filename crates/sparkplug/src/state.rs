//! STATE: whether a host application is there (Sparkplug 3.0.0 §4.3, §6.4.25). JSON, with QoS 1 and retained.

use crate::Now;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest STATE payload that is read, in bytes.
const BYTES: usize = 4096;
/// How far the clock of a host application may be ahead of ours. A state from later than that counts as one of now: whoever may
/// publish it could else silence the host for years, for what is older than the newest does not count.
const AHEAD: Duration = Duration::from_secs(300);
/// A contradiction is answered so often at most: whoever contradicts again and again makes no storm.
const ANSWER_EVERY: Duration = Duration::from_secs(1);

/// A host application's state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct State {
    /// Whether it is there.
    pub online: bool,
    /// Since when, in ms since 1970 UTC. Of the session: a death carries the time of the birth that it belongs to, or a later one.
    pub timestamp: i64,
}

impl State {
    /// A state as of now.
    #[must_use]
    pub const fn at(online: bool, now: Now) -> Self {
        Self { online, timestamp: now.wall.millis() }
    }

    /// Whether it is from later than any clock that is only a little fast could say.
    #[must_use]
    pub fn is_ahead(self, now: Now) -> bool {
        self.timestamp > now.wall.plus(AHEAD).millis()
    }

    /// As it counts: of now, if it is from too far ahead.
    fn believed(self, now: Now) -> Self {
        if self.is_ahead(now) { Self::at(self.online, now) } else { self }
    }

    /// The payload [tck-id-host-topic-phid-birth-payload].
    #[must_use]
    pub fn encode(self) -> Vec<u8> {
        json!({"online": self.online, "timestamp": self.timestamp}).to_string().into_bytes()
    }

    /// Reads a payload; `None` if it is none. The words of Sparkplug 2 (`ONLINE`, `OFFLINE`) are no payload of 3.0.
    #[must_use]
    pub fn decode(payload: &[u8]) -> Option<Self> {
        if payload.len() > BYTES {
            return None;
        }
        let json: Value = serde_json::from_slice(payload).ok()?;
        let timestamp = json.get("timestamp")?.as_i64()?;
        Some(Self { online: json.get("online")?.as_bool()?, timestamp })
    }
}

/// What a host application said of itself and nobody has dealt with yet: its newest state, and that it was away meanwhile.
#[derive(Default, Debug)]
pub struct Unseen {
    away: Option<State>,
    last: Option<State>,
}

impl Unseen {
    /// One more state; one that is older than the newest does not count, and one from far ahead is one of now.
    pub fn note(&mut self, state: State, now: Now) {
        let state = state.believed(now);
        if self.last.is_some_and(|last| state.timestamp < last.timestamp) {
            return;
        }
        self.last = Some(state);
        if !state.online {
            self.away = Some(state);
        }
    }

    /// The states to deal with, in their order.
    pub fn take(&mut self) -> impl Iterator<Item = State> + use<> {
        let Self { away, last } = std::mem::take(self);
        away.into_iter().chain(last.filter(|last| away != Some(*last)))
    }
}

/// When a host application last answered somebody who contradicted it, and whether it has to again.
#[derive(Default, Debug)]
pub struct Answers {
    owed: bool,
    last: Option<Duration>,
}

impl Answers {
    /// It was contradicted.
    pub const fn owe(&mut self) {
        self.owed = true;
    }

    /// Whether to answer now.
    pub fn take(&mut self, now: Now) -> bool {
        let may = self.last.is_none_or(|last| now.mono.saturating_sub(last) >= ANSWER_EVERY);
        let answers = self.owed && may;
        if answers {
            (self.owed, self.last) = (false, Some(now.mono));
        }
        answers
    }
}

/// What a host application has to publish when it sees a state under its own name: its birth again, if somebody (an old will of its own)
/// says that it is gone.
#[must_use]
pub fn contradicted(own: State, seen: State) -> bool {
    own.online && !seen.online
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;

    fn now(ms: i64) -> Now {
        Now { wall: Timestamp::from_millis(ms), mono: Duration::from_millis(ms.unsigned_abs()) }
    }

    #[test]
    fn tck_id_host_topic_phid_birth_payload() {
        let now = Now { wall: Timestamp::from_millis(1_700_000_000_123), mono: Duration::ZERO };
        assert_eq!(State::at(true, now).encode(), br#"{"online":true,"timestamp":1700000000123}"#);
        assert_eq!(State::decode(&State::at(false, now).encode()), Some(State::at(false, now)));
    }

    #[test]
    fn tck_id_message_flow_edge_node_birth_publish_phid_offline_however_short() {
        let state = |online, timestamp| State { online, timestamp };
        let mut unseen = Unseen::default();
        let mut dealt_with = |states: &[State]| {
            states.iter().for_each(|state| unseen.note(*state, now(10)));
            unseen.take().collect::<Vec<_>>()
        };
        let (gone, back) = (state(false, 5), state(true, 6));
        assert_eq!(dealt_with(&[gone, back]), [gone, back], "away and back at once");
        assert_eq!(dealt_with(&[]), []);
        assert_eq!(dealt_with(&[back]), [back]);
        assert_eq!(dealt_with(&[back, gone]), [back], "an old death does not count");
        assert_eq!(dealt_with(&[gone]), [gone]);
        let again = state(false, 7);
        assert_eq!(dealt_with(&[gone, back, again]), [again]);
    }

    #[test]
    fn a_state_from_far_ahead_is_one_of_now_and_silences_nobody() {
        let state = |online, timestamp| State { online, timestamp };
        let mut unseen = Unseen::default();
        let mut dealt_with = |state: State, ms: i64| {
            unseen.note(state, now(ms));
            // Whoever deals with them remembers the newest.
            let all = unseen.take().collect::<Vec<_>>();
            unseen.last = all.last().copied();
            all
        };
        assert_eq!(dealt_with(state(true, 1_000), 1_000), [state(true, 1_000)]);
        assert_eq!(dealt_with(state(false, i64::MAX), 2_000), [state(false, 2_000)]);
        assert_eq!(dealt_with(state(true, 2_500), 2_500), [state(true, 2_500)], "the real host is heard");
        assert_eq!(dealt_with(state(true, 302_600), 2_600), [state(true, 302_600)], "a clock may be a little fast");
        assert!(state(true, 302_601).is_ahead(now(2_600)) && !state(true, 302_600).is_ahead(now(2_600)));
    }

    #[test]
    fn who_is_contradicted_again_and_again_answers_once_a_second() {
        let mut answers = Answers::default();
        assert!(!answers.take(now(0)), "nobody asked");
        let given: Vec<i64> = (0..13)
            .map(|quarter| quarter * 250)
            .filter(|ms| {
                answers.owe();
                answers.take(now(*ms))
            })
            .collect();
        assert_eq!(given, [0, 1_000, 2_000, 3_000]);
        answers.owe();
        assert!(!answers.take(now(3_999)) && answers.take(now(4_000)), "what is owed is not forgotten");
    }

    #[test]
    fn what_is_no_state_is_none() {
        for wrong in ["ONLINE", "{}", r#"{"online":1,"timestamp":1}"#, r#"{"online":true}"#, "", "[]"] {
            assert_eq!(State::decode(wrong.as_bytes()), None, "{wrong}");
        }
        assert!(State::decode(&[b' '; BYTES + 1]).is_none());
    }

    #[test]
    fn tck_id_operational_behavior_host_application_answers_its_own_late_death() {
        let state = |online| State { online, timestamp: 1 };
        assert!(contradicted(state(true), state(false)));
        assert!(!contradicted(state(false), state(false)) && !contradicted(state(true), state(true)));
    }
}
