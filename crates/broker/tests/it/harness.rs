//! A broker in a temporary folder, and a client that speaks in packets.

use andon_broker::*;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::access::Principal;
use andon_model::log::Log;
use andon_model::{BoxFuture, Clock, SystemClock, Timestamp};
use andon_wire::mqtt::*;
use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use uuid::Uuid;

/// How long any single wait may take before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// A clock with an offset that the test turns.
#[derive(Default)]
pub struct TurnedClock {
    ahead: Mutex<Duration>,
}

impl TurnedClock {
    pub fn turn(&self, by: Duration) {
        *self.ahead.lock().unwrap() += by;
    }
}

impl Clock for TurnedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus(*self.ahead.lock().unwrap())
    }
    fn monotonic(&self) -> Duration {
        SystemClock.monotonic() + *self.ahead.lock().unwrap()
    }
}

/// Lets everybody in; topics below `secret/` are closed, topics below `command/` are commands; below `volatile/` and `strict/`
/// rules hold.
#[derive(Default)]
pub struct TestHooks {
    pub mapped: Mutex<Vec<Message>>,
    pub replayed: Mutex<Vec<Message>>,
    pub commands: Mutex<Vec<(TopicName, Bytes, UserProperties)>>,
    pub events: Mutex<Vec<ConnectionEvent>>,
    pub drops: Mutex<Vec<DropReport>>,
    /// Who was removed while it was being let in.
    pub removed: Mutex<Vec<Uuid>>,
    /// Who the riddle makes of one, if not press-7.
    pub turns_into: Mutex<Option<Uuid>>,
    /// Client identifiers of those who did not prove who they are.
    pub unproven: Mutex<Vec<String>>,
    /// Client identifier, what it has no right to, and topic.
    pub refused: Mutex<Vec<(String, NoRight, String)>>,
    /// What nobody may receive any more: topics that begin with one of these.
    pub lost: Mutex<Vec<&'static str>>,
    /// Where nobody may publish any more: topics that begin with one of these.
    pub closed: Mutex<Vec<&'static str>>,
    /// What has become a command: topics that begin with one of these.
    pub commands_now: Mutex<Vec<&'static str>>,
    /// The topics of messages whose rule was asked.
    pub asked: Mutex<Vec<String>>,
    /// Commands wait while this is locked.
    pub hold_commands: tokio::sync::Mutex<()>,
}

#[async_trait]
impl BrokerHooks for TestHooks {
    async fn authenticate(
        &self,
        client_id: &str,
        user: Option<&str>,
        password: Option<&[u8]>,
        _: &Peer,
    ) -> Result<Principal, AuthError> {
        match (user, password) {
            (Some("press-7"), Some(b"right")) => {
                Ok(Principal { id: Uuid::from_u128(7), kind: andon_model::access::PrincipalKind::Device })
            }
            (Some("press-7"), _) => Err(AuthError::BadCredentials),
            _ if client_id == "taken" => Err(AuthError::ClientId),
            _ => Ok(Principal::ANONYMOUS),
        }
    }
    fn exchange(&self, method: &str, _: &str, _: Option<&str>, _: &Peer) -> Option<Box<dyn Exchange>> {
        let id = self.turns_into.lock().unwrap().unwrap_or(Uuid::from_u128(7));
        (method == RIDDLE).then(|| Box::new(Riddle { id, asked: false }) as _)
    }
    fn is_still_let_in(&self, who: &Principal, _: u64) -> bool {
        !self.removed.lock().unwrap().contains(&who.id)
    }
    fn unproven(&self, client_id: &str, _: &Peer) {
        self.unproven.lock().unwrap().push(client_id.to_owned());
    }
    fn may_publish(&self, _: &Principal, topic: &str) -> bool {
        !topic.starts_with("secret/") && !self.closed.lock().unwrap().iter().any(|closed| topic.starts_with(closed))
    }
    /// Below `volatile/` messages are volatile; below `strict/` a payload is `good` and no topic has a capital X; what comes
    /// below `odd/` is withheld.
    fn rule(&self, offer: &Offer<'_>) -> Ruling {
        self.asked.lock().unwrap().push(offer.topic.to_owned());
        let strict = offer.topic.starts_with("strict/");
        if strict && offer.topic.contains('X') {
            return Ruling::Refused(Refused { topic: true, words: "no capital X".to_owned() });
        }
        if strict && offer.payload != b"good" {
            return Ruling::Refused(Refused { topic: false, words: "it is not good".to_owned() });
        }
        if offer.topic.starts_with("odd/") {
            return Ruling::Withheld { rule: "odd".to_owned(), words: "it is odd".to_owned() };
        }
        if offer.topic.starts_with("volatile/") { Ruling::Volatile } else { Ruling::Durable }
    }
    fn refused(&self, client_id: &str, _: &Principal, what: NoRight, topic: &str) {
        self.refused.lock().unwrap().push((client_id.to_owned(), what, topic.to_owned()));
    }
    fn may_subscribe(&self, _: &Principal, filter: &str) -> bool {
        let lost = self.lost.lock().unwrap();
        let all = lost.is_empty() || !filter.starts_with('#');
        all && !filter.starts_with("secret/") && !lost.iter().any(|lost| filter.starts_with(lost))
    }
    fn keeping(&self) -> Option<Arc<dyn Keeping>> {
        Some(Arc::new(KeepUnder))
    }
    fn name_of(&self, who: &Principal) -> Option<String> {
        (who.id == Uuid::from_u128(7)).then(|| "Press 7".to_owned())
    }
    fn will(&self, message: &Message) -> Option<Bytes> {
        let dated = message.topic.as_str().starts_with("dated/");
        dated.then(|| Bytes::from(format!("{} at {}", String::from_utf8_lossy(&message.payload), message.received)))
    }
    fn on_message(&self, message: &Message) -> Option<BoxFuture<'static, ()>> {
        self.mapped.lock().unwrap().push(message.clone());
        None
    }
    fn replayed(&self, message: &Message) {
        self.replayed.lock().unwrap().push(message.clone());
    }
    fn command_topic(&self, topic: &str) -> bool {
        topic.starts_with("command/") || self.commands_now.lock().unwrap().iter().any(|now| topic.starts_with(now))
    }
    async fn command(
        &self,
        _: &Principal,
        topic: &TopicName,
        payload: &Bytes,
        user: &UserProperties,
    ) -> Result<(), CommandRefusal> {
        let _held = self.hold_commands.lock().await;
        self.commands.lock().unwrap().push((topic.clone(), payload.clone(), user.clone()));
        match payload.as_ref() {
            b"forbidden" => Err(CommandRefusal::NotAuthorised("no operator".to_owned())),
            b"in vain" => Err(CommandRefusal::Ended("the device did not answer".to_owned())),
            b"too much" => Err(CommandRefusal::Refused("above the limit of 80 °C".to_owned())),
            _ => Ok(()),
        }
    }
    fn connection(&self, event: ConnectionEvent) {
        self.events.lock().unwrap().push(event);
    }
    fn dropped(&self, report: DropReport) {
        self.drops.lock().unwrap().push(report);
    }
}

/// Messages below `kept/` are kept for a week.
struct KeepUnder;

impl Keeping for KeepUnder {
    fn of(&self, topic: &str) -> Option<Arc<Keep>> {
        topic.starts_with("kept/").then(|| self.all().remove(0))
    }
    fn all(&self) -> Vec<Arc<Keep>> {
        let filter = TopicFilter::parse("kept/#").unwrap();
        vec![Arc::new(Keep { rule: "kept".into(), filter, age: Duration::from_secs(7 * 86_400), bytes: 64 << 20 })]
    }
}

/// A method: whoever knows the answer is press-7.
pub const RIDDLE: &str = "RIDDLE";

pub struct Riddle {
    /// Who it is with the right answer.
    id: Uuid,
    asked: bool,
}

impl Exchange for Riddle {
    fn hear(&mut self, data: &[u8]) -> Heard {
        match data {
            b"I am press-7" if !self.asked => {
                self.asked = true;
                Heard::Continue(Bytes::from_static(b"what has four legs in the morning?"))
            }
            b"man" if self.asked => {
                let principal = Principal { id: self.id, kind: andon_model::access::PrincipalKind::Device };
                Heard::Done(principal, Bytes::from_static(b"pass"))
            }
            b"ask again" => Heard::Continue(Bytes::new()),
            b"nobody" => Heard::Refused(AuthError::NotAuthorised),
            _ => Heard::Refused(AuthError::BadCredentials),
        }
    }
}

/// A broker with a listener.
pub struct Site {
    pub broker: Arc<Broker>,
    pub hooks: Arc<TestHooks>,
    pub clock: Arc<TurnedClock>,
    pub address: SocketAddr,
    listener: tokio::task::JoinHandle<()>,
}

impl Site {
    pub async fn on(log: Arc<dyn Log>, options: BrokerOptions) -> Self {
        Self::at(log, options, Arc::default()).await
    }

    /// With a clock that was turned before.
    pub async fn at(log: Arc<dyn Log>, options: BrokerOptions, clock: Arc<TurnedClock>) -> Self {
        let hooks = Arc::new(TestHooks::default());
        let broker = Broker::new(options, log, hooks.clone(), clock.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = broker.clone();
        let listener = tokio::spawn(async move {
            while let Ok((stream, address)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                tokio::spawn(serving.clone().serve(
                    stream,
                    Peer { address, tls: false, websocket: false, certificate: None },
                    (),
                ));
            }
        });
        Self { broker, hooks, clock, address, listener }
    }

    pub async fn stop(self) {
        self.listener.abort();
        self.broker.stop().await;
    }

    /// Leaves the broker without stopping it, as a kill would.
    pub fn abandon(self) {
        self.listener.abort();
    }

    /// A broker with its usual limits on a log of its own.
    pub async fn usual() -> (tempfile::TempDir, Self) {
        Self::with(BrokerOptions::default()).await
    }

    pub async fn with(options: BrokerOptions) -> (tempfile::TempDir, Self) {
        let folder = tempfile::tempdir().unwrap();
        let site = Self::on(open_log(folder.path()), options).await;
        (folder, site)
    }

    /// As [`Site::client`], for a session that is there already.
    pub async fn again(&self, connect: Connect) -> Client {
        let mut client = Client::dial(self.address, connect.version).await;
        assert!(client.connect(connect).await.session_present);
        client
    }

    /// Waits until the broker has noticed that this client is gone.
    pub async fn until_away(&self, client_id: &str) {
        until(|| !self.broker.clients().iter().any(|c| c.client_id == client_id && c.connected)).await;
    }

    pub async fn client(&self, connect: Connect) -> Client {
        let mut client = Client::dial(self.address, connect.version).await;
        let conn_ack = client.connect(connect).await;
        assert_eq!(conn_ack.reason, ReasonCode::SUCCESS);
        client
    }
}

/// The real log.
pub fn open_log(folder: &Path) -> Arc<DurableLog> {
    let options = LogOptions { segment_bytes: 4 << 20, ..LogOptions::default() };
    DurableLog::open(folder, Uuid::from_u128(1), options, Arc::new(OsDisk), Arc::new(SystemClock)).unwrap().0
}

/// A clean 5.0 CONNECT.
pub fn hello(client_id: &str) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 60,
        client_id: Text::parse(client_id).unwrap(),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

/// A 5.0 CONNECT that resumes and is kept for an hour.
pub fn lasting(client_id: &str) -> Connect {
    let properties = ConnectProperties { session_expiry_s: Some(3600), ..ConnectProperties::default() };
    Connect { clean_start: false, properties, ..hello(client_id) }
}

/// A 3.1.1 CONNECT; `clean`: with a session that ends with its connection.
pub fn old(client_id: &str, clean: bool) -> Connect {
    Connect { version: Version::V311, clean_start: clean, ..hello(client_id) }
}

pub fn will(topic: &str, delay_s: Option<u32>) -> Will {
    Will {
        topic: TopicName::parse(topic).unwrap(),
        payload: Bytes::from_static(b"gone"),
        qos: QoS::AtLeastOnce,
        retain: false,
        properties: WillProperties { delay_s, ..WillProperties::default() },
    }
}

/// A filter with the options that ask for nothing special.
pub fn filter(text: &str, qos: QoS) -> Filter {
    Filter {
        filter: TopicFilter::parse(text).unwrap(),
        qos,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::Send,
    }
}

/// The bytes of a packet.
pub fn bytes_of(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).unwrap();
    out.to_vec()
}

/// What somebody hears who sends these bytes and nothing more, until the broker closes.
pub async fn answer_to(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut heard = Vec::new();
    // A reset instead of an orderly end is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("the broker did not close");
    heard
}

pub fn publish(topic: &str, payload: &str, qos: QoS, packet_id: u16) -> Publish {
    Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::parse(topic).unwrap()),
        packet_id,
        properties: PublishProperties::default(),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

/// The next packet of a stream; `None`: the other side closed.
pub async fn packet_from(stream: &mut TcpStream, decoder: &mut Decoder, buffer: &mut BytesMut) -> Option<Packet> {
    loop {
        if let Some(packet) = decoder.decode(buffer).unwrap() {
            return Some(packet);
        }
        let read = timeout(PATIENCE, stream.read_buf(buffer)).await.expect("nothing came");
        if !matches!(read, Ok(n) if n > 0) {
            return None;
        }
    }
}

pub struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    decoder: Decoder,
    version: Version,
}

impl Client {
    pub async fn dial(address: SocketAddr, version: Version) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let decoder = Decoder::client(version, Limits::default());
        Self { stream, buffer: BytesMut::new(), decoder, version }
    }

    pub async fn connect(&mut self, connect: Connect) -> ConnAck {
        self.send(Packet::Connect(Box::new(connect))).await;
        match self.next().await {
            Packet::ConnAck(ack) => *ack,
            other => panic!("instead of CONNACK: {other:?}"),
        }
    }

    pub async fn send(&mut self, packet: Packet) {
        let mut out = BytesMut::new();
        packet.encode(self.version, &mut out).unwrap();
        self.stream.write_all(&out).await.unwrap();
    }

    /// Sends, unless the broker has closed.
    pub async fn try_send(&mut self, packet: &Packet) {
        let _ = self.stream.write_all(&bytes_of(packet, self.version)).await;
    }

    /// These bytes in one go, whatever they are.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next packet; `None`: the broker closed.
    pub async fn try_next(&mut self) -> Option<Packet> {
        packet_from(&mut self.stream, &mut self.decoder, &mut self.buffer).await
    }

    pub async fn next(&mut self) -> Packet {
        self.try_next().await.expect("the broker closed")
    }

    pub async fn next_publish(&mut self) -> Publish {
        match self.next().await {
            Packet::Publish(publish) => publish,
            other => panic!("instead of PUBLISH: {other:?}"),
        }
    }

    /// The broker's last word is DISCONNECT, then it closes. Gives the reason.
    pub async fn farewell(&mut self) -> ReasonCode {
        match self.next().await {
            Packet::Disconnect(disconnect) => {
                assert_eq!(disconnect.properties.session_expiry_s, None, "only a client may say it");
                assert!(disconnect.properties.user.is_empty());
                assert_eq!(self.try_next().await, None, "nothing after DISCONNECT");
                disconnect.reason
            }
            other => panic!("instead of DISCONNECT: {other:?}"),
        }
    }

    /// The next packet is an answer of this kind; gives its reason.
    pub async fn expect_ack(&mut self, kind: fn(Ack) -> Packet, packet_id: u16) -> ReasonCode {
        let packet = self.next().await;
        let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack)) = &packet else {
            panic!("instead of an answer: {packet:?}");
        };
        let reason = ack.reason;
        let may_have_words = !reason.is_success() && matches!(packet, Packet::PubAck(_) | Packet::PubRec(_));
        assert!(may_have_words || ack.properties == AckProperties::default(), "words go with a no to a message alone");
        assert!(ack.properties.user.is_empty(), "we send none");
        assert_eq!(packet, kind(Ack { packet_id, ..ack.clone() }));
        reason
    }

    /// The client's side of a QoS 2 message to it, from PUBREC to PUBCOMP.
    pub async fn finish_qos_2(&mut self, packet_id: u16) {
        self.send(Packet::PubRec(Ack::new(packet_id, ReasonCode::SUCCESS))).await;
        self.expect_ack(Packet::PubRel, packet_id).await;
        self.send(Packet::PubComp(Ack::new(packet_id, ReasonCode::SUCCESS))).await;
    }

    /// The client's side of its own QoS 2 message, from PUBREL to PUBCOMP.
    pub async fn release(&mut self, packet_id: u16) {
        assert_eq!(self.try_release(packet_id).await, ReasonCode::SUCCESS);
    }

    /// PUBREL; the reason in PUBCOMP.
    pub async fn try_release(&mut self, packet_id: u16) -> ReasonCode {
        self.send(Packet::PubRel(Ack::new(packet_id, ReasonCode::SUCCESS))).await;
        self.expect_ack(Packet::PubComp, packet_id).await
    }

    /// The answers to one SUBSCRIBE.
    pub async fn subscribe_all(&mut self, packet_id: u16, filters: Vec<Filter>, id: Option<u32>) -> Vec<ReasonCode> {
        let properties = SubscribeProperties { subscription_id: id.into_iter().collect(), ..Default::default() };
        self.send(Packet::Subscribe(Subscribe { packet_id, properties, filters })).await;
        match self.next().await {
            Packet::SubAck(ack) => {
                assert_eq!((ack.packet_id, ack.properties), (packet_id, AckProperties::default()));
                ack.reasons
            }
            other => panic!("instead of SUBACK: {other:?}"),
        }
    }

    /// The answers to one UNSUBSCRIBE.
    pub async fn unsubscribe(&mut self, packet_id: u16, filters: &[&str]) -> Vec<ReasonCode> {
        let filters = filters.iter().map(|f| TopicFilter::parse(f).unwrap()).collect();
        self.send(Packet::Unsubscribe(Unsubscribe { packet_id, properties: Default::default(), filters })).await;
        match self.next().await {
            Packet::UnsubAck(ack) => {
                assert_eq!((ack.packet_id, ack.properties), (packet_id, AckProperties::default()));
                ack.reasons
            }
            other => panic!("instead of UNSUBACK: {other:?}"),
        }
    }

    /// Nothing has come and nothing comes before the answer to a PINGREQ.
    pub async fn expect_nothing(&mut self) {
        self.send(Packet::PingReq).await;
        assert_eq!(self.next().await, Packet::PingResp);
    }

    pub async fn subscribe(&mut self, filter: &str, qos: QoS) -> ReasonCode {
        self.subscribe_with(filter, qos, |_| {}).await
    }

    pub async fn subscribe_with(&mut self, filter: &str, qos: QoS, change: impl FnOnce(&mut Filter)) -> ReasonCode {
        let filter = TopicFilter::parse(filter).unwrap();
        let retain_handling = RetainHandling::Send;
        let mut line = Filter { filter, qos, no_local: false, retain_as_published: false, retain_handling };
        change(&mut line);
        let properties = SubscribeProperties::default();
        self.send(Packet::Subscribe(Subscribe { packet_id: 9, properties, filters: vec![line] })).await;
        match self.next().await {
            Packet::SubAck(ack) => ack.reasons[0],
            other => panic!("instead of SUBACK: {other:?}"),
        }
    }

    /// Publishes with QoS 1 and waits for the answer.
    pub async fn publish_1(&mut self, topic: &str, payload: &str) -> ReasonCode {
        self.send(Packet::Publish(publish(topic, payload, QoS::AtLeastOnce, 77))).await;
        match self.next().await {
            Packet::PubAck(ack) => ack.reason,
            other => panic!("instead of PUBACK: {other:?}"),
        }
    }

    pub async fn ack(&mut self, publish: &Publish) {
        self.send(Packet::PubAck(Ack::new(publish.packet_id, ReasonCode::SUCCESS))).await;
    }

    /// Says goodbye and waits for the end.
    pub async fn leave(mut self) {
        self.send(Packet::Disconnect(Disconnect::default())).await;
        while self.try_next().await.is_some() {}
    }
}

/// Waits until something holds.
pub async fn until(mut holds: impl FnMut() -> bool) {
    timeout(PATIENCE, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("what was waited for did not happen");
}
