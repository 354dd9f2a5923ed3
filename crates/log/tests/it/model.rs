//! Random sequences of appends, reads, crashes and restarts against a plain vector.

use crate::support::{KIND, open_on, read_lane, tiny};
use andon_log::sim::{RecordingDisk, SeededRandom};
use andon_log::{DurableLog, KeepPolicy, Lane, LaneRetention, Log, LogOptions, Seq};
use proptest::prelude::*;
use std::sync::Arc;

#[derive(Clone, Debug)]
enum Action {
    Append(usize, usize, u8),
    Step,
    Read(usize, u64, usize),
    Close,
    Kill,
    PowerCut(u64),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        8 => (0..3_usize, 0..1500_usize, any::<u8>()).prop_map(|(lane, length, byte)| Action::Append(lane, length, byte)),
        3 => Just(Action::Step),
        3 => (0..3_usize, 0..60_u64, 0..4000_usize).prop_map(|(lane, from, max)| Action::Read(lane, from, max)),
        1 => Just(Action::Close),
        1 => Just(Action::Kill),
        1 => any::<u64>().prop_map(Action::PowerCut),
    ]
}

/// The log as a plain vector: all that was numbered, and how much of it is durable.
#[derive(Default)]
struct Model {
    frames: [Vec<Vec<u8>>; 3],
    durable: [usize; 3],
}

impl Model {
    /// The log came back: it may hold more than what was durable, never less, and nothing else.
    fn came_back(&mut self, log: &DurableLog) {
        for lane in Lane::ALL {
            let (frames, held) = (&mut self.frames[lane as usize], usize::try_from(log.durable_seq(lane).0).unwrap());
            assert!(held >= self.durable[lane as usize], "{lane:?} lost acknowledged frames");
            assert!(held <= frames.len(), "{lane:?} holds frames that were never appended");
            frames.truncate(held);
            self.durable[lane as usize] = held;
            let (found, gaps) = read_lane(log, lane);
            assert!(gaps.is_empty());
            assert_eq!(&found.into_iter().map(|frame| frame.payload.to_vec()).collect::<Vec<_>>(), frames);
        }
    }

    fn check_read(&self, log: &DurableLog, lane: Lane, from: u64, max_bytes: usize) {
        let batch = log.read(lane, Seq(from), max_bytes).unwrap();
        let durable = self.durable[lane as usize] as u64;
        assert!(batch.gaps.is_empty());
        assert_eq!(batch.frames.is_empty(), from.max(1) > durable, "at least one frame if there is one");
        for (seq, frame) in (from.max(1)..).zip(&batch.frames) {
            assert_eq!(
                (frame.seq.0, &frame.payload[..]),
                (seq, &self.frames[lane as usize][usize::try_from(seq).unwrap() - 1][..])
            );
        }
        assert_eq!(batch.next.0, from.max(1) + batch.frames.len() as u64);
    }
}

fn options(tail_bytes: usize) -> LogOptions {
    let keep = LaneRetention { max_bytes: None, max_age: None, keep: KeepPolicy::ByRetention, held_bytes: None };
    LogOptions { retention: [keep; 3], tail_bytes, ..tiny() }
}

fn play(actions: Vec<Action>, tail_bytes: usize) {
    let mut disk = RecordingDisk::new();
    let mut model = Model::default();
    let open = |disk: &RecordingDisk| open_on(Arc::new(disk.clone()), options(tail_bytes)).unwrap().0;
    let mut log = open(&disk);
    for action in actions {
        match action {
            Action::Append(lane, length, byte) => {
                let frames = &mut model.frames[lane];
                let payload = vec![byte; length];
                assert_eq!(log.append(Lane::ALL[lane], KIND, &payload), Ok(Seq(frames.len() as u64 + 1)));
                frames.push(payload);
            }
            Action::Step => {
                log.step();
                model.durable = model.frames.each_ref().map(Vec::len);
            }
            Action::Read(lane, from, max) => model.check_read(&log, Lane::ALL[lane], from, max),
            Action::Close => {
                log.close();
                model.durable = model.frames.each_ref().map(Vec::len);
                log = open(&disk);
                model.came_back(&log);
            }
            Action::Kill => {
                disk = disk.kill();
                log = open(&disk);
                model.came_back(&log);
            }
            Action::PowerCut(seed) => {
                // Let a group be under way: written, perhaps not synced.
                log.step();
                let random = SeededRandom::new(seed);
                let back = random.below(4);
                if back > 0 {
                    model.durable = [0; 3]; // The cut may lie before the last acknowledgements.
                } else {
                    model.durable = model.frames.each_ref().map(Vec::len);
                }
                let cut = disk.journal().cut(disk.position().saturating_sub(back));
                disk = RecordingDisk::over(&cut.states(1 + random.below(30), &random).last().unwrap());
                log = open(&disk);
                model.came_back(&log);
            }
        }
    }
    log.close();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_log_behaves_like_a_vector(actions in prop::collection::vec(action(), 1..60), tail in prop::sample::select(vec![0, 2000, 1 << 20])) {
        play(actions, tail);
    }
}
