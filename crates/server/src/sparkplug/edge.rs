//! A running edge node: one task that alone publishes for it, so that its numbers are in order.

use super::Sparkplug;
use super::config::EdgeSettings;
use crate::data_dir::replace_private;
use andon_bus::NewestSubscription;
use andon_connectors::health::{ConnectorState, Health};
use andon_model::TagId;
use andon_model::plant::ConnectorDef;
use andon_sparkplug::state::State;
use andon_sparkplug::topic::state_topic;
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
    /// The newest state of the primary host that was not dealt with yet.
    host: Mutex<Option<State>>,
    rebirth: AtomicBool,
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
    pub fn host_seen(&self, host: &str, state: State) {
        if self.settings.primary_host.as_deref() == Some(host) {
            let mut last = self.host.lock().unwrap_or_else(PoisonError::into_inner);
            if last.is_none_or(|last| last.timestamp <= state.timestamp) {
                *last = Some(state);
            }
            drop(last);
            self.wake.notify_one();
        }
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
        let kept = tokio::task::spawn_blocking(move || replace_private(&file, &format!("{bd_seq}\n"))).await;
        if let Ok(Err(error)) = kept {
            let words = format!(
                "The number of a Sparkplug session could not be kept: {error}. The next one may have the same."
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
            tokio::select! {
                () = self.stop.cancelled() => break,
                () = self.wake.notified() => {}
                samples = newest.next() => {
                    let mut node = self.node();
                    samples.iter().for_each(|sample| node.take(sample));
                }
            }
            self.take(&mut newest);
            let host = self.host.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((state, host)) = host.zip(self.settings.primary_host.as_deref()) {
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
            let messages = match self.rebirth.swap(false, Ordering::AcqRel) {
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
            self.host_seen(host, state);
        }
    }

    async fn publish(&self, sparkplug: &Sparkplug, messages: Vec<Message>, qos: QoS) {
        let Some(broker) = sparkplug.broker.get() else { return };
        let count = messages.len();
        for message in messages {
            let payload = message.payload.into();
            sparkplug.note_certificate(&message.topic, &payload);
            if let Err(error) = broker.publish_internal(&message.topic, payload, qos, false).await {
                let (name, topic) = (&self.def.name, &message.topic);
                let words = format!("The Sparkplug edge node {name} could not publish on {topic}: {error}.");
                self.health.failed(words.clone(), "publish a smaller branch, or raise the limit for MQTT payloads");
                sparkplug.say(&format!("{name} publish"), || words);
            }
        }
        self.health.brought(count);
        let state = if self.node().is_born() { ConnectorState::Connected } else { ConnectorState::Connecting };
        self.health.enter(state);
    }
}
