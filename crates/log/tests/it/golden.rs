//! A log that version 1 wrote opens for ever.
//!
//! The files in `tests/fixtures/v1` were written once, by `write_the_golden_log`, and are never written again. A later
//! format gets a folder and a test of its own, beside this one.

use andon_log::sim::{HandClock, SeededRandom};
use andon_log::{Disk, DurableLog, Frame, FrameKind, Lane, Log, LogOptions, OsDisk, Positions, Seq};
use andon_model::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use uuid::Uuid;

const NODE: Uuid = Uuid::from_u128(0x0197_0000_0000_7000_8000_0000_0000_0001);

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1")
}

fn open(dir: &Path) -> (Arc<DurableLog>, andon_log::OpenReport) {
    let options = LogOptions {
        segment_bytes: 2048,
        records_segment_bytes: 2048,
        first_segment_bytes: 1024,
        records_reserve_bytes: 0,
        background: false,
        random: Arc::new(SeededRandom::new(1)),
        ..LogOptions::default()
    };
    let clock = Arc::new(HandClock::new(Timestamp::from_millis(1_795_329_730_000)));
    DurableLog::open(dir, NODE, options, Arc::new(OsDisk), clock).unwrap()
}

fn payload(lane: Lane, seq: u64) -> Vec<u8> {
    format!("{} frame {seq}: 21.5 °C ", lane.name()).repeat(usize::try_from(seq % 4).unwrap()).into_bytes()
}

const KIND: FrameKind = FrameKind { kind: 300, version: 2 };

#[test]
#[ignore = "writes the fixture; run once per format version"]
fn write_the_golden_log() {
    let dir = fixture();
    assert!(!dir.exists(), "a golden log is never written again");
    for _ in 0..2 {
        let (log, _) = open(&dir);
        for lane in Lane::ALL {
            for _ in 0..15 {
                let next = log.durable_seq(lane).0 + 1;
                log.append(lane, KIND, &payload(lane, next)).unwrap();
                log.step();
            }
        }
        log.register_reader("historian", &[Lane::Samples, Lane::Records]).unwrap();
        let positions = Positions { records: log.durable_seq(Lane::Records), messages: Seq(0), samples: Seq(7) };
        log.save_snapshot("historian", positions, format!("state of epoch {}", log.stats().epoch).as_bytes()).unwrap();
        log.close();
    }
    for lane in Lane::ALL {
        for name in OsDisk.list(&dir.join(lane.name())).unwrap() {
            if name.ends_with(".pre") {
                OsDisk.remove(&dir.join(lane.name()).join(name)).unwrap();
            }
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else {
            std::fs::copy(&path, &target).unwrap();
        }
    }
}

#[test]
fn a_log_of_format_version_1_opens_and_all_of_it_is_read() {
    let dir = tempfile::tempdir().unwrap();
    copy(&fixture(), dir.path());
    let (log, report) = open(dir.path());
    assert_eq!((report.epoch, report.notices.len(), report.notes.len()), (3, 0, 0), "{report:?}");
    for lane in Lane::ALL {
        assert_eq!((log.first_seq(lane), log.durable_seq(lane)), (Seq(1), Seq(30)));
        let batch = log.read(lane, Seq(1), 1 << 20).unwrap();
        assert!(batch.gaps.is_empty());
        for (seq, frame) in (1..=30).zip(batch.frames) {
            let expected = Frame {
                seq: Seq(seq),
                kind: KIND,
                node: NODE,
                epoch: if seq <= 15 { 1 } else { 2 },
                received: Timestamp::from_millis(1_795_329_730_000),
                payload: payload(lane, seq).into(),
            };
            assert_eq!(frame, expected);
        }
    }
    let snapshot = log.load_snapshot("historian").unwrap().unwrap();
    assert_eq!(&snapshot.state[..], b"state of epoch 2");
    assert_eq!(snapshot.positions, Positions { records: Seq(30), messages: Seq(0), samples: Seq(7) });
    assert_eq!(log.append(Lane::Records, KIND, b"and on"), Ok(Seq(31)));
    log.step();
    assert_eq!(log.durable_seq(Lane::Records), Seq(31));
}
