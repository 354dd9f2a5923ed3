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

/// A PUBLISH of QoS 0 with this topic, after its length, and a text property in front of the payload in 5.0.
fn publish_bytes(version: Version, topic: &[u8], content_type: Option<&[u8]>) -> String {
    let with_length = |bytes: &[u8]| [&u16::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat();
    let mut body = with_length(topic);
    if version == Version::V5 {
        let properties = content_type.map_or(Vec::new(), |text| [&[0x03][..], &with_length(text)].concat());
        body.push(u8::try_from(properties.len()).unwrap());
        body.extend(properties);
    }
    let hex: String = body.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("30{:02x}{hex}", body.len())
}

#[test]
fn strings_are_well_formed_utf_8_without_nul() {
    let bad: [&[u8]; 8] = [
        b"\xff",
        b"a\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xed\xbf\xbf",
        b"\xe2\x82",
        b"\xf4\x90\x80\x80",
        b"a\0b",
        b"\xc0\x80",
    ];
    for text in bad {
        for version in [Version::V311, Version::V5] {
            assert_eq!(reason(version, &publish_bytes(version, text, None)), 0x81, "{text:?}");
        }
        assert_eq!(reason(Version::V5, &publish_bytes(Version::V5, b"a", Some(text))), 0x81, "{text:?}");
    }
    let user = |name: &str, value: &str| format!("30{:02x}000161{:02x}26{name}{value}", 9 + 2, 7);
    assert_eq!(reason(Version::V5, &user("0001ff", "000161")), 0x81, "the name of a pair");
    assert_eq!(reason(Version::V5, &user("000161", "000100")), 0x81, "the value of a pair");
    assert!(from_client(Version::V5, &user("000161", "000162")).is_ok());
}

#[test]
fn a_byte_order_mark_is_a_character_like_any_other() {
    for version in [Version::V311, Version::V5] {
        let text = "\u{feff}a\u{feff}";
        let bytes = publish_bytes(version, text.as_bytes(), Some(text.as_bytes()));
        let Ok(Some(Packet::Publish(publish))) = from_client(version, &bytes) else { panic!("{bytes}") };
        assert_eq!(publish.topic.unwrap().as_str(), text);
        assert_eq!(publish.properties.content_type.is_some_and(|t| t.as_str() == text), version == Version::V5);
    }
}

#[test]
fn names_have_1_to_65535_bytes() {
    let longest = "x".repeat(65_535);
    for text in ["", &format!("{longest}x")] {
        assert!(TopicName::parse(text).is_err() && TopicFilter::parse(text).is_err(), "{} bytes", text.len());
    }
    assert!(Text::parse(&format!("{longest}x")).is_err() && Text::parse("").is_ok());
    for text in ["/", &longest] {
        assert!(TopicName::parse(text).is_ok() && TopicFilter::parse(text).is_ok(), "{} bytes", text.len());
    }
}

#[test]
fn reserved_flags_of_every_packet_must_be_as_the_standard_has_them() {
    let packets = [
        (0x40, 0, "020001"),
        (0x50, 0, "020001"),
        (0x60, 2, "020001"),
        (0x70, 0, "020001"),
        (0x80, 2, "070001000001 6100"),
        (0xA0, 2, "060001000001 61"),
        (0xC0, 0, "00"),
        (0xE0, 0, "00"),
        (0xF0, 0, "00"),
    ];
    for (kind, wanted, rest) in packets {
        let rest = rest.replace(' ', "");
        for flags in 0..16 {
            let result = from_client(Version::V5, &format!("{:02x}{rest}", kind | flags));
            match result {
                Ok(Some(_)) => assert_eq!(flags, wanted, "{kind:#x}"),
                Err(DecodeError { fault, .. }) => {
                    assert_eq!((fault, flags != wanted), (Fault::Flags(flags), true), "{kind:#x}");
                }
                Ok(None) => panic!("{kind:#x} {flags}: incomplete"),
            }
        }
    }
    for kind in [0x10, 0x20, 0x90, 0xB0, 0xD0, 0x00] {
        for flags in 0..16 {
            assert!(from_client(Version::V5, &format!("{:02x}00", kind | flags)).is_err(), "{kind:#x}");
        }
    }
}

#[test]
fn qos_3_and_dup_without_qos_are_refused() {
    for version in [Version::V311, Version::V5] {
        for first in (0x30..0x40).filter(|first| first & 6 == 6 || first & 0x0E == 0x08) {
            let error = from_client(version, &format!("{first:02x}08000161000100780000")).unwrap_err();
            assert_eq!((error.reason().0, error.fault), (0x81, Fault::QoS), "{first:#x}");
        }
    }
}

#[test]
fn numbers_of_variable_length_are_as_short_as_can_be() {
    for (id, wanted) in
        [(1, "01"), (127, "7f"), (128, "8001"), (16_383, "ff7f"), (16_384, "808001"), (268_435_455, "ffffff7f")]
    {
        let line = Filter {
            filter: TopicFilter::parse("a").unwrap(),
            qos: QoS::AtMostOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let properties = SubscribeProperties { subscription_id: vec![id], ..Default::default() };
        let packet = Packet::Subscribe(Subscribe { packet_id: 1, properties, filters: vec![line] });
        let mut out = BytesMut::new();
        packet.encode(Version::V5, &mut out).unwrap();
        let hex: String = out[6..out.len() - 4].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, wanted);
    }
    for size in [0_usize, 119, 120, 16_376, 16_377] {
        let mut out = BytesMut::new();
        let publish = Publish {
            dup: false,
            qos: QoS::AtMostOnce,
            retain: false,
            topic: Some(TopicName::parse("topic").unwrap()),
            packet_id: 0,
            properties: PublishProperties::default(),
            payload: Bytes::from(vec![b'x'; size]),
        };
        Packet::Publish(publish).encode(Version::V5, &mut out).unwrap();
        let length = out[1..].iter().take_while(|byte| **byte & 0x80 != 0).count() + 1;
        let wanted = 1 + usize::from(size + 8 > 127) + usize::from(size + 8 > 16_383);
        assert_eq!((length, out.len()), (wanted, 1 + wanted + 8 + size));
    }
    assert_eq!(reason(Version::V5, "c08000"), 0x81, "a remaining length with a byte too many");
    assert_eq!(reason(Version::V5, "820a0001038b000100016100"), 0x81, "a property number with a byte too many");
}

#[test]
fn a_connect_of_5_0_has_no_byte_too_many_in_its_length() {
    let decode = |text: &str| Decoder::server(LIMITS).decode(&mut BytesMut::from(&hex(text)[..]));
    let error = decode("108e8000 00044d515454 05 02 0000 00 000178".replace(' ', "").as_str()).unwrap_err();
    assert_eq!((error.reason(), error.version), (ReasonCode::MALFORMED_PACKET, Some(Version::V5)));
    // MQTT 3.1.1 does not forbid it.
    assert!(decode("108d00 00044d515454 04 02 0000 000178".replace(' ', "").as_str()).is_ok());
}

#[test]
fn mqtt_3_1_repeats_more_than_messages_and_may_leave_out_what_its_flags_announce() {
    for text in ["6a020001", "8a060001000161 00", "aa050001000161"] {
        let text = text.replace(' ', "");
        assert!(from_client(Version::V31, &text).is_ok(), "{text}");
        for version in [Version::V311, Version::V5] {
            assert!(from_client(version, &text).is_err(), "{text}");
        }
    }
    let connect = |level: u8, name: &str| {
        let body = format!("00{:02x}{name}{level:02x}c200000001 78", name.len() / 2).replace(' ', "");
        Decoder::server(LIMITS).decode(&mut BytesMut::from(&hex(&format!("10{:02x}{body}", body.len() / 2))[..]))
    };
    let Ok(Some(Packet::Connect(old))) = connect(3, "4d5149736470") else { panic!("of 3.1") };
    assert_eq!((old.user_name, old.password), (None, None));
    assert!(connect(4, "4d515454").is_err(), "of 3.1.1");
}

#[test]
fn a_connack_of_3_1_says_nothing_of_sessions() {
    let ack = ConnAck { session_present: true, ..ConnAck::default() };
    for (version, wanted) in [(Version::V31, 0), (Version::V311, 1), (Version::V5, 1)] {
        let mut out = BytesMut::new();
        Packet::ConnAck(Box::new(ack.clone())).encode(version, &mut out).unwrap();
        assert_eq!(out[2], wanted, "{version:?}");
        let decoded = Decoder::client(version, LIMITS).decode(&mut out);
        let Ok(Some(Packet::ConnAck(back))) = decoded else { panic!("{version:?}: {decoded:?}") };
        assert_eq!(back.session_present, version != Version::V31);
    }
}

#[test]
fn an_unsuback_before_5_0_ends_behind_its_identifier() {
    let decode = |version, text: &str| Decoder::client(version, LIMITS).decode(&mut BytesMut::from(&hex(text)[..]));
    for version in [Version::V31, Version::V311] {
        assert!(decode(version, "b0020007").is_ok());
        assert_eq!(decode(version, "b003000700").unwrap_err().fault, Fault::Trailing(1));
    }
}

#[test]
fn a_packet_without_properties_says_so_and_qos_0_has_no_identifier() {
    let hex = |packet: Packet| {
        let mut out = BytesMut::new();
        packet.encode(Version::V5, &mut out).unwrap();
        out.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let publish = |qos, packet_id| {
        let topic = Some(TopicName::parse("a").unwrap());
        let properties = PublishProperties::default();
        let payload = Bytes::from_static(b"x");
        Packet::Publish(Publish { dup: false, qos, retain: false, topic, packet_id, properties, payload })
    };
    assert_eq!(hex(publish(QoS::AtMostOnce, 0)), "3005000161 00 78".replace(' ', ""));
    assert_eq!(hex(publish(QoS::AtMostOnce, 7)), "3005000161 00 78".replace(' ', ""));
    assert_eq!(hex(publish(QoS::AtLeastOnce, 7)), "3207000161 0007 00 78".replace(' ', ""));
    let reasons = vec![ReasonCode::SUCCESS];
    let properties = AckProperties::default();
    assert_eq!(hex(Packet::SubAck(SubAck { packet_id: 7, properties, reasons: reasons.clone() })), "900400070000");
    assert_eq!(
        hex(Packet::UnsubAck(UnsubAck { packet_id: 7, properties: Default::default(), reasons })),
        "b00400070000"
    );
    assert_eq!(hex(Packet::ConnAck(Box::default())), "2003000000");
    assert_eq!(hex(Packet::PubAck(Ack::new(7, ReasonCode::SUCCESS))), "40020007", "here the length may be left out");
}

#[test]
fn questions_need_an_identifier_and_a_filter() {
    for (version, text) in [
        (Version::V311, "82050000 0001 61 00"),
        (Version::V311, "a2050000 0001 61"),
        (Version::V311, "32050001 61 0000"),
        (Version::V311, "82020001"),
        (Version::V311, "a2020001"),
        (Version::V5, "82070000 00 0001 61 00"),
        (Version::V5, "a2060000 00 0001 61"),
        (Version::V5, "32060001 61 0000 00"),
        (Version::V5, "8203000100"),
        (Version::V5, "a203000100"),
        (Version::V5, "8206000100000161"),
    ] {
        assert!(from_client(version, &text.replace(' ', "")).is_err(), "{version:?} {text}");
    }
}

#[test]
fn subscription_options_have_no_reserved_bits_and_no_qos_3() {
    for options in 0..=255_u8 {
        let v5 = from_client(Version::V5, &format!("8207000100000161{options:02x}")).is_ok();
        assert_eq!(v5, options & 0xC0 == 0 && options & 3 != 3 && options & 0x30 != 0x30, "{options:#x}");
        let v311 = from_client(Version::V311, &format!("82060001000161{options:02x}")).is_ok();
        assert_eq!(v311, options < 3, "{options:#x}");
    }
}

#[test]
fn a_response_topic_is_a_topic_name() {
    let with = |topic: &str| {
        let text: String = topic.bytes().map(|byte| format!("{byte:02x}")).collect();
        let properties = format!("0800{:02x}{text}", topic.len());
        from_client(Version::V5, &format!("30{:02x}000161{:02x}{properties}", 7 + topic.len(), 3 + topic.len()))
    };
    assert!(with("answers/x").is_ok());
    for topic in ["a/+", "#", "", "a/#"] {
        assert_eq!(with(topic).unwrap_err().reason(), ReasonCode::MALFORMED_PACKET, "{topic}");
    }
}

#[test]
fn answers_carry_the_reasons_of_their_table_only() {
    let puback: &[u8] = &[0x00, 0x10, 0x80, 0x83, 0x87, 0x90, 0x91, 0x97, 0x99];
    let pubrel: &[u8] = &[0x00, 0x92];
    let auth: &[u8] = &[0x00, 0x18, 0x19];
    let goodbye: &[u8] = &[0x00, 0x04, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
    for code in 0..=255_u8 {
        for (start, table) in [
            ("40030001", puback),
            ("50030001", puback),
            ("62030001", pubrel),
            ("70030001", pubrel),
            ("e001", goodbye),
            ("f001", auth),
        ] {
            let result = from_client(Version::V5, &format!("{start}{code:02x}"));
            match table.contains(&code) {
                true => assert!(result.is_ok(), "{start} {code:#x}"),
                false => assert_eq!(result.unwrap_err().reason(), ReasonCode::PROTOCOL_ERROR, "{start} {code:#x}"),
            }
        }
    }
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

#[test]
fn two_filters_overlap_where_some_topic_falls_under_both() {
    let levels = |words: &[&str], most: usize| {
        let mut all: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mut last = all.clone();
        for _ in 1..most {
            last = last.iter().flat_map(|line| words.iter().map(move |word| format!("{line}/{word}"))).collect();
            all.extend_from_slice(&last);
        }
        all
    };
    let topics = levels(&["a", "b", "$x", ""], 4);
    let filters = levels(&["a", "+", "#", "$x", ""], 3);
    let filters: Vec<_> = filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok()).collect();
    assert!(filters.len() > 80, "{}", filters.len());
    for one in &filters {
        for other in &filters {
            let topic =
                topics.iter().filter(|t| !t.is_empty()).find(|topic| one.matches(topic) && other.matches(topic));
            assert_eq!(one.overlaps(other), topic.is_some(), "{one} and {other}: {topic:?}");
        }
    }
    let shared = |filter: &str| TopicFilter::parse(filter).unwrap();
    assert!(shared("$share/g/a/+").overlaps(&shared("a/b")) && !shared("$share/g/a").overlaps(&shared("$share/g/b")));
}

#[test]
fn of_a_publish_over_the_limit_is_known_what_is_needed_to_say_no() {
    let decoder = Decoder::client(Version::V311, Limits { packet_bytes: 100, user_properties: 1 });
    let publish = |size: usize, qos: QoS| Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::parse("a/b").unwrap()),
        packet_id: if qos == QoS::AtMostOnce { 0 } else { 7 },
        properties: PublishProperties::default(),
        payload: Bytes::from(vec![b'x'; size]),
    };
    let bytes = |publish: Publish| {
        let mut bytes = BytesMut::new();
        Packet::Publish(publish).encode(Version::V311, &mut bytes).unwrap();
        bytes
    };
    let large = bytes(publish(1000, QoS::AtLeastOnce));
    let topic = TopicName::parse("a/b").unwrap();
    let expected = Oversize { topic, qos: QoS::AtLeastOnce, packet_id: 7, bytes: large.len() };
    assert_eq!(decoder.size(&large), Size::Over(expected.clone()));
    // As soon as topic and identifier are there.
    for arrived in 0..20 {
        let wanted = match arrived {
            0..3 => Size::Within,
            3..10 => Size::Unknown,
            _ => Size::Over(expected.clone()),
        };
        assert_eq!(decoder.size(&large[..arrived]), wanted, "{arrived}");
    }
    assert!(matches!(decoder.size(&bytes(publish(1000, QoS::AtMostOnce))), Size::Over(Oversize { packet_id: 0, .. })));
    for (what, bytes) in [
        ("small enough", &bytes(publish(10, QoS::AtLeastOnce))[..]),
        ("no PUBLISH", &[0x40, 0xFF, 0x7F, 0, 1, 2, 3, 4]),
        ("no topic", &[0x32, 0xFF, 0x7F, 0, 1, b'#', 0, 1]),
        ("no QoS", &[0x36, 0xFF, 0x7F, 0, 1, b'a', 0, 1]),
        ("no identifier", &[0x32, 0xFF, 0x7F, 0, 1, b'a', 0, 0]),
        ("a topic longer than the packet", &[0x32, 0xC8, 0x01, 0xFF, 0xFF, b'a']),
    ] {
        assert_eq!(decoder.size(bytes), Size::Within, "{what}");
    }
}
