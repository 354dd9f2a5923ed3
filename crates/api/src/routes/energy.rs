//! Energy: what meters counted, what it cost, what an item takes, and when most was drawn.

use super::mes::window;
use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::energy::{ENERGY_PEAKS, EnergyPeaksView, EnergyStep, EnergyView};
use crate::ports::mes::MesProblem;
use crate::problem::Problem;
use axum::Json;
use axum::extract::{Query, State};
use serde::Deserialize;
use utoipa::IntoParams;

/// A window of a node, cut.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EnergyQuery {
    /// The path of a machine, a line, an area, a site.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
    /// How long each step of the series is; an hour if missing.
    #[param(inline)]
    step: Option<EnergyStep>,
}

/// Energy by carrier with its cost, its peak and the meters that made it, energy per item, and a series; what is to come is left out.
#[utoipa::path(get, path = "/api/mes/energy", params(EnergyQuery),
    responses((status = 200, body = EnergyView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn energy(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EnergyQuery>,
) -> Result<Json<EnergyView>, Problem> {
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    Ok(Json(app.energy.energy(query.path, window, query.step.unwrap_or(EnergyStep::Hour)).await?))
}

/// A month of a node.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PeaksQuery {
    /// The path.
    path: String,
    /// The month, `2026-06`.
    month: String,
    /// How many of each carrier, 1–100; 10 if missing.
    limit: Option<usize>,
}

/// The highest quarter hours of a month, and what the highest costs.
#[utoipa::path(get, path = "/api/mes/energy/peaks", params(PeaksQuery),
    responses((status = 200, body = EnergyPeaksView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn peaks(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PeaksQuery>,
) -> Result<Json<EnergyPeaksView>, Problem> {
    let limit = asked::within("limit", query.limit, 10, 1..=ENERGY_PEAKS)?;
    let wrong = || Problem::bad_request("\"month\" is no month; write it as 2026-06");
    let month = month_of(&query.month).ok_or_else(wrong)?;
    if !caller.sees(&app, &query.path) {
        return Err(MesProblem::NoMachine(query.path).into());
    }
    Ok(Json(app.energy.energy_peaks(query.path, month, limit).await?))
}

fn month_of(text: &str) -> Option<(i32, u32)> {
    let (year, month) = text.split_once('-')?;
    let is_number = |text: &str, digits| text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(year, 4) || !is_number(month, 2) {
        return None;
    }
    Some((year.parse().ok()?, month.parse().ok().filter(|month| (1..=12).contains(month))?))
}
