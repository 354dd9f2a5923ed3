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
            SessionOp::Subscribe { session, at: NOON, id: 3, filters: vec![filter.clone()] },
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
fn a_kind_of_a_newer_program_is_refused_by_name() {
    let newer = FrameKind { version: 2, ..kind::SESSION };
    assert_eq!(Op::decode(newer, Bytes::new()), Err(FrameError::Unknown { kind: 49, version: 2 }));
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
