//! Bringing a backup back, or leaving everything as it was.

use crate::support::{Place, StopAfter, tree};
use andon_backup::{BackupError, Pace, Progress};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

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

/// The names in a folder.
fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_second_restore_into_a_target_is_refused_while_the_first_runs_and_takes_nothing_from_it() {
    /// Tries the same at every piece.
    struct Meanwhile<'a>(&'a Place, u32);
    impl Pace for Meanwhile<'_> {
        fn before(&mut self, _bytes: usize) {
            let repository = self.0.repository();
            let snapshot = repository.snapshot(None).unwrap();
            let slashed = PathBuf::from(format!("{}/", self.0.target().display()));
            for target in [self.0.target(), slashed, self.0.dir.path().join("./target/.")] {
                let refused = repository.restore(&snapshot, &target, &mut ()).unwrap_err();
                assert!(matches!(refused, BackupError::Restoring(_)), "{refused}");
                let text = format!("another restore into {} is under way", self.0.target().display());
                assert!(refused.to_string().starts_with(&text), "{refused}");
            }
            self.1 += 1;
        }
        fn progress(&mut self, _progress: Progress) {}
    }
    let place = backed_up();
    let repository = place.repository();
    let snapshot = repository.snapshot(None).unwrap();
    let mut meanwhile = Meanwhile(&place, 0);
    let restoring = repository.restore(&snapshot, &place.target(), &mut meanwhile).unwrap();
    assert!(meanwhile.1 >= 3, "tried {} times", meanwhile.1);
    assert!(matches!(place.restore(), Err(BackupError::Restoring(_))), "until it is in place");
    restoring.put_in_place().unwrap();
    assert_eq!(tree(&place.target()), tree(&place.data()));
    assert_eq!(names(place.dir.path()), ["backups", "data", "target"]);
}

#[test]
fn of_many_restores_at_once_one_is_done_and_is_whole() {
    let place = backed_up();
    // As a kill leaves it: nobody holds it.
    std::fs::write(place.dir.path().join("target.restoring.lock"), b"").unwrap();
    for _ in 0..20 {
        let done: usize = std::thread::scope(|scope| {
            let tries: Vec<_> = (0..4).map(|_| scope.spawn(|| usize::from(place.restore().is_ok()))).collect();
            tries.into_iter().map(|one| one.join().unwrap()).sum()
        });
        assert_eq!(done, 1);
        assert_eq!(tree(&place.target()), tree(&place.data()));
        assert_eq!(names(place.dir.path()), ["backups", "data", "target"]);
        std::fs::remove_dir_all(place.target()).unwrap();
    }
}

#[test]
fn however_a_target_is_written_its_neighbour_is_beside_it() {
    let place = backed_up();
    let repository = place.repository();
    let snapshot = repository.snapshot(None).unwrap();
    let top = place.dir.path();
    // From where the tests run to the target, without a leading `/`.
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    let relative = up.join(top.strip_prefix("/").unwrap());
    for (target, empty) in [
        (format!("{}/target/", top.display()), false),
        (format!("{}/target//", top.display()), true),
        (format!("{}/target/.", top.display()), true),
        (format!("{}/./target", top.display()), false),
        (format!("{}/target/", relative.display()), true),
    ] {
        if empty {
            std::fs::create_dir(place.target()).unwrap();
        }
        let restoring = repository.restore(&snapshot, Path::new(&target), &mut ()).unwrap();
        assert_eq!(restoring.folder().canonicalize().unwrap(), top.canonicalize().unwrap().join("target.restoring"));
        restoring.put_in_place().unwrap();
        assert_eq!(tree(&place.target()), tree(&place.data()), "{target}");
        assert_eq!(names(top), ["backups", "data", "target"]);
        std::fs::remove_dir_all(place.target()).unwrap();
    }
    for target in ["", "/", "..", "data/.."] {
        let refused = repository.restore(&snapshot, Path::new(target), &mut ()).unwrap_err();
        assert!(matches!(refused, BackupError::Target { .. }), "{target}: {refused}");
    }
    // The folder we are in holds this crate.
    let refused = repository.restore(&snapshot, Path::new("."), &mut ()).unwrap_err().to_string();
    assert!(refused.contains("is not empty"), "{refused}");
    assert!(!here.with_file_name("backup.restoring.lock").exists());
}

#[test]
fn missing_folders_above_a_target_are_made_and_go_again_when_it_fails() {
    let place = backed_up();
    let repository = place.repository();
    let snapshot = repository.snapshot(None).unwrap();
    let target = place.dir.path().join("a/b/data");
    drop(repository.restore(&snapshot, &target, &mut ()).unwrap());
    assert_eq!(names(place.dir.path()), ["backups", "data"]);
    // What somebody else put there stays.
    let restoring = repository.restore(&snapshot, &target, &mut ()).unwrap();
    std::fs::write(place.dir.path().join("a/theirs"), b"x").unwrap();
    drop(restoring);
    assert_eq!(names(&place.dir.path().join("a")), ["theirs"]);
    repository.restore(&snapshot, &target, &mut ()).unwrap().put_in_place().unwrap();
    assert_eq!(tree(&target), tree(&place.data()));
    assert_eq!(names(&place.dir.path().join("a/b")), ["data"]);
}
