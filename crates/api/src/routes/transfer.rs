//! History out as it is, and long imports in: what `andon history export` and `andon import` talk to.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ingest::batch::Rights;
use crate::outgoing;
use crate::problem::Problem;
use crate::socket::Cut;
use andon_historian::{Historian, HistoryGap};
use andon_model::event::{SystemNote, What};
use andon_model::log::AppendError;
use andon_model::text::check_line;
use andon_model::text::counted;
use andon_model::{TagId, Timestamp};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use uuid::Uuid;

/// Exports at a time; one more is told to come back.
const MOST_EXPORTS: usize = 4;
/// Bytes of one piece of an answer, about.
const PIECE: usize = 64 << 10;
/// A reader that takes no piece for so long is gone, even where its connection goes on (HTTP/2).
const READ_WITHIN: Duration = Duration::from_secs(60);
/// The longest name of an import, in bytes.
const MAX_NAME: usize = 200;

/// Which stretch of which tag.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExportQuery {
    tag: String,
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

/// Every stored point of one tag with `from_ms <= time < to_ms`, ascending, one JSON object a line: `{"path", "ts", "value", "quality"}`, the
/// time in RFC 3339 to the microsecond, the quality as a StatusCode. Such lines, as a list, are taken by `/api/ingest`. What goes wrong on the
/// way ends the answer with a line `{"error": {"message"}}`; an answer that is cut off has no regular end.
#[utoipa::path(get, path = "/api/history/export", params(("tag" = String, Query), ("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query)),
    responses((status = 200, content_type = "application/x-ndjson", body = String), (status = 400, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn export(
    State(app): State<App>,
    caller: Caller,
    cut: Option<Extension<Cut>>,
    Query(query): Query<ExportQuery>,
) -> Result<Response, Problem> {
    let id = app.bus.plant().id_of(&query.tag).filter(|_| caller.sees(&app, &query.tag));
    let id = id.ok_or_else(|| Problem::not_found(&query.tag))?;
    asked::in_order(query.from_ms, query.to_ms)?;
    let border = |ms: Option<i64>, otherwise| ms.map_or(otherwise, Timestamp::from_millis);
    let range = (border(query.from_ms, Timestamp::MIN), border(query.to_ms, Timestamp::MAX));
    let place = app.exports.clone().try_acquire_owned();
    let place = place.map_err(|_| Problem::unavailable(format!("{MOST_EXPORTS} exports are running already")))?;
    let (sender, pieces) = mpsc::channel(2);
    let runtime = tokio::runtime::Handle::current();
    let still = {
        let (app, caller, tag) = (app.clone(), caller.clone(), query.tag.clone());
        move || caller.sees(&app, &tag)
    };
    let may = move || caller.sees(&app, &query.tag).then(|| (query.tag.clone(), app.historian.clone()));
    // Ends with the history, when nobody reads any more, or when the right is gone.
    tokio::task::spawn_blocking(move || {
        let _place = place;
        let send = |piece: Piece| {
            let sent = async { tokio::time::timeout(READ_WITHIN, sender.send(piece)).await };
            let taken = runtime.block_on(sent);
            if taken.is_err() {
                tracing::warn!("an export was ended: its reader has taken none of it for {} s", READ_WITHIN.as_secs());
            }
            taken.is_ok_and(|sent| sent.is_ok())
        };
        write_rows(id, range, may, send);
    });
    let body = outgoing::body(until_the_last(pieces), still, cut.map(|cut| cut.0));
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response())
}

/// Part of an export.
enum Piece {
    /// There is more.
    Rows(Vec<u8>),
    /// There is nothing more.
    Last(Vec<u8>),
}

/// The bytes of pieces up to the last. Where that does not come the answer breaks off: half an export must not look whole.
fn until_the_last(pieces: mpsc::Receiver<Piece>) -> impl Stream<Item = std::io::Result<Bytes>> {
    futures_util::stream::unfold(Some(pieces), |pieces| async move {
        let mut pieces = pieces?;
        Some(match pieces.recv().await {
            Some(Piece::Rows(bytes)) => (Ok(bytes.into()), Some(pieces)),
            Some(Piece::Last(bytes)) => (Ok(bytes.into()), None),
            None => (Err(std::io::Error::other("the export was cut off")), None),
        })
    })
}

/// Writes every row; `may` is asked again for each block.
fn write_rows(
    id: TagId,
    (from, to): (Timestamp, Timestamp),
    may: impl Fn() -> Option<(String, Arc<Historian>)>,
    send: impl Fn(Piece) -> bool,
) {
    let Some((path, historian)) = may() else { return };
    let mut scan = historian.scan(id, from, to);
    let known: Vec<HistoryGap> = scan.gaps();
    let head = format!("{{\"path\":{},\"ts\":\"", serde_json::Value::from(path));
    let mut out = Vec::with_capacity(PIECE * 5 / 4);
    let end = |mut out: Vec<u8>, words: String| {
        let _ = writeln!(out, "{}", serde_json::json!({ "error": { "message": words } }));
        send(Piece::Last(out));
    };
    while let Some(block) = scan.next() {
        if may().is_none() {
            return end(out, "the right to see this tag was taken away".to_owned());
        }
        for (row, ts) in block.ts.iter().enumerate() {
            // Into memory, which does not fail.
            out.extend_from_slice(head.as_bytes());
            let _ = write!(out, "{}\",\"value\":", Timestamp::from_micros(*ts));
            let _ = serde_json::to_writer(&mut out, &block.value(row));
            let _ = writeln!(out, ",\"quality\":{}}}", block.status(row));
            if out.len() >= PIECE {
                let piece = std::mem::replace(&mut out, Vec::with_capacity(PIECE * 5 / 4));
                if !send(Piece::Rows(piece)) {
                    return;
                }
            }
        }
    }
    // What could not be read is a gap that was not known before.
    match scan.gaps().into_iter().find(|gap| !known.contains(gap)) {
        Some(gap) => end(out, format!("history from {} to {} cannot be read: {}", gap.from, gap.to, gap.reason)),
        None => {
            send(Piece::Last(out));
        }
    }
}

/// The places of exports.
pub(crate) fn places() -> Arc<tokio::sync::Semaphore> {
    Arc::new(tokio::sync::Semaphore::new(MOST_EXPORTS))
}

/// An import that begins.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewImport {
    /// What people call it: the file's name.
    name: String,
}

/// An import that has begun.
#[derive(Serialize, ToSchema)]
pub struct ImportBegun {
    /// For `POST /api/ingest?import=…`, and for its end.
    id: Uuid,
}

/// An import that has ended.
#[derive(Serialize, ToSchema)]
pub struct ImportEnded {
    /// Readings that were stored.
    stored: u64,
    /// Rows that were refused.
    refused_rows: u64,
}

async fn record(app: &App, caller: &Caller, action: &str, text: String) -> Result<(), AppendError> {
    let note = What::System(SystemNote { action: action.to_owned(), text });
    app.record(caller, "", None, note).await.map(drop)
}

/// Begins an import: the audit trail says who imports what. Its readings go to `/api/ingest?import=…`, which counts them.
#[utoipa::path(post, path = "/api/imports", request_body = NewImport,
    responses((status = 201, body = ImportBegun), (status = 400, body = Problem), (status = 403, body = Problem), (status = 503, body = Problem)))]
pub async fn begin_import(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<NewImport>,
) -> Result<(StatusCode, Json<ImportBegun>), Problem> {
    Rights::of(&app, &caller).check_any()?;
    if wish.name.is_empty() || wish.name.len() > MAX_NAME {
        return Err(Problem::bad_request(format!("\"name\" has 1 to {MAX_NAME} bytes")));
    }
    check_line(&wish.name).map_err(|hidden| Problem::bad_request(format!("in \"name\", {hidden}")))?;
    let text = format!("an import of {} begins", wish.name);
    let id = andon_bus::ids::new_id(&*app.clock);
    app.ingest_memory.imports.begin(id, caller.who.clone(), wish.name, app.clock.now())?;
    if let Err(error) = record(&app, &caller, "import", text).await {
        // What the audit trail does not know of has not begun, and keeps no place.
        let _ = app.ingest_memory.imports.end(&caller.who, id);
        return Err(Problem::unavailable(error));
    }
    Ok((StatusCode::CREATED, Json(ImportBegun { id })))
}

/// Ends an import: the audit trail says how many points were stored.
#[utoipa::path(post, path = "/api/imports/{id}/end", params(("id" = Uuid, Path)),
    responses((status = 200, body = ImportEnded), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn end_import(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<ImportEnded>, Problem> {
    let import = app.ingest_memory.imports.end(&caller.who, id)?;
    let (stored, refused_rows) = (import.stored, import.refused_rows);
    let (points, rows) = (counted(stored, "point", "points"), counted(refused_rows, "row", "rows"));
    let text = format!("import of {points} from {}; {rows} refused", import.name);
    record(&app, &caller, "imported", text).await.map_err(Problem::unavailable)?;
    Ok(Json(ImportEnded { stored, refused_rows }))
}
