//! What can be wrong with bytes, and the reason code to answer with.

use super::packet::{PacketType, Version};
use super::reason::ReasonCode;
use super::text::TextError;
use super::topic::{TopicFilterError, TopicNameError};

/// Bytes that are no acceptable packet. The connection they came on cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{packet}: {fault}")]
pub struct DecodeError {
    /// The packet's type as its first byte says.
    pub packet: PacketType,
    /// What is wrong.
    pub fault: Fault,
    /// The protocol version spoken, once a CONNECT named one.
    pub version: Option<Version>,
}

/// What is wrong with a packet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// This side never gets such a packet, or not now.
    #[error("this packet is not expected here")]
    Unexpected,
    /// Reserved bits of the first byte. MQTT 5.0 [MQTT-2.1.3-1].
    #[error("the reserved flags of the first byte are {0:#x}")]
    Flags(u8),
    /// More than four bytes of remaining length, or more bytes than needed. MQTT 5.0 §2.1.4, [MQTT-1.5.5-1].
    #[error("the remaining length is not a variable byte integer")]
    Length,
    /// Over the limit; judged before anything is allocated.
    #[error("the packet has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The whole packet.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A field reaches beyond the end of the packet.
    #[error("the packet ends within a field")]
    Truncated,
    /// There are bytes behind the last field.
    #[error("{0} bytes too many")]
    Trailing(usize),
    /// The first packet names another protocol. MQTT 5.0 [MQTT-3.1.2-1].
    #[error("the protocol is not MQTT")]
    ProtocolName,
    /// A protocol level this code does not speak. MQTT 5.0 [MQTT-3.1.2-2].
    #[error("protocol level {0} is not supported; 3, 4 and 5 are")]
    ProtocolLevel(u8),
    /// A combination of connect flags that must not be. MQTT 5.0 [MQTT-3.1.2-3], -11 to -15.
    #[error("the connect flags {0:#04x} contradict each other")]
    ConnectFlags(u8),
    /// The client identifier is not a usable string.
    #[error("the client identifier cannot be used: {0}")]
    ClientId(TextError),
    /// A string of the packet.
    #[error("a string cannot be used: {0}")]
    Text(#[from] TextError),
    /// The topic name.
    #[error(transparent)]
    TopicName(#[from] TopicNameError),
    /// A topic filter.
    #[error(transparent)]
    TopicFilter(#[from] TopicFilterError),
    /// QoS 3, or DUP with QoS 0. MQTT 5.0 [MQTT-3.3.1-2], [MQTT-3.3.1-4].
    #[error("the QoS and DUP bits contradict each other or say QoS 3")]
    QoS,
    /// Packet identifier 0. MQTT 5.0 [MQTT-2.2.1-3].
    #[error("the packet identifier is 0")]
    ZeroPacketId,
    /// A reason code that this packet cannot carry.
    #[error("reason code {0:#04x} has no meaning here")]
    ReasonCode(u8),
    /// A SUBSCRIBE or UNSUBSCRIBE without filters. MQTT 5.0 [MQTT-3.8.3-2], [MQTT-3.10.3-2].
    #[error("the packet names no topic filter")]
    NoFilter,
    /// Reserved bits or QoS 3 in subscription options. MQTT 5.0 [MQTT-3.8.3-5].
    #[error("the subscription options {0:#04x} are not defined")]
    Options(u8),
    /// Retain handling 3, or no-local on a shared subscription. MQTT 5.0 [MQTT-3.8.3-4].
    #[error("the subscription options {0:#04x} must not be used here")]
    OptionsMisused(u8),
    /// A property number that the standard does not define.
    #[error("property {0:#x} is not defined")]
    UnknownProperty(u32),
    /// A property of other packets.
    #[error("property {0:#04x} does not belong into this packet")]
    MisplacedProperty(u8),
    /// A property given twice.
    #[error("property {0:#04x} stands twice")]
    DuplicateProperty(u8),
    /// A property with a value the standard excludes.
    #[error("property {0:#04x} has a value it must not have")]
    PropertyValue(u8),
    /// More user properties than the limit.
    #[error("more than {0} user properties")]
    TooManyUserProperties(usize),
    /// Authentication data without a method. MQTT 5.0 §3.1.2.11.10.
    #[error("authentication data without an authentication method")]
    DataWithoutMethod,
}

impl DecodeError {
    /// The reason code to answer with (MQTT 5.0 §4.13): in a CONNACK for a faulty CONNECT, else in a DISCONNECT.
    ///
    /// The standard leaves the choice between "malformed packet" and "protocol error" open in places; there this
    /// follows what the conformance sequences of other brokers expect.
    #[must_use]
    pub fn reason(&self) -> ReasonCode {
        use PacketType as T;
        match self.fault {
            Fault::TooLarge { .. } => ReasonCode::PACKET_TOO_LARGE,
            Fault::ClientId(_) => ReasonCode::CLIENT_IDENTIFIER_NOT_VALID,
            Fault::ProtocolLevel(_) | Fault::ProtocolName => ReasonCode::UNSUPPORTED_PROTOCOL_VERSION,
            Fault::TooManyUserProperties(_) => ReasonCode::QUOTA_EXCEEDED,
            Fault::MisplacedProperty(_) if matches!(self.packet, T::Subscribe | T::Unsubscribe) => {
                ReasonCode::MALFORMED_PACKET
            }
            Fault::ZeroPacketId if matches!(self.packet, T::Subscribe | T::Unsubscribe) => ReasonCode::MALFORMED_PACKET,
            Fault::Flags(_) if matches!(self.packet, T::PubRel | T::Disconnect | T::Auth) => ReasonCode::PROTOCOL_ERROR,
            Fault::Unexpected
            | Fault::MisplacedProperty(_)
            | Fault::DuplicateProperty(_)
            | Fault::PropertyValue(_)
            | Fault::ReasonCode(_)
            | Fault::ZeroPacketId
            | Fault::OptionsMisused(_)
            | Fault::DataWithoutMethod => ReasonCode::PROTOCOL_ERROR,
            _ => ReasonCode::MALFORMED_PACKET,
        }
    }
}
