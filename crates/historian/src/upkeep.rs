//! Timely flushes, fewer files, and an end to old ones.
//!
//! **Merging** keeps sequence ranges apart: only neighbours in sequence are merged. While a day grows and has too many files,
//! the newest are merged with each older one that is not larger than they are together, so that a byte of a day of flushes is
//! written about three times; once the day is over, all become one file. Late data for a past day is merged in when it has
//! grown to a tenth of the day, not at every flush. What the [open table](crate::delta) holds back is merged at once.
//!
//! **Joining**: two days after a month has ended its days become one [period](crate::period), as far as they are small: then
//! a year of one tag is read from a dozen files. A byte is written once more for that, and late data is rare by then.
//!
//! **Dropping** what is past its time comes first: see [`keep`](crate::keep).

use crate::block::BLOCK_ROWS;
use crate::delete::{Delete, stretches};
use crate::delta;
use crate::flush::FlushError;
use crate::follow::FollowError;
use crate::historian::{Historian, Segment};
use crate::keep::LeftOut;
use crate::manifest::{FileInfo, parquet_folder};
use crate::merge::{Merge, Without};
use crate::period::{Joining, Period, Periods};
use crate::point::day_of;
use crate::rollup;
use crate::scan::up_to;
use crate::segment::{Presence, Reader, Window, presence, verify};
use andon_model::log::{Lane, Seq};
use std::collections::{BTreeSet, HashSet};
use std::ops;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often the historian looks whether there is something to do.
const LOOK: Duration = Duration::from_millis(500);
/// How often it looks through the files.
const TIDY_EVERY: Duration = Duration::from_secs(300);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Why files were not compacted.
#[derive(Debug, thiserror::Error)]
pub enum CompactError {
    /// One after the other.
    #[error("the files are being compacted already; wait until that is done")]
    UnderWay,
    /// The log cannot be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// Some file could not be written or read; those that were done stay.
    #[error(transparent)]
    Flush(#[from] FlushError),
}

impl Historian {
    pub(crate) async fn upkeep(self: Arc<Self>, stop: &CancellationToken) {
        let mut pause = LOOK;
        let mut tidied: Option<Duration> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.work.notified(), if pause == LOOK => {}
                () = tokio::time::sleep(pause) => {}
            }
            self.note_rate();
            let mut result = Ok(());
            let flushed = self.flush_is_due();
            if flushed {
                result = self.flush().await;
                self.note_outcome(
                    "write history files",
                    result.as_ref().err().map(|error| error as &dyn std::error::Error),
                );
            }
            let now = self.clock.monotonic();
            let asked = self.tidy_soon.swap(false, Ordering::Relaxed);
            let due = asked || flushed || tidied.is_none_or(|last| now.saturating_sub(last) >= TIDY_EVERY);
            if result.is_ok() && due {
                tidied = Some(now);
                result = self.tidy_files().await;
                self.note_outcome(
                    "merge history files",
                    result.as_ref().err().map(|error| error as &dyn std::error::Error),
                );
            }
            pause = if result.is_ok() { LOOK } else { (pause * 2).min(LONGEST_PAUSE) };
        }
    }

    /// Drops what is past retention, merges what should be merged. Blocking, and long when files are large: flushes go on
    /// meanwhile. One that fails does not keep the others from their turn; the first error is returned.
    pub(crate) fn tidy_blocking(&self, reach: Reach) -> Result<(), FlushError> {
        let _alone = self.tidying.lock().unwrap_or_else(PoisonError::into_inner);
        // What was put back from a backup is merged again.
        self.forget_replaced();
        let mut outcome = self.drop_old();
        let periods: Vec<Period> = self.state().segments.iter().map(|(period, _)| period).collect();
        for period in periods {
            let merged = self.merge_period(period, reach);
            outcome = outcome.and(merged);
            self.flush_if_due()?;
        }
        for (period, files) in self.to_join() {
            let joined = self.join(period, &files);
            outcome = outcome.and(joined);
            self.flush_if_due()?;
        }
        let outcome = outcome.and(self.fold_deletes());
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        // Not only after a change: what failed is tried again.
        self.publish_table();
        self.delete_removed();
        self.remove_empty_folders();
        if outcome.is_ok() {
            self.note_tidied();
        }
        outcome
    }

    /// Writes all that is durable now, compares every file with its checksums, then makes one file of each day or month. Blocking.
    pub(crate) fn compact_blocking(&self) -> Result<(), CompactError> {
        let Ok(_alone) = self.compacting.try_lock() else { return Err(CompactError::UnderWay) };
        let goal = self.log.durable_seq(Lane::Samples);
        loop {
            let before = self.state().position;
            // A full buffer takes nothing more.
            self.flush_blocking()?;
            self.follow_to(goal)?;
            let reached = self.state().position;
            if reached >= goal || reached == before {
                break;
            }
        }
        self.flush_blocking()?;
        self.examine_files()?;
        self.tidy_blocking(Reach::All)?;
        Ok(())
    }

    /// Compares every file with its checksums and notes what is damaged, or is not any more: those that are whole already are read by nobody else.
    fn examine_files(&self) -> Result<(), FlushError> {
        self.forget_replaced();
        let files = || -> Vec<Arc<Segment>> { self.state().segments.files().cloned().collect() };
        for segment in files().into_iter().filter(|segment| segment.info.given_up) {
            if verify(&segment.path, &segment.info).is_ok() {
                self.take_back(&segment)?;
            }
        }
        for segment in files() {
            match verify(&segment.path, &segment.info) {
                Ok(()) => segment.damage.forget(),
                Err(error) => self.note_damage(&segment, &error),
            }
            if let Some(rollup) = &segment.info.rollup {
                match rollup::verify(&rollup::path_of(&segment.path), rollup) {
                    Ok(()) => segment.rollup_damage.forget(),
                    Err(error) => self.note_rollup_damage(&segment, &error),
                }
            }
            self.flush_if_due()?;
        }
        Ok(())
    }

    /// How many merges and joins the next tidying has to do, as far as is known now. Looks at every file's entry, at none itself.
    #[must_use]
    pub fn merges_waiting(&self) -> usize {
        let today = self.today();
        let merges = {
            let state = self.state();
            let waits = |period: Period, files: &[Arc<Segment>]| {
                let over = today.is_some_and(|today| period.end() <= today);
                let sizes: Vec<Size> = files.iter().map(|segment| Size::of(segment)).collect();
                let hidden = self.options.publish && delta::held_back(files, 0).is_some();
                hidden || what_to_merge(&sizes, self.options.max_files_per_day, over).len() >= 2
            };
            state.segments.iter().filter(|(period, files)| waits(*period, files)).count()
        };
        merges + self.to_join().len()
    }

    /// A long tidying must not make the buffer overflow.
    pub(crate) fn flush_if_due(&self) -> Result<(), FlushError> {
        if self.flush_is_due() { self.flush_blocking() } else { Ok(()) }
    }

    /// The day history has reached, by the clock but not ahead of the data. What is deleted goes by less: see `keep::Counted`.
    pub(crate) fn today(&self) -> Option<i64> {
        let complete_to = self.state().complete_to?;
        Some(day_of(self.clock.now().min(complete_to).micros()))
    }

    fn merge_period(&self, period: Period, reach: Reach) -> Result<(), FlushError> {
        if self.options.publish {
            self.merge_held_back(period)?;
        }
        let segments = self.state().segments.files_of(period.first).to_vec();
        let over = self.today().is_some_and(|today| period.end() <= today);
        let sizes: Vec<Size> = segments.iter().map(|segment| Size::of(segment)).collect();
        let range = match reach {
            Reach::Due => what_to_merge(&sizes, self.options.max_files_per_day, over),
            Reach::All => newest(&sizes, floor_of(&sizes), |_, _| true),
        };
        if range.len() >= 2 {
            self.rewrite(period, &segments, delta::closed(&segments, range.clone()).unwrap_or(range), None)?;
            return Ok(());
        }
        // Roll-ups that were lost are made anew from the rows.
        let unsummed = segments.iter().position(|segment| segment.rollup_damage.is_some() && !segment.is_damaged());
        if let Some(at) = unsummed {
            self.rewrite(period, &segments, at..at + 1, None)?;
        }
        Ok(())
    }

    /// Which days are to be joined now.
    fn to_join(&self) -> Vec<Joining> {
        // Rows go only when all days of their file are past their time: where little is kept, files stay short until it is gone.
        let later = self.rules().joins_after();
        self.today().map_or_else(Vec::new, |today| {
            self.state().segments.to_join(today, later, self.options.joined_bytes, MERGED_ROWS_MAX)
        })
    }

    /// Makes one period of several; nothing when a file cannot be read or is gone.
    fn join(&self, period: Period, days: &[Vec<Arc<Segment>>]) -> Result<(), FlushError> {
        let Some(merged) = self.write_merged(period, days, None)? else { return Ok(()) };
        let chosen = days.concat();
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let all_there = days.iter().all(|files| self.state().segments.position(files).is_some());
        if !all_there {
            Segment::new(merged, &self.dir, &self.disk).retire();
            return Ok(());
        }
        self.put_merged(merged, &chosen, |segments, merged| segments.join(period, &chosen, merged))
    }

    /// Makes of what outside readers may not see yet something they may.
    fn merge_held_back(&self, period: Period) -> Result<(), FlushError> {
        let mut from = 0;
        loop {
            let segments = self.state().segments.files_of(period.first).to_vec();
            let Some(range) = delta::held_back(&segments, from) else { return Ok(()) };
            if !self.rewrite(period, &segments, range.clone(), None)? {
                from = range.end;
            }
        }
    }

    /// Writes files anew from which rows were deleted, then forgets the deletes that concern no file any more.
    fn fold_deletes(&self) -> Result<(), FlushError> {
        let (deletes, files) = {
            let state = self.state();
            (state.saved_deletes.clone(), state.segments.files().cloned().collect::<Vec<_>>())
        };
        for segment in files {
            if !segment.is_damaged() && deletes.iter().any(|delete| self.has_rows(delete, &segment)) {
                let (period, segments) = {
                    let state = self.state();
                    let period = state.segments.of_day(segment.info.day);
                    (period, state.segments.files_of(period.first).to_vec())
                };
                if let Some(at) = segments.iter().position(|other| Arc::ptr_eq(other, &segment)) {
                    self.rewrite(period, &segments, at..at + 1, None)?;
                }
                self.flush_if_due()?;
            }
        }
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let segments: Vec<Arc<Segment>> = self.state().segments.files().cloned().collect();
        let mut manifest = self.saved_manifest();
        let waiting = manifest.deletes.len();
        manifest.deletes.retain(|delete| segments.iter().any(|segment| self.has_rows(delete, segment)));
        if manifest.deletes.len() == waiting {
            return Ok(());
        }
        self.save_manifest(&manifest)?;
        let mut state = self.state();
        let saved = state.saved;
        let kept = manifest.deletes;
        // Later ones may still concern the buffer being written; they are saved with it.
        state.deletes.retain(|delete| delete.seq > saved || kept.contains(delete));
        state.saved_deletes = kept;
        Ok(())
    }

    /// Whether a delete may still concern rows of a file.
    fn has_rows(&self, delete: &Delete, segment: &Segment) -> bool {
        delete.concerns(&segment.info)
            && !matches!(presence(&segment.path, &segment.info, &self.footers, delete.tag), Ok(Presence::Absent))
    }

    /// One file in place of these, without the rows of some tags; `false` when they stay as they are. Written while flushes go on,
    /// which only add files behind them.
    pub(crate) fn rewrite(
        &self,
        period: Period,
        segments: &[Arc<Segment>],
        range: ops::Range<usize>,
        left_out: Option<&LeftOut>,
    ) -> Result<bool, FlushError> {
        let chosen = segments.get(range).unwrap_or_default();
        let Some(merged) = self.write_merged(period, &[chosen.to_vec()], left_out)? else { return Ok(false) };
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let there = self.state().segments.position(chosen).is_some();
        if !there || left_out.is_some_and(|left_out| !self.still_left_out(left_out)) {
            // They are gone, or somebody wants to keep more of them.
            Segment::new(merged, &self.dir, &self.disk).retire();
            return Ok(false);
        }
        self.put_merged(merged, chosen, |segments, merged| segments.replace(chosen, merged))?;
        Ok(true)
    }

    /// The merged file takes the place of those it was made of: in the manifest, then in memory, then for outside readers.
    /// `writing` is held.
    fn put_merged(
        &self,
        merged: FileInfo,
        chosen: &[Arc<Segment>],
        put: impl FnOnce(&mut Periods, Option<Arc<Segment>>),
    ) -> Result<(), FlushError> {
        self.table().note_rewrite(&merged, chosen);
        let mut manifest = self.saved_manifest();
        manifest.files.retain(|info| !chosen.iter().any(|segment| segment.info == *info));
        let merged = if merged.rows > 0 {
            manifest.files.push(merged.clone());
            Some(Segment::new(merged, &self.dir, &self.disk))
        } else {
            // All was deleted; the empty file is removed as soon as the manifest is saved.
            let empty = Segment::new(merged, &self.dir, &self.disk);
            empty.retire();
            None
        };
        self.save_manifest(&manifest)?;
        put(&mut self.state().segments, merged);
        self.counters.merges.fetch_add(1, Ordering::Relaxed);
        self.publish_table();
        self.retire(chosen);
        Ok(())
    }

    /// Of the files of one period, or of several that follow each other in time. `None` when one of them turns out to be
    /// damaged: it is marked, and not merged again.
    fn write_merged(
        &self,
        period: Period,
        groups: &[Vec<Arc<Segment>>],
        left_out: Option<&LeftOut>,
    ) -> Result<Option<FileInfo>, FlushError> {
        let chosen = groups.concat();
        let (Some(from), Some(to)) =
            (chosen.iter().map(|segment| segment.info.from).min(), chosen.iter().map(|segment| segment.info.to).max())
        else {
            return Ok(None);
        };
        let mut readers: Vec<Vec<Source>> = Vec::with_capacity(groups.len());
        for files in groups {
            let mut sources = Vec::with_capacity(files.len());
            for segment in files {
                let opened = verify(&segment.path, &segment.info).and_then(|()| {
                    let mut reader = Reader::open(&segment.path, &segment.info, &self.footers)?;
                    let tags = reader.tags()?;
                    Ok(Source { reader, tags, up_to: up_to(segment) })
                });
                match opened {
                    Ok(opened) => sources.push(opened),
                    Err(error) => {
                        self.note_damage(segment, &error);
                        return Ok(None);
                    }
                }
            }
            readers.push(sources);
        }
        let mut tags: BTreeSet<u32> = readers.iter().flatten().flat_map(|source| &source.tags).copied().collect();
        tags.retain(|tag| left_out.is_none_or(|left_out| !left_out.has(*tag)));
        // Of one moment: what is named after a frame has all deletes up to it.
        let (deletes, saved, further_back) = {
            let state = self.state();
            let files =
                state.segments.touching(period.first, period.end().saturating_sub(1)).flat_map(|(_, files)| files);
            let others = files.filter(|segment| !chosen.iter().any(|other| Arc::ptr_eq(segment, other)));
            let others = others.map(|segment| &segment.info).filter(|info| !info.given_up);
            let further_back = others.filter(|info| info.from < from).map(|info| info.to);
            (state.saved_deletes.clone(), state.saved, further_back.collect::<Vec<Seq>>())
        };
        let folded = deletes.iter().map(|delete| delete.seq).max().filter(|seq| *seq > to);
        let mut info = FileInfo {
            folded: folded
                .unwrap_or(Seq(0))
                .max(chosen.iter().map(|segment| segment.info.folded).max().unwrap_or(Seq(0)))
                .max(new_name(&chosen, saved)),
            // Of files further back than these; only while a damaged one stands in between, or rows are left out.
            collides: chosen
                .iter()
                .filter_map(|segment| segment.info.collides)
                .filter(|seq| further_back.iter().any(|before| before >= seq))
                .min(),
            ..FileInfo::empty(period, from, to)
        };
        let taken = |info: &FileInfo| chosen.iter().any(|segment| segment.path == info.path(&self.dir));
        if taken(&info) {
            // Files of one flush for several days of what is now one period have the same frames, and so has one without some rows.
            info.folded = info.folded.max(saved);
        }
        if taken(&info) {
            return Ok(None);
        }
        let written = self.write_segment(info, |writer| {
            let mut rows = 0;
            for tag in tags {
                for sources in &mut readers {
                    let mut runs = Vec::with_capacity(sources.len());
                    for source in sources {
                        if source.tags.binary_search(&tag).is_ok() {
                            source.reader.select(tag, Window::All, true)?;
                            let stretches = stretches(&deletes, tag, source.up_to);
                            runs.push(Without { run: &mut source.reader, stretches });
                        }
                    }
                    let mut merge = Merge::new(runs);
                    while let Some(block) = merge.next() {
                        let block = block?;
                        writer.push(tag, &block, 0..block.len())?;
                        rows += block.len();
                        if rows >= BLOCK_ROWS {
                            rows = 0;
                            // What fails now is tried and told by the next flush.
                            if let Err(error) = self.flush_if_due() {
                                tracing::debug!(%error, "a flush during a merge failed");
                            }
                        }
                    }
                }
            }
            Ok(())
        });
        written.map(Some)
    }

    /// Folders that lost all their files to a joined period, or to retention. `tidying` and `writing` are held, so nobody is about
    /// to write into one.
    fn remove_empty_folders(&self) {
        let parquet = parquet_folder(&self.dir);
        let used: HashSet<PathBuf> =
            self.state().segments.files().map(|segment| segment.info.folder(&self.dir)).collect();
        let folders = std::fs::read_dir(&parquet).into_iter().flatten().flatten().map(|entry| entry.path());
        for folder in folders.filter(|folder| !used.contains(folder)) {
            let is_empty = std::fs::read_dir(&folder).is_ok_and(|mut entries| entries.next().is_none());
            if is_empty && let Err(error) = self.disk.remove_folder(&folder) {
                tracing::debug!(folder = %folder.display(), %error, "could not remove an empty folder");
            }
        }
    }

    /// Readers that still hold them finish first; then they are deleted. Those of the open table stay a while.
    pub(crate) fn retire(&self, segments: &[Arc<Segment>]) {
        for segment in segments {
            self.footers.forget(&segment.path);
            self.footers.forget(&rollup::path_of(&segment.path));
            if self.table().keeps(&segment.info.table_path()) {
                segment.retire_but_keep_rows();
            } else {
                segment.retire();
            }
        }
    }
}

/// How much a tidying does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reach {
    /// What is worth its writing.
    Due,
    /// One file of each period, whatever it takes.
    All,
}

/// A single file that is only to get another format must get another name too: all deletes up to `saved` are in it.
fn new_name(chosen: &[Arc<Segment>], saved: Seq) -> Seq {
    match chosen {
        [one] if one.info.is_closed() => saved,
        _ => Seq(0),
    }
}

/// A file to be merged.
struct Source {
    reader: Reader,
    /// Ascending.
    tags: Vec<u32>,
    /// Later deletes are not yet worked in.
    up_to: Seq,
}

/// Parquet has an end at 32,768 row groups; far before it a file is unwieldy.
const MERGED_ROWS_MAX: u64 = 1 << 30;

#[derive(Clone, Copy)]
struct Size {
    bytes: u64,
    rows: u64,
    usable: bool,
}

impl Size {
    fn of(segment: &Segment) -> Self {
        let (bytes, rows) = (segment.info.bytes, segment.info.rows);
        // A file that is as large as a merged one may be is not merged again, nor is anything across it.
        Self { bytes, rows, usable: !segment.is_damaged() && rows < MERGED_ROWS_MAX / 2 }
    }
}

/// Which neighbours to merge, as positions from oldest to newest; fewer than two: nothing to do.
fn what_to_merge(files: &[Size], max_files: usize, day_is_over: bool) -> ops::Range<usize> {
    let end = files.len();
    let floor = floor_of(files);
    let usable = files.get(floor..).unwrap_or_default();
    if day_is_over {
        let (total, largest) = (
            usable.iter().map(|file| file.bytes).sum::<u64>(),
            usable.iter().map(|file| file.bytes).max().unwrap_or(0),
        );
        if total - largest >= largest / 10 {
            return newest(files, floor, |_, _| true);
        }
    }
    if usable.len() <= max_files.max(2) {
        return end..end;
    }
    newest(files, floor, |file, newer| file.bytes <= newer)
}

/// The first file that may be merged: a damaged one cannot be, and nothing may be merged across it.
fn floor_of(files: &[Size]) -> usize {
    files.iter().rposition(|file| !file.usable).map_or(0, |at| at + 1)
}

/// From the newest file back to the first that does not fit: not in size to the newer ones, or not in number of rows.
fn newest(files: &[Size], floor: usize, fits: impl Fn(&Size, u64) -> bool) -> ops::Range<usize> {
    let end = files.len();
    let (mut start, mut newer, mut rows) = (end, 0_u64, 0_u64);
    while let Some(file) = start.checked_sub(1).filter(|at| *at >= floor).and_then(|at| files.get(at)) {
        rows = rows.saturating_add(file.rows);
        if rows > MERGED_ROWS_MAX || (end - start >= 2 && !fits(file, newer)) {
            break;
        }
        newer += file.bytes;
        start -= 1;
    }
    start..end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(bytes: &[u64]) -> Vec<Size> {
        bytes.iter().map(|bytes| Size { bytes: *bytes, rows: *bytes, usable: true }).collect()
    }

    #[test]
    fn a_growing_day_merges_the_newest_of_like_size() {
        assert_eq!(what_to_merge(&sizes(&[10; 8]), 8, false).len(), 0);
        assert_eq!(what_to_merge(&sizes(&[10; 9]), 8, false), 0..9);
        let mut files = vec![1_000];
        files.extend([10; 9]);
        assert_eq!(what_to_merge(&sizes(&files), 8, false), 1..10);
    }

    #[test]
    fn a_past_day_becomes_one_file_and_late_data_waits_for_a_tenth() {
        assert_eq!(what_to_merge(&sizes(&[100, 80, 10]), 8, true), 0..3);
        assert_eq!(what_to_merge(&sizes(&[1_000, 5]), 8, true).len(), 0);
        assert_eq!(what_to_merge(&sizes(&[1_000, 60, 50]), 8, true), 0..3);
        assert!(what_to_merge(&sizes(&[1_000]), 8, true).len() < 2);
        assert!(what_to_merge(&[], 8, true).is_empty());
    }

    #[test]
    fn no_merged_file_becomes_unwieldy_and_a_little_late_data_does_not_rewrite_a_day() {
        let many = |rows| Size { bytes: 10, rows, usable: true };
        assert_eq!(what_to_merge(&[many(MERGED_ROWS_MAX / 3); 6], 8, true), 3..6);
        assert_eq!(what_to_merge(&[many(MERGED_ROWS_MAX / 3); 12], 8, false), 9..12);
        let mut files = sizes(&[1_000_000]);
        files.extend(sizes(&[10; 8]));
        assert_eq!(what_to_merge(&files, 8, true), 1..9);
    }

    #[test]
    fn nothing_is_merged_across_a_damaged_file() {
        let mut files = sizes(&[10; 20]);
        files[5].usable = false;
        assert_eq!(what_to_merge(&files, 8, false), 6..20);
        assert_eq!(what_to_merge(&files, 8, true), 6..20);
        files[19].usable = false;
        assert!(what_to_merge(&files, 8, false).is_empty());
    }

    #[test]
    fn a_day_of_flushes_is_rewritten_few_times() {
        let (mut files, mut written) = (Vec::new(), 0);
        for _ in 0..144 {
            files.push(10_u64);
            written += 10;
            let range = what_to_merge(&sizes(&files), 16, false);
            if range.len() >= 2 {
                let merged = files.drain(range.clone()).sum();
                files.insert(range.start, merged);
                written += merged;
            }
            assert!(files.len() <= 16);
        }
        let total: u64 = files.iter().sum();
        written += total;
        assert_eq!(total, 1_440);
        assert!(written <= 3 * total, "written {written} for {total}");
    }
}
