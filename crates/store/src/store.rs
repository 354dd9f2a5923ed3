//! The store: one of two databases behind one writer, a few readers, and a clock.
//!
//! Every change runs in a task of its own ([`Store::write`]): a caller who goes away (a browser that disconnects)
//! neither breaks off a commit half-way nor keeps the relay from hearing of it.

use crate::copy::{self, Counts};
use crate::error::{OpenError, StoreError, database};
use crate::postgres::{Postgres, PostgresSettings, TakeOverError};
use crate::sql::{Link, Reading, sql};
use crate::sqlite::Sqlite;
use andon_model::log::Seq;
use andon_model::{BoxFuture, Clock};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

/// So many changes are under way or wait for their turn; one more is refused.
const MOST_WAITING: usize = 1_024;
/// How often to ask whether the database server is there.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// The store, in a SQLite file or a PostgreSQL database. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    clock: Arc<dyn Clock>,
    outbox_changes: watch::Sender<u64>,
    /// Places in the line for the writer.
    line: Arc<Semaphore>,
}

enum Engine {
    Sqlite(Sqlite),
    Postgres(Box<Postgres>),
}

impl Store {
    /// Opens the file, making it if it is not there, and brings it to the newest schema. The file can be read by its
    /// owner only.
    /// # Errors
    /// [`OpenError`]; a file of a newer version is left untouched.
    pub async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let outbox_changes = watch::Sender::new(0);
        let engine = Engine::Sqlite(Sqlite::open(path, outbox_changes.clone()).await?);
        Ok(Self::of(engine, clock, outbox_changes))
    }

    /// Opens the database of a server, which is there and may be empty, and brings it to the newest schema. Nobody else can open it
    /// meanwhile.
    /// # Errors
    /// [`OpenError`]; a database of a newer version, or of another program, is left untouched.
    pub async fn open_postgres(settings: &PostgresSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let outbox_changes = watch::Sender::new(0);
        let engine = Engine::Postgres(Box::new(Postgres::open(settings, outbox_changes.clone()).await?));
        Ok(Self::of(engine, clock, outbox_changes))
    }

    fn of(engine: Engine, clock: Arc<dyn Clock>, outbox_changes: watch::Sender<u64>) -> Self {
        Self { inner: Arc::new(Inner { engine, clock, outbox_changes, line: Arc::new(Semaphore::new(MOST_WAITING)) }) }
    }

    /// Looks whether [`Store::open_postgres`] would take the database; nothing is changed, and a node may run on it.
    /// # Errors
    /// [`OpenError`], as [`Store::open_postgres`] would say it, but for another node that has it.
    pub async fn examine_postgres(settings: &PostgresSettings) -> Result<(), OpenError> {
        Postgres::examine(settings).await
    }

    /// How large the records are where they are kept, in bytes; a copy in a file is about as large at most.
    /// # Errors
    /// The database server does not say.
    pub async fn bytes(&self) -> Result<u64, StoreError> {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => Ok(sqlite.bytes()),
            Engine::Postgres(postgres) => postgres.bytes().await,
        }
    }

    /// Asks the database server now and then whether it is there, until `stop`: so that one that went away is noticed, and had again, while
    /// nothing else asks. Of a file it ends at once.
    pub async fn watch_server(self, stop: CancellationToken) {
        while !self.is_file() {
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(WATCH_EVERY) => {}
            }
            let doing = "look whether the database server is there";
            let asked = self.look(doing, move |mut link| {
                Box::pin(async move { sql("SELECT 1 AS there").run(&mut link, doing).await })
            });
            // A server that is away is noted and told where it is asked.
            let _ = asked.await;
        }
    }

    /// True when nothing was ever kept here.
    /// # Errors
    /// It cannot be read.
    pub async fn is_new(&self) -> Result<bool, StoreError> {
        let doing = "look whether anything is kept";
        let looking: BoxFuture<'_, Result<bool, StoreError>> =
            Box::pin(async move { copy::is_new(&mut self.reader(doing).await?.link()).await.map_err(database(doing)) });
        looking.await
    }

    /// Takes over what a file holds that nobody has open, all or nothing, and tells how many rows each table has on both sides. The file is
    /// brought to the newest schema. Does nothing (`None`) when something is kept here already, or
    /// when this store is a file itself.
    /// # Errors
    /// [`TakeOverError`]; then nothing was taken over, unless a commit got no answer ([`StoreError::CutOff`]).
    pub async fn take_over(&self, path: &Path) -> Result<Option<Counts>, TakeOverError> {
        match &self.inner.engine {
            Engine::Sqlite(_) => Ok(None),
            Engine::Postgres(postgres) => postgres.take_over(path).await,
        }
    }

    /// Looks whether [`Store::open`] would take the file; what is stored is not changed. One that is not there is fine. For a tool
    /// that runs while no node does.
    /// # Errors
    /// [`OpenError`], as [`Store::open`] would say it.
    pub async fn examine(path: &Path) -> Result<(), OpenError> {
        Sqlite::examine(path).await
    }

    /// What failed, once a write or commit into a file has failed: the store takes nothing any more until the process restarts.
    #[must_use]
    pub fn failure(&self) -> Option<&str> {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.failure(),
            Engine::Postgres(postgres) => postgres.failure(),
        }
    }

    /// Why the database server could not be reached the last time; it is tried again with each change. A file always can.
    #[must_use]
    pub fn unreachable(&self) -> Option<String> {
        match &self.inner.engine {
            Engine::Sqlite(_) => None,
            Engine::Postgres(postgres) => postgres.unreachable(),
        }
    }

    /// Writes everything into the main file and closes it, or lets go of the database. Later calls fail.
    /// # Errors
    /// The last checkpoint failed; the write-ahead file beside the store still holds everything.
    pub async fn close(&self) -> Result<(), StoreError> {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.close().await,
            Engine::Postgres(postgres) => {
                postgres.close().await;
                Ok(())
            }
        }
    }

    /// Writes a consistent copy to `target`, a SQLite file which must not exist yet; only its owner can read it, and it is not synced.
    /// `moment` runs when what the copy will hold is settled and before any later change is committed: what it sees of the
    /// log fits the copy. Readers go on, and writers as soon as `moment` has run; a copy may take long.
    /// # Errors
    /// The target exists or cannot be written. Then `moment` may have run.
    pub async fn backup<T>(&self, target: &Path, moment: impl FnOnce() -> T) -> Result<T, StoreError> {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.backup(target, moment).await,
            Engine::Postgres(postgres) => postgres.backup(target, moment).await,
        }
    }

    /// As [`Store::backup`], of a file that nobody has open. Its schema stays as it is.
    /// # Errors
    /// [`OpenError`] as [`Store::open`] would say it; or the target exists or cannot be written.
    pub async fn copy_closed(path: &Path, target: &Path) -> Result<(), OpenError> {
        Sqlite::copy_closed(path, target).await
    }

    /// Checks every page and index of a copy that [`Store::backup`] made, without changing anything. Tells how far in the records
    /// lane the readers that keep their offset here have come.
    /// # Errors
    /// [`OpenError`]: not ours, or damaged.
    pub async fn check_copy(path: &Path) -> Result<Vec<(String, Seq)>, OpenError> {
        Sqlite::check_copy(path).await
    }

    #[cfg(test)]
    pub(crate) fn sqlite(&self) -> &Sqlite {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite,
            Engine::Postgres(_) => unreachable!("the test has a file"),
        }
    }

    pub(crate) fn is_file(&self) -> bool {
        matches!(self.inner.engine, Engine::Sqlite(_))
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.inner.outbox_changes.subscribe()
    }

    /// A connection for one question.
    pub(crate) async fn reader(&self, doing: &'static str) -> Result<Reading, StoreError> {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.reader(doing).await,
            Engine::Postgres(postgres) => postgres.reader(doing).await,
        }
    }

    /// A connection for several questions, whose answers are all of one moment.
    pub(crate) async fn moment(&self, doing: &'static str) -> Result<Reading, StoreError> {
        match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.moment(doing).await,
            Engine::Postgres(postgres) => postgres.moment(doing).await,
        }
    }

    /// Asks what the next change will find: over the way that changes go, for another may lead to another server.
    pub(crate) async fn look<T, W>(&self, doing: &'static str, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let store = self.clone();
        // Ends by itself, for a server answers in time or counts as lost. Nobody breaks it off, which would cost the writer its connection.
        let task = tokio::spawn(async move {
            match &store.inner.engine {
                Engine::Sqlite(sqlite) => work(sqlite.reader(doing).await?.link()).await,
                Engine::Postgres(postgres) => postgres.look(work).await,
            }
        });
        task.await.unwrap_or_else(|fault| Err(StoreError::Interrupted { reason: fault.to_string() }))
    }

    /// Runs `work` in one transaction, alone. It is committed when `work` returns `Ok`, else rolled back.
    pub(crate) async fn write<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let waiting = MOST_WAITING;
        let busy = |_| StoreError::Busy { doing: "change the records", waiting };
        let place = self.inner.line.clone().try_acquire_owned().map_err(busy)?;
        self.run(Some(place), work).await
    }

    /// As [`Store::write`], for those who are one at a time by themselves and by whom what waits gets less: the relay and the timeline.
    pub(crate) async fn write_past_the_line<T, W>(&self, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        self.run(None, work).await
    }

    /// Keeps its place in the line to its end, also when whoever asked has gone.
    async fn run<T, W>(&self, place: Option<OwnedSemaphorePermit>, work: W) -> Result<T, StoreError>
    where
        T: Send + 'static,
        W: for<'t> FnOnce(Link<'t>) -> BoxFuture<'t, Result<T, StoreError>> + Send + 'static,
    {
        let store = self.clone();
        // Ends by itself: it is waited for unless the caller goes away, and then too it runs to its end.
        let task = tokio::spawn(async move {
            let _place = place;
            match &store.inner.engine {
                Engine::Sqlite(sqlite) => sqlite.write(work).await,
                Engine::Postgres(postgres) => postgres.write(work).await,
            }
        });
        task.await.unwrap_or_else(|fault| Err(StoreError::Interrupted { reason: fault.to_string() }))
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let place = match &self.inner.engine {
            Engine::Sqlite(sqlite) => sqlite.path().display().to_string(),
            Engine::Postgres(postgres) => postgres.place().to_owned(),
        };
        f.debug_struct("Store").field("place", &place).field("failure", &self.failure()).finish_non_exhaustive()
    }
}
