//! Connectors and MQTT clients: are they up, and if not, what to do.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_model::access::Action;
use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

/// The last thing that went wrong.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ErrorView {
    /// When.
    pub at_ms: i64,
    /// What, in plain words.
    pub text: String,
    /// What to do.
    pub remedy: String,
}

/// A connector's health.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ConnectorView {
    /// Its name in the plant model.
    pub name: String,
    /// Its protocol.
    pub kind: String,
    /// What people call it.
    pub title: String,
    /// Whether it should run.
    pub enabled: bool,
    /// `connected`, `connecting`, `failed`, `disabled`.
    pub state: String,
    /// Since when.
    pub since_ms: i64,
    /// How long the last request took.
    pub latency_ms: Option<f64>,
    /// Readings per second, lately.
    pub samples_per_s: f64,
    /// Requests sent since the start.
    pub requests: u64,
    /// Requests that failed.
    pub errors: u64,
    /// The last error.
    pub last_error: Option<ErrorView>,
    /// How many of its tags the device refuses now, though it answers.
    pub refused: usize,
    /// Where the device is.
    pub endpoint: String,
    /// How many tags it gives.
    pub tags: usize,
    /// Of a bridge to another broker; `null` of all others.
    pub bridge: Option<BridgeView>,
}

/// How a bridge to another broker is doing.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct BridgeView {
    /// Messages to be sent that the other side has not acknowledged yet.
    pub waiting_messages: u64,
    /// Bytes of their topics and payloads.
    pub waiting_bytes: u64,
    /// When the oldest of them was received here.
    pub oldest_ms: Option<i64>,
    /// Whether it has waited for longer than the connector's `alarm_after`.
    pub behind: bool,
    /// Messages sent since the start.
    pub sent: u64,
    /// Messages taken from the other side since the start.
    pub received: u64,
    /// Sent per second, lately.
    pub sent_per_s: f64,
    /// Taken per second, lately.
    pub received_per_s: f64,
    /// When the other side last acknowledged a message.
    pub last_success_ms: Option<i64>,
    /// Messages lost since there is this bridge; the timeline says when and why.
    pub lost_messages: u64,
    /// Messages with QoS 0 that were not sent for want of a link, since the start.
    pub not_sent: u64,
    /// Messages that came back over a ring of bridges and went no further, since the start.
    pub looped: u64,
}

impl From<andon_connectors::BridgeFigures> for BridgeView {
    fn from(b: andon_connectors::BridgeFigures) -> Self {
        Self {
            waiting_messages: b.waiting_messages,
            waiting_bytes: b.waiting_bytes,
            oldest_ms: b.oldest.map(andon_model::Timestamp::millis),
            behind: b.behind,
            sent: b.sent,
            received: b.received,
            sent_per_s: b.sent_per_s,
            received_per_s: b.received_per_s,
            last_success_ms: b.last_success.map(andon_model::Timestamp::millis),
            lost_messages: b.lost_messages,
            not_sent: b.not_sent,
            looped: b.looped,
        }
    }
}

/// A connected or known MQTT client.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct ClientView {
    /// The client identifier.
    pub client_id: String,
    /// The user name it logged in with.
    pub user: Option<String>,
    /// Where it connects from.
    pub address: String,
    /// `3.1`, `3.1.1`, `5.0`.
    pub protocol: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Since when it is so.
    pub since_ms: i64,
    /// How many topic filters it has subscribed to.
    pub subscriptions: usize,
    /// Messages from it.
    pub received: u64,
    /// Messages to it.
    pub sent: u64,
    /// Messages waiting for it.
    pub queued: usize,
    /// Messages dropped for it.
    pub dropped: u64,
}

/// The broker's side.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MqttView {
    clients: Vec<ClientView>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct Connectors {
    pub(crate) connectors: Vec<ConnectorView>,
    pub(crate) mqtt: MqttView,
}

/// The state of all connectors; needs the right to see the whole node.
#[must_use]
pub fn state(app: &App) -> Connectors {
    let connectors = app
        .connectors
        .health()
        .into_iter()
        .map(|h| ConnectorView {
            name: h.name,
            kind: h.kind,
            title: h.title,
            enabled: h.enabled,
            state: serde_json::to_value(h.state).ok().and_then(|v| v.as_str().map(str::to_owned)).unwrap_or_default(),
            since_ms: h.since.millis(),
            latency_ms: h.latency_ms,
            samples_per_s: h.samples_per_s,
            requests: h.requests,
            errors: h.errors,
            last_error: h.last_error.map(|e| ErrorView { at_ms: e.at.millis(), text: e.text, remedy: e.remedy }),
            refused: h.refused,
            endpoint: h.endpoint,
            tags: h.tags,
            bridge: h.bridge.map(Into::into),
        })
        .collect();
    let clients = app
        .broker
        .clients()
        .into_iter()
        .map(|c| ClientView {
            client_id: c.client_id,
            user: c.user,
            address: c.address.map(|a| a.to_string()).unwrap_or_default(),
            protocol: c.protocol.to_owned(),
            connected: c.connected,
            since_ms: c.since.millis(),
            subscriptions: c.subscriptions,
            received: c.received,
            sent: c.sent,
            queued: c.queued,
            dropped: c.dropped,
        })
        .collect();
    Connectors { connectors, mqtt: MqttView { clients } }
}

/// Lists connectors and MQTT clients.
#[utoipa::path(get, path = "/api/connectors", responses((status = 200, body = Connectors), (status = 403, body = Problem)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<Connectors>, Problem> {
    caller.may(&app, Action::View, "")?;
    Ok(Json(state(&app)))
}

/// Which connector to test.
#[derive(Deserialize, ToSchema)]
pub struct Test {
    name: String,
}

/// How the test went.
#[derive(Serialize, ToSchema)]
pub struct TestResult {
    ok: bool,
    detail: String,
}

/// Connects to the device once and reads.
#[utoipa::path(post, path = "/api/connectors/test", request_body = Test, responses((status = 200, body = TestResult), (status = 403, body = Problem)))]
pub async fn test(State(app): State<App>, caller: Caller, Json(body): Json<Test>) -> Result<Json<TestResult>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    let report = app.connectors.test(&body.name).await;
    Ok(Json(TestResult { ok: report.ok, detail: report.detail }))
}

/// Which connector.
#[derive(Deserialize, IntoParams)]
pub struct Which {
    /// Its name.
    name: String,
}

/// A value that a connector has found by itself.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FoundView {
    /// Where it is, in the protocol's words: `group/edge node/device/metric` of Sparkplug.
    pub place: String,
    /// Its type, in the protocol's words.
    pub data_type: String,
    /// What a tag must be to take it; none: no tag can.
    pub tag_type: Option<String>,
    /// What becomes of it: `proposed` (the document takes it, or would with a place for it), `same` (another proposal takes it), `mapped` (a tag takes
    /// it), `refused`, `not understood`, `gone`.
    pub state: String,
    /// The path of the tag that takes it, or that the document would make.
    pub tag: Option<String>,
    /// Why it is as it is, where there is more to say.
    pub why: String,
    /// Whether its source calls it of no interest to a historian.
    pub transient: bool,
    /// The last value.
    #[schema(value_type = Object)]
    pub value: serde_json::Value,
    /// How far it can be trusted.
    pub quality: String,
    /// Of when it is.
    pub at_ms: i64,
}

/// One of several that a connector hears: of Sparkplug an edge node, or a device of it.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FoundNodeView {
    /// Its name in the protocol's words; a device has the name of its edge node.
    pub node: String,
    /// The device; none: the edge node itself.
    pub device: Option<String>,
    /// Whether it is there, as far as is known for sure.
    pub online: bool,
    /// Since when.
    pub since_ms: i64,
    /// How many metrics it has.
    pub metrics: usize,
    /// How often it was asked for a birth since the start.
    pub births_asked: u64,
    /// When something was last odd about it; none: never.
    pub trouble_at_ms: Option<i64>,
    /// What that was, in plain words.
    pub trouble: Option<String>,
}

/// What a connector has found by itself, first what no tag takes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct FoundList {
    /// Whom it hears, each edge node before its devices, first those of which something is not there; at most 1,000.
    pub nodes: Vec<FoundNodeView>,
    /// How many more there are.
    pub more_nodes: usize,
    /// At most 10,000.
    pub values: Vec<FoundView>,
    /// How many more there are.
    pub more: usize,
    /// A document that makes tags of what none takes, where the connector knows a place for them.
    pub document: Option<String>,
}

/// What a connector has found that could become tags.
#[utoipa::path(get, path = "/api/connectors/found", params(Which), responses((status = 200, body = FoundList), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn found(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
) -> Result<Json<FoundList>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    let found = app.connectors.found(&which.name).await;
    let found = found.ok_or_else(|| Problem::not_found("connector of this name that looks for values by itself"))?;
    let view = |value: andon_connectors::FoundValue| FoundView {
        place: value.place,
        data_type: value.data_type,
        tag_type: value.tag_type.map(|data_type| data_type.name().to_owned()),
        state: value.state.to_owned(),
        tag: value.tag,
        why: value.why,
        transient: value.transient,
        value: serde_json::to_value(&value.value).unwrap_or_default(),
        quality: value.quality.to_string(),
        at_ms: value.at.millis(),
    };
    let values = found.values.into_iter().map(view).collect();
    let node = |node: andon_connectors::FoundNode| FoundNodeView {
        node: node.node,
        device: node.device,
        online: node.online,
        since_ms: node.since.millis(),
        metrics: node.metrics,
        births_asked: node.births_asked,
        trouble_at_ms: node.trouble.as_ref().map(|(at, _)| at.millis()),
        trouble: node.trouble.map(|(_, text)| text),
    };
    let nodes = found.nodes.into_iter().map(node).collect();
    let (more_nodes, more, document) = (found.more_nodes, found.more, found.document);
    Ok(Json(FoundList { nodes, more_nodes, values, more, document }))
}
