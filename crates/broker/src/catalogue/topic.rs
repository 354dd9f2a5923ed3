//! What is known of one topic.

use super::PayloadKind;
use super::rate::Rate;
use crate::message::Message;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_wire::mqtt::{QoS, Text};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much of a payload is kept, in bytes.
pub const PAYLOAD_KEPT: usize = 4096;
/// How much of a content type is kept, in bytes.
const CONTENT_TYPE_KEPT: usize = 256;
/// About what a topic takes besides its name, content type and payload, in bytes: its state and its place among the topics.
const OVERHEAD: usize = 480;
/// About what a level of its name takes in the tree, in bytes, where no other topic shares it.
const LEVEL: usize = 96;

/// A content type in memory of its own, cut to what is kept.
pub(super) fn kept_content_type(given: &Text) -> Text {
    let text = given.as_str();
    if text.len() <= CONTENT_TYPE_KEPT {
        return given.compact();
    }
    // A part of a checked text is one.
    Text::parse(&text[..text.floor_char_boundary(CONTENT_TYPE_KEPT)]).unwrap_or_default()
}

fn name_weight(name: &str) -> usize {
    name.len() + OVERHEAD + name.split('/').count() * LEVEL
}

/// A topic and its last message.
#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    count: u64,
    first: Timestamp,
    received: Timestamp,
    expires: Option<Timestamp>,
    qos: QoS,
    retain: bool,
    /// A retained message is there.
    retained: bool,
    publisher: Option<Text>,
    user: Option<Principal>,
    content_type: Option<Text>,
    size: usize,
    payload: Vec<u8>,
    rate: Rate,
}

impl State {
    fn content_type_bytes(&self) -> usize {
        self.content_type.as_ref().map_or(0, |text| text.as_bytes().len())
    }

    /// Where there is no room for it, it is left out.
    fn note_content_type(&mut self, given: Option<&Text>, room: &Room) {
        let is_known = match (&self.content_type, given) {
            (None, None) => true,
            (Some(kept), Some(given)) => {
                let (kept, given) = (kept.as_bytes(), given.as_bytes());
                kept == given || (kept.len() + 3 >= CONTENT_TYPE_KEPT && given.starts_with(kept))
            }
            _ => false,
        };
        if is_known {
            return;
        }
        room.give_back(self.content_type_bytes());
        self.content_type = given.map(kept_content_type).filter(|text| room.take(text.as_bytes().len()));
    }
}

/// What all topics share: how much they may take.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) most: usize,
    pub(super) taken: AtomicUsize,
    /// Payloads of which nothing was kept.
    pub(super) left_out: AtomicU64,
}

impl Room {
    /// Takes so many bytes if they are there.
    pub(super) fn take(&self, bytes: usize) -> bool {
        let taken = self.taken.fetch_add(bytes, Ordering::Relaxed);
        let fits = taken.saturating_add(bytes) <= self.most;
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.taken.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// A topic as it is shown.
#[derive(Debug, Clone, PartialEq)]
pub struct TopicInfo {
    /// Its name.
    pub topic: Arc<str>,
    /// Messages since the start, or since the topic was listed.
    pub count: u64,
    /// When the first of them came.
    pub first: Timestamp,
    /// When the last one came; of a retained message from before the start, when that came.
    pub received: Timestamp,
    /// Its QoS, as published.
    pub qos: QoS,
    /// Its retain flag, as published.
    pub retain: bool,
    /// Whether a retained message is there for new subscribers.
    pub retained: bool,
    /// The client that published it; `None`: the node itself.
    pub publisher: Option<Text>,
    /// As whom that client was connected; `None`: not known, or the node itself.
    pub user: Option<Principal>,
    /// Its content type, cut where it is longer than 256 bytes.
    pub content_type: Option<Text>,
    /// The size of its payload, in bytes.
    pub size: usize,
    /// The payload, its first [`PAYLOAD_KEPT`] bytes; empty where there was no room for it.
    pub payload: Vec<u8>,
    /// What the payload is.
    pub kind: PayloadKind,
    /// Messages per second and payload bytes per second; `None` before the second message.
    pub per_second: Option<(f64, f64)>,
    /// How long it usually is from one message to the next; `None` before the second one.
    pub usual_interval: Option<Duration>,
    /// It should have come by now: silent since then.
    pub silent_since: Option<Timestamp>,
}

impl TopicInfo {
    /// Whether all of the payload is here.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.payload.len() == self.size
    }
}

/// What a branch of the tree adds up from its topics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sum {
    pub(super) topics: usize,
    pub(super) overdue: usize,
    pub(super) per_second: f64,
    pub(super) received: Option<Timestamp>,
}

impl Topic {
    /// A topic that is new with `message`; `None`: there is no room for it.
    pub(super) fn new(message: &Message, room: &Room) -> Option<Self> {
        if !room.take(name_weight(message.topic.as_str())) {
            return None;
        }
        let state = State {
            count: 0,
            first: message.received,
            received: message.received,
            expires: None,
            qos: message.qos,
            retain: false,
            retained: false,
            publisher: None,
            user: None,
            content_type: None,
            size: 0,
            payload: Vec::new(),
            rate: Rate::default(),
        };
        Some(Self { name: message.topic.as_str().into(), state: Mutex::new(state) })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Budget: 100 ns besides copying the payload; allocates only where the payload is longer than any before, or publisher or content
    /// type are new.
    pub(super) fn note(&self, message: &Message, room: &Room, counts: bool) {
        let mut state = self.state();
        if counts {
            if state.count > 0 {
                let seconds = message.received.since(state.received).as_secs_f64();
                state.rate.add(seconds, message.payload.len());
            }
            state.count += 1;
        }
        state.received = message.received;
        state.expires = message.expires;
        (state.qos, state.retain) = (message.qos, message.retain);
        if message.retain {
            state.retained = !message.payload.is_empty();
        }
        if state.publisher != message.publisher {
            state.publisher.clone_from(&message.publisher);
        }
        state.user.clone_from(&message.user);
        state.note_content_type(message.content_type.as_ref(), room);
        state.size = message.payload.len();
        let kept = message.payload.get(..PAYLOAD_KEPT).unwrap_or(&message.payload);
        state.payload.clear();
        let more = kept.len().saturating_sub(state.payload.capacity());
        if more > 0 {
            if !room.take(more) {
                room.left_out.fetch_add(1, Ordering::Relaxed);
                return;
            }
            state.payload.reserve_exact(kept.len());
        }
        state.payload.extend_from_slice(kept);
    }

    /// What it has taken of the room.
    pub(super) fn weight(&self) -> usize {
        let state = self.state();
        name_weight(&self.name) + state.content_type_bytes() + state.payload.capacity()
    }

    pub(super) fn received(&self) -> Timestamp {
        self.state().received
    }

    pub(super) fn count(&self) -> u64 {
        self.state().count
    }

    pub(super) fn add_to(&self, sum: &mut Sum, now: Timestamp) {
        let state = self.state();
        let silent_s = now.since(state.received).as_secs_f64();
        sum.topics += 1;
        sum.overdue += usize::from(state.rate.is_overdue(silent_s));
        sum.per_second += state.rate.per_second(silent_s).map_or(0.0, |(messages, _)| messages);
        sum.received = sum.received.max(Some(state.received));
    }

    pub(super) fn info(&self, now: Timestamp) -> TopicInfo {
        let state = self.state();
        let silent_s = now.since(state.received).as_secs_f64();
        let (payload, size) = (state.payload.clone(), state.size);
        let mut info = TopicInfo {
            topic: self.name.clone(),
            count: state.count,
            first: state.first,
            received: state.received,
            qos: state.qos,
            retain: state.retain,
            retained: state.retained && state.expires.is_none_or(|at| at > now),
            publisher: state.publisher.clone(),
            user: state.user.clone(),
            content_type: state.content_type.clone(),
            size,
            payload,
            kind: PayloadKind::Empty,
            per_second: state.rate.per_second(silent_s),
            usual_interval: state.rate.usual(),
            silent_since: state.rate.is_overdue(silent_s).then_some(state.received),
        };
        drop(state);
        info.kind = PayloadKind::of(&info.topic, &info.payload, info.is_whole());
        info
    }
}
