//! Which messages of the lane, and of those that pass by, are to be sent.

use super::rules::Rule;
use super::state::Amount;
use crate::frames::{Op, peek};
use crate::message::Message;
use andon_model::log::{Frame, Lane, Log, ReadError, Seq};
use andon_wire::mqtt::Text;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;

/// How many messages that are not kept may wait for the link's task.
const PASSING: usize = 1024;

/// The rules, and whose messages are never sent.
#[derive(Debug)]
pub(super) struct Sieve {
    pub(super) rules: Arc<[Rule]>,
    /// Under this name the bridge publishes what comes from the other side: it does not go back.
    pub(super) own: Text,
}

/// A message that is to be sent.
#[derive(Clone, Debug)]
pub(super) struct Item {
    /// Its number in the lane; 0: a retained message.
    pub(super) seq: u64,
    pub(super) message: Arc<Message>,
    /// Which rule says how.
    pub(super) rule: usize,
}

impl Item {
    pub(super) fn amount(&self) -> Amount {
        if self.seq == 0 { Amount::default() } else { amount(&self.message) }
    }
}

pub(super) fn amount(message: &Message) -> Amount {
    Amount::of((message.topic.as_bytes().len() + message.payload.len()) as u64)
}

/// What was read of the lane.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    /// Where to go on.
    pub(super) next: u64,
    /// The last frame that is gone, if any of those asked for are.
    pub(super) gone_to: Option<u64>,
}

impl Sieve {
    /// The first rule for a topic.
    pub(super) fn rule(&self, topic: &str) -> Option<usize> {
        self.rules.iter().position(|rule| rule.filter.matches(topic))
    }

    fn keeps(&self, rule: usize) -> bool {
        self.rules.get(rule).is_some_and(Rule::keeps)
    }

    /// What is in the lane is kept for the other side, whatever its QoS: retained messages are, those that were released, and wills of
    /// sessions that outlive their connection. The others with QoS 0 pass by.
    fn pick(&self, frame: Frame) -> Option<Item> {
        let rule = self.rule(peek(frame.kind, &frame.payload)?).filter(|rule| self.keeps(*rule))?;
        // The broker has read this frame when it was applied.
        let message = Op::decode(frame.kind, frame.payload).ok()?.into_message()?;
        (message.publisher.as_ref() != Some(&self.own)).then_some(Item { seq: frame.seq.0, message, rule })
    }

    /// Reads the lane from `from` on, at the most to before `below`. Blocking.
    pub(super) fn read(&self, log: &dyn Log, from: u64, below: Option<u64>, bytes: usize) -> Result<Batch, ReadError> {
        let batch = log.read(Lane::Messages, Seq(from), bytes)?;
        let within = |seq: u64| below.is_none_or(|below| seq < below);
        let gone_to = batch.gaps.iter().map(|gap| gap.to.0).filter(|to| *to >= from).max();
        let next = batch.next.0.min(below.unwrap_or(u64::MAX));
        let frames = batch.frames.into_iter().filter(|frame| frame.seq.0 >= from && within(frame.seq.0));
        Ok(Batch { items: frames.filter_map(|frame| self.pick(frame)).collect(), next, gone_to })
    }

    /// Whether a message is sent as it passes by or not at all: it is not in the lane, or its rule does not want it kept.
    fn passes(&self, message: &Message, in_lane: bool) -> Option<usize> {
        if message.publisher.as_ref() == Some(&self.own) {
            return None;
        }
        let rule = self.rule(message.topic.as_str())?;
        (!(in_lane && self.keeps(rule))).then_some(rule)
    }
}

/// Where a bridge hears of messages that are not kept for it.
#[derive(Debug)]
pub(super) struct Tap {
    sieve: Arc<Sieve>,
    to: mpsc::Sender<Item>,
    /// There is a link to send them over.
    pub(super) open: AtomicBool,
    /// Those that were not taken.
    pub(super) missed: AtomicU64,
}

impl Tap {
    pub(super) fn new(sieve: Arc<Sieve>) -> (Arc<Self>, mpsc::Receiver<Item>) {
        let (to, from) = mpsc::channel(PASSING);
        (Arc::new(Self { sieve, to, open: AtomicBool::new(false), missed: AtomicU64::new(0) }), from)
    }

    fn pass(&self, message: &Arc<Message>, in_lane: bool) {
        let Some(rule) = self.sieve.passes(message, in_lane) else { return };
        let item = || Item { seq: 0, message: message.clone(), rule };
        if !self.open.load(Ordering::Acquire) || self.to.try_send(item()).is_err() {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The taps of all bridges of a broker.
#[derive(Debug, Default)]
pub(crate) struct Taps {
    any: AtomicBool,
    all: Mutex<Vec<Arc<Tap>>>,
}

impl Taps {
    /// A message passes by; `in_lane`: it is in the log, too. Budget without a bridge: one load.
    pub(crate) fn pass(&self, message: &Arc<Message>, in_lane: bool) {
        if self.any.load(Ordering::Acquire) {
            let taps = self.all.lock().unwrap_or_else(PoisonError::into_inner).clone();
            taps.iter().for_each(|tap| tap.pass(message, in_lane));
        }
    }

    pub(super) fn add(&self, tap: &Arc<Tap>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(tap.clone());
        self.any.store(true, Ordering::Release);
    }

    pub(super) fn remove(&self, tap: &Arc<Tap>) {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| !Arc::ptr_eq(other, tap));
        self.any.store(!all.is_empty(), Ordering::Release);
    }
}
