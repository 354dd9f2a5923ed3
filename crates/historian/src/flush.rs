//! From the buffer to files, in an order that survives a power cut between any two steps.
//!
//! 1. The buffer is frozen (readers still see it) and a new one takes over.
//! 2. Each [period's](crate::period) rows, usually a day's: temporary file → sync → rename → sync of the folder.
//! 3. The manifest that names the new files: temporary file → sync → rename → sync. *From here on they are history.*
//! 4. In memory the files take the frozen buffer's place.
//! 5. The log is told, and may free its samples.
//! 6. The [open table](crate::delta) is brought up to date.
//!
//! Stopped before 3, the files are removed at the next start and the log replays; after 3, the log replays nothing
//! that the manifest already has.

use crate::block::BLOCK_ROWS;
use crate::buffer::{Buffer, Order};
use crate::delete::Delete;
use crate::delta::NewRows;
use crate::disk::Step;
use crate::historian::{Historian, READER, Segment};
use crate::manifest::{FileInfo, Manifest};
use crate::period::{Period, Periods};
use crate::point::{HistoryGap, day_of};
use crate::rollup::{self, RollupWriter};
use crate::segment::{SegmentError, SegmentWriter};
use andon_model::Timestamp;
use andon_model::log::{Positions, Seq, SnapshotError};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Why files or manifest were not written. Nothing is lost: the samples stay in the log.
#[derive(Debug, thiserror::Error)]
pub enum FlushError {
    /// A history file could not be written or, when merging, read.
    #[error(transparent)]
    Segment(#[from] SegmentError),
    /// The disk refused.
    #[error("could not write {path}")]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The log could not be told how far the files reach; it keeps more than it must until the next flush.
    #[error("could not tell the log how far history reaches")]
    Snapshot(#[from] SnapshotError),
    /// The runtime is shutting down.
    #[error("the historian is stopping")]
    Stopped,
}

/// A buffer on its way to files, with what the manifest will say once it is there.
pub(crate) struct Frozen {
    pub buffer: Buffer,
    from: Seq,
    pub to: Seq,
    complete_to: Option<Timestamp>,
    epoch: u64,
    gaps: Vec<HistoryGap>,
    deletes: Vec<Delete>,
}

/// One period's share of a frozen buffer: per tag, which ranks of its sorted column.
type Plan = Vec<(u32, ops::Range<usize>)>;

impl Historian {
    /// Writes everything applied so far. Blocking; one at a time.
    pub(crate) fn flush_blocking(&self) -> Result<(), FlushError> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // A buffer left frozen by a failed flush goes first, then what came since.
        if self.state().frozen.is_some() {
            self.write_frozen()?;
        }
        if self.freeze() {
            self.write_frozen()?;
        }
        let told = self.tell_log();
        self.publish_table();
        told
    }

    /// Puts a new buffer in place; `false` when there is nothing to write.
    fn freeze(&self) -> bool {
        let mut state = self.state();
        if state.position == state.saved {
            return false;
        }
        state.unsaved_since = None;
        let next = state.active.next();
        let frozen = Frozen {
            buffer: std::mem::replace(&mut state.active, next),
            from: state.saved.next(),
            to: state.position,
            complete_to: state.complete_to,
            epoch: state.epoch,
            gaps: state.gaps.to_vec(),
            deletes: state.deletes.clone(),
        };
        state.frozen = Some(Arc::new(frozen));
        true
    }

    fn write_frozen(&self) -> Result<(), FlushError> {
        let Some(frozen) = self.state().frozen.clone() else { return Ok(()) };
        let orders: BTreeMap<u32, Order<'_>> = frozen
            .buffer
            .tags()
            .into_iter()
            .filter_map(|tag| Some((tag, frozen.buffer.column(tag)?.order())))
            .collect();
        let mut infos = Vec::new();
        // Periods change only while `writing` is held, as it is now.
        let plans = plan_periods(&frozen.buffer, &orders, &self.state().segments);
        let plans = self.share_months(plans, frozen.buffer.bytes());
        for (period, plan) in plans {
            let mut info = self.write_period(&frozen, period, &plan, &orders)?;
            info.collides = self.collides(&info, &NewRows { buffer: &frozen.buffer, orders: &orders, plan: &plan });
            infos.push(info);
        }
        let mut manifest = self.saved_manifest();
        manifest.files.extend(infos.iter().cloned());
        manifest.position = frozen.to;
        manifest.complete_to = frozen.complete_to;
        manifest.epoch = frozen.epoch;
        manifest.gaps.clone_from(&frozen.gaps);
        manifest.deletes.clone_from(&frozen.deletes);
        self.save_manifest(&manifest)?;
        self.put_in_place(&frozen, &infos);
        Ok(())
    }

    /// The days of a month that is settled and has no file yet share one from the beginning, as they would after the next tidying: a
    /// reading on each day of ten years makes 120 files and not 3,650. A single day has the file of its month, too, so that others
    /// find it there. `bytes`: what all of it takes in memory, and
    /// more than it takes in files.
    fn share_months(&self, plans: BTreeMap<Period, Plan>, bytes: usize) -> BTreeMap<Period, Plan> {
        let Some(today) = self.today().filter(|_| bytes as u64 <= self.options.joined_bytes) else { return plans };
        let later = self.rules().joins_after();
        let mut months: BTreeMap<Period, BTreeMap<Period, Plan>> = BTreeMap::new();
        {
            let state = self.state();
            for (period, plan) in plans {
                let month = state.segments.free_month(period.first, today, later).unwrap_or(period);
                months.entry(month).or_default().insert(period, plan);
            }
        }
        months.into_iter().map(|(month, days)| (month, one_plan(days))).collect()
    }

    fn write_period(
        &self,
        frozen: &Frozen,
        period: Period,
        plan: &Plan,
        orders: &BTreeMap<u32, Order<'_>>,
    ) -> Result<FileInfo, FlushError> {
        self.write_segment(FileInfo::empty(period, frozen.from, frozen.to), |writer| {
            for (tag, ranks) in plan {
                let (Some(column), Some(order)) = (frozen.buffer.column(*tag), orders.get(tag)) else { continue };
                let mut rest = ranks.clone();
                while !rest.is_empty() {
                    let now = rest.start..rest.end.min(rest.start + BLOCK_ROWS);
                    rest.start = now.end;
                    let block = column.block(order, now);
                    writer.push(*tag, &block, 0..block.len())?;
                }
            }
            Ok(())
        })
    }

    /// Writes one file, synced under its real name; the manifest does not name it yet.
    pub(crate) fn write_segment(
        &self,
        info: FileInfo,
        fill: impl FnOnce(&mut SegmentWriter) -> Result<(), SegmentError>,
    ) -> Result<FileInfo, FlushError> {
        let folder = info.folder(&self.dir);
        let path = info.path(&self.dir);
        let failed = |source| FlushError::Io { path: path.clone(), source };
        self.disk.create_folder(&folder).map_err(failed)?;
        let file = self.disk.create(&path).map_err(failed)?;
        let written = self.write_files(file, &path, info, fill);
        if written.is_err() {
            // A full disk must not be kept full by what nobody needs.
            self.disk.abandon(&path);
            self.disk.abandon(&rollup::path_of(&path));
        }
        written
    }

    fn write_files(
        &self,
        file: File,
        path: &Path,
        info: FileInfo,
        fill: impl FnOnce(&mut SegmentWriter) -> Result<(), SegmentError>,
    ) -> Result<FileInfo, FlushError> {
        let failed = |source| FlushError::Io { path: path.to_owned(), source };
        let rollups = RollupWriter::new(&self.disk, rollup::path_of(path));
        let mut writer = SegmentWriter::new(file, path, info, rollups)?;
        fill(&mut writer)?;
        let (file, rollups, info) = writer.finish()?;
        if let Some(rollups) = rollups {
            self.disk.seal(rollups, &rollup::path_of(path)).map_err(failed)?;
        }
        self.disk.seal(file, path).map_err(failed)?;
        let rollup_bytes = info.rollup.map_or(0, |rollup| rollup.bytes);
        self.counters.bytes_written.fetch_add(rollup_bytes, Ordering::Relaxed);
        self.counters.bytes_written.fetch_add(info.bytes, Ordering::Relaxed);
        Ok(info)
    }

    /// What the manifest on disk says now.
    pub(crate) fn saved_manifest(&self) -> Manifest {
        let counted_day = self.counted_day();
        let state = self.state();
        Manifest {
            counted_day,
            position: state.saved,
            complete_to: state.saved_complete_to,
            epoch: state.saved_epoch,
            files: state.segments.files().map(|segment| segment.info.clone()).collect(),
            gaps: state.saved_gaps.clone(),
            deletes: state.saved_deletes.clone(),
            ..Manifest::default()
        }
    }

    /// Saves it with its number and with what is known of the open table.
    pub(crate) fn save_manifest(&self, manifest: &Manifest) -> Result<(), FlushError> {
        let manifest = self.table().complete(manifest, self.clock.now());
        manifest
            .save(&self.dir, &self.disk)
            .map_err(|source| FlushError::Io { path: Manifest::path(&self.dir), source })?;
        self.table().saved(manifest);
        Ok(())
    }

    /// The files take the frozen buffer's place, at once for every reader.
    fn put_in_place(&self, frozen: &Frozen, infos: &[FileInfo]) {
        let mut state = self.state();
        for info in infos {
            // Newest last: its sequence range lies after all others of its period.
            state.segments.push(Segment::new(info.clone(), &self.dir, &self.disk));
        }
        state.frozen = None;
        state.saved = frozen.to;
        state.saved_complete_to = frozen.complete_to;
        state.saved_epoch = frozen.epoch;
        state.saved_gaps.clone_from(&frozen.gaps);
        state.saved_deletes.clone_from(&frozen.deletes);
        drop(state);
        self.counters.flushes.fetch_add(1, Ordering::Relaxed);
        let bytes = infos.iter().map(|info| info.bytes + info.rollup.map_or(0, |rollup| rollup.bytes)).sum();
        self.counters.bytes_flushed.fetch_add(bytes, Ordering::Relaxed);
        self.counters.points_flushed.fetch_add(infos.iter().map(|info| info.rows).sum(), Ordering::Relaxed);
    }

    /// Lets the log free what is in files.
    fn tell_log(&self) -> Result<(), FlushError> {
        let (saved, told) = {
            let state = self.state();
            (state.saved, state.told)
        };
        if saved == told {
            return Ok(());
        }
        self.disk
            .before(Step::SaveSnapshot, &self.dir)
            .map_err(|source| FlushError::Io { path: self.dir.clone(), source })?;
        self.log.save_snapshot(READER, Positions { samples: saved, ..Positions::default() }, br#"{"format":1}"#)?;
        self.state().told = saved;
        Ok(())
    }
}

/// Of days that follow each other and hold all rows of their time: then a tag's ranks of one day end where those of its next begin.
fn one_plan(days: BTreeMap<Period, Plan>) -> Plan {
    let mut ranks: BTreeMap<u32, ops::Range<usize>> = BTreeMap::new();
    for (tag, of_day) in days.into_values().flatten() {
        ranks.entry(tag).and_modify(|all| all.end = of_day.end).or_insert(of_day);
    }
    ranks.into_iter().collect()
}

/// Cuts every tag's sorted column where a period ends.
fn plan_periods(buffer: &Buffer, orders: &BTreeMap<u32, Order<'_>>, periods: &Periods) -> BTreeMap<Period, Plan> {
    let mut plans: BTreeMap<Period, Plan> = BTreeMap::new();
    for (tag, order) in orders {
        let Some(column) = buffer.column(*tag) else { continue };
        let ts = |rank: usize| column.ts(order.position(rank));
        let mut start = 0;
        while let Some(first) = ts(start) {
            let period = periods.of_day(day_of(first));
            let mut end = start + 1;
            while end < order.len() && ts(end).is_some_and(|ts| period.holds(ts)) {
                end += 1;
            }
            plans.entry(period).or_default().push((*tag, start..end));
            start = end;
        }
    }
    plans
}
