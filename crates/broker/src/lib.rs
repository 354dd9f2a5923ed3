//! MQTT 3.1, 3.1.1 and 5.0: clients, sessions, subscriptions, retained messages.
//!
//! **Purpose.** Take messages in, say "yes" only when they are on disk, and hand them to whoever subscribed.
//!
//! **Idea.** All durable state is a deterministic function of the log's `messages` lane. A connection task decodes and
//! authorises, turns what the packet wants into an [`frames::Op`], appends it to the lane and remembers what to answer.
//! The router task waits for the commit, applies the operations strictly in lane order to the one state (`core`), and
//! only then the answers go out. After a restart the same `apply` runs over the snapshot and the frames behind it.
//!
//! **Invariants**
//! - PUBACK, PUBREC, PUBCOMP, and SUBACK, UNSUBACK and CONNACK of sessions that outlive their connection, are written
//!   after `fdatasync` has returned for their frame. A failing log is answered with "no" or with silence.
//! - A durable session changes by applied operations only: packet identifiers, queue contents and what was dropped are
//!   the same after a replay. What depends on the connection (window, what was sent) lives in its `Link`.
//! - Commands never enter a queue, the retained store or the lane.
//! - What waits for a session is in the log and a reference to it in the queue; in memory is what is about to be sent, and
//!   what the log does not have or is about to free.
//! - Every queue has a bound. A full session queue drops the newest message for that session, counts it and reports it
//!   once per episode; it holds up nobody else.
//! - What waits for another broker is in the log and nowhere else: a [`bridge`] is a reader of it.
//! - What flows is told by the `catalogue`, which has bounds of its own and never takes the state's lock.
//! - What is kept of topics, and what subscriptions ask for of it, is no part of the state: it is copied as messages count (`history`), and
//!   read and sent by tasks of its own (`past`).
//! - The state's lock is never held across an `await`, a hook, or file I/O.
//!
//! Start reading at [`Broker`], then `core` (the state), `connection` (a client), `router` (commit and apply).

mod asks;
mod backlog;
pub mod bridge;
mod broker;
mod catalogue;
mod connection;
mod core;
mod departures;
mod fetch;
pub mod frames;
mod front;
mod history;
mod hooks;
mod house;
mod incoming;
mod index;
mod line;
mod message;
mod open;
mod options;
mod origin;
mod outbox;
mod overview;
mod past;
mod proof;
mod quarantine;
mod queue;
mod retained;
mod router;
mod ruling;
mod session;
mod sieve;
mod sifting;
mod snapshot;

pub use asks::{Ask, Deliver, time_asked};
pub use broker::{Admitted, Broker, BrokerStats, NotConnected, OpenError, PublishError};
pub use catalogue::{
    Catalogue, CatalogueFigures, Level, LevelRow, PAYLOAD_KEPT, PayloadKind, Seen, TooManyWatches, TopicInfo, Watch,
};
pub use connection::Peer;
pub use departures::Departure;
pub use history::{HistoryFigures, HistoryQuery, Keep, Keeping, Kept, Missing, Page};
pub use hooks::{AuthError, BrokerHooks, CommandRefusal, ConnectionEvent, DropReason, DropReport, EndReason, NoRight};
pub use message::Message;
pub use options::BrokerOptions;
pub use overview::{ClientInfo, SubscriptionInfo};
pub use proof::{Exchange, Heard};
pub use quarantine::{QUARANTINE_BYTES, QUARANTINE_MESSAGES, QUARANTINE_PASSING, Withheld};
pub use ruling::{Offer, Refused, Ruling};
