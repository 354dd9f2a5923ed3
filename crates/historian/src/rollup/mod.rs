//! Roll-ups of minutes and hours beside each history file, so that a month by hour does not read every point.
//!
//! `<history file>.rollup` is made together with its history file and from the same rows; it holds nothing that could not
//! be calculated again, and a damaged one is only slow. A tag has roll-ups where they are worth it: at least
//! [`WORTH`] points in each on average. Only numbers have roll-ups.
//!
//! ```text
//! "ANDROLL2"
//! chunks     of each tag, minutes then hours, at most 1,440 in each: 1 byte codec (0 as is, 1 zstd) · varint length ·
//!            bytes: varint count, then for each: varint difference of its number from the one before (the first: zigzag,
//!            from 0) and a roll-up (`aggregate::codec`). Number 0 is the minute or hour that begins 1970-01-01 00:00 UTC
//! index      varint count, then for each tag: varint difference of the tag's number · for minutes and for hours: varint
//!            number of chunks, and for each: varint length · number of its first roll-up (zigzag, difference from that of
//!            the chunk before, the first from 0) · CRC-32C, 4 bytes
//! ```
//! Where the index begins, its checksum and its format stand in the manifest. Format 1 has at most one chunk of each kind, and
//! says in the index only its length, 0 for none, and its checksum.

use crate::aggregate::Rollup;
use crate::block::Block;
use crate::disk::Disk;
use andon_model::Value;
use andon_model::column::{Quality, Values};
use andon_model::varint::{put, take, unzigzag, zigzag};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"ANDROLL2";
/// The format that is written.
const FORMAT: u32 = 2;
/// A tag gets roll-ups of a kind if each sums up so many points on average.
const WORTH: u64 = 30;
/// No chunk is larger; one that claims to be is damaged. A day of minutes takes a tenth of it.
const CHUNK_MAX: usize = 4 << 20;
/// The most roll-ups in a chunk: a day of minutes, and more hours than a month has.
const CHUNK_ROLLUPS: u64 = 1_440;

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

// ---------------------------------------------------------------- writing

/// Makes a roll-up file while its history file is written. The file is begun with the first chunk.
pub(crate) struct RollupWriter {
    disk: Disk,
    path: PathBuf,
    file: Option<BufWriter<File>>,
    bytes: u64,
    index: RollupIndex,
    open: Option<OpenTag>,
    status: Vec<u32>,
    numbers: Vec<f64>,
}

/// The tag whose rows come now.
struct OpenTag {
    tag: u32,
    rows: u64,
    numeric: bool,
    minute: (i64, Rollup),
    hour: (i64, Rollup),
    minutes: Gathered,
    hours: Gathered,
}

/// Finished roll-ups of one kind, as bytes.
#[derive(Default)]
struct Gathered {
    /// In all chunks.
    count: u64,
    last: i64,
    chunks: Vec<GatheredChunk>,
}

struct GatheredChunk {
    first: i64,
    count: u64,
    bytes: Vec<u8>,
}

impl Gathered {
    fn add(&mut self, level: Level, number: i64, rollup: &Rollup) {
        let chunk = match self.chunks.last_mut() {
            Some(chunk) if chunk.count < CHUNK_ROLLUPS => {
                put(&mut chunk.bytes, number.wrapping_sub(self.last).cast_unsigned());
                chunk
            }
            _ => {
                let mut bytes = Vec::new();
                put(&mut bytes, zigzag(number));
                self.chunks.push(GatheredChunk { first: number, count: 0, bytes });
                let Some(chunk) = self.chunks.last_mut() else { return };
                chunk
            }
        };
        rollup.encode(number.wrapping_mul(level.span()), &mut chunk.bytes);
        chunk.count += 1;
        self.count += 1;
        self.last = number;
    }
}

impl RollupWriter {
    /// For the roll-up file `path`.
    pub(crate) fn new(disk: &Disk, path: PathBuf) -> Self {
        Self {
            disk: disk.clone(),
            path,
            file: None,
            bytes: 0,
            index: RollupIndex::default(),
            open: None,
            status: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Takes the same rows as the history file, in the same order.
    pub(crate) fn push(&mut self, tag: u32, block: &Block, rows: Range<usize>) -> io::Result<()> {
        if self.open.as_ref().is_none_or(|open| open.tag != tag) {
            self.end_tag()?;
            self.open = Some(OpenTag {
                tag,
                rows: 0,
                numeric: true,
                minute: (0, Rollup::default()),
                hour: (0, Rollup::default()),
                minutes: Gathered::default(),
                hours: Gathered::default(),
            });
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        open.rows += rows.len() as u64;
        if !open.numeric || !as_numbers(&block.values, rows.clone(), &mut self.numbers) {
            open.numeric = false;
            return Ok(());
        }
        self.status.clear();
        match &block.quality {
            Quality::Same(code) => self.status.resize(rows.len(), *code),
            Quality::Each(codes) => self.status.extend_from_slice(codes.get(rows.clone()).unwrap_or_default()),
        }
        let numbers = match &block.values {
            Values::Double(values) => values.get(rows.clone()).unwrap_or_default(),
            _ => &self.numbers,
        };
        open.push(block.ts.get(rows).unwrap_or_default(), numbers, &self.status);
        Ok(())
    }

    /// The complete file, not yet synced; `None` if no tag is worth one.
    pub(crate) fn finish(mut self) -> io::Result<Option<(File, RollupInfo)>> {
        self.end_tag()?;
        let Some(mut file) = self.file else { return Ok(None) };
        let index = self.index.encode();
        file.write_all(&index)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let info = RollupInfo {
            bytes: self.bytes + index.len() as u64,
            index: self.bytes,
            crc32c: crc32c::crc32c(&index),
            format: FORMAT,
        };
        Ok(Some((file, info)))
    }

    fn end_tag(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.end_minute();
        open.end_hour();
        let mut counts = [0_u32; 2];
        for (count, gathered) in counts.iter_mut().zip([&open.minutes, &open.hours]) {
            let worth = open.numeric && gathered.count > 0 && open.rows / gathered.count >= WORTH;
            if !worth || gathered.chunks.iter().any(|chunk| chunk.bytes.len() > CHUNK_MAX - 10) {
                continue;
            }
            for chunk in &gathered.chunks {
                let written = self.write_chunk(chunk)?;
                self.index.chunks.push(written);
                *count += 1;
            }
        }
        self.index.add(open.tag, counts);
        Ok(())
    }

    fn write_chunk(&mut self, gathered: &GatheredChunk) -> io::Result<Chunk> {
        let mut whole = Vec::with_capacity(gathered.bytes.len() + 10);
        put(&mut whole, gathered.count);
        whole.extend_from_slice(&gathered.bytes);
        let packed = zstd::bulk::compress(&whole, 1)?;
        let mut bytes = Vec::with_capacity(packed.len().min(whole.len()) + 6);
        let (codec, body) = if packed.len() < whole.len() { (1, &packed) } else { (0, &whole) };
        bytes.push(codec);
        put(&mut bytes, whole.len() as u64);
        bytes.extend_from_slice(body);
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = BufWriter::with_capacity(256 * 1024, self.disk.create(&self.path)?);
                file.write_all(MAGIC)?;
                self.bytes = MAGIC.len() as u64;
                self.file.insert(file)
            }
        };
        file.write_all(&bytes)?;
        let offset = self.bytes;
        self.bytes += bytes.len() as u64;
        Ok(Chunk { first: gathered.first, offset, length: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes) })
    }
}

impl OpenTag {
    fn push(&mut self, ts: &[i64], numbers: &[f64], status: &[u32]) {
        let mut at = 0;
        while let Some(first) = ts.get(at) {
            let number = Level::Minute.number(*first);
            let end = number.saturating_add(1).saturating_mul(Level::Minute.span());
            let rest = ts.get(at..).unwrap_or_default();
            let stop = at + rest.partition_point(|ts| *ts < end).max(1);
            if self.minute.0 != number {
                self.end_minute();
                self.minute.0 = number;
            }
            let pushed =
                (|| self.minute.1.push_columns(ts.get(at..stop)?, numbers.get(at..stop)?, status.get(at..stop)?).ok())(
                );
            // Rows that are not in order would be our bug; roll-ups are then left out, the rows are kept.
            self.numeric &= pushed.is_some();
            at = stop;
        }
    }

    fn end_minute(&mut self) {
        let (number, rollup) = std::mem::take(&mut self.minute);
        if rollup.ends().is_none() {
            return;
        }
        let hour = number.div_euclid(60);
        if self.hour.0 != hour {
            self.end_hour();
            self.hour.0 = hour;
        }
        match self.hour.1.merge(&rollup) {
            Ok(merged) => self.hour.1 = merged,
            Err(_) => self.numeric = false,
        }
        self.minutes.add(Level::Minute, number, &rollup);
    }

    fn end_hour(&mut self) {
        let (number, rollup) = std::mem::take(&mut self.hour);
        if rollup.ends().is_some() {
            self.hours.add(Level::Hour, number, &rollup);
        }
    }
}

/// Puts numbers that are not doubles into `out`; `false` when there is text among them.
#[expect(clippy::cast_precision_loss, reason = "as everywhere that whole numbers are averaged")]
pub(crate) fn as_numbers(values: &Values, rows: Range<usize>, out: &mut Vec<f64>) -> bool {
    out.clear();
    match values {
        Values::Double(_) => true,
        Values::Int(values) => {
            out.extend(values.get(rows).unwrap_or_default().iter().map(|value| *value as f64));
            true
        }
        Values::Mixed(values) => {
            let values = values.get(rows).unwrap_or_default();
            out.extend(values.iter().map(|value| value.as_f64().unwrap_or(f64::NAN)));
            !values.iter().any(|value| matches!(value, Value::String(_)))
        }
    }
}

// ---------------------------------------------------------------- the index

#[derive(Clone, Copy, Debug, PartialEq)]
struct Chunk {
    /// The number of its first roll-up.
    first: i64,
    offset: u64,
    length: u64,
    crc32c: u32,
}

/// A tag's chunks, as positions in the list of all.
#[derive(Clone, Debug, PartialEq)]
struct IndexEntry {
    tag: u32,
    minutes: Range<u32>,
    hours: Range<u32>,
}

/// Where each tag's roll-ups are in a file.
#[derive(Default, Debug, PartialEq)]
pub(crate) struct RollupIndex {
    /// Ascending by tag.
    tags: Vec<IndexEntry>,
    /// In the order of the file.
    chunks: Vec<Chunk>,
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl RollupIndex {
    /// The last chunks are a tag's: so many of minutes and so many of hours.
    fn add(&mut self, tag: u32, [minutes, hours]: [u32; 2]) {
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

    fn encode(&self) -> Vec<u8> {
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
        let mut index = Self { tags: Vec::with_capacity(count), chunks: Vec::with_capacity(count) };
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
            unpacked.push_back(unpacker.unpack(packed).ok_or_else(|| damaged("a chunk cannot be unpacked"))?);
        }
        Ok(Some(Rollups { level, numbers, chunks: unpacked, at: 0, left: None, number: 0 }))
    }
}

/// Keeps what unpacking needs from one chunk to the next.
#[derive(Default)]
pub(crate) struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

impl Unpacker {
    /// A chunk as it was before it was compressed.
    fn unpack(&mut self, bytes: &[u8]) -> Option<Vec<u8>> {
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
