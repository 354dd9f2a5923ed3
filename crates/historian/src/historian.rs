//! The historian as others hold it: opening, running, asking.

use crate::aggregate::{Aggregate, Request, RequestError};
use crate::buffer::Buffer;
use crate::compress::{Compressions, Newest};
use crate::damage::{Damage, Known, Listener};
use crate::delete::Delete;
use crate::delta::Table;
use crate::disk::{Disk, Hook, NoHook};
use crate::flush::{FlushError, Frozen};
use crate::follow::FollowError;
use crate::give_up::GivenUp;
use crate::keep::{Counted, Keep, Keeping};
use crate::manifest::{FileInfo, Manifest, ManifestError, is_our_name, parquet_folder};
use crate::period::Periods;
use crate::point::{HistoryGap, Range};
use crate::query::{AggregateReadError, Aggregated, Texts};
use crate::rate::{Meter, Rates};
use crate::read::RangeError;
use crate::rollup;
use crate::segment::{Footers, SegmentError};
use crate::upkeep::{CompactError, Reach};
use andon_model::error::causes;
use andon_model::log::{Lane, Log, Seq, SnapshotError};
use andon_model::{Clock, TagId, Timestamp};
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

/// The name the log knows this reader by.
pub(crate) const READER: &str = "historian";

/// How the historian works; the defaults suit a node of 100,000 tags.
#[derive(Clone, Debug)]
pub struct Options {
    /// Buffered samples are written to files when they take this many bytes (default 64 MiB). At twice as many the
    /// historian stops reading the log until a write succeeds; the log keeps the rest.
    pub flush_bytes: usize,
    /// … or when the oldest is this old (default 10 minutes).
    pub flush_age: Duration,
    /// Days of history to keep of tags for which [`Historian::keep`] says nothing else; `None` keeps everything. Rows go when all days
    /// of their file are past it, so up to a day more is kept; from a year on up to a month more, because then days are joined.
    pub retention_days: Option<u32>,
    /// A day that is far ahead of the last one counts for retention once the clock has stood by it for so long (default 24 h): a clock
    /// that jumps ahead and is put right within that time deletes nothing.
    pub believe_after: Duration,
    /// A day with more files than this gets some of them merged (default 16, at least 2).
    pub max_files_per_day: usize,
    /// Days of a month that is over are joined to files of up to this size (default 256 MiB). A day that is larger stays as
    /// it is: it is worth its files, and not worth being written once more. 0: no days are joined.
    pub joined_bytes: u64,
    /// The most points in one answer, thinned or not (default 1,000,000).
    pub max_answer_points: usize,
    /// How many range reads may run at once; others wait (default 4).
    pub concurrent_reads: usize,
    /// Memory for Parquet footers (default 64 MiB).
    pub footer_cache_bytes: usize,
    /// How much of the log is read at a time (default 1 MiB).
    pub read_bytes: usize,
    /// Whether other programs may read history as a Delta table (default true). When it is switched off, the table that
    /// was there becomes empty.
    pub publish: bool,
    /// How long a file that left that table stays on disk for those who still read it (default 7 days).
    pub keep_removed: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            flush_bytes: 64 << 20,
            flush_age: Duration::from_secs(600),
            retention_days: None,
            believe_after: Duration::from_secs(86_400),
            max_files_per_day: 16,
            joined_bytes: 256 << 20,
            max_answer_points: 1_000_000,
            concurrent_reads: 4,
            footer_cache_bytes: 64 << 20,
            read_bytes: 1 << 20,
            publish: true,
            keep_removed: Duration::from_secs(7 * 86_400),
        }
    }
}

/// Why the historian does not start.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error("could not {doing} the historian's folder {path}")]
    Io {
        /// What was tried.
        doing: &'static str,
        /// Where.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The manifest cannot be used; the message says what to do.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// The log would not have this reader.
    #[error("the log refused the historian as a reader")]
    Log(#[from] SnapshotError),
    /// The manifest is older than the log believes: it, or the folder, was restored alone.
    #[error(
        "the manifest of the history in {path} reaches up to frame {history} of the samples lane, but the log was told that history \
         reaches up to frame {told} and has let go of the samples between: an older manifest or folder was put there. Restore log and \
         history from the same backup; or, to begin a new history, move {path} aside and start again. Nothing was changed"
    )]
    ManifestOld {
        /// The historian's folder.
        path: PathBuf,
        /// How far the manifest reaches.
        history: u64,
        /// How far the log was told.
        told: u64,
    },
    /// The log is older than the history: it was replaced or restored.
    #[error(
        "the history in {path} was written up to frame {history} of the samples lane, but the log ends at frame {log}: they do not \
         belong together. Restore the log from the same backup as the history; or, to begin a new history, move {path} aside and start again"
    )]
    LogBehind {
        /// The historian's folder.
        path: PathBuf,
        /// How far the files reach.
        history: u64,
        /// How far the log reaches.
        log: u64,
    },
}

/// One history file, as long as anybody reads it. Dropped from the manifest, it is deleted when its last reader is done.
pub(crate) struct Segment {
    pub info: FileInfo,
    pub path: PathBuf,
    /// Of its rows.
    pub damage: Known,
    /// Of its roll-up file.
    pub rollup_damage: Known,
    obsolete: AtomicBool,
    /// Outside readers may still read its rows; only what is ours alone is deleted with it.
    kept_outside: AtomicBool,
    disk: Disk,
}

impl Segment {
    pub(crate) fn new(info: FileInfo, dir: &Path, disk: &Disk) -> Arc<Self> {
        let path = info.path(dir);
        Arc::new(Self {
            info,
            path,
            damage: Known::default(),
            rollup_damage: Known::default(),
            obsolete: AtomicBool::new(false),
            kept_outside: AtomicBool::new(false),
            disk: disk.clone(),
        })
    }

    /// The manifest no longer names it.
    pub(crate) fn retire(&self) {
        self.obsolete.store(true, Ordering::Release);
    }

    /// As [`Segment::retire`], but its rows stay for outside readers.
    pub(crate) fn retire_but_keep_rows(&self) {
        self.kept_outside.store(true, Ordering::Release);
        self.retire();
    }

    /// Whether it cannot be made into another file, as far as it is known.
    pub(crate) fn is_damaged(&self) -> bool {
        self.info.given_up || self.damage.is_some()
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        if !self.obsolete.load(Ordering::Acquire) {
            return;
        }
        let rollups = self.info.rollup.map(|_| rollup::path_of(&self.path));
        let rows = (!self.kept_outside.load(Ordering::Acquire)).then(|| self.path.clone());
        let removed = rows.into_iter().chain(rollups).try_for_each(|path| self.disk.remove(&path));
        if let Err(error) = removed {
            tracing::warn!(file = %self.path.display(), %error, "could not remove a replaced history file; the next start will");
        }
    }
}

/// What changes together.
#[derive(Default)]
pub(crate) struct State {
    /// Samples since the last flush.
    pub active: Buffer,
    /// The newest time of each tag that is compressed.
    pub newest: Newest,
    /// When the oldest of what is not in files came, by the monotonic clock.
    pub unsaved_since: Option<Duration>,
    /// Samples being written to files right now.
    pub frozen: Option<Arc<Frozen>>,
    /// Files by period.
    pub segments: Periods,
    /// The last frame applied to the buffer.
    pub position: Seq,
    /// The last frame whose samples are in files and manifest.
    pub saved: Seq,
    /// What the manifest says about its time and about gaps: those of frame `saved`, not of frames that will be replayed.
    pub saved_complete_to: Option<Timestamp>,
    /// See `saved_complete_to`.
    pub saved_gaps: Vec<HistoryGap>,
    /// Rows of files and of the buffer being written that are no longer history.
    pub deletes: Vec<Delete>,
    /// See `saved_complete_to`.
    pub saved_deletes: Vec<Delete>,
    /// The last frame the log was told about.
    pub told: Seq,
    /// When frame `position` was handed to the log.
    pub complete_to: Option<Timestamp>,
    /// In which opening of the log it was written; 0 where it is not known.
    pub epoch: u64,
    /// See `saved_complete_to`.
    pub saved_epoch: u64,
    /// Where history is incomplete, ascending as found. Shared with the reads that are under way.
    pub gaps: Arc<Vec<HistoryGap>>,
}

/// Counters since the start.
#[derive(Default)]
pub(crate) struct Counters {
    pub frames: AtomicU64,
    pub points: AtomicU64,
    pub left_out: AtomicU64,
    pub flushes: AtomicU64,
    pub merges: AtomicU64,
    pub bytes_written: AtomicU64,
    pub bytes_flushed: AtomicU64,
    pub points_flushed: AtomicU64,
    pub last_error: Mutex<Option<String>>,
}

/// A look at the historian's inside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HistorianStats {
    /// Frames of the log applied since the start.
    pub frames: u64,
    /// Points applied since the start.
    pub points: u64,
    /// Of these, left out by compression.
    pub points_left_out: u64,
    /// How fast they come.
    pub rates: Rates,
    /// Points not yet in files.
    pub buffered_points: u64,
    /// Bytes they take.
    pub buffered_bytes: usize,
    /// Files.
    pub files: usize,
    /// Bytes of all files.
    pub file_bytes: u64,
    /// Bytes of all roll-up files.
    pub rollup_bytes: u64,
    /// Rows in all files.
    pub file_rows: u64,
    /// Writes of the buffer to files since the start.
    pub flushes: u64,
    /// Merges of files since the start.
    pub merges: u64,
    /// When files were last gone through without an error; `None`: not since the start.
    pub tidied: Option<Timestamp>,
    /// Bytes written to files since the start, merges included; over the bytes of flushes this is write amplification.
    pub bytes_written: u64,
    /// Bytes written by flushes alone since the start.
    pub bytes_flushed: u64,
    /// Points in the flushes since the start.
    pub points_flushed: u64,
    /// Deletes that are not yet worked into the files.
    pub deletes: usize,
    /// Files that turned out to be damaged and were not replaced since, in order of time.
    pub damage: Vec<Damage>,
    /// Damaged files for which nobody waits any more, in order of time.
    pub given_up: Vec<GivenUp>,
    /// Frames of the log that are durable and not yet applied.
    pub frames_behind: u64,
    /// The last frame whose samples are in files.
    pub saved: Seq,
    /// Everything received up to here can be read.
    pub complete_to: Option<Timestamp>,
    /// What went wrong last, until it goes right again.
    pub last_error: Option<String>,
    /// The newest version of the open table.
    pub table_version: Option<u64>,
    /// Files of the open table.
    pub table_files: usize,
    /// Files that outside readers do not see yet: until the next tidying, or until the table can be written again.
    pub held_back_files: usize,
    /// Files that left the open table and are kept for those who still read them.
    pub removed_files: usize,
    /// Why the open table is not up to date, until it is.
    pub table_error: Option<String>,
}

/// Whoever waits for an answer; when it is dropped, the work on the answer ends soon.
#[derive(Default)]
struct Asker(Arc<AtomicBool>);

impl Asker {
    fn gone(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Asker {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keeps the history of all tags. Shared as `Arc<Historian>`.
pub struct Historian {
    pub(crate) dir: PathBuf,
    pub(crate) log: Arc<dyn Log>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) options: Options,
    pub(crate) disk: Disk,
    pub(crate) footers: Footers,
    pub(crate) counters: Counters,
    /// Held while frames are read and applied: one follower at a time.
    pub(crate) following: Mutex<()>,
    /// Held while files and manifest change: one writer at a time.
    pub(crate) writing: Mutex<()>,
    /// What other programs see; changed only while `writing` is held.
    pub(crate) table: Mutex<Table>,
    /// Woken when there is something to flush.
    pub(crate) work: Notify,
    /// Files should be tidied as soon as possible.
    pub(crate) tidy_soon: AtomicBool,
    /// Held while files are merged: one at a time, but flushes go on.
    pub(crate) tidying: Mutex<()>,
    /// Held while everything is compacted.
    pub(crate) compacting: Mutex<()>,
    reads: Arc<Semaphore>,
    /// Hears of damaged files.
    pub(crate) listener: Mutex<Option<Listener>>,
    compressions: RwLock<Arc<Compressions>>,
    pub(crate) keeping: Mutex<Keeping>,
    /// The day from which limits count.
    pub(crate) counted: Mutex<Counted>,
    meter: Mutex<Meter>,
    /// When files were last gone through to the end.
    tidied: Mutex<Option<Timestamp>>,
    state: Mutex<State>,
}

impl Historian {
    /// Opens the history in `dir` (made if it is not there). Blocking, short: the rest of the log is replayed by [`Historian::run`].
    /// # Errors
    /// See [`OpenError`]; every one says what to do.
    pub fn open(
        dir: &Path,
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        options: Options,
    ) -> Result<Arc<Self>, OpenError> {
        Self::open_with(dir, log, clock, options, Arc::new(NoHook))
    }

    /// As [`Historian::open`], with a hook before each step that changes the disk: for tests.
    /// # Errors
    /// As for [`Historian::open`].
    pub fn open_with(
        dir: &Path,
        log: Arc<dyn Log>,
        clock: Arc<dyn Clock>,
        options: Options,
        hook: Arc<dyn Hook>,
    ) -> Result<Arc<Self>, OpenError> {
        let disk = Disk::new(hook);
        let parquet = parquet_folder(dir);
        for folder in [dir, &parquet] {
            disk.create_folder(folder).map_err(|source| OpenError::Io {
                doing: "create",
                path: folder.to_owned(),
                source,
            })?;
        }
        log.register_reader(READER, &[Lane::Samples])?;
        let manifest = load_manifest(dir, &disk)?;
        let counted = Counted::from(&manifest);
        let log_end = log.durable_seq(Lane::Samples);
        if manifest.position > log_end {
            return Err(OpenError::LogBehind { path: dir.to_owned(), history: manifest.position.0, log: log_end.0 });
        }
        let told = log.load_snapshot(READER)?.map_or(Seq(0), |snapshot| snapshot.positions.samples);
        // A folder that is begun anew beside a used log is no error: what is missing becomes a gap.
        if told > manifest.position && (manifest.position > Seq(0) || !manifest.files.is_empty()) {
            return Err(OpenError::ManifestOld { path: dir.to_owned(), history: manifest.position.0, told: told.0 });
        }
        let table = Table::open(dir, &manifest);
        remove_leftovers(dir, &manifest, &table, &disk).map_err(|source| OpenError::Io {
            doing: "tidy",
            path: parquet,
            source,
        })?;
        let state = State {
            newest: Newest::after(manifest.files.iter().map(|info| info.ts.1).max()),
            segments: Periods::of(manifest.files.iter().map(|info| Segment::new(info.clone(), dir, &disk)).collect()),
            position: manifest.position,
            saved: manifest.position,
            told,
            complete_to: manifest.complete_to,
            saved_complete_to: manifest.complete_to,
            epoch: manifest.epoch,
            saved_epoch: manifest.epoch,
            gaps: Arc::new(manifest.gaps.clone()),
            saved_gaps: manifest.gaps,
            deletes: manifest.deletes.clone(),
            saved_deletes: manifest.deletes,
            ..State::default()
        };
        let historian = Arc::new(Self {
            dir: dir.to_owned(),
            log,
            clock,
            disk,
            footers: Footers::new(options.footer_cache_bytes),
            counters: Counters::default(),
            following: Mutex::default(),
            writing: Mutex::default(),
            table: Mutex::new(table),
            work: Notify::new(),
            tidy_soon: AtomicBool::new(false),
            tidying: Mutex::default(),
            compacting: Mutex::default(),
            reads: Arc::new(Semaphore::new(options.concurrent_reads.max(1))),
            listener: Mutex::default(),
            compressions: RwLock::default(),
            keeping: Keeping::of_all(options.retention_days.map_or(Keep::ForEver, Keep::Days)),
            counted: Mutex::new(counted),
            meter: Mutex::default(),
            tidied: Mutex::default(),
            state: Mutex::new(state),
            options,
        });
        historian.look_at_files();
        // What the last stop left out.
        historian.publish_table();
        Ok(historian)
    }

    /// Follows the log, writes and merges files, drops old ones, until `stop`. Samples still in the buffer then stay in the log
    /// and are read again at the next start.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::join!(Arc::clone(&self).follow(&stop), Arc::clone(&self).upkeep(&stop));
    }

    /// From now on compresses these tags and no others. What is in files already stays as it is.
    pub fn compress(&self, rules: Compressions) {
        self.state().newest.follow(&rules);
        *self.compressions.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }

    pub(crate) fn compressions(&self) -> Arc<Compressions> {
        self.compressions.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A tag's points with `from <= ts < to`: all of them if there are at most `max_points`, else thinned to at most that many
    /// (at least 5); `None` means all.
    /// # Errors
    /// See [`RangeError`]. A damaged file is no error: it is a gap in the answer.
    pub async fn range(
        self: &Arc<Self>,
        tag: TagId,
        from: Timestamp,
        to: Timestamp,
        max_points: Option<usize>,
    ) -> Result<Range, RangeError> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| RangeError::Stopped)?;
        let this = Arc::clone(self);
        let asker = Asker::default();
        let gone = asker.gone();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            this.range_blocking(tag, from, to, max_points, &gone)
        });
        read.await.map_err(|_| RangeError::Stopped)?
    }

    /// An aggregate of a tag's values over intervals (OPC 10000-13), from roll-ups where they give the same answer.
    /// # Errors
    /// See [`AggregateReadError`]. A damaged file is no error: it is a gap in the answer.
    pub async fn aggregate(self: &Arc<Self>, tag: TagId, request: Request) -> Result<Aggregated, AggregateReadError> {
        let answers = self.aggregates(tag, request, vec![request.aggregate]).await?;
        answers.into_iter().next().ok_or(AggregateReadError::Stopped)
    }

    /// Several aggregates of a tag over the same intervals, in their order, for one reading of the points; `over.aggregate` does
    /// not count.
    /// # Errors
    /// As for [`Historian::aggregate`].
    pub async fn aggregates(
        self: &Arc<Self>,
        tag: TagId,
        over: Request,
        aggregates: Vec<Aggregate>,
    ) -> Result<Vec<Aggregated>, AggregateReadError> {
        self.aggregates_with(tag, over, aggregates, Texts::Nothing).await
    }

    /// The same of a text tag, for aggregates of which [`Aggregate::takes_texts`] is true.
    /// # Errors
    /// As [`Historian::aggregates`], and one of them calculates with the value.
    pub async fn text_aggregates(
        self: &Arc<Self>,
        tag: TagId,
        over: Request,
        aggregates: Vec<Aggregate>,
    ) -> Result<Vec<Aggregated>, AggregateReadError> {
        match aggregates.iter().find(|aggregate| !aggregate.takes_texts()) {
            Some(aggregate) => Err(RequestError::OfTexts(*aggregate).into()),
            None => self.aggregates_with(tag, over, aggregates, Texts::Counted).await,
        }
    }

    async fn aggregates_with(
        self: &Arc<Self>,
        tag: TagId,
        over: Request,
        aggregates: Vec<Aggregate>,
        texts: Texts,
    ) -> Result<Vec<Aggregated>, AggregateReadError> {
        let permit = Arc::clone(&self.reads).acquire_owned().await.map_err(|_| AggregateReadError::Stopped)?;
        let this = Arc::clone(self);
        let asker = Asker::default();
        let gone = asker.gone();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            this.aggregate_blocking(tag, &over, &aggregates, texts, &gone)
        });
        read.await.map_err(|_| AggregateReadError::Stopped)?
    }

    /// Applies every frame that is durable in the log now, as far as the buffer has room: a flush makes some.
    /// # Errors
    /// The log cannot be read.
    pub async fn catch_up(self: &Arc<Self>) -> Result<(), FollowError> {
        let this = Arc::clone(self);
        let goal = self.log.durable_seq(Lane::Samples);
        tokio::task::spawn_blocking(move || this.follow_to(goal)).await.map_err(|_| FollowError::Stopped)?
    }

    /// Writes what is in the buffer to files and tells the log, now.
    /// # Errors
    /// See [`FlushError`]; the samples stay in buffer and log, and the next flush tries again.
    pub async fn flush(self: &Arc<Self>) -> Result<(), FlushError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.flush_blocking()).await.map_err(|_| FlushError::Stopped)?
    }

    /// Merges files of days that have too many, and drops those past retention, now.
    /// # Errors
    /// See [`FlushError`]; the files stay as they were.
    pub async fn tidy_files(self: &Arc<Self>) -> Result<(), FlushError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.tidy_blocking(Reach::Due)).await.map_err(|_| FlushError::Stopped)?
    }

    /// Writes everything that is durable now and makes one file of each day (or month, where days were joined): the smallest and
    /// quickest history. Each byte is written once more for it. What cannot be merged (a damaged file) stays as it is.
    /// # Errors
    /// See [`CompactError`].
    pub async fn compact(self: &Arc<Self>) -> Result<(), CompactError> {
        let this = Arc::clone(self);
        tokio::task::spawn_blocking(move || this.compact_blocking()).await.map_err(|_| FlushError::Stopped)?
    }

    /// Reads every file and compares it with its checksum; returns the errors. Blocking and long.
    #[must_use]
    pub fn verify(&self) -> Vec<SegmentError> {
        let segments: Vec<_> = self.state().segments.files().cloned().collect();
        segments.iter().filter_map(|segment| crate::segment::verify(&segment.path, &segment.info).err()).collect()
    }

    /// All stretches in which samples were lost, ascending; what cannot be read is not among them.
    #[must_use]
    pub fn gaps(&self) -> Vec<HistoryGap> {
        self.state().gaps.to_vec()
    }

    /// Counters and sizes.
    #[must_use]
    pub fn stats(&self) -> HistorianStats {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let log_end = self.log.durable_seq(Lane::Samples);
        let (damage, given_up) = (self.known_damage(), self.given_up());
        let table = self.table().stats();
        let rates = self.meter().rates(self.clock.monotonic(), load(&self.counters.points));
        let state = self.state();
        let frozen = state.frozen.as_ref();
        let segments = || state.segments.files();
        let waited_for = segments().filter(|segment| !segment.info.given_up).count();
        HistorianStats {
            frames: load(&self.counters.frames),
            points: load(&self.counters.points),
            points_left_out: load(&self.counters.left_out),
            rates,
            buffered_points: state.active.points() + frozen.map_or(0, |frozen| frozen.buffer.points()),
            buffered_bytes: state.active.bytes() + frozen.map_or(0, |frozen| frozen.buffer.bytes()),
            files: segments().count(),
            file_bytes: segments().map(|segment| segment.info.bytes).sum(),
            rollup_bytes: segments().filter_map(|segment| segment.info.rollup).map(|rollup| rollup.bytes).sum(),
            file_rows: segments().map(|segment| segment.info.rows).sum(),
            flushes: load(&self.counters.flushes),
            merges: load(&self.counters.merges),
            tidied: *self.tidied.lock().unwrap_or_else(PoisonError::into_inner),
            bytes_written: load(&self.counters.bytes_written),
            bytes_flushed: load(&self.counters.bytes_flushed),
            points_flushed: load(&self.counters.points_flushed),
            deletes: state.deletes.len(),
            damage,
            given_up,
            frames_behind: log_end.0.saturating_sub(state.position.0),
            saved: state.saved,
            complete_to: state.complete_to,
            last_error: self.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            table_version: table.version,
            table_files: table.files,
            held_back_files: if self.options.publish { waited_for.saturating_sub(table.files) } else { 0 },
            removed_files: table.removed,
            table_error: table.error,
        }
    }

    /// The lock is held for memory work only, never across file access.
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn note_rate(&self) {
        self.meter().note(self.clock.monotonic(), self.counters.points.load(Ordering::Relaxed));
    }

    pub(crate) fn note_tidied(&self) {
        *self.tidied.lock().unwrap_or_else(PoisonError::into_inner) = Some(self.clock.now());
    }

    /// Keeps the last error for [`HistorianStats`] and says it once while it stays the same.
    pub(crate) fn note_outcome(&self, doing: &'static str, error: Option<&dyn std::error::Error>) {
        let text = error.map(|error| format!("could not {doing}: {}", causes(error)));
        let mut last = self.counters.last_error.lock().unwrap_or_else(PoisonError::into_inner);
        match &text {
            Some(text) if last.as_ref() != Some(text) => {
                tracing::error!("the historian {text}; samples wait in the log")
            }
            None if last.as_ref().is_some_and(|last| last.contains(doing)) => {
                tracing::info!("the historian can {doing} again")
            }
            None => return,
            Some(_) => {}
        }
        *last = text;
    }
}

/// The manifest; an empty one is written before there is any file, so that a missing one is always noticed.
fn load_manifest(dir: &Path, disk: &Disk) -> Result<Manifest, OpenError> {
    if let Some(manifest) = Manifest::load(dir)? {
        return Ok(manifest);
    }
    let reading = |source| OpenError::Io { doing: "look into", path: dir.to_owned(), source };
    if !our_files(dir).map_err(reading)?.is_empty() {
        return Err(ManifestError::Missing { path: Manifest::path(dir) }.into());
    }
    let manifest = Manifest::default();
    manifest.save(dir, disk).map_err(|source| OpenError::Io { doing: "begin", path: dir.to_owned(), source })?;
    Ok(manifest)
}

/// All files in folders of periods whose name is one of ours.
pub(crate) fn our_files(dir: &Path) -> io::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for day in std::fs::read_dir(parquet_folder(dir))? {
        let day = day?;
        if !day.file_type()?.is_dir() {
            continue;
        }
        for file in std::fs::read_dir(day.path())? {
            let file = file?;
            if file.file_type()?.is_file() && file.file_name().to_str().is_some_and(is_our_name) {
                files.push(file.path());
            }
        }
    }
    Ok(files)
}

/// Removes what a cut-off write left: files of ours that the manifest does not name and no outside reader may need. If a file that the
/// manifest names is missing, nothing is removed: then it may be another manifest than that of these files, and they may be all there is.
fn remove_leftovers(dir: &Path, manifest: &Manifest, table: &Table, disk: &Disk) -> io::Result<()> {
    let mut named: HashSet<PathBuf> = manifest.files.iter().map(|info| info.path(dir)).collect();
    let rolled_up = manifest.files.iter().filter(|info| info.rollup.is_some());
    named.extend(rolled_up.map(|info| rollup::path_of(&info.path(dir))));
    let parquet = parquet_folder(dir);
    let kept =
        |file: &Path| file.strip_prefix(&parquet).ok().and_then(Path::to_str).is_some_and(|path| table.keeps(path));
    let leftovers: Vec<PathBuf> =
        our_files(dir)?.into_iter().filter(|file| !named.contains(file) && !kept(file)).collect();
    let waited_for = manifest.files.iter().filter(|info| !info.given_up);
    if let Some(missing) = waited_for.map(|info| info.path(dir)).find(|path| !path.exists()) {
        tracing::error!(file = %missing.display(), left = leftovers.len(), "a history file is missing; restore it from a backup. Files that the manifest does not name are left where they are");
        return Ok(());
    }
    for file in leftovers {
        tracing::info!(file = %file.display(), "removing a history file left over from a cut-off write; its samples are in the log");
        disk.remove(&file)?;
    }
    Ok(())
}
