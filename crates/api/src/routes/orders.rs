//! Work orders and job orders, their plan, and what people are qualified for.
//!
//! Whoever may view the branch of a place where a job can be done sees the job, and with it its order; what one does not see does not
//! exist. Operating a job needs `Operate` where it stands and where it is to stand; making, changing and planning orders needs
//! `Configure` at every place where their jobs can be done.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::orders as ports;
use crate::ports::orders::{
    Changed, CountWish, Current, InstructionView, JobList, JobTrigger, JobView, LedgerPage, LedgerView, MaterialView,
    OrderAction, OrderPatch, OrderView, OrderWish, OrdersPage, OrdersProblem, PlaceWish, ProposalView, ScheduleView,
    SeenWish, SkillView, Standing, TriggerWish,
};
use crate::ports::trace::OrderUnitsPage;
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_store::orders::{self, OrderFilter};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Deserializer, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The longest number of an order, in characters.
const NUMBER_LIMIT: usize = 64;
/// The longest window of a schedule.
const LONGEST: Duration = Duration::from_secs(92 * 86_400);
/// What an order is in.
const ORDER_STATES: [&str; 6] = ["Forecast", "Released", "Running", "Completed", "Closed", "Cancelled"];
/// What a job in a dispatch list is in.
const JOB_STATES: [&str; 4] = ["NotAllowedToStart", "AllowedToStart", "Running", "Interrupted"];

/// A refusal, with what is there now.
#[derive(Serialize, ToSchema)]
pub struct Overtaken {
    #[serde(flatten)]
    problem: Box<Problem>,
    /// The job or the order as it is now.
    #[serde(skip_serializing_if = "Option::is_none")]
    current: Option<serde_json::Value>,
}

impl Overtaken {
    /// A refusal, with what is there now.
    pub(crate) fn with(problem: Problem, current: Option<serde_json::Value>) -> Self {
        Self { problem: Box::new(problem), current }
    }
}

impl From<Problem> for Overtaken {
    fn from(problem: Problem) -> Self {
        Self { problem: Box::new(problem), current: None }
    }
}

impl From<andon_model::access::Denied> for Overtaken {
    fn from(denied: andon_model::access::Denied) -> Self {
        Problem::from(denied).into()
    }
}

impl IntoResponse for Overtaken {
    fn into_response(self) -> Response {
        if self.current.is_none() {
            return self.problem.into_response();
        }
        let status = StatusCode::from_u16(self.problem.status).unwrap_or(StatusCode::CONFLICT);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        response
    }
}

/// A refusal as this caller is told it: who stands in the way by name, and of an order only what the caller sees.
fn refusal(app: &App, caller: &Caller, problem: OrdersProblem) -> Overtaken {
    let detail = problem.to_string();
    match problem {
        OrdersProblem::Unknown(what) => Problem::not_found(&what).into(),
        OrdersProblem::Refused(_, remedy) => Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "not accepted")
            .detail(detail)
            .remedy(&remedy)
            .into(),
        OrdersProblem::NotQualified(_, remedy) => {
            Problem::new(StatusCode::FORBIDDEN, "not-qualified", "a skill is missing")
                .detail(detail)
                .remedy(&remedy)
                .into()
        }
        OrdersProblem::Conflict { text, remedy, current, standing } => {
            let mut detail = text;
            if let Some(Standing { number, span }) = standing.map(|standing| *standing) {
                let who = app.accounts.name_of(span.by);
                let who = who.unwrap_or_else(|| "somebody who is not known here any more".to_owned());
                detail = format!("{detail}; {number} stands on {} since {}, put there by {who}", span.unit, span.from);
            }
            let current = current.and_then(|current| match current {
                Current::Job(view) => serde_json::to_value(*view).ok(),
                Current::Order(view) => serde_json::to_value(seen_of(app, caller, *view)?).ok(),
            });
            let problem =
                Problem::new(StatusCode::CONFLICT, "conflict", "not possible now").detail(detail).remedy(&remedy);
            Overtaken { problem: Box::new(problem), current }
        }
        OrdersProblem::Failed(_) => Problem::unavailable(detail).into(),
    }
}

async fn answered<T>(app: &App, caller: &Caller, answer: Changed<'_, T>) -> Result<T, Overtaken> {
    answer.await.map_err(|problem| refusal(app, caller, problem))
}

/// Where a job is or can be done.
fn places(job: &JobView) -> impl Iterator<Item = &String> {
    job.alternatives.iter().chain(&job.equipment)
}

fn sees(app: &App, caller: &Caller, job: &JobView) -> bool {
    places(job).any(|path| caller.sees(app, path))
}

/// An order as the caller sees it; `None`: not at all.
fn seen_of(app: &App, caller: &Caller, mut order: OrderView) -> Option<OrderView> {
    order.jobs.retain(|job| sees(app, caller, job));
    (!order.jobs.is_empty()).then_some(order)
}

/// An order that the caller may see; whole, for its rights are looked at.
async fn order_seen(app: &App, caller: &Caller, number: &str) -> Result<OrderView, Overtaken> {
    let not_there = || {
        refusal(
            app,
            caller,
            OrdersProblem::Unknown(format!("work order {}", number.chars().take(NUMBER_LIMIT).collect::<String>())),
        )
    };
    if check_number(number).is_err() {
        return Err(not_there());
    }
    let order = answered(app, caller, app.orders.order(number.to_owned(), caller.who.id)).await?;
    if order.jobs.iter().any(|job| sees(app, caller, job)) { Ok(order) } else { Err(not_there()) }
}

async fn job_seen(app: &App, caller: &Caller, id: Uuid) -> Result<JobView, Overtaken> {
    let job = answered(app, caller, app.orders.job(id, caller.who.id)).await?;
    if sees(app, caller, &job) {
        Ok(job)
    } else {
        Err(refusal(app, caller, OrdersProblem::Unknown("this job order".to_owned())))
    }
}

/// A job that the caller may operate: where it is and where it goes, and as long as neither is decided, at one of the places where it can
/// be done.
async fn job_operated(app: &App, caller: &Caller, id: Uuid, goes: Option<&String>) -> Result<(), Overtaken> {
    let job = job_seen(app, caller, id).await?;
    if goes.is_none() && job.equipment.is_none() {
        return operates_somewhere(app, caller, &job);
    }
    job.equipment.iter().chain(goes).try_for_each(|path| caller.may(app, Action::Operate, path))?;
    Ok(())
}

/// Whether the caller may operate at one of the places where a job is or can be done.
fn operates_somewhere(app: &App, caller: &Caller, job: &JobView) -> Result<(), Overtaken> {
    if places(job).any(|path| caller.may(app, Action::Operate, path).is_ok()) {
        return Ok(());
    }
    Ok(caller.may(app, Action::Operate, places(job).next().map_or("", String::as_str))?)
}

fn configures<'p>(app: &App, caller: &Caller, places: impl IntoIterator<Item = &'p String>) -> Result<(), Overtaken> {
    places.into_iter().try_for_each(|path| caller.may(app, Action::Configure, path)).map_err(Overtaken::from)
}

async fn order_configured(app: &App, caller: &Caller, number: &str) -> Result<(), Overtaken> {
    let order = order_seen(app, caller, number).await?;
    configures(app, caller, order.jobs.iter().flat_map(places))
}

pub(crate) fn check_number(number: &str) -> Result<(), Problem> {
    if ports::is_number(number) {
        return Ok(());
    }
    let shown: String = number.chars().take(NUMBER_LIMIT).collect();
    Err(Problem::bad_request(format!("{shown:?} is no number of an order")).remedy(
        "write 1 to 64 letters (a-z, A-Z), digits, \"-\", \".\", \"_\" and \"~\", the first a letter or a digit",
    ))
}

/// A reason in one line.
pub(crate) fn reason(given: Option<String>) -> Result<Option<String>, Problem> {
    const MOST: usize = 200;
    let given = given.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
    if let Some(text) = &given {
        if text.chars().count() > MOST {
            return Err(Problem::bad_request(format!("\"reason\" is longer than {MOST} characters")));
        }
        andon_model::text::check_line(text)
            .map_err(|hidden| Problem::bad_request(format!("in \"reason\", {hidden}")))?;
    }
    Ok(given)
}

/// Tells `null` from what is missing.
pub(crate) fn given<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<i64>>, D::Error> {
    Option::<i64>::deserialize(from).map(Some)
}

/// Which orders.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// One or several of `Forecast`, `Released`, `Running`, `Completed`, `Closed`, `Cancelled`, separated by commas; all if missing.
    state: Option<String>,
    /// A job can be done on or below this path.
    branch: Option<String>,
    /// Stands in the number, the material or its title; at most 100 characters.
    text: Option<String>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<Uuid>,
}

/// Work orders, the newest first.
#[utoipa::path(get, path = "/api/mes/orders", params(ListQuery), responses((status = 200, body = OrdersPage), (status = 400, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<OrdersPage>, Overtaken> {
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let states = asked::words("state", query.state.as_deref(), &ORDER_STATES)?;
    if query.text.as_ref().is_some_and(|text| text.chars().count() > 100) {
        return Err(Problem::bad_request("\"text\" is longer than 100 characters").into());
    }
    let nothing = |text: &String| !text.is_empty();
    let filter = OrderFilter {
        states,
        branches: caller.branches(&app, Action::View),
        branch: query.branch.filter(nothing),
        text: query.text.filter(nothing),
        after: query.after,
        limit,
    };
    let page = answered(&app, &caller, app.orders.orders(filter, caller.who.id)).await?;
    let orders = page.orders.into_iter().filter_map(|order| seen_of(&app, &caller, order)).collect();
    Ok(Json(OrdersPage { orders, next: page.next }))
}

/// A new order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewOrder {
    /// Its number: 1 to 64 letters (a–z, A–Z), digits, `-`, `.`, `_` and `~`, the first a letter or a digit.
    number: String,
    /// The part number of what is to be made.
    material: String,
    /// Its revision; the newest if missing.
    revision: Option<String>,
    /// How much, in the material's unit: more than 0, at most 1,000,000,000.
    quantity: f64,
    /// By when, in ms since 1970.
    due_ms: Option<i64>,
    /// 1 low to 9 high; 5 if missing.
    priority: Option<u8>,
    /// As somebody writes it, at most 1,000 bytes.
    note: Option<String>,
    /// Its jobs may begin at once.
    #[serde(default)]
    release: bool,
}

/// Makes a work order with a job for each operation of the material. The same number with the same content again answers 200.
#[utoipa::path(post, path = "/api/mes/orders", request_body = NewOrder,
    responses((status = 201, body = OrderView), (status = 200, body = OrderView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn make(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewOrder>,
) -> Result<(StatusCode, Json<OrderView>), Overtaken> {
    check_number(&new.number)?;
    asked::reason("note", new.note.as_deref())?;
    let priority = asked::within("priority", new.priority, 5, 1..=9)?;
    let due = new.due_ms.map(|ms| asked::time("due_ms", ms)).transpose()?;
    let revision = new.revision.filter(|revision| !revision.is_empty());
    let places =
        app.orders.places(&new.material, revision.as_deref()).map_err(|problem| refusal(&app, &caller, problem))?;
    configures(&app, &caller, &places)?;
    let note = new.note.unwrap_or_default();
    let wish = OrderWish {
        number: new.number,
        material: new.material,
        revision,
        quantity: new.quantity,
        due,
        priority,
        note,
        release: new.release,
        source: ports::BY_PERSON,
    };
    let (made, order) = answered(&app, &caller, app.orders.make(wish, caller.who.clone())).await?;
    // Of an order that was there before, only what the caller sees.
    let order = seen_of(&app, &caller, order).ok_or_else(|| Problem::not_found("this work order"))?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(order)))
}

/// A work order with its jobs.
#[utoipa::path(get, path = "/api/mes/orders/{number}", params(("number" = String, Path)),
    responses((status = 200, body = OrderView), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<OrderView>, Overtaken> {
    let order = order_seen(&app, &caller, &number).await?;
    Ok(Json(seen_of(&app, &caller, order).ok_or_else(|| Problem::not_found("this work order"))?))
}

/// A change of an order; what is missing stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedOrder {
    /// The version that was looked at.
    version: u64,
    /// How much.
    quantity: Option<f64>,
    /// By when, in ms since 1970; `null`: there is no date any more.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    due_ms: Option<Option<i64>>,
    /// 1 low to 9 high.
    priority: Option<u8>,
    /// As somebody writes it, at most 1,000 bytes.
    note: Option<String>,
}

/// Changes an order of which no job has begun.
#[utoipa::path(patch, path = "/api/mes/orders/{number}", params(("number" = String, Path)), request_body = ChangedOrder,
    responses((status = 200, body = OrderView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(changed): Json<ChangedOrder>,
) -> Result<Json<OrderView>, Overtaken> {
    order_configured(&app, &caller, &number).await?;
    asked::reason("note", changed.note.as_deref())?;
    if let Some(priority) = changed.priority {
        asked::within("priority", Some(priority), 5, 1..=9)?;
    }
    let due = match changed.due_ms {
        Some(Some(ms)) => Some(Some(asked::time("due_ms", ms)?)),
        Some(None) => Some(None),
        None => None,
    };
    let patch = OrderPatch {
        version: changed.version,
        quantity: changed.quantity,
        due,
        priority: changed.priority,
        note: changed.note,
    };
    Ok(Json(answered(&app, &caller, app.orders.change(number, patch, caller.who.clone())).await?))
}

/// Which state of the order is meant.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActedOn {
    /// The version that was looked at.
    version: u64,
    /// Why, in one line of at most 200 characters.
    reason: Option<String>,
}

/// Releases, revokes, cancels or closes an order.
#[utoipa::path(post, path = "/api/mes/orders/{number}/{action}",
    params(("number" = String, Path), ("action" = String, Path, description = "`release`, `revoke`, `cancel` or `close`")), request_body = ActedOn,
    responses((status = 200, body = OrderView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken)))]
pub async fn act(
    State(app): State<App>,
    caller: Caller,
    Path((number, action)): Path<(String, String)>,
    Json(wish): Json<ActedOn>,
) -> Result<Json<OrderView>, Overtaken> {
    let action = match action.as_str() {
        "release" => OrderAction::Release,
        "revoke" => OrderAction::Revoke,
        "cancel" => OrderAction::Cancel,
        "close" => OrderAction::Close,
        _ => return Err(Problem::not_found("this address").into()),
    };
    order_configured(&app, &caller, &number).await?;
    let reason = reason(wish.reason)?;
    Ok(Json(answered(&app, &caller, app.orders.act(number, action, wish.version, reason, caller.who.clone())).await?))
}

/// Which jobs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct JobsQuery {
    /// Those of this work unit, and those that can be done there of which nobody has decided where.
    equipment: Option<String>,
    /// One or several of `NotAllowedToStart`, `AllowedToStart`, `Running`, `Interrupted`, separated by commas; all if missing.
    state: Option<String>,
}

/// Jobs that have not ended, at most 1,000, in the order in which they are to be made: planned start, priority, due date.
#[utoipa::path(get, path = "/api/mes/jobs", params(JobsQuery), responses((status = 200, body = JobList), (status = 400, body = Problem)))]
pub async fn jobs(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<JobsQuery>,
) -> Result<Json<JobList>, Overtaken> {
    let states = asked::words("state", query.state.as_deref(), &JOB_STATES)?;
    let equipment = query.equipment.filter(|path| !path.is_empty());
    let mut list =
        answered(&app, &caller, app.orders.jobs(equipment, states, caller.branches(&app, Action::View), caller.who.id))
            .await?;
    list.jobs.retain(|job| sees(&app, &caller, job));
    Ok(Json(list))
}

/// Something happens to a job.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Triggered {
    /// The version of the job that was looked at.
    version: u64,
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Why, in one line of at most 200 characters.
    reason: Option<String>,
    /// Of a pause: `Held`, the cause is inside the machine, or `Suspended`. Of a job that is interrupted: so it is instead.
    why: Option<String>,
    /// Of a preparation: `Waiting`, `Ready` or `Loaded`.
    prepared: Option<String>,
    /// Of a begin: where; as it is decided if missing.
    equipment: Option<String>,
}

/// Begins, pauses, resumes, stops, aborts, closes or prepares a job. Durable when it answers; the same key again is done once.
#[utoipa::path(post, path = "/api/mes/jobs/{id}/{trigger}",
    params(("id" = Uuid, Path), ("trigger" = String, Path, description = "`begin`, `pause`, `resume`, `stop`, `abort`, `close` or `prepare`")), request_body = Triggered,
    responses((status = 200, body = JobView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn trigger(
    State(app): State<App>,
    caller: Caller,
    Path((id, trigger)): Path<(Uuid, String)>,
    Json(wish): Json<Triggered>,
) -> Result<Json<JobView>, Overtaken> {
    let what = match trigger.as_str() {
        "begin" => JobTrigger::Begin,
        "pause" => JobTrigger::Pause,
        "resume" => JobTrigger::Resume,
        "stop" => JobTrigger::Stop,
        "abort" => JobTrigger::Abort,
        "close" => JobTrigger::Close,
        "prepare" => JobTrigger::Prepare,
        _ => return Err(Problem::not_found("this address").into()),
    };
    let goes = if what == JobTrigger::Begin { wish.equipment } else { None };
    job_operated(&app, &caller, id, goes.as_ref()).await?;
    let reason = reason(wish.reason)?;
    let wish = TriggerWish {
        what,
        version: wish.version,
        key: wish.key,
        reason,
        why: wish.why,
        prepared: wish.prepared,
        equipment: goes,
    };
    Ok(Json(answered(&app, &caller, app.orders.trigger(id, wish, caller.who.clone())).await?))
}

/// What somebody counted, to be added; below zero where a count of a person is put right.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CountedItems {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Good items, in the material's unit.
    #[serde(default)]
    good: f64,
    /// Scrap.
    #[serde(default)]
    scrap: f64,
    /// Rework.
    #[serde(default)]
    rework: f64,
    /// Why it is scrap or rework.
    reason: Option<String>,
}

/// Adds what a person counted of a job, from its begin until it is closed; at most 1,000,000,000 at once.
#[utoipa::path(post, path = "/api/mes/jobs/{id}/counts", params(("id" = Uuid, Path)), request_body = CountedItems,
    responses((status = 200, body = JobView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn count(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(counted): Json<CountedItems>,
) -> Result<Json<JobView>, Overtaken> {
    job_operated(&app, &caller, id, None).await?;
    let reason = reason(counted.reason)?;
    let wish = CountWish { key: counted.key, good: counted.good, scrap: counted.scrap, rework: counted.rework, reason };
    Ok(Json(answered(&app, &caller, app.orders.count(id, wish, caller.who.clone())).await?))
}

/// What was seen.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SeenInstruction {
    /// The instruction's name.
    instruction: String,
    /// Its revision; empty if it has none.
    #[serde(default)]
    revision: String,
    /// SHA-256 of what was seen, as the instruction has it.
    sha256: String,
}

impl From<SeenInstruction> for SeenWish {
    fn from(seen: SeenInstruction) -> Self {
        Self { instruction: seen.instruction, revision: seen.revision, sha256: seen.sha256 }
    }
}

/// Confirms that the caller has seen an instruction of a job, in the content in force.
#[utoipa::path(post, path = "/api/mes/jobs/{id}/seen", params(("id" = Uuid, Path)), request_body = SeenInstruction,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken)))]
pub async fn seen(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(seen): Json<SeenInstruction>,
) -> Result<StatusCode, Overtaken> {
    operates_somewhere(&app, &caller, &job_seen(&app, &caller, id).await?)?;
    answered(&app, &caller, app.orders.seen(id, seen.into(), caller.who.clone())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Another place in the plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Placed {
    /// The version of the job that was looked at.
    version: u64,
    /// Where.
    equipment: String,
    /// From when, in ms since 1970.
    planned_start_ms: i64,
}

/// Puts a job that has not begun somewhere in the plan, where planning leaves it.
#[utoipa::path(post, path = "/api/mes/jobs/{id}/plan", params(("id" = Uuid, Path)), request_body = Placed,
    responses((status = 200, body = JobView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn place(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(placed): Json<Placed>,
) -> Result<Json<JobView>, Overtaken> {
    let job = job_seen(&app, &caller, id).await?;
    configures(&app, &caller, job.equipment.iter().chain([&placed.equipment]))?;
    let start = asked::time("planned_start_ms", placed.planned_start_ms)?;
    let wish = PlaceWish { version: placed.version, equipment: placed.equipment, start };
    Ok(Json(answered(&app, &caller, app.orders.place(id, wish, caller.who.clone())).await?))
}

/// An entry of the ledger with the name of who made it.
#[derive(Serialize, ToSchema)]
pub struct NamedEntry {
    #[serde(flatten)]
    entry: LedgerView,
    /// The name of who did it; `null`: erased.
    by_name: Option<String>,
}

/// The ledger of a job.
#[derive(Serialize, ToSchema)]
pub struct Ledger {
    entries: Vec<NamedEntry>,
    /// Send it as `after` for the entries before these; `null`: there are none.
    next: Option<u64>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LedgerQuery {
    /// How many, 1–10,000; 1,000 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<u64>,
}

/// What happened to a job: the newest entries, or those before a page of them, the oldest first. Nothing of it is ever changed.
#[utoipa::path(get, path = "/api/mes/jobs/{id}/ledger", params(("id" = Uuid, Path), LedgerQuery),
    responses((status = 200, body = Ledger), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn ledger(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<LedgerQuery>,
) -> Result<Json<Ledger>, Overtaken> {
    let limit = asked::within("limit", query.limit, 1_000, 1..=orders::MOST_ENTRIES)?;
    job_seen(&app, &caller, id).await?;
    let LedgerPage { entries, next } = answered(&app, &caller, app.orders.ledger(id, query.after, limit)).await?;
    let named = |entry: LedgerView| NamedEntry { by_name: app.accounts.name_of(entry.by), entry };
    Ok(Json(Ledger { entries: entries.into_iter().map(named).collect(), next }))
}

/// The plant's materials.
#[derive(Serialize, ToSchema)]
pub struct Materials {
    materials: Vec<MaterialView>,
}

/// Materials, by name; what has no operations is bought.
#[utoipa::path(get, path = "/api/mes/materials", responses((status = 200, body = Materials)))]
pub async fn materials(State(app): State<App>, _caller: Caller) -> Json<Materials> {
    Json(Materials { materials: app.orders.materials() })
}

/// Which revision.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InstructionQuery {
    /// The newest if missing; empty: the one without a revision.
    revision: Option<String>,
}

/// An instruction, with the digest by which it is confirmed.
#[utoipa::path(get, path = "/api/mes/instructions/{name}", params(("name" = String, Path), InstructionQuery),
    responses((status = 200, body = InstructionView), (status = 404, body = Problem)))]
pub async fn instruction(
    State(app): State<App>,
    _caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<InstructionQuery>,
) -> Result<Json<InstructionView>, Problem> {
    let found = app.orders.instruction(&name, query.revision.as_deref());
    Ok(Json(found.ok_or_else(|| Problem::not_found("this instruction"))?))
}

/// A window.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ScheduleQuery {
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it, at most 92 days later.
    to_ms: i64,
}

/// What is planned and was done over a window: jobs, and when equipment does not work or is set up.
#[utoipa::path(get, path = "/api/mes/schedule", params(ScheduleQuery),
    responses((status = 200, body = ScheduleView), (status = 400, body = Problem)))]
pub async fn schedule(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ScheduleQuery>,
) -> Result<Json<ScheduleView>, Overtaken> {
    asked::in_order(Some(query.from_ms), Some(query.to_ms))?;
    let (from, to) = (asked::time("from_ms", query.from_ms)?, asked::time("to_ms", query.to_ms)?);
    if to.since(from) > LONGEST {
        return Err(Problem::bad_request("the window is longer than 92 days").into());
    }
    let mut schedule =
        answered(&app, &caller, app.orders.schedule(from, to, caller.branches(&app, Action::View), caller.who.id))
            .await?;
    schedule.jobs.retain(|job| sees(&app, &caller, job));
    let known: std::collections::HashSet<Uuid> = schedule.jobs.iter().map(|job| job.id).collect();
    schedule.equipment.iter_mut().for_each(|lane| lane.setups.retain(|setup| known.contains(&setup.job)));
    Ok(Json(schedule))
}

/// How to plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PlanWish {
    /// Where random choices come from: the same seed and the same jobs give the same plan.
    #[serde(default)]
    seed: u64,
    /// Only say what would change.
    #[serde(default)]
    dry_run: bool,
}

/// Plans the open jobs of the orders that the caller may configure. What runs stays where it is, and so does what a person has put
/// somewhere and what others have planned.
#[utoipa::path(post, path = "/api/mes/schedule/plan", request_body = PlanWish,
    responses((status = 200, body = ProposalView), (status = 403, body = Problem), (status = 422, body = Problem)))]
pub async fn plan(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<PlanWish>,
) -> Result<Json<ProposalView>, Overtaken> {
    let branches = caller.branches(&app, Action::Configure);
    if branches.is_empty() {
        caller.may(&app, Action::Configure, "")?;
    }
    Ok(Json(answered(&app, &caller, app.orders.plan(wish.seed, wish.dry_run, branches, caller.who.clone())).await?))
}

/// What a person is qualified for.
#[derive(Serialize, ToSchema)]
pub struct PersonSkill {
    /// The person.
    person: Uuid,
    /// The person's name.
    name: Option<String>,
    /// The skill.
    skill: String,
    /// Until then, in ms since 1970, exclusively; `null`: without end.
    until_ms: Option<i64>,
}

/// Skills, and who has them.
#[derive(Serialize, ToSchema)]
pub struct Skills {
    skills: Vec<SkillView>,
    /// Whoever manages people sees all of them, anybody else what they have themselves.
    people: Vec<PersonSkill>,
}

/// The plant's skills, and who has them.
#[utoipa::path(get, path = "/api/mes/skills", responses((status = 200, body = Skills)))]
pub async fn skills(State(app): State<App>, caller: Caller) -> Result<Json<Skills>, Overtaken> {
    let all = caller.may(&app, Action::Administer, "").is_ok();
    let held = answered(&app, &caller, app.orders.held((!all).then_some(caller.who.id))).await?;
    let person = |held: orders::PersonSkill| PersonSkill {
        person: held.person,
        name: app.accounts.name_of(held.person),
        skill: held.skill,
        until_ms: held.until.map(Timestamp::millis),
    };
    Ok(Json(Skills { skills: app.orders.skills(), people: held.into_iter().map(person).collect() }))
}

/// Until when.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Qualified {
    /// In ms since 1970, exclusively; without end if missing.
    until_ms: Option<i64>,
}

/// Says that a person is qualified, in the place of what was said of that skill before.
#[utoipa::path(put, path = "/api/users/{id}/skills/{skill}", params(("id" = Uuid, Path), ("skill" = String, Path)), request_body = Qualified,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn qualify(
    State(app): State<App>,
    caller: Caller,
    Path((person, skill)): Path<(Uuid, String)>,
    Json(qualified): Json<Qualified>,
) -> Result<StatusCode, Overtaken> {
    caller.may(&app, Action::Administer, "")?;
    let until = qualified.until_ms.map(|ms| asked::time("until_ms", ms)).transpose()?;
    answered(&app, &caller, app.orders.qualify(orders::PersonSkill { person, skill, until }, caller.who.clone()))
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Takes a qualification back.
#[utoipa::path(delete, path = "/api/users/{id}/skills/{skill}", params(("id" = Uuid, Path), ("skill" = String, Path)),
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn disqualify(
    State(app): State<App>,
    caller: Caller,
    Path((person, skill)): Path<(Uuid, String)>,
) -> Result<StatusCode, Overtaken> {
    caller.may(&app, Action::Administer, "")?;
    answered(&app, &caller, app.orders.disqualify(person, skill, caller.who.clone())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Which units.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct UnitsQuery {
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    before: Option<Uuid>,
}

/// The serial units that were made under an order, the newest first, each with its certificate.
#[utoipa::path(get, path = "/api/mes/orders/{number}/units", params(("number" = String, Path), UnitsQuery),
    responses((status = 200, body = OrderUnitsPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn units(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<UnitsQuery>,
) -> Result<Json<OrderUnitsPage>, Overtaken> {
    let order = order_seen(&app, &caller, &number).await?;
    super::trace::may(&app, &caller, Action::View)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let jobs = order.jobs.iter().map(|job| job.id).collect();
    Ok(Json(app.traces.units_of(jobs, query.before, limit).await.map_err(Problem::from)?))
}
