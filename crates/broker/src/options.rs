//! What can be set.

use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// Limits and times of the broker. Every limit is announced to MQTT 5.0 clients where the protocol has a word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerOptions {
    /// The most connections at once; one more is refused with "server busy".
    pub connections: usize,
    /// The most sessions, connected or not.
    pub sessions: usize,
    /// How long a connection may take until its CONNECT is complete.
    pub connect_deadline: Duration,
    /// How long authentication may take.
    pub authenticate_deadline: Duration,
    /// The longest keep alive; MQTT 5.0 clients that ask for more, or none, are told to use this. Seconds.
    pub keep_alive_max_s: u16,
    /// The longest a session outlives its connection. Seconds; `u32::MAX`: for ever.
    pub session_expiry_max_s: u32,
    /// How many QoS > 0 messages a client may have unanswered ("receive maximum").
    pub receive_maximum: u16,
    /// How many QoS > 0 messages may be under way to one client, at most 4,096; a client may ask for fewer.
    pub inflight: usize,
    /// How many topic aliases a client may set, and how many are set towards one that takes them.
    pub topic_alias_maximum: u16,
    /// The largest payload, in bytes.
    pub payload_bytes: usize,
    /// The most levels of a topic name or filter.
    pub topic_levels: usize,
    /// The most user properties in a packet.
    pub user_properties: usize,
    /// The longest client identifier, in bytes.
    pub client_id_bytes: usize,
    /// The most subscriptions of one client.
    pub subscriptions: usize,
    /// The most messages waiting for one session.
    pub queue_messages: usize,
    /// The most bytes waiting for one session.
    pub queue_bytes: usize,
    /// How many bytes may wait to be written to one connection before more is held back (QoS > 0) or dropped (QoS 0).
    pub outbox_bytes: usize,
    /// The most retained messages; one more topic is refused with "quota exceeded".
    pub retained_messages: usize,
    /// How many commands of one connection may be under way; one more is refused.
    pub commands: usize,
    /// The most topics that the catalogue lists; 0: none.
    pub catalogue_topics: usize,
    /// The most bytes that names and payloads may take in the catalogue.
    pub catalogue_bytes: usize,
    /// Where messages are kept that rules say are to be kept; `None`: nowhere.
    pub history_dir: Option<PathBuf>,
    /// A snapshot is taken whenever this many bytes went into the lane.
    pub snapshot_bytes: u64,
    /// How often the `$SYS` topics are published; zero: never.
    pub sys_interval: Duration,
    /// How long stopping waits for connections to end.
    pub stop_deadline: Duration,
    /// The node's id, told to bridges of other nodes that name theirs.
    pub node: Option<Uuid>,
}

impl Default for BrokerOptions {
    fn default() -> Self {
        Self {
            connections: 10_000,
            sessions: 100_000,
            connect_deadline: Duration::from_secs(5),
            authenticate_deadline: Duration::from_secs(30),
            keep_alive_max_s: 3600,
            session_expiry_max_s: 30 * 86_400,
            receive_maximum: 1024,
            inflight: 1024,
            topic_alias_maximum: 64,
            payload_bytes: 1 << 20,
            topic_levels: 32,
            user_properties: 64,
            client_id_bytes: 1024,
            subscriptions: 1000,
            queue_messages: 100_000,
            queue_bytes: 64 << 20,
            outbox_bytes: 256 << 10,
            retained_messages: 1_000_000,
            commands: 16,
            catalogue_topics: 100_000,
            catalogue_bytes: 128 << 20,
            history_dir: None,
            snapshot_bytes: 64 << 20,
            sys_interval: Duration::from_secs(10),
            stop_deadline: Duration::from_secs(5),
            node: None,
        }
    }
}

impl BrokerOptions {
    /// The largest packet accepted from a client: the payload with room for topic and properties.
    pub(crate) fn packet_bytes(&self) -> usize {
        self.payload_bytes.saturating_add(1 << 17)
    }

    /// The largest packet accepted until a client is let in: strangers are not trusted with more. Client identifier, will, user name
    /// and password may have 64 KiB each.
    pub(crate) fn connect_bytes(&self) -> usize {
        self.packet_bytes().min(320 << 10)
    }
}
