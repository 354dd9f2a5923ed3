//! The broker's clients for people: who is there, how it goes, why somebody went, who subscribes to what, and who may.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::{MqttWish, VerdictView};
use crate::problem::Problem;
use andon_broker::{ClientInfo, Departure, SubscriptionInfo};
use andon_model::access::{Action, Principal, PrincipalKind};
use andon_model::event::{SystemNote, What};
use andon_model::text::shown;
use andon_wire::mqtt::RetainHandling;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// A client of the broker.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MqttClientView {
    /// Its identifier.
    pub client_id: String,
    /// The user name it gave.
    pub user: Option<String>,
    /// `device` or `anonymous`; `null`: not known, it has not been connected since the start.
    pub kind: Option<String>,
    /// Where it connects from, or did.
    pub address: Option<String>,
    /// `3.1`, `3.1.1`, `5.0`.
    pub protocol: String,
    /// Whether it is connected.
    pub connected: bool,
    /// Since when it is so.
    pub since_ms: i64,
    /// The keep alive in force, in seconds; 0: none. `null` while it is away.
    pub keep_alive_s: Option<u16>,
    /// How long its session outlives its connection, in seconds; `null`: for ever.
    pub expiry_s: Option<u32>,
    /// Its subscriptions.
    pub subscriptions: usize,
    /// Packets from it on this connection.
    pub received: u64,
    /// Messages to it on this connection.
    pub sent: u64,
    /// Packets from it per second, since somebody looked last; `null` where nobody did within a minute.
    pub received_per_s: Option<f64>,
    /// Messages to it per second, likewise.
    pub sent_per_s: Option<f64>,
    /// Messages of QoS 1 and 2 sent to it and not yet answered.
    pub in_flight: usize,
    /// The most of these.
    pub window: usize,
    /// Messages waiting for it or under way.
    pub queued: usize,
    /// Messages dropped for it.
    pub dropped: u64,
    /// Whether a will is published when its connection breaks.
    pub will: bool,
    /// How its last connection ended, if it is away.
    pub left: Option<DepartureView>,
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct DepartureView {
    /// The client.
    pub client_id: String,
    /// Its user.
    pub user: Option<String>,
    /// From where.
    pub address: String,
    /// When.
    pub at_ms: i64,
    /// Who ended it: `client`, `server`, or `lost`.
    pub by: String,
    /// In plain words.
    pub reason: String,
}

/// A subscription.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct SubscriptionView {
    /// Whose.
    pub client_id: String,
    /// The user of that client.
    pub user: Option<String>,
    /// Whether that client is connected.
    pub connected: bool,
    /// The topic filter, with `$share/<group>/` if it is a shared one.
    pub filter: String,
    /// The highest QoS.
    pub qos: u8,
    /// Not what the client itself published.
    pub no_local: bool,
    /// With the retain flag as published.
    pub retain_as_published: bool,
    /// Which retained messages it wanted: `send`, `if_new`, `none`.
    pub retained: String,
    /// Its identifier.
    pub id: Option<u32>,
    /// It is told where each message comes from.
    pub origin: bool,
    /// What of its messages it is sent: `all`, `latest`, `every=1s`, `deadband=0.5`.
    pub deliver: String,
    /// How many were left out for that, since the start or since the subscription was made.
    pub left_out: u64,
}

/// Clients, by identifier.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientsView {
    /// At most as many as asked for.
    pub clients: Vec<MqttClientView>,
    /// How many there are.
    pub total: usize,
    /// How many of these are connected.
    pub connected: usize,
    /// Send it as `after` for the next ones.
    pub next: Option<String>,
}

/// One client with its subscriptions and the last ends of its connections.
#[derive(Debug, Serialize, ToSchema)]
pub struct ClientDetailView {
    /// The client.
    pub client: MqttClientView,
    /// Its subscriptions, by filter.
    pub subscriptions: Vec<SubscriptionView>,
    /// The last ends of its connections since the start, the newest first.
    pub departures: Vec<DepartureView>,
}

/// Ends of connections, the newest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct DeparturesView {
    departures: Vec<DepartureView>,
}

/// Subscriptions, by client and filter.
#[derive(Debug, Serialize, ToSchema)]
pub struct SubscriptionsView {
    /// At most as many as asked for.
    pub subscriptions: Vec<SubscriptionView>,
    /// How many there are.
    pub total: usize,
}

fn user_of(app: &App, who: &Principal) -> Option<String> {
    app.accounts.name_of(who.id)
}

impl DepartureView {
    fn new(app: &App, end: &Departure) -> Self {
        Self {
            client_id: end.client_id.to_string(),
            user: user_of(app, &end.principal),
            address: end.address.to_string(),
            at_ms: end.at.millis(),
            by: end.reason.by().to_owned(),
            reason: shown(&end.reason.to_string()).into_owned(),
        }
    }
}

impl MqttClientView {
    /// `left`: how its last connection ended, as far as that is remembered.
    fn new(app: &App, c: ClientInfo, left: Option<&Departure>) -> Self {
        let left = left.filter(|_| !c.connected);
        let kind = c.principal.as_ref().map(|who| match who.kind {
            PrincipalKind::Anonymous => "anonymous".to_owned(),
            _ => "device".to_owned(),
        });
        Self {
            client_id: c.client_id,
            user: c.user,
            kind,
            address: c.address.map(|address| address.to_string()),
            protocol: c.protocol.to_owned(),
            connected: c.connected,
            since_ms: c.since.millis(),
            keep_alive_s: c.keep_alive_s,
            expiry_s: (c.expiry_s != u32::MAX).then_some(c.expiry_s),
            subscriptions: c.subscriptions,
            received: c.received,
            sent: c.sent,
            received_per_s: c.per_second.map(|(received, _)| received),
            sent_per_s: c.per_second.map(|(_, sent)| sent),
            in_flight: c.in_flight,
            window: c.window,
            queued: c.queued,
            dropped: c.dropped,
            will: c.will,
            left: left.map(|end| DepartureView::new(app, end)),
        }
    }
}

impl SubscriptionView {
    fn new(s: SubscriptionInfo, user: Option<String>) -> Self {
        let retained = match s.retain_handling {
            RetainHandling::Send => "send",
            RetainHandling::SendIfNew => "if_new",
            RetainHandling::DoNotSend => "none",
        };
        Self {
            client_id: s.client_id,
            user,
            connected: s.connected,
            filter: s.filter,
            qos: s.qos as u8,
            no_local: s.no_local,
            retain_as_published: s.retain_as_published,
            retained: retained.to_owned(),
            id: (s.id != 0).then_some(s.id),
            origin: s.ask.origin,
            deliver: s.ask.deliver.to_string(),
            left_out: s.left_out,
        }
    }
}

/// Which clients.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientsQuery {
    text: Option<String>,
    state: Option<String>,
    after: Option<String>,
    limit: Option<usize>,
}

/// Lists the broker's clients. Needs the right to see the whole node.
#[utoipa::path(get, path = "/api/mqtt/clients", params(
    ("text" = Option<String>, Query, description = "what identifier, user or address hold, in whatever case"),
    ("state" = Option<String>, Query, description = "`connected` or `away`; both if missing"),
    ("after" = Option<String>, Query, description = "the `next` of the clients before"),
    ("limit" = Option<usize>, Query, description = "1 to 10,000; 1,000 if missing")),
    responses((status = 200, body = ClientsView), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn clients(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ClientsQuery>,
) -> Result<Json<ClientsView>, Problem> {
    caller.may(&app, Action::View, "")?;
    let limit = asked::within("limit", query.limit, 1000, 1..=10_000)?;
    let state = asked::words("state", query.state.as_deref(), &["connected", "away"])?;
    let text = query.text.unwrap_or_default().to_lowercase();
    let holds = |c: &ClientInfo| {
        let address = c.address.map(|address| address.to_string());
        let texts = [Some(c.client_id.as_str()), c.user.as_deref(), address.as_deref()];
        texts.into_iter().flatten().any(|own| own.to_lowercase().contains(&text))
    };
    let wanted = |c: &ClientInfo| {
        let word = if c.connected { "connected" } else { "away" };
        (state.is_empty() || state.iter().any(|s| s == word)) && (text.is_empty() || holds(c))
    };
    // All sessions are looked through; nobody else waits for that.
    let broker = app.broker.clone();
    let all = tokio::task::spawn_blocking(move || broker.clients()).await.map_err(Problem::internal)?;
    let found: Vec<_> = all.into_iter().filter(wanted).collect();
    let (total, connected) = (found.len(), found.iter().filter(|c| c.connected).count());
    let later = |c: &ClientInfo| query.after.as_ref().is_none_or(|after| c.client_id > *after);
    let mut rest = found.into_iter().filter(later);
    let ends = app.broker.departures(None, usize::MAX);
    // The newest stands first, and stays.
    let mut last: HashMap<&str, &Departure> = HashMap::with_capacity(ends.len());
    for end in &ends {
        last.entry(&end.client_id).or_insert(end);
    }
    let view = |c: ClientInfo| {
        let left = last.get(c.client_id.as_str()).copied();
        MqttClientView::new(&app, c, left)
    };
    let clients: Vec<_> = rest.by_ref().take(limit).map(view).collect();
    let next = rest.next().and_then(|_| clients.last()).map(|c| c.client_id.clone());
    Ok(Json(ClientsView { clients, total, connected, next }))
}

/// Which client.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientQuery {
    client: String,
}

/// One client, its subscriptions, and how its connections ended. Needs the right to see the whole node.
#[utoipa::path(get, path = "/api/mqtt/client", params(("client" = String, Query)),
    responses((status = 200, body = ClientDetailView), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn client(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ClientQuery>,
) -> Result<Json<ClientDetailView>, Problem> {
    caller.may(&app, Action::View, "")?;
    let found = app.broker.client(&query.client);
    let client = found.ok_or_else(|| Problem::not_found("this MQTT client"))?;
    let subscriptions = app.broker.subscriptions_of(&query.client).unwrap_or_default();
    let departures = app.broker.departures(Some(&query.client), 20);
    Ok(Json(ClientDetailView {
        subscriptions: subscriptions.into_iter().map(|s| SubscriptionView::new(s, client.user.clone())).collect(),
        client: MqttClientView::new(&app, client, departures.first()),
        departures: departures.iter().map(|end| DepartureView::new(&app, end)).collect(),
    }))
}

/// Which ends.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeparturesQuery {
    client: Option<String>,
    limit: Option<usize>,
}

/// The last connections that ended, and why: 1,000 are remembered since the start. Needs the right to see the whole node.
#[utoipa::path(get, path = "/api/mqtt/departures", params(
    ("client" = Option<String>, Query, description = "of this client; of all if missing"),
    ("limit" = Option<usize>, Query, description = "1 to 1,000; 100 if missing")),
    responses((status = 200, body = DeparturesView), (status = 403, body = Problem)))]
pub async fn departures(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DeparturesQuery>,
) -> Result<Json<DeparturesView>, Problem> {
    caller.may(&app, Action::View, "")?;
    let limit = asked::within("limit", query.limit, 100, 1..=1000)?;
    let ends = app.broker.departures(query.client.as_deref(), limit);
    Ok(Json(DeparturesView { departures: ends.iter().map(|end| DepartureView::new(&app, end)).collect() }))
}

/// Which subscriptions.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SubscriptionsQuery {
    topic: Option<String>,
    text: Option<String>,
    after_client: Option<String>,
    after_filter: Option<String>,
    limit: Option<usize>,
}

/// Lists subscriptions: all, or those under which a topic falls. Needs the right to see the whole node.
#[utoipa::path(get, path = "/api/mqtt/subscriptions", params(
    ("topic" = Option<String>, Query, description = "only those that a message on this topic matches"),
    ("text" = Option<String>, Query, description = "only those whose client or filter holds this"),
    ("after_client" = Option<String>, Query, description = "client of the last subscription of the page before"),
    ("after_filter" = Option<String>, Query, description = "filter of the last subscription of the page before"),
    ("limit" = Option<usize>, Query, description = "1 to 1,000; 200 if missing")),
    responses((status = 200, body = SubscriptionsView), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn subscriptions(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<SubscriptionsQuery>,
) -> Result<Json<SubscriptionsView>, Problem> {
    caller.may(&app, Action::View, "")?;
    let limit = asked::within("limit", query.limit, 200, 1..=1000)?;
    // Many sessions are looked through; nobody else waits for that.
    let looked = tokio::task::spawn_blocking(move || {
        let (found, total) = match &query.topic {
            Some(topic) => app.broker.subscribers_of(topic, limit),
            None => {
                let after =
                    query.after_client.as_deref().map(|c| (c, query.after_filter.as_deref().unwrap_or_default()));
                app.broker.subscriptions(query.text.as_deref().unwrap_or_default(), after, limit)
            }
        };
        let mut users: HashMap<String, Option<String>> = HashMap::new();
        let view = |s: SubscriptionInfo| {
            let found = || app.broker.principal_of(&s.client_id).and_then(|who| user_of(&app, &who));
            let user = users.entry(s.client_id.clone()).or_insert_with(found).clone();
            SubscriptionView::new(s, user)
        };
        SubscriptionsView { subscriptions: found.into_iter().map(view).collect(), total }
    });
    Ok(Json(looked.await.map_err(Problem::internal)?))
}

/// Whose connection to end.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Disconnect {
    client_id: String,
    /// Why: stands in the timeline.
    reason: Option<String>,
}

/// Ends the connection of a client, after it was recorded who did. It may come again at once: to keep it out, take its credential away.
/// Needs the right to configure the whole node.
#[utoipa::path(post, path = "/api/mqtt/disconnect", request_body = Disconnect,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn disconnect(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<Disconnect>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Configure, "")?;
    asked::reason("reason", wish.reason.as_deref())?;
    let missing = || Problem::not_found("a connected MQTT client of this identifier");
    if app.broker.client(&wish.client_id).is_none_or(|client| !client.connected) {
        return Err(missing());
    }
    let why = wish.reason.as_deref().map(str::trim).filter(|why| !why.is_empty());
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    let text = format!("The connection of the MQTT client \"{}\" was ended by hand{why}", shown(&wish.client_id));
    let note = SystemNote { action: "mqtt_disconnected".to_owned(), text };
    app.record(&caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    if app.broker.disconnect_client(&wish.client_id) { Ok(StatusCode::NO_CONTENT) } else { Err(missing()) }
}

/// Who wants what.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PermissionQuestion {
    /// The MQTT user of a device; this or `client`, or none for a client without credentials.
    user: Option<String>,
    /// The identifier of a client that is connected, or was since the start.
    client: Option<String>,
    /// What it wants.
    wish: MqttWish,
    /// The topic, or the topic filter of a subscription.
    topic: String,
}

/// Who was asked about, and the answer.
#[derive(Debug, Serialize, ToSchema)]
pub struct PermissionView {
    /// The user; `null`: a client without credentials.
    pub user: Option<String>,
    /// The client whose subscriptions were looked at.
    pub client: Option<String>,
    /// The answer.
    pub verdict: VerdictView,
}

/// Whether a client may publish, subscribe or would receive, and why, without trying it. Needs the right to configure the whole node.
#[utoipa::path(post, path = "/api/mqtt/permission", request_body = PermissionQuestion,
    responses((status = 200, body = PermissionView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn permission(
    State(app): State<App>,
    caller: Caller,
    Json(asked): Json<PermissionQuestion>,
) -> Result<Json<PermissionView>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    let who = match (&asked.user, &asked.client) {
        (Some(user), _) => {
            let device = app.accounts.devices().into_iter().find(|device| device.user == *user);
            let device = device.ok_or_else(|| Problem::not_found("an MQTT device of this user name"))?;
            Principal { id: device.id, kind: PrincipalKind::Device }
        }
        (None, Some(client)) => app.broker.principal_of(client).ok_or_else(|| {
            Problem::not_found("this MQTT client").remedy("it has not been connected since the start: name its user")
        })?,
        (None, None) => Principal::ANONYMOUS,
    };
    let user = user_of(&app, &who);
    // Of a device the one client that is it; of several none in particular.
    let client = asked.client.clone().or_else(|| app.broker.only_client_of(&who));
    let verdict = app.mqtt_rules.explain(&who, client.as_deref(), asked.wish, &asked.topic);
    Ok(Json(PermissionView { user, client, verdict }))
}
