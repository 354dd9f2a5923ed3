//! A running connector that announces a branch to a Home Assistant: one task, which alone publishes for it.

use super::Discovery;
use super::config::AnnounceConfig;
use andon_broker::Broker;
use andon_connectors::health::{ConnectorState, Health};
use andon_discovery::announce::{self, Entity};
use andon_discovery::owed::Owed;
use andon_model::plant::{ConnectorDef, TagDef};
use andon_model::{Sample, TagId};
use andon_wire::mqtt::{QoS, TopicFilter, TopicName};
use bytes::Bytes;
use futures_util::future::join_all;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Everything is said again at most so often, however often a Home Assistant says that it came.
const SAY_AGAIN: Duration = Duration::from_secs(10);
/// So many messages are on their way to the disk together.
const TOGETHER: usize = 256;
/// How long it may take to say that it goes.
const END_WITHIN: Duration = Duration::from_secs(5);

/// How it ends.
const GOES: u8 = 1;
const REMOVED: u8 = 2;

/// Something that it says, in the order in which a Home Assistant needs to hear it; numbers are places of entities.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Says {
    Config(usize),
    State(usize),
    /// That it is there.
    There,
}

/// What its task knows.
#[derive(Default)]
struct Told {
    last: HashMap<TagId, Sample>,
    /// Entities whose state is to be told.
    changed: HashSet<usize>,
    /// What could not be published.
    owed: Owed<Says>,
}

/// An announcer.
pub struct Announcer {
    pub def: ConnectorDef,
    pub config: AnnounceConfig,
    pub health: Health,
    /// With the tag of each.
    pub entities: Vec<(TagId, TagDef, Entity)>,
    commands: HashMap<String, TagId>,
    born: AtomicBool,
    wake: Notify,
    stop: CancellationToken,
    end: AtomicU8,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Announcer {
    /// One that does not run yet.
    pub fn new(
        discovery: &Discovery,
        def: ConnectorDef,
        config: AnnounceConfig,
        entities: Vec<(TagId, TagDef, Entity)>,
    ) -> Arc<Self> {
        let commands =
            entities.iter().filter_map(|(id, _, entity)| Some((entity.command_topic.clone()?, *id))).collect();
        Arc::new(Self {
            def,
            config,
            health: Health::new(ConnectorState::Connecting, discovery.clock.clone()),
            entities,
            commands,
            born: AtomicBool::new(false),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            end: AtomicU8::new(GOES),
            task: Mutex::default(),
        })
    }

    /// The tag that messages on this topic command.
    pub fn commanded(&self, topic: &str) -> Option<TagId> {
        self.commands.get(topic).copied()
    }

    /// Whether the topic is one of ours.
    pub fn owns(&self, topic: &str) -> bool {
        topic.strip_prefix(self.config.options.base.as_str()).is_some_and(|rest| rest.starts_with('/'))
    }

    /// A Home Assistant came: it hears everything again.
    pub fn say_again(&self) {
        self.born.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Starts the task.
    pub fn start(self: &Arc<Self>, discovery: &Arc<Discovery>) {
        let task = tokio::spawn(self.clone().run(discovery.clone()));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Says that it goes; `removed`: for good, so nothing of it is left.
    pub async fn end(&self, discovery: &Discovery, removed: bool) {
        self.end.store(if removed { REMOVED } else { GOES }, Ordering::Release);
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut task) = task else { return };
        if tokio::time::timeout(END_WITHIN, &mut task).await.is_ok() {
            return;
        }
        tracing::warn!(connector = self.def.name, "an announcer did not end in time and is cut off");
        task.abort();
        // Nothing of it may be published later than what its successor says.
        let _ = task.await;
        if removed {
            let options = &self.config.options;
            discovery.notes.say(
                "",
                "discovery",
                format!(
                    "What {} announced could not be taken back within {} s: look after the disk, and clear the retained messages of {} and {}/#.",
                    self.def.name,
                    END_WITHIN.as_secs(),
                    options.config_filter(),
                    options.base
                ),
            );
        }
    }

    async fn run(self: Arc<Self>, discovery: Arc<Discovery>) {
        let Some(broker) = discovery.broker.get().cloned() else { return };
        let tags: HashMap<TagId, usize> = self.entities.iter().enumerate().map(|(at, (id, ..))| (*id, at)).collect();
        let mut newest = discovery.bus.subscribe_newest(Some(tags.keys().copied().collect()));
        let mut told = Told::default();
        self.clear_others(&discovery, &broker).await;
        self.say_everything(&discovery, &broker, &mut told, &mut newest).await;
        let mut said = discovery.clock.monotonic();
        loop {
            let due = told.owed.due().map(|due| due.saturating_sub(discovery.clock.monotonic()));
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.wake.notified() => {}
                () = tokio::time::sleep(due.unwrap_or(Duration::MAX)), if due.is_some() => {}
                samples = newest.next() => note(samples, &tags, &mut told),
            }
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(self.config.every) => {}
            }
            if self.born.load(Ordering::Acquire) {
                let ago = discovery.clock.monotonic().saturating_sub(said);
                if ago >= SAY_AGAIN {
                    self.born.store(false, Ordering::Release);
                    said = discovery.clock.monotonic();
                    told.changed.clear();
                    self.say_everything(&discovery, &broker, &mut told, &mut newest).await;
                } else {
                    // Later, with the next round.
                    self.wake.notify_one();
                }
            }
            note(newest.try_next(), &tags, &mut told);
            // What failed is said with the newest value there is, when its time has come.
            let mut says = told.owed.now_due(discovery.clock.monotonic());
            let owed = &told.owed;
            says.extend(told.changed.drain().map(Says::State).filter(|state| !owed.contains(state)));
            self.health.brought(says.iter().filter(|one| matches!(one, Says::State(_))).count());
            self.say(&discovery, &broker, &mut told, says).await;
        }
        self.publish(&discovery, &broker, vec![(self.config.options.status_topic(), "offline".to_owned())]).await;
        if self.end.load(Ordering::Acquire) == REMOVED {
            let topics = self
                .entities
                .iter()
                .flat_map(|(_, _, entity)| [Some(entity.config_topic.clone()), entity.state_topic.clone()]);
            let nothing =
                topics.flatten().chain([self.config.options.status_topic()]).map(|topic| (topic, String::new()));
            self.publish(&discovery, &broker, nothing.collect()).await;
        }
    }

    /// Configurations of an earlier run, or of tags that are gone.
    async fn clear_others(&self, discovery: &Discovery, broker: &Broker) {
        let ours: HashSet<&str> = self
            .entities
            .iter()
            .flat_map(|(_, _, entity)| [Some(entity.config_topic.as_str()), entity.state_topic.as_deref()])
            .flatten()
            .collect();
        let Ok(filter) = TopicFilter::parse(&self.config.options.config_filter()) else { return };
        let mut nothing = Vec::new();
        for message in broker.retained(&filter) {
            let topic = message.topic.as_str();
            if ours.contains(topic) {
                continue;
            }
            let config: serde_json::Value = serde_json::from_slice(&message.payload).unwrap_or_default();
            let state = config.get("state_topic").and_then(serde_json::Value::as_str);
            let own_state = state.filter(|state| self.owns(state) && !ours.contains(state));
            nothing.extend(own_state.map(|state| (state.to_owned(), String::new())));
            nothing.push((topic.to_owned(), String::new()));
        }
        self.publish(discovery, broker, nothing).await;
    }

    /// All configurations, then all states, then that it is there.
    async fn say_everything(
        &self,
        discovery: &Discovery,
        broker: &Broker,
        told: &mut Told,
        newest: &mut andon_bus::NewestSubscription,
    ) {
        told.last.extend(newest.try_next().into_iter().map(|sample| (sample.tag, sample)));
        for (id, ..) in &self.entities {
            if let Some(sample) = discovery.bus.last(*id) {
                told.last.insert(*id, sample);
            }
        }
        let all = 0..self.entities.len();
        let says = all.clone().map(Says::Config).chain(all.map(Says::State)).chain([Says::There]);
        self.say(discovery, broker, told, says.collect()).await;
    }

    /// Says these, one kind after the other; what fails is owed.
    async fn say(&self, discovery: &Discovery, broker: &Broker, told: &mut Told, says: Vec<Says>) {
        if says.is_empty() {
            return;
        }
        let mut failed = Vec::new();
        let kind = |one: &Says| std::mem::discriminant(one);
        for of_kind in says.chunk_by(|a, b| kind(a) == kind(b)) {
            let (of_kind, messages): (Vec<Says>, Vec<_>) =
                of_kind.iter().filter_map(|one| Some((*one, self.message(*one, told)?))).unzip();
            let numbers = self.publish(discovery, broker, messages).await;
            failed.extend(numbers.into_iter().filter_map(|number| of_kind.get(number)));
        }
        told.owed.tried(&says, &failed, discovery.clock.monotonic());
        if told.owed.is_empty() {
            self.health.enter(ConnectorState::Connected);
        }
    }

    /// The topic and payload of something that it says.
    fn message(&self, says: Says, told: &Told) -> Option<(String, String)> {
        Some(match says {
            Says::Config(at) => {
                let (_, _, entity) = self.entities.get(at)?;
                (entity.config_topic.clone(), entity.config.to_string())
            }
            Says::State(at) => {
                let (id, tag, entity) = self.entities.get(at)?;
                (entity.state_topic.clone()?, announce::state(tag, told.last.get(id)))
            }
            Says::There => (self.config.options.status_topic(), "online".to_owned()),
        })
    }

    /// Retained, with QoS 1: several on their way together, so that one sync serves all. Gives the numbers of those that failed.
    async fn publish(&self, discovery: &Discovery, broker: &Broker, messages: Vec<(String, String)>) -> Vec<usize> {
        let mut all = Vec::new();
        for (chunk, some) in messages.chunks(TOGETHER).enumerate() {
            let one = |(number, (topic, payload)): (usize, &(String, String))| {
                let (topic, payload) = (topic.clone(), Bytes::from(payload.clone()));
                async move {
                    let room =
                        payload.is_empty() || TopicName::parse(&topic).is_ok_and(|name| broker.may_retain(&name));
                    if !room {
                        return Some((number, format!("{topic}: there is no room for one more retained message")));
                    }
                    let published = broker.publish_internal(&topic, payload, QoS::AtLeastOnce, true).await;
                    published.err().map(|error| (number, format!("{topic}: {error}")))
                }
            };
            let numbered = some.iter().enumerate().map(|(at, message)| (chunk * TOGETHER + at, message));
            let failed: Vec<(usize, String)> = join_all(numbered.map(one)).await.into_iter().flatten().collect();
            all.extend(failed.iter().map(|(number, _)| *number));
            if let Some((_, first)) = failed.first() {
                let words = format!(
                    "{} of the announcements of {} could not be published: {first}.",
                    failed.len(),
                    self.def.name
                );
                self.health.failed(words.clone(), "announce a smaller branch, or look after the disk");
                discovery.say(&format!("{} publish", self.def.name), || words);
            }
        }
        all
    }
}

fn note(samples: Vec<Sample>, tags: &HashMap<TagId, usize>, told: &mut Told) {
    for sample in samples {
        if let Some(at) = tags.get(&sample.tag) {
            let same = told
                .last
                .get(&sample.tag)
                .is_some_and(|known| known.value == sample.value && known.quality == sample.quality);
            told.last.insert(sample.tag, sample);
            if !same {
                told.changed.insert(*at);
            }
        }
    }
}
