//! What clients and the node do, and how a night of it is made up.

use andon_wire::mqtt::{QoS, RetainHandling};
use proptest::prelude::*;

/// How many clients there are.
pub const CLIENTS: usize = 3;

/// Topics that are published to. The filters overlap over them.
pub const TOPICS: [&str; 5] = ["a", "a/b", "a/b/c", "d", "a/"];

/// What is subscribed to.
pub const FILTERS: [&str; 11] =
    ["a", "a/b", "a/#", "+/b", "a/+", "#", "d", "+", "$share/g/a/#", "$share/h/+", "$share/g/d"];

/// One step.
#[derive(Clone, Debug)]
pub enum Op {
    /// CONNECT; takes over if the client is connected.
    Connect { client: usize, profile: Profile },
    /// The connection ends.
    Leave { client: usize, how: Leave },
    /// SUBSCRIBE with one or two filters.
    Subscribe { client: usize, lines: Vec<Line>, id: Option<u32> },
    /// UNSUBSCRIBE.
    Unsubscribe { client: usize, filter: usize },
    /// PUBLISH, one after the other without waiting in between.
    Publish { client: usize, messages: Vec<Post> },
    /// The client goes on with the QoS 2 exchanges it left half done: PUBREL and what follows.
    Finish { client: usize },
    /// From now on, how the client answers what it gets.
    Answer { client: usize, how: Answering },
    /// Time goes by: so many thousand seconds.
    Wait { thousands: u64 },
    /// The node ends and starts again from its log.
    Restart { kill: bool, settled: bool },
}

/// How a client connects. Times are given in thousands of seconds and are half of one longer, so that it is never in
/// doubt what has come first.
#[derive(Clone, Debug)]
pub struct Profile {
    pub v5: bool,
    pub clean: bool,
    /// How long the session outlives the connection: not at all, so many thousand seconds, or (3.1.1) for ever.
    pub expiry: Option<u64>,
    pub receive_maximum: Option<u16>,
    pub aliases: bool,
    pub will: Option<WillPlan>,
}

#[derive(Clone, Debug)]
pub struct WillPlan {
    pub topic: usize,
    pub qos: QoS,
    pub retain: bool,
    pub delay: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// DISCONNECT.
    Normally,
    /// DISCONNECT, and the will is to be published all the same (5.0; 3.1.1 breaks off instead).
    WithWill,
    /// DISCONNECT with a session expiry of 0 (5.0; 3.1.1 as [`Leave::Normally`]).
    ForGood,
    /// The connection breaks.
    Broken,
}

#[derive(Clone, Debug)]
pub struct Line {
    pub filter: usize,
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub handling: RetainHandling,
}

#[derive(Clone, Debug)]
pub struct Post {
    pub topic: usize,
    pub qos: QoS,
    pub retain: bool,
    /// Thousands of seconds it is good for.
    pub expiry: Option<u64>,
    /// No payload: forgets what is retained.
    pub empty: bool,
    /// QoS 2: stop after PUBREC.
    pub half: bool,
    /// QoS 2: say PUBLISH twice.
    pub twice: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answering {
    /// At once.
    AtOnce,
    /// At once, and everything twice.
    Twice,
    /// Not at all, until told otherwise.
    NotAtAll,
}

fn qos() -> impl Strategy<Value = QoS> {
    prop_oneof![Just(QoS::AtMostOnce), Just(QoS::AtLeastOnce), Just(QoS::ExactlyOnce)]
}

fn profile() -> impl Strategy<Value = Profile> {
    let will = (0..TOPICS.len(), qos(), any::<bool>(), proptest::option::of(0_u64..3))
        .prop_map(|(topic, qos, retain, delay)| WillPlan { topic, qos, retain, delay });
    (
        any::<bool>(),
        proptest::bool::weighted(0.3),
        prop_oneof![1 => Just(None), 4 => (1_u64..6).prop_map(Some)],
        proptest::option::of(1_u16..4),
        any::<bool>(),
        proptest::option::weighted(0.4, will),
    )
        .prop_map(|(v5, clean, expiry, receive_maximum, aliases, will)| Profile {
            v5,
            clean,
            expiry,
            receive_maximum,
            aliases,
            will,
        })
}

fn line() -> impl Strategy<Value = Line> {
    let handling =
        prop_oneof![Just(RetainHandling::Send), Just(RetainHandling::SendIfNew), Just(RetainHandling::DoNotSend)];
    (0..FILTERS.len(), qos(), proptest::bool::weighted(0.2), any::<bool>(), handling).prop_map(
        |(filter, qos, no_local, retain_as_published, handling)| Line {
            filter,
            qos,
            no_local,
            retain_as_published,
            handling,
        },
    )
}

fn post() -> impl Strategy<Value = Post> {
    (
        0..TOPICS.len(),
        qos(),
        proptest::bool::weighted(0.3),
        proptest::option::weighted(0.4, 0_u64..3),
        proptest::bool::weighted(0.1),
        proptest::bool::weighted(0.3),
        proptest::bool::weighted(0.2),
    )
        .prop_map(|(topic, qos, retain, expiry, empty, half, twice)| Post {
            topic,
            qos,
            retain,
            expiry,
            empty: empty && retain,
            half,
            twice,
        })
}

/// One step, any.
pub fn op() -> impl Strategy<Value = Op> {
    let client = || 0..CLIENTS;
    let leave = prop_oneof![
        2 => Just(Leave::Normally),
        1 => Just(Leave::WithWill),
        1 => Just(Leave::ForGood),
        3 => Just(Leave::Broken)
    ];
    let how = prop_oneof![Just(Answering::AtOnce), Just(Answering::Twice), Just(Answering::NotAtAll)];
    prop_oneof![
        5 => (client(), profile()).prop_map(|(client, profile)| Op::Connect { client, profile }),
        3 => (client(), leave).prop_map(|(client, how)| Op::Leave { client, how }),
        5 => (client(), proptest::collection::vec(line(), 1..3), proptest::option::of(1_u32..4))
            .prop_map(|(client, lines, id)| Op::Subscribe { client, lines, id }),
        1 => (client(), 0..FILTERS.len()).prop_map(|(client, filter)| Op::Unsubscribe { client, filter }),
        9 => (client(), proptest::collection::vec(post(), 1..5))
            .prop_map(|(client, messages)| Op::Publish { client, messages }),
        2 => client().prop_map(|client| Op::Finish { client }),
        2 => (client(), how).prop_map(|(client, how)| Op::Answer { client, how }),
        2 => (1_u64..4).prop_map(|thousands| Op::Wait { thousands }),
        1 => (any::<bool>(), any::<bool>()).prop_map(|(kill, settled)| Op::Restart { kill, settled }),
    ]
}

/// A night: connections first, so that something happens, then anything.
pub fn night() -> impl Strategy<Value = Vec<Op>> {
    let start = proptest::collection::vec(profile(), 2..CLIENTS + 1).prop_map(|profiles| {
        profiles.into_iter().enumerate().map(|(client, profile)| Op::Connect { client, profile }).collect::<Vec<_>>()
    });
    (start, proptest::collection::vec(op(), 4..40)).prop_map(|(mut start, rest)| {
        start.extend(rest);
        start
    })
}
