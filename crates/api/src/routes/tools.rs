//! Tools and moulds: where they are mounted, what of their life is used, and which units they made.
//!
//! Whoever views the machine that a tool is mounted on sees it; unmounted, whoever views one of the machines that it may be mounted on. What
//! one does not see does not exist.

use super::logbook::place;
use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::NotDone;
use crate::ports::tools::{ToolDetail, ToolFilter, ToolUnitsPage, ToolView, ToolWish, ToolsPage};
use crate::problem::Problem;
use andon_model::access::Action;
use andon_model::text::check_line;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What a tool is in.
const STATES: [&str; 4] = ["ok", "warn", "end", "no_life"];
/// The longest reason, in characters.
const REASON_LIMIT: usize = 200;
/// The longest name of a tool that is looked for, in bytes.
const NAME_LIMIT: usize = 255;
/// The most cycles, and the longest run time in ms, that a life has used besides.
const CYCLES_LIMIT: f64 = 1e12;
const RUN_TIME_LIMIT: i64 = 3_650 * 86_400_000;

/// Where a tool is, or may be; empty: anywhere.
fn places(tool: &ToolView) -> Vec<&str> {
    let may_be = || tool.machines.iter().map(String::as_str).collect();
    tool.machine.as_deref().map_or_else(may_be, |machine| vec![machine])
}

/// A tool that the caller sees.
async fn seen(app: &App, caller: &Caller, name: &str) -> Result<ToolDetail, Problem> {
    let not_there = || Problem::not_found("this tool").remedy("write the name of a [[tool]], such as M-17");
    if name.len() > NAME_LIMIT {
        return Err(not_there());
    }
    let detail = app.tools.tool(name.to_owned()).await.map_err(|problem| match problem {
        NotDone::Unknown(_) => not_there(),
        other => other.into(),
    })?;
    let places = places(&detail.tool);
    let sees = match places.is_empty() {
        true => !caller.branches(app, Action::View).is_empty(),
        false => places.iter().any(|path| caller.sees(app, path)),
    };
    if sees { Ok(detail) } else { Err(not_there()) }
}

/// That the caller may do something where the tool is, or at one of the places where it may be.
fn may(app: &App, caller: &Caller, action: Action, tool: &ToolView) -> Result<(), Problem> {
    let places = places(tool);
    let anywhere = places.is_empty() && !caller.branches(app, action).is_empty();
    if anywhere || places.iter().any(|path| caller.may(app, action, path).is_ok()) {
        return Ok(());
    }
    caller.may(app, action, places.first().copied().unwrap_or_default())
}

/// As the caller sees it: without mountings at machines that one does not see, and with the names of people.
fn shown(app: &App, caller: &Caller, mut detail: ToolDetail) -> ToolDetail {
    let sees = |machine: &str| caller.sees(app, machine);
    detail.spans.retain(|span| sees(&span.machine));
    detail.changes.retain(|change| change.machine.as_deref().is_none_or(sees));
    for span in &mut detail.spans {
        span.by_name = app.accounts.name_of(span.by);
        for correction in &mut span.corrections {
            correction.by_name = app.accounts.name_of(correction.by);
        }
    }
    for renewal in &mut detail.renewals_done {
        renewal.by_name = app.accounts.name_of(renewal.by);
    }
    for change in &mut detail.changes {
        change.by_name = app.accounts.name_of(change.by);
    }
    detail
}

/// A reason of one line; `needed`: there has to be one.
fn reason(text: Option<String>, needed: bool) -> Result<String, Problem> {
    let text = text.unwrap_or_default();
    let text = text.trim();
    if text.chars().count() > REASON_LIMIT || (needed && text.is_empty()) {
        return Err(Problem::bad_request(format!("\"reason\" must be 1 to {REASON_LIMIT} characters")));
    }
    check_line(text).map_err(|hidden| Problem::bad_request(format!("in \"reason\", {hidden}")))?;
    Ok(text.to_owned())
}

/// Which tools.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ToolsQuery {
    /// Mounted at or below this place.
    machine: Option<String>,
    /// `ok`, `warn`, `end`, `no_life`, with commas between them.
    state: Option<String>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Tools by name, with what of their lives is used. A page may be short and still have a `next`.
#[utoipa::path(get, path = "/api/mes/tools", params(ToolsQuery),
    responses((status = 200, body = ToolsPage), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ToolsQuery>,
) -> Result<Json<ToolsPage>, Problem> {
    if let Some(path) = &query.machine {
        place(&app, &caller, path)?;
    }
    let filter = ToolFilter {
        branches: caller.branches(&app, Action::View),
        machine: query.machine,
        states: asked::words("state", query.state.as_deref(), &STATES)?,
        after: query.after.unwrap_or_default(),
        limit: asked::within("limit", query.limit, 100, 1..=500)?,
    };
    Ok(Json(app.tools.list(filter).await?))
}

/// A tool with its mountings, its renewals and what people did with it.
#[utoipa::path(get, path = "/api/mes/tools/{name}", params(("name" = String, Path)),
    responses((status = 200, body = ToolDetail), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> Result<Json<ToolDetail>, Problem> {
    let detail = seen(&app, &caller, &name).await?;
    Ok(Json(shown(&app, &caller, detail)))
}

/// Does it, and answers the tool; whether it was done now.
async fn act(
    app: &App,
    caller: &Caller,
    name: String,
    wish: ToolWish,
    reason: String,
    key: Uuid,
) -> Result<(bool, Json<ToolDetail>), Problem> {
    let (now, detail) = app.tools.act(name, wish, reason, key, caller.who.clone()).await?;
    Ok((now, Json(shown(app, caller, detail))))
}

/// A tool that is mounted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MountedTool {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// On which machine.
    machine: String,
    /// From when, in ms since 1970; now if missing.
    at_ms: Option<i64>,
    /// Until when, of a mounting that is over.
    until_ms: Option<i64>,
    /// Why, in one line of at most 200 characters.
    reason: Option<String>,
}

/// Mounts a tool on a machine. Where it is already, nothing changes.
#[utoipa::path(post, path = "/api/mes/tools/{name}/mount", params(("name" = String, Path)), request_body = MountedTool,
    responses((status = 201, body = ToolDetail), (status = 200, body = ToolDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn mount(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(wish): Json<MountedTool>,
) -> Result<(StatusCode, Json<ToolDetail>), Problem> {
    let reason = reason(wish.reason, false)?;
    let at = wish.at_ms.map(|ms| asked::time("at_ms", ms)).transpose()?;
    let until = wish.until_ms.map(|ms| asked::time("until_ms", ms)).transpose()?;
    if until.is_some() && at.is_none() {
        return Err(
            Problem::bad_request("\"until_ms\" needs \"at_ms\"").remedy("say from when until when it was there")
        );
    }
    seen(&app, &caller, &name).await?;
    place(&app, &caller, &wish.machine)?;
    caller.may(&app, Action::Operate, &wish.machine)?;
    let mount = ToolWish::Mount { machine: wish.machine, at, until };
    let (now, detail) = act(&app, &caller, name, mount, reason, wish.key).await?;
    Ok((if now { StatusCode::CREATED } else { StatusCode::OK }, detail))
}

/// A tool that is taken off.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnmountedTool {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// From which machine.
    machine: String,
    /// When, in ms since 1970; now if missing.
    at_ms: Option<i64>,
    /// Why, in one line of at most 200 characters.
    reason: Option<String>,
}

/// Takes a tool off the machine it is mounted on. If somebody has mounted it elsewhere meanwhile, it stays there.
#[utoipa::path(post, path = "/api/mes/tools/{name}/unmount", params(("name" = String, Path)), request_body = UnmountedTool,
    responses((status = 200, body = ToolDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn unmount(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(wish): Json<UnmountedTool>,
) -> Result<Json<ToolDetail>, Problem> {
    let reason = reason(wish.reason, false)?;
    let at = wish.at_ms.map(|ms| asked::time("at_ms", ms)).transpose()?;
    seen(&app, &caller, &name).await?;
    place(&app, &caller, &wish.machine)?;
    caller.may(&app, Action::Operate, &wish.machine)?;
    let unmount = ToolWish::Unmount { machine: wish.machine, at };
    Ok(act(&app, &caller, name, unmount, reason, wish.key).await?.1)
}

/// What somebody says of a mounting.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CorrectedMounting {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// When it began, in ms since 1970.
    from_ms: i64,
    /// When it ended; `null`: it lasts, as it did.
    to_ms: Option<i64>,
    /// Why, in one line of 1 to 200 characters.
    reason: String,
}

/// Puts a mounting right. What stood there before is kept.
#[utoipa::path(post, path = "/api/mes/tools/{name}/spans/{number}/correct", params(("name" = String, Path), ("number" = u64, Path)), request_body = CorrectedMounting,
    responses((status = 200, body = ToolDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn correct(
    State(app): State<App>,
    caller: Caller,
    Path((name, number)): Path<(String, u64)>,
    Json(wish): Json<CorrectedMounting>,
) -> Result<Json<ToolDetail>, Problem> {
    let reason = reason(Some(wish.reason), true)?;
    let from = asked::time("from_ms", wish.from_ms)?;
    let to = wish.to_ms.map(|ms| asked::time("to_ms", ms)).transpose()?;
    seen(&app, &caller, &name).await?;
    let not_there = || Problem::not_found("this mounting");
    let machine = app.tools.mounting(name.clone(), number).await.map_err(|problem| match problem {
        NotDone::Unknown(_) => not_there(),
        other => other.into(),
    })?;
    if !caller.sees(&app, &machine) {
        return Err(not_there());
    }
    caller.may(&app, Action::Configure, &machine)?;
    Ok(act(&app, &caller, name, ToolWish::Correct { span: number, from, to }, reason, wish.key).await?.1)
}

/// A tool that is renewed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RenewedTool {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// What was done, in one line of 1 to 200 characters.
    reason: String,
}

/// Says that a tool is as new: from now on nothing of its life is used.
#[utoipa::path(post, path = "/api/mes/tools/{name}/renew", params(("name" = String, Path)), request_body = RenewedTool,
    responses((status = 200, body = ToolDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn renew(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(wish): Json<RenewedTool>,
) -> Result<Json<ToolDetail>, Problem> {
    let reason = reason(Some(wish.reason), true)?;
    let detail = seen(&app, &caller, &name).await?;
    may(&app, &caller, Action::Configure, &detail.tool)?;
    Ok(act(&app, &caller, name, ToolWish::Renew, reason, wish.key).await?.1)
}

/// What a life had used that is not counted here.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsedBesides {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Cycles; as was said before if missing.
    cycles: Option<f64>,
    /// Time of production, in ms; as was said before if missing.
    run_time_ms: Option<i64>,
    /// Where this is known from, in one line of 1 to 200 characters.
    reason: String,
}

/// Says what the present life of a tool had used that is not counted here: before, or elsewhere. What is said last holds.
#[utoipa::path(post, path = "/api/mes/tools/{name}/used", params(("name" = String, Path)), request_body = UsedBesides,
    responses((status = 200, body = ToolDetail), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn used(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(wish): Json<UsedBesides>,
) -> Result<Json<ToolDetail>, Problem> {
    let reason = reason(Some(wish.reason), true)?;
    if wish.cycles.is_none() && wish.run_time_ms.is_none() {
        return Err(Problem::bad_request("nothing is said to be used").remedy("send \"cycles\" or \"run_time_ms\""));
    }
    asked::within("cycles", wish.cycles, 0.0, 0.0..=CYCLES_LIMIT)?;
    asked::within("run_time_ms", wish.run_time_ms, 0, 0..=RUN_TIME_LIMIT)?;
    let detail = seen(&app, &caller, &name).await?;
    may(&app, &caller, Action::Configure, &detail.tool)?;
    let besides = ToolWish::Used { cycles: wish.cycles, run_time_ms: wish.run_time_ms };
    Ok(act(&app, &caller, name, besides, reason, wish.key).await?.1)
}

/// Which page.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ToolUnitsQuery {
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Serial units that passed a machine while the tool was mounted there, the newest first: at machines that one sees.
#[utoipa::path(get, path = "/api/mes/tools/{name}/units", params(("name" = String, Path), ToolUnitsQuery),
    responses((status = 200, body = ToolUnitsPage), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn units(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<ToolUnitsQuery>,
) -> Result<Json<ToolUnitsPage>, Problem> {
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    seen(&app, &caller, &name).await?;
    Ok(Json(app.tools.units(name, caller.branches(&app, Action::View), query.after, limit).await?))
}
