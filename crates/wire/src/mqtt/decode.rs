//! Bytes to packets.

use super::error::{DecodeError, Fault};
use super::packet::{
    Ack, Auth, ConnAck, Connect, Disconnect, Filter, Packet, PacketType, Publish, QoS, RetainHandling, SubAck,
    Subscribe, UnsubAck, Unsubscribe, Version, Will,
};
use super::properties::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, Properties, PublishProperties,
    SubscribeProperties, UnsubscribeProperties, WillProperties,
};
use super::reason::ReasonCode;
use super::text::Text;
use super::topic::{TopicFilter, TopicName};
use bytes::{Buf, Bytes, BytesMut};

/// Which end of the connection decodes; it decides which packets may come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Receives what clients send.
    Server,
    /// Receives what a server sends.
    Client,
}

/// What a decoder accepts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The largest packet, fixed header included, in bytes.
    pub packet_bytes: usize,
    /// The most user properties in one packet.
    pub user_properties: usize,
}

impl Default for Limits {
    /// 1 MiB of payload with room for topic and properties; 64 user properties.
    fn default() -> Self {
        Self { packet_bytes: (1 << 20) + (1 << 17), user_properties: 64 }
    }
}

/// A PUBLISH over the limit, as far as it is needed to say no to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Oversize {
    /// Where it was published.
    pub topic: TopicName,
    /// How.
    pub qos: QoS,
    /// 0 with QoS 0.
    pub packet_id: u16,
    /// The whole packet, fixed header included, in bytes.
    pub bytes: usize,
}

/// How large the first packet of a buffer is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Size {
    /// Not over the limit, or nothing that can be answered: [`Decoder::decode`] says which.
    Within,
    /// A PUBLISH over the limit, whose topic and identifier have not arrived yet.
    Unknown,
    /// A PUBLISH over the limit.
    Over(Oversize),
}

/// Takes packets off the front of a buffer.
#[derive(Clone, Debug)]
pub struct Decoder {
    side: Side,
    limits: Limits,
    version: Option<Version>,
}

impl Decoder {
    /// For the server's end. The version is learnt from CONNECT, which must come first.
    #[must_use]
    pub const fn server(limits: Limits) -> Self {
        Self { side: Side::Server, limits, version: None }
    }

    /// For a client's end, which knows the version it has asked for.
    #[must_use]
    pub const fn client(version: Version, limits: Limits) -> Self {
        Self { side: Side::Client, limits, version: Some(version) }
    }

    /// The version spoken; `None` until a CONNECT was seen.
    #[must_use]
    pub const fn version(&self) -> Option<Version> {
        self.version
    }

    /// Replaces the limits, for instance once a client is known.
    pub const fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Takes the first packet off `buffer` if it is complete; `None`: read more.
    ///
    /// # Errors
    /// The bytes are no acceptable packet. Where the next one would begin is not known: close the connection,
    /// after sending [`DecodeError::reason`] where the version allows it.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Option<Packet>, DecodeError> {
        let Some(first) = buffer.first().copied() else { return Ok(None) };
        let packet = PacketType::from_first_byte(first);
        let result = self.decode_typed(first, packet, buffer);
        result.map_err(|fault| DecodeError { packet, fault, version: self.version })
    }

    /// Whether the first packet is a PUBLISH over the limit, which whoever can say no to it may read away instead of closing the
    /// connection: its sender should have known better, MQTT 5.0 [MQTT-3.1.2-24], and would otherwise send it again over the next one. It stays in the
    /// buffer.
    #[must_use]
    pub fn size(&self, buffer: &[u8]) -> Size {
        let Some(first) = buffer.first().copied() else { return Size::Within };
        let Ok(Some((remaining, header, _))) = remaining_length(buffer) else { return Size::Within };
        let bytes = header.saturating_add(remaining);
        if PacketType::from_first_byte(first) != PacketType::Publish || bytes <= self.limits.packet_bytes {
            return Size::Within;
        }
        let Some(qos) = QoS::from_bits(first >> 1 & 3) else { return Size::Within };
        // The topic with its length, and an identifier.
        let Some([high, low]) = buffer.get(header..header + 2) else { return Size::Unknown };
        let topic = usize::from(u16::from_be_bytes([*high, *low]));
        let known = 2 + topic + if qos == QoS::AtMostOnce { 0 } else { 2 };
        if known > remaining {
            return Size::Within;
        }
        let Some(known) = buffer.get(header..header + known) else { return Size::Unknown };
        let mut reader = Reader { bytes: Bytes::copy_from_slice(known) };
        let topic = reader.text().ok().and_then(|text| TopicName::from_text(text).ok());
        let packet_id = if qos == QoS::AtMostOnce { Some(0) } else { reader.packet_id().ok() };
        match topic.zip(packet_id) {
            Some((topic, packet_id)) => Size::Over(Oversize { topic, qos, packet_id, bytes }),
            None => Size::Within,
        }
    }

    fn decode_typed(&mut self, first: u8, packet: PacketType, buffer: &mut BytesMut) -> Result<Option<Packet>, Fault> {
        self.check_first_byte(first, packet)?;
        let Some((remaining, header, padded)) = remaining_length(buffer)? else { return Ok(None) };
        if padded && self.version == Some(Version::V5) {
            return Err(Fault::Length);
        }
        let whole = header.saturating_add(remaining);
        if whole > self.limits.packet_bytes {
            return Err(Fault::TooLarge { bytes: whole, limit: self.limits.packet_bytes });
        }
        if buffer.len() < whole {
            return Ok(None);
        }
        let mut bytes = buffer.split_to(whole).freeze();
        bytes.advance(header);
        let mut reader = Reader { bytes };
        let decoded = self.body(first, packet, &mut reader)?;
        // Only a CONNECT says while it is read that it is of 5.0.
        if padded && self.version == Some(Version::V5) {
            return Err(Fault::Length);
        }
        match reader.bytes.len() {
            0 => Ok(Some(decoded)),
            more => Err(Fault::Trailing(more)),
        }
    }

    /// Judges type and flags, before the length: a packet that is not expected is not waited for.
    fn check_first_byte(&self, first: u8, packet: PacketType) -> Result<(), Fault> {
        use PacketType as T;
        let flags = first & 0x0F;
        let wanted = match packet {
            // MQTT 3.1 §2.1: these may be sent again, and say so with DUP.
            T::PubRel | T::Subscribe | T::Unsubscribe if self.version == Some(Version::V31) => flags & 0x08 | 2,
            T::PubRel | T::Subscribe | T::Unsubscribe => 2,
            T::Publish => flags,
            _ => 0,
        };
        let v5 = self.version == Some(Version::V5);
        let expected = match (self.side, packet) {
            (_, T::Reserved) => false,
            (Side::Server, T::Connect) => self.version.is_none(),
            (Side::Server, _) if self.version.is_none() => false,
            (_, T::Auth) => v5,
            (_, T::Publish | T::PubAck | T::PubRec | T::PubRel | T::PubComp) => true,
            (Side::Server, T::Subscribe | T::Unsubscribe | T::PingReq | T::Disconnect) => true,
            (Side::Client, T::ConnAck | T::SubAck | T::UnsubAck | T::PingResp) => true,
            (Side::Client, T::Disconnect) => v5,
            _ => false,
        };
        // For these a wrong flag outweighs the wrong direction.
        let flags_first = matches!(packet, T::SubAck | T::UnsubAck | T::PingResp) && self.version.is_some();
        if flags != wanted && (expected || flags_first) {
            return Err(Fault::Flags(flags));
        }
        if expected { Ok(()) } else { Err(Fault::Unexpected) }
    }

    fn body(&mut self, first: u8, packet: PacketType, reader: &mut Reader) -> Result<Packet, Fault> {
        use PacketType as T;
        let most_user = self.limits.user_properties;
        let v5 = self.version == Some(Version::V5);
        let context = Context { v5, most_user };
        let v31 = self.version == Some(Version::V31);
        Ok(match packet {
            T::Connect => {
                let connect = connect(reader, most_user, &mut self.version)?;
                Packet::Connect(Box::new(connect))
            }
            T::ConnAck => Packet::ConnAck(Box::new(conn_ack(reader, context, v31)?)),
            T::Publish => Packet::Publish(publish(first, reader, context, self.side)?),
            T::PubAck => Packet::PubAck(ack(reader, context, &PUBACK_REASONS)?),
            T::PubRec => Packet::PubRec(ack(reader, context, &PUBACK_REASONS)?),
            T::PubRel => Packet::PubRel(ack(reader, context, &PUBREL_REASONS)?),
            T::PubComp => Packet::PubComp(ack(reader, context, &PUBREL_REASONS)?),
            T::Subscribe => Packet::Subscribe(subscribe(reader, context)?),
            T::SubAck => Packet::SubAck(sub_ack(reader, context)?),
            T::Unsubscribe => Packet::Unsubscribe(unsubscribe(reader, context)?),
            T::UnsubAck => Packet::UnsubAck(unsub_ack(reader, context)?),
            T::PingReq => Packet::PingReq,
            T::PingResp => Packet::PingResp,
            T::Disconnect => Packet::Disconnect(disconnect(reader, context, self.side)?),
            T::Auth => Packet::Auth(auth(reader, context)?),
            T::Reserved => return Err(Fault::Unexpected),
        })
    }
}

/// The remaining length, where it ends, and whether it has more bytes than it needs, which 5.0 forbids [MQTT-1.5.5-1];
/// `None`: not all there yet. MQTT 5.0 §2.1.4; MQTT 3.1.1 §2.2.3.
fn remaining_length(buffer: &[u8]) -> Result<Option<(usize, usize, bool)>, Fault> {
    let mut value = 0_usize;
    for (at, byte) in buffer.iter().skip(1).take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok(Some((value, at + 2, at > 0 && *byte == 0)));
        }
    }
    if buffer.len() > 4 { Err(Fault::Length) } else { Ok(None) }
}

/// The rest of a packet, read from the front.
pub(super) struct Reader {
    bytes: Bytes,
}

impl Reader {
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        self.bytes.try_get_u8().map_err(|_| Fault::Truncated)
    }

    pub(super) fn two_bytes(&mut self) -> Result<u16, Fault> {
        self.bytes.try_get_u16().map_err(|_| Fault::Truncated)
    }

    pub(super) fn four_bytes(&mut self) -> Result<u32, Fault> {
        self.bytes.try_get_u32().map_err(|_| Fault::Truncated)
    }

    /// A variable byte integer in its shortest form. MQTT 5.0 §1.5.5, [MQTT-1.5.5-1].
    pub(super) fn variable(&mut self) -> Result<u32, Fault> {
        let mut value = 0_u32;
        for at in 0..4 {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7F) << (7 * at);
            if byte & 0x80 == 0 {
                return if at > 0 && byte == 0 { Err(Fault::Length) } else { Ok(value) };
            }
        }
        Err(Fault::Length)
    }

    fn take(&mut self, length: usize) -> Result<Bytes, Fault> {
        if length > self.bytes.len() {
            return Err(Fault::Truncated);
        }
        Ok(self.bytes.split_to(length))
    }

    pub(super) fn part(&mut self, length: usize) -> Result<Self, Fault> {
        Ok(Self { bytes: self.take(length)? })
    }

    pub(super) fn binary(&mut self) -> Result<Bytes, Fault> {
        let length = self.two_bytes()?;
        self.take(usize::from(length))
    }

    pub(super) fn text(&mut self) -> Result<Text, Fault> {
        Ok(Text::from_bytes(self.binary()?)?)
    }

    fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.bytes)
    }

    fn packet_id(&mut self) -> Result<u16, Fault> {
        match self.two_bytes()? {
            0 => Err(Fault::ZeroPacketId),
            id => Ok(id),
        }
    }
}

#[derive(Clone, Copy)]
struct Context {
    v5: bool,
    most_user: usize,
}

impl Context {
    fn properties<P: Properties>(self, reader: &mut Reader) -> Result<P, Fault> {
        if self.v5 { P::read(reader, self.most_user) } else { Ok(P::default()) }
    }

    /// Properties at the end of a packet, which may be left out. MQTT 5.0 §3.4.2.2.1 and alike.
    fn last_properties<P: Properties>(self, reader: &mut Reader) -> Result<P, Fault> {
        if reader.is_empty() { Ok(P::default()) } else { self.properties(reader) }
    }
}

fn connect(reader: &mut Reader, most_user: usize, version: &mut Option<Version>) -> Result<Connect, Fault> {
    let spoken = protocol(reader)?;
    // From here on the answer can be given in the client's own version.
    *version = Some(spoken);
    let context = Context { v5: spoken.is_v5(), most_user };
    let flags = reader.byte()?;
    let has = |bit: u8| flags & bit != 0;
    let will_qos = QoS::from_bits(flags >> 3 & 3).ok_or(Fault::ConnectFlags(flags))?;
    let (user, password, will) = (has(0x80), has(0x40), has(0x04));
    let stray_will = !will && (will_qos != QoS::AtMostOnce || has(0x20));
    let stray_password = password && !user && !context.v5;
    if has(0x01) || stray_will || stray_password {
        return Err(Fault::ConnectFlags(flags));
    }
    let keep_alive_s = reader.two_bytes()?;
    let properties: ConnectProperties = context.properties(reader)?;
    if properties.authentication_data.is_some() && properties.authentication_method.is_none() {
        return Err(Fault::DataWithoutMethod);
    }
    let client_id = Text::from_bytes(reader.binary()?).map_err(Fault::ClientId)?;
    client_id.check_name().map_err(Fault::ClientId)?;
    let will = if will { Some(read_will(reader, context, will_qos, has(0x20))?) } else { None };
    // MQTT 3.1 §3.1: where the packet ends counts for more than these flags do.
    let ends = |reader: &Reader| spoken == Version::V31 && reader.is_empty();
    let user_name = if user && !ends(reader) { Some(reader.text()?) } else { None };
    if let Some(name) = &user_name {
        name.check_name()?;
    }
    let password = if password && !ends(reader) { Some(reader.binary()?) } else { None };
    let clean_start = has(0x02);
    Ok(Connect { version: spoken, clean_start, keep_alive_s, client_id, will, user_name, password, properties })
}

fn protocol(reader: &mut Reader) -> Result<Version, Fault> {
    let name = reader.binary()?;
    let level = reader.byte()?;
    match (name.as_ref(), level) {
        (b"MQIsdp", 3) => Ok(Version::V31),
        (b"MQTT", 4) => Ok(Version::V311),
        (b"MQTT", 5) => Ok(Version::V5),
        (b"MQIsdp" | b"MQTT", level) => Err(Fault::ProtocolLevel(level)),
        _ => Err(Fault::ProtocolName),
    }
}

fn read_will(reader: &mut Reader, context: Context, qos: QoS, retain: bool) -> Result<Will, Fault> {
    let properties: WillProperties = context.properties(reader)?;
    let topic = TopicName::from_text(reader.text()?)?;
    Ok(Will { topic, payload: reader.binary()?, qos, retain, properties })
}

fn conn_ack(reader: &mut Reader, context: Context, v31: bool) -> Result<ConnAck, Fault> {
    // In 3.1 the byte is reserved, and not used.
    let flags = reader.byte().map(|flags| if v31 { 0 } else { flags })?;
    let code = reader.byte()?;
    let properties: ConnAckProperties = context.properties(reader)?;
    if flags > 1 {
        return Err(Fault::Flags(flags));
    }
    let reason = if context.v5 { ReasonCode(code) } else { ReasonCode::from_v3_connack(code) };
    Ok(ConnAck { session_present: flags == 1, reason, properties })
}

fn publish(first: u8, reader: &mut Reader, context: Context, side: Side) -> Result<Publish, Fault> {
    let dup = first & 0x08 != 0;
    let qos = QoS::from_bits(first >> 1 & 3).ok_or(Fault::QoS)?;
    if dup && qos == QoS::AtMostOnce {
        return Err(Fault::QoS);
    }
    let topic = reader.text()?;
    let packet_id = if qos == QoS::AtMostOnce { 0 } else { reader.packet_id()? };
    let properties: PublishProperties = context.properties(reader)?;
    if side == Side::Server && !properties.subscription_ids.is_empty() {
        return Err(Fault::MisplacedProperty(0x0B));
    }
    let aliased = topic.is_empty() && properties.topic_alias.is_some();
    let topic = if aliased { None } else { Some(TopicName::from_text(topic)?) };
    let retain = first & 0x01 != 0;
    Ok(Publish { dup, qos, retain, topic, packet_id, properties, payload: reader.rest() })
}

/// PUBACK and PUBREC. MQTT 5.0 tables 3-4 and 3-5.
const PUBACK_REASONS: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
/// PUBREL and PUBCOMP. MQTT 5.0 tables 3-6 and 3-7.
const PUBREL_REASONS: [u8; 2] = [0x00, 0x92];
/// DISCONNECT from a client. MQTT 5.0 table 3-10.
const CLIENT_DISCONNECT_REASONS: [u8; 14] =
    [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
/// AUTH. MQTT 5.0 table 3-11.
const AUTH_REASONS: [u8; 3] = [0x00, 0x18, 0x19];

fn reason(reader: &mut Reader, allowed: &[u8]) -> Result<ReasonCode, Fault> {
    let code = reader.byte()?;
    if allowed.contains(&code) { Ok(ReasonCode(code)) } else { Err(Fault::ReasonCode(code)) }
}

fn ack(reader: &mut Reader, context: Context, allowed: &[u8]) -> Result<Ack, Fault> {
    let packet_id = reader.packet_id()?;
    if !context.v5 || reader.is_empty() {
        return Ok(Ack::new(packet_id, ReasonCode::SUCCESS));
    }
    let reason = reason(reader, allowed)?;
    let properties: AckProperties = context.last_properties(reader)?;
    Ok(Ack { packet_id, reason, properties })
}

fn subscribe(reader: &mut Reader, context: Context) -> Result<Subscribe, Fault> {
    let packet_id = reader.packet_id()?;
    let properties: SubscribeProperties = context.properties(reader)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        let filter = TopicFilter::from_text(reader.text()?)?;
        filters.push(options(filter, reader.byte()?, context.v5)?);
    }
    if filters.is_empty() { Err(Fault::NoFilter) } else { Ok(Subscribe { packet_id, properties, filters }) }
}

fn options(filter: TopicFilter, bits: u8, v5: bool) -> Result<Filter, Fault> {
    let reserved = if v5 { 0xC0 } else { 0xFC };
    let qos = QoS::from_bits(bits & 3).filter(|_| bits & reserved == 0).ok_or(Fault::Options(bits))?;
    let no_local = bits & 0x04 != 0;
    let retain_handling = match bits >> 4 & 3 {
        0 => RetainHandling::Send,
        1 => RetainHandling::SendIfNew,
        2 => RetainHandling::DoNotSend,
        _ => return Err(Fault::OptionsMisused(bits)),
    };
    if no_local && filter.share_group().is_some() {
        return Err(Fault::OptionsMisused(bits));
    }
    Ok(Filter { filter, qos, no_local, retain_as_published: bits & 0x08 != 0, retain_handling })
}

fn sub_ack(reader: &mut Reader, context: Context) -> Result<SubAck, Fault> {
    let packet_id = reader.packet_id()?;
    let properties: AckProperties = context.properties(reader)?;
    Ok(SubAck { packet_id, properties, reasons: reader.rest().iter().copied().map(ReasonCode).collect() })
}

fn unsubscribe(reader: &mut Reader, context: Context) -> Result<Unsubscribe, Fault> {
    let packet_id = reader.packet_id()?;
    let properties: UnsubscribeProperties = context.properties(reader)?;
    let mut filters = Vec::new();
    while !reader.is_empty() {
        filters.push(TopicFilter::from_text(reader.text()?)?);
    }
    if filters.is_empty() { Err(Fault::NoFilter) } else { Ok(Unsubscribe { packet_id, properties, filters }) }
}

fn unsub_ack(reader: &mut Reader, context: Context) -> Result<UnsubAck, Fault> {
    let packet_id = reader.packet_id()?;
    let properties: AckProperties = context.properties(reader)?;
    // Before 5.0 there is nothing behind the identifier. MQTT 3.1.1 §3.11.3.
    let reasons = if context.v5 { reader.rest() } else { Bytes::new() };
    Ok(UnsubAck { packet_id, properties, reasons: reasons.iter().copied().map(ReasonCode).collect() })
}

fn disconnect(reader: &mut Reader, context: Context, side: Side) -> Result<Disconnect, Fault> {
    if !context.v5 || reader.is_empty() {
        return Ok(Disconnect::default());
    }
    let reason = match side {
        Side::Server => reason(reader, &CLIENT_DISCONNECT_REASONS)?,
        Side::Client => ReasonCode(reader.byte()?),
    };
    Ok(Disconnect { reason, properties: context.last_properties(reader)? })
}

fn auth(reader: &mut Reader, context: Context) -> Result<Auth, Fault> {
    if reader.is_empty() {
        return Ok(Auth::default());
    }
    let reason = reason(reader, &AUTH_REASONS)?;
    let properties: AuthProperties = context.last_properties(reader)?;
    Ok(Auth { reason, properties })
}
