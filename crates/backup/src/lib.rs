//! A repository of backups: every file once, by its checksum; snapshots that say which files are one backup.
//!
//! **Purpose.** Keep copies of a tree of files so that the older ones stay, an unchanged file is copied and kept once, a
//! copy that was cut off goes on where it was, and damage is found. It knows bytes, not meanings: what belongs together at
//! one moment is the caller's affair.
//!
//! ```text
//! <dir>/andon-backup                 marks the folder; names the format
//! <dir>/lock                         held while somebody writes here
//! <dir>/objects/3f/3fa9…             a file by the SHA-256 of its content
//! <dir>/incoming/                    files on their way; nothing here counts
//! <dir>/unfinished                   what the backup under way has copied so far
//! <dir>/snapshots/<when>-<sum>.json  a finished backup: its files, sizes and checksums; <sum> begins the SHA-256 of the text
//! ```
//!
//! **Invariants**
//! - A snapshot is named only after every file it lists, and every folder that holds one, was synced and the files read
//!   back: what is finished survives a power cut, and what is not is never taken for finished.
//! - An object is never changed. It has its name only when its content has that checksum.
//! - A restore puts nothing in place before all of it matched its checksums and was synced; then one rename does.
//! - What was damaged already when it was copied is copied, and the snapshot says so: whoever hands in the files can tell.
//! - Files are for their owner only, here and where they are restored.
//! - Memory is bounded by the list of files, never by their size.
//!
//! Start reading at [`Repository`], then `write`, then `restore`.

mod check;
mod files;
mod prune;
mod repository;
mod restore;
mod snapshot;
mod write;

pub use check::{Finding, Report};
pub use files::{Pace, Progress};
pub use prune::Pruned;
pub use repository::{BackupError, Repository, Writing};
pub use restore::Restoring;
pub use snapshot::{Entry, Flawed, Snapshot, What};
pub use write::{Item, Look, Written};
