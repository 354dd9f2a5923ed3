//! One client's connection, from the first byte to the last.

use crate::bridge::{MARKS, NODE};
use crate::broker::Broker;
use crate::frames::{Op, Open, SessionNo, SessionOp};
use crate::hooks::{EndReason, NoRight};
use crate::incoming::{Client, End};
use crate::line::Line;
use crate::outbox::Outbox;
use crate::proof::Proof;
use crate::queue::ID_WINDOW;
use crate::router::Reply;
use crate::session::Arrival;
use andon_model::access::Principal;
use andon_model::log::{AppendError, Seq};
use andon_wire::mqtt::{
    ConnAck, ConnAckProperties, Connect, DecodeError, Decoder, Fault, Limits, Packet, PacketType, ReasonCode, Text,
    TopicName, Version, Will,
};
use bytes::Bytes;
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio::time::timeout;

/// Who is at the other end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address.
    pub address: SocketAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Whether it came through a WebSocket.
    pub websocket: bool,
    /// The certificate that it has shown and whose key it has, in DER form.
    pub certificate: Option<Bytes>,
}

/// No client may have an identifier that begins so.
const RESERVED: &str = "andon:";
/// A CONNACK that says no.
const REFUSAL_BYTES: usize = 5;
/// How long the last words may take.
pub(crate) const FAREWELL: Duration = Duration::from_secs(2);
/// Why a client is not let in. `version`: what it speaks, if it got so far.
struct Refused {
    version: Option<Version>,
    reason: ReasonCode,
}

impl Broker {
    /// Serves one client over any byte stream (TCP, TLS, WebSocket); returns when its connection has ended, and lets go of `held` then.
    ///
    /// Budget: a client that is silent costs what this and its session take, so whatever is needed only for a while stands in memory of
    /// its own, and nothing is handed on by value, which would be kept twice.
    pub fn serve<S, H>(self: Arc<Self>, stream: S, peer: Peer, held: H) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        H: Send + Sync + 'static,
    {
        let place = Place::take(&self);
        let tracker = self.clients.clone();
        let arriving = Box::pin(self.arrive(stream, peer, place.number));
        tracker.track_future(async move {
            let _until_the_end = (&place, &held);
            let mut admitted = arriving.await;
            if let Some(admitted) = &mut admitted {
                place.broker.attend(admitted).await;
            }
        })
    }

    /// Tells a client no, whoever it is: it gets as far as its CONNECT. Nothing is asked and nothing is kept.
    pub fn decline<S>(self: Arc<Self>, stream: S, reason: ReasonCode) -> impl Future<Output = ()> + Send
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let place = Place::take(&self);
        let tracker = self.clients.clone();
        tracker.track_future(async move {
            if self.is_too_much(place.number) {
                return;
            }
            let mut line = self.line(stream);
            let heard = timeout(self.options.connect_deadline, read_connect(&mut line));
            let refused = tokio::select! {
                heard = heard => match heard {
                    Ok(Ok(connect)) => Refused { version: Some(connect.version), reason },
                    Ok(Err(refused)) => refused,
                    Err(_) => Refused { version: None, reason },
                },
                () = self.stop.cancelled() => return,
            };
            self.turn_away(&mut line, refused).await;
        })
    }

    /// A few over the limit are heard, so that they can be told; a flood is not.
    fn is_too_much(&self, place: usize) -> bool {
        self.stop.is_cancelled() || place > self.options.connections.saturating_add(64)
    }

    /// A connection that has said nothing yet.
    fn line<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> Line<S> {
        let limits =
            Limits { packet_bytes: self.options.connect_bytes(), user_properties: self.options.user_properties };
        Line::new(stream, Decoder::server(limits))
    }

    /// Lets a client in, or turns it away.
    async fn arrive<S>(self: Arc<Self>, stream: S, peer: Peer, place: usize) -> Option<Admitted<S>>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if self.is_too_much(place) {
            return None;
        }
        let mut line = self.line(stream);
        let admitted = tokio::select! {
            admitted = self.admit(&mut line, &peer, place) => admitted,
            () = self.stop.cancelled() => Err(Refused { version: None, reason: ReasonCode::SERVER_SHUTTING_DOWN }),
        };
        match admitted {
            Ok(client) => Some(Admitted { client, line }),
            Err(refused) => {
                self.turn_away(&mut line, refused).await;
                None
            }
        }
    }

    async fn turn_away<S: AsyncRead + AsyncWrite + Unpin>(&self, line: &mut Line<S>, refused: Refused) {
        let version = refused.version.unwrap_or(Version::V311);
        let outbox = Outbox::new(version, self.options.outbox_bytes, usize::MAX, false);
        // Before a CONNECT named a version MQTT has no words. MQTT 5.0 §3.1.4. What carries it may have some of its own.
        if refused.version.is_some() {
            let conn_ack = ConnAck { reason: refused.reason, ..ConnAck::default() };
            outbox.packet(&Packet::ConnAck(Box::new(conn_ack)));
        }
        let _ = timeout(FAREWELL, line.finish(&outbox)).await;
    }

    /// Reads CONNECT, asks who it is, opens the session. CONNACK is in the outbox when this returns.
    async fn admit<S: AsyncRead + AsyncWrite + Unpin>(
        self: &Arc<Self>,
        line: &mut Line<S>,
        peer: &Peer,
        place: usize,
    ) -> Result<Client, Refused> {
        let connect = match timeout(self.options.connect_deadline, read_connect(line)).await {
            Ok(connect) => connect?,
            Err(_) => return Err(Refused { version: None, reason: ReasonCode::KEEP_ALIVE_TIMEOUT }),
        };
        let version = connect.version;
        // Whoever takes no CONNACK cannot be told anything. MQTT 5.0 [MQTT-3.1.2-24].
        if packet_bytes(&connect) < REFUSAL_BYTES {
            return Err(Refused { version: None, reason: ReasonCode::PACKET_TOO_LARGE });
        }
        let refuse = |reason| Refused { version: Some(version), reason };
        if place > self.options.connections {
            return Err(refuse(ReasonCode::SERVER_BUSY));
        }
        let client_id = self.client_id(&connect).map_err(refuse)?;
        let as_of = self.hooks.access_as_of();
        let (principal, last_word) = self.identify(&connect, &client_id, peer, line).await?;
        if let Some(will) = &connect.will {
            self.check_will(&client_id, &principal, will).map_err(refuse)?;
        }
        // A bridge adds where a message was and of when it is.
        let is_bridge = connect.properties.user.iter().any(|(name, _)| name.as_str() == NODE);
        let room = if is_bridge { MARKS } else { 0 };
        line.input.decoder.set_limits(Limits {
            packet_bytes: self.options.packet_bytes(),
            user_properties: self.options.user_properties.saturating_add(room),
        });
        let client =
            self.open_session(&connect, client_id, principal.clone(), last_word, peer).await.map_err(refuse)?;
        if !self.hooks.is_still_let_in(&principal, as_of) {
            client.outbox.close(ReasonCode::NOT_AUTHORIZED);
        }
        Ok(client)
    }

    /// Who it is: by an exchange if it named a method, else by user name and password. With the last word of an exchange.
    async fn identify<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        connect: &Connect,
        client_id: &Text,
        peer: &Peer,
        line: &mut Line<S>,
    ) -> Result<(Principal, Bytes), Refused> {
        let within = self.options.authenticate_deadline;
        let refuse = |reason| Refused { version: Some(connect.version), reason };
        if let Some(method) = &connect.properties.authentication_method {
            return match timeout(within, self.prove(connect, method, client_id, peer, line)).await {
                Ok(Ok(proved)) => Ok(proved),
                Ok(Err(Some(reason))) => Err(refuse(reason)),
                Ok(Err(None)) => Err(Refused { version: None, reason: ReasonCode::NOT_AUTHORIZED }),
                Err(_) => Err(refuse(ReasonCode::NOT_AUTHORIZED)),
            };
        }
        let user = connect.user_name.as_ref().map(Text::as_str);
        let asked = self.hooks.authenticate(client_id.as_str(), user, connect.password.as_deref(), peer);
        match timeout(within, asked).await {
            Ok(Ok(principal)) => Ok((principal, Bytes::new())),
            Ok(Err(error)) => Err(refuse(error.reason())),
            Err(_) => Err(refuse(ReasonCode::SERVER_UNAVAILABLE)),
        }
    }

    /// The client's identifier, or one made for it.
    fn client_id(&self, connect: &Connect) -> Result<Text, ReasonCode> {
        let given = &connect.client_id;
        if given.as_bytes().len() > self.options.client_id_bytes {
            return Err(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
        // Under such a name a person publishes by hand.
        if given.as_bytes().starts_with(RESERVED.as_bytes()) {
            return Err(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
        if !given.is_empty() {
            return Ok(given.compact());
        }
        // MQTT 3.1.1 [MQTT-3.1.3-7], [MQTT-3.1.3-8]; MQTT 3.1 has no empty identifiers; MQTT 5.0 [MQTT-3.1.3-6].
        let may = match connect.version {
            Version::V31 => false,
            Version::V311 => connect.clean_start,
            Version::V5 => true,
        };
        if !may {
            return Err(ReasonCode::CLIENT_IDENTIFIER_NOT_VALID);
        }
        let id = format!("auto-{}", andon_bus::ids::new_id(&*self.clock));
        Text::parse(&id).map_err(|_| ReasonCode::UNSPECIFIED)
    }

    fn check_will(&self, client_id: &Text, who: &Principal, will: &Will) -> Result<(), ReasonCode> {
        let topic = will.topic.as_str();
        if will.topic.levels() > self.options.topic_levels {
            return Err(ReasonCode::TOPIC_NAME_INVALID);
        }
        // A will is published without anybody at the other end: it must not be a command.
        let refused = if will.topic.is_server_owned() {
            NoRight::ServerTopic
        } else if self.hooks.command_topic(topic) {
            NoRight::CommandAsWill
        } else if !self.hooks.may_publish(who, topic) {
            NoRight::Publish
        } else {
            return Ok(());
        };
        self.hooks.refused(client_id.as_str(), who, refused, topic);
        Err(ReasonCode::NOT_AUTHORIZED)
    }

    async fn open_session(
        self: &Arc<Self>,
        connect: &Connect,
        client_id: Text,
        principal: Principal,
        last_word: Bytes,
        peer: &Peer,
    ) -> Result<Client, ReasonCode> {
        let properties = &connect.properties;
        let asked_s = match connect.version {
            Version::V5 => properties.session_expiry_s.unwrap_or(0),
            _ if connect.clean_start => 0,
            _ => u32::MAX,
        };
        let expiry_s = asked_s.min(self.options.session_expiry_max_s);
        let keep_alive_s = self.keep_alive_s(connect);
        let tells_problems = properties.request_problem_information.unwrap_or(true);
        let packet_bytes = packet_bytes(connect);
        let mut outbox = Outbox::new(connect.version, self.options.outbox_bytes, packet_bytes, tells_problems);
        outbox.keep_alive_s = keep_alive_s;
        let outbox = Arc::new(outbox);
        let connection = self.next_connection.fetch_add(1, Ordering::Relaxed);
        let window =
            usize::from(properties.receive_maximum.unwrap_or(u16::MAX)).min(self.options.inflight).clamp(1, ID_WINDOW);
        self.names.learn(&principal, &*self.hooks);
        let sees_names = self.hooks.may_subscribe(&principal, "#");
        let (admitted, admission) = oneshot::channel();
        let arrival = Arrival {
            outbox: outbox.clone(),
            connection,
            principal: principal.clone(),
            address: peer.address,
            window,
            names: sees_names.then(|| self.names.clone()),
            aliases: properties.topic_alias_maximum.unwrap_or(0).min(self.options.topic_alias_maximum),
            denied: if connect.clean_start { HashSet::new() } else { self.take_rights(&client_id, &principal).await },
            conn_ack: self.conn_ack(connect, &client_id, asked_s, expiry_s, keep_alive_s, last_word),
            admitted,
        };
        // Nothing to write down if no session is to outlive this connection and none is there to be discarded. One that
        // ends with its connection ends now, for this CONNECT takes it over. MQTT 5.0 §3.1.2.11.2, [MQTT-3.1.4-3].
        let (known, ends, crowded) = self.with_core(|core| {
            let found = core.by_client.get(&client_id).copied();
            let ends = found.and_then(|number| core.sessions.get(&number)).is_some_and(|s| s.expiry_s == 0);
            let crowded = found.is_none() && core.sessions.len() >= self.options.sessions;
            (found.is_some_and(SessionNo::is_durable), ends, crowded)
        });
        let open = Open {
            client_id: client_id.clone(),
            clean_start: connect.clean_start || ends,
            expiry_s,
            at: self.clock.now(),
            will: connect.will.as_ref().map(compact),
            user: connect.user_name.as_ref().map(Text::compact),
            version: connect.version,
            principal: Some(principal.clone()),
            window: u16::try_from(window).unwrap_or(u16::MAX),
        };
        let op = Op::Session(SessionOp::Open(Box::new(open)));
        let reply = Reply::Open(Box::new(arrival));
        if crowded {
            return Err(ReasonCode::QUOTA_EXCEEDED);
        }
        if expiry_s > 0 || known {
            self.pipeline.submit(op, reply).await;
        } else {
            self.with_core(|core| core.apply(Seq(0), &op, reply));
        }
        let admission = match admission.await {
            Ok(Ok(admission)) => admission,
            Ok(Err(AppendError::DiskFull { .. })) => return Err(ReasonCode::QUOTA_EXCEEDED),
            Ok(Err(_)) | Err(_) => return Err(ReasonCode::SERVER_UNAVAILABLE),
        };
        Ok(Client::new(
            self.clone(),
            admission.session,
            connection,
            outbox,
            principal,
            client_id,
            keep_alive_s,
            asked_s,
            Proof::of(connect, peer),
        ))
    }

    /// A session that is resumed keeps none of the subscriptions to which its client has lost the right, and of the messages that wait
    /// in it those that the client may not have are not sent: the topics of those in memory (of the others when they are fetched).
    async fn take_rights(&self, client_id: &Text, who: &Principal) -> HashSet<TopicName> {
        if self.hooks.may_subscribe(who, "#") && self.hooks.may_subscribe(who, "$SYS/#") {
            return HashSet::new();
        }
        let resumed = self.with_core(|core| {
            let number = core.by_client.get(client_id).copied().filter(|number| number.is_durable())?;
            let session = core.sessions.get(&number)?;
            Some((number, session.subscriptions.keys().cloned().collect::<Vec<_>>()))
        });
        let Some((session, filters)) = resumed else { return HashSet::new() };
        let lost: Vec<_> =
            filters.into_iter().filter(|filter| !self.hooks.may_subscribe(who, filter.pattern())).collect();
        if !lost.is_empty() {
            lost.iter()
                .for_each(|filter| self.hooks.refused(client_id.as_str(), who, NoRight::Subscribe, filter.as_str()));
            let (gone, done) = oneshot::channel();
            let op = Op::Session(SessionOp::Unsubscribe { session, filters: lost });
            self.pipeline.submit(op, Reply::Done(gone)).await;
            // Nothing more comes into the session from them. If the log refuses, it refuses the connection next.
            let _ = done.await;
        }
        let mut topics: HashSet<TopicName> = self.with_core(|core| {
            let queues = core.sessions.get(&session).into_iter().flat_map(|session| session.queue.in_memory());
            let sieve = core.sessions.get(&session).and_then(|session| session.sieve.as_ref());
            let waiting = queues.chain(sieve.into_iter().flat_map(|sieve| sieve.in_memory()));
            waiting.map(|message| message.topic.clone()).collect()
        });
        topics.retain(|topic| !self.hooks.may_subscribe(who, topic.as_str()));
        topics
    }

    /// The keep alive in force, in seconds; 0: none. Only 5.0 clients can be told another than they asked for.
    fn keep_alive_s(&self, connect: &Connect) -> u16 {
        let most = self.options.keep_alive_max_s;
        if connect.version.is_v5() && most > 0 && (connect.keep_alive_s == 0 || connect.keep_alive_s > most) {
            most
        } else {
            connect.keep_alive_s
        }
    }

    /// What the client is told it can count on. MQTT 5.0 §3.2.2.3. What is left out is available: retain, QoS 2, wildcards,
    /// subscription identifiers, shared subscriptions.
    fn conn_ack(
        &self,
        connect: &Connect,
        id: &Text,
        asked_s: u32,
        expiry_s: u32,
        keep_alive_s: u16,
        last_word: Bytes,
    ) -> ConnAck {
        let options = &self.options;
        // A bridge of another node asks who we are, so that it does not send back what was here.
        let is_bridge = connect.properties.user.iter().any(|(name, _)| name.as_str() == NODE);
        let node = options.node.filter(|_| is_bridge).and_then(|id| Text::parse(&id.to_string()).ok());
        let node = Text::parse(NODE).ok().zip(node);
        let properties = ConnAckProperties {
            session_expiry_s: (asked_s != expiry_s).then_some(expiry_s),
            receive_maximum: Some(options.receive_maximum.max(1)),
            maximum_packet_size: Some(u32::try_from(options.packet_bytes()).unwrap_or(u32::MAX)),
            assigned_client_id: connect.client_id.is_empty().then(|| id.clone()),
            topic_alias_maximum: (options.topic_alias_maximum > 0).then_some(options.topic_alias_maximum),
            server_keep_alive_s: (keep_alive_s != connect.keep_alive_s).then_some(keep_alive_s),
            // [MQTT-4.12.0-5], [MQTT-4.12.0-6].
            authentication_method: connect.properties.authentication_method.clone(),
            authentication_data: (!last_word.is_empty()).then_some(last_word),
            user: node.into_iter().collect(),
            ..ConnAckProperties::default()
        };
        ConnAck { session_present: false, reason: ReasonCode::SUCCESS, properties }
    }

    /// Reads and writes until the connection ends, then lets the session know.
    async fn attend<S: AsyncRead + AsyncWrite + Unpin>(&self, Admitted { client, line }: &mut Admitted<S>) {
        // Also when this future is dropped.
        let mut leave = Leave::new(self, client);
        // Who was in by then is told by `Broker::stop`.
        if self.stop.is_cancelled() {
            client.outbox.close(ReasonCode::SERVER_SHUTTING_DOWN);
        }
        let end = client.attend(line).await;
        let outbox = &client.outbox;
        match end {
            End::Client { reason, keep_will, expiry_s } => {
                (leave.keep_will, leave.expiry_s, leave.end) = (keep_will, expiry_s, Some(EndReason::Client(reason)));
            }
            End::Server(reason) => {
                outbox.close(reason);
                leave.end = Some(EndReason::Server(reason));
            }
            End::BrokeRule(topic) => {
                outbox.close(ReasonCode::IMPLEMENTATION_SPECIFIC);
                leave.end = Some(EndReason::BrokeRule(topic));
            }
            End::MayNotPublish(topic) => {
                outbox.close(ReasonCode::NOT_AUTHORIZED);
                leave.end = Some(EndReason::MayNotPublish(topic));
            }
            End::Asked => {
                leave.end = Some(EndReason::Server(outbox.closing().unwrap_or(ReasonCode::UNSPECIFIED)));
            }
            End::Lost(detail) => leave.end = Some(EndReason::Lost(detail)),
        }
        drop(leave);
        let _ = Box::pin(timeout(FAREWELL, line.finish(outbox))).await;
    }
}

/// A client that is in, and its connection.
struct Admitted<S> {
    client: Client,
    line: Line<S>,
}

/// The largest packet the client takes.
pub(crate) fn packet_bytes(connect: &Connect) -> usize {
    connect.properties.maximum_packet_size.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX))
}

/// Reads until the CONNECT is complete.
async fn read_connect<S: AsyncRead + AsyncWrite + Unpin>(line: &mut Line<S>) -> Result<Connect, Refused> {
    loop {
        match line.input.next() {
            Ok(Some(Packet::Connect(connect))) => return Ok(*connect),
            Ok(Some(_)) => return Err(Refused { version: None, reason: ReasonCode::PROTOCOL_ERROR }),
            Ok(None) => {}
            Err(error) => return Err(Refused { version: answerable(&error), reason: error.reason() }),
        }
        match line.fill().await {
            Ok(0) | Err(_) => return Err(Refused { version: None, reason: ReasonCode::UNSPECIFIED }),
            Ok(_) => {}
        }
    }
}

/// The version to answer a faulty CONNECT in; `None`: close without a word, as [MQTT-3.1.4-1] of 3.1.1 asks for.
fn answerable(error: &DecodeError) -> Option<Version> {
    match (&error.fault, error.version) {
        // A level above ours is told so in 5.0, others in the way of 3.1.1. MQTT 5.0 [MQTT-3.1.2-2].
        (Fault::ProtocolLevel(level), None) => {
            Some(if *level > 5 && *level < 0x80 { Version::V5 } else { Version::V311 })
        }
        (_, Some(Version::V5)) if error.packet == PacketType::Connect => Some(Version::V5),
        (Fault::ClientId(_), version) => version,
        _ => None,
    }
}

fn compact(will: &Will) -> Will {
    let mut will = will.clone();
    will.topic = will.topic.compact();
    will.payload = Bytes::copy_from_slice(&will.payload);
    will
}

/// A place among the connections.
struct Place {
    broker: Arc<Broker>,
    number: usize,
}

impl Place {
    fn take(broker: &Arc<Broker>) -> Self {
        Self { broker: broker.clone(), number: broker.connections.fetch_add(1, Ordering::Relaxed) + 1 }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.broker.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells the session that its connection is over, whichever way that came about.
struct Leave<'a> {
    broker: &'a Broker,
    session: SessionNo,
    connection: u64,
    /// `None`: its task was dropped.
    end: Option<EndReason>,
    keep_will: bool,
    expiry_s: Option<u32>,
}

impl<'a> Leave<'a> {
    fn new(broker: &'a Broker, client: &Client) -> Self {
        Self {
            broker,
            session: client.session,
            connection: client.connection,
            end: None,
            keep_will: true,
            expiry_s: None,
        }
    }
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        let end = self.end.take();
        let end = end.unwrap_or_else(|| EndReason::Lost("the server stopped attending to it".to_owned()));
        self.broker.with_core(|core| core.detach(self.session, self.connection, end, self.keep_will, self.expiry_s));
    }
}
