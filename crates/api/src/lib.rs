//! HTTP, WebSocket and OpenAPI: the one crate that shapes JSON for the outside world.
//!
//! A request runs: [`auth`] finds who asks → the handler asks the gate → a domain crate answers → [`views`] shapes it.
//! Errors are RFC 9457 problems with a remedy ([`problem`]). The UI is embedded ([`routes::ui`]).
//!
//! **Invariants**
//! - No handler answers before the gate was asked, but for status, log-in, health and the UI's own files.
//! - What a caller may not see looks like what does not exist.
//! - Nothing is sent that is not durable where the acknowledgement contract says so.
//! - Every list has a limit, every body a size, every slow reader an end.
//!
//! Start reading at [`router`].

mod asked;
pub mod auth;
mod guard;
pub mod ingest;
pub mod openapi;
mod outgoing;
pub mod ports;
pub mod problem;
pub mod routes;
pub mod serve;
mod socket;
pub mod views;
pub mod words;

use andon_access::tls::ClientCheck;
use andon_access::{Accounts, AuditRecorder};
use andon_alarms::Engine;
use andon_broker::Broker;
use andon_bus::Bus;
use andon_connectors::Runner;
use andon_historian::Historian;
use andon_model::command::CommandDoor;
use andon_model::event::{Event, SealedEvent, What};
use andon_model::log::{AppendError, Log};
use andon_model::pace::Pace;
use andon_model::peer::Places;
use andon_model::record::Recorder as _;
use andon_model::{Clock, Timestamp};
use andon_store::Store;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, patch, post, put};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower_http::compression::CompressionLayer;
use tower_http::set_header::SetResponseHeaderLayer;

/// The largest request body, in bytes.
pub(crate) const MAX_BODY: usize = 16 << 20;

/// The largest body of a request that anybody may send, in bytes.
const MAX_BODY_OF_STRANGERS: usize = 16 << 10;

fn small() -> DefaultBodyLimit {
    DefaultBodyLimit::max(MAX_BODY_OF_STRANGERS)
}

/// Everything the API speaks for.
pub struct Parts {
    /// People, tokens, devices; the gate.
    pub accounts: Arc<Accounts>,
    /// The live plant.
    pub bus: Arc<Bus>,
    /// The door for commands.
    pub door: Arc<dyn CommandDoor>,
    /// Alarms.
    pub alarms: Arc<Engine>,
    /// History.
    pub historian: Arc<Historian>,
    /// Records and the timeline.
    pub store: Store,
    /// MQTT.
    pub broker: Arc<Broker>,
    /// MQTT connections of each stranger.
    pub mqtt_places: Arc<Places>,
    /// The rules of MQTT topics.
    pub mqtt_rules: Arc<dyn ports::MqttRules>,
    /// How often MQTT clients may come.
    pub mqtt_pace: Arc<Pace>,
    /// Whether MQTT clients must show a certificate: over WebSocket they cannot, so there is no MQTT over it then.
    pub mqtt_needs_certificate: bool,
    /// Which certificates of MQTT clients are good; `None`: they are asked for none.
    pub mqtt_certificates: Option<ClientCheck>,
    /// Field connectors.
    pub connectors: Arc<Runner>,
    /// The audit trail's writer, for live events.
    pub audit: Arc<AuditRecorder>,
    /// The log.
    pub log: Arc<dyn Log>,
    /// Changes of the plant model.
    pub plant_admin: Arc<dyn ports::PlantAdmin>,
    /// The secrets that documents name.
    pub secrets: Arc<dyn ports::SecretKeeper>,
    /// SQL.
    pub sql: Arc<dyn ports::Sql>,
    /// Readings by HTTP.
    pub ingest: Arc<dyn ports::Ingest>,
    /// What ingest remembers between requests; one for all listeners of a node.
    pub ingest_memory: Arc<ingest::Memory>,
    /// Manufacturing execution.
    pub mes: Arc<dyn ports::mes::Mes>,
    /// Work orders and job orders.
    pub orders: Arc<dyn ports::orders::Orders>,
    /// Maintenance.
    pub maintenance: Arc<dyn ports::maintenance::Maintain>,
    /// What meters counted.
    pub energy: Arc<dyn ports::energy::Energy>,
    /// The shift logbook.
    pub logbook: Arc<dyn ports::shift::Logbook>,
    /// Kept reports.
    pub reports: Arc<dyn ports::reports::Reports>,
    /// Who is signed on where.
    pub labour: Arc<dyn ports::shift::Labour>,
    /// Tools and moulds.
    pub tools: Arc<dyn ports::tools::Tools>,
    /// Lots, units and certificates.
    pub traces: Arc<dyn ports::trace::Traces>,
    /// What lies where.
    pub stock: Arc<dyn ports::stock::Stock>,
    /// In what lots mix.
    pub vessels: Arc<dyn ports::vessel::Vessels>,
    /// Links to an ERP.
    pub erp: Arc<dyn ports::erp::Erp>,
    /// States held for backups.
    pub backups: Arc<dyn ports::Backups>,
    /// Ready, warnings, metrics.
    pub node: Arc<dyn ports::NodeState>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// The program's version.
    pub version: &'static str,
    /// In the demo: what is simulated and what is replayed.
    pub demo_text: Option<String>,
    /// How long a log-in lasts at most.
    pub session_life: Duration,
    /// Whether only loopback names may stand in `Host` (the listener is on loopback).
    pub loopback_only: bool,
    /// Ends live links.
    pub stop: CancellationToken,
}

/// The shared state of every handler.
#[derive(Clone)]
pub struct App {
    parts: Arc<Parts>,
    /// Places of exports.
    exports: Arc<Semaphore>,
}

impl App {
    /// Wraps the parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self { parts: Arc::new(parts), exports: routes::transfer::places() }
    }

    /// Records what the caller does, at once; it has happened when this has returned. `about`: the time that it is about,
    /// where that is another.
    /// # Errors
    /// Not durable: the effect must not take place.
    pub(crate) async fn record(
        &self,
        caller: &auth::Caller,
        path: &str,
        about: Option<Timestamp>,
        what: What,
    ) -> Result<Arc<SealedEvent>, AppendError> {
        let event = Event {
            id: andon_bus::ids::new_id(&*self.clock),
            at: self.clock.now(),
            source_at: about,
            path: path.to_owned(),
            by: caller.who.clone(),
            what,
        };
        self.audit.record(event).await
    }
}

impl std::ops::Deref for App {
    type Target = Parts;
    fn deref(&self) -> &Parts {
        &self.parts
    }
}

/// All routes.
pub fn router(app: App) -> Router {
    use routes::{
        alarms, backup, commands, connectors, device_certificates, energy, erp, health, history, influx, ingest, kept,
        labour, logbook, maintenance, mes, mqtt_clients, mqtt_rules, notes, orders, plant, reports, secrets, session,
        sql, stock, storage, timeline, tools, topics, trace, transfer, ui, users, values, vessel, ws,
    };
    let api = Router::new()
        .route("/api/status", get(session::status))
        .route("/api/setup", post(session::setup).layer(small()))
        .route("/api/login", post(session::login).layer(small()))
        .route("/api/login-link", post(session::login_link).layer(small()))
        .route("/api/logout", post(session::logout))
        .route("/api/password", post(session::password))
        .route("/api/session", get(session::session))
        .route("/api/plant", get(plant::plant))
        .route("/api/plant/plan", post(plant::plan))
        .route("/api/plant/apply", post(plant::apply))
        .route("/api/plant/versions", get(plant::versions))
        .route("/api/plant/rollback", post(plant::roll_back))
        .route("/api/plant/export", get(plant::export))
        .route("/api/values", get(values::values))
        .route("/api/history", get(values::history))
        .route("/api/aggregate", get(history::aggregate).post(history::aggregates))
        .route("/api/history/delete", post(history::delete))
        .route("/api/history/compact", post(history::compact))
        .route("/api/history/give-up", post(history::give_up))
        .route("/api/notes", post(notes::create))
        .route("/api/history/export", get(transfer::export))
        .route("/api/imports", post(transfer::begin_import))
        .route("/api/imports/{id}/end", post(transfer::end_import))
        .route("/api/storage", get(storage::storage))
        .route("/api/ingest", post(ingest::ingest))
        .route("/api/v2/write", post(influx::write_2))
        .route("/api/sql", post(sql::query))
        .route("/api/alarms", get(alarms::list))
        .route("/api/alarms/ack", post(alarms::acknowledge))
        .route("/api/timeline", get(timeline::timeline))
        .route("/api/commands", post(commands::submit))
        .route("/api/connectors", get(connectors::list))
        .route("/api/connectors/test", post(connectors::test))
        .route("/api/mqtt/topics", get(topics::level))
        .route("/api/mqtt/topics/search", get(topics::search))
        .route("/api/mqtt/topic", get(topics::topic))
        .route("/api/mqtt/value", get(topics::value))
        .route("/api/mqtt/history", get(kept::kept_messages))
        .route("/api/mqtt/publish", post(topics::publish))
        .route("/api/mqtt/clients", get(mqtt_clients::clients))
        .route("/api/mqtt/client", get(mqtt_clients::client))
        .route("/api/mqtt/departures", get(mqtt_clients::departures))
        .route("/api/mqtt/disconnect", post(mqtt_clients::disconnect))
        .route("/api/mqtt/subscriptions", get(mqtt_clients::subscriptions))
        .route("/api/mqtt/violations", get(mqtt_rules::violations))
        .route("/api/mqtt/quarantine", get(mqtt_rules::quarantine))
        .route("/api/mqtt/quarantine/release", post(mqtt_rules::release))
        .route("/api/mqtt/quarantine/discard", post(mqtt_rules::discard))
        .route("/api/mqtt/quarantine/discard-all", post(mqtt_rules::discard_all))
        .route("/api/mqtt/permission", post(mqtt_clients::permission))
        .route("/api/mes/machines", get(mes::machines))
        .route("/api/mes/reasons", get(mes::reasons))
        .route("/api/mes/kpis", get(mes::kpis))
        .route("/api/mes/kpis/children", get(mes::children))
        .route("/api/mes/kpis/series", get(mes::series))
        .route("/api/mes/states", get(mes::states))
        .route("/api/mes/stops", get(mes::stops))
        .route("/api/mes/why", get(mes::why))
        .route("/api/mes/corrections", get(mes::corrections).post(mes::correct))
        .route("/api/mes/orders", get(orders::list).post(orders::make))
        .route("/api/mes/orders/{number}", get(orders::one).patch(orders::change))
        .route("/api/mes/orders/{number}/units", get(orders::units))
        .route("/api/mes/orders/{number}/{action}", post(orders::act))
        .route("/api/mes/jobs", get(orders::jobs))
        .route("/api/mes/jobs/{id}/ledger", get(orders::ledger))
        .route("/api/mes/jobs/{id}/counts", post(orders::count))
        .route("/api/mes/jobs/{id}/seen", post(orders::seen))
        .route("/api/mes/jobs/{id}/plan", post(orders::place))
        .route("/api/mes/jobs/{id}/{trigger}", post(orders::trigger))
        .route("/api/mes/materials", get(orders::materials))
        .route("/api/mes/instructions/{name}", get(orders::instruction))
        .route("/api/mes/schedule", get(orders::schedule))
        .route("/api/mes/schedule/plan", post(orders::plan))
        .route("/api/mes/skills", get(orders::skills))
        .route("/api/mes/logbook", get(logbook::entries).post(logbook::write))
        .route("/api/mes/logbook/{number}", get(logbook::entry))
        .route("/api/mes/handover", get(logbook::proposed))
        .route("/api/mes/handovers", get(logbook::handovers).post(logbook::hand_over))
        .route("/api/mes/handovers/{number}", get(logbook::handover))
        .route("/api/mes/handovers/{number}/confirm", post(logbook::confirm))
        .route("/api/mes/labour", get(labour::worked))
        .route("/api/mes/labour/sign-on", post(labour::sign_on))
        .route("/api/mes/labour/sign-off", post(labour::sign_off))
        .route("/api/mes/labour/now", get(labour::present))
        .route("/api/mes/labour/spans", get(labour::spans))
        .route("/api/mes/labour/spans/{number}/correct", post(labour::correct))
        .route("/api/mes/labour/supervisors", get(labour::supervisors))
        .route("/api/mes/labour/supervisors/{person}", put(labour::make_supervisor).delete(labour::remove_supervisor))
        .route("/api/mes/tools", get(tools::list))
        .route("/api/mes/tools/{name}", get(tools::one))
        .route("/api/mes/tools/{name}/mount", post(tools::mount))
        .route("/api/mes/tools/{name}/unmount", post(tools::unmount))
        .route("/api/mes/tools/{name}/spans/{number}/correct", post(tools::correct))
        .route("/api/mes/tools/{name}/renew", post(tools::renew))
        .route("/api/mes/tools/{name}/used", post(tools::used))
        .route("/api/mes/tools/{name}/units", get(tools::units))
        .route("/api/mes/energy", get(energy::energy))
        .route("/api/mes/energy/peaks", get(energy::peaks))
        .route("/api/mes/maintenance/orders", get(maintenance::list).post(maintenance::make))
        .route("/api/mes/maintenance/orders/{number}", get(maintenance::one).patch(maintenance::change))
        .route("/api/mes/maintenance/orders/{number}/parts", post(maintenance::part))
        .route("/api/mes/maintenance/orders/{number}/seen", post(maintenance::seen))
        .route("/api/mes/maintenance/orders/{number}/ledger", get(maintenance::ledger))
        .route("/api/mes/maintenance/orders/{number}/{trigger}", post(maintenance::act))
        .route("/api/mes/maintenance/plans", get(maintenance::plans))
        .route("/api/mes/maintenance/figures", get(maintenance::figures))
        .route("/api/mes/reports", get(reports::list).post(reports::make))
        .route("/api/mes/reports/{id}", get(reports::one))
        .route("/api/mes/reports/{id}/file", get(reports::file))
        .route("/api/mes/report-schedules", get(reports::schedules))
        .route("/api/mes/units", get(trace::units))
        .route("/api/mes/units/{id}", get(trace::unit))
        .route("/api/mes/units/{id}/certificate", post(trace::certify))
        .route("/api/mes/units/{id}/exchange", post(stock::exchange))
        .route("/api/mes/units/{id}/identity", post(trace::identify))
        .route("/api/mes/lots", get(trace::lots).post(trace::receive))
        .route("/api/mes/lots/{id}", get(trace::lot))
        .route("/api/mes/lots/{id}/state", post(trace::decide))
        .route("/api/mes/lots/{id}/move", post(stock::carry))
        .route("/api/mes/lots/{id}/trace/{direction}", get(trace::trace))
        .route("/api/mes/lots/{id}/recall", get(trace::recall))
        .route("/api/mes/lots/{id}/recall.csv", get(trace::recall_table))
        .route("/api/mes/lots/{id}/{label}", get(trace::label))
        .route("/api/mes/containers", get(stock::containers).post(stock::make_container))
        .route("/api/mes/containers/{id}", get(stock::container))
        .route("/api/mes/containers/{id}/pack", post(stock::pack))
        .route("/api/mes/containers/{id}/unpack", post(stock::unpack))
        .route("/api/mes/vessels", get(vessel::list))
        .route("/api/mes/vessels/{path}", get(vessel::content))
        .route("/api/mes/vessels/{path}/fill", post(vessel::fill))
        .route("/api/mes/vessels/{path}/draw", post(vessel::draw))
        .route("/api/mes/vessels/{path}/empty", post(vessel::empty))
        .route("/api/mes/vessels/{path}/level", post(vessel::level))
        .route("/api/mes/stock", get(stock::stock))
        .route("/api/mes/moves", get(stock::moves))
        .route("/api/mes/passes", get(stock::passes))
        .route("/api/mes/findings", get(trace::findings))
        .route("/api/mes/certificates/{number}", get(trace::certificate))
        .route("/api/mes/certificate-key", get(trace::certificate_key))
        .route("/api/b2mml", post(erp::receive))
        .route("/api/erp", get(erp::links))
        .route("/api/erp/{name}/{action}", post(erp::decide))
        .route("/api/connectors/found", get(connectors::found))
        .route("/api/secrets", get(secrets::list))
        .route("/api/secrets/{name}", put(secrets::set).delete(secrets::remove))
        .route("/api/users", get(users::list_users).post(users::create_user))
        .route("/api/users/{id}", patch(users::change_user).delete(users::remove_user))
        .route("/api/users/{id}/skills/{skill}", put(orders::qualify).delete(orders::disqualify))
        .route("/api/tokens", get(users::list_tokens).post(users::create_token))
        .route("/api/tokens/{id}", delete(users::remove_token))
        .route("/api/devices", get(users::list_devices).post(users::create_device))
        .route("/api/devices/certificate", post(device_certificates::check))
        .route("/api/devices/{id}", patch(users::change_device).delete(users::remove_device))
        .route("/api/devices/{id}/certificate", put(device_certificates::bind).delete(device_certificates::unbind))
        .route("/api/audit/verify", get(users::verify_audit))
        .route("/api/backups", post(backup::begin))
        .route("/api/backups/{id}", get(backup::state).delete(backup::give_up))
        .route("/api/backups/{id}/keep", post(backup::keep))
        .route("/api/backups/{id}/finish", post(backup::finish))
        .route("/api/openapi.json", get(openapi::document))
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(from_fn(guard::told))
        .layer(CompressionLayer::new());
    let csp = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; font-src 'self'; \
               connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    let set = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    };
    api.route("/api/ws", get(ws::open))
        .route("/mqtt", get(routes::mqtt::open))
        .route("/write", post(influx::write_1))
        .route("/ping", get(influx::ping))
        .route("/health", get(influx::health))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .fallback_service(Router::new().fallback(ui::file).layer(CompressionLayer::new()))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn(guard::guard))
        .layer(from_fn_with_state(app.clone(), known_host))
        .layer(set(header::CONTENT_SECURITY_POLICY, csp))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::REFERRER_POLICY, "no-referrer"))
        .layer(set(HeaderName::from_static("cross-origin-opener-policy"), "same-origin"))
        .layer(set(HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"))
        .with_state(app)
}

/// On a loopback listener, refuses requests to a foreign name: a page of that name could otherwise read ours.
async fn known_host(State(app): State<App>, request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok());
    let host = host.map(str::to_owned).or_else(|| request.uri().authority().map(ToString::to_string));
    let fine = !app.loopback_only || host.as_deref().is_some_and(auth::is_loopback_host);
    if fine {
        return next.run(request).await;
    }
    problem::Problem::new(StatusCode::MISDIRECTED_REQUEST, "foreign-host", "this name is not ours")
        .detail("the listener is on loopback, so only localhost and loopback addresses are answered")
        .remedy("use http://127.0.0.1, or configure a listener with a certificate")
        .into_response()
}
