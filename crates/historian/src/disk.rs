//! Every change the historian makes on disk goes through here, in named steps.
//!
//! The names are there so that a test can stop the historian before any of them, as a power cut would, and then look
//! whether what lies on disk still tells the truth. In service the hook does nothing.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// A step that changes the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Step {
    /// Make a folder.
    CreateFolder,
    /// Create and fill a temporary file.
    WriteFile,
    /// `fsync` of the temporary file.
    SyncFile,
    /// Give it its real name.
    Rename,
    /// `fsync` of the folder, so that the name survives too.
    SyncFolder,
    /// Tell the log how far the files reach, which lets it free its samples.
    SaveSnapshot,
    /// Delete a file nothing names any more, or an empty folder.
    Remove,
}

/// Is asked before each step. An error stops the historian there, leaving the disk as it is.
pub trait Hook: Send + Sync + 'static {
    /// About to do `step` to `path`.
    /// # Errors
    /// Whatever the test wants to happen.
    fn before(&self, step: Step, path: &Path) -> io::Result<()>;
}

/// Lets everything pass.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoHook;

impl Hook for NoHook {
    fn before(&self, _step: Step, _path: &Path) -> io::Result<()> {
        Ok(())
    }
}

/// The disk as the historian uses it.
#[derive(Clone)]
pub(crate) struct Disk {
    hook: Arc<dyn Hook>,
    /// Folders whose names are known to be durable. One for each day that was written to since the start.
    folders: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Disk {
    pub(crate) fn new(hook: Arc<dyn Hook>) -> Self {
        Self { hook, folders: Arc::default() }
    }

    pub(crate) fn before(&self, step: Step, path: &Path) -> io::Result<()> {
        self.hook.before(step, path)
    }

    /// Makes `folder` unless it is there, and its name durable. Its parent must exist. A folder that is there may have been made by
    /// somebody who was stopped before its name was synced, so that is done once for each folder.
    pub(crate) fn create_folder(&self, folder: &Path) -> io::Result<()> {
        let known = || self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        if known().contains(folder) && folder.is_dir() {
            return Ok(());
        }
        if !folder.is_dir() {
            self.before(Step::CreateFolder, folder)?;
            std::fs::create_dir_all(folder)?;
        }
        self.sync_folder(folder.parent().unwrap_or(folder))?;
        known().insert(folder.to_owned());
        Ok(())
    }

    /// Removes what an abandoned write has left of `path`. Not a step: what stays is removed at the next start.
    pub(crate) fn abandon(&self, path: &Path) {
        let _ = std::fs::remove_file(temporary_name(path));
    }

    /// Opens the temporary file that will become `path`, empty.
    pub(crate) fn create(&self, path: &Path) -> io::Result<File> {
        let temporary = temporary_name(path);
        self.before(Step::WriteFile, &temporary)?;
        File::create(temporary)
    }

    /// Makes a filled temporary file durable under its real name: sync, rename, sync the folder.
    pub(crate) fn seal(&self, file: File, path: &Path) -> io::Result<()> {
        let temporary = temporary_name(path);
        self.before(Step::SyncFile, &temporary)?;
        file.sync_all()?;
        drop(file);
        self.before(Step::Rename, path)?;
        std::fs::rename(&temporary, path)?;
        self.sync_folder(path.parent().unwrap_or(path))
    }

    /// Replaces `path` with `content`, atomically and synced: afterwards the old or the new is there, never half of one.
    pub(crate) fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let mut file = self.create(path)?;
        file.write_all(content)?;
        self.seal(file, path)
    }

    /// Deletes an empty folder.
    pub(crate) fn remove_folder(&self, folder: &Path) -> io::Result<()> {
        self.before(Step::Remove, folder)?;
        self.folders.lock().unwrap_or_else(PoisonError::into_inner).remove(folder);
        std::fs::remove_dir(folder)
    }

    /// Deletes a file; one that is already gone is fine.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.before(Step::Remove, path)?;
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.before(Step::SyncFolder, folder)?;
        // Elsewhere than on Unix a folder cannot be opened for this; there the rename itself is journalled.
        if cfg!(unix) { File::open(folder)?.sync_all() } else { Ok(()) }
    }
}

/// `x` → `x.tmp`.
pub(crate) fn temporary_name(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".tmp");
    PathBuf::from(name)
}
