//! Connecting, taking over, wills, keep alive, expiry.

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
async fn a_session_that_outlives_its_connection_gets_what_came_meanwhile() {
    let (_folder, site) = site().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a/#", QoS::AtLeastOnce).await;
    listener.leave().await;
    let mut speaker = site.client(hello("speaker")).await;
    assert_eq!(speaker.publish_1("a/b", "meanwhile").await, ReasonCode::SUCCESS);
    let mut listener = Client::dial(site.address, Version::V5).await;
    assert!(listener.connect(lasting("listener")).await.session_present);
    let message = listener.next_publish().await;
    assert_eq!((message.payload.as_ref(), message.dup, message.packet_id), (&b"meanwhile"[..], false, 1));
    listener.ack(&message).await;
    assert_eq!(speaker.publish_1("a/c", "now").await, ReasonCode::SUCCESS);
    assert_eq!(listener.next_publish().await.payload.as_ref(), b"now", "its subscription is there too");
    site.stop().await;
}

#[tokio::test]
async fn a_clean_start_forgets_the_session() {
    let (_folder, site) = site().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a/#", QoS::AtLeastOnce).await;
    listener.leave().await;
    let mut listener = Client::dial(site.address, Version::V5).await;
    assert!(!listener.connect(hello("listener")).await.session_present);
    let mut speaker = site.client(hello("speaker")).await;
    assert_eq!(speaker.publish_1("a/b", "x").await, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    site.stop().await;
}

#[tokio::test]
async fn a_second_connection_takes_over_and_the_first_is_told() {
    let (_folder, site) = site().await;
    let mut first = site.client(lasting("one")).await;
    first.subscribe("a", QoS::AtLeastOnce).await;
    let mut second = Client::dial(site.address, Version::V5).await;
    assert!(second.connect(lasting("one")).await.session_present);
    match first.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::SESSION_TAKEN_OVER),
        other => panic!("{other:?}"),
    }
    assert!(first.try_next().await.is_none());
    let mut speaker = site.client(hello("speaker")).await;
    speaker.publish_1("a", "to the second").await;
    assert_eq!(second.next_publish().await.payload.as_ref(), b"to the second");
    site.stop().await;
}

#[tokio::test]
async fn a_will_is_published_when_the_client_is_lost_and_not_when_it_says_goodbye() {
    let (_folder, site) = site().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("will/#", QoS::AtLeastOnce).await;
    for connect in [hello("clean"), lasting("kept"), old("old clean", true), old("old kept", false)] {
        let polite = site.client(Connect { will: Some(will("will/polite", None)), ..connect.clone() }).await;
        polite.leave().await;
        let lost = site.client(Connect { will: Some(will("will/lost", None)), ..connect }).await;
        drop(lost);
        let message = listener.next_publish().await;
        assert_eq!(message.topic.as_ref().unwrap().as_str(), "will/lost");
        listener.ack(&message).await;
    }
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn a_delayed_will_waits_and_is_cancelled_by_coming_back() {
    let (_folder, site) = site().await;
    let mut listener = site.client(hello("listener")).await;
    listener.subscribe("will/#", QoS::AtMostOnce).await;
    drop(site.client(Connect { will: Some(will("will/early", Some(60))), ..lasting("a") }).await);
    drop(site.client(Connect { will: Some(will("will/late", Some(60))), ..lasting("b") }).await);
    let gone = |id: &'static str| {
        let broker = site.broker.clone();
        move || broker.clients().iter().any(|c| c.client_id == id && !c.connected)
    };
    until(gone("a")).await;
    until(gone("b")).await;
    let back = site.client(lasting("a")).await;
    site.clock.turn(Duration::from_secs(61));
    let message = listener.next_publish().await;
    assert_eq!(message.topic.unwrap().as_str(), "will/late", "the other one came back in time");
    listener.expect_nothing().await;
    drop(back);
    site.stop().await;
}

#[tokio::test]
async fn a_session_ends_when_its_expiry_has_passed() {
    let (_folder, site) = site().await;
    let mut listener = site.client(lasting("listener")).await;
    listener.subscribe("a", QoS::AtLeastOnce).await;
    listener.leave().await;
    assert_eq!(site.broker.clients().len(), 1);
    site.clock.turn(Duration::from_secs(3601));
    until(|| site.broker.clients().is_empty()).await;
    site.stop().await;
}

#[tokio::test]
async fn a_silent_client_is_disconnected_after_one_and_a_half_keep_alives() {
    let (_folder, site) = site().await;
    // Silent for longer than the other one, but it has leave to be.
    let mut patient = site.client(hello("patient")).await;
    let mut client = Client::dial(site.address, Version::V5).await;
    let began = tokio::time::Instant::now();
    let ack = client.connect(Connect { keep_alive_s: 1, ..hello("silent") }).await;
    assert_eq!(ack.properties.server_keep_alive_s, None, "its own counts");
    assert_eq!(client.farewell().await, ReasonCode::KEEP_ALIVE_TIMEOUT);
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    patient.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn limits_are_capped_and_told_not_refused() {
    let folder = tempfile::tempdir().unwrap();
    let options = BrokerOptions {
        keep_alive_max_s: 100,
        session_expiry_max_s: 1000,
        receive_maximum: 10,
        topic_alias_maximum: 5,
        ..BrokerOptions::default()
    };
    let site = Site::on(open_log(folder.path()), options).await;
    let mut client = Client::dial(site.address, Version::V5).await;
    let connect = Connect { keep_alive_s: 0, client_id: Text::default(), ..lasting("") };
    let ack = client.connect(connect).await;
    let p = ack.properties;
    assert_eq!((p.server_keep_alive_s, p.session_expiry_s), (Some(100), Some(1000)));
    assert_eq!((p.receive_maximum, p.topic_alias_maximum), (Some(10), Some(5)));
    assert!(p.assigned_client_id.is_some_and(|id| id.as_str().starts_with("auto-")));
    site.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_with_the_wrong_password_or_anothers_identifier() {
    let (_folder, site) = site().await;
    let with = |password: &'static [u8]| Connect {
        user_name: Some(Text::parse("press-7").unwrap()),
        password: Some(Bytes::from_static(password)),
        ..hello("press")
    };
    let cases = [
        (with(b"wrong"), ReasonCode::BAD_USER_NAME_OR_PASSWORD),
        (with(b"right"), ReasonCode::SUCCESS),
        (hello("taken"), ReasonCode::CLIENT_IDENTIFIER_NOT_VALID),
    ];
    for (connect, wanted) in cases {
        let mut client = Client::dial(site.address, Version::V5).await;
        assert_eq!(client.connect(connect).await.reason, wanted);
    }
    let mut old = Client::dial(site.address, Version::V311).await;
    let refused = old.connect(Connect { version: Version::V311, ..with(b"wrong") }).await;
    assert_eq!(refused.reason, ReasonCode::BAD_USER_NAME_OR_PASSWORD, "return code 4");
    site.stop().await;
}

#[tokio::test]
async fn a_revoked_device_is_disconnected() {
    let (_folder, site) = site().await;
    let connect = Connect {
        user_name: Some(Text::parse("press-7").unwrap()),
        password: Some(Bytes::from_static(b"right")),
        ..hello("press")
    };
    let mut device = site.client(connect).await;
    let mut other = site.client(hello("other")).await;
    assert_eq!(site.broker.disconnect_principal(uuid::Uuid::from_u128(7)), 1);
    match device.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::NOT_AUTHORIZED),
        other => panic!("{other:?}"),
    }
    other.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn the_surroundings_hear_who_comes_and_goes_and_why() {
    let (_folder, site) = site().await;
    site.client(hello("guest")).await.leave().await;
    until(|| site.hooks.events.lock().unwrap().len() == 2).await;
    let events = site.hooks.events.lock().unwrap().clone();
    assert!(events[0].connected && !events[1].connected);
    assert_eq!(events[1].reason, Some(EndReason::Client(ReasonCode::SUCCESS)));
    let info = site.broker.clients();
    assert!(info.is_empty(), "a session without expiry is gone");
    site.stop().await;
}

#[tokio::test]
async fn stopping_tells_clients_why() {
    let (_folder, site) = site().await;
    let mut client = site.client(hello("guest")).await;
    site.stop().await;
    match client.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::SERVER_SHUTTING_DOWN),
        other => panic!("{other:?}"),
    }
    assert!(client.try_next().await.is_none());
}

/// A session that was to last, is resumed by a connection after which it ends, and is asked for while that is there.
#[tokio::test]
async fn a_session_that_ends_with_its_connection_ends_when_that_is_taken_over() {
    let (_folder, site) = Site::usual().await;
    let mut first = site.client(lasting("press")).await;
    first.subscribe("a", QoS::AtLeastOnce).await;
    first.leave().await;
    let mut second = site.again(Connect { clean_start: false, ..hello("press") }).await;
    let mut third = Client::dial(site.address, Version::V5).await;
    assert!(!third.connect(lasting("press")).await.session_present);
    assert_eq!(second.farewell().await, ReasonCode::SESSION_TAKEN_OVER);
    let mut speaker = site.client(hello("speaker")).await;
    assert_eq!(speaker.publish_1("a", "x").await, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    third.expect_nothing().await;
    site.stop().await;
}
