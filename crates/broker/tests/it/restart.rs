//! What is left after the broker and its log were closed and opened again, with and without a snapshot.

use crate::harness::*;
use andon_broker::*;
use andon_log::DurableLog;
use andon_wire::mqtt::*;
use std::path::Path;
use std::sync::Arc;

async fn start(folder: &Path) -> (Arc<DurableLog>, Site) {
    let log = open_log(folder);
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    (log, site)
}

/// Ends cleanly (with a snapshot) or as a kill would: the log is closed under the broker, no snapshot is written.
async fn end(log: Arc<DurableLog>, site: Site, cleanly: bool) {
    if cleanly {
        site.stop().await;
        log.close();
    } else {
        log.close();
        site.abandon();
    }
}

#[tokio::test]
async fn sessions_queues_and_retained_messages_are_there_after_a_restart() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, site) = start(folder.path()).await;
        let mut listener = site.client(lasting("listener")).await;
        listener.subscribe("a/#", QoS::ExactlyOnce).await;
        listener.leave().await;
        let mut speaker = site.client(hello("speaker")).await;
        assert_eq!(speaker.publish_1("a/1", "first").await, ReasonCode::SUCCESS);
        assert_eq!(speaker.publish_1("a/2", "second").await, ReasonCode::SUCCESS);
        speaker.send(Packet::Publish(Publish { retain: true, ..publish("r", "kept", QoS::AtLeastOnce, 1) })).await;
        speaker.next().await;
        end(log, site, cleanly).await;

        let (log, site) = start(folder.path()).await;
        let mut listener = Client::dial(site.address, Version::V5).await;
        assert!(listener.connect(lasting("listener")).await.session_present, "cleanly: {cleanly}");
        let (first, second) = (listener.next_publish().await, listener.next_publish().await);
        assert_eq!((first.payload.as_ref(), second.payload.as_ref()), (&b"first"[..], &b"second"[..]));
        listener.ack(&first).await;
        let mut late = site.client(hello("late")).await;
        late.subscribe("r", QoS::AtMostOnce).await;
        assert_eq!(late.next_publish().await.payload.as_ref(), b"kept");
        end(log, site, true).await;

        let (log, site) = start(folder.path()).await;
        let mut listener = Client::dial(site.address, Version::V5).await;
        listener.connect(lasting("listener")).await;
        let again = listener.next_publish().await;
        assert_eq!((again.payload.as_ref(), again.dup), (&b"second"[..], true), "the first one was answered");
        assert_eq!(again.packet_id, second.packet_id, "the same message, the same identifier");
        end(log, site, true).await;
    }
}

#[tokio::test]
async fn qos_2_is_exactly_once_inbound_over_a_restart() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, site) = start(folder.path()).await;
        site.client(lasting("listener")).await.subscribe("x", QoS::ExactlyOnce).await;
        let mut speaker = site.client(lasting("speaker")).await;
        let message = publish("x", "once", QoS::ExactlyOnce, 42);
        speaker.send(Packet::Publish(message.clone())).await;
        assert!(matches!(speaker.next().await, Packet::PubRec(a) if a.packet_id == 42));
        end(log, site, cleanly).await;

        // PUBREC got lost, as far as the client knows: it repeats.
        let (log, site) = start(folder.path()).await;
        let mut speaker = Client::dial(site.address, Version::V5).await;
        assert!(speaker.connect(lasting("speaker")).await.session_present);
        speaker.send(Packet::Publish(Publish { dup: true, ..message.clone() })).await;
        assert!(matches!(speaker.next().await, Packet::PubRec(a) if a.packet_id == 42));
        speaker.send(Packet::PubRel(Ack::new(42, ReasonCode::SUCCESS))).await;
        assert!(matches!(speaker.next().await, Packet::PubComp(a) if a.packet_id == 42));
        // Released: the same identifier is a new message now.
        speaker.send(Packet::Publish(Publish { payload: "new".into(), ..message })).await;
        speaker.next().await;
        let mut listener = Client::dial(site.address, Version::V5).await;
        listener.connect(lasting("listener")).await;
        assert_eq!(listener.next_publish().await.payload.as_ref(), b"once");
        assert_eq!(listener.next_publish().await.payload.as_ref(), b"new");
        listener.expect_nothing().await;
        end(log, site, true).await;
    }
}

#[tokio::test]
async fn qos_2_is_exactly_once_outbound_over_a_restart() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let (log, site) = start(folder.path()).await;
        let mut listener = site.client(lasting("listener")).await;
        listener.subscribe("x", QoS::ExactlyOnce).await;
        let mut speaker = site.client(hello("speaker")).await;
        speaker.send(Packet::Publish(publish("x", "once", QoS::ExactlyOnce, 1))).await;
        let message = listener.next_publish().await;
        let id = message.packet_id;
        listener.send(Packet::PubRec(Ack::new(id, ReasonCode::SUCCESS))).await;
        assert!(matches!(listener.next().await, Packet::PubRel(a) if a.packet_id == id));
        end(log, site, cleanly).await;

        let (log, site) = start(folder.path()).await;
        let mut listener = Client::dial(site.address, Version::V5).await;
        listener.connect(lasting("listener")).await;
        let next = listener.next().await;
        assert!(matches!(&next, Packet::PubRel(a) if a.packet_id == id), "not the message again: {next:?}");
        listener.send(Packet::PubComp(Ack::new(id, ReasonCode::SUCCESS))).await;
        listener.expect_nothing().await;
        listener.leave().await;
        let queued = || site.broker.clients().iter().map(|c| c.queued).sum::<usize>();
        until(|| queued() == 0).await;
        end(log, site, true).await;
    }
}

#[tokio::test]
async fn what_came_after_the_last_snapshot_is_shown_to_the_mapping_again() {
    let folder = tempfile::tempdir().unwrap();
    let (log, site) = start(folder.path()).await;
    site.client(hello("a")).await.publish_1("m", "before").await;
    end(log, site, true).await;
    let (log, site) = start(folder.path()).await;
    assert!(site.hooks.replayed.lock().unwrap().is_empty());
    site.client(hello("a")).await.publish_1("m", "after").await;
    end(log, site, false).await;
    let (log, site) = start(folder.path()).await;
    let replayed: Vec<_> = site.hooks.replayed.lock().unwrap().iter().map(|m| m.payload.clone()).collect();
    assert_eq!(replayed, ["after"]);
    end(log, site, true).await;
}

#[tokio::test]
async fn a_client_that_was_connected_when_the_node_died_has_its_will_published() {
    let folder = tempfile::tempdir().unwrap();
    let (log, site) = start(folder.path()).await;
    let will = Will {
        topic: TopicName::parse("will").unwrap(),
        payload: "gone".into(),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: WillProperties::default(),
    };
    let client = site.client(Connect { will: Some(will), ..lasting("press") }).await;
    end(log, site, false).await;
    drop(client);
    let (log, site) = start(folder.path()).await;
    until(|| site.broker.stats().retained == 1).await;
    end(log, site, true).await;
}

#[tokio::test]
async fn snapshots_are_taken_while_running_and_a_restart_goes_on_from_there() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let options = BrokerOptions { snapshot_bytes: 20_000, ..BrokerOptions::default() };
    let site = Site::on(log.clone(), options).await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("x", QoS::AtLeastOnce).await;
    listener.leave().await;
    let mut speaker = site.client(hello("speaker")).await;
    for n in 0..300 {
        speaker.publish_1("x", &format!("{n:200}")).await;
    }
    end(log, site, false).await;
    let (log, site) = start(folder.path()).await;
    let replayed = site.hooks.replayed.lock().unwrap().len();
    assert!((1..300).contains(&replayed), "a part comes from a snapshot, the rest from the lane: {replayed}");
    let mut listener = Client::dial(site.address, Version::V5).await;
    listener.connect(lasting("listener")).await;
    for n in 0..300 {
        let message = listener.next_publish().await;
        assert_eq!(message.payload.as_ref(), format!("{n:200}").as_bytes());
        listener.ack(&message).await;
    }
    end(log, site, true).await;
}
