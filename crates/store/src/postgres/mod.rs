//! The store in a PostgreSQL database: a single writer that owns the database, a few readers, and a server that may go away.
//!
//! The order of commits, the numbers of rows and the one job on a unit rest on there being one writer, as in a file. Here the writer is one
//! connection that holds an advisory lock as long as it lives: a node whose connection broke writes again only on a new one that has got
//! the lock, and another node never does in between.
//!
//! The server answers for the disk: a commit that it acknowledges is on it (`synchronous_commit`, and `fsync` is asked for). What fails is
//! told to the caller and not tried again, for a transaction may have been made when its answer is lost ([`StoreError::CutOff`]). Only the
//! beginning of one is tried a second time, on a new connection: nothing was done yet.

mod settings;

pub use settings::{PostgresSettings, SettingsError};

use crate::copy;
use crate::error::{OpenError, StoreError, database};
use crate::sql::{ANSWER_WITHIN, Link, Reading, SqlError, in_time, sql};
use crate::sqlite::Sqlite;
use andon_model::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use std::path::Path;
use std::sync::OnceLock;
use std::time::Duration;
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations/postgres");

/// The oldest version of the server, as it numbers itself.
const OLDEST: i64 = 150_000;
/// The key of the lock that a writer holds ("AndnRecd").
const LOCK: i64 = 0x416E_646E_5265_6364;
/// How many reads run at once; more wait.
const READERS: u32 = 4;
/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// After so long it is said who is waited for.
const LOCK_TOLD_AFTER: Duration = Duration::from_secs(1);
/// How long our own lock of a broken connection is waited for.
const LOCK_AGAIN_WITHIN: Duration = Duration::from_secs(3);
/// How often to ask for the lock.
const LOCK_EVERY: Duration = Duration::from_millis(50);
/// After the server could not be reached, changes are refused at once for this long, so that they do not queue up.
const REST: Duration = Duration::from_secs(1);
/// For how long after the last failed try the server counts as not to be reached.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// The store in a PostgreSQL database.
pub(crate) struct Postgres {
    place: String,
    options: PgConnectOptions,
    writer: Mutex<Writer>,
    readers: PgPool,
    /// Why nothing is taken any more.
    closed: OnceLock<String>,
    lost: std::sync::Mutex<Option<Lost>>,
    outbox_changes: watch::Sender<u64>,
}

/// Why the records of a file were not taken over. They are where they were.
#[derive(Debug, thiserror::Error)]
pub enum TakeOverError {
    /// The file.
    #[error("the file cannot be read")]
    File(#[from] OpenError),
    /// The database.
    #[error("the database did not take them")]
    Store(#[from] StoreError),
}

struct Writer {
    /// Holds the lock; taken out while a transaction runs, so that one that was broken off is never used again.
    connection: Option<PgConnection>,
    /// Until then the server counts as not to be reached.
    rests_until: Option<Instant>,
}

struct Lost {
    at: Instant,
    why: String,
}

impl Postgres {
    pub(crate) async fn open(
        settings: &PostgresSettings,
        outbox_changes: watch::Sender<u64>,
    ) -> Result<Self, OpenError> {
        let (place, options) = (settings.place(), session(settings.options()));
        let mut connection = connect(&place, &options).await?;
        lock(&place, &mut connection, &options, settings.lock_within()).await?;
        refuse_foreign(&place, &mut connection).await?;
        migrate(&place, &mut connection).await?;
        let read_only = options.clone().options([("default_transaction_read_only", "on")]);
        let readers =
            PgPoolOptions::new().max_connections(READERS).acquire_timeout(CONNECT_WITHIN).connect_lazy_with(read_only);
        Ok(Self {
            place,
            options,
            writer: Mutex::new(Writer { connection: Some(connection), rests_until: None }),
            readers,
            closed: OnceLock::new(),
            lost: std::sync::Mutex::default(),
            outbox_changes,
        })
    }

    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.closed.get().map(String::as_str)
    }

    pub(crate) fn unreachable(&self) -> Option<String> {
        let lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        lost.as_ref().filter(|lost| lost.at.elapsed() < TOLD_FOR).map(|lost| lost.why.clone())
    }

    /// Lets go of the database, so that another node can have it at once.
    pub(crate) async fn close(&self) {
        let _ = tokio::time::timeout(CONNECT_WITHIN, self.readers.close()).await;
        let mut writer = self.writer.lock().await;
        let _ = self.closed.set("it was closed".to_owned());
        if let Some(connection) = writer.connection.take() {
            // A server that does not answer lets go of the lock by itself.
            let _ = tokio::time::timeout(CONNECT_WITHIN, connection.close()).await;
        }
    }

    pub(crate) async fn reader(&self, doing: &'static str) -> Result<Reading, StoreError> {
        let connection = self.readers.acquire().await.map_err(|error| self.refused(doing, error))?;
        Ok(Reading::Postgres(connection, false))
    }

    pub(crate) async fn moment(&self, doing: &'static str) -> Result<Reading, StoreError> {
        let begun = self.readers.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await;
        Ok(Reading::PostgresMoment(begun.map_err(|error| self.refused(doing, error))?, false))
    }

    fn refused(&self, doing: &'static str, error: sqlx::Error) -> StoreError {
        let error = database(doing)(SqlError::of_server(error));
        if let StoreError::Unreachable { source, .. } = &error {
            self.note_lost(source.to_string());
        }
        error
    }

    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>>,
    {
        let mut writer = self.writer.lock().await;
        if let Some(reason) = self.failure() {
            return Err(StoreError::Failed { reason: reason.to_owned() });
        }
        let mut connection = self.begin(&mut writer).await?;
        let mut spoiled = false;
        let done = work(Link::Postgres { connection: &mut connection, spoiled: &mut spoiled }).await;
        let value = match done {
            Ok(_) if spoiled => {
                self.take_back(&mut writer, connection).await;
                let reason = "a statement failed in it, which was not looked at".to_owned();
                return Err(StoreError::Interrupted { reason });
            }
            Ok(value) => value,
            // Nobody answers there any more: it is dropped, and the server rolls back.
            Err(StoreError::Unreachable { doing, source }) => {
                self.note_lost(source.to_string());
                return Err(StoreError::Unreachable { doing, source });
            }
            Err(error) => {
                self.take_back(&mut writer, connection).await;
                return Err(error);
            }
        };
        match in_time(connection.execute("COMMIT")).await {
            Ok(_) => writer.connection = Some(connection),
            Err(SqlError { source, lost: true }) => {
                self.note_lost(source.to_string());
                self.tell();
                return Err(StoreError::CutOff { source: Box::new(source) });
            }
            Err(refused) => {
                self.take_back(&mut writer, connection).await;
                return Err(database("commit a change")(refused));
            }
        }
        self.note_back();
        self.tell();
        Ok(value)
    }

    /// A connection with the lock, in a new transaction.
    async fn begin(&self, writer: &mut Writer) -> Result<PgConnection, StoreError> {
        let doing = "begin a change";
        if let Some(mut connection) = writer.connection.take() {
            match in_time(connection.execute("BEGIN")).await {
                Ok(_) => return Ok(connection),
                Err(SqlError { source, lost: true }) => self.note_lost(source.to_string()),
                Err(refused) => return Err(database(doing)(refused)),
            }
        }
        if writer.rests_until.is_some_and(|until| Instant::now() < until) {
            let why = self.unreachable().unwrap_or_default();
            return Err(StoreError::Unreachable { doing, source: why.into() });
        }
        match self.connect_again().await {
            Ok(connection) => {
                writer.rests_until = None;
                self.note_back();
                Ok(connection)
            }
            Err(error) => {
                writer.rests_until = Some(Instant::now() + REST);
                self.note_lost(error.to_string());
                Err(StoreError::Unreachable { doing, source: error.into() })
            }
        }
    }

    async fn connect_again(&self) -> Result<PgConnection, OpenError> {
        let mut connection = connect(&self.place, &self.options).await?;
        lock(&self.place, &mut connection, &self.options, LOCK_AGAIN_WITHIN).await?;
        // It may be another server by now, put back from a backup of long ago.
        refuse_foreign(&self.place, &mut connection).await?;
        let unknown = failing(&self.place);
        let version = newest_in(&mut connection).await.map_err(&unknown)?;
        if version != Some(newest_schema()) {
            let finding =
                "it does not hold the records of this node any more; put them back, then restart Andon".to_owned();
            return Err(OpenError::Unfit { place: self.place.clone(), finding });
        }
        in_time(connection.execute("BEGIN")).await.map_err(unknown)?;
        Ok(connection)
    }

    /// Rolls back, and keeps the connection if that worked. Without it the server does the same.
    async fn take_back(&self, writer: &mut Writer, mut connection: PgConnection) {
        match in_time(connection.execute("ROLLBACK")).await {
            Ok(_) => writer.connection = Some(connection),
            Err(error) => self.note_lost(error.source.to_string()),
        }
    }

    /// Said once, until the server is there again.
    fn note_lost(&self, why: String) {
        let mut lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if lost.is_none() {
            tracing::warn!(
                place = self.place,
                why,
                "the database server cannot be reached: no records can be changed until it is back"
            );
        }
        *lost = Some(Lost { at: Instant::now(), why });
    }

    fn note_back(&self) {
        let lost = self.lost.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if lost.is_some() {
            tracing::info!(place = self.place, "the database server is there again");
        }
    }

    fn tell(&self) {
        self.outbox_changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    /// Takes the records of a file over, all or nothing, if nothing was ever kept here; says whether.
    pub(crate) async fn take_over(&self, path: &Path) -> Result<bool, TakeOverError> {
        let mut file = Sqlite::closed(path).await?;
        let taken = self.write(move |mut to| {
            Box::pin(async move {
                if !copy::is_new(&mut to).await.map_err(database("look whether anything is kept"))? {
                    return Ok(false);
                }
                copy::all(&mut Link::Sqlite(&mut file), &mut to).await?;
                Ok(true)
            })
        });
        Ok(taken.await?)
    }

    /// A copy in a SQLite file, as [`crate::Store::backup`] says it.
    pub(crate) async fn backup<T>(&self, target: &Path, moment: impl FnOnce() -> T) -> Result<T, StoreError> {
        let (mut from, value) = {
            let _writer = self.writer.lock().await;
            let mut from = self.moment("back the store up").await?;
            // The first question settles of which moment all answers are.
            sql("SELECT 1 AS now").one(&mut from.link()).await.map_err(database("back the store up"))?;
            (from, moment())
        };
        Sqlite::fill(target, &mut from.link()).await?;
        Ok(value)
    }
}

/// What every connection asks of its session, whatever the server's defaults are.
fn session(options: PgConnectOptions) -> PgConnectOptions {
    let timeout_ms = ANSWER_WITHIN.as_millis().to_string();
    // By this the server knows which sessions are of one process.
    let options = options.application_name(&format!("andon {}", crate::ids::random_word()));
    options.options([
        // On the disk before it is acknowledged; on a synchronous standby's too, if there is one.
        ("synchronous_commit", "on"),
        ("default_transaction_isolation", "read committed"),
        ("standard_conforming_strings", "on"),
        // Nobody waits for ever, here or there.
        ("statement_timeout", timeout_ms.as_str()),
        ("lock_timeout", "30s"),
        ("idle_in_transaction_session_timeout", "5min"),
        ("idle_session_timeout", "0"),
        // A node that lost its power lets go of the lock after 25 s.
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "25s"),
    ])
}

async fn connect(place: &str, options: &PgConnectOptions) -> Result<PgConnection, OpenError> {
    let connecting = tokio::time::timeout(CONNECT_WITHIN, PgConnection::connect_with(options)).await;
    let mut connection = match connecting {
        Ok(connected) => connected.map_err(SqlError::of_server).map_err(failing(place))?,
        Err(_) => {
            let source = format!("no connection within {} s", CONNECT_WITHIN.as_secs()).into();
            return Err(OpenError::Unreachable { place: place.to_owned(), source });
        }
    };
    refuse_unfit(place, &mut connection).await?;
    Ok(connection)
}

/// Tells apart who has to do what.
fn failing(place: &str) -> impl Fn(SqlError) -> OpenError {
    move |SqlError { source, lost }| {
        let place = place.to_owned();
        let code = source.as_database_error().and_then(|error| error.code()).unwrap_or_default().into_owned();
        let untrusted = match &source {
            sqlx::Error::Tls(_) => true,
            // So rustls says that it does not believe a certificate.
            sqlx::Error::Io(error) => error.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        };
        let remedy = match code.as_str() {
            _ if untrusted => {
                "switch `ssl` on there, with a certificate for the host of `url`; name the file of who issued it as sslrootcert=FILE in `url`"
            }
            "28P01" => "check the user of `url` and the secret of `password`",
            "28000" => "check the user of `url`, and allow it in the server's pg_hba.conf",
            "3D000" => "make the database: CREATE DATABASE andon OWNER andon ENCODING 'UTF8' TEMPLATE template0",
            "42501" | "25006" => {
                "give its user the right to make tables: ALTER DATABASE andon OWNER TO andon, or GRANT CREATE ON SCHEMA public TO andon"
            }
            _ if lost => return OpenError::Unreachable { place, source: source.into() },
            _ => "its answer says why",
        };
        OpenError::Refused { place, remedy, source: source.into() }
    }
}

/// Looks at the server before anything is asked of it.
async fn refuse_unfit(place: &str, connection: &mut PgConnection) -> Result<(), OpenError> {
    let question = "SELECT current_setting('server_version_num')::bigint AS number, current_setting('server_version') AS version, \
        current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync, pg_is_in_recovery()::int::bigint AS standby, \
        current_schema()::text AS schema";
    let io = failing(place);
    let row = sql(question).one(&mut Link::Postgres { connection, spoiled: &mut false }).await.map_err(&io)?;
    let unfit = |finding: String| Err(OpenError::Unfit { place: place.to_owned(), finding });
    let read = || -> Result<_, StoreError> {
        let schema: Option<String> = row.get("schema")?;
        let (number, version): (i64, String) = (row.get("number")?, row.get("version")?);
        let (encoding, fsync): (String, String) = (row.get("encoding")?, row.get("fsync")?);
        Ok((number, version, encoding, fsync, row.get::<bool>("standby")?, schema))
    };
    let (number, version, encoding, fsync, standby, schema) = match read() {
        Ok(read) => read,
        Err(error) => return unfit(error.to_string()),
    };
    if number < OLDEST {
        return unfit(format!("it is version {version}, and version 15 or later is needed"));
    }
    if encoding != "UTF8" {
        return unfit(format!(
            "the database keeps texts as {encoding}; make one with ENCODING 'UTF8' TEMPLATE template0 and name it in `url`"
        ));
    }
    if standby {
        return unfit("it is a standby, which can only be read; name the primary in `url`".to_owned());
    }
    if fsync != "on" {
        return unfit(
            "`fsync` is off there, so what it has acknowledged may be lost with the power; switch it on".to_owned(),
        );
    }
    if schema.is_none() {
        return unfit(
            "none of the schemas of its search_path is there; CREATE SCHEMA public, or set search_path".to_owned(),
        );
    }
    Ok(())
}

/// Takes the lock of the one who writes; waits for one that is about to be let go of.
async fn lock(
    place: &str,
    connection: &mut PgConnection,
    options: &PgConnectOptions,
    within: Duration,
) -> Result<(), OpenError> {
    let io = failing(place);
    let began = Instant::now();
    let mut told = false;
    loop {
        let link = &mut Link::Postgres { connection: &mut *connection, spoiled: &mut false };
        let question = sql("SELECT pg_try_advisory_lock($1)::int::bigint AS got").bind(LOCK);
        if question.one(link).await.map_err(&io)?.get("got").unwrap_or(false) {
            return Ok(());
        }
        // A session of our own that broke on this side may live on there: nobody reads its answers any more.
        let ours = options.get_application_name().unwrap_or_default();
        let end = "SELECT pg_terminate_backend(pid)::int::bigint AS ended FROM pg_stat_activity \
            WHERE application_name = $1 AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
            AND classid = ($2::bigint >> 32)::oid AND objid = ($2::bigint & 4294967295)::oid AND objsubid = 1)";
        sql(end).bind(ours).bind(LOCK).all(link).await.map_err(&io)?;
        if began.elapsed() >= within {
            let by = holder(link).await.map_err(io)?;
            return Err(OpenError::Held { place: place.to_owned(), by });
        }
        if !told && began.elapsed() > LOCK_TOLD_AFTER {
            told = true;
            let by = holder(link).await.map_err(&io)?;
            tracing::info!(
                place,
                by,
                "another node has the records open; waiting for {} s for it to end",
                within.as_secs()
            );
        }
        tokio::time::sleep(LOCK_EVERY).await;
    }
}

/// Who has the lock, as far as the server tells.
async fn holder(link: &mut Link<'_>) -> Result<String, SqlError> {
    let question = "SELECT coalesce(host(a.client_addr), 'a socket of the server''s machine') AS address, a.backend_start::text AS since \
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted \
        AND l.classid = ($1::bigint >> 32)::oid AND l.objid = ($1::bigint & 4294967295)::oid AND l.objsubid = 1";
    let row = sql(question).bind(LOCK).optional(link).await?;
    let read = |row: &crate::sql::Row| -> Result<String, StoreError> {
        let since: Option<String> = row.get("since")?;
        Ok(format!("from {}, since {}", row.get::<String>("address")?, since.as_deref().unwrap_or("an unknown time")))
    };
    Ok(row.and_then(|row| read(&row).ok()).unwrap_or_else(|| "it has just let go".to_owned()))
}

/// Looks before anything is changed: is the schema empty, or ours and not from the future?
async fn refuse_foreign(place: &str, connection: &mut PgConnection) -> Result<(), OpenError> {
    let io = failing(place);
    let question = "SELECT (SELECT count(*) FROM pg_class WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v') \
        AND relname <> '_sqlx_migrations') AS tables, (to_regclass('plant_version') IS NOT NULL)::int::bigint AS ours";
    let row = sql(question)
        .one(&mut Link::Postgres { connection: &mut *connection, spoiled: &mut false })
        .await
        .map_err(&io)?;
    let (tables, ours) = (row.get::<i64>("tables").unwrap_or(0), row.get::<bool>("ours").unwrap_or(false));
    if tables > 0 && !ours {
        return Err(OpenError::Foreign { place: place.to_owned() });
    }
    let (found, known) = (newest_in(connection).await.map_err(io)?.unwrap_or(0), newest_schema());
    if found > known {
        return Err(OpenError::Newer { place: place.to_owned(), found, known });
    }
    Ok(())
}

/// The version of the schema that is there; `None`: there is none.
async fn newest_in(connection: &mut PgConnection) -> Result<Option<i64>, SqlError> {
    let link = &mut Link::Postgres { connection, spoiled: &mut false };
    let there = sql("SELECT 1 AS there WHERE to_regclass('_sqlx_migrations') IS NOT NULL").optional(link).await?;
    if there.is_none() {
        return Ok(None);
    }
    let row = sql("SELECT max(version) AS version FROM _sqlx_migrations").one(link).await?;
    Ok(row.get("version").unwrap_or(None))
}

fn newest_schema() -> i64 {
    MIGRATIONS.iter().map(|migration| migration.version).max().unwrap_or(0)
}

async fn migrate(place: &str, connection: &mut PgConnection) -> Result<(), OpenError> {
    let io = failing(place);
    // Tables of years may take longer than an answer may.
    in_time(connection.execute("SET statement_timeout = 0")).await.map_err(&io)?;
    MIGRATIONS.run(&mut *connection).await.map_err(|error| match error {
        MigrateError::Execute(source) | MigrateError::ExecuteMigration(source, _)
            if source.as_database_error().and_then(|error| error.code()).as_deref() == Some("42501") =>
        {
            io(SqlError::of_server(source))
        }
        other => OpenError::Migration { place: place.to_owned(), known: newest_schema(), source: other.into() },
    })?;
    in_time(connection.execute("RESET statement_timeout")).await.map_err(io)?;
    Ok(())
}
