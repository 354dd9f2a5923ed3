//! MQTT chapters 3.8 to 3.12 and 4.7: subscribing, unsubscribing, ping. The table is in `docs/conformance/mqtt.md`.

use crate::harness::*;
use andon_wire::mqtt::*;

async fn publish_now(site: &Site, topic: &str, payload: &str) {
    site.broker.publish_internal(topic, payload.to_owned().into(), QoS::ExactlyOnce, false).await.unwrap();
}

#[tokio::test]
async fn answers_carry_the_identifier_of_the_question() {
    let (_folder, site) = Site::usual().await;
    for connect in [hello("new"), old("old", true)] {
        let mut client = site.client(connect).await;
        for id in [1, 0x1234, u16::MAX] {
            client.subscribe_all(id, vec![filter("a", QoS::AtMostOnce)], None).await;
            client.unsubscribe(id, &["a"]).await;
            client.unsubscribe(id, &["never/had"]).await;
        }
        client.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn one_answer_has_a_reason_for_every_filter_in_order() {
    let (_folder, site) = Site::usual().await;
    let filters = || {
        vec![
            filter("a", QoS::ExactlyOnce),
            filter("secret/a", QoS::AtMostOnce),
            filter("b", QoS::AtMostOnce),
            filter("c/+", QoS::AtLeastOnce),
        ]
    };
    let mut new = site.client(hello("new")).await;
    assert_eq!(new.subscribe_all(1, filters(), None).await, [2, 0x87, 0, 1].map(ReasonCode));
    assert_eq!(new.unsubscribe(2, &["c/+", "nothing", "a", "a"]).await, [0, 0x11, 0, 0x11].map(ReasonCode));
    publish_now(&site, "a", "gone").await;
    publish_now(&site, "c/x", "gone").await;
    publish_now(&site, "b", "left").await;
    assert_eq!(new.next_publish().await.payload.as_ref(), b"left");

    let mut three = site.client(old("three", true)).await;
    assert_eq!(
        three.subscribe_all(1, filters(), None).await,
        [2, 0x80, 0, 1].map(ReasonCode),
        "3.1.1 knows one refusal"
    );
    three.unsubscribe(2, &["c/+", "nothing", "a"]).await;
    publish_now(&site, "a", "gone").await;
    publish_now(&site, "b", "left").await;
    assert_eq!(three.next_publish().await.payload.as_ref(), b"left");
    site.stop().await;
}

#[tokio::test]
async fn several_filters_act_like_several_packets() {
    let (_folder, site) = Site::usual().await;
    site.broker.publish_internal("a", "kept".into(), QoS::ExactlyOnce, true).await.unwrap();
    for connect in [hello("new"), old("old", true)] {
        let mut client = site.client(connect).await;
        let filters = vec![filter("a", QoS::ExactlyOnce), filter("a", QoS::AtMostOnce)];
        assert_eq!(client.subscribe_all(1, filters, None).await, [2, 0].map(ReasonCode));
        let got = [client.next_publish().await.qos, client.next_publish().await.qos];
        assert_eq!(got, [QoS::ExactlyOnce, QoS::AtMostOnce], "the retained message, once for each");
        publish_now(&site, "a", "live").await;
        assert_eq!(client.next_publish().await.qos, QoS::AtMostOnce, "the second one replaced the first");
        client.expect_nothing().await;
        client.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn subscribing_again_replaces_the_subscription_and_loses_nothing() {
    let (_folder, site) = Site::usual().await;
    site.broker.publish_internal("a/r", "kept".into(), QoS::AtMostOnce, true).await.unwrap();
    for connect in [hello("new"), old("old", true)] {
        let mut client = site.client(connect).await;
        for (round, qos) in [(0, QoS::AtLeastOnce), (1, QoS::AtMostOnce), (2, QoS::AtLeastOnce)] {
            client.subscribe("a/+", qos).await;
            assert_eq!(client.next_publish().await.payload.as_ref(), b"kept", "sent again");
            publish_now(&site, "a/x", &round.to_string()).await;
            let got = client.next_publish().await;
            assert_eq!((got.payload.as_ref(), got.qos), (round.to_string().as_bytes(), qos), "once, and as asked last");
            client.expect_nothing().await;
        }
        client.leave().await;
    }

    // What is on its way stays on its way.
    let mut client = site.client(lasting("kept")).await;
    client.subscribe("b", QoS::AtLeastOnce).await;
    client.leave().await;
    publish_now(&site, "b", "waiting").await;
    let mut connect = lasting("kept");
    connect.properties.receive_maximum = Some(1);
    publish_now(&site, "b", "behind").await;
    let mut client = site.again(connect).await;
    let first = client.next_publish().await;
    client.subscribe("b", QoS::AtMostOnce).await;
    client.ack(&first).await;
    let second = client.next_publish().await;
    assert_eq!((first.payload.as_ref(), second.payload.as_ref()), (&b"waiting"[..], &b"behind"[..]));
    site.stop().await;
}

#[tokio::test]
async fn unsubscribing_compares_character_by_character() {
    let (_folder, site) = Site::usual().await;
    for connect in [hello("new"), old("old", true)] {
        let mut client = site.client(connect).await;
        client.subscribe("u/+", QoS::AtMostOnce).await;
        client.subscribe("$share/g/s", QoS::AtMostOnce).await;
        for other in ["u/#", "u/x", "U/+", "u/+/", "s", "$share/h/s"] {
            client.unsubscribe(1, &[other]).await;
        }
        publish_now(&site, "u/x", "still").await;
        assert_eq!(client.next_publish().await.payload.as_ref(), b"still");
        publish_now(&site, "s", "still").await;
        assert_eq!(client.next_publish().await.payload.as_ref(), b"still");
        client.unsubscribe(1, &["u/+"]).await;
        client.unsubscribe(2, &["$share/g/s"]).await;
        publish_now(&site, "u/x", "no more").await;
        publish_now(&site, "s", "no more").await;
        client.expect_nothing().await;
        client.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn unsubscribing_lets_finish_what_is_under_way() {
    let (_folder, site) = Site::usual().await;
    for connect in [lasting("new"), old("old", false)] {
        let mut client = site.client(connect.clone()).await;
        client.subscribe("f", QoS::ExactlyOnce).await;
        site.broker.publish_internal("f", "one".into(), QoS::AtLeastOnce, false).await.unwrap();
        publish_now(&site, "f", "two").await;
        let (one, two) = (client.next_publish().await, client.next_publish().await);
        client.unsubscribe(1, &["f"]).await;
        client.finish_qos_2(two.packet_id).await;
        client.expect_nothing().await;
        drop(client);
        site.until_away(connect.client_id.as_str()).await;
        let mut client = site.again(connect).await;
        assert_eq!(client.next_publish().await, Publish { dup: true, ..one });
        client.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn who_wants_nothing_of_its_own_back_gets_nothing_of_it() {
    let (_folder, site) = Site::usual().await;
    for connect in [hello("clean"), lasting("kept")] {
        let id = connect.client_id.as_str().to_owned();
        let mut client = site.client(connect).await;
        client.subscribe_with("n/+", QoS::ExactlyOnce, |f| f.no_local = true).await;
        let mine = Publish { retain: true, ..publish(&format!("n/{id}"), "mine", QoS::AtLeastOnce, 1) };
        client.send(Packet::Publish(mine)).await;
        client.expect_ack(Packet::PubAck, 1).await;
        client.expect_nothing().await;
        client.subscribe_with("n/+", QoS::AtMostOnce, |f| f.no_local = true).await;
        let mut other = site.client(hello("other")).await;
        other.subscribe("n/+", QoS::AtMostOnce).await;
        assert_eq!(other.next_publish().await.payload.as_ref(), b"mine", "others get it");
        publish_now(&site, "n/x", "another's").await;
        assert_eq!(client.next_publish().await.payload.as_ref(), b"another's");
        client.expect_nothing().await;
        client.subscribe("n/+", QoS::AtMostOnce).await;
        assert_eq!(client.next_publish().await.payload.as_ref(), b"mine", "without the option it does");
        let clear = Publish { retain: true, ..publish(&format!("n/{id}"), "", QoS::AtMostOnce, 0) };
        other.send(Packet::Publish(clear)).await;
        other.leave().await;
        client.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn names_are_compared_as_they_are_written() {
    let (_folder, site) = Site::usual().await;
    // Composed, decomposed, capital, with a byte order mark, with an empty level, with a blank, outside the 16-bit plane.
    let names =
        ["k/\u{fc}", "k/u\u{308}", "k/\u{dc}", "k/\u{feff}\u{fc}", "k//\u{fc}", "k/\u{fc} ", "K/\u{fc}", "k/\u{2a6d4}"];
    let mut clients = Vec::new();
    for (n, name) in names.iter().enumerate() {
        let connect = if n % 2 == 0 { hello(&n.to_string()) } else { old(&n.to_string(), true) };
        let mut client = site.client(connect).await;
        client.subscribe(name, QoS::AtMostOnce).await;
        clients.push(client);
    }
    for name in names {
        publish_now(&site, name, name).await;
    }
    for (client, name) in clients.iter_mut().zip(names) {
        let got = client.next_publish().await;
        assert_eq!((got.topic.unwrap().as_str(), got.payload.as_ref()), (name, name.as_bytes()));
        client.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn wildcards_do_not_reach_topics_that_begin_with_a_dollar() {
    let (_folder, site) = Site::usual().await;
    for connect in [hello("new"), old("old", true)] {
        let mut client = site.client(connect).await;
        for filter in ["#", "+/#", "+/broker/version", "+/x"] {
            client.subscribe(filter, QoS::AtMostOnce).await;
        }
        client.expect_nothing().await;
        publish_now(&site, "$other/x", "hidden").await;
        publish_now(&site, "a/x", "plain").await;
        assert_eq!(client.next_publish().await.topic.unwrap().as_str(), "a/x");
        client.expect_nothing().await;
        client.subscribe("$other/+", QoS::AtMostOnce).await;
        publish_now(&site, "$other/x", "shown").await;
        assert_eq!(client.next_publish().await.payload.as_ref(), b"shown");
        client.subscribe("$SYS/+/version", QoS::AtMostOnce).await;
        assert_eq!(client.next_publish().await.topic.unwrap().as_str(), "$SYS/broker/version");
        client.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn filters_that_are_none_end_the_connection() {
    let (_folder, site) = Site::usual().await;
    let filters: [&[u8]; 13] = [
        b"",
        b"a#",
        b"#/a",
        b"a/b+",
        b"+a",
        b"a\0",
        b"a\xed\xa0\x80",
        b"$share",
        b"$share/g",
        b"$share/g/",
        b"$share//a",
        b"$share/g+/a",
        b"$share/#/a",
    ];
    for text in filters {
        for (first, options) in [(0x82, &[0][..]), (0xA2, &[])] {
            for version in [Version::V311, Version::V5] {
                let connect = Connect { version, ..hello("odd") };
                let mut bytes = bytes_of(&Packet::Connect(Box::new(connect)), version);
                let mut body = vec![0, 1];
                if version == Version::V5 {
                    body.push(0);
                }
                body.extend([0, u8::try_from(text.len()).unwrap()]);
                body.extend_from_slice(text);
                body.extend_from_slice(options);
                bytes.extend([first, u8::try_from(body.len()).unwrap()]);
                bytes.extend(body);
                let heard = answer_to(site.address, &bytes).await;
                let told = heard.ends_with(&[0xE0, 1, 0x81]);
                assert_eq!(told, version == Version::V5, "{} {heard:02x?}", String::from_utf8_lossy(text));
                assert!(!heard.windows(2).any(|w| w == [0x90, 4] || w == [0xB0, 4] || w == [0x90, 3]), "{heard:02x?}");
            }
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn a_ping_is_answered_in_every_version() {
    let (_folder, site) = Site::usual().await;
    for version in [Version::V31, Version::V311, Version::V5] {
        let mut client = site.client(Connect { version, ..hello("a") }).await;
        for _ in 0..3 {
            client.expect_nothing().await;
        }
        client.leave().await;
    }
    site.stop().await;
}
