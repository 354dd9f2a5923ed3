//! The durable log as its users see it. `andon-log` implements it; nothing else knows files.
//!
//! Three lanes, one code. `append` numbers a frame and puts it into the open group without waiting; the number is
//! gap-free per lane and epoch. `durable` resolves once `fdatasync` has returned for that number. Readers only ever
//! see durable frames.

use crate::{BoxFuture, Timestamp};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One of the three lanes, each with its own segments, sync, retention and reserve.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// Events, alarms, commands, audit: archived for years, never waits behind telemetry.
    Records,
    /// MQTT QoS ≥ 1, retained, sessions.
    Messages,
    /// Readings on their way to columns.
    Samples,
}

impl Lane {
    /// All lanes.
    pub const ALL: [Self; 3] = [Self::Records, Self::Messages, Self::Samples];

    /// The lane's folder name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Messages => "messages",
            Self::Samples => "samples",
        }
    }
}

/// A frame's gap-free number within its lane; the first is 1, so 0 means "before everything".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl Seq {
    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// What a frame's payload is: a type and the version of its schema. The numbers are forever; see [`kind`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct FrameKind {
    /// The type; see [`kind`].
    pub kind: u16,
    /// The version of that type's schema.
    pub version: u8,
}

/// The frame types, across all lanes. Never reuse a number.
pub mod kind {
    use super::FrameKind;
    const fn v1(kind: u16) -> FrameKind {
        FrameKind { kind, version: 1 }
    }
    /// Any lane: frames were lost or freed before a reader saw them; payload: JSON of [`super::Gap`].
    pub const GAP: FrameKind = v1(1);
    /// Records lane: JSON of [`crate::event::SealedEvent`].
    pub const EVENT: FrameKind = v1(16);
    /// Samples lane: a batch of samples, see [`crate::sample_codec`].
    pub const SAMPLES: FrameKind = v1(32);
    /// Samples lane: earlier samples of a tag are deleted, encoded by `andon-historian`.
    pub const DELETE: FrameKind = v1(33);
    /// Messages lane: a published message, encoded by `andon-broker`.
    pub const PUBLISH: FrameKind = v1(48);
    /// Messages lane: a change of a session (connect, subscribe, deliver, release, expire), encoded by `andon-broker`.
    pub const SESSION: FrameKind = v1(49);
}

/// Part of a lane that a reader can no longer get.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Gap {
    /// The first missing number.
    pub from: Seq,
    /// The last missing number.
    pub to: Seq,
    /// Why, in plain words.
    pub reason: String,
}

/// A frame as a reader gets it.
#[derive(Clone, PartialEq, Debug)]
pub struct Frame {
    /// Its number in the lane.
    pub seq: Seq,
    /// What it holds.
    pub kind: FrameKind,
    /// The node that wrote it.
    pub node: Uuid,
    /// How many times that node's log had been opened when it was written (1 for the first).
    pub epoch: u64,
    /// When it was handed to the log.
    pub received: Timestamp,
    /// The content.
    pub payload: Bytes,
}

/// Why the log did not take a frame, or could not make it durable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The open group is full: the disk is slower than the writers. Wait with [`Log::ready`], then try again.
    #[error("the log's {} lane is busy: {pending_bytes} bytes wait to be written", lane.name())]
    Busy {
        /// Which lane.
        lane: Lane,
        /// How much waits.
        pending_bytes: usize,
    },
    /// The frame is over the lane's limit.
    #[error("a frame of {bytes} bytes is over the limit of {limit} bytes")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The disk (or the lane's share of it) is full. Free space, then restart or wait for retention.
    #[error("no space left for the log's {} lane", lane.name())]
    DiskFull {
        /// Which lane.
        lane: Lane,
    },
    /// A write or sync failed; the lane refuses everything until the process restarts from the log.
    #[error("the log's {} lane stopped after a failed write: {reason}", lane.name())]
    Poisoned {
        /// Which lane.
        lane: Lane,
        /// What failed.
        reason: String,
    },
    /// The log is shutting down.
    #[error("the log is closed")]
    Closed,
}

/// Why reading failed.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("could not read the log's {} lane at {seq:?}", lane.name())]
    Io {
        /// Which lane.
        lane: Lane,
        /// Where.
        seq: Seq,
        /// The cause.
        source: std::io::Error,
    },
}

/// What a read returns: frames in order, with what is missing said.
#[derive(Debug, Default)]
pub struct ReadBatch {
    /// Durable frames, ascending.
    pub frames: Vec<Frame>,
    /// Numbers in the range read that are gone: freed by retention, or damaged on disk.
    pub gaps: Vec<Gap>,
    /// Where to go on.
    pub next: Seq,
}

/// How far a reader has come in each lane: the last number it has dealt with (0: none).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Positions {
    /// In the records lane.
    pub records: Seq,
    /// In the messages lane.
    pub messages: Seq,
    /// In the samples lane.
    pub samples: Seq,
}

impl Positions {
    /// The position in `lane`.
    #[must_use]
    pub const fn get(&self, lane: Lane) -> Seq {
        match lane {
            Lane::Records => self.records,
            Lane::Messages => self.messages,
            Lane::Samples => self.samples,
        }
    }
    /// Sets the position in `lane`.
    pub const fn set(&mut self, lane: Lane, seq: Seq) {
        match lane {
            Lane::Records => self.records = seq,
            Lane::Messages => self.messages = seq,
            Lane::Samples => self.samples = seq,
        }
    }
}

/// A stateful reader's saved state.
#[derive(Clone, PartialEq, Debug)]
pub struct Snapshot {
    /// How far the state has seen each lane.
    pub positions: Positions,
    /// The state, in the reader's own versioned encoding.
    pub state: Bytes,
}

/// Why a snapshot could not be saved or loaded.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// The disk refused.
    #[error("could not {doing} the snapshot of \"{reader}\"")]
    Io {
        /// Which reader.
        reader: String,
        /// Save or load.
        doing: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// The file is damaged or of an unknown format version.
    #[error("the snapshot of \"{reader}\" cannot be used: {reason}")]
    Unusable {
        /// Which reader.
        reader: String,
        /// Why.
        reason: String,
    },
    /// The reader's name is not made of a–z, 0–9, `-` and `.`, or is over 64 bytes.
    #[error("\"{reader}\" cannot name a reader")]
    BadName {
        /// The name given.
        reader: String,
    },
}

/// The log. Shared as `Arc<dyn Log>`.
pub trait Log: Send + Sync + 'static {
    /// Numbers the frame and puts it into the lane's open group; does not wait. Not durable yet.
    /// # Errors
    /// See [`AppendError`]; nothing was numbered then.
    fn append(&self, lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError>;

    /// Resolves when every frame of `lane` up to `seq` is on disk.
    /// # Errors
    /// Poisoned, full or closed: the frame may or may not be there after a restart; do not acknowledge.
    fn durable(&self, lane: Lane, seq: Seq) -> BoxFuture<'static, Result<(), AppendError>>;

    /// Resolves when `append` has room again.
    /// # Errors
    /// As for [`Log::durable`].
    fn ready(&self, lane: Lane) -> BoxFuture<'static, Result<(), AppendError>>;

    /// The highest durable number (0: none).
    fn durable_seq(&self, lane: Lane) -> Seq;

    /// The last number of what readers hold on to beyond the lane's retention and what the lane has not much longer room
    /// for (0: none): they take it elsewhere now, or lose it.
    fn pressed(&self, lane: Lane) -> Seq {
        let _ = lane;
        Seq(0)
    }

    /// The lowest number still kept (0: none).
    fn first_seq(&self, lane: Lane) -> Seq;

    /// Reads durable frames from `from` on, at least one if there is one, about `max_bytes` in all. Blocking file I/O;
    /// recent frames come from memory.
    /// # Errors
    /// The file cannot be read at all. Damage is not an error: it is a [`Gap`], and the rest is served.
    fn read(&self, lane: Lane, from: Seq, max_bytes: usize) -> Result<ReadBatch, ReadError>;

    /// Declares that `reader` needs `lane` from its snapshot on (from the beginning if it has none):
    /// nothing it still needs is freed before the lane's limit for what is held.
    /// # Errors
    /// A bad name.
    fn register_reader(&self, reader: &str, lanes: &[Lane]) -> Result<(), SnapshotError>;

    /// Saves a reader's state atomically and synced, then lets go of what lies before it. Blocking.
    /// # Errors
    /// The former snapshot stays valid.
    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError>;

    /// The last saved state of a reader, `None` if it never saved one. Blocking.
    /// # Errors
    /// Damaged or of an unknown version.
    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError>;
}
