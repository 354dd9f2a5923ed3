//! Topic rules for people: how they stand, who breaks them, and what is in quarantine.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::TopicRuleView;
use crate::problem::Problem;
use crate::routes::topics::{BY_PERSON, not_published, preview_of, publisher};
use andon_broker::{Message, Withheld};
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_model::event::{SystemNote, What};
use andon_model::text::{counted, shown};
use andon_wire::mqtt::Text;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use utoipa::ToSchema;

/// The topic rules, and how they stand.
#[derive(Debug, Serialize, ToSchema)]
pub struct ViolationsView {
    /// By name.
    pub rules: Vec<TopicRuleView>,
    /// Messages in quarantine.
    pub in_quarantine: usize,
    /// Messages that had to leave the quarantine for others since the start.
    pub pushed_out: u64,
}

/// A message in quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub struct WithheldView {
    /// Its number.
    pub number: u64,
    /// How many there are of its rule and its publisher, this one included.
    pub alike: usize,
    /// The rule that it breaks.
    pub rule: String,
    /// How.
    pub words: String,
    /// Where it was published to.
    pub topic: String,
    /// The client that published it.
    pub client: Option<String>,
    /// Its user.
    pub user: Option<String>,
    /// When it came.
    pub received_ms: i64,
    /// Its QoS.
    pub qos: u8,
    /// Whether it was to be retained.
    pub retain: bool,
    /// When the message came that is retained on its topic and newer; a release would put this one in its place. `null`: there is none,
    /// or this one is not to be retained.
    pub newer_retained_ms: Option<i64>,
    /// The begin of its payload as one line; hexadecimal where it is no text.
    pub preview: String,
    /// The size of its payload, in bytes.
    pub size: usize,
}

/// What is in quarantine.
#[derive(Debug, Serialize, ToSchema)]
pub struct QuarantineView {
    /// The newest first.
    pub messages: Vec<WithheldView>,
    /// How many there are of what was asked for.
    pub total: usize,
}

/// Which messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QuarantineQuery {
    rule: Option<String>,
    limit: Option<usize>,
}

/// The topic rules in force, how many messages came under each and broke it, and who did. Needs the right to see the whole node.
#[utoipa::path(get, path = "/api/mqtt/violations",
    responses((status = 200, body = ViolationsView), (status = 403, body = Problem)))]
pub async fn violations(State(app): State<App>, caller: Caller) -> Result<Json<ViolationsView>, Problem> {
    caller.may(&app, Action::View, "")?;
    let (kept, pushed_out) = app.broker.quarantine();
    Ok(Json(ViolationsView { rules: app.mqtt_rules.topic_rules(), in_quarantine: kept.len(), pushed_out }))
}

/// The messages in quarantine. Needs the right to see the whole node.
#[utoipa::path(get, path = "/api/mqtt/quarantine", params(
    ("rule" = Option<String>, Query, description = "of this rule; of all if missing"),
    ("limit" = Option<usize>, Query, description = "1 to 1,000; 100 if missing")),
    responses((status = 200, body = QuarantineView), (status = 400, body = Problem), (status = 403, body = Problem)))]
pub async fn quarantine(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<QuarantineQuery>,
) -> Result<Json<QuarantineView>, Problem> {
    caller.may(&app, Action::View, "")?;
    let limit = asked::within("limit", query.limit, 100, 1..=1000)?;
    let (mut kept, _) = app.broker.quarantine();
    kept.retain(|(_, withheld)| query.rule.as_deref().is_none_or(|rule| withheld.rule.as_str() == rule));
    let mut shares: HashMap<_, usize> = HashMap::new();
    for (_, withheld) in &kept {
        *shares.entry((withheld.rule.as_str(), withheld.publisher())).or_default() += 1;
    }
    let alike = |one: &Withheld| shares.get(&(one.rule.as_str(), one.publisher())).copied().unwrap_or(1);
    let newest = kept.iter().rev().take(limit);
    let messages = newest.map(|(number, withheld)| WithheldView::new(&app, *number, withheld, alike(withheld)));
    Ok(Json(QuarantineView { messages: messages.collect(), total: kept.len() }))
}

impl WithheldView {
    fn new(app: &App, number: u64, withheld: &Withheld, alike: usize) -> Self {
        let message = &withheld.message;
        let (client, now) = publisher(app, message.publisher.as_ref());
        Self {
            number,
            alike,
            rule: withheld.rule.as_str().to_owned(),
            words: withheld.words.as_str().to_owned(),
            topic: message.topic.as_str().to_owned(),
            client,
            user: app.accounts.name_of(withheld.by).or(now),
            received_ms: message.received.millis(),
            qos: message.qos as u8,
            retain: message.retain,
            newer_retained_ms: newer_retained(app, message).map(Timestamp::millis),
            preview: preview_of(&message.payload),
            size: message.payload.len(),
        }
    }
}

/// When the message came that would be retained no more, were this older one released.
fn newer_retained(app: &App, message: &Message) -> Option<Timestamp> {
    let there = app.broker.retained_on(&message.topic).filter(|_| message.retain)?;
    Some(there.received).filter(|came| *came > message.received)
}

/// Which message.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Its number.
    number: u64,
    /// Why, for the timeline.
    reason: Option<String>,
}

/// A message was released.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReleasedView {
    /// How many sessions with a matching subscription it reached.
    reached: usize,
}

/// Publishes a message that is in quarantine, as one of now and of the person, whatever its rule says; recorded before. Needs the right to
/// configure the whole node. Of two people who release the same message the second gets 404, and it is published once.
#[utoipa::path(post, path = "/api/mqtt/quarantine/release", request_body = Decision,
    responses((status = 200, body = ReleasedView), (status = 403, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem, description = "It cannot be published"), (status = 503, body = Problem)))]
pub async fn release(
    State(app): State<App>,
    caller: Caller,
    Json(decision): Json<Decision>,
) -> Result<Json<ReleasedView>, Problem> {
    let by = Text::parse(&format!("{BY_PERSON}{}", caller.who.id)).map_err(Problem::unavailable)?;
    let about = decided(&app, &caller, &decision, "released from quarantine").await?;
    let released = app.broker.release(decision.number, by, caller.who.clone()).await;
    match released.map_err(|error| not_published(&app, error)).and_then(|reached| reached.ok_or_else(missing)) {
        Ok(reached) => Ok(Json(ReleasedView { reached })),
        Err(problem) => not_decided(&app, &caller, &about, "released", problem).await,
    }
}

/// Throws away a message that is in quarantine; recorded before. Needs the right to configure the whole node.
#[utoipa::path(post, path = "/api/mqtt/quarantine/discard", request_body = Decision,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn discard(
    State(app): State<App>,
    caller: Caller,
    Json(decision): Json<Decision>,
) -> Result<StatusCode, Problem> {
    let about = decided(&app, &caller, &decision, "thrown away from quarantine").await?;
    match app.broker.let_go(decision.number).await {
        Ok(true) => Ok(StatusCode::NO_CONTENT),
        Ok(false) => not_decided(&app, &caller, &about, "thrown away", missing()).await,
        Err(error) => not_decided(&app, &caller, &about, "thrown away", not_published(&app, error)).await,
    }
}

/// Which messages: of a rule, or of the rule and the publisher of one of them.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DecisionOnAll {
    /// All that break this rule; this or `like`.
    rule: Option<String>,
    /// All of the publisher of the message with this number that break the same rule.
    like: Option<u64>,
    /// The number of the newest message that is meant: what came after it stays.
    up_to: u64,
    /// Why, for the timeline.
    reason: Option<String>,
}

/// Messages were thrown away.
#[derive(Debug, Serialize, ToSchema)]
pub struct DiscardedView {
    /// How many.
    discarded: usize,
}

/// Throws away all messages of a rule, or of one publisher, that are in quarantine: at most as many as it holds, 1,000. Recorded once
/// before, with how many they are; and if others have decided on some of them meanwhile, once more with how many it came to. Needs the
/// right to configure the whole node.
#[utoipa::path(post, path = "/api/mqtt/quarantine/discard-all", request_body = DecisionOnAll,
    responses((status = 200, body = DiscardedView), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem, description = "None is there"), (status = 503, body = Problem)))]
pub async fn discard_all(
    State(app): State<App>,
    caller: Caller,
    Json(decision): Json<DecisionOnAll>,
) -> Result<Json<DiscardedView>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    asked::reason("reason", decision.reason.as_deref())?;
    let (kept, _) = app.broker.quarantine();
    let like = decision.like.and_then(|like| kept.iter().find(|(number, _)| *number == like));
    let (rule, whose) = match (&decision.rule, decision.like) {
        (Some(rule), None) => (rule.as_str(), None),
        (None, Some(_)) => like.map(|(_, one)| (one.rule.as_str(), Some(one.publisher()))).ok_or_else(missing)?,
        _ => return Err(Problem::bad_request("name either \"rule\" or \"like\"")),
    };
    let meant = |(number, one): &&(u64, Arc<Withheld>)| {
        *number <= decision.up_to && one.rule.as_str() == rule && whose.is_none_or(|whose| one.publisher() == whose)
    };
    let numbers: Vec<u64> = kept.iter().filter(meant).map(|(number, _)| *number).collect();
    if numbers.is_empty() {
        return Err(Problem::not_found("a message in quarantine that is meant"));
    }
    // By its clients, for the name of its user stays out of events. One user may have many, and so has whoever comes without a credential.
    let clients: HashSet<_> = kept.iter().filter(meant).map(|(_, one)| one.message.publisher.as_ref()).collect();
    let of = match like.map(|(_, one)| one.message.publisher.as_ref()) {
        None => String::new(),
        Some(Some(client)) if clients.len() == 1 => format!(" of the client \"{}\"", shown(client.as_str())),
        Some(Some(client)) => {
            let others = counted(clients.len() as u64 - 1, "other client", "other clients");
            format!(" of the client \"{}\" and {others} of the same credential", shown(client.as_str()))
        }
        Some(None) => " of one publisher".to_owned(),
    };
    let about = format!(
        "{}{of} under the topic rule \"{}\"",
        counted(numbers.len() as u64, "message", "messages"),
        shown(rule)
    );
    let text = format!("MQTT: {about}, thrown away from quarantine{}", why(decision.reason.as_deref()));
    // In a task of its own, which ends when all of it is recorded: a browser that is closed meanwhile must not leave half of that.
    let deciding = async move {
        note(&app, &caller, text).await?;
        match app.broker.let_go_all(&numbers).await {
            Ok(discarded) if discarded == numbers.len() => Ok(discarded),
            Ok(discarded) => {
                let text =
                    format!("MQTT: {about}: {discarded} of them were still there to be thrown away by this person");
                note(&app, &caller, text).await.map(|()| discarded)
            }
            Err(error) => not_decided(&app, &caller, &about, "all thrown away", not_published(&app, error)).await,
        }
    };
    let discarded = tokio::spawn(deciding).await.map_err(Problem::internal)??;
    Ok(Json(DiscardedView { discarded }))
}

async fn note(app: &App, caller: &Caller, text: String) -> Result<(), Problem> {
    let note = SystemNote { action: "mqtt_quarantine".to_owned(), text };
    app.record(caller, "", None, What::System(note)).await.map(|_| ()).map_err(Problem::unavailable)
}

/// A person's reason, behind what was done.
fn why(reason: Option<&str>) -> String {
    let why = reason.map(str::trim).filter(|why| !why.is_empty());
    why.map(|why| format!(": {why}")).unwrap_or_default()
}

fn missing() -> Problem {
    Problem::not_found("this message in quarantine")
}

/// Records that what was recorded did not come about by this person, and says so.
async fn not_decided<T>(
    app: &App,
    caller: &Caller,
    about: &str,
    outcome: &str,
    problem: Problem,
) -> Result<T, Problem> {
    let why = problem.detail.as_deref().unwrap_or(&problem.title);
    let text = format!("MQTT: {about}, was not {outcome} by this person after all: {why}");
    note(app, caller, text).await?;
    Err(problem)
}

/// Records who decides on a message; which message that is, in words.
async fn decided(app: &App, caller: &Caller, decision: &Decision, outcome: &str) -> Result<String, Problem> {
    caller.may(app, Action::Configure, "")?;
    asked::reason("reason", decision.reason.as_deref())?;
    let withheld = app.broker.withheld(decision.number).ok_or_else(missing)?;
    let topic: String = withheld.message.topic.as_str().chars().take(200).collect();
    let (bytes, rule) = (withheld.message.payload.len(), withheld.rule.as_str());
    let why = why(decision.reason.as_deref());
    let about = format!("{bytes} bytes on \"{}\", which break the topic rule \"{rule}\"", shown(&topic));
    let text = format!("MQTT: {about}, {outcome}{why}");
    note(app, caller, text).await?;
    Ok(about)
}
