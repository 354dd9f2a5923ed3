//! Making a roll-up file while its history file is written.

use super::index::{Chunk, RollupIndex};
use super::{CHUNK_MAX, CHUNK_ROLLUPS, FORMAT, Level, MAGIC, RollupInfo, WORTH};
use crate::aggregate::Rollup;
use crate::block::Block;
use crate::disk::Disk;
use andon_model::Value;
use andon_model::column::{Quality, Values};
use andon_model::varint::{put, zigzag};
use std::fs::File;
use std::io::{self, BufWriter, Write as _};
use std::ops::Range;
use std::path::PathBuf;

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
