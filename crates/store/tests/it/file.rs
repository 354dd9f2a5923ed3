//! The file itself: what it is, what it refuses.

use crate::fakes::{HandClock, note, open, plant};
use andon_model::access::Principal;
use andon_store::{AccountRepository, OpenError, OutboxRepository, PlantRepository, Store, StoreError};
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio_util::sync::CancellationToken;

async fn execute(path: &Path, sql: &'static str) {
    let mut connection = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.apply_plant(0, plant(&["a"]), Principal::SYSTEM, None).await.unwrap();
    // Dropped without close, as by a kill.
    drop(store);
    let store = open(folder.path()).await;
    let (plant, ids) = store.current_plant().await.unwrap();
    assert_eq!((plant.version, plant.tags.len(), ids.len()), (1, 1, 1));
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_of_a_newer_version_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    open(folder.path()).await.close().await.unwrap();
    execute(
        &path,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)",
    )
    .await;
    let before = std::fs::read(&path).unwrap();
    let refused = Store::open(&path, HandClock::new()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9999, .. }), "{refused:?}");
    assert!(refused.to_string().contains("newer version of Andon"), "{refused}");
    assert!(matches!(Store::examine(&path).await, Err(OpenError::Newer { found: 9999, .. })));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn a_tool_can_look_at_a_store_without_opening_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    Store::examine(&path).await.unwrap();
    assert!(!path.exists(), "a look must not make the file");
    let whole = closed_store(folder.path()).await;
    Store::examine(&path).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), whole);
}

#[tokio::test]
async fn a_database_of_another_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, b"").unwrap();
    execute(&path, "CREATE TABLE recipe (name TEXT)").await;
    assert!(matches!(Store::open(&path, HandClock::new()).await, Err(OpenError::Foreign { .. })));
}

/// A closed store with something in every part.
async fn closed_store(folder: &Path) -> Vec<u8> {
    let store = open(folder).await;
    for version in 0..6 {
        let tags: Vec<String> = (0..40).map(|number| format!("tag{version}-{number}")).collect();
        let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
        store.apply_plant(version, plant(&tags), Principal::SYSTEM, None).await.unwrap();
    }
    store.close().await.unwrap();
    drop(store);
    std::fs::read(folder.join("store.db")).unwrap()
}

/// What is said about a file of these bytes; it must not have been changed.
async fn refusal(bytes: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.db");
    std::fs::write(&path, bytes).unwrap();
    let refused = Store::open(&path, HandClock::new()).await.expect_err("a damaged file was opened");
    assert!(matches!(refused, OpenError::Damaged { .. }), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), bytes, "it is evidence, and must stay as it is");
    let text = refused.to_string();
    assert!(text.contains("store.db is damaged: "), "{text}");
    assert_eq!(Store::examine(&path).await.unwrap_err().to_string(), text);
    text
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let text = refusal("this is a shopping list, not a database ".repeat(40).as_bytes()).await;
    assert!(text.contains("file is not a database"), "{text}");
    refusal(&[0; 4096]).await;
}

#[tokio::test]
async fn a_truncated_file_is_refused_with_what_the_check_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = closed_store(folder.path()).await;
    let pages = whole.len() / 4096;
    for length in [1, 99, 511, 4095, 4096, 4097, pages / 2 * 4096, whole.len() - 4096, whole.len() - 1] {
        refusal(&whole[..length]).await;
    }
}

#[tokio::test]
async fn a_page_of_garbage_is_found_at_the_start_and_not_months_later() {
    let folder = tempfile::tempdir().unwrap();
    let whole = closed_store(folder.path()).await;
    for page in 0..whole.len() / 4096 {
        let mut damaged = whole.clone();
        damaged[page * 4096..][..4096].fill(0xA5);
        refusal(&damaged).await;
    }
}

#[tokio::test]
async fn two_swapped_pages_and_a_garbled_header_are_found() {
    let folder = tempfile::tempdir().unwrap();
    let whole = closed_store(folder.path()).await;
    let mut swapped = whole.clone();
    swapped.copy_within(4096..8192, 8192);
    refusal(&swapped).await;
    for byte in [0, 16, 18, 59] {
        let mut damaged = whole.clone();
        damaged[byte] ^= 0xFF;
        let path = folder.path().join(format!("header-{byte}.db"));
        std::fs::write(&path, &damaged).unwrap();
        Store::open(&path, HandClock::new()).await.expect_err("a garbled header was opened");
    }
}

/// Damage must not make anybody wait for ever either.
async fn in_time<T>(what: &str, at: usize, done: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(std::time::Duration::from_secs(60), done).await;
    done.unwrap_or_else(|_| panic!("{what} does not end, byte {at}"))
}

#[tokio::test]
async fn no_flipped_byte_makes_it_panic() {
    let folder = tempfile::tempdir().unwrap();
    let whole = closed_store(folder.path()).await;
    // A step that is no divisor of the page size, so that all parts of a page are hit.
    for at in (0..whole.len()).step_by(1489) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xFF;
        let path = folder.path().join("flipped.db");
        std::fs::write(&path, &damaged).unwrap();
        if let Ok(store) = in_time("open", at, Store::open(&path, HandClock::new())).await {
            let _ = in_time("plant", at, store.current_plant()).await;
            let _ = in_time("accounts", at, store.accounts()).await;
            let _ = in_time("close", at, store.close()).await;
        }
        for end in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(folder.path().join(format!("flipped.db{end}")));
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.change_accounts(Vec::new(), Some(note(1, ""))).await.unwrap();
    for entry in std::fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{entry:?}");
    }
}

#[tokio::test]
async fn a_backup_opens_as_a_store_and_never_overwrites() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.apply_plant(0, plant(&["a"]), Principal::SYSTEM, None).await.unwrap();
    let target = folder.path().join("copy.db");
    store.backup(&target, || ()).await.unwrap();
    assert_eq!(Store::check_copy(&target).await.unwrap(), vec![], "no reader has come yet");
    let copy = Store::open(&target, HandClock::new()).await.unwrap();
    assert_eq!(copy.current_plant().await.unwrap().0.version, 1);
    assert!(matches!(store.backup(&target, || ()).await, Err(StoreError::Database { .. })));
    assert_eq!(store.failure(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_committed_between_a_backup_and_its_moment() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    // So large that the copy takes a while.
    let reason = Some("x".repeat(900_000));
    for version in 0..6 {
        let name = ["a", "b"][usize::from(version % 2 == 0)];
        store.apply_plant(version, plant(&[name]), Principal::SYSTEM, reason.clone()).await.unwrap();
    }
    let (done, stop) = (Arc::new(AtomicU64::new(6)), CancellationToken::new());
    let writing = tokio::spawn({
        let (store, done, stop) = (store.clone(), done.clone(), stop.clone());
        async move {
            while !stop.is_cancelled() {
                let version = done.load(Ordering::SeqCst);
                let name = ["a", "b"][usize::from(version % 2 == 0)];
                store.apply_plant(version, plant(&[name]), Principal::SYSTEM, None).await.unwrap();
                done.store(version + 1, Ordering::SeqCst);
            }
        }
    });
    let mut moments = Vec::new();
    for number in 0..12 {
        let target = folder.path().join(format!("copy{number}.db"));
        let before = done.load(Ordering::SeqCst);
        let at_moment = store.backup(&target, || done.load(Ordering::SeqCst)).await.unwrap();
        let copied = Store::open(&target, HandClock::new()).await.unwrap().current_plant().await.unwrap().0.version;
        assert!(copied >= before, "what was done before is in it");
        // One may be committed whose caller has not heard of it yet; none is missing that was done by the moment.
        assert!((at_moment..=at_moment + 1).contains(&copied), "{copied} in the copy, {at_moment} at its moment");
        moments.push(at_moment);
    }
    stop.cancel();
    writing.await.unwrap();
    assert!(moments.last() > moments.first(), "changes went on meanwhile: {moments:?}");
    assert_eq!(store.failure(), None);
}

#[tokio::test]
async fn a_damaged_copy_is_found_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store.apply_plant(0, plant(&["a"]), Principal::SYSTEM, None).await.unwrap();
    store.close().await.unwrap();
    let (path, target) = (folder.path().join("store.db"), folder.path().join("copy.db"));
    Store::copy_closed(&path, &target).await.unwrap();
    Store::check_copy(&target).await.unwrap();
    assert!(Store::copy_closed(&path, &target).await.is_err(), "it never overwrites");
    let mut bytes = std::fs::read(&target).unwrap();
    bytes[4096..6000].fill(0xA5);
    std::fs::write(&target, &bytes).unwrap();
    assert!(matches!(Store::check_copy(&target).await, Err(OpenError::Damaged { .. })));
    assert_eq!(std::fs::read(&target).unwrap(), bytes);
    let of_copy = |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("copy.db");
    let names = std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).filter(of_copy).count();
    assert_eq!(names, 1, "nothing is made beside it");
}

#[tokio::test]
async fn a_large_write_ahead_file_is_folded_in() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    for version in 0..16 {
        let name = format!("tag{version}");
        let reason = Some("x".repeat(800_000));
        store.apply_plant(version, plant(&[&name]), Principal::SYSTEM, reason).await.unwrap();
    }
    let wal = std::fs::metadata(folder.path().join("store.db-wal")).unwrap().len();
    assert!(wal < 12 << 20, "{wal} bytes: without folding in it would be over 24 MB");
}
