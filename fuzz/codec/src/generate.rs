//! Packets of every type with every property, as the versions have them.

use crate::choice::Choice;
use crate::heard::Heard;
use andon_wire::mqtt::*;
use bytes::Bytes;

/// A packet that may come in this situation.
pub fn packet(choice: &mut Choice<'_>, heard: Heard) -> Packet {
    let v5 = heard.version().is_v5();
    match heard {
        Heard::First(version) => Packet::Connect(Box::new(connect(choice, version))),
        Heard::FromClient(_) => match choice.below(if v5 { 10 } else { 9 }) {
            0 | 1 => Packet::Publish(publish(choice, v5, false)),
            2 => Packet::PubAck(ack(choice, v5, &ANSWERS)),
            3 => Packet::PubRec(ack(choice, v5, &ANSWERS)),
            4 => Packet::PubRel(ack(choice, v5, &RELEASES)),
            5 => Packet::PubComp(ack(choice, v5, &RELEASES)),
            6 => Packet::Subscribe(subscribe(choice, v5)),
            7 => Packet::Unsubscribe(unsubscribe(choice, v5)),
            8 if choice.once_in(3) => Packet::PingReq,
            8 => Packet::Disconnect(disconnect(choice, v5, &CLIENT_GOODBYES)),
            _ => Packet::Auth(auth(choice)),
        },
        Heard::FromServer(_) => match choice.below(if v5 { 11 } else { 9 }) {
            0 | 1 => Packet::Publish(publish(choice, v5, true)),
            2 => Packet::PubAck(ack(choice, v5, &ANSWERS)),
            3 => Packet::PubRec(ack(choice, v5, &ANSWERS)),
            4 => Packet::PubRel(ack(choice, v5, &RELEASES)),
            5 => Packet::PubComp(ack(choice, v5, &RELEASES)),
            6 => Packet::ConnAck(Box::new(conn_ack(choice, heard.version()))),
            7 => Packet::SubAck(SubAck {
                packet_id: id(choice),
                properties: ack_properties(choice, v5),
                reasons: reasons(choice, if v5 { &SUBACK_5 } else { &SUBACK_3 }),
            }),
            8 if choice.once_in(3) => Packet::PingResp,
            8 => Packet::UnsubAck(UnsubAck {
                packet_id: id(choice),
                properties: ack_properties(choice, v5),
                reasons: if v5 { reasons(choice, &UNSUBACK) } else { Vec::new() },
            }),
            9 => Packet::Disconnect(disconnect(choice, true, &SERVER_GOODBYES)),
            _ => Packet::Auth(auth(choice)),
        },
    }
}

// The tables of MQTT 5.0, 3-1 (CONNACK), 3-4 to 3-7, 3-8 (SUBACK), 3-9 (UNSUBACK), 3-10 (DISCONNECT).
const ANSWERS: [u8; 9] = [0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
const RELEASES: [u8; 2] = [0x00, 0x92];
const CLIENT_GOODBYES: [u8; 14] = [0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const SERVER_GOODBYES: [u8; 28] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x87, 0x89, 0x8B, 0x8D, 0x8E, 0x8F, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99,
    0x9A, 0x9B, 0x9C, 0x9D, 0x9E, 0x9F, 0xA0, 0xA1, 0xA2,
];
const SUBACK_5: [u8; 12] = [0x00, 0x01, 0x02, 0x80, 0x83, 0x87, 0x8F, 0x91, 0x97, 0x9E, 0xA1, 0xA2];
const SUBACK_3: [u8; 4] = [0x00, 0x01, 0x02, 0x80];
const UNSUBACK: [u8; 7] = [0x00, 0x11, 0x80, 0x83, 0x87, 0x8F, 0x91];
const CONNACK_5: [u8; 22] = [
    0x00, 0x80, 0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x8C, 0x90, 0x95, 0x97, 0x99, 0x9A, 0x9B,
    0x9C, 0x9D, 0x9F,
];
/// What the six return codes of MQTT 3.1.1 stand for.
const CONNACK_3: [u8; 6] = [0x00, 0x84, 0x85, 0x88, 0x86, 0x87];

fn maybe<T>(choice: &mut Choice<'_>, make: impl FnOnce(&mut Choice<'_>) -> T) -> Option<T> {
    choice.once_in(2).then(|| make(choice))
}

fn short(choice: &mut Choice<'_>) -> u16 {
    choice.short()
}

fn long(choice: &mut Choice<'_>) -> u32 {
    choice.long()
}

fn id(choice: &mut Choice<'_>) -> u16 {
    choice.short().max(1)
}

fn flag(choice: &mut Choice<'_>) -> bool {
    choice.once_in(2)
}

fn words(choice: &mut Choice<'_>) -> String {
    const PARTS: [&str; 12] = ["a", "press-7", "temperature", "ü", "°C", "日本", "🔥", " ", "x1", "\u{feff}", "", "$"];
    let count = match choice.below(40) {
        0 => 3_000,
        1 => 200,
        _ => choice.below(4),
    };
    (0..count).map(|_| choice.of(&PARTS)).collect()
}

fn any_text(choice: &mut Choice<'_>) -> Text {
    text(&words(choice))
}

fn any_topic(choice: &mut Choice<'_>) -> TopicName {
    let levels = choice.below(4) + 1;
    let name = (0..levels).map(|_| words(choice)).collect::<Vec<_>>().join("/");
    topic(if name.is_empty() { "t" } else { &name })
}

fn filter(choice: &mut Choice<'_>) -> TopicFilter {
    let levels = choice.below(4) + 1;
    let mut parts: Vec<String> =
        (0..levels).map(|_| if choice.once_in(4) { "+".to_owned() } else { words(choice) }).collect();
    if choice.once_in(4) {
        parts.push("#".to_owned());
    }
    let mut name = parts.join("/");
    if name.is_empty() || name.starts_with('$') {
        name.insert(0, 'f');
    }
    if choice.once_in(5) {
        name.insert_str(0, "$share/g/");
    }
    TopicFilter::parse(&name).unwrap_or_else(|error| unreachable!("{name:?}: {error}"))
}

fn blob(choice: &mut Choice<'_>) -> Bytes {
    let length = match choice.below(40) {
        0 => 65_535,
        1 => 20_000,
        2 => 127,
        3 => 128,
        _ => choice.below(12),
    };
    (0..length).map(|_| choice.byte()).collect()
}

fn user(choice: &mut Choice<'_>) -> UserProperties {
    let count = match choice.below(20) {
        0 => 64,
        n if n < 10 => 0,
        _ => choice.below(4),
    };
    (0..count).map(|_| (any_text(choice), any_text(choice))).collect()
}

fn qos(choice: &mut Choice<'_>) -> QoS {
    choice.of(&[QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce])
}

fn connect(choice: &mut Choice<'_>, version: Version) -> Connect {
    let v5 = version.is_v5();
    let authentication_method = maybe(choice, any_text);
    let properties = ConnectProperties {
        session_expiry_s: maybe(choice, long),
        receive_maximum: maybe(choice, id),
        maximum_packet_size: maybe(choice, |c| c.long().max(1)),
        topic_alias_maximum: maybe(choice, short),
        request_response_information: maybe(choice, flag),
        request_problem_information: maybe(choice, flag),
        authentication_data: if authentication_method.is_some() { maybe(choice, blob) } else { None },
        authentication_method,
        user: user(choice),
    };
    let user_name = maybe(choice, any_text);
    let clean_start = flag(choice);
    let mut client_id = any_text(choice);
    if client_id.is_empty() && !clean_start {
        client_id = text("c");
    }
    Connect {
        version,
        clean_start,
        keep_alive_s: choice.short(),
        client_id,
        will: maybe(choice, |c| will(c, v5)),
        // MQTT 5.0 alone has a password without a user name.
        password: if user_name.is_some() || (v5 && choice.once_in(4)) { maybe(choice, blob) } else { None },
        user_name,
        properties: if v5 { properties } else { ConnectProperties::default() },
    }
}

fn will(choice: &mut Choice<'_>, v5: bool) -> Will {
    let properties = WillProperties {
        delay_s: maybe(choice, long),
        payload_format: maybe(choice, flag),
        message_expiry_s: maybe(choice, long),
        content_type: maybe(choice, any_text),
        response_topic: maybe(choice, any_topic),
        correlation_data: maybe(choice, blob),
        user: user(choice),
    };
    Will {
        topic: any_topic(choice),
        payload: blob(choice),
        qos: qos(choice),
        retain: flag(choice),
        properties: if v5 { properties } else { WillProperties::default() },
    }
}

fn conn_ack(choice: &mut Choice<'_>, version: Version) -> ConnAck {
    let v5 = version.is_v5();
    let reason = ReasonCode(if v5 { choice.of(&CONNACK_5) } else { choice.of(&CONNACK_3) });
    let reason = if choice.once_in(2) { ReasonCode::SUCCESS } else { reason };
    let authentication_method = maybe(choice, any_text);
    let properties = ConnAckProperties {
        session_expiry_s: maybe(choice, long),
        receive_maximum: maybe(choice, id),
        maximum_qos: maybe(choice, flag),
        retain_available: maybe(choice, flag),
        maximum_packet_size: maybe(choice, |c| c.long().max(1)),
        assigned_client_id: maybe(choice, any_text),
        topic_alias_maximum: maybe(choice, short),
        reason_string: maybe(choice, any_text),
        wildcard_subscription_available: maybe(choice, flag),
        subscription_identifiers_available: maybe(choice, flag),
        shared_subscription_available: maybe(choice, flag),
        server_keep_alive_s: maybe(choice, short),
        response_information: maybe(choice, any_text),
        server_reference: maybe(choice, any_text),
        authentication_data: if authentication_method.is_some() { maybe(choice, blob) } else { None },
        authentication_method,
        user: user(choice),
    };
    let session_present = version != Version::V31 && reason.is_success() && flag(choice);
    ConnAck { session_present, reason, properties: if v5 { properties } else { ConnAckProperties::default() } }
}

fn publish(choice: &mut Choice<'_>, v5: bool, from_server: bool) -> Publish {
    let qos = qos(choice);
    let properties = PublishProperties {
        payload_format: maybe(choice, flag),
        message_expiry_s: maybe(choice, long),
        topic_alias: maybe(choice, id),
        response_topic: maybe(choice, any_topic),
        correlation_data: maybe(choice, blob),
        content_type: maybe(choice, any_text),
        user: user(choice),
        subscription_ids: if from_server {
            (0..choice.below(4)).map(|_| subscription_id(choice)).collect()
        } else {
            Vec::new()
        },
    };
    let properties = if v5 { properties } else { PublishProperties::default() };
    let aliased = properties.topic_alias.is_some() && flag(choice);
    Publish {
        dup: qos != QoS::AtMostOnce && flag(choice),
        qos,
        retain: flag(choice),
        topic: if aliased { None } else { Some(any_topic(choice)) },
        packet_id: if qos == QoS::AtMostOnce { 0 } else { id(choice) },
        properties,
        payload: blob(choice),
    }
}

fn subscription_id(choice: &mut Choice<'_>) -> u32 {
    choice.long() % 268_435_455 + 1
}

fn ack(choice: &mut Choice<'_>, v5: bool, table: &[u8]) -> Ack {
    let properties = ack_properties(choice, v5);
    let code = choice.of(table);
    Ack { packet_id: id(choice), reason: if v5 { ReasonCode(code) } else { ReasonCode::SUCCESS }, properties }
}

fn ack_properties(choice: &mut Choice<'_>, v5: bool) -> AckProperties {
    if v5 {
        AckProperties { reason_string: maybe(choice, any_text), user: user(choice) }
    } else {
        AckProperties::default()
    }
}

fn reasons(choice: &mut Choice<'_>, table: &[u8]) -> Vec<ReasonCode> {
    (0..choice.below(4) + 1).map(|_| ReasonCode(choice.of(table))).collect()
}

fn subscribe(choice: &mut Choice<'_>, v5: bool) -> Subscribe {
    let properties = SubscribeProperties {
        user: user(choice),
        subscription_id: maybe(choice, subscription_id).into_iter().collect(),
    };
    let filters = (0..choice.below(4) + 1).map(|_| {
        let filter = filter(choice);
        Filter {
            qos: qos(choice),
            no_local: v5 && filter.share_group().is_none() && flag(choice),
            retain_as_published: v5 && flag(choice),
            retain_handling: if v5 {
                choice.of(&[RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend])
            } else {
                RetainHandling::Send
            },
            filter,
        }
    });
    let filters = filters.collect();
    Subscribe {
        packet_id: id(choice),
        properties: if v5 { properties } else { SubscribeProperties::default() },
        filters,
    }
}

fn unsubscribe(choice: &mut Choice<'_>, v5: bool) -> Unsubscribe {
    let properties = if v5 { UnsubscribeProperties { user: user(choice) } } else { UnsubscribeProperties::default() };
    Unsubscribe {
        packet_id: id(choice),
        properties,
        filters: (0..choice.below(4) + 1).map(|_| filter(choice)).collect(),
    }
}

fn disconnect(choice: &mut Choice<'_>, v5: bool, table: &[u8]) -> Disconnect {
    if !v5 {
        return Disconnect::default();
    }
    let from_server = table.len() == SERVER_GOODBYES.len();
    let properties = DisconnectProperties {
        session_expiry_s: if from_server { None } else { maybe(choice, long) },
        reason_string: maybe(choice, any_text),
        server_reference: if from_server { maybe(choice, any_text) } else { None },
        user: user(choice),
    };
    Disconnect { reason: ReasonCode(choice.of(table)), properties }
}

fn auth(choice: &mut Choice<'_>) -> Auth {
    let properties = AuthProperties {
        authentication_method: Some(any_text(choice)),
        authentication_data: maybe(choice, blob),
        reason_string: maybe(choice, any_text),
        user: user(choice),
    };
    Auth { reason: ReasonCode(choice.of(&[0x00, 0x18, 0x19])), properties }
}

fn text(text: &str) -> Text {
    Text::parse(text).unwrap_or_else(|error| unreachable!("{text:?}: {error}"))
}

fn topic(text: &str) -> TopicName {
    TopicName::parse(text).unwrap_or_else(|error| unreachable!("{text:?}: {error}"))
}
