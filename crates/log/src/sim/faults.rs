//! A disk whose n-th call fails.

use super::mem::RecordingDisk;
use crate::disk::{Disk, DiskFile, OpenMode};
use crate::lock;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How a call fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// An I/O error. A write has done half of its work; a sync has lost what it should have saved, and the next one
    /// "succeeds".
    Eio,
    /// No space left; a write has done half of its work.
    Enospc,
    /// A write or read does half of its work and says so. Other calls are not touched.
    Short,
}

#[derive(Debug)]
struct Plan {
    fail_at: u64,
    fault: Fault,
    for_ever: bool,
    calls: u64,
    hit: Option<&'static str>,
}

/// Fails the n-th call to a [`RecordingDisk`]. Clones share the plan.
#[derive(Clone, Debug)]
pub struct FaultyDisk {
    disk: RecordingDisk,
    plan: Arc<Mutex<Plan>>,
}

impl FaultyDisk {
    /// Fails call number `fail_at` (the first is 1; 0: none), and with `for_ever` all calls after it.
    #[must_use]
    pub fn new(disk: RecordingDisk, fail_at: u64, fault: Fault, for_ever: bool) -> Self {
        let plan = Plan { fail_at, fault, for_ever, calls: 0, hit: None };
        Self { disk, plan: Arc::new(Mutex::new(plan)) }
    }

    /// How many calls there were so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        lock(&self.plan).calls
    }

    /// The name of the first call that failed.
    #[must_use]
    pub fn hit(&self) -> Option<&'static str> {
        lock(&self.plan).hit
    }

    /// Counts a call; gives the fault if it is this one's turn.
    fn fault(&self, call: &'static str) -> Option<Fault> {
        let mut plan = lock(&self.plan);
        plan.calls += 1;
        let now = plan.fail_at > 0 && (plan.calls == plan.fail_at || plan.for_ever && plan.calls > plan.fail_at);
        if now {
            plan.hit.get_or_insert(call);
        }
        now.then_some(plan.fault)
    }

    /// For calls that either happen or not.
    fn gate(&self, call: &'static str) -> io::Result<()> {
        match self.fault(call) {
            None | Some(Fault::Short) => Ok(()),
            Some(fault) => Err(error(fault)),
        }
    }
}

fn error(fault: Fault) -> io::Error {
    match fault {
        Fault::Enospc => io::ErrorKind::StorageFull.into(),
        Fault::Eio | Fault::Short => io::Error::other("simulated I/O error"),
    }
}

impl Disk for FaultyDisk {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.gate("create_dir_all")?;
        self.disk.create_dir_all(path)
    }
    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.gate("list")?;
        self.disk.list(dir)
    }
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        self.gate("open")?;
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { disk: self.clone(), file, path: path.to_owned() }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.gate("rename")?;
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.gate("remove")?;
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.gate("sync_dir")?;
        self.disk.sync_dir(dir)
    }
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.gate("lock")?;
        self.disk.lock(path)
    }
}

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    file: Arc<dyn DiskFile>,
    /// The name under which it was opened.
    path: PathBuf,
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match self.disk.fault("read_at") {
            None => self.file.read_at(buffer, offset),
            Some(Fault::Short) => {
                let half = buffer.len().div_ceil(2);
                self.file.read_at(buffer.get_mut(..half).unwrap_or_default(), offset)
            }
            Some(fault) => Err(error(fault)),
        }
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let fault = self.disk.fault("write_at");
        let half = bytes.get(..bytes.len().div_ceil(2)).unwrap_or_default();
        match fault {
            None => self.file.write_at(bytes, offset),
            Some(Fault::Short) => self.file.write_at(half, offset),
            Some(fault) => {
                self.file.write_at(half, offset)?;
                Err(error(fault))
            }
        }
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.disk.fault("sync_data") {
            None | Some(Fault::Short) => self.file.sync_data(),
            Some(fault) => {
                self.disk.disk.lose(&self.path);
                Err(error(fault))
            }
        }
    }

    fn size(&self) -> io::Result<u64> {
        self.disk.gate("size")?;
        self.file.size()
    }
}
