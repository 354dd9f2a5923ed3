//! Files of kept messages that a kill, a power cut or the disk has left as they should not be.

use super::tests::{all, at, keep, message, query, with, write};
use super::*;

/// The folder of the one rule.
pub(super) fn folder_in(dir: &Path) -> PathBuf {
    let mut folders = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).filter(|path| path.is_dir());
    folders.next().unwrap()
}

/// The files in a folder that end so, in order.
pub(super) fn files(dir: &Path, end: &str) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|file| file.to_str().is_some_and(|name| name.ends_with(end)));
    files.sort();
    files
}

/// Ten messages in one file, as a killed run leaves them; where it is.
fn ten(dir: &Path) -> PathBuf {
    let history = with(dir, 64 << 20, at(0));
    (1..=10).for_each(|n| history.offer(Seq(n), keep(64 << 20), &message("a", n, n as i64)));
    write(&history, at(10));
    files(&folder_in(dir), ".log").remove(0)
}

/// Where the records of a file begin.
pub(super) fn begins(bytes: &[u8]) -> Vec<usize> {
    let mut begins = vec![8];
    while let Some(length) = bytes[*begins.last().unwrap()..].first_chunk::<4>() {
        begins.push(begins.last().unwrap() + 8 + u32::from_le_bytes(*length) as usize);
    }
    begins
}

/// What is there from the first message on, and why the rest is not.
fn kept(dir: &Path) -> (Vec<u64>, Vec<String>) {
    let (numbers, missing) = all(&with(dir, 64 << 20, at(20)), HistoryQuery { from: at(1), ..query("a") });
    (numbers, missing.into_iter().map(|missing| missing.why).collect())
}

#[test]
fn damage_in_the_file_that_was_written_last_costs_what_is_damaged_and_not_what_stands_behind_it() {
    let damaged = "damaged on the disk";
    // A byte of a body, of a length (too long, too short), of a checksum, and zeros over two records.
    type Harm = fn(&mut [u8], &[usize]);
    let harms: [(&str, Harm, &[u64]); 5] = [
        ("a body", |bytes, at| bytes[at[4] + 100] ^= 1, &[5]),
        ("a length beyond the file", |bytes, at| bytes[at[4] + 2] ^= 0x7F, &[5]),
        ("a shorter length", |bytes, at| bytes[at[4]] ^= 1, &[5]),
        ("a checksum", |bytes, at| bytes[at[4] + 5] ^= 1, &[5]),
        ("zeros", |bytes, at| bytes[at[3] + 9..at[5] - 9].fill(0), &[4, 5]),
    ];
    for (what, harm, gone) in harms {
        let folder = tempfile::tempdir().unwrap();
        let file = ten(folder.path());
        let mut bytes = std::fs::read(&file).unwrap();
        let begins = begins(&bytes);
        harm(&mut bytes, &begins);
        std::fs::write(&file, &bytes).unwrap();
        let rest: Vec<u64> = (1..=10).filter(|n| !gone.contains(n)).collect();
        // Told by the run that finds it, and by the next, which has an index.
        for _ in 0..2 {
            assert_eq!(kept(folder.path()), (rest.clone(), vec![damaged.to_owned()]), "{what}");
        }
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "{what}: it stays as it is");
    }
}

#[test]
fn a_torn_end_is_cut_off_and_nothing_is_said_of_it() {
    for left in [1, 7, 9, 500] {
        let folder = tempfile::tempdir().unwrap();
        let file = ten(folder.path());
        let bytes = std::fs::read(&file).unwrap();
        let cut = bytes.len() - begins(&bytes)[9] - left;
        std::fs::write(&file, &bytes[..bytes.len() - cut]).unwrap();
        assert_eq!(kept(folder.path()), ((1..=9).collect(), vec![]), "{left} bytes of the last");
        assert_eq!(std::fs::metadata(&file).unwrap().len(), begins(&bytes)[9] as u64);
    }
}

#[test]
fn a_record_is_found_wherever_it_begins_and_one_with_an_older_number_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = ten(folder.path());
    let bytes = std::fs::read(&file).unwrap();
    let begins = begins(&bytes);
    let (front, rest) = bytes.split_at(begins[5]);
    // Around the borders of what is read in one go.
    for zeros in [1, 8, 4096].into_iter().chain(65_520..65_550) {
        std::fs::write(&file, [front, &vec![0; zeros], rest].concat()).unwrap();
        let _ = std::fs::remove_file(file.with_extension("idx"));
        assert_eq!(kept(folder.path()), ((1..=10).collect(), vec!["damaged on the disk".to_owned()]), "{zeros}");
    }
    // As a write that failed may leave behind another.
    for between in [&[0; 9][..], &[]] {
        std::fs::write(&file, [front, between, &bytes[begins[1]..begins[4]]].concat()).unwrap();
        std::fs::remove_file(file.with_extension("idx")).unwrap();
        assert_eq!(kept(folder.path()), ((1..=5).collect(), vec![]));
        assert_eq!(std::fs::metadata(&file).unwrap().len(), front.len() as u64);
    }
}

#[test]
fn a_record_within_a_damaged_message_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), 64 << 20, at(0));
    history.offer(Seq(1), keep(64 << 20), &message("secret", 77, 1));
    write(&history, at(1));
    drop(history);
    let dir = folder_in(folder.path());
    let record = std::fs::read(&files(&dir, ".log")[0]).unwrap().split_off(8);
    // Somebody publishes what looks like a record of another topic; the disk damages the message.
    let payload = [&b"00000002"[..], &record, &[0; 100]].concat();
    let topic = andon_wire::mqtt::TopicName::parse("a").unwrap();
    let bait = Message::internal(topic, payload.into(), andon_wire::mqtt::QoS::AtLeastOnce, false, at(2));
    std::fs::remove_dir_all(&dir).unwrap();
    let history = with(folder.path(), 64 << 20, at(0));
    history.offer(Seq(1), keep(64 << 20), &Arc::new(bait));
    history.offer(Seq(2), keep(64 << 20), &message("a", 3, 3));
    write(&history, at(3));
    drop(history);
    let file = files(&dir, ".log").remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let end = begins(&bytes)[1];
    bytes[end - 50] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let history = with(folder.path(), 64 << 20, at(20));
    assert_eq!(all(&history, query("a")).0, [3]);
    assert_eq!(all(&history, query("secret")).0, [0; 0]);
}

#[test]
fn what_only_looks_like_records_does_not_keep_the_start_waiting() {
    let folder = tempfile::tempdir().unwrap();
    let file = ten(folder.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes.truncate(begins(&bytes)[5]);
    // At every eighth byte the length of a long body with the tag of a message.
    (0..1 << 19).for_each(|_| bytes.extend([1, 0, 0x10, 0, 0, 0, 0, 0]));
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(kept(folder.path()), ((1..=5).collect(), vec!["damaged on the disk".to_owned()]));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), bytes.len() as u64, "what was not looked at stays");
}

#[test]
fn a_file_that_cannot_be_read_is_a_stretch_and_not_the_end_of_its_rule() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 3] = [
        ("of a newer version", |file| {
            let mut bytes = std::fs::read(file).unwrap();
            bytes[7] += 1;
            std::fs::write(file, bytes).unwrap();
        }),
        ("of another program", |file| std::fs::write(file, [0x55; 5000]).unwrap()),
        ("no file", |file| {
            std::fs::remove_file(file).unwrap();
            std::fs::create_dir(file).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let folder = tempfile::tempdir().unwrap();
        let file = ten(folder.path());
        let first = with(folder.path(), 64 << 20, at(11));
        first.offer(Seq(11), keep(64 << 20), &message("a", 11, 11));
        write(&first, at(11));
        drop(first);
        std::fs::remove_file(file.with_extension("idx")).unwrap();
        harm(&file);
        for n in [12, 13] {
            let history = with(folder.path(), 64 << 20, at(20));
            history.offer(Seq(n), keep(64 << 20), &message("a", n, n as i64));
            write(&history, at(20));
            history.keep_house(at(20), Duration::ZERO);
            let (numbers, missing) = all(&history, HistoryQuery { from: at(1), ..query("a") });
            assert_eq!(numbers, (11..=n).collect::<Vec<_>>(), "{what}");
            assert_eq!(missing.iter().map(|m| m.why.as_str()).collect::<Vec<_>>(), ["damaged on the disk"], "{what}");
            assert!(file.exists(), "{what}: it is left alone");
        }
    }
}

#[test]
fn nothing_that_comes_later_gets_a_number_that_may_be_in_a_file_that_cannot_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = ten(folder.path());
    let whole = std::fs::read(&file).unwrap();
    let mut newer = whole.clone();
    newer[7] += 1;
    std::fs::write(&file, newer).unwrap();
    let history = with(folder.path(), 64 << 20, at(11));
    history.offer(Seq(11), keep(64 << 20), &message("a", 11, 11));
    write(&history, at(11));
    drop(history);
    // Then it can be read again.
    std::fs::write(&file, whole).unwrap();
    assert_eq!(kept(folder.path()), ((1..=11).collect(), vec![]));
}

#[test]
fn a_damaged_begin_of_a_file_costs_no_record() {
    let folder = tempfile::tempdir().unwrap();
    let file = ten(folder.path());
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[3] ^= 1;
    std::fs::write(&file, bytes).unwrap();
    assert_eq!(kept(folder.path()), ((1..=10).collect(), vec![]));
}

#[test]
fn a_file_that_was_begun_and_not_written_is_in_nobodys_way() {
    for bytes in [&b""[..], b"ANDONK", b"ANDONKP\x01", b"ANDONKP\x01\xC8\x04\0\0\x01\x02"] {
        let folder = tempfile::tempdir().unwrap();
        ten(folder.path());
        let begun = folder_in(folder.path()).join(format!("{:020}.log", 11));
        std::fs::write(&begun, bytes).unwrap();
        let history = with(folder.path(), 64 << 20, at(11));
        history.offer(Seq(11), keep(64 << 20), &message("a", 11, 11));
        write(&history, at(11));
        assert_eq!(history.figures().lost, 0, "{bytes:?}");
        drop(history);
        assert_eq!(kept(folder.path()), ((1..=11).collect(), vec![]), "{bytes:?}");
    }
}

#[test]
fn what_a_kill_left_half_removed_or_half_made_goes() {
    let folder = tempfile::tempdir().unwrap();
    let file = ten(folder.path());
    let dir = folder_in(folder.path());
    drop(with(folder.path(), 64 << 20, at(11)));
    for name in ["00000000000000000003.idx", "00000000000000000003.idx~new", "about.json~new"] {
        std::fs::write(dir.join(name), "x").unwrap();
    }
    std::fs::write(dir.join("notes.txt"), "somebody's own").unwrap();
    drop(with(folder.path(), 64 << 20, at(12)));
    assert_eq!(
        files(&dir, ""),
        [dir.join("00000000000000000001.idx"), file, dir.join("about.json"), dir.join("notes.txt")]
    );
    // One that is gone already, or in part, is let go of as any other.
    let history = with(folder.path(), 64 << 20, at(13));
    std::fs::remove_file(dir.join("00000000000000000001.idx")).unwrap();
    history.keep_house(at(7300), Duration::ZERO);
    assert_eq!(files(&dir, ""), [dir.join("about.json"), dir.join("notes.txt")]);
    assert_eq!(kept(folder.path()), (vec![], vec!["no longer kept".to_owned()]));
}

#[test]
fn what_is_known_of_a_folder_is_made_anew_where_it_is_damaged_and_left_alone_where_it_is_newer() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), 1 << 20, at(0));
    (1..=3).for_each(|n| history.offer(Seq(n), keep(1 << 20), &message("a", n, n as i64)));
    write(&history, at(5));
    drop(history);
    let about = folder_in(folder.path()).join("about.json");
    for damage in [&b""[..], b"\0\0\0", b"{}"] {
        std::fs::write(&about, damage).unwrap();
        let history = with(folder.path(), 1 << 20, at(100));
        let (numbers, missing) = all(&history, query("a"));
        assert_eq!(numbers, [1, 2, 3], "{damage:?}");
        assert_eq!(
            missing.iter().map(|m| (m.until, m.why.as_str())).collect::<Vec<_>>(),
            [(at(100), "no longer kept")]
        );
    }
    let newer = br#"{"format":2,"what":"is not known"}"#;
    std::fs::write(&about, newer).unwrap();
    let history = with(folder.path(), 1 << 20, at(100));
    assert_eq!(all(&history, query("a")).0, [0; 0]);
    assert_eq!(std::fs::read(&about).unwrap(), newer);
}
