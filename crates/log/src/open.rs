//! The log as a whole: opens the lanes, starts and stops the threads, answers the calls of [`Log`].

use crate::commit::{self, Step, Writer};
use crate::disk::Disk;
use crate::identity::{Identity, TextError};
use crate::keeper::{self, Bell, LaneKeeper, Stock};
use crate::lane::{LaneCore, LaneStart};
use crate::lock;
use crate::notice::{LogNotice, NoticeReceiver, Notices};
use crate::options::LogOptions;
use crate::reading;
use crate::recovery::{Context, RecoverError, Recovered, heads, recover};
use crate::snapshot::Readers;
use crate::stats::{LaneStats, LogStats};
use andon_model::log::{
    AppendError, FrameKind, Gap, Lane, Log, Positions, ReadBatch, ReadError, Seq, Snapshot, SnapshotError,
};
use andon_model::{BoxFuture, Clock};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use uuid::Uuid;

/// Why the log could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A call failed. Look at the disk, then start again; nothing was changed that a second start cannot go on with.
    #[error("could not open the log at {}", path.display())]
    Io {
        /// Which file or folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A file was written by a later program. Start that program, or restore the backup made before it was installed.
    #[error("{} is of {found}; this program knows format version 1. Start the program that wrote it", path.display())]
    UnknownVersion {
        /// Which file or folder.
        path: PathBuf,
        /// What it says it is.
        found: String,
    },
    /// The folder is another node's. Give each node its own folder.
    #[error("the log at {} belongs to node {found}, not to {wanted}", path.display())]
    OtherNode {
        /// The folder.
        path: PathBuf,
        /// Whose it is.
        found: Uuid,
        /// Who asked.
        wanted: Uuid,
    },
    /// Another process has it open. Stop that one first.
    #[error("the log at {} is in use by another process", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A thread could not be started.
    #[error("could not start the log's {what}")]
    Thread {
        /// Which one.
        what: &'static str,
        /// The cause.
        source: io::Error,
    },
}

/// What one lane looked like when the log was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LaneReport {
    /// Which lane.
    pub lane: Lane,
    /// The lowest number kept (0: none).
    pub first: Seq,
    /// The highest number; all up to it are on disk.
    pub durable: Seq,
    /// How many segments there are.
    pub segments: usize,
    /// Bytes of an unfinished, never acknowledged group that were dropped; above 0 after a power cut or a kill.
    pub torn_bytes: u64,
    /// Damage in the part that was read; older segments are checked when somebody reads them.
    pub damage: Vec<Gap>,
}

/// What was found when the log was opened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OpenReport {
    /// How many times the log has been opened, this time included.
    pub epoch: u64,
    /// In the order of [`Lane::ALL`].
    pub lanes: Vec<LaneReport>,
    /// What a person should hear of.
    pub notices: Vec<LogNotice>,
    /// What was odd and how it was dealt with, in plain words.
    pub notes: Vec<String>,
}

/// The durable log: implements [`Log`] on three lanes of files.
///
/// Payloads that [`Log::read`] returns share memory with up to 256 KiB around them: copy what you keep for long.
#[derive(Debug)]
pub struct DurableLog {
    lanes: [Arc<LaneCore>; 3],
    writers: [Arc<Mutex<Writer>>; 3],
    stocks: [Arc<Stock>; 3],
    keepers: Arc<[LaneKeeper; 3]>,
    readers: Arc<Readers>,
    notices: Arc<Notices>,
    disk: Arc<dyn Disk>,
    bell: Arc<Bell>,
    threads: Mutex<Option<Threads>>,
    background: bool,
    epoch: u64,
    /// How many want every segment kept.
    kept: Arc<Mutex<usize>>,
    /// Given back when the log closes, so that another process may open it.
    folder_lock: Mutex<Option<FolderLock>>,
}

struct FolderLock(#[expect(dead_code, reason = "held for its drop")] Box<dyn Send + Sync>);

impl std::fmt::Debug for FolderLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("FolderLock")
    }
}

#[derive(Debug)]
struct Threads {
    writers: Vec<JoinHandle<()>>,
    keeper: JoinHandle<()>,
}

impl DurableLog {
    /// Opens the log in `dir`, creating it if need be, and starts its threads.
    ///
    /// Only the last segment of each lane is read: about 64 MiB a lane at most, whatever the log's size.
    /// # Errors
    /// See [`OpenError`].
    pub fn open(
        dir: &Path,
        node: Uuid,
        options: LogOptions,
        disk: Arc<dyn Disk>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Arc<Self>, OpenReport), OpenError> {
        let opening = Opening { dir, node, options: Arc::new(options), disk, clock, notices: Arc::new(Notices::new()) };
        let (log, report) = opening.open()?;
        if log.background {
            log.start().map_err(|(what, source)| OpenError::Thread { what, source })?;
        }
        Ok((Arc::new(log), report))
    }

    fn start(&self) -> Result<(), (&'static str, io::Error)> {
        let mut writers = Vec::new();
        for (core, writer) in self.lanes.iter().zip(&self.writers) {
            let (core, writer) = (Arc::clone(core), Arc::clone(writer));
            let thread = std::thread::Builder::new().name(format!("log-{}", core.lane.name()));
            writers.push(thread.spawn(move || commit::run(&core, &writer)).map_err(|error| ("writer", error))?);
        }
        let (keepers, bell) = (Arc::clone(&self.keepers), Arc::clone(&self.bell));
        let thread = std::thread::Builder::new().name("log-keeper".to_owned());
        let keeper = thread.spawn(move || keeper::run(&*keepers, &bell)).map_err(|error| ("keeper", error))?;
        *lock(&self.threads) = Some(Threads { writers, keeper });
        Ok(())
    }

    /// With [`LogOptions::background`] off: writes and syncs what each lane has pending, then tidies. `true` when
    /// something was written.
    pub fn step(&self) -> bool {
        let mut wrote = false;
        for writer in &self.writers {
            while lock(writer).step() == Step::Done {
                wrote = true;
            }
        }
        self.keepers.iter().for_each(LaneKeeper::tidy);
        wrote
    }

    /// Writes and syncs what is pending, says so on disk, stops the threads and gives the folder free. Frames that could
    /// not be made durable are not acknowledged. Blocks until done; a second call does nothing.
    pub fn close(&self) {
        self.lanes.iter().for_each(|lane| lane.begin_close());
        self.stocks.iter().for_each(|stock| stock.stop());
        self.bell.stop();
        if let Some(threads) = lock(&self.threads).take() {
            for thread in threads.writers {
                let _ = thread.join(); // A panic in it has poisoned the lane and was printed.
            }
            let _ = threads.keeper.join();
        } else {
            for writer in &self.writers {
                let mut writer = lock(writer);
                while writer.step() == Step::Done {}
                writer.finish();
            }
        }
        drop(lock(&self.folder_lock).take());
    }

    /// Figures for metrics and the status page.
    #[must_use]
    pub fn stats(&self) -> LogStats {
        let lanes = self.lanes.iter().zip(&self.stocks).map(|(lane, stock)| lane_stats(lane, stock));
        LogStats { epoch: self.epoch, lanes: lanes.collect() }
    }

    /// What the log says aloud from now on; what it said while opening is in the [`OpenReport`].
    #[must_use]
    pub fn notices(&self) -> NoticeReceiver {
        self.notices.subscribe()
    }

    /// The names of all readers that something is kept for, also of those that have not registered in this life.
    #[must_use]
    pub fn readers(&self) -> Vec<String> {
        self.readers.names()
    }

    /// Forgets a reader that will not come back (a link that was removed), with its snapshots, so that it holds up
    /// nothing.
    /// # Errors
    /// A bad name, or the disk refused.
    pub fn forget_reader(&self, reader: &str) -> Result<(), SnapshotError> {
        self.readers.forget(reader)?;
        self.bell.ring();
        Ok(())
    }

    pub(crate) fn cores(&self) -> &[Arc<LaneCore>; 3] {
        &self.lanes
    }

    pub(crate) const fn epoch(&self) -> u64 {
        self.epoch
    }

    pub(crate) const fn kept(&self) -> &Arc<Mutex<usize>> {
        &self.kept
    }

    fn lane(&self, lane: Lane) -> &Arc<LaneCore> {
        let [records, messages, samples] = &self.lanes;
        match lane {
            Lane::Records => records,
            Lane::Messages => messages,
            Lane::Samples => samples,
        }
    }
}

impl Drop for DurableLog {
    fn drop(&mut self) {
        self.close();
    }
}

fn lane_stats(lane: &LaneCore, stock: &Stock) -> LaneStats {
    let segments = lock(&lane.segments);
    let counters = &lane.counters;
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let (number, bytes_on_disk) = (segments.len(), segments.values().map(|segment| segment.size).sum());
    let damaged = segments.values().map(|segment| segment.damage_count()).sum();
    drop(segments);
    LaneStats {
        lane: lane.lane,
        first: Seq(lane.first_seq()),
        durable: Seq(lane.durable_seq()),
        segments: number,
        bytes_on_disk,
        pending_bytes: lane.pending_bytes(),
        frames: count(&counters.frames),
        bytes: count(&counters.bytes),
        groups: count(&counters.groups),
        syncs: count(&counters.syncs),
        sync_micros: count(&counters.sync_micros),
        sync_micros_max: count(&counters.sync_micros_max),
        reserve_segments: stock.reserve_len(),
        damaged,
        refusing: lane.refusal().map(|reason| reason.to_string()),
    }
}

impl Log for DurableLog {
    fn append(&self, lane: Lane, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        self.lane(lane).append(kind, payload)
    }

    fn durable(&self, lane: Lane, seq: Seq) -> BoxFuture<'static, Result<(), AppendError>> {
        self.lane(lane).durable(seq.0)
    }

    fn ready(&self, lane: Lane) -> BoxFuture<'static, Result<(), AppendError>> {
        self.lane(lane).ready()
    }

    fn durable_seq(&self, lane: Lane) -> Seq {
        Seq(self.lane(lane).durable_seq())
    }

    fn pressed(&self, lane: Lane) -> Seq {
        self.keepers.get(lane as usize).map_or(Seq(0), LaneKeeper::pressed)
    }

    fn first_seq(&self, lane: Lane) -> Seq {
        Seq(self.lane(lane).first_seq())
    }

    fn read(&self, lane: Lane, from: Seq, max_bytes: usize) -> Result<ReadBatch, ReadError> {
        reading::read(self.lane(lane), &*self.disk, from.0, max_bytes)
    }

    fn register_reader(&self, reader: &str, lanes: &[Lane]) -> Result<(), SnapshotError> {
        self.readers.register(reader, lanes)
    }

    fn save_snapshot(&self, reader: &str, positions: Positions, state: &[u8]) -> Result<(), SnapshotError> {
        self.readers.save(reader, positions, state)?;
        self.bell.ring();
        Ok(())
    }

    fn load_snapshot(&self, reader: &str) -> Result<Option<Snapshot>, SnapshotError> {
        self.readers.load(reader)
    }
}

/// The steps of opening.
struct Opening<'a> {
    dir: &'a Path,
    node: Uuid,
    options: Arc<LogOptions>,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    notices: Arc<Notices>,
}

impl Opening<'_> {
    fn open(self) -> Result<(DurableLog, OpenReport), OpenError> {
        self.make_folders()?;
        let folder_lock = self.lock_folder()?;
        let mut notes = Vec::new();
        let mut identity = self.identity(&mut notes)?;
        let mut recovered = Vec::new();
        for lane in Lane::ALL {
            let context = Context { lane, node: self.node, salt: identity.salt, now: self.clock.now() };
            recovered.push(recover(&*self.disk, &self.dir.join(lane.name()), context).map_err(from_recovery)?);
        }
        // An epoch is used once: the highest ever seen, plus one, synced before the first frame carries it.
        let seen = recovered.iter().map(|found| found.epoch).max().unwrap_or(0);
        identity.epoch = identity.epoch.max(seen).saturating_add(1);
        identity.save(&*self.disk, self.dir).map_err(|source| self.failed("node", source))?;
        let readers =
            Readers::open(&self.disk, self.dir, &self.notices).map_err(|(path, error)| text_failed(path, error))?;
        let (log, lanes) = self.assemble(identity, recovered, Arc::new(readers), folder_lock, &mut notes)?;
        let report = OpenReport { epoch: identity.epoch, lanes, notices: self.notices.take_early(), notes };
        for note in &report.notes {
            tracing::warn!(note, "opening the log");
        }
        Ok((log, report))
    }

    fn failed(&self, name: &str, source: io::Error) -> OpenError {
        OpenError::Io { path: self.dir.join(name), source }
    }

    /// Makes the folders that are missing, and makes their names last.
    ///
    /// Those that are there are synced too: a process that was killed may have made them and got no further.
    fn make_folders(&self) -> Result<(), OpenError> {
        for folder in Lane::ALL.map(Lane::name).into_iter().chain(["snapshots"]) {
            self.disk.create_dir_all(&self.dir.join(folder)).map_err(|source| self.failed(folder, source))?;
        }
        for folder in self.dir.ancestors() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            match self.disk.sync_dir(folder) {
                // A folder above that we may not open is not ours, and was there before us.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied && folder != self.dir => {}
                outcome => outcome.map_err(|source| OpenError::Io { path: folder.to_owned(), source })?,
            }
        }
        Ok(())
    }

    fn lock_folder(&self) -> Result<FolderLock, OpenError> {
        self.disk.lock(&self.dir.join("lock")).map(FolderLock).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::InUse { path: self.dir.to_owned() },
            _ => self.failed("lock", source),
        })
    }

    /// Who writes here. When the node file is lost, the segments' heads tell.
    fn identity(&self, notes: &mut Vec<String>) -> Result<Identity, OpenError> {
        let problem = match Identity::load(&*self.disk, self.dir) {
            Ok(found) if found.node == self.node => return Ok(found),
            Ok(found) => return Err(self.other_node(found.node)),
            Err(TextError::Missing) => "missing".to_owned(),
            Err(TextError::Damaged(reason)) => format!("damaged ({reason})"),
            Err(error) => return Err(text_failed(self.dir.join("node"), error)),
        };
        let mut newest: Option<Identity> = None;
        for lane in Lane::ALL {
            let found =
                heads(&*self.disk, &self.dir.join(lane.name())).map_err(|source| self.failed(lane.name(), source))?;
            for head in found.into_iter().map(|head| Identity { node: head.node, epoch: head.epoch, salt: head.salt }) {
                newest = newest.filter(|known| known.epoch >= head.epoch).or(Some(head));
            }
        }
        match newest {
            Some(found) if found.node != self.node => Err(self.other_node(found.node)),
            Some(found) => {
                notes.push(format!("the file \"node\" is {problem}; it was made again from the segments"));
                Ok(found)
            }
            None => Ok(Identity { node: self.node, epoch: 0, salt: self.options.random.next_u64() }),
        }
    }

    fn other_node(&self, found: Uuid) -> OpenError {
        OpenError::OtherNode { path: self.dir.to_owned(), found, wanted: self.node }
    }

    fn assemble(
        &self,
        identity: Identity,
        recovered: Vec<Recovered>,
        readers: Arc<Readers>,
        folder_lock: FolderLock,
        notes: &mut Vec<String>,
    ) -> Result<(DurableLog, Vec<LaneReport>), OpenError> {
        let kept = Arc::default();
        let mut parts = Vec::new();
        let mut reports = Vec::new();
        for (lane, found) in Lane::ALL.into_iter().zip(recovered) {
            for (reader, position) in readers.ahead_of(lane, found.durable) {
                let held = found.durable;
                notes.push(format!(
                    "the snapshot of \"{reader}\" has seen {} frames of the {} lane, which holds {held}: an older copy of the log?",
                    position.0,
                    lane.name()
                ));
            }
            let (part, report) = self.assemble_lane(lane, identity, found, &readers, &kept)?;
            parts.push(part);
            reports.push(report);
        }
        let parts: [LaneParts; 3] = match parts.try_into() {
            Ok(parts) => parts,
            Err(_) => return Err(self.failed("", io::Error::other("a lane is missing"))),
        };
        let log = DurableLog {
            lanes: parts.each_ref().map(|part| Arc::clone(&part.keeper.core)),
            writers: parts.each_ref().map(|part| Arc::clone(&part.writer)),
            stocks: parts.each_ref().map(|part| Arc::clone(&part.keeper.stock)),
            keepers: Arc::new(parts.map(|part| part.keeper)),
            readers,
            notices: Arc::clone(&self.notices),
            disk: Arc::clone(&self.disk),
            bell: Arc::default(),
            threads: Mutex::new(None),
            background: self.options.background,
            epoch: identity.epoch,
            kept,
            folder_lock: Mutex::new(Some(folder_lock)),
        };
        Ok((log, reports))
    }

    fn assemble_lane(
        &self,
        lane: Lane,
        identity: Identity,
        found: Recovered,
        readers: &Arc<Readers>,
        kept: &Arc<Mutex<usize>>,
    ) -> Result<(LaneParts, LaneReport), OpenError> {
        let dir = self.dir.join(lane.name());
        let former = found.active.as_ref().map(|active| active.segment.size);
        let stock = Stock::open(lane, &dir, &found.names, former, &self.disk, &self.options, &self.notices);
        let stock = Arc::new(stock.map_err(|source| self.failed(lane.name(), source))?);
        let segments = found.segments.len();
        let start = LaneStart {
            lane,
            node: self.node,
            epoch: identity.epoch,
            durable: found.durable,
            segments: found.segments,
        };
        let core = LaneCore::new(start, Arc::clone(&self.options), Arc::clone(&self.clock), Arc::clone(&self.notices));
        let core = Arc::new(core);
        for gap in &found.damage {
            core.report_damage(gap.clone());
        }
        let report = LaneReport {
            lane,
            first: Seq(core.first_seq()),
            durable: Seq(found.durable),
            segments,
            torn_bytes: found.torn_bytes,
            damage: found.damage,
        };
        let writer = Writer {
            core: Arc::clone(&core),
            disk: Arc::clone(&self.disk),
            dir: dir.clone(),
            salt: identity.salt,
            stock: Arc::clone(&stock),
            active: found.active,
            group: Vec::new(),
            synced: 0,
            places: Vec::new(),
        };
        let (disk, readers, kept) = (Arc::clone(&self.disk), Arc::clone(readers), Arc::clone(kept));
        let keeper = LaneKeeper { core, stock, disk, dir, readers, kept };
        Ok((LaneParts { writer: Arc::new(Mutex::new(writer)), keeper }, report))
    }
}

struct LaneParts {
    writer: Arc<Mutex<Writer>>,
    keeper: LaneKeeper,
}

fn from_recovery(error: RecoverError) -> OpenError {
    match error {
        RecoverError::Io(path, source) => OpenError::Io { path, source },
        RecoverError::Unknown(path, version) => {
            OpenError::UnknownVersion { path, found: format!("format version {version}") }
        }
    }
}

fn text_failed(path: PathBuf, error: TextError) -> OpenError {
    match error {
        TextError::Unknown(found) => OpenError::UnknownVersion { path, found },
        TextError::Io(source) => OpenError::Io { path, source },
        TextError::Missing => OpenError::Io { path, source: io::ErrorKind::NotFound.into() },
        TextError::Damaged(reason) => {
            OpenError::Io { path, source: io::Error::new(io::ErrorKind::InvalidData, reason) }
        }
    }
}
