//! Which files are history, and how far in the log they reach.
//!
//! The manifest is the one truth about the folder: a Parquet file it does not name is left over from a cut-off write
//! and is removed at the next start; the log's samples up to its `position` are in its files, all others are not.
//! It is a small text file, replaced atomically, with a checksum over its content:
//!
//! ```text
//! andon-historian-manifest format=1 crc32c=1a2b3c4d
//! {"position":4711, …}
//! ```

use crate::delete::Delete;
use crate::delta::Published;
use crate::disk::Disk;
use crate::period::Period;
use crate::point::HistoryGap;
use crate::rollup::RollupInfo;
use andon_model::Timestamp;
use andon_model::log::Seq;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

const NAME: &str = "andon-historian-manifest";
/// What this version writes. Format 3 knows no files of format 3. Format 2 knows only files of single days. Format 1 has no `deletes`, nothing of the open table,
/// and of files neither `folded` nor `format` nor `collides`; all are empty then, and every file is of format 1.
const FORMAT: u32 = 4;
/// The format of history files that is written.
const FILE_FORMAT: u32 = 3;
/// From this format on, files are part of the open table.
const OPEN_FORMAT: u32 = 2;

/// What is known of the files.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// The last frame of the samples lane whose content is in the files.
    pub position: Seq,
    /// When that frame was handed to the log.
    pub complete_to: Option<Timestamp>,
    /// The opening of the log in which that frame was written; 0 where it is not known.
    #[serde(default)]
    pub epoch: u64,
    /// The files, in any order.
    pub files: Vec<FileInfo>,
    /// Where history is incomplete.
    pub gaps: Vec<HistoryGap>,
    /// Rows of files that are no longer history.
    #[serde(default)]
    pub deletes: Vec<Delete>,
    /// How often it was saved.
    #[serde(default)]
    pub number: u64,
    /// The day up to which limits counted when this was saved; see `keep`.
    #[serde(default)]
    pub counted_day: Option<i64>,
    /// The open table as it was known to be when this was saved; its log may be ahead, never behind.
    #[serde(default)]
    pub published: Option<Published>,
    /// Files that left the open table, by their path in it, and when, ms since 1970-01-01. They stay on disk for those who
    /// still read an older version of the table.
    #[serde(default)]
    pub removed: BTreeMap<String, i64>,
}

/// What is known of one file without opening it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileInfo {
    /// UTC day of all its rows, or the first of them, days since 1970-01-01.
    pub day: i64,
    /// How many days it may hold rows of.
    #[serde(default = "one_day")]
    pub days: u32,
    /// The first frame it may hold samples of.
    pub from: Seq,
    /// The last one.
    pub to: Seq,
    /// How many rows.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C of each row group's bytes, in order, and last of the footer's. They cover the whole file, and let a read
    /// check just what it touches.
    pub pieces: Vec<Piece>,
    /// Smallest and largest tag.
    pub tags: (u32, u32),
    /// First and last source time, µs, both inclusive.
    pub ts: (i64, i64),
    /// Deletes up to this frame are worked in, if that is later than `to`.
    #[serde(default)]
    pub folded: Seq,
    /// Its roll-up file, if there is one.
    #[serde(default)]
    pub rollup: Option<RollupInfo>,
    /// Of which format it is.
    #[serde(default = "first_format")]
    pub format: u32,
    /// It may hold rows of the same tag and time as older files of its day, of which the oldest begins with this frame:
    /// then it is not for outside readers until it was merged with them.
    #[serde(default)]
    pub collides: Option<Seq>,
    /// It is damaged, and nobody waits for it any more: see [`give_up`](crate::give_up).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub given_up: bool,
}

const fn first_format() -> u32 {
    1
}

const fn one_day() -> u32 {
    1
}

/// A stretch of a file, from the end of the one before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Piece {
    /// Where it ends, in bytes from the file's start.
    pub end: u64,
    /// CRC-32C of its bytes.
    pub crc32c: u32,
}

impl FileInfo {
    /// A file without rows.
    pub(crate) const fn empty(period: Period, from: Seq, to: Seq) -> Self {
        Self {
            day: period.first,
            days: period.days,
            from,
            to,
            rows: 0,
            bytes: 0,
            pieces: Vec::new(),
            tags: (u32::MAX, 0),
            ts: (i64::MAX, i64::MIN),
            folded: Seq(0),
            rollup: None,
            format: FILE_FORMAT,
            collides: None,
            given_up: false,
        }
    }

    /// Whether outside readers may see it: a format they understand, and no row that an older file has too. What cannot be read would
    /// be the end of every question of theirs.
    pub(crate) const fn is_for_all(&self) -> bool {
        !self.is_closed() && self.collides.is_none() && !self.given_up
    }

    /// Of a format that outside readers do not understand. It is written anew at the next tidying.
    pub(crate) const fn is_closed(&self) -> bool {
        self.format < OPEN_FORMAT
    }

    /// Its path in the open table.
    pub(crate) fn table_path(&self) -> String {
        format!("{}/{}", self.period().name(), self.name())
    }

    /// The days it may hold rows of.
    pub(crate) const fn period(&self) -> Period {
        Period { first: self.day, days: self.days }
    }

    fn name(&self) -> String {
        let (from, to) = (self.from.0, self.to.0);
        match self.folded.0 {
            0 => format!("{from:012}-{to:012}.parquet"),
            folded => format!("{from:012}-{to:012}-{folded:012}.parquet"),
        }
    }

    /// The folder of its period.
    pub(crate) fn folder(&self, dir: &Path) -> PathBuf {
        parquet_folder(dir).join(self.period().name())
    }

    /// Where it lies: `<dir>/parquet/2026-11-22/000000000001-000000000042.parquet`; with a third number when deletes
    /// were worked in.
    pub(crate) fn path(&self, dir: &Path) -> PathBuf {
        self.folder(dir).join(self.name())
    }
}

/// The folder with those of all periods.
pub(crate) fn parquet_folder(dir: &Path) -> PathBuf {
    dir.join("parquet")
}

/// Whether a file name is one of ours: two or three numbers with `-` between, `.parquet` or `.rollup`, perhaps with `.tmp`.
pub(crate) fn is_our_name(name: &str) -> bool {
    let name = name.strip_suffix(".tmp").unwrap_or(name);
    let Some(stem) = name.strip_suffix(".parquet").or_else(|| name.strip_suffix(".rollup")) else { return false };
    let numbers: Vec<&str> = stem.split('-').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    (2..=3).contains(&numbers.len()) && numbers.iter().all(digits)
}

/// Why the manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// The disk refused.
    #[error("could not read the historian's manifest {path}")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its content is not what was written.
    #[error(
        "the historian's manifest {path} is damaged: {reason}. Restore log and history from the same backup; or, to begin a new history, \
         move the whole folder aside (its Parquet files stay readable with any Parquet tool) and start again"
    )]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Written by a later version.
    #[error(
        "the historian's manifest {path} has format {found}, and this version of Andon reads formats 1 to {FORMAT}. Start the version that wrote it, or a later one"
    )]
    UnknownFormat {
        /// Which file.
        path: PathBuf,
        /// The format it names.
        found: u32,
    },
    /// There are history files and nothing says which of them are valid.
    #[error(
        "the historian's manifest {path} is missing, but there are Parquet files beside it. Restore log and history from the same backup; \
         or, to begin a new history, move the whole folder aside and start again"
    )]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
}

impl Manifest {
    /// Where it lies.
    pub(crate) fn path(dir: &Path) -> PathBuf {
        dir.join("manifest")
    }

    /// Reads it; `None` when there is none.
    pub(crate) fn load(dir: &Path) -> Result<Option<Self>, ManifestError> {
        let path = Self::path(dir);
        match std::fs::read(&path) {
            Ok(bytes) => Self::decode(&bytes, &path).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(ManifestError::Io { path, source }),
        }
    }

    /// Replaces it on disk, synced.
    pub(crate) fn save(&self, dir: &Path, disk: &Disk) -> io::Result<()> {
        disk.replace(&Self::path(dir), &self.encode()?)
    }

    fn encode(&self) -> io::Result<Vec<u8>> {
        let body = serde_json::to_vec(self)?;
        let mut bytes = format!("{NAME} format={FORMAT} crc32c={:08x}\n", checksum(FORMAT, &body)).into_bytes();
        bytes.extend_from_slice(&body);
        Ok(bytes)
    }

    pub(crate) fn decode(bytes: &[u8], path: &Path) -> Result<Self, ManifestError> {
        let damaged = |reason: &str| ManifestError::Damaged { path: path.to_owned(), reason: reason.to_owned() };
        let end = bytes.iter().position(|b| *b == b'\n').ok_or_else(|| damaged("it has no first line"))?;
        let (head, rest) = bytes.split_at_checked(end).ok_or_else(|| damaged("it has no first line"))?;
        let body = rest.get(1..).unwrap_or_default();
        let head = std::str::from_utf8(head).map_err(|_| damaged("its first line is not text"))?;
        let fields = head.strip_prefix(NAME).ok_or_else(|| damaged("it does not begin with its name"))?;
        let field = |name: &str| fields.split_whitespace().find_map(|field| field.strip_prefix(name));
        let format =
            field("format=").and_then(|text| text.parse().ok()).ok_or_else(|| damaged("its format is not a number"))?;
        if !(1..=FORMAT).contains(&format) {
            return Err(ManifestError::UnknownFormat { path: path.to_owned(), found: format });
        }
        let crc = field("crc32c=").and_then(|text| u32::from_str_radix(text, 16).ok());
        if crc != Some(checksum(format, body)) {
            return Err(damaged("its checksum does not fit its content"));
        }
        serde_json::from_slice(body).map_err(|error| damaged(&error.to_string()))
    }
}

/// From format 3 on the checksum is over the format too, so that it is not taken for another.
fn checksum(format: u32, body: &[u8]) -> u32 {
    let start = if format < 3 { 0 } else { format };
    crc32c::crc32c_append(start, body)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Manifest {
        Manifest {
            position: Seq(42),
            complete_to: Some(Timestamp::from_micros(7)),
            files: vec![FileInfo {
                day: 20_779,
                days: 1,
                from: Seq(1),
                to: Seq(42),
                rows: 3,
                bytes: 999,
                pieces: vec![Piece { end: 999, crc32c: 5 }],
                tags: (0, u32::MAX),
                ts: (i64::MIN, i64::MAX),
                folded: Seq(0),
                format: 2,
                collides: Some(Seq(1)),
                given_up: true,
                rollup: Some(RollupInfo { bytes: 99, index: 50, crc32c: 7, format: 2 }),
            }],
            gaps: vec![HistoryGap { from: Timestamp::MIN, to: Timestamp::MAX, reason: "a \"reason\"\n".to_owned() }],
            epoch: 4,
            deletes: vec![Delete { tag: 3, from: i64::MIN, to: i64::MAX, seq: Seq(7) }],
            counted_day: Some(20_778),
            number: 9,
            published: None,
            removed: BTreeMap::from([("2026-11-22/000000000001-000000000041.parquet".to_owned(), 5)]),
        }
    }

    #[test]
    fn comes_back_as_written() {
        let bytes = example().encode().unwrap();
        assert_eq!(Manifest::decode(&bytes, Path::new("m")).unwrap(), example());
    }

    #[test]
    fn any_changed_byte_is_refused_with_a_remedy() {
        let bytes = example().encode().unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x01;
            let error =
                Manifest::decode(&changed, Path::new("m")).expect_err("a flipped bit must not pass").to_string();
            assert!(error.contains("Restore") || error.contains("Start the version"), "{error}");
        }
        for length in 0..bytes.len() {
            assert!(Manifest::decode(&bytes[..length], Path::new("m")).is_err(), "cut at {length}");
        }
    }

    #[test]
    fn older_formats_are_read_for_ever() {
        let body = r#"{"position":3,"complete_to":null,"files":[],"gaps":[]}"#;
        let text = format!("{NAME} format=1 crc32c=c380e313\n{body}");
        let read = Manifest::decode(text.as_bytes(), Path::new("m")).unwrap();
        assert_eq!(read, Manifest { position: Seq(3), ..Manifest::default() });
    }

    #[test]
    fn only_our_own_names_are_ours() {
        let path = example().files[0].path(Path::new("/h"));
        assert_eq!(path, Path::new("/h/parquet/2026-11-22/000000000001-000000000042.parquet"));
        assert_eq!(example().files[0].table_path(), "2026-11-22/000000000001-000000000042.parquet");
        assert!(is_our_name("000000000001-000000000042.parquet") && is_our_name("1-2.parquet.tmp"));
        let month = FileInfo { day: 20_758, days: 30, ..example().files[0].clone() };
        assert_eq!(month.table_path(), "2026-11/000000000001-000000000042.parquet");
        let some_days = FileInfo { days: 12, ..month };
        assert_eq!(some_days.table_path(), "2026-11-01--2026-11-12/000000000001-000000000042.parquet");
        let folded = FileInfo { folded: Seq(50), ..example().files[0].clone() }.path(Path::new("/h"));
        assert_eq!(folded, Path::new("/h/parquet/2026-11-22/000000000001-000000000042-000000000050.parquet"));
        assert!(is_our_name("1-2-3.parquet") && is_our_name("1-2.rollup") && is_our_name("1-2.rollup.tmp"));
        for other in [
            "notes.parquet",
            "1-2.parquet.bak",
            "1-.parquet",
            "-2.parquet",
            "1-2.txt",
            ".tmp",
            "1-2-3-4.parquet",
            "1.parquet",
        ] {
            assert!(!is_our_name(other), "{other}");
        }
    }
}
