//! Files of history that turned out not to be what was written, or to be gone: known until the file is replaced, and told once.
//! Those that were [given up](crate::give_up) are known, too, but nobody is told.

use crate::historian::{Historian, Segment};
use crate::manifest::FileInfo;
use crate::rollup;
use crate::segment::SegmentError;
use andon_model::Timestamp;
use andon_model::error::causes;
use andon_model::text::counted;
use std::fmt;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The disk could not read a sector (EIO on Linux). It will not by the next try either, so the file counts as damaged.
const EIO: i32 = 5;

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Readings. What of them cannot be read is a gap in every answer.
    Readings,
    /// Roll-ups of readings. Without them answers take longer, and are the same.
    Rollups,
}

/// A file of history that is not what was written, or is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where it lies.
    pub file: PathBuf,
    /// What it holds.
    pub holds: Holds,
    /// What is wrong with it, in words that name the file.
    pub what: String,
    /// The time of its first reading.
    pub from: Timestamp,
    /// The time of its last one.
    pub to: Timestamp,
    /// How many readings of all tags it was written with.
    pub readings: u64,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, from, to, readings, .. } = self;
        let readings = counted(*readings, "reading", "readings");
        match self.holds {
            Holds::Readings => write!(
                f,
                "{what}. It was written with {readings} from {from} to {to}; those that cannot be read are a gap in every answer"
            ),
            Holds::Rollups => write!(
                f,
                "{what}. It sums up {readings} from {from} to {to}; they are read themselves instead, which takes longer and gives the same answers"
            ),
        }
    }
}

/// What tells that a file is still the one that was found to be damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    changed: (i64, i64),
}

impl Identity {
    /// `None`: there is no such file.
    fn of(path: &Path) -> Option<Self> {
        let meta = std::fs::metadata(path).ok()?;
        Some(Self {
            device: meta.dev(),
            inode: meta.ino(),
            bytes: meta.len(),
            changed: (meta.mtime(), meta.mtime_nsec()),
        })
    }
}

/// The damage of one file, if there is some.
#[derive(Debug, Default)]
pub(crate) struct Known(Mutex<Option<Found>>);

#[derive(Debug)]
struct Found {
    damage: Damage,
    identity: Option<Identity>,
    told: bool,
}

impl Known {
    fn lock(&self) -> MutexGuard<'_, Option<Found>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether there is some, as far as it is known.
    pub(crate) fn is_some(&self) -> bool {
        self.lock().is_some()
    }

    /// The damage as far as it is known, without asking the disk.
    pub(crate) fn known(&self) -> Option<Damage> {
        self.lock().as_ref().map(|found| found.damage.clone())
    }

    /// The damage, unless the file was replaced since it was found: then nothing is known. Asks the disk if there was some, which may
    /// take its time: nobody waits for it meanwhile.
    fn look(&self) -> Option<Damage> {
        let (file, identity) = self.lock().as_ref().map(|found| (found.damage.file.clone(), found.identity))?;
        let now = Identity::of(&file);
        let mut found = self.lock();
        if now != identity && found.as_ref().is_some_and(|found| found.identity == identity) {
            *found = None;
        }
        found.as_ref().map(|found| found.damage.clone())
    }

    /// The file is what was written: what was found before was put right, or only a bad moment of the disk.
    pub(crate) fn forget(&self) {
        *self.lock() = None;
    }

    /// The same file is known as another entry from now on.
    pub(crate) fn take_over(&self, former: &Self) {
        let found = former.lock().take();
        *self.lock() = found;
    }

    /// Takes what is new.
    fn note(&self, damage: impl FnOnce() -> Damage) {
        if self.look().is_some() {
            return;
        }
        let damage = damage();
        let identity = Identity::of(&damage.file);
        self.lock().get_or_insert(Found { damage, identity, told: false });
    }

    /// Tells what was not told yet; what the listener cannot take now is told the next time.
    fn tell(&self, listener: &dyn Fn(&Damage) -> bool) {
        let Some(untold) = self.lock().as_mut().filter(|found| !found.told).map(|found| {
            found.told = true;
            found.damage.clone()
        }) else {
            return;
        };
        if listener(&untold) {
            tracing::error!(file = %untold.file.display(), "{untold}");
        } else if let Some(found) = self.lock().as_mut() {
            found.told = false;
        }
    }
}

/// Whoever wants to hear of damage.
pub(crate) type Listener = Arc<dyn Fn(&Damage) -> bool + Send + Sync>;

impl Historian {
    /// From now on `tell` hears of each damaged file once, until the file is replaced; at once of those that are known. It is called
    /// wherever the damage is met, so it must not block or ask the historian. `false`: it could not take it; it is told again, at the
    /// next tidying if not before.
    pub fn on_damage(&self, tell: impl Fn(&Damage) -> bool + Send + Sync + 'static) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(tell));
        let segments: Vec<Arc<Segment>> = self.state().segments.files().cloned().collect();
        segments.iter().for_each(|segment| self.tell(segment));
    }

    /// Files that turned out to be damaged and were not replaced since, in order of time. Asks the disk about these, and reads nothing.
    #[must_use]
    pub fn damage(&self) -> Vec<Damage> {
        let files = self.waited_for();
        files.iter().flat_map(|segment| [segment.damage.look(), segment.rollup_damage.look()]).flatten().collect()
    }

    /// Files that are known to be damaged, in order of time, without asking the disk whether they were replaced since.
    pub(crate) fn known_damage(&self) -> Vec<Damage> {
        let files = self.waited_for();
        files.iter().flat_map(|segment| [segment.damage.known(), segment.rollup_damage.known()]).flatten().collect()
    }

    /// All files but those that were given up.
    fn waited_for(&self) -> Vec<Arc<Segment>> {
        self.state().segments.files().filter(|segment| !segment.info.given_up).cloned().collect()
    }

    /// Forgets the damage of files that were replaced, and tells what nobody could take before. Asks the disk about damaged files.
    pub fn forget_replaced(&self) {
        let segments: Vec<Arc<Segment>> = self.state().segments.files().cloned().collect();
        for segment in segments {
            if segment.damage.look().or_else(|| segment.rollup_damage.look()).is_some() {
                self.tell(&segment);
            }
        }
    }

    /// A file could not be read. One that only could not this time is not damaged.
    pub(crate) fn note_damage(&self, segment: &Segment, error: &SegmentError) {
        if let SegmentError::Io { source, .. } = error
            && !is_lasting(source)
        {
            tracing::warn!(file = %segment.path.display(), error = %causes(error), "a history file could not be read this time");
            return;
        }
        segment.damage.note(|| damage(&segment.info, &segment.path, Holds::Readings, in_words(error)));
        self.tell(segment);
    }

    /// The roll-ups of a file could not be read.
    pub(crate) fn note_rollup_damage(&self, segment: &Segment, error: &io::Error) {
        let path = rollup::path_of(&segment.path);
        if !is_lasting(error) {
            tracing::warn!(file = %path.display(), %error, "a roll-up file could not be read this time");
            return;
        }
        let what = match error.kind() {
            io::ErrorKind::NotFound => format!("the roll-up file {} is missing", path.display()),
            _ => format!("the roll-up file {} is damaged: {error}", path.display()),
        };
        segment.rollup_damage.note(|| damage(&segment.info, &path, Holds::Rollups, what));
        self.tell(segment);
    }

    /// Looks whether every file that the manifest names is there and as long as it was written. Two calls to the disk for each; reads none.
    pub(crate) fn look_at_files(&self) {
        let segments: Vec<Arc<Segment>> = self.state().segments.files().cloned().collect();
        for segment in segments {
            let (path, info) = (&segment.path, &segment.info);
            match std::fs::metadata(path) {
                Err(error) => self.note_damage(&segment, &SegmentError::io(path, error)),
                Ok(meta) if meta.len() != info.bytes => {
                    self.note_damage(&segment, &SegmentError::damaged(path, wrong_length(&meta, info.bytes)));
                }
                Ok(_) => {}
            }
            let Some(rollup) = &info.rollup else { continue };
            match std::fs::metadata(rollup::path_of(path)) {
                Err(error) => self.note_rollup_damage(&segment, &error),
                Ok(meta) if meta.len() != rollup.bytes => {
                    self.note_rollup_damage(&segment, &rollup::damaged(&wrong_length(&meta, rollup.bytes)));
                }
                Ok(_) => {}
            }
        }
    }

    fn tell(&self, segment: &Segment) {
        let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(listener) = listener.filter(|_| !segment.info.given_up) else { return };
        [&segment.damage, &segment.rollup_damage].into_iter().for_each(|known| known.tell(&*listener));
    }
}

/// Why a file of history cannot be read, in words that name it.
pub(crate) fn in_words(error: &SegmentError) -> String {
    match error {
        SegmentError::Io { path, source } if source.kind() == io::ErrorKind::NotFound => {
            format!("the history file {} is missing", path.display())
        }
        _ => causes(error),
    }
}

fn damage(info: &FileInfo, file: &Path, holds: Holds, what: String) -> Damage {
    let [from, to] = [info.ts.0, info.ts.1].map(Timestamp::from_micros);
    Damage { file: file.to_owned(), holds, what, from, to, readings: info.rows }
}

pub(crate) fn wrong_length(meta: &Metadata, bytes: u64) -> String {
    format!("it has {} bytes instead of {bytes}", meta.len())
}

/// Whether the next try would find the same.
pub(crate) fn is_lasting(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    matches!(error.kind(), InvalidData | NotFound | UnexpectedEof) || error.raw_os_error() == Some(EIO)
}
