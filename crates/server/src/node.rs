//! A running node: opens the parts in order, wires them, and stops them in the opposite order.
//!
//! Start: data directory → log → store → live plant → audit → accounts → alarms, commands → history → broker → listeners
//! → connectors. Stop: listeners and sources first, the log last.

use crate::adapters::{Checks, DurableIngest, StoredAccounts};
use crate::backup::hold::{self, Holds, Sources};
use crate::backup::{forget_restored, take_restored};
use crate::bridge::Bridges;
use crate::certificate::Own;
use crate::data_dir::{DataDir, write_private};
use crate::discovery::Discovery;
use crate::ended;
use crate::erp::{self, Erp};
use crate::maintenance::{self, Maintenance};
use crate::mes::Manufacturing;
use crate::mqtt::{self, Entrance, Hooks};
use crate::notes::{self, Notes};
use crate::plant_admin::{Admin, Followers, compressions, retentions};
use crate::presence;
use crate::records;
use crate::report::{self, Reports};
use crate::secrets::Secrets;
use crate::settings::{AccessMode, Listen, Settings};
use crate::shift::{self, Shift};
use crate::sparkplug::Sparkplug;
use crate::state::State;
use crate::tools::{self, Tools};
use crate::trace::{self, Traceability};
use andon_access::private_file;
use andon_access::signing::SigningKey;
use andon_access::tls::{self, ClientCheck, Rules};
use andon_access::{Accounts, AccountsOptions, AuditRecorder};
use andon_api::serve::Bounds;
use andon_api::{App, Parts};
use andon_broker::{Broker, BrokerOptions};
use andon_bus::Bus;
use andon_bus::ids::new_id;
use andon_connectors::Runner;
use andon_historian::Historian;
use andon_log::{DurableLog, LogOptions, OsDisk};
use andon_model::log::{Lane, Log};
use andon_model::pace::Pace;
use andon_model::peer::Places;
use andon_model::plant::SettingsCheck;
use andon_model::record::Recorder;
use andon_model::{Clock, SystemClock};
use andon_store::{PlantRepository, Store};
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A part that has not ended this long after it was told to is left behind, and said so.
const STOP_WITHIN: Duration = Duration::from_secs(8);

/// What a listed MQTT topic may take in the mean, with its name and last payload, in bytes.
const LISTED_BYTES: usize = 1500;

/// Where the listeners are.
#[derive(Debug, Clone, Copy, Default, serde::Serialize, serde::Deserialize)]
pub struct Addresses {
    /// HTTP.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub http: Option<SocketAddr>,
    /// HTTPS.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub https: Option<SocketAddr>,
    /// MQTT.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mqtt: Option<SocketAddr>,
    /// MQTT over TLS.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub mqtts: Option<SocketAddr>,
    /// The PostgreSQL protocol.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub sql: Option<SocketAddr>,
}

/// Tasks that end together.
struct Group {
    name: &'static str,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Group {
    fn new(name: &'static str) -> Self {
        Self { name, stop: CancellationToken::new(), tasks: JoinSet::new() }
    }

    async fn end(mut self) {
        self.stop.cancel();
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(group = self.name, %error, "a task failed");
                }
            }
        };
        if tokio::time::timeout(STOP_WITHIN, all).await.is_err() {
            tracing::error!(group = self.name, "some tasks did not end in time");
        }
    }
}

/// The running node.
pub struct Node {
    /// Where it listens.
    pub addresses: Addresses,
    /// People, tokens, devices.
    pub accounts: Arc<Accounts>,
    /// Changes of the plant model.
    pub plant: Arc<Admin>,
    /// Machines, orders and what they come to.
    pub mes: Arc<Manufacturing>,
    /// Maintenance.
    pub maintenance: Arc<Maintenance>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    recorder: Arc<AuditRecorder>,
    connectors: Arc<Runner>,
    pub(crate) sparkplug: Arc<Sparkplug>,
    discovery: Arc<Discovery>,
    bridges: Arc<Bridges>,
    pub(crate) broker: Arc<Broker>,
    #[cfg(test)]
    pub(crate) entrance: Entrance,
    engine: Arc<andon_sql::Engine>,
    store: Store,
    log: Arc<DurableLog>,
    faces: Group,
    core: Group,
    spool: Group,
    keepers: Group,
    relays: Vec<JoinHandle<()>>,
    relays_stop: CancellationToken,
    dir: DataDir,
}

/// The node's id, made at the first start.
pub(crate) fn node_id(dir: &DataDir, clock: &dyn Clock) -> Result<Uuid> {
    let path = dir.join("node-id");
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            text.trim().parse().with_context(|| format!("{} holds no UUID; restore it from a backup", path.display()))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let id = new_id(clock);
            private_file::replace(&path, format!("{id}\n").as_bytes())?;
            Ok(id)
        }
        Err(error) => Err(error).with_context(|| format!("could not read {}", path.display())),
    }
}

fn log_options(settings: &Settings) -> LogOptions {
    const DAY: Duration = Duration::from_secs(86_400);
    let mut options = LogOptions::default();
    let [records, messages, _] = &mut options.retention;
    records.max_age = Some(DAY * settings.limits.records_days);
    messages.max_bytes = Some(settings.limits.messages_mib << 20);
    messages.held_bytes = Some(settings.limits.messages_mib << 21);
    options
}

/// How a face listens: for answers that clients take at their own pace, or for MQTT, whose queues do that.
#[derive(Clone, Copy)]
enum Face {
    Answers,
    Mqtt,
}

async fn bind(what: &str, face: Face, listen: Listen) -> Result<Option<TcpListener>> {
    let Some(address) = listen.address() else { return Ok(None) };
    let bound = match face {
        Face::Answers => andon_api::serve::listen(address),
        Face::Mqtt => TcpListener::bind(address).await,
    };
    Ok(Some(bound.with_context(|| format!("could not listen on {address} for {what}; is another program there? Choose another address in the settings, or \"off\""))?))
}

/// Waits until an administrator exists, then listens. `None` when the node stops first or the address is taken.
async fn bind_when_set_up(
    what: &str,
    face: Face,
    listen: Listen,
    accounts: &Accounts,
    stop: &CancellationToken,
) -> Option<TcpListener> {
    while accounts.setup_needed() {
        tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(Duration::from_millis(500)) => {}
        }
    }
    match bind(what, face, listen).await {
        Ok(listener) => {
            tracing::info!(address = ?listen.address(), "{what} listens now that an administrator exists");
            listener
        }
        Err(error) => {
            tracing::error!("{error:#}");
            None
        }
    }
}

impl Node {
    /// Starts everything. `demo_text` is shown in the UI when this is the demo.
    /// # Errors
    /// What could not be opened, with its causes; nothing keeps running.
    pub async fn start(settings: Settings, demo_text: Option<String>) -> Result<Self> {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dir = DataDir::take(&settings.data_dir)?;
        let _ = std::fs::remove_file(dir.join("addresses.json"));
        hold::clear(&dir).context("could not remove what was held for a backup")?;
        let http = bind("HTTP", Face::Answers, settings.http).await?;
        let mqtt = bind("MQTT", Face::Mqtt, settings.mqtt).await?;
        let address = |listener: &Option<TcpListener>| listener.as_ref().and_then(|l| l.local_addr().ok());
        let certificate = Own::find(&settings, &dir, &*clock)?;

        let node = node_id(&dir, &*clock)?;
        let (log, opened) = {
            let (path, options, clock) = (dir.join("log"), log_options(&settings), clock.clone());
            tokio::task::spawn_blocking(move || DurableLog::open(&path, node, options, Arc::new(OsDisk), clock))
                .await??
        };
        let notices = log.notices();
        tracing::info!(epoch = opened.epoch, "the log is open");
        for lane in opened.lanes.iter().filter(|lane| lane.torn_bytes > 0) {
            // The last group before a kill or a power cut; nothing of it was acknowledged.
            tracing::info!(
                lane = lane.lane.name(),
                bytes = lane.torn_bytes,
                "an unfinished write at the end of the log was dropped"
            );
        }
        let shared: Arc<dyn Log> = log.clone();
        let last_alive = blocking({
            let log = shared.clone();
            move || ended::last_alive_if_cut_off(&*log)
        })
        .await??;
        let events = log.durable_seq(Lane::Records).0;
        let store = records::open(&settings.records, &settings.data_dir, node, events, clock.clone()).await?;
        let unusable = |error| records::unusable(&settings.records, &settings.data_dir, error);
        let (plant, ids) = store.current_plant().await.map_err(unusable)?;
        let plant = Arc::new(plant);
        warn_about(&plant);

        let bus = Bus::new(clock.clone());
        bus.set_plant(plant.clone(), ids);
        blocking({
            let (bus, log) = (bus.clone(), shared.clone());
            move || andon_bus::last::restore(&bus, &*log)
        })
        .await??;
        let recorder = blocking({
            let log = shared.clone();
            move || AuditRecorder::open(log)
        })
        .await??;
        let accounts =
            Arc::new(StoredAccounts { store: store.clone(), session_life: AccountsOptions::default().session_life });
        let options = AccountsOptions {
            open: settings.access == AccessMode::Open,
            anonymous_mqtt: settings.allow_anonymous,
            ..AccountsOptions::default()
        };
        let session_life = options.session_life;
        let accounts = Accounts::load(accounts, recorder.clone(), clock.clone(), options, new_id).await?;

        let alarms = andon_alarms::Engine::new(bus.clone(), recorder.clone(), shared.clone(), clock.clone());
        alarms.set_plant(&bus.plant());
        blocking({
            let alarms = alarms.clone();
            move || alarms.recover()
        })
        .await??;
        let door =
            andon_control::Door::new(bus.clone(), recorder.clone(), accounts.clone(), clock.clone(), shared.clone());
        door.recover().await?;

        let history = andon_historian::Options {
            retention_days: Some(settings.limits.history_days).filter(|days| *days > 0),
            publish: settings.open_table.publish,
            keep_removed: Duration::from_secs(u64::from(settings.open_table.keep_removed_days) * 86_400),
            ..andon_historian::Options::default()
        };
        let historian = Historian::open(&dir.join("history"), shared.clone(), clock.clone(), history)?;
        historian.compress(compressions(&bus));
        // Before it runs: until then no tag has a limit of its own.
        historian.keep(retentions(&bus));

        let (notes, waiting_notes) = Notes::new();
        if let Some(words) = certificate.renewal() {
            notes.say("", "certificate_renewed", words);
        }
        let mes = Manufacturing::open(store.clone(), shared.clone(), bus.clone(), clock.clone(), notes.clone()).await?;
        let maintenance = Maintenance::new(maintenance::Parts {
            store: store.clone(),
            mes: mes.clone(),
            alarms: alarms.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
        });
        let signing_key = dir.join("tls/signing-key.pem");
        let trace = Traceability::open(trace::Parts {
            store: store.clone(),
            log: shared.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            notes: notes.clone(),
            accounts: accounts.clone(),
            mes: mes.clone(),
            key: SigningKey::open(&signing_key)?,
            node,
        })
        .await?;
        let secrets = Secrets::open(&settings.data_dir)?;
        let erp = Erp::open(erp::Parts {
            rules: settings.b2mml.clone(),
            links: settings.erp.clone(),
            log: log.clone(),
            store: store.clone(),
            mes: mes.clone(),
            bus: bus.clone(),
            accounts: accounts.clone(),
            secrets: secrets.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
            notes: notes.clone(),
        })
        .await?;
        let bridges = Bridges::new(node, log.clone(), secrets.clone(), recorder.clone(), clock.clone(), notes.clone());
        let sparkplug =
            Sparkplug::new(bus.clone(), clock.clone(), notes.clone(), recorder.clone(), settings.data_dir.clone());
        let hooks = Hooks::new(
            accounts.clone(),
            bus.clone(),
            recorder.clone(),
            clock.clone(),
            notes.clone(),
            sparkplug.clone(),
        );
        let discovery = Discovery::new(node, bus.clone(), clock.clone(), notes.clone(), sparkplug.clone());
        hooks.set_discovery(discovery.clone());
        hooks.set_plant(&plant);
        hooks.set_door(door.clone());
        let options = BrokerOptions {
            connections: settings.limits.mqtt_connections,
            payload_bytes: settings.limits.mqtt_payload_bytes,
            node: Some(node),
            catalogue_topics: settings.limits.mqtt_topics_listed,
            catalogue_bytes: settings.limits.mqtt_topics_listed.saturating_mul(LISTED_BYTES),
            history_dir: Some(dir.join("messages")),
            ..BrokerOptions::default()
        };
        let broker = blocking({
            let (log, hooks, clock, runtime) =
                (shared.clone(), hooks.clone(), clock.clone(), tokio::runtime::Handle::current());
            move || {
                let _inside = runtime.enter();
                Broker::new(options, log, hooks, clock)
            }
        })
        .await?
        .context(
            "the MQTT sessions and retained messages cannot be read back. Restore the data directory from a backup; or move \
             log/snapshots/broker and its older copy away and start again: then they are made anew from the messages the log still keeps",
        )?;
        hooks.set_broker(broker.clone());
        bridges.set_broker(broker.clone());
        let connectors = Arc::new(Runner::new(bus.clone(), recorder.clone(), clock.clone()));
        connectors.show_guests(sparkplug.clone());
        connectors.show_guests(discovery.clone());
        connectors.show_guests(bridges.clone());

        // Tasks, from the log outwards.
        let (mut keepers, mut spool, mut core, mut faces) =
            (Group::new("keepers"), Group::new("spool"), Group::new("core"), Group::new("faces"));
        let relays_stop = CancellationToken::new();
        let relays = relays(&store, &recorder, &shared, &relays_stop);
        {
            let (notes, history) = (notes.clone(), dir.join("history"));
            historian.on_damage(move |damage| notes::history_damage(&notes, &history, damage));
        }
        keepers.tasks.spawn(historian.clone().run(keepers.stop.clone()));
        keepers.tasks.spawn(presence::run(shared.clone(), presence::EVERY, keepers.stop.clone()));
        keepers.tasks.spawn(andon_bus::last::run(bus.clone(), shared.clone(), keepers.stop.clone()));
        keepers.tasks.spawn(notes::run(waiting_notes, recorder.clone(), clock.clone(), keepers.stop.clone()));
        keepers.tasks.spawn(notes::hear_log(opened.notices, notices, notes.clone(), keepers.stop.clone()));
        let on_notice = {
            let notes = notes.clone();
            Arc::new(move |notice| notes::spool(&notes, &notice))
        };
        let spooling = andon_bus::spool::run(
            bus.clone(),
            shared.clone(),
            andon_bus::spool::SpoolOptions::default(),
            on_notice,
            spool.stop.clone(),
        );
        spool.tasks.spawn(spooling);
        core.tasks.spawn(alarms.clone().run(core.stop.clone()));
        core.tasks.spawn(door.clone().run(core.stop.clone()));
        core.tasks.spawn(sparkplug.clone().run(core.stop.clone()));
        core.tasks.spawn(crate::bridge::measures::run(bridges.clone(), bus.clone(), core.stop.clone()));
        bus.publish(hooks.take_replayed()).await;

        let followers = Followers {
            bus: bus.clone(),
            alarms: alarms.clone(),
            broker: broker.clone(),
            historian: historian.clone(),
            hooks: hooks.clone(),
            connectors: connectors.clone(),
            sparkplug: sparkplug.clone(),
            discovery: discovery.clone(),
            bridges: bridges.clone(),
            mes: mes.clone(),
            trace: trace.clone(),
            clock: clock.clone(),
        };
        let admin = Admin::new(store.clone(), followers, secrets, settings.erp.clone(), settings.records.secret());
        erp.set_admin(admin.clone());
        let restored = take_restored(&settings.data_dir);
        // A backup is of a running node: that it holds no stop tells nothing.
        if let Some(last_alive) = last_alive.filter(|_| restored.is_none()) {
            let text = ended::words(last_alive, clock.now());
            tracing::warn!("{text}");
            recorder.record(notes::event(&*clock, "", "gap", text)).await?;
        }
        recorder
            .record(notes::event(&*clock, "", "started", format!("Andon {} started", env!("CARGO_PKG_VERSION"))))
            .await?;
        if let Some(text) = restored {
            recorder.record(notes::event(&*clock, "", "restored", text)).await?;
            forget_restored(&settings.data_dir);
        }
        admin.follow().await?;
        keepers.tasks.spawn(mes.clone().run(keepers.stop.clone()));
        keepers.tasks.spawn(mes.meters().clone().run(keepers.stop.clone()));
        keepers.tasks.spawn(trace.clone().run(keepers.stop.clone()));
        let shift = Shift::new(shift::Parts {
            store: store.clone(),
            mes: mes.clone(),
            alarms: alarms.clone(),
            accounts: accounts.clone(),
            clock: clock.clone(),
        });
        keepers.tasks.spawn(shift.clone().run(keepers.stop.clone()));
        let tools = Tools::new(tools::Parts { store: store.clone(), mes: mes.clone(), clock: clock.clone() });
        keepers.tasks.spawn(tools.clone().run(keepers.stop.clone()));
        // Ends with what acts on the plant: what it would still tell is in the records for the next start.
        erp.start(&mut core.tasks, &core.stop);
        keepers.tasks.spawn(maintenance.clone().run(keepers.stop.clone()));
        let reports = Reports::new(report::Parts {
            store: store.clone(),
            log: log.clone(),
            mes: mes.clone(),
            shift: shift.clone(),
            maintenance: maintenance.clone(),
            alarms: alarms.clone(),
            accounts: accounts.clone(),
            bus: bus.clone(),
            clock: clock.clone(),
            notes: notes.clone(),
            key: SigningKey::open(&signing_key)?,
            node,
            folder: dir.join("reports"),
        });
        keepers.tasks.spawn(reports.clone().run(keepers.stop.clone()));
        let holds = Holds::new(Sources {
            data_dir: settings.data_dir.clone(),
            node,
            log: log.clone(),
            store: store.clone(),
            historian: historian.clone(),
            recorder: recorder.clone(),
            clock: clock.clone(),
        });
        keepers.tasks.spawn(holds.clone().run(keepers.stop.clone()));
        keepers.tasks.spawn(store.clone().watch_server(keepers.stop.clone()));

        let limits = settings.limits;
        let entrance = Entrance {
            broker: broker.clone(),
            hooks: hooks.clone(),
            places: Places::new(limits.mqtt_connections_per_address, clock.clone()),
            pace: Pace::new(
                limits.mqtt_connects_per_second_per_address,
                limits.mqtt_connects_per_second,
                clock.clone(),
            ),
        };
        let sql_places = Places::new(limits.sql_connections_per_address, clock.clone());
        let bounds = Bounds {
            connections: limits.http_connections,
            per_address: Places::new(limits.http_connections_per_address, clock.clone()),
        };
        let state = Arc::new(State {
            http_places: bounds.per_address.clone(),
            mqtt_places: entrance.places.clone(),
            mqtt_pace: entrance.pace.clone(),
            sql_places: sql_places.clone(),
            log: log.clone(),
            store: store.clone(),
            alarms: alarms.clone(),
            bus: bus.clone(),
            broker: broker.clone(),
            hooks: hooks.clone(),
            historian: historian.clone(),
            holds: holds.clone(),
            notes,
            clock: clock.clone(),
            bridges: bridges.clone(),
            erp: erp.clone(),
            settings_warnings: settings.warnings(),
            certificate: certificate.end.clone(),
            started: AtomicBool::new(false),
        });
        // Nothing listens beyond loopback before an administrator exists.
        let set_up = !accounts.setup_needed() || accounts.open_mode();
        let now = |listen: Listen| match listen.address() {
            Some(address) if !set_up && !address.ip().is_loopback() => Listen::Off,
            _ => listen,
        };
        let https = bind("HTTPS", Face::Answers, now(settings.https)).await?;
        let mqtts = bind("MQTT over TLS", Face::Mqtt, now(settings.mqtts)).await?;
        let sql = bind("SQL", Face::Answers, now(settings.sql)).await?;
        let engine = crate::sql::start(
            &settings.sql_limits,
            historian.clone(),
            bus.clone(),
            store.clone(),
            trace.clone(),
            accounts.clone(),
            clock.clone(),
        )?;
        let addresses = Addresses {
            http: address(&http),
            https: address(&https),
            mqtt: address(&mqtt),
            mqtts: address(&mqtts),
            sql: address(&sql),
        };
        let rules = Arc::new(mqtt::Rules { hooks: hooks.clone(), broker: broker.clone() });
        let mqtt_needs_certificate = settings.mqtt_client_ca.as_ref().is_some_and(|ca| ca.required);
        let mqtt_certificates = settings.mqtt_client_ca.as_ref().map(ClientCheck::of).transpose()?;
        let ingest_memory = Arc::new(andon_api::ingest::Memory::default());
        let app = |loopback_only| {
            App::new(Parts {
                accounts: accounts.clone(),
                bus: bus.clone(),
                door: door.clone(),
                alarms: alarms.clone(),
                historian: historian.clone(),
                store: store.clone(),
                broker: broker.clone(),
                mqtt_rules: rules.clone(),
                mqtt_places: entrance.places.clone(),
                mqtt_pace: entrance.pace.clone(),
                mqtt_needs_certificate,
                mqtt_certificates: mqtt_certificates.clone(),
                connectors: connectors.clone(),
                audit: recorder.clone(),
                log: shared.clone(),
                plant_admin: admin.clone(),
                secrets: admin.clone(),
                sql: Arc::new(crate::sql::SqlOverHttp(engine.clone())),
                ingest: Arc::new(DurableIngest { bus: bus.clone(), log: shared.clone() }),
                ingest_memory: ingest_memory.clone(),
                mes: mes.clone(),
                orders: mes.clone(),
                energy: mes.clone(),
                logbook: shift.clone(),
                labour: shift.clone(),
                tools: tools.clone(),
                reports: reports.clone(),
                maintenance: maintenance.clone(),
                traces: trace.clone(),
                stock: trace.clone(),
                vessels: trace.clone(),
                erp: erp.clone(),
                backups: holds.clone(),
                node: state.clone(),
                clock: clock.clone(),
                version: env!("CARGO_PKG_VERSION"),
                demo_text: demo_text.clone(),
                session_life,
                loopback_only,
                stop: faces.stop.clone(),
            })
        };
        let rules = Rules { oldest: settings.oldest_tls, ..Rules::default() };
        let mqtt_rules = Rules { clients: settings.mqtt_client_ca.clone(), ..rules.clone() };
        let loopback = |listener: &TcpListener| listener.local_addr().is_ok_and(|a| a.ip().is_loopback());
        if let Some(listener) = http {
            let router = andon_api::router(app(loopback(&listener)));
            faces.tasks.spawn(andon_api::serve::serve(listener, router, None, bounds.clone(), faces.stop.clone()));
        }
        if https.is_none() && settings.https != Listen::Off {
            let tls = tls::server_config(&certificate.files, &["h2", "http/1.1"], &rules)?;
            let (router, stop) = (andon_api::router(app(false)), faces.stop.clone());
            let (accounts, listen, bounds) = (accounts.clone(), settings.https, bounds.clone());
            faces.tasks.spawn(async move {
                if let Some(listener) = bind_when_set_up("HTTPS", Face::Answers, listen, &accounts, &stop).await {
                    andon_api::serve::serve(listener, router, Some(tls), bounds, stop).await;
                }
            });
        }
        if mqtts.is_none() && settings.mqtts != Listen::Off {
            let tls = TlsAcceptor::from(tls::server_config(&certificate.files, &[], &mqtt_rules)?);
            let (entrance, stop) = (entrance.clone(), faces.stop.clone());
            let (accounts, listen) = (accounts.clone(), settings.mqtts);
            faces.tasks.spawn(async move {
                if let Some(listener) = bind_when_set_up("MQTT over TLS", Face::Mqtt, listen, &accounts, &stop).await {
                    mqtt::listen(listener, entrance, Some(tls), stop).await;
                }
            });
        }
        if let Some(listener) = https {
            let tls = tls::server_config(&certificate.files, &["h2", "http/1.1"], &rules)?;
            let router = andon_api::router(app(loopback(&listener)));
            faces.tasks.spawn(andon_api::serve::serve(listener, router, Some(tls), bounds, faces.stop.clone()));
        }
        if let Some(listener) = mqtt {
            faces.tasks.spawn(mqtt::listen(listener, entrance.clone(), None, faces.stop.clone()));
        }
        if let Some(listener) = mqtts {
            let tls = TlsAcceptor::from(tls::server_config(&certificate.files, &[], &mqtt_rules)?);
            faces.tasks.spawn(mqtt::listen(listener, entrance.clone(), Some(tls), faces.stop.clone()));
        }
        // TLS is agreed on within an SQL connection; without a certificate, loopback goes without.
        let sql_tls = if certificate.files.certificate.exists() {
            Some(tls::server_config(&certificate.files, &[], &rules)?)
        } else {
            None
        };
        if sql.is_none() && settings.sql != Listen::Off {
            let (engine, stop, sql_tls) = (engine.clone(), faces.stop.clone(), sql_tls.clone());
            let (accounts, listen, places) = (accounts.clone(), settings.sql, sql_places.clone());
            faces.tasks.spawn(async move {
                if let Some(listener) = bind_when_set_up("SQL", Face::Answers, listen, &accounts, &stop).await {
                    andon_sql::pg::serve(listener, engine, sql_tls, places, stop).await;
                }
            });
        }
        if let Some(listener) = sql {
            let (engine, stop) = (engine.clone(), faces.stop.clone());
            faces.tasks.spawn(andon_sql::pg::serve(listener, engine, sql_tls, sql_places, stop));
        }
        write_private(&dir.join("cli.token"), accounts.new_local_token()?.reveal())?;
        state.started.store(true, Ordering::Release);
        write_private(&dir.join("addresses.json"), &serde_json::to_string(&addresses)?)?;
        Ok(Self {
            addresses,
            accounts,
            plant: admin,
            mes,
            maintenance,
            clock,
            recorder,
            connectors,
            sparkplug,
            discovery,
            bridges,
            broker,
            #[cfg(test)]
            entrance,
            engine,
            store,
            log,
            faces,
            core,
            spool,
            keepers,
            relays,
            relays_stop,
            dir,
        })
    }

    /// Stops everything: nobody new is let in, sources end, what is under way becomes durable, the log closes.
    pub async fn stop(self) {
        let _ = std::fs::remove_file(self.dir.join("addresses.json"));
        let _ = std::fs::remove_file(self.dir.join("cli.token"));
        self.engine.stop();
        self.faces.end().await;
        self.connectors.stop().await;
        self.sparkplug.stop().await;
        self.discovery.stop().await;
        self.bridges.stop().await;
        self.broker.stop().await;
        self.core.end().await;
        self.spool.end().await;
        let stopped = notes::event(&*self.clock, "", "stopped", "Andon stopped".to_owned());
        if let Err(error) = self.recorder.record(stopped).await {
            tracing::warn!(%error, "the stop could not be recorded");
        }
        self.relays_stop.cancel();
        for relay in self.relays {
            let _ = tokio::time::timeout(STOP_WITHIN, relay).await;
        }
        self.keepers.end().await;
        if let Err(error) = self.store.close().await {
            tracing::warn!(%error, "the record store was not closed cleanly; its write-ahead file holds everything");
        }
        let log = self.log;
        let _ = blocking(move || log.close()).await;
    }
}

/// The outbox and the timeline; they end for good when the store or the log failed, which the banner then says.
fn relays(
    store: &Store,
    recorder: &Arc<AuditRecorder>,
    log: &Arc<dyn Log>,
    stop: &CancellationToken,
) -> Vec<JoinHandle<()>> {
    let outbox = {
        let (store, recorder, log, stop) = (store.clone(), recorder.clone(), log.clone(), stop.clone());
        async move { store.relay(recorder, log, stop).await }
    };
    let timeline = andon_store::timeline::run_timeline(Arc::new(store.clone()), log.clone(), stop.clone());
    let say = |name: &'static str, error: andon_store::relay::RelayError| {
        tracing::error!(
            error = &error as &dyn std::error::Error,
            "the {name} stopped; restart Andon once the disk is well"
        );
    };
    vec![
        // Ended by `stop`; `Node::stop` waits for it.
        tokio::spawn(async move {
            if let Err(error) = outbox.await {
                say("outbox", error);
            }
        }),
        // Likewise.
        tokio::spawn(async move {
            if let Err(error) = timeline.await {
                say("timeline", error);
            }
        }),
    ]
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a part of the start panicked")
}

/// Says what the present program would refuse in the stored model; the rest runs.
fn warn_about(plant: &andon_model::plant::Plant) {
    for connector in &plant.connectors {
        for finding in Checks.check_connector(connector, plant) {
            tracing::warn!(connector = connector.name, "{}; {}", finding.message, finding.remedy);
        }
    }
}

/// The lanes of a log that no node holds, for tools that look without a node; and the node's id.
/// # Errors
/// In use, or not readable.
pub fn open_log_offline(dir: &DataDir) -> Result<(Uuid, Arc<DurableLog>)> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let id = node_id(dir, &*clock)?;
    let (log, _) = DurableLog::open(&dir.join("log"), id, LogOptions::default(), Arc::new(OsDisk), clock)?;
    debug_assert!(log.first_seq(Lane::Records).0 <= log.durable_seq(Lane::Records).0.saturating_add(1));
    Ok((id, log))
}
