//! Packets to bytes.

use super::packet::{Ack, Connect, Packet, Publish, QoS, Version, Will};
use super::properties::Properties;
use super::reason::ReasonCode;
use bytes::{BufMut, Bytes, BytesMut};

/// The largest remaining length four bytes can say. MQTT 5.0 §2.1.4.
const MOST_REMAINING: usize = 268_435_455;

/// Why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// Longer than MQTT can say.
    #[error("a packet of {0} bytes is over MQTT's limit of 268435455")]
    TooLarge(usize),
    /// A binary field longer than its two length bytes can say.
    #[error("a field of {0} bytes is over MQTT's limit of 65535")]
    FieldTooLong(usize),
}

impl Packet {
    /// Appends the packet to `out` as `version` writes it. What only 5.0 knows (properties, reason codes) is left out
    /// for the others. After an error `out` is as it was.
    ///
    /// # Errors
    /// [`EncodeError`].
    pub fn encode(&self, version: Version, out: &mut BytesMut) -> Result<(), EncodeError> {
        self.check_fields()?;
        let mut body = BytesMut::with_capacity(64);
        let first = self.write_body(version, &mut body);
        if body.len() > MOST_REMAINING {
            return Err(EncodeError::TooLarge(body.len()));
        }
        out.reserve(body.len() + 5);
        out.put_u8(first);
        variable(out, body.len());
        out.extend_from_slice(&body);
        Ok(())
    }

    /// Everything that is not a checked string could be too long for its length field.
    fn check_fields(&self) -> Result<(), EncodeError> {
        let fields: [Option<&Bytes>; 5] = match self {
            Self::Connect(c) => [
                c.password.as_ref(),
                c.properties.authentication_data.as_ref(),
                c.will.as_ref().map(|w| &w.payload),
                c.will.as_ref().and_then(|w| w.properties.correlation_data.as_ref()),
                None,
            ],
            Self::ConnAck(c) => [c.properties.authentication_data.as_ref(), None, None, None, None],
            Self::Publish(p) => [p.properties.correlation_data.as_ref(), None, None, None, None],
            Self::Auth(a) => [a.properties.authentication_data.as_ref(), None, None, None, None],
            _ => [None; 5],
        };
        match fields.into_iter().flatten().find(|f| f.len() > usize::from(u16::MAX)) {
            Some(field) => Err(EncodeError::FieldTooLong(field.len())),
            None => Ok(()),
        }
    }

    fn write_body(&self, version: Version, out: &mut BytesMut) -> u8 {
        let v5 = version.is_v5();
        match self {
            Self::Connect(c) => write_connect(c, out),
            Self::ConnAck(c) => {
                // A reserved byte in 3.1.
                out.put_u8(u8::from(c.session_present && version != Version::V31));
                out.put_u8(if v5 { c.reason.0 } else { c.reason.to_v3_connack() });
                properties(&c.properties, v5, out);
                0x20
            }
            Self::Publish(p) => write_publish(p, v5, out),
            Self::PubAck(a) => write_ack(a, v5, out, 0x40),
            Self::PubRec(a) => write_ack(a, v5, out, 0x50),
            Self::PubRel(a) => write_ack(a, v5, out, 0x62),
            Self::PubComp(a) => write_ack(a, v5, out, 0x70),
            Self::Subscribe(s) => {
                out.put_u16(s.packet_id);
                properties(&s.properties, v5, out);
                for f in &s.filters {
                    binary(out, f.filter.as_str().as_bytes());
                    let more = u8::from(f.no_local) << 2
                        | u8::from(f.retain_as_published) << 3
                        | (f.retain_handling as u8) << 4;
                    out.put_u8(f.qos as u8 | if v5 { more } else { 0 });
                }
                0x82
            }
            Self::SubAck(s) => {
                out.put_u16(s.packet_id);
                properties(&s.properties, v5, out);
                out.extend(s.reasons.iter().map(|r| if v5 || r.is_success() { r.0 } else { 0x80 }));
                0x90
            }
            Self::Unsubscribe(u) => {
                out.put_u16(u.packet_id);
                properties(&u.properties, v5, out);
                u.filters.iter().for_each(|f| binary(out, f.as_str().as_bytes()));
                0xA2
            }
            Self::UnsubAck(u) => {
                out.put_u16(u.packet_id);
                properties(&u.properties, v5, out);
                if v5 {
                    out.extend(u.reasons.iter().map(|r| r.0));
                }
                0xB0
            }
            Self::PingReq => 0xC0,
            Self::PingResp => 0xD0,
            Self::Disconnect(d) => {
                write_reason(d.reason, &d.properties, d.properties.is_empty(), v5, out);
                0xE0
            }
            Self::Auth(a) => {
                write_reason(a.reason, &a.properties, a.properties.is_empty(), v5, out);
                0xF0
            }
        }
    }
}

fn properties<P: Properties>(set: &P, v5: bool, out: &mut BytesMut) {
    if v5 {
        set.write(out);
    }
}

/// A reason code and properties at a packet's end: left out as far as they say nothing. MQTT 5.0 §3.4.2.1, §3.14.2.1.
fn write_reason<P: Properties>(reason: ReasonCode, set: &P, empty: bool, v5: bool, out: &mut BytesMut) {
    if v5 && !(empty && reason == ReasonCode::SUCCESS) {
        out.put_u8(reason.0);
        if !empty {
            set.write(out);
        }
    }
}

fn write_ack(ack: &Ack, v5: bool, out: &mut BytesMut, first: u8) -> u8 {
    out.put_u16(ack.packet_id);
    write_reason(ack.reason, &ack.properties, ack.properties.is_empty(), v5, out);
    first
}

fn write_connect(connect: &Connect, out: &mut BytesMut) -> u8 {
    // A CONNECT is written in the version it asks for.
    let v5 = connect.version.is_v5();
    binary(out, if connect.version == Version::V31 { b"MQIsdp" } else { b"MQTT" });
    out.put_u8(connect.version.level());
    let will_bits = |w: &Will| 0x04 | (w.qos as u8) << 3 | u8::from(w.retain) << 5;
    out.put_u8(
        u8::from(connect.clean_start) << 1
            | connect.will.as_ref().map_or(0, will_bits)
            | u8::from(connect.password.is_some()) << 6
            | u8::from(connect.user_name.is_some()) << 7,
    );
    out.put_u16(connect.keep_alive_s);
    properties(&connect.properties, v5, out);
    binary(out, connect.client_id.as_bytes());
    if let Some(will) = &connect.will {
        properties(&will.properties, v5, out);
        binary(out, will.topic.as_bytes());
        binary(out, &will.payload);
    }
    if let Some(name) = &connect.user_name {
        binary(out, name.as_bytes());
    }
    if let Some(password) = &connect.password {
        binary(out, password);
    }
    0x10
}

fn write_publish(publish: &Publish, v5: bool, out: &mut BytesMut) -> u8 {
    binary(out, publish.topic.as_ref().map_or(b"".as_slice(), |t| t.as_bytes()));
    if publish.qos != QoS::AtMostOnce {
        out.put_u16(publish.packet_id);
    }
    properties(&publish.properties, v5, out);
    out.extend_from_slice(&publish.payload);
    publish_first_byte(publish.dup, publish.qos, publish.retain)
}

const fn publish_first_byte(dup: bool, qos: QoS, retain: bool) -> u8 {
    0x30 | (dup as u8) << 3 | (qos as u8) << 1 | retain as u8
}

/// Appends bytes behind their two length bytes. The caller has checked that they fit.
pub(super) fn binary(out: &mut BytesMut, bytes: &[u8]) {
    debug_assert!(bytes.len() <= usize::from(u16::MAX), "checked strings and fields only");
    out.put_u16(u16::try_from(bytes.len()).unwrap_or(u16::MAX));
    out.extend_from_slice(bytes);
}

/// Appends a variable byte integer. MQTT 5.0 §1.5.5.
pub(super) fn variable(out: &mut BytesMut, value: usize) {
    let mut rest = value;
    loop {
        let low = u8::try_from(rest & 0x7F).unwrap_or(0);
        rest >>= 7;
        if rest == 0 {
            out.put_u8(low);
            return;
        }
        out.put_u8(low | 0x80);
    }
}

/// A PUBLISH written once for many receivers that differ in nothing but packet identifier and DUP.
#[derive(Clone, Debug)]
pub struct EncodedPublish {
    bytes: Bytes,
    id_at: Option<usize>,
}

impl EncodedPublish {
    /// Writes it once; the packet identifier in `publish` does not matter.
    /// # Errors
    /// [`EncodeError`].
    pub fn new(publish: &Publish, version: Version) -> Result<Self, EncodeError> {
        if let Some(data) = publish.properties.correlation_data.as_ref().filter(|d| d.len() > usize::from(u16::MAX)) {
            return Err(EncodeError::FieldTooLong(data.len()));
        }
        let mut body = BytesMut::with_capacity(publish.payload.len() + 128);
        let first = write_publish(publish, version.is_v5(), &mut body);
        if body.len() > MOST_REMAINING {
            return Err(EncodeError::TooLarge(body.len()));
        }
        let mut out = BytesMut::with_capacity(body.len() + 5);
        out.put_u8(first);
        variable(&mut out, body.len());
        let topic = publish.topic.as_ref().map_or(0, |t| t.as_bytes().len());
        let id_at = (publish.qos != QoS::AtMostOnce).then(|| out.len() + 2 + topic);
        out.extend_from_slice(&body);
        Ok(Self { bytes: out.freeze(), id_at })
    }

    /// The whole packet's size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Appends it with this packet identifier (ignored for QoS 0).
    pub fn write(&self, packet_id: u16, dup: bool, out: &mut BytesMut) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        if let Some(at) = self.id_at {
            if let Some(place) = out.get_mut(start + at..start + at + 2) {
                place.copy_from_slice(&packet_id.to_be_bytes());
            }
            if let Some(first) = out.get_mut(start).filter(|_| dup) {
                *first |= 0x08;
            }
        }
    }
}
