//! The packets. MQTT 5.0 chapter 3; MQTT 3.1.1 is the subset without properties.

use super::properties::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties, PublishProperties,
    SubscribeProperties, UnsubscribeProperties, WillProperties,
};
use super::reason::ReasonCode;
use super::text::Text;
use super::topic::{TopicFilter, TopicName};
use bytes::Bytes;
use std::fmt;

/// The protocol version a connection speaks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Version {
    /// MQTT 3.1 (protocol name `MQIsdp`, level 3).
    V31,
    /// MQTT 3.1.1 (level 4).
    V311,
    /// MQTT 5.0 (level 5).
    V5,
}

impl Version {
    /// The byte that names it in CONNECT.
    #[must_use]
    pub const fn level(self) -> u8 {
        match self {
            Self::V31 => 3,
            Self::V311 => 4,
            Self::V5 => 5,
        }
    }

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::V31 => "3.1",
            Self::V311 => "3.1.1",
            Self::V5 => "5.0",
        }
    }

    /// True for 5.0, which alone has properties and reason codes.
    #[must_use]
    pub const fn is_v5(self) -> bool {
        matches!(self, Self::V5)
    }
}

/// How surely a message is delivered. MQTT 5.0 §4.3.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum QoS {
    /// Once or not at all.
    #[default]
    AtMostOnce = 0,
    /// Once or more often.
    AtLeastOnce = 1,
    /// Once.
    ExactlyOnce = 2,
}

impl QoS {
    /// From its number; `None` for 3 and above.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0 => Some(Self::AtMostOnce),
            1 => Some(Self::AtLeastOnce),
            2 => Some(Self::ExactlyOnce),
            _ => None,
        }
    }
}

/// The type in the upper half of a packet's first byte. MQTT 5.0 table 2-1.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[allow(missing_docs, reason = "the names are the standard's packet names")]
pub enum PacketType {
    Reserved,
    Connect,
    ConnAck,
    Publish,
    PubAck,
    PubRec,
    PubRel,
    PubComp,
    Subscribe,
    SubAck,
    Unsubscribe,
    UnsubAck,
    PingReq,
    PingResp,
    Disconnect,
    Auth,
}

impl PacketType {
    /// From a packet's first byte.
    #[must_use]
    pub const fn from_first_byte(byte: u8) -> Self {
        match byte >> 4 {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => Self::Reserved,
        }
    }

    /// The standard's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Reserved => "packet type 0",
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Any packet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Packet {
    /// Client → server, the first packet. §3.1.
    Connect(Box<Connect>),
    /// Server → client, the answer to CONNECT. §3.2.
    ConnAck(Box<ConnAck>),
    /// A message, either way. §3.3.
    Publish(Publish),
    /// QoS 1: the receiver has taken responsibility. §3.4.
    PubAck(Ack),
    /// QoS 2, first answer. §3.5.
    PubRec(Ack),
    /// QoS 2, the sender's release. §3.6.
    PubRel(Ack),
    /// QoS 2, last answer. §3.7.
    PubComp(Ack),
    /// Client → server. §3.8.
    Subscribe(Subscribe),
    /// Server → client. §3.9.
    SubAck(SubAck),
    /// Client → server. §3.10.
    Unsubscribe(Unsubscribe),
    /// Server → client. §3.11.
    UnsubAck(UnsubAck),
    /// Client → server: still there. §3.12.
    PingReq,
    /// Server → client: so am I. §3.13.
    PingResp,
    /// The last packet; server → client in 5.0 only. §3.14.
    Disconnect(Disconnect),
    /// 5.0 only. §3.15.
    Auth(Auth),
}

/// CONNECT. MQTT 5.0 §3.1.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect {
    /// The version the client wants to speak.
    pub version: Version,
    /// Clean start (5.0), clean session (3.1.1): forget any earlier session.
    pub clean_start: bool,
    /// Seconds; 0: no keep alive.
    pub keep_alive_s: u16,
    /// May be empty: the server assigns one.
    pub client_id: Text,
    /// The will.
    pub will: Option<Will>,
    /// Who.
    pub user_name: Option<Text>,
    /// Proof; shown nowhere.
    pub password: Option<Bytes>,
    /// 5.0 only.
    pub properties: ConnectProperties,
}

impl fmt::Debug for Connect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("clean_start", &self.clean_start)
            .field("keep_alive_s", &self.keep_alive_s)
            .field("client_id", &self.client_id)
            .field("will", &self.will)
            .field("user_name", &self.user_name)
            .field("password", &self.password.as_ref().map(|_| "***"))
            .field("properties", &self.properties)
            .finish()
    }
}

/// What the server publishes when a client goes without saying so. MQTT 5.0 §3.1.2.5.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Will {
    /// Where.
    pub topic: TopicName,
    /// What.
    pub payload: Bytes,
    /// How surely.
    pub qos: QoS,
    /// Kept for later subscribers.
    pub retain: bool,
    /// 5.0 only.
    pub properties: WillProperties,
}

/// CONNACK. MQTT 5.0 §3.2.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ConnAck {
    /// The server kept state of this client.
    pub session_present: bool,
    /// How it ended; 3.1.1 return codes are translated both ways.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: ConnAckProperties,
}

/// PUBLISH. MQTT 5.0 §3.3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Publish {
    /// A repetition of an earlier attempt.
    pub dup: bool,
    /// How surely.
    pub qos: QoS,
    /// To be kept (client → server); is a kept one (server → client).
    pub retain: bool,
    /// `None` when a topic alias stands for it (5.0 only).
    pub topic: Option<TopicName>,
    /// With QoS 1 and 2, never 0; 0 with QoS 0.
    pub packet_id: u16,
    /// 5.0 only.
    pub properties: PublishProperties,
    /// The content, a slice of the buffer it came in.
    pub payload: Bytes,
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP. MQTT 5.0 §3.4–3.7.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ack {
    /// Which PUBLISH.
    pub packet_id: u16,
    /// 5.0 only; else success.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: AckProperties,
}

impl Ack {
    /// A plain one.
    #[must_use]
    pub fn new(packet_id: u16, reason: ReasonCode) -> Self {
        Self { packet_id, reason, properties: AckProperties::default() }
    }
}

/// What a new subscription gets of retained messages. MQTT 5.0 §3.8.3.1.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
#[repr(u8)]
pub enum RetainHandling {
    /// All that match, at every SUBSCRIBE.
    #[default]
    Send = 0,
    /// All that match, when the subscription is new.
    SendIfNew = 1,
    /// None.
    DoNotSend = 2,
}

/// One line of a SUBSCRIBE. MQTT 5.0 §3.8.3.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Filter {
    /// Which topics.
    pub filter: TopicFilter,
    /// The highest QoS to deliver with.
    pub qos: QoS,
    /// Do not send me what I published. 5.0 only.
    pub no_local: bool,
    /// Leave the retain flag as the publisher set it. 5.0 only.
    pub retain_as_published: bool,
    /// 5.0 only.
    pub retain_handling: RetainHandling,
}

/// SUBSCRIBE. MQTT 5.0 §3.8.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Subscribe {
    /// Never 0.
    pub packet_id: u16,
    /// 5.0 only.
    pub properties: SubscribeProperties,
    /// At least one.
    pub filters: Vec<Filter>,
}

/// SUBACK. MQTT 5.0 §3.9.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubAck {
    /// Which SUBSCRIBE.
    pub packet_id: u16,
    /// 5.0 only.
    pub properties: AckProperties,
    /// One per filter, in order. In 3.1.1 every failure is written as 0x80.
    pub reasons: Vec<ReasonCode>,
}

/// UNSUBSCRIBE. MQTT 5.0 §3.10.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Unsubscribe {
    /// Never 0.
    pub packet_id: u16,
    /// 5.0 only.
    pub properties: UnsubscribeProperties,
    /// At least one.
    pub filters: Vec<TopicFilter>,
}

/// UNSUBACK. MQTT 5.0 §3.11.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsubAck {
    /// Which UNSUBSCRIBE.
    pub packet_id: u16,
    /// 5.0 only.
    pub properties: AckProperties,
    /// One per filter, in order; 5.0 only.
    pub reasons: Vec<ReasonCode>,
}

/// DISCONNECT. MQTT 5.0 §3.14.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Disconnect {
    /// Why; 5.0 only.
    pub reason: ReasonCode,
    /// 5.0 only.
    pub properties: DisconnectProperties,
}

/// AUTH. MQTT 5.0 §3.15.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Auth {
    /// Success, continue or re-authenticate.
    pub reason: ReasonCode,
    /// What the method needs.
    pub properties: AuthProperties,
}
