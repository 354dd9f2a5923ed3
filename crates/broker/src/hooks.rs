//! What the broker asks of, and tells, those around it.

use crate::connection::Peer;
use crate::history::Keeping;
use crate::message::Message;
use crate::proof::Exchange;
use crate::ruling::{Offer, Ruling};
use andon_model::BoxFuture;
use andon_model::access::Principal;
use andon_wire::mqtt::{ReasonCode, TopicName, UserProperties};
use async_trait::async_trait;
use bytes::Bytes;
use std::net::SocketAddr;
use std::sync::Arc;

/// The broker's surroundings. No method is called while the broker holds a lock, so each may call the broker.
#[async_trait]
pub trait BrokerHooks: Send + Sync + 'static {
    /// Who is this? Also decides whether that principal may use this client identifier.
    /// # Errors
    /// [`AuthError`]: the client is refused with it.
    async fn authenticate(
        &self,
        client_id: &str,
        user: Option<&str>,
        password: Option<&[u8]>,
        peer: &Peer,
    ) -> Result<Principal, AuthError>;

    /// Begins an exchange by which a client proves who it is, instead of [`Self::authenticate`] (MQTT 5.0 §4.12). `user`: its user
    /// name, if it gave one. `None`: there is no such method here.
    fn exchange(&self, method: &str, client_id: &str, user: Option<&str>, peer: &Peer) -> Option<Box<dyn Exchange>> {
        let _ = (method, client_id, user, peer);
        None
    }

    /// Counts what may take access away, for [`Self::is_still_let_in`].
    fn access_as_of(&self) -> u64 {
        0
    }

    /// Is somebody whom we began to let in at that count still let in? Asked when [`Broker::disconnect_principal`] finds the
    /// connection, so that nobody slips through who is removed in between.
    ///
    /// [`Broker::disconnect_principal`]: crate::Broker::disconnect_principal
    fn is_still_let_in(&self, who: &Principal, as_of: u64) -> bool {
        let _ = (who, as_of);
        true
    }

    /// A client was refused after such an exchange.
    fn unproven(&self, client_id: &str, peer: &Peer) {
        let _ = (client_id, peer);
    }

    /// May it publish to this topic? Asked for every message, so a revocation holds at once.
    fn may_publish(&self, who: &Principal, topic: &str) -> bool;

    /// A client has no right to what it asked for with this topic, or topic filter. Told for every message, will and
    /// subscription that was refused so, also where that ends the connection. Of a will that is dropped when it was to be published
    /// `who` was last seen under the identifier; nobody ([`Principal::ANONYMOUS`]) if that is not known any more.
    fn refused(&self, client_id: &str, who: &Principal, what: NoRight, topic: &str) {
        let _ = (client_id, who, what, topic);
    }

    /// What holds for a message by the rule of its topic. Asked for every message that is to be published, after
    /// [`Self::may_publish`] and before it is written anywhere; not for commands and what the node itself publishes.
    fn rule(&self, offer: &Offer<'_>) -> Ruling {
        let _ = offer;
        Ruling::Durable
    }

    /// May it subscribe with this filter (without `$share/<group>/`)?
    fn may_subscribe(&self, who: &Principal, filter: &str) -> bool;

    /// What rules say is to be kept of topics, at the start; later [`Broker::set_keeping`] says it. `None`: nothing.
    ///
    /// [`Broker::set_keeping`]: crate::Broker::set_keeping
    fn keeping(&self) -> Option<Arc<dyn Keeping>> {
        None
    }

    /// What somebody who publishes is called, for those who may see everything; `None`: nobody knows, and the id is told. Asked when
    /// somebody connects, and once a minute.
    fn name_of(&self, who: &Principal) -> Option<String> {
        let _ = who;
        None
    }

    /// A will, at the moment it is published ([`Message::received`]): the content it is to have instead, if any. What a client
    /// leaves for the time after it cannot know that time.
    fn will(&self, message: &Message) -> Option<Bytes> {
        let _ = message;
        None
    }

    /// A message for the mapping to tags: QoS 0 and not retained at once, all others after they are durable.
    /// A returned future is waited for, which holds back the publisher (QoS 0) or every publisher (others).
    fn on_message(&self, message: &Message) -> Option<BoxFuture<'static, ()>>;

    /// A message read from the log at start, in order: newer than the last snapshot. Whoever cannot tell whether an
    /// acknowledged message was dealt with before the stop may deal with it again.
    fn replayed(&self, message: &Message) {
        let _ = message;
    }

    /// Asked before a snapshot is saved: resolves with `true` when what [`Self::on_message`] made of all messages so far
    /// is durable, for messages behind the snapshot are not handed to [`Self::replayed`] again. With `false` the
    /// snapshot is not saved, and the former one stays.
    async fn settled(&self) -> bool {
        true
    }

    /// Is this topic bound to a writable tag? Then a PUBLISH to it is a command.
    fn command_topic(&self, topic: &str) -> bool;

    /// Carries out a command that came as a PUBLISH; resolves with its outcome.
    /// # Errors
    /// [`CommandRefusal`] when it was refused or failed.
    async fn command(
        &self,
        by: &Principal,
        topic: &TopicName,
        payload: &Bytes,
        user_properties: &UserProperties,
    ) -> Result<(), CommandRefusal>;

    /// A client came or went.
    fn connection(&self, event: ConnectionEvent);

    /// Messages for a client are being dropped; told once per episode.
    fn dropped(&self, report: DropReport);

    /// Topics found no room in the catalogue, which lists at most `most`; told at most once a minute.
    fn topics_not_listed(&self, most: usize) {
        let _ = most;
    }
}

/// What a client has no right to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRight {
    /// A message or will: [`BrokerHooks::may_publish`] said no.
    Publish,
    /// A message or will to a topic that begins with `$`: these are the server's.
    ServerTopic,
    /// A message that is a command: [`BrokerHooks::command`] said that the client is not authorised.
    Command,
    /// A will that would be a command: nobody would be there for its outcome.
    CommandAsWill,
    /// A subscription: [`BrokerHooks::may_subscribe`] said no.
    Subscribe,
}

/// Why a client was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Wrong or no credentials.
    #[error("bad user name or password")]
    BadCredentials,
    /// Known, but not allowed.
    #[error("not authorised")]
    NotAuthorised,
    /// This identifier belongs to somebody else.
    #[error("the client identifier belongs to another user")]
    ClientId,
    /// Cannot be decided now.
    #[error("authentication is not possible at the moment")]
    Unavailable,
}

impl AuthError {
    pub(crate) const fn reason(self) -> ReasonCode {
        match self {
            Self::BadCredentials => ReasonCode::BAD_USER_NAME_OR_PASSWORD,
            Self::NotAuthorised => ReasonCode::NOT_AUTHORIZED,
            Self::ClientId => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            Self::Unavailable => ReasonCode::SERVER_UNAVAILABLE,
        }
    }
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandRefusal {
    /// Not allowed.
    #[error("not authorised: {0}")]
    NotAuthorised(String),
    /// It was not begun: beyond a limit, or not understood. The text says why.
    #[error("{0}")]
    Refused(String),
    /// It was begun and is at its end: it failed, expired, or whether it took effect is not known; the text says which. Nobody must be brought
    /// to repeat it: a device that is not there now would be commanded whenever it comes.
    #[error("{0}")]
    Ended(String),
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndReason {
    /// By the client's DISCONNECT.
    Client(ReasonCode),
    /// By the server, with the reason a 5.0 client was told.
    Server(ReasonCode),
    /// By the server: it published to a topic to which it may not, in a version that has no other "no".
    MayNotPublish(TopicName),
    /// By the server: a message of its breaks the rule of its topic, in a version that has no other "no".
    BrokeRule(TopicName),
    /// The network connection broke.
    Lost(String),
}

impl std::fmt::Display for EndReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Client(ReasonCode::SUCCESS) => f.write_str("left by itself"),
            Self::Client(reason) => write!(f, "the client disconnected: {}", reason.text()),
            Self::Server(reason) => write!(f, "closed by the server: {}", reason.text()),
            Self::MayNotPublish(topic) => write!(f, "closed by the server: it may not publish to {:?}", topic.as_str()),
            Self::BrokeRule(topic) => {
                write!(f, "closed by the server: its message breaks the rule of its topic {:?}", topic.as_str())
            }
            Self::Lost(detail) => write!(f, "connection lost: {detail}"),
        }
    }
}

/// A client came or went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionEvent {
    /// Which client.
    pub client_id: String,
    /// Came (true) or went.
    pub connected: bool,
    /// Why it went.
    pub reason: Option<EndReason>,
    /// Who it is.
    pub principal: Principal,
    /// From where.
    pub address: SocketAddr,
}

/// Why messages for a client are dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DropReason {
    /// Its queue is full (QoS > 0).
    QueueFull,
    /// It does not read what is sent to it (QoS 0).
    SlowReader,
    /// The message is larger than the client accepts.
    TooLargeForClient,
    /// It waited in the log, and the log has it no more: the disk damaged it.
    Unreadable,
}

/// The beginning of an episode in which messages for a client are dropped. It ends when half the bound is free again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DropReport {
    /// Which client.
    pub client_id: String,
    /// Why.
    pub reason: DropReason,
    /// The topic of the first message dropped.
    pub topic: String,
    /// How many were ever dropped for the client's session.
    pub dropped: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goodbye_in_order_is_told_in_words_for_people() {
        assert_eq!(EndReason::Client(ReasonCode::SUCCESS).to_string(), "left by itself");
        let with_will = EndReason::Client(ReasonCode::DISCONNECT_WITH_WILL).to_string();
        assert!(with_will.starts_with("the client disconnected: "), "{with_will}");
    }
}
