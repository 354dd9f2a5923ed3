//! Keeps the connectors of the plant running: one task each, restarted only when something of its own changed.

use crate::health::{ConnectorHealth, ConnectorState, Health, LastError};
use crate::modbus::config::{self, Config};
use crate::modbus::driver::{Ask, Device, Driver, Reading, publish_bad, read_once};
use crate::modbus::link::{Link, LinkError};
use crate::{GUEST_KINDS, check, modbus};
use andon_bus::{Arrival, Arrived, Bus};
use andon_model::command::{Actuator, WriteError, Written};
use andon_model::plant::{ConnectorDef, Plant};
use andon_model::record::Recorder;
use andon_model::{BoxFuture, Clock, DataType, Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

/// A driver that has not ended this long after being told to is cut off.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

/// What a test of a connector found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct TestReport {
    /// Everything could be read.
    pub ok: bool,
    /// In plain words.
    pub detail: String,
}

/// Connectors that somebody else runs, and that people see among the others.
pub trait Guests: Send + Sync {
    /// How they are doing, by name; at once, for it is asked every second by everybody who looks.
    fn health(&self) -> Vec<ConnectorHealth>;
    /// Whether one works, in plain words; `None`: there is none of this name.
    fn test(&self, name: &str) -> Option<TestReport>;
    /// What one has found by itself; `None`: there is none of this name that looks.
    fn found(&self, name: &str) -> Option<FoundValues>;
}

/// A value that a connector has found.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundValue {
    /// Where it is, in the protocol's words.
    pub place: String,
    /// Its type, in the protocol's words.
    pub data_type: String,
    /// What a tag must be to take it; `None`: no tag can.
    pub tag_type: Option<DataType>,
    /// What becomes of it: `proposed` (a document can take it), `same` (another proposal takes it), `mapped`, `refused`, `not understood`, `gone`.
    pub state: &'static str,
    /// The path of the tag that takes it, or that the document would make.
    pub tag: Option<String>,
    /// Why it is as it is, where there is more to say.
    pub why: String,
    /// Whether its source calls it of no interest to a historian.
    pub transient: bool,
    /// The last value.
    pub value: Value,
    /// How far it can be trusted.
    pub quality: StatusCode,
    /// Of when it is.
    pub at: Timestamp,
}

/// One of several that a connector hears: of Sparkplug an edge node, or a device of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundNode {
    /// Its name in the protocol's words; a device has the name of its edge node.
    pub node: String,
    /// The device; `None`: the edge node itself.
    pub device: Option<String>,
    /// Whether it is there, as far as is known for sure.
    pub online: bool,
    /// Since when.
    pub since: Timestamp,
    /// How many metrics it has.
    pub metrics: usize,
    /// How often it was asked for a birth since the start.
    pub births_asked: u64,
    /// The last thing that was odd about it, and when.
    pub trouble: Option<(Timestamp, String)>,
}

/// What a connector has found, first what no tag takes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FoundValues {
    /// Whom it hears, each edge node before its devices; a bounded number of them, those first of which something is not there.
    pub nodes: Vec<FoundNode>,
    /// How many more there are.
    pub more_nodes: usize,
    /// A bounded number of them.
    pub values: Vec<FoundValue>,
    /// How many more there are.
    pub more: usize,
    /// A document that would make tags of what none takes; `None` where the connector does not know a place for them.
    pub document: Option<String>,
}

/// Owns the tasks of all connectors.
pub struct Runner {
    bus: Arc<Bus>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    entries: Mutex<BTreeMap<String, Entry>>,
    guests: RwLock<Vec<Arc<dyn Guests>>>,
    /// Two changes of the plant are applied one after the other.
    applying: tokio::sync::Mutex<()>,
}

impl std::fmt::Debug for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").finish_non_exhaustive()
    }
}

/// One connector of the plant, running or not.
struct Entry {
    def: ConnectorDef,
    /// `None` when it is disabled or its settings are wrong.
    device: Option<Arc<Device>>,
    health: Arc<Health>,
    task: Option<Task>,
}

/// A running driver.
struct Task {
    asks: mpsc::Sender<Ask>,
    handle: JoinHandle<()>,
    stop: CancellationToken,
    /// Stops the driver when the runner is dropped.
    _guard: DropGuard,
}

impl Entry {
    fn tags(&self) -> &[TagId] {
        self.device.as_ref().map(|device| device.tags.as_slice()).unwrap_or_default()
    }

    fn writable(&self) -> Vec<TagId> {
        let Some(device) = &self.device else { return Vec::new() };
        let pairs = device.config.registers.iter().zip(&device.tags);
        pairs.filter(|(register, _)| register.writable).map(|(_, tag)| *tag).collect()
    }
}

impl Runner {
    /// A runner without connectors; [`Runner::apply`] brings them.
    #[must_use]
    pub fn new(bus: Arc<Bus>, recorder: Arc<dyn Recorder>, clock: Arc<dyn Clock>) -> Self {
        Self {
            bus,
            recorder,
            clock,
            entries: Mutex::default(),
            guests: RwLock::default(),
            applying: tokio::sync::Mutex::default(),
        }
    }

    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        // Entries are put in and taken out whole, so a panic elsewhere leaves nothing half done.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts, stops and restarts what changed. Call it after [`Bus::set_plant`] with the same plant, within a tokio
    /// runtime. Connectors that did not change keep their connection. Tags that no connector feeds any more are
    /// published once as out of service.
    pub async fn apply(&self, plant: &Plant) {
        let _turn = self.applying.lock().await;
        let mut wanted: BTreeMap<String, Entry> =
            ours(plant).map(|def| (def.name.clone(), self.entry(def, plant))).collect();
        let former: Vec<(String, Entry)> = {
            let mut entries = self.entries();
            let changed: Vec<String> = entries
                .iter()
                .filter(|(name, entry)| !wanted.get(*name).is_some_and(|new| same(entry, new)))
                .map(|(name, _)| name.clone())
                .collect();
            wanted.retain(|name, _| !entries.contains_key(name) || changed.contains(name));
            changed.into_iter().filter_map(|name| entries.remove_entry(&name)).collect()
        };
        self.stop_all(former.iter().map(|(_, entry)| entry)).await;
        let orphans = self.orphans(&former, &wanted);
        publish_bad(&self.bus, &orphans, StatusCode::BAD_OUT_OF_SERVICE, self.clock.now()).await;
        for (name, mut entry) in wanted {
            self.start(&mut entry);
            self.entries().insert(name, entry);
        }
    }

    /// Stops every connector, connections closed, and forgets them. Last values stay as they are.
    pub async fn stop(&self) {
        let _turn = self.applying.lock().await;
        let entries = std::mem::take(&mut *self.entries());
        self.stop_all(entries.values()).await;
    }

    /// How every connector is doing, by name.
    #[must_use]
    pub fn health(&self) -> Vec<ConnectorHealth> {
        let mut health: Vec<ConnectorHealth> = self.entries().values().map(report).collect();
        let guests = self.guests();
        health.extend(guests.iter().flat_map(|guests| guests.health()));
        health.sort_by(|a, b| a.name.cmp(&b.name));
        health
    }

    /// What a connector has found by itself; `None` if it does not look, or there is none of this name. It may have to be read first, which no worker of
    /// the runtime waits for.
    pub async fn found(&self, name: &str) -> Option<FoundValues> {
        let name = name.to_owned();
        self.ask_guests(move |guests| guests.found(&name)).await
    }

    async fn ask_guests<T: Send + 'static>(
        &self,
        ask: impl Fn(&dyn Guests) -> Option<T> + Send + 'static,
    ) -> Option<T> {
        let guests = self.guests();
        let answer = tokio::task::spawn_blocking(move || guests.iter().find_map(|guests| ask(&**guests))).await;
        answer.unwrap_or_default()
    }

    fn guests(&self) -> Vec<Arc<dyn Guests>> {
        self.guests.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on shows these connectors too.
    pub fn show_guests(&self, guests: Arc<dyn Guests>) {
        self.guests.write().unwrap_or_else(PoisonError::into_inner).push(guests);
    }

    /// How far the readings of every connector that should run have come, by name.
    #[must_use]
    pub fn arrivals(&self) -> Vec<(ConnectorDef, Arrived)> {
        let stored = self.bus.all_stored_up_to();
        let entries = self.entries();
        let running = entries.values().filter(|entry| entry.def.enabled);
        running.map(|entry| (entry.def.clone(), entry.health.arrivals.look(stored))).collect()
    }

    /// Reads every register of a connector once, on its open connection if there is one, else on one of its own.
    pub async fn test(&self, name: &str) -> TestReport {
        let asked = name.to_owned();
        if let Some(report) = self.ask_guests(move |guests| guests.test(&asked)).await {
            return report;
        }
        let (device, asks) = {
            let entries = self.entries();
            let Some(entry) = entries.get(name) else {
                return TestReport { ok: false, detail: format!("there is no connector \"{name}\"") };
            };
            (entry.device.clone(), entry.task.as_ref().map(|task| task.asks.clone()))
        };
        let Some(device) = device else {
            let error =
                self.health().into_iter().find(|health| health.name == name).and_then(|health| health.last_error);
            let detail = error.map_or_else(
                || "its settings cannot be used".to_owned(),
                |error| format!("{}; {}", error.text, error.remedy),
            );
            return TestReport { ok: false, detail };
        };
        if let Some(asks) = asks {
            let (reply, answer) = oneshot::channel();
            if asks.try_send(Ask::Test { reply }).is_ok()
                && let Ok(outcome) = answer.await
            {
                return verdict(&device.config, outcome);
            }
        }
        verdict(&device.config, trial(&device.config).await)
    }

    /// The entry that the plant wants, not yet started.
    fn entry(&self, def: &ConnectorDef, plant: &Plant) -> Entry {
        let health = |state| Arc::new(Health::new(state, self.clock.clone()));
        let config = if def.kind == modbus::KIND { config::parse(def, plant) } else { Err(check(def, plant)) };
        let ids = config.map_err(|findings| findings.into_iter().next()).and_then(|config| {
            let view = self.bus.plant();
            let ids: Option<Vec<TagId>> =
                config.registers.iter().map(|register| view.id_of(register.tag.as_str())).collect();
            ids.map(|ids| (config, ids)).ok_or(None)
        });
        match ids {
            Ok((config, tags)) => {
                let device = Some(Arc::new(Device { name: def.name.clone(), config, tags }));
                let state = if def.enabled { ConnectorState::Connecting } else { ConnectorState::Disabled };
                Entry { def: def.clone(), device, health: health(state), task: None }
            }
            Err(finding) => {
                let health = health(if def.enabled { ConnectorState::Failed } else { ConnectorState::Disabled });
                let (text, remedy) = finding.map_or_else(
                    || {
                        (
                            "a tag of this connector is not on the bus".to_owned(),
                            "apply the plant model again".to_owned(),
                        )
                    },
                    |finding| (finding.message, finding.remedy),
                );
                health.failed(text, &remedy);
                Entry { def: def.clone(), device: None, health, task: None }
            }
        }
    }

    fn start(&self, entry: &mut Entry) {
        let Some(device) = entry.device.clone().filter(|_| entry.def.enabled) else { return };
        // What its tags had before counts as its own: a tag has one source.
        let known: Vec<Sample> = device.tags.iter().filter_map(|tag| self.bus.last(*tag)).collect();
        match self.bus.all_stored_up_to() {
            // Nothing was stored since the start, so these come from the log.
            None => entry.health.arrivals.note_stored(Arrival::of(&known)),
            stored => entry.health.arrivals.note(Arrival::of(&known), stored),
        }
        let (driver, asks) = Driver::new(
            device.clone(),
            self.bus.clone(),
            self.recorder.clone(),
            self.clock.clone(),
            entry.health.clone(),
        );
        let by_tag = device.tags.iter().enumerate().map(|(register, tag)| (*tag, register)).collect();
        let actuator = Arc::new(ModbusActuator { asks: asks.clone(), by_tag });
        self.bus.set_actuator(entry.writable(), actuator);
        let stop = CancellationToken::new();
        let handle = tokio::spawn(driver.run(stop.clone()));
        entry.task = Some(Task { asks, handle, stop: stop.clone(), _guard: stop.drop_guard() });
    }

    /// Tells all to stop, then waits for each with a bound.
    async fn stop_all<'e>(&self, entries: impl Iterator<Item = &'e Entry> + Clone) {
        for entry in entries.clone() {
            self.bus.clear_actuators(entry.writable());
            if let Some(task) = &entry.task {
                task.stop.cancel();
            }
        }
        let deadline = self.clock.monotonic() + STOP_PATIENCE;
        for task in entries.filter_map(|entry| entry.task.as_ref()) {
            while !task.handle.is_finished() && self.clock.monotonic() < deadline {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            if !task.handle.is_finished() {
                tracing::warn!("a connector did not stop in time and is cut off");
                task.handle.abort();
            }
        }
    }

    /// Tags that a stopped connector fed and no other feeds now.
    fn orphans(&self, former: &[(String, Entry)], wanted: &BTreeMap<String, Entry>) -> Vec<TagId> {
        let fed = |entry: &Entry| if entry.def.enabled { entry.tags().to_vec() } else { Vec::new() };
        let entries = self.entries();
        let still: HashSet<TagId> = wanted.values().chain(entries.values()).flat_map(fed).collect();
        let plant = self.bus.plant();
        let before: HashSet<TagId> = former.iter().flat_map(|(_, entry)| fed(entry)).collect();
        before.into_iter().filter(|tag| !still.contains(tag) && plant.tag(*tag).is_some()).collect()
    }
}

/// The connectors of the plant that a runner runs.
fn ours(plant: &Plant) -> impl Iterator<Item = &ConnectorDef> {
    plant.connectors.iter().filter(|def| !GUEST_KINDS.contains(&def.kind.as_str()))
}

/// True when a running connector may go on as it is.
fn same(running: &Entry, wanted: &Entry) -> bool {
    running.def == wanted.def && running.device == wanted.device && running.device.is_some()
}

fn report(entry: &Entry) -> ConnectorHealth {
    let endpoint = entry.def.settings.get("endpoint").and_then(|endpoint| endpoint.as_str()).unwrap_or_default();
    let mut report = entry.health.report(&entry.def, endpoint.to_owned(), entry.tags().len());
    // A driver runs until it is stopped; one that ended before is a fault of ours, and must not look healthy.
    if entry.task.as_ref().is_some_and(|task| task.handle.is_finished()) {
        report.state = ConnectorState::Failed;
        report.last_error = Some(LastError {
            at: report.since,
            text: "the connector's task has ended unexpectedly".to_owned(),
            remedy: "switch the connector off and on again, and report the panic in the log".to_owned(),
        });
    }
    report
}

/// Connects on its own and reads everything once.
async fn trial(config: &Config) -> Result<Reading, LinkError> {
    let mut link = Link::connect(config).await?;
    read_once(&mut link, config).await
}

fn verdict(config: &Config, outcome: Result<Reading, LinkError>) -> TestReport {
    let reading = match outcome {
        Err(error) => return TestReport { ok: false, detail: format!("{error}; {}", error.remedy()) },
        Ok(reading) => reading,
    };
    let good = reading.values.iter().filter(|(_, _, quality)| !quality.is_bad()).count();
    let mut detail =
        format!("connected to {}; {good} of {} tags have a value", config.endpoint, config.registers.len());
    if let Some(first) = reading.refused.first() {
        detail = format!("{detail}; {first}; {}", first.remedy());
    }
    TestReport { ok: reading.refused.is_empty(), detail }
}

/// Writes tags through their driver's queue.
struct ModbusActuator {
    asks: mpsc::Sender<Ask>,
    by_tag: HashMap<TagId, usize>,
}

impl Actuator for ModbusActuator {
    fn write(&self, tag: TagId, value: Value, deadline: Timestamp) -> BoxFuture<'static, Result<Written, WriteError>> {
        let (reply, answer) = oneshot::channel();
        let sent = match self.by_tag.get(&tag) {
            None => Err(WriteError::NotSent("no register is bound to this tag".to_owned())),
            Some(register) => {
                self.asks.try_send(Ask::Write { register: *register, value, deadline, reply }).map_err(|error| {
                    match error {
                        mpsc::error::TrySendError::Full(_) => {
                            WriteError::NotSent("too many commands wait for this device".to_owned())
                        }
                        mpsc::error::TrySendError::Closed(_) => {
                            WriteError::NotConnected("the connector has stopped".to_owned())
                        }
                    }
                })
            }
        };
        Box::pin(async move {
            sent?;
            let gone = || WriteError::NoAnswer("the connector was cut off while the command was with it".to_owned());
            answer.await.unwrap_or_else(|_| Err(gone()))
        })
    }
}
