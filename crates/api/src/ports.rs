//! What the API needs of the node and only `server` can give: the plant model's changes and the node's own state.

use andon_model::BoxFuture;
use andon_model::access::Principal;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A document of the plant model as sent by a caller.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct DocumentView {
    /// A file name, for messages.
    pub name: String,
    /// TOML text.
    pub text: String,
}

/// One change between two plant models.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ChangeView {
    /// `+` added, `~` changed, `-` removed.
    pub op: String,
    /// `equipment`, `tag`, `connector`, `topic`, `alarm`.
    pub kind: String,
    /// Its path or name.
    pub name: String,
    /// What is different.
    pub detail: String,
}

/// An error in a document, with its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DocumentErrorView {
    /// The document's name.
    pub document: String,
    /// From 1; 0 where no line can be named.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

/// What applying documents would do.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
pub struct PlanView {
    /// The version it was compared with.
    pub version: u64,
    /// What would change.
    pub changes: Vec<ChangeView>,
    /// Why it cannot be applied; empty if it can.
    pub errors: Vec<DocumentErrorView>,
}

/// A version of the plant model.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct VersionView {
    /// Its number.
    pub version: u64,
    /// When it was made.
    pub at_ms: i64,
    /// Who made it.
    pub by: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// How it differs from the one before, one line each.
    pub changes: Vec<String>,
}

/// Why a change of the plant model was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PlantError {
    /// Somebody else was faster.
    #[error("the plant model is at version {current} now, not at the one this change was made for")]
    Conflict {
        /// The version now.
        current: u64,
    },
    /// The documents do not hold.
    #[error("the documents have {} errors", .0.len())]
    Invalid(Vec<DocumentErrorView>),
    /// There is no such version.
    #[error("there is no version {0} of the plant model")]
    NoSuchVersion(u64),
    /// Saving failed.
    #[error("the plant model could not be saved: {0}")]
    Failed(String),
}

/// Changes the plant model: one transaction, then everything that runs follows.
pub trait PlantAdmin: Send + Sync + 'static {
    /// A dry run.
    fn plan(&self, documents: Vec<DocumentView>, prune: bool) -> BoxFuture<'_, Result<PlanView, PlantError>>;
    /// Applies documents to the version that the caller has seen; returns the new version, durable and recorded.
    fn apply(
        &self,
        documents: Vec<DocumentView>,
        prune: bool,
        expected_version: u64,
        by: Principal,
        reason: Option<String>,
    ) -> BoxFuture<'_, Result<u64, PlantError>>;
    /// All versions, newest first.
    fn versions(&self) -> BoxFuture<'_, Result<Vec<VersionView>, PlantError>>;
    /// Makes a new version that equals an earlier one.
    fn roll_back(
        &self,
        version: u64,
        expected_version: u64,
        by: Principal,
        reason: Option<String>,
    ) -> BoxFuture<'_, Result<u64, PlantError>>;
    /// The whole model as one TOML document.
    fn export(&self) -> String;
}

/// Whether the node is ready, and what people must be warned of.
pub trait NodeState: Send + Sync + 'static {
    /// `Ok` when sessions, alarms and commands are right and acknowledging; otherwise what is not.
    /// # Errors
    /// What is missing, in plain words.
    fn ready(&self) -> Result<(), String>;
    /// Warnings for the banner: open mode, a failed sync, a full disk.
    fn warnings(&self) -> Vec<String>;
    /// Counters in the Prometheus text format (version 0.0.4).
    fn metrics(&self) -> String;
}

/// Stores readings that came by HTTP.
pub trait Ingest: Send + Sync + 'static {
    /// Makes the samples durable, all or nothing, then publishes them.
    fn store(&self, samples: Vec<andon_model::Sample>) -> BoxFuture<'_, Result<(), andon_model::log::AppendError>>;
}

/// How an answer of SQL is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SqlFormat {
    /// `{"columns": [{"name", "type"}…], "rows": [[…]…]}`; ends with `"error"` when it breaks off.
    #[default]
    Json,
    /// With a header line.
    Csv,
    /// An Arrow IPC stream.
    Arrow,
}

/// An answer on its way.
#[derive(Debug)]
pub struct SqlAnswer {
    /// Its media type.
    pub content_type: &'static str,
    /// Its bytes; an error breaks it off.
    pub pieces: tokio::sync::mpsc::Receiver<Result<bytes::Bytes, String>>,
}

/// Why a statement has no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SqlProblem {
    /// It cannot be understood, is not allowed for anybody, or goes beyond a limit.
    #[error("{0}")]
    Refused(String),
    /// The caller may not look at anything.
    #[error("{0}")]
    NotAllowed(String),
    /// Too much at a time.
    #[error("{0}")]
    Busy(String),
    /// A failure of ours.
    #[error("{0}")]
    Failed(String),
}

/// Reads in SQL, with the rights of whoever asks.
pub trait Sql: Send + Sync + 'static {
    /// Runs one statement; resolves as soon as its columns are known. Dropping the answer ends the query.
    fn run(&self, who: Principal, text: String, format: SqlFormat) -> BoxFuture<'_, Result<SqlAnswer, SqlProblem>>;
}
