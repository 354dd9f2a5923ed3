//! What the API needs of the node and only `server` can give: the plant model's changes and the node's own state.

pub mod energy;
pub mod erp;
pub mod maintenance;
pub mod mes;
mod not_done;
pub mod orders;
pub mod reports;
pub mod shift;
pub mod stock;
pub mod tools;
pub mod trace;
pub mod vessel;

pub use not_done::NotDone;

use andon_model::BoxFuture;
use andon_model::access::Principal;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;
use uuid::Uuid;

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
    /// The word of its table in documents: `equipment`, `tag`, `topic_rule`, `material`, …
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
    /// It would hand a secret to another place, which is for administrators.
    #[error("the change decides where secrets of the connector \"{0}\" go, which is for administrators")]
    NotAllowed(String),
    /// Saving failed.
    #[error("the plant model could not be saved: {0}")]
    Failed(String),
}

/// Who changes the plant model.
#[derive(Debug, Clone)]
pub struct Author {
    /// Who.
    pub who: Principal,
    /// Whether they may administer the node: only then may they decide where secrets go.
    pub administers: bool,
}

impl Author {
    /// The node itself.
    pub const SYSTEM: Self = Self { who: Principal::SYSTEM, administers: true };
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
        by: Author,
        reason: Option<String>,
    ) -> BoxFuture<'_, Result<u64, PlantError>>;
    /// All versions, newest first.
    fn versions(&self) -> BoxFuture<'_, Result<Vec<VersionView>, PlantError>>;
    /// Makes a new version that equals an earlier one.
    fn roll_back(
        &self,
        version: u64,
        expected_version: u64,
        by: Author,
        reason: Option<String>,
    ) -> BoxFuture<'_, Result<u64, PlantError>>;
    /// The whole model as one TOML document.
    fn export(&self) -> String;
}

/// A secret, without its value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SecretView {
    /// By which documents name it.
    pub name: String,
    /// The connector, or the link to an ERP, that names it.
    pub used_by: Option<String>,
}

/// Why a secret was not kept or forgotten.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SecretError {
    /// It cannot be one.
    #[error("{0}")]
    Refused(String),
    /// There is none of this name.
    #[error("there is no such secret")]
    Unknown,
    /// Something names it, in words.
    #[error("{0} names this secret")]
    Used(String),
    /// Saving failed.
    #[error("{0}")]
    Failed(String),
}

/// Keeps the secrets that documents name. No value comes out again.
pub trait SecretKeeper: Send + Sync + 'static {
    /// All of them.
    fn names(&self) -> Vec<SecretView>;
    /// Whether it would be kept.
    /// # Errors
    /// [`SecretError::Refused`].
    fn check(&self, name: &str, value: &str) -> Result<(), SecretError>;
    /// Whether it would be forgotten.
    /// # Errors
    /// [`SecretError::Unknown`], [`SecretError::Used`].
    fn may_remove(&self, name: &str) -> Result<(), SecretError>;
    /// Keeps it, or forgets it where there is no value; on disk and in force when this resolves.
    fn change(&self, name: String, value: Option<String>) -> BoxFuture<'_, Result<(), SecretError>>;
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
    /// A part of history that it wants is damaged.
    #[error("{0}")]
    Damaged(String),
    /// A failure of ours.
    #[error("{0}")]
    Failed(String),
}

/// Reads in SQL, with the rights of whoever asks.
pub trait Sql: Send + Sync + 'static {
    /// Runs one statement; resolves as soon as its first rows are known, or that it has none. Dropping the answer ends the query.
    fn run(&self, who: Principal, text: String, format: SqlFormat) -> BoxFuture<'_, Result<SqlAnswer, SqlProblem>>;
}

/// A file that is held for a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldFile {
    /// Where it stands in the data directory, with `/` between folders.
    pub path: String,
    /// Where to read it on the node's machine.
    pub from: String,
    /// How many of its bytes, from the start, belong to the backup.
    pub bytes: u64,
}

/// The state of the node at one moment, held in files until the backup is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HeldState {
    /// Names it in later requests.
    pub id: Uuid,
    /// The node.
    pub node: String,
    /// The moment.
    pub at_ms: i64,
    /// Per lane of the log: everything up to this frame is in it.
    pub positions: BTreeMap<String, u64>,
    /// How often the log had been opened.
    pub epoch: u64,
    /// The files.
    pub files: Vec<HeldFile>,
    /// Files that should be there and are not.
    pub missing: Vec<String>,
}

/// A finished backup, as its maker reports it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupDone {
    /// How it is called.
    pub name: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Bytes that had to be copied.
    pub copied_bytes: u64,
}

/// Why no state is held.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HoldError {
    /// Enough of them at a time.
    #[error("{0} backups are under way already; wait for the end of one")]
    TooMany(usize),
    /// It was let go of: nobody asked for it for too long, or the node was started anew.
    #[error("this backup is not held any more")]
    Gone,
    /// The disk or a part of the node refused.
    #[error("{0}")]
    Failed(String),
}

/// Holds states of the node for backups.
pub trait Backups: Send + Sync + 'static {
    /// Begins to hold the state of now, with the keys of certificates that were made here if `keys`. That may take longer than a
    /// request may.
    /// # Errors
    /// Too many are held.
    fn begin(&self, keys: bool) -> Result<Uuid, HoldError>;
    /// What is held, `None` while that is not settled; holds it on.
    /// # Errors
    /// It is gone, or it could not be held.
    fn state(&self, id: Uuid) -> Result<Option<HeldState>, HoldError>;
    /// Holds it on; to be called every half minute.
    /// # Errors
    /// It is gone.
    fn keep(&self, id: Uuid) -> Result<(), HoldError>;
    /// Records that the backup was made, and lets go.
    fn finish(&self, id: Uuid, by: Principal, done: BackupDone) -> BoxFuture<'_, Result<(), HoldError>>;
    /// Lets go without a backup; one that is gone is fine.
    fn give_up(&self, id: Uuid) -> BoxFuture<'_, ()>;
}

/// The tags that a topic's messages become.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TopicTags {
    /// Their paths, in order.
    pub tags: Vec<String>,
    /// Whether these are all: which tags a message of line protocol goes to stands in it.
    pub all: bool,
}

/// What an MQTT client may want with a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MqttWish {
    /// Publish to it.
    Publish,
    /// Subscribe with it as topic filter.
    Subscribe,
    /// Be sent what is published to it.
    Receive,
}

/// One thing that was asked on the way to an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct CheckView {
    /// Whether it is fine.
    pub ok: bool,
    /// What was asked and found.
    pub text: String,
}

/// The answer to what an MQTT client wants: the checks in their order, the last of which decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct VerdictView {
    /// Whether it may, and would.
    pub allowed: bool,
    /// What decides, in one sentence.
    pub reason: String,
    /// All that was asked.
    pub checks: Vec<CheckView>,
}

/// A topic rule, and how it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TopicRuleView {
    /// Its name.
    pub name: String,
    /// The topics for which it holds, where no rule has a more exact filter.
    pub filter: String,
    /// Why it is there.
    pub description: String,
    /// `durable` or `volatile`.
    pub durability: String,
    /// What becomes of a message that breaks it: `observe`, `warn`, `reject`, `quarantine`; `null`: it asks nothing.
    pub mode: Option<String>,
    /// What it asks of messages, in words.
    pub wishes: Vec<String>,
    /// For how long messages are kept to be read later, in seconds; `null`: they are not.
    pub keep_s: Option<u64>,
    /// How much of them at most, in bytes; `null` with `keep_s`.
    pub keep_bytes: Option<u64>,
    /// Since when it counts: the start, or the last change of the rule.
    pub since_ms: i64,
    /// Messages that came under it.
    pub matched: u64,
    /// Those of them that broke it.
    pub broke: u64,
    /// Messages that broke it and are in quarantine.
    pub in_quarantine: usize,
    /// Who broke it, the last ones first; at most 64.
    pub offenders: Vec<OffenderView>,
    /// Messages that broke it of publishers for which there was no room among these.
    pub others: u64,
}

/// A publisher that broke a topic rule on a topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct OffenderView {
    /// The client.
    pub client: String,
    /// Its user; `null`: not known, it is a will, or a client without credentials.
    pub user: Option<String>,
    /// Where.
    pub topic: String,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first_ms: i64,
    /// The last time.
    pub last_ms: i64,
    /// How it was broken, the last time.
    pub words: String,
    /// The begin of the payload then, as one line; hexadecimal where it is no text.
    #[serde(serialize_with = "as_preview")]
    #[schema(value_type = String)]
    pub payload: Vec<u8>,
    /// The size of that payload, in bytes.
    pub size: usize,
}

/// The begin of a payload as one line.
fn as_preview<S: serde::Serializer>(payload: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&crate::routes::topics::preview_of(payload))
}

/// The rules of MQTT topics: which become tags, which are commands, who may use which.
pub trait MqttRules: Send + Sync + 'static {
    /// The tags that messages on this topic become.
    fn tags_of(&self, topic: &str) -> TopicTags;
    /// The tag that a message on this topic commands, if it is one tag.
    fn command_for(&self, topic: &str) -> Option<String>;
    /// What a message on this topic commands, in words; `None`: nothing, it is a message.
    fn commanded(&self, topic: &str) -> Option<String>;
    /// The topic rules in force, by name, and how they stand.
    fn topic_rules(&self) -> Vec<TopicRuleView>;
    /// Whether a client of this principal may do what it wants, found as the broker finds it. `client_id`: whose subscriptions count
    /// where it is about receiving.
    fn explain(&self, who: &Principal, client_id: Option<&str>, wish: MqttWish, topic: &str) -> VerdictView;
}
