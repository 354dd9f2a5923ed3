use super::*;

#[tokio::test]
async fn all_that_was_acknowledged_crosses_in_order_over_links_that_are_lost() {
    let (_here, here) = Site::usual().await;
    let (_there, there) = Site::usual().await;
    let mut listener = there.client(lasting("listener")).await;
    subscribe(&mut listener, "p7/#").await;
    let over = start(&here, options(1, vec![rule("plant/#", "", "p7/")], vec![]), there.address).await;
    let mut device = here.client(hello("device")).await;
    for part in 0..5 {
        publish_all(&mut device, "plant/a", part * 100..part * 100 + 100).await;
        publish_all(&mut device, "plant/b", part * 100..part * 100 + 100).await;
        if part % 2 == 0 {
            // The other side throws the bridge out, once it is there.
            let is_there =
                || there.broker.clients().iter().any(|it| it.client_id == "bridge-of-a-test" && it.connected);
            until(|| part == 0 || is_there()).await;
            there.client(hello("bridge-of-a-test")).await;
        }
    }
    let got = collect(&mut listener, 1000).await;
    assert_whole(&got["p7/plant/a"], 0..500);
    assert_whole(&got["p7/plant/b"], 0..500);
    until(|| over.bridge.report().waiting == Amount::default()).await;
    assert_eq!(over.bridge.report().lost, Amount::default());
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_came_while_there_was_no_link_and_over_a_kill_follows() {
    let (folder, here) = Site::usual().await;
    let (_there, there) = Site::usual().await;
    let mut listener = there.client(lasting("listener")).await;
    subscribe(&mut listener, "#").await;
    let rules = || options(1, vec![rule("plant/#", "plant/", "p7/")], vec![]);
    let over = start(&here, rules(), nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "plant/a", 0..300).await;
    until(|| over.bridge.report().waiting.messages == 300).await;
    assert!(over.bridge.report().oldest.is_some());
    assert_eq!(over.bridge.report().state, LinkState::Failed);
    // As a kill: the bridge saves nothing more, and the broker neither.
    drop(device);
    let log = here.broker.clone();
    std::mem::forget(over.bridge);
    here.abandon();
    drop(log);
    let copy = tempfile::tempdir().unwrap();
    copy_dir(folder.path(), copy.path());
    let again = Site::on(open_log(copy.path()), BrokerOptions::default()).await;
    let over = start(&again, rules(), there.address).await;
    let mut device = again.client(hello("device")).await;
    publish_all(&mut device, "plant/a", 300..350).await;
    let got = collect(&mut listener, 350).await;
    assert_whole(&got["p7/a"], 0..350);
    until(|| over.bridge.report().waiting == Amount::default()).await;
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_its_rule_spares_the_log_is_sent_as_it_passes_by_and_counted_without_a_link() {
    let (_here, here) = Site::usual().await;
    let (_there, there) = Site::usual().await;
    let mut listener = there.client(lasting("listener")).await;
    subscribe(&mut listener, "#").await;
    let rules = || options(1, vec![rule("volatile/#", "volatile/", "p7/")], vec![]);
    let over = start(&here, rules(), there.address).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "volatile/a", 0..50).await;
    let got = collect(&mut listener, 50).await;
    assert_whole(&got["p7/a"], 0..50);
    over.bridge.stop().await;
    let over = start(&here, rules(), nowhere().await).await;
    until(|| over.bridge.report().state == LinkState::Failed).await;
    publish_all(&mut device, "volatile/a", 50..60).await;
    until(|| over.bridge.report().not_sent == 10).await;
    assert_eq!(over.bridge.report().waiting, Amount::default());
    over.bridge.stop().await;
}

fn copy_dir(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test]
async fn what_was_not_acknowledged_is_sent_again_as_the_protocol_says() {
    for (receive, resumes) in [(vec![], false), (vec![rule("to/#", "", "")], true)] {
        let (_here, here) = Site::usual().await;
        let remote = Remote::new().await;
        let subscriptions = receive.len();
        let over = start(&here, options(1, vec![rule("a/#", "", "")], receive), remote.address).await;
        let (mut caller, connect) = remote.admit(ConnAck::default(), subscriptions).await;
        assert_eq!(connect.clean_start, !resumes);
        assert_eq!(connect.properties.session_expiry_s, resumes.then_some(3600));
        let mut device = here.client(hello("device")).await;
        publish_all(&mut device, "a/b", 0..3).await;
        let first = caller.publish().await;
        caller.acknowledge(&first).await;
        let (second, third) = (caller.publish().await, caller.publish().await);
        // An answer that comes out of turn counts for nothing before the first one.
        caller.acknowledge(&third).await;
        until(|| over.bridge.report().sent == 2).await;
        drop(caller);
        let answer = ConnAck { session_present: resumes, ..ConnAck::default() };
        let (mut caller, _) = remote.admit(answer, subscriptions).await;
        let again = caller.publish().await;
        assert_eq!((text(&again), again.dup), ("1".to_owned(), resumes));
        if resumes {
            assert_eq!(again.packet_id, second.packet_id);
        }
        caller.acknowledge(&again).await;
        let last = caller.publish().await;
        assert_eq!((text(&last), last.dup), ("2".to_owned(), false));
        caller.acknowledge(&last).await;
        until(|| over.bridge.report().waiting == Amount::default()).await;
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn retained_messages_cross_as_such_also_those_from_before() {
    let (_here, here) = Site::usual().await;
    let (_there, there) = Site::usual().await;
    let mut device = here.client(hello("device")).await;
    let keep = |topic: &str, payload: &str, id: u16| {
        Packet::Publish(Publish { retain: true, ..publish(topic, payload, QoS::AtLeastOnce, id) })
    };
    for (id, topic) in [(1, "a/old"), (2, "b/other")] {
        device.send(keep(topic, "1", id)).await;
        device.expect_ack(Packet::PubAck, id).await;
    }
    let over = start(&here, options(1, vec![rule("a/#", "", "x/")], vec![]), there.address).await;
    device.send(keep("a/new", "2", 3)).await;
    device.expect_ack(Packet::PubAck, 3).await;
    // One that is retained is kept for the other side whatever its QoS.
    let zero = Publish { retain: true, packet_id: 0, ..publish("a/zero", "3", QoS::AtMostOnce, 0) };
    device.send(Packet::Publish(zero)).await;
    let all = TopicFilter::parse("#").unwrap();
    until(|| there.broker.retained(&all).len() == 3).await;
    let topics: Vec<_> = there.broker.retained(&all).iter().map(|m| m.topic.as_str().to_owned()).collect();
    assert_eq!(topics, ["x/a/new", "x/a/old", "x/a/zero"]);
    // An empty one takes it away.
    device
        .send(Packet::Publish(Publish {
            payload: bytes::Bytes::new(),
            retain: true,
            ..publish("a/old", "", QoS::AtLeastOnce, 4)
        }))
        .await;
    device.expect_ack(Packet::PubAck, 4).await;
    until(|| there.broker.retained(&all).len() == 2).await;
    // With the same filters they are not sent again, with a further one its own are.
    until(|| over.bridge.report().waiting == Amount::default()).await;
    over.bridge.stop().await;
    let remote = Remote::new().await;
    let over =
        start(&here, options(1, vec![rule("a/#", "", "x/"), rule("b/#", "", "y/")], vec![]), remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let got = caller.publish().await;
    assert_eq!((got.topic.as_ref().unwrap().as_str(), got.retain), ("y/b/other", true));
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_message_keeps_its_properties_and_says_where_and_when_it_was() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a/#", "", "")], vec![]), remote.address).await;
    let (mut caller, connect) = remote.admit(ConnAck::default(), 0).await;
    assert_eq!(connect.properties.user[0].0.as_str(), NODE);
    let mut device = here.client(hello("device")).await;
    let word = |text: &str| Text::parse(text).unwrap();
    let properties = PublishProperties {
        payload_format: Some(true),
        content_type: Some(word("text/plain")),
        response_topic: Some(TopicName::parse("answers").unwrap()),
        correlation_data: Some(bytes::Bytes::from_static(b"7")),
        message_expiry_s: Some(100),
        user: vec![(word("shift"), word("early"))],
        ..PublishProperties::default()
    };
    let sent = Publish { properties: properties.clone(), ..publish("a/b", "x", QoS::AtLeastOnce, 1) };
    device.send(Packet::Publish(sent)).await;
    let got = caller.publish().await;
    let user = got.properties.user.clone();
    let kept = PublishProperties { user: vec![], message_expiry_s: Some(100), ..got.properties };
    assert_eq!(kept, PublishProperties { user: vec![], ..properties });
    let of = |name: &str| user.iter().find(|(n, _)| n.as_str() == name).map(|(_, v)| v.as_str().to_owned());
    assert_eq!(of("shift").as_deref(), Some("early"));
    assert_eq!(of(PATH), Some(Uuid::from_u128(1).to_string()));
    let time = andon_model::Timestamp::parse_rfc3339(&of(TIME).unwrap()).unwrap();
    assert!(here.broker.stats().received == 1 && time.micros() > 0);
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_message_with_as_many_user_properties_as_a_client_may_give_crosses_to_another_node() {
    let (_here, here) = Site::with(named(1)).await;
    let (_there, there) = Site::with(named(2)).await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), there.address).await;
    let mut device = here.client(hello("device")).await;
    let word = |text: &str| Text::parse(text).unwrap();
    let user: Vec<_> = (0..64).map(|n| (word("n"), word(&n.to_string()))).collect();
    let properties = PublishProperties { user: user.clone(), ..PublishProperties::default() };
    device.send(Packet::Publish(Publish { properties, ..publish("a", "full", QoS::AtLeastOnce, 1) })).await;
    device.expect_ack(Packet::PubAck, 1).await;
    device.send(Packet::Publish(publish("a", "next", QoS::AtLeastOnce, 2))).await;
    until(|| there.hooks.mapped.lock().unwrap().len() == 2).await;
    let came: Vec<_> = there.hooks.mapped.lock().unwrap().iter().map(|m| m.user_properties.clone()).collect();
    assert_eq!((came[0].len(), &came[0][..64]), (66, &user[..]));
    over.bridge.stop().await;
    // Those are for bridges alone.
    let mut device = there.client(hello("device")).await;
    let properties = PublishProperties { user: vec![(word("n"), word("v")); 65], ..PublishProperties::default() };
    device.send(Packet::Publish(Publish { properties, ..publish("a", "over", QoS::AtLeastOnce, 1) })).await;
    assert_eq!(device.farewell().await, ReasonCode::QUOTA_EXCEEDED);
}

#[tokio::test]
async fn qos_0_is_sent_while_there_is_a_link_and_counted_otherwise() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let mut settings = options(1, vec![rule("a/#", "", ""), rule("z/#", "", "")], vec![]);
    let mut rules = settings.send.to_vec();
    rules[1].qos = QoS::AtMostOnce;
    settings.send = rules.into();
    let over = start(&here, settings, nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    device.send(Packet::Publish(publish("a/live", "lost", QoS::AtMostOnce, 0))).await;
    device.send(Packet::Publish(publish("z/rule", "lost", QoS::AtLeastOnce, 1))).await;
    device.expect_ack(Packet::PubAck, 1).await;
    until(|| over.bridge.report().not_sent == 2).await;
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    device.send(Packet::Publish(publish("a/live", "1", QoS::AtMostOnce, 0))).await;
    device.send(Packet::Publish(publish("z/rule", "2", QoS::AtLeastOnce, 2))).await;
    device.expect_ack(Packet::PubAck, 2).await;
    for expected in ["1", "2"] {
        let got = caller.publish().await;
        assert_eq!((text(&got), got.qos), (expected.to_owned(), QoS::AtMostOnce));
    }
    assert_eq!(over.bridge.report().waiting, Amount::default());
    over.bridge.stop().await;
}

#[tokio::test]
async fn two_nodes_bridged_both_ways_from_both_ends_do_not_send_in_a_ring() {
    let (_a, a) = Site::with(named(1)).await;
    let (_b, b) = Site::with(named(2)).await;
    let both = || (vec![rule("#", "", "")], vec![rule("#", "", "")]);
    let over = |node| {
        let (send, receive) = both();
        options(node, send, receive)
    };
    let of_a = start(&a, over(1), b.address).await;
    let of_b = start(&b, over(2), a.address).await;
    let ready = |over: &Over| over.bridge.report().state == LinkState::Connected;
    until(|| ready(&of_a) && ready(&of_b)).await;
    let mut listeners = Vec::new();
    for site in [&a, &b] {
        let mut listener = site.client(hello("listener")).await;
        subscribe(&mut listener, "m/#").await;
        listeners.push(listener);
    }
    let mut at_a = a.client(hello("device")).await;
    publish_all(&mut at_a, "m/a", 0..20).await;
    let mut at_b = b.client(hello("device")).await;
    publish_all(&mut at_b, "m/b", 0..20).await;
    let received = || a.broker.stats().received + b.broker.stats().received;
    let done = |over: &Over| over.bridge.report().waiting == Amount::default();
    until(|| received() >= 80 && done(&of_a) && done(&of_b)).await;
    for listener in &mut listeners {
        let got = collect(listener, 40).await;
        assert_whole(&got["m/a"], 0..20);
        assert_whole(&got["m/b"], 0..20);
    }
    // One message of each node was sent from both ends at the most: two bridges are two ways.
    for over in [of_a, of_b] {
        over.bridge.stop().await;
    }
    assert!(received() <= 120, "{}", received());
}

#[tokio::test]
async fn what_came_over_a_bridge_does_not_go_back_and_may_go_on_over_another() {
    let (_here, here) = Site::usual().await;
    let (one, two) = (Remote::new().await, Remote::new().await);
    let first = start(&here, options(1, vec![rule("#", "", "")], vec![rule("#", "", "")]), one.address).await;
    let mut other = options(1, vec![rule("#", "", "")], vec![]);
    other.name = "other".to_owned();
    let second = start(&here, other, two.address).await;
    let (mut caller, _) = one.admit(ConnAck::default(), 1).await;
    let (mut further, _) = two.admit(ConnAck::default(), 0).await;
    caller.send(Packet::Publish(publish("a/b", "theirs", QoS::AtLeastOnce, 5))).await;
    assert_eq!(text(&further.publish().await), "theirs");
    assert!(matches!(caller.next().await, Packet::PubAck(ack) if ack.packet_id == 5));
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "a/b", 1..2).await;
    assert_eq!(text(&caller.publish().await), "1", "and not its own message");
    first.bridge.stop().await;
    second.bridge.stop().await;
}

#[tokio::test]
async fn a_will_with_qos_0_of_a_lasting_session_is_in_the_log_and_so_kept_for_the_other_side() {
    let (_here, here) = Site::usual().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), nowhere().await).await;
    let will = Will { qos: QoS::AtMostOnce, ..will("a", None) };
    drop(here.client(Connect { will: Some(will), ..lasting("press") }).await);
    until(|| over.bridge.report().waiting.messages == 1).await;
    let remote = Remote::new().await;
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let gone = caller.publish().await;
    assert_eq!((text(&gone), gone.qos), ("gone".to_owned(), QoS::AtLeastOnce));
    caller.acknowledge(&gone).await;
    until(|| over.bridge.report().waiting == Amount::default()).await;
    assert_eq!(over.bridge.report().not_sent, 0);
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_has_more_user_properties_than_another_node_takes_is_not_sent_there_with_any_qos() {
    let (_here, here) = Site::usual().await;
    let (from, to) = (Remote::new().await, Remote::new().await);
    let first = start(&here, options(1, vec![], vec![rule("#", "", "")]), from.address).await;
    let other = BridgeOptions { name: "other".to_owned(), ..options(1, vec![rule("#", "", "")], vec![]) };
    let second = start(&here, other, to.address).await;
    let word = |text: &str| Text::parse(text).unwrap();
    let (mut caller, _) = from.admit(ConnAck::default(), 1).await;
    let node = vec![(word(NODE), word(&Uuid::from_u128(2).to_string()))];
    let properties = ConnAckProperties { user: node, ..ConnAckProperties::default() };
    let (mut further, _) = to.admit(ConnAck { properties, ..ConnAck::default() }, 0).await;
    until(|| second.bridge.report().state == LinkState::Connected).await;
    // As many as are taken from a bridge: with where and when it was they are more.
    let properties = PublishProperties { user: vec![(word("n"), word("v")); 66], ..PublishProperties::default() };
    for (qos, id) in [(QoS::AtMostOnce, 0), (QoS::AtLeastOnce, 1)] {
        let full = Publish { properties: properties.clone(), ..publish("a", "full", qos, id) };
        caller.send(Packet::Publish(full)).await;
    }
    caller.send(Packet::Publish(publish("a", "next", QoS::AtLeastOnce, 2))).await;
    assert_eq!(text(&further.publish().await), "next");
    until(|| second.bridge.report().lost.messages == 1 && second.bridge.report().not_sent == 1).await;
    let ears = second.ears.clone();
    first.bridge.stop().await;
    second.bridge.stop().await;
    assert_eq!(ears.count(Loss::TooManyProperties), 1);
}
