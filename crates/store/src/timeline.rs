//! The sequence of events as a table: a reader of the records lane whose offset moves in the transaction of its rows.
//!
//! The table is derived: when it does not fit the log (one of the two was put back from a backup), it is made again.

use crate::error::StoreError;
use crate::relay::{RelayError, save_offset, wait_for_server};
use crate::repository::Repository;
use andon_model::event::SealedEvent;
use andon_model::log::{Frame, Gap, Lane, Log, Seq, kind as frame_kind};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Under which name the timeline reads the log.
pub const READER: &str = "store.timeline";

/// Bytes of log per transaction.
const READ_BYTES: usize = 1 << 20;
/// How often to look whether the log has grown; a look is one atomic load.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// After so many frames the log hears how far the timeline has come, so that it may free what lies before.
const SAVE_AFTER: u64 = 10_000;

/// Fills the timeline from the log until `stop`. While the database server is away it waits.
/// # Errors
/// The store or the log failed; what was filled stays, and the next start goes on from there.
pub async fn run_timeline(
    repository: Arc<dyn Repository>,
    log: Arc<dyn Log>,
    stop: CancellationToken,
) -> Result<(), RelayError> {
    log.register_reader(READER, &[Lane::Records])?;
    while let Err(error) = fill(&*repository, &log, &stop).await {
        wait_for_server(error, &stop).await?;
    }
    Ok(())
}

/// One life: until `stop`, or until something fails.
async fn fill(repository: &dyn Repository, log: &Arc<dyn Log>, stop: &CancellationToken) -> Result<(), RelayError> {
    if stop.is_cancelled() {
        return Ok(());
    }
    let mut seen = repository.applied(READER, Lane::Records).await?;
    if seen > log.durable_seq(Lane::Records) {
        tracing::warn!(seen = seen.0, "the log is shorter than the timeline made from it; making the timeline again");
        repository.timeline_clear().await?;
        seen = Seq(0);
    }
    let mut saved = seen;
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        while seen < log.durable_seq(Lane::Records) && !stop.is_cancelled() {
            seen = take_over(repository, log, seen).await?;
            if seen.0.saturating_sub(saved.0) >= SAVE_AFTER {
                save_offset(log.clone(), READER, seen).await?;
                saved = seen;
            }
        }
        tokio::select! {
            () = stop.cancelled() => {
                return if seen > saved { save_offset(log.clone(), READER, seen).await } else { Ok(()) };
            }
            _ = look.tick() => {}
        }
    }
}

/// Takes one batch over; returns how far the timeline has come.
async fn take_over(repository: &dyn Repository, log: &Arc<dyn Log>, seen: Seq) -> Result<Seq, RelayError> {
    let reader = log.clone();
    let read = tokio::task::spawn_blocking(move || reader.read(Lane::Records, seen.next(), READ_BYTES)).await;
    let batch = read.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })??;
    let upto = Seq(batch.next.0.saturating_sub(1));
    if upto <= seen {
        // Durable, yet not to be read: nothing to take over until the log says more.
        tokio::time::sleep(LOOK_EVERY).await;
        return Ok(seen);
    }
    let mut gaps = batch.gaps;
    let mut events = Vec::with_capacity(batch.frames.len());
    for frame in &batch.frames {
        match read_frame(frame) {
            Read::Event(event) => events.push(*event),
            Read::Gap(gap) => gaps.push(gap),
            Read::Other => {}
        }
    }
    repository.timeline_apply(events, gaps, upto).await?;
    Ok(upto)
}

enum Read {
    Event(Box<SealedEvent>),
    Gap(Gap),
    Other,
}

/// A frame that should be an event and cannot be read is a gap with the reason: left out, never silently.
fn read_frame(frame: &Frame) -> Read {
    let gap = |reason: String| Read::Gap(Gap { from: frame.seq, to: frame.seq, reason });
    if frame.kind == frame_kind::GAP {
        return serde_json::from_slice(&frame.payload).map_or(Read::Other, Read::Gap);
    }
    if frame.kind.kind != frame_kind::EVENT.kind {
        return Read::Other;
    }
    if frame.kind.version != frame_kind::EVENT.version {
        return gap(format!("an event of version {}, which this program does not know", frame.kind.version));
    }
    match serde_json::from_slice::<SealedEvent>(&frame.payload) {
        Ok(mut event) => {
            event.seq = frame.seq;
            Read::Event(Box::new(event))
        }
        Err(error) => gap(format!("an event that cannot be read: {error}")),
    }
}
