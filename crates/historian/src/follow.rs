//! Reading the log's samples lane into the buffer.
//!
//! Frames are applied in order, each once. Numbers that are missing, frames that say so themselves and frames that
//! cannot be decoded become gaps: history is incomplete from the frame before to the frame after.

use crate::buffer::Fate;
use crate::compress::Compressions;
use crate::delete::{self, Delete};
use crate::historian::{Historian, State};
use crate::point::HistoryGap;
use andon_model::log::{Frame, FrameKind, Gap, Lane, ReadBatch, ReadError, Seq, kind};
use andon_model::{Sample, Timestamp, sample_codec};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often an idle historian looks for new frames.
const IDLE: Duration = Duration::from_millis(100);
/// How long it waits after the log could not be read.
const AFTER_ERROR: Duration = Duration::from_secs(1);
/// More gaps than this are folded together, oldest first.
const MAX_GAPS: usize = 10_000;
/// Samples spread over more days than this are flushed first, since each day becomes a file.
const MAX_DAYS: usize = 512;

/// Why the log cannot be followed.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The log cannot be read; it is tried again.
    #[error("the log's samples cannot be read")]
    Log(#[from] ReadError),
    /// The runtime is shutting down.
    #[error("the historian is stopping")]
    Stopped,
}

/// What one look into the log brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Followed {
    /// Frames were applied; there may be more.
    More,
    /// Nothing new.
    Idle,
    /// The buffer is full; nothing was read.
    Full,
}

/// A frame with its content understood.
struct Entry {
    seq: Seq,
    received: Timestamp,
    epoch: u64,
    content: Content,
}

enum Content {
    Samples(Vec<Sample>),
    Deleted(Delete),
    Lost(String),
    Foreign,
}

impl Historian {
    pub(crate) async fn follow(self: Arc<Self>, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            let this = Arc::clone(&self);
            let followed = tokio::task::spawn_blocking(move || this.follow_once()).await;
            let pause = match followed {
                Ok(Ok(Followed::More)) => continue,
                Ok(Ok(Followed::Idle | Followed::Full)) => IDLE,
                Ok(Err(error)) => {
                    self.note_outcome("read the log", Some(&error));
                    AFTER_ERROR
                }
                Err(_) => AFTER_ERROR,
            };
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Applies frames up to this one, as far as the buffer has room; not beyond, for while samples pour in there is always more. Blocking.
    pub(crate) fn follow_to(&self, goal: Seq) -> Result<(), FollowError> {
        while self.state().position < goal && self.follow_once()? == Followed::More {}
        Ok(())
    }

    /// Reads once and applies what came. Blocking.
    pub(crate) fn follow_once(&self) -> Result<Followed, FollowError> {
        let _alone = self.following.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (from, full) = {
            let state = self.state();
            (state.position.next(), self.is_full(&state))
        };
        if full {
            self.work.notify_one();
            return Ok(Followed::Full);
        }
        if self.log.durable_seq(Lane::Samples) < from {
            return Ok(Followed::Idle);
        }
        let batch = self.log.read(Lane::Samples, from, self.options.read_bytes)?;
        self.note_outcome("read the log", None);
        if batch.next <= from {
            return Ok(Followed::Idle);
        }
        self.apply(batch);
        Ok(Followed::More)
    }

    fn is_full(&self, state: &State) -> bool {
        let frozen = state.frozen.as_ref().map_or(0, |frozen| frozen.buffer.bytes());
        let bytes = state.active.bytes().saturating_add(frozen);
        bytes >= self.options.flush_bytes.saturating_mul(2) || state.active.days() > 2 * MAX_DAYS
    }

    /// Whether it is time to write files.
    pub(crate) fn flush_is_due(&self) -> bool {
        let now = self.clock.monotonic();
        let state = self.state();
        let old = state.unsaved_since.is_some_and(|since| now.saturating_sub(since) >= self.options.flush_age);
        let unfinished = state.frozen.is_some() || state.told != state.saved;
        old || unfinished || state.active.bytes() >= self.options.flush_bytes || state.active.days() > MAX_DAYS
    }

    fn apply(&self, batch: ReadBatch) {
        let ReadBatch { frames, gaps, next } = batch;
        let entries: Vec<Entry> = frames.into_iter().map(understand).collect();
        let now = (self.clock.now(), self.clock.monotonic());
        let mut gaps = gaps.into_iter().peekable();
        let rules = self.compressions();
        let mut state = self.state();
        let left_out = state.active.left_out();
        for entry in entries {
            if entry.seq <= state.position {
                continue;
            }
            while let Some(gap) = gaps.next_if(|gap| gap.from < entry.seq) {
                state.skip(&gap, entry.received);
            }
            if entry.seq > state.position.next() {
                let (from, to) = (state.position.next(), Seq(entry.seq.0 - 1));
                state.skip(&Gap { from, to, reason: "frames are missing in the log".to_owned() }, entry.received);
            }
            self.counters.frames.fetch_add(1, Ordering::Relaxed);
            self.counters.points.fetch_add(entry.sample_count(), Ordering::Relaxed);
            state.take(entry, &rules);
        }
        for gap in gaps {
            state.skip(&gap, now.0);
        }
        self.counters.left_out.fetch_add(state.active.left_out() - left_out, Ordering::Relaxed);
        // `next` may lie behind a gap's end; never go back, never skip a frame that was not read.
        state.position = state.position.max(Seq(next.0.saturating_sub(1)));
        state.unsaved_since.get_or_insert(now.1);
        let wake = state.active.bytes() >= self.options.flush_bytes || state.active.days() > MAX_DAYS;
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }
}

impl Entry {
    fn sample_count(&self) -> u64 {
        if let Content::Samples(samples) = &self.content { samples.len() as u64 } else { 0 }
    }
}

/// What a frame of the samples lane holds.
fn understand(frame: Frame) -> Entry {
    let content = match frame.kind {
        kind::SAMPLES => match sample_codec::decode_samples(&frame.payload) {
            Ok(samples) => Content::Samples(samples),
            Err(error) => Content::Lost(format!("frame {} cannot be read: {error}", frame.seq.0)),
        },
        kind::DELETE => match delete::decode(frame.seq, &frame.payload) {
            Ok(delete) => Content::Deleted(delete),
            Err(error) => Content::Lost(format!("frame {} (a delete) cannot be read: {error}", frame.seq.0)),
        },
        FrameKind { kind: same, version } if same == kind::SAMPLES.kind || same == kind::DELETE.kind => Content::Lost(
            format!("frame {} has format version {version}, which this version of Andon does not read", frame.seq.0),
        ),
        kind::GAP => Content::Lost(
            serde_json::from_slice::<Gap>(&frame.payload)
                .map_or_else(|_| "samples were lost".to_owned(), |gap| gap.reason),
        ),
        _ => Content::Foreign,
    };
    Entry { seq: frame.seq, received: frame.received, epoch: frame.epoch, content }
}

impl State {
    fn take(&mut self, entry: Entry, rules: &Compressions) {
        // The log was opened anew in between: the node was down, and what happened meanwhile was not seen.
        if self.epoch != 0 && entry.epoch != self.epoch {
            self.lose(entry.received, "Andon was not running".to_owned());
        }
        self.epoch = entry.epoch;
        match entry.content {
            Content::Samples(samples) => {
                for sample in &samples {
                    let newer = self.newest.note(sample.tag.0, sample.source_ts.micros());
                    let rule = if newer { rules.get(&sample.tag.0) } else { None };
                    self.active.push(sample, rule.map_or(Fate::Stays, Fate::MayReplace));
                }
            }
            Content::Deleted(delete) => self.delete(delete),
            Content::Lost(reason) => self.lose(entry.received, reason),
            Content::Foreign => {}
        }
        self.position = entry.seq;
        self.complete_to = self.complete_to.max(Some(entry.received));
    }

    /// Frames that will never come.
    fn skip(&mut self, gap: &Gap, until: Timestamp) {
        if gap.to <= self.position {
            return;
        }
        self.lose(until, gap.reason.clone());
        self.position = gap.to;
    }

    /// History is incomplete from the last frame to `until`.
    fn lose(&mut self, until: Timestamp, reason: String) {
        let from = self.complete_to.unwrap_or(Timestamp::MIN);
        let to = until.max(from);
        let gaps = Arc::make_mut(&mut self.gaps);
        match gaps.last_mut() {
            Some(last) if last.reason == reason && last.to >= from => last.to = last.to.max(to),
            _ => gaps.push(HistoryGap { from, to, reason }),
        }
        if gaps.len() > MAX_GAPS {
            fold_oldest(gaps);
        }
    }
}

/// Makes one gap of the two oldest: it says too much rather than too little.
fn fold_oldest(gaps: &mut Vec<HistoryGap>) {
    let oldest = gaps.remove(0);
    if let Some(first) = gaps.first_mut() {
        first.from = first.from.min(oldest.from);
        first.to = first.to.max(oldest.to);
        "several losses, folded together".clone_into(&mut first.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn a_loss_spans_from_the_frame_before_to_the_frame_after() {
        let mut state = State { complete_to: Some(at(10)), position: Seq(5), ..State::default() };
        state.skip(&Gap { from: Seq(6), to: Seq(8), reason: "freed".to_owned() }, at(20));
        assert_eq!(
            (state.position, &state.gaps[..]),
            (Seq(8), &[HistoryGap { from: at(10), to: at(20), reason: "freed".to_owned() }][..])
        );
        state.skip(&Gap { from: Seq(6), to: Seq(8), reason: "freed".to_owned() }, at(99));
        assert_eq!(state.gaps.len(), 1, "a gap that is known is not said again");
    }

    #[test]
    fn gaps_are_bounded_and_fold_to_the_safe_side() {
        let mut state = State::default();
        for n in 0..i64::try_from(MAX_GAPS).unwrap() + 5 {
            state.lose(at(n), format!("loss {n}"));
            state.complete_to = Some(at(n));
        }
        assert_eq!(state.gaps.len(), MAX_GAPS);
        assert_eq!(state.gaps[0].from, Timestamp::MIN);
    }
}
