//! What the SQL face needs of others, declared here and handed in by `server`.

use andon_model::access::Principal;
use andon_model::column::{Quality, StretchSum, Values};
use andon_model::path::is_under;
use andon_model::{BoxFuture, Loss, StatusCode, TagId, Timestamp, Value};
use std::sync::Arc;

/// History in columns.
pub trait History: Send + Sync + 'static {
    /// A place to read from. Returns at once; reading happens in [`Blocks`].
    fn open(&self) -> Box<dyn Blocks>;

    /// Stretches of time in which readings were lost, ascending.
    fn gaps(&self) -> Vec<Gap>;

    /// Of these, what concerns a tag. Blocks: called on a thread that may wait.
    fn lost(&self, tag: TagId) -> Vec<Loss>;
}

/// A stretch in which readings were lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Gap {
    /// From here on (inclusive).
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
    /// Why, in plain words.
    pub reason: String,
}

/// Why rows of history or of the records cannot be read: in words that name the file and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// A scan under way, of one tag after the other. Dropping it ends it.
pub trait Blocks: Send + 'static {
    /// Begins to read the rows of a tag with `from_us <= ts < to_us`, ascending in time, one per time. What was begun before ends.
    /// Tags that follow each other by their numbers are read in the shortest time.
    fn begin(&mut self, tag: TagId, from_us: i64, to_us: i64);

    /// The next rows, `None` at the end. Blocks: called on a thread that may wait.
    fn next(&mut self) -> Option<Result<Rows, Unreadable>>;

    /// The next rows, or what some of them add up to where that is known without reading them: rows on both sides of a
    /// multiple of `width_us` never add up (`None`: all may). Blocks.
    fn next_summed(&mut self, width_us: Option<i64>) -> Option<Result<Summed, Unreadable>>;
}

/// Rows, or what rows add up to.
#[derive(Debug, Clone, PartialEq)]
pub enum Summed {
    /// Rows.
    Rows(Rows),
    /// Of stretches without uncertain values, ascending in time.
    Sums(Vec<StretchSum>),
}

/// Rows of one tag, ascending in time.
#[derive(Debug, Clone, PartialEq)]
pub struct Rows {
    /// Source times, µs since 1970-01-01T00:00:00Z.
    pub ts: Vec<i64>,
    /// As many values.
    pub values: Values,
    /// As many qualities.
    pub quality: Quality,
}

/// A tag as the catalogue shows it.
#[derive(Debug, Clone, PartialEq)]
pub struct Tag {
    /// The node's number; shown for the open table, whose rows name tags by it.
    pub id: TagId,
    /// The name outside.
    pub uuid: String,
    /// Where it stands.
    pub path: Arc<str>,
    /// What people call it.
    pub title: String,
    /// `boolean`, `int64`, `double`, `string`.
    pub data_type: &'static str,
    /// The unit's symbol.
    pub unit: Option<String>,
    /// The instrument's range.
    pub range: Option<(f64, f64)>,
    /// Digits that mean something.
    pub digits: Option<u8>,
    /// Whether the last value holds until the next one.
    pub stepped: bool,
    /// More about it.
    pub description: String,
}

/// A place or a thing.
#[derive(Debug, Clone, PartialEq)]
pub struct Equipment {
    /// Where it stands.
    pub path: String,
    /// `site`, `area`, …
    pub level: &'static str,
    /// What people call it.
    pub title: String,
    /// The path above.
    pub parent: Option<String>,
}

/// The last value of a tag.
#[derive(Debug, Clone, PartialEq)]
pub struct Last {
    /// Whose.
    pub tag: TagId,
    /// Source time, µs.
    pub ts: i64,
    /// The value.
    pub value: Value,
    /// How far it can be trusted.
    pub quality: StatusCode,
    /// Whether the device has been silent for longer than its tag allows.
    pub stale: bool,
}

/// An event as a row.
#[derive(Debug, Clone, PartialEq)]
pub struct EventRow {
    /// Its place in the records.
    pub seq: u64,
    /// Its id.
    pub id: String,
    /// When this node learned of it, µs.
    pub at: i64,
    /// `alarm`, `command`, …
    pub kind: &'static str,
    /// 1 critical, 2 high, 3 medium, 4 low, 0 for the record only.
    pub severity: u8,
    /// The tag or equipment; empty for the node.
    pub path: String,
    /// Who did it: an id.
    pub by: String,
    /// The whole event as JSON.
    pub detail: String,
}

/// Which events to read.
#[derive(Debug, Clone, PartialEq)]
pub struct EventQuery {
    /// From then on, µs (inclusive).
    pub from_us: Option<i64>,
    /// Until then, µs (exclusive).
    pub to_us: Option<i64>,
    /// On or below one of these paths; an empty list finds nothing.
    pub branches: Vec<String>,
    /// Only events before this number.
    pub before: Option<u64>,
    /// At most so many.
    pub limit: u32,
}

/// What there is, and how it is now.
pub trait Catalog: Send + Sync + 'static {
    /// All tags, in any order.
    fn tags(&self) -> Vec<Tag>;
    /// Number and path of all tags, in any order: what a scan needs to know of them.
    fn paths(&self) -> Vec<(TagId, Arc<str>)>;
    /// The number of the tag whose path is exactly this.
    fn at(&self, path: &str) -> Option<TagId>;
    /// `boolean`, `int64`, `double`, `string`; `None` if there is no such tag.
    fn data_type(&self, tag: TagId) -> Option<&'static str>;
    /// All equipment.
    fn equipment(&self) -> Vec<Equipment>;
    /// The last value of a tag, if it has one.
    fn last(&self, tag: TagId) -> Option<Last>;
    /// A page of events, newest first.
    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<EventRow>, String>>;
    /// Now, µs since 1970.
    fn now_us(&self) -> i64;
}

/// What to read of the records: rows of one of the views `report_…`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordQuery {
    /// Its name.
    pub view: &'static str,
    /// Which of its columns, by their names.
    pub columns: Vec<&'static str>,
    /// Only rows that whoever sees these branches sees. Not asked of lots and of what went into what: see [`Records::sees_lots`].
    pub branches: Vec<String>,
    /// A column has one of these texts. A help to find rows quickly: rows with others may come too.
    pub texts: Vec<(&'static str, Vec<String>)>,
    /// Hours and days that begin from then on, µs (inclusive). A help, as `texts`.
    pub from_us: Option<i64>,
    /// And before then, µs (exclusive).
    pub to_us: Option<i64>,
    /// Rows of a page, at most.
    pub page: u32,
}

/// Orders, jobs, lots, what went into what, figures of hours and days.
pub trait Records: Send + Sync + 'static {
    /// A place to read from. Returns at once; reading happens in [`Pages`].
    fn open(&self, query: RecordQuery) -> Box<dyn Pages>;

    /// Whether somebody who sees these branches may look at lots and what went into what, now. They are for all or for none, for
    /// a lot goes through many places and a recall must be whole.
    fn sees_lots(&self, branches: &[String]) -> bool;
}

/// Rows of records on their way, each once at most. Dropping it ends it; between two pages nothing is held.
pub trait Pages: Send + 'static {
    /// The next rows, which may be none; `None` at the end.
    fn next(&mut self) -> BoxFuture<'_, Result<Option<RecordRows>, Unreadable>>;
}

/// Rows of records, in columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRows {
    /// How many.
    pub rows: usize,
    /// The columns that were asked for, in that order.
    pub columns: Vec<RecordColumn>,
}

/// A column of records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordColumn {
    /// Texts and ids.
    Texts(Vec<Option<String>>),
    /// Whole numbers; times in µs since 1970; quantities and seconds in millionths.
    Numbers(Vec<Option<i64>>),
}

/// Why somebody is not let in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct LoginRefused(pub String);

/// Who is let in, and what they see.
pub trait Gate: Send + Sync + 'static {
    /// Checks a user's password (or an API token given as the password). Slow when wrong, and recorded as every log-in.
    fn log_in<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, Result<Principal, LoginRefused>>;
    /// Who anybody is where no log-in is asked for; `None` where one is.
    fn open(&self) -> Option<Principal>;
    /// What `who` is called; `None` when the name is erased.
    fn name(&self, who: &Principal) -> Option<String>;
    /// The branches of the tree that `who` may look at now; `""` is the whole tree, none is nothing.
    fn branches(&self, who: &Principal) -> Vec<String>;
}

/// Whether a path lies under one of the branches.
pub(crate) fn sees(branches: &[String], path: &str) -> bool {
    branches.iter().any(|branch| is_under(path, branch))
}

/// Everything that is handed in.
#[derive(Clone)]
pub struct Ports {
    /// History.
    pub history: Arc<dyn History>,
    /// The catalogue.
    pub catalog: Arc<dyn Catalog>,
    /// The records.
    pub records: Arc<dyn Records>,
    /// The gate.
    pub gate: Arc<dyn Gate>,
}

impl std::fmt::Debug for Ports {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ports")
    }
}
