//! MQTT 3.1, 3.1.1 and 5.0: bytes to packets and back. No sockets, no clock, no session.
//!
//! **Idea.** A [`Decoder`] takes complete packets off the front of a buffer. It checks everything that can be
//! judged from the bytes alone (lengths, flags, UTF-8, properties, reason codes), so that a [`Packet`] in hand is
//! well-formed. What needs a memory (aliases, sessions, quotas) is the broker's.
//!
//! **Invariants**
//! - The size of a packet is judged from its fixed header, before anything is allocated for it.
//! - Payloads and strings are slices of the buffer they arrived in; decoding a PUBLISH copies nothing.
//! - No input can make it panic; every fault names the reason code to answer with ([`DecodeError::reason`]).
//! - `decode(encode(p)) == p` for every packet that can be built (properties: with [`Version::V5`] only).
//!
//! Start reading at [`Packet`], then [`Decoder::decode`], then [`Packet::encode`].
//!
//! Clauses are cited from the OASIS standards MQTT 5.0 (2019-03-07) and MQTT 3.1.1 (2014-10-29).

mod decode;
mod encode;
mod error;
mod packet;
mod properties;
mod reason;
mod text;
mod topic;

#[cfg(test)]
mod tests;

pub use decode::{Decoder, Limits, Oversize, Side, Size};
pub use encode::{EncodeError, EncodedPublish};
pub use error::{DecodeError, Fault};
pub use packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Filter, Packet, PacketType, Publish, QoS, RetainHandling, SubAck,
    Subscribe, UnsubAck, Unsubscribe, Version, Will,
};
pub use properties::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties, PublishProperties,
    SubscribeProperties, UnsubscribeProperties, UserProperties, WillProperties,
};
pub use reason::ReasonCode;
pub use text::{Text, TextError};
pub use topic::{TopicFilter, TopicFilterError, TopicName, TopicNameError};
