//! Who is signed on where, attendance and work.
//!
//! Everybody sees himself; supervisors of a branch and administrators see each person there; all others see sums and how many.

use super::logbook::place;
use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::shift::{LabourAnswer, LabourSpanView, LabourSpans, PresentAnswer, SpanWish, SupervisorView};
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_model::text::check_line;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The longest window.
const LONGEST: Duration = Duration::from_secs(92 * 86_400);
/// The longest reason, in characters.
const REASON_LIMIT: usize = 200;

/// A sign-on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOn {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Where: a node with a machine at or below it.
    path: String,
    /// Who, where it is not who asks: for API tokens of terminals, and for supervisors.
    person: Option<Uuid>,
}

/// Signs somebody on at a place; a sign-on elsewhere ends with it.
#[utoipa::path(post, path = "/api/mes/labour/sign-on", request_body = SignedOn,
    responses((status = 201, body = LabourSpanView), (status = 200, body = LabourSpanView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn sign_on(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<SignedOn>,
) -> Result<(StatusCode, Json<LabourSpanView>), Problem> {
    place(&app, &caller, &wish.path)?;
    caller.may(&app, Action::Operate, &wish.path)?;
    let (made, span) = app.labour.sign_on(wish.path, wish.person, wish.key, caller.who.clone()).await?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(span)))
}

/// A sign-off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignedOff {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Who, where it is not who asks.
    person: Option<Uuid>,
}

/// Signs somebody off.
#[utoipa::path(post, path = "/api/mes/labour/sign-off", request_body = SignedOff,
    responses((status = 200, body = LabourSpanView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn sign_off(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<SignedOff>,
) -> Result<Json<LabourSpanView>, Problem> {
    Ok(Json(app.labour.sign_off(wish.person, wish.key, caller.who.clone()).await?))
}

/// Where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PresentQuery {
    /// The place.
    path: String,
}

/// Who is signed on at and below a place.
#[utoipa::path(get, path = "/api/mes/labour/now", params(PresentQuery), responses((status = 200, body = PresentAnswer), (status = 404, body = Problem)))]
pub async fn present(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PresentQuery>,
) -> Result<Json<PresentAnswer>, Problem> {
    place(&app, &caller, &query.path)?;
    Ok(Json(app.labour.present(query.path, caller.who.clone()).await?))
}

/// Where and when.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LabourQuery {
    /// The place.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it, at most 92 days later.
    to_ms: i64,
    /// Only this person; of sign-ons.
    person: Option<Uuid>,
}

impl LabourQuery {
    fn window(&self, app: &App, caller: &Caller) -> Result<(Timestamp, Timestamp), Problem> {
        place(app, caller, &self.path)?;
        asked::in_order(Some(self.from_ms), Some(self.to_ms))?;
        let (from, to) = (asked::time("from_ms", self.from_ms)?, asked::time("to_ms", self.to_ms)?);
        if to.since(from) > LONGEST {
            return Err(Problem::bad_request("the window is longer than 92 days").remedy("ask for less time"));
        }
        Ok((from, to))
    }
}

/// Attendance (APAT), work (APWT) and worker efficiency over a window, at every level and of every person one sees.
#[utoipa::path(get, path = "/api/mes/labour", params(LabourQuery),
    responses((status = 200, body = LabourAnswer), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn worked(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LabourQuery>,
) -> Result<Json<LabourAnswer>, Problem> {
    let window = query.window(&app, &caller)?;
    if query.person.is_some() {
        return Err(Problem::bad_request("\"person\" is for /api/mes/labour/spans").remedy("look into \"persons\""));
    }
    Ok(Json(app.labour.worked(query.path, window, caller.who.clone()).await?))
}

/// Sign-ons that touch a window, the newest first, at most 1,000: one's own, and of those one sees.
#[utoipa::path(get, path = "/api/mes/labour/spans", params(LabourQuery),
    responses((status = 200, body = LabourSpans), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn spans(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LabourQuery>,
) -> Result<Json<LabourSpans>, Problem> {
    let window = query.window(&app, &caller)?;
    Ok(Json(app.labour.spans(query.path, window, query.person, caller.who.clone()).await?))
}

/// What a supervisor says of a sign-on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectedSpan {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// When it began, in ms since 1970.
    from_ms: i64,
    /// When it ended; `null`: it lasts, as it did.
    to_ms: Option<i64>,
    /// Why, in one line of 1 to 200 characters.
    reason: String,
}

/// Puts a sign-on right. What stood there before is kept.
#[utoipa::path(post, path = "/api/mes/labour/spans/{number}/correct", params(("number" = u64, Path)), request_body = CorrectedSpan,
    responses((status = 200, body = LabourSpanView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn correct(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<u64>,
    Json(wish): Json<CorrectedSpan>,
) -> Result<Json<LabourSpanView>, Problem> {
    let reason = wish.reason.trim();
    if reason.is_empty() || reason.chars().count() > REASON_LIMIT {
        return Err(Problem::bad_request(format!("\"reason\" must be 1 to {REASON_LIMIT} characters")));
    }
    check_line(reason).map_err(|hidden| Problem::bad_request(format!("in \"reason\", {hidden}")))?;
    let wish = SpanWish {
        key: wish.key,
        from: asked::time("from_ms", wish.from_ms)?,
        to: wish.to_ms.map(|ms| asked::time("to_ms", ms)).transpose()?,
        reason: reason.to_owned(),
    };
    Ok(Json(app.labour.correct(number, wish, caller.who.clone()).await?))
}

/// Supervisors.
#[derive(Serialize, ToSchema)]
pub struct SupervisorsAnswer {
    supervisors: Vec<SupervisorView>,
}

/// Who sees each person of a branch.
#[utoipa::path(get, path = "/api/mes/labour/supervisors", responses((status = 200, body = SupervisorsAnswer), (status = 403, body = Problem)))]
pub async fn supervisors(State(app): State<App>, caller: Caller) -> Result<Json<SupervisorsAnswer>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    Ok(Json(SupervisorsAnswer { supervisors: app.labour.supervisors().await? }))
}

/// Of which branch.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BranchQuery {
    /// A node of the plant, with everything below it; the whole plant if missing.
    branch: Option<String>,
}

async fn supervise(app: App, caller: Caller, person: Uuid, query: BranchQuery, is_one: bool) -> Result<(), Problem> {
    caller.may(&app, Action::Administer, "")?;
    let branch = query.branch.unwrap_or_default();
    if is_one && !branch.is_empty() {
        place(&app, &caller, &branch)?;
    }
    Ok(app.labour.supervise(person, branch, is_one, caller.who.clone()).await?)
}

/// Makes a person a supervisor of a branch.
#[utoipa::path(put, path = "/api/mes/labour/supervisors/{person}", params(("person" = Uuid, Path), BranchQuery),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn make_supervisor(
    State(app): State<App>,
    caller: Caller,
    Path(person): Path<Uuid>,
    Query(query): Query<BranchQuery>,
) -> Result<StatusCode, Problem> {
    supervise(app, caller, person, query, true).await.map(|()| StatusCode::NO_CONTENT)
}

/// Takes that back.
#[utoipa::path(delete, path = "/api/mes/labour/supervisors/{person}", params(("person" = Uuid, Path), BranchQuery),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn remove_supervisor(
    State(app): State<App>,
    caller: Caller,
    Path(person): Path<Uuid>,
    Query(query): Query<BranchQuery>,
) -> Result<StatusCode, Problem> {
    supervise(app, caller, person, query, false).await.map(|()| StatusCode::NO_CONTENT)
}
