//! The store: one of two databases behind one writer, a few readers, and a clock.
//!
//! Every change runs in a task of its own ([`Store::write`]): a caller who goes away (a browser that disconnects)
//! neither breaks off a commit half-way nor keeps the relay from hearing of it.

use crate::copy;
use crate::error::{OpenError, StoreError, database};
use crate::postgres::{Postgres, PostgresSettings, TakeOverError};
use crate::sql::{Link, Reading};
use crate::sqlite::Sqlite;
use andon_model::log::Seq;
use andon_model::{BoxFuture, Clock};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

/// The store, in a SQLite file or a PostgreSQL database. Cheap to clone; all clones are one store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    engine: Engine,
    clock: Arc<dyn Clock>,
    outbox_changes: watch::Sender<u64>,
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
        Ok(Self { inner: Arc::new(Inner { engine, clock, outbox_changes }) })
    }

    /// Opens the database of a server, which is there and may be empty, and brings it to the newest schema. Nobody else can open it
    /// meanwhile.
    /// # Errors
    /// [`OpenError`]; a database of a newer version, or of another program, is left untouched.
    pub async fn open_postgres(settings: &PostgresSettings, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        let outbox_changes = watch::Sender::new(0);
        let engine = Engine::Postgres(Box::new(Postgres::open(settings, outbox_changes.clone()).await?));
        Ok(Self { inner: Arc::new(Inner { engine, clock, outbox_changes }) })
    }

    /// True when nothing was ever kept here.
    /// # Errors
    /// It cannot be read.
    pub async fn is_new(&self) -> Result<bool, StoreError> {
        let doing = "look whether anything is kept";
        copy::is_new(&mut self.reader(doing).await?.link()).await.map_err(database(doing))
    }

    /// Takes over what a file holds that nobody has open, all or nothing. Does nothing, and says so, when something is kept here already, or
    /// when this store is a file itself.
    /// # Errors
    /// [`TakeOverError`]; then nothing was taken over, unless a commit got no answer ([`StoreError::CutOff`]).
    pub async fn take_over(&self, path: &Path) -> Result<bool, TakeOverError> {
        match &self.inner.engine {
            Engine::Sqlite(_) => Ok(false),
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
        let store = self.clone();
        // Ends by itself: it is waited for unless the caller goes away, and then too it runs to its end.
        let task = tokio::spawn(async move {
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
