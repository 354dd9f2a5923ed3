//! Sparkplug B joined to the rest: host applications that turn edge nodes into tags, edge nodes made of tags, and what an aware MQTT server does.
//!
//! All of it works within the program: messages come from the broker's hooks as they pass through, and go out through the broker. A host application
//! and its server live and die together, so a connection between them cannot be lost.
//! **Invariant**: nothing here waits for the broker's router from within a hook; what must be durable is left to [`Sparkplug::run`].

mod actuator;
mod certificates;
pub mod config;
mod edge;
mod found;
mod health;
#[cfg(test)]
mod tests;

use self::actuator::SparkplugActuator;
use self::certificates::Certificates;
use self::config::{EDGE, HOST, HostConfig};
use self::edge::EdgeRun;
use crate::mqtt::telling::{Comings, Troubles};
use crate::notes::Notes;
use andon_access::private_file;
use andon_broker::{Broker, Message};
use andon_bus::Bus;
use andon_bus::ids::new_id;
use andon_connectors::health::{Broken, ConnectorState, Health};
use andon_model::access::Principal;
use andon_model::event::{ConnectionChange, Event, What};
use andon_model::plant::{ConnectorDef, Plant};
use andon_model::record::Recorder;
use andon_model::text::shown;
use andon_model::{Clock, Sample, StatusCode, TagId, Value};
use andon_sparkplug::state::{Answers, State, contradicted};
use andon_sparkplug::topic::{NAMESPACE, NodeName, Topic, state_topic};
use andon_sparkplug::{Address, Host, Limits, Note, Now, Order, Outcome, Targets, aware};
use andon_wire::mqtt::{QoS, TopicFilter, TopicName};
use bytes::Bytes;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often hosts look at what is overdue.
const TICK: Duration = Duration::from_millis(250);
/// How long a request for a birth, or a command that is passed on, is of use.
pub const REQUEST_LIFE: Duration = Duration::from_secs(10);
/// How often what hosts know of their nodes is kept, if it changed.
const KEEP_EVERY: Duration = Duration::from_secs(60);
/// How long after its begin a host looks once more for births from before.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long an edge node may take to say that it goes.
const END_WITHIN: Duration = Duration::from_secs(5);
/// Why a command of somebody else is refused that may write a tag.
const NOT_READ: &str = "it cannot be read, has an alias that is not that of the metric it names, or not known because the device is not \
                        online, or might be read by others as a write of a tag; send each metric by name, and members in an instance of their \
                        template that has no parameters";

/// A running host application.
struct HostRun {
    name: String,
    health: Health,
    core: Mutex<HostCore>,
    begun: Duration,
    /// An edge node was online since it began.
    was_online: AtomicBool,
    /// How often it has looked for births from before it began.
    looked: AtomicU8,
    /// Births came since its state was last kept.
    changed: AtomicBool,
    /// Its answers to those who say that it is gone.
    answers: Mutex<Answers>,
    file: PathBuf,
}

struct HostCore {
    def: ConnectorDef,
    config: HostConfig,
    host: Host,
    addresses: HashMap<TagId, Address>,
    targets: Targets,
    /// Those of the tags that can be written.
    writable: Targets,
    state: State,
}

impl HostRun {
    fn core(&self) -> MutexGuard<'_, HostCore> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a command on a Sparkplug topic comes to.
pub struct Planned {
    /// Tags to write through the door, each with its value.
    pub writes: Vec<(TagId, Value)>,
    /// What to do beside that, for which the right to publish is enough.
    pub then: Then,
}

/// What a command asks for beside writes.
pub enum Then {
    /// Nothing.
    Nothing,
    /// One of our edge nodes is to be born again.
    Rebirth(Rebirth),
    /// It is for somebody else's edge node and concerns no tag: pass it on.
    PassOn,
}

/// Which edge node is to be born again.
pub struct Rebirth(Arc<EdgeRun>);

impl Rebirth {
    /// Sees to it.
    pub fn ask(&self) {
        self.0.ask_rebirth();
    }
}

/// Sparkplug in this node.
pub struct Sparkplug {
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    recorder: Arc<dyn Recorder>,
    dir: PathBuf,
    broker: OnceLock<Arc<Broker>>,
    hosts: RwLock<Vec<Arc<HostRun>>>,
    edges: RwLock<Vec<Arc<EdgeRun>>>,
    broken: RwLock<Vec<Broken>>,
    certificates: Certificates,
    troubles: Mutex<Troubles>,
    comings: Mutex<Comings>,
    /// Two changes of the plant are applied one after the other.
    applying: tokio::sync::Mutex<()>,
}

impl Sparkplug {
    /// Nothing of it runs yet. States are kept in `dir`.
    pub fn new(
        bus: Arc<Bus>,
        clock: Arc<dyn Clock>,
        notes: Notes,
        recorder: Arc<dyn Recorder>,
        dir: PathBuf,
    ) -> Arc<Self> {
        Arc::new(Self {
            bus,
            clock,
            notes,
            recorder,
            dir,
            broker: OnceLock::new(),
            hosts: RwLock::default(),
            edges: RwLock::default(),
            broken: RwLock::default(),
            certificates: Certificates::default(),
            troubles: Mutex::default(),
            comings: Mutex::default(),
            applying: tokio::sync::Mutex::default(),
        })
    }

    /// Gives the broker, before anybody connects.
    pub fn set_broker(&self, broker: Arc<Broker>) {
        let _ = self.broker.set(broker);
    }

    fn now(&self) -> Now {
        Now { wall: self.clock.now(), mono: self.clock.monotonic() }
    }

    fn hosts(&self) -> Vec<Arc<HostRun>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn edges(&self) -> Vec<Arc<EdgeRun>> {
        self.edges.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is likely to happen again only once for a while.
    fn say(&self, about: &str, words: impl FnOnce() -> String) {
        let told = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).tell(about, self.clock.monotonic());
        match told {
            Some(0) => self.notes.say("", "sparkplug", words()),
            Some(more) => self.notes.say("", "sparkplug", format!("{} {more} more like it before.", words())),
            None => {}
        }
    }

    fn note_certificate(&self, topic: &str, payload: &Bytes) {
        if !self.certificates.note(topic, payload) {
            self.say("certificates", || {
                "Sparkplug births come faster than they can be kept for those who come later. Look for edge nodes that are born again and again.".to_owned()
            });
        }
    }

    /// A message that passed through the broker: what it means for tags.
    pub fn message(&self, message: &Message) -> Vec<Sample> {
        let topic = message.topic.as_str();
        if !topic.starts_with(NAMESPACE) {
            return Vec::new();
        }
        if let Some(Topic::State { host }) = Topic::parse(topic) {
            self.state_seen(host, &message.payload);
            return Vec::new();
        }
        self.note_certificate(topic, &message.payload);
        let now = Now { wall: message.received, mono: self.clock.monotonic() };
        let mut samples = Vec::new();
        for run in self.hosts.read().unwrap_or_else(PoisonError::into_inner).iter() {
            let outcome = run.core().host.handle(topic, &message.payload, now);
            samples.append(&mut self.come_of(run, outcome));
        }
        samples
    }

    /// A will at the moment it is published: the content it is to have [tck-id-conformance-mqtt-aware-ndeath-timestamp].
    pub fn will(message: &Message) -> Option<Bytes> {
        let topic = message.topic.as_str();
        topic
            .starts_with(NAMESPACE)
            .then(|| aware::death_at(topic, &message.payload, message.received))
            .flatten()
            .map(Bytes::from)
    }

    fn come_of(&self, run: &HostRun, outcome: Outcome) -> Vec<Sample> {
        for message in outcome.send {
            if let (Some(broker), Ok(topic)) = (self.broker.get(), TopicName::parse(&message.topic)) {
                // Whoever is not there to hear it will be born when it comes.
                let _ = broker.send_command(&topic, message.payload.into(), REQUEST_LIFE);
            }
        }
        for note in outcome.notes {
            self.tell(run, &note);
        }
        if !outcome.samples.is_empty() {
            run.health.brought(outcome.samples.len());
        }
        outcome.samples
    }

    /// Comings and goings are events like those of MQTT clients, everything else is a note.
    fn tell(&self, run: &HostRun, note: &Note) {
        let about = match note {
            Note::Born(node, metrics) => {
                run.changed.store(true, Ordering::Relaxed);
                return self.came(node.to_string(), true, format!("born with {metrics} metrics"));
            }
            Note::DeviceBorn(node, device, metrics) => {
                run.changed.store(true, Ordering::Relaxed);
                return self.came(format!("{node}/{device}"), true, format!("born with {metrics} metrics"));
            }
            Note::Died(node) => {
                return self.came(node.to_string(), false, "its values are bad until it is back".to_owned());
            }
            Note::DeviceDied(node, device) => {
                return self.came(format!("{node}/{device}"), false, "its values are bad until it is back".to_owned());
            }
            Note::OldDeath(node) => format!("old death {node}"),
            Note::Gap(node, _) => format!("gap {node}"),
            Note::Unborn(node, _) => format!("unborn {node}"),
            Note::Unknown(node, _) => format!("unknown {node}"),
            Note::Unreadable(topic, _) | Note::Refused(topic, _) => format!("refused {topic}"),
            Note::TooMany(what, _) => (*what).to_owned(),
        };
        self.say(&format!("{} {about}", run.name), || note.to_string());
    }

    /// An edge node or device came or went; when one does so all the time, the rest is counted.
    fn came(&self, name: String, connected: bool, reason: String) {
        let told = self.comings.lock().unwrap_or_else(PoisonError::into_inner).tell(&name, self.clock.monotonic());
        let Some(told) = told else { return };
        let reason = format!("{reason}{told}");
        let change =
            ConnectionChange { protocol: "sparkplug".to_owned(), name: shown(&name).into_owned(), connected, reason };
        let event = Event {
            id: new_id(&*self.clock),
            at: self.clock.now(),
            source_at: None,
            path: String::new(),
            by: Principal::SYSTEM,
            what: What::Connection(change),
        };
        // Appended now; nobody waits for it to be durable.
        drop(self.recorder.record(event));
    }

    fn state_seen(&self, host: &str, payload: &[u8]) {
        let Some(state) = State::decode(payload) else { return };
        for run in self.hosts() {
            let core = run.core();
            if *core.config.host_id == *host && contradicted(core.state, state) {
                drop(core);
                run.answers().owe();
            }
        }
        self.edges().iter().for_each(|edge| edge.host_seen(self, host, state));
    }

    /// Whether a PUBLISH to this topic is a command of ours: to one of our edge nodes, or to somebody's whose tags can be written here.
    pub fn command_topic(&self, topic: &str) -> bool {
        if !topic.starts_with(NAMESPACE) {
            return false;
        }
        let Some(Topic::Node { verb, group, node, device }) = Topic::parse(topic) else { return false };
        if !verb.is_command() {
            return false;
        }
        let edges = self.edges.read().unwrap_or_else(PoisonError::into_inner);
        let hosts = self.hosts.read().unwrap_or_else(PoisonError::into_inner);
        edges.iter().any(|edge| edge.node().is_commanded_by(topic))
            || hosts.iter().any(|run| run.core().writable.has_any(group, node, device))
    }

    /// What a command comes to; `None` if the topic is not a command topic of Sparkplug.
    /// # Errors
    /// In plain words: nothing of it is carried out.
    pub fn command(&self, topic: &str, payload: &[u8]) -> Option<Result<Planned, String>> {
        if !topic.starts_with(NAMESPACE) {
            return None;
        }
        for edge in self.edges() {
            if edge.node().is_commanded_by(topic) {
                let orders = edge.node().command(topic, payload, &Limits::default());
                return Some(orders.map(|orders| planned(&edge, orders)).map_err(|error| error.to_string()));
            }
        }
        let Some(Topic::Node { verb, group, node, device }) = Topic::parse(topic) else { return None };
        // What each of its metrics writes; a tag may be the metric of any of the hosts.
        let mut writes: Option<Vec<Option<(TagId, Value)>>> = None;
        for run in self.hosts().into_iter().filter(|_| verb.is_command()) {
            let core = run.core();
            if !core.writable.has_any(group, node, device) {
                continue;
            }
            let Some(wanted) = core.host.wanted_by(topic, payload) else { return Some(Err(NOT_READ.to_owned())) };
            let writes = writes.get_or_insert_with(|| vec![None; wanted.len()]);
            for (write, (address, value)) in writes.iter_mut().zip(wanted) {
                if let Some(tag) = core.writable.tag(&address).filter(|_| write.is_none()) {
                    *write = Some((tag, value));
                }
            }
        }
        let writes = writes?;
        if writes.iter().all(Option::is_none) {
            return Some(Ok(Planned { writes: Vec::new(), then: Then::PassOn }));
        }
        Some(match writes.into_iter().collect() {
            Some(writes) => Ok(Planned { writes, then: Then::Nothing }),
            None => {
                Err("it is partly for tags and partly not; send what is for tags in a message of its own".to_owned())
            }
        })
    }

    /// Before others follow the plant model: the tags of hosts cannot be written until [`Sparkplug::apply`].
    pub fn release(&self) {
        for run in self.hosts() {
            let tags: Vec<TagId> = run.core().addresses.keys().copied().collect();
            self.bus.clear_actuators(tags);
        }
    }

    /// Follows the plant model, after all others do. A tag that no connector has any more is out of service.
    pub async fn apply(self: &Arc<Self>, plant: &Plant) {
        let _turn = self.applying.lock().await;
        let mut broken = Vec::new();
        let now = self.clock.now();
        let (mut hosts, mut edges) = (Vec::new(), Vec::new());
        for def in plant.connectors.iter().filter(|def| def.enabled) {
            match def.kind.as_str() {
                HOST => match config::host(def, plant) {
                    Ok(host) => hosts.push((def, host)),
                    Err(findings) => broken.push(Broken::new(def, findings, now)),
                },
                EDGE => match config::edge(def, plant) {
                    Ok(settings) => edges.push((def, settings)),
                    Err(findings) => broken.push(Broken::new(def, findings, now)),
                },
                _ => {}
            }
        }
        for def in plant.connectors.iter().filter(|def| !def.enabled && [HOST, EDGE].contains(&def.kind.as_str())) {
            broken.push(Broken::new(def, Vec::new(), now));
        }
        *self.broken.write().unwrap_or_else(PoisonError::into_inner) = broken;
        self.apply_hosts(plant, hosts).await;
        self.apply_edges(edges).await;
    }

    async fn apply_hosts(self: &Arc<Self>, plant: &Plant, wanted: Vec<(&ConnectorDef, HostConfig)>) {
        let former = self.hosts();
        let fed_before: HashSet<TagId> =
            former.iter().flat_map(|run| run.core().addresses.keys().copied().collect::<Vec<_>>()).collect();
        let (mut runs, mut samples, mut born) = (Vec::new(), Vec::new(), Vec::new());
        for (def, config) in wanted {
            let same = former.iter().find(|run| run.name == def.name && run.core().config.goes_on_as(&config));
            let run = match same {
                Some(run) => self.go_on(run, def, config, &mut samples),
                None => {
                    let run = self.begin(def, config, &mut samples);
                    born.push(run.clone());
                    run
                }
            };
            runs.push(run);
        }
        let names: HashSet<Box<str>> = runs.iter().map(|run| run.core().config.host_id.clone()).collect();
        let over: Vec<_> = former.iter().filter(|run| !names.contains(&run.core().config.host_id)).cloned().collect();
        *self.hosts.write().unwrap_or_else(PoisonError::into_inner) = runs.clone();
        let fed: HashSet<TagId> =
            runs.iter().flat_map(|run| run.core().addresses.keys().copied().collect::<Vec<_>>()).collect();
        runs.iter().for_each(|run| self.set_actuators(run));
        let now = self.clock.now();
        let view = self.bus.plant();
        let others = config::tags_of_all(plant);
        let left = fed_before
            .difference(&fed)
            .filter(|tag| view.tag(**tag).is_some_and(|tag| !others.contains(tag.path.as_str())));
        samples.extend(left.map(|tag| Sample {
            tag: *tag,
            value: Value::Null,
            quality: StatusCode::BAD_OUT_OF_SERVICE,
            source_ts: now,
            received_ts: now,
        }));
        self.bus.publish(samples).await;
        for run in over {
            self.publish_state(&run, false).await;
        }
        for run in born {
            self.publish_state(&run, true).await;
        }
    }

    /// The same host with other metrics: it keeps what it knows of its nodes.
    fn go_on(
        &self,
        run: &Arc<HostRun>,
        def: &ConnectorDef,
        config: HostConfig,
        samples: &mut Vec<Sample>,
    ) -> Arc<HostRun> {
        let mapped = self.mapped(&config);
        let mut core = run.core();
        (core.addresses, core.targets, core.writable) = mapped;
        (core.def, core.config) = (def.clone(), config);
        let targets = core.targets.clone();
        let outcome = core.host.set_targets(targets, self.now());
        drop(core);
        samples.append(&mut self.come_of(run, outcome));
        run.clone()
    }

    fn begin(&self, def: &ConnectorDef, config: HostConfig, samples: &mut Vec<Sample>) -> Arc<HostRun> {
        let (addresses, targets, writable) = self.mapped(&config);
        let file = self.dir.join(format!("sparkplug-{}.host", def.name));
        let mut host = Host::new(config.options(), targets.clone());
        let mut outcome = Outcome::default();
        match std::fs::read(&file) {
            Ok(bytes) => match host.restore(&bytes, self.now()) {
                Ok(restored) => outcome = restored,
                Err(error) => {
                    let words = format!(
                        "What the Sparkplug host {} knew of its edge nodes is not used: {error}. They are asked anew.",
                        def.name
                    );
                    self.say(&format!("{} restore", def.name), || words);
                }
            },
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                self.say(&format!("{} restore", def.name), || {
                    format!("{} could not be read: {error}. The edge nodes are asked anew.", file.display())
                });
            }
        }
        let state = State::at(true, self.now());
        let run = HostRun {
            name: def.name.clone(),
            health: Health::new(ConnectorState::Connecting, self.clock.clone()),
            core: Mutex::new(HostCore { def: def.clone(), config, host, addresses, targets, writable, state }),
            begun: self.clock.monotonic(),
            was_online: AtomicBool::new(false),
            looked: AtomicU8::new(0),
            changed: AtomicBool::new(false),
            answers: Mutex::default(),
            file,
        };
        samples.append(&mut self.come_of(&run, outcome));
        Arc::new(run)
    }

    /// Edge nodes that were born before this host came are asked for their births: when it begins, and once more for those whose birth was on its way to
    /// be kept just then.
    fn expect_those_with_certificates(&self, run: &HostRun) {
        let looked = run.looked.load(Ordering::Relaxed);
        let due = run.begun + LOOK_AGAIN * u32::from(looked);
        if looked >= 2 || self.clock.monotonic() < due {
            return;
        }
        run.looked.store(looked + 1, Ordering::Relaxed);
        let filter = format!("{}/{NAMESPACE}/+/NBIRTH/+", aware::CERTIFICATES);
        let (Some(broker), Ok(filter)) = (self.broker.get(), TopicFilter::parse(&filter)) else { return };
        for message in broker.retained(&filter) {
            let topic =
                message.topic.as_str().strip_prefix(aware::CERTIFICATES).and_then(|rest| rest.strip_prefix('/'));
            if let Some(Topic::Node { group, node, .. }) = topic.and_then(Topic::parse)
                && let Some(name) = NodeName::new(group, node)
            {
                run.core().host.expect(&name, self.now());
            }
        }
    }

    fn mapped(&self, config: &HostConfig) -> (HashMap<TagId, Address>, Targets, Targets) {
        let plant = self.bus.plant();
        let (mut addresses, mut targets, mut writable) = (HashMap::new(), Targets::default(), Targets::default());
        for (path, address, can_write) in &config.metrics {
            let Some(tag) = plant.id_of(path.as_str()) else { continue };
            addresses.insert(tag, address.clone());
            targets.insert(address, tag);
            if *can_write {
                writable.insert(address, tag);
            }
        }
        (addresses, targets, writable)
    }

    fn set_actuators(self: &Arc<Self>, run: &Arc<HostRun>) {
        let core = run.core();
        let writable = core.addresses.iter().filter(|(_, address)| core.writable.tag(address).is_some());
        let actuator = Arc::new(SparkplugActuator { sparkplug: self.clone(), run: run.clone() });
        self.bus.set_actuator(writable.map(|(tag, _)| *tag), actuator);
    }

    async fn apply_edges(self: &Arc<Self>, wanted: Vec<(&ConnectorDef, config::EdgeSettings)>) {
        let former = self.edges();
        let (mut runs, mut new) = (Vec::new(), Vec::new());
        for (def, settings) in wanted {
            let tree = config::tree(&settings, self.bus.plant().tags());
            match former.iter().find(|run| run.def == *def && run.config == tree) {
                Some(run) => runs.push(run.clone()),
                None => new.push((def, settings, tree)),
            }
        }
        // All that go say so before any new one comes, for it may be the same edge node under another connector's name; and those of the same name
        // have used their number by then.
        *self.edges.write().unwrap_or_else(PoisonError::into_inner) = runs.clone();
        for old in former.iter().filter(|old| !runs.iter().any(|run| Arc::ptr_eq(run, old))) {
            old.end(END_WITHIN).await;
        }
        let new: Vec<_> =
            new.into_iter().map(|(def, settings, tree)| EdgeRun::new(self, def.clone(), settings, tree)).collect();
        // In the list before their births are out: they are answered with requests and commands.
        runs.extend(new.iter().cloned());
        *self.edges.write().unwrap_or_else(PoisonError::into_inner) = runs;
        new.iter().for_each(|run| run.start(self));
    }

    /// STATE, with QoS 1 and retained [tck-id-host-topic-phid-birth-qos].
    async fn publish_state(&self, run: &HostRun, online: bool) {
        let (topic, state) = {
            let mut core = run.core();
            if !online {
                core.state = State::at(false, self.now());
            }
            (state_topic(&core.config.host_id), core.state)
        };
        let Some(broker) = self.broker.get() else { return };
        if let Err(error) = broker.publish_internal(&topic, state.encode().into(), QoS::AtLeastOnce, true).await {
            self.say(&format!("{} state", run.name), || {
                format!(
                    "The state on {topic} could not be published: {error}. Edge nodes that wait for this host send nothing; see that the \
                     disk of the data directory works and has room, then switch the connector off and on."
                )
            });
        }
        // The broker does not hand our own messages back to us.
        let host_id = run.core().config.host_id.clone();
        self.edges().iter().for_each(|edge| edge.host_seen(self, &host_id, state));
    }

    /// Looks after what is overdue and what must become durable, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut kept = self.clock.monotonic();
        loop {
            let ticked = tokio::select! {
                () = stop.cancelled() => return,
                () = self.certificates.wait() => false,
                _ = tick.tick() => true,
            };
            if let Some(broker) = self.broker.get() {
                for (topic, why) in self.certificates.keep(broker).await {
                    self.say("certificates", || {
                        format!(
                            "A Sparkplug birth is not kept on {}: {why}. Who comes later asks for a new one; remove retained messages \
                             that nobody needs.",
                            shown(&topic)
                        )
                    });
                }
            }
            // Births may come at any rate, and each wakes us up.
            if !ticked {
                continue;
            }
            for run in self.hosts() {
                self.expect_those_with_certificates(&run);
                let outcome = run.core().host.tick(self.now());
                let samples = self.come_of(&run, outcome);
                self.bus.publish(samples).await;
                let answers = run.answers().take(self.now());
                if answers {
                    self.publish_state(&run, true).await;
                }
            }
            if self.clock.monotonic().saturating_sub(kept) >= KEEP_EVERY {
                kept = self.clock.monotonic();
                self.keep().await;
            }
        }
    }

    /// Keeps what hosts know of their nodes, where it changed.
    async fn keep(&self) {
        for run in self.hosts() {
            if run.changed.swap(false, Ordering::Relaxed) {
                let (bytes, file) = (run.core().host.save(), run.file.clone());
                let kept = tokio::task::spawn_blocking(move || private_file::replace(&file, &bytes)).await;
                let error = match kept {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                run.changed.store(true, Ordering::Relaxed);
                self.say(&format!("{} keep", run.name), || {
                    format!(
                        "What the Sparkplug host {} knows of its edge nodes could not be kept: {error}. It is tried again; see that the data \
                         directory has room and can be written, or after a restart nothing is listed before the next births.",
                        run.name
                    )
                });
            }
        }
    }

    /// Says that hosts and edge nodes go; before the broker stops.
    pub async fn stop(&self) {
        let edges = std::mem::take(&mut *self.edges.write().unwrap_or_else(PoisonError::into_inner));
        for edge in edges {
            edge.end(END_WITHIN).await;
        }
        self.keep().await;
        for run in self.hosts() {
            self.publish_state(&run, false).await;
        }
    }
}

fn planned(edge: &Arc<EdgeRun>, orders: Vec<Order>) -> Planned {
    let mut planned = Planned { writes: Vec::new(), then: Then::Nothing };
    for order in orders {
        match order {
            Order::Rebirth => planned.then = Then::Rebirth(Rebirth(edge.clone())),
            Order::Write(tag, value) => planned.writes.push((tag, value)),
        }
    }
    planned
}
