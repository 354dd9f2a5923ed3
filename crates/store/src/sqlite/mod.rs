//! The store in one SQLite file: a single writer, a few readers, and a fuse that blows on the first failed write.
//!
//! Checkpoints are ours, not SQLite's: its automatic checkpoint swallows a failed sync of the main file and tries again
//! later, when the kernel may have dropped the pages that could not be written.

use crate::copy;
use crate::error::{OpenError, StoreError, database, is_fatal, opening};
use crate::sql::{Link, Reading, SqlError};
use andon_model::BoxFuture;
use andon_model::log::{Lane, Seq};
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, SqliteConnection, SqlitePool};
use std::fs::OpenOptions;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Mutex, watch};

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// Says in the file's header that it is ours ("Andn").
const APPLICATION_ID: i32 = 0x416E_646E;
/// How long a statement waits for another process's lock.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the end of reads is waited for when the store closes.
const READERS_END_WITHIN: Duration = Duration::from_secs(5);
/// How many reads run at once; more wait.
const READERS: u32 = 3;
/// A file up to this size is checked as a whole at the start: less than a second, also from a memory card.
const CHECKED_WHOLE_BYTES: u64 = 32 << 20;
/// What is checked of a larger file.
const CHECKED_ALWAYS: [&str; 11] =
    ["tag", "tag_name", "person", "person_name", "token", "device", "nobody", "session", "code", "outbox", "applied"];
/// How many findings of a check are told.
const FINDINGS: usize = 5;
/// How often to look whether a copy has begun.
const BEGUN_EVERY: Duration = Duration::from_millis(1);
/// The write-ahead file is folded into the main file beyond this size.
const CHECKPOINT_BYTES: u64 = 8 << 20;

/// The store in a SQLite file.
pub(crate) struct Sqlite {
    path: PathBuf,
    writer: Mutex<Writer>,
    readers: SqlitePool,
    failure: OnceLock<String>,
    /// How many copies are being made. Each holds on to the write-ahead file, which then is not folded in.
    copies: Arc<AtomicUsize>,
    outbox_changes: watch::Sender<u64>,
}

struct Writer {
    connection: SqliteConnection,
    checkpoint_at: u64,
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |error| database(doing)(SqlError::of_file(error))
}

impl Sqlite {
    pub(crate) async fn open(path: &Path, outbox_changes: watch::Sender<u64>) -> Result<Self, OpenError> {
        create_private(path).map_err(|source| OpenError::Io { path: path.to_owned(), source: source.into() })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT)
            .pragma("wal_autocheckpoint", "0")
            .pragma("temp_store", "memory")
            // An erased name is overwritten, not only unlinked.
            .pragma("secure_delete", "on");
        refuse_foreign(path).await?;
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(opening(path))?;
        migrate(path, &mut connection).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .connect_with(options.pragma("query_only", "on"))
            .await
            .map_err(opening(path))?;
        Ok(Self {
            path: path.to_owned(),
            writer: Mutex::new(Writer { connection, checkpoint_at: CHECKPOINT_BYTES }),
            readers,
            failure: OnceLock::new(),
            copies: Arc::default(),
            outbox_changes,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The file and its write-ahead file.
    pub(crate) fn bytes(&self) -> u64 {
        let bytes_of = |path: &Path| std::fs::metadata(path).map_or(0, |meta| meta.len());
        bytes_of(&self.path) + bytes_of(&beside(&self.path, "-wal"))
    }

    pub(crate) async fn examine(path: &Path) -> Result<(), OpenError> {
        if path.exists() { refuse_foreign(path).await } else { Ok(()) }
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }

    pub(crate) async fn close(&self) -> Result<(), StoreError> {
        // What still reads changes nothing, so nobody waits for it for long.
        let _ = tokio::time::timeout(READERS_END_WITHIN, self.readers.close()).await;
        let mut writer = self.writer.lock().await;
        if self.failure().is_some() {
            return Ok(());
        }
        let outcome = self.checkpoint(&mut writer).await;
        let _ = self.failure.set("it was closed".to_owned());
        outcome
    }

    pub(crate) async fn backup<T>(&self, target: &Path, moment: impl FnOnce() -> T) -> Result<T, StoreError> {
        let mut connection = self.readers.acquire().await.map_err(failed("back the store up"))?;
        create_new_private(target).map_err(|error| failed("back the store up")(error.into()))?;
        let writer = self.writer.lock().await;
        let name = text_of(target)?;
        // Ended by itself; it must not be dropped half-way, for the connection goes back to the readers.
        let counted = Counted::new(&self.copies);
        let mut copying = tokio::spawn(async move {
            let _counted = counted;
            // VACUUM INTO reads only, but SQLite counts it as a write.
            sqlx::query("PRAGMA query_only = off").execute(&mut *connection).await?;
            let outcome = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut *connection).await;
            sqlx::query("PRAGMA query_only = on").execute(&mut *connection).await?;
            outcome.map(|_| ())
        });
        // VACUUM takes its view of the store before it writes the first page.
        let begun = async {
            while tokio::fs::metadata(target).await.map_or(0, |meta| meta.len()) == 0 {
                tokio::time::sleep(BEGUN_EVERY).await;
            }
        };
        let early = tokio::select! {
            outcome = &mut copying => Some(outcome),
            () = begun => None,
        };
        let value = moment();
        drop(writer);
        let outcome = match early {
            Some(outcome) => outcome,
            None => copying.await,
        };
        let outcome = outcome.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })?;
        outcome.map(|()| value).map_err(failed("back the store up"))
    }

    /// Makes a file that holds all of another database's records.
    pub(crate) async fn fill(target: &Path, from: &mut Link<'_>) -> Result<(), StoreError> {
        let doing = "write the records into a file";
        create_new_private(target).map_err(|error| failed(doing)(error.into()))?;
        let bad = |error: OpenError| StoreError::Database { doing, source: error.into() };
        refuse_foreign(target).await.map_err(bad)?;
        let options = SqliteConnectOptions::new().filename(target).foreign_keys(true).pragma("temp_store", "memory");
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed(doing))?;
        migrate(target, &mut connection).await.map_err(bad)?;
        let mut transaction = connection.begin().await.map_err(failed(doing))?;
        copy::all(from, &mut Link::Sqlite(&mut transaction)).await?;
        transaction.commit().await.map_err(failed(doing))?;
        connection.close().await.map_err(failed(doing))
    }

    /// The records of a file that nobody has open, brought to the newest schema first.
    pub(crate) async fn closed(path: &Path) -> Result<SqliteConnection, OpenError> {
        refuse_foreign(path).await?;
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).foreign_keys(true);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(opening(path))?;
        migrate(path, &mut connection).await?;
        Ok(connection)
    }

    pub(crate) async fn copy_closed(path: &Path, target: &Path) -> Result<(), OpenError> {
        refuse_foreign(path).await?;
        let io = opening(path);
        create_new_private(target).map_err(|error| io(error.into()))?;
        let name = text_of(target).map_err(|error| io(sqlx::Error::Configuration(error.into())))?;
        let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(&io)?;
        sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await.map_err(&io)?;
        connection.close().await.map_err(io)
    }

    pub(crate) async fn check_copy(path: &Path) -> Result<Vec<(String, Seq)>, OpenError> {
        refuse_bad_header(path)?;
        let io = opening(path);
        let options = SqliteConnectOptions::new().filename(path).read_only(true).immutable(true);
        let mut connection = SqliteConnection::connect_with(&options).await.map_err(&io)?;
        let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await.map_err(&io)?;
        if id != APPLICATION_ID {
            return Err(OpenError::Foreign { place: path.display().to_string() });
        }
        let check = format!("PRAGMA integrity_check({FINDINGS})");
        refuse_findings(path, &mut connection, vec![check]).await?;
        let offsets = sqlx::query_as("SELECT reader, seq FROM applied WHERE lane = ?").bind(Lane::Records.name());
        let offsets: Vec<(String, i64)> = offsets.fetch_all(&mut connection).await.map_err(&io)?;
        connection.close().await.map_err(io)?;
        Ok(offsets.into_iter().map(|(reader, seq)| (reader, Seq(u64::try_from(seq).unwrap_or(0)))).collect())
    }

    pub(crate) async fn reader(&self, doing: &'static str) -> Result<Reading, StoreError> {
        self.readers.acquire().await.map(Reading::Sqlite).map_err(failed(doing))
    }

    pub(crate) async fn moment(&self, doing: &'static str) -> Result<Reading, StoreError> {
        self.readers.begin().await.map(Reading::SqliteMoment).map_err(failed(doing))
    }

    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>>,
    {
        let mut writer = self.writer.lock().await;
        if let Some(reason) = self.failure() {
            return Err(StoreError::Failed { reason: reason.to_owned() });
        }
        let begun = writer.connection.begin_with("BEGIN IMMEDIATE").await;
        let mut transaction = begun.map_err(failed("begin a change")).map_err(|error| self.note(error))?;
        let value = match work(Link::Sqlite(&mut transaction)).await {
            Ok(value) => value,
            Err(error) => {
                let error = self.note(error);
                transaction.rollback().await.map_err(failed("take a change back")).map_err(|e| self.stop(e))?;
                return Err(error);
            }
        };
        transaction.commit().await.map_err(failed("commit a change")).map_err(|error| self.stop(error))?;
        self.outbox_changes.send_modify(|count| *count = count.wrapping_add(1));
        self.checkpoint_if_large(&mut writer).await;
        Ok(value)
    }

    /// The commit stands already; a failed checkpoint stops the store for what comes after.
    async fn checkpoint_if_large(&self, writer: &mut Writer) {
        if self.copies.load(Ordering::Acquire) > 0 {
            return; // It would wait in vain for the copy, and everybody for it.
        }
        let wal = beside(&self.path, "-wal");
        let bytes = tokio::fs::metadata(&wal).await.map_or(0, |meta| meta.len());
        if bytes > writer.checkpoint_at
            && let Err(error) = self.checkpoint(writer).await
        {
            tracing::error!(%error, "the store stopped: its write-ahead file could not be folded in");
        }
    }

    async fn checkpoint(&self, writer: &mut Writer) -> Result<(), StoreError> {
        let row: Result<(i64, i64, i64), _> =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut writer.connection).await;
        let (busy, ..) = row.map_err(failed("fold the write-ahead file in")).map_err(|error| self.stop(error))?;
        // A long read held it up: try again only when the file has doubled.
        writer.checkpoint_at = if busy == 0 { CHECKPOINT_BYTES } else { writer.checkpoint_at.saturating_mul(2) };
        Ok(())
    }

    fn note(&self, error: StoreError) -> StoreError {
        if is_fatal(&error) { self.stop(error) } else { error }
    }

    fn stop(&self, error: StoreError) -> StoreError {
        let reason = match &error {
            StoreError::Database { doing, source } => {
                format!("a write failed, check the disk: could not {doing}: {source}")
            }
            other => other.to_string(),
        };
        tracing::error!(reason, "the store stops: nothing is taken any more until a restart");
        let _ = self.failure.set(reason);
        // Whoever waits for the outbox looks again and hears of it.
        self.outbox_changes.send_modify(|count| *count = count.wrapping_add(1));
        error
    }
}

/// A copy that is being made.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(copies: &Arc<AtomicUsize>) -> Self {
        copies.fetch_add(1, Ordering::AcqRel);
        Self(Arc::clone(copies))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

/// SQLite gives the files beside it the rights of the main file, so it is enough to make that one private.
fn create_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// An empty file that was not there before; SQLite takes it as one to be made.
fn create_new_private(path: &Path) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(|_| ())
}

/// A path for SQLite.
fn text_of(path: &Path) -> Result<String, StoreError> {
    path.to_str()
        .map(str::to_owned)
        .ok_or_else(|| StoreError::Damaged { what: "name of the backup file", reason: "it is not UTF-8".to_owned() })
}

/// Looks before anything is changed: is the file empty, or ours, whole and not from the future?
async fn refuse_foreign(path: &Path) -> Result<(), OpenError> {
    refuse_bad_header(path)?;
    let io = opening(path);
    let options = SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(&io)?;
    let tables: i64 =
        sqlx::query_scalar("SELECT count(*) FROM sqlite_schema").fetch_one(&mut connection).await.map_err(&io)?;
    if tables > 0 {
        let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await.map_err(&io)?;
        if id != APPLICATION_ID {
            return Err(OpenError::Foreign { place: path.display().to_string() });
        }
        let found: Option<i64> = sqlx::query_scalar("SELECT max(version) FROM _sqlx_migrations")
            .fetch_one(&mut connection)
            .await
            .map_err(&io)?;
        let (found, known) = (found.unwrap_or(0), newest_schema());
        if found > known {
            return Err(OpenError::Newer { place: path.display().to_string(), found, known });
        }
        refuse_damaged(path, &mut connection).await?;
    } else {
        // Before the first table, so that a kill between the two leaves a file that is still taken for ours.
        let mark = sqlx::query(sqlx::AssertSqlSafe(format!("PRAGMA application_id = {APPLICATION_ID}")));
        mark.execute(&mut connection).await.map_err(&io)?;
    }
    connection.close().await.map_err(io)
}

/// What SQLite itself lets pass: it takes a file that is too short for a database as an empty one, one that lost its end as
/// one whose end is zero, and one of an unknown write format as read-only. (sqlite.org/fileformat2.html §1.3)
fn refuse_bad_header(path: &Path) -> Result<(), OpenError> {
    let io = |source: std::io::Error| OpenError::Io { path: path.to_owned(), source: source.into() };
    let damaged = |finding: String| Err(OpenError::Damaged { path: path.to_owned(), finding });
    let bytes = std::fs::metadata(path).map_err(io)?.len();
    if bytes == 0 {
        return Ok(());
    }
    let mut header = [0; 100];
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut header));
    if read.is_err() || !header.starts_with(b"SQLite format 3\0") {
        return damaged("file is not a database".to_owned());
    }
    let (page_size, formats) = (u64::from(u16::from_be_bytes([header[16], header[17]])), [header[18], header[19]]);
    if !formats.iter().all(|format| matches!(format, 1 | 2)) {
        return damaged("its header names a format that does not exist".to_owned());
    }
    let page_size = if page_size == 1 { 65_536 } else { page_size };
    let pages = u64::from(u32::from_be_bytes([header[28], header[29], header[30], header[31]]));
    // A kill while the write-ahead file was folded in may leave fewer pages; then that file holds them all.
    let is_complete = std::fs::metadata(beside(path, "-wal")).map_or(true, |wal| wal.len() == 0);
    if is_complete && header[24..28] == header[92..96] && bytes < pages * page_size {
        return damaged(format!("it has {bytes} bytes and should have {}: its end is missing", pages * page_size));
    }
    Ok(())
}

/// The file beside the main one whose name ends so.
fn beside(path: &Path, end: &str) -> PathBuf {
    let mut name = path.to_owned().into_os_string();
    name.push(end);
    PathBuf::from(name)
}

/// Checks every page and index of a file up to [`CHECKED_WHOLE_BYTES`]; of a larger one the tables that nothing can replace
/// and that stay small, so that the start does not take minutes.
async fn refuse_damaged(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    let bytes = tokio::fs::metadata(path).await.map_or(0, |meta| meta.len());
    let checks: Vec<String> = if bytes <= CHECKED_WHOLE_BYTES {
        vec![format!("PRAGMA integrity_check({FINDINGS})")]
    } else {
        CHECKED_ALWAYS.iter().map(|table| format!("PRAGMA quick_check({table})")).collect()
    };
    refuse_findings(path, connection, checks).await
}

/// Runs checks of SQLite's own.
async fn refuse_findings(path: &Path, connection: &mut SqliteConnection, checks: Vec<String>) -> Result<(), OpenError> {
    for check in checks {
        let check = sqlx::query_scalar(sqlx::AssertSqlSafe(check));
        let found: Vec<String> = check.fetch_all(&mut *connection).await.map_err(opening(path))?;
        if found != ["ok"] {
            let finding = found.iter().flat_map(|text| text.lines()).take(FINDINGS).collect::<Vec<_>>().join("; ");
            return Err(OpenError::Damaged { path: path.to_owned(), finding });
        }
    }
    Ok(())
}

fn newest_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn migrate(path: &Path, connection: &mut SqliteConnection) -> Result<(), OpenError> {
    MIGRATIONS.run(connection).await.map_err(|error: MigrateError| OpenError::Migration {
        place: path.display().to_string(),
        known: newest_schema(),
        source: error.into(),
    })
}

#[cfg(test)]
mod tests {
    use crate::error::StoreError;
    use crate::repository::{AccountChange, AccountRepository, OutboxRepository, Token};
    use crate::store::Store;
    use andon_model::{SystemClock, Timestamp};
    use std::sync::Arc;
    use uuid::Uuid;

    async fn store(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("store.db"), Arc::new(SystemClock)).await.unwrap()
    }

    fn token(number: u8, name: String) -> Vec<AccountChange> {
        vec![AccountChange::PutToken(Token {
            id: Uuid::from_u128(u128::from(number)),
            name,
            secret_sha256: [number; 32],
            grants: Vec::new(),
            created: Timestamp::default(),
            revoked: None,
            last_used: None,
        })]
    }

    #[tokio::test]
    async fn the_settings_that_durability_rests_on_are_in_force() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let mut writer = store.sqlite().writer.lock().await;
        let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut writer.connection).await.unwrap();
        assert_eq!(mode, "wal");
        for (pragma, wanted) in [
            ("PRAGMA synchronous", 2),
            ("PRAGMA foreign_keys", 1),
            ("PRAGMA wal_autocheckpoint", 0),
            ("PRAGMA secure_delete", 1),
        ] {
            let found: i64 = sqlx::query_scalar(pragma).fetch_one(&mut writer.connection).await.unwrap();
            assert_eq!(found, wanted, "{pragma}");
        }
    }

    #[tokio::test]
    async fn after_a_full_disk_nothing_is_taken_any_more_and_what_was_there_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        store.change_accounts(token(1, "before".to_owned()), None).await.unwrap();
        {
            // SQLite's own way to play a full disk: no page beyond those there are.
            let mut writer = store.sqlite().writer.lock().await;
            sqlx::query("PRAGMA max_page_count = 1").execute(&mut writer.connection).await.unwrap();
        }
        assert!(store.change_accounts(token(2, "x".repeat(1 << 20)), None).await.is_err());
        assert!(store.failure().is_some_and(|reason| reason.contains("full")), "{:?}", store.failure());
        let refused = store.change_accounts(token(3, "after".to_owned()), None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Failed { .. }), "{refused}");
        assert_eq!(store.accounts().await.unwrap().tokens.len(), 1);
    }

    #[tokio::test]
    async fn a_caller_who_goes_away_does_not_break_a_commit_off() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(&folder).await;
        let mut changes = store.outbox_changes();
        let change = store.change_accounts(token(1, "phone".to_owned()), None);
        // Polled once, then dropped.
        let _ = tokio::time::timeout(std::time::Duration::ZERO, change).await;
        changes.changed().await.unwrap();
        assert_eq!(store.accounts().await.unwrap().tokens.len(), 1);
    }
}
