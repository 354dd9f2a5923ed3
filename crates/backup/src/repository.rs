//! The folder: who may write, which snapshots there are, where an object lies.

use crate::files::{make_folder, replace, sync_folder};
use crate::snapshot::{FORMAT, Snapshot};
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Marks the folder.
pub(crate) const MARK: &str = "andon-backup";
/// What a marker says.
fn mark() -> String {
    format!("andon-backup format={FORMAT}\n")
}
/// No snapshot is longer than this.
const SNAPSHOT_LIMIT: u64 = 1 << 30;

/// Why a backup was not made, read or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The disk refused.
    #[error("could not {doing} {}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Which file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// No space left there.
    #[error(
        "no space left for {}. What was copied so far stays and is not copied again: free space and run the same command again",
        path.display()
    )]
    Full {
        /// Which file.
        path: PathBuf,
    },
    /// There is no repository.
    #[error("{} holds no backups of Andon; give the folder that `andon backup` wrote to", .0.display())]
    NoRepository(PathBuf),
    /// The folder is somebody else's.
    #[error("{} is not empty and holds no backups of Andon; give a folder of its own", .0.display())]
    Foreign(PathBuf),
    /// Somebody writes there.
    #[error("another backup is being written to {}; wait for its end", .0.display())]
    InUse(PathBuf),
    /// Somebody restores into the same target.
    #[error("another restore into {} is under way; wait for its end", .0.display())]
    Restoring(PathBuf),
    /// A later program's.
    #[error("{} is of format {found}; this program knows format {FORMAT}. Use the program that wrote it, or a later one", path.display())]
    Newer {
        /// Which file.
        path: PathBuf,
        /// What it says.
        found: u32,
    },
    /// A file is not what was written.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An object is not what the snapshot says.
    #[error("{path}, kept in {}, {reason}. Nothing was restored; choose another backup, or see `andon backup verify`", object.display())]
    BadObject {
        /// The file of the backup.
        path: String,
        /// Where it is kept.
        object: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no such backup.
    #[error("there is no backup \"{name}\" in {}; there are: {known}", path.display())]
    NoSnapshot {
        /// The repository.
        path: PathBuf,
        /// What was asked for.
        name: String,
        /// What there is.
        known: String,
    },
    /// The target of a restore cannot take one.
    #[error("{} {reason}", path.display())]
    Target {
        /// The target.
        path: PathBuf,
        /// Why not, and what to do.
        reason: String,
    },
}

impl BackupError {
    pub(crate) fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path: path.to_owned() },
            _ => Self::Io { doing, path: path.to_owned(), source },
        }
    }
}

/// A folder of backups.
#[derive(Debug, Clone)]
pub struct Repository {
    dir: PathBuf,
}

/// The right to write; one at a time.
#[derive(Debug)]
pub struct Writing {
    pub(crate) repository: Repository,
    /// Held until the process ends, however it ends.
    _lock: File,
}

impl Writing {
    /// The folder.
    #[must_use]
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }
}

impl Repository {
    /// Opens a folder of backups to read.
    /// # Errors
    /// There is none, or it is of a later format.
    pub fn open(dir: &Path) -> Result<Self, BackupError> {
        let path = dir.join(MARK);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(BackupError::NoRepository(dir.to_owned()));
            }
            Err(error) => return Err(BackupError::io("read", &path, error)),
        };
        if text != mark() {
            let found = text.trim().strip_prefix("andon-backup format=").and_then(|rest| rest.parse().ok());
            return Err(match found {
                Some(found) => BackupError::Newer { path, found },
                None => BackupError::Damaged { path, reason: "it does not name a format".to_owned() },
            });
        }
        Ok(Self { dir: dir.to_owned() })
    }

    /// Opens a folder to write, making it when it is missing or empty.
    /// # Errors
    /// It holds something else, somebody writes there, or the disk refuses.
    pub fn write(dir: &Path) -> Result<Writing, BackupError> {
        make_folder(dir)?;
        let is_new = match Self::open(dir) {
            Ok(_) => false,
            Err(BackupError::NoRepository(_)) => true,
            Err(error) => return Err(error),
        };
        // A kill may have left the lock alone.
        if is_new && names(dir)?.iter().any(|name| name != "lock" && name != "andon-backup.new" && name != "lost+found")
        {
            return Err(BackupError::Foreign(dir.to_owned()));
        }
        let path = dir.join("lock");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        let lock = lock.map_err(|source| BackupError::io("open", &path, source))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(BackupError::io("lock", &path, source)),
        }
        let repository = Self { dir: dir.to_owned() };
        for folder in [repository.objects(), repository.incoming(), repository.snapshots_folder()] {
            make_folder(&folder)?;
        }
        if is_new {
            std::fs::set_permissions(dir, std::os::unix::fs::PermissionsExt::from_mode(0o700))
                .map_err(|source| BackupError::io("make private", dir, source))?;
            replace(&dir.join(MARK), mark().as_bytes())?;
            if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_folder(parent)?;
            }
        }
        Ok(Writing { repository, _lock: lock })
    }

    /// The folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where a file with this checksum is kept.
    #[must_use]
    pub fn object(&self, sha256: &str) -> PathBuf {
        self.objects().join(sha256.get(..2).unwrap_or_default()).join(sha256)
    }

    pub(crate) fn objects(&self) -> PathBuf {
        self.dir.join("objects")
    }

    pub(crate) fn incoming(&self) -> PathBuf {
        self.dir.join("incoming")
    }

    pub(crate) fn snapshots_folder(&self) -> PathBuf {
        self.dir.join("snapshots")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.dir.join("unfinished")
    }

    /// The names of the finished backups, oldest first.
    /// # Errors
    /// The folder cannot be read.
    pub fn names(&self) -> Result<Vec<String>, BackupError> {
        let files = names(&self.snapshots_folder())?;
        let mut found: Vec<String> =
            files.iter().filter_map(|name| name.strip_suffix(".json")).map(str::to_owned).collect();
        found.sort();
        Ok(found)
    }

    /// Reads one by its name, or by a beginning that only one has; `None`: the newest.
    /// # Errors
    /// There is none such, or it is damaged.
    pub fn snapshot(&self, name: Option<&str>) -> Result<Snapshot, BackupError> {
        let names = self.names()?;
        let wanted = name.unwrap_or_default();
        let found: Vec<&String> = names.iter().filter(|known| known.starts_with(wanted)).collect();
        let found = match found.as_slice() {
            [.., newest] if name.is_none() => newest,
            [only] => only,
            _ => {
                let known = if names.is_empty() { "none that is finished".to_owned() } else { names.join(", ") };
                return Err(BackupError::NoSnapshot { path: self.dir.clone(), name: wanted.to_owned(), known });
            }
        };
        let path = self.snapshots_folder().join(format!("{found}.json"));
        let failed = |source| BackupError::io("read", &path, source);
        if std::fs::metadata(&path).map_err(failed)?.len() > SNAPSHOT_LIMIT {
            return Err(BackupError::Damaged { path, reason: "it is too long".to_owned() });
        }
        Snapshot::decode(&path, &std::fs::read(&path).map_err(failed)?)
    }
}

/// The names in a folder.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, BackupError> {
    let failed = |source| BackupError::io("look into", dir, source);
    let entries = std::fs::read_dir(dir).map_err(failed)?;
    entries.map(|entry| entry.map(|e| e.file_name().to_string_lossy().into_owned()).map_err(failed)).collect()
}
