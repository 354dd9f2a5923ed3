//! Kept messages of topics: what topic rules with `keep` say is to be kept, page by page.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::routes::topics::{BY_PERSON, Sight};
use andon_broker::{HistoryQuery, Kept, Missing, Page, PayloadKind, time_asked};
use andon_model::Timestamp;
use andon_wire::mqtt::{Text, TopicFilter, TopicName};
use axum::Json;
use axum::extract::{Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use utoipa::ToSchema;

/// About how many bytes of payloads one answer holds.
const BYTES: usize = 4 << 20;
/// So many pages are looked at for one answer, where few of the messages may be seen.
const PAGES: usize = 16;

/// A kept message.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct KeptMessageView {
    /// Its number: `after` for what follows it.
    pub no: u64,
    /// The topic.
    pub topic: String,
    /// When it came.
    pub received_ms: i64,
    /// The client that published it; `null`: Andon itself, or a person.
    pub publisher: Option<String>,
    /// The user of that client, or the person.
    pub user: Option<String>,
    /// Its QoS.
    pub qos: u8,
    /// Its retain flag.
    pub retain: bool,
    /// Its content type.
    pub content_type: Option<String>,
    /// `empty`, `number`, `json`, `text`, `sparkplug`, `binary`.
    pub kind: String,
    /// The payload, where it is text.
    pub text: Option<String>,
    /// The payload in base64, where it is no text.
    pub base64: Option<String>,
    /// The publisher's user properties, in order.
    pub user_properties: Vec<(String, String)>,
}

/// Messages that are not there.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct MissingView {
    /// About up to then.
    pub until_ms: i64,
    /// How many, where that is known.
    pub messages: Option<u64>,
    /// Why.
    pub why: String,
}

/// Kept messages.
#[derive(Debug, Serialize, ToSchema)]
pub struct KeptView {
    /// In the order in which they came.
    pub messages: Vec<KeptMessageView>,
    /// What is not there among them, nothing of which is passed over in silence.
    pub missing: Vec<MissingView>,
    /// `after` for the next page; `null`: this is the last one.
    pub next: Option<u64>,
}

/// Which messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeptQuery {
    topic: Option<String>,
    filter: Option<String>,
    from: Option<String>,
    until: Option<String>,
    after: Option<u64>,
    limit: Option<usize>,
    last: Option<usize>,
}

fn time(app: &App, name: &str, given: Option<&str>, default: i64) -> Result<Timestamp, Problem> {
    let Some(given) = given else { return Ok(Timestamp::from_micros(default)) };
    time_asked(given, app.clock.now()).ok_or_else(|| {
        Problem::bad_request(format!("\"{name}\" is no time"))
            .remedy("write a time such as 2026-11-26T06:00:00Z, or how long ago, such as -1h")
    })
}

fn query_of(app: &App, asked: &KeptQuery) -> Result<HistoryQuery, Problem> {
    let filter = match (&asked.topic, &asked.filter) {
        (Some(topic), None) => {
            TopicName::parse(topic).map_err(|error| Problem::bad_request(format!("\"topic\": {error}")))?;
            topic
        }
        (None, Some(filter)) => filter,
        _ => return Err(Problem::bad_request("either \"topic\" or \"filter\" says which messages")),
    };
    let filter = TopicFilter::parse(filter).map_err(|error| Problem::bad_request(format!("\"filter\": {error}")))?;
    if filter.share_group().is_some() {
        return Err(Problem::bad_request("a shared subscription is no filter of topics"));
    }
    let (from, until) =
        (time(app, "from", asked.from.as_deref(), i64::MIN)?, time(app, "until", asked.until.as_deref(), i64::MAX)?);
    if from >= until {
        return Err(Problem::bad_request("\"from\" must be before \"until\""));
    }
    if asked.last.is_some() && (asked.after.is_some() || asked.limit.is_some()) {
        return Err(Problem::bad_request("\"last\" goes with neither \"after\" nor \"limit\""));
    }
    let limit = match asked.last {
        Some(last) => asked::within("last", Some(last), 100, 1..=1000)?,
        None => asked::within("limit", asked.limit, 100, 1..=1000)?,
    };
    Ok(HistoryQuery { filters: vec![filter], from, until, after: asked.after.unwrap_or(0), limit, bytes: BYTES })
}

/// Kept messages of topics, in the order in which they came. Who may see the whole node sees those of every topic, others those of
/// the topics whose messages become tags of theirs.
#[utoipa::path(get, path = "/api/mqtt/history",
    params(("topic" = Option<String>, Query), ("filter" = Option<String>, Query), ("from" = Option<String>, Query),
        ("until" = Option<String>, Query), ("after" = Option<u64>, Query), ("limit" = Option<usize>, Query),
        ("last" = Option<usize>, Query, description = "The last so many, instead of `after` and `limit`")),
    responses((status = 200, body = KeptView), (status = 400, body = Problem)))]
pub async fn kept_messages(
    State(app): State<App>,
    caller: Caller,
    Query(asked): Query<KeptQuery>,
) -> Result<Json<KeptView>, Problem> {
    let mut query = query_of(&app, &asked)?;
    if !app.broker.keeps_messages() {
        let why = "no topic rule says that messages are kept".to_owned();
        let missing = vec![MissingView { until_ms: app.clock.now().millis(), messages: None, why }];
        return Ok(Json(KeptView { messages: Vec::new(), missing, next: None }));
    }
    let sight = Sight::of(&app, &caller);
    let mut seen: HashMap<TopicName, bool> = HashMap::new();
    let mut view = KeptView { messages: Vec::new(), missing: Vec::new(), next: None };
    let wanted = query.limit;
    if let Some(last) = asked.last {
        query.after = app.broker.before_the_last(query.clone(), last).await.map_err(Problem::internal)?;
    }
    for _ in 0..PAGES {
        query.limit = wanted - view.messages.len();
        let Page { messages, missing, next, end, .. } =
            app.broker.history(query.clone()).await.map_err(Problem::internal)?;
        query.after = next;
        let bytes: usize = messages.iter().map(|kept| kept.message.payload.len()).sum();
        query.bytes = query.bytes.saturating_sub(bytes);
        // Who sees only some topics is told what is missing of what may be one of those.
        let catalogue = app.broker.catalogue();
        let told = |missing: &Missing| {
            sight.all || catalogue.any_under(&query.filters, &missing.topics, |topic| sight.sees(topic))
        };
        view.missing.extend(missing.into_iter().filter(told).map(MissingView::from));
        for Kept { no, message, .. } in messages {
            let sees = *seen.entry(message.topic.clone()).or_insert_with(|| sight.sees(message.topic.as_str()));
            if sees {
                view.messages.push(KeptMessageView::new(&app, no, &message));
            }
        }
        view.next = (!end).then_some(next);
        if end || view.messages.len() >= wanted || query.bytes == 0 {
            break;
        }
    }
    Ok(Json(view))
}

impl KeptMessageView {
    fn new(app: &App, no: u64, message: &andon_broker::Message) -> Self {
        let client = message.publisher.as_ref().map(Text::as_str).filter(|client| !client.starts_with(BY_PERSON));
        let kind = PayloadKind::of(message.topic.as_str(), &message.payload, true).word();
        let is_text = !matches!(kind, "binary" | "sparkplug");
        Self {
            no,
            topic: message.topic.as_str().to_owned(),
            received_ms: message.received.millis(),
            publisher: client.map(str::to_owned),
            user: message.user.as_ref().and_then(|who| app.accounts.name_of(who.id)),
            qos: message.qos as u8,
            retain: message.retain,
            content_type: message.content_type.as_ref().map(|text| text.as_str().to_owned()),
            kind: kind.to_owned(),
            text: is_text.then(|| String::from_utf8_lossy(&message.payload).into_owned()),
            base64: (!is_text).then(|| STANDARD.encode(&message.payload)),
            user_properties: message
                .user_properties
                .iter()
                .map(|(name, value)| (name.as_str().to_owned(), value.as_str().to_owned()))
                .collect(),
        }
    }
}

impl From<Missing> for MissingView {
    fn from(missing: Missing) -> Self {
        Self { until_ms: missing.until.millis(), messages: missing.messages, why: missing.why }
    }
}
