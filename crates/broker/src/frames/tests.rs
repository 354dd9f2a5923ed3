//! The bytes of format version 1: they must not change, since logs hold them for years.

use super::*;
use std::sync::Arc;

const NOON: Timestamp = Timestamp::from_millis(1_795_329_730_000);

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The operation has these bytes, and these bytes are this operation; cut short anywhere they are an error.
fn check(op: Op, kind: FrameKind, golden: &str) {
    let mut out = BytesMut::new();
    assert_eq!(op.encode(&mut out), kind);
    assert_eq!(hex(&out), golden);
    let whole = out.freeze();
    for cut in 0..whole.len() {
        assert!(Op::decode(kind, whole.slice(..cut)).is_err(), "cut at {cut}");
    }
    assert_eq!(Op::decode(kind, whole), Ok(op));
}

fn text(s: &str) -> Text {
    Text::parse(s).unwrap()
}

fn topic(s: &str) -> TopicName {
    TopicName::parse(s).unwrap()
}

#[test]
fn a_plain_message() {
    let message = Message::internal(topic("a/b"), Bytes::from_static(b"21.5"), QoS::AtLeastOnce, false, NOON);
    let message = Arc::new(Message { publisher: Some(text("press-7")), ..message });
    let op = Op::Publish(Published { message, publisher: SessionNo(300), packet_id: 0, will_of: SessionNo::NODE });
    check(op, kind::PUBLISH, "ac0200001103612f62000660d7c6cfb4800770726573732d37000432312e35");
}

#[test]
fn a_message_with_everything() {
    let message = Arc::new(Message {
        topic: topic("a"),
        payload: Bytes::from_static(b"x"),
        qos: QoS::ExactlyOnce,
        retain: true,
        publisher: Some(text("p")),
        user: None,
        received: NOON,
        expires: Some(NOON.plus(std::time::Duration::from_secs(1))),
        payload_format: Some(true),
        content_type: Some(text("t")),
        response_topic: Some(topic("r")),
        correlation_data: Some(Bytes::from_static(b"c")),
        user_properties: vec![(text("k"), text("v"))],
    });
    let op = Op::Publish(Published { message, publisher: SessionNo(1), packet_id: 42, will_of: SessionNo(2) });
    check(op, kind::PUBLISH, "012a021e0161000660d7c6cfb480000660d7c6def6c001703f01740172016301016b01760178");
}

#[test]
fn every_session_operation() {
    let filter = Filter {
        filter: TopicFilter::parse("a/#").unwrap(),
        qos: QoS::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::SendIfNew,
    };
    let will = Will {
        topic: topic("w"),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: true,
        properties: WillProperties { delay_s: Some(5), message_expiry_s: Some(6), ..WillProperties::default() },
    };
    let open = Open {
        client_id: text("press-7"),
        clean_start: true,
        expiry_s: u32::MAX,
        at: NOON,
        will: Some(will),
        user: Some(text("u")),
        version: Version::V5,
        principal: None,
        window: 0,
    };
    let session = SessionNo(9);
    let cases = [
        (
            SessionOp::Open(Box::new(open)),
            "010770726573732d3701ffffffff0f000660d7c6cfb480010501770501060004676f6e6501017505",
        ),
        (
            SessionOp::Gone { session, opened: 8, at: NOON, expiry_s: Some(7), keep_will: true },
            "020908000660d7c6cfb480010701",
        ),
        (
            SessionOp::Subscribe { session, at: NOON, id: 3, filters: vec![filter.clone()], ask: Ask::default() },
            "0309000660d7c6cfb480030103612f231e",
        ),
        (SessionOp::Unsubscribe { session, filters: vec![filter.filter] }, "04090103612f23"),
        (SessionOp::Acks { session, acks: vec![(Answer::Done, 1), (Answer::Received, 2)] }, "050902000001010002"),
        (SessionOp::Released { session, packet_id: 258 }, "06090102"),
        (SessionOp::Ended { session, opened: 8 }, "070908"),
        (SessionOp::Limits { messages: 100, bytes: 1 << 20 }, "0864808040"),
    ];
    for (op, golden) in cases {
        check(Op::Session(op), kind::SESSION, golden);
    }
}

#[test]
fn what_version_2_adds_stands_in_bytes_that_do_not_change() {
    let message = Message::internal(topic("a"), Bytes::from_static(b"x"), QoS::AtLeastOnce, false, NOON);
    let user = Some(Principal { id: uuid::Uuid::from_u128(7), kind: PrincipalKind::Device });
    let message = Arc::new(Message { publisher: Some(text("p")), user: user.clone(), ..message });
    let op = Op::Publish(Published { message, publisher: SessionNo(1), packet_id: 0, will_of: SessionNo::NODE });
    let second = |kind: FrameKind| FrameKind { version: 2, ..kind };
    let id = "0200000000000000000000000000000007";
    check(op, second(kind::PUBLISH), &format!("010000310161000660d7c6cfb4800170{id}000178"));
    let open = Open {
        client_id: text("p"),
        clean_start: false,
        expiry_s: 60,
        at: NOON,
        will: None,
        user: None,
        version: Version::V5,
        principal: user,
        window: 300,
    };
    let bytes = format!("010170003c000660d7c6cfb48000000501{id}ac02");
    check(Op::Session(SessionOp::Open(Box::new(open))), second(kind::SESSION), &bytes);
    let filter = Filter {
        filter: TopicFilter::parse("a").unwrap(),
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    };
    let session = SessionNo(9);
    let deadband = Deliver::Deadband { bits: 0.5_f64.to_bits() };
    for (origin, deliver, bytes) in [
        (true, Deliver::All, "01"),
        (false, Deliver::Latest, "02"),
        (true, Deliver::Every { ms: 1000 }, "05000003e8"),
        (false, deadband, "063fe0000000000000"),
    ] {
        let ask = Ask { origin, deliver };
        let op = SessionOp::Subscribe { session, at: NOON, id: 0, filters: vec![filter.clone()], ask };
        check(Op::Session(op), second(kind::SESSION), &format!("0309000660d7c6cfb4800001016101{bytes}"));
    }
    check(Op::Session(SessionOp::Due { session, at: NOON }), second(kind::SESSION), "0909000660d7c6cfb480");
}

#[test]
fn what_is_in_quarantine_stands_in_bytes_that_do_not_change() {
    let session = SessionNo(9);
    let message = Message::internal(topic("a"), Bytes::from_static(b"x"), QoS::AtLeastOnce, false, NOON);
    let withheld = Withheld {
        message: Arc::new(message),
        publisher: session,
        packet_id: 0,
        will_of: SessionNo::NODE,
        by: uuid::Uuid::from_u128(1),
        rule: text("r"),
        words: text("w"),
    };
    let second = FrameKind { version: 2, ..kind::SESSION };
    let bytes = "0a0900000000000000000000000000000000000101720177010161000660d7c6cfb480000178";
    check(Op::Session(SessionOp::Withhold(Box::new(withheld))), second, bytes);
    check(Op::Session(SessionOp::LetGo { withheld: 300 }), second, "0bac02");
    let message = Arc::new(Message::internal(topic("a"), Bytes::from_static(b"x"), QoS::AtLeastOnce, false, NOON));
    let bytes = "0cac02010161000660d7c6cfb480000178";
    check(Op::Session(SessionOp::Release { withheld: 300, message }), second, bytes);
}

#[test]
fn a_kind_of_a_newer_program_is_refused_by_name() {
    let newer = FrameKind { version: 3, ..kind::SESSION };
    assert_eq!(Op::decode(newer, Bytes::new()), Err(FrameError::Unknown { kind: 49, version: 3 }));
}

proptest::proptest! {
    #[test]
    fn damaged_frames_never_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..100)) {
        let bytes = Bytes::from(bytes);
        let _ = Op::decode(kind::PUBLISH, bytes.clone());
        let _ = Op::decode(kind::SESSION, bytes.clone());
        let _ = crate::snapshot::decode(bytes, &mut crate::core::Core::default());
    }
}
