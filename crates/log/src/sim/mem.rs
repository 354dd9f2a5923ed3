//! Files in memory, with or without a journal of what was done to them.

use super::crash::{Journal, Op};
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lock;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Number of a file, whatever its name.
pub(super) type Inode = u64;

/// Folders, names and contents.
#[derive(Clone, Debug, Default)]
pub(super) struct Image {
    pub dirs: BTreeSet<PathBuf>,
    pub names: BTreeMap<PathBuf, Inode>,
    pub contents: BTreeMap<Inode, Arc<Vec<u8>>>,
}

impl Image {
    pub(super) fn write(&mut self, inode: Inode, offset: usize, bytes: &[u8]) {
        let content = Arc::make_mut(self.contents.entry(inode).or_default());
        let end = offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        if let Some(place) = content.get_mut(offset..end) {
            place.copy_from_slice(bytes);
        }
    }

    fn has_dir(&self, path: &Path) -> bool {
        path.as_os_str().is_empty() || path == Path::new("/") || self.dirs.contains(path)
    }

    /// Drops what stands in folders that do not exist.
    pub(super) fn prune(&mut self) {
        let whole: BTreeSet<_> =
            self.dirs.iter().filter(|dir| dir.ancestors().all(|up| self.has_dir(up))).cloned().collect();
        self.dirs = whole;
        let names = std::mem::take(&mut self.names);
        self.names = names.into_iter().filter(|(path, _)| path.parent().is_some_and(|dir| self.has_dir(dir))).collect();
        let named: BTreeSet<_> = self.names.values().copied().collect();
        self.contents.retain(|inode, _| named.contains(inode));
    }
}

#[derive(Debug, Default)]
struct Core {
    image: Image,
    next_inode: Inode,
    locks: BTreeSet<PathBuf>,
    /// Handles of an earlier generation belong to a killed process and do nothing.
    generation: u64,
    journal: Option<Vec<Op>>,
    skip_syncs: bool,
    space: Option<u64>,
}

impl Core {
    fn record(&mut self, op: impl FnOnce() -> Op) {
        if let Some(journal) = &mut self.journal {
            journal.push(op());
        }
    }

    fn used(&self) -> u64 {
        let named: BTreeSet<_> = self.image.names.values().collect();
        self.image.contents.iter().filter(|(inode, _)| named.contains(inode)).map(|(_, bytes)| bytes.len() as u64).sum()
    }
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct MemDisk {
    core: Arc<Mutex<Core>>,
    generation: u64,
}

impl MemDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(super) fn of_image(image: Image) -> Self {
        let next_inode = image.contents.keys().next_back().map_or(1, |last| last + 1);
        let core = Core { image, next_inode, ..Core::default() };
        Self { core: Arc::new(Mutex::new(core)), generation: 0 }
    }

    /// The same disk after the process that used it was killed: what it wrote is there, its handles and locks are void.
    #[must_use]
    pub fn kill(&self) -> Self {
        let mut core = lock(&self.core);
        core.generation += 1;
        core.locks.clear();
        Self { core: Arc::clone(&self.core), generation: core.generation }
    }

    /// Lets the disk hold this many bytes of files at most; `None`: no limit.
    pub fn set_space(&self, bytes: Option<u64>) {
        lock(&self.core).space = bytes;
    }

    /// Bytes of all files.
    #[must_use]
    pub fn used(&self) -> u64 {
        lock(&self.core).used()
    }

    /// The paths of all files, sorted.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        lock(&self.core).image.names.keys().cloned().collect()
    }

    /// Changes bytes of a file behind everybody's back, as a failing disk does: `damage(&mut content)`.
    /// # Errors
    /// There is no such file.
    pub fn damage(&self, path: &Path, damage: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let mut core = lock(&self.core);
        let inode = *core.image.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        damage(Arc::make_mut(core.image.contents.entry(inode).or_default()));
        Ok(())
    }

    fn alive(&self) -> io::Result<std::sync::MutexGuard<'_, Core>> {
        let core = lock(&self.core);
        if core.generation == self.generation { Ok(core) } else { Err(io::Error::other("this process was killed")) }
    }
}

impl Disk for MemDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut core = self.alive()?;
        let mut missing: Vec<_> = path.ancestors().filter(|dir| !core.image.has_dir(dir)).map(Path::to_owned).collect();
        while let Some(dir) = missing.pop() {
            core.image.dirs.insert(dir.clone());
            core.record(|| Op::MakeDir(dir));
        }
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let core = self.alive()?;
        if !core.image.has_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let inside = core.image.names.keys().filter(|path| path.parent() == Some(dir));
        Ok(inside.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let mut core = self.alive()?;
        let found = core.image.names.get(path).copied();
        let inode = match (found, mode) {
            (Some(_), OpenMode::CreateNew) => return Err(io::ErrorKind::AlreadyExists.into()),
            (Some(inode), _) => inode,
            (None, OpenMode::CreateNew) => {
                if !path.parent().is_some_and(|dir| core.image.has_dir(dir)) {
                    return Err(io::ErrorKind::NotFound.into());
                }
                core.next_inode += 1;
                let inode = core.next_inode;
                core.image.names.insert(path.to_owned(), inode);
                core.image.contents.insert(inode, Arc::default());
                core.record(|| Op::Create(path.to_owned(), inode));
                inode
            }
            (None, _) => return Err(io::ErrorKind::NotFound.into()),
        };
        Ok(Arc::new(MemFile { disk: self.clone(), inode }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut core = self.alive()?;
        let inode = core.image.names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        core.image.names.insert(to.to_owned(), inode);
        core.record(|| Op::Rename(from.to_owned(), to.to_owned(), inode));
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut core = self.alive()?;
        let inode = core.image.names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        core.record(|| Op::Remove(path.to_owned(), inode));
        Ok(())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut core = self.alive()?;
        if !core.skip_syncs {
            core.record(|| Op::SyncDir(dir.to_owned()));
        }
        Ok(())
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        if !self.alive()?.locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Unlock { disk: self.clone(), path: path.to_owned() }))
    }
}

/// Gives a lock back.
struct Unlock {
    disk: MemDisk,
    path: PathBuf,
}

impl Drop for Unlock {
    fn drop(&mut self) {
        if let Ok(mut core) = self.disk.alive() {
            core.locks.remove(&self.path);
        }
    }
}

#[derive(Debug)]
struct MemFile {
    disk: MemDisk,
    inode: Inode,
}

impl DiskFile for MemFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let core = self.disk.alive()?;
        let content = core.image.contents.get(&self.inode).ok_or(io::ErrorKind::NotFound)?;
        let rest = usize::try_from(offset).ok().and_then(|start| content.get(start..)).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        for (place, byte) in buffer.iter_mut().zip(rest) {
            *place = *byte;
        }
        Ok(length)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let mut core = self.disk.alive()?;
        let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
        let size = core.image.contents.get(&self.inode).map_or(0, |content| content.len());
        let grows = (start + bytes.len()).saturating_sub(size) as u64;
        if grows > 0 && core.space.is_some_and(|space| core.used() + grows > space) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        core.image.write(self.inode, start, bytes);
        core.record(|| Op::Write(self.inode, start, Arc::from(bytes)));
        Ok(bytes.len())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut core = self.disk.alive()?;
        if !core.skip_syncs {
            core.record(|| Op::Sync(self.inode));
        }
        Ok(())
    }

    fn size(&self) -> io::Result<u64> {
        let core = self.disk.alive()?;
        core.image.contents.get(&self.inode).map(|content| content.len() as u64).ok_or(io::ErrorKind::NotFound.into())
    }
}

/// A disk in memory that writes down what is done to it. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct RecordingDisk {
    disk: MemDisk,
    base: Image,
}

impl RecordingDisk {
    /// An empty disk.
    #[must_use]
    pub fn new() -> Self {
        Self::over(&MemDisk::new())
    }

    /// A copy of `disk`, all of which counts as synced.
    #[must_use]
    pub fn over(disk: &MemDisk) -> Self {
        let base = lock(&disk.core).image.clone();
        let disk = MemDisk::of_image(base.clone());
        lock(&disk.core).journal = Some(Vec::new());
        Self { disk, base }
    }

    /// From now on syncs say "done" and do nothing: the planted fault that the proofs must find.
    pub fn skip_syncs(&self) {
        lock(&self.disk.core).skip_syncs = true;
    }

    /// As [`MemDisk::kill`].
    #[must_use]
    pub fn kill(&self) -> Self {
        Self { disk: self.disk.kill(), base: self.base.clone() }
    }

    /// How many things were done so far.
    #[must_use]
    pub fn position(&self) -> usize {
        lock(&self.disk.core).journal.as_ref().map_or(0, Vec::len)
    }

    /// What was done so far.
    #[must_use]
    pub fn journal(&self) -> Journal {
        Journal { base: self.base.clone(), ops: lock(&self.disk.core).journal.clone().unwrap_or_default() }
    }

    /// The disk in memory itself, for its space and its damage.
    #[must_use]
    pub const fn memory(&self) -> &MemDisk {
        &self.disk
    }

    /// A sync of `file` failed: what it should have saved is lost.
    pub(super) fn lose(&self, path: &Path) {
        let mut core = lock(&self.disk.core);
        if let Some(inode) = core.image.names.get(path).copied() {
            core.record(|| Op::Lose(inode));
        }
    }
}

impl Default for RecordingDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl Disk for RecordingDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.disk.list(dir)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.disk.open(path, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.disk.lock(path)
    }
}
