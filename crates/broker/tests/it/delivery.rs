//! Who gets what, how often, and with what flags.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;
use bytes::Bytes;
use std::time::Duration;

async fn site() -> (tempfile::TempDir, Site) {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    (folder, site)
}

fn retained(topic: &str, payload: &str) -> Packet {
    Packet::Publish(Publish { retain: true, ..publish(topic, payload, QoS::AtLeastOnce, 5) })
}

#[tokio::test]
async fn overlapping_subscriptions_make_one_delivery_with_every_identifier() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("a")).await;
    for (packet_id, filter, qos) in [(1, "x/+", QoS::AtMostOnce), (2, "x/#", QoS::AtLeastOnce)] {
        let filter = Filter {
            filter: TopicFilter::parse(filter).unwrap(),
            qos,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let properties = SubscribeProperties { subscription_id: vec![u32::from(packet_id)], ..Default::default() };
        client.send(Packet::Subscribe(Subscribe { packet_id, properties, filters: vec![filter] })).await;
        assert!(matches!(client.next().await, Packet::SubAck(_)));
    }
    let mut speaker = site.client(hello("b")).await;
    speaker.publish_1("x/y", "once").await;
    let mut message = client.next_publish().await;
    message.properties.subscription_ids.sort_unstable();
    assert_eq!((message.qos, message.properties.subscription_ids), (QoS::AtLeastOnce, vec![1, 2]));
    client.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_retained_message_reaches_later_subscribers_until_it_is_cleared() {
    let (_folder, site) = site().await;
    let mut speaker = site.client(hello("speaker")).await;
    speaker.send(retained("r/a", "kept")).await;
    speaker.next().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("r/#", QoS::AtLeastOnce).await;
    let message = listener.next_publish().await;
    assert_eq!((message.payload.as_ref(), message.retain), (&b"kept"[..], true));
    listener.ack(&message).await;
    speaker.send(retained("r/a", "")).await;
    speaker.next().await;
    let live = listener.next_publish().await;
    assert!(!live.retain && live.payload.is_empty(), "to a subscriber that is there it is an ordinary message");
    let mut late = site.client(hello("late")).await;
    late.subscribe("r/#", QoS::AtLeastOnce).await;
    late.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn retain_handling_and_retain_as_published_are_kept_to() {
    let (_folder, site) = site().await;
    let mut speaker = site.client(hello("speaker")).await;
    speaker.send(retained("r", "kept")).await;
    speaker.next().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe_with("r", QoS::AtMostOnce, |f| f.retain_handling = RetainHandling::DoNotSend).await;
    listener.expect_nothing().await;
    listener.subscribe_with("r", QoS::AtMostOnce, |f| f.retain_handling = RetainHandling::SendIfNew).await;
    listener.expect_nothing().await;
    listener.subscribe_with("r", QoS::AtMostOnce, |f| f.retain_as_published = true).await;
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"kept");
    speaker.send(retained("r", "again")).await;
    let live = listener.next_publish().await;
    assert!(live.retain, "as published");
    site.stop().await;
}

#[tokio::test]
async fn many_retained_messages_all_reach_a_new_subscriber() {
    let folder = tempfile::tempdir().unwrap();
    let options = BrokerOptions { outbox_bytes: 4096, ..BrokerOptions::default() };
    let site = Site::on(open_log(folder.path()), options).await;
    for n in 0..3000 {
        let topic = format!("many/{n:05}");
        site.broker.publish_internal(&topic, Bytes::from_static(&[b'x'; 100]), QoS::AtMostOnce, true).await.unwrap();
    }
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("many/+", QoS::AtMostOnce).await;
    for n in 0..3000 {
        assert_eq!(listener.next_publish().await.topic.unwrap().as_str(), format!("many/{n:05}"));
    }
    site.stop().await;
}

#[tokio::test]
async fn an_expired_message_is_not_delivered_and_a_live_one_says_what_is_left() {
    let (_folder, site) = site().await;
    site.client(lasting("listener")).await.subscribe("e", QoS::AtLeastOnce).await;
    until(|| site.broker.clients().iter().all(|c| !c.connected)).await;
    let mut speaker = site.client(hello("speaker")).await;
    for (payload, expiry_s) in [("short", 10), ("long", 100)] {
        let mut message = publish("e", payload, QoS::AtLeastOnce, 3);
        message.properties.message_expiry_s = Some(expiry_s);
        speaker.send(Packet::Publish(message)).await;
        speaker.next().await;
    }
    site.clock.turn(Duration::from_secs(20));
    let mut listener = Client::dial(site.address, Version::V5).await;
    listener.connect(lasting("listener")).await;
    let message = listener.next_publish().await;
    assert_eq!(message.payload.as_ref(), b"long");
    let left = message.properties.message_expiry_s.unwrap();
    assert!((70..=80).contains(&left), "{left}");
    site.stop().await;
}

#[tokio::test]
async fn a_shared_subscription_gives_each_message_to_one_member() {
    let (_folder, site) = site().await;
    let mut members =
        [site.client(hello("m1")).await, site.client(lasting("m2")).await, site.client(lasting("m3")).await];
    members[1].subscribe("$share/g/job", QoS::AtLeastOnce).await;
    members[2].subscribe("$share/g/job", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for n in 0..6 {
        speaker.publish_1("job", &n.to_string()).await;
    }
    let mut got = Vec::new();
    for member in &mut members[1..] {
        for _ in 0..3 {
            got.push(member.next_publish().await.payload);
        }
        member.expect_nothing().await;
    }
    got.sort();
    assert_eq!(got, ["0", "1", "2", "3", "4", "5"].map(Bytes::from));
    site.stop().await;
}

#[tokio::test]
async fn one_refused_filter_leaves_the_others_standing() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("a")).await;
    let line = |filter: &str| Filter {
        filter: TopicFilter::parse(filter).unwrap(),
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let filters = vec![
        line("open/#"),
        line("secret/x"),
        line("a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q/r/s/t/u/v/w/x/y/z/1/2/3/4/5/6/7"),
    ];
    let properties = SubscribeProperties::default();
    client.send(Packet::Subscribe(Subscribe { packet_id: 1, properties, filters })).await;
    match client.next().await {
        Packet::SubAck(ack) => assert_eq!(
            ack.reasons,
            [ReasonCode::GRANTED_QOS_1, ReasonCode::NOT_AUTHORIZED, ReasonCode::TOPIC_FILTER_INVALID]
        ),
        other => panic!("{other:?}"),
    }
    assert_eq!(client.publish_1("secret/x", "no").await, ReasonCode::NOT_AUTHORIZED);
    client.send(Packet::Publish(publish("open/x", "yes", QoS::AtMostOnce, 0))).await;
    assert_eq!(client.next_publish().await.payload.as_ref(), b"yes");
    site.stop().await;
}

#[tokio::test]
async fn a_3_1_1_client_that_may_not_publish_is_not_told_it_did() {
    let (_folder, site) = site().await;
    let mut client = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    client.send(Packet::Publish(publish("secret/x", "no", QoS::AtLeastOnce, 1))).await;
    assert_eq!(client.try_next().await, None);
    site.stop().await;
}

#[tokio::test]
async fn the_surroundings_hear_to_what_a_client_has_no_right() {
    let (_folder, site) = site().await;
    let mut new = site.client(hello("new")).await;
    assert_eq!(new.publish_1("secret/1", "no").await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(new.publish_1("$SYS/mine", "no").await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(new.publish_1("command/valve", "forbidden").await, ReasonCode::NOT_AUTHORIZED);
    assert_eq!(new.subscribe("$share/g/secret/#", QoS::AtMostOnce).await, ReasonCode::NOT_AUTHORIZED);
    new.send(Packet::Publish(publish("secret/0", "no", QoS::AtMostOnce, 0))).await;
    let mut old = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    old.send(Packet::Publish(publish("secret/old", "no", QoS::AtLeastOnce, 1))).await;
    assert_eq!(old.try_next().await, None);
    for topic in ["secret/will", "command/will", "$SYS/will"] {
        let will = Will {
            qos: QoS::AtMostOnce,
            retain: false,
            properties: WillProperties::default(),
            topic: TopicName::parse(topic).unwrap(),
            payload: Bytes::new(),
        };
        let mut dying = Client::dial(site.address, Version::V5).await;
        let answer = dying.connect(Connect { will: Some(will), ..hello("dying") }).await;
        assert_eq!(answer.reason, ReasonCode::NOT_AUTHORIZED);
    }
    until(|| site.hooks.refused.lock().unwrap().len() == 9).await;
    let told = site.hooks.refused.lock().unwrap().clone();
    let mut told: Vec<_> = told.iter().map(|(client, what, topic)| (client.as_str(), topic.as_str(), *what)).collect();
    told.sort_unstable_by_key(|(client, topic, _)| (*client, *topic));
    assert_eq!(
        told,
        [
            ("dying", "$SYS/will", NoRight::ServerTopic),
            ("dying", "command/will", NoRight::CommandAsWill),
            ("dying", "secret/will", NoRight::Publish),
            ("new", "$SYS/mine", NoRight::ServerTopic),
            ("new", "$share/g/secret/#", NoRight::Subscribe),
            ("new", "command/valve", NoRight::Command),
            ("new", "secret/0", NoRight::Publish),
            ("new", "secret/1", NoRight::Publish),
            ("old", "secret/old", NoRight::Publish),
        ]
    );
    let gone = || site.hooks.events.lock().unwrap().iter().find_map(|event| event.reason.clone());
    until(|| gone().is_some()).await;
    assert_eq!(gone(), Some(EndReason::MayNotPublish(TopicName::parse("secret/old").unwrap())));
    site.stop().await;
}

#[tokio::test]
async fn messages_are_mapped_once_and_those_of_the_node_itself_are_not() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("a")).await;
    client.send(Packet::Publish(publish("m/0", "0", QoS::AtMostOnce, 0))).await;
    client.publish_1("m/1", "1").await;
    client.send(Packet::Publish(publish("m/2", "2", QoS::ExactlyOnce, 1))).await;
    client.next().await;
    client.send(Packet::Publish(Publish { dup: true, ..publish("m/2", "2", QoS::ExactlyOnce, 1) })).await;
    client.next().await;
    site.broker.publish_internal("m/3", Bytes::from_static(b"3"), QoS::AtLeastOnce, false).await.unwrap();
    let topics = || site.hooks.mapped.lock().unwrap().iter().map(|m| m.topic.to_string()).collect::<Vec<_>>();
    until(|| topics() == ["m/0", "m/1", "m/2"]).await;
    site.stop().await;
}

#[tokio::test]
async fn sys_topics_show_on_subscribing_and_hide_from_wildcards() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("a")).await;
    assert_eq!(client.subscribe("#", QoS::AtMostOnce).await, ReasonCode::SUCCESS);
    client.expect_nothing().await;
    client.subscribe("$SYS/broker/version", QoS::AtMostOnce).await;
    let message = client.next_publish().await;
    assert!(message.payload.starts_with(b"andon "));
    site.stop().await;
}

/// What is to be retained goes through the log, what is not does not: on one topic that must not be seen.
#[tokio::test]
async fn a_message_with_qos_0_does_not_overtake_one_that_is_retained() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("a", QoS::AtMostOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for round in 0..50 {
        for (n, retain) in [true, false, true, true, false, false].into_iter().enumerate() {
            let message = publish("a", &format!("{round} {n}"), QoS::AtMostOnce, 0);
            speaker.send(Packet::Publish(Publish { retain, ..message })).await;
        }
        for n in 0..6 {
            assert_eq!(listener.next_publish().await.payload, format!("{round} {n}").as_bytes());
        }
    }
    site.stop().await;
}
