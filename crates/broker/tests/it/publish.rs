//! MQTT chapters 3.3 to 3.7: what a message is, and what of it reaches whom. The table is in `docs/conformance/mqtt.md`.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;
use bytes::Bytes;

const QOS: [QoS; 3] = [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce];

/// Publishes and plays the publisher's side to its end.
async fn publish_fully(client: &mut Client, message: Publish) {
    let (qos, id) = (message.qos, message.packet_id);
    client.send(Packet::Publish(message)).await;
    match qos {
        QoS::AtMostOnce => client.expect_nothing().await,
        QoS::AtLeastOnce => assert!(client.expect_ack(Packet::PubAck, id).await.is_success()),
        QoS::ExactlyOnce => {
            assert!(client.expect_ack(Packet::PubRec, id).await.is_success());
            client.release(id).await;
        }
    }
}

/// Takes the next message and plays the subscriber's side to its end.
async fn take(client: &mut Client) -> Publish {
    let got = client.next_publish().await;
    match got.qos {
        QoS::AtMostOnce => {}
        QoS::AtLeastOnce => client.ack(&got).await,
        QoS::ExactlyOnce => client.finish_qos_2(got.packet_id).await,
    }
    got
}

fn id_for(qos: QoS) -> u16 {
    if qos == QoS::AtMostOnce { 0 } else { 7 }
}

#[tokio::test]
async fn properties_pass_unaltered_and_in_order() {
    let (_folder, site) = Site::usual().await;
    let pair = |a: &str, b: &str| (Text::parse(a).unwrap(), Text::parse(b).unwrap());
    let properties = PublishProperties {
        payload_format: Some(true),
        response_topic: Some(TopicName::parse("answers/\u{feff}x").unwrap()),
        correlation_data: Some(Bytes::from_static(&[0, 255, 0])),
        content_type: Some(Text::parse("text/plain; ü").unwrap()),
        user: vec![pair("z", "1"), pair("a", "2"), pair("z", "0"), pair("", "")],
        ..PublishProperties::default()
    };
    site.client(lasting("away")).await.subscribe("p/#", QoS::ExactlyOnce).await;
    site.until_away("away").await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("p/#", QoS::ExactlyOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for qos in QOS {
        let topic = format!("p/{}", qos as u8);
        let message =
            Publish { retain: true, properties: properties.clone(), ..publish(&topic, "x", qos, id_for(qos)) };
        publish_fully(&mut speaker, message).await;
        let got = take(&mut here).await;
        assert_eq!((got.topic.unwrap().as_str(), got.properties), (topic.as_str(), properties.clone()), "live {qos:?}");
    }
    let mut away = site.again(lasting("away")).await;
    for qos in &QOS[1..] {
        assert_eq!(take(&mut away).await.properties, properties, "from the queue {qos:?}");
    }
    let mut late = site.client(hello("late")).await;
    late.subscribe("p/#", QoS::ExactlyOnce).await;
    for _ in QOS {
        assert_eq!(take(&mut late).await.properties, properties, "retained");
    }
    site.stop().await;
}

#[tokio::test]
async fn dup_tells_of_this_delivery_and_not_of_the_publishers() {
    let (_folder, site) = Site::usual().await;
    for connect in [lasting("new"), old("old", false)] {
        let mut listener = site.client(connect.clone()).await;
        listener.subscribe("d", QoS::ExactlyOnce).await;
        for speaks in [hello("speaker"), old("old speaker", true)] {
            let mut speaker = site.client(speaks).await;
            for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
                speaker.send(Packet::Publish(Publish { dup: true, ..publish("d", "x", qos, 7) })).await;
                speaker.next().await;
                let first = listener.next_publish().await;
                assert!(!first.dup, "it is the first one for this subscriber");
                drop(listener);
                site.until_away(connect.client_id.as_str()).await;
                listener = site.again(connect.clone()).await;
                let again = take(&mut listener).await;
                assert_eq!((again.dup, again.packet_id, again.qos), (true, first.packet_id, qos));
            }
            speaker.release(7).await;
        }
        listener.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn retain_keeps_replaces_and_clears() {
    let (_folder, site) = Site::usual().await;
    let (zero, one, two) = (QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce);
    let steps = [
        (true, "first", one, Some(("first", one))),
        (true, "second", two, Some(("second", two))),
        (false, "passing", one, Some(("second", two))),
        (false, "", one, Some(("second", two))),
        (true, "third", zero, Some(("third", zero))),
        (true, "", zero, None),
        (false, "passing", two, None),
        (true, "", one, None),
        (true, "fourth", one, Some(("fourth", one))),
        (true, "", two, None),
    ];
    let mut standing = site.client(hello("standing")).await;
    standing.subscribe("r", QoS::AtMostOnce).await;
    for connect in [hello("speaker"), old("old speaker", true)] {
        let mut speaker = site.client(connect).await;
        for (retain, payload, qos, wanted) in steps {
            publish_fully(&mut speaker, Publish { retain, ..publish("r", payload, qos, id_for(qos)) }).await;
            assert_eq!(standing.next_publish().await.payload.as_ref(), payload.as_bytes(), "it is passed on as usual");
            for connect in [hello("late"), old("late", true)] {
                let mut late = site.client(connect).await;
                late.subscribe("r", QoS::ExactlyOnce).await;
                if let Some((wanted, qos)) = wanted {
                    let got = take(&mut late).await;
                    assert_eq!((got.payload.as_ref(), got.retain, got.qos), (wanted.as_bytes(), true, qos));
                }
                late.expect_nothing().await;
                late.leave().await;
            }
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn the_retain_handling_decides_what_a_subscription_brings() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(hello("speaker")).await;
    publish_fully(&mut speaker, Publish { retain: true, ..publish("r", "kept", QoS::AtLeastOnce, 1) }).await;
    let cases = [
        (RetainHandling::Send, false, true),
        (RetainHandling::Send, true, true),
        (RetainHandling::SendIfNew, false, true),
        (RetainHandling::SendIfNew, true, false),
        (RetainHandling::DoNotSend, false, false),
        (RetainHandling::DoNotSend, true, false),
    ];
    for (handling, existed, wanted) in cases {
        let mut listener = site.client(hello("listener")).await;
        if existed {
            listener.subscribe_with("r", QoS::AtMostOnce, |f| f.retain_handling = RetainHandling::DoNotSend).await;
        }
        listener.subscribe_with("r", QoS::AtMostOnce, |f| f.retain_handling = handling).await;
        if wanted {
            assert_eq!(listener.next_publish().await.payload.as_ref(), b"kept");
        }
        listener.expect_nothing().await;
        listener.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn the_retain_flag_of_a_live_message_follows_the_subscription() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(hello("speaker")).await;
    let mut plain = site.client(hello("plain")).await;
    plain.subscribe("r", QoS::AtMostOnce).await;
    let mut as_published = site.client(hello("as published")).await;
    as_published.subscribe_with("r", QoS::AtMostOnce, |f| f.retain_as_published = true).await;
    let mut three = site.client(old("three", true)).await;
    three.subscribe("r", QoS::AtMostOnce).await;
    for retain in [true, false] {
        publish_fully(&mut speaker, Publish { retain, ..publish("r", "x", QoS::AtLeastOnce, 1) }).await;
        assert!(!plain.next_publish().await.retain);
        assert!(!three.next_publish().await.retain);
        assert_eq!(as_published.next_publish().await.retain, retain);
    }
    site.stop().await;
}

#[tokio::test]
async fn topic_aliases_go_from_1_to_the_maximum_and_end_with_their_connection() {
    let (_folder, site) = Site::with(BrokerOptions { topic_alias_maximum: 5, ..BrokerOptions::default() }).await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("#", QoS::AtMostOnce).await;
    let with = |topic: Option<&str>, alias: u16| {
        let mut message = publish("t", "x", QoS::AtMostOnce, 0);
        message.topic = topic.map(|t| TopicName::parse(t).unwrap());
        message.properties.topic_alias = Some(alias);
        Packet::Publish(message)
    };
    let mut speaker = site.client(lasting("speaker")).await;
    for (topic, alias, wanted) in [
        (Some("a/1"), 1, "a/1"),
        (Some("a/5"), 5, "a/5"),
        (None, 1, "a/1"),
        (None, 5, "a/5"),
        (Some("b/1"), 1, "b/1"),
        (None, 1, "b/1"),
        (Some("a/2"), 2, "a/2"),
        (Some("a/3"), 3, "a/3"),
        (Some("a/4"), 4, "a/4"),
    ] {
        speaker.send(with(topic, alias)).await;
        let got = listener.next_publish().await;
        assert_eq!((got.topic.unwrap().as_str(), got.properties.topic_alias), (wanted, None));
    }
    for (topic, alias, wanted) in [
        (Some("a"), 0, ReasonCode::TOPIC_ALIAS_INVALID),
        (Some("a"), 6, ReasonCode::TOPIC_ALIAS_INVALID),
        (None, 1, ReasonCode::PROTOCOL_ERROR),
    ] {
        let mut speaker = Client::dial(site.address, Version::V5).await;
        speaker.connect(lasting("speaker")).await;
        speaker.send(with(topic, alias)).await;
        assert_eq!(speaker.farewell().await, wanted, "{topic:?} {alias}");
    }
    listener.expect_nothing().await;
    site.stop().await;

    let (_folder, site) = Site::with(BrokerOptions { topic_alias_maximum: 0, ..BrokerOptions::default() }).await;
    let mut speaker = Client::dial(site.address, Version::V5).await;
    assert_eq!(speaker.connect(hello("speaker")).await.properties.topic_alias_maximum, None);
    speaker.send(with(Some("a"), 1)).await;
    assert_eq!(speaker.farewell().await, ReasonCode::TOPIC_ALIAS_INVALID);
    site.stop().await;
}

#[tokio::test]
async fn each_qos_has_its_answer_with_the_identifier_of_the_message() {
    let (_folder, site) = Site::usual().await;
    for connect in [hello("new"), old("old", true)] {
        let mut client = site.client(connect).await;
        for id in [1, 0x1234, u16::MAX] {
            client.send(Packet::Publish(publish("a", "x", QoS::AtMostOnce, 0))).await;
            client.expect_nothing().await;
            client.send(Packet::Publish(publish("a", "x", QoS::AtLeastOnce, id))).await;
            client.expect_ack(Packet::PubAck, id).await;
            client.send(Packet::Publish(publish("a", "x", QoS::ExactlyOnce, id))).await;
            client.expect_ack(Packet::PubRec, id).await;
            client.release(id).await;
            client.expect_nothing().await;
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn a_message_goes_out_with_the_lesser_qos_of_message_and_subscription() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(hello("speaker")).await;
    for connect in [hello("new"), old("old", true)] {
        for shared in ["q", "$share/group/q"] {
            for granted in QOS {
                let mut listener = site.client(connect.clone()).await;
                assert_eq!(listener.subscribe(shared, granted).await, ReasonCode(granted as u8));
                for published in QOS {
                    publish_fully(&mut speaker, publish("q", "x", published, id_for(published))).await;
                    let got = take(&mut listener).await;
                    assert_eq!(got.qos, granted.min(published), "{shared} {granted:?} {published:?}");
                    assert_eq!((got.dup, got.packet_id == 0), (false, got.qos == QoS::AtMostOnce));
                }
                listener.leave().await;
            }
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn overlapping_subscriptions_of_a_3_1_1_client_deliver_with_the_highest_qos() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(old("old", true)).await;
    let (low, high) = (QoS::AtMostOnce, QoS::ExactlyOnce);
    let filters = vec![filter("o/+", low), filter("o/x", high), filter("o/#", low)];
    listener.subscribe_all(1, filters, None).await;
    let mut speaker = site.client(hello("speaker")).await;
    publish_fully(&mut speaker, publish("o/x", "x", high, 1)).await;
    assert_eq!(take(&mut listener).await.qos, high);
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_subscription_identifier_from_a_client_is_an_error() {
    let (_folder, site) = Site::usual().await;
    let mut client = site.client(hello("a")).await;
    let mut message = publish("a", "x", QoS::AtMostOnce, 0);
    message.properties.subscription_ids = vec![1];
    client.send(Packet::Publish(message)).await;
    assert_eq!(client.farewell().await, ReasonCode::PROTOCOL_ERROR);
    site.stop().await;
}

#[tokio::test]
async fn two_deliveries_of_a_message_carry_each_its_own_identifier() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe_all(1, vec![filter("s/+", QoS::AtMostOnce)], Some(11)).await;
    listener.subscribe_all(2, vec![filter("$share/g/s/#", QoS::AtMostOnce)], Some(22)).await;
    listener.subscribe_all(3, vec![filter("s/x", QoS::AtMostOnce)], None).await;
    let mut speaker = site.client(hello("speaker")).await;
    speaker.publish_1("s/x", "x").await;
    let mut got = [listener.next_publish().await, listener.next_publish().await].map(|p| p.properties.subscription_ids);
    got.sort();
    assert_eq!(got, [vec![11], vec![22]]);
    listener.expect_nothing().await;
    listener.unsubscribe(4, &["s/+"]).await;
    speaker.publish_1("s/x", "x").await;
    let mut got = [listener.next_publish().await, listener.next_publish().await].map(|p| p.properties.subscription_ids);
    got.sort();
    assert_eq!(got, [vec![], vec![22]], "a subscription without an identifier brings none");
    site.stop().await;
}

#[tokio::test]
async fn a_topic_name_that_is_none_ends_the_connection() {
    let (_folder, site) = Site::usual().await;
    for topic in [&b"a/+"[..], b"#", b"", b"a\0b", b"a\xed\xa0\x80", b"a\xff"] {
        for version in [Version::V311, Version::V5] {
            let connect = Connect { version, ..hello("odd") };
            let mut bytes = bytes_of(&Packet::Connect(Box::new(connect)), version);
            let mut body = vec![0, u8::try_from(topic.len()).unwrap()];
            body.extend_from_slice(topic);
            if version == Version::V5 {
                body.push(0);
            }
            bytes.extend([0x30, u8::try_from(body.len()).unwrap()]);
            bytes.extend(body);
            let heard = answer_to(site.address, &bytes).await;
            assert_eq!(heard.ends_with(&[0xE0, 1, 0x81]), version == Version::V5, "{topic:?} {heard:02x?}");
        }
    }
    assert!(site.hooks.mapped.lock().unwrap().is_empty());
    site.stop().await;
}
