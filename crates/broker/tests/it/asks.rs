//! What subscribers ask for beyond MQTT: origin, and less than all.

use crate::harness::*;
use andon_broker::*;
use andon_model::Timestamp;
use andon_wire::mqtt::*;

fn text(s: &str) -> Text {
    Text::parse(s).unwrap()
}

fn pairs(user: &UserProperties) -> Vec<(&str, &str)> {
    user.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

pub fn find<'a>(message: &'a Publish, name: &str) -> Option<&'a str> {
    message.properties.user.iter().find(|(n, _)| n.as_str() == name).map(|(_, value)| value.as_str())
}

/// Subscribes with user properties; the answer.
pub async fn subscribe_asking(client: &mut Client, filters: &[Filter], asks: &[(&str, &str)]) -> SubAck {
    let user = asks.iter().map(|(name, value)| (text(name), text(value))).collect();
    let properties = SubscribeProperties { user, ..Default::default() };
    client.send(Packet::Subscribe(Subscribe { packet_id: 9, properties, filters: filters.to_vec() })).await;
    match client.next().await {
        Packet::SubAck(ack) => ack,
        other => panic!("instead of SUBACK: {other:?}"),
    }
}

async fn asking(site: &Site, connect: Connect, line: &str, qos: QoS, asks: &[(&str, &str)]) -> Client {
    let mut client = site.client(connect).await;
    let ack = subscribe_asking(&mut client, &[filter(line, qos)], asks).await;
    assert_eq!((ack.reasons, ack.properties), (vec![ReasonCode(qos as u8)], AckProperties::default()));
    client
}

pub fn as_press_7(client_id: &str) -> Connect {
    Connect {
        user_name: Some(text("press-7")),
        password: Some(bytes::Bytes::from_static(b"right")),
        ..hello(client_id)
    }
}

#[tokio::test]
async fn who_asks_is_told_when_a_message_came_and_from_whom_behind_what_the_publisher_says() {
    let (_folder, site) = Site::usual().await;
    let mut plain = site.client(hello("plain")).await;
    plain.subscribe("a/#", QoS::AtLeastOnce).await;
    let mut curious = asking(&site, hello("curious"), "a/#", QoS::AtLeastOnce, &[("andon-origin", "yes")]).await;
    let mut speaker = site.client(as_press_7("press-7-1")).await;
    let before = Timestamp::from_millis(andon_model::Clock::now(&*site.clock).millis());
    for qos in [QoS::AtMostOnce, QoS::AtLeastOnce] {
        let mut message = publish("a/b", "41.5", qos, u16::from(qos != QoS::AtMostOnce));
        // What it claims in our name is not passed on to those who would believe it.
        let own = [("z", "1"), ("andon-user", "somebody else"), ("a", "2"), ("z", "3"), ("andon-received", "never")];
        message.properties.user = own.iter().map(|(name, value)| (text(name), text(value))).collect();
        speaker.send(Packet::Publish(message)).await;
        if qos != QoS::AtMostOnce {
            speaker.next().await;
        }
        let unchanged = plain.next_publish().await;
        assert_eq!(pairs(&unchanged.properties.user), own, "MQTT 5.0 [MQTT-3.3.2-17]");
        let told = curious.next_publish().await;
        assert_eq!(told.qos, qos);
        let told = pairs(&told.properties.user);
        assert_eq!(told[..3], [("z", "1"), ("a", "2"), ("z", "3")]);
        let (received, rest) = told[3..].split_first().unwrap();
        assert_eq!(rest, [("andon-client", "press-7-1"), ("andon-publisher", "device"), ("andon-user", "Press 7")]);
        assert_eq!((received.0, received.1.len()), ("andon-received", "2026-11-26T22:41:07.123Z".len()));
        let at = Timestamp::parse_rfc3339(received.1).unwrap();
        assert!(at >= before && at <= andon_model::Clock::now(&*site.clock), "{received:?}");
    }
    site.stop().await;
}

#[tokio::test]
async fn nobody_and_the_node_itself_are_told_as_such_and_names_only_to_those_who_see_everything() {
    let (_folder, site) = Site::usual().await;
    site.hooks.lost.lock().unwrap().push("elsewhere");
    let mut narrow = asking(&site, hello("narrow"), "a", QoS::AtMostOnce, &[("andon-origin", "yes")]).await;
    site.hooks.lost.lock().unwrap().clear();
    let mut wide = asking(&site, hello("wide"), "a", QoS::AtMostOnce, &[("andon-origin", "yes")]).await;
    let id = uuid::Uuid::from_u128(7).to_string();
    for (connect, kind, seen, hidden) in
        [(hello("x"), "anonymous", None, None), (as_press_7("y"), "device", Some("Press 7"), Some(id.as_str()))]
    {
        let client_id = connect.client_id.clone();
        let mut speaker = site.client(connect).await;
        speaker.publish_1("a", "1").await;
        for (listener, user) in [(&mut wide, seen), (&mut narrow, hidden)] {
            let message = listener.next_publish().await;
            assert_eq!(find(&message, "andon-client"), Some(client_id.as_str()));
            assert_eq!((find(&message, "andon-publisher"), find(&message, "andon-user")), (Some(kind), user));
        }
    }
    site.broker.publish_internal("a", bytes::Bytes::new(), QoS::AtMostOnce, false).await.unwrap();
    let message = wide.next_publish().await;
    assert_eq!((find(&message, "andon-publisher"), find(&message, "andon-client")), (Some("node"), None));
    site.stop().await;
}

#[tokio::test]
async fn origin_is_told_of_what_was_retained_what_waited_and_wills_also_over_a_restart() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        let asks = [("andon-origin", "yes")];
        asking(&site, lasting("curious"), "a/#", QoS::AtLeastOnce, &asks).await.leave().await;
        let will = Will { topic: TopicName::parse("a/will").unwrap(), ..will("a/will", None) };
        let properties = ConnectProperties { session_expiry_s: Some(3600), ..ConnectProperties::default() };
        let mut speaker = site.client(Connect { will: Some(will), properties, ..as_press_7("speaker") }).await;
        speaker.publish_1("a/1", "waits").await;
        speaker.send(Packet::Publish(Publish { retain: true, ..publish("r", "kept", QoS::AtMostOnce, 0) })).await;
        until(|| site.broker.stats().retained == 1).await;
        if cleanly {
            site.stop().await;
        } else {
            log.close();
            site.abandon();
        }
        log.close();

        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        let mut curious = site.again(lasting("curious")).await;
        for topic in ["a/1", "a/will"] {
            let message = curious.next_publish().await;
            assert_eq!(message.topic.as_ref().map(TopicName::as_str), Some(topic), "cleanly: {cleanly}");
            assert_eq!(
                (find(&message, "andon-client"), find(&message, "andon-user")),
                (Some("speaker"), Some("Press 7"))
            );
            curious.ack(&message).await;
        }
        let ack = subscribe_asking(&mut curious, &[filter("r", QoS::AtLeastOnce)], &asks).await;
        assert_eq!(ack.reasons, [ReasonCode(1)]);
        let message = curious.next_publish().await;
        assert_eq!((message.retain, find(&message, "andon-user")), (true, Some("Press 7")));
        site.stop().await;
    }
}

#[tokio::test]
async fn what_is_not_understood_is_refused_with_a_reason_and_nothing_is_subscribed() {
    let (_folder, site) = Site::usual().await;
    let mut client = site.client(hello("c")).await;
    let two = [filter("a", QoS::AtLeastOnce), filter("b", QoS::AtMostOnce)];
    for (asks, words) in [
        ([("andon-origin", "of course")], "\"andon-origin\" must be yes or no"),
        ([("andon-orgin", "yes")], "\"andon-orgin\" is not known"),
    ] {
        let ack = subscribe_asking(&mut client, &two, &asks).await;
        assert_eq!(ack.reasons, [ReasonCode::IMPLEMENTATION_SPECIFIC; 2]);
        let reason = ack.properties.reason_string.unwrap();
        assert!(reason.as_str().starts_with(words), "{reason:?}");
    }
    assert_eq!(site.broker.stats().subscriptions, 0);
    // What is not ours is nobody's business.
    let ack = subscribe_asking(&mut client, &two, &[("origin", "of course")]).await;
    assert_eq!(ack.reasons, [ReasonCode(1), ReasonCode(0)]);
    site.stop().await;
}

#[tokio::test]
async fn of_overlapping_subscriptions_one_that_asks_is_enough_and_a_new_subscription_asks_anew() {
    let (_folder, site) = Site::usual().await;
    let mut client = asking(&site, hello("c"), "a/+", QoS::AtMostOnce, &[("andon-origin", "yes")]).await;
    client.subscribe("a/#", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("s")).await;
    speaker.publish_1("a/b", "1").await;
    let message = client.next_publish().await;
    assert_eq!((message.qos, find(&message, "andon-client")), (QoS::AtLeastOnce, Some("s")));
    client.ack(&message).await;
    client.subscribe("a/+", QoS::AtMostOnce).await;
    speaker.publish_1("a/b", "2").await;
    let message = client.next_publish().await;
    assert_eq!(find(&message, "andon-client"), None);
    client.expect_nothing().await;
    site.stop().await;
}

/// What came: topic, payload, how many were left out before it.
fn told(message: &Publish) -> (String, String, Option<u32>) {
    let topic = message.topic.as_ref().unwrap().as_str().to_owned();
    let payload = String::from_utf8_lossy(&message.payload[..message.payload.len().min(8)]).into_owned();
    (topic, payload, find(message, "andon-left-out").map(|count| count.parse().unwrap()))
}

fn what(topic: &str, payload: &str, left_out: Option<u32>) -> (String, String, Option<u32>) {
    (topic.to_owned(), payload.to_owned(), left_out)
}

fn taking(connect: Connect, at_a_time: u16) -> Connect {
    let properties = ConnectProperties { receive_maximum: Some(at_a_time), ..connect.properties };
    Connect { properties, ..connect }
}

fn left_out(site: &Site, client_id: &str) -> u64 {
    site.broker.subscriptions_of(client_id).unwrap().iter().map(|own| own.left_out).sum()
}

#[tokio::test]
async fn who_does_not_keep_up_gets_the_newest_of_each_topic_and_no_backlog() {
    for connect in [hello("c"), lasting("c")] {
        for qos in [QoS::AtLeastOnce, QoS::ExactlyOnce] {
            let (_folder, site) = Site::usual().await;
            let asks = [("andon-deliver", "latest")];
            let mut client = asking(&site, taking(connect.clone(), 2), "+", qos, &asks).await;
            let mut speaker = site.client(hello("speaker")).await;
            for topic in ["a", "b"] {
                for n in 1..=10 {
                    let id = 7;
                    speaker.send(Packet::Publish(publish(topic, &n.to_string(), qos, id))).await;
                    speaker.next().await;
                    if qos == QoS::ExactlyOnce {
                        speaker.release(id).await;
                    }
                }
            }
            assert_eq!(left_out(&site, "c"), 16);
            let (mut got, mut done) = (Vec::new(), 0);
            while done < 4 {
                match client.next().await {
                    Packet::Publish(message) if qos == QoS::ExactlyOnce => {
                        client.send(Packet::PubRec(Ack::new(message.packet_id, ReasonCode::SUCCESS))).await;
                        got.push(told(&message));
                    }
                    Packet::Publish(message) => {
                        client.ack(&message).await;
                        got.push(told(&message));
                        done += 1;
                    }
                    Packet::PubRel(ack) => {
                        client.send(Packet::PubComp(Ack::new(ack.packet_id, ReasonCode::SUCCESS))).await;
                        done += 1;
                    }
                    other => panic!("{other:?}"),
                }
            }
            let wanted =
                [what("a", "1", None), what("a", "2", None), what("a", "10", Some(7)), what("b", "10", Some(9))];
            assert_eq!(got, wanted);
            client.expect_nothing().await;
            until(|| site.broker.stats().queued == 0).await;
            assert_eq!((site.broker.stats().dropped, site.broker.stats().left_out), (0, 16));
            // Who keeps up gets everything.
            speaker.publish_1("a", "11").await;
            assert_eq!(told(&client.next_publish().await), what("a", "11", None));
            site.stop().await;
        }
    }
}

#[tokio::test]
async fn what_waits_for_who_is_away_or_stalled_is_the_newest_also_over_a_restart() {
    for cleanly in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        let asks = [("andon-deliver", "latest"), ("andon-origin", "yes")];
        asking(&site, taking(lasting("c"), 1), "+", QoS::AtLeastOnce, &asks).await.leave().await;
        let mut speaker = site.client(hello("speaker")).await;
        for n in 1..=100 {
            speaker.publish_1(if n % 2 == 0 { "even" } else { "odd" }, &n.to_string()).await;
        }
        if cleanly {
            site.stop().await;
        } else {
            log.close();
            site.abandon();
        }
        log.close();
        let log = open_log(folder.path());
        let site = Site::on(log.clone(), BrokerOptions::default()).await;
        let mut speaker = site.client(hello("speaker")).await;
        speaker.publish_1("odd", "101").await;
        let mut client = site.again(taking(lasting("c"), 1)).await;
        for wanted in [what("odd", "1", None), what("even", "100", Some(49)), what("odd", "101", Some(49))] {
            let message = client.next_publish().await;
            assert_eq!(
                (told(&message), find(&message, "andon-client")),
                (wanted, Some("speaker")),
                "cleanly: {cleanly}"
            );
            client.ack(&message).await;
        }
        client.expect_nothing().await;
        site.stop().await;
    }
}

#[tokio::test]
async fn what_came_to_the_queue_in_another_order_than_to_the_log_comes_back_whole() {
    let (_folder, site) = Site::usual().await;
    let asks = [("andon-deliver", "latest")];
    let mut client = asking(&site, taking(lasting("c"), 2), "+", QoS::AtLeastOnce, &asks).await;
    let mut speaker = site.client(hello("speaker")).await;
    // Each is more than stays in memory of who is away.
    let large = |text: &str| format!("{text}{}", "x".repeat(20_000));
    for (topic, payload) in [("1", "1"), ("2", "1"), ("b", "old"), ("a", "new"), ("b", "newer")] {
        speaker.publish_1(topic, &large(payload)).await;
    }
    for _ in 0..2 {
        let message = client.next_publish().await;
        client.ack(&message).await;
    }
    let wanted = [what("b", &large("newer"), Some(1)), what("a", &large("new"), None)];
    for dup in [false, true, true] {
        for wanted in &wanted {
            let message = client.next_publish().await;
            let (topic, payload, left_out) = told(&message);
            assert_eq!(
                (topic, &payload[..5], left_out, message.dup),
                (wanted.0.clone(), &wanted.1[..5], wanted.2, dup)
            );
            assert_eq!(message.payload, wanted.1);
        }
        client.leave().await;
        site.until_away("c").await;
        client = site.again(taking(lasting("c"), 2)).await;
    }
    assert_eq!(site.broker.stats().dropped, 0);
    site.stop().await;
}

#[tokio::test]
async fn a_reader_that_stalls_gets_the_newest_of_each_topic_with_qos_0() {
    let (_folder, site) = Site::with(BrokerOptions { outbox_bytes: 1024, ..BrokerOptions::default() }).await;
    let mut client = asking(&site, hello("c"), "+", QoS::AtMostOnce, &[("andon-deliver", "latest")]).await;
    let mut speaker = site.client(hello("speaker")).await;
    // More than the sockets' buffers take.
    let filling = "x".repeat(64 << 10);
    for n in 0..400 {
        speaker.publish_1(if n % 2 == 0 { "even" } else { "odd" }, &format!("{n:8}{filling}")).await;
    }
    assert_eq!(site.broker.stats().dropped, 0, "nothing is dropped, it is left out and told");
    let mut last = std::collections::HashMap::new();
    let (mut received, mut told_left_out) = (0, 0);
    while received + told_left_out < 400 {
        let (topic, payload, left_out) = told(&client.next_publish().await);
        let n: u32 = payload.trim().parse().unwrap();
        assert!(last.insert(topic, n).is_none_or(|before| before < n), "in order");
        received += 1;
        told_left_out += left_out.unwrap_or(0);
    }
    assert_eq!((last["even"], last["odd"]), (398, 399));
    assert!(told_left_out > 100, "{told_left_out}");
    assert_eq!(left_out(&site, "c"), u64::from(told_left_out));
    client.expect_nothing().await;
    site.stop().await;
}

#[tokio::test]
async fn of_an_interval_the_first_comes_at_once_and_the_newest_when_it_is_over() {
    for (connect, qos) in [
        (hello("c"), QoS::AtMostOnce),
        (hello("c"), QoS::AtLeastOnce),
        (lasting("c"), QoS::AtLeastOnce),
        (lasting("c"), QoS::AtMostOnce),
    ] {
        let (_folder, site) = Site::usual().await;
        let mut client = asking(&site, connect, "+", qos, &[("andon-deliver", "every=10min")]).await;
        let mut speaker = site.client(hello("speaker")).await;
        for n in 1..=5 {
            speaker.publish_1("a", &n.to_string()).await;
        }
        speaker.publish_1("b", "1").await;
        for wanted in [what("a", "1", None), what("b", "1", None)] {
            let message = client.next_publish().await;
            assert_eq!(told(&message), wanted);
            if qos == QoS::AtLeastOnce {
                client.ack(&message).await;
            }
        }
        client.expect_nothing().await;
        site.clock.turn(std::time::Duration::from_secs(601));
        let message = client.next_publish().await;
        assert_eq!(told(&message), what("a", "5", Some(3)), "nobody has to publish for it");
        if qos == QoS::AtLeastOnce {
            client.ack(&message).await;
        }
        speaker.publish_1("a", "6").await;
        client.expect_nothing().await;
        speaker.publish_1("b", "2").await;
        assert_eq!(told(&client.next_publish().await), what("b", "2", None));
        assert_eq!(left_out(&site, "c"), 3);
        site.stop().await;
    }
}

#[tokio::test]
async fn within_a_deadband_numbers_are_left_out_and_counted() {
    let (_folder, site) = Site::usual().await;
    let mut client = asking(&site, lasting("c"), "t", QoS::AtLeastOnce, &[("andon-deliver", "deadband=0.5")]).await;
    let mut speaker = site.client(hello("speaker")).await;
    for payload in ["20", "20.2", "19.9", "20.5", "20.9", "off", "21"] {
        speaker.publish_1("t", payload).await;
    }
    let wanted = [("20", None), ("20.5", Some(2)), ("off", Some(1)), ("21", None)];
    for (payload, left_out) in wanted {
        let message = client.next_publish().await;
        assert_eq!(told(&message), what("t", payload, left_out));
        client.ack(&message).await;
    }
    client.expect_nothing().await;
    assert_eq!(left_out(&site, "c"), 3);
    let own = site.broker.subscriptions_of("c").unwrap();
    assert_eq!(own[0].ask.deliver.to_string(), "deadband=0.5");
    site.stop().await;
}

#[tokio::test]
async fn less_is_not_for_shared_subscriptions_and_one_that_wants_all_gets_all() {
    let (_folder, site) = Site::usual().await;
    let mut client = site.client(taking(hello("c"), 1)).await;
    let asks = [("andon-deliver", "latest")];
    let ack = subscribe_asking(&mut client, &[filter("$share/g/a", QoS::AtLeastOnce)], &asks).await;
    assert_eq!(ack.reasons, [ReasonCode::IMPLEMENTATION_SPECIFIC]);
    assert!(ack.properties.reason_string.unwrap().as_str().contains("not for shared subscriptions"));
    subscribe_asking(&mut client, &[filter("a", QoS::AtLeastOnce)], &asks).await;
    client.subscribe("#", QoS::AtLeastOnce).await;
    let mut speaker = site.client(hello("speaker")).await;
    for n in 1..=5 {
        speaker.publish_1("a", &n.to_string()).await;
    }
    for n in 1..=5 {
        let message = client.next_publish().await;
        assert_eq!(told(&message), what("a", &n.to_string(), None));
        client.ack(&message).await;
    }
    assert_eq!(left_out(&site, "c"), 0);
    site.stop().await;
}

#[tokio::test]
async fn what_is_retained_comes_whole_to_a_new_subscription_that_asks_for_less() {
    let (_folder, site) = Site::usual().await;
    let mut speaker = site.client(hello("speaker")).await;
    for topic in ["a", "b", "c"] {
        speaker.send(Packet::Publish(Publish { retain: true, ..publish(topic, "1", QoS::AtLeastOnce, 1) })).await;
        speaker.next().await;
    }
    let mut client = asking(&site, taking(hello("c"), 1), "+", QoS::AtLeastOnce, &[("andon-deliver", "latest")]).await;
    for topic in ["a", "b", "c"] {
        let message = client.next_publish().await;
        assert_eq!(told(&message), what(topic, "1", None));
        client.ack(&message).await;
    }
    client.expect_nothing().await;
    site.stop().await;
}
