//! Keeps each lane supplied with zeroed segments and frees what nobody needs any more.
//!
//! A segment is zeroed and synced before it is used: then a group's sync moves data only (no block allocation, no
//! length to write), and "no space" is met here, where nothing has been promised. The records lane holds a reserve of
//! such segments besides, for the day the disk is full.

use crate::disk::{Disk, OpenMode, is_full, write_full_at};
use crate::lane::LaneCore;
use crate::lock;
use crate::notice::{LogNotice, Notices};
use crate::options::{KeepPolicy, LogOptions};
use crate::segment::Segment;
use crate::snapshot::Readers;
use andon_model::log::{Gap, Lane, Seq};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Zeros are written and synced in pieces of this size, so that no other lane's sync has to wait for many of them.
const PIECE_BYTES: usize = 1 << 20;

/// Why a lane cannot go on.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No space; passes.
    Full,
    /// A failed call; the lane is to be poisoned.
    Broken(String),
}

/// A zeroed, synced file that waits to become a segment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Spare {
    pub path: PathBuf,
    pub size: u64,
}

#[derive(Debug, Default)]
struct Shelf {
    spare: Option<Spare>,
    reserve: Vec<Spare>,
    /// Names of files never repeat within a process.
    next_name: u64,
    /// No space was found; said once.
    short: bool,
}

/// A lane's supply of segments.
#[derive(Debug)]
pub(crate) struct Stock {
    lane: Lane,
    dir: PathBuf,
    disk: Arc<dyn Disk>,
    options: Arc<LogOptions>,
    notices: Arc<Notices>,
    shelf: Mutex<Shelf>,
    /// Held while the next segment is being zeroed, so that it is not zeroed twice.
    zeroing: Mutex<()>,
    wanted: AtomicU64,
    stop: AtomicBool,
}

/// The kind and size a spare file's name tells: `spare-<number>-<size>.pre`, `reserve-<number>-<size>.pre`.
fn spare_name(name: &str) -> Option<(bool, u64)> {
    let (kind, rest) = name.strip_suffix(".pre")?.split_once('-')?;
    let size = rest.split_once('-')?.1.parse().ok()?;
    matches!(kind, "spare" | "reserve").then_some((kind == "reserve", size))
}

impl Stock {
    /// Takes over the spare files of an earlier life; those that are not whole are removed.
    pub(crate) fn open(
        lane: Lane,
        dir: &Path,
        names: &[String],
        former: Option<u64>,
        disk: &Arc<dyn Disk>,
        options: &Arc<LogOptions>,
        notices: &Arc<Notices>,
    ) -> io::Result<Self> {
        let wanted = options.next_segment_bytes(lane, former);
        let mut shelf = Shelf::default();
        let mut found: Vec<_> = names.iter().filter(|name| name.ends_with(".pre")).collect();
        found.sort();
        for name in found {
            let path = dir.join(name);
            let whole =
                spare_name(name).filter(|(_, size)| file_size(&**disk, &path).is_ok_and(|found| found == *size));
            let spare = |size| Spare { path: path.clone(), size };
            match whole {
                Some((true, size)) if shelf.reserve.len() < options.reserve_segments(lane) => {
                    shelf.reserve.push(spare(size))
                }
                Some((false, size)) if shelf.spare.is_none() && size >= wanted => shelf.spare = Some(spare(size)),
                _ => disk.remove(&path)?,
            }
            let number = name.split('-').nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
            shelf.next_name = shelf.next_name.max(number.saturating_add(1));
        }
        let stock = Self {
            lane,
            dir: dir.to_owned(),
            disk: Arc::clone(disk),
            options: Arc::clone(options),
            notices: Arc::clone(notices),
            shelf: Mutex::new(shelf),
            zeroing: Mutex::new(()),
            wanted: AtomicU64::new(wanted),
            stop: AtomicBool::new(false),
        };
        stock.sync_found()?;
        Ok(stock)
    }

    /// What an earlier life left may never have been synced.
    fn sync_found(&self) -> io::Result<()> {
        let shelf = lock(&self.shelf);
        for spare in shelf.spare.iter().chain(&shelf.reserve) {
            self.disk.open(&spare.path, OpenMode::Write)?.sync_data()?;
        }
        Ok(())
    }

    /// Sets the size of the next spare segment.
    pub(crate) fn want(&self, size: u64) {
        self.wanted.store(size, Ordering::Release);
    }

    /// Makes long work end soon.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Release);
    }

    /// How many reserve segments are held.
    pub(crate) fn reserve_len(&self) -> usize {
        lock(&self.shelf).reserve.len()
    }

    /// Gives a segment of at least `need` bytes: the spare one, else a new one of `wanted` bytes, else one of the reserve.
    pub(crate) fn take(&self, need: u64, wanted: u64) -> Result<Spare, Trouble> {
        if let Some(spare) = self.take_spare(need) {
            return Ok(spare);
        }
        let _zeroing = lock(&self.zeroing);
        if let Some(spare) = self.take_spare(need) {
            return Ok(spare); // The keeper had just been at it.
        }
        match self.allocate("spare", wanted, false) {
            Err(Trouble::Full) => self.take_reserve(need).ok_or(Trouble::Full),
            other => other,
        }
    }

    fn take_spare(&self, need: u64) -> Option<Spare> {
        let mut shelf = lock(&self.shelf);
        shelf.spare.take_if(|spare| spare.size >= need)
    }

    fn take_reserve(&self, need: u64) -> Option<Spare> {
        let mut shelf = lock(&self.shelf);
        let at = shelf.reserve.iter().position(|spare| spare.size >= need)?;
        let spare = shelf.reserve.swap_remove(at);
        let segments_left = shelf.reserve.len();
        drop(shelf);
        self.notices.say(LogNotice::ReserveInUse { segments_left });
        Some(spare)
    }

    /// Takes back a segment that could not be put to use.
    pub(crate) fn give_back(&self, spare: Spare) {
        let mut shelf = lock(&self.shelf);
        if shelf.spare.is_none() {
            shelf.spare = Some(spare);
        } else {
            shelf.reserve.push(spare);
        }
    }

    /// Makes the spare segment and the reserve whole.
    pub(crate) fn refill(&self) -> Result<(), Trouble> {
        let outcome = self.refill_spare().and_then(|()| self.refill_reserve());
        if self.stop.load(Ordering::Acquire) {
            return Ok(()); // Broken off by the close, whatever it looks like.
        }
        let full = matches!(outcome, Err(Trouble::Full));
        if outcome.is_ok() || full {
            let changed = std::mem::replace(&mut lock(&self.shelf).short, full) != full;
            if changed && full {
                self.notices.say(LogNotice::DiskFull { lane: self.lane, refusing: false });
            } else if changed {
                self.notices.say(LogNotice::SpaceAgain { lane: self.lane });
            }
        }
        if full { Ok(()) } else { outcome }
    }

    fn refill_spare(&self) -> Result<(), Trouble> {
        let _zeroing = lock(&self.zeroing);
        if lock(&self.shelf).spare.is_some() {
            return Ok(());
        }
        let spare = self.allocate("spare", self.wanted.load(Ordering::Acquire), true)?;
        lock(&self.shelf).spare = Some(spare);
        Ok(())
    }

    fn refill_reserve(&self) -> Result<(), Trouble> {
        while self.reserve_len() < self.options.reserve_segments(self.lane) && !self.stop.load(Ordering::Acquire) {
            let spare = self.allocate("reserve", self.options.lane_segment_bytes(self.lane), true)?;
            lock(&self.shelf).reserve.push(spare);
        }
        Ok(())
    }

    /// Makes a zeroed, synced file. Whatever fails, no half file stays. `stoppable`: gives up when the log closes.
    fn allocate(&self, kind: &str, size: u64, stoppable: bool) -> Result<Spare, Trouble> {
        let number = {
            let mut shelf = lock(&self.shelf);
            shelf.next_name += 1;
            shelf.next_name
        };
        let path = self.dir.join(format!("{kind}-{number:06}-{size}.pre"));
        let made = self.write_zeros(&path, size, stoppable).and_then(|()| self.disk.sync_dir(&self.dir));
        made.map(|()| Spare { path: path.clone(), size }).map_err(|error| {
            let _ = self.disk.remove(&path); // A leftover is found and removed at the next start.
            if is_full(&error) || error.kind() == io::ErrorKind::Interrupted {
                Trouble::Full
            } else {
                Trouble::Broken(format!("could not prepare {}: {error}", path.display()))
            }
        })
    }

    fn write_zeros(&self, path: &Path, size: u64, stoppable: bool) -> io::Result<()> {
        let file = self.disk.open(path, OpenMode::CreateNew)?;
        let zeros = vec![0; PIECE_BYTES.min(usize::try_from(size).unwrap_or(PIECE_BYTES))];
        let mut done = 0;
        while done < size {
            if stoppable && self.stop.load(Ordering::Acquire) {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let piece = usize::try_from(size - done).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
            write_full_at(&*file, zeros.get(..piece).unwrap_or_default(), done)?;
            file.sync_data()?;
            done += piece as u64;
        }
        Ok(())
    }
}

fn file_size(disk: &dyn Disk, path: &Path) -> io::Result<u64> {
    disk.open(path, OpenMode::Read)?.size()
}

/// One lane's tidying.
#[derive(Debug)]
pub(crate) struct LaneKeeper {
    pub core: Arc<LaneCore>,
    pub stock: Arc<Stock>,
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub readers: Arc<Readers>,
    /// How many want every segment kept; held while one is removed.
    pub kept: Arc<Mutex<usize>>,
}

impl LaneKeeper {
    /// Frees what may go, then refills the stock.
    pub(crate) fn tidy(&self) {
        if self.core.refusal().is_some_and(|reason| !matches!(reason, andon_model::log::AppendError::DiskFull { .. })) {
            return;
        }
        if let Err(Trouble::Broken(reason)) = self.free_segments().and_then(|()| self.stock.refill()) {
            self.core.poison(reason);
        }
        self.core.kick();
    }

    /// Frees the oldest segments, one by one. Each removal is synced before the next, so that a power cut cannot leave a
    /// hole in the row of segments.
    fn free_segments(&self) -> Result<(), Trouble> {
        loop {
            let kept = lock(&self.kept);
            let Some((oldest, last)) = self.freeable().filter(|_| *kept == 0) else { return Ok(()) };
            if let Err(error) = self.disk.remove(&oldest.path) {
                let reason = format!("could not remove {}: {error}", oldest.path.display());
                self.core.notices.say(LogNotice::Untidy { lane: self.core.lane, reason });
                return Ok(());
            }
            lock(&self.core.segments).remove(&oldest.first);
            let synced = self.disk.sync_dir(&self.dir);
            synced.map_err(|error| Trouble::Broken(format!("could not sync {}: {error}", self.dir.display())))?;
            drop(kept);
            self.tell_readers_behind(oldest.first, last);
        }
    }

    /// The oldest segment and its last number, if it may be freed. The segment that is being written never is.
    fn freeable(&self) -> Option<(Arc<Segment>, u64)> {
        let segments = lock(&self.core.segments);
        let mut row = segments.values();
        let (oldest, second) = (row.next()?, row.next()?);
        let last = second.first.saturating_sub(1);
        let limits = self.core.options.retention.get(self.core.lane as usize)?;
        let total: u64 = segments.values().map(|segment| segment.size).sum();
        let age = self.core.clock.0.now().since(second.created);
        let over =
            limits.max_bytes.is_some_and(|limit| total > limit) || limits.max_age.is_some_and(|limit| age > limit);
        let found = (Arc::clone(oldest), last);
        drop(segments);
        let read = limits.keep == KeepPolicy::UntilRead && self.readers.all_passed(self.core.lane, last);
        let held = limits.held_bytes.is_some_and(|most| total <= most) && self.readers.is_needed(self.core.lane, last);
        ((over && !held) || read).then_some(found)
    }

    /// The last number of what a reader still needs and will lose when half as much again is written: so that the
    /// oldest quarter is taken elsewhere before it is freed. 0: there is none.
    pub(crate) fn pressed(&self) -> Seq {
        let segments = lock(&self.core.segments);
        let held = self.core.options.retention.get(self.core.lane as usize).and_then(|limits| limits.held_bytes);
        let Some(most) = held else { return Seq(0) };
        let mut total: u64 = segments.values().map(|segment| segment.size).sum();
        let mut pressed = 0;
        if total > most / 4 * 3 {
            let mut row = segments.values().peekable();
            while let Some(segment) = row.next().filter(|_| total > most / 2) {
                let Some(following) = row.peek() else { break };
                pressed = following.first.saturating_sub(1);
                total = total.saturating_sub(segment.size);
            }
        }
        drop(segments);
        Seq(pressed)
    }

    /// Frames that a reader still needed are gone: a notice for each reader, a gap record in the lane.
    fn tell_readers_behind(&self, first: u64, last: u64) {
        let lane = self.core.lane;
        for (reader, position) in self.readers.fallen_behind(lane, last) {
            let from = Seq(position.0.saturating_add(1).max(first));
            let reason = format!("freed by the {} lane's retention before \"{reader}\" had read it", lane.name());
            let gap = Gap { from, to: Seq(last), reason };
            self.core.append_gap(&gap);
            self.core.notices.say(LogNotice::ReaderGap { reader, lane, gap });
        }
    }
}

/// Wakes the keeper's thread, or ends it.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<(bool, bool)>,
    changed: Condvar,
}

impl Bell {
    /// There may be something to tidy.
    pub(crate) fn ring(&self) {
        lock(&self.state).0 = true;
        self.changed.notify_one();
    }

    pub(crate) fn stop(&self) {
        lock(&self.state).1 = true;
        self.changed.notify_one();
    }

    /// Waits for a ring, a second at most; `false` to end.
    fn wait(&self) -> bool {
        let state = lock(&self.state);
        let waited = self.changed.wait_timeout_while(state, Duration::from_secs(1), |(rung, stop)| !*rung && !*stop);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.0 = false;
        !state.1
    }
}

/// Tidies all lanes until stopped.
pub(crate) fn run(lanes: &[LaneKeeper], bell: &Bell) {
    loop {
        lanes.iter().for_each(LaneKeeper::tidy);
        if !bell.wait() {
            return;
        }
    }
}
