//! Bringing a backup back: beside the target, checked and synced, and then put in place by one rename.

use crate::files::{Pace, Progress, copy, make_folder, sync_folder};
use crate::repository::{BackupError, Repository, names};
use crate::snapshot::Snapshot;
use std::collections::BTreeSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A backup that lies complete beside its target. Dropped without [`Restoring::put_in_place`], it is removed.
#[derive(Debug)]
pub struct Restoring {
    beside: PathBuf,
    target: PathBuf,
    done: bool,
    // Dropped in this order: the lock file first, then the folders that it may stand in.
    _lock: Lock,
    above: Above,
}

/// The right to restore into a target; one at a time. Its file is removed while it is still held.
#[derive(Debug)]
struct Lock {
    path: PathBuf,
    _file: File,
}

/// Folders above the target that were made for it, the topmost first. Dropped with names in it, they are removed if they are empty.
#[derive(Debug, Default)]
struct Above(Vec<PathBuf>);

impl Repository {
    /// Copies the files of a backup into a folder beside `target`, each compared with its checksum and synced. Room for `target`
    /// and its neighbour must be on one disk. Missing folders above `target` are made.
    /// # Errors
    /// The target holds something; another restore into it is under way; a file of the backup is missing or damaged; the disk
    /// refuses. Then nothing is left.
    pub fn restore(&self, snapshot: &Snapshot, target: &Path, pace: &mut dyn Pace) -> Result<Restoring, BackupError> {
        let target = normal(target)?;
        // A target that is refused leaves no trace; what counts is the look under the lock.
        check_target(&target)?;
        let above = Above::make(&target)?;
        let lock = Lock::take(&target)?;
        check_target(&target)?;
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
        let restoring = Restoring { beside: beside(&target, ".restoring"), target, done: false, _lock: lock, above };
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
        let made = std::mem::take(&mut self.above.0);
        sync_folder(parent(&self.target))?;
        made.iter().rev().try_for_each(|folder| sync_folder(parent(folder)))
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

impl Lock {
    fn take(target: &Path) -> Result<Self, BackupError> {
        let path = beside(target, ".restoring.lock");
        loop {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
            let file = file.map_err(|source| BackupError::io("open", &path, source))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(BackupError::Restoring(target.to_owned())),
                Err(TryLockError::Error(source)) => return Err(BackupError::io("lock", &path, source)),
            }
            // Who held it may have removed the file between our opening and locking; then it keeps nobody out.
            let locked = file.metadata().map_err(|source| BackupError::io("look at", &path, source))?;
            match std::fs::metadata(&path) {
                Ok(named) if (named.dev(), named.ino()) == (locked.dev(), locked.ino()) => {
                    return Ok(Self { path, _file: file });
                }
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::io("look at", &path, error));
                }
                _ => {}
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path); // One that stays is taken by the next restore.
    }
}

impl Above {
    /// Makes what is missing above the target.
    fn make(target: &Path) -> Result<Self, BackupError> {
        let missing = |folder: &&Path| !folder.as_os_str().is_empty() && !folder.exists();
        let mut made: Vec<PathBuf> = target.ancestors().skip(1).take_while(missing).map(Path::to_owned).collect();
        made.reverse();
        let above = Self(made);
        make_folder(parent(target))?;
        Ok(above)
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        for folder in self.0.iter().rev() {
            let _ = std::fs::remove_dir(folder); // One that somebody else uses by now stays.
        }
    }
}

/// The target as folder and name: `data/`, `./data` and `data/.` are `/where/we/are/data`.
fn normal(target: &Path) -> Result<PathBuf, BackupError> {
    let refused = || {
        let reason = "cannot be restored into; name a folder that is not there yet".to_owned();
        BackupError::Target { path: target.to_owned(), reason }
    };
    if target.as_os_str().is_empty() {
        return Err(refused());
    }
    let whole = std::path::absolute(target).map_err(|source| BackupError::io("look at", target, source))?;
    match (whole.parent(), whole.file_name()) {
        (Some(above), Some(name)) => Ok(above.join(name)),
        _ => Err(refused()),
    }
}

/// `data` → `data.restoring`, in the same folder. The target is [`normal`].
fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    target.with_file_name(name)
}

/// Of a restore that was cut off, not of one under way: the lock is held. Only a folder of that name is ever removed.
fn remove_leftover(beside: &Path) -> Result<(), BackupError> {
    match std::fs::remove_dir_all(beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BackupError::io("remove", beside, error)),
        _ => Ok(()),
    }
}

fn check_target(target: &Path) -> Result<(), BackupError> {
    let refused = |reason: &str| Err(BackupError::Target { path: target.to_owned(), reason: reason.to_owned() });
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
    let above = parent(target);
    let above = std::fs::metadata(above).map_err(|source| BackupError::io("look into", above, source))?;
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
