//! Secrets that connectors need to log in elsewhere: set and removed here, named in documents, handed out nowhere.

use crate::App;
use crate::auth::Caller;
use crate::ports::{SecretError, SecretView};
use crate::problem::Problem;
use andon_model::access::Action;
use andon_model::event::{SystemNote, What};
use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Refused(words) => Self::bad_request(words),
            SecretError::Unknown => Self::not_found("this secret"),
            SecretError::Used(_) => Self::bad_request(error).remedy("take it out there first"),
            SecretError::Failed(words) => Self::unavailable(words),
        }
    }
}

/// All secrets by name.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecretList {
    secrets: Vec<SecretView>,
}

/// What a secret is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SecretValue {
    /// 1 to 65,536 bytes.
    value: String,
}

/// Why a body is not taken. Not in the framework's words: they may quote it.
fn not_a_value(refused: &JsonRejection) -> Problem {
    Problem::new(refused.status(), "refused", "the body is not taken")
        .detail("it must be JSON with the value alone, a text of 1 to 65,536 bytes: {\"value\": \"…\"}")
}

/// Changes what was recorded to change; where that fails, this is recorded, too.
async fn changed(app: &App, caller: &Caller, name: String, value: Option<String>) -> Result<StatusCode, Problem> {
    let Err(error) = app.secrets.change(name.clone(), value).await else { return Ok(StatusCode::NO_CONTENT) };
    let text = format!("The secret {name} is as before: {error}.");
    let note = SystemNote { action: "secret_not_changed".to_owned(), text };
    app.record(caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    Err(error.into())
}

/// Lists the names of all secrets.
#[utoipa::path(get, path = "/api/secrets", responses((status = 200, body = SecretList), (status = 403, body = Problem)))]
pub async fn list(State(app): State<App>, caller: Caller) -> Result<Json<SecretList>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    Ok(Json(SecretList { secrets: app.secrets.names() }))
}

/// Keeps a secret under this name. Recorded without its value; connectors that name it take it up at once.
#[utoipa::path(put, path = "/api/secrets/{name}", request_body = SecretValue,
    responses((status = 204), (status = 400, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub async fn set(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    body: Result<Json<SecretValue>, JsonRejection>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let Json(body) = body.map_err(|refused| not_a_value(&refused))?;
    app.secrets.check(&name, &body.value)?;
    let note = SystemNote { action: "secret_set".to_owned(), text: format!("The secret {name} is set.") };
    app.record(&caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    changed(&app, &caller, name, Some(body.value)).await
}

/// Forgets a secret that nothing names.
#[utoipa::path(delete, path = "/api/secrets/{name}",
    responses((status = 204), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn remove(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.secrets.may_remove(&name)?;
    let note = SystemNote { action: "secret_removed".to_owned(), text: format!("The secret {name} is removed.") };
    app.record(&caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    changed(&app, &caller, name, None).await
}
