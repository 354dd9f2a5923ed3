//! Who may do what where: the words. `andon-access` holds the table and the proofs.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Somebody or something that acts.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Principal {
    /// Stands in events instead of a name.
    pub id: Uuid,
    /// What it is.
    pub kind: PrincipalKind,
}

impl Principal {
    /// The node itself, for what it does of its own accord.
    pub const SYSTEM: Self = Self { id: Uuid::nil(), kind: PrincipalKind::System };
    /// Everybody, where `[access] mode = "open"` or anonymous MQTT is allowed on loopback.
    pub const ANONYMOUS: Self = Self { id: Uuid::max(), kind: PrincipalKind::Anonymous };
}

/// What a principal is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PrincipalKind {
    /// A human with a password.
    Person,
    /// A program with an API token.
    Token,
    /// An MQTT device with its own credential.
    Device,
    /// The node itself.
    System,
    /// Nobody in particular.
    Anonymous,
}

/// The four roles, each holding all rights of the one before. Home words: guest, resident, installer, owner.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May look.
    Viewer,
    /// May also acknowledge alarms and operate.
    Operator,
    /// May also change the plant model and its connectors.
    Engineer,
    /// May also manage people, devices and credentials.
    Administrator,
}

/// A role on a branch of the tree; the empty branch is the whole tree.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// The role.
    pub role: Role,
    /// The equipment path it holds for, with everything below; empty: everywhere.
    pub branch: String,
}

/// What somebody wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// See values, history, alarms and events of a branch.
    View,
    /// Acknowledge alarms of a branch.
    Acknowledge,
    /// Write a tag of a branch.
    Operate,
    /// Change the plant model, connectors and alarms.
    Configure,
    /// Manage users, devices, tokens.
    Administer,
    /// Publish readings into a branch (devices, ingest).
    Publish,
    /// Subscribe by MQTT to topics outside the tags of a branch.
    Subscribe,
}

/// The answer "no".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not allowed: {action:?} on \"{branch}\" needs the role {needed:?} there")]
pub struct Denied {
    /// What was wanted.
    pub action: Action,
    /// Where.
    pub branch: String,
    /// The role that may.
    pub needed: Role,
}

/// The one authorise function that every interface calls. Looks up the current grants, so a revocation holds at once.
pub trait Gate: Send + Sync + 'static {
    /// May `who` do `action` on the equipment or tag path `branch` (empty: the whole node)?
    /// # Errors
    /// [`Denied`] with the role that would be needed.
    fn authorise(&self, who: &Principal, action: Action, branch: &str) -> Result<(), Denied>;
}
