//! A copy of the log while it is written, and a copy that is only read.
//!
//! Whoever copies asks for [`DurableLog::keep_all`], copies the small files first (identity, readers, snapshots) and the
//! lanes last: then no reader of the copy is ahead of its log, and nothing that a reader needs is missing. Of the segment
//! that is being written only the first [`SegmentFile::bytes`] belong to the copy; they never change again.

use crate::disk::{Disk, OpenMode, OsDisk};
use crate::frame::Seed;
use crate::identity::{Identity, TextError};
use crate::lane::{LaneCore, LaneStart};
use crate::lock;
use crate::notice::Notices;
use crate::open::DurableLog;
use crate::options::LogOptions;
use crate::reading;
use crate::recovery::scan;
use crate::segment::{Segment, first_seq_of};
use andon_model::log::{
    AppendError, FrameKind, Lane, Log, Positions, ReadBatch, ReadError, Seq, Snapshot, SnapshotError,
};
use andon_model::{BoxFuture, Clock, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// While one of these lives, no segment is removed.
#[derive(Debug)]
pub struct Kept(Arc<Mutex<usize>>);

impl Kept {
    pub(crate) fn new(count: &Arc<Mutex<usize>>) -> Self {
        // Held by the keeper for the removal of one segment.
        *lock(count) += 1;
        Self(Arc::clone(count))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        let mut count = lock(&self.0);
        *count = count.saturating_sub(1);
    }
}

/// A segment of a lane as far as it is durable.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SegmentFile {
    /// Which lane.
    pub lane: Lane,
    /// Where it lies.
    pub path: PathBuf,
    /// How many of its bytes, from the start, are durable frames that never change again.
    pub bytes: u64,
}

/// What the lanes hold at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneFiles {
    /// Everything up to these numbers stands in the files; a little more may.
    pub positions: Positions,
    /// How often the log had been opened.
    pub epoch: u64,
    /// Each lane's segments, oldest first.
    pub segments: Vec<SegmentFile>,
}

impl DurableLog {
    /// Frees no segment until the answer is dropped. Waits for a removal that is under way, some milliseconds.
    #[must_use]
    pub fn keep_all(&self) -> Kept {
        Kept::new(self.kept())
    }

    /// What the lanes hold now. The files stay there only while a [`Kept`] lives.
    #[must_use]
    pub fn lane_files(&self) -> LaneFiles {
        let mut files = LaneFiles { positions: Positions::default(), epoch: self.epoch(), segments: Vec::new() };
        for core in self.cores() {
            // Before the ends are read: what was durable by now lies before them.
            files.positions.set(core.lane, Seq(core.durable_seq()));
            let segments = lock(&core.segments);
            let last = segments.keys().next_back().copied();
            files.segments.extend(segments.values().map(|segment| SegmentFile {
                lane: core.lane,
                path: segment.path.clone(),
                bytes: if Some(segment.first) == last { segment.end() } else { segment.size },
            }));
        }
        files
    }
}

/// Why a copy of the log cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A file could not be read.
    #[error("could not read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The node file does not tell who wrote the log.
    #[error("{} cannot be used: {reason}", path.display())]
    Identity {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

fn identity(path: &Path) -> Result<Identity, CopyError> {
    let path = path.to_owned();
    Identity::load_from(&OsDisk, &path).map_err(|error| match error {
        TextError::Io(source) => CopyError::Io { path, source },
        TextError::Missing => CopyError::Identity { path, reason: "it is missing".to_owned() },
        TextError::Unknown(reason) | TextError::Damaged(reason) => CopyError::Identity { path, reason },
    })
}

/// Sees to it that the log in `dir`, which nobody has open, writes its next frames in an epoch above `least`: what a copy
/// writes is never taken for what the original wrote under the same numbers. Synced.
/// # Errors
/// The node file cannot be read or replaced.
pub fn raise_epoch(dir: &Path, least: u64) -> Result<(), CopyError> {
    let mut identity = identity(&dir.join("node"))?;
    identity.epoch = identity.epoch.max(least);
    identity.save(&OsDisk, dir).map_err(|source| CopyError::Io { path: dir.join("node"), source })
}

/// How far the snapshot of `reader` in the folder `snapshots` has come, `former` or current.
/// # Errors
/// In words: damaged, missing or of a later program.
pub fn snapshot_positions(reader: &str, path: &Path) -> Result<Positions, String> {
    let bytes = crate::disk::read_bounded(&OsDisk, path, crate::snapshot::LIMIT).map_err(|error| error.to_string())?;
    crate::snapshot::decode(reader, &bytes).map(|snapshot| snapshot.positions).map_err(|error| error.to_string())
}

/// A copy of a log that is only read: nothing is settled, nothing is written. Its segments may lie anywhere.
pub struct LogCopy {
    lanes: [LaneCore; 3],
}

impl LogCopy {
    /// Opens a copy. `node` is the copy of the log's node file; each segment is given by its lane, its file name in the log, and
    /// where it lies. Reads the last segment of each lane through.
    /// # Errors
    /// The node file or a last segment cannot be read. Damage is no error: reading tells it as gaps.
    pub fn open<'a>(
        node: &Path,
        segments: impl IntoIterator<Item = (Lane, &'a str, PathBuf)>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, CopyError> {
        let identity = identity(node)?;
        let mut lanes: [BTreeMap<u64, Arc<Segment>>; 3] = Default::default();
        for (lane, name, path) in segments {
            let Some(first) = first_seq_of(name) else { continue };
            let size = std::fs::metadata(&path).map_err(|source| CopyError::Io { path: path.clone(), source })?.len();
            let seed = Seed::new(identity.salt, lane, first);
            let segment = Segment::new(first, path, size, Timestamp::MIN, seed, size);
            if let Some(lane) = lanes.get_mut(lane as usize) {
                lane.insert(first, Arc::new(segment));
            }
        }
        let [records, messages, samples] = lanes;
        let core = |lane, segments: BTreeMap<u64, Arc<Segment>>| -> Result<LaneCore, CopyError> {
            let mut durable = 0;
            if let Some(last) = segments.values().next_back() {
                let failed = |source| CopyError::Io { path: last.path.clone(), source };
                let file = OsDisk.open(&last.path, OpenMode::Read).map_err(failed)?;
                let found = scan(&*file, last).map_err(failed)?;
                last.set_end(found.end);
                durable = found.next_seq.saturating_sub(1);
            }
            let start = LaneStart { lane, node: identity.node, epoch: identity.epoch, durable, segments };
            Ok(LaneCore::new(start, Arc::new(LogOptions::default()), Arc::clone(&clock), Arc::new(Notices::new())))
        };
        let lanes = [core(Lane::Records, records)?, core(Lane::Messages, messages)?, core(Lane::Samples, samples)?];
        Ok(Self { lanes })
    }

    fn lane(&self, lane: Lane) -> &LaneCore {
        let [records, messages, samples] = &self.lanes;
        match lane {
            Lane::Records => records,
            Lane::Messages => messages,
            Lane::Samples => samples,
        }
    }
}

/// Reading works; whatever would change the copy is refused as by a log that is closed.
impl Log for LogCopy {
    fn append(&self, _lane: Lane, _kind: FrameKind, _payload: &[u8]) -> Result<Seq, AppendError> {
        Err(AppendError::Closed)
    }

    fn durable(&self, lane: Lane, seq: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        let there = seq <= self.durable_seq(lane);
        Box::pin(std::future::ready(if there { Ok(()) } else { Err(AppendError::Closed) }))
    }

    fn ready(&self, _lane: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(std::future::ready(Err(AppendError::Closed)))
    }

    fn durable_seq(&self, lane: Lane) -> Seq {
        Seq(self.lane(lane).durable_seq())
    }

    fn first_seq(&self, lane: Lane) -> Seq {
        Seq(self.lane(lane).first_seq())
    }

    fn read(&self, lane: Lane, from: Seq, max_bytes: usize) -> Result<ReadBatch, ReadError> {
        reading::read(self.lane(lane), &OsDisk, from.0, max_bytes)
    }

    fn register_reader(&self, _reader: &str, _lanes: &[Lane]) -> Result<(), SnapshotError> {
        Ok(())
    }

    fn save_snapshot(&self, reader: &str, _positions: Positions, _state: &[u8]) -> Result<(), SnapshotError> {
        let source = io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this copy of the log is only read");
        Err(SnapshotError::Io { reader: reader.to_owned(), doing: "save", source })
    }

    fn load_snapshot(&self, _reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(None)
    }
}
