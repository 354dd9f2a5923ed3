//! Damaged bytes are never served, always reported, and cost no more than themselves.

use crate::support::{KIND, clock, dir, open_on, payload, read_lane, tiny};
use andon_log::sim::{Fault, FaultyDisk, MemDisk, RecordingDisk};
use andon_log::{DurableLog, KeepPolicy, Lane, LaneRetention, Log, LogNotice, LogOptions, OpenError, Seq, kind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LANE: Lane = Lane::Records;

fn options() -> LogOptions {
    let keep = LaneRetention { max_bytes: None, max_age: None, keep: KeepPolicy::ByRetention, held_bytes: None };
    LogOptions { retention: [keep; 3], ..tiny() }
}

fn open(disk: &MemDisk) -> (Arc<DurableLog>, andon_log::OpenReport) {
    open_on(Arc::new(disk.clone()), options()).unwrap()
}

/// A lane of `count` frames, one group each; closed when `close`, else the process was killed.
fn filled(count: u64, close: bool) -> MemDisk {
    let disk = MemDisk::new();
    let (log, _) = open(&disk);
    for seq in 1..=count {
        log.append(LANE, KIND, &payload(LANE, seq, 1)).unwrap();
        log.step();
    }
    if close {
        log.close();
        return disk;
    }
    disk.kill()
}

fn segments(disk: &MemDisk) -> Vec<PathBuf> {
    let lane = dir().join(LANE.name());
    disk.files()
        .into_iter()
        .filter(|path| path.starts_with(&lane) && path.extension().is_some_and(|e| e == "seg"))
        .collect()
}

/// Where the `n`-th frame's bytes begin in a file, looked up by its payload.
fn place_of(disk: &MemDisk, file: &Path, seq: u64) -> usize {
    let wanted = payload(LANE, seq, 1);
    let mut place = None;
    disk.damage(file, |content| place = content.windows(wanted.len()).position(|window| window == wanted)).unwrap();
    place.unwrap()
}

/// Whether a frame's payload is long enough to be found again.
fn findable(seq: u64) -> bool {
    payload(LANE, seq, 1).len() > 20
}

/// A frame in the middle of a segment that is not the last, and its file.
fn old_frame(disk: &MemDisk) -> (PathBuf, u64) {
    let files = segments(disk);
    let found = files.iter().zip(files.iter().skip(1)).skip(1).find_map(|(file, after)| {
        let seq = (first_of(file) + 1..first_of(after) - 1).find(|seq| findable(*seq))?;
        Some((file.clone(), seq))
    });
    found.unwrap()
}

fn first_of(file: &Path) -> u64 {
    file.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// All but `lost` come back; what is lost is named, once, as a notice and as a gap record in the lane.
fn expect_lost(disk: &MemDisk, count: u64, lost: std::ops::RangeInclusive<u64>) {
    let (log, report) = open(disk);
    let mut notices = log.notices();
    for round in 0..2 {
        let (frames, gaps) = read_lane(&log, LANE);
        let ours: Vec<_> = frames.iter().filter(|frame| frame.kind == KIND).map(|frame| frame.seq.0).collect();
        let expected: Vec<_> = (1..=count).filter(|seq| !lost.contains(seq)).collect();
        assert_eq!(ours, expected, "round {round}");
        assert!(frames.iter().filter(|f| f.kind == KIND).all(|f| f.payload == payload(LANE, f.seq.0, 1)));
        let missing: Vec<_> = gaps.iter().flat_map(|gap| gap.from.0..=gap.to.0).collect();
        assert_eq!(missing, lost.clone().collect::<Vec<_>>(), "{gaps:?}");
    }
    let mut said: Vec<_> = report.notices;
    while let Ok(notice) = notices.try_recv() {
        said.push(notice);
    }
    assert!(matches!(said.as_slice(), [LogNotice::Damage { lane: LANE, .. }]), "{said:?}");
    log.step();
    let (frames, _) = read_lane(&log, LANE);
    assert_eq!(frames.iter().filter(|frame| frame.kind == kind::GAP).count(), 1, "a gap record stays in the lane");
}

#[test]
fn a_flipped_bit_in_an_old_segment_costs_its_frame_only() {
    let disk = filled(60, true);
    let (file, seq) = old_frame(&disk);
    let place = place_of(&disk, &file, seq);
    disk.damage(&file, |content| content[place + 5] ^= 4).unwrap();
    expect_lost(&disk, 60, seq..=seq);
}

#[test]
fn a_damaged_length_costs_its_frame_only() {
    let disk = filled(60, true);
    let (file, seq) = old_frame(&disk);
    let place = place_of(&disk, &file, seq) - 44;
    disk.damage(&file, |content| content[place..place + 4].copy_from_slice(&u32::MAX.to_le_bytes())).unwrap();
    expect_lost(&disk, 60, seq..=seq);
}

#[test]
fn damage_in_the_last_segment_is_told_from_a_torn_tail() {
    for close in [true, false] {
        let disk = filled(60, close);
        let file = segments(&disk).last().unwrap().clone();
        let seq = (first_of(&file) + 1..60).find(|seq| findable(*seq)).unwrap();
        let place = place_of(&disk, &file, seq);
        disk.damage(&file, |content| content[place + 5] ^= 4).unwrap();
        expect_lost(&disk, 60, seq..=seq);
    }
}

#[test]
fn damage_of_the_very_last_frame_is_seen_after_a_clean_close() {
    let disk = filled(60, true);
    let file = segments(&disk).last().unwrap().clone();
    let place = place_of(&disk, &file, 60);
    disk.damage(&file, |content| content[place] ^= 4).unwrap();
    expect_lost(&disk, 60, 60..=60);
}

#[test]
fn a_missing_segment_is_a_gap_and_the_rest_is_served() {
    let disk = filled(60, true);
    let files = segments(&disk);
    andon_log::Disk::remove(&disk, &files[1]).unwrap();
    expect_lost(&disk, 60, first_of(&files[1])..=first_of(&files[2]) - 1);
}

#[test]
fn a_damaged_head_costs_no_frame() {
    for which in [0, 1] {
        let disk = filled(60, true);
        let files = segments(&disk);
        let file = if which == 0 { &files[0] } else { files.last().unwrap() };
        disk.damage(file, |content| content[40] ^= 1).unwrap();
        let (log, report) = open(&disk);
        assert_eq!(report.lanes[0].damage.len(), 1, "{report:?}");
        let (frames, gaps) = read_lane(&log, LANE);
        assert_eq!((frames.iter().filter(|f| f.kind == KIND).count(), gaps.len()), (60, 0));
    }
}

#[test]
fn a_damaged_mark_costs_no_frame() {
    let mut tried = 0;
    for count in (1..40).filter(|count| findable(count + 1)) {
        let disk = filled(count, true);
        let before = segments(&disk);
        let (log, _) = open(&disk);
        log.append(LANE, KIND, &payload(LANE, count + 1, 1)).unwrap();
        log.step();
        let disk = disk.kill();
        let file = segments(&disk).last().unwrap().clone();
        if before.last() != Some(&file) {
            continue; // The frame did not fit behind the mark.
        }
        tried += 1;
        let mark = place_of(&disk, &file, count + 1) - 88;
        disk.damage(&file, |content| content[mark + 20] ^= 1).unwrap();
        let (log, report) = open(&disk);
        assert_eq!((log.durable_seq(LANE), report.lanes[0].damage.len()), (Seq(count + 1), 1));
        assert_eq!(read_lane(&log, LANE).0.len() as u64, count + 1);
    }
    assert!(tried > 10);
}

#[test]
fn a_swapped_segment_is_not_taken_for_its_neighbour() {
    let disk = filled(60, true);
    let files = segments(&disk);
    let (mut one, mut two) = (Vec::new(), Vec::new());
    disk.damage(&files[0], |content| one.clone_from(content)).unwrap();
    disk.damage(&files[1], |content| two.clone_from(content)).unwrap();
    disk.damage(&files[0], |content| *content = two).unwrap();
    disk.damage(&files[1], |content| *content = one).unwrap();
    let (log, _) = open(&disk);
    let (frames, gaps) = read_lane(&log, LANE);
    let third = first_of(&files[2]);
    assert!(frames.iter().all(|frame| frame.seq.0 >= third && frame.payload == payload(LANE, frame.seq.0, 1)));
    assert_eq!(gaps.iter().map(|gap| gap.to.0 + 1 - gap.from.0).sum::<u64>(), third - 1);
}

#[test]
fn an_unreadable_read_is_tried_again_in_smaller_pieces() {
    let disk = filled(60, true);
    for fail_at in 1..200 {
        let faulty = FaultyDisk::new(RecordingDisk::over(&disk), fail_at, Fault::Eio, false);
        let Ok((log, report)) = open_on(Arc::new(faulty.clone()), options()) else { continue };
        assert!(report.lanes[0].damage.iter().all(|gap| gap.from > gap.to), "call {fail_at}: {report:?}");
        let mut next = Seq(1);
        let mut frames = 0;
        while next <= log.durable_seq(LANE) {
            // An error is honest; bad bytes or a lasting gap would not be.
            let Ok(batch) = log.read(LANE, next, 5000) else { continue };
            assert!(batch.gaps.is_empty(), "call {fail_at} {:?}: {:?}", faulty.hit(), batch.gaps);
            frames += batch.frames.len();
            next = batch.next;
        }
        assert_eq!(frames, 60, "call {fail_at}");
    }
}

#[test]
fn an_unknown_format_version_is_refused_by_name() {
    let later = |path: PathBuf, change: &dyn Fn(&mut Vec<u8>)| {
        let disk = filled(60, true);
        let (log, _) = open(&disk);
        log.save_snapshot("historian", andon_log::Positions::default(), b"state").unwrap();
        log.close();
        disk.damage(&path, change).unwrap();
        let error = open_on(Arc::new(disk), options()).map(|_| ()).unwrap_err();
        assert!(matches!(&error, OpenError::UnknownVersion { .. }), "{error}");
        let text = error.to_string();
        assert!(
            text.contains("format version 2") && text.contains(path.to_str().unwrap().split('/').nth(3).unwrap()),
            "{text}"
        );
    };
    let version_2 = |content: &mut Vec<u8>| content[8..12].copy_from_slice(&[2, 0, 0xfd, 0xff]);
    later(dir().join("records").join(format!("{:020}.seg", 1)), &version_2);
    later(dir().join("snapshots/historian"), &version_2);
    later(dir().join("node"), &|content| {
        let text = String::from_utf8(content.clone()).unwrap().replace("node 1\n", "node 2\n");
        *content = text.into_bytes();
    });
}

#[test]
fn a_lost_node_file_is_made_again_and_epochs_go_on() {
    for damaged in [true, false] {
        let disk = filled(60, true);
        let node = dir().join("node");
        if damaged {
            disk.damage(&node, |content| content[20] ^= 1).unwrap();
        } else {
            andon_log::Disk::remove(&disk, &node).unwrap();
        }
        let (log, report) = open(&disk);
        assert_eq!((report.epoch, report.notes.len()), (2, 1));
        assert_eq!(read_lane(&log, LANE).0.len(), 60);
    }
}

#[test]
fn a_snapshot_that_has_seen_more_than_the_log_holds_is_noted() {
    let disk = filled(5, true);
    let (log, _) = open(&disk);
    let positions = andon_log::Positions { records: Seq(9), ..Default::default() };
    log.save_snapshot("alarms", positions, b"state").unwrap();
    drop(log);
    let (_, report) = open(&disk);
    assert!(report.notes.iter().any(|note| note.contains("alarms") && note.contains("older copy")), "{report:?}");
}

#[test]
fn any_bytes_for_a_segment_neither_panic_nor_allocate_without_bound() {
    let disk = filled(60, true);
    let random = andon_log::sim::SeededRandom::new(3);
    for _ in 0..300 {
        let copy = MemDisk::clone(RecordingDisk::over(&disk).memory());
        for file in copy.files().into_iter().filter(|path| path.file_name().is_some_and(|name| name != "lock")) {
            if random.one_in(3) {
                let _ = copy.damage(&file, |content| {
                    for _ in 0..random.below(200) {
                        let at = random.below(content.len());
                        if let Some(byte) = content.get_mut(at) {
                            *byte = u8::try_from(random.below(256)).unwrap();
                        }
                    }
                    if random.one_in(4) {
                        content.truncate(random.below(content.len()));
                    }
                });
            }
        }
        let Ok((log, _)) = andon_log::DurableLog::open(dir(), crate::support::NODE, options(), Arc::new(copy), clock())
        else {
            continue;
        };
        for lane in Lane::ALL {
            for frame in read_lane(&log, lane).0.into_iter().filter(|frame| frame.kind == KIND) {
                assert_eq!(frame.payload, payload(lane, frame.seq.0, frame.epoch), "bad bytes were served");
            }
        }
    }
}
