//! Topic aliases that the server sets towards a client that takes them. MQTT 5.0 §3.3.2.3.4.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;

fn takes(most: Option<u16>) -> Connect {
    let connect = lasting("listener");
    Connect { properties: ConnectProperties { topic_alias_maximum: most, ..connect.properties }, ..connect }
}

async fn told(client: &mut Client) -> (Option<String>, Option<u16>, String) {
    let message = client.next_publish().await;
    if message.qos != QoS::AtMostOnce {
        client.ack(&message).await;
    }
    let text = String::from_utf8(message.payload.to_vec()).unwrap();
    (message.topic.map(|topic| topic.as_str().to_owned()), message.properties.topic_alias, text)
}

#[tokio::test]
async fn a_client_that_takes_aliases_hears_a_topic_once_and_then_its_number() {
    let folder = tempfile::tempdir().unwrap();
    let options = BrokerOptions { topic_alias_maximum: 3, ..BrokerOptions::default() };
    let site = Site::on(open_log(folder.path()), options).await;
    let mut speaker = site.client(hello("speaker")).await;
    let said = |topic: &str, alias: Option<u16>, text: &str, named: bool| {
        (named.then(|| topic.to_owned()), alias, text.to_owned())
    };

    let mut listener = site.client(takes(Some(2))).await;
    listener.subscribe("a/#", QoS::AtLeastOnce).await;
    for (topic, text, alias, named) in [
        ("a/one", "1", Some(1), true),
        ("a/two", "2", Some(2), true),
        ("a/one", "3", Some(1), false),
        ("a/three", "4", None, true),
        ("a/two", "5", Some(2), false),
    ] {
        assert!(speaker.publish_1(topic, text).await.is_success());
        assert_eq!(told(&mut listener).await, said(topic, alias, text, named), "{text}");
    }
    // Without an answer too, and together with those that have one.
    speaker.send(Packet::Publish(publish("a/one", "6", QoS::AtMostOnce, 0))).await;
    assert_eq!(told(&mut listener).await, said("a/one", Some(1), "6", false));

    // A number counts on its connection alone; and no more are set than the server itself takes.
    listener.leave().await;
    assert!(speaker.publish_1("a/two", "7").await.is_success());
    let mut listener = site.client(takes(Some(u16::MAX))).await;
    assert_eq!(told(&mut listener).await, said("a/two", Some(1), "7", true));
    for (topic, alias) in [("a/1", Some(2)), ("a/2", Some(3)), ("a/3", None)] {
        assert!(speaker.publish_1(topic, "x").await.is_success());
        assert_eq!(told(&mut listener).await, said(topic, alias, "x", true));
    }
    listener.leave().await;

    // Who takes none gets none.
    for most in [None, Some(0)] {
        let mut listener = site.client(takes(most)).await;
        for _ in 0..2 {
            assert!(speaker.publish_1("a/one", "8").await.is_success());
            assert_eq!(told(&mut listener).await, said("a/one", None, "8", true));
        }
        listener.leave().await;
    }
    site.stop().await;
}

#[tokio::test]
async fn a_message_that_is_too_large_for_a_client_teaches_it_no_alias() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let connect = takes(Some(2));
    let properties = ConnectProperties { maximum_packet_size: Some(64), ..connect.properties };
    let mut listener = site.client(Connect { properties, ..connect }).await;
    listener.subscribe("a/#", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    assert!(speaker.publish_1("a/one", &"x".repeat(60)).await.is_success());
    assert!(speaker.publish_1("a/one", "short").await.is_success());
    assert_eq!(told(&mut listener).await, (Some("a/one".to_owned()), Some(1), "short".to_owned()));
    // With the alias beside the name it would be three bytes too long; without it fits.
    let text = "x".repeat(64 - 2 - 2 - "a/other".len() - 2 - 1);
    assert!(speaker.publish_1("a/other", &text).await.is_success());
    assert_eq!(told(&mut listener).await, (Some("a/other".to_owned()), None, text));
    site.stop().await;
}
