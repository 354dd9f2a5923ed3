//! The assembly line: its rules, its words through the mapping, and its stations over real sockets with a broker that
//! goes away.

use super::parts::{LEAK_LIMIT_G_A, Measured};
use super::world::Verdict;
use super::*;
use andon_model::plant::TopicDef;
use andon_model::{DataType, SystemClock, Value};
use andon_wire::mqtt::{
    Ack, ConnAck, Decoder, Limits, Packet, Publish, PublishProperties, QoS, ReasonCode, SubAck, TopicFilter, TopicName,
};
use andon_wire::payload::{Mapping, Outgoing, Reading};
use bytes::{Bytes, BytesMut};
use std::collections::{BTreeMap, HashSet};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ROOM: [bool; 4] = [true; 4];
const MAKE: Controls = Controls { run: true, product: Product::Hp8 };
const PATIENCE: Duration = Duration::from_secs(60);

/// A line under test with all that it said.
struct Shift {
    world: World,
    said: Vec<(u32, Place, Said)>,
    now: u32,
}

impl Shift {
    fn new(seed: u64) -> Self {
        Self { world: World::new(seed, 1000), said: Vec::new(), now: 0 }
    }
    fn run(&mut self, controls: Controls, steps: u32) {
        self.run_with(controls, ROOM, steps);
    }
    fn run_with(&mut self, controls: Controls, room: [bool; 4], steps: u32) {
        for _ in 0..steps {
            self.now += 1;
            let said = self.world.step(controls, room);
            self.said.extend(said.into_iter().map(|(place, said)| (self.now, place, said)));
            let (packed, scrapped) = (self.world.packed(), self.scrapped());
            let here = u64::try_from(self.world.in_process()).expect("few");
            assert_eq!(self.world.begun(), packed + scrapped + here, "step {}: units are lost or doubled", self.now);
        }
    }
    fn scrapped(&self) -> u64 {
        Place::ALL.into_iter().map(|place| self.world.counts(place).1).sum()
    }
    fn reports(&self) -> impl Iterator<Item = (Place, &Report)> {
        self.said.iter().filter_map(|(_, place, said)| match said {
            Said::Unit(report) => Some((*place, report)),
            _ => None,
        })
    }
    fn states(&self, wanted: Place) -> Vec<(u32, State, Reason)> {
        let states = self.said.iter().filter_map(|(at, place, said)| match said {
            Said::State(state, reason) if *place == wanted => Some((*at, *state, *reason)),
            _ => None,
        });
        states.collect()
    }
}

#[test]
fn units_in_are_units_out_and_scrap_and_in_process_and_the_line_runs_empty() {
    for seed in 1..=5 {
        let mut shift = Shift::new(seed);
        shift.run(MAKE, 8 * 3600 * 10);
        let begun = shift.world.begun();
        assert!((700..1200).contains(&begun), "seed {seed}: {begun} units in a shift of 1200 cycles");
        assert!(shift.scrapped() > 0, "seed {seed}: a shift has scrap");
        shift.run(Controls { run: false, ..MAKE }, 100 * CYCLE);
        assert_eq!(shift.world.in_process(), 0, "seed {seed}");
        for place in Place::ALL {
            assert_eq!(shift.world.state(place), (State::Idle, Reason::Nothing), "seed {seed}: {place:?}");
        }
    }
}

#[test]
fn without_stops_a_unit_is_made_in_a_cycle() {
    let mut shift = Shift::new(1);
    shift.run(MAKE, 8 * 3600 * 10);
    let mounted: Vec<u32> = shift
        .said
        .iter()
        .filter(|(_, place, said)| *place == Place::Mount && matches!(said, Said::Unit(_)))
        .map(|(at, ..)| *at)
        .collect();
    let mut gaps: Vec<u32> = mounted.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_unstable();
    assert_eq!(gaps[gaps.len() / 3], CYCLE);
    assert_eq!(gaps[0], CYCLE, "and never faster");
}

#[test]
fn every_unit_passes_the_stations_in_order_and_each_number_is_used_once() {
    let mut shift = Shift::new(2);
    shift.run(MAKE, 8 * 3600 * 10);
    let mut done: BTreeMap<u64, Vec<(Place, Verdict, u8)>> = BTreeMap::new();
    for (place, report) in shift.reports() {
        done.entry(report.unit.number).or_default().push((place, report.verdict, report.attempt));
    }
    let mut failed = 0;
    for (number, steps) in &done {
        let passed: Vec<Place> = steps.iter().filter(|step| step.1 == Verdict::Passed).map(|step| step.0).collect();
        assert_eq!(passed, Place::ALL[..passed.len()], "HP-{number}: {steps:?}");
        for pair in steps.windows(2) {
            let repaired = pair[0].1 == Verdict::Failed && pair[1].0 == pair[0].0 && pair[1].2 == 2;
            assert!(pair[0].1 == Verdict::Passed || repaired, "HP-{number}: {steps:?}");
            failed += u32::from(repaired);
        }
    }
    assert!(failed > 3, "some are repaired");
    let serials: HashSet<String> =
        shift.reports().filter(|(place, _)| *place == Place::Mount).map(|(_, report)| report.unit.serial()).collect();
    let mounted = shift.reports().filter(|(place, _)| *place == Place::Mount).count();
    assert_eq!(serials.len(), mounted);
}

#[test]
fn the_same_seed_replays_the_same_shift_and_another_does_not() {
    let shift = |seed| {
        let mut shift = Shift::new(seed);
        shift.run(MAKE, 20_000);
        shift.run(Controls { product: Product::Hp12, ..MAKE }, 20_000);
        shift.said
    };
    assert_eq!(shift(7), shift(7));
    assert_ne!(shift(7), shift(8));
}

/// The edges of PackML's base model: by themselves, and by command.
fn edge(from: State, to: State) -> bool {
    use State::*;
    from.then() == Some(to)
        || matches!(
            (from, to),
            (Idle, Starting)
                | (Execute, Completing | Holding | Suspending)
                | (Suspended, Unsuspending)
                | (_, Aborting)
                | (_, Stopping)
        )
}

#[test]
fn states_follow_the_edges_of_packml_once_a_step_and_each_stop_has_its_cause() {
    for seed in 1..=5 {
        let mut shift = Shift::new(seed);
        for hour in 0..8 {
            let product = if hour % 3 == 0 { Product::Hp12 } else { Product::Hp8 };
            shift.run(Controls { run: hour != 5, product }, 36_000);
        }
        for place in Place::ALL {
            let (mut last, mut at) = (State::Idle, 0);
            for (step, state, reason) in shift.states(place) {
                assert!(edge(last, state), "seed {seed}: {place:?} went from {last:?} to {state:?}");
                assert!(step > at, "seed {seed}: two states of {place:?} in step {step}");
                let outside = matches!(reason, Reason::Starved | Reason::Blocked | Reason::NoValves);
                match state {
                    State::Suspended => assert!(outside, "{reason:?}"),
                    State::Held | State::Aborted => assert!(!outside && reason != Reason::Nothing, "{reason:?}"),
                    State::Execute | State::Idle => assert_eq!(reason, Reason::Nothing),
                    _ => {}
                }
                (last, at) = (state, step);
            }
        }
        let seen: HashSet<&str> =
            Place::ALL.into_iter().flat_map(|place| shift.states(place)).map(|state| state.2.code()).collect();
        for wanted in ["STARVED", "BLOCKED", "CHANGEOVER", "SCREW-JAM", "VACUUM-PUMP", "TEST-ADAPTER", "STRAPPING-BAND"]
        {
            assert!(seen.contains(wanted), "seed {seed}: a shift without {wanted}");
        }
    }
}

#[test]
fn a_held_station_blocks_the_one_before_and_starves_the_one_after() {
    let mut shift = Shift::new(3);
    shift.run(MAKE, 6 * CYCLE);
    // A station whose outbox is full is held for as long as we like.
    let mut room = ROOM;
    room[Place::Eol as usize] = false;
    shift.run_with(MAKE, room, 8 * CYCLE);
    let state = |place| shift.world.state(place);
    assert_eq!(state(Place::Eol), (State::Held, Reason::NoRecord));
    assert_eq!(state(Place::Leak), (State::Suspended, Reason::Blocked));
    assert_eq!(state(Place::Pack), (State::Suspended, Reason::Starved));
    let begun = shift.world.begun();
    shift.run_with(MAKE, room, 20 * CYCLE);
    assert_eq!(shift.world.begun(), begun, "and at last the whole line stands");
    shift.run(MAKE, 10 * CYCLE);
    assert!(shift.world.begun() > begun + 5, "with room again it goes on");
}

#[test]
fn another_product_is_set_up_at_each_station_when_its_first_unit_comes() {
    let mut shift = Shift::new(4);
    shift.run(MAKE, 10 * CYCLE);
    shift.run(Controls { product: Product::Hp12, ..MAKE }, 40 * CYCLE);
    for place in Place::ALL {
        let setups = shift
            .states(place)
            .into_iter()
            .filter(|(_, state, reason)| (*state, *reason) == (State::Starting, Reason::Changeover));
        assert_eq!(setups.count(), 1, "{place:?}");
    }
    let products: Vec<Product> =
        shift.reports().filter(|(place, _)| *place == Place::Pack).map(|(_, report)| report.unit.product).collect();
    let change = products.iter().position(|product| *product == Product::Hp12).expect("HP-12 is packed");
    assert!(change > 5 && products[change..].iter().all(|product| *product == Product::Hp12), "{products:?}");
}

#[test]
fn a_lot_has_forty_valves_and_one_lot_leaks_near_the_limit() {
    let mut shift = Shift::new(5);
    shift.run(MAKE, 8 * 3600 * 10);
    let mut lots: BTreeMap<u64, u32> = BTreeMap::new();
    let mut leaks: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    for (place, report) in shift.reports() {
        match report.measured {
            Measured::Mount { .. } => *lots.entry(report.unit.valve_lot).or_default() += 1,
            Measured::Leak { leak_rate } if place == Place::Leak => {
                leaks.entry(report.unit.valve_lot).or_default().push(leak_rate)
            }
            _ => {}
        }
    }
    let sizes: Vec<u32> = lots.values().copied().collect();
    assert_eq!(sizes[0], 12, "a lot was open already");
    assert!(sizes[1..sizes.len() - 1].iter().all(|size| *size == 40), "{sizes:?}");
    let middle = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let bad: Vec<u64> =
        leaks.iter().filter(|(_, values)| middle(values) > LEAK_LIMIT_G_A - 0.8).map(|(lot, _)| *lot).collect();
    assert_eq!(bad, [lots.keys().nth(1).copied().expect("two lots")], "{leaks:?}");
}

// Through the plant document ------------------------------------------------------------------------------------------

fn document(text: &str) -> Json {
    toml::from_str(text).expect("TOML")
}

fn types() -> HashMap<String, DataType> {
    let document = document(PLANT);
    let tags = document["tag"].as_array().expect("tags");
    let kind = |tag: &Json| serde_json::from_value(tag["type"].clone()).expect("a type");
    tags.iter().map(|tag| (tag["path"].as_str().expect("a path").to_owned(), kind(tag))).collect()
}

fn mapping() -> Mapping {
    let document = document(PLANT);
    let topics = document["topic"].as_array().expect("topics").iter().map(|table| {
        let mut settings = table.as_object().expect("a table").clone();
        let filter = settings.remove("filter").and_then(|filter| filter.as_str().map(str::to_owned)).expect("a filter");
        TopicDef { filter, settings: Json::Object(settings) }
    });
    let types = types();
    Mapping::compile(&topics.collect::<Vec<_>>(), Arc::new(move |path: &str| types.get(path).copied()))
        .unwrap_or_else(|findings| panic!("{}", findings[0]))
}

fn readings(mapping: &Mapping, message: &Message) -> Vec<Reading> {
    let mapped = mapping.map(&message.topic, &message.payload, SystemClock.now());
    assert!(mapped.errors.is_empty(), "{}: {:?}", message.topic, mapped.errors);
    assert!(mapped.matched, "{} is mapped by nobody", message.topic);
    mapped.readings
}

#[test]
fn every_tag_gets_a_good_value_and_a_unit_is_one_message_at_one_time() {
    let mapping = mapping();
    let mut shift = Shift::new(1);
    shift.run(MAKE, 20 * CYCLE);
    let now = Timestamp::parse_rfc3339("2026-11-27T12:00:00Z").expect("a time");
    let mut known: HashMap<String, Reading> = HashMap::new();
    let mut all = vec![control(MAKE, now)];
    all.extend(
        shift
            .said
            .iter()
            .map(|(at, place, said)| message(*place, said, now.plus(Duration::from_millis(u64::from(*at))))),
    );
    for message in &all {
        let readings = readings(&mapping, message);
        if message.topic.ends_with("/unit") {
            let times: HashSet<Timestamp> = readings.iter().map(|reading| reading.source_ts).collect();
            assert!(readings.len() >= 4 && times.len() == 1, "{readings:?}");
        }
        known.extend(readings.into_iter().map(|reading| (reading.tag.to_string(), reading)));
    }
    for tag in types().keys() {
        let reading = known.get(tag).unwrap_or_else(|| panic!("{tag} got no value"));
        assert!(reading.quality.is_good(), "{tag}: {reading:?}");
    }
    let gone = readings(&mapping, &online(Place::Leak, false));
    let gone: Vec<&str> = gone.iter().filter(|reading| reading.quality.is_bad()).map(|reading| &*reading.tag).collect();
    let said = ["state", "reason", "good", "scrap", "energy"].map(|word| format!("works/assembly/line2/leak/{word}"));
    assert_eq!(gone, said);
}

#[test]
fn nothing_in_the_document_is_there_twice() {
    let documents = [document(PLANT), document(crate::line::PLANT)];
    let mut seen = HashSet::new();
    for (kind, keys) in [
        ("equipment", ["path", ""]),
        ("tag", ["path", ""]),
        ("topic", ["filter", ""]),
        // An alarm without a name has that of its condition.
        ("alarm", ["tag", "name"]),
    ] {
        for table in documents.iter().flat_map(|document| document[kind].as_array().into_iter().flatten()) {
            let name = table.get(keys[1]).or(table.get("condition")).and_then(Json::as_str).unwrap_or_default();
            let name = format!("{kind} {} {name}", table[keys[0]]);
            assert!(seen.insert(name.clone()), "{name} is there twice");
        }
    }
}

#[test]
fn stations_keep_to_the_topics_that_they_are_given() {
    let matches =
        |filters: &[&str], topic: &str| filters.iter().any(|f| TopicFilter::parse(f).is_ok_and(|f| f.matches(topic)));
    let specs = devices();
    let mut shift = Shift::new(1);
    shift.run(MAKE, 20 * CYCLE);
    let mut all: Vec<(Place, Message)> =
        shift.said.iter().map(|(_, place, said)| (*place, message(*place, said, SystemClock.now()))).collect();
    all.push((Place::Mount, control(MAKE, SystemClock.now())));
    all.extend(Place::ALL.map(|place| (place, online(place, true))));
    for (place, message) in all {
        assert!(message.at_least_once && matches(specs[place as usize].publish, &message.topic), "{}", message.topic);
    }
    for (tag, value) in [("run", Value::Boolean(true)), ("product", Value::String("HP-12".into()))] {
        let Outgoing { topic, .. } = mapping().outgoing(&format!("{LINE}/mount/{tag}"), &value).expect("a command");
        assert!(matches(specs[0].subscribe, &topic), "{topic}");
    }
}

/// The words of the contract between documents and manufacturing execution that this file can prove by itself: what is
/// named is there.
#[test]
fn what_the_master_data_names_is_there() {
    let (plant, master) = (document(PLANT), document(MASTER));
    let (line_plant, line_master) = (document(crate::line::PLANT), document(crate::line::MASTER));
    let names = |documents: [&Json; 2], kind: &str, key: &str| -> HashSet<String> {
        let tables = documents.into_iter().flat_map(|document| document[kind].as_array().cloned().unwrap_or_default());
        tables.map(|table| table[key].as_str().unwrap_or_else(|| panic!("a {kind} without {key}")).to_owned()).collect()
    };
    let tags = names([&plant, &line_plant], "tag", "path");
    let equipment = names([&plant, &line_plant], "equipment", "path");
    let masters = [&master, &line_master];
    let (reasons, calendars) = (names(masters, "reason", "name"), names(masters, "calendar", "name"));
    let (materials, skills) = (names(masters, "material", "name"), names(masters, "skill", "name"));
    let instructions = names(masters, "instruction", "name");
    let mut machines = 0;
    for document in masters {
        for machine in document["machine"].as_array().expect("machines") {
            machines += 1;
            assert!(equipment.contains(machine["equipment"].as_str().expect("a path")), "{machine}");
            assert!(calendars.contains(machine["calendar"].as_str().expect("a calendar")), "{machine}");
            for reason in machine["reason"]["values"].as_object().expect("values").values() {
                assert!(reasons.contains(reason.as_str().expect("a name")), "{reason}");
            }
            walk(machine, &mut |key, text| match key {
                "tag" | "serial" | "lot" => assert!(tags.contains(text), "there is no tag {text}"),
                "material" => assert!(materials.contains(text), "there is no material {text}"),
                _ => {}
            });
        }
        for material in document["material"].as_array().expect("materials") {
            for operation in material["operation"].as_array().into_iter().flatten() {
                let texts = |key: &str| operation[key].as_array().cloned().unwrap_or_default();
                for (key, known) in [("equipment", &equipment), ("skills", &skills), ("instructions", &instructions)] {
                    for text in texts(key) {
                        assert!(known.contains(text.as_str().expect("a text")), "{key} {text} is not there");
                    }
                }
            }
            walk(&material["bill"], &mut |key, text| {
                assert!(key != "material" || materials.contains(text), "there is no material {text}");
            });
        }
    }
    assert_eq!(machines, 7);
}

fn walk(json: &Json, visit: &mut impl FnMut(&str, &str)) {
    match json {
        Json::Object(map) => map.iter().for_each(|(key, inner)| match inner.as_str() {
            Some(text) => visit(key, text),
            None => walk(inner, visit),
        }),
        Json::Array(list) => list.iter().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

#[test]
fn every_code_that_a_station_says_has_a_reason_in_the_master_data() {
    let master = document(MASTER);
    let mut shift = Shift::new(1);
    shift.run(MAKE, 8 * 3600 * 10);
    for machine in master["machine"].as_array().expect("machines") {
        let name = machine["equipment"].as_str().expect("a path").rsplit('/').next().unwrap_or_default();
        let place = Place::ALL.into_iter().find(|place| place.name() == name).expect("a station");
        for (_, _, reason) in shift.states(place) {
            let code = reason.code();
            assert!(code.is_empty() || machine["reason"]["values"].get(code).is_some(), "{name}: {code}");
        }
    }
}

// Over real sockets ---------------------------------------------------------------------------------------------------

/// The least that can be called a broker with sessions: one connection of one client.
struct MiniBroker {
    stream: TcpStream,
    decoder: Decoder,
    buffer: BytesMut,
    client: String,
}

impl MiniBroker {
    /// Waits for a client and says yes; `session`: that its session is still there.
    async fn accept(listener: &TcpListener, session: bool) -> Self {
        let (stream, _) = listener.accept().await.expect("a client");
        let decoder = Decoder::server(Limits::default());
        let mut broker = Self { stream, decoder, buffer: BytesMut::new(), client: String::new() };
        let Some(Packet::Connect(connect)) = broker.packet().await else { panic!("no CONNECT") };
        assert!(!connect.clean_start && connect.properties.session_expiry_s > Some(0), "a session that lasts");
        broker.client = connect.client_id.as_str().to_owned();
        broker.send(&Packet::ConnAck(Box::new(ConnAck { session_present: session, ..ConnAck::default() }))).await;
        broker
    }
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
        packet.encode(Version::V5, &mut bytes).expect("encoded");
        self.stream.write_all(&bytes).await.expect("sent");
    }
    /// The next PUBLISH, not acknowledged.
    async fn publish(&mut self) -> Option<Publish> {
        loop {
            match self.packet().await? {
                Packet::Subscribe(asked) => {
                    let reasons = vec![ReasonCode::GRANTED_QOS_1; asked.filters.len()];
                    let packet_id = asked.packet_id;
                    self.send(&Packet::SubAck(SubAck { packet_id, properties: Default::default(), reasons })).await;
                }
                Packet::Publish(publish) => return Some(publish),
                Packet::PingReq => self.send(&Packet::PingResp).await,
                Packet::Disconnect(_) => return None,
                _ => {}
            }
        }
    }
    async fn taken(&mut self) -> Option<Publish> {
        let publish = self.publish().await?;
        assert_eq!(publish.qos, QoS::AtLeastOnce);
        self.send(&Packet::PubAck(Ack::new(publish.packet_id, ReasonCode::SUCCESS))).await;
        Some(publish)
    }
}

fn topic_of(publish: &Publish) -> &str {
    publish.topic.as_ref().map_or("", |topic| topic.as_str())
}

fn fast(address: SocketAddr, controls: Controls) -> Assembly {
    let mut options = AssemblyOptions::new(address, HashMap::new(), Arc::new(SystemClock));
    options.cycle = Duration::from_millis(240);
    options.controls = controls;
    Assembly::start(&options)
}

/// Takes the four stations' connections and keeps that of `mount`; the others wait.
async fn mount_of(listener: &TcpListener, session: bool) -> (MiniBroker, Vec<MiniBroker>) {
    let (mut mount, mut others) = (None, Vec::new());
    for _ in 0..4 {
        let broker = MiniBroker::accept(listener, session).await;
        if broker.client == "line2-mount" { mount = Some(broker) } else { others.push(broker) }
    }
    (mount.expect("mount"), others)
}

#[tokio::test]
async fn over_a_restart_of_the_broker_no_unit_is_lost_and_what_was_under_way_is_said_again_as_the_same() {
    let test = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let line = fast(listener.local_addr().expect("an address"), MAKE);
        let mut serials = Vec::new();
        let note = |serials: &mut Vec<String>, publish: &Publish| {
            if topic_of(publish).ends_with("/mount/unit") {
                let payload: Json = serde_json::from_slice(&publish.payload).expect("JSON");
                serials.push(payload["serial"].as_str().expect("a serial").to_owned());
            }
        };
        let (mut mount, others) = mount_of(&listener, false).await;
        while serials.len() < 3 {
            let publish = mount.taken().await.expect("still there");
            assert!(!publish.dup, "nothing was said before");
            note(&mut serials, &publish);
        }
        // The broker goes with a unit in its hands to which it did not say yes.
        let unsure = loop {
            let publish = mount.publish().await.expect("still there");
            if topic_of(&publish).ends_with("/mount/unit") {
                break publish;
            }
            mount.send(&Packet::PubAck(Ack::new(publish.packet_id, ReasonCode::SUCCESS))).await;
        };
        drop((mount, others));
        let (mut mount, others) = mount_of(&listener, true).await;
        let again = mount.taken().await.expect("still there");
        assert!(again.dup, "said again");
        assert_eq!((again.packet_id, &again.payload), (unsure.packet_id, &unsure.payload));
        note(&mut serials, &again);
        while serials.len() < 8 {
            let publish = mount.taken().await.expect("still there");
            note(&mut serials, &publish);
        }
        let numbers: Vec<u64> = serials.iter().map(|serial| serial[3..].parse().expect("a number")).collect();
        assert!(numbers.windows(2).all(|pair| pair[1] == pair[0] + 1), "one is missing or came twice: {serials:?}");
        drop((mount, others));
        line.stop().await;
    };
    timeout(PATIENCE, test).await.expect("in time");
}

#[tokio::test]
async fn the_line_makes_what_it_is_told_and_says_so() {
    let test = async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let line = fast(listener.local_addr().expect("an address"), Controls::default());
        let (mut mount, others) = mount_of(&listener, false).await;
        line.connected().wait_for(|count| *count == 4).await.expect("running");
        let first = mount.taken().await.expect("still there");
        assert!(first.retain && &first.payload[..] == b"online");
        let mapping = mapping();
        let wishes = [
            ("product", Value::String("HP-99".into()), false, "HP-8"),
            ("product", Value::String("HP-12".into()), false, "HP-12"),
            ("run", Value::Boolean(true), true, "HP-12"),
        ];
        for (number, (tag, value, run, product)) in (1..).zip(wishes) {
            // What it says of itself once comes first.
            if number == 1 {
                while !topic_of(&mount.taken().await.expect("still there")).ends_with("/control") {}
            }
            let Outgoing { topic, payload, .. } =
                mapping.outgoing(&format!("{LINE}/mount/{tag}"), &value).expect("a command");
            let wish = Publish {
                dup: false,
                qos: QoS::AtLeastOnce,
                retain: false,
                topic: Some(TopicName::parse(&topic).expect("a topic")),
                packet_id: number,
                properties: PublishProperties::default(),
                payload: Bytes::from(payload),
            };
            mount.send(&Packet::Publish(wish)).await;
            let answer = loop {
                let publish = mount.taken().await.expect("still there");
                if topic_of(&publish).ends_with("/control") {
                    break publish;
                }
            };
            let answer: Json = serde_json::from_slice(&answer.payload).expect("JSON");
            assert_eq!((&answer["run"], &answer["product"]), (&Json::from(run), &Json::from(product)));
        }
        while !topic_of(&mount.taken().await.expect("still there")).ends_with("/unit") {}
        assert_eq!(line.controls(), Controls { run: true, product: Product::Hp12 });
        drop(others);
        let stopping = tokio::spawn(line.stop());
        let mut last = None;
        while let Some(publish) = mount.taken().await {
            last = Some(publish);
        }
        assert_eq!(last.map(|publish| publish.payload), Some(Bytes::from_static(b"offline")));
        stopping.await.expect("stopped");
    };
    timeout(PATIENCE, test).await.expect("in time");
}

#[tokio::test]
async fn without_a_broker_a_station_keeps_what_it_has_to_tell_within_its_bound_and_then_begins_nothing() {
    let clock = Arc::new(SystemClock);
    let edge = Edge::new(MAKE, clock);
    let mut world = World::new(1, 1000);
    let mut units = 0;
    for _ in 0..3_000 * CYCLE {
        let said = world.step(edge.controls(), edge.room());
        units += said.iter().filter(|(place, said)| *place == Place::Mount && matches!(said, Said::Unit(_))).count();
        edge.say(&said);
    }
    assert!(edge.waiting(Place::Mount) < OUTBOX_LIMIT, "nothing was left out: {}", edge.waiting(Place::Mount));
    assert!(units > 500, "{units}");
    let stands = Place::ALL.map(|place| world.state(place));
    assert!(stands.contains(&(State::Held, Reason::NoRecord)), "{stands:?}");
    let begun = world.begun();
    (0..100 * CYCLE).for_each(|_| edge.say(&world.step(edge.controls(), edge.room())));
    assert_eq!(world.begun(), begun, "a unit of which nobody would hear");
}
