//! Account rows, and what the relational store must do with them. `server` hands in the store.

use crate::certificate::CertificateName;
use crate::scram::Verifier;
use crate::secret::Digest256;
use andon_model::access::Grant;
use andon_model::event::Event;
use andon_model::{BoxFuture, Timestamp};
use uuid::Uuid;

/// A person.
#[derive(Clone, PartialEq, Eq)]
pub struct UserRecord {
    /// Stands in events.
    pub id: Uuid,
    /// Unique without regard to case; kept in an erasable table.
    pub name: String,
    /// PHC string.
    pub password_hash: String,
    /// May log in.
    pub enabled: bool,
    /// What they may do where.
    pub grants: Vec<Grant>,
    /// The last successful log-in.
    pub last_login: Option<Timestamp>,
}

/// An API token.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenRecord {
    /// Stands in events.
    pub id: Uuid,
    /// What it is for.
    pub name: String,
    /// SHA-256 of the secret.
    pub digest: Digest256,
    /// What it may do where.
    pub grants: Vec<Grant>,
    /// When it was made.
    pub created: Timestamp,
}

/// The MQTT credential of one device.
#[derive(Clone, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Stands in events.
    pub id: Uuid,
    /// The MQTT user name.
    pub user: String,
    /// SHA-256 of the password.
    pub digest: Digest256,
    /// Checks the password by SCRAM; `None`: the credential was made before there was that.
    pub scram: Option<Verifier>,
    /// The only client identifier it may use; `None`: any that is not bound to another device.
    pub client_id: Option<String>,
    /// The certificate without which it is not let in, and with which it needs no password; `None`: none is asked for.
    pub certificate: Option<CertificateName>,
    /// The certificate that was entered for it, in DER form, for people to see; `None`: none, or its name alone.
    pub certificate_entered: Option<Vec<u8>>,
    /// Topic filters it may publish to.
    pub publish: Vec<String>,
    /// Topic filters it may subscribe to.
    pub subscribe: Vec<String>,
    /// The branch of the tree whose tags it may command through command topics; `None`: none.
    pub operate: Option<String>,
    /// When it was made.
    pub created: Timestamp,
}

/// A log-in.
#[derive(Clone, PartialEq, Eq)]
pub struct SessionRecord {
    /// SHA-256 of the cookie.
    pub digest: Digest256,
    /// Whose.
    pub user: Uuid,
    /// When it began.
    pub created: Timestamp,
    /// The last request.
    pub last_seen: Timestamp,
}

/// Everything that is kept.
#[derive(Default)]
pub struct AllAccounts {
    /// People.
    pub users: Vec<UserRecord>,
    /// Tokens.
    pub tokens: Vec<TokenRecord>,
    /// Devices.
    pub devices: Vec<DeviceRecord>,
    /// Log-ins.
    pub sessions: Vec<SessionRecord>,
    /// Random, made with the records and the same as long as there are these: makes up what names that there are not would have.
    pub nobody: Digest256,
}

/// The store refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the account could not be saved: {0}")]
pub struct RecordsError(pub String);

/// A change of the accounts.
pub enum Change {
    /// Adds or replaces a person.
    PutUser(UserRecord),
    /// Removes a person and erases their name; their sessions go with them.
    RemoveUser(Uuid),
    /// Adds a token.
    PutToken(TokenRecord),
    /// Removes a token.
    RemoveToken(Uuid),
    /// Adds or replaces a device.
    PutDevice(Box<DeviceRecord>),
    /// Removes a device.
    RemoveDevice(Uuid),
    /// Adds or replaces a session.
    PutSession(SessionRecord),
    /// Removes a session.
    RemoveSession(Digest256),
    /// Removes all sessions of a person.
    RemoveSessionsOf(Uuid),
}

/// Keeps accounts. Each call is one transaction; the event goes to the outbox in the same one.
pub trait AccountRecords: Send + Sync + 'static {
    /// Everything, at start.
    fn load(&self) -> BoxFuture<'_, Result<AllAccounts, RecordsError>>;
    /// Makes the changes and notes the event, all or nothing; durable when it returns.
    fn change(&self, changes: Vec<Change>, event: Option<Event>) -> BoxFuture<'_, Result<(), RecordsError>>;
}
