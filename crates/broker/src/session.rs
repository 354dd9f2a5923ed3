//! A client's session, and the connection it may have.

use crate::asks::{Ask, Extra};
use crate::frames::SessionNo;
use crate::message::{Alias, Encodings, How, Message};
use crate::origin::Names;
use crate::outbox::Outbox;
use crate::past::CatchUp;
use crate::queue::Queue;
use crate::sieve::Sieve;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::log::Seq;
use andon_wire::mqtt::{ConnAck, EncodedPublish, Filter, QoS, Text, TopicFilter, TopicName, Version, Will};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// A session. Durable ones change by applied operations only, except for `link` and what it marks in the queue.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) number: SessionNo,
    pub(crate) client_id: Text,
    pub(crate) user: Option<Text>,
    /// As whom its client was last let in; `None`: by an earlier version, which did not write that down.
    pub(crate) principal: Option<Principal>,
    /// How many QoS > 0 messages its client took at a time when it last came; 0: not written down.
    pub(crate) window: u16,
    /// Seconds it outlives its connection; `u32::MAX`: for ever.
    pub(crate) expiry_s: u32,
    /// The number of the operation that began its last connection.
    pub(crate) opened: u64,
    pub(crate) subscriptions: BTreeMap<TopicFilter, Subscription>,
    pub(crate) queue: Queue,
    /// QoS 2 packet identifiers of messages from the client that it has not released; of durable sessions only.
    /// With [`Message::mark`] of each; 0: not known.
    pub(crate) inbound: BTreeMap<u16, u32>,
    /// What waits, of subscriptions that asked for less than all, with QoS 1 and 2. In memory of its own, for most have none.
    pub(crate) sieve: Option<Box<Sieve>>,
    /// When the lane was last asked to let in what is due there; not durable.
    pub(crate) due_asked: Timestamp,
    pub(crate) will: Option<Box<Will>>,
    /// When the last connection ended; `None`: connected, as far as the lane says.
    pub(crate) gone_at: Option<Timestamp>,
    /// When it last came or went.
    pub(crate) since: Timestamp,
    pub(crate) version: Version,
    pub(crate) address: Option<SocketAddr>,
    pub(crate) link: Option<Box<Link>>,
}

impl Session {
    /// How many messages may be in the queue of a client that is to get the newest: what it takes at a time.
    pub(crate) fn has_room(&self) -> bool {
        self.queue.len() < if self.window == 0 { UNKNOWN_WINDOW } else { usize::from(self.window) }
    }

    /// The oldest message that waits in the log.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        let sieve = self.sieve.as_ref().and_then(|sieve| sieve.oldest());
        self.queue.oldest().into_iter().chain(sieve).min()
    }

    /// The numbers up to `last` of messages that wait in the log, in its order.
    pub(crate) fn up_to(&self, last: Seq) -> Vec<Seq> {
        let mut seqs = self.queue.up_to(last);
        seqs.extend(self.sieve.iter().flat_map(|sieve| sieve.up_to(last)));
        seqs.sort_unstable();
        seqs.dedup();
        seqs
    }

    pub(crate) fn expires_at(&self) -> Option<Timestamp> {
        let at = self.gone_at?;
        (self.expiry_s != u32::MAX).then(|| at.plus(Duration::from_secs(u64::from(self.expiry_s))))
    }

    /// When the will of a client that is gone is to be published: after its delay, or when the session ends if that is
    /// sooner. MQTT 5.0 §3.1.3.2.2.
    pub(crate) fn will_at(&self) -> Option<Timestamp> {
        let delay_s = self.will.as_ref()?.properties.delay_s.unwrap_or(0).min(self.expiry_s);
        Some(self.gone_at?.plus(Duration::from_secs(u64::from(delay_s))))
    }
}

/// What counts as the window of a client that came to an earlier version. Part of the format.
const UNKNOWN_WINDOW: usize = 64;

/// A subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscription {
    pub(crate) filter: Filter,
    /// Its identifier; 0: none.
    pub(crate) id: u32,
    /// What it asks for beyond MQTT.
    pub(crate) ask: Ask,
    /// How many messages were left out for it since the start, or since it was made; not durable.
    pub(crate) left_out: u64,
}

/// A session's connection: what is lost when it ends.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) outbox: Arc<Outbox>,
    /// Tells this connection from earlier and later ones.
    pub(crate) connection: u64,
    pub(crate) principal: Principal,
    pub(crate) address: SocketAddr,
    /// How many QoS > 0 messages may be under way.
    pub(crate) window: usize,
    pub(crate) in_flight: usize,
    /// The place in the queue up to which everything was sent.
    pub(crate) cursor: u64,
    /// The next messages are being fetched from the log.
    pub(crate) fetching: bool,
    /// QoS 0 messages that a new subscription is owed and that found no room yet, and those that came after them.
    pub(crate) later: VecDeque<Later>,
    /// What waits with QoS 0, of subscriptions that asked for less than all.
    pub(crate) sieve: Option<Box<Sieve>>,
    /// What it asked for of the past is on its way.
    pub(crate) catch_up: Option<Box<CatchUp>>,
    /// Within an episode of dropping QoS 0 messages.
    pub(crate) slow: bool,
    /// QoS 0 messages dropped.
    pub(crate) dropped: u64,
    /// Topics of messages that waited and that the client may not have any more.
    pub(crate) denied: HashSet<TopicName>,
    /// `None`: the client takes none.
    pub(crate) aliases: Option<Box<Aliases>>,
    /// What publishers are called, if it may know; without, it is told their ids.
    pub(crate) names: Option<Arc<Names>>,
}

/// The topic aliases that we have set towards a client: for the topics that came first, as many as it takes.
#[derive(Debug)]
pub(crate) struct Aliases {
    most: u16,
    known: HashMap<TopicName, u16>,
}

impl Aliases {
    pub(crate) fn new(most: u16) -> Option<Box<Self>> {
        (most > 0).then(|| Box::new(Self { most, known: HashMap::new() }))
    }

    fn of(&self, topic: &TopicName) -> Option<Alias> {
        if let Some(number) = self.known.get(topic) {
            return Some(Alias { number: *number, is_new: false });
        }
        let number = u16::try_from(self.known.len() + 1).ok().filter(|number| *number <= self.most)?;
        Some(Alias { number, is_new: true })
    }
}

impl Link {
    /// The bytes of a message for this client; `None` if it takes no packet as large. Whoever asks sends them: an alias in them is known
    /// from then on.
    pub(crate) fn encode(
        &mut self,
        encodings: &mut Encodings<'_>,
        qos: QoS,
        retain: bool,
        ids: &[u32],
        extra: Extra,
    ) -> Option<EncodedPublish> {
        let how = How { retain, ids, extra, names: self.names.as_deref() };
        let most = self.outbox.packet_bytes;
        let fits = |bytes: &EncodedPublish| bytes.size() <= most;
        if let Some(aliases) = &mut self.aliases
            && let Some(alias) = aliases.of(encodings.topic())
            && let Some(bytes) = encodings.aliased(qos, how, alias).filter(fits)
        {
            if alias.is_new {
                // In memory of its own: a name that came just now is a part of all that was read with it.
                aliases.known.insert(encodings.topic().compact(), alias.number);
            }
            return Some(bytes);
        }
        encodings.get(self.outbox.version, qos, how).filter(fits)
    }
}

/// A QoS 0 message held back until there is room.
#[derive(Debug)]
pub(crate) struct Later {
    pub(crate) message: Arc<Message>,
    pub(crate) retain: bool,
    pub(crate) ids: Box<[u32]>,
    pub(crate) extra: Extra,
}

/// A client at the door: its CONNECT was accepted, its session is yet to be found or made.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) connection: u64,
    pub(crate) principal: Principal,
    pub(crate) address: SocketAddr,
    pub(crate) window: usize,
    /// Topics of waiting messages that this client may not have.
    pub(crate) denied: HashSet<TopicName>,
    /// How many topic aliases may be set towards it.
    pub(crate) aliases: u16,
    /// What publishers are called, if it may know.
    pub(crate) names: Option<Arc<Names>>,
    /// The answer, complete but for "session present".
    pub(crate) conn_ack: ConnAck,
    pub(crate) admitted: oneshot::Sender<Result<Admission, andon_model::log::AppendError>>,
}

/// The client is in.
#[derive(Debug)]
pub(crate) struct Admission {
    pub(crate) session: SessionNo,
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("version", &self.version).finish_non_exhaustive()
    }
}
