//! Commands: what goes through the one door.

use crate::access::Principal;
use crate::event::Step;
use crate::{BoxFuture, Sample, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// The interface a command came through.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Via {
    /// A person at a screen.
    Ui,
    /// A program with a token.
    Api,
    /// A PUBLISH to a command topic.
    Mqtt,
}

impl Via {
    /// As it stands in events.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ui => "ui",
            Self::Api => "api",
            Self::Mqtt => "mqtt",
        }
    }
}

/// A wish to write a tag.
#[derive(Clone, PartialEq, Debug)]
pub struct CommandRequest {
    /// UUIDv7, or the caller's idempotency key turned into one: the same id is executed once.
    pub id: Uuid,
    /// Which tag.
    pub tag: TagId,
    /// The wanted value in the tag's unit.
    pub value: Value,
    /// Who wants it.
    pub by: Principal,
    /// Through which interface.
    pub via: Via,
    /// Why, where the tag requires a reason.
    pub reason: Option<String>,
    /// How long the command may live; `None`: the tag's default.
    pub life: Option<Duration>,
}

/// How a command ended.
#[derive(Clone, PartialEq, Debug)]
pub struct CommandReport {
    /// The command.
    pub id: Uuid,
    /// Refused, Confirmed, Failed, Expired or Unknown; never Intent.
    pub outcome: Step,
    /// What the device says it holds now.
    pub read_back: Option<Sample>,
    /// In plain words, for the person who asked.
    pub detail: Option<String>,
}

/// The one door for commands: authorised, within limits, durable before the wire, read back, audited.
/// `andon-control` implements it.
pub trait CommandDoor: Send + Sync + 'static {
    /// Carries the command out. Resolves when its outcome is durable.
    fn submit(&self, request: CommandRequest) -> BoxFuture<'static, CommandReport>;
}

/// What an actuator did with a write.
#[derive(Debug, Clone, PartialEq)]
pub enum Written {
    /// The device was read again after the write and says this.
    ReadBack(Sample),
    /// The device took it; its own report will come as a sample on the bus.
    Sent,
}

/// Why a write did not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Nothing was sent: the device is not connected.
    #[error("not connected: {0}")]
    NotConnected(String),
    /// The device said no.
    #[error("the device refused: {0}")]
    Refused(String),
    /// Nothing was sent for another reason.
    #[error("not sent: {0}")]
    NotSent(String),
    /// It was sent, and nobody knows whether it took effect.
    #[error("no answer: {0}")]
    NoAnswer(String),
}

/// Writes tags on the wire. Connectors and the broker's command topics implement it.
pub trait Actuator: Send + Sync + 'static {
    /// Writes once, never again by itself, and not after `deadline`.
    fn write(&self, tag: TagId, value: Value, deadline: Timestamp) -> BoxFuture<'static, Result<Written, WriteError>>;
}
