//! Writing a tag: one door for people and programs.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::views::json_value;
use andon_model::Value;
use andon_model::command::{CommandReport, CommandRequest};
use andon_model::event::Step;
use axum::Json;
use axum::extract::State;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::ToSchema;
use uuid::Uuid;

/// A wish to write a tag.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCommand {
    /// The tag's path.
    tag: String,
    /// The wanted value.
    #[schema(value_type = Object)]
    value: serde_json::Value,
    /// Why; some tags require it.
    reason: Option<String>,
    /// How long the command may live before it is sent, in ms.
    life_ms: Option<u64>,
    /// The caller's own id of this wish: the same key is carried out once.
    key: Option<Uuid>,
}

/// How a command ended.
#[derive(Serialize, ToSchema)]
pub struct Outcome {
    /// The command.
    id: Uuid,
    /// `confirmed`, `failed`, `expired`, `unknown` or `refused`.
    outcome: &'static str,
    /// What the device says it holds now.
    #[schema(value_type = Object)]
    read_back: Option<serde_json::Value>,
    /// Why, in plain words.
    detail: Option<String>,
}

impl std::convert::From<CommandReport> for Outcome {
    fn from(report: CommandReport) -> Self {
        Self {
            id: report.id,
            outcome: match report.outcome {
                Step::Confirmed => "confirmed",
                Step::Failed => "failed",
                Step::Expired => "expired",
                Step::Refused => "refused",
                Step::Unknown | Step::Intent => "unknown",
            },
            read_back: report.read_back.map(|sample| json_value(&sample.value)),
            detail: report.detail,
        }
    }
}

/// Carries out a command; answers when its outcome is durable.
#[utoipa::path(post, path = "/api/commands", request_body = NewCommand, responses((status = 200, body = Outcome), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn submit(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<NewCommand>,
) -> Result<Json<Outcome>, Problem> {
    let known = app.bus.plant().id_of(&body.tag).filter(|_| caller.sees(&app, &body.tag));
    let tag = known.ok_or_else(|| Problem::not_found(&body.tag))?;
    let value: Value = serde_json::from_value(body.value)
        .map_err(|_| Problem::bad_request("\"value\" must be a boolean, a number or a text"))?;
    asked::reason("reason", body.reason.as_deref())?;
    if body.life_ms == Some(0) {
        return Err(Problem::bad_request("\"life_ms\" is 0: such a command would have expired before it is sent"));
    }
    let request = CommandRequest {
        id: body.key.unwrap_or_else(|| andon_bus::ids::new_id(&*app.clock)),
        tag,
        value,
        via: caller.via(),
        by: caller.who,
        reason: body.reason.filter(|r| !r.trim().is_empty()),
        life: body.life_ms.map(Duration::from_millis),
    };
    Ok(Json(app.door.submit(request).await.into()))
}
