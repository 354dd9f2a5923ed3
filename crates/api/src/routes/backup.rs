//! For `andon backup`: the state of one moment is held in files of the node's machine while they are copied.
//!
//! Nothing is copied here, and no path is taken from the caller: the tool reads the files itself, as the user that owns them.

use crate::App;
use crate::auth::Caller;
use crate::ports::{BackupDone, HeldState, HoldError};
use crate::problem::Problem;
use andon_model::access::Action;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What is to be held.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BackupWish {
    /// Also the keys of certificates that were made here.
    #[serde(default)]
    keys: bool,
}

/// A state is going to be held.
#[derive(Debug, Serialize, ToSchema)]
pub struct BackupBegun {
    /// Names it in later requests.
    id: Uuid,
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        match error {
            HoldError::TooMany(_) => Self::unavailable(error),
            HoldError::Gone => {
                Self::not_found("this backup").remedy("run `andon backup` again; it goes on where it was")
            }
            HoldError::Failed(words) => Self::unavailable(words),
        }
    }
}

/// Holds the state of now for a backup, until it is finished, given up, or not asked for during two minutes.
#[utoipa::path(post, path = "/api/backups", request_body = BackupWish,
    responses((status = 202, body = BackupBegun), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub async fn begin(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<BackupWish>,
) -> Result<(StatusCode, Json<BackupBegun>), Problem> {
    caller.may(&app, Action::Administer, "")?;
    let id = app.backups.begin(wish.keys)?;
    Ok((StatusCode::ACCEPTED, Json(BackupBegun { id })))
}

/// What is held: 202 while that is not settled yet. Holds it for another two minutes.
#[utoipa::path(get, path = "/api/backups/{id}", responses((status = 200, body = HeldState), (status = 202), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn state(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    caller.may(&app, Action::Administer, "")?;
    Ok(match app.backups.state(id)? {
        Some(held) => Json(held).into_response(),
        None => StatusCode::ACCEPTED.into_response(),
    })
}

/// Holds it for another two minutes.
#[utoipa::path(post, path = "/api/backups/{id}/keep", responses((status = 204), (status = 404, body = Problem)))]
pub async fn keep(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.backups.keep(id)?;
    Ok(StatusCode::NO_CONTENT)
}

/// The backup is made: this is recorded, and the state no longer held.
#[utoipa::path(post, path = "/api/backups/{id}/finish", request_body = BackupDone,
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn finish(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(done): Json<BackupDone>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let is_name =
        |name: &str| (1..=64).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_name(&done.name) {
        return Err(Problem::bad_request("\"name\" is the name of a backup: letters, digits and hyphens, at most 64"));
    }
    app.backups.finish(id, caller.who, done).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The state is no longer held.
#[utoipa::path(delete, path = "/api/backups/{id}", responses((status = 204)))]
pub async fn give_up(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.backups.give_up(id).await;
    Ok(StatusCode::NO_CONTENT)
}
