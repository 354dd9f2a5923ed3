//! The line as the product sees it: through its plant document, a bus and real Modbus TCP.

use super::{Addresses, Line, PLANT};
use andon_bus::Bus;
use andon_connectors::{ConnectorState, Runner, check};
use andon_model::command::Written;
use andon_model::event::{Event, SealedEvent};
use andon_model::log::{AppendError, Seq};
use andon_model::plant::{ConnectorDef, Interpolation, Plant, TagDef, WriteRule};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Clock, DataType, Sample, StatusCode, SystemClock, TagId, TagPath, Value};
use serde_json::{Value as Json, json};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const PATIENCE: Duration = Duration::from_secs(30);
const FILLER: &str = "works/packaging/line1/filler";
const CAPPER: &str = "works/packaging/line1/capper";

fn document(text: &str) -> Json {
    toml::from_str(text).unwrap()
}

fn list<'d>(document: &'d Json, kind: &str) -> &'d [Json] {
    document[kind].as_array().unwrap()
}

fn tag(number: u128, entry: &Json) -> TagDef {
    let write = entry.get("write").map(|rule| WriteRule {
        min: rule.get("min").and_then(Json::as_f64),
        max: rule.get("max").and_then(Json::as_f64),
        needs_reason: rule.get("needs_reason").is_some(),
        life_ms: 10_000,
        tolerance: rule.get("tolerance").and_then(Json::as_f64).unwrap_or(0.0),
        confirm_within_ms: 3000,
    });
    TagDef {
        id: Uuid::from_u128(number),
        path: TagPath::parse(entry["path"].as_str().unwrap()).unwrap(),
        title: entry["title"].as_str().unwrap().to_owned(),
        description: String::new(),
        data_type: serde_json::from_value(entry["type"].clone()).unwrap(),
        unit: entry.get("unit").map(|unit| serde_json::from_value(unit.clone()).unwrap()),
        range: entry.get("range").map(|range| serde_json::from_value(range.clone()).unwrap()),
        digits: None,
        states: BTreeMap::new(),
        interpolation: Interpolation::Sloped,
        compress: None,
        keep_days: None,
        stale_after_ms: None,
        write,
        origin: entry.get("origin").and_then(Json::as_str).map(ToOwned::to_owned),
    }
}

fn connector(entry: &Json) -> ConnectorDef {
    let mut settings = entry.as_object().unwrap().clone();
    let mut take = |key: &str| settings.remove(key).and_then(|value| value.as_str().map(ToOwned::to_owned)).unwrap();
    let (name, kind, title) = (take("name"), take("type"), take("title"));
    ConnectorDef { name, kind, title, enabled: true, settings: settings.into() }
}

/// As much of the document as connectors need. The whole document is checked where documents are at home.
fn plant(text: &str) -> Plant {
    let document = document(text);
    let mut tags: Vec<TagDef> =
        list(&document, "tag").iter().zip(1..).map(|(entry, number)| tag(number, entry)).collect();
    tags.sort_by(|a, b| a.path.cmp(&b.path));
    Plant {
        version: 1,
        tags,
        connectors: list(&document, "connector").iter().map(connector).collect(),
        ..Plant::default()
    }
}

struct Deaf;

impl Recorder for Deaf {
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>> {
        let sealed = SealedEvent { seq: Seq(1), event, prev: String::new(), hash: String::new() };
        Box::pin(async move { Ok(Arc::new(sealed)) })
    }
}

struct Site {
    line: Line,
    bus: Arc<Bus>,
    runner: Runner,
}

impl Site {
    async fn start() -> Self {
        let line = Line::start(Addresses::default()).await.unwrap();
        let plant = plant(&line.plant_document());
        let clock = Arc::new(SystemClock);
        let bus = Bus::new(clock.clone());
        bus.set_plant(Arc::new(plant.clone()), (1..).take(plant.tags.len()).map(TagId).collect());
        let runner = Runner::new(bus.clone(), Arc::new(Deaf), clock);
        runner.apply(&plant).await;
        Self { line, bus, runner }
    }

    async fn until(&self, path: &str, wanted: impl Fn(&Sample) -> bool) -> Sample {
        let id = self.bus.plant().id_of(path).unwrap();
        let mut changes = self.bus.subscribe_newest(None);
        let found = async {
            loop {
                if let Some(sample) = self.bus.last(id).filter(|sample| wanted(sample)) {
                    return sample;
                }
                changes.next().await;
            }
        };
        let found = tokio::time::timeout(PATIENCE, found).await;
        found.unwrap_or_else(|_| panic!("{path} stayed at {:?}", self.bus.last(id)))
    }

    async fn write(&self, path: &str, value: Value) -> Result<Value, String> {
        let id = self.bus.plant().id_of(path).unwrap();
        let actuator = self.bus.actuator(id).unwrap();
        match actuator.write(id, value, SystemClock.now().plus(PATIENCE)).await {
            Ok(Written::ReadBack(sample)) => Ok(sample.value),
            Ok(Written::Sent) => Err("not read back".to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[test]
fn the_document_is_whole() {
    let text = DEVICES_AT.iter().fold(PLANT.to_owned(), |text, (name, address)| text.replace(name, address));
    let plant = plant(&text);
    for connector in &plant.connectors {
        assert_eq!(check(connector, &plant), [], "{}", connector.name);
    }
    let document = document(&text);
    let equipment: HashSet<&str> =
        list(&document, "equipment").iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    let tags: HashSet<&str> = plant.tags.iter().map(|tag| tag.path.as_str()).collect();
    assert!(plant.tags.iter().all(|tag| equipment.contains(tag.path.equipment().as_str())));
    let registers = plant.connectors.iter().flat_map(|connector| connector.settings["register"].as_array().unwrap());
    let fed: HashSet<&str> = registers.map(|register| register["tag"].as_str().unwrap()).collect();
    assert_eq!(tags, fed, "every tag is fed");
    assert!(plant.tags.iter().all(|tag| tag.origin.is_some()), "whatever is made up says so");
    for alarm in list(&document, "alarm") {
        assert!(tags.contains(alarm["tag"].as_str().unwrap()));
        for key in ["message", "cause", "consequence", "action"] {
            assert!(alarm[key].as_str().is_some_and(|text| text.len() > 10), "{alarm}");
        }
    }
}

const DEVICES_AT: [(&str, &str); 5] = [
    ("{filler}", "127.0.0.1:5021"),
    ("{capper}", "127.0.0.1:5022"),
    ("{labeller}", "127.0.0.1:5023"),
    ("{conveyor}", "127.0.0.1:5024"),
    ("{energy}", "127.0.0.1:5025"),
];

#[tokio::test]
async fn every_tag_has_a_good_value_soon_after_the_start() {
    let site = Site::start().await;
    for (_, tag) in site.bus.plant().tags() {
        let sample = site.until(tag.path.as_str(), |sample| !sample.quality.is_bad()).await;
        assert_eq!(sample.quality, StatusCode::GOOD, "{}: {:?} is outside its range", tag.path, sample.value);
        assert_ne!(sample.value.coerce(tag.data_type), None);
    }
    let recipe = site.until("works/packaging/line1/labeller/recipe", |_| true).await;
    assert_eq!(recipe.value, Value::String("Water 0.5 l".into()));
    let power = site.until("works/utilities/energy/power", |_| true).await.value.as_f64().unwrap();
    assert!((10.0..700.0).contains(&power), "the word order of the meter: {power}");
    site.runner.stop().await;
    site.line.stop().await;
}

#[tokio::test]
async fn set_points_and_the_valve_act() {
    let site = Site::start().await;
    site.until(&format!("{FILLER}/state"), |sample| sample.value == Value::Int64(1)).await;
    assert_eq!(site.write(&format!("{FILLER}/speed_setpoint"), Value::Double(9000.0)).await, Ok(Value::Double(9000.0)));
    site.until(&format!("{FILLER}/speed"), |sample| sample.value == Value::Double(9000.0)).await;
    assert_eq!(site.write(&format!("{FILLER}/pressure_setpoint"), Value::Double(3.2)).await, Ok(Value::Double(3.2)));
    site.until(&format!("{FILLER}/pressure"), |sample| sample.value.as_f64().is_some_and(|bar| bar > 3.1)).await;

    assert_eq!(site.write(&format!("{FILLER}/valve"), Value::Boolean(false)).await, Ok(Value::Boolean(false)));
    site.until(&format!("{FILLER}/flow"), |sample| sample.value == Value::Double(0.0)).await;
    site.until(&format!("{FILLER}/state"), |sample| sample.value == Value::Int64(3)).await;
    assert_eq!(site.write(&format!("{FILLER}/valve"), Value::Boolean(true)).await, Ok(Value::Boolean(true)));
    site.until(&format!("{FILLER}/state"), |sample| sample.value == Value::Int64(1)).await;

    let refused = site.write(&format!("{FILLER}/speed_setpoint"), Value::Double(30_000.0)).await;
    assert_eq!(refused, Err("the device refused: exception 0x03 illegal data value".to_owned()));
    site.line.stop().await;
}

#[tokio::test]
async fn an_unplugged_device_is_told_and_comes_back() {
    let mut site = Site::start().await;
    let state = format!("{CAPPER}/state");
    site.until(&state, |sample| sample.quality.is_good()).await;
    assert!(site.line.unplug("capper").await);
    site.until(&state, |sample| sample.quality == StatusCode::BAD_NO_COMMUNICATION).await;
    let health = site.runner.health();
    let state_of = |name: &str| health.iter().find(|health| health.name == name).unwrap().state;
    assert_eq!((state_of("capper"), state_of("filler")), (ConnectorState::Failed, ConnectorState::Connected));
    assert!(site.line.plug("capper").await.unwrap());
    site.until(&state, |sample| sample.quality.is_good()).await;
    site.line.stop().await;
}

/// When an alarm with delays is raised and cleared, in seconds, over a series of one value a second.
fn transitions(
    series: impl Iterator<Item = f64>,
    raised_at: impl Fn(f64) -> bool,
    clear_at: impl Fn(f64) -> bool,
    delays: (u32, u32),
) -> Vec<usize> {
    let (mut active, mut held, mut found) = (false, 0, Vec::new());
    for (second, value) in series.enumerate() {
        held = if if active { clear_at(value) } else { raised_at(value) } { held + 1 } else { 0 };
        if held > if active { delays.1 } else { delays.0 } {
            (active, held) = (!active, 0);
            found.push(second);
        }
    }
    found
}

fn seconds(entry: &Json, key: &str) -> u32 {
    entry.get(key).and_then(Json::as_str).map_or(0, |text| text.trim_end_matches('s').parse().unwrap())
}

/// Two rounds of the recording, close to two hours, with nobody touching anything.
#[test]
fn the_real_excursion_raises_its_alarm_and_nothing_chatters() {
    let document = document(PLANT);
    let (mut world, controls) = (super::world::World::new(), super::world::Controls::default());
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for _ in 0..2 * 3456 {
        (0..10).for_each(|_| world.step(&controls));
        let values = [
            (format!("{CAPPER}/motor_temperature"), world.capper.motor_temperature),
            (format!("{CAPPER}/state"), f64::from(world.capper.state as u16)),
            (format!("{FILLER}/pressure"), world.filler.pressure),
            (format!("{FILLER}/state"), f64::from(world.filler.state as u16)),
            (format!("{FILLER}/tank_level"), world.filler.tank_level),
            ("works/packaging/line1/labeller/label_stock".to_owned(), world.labeller.stock),
        ];
        values.into_iter().for_each(|(path, value)| series.entry(path).or_default().push(value));
    }
    let mut told = BTreeMap::new();
    for alarm in list(&document, "alarm").iter().filter(|alarm| alarm["condition"] != "silent") {
        let path = alarm["tag"].as_str().unwrap();
        let (limit, deadband) = (alarm["limit"].as_f64().unwrap_or(0.0), alarm["deadband"].as_f64().unwrap_or(0.0));
        let values = series[path].iter().copied();
        let delays = (seconds(alarm, "on_delay"), seconds(alarm, "off_delay"));
        let found = match alarm["condition"].as_str().unwrap() {
            "high" => transitions(values, |v| v >= limit, |v| v < limit - deadband, delays),
            "low" => transitions(values, |v| v <= limit, |v| v > limit + deadband, delays),
            _ => {
                let equals = alarm["equals"].as_f64().unwrap();
                transitions(values, |v| v == equals, |v| v != equals, delays)
            }
        };
        let name = path.rsplit('/').take(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
        told.insert(name, found);
    }
    let counts: Vec<(String, usize)> =
        told.iter().map(|(name, found)| (name.clone(), found.len().div_ceil(2))).collect();
    let expected = [
        ("capper/motor_temperature", 6), // three of the four recorded windows in each round
        ("capper/state", 4),
        ("filler/pressure", 0),
        ("filler/state", 4),
        ("filler/tank_level", 0),
        ("labeller/label_stock", 3),
    ];
    assert_eq!(counts, expected.map(|(name, count)| (name.to_owned(), count)), "{told:?}");
    let first = told["capper/motor_temperature"][0];
    assert!((150..=180).contains(&first), "within three minutes: {first} s");
}

#[test]
fn writable_tags_stay_within_what_the_devices_take() {
    let plant = plant(PLANT);
    for (path, max) in [("speed_setpoint", super::world::SPEED_MAX), ("pressure_setpoint", super::world::PRESSURE_MAX)]
    {
        let tag = plant.tags.iter().find(|tag| tag.path.as_str() == format!("{FILLER}/{path}")).unwrap();
        assert!(tag.write.as_ref().unwrap().max.unwrap() <= max);
        assert_eq!(tag.data_type, DataType::Double);
    }
    assert_eq!(plant.tags.len(), 32);
    assert_eq!(json!(plant.tags.iter().filter(|tag| tag.write.is_some()).count()), json!(7));
}
