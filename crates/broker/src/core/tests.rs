//! The promise everything rests on: a replay gives the state that live traffic gave.

use super::*;
use crate::asks::Deliver;
use crate::frames::Open;
use crate::history::Keep;
use crate::past::{Begin, Ended, Past, Room};
use crate::session::Arrival;
use andon_model::access::Principal;
use andon_wire::mqtt::{ConnAck, Version, Will, WillProperties};
use bytes::Bytes;
use proptest::prelude::*;
use std::collections::{HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;

/// A step of the traffic; the numbers choose clients, topics and so on.
#[derive(Clone, Debug)]
enum Step {
    Open {
        client: u8,
        clean: bool,
        lasting: bool,
        will: bool,
    },
    Leave {
        client: u8,
        keep_will: bool,
    },
    Subscribe {
        client: u8,
        filter: u8,
        qos: u8,
        id: u32,
        deliver: u8,
    },
    Unsubscribe {
        client: u8,
        filter: u8,
    },
    Publish {
        client: u8,
        topic: u8,
        qos: u8,
        packet_id: u16,
        retain: bool,
        empty: bool,
        expires: bool,
    },
    Release {
        client: u8,
        packet_id: u16,
    },
    /// The client answers the n-th message it was sent.
    Answer {
        client: u8,
        nth: u8,
    },
    Wait {
        seconds: u8,
    },
    /// The clock is put back.
    Back {
        seconds: u8,
    },
    /// The lane's commits lag behind this much from here on.
    Lag {
        operations: u8,
    },
}

const FILTERS: [&str; 6] = ["a", "a/#", "+", "a/b", "$share/g/a/b", "$share/g/+"];
const TOPICS: [&str; 4] = ["a", "a/b", "b", "a/b/c"];

fn step() -> impl Strategy<Value = Step> {
    let client = || 0_u8..4;
    prop_oneof![
        2 => (client(), any::<bool>(), any::<bool>(), any::<bool>())
            .prop_map(|(client, clean, lasting, will)| Step::Open { client, clean, lasting, will }),
        1 => (client(), any::<bool>()).prop_map(|(client, keep_will)| Step::Leave { client, keep_will }),
        2 => (client(), 0_u8..6, 0_u8..3, 0_u32..3, 0_u8..5)
            .prop_map(|(client, filter, qos, id, deliver)| Step::Subscribe { client, filter, qos, id, deliver }),
        1 => (client(), 0_u8..6).prop_map(|(client, filter)| Step::Unsubscribe { client, filter }),
        6 => (client(), 0_u8..4, 0_u8..3, 1_u16..4, any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
            |(client, topic, qos, packet_id, retain, empty, expires)| Step::Publish { client, topic, qos, packet_id, retain, empty, expires }),
        1 => (client(), 1_u16..4).prop_map(|(client, packet_id)| Step::Release { client, packet_id }),
        6 => (client(), 0_u8..4).prop_map(|(client, nth)| Step::Answer { client, nth }),
        1 => (1_u8..20).prop_map(|seconds| Step::Wait { seconds }),
        1 => (1_u8..20).prop_map(|seconds| Step::Back { seconds }),
        1 => (0_u8..4).prop_map(|operations| Step::Lag { operations }),
    ]
}

/// A broker's insides without network and log: operations are numbered at once and applied when "durable".
struct Bench {
    core: Core,
    lane: Vec<Op>,
    waiting: VecDeque<(Seq, Op, Reply)>,
    lag: usize,
    connections: u64,
    waits: Vec<oneshot::Receiver<Result<crate::session::Admission, andon_model::log::AppendError>>>,
}

impl Bench {
    fn new() -> Self {
        let mut core = Core { live: true, now: Timestamp::from_millis(1_000_000), ..Core::default() };
        core.bounds = Bounds { messages: 6, bytes: 1 << 20 };
        let mut bench =
            Self { core, lane: Vec::new(), waiting: VecDeque::new(), lag: 0, connections: 0, waits: Vec::new() };
        bench.submit(Op::Session(SessionOp::Limits { messages: 6, bytes: 1 << 20 }), Reply::None);
        bench
    }

    fn submit(&mut self, op: Op, reply: Reply) {
        self.lane.push(op.clone());
        self.waiting.push_back((Seq(self.lane.len() as u64), op, reply));
        self.settle(self.lag);
    }

    /// Applies what is durable and appends what follows from it.
    fn settle(&mut self, lag: usize) {
        while self.waiting.len() > lag {
            let Some((seq, op, reply)) = self.waiting.pop_front() else { return };
            self.core.apply(seq, &op, reply);
            self.follow();
        }
    }

    fn follow(&mut self) {
        let Effects { todo, fetches, .. } = std::mem::take(&mut self.core.effects);
        for op in todo {
            self.lane.push(op.clone());
            self.waiting.push_back((Seq(self.lane.len() as u64), op, Reply::None));
        }
        for Fetch { session, connection, seqs, .. } in fetches {
            let mut fetched = Fetched::default();
            for seq in &seqs {
                let Some(Op::Publish(published)) = self.lane.get(seq.0 as usize - 1) else {
                    panic!("{seq:?} is no message")
                };
                fetched.found.insert(*seq, published.message.clone());
            }
            self.core.fetched(session, connection, &seqs, &fetched);
            self.follow();
        }
    }

    fn id(client: u8) -> Text {
        Text::parse(&format!("client-{client}")).unwrap()
    }

    fn linked(&self, client: u8) -> Option<(SessionNo, u64)> {
        let number = *self.core.by_client.get(&Self::id(client))?;
        Some((number, self.core.sessions.get(&number)?.link.as_ref()?.connection))
    }

    /// For durable sessions through the lane, for others at once.
    fn run(&mut self, number: SessionNo, op: SessionOp) {
        if number.is_durable() {
            self.submit(Op::Session(op), Reply::None);
        } else {
            self.core.apply(Seq(0), &Op::Session(op), Reply::None);
            self.follow();
        }
    }

    fn open(&mut self, client: u8, clean: bool, lasting: bool, with_will: bool) {
        let will = Will {
            topic: TopicName::parse("a/b").unwrap(),
            payload: Bytes::from_static(b"gone"),
            qos: QoS::AtLeastOnce,
            retain: false,
            properties: WillProperties { delay_s: clean.then_some(3), ..WillProperties::default() },
        };
        let open = Open {
            client_id: Self::id(client),
            clean_start: clean,
            expiry_s: if lasting { 30 } else { 0 },
            at: self.core.now,
            will: with_will.then_some(will),
            user: None,
            version: Version::V5,
            principal: Some(Principal::ANONYMOUS),
            window: 2,
        };
        self.connections += 1;
        let (admitted, waits) = oneshot::channel();
        self.waits.push(waits);
        let arrival = Arrival {
            outbox: Arc::new(Outbox::new(Version::V5, 1 << 20, usize::MAX, true)),
            connection: self.connections,
            principal: Principal::ANONYMOUS,
            address: "127.0.0.1:1".parse().unwrap(),
            window: 2,
            denied: HashSet::new(),
            aliases: 0,
            names: None,
            conn_ack: ConnAck::default(),
            admitted,
        };
        let known = self.core.by_client.get(&open.client_id).is_some_and(|n| n.is_durable());
        let op = Op::Session(SessionOp::Open(Box::new(open)));
        let reply = Reply::Open(Box::new(arrival));
        if lasting || known {
            self.submit(op, reply);
        } else {
            self.core.apply(Seq(0), &op, reply);
            self.follow();
        }
    }

    fn publish(&mut self, client: u8, topic: u8, qos: u8, packet_id: u16, flags: [bool; 3]) {
        let Some((publisher, _)) = self.linked(client) else { return };
        let [retain, empty, expires] = flags;
        let topic = TopicName::parse(TOPICS[usize::from(topic)]).unwrap();
        let payload = if empty { Bytes::new() } else { Bytes::from(self.lane.len().to_string()) };
        let qos = QoS::from_bits(qos).unwrap();
        let mut message = Message::internal(topic, payload, qos, retain, self.core.now);
        message.user = (packet_id > 1).then_some(Principal::ANONYMOUS);
        message.expires = expires.then(|| self.core.now.plus(Duration::from_secs(5)));
        let packet_id = if qos == QoS::ExactlyOnce { packet_id } else { 0 };
        let message = Arc::new(message);
        let op = Op::Publish(Published { message, publisher, packet_id, will_of: SessionNo::NODE });
        if qos == QoS::AtMostOnce && !retain {
            self.core.apply(Seq(0), &op, Reply::None);
            self.follow();
        } else {
            self.submit(op, Reply::None);
        }
    }

    fn answer(&mut self, client: u8, nth: u8) {
        let Some((number, connection)) = self.linked(client) else { return };
        let found = {
            let mut sent = self.core.sessions[&number].queue.front().filter(|e| e.sent && !e.answered);
            sent.nth(usize::from(nth)).map(|e| (e.packet_id, e.qos, e.released))
        };
        let Some((packet_id, qos, released)) = found else { return };
        let ack = Ack::new(packet_id, ReasonCode::SUCCESS);
        let packet = match qos {
            QoS::ExactlyOnce if released => Packet::PubComp(ack),
            QoS::ExactlyOnce => Packet::PubRec(ack),
            _ => Packet::PubAck(ack),
        };
        let effect = self.core.answer(number, connection, &packet).expect("a right answer");
        self.follow();
        if let AckEffect::Durable(answer, id) = effect {
            self.run(number, SessionOp::Acks { session: number, acks: vec![(answer, id)] });
        }
    }

    fn subscribe(&mut self, client: u8, filter: u8, qos: u8, id: u32, deliver: u8) {
        let Some((session, _)) = self.linked(client) else { return };
        let filter = Filter {
            filter: TopicFilter::parse(FILTERS[usize::from(filter)]).unwrap(),
            qos: QoS::from_bits(qos).unwrap(),
            no_local: id == 1 && filter < 4,
            retain_as_published: id == 2,
            retain_handling: if id == 0 { RetainHandling::Send } else { RetainHandling::SendIfNew },
        };
        let deliver = match deliver {
            _ if filter.filter.share_group().is_some() => Deliver::All,
            1 | 2 => Deliver::Latest,
            3 => Deliver::Every { ms: 2000 },
            4 => Deliver::Deadband { bits: 7.0_f64.to_bits() },
            _ => Deliver::All,
        };
        let ask = Ask { origin: id == 2, deliver };
        self.run(session, SessionOp::Subscribe { session, at: self.core.now, id, filters: vec![filter], ask });
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Open { client, clean, lasting, will } => self.open(client, clean, lasting, will),
            Step::Leave { client, keep_will } => {
                if let Some((number, connection)) = self.linked(client) {
                    self.core.detach(number, connection, EndReason::Lost(String::new()), keep_will, None);
                    self.follow();
                }
            }
            Step::Subscribe { client, filter, qos, id, deliver } => self.subscribe(client, filter, qos, id, deliver),
            Step::Unsubscribe { client, filter } => {
                if let Some((session, _)) = self.linked(client) {
                    let filters = vec![TopicFilter::parse(FILTERS[usize::from(filter)]).unwrap()];
                    self.run(session, SessionOp::Unsubscribe { session, filters });
                }
            }
            Step::Publish { client, topic, qos, packet_id, retain, empty, expires } => {
                self.publish(client, topic, qos, packet_id, [retain, empty, expires]);
            }
            Step::Release { client, packet_id } => {
                if let Some((session, _)) = self.linked(client) {
                    self.run(session, SessionOp::Released { session, packet_id });
                }
            }
            Step::Answer { client, nth } => self.answer(client, nth),
            Step::Wait { seconds } => {
                self.core.now = self.core.now.plus(Duration::from_secs(u64::from(seconds)));
                self.core.keep_house();
                self.follow();
            }
            Step::Back { seconds } => {
                let back = i64::from(seconds) * 1_000_000;
                self.core.now = Timestamp::from_micros(self.core.now.micros() - back);
            }
            Step::Lag { operations } => self.lag = usize::from(operations),
        }
        self.settle(self.lag);
    }
}

/// The durable state in bytes, but for what a replay may only suspect (DUP) and for display (times of coming and going).
fn durable_state(core: &mut Core) -> Vec<u8> {
    core.retained.purge(core.lane_time);
    for session in core.sessions.values_mut() {
        session.queue.suspect_sent(true);
        session.since = Timestamp::default();
    }
    crate::snapshot::encode(core).to_vec()
}

/// Applies the operations from number `from` on to a core that is not live.
fn replay(core: &mut Core, lane: &[Op], from: usize) {
    for (at, op) in lane.iter().enumerate().skip(from) {
        let mut bytes = bytes::BytesMut::new();
        let kind = op.encode(&mut bytes);
        let op = Op::decode(kind, bytes.freeze()).expect("our own frame");
        core.apply(Seq(at as u64 + 1), &op, Reply::None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_replay_gives_the_state_that_live_traffic_gave(
        steps in proptest::collection::vec(step(), 1..120),
        cut in any::<prop::sample::Index>(),
        workers in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        if workers {
            // Two that last share a subscription, so that its turns matter.
            for client in 0..2 {
                bench.open(client, false, true, false);
                bench.subscribe(client, 4, 1, 0, 0);
            }
        }
        let cut = cut.index(steps.len());
        let mut snapshot = None;
        for (at, step) in steps.iter().enumerate() {
            bench.step(step);
            if at == cut {
                snapshot = Some((bench.core.applied.0, crate::snapshot::encode(&bench.core).freeze()));
            }
        }
        bench.settle(0);
        let live = durable_state(&mut bench.core);

        let mut from_lane = Core::default();
        replay(&mut from_lane, &bench.lane, 0);
        prop_assert_eq!(&durable_state(&mut from_lane), &live, "from the lane alone");

        let (applied, state) = snapshot.unwrap();
        let mut from_snapshot = Core::default();
        crate::snapshot::decode(state, &mut from_snapshot).unwrap();
        replay(&mut from_snapshot, &bench.lane, usize::try_from(applied).unwrap());
        prop_assert_eq!(&durable_state(&mut from_snapshot), &live, "from a snapshot and the rest of the lane");
    }
}

/// The payloads that wait for a client in its queue.
fn queued(bench: &Bench, number: SessionNo) -> Vec<String> {
    let entries = bench.core.sessions[&number].queue.front();
    let of = |seq: Seq| match &bench.lane[usize::try_from(seq.0).unwrap() - 1] {
        Op::Publish(published) => String::from_utf8(published.message.payload.to_vec()).unwrap(),
        other => panic!("{other:?}"),
    };
    entries.map(|entry| of(entry.seq)).collect()
}

/// A client that lasts and asked for `deliver` of everything, and another that says what is in `say`, with QoS 1.
fn asking(deliver: u8) -> (Bench, SessionNo) {
    let mut bench = Bench::new();
    bench.open(0, false, true, false);
    bench.subscribe(0, 2, 1, 0, deliver);
    bench.open(1, false, true, false);
    let number = bench.linked(0).unwrap().0;
    (bench, number)
}

fn say(bench: &mut Bench, topic: &str, payload: &'static str) {
    let (publisher, _) = bench.linked(1).unwrap();
    let (topic, payload) = (TopicName::parse(topic).unwrap(), Bytes::from_static(payload.as_bytes()));
    let message = Arc::new(Message::internal(topic, payload, QoS::AtLeastOnce, false, bench.core.now));
    let none = SessionNo::NODE;
    bench.submit(Op::Publish(Published { message, publisher, packet_id: 0, will_of: none }), Reply::None);
}

#[test]
fn a_lasting_session_is_not_silenced_by_a_clock_that_was_ahead() {
    let (mut bench, number) = asking(3);
    let normal = bench.core.now;
    bench.core.now = normal.plus(Duration::from_secs(86_400));
    say(&mut bench, "a", "ahead");
    bench.core.now = normal;
    say(&mut bench, "a", "right");
    assert_eq!(queued(&bench, number), ["ahead", "right"]);
    say(&mut bench, "a", "within the interval");
    assert_eq!(queued(&bench, number), ["ahead", "right"]);
}

#[test]
fn a_deadband_tells_nothing_from_what_the_queue_dropped() {
    let (mut bench, number) = asking(4);
    let bounds = std::mem::replace(&mut bench.core.bounds, Bounds { messages: 0, bytes: 0 });
    say(&mut bench, "a", "20");
    assert_eq!((queued(&bench, number), bench.core.sessions[&number].queue.dropped), (vec![], 1));
    bench.core.bounds = bounds;
    say(&mut bench, "a", "21");
    say(&mut bench, "a", "22");
    assert_eq!(queued(&bench, number), ["21"]);
}

/// What a client asks for of the past, and who reads for it.
fn looks_back(connection: u64) -> (Begin, Arc<tokio::sync::Notify>, tokio_util::sync::CancellationToken) {
    asks(connection, &Past::History { from: Timestamp::default(), until: None, most: None })
}

fn asks(connection: u64, past: &Past) -> (Begin, Arc<tokio::sync::Notify>, tokio_util::sync::CancellationToken) {
    let (wake, over) = (Arc::new(tokio::sync::Notify::new()), tokio_util::sync::CancellationToken::new());
    let filter = Filter {
        filter: TopicFilter::parse("a/#").unwrap(),
        qos: QoS::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::DoNotSend,
    };
    let catch_up = CatchUp::new(past, &[filter], 0, wake.clone(), over.clone().drop_guard());
    (Begin { connection, catch_up, begun: oneshot::channel().0 }, wake, over)
}

#[test]
fn what_was_asked_for_of_the_past_is_over_with_its_connection_and_its_reader_and_lets_go_what_waited() {
    let mut bench = Bench::new();
    for client in [0, 1] {
        bench.open(client, false, true, false);
    }
    bench.subscribe(0, 1, 1, 0, 0);
    let (number, connection) = bench.linked(0).unwrap();
    let (begin, _, over) = looks_back(connection + 7);
    assert!(!bench.core.begin_past(number, begin) && over.is_cancelled(), "another connection asked");

    let (begin, wake, over) = looks_back(connection);
    bench.core.begin_past(number, begin);
    bench.publish(1, 1, 1, 0, [false; 3]);
    let sent = |bench: &Bench| bench.core.sessions[&number].queue.front().filter(|entry| entry.sent).count();
    assert_eq!(sent(&bench), 0, "it waits behind what was");
    let (later, strange, refused) = looks_back(connection);
    assert!(!bench.core.begin_past(number, later) && refused.is_cancelled(), "one at a time");
    bench.core.leave_past(number, &strange);
    assert!(sent(&bench) == 0 && !over.is_cancelled(), "only who reads for it ends it");
    bench.core.leave_past(number, &wake);
    assert!(sent(&bench) == 1 && over.is_cancelled());

    let (begin, wake, over) = looks_back(connection);
    bench.core.begin_past(number, begin);
    bench.open(0, false, true, false);
    assert!(over.is_cancelled(), "the connection was taken over");
    assert_eq!(bench.core.room_for_past(number, &wake), Room::Gone);
}

/// Everything is kept.
struct KeepAll;

impl Keeping for KeepAll {
    fn of(&self, topic: &str) -> Option<Arc<Keep>> {
        (!topic.is_empty()).then(|| self.all().remove(0))
    }
    fn all(&self) -> Vec<Arc<Keep>> {
        vec![Arc::new(Keep {
            rule: "all".into(),
            filter: TopicFilter::parse("#").unwrap(),
            age: Duration::from_secs(3600),
            bytes: 1 << 20,
        })]
    }
}

/// A bench where messages are kept, and a client that asked for what was under `a/#`; who reads for it.
fn keeping(folder: &std::path::Path, qos: u8) -> (Bench, SessionNo, Arc<tokio::sync::Notify>) {
    let mut bench = Bench::new();
    let history = History::open(Some(folder), KeepAll.all(), bench.core.now);
    bench.core.history = Some(Arc::new(history));
    bench.core.keeping = Some(Arc::new(KeepAll));
    for client in [0, 1] {
        bench.open(client, false, true, false);
    }
    bench.subscribe(0, 1, qos, 0, 0);
    let (number, connection) = bench.linked(0).unwrap();
    let (begin, wake, _) = looks_back(connection);
    bench.core.begin_past(number, begin);
    (bench, number, wake)
}

fn marker(_: &[TopicFilter]) -> Message {
    let topic = TopicName::parse("$andon/history").unwrap();
    Message::internal(topic, Bytes::new(), QoS::AtMostOnce, false, Timestamp::default())
}

#[test]
fn what_was_is_through_once_what_was_held_back_is_however_much_is_kept_of_others() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, number, wake) = keeping(folder.path(), 0);
    let delivered = |bench: &Bench| bench.core.counters.delivered;
    let say = |bench: &mut Bench, topic| bench.publish(1, topic, 0, 0, [false; 3]);
    // Of no interest to it: its end is there at once.
    (0..3).for_each(|_| say(&mut bench, 2));
    assert_eq!(bench.core.history.as_ref().unwrap().last_no(), 3);
    assert_eq!(bench.core.end_past(number, &wake, 0, marker), Ended::Yes);
    let (begin, wake, _) = looks_back(bench.linked(0).unwrap().1);
    bench.core.begin_past(number, begin);
    say(&mut bench, 1);
    say(&mut bench, 3);
    assert_eq!(delivered(&bench), 0, "it is held back");
    assert_eq!(bench.core.end_past(number, &wake, 3, marker), Ended::NotBefore(5));
    // From now on nothing is held back, so the end comes.
    for _ in 0..5 {
        say(&mut bench, 1);
    }
    assert_eq!(delivered(&bench), 0, "it waits");
    assert_eq!(bench.core.end_past(number, &wake, 4, marker), Ended::NotBefore(5));
    assert_eq!(bench.core.end_past(number, &wake, 5, marker), Ended::Yes);
    assert_eq!(delivered(&bench), 5, "what waited went");
    say(&mut bench, 1);
    assert_eq!(delivered(&bench), 6);
}

#[test]
fn what_waits_behind_what_was_has_bounds_and_what_is_beyond_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, number, wake) = keeping(folder.path(), 0);
    bench.publish(1, 1, 0, 0, [false; 3]);
    assert_eq!(bench.core.end_past(number, &wake, 0, marker), Ended::NotBefore(1));
    for _ in 0..10_007 {
        bench.publish(1, 1, 0, 0, [false; 3]);
    }
    assert_eq!((bench.core.counters.delivered, bench.core.counters.dropped), (0, 7));
    assert_eq!(bench.core.end_past(number, &wake, 1, marker), Ended::Yes);
    assert_eq!(bench.core.counters.delivered, 10_000);
}

#[test]
fn who_is_no_faster_than_what_comes_is_through_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, number, wake) = keeping(folder.path(), 0);
    let mut read = 0;
    for round in [5000, 4000, 3600] {
        (0..round).for_each(|_| bench.publish(1, 1, 0, 0, [false; 3]));
        let owes = bench.core.history.as_ref().unwrap().last_no();
        assert_eq!(bench.core.end_past(number, &wake, read, marker), Ended::NotBefore(owes), "{round}");
        read = owes;
    }
    // 3,600 after 4,000 was too little less: what comes waits, and this is the end.
    bench.publish(1, 1, 0, 0, [false; 3]);
    assert_eq!(bench.core.end_past(number, &wake, read, marker), Ended::Yes);
    assert_eq!(bench.core.counters.delivered, 1);
}

/// As it was kept, of the last so many numbers.
fn kept(bench: &Bench, no: u64, topic: &str) -> crate::history::Kept {
    let message =
        Message::internal(TopicName::parse(topic).unwrap(), Bytes::new(), QoS::AtLeastOnce, false, bench.core.now);
    crate::history::Kept { no, message: Arc::new(message) }
}

/// How many of these numbers go to a connection that looks back.
fn brought(bench: &mut Bench, number: SessionNo, wake: &Arc<tokio::sync::Notify>, kept: &[(u64, &str)]) -> u64 {
    let mut messages = kept.iter().map(|(no, topic)| self::kept(bench, *no, topic)).collect();
    bench.core.send_past(number, wake, &mut messages).1
}

#[test]
fn what_waits_in_the_queue_by_any_subscription_is_not_brought_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, number, wake) = keeping(folder.path(), 0);
    // a/b with QoS 1 beside a/# with QoS 0, which is what it looks back under.
    bench.subscribe(0, 3, 1, 0, 0);
    for topic in [1, 3, 1, 0, 1, 1] {
        bench.publish(1, topic, 1, 0, [false; 3]);
    }
    assert_eq!(bench.core.sessions[&number].queue.len(), 4, "a/b waits");
    // What changes later changes nothing of what came before.
    bench.run(number, SessionOp::Unsubscribe { session: number, filters: vec![TopicFilter::parse("a/b").unwrap()] });
    let all = [(1, "a/b"), (2, "a/b/c"), (3, "a/b"), (4, "a"), (5, "a/b"), (6, "a/b")];
    assert_eq!(bench.core.end_past(number, &wake, 0, marker), Ended::NotBefore(4));
    assert_eq!(brought(&mut bench, number, &wake, &all[..3]), 1);
    assert_eq!(brought(&mut bench, number, &wake, &all[3..]), 1);
    assert_eq!(bench.core.end_past(number, &wake, 4, marker), Ended::Yes);
    assert_eq!(bench.core.sessions[&number].queue.front().filter(|entry| entry.sent).count(), 2, "its window");
}

#[test]
fn of_what_was_held_back_another_subscription_gets_its_part_when_one_is_taken_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, number, wake) = keeping(folder.path(), 0);
    bench.subscribe(0, 3, 0, 2, 0);
    for topic in [1, 3, 1] {
        bench.publish(1, topic, 0, 0, [false; 3]);
    }
    bench.run(number, SessionOp::Unsubscribe { session: number, filters: vec![TopicFilter::parse("a/#").unwrap()] });
    assert_eq!(brought(&mut bench, number, &wake, &[(0, "a"), (1, "a/b"), (2, "a/b/c"), (3, "a/b")]), 2);
    let delivered = bench.core.counters.delivered;
    let nobody = |_: &[TopicFilter]| -> Message { panic!("nobody is to hear of the end") };
    assert_eq!(bench.core.end_past(number, &wake, 3, nobody), Ended::Yes);
    assert_eq!(bench.core.counters.delivered, delivered);
}

#[test]
fn what_changes_too_often_between_waiting_and_held_back_ends_the_holding_back() {
    let folder = tempfile::tempdir().unwrap();
    let (mut bench, number, wake) = keeping(folder.path(), 1);
    for n in 0..8300 {
        bench.publish(1, 1, u8::from(n % 2 == 0), 0, [false; 3]);
    }
    // What waits beyond the bound of its queue is dropped, and so is nothing else.
    let owed = match bench.core.end_past(number, &wake, 0, marker) {
        Ended::NotBefore(owed) => owed,
        Ended::Yes => 0,
    };
    assert!(owed < 8300, "{owed}");
    assert_eq!(bench.core.end_past(number, &wake, owed, marker), Ended::Yes);
    assert_eq!(bench.core.counters.delivered - (8300 - owed) / 2, 2, "and what fits its window of QoS 1");
}

#[test]
fn what_is_sifted_does_not_overtake_the_last_message_of_its_topic() {
    let mut bench = Bench::new();
    for client in [0, 1] {
        bench.open(client, false, true, false);
    }
    // Of each topic one in two seconds.
    bench.subscribe(0, 1, 0, 0, 3);
    let (number, connection) = bench.linked(0).unwrap();
    let (begin, wake, _) = asks(connection, &Past::Last);
    bench.core.begin_past(number, begin);
    for _ in 0..2 {
        bench.publish(1, 1, 0, 0, [false; 3]);
        bench.step(&Step::Wait { seconds: 3 });
    }
    assert_eq!(bench.core.counters.delivered, 0, "the last message is on its way");
    assert_eq!(bench.core.end_past(number, &wake, 0, marker), Ended::Yes);
    assert_eq!((bench.core.counters.delivered, bench.core.counters.left_out), (1, 1), "the newest comes");
}
