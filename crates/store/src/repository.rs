//! The face of the store: what is kept, and the traits behind which SQLite or PostgreSQL stands.
//!
//! A change that must be audited takes the event with it: the event's outbox row is written in the same transaction,
//! so neither can be there without the other. When a call returns `Ok`, the change is on disk.

use crate::energy::EnergyRepository;
use crate::error::{ApplyError, StoreError};
use crate::floor::FloorRepository;
use crate::maintenance::MaintenanceRepository;
use crate::orders::OrderRepository;
use crate::trace::TraceRepository;
use andon_model::access::{Grant, Principal};
use andon_model::event::{Event, SealedEvent};
use andon_model::log::{Gap, Lane, Seq};
use andon_model::plant::Plant;
use andon_model::{TagId, Timestamp};
use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

/// SHA-256 of a secret.
pub type Digest = [u8; 32];

/// One line of a plan or of a version's history.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Change {
    /// What happens to it.
    pub op: Op,
    /// The word of its table in documents: `equipment`, `tag`, `topic_rule`, `material`, …
    pub kind: String,
    /// Its path or name.
    pub name: String,
    /// What changes, field by field, in words; empty where the whole thing comes or goes.
    pub detail: String,
}

/// What happens to a part of the model.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Op {
    /// It is new.
    #[serde(rename = "+")]
    Add,
    /// It differs.
    #[serde(rename = "~")]
    Change,
    /// It goes.
    #[serde(rename = "-")]
    Remove,
}

impl Op {
    /// The sign in front of a line: `+`, `~`, `-`.
    #[must_use]
    pub const fn sign(self) -> char {
        match self {
            Self::Add => '+',
            Self::Change => '~',
            Self::Remove => '-',
        }
    }
}

impl std::fmt::Display for Change {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.op.sign(), self.kind, self.name)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// A plant model was taken.
#[derive(Clone, PartialEq, Debug)]
pub struct Applied {
    /// The version in force now.
    pub version: u64,
    /// What changed; empty when the model was the same already, and then there is no new version.
    pub changes: Vec<Change>,
    /// The event on its way to the records lane; `None` when nothing changed.
    pub event_id: Option<Uuid>,
}

/// A version of the plant model, without the model itself.
#[derive(Clone, PartialEq, Debug)]
pub struct PlantVersion {
    /// Its number.
    pub version: u64,
    /// When it was applied.
    pub at: Timestamp,
    /// By whom.
    pub by: Principal,
    /// Why.
    pub reason: Option<String>,
    /// Against the version before.
    pub changes: Vec<Change>,
    /// The event that tells of it.
    pub event_id: Uuid,
}

/// A path that meant a tag for some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TagName {
    /// The tag.
    pub id: Uuid,
    /// The path.
    pub path: String,
    /// From when on.
    pub from: Timestamp,
    /// Until when (exclusive); `None`: still.
    pub until: Option<Timestamp>,
}

/// The plant model: every version, and the identity of its tags.
#[async_trait]
pub trait PlantRepository: Send + Sync + 'static {
    /// The model in force, and the number of each tag in the order of `plant.tags`. Version 0 is the empty model.
    async fn current_plant(&self) -> Result<(Plant, Vec<TagId>), StoreError>;

    /// Puts `plant` in force if the version in force is still `expected_version`. One transaction with its event.
    ///
    /// A tag whose id is nil gets the id that its path has, or last had, or else a new one. Numbers and the times for
    /// which a path is valid follow. A model equal to the one in force changes nothing and makes no version.
    /// # Errors
    /// [`ApplyError::Conflict`] when somebody was faster.
    async fn apply_plant(
        &self,
        expected_version: u64,
        plant: Plant,
        by: Principal,
        reason: Option<String>,
    ) -> Result<Applied, ApplyError>;

    /// Makes a new version equal to the old `version`, ids included.
    /// # Errors
    /// As [`PlantRepository::apply_plant`]; [`ApplyError::NoSuchVersion`].
    async fn rollback(
        &self,
        version: u64,
        expected_version: u64,
        by: Principal,
        reason: Option<String>,
    ) -> Result<Applied, ApplyError>;

    /// The newest `limit` versions, newest first (at most 1,000).
    async fn plant_versions(&self, limit: u32) -> Result<Vec<PlantVersion>, StoreError>;

    /// The model as it was in `version`; `None` if there is none. Version 0 is the empty model.
    async fn plant_at_version(&self, version: u64) -> Result<Option<Plant>, StoreError>;

    /// The paths a tag has had, oldest first.
    async fn tag_names(&self, id: Uuid) -> Result<Vec<TagName>, StoreError>;

    /// Which tag `path` meant at a point in time.
    async fn tag_at(&self, path: &str, at: Timestamp) -> Result<Option<Uuid>, StoreError>;
}

/// A person. `Debug` shows neither the name nor the hash.
#[derive(Clone, PartialEq)]
pub struct User {
    /// Stands in events.
    pub id: Uuid,
    /// Unique without regard to case; stands in an erasable table.
    pub name: String,
    /// PHC string.
    pub password_hash: String,
    /// May log in.
    pub enabled: bool,
    /// What they may do where.
    pub grants: Vec<Grant>,
    /// When the account was made.
    pub created: Timestamp,
    /// The last successful log-in.
    pub last_login: Option<Timestamp>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User").field("id", &self.id).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

/// An API token.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    /// Stands in events.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret.
    pub secret_sha256: Digest,
    /// What it may do where.
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created: Timestamp,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last used.
    pub last_used: Option<Timestamp>,
}

/// The MQTT credential of one device.
#[derive(Clone, PartialEq, Debug)]
pub struct Device {
    /// Stands in events.
    pub id: Uuid,
    /// The MQTT user name.
    pub user: String,
    /// SHA-256 of the password.
    pub secret_sha256: Digest,
    /// What checks the password by SCRAM; `None`: made before there was that.
    pub scram: Option<String>,
    /// The only client identifier it may use; `None`: any that is not bound to another device.
    pub client_id: Option<String>,
    /// The certificate that it shows: its common name or its SHA-256; `None`: none is asked for.
    pub certificate: Option<String>,
    /// The certificate that was entered, in DER form, for people to see; at most 16 KiB.
    pub certificate_der: Option<Vec<u8>>,
    /// The branch of the tree whose tags it may publish or command; `None`: none.
    pub branch: Option<String>,
    /// Topic filters it may publish to.
    pub publish: Vec<String>,
    /// Topic filters it may subscribe to.
    pub subscribe: Vec<String>,
    /// May connect.
    pub enabled: bool,
    /// When it was made.
    pub created: Timestamp,
}

/// A log-in.
#[derive(Clone, PartialEq, Debug)]
pub struct Session {
    /// SHA-256 of the cookie.
    pub id_sha256: Digest,
    /// Whose.
    pub user: Uuid,
    /// When it began.
    pub created: Timestamp,
    /// The last request.
    pub last_seen: Timestamp,
    /// When it ends by itself.
    pub expires: Timestamp,
}

/// A code that is good for one use: the set-up code, a log-in link.
#[derive(Clone, PartialEq, Debug)]
pub struct Code {
    /// SHA-256 of the code.
    pub code_sha256: Digest,
    /// `setup`, `login`.
    pub purpose: String,
    /// Whom it logs in; `None` for the set-up code.
    pub user: Option<Uuid>,
    /// When it ends by itself.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
}

/// Every account, as read at start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Accounts {
    /// People, in the order of their ids.
    pub users: Vec<User>,
    /// API tokens, revoked ones included.
    pub tokens: Vec<Token>,
    /// MQTT devices.
    pub devices: Vec<Device>,
    /// Log-ins, expired ones included until they are removed.
    pub sessions: Vec<Session>,
    /// One-time codes, used and expired ones included until they are removed.
    pub codes: Vec<Code>,
    /// Random and the same as long as there is this store: makes up what device names that there are not would have.
    pub nobody: Digest,
}

/// One change of the accounts.
#[derive(Clone, PartialEq, Debug)]
pub enum AccountChange {
    /// Adds or replaces a person.
    PutUser(User),
    /// Removes a person and erases their name; their sessions and links go with them.
    RemoveUser(Uuid),
    /// Adds or replaces a token.
    PutToken(Token),
    /// Removes a token.
    RemoveToken(Uuid),
    /// Adds or replaces a device.
    PutDevice(Device),
    /// Removes a device.
    RemoveDevice(Uuid),
    /// Adds or replaces a session.
    PutSession(Session),
    /// Removes a session; none is no error.
    RemoveSession(Digest),
    /// Removes all sessions of a person.
    RemoveSessionsOf(Uuid),
    /// Adds a code.
    PutCode(Code),
    /// Uses a code up. Fails, and with it everything beside it, when it is unknown, used, or expired at `at`.
    UseCode {
        /// SHA-256 of the code.
        code_sha256: Digest,
        /// What it must be for.
        purpose: String,
        /// Now.
        at: Timestamp,
    },
    /// Removes sessions and codes that ended before this.
    RemoveExpired(Timestamp),
}

/// People, tokens, devices, log-ins.
#[async_trait]
pub trait AccountRepository: Send + Sync + 'static {
    /// Everything, at start.
    async fn accounts(&self) -> Result<Accounts, StoreError>;
    /// Makes the changes in order and notes the event, all or nothing; durable when it returns.
    /// # Errors
    /// [`StoreError::Taken`], [`StoreError::Missing`], [`StoreError::BadCode`]: nothing was changed.
    async fn change_accounts(&self, changes: Vec<AccountChange>, event: Option<Event>) -> Result<(), StoreError>;
}

/// Events on their way from a transaction to the records lane, and how far readers of the log have come.
#[async_trait]
pub trait OutboxRepository: Send + Sync + 'static {
    /// The oldest `limit` waiting events, in the order of their commits.
    async fn outbox_pending(&self, limit: u32) -> Result<Vec<Event>, StoreError>;
    /// True while the event waits.
    async fn outbox_waits(&self, event: Uuid) -> Result<bool, StoreError>;
    /// Takes events out that stand in the log, and notes that the log has been seen up to `upto`; one transaction.
    async fn outbox_done(&self, events: Vec<Uuid>, upto: Seq) -> Result<(), StoreError>;
    /// Counts commits that touched the outbox: wait for a change, then look.
    fn outbox_changes(&self) -> watch::Receiver<u64>;
    /// How far `reader` has dealt with `lane` (0: nothing).
    async fn applied(&self, reader: &str, lane: Lane) -> Result<Seq, StoreError>;
}

/// What to look for in the timeline. Everything that is given must hold.
#[derive(Clone, PartialEq, Debug)]
pub struct TimelineFilter {
    /// From then on (inclusive); a note is found by its own time and by the time it is about.
    pub from: Option<Timestamp>,
    /// Until then (exclusive).
    pub to: Option<Timestamp>,
    /// Kinds as in JSON: `alarm`, `command`, …; empty: all.
    pub kinds: Vec<String>,
    /// On or below one of these paths; `""` is the whole tree. An empty list finds nothing: it is also the permission.
    pub branches: Vec<String>,
    /// Only events on or below this path.
    pub path: Option<String>,
    /// Only events before this number: the `next` of the page before.
    pub before: Option<Seq>,
    /// How many, 1–1,000.
    pub limit: u32,
}

impl Default for TimelineFilter {
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            kinds: Vec::new(),
            branches: vec![String::new()],
            path: None,
            before: None,
            limit: 100,
        }
    }
}

/// The sequence of events, ready to be searched.
#[async_trait]
pub trait TimelineRepository: Send + Sync + 'static {
    /// Takes over events of the records lane up to number `upto`, and what is missing there, in one transaction with
    /// the offset. Idempotent: what was taken over before is left out.
    async fn timeline_apply(&self, events: Vec<SealedEvent>, gaps: Vec<Gap>, upto: Seq) -> Result<(), StoreError>;
    /// Newest first.
    async fn timeline_query(&self, filter: TimelineFilter) -> Result<Vec<SealedEvent>, StoreError>;
    /// What the log could not give, oldest first.
    async fn timeline_gaps(&self) -> Result<Vec<Gap>, StoreError>;
    /// Empties the timeline, to be filled again from the log.
    async fn timeline_clear(&self) -> Result<(), StoreError>;
}

/// All of it: what `server` hands around as `Arc<dyn Repository>`.
pub trait Repository:
    PlantRepository
    + AccountRepository
    + OutboxRepository
    + TimelineRepository
    + FloorRepository
    + OrderRepository
    + MaintenanceRepository
    + EnergyRepository
    + TraceRepository
{
}

impl<T> Repository for T where
    T: PlantRepository
        + AccountRepository
        + OutboxRepository
        + TimelineRepository
        + FloorRepository
        + OrderRepository
        + MaintenanceRepository
        + EnergyRepository
        + TraceRepository
{
}
