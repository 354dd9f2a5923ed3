//! What people see of the broker: what flows, who is there, why somebody went.

use crate::harness::*;
use andon_broker::*;
use andon_wire::mqtt::*;
use bytes::Bytes;
use std::sync::Arc;

async fn until_count(site: &Site, topic: &str, count: u64) -> TopicInfo {
    let catalogue = site.broker.catalogue().clone();
    until(|| catalogue.mark(topic).is_some_and(|(so_far, _)| so_far == count)).await;
    catalogue.topic(topic, site.clock_now()).unwrap()
}

impl Site {
    fn clock_now(&self) -> andon_model::Timestamp {
        use andon_model::Clock as _;
        self.clock.now()
    }
}

#[tokio::test]
async fn every_message_of_a_client_is_in_the_catalogue_whatever_its_qos() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(hello("speaker")).await;
    speaker.send(Packet::Publish(publish("a/0", "20.5", QoS::AtMostOnce, 0))).await;
    assert!(speaker.publish_1("a/1", "{\"t\":1}").await.is_success());
    let info = until_count(&site, "a/0", 1).await;
    assert_eq!((info.kind, &*info.payload), (PayloadKind::Number, &b"20.5"[..]));
    assert_eq!(info.publisher.as_ref().map(Text::as_str), Some("speaker"));
    let info = until_count(&site, "a/1", 1).await;
    assert_eq!((info.kind, info.qos, info.retained), (PayloadKind::Json, QoS::AtLeastOnce, false));
    // A message that was refused, and a command, did not happen here.
    assert!(!speaker.publish_1("secret/a", "1").await.is_success());
    assert!(speaker.publish_1("command/a", "1").await.is_success());
    assert_eq!(site.broker.catalogue().figures().topics, 2);
    site.stop().await;
}

#[tokio::test]
async fn what_is_retained_is_known_again_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    site.broker.publish_internal("kept", "on".into(), QoS::AtLeastOnce, true).await.unwrap();
    site.broker.publish_internal("passing", "off".into(), QoS::AtLeastOnce, false).await.unwrap();
    assert_eq!(until_count(&site, "kept", 1).await.publisher, None);
    site.stop().await;
    let site = Site::on(open_log(folder.path()), BrokerOptions::default()).await;
    let info = until_count(&site, "kept", 0).await;
    assert_eq!((&*info.payload, info.retained), (&b"on"[..], true));
    assert_eq!(site.broker.catalogue().figures().topics, 1, "no message of this run, and none retained: not known");
    site.stop().await;
}

#[tokio::test]
async fn a_message_of_a_person_is_routed_and_mapped_as_a_clients() {
    let (_folder, site) = Site::usual().await;
    let mut listener = site.client(hello("listener")).await;
    assert!(listener.subscribe("#", QoS::AtLeastOnce).await.is_success());
    for (qos, retain) in [(QoS::AtMostOnce, false), (QoS::AtLeastOnce, false), (QoS::AtMostOnce, true)] {
        let topic = TopicName::parse("a/b").unwrap();
        let mut message = Message::internal(topic, Bytes::from_static(b"7"), qos, retain, site.clock_now());
        message.publisher = Some(Text::parse("anna").unwrap());
        message.content_type = Some(Text::parse("text/plain").unwrap());
        assert_eq!(site.broker.publish(message).await, Ok(1));
        let got = listener.next_publish().await;
        assert_eq!((got.topic.as_ref().unwrap().as_str(), got.payload.as_ref()), ("a/b", &b"7"[..]));
        if got.qos != QoS::AtMostOnce {
            listener.ack(&got).await;
        }
    }
    until(|| site.hooks.mapped.lock().unwrap().len() == 3).await;
    let info = until_count(&site, "a/b", 3).await;
    assert_eq!((info.publisher.unwrap().as_str(), info.retained), ("anna", true));
    site.stop().await;
}

#[tokio::test]
async fn a_message_of_a_person_has_the_limits_of_a_clients() {
    let options =
        BrokerOptions { payload_bytes: 10, topic_levels: 2, retained_messages: 1, ..BrokerOptions::default() };
    let (_folder, site) = Site::with(options).await;
    let publish = async |topic: &str, payload: &str, retain: bool| {
        let name = TopicName::parse(topic).unwrap();
        let payload = Bytes::copy_from_slice(payload.as_bytes());
        site.broker.publish(Message::internal(name, payload, QoS::AtMostOnce, retain, site.clock_now())).await
    };
    assert_eq!(publish("$SYS/a", "1", false).await, Err(PublishError::Topic("$SYS/a".to_owned())));
    assert_eq!(publish("a", "12345678901", false).await, Err(PublishError::TooLarge { bytes: 11, limit: 10 }));
    assert_eq!(publish("a/b/c", "1", false).await, Err(PublishError::Levels { levels: 3, limit: 2 }));
    assert_eq!(publish("a", "1", true).await, Ok(0));
    assert_eq!(publish("b", "1", true).await, Err(PublishError::RetainedFull(1)));
    assert_eq!(publish("a", "2", true).await, Ok(0), "a topic that has one may have another");
    site.stop().await;
}

#[tokio::test]
async fn a_client_is_told_with_what_it_asked_for_and_why_it_went() {
    let (_folder, site) = Site::usual().await;
    let mut client = site.client(Connect { keep_alive_s: 30, ..hello("press-7") }).await;
    assert!(client.subscribe("plant/+/set", QoS::ExactlyOnce).await.is_success());
    assert!(client.subscribe("$share/group/plant/#", QoS::AtMostOnce).await.is_success());
    let info = site.broker.clients().remove(0);
    assert_eq!((info.keep_alive_s, info.subscriptions, info.in_flight), (Some(30), 2, 0));
    assert!(info.principal.is_some() && info.connected);
    let filters = |list: Vec<SubscriptionInfo>| list.into_iter().map(|s| s.filter).collect::<Vec<_>>();
    let own = site.broker.subscriptions_of("press-7").unwrap();
    assert_eq!(own.iter().map(|s| s.qos).collect::<Vec<_>>(), [QoS::AtMostOnce, QoS::ExactlyOnce]);
    assert_eq!(filters(own), ["$share/group/plant/#", "plant/+/set"]);
    assert_eq!(site.broker.subscriptions_of("press-8"), None);
    let under = |topic: &str| site.broker.subscribers_of(topic, 10);
    assert_eq!(filters(under("plant/a/set").0), ["$share/group/plant/#", "plant/+/set"]);
    assert_eq!(filters(under("plant/a").0), ["$share/group/plant/#"]);
    assert_eq!(under("other").1, 0);
    let (page, total) = site.broker.subscriptions("", None, 1);
    assert_eq!((filters(page), total), (vec!["$share/group/plant/#".to_owned()], 2));
    let (page, _) = site.broker.subscriptions("", Some(("press-7", "$share/group/plant/#")), 1);
    assert_eq!(filters(page), ["plant/+/set"]);
    assert_eq!(site.broker.subscriptions("+", None, 10).1, 1);

    assert!(site.broker.disconnect_client("press-7"));
    match client.next().await {
        Packet::Disconnect(d) => assert_eq!(d.reason, ReasonCode::ADMINISTRATIVE_ACTION),
        other => panic!("{other:?}"),
    }
    site.until_away("press-7").await;
    let gone = site.broker.departures(Some("press-7"), 10);
    assert_eq!(gone.len(), 1);
    assert_eq!(gone[0].reason, EndReason::Server(ReasonCode::ADMINISTRATIVE_ACTION));
    assert!(!site.broker.disconnect_client("press-7"), "it is gone already");
    site.stop().await;
}

#[tokio::test]
async fn no_client_has_the_name_under_which_people_publish() {
    let (_folder, site) = Site::usual().await;
    let mut client = Client::dial(site.address, Version::V5).await;
    let answer = client.connect(hello("andon:0192f0c0-0000-7000-8000-000000000001")).await;
    assert_eq!(answer.reason, ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
    site.client(hello("andon")).await;
    site.stop().await;
}

#[tokio::test]
async fn the_catalogue_answers_while_the_state_is_held() {
    let (_folder, site) = Site::usual().await;
    site.broker.publish_internal("a", "1".into(), QoS::AtMostOnce, false).await.unwrap();
    let catalogue = site.broker.catalogue().clone();
    // Somebody who looks at the tree with a question that takes long holds up no message.
    let broker = site.broker.clone();
    let (inside, is_inside) = std::sync::mpsc::channel();
    let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
    let looking = {
        let (catalogue, now) = (catalogue.clone(), site.clock_now());
        tokio::task::spawn_blocking(move || {
            let may_go_on = std::sync::Mutex::new(Some(may_go_on));
            let sees = |_: &str| {
                if let Some(wait) = may_go_on.lock().unwrap().take() {
                    inside.send(()).unwrap();
                    wait.recv().unwrap();
                }
                true
            };
            catalogue.level(None, 0, 10, now, Some(&sees)).total
        })
    };
    tokio::task::spawn_blocking(move || is_inside.recv().unwrap()).await.unwrap();
    for n in 0..100 {
        broker.publish_internal(&format!("new/{n}"), "1".into(), QoS::AtMostOnce, false).await.unwrap();
    }
    assert_eq!(catalogue.figures().topics, 101);
    go_on.send(()).unwrap();
    assert_eq!(looking.await.unwrap(), 1);
    assert_eq!(Arc::strong_count(&catalogue), 2);
    site.stop().await;
}
