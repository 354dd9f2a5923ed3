//! The open table: our files as a Delta Lake table that other programs read, at `<dir>/parquet/_delta_log`.
//!
//! The [manifest](crate::manifest) stays the truth; the table is a copy of it for others. After each save of the manifest
//! the difference between the files it names and the files of the table becomes one Delta commit, written as everything
//! else here: temporary file, sync, rename, sync of the folder. The manifest remembers how far the table's log reached; what
//! a stop left out is read back and made up at the next start. A commit that fails is tried again with the next and
//! harms nothing: samples are in files, manifest and log by then.
//!
//! **Invariants**
//! - At every version the table lists only files that are there, and holds at most one row per tag and time: files with
//!   rows that older ones have too are held back until both were merged ([`collide`]).
//! - A file that left the table stays on disk for [`Options::keep_removed`](crate::Options::keep_removed), and as long as the newest version lists it.
//! - `txn` of `andon-historian` is the number of the manifest and never goes backwards.
//!
//! Facts: Delta Transaction Log Protocol, reader version 1, writer version 2. Start reading at
//! [`Historian::publish_table`], then `commit`, then `log`.

mod checkpoint;
mod collide;
mod commit;
mod log;

use crate::historian::{Historian, Segment};
use crate::manifest::{FileInfo, Manifest, is_our_name, parquet_folder};
use andon_model::Timestamp;
use andon_model::error::causes;
pub(crate) use collide::{NewRows, closed, held_back, may_collide};
use commit::{Added, Change, Removed, SCHEMA};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError};

/// A checkpoint follows after so many commits.
const CHECKPOINT_EVERY: u64 = 50;

/// Why the table could not be brought up to date. History itself is not concerned.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("could not write {path}")]
    Io { path: PathBuf, source: io::Error },
    #[error("could not read {path}")]
    Read { path: PathBuf, source: io::Error },
    #[error(
        "the log of the open table is damaged, {path}: {reason}. Remove the folder `_delta_log`; then a new table with the same history begins"
    )]
    Damaged { path: PathBuf, reason: String },
    #[error("{path} was there already: another program writes into the table, which only Andon may")]
    Taken { path: PathBuf },
    #[error("could not make a checkpoint")]
    Checkpoint(#[from] parquet::errors::ParquetError),
}

/// What is known of the table's newest version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Published {
    /// The table's own id.
    pub id: String,
    /// When it began, ms since 1970-01-01.
    pub created_ms: i64,
    /// Its newest version.
    pub version: u64,
    /// Which columns it has, see `commit::SCHEMA`.
    #[serde(default)]
    pub schema: u32,
    /// Its files by path, and when each came in, ms.
    pub files: BTreeMap<String, i64>,
}

/// The table in memory; changed only while `writing` is held.
#[derive(Default)]
pub(crate) struct Table {
    known: Known,
    /// For a file not yet in the table: files of the table whose rows it holds, no more and no fewer.
    rearranged: HashMap<String, BTreeSet<String>>,
    /// Whether `known` was compared with the log on disk since something went wrong.
    settled: bool,
    error: Option<String>,
}

/// What the manifest and the log say together.
#[derive(Clone, Default)]
struct Known {
    /// Of the manifest that was saved last.
    number: u64,
    published: Option<Published>,
    removed: BTreeMap<String, i64>,
    /// The version of the newest checkpoint.
    checkpoint: Option<u64>,
}

/// The table for [`HistorianStats`](crate::HistorianStats).
pub(crate) struct TableStats {
    pub version: Option<u64>,
    pub files: usize,
    pub removed: usize,
    pub error: Option<String>,
}

impl Table {
    /// As the manifest has it, and what the log has beyond.
    pub(crate) fn open(dir: &Path, manifest: &Manifest) -> Self {
        let known = Known {
            number: manifest.number,
            published: manifest.published.clone(),
            removed: manifest.removed.clone(),
            checkpoint: None,
        };
        let mut table = Self { known, ..Self::default() };
        match log::read_back(&log_folder(dir), table.known.clone()) {
            Ok(known) => (table.known, table.settled) = (known, true),
            Err(error) => table.note(Err(error)),
        }
        table
    }

    /// Whether outside readers may still need a file.
    pub(crate) fn keeps(&self, path: &str) -> bool {
        self.known.removed.contains_key(path) || self.lists(path)
    }

    fn lists(&self, path: &str) -> bool {
        self.known.published.as_ref().is_some_and(|published| published.files.contains_key(path))
    }

    /// The manifest as it will be saved: numbered, and with what leaves the table.
    pub(crate) fn complete(&self, manifest: &Manifest, now: Timestamp) -> Manifest {
        let named: BTreeSet<String> = manifest.files.iter().map(FileInfo::table_path).collect();
        let mut removed = self.known.removed.clone();
        for path in self.known.published.iter().flat_map(|published| published.files.keys()) {
            if !named.contains(path) {
                removed.entry(path.clone()).or_insert_with(|| millis(now));
            }
        }
        let published = self.known.published.clone();
        Manifest { number: self.known.number + 1, published, removed, ..manifest.clone() }
    }

    pub(crate) fn saved(&mut self, manifest: Manifest) {
        self.known.number = manifest.number;
        self.known.removed = manifest.removed;
    }

    /// `merged` is to take the place of `chosen`. If those are in the table (or stand for files that are) and no row
    /// was left out, nothing changes for readers, and the commit will say so.
    pub(crate) fn note_rewrite(&mut self, merged: &FileInfo, chosen: &[Arc<Segment>]) {
        let mut sources = BTreeSet::new();
        for segment in chosen {
            let path = segment.info.table_path();
            if self.lists(&path) {
                sources.insert(path);
            } else if let Some(theirs) = self.rearranged.get(&path) {
                sources.extend(theirs.iter().cloned());
            } else {
                return;
            }
        }
        if merged.rows == chosen.iter().map(|segment| segment.info.rows).sum::<u64>() {
            self.rearranged.insert(merged.table_path(), sources);
        }
    }

    /// Keeps the last error and says it once while it stays the same.
    fn note(&mut self, outcome: Result<(), PublishError>) {
        let error = outcome.err().map(|error| causes(&error));
        match (&error, &self.error) {
            (Some(new), old) if old.as_ref() != Some(new) => {
                tracing::error!(
                    "the historian could not bring the open table up to date: {new}; history itself is complete, and it tries again"
                );
            }
            (None, Some(_)) => tracing::info!("the open table is up to date again"),
            _ => {}
        }
        self.error = error;
    }

    pub(crate) fn stats(&self) -> TableStats {
        let published = self.known.published.as_ref();
        TableStats {
            version: published.map(|published| published.version),
            files: published.map_or(0, |published| published.files.len()),
            removed: self.known.removed.len(),
            error: self.error.clone(),
        }
    }
}

impl Historian {
    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the table list what the saved manifest names, as far as it is for all. `writing` is held.
    pub(crate) fn publish_table(&self) {
        let outcome = self.publish_changes();
        self.table().note(outcome);
    }

    fn publish_changes(&self) -> Result<(), PublishError> {
        let folder = log_folder(&self.dir);
        self.settle(&folder)?;
        let known = self.table().known.clone();
        let wanted = self.wanted_files();
        if known.published.is_none() && !self.options.publish {
            return Ok(());
        }
        let change = self.change(&known, &wanted);
        if !change.is_empty() {
            self.write_commit(&folder, &change)?;
            self.table().apply(&change);
        }
        self.checkpoint_if_due(&folder, &wanted)
    }

    /// What we believe of the log and what lies on disk are compared again after a failure.
    fn settle(&self, folder: &Path) -> Result<(), PublishError> {
        let (settled, known) = {
            let table = self.table();
            (table.settled, table.known.clone())
        };
        let newest = known.published.as_ref().map(|published| folder.join(log::commit_name(published.version)));
        if settled && newest.is_none_or(|newest| newest.exists()) {
            return Ok(());
        }
        let known = log::read_back(folder, known)?;
        let mut table = self.table();
        table.known = known;
        table.settled = true;
        Ok(())
    }

    /// The files the table should list; none when it is switched off.
    fn wanted_files(&self) -> BTreeMap<String, FileInfo> {
        if !self.options.publish {
            return BTreeMap::new();
        }
        let state = self.state();
        let files = state.segments.files().map(|segment| &segment.info);
        files.filter(|info| info.is_for_all()).map(|info| (info.table_path(), info.clone())).collect()
    }

    fn change(&self, known: &Known, wanted: &BTreeMap<String, FileInfo>) -> Change {
        let now = self.clock.now();
        let nothing = BTreeMap::new();
        let listed = known.published.as_ref().map_or(&nothing, |published| &published.files);
        let gone: BTreeSet<&String> = listed.keys().filter(|path| !wanted.contains_key(*path)).collect();
        let table = self.table();
        let sources = |path: &String| {
            table.rearranged.get(path).filter(|sources| sources.iter().all(|source| gone.contains(source)))
        };
        let fresh: Vec<(&String, &FileInfo)> = wanted.iter().filter(|(path, _)| !listed.contains_key(*path)).collect();
        let moved: BTreeSet<&String> = fresh.iter().filter_map(|(path, _)| sources(path)).flatten().collect();
        Change {
            version: known.published.as_ref().map_or(0, |published| published.version + 1),
            describes: known.published.as_ref().is_none_or(|published| published.schema < SCHEMA),
            created_ms: known.published.as_ref().map_or_else(|| millis(now), |published| published.created_ms),
            id: known.published.as_ref().map_or_else(|| self.new_id(now), |published| published.id.clone()),
            number: known.number,
            now_ms: millis(now),
            added: fresh
                .iter()
                .map(|(path, info)| Added { info: (*info).clone(), new_rows: sources(path).is_none() })
                .collect(),
            removed: gone
                .iter()
                .map(|path| Removed {
                    path: (*path).clone(),
                    at_ms: known.removed.get(*path).copied().unwrap_or_else(|| millis(now)),
                    rows_gone: !moved.contains(path),
                })
                .collect(),
        }
    }

    fn write_commit(&self, folder: &Path, change: &Change) -> Result<(), PublishError> {
        let path = folder.join(log::commit_name(change.version));
        let failed = |source| PublishError::Io { path: path.clone(), source };
        self.table().settled = false;
        self.disk.create_folder(folder).map_err(failed)?;
        if path.exists() {
            return Err(PublishError::Taken { path });
        }
        self.disk.replace(&path, change.encode().as_bytes()).map_err(failed)?;
        self.table().settled = true;
        Ok(())
    }

    fn checkpoint_if_due(&self, folder: &Path, files: &BTreeMap<String, FileInfo>) -> Result<(), PublishError> {
        let known = self.table().known.clone();
        let Some(published) = &known.published else { return Ok(()) };
        if published.version - known.checkpoint.unwrap_or(0).min(published.version) < CHECKPOINT_EVERY {
            return Ok(());
        }
        let bytes = checkpoint::encode(published, &known.removed, known.number, files)?;
        let last = checkpoint::pointer(published, known.removed.len(), bytes.len());
        for (name, content) in [(log::checkpoint_name(published.version), bytes), (log::POINTER.to_owned(), last)] {
            let path = folder.join(name);
            self.disk.replace(&path, &content).map_err(|source| PublishError::Io { path, source })?;
        }
        self.table().known.checkpoint = Some(published.version);
        let before = millis(self.clock.now()).saturating_sub(self.keep_removed_ms());
        log::clean_up(folder, before, &self.disk)
    }

    /// Deletes files that left the table long enough ago. `writing` is held.
    pub(crate) fn delete_removed(&self) {
        let before = millis(self.clock.now()).saturating_sub(self.keep_removed_ms());
        // A file that is history is none to delete, whatever the table's log says of it.
        let named: BTreeSet<String> = self.state().segments.files().map(|segment| segment.info.table_path()).collect();
        let due: Vec<String> = {
            let table = self.table();
            let due = table.known.removed.iter().filter(|(path, at)| **at <= before && !table.lists(path));
            due.map(|(path, _)| path.clone()).filter(|path| !named.contains(path)).collect()
        };
        for path in due {
            // What others may have brought into the table is not ours to delete.
            if is_ours(&path)
                && let Err(error) = self.disk.remove(&parquet_folder(&self.dir).join(&path))
            {
                tracing::warn!(file = path, %error, "could not remove a replaced history file; it is tried again");
                continue;
            }
            self.table().known.removed.remove(&path);
        }
    }

    fn keep_removed_ms(&self) -> i64 {
        i64::try_from(self.options.keep_removed.as_millis()).unwrap_or(i64::MAX)
    }

    /// An id for a new table. Randomness is not at hand here; where and when are enough to tell tables apart.
    fn new_id(&self, now: Timestamp) -> String {
        let part = |salt: &str| {
            let mut hasher = DefaultHasher::new();
            (salt, &self.dir, now.micros(), self.clock.monotonic()).hash(&mut hasher);
            hasher.finish()
        };
        let (high, low) = (part("high"), part("low"));
        // A UUID of version 8, the one for ids made in one's own way (RFC 9562 §5.8).
        format!(
            "{:08x}-{:04x}-8{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            0x8000 | (low >> 48) & 0x3FFF,
            low & 0xFFFF_FFFF_FFFF
        )
    }
}

impl Table {
    /// The change is in the log.
    fn apply(&mut self, change: &Change) {
        let published = self.known.published.get_or_insert_with(|| Published {
            id: change.id.clone(),
            created_ms: change.created_ms,
            ..Published::default()
        });
        published.version = change.version;
        if change.describes {
            published.schema = SCHEMA;
        }
        for added in &change.added {
            let path = added.info.table_path();
            self.rearranged.remove(&path);
            self.known.removed.remove(&path);
            published.files.insert(path, change.now_ms);
        }
        for removed in &change.removed {
            published.files.remove(&removed.path);
            self.known.removed.entry(removed.path.clone()).or_insert(removed.at_ms);
        }
        let files = &published.files;
        // Who stands for files that are no longer listed stands for nothing.
        self.rearranged.retain(|_, sources| sources.iter().all(|source| files.contains_key(source)));
    }
}

/// Where the table's log lies.
pub(crate) fn log_folder(dir: &Path) -> PathBuf {
    parquet_folder(dir).join("_delta_log")
}

const fn millis(at: Timestamp) -> i64 {
    at.micros().div_euclid(1000)
}

/// Whether a path in the table is that of a file we wrote: a day's folder and a name of ours.
fn is_ours(path: &str) -> bool {
    path.split_once('/').is_some_and(|(day, name)| {
        !day.is_empty() && day.bytes().all(|b| b.is_ascii_digit() || b == b'-') && is_our_name(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_our_own_are_ever_deleted() {
        assert!(is_ours("2026-11-22/000000000001-000000000042.parquet"));
        for other in [
            "part-00000-1.snappy.parquet",
            "../1-2.parquet",
            "/etc/1-2.parquet",
            "2026-11-22/../1-2.parquet",
            "a/b/1-2.parquet",
            "1-2.parquet",
        ] {
            assert!(!is_ours(other), "{other}");
        }
    }
}
