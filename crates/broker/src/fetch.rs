//! Waiting messages come back from the log: when their turn is near, and before the log frees them.

use crate::broker::Broker;
use crate::frames::{Op, SessionNo};
use crate::message::Message;
use andon_model::access::Principal;
use andon_model::log::{Lane, Log, ReadError, Seq};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

/// How many bytes of messages are fetched for a session at a time, and at the most stay in memory of what is about to be
/// sent to it.
pub(crate) const AHEAD_BYTES: u64 = 256 << 10;
/// How much stays in memory for a session without a connection.
pub(crate) const AWAY_BYTES: u64 = 16 << 10;
/// A fetch ends when so many bytes came, however little their messages count against the queue's bound.
const FETCH_BYTES: usize = 1 << 20;
/// Messages within so many frames of each other are read in one go.
const NEAR: u64 = 32;
/// How much is read in one go.
const READ_BYTES: usize = 64 << 10;

/// Messages by their place in the log.
pub(crate) type Found = HashMap<Seq, Arc<Message>>;

/// Messages that a connection needs next.
#[derive(Debug)]
pub(crate) struct Fetch {
    pub(crate) session: SessionNo,
    pub(crate) connection: u64,
    pub(crate) principal: Principal,
    pub(crate) seqs: Vec<Seq>,
}

/// What became of a fetch.
#[derive(Debug, Default)]
pub(crate) struct Fetched {
    pub(crate) found: Found,
    /// Those of the found ones that the client may not have.
    pub(crate) denied: HashSet<Seq>,
}

/// What connections wait for, each for one fetch at most.
#[derive(Default)]
pub(crate) struct Fetches {
    waiting: Mutex<VecDeque<Fetch>>,
    wake: Notify,
}

impl Fetches {
    pub(crate) fn ask(&self, fetches: Vec<Fetch>) {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).extend(fetches);
        self.wake.notify_one();
    }

    fn next(&self) -> Option<Fetch> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

impl Broker {
    /// Serves the fetches in turn, so that one session far behind does not hold up the others.
    pub(crate) async fn fetch_messages(self: Arc<Self>) {
        loop {
            let Some(fetch) = self.fetches.next() else {
                tokio::select! {
                    () = self.fetches.wake.notified() => continue,
                    () = self.finish.cancelled() => return,
                }
            };
            let Fetch { session, connection, principal, seqs } = fetch;
            if !self.with_core(|core| core.awaits(session, connection)) {
                continue;
            }
            match self.read_messages(seqs, FETCH_BYTES).await {
                Ok((found, looked_for)) => {
                    self.names.learn_new(found.values().filter_map(|m| m.user.as_ref()), &*self.hooks);
                    let no_right = |m: &Message| !self.hooks.may_subscribe(&principal, m.topic.as_str());
                    let denied = found.iter().filter(|(_, m)| no_right(m)).map(|(seq, _)| *seq).collect();
                    let fetched = Fetched { found, denied };
                    self.with_core(|core| core.fetched(session, connection, &looked_for, &fetched));
                }
                Err(error) => {
                    tracing::error!(%error, "waiting MQTT messages could not be read; their client's connection ends");
                    self.with_core(|core| core.not_fetched(session, connection));
                }
            }
        }
    }

    /// Reads messages from the log until about so many bytes came; and which were looked for: those of them that are not there
    /// are missing.
    pub(crate) async fn read_messages(&self, mut seqs: Vec<Seq>, most: usize) -> Result<(Found, Vec<Seq>), ReadError> {
        let log = self.pipeline.log().clone();
        // They are read in the order of the log, which is not the one in which they are sent where some waited for their turn.
        seqs.sort_unstable();
        seqs.dedup();
        let reading = tokio::task::spawn_blocking(move || {
            let (found, looked_for) = read(&*log, &seqs, most)?;
            seqs.truncate(looked_for);
            Ok((found, seqs))
        });
        reading.await.unwrap_or_else(|error| {
            let source = std::io::Error::other(error);
            Err(ReadError::Io { lane: Lane::Messages, seq: Seq(0), source })
        })
    }
}

/// Reads messages whose numbers ascend, until about `most` bytes came; how many of the numbers were looked for.
pub(crate) fn read(log: &dyn Log, seqs: &[Seq], most: usize) -> Result<(Found, usize), ReadError> {
    let mut bytes = 0_usize;
    let wanted: HashSet<Seq> = seqs.iter().copied().collect();
    let mut found = HashMap::with_capacity(seqs.len());
    let mut rest = seqs;
    while let Some((first, others)) = rest.split_first().filter(|_| bytes < most) {
        let near = others.first().is_some_and(|next| next.0.saturating_sub(first.0) <= NEAR);
        let batch = log.read(Lane::Messages, *first, if near { READ_BYTES } else { 1 })?;
        for frame in batch.frames.into_iter().filter(|frame| wanted.contains(&frame.seq)) {
            bytes = bytes.saturating_add(frame.payload.len());
            // A frame of another kind cannot be: a message was in it when it was applied.
            if let Some(message) = Op::decode(frame.kind, frame.payload).ok().and_then(Op::into_message) {
                found.insert(frame.seq, message);
            }
        }
        let next = batch.next.max(first.next());
        let after = rest.iter().position(|seq| *seq >= next).unwrap_or(rest.len());
        rest = rest.get(after..).unwrap_or_default();
    }
    Ok((found, seqs.len() - rest.len()))
}
