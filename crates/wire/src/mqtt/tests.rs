//! Round trips, hostile bytes, and the rules by clause.

use super::*;
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

const LIMITS: Limits = Limits { packet_bytes: 1 << 20, user_properties: 64 };

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Decodes what a client sends after a plain CONNECT of that version.
fn from_client(version: Version, text: &str) -> Result<Option<Packet>, DecodeError> {
    let mut decoder = Decoder::server(LIMITS);
    let mut buffer = BytesMut::new();
    Packet::Connect(Box::new(connect(version))).encode(version, &mut buffer).unwrap();
    assert!(matches!(decoder.decode(&mut buffer), Ok(Some(Packet::Connect(_)))));
    buffer.extend_from_slice(&hex(text));
    decoder.decode(&mut buffer)
}

fn reason(version: Version, text: &str) -> u8 {
    from_client(version, text).unwrap_err().reason().0
}

fn connect(version: Version) -> Connect {
    Connect {
        version,
        clean_start: true,
        keep_alive_s: 60,
        client_id: Text::parse("press-7").unwrap(),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

#[test]
fn names_and_filters_are_checked_once() {
    for good in ["a", "/", "a/b c/ü", "$SYS/x", "a//b"] {
        assert_eq!(TopicName::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a/+", "#", "a\0b", "a\u{1}", "a\u{7f}", "a\u{9f}", "a\u{ffff}"] {
        assert!(TopicName::parse(bad).is_err(), "{bad:?}");
    }
    for good in ["+", "#", "a/#", "+/a/+", "/", "$share/g/a/+", "a"] {
        assert_eq!(TopicFilter::parse(good).unwrap().as_str(), good);
    }
    for bad in ["", "a#", "#/a", "a/b+", "+a", "$share/g", "$share//a", "$share/g+/a", "$share/g/", "$share", "a\u{2}"]
    {
        assert!(TopicFilter::parse(bad).is_err(), "{bad:?}");
    }
    let shared = TopicFilter::parse("$share/line-1/a/+").unwrap();
    assert_eq!((shared.share_group(), shared.pattern()), (Some("line-1"), "a/+"));
    assert_eq!(TopicFilter::parse("a/+").unwrap().share_group(), None);
}

#[test]
fn wildcards_match_as_the_standard_shows() {
    let cases = [
        ("sport/tennis/player1/#", "sport/tennis/player1", true),
        ("sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon", true),
        ("sport/tennis/+", "sport/tennis/player1", true),
        ("sport/tennis/+", "sport/tennis/player1/ranking", false),
        ("sport/+", "sport", false),
        ("sport/+", "sport/", true),
        ("+/+", "/finance", true),
        ("/+", "/finance", true),
        ("+", "/finance", false),
        ("#", "$SYS/uptime", false),
        ("+/uptime", "$SYS/uptime", false),
        ("$SYS/#", "$SYS/uptime", true),
        ("$share/g/a/+", "a/b", true),
        ("a", "A", false),
    ];
    for (filter, topic, wanted) in cases {
        assert_eq!(TopicFilter::parse(filter).unwrap().matches(topic), wanted, "{filter} {topic}");
    }
}

#[test]
fn a_packet_over_the_limit_is_refused_from_its_header_alone() {
    let mut decoder = Decoder::client(Version::V5, Limits { packet_bytes: 100, user_properties: 1 });
    let mut buffer = BytesMut::from(&[0x30_u8, 0xFF, 0xFF, 0xFF, 0x7F][..]);
    let error = decoder.decode(&mut buffer).unwrap_err();
    assert_eq!(error.reason(), ReasonCode::PACKET_TOO_LARGE);
    assert!(buffer.capacity() < 1000);
}

#[test]
fn the_reason_tells_malformed_packets_from_protocol_errors() {
    let v5 = Version::V5;
    assert_eq!(reason(v5, "4203000100"), 0x81, "flags of PUBACK");
    assert_eq!(reason(v5, "6303000100"), 0x82, "flags of PUBREL");
    assert_eq!(reason(v5, "c100"), 0x81, "flags of PINGREQ");
    assert_eq!(reason(v5, "d000"), 0x82, "a PINGRESP from a client");
    assert_eq!(reason(v5, "308080808001"), 0x81, "five bytes of length");
    assert_eq!(reason(v5, "40050001000101"), 0x81, "a property cut short");
    assert_eq!(reason(v5, "4009000100050200000001"), 0x82, "a misplaced property");
    assert_eq!(reason(v5, "a2080001022400000170"), 0x81, "a misplaced property in UNSUBSCRIBE");
    assert_eq!(reason(v5, "400c000100081f0001701f000171"), 0x82, "a doubled property");
    assert_eq!(reason(v5, "32140005746f70696304d2030b80007061796c6f6164"), 0x81, "an overlong integer");
    assert_eq!(reason(v5, "821004d200000a2473686172652f702f7004"), 0x82, "no-local on a shared subscription");
    assert_eq!(reason(v5, "6203000000"), 0x82, "packet identifier 0");
    assert_eq!(reason(v5, "820700000000017000"), 0x81, "packet identifier 0 in SUBSCRIBE");
    assert_eq!(reason(v5, "7003000180"), 0x82, "a reason code of other packets");
    assert_eq!(reason(v5, "10020004"), 0x82, "a second CONNECT");
}

#[test]
fn the_first_packet_must_be_connect() {
    let mut buffer = BytesMut::from(&[0xC0_u8, 0][..]);
    let error = Decoder::server(LIMITS).decode(&mut buffer).unwrap_err();
    assert_eq!((error.fault, error.version), (Fault::Unexpected, None));
}

#[test]
fn a_publish_written_once_serves_every_packet_identifier() {
    let publish = Publish {
        dup: false,
        qos: QoS::AtLeastOnce,
        retain: true,
        topic: Some(TopicName::parse("a/b").unwrap()),
        packet_id: 1,
        properties: PublishProperties::default(),
        payload: Bytes::from_static(b"x"),
    };
    for version in [Version::V311, Version::V5] {
        let encoded = EncodedPublish::new(&publish, version).unwrap();
        let mut out = BytesMut::from("front");
        encoded.write(0xABCD, true, &mut out);
        let mut wanted = BytesMut::from("front");
        let changed = Packet::Publish(Publish { packet_id: 0xABCD, dup: true, ..publish.clone() });
        changed.encode(version, &mut wanted).unwrap();
        assert_eq!(out, wanted);
    }
}

#[test]
fn a_password_is_never_shown() {
    let shown = format!("{:?}", Connect { password: Some(Bytes::from_static(b"hunter2")), ..connect(Version::V5) });
    assert!(shown.contains("***") && !shown.contains("hunter2"));
}

fn text() -> impl Strategy<Value = Text> {
    "[a-zü]{0,12}".prop_map(|s| Text::parse(&s).unwrap())
}
fn topic() -> impl Strategy<Value = TopicName> {
    "[a-zü/]{1,20}".prop_map(|s| TopicName::parse(&s).unwrap())
}
fn filter() -> impl Strategy<Value = TopicFilter> {
    "([$]share/g/)?([a-z]{0,3}/|[+]/){0,3}(#|[a-z]{1,3})".prop_map(|s| TopicFilter::parse(&s).unwrap())
}
fn blob() -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(any::<u8>(), 0..20).prop_map(Bytes::from)
}
fn user() -> impl Strategy<Value = UserProperties> {
    proptest::collection::vec((text(), text()), 0..3)
}
fn qos() -> impl Strategy<Value = QoS> {
    (0_u8..3).prop_map(|n| QoS::from_bits(n).unwrap())
}
fn opt<T: std::fmt::Debug + Clone>(s: impl Strategy<Value = T>) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(s)
}

prop_compose! {
    fn any_publish()(
        (dup, qos, retain, id) in (any::<bool>(), qos(), any::<bool>(), 1_u16..),
        (topic, payload, user) in (topic(), blob(), user()),
        (format, expiry, alias, ids) in (opt(any::<bool>()), opt(any::<u32>()), opt(any::<u16>()), proptest::collection::vec(1_u32..268_435_456, 0..3)),
        (response_topic, correlation_data, content_type) in (opt(topic()), opt(blob()), opt(text())),
        aliased in any::<bool>(),
    ) -> Packet {
        let properties = PublishProperties {
            payload_format: format, message_expiry_s: expiry, topic_alias: alias, response_topic, correlation_data,
            content_type, user, subscription_ids: ids,
        };
        Packet::Publish(Publish {
            dup: dup && qos != QoS::AtMostOnce, qos, retain, payload,
            topic: if aliased && alias.is_some() { None } else { Some(topic) },
            packet_id: if qos == QoS::AtMostOnce { 0 } else { id },
            properties,
        })
    }
}

prop_compose! {
    fn any_connect()(
        (clean_start, keep_alive_s, client_id, user_name, password) in (any::<bool>(), any::<u16>(), text(), opt(text()), opt(blob())),
        (qos, retain, topic, payload, with_will) in (qos(), any::<bool>(), topic(), blob(), any::<bool>()),
        (delay_s, payload_format, message_expiry_s, content_type, will_user) in (opt(any::<u32>()), opt(any::<bool>()), opt(any::<u32>()), opt(text()), user()),
        (session_expiry_s, receive_maximum, maximum_packet_size, user) in (opt(any::<u32>()), opt(1_u16..), opt(1_u32..), user()),
        (method, data, ask) in (opt(text()), opt(blob()), opt(any::<bool>())),
    ) -> Packet {
        let properties = WillProperties {
            delay_s, payload_format, message_expiry_s, content_type, response_topic: Some(topic.clone()),
            correlation_data: Some(payload.clone()), user: will_user,
        };
        Packet::Connect(Box::new(Connect {
            version: Version::V5, clean_start, keep_alive_s, client_id, user_name, password,
            will: with_will.then_some(Will { topic, payload, qos, retain, properties }),
            properties: ConnectProperties {
                session_expiry_s, receive_maximum, maximum_packet_size, topic_alias_maximum: receive_maximum,
                request_response_information: ask, request_problem_information: ask,
                authentication_data: method.as_ref().and(data), authentication_method: method, user,
            },
        }))
    }
}

prop_compose! {
    fn ack_parts()(id in 1_u16.., reason_string in opt(text()), user in user()) -> (u16, AckProperties) {
        (id, AckProperties { reason_string, user })
    }
}

fn any_client_packet() -> impl Strategy<Value = Packet> {
    let ack = |codes: &'static [u8]| {
        (ack_parts(), proptest::sample::select(codes)).prop_map(|((packet_id, properties), code)| Ack {
            packet_id,
            reason: ReasonCode(code),
            properties,
        })
    };
    let line = (filter(), qos(), any::<bool>(), any::<bool>(), 0_u8..3).prop_map(|(filter, qos, no_local, rap, rh)| {
        let retain_handling =
            [RetainHandling::Send, RetainHandling::SendIfNew, RetainHandling::DoNotSend][usize::from(rh)];
        let no_local = no_local && filter.share_group().is_none();
        Filter { filter, qos, no_local, retain_as_published: rap, retain_handling }
    });
    let lines = proptest::collection::vec(line, 1..4);
    let subscribe = (1_u16.., user(), opt(1_u32..268_435_456), lines).prop_map(|(packet_id, user, id, filters)| {
        let properties = SubscribeProperties { user, subscription_id: id.into_iter().collect() };
        Packet::Subscribe(Subscribe { packet_id, properties, filters })
    });
    let unsubscribe =
        (1_u16.., user(), proptest::collection::vec(filter(), 1..4)).prop_map(|(packet_id, user, filters)| {
            Packet::Unsubscribe(Unsubscribe { packet_id, properties: UnsubscribeProperties { user }, filters })
        });
    let disconnect = (opt(any::<u32>()), opt(text()), user()).prop_map(|(session_expiry_s, reason_string, user)| {
        let properties = DisconnectProperties { session_expiry_s, reason_string, server_reference: None, user };
        Packet::Disconnect(Disconnect { reason: ReasonCode(4), properties })
    });
    prop_oneof![
        ack(&[0, 0x10, 0x97]).prop_map(Packet::PubAck),
        ack(&[0, 0x10, 0x97]).prop_map(Packet::PubRec),
        ack(&[0, 0x92]).prop_map(Packet::PubRel),
        ack(&[0, 0x92]).prop_map(Packet::PubComp),
        subscribe,
        unsubscribe,
        disconnect,
        Just(Packet::PingReq),
        (opt(text()), opt(blob()), user()).prop_map(|(method, data, user)| {
            let properties =
                AuthProperties { authentication_method: method, authentication_data: data, reason_string: None, user };
            Packet::Auth(Auth { reason: ReasonCode(0x18), properties })
        }),
    ]
}

fn any_server_packet() -> impl Strategy<Value = Packet> {
    let reasons = || proptest::collection::vec((0_u8..).prop_map(ReasonCode), 1..4);
    let conn_ack = (any::<bool>(), any::<u8>(), opt(text()), opt(1_u16..), opt(1_u32..), opt(any::<bool>()), user())
        .prop_map(|(session_present, code, words, small, large, flag, user)| {
            let properties = ConnAckProperties {
                session_expiry_s: large,
                receive_maximum: small,
                maximum_qos: flag,
                retain_available: flag,
                maximum_packet_size: large,
                assigned_client_id: words.clone(),
                topic_alias_maximum: small,
                reason_string: words.clone(),
                wildcard_subscription_available: flag,
                subscription_identifiers_available: flag,
                shared_subscription_available: flag,
                server_keep_alive_s: small,
                response_information: words.clone(),
                server_reference: words.clone(),
                authentication_method: words,
                authentication_data: None,
                user,
            };
            Packet::ConnAck(Box::new(ConnAck { session_present, reason: ReasonCode(code), properties }))
        });
    prop_oneof![
        any_publish(),
        conn_ack,
        (ack_parts(), reasons()).prop_map(|((packet_id, properties), reasons)| Packet::SubAck(SubAck {
            packet_id,
            properties,
            reasons
        })),
        (ack_parts(), reasons()).prop_map(|((packet_id, properties), reasons)| Packet::UnsubAck(UnsubAck {
            packet_id,
            properties,
            reasons
        })),
        Just(Packet::PingResp),
    ]
}

fn server_after_connect() -> Decoder {
    let mut decoder = Decoder::server(LIMITS);
    let mut buffer = BytesMut::new();
    Packet::Connect(Box::new(connect(Version::V5))).encode(Version::V5, &mut buffer).unwrap();
    decoder.decode(&mut buffer).unwrap();
    decoder
}

fn round_trip(mut decoder: Decoder, packet: &Packet) -> Result<(), TestCaseError> {
    let mut buffer = BytesMut::new();
    packet.encode(Version::V5, &mut buffer).unwrap();
    let whole = buffer.clone();
    for cut in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..cut]);
        prop_assert_eq!(decoder.clone().decode(&mut part), Ok(None), "a part is not a packet");
    }
    prop_assert_eq!(decoder.decode(&mut buffer), Ok(Some(packet.clone())));
    prop_assert!(buffer.is_empty());
    Ok(())
}

/// Decodes to the end or the first error; must not panic.
fn swallow(mut decoder: Decoder, bytes: &[u8]) {
    let mut buffer = BytesMut::from(bytes);
    while let Ok(Some(_)) = decoder.decode(&mut buffer) {}
}

proptest! {
    #[test]
    fn what_a_client_writes_the_server_reads(packet in any_client_packet()) {
        round_trip(server_after_connect(), &packet)?;
    }

    #[test]
    fn what_a_server_writes_the_client_reads(packet in any_server_packet()) {
        round_trip(Decoder::client(Version::V5, LIMITS), &packet)?;
    }

    #[test]
    fn connect_reads_back(packet in any_connect()) {
        round_trip(Decoder::server(LIMITS), &packet)?;
    }

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        swallow(Decoder::server(LIMITS), &bytes);
        swallow(server_after_connect(), &bytes);
        swallow(Decoder::client(Version::V311, LIMITS), &bytes);
        swallow(Decoder::client(Version::V5, LIMITS), &bytes);
    }

    #[test]
    fn mutated_packets_never_panic(
        packet in prop_oneof![any_client_packet(), any_server_packet(), any_connect()],
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = BytesMut::new();
        packet.encode(Version::V5, &mut bytes).unwrap();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        swallow(Decoder::server(LIMITS), &bytes);
        swallow(server_after_connect(), &bytes);
        swallow(Decoder::client(Version::V5, LIMITS), &bytes);
    }

    #[test]
    fn a_filter_matches_as_the_plain_definition_says(filter in filter(), topic in topic()) {
        fn plain(filter: &[&str], topic: &[&str]) -> bool {
            match (filter.split_first(), topic.split_first()) {
                (Some((&"#", _)), _) => true,
                (Some((&"+", f)), Some((_, t))) => plain(f, t),
                (Some((a, f)), Some((b, t))) => a == b && plain(f, t),
                (None, None) => true,
                _ => false,
            }
        }
        let split: Vec<&str> = filter.pattern().split('/').collect();
        let names: Vec<&str> = topic.as_str().split('/').collect();
        prop_assert_eq!(filter.matches(topic.as_str()), plain(&split, &names));
    }
}
