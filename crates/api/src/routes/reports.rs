//! Reports that are kept: frozen and signed.
//!
//! Whoever may view a place sees its reports; making one needs `Operate` there. An order's report tells of all its jobs, so that it stands
//! at the branch that holds them all; as it names its units and what went into them, it is for those who may view traceability.

use super::logbook::{branches, place, window};
use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::reports::{ReportFile, ReportScheduleView, ReportSubject, ReportView, ReportsPage, WholeReport};
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_store::report::ReportFilter;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const KINDS: [&str; 3] = ["shift", "day", "order"];
/// The longest window of a report.
const LONGEST: Duration = Duration::from_secs(32 * 86_400);
/// The longest name that is asked for, in bytes.
const NAME_LIMIT: usize = 255;

/// Which reports.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ReportsQuery {
    /// One or several of `shift`, `day`, `order`, separated by commas; all if missing.
    kind: Option<String>,
    /// On or below this path; everything one sees if missing.
    path: Option<String>,
    /// Of this order.
    order: Option<String>,
    /// Of this schedule.
    schedule: Option<String>,
    /// Whose window ends after then, in ms since 1970.
    from_ms: Option<i64>,
    /// Whose window begins before then.
    to_ms: Option<i64>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<Uuid>,
}

fn name(name: &str, given: Option<String>) -> Result<Option<String>, Problem> {
    match given.filter(|text| !text.is_empty()) {
        Some(text) if text.len() > NAME_LIMIT => {
            Err(Problem::bad_request(format!("\"{name}\" is longer than {NAME_LIMIT} bytes")))
        }
        given => Ok(given),
    }
}

/// Reports that are kept, the newest first.
#[utoipa::path(get, path = "/api/mes/reports", params(ReportsQuery), responses((status = 200, body = ReportsPage), (status = 400, body = Problem)))]
pub async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ReportsQuery>,
) -> Result<Json<ReportsPage>, Problem> {
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let filter = ReportFilter {
        kinds: asked::words("kind", query.kind.as_deref(), &KINDS)?,
        subject: name("order", query.order)?,
        schedule: name("schedule", query.schedule)?,
        window: window(query.from_ms, query.to_ms)?,
        after: query.after,
        ..ReportFilter::of(branches(&app, &caller, query.path.as_deref()), limit)
    };
    Ok(Json(app.reports.reports(filter).await?))
}

/// A report that the caller sees.
async fn seen(app: &App, caller: &Caller, id: Uuid) -> Result<(), Problem> {
    let place = app.reports.place_of_report(id).await?;
    let may = || !place.is_of_order || super::trace::may(app, caller, Action::View).is_ok();
    if caller.sees(app, &place.path) && may() { Ok(()) } else { Err(Problem::not_found("this report")) }
}

/// A report as it was signed, whether its signature is right, and whether its figures have changed since.
#[utoipa::path(get, path = "/api/mes/reports/{id}", params(("id" = Uuid, Path)), responses((status = 200, body = WholeReport), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn one(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<WholeReport>, Problem> {
    seen(&app, &caller, id).await?;
    Ok(Json(app.reports.report(id).await?))
}

/// The file of a report, which `andon verify report` takes.
#[utoipa::path(get, path = "/api/mes/reports/{id}/file", params(("id" = Uuid, Path)),
    responses((status = 200, content_type = "application/json", body = Vec<u8>), (status = 404, body = Problem)))]
pub async fn file(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<Response, Problem> {
    seen(&app, &caller, id).await?;
    let ReportFile { name, bytes } = app.reports.file(id).await?;
    let disposition = format!("attachment; filename=\"{name}\"");
    let headers = [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, disposition)];
    Ok((headers, bytes).into_response())
}

/// A report to be made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewReportOf {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// `shift`, `day`, `order`.
    kind: String,
    /// The place, of a shift or a day.
    path: Option<String>,
    /// The order's number.
    order: Option<String>,
    /// The window's first instant, in ms since 1970. Without it, the shift that is on or was last, or the day that is on.
    from_ms: Option<i64>,
    /// The first instant after it.
    to_ms: Option<i64>,
}

impl NewReportOf {
    fn window(&self, now: Timestamp) -> Result<Option<(Timestamp, Timestamp)>, Problem> {
        let (Some(from_ms), Some(to_ms)) = (self.from_ms, self.to_ms) else {
            return if self.from_ms.is_none() && self.to_ms.is_none() {
                Ok(None)
            } else {
                Err(Problem::bad_request("\"from_ms\" and \"to_ms\" belong together"))
            };
        };
        asked::in_order(Some(from_ms), Some(to_ms))?;
        let (from, to) = (asked::time("from_ms", from_ms)?, asked::time("to_ms", to_ms)?);
        if to.since(from) > LONGEST {
            return Err(Problem::bad_request("a report is of 32 days at most"));
        }
        if from >= now {
            return Err(Problem::bad_request("this window has not begun"));
        }
        Ok(Some((from, to)))
    }
}

/// Makes a report of what stands recorded now, signs it and keeps it.
#[utoipa::path(post, path = "/api/mes/reports", request_body = NewReportOf,
    responses((status = 201, body = ReportView), (status = 200, body = ReportView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn make(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewReportOf>,
) -> Result<(StatusCode, Json<ReportView>), Problem> {
    let window = new.window(app.clock.now())?;
    let subject = match (new.kind.as_str(), new.path, new.order) {
        ("order", None, Some(order)) if window.is_none() => {
            let unseen = || Problem::not_found(&format!("work order {}", andon_model::text::shown(&order)));
            if !crate::ports::orders::is_number(&order) {
                return Err(unseen());
            }
            let path = app.reports.place_of_order(order.clone()).await?;
            if !caller.sees(&app, &path) {
                return Err(unseen());
            }
            super::trace::may(&app, &caller, Action::View)?;
            caller.may(&app, Action::Operate, &path)?;
            ReportSubject::Order(order)
        }
        (kind @ ("shift" | "day"), Some(path), None) => {
            place(&app, &caller, &path)?;
            caller.may(&app, Action::Operate, &path)?;
            if kind == "shift" { ReportSubject::Shift(path, window) } else { ReportSubject::Day(path, window) }
        }
        _ => {
            return Err(Problem::bad_request("this says no report").remedy(
                "write kind \"shift\" or \"day\" with a path, and from_ms and to_ms or neither; or kind \"order\" with an order alone",
            ));
        }
    };
    let (made, report) = app.reports.make(new.key, subject, caller.who.clone()).await?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(report)))
}

/// Reports that the node makes by itself.
#[derive(Serialize, ToSchema)]
pub struct ReportSchedules {
    /// By name; those of places that one may view.
    schedules: Vec<ReportScheduleView>,
}

/// Which reports the node makes by itself, when it did last and will next, and what it could not do.
#[utoipa::path(get, path = "/api/mes/report-schedules", responses((status = 200, body = ReportSchedules), (status = 503, body = Problem)))]
pub async fn schedules(State(app): State<App>, caller: Caller) -> Result<Json<ReportSchedules>, Problem> {
    let mut schedules = app.reports.schedules().await?;
    schedules.retain(|schedule| caller.sees(&app, &schedule.path));
    Ok(Json(ReportSchedules { schedules }))
}
