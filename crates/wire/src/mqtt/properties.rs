//! Properties. MQTT 5.0 §2.2.2, table 2-4.
//!
//! One table below says for every packet which properties it may carry; reading and writing both follow it.

use super::decode::Reader;
use super::encode;
use super::error::Fault;
use super::text::Text;
use super::topic::TopicName;
use bytes::{BufMut, Bytes, BytesMut};

/// Names and values that the sender made up, in order, doubles allowed.
pub type UserProperties = Vec<(Text, Text)>;

/// A value as it stands in a packet.
pub(super) trait Value: Sized {
    fn read(reader: &mut Reader, id: u8) -> Result<Self, Fault>;
    fn write(&self, out: &mut BytesMut);
}

impl Value for bool {
    fn read(reader: &mut Reader, id: u8) -> Result<Self, Fault> {
        match reader.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::PropertyValue(id)),
        }
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u8(u8::from(*self));
    }
}

impl Value for u16 {
    fn read(reader: &mut Reader, id: u8) -> Result<Self, Fault> {
        let value = reader.two_bytes()?;
        // Receive Maximum must not be 0 (§3.1.2.11.3, §3.2.2.3.3).
        if value == 0 && id == 0x21 { Err(Fault::PropertyValue(id)) } else { Ok(value) }
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u16(*self);
    }
}

impl Value for u32 {
    fn read(reader: &mut Reader, id: u8) -> Result<Self, Fault> {
        let value = reader.four_bytes()?;
        // Maximum Packet Size must not be 0 (§3.1.2.11.4, §3.2.2.3.6).
        if value == 0 && id == 0x27 { Err(Fault::PropertyValue(id)) } else { Ok(value) }
    }
    fn write(&self, out: &mut BytesMut) {
        out.put_u32(*self);
    }
}

impl Value for Bytes {
    fn read(reader: &mut Reader, _id: u8) -> Result<Self, Fault> {
        reader.binary()
    }
    fn write(&self, out: &mut BytesMut) {
        encode::binary(out, self);
    }
}

impl Value for Text {
    fn read(reader: &mut Reader, _id: u8) -> Result<Self, Fault> {
        reader.text()
    }
    fn write(&self, out: &mut BytesMut) {
        encode::binary(out, self.as_bytes());
    }
}

impl Value for TopicName {
    fn read(reader: &mut Reader, _id: u8) -> Result<Self, Fault> {
        Ok(Self::from_text(reader.text()?)?)
    }
    fn write(&self, out: &mut BytesMut) {
        encode::binary(out, self.as_bytes());
    }
}

/// A subscription identifier: 1 to 268 435 455. §3.8.2.1.2.
fn read_subscription_id(reader: &mut Reader) -> Result<u32, Fault> {
    match reader.variable()? {
        0 => Err(Fault::PropertyValue(0x0B)),
        id => Ok(id),
    }
}

/// The wire form of every property the standard defines, for those that stand in a wrong packet.
fn skip(reader: &mut Reader, id: u8) -> Result<(), Fault> {
    match id {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2A => reader.byte().map(drop),
        0x13 | 0x21 | 0x22 | 0x23 => reader.two_bytes().map(drop),
        0x02 | 0x11 | 0x18 | 0x27 => reader.four_bytes().map(drop),
        0x0B => reader.variable().map(drop),
        0x09 | 0x16 => reader.binary().map(drop),
        0x03 | 0x08 | 0x12 | 0x15 | 0x1A | 0x1C | 0x1F => reader.text().map(drop),
        0x26 => reader.text().and_then(|_| reader.text()).map(drop),
        _ => Err(Fault::UnknownProperty(u32::from(id))),
    }
}

/// What every property set can do.
pub(super) trait Properties: Default {
    fn read_one(&mut self, id: u8, reader: &mut Reader, most_user: usize) -> Result<(), Fault>;
    fn write_all(&self, out: &mut BytesMut);

    /// Reads the length and everything it covers.
    fn read(reader: &mut Reader, most_user: usize) -> Result<Self, Fault> {
        let mut set = Self::default();
        let length = reader.variable()?;
        let mut inner = reader.part(usize::try_from(length).map_err(|_| Fault::Truncated)?)?;
        while !inner.is_empty() {
            let number = inner.variable()?;
            let id = u8::try_from(number).map_err(|_| Fault::UnknownProperty(number))?;
            set.read_one(id, &mut inner, most_user)?;
        }
        Ok(set)
    }

    /// Writes the length and everything it covers.
    fn write(&self, out: &mut BytesMut) {
        let mut body = BytesMut::new();
        self.write_all(&mut body);
        encode::variable(out, body.len());
        out.extend_from_slice(&body);
    }
}

fn read_user(list: &mut UserProperties, reader: &mut Reader, most: usize) -> Result<(), Fault> {
    let pair = (reader.text()?, reader.text()?);
    if list.len() >= most {
        return Err(Fault::TooManyUserProperties(most));
    }
    list.push(pair);
    Ok(())
}

fn write_user(list: &UserProperties, out: &mut BytesMut) {
    for (name, value) in list {
        out.put_u8(0x26);
        name.write(out);
        value.write(out);
    }
}

macro_rules! property_sets {
    ($($(#[$about:meta])* $set:ident { $($(#[$doc:meta])* $field:ident: $kind:ty = $id:literal,)* } $(with $ids:ident up to $most_ids:literal)?;)*) => {$(
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, Debug, Default)]
        pub struct $set {
            $($(#[$doc])* pub $field: Option<$kind>,)*
            /// User properties (0x26).
            pub user: UserProperties,
            $(/// Subscription identifiers (0x0B), each 1 to 268 435 455.
            pub $ids: Vec<u32>,)?
        }

        impl $set {
            /// True when there are none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                true $(&& self.$field.is_none())* && self.user.is_empty() $(&& self.$ids.is_empty())?
            }
        }

        impl Properties for $set {
            fn read_one(&mut self, id: u8, reader: &mut Reader, most_user: usize) -> Result<(), Fault> {
                match id {
                    $($id => {
                        let value = <$kind>::read(reader, id)?;
                        if self.$field.replace(value).is_some() {
                            return Err(Fault::DuplicateProperty(id));
                        }
                        Ok(())
                    })*
                    0x26 => read_user(&mut self.user, reader, most_user),
                    $(0x0B => {
                        self.$ids.push(read_subscription_id(reader)?);
                        if self.$ids.len() > $most_ids { Err(Fault::DuplicateProperty(id)) } else { Ok(()) }
                    })?
                    _ => {
                        skip(reader, id)?;
                        Err(Fault::MisplacedProperty(id))
                    }
                }
            }

            fn write_all(&self, out: &mut BytesMut) {
                $(if let Some(value) = &self.$field {
                    out.put_u8($id);
                    value.write(out);
                })*
                write_user(&self.user, out);
                $(for id in &self.$ids {
                    out.put_u8(0x0B);
                    encode::variable(out, usize::try_from(*id).unwrap_or(usize::MAX));
                })?
            }
        }
    )*};
}

property_sets! {
    /// CONNECT. §3.1.2.11.
    ConnectProperties {
        /// Seconds the session outlives its connection; `u32::MAX`: for ever; absent: 0.
        session_expiry_s: u32 = 0x11,
        /// How many QoS > 0 messages may be under way towards the client; absent: 65 535.
        receive_maximum: u16 = 0x21,
        /// The largest packet the client accepts, in bytes.
        maximum_packet_size: u32 = 0x27,
        /// How many aliases the server may use towards the client; absent: 0.
        topic_alias_maximum: u16 = 0x22,
        /// The client asks for response information.
        request_response_information: bool = 0x19,
        /// False: no reason strings and user properties except in PUBLISH, CONNACK, DISCONNECT; absent: true.
        request_problem_information: bool = 0x17,
        /// The extended authentication method.
        authentication_method: Text = 0x15,
        /// Its data.
        authentication_data: Bytes = 0x16,
    };
    /// The will's own. §3.1.3.2.
    WillProperties {
        /// Seconds between the end of the connection and the will; absent: 0.
        delay_s: u32 = 0x18,
        /// True: the payload is UTF-8 text.
        payload_format: bool = 0x01,
        /// Seconds the message is good for.
        message_expiry_s: u32 = 0x02,
        /// What the payload is.
        content_type: Text = 0x03,
        /// Where an answer is expected.
        response_topic: TopicName = 0x08,
        /// What an answer shall carry.
        correlation_data: Bytes = 0x09,
    };
    /// CONNACK. §3.2.2.3.
    ConnAckProperties {
        /// The session expiry the server uses, when it is not the one asked for. Seconds.
        session_expiry_s: u32 = 0x11,
        /// How many QoS > 0 messages may be under way towards the server; absent: 65 535.
        receive_maximum: u16 = 0x21,
        /// False: QoS 0 only; true: QoS 1 at most; absent: QoS 2.
        maximum_qos: bool = 0x24,
        /// Absent: true.
        retain_available: bool = 0x25,
        /// The largest packet the server accepts, in bytes.
        maximum_packet_size: u32 = 0x27,
        /// The identifier the server made for a client that named none.
        assigned_client_id: Text = 0x12,
        /// How many aliases the client may use; absent: 0.
        topic_alias_maximum: u16 = 0x22,
        /// More about the reason, for people.
        reason_string: Text = 0x1F,
        /// Absent: true.
        wildcard_subscription_available: bool = 0x28,
        /// Absent: true.
        subscription_identifiers_available: bool = 0x29,
        /// Absent: true.
        shared_subscription_available: bool = 0x2A,
        /// The keep alive the client must use instead of its own. Seconds.
        server_keep_alive_s: u16 = 0x13,
        /// Basis for response topics.
        response_information: Text = 0x1A,
        /// Another server to use.
        server_reference: Text = 0x1C,
        /// The extended authentication method.
        authentication_method: Text = 0x15,
        /// Its data.
        authentication_data: Bytes = 0x16,
    };
    /// PUBLISH. §3.3.2.3.
    PublishProperties {
        /// True: the payload is UTF-8 text.
        payload_format: bool = 0x01,
        /// Seconds the message is still good for.
        message_expiry_s: u32 = 0x02,
        /// A number that stands for the topic on this connection.
        topic_alias: u16 = 0x23,
        /// Where an answer is expected.
        response_topic: TopicName = 0x08,
        /// What an answer shall carry.
        correlation_data: Bytes = 0x09,
        /// What the payload is.
        content_type: Text = 0x03,
    } with subscription_ids up to 65_535;
    /// PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK, UNSUBACK. §3.4.2.2 and so on.
    AckProperties {
        /// More about the reason, for people.
        reason_string: Text = 0x1F,
    };
    /// SUBSCRIBE. §3.8.2.1.
    SubscribeProperties {
    } with subscription_id up to 1;
    /// UNSUBSCRIBE. §3.10.2.1.
    UnsubscribeProperties {
    };
    /// DISCONNECT. §3.14.2.2.
    DisconnectProperties {
        /// A new session expiry, in seconds. Client → server only.
        session_expiry_s: u32 = 0x11,
        /// More about the reason, for people.
        reason_string: Text = 0x1F,
        /// Another server to use.
        server_reference: Text = 0x1C,
    };
    /// AUTH. §3.15.2.2.
    AuthProperties {
        /// The extended authentication method.
        authentication_method: Text = 0x15,
        /// Its data.
        authentication_data: Bytes = 0x16,
        /// More about the reason, for people.
        reason_string: Text = 0x1F,
    };
}
