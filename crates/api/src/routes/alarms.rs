//! Alarms that are not normal, and their acknowledgement.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::views::json_value;
use andon_alarms::AlarmStatus;
use andon_model::access::Action;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// An alarm that is not normal.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct AlarmView {
    /// Its name in the plant model.
    pub name: String,
    /// This occurrence.
    pub occurrence: Uuid,
    /// `unacknowledged`, `acknowledged`, `returned_to_normal_unacknowledged`.
    #[schema(value_type = String)]
    pub state: andon_model::event::AlarmState,
    /// 1 critical, 2 high, 3 medium, 4 low.
    pub priority: u8,
    /// `high`, `low`, `state`, `silent`.
    pub condition: String,
    /// What the operator reads.
    pub message: String,
    /// What usually causes it.
    pub cause: String,
    /// What happens if nobody acts.
    pub consequence: String,
    /// What to do.
    pub action: String,
    /// Whose value.
    pub tag: String,
    /// The equipment above.
    pub equipment: String,
    /// The value that caused the last change.
    #[schema(value_type = Object)]
    pub value: serde_json::Value,
    /// Its StatusCode.
    pub quality: u32,
    /// The limit.
    pub limit: Option<f64>,
    /// When it was raised.
    pub raised_ms: i64,
    /// When it last changed.
    pub changed_ms: i64,
    /// Who acknowledged it.
    pub acknowledged_by: Option<String>,
}

fn view(app: &App, status: AlarmStatus) -> AlarmView {
    AlarmView {
        name: status.name,
        occurrence: status.occurrence,
        state: status.state,
        priority: status.priority,
        condition: status.condition.to_owned(),
        message: status.message,
        cause: status.cause,
        consequence: status.consequence,
        action: status.action,
        tag: status.tag.to_string(),
        equipment: status.equipment.to_string(),
        value: json_value(&status.value),
        quality: status.quality.0,
        limit: status.limit,
        raised_ms: status.raised_at.millis(),
        changed_ms: status.changed_at.millis(),
        acknowledged_by: status.acknowledged_by.and_then(|who| app.accounts.name_of(who.id)),
    }
}

/// Every alarm that is not normal and that the caller may see, the most urgent first.
#[must_use]
pub fn visible(app: &App, caller: &Caller) -> Vec<AlarmView> {
    use andon_model::event::AlarmState;
    let mut alarms: Vec<_> = app
        .alarms
        .list()
        .into_iter()
        .filter(|a| a.state != AlarmState::Normal && caller.sees(app, a.tag.as_str()))
        .map(|status| view(app, status))
        .collect();
    alarms.sort_by_key(|a| (a.state == AlarmState::Acknowledged, a.priority, std::cmp::Reverse(a.raised_ms)));
    alarms
}

/// All alarms that are not normal.
#[derive(Serialize, ToSchema)]
pub struct Alarms {
    alarms: Vec<AlarmView>,
}

/// Lists alarms that are not normal.
#[utoipa::path(get, path = "/api/alarms", responses((status = 200, body = Alarms)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Json<Alarms> {
    Json(Alarms { alarms: visible(&app, &caller) })
}

/// One occurrence to acknowledge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AckOne {
    name: String,
    occurrence: Uuid,
}

/// What to acknowledge.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ack {
    alarms: Vec<AckOne>,
    note: Option<String>,
}

/// What became of one of them.
#[derive(Serialize, ToSchema)]
pub struct AckResult {
    name: String,
    ok: bool,
    detail: Option<String>,
}

/// What became of all.
#[derive(Serialize, ToSchema)]
pub struct AckResults {
    results: Vec<AckResult>,
}

/// Acknowledges occurrences; each is durable before it is answered.
#[utoipa::path(post, path = "/api/alarms/ack", request_body = Ack, responses((status = 200, body = AckResults)))]
pub async fn acknowledge(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<Ack>,
) -> Result<Json<AckResults>, Problem> {
    if body.alarms.len() > 1000 {
        return Err(Problem::bad_request("more than 1000 alarms at once"));
    }
    asked::reason("note", body.note.as_deref())?;
    let mut results = Vec::with_capacity(body.alarms.len());
    for one in body.alarms {
        let detail = acknowledge_one(&app, &caller, &one, body.note.clone()).await.err();
        results.push(AckResult { name: one.name, ok: detail.is_none(), detail });
    }
    Ok(Json(AckResults { results }))
}

async fn acknowledge_one(app: &App, caller: &Caller, one: &AckOne, note: Option<String>) -> Result<(), String> {
    let plant = app.bus.plant();
    let tag = plant.plant.alarms.iter().find(|a| a.name == one.name).map(|a| a.tag.to_string());
    let tag = tag.filter(|t| caller.sees(app, t)).ok_or_else(|| "there is no such alarm".to_owned())?;
    caller.may(app, Action::Acknowledge, &tag).map_err(|p| p.detail.unwrap_or(p.title))?;
    app.alarms
        .acknowledge(&one.name, one.occurrence, caller.who.clone(), note)
        .await
        .map(|_| ())
        .map_err(|e| e.to_string())
}
