//! Vessels in which lots mix: what is in them, what comes in, what is drawn, what is put right.
//!
//! A vessel is equipment: whoever may view it sees what is in it, and whoever operates it fills and draws.

use super::stock::{place, quantity};
use super::trace::{NUMBER_LIMIT, PLACE_LIMIT, date, line};
use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::vessel::{
    DrawWish, EmptyWish, FillWish, IntoWish, LevelWish, VesselContentView, VesselQuery, VesselsView,
};
use crate::problem::Problem;
use andon_model::access::Action;
use andon_model::path::is_under;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// That the caller sees the vessel, and may do something with it.
fn may(app: &App, caller: &Caller, action: Action, path: &str) -> Result<(), Problem> {
    if path.len() > PLACE_LIMIT || !caller.sees(app, path) {
        return Err(Problem::not_found("this vessel"));
    }
    caller.may(app, action, path)
}

/// Which vessels.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct VesselsQuery {
    /// At or below this path.
    path: Option<String>,
}

/// The vessels that the caller sees, and how full they are.
#[utoipa::path(get, path = "/api/mes/vessels", params(VesselsQuery),
    responses((status = 200, body = VesselsView), (status = 400, body = Problem), (status = 503, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<VesselsQuery>,
) -> Result<Json<VesselsView>, Problem> {
    let branch = query.path.unwrap_or_default();
    let mut all = app.vessels.all().await?;
    all.vessels.retain(|vessel| is_under(&vessel.path, &branch) && caller.sees(&app, &vessel.path));
    Ok(Json(all))
}

/// Of when, and which flows.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ContentQuery {
    /// What was in it then, in ms since 1970; what is in it now if missing.
    at_ms: Option<i64>,
    /// How many flows, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    before: Option<i64>,
}

/// What is in a vessel, or was, and what flowed until then. The slashes of the path are written `%2F`.
#[utoipa::path(get, path = "/api/mes/vessels/{path}", params(("path" = String, Path), ContentQuery),
    responses((status = 200, body = VesselContentView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn content(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    Query(query): Query<ContentQuery>,
) -> Result<Json<VesselContentView>, Problem> {
    may(&app, &caller, Action::View, &path)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let at = date(query.at_ms)?;
    Ok(Json(app.vessels.vessel(VesselQuery { path, at, before: query.before, limit }).await?))
}

/// A lot that is filled in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Filled {
    /// Stands for this one fill: sent again with it, nothing happens a second time.
    key: Uuid,
    /// The lot.
    item: Uuid,
    /// How much.
    quantity: f64,
    /// From where; from outside if missing.
    from: Option<String>,
    /// When, in ms since 1970; now if missing. What was drawn since then is named with it, without a quantity.
    at_ms: Option<i64>,
    /// It has happened, whether it should or not: what speaks against it is a finding and no refusal.
    #[serde(default)]
    happened: bool,
}

/// Fills a lot into a vessel.
#[utoipa::path(post, path = "/api/mes/vessels/{path}/fill", params(("path" = String, Path)), request_body = Filled,
    responses((status = 200, body = VesselContentView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn fill(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    Json(wish): Json<Filled>,
) -> Result<Json<VesselContentView>, Problem> {
    may(&app, &caller, Action::Operate, &path)?;
    quantity(Some(wish.quantity))?;
    place("from", wish.from.as_deref())?;
    let Filled { key, item, quantity, from, at_ms, happened } = wish;
    let wish = FillWish { key, item, quantity, from, at: date(at_ms)?, happened };
    Ok(Json(app.vessels.fill(path, wish, caller.who.clone()).await?))
}

/// What something is drawn into: an `item`, a `material` and `number`, or a `job`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DrawnInto {
    /// A lot or unit.
    item: Option<Uuid>,
    /// The part number of a lot, which is made if there is none of that number.
    material: Option<String>,
    /// Its revision.
    revision: Option<String>,
    /// Its number.
    number: Option<String>,
    /// A job order: into the lot of its material that has the number of its order.
    job: Option<Uuid>,
}

/// Something that is drawn.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drawn {
    /// Stands for this one draw: sent again with it, nothing happens a second time.
    key: Uuid,
    /// How much.
    quantity: f64,
    /// Into what.
    into: DrawnInto,
    /// Where in that.
    position: Option<String>,
    /// Where a lot of the same material lies from then on.
    place: Option<String>,
    /// When, in ms since 1970; now if missing.
    at_ms: Option<i64>,
    /// It has happened, whether it should or not: what speaks against it is a finding and no refusal.
    #[serde(default)]
    happened: bool,
}

/// Draws from a vessel into a lot or unit: each lot in the vessel goes into that in its proportion.
#[utoipa::path(post, path = "/api/mes/vessels/{path}/draw", params(("path" = String, Path)), request_body = Drawn,
    responses((status = 200, body = VesselContentView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn draw(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    Json(wish): Json<Drawn>,
) -> Result<Json<VesselContentView>, Problem> {
    may(&app, &caller, Action::Operate, &path)?;
    quantity(Some(wish.quantity))?;
    place("place", wish.place.as_deref())?;
    let position = wish.position.unwrap_or_default();
    if position.len() > NUMBER_LIMIT {
        return Err(Problem::bad_request(format!("\"position\" is longer than {NUMBER_LIMIT} bytes")));
    }
    let wish = DrawWish {
        key: wish.key,
        quantity: wish.quantity,
        into: into(wish.into)?,
        position,
        place: wish.place,
        at: date(wish.at_ms)?,
        happened: wish.happened,
    };
    Ok(Json(app.vessels.draw(path, wish, caller.who.clone()).await?))
}

fn into(given: DrawnInto) -> Result<IntoWish, Problem> {
    match given {
        DrawnInto { item: Some(item), material: None, revision: None, number: None, job: None } => {
            Ok(IntoWish::Item(item))
        }
        DrawnInto { item: None, material: None, revision: None, number: None, job: Some(job) } => {
            Ok(IntoWish::Job(job))
        }
        DrawnInto { item: None, material: Some(material), revision, number: Some(number), job: None } => {
            line("material", &material, NUMBER_LIMIT)?;
            line("number", &number, NUMBER_LIMIT)?;
            revision.as_deref().map_or(Ok(()), |revision| line("revision", revision, NUMBER_LIMIT))?;
            Ok(IntoWish::Lot { material, revision, number })
        }
        _ => Err(Problem::bad_request("\"into\" names nothing, or several things")
            .remedy("give it \"item\", or \"material\" and \"number\", or \"job\"")),
    }
}

/// A vessel that is emptied.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Emptied {
    /// Stands for this one time: sent again with it, nothing happens a second time.
    key: Uuid,
    /// Why, or how, in one line of at most 500 bytes.
    reason: Option<String>,
}

/// Empties and cleans a vessel. What was in it goes to outside.
#[utoipa::path(post, path = "/api/mes/vessels/{path}/empty", params(("path" = String, Path)), request_body = Emptied,
    responses((status = 200, body = VesselContentView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn empty(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    Json(wish): Json<Emptied>,
) -> Result<Json<VesselContentView>, Problem> {
    may(&app, &caller, Action::Operate, &path)?;
    wish.reason.as_deref().map_or(Ok(()), |reason| line("reason", reason, PLACE_LIMIT))?;
    let wish = EmptyWish { key: wish.key, reason: wish.reason.unwrap_or_default() };
    Ok(Json(app.vessels.empty(path, wish, caller.who.clone()).await?))
}

/// How much was found in a vessel.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Found {
    /// Stands for this one correction: sent again with it, nothing happens a second time.
    key: Uuid,
    /// How much is in it.
    level: f64,
    /// How it was found, in one line of at most 500 bytes.
    reason: String,
}

/// Puts right how much is in a vessel. What is less goes to outside; what is more is a lot of its own, which names what was in there.
#[utoipa::path(post, path = "/api/mes/vessels/{path}/level", params(("path" = String, Path)), request_body = Found,
    responses((status = 200, body = VesselContentView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn level(
    State(app): State<App>,
    caller: Caller,
    Path(path): Path<String>,
    Json(wish): Json<Found>,
) -> Result<Json<VesselContentView>, Problem> {
    may(&app, &caller, Action::Operate, &path)?;
    line("reason", &wish.reason, PLACE_LIMIT)?;
    if !(0.0..=1e9).contains(&wish.level) {
        return Err(Problem::bad_request("\"level\" must be 0 to 1,000,000,000"));
    }
    let wish = LevelWish { key: wish.key, level: wish.level, reason: wish.reason };
    Ok(Json(app.vessels.level(path, wish, caller.who.clone()).await?))
}
