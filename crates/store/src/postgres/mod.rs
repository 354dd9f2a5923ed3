//! The store in a PostgreSQL database: a single writer that owns the database, a few readers, and a server that may go away.
//!
//! The order of commits, the numbers of rows and the one job on a unit rest on there being one writer, as in a file. Here the writer is one
//! connection that holds an advisory lock as long as it lives, and each change counts itself in the row of `writer`, beside the word of this
//! life: a node whose connection broke writes again only on a new one that has got the lock and finds the row as it left it. If another
//! node wrote in between, or the server was put back to an earlier moment, what this node has in memory is not what is there, and it stops.
//!
//! The server answers for the disk: a commit that it acknowledges is on it (`synchronous_commit`, and `fsync` is asked for). What fails is
//! told to the caller and not tried again. Whether a commit whose answer was lost was made, the row tells as soon as the lock is there again;
//! only if that takes too long is it told as unknown ([`StoreError::CutOff`]).

mod settings;

pub use settings::{PostgresSettings, SettingsError};

use crate::copy;
use crate::error::{OpenError, StoreError, database};
use crate::sql::{AT_ONCE, Link, Reading, SqlError, WORKS_WITHIN, in_time, sql, within};
use crate::sqlite::Sqlite;
use andon_model::BoxFuture;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, Executor, PgConnection, PgPool};
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Mutex, MutexGuard, watch};
use tokio::time::Instant;
use uuid::Uuid;

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
/// How long a change waits for those before it; then whoever asked hears that there is too much to do.
const TURN_WITHIN: Duration = Duration::from_secs(30);
/// For how long after the last failed try the server counts as not to be reached.
const TOLD_FOR: Duration = Duration::from_secs(60);
/// For how long it is looked whether a commit without an answer was made. Everybody who writes waits.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// How often.
const SETTLED_EVERY: Duration = Duration::from_millis(100);

/// The store in a PostgreSQL database.
pub(crate) struct Postgres {
    place: String,
    options: PgConnectOptions,
    /// The word of this life, in the row of the writer.
    life: [u8; 16],
    writer: Mutex<Writer>,
    /// Made anew with the writer's connection, so that both lead to the same server.
    readers: std::sync::Mutex<PgPool>,
    /// Why nothing is taken any more.
    closed: OnceLock<String>,
    lost: std::sync::Mutex<Option<Lost>>,
    /// How many wait for the writer.
    waiting: AtomicUsize,
    outbox_changes: watch::Sender<u64>,
}

/// Why the records of a file were not taken over. The file is as it was.
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
    /// How many changes this life has made.
    made: i64,
    /// The last one got no answer: it may be one more.
    is_unsure: bool,
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
        if settings.is_left() {
            refuse_older(&place, &mut connection).await?;
        }
        migrate(&place, &mut connection).await?;
        let life = crate::ids::random_bytes();
        claim(&place, &mut connection, life, settings.node()).await?;
        Ok(Self {
            readers: std::sync::Mutex::new(readers(&options, life)),
            place,
            options,
            life,
            writer: Mutex::new(Writer { connection: Some(connection), rests_until: None, made: 0, is_unsure: false }),
            closed: OnceLock::new(),
            lost: std::sync::Mutex::default(),
            waiting: AtomicUsize::new(0),
            outbox_changes,
        })
    }

    /// Looks whether [`Postgres::open`] would take it; changes nothing, and takes no lock.
    pub(crate) async fn examine(settings: &PostgresSettings) -> Result<(), OpenError> {
        let (place, options) = (settings.place(), session(settings.options()));
        let mut connection = connect(&place, &options).await?;
        refuse_foreign(&place, &mut connection).await?;
        let _ = tokio::time::timeout(CONNECT_WITHIN, connection.close()).await;
        Ok(())
    }

    /// The database's size on the server's disk, in bytes.
    pub(crate) fn bytes(&self) -> BoxFuture<'_, Result<u64, StoreError>> {
        let doing = "ask how large the records are";
        Box::pin(async move {
            let mut reading = self.reader(doing).await?;
            sql("SELECT pg_database_size(current_database()) AS bytes").only(&mut reading.link(), doing).await
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
        let _ = tokio::time::timeout(CONNECT_WITHIN, self.pool().close()).await;
        // Who writes still is not waited for without end; its connection goes with the process.
        let writer = tokio::time::timeout(TURN_WITHIN, self.writer.lock()).await;
        let _ = self.closed.set("it was closed".to_owned());
        if let Some(connection) = writer.ok().and_then(|mut writer| writer.connection.take()) {
            // A server that does not answer lets go of the lock by itself.
            let _ = tokio::time::timeout(CONNECT_WITHIN, connection.close()).await;
        }
    }

    fn pool(&self) -> PgPool {
        self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    pub(crate) async fn reader(&self, doing: &'static str) -> Result<Reading, StoreError> {
        let pool = self.pool();
        let connection = pool.acquire().await.map_err(|error| match error {
            sqlx::Error::PoolClosed => StoreError::Failed { reason: "it was closed".to_owned() },
            // All are at work: the server is slow, and not gone.
            error @ sqlx::Error::PoolTimedOut if pool.size() >= READERS && pool.num_idle() == 0 => {
                StoreError::Database { doing, source: error.into() }
            }
            error => self.refused(doing, SqlError::of_server(error)),
        })?;
        Ok(Reading::Postgres { connection, spoiled: false, moment: false })
    }

    pub(crate) async fn moment(&self, doing: &'static str) -> Result<Reading, StoreError> {
        let mut reading = self.reader(doing).await?;
        if let Reading::Postgres { connection, spoiled, moment } = &mut reading {
            *spoiled = true;
            let begun = within(AT_ONCE, connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")).await;
            begun.map_err(|error| self.refused(doing, error))?;
            (*spoiled, *moment) = (false, true);
        }
        Ok(reading)
    }

    fn refused(&self, doing: &'static str, error: SqlError) -> StoreError {
        let error = database(doing)(error);
        if let StoreError::Unreachable { source, .. } = &error {
            self.note_lost(source.to_string());
        }
        error
    }

    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>>,
    {
        let mut writer = self.turn("change the records").await?;
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
            Ok(_) => {
                writer.made += 1;
                writer.connection = Some(connection);
            }
            Err(SqlError { source, lost: true }) => {
                drop(connection);
                self.note_lost(source.to_string());
                self.settle(&mut writer, source).await?;
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

    /// Asks on the writer's connection, outside of a transaction.
    pub(crate) async fn look<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>>,
    {
        let mut writer = self.turn("look at the records").await?;
        self.refuse_closed()?;
        let mut connection = match writer.connection.take() {
            Some(connection) => connection,
            None => self.again(&mut writer, "look at the records").await?,
        };
        let done = work(Link::Postgres { connection: &mut connection, spoiled: &mut false }).await;
        match &done {
            Err(StoreError::Unreachable { source, .. }) => self.note_lost(source.to_string()),
            _ => {
                writer.connection = Some(connection);
                self.note_back();
            }
        }
        done
    }

    /// Waits for the writer, but not for ever: what goes before may be slow.
    async fn turn(&self, doing: &'static str) -> Result<MutexGuard<'_, Writer>, StoreError> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let turn = tokio::time::timeout(TURN_WITHIN, self.writer.lock()).await;
        let waiting = self.waiting.fetch_sub(1, Ordering::Relaxed);
        turn.map_err(|_| StoreError::Busy { doing, waiting })
    }

    fn refuse_closed(&self) -> Result<(), StoreError> {
        match self.failure() {
            Some(reason) => Err(StoreError::Failed { reason: reason.to_owned() }),
            None => Ok(()),
        }
    }

    /// A connection with the lock, in a new transaction that counts as the next change.
    async fn begin(&self, writer: &mut Writer) -> Result<PgConnection, StoreError> {
        let doing = "begin a change";
        self.refuse_closed()?;
        if let Some(mut connection) = writer.connection.take() {
            match within(AT_ONCE, connection.execute("BEGIN")).await {
                Ok(_) => return self.counted(writer, connection).await,
                Err(SqlError { source, lost: true }) => self.note_lost(source.to_string()),
                Err(refused) => return Err(database(doing)(refused)),
            }
        }
        let mut connection = self.again(writer, doing).await?;
        within(AT_ONCE, connection.execute("BEGIN")).await.map_err(|error| self.refused(doing, error))?;
        self.counted(writer, connection).await
    }

    /// Counts the change that has begun; whoever counts is the only one who does.
    async fn counted(&self, writer: &Writer, mut connection: PgConnection) -> Result<PgConnection, StoreError> {
        let link = &mut Link::Postgres { connection: &mut connection, spoiled: &mut false };
        let count =
            sql("UPDATE writer SET commits = commits + 1 WHERE life = $1 RETURNING commits").bind(self.life.to_vec());
        let row = count.optional(link).await.map_err(|error| self.refused("begin a change", error))?;
        match row.map(|row| row.get::<i64>("commits")).transpose()? {
            Some(number) if number == writer.made + 1 => Ok(connection),
            found => Err(self.stop(writer, found.map(|number| number - 1))),
        }
    }

    /// A new connection, unless there was none just now.
    async fn again(&self, writer: &mut Writer, doing: &'static str) -> Result<PgConnection, StoreError> {
        if writer.rests_until.is_some_and(|until| Instant::now() < until) {
            let why = self.unreachable().unwrap_or_default();
            return Err(StoreError::Unreachable { doing, source: why.into() });
        }
        let connected = self.connect_again(writer, doing).await;
        match &connected {
            Ok(_) => writer.rests_until = None,
            Err(StoreError::Unreachable { source, .. }) => {
                writer.rests_until = Some(Instant::now() + REST);
                self.note_lost(source.to_string());
            }
            Err(_) => {}
        }
        connected
    }

    /// A new connection that has got the lock, to the records as this life left them.
    async fn connect_again(&self, writer: &mut Writer, doing: &'static str) -> Result<PgConnection, StoreError> {
        let unreachable = |error: OpenError| StoreError::Unreachable { doing, source: error.into() };
        let mut connection = connect(&self.place, &self.options).await.map_err(unreachable)?;
        lock(&self.place, &mut connection, &self.options, LOCK_AGAIN_WITHIN).await.map_err(unreachable)?;
        refuse_foreign(&self.place, &mut connection).await.map_err(unreachable)?;
        if newest_in(&mut connection).await.map_err(database(doing))? != Some(newest_schema()) {
            let source = "it does not hold the records of this node any more; put them back, then restart Andon".into();
            return Err(StoreError::Unreachable { doing, source });
        }
        let link = &mut Link::Postgres { connection: &mut connection, spoiled: &mut false };
        let row = sql("SELECT commits FROM writer WHERE life = $1").bind(self.life.to_vec()).optional(link).await;
        let found = row.map_err(database(doing))?.map(|row| row.get::<i64>("commits")).transpose()?;
        match found {
            Some(number) if number == writer.made || (writer.is_unsure && number == writer.made + 1) => {
                (writer.made, writer.is_unsure) = (number, false);
            }
            found => return Err(self.stop(writer, found)),
        }
        let new = readers(&self.options, self.life);
        *self.readers.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = new;
        self.note_back();
        // What a commit without an answer has left is there to be seen from now on.
        self.tell();
        Ok(connection)
    }

    /// Looks whether the last commit, which got no answer, was made. Only one who has the lock knows that the old connection is over.
    async fn settle(&self, writer: &mut Writer, source: sqlx::Error) -> Result<(), StoreError> {
        let (doing, before, began) = ("commit a change", writer.made, Instant::now());
        writer.is_unsure = true;
        loop {
            match self.connect_again(writer, doing).await {
                Ok(connection) => {
                    writer.connection = Some(connection);
                    return match writer.made > before {
                        true => Ok(()),
                        false => Err(StoreError::Unreachable { doing, source: source.into() }),
                    };
                }
                Err(StoreError::Unreachable { .. }) if began.elapsed() < SETTLED_WITHIN => {
                    tokio::time::sleep(SETTLED_EVERY).await;
                }
                Err(failed @ StoreError::Failed { .. }) => return Err(failed),
                Err(_) => return Err(StoreError::CutOff { source: source.into() }),
            }
        }
    }

    /// These are not the records that this life wrote.
    fn stop(&self, writer: &Writer, found: Option<i64>) -> StoreError {
        let reason = match found {
            None => "another node has had its database since".to_owned(),
            Some(found) => format!(
                "its database holds {found} changes of this node instead of {}: it was put back to another moment, or a server took over that \
                 did not have them all",
                writer.made
            ),
        };
        tracing::error!(place = self.place, reason, "the store stops: nothing is taken any more until a restart");
        let _ = self.closed.set(reason.clone());
        self.tell();
        StoreError::Failed { reason }
    }

    /// Rolls back, and keeps the connection if that worked. Without it the server does the same.
    async fn take_back(&self, writer: &mut Writer, mut connection: PgConnection) {
        match within(AT_ONCE, connection.execute("ROLLBACK")).await {
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
    pub(crate) async fn take_over(&self, path: &Path) -> Result<Option<copy::Counts>, TakeOverError> {
        let mut file = Sqlite::closed(path).await?;
        let taken = self.write(move |mut to| {
            Box::pin(async move {
                if !copy::is_new(&mut to).await.map_err(database("look whether anything is kept"))? {
                    return Ok((None, file));
                }
                let from = &mut Link::Sqlite(&mut file);
                copy::all(from, &mut to).await?;
                let counts = copy::counted(from, &mut to).await?;
                Ok((Some(counts), file))
            })
        });
        let (counts, file) = taken.await?;
        // Folds the write-ahead file in. The records are there already, so what goes wrong with it is no reason to say that they are not.
        if let Err(error) = file.close().await {
            tracing::warn!(%error, file = %path.display(), "the file was not closed cleanly");
        }
        Ok(counts)
    }

    /// A copy in a SQLite file, as [`crate::Store::backup`] says it.
    pub(crate) async fn backup<T>(&self, target: &Path, moment: impl FnOnce() -> T) -> Result<T, StoreError> {
        let (mut from, value) = {
            let _writer = self.turn("back the store up").await?;
            (self.settled_moment().await?, moment())
        };
        // On a thread of its own: the compiler does not see that the work could go from one to another.
        let (target, runtime) = (target.to_owned(), tokio::runtime::Handle::current());
        let filling = tokio::task::spawn_blocking(move || {
            runtime.block_on(async move { Sqlite::fill(&target, &mut from.link()).await })
        });
        filling.await.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })??;
        Ok(value)
    }

    /// A moment of which it is settled what it sees.
    fn settled_moment(&self) -> BoxFuture<'_, Result<Reading, StoreError>> {
        Box::pin(async move {
            let mut from = self.moment("back the store up").await?;
            // The first question settles of which moment all answers are.
            sql("SELECT 1 AS now").one(&mut from.link()).await.map_err(database("back the store up"))?;
            Ok(from)
        })
    }
}

/// What every connection asks of its session, whatever the server's defaults are.
fn session(options: PgConnectOptions) -> PgConnectOptions {
    let timeout_ms = WORKS_WITHIN.as_millis().to_string();
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

/// Connections to read over. One that leads elsewhere than the writer's is not taken.
fn readers(options: &PgConnectOptions, life: [u8; 16]) -> PgPool {
    let read_only = options.clone().options([("default_transaction_read_only", "on")]);
    let pool = PgPoolOptions::new().max_connections(READERS).acquire_timeout(CONNECT_WITHIN);
    pool.after_connect(move |connection, _| Box::pin(refuse_other(connection, life))).connect_lazy_with(read_only)
}

/// A standby, or a server whose records another node has.
async fn refuse_other(connection: &mut PgConnection, life: [u8; 16]) -> Result<(), sqlx::Error> {
    let link = &mut Link::Postgres { connection, spoiled: &mut false };
    let question = "SELECT 1 AS fits WHERE NOT pg_is_in_recovery() AND EXISTS (SELECT 1 FROM writer WHERE life = $1)";
    match sql(question).bind(life.to_vec()).optional(link).await.map_err(|error| error.source)? {
        Some(_) => Ok(()),
        None => Err(sqlx::Error::Protocol("it is not the server that the records are written to".to_owned())),
    }
}

/// Makes the records those of this life, unless they are another node's.
async fn claim(
    place: &str,
    connection: &mut PgConnection,
    life: [u8; 16],
    node: Option<Uuid>,
) -> Result<(), OpenError> {
    let link = &mut Link::Postgres { connection, spoiled: &mut false };
    let row = sql("SELECT node FROM writer").one(link).await.map_err(failing(place))?;
    let unfit = |error: StoreError| OpenError::Unfit { place: place.to_owned(), finding: error.to_string() };
    let of: Option<Uuid> = row.get("node").map_err(unfit)?;
    if let (Some(found), Some(node)) = (of, node)
        && found != node
    {
        return Err(OpenError::OfAnother { place: place.to_owned(), found });
    }
    let claim =
        sql("UPDATE writer SET life = $1, commits = 0, node = coalesce($2, node)").bind(life.to_vec()).bind(node);
    claim.execute(link).await.map_err(failing(place))?;
    Ok(())
}

/// For who leaves the schema as it is.
async fn refuse_older(place: &str, connection: &mut PgConnection) -> Result<(), OpenError> {
    let (found, known) = (newest_in(connection).await.map_err(failing(place))?, newest_schema());
    match found {
        Some(found) if found < known => Err(OpenError::Older { place: place.to_owned(), found, known }),
        _ => Ok(()),
    }
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
                "switch `ssl` on there, with a certificate for the host of `url`; name the file of who issued it in `ca`"
            }
            "28P01" => "check the user of `url` and the secret that is named beside it",
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

/// What is asked of the server before anything else is.
const FITS: &str = "SELECT current_setting('server_version_num')::bigint AS number, current_setting('server_version') AS version, \
    current_setting('server_encoding') AS encoding, current_setting('fsync') AS fsync, current_setting('full_page_writes') AS pages, \
    pg_is_in_recovery()::int::bigint AS standby, current_schema()::text AS schema, \
    (SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass('plant_version')) AS kept, \
    current_setting('synchronous_commit') AS acknowledged, \
    (SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout') AS works_ms";

/// Looks at the server before anything is asked of it.
async fn refuse_unfit(place: &str, connection: &mut PgConnection) -> Result<(), OpenError> {
    let link = &mut Link::Postgres { connection, spoiled: &mut false };
    let row = sql(FITS).one(link).await.map_err(failing(place))?;
    match unfit(&row) {
        Ok(None) => Ok(()),
        Ok(Some(finding)) => Err(OpenError::Unfit { place: place.to_owned(), finding }),
        Err(error) => Err(OpenError::Unfit { place: place.to_owned(), finding: error.to_string() }),
    }
}

/// What is wrong with it, and what to do.
fn unfit(row: &crate::sql::Row) -> Result<Option<String>, StoreError> {
    if row.get::<i64>("number")? < OLDEST {
        return Ok(Some(format!("it is version {}, and version 15 or later is needed", row.get::<String>("version")?)));
    }
    let encoding: String = row.get("encoding")?;
    if encoding != "UTF8" {
        let remedy = "make one with ENCODING 'UTF8' TEMPLATE template0 and name it in `url`";
        return Ok(Some(format!("the database keeps texts as {encoding}; {remedy}")));
    }
    if row.get::<bool>("standby")? {
        return Ok(Some("it is a standby, which can only be read; name the primary in `url`".to_owned()));
    }
    for (column, setting) in [("fsync", "fsync"), ("pages", "full_page_writes")] {
        if row.get::<String>(column)? != "on" {
            let harm = "what it has acknowledged may be lost with the power";
            return Ok(Some(format!("`{setting}` is off there, so {harm}; switch it on")));
        }
    }
    let (acknowledged, works_ms): (String, u64) = (row.get("acknowledged")?, row.get("works_ms")?);
    if acknowledged != "on" || u128::from(works_ms) != WORKS_WITHIN.as_millis() {
        let finding = "it does not take the settings that a connection asks for: a pooler (PgBouncer, pgpool) stands between, or its user has \
            settings of its own that hold; name the server itself in `url`";
        return Ok(Some(finding.to_owned()));
    }
    let (schema, kept): (Option<String>, Option<String>) = (row.get("schema")?, row.get("kept")?);
    Ok(match (schema, kept) {
        (None, _) => {
            Some("none of the schemas of its search_path is there; CREATE SCHEMA public, or set search_path".to_owned())
        }
        (Some(first), Some(kept)) if first != kept => Some(format!(
            "the records lie in the schema {kept}, and search_path begins with {first} by now: ALTER ROLE … SET search_path = {kept}"
        )),
        _ => None,
    })
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
            WHERE application_name = $1 AND datname = current_database() \
            AND pid IN (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted \
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
    let question = "SELECT CASE WHEN a.backend_start IS NULL THEN 'an unknown address' \
        ELSE coalesce(host(a.client_addr), 'a socket of the server''s machine') END AS address, a.backend_start::text AS since \
        FROM pg_locks l JOIN pg_stat_activity a ON a.pid = l.pid WHERE l.locktype = 'advisory' AND l.granted \
        AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) \
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
        AND relname <> '_sqlx_migrations') AS tables, (to_regclass(quote_ident(current_schema()) || '.plant_version') IS NOT NULL)::int::bigint AS ours";
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
    let there =
        sql("SELECT 1 AS there WHERE to_regclass(quote_ident(current_schema()) || '._sqlx_migrations') IS NOT NULL")
            .optional(link)
            .await?;
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
