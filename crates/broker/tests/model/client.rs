//! A client that speaks in packets over memory, and keeps what a client must keep.

use crate::harness::Site;
use crate::oracle::Came;
use andon_broker::Peer;
use andon_wire::mqtt::*;
use bytes::BytesMut;
use std::collections::{BTreeSet, HashMap, VecDeque};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

/// A connection.
pub struct Line {
    io: DuplexStream,
    buffer: BytesMut,
    decoder: Decoder,
    pub version: Version,
    aliases: HashMap<u16, TopicName>,
}

impl Line {
    pub fn dial(site: &Site, version: Version) -> Self {
        let (near, far) = tokio::io::duplex(1 << 20);
        let peer = Peer { address: site.address, tls: false, websocket: false, certificate: None };
        tokio::spawn(site.broker.clone().serve(far, peer, ()));
        let decoder = Decoder::client(version, Limits::default());
        Self { io: near, buffer: BytesMut::new(), decoder, version, aliases: HashMap::new() }
    }

    pub async fn send(&mut self, packets: &[Packet]) -> Result<(), String> {
        let mut out = BytesMut::new();
        for packet in packets {
            packet.encode(self.version, &mut out).map_err(|error| error.to_string())?;
        }
        self.io.write_all(&out).await.map_err(|error| format!("the broker does not read: {error}"))
    }

    /// Any bytes.
    pub async fn send_bytes(&mut self, bytes: &[u8]) -> Result<(), String> {
        let sent =
            timeout(crate::patience(), self.io.write_all(bytes)).await.map_err(|_| "the broker does not read")?;
        sent.map_err(|error| error.to_string())
    }

    /// Hears what is said until the broker closes, and makes nothing of it.
    pub async fn drain(&mut self) -> Result<(), String> {
        let mut heard = Vec::new();
        match timeout(crate::patience(), self.io.read_to_end(&mut heard)).await {
            Ok(_) => Ok(()),
            Err(_) => Err("the broker does not close".to_owned()),
        }
    }

    /// Nothing more is said; what is answered can still be heard.
    pub async fn no_more(&mut self) {
        // If the broker has closed already, that is no news.
        let _ = self.io.shutdown().await;
    }

    /// The next packet; `None`: the broker closed.
    pub async fn next(&mut self) -> Result<Option<Packet>, String> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.buffer).map_err(|error| error.to_string())? {
                return Ok(Some(packet));
            }
            match timeout(crate::patience(), self.io.read_buf(&mut self.buffer)).await {
                Err(_) => return Err("nothing came".to_owned()),
                Ok(Ok(0) | Err(_)) => return Ok(None),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// A PUBLISH with its topic, whichever way that was said.
    pub fn came(&mut self, publish: &Publish) -> Result<Came, String> {
        let topic = match (&publish.topic, publish.properties.topic_alias) {
            (Some(topic), Some(alias)) => {
                self.aliases.insert(alias, topic.clone());
                topic.clone()
            }
            (Some(topic), None) => topic.clone(),
            (None, Some(alias)) => self.aliases.get(&alias).cloned().ok_or("an alias that was not set")?,
            (None, None) => return Err("a message without a topic".to_owned()),
        };
        let mut ids = publish.properties.subscription_ids.clone();
        ids.sort_unstable();
        Ok(Came {
            topic: topic.as_str().to_owned(),
            payload: String::from_utf8_lossy(&publish.payload).into_owned(),
            qos: publish.qos,
            retain: publish.retain,
            dup: publish.dup,
            packet_id: publish.packet_id,
            ids,
            expiry_s: publish.properties.message_expiry_s,
        })
    }
}

/// A QoS 2 message of the client's own that it has not released.
pub struct Half {
    pub publish: Publish,
}

/// A client; what outlives its connection is kept.
#[derive(Default)]
pub struct Client {
    pub line: Option<Line>,
    /// QoS 2 messages that it got and that were not released.
    pub open: BTreeSet<u16>,
    pub halves: VecDeque<Half>,
    pub next_id: u16,
    /// Answers to its own messages that nobody has asked for yet.
    pub answers: Vec<Packet>,
    /// Answers that it is to give later.
    pub later: Vec<Packet>,
    pub silent: bool,
    pub twice: bool,
}

impl Client {
    pub fn packet_id(&mut self) -> u16 {
        // Not the same as the others, and those that the broker gives out may be the same.
        self.next_id = self.next_id % 60_000 + 1;
        self.next_id
    }

    /// A new session: nothing of the old one holds.
    pub fn forget(&mut self) {
        self.open.clear();
        self.halves.clear();
    }
}
