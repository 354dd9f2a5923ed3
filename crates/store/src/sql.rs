//! One face for both databases: statements with numbered places, values, rows.
//!
//! SQLite and PostgreSQL both know `$1`, `ON CONFLICT`, row values and common table expressions, so each statement of this crate is
//! written once, in what both understand. Kept are whole numbers of 64 bits, texts and bytes; a yes or no is 1 or 0. Where
//! texts are sorted or compared, both go by their bytes: in PostgreSQL the columns have the collation "C".
//!
//! The text of a statement is made of literals of this program only: that it takes nothing but `&'static str` keeps values out of it.

use crate::error::{StoreError, database};
use andon_model::Timestamp;
use serde::de::DeserializeOwned;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{AssertSqlSafe, PgConnection, Postgres, Row as _, Sqlite, SqliteConnection, Transaction};
use std::borrow::Cow;
use std::fmt::Write as _;
use std::time::Duration;
use uuid::Uuid;

/// How long a server may work on a statement; the largest plant model is seconds of it.
pub(crate) const WORKS_WITHIN: Duration = Duration::from_secs(60);
/// How long an answer of a server may take: longer than it may work, so that it says itself when it took too long.
pub(crate) const ANSWER_WITHIN: Duration = Duration::from_secs(75);
/// How long an answer may take for which nothing has to be done.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);

/// A value for a place of a statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
    Bytes(Option<Vec<u8>>),
}

macro_rules! value_from {
    ($($of:ty, $value:ident => $make:expr;)*) => {$(
        impl From<$of> for Value {
            fn from($value: $of) -> Self {
                $make
            }
        }
    )*};
}

value_from! {
    i64, value => Self::Int(Some(value));
    Option<i64>, value => Self::Int(value);
    u32, value => Self::Int(Some(i64::from(value)));
    u8, value => Self::Int(Some(i64::from(value)));
    u16, value => Self::Int(Some(i64::from(value)));
    u64, value => Self::Int(Some(to_i64(value)));
    usize, value => Self::Int(Some(i64::try_from(value).unwrap_or(i64::MAX)));
    bool, value => Self::Int(Some(i64::from(value)));
    Timestamp, value => Self::Int(Some(value.micros()));
    Option<Timestamp>, value => Self::Int(value.map(Timestamp::micros));
    &str, value => Self::Text(Some(value.to_owned()));
    String, value => Self::Text(Some(value));
    Option<String>, value => Self::Text(value);
    Vec<u8>, value => Self::Bytes(Some(value));
    Option<Vec<u8>>, value => Self::Bytes(value);
    [u8; 32], value => Self::Bytes(Some(value.to_vec()));
    Uuid, value => Self::Bytes(Some(value.as_bytes().to_vec()));
    Option<Uuid>, value => Self::Bytes(value.map(|id| id.as_bytes().to_vec()));
}

/// Our versions and numbers stay far below the end of what both databases count in.
pub(crate) fn to_i64(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A connection on which statements run: the writer's in its transaction, or a reader's.
pub(crate) enum Link<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres {
        connection: &'c mut PgConnection,
        /// A statement failed: PostgreSQL takes nothing more in this transaction and would answer a commit with a roll-back.
        spoiled: &'c mut bool,
    },
}

/// What a reader reads from; given back when it is dropped.
pub(crate) enum Reading {
    Sqlite(PoolConnection<Sqlite>),
    SqliteMoment(Transaction<'static, Sqlite>),
    Postgres {
        connection: PoolConnection<Postgres>,
        /// A statement failed, or its answer was not waited for.
        spoiled: bool,
        /// It is in a transaction.
        moment: bool,
    },
}

impl Reading {
    pub(crate) fn link(&mut self) -> Link<'_> {
        match self {
            Self::Sqlite(connection) => Link::Sqlite(connection),
            Self::SqliteMoment(transaction) => Link::Sqlite(transaction),
            Self::Postgres { connection, spoiled, .. } => Link::Postgres { connection, spoiled },
        }
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        match self {
            // The pool would wait without a limit until it answers, and knows nothing of the transaction of a moment.
            Self::Postgres { connection, spoiled, moment } if *spoiled || *moment => connection.close_on_drop(),
            _ => {}
        }
    }
}

/// Why a statement did not run.
#[derive(Debug)]
pub(crate) struct SqlError {
    pub(crate) source: sqlx::Error,
    /// The server, not the statement: the connection is gone, or does not answer.
    pub(crate) lost: bool,
}

impl SqlError {
    pub(crate) const fn of_file(source: sqlx::Error) -> Self {
        Self { source, lost: false }
    }

    pub(crate) fn of_server(source: sqlx::Error) -> Self {
        let lost = match &source {
            sqlx::Error::Database(error) => error.code().is_some_and(|code| is_lost(&code)),
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::Protocol(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed => true,
            _ => false,
        };
        Self { source, lost }
    }

    fn silent(limit: Duration) -> Self {
        let text = format!("no answer within {} s", limit.as_secs());
        Self { source: sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, text)), lost: true }
    }

    /// A unique index refused the row.
    pub(crate) fn is_taken(&self) -> bool {
        self.source.as_database_error().is_some_and(sqlx::error::DatabaseError::is_unique_violation)
    }

    /// A foreign key refused the row.
    pub(crate) fn is_without_parent(&self) -> bool {
        self.source.as_database_error().is_some_and(sqlx::error::DatabaseError::is_foreign_key_violation)
    }
}

/// PostgreSQL's codes that mean the server: connections (class 08), no room for one more (53300), it ends or starts (57P01 to 57P05), a server
/// that may only be read since it became a standby (25006). (postgresql.org/docs/15/errcodes-appendix.html)
fn is_lost(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P") || matches!(code, "53300" | "25006")
}

/// A statement and the values for its places.
pub(crate) struct Statement {
    text: Cow<'static, str>,
    values: Vec<Value>,
    again: bool,
    /// Every place was made by [`Statement::push_bind`], so they stand in order, each once.
    in_order: bool,
}

/// A statement whose places are `$1`, `$2`, …
pub(crate) const fn sql(text: &'static str) -> Statement {
    Statement { text: Cow::Borrowed(text), values: Vec::new(), again: true, in_order: true }
}

impl Statement {
    /// The value of the next place.
    pub(crate) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.in_order = false;
        self.values.push(value.into());
        self
    }

    /// More of the text.
    pub(crate) fn push(&mut self, text: &'static str) -> &mut Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// A name of a table or of a column, which comes out of the database itself.
    pub(crate) fn push_name(&mut self, name: &str) -> &mut Self {
        let text = self.text.to_mut();
        text.push('"');
        text.push_str(&name.replace('"', "\"\""));
        text.push('"');
        self
    }

    /// A new place at the end, with its value.
    pub(crate) fn push_bind(&mut self, value: impl Into<Value>) -> &mut Self {
        self.values.push(value.into());
        let number = self.values.len();
        // Writing into a string never fails.
        let _ = write!(self.text.to_mut(), "${number}");
        self
    }

    /// `($1, $2, …)`.
    pub(crate) fn push_list<V: Into<Value>>(&mut self, values: impl IntoIterator<Item = V>) -> &mut Self {
        self.push("(");
        for (number, value) in values.into_iter().enumerate() {
            self.push(if number > 0 { ", " } else { "" }).push_bind(value);
        }
        self.push(")")
    }

    /// `VALUES ($1, $2), ($3, $4), …`: one for each row.
    pub(crate) fn push_rows(&mut self, rows: impl IntoIterator<Item = Vec<Value>>) -> &mut Self {
        self.push("VALUES ");
        for (number, row) in rows.into_iter().enumerate() {
            self.push(if number > 0 { ", " } else { "" }).push_list(row);
        }
        self
    }

    /// Its text will hardly come again: the database need not remember how it runs it.
    pub(crate) const fn once(mut self) -> Self {
        self.again = false;
        self
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// With more text, which a test has made.
    #[cfg(test)]
    pub(crate) fn and(mut self, text: &str) -> Self {
        self.text.to_mut().push_str(text);
        self
    }

    /// Runs it; how many rows it touched.
    pub(crate) async fn execute(self, link: &mut Link<'_>) -> Result<u64, SqlError> {
        match link {
            Link::Sqlite(connection) => {
                let done = self.for_sqlite().execute(&mut **connection).await.map_err(SqlError::of_file)?;
                Ok(done.rows_affected())
            }
            Link::Postgres { connection, spoiled } => {
                let query = self.for_postgres().map(|query| in_time(query.execute(&mut **connection)));
                let done = run(query, spoiled).await?;
                Ok(done.rows_affected())
            }
        }
    }

    /// Every row.
    pub(crate) async fn all(self, link: &mut Link<'_>) -> Result<Vec<Row>, SqlError> {
        match link {
            Link::Sqlite(connection) => {
                let rows = self.for_sqlite().fetch_all(&mut **connection).await.map_err(SqlError::of_file)?;
                Ok(rows.into_iter().map(Row::Sqlite).collect())
            }
            Link::Postgres { connection, spoiled } => {
                let query = self.for_postgres().map(|query| in_time(query.fetch_all(&mut **connection)));
                Ok(run(query, spoiled).await?.into_iter().map(Row::Postgres).collect())
            }
        }
    }

    /// The one row, if there is one.
    pub(crate) async fn optional(self, link: &mut Link<'_>) -> Result<Option<Row>, SqlError> {
        Ok(self.all(link).await?.into_iter().next())
    }

    /// The one row.
    pub(crate) async fn one(self, link: &mut Link<'_>) -> Result<Row, SqlError> {
        self.optional(link).await?.ok_or_else(|| SqlError::of_file(sqlx::Error::RowNotFound))
    }

    /// Every row, read column by column; `doing` says what fails.
    pub(crate) async fn rows<T: Columns>(self, link: &mut Link<'_>, doing: &'static str) -> Result<Vec<T>, StoreError> {
        self.all(link).await.map_err(database(doing))?.iter().map(T::of).collect()
    }

    /// The one row, if there is one, read column by column.
    pub(crate) async fn first<T: Columns>(
        self,
        link: &mut Link<'_>,
        doing: &'static str,
    ) -> Result<Option<T>, StoreError> {
        self.optional(link).await.map_err(database(doing))?.as_ref().map(T::of).transpose()
    }

    /// The one row, read column by column.
    pub(crate) async fn only<T: Columns>(self, link: &mut Link<'_>, doing: &'static str) -> Result<T, StoreError> {
        T::of(&self.one(link).await.map_err(database(doing))?)
    }

    /// Runs it; how many rows it touched. `doing` says what fails.
    pub(crate) async fn run(self, link: &mut Link<'_>, doing: &'static str) -> Result<u64, StoreError> {
        self.execute(link).await.map_err(database(doing))
    }

    fn for_sqlite(self) -> sqlx::query::Query<'static, Sqlite, SqliteArguments> {
        let mut query = match self.text {
            Cow::Borrowed(text) => sqlx::query(text),
            // SQLite looks each `$n` up among all others, which hundreds of them are slow by.
            Cow::Owned(text) if self.in_order => sqlx::query(AssertSqlSafe(without_numbers(&text))),
            Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
        };
        for value in self.values {
            query = match value {
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        query.persistent(self.again)
    }

    /// # Errors
    /// A text holds a zero character, which PostgreSQL keeps in no text.
    fn for_postgres(self) -> Result<sqlx::query::Query<'static, Postgres, PgArguments>, SqlError> {
        let mut query = match self.text {
            Cow::Borrowed(text) => sqlx::query(text),
            Cow::Owned(text) => sqlx::query(AssertSqlSafe(text)),
        };
        for value in self.values {
            query = match value {
                Value::Text(Some(text)) if text.contains('\0') => {
                    let error = "PostgreSQL keeps no text with a zero character (U+0000); take it out".into();
                    return Err(SqlError::of_file(sqlx::Error::Encode(error)));
                }
                Value::Int(value) => query.bind(value),
                Value::Text(value) => query.bind(value),
                Value::Bytes(value) => query.bind(value),
            };
        }
        Ok(query.persistent(self.again))
    }
}

/// `?` for `$1`, `$2`, …; a dollar stands nowhere else in our statements.
fn without_numbers(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut pieces = text.split('$');
    plain.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        plain.push('?');
        plain.push_str(piece.trim_start_matches(|c: char| c.is_ascii_digit()));
    }
    plain
}

/// Runs what was made, and notes that the transaction is spoiled when it fails.
async fn run<T>(
    made: Result<impl Future<Output = Result<T, SqlError>>, SqlError>,
    spoiled: &mut bool,
) -> Result<T, SqlError> {
    let before = *spoiled;
    // Also when nobody waits for the answer any more: then it may still come, to whoever asks next.
    *spoiled = true;
    let done = made?.await?;
    *spoiled = before;
    Ok(done)
}

/// A network can be silent for hours before it says that it is broken.
pub(crate) async fn in_time<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, SqlError> {
    within(ANSWER_WITHIN, answer).await
}

/// As [`in_time`], for what needs less.
pub(crate) async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, SqlError> {
    match tokio::time::timeout(limit, answer).await {
        Ok(answer) => answer.map_err(SqlError::of_server),
        Err(_) => Err(SqlError::silent(limit)),
    }
}

/// A row of an answer.
pub(crate) enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// Which column: by its name, or by its place from 0.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    Name(&'a str),
    Place(usize),
}

impl std::fmt::Display for At<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Place(place) => write!(f, "{}", place + 1),
        }
    }
}

impl Row {
    /// A column by its name.
    /// # Errors
    /// [`StoreError::Damaged`]: there is no such column, or it holds something else.
    pub(crate) fn get<T: Column>(&self, column: &str) -> Result<T, StoreError> {
        T::of(self, At::Name(column))
    }

    /// A column by its place, from 0.
    pub(crate) fn at<T: Column>(&self, place: usize) -> Result<T, StoreError> {
        T::of(self, At::Place(place))
    }

    /// JSON in a column of text.
    pub(crate) fn json<T: DeserializeOwned>(&self, column: &str) -> Result<T, StoreError> {
        let text: String = self.get(column)?;
        serde_json::from_str(&text).map_err(|error| damaged(At::Name(column), &error))
    }
}

fn damaged(column: At<'_>, error: &dyn std::fmt::Display) -> StoreError {
    StoreError::Damaged { what: "row", reason: format!("column {column}: {error}") }
}

/// What a row is read as, column by column from the first.
pub(crate) trait Columns: Sized {
    fn of(row: &Row) -> Result<Self, StoreError>;
}

impl<T: Column> Columns for T {
    fn of(row: &Row) -> Result<Self, StoreError> {
        <T as Column>::of(row, At::Place(0))
    }
}

macro_rules! tuples {
    ($(($($of:ident $place:literal),*))*) => {$(
        impl<$($of: Column),*> Columns for ($($of,)*) {
            fn of(row: &Row) -> Result<Self, StoreError> {
                Ok(($(<$of as Column>::of(row, At::Place($place))?,)*))
            }
        }
    )*};
}

tuples! {
    (A 0, B 1)
    (A 0, B 1, C 2)
    (A 0, B 1, C 2, D 3)
    (A 0, B 1, C 2, D 3, E 4)
    (A 0, B 1, C 2, D 3, E 4, F 5)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6)
    (A 0, B 1, C 2, D 3, E 4, F 5, G 6, H 7)
}

/// What a column can hold.
pub(crate) trait Column: Sized {
    fn of(row: &Row, column: At<'_>) -> Result<Self, StoreError>;
}

macro_rules! plain_columns {
    ($($of:ty)*) => {$(
        impl Column for $of {
            fn of(row: &Row, column: At<'_>) -> Result<Self, StoreError> {
                match (row, column) {
                    (Row::Sqlite(row), At::Name(name)) => row.try_get(name),
                    (Row::Sqlite(row), At::Place(place)) => row.try_get(place),
                    (Row::Postgres(row), At::Name(name)) => row.try_get(name),
                    (Row::Postgres(row), At::Place(place)) => row.try_get(place),
                }
                .map_err(|error| damaged(column, &error))
            }
        }
    )*};
}

plain_columns! { Option<i64> Option<String> Option<Vec<u8>> }

macro_rules! columns {
    ($($of:ty, $from:ty, $value:ident => $make:expr;)*) => {$(
        impl Column for $of {
            fn of(row: &Row, column: At<'_>) -> Result<Self, StoreError> {
                let Some($value) = <Option<$from> as Column>::of(row, column)? else { return Err(damaged(column, &"it is empty")) };
                $make.map_err(|error: String| damaged(column, &error))
            }
        }
    )*};
}

columns! {
    i64, i64, value => Ok(value);
    String, String, value => Ok(value);
    Vec<u8>, Vec<u8>, value => Ok(value);
    u64, i64, value => u64::try_from(value).map_err(|_| format!("{value} is below zero"));
    u32, i64, value => u32::try_from(value).map_err(|_| format!("{value} is out of range"));
    u8, i64, value => u8::try_from(value).map_err(|_| format!("{value} is out of range"));
    bool, i64, value => Ok(value != 0);
    Timestamp, i64, value => Ok(Timestamp::from_micros(value));
    Uuid, Vec<u8>, value => Uuid::from_slice(&value).map_err(|error| error.to_string());
    [u8; 32], Vec<u8>, value => value.try_into().map_err(|_| "it is not of 32 bytes".to_owned());
}

impl Column for Option<Timestamp> {
    fn of(row: &Row, column: At<'_>) -> Result<Self, StoreError> {
        Ok(<Option<i64> as Column>::of(row, column)?.map(Timestamp::from_micros))
    }
}

impl Column for Option<Uuid> {
    fn of(row: &Row, column: At<'_>) -> Result<Self, StoreError> {
        let bytes = <Option<Vec<u8>> as Column>::of(row, column)?;
        bytes.map(|bytes| Uuid::from_slice(&bytes)).transpose().map_err(|error| damaged(column, &error))
    }
}
