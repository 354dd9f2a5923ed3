//! Roll-ups of minutes and hours beside each history file, so that a month by hour does not read every point.
//!
//! `<history file>.rollup` is made together with its history file and from the same rows; it holds nothing that could not
//! be calculated again, and a damaged one is only slow. A tag has roll-ups where they are worth it: at least
//! [`WORTH`] points in each on average. Only numbers have roll-ups.
//!
//! ```text
//! "ANDROLL3"
//! chunks     of each tag, minutes then hours, at most 1,440 in each, see [`ColumnWriter`](crate::aggregate::ColumnWriter). Number 0
//!            is the minute or hour that begins 1970-01-01 00:00 UTC
//! index      varint count, then for each tag: varint difference of the tag's number · for minutes and for hours: varint
//!            number of chunks, and for each: varint length · number of its first roll-up (zigzag, difference from that of
//!            the chunk before, the first from 0) · CRC-32C, 4 bytes
//! ```
//! Where the index begins, its checksum and its format stand in the manifest. Formats 1 and 2 are read: their chunks are 1 byte
//! codec (0 as is, 1 zstd) · varint length · bytes: varint count, then for each: varint difference of its number from the one before
//! (the first: zigzag, from 0) and a roll-up (`aggregate::codec::rows`). Format 1 has at most one chunk of each kind, and says in the
//! index only its length, 0 for none, and its checksum.

mod index;
mod read;
mod write;

use crate::aggregate::UNPACKED_MAX;
use crate::damage::wrong_length;
pub(crate) use index::RollupIndex;
pub(crate) use read::{Rollups, Unpacker};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
pub(crate) use write::{RollupWriter, as_numbers};

const MAGIC: &[u8; 8] = b"ANDROLL3";
/// What the files of every format begin with.
const NAME: &[u8; 7] = b"ANDROLL";
/// The format that is written.
const FORMAT: u32 = 3;
/// From this format on, chunks are kept by columns.
const COLUMNS: u32 = 3;
/// A tag gets roll-ups of a kind if each sums up so many points on average.
const WORTH: u64 = 30;
/// No chunk is larger, nor before it was packed; one that claims to be is damaged. A day of minutes takes a twentieth of it.
const CHUNK_MAX: usize = UNPACKED_MAX;

/// Over how long a roll-up reaches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Level {
    Minute,
    Hour,
}

impl Level {
    /// µs.
    pub(crate) const fn span(self) -> i64 {
        match self {
            Self::Minute => 60_000_000,
            Self::Hour => 3_600_000_000,
        }
    }

    /// The number of the minute or hour a time lies in.
    pub(crate) const fn number(self, ts: i64) -> i64 {
        ts.div_euclid(self.span())
    }
}

/// What the manifest says of a roll-up file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RollupInfo {
    /// Its size.
    pub bytes: u64,
    /// Where its index begins; it reaches to the end.
    pub index: u64,
    /// CRC-32C of the index.
    pub crc32c: u32,
    /// Of which format it is.
    #[serde(default = "first_format")]
    pub format: u32,
}

const fn first_format() -> u32 {
    1
}

/// The roll-up file of a history file.
pub(crate) fn path_of(history_file: &Path) -> PathBuf {
    history_file.with_extension("rollup")
}

/// Whether a roll-up file is what was written. Reads all of it.
pub(crate) fn verify(path: &Path, info: &RollupInfo) -> io::Result<()> {
    let file = File::open(path)?;
    let meta = file.metadata()?;
    if meta.len() != info.bytes {
        return Err(damaged(&wrong_length(&meta, info.bytes)));
    }
    let mut name = [0; NAME.len()];
    file.read_exact_at(&mut name, 0)?;
    if name != *NAME {
        return Err(damaged("it does not begin with its name"));
    }
    RollupIndex::load(&file, info)?.check(&file)
}

pub(crate) fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
