//! The data directory: one node at a time, one identity for ever.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

/// The data directory, held by this process.
pub struct DataDir {
    path: PathBuf,
    /// Held until the process ends, however it ends.
    _lock: File,
}

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process has it.
    #[error("{} is in use by another Andon; stop that one first, or give this one its own data_dir", .0.display())]
    InUse(PathBuf),
    /// The disk refuses.
    #[error("{} cannot be used as data directory", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDir {
    /// Creates the directory if need be and takes it for this process. What a write that was cut off has left in it is removed.
    /// # Errors
    /// In use, or not writable.
    pub fn take(path: &Path) -> Result<Self, DataDirError> {
        let failed = |source| DataDirError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(failed)?;
        #[cfg(unix)]
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o700)).map_err(failed)?;
        let lock = File::options().write(true).create(true).truncate(false).open(path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {
                remove_unfinished(path).map_err(failed)?;
                Ok(Self { path: path.to_owned(), _lock: lock })
            }
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// A path inside.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Small files are written as `<name>~new` and then renamed; with the lock held nobody does.
fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_str().is_some_and(|name| name.ends_with("~new")) && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a small file that only its owner can read.
/// # Errors
/// The disk refuses.
pub fn write_private(path: &Path, content: &(impl AsRef<[u8]> + ?Sized)) -> io::Result<()> {
    use std::io::Write;
    let mut options = File::options();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(content.as_ref())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_node_is_refused_until_the_first_is_gone() {
        let dir = tempfile::tempdir().expect("dir");
        let first = DataDir::take(dir.path()).expect("free");
        assert!(matches!(DataDir::take(dir.path()), Err(DataDirError::InUse(_))));
        drop(first);
        DataDir::take(dir.path()).expect("free again");
    }

    #[test]
    fn what_a_cut_off_write_left_is_removed_by_whoever_has_the_directory() {
        let dir = tempfile::tempdir().expect("dir");
        let names = ["last-backup.json", "last-backup.json~new", "node-id~new"];
        let left = || names.map(|name| dir.path().join(name).exists());
        let first = DataDir::take(dir.path()).expect("free");
        names.iter().for_each(|name| fs::write(dir.path().join(name), "{").expect("written"));
        assert!(DataDir::take(dir.path()).is_err());
        assert_eq!(left(), [true; 3], "it may be a write that is under way");
        drop(first);
        let _again = DataDir::take(dir.path()).expect("free again");
        assert_eq!(left(), [true, false, false]);
    }
}
