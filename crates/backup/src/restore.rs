//! Bringing a backup back: beside the target, checked and synced, and then put in place by one rename.

use crate::files::{Pace, Progress, copy, make_folder, sync_folder};
use crate::repository::{BackupError, Repository, names};
use crate::snapshot::Snapshot;
use std::collections::BTreeSet;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A backup that lies complete beside its target. Dropped without [`Restoring::put_in_place`], it is removed.
#[derive(Debug)]
pub struct Restoring {
    beside: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Repository {
    /// Copies the files of a backup into a folder beside `target`, each compared with its checksum and synced. Room for `target`
    /// and its neighbour must be on one disk.
    /// # Errors
    /// The target holds something; a file of the backup is missing or damaged; the disk refuses. Then nothing is left.
    pub fn restore(&self, snapshot: &Snapshot, target: &Path, pace: &mut dyn Pace) -> Result<Restoring, BackupError> {
        check_target(target)?;
        // The quick look first: a missing or shortened file is found before anything is copied.
        for entry in &snapshot.files {
            let object = self.object(&entry.sha256);
            let reason = match std::fs::metadata(&object) {
                Ok(meta) if meta.len() == entry.bytes => continue,
                Ok(meta) => format!("has {} bytes instead of {}", meta.len(), entry.bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => "is missing".to_owned(),
                Err(source) => return Err(BackupError::io("read", &object, source)),
            };
            return Err(BackupError::BadObject { path: entry.path.clone(), object, reason });
        }
        let restoring = Restoring { beside: beside(target), target: target.to_owned(), done: false };
        remove_leftover(&restoring.beside)?;
        make_folder(&restoring.beside)?;
        let mut progress =
            Progress { files_total: snapshot.files.len() as u64, bytes_total: snapshot.bytes, ..Progress::default() };
        for entry in &snapshot.files {
            pace.progress(progress);
            let object = self.object(&entry.sha256);
            let path = restoring.beside.join(&entry.path);
            if let Some(folder) = path.parent() {
                make_folder(folder)?;
            }
            if copy(&object, entry.bytes, &path, pace)? != entry.sha256 {
                let reason = "is damaged: its content does not fit its checksum".to_owned();
                return Err(BackupError::BadObject { path: entry.path.clone(), object, reason });
            }
            progress.files += 1;
            progress.bytes += entry.bytes;
        }
        pace.progress(progress);
        Ok(restoring)
    }
}

impl Restoring {
    /// Where the files lie now.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.beside
    }

    /// Syncs every folder and gives the whole its name.
    /// # Errors
    /// The disk refuses, or somebody put something into the target meanwhile.
    pub fn put_in_place(mut self) -> Result<(), BackupError> {
        sync_folders(&self.beside)?;
        check_target(&self.target)?;
        // Takes the place of an empty folder, and fails on any other.
        std::fs::rename(&self.beside, &self.target)
            .map_err(|source| BackupError::io("put in place", &self.target, source))?;
        self.done = true;
        sync_folder(parent(&self.target))
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        if !self.done {
            let _ = std::fs::remove_dir_all(&self.beside); // A leftover is removed by the next restore.
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `data` → `data.restoring`.
fn beside(target: &Path) -> PathBuf {
    let mut name = target.as_os_str().to_owned();
    name.push(".restoring");
    PathBuf::from(name)
}

/// Of a restore that was cut off; only a folder of that name is ever removed.
fn remove_leftover(beside: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("remove", beside, error)),
        _ => Ok(()),
    }
}

fn check_target(target: &Path) -> Result<(), BackupError> {
    let refused = |reason: &str| Err(BackupError::Target { path: target.to_owned(), reason: reason.to_owned() });
    if target.file_name().is_none() {
        return refused("cannot be restored into; name a folder that is not there yet");
    }
    let above = parent(target);
    let above = std::fs::metadata(above).map_err(|source| BackupError::io("look into", above, source))?;
    let meta = match std::fs::symlink_metadata(target) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(|source| BackupError::io("look at", target, source))?,
    };
    if !meta.is_dir() {
        return refused("is no folder; name one that is not there yet");
    }
    if !names(target)?.is_empty() {
        return refused("is not empty. Nothing was changed; move it aside, or restore into another folder");
    }
    if meta.dev() != above.dev() {
        return refused(
            "is where a disk is mounted, and cannot be put in place as a whole; restore into a folder below it",
        );
    }
    Ok(())
}

/// Syncs a folder and all below it.
fn sync_folders(top: &Path) -> Result<(), BackupError> {
    let mut waiting = vec![top.to_owned()];
    let mut seen = BTreeSet::new();
    while let Some(folder) = waiting.pop() {
        for name in names(&folder)? {
            let path = folder.join(name);
            let meta = std::fs::symlink_metadata(&path).map_err(|source| BackupError::io("look at", &path, source))?;
            if meta.is_dir() && seen.insert(path.clone()) {
                waiting.push(path);
            }
        }
        sync_folder(&folder)?;
    }
    Ok(())
}
