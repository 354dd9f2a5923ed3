//! What clients of InfluxDB send: line protocol to `/api/v2/write` (2.x) and `/write` (1.x), and their probes.
//!
//! Unlike `/api/ingest`, a request is stored as far as it is good, as InfluxDB does: these clients throw a batch away
//! that is refused, so one unknown tag must not cost all others. A 204 still means that all of it is on disk.

use crate::App;
use crate::auth::{self, Caller};
use crate::ingest::batch::Fault;
use crate::ingest::keys::{self, Answer};
use crate::ingest::{Asked, Done, Form, is_packed, read};
use crate::problem::Problem;
use crate::routes::ingest::precision;
use andon_model::EquipmentPath;
use andon_wire::line_protocol::Precision;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest as _, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::fmt::Write as _;
use utoipa::ToSchema;

/// The most refused lines that an answer names.
const MAX_NAMED: usize = 10;

/// What clients add. Others of their parameters (`org`, `db`, `rp`, `consistency` …) say nothing here.
#[derive(Deserialize)]
pub struct WriteQuery {
    /// The branch; 2.x only.
    bucket: Option<String>,
    precision: Option<String>,
    /// An API token; 1.x only.
    p: Option<String>,
}

/// An error as InfluxDB's clients read it.
#[derive(Serialize, ToSchema)]
pub struct InfluxError {
    /// 2.x: `invalid`, `unauthorized`, `forbidden`, `request too large`, `unavailable` …
    code: &'static str,
    /// 2.x: what is wrong, and what to do.
    message: String,
    /// 1.x: the same.
    error: String,
}

impl InfluxError {
    fn answer(status: StatusCode, message: String) -> Answer {
        let code = match status {
            StatusCode::UNAUTHORIZED => "unauthorized",
            StatusCode::FORBIDDEN => "forbidden",
            StatusCode::PAYLOAD_TOO_LARGE => "request too large",
            StatusCode::UNPROCESSABLE_ENTITY => "unprocessable entity",
            StatusCode::SERVICE_UNAVAILABLE => "unavailable",
            StatusCode::INTERNAL_SERVER_ERROR => "internal error",
            _ => "invalid",
        };
        let body = Self { code, error: message.clone(), message };
        Answer::new(status, serde_json::to_vec(&body).unwrap_or_default())
    }
}

/// A problem in the shape that these clients know.
fn told(problem: Problem) -> Response {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let remedy = problem.remedy.map(|remedy| format!("; {remedy}")).unwrap_or_default();
    let words = problem.detail.unwrap_or(problem.title);
    let mut response = InfluxError::answer(status, format!("{words}{remedy}")).into_response();
    if let Some(seconds) = problem.retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Line protocol of InfluxDB 2.x clients. `works/line1` as `bucket` and `filler,head=3 pressure=3.1` are the tag
/// `works/line1/filler/3/pressure`: the bucket is a branch (`/`: none), then come the measurement, the values of the tags in the
/// order of their keys, and the field. Lines that are refused are told in a 400, and the others are stored. `authorization: Token …` with an API token.
#[utoipa::path(post, path = "/api/v2/write", request_body(content = String, content_type = "text/plain"),
    params(("bucket" = Option<String>, Query, description = "a branch of the tree"), ("precision" = Option<String>, Query, description = "ns, us, ms or s"),
        ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 400, body = InfluxError), (status = 401, body = InfluxError), (status = 403, body = InfluxError), (status = 413, body = InfluxError),
        (status = 415, body = InfluxError), (status = 422, body = InfluxError), (status = 503, body = InfluxError)))]
pub async fn write_2(State(app): State<App>, request: Request) -> Response {
    write(app, request, true).await.unwrap_or_else(told)
}

/// Line protocol of InfluxDB 1.x clients: as `/api/v2/write` without a bucket. The password (`p`, or of basic authentication) is an
/// API token; the user and `db` do not matter.
#[utoipa::path(post, path = "/write", request_body(content = String, content_type = "text/plain"),
    params(("precision" = Option<String>, Query, description = "ns, u, ms, s, m or h"), ("p" = Option<String>, Query), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 204), (status = 400, body = InfluxError), (status = 401, body = InfluxError), (status = 403, body = InfluxError), (status = 413, body = InfluxError),
        (status = 415, body = InfluxError), (status = 422, body = InfluxError), (status = 503, body = InfluxError)))]
pub async fn write_1(State(app): State<App>, request: Request) -> Response {
    write(app, request, false).await.unwrap_or_else(told)
}

async fn write(app: App, request: Request, buckets: bool) -> Result<Response, Problem> {
    let query = Query::<WriteQuery>::try_from_uri(request.uri()).map_err(Problem::bad_request)?.0;
    let (head, body) = request.into_parts();
    let caller = auth::identify_writer(&app, &head, query.p.as_deref()).await?;
    let precision = precision(query.precision.as_deref(), Precision::Nanoseconds)?;
    let branch = if buckets { branch(query.bucket.as_deref().unwrap_or_default())? } else { String::new() };
    let packed = is_packed(&head.headers)?;
    let key = keys::key_of(&head.headers)?;
    let (target, headers) = (head.uri.to_string(), head.headers.clone());
    let body = Bytes::from_request(Request::from_parts(head, body), &app).await.map_err(|refused| {
        let status = refused.status();
        Problem::new(status, "body", "the body cannot be read")
            .detail(format!("{refused}: a body has at most {} bytes", crate::MAX_BODY))
    })?;
    let print = key.is_some().then(|| keys::fingerprint(&target, &headers, &body));
    let asked = Asked { body, packed, form: Form::Influx, precision, branch, timed: false };
    let who = caller.who.clone();
    let work = {
        let app = app.clone();
        async move { store(&app, &caller, asked).await }
    };
    let answer = match key.zip(print) {
        Some((key, print)) => keys::once(&app, who, key, print, work).await?,
        None => work.await?,
    };
    Ok(answer.into_response())
}

/// A bucket as a branch.
fn branch(bucket: &str) -> Result<String, Problem> {
    let branch = bucket.trim_matches('/');
    if branch.is_empty() {
        return Ok(String::new());
    }
    let checked = EquipmentPath::parse(branch).map_err(|error| {
        Problem::bad_request(format!("the bucket is not a branch: {error}"))
            .remedy("name a branch of the tree as the bucket, such as works/line1, or / for none")
    })?;
    Ok(checked.to_string())
}

async fn store(app: &App, caller: &Caller, asked: Asked) -> Result<Answer, Problem> {
    let done = read(app, caller, asked, true).await?;
    if done.refused_rows == 0 {
        return Ok(Answer::new(StatusCode::NO_CONTENT, Bytes::new()));
    }
    if done.stored > 0 {
        return Ok(InfluxError::answer(StatusCode::BAD_REQUEST, in_words(&done)));
    }
    let denied = done.refused.iter().all(|refused| matches!(refused.fault, Fault::Denied(_)));
    let status = if denied { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
    Err(Problem::new(status, "refused", "nothing was stored").detail(in_words(&done)))
}

fn in_words(done: &Done) -> String {
    let mut words = if done.stored == 0 {
        format!("nothing was stored, {} lines were refused", done.refused_rows)
    } else {
        format!("partial write: {} lines were refused, the others are stored", done.refused_rows)
    };
    for (place, refused) in done.refused.iter().take(MAX_NAMED).enumerate() {
        let _ = write!(words, "{} {refused}", if place == 0 { ":" } else { ";" });
    }
    if done.refused_rows > MAX_NAMED {
        let _ = write!(words, "; and {} more", done.refused_rows - MAX_NAMED);
    }
    words
}

/// InfluxDB's clients ask whether somebody is there.
#[utoipa::path(get, path = "/ping", responses((status = 204)))]
pub async fn ping() -> StatusCode {
    StatusCode::NO_CONTENT
}

/// InfluxDB's clients ask whether readings are taken; the same as `/readyz`.
#[utoipa::path(get, path = "/health", responses((status = 200, body = Object), (status = 503, body = Object)))]
pub async fn health(State(app): State<App>) -> Response {
    let (status, word, message) = match app.node.ready() {
        Ok(()) => (StatusCode::OK, "pass", "ready".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, "fail", why),
    };
    (status, Json(json!({ "name": "andon", "status": word, "message": message }))).into_response()
}
