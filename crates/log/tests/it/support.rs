//! A workload that notes what it was promised, and the check that a disk keeps it.

use andon_log::sim::{FaultyDisk, HandClock, MemDisk, RecordingDisk, SeededRandom};
use andon_log::{
    Disk, DurableLog, Frame, FrameKind, Gap, KeepPolicy, Lane, LaneRetention, Log, LogOptions, OpenError, OpenReport,
    Positions, Seq,
};
use andon_model::Timestamp;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake};
use uuid::Uuid;

pub const KIND: FrameKind = FrameKind { kind: 99, version: 1 };
pub const NODE: Uuid = Uuid::from_u128(0xa11d0);
pub const READER: &str = "historian";

pub fn dir() -> &'static Path {
    Path::new("/data/log")
}

/// Tiny segments and no threads, so that a short workload meets everything.
pub fn tiny() -> LogOptions {
    let forever = LaneRetention { max_bytes: None, max_age: None, keep: KeepPolicy::ByRetention, held_bytes: None };
    LogOptions {
        segment_bytes: 4096,
        records_segment_bytes: 4096,
        first_segment_bytes: 1024,
        tail_bytes: 0,
        retention: [
            forever,
            LaneRetention { max_bytes: Some(10 << 10), ..forever },
            LaneRetention { keep: KeepPolicy::UntilRead, ..forever },
        ],
        records_reserve_bytes: 4096,
        background: false,
        random: Arc::new(SeededRandom::new(7)),
        ..LogOptions::default()
    }
}

pub fn clock() -> Arc<HandClock> {
    Arc::new(HandClock::new(Timestamp::from_millis(1_800_000_000_000)))
}

pub fn open_on(disk: Arc<dyn Disk>, options: LogOptions) -> Result<(Arc<DurableLog>, OpenReport), OpenError> {
    DurableLog::open(dir(), NODE, options, disk, clock())
}

/// What a frame holds is a matter of its lane, number and epoch; its length of lane and number alone, so that a frame of
/// an earlier epoch would fit where one of a later epoch stood.
pub fn payload(lane: Lane, seq: u64, epoch: u64) -> Vec<u8> {
    let mix = (seq * 3 + lane as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    let length = match mix % 16 {
        0 => 0,
        1 => 3000,
        2..=4 => 500 + mix % 300,
        _ => 8 + mix % 120,
    };
    let byte = u8::try_from((seq * 7 + epoch * 31) % 255 + 1).unwrap();
    vec![byte; usize::try_from(length).unwrap()]
}

/// Reads all a lane holds.
pub fn read_lane(log: &DurableLog, lane: Lane) -> (Vec<Frame>, Vec<Gap>) {
    let (mut frames, mut gaps) = (Vec::new(), Vec::new());
    let mut next = log.first_seq(lane).max(Seq(1));
    while next <= log.durable_seq(lane) {
        let batch = log.read(lane, next, 3000).unwrap();
        assert!(batch.next > next, "reading must come on");
        next = batch.next;
        frames.extend(batch.frames);
        gaps.extend(batch.gaps);
    }
    (frames, gaps)
}

/// Something the log promised, and the journal's position when it did.
#[derive(Clone, Debug)]
pub struct Fact {
    pub at: usize,
    pub what: What,
}

#[derive(Clone, Debug)]
pub enum What {
    Durable(Lane, u64),
    Snapshot(u64),
    Epoch(u64),
}

/// When the workload takes a frame for acknowledged.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ack {
    WhenDurable,
    /// The planted fault: before the sync.
    WhenAppended,
}

/// What a workload was promised.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    pub facts: Vec<Fact>,
    /// The highest number ever given out, per lane.
    pub numbered: [u64; 3],
    pub snapshots: u64,
}

impl Promises {
    pub fn note(&mut self, at: usize, what: What) {
        self.facts.push(Fact { at, what });
    }

    fn highest(&self, position: usize, pick: impl Fn(&What) -> Option<u64>) -> u64 {
        self.facts.iter().filter(|fact| fact.at <= position).filter_map(|fact| pick(&fact.what)).max().unwrap_or(0)
    }

    pub fn durable(&self, lane: Lane, position: usize) -> u64 {
        self.highest(position, |what| match what {
            What::Durable(of, seq) if *of == lane => Some(*seq),
            _ => None,
        })
    }

    /// Whether `disk`, found after the first `position` calls, keeps every promise made until then; the reopened log.
    pub fn check(&self, disk: Arc<dyn Disk>, position: usize) -> Result<Arc<DurableLog>, String> {
        let (log, report) = open_on(disk, tiny()).map_err(|error| format!("does not open: {error:?}"))?;
        let oddities = (&report.notices, &report.notes);
        if !oddities.0.is_empty() || !oddities.1.is_empty() || report.lanes.iter().any(|lane| !lane.damage.is_empty()) {
            return Err(format!("takes a power cut for damage: {report:?}"));
        }
        let epoch = self.highest(position, |what| if let What::Epoch(epoch) = what { Some(*epoch) } else { None });
        if report.epoch <= epoch {
            return Err(format!("epoch {} after epoch {epoch}", report.epoch));
        }
        let seen = self.check_snapshot(&log, position)?;
        for lane in Lane::ALL {
            self.check_lane(&log, lane, position, seen)?;
        }
        Ok(log)
    }

    fn check_snapshot(&self, log: &DurableLog, position: usize) -> Result<u64, String> {
        let saved = self.highest(position, |what| if let What::Snapshot(number) = what { Some(*number) } else { None });
        let found = log.load_snapshot(READER).map_err(|error| format!("snapshot: {error}"))?;
        let number = found.as_ref().map_or(0, |snapshot| u64::from(*snapshot.state.first().unwrap_or(&0)));
        if number < saved || number > self.snapshots {
            return Err(format!("snapshot {number}, saved {saved}, begun {}", self.snapshots));
        }
        Ok(found.map_or(0, |snapshot| snapshot.positions.samples.0))
    }

    fn check_lane(&self, log: &DurableLog, lane: Lane, position: usize, seen: u64) -> Result<(), String> {
        let acknowledged = self.durable(lane, position);
        let (frames, gaps) = read_lane(log, lane);
        if !gaps.is_empty() {
            return Err(format!("{lane:?}: gaps {gaps:?}"));
        }
        let (first, last) = (frames.first().map_or(1, |f| f.seq.0), frames.last().map_or(0, |f| f.seq.0));
        if last < acknowledged {
            return Err(format!("{lane:?}: {acknowledged} was acknowledged, {last} is there"));
        }
        if last > self.numbered[lane as usize] {
            return Err(format!("{lane:?}: {last} was never appended"));
        }
        let first_needed = match lane {
            Lane::Records => 1,
            Lane::Messages => u64::MAX,
            Lane::Samples => seen + 1,
        };
        if first > first_needed {
            return Err(format!("{lane:?}: begins with {first}, {first_needed} is still needed"));
        }
        let mut epoch = 0;
        for (expected, frame) in (first..).zip(&frames) {
            let good = frame.seq.0 == expected && frame.payload == payload(lane, expected, frame.epoch);
            if !good || frame.epoch < epoch || frame.kind != KIND || frame.node != NODE {
                return Err(format!("{lane:?}: at {expected} stands {frame:?} after epoch {epoch}"));
            }
            epoch = frame.epoch;
        }
        Ok(())
    }
}

/// A process that uses the log, restarts, and notes what it was promised.
pub struct Workload {
    pub disk: RecordingDisk,
    pub faulty: Option<FaultyDisk>,
    pub random: SeededRandom,
    pub ack: Ack,
    pub promises: Promises,
    log: Option<Arc<DurableLog>>,
    epoch: u64,
    next: [u64; 3],
}

impl Workload {
    pub fn new(seed: u64, ack: Ack) -> Self {
        let (disk, random) = (RecordingDisk::new(), SeededRandom::new(seed));
        Self { disk, faulty: None, random, ack, promises: Promises::default(), log: None, epoch: 0, next: [1; 3] }
    }

    fn start(&mut self) {
        let disk: Arc<dyn Disk> = match &self.faulty {
            Some(faulty) => Arc::new(faulty.clone()),
            None => Arc::new(self.disk.clone()),
        };
        // Refused by a fault: tried again by a later action.
        let Ok((log, report)) = open_on(disk, tiny()) else { return };
        self.epoch = report.epoch;
        self.promises.note(self.disk.position(), What::Epoch(report.epoch));
        let _ = log.register_reader(READER, &[Lane::Samples]);
        // What was not durable is gone, and its numbers are given out again.
        self.next = Lane::ALL.map(|lane| log.durable_seq(lane).0 + 1);
        self.log = Some(log);
        self.note_durable();
    }

    fn note_durable(&mut self) {
        let Some(log) = &self.log else { return };
        for lane in Lane::ALL {
            self.promises.note(self.disk.position(), What::Durable(lane, log.durable_seq(lane).0));
        }
    }

    pub fn run(&mut self, actions: usize) {
        for _ in 0..actions {
            let Some(log) = self.log.clone() else {
                self.start();
                continue;
            };
            match self.random.below(16) {
                0..=7 => self.append(&log),
                8..=11 => {
                    log.step();
                    self.note_durable();
                }
                12..=13 => self.snapshot(&log),
                14 => {
                    log.close();
                    self.note_durable();
                    self.log = None;
                }
                _ => {}
            }
        }
        if let Some(log) = &self.log {
            log.step();
        }
        self.note_durable();
    }

    fn append(&mut self, log: &DurableLog) {
        let lane = Lane::ALL[self.random.below(3)];
        for _ in 0..=self.random.below(6) {
            let next = self.next[lane as usize];
            let Ok(seq) = log.append(lane, KIND, &payload(lane, next, self.epoch)) else { break };
            assert_eq!(seq.0, next, "numbers have no gaps");
            self.next[lane as usize] = next + 1;
            let numbered = &mut self.promises.numbered[lane as usize];
            *numbered = next.max(*numbered);
            if self.ack == Ack::WhenAppended {
                self.promises.note(self.disk.position(), What::Durable(lane, next));
            }
        }
    }

    fn snapshot(&mut self, log: &DurableLog) {
        let durable = log.durable_seq(Lane::Samples).0;
        let back = self.random.below(4) as u64;
        let before = log.load_snapshot(READER).ok().flatten().map_or(0, |snapshot| snapshot.positions.samples.0);
        let positions = Positions { samples: Seq(durable.saturating_sub(back).max(before)), ..Positions::default() };
        self.promises.snapshots += 1;
        let number = u8::try_from(self.promises.snapshots).unwrap();
        let state = vec![number; 1 + self.random.below(1500)];
        if log.save_snapshot(READER, positions, &state).is_ok() {
            self.promises.note(self.disk.position(), What::Snapshot(u64::from(number)));
        }
    }
}

/// Notes the journal's position at the moment of the acknowledgement.
struct AckBell {
    disk: RecordingDisk,
    rung: Mutex<Option<usize>>,
}

impl Wake for AckBell {
    fn wake(self: Arc<Self>) {
        self.rung.lock().unwrap().get_or_insert(self.disk.position());
    }
}

/// Appends one more frame to every lane of a log that came back, and notes what it promises and when exactly.
pub fn go_on(log: &DurableLog, promises: &mut Promises, disk: &RecordingDisk) {
    let epoch = log.stats().epoch;
    promises.note(disk.position(), What::Epoch(epoch));
    let mut waiting = Vec::new();
    for lane in Lane::ALL {
        let next = log.durable_seq(lane).0 + 1;
        let seq = log.append(lane, KIND, &payload(lane, next, epoch)).unwrap();
        promises.numbered[lane as usize] = promises.numbered[lane as usize].max(next);
        let bell = Arc::new(AckBell { disk: disk.clone(), rung: Mutex::new(None) });
        let mut durable = log.durable(lane, seq);
        assert!(durable.as_mut().poll(&mut Context::from_waker(&Arc::clone(&bell).into())).is_pending());
        waiting.push((lane, next, bell, durable));
    }
    log.step();
    for (lane, next, bell, _) in waiting {
        let acknowledged = bell.rung.lock().unwrap().expect("a good disk makes the frame durable");
        promises.note(acknowledged, What::Durable(lane, next));
    }
}

/// The promises that hold whatever the position, as they stood at `position`.
pub fn settled(promises: &Promises, position: usize) -> Promises {
    let facts = promises.facts.iter().filter(|fact| fact.at <= position);
    Promises { facts: facts.map(|fact| Fact { at: 0, what: fact.what.clone() }).collect(), ..promises.clone() }
}

/// Opens the state, goes on, and lets the power fail again.
pub fn second_cut(state: &MemDisk, promises: &Promises, position: usize, random: &SeededRandom) -> Result<(), String> {
    let disk = RecordingDisk::over(state);
    let mut promises = settled(promises, position);
    let log = promises.check(Arc::new(disk.clone()), 0)?;
    // What was never acknowledged and is gone now may not come back.
    for lane in Lane::ALL {
        promises.numbered[lane as usize] = log.durable_seq(lane).0;
    }
    go_on(&log, &mut promises, &disk);
    let journal = disk.journal();
    for _ in 0..3 {
        let at = random.below(disk.position() + 1);
        let again = journal.cut(at);
        let found = again.states(1 + random.below(8), random).last().unwrap();
        promises.check(Arc::new(found), at).map_err(|error| format!("second cut after {at} calls: {error}"))?;
    }
    promises.check(Arc::new(journal.cut(disk.position()).worst()), usize::MAX).map(|_| ())
}
