use super::*;

#[tokio::test]
async fn an_other_side_that_takes_the_connection_and_says_nothing_is_no_link() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings =
        BridgeOptions { answer_within: Duration::from_millis(200), ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, remote.address).await;
    let mut caller = remote.accept().await;
    caller.connect().await;
    until(|| over.bridge.report().state == LinkState::Failed).await;
    let (_, trouble) = over.bridge.report().last_trouble.unwrap();
    assert!(trouble.text.contains("took the connection and did not answer"), "{}", trouble.text);
    // It comes again by itself.
    remote.accept().await.connect().await;
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_link_that_stalls_is_given_up_and_begun_anew() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings =
        BridgeOptions { answer_within: Duration::from_millis(300), ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, remote.address).await;
    let (_caller, _) = remote.admit(ConnAck::default(), 0).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    let mut device = here.client(hello("device")).await;
    publish_all(&mut device, "a", 0..1).await;
    // No PUBACK comes.
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    assert!(over.bridge.report().last_trouble.unwrap().1.text.contains("has not answered"));
    assert_eq!(over.bridge.report().waiting.messages, 1);
    let again = caller.publish().await;
    caller.acknowledge(&again).await;
    until(|| over.bridge.report().waiting.messages == 0).await;
    assert!(over.ears.any(|notice| matches!(notice, Notice::Lost(_))));
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_silent_link_is_asked_and_given_up_without_an_answer() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings = BridgeOptions {
        answer_within: Duration::from_millis(300),
        keep_alive_s: 2,
        ..options(1, vec![rule("a", "", "")], vec![])
    };
    let over = start(&here, settings, remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    assert_eq!(caller.next().await, Packet::PingReq);
    caller.send(Packet::PingResp).await;
    assert_eq!(caller.next().await, Packet::PingReq);
    remote.accept().await.connect().await;
    assert!(over.bridge.report().last_trouble.unwrap().1.text.contains("has not answered"));
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_server_without_a_keep_alive_is_asked_too_also_while_something_is_sent_that_it_does_not_answer() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings = BridgeOptions { keep_alive_s: 2, ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, remote.address).await;
    let properties = ConnAckProperties { server_keep_alive_s: Some(0), ..ConnAckProperties::default() };
    let (mut caller, _) = remote.admit(ConnAck { properties, ..ConnAck::default() }, 0).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    let mut device = here.client(hello("device")).await;
    // QoS 0 has no answer: it is no sign of life.
    loop {
        device.send(Packet::Publish(publish("a", "x", QoS::AtMostOnce, 0))).await;
        match caller.next().await {
            Packet::Publish(_) => {}
            Packet::PingReq => break,
            other => panic!("{other:?}"),
        }
    }
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_refusal_is_said_with_what_to_do() {
    for (reason, remedy) in [
        (ReasonCode::BAD_USER_NAME_OR_PASSWORD, "andon secret set"),
        (ReasonCode::NOT_AUTHORIZED, "allow this user"),
        (ReasonCode::UNSUPPORTED_PROTOCOL_VERSION, "`version`"),
    ] {
        let (_here, here) = Site::usual().await;
        let remote = Remote::new().await;
        let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
        remote.admit(ConnAck { reason, ..ConnAck::default() }, 0).await;
        let trouble = over.trouble().await;
        assert!(trouble.text.contains(reason.text()) && trouble.remedy.contains(remedy), "{trouble:?}");
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn a_subscription_that_is_refused_is_no_link() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![], vec![rule("orders/#", "", "")]), remote.address).await;
    let mut caller = remote.accept().await;
    caller.connect().await;
    caller.send(Packet::ConnAck(Box::default())).await;
    let Packet::Subscribe(asked) = caller.next().await else { panic!("no SUBSCRIBE") };
    assert!(asked.filters[0].no_local && asked.filters[0].retain_as_published);
    let reasons = vec![ReasonCode::NOT_AUTHORIZED];
    caller.send(Packet::SubAck(SubAck { packet_id: asked.packet_id, properties: Default::default(), reasons })).await;
    until(|| over.bridge.report().state == LinkState::Failed).await;
    assert!(over.bridge.report().last_trouble.unwrap().1.text.contains("orders/#"));
    assert!(!over.ears.any(|notice| matches!(notice, Notice::Connected { .. })));
    over.bridge.stop().await;
}

#[tokio::test]
async fn an_answer_that_grants_less_than_was_asked_for_or_is_for_something_else_is_no_link() {
    let sub_ack = |reasons: &[ReasonCode]| {
        Packet::SubAck(SubAck { packet_id: 1, properties: Default::default(), reasons: reasons.to_vec() })
    };
    let granted = ReasonCode::GRANTED_QOS_1;
    let unsub_ack = UnsubAck { packet_id: 1, properties: Default::default(), reasons: vec![ReasonCode::SUCCESS; 2] };
    for (answer, said) in [
        (sub_ack(&[granted]), "another number of filters"),
        (sub_ack(&[granted, granted, granted]), "another number of filters"),
        (sub_ack(&[granted, ReasonCode(0)]), "\"b/#\" with QoS 0 only"),
        (Packet::UnsubAck(unsub_ack), "with UNSUBACK"),
    ] {
        let (_here, here) = Site::usual().await;
        let remote = Remote::new().await;
        let rules = vec![rule("a/#", "", ""), rule("b/#", "", "")];
        let over = start(&here, options(1, vec![], rules), remote.address).await;
        let mut caller = remote.accept().await;
        caller.connect().await;
        caller.send(Packet::ConnAck(Box::default())).await;
        assert!(matches!(caller.next().await, Packet::Subscribe(asked) if asked.packet_id == 1));
        caller.send(answer).await;
        until(|| over.bridge.report().state == LinkState::Failed).await;
        let (_, trouble) = over.bridge.report().last_trouble.unwrap();
        assert!(trouble.text.contains(said), "{said}: {trouble:?}");
        assert!(!over.ears.any(|notice| matches!(notice, Notice::Connected { .. })));
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn what_is_no_packet_ends_the_link_with_a_reason() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    caller.send_bytes(&[0x30, 0x03, 0x00, 0x01, b'#']).await;
    assert!(matches!(caller.next().await, Packet::Disconnect(bye) if !bye.reason.is_success()));
    assert!(over.trouble().await.text.contains("no acceptable packet"));
    over.bridge.stop().await;
}

#[tokio::test]
async fn subscriptions_that_are_no_longer_wanted_are_ended_at_the_other_side() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over =
        start(&here, options(1, vec![], vec![rule("old/#", "", ""), rule("both/#", "", "")]), remote.address).await;
    let (caller, _) = remote.admit(ConnAck::default(), 1).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    over.bridge.stop().await;
    drop(caller);
    let over = start(&here, options(1, vec![], vec![rule("both/#", "", "")]), remote.address).await;
    let mut caller = remote.accept().await;
    caller.connect().await;
    caller.send(Packet::ConnAck(Box::new(ConnAck { session_present: true, ..ConnAck::default() }))).await;
    let Packet::Unsubscribe(ended) = caller.next().await else { panic!("no UNSUBSCRIBE") };
    assert_eq!(ended.filters[0].as_str(), "old/#");
    over.bridge.stop().await;
}

#[tokio::test]
async fn with_3_1_1_what_the_other_side_still_has_is_not_asked_for_again() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings = |receive: &str, client_id: &str, endpoint: &str| BridgeOptions {
        version: Version::V311,
        client_id: Text::parse(client_id).unwrap(),
        endpoint: endpoint.to_owned(),
        ..options(1, vec![rule("a", "", "")], vec![rule(receive, "", "")])
    };
    let mut device = here.client(hello("device")).await;
    for (receive, client_id, endpoint, session_present, asks, answers) in [
        ("x/#", "one", "here", false, true, true),
        ("x/#", "one", "here", true, false, true),
        ("x/+", "one", "here", true, true, true),
        ("x/+", "one", "here", false, true, true),
        ("x/+", "one", "here", true, false, true),
        // The other side has lost the session, and does not answer before the end.
        ("x/+", "one", "here", false, true, false),
        ("x/+", "one", "here", true, true, true),
        // The session of another client.
        ("x/+", "two", "here", true, true, true),
        ("x/+", "two", "here", true, false, true),
        // And of another side.
        ("x/+", "two", "there", true, true, true),
        ("x/+", "two", "there", true, false, true),
    ] {
        let over = start(&here, settings(receive, client_id, endpoint), remote.address).await;
        let mut caller = remote.accept().await;
        caller.connect().await;
        caller.send(Packet::ConnAck(Box::new(ConnAck { session_present, ..ConnAck::default() }))).await;
        if !answers {
            assert!(matches!(caller.next().await, Packet::Subscribe(_)));
            over.bridge.stop().await;
            continue;
        }
        let mut asked = false;
        while asks && !asked {
            match caller.next().await {
                Packet::Subscribe(wish) => {
                    asked = true;
                    let reasons = vec![ReasonCode::GRANTED_QOS_1];
                    let ack = SubAck { packet_id: wish.packet_id, properties: Default::default(), reasons };
                    caller.send(Packet::SubAck(ack)).await;
                }
                Packet::Unsubscribe(end) => {
                    let ack = UnsubAck { packet_id: end.packet_id, properties: Default::default(), reasons: vec![] };
                    caller.send(Packet::UnsubAck(ack)).await;
                }
                other => panic!("{other:?}"),
            }
        }
        until(|| over.bridge.report().state == LinkState::Connected).await;
        // Nothing else was asked: a message comes next.
        publish_all(&mut device, "a", 0..1).await;
        let message = caller.publish().await;
        caller.acknowledge(&message).await;
        until(|| over.bridge.report().sent == 1).await;
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn stopping_says_goodbye() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    over.bridge.stop().await;
    assert!(matches!(caller.next().await, Packet::Disconnect(bye) if bye.reason == ReasonCode::SUCCESS));
    assert_eq!(caller.try_next().await, None);
}

#[tokio::test]
async fn one_that_nobody_holds_any_more_ends_and_a_fault_is_told_as_one() {
    /// A line that is at fault.
    struct Bad;
    #[async_trait]
    impl Dial for Bad {
        async fn dial(&self) -> Result<Box<dyn Stream>, Trouble> {
            Err(Trouble::new("nobody there", "wait"))
        }
    }
    /// Ears that are.
    struct Deaf;
    impl Ears for Deaf {
        fn hear(&self, _: Notice) {
            panic!("as wanted");
        }
        fn lost(&self, _: Lost) -> BoxFuture<'static, bool> {
            panic!("nothing is lost here");
        }
    }
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    drop(over);
    assert!(matches!(caller.next().await, Packet::Disconnect(bye) if bye.reason == ReasonCode::SUCCESS));
    let settings = options(1, vec![rule("a", "", "")], vec![]);
    let broken = Bridge::start(here.broker.clone(), settings, Some(Arc::new(Bad)), Arc::new(Deaf)).await.unwrap();
    until(|| broken.report().last_trouble.is_some_and(|(_, trouble)| trouble.text.contains("a fault of Andon"))).await;
    assert_eq!(broken.report().state, LinkState::Failed);
    // It is over already.
    broken.stop().await;
}
