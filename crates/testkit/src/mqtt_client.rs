//! A small MQTT client for simulated devices and for tests: one connection, QoS 0 and 1, 3.1.1 or 5.0.
//!
//! **Invariants**: every wait on the broker has a deadline; what is sent waits in one buffer, so that
//! [`MqttClient::next`] may be dropped at any await without tearing a packet; at most [`MAX_PENDING`] received
//! messages wait to be fetched, further ones close the connection with an error.
//!
//! Start reading at [`MqttClient::connect`].

use andon_wire::mqtt::{
    Ack, Connect, ConnectProperties, DecodeError, Decoder, Disconnect, DisconnectProperties, EncodeError, Filter,
    Limits, Packet, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, Subscribe, SubscribeProperties, Text,
    TextError, TopicFilter, TopicFilterError, TopicName, TopicNameError, Version, Will, WillProperties,
};
use bytes::{Bytes, BytesMut};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// The most messages that wait for [`MqttClient::next`].
pub const MAX_PENDING: usize = 1024;
const DEADLINE: Duration = Duration::from_secs(10);

/// A message, either way.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Where.
    pub topic: String,
    /// What.
    pub payload: Bytes,
    /// At least once rather than at most once.
    pub at_least_once: bool,
    /// To be kept for later subscribers; received: is a kept one.
    pub retain: bool,
}

impl Message {
    /// QoS 0, not retained.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), payload: payload.into(), at_least_once: false, retain: false }
    }
    /// The same with QoS 1.
    #[must_use]
    pub fn sure(self) -> Self {
        Self { at_least_once: true, ..self }
    }
    /// The same, retained.
    #[must_use]
    pub fn retained(self) -> Self {
        Self { retain: true, ..self }
    }
    fn qos(&self) -> QoS {
        if self.at_least_once { QoS::AtLeastOnce } else { QoS::AtMostOnce }
    }
}

/// How to connect.
#[derive(Clone)]
pub struct Options {
    /// The broker.
    pub address: SocketAddr,
    /// 3.1.1 or 5.0.
    pub version: Version,
    /// The client's name.
    pub client_id: String,
    /// User and password; `None`: anonymous.
    pub credential: Option<(String, String)>,
    /// What the broker publishes when the client goes without a word.
    pub will: Option<Message>,
    /// After this long without a packet the broker may close the connection.
    pub keep_alive: Duration,
}

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The socket.
    #[error("the connection to the broker failed")]
    Io(#[from] io::Error),
    /// Closed by the broker.
    #[error("the broker closed the connection")]
    Closed,
    /// Nothing came in time.
    #[error("the broker did not answer {0} within 10 s")]
    Silent(&'static str),
    /// CONNECT or SUBSCRIBE was answered with no.
    #[error("the broker refused {what}: {reason:?}")]
    Refused {
        /// What was asked.
        what: String,
        /// The answer.
        reason: ReasonCode,
    },
    /// Not MQTT.
    #[error("the broker sent what is no MQTT packet")]
    Decode(#[from] DecodeError),
    /// A packet that a broker may not send now.
    #[error("the broker sent {0} out of turn")]
    Unexpected(String),
    /// Too long for a packet.
    #[error("the packet cannot be written")]
    Encode(#[from] EncodeError),
    /// A name that MQTT does not allow.
    #[error("a name is not allowed in MQTT")]
    Name(#[from] TopicNameError),
    /// A filter that MQTT does not allow.
    #[error("a topic filter is not allowed in MQTT")]
    Filter(#[from] TopicFilterError),
    /// A text that MQTT does not allow.
    #[error("a text is not allowed in MQTT")]
    Text(#[from] TextError),
    /// More than [`MAX_PENDING`] messages were not fetched.
    #[error("more than {MAX_PENDING} messages wait to be read")]
    Overrun,
}

/// A connected client. Dropping it closes the socket without DISCONNECT, so that the broker publishes the will.
#[derive(Debug)]
pub struct MqttClient {
    stream: TcpStream,
    version: Version,
    decoder: Decoder,
    inbox: BytesMut,
    outbox: BytesMut,
    pending: VecDeque<Message>,
    last_packet_id: u16,
}

impl MqttClient {
    /// Connects with a clean session and waits for the broker's yes.
    /// # Errors
    /// [`ClientError::Refused`] when the broker says no, others when there is none.
    pub async fn connect(options: &Options) -> Result<Self, ClientError> {
        Ok(Self::open(options, None).await?.0)
    }

    /// Connects and goes on with the session that the broker keeps under the client's name; true: there was one. Once
    /// the client is gone the broker keeps it for `kept_for` (MQTT 3.1.1: for as long as the broker likes).
    /// # Errors
    /// As [`Self::connect`].
    pub async fn resume(options: &Options, kept_for: Duration) -> Result<(Self, bool), ClientError> {
        Self::open(options, Some(kept_for)).await
    }

    async fn open(options: &Options, kept_for: Option<Duration>) -> Result<(Self, bool), ClientError> {
        let stream = timeout(DEADLINE, TcpStream::connect(options.address)).await;
        let stream = stream.map_err(|_| ClientError::Silent("the connection"))??;
        stream.set_nodelay(true)?;
        let mut client = Self {
            stream,
            version: options.version,
            decoder: Decoder::client(options.version, Limits::default()),
            inbox: BytesMut::new(),
            outbox: BytesMut::new(),
            pending: VecDeque::new(),
            last_packet_id: 0,
        };
        client.put(&Packet::Connect(Box::new(connect_packet(options, kept_for)?)))?;
        match client.answer("CONNECT").await? {
            Packet::ConnAck(ack) if ack.reason.0 < 0x80 => Ok((client, ack.session_present)),
            Packet::ConnAck(ack) => Err(ClientError::Refused { what: "CONNECT".to_owned(), reason: ack.reason }),
            other => Err(ClientError::Unexpected(format!("{other:?}"))),
        }
    }

    /// Publishes; with QoS 1 returns once the broker has acknowledged.
    /// # Errors
    /// As [`ClientError`]; the connection is then of no more use.
    pub async fn publish(&mut self, message: &Message) -> Result<(), ClientError> {
        let packet_id = if message.at_least_once { self.packet_id() } else { 0 };
        self.publish_as(message, packet_id, false).await
    }

    /// Publishes under a number of the caller's, who can say it again with `dup` in a session that is resumed. Not
    /// acknowledged there, a message is sent again under its number before anything else. [MQTT-4.4.0-1]
    /// # Errors
    /// As [`ClientError`]; the connection is then of no more use.
    pub async fn publish_as(&mut self, message: &Message, packet_id: u16, dup: bool) -> Result<(), ClientError> {
        self.put(&Packet::Publish(Publish {
            dup,
            qos: message.qos(),
            retain: message.retain,
            topic: Some(TopicName::parse(&message.topic)?),
            packet_id,
            properties: PublishProperties::default(),
            payload: message.payload.clone(),
        }))?;
        if !message.at_least_once {
            return self.flush().await;
        }
        match self.answer("PUBLISH").await? {
            Packet::PubAck(ack) if ack.packet_id == packet_id && ack.reason.0 < 0x80 => Ok(()),
            Packet::PubAck(ack) if ack.packet_id == packet_id => {
                Err(ClientError::Refused { what: format!("a message on {}", message.topic), reason: ack.reason })
            }
            other => Err(ClientError::Unexpected(format!("{other:?}"))),
        }
    }

    /// Subscribes with QoS 1 and waits for the broker's yes to every filter.
    /// # Errors
    /// [`ClientError::Refused`] names the first filter that was refused.
    pub async fn subscribe(&mut self, filters: &[&str]) -> Result<(), ClientError> {
        let packet_id = self.packet_id();
        let filter = |text: &&str| {
            Ok::<_, ClientError>(Filter {
                filter: TopicFilter::parse(text)?,
                qos: QoS::AtLeastOnce,
                no_local: false,
                retain_as_published: false,
                retain_handling: RetainHandling::Send,
            })
        };
        let checked = filters.iter().map(filter).collect::<Result<Vec<_>, _>>()?;
        self.put(&Packet::Subscribe(Subscribe {
            packet_id,
            properties: SubscribeProperties::default(),
            filters: checked,
        }))?;
        match self.answer("SUBSCRIBE").await? {
            Packet::SubAck(ack) => match filters.iter().zip(&ack.reasons).find(|(_, reason)| reason.0 >= 0x80) {
                Some((filter, reason)) => Err(ClientError::Refused { what: (*filter).to_owned(), reason: *reason }),
                None => Ok(()),
            },
            other => Err(ClientError::Unexpected(format!("{other:?}"))),
        }
    }

    /// The next message of a subscription. May be dropped while it waits; nothing is lost.
    /// # Errors
    /// As [`ClientError`]; the connection is then of no more use.
    pub async fn next(&mut self) -> Result<Message, ClientError> {
        loop {
            self.flush().await?;
            if let Some(message) = self.pending.pop_front() {
                return Ok(message);
            }
            match self.packet().await? {
                Packet::Publish(publish) => self.take(publish)?,
                Packet::PingResp => {}
                Packet::Disconnect(_) => return Err(ClientError::Closed),
                other => return Err(ClientError::Unexpected(format!("{other:?}"))),
            }
        }
    }

    /// Says that the client is still there; the answer is taken by [`Self::next`].
    /// # Errors
    /// As [`ClientError`].
    pub async fn ping(&mut self) -> Result<(), ClientError> {
        self.put(&Packet::PingReq)?;
        self.flush().await
    }

    /// Says good-bye, so that the broker keeps the will to itself.
    /// # Errors
    /// As [`ClientError`].
    pub async fn disconnect(mut self) -> Result<(), ClientError> {
        let reason = ReasonCode::SUCCESS;
        self.put(&Packet::Disconnect(Disconnect { reason, properties: DisconnectProperties::default() }))?;
        self.flush().await?;
        Ok(self.stream.shutdown().await?)
    }

    /// A number for the next packet.
    pub fn packet_id(&mut self) -> u16 {
        self.last_packet_id = self.last_packet_id.checked_add(1).unwrap_or(1);
        self.last_packet_id
    }

    fn put(&mut self, packet: &Packet) -> Result<(), ClientError> {
        Ok(packet.encode(self.version, &mut self.outbox)?)
    }

    async fn flush(&mut self) -> Result<(), ClientError> {
        while !self.outbox.is_empty() {
            if timeout(DEADLINE, self.stream.write_buf(&mut self.outbox))
                .await
                .map_err(|_| ClientError::Silent("the socket"))??
                == 0
            {
                return Err(ClientError::Closed);
            }
        }
        Ok(())
    }

    /// The answer to what was just put; messages that come before it wait for [`Self::next`].
    async fn answer(&mut self, to: &'static str) -> Result<Packet, ClientError> {
        let wait = async {
            loop {
                self.flush().await?;
                match self.packet().await? {
                    Packet::Publish(publish) => self.take(publish)?,
                    Packet::PingResp => {}
                    Packet::Disconnect(_) => return Err(ClientError::Closed),
                    other => return Ok(other),
                }
            }
        };
        timeout(DEADLINE, wait).await.map_err(|_| ClientError::Silent(to))?
    }

    fn take(&mut self, publish: Publish) -> Result<(), ClientError> {
        if self.pending.len() >= MAX_PENDING {
            return Err(ClientError::Overrun);
        }
        if publish.qos == QoS::AtLeastOnce {
            self.put(&Packet::PubAck(Ack::new(publish.packet_id, ReasonCode::SUCCESS)))?;
        }
        let topic = publish.topic.ok_or_else(|| ClientError::Unexpected("a topic alias".to_owned()))?;
        self.pending.push_back(Message {
            topic: topic.as_str().to_owned(),
            payload: publish.payload,
            at_least_once: publish.qos != QoS::AtMostOnce,
            retain: publish.retain,
        });
        Ok(())
    }

    async fn packet(&mut self) -> Result<Packet, ClientError> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.inbox)? {
                return Ok(packet);
            }
            if self.stream.read_buf(&mut self.inbox).await? == 0 {
                return Err(ClientError::Closed);
            }
        }
    }
}

fn connect_packet(options: &Options, kept_for: Option<Duration>) -> Result<Connect, ClientError> {
    let will = match &options.will {
        None => None,
        Some(will) => Some(Will {
            topic: TopicName::parse(&will.topic)?,
            payload: will.payload.clone(),
            qos: will.qos(),
            retain: will.retain,
            properties: WillProperties::default(),
        }),
    };
    let mut properties = ConnectProperties::default();
    if options.version == Version::V5 {
        properties.session_expiry_s = kept_for.map(|span| u32::try_from(span.as_secs()).unwrap_or(u32::MAX));
    }
    let user_name = options.credential.as_ref().map(|(user, _)| Text::parse(user)).transpose()?;
    Ok(Connect {
        version: options.version,
        clean_start: kept_for.is_none(),
        keep_alive_s: u16::try_from(options.keep_alive.as_secs()).unwrap_or(u16::MAX),
        client_id: Text::parse(&options.client_id)?,
        will,
        user_name,
        password: options.credential.as_ref().map(|(_, password)| Bytes::copy_from_slice(password.as_bytes())),
        properties,
    })
}
