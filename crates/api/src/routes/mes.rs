//! Manufacturing execution: what machines are in, KPIs of ISO 22400-2 with their rows, and people's word on a machine's states.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::mes::{
    ChildrenAnswer, CorrectionView, CorrectionWish, KpiAnswer, MachineView, MesProblem, PieceView, ReasonDefView, Said,
    SlotView, Step, StopView, WhyView, Window,
};
use crate::problem::Problem;
use andon_model::access::Action;
use andon_model::path::is_under;
use andon_model::text;
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The longest note of a correction, in bytes.
const NOTE_LIMIT: usize = 1_000;

impl From<MesProblem> for Problem {
    fn from(problem: MesProblem) -> Self {
        let detail = problem.to_string();
        match problem {
            MesProblem::NoMachine(_) => Self::new(StatusCode::NOT_FOUND, "no-machine", "no machine is followed there")
                .detail(detail)
                .remedy("write the path of a machine or of what it stands under; a [[machine]] in the plant model says how one is followed"),
            MesProblem::Refused(_, remedy) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "not accepted").detail(detail).remedy(&remedy)
            }
            MesProblem::Conflict(_) => Self::new(StatusCode::CONFLICT, "conflict", "not possible").detail(detail),
            MesProblem::Failed(_) => Self::unavailable(detail),
        }
    }
}

/// Every machine that the caller may see.
#[derive(Serialize, ToSchema)]
pub struct MachinesAnswer {
    /// Now, in ms since 1970.
    now_ms: i64,
    machines: Vec<MachineView>,
}

/// Which machines.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MachinesQuery {
    /// Those at or below this path; all if missing.
    branch: Option<String>,
}

/// What each machine is in now.
#[utoipa::path(get, path = "/api/mes/machines", params(MachinesQuery),
    responses((status = 200, body = MachinesAnswer), (status = 503, body = Problem)))]
pub async fn machines(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<MachinesQuery>,
) -> Result<Json<MachinesAnswer>, Problem> {
    let branch = query.branch.unwrap_or_default();
    let shown = |machine: &MachineView| is_under(&machine.path, &branch) && caller.sees(&app, &machine.path);
    let machines = app.mes.machines().await?.into_iter().filter(shown);
    Ok(Json(MachinesAnswer { now_ms: app.clock.now().millis(), machines: machines.collect() }))
}

/// The plant's reasons.
#[derive(Serialize, ToSchema)]
pub struct ReasonsAnswer {
    reasons: Vec<ReasonDefView>,
}

/// The reason tree; names are paths.
#[utoipa::path(get, path = "/api/mes/reasons", responses((status = 200, body = ReasonsAnswer)))]
pub async fn reasons(State(app): State<App>, _caller: Caller) -> Json<ReasonsAnswer> {
    Json(ReasonsAnswer { reasons: app.mes.reasons() })
}

/// A window of a node.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WindowQuery {
    /// The path of a machine, a line, an area, a site.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
}

/// A window that can be meant, of what the caller may see.
pub(super) fn window(app: &App, caller: &Caller, path: &str, from_ms: i64, to_ms: i64) -> Result<Window, Problem> {
    asked::in_order(Some(from_ms), Some(to_ms))?;
    let window = Window { from: asked::time("from_ms", from_ms)?, to: asked::time("to_ms", to_ms)? };
    if !caller.sees(app, path) {
        return Err(MesProblem::NoMachine(path.to_owned()).into());
    }
    Ok(window)
}

/// Times, amounts, KPIs, losses and reasons of a window; what is to come is left out of it.
#[utoipa::path(get, path = "/api/mes/kpis", params(WindowQuery),
    responses((status = 200, body = KpiAnswer), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn kpis(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WindowQuery>,
) -> Result<Json<KpiAnswer>, Problem> {
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    Ok(Json(app.mes.kpis(query.path, window).await?))
}

/// A window of a node, or of what stands at the top.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ChildrenQuery {
    /// The path of a line, an area, a site; empty or missing: what stands at the top of what the caller may see.
    #[serde(default)]
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
}

/// KPIs in brief of a node and of each node one level below it, with the greatest loss and what orders are about.
#[utoipa::path(get, path = "/api/mes/kpis/children", params(ChildrenQuery),
    responses((status = 200, body = ChildrenAnswer), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn children(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ChildrenQuery>,
) -> Result<Json<ChildrenAnswer>, Problem> {
    asked::in_order(Some(query.from_ms), Some(query.to_ms))?;
    let window = Window { from: asked::time("from_ms", query.from_ms)?, to: asked::time("to_ms", query.to_ms)? };
    Ok(Json(app.mes.children(query.path, window, caller.branches(&app, Action::View)).await?))
}

/// A row of windows of a node.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct SeriesQuery {
    /// The path.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
    /// How long each window is.
    #[param(inline)]
    step: Step,
}

/// KPIs of each of a row of windows.
#[derive(Serialize, ToSchema)]
pub struct SeriesAnswer {
    slots: Vec<SlotView>,
}

/// OEE by hour, shift or day.
#[utoipa::path(get, path = "/api/mes/kpis/series", params(SeriesQuery),
    responses((status = 200, body = SeriesAnswer), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn series(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<SeriesQuery>,
) -> Result<Json<SeriesAnswer>, Problem> {
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    Ok(Json(SeriesAnswer { slots: app.mes.series(query.path, window, query.step).await? }))
}

/// What a machine was in.
#[derive(Serialize, ToSchema)]
pub struct StatesAnswer {
    pieces: Vec<PieceView>,
}

/// What one machine was in: without gap, at most 32 days.
#[utoipa::path(get, path = "/api/mes/states", params(WindowQuery),
    responses((status = 200, body = StatesAnswer), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn states(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WindowQuery>,
) -> Result<Json<StatesAnswer>, Problem> {
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    Ok(Json(StatesAnswer { pieces: app.mes.states(query.path, window).await? }))
}

/// Which stops.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StopsQuery {
    /// The path of a machine, or of what it stands under.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
    /// How many, 1–1,000; 200 if missing.
    limit: Option<usize>,
}

/// Stops.
#[derive(Serialize, ToSchema)]
pub struct StopsAnswer {
    stops: Vec<StopView>,
    /// How many there are in all.
    of: usize,
}

/// Stops of a window: those that nobody has explained first, then the longest.
#[utoipa::path(get, path = "/api/mes/stops", params(StopsQuery),
    responses((status = 200, body = StopsAnswer), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn stops(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<StopsQuery>,
) -> Result<Json<StopsAnswer>, Problem> {
    let limit = asked::within("limit", query.limit, 200, 1..=1000)?;
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    let mut stops = app.mes.stops(query.path, window).await?;
    let of = stops.len();
    stops.truncate(limit);
    Ok(Json(StopsAnswer { stops, of }))
}

/// Which KPI.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct WhyQuery {
    /// The path.
    path: String,
    /// The KPI's id, as in the answer of `/api/mes/kpis`.
    kpi: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
}

/// Where a KPI comes from: its formula, its terms, and the rows behind each; at most 32 days.
#[utoipa::path(get, path = "/api/mes/why", params(WhyQuery),
    responses((status = 200, body = WhyView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn why(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WhyQuery>,
) -> Result<Json<WhyView>, Problem> {
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    Ok(Json(app.mes.why(query.path, query.kpi, window).await?))
}

/// What somebody says of a span of a machine. One of `reason`, `state` and `as_recorded`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewCorrection {
    /// The machine.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it, at the latest now.
    to_ms: i64,
    /// Why it was so: a reason's name.
    reason: Option<String>,
    /// What it was in: a PackML state's name.
    state: Option<String>,
    /// Earlier corrections do not hold: it was as it was recorded.
    #[serde(default)]
    as_recorded: bool,
    /// More about it, at most 1,000 bytes.
    note: Option<String>,
    /// By which this request is known when it comes again.
    key: Uuid,
}

/// What was put right.
#[derive(Serialize, ToSchema)]
pub struct Corrected {
    /// The correction's number.
    number: u32,
}

impl NewCorrection {
    fn said(&self) -> Result<Said, Problem> {
        match (&self.reason, &self.state, self.as_recorded) {
            (Some(reason), None, false) => Ok(Said::Reason(reason.clone())),
            (None, Some(state), false) => Ok(Said::State(state.clone())),
            (None, None, true) => Ok(Said::AsRecorded),
            _ => Err(Problem::bad_request("write one of \"reason\", \"state\" and \"as_recorded\": true")),
        }
    }
}

/// Puts right what a machine is said to have been in, or says why it was so. What was recorded stays and can be seen for ever.
#[utoipa::path(post, path = "/api/mes/corrections", request_body = NewCorrection,
    responses((status = 201, body = Corrected), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn correct(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<NewCorrection>,
) -> Result<(StatusCode, Json<Corrected>), Problem> {
    let window = window(&app, &caller, &wish.path, wish.from_ms, wish.to_ms)?;
    caller.may(&app, Action::Operate, &wish.path)?;
    let said = wish.said()?;
    if let Some(note) = &wish.note {
        if note.len() > NOTE_LIMIT {
            return Err(Problem::bad_request(format!("\"note\" is longer than {NOTE_LIMIT} bytes")));
        }
        text::check_lines(note).map_err(|hidden| Problem::bad_request(format!("in \"note\", {hidden}")))?;
    }
    let wish =
        CorrectionWish { path: wish.path, from: window.from, to: window.to, said, note: wish.note, key: wish.key };
    let number = app.mes.correct(wish, caller.who.clone()).await?;
    Ok((StatusCode::CREATED, Json(Corrected { number })))
}

/// What people put right.
#[derive(Serialize, ToSchema)]
pub struct CorrectionsAnswer {
    corrections: Vec<NamedCorrection>,
}

/// A correction with the name of who made it.
#[derive(Serialize, ToSchema)]
pub struct NamedCorrection {
    #[serde(flatten)]
    correction: CorrectionView,
    /// The person's name; `null`: erased, or not a person.
    by_name: Option<String>,
}

/// What was put right of a machine over a window, in the order in which it was done.
#[utoipa::path(get, path = "/api/mes/corrections", params(WindowQuery),
    responses((status = 200, body = CorrectionsAnswer), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn corrections(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<WindowQuery>,
) -> Result<Json<CorrectionsAnswer>, Problem> {
    let window = window(&app, &caller, &query.path, query.from_ms, query.to_ms)?;
    let named =
        |correction: CorrectionView| NamedCorrection { by_name: app.accounts.name_of(correction.by), correction };
    let corrections = app.mes.corrections(query.path, window).await?;
    Ok(Json(CorrectionsAnswer { corrections: corrections.into_iter().map(named).collect() }))
}
