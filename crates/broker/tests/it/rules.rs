//! What the rule of a topic says: messages that are not written down, and messages that are refused.

use crate::harness::*;
use andon_broker::*;
use andon_model::Clock as _;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::log::{Lane, Log};
use andon_wire::mqtt::*;
use bytes::Bytes;

const ADA: Principal = Principal { id: uuid::Uuid::from_u128(7), kind: PrincipalKind::Person };

#[tokio::test]
async fn a_volatile_message_is_acknowledged_delivered_and_mapped_and_not_written() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("volatile/#", QoS::ExactlyOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    let before = log.durable_seq(Lane::Messages);
    assert_eq!(speaker.publish_1("volatile/a", "1").await, ReasonCode::SUCCESS);
    let got = here.next_publish().await;
    assert_eq!((got.qos, got.payload.as_ref()), (QoS::AtLeastOnce, &b"1"[..]));
    here.ack(&got).await;
    speaker.send(Packet::Publish(publish("volatile/a", "2", QoS::ExactlyOnce, 5))).await;
    assert_eq!(speaker.expect_ack(Packet::PubRec, 5).await, ReasonCode::SUCCESS);
    speaker.release(5).await;
    let got = here.next_publish().await;
    assert_eq!((got.qos, got.payload.as_ref()), (QoS::ExactlyOnce, &b"2"[..]));
    here.finish_qos_2(got.packet_id).await;
    assert_eq!(speaker.publish_1("volatile/nobody", "3").await, ReasonCode::SUCCESS, "here subscribed to it, too");
    assert_eq!(log.durable_seq(Lane::Messages), before, "nothing was written");
    let mapped: Vec<_> = site.hooks.mapped.lock().unwrap().iter().map(|m| m.payload.clone()).collect();
    assert_eq!(mapped, [&b"1"[..], b"2", b"3"]);
    assert_eq!(speaker.publish_1("durable/a", "4").await, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    assert!(log.durable_seq(Lane::Messages) > before, "what is not volatile is written");
    site.stop().await;
}

#[tokio::test]
async fn a_lasting_session_gets_volatile_messages_while_its_client_is_here_and_nothing_of_them_waits() {
    let folder = tempfile::tempdir().unwrap();
    for round in 0..2 {
        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        let mut listener = Client::dial(site.address, Version::V5).await;
        listener.connect(lasting("listener")).await;
        if round == 0 {
            listener.subscribe("#", QoS::AtLeastOnce).await;
        }
        let mut speaker = site.client(hello("speaker")).await;
        assert_eq!(speaker.publish_1("volatile/a", "here").await, ReasonCode::SUCCESS);
        let got = listener.next_publish().await;
        assert_eq!(
            (got.qos, got.payload.as_ref()),
            (QoS::AtMostOnce, &b"here"[..]),
            "it leaves nothing in the session"
        );
        listener.leave().await;
        site.until_away("listener").await;
        let dropped = site.broker.stats().dropped;
        assert_eq!(speaker.publish_1("volatile/a", "away").await, ReasonCode::SUCCESS);
        assert_eq!(site.broker.stats().dropped, dropped + 1, "what it does not get is counted");
        assert_eq!(speaker.publish_1("durable/a", "waits").await, ReasonCode::SUCCESS);
        // As a kill: what is known is what was written.
        log.close();
        site.abandon();

        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        let mut listener = Client::dial(site.address, Version::V5).await;
        assert!(listener.connect(lasting("listener")).await.session_present);
        let got = listener.next_publish().await;
        assert_eq!((got.qos, got.payload.as_ref()), (QoS::AtLeastOnce, &b"waits"[..]), "round {round}");
        listener.ack(&got).await;
        listener.expect_nothing().await;
        listener.leave().await;
        site.stop().await;
        log.close();
    }
}

#[tokio::test]
async fn a_volatile_qos_2_message_comes_once_also_when_its_publisher_repeats_it_over_another_connection() {
    let (_folder, site) = Site::usual().await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("volatile/#", QoS::AtMostOnce).await;
    let mut speaker = site.client(lasting("speaker")).await;
    let message = publish("volatile/a", "once", QoS::ExactlyOnce, 7);
    speaker.send(Packet::Publish(message.clone())).await;
    speaker.expect_ack(Packet::PubRec, 7).await;
    drop(speaker);
    site.until_away("speaker").await;
    let mut speaker = site.again(lasting("speaker")).await;
    speaker.send(Packet::Publish(Publish { dup: true, ..message })).await;
    speaker.expect_ack(Packet::PubRec, 7).await;
    speaker.release(7).await;
    assert_eq!(here.next_publish().await.payload.as_ref(), b"once");
    here.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_retained_message_on_a_volatile_topic_is_kept_and_not_overtaken() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("volatile/#", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    let mut out = Vec::new();
    for n in 0..40_u16 {
        let retain = n % 2 == 0;
        let message = publish("volatile/a", &n.to_string(), QoS::AtLeastOnce, n + 1);
        out.extend(bytes_of(&Packet::Publish(Publish { retain, ..message }), Version::V5));
    }
    // All in one go, so that the retained ones are still on their way to the disk.
    speaker.send_bytes(&out).await;
    for n in 0..40_u16 {
        let got = here.next_publish().await;
        assert_eq!(got.payload.as_ref(), n.to_string().as_bytes(), "in order");
        here.ack(&got).await;
    }
    for n in 0..40_u16 {
        assert_eq!(speaker.expect_ack(Packet::PubAck, n + 1).await, ReasonCode::SUCCESS);
    }
    log.close();
    site.abandon();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let mut late = site.client(hello("late")).await;
    late.subscribe("volatile/a", QoS::AtMostOnce).await;
    assert_eq!(late.next_publish().await.payload.as_ref(), b"38", "who sets retain wants it kept");
    site.stop().await;
}

#[tokio::test]
async fn of_a_shared_subscription_the_member_that_is_here_gets_a_volatile_message() {
    let (_folder, site) = Site::usual().await;
    let mut away = site.client(lasting("away")).await;
    away.subscribe("$share/g/volatile/#", QoS::AtLeastOnce).await;
    away.leave().await;
    site.until_away("away").await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("$share/g/volatile/#", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for n in 0..4 {
        speaker.publish_1("volatile/a", &n.to_string()).await;
        let got = here.next_publish().await;
        assert_eq!((got.qos, got.payload.as_ref()), (QoS::AtLeastOnce, n.to_string().as_bytes()));
        here.ack(&got).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_message_that_breaks_its_rule_is_refused_with_the_reason_and_neither_stored_nor_mapped() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("strict/#", QoS::AtMostOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    let before = log.durable_seq(Lane::Messages);
    for (topic, reason, words) in [
        ("strict/a", ReasonCode::PAYLOAD_FORMAT_INVALID, "it is not good"),
        ("strict/X", ReasonCode::TOPIC_NAME_INVALID, "no capital X"),
    ] {
        speaker.send(Packet::Publish(publish(topic, "bad", QoS::AtLeastOnce, 3))).await;
        let Packet::PubAck(ack) = speaker.next().await else { panic!("no PUBACK") };
        assert_eq!((ack.reason, ack.properties.reason_string.as_ref().map(Text::as_str)), (reason, Some(words)));
        speaker.send(Packet::Publish(publish(topic, "bad", QoS::ExactlyOnce, 4))).await;
        assert_eq!(speaker.expect_ack(Packet::PubRec, 4).await, reason);
        speaker.send(Packet::Publish(publish(topic, "bad", QoS::AtMostOnce, 0))).await;
    }
    speaker.expect_nothing().await;
    assert_eq!(log.durable_seq(Lane::Messages), before, "what is refused is not stored");
    assert!(site.hooks.mapped.lock().unwrap().is_empty());
    assert_eq!(speaker.publish_1("strict/a", "good").await, ReasonCode::SUCCESS);
    assert_eq!(here.next_publish().await.payload.as_ref(), b"good", "and nothing before it");
    site.stop().await;
}

#[tokio::test]
async fn an_older_client_whose_message_is_refused_is_closed_and_does_not_take_it_for_delivered() {
    let (_folder, site) = Site::usual().await;
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut speaker = site.client(old("old", true)).await;
        speaker.send(Packet::Publish(publish("strict/a", "bad", QoS::AtMostOnce, 0))).await;
        speaker.expect_nothing().await;
        speaker.send(Packet::Publish(publish("strict/a", "bad", qos, 3))).await;
        assert_eq!(speaker.try_next().await, None);
        site.until_away("old").await;
        let events = site.hooks.events.lock().unwrap();
        let reason = events.iter().rev().find_map(|event| event.reason.clone());
        assert_eq!(reason, Some(EndReason::BrokeRule(TopicName::parse("strict/a").unwrap())));
    }
    site.stop().await;
}

#[tokio::test]
async fn a_will_that_breaks_its_rule_is_not_published_and_not_kept() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("#", QoS::AtMostOnce).await;
    for (name, connect) in [("short", hello("short")), ("long", lasting("long"))] {
        let client = site.client(Connect { will: Some(will("strict/a", None)), ..connect }).await;
        drop(client);
        until(|| {
            site.hooks.asked.lock().unwrap().iter().filter(|topic| *topic == "strict/a").count()
                > usize::from(name == "long")
        })
        .await;
        site.until_away(name).await;
    }
    here.expect_nothing().await;
    log.close();
    site.abandon();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("#", QoS::AtMostOnce).await;
    // The client comes again and goes without a will: the old one is not published now, either.
    site.again(lasting("long")).await.leave().await;
    here.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_message_of_somebody_who_is_no_client_keeps_the_same_rules() {
    let (_folder, site) = Site::usual().await;
    let mut here = site.client(hello("here")).await;
    here.subscribe("#", QoS::AtLeastOnce).await;
    let message = |topic: &str, payload: &'static str| {
        let mut message = Message::internal(
            TopicName::parse(topic).unwrap(),
            Bytes::from_static(payload.as_bytes()),
            QoS::AtLeastOnce,
            false,
            andon_model::Timestamp::default(),
        );
        message.publisher = Some(Text::parse("andon:ada").unwrap());
        message
    };
    let refused = site.broker.publish(message("strict/a", "bad")).await;
    assert_eq!(refused, Err(PublishError::Rule("it is not good".to_owned())));
    assert_eq!(site.broker.publish(message("volatile/a", "1")).await, Ok(1));
    let got = here.next_publish().await;
    assert_eq!(got.payload.as_ref(), b"1");
    assert_eq!(site.broker.publish(message("strict/a", "good")).await, Ok(1));
    site.stop().await;
}

#[tokio::test]
async fn a_message_in_quarantine_is_on_disk_and_reaches_nobody_until_somebody_decides() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        site.client(lasting("away")).await.subscribe("#", QoS::AtLeastOnce).await;
        let mut speaker = site.client(lasting("speaker")).await;
        speaker.send(Packet::Publish(Publish { retain: true, ..publish("odd/a", "1", QoS::AtLeastOnce, 3) })).await;
        assert_eq!(speaker.expect_ack(Packet::PubAck, 3).await, ReasonCode::NO_MATCHING_SUBSCRIBERS);
        let second = publish("odd/b", "2", QoS::ExactlyOnce, 4);
        speaker.send(Packet::Publish(second.clone())).await;
        assert_eq!(speaker.expect_ack(Packet::PubRec, 4).await, ReasonCode::SUCCESS);
        speaker.send(Packet::Publish(publish("odd/c", "3", QoS::AtMostOnce, 0))).await;
        until(|| site.broker.quarantine().0.len() == 3).await;
        if cleanly {
            site.stop().await;
            log.close();
        } else {
            log.close();
            site.abandon();
        }

        let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
        let mut speaker = site.again(lasting("speaker")).await;
        speaker.send(Packet::Publish(Publish { dup: true, ..second })).await;
        assert_eq!(speaker.expect_ack(Packet::PubRec, 4).await, ReasonCode::SUCCESS);
        speaker.release(4).await;
        let (kept, pushed_out) = site.broker.quarantine();
        let told: Vec<_> =
            kept.iter().map(|(_, w)| (w.message.topic.as_str(), &*w.message.payload, w.words.as_str())).collect();
        let odd = "it is odd";
        assert_eq!(told, [("odd/a", &b"1"[..], odd), ("odd/b", b"2", odd), ("odd/c", b"3", odd)], "cleanly: {cleanly}");
        assert_eq!(
            (pushed_out, kept[0].1.rule.as_str(), kept[0].1.message.publisher.as_ref().map(Text::as_str)),
            (0, "odd", Some("speaker"))
        );
        assert!(site.hooks.mapped.lock().unwrap().is_empty());
        let mut away = site.again(lasting("away")).await;
        away.expect_nothing().await;

        let release = || site.broker.release(kept[0].0, Text::parse("andon:ada").unwrap(), ADA);
        let (first, second) = tokio::join!(release(), release());
        assert_eq!((first, second), (Ok(Some(1)), Ok(None)), "who comes second publishes nothing");
        assert_eq!(away.next_publish().await.payload.as_ref(), b"1");
        away.expect_nothing().await;
        assert_eq!(site.hooks.mapped.lock().unwrap().len(), 1);
        assert_eq!(site.broker.let_go(kept[0].0).await, Ok(false), "once");
        assert_eq!(site.broker.let_go(kept[2].0).await, Ok(true));
        let left = || site.broker.quarantine().0.iter().map(|(number, _)| *number).collect::<Vec<_>>();
        assert_eq!(left(), [kept[1].0]);
        let all: Vec<_> = kept.iter().map(|(number, _)| *number).collect();
        assert_eq!(site.broker.let_go_all(&all).await, Ok(1), "those that were still there");
        assert!(left().is_empty());
        site.stop().await;
    }
}

#[tokio::test]
async fn what_is_released_is_a_message_of_now_and_of_who_released_it_and_waits_like_others() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    let mut away = site.client(lasting("away")).await;
    away.subscribe("#", QoS::AtLeastOnce).await;
    away.leave().await;
    site.until_away("away").await;
    let mut speaker = site.client(hello("speaker")).await;
    // Together they are more than stays in memory for a client that is away: they come from the log.
    let large = "x".repeat(30_000);
    for n in 1..=2_u16 {
        let mut message = publish("odd/a", &format!("{n}{large}"), QoS::AtLeastOnce, n);
        message.properties.message_expiry_s = Some(60);
        speaker.send(Packet::Publish(Publish { retain: n == 1, ..message })).await;
        speaker.expect_ack(Packet::PubAck, n).await;
    }
    site.clock.turn(std::time::Duration::from_secs(3600));
    let now = site.clock.now();
    for (number, _) in site.broker.quarantine().0 {
        let by = Text::parse("andon:ada").unwrap();
        assert_eq!(site.broker.release(number, by, ADA).await, Ok(Some(1)));
    }
    let retained = site.broker.retained_on(&TopicName::parse("odd/a").unwrap()).expect("it is not too late");
    assert_eq!(retained.user, Some(ADA), "the device did not send it now");
    assert!(retained.received >= now, "it is of now");
    let time = retained.expires.expect("it has a time").since(retained.received);
    assert_eq!(time, std::time::Duration::from_secs(60), "and that begins anew");
    log.close();
    site.abandon();

    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    assert!(site.broker.quarantine().0.is_empty());
    let mut away = site.again(lasting("away")).await;
    for n in ["1", "2"] {
        let got = away.next_publish().await;
        assert_eq!(got.payload.as_ref(), format!("{n}{large}").as_bytes());
        away.ack(&got).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_burst_with_qos_0_has_no_more_places_in_quarantine_than_one_after_the_other() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let mut speaker = site.client(hello("speaker")).await;
    for number in 0..60 {
        speaker.send(Packet::Publish(publish("odd/a", &number.to_string(), QoS::AtMostOnce, 0))).await;
    }
    // Behind all of them.
    assert!(speaker.publish_1("fine", "1").await.is_success());
    let kept = site.broker.quarantine().0;
    let payloads: Vec<_> = kept.iter().map(|(_, withheld)| withheld.message.payload.to_vec()).collect();
    assert_eq!(payloads, (0..20).map(|n| n.to_string().into_bytes()).collect::<Vec<_>>());
    site.stop().await;
}

#[tokio::test]
async fn a_will_in_quarantine_is_kept_once_over_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let log = open_log(folder.path());
    let site = Site::on(log.clone(), BrokerOptions::default()).await;
    drop(site.client(Connect { will: Some(will("odd/w", None)), ..lasting("long") }).await);
    until(|| site.broker.quarantine().0.len() == 1).await;
    log.close();
    site.abandon();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    site.again(lasting("long")).await.leave().await;
    site.until_away("long").await;
    assert_eq!(site.broker.quarantine().0.len(), 1);
    site.stop().await;
}
