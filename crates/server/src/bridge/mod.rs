//! Bridges to other MQTT brokers, joined to the rest: they follow the plant model, stand among the connectors, and tell the timeline.

pub mod config;
mod dial;
pub mod measures;
mod telling;

use self::config::{Config, KIND};
pub use self::dial::password;
use self::dial::{Line, NoLine};
use self::measures::Measured;
use self::telling::Telling;
use crate::mqtt::telling::Troubles;
use crate::notes::Notes;
use crate::secrets::{Secret, Secrets};
use andon_broker::Broker;
use andon_broker::bridge::{Bridge, BridgeOptions, Dial, LinkState, Password, READERS, Report, Trouble, reader_name};
use andon_connectors::health::{BridgeFigures, ConnectorState, Health, LastError};
use andon_connectors::settings::tags_read;
use andon_connectors::{ConnectorHealth, FoundValues, Guests, TestReport};
use andon_log::DurableLog;
use andon_model::plant::{ConnectorDef, Plant};
use andon_model::record::Recorder;
use andon_model::text::counted;
use andon_model::{Clock, TagPath, Timestamp};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// The wait before the first new attempt to connect, and the longest.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// A bridge of the plant, running or not.
struct Run {
    def: ConnectorDef,
    config: Config,
    /// What its secrets held when it began: with others it begins anew.
    secrets: Vec<Option<Secret>>,
    bridge: Arc<Bridge>,
}

/// One that cannot run.
struct Broken {
    def: ConnectorDef,
    text: String,
    remedy: String,
    since: Timestamp,
}

#[derive(Default)]
struct All {
    runs: BTreeMap<String, Run>,
    broken: Vec<Broken>,
    /// The node stops: nothing is begun any more.
    over: bool,
}

/// All bridges of this node.
pub struct Bridges {
    node: Uuid,
    log: Arc<DurableLog>,
    secrets: Arc<Secrets>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    broker: OnceLock<Arc<Broker>>,
    all: Mutex<All>,
    troubles: Arc<Mutex<Troubles>>,
    /// Two changes are applied one after the other.
    applying: tokio::sync::Mutex<()>,
}

impl Bridges {
    /// None runs yet.
    pub fn new(
        node: Uuid,
        log: Arc<DurableLog>,
        secrets: Arc<Secrets>,
        recorder: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        notes: Notes,
    ) -> Arc<Self> {
        Arc::new(Self {
            node,
            log,
            secrets,
            recorder,
            clock,
            notes,
            broker: OnceLock::new(),
            all: Mutex::default(),
            troubles: Arc::default(),
            applying: tokio::sync::Mutex::default(),
        })
    }

    /// Gives the broker.
    pub fn set_broker(&self, broker: Arc<Broker>) {
        let _ = self.broker.set(broker);
    }

    fn all(&self) -> std::sync::MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Follows the plant model, and the secrets: what did not change keeps its connection. A bridge that is not in the plant any more
    /// loses its place in the log. Each is among those that run until it has stopped.
    pub async fn apply(&self, plant: &Plant) {
        let _turn = self.applying.lock().await;
        let Some(broker) = self.broker.get().filter(|_| !self.all().over) else { return };
        let wanted: Vec<&ConnectorDef> = plant.connectors.iter().filter(|def| def.kind == KIND).collect();
        let mut broken = Vec::new();
        for def in &wanted {
            let parsed = config::parse(def, plant);
            let secrets = parsed.as_ref().map(|config| self.secrets_of(config)).unwrap_or_default();
            if parsed.as_ref().is_ok_and(|config| self.keeps(def, config, &secrets)) {
                continue;
            }
            self.end(&def.name).await;
            match parsed {
                Ok(config) => match self.start(broker, def, config, secrets).await {
                    Ok(run) => drop(self.all().runs.insert(def.name.clone(), run)),
                    Err(found) => broken.push(found),
                },
                Err(findings) => {
                    let first = findings.into_iter().next();
                    let (text, remedy) = first.map(|found| (found.message, found.remedy)).unwrap_or_default();
                    broken.push(Broken { def: (*def).clone(), text, remedy, since: self.clock.now() });
                }
            }
        }
        self.all().broken = broken;
        let gone = |name: &&String| wanted.iter().all(|def| def.name != **name);
        let gone: Vec<String> = self.all().runs.keys().filter(gone).cloned().collect();
        for name in gone {
            self.end(&name).await;
        }
        self.forget_others(wanted.iter().filter_map(|def| reader_name(&def.name)).collect()).await;
    }

    /// Whether this bridge runs so already; what else a document says of it is taken over.
    fn keeps(&self, def: &ConnectorDef, config: &Config, secrets: &[Option<Secret>]) -> bool {
        let mut all = self.all();
        let same = |run: &&mut Run| {
            run.def.enabled == def.enabled && run.config == *config && run.secrets == secrets && !run.bridge.is_over()
        };
        let Some(run) = all.runs.get_mut(&def.name).filter(same) else { return false };
        run.def = def.clone();
        true
    }

    /// Stops one, if it runs.
    async fn end(&self, name: &str) {
        let bridge = self.all().runs.get(name).map(|run| run.bridge.clone());
        if let Some(bridge) = bridge {
            bridge.stop().await;
            self.all().runs.remove(name);
        }
    }

    /// The other readers of the log need not wait for bridges that will not come back. Those are looked for in the log itself, for a
    /// change that was killed, or a bridge that could not begin, leaves no other trace.
    async fn forget_others(&self, wanted: Vec<String>) {
        let log = self.log.clone();
        let forgetting = tokio::task::spawn_blocking(move || {
            for reader in log.readers().into_iter().filter(|name| name.starts_with(READERS) && !wanted.contains(name)) {
                if let Err(error) = log.forget_reader(&reader) {
                    tracing::warn!(%error, reader, "a bridge that was removed keeps its place in the log");
                }
            }
        });
        if let Err(error) = forgetting.await {
            tracing::error!(%error, "looking for the places of removed bridges failed");
        }
    }

    fn secrets_of(&self, config: &Config) -> Vec<Option<Secret>> {
        let tls = config.tls.iter();
        let words =
            tls.flat_map(|tls| tls.ca.iter().chain(tls.own.iter().flat_map(|(certificate, key)| [certificate, key])));
        let of_tls = words.filter_map(|word| match word {
            config::Word::Secret(name) => Some(name),
            config::Word::Plain(_) => None,
        });
        config.password.iter().chain(of_tls).map(|name| self.secrets.get(name)).collect()
    }

    async fn start(
        &self,
        broker: &Arc<Broker>,
        def: &ConnectorDef,
        config: Config,
        secrets: Vec<Option<Secret>>,
    ) -> Result<Run, Broken> {
        let password = config.password.as_ref().map(|name| password(name, &self.secrets)).transpose();
        let line = match &password {
            Ok(_) => self.line(&config).await,
            Err(trouble) => Err(trouble.clone()),
        };
        let dial: Arc<dyn Dial> = match line {
            Ok(line) => Arc::new(line),
            Err(trouble) => Arc::new(NoLine(trouble)),
        };
        let password = password.ok().flatten();
        let options = self.options(def, &config, password.as_ref());
        let ears = Arc::new(Telling {
            name: def.name.clone(),
            endpoint: config.endpoint(),
            notes: self.notes.clone(),
            recorder: self.recorder.clone(),
            clock: self.clock.clone(),
            troubles: self.troubles.clone(),
        });
        let started = Bridge::start(broker.clone(), options, def.enabled.then_some(dial), ears).await;
        match started {
            Ok(bridge) => Ok(Run { def: def.clone(), config, secrets, bridge: Arc::new(bridge) }),
            Err(error) => {
                let text = format!("how far it has come cannot be read or saved: {error}");
                let remedy = "look at the disk; or remove the connector and add it again, which begins anew and sends nothing of what waited".to_owned();
                Err(Broken { def: def.clone(), text, remedy, since: self.clock.now() })
            }
        }
    }

    /// Reads certificates, maybe those of the system: not on the runtime's own threads.
    async fn line(&self, config: &Config) -> Result<Line, Trouble> {
        let (config, secrets) = (config.clone(), self.secrets.clone());
        let made = tokio::task::spawn_blocking(move || Line::new(&config, &secrets)).await;
        made.unwrap_or_else(|error| Err(Trouble::new(error.to_string(), "report this as a fault of Andon")))
    }

    fn options(&self, def: &ConnectorDef, config: &Config, password: Option<&Secret>) -> BridgeOptions {
        let seconds = |span: Duration| span.as_secs();
        BridgeOptions {
            name: def.name.clone(),
            node: self.node,
            version: config.version,
            endpoint: config.endpoint(),
            client_id: config.client_id.clone(),
            user: config.user.clone(),
            password: password.map(|secret| Password(Bytes::copy_from_slice(secret.reveal().as_bytes()))),
            keep_alive_s: u16::try_from(seconds(config.keep_alive)).unwrap_or(u16::MAX),
            answer_within: config.answer_within,
            session_expiry_s: u32::try_from(seconds(config.session_expiry)).unwrap_or(u32::MAX),
            send: config.send.clone().into(),
            receive: config.receive.clone().into(),
            catch_up_per_second: (config.catch_up_per_second > 0).then_some(config.catch_up_per_second),
            newest_first: config.newest_first,
            in_flight: config.in_flight,
            keep_bytes: u64::from(config.keep_mib) << 20,
            keep_for: config.keep_for,
            when_full: config.when_full,
            skip_refused: config.skip_refused,
            alarm_after: config.alarm_after,
            retry_first: RETRY.0,
            retry_most: RETRY.1,
        }
    }

    /// Says goodbye to all other sides; before the broker stops. Nothing is begun after this.
    pub async fn stop(&self) {
        let _turn = self.applying.lock().await;
        let running: Vec<_> = {
            let mut all = self.all();
            all.over = true;
            all.runs.values().map(|run| run.bridge.clone()).collect()
        };
        // Each says goodbye by itself; none waits for the one before it.
        futures_util::future::join_all(running.iter().map(|bridge| bridge.stop())).await;
        self.all().runs.clear();
    }

    /// The figures of all, for `/metrics`.
    pub fn reports(&self) -> Vec<(String, Report)> {
        self.all().runs.iter().map(|(name, run)| (name.clone(), run.bridge.report())).collect()
    }

    /// What tags take of each; `None`: the node stops, or this is not the plant that is followed yet.
    fn measured(&self, plant: &Plant) -> Option<Vec<Measured>> {
        let _turn = self.applying.try_lock().ok()?;
        let all = self.all();
        let measuring =
            plant.connectors.iter().filter(|def| def.kind == KIND && def.settings.get(measures::KEY).is_some());
        let measured = |def: &ConnectorDef| {
            if let Some(run) = all.runs.get(&def.name).filter(|run| run.def == *def && !run.bridge.is_over()) {
                return Some(Measured::Runs {
                    measures: run.config.measures.clone(),
                    report: Box::new(run.bridge.report()),
                });
            }
            let is_over = all.runs.get(&def.name).is_some_and(|run| run.def == *def);
            let fails = is_over || all.broken.iter().any(|broken| broken.def == *def);
            let tags = tags_read([def]).filter_map(|(tag, _)| TagPath::parse(tag).ok());
            fails.then(|| Measured::Fails(tags.collect()))
        };
        if all.over { None } else { measuring.map(measured).collect() }
    }

    /// Those whose messages have waited for too long, for everybody to see.
    pub fn warnings(&self) -> Vec<String> {
        let behind = self.reports().into_iter().filter(|(_, report)| report.behind);
        let words = |(name, report): (String, Report)| {
            let oldest =
                report.oldest.map(|oldest| format!(", the oldest since {}", whole_ms(oldest))).unwrap_or_default();
            format!(
                "The bridge {name} is behind: {} to be sent{oldest}.",
                counted(report.waiting.messages, "message waits", "messages wait")
            )
        };
        behind.map(words).collect()
    }

    /// Whether a connector of the plant names this secret.
    pub fn user_of(plant: &Plant, secret: &str) -> Option<String> {
        let uses =
            |def: &&ConnectorDef| crate::adapters::named_secrets(&def.settings).iter().any(|(_, name)| name == secret);
        plant.connectors.iter().find(uses).map(|def| def.name.clone())
    }
}

/// A time as people are told it: microseconds are for programs.
fn whole_ms(time: Timestamp) -> Timestamp {
    Timestamp::from_millis(time.millis())
}

fn health(run: &Run) -> ConnectorHealth {
    let report = run.bridge.report();
    let state = match report.state {
        LinkState::Connected => ConnectorState::Connected,
        LinkState::Connecting => ConnectorState::Connecting,
        LinkState::Failed => ConnectorState::Failed,
        LinkState::Off => ConnectorState::Disabled,
    };
    let figures = BridgeFigures {
        waiting_messages: report.waiting.messages,
        waiting_bytes: report.waiting.bytes,
        oldest: report.oldest,
        behind: report.behind,
        sent: report.sent,
        received: report.received,
        sent_per_s: report.sent_per_s,
        received_per_s: report.received_per_s,
        last_success: report.last_success,
        lost_messages: report.lost.messages,
        not_sent: report.not_sent,
        looped: report.looped,
    };
    ConnectorHealth {
        name: run.def.name.clone(),
        kind: run.def.kind.clone(),
        title: run.def.title.clone(),
        enabled: run.def.enabled,
        state,
        since: report.since,
        latency_ms: report.latency_ms,
        samples_per_s: report.sent_per_s + report.received_per_s,
        requests: report.sent.saturating_add(report.received),
        errors: report.failures,
        last_error: report.last_trouble.map(|(at, Trouble { text, remedy })| LastError { at, text, remedy }),
        refused: 0,
        endpoint: run.config.endpoint(),
        tags: run.config.measures.len(),
        bridge: Some(figures),
    }
}

impl Guests for Bridges {
    fn health(&self) -> Vec<ConnectorHealth> {
        let all = self.all();
        let broken = all.broken.iter().map(|broken| {
            let state = if broken.def.enabled { ConnectorState::Failed } else { ConnectorState::Disabled };
            let figures = Health::new(state, self.clock.clone());
            figures.failed(broken.text.clone(), &broken.remedy);
            ConnectorHealth { since: broken.since, ..figures.report(&broken.def, String::new(), 0) }
        });
        all.runs.values().map(health).chain(broken).collect()
    }

    fn test(&self, name: &str) -> Option<TestReport> {
        let found = self.health().into_iter().find(|health| health.name == name)?;
        let waiting = found.bridge.as_ref().map_or(0, |bridge| bridge.waiting_messages);
        let waits = counted(waiting, "message waits", "messages wait");
        let detail = match (found.state, &found.last_error) {
            (ConnectorState::Connected, _) => format!("{} answers; {waits}", found.endpoint),
            (ConnectorState::Disabled, _) => format!("it is switched off; {waits}"),
            (_, Some(error)) => format!("{}; {}; {waits}", error.text, error.remedy),
            (_, None) => format!("the first attempt to connect is under way; {waits}"),
        };
        Some(TestReport { ok: found.state == ConnectorState::Connected, detail })
    }

    fn found(&self, _: &str) -> Option<FoundValues> {
        None
    }
}
