//! Copying a file with its checksum, at a bounded pace, so that it is on disk afterwards.

use crate::repository::BackupError;
use rustix::fs::{Advice, fadvise};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// How much is read and written at once.
const PIECE_BYTES: usize = 1 << 20;

/// How far a long task has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Files dealt with.
    pub files: u64,
    /// Files in all.
    pub files_total: u64,
    /// Bytes dealt with.
    pub bytes: u64,
    /// Bytes in all.
    pub bytes_total: u64,
}

/// Is told of every piece before it is moved: may wait, and says how far the task has come.
pub trait Pace {
    /// About to move so many bytes.
    fn before(&mut self, bytes: usize);
    /// The task has come so far.
    fn progress(&mut self, progress: Progress);
}

/// A pace that does not wait and tells nobody.
impl Pace for () {
    fn before(&mut self, _bytes: usize) {}
    fn progress(&mut self, _progress: Progress) {}
}

/// SHA-256 in hex, as `sha256sum` prints it.
pub(crate) fn hex(digest: &[u8]) -> String {
    use std::fmt::Write as _;
    digest.iter().fold(String::with_capacity(64), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // Writing to a string cannot fail.
        text
    })
}

/// The checksum of a text.
pub(crate) fn sum_of(text: &[u8]) -> String {
    hex(&Sha256::digest(text))
}

/// Whether a text has the form of a checksum.
pub(crate) fn is_sum(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Makes a folder for its owner only, with those above it; no error when it is there.
pub(crate) fn make_folder(path: &Path) -> Result<(), BackupError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| BackupError::io("create", path, source))
}

/// A new file for its owner only, in place of one of that name.
pub(crate) fn create(path: &Path) -> Result<File, BackupError> {
    let created = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    created.map_err(|source| BackupError::io("create", path, source))
}

/// Makes the names in a folder last.
pub(crate) fn sync_folder(path: &Path) -> Result<(), BackupError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(|source| BackupError::io("sync", path, source))
}

/// Writes a small file whole: beside, synced, renamed, the folder synced.
pub(crate) fn replace(path: &Path, text: &[u8]) -> Result<(), BackupError> {
    let fresh = path.with_extension("new");
    let written = create(&fresh).and_then(|mut file| {
        let written = file.write_all(text).and_then(|()| file.sync_all());
        written.map_err(|source| BackupError::io("write", &fresh, source))
    });
    if written.is_err() {
        let _ = std::fs::remove_file(&fresh);
    }
    written?;
    std::fs::rename(&fresh, path).map_err(|source| BackupError::io("name", path, source))?;
    path.parent().map_or(Ok(()), sync_folder)
}

/// Copies the first `bytes` bytes of `from` to a new file, syncs it, and returns their checksum. A file that is shorter is an error.
pub(crate) fn copy(from: &Path, bytes: u64, to: &Path, pace: &mut dyn Pace) -> Result<String, BackupError> {
    let mut source = File::open(from).map_err(|error| BackupError::io("read", from, error))?;
    let mut target = create(to)?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        let wanted = PIECE_BYTES.min(usize::try_from(left).unwrap_or(PIECE_BYTES));
        let Some(piece) = piece.get_mut(..wanted) else { break };
        pace.before(wanted);
        source.read_exact(piece).map_err(|error| BackupError::io("read", from, error))?;
        hasher.update(&*piece);
        target.write_all(piece).map_err(|error| BackupError::io("write", to, error))?;
        left -= wanted as u64;
    }
    target.sync_all().map_err(|error| BackupError::io("sync", to, error))?;
    Ok(hex(&hasher.finalize()))
}

/// Size and checksum of a file as the disk gives it back, not as memory remembers it.
pub(crate) fn read_back(path: &Path, pace: &mut dyn Pace) -> io::Result<(u64, String)> {
    let mut file = File::open(path)?;
    // Only advice: where it is not taken, the file is read from memory.
    let _ = fadvise(&file, 0, None, Advice::DontNeed);
    let mut hasher = Sha256::new();
    let mut piece = vec![0; PIECE_BYTES];
    let mut bytes = 0;
    let length = file.metadata()?.len();
    loop {
        pace.before(PIECE_BYTES.min(usize::try_from(length.saturating_sub(bytes)).unwrap_or(PIECE_BYTES)));
        let read = match file.read(&mut piece) {
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if read == 0 {
            let _ = fadvise(&file, 0, None, Advice::DontNeed);
            return Ok((bytes, hex(&hasher.finalize())));
        }
        hasher.update(piece.get(..read).unwrap_or_default());
        bytes += read as u64;
    }
}
