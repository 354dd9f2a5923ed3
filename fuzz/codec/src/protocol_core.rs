//! `mqtt-protocol-core`, its packets turned into ours.

use crate::list::{FromList, List, Value};
use crate::{Heard, Theirs, header};
use andon_wire::mqtt::*;
use bytes::Bytes;
use mqtt_protocol_core::mqtt::packet::{
    FixedHeader, Property, Qos, RetainHandling as Handling, SubEntry, v3_1_1, v5_0,
};
use mqtt_protocol_core::mqtt::prelude::*;
use std::sync::Arc;

/// A reading that says why there is none.
type Reading = Result<(Packet, Vec<u8>), Theirs>;

pub(crate) fn read(heard: Heard, bytes: &[u8]) -> Theirs {
    if bytes.len() < 2 {
        return Theirs::Incomplete;
    }
    let Some((header, remaining)) = header(bytes) else {
        return if bytes.len() > 4 { Theirs::Refused("length".to_owned()) } else { Theirs::Incomplete };
    };
    let Some(body) = bytes.get(header..header + remaining) else { return Theirs::Incomplete };
    let reading = if heard.version().is_v5() { read_5(heard, bytes[0], body) } else { read_3(heard, bytes[0], body) };
    match reading {
        Ok((packet, written)) => Theirs::Packet(Box::new(packet), written),
        Err(theirs) => theirs,
    }
}

fn refused(error: impl std::fmt::Debug) -> Theirs {
    Theirs::Refused(format!("{error:?}"))
}

/// Reads with one of their parsers, which must have used everything.
macro_rules! parse {
    ($packet:ty, $body:expr) => {{
        let (packet, used) = <$packet>::parse($body).map_err(refused)?;
        if used != $body.len() {
            return Err(Theirs::Refused(format!("{used} of {} bytes", $body.len())));
        }
        packet
    }};
}

/// PUBACK, PUBREC, PUBREL or PUBCOMP of 5.0.
macro_rules! answer {
    ($packet:ty, $body:expr, $ours:ident) => {{
        let p = parse!($packet, $body);
        let ack = ack(p.packet_id(), p.reason_code().map(|r| r as u8), p.props().as_ref())?;
        (Packet::$ours(ack), p.to_continuous_buffer())
    }};
}

/// The same of 3.1.1, which are nothing but an identifier.
macro_rules! plain_answer {
    ($packet:ty, $body:expr, $ours:ident) => {{
        let p = parse!($packet, $body);
        (Packet::$ours(Ack::new(p.packet_id(), ReasonCode::SUCCESS)), p.to_continuous_buffer())
    }};
}

/// The type of a packet that this end may get, as their connection judges it.
fn kind(heard: Heard, first: u8) -> Result<FixedHeader, Theirs> {
    use FixedHeader as F;
    let kind = if first >> 4 == 3 { Ok(F::Publish) } else { F::try_from(first).map_err(refused) }?;
    let both = matches!(kind, F::Publish | F::Puback | F::Pubrec | F::Pubrel | F::Pubcomp | F::Auth);
    let expected = match heard {
        Heard::First(_) => kind == F::Connect,
        Heard::FromClient(_) => both || matches!(kind, F::Subscribe | F::Unsubscribe | F::Pingreq | F::Disconnect),
        Heard::FromServer(version) => {
            let goodbye = version.is_v5() && kind == F::Disconnect;
            both || goodbye || matches!(kind, F::Connack | F::Suback | F::Unsuback | F::Pingresp)
        }
    };
    if expected { Ok(kind) } else { Err(Theirs::Refused("not expected here".to_owned())) }
}

fn read_5(heard: Heard, first: u8, body: &[u8]) -> Reading {
    use FixedHeader as F;
    Ok(match kind(heard, first)? {
        F::Connect => {
            let p = parse!(v5_0::Connect, body);
            let will = if p.will_flag() {
                Some(Will {
                    topic: name(p.will_topic().unwrap_or_default())?,
                    payload: Bytes::copy_from_slice(p.will_payload().unwrap_or_default()),
                    qos: qos(p.will_qos()),
                    retain: p.will_retain(),
                    properties: set(p.will_props())?,
                })
            } else {
                None
            };
            let connect = Connect {
                version: Version::V5,
                clean_start: p.clean_start(),
                keep_alive_s: p.keep_alive(),
                client_id: text(p.client_id())?,
                will,
                user_name: p.user_name().map(text).transpose()?,
                password: p.password().map(Bytes::copy_from_slice),
                properties: set(p.props())?,
            };
            (Packet::Connect(Box::new(connect)), p.to_continuous_buffer())
        }
        F::Connack => {
            let p = parse!(v5_0::Connack, body);
            let ack = ConnAck {
                session_present: p.session_present(),
                reason: ReasonCode(p.reason_code() as u8),
                properties: set(p.props())?,
            };
            (Packet::ConnAck(Box::new(ack)), p.to_continuous_buffer())
        }
        F::Publish => {
            let (p, used) = v5_0::Publish::parse(first & 0x0F, Arc::from(body)).map_err(refused)?;
            if used != body.len() {
                return Err(Theirs::Refused(format!("{used} of {} bytes", body.len())));
            }
            let publish = Publish {
                dup: p.dup(),
                qos: qos(p.qos()),
                retain: p.retain(),
                topic: if p.topic_name().is_empty() { None } else { Some(name(p.topic_name())?) },
                packet_id: p.packet_id().unwrap_or(0),
                properties: set(p.props())?,
                payload: Bytes::copy_from_slice(p.payload().as_slice()),
            };
            (Packet::Publish(publish), p.to_continuous_buffer())
        }
        F::Puback => answer!(v5_0::Puback, body, PubAck),
        F::Pubrec => answer!(v5_0::Pubrec, body, PubRec),
        F::Pubrel => answer!(v5_0::Pubrel, body, PubRel),
        F::Pubcomp => answer!(v5_0::Pubcomp, body, PubComp),
        F::Subscribe => {
            let p = parse!(v5_0::Subscribe, body);
            let properties = set(p.props())?;
            let filters = p.entries().iter().map(line).collect::<Result<_, _>>()?;
            let subscribe = Subscribe { packet_id: p.packet_id(), properties, filters };
            (Packet::Subscribe(subscribe), p.to_continuous_buffer())
        }
        F::Suback => {
            let p = parse!(v5_0::Suback, body);
            let reasons = p.reason_codes().into_iter().map(|r| ReasonCode(r as u8)).collect();
            let ack = SubAck { packet_id: p.packet_id(), properties: set(p.props())?, reasons };
            (Packet::SubAck(ack), p.to_continuous_buffer())
        }
        F::Unsubscribe => {
            let p = parse!(v5_0::Unsubscribe, body);
            let filters = p.entries().iter().map(|f| filter(f.as_str())).collect::<Result<_, _>>()?;
            let unsubscribe = Unsubscribe { packet_id: p.packet_id(), properties: set(p.props())?, filters };
            (Packet::Unsubscribe(unsubscribe), p.to_continuous_buffer())
        }
        F::Unsuback => {
            let p = parse!(v5_0::Unsuback, body);
            let reasons = p.reason_codes().into_iter().map(|r| ReasonCode(r as u8)).collect();
            let ack = UnsubAck { packet_id: p.packet_id(), properties: set(p.props())?, reasons };
            (Packet::UnsubAck(ack), p.to_continuous_buffer())
        }
        F::Pingreq => (Packet::PingReq, parse!(v5_0::Pingreq, body).to_continuous_buffer()),
        F::Pingresp => (Packet::PingResp, parse!(v5_0::Pingresp, body).to_continuous_buffer()),
        F::Disconnect => {
            let p = parse!(v5_0::Disconnect, body);
            let properties = p.props().as_ref().map(|p| set(p)).transpose()?.unwrap_or_default();
            let reason = ReasonCode(p.reason_code().map_or(0, |r| r as u8));
            (Packet::Disconnect(Disconnect { reason, properties }), p.to_continuous_buffer())
        }
        F::Auth => {
            let p = parse!(v5_0::Auth, body);
            let properties = p.props().as_ref().map(|p| set(p)).transpose()?.unwrap_or_default();
            let reason = ReasonCode(p.reason_code().map_or(0, |r| r as u8));
            (Packet::Auth(Auth { reason, properties }), p.to_continuous_buffer())
        }
    })
}

fn read_3(heard: Heard, first: u8, body: &[u8]) -> Reading {
    use FixedHeader as F;
    Ok(match kind(heard, first)? {
        F::Connect => {
            let p = parse!(v3_1_1::Connect, body);
            let will = if p.will_flag() {
                Some(Will {
                    topic: name(p.will_topic().unwrap_or_default())?,
                    payload: Bytes::copy_from_slice(p.will_payload().unwrap_or_default()),
                    qos: qos(p.will_qos()),
                    retain: p.will_retain(),
                    properties: WillProperties::default(),
                })
            } else {
                None
            };
            let connect = Connect {
                version: Version::V311,
                clean_start: p.clean_session(),
                keep_alive_s: p.keep_alive(),
                client_id: text(p.client_id())?,
                will,
                user_name: p.user_name().map(text).transpose()?,
                password: p.password().map(Bytes::copy_from_slice),
                properties: ConnectProperties::default(),
            };
            (Packet::Connect(Box::new(connect)), p.to_continuous_buffer())
        }
        F::Connack => {
            let p = parse!(v3_1_1::Connack, body);
            let reason = ReasonCode::from_v3_connack(p.return_code() as u8);
            let ack = ConnAck { session_present: p.session_present(), reason, properties: Default::default() };
            (Packet::ConnAck(Box::new(ack)), p.to_continuous_buffer())
        }
        F::Publish => {
            let (p, used) = v3_1_1::Publish::parse(first & 0x0F, Arc::from(body)).map_err(refused)?;
            if used != body.len() {
                return Err(Theirs::Refused(format!("{used} of {} bytes", body.len())));
            }
            let publish = Publish {
                dup: p.dup(),
                qos: qos(p.qos()),
                retain: p.retain(),
                topic: Some(name(p.topic_name())?),
                packet_id: p.packet_id().unwrap_or(0),
                properties: PublishProperties::default(),
                payload: Bytes::copy_from_slice(p.payload().as_slice()),
            };
            (Packet::Publish(publish), p.to_continuous_buffer())
        }
        F::Puback => plain_answer!(v3_1_1::Puback, body, PubAck),
        F::Pubrec => plain_answer!(v3_1_1::Pubrec, body, PubRec),
        F::Pubrel => plain_answer!(v3_1_1::Pubrel, body, PubRel),
        F::Pubcomp => plain_answer!(v3_1_1::Pubcomp, body, PubComp),
        F::Subscribe => {
            let p = parse!(v3_1_1::Subscribe, body);
            let filters = p.entries().iter().map(line).collect::<Result<_, _>>()?;
            let subscribe = Subscribe { packet_id: p.packet_id(), properties: Default::default(), filters };
            (Packet::Subscribe(subscribe), p.to_continuous_buffer())
        }
        F::Suback => {
            let p = parse!(v3_1_1::Suback, body);
            let reasons = p.return_codes().into_iter().map(|r| ReasonCode(r as u8)).collect();
            let ack = SubAck { packet_id: p.packet_id(), properties: Default::default(), reasons };
            (Packet::SubAck(ack), p.to_continuous_buffer())
        }
        F::Unsubscribe => {
            let p = parse!(v3_1_1::Unsubscribe, body);
            let filters = p.entries().iter().map(|f| filter(f.as_str())).collect::<Result<_, _>>()?;
            let unsubscribe = Unsubscribe { packet_id: p.packet_id(), properties: Default::default(), filters };
            (Packet::Unsubscribe(unsubscribe), p.to_continuous_buffer())
        }
        F::Unsuback => {
            let p = parse!(v3_1_1::Unsuback, body);
            let ack = UnsubAck { packet_id: p.packet_id(), properties: Default::default(), reasons: Vec::new() };
            (Packet::UnsubAck(ack), p.to_continuous_buffer())
        }
        F::Pingreq => (Packet::PingReq, parse!(v3_1_1::Pingreq, body).to_continuous_buffer()),
        F::Pingresp => (Packet::PingResp, parse!(v3_1_1::Pingresp, body).to_continuous_buffer()),
        F::Disconnect => {
            (Packet::Disconnect(Disconnect::default()), parse!(v3_1_1::Disconnect, body).to_continuous_buffer())
        }
        F::Auth => return Err(Theirs::Refused("not of this version".to_owned())),
    })
}

fn qos(qos: Qos) -> QoS {
    match qos {
        Qos::AtMostOnce => QoS::AtMostOnce,
        Qos::AtLeastOnce => QoS::AtLeastOnce,
        Qos::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn text(text: &str) -> Result<Text, Theirs> {
    Text::parse(text).map_err(|_| Theirs::Unsayable("a string"))
}

fn name(text: &str) -> Result<TopicName, Theirs> {
    TopicName::parse(text).map_err(|_| Theirs::Unsayable("a topic name"))
}

fn filter(text: &str) -> Result<TopicFilter, Theirs> {
    TopicFilter::parse(text).map_err(|_| Theirs::Unsayable("a topic filter"))
}

fn line(entry: &SubEntry) -> Result<Filter, Theirs> {
    let options = entry.sub_opts();
    Ok(Filter {
        filter: filter(entry.topic_filter())?,
        qos: qos(options.qos()),
        no_local: options.nl(),
        retain_as_published: options.rap(),
        retain_handling: match options.rh() {
            Handling::SendRetained => RetainHandling::Send,
            Handling::SendRetainedIfNotExists => RetainHandling::SendIfNew,
            Handling::DoNotSendRetained => RetainHandling::DoNotSend,
        },
    })
}

fn ack(packet_id: u16, reason: Option<u8>, properties: Option<&Vec<Property>>) -> Result<Ack, Theirs> {
    let properties = properties.map(|p| set(p)).transpose()?.unwrap_or_default();
    Ok(Ack { packet_id, reason: ReasonCode(reason.unwrap_or(0)), properties })
}

fn set<S: FromList>(properties: &[Property]) -> Result<S, Theirs> {
    let list: List<'_> = properties.iter().map(|p| (p.id() as u8, value(p))).collect();
    S::from_list(&list).map_err(Theirs::Unsayable)
}

fn value(property: &Property) -> Value<'_> {
    if let Some((name, value)) = property.as_key_value() {
        return Value::Pair(name, value);
    }
    if let Some(text) = property.as_str() {
        return Value::Text(text);
    }
    if let Some(bytes) = property.as_bytes() {
        return Value::Blob(bytes);
    }
    let number = property.as_u32().or_else(|| property.as_u16().map(u32::from));
    Value::Number(number.or_else(|| property.as_u8().map(u32::from)).unwrap_or(u32::MAX))
}
