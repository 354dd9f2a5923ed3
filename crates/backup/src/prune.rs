//! Removing old backups, and the files that only they had.

use crate::files::{is_sum, sync_folder};
use crate::repository::{BackupError, Writing, names};
use crate::write::unfinished;
use std::collections::BTreeSet;
use std::io;

/// What was removed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// The names of the backups.
    pub snapshots: Vec<String>,
    /// Files that no backup has any more.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Writing {
    /// Keeps the `keep` newest backups (at least one) and what a backup that was cut off has copied, and removes the rest.
    /// # Errors
    /// A backup to be kept cannot be read: then nothing is removed, for its files are not known. Or the disk refuses.
    pub fn prune(&self, keep: usize) -> Result<Pruned, BackupError> {
        let repository = &self.repository;
        let all = repository.names()?;
        let (old, kept) = all.split_at(all.len().saturating_sub(keep.max(1)));
        let mut needed = BTreeSet::new();
        for name in kept {
            needed.extend(repository.snapshot(Some(name))?.files.into_iter().map(|entry| entry.sha256));
        }
        needed.extend(unfinished(repository)?.into_iter().map(|entry| entry.sha256));
        let mut pruned = Pruned::default();
        for name in old {
            remove(&repository.snapshots_folder().join(format!("{name}.json")))?;
            pruned.snapshots.push(name.clone());
        }
        // Before their files: a backup without its files would be worse than files without a backup.
        sync_folder(&repository.snapshots_folder())?;
        for folder in names(&repository.objects())? {
            let folder = repository.objects().join(folder);
            if !folder.is_dir() {
                continue;
            }
            for name in names(&folder)?.into_iter().filter(|name| is_sum(name) && !needed.contains(name)) {
                let object = folder.join(name);
                let bytes = std::fs::metadata(&object).map_or(0, |meta| meta.len());
                remove(&object)?;
                pruned.objects += 1;
                pruned.bytes += bytes;
            }
        }
        Ok(pruned)
    }
}

fn remove(path: &std::path::Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("remove", path, error)),
        _ => Ok(()),
    }
}
