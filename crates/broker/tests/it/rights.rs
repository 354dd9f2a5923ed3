//! What a client may have, also of what was meant for it before.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;

fn receive_one() -> Connect {
    let properties = ConnectProperties { receive_maximum: Some(1), ..lasting("listener").properties };
    Connect { properties, ..lasting("listener") }
}

#[tokio::test]
async fn a_session_that_is_resumed_has_nothing_to_which_its_client_lost_the_right() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let mut listener = site.client(lasting("listener")).await;
    for filter in ["private/+", "open/#", "$share/both/private/#"] {
        assert!(listener.subscribe(filter, QoS::AtLeastOnce).await.is_success());
    }
    listener.leave().await;
    let mut speaker = site.client(hello("speaker")).await;
    for (topic, text) in [("private/a", "1"), ("open/a", "2"), ("private/b", "3"), ("open/b", "4")] {
        assert_eq!(speaker.publish_1(topic, text).await, ReasonCode::SUCCESS);
    }
    site.hooks.lost.lock().unwrap().push("private/");

    // Of what waits only what it may have is sent, one at a time; also when it leaves in between.
    for text in ["2", "4"] {
        let mut listener = Client::dial(site.address, Version::V5).await;
        assert!(listener.connect(receive_one()).await.session_present);
        let message = listener.next_publish().await;
        assert_eq!(message.payload.as_ref(), text.as_bytes());
        listener.ack(&message).await;
        let waiting = if text == "2" { 1 } else { 0 };
        until(|| site.broker.stats().queued <= waiting).await;
        if text == "4" {
            listener.expect_nothing().await;
        }
        listener.leave().await;
    }
    // The subscriptions are gone for good, and it was told whose they were.
    assert_eq!(site.broker.stats().subscriptions, 1);
    assert_eq!(speaker.publish_1("private/a", "5").await, ReasonCode::NO_MATCHING_SUBSCRIBERS);
    let refused = site.hooks.refused.lock().unwrap().clone();
    let what: Vec<_> = refused.iter().map(|(client, what, filter)| (client.as_str(), *what, filter.as_str())).collect();
    assert_eq!(
        what,
        [("listener", NoRight::Subscribe, "$share/both/private/#"), ("listener", NoRight::Subscribe, "private/+")]
    );
    site.stop().await;

    // Also after a restart, and when the right is given again nothing of the time between comes.
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    assert_eq!(site.broker.stats().subscriptions, 1);
    let mut listener = site.client(lasting("listener")).await;
    listener.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn who_is_removed_while_being_let_in_does_not_stay() {
    let (_folder, site) = Site::usual().await;
    // Whoever removes it finds no connection yet, and the broker asks once more when there is one.
    site.hooks.removed.lock().unwrap().push(uuid::Uuid::from_u128(7));
    let connect = Connect {
        user_name: Some(Text::parse("press-7").unwrap()),
        password: Some(bytes::Bytes::from_static(b"right")),
        ..lasting("press")
    };
    let mut client = site.client(connect).await;
    assert_eq!(client.farewell().await, ReasonCode::NOT_AUTHORIZED);
    site.until_away("press").await;
    site.client(hello("another")).await.expect_nothing().await;
    site.stop().await;
}
