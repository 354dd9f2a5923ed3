//! Command topics: through the hook, answered with the outcome, never kept.

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

#[tokio::test]
async fn the_answer_to_a_command_is_its_outcome() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("panel")).await;
    assert_eq!(client.publish_1("command/valve", "open").await, ReasonCode::SUCCESS);
    assert_eq!(client.publish_1("command/valve", "forbidden").await, ReasonCode::NOT_AUTHORIZED);
    client.send(Packet::Publish(publish("command/valve", "too much", QoS::ExactlyOnce, 2))).await;
    match client.next().await {
        Packet::PubRec(ack) => {
            assert_eq!(ack.reason, ReasonCode::IMPLEMENTATION_SPECIFIC);
            assert_eq!(ack.properties.reason_string.unwrap().as_str(), "above the limit of 80 °C");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(site.hooks.commands.lock().unwrap().len(), 3);
    site.stop().await;
}

#[tokio::test]
async fn a_command_is_not_stored_retained_routed_or_mapped() {
    let (_folder, site) = site().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("command/#", QoS::AtLeastOnce).await;
    let mut client = site.client(hello("panel")).await;
    client
        .send(Packet::Publish(Publish { retain: true, ..publish("command/valve", "open", QoS::AtLeastOnce, 1) }))
        .await;
    assert!(matches!(client.next().await, Packet::PubAck(a) if a.reason == ReasonCode::SUCCESS));
    listener.expect_nothing().await;
    assert_eq!(site.broker.stats().retained, 0);
    assert!(site.hooks.mapped.lock().unwrap().is_empty());
    site.stop().await;
}

#[tokio::test]
async fn a_slow_command_holds_up_nothing_else_of_its_connection() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("panel")).await;
    let held = site.hooks.hold_commands.lock().await;
    client.send(Packet::Publish(publish("command/valve", "open", QoS::AtLeastOnce, 1))).await;
    assert!(client.publish_1("a", "b").await.is_success());
    client.expect_nothing().await;
    drop(held);
    assert!(matches!(client.next().await, Packet::PubAck(a) if a.packet_id == 1));
    site.stop().await;
}

#[tokio::test]
async fn a_repeated_command_is_not_carried_out() {
    let (_folder, site) = site().await;
    let repeated = || Packet::Publish(Publish { dup: true, ..publish("command/valve", "open", QoS::AtLeastOnce, 1) });
    let mut client = site.client(hello("panel")).await;
    client.send(repeated()).await;
    assert!(matches!(client.next().await, Packet::PubAck(a) if a.reason == ReasonCode::IMPLEMENTATION_SPECIFIC));
    let mut old = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    old.send(repeated()).await;
    assert!(matches!(old.next().await, Packet::PubAck(_)), "or it would repeat for ever");
    assert!(site.hooks.commands.lock().unwrap().is_empty());
    site.stop().await;
}

#[tokio::test]
async fn a_refused_command_of_a_3_1_1_client_is_not_acknowledged() {
    let (_folder, site) = site().await;
    let mut old = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    old.send(Packet::Publish(publish("command/valve", "too much", QoS::AtLeastOnce, 1))).await;
    assert_eq!(old.try_next().await, None);
    site.stop().await;
}

#[tokio::test]
async fn nobody_is_brought_to_repeat_a_command_that_was_begun() {
    let (_folder, site) = site().await;
    // A client that can hear why not hears it.
    let mut client = site.client(hello("panel")).await;
    assert_eq!(client.publish_1("command/valve", "in vain").await, ReasonCode::IMPLEMENTATION_SPECIFIC);
    // One that cannot is not thrown out: some then say it again, and not that they do.
    let mut old = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    old.send(Packet::Publish(publish("command/valve", "in vain", QoS::AtLeastOnce, 1))).await;
    assert!(matches!(old.next().await, Packet::PubAck(a) if a.packet_id == 1));
    old.send(Packet::Publish(publish("command/valve", "in vain", QoS::ExactlyOnce, 2))).await;
    assert!(matches!(old.next().await, Packet::PubRec(a) if a.packet_id == 2));
    old.send(Packet::PubRel(Ack::new(2, ReasonCode::SUCCESS))).await;
    assert!(matches!(old.next().await, Packet::PubComp(a) if a.packet_id == 2));
    assert_eq!(site.hooks.commands.lock().unwrap().len(), 3);
    site.stop().await;
}

#[tokio::test]
async fn an_outgoing_command_goes_only_to_those_connected_now() {
    let (_folder, site) = site().await;
    let topic = TopicName::parse("lamp/set").unwrap();
    let send = |site: &Site| site.broker.send_command(&topic, Bytes::from_static(b"on"), Duration::from_secs(5));
    assert!(send(&site).is_err());
    let mut away = site.client(lasting("away")).await;
    away.subscribe("lamp/#", QoS::AtLeastOnce).await;
    away.leave().await;
    until(|| site.broker.stats().connected == 0).await;
    assert!(send(&site).is_err(), "a session that is not connected does not get it, not even later");
    let mut lamp = site.client(hello("lamp")).await;
    lamp.subscribe("lamp/+", QoS::AtLeastOnce).await;
    assert_eq!(send(&site), Ok(1));
    let message = lamp.next_publish().await;
    assert_eq!((message.payload.as_ref(), message.qos, message.retain), (&b"on"[..], QoS::AtMostOnce, false));
    assert_eq!(message.properties.message_expiry_s, Some(5));
    let mut away = Client::dial(site.address, Version::V5).await;
    away.connect(lasting("away")).await;
    away.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_will_cannot_be_a_command() {
    let (_folder, site) = site().await;
    let will = Will {
        topic: TopicName::parse("command/valve").unwrap(),
        payload: Bytes::from_static(b"open"),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    let mut client = Client::dial(site.address, Version::V5).await;
    let ack = client.connect(Connect { will: Some(will), ..hello("panel") }).await;
    assert_eq!(ack.reason, ReasonCode::NOT_AUTHORIZED);
    site.stop().await;
}

#[tokio::test]
async fn a_will_whose_topic_became_a_command_meanwhile_is_dropped_and_told() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = open_log(folder.path());
    let mut site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut watcher = site.client(hello("watcher")).await;
    watcher.subscribe("valve/#", QoS::AtMostOnce).await;
    let with = |delay, connect| Connect { will: Some(will("valve/7", delay)), ..connect };
    let at_once = site.client(with(None, hello("a"))).await;
    let at_once_too = site.client(with(None, lasting("b"))).await;
    let delayed = site.client(with(Some(60), lasting("c"))).await;
    site.hooks.commands_now.lock().unwrap().push("valve/7");
    let hooks = site.hooks.clone();
    let told = || hooks.refused.lock().unwrap().clone();
    for (client, id) in [(at_once, "a"), (at_once_too, "b"), (delayed, "c")] {
        drop(client);
        site.until_away(id).await;
        if id == "c" {
            assert_eq!(told().len(), 2, "not before its time");
            site.clock.turn(Duration::from_secs(61));
        }
        until(|| told().iter().any(|(client, ..)| client == id)).await;
        assert_eq!(told().last().unwrap(), &(id.to_owned(), NoRight::CommandAsWill, "valve/7".to_owned()));
    }
    assert_eq!((told().len(), site.hooks.commands.lock().unwrap().len()), (3, 0));
    // They are gone for good, also over a restart and when the topic is no command any more.
    for cleanly in [false, true] {
        // What was told was written down by then, for this comes after it.
        site.broker.publish_internal("mark", Bytes::new(), QoS::AtLeastOnce, true).await.unwrap();
        watcher.expect_nothing().await;
        let clock = site.clock.clone();
        if cleanly {
            site.stop().await;
            log.close();
        } else {
            log.close();
            site.abandon();
        }
        log = open_log(folder.path());
        site = Site::at(log.clone(), BrokerOptions::default(), clock).await;
        watcher = site.client(hello("watcher")).await;
        watcher.subscribe("valve/#", QoS::AtMostOnce).await;
    }
    assert_eq!(site.broker.stats().sessions, 3);
    site.clock.turn(Duration::from_secs(3601));
    until(|| site.broker.stats().sessions == 1).await;
    watcher.expect_nothing().await;
    site.stop().await;
}
