//! Making a roll-up file while its history file is written.

use super::index::{Chunk, RollupIndex};
use super::{FORMAT, Level, MAGIC, RollupInfo, WORTH};
use crate::aggregate::{CHUNK_ROLLUPS, ColumnWriter, Rollup};
use crate::block::Block;
use crate::disk::Disk;
use andon_model::Value;
use andon_model::column::{Quality, Values};
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
    open: OpenTag,
    status: Vec<u32>,
    numbers: Vec<f64>,
}

/// The tag whose rows come now.
#[derive(Default)]
struct OpenTag {
    tag: Option<u32>,
    rows: u64,
    /// Something in it has no roll-ups.
    unfit: bool,
    minute: (i64, Rollup),
    hour: (i64, Rollup),
    minutes: Gathered,
    hours: Gathered,
    packer: Packer,
}

/// Keeps what packing needs from one chunk to the next.
#[derive(Default)]
struct Packer(Option<zstd::bulk::Compressor<'static>>);

impl Packer {
    fn get(&mut self) -> io::Result<&mut zstd::bulk::Compressor<'static>> {
        Ok(match &mut self.0 {
            Some(inner) => inner,
            none => none.insert(zstd::bulk::Compressor::new(1)?),
        })
    }
}

/// Finished roll-ups of one kind, as bytes.
#[derive(Default)]
struct Gathered {
    /// In all chunks.
    count: u64,
    /// The number of the first one in the open chunk.
    first: i64,
    open: ColumnWriter,
    /// Each with the number of its first roll-up.
    full: Vec<(i64, Vec<u8>)>,
}

impl Gathered {
    fn add(&mut self, level: Level, number: i64, rollup: &Rollup, packer: &mut Packer) -> io::Result<()> {
        if self.open.count() >= CHUNK_ROLLUPS {
            self.end_chunk(packer)?;
        }
        if self.open.count() == 0 {
            self.first = number;
        }
        self.open.push(number, number.wrapping_mul(level.span()), rollup);
        self.count += 1;
        Ok(())
    }

    fn end_chunk(&mut self, packer: &mut Packer) -> io::Result<()> {
        if self.open.count() > 0 {
            self.full.push((self.first, self.open.finish(packer.get()?)?));
        }
        Ok(())
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
            index: RollupIndex::new(),
            open: OpenTag::default(),
            status: Vec::new(),
            numbers: Vec::new(),
        }
    }

    /// Takes the same rows as the history file, in the same order.
    pub(crate) fn push(&mut self, tag: u32, block: &Block, rows: Range<usize>) -> io::Result<()> {
        if self.open.tag != Some(tag) {
            self.end_tag()?;
            self.open.tag = Some(tag);
        }
        self.open.rows += rows.len() as u64;
        if self.open.unfit || !as_numbers(&block.values, rows.clone(), &mut self.numbers) {
            self.open.unfit = true;
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
        self.open.push(block.ts.get(rows).unwrap_or_default(), numbers, &self.status)
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
        let Some(tag) = self.open.tag.take() else { return Ok(()) };
        self.open.end_minute()?;
        self.open.end_hour()?;
        let open = &mut self.open;
        let mut counts = [0_u32; 2];
        let mut worth = Vec::new();
        for (count, gathered) in counts.iter_mut().zip([&mut open.minutes, &mut open.hours]) {
            gathered.end_chunk(&mut open.packer)?;
            if !open.unfit && gathered.count > 0 && open.rows / gathered.count >= WORTH {
                *count = u32::try_from(gathered.full.len()).unwrap_or(u32::MAX);
                worth.append(&mut gathered.full);
            }
            gathered.full.clear();
            gathered.count = 0;
        }
        (open.rows, open.unfit) = (0, false);
        for (first, bytes) in worth {
            let written = self.write_chunk(first, &bytes)?;
            self.index.chunks.push(written);
        }
        self.index.add(tag, counts);
        Ok(())
    }

    fn write_chunk(&mut self, first: i64, bytes: &[u8]) -> io::Result<Chunk> {
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let mut file = BufWriter::with_capacity(256 * 1024, self.disk.create(&self.path)?);
                file.write_all(MAGIC)?;
                self.bytes = MAGIC.len() as u64;
                self.file.insert(file)
            }
        };
        file.write_all(bytes)?;
        let offset = self.bytes;
        self.bytes += bytes.len() as u64;
        Ok(Chunk { first, offset, length: bytes.len() as u64, crc32c: crc32c::crc32c(bytes) })
    }
}

impl OpenTag {
    fn push(&mut self, ts: &[i64], numbers: &[f64], status: &[u32]) -> io::Result<()> {
        let mut at = 0;
        while let Some(first) = ts.get(at) {
            let number = Level::Minute.number(*first);
            let end = number.saturating_add(1).saturating_mul(Level::Minute.span());
            let rest = ts.get(at..).unwrap_or_default();
            let stop = at + rest.partition_point(|ts| *ts < end).max(1);
            if self.minute.0 != number {
                self.end_minute()?;
                self.minute.0 = number;
            }
            let pushed =
                (|| self.minute.1.push_columns(ts.get(at..stop)?, numbers.get(at..stop)?, status.get(at..stop)?).ok())(
                );
            // Rows that are not in order would be our bug; roll-ups are then left out, the rows are kept.
            self.unfit |= pushed.is_none();
            at = stop;
        }
        Ok(())
    }

    fn end_minute(&mut self) -> io::Result<()> {
        let (number, rollup) = std::mem::take(&mut self.minute);
        if rollup.ends().is_none() {
            return Ok(());
        }
        let hour = number.div_euclid(60);
        if self.hour.0 != hour {
            self.end_hour()?;
            self.hour.0 = hour;
        }
        match self.hour.1.merge(&rollup) {
            Ok(merged) => self.hour.1 = merged,
            Err(_) => self.unfit = true,
        }
        self.minutes.add(Level::Minute, number, &rollup, &mut self.packer)
    }

    fn end_hour(&mut self) -> io::Result<()> {
        let (number, rollup) = std::mem::take(&mut self.hour);
        if rollup.ends().is_none() {
            return Ok(());
        }
        self.hours.add(Level::Hour, number, &rollup, &mut self.packer)
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
