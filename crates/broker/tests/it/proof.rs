//! MQTT 5.0 §4.12: enhanced authentication. The table is in `docs/conformance/mqtt.md`.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;
use bytes::Bytes;
use std::time::Duration;
use uuid::Uuid;

fn text(words: &str) -> Text {
    Text::parse(words).unwrap()
}

/// A CONNECT that begins the riddle.
fn riddle(client_id: &str, first: &'static str) -> Connect {
    let mut connect = hello(client_id);
    connect.properties.authentication_method = Some(text(RIDDLE));
    connect.properties.authentication_data = (!first.is_empty()).then(|| Bytes::from_static(first.as_bytes()));
    connect
}

fn auth(reason: ReasonCode, method: Option<&str>, data: &'static str) -> Packet {
    let properties = AuthProperties {
        authentication_method: method.map(text),
        authentication_data: method.map(|_| Bytes::from_static(data.as_bytes())),
        ..AuthProperties::default()
    };
    Packet::Auth(Auth { reason, properties })
}

fn answer(data: &'static str) -> Packet {
    auth(ReasonCode::CONTINUE_AUTHENTICATION, Some(RIDDLE), data)
}

async fn begin(site: &Site, connect: Connect) -> Client {
    let mut client = Client::dial(site.address, Version::V5).await;
    client.send(Packet::Connect(Box::new(connect))).await;
    client
}

/// Lets a client in by the riddle.
async fn solved(site: &Site, client_id: &str) -> Client {
    let mut client = begin(site, riddle(client_id, "I am press-7")).await;
    client.next().await;
    client.send(answer("man")).await;
    match client.next().await {
        Packet::ConnAck(ack) => assert_eq!(ack.reason, ReasonCode::SUCCESS),
        other => panic!("{other:?}"),
    }
    client
}

/// The last packet is a CONNACK with this reason; without the method, for it is no success.
async fn expect_refusal(client: &mut Client, reason: ReasonCode) {
    match client.next().await {
        Packet::ConnAck(ack) => assert_eq!(*ack, ConnAck { reason, ..ConnAck::default() }),
        other => panic!("instead of CONNACK: {other:?}"),
    }
    assert_eq!(client.try_next().await, None);
}

#[tokio::test]
async fn a_client_proves_who_it_is_and_every_word_names_the_method() {
    let (_folder, site) = Site::usual().await;
    let mut client = begin(&site, riddle("prover", "I am press-7")).await;
    // [MQTT-4.12.0-2], [MQTT-4.12.0-5]; no reason string and no user property, [MQTT-3.15.2-2], [MQTT-3.15.2-3].
    assert_eq!(client.next().await, answer("what has four legs in the morning?"));
    assert!(site.broker.clients().is_empty(), "nobody is in yet");
    client.send(answer("man")).await;
    match client.next().await {
        Packet::ConnAck(ack) => {
            assert_eq!(ack.reason, ReasonCode::SUCCESS);
            assert_eq!(ack.properties.authentication_method, Some(text(RIDDLE)));
            assert_eq!(ack.properties.authentication_data, Some(Bytes::from("pass")));
        }
        other => panic!("{other:?}"),
    }
    let came = site.hooks.events.lock().unwrap().first().cloned().unwrap();
    assert_eq!(came.principal.id, Uuid::from_u128(7), "who it is comes from the exchange, not from the user name");
    assert_eq!(client.subscribe("a", QoS::AtLeastOnce).await, ReasonCode::GRANTED_QOS_1);
    site.stop().await;
}

#[tokio::test]
async fn whoever_fails_is_told_and_closed_and_leaves_nothing() {
    let (_folder, site) = Site::usual().await;
    for (connect, then, reason) in [
        (riddle("failing", "let me in"), None, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (riddle("failing", ""), None, ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (riddle("failing", "nobody"), None, ReasonCode::NOT_AUTHORIZED),
        (riddle("failing", "I am press-7"), Some("a table"), ReasonCode::BAD_USER_NAME_OR_PASSWORD),
    ] {
        site.hooks.unproven.lock().unwrap().clear();
        let mut client = begin(&site, Connect { will: Some(will("w", None)), ..connect }).await;
        if let Some(word) = then {
            client.next().await;
            client.send(answer(word)).await;
        }
        expect_refusal(&mut client, reason).await;
        assert_eq!(*site.hooks.unproven.lock().unwrap(), ["failing"]);
    }
    assert!(site.broker.clients().is_empty());
    assert!(site.hooks.mapped.lock().unwrap().is_empty(), "no will of somebody who was never in");
    site.stop().await;
}

#[tokio::test]
async fn before_its_acknowledgement_a_client_says_auth_or_goodbye_and_nothing_else() {
    let (_folder, site) = Site::usual().await;
    let others = [
        Packet::PingReq,
        Packet::Publish(publish("a", "x", QoS::AtLeastOnce, 1)),
        Packet::Connect(Box::new(riddle("early", "I am press-7"))),
        // [MQTT-4.12.0-3]: only "continue".
        auth(ReasonCode::REAUTHENTICATE, Some(RIDDLE), "man"),
        auth(ReasonCode::SUCCESS, Some(RIDDLE), "man"),
        // [MQTT-4.12.0-5].
        auth(ReasonCode::CONTINUE_AUTHENTICATION, Some("riddle"), "man"),
        auth(ReasonCode::CONTINUE_AUTHENTICATION, None, "man"),
    ];
    for packet in others {
        let mut client = begin(&site, riddle("early", "I am press-7")).await;
        client.next().await;
        client.send(packet.clone()).await;
        expect_refusal(&mut client, ReasonCode::PROTOCOL_ERROR).await;
    }
    let mut client = begin(&site, riddle("early", "I am press-7")).await;
    client.next().await;
    client.send(Packet::Disconnect(Disconnect::default())).await;
    assert_eq!(client.try_next().await, None);
    assert!(site.broker.clients().is_empty() && site.hooks.mapped.lock().unwrap().is_empty());
    site.stop().await;
}

#[tokio::test]
async fn an_exchange_has_an_end() {
    let options = BrokerOptions { authenticate_deadline: Duration::from_millis(100), ..BrokerOptions::default() };
    let (_folder, site) = Site::with(options).await;
    let mut silent = begin(&site, riddle("silent", "I am press-7")).await;
    silent.next().await;
    expect_refusal(&mut silent, ReasonCode::NOT_AUTHORIZED).await;
    site.stop().await;
    let (_folder, site) = Site::usual().await;
    let mut endless = begin(&site, riddle("endless", "ask again")).await;
    let mut questions = 0;
    while let Packet::Auth(question) = endless.next().await {
        assert_eq!(question.properties.authentication_data, None, "it has nothing to ask");
        questions += 1;
        endless.send(answer("ask again")).await;
    }
    assert_eq!(questions, 7, "its eighth message has no answer but that it is not let in");
    assert_eq!(endless.try_next().await, None);
    assert_eq!(*site.hooks.unproven.lock().unwrap(), ["endless"]);
    // The eighth may be the right one.
    let mut slow = begin(&site, riddle("slow", "I am press-7")).await;
    for _ in 0..6 {
        slow.next().await;
        slow.send(answer("ask again")).await;
    }
    slow.next().await;
    slow.send(answer("man")).await;
    match slow.next().await {
        Packet::ConnAck(ack) => assert_eq!(ack.reason, ReasonCode::SUCCESS),
        other => panic!("{other:?}"),
    }
    // A question that is larger than the client takes is not asked. [MQTT-3.1.2-24].
    let mut small = riddle("small", "I am press-7");
    small.properties.maximum_packet_size = Some(40);
    expect_refusal(&mut begin(&site, small).await, ReasonCode::PACKET_TOO_LARGE).await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_proves_itself_again_and_all_goes_on_meanwhile() {
    let (_folder, site) = Site::usual().await;
    let mut client = solved(&site, "again").await;
    client.subscribe("a", QoS::AtMostOnce).await;
    for _ in 0..2 {
        client.send(auth(ReasonCode::REAUTHENTICATE, Some(RIDDLE), "I am press-7")).await;
        assert_eq!(client.next().await, answer("what has four legs in the morning?"));
        client.send(Packet::Publish(publish("a", "meanwhile", QoS::AtMostOnce, 0))).await;
        assert_eq!(client.next_publish().await.payload.as_ref(), b"meanwhile");
        client.send(answer("man")).await;
        assert_eq!(client.next().await, auth(ReasonCode::SUCCESS, Some(RIDDLE), "pass"));
    }
    // One begun anew takes the place of the one under way.
    for _ in 0..20 {
        client.send(auth(ReasonCode::REAUTHENTICATE, Some(RIDDLE), "I am press-7")).await;
        client.next().await;
    }
    client.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_client_that_fails_to_prove_itself_again_is_told_and_closed() {
    let (_folder, site) = Site::usual().await;
    let again = |data| auth(ReasonCode::REAUTHENTICATE, Some(RIDDLE), data);
    for (packets, reason) in [
        (vec![again("let me in")], ReasonCode::NOT_AUTHORIZED),
        (vec![again("I am press-7"), answer("a table")], ReasonCode::NOT_AUTHORIZED),
        (vec![again("ask again"); 1], ReasonCode::SUCCESS),
        (vec![answer("man")], ReasonCode::PROTOCOL_ERROR),
        (vec![auth(ReasonCode::SUCCESS, Some(RIDDLE), "man")], ReasonCode::PROTOCOL_ERROR),
        // [MQTT-4.12.1-1].
        (vec![auth(ReasonCode::REAUTHENTICATE, Some("GSSAPI"), "man")], ReasonCode::PROTOCOL_ERROR),
        (vec![auth(ReasonCode::REAUTHENTICATE, None, "")], ReasonCode::PROTOCOL_ERROR),
        (
            vec![again("I am press-7"), auth(ReasonCode::CONTINUE_AUTHENTICATION, Some("GSSAPI"), "man")],
            ReasonCode::PROTOCOL_ERROR,
        ),
    ] {
        let mut client = solved(&site, "failing").await;
        let questions = packets.len() - usize::from(reason != ReasonCode::SUCCESS);
        for packet in packets.clone() {
            client.send(packet).await;
        }
        for _ in 0..questions {
            assert!(matches!(client.next().await, Packet::Auth(_)), "{packets:?}");
        }
        if reason == ReasonCode::SUCCESS {
            // Turn after turn, and then no more.
            for _ in 1..7 {
                client.send(answer("ask again")).await;
                assert!(matches!(client.next().await, Packet::Auth(_)));
            }
            client.send(answer("ask again")).await;
            assert_eq!(client.farewell().await, ReasonCode::NOT_AUTHORIZED);
            continue;
        }
        // [MQTT-4.12.1-2].
        assert_eq!(client.farewell().await, reason, "{packets:?}");
    }
    site.stop().await;
}

#[tokio::test]
async fn nobody_becomes_somebody_else_by_proving_it_again() {
    let (_folder, site) = Site::usual().await;
    let mut client = solved(&site, "changing").await;
    *site.hooks.turns_into.lock().unwrap() = Some(Uuid::from_u128(9));
    client.send(auth(ReasonCode::REAUTHENTICATE, Some(RIDDLE), "I am press-7")).await;
    client.next().await;
    client.send(answer("man")).await;
    assert_eq!(client.farewell().await, ReasonCode::NOT_AUTHORIZED);
    site.stop().await;
}

#[tokio::test]
async fn a_proof_that_is_begun_again_and_not_finished_ends_the_connection() {
    let options = BrokerOptions { authenticate_deadline: Duration::from_millis(200), ..BrokerOptions::default() };
    let (_folder, site) = Site::with(options).await;
    let mut client = solved(&site, "slow").await;
    client.send(auth(ReasonCode::REAUTHENTICATE, Some(RIDDLE), "I am press-7")).await;
    client.next().await;
    // Whatever else it says meanwhile.
    let talks = async {
        loop {
            client.try_send(&Packet::PingReq).await;
            match client.next().await {
                Packet::PingResp => {}
                Packet::Disconnect(disconnect) => break disconnect.reason,
                other => panic!("{other:?}"),
            }
        }
    };
    let reason = tokio::time::timeout(PATIENCE, talks).await.expect("an end");
    assert_eq!(reason, ReasonCode::NOT_AUTHORIZED);
    site.stop().await;
}
