use super::*;
use andon_log::{DurableLog, KeepPolicy, LaneRetention, LogOptions, OsDisk};
use andon_model::SystemClock;
use andon_model::log::{Lane, Log};

/// Each message counts for its topic and its payload: 1 + 100 bytes.
async fn publish_large(client: &mut Client, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let id = u16::try_from(number).unwrap() + 1;
        client.send(Packet::Publish(publish("a", &format!("{number:0100}"), QoS::AtLeastOnce, id))).await;
        client.expect_ack(Packet::PubAck, id).await;
    }
}

/// A bridge with its link, and a device.
struct Begun {
    folder: tempfile::TempDir,
    here: Site,
    over: Over,
    remote: Remote,
    caller: Caller,
    device: Client,
}

async fn begin(settings: BridgeOptions) -> Begun {
    let (folder, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, settings, remote.address).await;
    let (caller, _) = remote.admit(ConnAck::default(), 0).await;
    let device = here.client(hello("device")).await;
    Begun { folder, here, over, remote, caller, device }
}

async fn numbers(caller: &mut Caller, count: usize) -> Vec<u32> {
    let mut got = Vec::new();
    for _ in 0..count {
        let message = caller.publish().await;
        got.push(text(&message).parse().unwrap());
        caller.acknowledge(&message).await;
    }
    got
}

#[tokio::test]
async fn beyond_its_bound_the_oldest_or_the_newest_goes_and_is_told() {
    for (when_full, expected) in [
        (WhenFull::DropOldest, (150..200).collect::<Vec<u32>>()),
        (WhenFull::DropNewest, (0..50).collect::<Vec<u32>>()),
    ] {
        let (_here, here) = Site::usual().await;
        let remote = Remote::new().await;
        let settings = BridgeOptions { keep_bytes: 50 * 101, when_full, ..options(1, vec![rule("a", "", "")], vec![]) };
        let over = start(&here, settings, nowhere().await).await;
        let mut device = here.client(hello("device")).await;
        publish_large(&mut device, 0..200).await;
        until(|| over.bridge.report().lost.messages == 150).await;
        assert_eq!(over.bridge.report().waiting, Amount { messages: 50, bytes: 50 * 101 });
        *over.phone.0.lock().unwrap() = remote.address;
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        assert_eq!(numbers(&mut caller, 50).await, expected, "{when_full:?}");
        until(|| over.bridge.report().waiting == Amount::default()).await;
        // From now on everything is taken again.
        publish_large(&mut device, 200..210).await;
        assert_eq!(numbers(&mut caller, 10).await, (200..210).collect::<Vec<u32>>());
        let ears = over.ears.clone();
        over.bridge.stop().await;
        assert_eq!(ears.count(Loss::Full), 150);
        let spans = ears.losses.lock().unwrap().iter().any(|lost| lost.from < lost.to);
        assert!(spans, "from when to when is told");
    }
}

#[tokio::test]
async fn what_was_told_to_be_lost_behind_one_that_is_not_answered_is_not_sent_after_all() {
    // However slow the machine is, the link is not given up meanwhile.
    let settings = BridgeOptions {
        keep_bytes: 50 * 101,
        in_flight: 5,
        answer_within: PATIENCE * 2,
        ..options(1, vec![rule("a", "", "")], vec![])
    };
    let Begun { folder: _folder, here: _here, over, remote, mut caller, mut device } = begin(settings).await;
    publish_large(&mut device, 0..5).await;
    for _ in 0..5 {
        caller.publish().await;
    }
    // Five are under way and not answered; of what comes behind them the oldest goes.
    publish_large(&mut device, 5..205).await;
    until(|| over.bridge.report().lost.messages == 155).await;
    let fifty = Amount { messages: 50, bytes: 50 * 101 };
    assert_eq!(over.bridge.report().waiting, fifty);
    drop(caller);
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    assert_eq!(over.bridge.report().waiting, fifty, "nothing is taken out twice");
    let expected: Vec<u32> = (0..5).chain(160..205).collect();
    assert_eq!(numbers(&mut caller, 50).await, expected);
    until(|| over.bridge.report().waiting == Amount::default()).await;
    assert_eq!(over.bridge.report().lost.messages, 155);
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_message_that_was_refused_behind_one_that_is_not_answered_is_lost_once_also_over_a_restart() {
    let settings = || BridgeOptions { skip_refused: true, ..options(1, vec![rule("a", "", "")], vec![]) };
    let Begun { folder: _folder, here, over, remote, mut caller, mut device } = begin(settings()).await;
    publish_large(&mut device, 0..4).await;
    let sent = [caller.publish().await, caller.publish().await, caller.publish().await, caller.publish().await];
    caller.answer(&sent[1], ReasonCode::NOT_AUTHORIZED).await;
    caller.answer(&sent[2], ReasonCode::NOT_AUTHORIZED).await;
    until(|| over.bridge.report().lost.messages == 2).await;
    over.bridge.stop().await;
    drop(caller);
    let over = start(&here, settings(), remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    until(|| over.bridge.report().waiting.messages == 2).await;
    assert_eq!(numbers(&mut caller, 2).await, [0, 3]);
    until(|| over.bridge.report().waiting == Amount::default()).await;
    assert_eq!(over.bridge.report().lost.messages, 2);
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_waits_is_counted_anew_once_and_in_its_order_while_too_much_waits() {
    // More than is read at a time.
    let large = |number: u32| format!("{number} {}", "x".repeat(20_000));
    for rules in [
        vec![rule("a", "", ""), rule("b", "", "")],
        vec![rule("a", "", ""), Rule { qos: QoS::AtMostOnce, ..rule("b", "", "") }],
    ] {
        let (_here, here) = Site::usual().await;
        let settings = |send: Vec<Rule>| BridgeOptions {
            keep_bytes: 600_000,
            when_full: WhenFull::DropNewest,
            ..options(1, send, vec![])
        };
        let over = start(&here, settings(vec![rule("a", "", "")]), nowhere().await).await;
        let mut device = here.client(hello("device")).await;
        for number in 0..50_u16 {
            device.send(Packet::Publish(publish("a", &large(number.into()), QoS::AtLeastOnce, number + 1))).await;
            device.expect_ack(Packet::PubAck, number + 1).await;
        }
        let seen = |over: &Over| (over.bridge.report().waiting.messages, over.bridge.report().lost.messages);
        until(|| seen(&over).0 + seen(&over).1 == 50).await;
        let (waiting, lost) = seen(&over);
        assert!(lost > 10, "{lost}");
        over.bridge.stop().await;
        let over = start(&here, settings(rules.clone()), nowhere().await).await;
        until(|| seen(&over) == (waiting, lost)).await;
        over.bridge.stop().await;
        let remote = Remote::new().await;
        let over = start(&here, settings(rules.clone()), remote.address).await;
        until(|| seen(&over) == (waiting, lost)).await;
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        for expected in 0..waiting {
            let message = caller.publish().await;
            assert_eq!(text(&message).split(' ').next().unwrap(), expected.to_string());
            caller.acknowledge(&message).await;
        }
        until(|| seen(&over) == (0, lost)).await;
        // There is room again.
        publish_large(&mut device, 100..103).await;
        assert_eq!(numbers(&mut caller, 3).await, [100, 101, 102]);
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn what_its_rule_does_not_keep_any_more_does_not_wait() {
    let (_here, here) = Site::usual().await;
    let settings = |qos: QoS| options(1, vec![Rule { qos, ..rule("a", "", "") }, rule("b", "", "")], vec![]);
    let over = start(&here, settings(QoS::AtLeastOnce), nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..10).await;
    publish_all(&mut device, "b", 0..3).await;
    until(|| over.bridge.report().waiting.messages == 13).await;
    over.bridge.stop().await;
    let remote = Remote::new().await;
    let over = start(&here, settings(QoS::AtMostOnce), remote.address).await;
    until(|| over.bridge.report().waiting.messages == 3).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    assert_eq!(numbers(&mut caller, 3).await, [0, 1, 2]);
    until(|| over.bridge.report().waiting == Amount::default()).await;
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_loss_is_told_again_until_it_is_kept_and_then_no_more() {
    /// Nothing can be kept.
    #[derive(Default)]
    struct Full(Listening);
    impl Ears for Full {
        fn hear(&self, notice: Notice) {
            self.0.hear(notice);
        }
        fn lost(&self, lost: Lost) -> BoxFuture<'static, bool> {
            drop(self.0.lost(lost));
            Box::pin(std::future::ready(false))
        }
    }
    let (_here, here) = Site::usual().await;
    let settings = || BridgeOptions { keep_bytes: 10 * 101, ..options(1, vec![rule("a", "", "")], vec![]) };
    let full = Arc::new(Full::default());
    let bridge = Bridge::start(here.broker.clone(), settings(), None, full.clone()).await.unwrap();
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..30).await;
    until(|| bridge.report().lost.messages == 20).await;
    bridge.stop().await;
    assert!(full.0.count(Loss::Full) >= 20);
    for told in [20, 0] {
        let ears: Arc<Listening> = Arc::default();
        let bridge = Bridge::start(here.broker.clone(), settings(), None, ears.clone()).await.unwrap();
        bridge.stop().await;
        assert_eq!(ears.count(Loss::Full), told);
    }
}

#[tokio::test]
async fn what_waits_longer_than_it_may_goes_and_is_told() {
    let (_here, here) = Site::usual().await;
    let settings =
        BridgeOptions { keep_for: Some(Duration::from_secs(3600)), ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..10).await;
    until(|| over.bridge.report().waiting.messages == 10).await;
    here.clock.turn(Duration::from_secs(1800));
    publish_large(&mut device, 10..15).await;
    here.clock.turn(Duration::from_secs(2000));
    until(|| over.bridge.report().lost.messages == 10).await;
    assert_eq!(over.bridge.report().waiting.messages, 5);
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_expired_while_it_waited_is_not_sent_and_told() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    let properties = PublishProperties { message_expiry_s: Some(60), ..PublishProperties::default() };
    device.send(Packet::Publish(Publish { properties, ..publish("a", "short-lived", QoS::AtLeastOnce, 1) })).await;
    device.expect_ack(Packet::PubAck, 1).await;
    device.send(Packet::Publish(publish("a", "lasting", QoS::AtLeastOnce, 2))).await;
    device.expect_ack(Packet::PubAck, 2).await;
    here.clock.turn(Duration::from_secs(61));
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    assert_eq!(text(&caller.publish().await), "lasting");
    let ears = over.ears.clone();
    over.bridge.stop().await;
    assert_eq!(ears.count(Loss::Expired), 1);
}

#[tokio::test]
async fn a_message_that_is_refused_holds_all_up_or_is_passed_over_as_is_wanted() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let mut device = here.client(hello("device")).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    publish_large(&mut device, 0..2).await;
    let first = caller.publish().await;
    caller.answer(&first, ReasonCode::NOT_AUTHORIZED).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let (_, trouble) = over.bridge.report().last_trouble.unwrap();
    assert!(trouble.text.contains("not authorized") && trouble.remedy.contains("when_refused"), "{trouble:?}");
    assert_eq!(numbers(&mut caller, 2).await, [0, 1], "nothing was lost");
    until(|| over.bridge.report().waiting == Amount::default()).await;
    over.bridge.stop().await;
    drop(caller);
    let settings = BridgeOptions { skip_refused: true, ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    publish_large(&mut device, 2..4).await;
    let first = caller.publish().await;
    caller.answer(&first, ReasonCode::NOT_AUTHORIZED).await;
    assert_eq!(numbers(&mut caller, 1).await, [3]);
    until(|| over.bridge.report().lost.messages == 1).await;
    let ears = over.ears.clone();
    over.bridge.stop().await;
    assert_eq!(ears.count(Loss::Refused), 1);
}

#[tokio::test]
async fn a_retained_message_of_before_that_is_refused_is_told_as_one() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let mut device = here.client(hello("device")).await;
    device.send(Packet::Publish(Publish { retain: true, ..publish("a", "x", QoS::AtLeastOnce, 1) })).await;
    device.expect_ack(Packet::PubAck, 1).await;
    let settings = BridgeOptions { skip_refused: true, ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let kept = caller.publish().await;
    assert!(kept.retain);
    caller.answer(&kept, ReasonCode::NOT_AUTHORIZED).await;
    until(|| over.bridge.report().lost == Amount { messages: 1, bytes: 2 }).await;
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_the_other_side_says_of_a_refusal_is_shown_in_brief() {
    let Begun { folder: _folder, here: _here, over, mut caller, mut device, .. } =
        begin(options(1, vec![rule("a", "", "")], vec![])).await;
    publish_large(&mut device, 0..1).await;
    let sent = caller.publish().await;
    let reason_string = Some(Text::parse(&"é".repeat(30_000)).unwrap());
    let properties = AckProperties { reason_string, ..AckProperties::default() };
    caller
        .send(Packet::PubAck(Ack { packet_id: sent.packet_id, reason: ReasonCode::NOT_AUTHORIZED, properties }))
        .await;
    let trouble = over.trouble().await;
    assert!(trouble.text.contains("é…") && trouble.text.chars().count() < 300, "{}", trouble.text);
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_message_at_which_the_other_side_ends_every_link_is_named_and_passed_over_if_that_is_wanted() {
    for skip_refused in [false, true] {
        let (_here, here) = Site::usual().await;
        let remote = Remote::new().await;
        let settings = BridgeOptions { skip_refused, ..options(1, vec![rule("a", "", "")], vec![]) };
        let over = start(&here, settings, remote.address).await;
        let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
        let mut device = here.client(hello("device")).await;
        publish_large(&mut device, 0..4).await;
        assert_eq!(numbers(&mut caller, 1).await, [0]);
        for end in 1..=4 {
            let bad = caller.publish().await;
            assert_eq!(text(&bad).parse(), Ok(1));
            if end > 2 {
                // Alone: what comes next is its own end, so it is certain which one it is.
                until(|| over.bridge.report().state == LinkState::Connected).await;
            }
            let bye = Disconnect { reason: ReasonCode::QUOTA_EXCEEDED, ..Disconnect::default() };
            caller.send(Packet::Disconnect(bye)).await;
            while let Some(packet) = caller.try_next().await {
                assert!(end <= 2 || !matches!(packet, Packet::Publish(_)), "{packet:?}");
            }
            caller = remote.admit(ConnAck::default(), 0).await.0;
            let (_, trouble) = over.bridge.report().last_trouble.unwrap();
            assert_eq!(trouble.text.contains("4 links in a row at the same message to \"a\""), end == 4, "{trouble:?}");
        }
        let expected: &[u32] = if skip_refused { &[2, 3] } else { &[1, 2, 3] };
        assert_eq!(numbers(&mut caller, expected.len()).await, expected);
        until(|| over.bridge.report().waiting == Amount::default()).await;
        assert_eq!(over.bridge.report().lost.messages, u64::from(skip_refused));
        over.bridge.stop().await;
    }
}

#[tokio::test]
async fn a_message_larger_than_the_other_side_takes_is_told_and_the_rest_crosses() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    let mut device = here.client(hello("device")).await;
    let properties = ConnAckProperties { maximum_packet_size: Some(1000), ..ConnAckProperties::default() };
    let (mut caller, _) = remote.admit(ConnAck { properties, ..ConnAck::default() }, 0).await;
    device.send(Packet::Publish(publish("a", &"x".repeat(2000), QoS::AtLeastOnce, 1))).await;
    device.expect_ack(Packet::PubAck, 1).await;
    device.send(Packet::Publish(publish("a", "small", QoS::AtLeastOnce, 2))).await;
    assert_eq!(text(&caller.publish().await), "small");
    let ears = over.ears.clone();
    over.bridge.stop().await;
    assert_eq!(ears.count(Loss::TooLarge), 1);
}

#[tokio::test]
async fn newest_first_sends_what_comes_now_at_once_and_the_rest_behind_it_at_its_rate() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings = BridgeOptions {
        newest_first: true,
        catch_up_per_second: Some(50),
        ..options(1, vec![rule("a", "", "")], vec![])
    };
    let over = start(&here, settings, nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..200).await;
    until(|| over.bridge.report().waiting.messages == 200).await;
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    until(|| over.bridge.report().state == LinkState::Connected).await;
    publish_large(&mut device, 200..210).await;
    let got = numbers(&mut caller, 210).await;
    let new: Vec<_> = got.iter().copied().filter(|number| *number >= 200).collect();
    let old: Vec<_> = got.iter().copied().filter(|number| *number < 200).collect();
    assert_eq!(new, (200..210).collect::<Vec<_>>());
    assert_eq!(old, (0..200).collect::<Vec<_>>());
    let last_new = got.iter().rposition(|number| *number >= 200).unwrap();
    assert!(last_new < 150, "what comes now does not wait behind what has waited: {last_new}");
    until(|| over.bridge.report().waiting == Amount::default()).await;
    over.bridge.stop().await;
}

#[tokio::test]
async fn catching_up_keeps_to_its_rate_beyond_what_comes_now() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let settings = BridgeOptions { catch_up_per_second: Some(100), ..options(1, vec![rule("a", "", "")], vec![]) };
    let over = start(&here, settings, nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..150).await;
    until(|| over.bridge.report().waiting.messages == 150).await;
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let begun = tokio::time::Instant::now();
    assert_eq!(numbers(&mut caller, 150).await, (0..150).collect::<Vec<_>>());
    assert!(begun.elapsed() > Duration::from_millis(1200), "{:?}", begun.elapsed());
    over.bridge.stop().await;
}

#[tokio::test]
async fn a_long_wait_is_told_and_that_it_is_over() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..3).await;
    here.clock.turn(Duration::from_secs(301));
    until(|| over.bridge.report().behind).await;
    assert!(over.ears.any(|notice| matches!(notice, Notice::Behind { waiting, .. } if waiting.messages == 3)));
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    numbers(&mut caller, 3).await;
    until(|| over.ears.any(|notice| *notice == Notice::CaughtUp)).await;
    assert!(!over.bridge.report().behind);
    over.bridge.stop().await;
}

#[tokio::test]
async fn one_that_is_switched_off_keeps_its_place_and_its_bounds() {
    let (_here, here) = Site::usual().await;
    let remote = Remote::new().await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), remote.address).await;
    over.bridge.stop().await;
    let settings = || BridgeOptions { keep_bytes: 10 * 101, ..options(1, vec![rule("a", "", "")], vec![]) };
    let ears: Arc<Listening> = Arc::default();
    let off = Bridge::start(here.broker.clone(), settings(), None, ears).await.unwrap();
    let mut device = here.client(hello("device")).await;
    publish_large(&mut device, 0..30).await;
    until(|| off.report().waiting.messages == 10 && off.report().lost.messages == 20).await;
    assert_eq!(off.report().state, LinkState::Off);
    off.stop().await;
    let (remote, settings) = (Remote::new().await, settings());
    let over = start(&here, settings, remote.address).await;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    assert_eq!(numbers(&mut caller, 10).await, (20..30).collect::<Vec<_>>());
    over.bridge.stop().await;
}

#[tokio::test]
async fn what_the_lane_freed_is_counted_and_told_and_the_rest_crosses() {
    let folder = tempfile::tempdir().unwrap();
    let mut log_options = LogOptions { segment_bytes: 1 << 20, ..LogOptions::default() };
    log_options.retention[Lane::Messages as usize] = LaneRetention {
        max_bytes: Some(2 << 20),
        max_age: None,
        keep: KeepPolicy::ByRetention,
        held_bytes: Some(4 << 20),
    };
    let (log, _) =
        DurableLog::open(folder.path(), Uuid::from_u128(1), log_options, Arc::new(OsDisk), Arc::new(SystemClock))
            .unwrap();
    let here = Site::on(log.clone(), BrokerOptions::default()).await;
    let over = start(&here, options(1, vec![rule("a", "", "")], vec![]), nowhere().await).await;
    let mut device = here.client(hello("device")).await;
    let large = "x".repeat(200_000);
    for id in 1..=60_u16 {
        let payload = format!("{id} {large}");
        device.send(Packet::Publish(publish("a", &payload, QoS::AtLeastOnce, id))).await;
        device.expect_ack(Packet::PubAck, id).await;
        if id % 5 == 0 {
            // It counts what waits as it comes; what the lane frees before that nobody can count.
            let seen = |report: Report| report.waiting.messages + report.lost.messages;
            until(|| seen(over.bridge.report()) >= u64::from(id)).await;
        }
    }
    until(|| log.first_seq(Lane::Messages).0 > 10).await;
    let remote = Remote::new().await;
    *over.phone.0.lock().unwrap() = remote.address;
    let (mut caller, _) = remote.admit(ConnAck::default(), 0).await;
    let mut got: Vec<u64> = Vec::new();
    while got.last() != Some(&60) {
        match caller.try_next().await {
            Some(Packet::Publish(message)) => {
                got.push(text(&message).split(' ').next().unwrap().parse().unwrap());
                caller.acknowledge(&message).await;
            }
            // When it finds that something is gone it counts anew, and begins the link anew after that.
            None => caller = remote.admit(ConnAck::default(), 0).await.0,
            Some(other) => panic!("{other:?}"),
        }
    }
    until(|| over.bridge.report().waiting == Amount::default()).await;
    let ears = over.ears.clone();
    over.bridge.stop().await;
    assert!(got.len() < 50, "{}", got.len());
    // The first ones were in memory already, and may have been under way when it was found.
    let all = ears.count(Loss::Freed) + got.len() as u64;
    assert!((60..=63).contains(&all), "{all} {got:?}");
}
