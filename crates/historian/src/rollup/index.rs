//! Which tags have roll-ups in a file, and where.

use super::read::{self, Rollups, Unpacker};
use super::{CHUNK_MAX, FORMAT, Level, MAGIC, RollupInfo, damaged};
use andon_model::varint::{put, take, unzigzag, zigzag};
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Chunk {
    /// The number of its first roll-up.
    pub first: i64,
    pub offset: u64,
    pub length: u64,
    pub crc32c: u32,
}

/// A tag's chunks, as positions in the list of all.
#[derive(Clone, Debug, PartialEq)]
struct IndexEntry {
    tag: u32,
    minutes: Range<u32>,
    hours: Range<u32>,
}

/// Where each tag's roll-ups are in a file.
#[derive(Debug, PartialEq)]
pub(crate) struct RollupIndex {
    /// Of the file.
    format: u32,
    /// Ascending by tag.
    tags: Vec<IndexEntry>,
    /// In the order of the file.
    pub(super) chunks: Vec<Chunk>,
}

impl RollupIndex {
    /// Of a file that is being written.
    pub(super) const fn new() -> Self {
        Self { format: FORMAT, tags: Vec::new(), chunks: Vec::new() }
    }

    /// The last chunks are a tag's: so many of minutes and so many of hours.
    pub(super) fn add(&mut self, tag: u32, [minutes, hours]: [u32; 2]) {
        let end = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
        let middle = end.saturating_sub(hours);
        if minutes > 0 || hours > 0 {
            self.tags.push(IndexEntry { tag, minutes: middle.saturating_sub(minutes)..middle, hours: middle..end });
        }
    }

    fn chunks_of(&self, range: &Range<u32>) -> &[Chunk] {
        let at = |position: u32| usize::try_from(position).unwrap_or(usize::MAX);
        self.chunks.get(at(range.start)..at(range.end)).unwrap_or_default()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.tags.len() * 4 + self.chunks.len() * 12 + 4);
        put(&mut out, self.tags.len() as u64);
        let mut tag = 0;
        for entry in &self.tags {
            put(&mut out, u64::from(entry.tag.wrapping_sub(tag)));
            tag = entry.tag;
            for chunks in [&entry.minutes, &entry.hours].map(|range| self.chunks_of(range)) {
                put(&mut out, chunks.len() as u64);
                let mut first = 0_i64;
                for chunk in chunks {
                    put(&mut out, chunk.length);
                    put(&mut out, zigzag(chunk.first.wrapping_sub(first)));
                    out.extend_from_slice(&chunk.crc32c.to_le_bytes());
                    first = chunk.first;
                }
            }
        }
        out
    }

    fn decode(bytes: &[u8], format: u32) -> Option<Self> {
        let mut rest = bytes;
        let count = usize::try_from(take(&mut rest).ok()?).ok().filter(|count| *count <= rest.len() / 3 + 1)?;
        let mut index = Self { format, tags: Vec::with_capacity(count), chunks: Vec::with_capacity(count) };
        let (mut tag, mut offset) = (0_u32, MAGIC.len() as u64);
        for _ in 0..count {
            tag = tag.checked_add(u32::try_from(take(&mut rest).ok()?).ok()?)?;
            let mut counts = [0_u32; 2];
            for count in &mut counts {
                let (chunks, only) = match format {
                    1 => (1, Some(take(&mut rest).ok()?)),
                    _ => (u32::try_from(take(&mut rest).ok()?).ok()?, None),
                };
                let mut first = 0_i64;
                for _ in 0..chunks {
                    let length = only.map_or_else(|| take(&mut rest).ok(), Some)?;
                    if length == 0 {
                        continue;
                    }
                    // In format 1 there is no other chunk to tell it from.
                    first = match format {
                        1 => i64::MIN,
                        _ => first.wrapping_add(unzigzag(take(&mut rest).ok()?)),
                    };
                    let (crc, after) = rest.split_first_chunk()?;
                    rest = after;
                    index.chunks.push(Chunk { first, offset, length, crc32c: u32::from_le_bytes(*crc) });
                    offset = offset.checked_add(length)?;
                    *count += 1;
                }
            }
            index.add(tag, counts);
        }
        rest.is_empty().then_some(index)
    }

    /// Reads and checks it.
    pub(crate) fn load(file: &File, info: &RollupInfo) -> io::Result<Self> {
        if info.format > FORMAT {
            return Err(damaged("a later version of Andon wrote it"));
        }
        let length = info.bytes.checked_sub(info.index).and_then(|length| usize::try_from(length).ok());
        let mut bytes = vec![0; length.filter(|length| *length <= 1 << 30).ok_or_else(|| damaged("no index"))?];
        file.read_exact_at(&mut bytes, info.index)?;
        if crc32c::crc32c(&bytes) != info.crc32c {
            return Err(damaged("the index does not fit its checksum"));
        }
        Self::decode(&bytes, info.format).ok_or_else(|| damaged("the index cannot be read"))
    }

    /// Compares every chunk with its checksum.
    pub(super) fn check(&self, file: &File) -> io::Result<()> {
        let mut bytes = Vec::new();
        for chunk in &self.chunks {
            let length = usize::try_from(chunk.length).ok().filter(|length| *length <= CHUNK_MAX + 16);
            bytes.resize(length.ok_or_else(|| damaged("a chunk is too long"))?, 0);
            file.read_exact_at(&mut bytes, chunk.offset)?;
            if crc32c::crc32c(&bytes) != chunk.crc32c {
                let end = chunk.offset + chunk.length;
                return Err(damaged(&format!("a chunk (bytes {} to {end}) does not fit its checksum", chunk.offset)));
            }
        }
        Ok(())
    }

    /// Whether a tag has roll-ups. One that has too few rows for them has none either.
    pub(crate) fn has(&self, tag: u32) -> bool {
        self.tags.binary_search_by_key(&tag, |entry| entry.tag).is_ok()
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.tags.len() * size_of::<IndexEntry>() + self.chunks.len() * size_of::<Chunk>()
    }

    /// A tag's roll-ups of one kind whose number lies in `numbers`. `None` where there are none of this kind.
    pub(crate) fn read(
        &self,
        file: &File,
        tag: u32,
        level: Level,
        numbers: Range<i64>,
        unpacker: &mut Unpacker,
    ) -> io::Result<Option<Rollups>> {
        let Ok(at) = self.tags.binary_search_by_key(&tag, |entry| entry.tag) else { return Ok(None) };
        let Some(entry) = self.tags.get(at) else { return Ok(None) };
        let chunks = self.chunks_of(if level == Level::Minute { &entry.minutes } else { &entry.hours });
        if chunks.is_empty() {
            return Ok(None);
        }
        let start = chunks.partition_point(|chunk| chunk.first <= numbers.start).saturating_sub(1);
        let end = chunks.partition_point(|chunk| chunk.first < numbers.end).max(start);
        let chunks = chunks.get(start..end).unwrap_or_default();
        // They lie one behind the other.
        let length: u64 = chunks.iter().map(|chunk| chunk.length).sum();
        let most = (CHUNK_MAX + 16).saturating_mul(chunks.len());
        let length = usize::try_from(length).ok().filter(|length| *length <= most);
        let mut bytes = vec![0; length.ok_or_else(|| damaged("a chunk is too long"))?];
        file.read_exact_at(&mut bytes, chunks.first().map_or(0, |chunk| chunk.offset))?;
        let mut rest = bytes.as_slice();
        let mut unpacked = VecDeque::with_capacity(chunks.len());
        for chunk in chunks {
            let (packed, after) = usize::try_from(chunk.length)
                .ok()
                .and_then(|length| rest.split_at_checked(length))
                .ok_or_else(|| damaged("a chunk is cut off"))?;
            rest = after;
            if crc32c::crc32c(packed) != chunk.crc32c {
                return Err(damaged("a chunk does not fit its checksum"));
            }
            let opened = read::Chunk::open(packed, self.format, chunk.first, unpacker);
            unpacked.push_back(opened.ok_or_else(|| damaged("a chunk cannot be unpacked"))?);
        }
        Ok(Some(Rollups::new(level, numbers, unpacked)))
    }
}
