//! Readings by HTTP: line protocol, JSON or CSV in, durable when answered.

use crate::App;
use crate::auth::Caller;
use crate::ingest::batch::Refused;
use crate::ingest::keys::{self, Answer};
use crate::ingest::{Asked, Form, is_packed, read};
use crate::problem::Problem;
use andon_wire::line_protocol::Precision;
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The most refused rows that are named to whoever asks again with the same key.
const MAX_AGAIN: usize = 10;

/// How to read the body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestQuery {
    precision: Option<String>,
    #[serde(default)]
    partial: bool,
    import: Option<Uuid>,
}

/// What became of a request whose good rows are kept.
#[derive(Serialize, ToSchema)]
pub struct IngestView {
    /// Readings that are stored.
    stored: usize,
    /// Rows that were refused.
    refused_rows: usize,
    /// The first 10,000 of them, as far as their reasons have 1 MiB.
    refused: Vec<RefusedView>,
}

/// A row that was refused.
#[derive(Serialize, ToSchema)]
pub struct RefusedView {
    /// Its line, in JSON the number of the reading; from 1.
    row: usize,
    /// Why, and what to do.
    reason: String,
}

/// The unit of times that are bare numbers.
/// # Errors
/// 400.
pub(crate) fn precision(word: Option<&str>, default: Precision) -> Result<Precision, Problem> {
    match word {
        None | Some("") => Ok(default),
        Some(word) => Precision::parse(word).ok_or_else(|| {
            let word: String = word.chars().take(40).collect();
            Problem::bad_request(format!("\"{word}\" is not a precision: ns, us, ms or s"))
        }),
    }
}

/// Takes readings, in three forms:
/// line protocol (`text/plain`), where a measurement is an equipment path and each field a tag below it: `works/line1/filler
/// pressure=3.1,speed=12000i 1700000000000000000`; `application/json`: `{"path", "ts", "value", "quality"}`, with lists `ts` and
/// `values` for a column, or a list of such items; `text/csv`: columns `path,ts,value[,quality]`, or `ts` and one for each tag.
/// All rows or none; with `partial=true` the good ones, and 200 with what was refused. `Idempotency-Key`: a repeated request
/// is answered as the first and stored once. The body may be packed with gzip.
#[utoipa::path(post, path = "/api/ingest", request_body(content((String = "text/plain"), (Object = "application/json"), (String = "text/csv"))),
    params(("precision" = Option<String>, Query, description = "of times that are bare numbers: ns, us, ms or s; line protocol: ns, otherwise ms"),
        ("partial" = Option<bool>, Query, description = "keep the good rows"), ("import" = Option<Uuid>, Query, description = "from `/api/imports`: counts them there, and refuses rows without a time"), ("Idempotency-Key" = Option<String>, Header)),
    responses((status = 200, description = "with partial=true", body = IngestView), (status = 204), (status = 400, body = Problem), (status = 403, body = Problem),
        (status = 404, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn ingest(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    Query(query): Query<IngestQuery>,
    body: Bytes,
) -> Result<Answer, Problem> {
    let form = form(&headers)?;
    let default = if form == Form::Lines { Precision::Nanoseconds } else { Precision::Milliseconds };
    let precision = precision(query.precision.as_deref(), default)?;
    let packed = is_packed(&headers)?;
    let key = keys::key_of(&headers)?;
    let print = key.is_some().then(|| keys::fingerprint(&uri.to_string(), &headers, &body));
    let asked = Asked { body, packed, form, precision, branch: String::new(), timed: query.import.is_some() };
    let (who, partial) = (caller.who.clone(), query.partial);
    if let Some(import) = query.import {
        app.ingest_memory.imports.check(&who, import)?;
    }
    let work = {
        let app = app.clone();
        async move { store(&app, &caller, asked, partial, query.import).await }
    };
    match key.zip(print) {
        Some((key, print)) => keys::once(&app, who, key, print, work).await,
        None => work.await,
    }
}

async fn store(
    app: &App,
    caller: &Caller,
    asked: Asked,
    partial: bool,
    import: Option<Uuid>,
) -> Result<Answer, Problem> {
    let done = read(app, caller, asked, partial).await?;
    if let Some(import) = import {
        app.ingest_memory.imports.count(import, &done, app.clock.now());
    }
    if !partial {
        return Ok(Answer::new(StatusCode::NO_CONTENT, Bytes::new()));
    }
    let view = |refused: Refused| RefusedView { row: refused.row, reason: refused.fault.to_string() };
    let mut view = IngestView {
        stored: done.stored,
        refused_rows: done.refused_rows,
        refused: done.refused.into_iter().map(view).collect(),
    };
    let json = serde_json::to_vec(&view).map_err(Problem::internal)?;
    view.refused.truncate(MAX_AGAIN);
    let short = serde_json::to_vec(&view).map_err(Problem::internal)?.into();
    Ok(Answer { short, ..Answer::new(StatusCode::OK, json) })
}

/// The form that the content type names; line protocol is also what has none, or one that clients send without meaning it.
fn form(headers: &HeaderMap) -> Result<Form, Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    match kind {
        "application/json" => Ok(Form::Json),
        "text/csv" => Ok(Form::Csv),
        "" | "text/plain" | "application/octet-stream" | "application/x-www-form-urlencoded" => Ok(Form::Lines),
        other => {
            let other: String = other.chars().take(80).collect();
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unknown-form", "readings are not taken in this form")
                .detail(format!("the content type is {other:?}"))
                .remedy("send text/plain (line protocol), application/json or text/csv"))
        }
    }
}
