//! What can go wrong with the store, told apart by what the caller can do about it.

use crate::sql::SqlError;
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// The cause as the database driver tells it; boxed, so that the driver stays inside this crate.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file cannot be opened, read or written.
    #[error("could not open the store {}; check that the folder exists, is writable and has space", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: Cause,
    },
    /// The file is damaged, or is no database at all. It was not changed.
    #[error("the store {} is damaged: {finding}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What SQLite found.
        finding: String,
    },
    /// It is a database, but of another program.
    #[error("{place} is a database of another program; choose another one")]
    Foreign {
        /// The file, or the server and its database.
        place: String,
    },
    /// A later version of this program wrote it.
    #[error(
        "the store {place} was written by a newer version of Andon (schema {found}, this program knows up to {known}); \
         start that version again, or restore the backup made before the upgrade"
    )]
    Newer {
        /// The file, or the server and its database.
        place: String,
        /// The schema version in the file.
        found: i64,
        /// The newest schema version this program knows.
        known: i64,
    },
    /// It holds the records of an older version, and was to be left as it is.
    #[error(
        "the store {place} was written by an older version of Andon (schema {found}, this program has {known}); start this version on it once, \
         or use that version for it"
    )]
    Older {
        /// The server and its database.
        place: String,
        /// The schema version there.
        found: i64,
        /// The schema version of this program.
        known: i64,
    },
    /// It holds the records of another node.
    #[error(
        "{place} holds the records of another node ({found}); name a database of its own. If this node is to take that one's place, it needs that \
         one's data directory as well, for tags have their numbers from the one and their history in the other"
    )]
    OfAnother {
        /// The server and its database.
        place: String,
        /// Whose they are.
        found: Uuid,
    },
    /// A migration failed, or its text is not the one that was applied.
    #[error("could not bring the store {place} to schema {known}; restore a backup or report this")]
    Migration {
        /// The file, or the server and its database.
        place: String,
        /// The newest schema version this program knows.
        known: i64,
        /// The cause.
        source: Cause,
    },
    /// There is no answer.
    #[error(
        "could not reach PostgreSQL at {place}; check that the server runs there and takes connections from here (`listen_addresses` in its \
         postgresql.conf, a firewall)"
    )]
    Unreachable {
        /// The server and its database.
        place: String,
        /// The cause.
        source: Cause,
    },
    /// The server takes no such connection.
    #[error("PostgreSQL at {place} does not let this node in; {remedy}")]
    Refused {
        /// The server and its database.
        place: String,
        /// What to do.
        remedy: &'static str,
        /// The cause.
        source: Cause,
    },
    /// The server is not one to keep records on.
    #[error("PostgreSQL at {place} cannot keep the records: {finding}")]
    Unfit {
        /// The server and its database.
        place: String,
        /// What is wrong, and what to do.
        finding: String,
    },
    /// Another node has the store open.
    #[error(
        "another node has the records in {place} open: {by}; stop it, or give this node a database of its own. Two nodes would number \
         their tags and events against each other"
    )]
    Held {
        /// The server and its database.
        place: String,
        /// As far as the server tells.
        by: String,
    },
}

/// Why a read or a change did not happen.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// An earlier write or commit failed, or the database is not the one that was written to any more. Nothing is taken any more until the
    /// process restarts from what is there.
    #[error("the store stopped ({reason}); put that right, then restart")]
    Failed {
        /// What failed first.
        reason: String,
    },
    /// The database refused this one statement; nothing was changed.
    #[error("could not {doing}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: Cause,
    },
    /// The database server gives no answer. Nothing was changed.
    #[error("could not {doing}: the database server cannot be reached; try again once it is back")]
    Unreachable {
        /// What was being done.
        doing: &'static str,
        /// The cause.
        source: Cause,
    },
    /// Too many changes wait for their turn already, or one has waited for too long. Nothing was changed.
    #[error(
        "could not {doing}: {waiting} changes wait for the records already; try again in a minute, and look what slows the database down"
    )]
    Busy {
        /// What was being done.
        doing: &'static str,
        /// How many wait.
        waiting: usize,
    },
    /// The database server went away in the middle of a commit. Whether the change was made is known
    /// once the server is back, and could not be asked for in time.
    #[error(
        "the database server went away while the change was committed: look whether it was made once the server is back"
    )]
    CutOff {
        /// The cause.
        source: Cause,
    },
    /// Something with this name is there already.
    #[error("the {what} \"{name}\" exists already; choose another name")]
    Taken {
        /// `user`, `device`, …
        what: &'static str,
        /// The name.
        name: String,
    },
    /// There is no such thing.
    #[error("there is no {what} {id}")]
    Missing {
        /// `user`, `token`, …
        what: &'static str,
        /// Its id.
        id: Uuid,
    },
    /// The code is unknown, used already, or too old.
    #[error("the code is not valid: it is unknown, was used already, or has expired")]
    BadCode,
    /// An event is over the outbox's limit.
    #[error("an event of {bytes} bytes is over the outbox's limit of {limit} bytes")]
    EventTooLarge {
        /// Its size.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// The relay to the log stands still and too many events wait.
    #[error("{waiting} events wait to be written to the log; changes are refused until the log takes them again")]
    OutboxFull {
        /// How many wait.
        waiting: i64,
    },
    /// What was to be recorded about lots and units cannot be; nothing was changed.
    #[error(transparent)]
    Refused(Box<crate::trace::TraceRefusal>),
    /// A row does not hold what it should.
    #[error("the {what} in the store cannot be read: {reason}; restore a backup")]
    Damaged {
        /// `plant model`, `event`, …
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The change was broken off by a fault of this program; whether it was made can be seen by reading again.
    #[error("the change was broken off: {reason}")]
    Interrupted {
        /// Why.
        reason: String,
    },
}

impl StoreError {
    /// It comes from the way to a database server or from too much work, and so goes by itself.
    #[must_use]
    pub const fn passes(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::CutOff { .. } | Self::Busy { .. })
    }
}

/// Why a plant model was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// Somebody else changed the model first.
    #[error("the plant model is at version {current}, not {expected}: look at the new version, then apply again")]
    Conflict {
        /// The version the caller knew.
        expected: u64,
        /// The version in force.
        current: u64,
    },
    /// There is no such version to go back to.
    #[error("there is no version {version} of the plant model; `andon plant versions` lists them")]
    NoSuchVersion {
        /// The version asked for.
        version: u64,
    },
    /// The model breaks a rule that documents cannot break; the caller built it by hand.
    #[error("the plant model is not consistent: {reason}")]
    Inconsistent {
        /// Which rule.
        reason: String,
    },
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// SQLite's result codes that mean the disk or the file, not the statement: the store stops on them.
/// (IOERR, CORRUPT, FULL, CANTOPEN, NOTADB: the low byte of the extended code; sqlite.org/rescode.html.)
const FATAL: [u32; 5] = [10, 11, 13, 14, 26];

/// SQLite's result codes for a file whose content is not what it should be (CORRUPT, NOTADB).
const DAMAGED: [u32; 2] = [11, 26];

fn result_code(error: &sqlx::Error) -> Option<u32> {
    error.as_database_error()?.code()?.parse::<u32>().ok().map(|code| code & 0xFF)
}

/// Why the file at `path` could not be opened.
pub(crate) fn opening(path: &Path) -> impl Fn(sqlx::Error) -> OpenError {
    move |source| match source.as_database_error() {
        Some(error) if result_code(&source).is_some_and(|code| DAMAGED.contains(&code)) => {
            OpenError::Damaged { path: path.to_owned(), finding: error.message().to_owned() }
        }
        _ => OpenError::Io { path: path.to_owned(), source: source.into() },
    }
}

pub(crate) fn database(doing: &'static str) -> impl Fn(SqlError) -> StoreError {
    move |SqlError { source, lost }| {
        let source = Box::new(source);
        if lost { StoreError::Unreachable { doing, source } } else { StoreError::Database { doing, source } }
    }
}

/// True when `error` means that the disk failed rather than that the statement was refused.
pub(crate) fn is_fatal(error: &StoreError) -> bool {
    let StoreError::Database { source, .. } = error else { return false };
    match source.downcast_ref::<sqlx::Error>() {
        Some(error @ sqlx::Error::Database(_)) => result_code(error).is_some_and(|code| FATAL.contains(&code)),
        Some(sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed | sqlx::Error::Protocol(_)) => true,
        _ => false,
    }
}
