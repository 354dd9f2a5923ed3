//! One segment file: what is known of it, and a window to read it through.

use crate::disk::{DiskFile, read_full_at};
use crate::frame::{FRAME_HEADER, FrameHeader, SEGMENT_HEADER, Seed};
use crate::lock;
use andon_model::Timestamp;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// A place of every so many bytes is remembered.
const INDEX_STEP: u64 = 64 << 10;
/// How much is read at once.
pub(crate) const WINDOW_BYTES: usize = 256 << 10;
/// An unreadable part is narrowed down to blocks of this size.
const BLOCK_BYTES: usize = 4096;

/// The path of the segment whose first frame is `first_seq`.
pub(crate) fn segment_path(dir: &Path, first_seq: u64) -> PathBuf {
    dir.join(format!("{first_seq:020}.seg"))
}

/// The first number a segment's file name tells; `None` for other names.
pub(crate) fn first_seq_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".seg")?;
    (digits.len() == 20 && digits.bytes().all(|b| b.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// A stretch of numbers that cannot be read, and where to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Damage {
    pub to: u64,
    pub next_offset: u64,
}

#[derive(Debug, Default)]
struct Index {
    /// Numbers and their offsets, both ascending.
    places: Vec<(u64, u64)>,
    /// By first number.
    damage: BTreeMap<u64, Damage>,
}

/// What is known of a segment.
#[derive(Debug)]
pub(crate) struct Segment {
    pub first: u64,
    pub path: PathBuf,
    /// The file's length in bytes.
    pub size: u64,
    /// When it was begun.
    pub created: Timestamp,
    pub seed: Seed,
    /// Where its frames end, as far as known; the file's length at most.
    end: AtomicU64,
    index: Mutex<Index>,
}

impl Segment {
    pub(crate) fn new(first: u64, path: PathBuf, size: u64, created: Timestamp, seed: Seed, end: u64) -> Self {
        Self { first, path, size, created, seed, end: AtomicU64::new(end), index: Mutex::default() }
    }

    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    pub(crate) fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Remembers where a frame stands, if that is news worth keeping.
    pub(crate) fn note_place(&self, seq: u64, offset: u64) {
        let mut index = lock(&self.index);
        let (last_seq, last_offset) = index.places.last().copied().unwrap_or((self.first, SEGMENT_HEADER as u64));
        if seq > last_seq && offset >= last_offset.saturating_add(INDEX_STEP) {
            index.places.push((seq, offset));
        }
    }

    /// The nearest known place at or before `seq`.
    pub(crate) fn seek(&self, seq: u64) -> (u64, u64) {
        let index = lock(&self.index);
        let after = index.places.partition_point(|(place, _)| *place <= seq);
        let found = after.checked_sub(1).and_then(|at| index.places.get(at)).copied();
        found.unwrap_or((self.first, SEGMENT_HEADER as u64))
    }

    /// Remembers damage; `true` when it was not known.
    pub(crate) fn note_damage(&self, from: u64, damage: Damage) -> bool {
        lock(&self.index).damage.insert(from, damage).is_none()
    }

    /// Known damage that begins with `seq`.
    pub(crate) fn damage_at(&self, seq: u64) -> Option<Damage> {
        lock(&self.index).damage.get(&seq).copied()
    }

    /// How many damaged stretches are known.
    pub(crate) fn damage_count(&self) -> usize {
        lock(&self.index).damage.len()
    }
}

/// What stands at a place of a segment.
#[derive(Debug)]
pub(crate) enum Found {
    Frame(FrameHeader, Bytes),
    /// The header's checksum holds, the payload's does not.
    BadPayload(FrameHeader),
    Nothing,
}

/// Reads a file through a window, never past `limit`.
pub(crate) struct Window<'a> {
    file: &'a dyn DiskFile,
    seed: Seed,
    limit: u64,
    base: u64,
    bytes: Bytes,
}

impl<'a> Window<'a> {
    pub(crate) const fn new(file: &'a dyn DiskFile, seed: Seed, limit: u64) -> Self {
        Self { file, seed, limit, base: 0, bytes: Bytes::new() }
    }

    /// The bytes from `offset` on: `wanted`, or fewer at the limit.
    pub(crate) fn at(&mut self, offset: u64, wanted: usize) -> io::Result<Bytes> {
        let room = self.limit.saturating_sub(offset);
        let wanted = wanted.min(usize::try_from(room).unwrap_or(usize::MAX));
        if let Some(bytes) = self.inside(offset, wanted) {
            return Ok(bytes);
        }
        let length = wanted.max(WINDOW_BYTES).min(usize::try_from(room).unwrap_or(usize::MAX));
        self.bytes = Bytes::from(read_around(self.file, offset, length)?);
        self.base = offset;
        Ok(self.bytes.slice(..wanted.min(self.bytes.len())))
    }

    fn inside(&self, offset: u64, wanted: usize) -> Option<Bytes> {
        let start = usize::try_from(offset.checked_sub(self.base)?).ok()?;
        let end = start.checked_add(wanted)?;
        (end <= self.bytes.len()).then(|| self.bytes.slice(start..end))
    }

    /// Looks at one place.
    pub(crate) fn frame_at(&mut self, offset: u64) -> io::Result<Found> {
        let head = self.at(offset, FRAME_HEADER)?;
        let Some(header) = FrameHeader::check(&head, self.seed, offset, self.limit) else { return Ok(Found::Nothing) };
        // The checksum vouches for the length, and the frame ends within the file: memory is bounded by both.
        let payload = self.at(offset + FRAME_HEADER as u64, header.length - FRAME_HEADER)?;
        Ok(if header.holds(&payload) { Found::Frame(header, payload) } else { Found::BadPayload(header) })
    }

    /// The next frame header from `offset` on whose checksum holds and that `wanted` takes.
    pub(crate) fn search(
        &mut self,
        offset: u64,
        wanted: impl Fn(&FrameHeader) -> bool,
    ) -> io::Result<Option<(FrameHeader, u64)>> {
        let mut base = offset;
        while base < self.limit {
            let bytes = self.at(base, WINDOW_BYTES)?;
            let places = (bytes.len() + 1).saturating_sub(FRAME_HEADER);
            if places == 0 {
                break;
            }
            for at in 0..places {
                let Some(rest) = bytes.get(at..).filter(|rest| rest.first_chunk() != Some(&[0_u8; 4])) else {
                    continue;
                };
                let place = base + at as u64;
                if let Some(header) = FrameHeader::check(rest, self.seed, place, self.limit).filter(|h| wanted(h)) {
                    return Ok(Some((header, place)));
                }
            }
            base += places as u64;
        }
        Ok(None)
    }
}

/// Reads `length` bytes; where the disk cannot read, the block counts as zeros (its checksum will fail), and the rest is
/// read. An error only when no block can be read.
fn read_around(file: &dyn DiskFile, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let error = match read_full_at(file, &mut bytes, offset) {
        Ok(read) => {
            bytes.truncate(read);
            return Ok(bytes);
        }
        Err(error) => error,
    };
    let mut readable = false;
    let mut end = 0;
    for (number, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
        let start = number * BLOCK_BYTES;
        match read_full_at(file, block, offset.saturating_add(start as u64)) {
            Ok(read) => {
                readable = true;
                end = start + read;
                if read < block.len() {
                    break;
                }
            }
            Err(_) => {
                block.fill(0);
                end = start + block.len();
            }
        }
    }
    bytes.truncate(end);
    if readable { Ok(bytes) } else { Err(error) }
}
