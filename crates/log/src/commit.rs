//! The writer of one lane: takes the open group, seals it, writes it once, syncs once, tells.

use crate::disk::{Disk, DiskFile, OpenMode, is_full, write_full_at};
use crate::frame::{self, FRAME_HEADER, FrameHeader, SEGMENT_HEADER, Seed, SegmentHeader};
use crate::keeper::{Stock, Trouble};
use crate::lane::LaneCore;
use crate::lock;
use crate::notice::LogNotice;
use crate::segment::{Segment, segment_path};
use andon_model::log::AppendError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// A mark always fits at a segment's end.
const RESERVED_END: u64 = FRAME_HEADER as u64;

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct Active {
    pub file: Arc<dyn DiskFile>,
    pub segment: Arc<Segment>,
    /// Where the next frame goes.
    pub end: u64,
    pub header_written: bool,
}

/// What a step of the writer came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Step {
    /// There was nothing to write.
    Idle,
    /// A group was written and synced.
    Done,
    /// The group waits for space.
    Full,
    /// The lane is poisoned.
    Dead,
}

/// Writes one lane. Only one thread at a time holds it.
#[derive(Debug)]
pub(crate) struct Writer {
    pub core: Arc<LaneCore>,
    pub disk: Arc<dyn Disk>,
    pub dir: PathBuf,
    pub salt: u64,
    pub stock: Arc<Stock>,
    pub active: Option<Active>,
    /// The group in work, and how much of it is synced.
    pub group: Vec<u8>,
    pub synced: usize,
    /// Number and place of each frame of the part in work; kept to be reused.
    pub places: Vec<(u64, usize)>,
}

impl Writer {
    /// Writes and syncs one group, if there is one (or goes on with the one that waits for space).
    pub(crate) fn step(&mut self) -> Step {
        if matches!(self.core.refusal(), Some(AppendError::Poisoned { .. } | AppendError::Closed)) {
            return Step::Dead;
        }
        if self.synced >= self.group.len() {
            let empty = std::mem::take(&mut self.group);
            self.group = self.core.take_group(empty);
            self.synced = 0;
            if self.group.is_empty() {
                return Step::Idle;
            }
        }
        match self.write_group() {
            Ok(()) => {
                self.finish_group();
                Step::Done
            }
            Err(Trouble::Full) => {
                self.wait_full();
                Step::Full
            }
            Err(Trouble::Broken(reason)) => {
                self.core.poison(reason);
                Step::Dead
            }
        }
    }

    fn finish_group(&mut self) {
        self.core.counters.groups.fetch_add(1, Ordering::Relaxed);
        self.group.clear();
        self.synced = 0;
        if self.group.capacity() > 4 * self.core.options.group_bytes {
            self.group = Vec::new(); // A burst's buffer is not kept.
        }
        if matches!(self.core.refusal(), Some(AppendError::DiskFull { .. })) {
            self.core.accept_again();
            self.core.notices.say(LogNotice::SpaceAgain { lane: self.core.lane });
        }
        self.core.group_done();
    }

    fn wait_full(&self) {
        let lane = self.core.lane;
        if self.core.refusal().is_none() {
            self.core.notices.say(LogNotice::DiskFull { lane, refusing: true });
            self.core.refuse(&AppendError::DiskFull { lane });
        }
    }

    /// Writes the group part by part: as much as fits into the segment, then the next segment.
    fn write_group(&mut self) -> Result<(), Trouble> {
        while let Some(next) = self.group.get(self.synced..).and_then(FrameHeader::trusted) {
            let fits = self.fitting_bytes();
            if fits == 0 {
                self.rotate(next.seq, next.length as u64)?;
            } else {
                self.write_part(self.synced + fits)?;
            }
        }
        Ok(())
    }

    /// How many bytes of whole frames fit into the active segment.
    fn fitting_bytes(&self) -> usize {
        let Some(active) = &self.active else { return 0 };
        let room = active.segment.size.saturating_sub(active.end).saturating_sub(RESERVED_END);
        let rest = self.group.get(self.synced..).unwrap_or_default();
        if rest.len() as u64 <= room {
            return rest.len();
        }
        let mut fits = 0;
        while let Some(header) = rest.get(fits..).and_then(FrameHeader::trusted) {
            if (fits + header.length) as u64 > room {
                break;
            }
            fits += header.length;
        }
        fits
    }

    /// Seals, writes, syncs and publishes the frames before `until`.
    fn write_part(&mut self, until: usize) -> Result<(), Trouble> {
        let Some(active) = &mut self.active else { return Ok(()) };
        let Some(part) = self.group.get_mut(self.synced..until) else { return Ok(()) };
        let segment = &active.segment;
        self.places.clear();
        frame::seal(part, segment.seed, active.end, |seq, at| self.places.push((seq, at)));
        let broken = |doing: &str, error: &io::Error| {
            Trouble::Broken(format!("could not {doing} {}: {error}", segment.path.display()))
        };
        if !active.header_written {
            let header = SegmentHeader {
                lane: self.core.lane,
                node: self.core.node,
                epoch: self.core.epoch,
                first_seq: segment.first,
                created: segment.created,
                salt: self.salt,
            };
            write_full_at(&*active.file, &header.encode(), 0).map_err(|error| broken("write", &error))?;
            active.header_written = true;
        }
        write_full_at(&*active.file, part, active.end).map_err(|error| broken("write", &error))?;
        let began = self.core.clock.0.monotonic();
        active.file.sync_data().map_err(|error| broken("sync", &error))?;
        self.core.counters.note_sync(self.core.clock.0.monotonic().saturating_sub(began));
        for (seq, at) in &self.places {
            segment.note_place(*seq, active.end + *at as u64);
        }
        active.end += part.len() as u64;
        segment.set_end(active.end);
        lock(&self.core.tail).push(part, &self.places);
        self.core.counters.note_frames(self.places.len(), part.len());
        self.synced = until;
        if let Some((last, _)) = self.places.last() {
            self.core.publish(*last);
        }
        Ok(())
    }

    /// Begins the segment whose first frame is `first_seq`, with room for a frame of `need` bytes.
    ///
    /// All before `first_seq` is synced, so the new file's name proves the old one complete.
    fn rotate(&mut self, first_seq: u64, need: u64) -> Result<(), Trouble> {
        let former = self.active.as_ref().map(|active| active.segment.size);
        let need = need + SEGMENT_HEADER as u64 + RESERVED_END;
        let wanted = self.core.options.next_segment_bytes(self.core.lane, former).max(need);
        let spare = self.stock.take(need, wanted)?;
        let path = segment_path(&self.dir, first_seq);
        let broken =
            |doing: &str, error: &io::Error| Trouble::Broken(format!("could not {doing} {}: {error}", path.display()));
        if let Err(error) = self.disk.rename(&spare.path, &path) {
            let full = is_full(&error);
            self.stock.give_back(spare);
            return Err(if full { Trouble::Full } else { broken("name", &error) });
        }
        self.disk.sync_dir(&self.dir).map_err(|error| broken("sync the name of", &error))?;
        let file = self.disk.open(&path, OpenMode::Write).map_err(|error| broken("open", &error))?;
        let seed = Seed::new(self.salt, self.core.lane, first_seq);
        let end = SEGMENT_HEADER as u64;
        let segment = Arc::new(Segment::new(first_seq, path, spare.size, self.core.clock.0.now(), seed, end));
        lock(&self.core.segments).insert(first_seq, Arc::clone(&segment));
        self.active = Some(Active { file, segment, end, header_written: false });
        self.stock.want(self.core.options.next_segment_bytes(self.core.lane, Some(spare.size)));
        Ok(())
    }

    /// Ends the lane's life in this process: writes the mark that says all is synced, and refuses from now on.
    pub(crate) fn finish(&mut self) {
        let all_written = self.core.refusal().is_none() && self.synced >= self.group.len();
        if all_written && let Err(error) = self.write_mark() {
            tracing::warn!(lane = self.core.lane.name(), %error, "the log closed without its mark");
        }
        self.core.refuse(&AppendError::Closed);
    }

    fn write_mark(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|active| active.header_written) else { return Ok(()) };
        if active.segment.size.saturating_sub(active.end) < RESERVED_END {
            return Ok(());
        }
        let next = self.core.durable_seq().saturating_add(1);
        let mark = frame::mark(active.segment.seed, active.end, self.core.epoch, next, self.core.clock.0.now());
        write_full_at(&*active.file, &mark, active.end)?;
        active.file.sync_data()
    }
}

/// Runs a lane until it closes or is poisoned.
pub(crate) fn run(core: &LaneCore, writer: &std::sync::Mutex<Writer>) {
    let _guard = StopGuard(core);
    let mut busy = false;
    while core.wait_for_group(busy) {
        let mut step = lock(writer).step();
        while step == Step::Full && core.wait_for_space() {
            step = lock(writer).step();
        }
        busy = step == Step::Done;
        if matches!(step, Step::Dead | Step::Full) {
            break;
        }
    }
    lock(writer).finish();
}

/// If the writer's thread ends by a panic, nobody may wait for it for ever.
struct StopGuard<'a>(&'a LaneCore);

impl Drop for StopGuard<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.poison("the writer ended by a fault of the program".to_owned());
        }
    }
}
