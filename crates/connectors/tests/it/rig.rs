//! A bus, a runner and a device, wired for one test.

use andon_bus::Bus;
use andon_connectors::modbus::sim::{Bank, Simulator};
use andon_connectors::{ConnectorHealth, Runner};
use andon_model::event::{ConnectionChange, Event, SealedEvent, What};
use andon_model::log::{AppendError, Seq};
use andon_model::plant::{ConnectorDef, Plant, TagDef, WriteRule};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, DataType, Sample, SystemClock, TagId, TagPath, Value};
use serde_json::json;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// Longer than anything here should take.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps events in memory.
#[derive(Default)]
pub struct Notebook(Mutex<Vec<Event>>);

impl Notebook {
    pub fn connections(&self) -> Vec<ConnectionChange> {
        let events = self.0.lock().unwrap();
        let change =
            |event: &Event| if let What::Connection(change) = &event.what { Some(change.clone()) } else { None };
        events.iter().filter_map(change).collect()
    }
}

impl Recorder for Notebook {
    fn record(&self, event: Event) -> BoxFuture<'static, Result<Arc<SealedEvent>, AppendError>> {
        self.0.lock().unwrap().push(event.clone());
        let sealed = SealedEvent { seq: Seq(1), event, prev: String::new(), hash: String::new() };
        Box::pin(async move { Ok(Arc::new(sealed)) })
    }
}

pub fn tag(path: &str, data_type: DataType) -> TagDef {
    TagDef {
        id: Uuid::new_v5_like(path),
        path: TagPath::parse(path).unwrap(),
        title: path.to_owned(),
        description: String::new(),
        data_type,
        unit: None,
        range: None,
        digits: None,
        states: std::collections::BTreeMap::new(),
        interpolation: andon_model::plant::Interpolation::Sloped,
        compress: None,
        keep_days: None,
        stale_after_ms: None,
        write: Some(WriteRule {
            min: None,
            max: None,
            needs_reason: false,
            life_ms: 5000,
            tolerance: 0.0,
            confirm_within_ms: 1000,
        }),
        origin: None,
    }
}

/// A stable id for a path; only uniqueness within a test matters.
trait FromPath {
    fn new_v5_like(path: &str) -> Uuid;
}
impl FromPath for Uuid {
    fn new_v5_like(path: &str) -> Uuid {
        Uuid::from_u128(path.bytes().fold(7, |hash: u128, byte| hash.wrapping_mul(1_000_003) ^ u128::from(byte)))
    }
}

/// A plant with one connector `device`.
pub fn plant(tags: Vec<TagDef>, settings: serde_json::Value) -> Plant {
    let connector = ConnectorDef {
        name: "device".to_owned(),
        kind: "modbus".to_owned(),
        title: String::new(),
        enabled: true,
        settings,
    };
    Plant { version: 1, tags, connectors: vec![connector], ..Plant::default() }
}

pub struct Rig {
    pub bus: Arc<Bus>,
    pub runner: Runner,
    pub notebook: Arc<Notebook>,
}

impl Rig {
    /// A runner whose bus holds `plant`; nothing runs yet.
    pub fn new(plant: &Plant) -> Self {
        let clock = Arc::new(SystemClock);
        let bus = Bus::new(clock.clone());
        let notebook = Arc::new(Notebook::default());
        let runner = Runner::new(bus.clone(), notebook.clone(), clock);
        let rig = Self { bus, runner, notebook };
        rig.set_plant(plant);
        rig
    }

    pub fn set_plant(&self, plant: &Plant) {
        let ids = (1..).take(plant.tags.len()).map(TagId).collect();
        self.bus.set_plant(Arc::new(plant.clone()), ids);
    }

    /// A running device and connector with registers as in settings, polled every 20 ms.
    pub async fn with_device(
        tags: Vec<TagDef>,
        bank: Arc<Bank>,
        registers: serde_json::Value,
    ) -> (Self, Simulator, Plant) {
        let device = Simulator::start("127.0.0.1:0".parse().unwrap(), bank).await.unwrap();
        let settings = json!({
            "endpoint": device.address().to_string(), "poll": "20ms", "timeout": "200ms", "register": registers,
        });
        let plant = plant(tags, settings);
        let rig = Self::new(&plant);
        rig.runner.apply(&plant).await;
        (rig, device, plant)
    }

    pub fn id(&self, path: &str) -> TagId {
        self.bus.plant().id_of(path).unwrap()
    }

    pub fn last(&self, path: &str) -> Option<Sample> {
        self.bus.last(self.id(path))
    }

    pub fn health(&self) -> ConnectorHealth {
        self.runner.health().into_iter().next().unwrap()
    }

    /// Waits until the tag's last sample is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Sample) -> bool) -> Sample {
        let id = self.id(path);
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

    pub async fn until_value(&self, path: &str, value: impl Into<TestValue>) -> Sample {
        let value = value.into().0;
        self.until(path, |sample| sample.value == value && !sample.quality.is_bad()).await
    }
}

/// Waits for a condition that nobody announces.
pub async fn eventually(what: &str, condition: impl Fn() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "never happened: {what}");
}

/// Plain Rust values as tag values.
pub struct TestValue(pub Value);
impl From<i64> for TestValue {
    fn from(value: i64) -> Self {
        Self(Value::Int64(value))
    }
}
impl From<f64> for TestValue {
    fn from(value: f64) -> Self {
        Self(Value::Double(value))
    }
}
impl From<bool> for TestValue {
    fn from(value: bool) -> Self {
        Self(Value::Boolean(value))
    }
}
impl From<&str> for TestValue {
    fn from(value: &str) -> Self {
        Self(Value::String(value.into()))
    }
}
