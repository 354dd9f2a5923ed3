//! Readers: which lanes they need, how far their saved state has seen them, and the saved state itself.
//!
//! A snapshot is written beside the current one, synced, and renamed; the former generation stays as `<reader>~`. If
//! the current one turns out to be damaged, the former is used, and the log is freed behind the *older* of the two, so that it can
//! be. File format version 1, little-endian:
//!
//! ```text
//!  0 magic "ANDONSNP"   8 version u16   10 the same inverted   12 4 zero bytes
//! 16 positions: records u64, messages u64, samples u64   40 length of the state u64
//! 48 CRC32C u32 of the reader's name, bytes 0..48 and the state   52 4 zero bytes   56 the state
//! ```

use crate::disk::{Disk, read_bounded};
use crate::frame::take;
use crate::identity::{TextError, load_lines, save_lines, write_new};
use crate::lock;
use crate::notice::{LogNotice, Notices};
use andon_model::log::{Lane, Positions, Seq, Snapshot, SnapshotError};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

const MAGIC: &[u8; 8] = b"ANDONSNP";
const HEADER: usize = 56;
/// A snapshot is no larger than this, in bytes.
pub(crate) const LIMIT: u64 = 1 << 30;
const LIST: &str = "readers";

/// Why a snapshot file could not be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileError {
    #[error("it is missing")]
    Missing,
    /// Of a later program: never passed over in silence.
    #[error("format version {0} is of a later program; this one knows 1")]
    Unknown(u16),
    #[error("{0}")]
    Bad(String),
}

#[derive(Debug, Default)]
struct State {
    lanes: [bool; 3],
    /// The lanes that the list file names.
    listed: [bool; 3],
    current: Option<Positions>,
    former: Option<Positions>,
    /// Per lane, up to where the reader was told that it lost frames.
    told: [Seq; 3],
}

impl State {
    fn needs(&self, lane: Lane) -> bool {
        self.lanes.get(lane as usize).copied().unwrap_or(false)
    }

    fn position(&self, lane: Lane) -> Seq {
        self.current.or(self.former).map_or(Seq(0), |positions| positions.get(lane))
    }

    /// Nothing after this number may be freed.
    fn pin(&self, lane: Lane) -> Seq {
        let former = self.former.map_or(Seq(u64::MAX), |positions| positions.get(lane));
        self.position(lane).min(former)
    }
}

#[derive(Debug, Default)]
struct Reader {
    /// Held while its files change.
    files: Mutex<()>,
    state: Mutex<State>,
}

/// All readers of the log.
#[derive(Debug)]
pub(crate) struct Readers {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    snapshots: PathBuf,
    notices: Arc<Notices>,
    by_name: Mutex<BTreeMap<String, Arc<Reader>>>,
    /// Held while the list file changes.
    list_file: Mutex<()>,
    /// A sync failed: nothing is saved until the restart.
    broken: Mutex<Option<String>>,
}

fn valid_name(reader: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.';
    (1..=64).contains(&reader.len()) && reader.bytes().all(allowed) && reader.bytes().any(|b| b != b'.')
}

fn check_name(reader: &str) -> Result<(), SnapshotError> {
    if valid_name(reader) { Ok(()) } else { Err(SnapshotError::BadName { reader: reader.to_owned() }) }
}

impl Readers {
    /// Finds the readers and snapshots of earlier lives.
    pub(crate) fn open(disk: &Arc<dyn Disk>, dir: &Path, notices: &Arc<Notices>) -> Result<Self, (PathBuf, TextError)> {
        let readers = Self {
            disk: Arc::clone(disk),
            dir: dir.to_owned(),
            snapshots: dir.join("snapshots"),
            notices: Arc::clone(notices),
            by_name: Mutex::default(),
            list_file: Mutex::new(()),
            broken: Mutex::new(None),
        };
        // A name that a killed process gave may still be in memory only.
        disk.sync_dir(&readers.snapshots).map_err(|error| (readers.snapshots.clone(), TextError::Io(error)))?;
        readers.load_list().map_err(|error| (dir.join(LIST), error))?;
        for name in disk.list(&readers.snapshots).map_err(|error| (readers.snapshots.clone(), TextError::Io(error)))? {
            if name.ends_with("~new") {
                // Somebody was killed who wrote it. Where that cannot be removed, the reader's next snapshot takes its place.
                let _ = disk.remove(&readers.snapshots.join(&name));
                continue;
            }
            let reader = name.strip_suffix('~').unwrap_or(&name);
            if valid_name(reader) {
                readers.entry(reader);
            }
        }
        for (name, reader) in readers.all() {
            let former = readers.read_file(&name, true).ok().map(|snapshot| snapshot.positions);
            let current = match readers.read_file(&name, false) {
                Ok(snapshot) => Some(snapshot.positions),
                Err(FileError::Unknown(version)) => {
                    return Err((
                        readers.snapshots.join(&name),
                        TextError::Unknown(format!("format version {version}")),
                    ));
                }
                // Said when the reader asks for it, or here if it never does.
                Err(FileError::Bad(reason)) => {
                    notices.say(LogNotice::SnapshotUnusable { reader: name.clone(), reason });
                    None
                }
                Err(FileError::Missing) => None,
            };
            let mut state = lock(&reader.state);
            (state.current, state.former) = (current, former);
        }
        Ok(readers)
    }

    fn load_list(&self) -> Result<(), TextError> {
        let body = match load_lines(&*self.disk, &self.dir, LIST) {
            Ok(body) => body,
            Err(TextError::Missing) => return Ok(()),
            Err(TextError::Damaged(reason)) => {
                // The readers that live register again; one that does not is held to hold nothing.
                self.notices.say(LogNotice::SnapshotUnusable { reader: "(list of readers)".to_owned(), reason });
                return Ok(());
            }
            Err(other) => return Err(other),
        };
        for line in body.lines() {
            let mut words = line.split(' ');
            let Some(name) = words.next().filter(|name| valid_name(name)) else { continue };
            let reader = self.entry(name);
            let mut state = lock(&reader.state);
            for word in words {
                for (needed, lane) in state.lanes.iter_mut().zip(Lane::ALL) {
                    *needed |= lane.name() == word;
                }
            }
            state.listed = state.lanes;
        }
        Ok(())
    }

    fn entry(&self, name: &str) -> Arc<Reader> {
        Arc::clone(lock(&self.by_name).entry(name.to_owned()).or_default())
    }

    fn all(&self) -> Vec<(String, Arc<Reader>)> {
        lock(&self.by_name).iter().map(|(name, reader)| (name.clone(), Arc::clone(reader))).collect()
    }

    /// The names of all readers.
    pub(crate) fn names(&self) -> Vec<String> {
        lock(&self.by_name).keys().cloned().collect()
    }

    // --- what frees ------------------------------------------------------------------------------------------------

    /// Whether at least one reader needs `lane`, and all that do are past `last`.
    pub(crate) fn all_passed(&self, lane: Lane, last: u64) -> bool {
        let mut pins = self.all().into_iter().filter_map(|(_, reader)| {
            let state = lock(&reader.state);
            state.needs(lane).then(|| state.pin(lane))
        });
        pins.next().is_some_and(|first| first.0 >= last && pins.all(|pin| pin.0 >= last))
    }

    /// Whether a reader of `lane` is not past `last`.
    pub(crate) fn is_needed(&self, lane: Lane, last: u64) -> bool {
        self.all().into_iter().any(|(_, reader)| {
            let state = lock(&reader.state);
            state.needs(lane) && state.pin(lane).0 < last
        })
    }

    /// Readers of `lane` that have not come to `last` and were not told yet that they lose something; and where they are.
    pub(crate) fn fallen_behind(&self, lane: Lane, last: u64) -> Vec<(String, Seq)> {
        let behind = self.all().into_iter().filter_map(|(name, reader)| {
            let mut state = lock(&reader.state);
            let position = state.position(lane);
            if !state.needs(lane) || position.0 >= last {
                return None;
            }
            let told = state.told.get_mut(lane as usize)?;
            let news = *told <= position;
            *told = Seq(last);
            news.then_some((name, position))
        });
        behind.collect()
    }

    /// Snapshots that have seen more than the log holds: the disk was exchanged for an older copy.
    pub(crate) fn ahead_of(&self, lane: Lane, durable: u64) -> Vec<(String, Seq)> {
        let all = self.all().into_iter().map(|(name, reader)| (name, lock(&reader.state).position(lane)));
        all.filter(|(_, position)| position.0 > durable).collect()
    }

    // --- what readers do -------------------------------------------------------------------------------------------

    pub(crate) fn register(&self, name: &str, lanes: &[Lane]) -> Result<(), SnapshotError> {
        check_name(name)?;
        let _file = lock(&self.list_file);
        self.refuse_if_broken(name)?;
        let reader = self.entry(name);
        let wanted = Lane::ALL.map(|lane| lanes.contains(&lane));
        lock(&reader.state).lanes = wanted;
        if lock(&reader.state).listed == wanted {
            return Ok(());
        }
        self.save_list().map_err(|source| SnapshotError::Io { reader: name.to_owned(), doing: "register", source })?;
        lock(&reader.state).listed = wanted;
        Ok(())
    }

    /// Forgets a reader that will not come back, with its snapshots.
    pub(crate) fn forget(&self, name: &str) -> Result<(), SnapshotError> {
        check_name(name)?;
        let _file = lock(&self.list_file);
        self.refuse_if_broken(name)?;
        let Some(reader) = lock(&self.by_name).remove(name) else { return Ok(()) };
        let _snapshot = lock(&reader.files);
        let gone = self.save_list().and_then(|()| {
            for file in [name.to_owned(), format!("{name}~"), format!("{name}~new")] {
                match self.disk.remove(&self.snapshots.join(file)) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            self.sync_snapshots()
        });
        gone.map_err(|source| SnapshotError::Io { reader: name.to_owned(), doing: "forget", source })
    }

    fn save_list(&self) -> io::Result<()> {
        let mut body = String::new();
        for (name, reader) in self.all() {
            let state = lock(&reader.state);
            if !state.lanes.contains(&true) {
                continue;
            }
            body.push_str(&name);
            for lane in Lane::ALL.into_iter().filter(|lane| state.needs(*lane)) {
                body.push(' ');
                body.push_str(lane.name());
            }
            body.push('\n');
        }
        let saved = save_lines(&*self.disk, &self.dir, LIST, &body);
        self.note_broken(saved)
    }

    pub(crate) fn save(&self, name: &str, positions: Positions, content: &[u8]) -> Result<(), SnapshotError> {
        check_name(name)?;
        if content.len() as u64 > LIMIT - HEADER as u64 {
            let reason = format!("{} bytes are over the limit of {LIMIT}", content.len());
            return Err(SnapshotError::Unusable { reader: name.to_owned(), reason });
        }
        let reader = self.entry(name);
        let _files = lock(&reader.files);
        self.refuse_if_broken(name)?;
        let saved = self.save_files(name, &reader, &encode(name, positions, content), positions);
        saved.map_err(|source| SnapshotError::Io { reader: name.to_owned(), doing: "save", source })
    }

    fn save_files(&self, name: &str, reader: &Reader, bytes: &[u8], positions: Positions) -> io::Result<()> {
        let path = self.snapshots.join(name);
        let fresh = self.snapshots.join(format!("{name}~new"));
        if let Err(error) = write_new(&*self.disk, &fresh, bytes) {
            let _ = self.disk.remove(&fresh); // Removed again at the next try.
            return Err(error);
        }
        let good = lock(&reader.state).current;
        if let Some(current) = good {
            self.disk.rename(&path, &self.snapshots.join(format!("{name}~")))?;
            let mut state = lock(&reader.state);
            (state.current, state.former) = (None, Some(current));
        }
        self.disk.rename(&fresh, &path)?;
        self.sync_snapshots()?;
        lock(&reader.state).current = Some(positions);
        Ok(())
    }

    pub(crate) fn load(&self, name: &str) -> Result<Option<Snapshot>, SnapshotError> {
        check_name(name)?;
        let reader = self.entry(name);
        let _files = lock(&reader.files);
        let unusable = |reason: String| SnapshotError::Unusable { reader: name.to_owned(), reason };
        let newer =
            |version: u16| unusable(format!("format version {version} is of a later program; this one knows 1"));
        let problem = match self.read_file(name, false) {
            Ok(snapshot) => return Ok(Some(snapshot)),
            Err(FileError::Unknown(version)) => return Err(newer(version)),
            Err(FileError::Missing) => None,
            Err(FileError::Bad(reason)) => {
                lock(&reader.state).current = None; // It may not push out the former one.
                Some(reason)
            }
        };
        match (self.read_file(name, true), problem) {
            // A power cut between the two renames leaves just the former one; that is no damage.
            (Ok(former), None) => Ok(Some(former)),
            (Ok(former), Some(reason)) => {
                let reason = format!("{reason}; the former one is used");
                self.notices.say(LogNotice::SnapshotUnusable { reader: name.to_owned(), reason });
                Ok(Some(former))
            }
            (Err(FileError::Unknown(version)), _) => Err(newer(version)),
            (Err(_), Some(reason)) => Err(unusable(reason)),
            (Err(FileError::Missing), None) => Ok(None),
            (Err(FileError::Bad(reason)), None) => Err(unusable(reason)),
        }
    }

    fn read_file(&self, name: &str, former: bool) -> Result<Snapshot, FileError> {
        let path = self.snapshots.join(if former { format!("{name}~") } else { name.to_owned() });
        let bytes = read_bounded(&*self.disk, &path, LIMIT).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => FileError::Missing,
            _ => FileError::Bad(format!("could not read {}: {error}", path.display())),
        })?;
        decode(name, &bytes)
    }

    fn sync_snapshots(&self) -> io::Result<()> {
        let synced = self.disk.sync_dir(&self.snapshots);
        self.note_broken(synced)
    }

    /// After a failed folder sync nothing is known about the folder: no further save is believed.
    fn note_broken(&self, outcome: io::Result<()>) -> io::Result<()> {
        if let Err(error) = &outcome
            && !crate::disk::is_full(error)
        {
            *lock(&self.broken) = Some(error.to_string());
        }
        outcome
    }

    fn refuse_if_broken(&self, name: &str) -> Result<(), SnapshotError> {
        match &*lock(&self.broken) {
            None => Ok(()),
            Some(reason) => {
                let text = format!("an earlier sync failed ({reason}); restart to go on");
                Err(SnapshotError::Io { reader: name.to_owned(), doing: "save", source: io::Error::other(text) })
            }
        }
    }
}

fn checksum(name: &str, head: &[u8], content: &[u8]) -> u32 {
    let crc = crc32c::crc32c(name.as_bytes());
    crc32c::crc32c_append(crc32c::crc32c_append(crc, head), content)
}

fn encode(name: &str, positions: Positions, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + content.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&crate::FORMAT_VERSION.to_le_bytes());
    bytes.extend_from_slice(&(!crate::FORMAT_VERSION).to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for lane in Lane::ALL {
        bytes.extend_from_slice(&positions.get(lane).0.to_le_bytes());
    }
    bytes.extend_from_slice(&(content.len() as u64).to_le_bytes());
    let crc = checksum(name, &bytes, content);
    bytes.extend_from_slice(&crc.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(content);
    bytes
}

pub(crate) fn decode(name: &str, bytes: &[u8]) -> Result<Snapshot, FileError> {
    let bad = |reason: &str| FileError::Bad(reason.to_owned());
    let short = || bad("the file is too short");
    let version = u16::from_le_bytes(take(bytes, 8).ok_or_else(short)?);
    if bytes.get(..8) != Some(MAGIC.as_slice()) || take(bytes, 10) != Some((!version).to_le_bytes()) {
        return Err(bad("the file does not begin as a snapshot"));
    }
    if version != crate::FORMAT_VERSION {
        return Err(FileError::Unknown(version));
    }
    let number = |at: usize| take(bytes, at).map(u64::from_le_bytes).ok_or_else(short);
    let content = bytes.get(HEADER..).ok_or_else(short)?;
    let crc = u32::from_le_bytes(take(bytes, 48).ok_or_else(short)?);
    if number(40)? != content.len() as u64 || crc != checksum(name, bytes.get(..48).unwrap_or_default(), content) {
        return Err(bad("its checksum does not match"));
    }
    let mut positions = Positions::default();
    for (lane, at) in Lane::ALL.into_iter().zip([16, 24, 32]) {
        positions.set(lane, Seq(number(at)?));
    }
    Ok(Snapshot { positions, state: Bytes::copy_from_slice(content) })
}
