//! A log that is slow, full, or done for: never a false yes.

use crate::harness::*;
use crate::moody_log::{Mood, MoodyLog};
use andon_broker::*;
use andon_model::log::*;
use andon_wire::mqtt::*;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

async fn site() -> (tempfile::TempDir, Arc<MoodyLog>, Site) {
    let folder = tempfile::tempdir().unwrap();
    let log = MoodyLog::over(open_log(folder.path()));
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    (folder, log, site)
}

const FULL: AppendError = AppendError::DiskFull { lane: Lane::Messages };

fn poisoned() -> AppendError {
    AppendError::Poisoned { lane: Lane::Messages, reason: "sync failed".to_owned() }
}

#[tokio::test]
async fn nothing_is_acknowledged_delivered_or_mapped_before_its_commit() {
    let (_folder, log, site) = site().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("#", QoS::AtLeastOnce).await;
    for connect in [lasting("speaker"), old("old speaker", false)] {
        let mut speaker = site.client(connect).await;
        let mapped = site.hooks.mapped.lock().unwrap().len();
        log.set(Mood::Holding);
        speaker.send(Packet::Publish(publish("a", "1", QoS::AtLeastOnce, 1))).await;
        speaker.send(Packet::Publish(publish("b", "2", QoS::ExactlyOnce, 2))).await;
        let filter = Filter {
            filter: TopicFilter::parse("x").unwrap(),
            qos: QoS::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            retain_handling: RetainHandling::Send,
        };
        let properties = SubscribeProperties::default();
        speaker.send(Packet::Subscribe(Subscribe { packet_id: 3, properties, filters: vec![filter] })).await;
        speaker.expect_nothing().await;
        listener.expect_nothing().await;
        assert_eq!(site.hooks.mapped.lock().unwrap().len(), mapped);
        log.set(Mood::Well);
        assert!(matches!(speaker.next().await, Packet::PubAck(a) if a.packet_id == 1));
        assert!(matches!(speaker.next().await, Packet::PubRec(a) if a.packet_id == 2));
        assert!(matches!(speaker.next().await, Packet::SubAck(a) if a.packet_id == 3));
        assert_eq!(listener.next_publish().await.payload.as_ref(), b"1");
        assert_eq!(listener.next_publish().await.payload.as_ref(), b"2");
    }
    site.stop().await;
}

#[tokio::test]
async fn what_needs_no_quota_is_heard_while_none_is_left() {
    let folder = tempfile::tempdir().unwrap();
    let log = MoodyLog::over(open_log(folder.path()));
    let site = Site::on(log.clone(), BrokerOptions { receive_maximum: 2, ..BrokerOptions::default() }).await;
    let mut speaker = site.client(hello("speaker")).await;
    log.set(Mood::Holding);
    for id in [1, 2] {
        speaker.send(Packet::Publish(publish("a", "1", QoS::AtLeastOnce, id))).await;
    }
    speaker.send(Packet::PingReq).await;
    assert_eq!(speaker.next().await, Packet::PingResp);
    // One more than it was told ends it.
    speaker.send(Packet::Publish(publish("a", "1", QoS::AtLeastOnce, 3))).await;
    assert_eq!(speaker.farewell().await, ReasonCode::RECEIVE_MAXIMUM_EXCEEDED);
    // 3.1.1 has no such number, so it waits.
    let mut older = site.client(old("older", true)).await;
    for id in [1, 2, 3] {
        older.send(Packet::Publish(publish("a", "1", QoS::AtLeastOnce, id))).await;
    }
    log.set(Mood::Well);
    for id in [1, 2, 3] {
        assert!(matches!(older.next().await, Packet::PubAck(ack) if ack.packet_id == id));
    }
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_is_thrown_out_does_not_wait_until_the_log_has_its_last_answers() {
    let (_folder, log, site) = site().await;
    let mut reader = site.client(lasting("reader")).await;
    reader.subscribe("a", QoS::AtLeastOnce).await;
    site.broker.publish_internal("a", "x".into(), QoS::AtLeastOnce, false).await.unwrap();
    let message = reader.next_publish().await;
    let busy = AppendError::Busy { lane: Lane::Messages, pending_bytes: 1 };
    log.set(Mood::Refusing(busy));
    // The answer, a question and a packet that nobody understands, in one piece: the answer is to be in the log before the end.
    let answer = bytes_of(&Packet::PubAck(Ack::new(message.packet_id, ReasonCode::SUCCESS)), Version::V5);
    let question = bytes_of(&Packet::PingReq, Version::V5);
    reader.send_bytes(&[answer, question, vec![0, 0]].concat()).await;
    assert_eq!(reader.next().await, Packet::PingResp);
    assert!(site.broker.departures(Some("reader"), 1).is_empty(), "the log has not taken its answer");
    assert!(site.broker.disconnect_client("reader"));
    until(|| !site.broker.departures(Some("reader"), 1).is_empty()).await;
    log.set(Mood::Well);
    site.stop().await;
}

#[tokio::test]
async fn a_session_that_is_to_last_is_admitted_only_when_it_is_durable() {
    let (_folder, log, site) = site().await;
    log.set(Mood::Holding);
    let mut lasting_one = Client::dial(site.address, Version::V5).await;
    lasting_one.send(Packet::Connect(Box::new(lasting("kept")))).await;
    // Another client comes and goes meanwhile: nothing of it has to be durable.
    site.client(hello("guest")).await.expect_nothing().await;
    assert_eq!(site.broker.stats().sessions, 1, "the guest alone");
    log.set(Mood::Well);
    assert!(matches!(lasting_one.next().await, Packet::ConnAck(_)));
    site.stop().await;
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_connection_lives() {
    let (_folder, log, site) = site().await;
    let mut client = site.client(lasting("new")).await;
    let mut old = site.client(Connect { version: Version::V311, ..hello("old") }).await;
    log.set(Mood::Refusing(FULL));
    assert_eq!(client.publish_1("a", "x").await, ReasonCode::QUOTA_EXCEEDED);
    assert_eq!(client.subscribe("a", QoS::AtLeastOnce).await, ReasonCode::QUOTA_EXCEEDED);
    old.send(Packet::Publish(publish("a", "x", QoS::AtLeastOnce, 1))).await;
    assert_eq!(old.try_next().await, None, "3.1.1 has no no");
    let mut late = Client::dial(site.address, Version::V5).await;
    assert_eq!(late.connect(lasting("late")).await.reason, ReasonCode::QUOTA_EXCEEDED);
    log.set(Mood::Well);
    assert_eq!(client.publish_1("a", "y").await, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    site.stop().await;
}

#[tokio::test]
async fn a_qos_2_message_is_not_refused_for_a_full_disk_but_kept_by_its_client() {
    let (_folder, log, site) = site().await;
    site.client(lasting("listener")).await.subscribe("a", QoS::ExactlyOnce).await;
    for connect in [lasting("new"), Connect { version: Version::V311, ..lasting("old") }] {
        let mut client = site.client(connect.clone()).await;
        log.set(Mood::Refusing(FULL));
        client.send(Packet::Publish(publish("a", "x", QoS::ExactlyOnce, 7))).await;
        match client.try_next().await {
            Some(Packet::Disconnect(d)) => assert_eq!(d.reason, ReasonCode::QUOTA_EXCEEDED),
            other => assert_eq!((other, connect.version), (None, Version::V311)),
        }
        log.set(Mood::Well);
        let mut client = site.again(connect).await;
        client.send(Packet::Publish(Publish { dup: true, ..publish("a", "x", QoS::ExactlyOnce, 7) })).await;
        assert_eq!(client.expect_ack(Packet::PubRec, 7).await, ReasonCode::SUCCESS);
        client.release(7).await;
        let mut listener = site.again(lasting("listener")).await;
        let got = listener.next_publish().await;
        assert_eq!(got.payload.as_ref(), b"x");
        listener.finish_qos_2(got.packet_id).await;
        listener.expect_nothing().await;
        listener.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_message_the_disk_took_no_more_gets_no_answer_and_counts_once_there_is_room() {
    let (_folder, log, site) = site().await;
    site.client(lasting("listener")).await.subscribe("a", QoS::ExactlyOnce).await;
    let mut client = site.client(lasting("new")).await;
    log.set(Mood::Failing(FULL));
    let message = publish("a", "x", QoS::ExactlyOnce, 1);
    client.send(Packet::Publish(message.clone())).await;
    match client.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::QUOTA_EXCEEDED),
        other => panic!("{other:?}"),
    }
    log.set(Mood::Well);
    let mut client = Client::dial(site.address, Version::V5).await;
    assert!(client.connect(lasting("new")).await.session_present);
    client.send(Packet::Publish(Publish { dup: true, ..message })).await;
    assert!(matches!(client.next().await, Packet::PubRec(a) if a.reason == ReasonCode::SUCCESS));
    let mut listener = Client::dial(site.address, Version::V5).await;
    listener.connect(lasting("listener")).await;
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"x");
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn after_a_failed_sync_nobody_gets_a_yes_and_qos_0_still_flows() {
    let (_folder, log, site) = site().await;
    let mut client = site.client(hello("a")).await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("#", QoS::AtMostOnce).await;
    log.set(Mood::Failing(poisoned()));
    client.send(Packet::Publish(publish("a", "x", QoS::AtLeastOnce, 1))).await;
    match client.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::UNSPECIFIED),
        other => panic!("{other:?}"),
    }
    let mut late = Client::dial(site.address, Version::V5).await;
    assert_eq!(late.connect(lasting("late")).await.reason, ReasonCode::SERVER_UNAVAILABLE);
    let mut guest = site.client(hello("guest")).await;
    guest.send(Packet::Publish(publish("b", "live", QoS::AtMostOnce, 0))).await;
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"live");
    site.stop().await;
}

#[tokio::test]
async fn the_goodbye_says_why_in_words_if_the_client_takes_so_large_a_packet() {
    let (_folder, log, site) = site().await;
    for (most, told) in [(None, true), (Some(200), true), (Some(20), false)] {
        log.set(Mood::Well);
        let mut connect = hello("a");
        connect.properties.maximum_packet_size = most;
        let mut client = site.client(connect).await;
        log.set(Mood::Failing(poisoned()));
        client.send(Packet::Publish(publish("a", "x", QoS::AtLeastOnce, 1))).await;
        match client.next().await {
            Packet::Disconnect(d) => assert_eq!(d.properties.reason_string.is_some(), told, "{most:?}"),
            other => panic!("{other:?}"),
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn a_busy_log_holds_the_publisher_back_and_loses_nothing() {
    let (_folder, log, site) = site().await;
    let mut client = site.client(hello("a")).await;
    let mut other = site.client(hello("b")).await;
    log.set(Mood::Refusing(AppendError::Busy { lane: Lane::Messages, pending_bytes: 1 }));
    for id in 1..=3 {
        client.send(Packet::Publish(publish("a", "x", QoS::AtLeastOnce, id))).await;
    }
    client.send(Packet::PingReq).await;
    other.expect_nothing().await;
    log.set(Mood::Well);
    let mut got = Vec::new();
    for _ in 0..4 {
        got.push(client.next().await);
    }
    let acks = got.iter().filter(|p| matches!(p, Packet::PubAck(_))).count();
    assert_eq!(acks, 3, "{got:?}");
    site.stop().await;
}

/// The will is on its way when the session's end is due too.
#[tokio::test]
async fn a_will_is_published_once_however_long_the_log_takes() {
    let folder = tempfile::tempdir().unwrap();
    let log = MoodyLog::over(open_log(folder.path()));
    let options = BrokerOptions { sys_interval: Duration::from_millis(1), ..BrokerOptions::default() };
    let site = Site::on(log.clone(), options).await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("will", QoS::AtLeastOnce).await;
    // Comes each time the deadlines have been looked at.
    let mut watch = site.client(hello("watch")).await;
    watch
        .subscribe_with("$SYS/broker/uptime", QoS::AtMostOnce, |f| f.retain_handling = RetainHandling::DoNotSend)
        .await;
    let mut press = lasting("press");
    press.will = Some(will("will", Some(60)));
    drop(site.client(press).await);
    site.until_away("press").await;
    // Its departure is in the lane.
    site.broker.publish_internal("x", Bytes::new(), QoS::AtLeastOnce, false).await.unwrap();
    log.set(Mood::Holding);
    for seconds in [100, 3600] {
        site.clock.turn(Duration::from_secs(seconds));
        watch.next_publish().await;
        watch.next_publish().await;
    }
    log.set(Mood::Well);
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"gone");
    until(|| !site.broker.clients().iter().any(|c| c.client_id == "press")).await;
    site.broker.publish_internal("x", Bytes::new(), QoS::AtLeastOnce, false).await.unwrap();
    listener.expect_nothing().await;
    site.stop().await;
}

/// Both are due when somebody looks.
#[tokio::test]
async fn a_will_and_the_end_of_its_session_at_the_same_time_make_one_message() {
    let (_folder, _log, site) = site().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("will", QoS::AtLeastOnce).await;
    let mut press = lasting("press");
    press.will = Some(will("will", Some(60)));
    drop(site.client(press).await);
    site.until_away("press").await;
    site.broker.publish_internal("x", Bytes::new(), QoS::AtLeastOnce, false).await.unwrap();
    site.clock.turn(Duration::from_secs(7200));
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"gone");
    until(|| !site.broker.clients().iter().any(|c| c.client_id == "press")).await;
    for _ in 0..2 {
        site.broker.publish_internal("x", Bytes::new(), QoS::AtLeastOnce, false).await.unwrap();
        listener.expect_nothing().await;
    }
    site.stop().await;
}
