//! What a finished backup is: a list of files with sizes and checksums, and where they stood.
//!
//! It is plain JSON. Its name ends with the beginning of its own checksum, so a changed byte in it is found too, and
//! `sha256sum` can tell.

use crate::files::sum_of;
use crate::repository::BackupError;
use andon_model::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The newest format of snapshots and of the repository that this program writes and reads.
pub(crate) const FORMAT: u32 = 1;
/// How many digits of its checksum a snapshot's name carries.
const SUM_DIGITS: usize = 16;

/// A file of a backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Where it stood, with `/` between folders.
    pub path: String,
    /// Its length.
    pub bytes: u64,
    /// Of its content, in hex.
    pub sha256: String,
    /// When the original was changed last, ns since 1970-01-01: with inode and length it tells that a file is still the same.
    pub changed_ns: i128,
    /// The original's inode.
    pub inode: u64,
}

/// A file that was damaged already when it was copied.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Flawed {
    /// Where it stood, with `/` between folders.
    pub path: String,
    /// What is wrong with it, in plain words.
    pub what: String,
}

/// What a backup is of.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct What {
    /// The version of Andon that made it.
    pub andon: String,
    /// The node it is of.
    pub node: String,
    /// The moment whose state it holds, ms since 1970-01-01.
    pub at_ms: i64,
    /// Per lane of the log: everything up to this frame is in it.
    pub positions: BTreeMap<String, u64>,
    /// How often the log had been opened.
    pub epoch: u64,
    /// Files that should have been there and were not; what is left is in the backup.
    pub missing: Vec<String>,
}

/// A finished backup.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Snapshot {
    /// Of this file and of the repository.
    pub format: u32,
    /// What it is of.
    #[serde(flatten)]
    pub what: What,
    /// When it was finished, ms since 1970-01-01.
    pub finished_ms: i64,
    /// Bytes of all files.
    pub bytes: u64,
    /// All files.
    pub files: Vec<Entry>,
    /// Those of them that were damaged already when they were copied; `None` in a backup of a version that did not look.
    #[serde(default)]
    pub flawed: Option<Vec<Flawed>>,
    /// How it is called: its file's name without the ending.
    #[serde(skip)]
    pub name: String,
}

impl Snapshot {
    /// The file at `path` in it.
    #[must_use]
    pub fn entry(&self, path: &str) -> Option<&Entry> {
        self.files.iter().find(|entry| entry.path == path)
    }

    /// The files that are known to have been damaged already when they were copied.
    #[must_use]
    pub fn flawed(&self) -> &[Flawed] {
        self.flawed.as_deref().unwrap_or_default()
    }

    /// Whether the list of files can be one of a backup; if not, why.
    fn sound(&self) -> Result<(), String> {
        let mut paths = BTreeSet::new();
        let mut total = 0_u64;
        for entry in &self.files {
            if !is_inside(&entry.path) || !crate::files::is_sum(&entry.sha256) {
                return Err(format!("it names a file that cannot be: {:?}", entry.path));
            }
            if !paths.insert(entry.path.as_str()) {
                return Err(format!("it names a file twice: {:?}", entry.path));
            }
            total = total
                .checked_add(entry.bytes)
                .filter(|total| i64::try_from(*total).is_ok())
                .ok_or_else(|| format!("up to {:?} its files have more bytes than any disk holds", entry.path))?;
        }
        for entry in &self.files {
            let mut above = entry.path.match_indices('/').filter_map(|(at, _)| entry.path.get(..at));
            if let Some(folder) = above.find(|folder| paths.contains(folder)) {
                return Err(format!("it names {folder:?} as a file, and as the folder of {:?}", entry.path));
            }
        }
        if total != self.bytes {
            return Err(format!("it says {} bytes, and its files have {total}", self.bytes));
        }
        Ok(())
    }

    /// Its text, and the name that goes with it. What could not be read again gets none.
    pub(crate) fn encode(&self) -> Result<(String, Vec<u8>), BackupError> {
        let failed = |reason| BackupError::Damaged { path: "the list of files".into(), reason };
        self.sound().map_err(failed)?;
        let mut text = serde_json::to_vec_pretty(self).map_err(|error| failed(error.to_string()))?;
        text.push(b'\n');
        let (year, month, day, hour, minute, second, micros) = Timestamp::from_millis(self.what.at_ms).civil();
        let when = format!("{year:04}-{month:02}-{day:02}T{hour:02}-{minute:02}-{second:02}-{:03}Z", micros / 1000);
        let sum = sum_of(&text);
        Ok((format!("{when}-{}", sum.get(..SUM_DIGITS).unwrap_or_default()), text))
    }

    /// Reads one; `path` is for messages and holds the name.
    pub(crate) fn decode(path: &Path, text: &[u8]) -> Result<Self, BackupError> {
        #[derive(Deserialize)]
        struct Format {
            format: u32,
        }
        let damaged = |reason: String| BackupError::Damaged { path: path.to_owned(), reason };
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let sum = sum_of(text);
        if name.rsplit('-').next() != sum.get(..SUM_DIGITS) {
            return Err(damaged("its content does not fit the checksum in its name".to_owned()));
        }
        let format = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        if let Format { format: found @ (0 | 2..) } = format {
            return Err(BackupError::Newer { path: path.to_owned(), found });
        }
        let snapshot: Self = serde_json::from_slice(text).map_err(|error| damaged(error.to_string()))?;
        snapshot.sound().map_err(damaged)?;
        Ok(Self { name: name.to_owned(), ..snapshot })
    }
}

/// Whether a path stays within the folder it is taken from, and is written in the one way there is: names with one `/` between them.
pub(crate) fn is_inside(path: &str) -> bool {
    !path.contains(['\\', '\0']) && path.split('/').all(|name| !matches!(name, "" | "." | ".."))
}
