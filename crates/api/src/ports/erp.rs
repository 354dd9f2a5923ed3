//! What the API needs of the links to an ERP.

use andon_model::BoxFuture;
use andon_model::access::Principal;
use bytes::Bytes;
use serde::Serialize;
use utoipa::ToSchema;

/// What is answered to a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// All of it was accepted.
    pub accepted: bool,
    /// An XML document; `None`: the sender wants none.
    pub text: Option<String>,
}

/// Why a message is not answered with a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageProblem {
    /// Not even its head can be read.
    #[error("{0}")]
    Unreadable(String),
    /// A failure of ours; the same message can be sent again.
    #[error("{0}")]
    Failed(String),
}

/// A link to an ERP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LinkView {
    /// Its name in the settings.
    pub name: String,
    /// Where messages go; `null`: it only takes files in.
    pub sends_to: Option<String>,
    /// Where files come from.
    pub takes_from: Option<String>,
    /// `in_order`; `failing`: the other side does not take what waits, and it is tried again; `stands`: the other side refused a message
    /// for good, and somebody has to decide; `off`: nothing is sent.
    pub state: String,
    /// How many messages were taken since there is the link.
    pub sent: u64,
    /// When the last of them was, in ms since 1970.
    pub last_sent_ms: Option<i64>,
    /// How many wait, as far as the records were looked through.
    pub waiting: u64,
    /// Since when nothing is taken, in ms since 1970.
    pub failing_since_ms: Option<i64>,
    /// Why.
    pub why: Option<String>,
    /// The BODID of the message that it is about.
    pub message: Option<String>,
    /// How many were given up: they waited for too long, or somebody skipped them.
    pub dropped: u64,
}

/// What is done with the message at which a link stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It is sent again, now.
    Retry,
    /// It is given up, and the next one is sent.
    Skip,
}

/// Why nothing is decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecisionProblem {
    /// There is no such link.
    #[error("there is no link to an ERP of the name {0:?}")]
    Unknown(String),
    /// There is nothing to decide.
    #[error("{0}")]
    Nothing(String),
}

/// Links to an ERP.
pub trait Erp: Send + Sync + 'static {
    /// Does what a message says, as far as its sender may.
    fn receive(&self, bytes: Bytes, by: Principal) -> BoxFuture<'_, Result<Reply, MessageProblem>>;
    /// All links, in the order of the settings.
    fn links(&self) -> Vec<LinkView>;
    /// Sends the message at which a link stands again, or gives it up.
    fn decide(&self, name: String, what: Decision, by: Principal) -> BoxFuture<'_, Result<LinkView, DecisionProblem>>;
}
