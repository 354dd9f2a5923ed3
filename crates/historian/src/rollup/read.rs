//! Reading roll-ups, one after the other.

use super::{CHUNK_MAX, Level, damaged};
use crate::aggregate::Rollup;
use andon_model::varint::{take, unzigzag};
use std::collections::VecDeque;
use std::io;
use std::ops::Range;

/// Keeps what unpacking needs from one chunk to the next.
#[derive(Default)]
pub(crate) struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

impl Unpacker {
    /// A chunk as it was before it was compressed.
    pub(super) fn unpack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
        let (codec, mut rest) = bytes.split_first()?;
        let length = usize::try_from(take(&mut rest).ok()?).ok().filter(|length| *length <= CHUNK_MAX)?;
        match codec {
            0 => Some(rest.to_vec()),
            1 => {
                let inner = match &mut self.0 {
                    Some(inner) => inner,
                    none => none.insert(zstd::bulk::Decompressor::new().ok()?),
                };
                inner.decompress(rest, length).ok()
            }
            _ => None,
        }
        .filter(|unpacked| unpacked.len() == length)
    }
}

/// Roll-ups that were read and checked, decoded one after the other: a roll-up is large in memory and small in its file.
pub(crate) struct Rollups {
    level: Level,
    numbers: Range<i64>,
    chunks: VecDeque<Vec<u8>>,
    /// In the first chunk: where the next roll-up begins, how many there still are, and the number of the one before.
    at: usize,
    left: Option<u64>,
    number: i64,
}

impl Rollups {
    /// Those of the unpacked chunks whose number lies in `numbers`.
    pub(super) fn new(level: Level, numbers: Range<i64>, chunks: VecDeque<Vec<u8>>) -> Self {
        Self { level, numbers, chunks, at: 0, left: None, number: 0 }
    }

    /// The next one, put into `rollup`; `false` after the last. An error says that the bytes are none of ours, though their
    /// checksum fits.
    pub(crate) fn next(&mut self, rollup: &mut Rollup) -> io::Result<bool> {
        let cannot = || damaged("a chunk cannot be read");
        loop {
            let Some(chunk) = self.chunks.front() else { return Ok(false) };
            let mut rest = chunk.get(self.at..).unwrap_or_default();
            if self.left == Some(0) && rest.is_empty() {
                self.chunks.pop_front();
                (self.at, self.left) = (0, None);
                continue;
            }
            let left = self.left.map_or_else(|| take(&mut rest).ok(), Some);
            let left = left.and_then(|left| left.checked_sub(1)).ok_or_else(cannot)?;
            let step = take(&mut rest).map_err(|_| cannot())?;
            let number =
                if self.left.is_none() { unzigzag(step) } else { self.number.wrapping_add(step.cast_signed()) };
            rollup.decode(number.wrapping_mul(self.level.span()), &mut rest).ok_or_else(cannot)?;
            self.at = chunk.len() - rest.len();
            (self.left, self.number) = (Some(left), number);
            if self.numbers.contains(&number) {
                return Ok(true);
            }
        }
    }
}
