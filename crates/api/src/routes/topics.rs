//! What flows on the broker: topics level by level, the last message of one, and publishing by hand.
//!
//! Who may see the whole node sees every topic. Others see the topics whose messages become tags of theirs, and nothing else: what else
//! flows is not a matter of their branch.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_broker::{CatalogueFigures, LevelRow, Message, PublishError, Seen, TopicInfo};
use andon_model::access::Action;
use andon_model::event::{SystemNote, What};
use andon_model::text::shown;
use andon_wire::mqtt::{QoS, Text, TopicName};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// What stands before a person's id where a client identifier would stand: no client may have such a one.
pub(crate) const BY_PERSON: &str = "andon:";
/// How much of a payload stands in a list, in characters.
const PREVIEW: usize = 160;
/// The longest topic that is asked for, in bytes.
const TOPIC_BYTES: usize = 65_535;
/// The most user properties of a message.
const USER_PROPERTIES: usize = 32;

/// The last message of a topic, and how often one comes.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TopicView {
    /// The topic.
    pub topic: String,
    /// Messages since the start.
    pub count: u64,
    /// When the first of them came.
    pub first_ms: i64,
    /// When the last one came.
    pub received_ms: i64,
    /// Its QoS.
    pub qos: u8,
    /// Its retain flag.
    pub retain: bool,
    /// Whether a retained message is there for new subscribers.
    pub retained: bool,
    /// The client that published it; `null`: Andon itself, or a person.
    pub publisher: Option<String>,
    /// The user of that client, or the person.
    pub user: Option<String>,
    /// Its content type.
    pub content_type: Option<String>,
    /// The size of its payload, in bytes.
    pub size: usize,
    /// `empty`, `number`, `json`, `text`, `sparkplug`, `binary`.
    pub kind: String,
    /// The begin of its payload as one line; hexadecimal where it is no text. `null`: it was not kept.
    pub preview: Option<String>,
    /// Messages per second, decayed over a minute, or over the last eight or so where they are rarer; `null` before the second one.
    pub per_second: Option<f64>,
    /// Payload bytes per second, likewise.
    pub bytes_per_second: Option<f64>,
    /// How long it usually is from one message to the next.
    pub usual_interval_ms: Option<f64>,
    /// It should have come by now: since when it is silent.
    pub silent_since_ms: Option<i64>,
}

/// A name in a level of the tree.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct TopicRowView {
    /// The name in its level; may be empty.
    pub name: String,
    /// The topic as far as here: `under` for the level below it.
    pub path: String,
    /// Topics below it.
    pub below: usize,
    /// Those of it and below it that should have come by now.
    pub overdue: usize,
    /// Messages per second of it and all below it.
    pub per_second: f64,
    /// When the last message came to it or below it.
    pub received_ms: i64,
    /// Its own last message, if it is a topic.
    pub own: Option<TopicView>,
}

/// How much is listed, and what is not.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct CatalogueView {
    /// Topics listed.
    pub topics: usize,
    /// The most that are listed (`[limits] mqtt_topics_listed`).
    pub topics_most: usize,
    /// About how many bytes they take.
    pub bytes: usize,
    /// The most that they may take.
    pub bytes_most: usize,
    /// Messages on topics that found no room and are not listed.
    pub not_listed: u64,
    /// Messages of which the payload found no room and was not kept.
    pub left_out: u64,
    /// Topics forgotten to make room, all silent for a day or longer.
    pub forgotten: u64,
}

/// A level of the tree of topics, or a part of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicLevelView {
    /// By name.
    pub rows: Vec<TopicRowView>,
    /// How many the level has.
    pub total: usize,
    /// How much is listed; for those who see the whole node.
    pub catalogue: Option<CatalogueView>,
}

/// Topics found by a part of their name.
#[derive(Debug, Serialize, ToSchema)]
pub struct FoundTopicsView {
    /// By name.
    pub topics: Vec<TopicView>,
    /// How many there are.
    pub total: usize,
}

/// All about one topic.
#[derive(Debug, Serialize, ToSchema)]
pub struct TopicDetailView {
    /// Its last message.
    pub topic: TopicView,
    /// The payload as text, as much of it as was kept; `null` where it is no text or was not kept.
    pub text: Option<String>,
    /// The payload in base64 where it is no text, as much of it as was kept.
    pub base64: Option<String>,
    /// How many bytes of the payload are here; fewer than `topic.size`: the rest was cut off.
    pub kept: usize,
    /// The tags that its messages become, as far as the caller may see them.
    pub tags: Vec<String>,
    /// Further tags may stand in each message (line protocol).
    pub more_tags: bool,
    /// The tag that a message on it commands.
    pub commands: Option<String>,
}

/// What a caller sees of topics.
#[derive(Clone)]
pub(crate) struct Sight {
    app: App,
    caller: Caller,
    /// Every topic.
    pub(crate) all: bool,
}

impl Sight {
    /// Of this caller, now.
    pub(crate) fn of(app: &App, caller: &Caller) -> Self {
        let all = caller.may(app, Action::View, "").is_ok();
        Self { app: app.clone(), caller: caller.clone(), all }
    }

    /// Whether this topic may be seen.
    pub(crate) fn sees(&self, topic: &str) -> bool {
        if self.all {
            return true;
        }
        let tags = self.app.mqtt_rules.tags_of(topic);
        tags.all && !tags.tags.is_empty() && tags.tags.iter().all(|tag| self.caller.sees(&self.app, tag))
    }
}

/// Who published, as it is shown: the client, and its user or the person.
pub(crate) fn publisher(app: &App, publisher: Option<&Text>) -> (Option<String>, Option<String>) {
    let Some(client) = publisher.map(Text::as_str) else { return (None, None) };
    if let Some(id) = client.strip_prefix(BY_PERSON) {
        return (None, Uuid::parse_str(id).ok().and_then(|id| app.accounts.name_of(id)));
    }
    let user = app.broker.principal_of(client).and_then(|who| app.accounts.name_of(who.id));
    (Some(client.to_owned()), user)
}

/// The begin of a payload as one line.
fn preview(kind: &str, payload: &[u8]) -> String {
    if matches!(kind, "binary" | "sparkplug") {
        let begin = payload.get(..PREVIEW / 4).unwrap_or(payload);
        return begin.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
    }
    let begin = payload.get(..PREVIEW * 4).unwrap_or(payload);
    let text: String = String::from_utf8_lossy(begin).chars().take(PREVIEW).collect();
    shown(&text.split_whitespace().collect::<Vec<_>>().join(" ")).into_owned()
}

/// The begin of a payload as one line, by what its bytes are.
pub(crate) fn preview_of(payload: &[u8]) -> String {
    preview(andon_broker::PayloadKind::of("", payload, false).word(), payload)
}

impl TopicView {
    fn new(app: &App, info: &TopicInfo) -> Self {
        let (publisher, user) = publisher(app, info.publisher.as_ref());
        let kind = info.kind.word();
        let lost = info.payload.is_empty() && info.size > 0;
        Self {
            topic: info.topic.to_string(),
            count: info.count,
            first_ms: info.first.millis(),
            received_ms: info.received.millis(),
            qos: info.qos as u8,
            retain: info.retain,
            retained: info.retained,
            publisher,
            user,
            content_type: info.content_type.as_ref().map(|text| text.as_str().to_owned()),
            size: info.size,
            kind: kind.to_owned(),
            preview: (!lost).then(|| preview(kind, &info.payload)),
            per_second: info.per_second.map(|(messages, _)| messages),
            bytes_per_second: info.per_second.map(|(_, bytes)| bytes),
            usual_interval_ms: info.usual_interval.map(|interval| interval.as_secs_f64() * 1000.0),
            silent_since_ms: info.silent_since.map(andon_model::Timestamp::millis),
        }
    }

    /// The view of a topic that is listed.
    pub(crate) fn of(app: &App, topic: &str) -> Option<Self> {
        app.broker.catalogue().topic(topic, app.clock.now()).map(|info| Self::new(app, &info))
    }
}

impl TopicRowView {
    fn new(app: &App, under: Option<&str>, row: &LevelRow) -> Self {
        let name = row.name.to_string();
        Self {
            path: under.map_or_else(|| name.clone(), |under| format!("{under}/{name}")),
            name,
            below: row.below,
            overdue: row.overdue,
            per_second: row.per_second,
            received_ms: row.received.millis(),
            own: row.own.as_ref().map(|info| TopicView::new(app, info)),
        }
    }
}

impl From<CatalogueFigures> for CatalogueView {
    fn from(f: CatalogueFigures) -> Self {
        let CatalogueFigures { topics, topics_most, bytes, bytes_most, not_listed, left_out, forgotten } = f;
        Self { topics, topics_most, bytes, bytes_most, not_listed, left_out, forgotten }
    }
}

/// A message as somebody sees it who looks.
#[derive(Debug, Serialize)]
pub(crate) struct SeenView {
    topic: String,
    received_ms: i64,
    qos: u8,
    retain: bool,
    publisher: Option<String>,
    user: Option<String>,
    content_type: Option<String>,
    size: usize,
    kind: &'static str,
    preview: String,
}

impl SeenView {
    pub(crate) fn new(app: &App, seen: &Seen) -> Self {
        let (publisher, user) = publisher(app, seen.publisher.as_ref());
        let kind = andon_broker::PayloadKind::of(&seen.topic, &seen.payload, seen.payload.len() == seen.size).word();
        Self {
            topic: seen.topic.to_string(),
            received_ms: seen.received.millis(),
            qos: seen.qos as u8,
            retain: seen.retain,
            publisher,
            user,
            content_type: seen.content_type.as_ref().map(|text| text.as_str().to_owned()),
            size: seen.size,
            kind,
            preview: preview(kind, &seen.payload),
        }
    }
}

/// Which level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LevelQuery {
    under: Option<String>,
    skip: Option<usize>,
    limit: Option<usize>,
}

/// Lists topics level by level.
#[utoipa::path(get, path = "/api/mqtt/topics", params(
    ("under" = Option<String>, Query, description = "the `path` of a row: the level below it; the first level if missing"),
    ("skip" = Option<usize>, Query, description = "how many rows to leave out from the first on; 0 if missing"),
    ("limit" = Option<usize>, Query, description = "1 to 500; 200 if missing")),
    responses((status = 200, body = TopicLevelView), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn level(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LevelQuery>,
) -> Result<Json<TopicLevelView>, Problem> {
    let limit = asked::within("limit", query.limit, 200, 1..=500)?;
    let sight = Sight::of(&app, &caller);
    // A tree of many topics is walked; nobody else waits for that.
    let looked = tokio::task::spawn_blocking(move || {
        let sees = |topic: &str| sight.sees(topic);
        let rights: Option<&dyn Fn(&str) -> bool> = if sight.all { None } else { Some(&sees) };
        let (under, skip) = (query.under.as_deref(), query.skip.unwrap_or(0));
        let catalogue = app.broker.catalogue();
        let level = catalogue.level(under, skip, limit, app.clock.now(), rights);
        TopicLevelView {
            rows: level.rows.iter().map(|row| TopicRowView::new(&app, under, row)).collect(),
            total: level.total,
            catalogue: sight.all.then(|| catalogue.figures().into()),
        }
    });
    Ok(Json(looked.await.map_err(Problem::internal)?))
}

/// What to look for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchQuery {
    text: String,
    limit: Option<usize>,
}

/// Finds topics by a part of their name, in whatever case.
#[utoipa::path(get, path = "/api/mqtt/topics/search", params(
    ("text" = String, Query, description = "what the name holds"),
    ("limit" = Option<usize>, Query, description = "1 to 500; 100 if missing")),
    responses((status = 200, body = FoundTopicsView), (status = 400, body = Problem)))]
pub async fn search(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<SearchQuery>,
) -> Result<Json<FoundTopicsView>, Problem> {
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let sight = Sight::of(&app, &caller);
    let looked = tokio::task::spawn_blocking(move || {
        let sees = |topic: &str| sight.sees(topic);
        let rights: Option<&dyn Fn(&str) -> bool> = if sight.all { None } else { Some(&sees) };
        let (found, total) = app.broker.catalogue().search(&query.text, limit, app.clock.now(), rights);
        FoundTopicsView { topics: found.iter().map(|info| TopicView::new(&app, info)).collect(), total }
    });
    Ok(Json(looked.await.map_err(Problem::internal)?))
}

/// Which topic.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TopicQuery {
    topic: String,
}

fn known(app: &App, caller: &Caller, topic: &str) -> Result<TopicInfo, Problem> {
    let missing = || Problem::not_found("this topic").remedy("nothing was published there since the start");
    if !Sight::of(app, caller).sees(topic) {
        return Err(missing());
    }
    app.broker.catalogue().topic(topic, app.clock.now()).ok_or_else(missing)
}

/// All about one topic: its last message, the tags that it becomes.
#[utoipa::path(get, path = "/api/mqtt/topic", params(("topic" = String, Query)),
    responses((status = 200, body = TopicDetailView), (status = 404, body = Problem)))]
pub async fn topic(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TopicQuery>,
) -> Result<Json<TopicDetailView>, Problem> {
    let info = known(&app, &caller, &query.topic)?;
    let view = TopicView::new(&app, &info);
    let is_text = !matches!(view.kind.as_str(), "binary" | "sparkplug");
    let kept = view.preview.is_some();
    let tags = app.mqtt_rules.tags_of(&query.topic);
    Ok(Json(TopicDetailView {
        text: (kept && is_text).then(|| String::from_utf8_lossy(&info.payload).into_owned()),
        base64: (kept && !is_text).then(|| STANDARD.encode(&info.payload)),
        kept: info.payload.len(),
        tags: tags.tags.into_iter().filter(|tag| caller.sees(&app, tag)).collect(),
        more_tags: !tags.all,
        commands: app.mqtt_rules.command_for(&query.topic).filter(|tag| caller.sees(&app, tag)),
        topic: view,
    }))
}

/// The last payload of a topic as it came, without subscribing: for scripts.
#[utoipa::path(get, path = "/api/mqtt/value", params(("topic" = String, Query)),
    responses(
        (status = 200, description = "The payload. The header `x-andon-received-ms` says when it came", content_type = "application/octet-stream"),
        (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It is longer than what is kept of it")))]
pub async fn value(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TopicQuery>,
) -> Result<(HeaderMap, Vec<u8>), Problem> {
    let info = known(&app, &caller, &query.topic)?;
    if !info.is_whole() {
        return Err(Problem::new(StatusCode::CONFLICT, "not-whole", "the payload is not all here")
            .detail(format!("it has {} bytes, of which {} were kept", info.size, info.payload.len()))
            .remedy("subscribe to the topic"));
    }
    // Never as what the publisher calls it: a browser might run it.
    let kind = match info.kind.word() {
        "json" => "application/json",
        "binary" | "sparkplug" => "application/octet-stream",
        _ => "text/plain; charset=utf-8",
    };
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (HeaderName::from_static("x-andon-received-ms"), HeaderValue::from(info.received.millis())),
    ]);
    Ok((headers, info.payload))
}

/// A message to be published.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMessage {
    /// Where to.
    topic: String,
    /// The payload as text; this or `base64`, none for an empty one.
    text: Option<String>,
    /// The payload in base64.
    base64: Option<String>,
    /// 0, 1 or 2; 0 if missing.
    qos: Option<u8>,
    /// Whether it is kept for new subscribers.
    #[serde(default)]
    retain: bool,
    /// Its content type.
    content_type: Option<String>,
    /// When it is of no more use, in seconds.
    expiry_s: Option<u32>,
    /// Where an answer is awaited.
    response_topic: Option<String>,
    /// What the answer is to carry, as text.
    correlation_data: Option<String>,
    /// User properties, in order.
    #[serde(default)]
    user_properties: Vec<(String, String)>,
}

/// What became of it.
#[derive(Debug, Serialize, ToSchema)]
pub struct PublishedView {
    /// How many sessions with a matching subscription it reached.
    reached: usize,
    /// Whether it was on disk when this was said: QoS 1 and 2, and retained.
    durable: bool,
}

impl NewMessage {
    fn payload(&self) -> Result<Vec<u8>, Problem> {
        match (&self.text, &self.base64) {
            (Some(_), Some(_)) => Err(Problem::bad_request("send \"text\" or \"base64\", not both")),
            (_, Some(coded)) => {
                STANDARD.decode(coded).map_err(|error| Problem::bad_request(format!("\"base64\": {error}")))
            }
            (text, None) => Ok(text.clone().unwrap_or_default().into_bytes()),
        }
    }

    fn message(&self, caller: &Caller, now: andon_model::Timestamp) -> Result<Message, Problem> {
        let text = |name: &str, given: &str| {
            Text::parse(given).map_err(|error| Problem::bad_request(format!("\"{name}\": {error}")))
        };
        let topic = |name: &str, given: &str| {
            TopicName::parse(given).map_err(|error| Problem::bad_request(format!("\"{name}\": {error}")))
        };
        let qos =
            QoS::from_bits(self.qos.unwrap_or(0)).ok_or_else(|| Problem::bad_request("\"qos\" must be 0, 1 or 2"))?;
        if self.user_properties.len() > USER_PROPERTIES {
            return Err(Problem::bad_request(format!("more than {USER_PROPERTIES} user properties")));
        }
        let payload = self.payload()?;
        let mut message = Message::internal(topic("topic", &self.topic)?, payload.into(), qos, self.retain, now);
        message.publisher = Some(text("publisher", &format!("{BY_PERSON}{}", caller.who.id))?);
        message.user = Some(caller.who.clone());
        message.expires = self.expiry_s.map(|s| now.plus(Duration::from_secs(u64::from(s))));
        message.payload_format = self.text.is_some().then_some(true);
        message.content_type = self.content_type.as_deref().map(|t| text("content_type", t)).transpose()?;
        message.response_topic = self.response_topic.as_deref().map(|t| topic("response_topic", t)).transpose()?;
        message.correlation_data = self.correlation_data.clone().map(|data| data.into_bytes().into());
        for (name, value) in &self.user_properties {
            message.user_properties.push((text("user_properties", name)?, text("user_properties", value)?));
        }
        Ok(message)
    }
}

/// Publishes a message, after it was recorded who did. Needs the right to configure the whole node. A topic that commands a tag is
/// refused: a command goes through `/api/commands`.
#[utoipa::path(post, path = "/api/mqtt/publish", request_body = NewMessage,
    responses((status = 200, body = PublishedView), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 409, body = Problem, description = "The topic commands a tag"), (status = 503, body = Problem)))]
pub async fn publish(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<NewMessage>,
) -> Result<Json<PublishedView>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    let message = wish.message(&caller, app.clock.now())?;
    if message.topic.is_server_owned() {
        return Err(Problem::bad_request("what begins with $ is the server's"));
    }
    let no = |error| not_published(&app, error);
    let admitted = app.broker.admit_message(message.clone()).map_err(no)?;
    if let Some(words) = admitted.breach() {
        // Whoever publishes by hand is there to mend it.
        return Err(not_published(&app, PublishError::Rule(words.to_owned())));
    }
    let about = if message.payload.is_empty() && message.retain {
        "the retained message removed".to_owned()
    } else {
        let kept = if message.retain { ", retained" } else { "" };
        format!("{} bytes published with QoS {}{kept}", message.payload.len(), message.qos as u8)
    };
    let topic: String = wish.topic.chars().take(200).collect();
    let text = format!("MQTT, by hand: {about} on \"{}\"", shown(&topic));
    let note = SystemNote { action: "mqtt_published".to_owned(), text };
    app.record(&caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    let durable = message.retain || message.qos != QoS::AtMostOnce;
    let reached = app.broker.publish_admitted(admitted).await.map_err(no)?;
    Ok(Json(PublishedView { reached, durable }))
}

pub(crate) fn not_published(app: &App, error: PublishError) -> Problem {
    match error {
        PublishError::Command(topic) => {
            let what = app.mqtt_rules.commanded(&topic).unwrap_or_else(|| "what listens there".to_owned());
            Problem::new(StatusCode::CONFLICT, "command-topic", "this topic commands a tag")
                .detail(format!("a message there writes {what}"))
                .remedy("write the tag instead: then its limits hold and the outcome is known")
        }
        PublishError::Topic(_) | PublishError::TooLarge { .. } | PublishError::Levels { .. } => {
            Problem::bad_request(error)
        }
        PublishError::Rule(words) => {
            Problem::new(StatusCode::CONFLICT, "topic-rule", "the rule of this topic refuses it")
                .detail(words)
                .remedy("mend the message, or change the topic rule in the plant model")
        }
        PublishError::RetainedFull(_) => {
            Problem::new(StatusCode::CONFLICT, "full", "no room").detail(error).remedy("publish it without \"retain\"")
        }
        PublishError::Log(_) | PublishError::Stopping => Problem::unavailable(error),
    }
}

/// Whether a topic can be followed at all.
pub(crate) fn is_askable(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= TOPIC_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preview_is_one_line_that_shows_all_of_itself() {
        assert_eq!(preview("json", b"{\n  \"a\": 1\n}"), "{ \"a\": 1 }");
        assert_eq!(preview("binary", &[0, 255, 16]), "00 ff 10");
        assert_eq!(preview("binary", &[1; 1000]).len(), 40 * 3 - 1);
        assert_eq!(preview("text", "é".repeat(5000).as_bytes()).chars().count(), PREVIEW);
        let turned = preview("text", "a\u{202e}b".as_bytes());
        assert!(!turned.contains('\u{202e}'), "{turned}");
    }
}
