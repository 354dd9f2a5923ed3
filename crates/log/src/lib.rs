//! The durable log: three lanes, segments, group commit, offsets, snapshots.
//!
//! **Purpose.** Keep bytes so that "yes" means "on disk": `fdatasync` has returned before anybody is told. The log knows
//! bytes, not meanings.
//!
//! **Idea.** Each lane has its own folder of segment files, its own writer thread and its own open group. `append` copies
//! a frame into the open group and numbers it; the writer takes the whole group, seals it with checksums, writes it
//! with one call, syncs once, and wakes all who wait. The next group fills meanwhile. A segment is zeroed and synced
//! before it is used, so that a sync moves data only and "no space" arises before anything is promised.
//!
//! **Invariants**
//! - A number is given out once. A frame that met a full disk stays pending under its number; it is never dropped and
//!   its number never goes to another frame.
//! - A group is written only after the group before it was synced. So whatever stands before the first frame of any
//!   later group *was* synced: a hole there is damage, a hole in the last group is the torn tail of a power cut.
//! - Recovery keeps the good prefix of the last group, writes it again, zeroes what follows and syncs, before the lane
//!   opens. A dropped tail cannot come back, and the page cache is never taken for the disk.
//! - After a failed write or sync the lane refuses everything until the process restarts. Nothing is retried.
//! - Bytes whose checksum does not match are never served; what is missing is named in a [`Gap`].
//! - While somebody [keeps all](DurableLog::keep_all), no segment is removed; a copy made so is a log of its own.
//! - No length read from a file is believed before its checksum holds and it fits the file.
//!
//! **Assumption.** A sector that a power cut tears holds old bytes and new bytes, not garbage (SQLite calls this
//! "powersafe overwrite"): a group may begin in the sector in which the former one ended.
//!
//! Start reading at [`DurableLog`], then `lane` (the open group), `writer` (the commit), `recovery` (the open),
//! `frame` (the bytes).

mod commit;
mod copy;
pub mod disk;
mod frame;
mod identity;
mod keeper;
mod lane;
mod notice;
mod open;
mod options;
mod reading;
mod recovery;
mod segment;
pub mod sim;
mod snapshot;
mod stats;
mod tail;

pub use andon_model::log::{
    AppendError, Frame, FrameKind, Gap, Lane, Log, Positions, ReadBatch, ReadError, Seq, Snapshot, SnapshotError, kind,
};
pub use copy::{CopyError, Kept, LaneFiles, LogCopy, SegmentFile, raise_epoch, snapshot_positions};
pub use disk::{Disk, DiskFile, OpenMode, OsDisk};
pub use notice::{LogNotice, NoticeReceiver};
pub use open::{DurableLog, LaneReport, OpenError, OpenReport};
pub use options::{KeepPolicy, LaneRetention, LogOptions, OsRandom, Random};
pub use stats::{LaneStats, LogStats};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// The newest format of segments, node file, readers file and snapshots that this program writes and reads.
pub const FORMAT_VERSION: u16 = 1;

/// Locks, also after another thread panicked while it held the lock: every critical section here leaves valid data.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
