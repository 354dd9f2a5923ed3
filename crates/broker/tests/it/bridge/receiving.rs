use super::*;

async fn receiving(rules: Vec<Rule>) -> (tempfile::TempDir, Site, Over, Caller, Remote) {
    let (folder, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![], rules), remote.address).await;
    let (caller, _) = remote.admit(ConnAck::default(), 1).await;
    (folder, here, over, caller, remote)
}

#[tokio::test]
async fn what_comes_is_here_before_it_is_acknowledged_and_mapped_as_a_clients() {
    let (_folder, here, over, mut caller, _remote) = receiving(vec![rule("orders/#", "orders/", "head/")]).await;
    let mut listener = here.client(hello("listener")).await;
    subscribe(&mut listener, "#").await;
    let message = Publish { retain: true, ..publish("orders/7", "make it", QoS::AtLeastOnce, 9) };
    caller.send(Packet::Publish(message)).await;
    let Packet::PubAck(ack) = caller.next().await else { panic!("no PUBACK") };
    assert!((ack.packet_id, ack.reason) == (9, ReasonCode::SUCCESS));
    let got = listener.next_publish().await;
    assert_eq!((got.topic.as_ref().unwrap().as_str(), got.retain), ("head/7", true));
    let kept = here.broker.retained(&TopicFilter::parse("#").unwrap());
    assert_eq!(kept[0].publisher.as_ref().unwrap().as_str(), "andon:bridge:over");
    assert_eq!(here.hooks.mapped.lock().unwrap()[0].topic.as_str(), "head/7");
    caller.send(Packet::Publish(publish("orders/8", "at once", QoS::AtMostOnce, 0))).await;
    assert_eq!(text(&listener.next_publish().await), "at once");
    until(|| over.bridge.report().received == 2).await;
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_cannot_be_taken_is_answered_in_turn_and_told() {
    let (_folder, here, over, mut caller, _remote) = receiving(vec![rule("#", "", "")]).await;
    let large = "x".repeat((1 << 20) + 1);
    let deep = vec!["x"; 40].join("/");
    let messages: [(&str, &str, ReasonCode); 6] = [
        ("good", "1", ReasonCode::SUCCESS),
        ("command/valve", "open", ReasonCode::NOT_AUTHORIZED),
        ("large", &large, ReasonCode::IMPLEMENTATION_SPECIFIC),
        (&deep, "2", ReasonCode::TOPIC_NAME_INVALID),
        ("strict/a", "bad", ReasonCode::PAYLOAD_FORMAT_INVALID),
        ("good", "3", ReasonCode::SUCCESS),
    ];
    for (id, (topic, payload, _)) in (1_u16..).zip(messages) {
        caller.send(Packet::Publish(publish(topic, payload, QoS::AtLeastOnce, id))).await;
    }
    for (id, (_, _, reason)) in (1_u16..).zip(messages) {
        let Packet::PubAck(ack) = caller.next().await else { panic!("no PUBACK") };
        assert_eq!((ack.packet_id, ack.reason), (id, reason));
    }
    assert!(here.hooks.commands.lock().unwrap().is_empty(), "a command does not cross");
    let topics: Vec<_> = here.hooks.mapped.lock().unwrap().iter().map(|m| m.topic.as_str().to_owned()).collect();
    assert_eq!(topics, ["good", "good"]);
    let ears = over.ears.clone();
    over.bridge.stop().await;
    assert_eq!(ears.count(Loss::NotTaken), 4);
}

#[tokio::test]
async fn what_is_larger_than_any_packet_we_take_or_has_too_many_properties_is_answered_and_no_end_of_the_link() {
    for version in [Version::V5, Version::V311] {
        let (_folder, here) = Site::usual().await;
        let remote = Remote::new().await;
        let settings = BridgeOptions { version, ..options(1, vec![], vec![rule("#", "", "")]) };
        let over = start(&here, settings, remote.address).await;
        let (mut caller, _) = remote.admit(ConnAck::default(), 1).await;
        let word = |text: &str| Text::parse(text).unwrap();
        let user = if version.is_v5() { vec![(word("n"), word("v")); 67] } else { vec![] };
        let properties = PublishProperties { user, ..PublishProperties::default() };
        let large = "x".repeat(2 << 20);
        caller.send(Packet::Publish(publish("a", "1", QoS::AtLeastOnce, 1))).await;
        caller.send(Packet::Publish(publish("large", &large, QoS::AtLeastOnce, 2))).await;
        caller.send(Packet::Publish(publish("large", &large, QoS::AtMostOnce, 0))).await;
        caller.send(Packet::Publish(Publish { properties, ..publish("many", "3", QoS::AtLeastOnce, 3) })).await;
        caller.send(Packet::Publish(publish("a", "4", QoS::AtLeastOnce, 4))).await;
        let no = |v5: bool| if v5 { ReasonCode::IMPLEMENTATION_SPECIFIC } else { ReasonCode::SUCCESS };
        let expected = [ReasonCode::SUCCESS, no(version.is_v5()), no(version.is_v5()), ReasonCode::SUCCESS];
        for (id, reason) in (1_u16..).zip(expected) {
            let Packet::PubAck(ack) = caller.next().await else { panic!("no PUBACK") };
            assert_eq!((ack.packet_id, ack.reason), (id, reason));
        }
        let ears = over.ears.clone();
        over.bridge.stop().await;
        assert_eq!(ears.count(Loss::NotTaken), if version.is_v5() { 3 } else { 2 });
    }
}

#[tokio::test]
async fn what_its_rule_spares_the_log_is_acknowledged_in_turn_and_overtakes_nothing() {
    let (_folder, here, over, mut caller, _remote) = receiving(vec![rule("#", "", "")]).await;
    let retained = |id: u16| Publish { retain: true, ..publish("volatile/a", &id.to_string(), QoS::AtLeastOnce, id) };
    for id in 1..=20 {
        let passing = publish("volatile/a", &id.to_string(), QoS::AtLeastOnce, id);
        caller.send(Packet::Publish(if id % 3 == 0 { retained(id) } else { passing })).await;
    }
    for id in 1..=20 {
        assert!(
            matches!(caller.next().await, Packet::PubAck(ack) if (ack.packet_id, ack.reason) == (id, ReasonCode::SUCCESS))
        );
    }
    let mapped: Vec<_> = here.hooks.mapped.lock().unwrap().iter().map(|m| m.payload.clone()).collect();
    assert_eq!(mapped, (1..=20).map(|id| id.to_string()).collect::<Vec<_>>());
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_was_here_before_is_not_taken_again() {
    let (_folder, here, over, mut caller, _remote) = receiving(vec![rule("#", "", "")]).await;
    let path = format!("{},{}", Uuid::from_u128(5), Uuid::from_u128(1));
    let user = vec![(Text::parse(PATH).unwrap(), Text::parse(&path).unwrap())];
    let properties = PublishProperties { user, ..PublishProperties::default() };
    caller.send(Packet::Publish(Publish { properties, ..publish("a", "back", QoS::AtLeastOnce, 1) })).await;
    assert!(matches!(caller.next().await, Packet::PubAck(ack) if ack.reason.is_success()));
    assert_eq!((over.bridge.report().looped, here.broker.stats().received), (1, 0));
    over.bridge.stop().await;
}

#[tokio::test]
async fn qos_2_and_aliases_that_were_not_asked_for_end_the_link() {
    let alias = PublishProperties { topic_alias: Some(1), ..PublishProperties::default() };
    for bad in [
        publish("a", "x", QoS::ExactlyOnce, 1),
        Publish { topic: None, properties: alias, ..publish("a", "x", QoS::AtMostOnce, 0) },
    ] {
        let (_folder, here, over, mut caller, remote) = receiving(vec![rule("#", "", "")]).await;
        caller.send(Packet::Publish(bad)).await;
        remote.accept().await.connect().await;
        assert!(over.bridge.report().last_trouble.is_some());
        assert_eq!(here.broker.stats().received, 0);
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn what_the_other_side_kept_while_there_was_no_link_comes_once_it_is_back() {
    let (_here, here) = Site::usual().await;
    let (_there, there) = Site::usual().await;
    let settings = || BridgeOptions { in_flight: 5, ..options(1, vec![], vec![rule("orders/#", "", "head/")]) };
    let over = start(&here, settings(), there.address).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    over.bridge.stop().await;
    let mut listener = here.client(lasting("listener")).await;
    subscribe(&mut listener, "#").await;
    let mut office = there.client(hello("office")).await;
    publish_all(&mut office, "orders/1", 0..500).await;
    let over = start(&here, settings(), there.address).await;
    let got = collect(&mut listener, 500).await;
    assert_whole(&got["head/orders/1"], 0..500);
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_large_message_over_a_slow_line_is_a_sign_of_life_as_long_as_it_comes() {
    let (_folder, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings = BridgeOptions {
        answer_within: Duration::from_secs(4),
        keep_alive_s: 2,
        ..options(1, vec![], vec![rule("#", "", "")])
    };
    let over = start(&here, settings, remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 1).await;
    let large = publish("large", &"x".repeat(24_000), QoS::AtLeastOnce, 7);
    // The line is what is slow here: a thousand bytes at a time, for longer than an answer may take.
    let mut pace = tokio::time::interval(Duration::from_millis(300));
    for piece in bytes_of(&Packet::Publish(large), Version::V5).chunks(1000) {
        pace.tick().await;
        caller.send_bytes(piece).await;
    }
    // Behind it come the answers.
    loop {
        match caller.next().await {
            Packet::PingReq => caller.send(Packet::PingResp).await,
            Packet::PubAck(ack) => break assert_eq!(ack.packet_id, 7),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((over.bridge.report().failures, over.bridge.report().received), (0, 1));
    over.bridge.stop().await;
}
