//! Making, checking and removing backups.

use crate::support::{Place, StopAfter, tree};
use andon_backup::{BackupError, Repository, What};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

fn filled() -> Place {
    let place = Place::new();
    place.write("node-id", b"me");
    place.write("log/samples/1.seg", &[1; 3000]);
    place.write("log/samples/2.seg", &vec![2; 2_500_000]);
    place.write("empty", b"");
    place.write("same-as-empty", b"");
    place
}

#[test]
fn what_was_backed_up_comes_back_and_a_second_backup_copies_only_what_is_new() {
    let place = filled();
    let first = place.backup(1_000).unwrap();
    assert_eq!((first.copied_files, first.copied_bytes), (5, 2_503_002));
    place.write("log/samples/3.seg", b"new");
    let before = tree(&place.data());
    let second = place.backup(2_000).unwrap();
    assert_eq!((second.copied_files, second.copied_bytes), (1, 3));
    place.write("node-id", b"another");
    place.write("log/samples/1.seg", &[9; 3000]);
    let third = place.backup(3_000).unwrap();
    assert_eq!(third.copied_files, 2, "the same length, but changed");
    assert_eq!(place.repository().names().unwrap().len(), 3);

    let repository = place.repository();
    let report = repository.check(&mut ()).unwrap();
    assert_eq!((report.findings, report.snapshots.len()), (vec![], 3));
    let snapshot = repository.snapshot(Some(&second.snapshot.name)).unwrap();
    assert_eq!(snapshot, second.snapshot);
    repository.restore(&snapshot, &place.target(), &mut ()).unwrap().put_in_place().unwrap();
    assert_eq!(tree(&place.target()), before);
}

#[test]
fn what_was_damaged_before_stands_in_the_list_until_it_is_whole() {
    let place = filled();
    let damaged = "log/samples/1.seg";
    place.write(damaged, b"rotten");
    let seen = RefCell::new(Vec::new());
    let mut look = |path: &str, copy: &Path| {
        seen.borrow_mut().push(path.to_owned());
        (std::fs::read(copy).unwrap() == b"rotten").then(|| "it is rotten".to_owned())
    };
    let flawed = |written: andon_backup::Written| {
        let read = place.repository().snapshot(None).unwrap();
        assert_eq!(read, written.snapshot, "it stands on disk");
        read.flawed().iter().map(|one| format!("{}: {}", one.path, one.what)).collect::<Vec<_>>()
    };
    let said = [format!("{damaged}: it is rotten")];
    // One that was cut off has copied it, and told nobody.
    let cut = catch_unwind(AssertUnwindSafe(|| place.backup_with(1_000, &mut StopAfter(7))));
    assert!(cut.is_err());
    assert_eq!(flawed(place.backup_looking(1_000, &mut (), &mut look).unwrap()), said);
    assert_eq!(seen.take().len(), 5, "all are looked at");
    assert_eq!(flawed(place.backup_looking(2_000, &mut (), &mut look).unwrap()), said);
    assert_eq!(seen.take(), [""; 0], "none is looked at twice");
    // Made whole in its place, and its times set back, as copying with times does.
    let file = place.data().join(damaged);
    let times = std::fs::metadata(&file).unwrap().modified().unwrap();
    std::fs::write(&file, b"whole.").unwrap();
    std::fs::File::options().write(true).open(&file).unwrap().set_modified(times).unwrap();
    assert_eq!(flawed(place.backup_looking(3_000, &mut (), &mut look).unwrap()), [""; 0]);
    assert_eq!(seen.take(), [damaged]);
    // A list of a version that did not look is read, and its files are looked at.
    let folder = place.store().join("snapshots");
    let newest = folder.join(format!("{}.json", place.repository().names().unwrap().pop().unwrap()));
    let mut json: Value = serde_json::from_slice(&std::fs::read(&newest).unwrap()).unwrap();
    json.as_object_mut().unwrap().remove("flawed").unwrap();
    let text = json.to_string();
    let sum = sum_of(&text);
    let (when, _) = newest.file_stem().unwrap().to_str().unwrap().rsplit_once('-').unwrap();
    std::fs::write(folder.join(format!("{when}-{}.json", &sum[..16])), text).unwrap();
    std::fs::remove_file(&newest).unwrap();
    assert_eq!(place.repository().snapshot(None).unwrap().flawed, None);
    place.backup_looking(4_000, &mut (), &mut look).unwrap();
    assert_eq!(seen.take().len(), 5);
}

#[test]
fn everything_is_for_its_owner_only() {
    let place = filled();
    place.backup(1_000).unwrap();
    place.restore().unwrap();
    for top in [place.store(), place.target()] {
        let mut waiting = vec![top];
        while let Some(path) = waiting.pop() {
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o077, 0, "{}", path.display());
            if path.is_dir() {
                waiting.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
            }
        }
    }
}

#[test]
fn one_that_was_cut_off_is_none_and_the_next_goes_on_where_it_was() {
    let place = filled();
    let mut stopped = 0;
    for after in 0.. {
        let cut = catch_unwind(AssertUnwindSafe(|| place.backup_with(1_000, &mut StopAfter(after))));
        if let Ok(written) = cut {
            let written = written.unwrap();
            assert!(
                written.copied_files <= 2,
                "the tries before copied the others: {} in the last",
                written.copied_files
            );
            break;
        }
        stopped += 1;
        assert_eq!(place.repository().names().unwrap(), Vec::<String>::new());
        assert!(matches!(place.restore(), Err(BackupError::NoSnapshot { .. })));
        assert!(!place.target().exists());
    }
    assert!(stopped >= 5, "cut off {stopped} times");
    assert_eq!(place.repository().check(&mut ()).unwrap().findings, vec![]);
    place.restore().unwrap();
    assert_eq!(tree(&place.target()), tree(&place.data()));
}

#[test]
fn a_journal_with_half_a_line_costs_a_copy_and_no_truth() {
    let place = filled();
    let cut = catch_unwind(AssertUnwindSafe(|| place.backup_with(1_000, &mut StopAfter(7))));
    assert!(cut.is_err());
    let journal = place.store().join("unfinished");
    let text = std::fs::read(&journal).unwrap();
    std::fs::write(&journal, &text[..text.len() - 10]).unwrap();
    place.backup(2_000).unwrap();
    place.restore().unwrap();
    assert_eq!(tree(&place.target()), tree(&place.data()));
}

#[test]
fn an_object_that_was_shortened_or_lost_is_copied_again() {
    let place = filled();
    let written = place.backup(1_000).unwrap();
    let repository = place.repository();
    let object = |path: &str| repository.object(&written.snapshot.entry(path).unwrap().sha256);
    std::fs::write(object("node-id"), b"m").unwrap();
    std::fs::remove_file(object("log/samples/1.seg")).unwrap();
    assert_eq!(repository.check(&mut ()).unwrap().findings.len(), 2);
    assert_eq!(place.backup(2_000).unwrap().copied_files, 2);
    assert_eq!(repository.check(&mut ()).unwrap().findings, vec![]);
}

#[test]
fn a_foreign_or_busy_folder_is_left_alone() {
    let place = filled();
    std::fs::create_dir(place.store()).unwrap();
    std::fs::write(place.store().join("photo.jpg"), b"mine").unwrap();
    assert!(matches!(place.backup(1), Err(BackupError::Foreign(_))));
    assert_eq!(tree(&place.store()).len(), 1);
    assert!(matches!(Repository::open(&place.store()), Err(BackupError::NoRepository(_))));
    std::fs::remove_dir_all(place.store()).unwrap();
    let writing = Repository::write(&place.store()).unwrap();
    assert!(matches!(place.backup(1), Err(BackupError::InUse(_))));
    drop(writing);
    place.backup(1).unwrap();
    std::fs::write(place.store().join("andon-backup"), "andon-backup format=2\n").unwrap();
    assert!(matches!(place.backup(2), Err(BackupError::Newer { found: 2, .. })));
}

#[test]
fn a_source_that_got_shorter_is_told_and_there_is_no_backup() {
    let place = filled();
    let mut items = place.items();
    items.iter_mut().for_each(|item| item.bytes += 1);
    let writing = Repository::write(&place.store()).unwrap();
    let error = writing.backup(Default::default(), &items, &mut (), &mut |_, _| None, || 0).unwrap_err();
    assert!(error.to_string().starts_with("could not read "), "{error}");
    assert_eq!(place.repository().names().unwrap(), Vec::<String>::new());
}

#[test]
fn any_changed_byte_and_any_missing_shortened_or_extra_file_is_found_and_not_restored() {
    let place = Place::new();
    place.write("node-id", b"me");
    place.write("log/samples/1.seg", b"a frame");
    place.backup(1_000).unwrap();
    let repository = place.repository();
    for (name, content) in tree(&place.store()) {
        if name == "lock" {
            continue;
        }
        let path = place.store().join(&name);
        let found = |what: &str| {
            let report = Repository::open(&place.store()).map(|repository| repository.check(&mut ()).unwrap());
            let restored = Repository::open(&place.store())
                .and_then(|repository| Ok((repository.snapshot(None)?, repository)))
                .and_then(|(snapshot, repository)| repository.restore(&snapshot, &place.target(), &mut ()));
            match report {
                Err(BackupError::NoRepository(_) | BackupError::Damaged { .. } | BackupError::Newer { .. }) => {}
                Err(other) => panic!("{name}, {what}: {other}"),
                Ok(report) => {
                    assert!(
                        report.findings.iter().any(|finding| finding.file == path || name.starts_with("snapshots/")),
                        "{name}, {what}: {report:?}"
                    );
                }
            }
            assert!(restored.is_err(), "{name}, {what}");
            assert!(!place.target().exists() && tree(place.dir.path()).keys().all(|name| !name.contains("restoring")));
        };
        for at in 0..content.len() {
            for bit in [0, 5] {
                let mut changed = content.clone();
                changed[at] ^= 1 << bit;
                std::fs::write(&path, &changed).unwrap();
                found(&format!("byte {at} bit {bit}"));
            }
        }
        std::fs::write(&path, &content[..content.len() - 1]).unwrap();
        found("shortened");
        std::fs::remove_file(&path).unwrap();
        if !name.starts_with("snapshots/") {
            found("missing");
        }
        std::fs::write(&path, &content).unwrap();
        assert_eq!(repository.check(&mut ()).unwrap().findings, vec![], "{name} is back");
    }
    let sum = "0".repeat(64);
    for extra in ["x", "snapshots/x", "objects/x", "objects/00/x", &format!("objects/01/{sum}")] {
        let path = place.store().join(extra);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, b"x").unwrap();
        let findings = repository.check(&mut ()).unwrap().findings;
        assert_eq!(findings.iter().map(|finding| finding.file.as_path()).collect::<Vec<_>>(), [path.as_path()]);
        std::fs::remove_file(path).unwrap();
    }
    let left_over = place.store().join(format!("objects/00/{sum}"));
    std::fs::write(left_over, b"x").unwrap();
    let report = repository.check(&mut ()).unwrap();
    assert_eq!((report.findings, report.left_over), (vec![], 1), "one that no backup has harms nobody");
    place.restore().unwrap();
}

/// Puts a changed list of files beside the whole one, with the checksum that goes with it, as a liar would.
fn forge(place: &Place, change: impl FnOnce(&mut Value)) -> PathBuf {
    let name = place.repository().names().unwrap().remove(0);
    let path = place.store().join(format!("snapshots/{name}.json"));
    let mut list = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut list);
    let text = list.to_string();
    let forged = path.with_file_name(format!("1970-01-01T00-00-02Z-{}.json", &sum_of(&text)[..16]));
    std::fs::write(&forged, &text).unwrap();
    forged
}

/// The newest list is refused by all that read it, without a panic, and its path is named.
fn refused(place: &Place, forged: &Path, what: &str) {
    let error = place.repository().snapshot(None).unwrap_err();
    assert!(matches!(error, BackupError::Damaged { .. }), "{error}");
    assert!(error.to_string().contains(what), "{error} should name {what}");
    let findings = place.repository().check(&mut ()).unwrap().findings;
    assert!(findings.iter().any(|finding| finding.file == forged && finding.what.contains(what)), "{findings:?}");
    assert!(place.restore().is_err() && !place.target().exists());
    std::fs::remove_file(forged).unwrap();
}

#[test]
fn a_snapshot_that_names_files_elsewhere_or_in_another_form_is_refused() {
    let place = filled();
    place.backup(1_000).unwrap();
    let evil = ["../node-id", "/node-id", "a/../../b", "", ".", "./a", "a/.", "a/./b", "a//b", "a/", "a\\b", "a\0b"];
    for path in evil {
        let forged = forge(&place, |list| list["files"][0]["path"] = json!(path));
        refused(&place, &forged, &format!("it names a file that cannot be: {path:?}"));
    }
    assert!(place.repository().snapshot(None).is_ok(), "the whole one is left");
}

#[test]
fn a_snapshot_that_names_a_path_twice_or_as_file_and_folder_is_refused() {
    let place = filled();
    place.backup(1_000).unwrap();
    let forged = forge(&place, |list| list["files"][0]["path"] = json!("node-id"));
    refused(&place, &forged, "it names a file twice: \"node-id\"");
    for (folder, below) in [("node-id", "node-id/x"), ("node-id", "node-id/x/y"), ("log/samples", "log/samples/1.seg")]
    {
        let forged = forge(&place, |list| {
            let files = list["files"].as_array_mut().unwrap();
            files[0]["path"] = json!(if files.iter().any(|file| file["path"] == below) { folder } else { below });
        });
        refused(&place, &forged, &format!("it names {folder:?} as a file, and as the folder of {below:?}"));
    }
    // A sibling that sorts between a folder and what is in it.
    let forged = forge(&place, |list| list["files"][0]["path"] = json!("log/samples.old"));
    place.repository().snapshot(None).unwrap();
    std::fs::remove_file(forged).unwrap();
}

#[test]
fn a_snapshot_with_more_bytes_than_can_be_is_refused_and_no_sum_overflows() {
    let place = filled();
    place.backup(1_000).unwrap();
    for bytes in [u64::MAX, i64::MAX as u64 + 1, i64::MAX as u64] {
        let mut path = Value::Null;
        let forged = forge(&place, |list| {
            let files = list["files"].as_array_mut().unwrap();
            let last = files.last_mut().unwrap();
            last["bytes"] = json!(bytes);
            path = last["path"].clone();
        });
        refused(&place, &forged, &format!("up to {path} its files have more bytes than any disk holds"));
    }
    let forged = forge(&place, |list| list["bytes"] = json!(1));
    refused(&place, &forged, "it says 1 bytes, and its files have 2503002");
    // Each of three may have so many, and together they have more than 2^64.
    for number in 0..3 {
        forge(&place, |list| {
            list["bytes"] = json!(i64::MAX);
            let mut file = list["files"][0].clone();
            file["bytes"] = json!(i64::MAX);
            file["sha256"] = json!(format!("{number}").repeat(64));
            list["files"] = json!([file]);
        });
    }
    assert_eq!(place.repository().check(&mut ()).unwrap().findings.len(), 3, "their files are missing");
}

fn sum_of(text: &str) -> String {
    use sha2::{Digest, Sha256};
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn old_backups_go_with_what_only_they_had() {
    let place = filled();
    for at in 1..=4 {
        place.write("node-id", format!("life {at}").as_bytes());
        place.backup(at * 1_000).unwrap();
    }
    // One that is under way keeps what it has.
    place.write("log/samples/0.seg", b"only in the fifth");
    place.write("node-id", b"life 5");
    assert!(catch_unwind(AssertUnwindSafe(|| place.backup_with(5_000, &mut StopAfter(2)))).is_err());
    let writing = Repository::write(&place.store()).unwrap();
    let pruned = writing.prune(2).unwrap();
    assert_eq!((pruned.snapshots.len(), pruned.objects, pruned.bytes), (2, 2, 12));
    assert_eq!(writing.repository().names().unwrap().len(), 2);
    assert_eq!(writing.repository().check(&mut ()).unwrap().findings, vec![]);
    assert_eq!(writing.prune(0).unwrap().snapshots.len(), 1, "the last one stays");
    // If what is to be kept cannot be read, nothing is removed.
    let name = writing.repository().names().unwrap().remove(0);
    let path = place.store().join(format!("snapshots/{name}.json"));
    std::fs::write(&path, b"{}").unwrap();
    let before = tree(&place.store());
    assert!(writing.prune(1).is_err());
    assert_eq!(tree(&place.store()), before);
}

#[test]
fn the_last_whole_copy_of_a_file_that_is_damaged_or_missing_since_stays() {
    let place = filled();
    let (damaged, lost) = ("log/samples/1.seg", "log/samples/lost.seg");
    place.write(damaged, b"to be damaged");
    place.write(lost, b"to be lost");
    for at in 1..=3 {
        place.write("node-id", format!("life {at}").as_bytes());
        place.backup(at * 1_000).unwrap();
    }
    place.write(damaged, b"damaged");
    std::fs::remove_file(place.data().join(lost)).unwrap();
    let broken = |at_ms| {
        let what = What { at_ms, node: "n".to_owned(), missing: vec![lost.to_owned()], ..What::default() };
        let mut look = |path: &str, _: &Path| (path == damaged).then(|| "flawed".to_owned());
        Repository::write(&place.store())
            .unwrap()
            .backup(what, &place.items(), &mut (), &mut look, || at_ms + 1)
            .unwrap();
    };
    broken(4_000);
    broken(5_000);
    let names = place.repository().names().unwrap();
    let pruned = Repository::write(&place.store()).unwrap().prune(1).unwrap();
    // The newest that has them; not the older ones, nor the younger one that has them not.
    assert_eq!(pruned.spared, [(names[2].clone(), vec![damaged.to_owned(), lost.to_owned()])]);
    assert_eq!(pruned.snapshots, [names[0].clone(), names[1].clone(), names[3].clone()]);
    assert_eq!(place.repository().names().unwrap(), [names[2].clone(), names[4].clone()]);
    assert_eq!(place.repository().check(&mut ()).unwrap().findings, vec![]);
    // Once they are whole again, it goes as any other.
    place.write(damaged, b"whole again");
    place.write(lost, b"found");
    place.backup(6_000).unwrap();
    let pruned = Repository::write(&place.store()).unwrap().prune(1).unwrap();
    assert_eq!((pruned.spared, pruned.snapshots), (vec![], vec![names[2].clone(), names[4].clone()]));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn no_bytes_for_a_snapshot_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let place = Place::new();
        Repository::write(&place.store()).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let name = format!("snapshots/x-{}.json", &sum_of(&text)[..16]);
        std::fs::write(place.store().join(name), &text).unwrap();
        prop_assert!(place.repository().snapshot(None).is_err());
        prop_assert!(!Path::new(&place.target()).exists());
    }
}
