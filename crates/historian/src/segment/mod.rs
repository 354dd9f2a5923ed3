//! History files: how one is written, and how a tag's rows are found in it.
//!
//! A file is Parquet, its rows sorted by (tag, time) and unique. There are three formats: [`layout`] describes the one that
//! is written and the one before it, [`first`] reads the first. Parquet's own checks are few: a flipped bit can come back as another
//! value, or as a panic in a decoder. So the manifest has a checksum for every row group and for the footer, and
//! nothing is decoded before its bytes were compared, once while its footer is in memory ([`footer`]).

mod bytes;
mod classify;
mod directory;
mod first;
mod footer;
mod layout;
mod read;
#[cfg(test)]
mod tests;
mod write;

use crate::block::Block;
use crate::damage::wrong_length;
use crate::manifest::FileInfo;
use footer::Footer;
pub(crate) use footer::Footers;
pub(crate) use read::Numbers;
use std::error::Error;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
pub(crate) use write::SegmentWriter;

/// Why a history file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The disk refused.
    #[error("the history file {path} cannot be read or written")]
    Io {
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Its content is not what was written.
    #[error("the history file {path} is damaged")]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Written by a later version.
    #[error(
        "the history file {path} has format {found:?}, and this version of Andon reads formats 1 to {}",
        layout::FORMAT
    )]
    UnknownFormat {
        /// Which file.
        path: PathBuf,
        /// The format it names.
        found: Option<String>,
    },
}

impl SegmentError {
    pub(crate) fn damaged(path: &Path, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Damaged { path: path.to_owned(), source: source.into() }
    }

    /// What is being written is not damaged, whatever the encoder calls it.
    fn unwritten(path: &Path, error: parquet::errors::ParquetError) -> Self {
        Self::io(path, io::Error::other(error))
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// The file it is about.
    pub(crate) fn path(&self) -> &Path {
        let (Self::Io { path, .. } | Self::Damaged { path, .. } | Self::UnknownFormat { path, .. }) = self;
        path
    }
}

/// A file opened for reading.
pub(crate) struct Reader {
    inner: Inner,
}

enum Inner {
    First(Box<first::FirstReader>),
    Current(Box<read::CurrentReader>),
}

impl Reader {
    /// Opens a file; its footer is checked and kept in `footers`.
    pub(crate) fn open(path: &Path, info: &FileInfo, footers: &Footers) -> Result<Self, SegmentError> {
        let file = File::open(path).map_err(|error| SegmentError::io(path, error))?;
        let inner = match footers.get(path, info, &file)? {
            Footer::First(footer) => Inner::First(Box::new(first::FirstReader::new(path, info, file, footer))),
            Footer::Rollups(_) => return Err(SegmentError::damaged(path, "it is a roll-up file")),
            Footer::Current(footer) => {
                Inner::Current(Box::new(read::CurrentReader::new(path, info, Arc::new(file), footer)))
            }
        };
        Ok(Self { inner })
    }

    /// The tags that have rows, ascending.
    pub(crate) fn tags(&mut self) -> Result<Vec<u32>, SegmentError> {
        match &mut self.inner {
            Inner::First(reader) => reader.tags(),
            Inner::Current(reader) => Ok(reader.tags()),
        }
    }

    /// First and last source time of each tag, ascending by tag; `None` where the file does not say (format 1).
    pub(crate) fn spans(&self) -> Option<Vec<(u32, (i64, i64))>> {
        match &self.inner {
            Inner::First(_) => None,
            Inner::Current(reader) => Some(reader.spans()),
        }
    }

    /// Source times of a tag's rows, ascending.
    pub(crate) fn times(&mut self, tag: u32, window: Window) -> Result<Vec<i64>, SegmentError> {
        let reader = match &mut self.inner {
            Inner::Current(reader) => return reader.times(tag, window),
            Inner::First(reader) => reader,
        };
        reader.select(tag, window)?;
        let mut times = Vec::new();
        while let Some(block) = reader.next()? {
            times.extend(block.ts);
        }
        Ok(times)
    }

    /// Begins to read a tag's rows; [`Reader::next`] hands them out. `received` says whether the received times are
    /// wanted too.
    pub(crate) fn select(&mut self, tag: u32, window: Window, received: bool) -> Result<(), SegmentError> {
        match &mut self.inner {
            Inner::First(reader) => reader.select(tag, window),
            Inner::Current(reader) => {
                reader.select(tag, window, received);
                Ok(())
            }
        }
    }

    /// The next rows of what was selected; `None` after the last.
    pub(crate) fn next(&mut self) -> Result<Option<Block>, SegmentError> {
        match &mut self.inner {
            Inner::First(reader) => reader.next(),
            Inner::Current(reader) => reader.next(),
        }
    }

    /// Hands out all numbers of a tag, without their times, block by block; `false`, and none, where not all its rows are good
    /// numbers or the file does not say so.
    pub(crate) fn good_numbers(&mut self, tag: u32, take: impl FnMut(Numbers)) -> Result<bool, SegmentError> {
        match &mut self.inner {
            Inner::First(_) => Ok(false),
            Inner::Current(reader) => reader.good_numbers(tag, take),
        }
    }

    /// A tag's last row before `before`, as a block of one row.
    pub(crate) fn last_before(&mut self, tag: u32, before: i64) -> Result<Option<Block>, SegmentError> {
        match &mut self.inner {
            Inner::First(reader) => reader.last_before(tag, before),
            Inner::Current(reader) => reader.last_before(tag, before),
        }
    }
}

/// Where a tag's rows lie in a file, as far as the footer tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// It has none.
    Absent,
    /// It has so many, from the first to the last of these source times, µs.
    Within { rows: u32, ts: (i64, i64) },
    /// Only reading would tell (format 1).
    Unknown,
}

/// Where a tag's rows lie in a file. A footer that is in memory is enough.
pub(crate) fn presence(path: &Path, info: &FileInfo, footers: &Footers, tag: u32) -> Result<Presence, SegmentError> {
    let footer = match footers.known(path) {
        Some(footer) => footer,
        None => footers.get(path, info, &File::open(path).map_err(|error| SegmentError::io(path, error))?)?,
    };
    Ok(match footer {
        Footer::Current(footer) => {
            let within = |entry: directory::Entry| Presence::Within { rows: entry.rows, ts: entry.ts };
            footer.entry(tag).map_or(Presence::Absent, within)
        }
        Footer::First(_) | Footer::Rollups(_) => Presence::Unknown,
    })
}

/// What a file holds of a tag.
pub(crate) struct TagRows {
    pub tag: u32,
    pub rows: u64,
    /// First and last source time, µs, both inclusive.
    pub ts: (i64, i64),
}

/// What a file holds of each tag, ascending by tag. A file of format 1 says only which tags it has: its rows are taken to be
/// theirs alike, and its times those of all.
pub(crate) fn rows_of_tags(path: &Path, info: &FileInfo, footers: &Footers) -> Result<Vec<TagRows>, SegmentError> {
    let footer = match footers.known(path) {
        Some(footer) => footer,
        None => footers.get(path, info, &File::open(path).map_err(|error| SegmentError::io(path, error))?)?,
    };
    if let Footer::Current(footer) = footer {
        return Ok(footer
            .directory
            .iter()
            .map(|entry| TagRows { tag: entry.tag, rows: u64::from(entry.rows), ts: entry.ts })
            .collect());
    }
    let tags = Reader::open(path, info, footers)?.tags()?;
    let rows = info.rows / (tags.len() as u64).max(1);
    Ok(tags.into_iter().map(|tag| TagRows { tag, rows, ts: info.ts }).collect())
}

/// Of which time rows are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Window {
    /// Of any.
    All,
    /// `from <= ts < to`, µs.
    Times { from: i64, to: i64 },
}

impl Window {
    /// Whether rows from the first to the last of these times, both inclusive, may be wanted.
    pub(crate) const fn touches(self, (first, last): (i64, i64)) -> bool {
        match self {
            Self::All => true,
            Self::Times { from, to } => first < to && last >= from,
        }
    }
}

/// Whether the file is byte for byte what was written.
pub(crate) fn verify(path: &Path, info: &FileInfo) -> Result<(), SegmentError> {
    let file = File::open(path).map_err(|error| SegmentError::io(path, error))?;
    let bytes = file.metadata().map_err(|error| SegmentError::io(path, error))?.len();
    if bytes != info.bytes {
        return Err(SegmentError::damaged(path, format!("it has {bytes} bytes instead of {}", info.bytes)));
    }
    (0..info.pieces.len()).try_for_each(|piece| footer::check_piece(path, info, &file, piece))
}

/// What is wrong with a file, in words, each damaged row group by itself; empty if it is byte for byte what was written. Reads all of it.
pub(crate) fn flaws(path: &Path, info: &FileInfo) -> Vec<String> {
    let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
    let (meta, file) = match opened {
        Ok(opened) => opened,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return vec!["it is missing".to_owned()],
        Err(error) => return vec![format!("it cannot be read: {error}")],
    };
    if meta.len() != info.bytes {
        return vec![wrong_length(&meta, info.bytes)];
    }
    let groups = info.pieces.len().saturating_sub(1);
    let mut start = 0;
    let mut flaws = Vec::new();
    for (at, piece) in info.pieces.iter().enumerate() {
        let which = if at < groups { format!("row group {} of {groups}", at + 1) } else { "its footer".to_owned() };
        let place = format!("{which} (bytes {start} to {})", piece.end);
        match footer::check_piece(path, info, &file, at) {
            Ok(()) => {}
            Err(SegmentError::Io { source, .. }) => flaws.push(format!("{place} cannot be read: {source}")),
            Err(_) => flaws.push(format!("{place} does not fit its checksum")),
        }
        start = piece.end;
    }
    flaws
}
