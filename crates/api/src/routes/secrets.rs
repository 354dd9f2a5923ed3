//! Secrets that connectors need to log in elsewhere: set and removed here, named in documents, handed out nowhere.

use crate::App;
use crate::auth::Caller;
use crate::ports::{SecretError, SecretView};
use crate::problem::Problem;
use andon_model::access::Action;
use andon_model::event::{SystemNote, What};
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

impl From<SecretError> for Problem {
    fn from(error: SecretError) -> Self {
        match error {
            SecretError::Refused(words) => Self::bad_request(words),
            SecretError::Unknown => Self::not_found("this secret"),
            SecretError::Used(_) => Self::bad_request(error).remedy("change or remove the connector first"),
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
    Json(body): Json<SecretValue>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.secrets.check(&name, &body.value)?;
    let note = SystemNote { action: "secret_set".to_owned(), text: format!("The secret {name} is set.") };
    app.record(&caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    app.secrets.change(name, Some(body.value)).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Forgets a secret that no connector names.
#[utoipa::path(delete, path = "/api/secrets/{name}",
    responses((status = 204), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn remove(State(app): State<App>, caller: Caller, Path(name): Path<String>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.secrets.may_remove(&name)?;
    let note = SystemNote { action: "secret_removed".to_owned(), text: format!("The secret {name} is removed.") };
    app.record(&caller, "", None, What::System(note)).await.map_err(Problem::unavailable)?;
    app.secrets.change(name, None).await?;
    Ok(StatusCode::NO_CONTENT)
}
