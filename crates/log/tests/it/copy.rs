//! Copies that are made while the log is written.

use crate::basics::read_all;
use crate::support::{KIND, NODE};
use andon_log::{
    DurableLog, Lane, LaneFiles, Log, LogCopy, LogOptions, OsDisk, Positions, Seq, raise_epoch, snapshot_positions,
};
use andon_model::SystemClock;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

fn open(dir: &Path) -> (Arc<DurableLog>, u64) {
    let options = LogOptions { segment_bytes: 16 << 10, first_segment_bytes: 4 << 10, ..LogOptions::small() };
    let (log, report) = DurableLog::open(dir, NODE, options, Arc::new(OsDisk), Arc::new(SystemClock)).unwrap();
    assert_eq!(report.notes, Vec::<String>::new());
    assert_eq!(report.lanes.iter().map(|lane| lane.damage.len()).sum::<usize>(), 0);
    (log, report.epoch)
}

/// As a backup does it: small files, then the lanes as far as they are said to reach.
fn copy(log: &DurableLog, from: &Path, to: &Path) -> LaneFiles {
    let kept = log.keep_all();
    std::fs::create_dir_all(to.join("snapshots")).unwrap();
    std::fs::copy(from.join("node"), to.join("node")).unwrap();
    let _ = std::fs::copy(from.join("readers"), to.join("readers")); // There may be no reader yet.
    for entry in std::fs::read_dir(from.join("snapshots")).unwrap() {
        let name = entry.unwrap().file_name();
        if !name.to_string_lossy().ends_with("~new") {
            // It may have become the former one meanwhile, which then is there.
            let _ = std::fs::copy(from.join("snapshots").join(&name), to.join("snapshots").join(&name));
        }
    }
    let files = log.lane_files();
    for segment in &files.segments {
        let bytes = std::fs::read(&segment.path).unwrap();
        let folder = to.join(segment.lane.name());
        std::fs::create_dir_all(&folder).unwrap();
        let held = &bytes[..usize::try_from(segment.bytes).unwrap()];
        std::fs::write(folder.join(segment.path.file_name().unwrap()), held).unwrap();
    }
    drop(kept);
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_made_under_writing_holds_all_that_was_durable_and_goes_on_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let (from, stop) = (dir.path().join("log"), Arc::new(AtomicBool::new(false)));
    let (log, _) = open(&from);
    log.register_reader("r", &[Lane::Samples]).unwrap();
    log.append(Lane::Samples, KIND, b"first").unwrap();
    let writing = std::thread::spawn({
        let (log, stop) = (log.clone(), stop.clone());
        move || {
            while !stop.load(Ordering::Relaxed) {
                for lane in Lane::ALL {
                    let seq = log.append(lane, KIND, &[7; 300]);
                    if let (Lane::Samples, Ok(seq)) = (lane, seq) {
                        // The reader keeps up, so the lane frees all the time.
                        let seen =
                            Positions { samples: Seq(seq.0.min(log.durable_seq(lane).0)), ..Positions::default() };
                        log.save_snapshot("r", seen, b"").unwrap();
                    }
                }
            }
        }
    });
    for number in 0..8 {
        while log.durable_seq(Lane::Samples).0 < (number + 1) * 200 {
            std::thread::yield_now();
        }
        let before = Lane::ALL.map(|lane| log.durable_seq(lane));
        let to = dir.path().join(format!("copy{number}"));
        let files = copy(&log, &from, &to);
        for (lane, before) in Lane::ALL.into_iter().zip(before) {
            assert!(files.positions.get(lane) >= before, "what was durable before is in it");
        }
        let segments = files.segments.iter().map(|segment| {
            let name = segment.path.file_name().unwrap().to_str().unwrap();
            (segment.lane, name, to.join(segment.lane.name()).join(name))
        });
        let read = LogCopy::open(&to.join("node"), segments, Arc::new(SystemClock)).unwrap();
        for lane in Lane::ALL {
            let (first, last) = (read.first_seq(lane), read.durable_seq(lane));
            assert!(last >= files.positions.get(lane), "{lane:?} ends at {last:?}");
            let (mut frames, mut next) = (0, first);
            while next <= last {
                let batch = read.read(lane, next, 10_000).unwrap();
                assert_eq!(batch.gaps, vec![]);
                frames += batch.frames.len() as u64;
                next = batch.next;
            }
            assert_eq!(frames, last.0 + 1 - first.0);
        }
        let seen = ["r", "r~"].map(|name| snapshot_positions("r", &to.join("snapshots").join(name)));
        let seen = seen.into_iter().flatten().map(|positions| positions.samples).max().unwrap();
        let (first, last) = (read.first_seq(Lane::Samples), read.durable_seq(Lane::Samples));
        assert!(first.0 <= seen.0 + 1 && seen <= last, "the reader goes on from {seen:?} in {first:?} to {last:?}");
        drop(read);

        raise_epoch(&to, 1_000_000 + number).unwrap();
        let (own, epoch) = open(&to);
        assert_eq!(epoch, 1_000_001 + number, "in an epoch of its own");
        for lane in Lane::ALL {
            let end = own.durable_seq(lane);
            let seq = own.append(lane, KIND, b"after the restore").unwrap();
            assert_eq!(seq, end.next());
            own.durable(lane, seq).await.unwrap();
        }
        own.close();
        drop(own);
        let (own, _) = open(&to);
        for lane in Lane::ALL {
            let batch = own.read(lane, own.durable_seq(lane), 1).unwrap();
            assert_eq!(&batch.frames[0].payload[..], b"after the restore");
        }
        own.close();
    }
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    log.close();
}

#[tokio::test]
async fn nothing_is_freed_while_all_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(dir.path());
    log.register_reader("r", &[Lane::Samples]).unwrap();
    let kept = log.keep_all();
    let mut last = Seq(0);
    for _ in 0..1000 {
        last = log.append(Lane::Samples, KIND, &[1; 500]).unwrap();
        log.durable(Lane::Samples, last).await.unwrap();
    }
    for _ in 0..2 {
        log.save_snapshot("r", Positions { samples: last, ..Positions::default() }, b"").unwrap();
        log.step();
    }
    assert_eq!(log.first_seq(Lane::Samples), Seq(1));
    drop(kept);
    log.step();
    assert!(log.first_seq(Lane::Samples) > Seq(1));
}

#[tokio::test]
async fn a_copy_cut_before_its_first_frame_keeps_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&dir.path().join("log"));
    for _ in 0..300 {
        log.append(Lane::Records, KIND, &[1; 500]).unwrap();
    }
    log.durable(Lane::Records, Seq(300)).await.unwrap();
    let to = dir.path().join("copy");
    copy(&log, &dir.path().join("log"), &to);
    log.close();
    // As if the newest segment had just been begun.
    for entry in std::fs::read_dir(to.join("records")).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    std::fs::write(to.join("records/00000000000000000301.seg"), [0; 96]).unwrap();
    let (own, _) = open(&to);
    assert_eq!(own.append(Lane::Records, KIND, b"next"), Ok(Seq(301)));
    own.durable(Lane::Records, Seq(301)).await.unwrap();
    own.close();
    drop(own);
    let (own, _) = open(&to);
    assert_eq!(read_all(&own, Lane::Records).0, vec![(301, b"next".to_vec())]);
}

#[test]
fn a_flipped_bit_of_a_copy_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let (log, _) = open(&dir.path().join("log"));
    for _ in 0..200 {
        log.append(Lane::Records, KIND, &[1; 500]).unwrap();
    }
    log.close();
    drop(log);
    let (log, _) = open(&dir.path().join("log"));
    let to = dir.path().join("copy");
    let files = copy(&log, &dir.path().join("log"), &to);
    let name = |at: usize| files.segments[at].path.file_name().unwrap().to_str().unwrap().to_owned();
    let path = to.join("records").join(name(0));
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[1000] ^= 4;
    std::fs::write(&path, bytes).unwrap();
    let names: Vec<String> = (0..files.segments.len()).map(name).collect();
    let segments = files.segments.iter().zip(&names);
    let segments = segments.map(|(s, name)| (s.lane, name.as_str(), to.join(s.lane.name()).join(name)));
    let read = LogCopy::open(&to.join("node"), segments, Arc::new(SystemClock)).unwrap();
    let batch = read.read(Lane::Records, Seq(1), usize::MAX).unwrap();
    assert_eq!(batch.gaps.len(), 1);
    assert!(batch.gaps[0].reason.contains(path.to_str().unwrap()), "{:?}", batch.gaps);
}
