//! The whole house without a network, and one lamp over a real socket.

use super::*;
use crate::ManualClock;
use andon_model::plant::TopicDef;
use andon_model::{DataType, SystemClock, Value};
use andon_wire::mqtt::{Ack, Decoder, Limits, Packet, Publish, PublishProperties, QoS, ReasonCode, SubAck, TopicName};
use andon_wire::payload::{Mapping, Outgoing, Reading};
use bytes::{Bytes, BytesMut};
use serde_json::Value as Json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const LAMP: &str = "house/ground/living/lamp/on";

fn document() -> Json {
    toml::from_str(PLANT).expect("TOML")
}

fn types() -> HashMap<String, DataType> {
    let document = document();
    let tags = document["tag"].as_array().expect("tags");
    let kind = |tag: &Json| serde_json::from_value(tag["type"].clone()).expect("a type");
    tags.iter().map(|tag| (tag["path"].as_str().expect("a path").to_owned(), kind(tag))).collect()
}

fn mapping() -> Mapping {
    let document = document();
    let topics = document["topic"].as_array().expect("topics").iter().map(|table| {
        let mut settings = table.as_object().expect("a table").clone();
        let filter = settings.remove("filter").and_then(|filter| filter.as_str().map(str::to_owned)).expect("a filter");
        TopicDef { filter, settings: Json::Object(settings) }
    });
    let types = types();
    Mapping::compile(&topics.collect::<Vec<_>>(), Arc::new(move |path: &str| types.get(path).copied()))
        .unwrap_or_else(|findings| panic!("{}", findings[0]))
}

/// The house without a network: what its devices say goes straight through the mapping.
struct Bench {
    gadgets: Vec<Box<dyn Gadget>>,
    world: World,
    mapping: Mapping,
    values: HashMap<String, Reading>,
    now: Timestamp,
}

impl Bench {
    fn new() -> Self {
        let world = World::default();
        let now = Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").expect("a time");
        let mut house = Self { gadgets: gadgets(&world), world, mapping: mapping(), values: HashMap::new(), now };
        let hello: Vec<_> = house.gadgets.iter_mut().flat_map(|gadget| gadget.hello(0, now)).collect();
        house.hear(hello);
        house
    }
    fn hear(&mut self, messages: Vec<Message>) {
        for message in messages {
            let mapped = self.mapping.map(&message.topic, &message.payload, self.now);
            assert!(mapped.errors.is_empty(), "{}: {:?}", message.topic, mapped.errors);
            assert!(mapped.matched, "{} is mapped by nobody", message.topic);
            self.values.extend(mapped.readings.into_iter().map(|reading| (reading.tag.to_string(), reading)));
        }
    }
    fn tick(&mut self, step: Step) {
        let messages: Vec<_> = self.gadgets.iter_mut().flat_map(|gadget| gadget.tick(step, self.now)).collect();
        self.hear(messages);
    }
    fn write(&mut self, tag: &str, value: Value, step: Step) {
        let Outgoing { topic, payload, .. } = self.mapping.outgoing(tag, &value).expect("a command");
        let listens = |gadget: &dyn Gadget| {
            let filters = gadget.subscriptions();
            filters.iter().any(|f| andon_wire::mqtt::TopicFilter::parse(f).is_ok_and(|f| f.matches(&topic)))
        };
        let answers: Vec<_> = self
            .gadgets
            .iter_mut()
            .filter(|g| listens(g.as_ref()))
            .flat_map(|g| g.receive(&topic, &payload, step, self.now))
            .collect();
        assert!(!answers.is_empty(), "nobody obeys {topic}");
        self.hear(answers);
    }
    fn number(&self, tag: &str) -> f64 {
        self.values.get(tag).and_then(|reading| reading.value.as_f64()).unwrap_or(f64::NAN)
    }
}

#[test]
fn every_tag_of_the_document_gets_a_good_value() {
    let mut house = Bench::new();
    (0..60).for_each(|step| house.tick(step));
    for tag in types().keys() {
        let reading = house.values.get(tag).unwrap_or_else(|| panic!("{tag} got no value"));
        assert!(reading.quality.is_good(), "{tag}: {reading:?}");
    }
}

#[test]
fn every_writable_tag_is_obeyed_and_says_so() {
    let document = document();
    let writable = document["tag"].as_array().expect("tags").iter().filter(|tag| !tag["write"].is_null());
    let mut house = Bench::new();
    let mut count = 0;
    for tag in writable {
        let path = tag["path"].as_str().expect("a path");
        let tolerance = tag["write"]["tolerance"].as_f64().unwrap_or(0.0);
        let wanted = if tag["type"] == "boolean" {
            [Value::Boolean(true), Value::Boolean(false)]
        } else {
            [Value::Double(80.0), Value::Double(35.0)]
        };
        for value in wanted {
            house.write(path, value.clone(), 3);
            let got = house.number(path);
            let wanted = value.as_f64().expect("a number");
            assert!((got - wanted).abs() <= tolerance, "{path}: wanted {wanted}, got {got}");
        }
        count += 1;
    }
    assert_eq!(count, 5);
}

#[test]
fn the_lamp_takes_its_power_through_the_plug() {
    let power = "house/ground/living/plug/power";
    let mut house = Bench::new();
    house.write(LAMP, Value::Boolean(true), 1);
    house.tick(10);
    let with = house.number(power);
    house.write(LAMP, Value::Boolean(false), 10);
    house.tick(10);
    assert!((10.0..14.0).contains(&(with - house.number(power))), "{with} W with the lamp");
    house.write("house/ground/living/plug/on", Value::Boolean(false), 10);
    assert_eq!(house.number(power), 0.0);
}

#[test]
fn closing_the_valve_dries_the_floor() {
    let wet = "house/ground/kitchen/leak/water";
    let mut house = Bench::new();
    house.world.state().spill(1);
    house.tick(1);
    assert_eq!(house.number(wet), 1.0);
    house.write("house/ground/kitchen/valve/open", Value::Boolean(false), 2);
    (2..20).for_each(|step| house.tick(step));
    assert_eq!(house.number(wet), 0.0);
}

#[test]
fn a_lost_device_takes_exactly_its_tags_with_it() {
    let mut house = Bench::new();
    (0..11).for_each(|step| house.tick(step));
    let will = house.gadgets[1].will();
    house.hear(vec![will]);
    let dead: Vec<&str> = house.values.values().filter(|r| r.quality.is_bad()).map(|r| &*r.tag).collect();
    assert_eq!(dead.len(), 4);
    assert!(dead.iter().all(|tag| tag.starts_with("house/ground/living/plug/")), "{dead:?}");
}

#[test]
fn devices_keep_to_the_topics_that_they_are_given() {
    let world = World::default();
    let clock = ManualClock::new(Timestamp::from_millis(1_795_348_800_000));
    let matches = |filters: &[&str], topic: &str| {
        filters.iter().any(|f| andon_wire::mqtt::TopicFilter::parse(f).is_ok_and(|f| f.matches(topic)))
    };
    for (mut gadget, spec) in gadgets(&world).into_iter().zip(devices()) {
        assert_eq!(gadget.subscriptions(), spec.subscribe);
        let mut said = vec![gadget.will()];
        said.extend(gadget.hello(0, clock.now()));
        (0..1000).for_each(|step| said.extend(gadget.tick(step, clock.now())));
        for message in said {
            assert!(matches(spec.publish, &message.topic), "{} says {}", spec.client_id, message.topic);
        }
    }
}

#[test]
fn a_refused_shelly_call_is_heard() {
    let house = Bench::new();
    let mut valve = shelly::Valve::new(house.world.clone());
    let call =
        br#"{"id":1,"src":"shellyplus1pm-a8032abe54dc/andon","method":"Switch.Set","params":{"id":7,"on":true}}"#;
    let answers = valve.receive("shellyplus1pm-a8032abe54dc/rpc", call, 0, house.now);
    let mapped = house.mapping.map(&answers[0].topic, &answers[0].payload, house.now);
    assert!(mapped.errors[0].message.contains("Invalid argument"), "{mapped:?}");
}

/// The least that can be called a broker: one connection, every yes, every PUBLISH handed on.
struct MiniBroker {
    stream: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
    version: Version,
}

impl MiniBroker {
    async fn packet(&mut self) -> Option<Packet> {
        loop {
            if let Some(packet) = self.decoder.decode(&mut self.buffer).expect("MQTT") {
                return Some(packet);
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }
    async fn send(&mut self, packet: &Packet) {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes).expect("encoded");
        self.stream.write_all(&bytes).await.expect("sent");
    }
    /// Answers until a PUBLISH comes; `None` when the client goes.
    async fn publish(&mut self) -> Option<Publish> {
        loop {
            match self.packet().await? {
                Packet::Connect(connect) => {
                    self.version = connect.version;
                    self.send(&Packet::ConnAck(Box::default())).await;
                }
                Packet::Subscribe(asked) => {
                    let reasons = vec![ReasonCode::GRANTED_QOS_1; asked.filters.len()];
                    let packet_id = asked.packet_id;
                    self.send(&Packet::SubAck(SubAck { packet_id, properties: Default::default(), reasons })).await;
                }
                Packet::Publish(publish) => {
                    if publish.qos == QoS::AtLeastOnce {
                        self.send(&Packet::PubAck(Ack::new(publish.packet_id, ReasonCode::SUCCESS))).await;
                    }
                    return Some(publish);
                }
                Packet::PingReq => self.send(&Packet::PingResp).await,
                Packet::Disconnect(_) => return None,
                _ => {}
            }
        }
    }
    async fn publish_on(&mut self, wanted: &str) -> Publish {
        loop {
            let publish = self.publish().await.expect("still connected");
            if publish.topic.as_ref().is_some_and(|topic| topic.as_str() == wanted) {
                return publish;
            }
        }
    }
}

async fn over_the_wire(version: Version) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let mut options = HouseOptions::new(address, HashMap::new(), Arc::new(SystemClock));
    options.version = version;
    options.row_every = Duration::from_millis(5);
    let house = House::start(&options);
    let mut lamp = None;
    let mut others = Vec::new();
    for _ in devices() {
        let (stream, _) = listener.accept().await.expect("a client");
        let decoder = Decoder::server(Limits::default());
        let mut broker = MiniBroker { stream, decoder, buffer: BytesMut::new(), version };
        let hello = broker.publish().await.expect("a hello");
        assert!(hello.retain, "the first word is a retained availability");
        if hello.topic.as_ref().is_some_and(|topic| topic.as_str() == "zigbee2mqtt/bridge/state") {
            lamp = Some(broker);
        } else {
            others.push(broker);
        }
    }
    assert_eq!(*house.connected().borrow(), 4);
    let mut broker = lamp.expect("the bridge");
    broker.publish_on("zigbee2mqtt/living_climate").await;
    let Outgoing { topic, payload, .. } = mapping().outgoing(LAMP, &Value::Boolean(true)).expect("a command");
    broker
        .send(&Packet::Publish(Publish {
            dup: false,
            qos: QoS::AtLeastOnce,
            retain: false,
            topic: Some(TopicName::parse(&topic).expect("a topic")),
            packet_id: 9,
            properties: PublishProperties::default(),
            payload: Bytes::from(payload),
        }))
        .await;
    loop {
        let state = broker.publish_on("zigbee2mqtt/living_lamp").await;
        if state.payload.windows(12).any(|part| part == br#""state":"ON""#) {
            break;
        }
    }
    drop(others);
    let stopping = tokio::spawn(house.stop());
    let last = broker.publish_on("zigbee2mqtt/bridge/state").await;
    assert_eq!(&last.payload[..], br#"{"state":"offline"}"#);
    stopping.await.expect("stopped");
}

#[tokio::test]
async fn the_lamp_obeys_over_mqtt_3_1_1() {
    timeout(Duration::from_secs(20), over_the_wire(Version::V311)).await.expect("in time");
}

#[tokio::test]
async fn the_lamp_obeys_over_mqtt_5() {
    timeout(Duration::from_secs(20), over_the_wire(Version::V5)).await.expect("in time");
}
