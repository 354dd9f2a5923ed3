//! Reading roll-ups, one after the other.

use super::{CHUNK_MAX, COLUMNS, Level, damaged};
use crate::aggregate::{ColumnReader, Rollup};
use andon_model::varint::{take, unzigzag};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;

/// Keeps what unpacking needs from one chunk to the next.
#[derive(Default)]
pub(crate) struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

impl Unpacker {
    fn get(&mut self) -> Option<&mut zstd::bulk::Decompressor<'static>> {
        Some(match &mut self.0 {
            Some(inner) => inner,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        })
    }

    /// A chunk's bytes before it was packed, in formats 1 and 2.
    fn unpack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (codec, mut rest) = bytes.split_first()?;
        let length = usize::try_from(take(&mut rest).ok()?).ok().filter(|length| *length <= CHUNK_MAX)?;
        match codec {
            0 => Some(rest.to_vec()),
            1 => self.get()?.decompress(rest, length).ok(),
            _ => None,
        }
        .filter(|unpacked| unpacked.len() == length)
    }
}

/// The roll-ups of a chunk, decoded one after the other: a roll-up is large in memory and small in its file.
pub(super) enum Chunk {
    Columns(Box<ColumnReader>),
    Rows(Rows),
}

/// A chunk of formats 1 and 2.
pub(super) struct Rows {
    bytes: Vec<u8>,
    /// Where the next one begins.
    at: usize,
    /// `None` before the first.
    left: Option<u64>,
    number: i64,
}

impl Chunk {
    /// Of a chunk's bytes, whose checksum fits; `first` is the number of its first roll-up. `None`: they are none of ours.
    pub(super) fn open(bytes: &[u8], format: u32, first: i64, unpacker: &mut Unpacker) -> Option<Self> {
        Some(if format < COLUMNS {
            Self::Rows(Rows { bytes: unpacker.unpack(bytes)?, at: 0, left: None, number: 0 })
        } else {
            Self::Columns(Box::new(ColumnReader::open(bytes, first, unpacker.get()?)?))
        })
    }

    /// Whether all were taken.
    fn is_over(&self) -> bool {
        match self {
            Self::Columns(columns) => columns.left() == 0,
            Self::Rows(rows) => rows.left == Some(0) && rows.at == rows.bytes.len(),
        }
    }

    /// Puts the next one into `rollup` and returns its number.
    fn next(&mut self, level: Level, rollup: &mut Rollup) -> Option<i64> {
        let start = |number: i64| number.wrapping_mul(level.span());
        match self {
            Self::Columns(columns) => columns.next(start, rollup),
            Self::Rows(rows) => rows.next(start, rollup),
        }
    }
}

impl Rows {
    fn next(&mut self, start: impl FnOnce(i64) -> i64, rollup: &mut Rollup) -> Option<i64> {
        let mut rest = self.bytes.get(self.at..)?;
        let left = self.left.map_or_else(|| take(&mut rest).ok(), Some)?.checked_sub(1)?;
        let step = take(&mut rest).ok()?;
        let number = if self.left.is_none() { unzigzag(step) } else { self.number.wrapping_add(step.cast_signed()) };
        rollup.decode_row(start(number), &mut rest)?;
        self.at = self.bytes.len() - rest.len();
        (self.left, self.number) = (Some(left), number);
        Some(number)
    }
}

/// A tag's roll-ups of one kind, read and checked.
pub(crate) struct Rollups {
    level: Level,
    numbers: Range<i64>,
    chunks: VecDeque<Chunk>,
}

impl Rollups {
    /// Those of the chunks whose number lies in `numbers`.
    pub(super) const fn new(level: Level, numbers: Range<i64>, chunks: VecDeque<Chunk>) -> Self {
        Self { level, numbers, chunks }
    }

    /// The next one, put into `rollup`; `false` after the last. An error says that the bytes are none of ours, though their
    /// checksum fits.
    pub(crate) fn next(&mut self, rollup: &mut Rollup) -> io::Result<bool> {
        while let Some(chunk) = self.chunks.front_mut() {
            if chunk.is_over() {
                self.chunks.pop_front();
                continue;
            }
            let number = chunk.next(self.level, rollup).ok_or_else(|| damaged("a chunk cannot be read"))?;
            if self.numbers.contains(&number) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
