//! Last values over a restart: a snapshot, and the samples lane after it.
//!
//! The snapshot's position is read before the values, and every sample of the lane up to it went over the bus first, so
//! the values hold at least everything up to that position. What is durable before the bus has it ([`crate::direct`])
//! holds the position back. Values may be newer than the position: replaying a sample twice changes nothing. But none is saved before its sample is in the lane: whoever finds a value here may take it
//! that history has it too.

use crate::Bus;
use crate::replay::READ_BYTES;
use andon_model::log::{Lane, Log, Positions, ReadError, Seq, SnapshotError, kind};
use andon_model::sample_codec::{decode_samples, encode_samples};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The reader's name in the log.
pub const READER: &str = "bus.last-values";

/// How long the samples of the values may take into the lane.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// How often the values are saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);

/// Why last values could not be restored. The bus then starts without them: values come with the first samples.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The log cannot be read.
    #[error("could not read stored samples")]
    Read(#[from] ReadError),
    /// The reader cannot be registered.
    #[error("could not register the reader of last values")]
    Snapshot(#[from] SnapshotError),
}

/// What was restored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Values from the snapshot.
    pub from_snapshot: usize,
    /// Samples replayed after it.
    pub replayed: u64,
    /// Frames that could not be understood; they were skipped.
    pub unreadable: u64,
}

/// Restores the last values, after [`Bus::set_plant`] and before the first publish. Subscribers are not told.
/// Blocking file I/O. A snapshot that cannot be used is reported to the program's log and left aside: what the lane
/// still holds is replayed instead.
/// # Errors
/// [`RestoreError`]: the log cannot be read.
pub fn restore(bus: &Bus, log: &dyn Log) -> Result<Restored, RestoreError> {
    log.register_reader(READER, &[Lane::Samples])?;
    let mut restored = Restored::default();
    let mut next = Seq(1);
    match log.load_snapshot(READER) {
        Ok(Some(snapshot)) => match decode_samples(&snapshot.state) {
            Ok(samples) => {
                next = snapshot.positions.samples.next();
                restored.from_snapshot = bus.restore(samples);
            }
            Err(error) => tracing::warn!(%error, "the saved last values cannot be used"),
        },
        Ok(None) => {}
        Err(error) => tracing::warn!(%error, "the saved last values cannot be used"),
    }
    loop {
        let batch = log.read(Lane::Samples, next, READ_BYTES)?;
        for frame in batch.frames.iter().filter(|frame| frame.kind.kind == kind::SAMPLES.kind) {
            match decode_samples(&frame.payload) {
                Ok(samples) => {
                    restored.replayed += samples.len() as u64;
                    bus.restore(samples);
                }
                Err(_) => restored.unreadable += 1,
            }
        }
        if batch.next <= next {
            return Ok(restored);
        }
        next = batch.next;
    }
}

/// Saves the last values now, when nothing is published any more and the spool has ended. Blocking file I/O.
/// # Errors
/// The snapshot before stays valid.
pub fn save(bus: &Bus, log: &dyn Log) -> Result<(), SnapshotError> {
    let (positions, state) = state_of(bus, log);
    log.save_snapshot(READER, positions, &state)
}

fn state_of(bus: &Bus, log: &dyn Log) -> (Positions, Vec<u8>) {
    let durable = log.durable_seq(Lane::Samples);
    // In this order: what was begun later lies behind `durable` anyway.
    let samples = bus.floors.lowest().map_or(durable, |floor| floor.min(durable));
    let positions = Positions { samples, ..Positions::default() };
    (positions, encode_samples(&bus.last_all()))
}

/// Saves the last values every minute and at `stop`.
pub async fn run(bus: Arc<Bus>, log: Arc<dyn Log>, stop: CancellationToken) {
    loop {
        let stopping = tokio::select! {
            () = stop.cancelled() => true,
            () = tokio::time::sleep(SAVE_EVERY) => false,
        };
        save_settled(&bus, &log).await;
        if stopping {
            return;
        }
    }
}

/// Saves the values once their samples are in the lane.
async fn save_settled(bus: &Bus, log: &Arc<dyn Log>) {
    let (positions, state) = state_of(bus, &**log);
    if tokio::time::timeout(SETTLE_WITHIN, bus.settled()).await.is_err() {
        tracing::warn!(
            "last values were not saved, for their samples cannot be stored; a restart will replay more samples"
        );
        return;
    }
    let log = log.clone();
    match tokio::task::spawn_blocking(move || log.save_snapshot(READER, positions, &state)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "last values were not saved; a restart will replay more samples"),
        Err(error) => tracing::warn!(%error, "saving last values was cut short"),
    }
}
