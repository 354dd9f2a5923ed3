//! Bounds and what happens at them; hostile bytes; slow readers.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;
use proptest::prelude::*;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn site(options: BrokerOptions) -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), options).await;
    (folder, site)
}

#[tokio::test]
async fn a_full_queue_drops_the_newest_for_that_session_only_and_says_so_once() {
    let (_folder, site) = site(BrokerOptions { queue_messages: 5, ..BrokerOptions::default() }).await;
    let mut away = site.client(lasting("away")).await;
    away.subscribe("a", QoS::AtLeastOnce).await;
    away.leave().await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("a", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for n in 0..10 {
        assert_eq!(speaker.publish_1("a", &n.to_string()).await, ReasonCode::SUCCESS);
        let message = here.next_publish().await;
        assert_eq!(message.payload.as_ref(), n.to_string().as_bytes(), "others get all");
        here.ack(&message).await;
    }
    let drops = site.hooks.drops.lock().unwrap().clone();
    assert_eq!(drops.len(), 1);
    assert_eq!((drops[0].client_id.as_str(), drops[0].reason), ("away", DropReason::QueueFull));
    let clients = site.broker.clients();
    let info = clients.iter().find(|c| c.client_id == "away").unwrap();
    assert_eq!((info.queued, info.dropped), (5, 5));
    let mut away = Client::dial(site.address, Version::V5).await;
    away.connect(lasting("away")).await;
    for n in 0..5 {
        assert_eq!(away.next_publish().await.payload.as_ref(), n.to_string().as_bytes(), "the oldest are kept");
    }
    away.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody() {
    let (_folder, site) = site(BrokerOptions { outbox_bytes: 64 << 10, ..BrokerOptions::default() }).await;
    let mut deaf = site.client(hello("deaf")).await;
    deaf.subscribe("a", QoS::AtMostOnce).await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("a", QoS::AtMostOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    let large = "x".repeat(100 << 10);
    for _ in 0..200 {
        speaker.send(Packet::Publish(publish("a", &large, QoS::AtMostOnce, 0))).await;
        here.next_publish().await;
    }
    let drops = site.hooks.drops.lock().unwrap().clone();
    assert_eq!(drops.iter().filter(|d| d.client_id == "deaf" && d.reason == DropReason::SlowReader).count(), 1);
    assert!(!drops.iter().any(|d| d.client_id == "here"));
    site.stop().await;
}

#[tokio::test]
async fn a_client_gets_no_more_at_once_than_it_asked_for() {
    let (_folder, site) = site(BrokerOptions::default()).await;
    for mut connect in [hello("clean"), lasting("kept")] {
        connect.properties.receive_maximum = Some(2);
        let mut slow = site.client(connect).await;
        slow.subscribe("w", QoS::AtLeastOnce).await;
        for n in 0..5 {
            site.broker.publish_internal("w", n.to_string().into(), QoS::AtLeastOnce, false).await.unwrap();
        }
        let first = slow.next_publish().await;
        slow.next_publish().await;
        slow.expect_nothing().await;
        slow.ack(&first).await;
        assert_eq!(slow.next_publish().await.payload.as_ref(), b"2");
        slow.expect_nothing().await;
        slow.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn too_many_unanswered_messages_end_a_5_0_connection() {
    let (_folder, site) = site(BrokerOptions { receive_maximum: 3, ..BrokerOptions::default() }).await;
    let mut client = site.client(hello("a")).await;
    for id in 1..=4 {
        client.send(Packet::Publish(publish("a", "x", QoS::ExactlyOnce, id))).await;
    }
    let mut last = None;
    while let Some(packet) = client.try_next().await {
        last = Some(packet);
    }
    assert!(matches!(last, Some(Packet::Disconnect(d)) if d.reason == ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
    let mut old = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    for id in 1..=20 {
        old.send(Packet::Publish(publish("a", "x", QoS::AtLeastOnce, id))).await;
    }
    for _ in 1..=20 {
        assert!(matches!(old.next().await, Packet::PubAck(_)), "a 3.1.1 client is held back instead");
    }
    site.stop().await;
}

#[tokio::test]
async fn the_connection_over_the_limit_is_told() {
    let (_folder, site) = site(BrokerOptions { connections: 1, ..BrokerOptions::default() }).await;
    let first = site.client(hello("first")).await;
    let mut second = Client::dial(site.address, Version::V5).await;
    assert_eq!(second.connect(hello("second")).await.reason, ReasonCode::SERVER_BUSY);
    first.leave().await;
    until(|| site.broker.clients().is_empty()).await;
    site.stop().await;
}

#[tokio::test]
async fn a_connection_without_connect_is_closed_after_the_deadline() {
    let options = BrokerOptions { connect_deadline: Duration::from_millis(50), ..BrokerOptions::default() };
    let (_folder, site) = site(options).await;
    let mut stream = TcpStream::connect(site.address).await.unwrap();
    // Begun, never finished.
    stream.write_all(&[0x10, 0x20, 0, 4]).await.unwrap();
    let mut rest = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    assert!(rest.is_empty());
    site.stop().await;
}

#[tokio::test]
async fn a_packet_over_the_limit_ends_the_connection_with_the_reason() {
    let (_folder, site) = site(BrokerOptions { payload_bytes: 1000, ..BrokerOptions::default() }).await;
    let mut client = site.client(hello("a")).await;
    client.send(Packet::Publish(publish("a", &"x".repeat(1001), QoS::AtLeastOnce, 1))).await;
    match client.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::PACKET_TOO_LARGE),
        other => panic!("{other:?}"),
    }
    site.stop().await;
}

#[tokio::test]
async fn no_more_subscriptions_and_retained_topics_than_the_limits() {
    let options = BrokerOptions { subscriptions: 2, retained_messages: 1, ..BrokerOptions::default() };
    let (_folder, site) = site(options).await;
    let mut client = site.client(hello("a")).await;
    for (filter, wanted) in [
        ("a", ReasonCode::SUCCESS),
        ("b", ReasonCode::SUCCESS),
        ("c", ReasonCode::QUOTA_EXCEEDED),
        ("a", ReasonCode::SUCCESS),
    ] {
        assert_eq!(client.subscribe(filter, QoS::AtMostOnce).await, wanted, "{filter}");
    }
    for (topic, payload, wanted) in
        [("r1", "1", true), ("r2", "1", false), ("r1", "2", true), ("r1", "", true), ("r2", "1", true)]
    {
        let message = Publish { retain: true, ..publish(topic, payload, QoS::AtLeastOnce, 1) };
        client.send(Packet::Publish(message)).await;
        match client.next().await {
            Packet::PubAck(ack) => assert_eq!(ack.reason.is_success(), wanted, "{topic} {payload}"),
            other => panic!("{other:?}"),
        }
    }
    site.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn hostile_bytes_harm_nobody_else(bytes in proptest::collection::vec(any::<u8>(), 1..300), greet in any::<bool>()) {
        tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(async {
            let (_folder, site) = site(BrokerOptions::default()).await;
            let mut bystander = site.client(hello("bystander")).await;
            bystander.subscribe("#", QoS::AtLeastOnce).await;
            let mut stream = TcpStream::connect(site.address).await.unwrap();
            if greet {
                let mut out = bytes::BytesMut::new();
                Packet::Connect(Box::new(lasting("hostile"))).encode(Version::V5, &mut out).unwrap();
                stream.write_all(&out).await.unwrap();
            }
            let _ = stream.write_all(&bytes).await;
            let _ = stream.shutdown().await;
            let mut rest = Vec::new();
            let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut rest)).await.unwrap();
            let mut speaker = site.client(hello("speaker")).await;
            assert_eq!(speaker.publish_1("fine", "still").await, ReasonCode::SUCCESS);
            loop {
                let message = bystander.next_publish().await;
                if message.topic.as_ref().unwrap().as_str() == "fine" {
                    break;
                }
            }
            site.stop().await;
        });
    }
}

#[tokio::test]
async fn of_more_filters_than_a_client_may_have_nobody_is_told_one_by_one() {
    let (_folder, site) = site(BrokerOptions { subscriptions: 10, ..BrokerOptions::default() }).await;
    let mut client = site.client(hello("greedy")).await;
    let filters = (0..20_000).map(|n| filter(&format!("secret/{n}"), QoS::AtMostOnce)).collect();
    let reasons = client.subscribe_all(3, filters, None).await;
    assert_eq!(reasons.len(), 20_000);
    assert!(reasons[..10].iter().all(|reason| *reason == ReasonCode::NOT_AUTHORIZED));
    assert!(reasons[10..].iter().all(|reason| *reason == ReasonCode::QUOTA_EXCEEDED));
    assert_eq!(site.hooks.refused.lock().unwrap().len(), 10);
    client.expect_nothing().await;
    site.stop().await;
}
