//! Sparkplug B 3.0.0 (Eclipse Sparkplug, ISO/IEC 20237:2023): what travels over MQTT, and the three who understand it.
//!
//! - [`Host`]: a host application. Births, data and deaths of edge nodes become samples of tags; commands become NCMD and DCMD.
//! - [`EdgeNode`]: tags of this node as an edge node with devices: births, data on change, deaths, commands.
//! - [`aware`]: what a Sparkplug-aware MQTT server adds to messages that pass through it.
//!
//! **Invariants**: no I/O, no clock, no async; time is handed in as [`Now`]. Everything decoded is bounded by [`Limits`] before memory
//! is taken for it. No panic on any payload or topic. A value is never given out as good under a name that is not proven: an alias counts only
//! after a birth of the running session, and a gap in the sequence makes the node's values uncertain until it is born again.
//!
//! Start reading at [`topic`], then [`Host::handle`].

pub mod aware;
mod bounds;
mod edge;
mod host;
pub mod payload;
pub mod proto;
pub mod state;
pub mod topic;
mod value;

pub use bounds::Limits;
pub use edge::{DeviceDef, EdgeConfig, EdgeNode, MetricDef, Order, OrderError};
pub use host::{
    Address, CommandBy, CommandError, DeviceState, Found, Host, HostOptions, Note, Outcome, RestoreError, Targets,
};
pub use payload::DecodeError;
pub use value::{DataType, EncodeError};

use andon_model::Timestamp;
use std::time::Duration;

/// The moment at which something is handed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// The wall clock, UTC: for timestamps.
    pub wall: Timestamp,
    /// Time since an arbitrary fixed point, never going back: for waiting.
    pub mono: Duration,
}

/// A message to publish with QoS 0 and not retained, as Sparkplug asks of all but STATE and wills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where to.
    pub topic: String,
    /// The encoded payload.
    pub payload: Vec<u8>,
}
