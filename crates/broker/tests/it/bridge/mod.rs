//! Bridges: to another broker of ours, and to an other side that does what the test says.

mod bounds;
mod ends;
mod link;
mod receiving;
mod sending;

use super::harness::*;
use andon_broker::BrokerOptions;
use andon_broker::bridge::*;
use andon_model::BoxFuture;
use andon_wire::mqtt::*;
use async_trait::async_trait;
use bytes::BytesMut;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use uuid::Uuid;

/// Dials an address that the test may change.
pub struct Phone(pub Mutex<SocketAddr>);

#[async_trait]
impl Dial for Phone {
    async fn dial(&self) -> Result<Box<dyn Stream>, Trouble> {
        let address = *self.0.lock().unwrap();
        match TcpStream::connect(address).await {
            Ok(stream) => Ok(Box::new(stream)),
            Err(error) => Err(Trouble::new(format!("nobody there: {error}"), "wait")),
        }
    }
}

#[derive(Default)]
pub struct Listening {
    pub notices: Mutex<Vec<Notice>>,
    pub losses: Mutex<Vec<Lost>>,
}

impl Ears for Listening {
    fn hear(&self, notice: Notice) {
        self.notices.lock().unwrap().push(notice);
    }

    fn lost(&self, lost: Lost) -> BoxFuture<'static, bool> {
        self.losses.lock().unwrap().push(lost);
        Box::pin(std::future::ready(true))
    }
}

impl Listening {
    pub fn any(&self, is: impl Fn(&Notice) -> bool) -> bool {
        self.notices.lock().unwrap().iter().any(is)
    }

    /// How many messages were told to be lost for this reason.
    pub fn count(&self, why: Loss) -> u64 {
        self.losses.lock().unwrap().iter().filter(|lost| lost.why == why).map(|lost| lost.amount.messages).sum()
    }
}

pub fn rule(filter: &str, remove: &str, prefix: &str) -> Rule {
    let filter = TopicFilter::parse(filter).unwrap();
    Rule { filter, remove: remove.into(), prefix: prefix.into(), qos: QoS::AtLeastOnce }
}

/// A bridge of the node with this number that sends and receives so.
pub fn options(node: u128, send: Vec<Rule>, receive: Vec<Rule>) -> BridgeOptions {
    BridgeOptions {
        name: "over".to_owned(),
        node: Uuid::from_u128(node),
        version: Version::V5,
        endpoint: "the other side".to_owned(),
        client_id: Text::parse("bridge-of-a-test").unwrap(),
        user: None,
        password: None,
        keep_alive_s: 60,
        answer_within: Duration::from_secs(5),
        session_expiry_s: 3600,
        send: send.into(),
        receive: receive.into(),
        catch_up_per_second: None,
        newest_first: false,
        in_flight: 20,
        keep_bytes: 1 << 30,
        keep_for: None,
        when_full: WhenFull::DropOldest,
        skip_refused: false,
        alarm_after: Duration::from_secs(300),
        retry_first: Duration::from_millis(20),
        retry_most: Duration::from_millis(100),
    }
}

pub struct Over {
    pub bridge: Bridge,
    pub ears: Arc<Listening>,
    pub phone: Arc<Phone>,
}

impl Over {
    /// What went wrong last; waits until something has.
    pub async fn trouble(&self) -> Trouble {
        until(|| self.bridge.report().last_trouble.is_some()).await;
        self.bridge.report().last_trouble.unwrap().1
    }
}

pub async fn start(site: &Site, options: BridgeOptions, to: SocketAddr) -> Over {
    let (ears, phone) = (Arc::new(Listening::default()), Arc::new(Phone(Mutex::new(to))));
    let bridge = Bridge::start(site.broker.clone(), options, Some(phone.clone()), ears.clone()).await.unwrap();
    Over { bridge, ears, phone }
}

/// An address at which nobody listens.
pub async fn nowhere() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

/// Publishes with QoS 1 and hears the acknowledgement of each.
pub async fn publish_all(client: &mut Client, topic: &str, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let id = u16::try_from(number % 60_000).unwrap() + 1;
        client.send(Packet::Publish(publish(topic, &number.to_string(), QoS::AtLeastOnce, id))).await;
        assert!(client.expect_ack(Packet::PubAck, id).await.is_success());
    }
}

/// What came on each topic, until that many different messages came; each acknowledged.
pub async fn collect(client: &mut Client, different: usize) -> BTreeMap<String, Vec<u32>> {
    let mut all: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let mut seen = std::collections::HashSet::new();
    while seen.len() < different {
        let message = client.next_publish().await;
        let topic = message.topic.unwrap().as_str().to_owned();
        let number: u32 = std::str::from_utf8(&message.payload).unwrap().parse().unwrap();
        seen.insert((topic.clone(), number));
        all.entry(topic).or_default().push(number);
        if message.qos == QoS::AtLeastOnce {
            client.send(Packet::PubAck(Ack::new(message.packet_id, ReasonCode::SUCCESS))).await;
        }
    }
    all
}

/// Every number is there, and seen for the first time in its order.
pub fn assert_whole(got: &[u32], expected: std::ops::Range<u32>) {
    let mut first = Vec::new();
    for number in got {
        if !first.contains(number) {
            first.push(*number);
        }
    }
    assert_eq!(first, expected.collect::<Vec<_>>());
}

pub async fn subscribe(client: &mut Client, text: &str) {
    let wish = Filter { retain_as_published: true, ..filter(text, QoS::AtLeastOnce) };
    client
        .send(Packet::Subscribe(Subscribe { packet_id: 1, properties: Default::default(), filters: vec![wish] }))
        .await;
    let Packet::SubAck(ack) = client.next().await else { panic!("no SUBACK") };
    assert!(ack.reasons[0].is_success());
}

/// The other side, packet by packet.
pub struct Remote {
    listener: TcpListener,
    pub address: SocketAddr,
}

pub struct Caller {
    stream: TcpStream,
    buffer: BytesMut,
    decoder: Decoder,
    pub version: Version,
}

impl Remote {
    pub async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        Self { listener, address }
    }

    pub async fn accept(&self) -> Caller {
        let (stream, _) = timeout(PATIENCE, self.listener.accept()).await.expect("nobody called").unwrap();
        let decoder = Decoder::server(Limits::default());
        Caller { stream, buffer: BytesMut::new(), decoder, version: Version::V5 }
    }

    /// Lets the caller in, with this answer, and grants its subscriptions.
    pub async fn admit(&self, answer: ConnAck, subscriptions: usize) -> (Caller, Connect) {
        let mut caller = self.accept().await;
        let connect = caller.connect().await;
        caller.send(Packet::ConnAck(Box::new(answer))).await;
        for _ in 0..subscriptions {
            let Packet::Subscribe(subscribe) = caller.next().await else { panic!("no SUBSCRIBE") };
            let reasons = vec![ReasonCode::GRANTED_QOS_1; subscribe.filters.len()];
            let ack = SubAck { packet_id: subscribe.packet_id, properties: Default::default(), reasons };
            caller.send(Packet::SubAck(ack)).await;
        }
        (caller, connect)
    }
}

impl Caller {
    pub async fn connect(&mut self) -> Connect {
        match self.next().await {
            Packet::Connect(connect) => {
                self.version = connect.version;
                *connect
            }
            other => panic!("instead of CONNECT: {other:?}"),
        }
    }

    pub async fn send(&mut self, packet: Packet) {
        self.stream.write_all(&bytes_of(&packet, self.version)).await.unwrap();
    }

    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// `None`: the caller closed.
    pub async fn try_next(&mut self) -> Option<Packet> {
        packet_from(&mut self.stream, &mut self.decoder, &mut self.buffer).await
    }

    pub async fn next(&mut self) -> Packet {
        self.try_next().await.expect("the caller closed")
    }

    pub async fn publish(&mut self) -> Publish {
        match self.next().await {
            Packet::Publish(publish) => publish,
            other => panic!("instead of PUBLISH: {other:?}"),
        }
    }

    pub async fn acknowledge(&mut self, publish: &Publish) {
        self.answer(publish, ReasonCode::SUCCESS).await;
    }

    pub async fn answer(&mut self, publish: &Publish, reason: ReasonCode) {
        self.send(Packet::PubAck(Ack::new(publish.packet_id, reason))).await;
    }
}

pub fn text(publish: &Publish) -> String {
    String::from_utf8(publish.payload.to_vec()).unwrap()
}

pub fn named(node: u128) -> BrokerOptions {
    BrokerOptions { node: Some(Uuid::from_u128(node)), ..BrokerOptions::default() }
}
