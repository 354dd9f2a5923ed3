//! Bringing a backup back, or leaving everything as it was.

use crate::support::{Place, StopAfter, tree};
use andon_backup::BackupError;
use std::panic::{AssertUnwindSafe, catch_unwind};

fn backed_up() -> Place {
    let place = Place::new();
    place.write("node-id", b"me");
    place.write("log/samples/1.seg", &vec![7; 1_500_000]);
    place.backup(1_000).unwrap();
    place
}

#[test]
fn a_target_that_holds_anything_is_refused_and_an_empty_one_is_taken() {
    let place = backed_up();
    std::fs::create_dir(place.target()).unwrap();
    std::fs::write(place.target().join("mine"), b"x").unwrap();
    let refused = place.restore().unwrap_err().to_string();
    assert!(refused.contains("is not empty. Nothing was changed"), "{refused}");
    assert_eq!(tree(&place.target()).len(), 1);
    std::fs::remove_file(place.target().join("mine")).unwrap();
    place.restore().unwrap();
    assert_eq!(tree(&place.target()), tree(&place.data()));
    assert!(place.restore().is_err(), "and not a second time");
    std::fs::remove_dir_all(place.target()).unwrap();
    std::fs::write(place.target(), b"a file").unwrap();
    assert!(matches!(place.restore(), Err(BackupError::Target { .. })));
}

#[test]
fn one_that_was_cut_off_leaves_no_target_and_the_next_one_is_complete() {
    let place = backed_up();
    let repository = place.repository();
    let snapshot = repository.snapshot(None).unwrap();
    let cut = catch_unwind(AssertUnwindSafe(|| repository.restore(&snapshot, &place.target(), &mut StopAfter(2))));
    assert!(cut.is_err() && !place.target().exists());
    // A kill, unlike a panic, leaves the folder beside it.
    let beside = place.dir.path().join("target.restoring");
    std::fs::create_dir_all(&beside).unwrap();
    std::fs::write(beside.join("half"), b"x").unwrap();
    place.restore().unwrap();
    assert_eq!(tree(&place.target()), tree(&place.data()));
    assert!(!beside.exists());
}

#[test]
fn one_that_is_not_put_in_place_leaves_nothing() {
    let place = backed_up();
    let repository = place.repository();
    let snapshot = repository.snapshot(None).unwrap();
    let restoring = repository.restore(&snapshot, &place.target(), &mut ()).unwrap();
    assert_eq!(tree(restoring.folder()), tree(&place.data()));
    drop(restoring);
    assert!(!place.target().exists() && !place.dir.path().join("target.restoring").exists());
    // Somebody was faster.
    let restoring = repository.restore(&snapshot, &place.target(), &mut ()).unwrap();
    std::fs::create_dir(place.target()).unwrap();
    std::fs::write(place.target().join("theirs"), b"x").unwrap();
    assert!(restoring.put_in_place().is_err());
    assert_eq!(tree(&place.target()).len(), 1);
}
