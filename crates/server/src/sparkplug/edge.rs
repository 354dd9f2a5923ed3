//! A running edge node: one task that alone publishes for it, so that its numbers are in order.

use super::Sparkplug;
use super::config::EdgeSettings;
use andon_access::private_file;
use andon_broker::PublishError;
use andon_bus::NewestSubscription;
use andon_connectors::health::{ConnectorState, Health};
use andon_model::TagId;
use andon_model::plant::ConnectorDef;
use andon_model::text::shown;
use andon_sparkplug::state::{State, Unseen};
use andon_sparkplug::topic::{Topic, Verb, state_topic};
use andon_sparkplug::{EdgeConfig, EdgeNode, Message};
use andon_wire::mqtt::{QoS, TopicFilter};
use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Changes are gathered for so long, so that one message carries several.
const GATHER: Duration = Duration::from_millis(100);

/// An edge node of this plant.
pub struct EdgeRun {
    pub def: ConnectorDef,
    pub settings: EdgeSettings,
    pub config: EdgeConfig,
    pub health: Health,
    node: Mutex<EdgeNode>,
    /// What the primary host said of itself and was not dealt with yet.
    host: Mutex<Unseen>,
    rebirth: AtomicBool,
    /// Births could not be published, and have not been since.
    births_failed: AtomicBool,
    wake: Notify,
    stop: CancellationToken,
    task: Mutex<Option<JoinHandle<()>>>,
    bd_seq_file: PathBuf,
}

impl EdgeRun {
    /// An edge node that does not run yet. Its session has the number after the last one that was used.
    pub fn new(sparkplug: &Sparkplug, def: ConnectorDef, settings: EdgeSettings, config: EdgeConfig) -> Arc<Self> {
        let file = sparkplug.dir.join(format!("sparkplug-{}.edge", def.name));
        let last = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<u8>().ok());
        let bd_seq = last.map_or(0, |last| last.wrapping_add(1));
        Arc::new(Self {
            def,
            settings,
            node: Mutex::new(EdgeNode::new(config.clone(), bd_seq)),
            config,
            health: Health::new(ConnectorState::Connecting, sparkplug.clock.clone()),
            host: Mutex::default(),
            rebirth: AtomicBool::new(false),
            births_failed: AtomicBool::new(false),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            task: Mutex::default(),
            bd_seq_file: file,
        })
    }

    pub fn node(&self) -> MutexGuard<'_, EdgeNode> {
        self.node.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts the task.
    pub fn start(self: &Arc<Self>, sparkplug: &Arc<Sparkplug>) {
        let task = tokio::spawn(self.clone().run(sparkplug.clone()));
        *self.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// All births again, soon.
    pub fn ask_rebirth(&self) {
        self.rebirth.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// A state of some host.
    pub fn host_seen(&self, sparkplug: &Sparkplug, host: &str, state: State) {
        if self.settings.primary_host.as_deref() != Some(host) {
            return;
        }
        let now = sparkplug.now();
        if state.is_ahead(now) {
            sparkplug.say(&format!("{} host time", self.def.name), || {
                format!(
                    "The Sparkplug host {}, on which the edge node {} waits, says a time that is more than five minutes ahead; it counts \
                     as one of now. What to do: set the host's clock, and let nobody else publish on {}.",
                    shown(host),
                    self.def.name,
                    shown(&state_topic(host))
                )
            });
        }
        self.host.lock().unwrap_or_else(PoisonError::into_inner).note(state, now);
        self.wake.notify_one();
    }

    /// Publishes the death and ends the task.
    pub async fn end(&self, patience: Duration) {
        self.stop.cancel();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && tokio::time::timeout(patience, task).await.is_err()
        {
            tracing::warn!(connector = self.def.name, "a Sparkplug edge node did not end in time");
        }
    }

    /// Keeps the session's number before anything of the session is published.
    async fn keep_bd_seq(&self, sparkplug: &Sparkplug, bd_seq: u8) {
        let file = self.bd_seq_file.clone();
        let kept =
            tokio::task::spawn_blocking(move || private_file::replace(&file, format!("{bd_seq}\n").as_bytes())).await;
        if let Ok(Err(error)) = kept {
            let words = format!(
                "The number of a Sparkplug session could not be kept: {error}. The next one may have the same; see that the data \
                 directory has room and can be written."
            );
            sparkplug.say(&format!("{} bdSeq", self.def.name), || words);
        }
    }

    async fn run(self: Arc<Self>, sparkplug: Arc<Sparkplug>) {
        let tags: HashSet<TagId> = self.node().tags().collect();
        let mut newest = sparkplug.bus.subscribe_newest(Some(tags));
        self.take(&mut newest);
        if let Some(host) = &self.settings.primary_host {
            self.find_host(&sparkplug, host);
        }
        let mut kept = self.node().bd_seq();
        self.keep_bd_seq(&sparkplug, kept).await;
        let births = self.node().start(sparkplug.now());
        self.publish(&sparkplug, births, QoS::AtMostOnce).await;
        loop {
            let reborn_in = self.rebirth.load(Ordering::Acquire).then(|| self.node().rebirth_in(sparkplug.now()));
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(reborn_in.unwrap_or_default()), if reborn_in.is_some() => {}
                () = self.wake.notified() => {}
                samples = newest.next() => {
                    let mut node = self.node();
                    samples.iter().for_each(|sample| node.take(sample));
                }
            }
            self.take(&mut newest);
            let states = self.host.lock().unwrap_or_else(PoisonError::into_inner).take();
            for (state, host) in states.filter_map(|state| Some((state, self.settings.primary_host.as_deref()?))) {
                // A death leaves with the old number, births with one that is kept.
                let messages = self.node().host_state(host, state, sparkplug.now());
                let (online, bd_seq) = (state.online, self.node().bd_seq());
                if online && bd_seq != kept {
                    kept = bd_seq;
                    self.keep_bd_seq(&sparkplug, kept).await;
                }
                let qos = if online { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                self.publish(&sparkplug, messages, qos).await;
            }
            let may = self.node().rebirth_in(sparkplug.now()).is_zero();
            let messages = match may && self.rebirth.swap(false, Ordering::AcqRel) {
                true => self.node().rebirth(sparkplug.now()),
                false => self.node().flush(sparkplug.now()),
            };
            self.publish(&sparkplug, messages, QoS::AtMostOnce).await;
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = tokio::time::sleep(GATHER) => {}
            }
        }
        let death = self.node().stop(sparkplug.now());
        self.publish(&sparkplug, death.into_iter().collect(), QoS::AtLeastOnce).await;
    }

    fn take(&self, newest: &mut NewestSubscription) {
        let samples = newest.try_next();
        let mut node = self.node();
        samples.iter().for_each(|sample| node.take(sample));
    }

    /// The state that the primary host left as a retained message.
    fn find_host(&self, sparkplug: &Sparkplug, host: &str) {
        let (Some(broker), Ok(filter)) = (sparkplug.broker.get(), TopicFilter::parse(&state_topic(host))) else {
            return;
        };
        let states = broker.retained(&filter);
        if let Some(state) = states.first().and_then(|message| State::decode(&message.payload)) {
            self.host_seen(sparkplug, host, state);
        }
    }

    async fn publish(&self, sparkplug: &Sparkplug, messages: Vec<Message>, qos: QoS) {
        let Some(broker) = sparkplug.broker.get() else { return };
        let all_births = messages.first().is_some_and(|first| verb(&first.topic) == Some(Verb::NBirth));
        let (mut sent, mut failed) = (0, false);
        for message in messages {
            let payload = message.payload.into();
            sparkplug.note_certificate(&message.topic, &payload);
            match broker.publish_internal(&message.topic, payload, qos, false).await {
                Ok(_) => sent += 1,
                Err(error) => {
                    failed = true;
                    let is_birth = matches!(verb(&message.topic), Some(Verb::NBirth | Verb::DBirth));
                    self.births_failed.fetch_or(is_birth, Ordering::Relaxed);
                    self.not_published(sparkplug, &message.topic, &error);
                }
            }
        }
        if all_births && !failed {
            self.births_failed.store(false, Ordering::Relaxed);
        }
        if sent > 0 {
            self.health.brought(sent);
        }
        let (born, births_failed) = (self.node().is_born(), self.births_failed.load(Ordering::Relaxed));
        match (failed, born) {
            (true, _) => self.health.enter(ConnectorState::Failed),
            (false, false) => self.health.enter(ConnectorState::Connecting),
            // Nobody can read data whose births did not come out.
            (false, true) if births_failed => self.health.enter(ConnectorState::Failed),
            (false, true) if sent > 0 => self.health.enter(ConnectorState::Connected),
            (false, true) => {}
        }
    }

    fn not_published(&self, sparkplug: &Sparkplug, topic: &str, error: &PublishError) {
        let name = &self.def.name;
        let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
        let words = format!("The Sparkplug edge node {name} could not publish on {topic}: {error}{cause}.");
        let remedy = remedy(error);
        self.health.failed(words.clone(), remedy);
        sparkplug.say(&format!("{name} publish"), || format!("{words} What to do: {remedy}."));
    }
}

fn verb(topic: &str) -> Option<Verb> {
    match Topic::parse(topic)? {
        Topic::Node { verb, .. } => Some(verb),
        Topic::State { .. } => None,
    }
}

/// What to do when a message could not be published.
const fn remedy(error: &PublishError) -> &'static str {
    match error {
        PublishError::TooLarge { .. } => {
            "choose a smaller branch, or several edge nodes, or raise [limits] mqtt_payload_bytes"
        }
        PublishError::Log(_) => "see that the disk of the data directory works, is fast enough and has room",
        PublishError::Stopping => "start Andon again; then it is born again",
        // Of these only a name that can be no topic happens to a message of the node's own.
        PublishError::Topic(_)
        | PublishError::Levels { .. }
        | PublishError::RetainedFull(_)
        | PublishError::Command(_)
        | PublishError::Rule(_) => "give the group, the edge node and the equipment below its branch other names",
    }
}
