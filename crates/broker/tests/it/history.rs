//! What was: kept messages before what comes, and the last message of each topic.

use crate::asks::{as_press_7, find, subscribe_asking};
use crate::harness::*;
use crate::moody_log::{Mood, MoodyLog};
use andon_broker::*;
use andon_log::DurableLog;
use andon_model::log::{Lane, Log};
use andon_wire::mqtt::*;
use std::path::Path;
use std::sync::Arc;

async fn start(folder: &Path) -> (Arc<DurableLog>, Site) {
    let log = open_log(&folder.join("log"));
    let options = BrokerOptions { history_dir: Some(folder.join("kept")), ..BrokerOptions::default() };
    (log.clone(), Site::on(log, options).await)
}

/// What came up to the marker: payloads, and what the marker says.
async fn until_marker(client: &mut Client) -> (Vec<String>, serde_json::Value) {
    let mut payloads = Vec::new();
    loop {
        let message = client.next_publish().await;
        if message.qos != QoS::AtMostOnce {
            client.ack(&message).await;
        }
        if message.topic.as_ref().unwrap().as_str().starts_with("$andon/") {
            assert_eq!(message.properties.user.len(), 1);
            return (payloads, serde_json::from_slice(&message.payload).unwrap());
        }
        payloads.push(String::from_utf8_lossy(&message.payload).into_owned());
    }
}

async fn look_back(client: &mut Client, line: &str, qos: QoS, asks: &[(&str, &str)]) {
    let ack = subscribe_asking(client, &[filter(line, qos)], asks).await;
    assert_eq!(ack.reasons, [ReasonCode(qos as u8)], "{:?}", ack.properties);
}

fn texts(numbers: impl Iterator<Item = u32>) -> Vec<String> {
    numbers.map(|n| n.to_string()).collect()
}

#[tokio::test]
async fn kept_messages_come_first_with_their_origin_then_the_marker_then_what_comes() {
    for connect in [hello("c"), lasting("c")] {
        let folder = tempfile::tempdir().unwrap();
        let (_log, site) = start(folder.path()).await;
        let mut speaker = site.client(hello("speaker")).await;
        for n in 1..=20 {
            speaker.publish_1(if n % 2 == 0 { "kept/a" } else { "other" }, &n.to_string()).await;
        }
        // QoS 0 is kept as well.
        speaker.send(Packet::Publish(publish("kept/b", "22", QoS::AtMostOnce, 0))).await;
        speaker.publish_1("other", "23").await;
        let mut client = site.client(connect).await;
        look_back(&mut client, "kept/#", QoS::AtLeastOnce, &[("andon-from", "-1h")]).await;
        let first = client.next_publish().await;
        assert_eq!((first.payload.as_ref(), first.qos, first.retain), (&b"2"[..], QoS::AtMostOnce, false));
        assert_eq!((find(&first, "andon-history"), find(&first, "andon-client")), (Some("yes"), Some("speaker")));
        assert!(find(&first, "andon-received").is_some());
        let (rest, marker) = until_marker(&mut client).await;
        assert_eq!(rest, texts((4..=22).step_by(2)));
        assert_eq!((&marker["messages"], &marker["filters"][0]), (&11.into(), &"kept/#".into()));
        assert_eq!(marker["missing"][0]["why"], "not kept yet");
        speaker.publish_1("kept/a", "24").await;
        let live = client.next_publish().await;
        assert_eq!((live.payload.as_ref(), live.qos, live.properties.user.len()), (&b"24"[..], QoS::AtLeastOnce, 0));
        client.ack(&live).await;
        // Only what is asked for, and nothing follows.
        look_back(&mut client, "kept/a", QoS::AtLeastOnce, &[("andon-max", "3"), ("andon-until", "2100-01-01")]).await;
        assert_eq!(until_marker(&mut client).await.0, ["18", "20", "24"]);
        client.expect_nothing().await;
        assert_eq!(site.broker.stats().subscriptions, 1, "what ends is no subscription");
        site.stop().await;
    }
}

#[tokio::test]
async fn while_messages_come_none_is_missing_and_none_comes_twice() {
    for (connect, qos) in [
        (hello("c"), QoS::AtMostOnce),
        (hello("c"), QoS::AtLeastOnce),
        (lasting("c"), QoS::AtMostOnce),
        (lasting("c"), QoS::AtLeastOnce),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_log, site) = start(folder.path()).await;
        let mut speaker = site.client(hello("speaker")).await;
        let speaking = tokio::spawn(async move {
            for n in 1..=3000_u32 {
                if n % 3 == 0 {
                    speaker.publish_1("kept/a", &n.to_string()).await;
                } else {
                    speaker.send(Packet::Publish(publish("kept/a", &n.to_string(), QoS::AtMostOnce, 0))).await;
                }
                if n % 100 == 0 {
                    tokio::task::yield_now().await;
                }
            }
            speaker
        });
        until(|| site.broker.stats().received > 600).await;
        let mut client = site.client(connect).await;
        look_back(&mut client, "kept/+", qos, &[("andon-from", "-1h")]).await;
        let (mut got, _) = until_marker(&mut client).await;
        let before_marker = got.len();
        while got.len() < 3000 {
            let message = client.next_publish().await;
            if message.qos != QoS::AtMostOnce {
                client.ack(&message).await;
            }
            got.push(String::from_utf8_lossy(&message.payload).into_owned());
        }
        client.expect_nothing().await;
        let mut numbers: Vec<u32> = got.iter().map(|n| n.parse().unwrap()).collect();
        if qos == QoS::AtMostOnce {
            assert!(numbers.is_sorted(), "with QoS 0 all of it is in order");
        }
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=3000).collect::<Vec<_>>(), "{qos:?}, {before_marker} before the marker");
        speaking.await.unwrap();
        site.stop().await;
    }
}

#[tokio::test]
async fn what_is_kept_is_there_after_a_restart_whether_it_was_clean_or_not() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, site) = start(folder.path()).await;
        let mut speaker = site.client(hello("speaker")).await;
        for n in 1..=50 {
            speaker.publish_1("kept/a", &n.to_string()).await;
        }
        if cleanly {
            site.stop().await;
        } else {
            site.abandon();
        }
        log.close();
        let (_log, site) = start(folder.path()).await;
        let mut speaker = site.client(hello("speaker")).await;
        speaker.publish_1("kept/a", "51").await;
        let mut client = site.client(hello("c")).await;
        look_back(&mut client, "kept/a", QoS::AtLeastOnce, &[("andon-from", "-1h")]).await;
        assert_eq!(until_marker(&mut client).await.0, texts(1..=51), "cleanly: {cleanly}");
        site.stop().await;
    }
}

#[tokio::test]
async fn a_reader_that_takes_its_time_holds_up_nobody_and_gets_all_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, site) = start(folder.path()).await;
    let mut speaker = site.client(hello("speaker")).await;
    let filling = "x".repeat(32 << 10);
    for n in 1..=600 {
        speaker.publish_1("kept/a", &format!("{n}-{filling}")).await;
    }
    let mut slow = site.client(lasting("slow")).await;
    look_back(&mut slow, "kept/a", QoS::AtLeastOnce, &[("andon-from", "-1h")]).await;
    let mut other = site.client(hello("other")).await;
    other.subscribe("kept/a", QoS::AtLeastOnce).await;
    for n in 601..=620 {
        speaker.publish_1("kept/a", &format!("{n}-")).await;
        let message = other.next_publish().await;
        other.ack(&message).await;
    }
    // What comes waits behind what was; the other has all of it.
    until(|| site.broker.stats().queued == 20).await;
    let (history, _) = until_marker(&mut slow).await;
    let mut numbers: Vec<u32> = history.iter().map(|p| p.split('-').next().unwrap().parse().unwrap()).collect();
    for _ in 0..20 {
        let message = slow.next_publish().await;
        slow.ack(&message).await;
        numbers.push(String::from_utf8_lossy(&message.payload).trim_end_matches('-').parse().unwrap());
    }
    assert_eq!(numbers, (1..=620).collect::<Vec<_>>());
    site.stop().await;
}

#[tokio::test]
async fn the_right_is_asked_at_delivery_and_what_cannot_be_had_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, site) = start(folder.path()).await;
    let mut client = site.client(hello("c")).await;
    let ack = subscribe_asking(&mut client, &[filter("kept/#", QoS::AtLeastOnce)], &[("andon-from", "soon")]).await;
    assert_eq!(ack.reasons, [ReasonCode::IMPLEMENTATION_SPECIFIC]);
    let mut speaker = site.client(hello("speaker")).await;
    for n in 1..=6 {
        speaker.publish_1(["kept/a", "kept/b"][n % 2], &n.to_string()).await;
    }
    site.hooks.lost.lock().unwrap().push("kept/b");
    look_back(&mut client, "kept/#", QoS::AtLeastOnce, &[("andon-from", "-1h")]).await;
    assert_eq!(until_marker(&mut client).await.0, ["2", "4", "6"]);
    site.stop().await;
    // Where nothing is kept, that is said.
    let (_folder, site) = Site::usual().await;
    let mut client = site.client(hello("c")).await;
    let ack = subscribe_asking(&mut client, &[filter("kept/#", QoS::AtLeastOnce)], &[("andon-from", "-1h")]).await;
    assert_eq!(ack.reasons, [ReasonCode::IMPLEMENTATION_SPECIFIC]);
    assert!(ack.properties.reason_string.unwrap().as_str().starts_with("no messages are kept here"));
    site.stop().await;
}

#[tokio::test]
async fn the_last_message_of_each_topic_comes_at_once_and_then_what_comes() {
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let (_folder, site) = Site::usual().await;
        let mut speaker = site.client(hello("speaker")).await;
        for (topic, payload) in [("t/a", "1"), ("t/b", "1"), ("t/a", "2"), ("u/c", "1"), ("t/d/e", "1")] {
            speaker.publish_1(topic, payload).await;
        }
        let long = "x".repeat(5000);
        speaker.send(Packet::Publish(Publish { retain: true, ..publish("t/kept", &long, QoS::AtLeastOnce, 3) })).await;
        speaker.next().await;
        speaker.publish_1("t/long", &long).await;
        site.hooks.lost.lock().unwrap().push("t/b");
        let mut client = site.client(hello("c")).await;
        look_back(&mut client, "t/#", qos, &[("andon-last", "yes"), ("andon-origin", "yes")]).await;
        let mut got = Vec::new();
        let marker = loop {
            let message = client.next_publish().await;
            let topic = message.topic.as_ref().unwrap().as_str().to_owned();
            if topic == "$andon/last" {
                break serde_json::from_slice::<serde_json::Value>(&message.payload).unwrap();
            }
            assert_eq!(find(&message, "andon-client"), Some("speaker"));
            got.push((topic, message.payload.len(), message.retain));
        };
        let wanted = [("t/a", 1, false), ("t/d/e", 1, false), ("t/kept", 5000, true)];
        assert_eq!(got, wanted.map(|(topic, length, retain)| (topic.to_owned(), length, retain)));
        assert_eq!(marker, serde_json::json!({ "messages": 3, "too_long": 1 }));
        speaker.publish_1("t/a", "3").await;
        let live = client.next_publish().await;
        assert_eq!((live.payload.as_ref(), live.qos), (&b"3"[..], qos));
        site.stop().await;
    }
}

#[tokio::test]
async fn the_last_message_is_told_as_of_who_published_it_and_not_of_who_came_after_with_its_identifier() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(as_press_7("press")).await;
    speaker.publish_1("t/a", "1").await;
    speaker.leave().await;
    site.until_away("press").await;
    let mut other = site.client(hello("press")).await;
    other.publish_1("t/b", "1").await;
    let mut client = site.client(hello("c")).await;
    look_back(&mut client, "t/#", QoS::AtMostOnce, &[("andon-last", "yes")]).await;
    for (topic, kind, user) in [("t/a", "device", Some("Press 7")), ("t/b", "anonymous", None)] {
        let message = client.next_publish().await;
        assert_eq!(message.topic.as_ref().map(TopicName::as_str), Some(topic));
        assert_eq!((find(&message, "andon-publisher"), find(&message, "andon-user")), (Some(kind), user));
    }
    site.stop().await;
}

#[tokio::test]
async fn what_a_connection_asked_for_that_was_taken_over_meanwhile_holds_up_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(&folder.path().join("log"));
    let moody = MoodyLog::over(log.clone());
    let options = BrokerOptions { history_dir: Some(folder.path().join("kept")), ..BrokerOptions::default() };
    let site = Site::on(moody.clone(), options).await;
    let mut speaker = site.client(hello("speaker")).await;
    speaker.publish_1("kept/a", "1").await;
    let mut first = site.client(lasting("c")).await;
    moody.set(Mood::Holding);
    // The second connection is in the lane before what the first one still asks for.
    let before = log.durable_seq(Lane::Messages);
    let mut second = Client::dial(site.address, Version::V5).await;
    second.send(Packet::Connect(Box::new(lasting("c")))).await;
    until(|| log.durable_seq(Lane::Messages) > before).await;
    let before = log.durable_seq(Lane::Messages);
    let user = vec![(Text::parse("andon-from").unwrap(), Text::parse("-1h").unwrap())];
    let properties = SubscribeProperties { user, ..Default::default() };
    let filters = vec![filter("kept/#", QoS::AtLeastOnce)];
    first.send(Packet::Subscribe(Subscribe { packet_id: 9, properties, filters })).await;
    until(|| log.durable_seq(Lane::Messages) > before).await;
    moody.set(Mood::Well);
    assert!(matches!(second.next().await, Packet::ConnAck(ack) if ack.session_present));
    until(|| site.broker.stats().subscriptions == 1).await;
    speaker.publish_1("kept/a", "2").await;
    let message = second.next_publish().await;
    assert_eq!((message.payload.as_ref(), message.qos), (&b"2"[..], QoS::AtLeastOnce));
    second.ack(&message).await;
    // And it may ask for itself.
    look_back(&mut second, "kept/#", QoS::AtLeastOnce, &[("andon-from", "-1h")]).await;
    assert_eq!(until_marker(&mut second).await.0, ["1", "2"]);
    site.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_comes_to_its_end_while_kept_messages_come_without_a_pause() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, site) = start(folder.path()).await;
    let mut speaker = site.client(hello("speaker")).await;
    for n in 1..=2000 {
        speaker.send(Packet::Publish(publish("kept/a", &n.to_string(), QoS::AtMostOnce, 0))).await;
    }
    speaker.publish_1("kept/a", "2001").await;
    // Each next one comes before the last one is written.
    let (broker, stop) = (site.broker.clone(), Arc::new(std::sync::atomic::AtomicBool::new(false)));
    let stopped = stop.clone();
    let flood = tokio::spawn(async move {
        let mut told = 0_u64;
        while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
            for topic in ["kept/other", "kept/a"] {
                broker.publish_internal(topic, "x".into(), QoS::AtMostOnce, false).await.unwrap();
            }
            told += 1;
            tokio::task::yield_now().await;
        }
        told
    });
    until(|| site.broker.stats().received > 4000).await;
    let mut client = site.client(lasting("c")).await;
    client.subscribe("now", QoS::AtLeastOnce).await;
    look_back(&mut client, "kept/a", QoS::AtMostOnce, &[("andon-from", "-1h")]).await;
    speaker.publish_1("now", "2002").await;
    let through = tokio::time::timeout(3 * PATIENCE, until_marker(&mut client));
    let (was, _) = through.await.expect("it does not come to its end");
    assert!(was.len() > 2001, "{}", was.len());
    // And what waited behind it with QoS 1 comes.
    loop {
        let message = client.next_publish().await;
        if message.qos == QoS::AtLeastOnce {
            assert_eq!(message.payload.as_ref(), b"2002");
            break;
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    assert!(flood.await.unwrap() > 0);
    site.stop().await;
}

/// A client whose connection is full of what was, of 600 messages on `kept/a`.
async fn stalled(site: &Site, speaker: &mut Client, connect: Connect, qos: QoS) -> Client {
    let filling = "x".repeat(32 << 10);
    for n in 1..=600 {
        speaker.publish_1("kept/a", &format!("{n}-{filling}")).await;
    }
    let mut client = site.client(connect).await;
    look_back(&mut client, "kept/#", qos, &[("andon-from", "-1h")]).await;
    client
}

fn number(message: &Publish) -> u32 {
    String::from_utf8_lossy(&message.payload).split('-').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn what_comes_under_several_subscriptions_while_what_was_is_on_its_way_comes_once() {
    for (connect, qos, other) in [
        (lasting("c"), QoS::AtMostOnce, QoS::AtLeastOnce),
        (lasting("c"), QoS::AtLeastOnce, QoS::AtMostOnce),
        (hello("c"), QoS::AtMostOnce, QoS::AtLeastOnce),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (_log, site) = start(folder.path()).await;
        let mut speaker = site.client(hello("speaker")).await;
        let mut client = stalled(&site, &mut speaker, connect, qos).await;
        // The answer comes behind what is on its way.
        let subscribe = Subscribe {
            packet_id: 8,
            properties: SubscribeProperties::default(),
            filters: vec![filter("kept/a", other)],
        };
        client.send(Packet::Subscribe(subscribe)).await;
        until(|| site.broker.stats().subscriptions == 2).await;
        for n in 601..=640 {
            let qos = if n % 4 == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
            let topic = if n % 3 == 0 { "kept/b" } else { "kept/a" };
            speaker.send(Packet::Publish(publish(topic, &format!("{n}-"), qos, 5))).await;
            if qos != QoS::AtMostOnce {
                speaker.next().await;
            }
        }
        let mut numbers = Vec::new();
        while numbers.len() < 640 {
            match client.next().await {
                Packet::Publish(message) => {
                    if message.qos != QoS::AtMostOnce {
                        client.ack(&message).await;
                    }
                    if message.topic.as_ref().unwrap().as_str().starts_with("kept/") {
                        numbers.push(number(&message));
                    }
                }
                Packet::SubAck(ack) => assert_eq!(ack.reasons, [ReasonCode(other as u8)]),
                packet => panic!("{packet:?}"),
            }
        }
        client.expect_nothing().await;
        numbers.sort_unstable();
        assert_eq!(numbers, (1..=640).collect::<Vec<_>>());
        site.stop().await;
    }
}

#[tokio::test]
async fn what_is_unsubscribed_meanwhile_comes_no_more_and_more_can_be_asked_for_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (_log, site) = start(folder.path()).await;
    let mut speaker = site.client(hello("speaker")).await;
    let mut client = stalled(&site, &mut speaker, lasting("c"), QoS::AtLeastOnce).await;
    let filters = vec![TopicFilter::parse("kept/#").unwrap()];
    client.send(Packet::Unsubscribe(Unsubscribe { packet_id: 11, properties: Default::default(), filters })).await;
    let mut came = 0;
    loop {
        match client.next().await {
            Packet::Publish(message) => came = number(&message),
            Packet::UnsubAck(ack) => break assert_eq!(ack.reasons, [ReasonCode::SUCCESS]),
            packet => panic!("{packet:?}"),
        }
    }
    assert!(came < 600, "it took all of it before");
    client.expect_nothing().await;
    look_back(&mut client, "kept/a", QoS::AtLeastOnce, &[("andon-max", "2")]).await;
    let (last, marker) = until_marker(&mut client).await;
    assert_eq!((last.len(), marker["messages"].as_u64()), (2, Some(2)));
    speaker.publish_1("kept/a", "601").await;
    assert_eq!(number(&client.next_publish().await), 601);
    site.stop().await;
}
