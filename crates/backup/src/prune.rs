//! Removing old backups, and the files that only they had.

use crate::files::{is_sum, sync_folder};
use crate::repository::{BackupError, Repository, Writing, names};
use crate::snapshot::Snapshot;
use crate::write::unfinished;
use std::collections::BTreeSet;
use std::io;

/// What was removed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Pruned {
    /// The names of the backups.
    pub snapshots: Vec<String>,
    /// Backups that would have gone, and stay for the only whole copies of these files: they are damaged or missing in all that are kept.
    pub spared: Vec<(String, Vec<String>)>,
    /// Files that no backup has any more.
    pub objects: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Writing {
    /// Keeps the `keep` newest backups (at least one) and what a backup that was cut off has copied, and removes the rest. Of files
    /// that are damaged or missing in those, the newest backup that has them whole stays too.
    /// # Errors
    /// A backup to be kept cannot be read: then nothing is removed, for its files are not known. Or the disk refuses.
    pub fn prune(&self, keep: usize) -> Result<Pruned, BackupError> {
        let repository = &self.repository;
        let all = repository.names()?;
        let (old, kept) = all.split_at(all.len().saturating_sub(keep.max(1)));
        let kept: Vec<Snapshot> = kept.iter().map(|name| repository.snapshot(Some(name))).collect::<Result<_, _>>()?;
        let spared = spared(repository, old, &kept);
        let stays = kept.iter().chain(spared.iter().map(|(snapshot, _)| snapshot));
        let mut needed: BTreeSet<String> =
            stays.flat_map(|snapshot| &snapshot.files).map(|entry| entry.sha256.clone()).collect();
        needed.extend(unfinished(repository)?.into_iter().map(|entry| entry.sha256));
        let spared = spared.into_iter().map(|(snapshot, paths)| (snapshot.name, paths)).collect();
        let mut pruned = Pruned { spared, ..Pruned::default() };
        let goes = |name: &&String| !pruned.spared.iter().any(|(spared, _)| spared == *name);
        for name in old.iter().filter(goes).collect::<Vec<_>>() {
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

/// Of the old backups, the newest that has each file whole which none of the kept has so, with these files.
fn spared(repository: &Repository, old: &[String], kept: &[Snapshot]) -> Vec<(Snapshot, Vec<String>)> {
    let wrong = kept
        .iter()
        .flat_map(|snapshot| snapshot.what.missing.iter().chain(snapshot.flawed().iter().map(|flawed| &flawed.path)));
    let mut wanted: BTreeSet<&String> = wrong.collect();
    // A backup of a version that did not look may have the damaged copy, too.
    let spoilt: BTreeSet<&String> = kept
        .iter()
        .flat_map(|snapshot| snapshot.flawed().iter().filter_map(|flawed| snapshot.entry(&flawed.path)))
        .map(|entry| &entry.sha256)
        .collect();
    let whole = |snapshot: &Snapshot, path: &str| {
        let flawed = snapshot.flawed().iter().any(|flawed| flawed.path == path);
        snapshot.entry(path).is_some_and(|entry| {
            let length = std::fs::metadata(repository.object(&entry.sha256)).map(|meta| meta.len());
            !flawed && !spoilt.contains(&entry.sha256) && length.is_ok_and(|length| length == entry.bytes)
        })
    };
    wanted.retain(|path| !kept.iter().any(|snapshot| whole(snapshot, path)));
    let mut spared = Vec::new();
    for name in old.iter().rev() {
        // One that cannot be read has no whole copy.
        let Some(snapshot) = (!wanted.is_empty()).then(|| repository.snapshot(Some(name)).ok()).flatten() else {
            continue;
        };
        let here: Vec<String> =
            wanted.iter().filter(|path| whole(&snapshot, path)).map(|path| (*path).clone()).collect();
        wanted.retain(|path| !here.contains(path));
        if !here.is_empty() {
            spared.push((snapshot, here));
        }
    }
    spared
}

fn remove(path: &std::path::Path) -> Result<(), BackupError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("remove", path, error)),
        _ => Ok(()),
    }
}
