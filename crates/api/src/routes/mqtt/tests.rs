//! MQTT over WebSocket, frame by frame, as a client that we did not write may send it. The table is in `docs/conformance/mqtt.md`.

use super::{Problem, carry, lets_in};
use crate::serve::{Bounds, serve};
use crate::socket::Intake;
use andon_broker::*;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::access::Principal;
use andon_model::peer::Places;
use andon_model::{BoxFuture, SystemClock};
use andon_wire::mqtt::*;
use async_trait::async_trait;
use axum::Extension;
use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

/// How long any single wait may take before the test fails.
const PATIENCE: Duration = Duration::from_secs(10);

const BINARY: u8 = 2;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;
/// What clients change their bytes with.
const MASK: [u8; 4] = [0x5A, 0xC3, 0x0F, 0x96];
/// No further frame belongs to this one.
const LAST: u8 = 0x80;

/// Lets everybody do everything.
#[derive(Default)]
struct Open {
    drops: Mutex<Vec<DropReport>>,
}

#[async_trait]
impl BrokerHooks for Open {
    async fn authenticate(
        &self,
        _: &str,
        _: Option<&str>,
        _: Option<&[u8]>,
        peer: &Peer,
    ) -> Result<Principal, AuthError> {
        assert!(peer.websocket);
        Ok(Principal::ANONYMOUS)
    }
    fn may_publish(&self, _: &Principal, _: &str) -> bool {
        true
    }
    fn may_subscribe(&self, _: &Principal, _: &str) -> bool {
        true
    }
    fn on_message(&self, _: &Message) -> Option<BoxFuture<'static, ()>> {
        None
    }
    fn command_topic(&self, _: &str) -> bool {
        false
    }
    async fn command(&self, _: &Principal, _: &TopicName, _: &Bytes, _: &UserProperties) -> Result<(), CommandRefusal> {
        Ok(())
    }
    fn connection(&self, _: ConnectionEvent) {}
    fn dropped(&self, report: DropReport) {
        self.drops.lock().expect("a lock").push(report);
    }
}

/// A broker behind a WebSocket.
struct Site {
    broker: Arc<Broker>,
    hooks: Arc<Open>,
    address: SocketAddr,
    _folder: tempfile::TempDir,
    _stop: DropGuard,
}

impl Site {
    async fn with(options: BrokerOptions) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let log = DurableLog::open(
            folder.path(),
            Uuid::from_u128(1),
            LogOptions { segment_bytes: 4 << 20, ..LogOptions::default() },
            Arc::new(OsDisk),
            Arc::new(SystemClock),
        );
        let log = log.expect("a log").0;
        let hooks = Arc::new(Open::default());
        let broker = Broker::new(options, log, hooks.clone(), Arc::new(SystemClock)).expect("a broker");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let serving = broker.clone();
        let open = move |Extension(intake): Extension<Intake>, upgrade: WebSocketUpgrade| async move {
            let peer =
                Peer { address: SocketAddr::from(([127, 0, 0, 1], 1)), tls: false, websocket: true, certificate: None };
            carry(upgrade, serving, peer, intake, ()) as Result<_, Problem>
        };
        let router = Router::new().route("/mqtt", get(open));
        let bounds = Bounds { connections: 100, per_address: Places::new(100, Arc::new(SystemClock)) };
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, None, bounds, stop.clone()));
        Self { broker, hooks, address, _folder: folder, _stop: stop.drop_guard() }
    }

    async fn usual() -> Self {
        Self::with(BrokerOptions::default()).await
    }

    /// A WebSocket with nothing on it yet.
    async fn dial(&self) -> Client {
        let (stream, head) = self.ask("sec-websocket-protocol: mqtt\r\n").await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        Client::new(stream)
    }

    /// The answer to an upgrade with these further headers, without its body.
    async fn ask(&self, more: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).await.expect("a connection");
        let request = format!(
            "GET /mqtt HTTP/1.1\r\nhost: {}\r\nconnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n",
            self.address
        );
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, stream.read_u8()).await.expect("an answer in time").expect("an answer"));
        }
        (stream, String::from_utf8(head).expect("text"))
    }

    /// A client that has been let in.
    async fn client(&self, client_id: &str) -> Client {
        let mut client = self.dial().await;
        client.send(&Packet::Connect(Box::new(hello(client_id)))).await;
        assert!(matches!(client.packet().await, Packet::ConnAck(ack) if ack.reason == ReasonCode::SUCCESS));
        client
    }
}

fn hello(client_id: &str) -> Connect {
    Connect {
        version: Version::V5,
        clean_start: true,
        keep_alive_s: 60,
        client_id: Text::parse(client_id).expect("a text"),
        will: None,
        user_name: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

fn bytes_of(packet: &Packet) -> Vec<u8> {
    let mut out = BytesMut::new();
    packet.encode(Version::V5, &mut out).expect("a packet");
    out.to_vec()
}

fn message(topic: &str, payload: &[u8], qos: QoS, packet_id: u16) -> Packet {
    Packet::Publish(Publish {
        dup: false,
        qos,
        retain: false,
        topic: Some(TopicName::parse(topic).expect("a topic")),
        packet_id,
        properties: PublishProperties::default(),
        payload: Bytes::copy_from_slice(payload),
    })
}

/// A client's frame. RFC 6455 §5.2.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = head(first, payload.len() as u64);
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// The first byte and the length, as a client says it.
fn head(first: u8, length: u64) -> Vec<u8> {
    match length {
        0..=125 => vec![first, 0x80 | u8::try_from(length).expect("short")],
        126..=0xFFFF => [vec![first, 0xFE], u16::try_from(length).expect("short").to_be_bytes().to_vec()].concat(),
        _ => [vec![first, 0xFF], length.to_be_bytes().to_vec()].concat(),
    }
}

struct Client {
    stream: TcpStream,
    buffer: BytesMut,
    decoder: Decoder,
}

impl Client {
    fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            buffer: BytesMut::new(),
            decoder: Decoder::client(Version::V5, Limits { packet_bytes: 16 << 20, ..Limits::default() }),
        }
    }

    async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("sent");
    }

    /// One packet in one frame.
    async fn send(&mut self, packet: &Packet) {
        self.raw(&frame(LAST | BINARY, &bytes_of(packet))).await;
    }

    /// The next frame of the server: its first byte and what it holds. `None`: the connection is over.
    async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let read = async {
            let [first, length] = [self.stream.read_u8().await?, self.stream.read_u8().await?];
            assert_eq!(length & 0x80, 0, "a server masks nothing");
            let length = match length {
                126 => u64::from(self.stream.read_u16().await?),
                127 => self.stream.read_u64().await?,
                short => u64::from(short),
            };
            let mut payload = vec![0; usize::try_from(length).expect("short")];
            self.stream.read_exact(&mut payload).await?;
            Ok::<_, std::io::Error>((first, payload))
        };
        timeout(PATIENCE, read).await.expect("nothing came").ok()
    }

    /// The next packet. Whatever is not in a whole binary frame fails the test ([MQTT-6.0.0-1]).
    async fn packet(&mut self) -> Packet {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.buffer).expect("a packet") {
                return packet;
            }
            let (first, payload) = self.frame().await.expect("the connection is there");
            assert_eq!(first, LAST | BINARY, "{payload:?}");
            self.buffer.extend_from_slice(&payload);
        }
    }

    async fn subscribe(&mut self, filter: &str, qos: QoS) {
        let filter = TopicFilter::parse(filter).expect("a filter");
        let retain_handling = RetainHandling::Send;
        let filters = vec![Filter { filter, qos, no_local: false, retain_as_published: false, retain_handling }];
        let properties = SubscribeProperties::default();
        self.send(&Packet::Subscribe(Subscribe { packet_id: 1, properties, filters })).await;
        assert!(matches!(self.packet().await, Packet::SubAck(ack) if ack.reasons.iter().all(|r| r.is_success())));
    }

    /// The server says that it closes, with this code; it hears so too, and ends the connection.
    async fn expect_close(&mut self, code: u16) {
        loop {
            let (first, payload) = self.frame().await.expect("a close frame comes first");
            if first == LAST | CLOSE {
                assert_eq!(payload, code.to_be_bytes());
                break;
            }
        }
        let _ = self.stream.write_all(&frame(LAST | CLOSE, &code.to_be_bytes())).await;
        assert_eq!(self.frame().await, None);
    }
}

async fn until(mut holds: impl FnMut() -> bool) {
    let asked = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("what was waited for did not happen");
}

#[tokio::test]
async fn the_sub_protocol_is_mqtt_and_whoever_offers_none_is_told() {
    let site = Site::usual().await;
    for (offered, chosen) in [
        ("mqtt", "mqtt"),
        ("mqttv3.1", "mqttv3.1"),
        ("mqttv3.1, mqtt", "mqtt"),
        ("chat,mqtt", "mqtt"),
        ("chat\r\nsec-websocket-protocol: mqtt", "mqtt"),
    ] {
        let (_, answer) = site.ask(&format!("sec-websocket-protocol: {offered}\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 101"), "{offered}: {answer}");
        assert!(answer.contains(&format!("sec-websocket-protocol: {chosen}\r\n")), "{offered}: {answer}");
    }
    for more in ["", "sec-websocket-protocol: chat\r\n", "sec-websocket-protocol: MQTT\r\n"] {
        let (mut stream, answer) = site.ask(&format!("connection: close\r\n{more}")).await;
        assert!(answer.starts_with("HTTP/1.1 400"), "{more:?}: {answer}");
        let mut body = vec![0; 4096];
        let read = timeout(PATIENCE, stream.read(&mut body)).await.expect("in time").expect("a body");
        assert!(String::from_utf8_lossy(&body[..read]).contains("offer the sub-protocol"), "{more:?}");
    }
    site.broker.stop().await;
}

#[tokio::test]
async fn packets_are_split_and_joined_over_frames_as_one_likes() {
    let site = Site::usual().await;
    let mut client = site.dial().await;
    // Each byte in a frame of its own, an empty frame before each.
    for byte in bytes_of(&Packet::Connect(Box::new(hello("bytes")))) {
        client.raw(&[frame(LAST | BINARY, &[]), frame(LAST | BINARY, &[byte])].concat()).await;
    }
    assert!(matches!(client.packet().await, Packet::ConnAck(_)));
    client.subscribe("a", QoS::AtMostOnce).await;
    // Two packets and the half of a third in one frame, the rest in another.
    let third = bytes_of(&message("a", b"3", QoS::AtLeastOnce, 3));
    let (half, rest) = third.split_at(4);
    let joined = [&bytes_of(&message("a", b"1", QoS::AtLeastOnce, 1))[..], &bytes_of(&Packet::PingReq), half].concat();
    client.raw(&[frame(LAST | BINARY, &joined), frame(LAST | BINARY, rest)].concat()).await;
    let (mut heard, mut acknowledged, mut pinged) = (Vec::new(), Vec::new(), false);
    while heard.len() < 2 || acknowledged.len() < 2 || !pinged {
        match client.packet().await {
            Packet::Publish(publish) => heard.push(publish.payload),
            Packet::PubAck(ack) => acknowledged.push(ack.packet_id),
            Packet::PingResp => pinged = true,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((heard, acknowledged), (vec![Bytes::from("1"), Bytes::from("3")], vec![1, 3]));
    // A message of three fragments, with a ping between them (RFC 6455 §5.4).
    let packet = bytes_of(&message("a", &[b'x'; 300], QoS::AtMostOnce, 0));
    let (first, rest) = packet.split_at(100);
    let (second, last) = rest.split_at(100);
    client.raw(&[frame(BINARY, first), frame(0, second)].concat()).await;
    client.raw(&[frame(LAST | PING, b"still there?"), frame(LAST, last)].concat()).await;
    assert_eq!(client.frame().await, Some((LAST | PONG, b"still there?".to_vec())));
    assert!(matches!(client.packet().await, Packet::Publish(publish) if publish.payload.len() == 300));
    site.broker.stop().await;
}

#[tokio::test]
async fn text_closes_the_connection_and_is_no_goodbye() {
    let site = Site::usual().await;
    let mut stranger = site.dial().await;
    stranger.raw(&frame(LAST | TEXT, b"hello")).await;
    stranger.expect_close(1003).await;
    let mut watcher = site.client("watcher").await;
    watcher.subscribe("will", QoS::AtMostOnce).await;
    let goodbye = bytes_of(&Packet::Disconnect(Disconnect::default()));
    for (what, fragments, code) in [
        ("text", vec![frame(LAST | TEXT, b"{}")], 1003),
        ("no text at all", vec![frame(LAST | TEXT, b"")], 1003),
        ("text in pieces", vec![frame(TEXT, b"{"), frame(LAST, b"}")], 1003),
        // Not even text.
        ("a packet as text", vec![frame(LAST | TEXT, &goodbye)], 1002),
    ] {
        let will = Will {
            topic: TopicName::parse("will").expect("a topic"),
            payload: Bytes::from_static(what.as_bytes()),
            qos: QoS::AtMostOnce,
            retain: false,
            properties: WillProperties::default(),
        };
        let mut client = site.dial().await;
        client.send(&Packet::Connect(Box::new(Connect { will: Some(will), ..hello("text") }))).await;
        client.packet().await;
        client.raw(&fragments.concat()).await;
        client.expect_close(code).await;
        let heard = watcher.packet().await;
        assert!(matches!(&heard, Packet::Publish(publish) if publish.payload == what), "{what}: {heard:?}");
    }
    site.broker.stop().await;
}

#[tokio::test]
async fn both_sides_say_that_they_close() {
    let site = Site::usual().await;
    let mut client = site.client("first").await;
    client.send(&Packet::Disconnect(Disconnect::default())).await;
    client.expect_close(1000).await;
    // The other way round: before CONNECT, and after.
    for client_id in [None, Some("second")] {
        let mut client = match client_id {
            None => site.dial().await,
            Some(client_id) => site.client(client_id).await,
        };
        client.raw(&frame(LAST | CLOSE, &1001_u16.to_be_bytes())).await;
        assert_eq!(client.frame().await, Some((LAST | CLOSE, 1001_u16.to_be_bytes().to_vec())));
        assert_eq!(client.frame().await, None);
    }
    // The reason is said in MQTT first.
    let mut client = site.client("third").await;
    client.send(&Packet::Connect(Box::new(hello("third")))).await;
    let said = client.packet().await;
    assert!(matches!(&said, Packet::Disconnect(d) if d.reason == ReasonCode::PROTOCOL_ERROR), "{said:?}");
    client.expect_close(1000).await;
    until(|| site.broker.clients().is_empty()).await;
    site.broker.stop().await;
}

#[tokio::test]
async fn what_is_no_frame_of_a_client_or_too_large_ends_the_connection() {
    let site = Site::with(BrokerOptions { payload_bytes: 100_000, ..BrokerOptions::default() }).await;
    let most = u64::try_from(site.broker.packet_bytes() + super::BESIDE_A_PACKET).expect("a number");
    let part = vec![0x30; 65_536];
    for (what, sent) in [
        ("a frame that announces more than may come", [&head(LAST | BINARY, most + 1)[..], &MASK].concat()),
        ("the largest number there is", [&head(LAST | BINARY, u64::MAX >> 1)[..], &MASK].concat()),
        (
            "fragments that are too much together",
            (0..=most / 65_536).map(|n| frame(if n == 0 { BINARY } else { 0 }, &part)).collect::<Vec<_>>().concat(),
        ),
        ("a frame without mask", vec![LAST | BINARY, 2, 0xC0, 0]),
        ("a frame of a kind that there is not", frame(LAST | 3, b"x")),
        ("a reserved bit", frame(LAST | 0x40 | BINARY, b"x")),
        ("a ping in pieces", frame(PING, b"x")),
        ("a piece of nothing", frame(LAST, b"x")),
    ] {
        let mut client = site.client("hostile").await;
        // It may be closed before all of this is sent.
        let _ = client.stream.write_all(&sent).await;
        let mut first = None;
        while let Some((kind, payload)) = client.frame().await {
            first = first.or(Some((kind, payload)));
        }
        // Where more came than was read, the network may swallow the word.
        let said =
            first.is_none_or(|(kind, payload)| (kind, payload) == (LAST | CLOSE, 1002_u16.to_be_bytes().to_vec()));
        assert!(said, "{what}");
        until(|| site.broker.clients().is_empty()).await;
    }
    site.broker.stop().await;
}

#[tokio::test]
async fn until_it_is_let_in_no_more_is_gathered_of_a_client_than_a_connect_has() {
    let patient = BrokerOptions { payload_bytes: 4 << 20, connect_deadline: PATIENCE * 10, ..BrokerOptions::default() };
    let site = Site::with(patient).await;
    let most = site.broker.connect_bytes() + super::BESIDE_A_PACKET;
    // A CONNECT of a good half of that, in the message of a larger one or in many: the rest is not waited for.
    let begin = [&head(LAST | BINARY, 4 << 20)[..], &MASK].concat();
    let pieces = frame(0, &[0; 1000]).repeat(most / 1000 + 100);
    for (what, sent) in [
        ("a frame that goes on", [&begin[..], &vec![0x30; most + (64 << 10)]].concat()),
        ("fragments without end", [&frame(BINARY, b"x")[..], &pieces].concat()),
        ("nothing but pings", frame(LAST | PING, &[b'x'; 125]).repeat(most / 125)),
    ] {
        let mut client = site.dial().await;
        // It may be closed before all of this is sent.
        let _ = client.stream.write_all(&sent).await;
        while client.frame().await.is_some_and(|(kind, _)| kind == LAST | PONG) {}
        assert_eq!(client.frame().await, None, "{what}");
    }
    // The largest CONNECT in one message, and then whatever the settings let come.
    let long = vec![b'x'; 65_535];
    let will = Will {
        topic: TopicName::parse("will").expect("a topic"),
        payload: long.clone().into(),
        qos: QoS::AtMostOnce,
        retain: false,
        properties: WillProperties::default(),
    };
    let large = Connect { will: Some(will), password: Some(long.into()), ..hello("large") };
    let mut client = site.dial().await;
    client.send(&Packet::Connect(Box::new(large))).await;
    assert!(matches!(client.packet().await, Packet::ConnAck(ack) if ack.reason == ReasonCode::SUCCESS));
    client.subscribe("a", QoS::AtMostOnce).await;
    client.send(&message("a", &vec![b'x'; 4 << 20], QoS::AtMostOnce, 0)).await;
    assert!(matches!(client.packet().await, Packet::Publish(publish) if publish.payload.len() == 4 << 20));
    site.broker.stop().await;
}

#[test]
fn only_a_connack_that_says_yes_lets_a_client_in() {
    let bytes = |packet: &Packet, version| {
        let mut out = BytesMut::new();
        packet.encode(version, &mut out).expect("a packet");
        out
    };
    let answer = |reason, words: usize| {
        let reason_string = Text::parse(&"x".repeat(words)).ok().filter(|_| words > 0);
        let properties = ConnAckProperties { reason_string, ..ConnAckProperties::default() };
        Packet::ConnAck(Box::new(ConnAck { reason, properties, ..ConnAck::default() }))
    };
    for version in [Version::V5, Version::V311] {
        for words in [0, 20, 200, 20_000] {
            assert!(lets_in(&bytes(&answer(ReasonCode::SUCCESS, words), version)), "{words}");
            assert!(!lets_in(&bytes(&answer(ReasonCode::NOT_AUTHORIZED, words), version)), "{words}");
        }
    }
    let question = Auth { reason: ReasonCode::CONTINUE_AUTHENTICATION, properties: AuthProperties::default() };
    assert!(!lets_in(&bytes(&Packet::Auth(question), Version::V5)));
    for no_packet in [&[][..], &[0x20], &[0x20, 3], &[0x20, 0x80, 0x80, 0x80, 0x80, 0x80]] {
        assert!(!lets_in(no_packet));
    }
}

#[tokio::test]
async fn the_largest_packet_comes_through_in_one_message_and_goes_out() {
    let site = Site::with(BrokerOptions { payload_bytes: 5 << 20, ..BrokerOptions::default() }).await;
    let mut client = site.client("large").await;
    client.subscribe("a", QoS::AtMostOnce).await;
    let payload = vec![b'x'; 5 << 20];
    client.send(&message("a", &payload, QoS::AtMostOnce, 0)).await;
    assert!(matches!(client.packet().await, Packet::Publish(publish) if publish.payload == payload));
    site.broker.stop().await;
}

#[tokio::test]
async fn a_client_that_does_not_read_holds_up_nobody_and_little_memory() {
    let site = Site::with(BrokerOptions { outbox_bytes: 64 << 10, ..BrokerOptions::default() }).await;
    let mut deaf = site.client("deaf").await;
    deaf.subscribe("a", QoS::AtMostOnce).await;
    let mut here = site.client("here").await;
    here.subscribe("a", QoS::AtMostOnce).await;
    let large = vec![b'x'; 100 << 10];
    for _ in 0..300 {
        here.send(&message("a", &large, QoS::AtMostOnce, 0)).await;
        assert!(matches!(here.packet().await, Packet::Publish(_)));
    }
    let drops = site.hooks.drops.lock().expect("a lock").clone();
    let slow: Vec<_> = drops.iter().map(|drop| (drop.client_id.as_str(), drop.reason)).collect();
    assert_eq!(slow, [("deaf", DropReason::SlowReader)]);
    // Once it reads, it is served again.
    let drained = async { while !matches!(deaf.packet().await, Packet::Publish(p) if p.payload == "now") {} };
    let asked = async {
        loop {
            here.send(&message("a", b"now", QoS::AtMostOnce, 0)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = drained => {}
        () = asked => {}
    }
    site.broker.stop().await;
}
