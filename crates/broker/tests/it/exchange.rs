//! MQTT chapters 4.1 to 4.9: the exchanges of QoS 1 and 2, order, shared subscriptions, flow control. The table is in
//! `docs/conformance/mqtt.md`.

use crate::harness::*;
use andon_broker::BrokerOptions;
use andon_wire::mqtt::*;
use std::time::Duration;

fn refused(packet_id: u16) -> Ack {
    Ack::new(packet_id, ReasonCode::IMPLEMENTATION_SPECIFIC)
}

fn received(packet_id: u16) -> Packet {
    Packet::PubRec(Ack::new(packet_id, ReasonCode::SUCCESS))
}

async fn publish_all(site: &Site, topic: &str, qos: QoS, payloads: &[&str]) {
    for payload in payloads {
        site.broker.publish_internal(topic, (*payload).to_owned().into(), qos, false).await.unwrap();
    }
}

/// Ends the exchange of the message with identifier 5, which the listener has heard once by then and never again.
async fn release_and_hear_once(mut speaker: Client, listener: &mut Client) {
    speaker.release(5).await;
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"once");
    listener.expect_nothing().await;
    speaker.leave().await;
}

#[tokio::test]
async fn after_its_answer_an_identifier_is_a_new_message_whatever_dup_says() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("a", QoS::AtMostOnce).await;
    for connect in [hello("new"), lasting("kept"), old("old", true), old("old kept", false)] {
        let mut speaker = site.client(connect).await;
        for dup in [false, true, true] {
            speaker.send(Packet::Publish(Publish { dup, ..publish("a", "one", QoS::AtLeastOnce, 5) })).await;
            speaker.expect_ack(Packet::PubAck, 5).await;
            assert_eq!(listener.next_publish().await.payload.as_ref(), b"one");
        }
        for dup in [false, true, true] {
            speaker.send(Packet::Publish(Publish { dup, ..publish("a", "two", QoS::ExactlyOnce, 5) })).await;
            speaker.expect_ack(Packet::PubRec, 5).await;
            speaker.release(5).await;
            assert_eq!(listener.next_publish().await.payload.as_ref(), b"two");
        }
        speaker.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_repeated_qos_2_message_is_answered_again_and_delivered_once() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("a", QoS::AtMostOnce).await;
    // A 5.0 client must not repeat on the same connection at all; once is borne with.
    for (connect, times) in
        [(hello("new"), 1), (lasting("kept"), 1), (old("old", true), 3), (old("old kept", false), 3)]
    {
        let mut speaker = site.client(connect).await;
        speaker.send(Packet::Publish(publish("a", "once", QoS::ExactlyOnce, 5))).await;
        speaker.expect_ack(Packet::PubRec, 5).await;
        for _ in 0..times {
            let again = Publish { dup: true, ..publish("a", "once", QoS::ExactlyOnce, 5) };
            speaker.send(Packet::Publish(again)).await;
            speaker.expect_ack(Packet::PubRec, 5).await;
        }
        release_and_hear_once(speaker, &mut listener).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_qos_2_message_repeated_over_a_new_connection_is_delivered_once() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("a", QoS::AtMostOnce).await;
    for connect in [lasting("kept"), old("old kept", false)] {
        let mut speaker = site.client(connect.clone()).await;
        for _ in 0..3 {
            speaker.send(Packet::Publish(publish("a", "once", QoS::ExactlyOnce, 5))).await;
            speaker.expect_ack(Packet::PubRec, 5).await;
            drop(speaker);
            site.until_away(connect.client_id.as_str()).await;
            speaker = site.again(connect.clone()).await;
        }
        release_and_hear_once(speaker, &mut listener).await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_refused_qos_2_message_leaves_its_identifier_free() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("open", QoS::AtMostOnce).await;
    for connect in [hello("new"), lasting("kept")] {
        let mut speaker = site.client(connect).await;
        for _ in 0..3 {
            speaker.send(Packet::Publish(publish("secret/a", "no", QoS::ExactlyOnce, 5))).await;
            assert_eq!(speaker.expect_ack(Packet::PubRec, 5).await, ReasonCode::NOT_AUTHORIZED);
        }
        speaker.send(Packet::Publish(publish("open", "yes", QoS::ExactlyOnce, 5))).await;
        assert!(speaker.expect_ack(Packet::PubRec, 5).await.is_success());
        assert_eq!(listener.next_publish().await.payload.as_ref(), b"yes");
    }
    site.stop().await;
}

#[tokio::test]
async fn who_takes_a_refusal_for_a_yes_hears_at_pubrel_that_there_is_nothing_to_release() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("open", QoS::AtMostOnce).await;
    for connect in [hello("new"), lasting("kept")] {
        let mut speaker = site.client(connect).await;
        for (topic, text) in [("secret/a", "no"), ("command/press", "too much")] {
            for id in [5, 6] {
                speaker.send(Packet::Publish(publish(topic, text, QoS::ExactlyOnce, id))).await;
                assert!(!speaker.expect_ack(Packet::PubRec, id).await.is_success());
            }
            for id in [6, 5] {
                assert_eq!(speaker.try_release(id).await, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND, "{topic}");
            }
            // Once told, it is as any other that we do not know, perhaps a repetition after PUBCOMP was lost.
            speaker.release(5).await;
            // Nor does the refusal stay with the identifier.
            speaker.send(Packet::Publish(publish(topic, text, QoS::ExactlyOnce, 5))).await;
            assert!(!speaker.expect_ack(Packet::PubRec, 5).await.is_success());
            speaker.send(Packet::Publish(publish("open", "yes", QoS::ExactlyOnce, 5))).await;
            assert!(speaker.expect_ack(Packet::PubRec, 5).await.is_success());
            speaker.release(5).await;
            assert_eq!(listener.next_publish().await.payload.as_ref(), b"yes");
        }
    }
    site.stop().await;
}

#[tokio::test]
async fn what_was_accepted_once_is_ours_though_it_would_be_refused_now() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("#", QoS::AtLeastOnce).await;
    listener.leave().await;
    for (name, connect) in [("kept", lasting("kept")), ("old", old("old", false))] {
        let mut speaker = site.client(connect.clone()).await;
        speaker.send(Packet::Publish(publish("a", name, QoS::ExactlyOnce, 5))).await;
        speaker.expect_ack(Packet::PubRec, 5).await;
        drop(speaker);
        site.until_away(name).await;
    }
    site.stop().await;
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    site.hooks.closed.lock().unwrap().push("a");
    for (name, connect) in [("kept", lasting("kept")), ("old", old("old", false))] {
        let mut speaker = site.again(connect).await;
        speaker.send(Packet::Publish(Publish { dup: true, ..publish("a", name, QoS::ExactlyOnce, 5) })).await;
        assert_eq!(speaker.expect_ack(Packet::PubRec, 5).await, ReasonCode::SUCCESS);
        speaker.release(5).await;
        // And what comes next under that identifier is another message.
        speaker.send(Packet::Publish(publish("b", name, QoS::ExactlyOnce, 5))).await;
        assert_eq!(speaker.expect_ack(Packet::PubRec, 5).await, ReasonCode::SUCCESS);
        speaker.release(5).await;
    }
    let mut listener = site.again(lasting("listener")).await;
    for (topic, name) in [("a", "kept"), ("a", "old"), ("b", "kept"), ("b", "old")] {
        let got = listener.next_publish().await;
        assert_eq!((got.topic.as_ref().unwrap().as_str(), got.payload.as_ref()), (topic, name.as_bytes()));
    }
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_lost_its_memory_does_not_lose_the_message_under_an_old_identifier() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("#", QoS::AtLeastOnce).await;
    listener.leave().await;
    let connects = [("kept", lasting("kept")), ("old", old("old", false))];
    let told = |name: &str, text: &str| publish(name, text, QoS::ExactlyOnce, 1);
    for text in ["first", "second"] {
        for (name, connect) in &connects {
            // PUBREC came, PUBREL was never said.
            let mut speaker = Client::dial(site.address, connect.version).await;
            speaker.connect(connect.clone()).await;
            speaker.send(Packet::Publish(told(name, text))).await;
            assert_eq!(speaker.expect_ack(Packet::PubRec, 1).await, ReasonCode::SUCCESS);
            drop(speaker);
            site.until_away(name).await;
        }
    }
    site.stop().await;
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    for (name, connect) in &connects {
        for text in ["another", "another"] {
            let mut speaker = site.again(connect.clone()).await;
            speaker.send(Packet::Publish(told(name, text))).await;
            assert_eq!(speaker.expect_ack(Packet::PubRec, 1).await, ReasonCode::SUCCESS);
            drop(speaker);
            site.until_away(name).await;
        }
    }
    let mut listener = site.again(lasting("listener")).await;
    for text in ["first", "second", "another"] {
        let mut heard = Vec::new();
        for _ in &connects {
            let got = listener.next_publish().await;
            assert_eq!(got.payload.as_ref(), text.as_bytes());
            heard.push(got.topic.as_ref().unwrap().as_str().to_owned());
        }
        assert_eq!(heard, ["kept", "old"]);
    }
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn what_was_answered_before_a_packet_that_is_none_is_answered() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for text in ["1", "2", "3"] {
        speaker.publish_1("a", text).await;
    }
    let mut answers = Vec::new();
    for _ in 0..2 {
        let id = listener.next_publish().await.packet_id;
        answers.extend(bytes_of(&Packet::PubAck(Ack::new(id, ReasonCode::SUCCESS)), Version::V5));
    }
    // A packet type that there is not, in the same breath.
    answers.extend([0x00, 0x00]);
    listener.send_bytes(&answers).await;
    site.until_away("listener").await;
    let mut listener = site.again(lasting("listener")).await;
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"3");
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn an_expired_message_does_not_break_its_exchange() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(lasting("speaker")).await;
    let mut message = publish("a", "short", QoS::ExactlyOnce, 5);
    message.properties.message_expiry_s = Some(10);
    speaker.send(Packet::Publish(message)).await;
    speaker.expect_ack(Packet::PubRec, 5).await;
    site.clock.turn(Duration::from_secs(20));
    speaker.release(5).await;
    site.stop().await;
}

#[tokio::test]
async fn a_qos_2_message_that_was_sent_once_does_not_expire() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a", QoS::ExactlyOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    let mut message = publish("a", "begun", QoS::ExactlyOnce, 5);
    message.properties.message_expiry_s = Some(10);
    speaker.send(Packet::Publish(message)).await;
    let first = listener.next_publish().await;
    drop(listener);
    site.until_away("listener").await;
    site.clock.turn(Duration::from_secs(20));
    let mut listener = site.again(lasting("listener")).await;
    let again = listener.next_publish().await;
    assert_eq!((again.packet_id, again.dup, again.payload.as_ref()), (first.packet_id, true, &b"begun"[..]));
    listener.finish_qos_2(again.packet_id).await;
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn what_has_no_answer_comes_again_in_order_with_its_identifiers() {
    let (_folder, site) = Site::usual().await;
    for connect in [lasting("new"), old("old", false)] {
        let id = connect.client_id.as_str().to_owned();
        let mut listener = site.client(connect.clone()).await;
        listener.subscribe(&id, QoS::ExactlyOnce).await;
        publish_all(&site, &id, QoS::AtLeastOnce, &["1", "2"]).await;
        publish_all(&site, &id, QoS::ExactlyOnce, &["3", "4"]).await;
        publish_all(&site, &id, QoS::AtLeastOnce, &["5"]).await;
        let mut first = Vec::new();
        for _ in 0..5 {
            first.push(listener.next_publish().await);
        }
        let mut ids: Vec<u16> = first.iter().map(|p| p.packet_id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!((ids.len(), ids[0] > 0), (5, true), "each under way has an identifier of its own");
        listener.expect_nothing().await;
        listener.ack(&first[1]).await;
        listener.expect_nothing().await;
        drop(listener);
        site.until_away(&id).await;
        let mut listener = site.again(connect).await;
        for was in [&first[0], &first[2], &first[3], &first[4]] {
            assert_eq!(listener.next_publish().await, Publish { dup: true, ..was.clone() });
        }
        listener.expect_nothing().await;
        listener.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn after_pubrec_it_is_pubrel_that_comes_again() {
    let (_folder, site) = Site::usual().await;
    for connect in [lasting("new"), old("old", false)] {
        let id = connect.client_id.as_str().to_owned();
        let mut listener = site.client(connect.clone()).await;
        listener.subscribe(&id, QoS::ExactlyOnce).await;
        publish_all(&site, &id, QoS::ExactlyOnce, &["x"]).await;
        let packet_id = listener.next_publish().await.packet_id;
        listener.send(received(packet_id)).await;
        listener.expect_ack(Packet::PubRel, packet_id).await;
        // Said again, and of a message that is none of ours: it is released like others.
        for id in [packet_id, 0x1234] {
            listener.send(received(id)).await;
            listener.expect_ack(Packet::PubRel, id).await;
        }
        for _ in 0..2 {
            drop(listener);
            site.until_away(&id).await;
            listener = site.again(connect.clone()).await;
            listener.expect_ack(Packet::PubRel, packet_id).await;
            listener.expect_nothing().await;
        }
        listener.send(Packet::PubComp(Ack::new(packet_id, ReasonCode::SUCCESS))).await;
        listener.expect_nothing().await;
        drop(listener);
        site.until_away(&id).await;
        site.again(connect).await.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_message_that_its_subscriber_refuses_is_settled() {
    let (_folder, site) = Site::usual().await;
    let connect = |id: &str| lasting(id);
    let mut members = [site.client(connect("m1")).await, site.client(connect("m2")).await];
    for member in &mut members {
        member.subscribe("$share/g/job", QoS::ExactlyOnce).await;
    }
    for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
        publish_all(&site, "job", qos, &["1", "2"]).await;
        for member in &mut members {
            let got = member.next_publish().await;
            let no = refused(got.packet_id);
            member.send(if qos == QoS::AtLeastOnce { Packet::PubAck(no) } else { Packet::PubRec(no) }).await;
            member.expect_nothing().await;
        }
    }
    drop(members);
    for id in ["m1", "m2"] {
        site.until_away(id).await;
        site.again(connect(id)).await.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn messages_of_one_client_arrive_in_their_order() {
    let (_folder, site) = Site::usual().await;
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce, QoS::ExactlyOnce] {
        let mut listeners = Vec::new();
        for connect in [hello("clean"), lasting("kept"), old("old", true)] {
            let mut listener = site.client(connect).await;
            listener.subscribe("o/+", qos).await;
            listeners.push(listener);
        }
        let mut speaker = site.client(hello("speaker")).await;
        for n in 1..=50 {
            let id = if qos == QoS::AtMostOnce { 0 } else { n };
            speaker.send(Packet::Publish(publish("o/a", &n.to_string(), qos, id))).await;
        }
        for listener in &mut listeners {
            for n in 1..=50 {
                assert_eq!(listener.next_publish().await.payload.as_ref(), n.to_string().as_bytes(), "{qos:?}");
            }
        }
        let answer: fn(Ack) -> Packet = if qos == QoS::AtLeastOnce { Packet::PubAck } else { Packet::PubRec };
        for n in 1..=50 {
            if qos != QoS::AtMostOnce {
                speaker.expect_ack(answer, n).await;
            }
        }
        let mut clean = site.client(hello("kept")).await;
        clean.expect_nothing().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_qos_2_message_takes_its_place_in_the_window_until_pubcomp() {
    let (_folder, site) = Site::usual().await;
    for mut connect in [hello("clean"), lasting("kept")] {
        connect.properties.receive_maximum = Some(1);
        let mut slow = site.client(connect).await;
        slow.subscribe("w", QoS::ExactlyOnce).await;
        publish_all(&site, "w", QoS::ExactlyOnce, &["1", "2", "3"]).await;
        let first = slow.next_publish().await;
        assert_eq!(first.payload.as_ref(), b"1");
        // Everything else goes on.
        slow.expect_nothing().await;
        assert_eq!(slow.subscribe("other", QoS::AtMostOnce).await, ReasonCode::SUCCESS);
        site.broker.publish_internal("other", "passing".into(), QoS::AtMostOnce, false).await.unwrap();
        assert_eq!(slow.next_publish().await.payload.as_ref(), b"passing", "QoS 0 takes no place");
        slow.send(received(first.packet_id)).await;
        slow.expect_ack(Packet::PubRel, first.packet_id).await;
        slow.expect_nothing().await;
        slow.send(Packet::PubComp(Ack::new(first.packet_id, ReasonCode::SUCCESS))).await;
        let second = slow.next_publish().await;
        assert_eq!(second.payload.as_ref(), b"2");
        slow.send(Packet::PubRec(refused(second.packet_id))).await;
        assert_eq!(slow.next_publish().await.payload.as_ref(), b"3", "a refusal makes room at once");
        slow.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_shared_qos_2_message_stays_with_the_member_it_was_sent_to() {
    let (_folder, site) = Site::usual().await;
    let mut first = site.client(lasting("first")).await;
    first.subscribe("$share/g/job", QoS::ExactlyOnce).await;
    publish_all(&site, "job", QoS::ExactlyOnce, &["begun"]).await;
    let begun = first.next_publish().await;
    let mut other = site.client(lasting("other")).await;
    other.subscribe("$share/g/job", QoS::ExactlyOnce).await;
    drop(first);
    site.until_away("first").await;
    other.expect_nothing().await;
    let mut first = site.again(lasting("first")).await;
    assert_eq!(first.next_publish().await, Publish { dup: true, ..begun });
    drop(first);
    site.until_away("first").await;
    site.client(hello("first")).await.expect_nothing().await;
    other.expect_nothing().await;
    drop(other);
    site.until_away("other").await;
    site.again(lasting("other")).await.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_message_waits_in_every_session_that_subscribed() {
    let (_folder, site) = Site::usual().await;
    for id in ["a", "b"] {
        site.client(lasting(id)).await.subscribe("m", QoS::ExactlyOnce).await;
        site.client(old(&format!("old {id}"), false)).await.subscribe("m", QoS::ExactlyOnce).await;
        site.until_away(id).await;
        site.until_away(&format!("old {id}")).await;
    }
    let mut speaker = site.client(hello("speaker")).await;
    assert_eq!(speaker.publish_1("m", "1").await, ReasonCode::SUCCESS);
    speaker.send(Packet::Publish(publish("m", "2", QoS::ExactlyOnce, 4))).await;
    speaker.expect_ack(Packet::PubRec, 4).await;
    for connect in [lasting("a"), lasting("b"), old("old a", false), old("old b", false)] {
        let mut client = site.again(connect).await;
        let got = [client.next_publish().await, client.next_publish().await];
        assert_eq!(got.map(|p| (p.payload, p.qos)), [("1".into(), QoS::AtLeastOnce), ("2".into(), QoS::ExactlyOnce)]);
    }
    site.stop().await;
}
