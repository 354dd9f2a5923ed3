//! Maintenance: orders, plans, figures.
//!
//! Whoever may view the branch of the equipment sees an order; what one does not see does not exist. Reporting a failure, working on an
//! order and saying what was found needs `Operate` there; plans, dates, and giving an order up need `Configure`.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::maintenance::{
    AlarmWish, DeedWish, Maintained, MaintenanceEntryView, MaintenanceFiguresView, MaintenanceOrderView,
    MaintenanceOrdersPage, MaintenancePatch, MaintenancePlanView, MaintenanceProblem, MaintenanceWish,
    NewMaintenanceWish, PartWish,
};
use crate::ports::mes::Window;
use crate::ports::orders::SeenWish;
use crate::problem::Problem;
use crate::routes::orders::{Overtaken, SeenInstruction, check_number, given, reason};
use andon_model::access::Action;
use andon_store::maintenance::{MOST_ENTRIES, MaintenanceFilter};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What an order is in.
const STATES: [&str; 6] = ["NotAllowedToStart", "AllowedToStart", "Running", "Interrupted", "Ended", "Aborted"];
/// Why an order is there.
const KINDS: [&str; 3] = ["corrective", "preventive", "condition_based"];
/// What operators do.
const OPERATED: [&str; 7] = ["prepare", "begin", "join", "leave", "pause", "resume", "finish"];
/// What engineers do.
const CONFIGURED: [&str; 4] = ["release", "revoke", "cancel", "close"];
/// The most names in a list.
const NAMES: usize = 50;

fn refusal(app: &App, problem: MaintenanceProblem) -> Overtaken {
    let detail = problem.to_string();
    match problem {
        MaintenanceProblem::Unknown(what) => Problem::not_found(&what).into(),
        MaintenanceProblem::Refused(_, remedy) => {
            Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "not accepted")
                .detail(detail)
                .remedy(&remedy)
                .into()
        }
        MaintenanceProblem::NotQualified(_, remedy) => {
            Problem::new(StatusCode::FORBIDDEN, "not-qualified", "a skill is missing")
                .detail(detail)
                .remedy(&remedy)
                .into()
        }
        MaintenanceProblem::Conflict { text, remedy, current } => {
            let problem =
                Problem::new(StatusCode::CONFLICT, "conflict", "not possible now").detail(text).remedy(&remedy);
            let current = current.and_then(|view| serde_json::to_value(named(app, *view)).ok());
            Overtaken::with(problem, current)
        }
        MaintenanceProblem::Failed(_) => Problem::unavailable(detail).into(),
    }
}

async fn answered<T>(app: &App, answer: Maintained<'_, T>) -> Result<T, Overtaken> {
    answer.await.map_err(|problem| refusal(app, problem))
}

/// An order with the names of people.
fn named(app: &App, mut order: MaintenanceOrderView) -> MaintenanceOrderView {
    order.created_by_name = app.accounts.name_of(order.created_by);
    for person in &mut order.people {
        person.name = app.accounts.name_of(person.person);
    }
    order
}

/// An order that the caller may see.
async fn order_seen(app: &App, caller: &Caller, number: &str) -> Result<MaintenanceOrderView, Overtaken> {
    let shown: String = number.chars().take(64).collect();
    let not_there = || refusal(app, MaintenanceProblem::Unknown(format!("maintenance order {shown}")));
    if check_number(number).is_err() {
        return Err(not_there());
    }
    let order = answered(app, app.maintenance.order(number.to_owned(), caller.who.id)).await?;
    if caller.sees(app, &order.equipment) { Ok(order) } else { Err(not_there()) }
}

async fn order_for(app: &App, caller: &Caller, number: &str, action: Action) -> Result<(), Overtaken> {
    let order = order_seen(app, caller, number).await?;
    Ok(caller.may(app, action, &order.equipment)?)
}

fn title(name: &str, text: &str) -> Result<(), Problem> {
    if text.trim().is_empty() || text.len() > 200 {
        return Err(Problem::bad_request(format!("\"{name}\" must be one line of 1 to 200 bytes")));
    }
    andon_model::text::check_line(text).map_err(|hidden| Problem::bad_request(format!("in \"{name}\", {hidden}")))
}

/// Which orders.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceQuery {
    /// One or several states, separated by commas; all if missing.
    state: Option<String>,
    /// One or several of `corrective`, `preventive`, `condition_based`; all if missing.
    kind: Option<String>,
    /// Whether they have not ended; both if missing.
    open: Option<bool>,
    /// On or below this path.
    branch: Option<String>,
    /// Stands in the number, the title or the equipment; at most 100 characters.
    text: Option<String>,
    /// Of this plan.
    plan: Option<String>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<Uuid>,
}

/// Maintenance orders, the newest first.
#[utoipa::path(get, path = "/api/mes/maintenance/orders", params(MaintenanceQuery),
    responses((status = 200, body = MaintenanceOrdersPage), (status = 400, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<MaintenanceQuery>,
) -> Result<Json<MaintenanceOrdersPage>, Overtaken> {
    if query.text.as_ref().is_some_and(|text| text.chars().count() > 100) {
        return Err(Problem::bad_request("\"text\" is longer than 100 characters").into());
    }
    let nothing = |text: &String| !text.is_empty();
    let filter = MaintenanceFilter {
        states: asked::words("state", query.state.as_deref(), &STATES)?,
        kinds: asked::words("kind", query.kind.as_deref(), &KINDS)?,
        open: query.open,
        branches: caller.branches(&app, Action::View),
        branch: query.branch.filter(nothing),
        text: query.text.filter(nothing),
        plan: query.plan,
        after: query.after,
        limit: asked::within("limit", query.limit, 100, 1..=500)?,
    };
    let page = answered(&app, app.maintenance.orders(filter, caller.who.id)).await?;
    let orders = page.orders.into_iter().map(|order| named(&app, order)).collect();
    Ok(Json(MaintenanceOrdersPage { orders, next: page.next }))
}

/// The alarm that an order is to come of.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct OfAlarm {
    /// Its name, as `/api/alarms` has it.
    name: String,
    /// Its occurrence.
    occurrence: Uuid,
}

/// A new maintenance order: by a person, out of an alarm, or of a plan.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenanceOrder {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Its number; the node gives one if missing.
    number: Option<String>,
    /// `corrective`, which is usual, or `preventive`.
    kind: Option<String>,
    /// The path of what is maintained.
    equipment: Option<String>,
    /// What it is about, in one line of at most 200 bytes.
    title: Option<String>,
    /// 1 low to 9 high; 5 if missing, and by the alarm's.
    priority: Option<u8>,
    /// By when, in ms since 1970.
    due_ms: Option<i64>,
    /// As somebody writes it, at most 1,000 bytes.
    note: Option<String>,
    /// Why it failed: the name of a reason.
    code: Option<String>,
    /// When it failed, in ms since 1970; nothing failed if missing.
    failed_ms: Option<i64>,
    /// What caused it, at most 1,000 bytes.
    cause: Option<String>,
    /// What whoever works on it has to be qualified for.
    #[serde(default)]
    skills: Vec<String>,
    /// What whoever works on it has to have seen.
    #[serde(default)]
    instructions: Vec<String>,
    /// How long the work takes.
    estimated_ms: Option<i64>,
    /// It may begin at once; so it is if missing.
    release: Option<bool>,
    /// The alarm that it comes of: equipment, title, priority and time of the failure are the alarm's.
    alarm: Option<OfAlarm>,
    /// The plan whose order of this turn it is.
    plan: Option<String>,
}

impl NewMaintenanceOrder {
    /// The wish, and what the caller has to be allowed.
    fn wish(self) -> Result<(NewMaintenanceWish, Action), Problem> {
        for (name, text) in [("note", &self.note), ("cause", &self.cause)] {
            asked::reason(name, text.as_deref())?;
        }
        self.title.as_deref().map_or(Ok(()), |text| title("title", text))?;
        if let Some(priority) = self.priority {
            asked::within("priority", Some(priority), 5, 1..=9)?;
        }
        let note = self.note.unwrap_or_default();
        if let Some(alarm) = self.alarm {
            if self.plan.is_some() || self.equipment.is_some() || self.number.is_some() {
                return Err(Problem::bad_request("\"alarm\" stands without \"plan\", \"equipment\" and \"number\""));
            }
            let (title, priority, code) = (self.title, self.priority, self.code);
            let OfAlarm { name, occurrence } = alarm;
            let wish = AlarmWish { name, occurrence, title, priority, note, code };
            return Ok((NewMaintenanceWish::Alarm(wish), Action::Operate));
        }
        if let Some(plan) = self.plan {
            if self.equipment.is_some() || self.title.is_some() || self.number.is_some() {
                return Err(Problem::bad_request("\"plan\" stands without \"equipment\", \"title\" and \"number\""));
            }
            return Ok((NewMaintenanceWish::Plan(plan), Action::Configure));
        }
        let missing = |name: &str| Problem::bad_request(format!("\"{name}\" is missing"));
        let kind = self.kind.as_deref().unwrap_or("corrective");
        let corrective = match kind {
            "corrective" => true,
            "preventive" => false,
            _ => return Err(Problem::bad_request("\"kind\" must be corrective or preventive")),
        };
        self.number.as_deref().map_or(Ok(()), check_number)?;
        for (name, ms) in [("due_ms", self.due_ms), ("failed_ms", self.failed_ms)] {
            ms.map(|ms| asked::time(name, ms)).transpose()?;
        }
        asked::within("estimated_ms", self.estimated_ms, 0, 0..=2_592_000_000)?;
        if self.skills.len() > NAMES || self.instructions.len() > NAMES {
            return Err(Problem::bad_request(format!("at most {NAMES} skills, and as many instructions")));
        }
        let wish = MaintenanceWish {
            number: self.number,
            corrective,
            equipment: self.equipment.ok_or_else(|| missing("equipment"))?,
            title: self.title.ok_or_else(|| missing("title"))?,
            priority: self.priority.unwrap_or(5),
            due_ms: self.due_ms,
            note,
            code: self.code,
            failed_ms: self.failed_ms,
            cause: self.cause.unwrap_or_default(),
            skills: self.skills,
            instructions: self.instructions,
            estimated_ms: self.estimated_ms,
            release: self.release.unwrap_or(true),
        };
        Ok((NewMaintenanceWish::Person(Box::new(wish)), if corrective { Action::Operate } else { Action::Configure }))
    }
}

/// Makes a maintenance order. The same key, the same occurrence of an alarm, and the open order of a plan's turn answer 200.
#[utoipa::path(post, path = "/api/mes/maintenance/orders", request_body = NewMaintenanceOrder,
    responses((status = 201, body = MaintenanceOrderView), (status = 200, body = MaintenanceOrderView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn make(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewMaintenanceOrder>,
) -> Result<(StatusCode, Json<MaintenanceOrderView>), Overtaken> {
    let key = new.key;
    let (wish, action) = new.wish()?;
    let place = answered(&app, app.maintenance.place(&wish)).await?;
    if !caller.sees(&app, &place) {
        // In the words of what is not there.
        let what = match &wish {
            NewMaintenanceWish::Plan(name) => format!("the maintenance plan {name:?}"),
            NewMaintenanceWish::Alarm(_) => "this occurrence of the alarm".to_owned(),
            NewMaintenanceWish::Person(_) => "this equipment".to_owned(),
        };
        return Err(Problem::not_found(&what).into());
    }
    caller.may(&app, action, &place)?;
    let (made, order) = answered(&app, app.maintenance.make(wish, key, caller.who.clone())).await?;
    if !caller.sees(&app, &order.equipment) {
        return Err(Problem::not_found("this maintenance order").into());
    }
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(named(&app, order))))
}

/// A maintenance order.
#[utoipa::path(get, path = "/api/mes/maintenance/orders/{number}", params(("number" = String, Path)),
    responses((status = 200, body = MaintenanceOrderView), (status = 404, body = Problem)))]
pub async fn one(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Json<MaintenanceOrderView>, Overtaken> {
    Ok(Json(named(&app, order_seen(&app, &caller, &number).await?)))
}

/// Tells `null` from what is missing.
fn given_text<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Option<String>>, D::Error> {
    Option::<String>::deserialize(from).map(Some)
}

/// A change of an order; what is missing stays, `null` takes it away.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangedMaintenance {
    /// The version that was looked at.
    version: u64,
    /// By which this request is known when it comes again.
    key: Uuid,
    /// What it is about.
    title: Option<String>,
    /// 1 low to 9 high.
    priority: Option<u8>,
    /// By when, in ms since 1970.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    due_ms: Option<Option<i64>>,
    /// As somebody writes it.
    note: Option<String>,
    /// Why it failed: the name of a reason.
    #[serde(default, deserialize_with = "given_text")]
    #[schema(value_type = Option<String>)]
    code: Option<Option<String>>,
    /// When it failed.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    failed_ms: Option<Option<i64>>,
    /// When it was restored.
    #[serde(default, deserialize_with = "given")]
    #[schema(value_type = Option<i64>)]
    restored_ms: Option<Option<i64>>,
    /// What caused it.
    cause: Option<String>,
    /// What was done about it.
    remedy: Option<String>,
}

fn checked(patch: MaintenancePatch) -> Result<MaintenancePatch, Problem> {
    for (name, text) in [("note", &patch.note), ("cause", &patch.cause), ("remedy", &patch.remedy)] {
        asked::reason(name, text.as_deref())?;
    }
    patch.title.as_deref().map_or(Ok(()), |text| title("title", text))?;
    if let Some(priority) = patch.priority {
        asked::within("priority", Some(priority), 5, 1..=9)?;
    }
    let times = [("due_ms", patch.due_ms), ("failed_ms", patch.failed_ms), ("restored_ms", patch.restored_ms)];
    for (name, ms) in times {
        ms.flatten().map(|ms| asked::time(name, ms)).transpose()?;
    }
    Ok(patch)
}

/// Changes what is said of an order. Title, priority and due date are an engineer's, and stay once it has ended.
#[utoipa::path(patch, path = "/api/mes/maintenance/orders/{number}", params(("number" = String, Path)), request_body = ChangedMaintenance,
    responses((status = 200, body = MaintenanceOrderView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn change(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(new): Json<ChangedMaintenance>,
) -> Result<Json<MaintenanceOrderView>, Overtaken> {
    let planned = new.title.is_some() || new.priority.is_some() || new.due_ms.is_some();
    let action = if planned { Action::Configure } else { Action::Operate };
    let patch = checked(MaintenancePatch {
        title: new.title,
        priority: new.priority,
        due_ms: new.due_ms,
        note: new.note,
        code: new.code,
        failed_ms: new.failed_ms,
        restored_ms: new.restored_ms,
        cause: new.cause,
        remedy: new.remedy,
    })?;
    order_for(&app, &caller, &number, action).await?;
    let changed = app.maintenance.change(number, new.version, new.key, patch, caller.who.clone());
    Ok(Json(named(&app, answered(&app, changed).await?)))
}

/// Something is done with a maintenance order.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DoneMaintenance {
    /// The version that was looked at.
    version: u64,
    /// By which this request is known when it comes again.
    key: Uuid,
    /// Why, in one line of at most 200 characters.
    reason: Option<String>,
    /// Of a pause: `Held` or `Suspended`.
    why: Option<String>,
    /// Of a preparation: `Waiting`, `Ready` or `Loaded`.
    prepared: Option<String>,
    /// Of a finish: when the equipment was restored; now if missing.
    restored_ms: Option<i64>,
    /// Of a finish: why it failed.
    code: Option<String>,
    /// Of a finish: what caused it.
    cause: Option<String>,
    /// Of a finish: what was done about it.
    remedy: Option<String>,
}

/// Releases, revokes, prepares, begins, joins, leaves, pauses, resumes, finishes, cancels or closes an order. The same key again is done once.
#[utoipa::path(post, path = "/api/mes/maintenance/orders/{number}/{trigger}",
    params(("number" = String, Path), ("trigger" = String, Path, description = "`release`, `revoke`, `prepare`, `begin`, `join`, `leave`, `pause`, `resume`, `finish`, `cancel` or `close`")), request_body = DoneMaintenance,
    responses((status = 200, body = MaintenanceOrderView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn act(
    State(app): State<App>,
    caller: Caller,
    Path((number, trigger)): Path<(String, String)>,
    Json(done): Json<DoneMaintenance>,
) -> Result<Json<MaintenanceOrderView>, Overtaken> {
    let find = |words: &[&'static str]| words.iter().find(|word| **word == trigger).copied();
    let (deed, action) = match (find(&OPERATED), find(&CONFIGURED)) {
        (Some(deed), _) => (deed, Action::Operate),
        (None, Some(deed)) => (deed, Action::Configure),
        (None, None) => return Err(Problem::not_found("this address").into()),
    };
    let failure = checked(MaintenancePatch {
        code: done.code.map(Some),
        restored_ms: done.restored_ms.map(Some),
        cause: done.cause,
        remedy: done.remedy,
        ..MaintenancePatch::default()
    })?;
    if deed != "finish" && failure != MaintenancePatch::default() {
        return Err(
            Problem::bad_request("what is said of the failure goes with \"finish\", or is changed with PATCH").into()
        );
    }
    let into = match deed {
        "pause" => done.why,
        "prepare" => done.prepared,
        _ => None,
    };
    let reason = reason(done.reason)?;
    order_for(&app, &caller, &number, action).await?;
    let wish = DeedWish { deed, version: done.version, key: done.key, reason, into, failure };
    Ok(Json(named(&app, answered(&app, app.maintenance.act(number, wish, caller.who.clone())).await?)))
}

/// A part that was used, or put back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UsedPart {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// The material.
    material: String,
    /// How much, in its unit; below zero: put back.
    quantity: f64,
    /// Its lot.
    lot: Option<String>,
    /// Its serial number.
    serial: Option<String>,
    /// What the person writes about it.
    note: Option<String>,
}

/// Notes a part that was used, from the begin of an order until it is closed.
#[utoipa::path(post, path = "/api/mes/maintenance/orders/{number}/parts", params(("number" = String, Path)), request_body = UsedPart,
    responses((status = 200, body = MaintenanceOrderView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken), (status = 422, body = Problem)))]
pub async fn part(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(used): Json<UsedPart>,
) -> Result<Json<MaintenanceOrderView>, Overtaken> {
    asked::reason("note", used.note.as_deref())?;
    for (name, text) in
        [("material", Some(&used.material)), ("lot", used.lot.as_ref()), ("serial", used.serial.as_ref())]
    {
        text.map_or(Ok(()), |text| title(name, text))?;
    }
    order_for(&app, &caller, &number, Action::Operate).await?;
    let UsedPart { key, material, quantity, lot, serial, note } = used;
    let wish = PartWish { key, material, lot, serial, quantity, note };
    Ok(Json(named(&app, answered(&app, app.maintenance.part(number, wish, caller.who.clone())).await?)))
}

/// Confirms that the caller has seen an instruction of an order, in the content in force.
#[utoipa::path(post, path = "/api/mes/maintenance/orders/{number}/seen", params(("number" = String, Path)), request_body = SeenInstruction,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Overtaken)))]
pub async fn seen(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Json(seen): Json<SeenInstruction>,
) -> Result<StatusCode, Overtaken> {
    order_for(&app, &caller, &number, Action::Operate).await?;
    let wish: SeenWish = seen.into();
    answered(&app, app.maintenance.seen(number, wish, caller.who.clone())).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The ledger of an order.
#[derive(Serialize, ToSchema)]
pub struct MaintenanceLedger {
    entries: Vec<MaintenanceEntryView>,
    /// Send it as `after` for the entries before these; `null`: there are none.
    next: Option<u64>,
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MaintenanceLedgerQuery {
    /// How many, 1–10,000; 1,000 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<u64>,
}

/// What happened to an order: the newest entries, or those before a page of them, the oldest first. Nothing of it is ever changed.
#[utoipa::path(get, path = "/api/mes/maintenance/orders/{number}/ledger", params(("number" = String, Path), MaintenanceLedgerQuery),
    responses((status = 200, body = MaintenanceLedger), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn ledger(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
    Query(query): Query<MaintenanceLedgerQuery>,
) -> Result<Json<MaintenanceLedger>, Overtaken> {
    let limit = asked::within("limit", query.limit, 1_000, 1..=MOST_ENTRIES)?;
    order_seen(&app, &caller, &number).await?;
    let (mut entries, next) = answered(&app, app.maintenance.ledger(number, query.after, limit)).await?;
    for entry in &mut entries {
        entry.by_name = app.accounts.name_of(entry.by);
    }
    Ok(Json(MaintenanceLedger { entries, next }))
}

/// Plans, and where they stand.
#[derive(Serialize, ToSchema)]
pub struct MaintenancePlans {
    /// Now, in ms since 1970.
    now_ms: i64,
    /// They.
    plans: Vec<MaintenancePlanView>,
}

/// Which plans.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PlansQuery {
    /// Of equipment on or below this path.
    branch: Option<String>,
}

/// Maintenance plans: what is overdue, due and soon due first.
#[utoipa::path(get, path = "/api/mes/maintenance/plans", params(PlansQuery), responses((status = 200, body = MaintenancePlans)))]
pub async fn plans(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PlansQuery>,
) -> Result<Json<MaintenancePlans>, Overtaken> {
    let branch = query.branch.unwrap_or_default();
    let mut plans = answered(&app, app.maintenance.plans()).await?;
    plans.retain(|plan| caller.sees(&app, &plan.equipment) && andon_model::path::is_under(&plan.equipment, &branch));
    for cancelled in plans.iter_mut().filter_map(|plan| plan.cancelled.as_mut()) {
        cancelled.by_name = app.accounts.name_of(cancelled.by);
    }
    Ok(Json(MaintenancePlans { now_ms: app.maintenance.now().millis(), plans }))
}

/// Of what, and when.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FiguresQuery {
    /// At or below which path.
    path: String,
    /// The first instant, in ms since 1970.
    from_ms: i64,
    /// The first instant after it.
    to_ms: i64,
}

/// Failures, MTBF, MTTF, MTTR and the corrective maintenance ratio of a window; what is to come is left out of it.
#[utoipa::path(get, path = "/api/mes/maintenance/figures", params(FiguresQuery),
    responses((status = 200, body = MaintenanceFiguresView), (status = 400, body = Problem), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn figures(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FiguresQuery>,
) -> Result<Json<MaintenanceFiguresView>, Overtaken> {
    asked::in_order(Some(query.from_ms), Some(query.to_ms))?;
    let window = Window { from: asked::time("from_ms", query.from_ms)?, to: asked::time("to_ms", query.to_ms)? };
    if !caller.sees(&app, &query.path) {
        return Err(Problem::not_found("a machine at or below this path").into());
    }
    Ok(Json(answered(&app, app.maintenance.figures(query.path, window)).await?))
}
