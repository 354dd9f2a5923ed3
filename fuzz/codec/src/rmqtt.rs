//! `rmqtt-codec`, its packets turned into ours.

use crate::{Heard, Theirs};
use andon_wire::mqtt::*;
use bytes::{Bytes, BytesMut};
use rmqtt_codec::types::{Protocol, Publish as TheirPublish};
use rmqtt_codec::{v3, v5};
use std::num::NonZeroU16;
use tokio_util::codec::{Decoder as _, Encoder as _};

pub(crate) fn read(heard: Heard, bytes: &[u8]) -> Theirs {
    if bytes.first().is_some_and(|first| !expected(heard, *first)) {
        return Theirs::Refused("not expected here".to_owned());
    }
    let mut buffer = BytesMut::from(bytes);
    let reading = if heard.version().is_v5() {
        let mut codec = v5::Codec::default();
        match codec.decode(&mut buffer) {
            Ok(Some((packet, _))) => read_5(&packet).map(|ours| {
                let mut out = BytesMut::new();
                // With a fresh one: what a CONNECT asks for would leave things out.
                let written = v5::Codec::default().encode(packet, &mut out);
                (ours, written.map(|()| out.to_vec()).unwrap_or_default())
            }),
            Ok(None) => Err(Theirs::Incomplete),
            Err(error) => Err(Theirs::Refused(format!("{error:?}"))),
        }
    } else {
        let mut codec = v3::Codec::default();
        match codec.decode(&mut buffer) {
            Ok(Some((packet, _))) => read_3(&packet).map(|ours| {
                let mut out = BytesMut::new();
                let written = codec.encode(packet, &mut out);
                (ours, written.map(|()| out.to_vec()).unwrap_or_default())
            }),
            Ok(None) => Err(Theirs::Incomplete),
            Err(error) => Err(Theirs::Refused(format!("{error:?}"))),
        }
    };
    match reading {
        Ok((packet, written)) => Theirs::Packet(Box::new(packet), written),
        Err(theirs) => theirs,
    }
}

/// Their codec reads the packets of both ends; a connection gets those of one.
fn expected(heard: Heard, first: u8) -> bool {
    use PacketType as T;
    let kind = PacketType::from_first_byte(first);
    let both = matches!(kind, T::Publish | T::PubAck | T::PubRec | T::PubRel | T::PubComp | T::Auth);
    match heard {
        Heard::First(_) => kind == T::Connect,
        Heard::FromClient(_) => both || matches!(kind, T::Subscribe | T::Unsubscribe | T::PingReq | T::Disconnect),
        Heard::FromServer(version) => {
            let goodbye = version.is_v5() && kind == T::Disconnect;
            both || goodbye || matches!(kind, T::ConnAck | T::SubAck | T::UnsubAck | T::PingResp)
        }
    }
}

fn read_3(theirs: &v3::Packet) -> Result<Packet, Theirs> {
    let plain = |id: &NonZeroU16| Ack::new(id.get(), ReasonCode::SUCCESS);
    let packet = match theirs {
        v3::Packet::Connect(c) => Packet::Connect(Box::new(Connect {
            version: if c.protocol == Protocol(3) { Version::V31 } else { Version::V311 },
            clean_start: c.clean_session,
            keep_alive_s: c.keep_alive,
            client_id: text(&c.client_id)?,
            will: match &c.last_will {
                Some(will) => Some(Will {
                    topic: name(&will.topic)?,
                    payload: will.message.clone(),
                    qos: qos(will.qos),
                    retain: will.retain,
                    properties: WillProperties::default(),
                }),
                None => None,
            },
            user_name: c.username.as_deref().map(text).transpose()?,
            password: c.password.clone(),
            properties: ConnectProperties::default(),
        })),
        v3::Packet::ConnectAck(a) => Packet::ConnAck(Box::new(ConnAck {
            session_present: a.session_present,
            reason: ReasonCode::from_v3_connack(a.return_code.into()),
            properties: ConnAckProperties::default(),
        })),
        v3::Packet::Publish(p) => Packet::Publish(publish(p, PublishProperties::default())?),
        v3::Packet::PublishAck { packet_id } => Packet::PubAck(plain(packet_id)),
        v3::Packet::PublishReceived { packet_id } => Packet::PubRec(plain(packet_id)),
        v3::Packet::PublishRelease { packet_id } => Packet::PubRel(plain(packet_id)),
        v3::Packet::PublishComplete { packet_id } => Packet::PubComp(plain(packet_id)),
        v3::Packet::Subscribe { packet_id, topic_filters } => Packet::Subscribe(Subscribe {
            packet_id: packet_id.get(),
            properties: SubscribeProperties::default(),
            filters: topic_filters
                .iter()
                .map(|(f, q)| {
                    Ok(Filter {
                        filter: filter(f)?,
                        qos: qos(*q),
                        no_local: false,
                        retain_as_published: false,
                        retain_handling: RetainHandling::Send,
                    })
                })
                .collect::<Result<_, Theirs>>()?,
        }),
        v3::Packet::SubscribeAck { packet_id, status } => Packet::SubAck(SubAck {
            packet_id: packet_id.get(),
            properties: AckProperties::default(),
            reasons: status
                .iter()
                .map(|status| match status {
                    v3::SubscribeReturnCode::Success(q) => ReasonCode(q.value()),
                    v3::SubscribeReturnCode::Failure => ReasonCode::UNSPECIFIED,
                })
                .collect(),
        }),
        v3::Packet::Unsubscribe { packet_id, topic_filters } => Packet::Unsubscribe(Unsubscribe {
            packet_id: packet_id.get(),
            properties: UnsubscribeProperties::default(),
            filters: topic_filters.iter().map(|f| filter(f)).collect::<Result<_, _>>()?,
        }),
        v3::Packet::UnsubscribeAck { packet_id } => Packet::UnsubAck(UnsubAck {
            packet_id: packet_id.get(),
            properties: AckProperties::default(),
            reasons: Vec::new(),
        }),
        v3::Packet::PingRequest => Packet::PingReq,
        v3::Packet::PingResponse => Packet::PingResp,
        v3::Packet::Disconnect => Packet::Disconnect(Disconnect::default()),
    };
    Ok(packet)
}

fn read_5(theirs: &v5::Packet) -> Result<Packet, Theirs> {
    let packet = match theirs {
        v5::Packet::Connect(c) => Packet::Connect(Box::new(connect(c)?)),
        v5::Packet::ConnectAck(a) => Packet::ConnAck(Box::new(ConnAck {
            session_present: a.session_present,
            reason: ReasonCode(a.reason_code.into()),
            properties: ConnAckProperties {
                session_expiry_s: a.session_expiry_interval_secs,
                receive_maximum: Some(a.receive_max.get()),
                maximum_qos: match a.max_qos {
                    v5::QoS::AtMostOnce => Some(false),
                    v5::QoS::AtLeastOnce => Some(true),
                    v5::QoS::ExactlyOnce => None,
                },
                retain_available: Some(a.retain_available),
                maximum_packet_size: a.max_packet_size,
                assigned_client_id: a.assigned_client_id.as_deref().map(text).transpose()?,
                topic_alias_maximum: Some(a.topic_alias_max),
                reason_string: a.reason_string.as_deref().map(text).transpose()?,
                wildcard_subscription_available: Some(a.wildcard_subscription_available),
                subscription_identifiers_available: Some(a.subscription_identifiers_available),
                shared_subscription_available: Some(a.shared_subscription_available),
                server_keep_alive_s: a.server_keepalive_sec,
                response_information: a.response_info.as_deref().map(text).transpose()?,
                server_reference: a.server_reference.as_deref().map(text).transpose()?,
                authentication_method: a.auth_method.as_deref().map(text).transpose()?,
                authentication_data: a.auth_data.clone(),
                user: user(&a.user_properties)?,
            },
        })),
        v5::Packet::Publish(p) => {
            let properties = match &p.properties {
                Some(o) => PublishProperties {
                    payload_format: Some(o.is_utf8_payload),
                    message_expiry_s: o.message_expiry_interval.map(std::num::NonZeroU32::get),
                    topic_alias: o.topic_alias.map(NonZeroU16::get),
                    response_topic: o.response_topic.as_deref().map(name).transpose()?,
                    correlation_data: o.correlation_data.clone(),
                    content_type: o.content_type.as_deref().map(text).transpose()?,
                    user: user(&o.user_properties)?,
                    subscription_ids: o.subscription_ids.iter().map(|id| id.get()).collect(),
                },
                None => PublishProperties::default(),
            };
            Packet::Publish(publish(p, properties)?)
        }
        v5::Packet::PublishAck(a) => Packet::PubAck(Ack {
            packet_id: a.packet_id.get(),
            reason: ReasonCode(a.reason_code.into()),
            properties: ack(&a.properties, a.reason_string.as_deref())?,
        }),
        v5::Packet::PublishReceived(a) => Packet::PubRec(Ack {
            packet_id: a.packet_id.get(),
            reason: ReasonCode(a.reason_code.into()),
            properties: ack(&a.properties, a.reason_string.as_deref())?,
        }),
        v5::Packet::PublishRelease(a) => Packet::PubRel(Ack {
            packet_id: a.packet_id.get(),
            reason: ReasonCode(a.reason_code.into()),
            properties: ack(&a.properties, a.reason_string.as_deref())?,
        }),
        v5::Packet::PublishComplete(a) => Packet::PubComp(Ack {
            packet_id: a.packet_id.get(),
            reason: ReasonCode(a.reason_code.into()),
            properties: ack(&a.properties, a.reason_string.as_deref())?,
        }),
        v5::Packet::Subscribe(s) => Packet::Subscribe(Subscribe {
            packet_id: s.packet_id.get(),
            properties: SubscribeProperties {
                user: user(&s.user_properties)?,
                subscription_id: s.id.map(std::num::NonZeroU32::get).into_iter().collect(),
            },
            filters: s.topic_filters.iter().map(line).collect::<Result<_, _>>()?,
        }),
        v5::Packet::SubscribeAck(a) => Packet::SubAck(SubAck {
            packet_id: a.packet_id.get(),
            properties: ack(&a.properties, a.reason_string.as_deref())?,
            reasons: a.status.iter().map(|status| ReasonCode((*status).into())).collect(),
        }),
        v5::Packet::Unsubscribe(u) => Packet::Unsubscribe(Unsubscribe {
            packet_id: u.packet_id.get(),
            properties: UnsubscribeProperties { user: user(&u.user_properties)? },
            filters: u.topic_filters.iter().map(|f| filter(f)).collect::<Result<_, _>>()?,
        }),
        v5::Packet::UnsubscribeAck(a) => Packet::UnsubAck(UnsubAck {
            packet_id: a.packet_id.get(),
            properties: ack(&a.properties, a.reason_string.as_deref())?,
            reasons: a.status.iter().map(|status| ReasonCode((*status).into())).collect(),
        }),
        v5::Packet::PingRequest => Packet::PingReq,
        v5::Packet::PingResponse => Packet::PingResp,
        v5::Packet::Disconnect(d) => Packet::Disconnect(Disconnect {
            reason: ReasonCode(d.reason_code.into()),
            properties: DisconnectProperties {
                session_expiry_s: d.session_expiry_interval_secs,
                reason_string: d.reason_string.as_deref().map(text).transpose()?,
                server_reference: d.server_reference.as_deref().map(text).transpose()?,
                user: user(&d.user_properties)?,
            },
        }),
        v5::Packet::Auth(a) => Packet::Auth(Auth {
            reason: ReasonCode(a.reason_code.into()),
            properties: AuthProperties {
                authentication_method: a.auth_method.as_deref().map(text).transpose()?,
                authentication_data: a.auth_data.clone(),
                reason_string: a.reason_string.as_deref().map(text).transpose()?,
                user: user(&a.user_properties)?,
            },
        }),
    };
    Ok(packet)
}

fn connect(c: &v5::Connect) -> Result<Connect, Theirs> {
    let will = match &c.last_will {
        Some(w) => Some(Will {
            topic: name(&w.topic)?,
            payload: w.message.clone(),
            qos: qos(w.qos),
            retain: w.retain,
            properties: WillProperties {
                delay_s: w.will_delay_interval_sec,
                payload_format: w.is_utf8_payload,
                message_expiry_s: w.message_expiry_interval.map(std::num::NonZeroU32::get),
                content_type: w.content_type.as_deref().map(text).transpose()?,
                response_topic: w.response_topic.as_deref().map(name).transpose()?,
                correlation_data: w.correlation_data.clone(),
                user: user(&w.user_properties)?,
            },
        }),
        None => None,
    };
    Ok(Connect {
        version: Version::V5,
        clean_start: c.clean_start,
        keep_alive_s: c.keep_alive,
        client_id: text(&c.client_id)?,
        will,
        user_name: c.username.as_deref().map(text).transpose()?,
        password: c.password.clone(),
        properties: ConnectProperties {
            session_expiry_s: Some(c.session_expiry_interval_secs),
            receive_maximum: c.receive_max.map(NonZeroU16::get),
            maximum_packet_size: c.max_packet_size.map(std::num::NonZeroU32::get),
            topic_alias_maximum: Some(c.topic_alias_max),
            request_response_information: Some(c.request_response_info),
            request_problem_information: Some(c.request_problem_info),
            authentication_method: c.auth_method.as_deref().map(text).transpose()?,
            authentication_data: c.auth_data.clone(),
            user: user(&c.user_properties)?,
        },
    })
}

fn publish(p: &TheirPublish, properties: PublishProperties) -> Result<Publish, Theirs> {
    Ok(Publish {
        dup: p.dup,
        qos: qos(p.qos),
        retain: p.retain,
        topic: if p.topic.is_empty() { None } else { Some(name(&p.topic)?) },
        packet_id: p.packet_id.map_or(0, NonZeroU16::get),
        properties,
        payload: p.payload.clone(),
    })
}

fn line((text, options): &(impl AsRef<str>, v5::SubscriptionOptions)) -> Result<Filter, Theirs> {
    Ok(Filter {
        filter: filter(text.as_ref())?,
        qos: qos(options.qos),
        no_local: options.no_local,
        retain_as_published: options.retain_as_published,
        retain_handling: match options.retain_handling {
            v5::RetainHandling::AtSubscribe => RetainHandling::Send,
            v5::RetainHandling::AtSubscribeNew => RetainHandling::SendIfNew,
            v5::RetainHandling::NoAtSubscribe => RetainHandling::DoNotSend,
        },
    })
}

fn ack(user_properties: &v5::UserProperties, reason: Option<&str>) -> Result<AckProperties, Theirs> {
    Ok(AckProperties { reason_string: reason.map(text).transpose()?, user: user(user_properties)? })
}

fn user(list: &v5::UserProperties) -> Result<UserProperties, Theirs> {
    list.iter().map(|(name, value)| Ok((text(name)?, text(value)?))).collect()
}

fn qos(qos: v5::QoS) -> QoS {
    match qos {
        v5::QoS::AtMostOnce => QoS::AtMostOnce,
        v5::QoS::AtLeastOnce => QoS::AtLeastOnce,
        v5::QoS::ExactlyOnce => QoS::ExactlyOnce,
    }
}

fn text(text: &str) -> Result<Text, Theirs> {
    Text::from_bytes(Bytes::copy_from_slice(text.as_bytes())).map_err(|_| Theirs::Unsayable("a string"))
}

fn name(text: &str) -> Result<TopicName, Theirs> {
    TopicName::parse(text).map_err(|_| Theirs::Unsayable("a topic name"))
}

fn filter(text: &str) -> Result<TopicFilter, Theirs> {
    TopicFilter::parse(text).map_err(|_| Theirs::Unsayable("a topic filter"))
}
