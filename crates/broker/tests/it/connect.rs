//! MQTT chapters 3.1, 3.2, 3.14, 3.15, 4.12: coming in and going away. The table is in `docs/conformance/mqtt.md`.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;
use bytes::Bytes;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Speaks as `press-7` with this password.
fn with_password(connect: Connect, password: &'static [u8]) -> Connect {
    Connect {
        user_name: Some(Text::parse("press-7").unwrap()),
        password: Some(Bytes::from_static(password)),
        ..connect
    }
}

/// A field with its two length bytes.
fn field(bytes: &[u8]) -> Vec<u8> {
    let mut out = u16::try_from(bytes.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(bytes);
    out
}

/// A CONNECT put together by hand: `payload` is what follows the keep alive and, in 5.0, the empty properties.
fn raw_connect(name: &[u8], level: u8, flags: u8, payload: &[Vec<u8>]) -> Vec<u8> {
    let mut body = field(name);
    body.extend([level, flags, 0, 60]);
    if level >= 5 {
        body.push(0);
    }
    body.extend(payload.concat());
    let mut out = vec![0x10, u8::try_from(body.len()).unwrap()];
    out.extend(body);
    out
}

#[tokio::test]
async fn before_connect_nothing_is_answered() {
    let (_folder, site) = Site::usual().await;
    let packets = [
        Packet::PingReq,
        Packet::Publish(publish("a", "x", QoS::AtLeastOnce, 1)),
        Packet::Subscribe(Subscribe {
            packet_id: 1,
            properties: SubscribeProperties::default(),
            filters: vec![filter("a", QoS::AtMostOnce)],
        }),
        Packet::Disconnect(Disconnect::default()),
        Packet::Auth(Auth::default()),
    ];
    for packet in packets {
        for version in [Version::V311, Version::V5] {
            assert!(answer_to(site.address, &bytes_of(&packet, version)).await.is_empty(), "{packet:?}");
        }
    }
    assert!(site.hooks.mapped.lock().unwrap().is_empty());
    site.stop().await;
}

#[tokio::test]
async fn a_second_connect_ends_the_connection_without_another_acknowledgement() {
    let (_folder, site) = Site::usual().await;
    let mut client = site.client(hello("twice")).await;
    client.send(Packet::Connect(Box::new(hello("twice")))).await;
    assert_eq!(client.farewell().await, ReasonCode::PROTOCOL_ERROR);
    let mut client = site.client(old("twice", true)).await;
    client.send(Packet::Connect(Box::new(old("twice", true)))).await;
    assert_eq!(client.try_next().await, None);
    site.stop().await;
}

#[tokio::test]
async fn another_protocol_or_level_is_refused() {
    let (_folder, site) = Site::usual().await;
    let id = || [field(b"a")];
    let cases: [(&[u8], u8, &[u8]); 4] = [
        (b"MQTT", 6, &[0x20, 3, 0, 0x84, 0]),
        (b"MQTT", 3, &[0x20, 2, 0, 1]),
        (b"MQIsdp", 4, &[0x20, 2, 0, 1]),
        (b"MQIsdp", 5, &[0x20, 2, 0, 1]),
    ];
    for (name, level, wanted) in cases {
        let heard = answer_to(site.address, &raw_connect(name, level, 2, &id())).await;
        assert_eq!(heard, wanted, "{} {level}", String::from_utf8_lossy(name));
    }
    let others: [&[u8]; 7] = [b"", b"MQT", b"MQTX", b"MQTTX", b"mqtt", b"Mqtt", b"mqisdp"];
    for name in others {
        for level in 3..=6 {
            let heard = answer_to(site.address, &raw_connect(name, level, 2, &id())).await;
            assert!(heard.is_empty(), "{} {level}: {heard:02x?}", String::from_utf8_lossy(name));
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn connect_flags_and_payload_must_agree() {
    let (_folder, site) = Site::usual().await;
    let (id, text) = (field(b"a"), field(b"b"));
    let cases: [(&str, u8, usize); 11] = [
        ("the reserved flag", 0x03, 0),
        ("a will QoS without a will", 0x0A, 0),
        ("a will retain without a will", 0x22, 0),
        ("a will QoS of 3", 0x1E, 2),
        ("a will flag and no will", 0x06, 0),
        ("a will topic and no will payload", 0x06, 1),
        ("no will flag and a will", 0x02, 2),
        ("a user name flag and no user name", 0x82, 0),
        ("no user name flag and a user name", 0x02, 1),
        ("a password flag and no password", 0xC2, 1),
        ("no password flag and a password", 0x82, 2),
    ];
    for (what, flags, more) in cases {
        for level in [4, 5] {
            let mut payload = vec![id.clone()];
            if level == 5 && flags & 4 != 0 && more > 0 {
                payload.push(vec![0]); // will properties
            }
            payload.extend(vec![text.clone(); more]);
            let heard = answer_to(site.address, &raw_connect(b"MQTT", level, flags, &payload)).await;
            let wanted: &[u8] = if level == 5 { &[0x20, 3, 0, 0x81, 0] } else { &[] };
            assert_eq!(heard, wanted, "{what}, level {level}");
        }
    }
    assert!(answer_to(site.address, &raw_connect(b"MQTT", 4, 2, &[])).await.is_empty(), "no client identifier");
    let heard = answer_to(site.address, &raw_connect(b"MQTT", 5, 2, &[])).await;
    assert_eq!(heard, [0x20, 3, 0, 0x81, 0], "no client identifier");
    let password_alone = raw_connect(b"MQTT", 4, 0x42, &[id, text]);
    assert!(answer_to(site.address, &password_alone).await.is_empty(), "3.1.1 wants a user name with a password");
    site.stop().await;
}

#[tokio::test]
async fn the_fields_of_connect_are_read_in_their_order() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("#", QoS::AtMostOnce).await;
    for level in [4, 5] {
        let mut payload = vec![field(b"press")];
        if level == 5 {
            payload.push(vec![0]);
        }
        payload.extend([field(b"will/topic"), field(b"will payload"), field(b"press-7"), field(b"right")]);
        let mut bytes = raw_connect(b"MQTT", level, 0xC6, &payload);
        // Not a packet: the connection is closed, and the will published.
        bytes.extend([0x00, 0x00]);
        let heard = answer_to(site.address, &bytes).await;
        assert_eq!((heard[0], heard[3]), (0x20, 0));
        let will = watcher.next_publish().await;
        let events = site.hooks.events.lock().unwrap().clone();
        let came = events.iter().rfind(|event| event.connected).unwrap();
        assert_eq!(came.client_id, "press");
        assert_eq!(came.principal.id, uuid::Uuid::from_u128(7), "by user name and password, each in its place");
        assert_eq!((will.topic.unwrap().as_str(), will.payload.as_ref()), ("will/topic", &b"will payload"[..]));
    }
    site.stop().await;
}

#[tokio::test]
async fn an_identifier_that_is_no_string_is_refused() {
    let (_folder, site) = Site::usual().await;
    let ids: [&[u8]; 6] = [b"a\0b", b"\0", b"\xff", b"a\xc0\xaf", b"\xed\xa0\x80", b"a\xe2\x82"];
    for id in ids {
        for (level, wanted) in [(4, &[0x20, 2, 0, 2][..]), (5, &[0x20, 3, 0, 0x85, 0])] {
            let heard = answer_to(site.address, &raw_connect(b"MQTT", level, 2, &[field(id)])).await;
            assert_eq!(heard, wanted, "{id:02x?}, level {level}");
        }
    }
    assert!(site.hooks.events.lock().unwrap().is_empty());
    site.stop().await;
}

#[tokio::test]
async fn identifiers_of_1_to_23_letters_and_digits_are_let_in() {
    let (_folder, site) = Site::usual().await;
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut ids: Vec<&str> = (0..all.len()).step_by(23).map(|at| &all[at..all.len().min(at + 23)]).collect();
    ids.push("Z");
    for id in ids {
        site.client(hello(id)).await.leave().await;
        site.client(old(id, false)).await.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_client_without_an_identifier_gets_one_of_its_own() {
    let (_folder, site) = Site::usual().await;
    let mut given = Vec::new();
    for _ in 0..2 {
        let mut client = Client::dial(site.address, Version::V5).await;
        let ack = client.connect(Connect { client_id: Text::default(), ..lasting("") }).await;
        let id = ack.properties.assigned_client_id.unwrap();
        assert!(!ack.session_present);
        client.leave().await;
        site.again(Connect { client_id: id.clone(), ..lasting("") }).await;
        given.push(id);
    }
    assert_ne!(given[0], given[1]);
    let mut named = Client::dial(site.address, Version::V5).await;
    assert_eq!(named.connect(hello("named")).await.properties.assigned_client_id, None);

    // These are not told theirs, but each has one.
    let mut unnamed = [site.client(old("", true)).await, site.client(old("", true)).await];
    for client in &mut unnamed {
        client.expect_nothing().await;
    }
    let clients = site.broker.clients();
    assert_eq!(clients.iter().filter(|c| c.connected && c.client_id.starts_with("auto-")).count(), 2);
    let mut kept = Client::dial(site.address, Version::V311).await;
    assert_eq!(kept.connect(old("", false)).await.reason, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    assert_eq!(kept.try_next().await, None);
    site.stop().await;
}

#[tokio::test]
async fn session_present_says_whether_there_was_one() {
    let (_folder, site) = Site::usual().await;
    for (first, second) in [(lasting("a"), hello("a")), (old("b", false), old("b", true))] {
        let version = first.version;
        for (connect, wanted) in [(&first, false), (&first, true), (&second, false), (&first, false), (&second, false)]
        {
            let mut client = Client::dial(site.address, version).await;
            let ack = client.connect(connect.clone()).await;
            assert_eq!((ack.reason, ack.session_present), (ReasonCode::SUCCESS, wanted), "{connect:?}");
            client.leave().await;
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn a_refused_connect_says_no_session_present_and_is_the_end() {
    let (_folder, site) = Site::usual().await;
    for connect in [lasting("press"), old("press-old", false)] {
        site.client(with_password(connect.clone(), b"right")).await.leave().await;
        let mut client = Client::dial(site.address, connect.version).await;
        let refused = client.connect(with_password(connect, b"wrong")).await;
        assert_eq!((refused.reason, refused.session_present), (ReasonCode::BAD_USER_NAME_OR_PASSWORD, false));
        assert_eq!(client.try_next().await, None);
    }
    site.stop().await;
}

#[tokio::test]
async fn what_follows_a_refused_connect_is_not_processed() {
    let (_folder, site) = Site::usual().await;
    for connect in [hello("press"), old("press-old", true)] {
        let message = Publish { retain: true, ..publish("r", "kept", QoS::AtLeastOnce, 1) };
        for (password, wanted) in [(&b"wrong"[..], 0), (b"right", 1)] {
            let version = connect.version;
            let connect = with_password(connect.clone(), password);
            let mut bytes = bytes_of(&Packet::Connect(Box::new(connect)), version);
            bytes.extend(bytes_of(&Packet::Publish(message.clone()), version));
            bytes.extend(bytes_of(&Packet::Disconnect(Disconnect::default()), version));
            let heard = answer_to(site.address, &bytes).await;
            assert_eq!(heard[3] == 0, wanted == 1, "{heard:02x?}");
            if wanted == 1 {
                until(|| site.broker.stats().retained == 1).await;
            }
            assert_eq!(site.broker.stats().retained, wanted, "after the password {password:?}");
        }
        site.client(hello("cleaner")).await.send(Packet::Publish(Publish { payload: Bytes::new(), ..message })).await;
        until(|| site.broker.stats().retained == 0).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn the_acknowledgement_says_nothing_that_was_not_asked_for() {
    let (_folder, site) = Site::usual().await;
    for asks in [None, Some(false), Some(true)] {
        let mut connect = hello("curious");
        connect.properties.request_response_information = asks;
        connect.properties.request_problem_information = asks;
        let heard = {
            let mut bytes = bytes_of(&Packet::Connect(Box::new(connect.clone())), Version::V5);
            bytes.extend([0xE0, 0]);
            answer_to(site.address, &bytes).await
        };
        assert_eq!((heard[0], heard[2]), (0x20, 0), "the reserved flags are 0");
        let mut client = Client::dial(site.address, Version::V5).await;
        let ack = client.connect(connect).await;
        let told = ConnAckProperties {
            receive_maximum: ack.properties.receive_maximum,
            maximum_packet_size: ack.properties.maximum_packet_size,
            topic_alias_maximum: ack.properties.topic_alias_maximum,
            ..ConnAckProperties::default()
        };
        assert_eq!(ack.properties, told, "no words, no response information, no method, no limit on QoS or retain");
    }
    site.stop().await;
}

#[tokio::test]
async fn the_keep_alive_that_the_server_named_is_the_one_that_counts() {
    let (_folder, site) = Site::with(BrokerOptions { keep_alive_max_s: 1, ..BrokerOptions::default() }).await;
    let mut watcher = site.client(old("watcher", true)).await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let mut client = Client::dial(site.address, Version::V5).await;
    let ack = client.connect(Connect { keep_alive_s: 600, will: Some(will("will", None)), ..hello("silent") }).await;
    assert_eq!(ack.properties.server_keep_alive_s, Some(1));
    assert_eq!(client.farewell().await, ReasonCode::KEEP_ALIVE_TIMEOUT);
    assert_eq!(watcher.next_publish().await.payload.as_ref(), b"gone", "as if the network had failed");
    site.stop().await;
}

#[tokio::test]
async fn a_will_is_published_as_it_was_given() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe_with("will", QoS::ExactlyOnce, |f| f.retain_as_published = true).await;
    let pair = |a: &str, b: &str| (Text::parse(a).unwrap(), Text::parse(b).unwrap());
    let user = vec![pair("b", "1"), pair("a", "2"), pair("b", "0"), pair("", "")];
    for (qos, retain) in
        [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce].into_iter().flat_map(|q| [(q, false), (q, true)])
    {
        let mut given = Will { qos, retain, ..will("will", None) };
        given.properties = WillProperties {
            payload_format: Some(true),
            message_expiry_s: Some(100),
            content_type: Some(Text::parse("text/plain").unwrap()),
            response_topic: Some(TopicName::parse("answers").unwrap()),
            correlation_data: Some(Bytes::from_static(b"c")),
            user: user.clone(),
            ..WillProperties::default()
        };
        drop(site.client(Connect { will: Some(given), ..hello("dying") }).await);
        let got = watcher.next_publish().await;
        assert_eq!((got.qos, got.retain, got.payload.as_ref()), (qos, retain, &b"gone"[..]));
        let p = got.properties;
        assert_eq!((p.payload_format, p.user), (Some(true), user.clone()));
        assert!(matches!(p.message_expiry_s, Some(90..=100)), "{:?}", p.message_expiry_s);
        assert_eq!(p.content_type.unwrap().as_str(), "text/plain");
        assert_eq!((p.response_topic.unwrap().as_str(), p.correlation_data.unwrap().as_ref()), ("answers", &b"c"[..]));
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => watcher.send(Packet::PubAck(Ack::new(got.packet_id, ReasonCode::SUCCESS))).await,
            QoS::ExactlyOnce => watcher.finish_qos_2(got.packet_id).await,
        }
        assert_eq!(site.broker.stats().retained, usize::from(retain), "{qos:?}");
        let clear = Publish { retain: true, ..publish("will", "", QoS::AtMostOnce, 0) };
        site.client(hello("cleaner")).await.send(Packet::Publish(clear)).await;
        assert!(watcher.next_publish().await.payload.is_empty());
    }
    site.stop().await;
}

#[tokio::test]
async fn a_will_is_published_once_and_also_when_the_goodbye_asks_for_it() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    for connect in [hello("clean"), lasting("kept")] {
        let mut client = site.client(Connect { will: Some(will("will", None)), ..connect.clone() }).await;
        let with_will = Disconnect { reason: ReasonCode::DISCONNECT_WITH_WILL, ..Disconnect::default() };
        client.send(Packet::Disconnect(with_will)).await;
        assert_eq!(client.try_next().await, None);
        assert_eq!(watcher.next_publish().await.payload.as_ref(), b"gone");
        let id = connect.client_id.as_str().to_owned();
        drop(site.client(connect).await);
        site.until_away(&id).await;
        watcher.expect_nothing().await;
    }
    drop(site.client(Connect { will: Some(will("will", None)), ..old("old", false) }).await);
    assert_eq!(watcher.next_publish().await.payload.as_ref(), b"gone");
    drop(site.client(old("old", false)).await);
    site.until_away("old").await;
    watcher.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_3_1_1_will_has_its_qos_and_retain_flag_and_outlives_its_session() {
    let (_folder, site) = Site::usual().await;
    for clean in [true, false] {
        for (qos, retain) in [(QoS::AtMostOnce, true), (QoS::AtLeastOnce, false), (QoS::ExactlyOnce, true)] {
            let mut watcher = site.client(hello("watcher")).await;
            watcher.subscribe_with("will", QoS::ExactlyOnce, |f| f.retain_as_published = true).await;
            drop(
                site.client(Connect { will: Some(Will { qos, retain, ..will("will", None) }), ..old("dying", clean) })
                    .await,
            );
            let got = watcher.next_publish().await;
            assert_eq!((got.qos, got.retain, got.payload.as_ref()), (qos, retain, &b"gone"[..]));
            site.client(old("dying", true)).await.leave().await;
            let mut late = site.client(old("late", true)).await;
            late.subscribe("will", QoS::AtMostOnce).await;
            if retain {
                assert_eq!(late.next_publish().await.payload.as_ref(), b"gone");
                late.send(Packet::Publish(Publish { retain: true, ..publish("will", "", QoS::AtMostOnce, 0) })).await;
                assert!(late.next_publish().await.payload.is_empty());
            }
            late.expect_nothing().await;
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn a_silent_3_1_1_client_is_closed_and_its_will_published() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let silent = Connect { keep_alive_s: 1, will: Some(will("will", None)), ..old("silent", true) };
    let mut silent = site.client(silent).await;
    assert_eq!(silent.try_next().await, None);
    assert_eq!(watcher.next_publish().await.payload.as_ref(), b"gone");
    site.stop().await;
}

#[tokio::test]
async fn a_3_1_1_client_of_the_same_name_takes_the_place_of_the_first() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    for clean in [true, false] {
        let connect = Connect { will: Some(will("will", None)), ..old("one", clean) };
        let mut first = site.client(connect.clone()).await;
        let mut second = site.client(old("one", true)).await;
        assert_eq!(first.try_next().await, None);
        assert_eq!(watcher.next_publish().await.payload.as_ref(), b"gone", "the first one did not say goodbye");
        second.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_session_that_ends_does_not_keep_its_delayed_will_back() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("will/#", QoS::AtMostOnce).await;
    drop(site.client(Connect { will: Some(will("will/new", Some(1000))), ..lasting("a") }).await);
    site.until_away("a").await;
    watcher.expect_nothing().await;
    site.client(hello("a")).await;
    assert_eq!(watcher.next_publish().await.topic.unwrap().as_str(), "will/new", "a clean start ends the session");

    let mut short = lasting("b");
    short.properties.session_expiry_s = Some(50);
    drop(site.client(Connect { will: Some(will("will/expired", Some(1000))), ..short }).await);
    site.until_away("b").await;
    site.clock.turn(std::time::Duration::from_secs(51));
    assert_eq!(watcher.next_publish().await.topic.unwrap().as_str(), "will/expired");
    site.stop().await;
}

#[tokio::test]
async fn a_will_has_the_content_that_those_around_the_broker_give_it_when_it_is_published() {
    let (_folder, site) = Site::usual().await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("dated/#", QoS::AtMostOnce).await;
    for (client, qos, delay) in
        [("a", QoS::AtMostOnce, None), ("b", QoS::AtLeastOnce, None), ("c", QoS::AtLeastOnce, Some(10))]
    {
        let connect = Connect { will: Some(Will { qos, ..will("dated/x", delay) }), ..lasting(client) };
        drop(site.client(connect).await);
        site.until_away(client).await;
        if delay.is_some() {
            site.clock.turn(std::time::Duration::from_secs(11));
        }
        let before = andon_model::Clock::now(&*site.clock);
        let payload = String::from_utf8(watcher.next_publish().await.payload.to_vec()).unwrap();
        let (content, at) = payload.split_once(" at ").expect("dated");
        let at = andon_model::Timestamp::parse_rfc3339(at).expect("a time");
        assert_eq!(content, "gone");
        assert!(before.since(at) < std::time::Duration::from_secs(5), "{at} is not about {before}");
    }
    site.stop().await;
}

#[tokio::test]
async fn a_session_does_not_end_while_its_client_is_connected() {
    for hello in [lasting("here"), old("here", false)] {
        let (_folder, site) = Site::usual().await;
        let mut client = site.client(hello.clone()).await;
        client.subscribe("a", QoS::AtLeastOnce).await;
        site.clock.turn(std::time::Duration::from_secs(2 * 3600));
        // Another session does end, so the housekeeping has been by.
        let mut short = lasting("short");
        short.properties.session_expiry_s = Some(1);
        site.client(short).await.leave().await;
        site.clock.turn(std::time::Duration::from_secs(3500));
        until(|| site.broker.clients().len() == 1).await;
        site.broker.publish_internal("a", "x".into(), QoS::AtLeastOnce, false).await.unwrap();
        let got = client.next_publish().await;
        drop(client);
        site.until_away("here").await;
        let mut client = site.again(hello).await;
        assert_eq!(client.next_publish().await, Publish { dup: true, ..got });
        site.stop().await;
    }
}

#[tokio::test]
async fn a_goodbye_may_end_a_session_but_not_begin_one() {
    let (_folder, site) = Site::usual().await;
    let goodbye = |expiry_s| {
        let properties = DisconnectProperties { session_expiry_s: Some(expiry_s), ..Default::default() };
        Packet::Disconnect(Disconnect { reason: ReasonCode::SUCCESS, properties })
    };
    let mut client = site.client(hello("short")).await;
    client.send(goodbye(10)).await;
    assert_eq!(client.farewell().await, ReasonCode::PROTOCOL_ERROR);
    let mut client = site.client(lasting("long")).await;
    client.send(goodbye(0)).await;
    assert_eq!(client.try_next().await, None);
    until(|| site.broker.clients().is_empty()).await;
    site.stop().await;
}

#[tokio::test]
async fn a_reserved_bit_in_a_goodbye_is_refused() {
    let (_folder, site) = Site::usual().await;
    for version in [Version::V311, Version::V5] {
        let mut watcher = site.client(hello("watcher")).await;
        watcher.subscribe("will", QoS::AtMostOnce).await;
        let connect = Connect { version, will: Some(will("will", None)), ..hello("odd") };
        for flags in 1..16 {
            let mut bytes = bytes_of(&Packet::Connect(Box::new(connect.clone())), version);
            bytes.extend([0xE0 | flags, 0]);
            answer_to(site.address, &bytes).await;
            assert_eq!(watcher.next_publish().await.payload.as_ref(), b"gone", "it was no goodbye");
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn an_authentication_method_is_refused_and_auth_without_one_is_an_error() {
    let (_folder, site) = Site::usual().await;
    let mut connect = hello("new");
    connect.properties.authentication_method = Some(Text::parse("SCRAM-SHA-256").unwrap());
    let mut client = Client::dial(site.address, Version::V5).await;
    let refused = client.connect(connect).await;
    assert_eq!(refused.reason, ReasonCode::BAD_AUTHENTICATION_METHOD);
    assert_eq!(client.try_next().await, None);
    for reason in [ReasonCode::CONTINUE_AUTHENTICATION, ReasonCode::REAUTHENTICATE] {
        let mut client = site.client(hello("plain")).await;
        let properties =
            AuthProperties { authentication_method: Some(Text::parse("SCRAM-SHA-256").unwrap()), ..Default::default() };
        client.send(Packet::Auth(Auth { reason, properties })).await;
        assert_eq!(client.farewell().await, ReasonCode::PROTOCOL_ERROR);
    }
    site.stop().await;
}

#[tokio::test]
async fn who_wants_no_words_gets_none() {
    let (_folder, site) = Site::usual().await;
    for (wants, told) in [(None, true), (Some(true), true), (Some(false), false)] {
        let mut connect = hello("operator");
        connect.properties.request_problem_information = wants;
        let mut client = site.client(connect).await;
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            client.send(Packet::Publish(publish("command/oven", "too much", qos, 3))).await;
            match client.next().await {
                Packet::PubAck(ack) | Packet::PubRec(ack) => {
                    assert_eq!(ack.reason, ReasonCode::IMPLEMENTATION_SPECIFIC);
                    assert_eq!(ack.properties.reason_string.is_some(), told, "{wants:?}");
                    assert!(ack.properties.user.is_empty());
                }
                other => panic!("{other:?}"),
            }
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn no_packet_is_larger_than_the_client_takes() {
    let (_folder, site) = Site::usual().await;
    let narrow = |most, receive_maximum| {
        let mut connect = lasting("narrow");
        connect.properties.maximum_packet_size = Some(most);
        connect.properties.receive_maximum = receive_maximum;
        Packet::Connect(Box::new(connect))
    };
    for most in [1, 4, 10] {
        let heard = answer_to(site.address, &bytes_of(&narrow(most, None), Version::V5)).await;
        assert!(heard.is_empty(), "CONNACK is larger than {most}: {heard:02x?}");
    }
    for (most, wanted) in [(4, 0), (5, 5)] {
        let mut connect = with_password(hello("press"), b"wrong");
        connect.properties.maximum_packet_size = Some(most);
        let heard = answer_to(site.address, &bytes_of(&Packet::Connect(Box::new(connect)), Version::V5)).await;
        assert_eq!(heard.len(), wanted, "a refusal has five bytes: {heard:02x?}");
    }
    let mut client = Client::dial(site.address, Version::V5).await;
    client.send(narrow(32, Some(1))).await;
    assert!(matches!(client.next().await, Packet::ConnAck(_)));
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        client.send(Packet::Publish(publish("command/oven", "too much", qos, 3))).await;
        match client.next().await {
            Packet::PubAck(ack) | Packet::PubRec(ack) => {
                assert_eq!(ack.reason, ReasonCode::IMPLEMENTATION_SPECIFIC);
                assert_eq!(ack.properties.reason_string, None, "the words would not fit");
            }
            other => panic!("{other:?}"),
        }
    }
    client.subscribe("a", QoS::ExactlyOnce).await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        for payload in ["large ".repeat(10), "small".to_owned()] {
            site.broker.publish_internal("a", payload.into(), qos, false).await.unwrap();
        }
        let got = client.next_publish().await;
        assert_eq!((got.payload.as_ref(), got.qos), (&b"small"[..], qos), "the large one counts as sent");
        match qos {
            QoS::AtMostOnce => {}
            QoS::AtLeastOnce => client.ack(&got).await,
            QoS::ExactlyOnce => client.finish_qos_2(got.packet_id).await,
        }
    }
    client.expect_nothing().await;
    let many = Subscribe {
        packet_id: 1,
        properties: SubscribeProperties::default(),
        filters: vec![filter("a", QoS::AtMostOnce); 40],
    };
    client.send(Packet::Subscribe(many)).await;
    assert_eq!(client.farewell().await, ReasonCode::PACKET_TOO_LARGE, "SUBACK cannot be left out");
    site.stop().await;
}

/// A client that leaves with messages unread: its transport breaks on writing, and still has what it said last.
struct Leaver {
    says: VecDeque<Vec<u8>>,
    /// It has left.
    is_gone: Arc<AtomicBool>,
}

impl AsyncRead for Leaver {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        // The goodbye wakes nobody: only the message that cannot be written does.
        if self.says.len() == 1 && !self.is_gone.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        into.put_slice(&self.says.pop_front().unwrap_or_default());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Leaver {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let gone = self.is_gone.load(Ordering::SeqCst);
        Poll::Ready(if gone { Err(std::io::ErrorKind::ConnectionReset.into()) } else { Ok(bytes.len()) })
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn a_goodbye_counts_also_if_its_client_hears_nothing_any_more() {
    let (_folder, site) = Site::usual().await;
    let connect = Connect { will: Some(will("gone/leaver", None)), ..hello("leaver") };
    let subscribe = Subscribe {
        packet_id: 1,
        properties: SubscribeProperties::default(),
        filters: vec![filter("busy", QoS::AtMostOnce)],
    };
    let goodbye =
        Packet::Disconnect(Disconnect { reason: ReasonCode::SUCCESS, properties: DisconnectProperties::default() });
    let begin = [Packet::Connect(Box::new(connect)), Packet::Subscribe(subscribe)];
    let begin = begin.iter().flat_map(|packet| bytes_of(packet, Version::V5)).collect();
    let is_gone = Arc::new(AtomicBool::new(false));
    let leaver = Leaver { says: [begin, bytes_of(&goodbye, Version::V5)].into(), is_gone: is_gone.clone() };
    let peer = Peer { address: site.address, tls: false, websocket: false, certificate: None };
    let serving = tokio::spawn(site.broker.clone().serve(leaver, peer, ()));
    until(|| site.broker.stats().subscriptions == 1).await;
    is_gone.store(true, Ordering::SeqCst);
    site.broker.publish_internal("busy", "x".into(), QoS::AtMostOnce, false).await.unwrap();
    serving.await.unwrap();
    assert_eq!(site.broker.departures(Some("leaver"), 1)[0].reason, EndReason::Client(ReasonCode::SUCCESS));
    site.stop().await;
}
