//! Deleting a stretch of a tag's history.
//!
//! A delete is a frame in the samples lane, so it has its place among the samples: it takes what was stored before it and
//! not what comes after. Samples in the buffer go at once. Files stay as they are; a note in the manifest hides the rows
//! from every read, until the next tidying writes the file anew without them ([`upkeep`](crate::upkeep)).

use crate::historian::{Historian, State};
use crate::manifest::FileInfo;
use andon_model::log::{AppendError, Lane, Seq, kind};
use andon_model::{TagId, Timestamp};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The most deletes that wait to be written into files; more are refused until some were.
pub(crate) const MAX_DELETES: usize = 10_000;

/// Rows that are no longer history: `from <= ts < to`, µs, of what was stored before frame `seq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Delete {
    pub tag: u32,
    pub from: i64,
    pub to: i64,
    pub seq: Seq,
}

impl Delete {
    /// Whether it may concern rows of a file.
    pub(crate) fn concerns(&self, file: &FileInfo) -> bool {
        self.seq > file.to.max(file.folded)
            && (file.tags.0..=file.tags.1).contains(&self.tag)
            && self.from <= file.ts.1
            && self.to > file.ts.0
    }
}

/// Why nothing was deleted.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// The range is empty or runs backwards.
    #[error("the range from {from} to {to} is empty; `to` must be later than `from`")]
    Empty {
        /// As asked.
        from: Timestamp,
        /// As asked.
        to: Timestamp,
    },
    /// Too many deletes were not yet written into files.
    #[error("{MAX_DELETES} deletes are still being worked into the history files; try again in a few minutes")]
    TooMany,
    /// The log did not take it.
    #[error("the delete could not be made durable")]
    Log(#[from] AppendError),
}

/// What a DELETE frame says.
#[derive(Serialize, Deserialize)]
struct Payload {
    tag: u32,
    from: i64,
    to: i64,
}

/// Reads a DELETE frame.
pub(crate) fn decode(seq: Seq, payload: &[u8]) -> Result<Delete, serde_json::Error> {
    serde_json::from_slice(payload).map(|Payload { tag, from, to }| Delete { tag, from, to, seq })
}

impl Historian {
    /// Deletes a tag's points with `from <= ts < to` that are in the log by now. When this returns the delete is durable, and
    /// out of every answer (while the buffer is full: as soon as it was written).
    /// # Errors
    /// See [`DeleteError`]; nothing is deleted then (after [`DeleteError::Log`] it may be, as with any write whose sync failed).
    pub async fn delete(self: &Arc<Self>, tag: TagId, from: Timestamp, to: Timestamp) -> Result<(), DeleteError> {
        if from >= to {
            return Err(DeleteError::Empty { from, to });
        }
        if self.state().deletes.len() >= MAX_DELETES {
            self.tidy_soon.store(true, Ordering::Relaxed);
            self.work.notify_one();
            return Err(DeleteError::TooMany);
        }
        let payload = Payload { tag: tag.0, from: from.micros(), to: to.micros() };
        let payload = serde_json::to_vec(&payload).unwrap_or_default();
        let seq = loop {
            match self.log.append(Lane::Samples, kind::DELETE, &payload) {
                Err(AppendError::Busy { .. }) => self.log.ready(Lane::Samples).await?,
                other => break other?,
            }
        };
        self.log.durable(Lane::Samples, seq).await?;
        if let Err(error) = self.catch_up().await {
            tracing::warn!(%error, "a delete is durable but not yet followed");
        }
        Ok(())
    }
}

impl State {
    /// Applies a delete that was read from the log.
    pub(crate) fn delete(&mut self, delete: Delete) {
        self.active.delete(delete.tag, delete.from, delete.to);
        if !self.deletes.contains(&delete) {
            self.deletes.push(delete);
        }
    }
}

/// The stretches of time of one tag that are deleted from what was stored up to `seq`: ascending, none touching another.
pub(crate) fn stretches(deletes: &[Delete], tag: u32, seq: Seq) -> Arc<[(i64, i64)]> {
    let mine = deletes.iter().filter(|delete| delete.tag == tag && delete.seq > seq);
    let mut all: Vec<(i64, i64)> = mine.map(|delete| (delete.from, delete.to)).collect();
    all.sort_unstable();
    all.dedup_by(|next, before| {
        let joins = next.0 <= before.1;
        if joins {
            before.1 = before.1.max(next.1);
        }
        joins
    });
    all.into()
}
