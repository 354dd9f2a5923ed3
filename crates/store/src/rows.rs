//! The records as rows, for whoever asks the node in SQL: the views of the manual (`report_orders`, …), read page by page.
//!
//! Names and meaning of the columns are those of the views in the database itself (migration 12); a test compares them. Here they come
//! with their types, in columns, and only those that are asked for.
//!
//! Each page is a question of its own, from where the page before ended: nothing is held between them, and who reads for minutes keeps
//! nobody from writing. So each row is of one moment, and comes once at most; rows of two pages may be of two moments.

use crate::error::StoreError;
use crate::sql::Value;
use crate::tables::rows as tables;
use async_trait::async_trait;

/// The longest page.
pub const MOST_ROWS: u32 = 5_000;

/// What can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum View {
    /// Work orders. Seen by who sees a place where one of its jobs can be done.
    Orders,
    /// Job orders. Seen by who sees a place where it is or can be done.
    Jobs,
    /// When a job stood on a machine. Seen by who sees the machine.
    JobTimes,
    /// Lots, sublots, units, containers: all or none, which is for the caller to decide.
    Lots,
    /// What went into what. As lots.
    Genealogy,
    /// Figures of hours. Seen by who sees the node.
    Hours,
    /// Figures of days in UTC. As hours.
    Days,
}

impl View {
    /// All of them, in the manual's order.
    pub const ALL: [Self; 7] =
        [Self::Orders, Self::Jobs, Self::JobTimes, Self::Lots, Self::Genealogy, Self::Hours, Self::Days];

    /// The name outside.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Orders => "report_orders",
            Self::Jobs => "report_jobs",
            Self::JobTimes => "report_job_times",
            Self::Lots => "report_lots",
            Self::Genealogy => "report_genealogy",
            Self::Hours => "report_hours",
            Self::Days => "report_days",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|view| view.name() == name)
    }

    /// Its columns, in the manual's order.
    pub fn columns(self) -> impl Iterator<Item = (&'static str, ColumnKind)> {
        tables::columns(self).iter().map(|column| (column.name, column.kind))
    }
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ColumnKind {
    /// A text.
    Text,
    /// An id, given as text.
    Id,
    /// A whole number.
    Whole,
    /// A quantity in millionths of the material's unit, or a length of time in µs, shown in s: given in millionths.
    Amount,
    /// A time, µs since 1970.
    Time,
}

/// What to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowsFilter {
    /// Of what.
    pub view: View,
    /// Which of its columns, by their names.
    pub columns: Vec<&'static str>,
    /// Rows that who sees these branches sees, as [`View`] says; `""` is the whole tree, and an empty list finds nothing.
    pub branches: Vec<String>,
    /// A column has one of these texts: a help to find rows quickly. Where no index helps, rows with others come too.
    pub texts: Vec<(&'static str, Vec<String>)>,
    /// Hours and days that begin from then on, µs since 1970 (inclusive).
    pub from_us: Option<i64>,
    /// And before then.
    pub to_us: Option<i64>,
    /// The `next` of the page before.
    pub after: Option<RowKey>,
    /// How many, 1 to [`MOST_ROWS`].
    pub limit: u32,
}

impl RowsFilter {
    /// All rows of a view, with no column of them yet.
    #[must_use]
    pub fn of(view: View) -> Self {
        Self {
            view,
            columns: Vec::new(),
            branches: vec![String::new()],
            texts: Vec::new(),
            from_us: None,
            to_us: None,
            after: None,
            limit: MOST_ROWS,
        }
    }
}

/// Where the next page begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RowKey(pub(crate) Vec<Value>);

/// A page of rows, in columns.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RowsPage {
    /// How many rows; there may be none while more follow.
    pub rows: usize,
    /// The columns that were asked for, in that order.
    pub columns: Vec<RowColumn>,
    /// Where the next page begins; `None`: this is the last one.
    pub next: Option<RowKey>,
}

/// A column of a page.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RowColumn {
    /// Texts and ids.
    Texts(Vec<Option<String>>),
    /// All else, as [`ColumnKind`] says.
    Numbers(Vec<Option<i64>>),
}

/// The records as rows.
#[async_trait]
pub trait RowsRepository: Send + Sync + 'static {
    /// A page of rows.
    /// # Errors
    /// [`StoreError::Damaged`]: a row holds what it cannot hold, or `after` is of another view.
    async fn rows_page(&self, filter: RowsFilter) -> Result<RowsPage, StoreError>;
}
