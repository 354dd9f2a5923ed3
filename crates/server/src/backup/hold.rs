//! Holding the state of one moment: hard links to files that never change, a copy of the records, the log's end.
//!
//! A link costs no space as long as the node keeps the file, and keeps it from vanishing when a merge or the log's keeper
//! removes it. A state is let go when the tool is done, or has not been heard of for two minutes, or at the next start.

use super::{HOLDS, Last, lane_folder};
use crate::data_dir::DataDir;
use andon_access::AuditRecorder;
use andon_api::ports::{BackupDone, Backups, HeldFile, HeldState, HoldError};
use andon_bus::ids::new_id;
use andon_historian::Historian;
use andon_log::{DurableLog, LaneFiles};
use andon_model::access::Principal;
use andon_model::event::{Event, SystemNote, What};
use andon_model::log::Lane;
use andon_model::record::Recorder as _;
use andon_model::text::counted;
use andon_model::{BoxFuture, Clock};
use andon_store::Store;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The most states held at a time.
const HELD_MAX: usize = 4;
/// A state that nobody has asked for during this time is let go.
const SILENCE: Duration = Duration::from_secs(120);
/// How often to look for such.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What the copy of the records must leave free on the node's disk.
const LEAVE_FREE: u64 = 128 << 20;

/// What a state is made of.
pub struct Sources {
    /// The data directory.
    pub data_dir: PathBuf,
    /// The node.
    pub node: Uuid,
    /// The log.
    pub log: Arc<DurableLog>,
    /// The records.
    pub store: Store,
    /// History.
    pub historian: Arc<Historian>,
    /// Where a finished backup is recorded.
    pub recorder: Arc<AuditRecorder>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// One state.
struct Hold {
    /// By the monotonic clock.
    until: Duration,
    /// `None` while it is being settled.
    outcome: Option<Result<HeldState, String>>,
}

/// The states that are held.
pub struct Holds {
    sources: Arc<Sources>,
    open: Arc<Mutex<BTreeMap<Uuid, Hold>>>,
    last: Mutex<Option<Last>>,
}

/// Removes what an earlier life of the node held.
/// # Errors
/// The disk refuses.
pub fn clear(dir: &DataDir) -> io::Result<()> {
    remove(&dir.join(HOLDS))
}

fn remove(folder: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// A folder for its owner only.
pub(super) fn private_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

impl Holds {
    /// Nothing is held yet.
    pub fn new(sources: Sources) -> Arc<Self> {
        let last = Mutex::new(Last::load(&sources.data_dir));
        Arc::new(Self { sources: Arc::new(sources), open: Arc::default(), last })
    }

    /// The last backup that was finished.
    pub fn last(&self) -> Option<Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lets go of what nobody asks for any more, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            let now = self.sources.clock.monotonic();
            let silent: Vec<Uuid> = {
                let open = lock(&self.open);
                let silent = open.iter().filter(|(_, hold)| hold.outcome.is_some() && hold.until < now);
                silent.map(|(id, _)| *id).collect()
            };
            for id in silent {
                tracing::warn!(%id, "a backup has not been heard of for two minutes; its state is no longer held");
                self.let_go(id).await;
            }
        }
    }

    async fn let_go(&self, id: Uuid) {
        // One that is being settled is let go when it is.
        if lock(&self.open).get(&id).is_some_and(|hold| hold.outcome.is_some()) {
            lock(&self.open).remove(&id);
            let folder = self.sources.folder(id);
            let removed = tokio::task::spawn_blocking(move || remove(&folder)).await;
            if let Ok(Err(error)) = removed {
                tracing::warn!(%error, "could not remove what was held for a backup; the next start will");
            }
        }
    }

    fn renew<T>(&self, id: Uuid, use_it: impl FnOnce(&mut Hold) -> T) -> Result<T, HoldError> {
        let mut open = lock(&self.open);
        let hold = open.get_mut(&id).ok_or(HoldError::Gone)?;
        hold.until = self.sources.clock.monotonic() + SILENCE;
        Ok(use_it(hold))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Backups for Holds {
    fn begin(&self, keys: bool) -> Result<Uuid, HoldError> {
        let id = new_id(&*self.sources.clock);
        {
            let mut open = lock(&self.open);
            if open.len() >= HELD_MAX {
                return Err(HoldError::TooMany(HELD_MAX));
            }
            open.insert(id, Hold { until: self.sources.clock.monotonic() + SILENCE, outcome: None });
        }
        let (sources, open) = (self.sources.clone(), self.open.clone());
        // Ends by itself: with the node's disk, or with the state held.
        tokio::spawn(async move {
            let outcome = sources.settle(id, keys).await.map_err(|error| format!("{error:#}"));
            if let Err(error) = &outcome {
                tracing::error!(error, "no state could be held for a backup");
                let _ = remove(&sources.folder(id)); // Otherwise the next start does.
            }
            if let Some(hold) = lock(&open).get_mut(&id) {
                hold.until = sources.clock.monotonic() + SILENCE;
                hold.outcome = Some(outcome);
            }
        });
        Ok(id)
    }

    fn state(&self, id: Uuid) -> Result<Option<HeldState>, HoldError> {
        match self.renew(id, |hold| hold.outcome.clone())? {
            None => Ok(None),
            Some(Ok(state)) => Ok(Some(state)),
            Some(Err(words)) => {
                lock(&self.open).remove(&id);
                Err(HoldError::Failed(words))
            }
        }
    }

    fn keep(&self, id: Uuid) -> Result<(), HoldError> {
        self.renew(id, |_| ())
    }

    fn finish(&self, id: Uuid, by: Principal, done: BackupDone) -> BoxFuture<'_, Result<(), HoldError>> {
        Box::pin(async move {
            let state = self.state(id)?.ok_or(HoldError::Gone)?;
            let lane = |lane: Lane| state.positions.get(lane.name()).copied().unwrap_or_default();
            let text = format!(
                "backup {} made: everything up to record {}, message {}, frame {} of readings; {} bytes in {}, of which {} bytes were copied",
                done.name,
                lane(Lane::Records),
                lane(Lane::Messages),
                lane(Lane::Samples),
                done.bytes,
                counted(state.files.len() as u64, "file", "files"),
                done.copied_bytes,
            );
            let clock = &self.sources.clock;
            let event = Event {
                id: new_id(&**clock),
                at: clock.now(),
                source_at: None,
                path: String::new(),
                by,
                what: What::System(SystemNote { action: "backup".to_owned(), text }),
            };
            self.sources.recorder.record(event).await.map_err(|error| HoldError::Failed(error.to_string()))?;
            let last = Last { name: done.name, at_ms: clock.now().millis(), bytes: done.bytes };
            if let Err(error) = last.save(&self.sources.data_dir) {
                tracing::warn!(%error, "the time of the last backup could not be kept; the timeline has it");
            }
            *lock(&self.last) = Some(last);
            self.let_go(id).await;
            Ok(())
        })
    }

    fn give_up(&self, id: Uuid) -> BoxFuture<'_, ()> {
        Box::pin(self.let_go(id))
    }
}

impl Sources {
    fn folder(&self, id: Uuid) -> PathBuf {
        self.data_dir.join(HOLDS).join(id.to_string())
    }

    /// See the module above for the order.
    async fn settle(self: &Arc<Self>, id: Uuid, keys: bool) -> Result<HeldState> {
        let folder = self.folder(id);
        let (this, to) = (self.clone(), folder.clone());
        let (kept, mut held) = blocking(move || {
            private_folder(&to).with_context(|| format!("could not create {}", to.display()))?;
            let mut held = Links::new(&this.data_dir, &to);
            let kept = this.log.keep_all();
            held.small_files(keys)?;
            this.historian.while_still(|| held.history())?;
            Ok((kept, held))
        })
        .await?;
        self.refuse_little_space().await?;
        let records = folder.join("records.sqlite");
        let moment = || (self.log.lane_files(), self.clock.now());
        let (lanes, at) = self.store.backup(&records, moment).await.context("could not copy the records")?;
        let this = self.clone();
        blocking(move || {
            held.lanes(&lanes)?;
            drop(kept);
            held.add("records.sqlite", &records)?;
            Ok(held.state(id, this.node, at.millis(), &lanes))
        })
        .await
    }

    /// The copy of the records lies on the node's own disk for a while, which must not become full of it.
    async fn refuse_little_space(&self) -> Result<()> {
        let records = self.store.bytes().await.context("could not ask how large the records are")?;
        let needed = records + LEAVE_FREE;
        let disk = rustix::fs::statvfs(&self.data_dir).context("could not ask how much space is left")?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if free < needed {
            let (free, needed) = (free >> 20, needed >> 20);
            bail!(
                "{} has {free} MiB free, and a backup of the running node needs {needed} MiB there for a while, for a copy of the records. \
                 Free space; or stop the node and run the same command again",
                self.data_dir.display()
            );
        }
        Ok(())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a part of the backup panicked")?
}

/// Where the files of a state are to be read.
enum Place {
    /// Linked into this folder.
    Linked(PathBuf),
    /// Where they stand: nothing runs that could change them.
    There,
}

/// The files of a state, as they are found.
pub(super) struct Links {
    data_dir: PathBuf,
    place: Place,
    files: Vec<HeldFile>,
    missing: Vec<String>,
}

impl Links {
    fn new(data_dir: &Path, folder: &Path) -> Self {
        Self { place: Place::Linked(folder.to_owned()), ..Self::in_place(data_dir) }
    }

    /// Of a node that does not run, whose data directory is locked.
    pub(super) fn in_place(data_dir: &Path) -> Self {
        Self { data_dir: data_dir.to_owned(), place: Place::There, files: Vec::new(), missing: Vec::new() }
    }

    /// Who the node is, and what the log's readers have saved.
    pub(super) fn small_files(&mut self, keys: bool) -> Result<()> {
        for name in ["node-id", "log/node"] {
            self.take(name, None)?;
        }
        // Made when the first reader comes.
        self.take_if_there("log/readers", None)?;
        let mut names = self.names("log/snapshots")?;
        names.retain(|name| !name.ends_with("~new"));
        // The former ones first: while a new one is saved, the current one becomes the former, and one of both is found.
        names.sort_by_key(|name| (!name.ends_with('~'), name.clone()));
        for name in names {
            self.take_if_there(&format!("log/snapshots/{name}"), None)?;
        }
        if keys {
            for name in self.names("tls")? {
                self.take(&format!("tls/{name}"), None)?;
            }
        }
        Ok(())
    }

    /// Within [`Historian::while_still`], or while nothing runs.
    pub(super) fn history(&mut self) -> Result<()> {
        for path in andon_historian::copy::files(&self.data_dir.join("history"))? {
            let path = path.to_str().context("a name in the history folder is not UTF-8")?.to_owned();
            if !self.take_if_there(&format!("history/{path}"), None)? {
                self.missing.push(format!("history/{path}"));
            }
        }
        Ok(())
    }

    pub(super) fn lanes(&mut self, lanes: &LaneFiles) -> Result<()> {
        for segment in &lanes.segments {
            let name = segment.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let path = format!("{}/{name}", lane_folder(segment.lane));
            if !self.take_if_there(&path, Some(segment.bytes))? {
                self.missing.push(path);
            }
        }
        Ok(())
    }

    fn names(&self, folder: &str) -> Result<Vec<String>> {
        let path = self.data_dir.join(folder);
        let entries = match std::fs::read_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.with_context(|| format!("could not look into {}", path.display()))?,
        };
        entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
    }

    /// One without which there is no backup.
    fn take(&mut self, path: &str, bytes: Option<u64>) -> Result<()> {
        if self.take_if_there(path, bytes)? {
            return Ok(());
        }
        bail!("{} is missing", self.data_dir.join(path).display())
    }

    /// False if there is no such file.
    fn take_if_there(&mut self, path: &str, bytes: Option<u64>) -> Result<bool> {
        let original = self.data_dir.join(path);
        let from = match &self.place {
            Place::There => original.clone(),
            Place::Linked(folder) => folder.join(path),
        };
        if let Place::Linked(_) = self.place {
            if let Some(folder) = from.parent() {
                private_folder(folder).with_context(|| format!("could not create {}", folder.display()))?;
            }
            match std::fs::hard_link(&original, &from) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::CrossesDevices | io::ErrorKind::Unsupported | io::ErrorKind::PermissionDenied
                    ) =>
                {
                    return Err(error).with_context(|| {
                        format!(
                            "could not link {}: a backup of the running node needs its data directory on one file system that has hard links. \
                             Stop the node and run the same command again",
                            original.display()
                        )
                    });
                }
                Err(error) => return Err(error).with_context(|| format!("could not link {}", original.display())),
            }
        }
        let length = match std::fs::metadata(&from) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error).with_context(|| format!("could not look at {}", from.display())),
        };
        self.push(path, &from, bytes.unwrap_or(length))?;
        Ok(true)
    }

    /// A file that was made for this state.
    pub(super) fn add(&mut self, path: &str, from: &Path) -> Result<()> {
        let bytes = std::fs::metadata(from).with_context(|| format!("could not look at {}", from.display()))?.len();
        self.push(path, from, bytes)
    }

    fn push(&mut self, path: &str, from: &Path, bytes: u64) -> Result<()> {
        let from = from.to_str().context("the path of the data directory is not UTF-8")?.to_owned();
        self.files.push(HeldFile { path: path.to_owned(), from, bytes });
        Ok(())
    }

    pub(super) fn state(self, id: Uuid, node: Uuid, at_ms: i64, lanes: &LaneFiles) -> HeldState {
        let positions = Lane::ALL.map(|lane| (lane.name().to_owned(), lanes.positions.get(lane).0));
        HeldState {
            id,
            node: node.to_string(),
            at_ms,
            positions: positions.into(),
            epoch: lanes.epoch,
            files: self.files,
            missing: self.missing,
        }
    }
}
