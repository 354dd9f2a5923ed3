//! The audit trail: every event of the records lane is sealed into one SHA-256 chain.
//!
//! `hash = SHA-256(prev ‖ JSON of the event)`. Cutting out, changing or reordering an event breaks every later link;
//! cutting off the end is found by comparing with a head hash written down elsewhere (`andon audit verify --against`).
//!
//! [`AuditRecorder`] is the one writer. It appends in call order, waits for the sync, and only then lets listeners
//! hear, in the order of the chain.

use crate::secret::hex;
use andon_model::BoxFuture;
use andon_model::event::{Event, SealedEvent};
use andon_model::log::{AppendError, Lane, Log, ReadError, Seq, kind};
use andon_model::record::Recorder;
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::broadcast;

/// How many events a listener may fall behind before it must read the log instead.
const LISTENER_CAPACITY: usize = 4096;
/// How much is read from the log at once, in bytes.
const READ_BYTES: usize = 4 << 20;

fn zero_hash() -> String {
    "0".repeat(64)
}

fn link(prev: &str, event_json: &[u8]) -> String {
    let mut hasher = Sha256::new();
    hasher.update(prev.as_bytes());
    hasher.update(event_json);
    hex(&hasher.finalize())
}

/// Why the chain could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log could not be read.
    #[error("the audit trail could not be read")]
    Read(#[from] ReadError),
    /// The newest event is not readable, so the chain has no end to go on from.
    #[error(
        "the newest event of the audit trail (number {seq}) is damaged: restore the records lane from a backup, or move it away to start a new chain"
    )]
    DamagedEnd {
        /// Its number.
        seq: u64,
    },
}

/// Reads a sealed event back from its frame.
/// # Errors
/// Not the JSON of a [`SealedEvent`].
pub fn decode(seq: Seq, payload: &[u8]) -> Result<SealedEvent, serde_json::Error> {
    let mut sealed: SealedEvent = serde_json::from_slice(payload)?;
    sealed.seq = seq;
    Ok(sealed)
}

/// A sealed event with its event as it stands in the frame, byte for byte: the hash is over these bytes, so that a
/// later version that knows more or fewer fields still verifies it.
#[derive(serde::Serialize, serde::Deserialize)]
struct RawSealed<'a> {
    #[serde(borrow)]
    event: &'a serde_json::value::RawValue,
    #[serde(borrow)]
    prev: &'a str,
    #[serde(borrow)]
    hash: &'a str,
}

struct Chain {
    head: String,
    /// Appended, in order, not yet known to be durable.
    waiting: VecDeque<Arc<SealedEvent>>,
}

/// Seals, appends and announces events.
pub struct AuditRecorder {
    log: Arc<dyn Log>,
    chain: Arc<Mutex<Chain>>,
    listeners: broadcast::Sender<Arc<SealedEvent>>,
}

impl AuditRecorder {
    /// Finds the end of the chain in the log and goes on from there.
    /// # Errors
    /// The log cannot be read, or its newest event is damaged.
    pub fn open(log: Arc<dyn Log>) -> Result<Arc<Self>, OpenError> {
        let head = find_head(&*log)?;
        let (listeners, _) = broadcast::channel(LISTENER_CAPACITY);
        let chain = Arc::new(Mutex::new(Chain { head, waiting: VecDeque::new() }));
        Ok(Arc::new(Self { log, chain, listeners }))
    }

    /// Hears of every event from now on, after it is durable. A listener that lags is told how many it missed.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<SealedEvent>> {
        self.listeners.subscribe()
    }

    /// The hash of the newest sealed event.
    #[must_use]
    pub fn head(&self) -> String {
        self.chain.lock().unwrap_or_else(PoisonError::into_inner).head.clone()
    }

    /// Seals and appends in one step, so that the chain's order is the lane's order.
    fn append(&self, event: Event) -> Result<Arc<SealedEvent>, AppendError> {
        let mut chain = self.chain.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = serde_json::value::to_raw_value(&event).map_err(|e| unencodable(&e))?;
        let prev = chain.head.clone();
        let hash = link(&prev, raw.get().as_bytes());
        let frame =
            serde_json::to_vec(&RawSealed { event: &raw, prev: &prev, hash: &hash }).map_err(|e| unencodable(&e))?;
        let mut sealed = SealedEvent { seq: Seq::default(), event, prev, hash };
        sealed.seq = self.log.append(Lane::Records, kind::EVENT, &frame)?;
        chain.head.clone_from(&sealed.hash);
        let sealed = Arc::new(sealed);
        chain.waiting.push_back(sealed.clone());
        Ok(sealed)
    }
}

fn unencodable(error: &serde_json::Error) -> AppendError {
    AppendError::Poisoned { lane: Lane::Records, reason: format!("an event could not be written as JSON: {error}") }
}

/// Announces everything that is durable up to `seq`, in order. Holding the lock keeps two announcers from overtaking.
fn announce(chain: &Mutex<Chain>, listeners: &broadcast::Sender<Arc<SealedEvent>>, seq: Seq) {
    let mut chain = chain.lock().unwrap_or_else(PoisonError::into_inner);
    while chain.waiting.front().is_some_and(|event| event.seq <= seq) {
        if let Some(event) = chain.waiting.pop_front() {
            let _ = listeners.send(event); // Nobody listening is fine: the log has it.
        }
    }
}

impl Recorder for AuditRecorder {
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>> {
        let sealed = match self.append(event) {
            Ok(sealed) => sealed,
            Err(error) => return Box::pin(std::future::ready(Err(error))),
        };
        let (log, chain, listeners) = (self.log.clone(), self.chain.clone(), self.listeners.clone());
        // A task of its own: the event is announced even when the caller has gone away.
        let wait = tokio::spawn(async move {
            log.durable(Lane::Records, sealed.seq).await?;
            announce(&chain, &listeners, sealed.seq);
            Ok(sealed)
        });
        Box::pin(async move { wait.await.unwrap_or(Err(AppendError::Closed)) })
    }
}

fn find_head(log: &dyn Log) -> Result<String, OpenError> {
    let first = log.first_seq(Lane::Records).0.max(1);
    let mut at = log.durable_seq(Lane::Records).0;
    // The newest frame is nearly always an event; step back over what is not.
    while at >= first && at > 0 {
        let batch = log.read(Lane::Records, Seq(at), 1)?;
        match batch.frames.first() {
            Some(frame) if frame.seq.0 == at && frame.kind == kind::EVENT => {
                return decode(frame.seq, &frame.payload)
                    .map(|s| s.hash)
                    .map_err(|_| OpenError::DamagedEnd { seq: at });
            }
            Some(frame) if frame.seq.0 == at => at -= 1,
            _ => return Err(OpenError::DamagedEnd { seq: at }),
        }
    }
    Ok(zero_hash())
}

/// What a check of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AuditReport {
    /// No link is broken, nothing is missing, and the hash to compare with (if given) is in the chain.
    pub ok: bool,
    /// How many events hold, from the oldest on.
    pub events: u64,
    /// The hash of the last of them; write it down elsewhere.
    pub head: String,
    /// The number of the first event that does not fit.
    pub first_bad: Option<u64>,
    /// In plain words.
    pub detail: String,
}

/// Checks the whole chain from the oldest kept event on; `against` is a head hash noted earlier. Blocking.
/// # Errors
/// The log cannot be read.
pub fn verify(log: &dyn Log, against: Option<&str>) -> Result<AuditReport, ReadError> {
    let against = against.map(|hash| hash.trim().to_lowercase());
    let against = against.as_deref();
    let mut at = log.first_seq(Lane::Records);
    let end = log.durable_seq(Lane::Records);
    // Nothing comes before the first frame that was ever written, so its event has nothing to follow.
    let prev = (at.0 <= 1).then(zero_hash);
    let mut state = Verifier { prev, events: 0, bad: None, seen: against.is_none_or(|hash| hash == zero_hash()) };
    while at <= end && end > Seq(0) && state.bad.is_none() {
        let batch = log.read(Lane::Records, at, READ_BYTES)?;
        let gap = batch.gaps.iter().min_by_key(|gap| gap.from);
        let before_gap = gap.map_or(Seq(u64::MAX), |gap| gap.from);
        let frames = batch.frames.iter().filter(|frame| frame.kind == kind::EVENT);
        for frame in frames.take_while(|frame| frame.seq < before_gap) {
            state.feed(frame.seq, &frame.payload, against);
        }
        if let Some(gap) = gap {
            state.miss(gap.from, gap.to, &gap.reason);
        } else if batch.next <= at {
            state.miss(at, end, "the log does not give them back");
        }
        at = batch.next;
    }
    Ok(state.report(against))
}

struct Verifier {
    prev: Option<String>,
    events: u64,
    bad: Option<(u64, String)>,
    seen: bool,
}

impl Verifier {
    fn miss(&mut self, from: Seq, to: Seq, reason: &str) {
        let words = || format!("events {} to {} are missing: {reason}", from.0, to.0);
        self.bad.get_or_insert_with(|| (from.0, words()));
    }

    fn feed(&mut self, seq: Seq, payload: &[u8], against: Option<&str>) {
        if self.bad.is_some() {
            return;
        }
        let Ok(sealed) = serde_json::from_slice::<RawSealed<'_>>(payload) else {
            self.bad = Some((seq.0, format!("event {} cannot be read", seq.0)));
            return;
        };
        // Byte for byte what we write: blanks, escapes or further fields are not ours.
        let as_written = serde_json::to_vec(&sealed).is_ok_and(|ours| ours == payload);
        if !as_written {
            self.bad = Some((seq.0, format!("event {} was changed after it was sealed", seq.0)));
        } else if self.prev.as_ref().is_some_and(|prev| *prev != sealed.prev) {
            self.bad = Some((seq.0, format!("event {} does not follow the one before it", seq.0)));
        } else if link(sealed.prev, sealed.event.get().as_bytes()) != sealed.hash {
            self.bad = Some((seq.0, format!("event {} was changed after it was sealed", seq.0)));
        }
        if self.bad.is_none() {
            self.seen |= against == Some(sealed.hash);
            self.prev = Some(sealed.hash.to_owned());
            self.events += 1;
        }
    }

    fn report(self, against: Option<&str>) -> AuditReport {
        let cut = !self.seen && self.bad.is_none();
        let detail = match (&self.bad, against) {
            (Some((_, words)), _) => words.clone(),
            (None, Some(hash)) if cut => {
                format!("the event with hash {hash} is no longer in the trail: events were cut off or replaced")
            }
            _ => format!("{} events, every link holds", self.events),
        };
        AuditReport {
            ok: self.bad.is_none() && !cut,
            events: self.events,
            head: self.prev.unwrap_or_else(zero_hash),
            first_bad: self.bad.map(|(seq, _)| seq),
            detail,
        }
    }
}
