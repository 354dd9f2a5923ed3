//! Roll-ups of minutes and hours beside each history file, so that a month by hour does not read every point.
//!
//! `<history file>.rollup` is made together with its history file and from the same rows; it holds nothing that could not
//! be calculated again, and a damaged one is only slow. A tag has roll-ups where they are worth it: at least
//! [`WORTH`] points in each on average. Only numbers have roll-ups.
//!
//! ```text
//! "ANDROLL1"
//! chunks     of each tag, minutes then hours: 1 byte codec (0 as is, 1 zstd) · varint length · bytes:
//!            varint count, then for each: varint difference of its number from the one before (the first: zigzag,
//!            from 0) and a roll-up (`aggregate::codec`). Number 0 is the minute or hour that begins 1970-01-01 00:00 UTC
//! index      varint count, then for each tag: varint difference of the tag's number · for minutes and for hours: varint
//!            length of the chunk, 0 for none, and if there is one its CRC-32C, 4 bytes
//! ```
//! Where the index begins, and its checksum, stand in the manifest.

use crate::aggregate::Rollup;
use crate::block::Block;
use crate::disk::Disk;
use andon_model::Value;
use andon_model::column::{Quality, Values};
use andon_model::varint::{put, take, unzigzag, zigzag};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"ANDROLL1";
/// A tag gets roll-ups of a kind if each sums up so many points on average.
const WORTH: u64 = 30;
/// No chunk is larger; one that claims to be is damaged. A day of minutes takes a tenth of it.
const CHUNK_MAX: usize = 4 << 20;

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
    entries: Vec<IndexEntry>,
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
    count: u64,
    last: i64,
    bytes: Vec<u8>,
}

impl Gathered {
    fn add(&mut self, level: Level, number: i64, rollup: &Rollup) {
        if self.count == 0 {
            put(&mut self.bytes, zigzag(number));
        } else {
            put(&mut self.bytes, number.wrapping_sub(self.last).cast_unsigned());
        }
        rollup.encode(number.wrapping_mul(level.span()), &mut self.bytes);
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
            entries: Vec::new(),
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
        let index = encode_index(&self.entries);
        file.write_all(&index)?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        let info =
            RollupInfo { bytes: self.bytes + index.len() as u64, index: self.bytes, crc32c: crc32c::crc32c(&index) };
        Ok(Some((file, info)))
    }

    fn end_tag(&mut self) -> io::Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        open.end_minute();
        open.end_hour();
        let mut chunks = [Chunk::default(); 2];
        for (chunk, gathered) in chunks.iter_mut().zip([&open.minutes, &open.hours]) {
            if open.numeric && gathered.count > 0 && open.rows / gathered.count >= WORTH {
                *chunk = self.write_chunk(gathered)?;
            }
        }
        if chunks.iter().any(|chunk| chunk.length > 0) {
            self.entries.push(IndexEntry { tag: open.tag, chunks });
        }
        Ok(())
    }

    fn write_chunk(&mut self, gathered: &Gathered) -> io::Result<Chunk> {
        let mut whole = Vec::with_capacity(gathered.bytes.len() + 10);
        put(&mut whole, gathered.count);
        whole.extend_from_slice(&gathered.bytes);
        if whole.len() > CHUNK_MAX {
            return Ok(Chunk::default());
        }
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
        Ok(Chunk { offset, length: bytes.len() as u64, crc32c: crc32c::crc32c(&bytes) })
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

#[derive(Clone, Copy, Default, Debug, PartialEq)]
struct Chunk {
    offset: u64,
    length: u64,
    crc32c: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct IndexEntry {
    tag: u32,
    chunks: [Chunk; 2],
}

/// Where each tag's roll-ups are in a file.
pub(crate) struct RollupIndex(Vec<IndexEntry>);

fn encode_index(entries: &[IndexEntry]) -> Vec<u8> {
    let mut out = Vec::with_capacity(entries.len() * 16 + 4);
    put(&mut out, entries.len() as u64);
    let mut tag = 0;
    for entry in entries {
        put(&mut out, u64::from(entry.tag.wrapping_sub(tag)));
        tag = entry.tag;
        for chunk in entry.chunks {
            put(&mut out, chunk.length);
            if chunk.length > 0 {
                out.extend_from_slice(&chunk.crc32c.to_le_bytes());
            }
        }
    }
    out
}

fn decode_index(bytes: &[u8]) -> Option<Vec<IndexEntry>> {
    let mut rest = bytes;
    let count = usize::try_from(take(&mut rest).ok()?).ok().filter(|count| *count <= rest.len() / 3 + 1)?;
    let mut entries = Vec::with_capacity(count);
    let (mut tag, mut offset) = (0_u32, MAGIC.len() as u64);
    for _ in 0..count {
        tag = tag.checked_add(u32::try_from(take(&mut rest).ok()?).ok()?)?;
        let mut chunks = [Chunk::default(); 2];
        for chunk in &mut chunks {
            let length = take(&mut rest).ok()?;
            if length > 0 {
                let (crc, after) = rest.split_first_chunk()?;
                rest = after;
                *chunk = Chunk { offset, length, crc32c: u32::from_le_bytes(*crc) };
                offset = offset.checked_add(length)?;
            }
        }
        entries.push(IndexEntry { tag, chunks });
    }
    rest.is_empty().then_some(entries)
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

impl RollupIndex {
    /// Reads and checks it.
    pub(crate) fn load(file: &File, info: &RollupInfo) -> io::Result<Self> {
        let length = info.bytes.checked_sub(info.index).and_then(|length| usize::try_from(length).ok());
        let mut bytes = vec![0; length.filter(|length| *length <= 1 << 30).ok_or_else(|| damaged("no index"))?];
        file.read_exact_at(&mut bytes, info.index)?;
        if crc32c::crc32c(&bytes) != info.crc32c {
            return Err(damaged("the index does not fit its checksum"));
        }
        decode_index(&bytes).map(Self).ok_or_else(|| damaged("the index cannot be read"))
    }

    pub(crate) fn memory_size(&self) -> usize {
        self.0.len() * size_of::<IndexEntry>()
    }

    /// A tag's roll-ups of one kind: the number of the minute or hour, and the roll-up. `None` where there are none.
    pub(crate) fn read(
        &self,
        file: &File,
        tag: u32,
        level: Level,
        unpacker: &mut Unpacker,
    ) -> io::Result<Option<Vec<(i64, Rollup)>>> {
        let Ok(at) = self.0.binary_search_by_key(&tag, |entry| entry.tag) else { return Ok(None) };
        let chunks = self.0.get(at).map_or([Chunk::default(); 2], |entry| entry.chunks);
        let [minutes, hours] = chunks;
        let chunk = if level == Level::Minute { minutes } else { hours };
        if chunk.length == 0 {
            return Ok(None);
        }
        let length = usize::try_from(chunk.length).ok().filter(|length| *length <= CHUNK_MAX + 16);
        let mut bytes = vec![0; length.ok_or_else(|| damaged("a chunk is too long"))?];
        file.read_exact_at(&mut bytes, chunk.offset)?;
        if crc32c::crc32c(&bytes) != chunk.crc32c {
            return Err(damaged("a chunk does not fit its checksum"));
        }
        decode_chunk(&bytes, level, unpacker).map(Some).ok_or_else(|| damaged("a chunk cannot be read"))
    }
}

/// Keeps what unpacking needs from one chunk to the next.
#[derive(Default)]
pub(crate) struct Unpacker(Option<zstd::bulk::Decompressor<'static>>);

impl Unpacker {
    fn unpack(&mut self, bytes: &[u8], length: usize) -> Option<Vec<u8>> {
        let inner = match &mut self.0 {
            Some(inner) => inner,
            none => none.insert(zstd::bulk::Decompressor::new().ok()?),
        };
        inner.decompress(bytes, length).ok().filter(|unpacked| unpacked.len() == length)
    }
}

fn decode_chunk(bytes: &[u8], level: Level, unpacker: &mut Unpacker) -> Option<Vec<(i64, Rollup)>> {
    let (codec, mut rest) = bytes.split_first()?;
    let length = usize::try_from(take(&mut rest).ok()?).ok().filter(|length| *length <= CHUNK_MAX)?;
    let unpacked;
    let mut rest = match codec {
        0 => rest,
        1 => {
            unpacked = unpacker.unpack(rest, length)?;
            unpacked.as_slice()
        }
        _ => return None,
    };
    let count = usize::try_from(take(&mut rest).ok()?).ok().filter(|count| *count <= rest.len())?;
    // A day has 1,440 minutes; whatever else is claimed costs nothing before it is there.
    let mut rollups = Vec::with_capacity(count.min(1_440));
    let mut number = 0_i64;
    for at in 0..count {
        let step = take(&mut rest).ok()?;
        number = if at == 0 { unzigzag(step) } else { number.wrapping_add(step.cast_signed()) };
        rollups.push((number, Rollup::decode(number.wrapping_mul(level.span()), &mut rest)?));
    }
    rest.is_empty().then_some(rollups)
}
