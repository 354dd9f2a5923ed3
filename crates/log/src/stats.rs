//! Figures for `/metrics` and the status page.

use andon_model::log::{Lane, Seq};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a lane counts while it works.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub frames: AtomicU64,
    pub bytes: AtomicU64,
    pub groups: AtomicU64,
    pub syncs: AtomicU64,
    pub sync_micros: AtomicU64,
    pub sync_micros_max: AtomicU64,
}

impl Counters {
    pub(crate) fn note_sync(&self, took: Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.syncs.fetch_add(1, Ordering::Relaxed);
        self.sync_micros.fetch_add(micros, Ordering::Relaxed);
        self.sync_micros_max.fetch_max(micros, Ordering::Relaxed);
    }

    pub(crate) fn note_frames(&self, frames: usize, bytes: usize) {
        self.frames.fetch_add(frames as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// The figures of one lane. Counts are since the log was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneStats {
    /// Which lane.
    pub lane: Lane,
    /// The lowest number kept (0: none).
    pub first: Seq,
    /// The highest durable number.
    pub durable: Seq,
    /// How many segments there are.
    pub segments: usize,
    /// Their size on disk in bytes.
    pub bytes_on_disk: u64,
    /// Bytes that wait to be written.
    pub pending_bytes: usize,
    /// Frames made durable.
    pub frames: u64,
    /// Bytes made durable, frame headers included.
    pub bytes: u64,
    /// Groups committed.
    pub groups: u64,
    /// Syncs done.
    pub syncs: u64,
    /// The time spent in them, in microseconds.
    pub sync_micros: u64,
    /// The longest one, in microseconds.
    pub sync_micros_max: u64,
    /// Reserve segments held.
    pub reserve_segments: usize,
    /// Stretches of damage found so far.
    pub damaged: usize,
    /// Why the lane takes nothing, in plain words; `None`: it does.
    pub refusing: Option<String>,
}

/// The figures of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogStats {
    /// How many times the log has been opened.
    pub epoch: u64,
    /// In the order of [`Lane::ALL`].
    pub lanes: Vec<LaneStats>,
}
