//! The shift logbook and hand-overs.
//!
//! Whoever may view a place sees what is written there. Writing, handing over and confirming need `Operate` at the place; an entry is put
//! right by who wrote it, or with `Configure`.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::shift::{
    EntriesPage, EntryView, EntryWish, HandoverView, HandoverWish, HandoversPage, Links, ProposedHandover,
};
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_model::path::is_under;
use andon_model::text::{check_line, check_lines};
use andon_store::logbook::{EntryFilter, HANDOVER};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What people write.
const KINDS: [&str; 7] = ["note", "safety", "quality", "production", "material", "maintenance", HANDOVER];
/// The longest text, in bytes.
const TEXT_LIMIT: usize = 4_000;
/// The longest name of what an entry is about.
const LINK_LIMIT: usize = 255;
/// The most entries that a hand-over keeps open.
const MOST_KEPT: usize = 200;

/// A place of the plant that the caller sees.
pub(super) fn place(app: &App, caller: &Caller, path: &str) -> Result<(), Problem> {
    let is_there = app.bus.plant().plant.equipment.iter().any(|equipment| equipment.path.as_str() == path);
    if is_there && caller.sees(app, path) {
        return Ok(());
    }
    Err(Problem::not_found("this place").remedy("write the path of a node of the plant, such as works/line1"))
}

/// The branches that the caller may view, of them what lies on or below a path; none lies below another.
pub(super) fn branches(app: &App, caller: &Caller, path: Option<&str>) -> Vec<String> {
    let path = path.unwrap_or_default();
    let viewed = caller.branches(app, Action::View).into_iter();
    let narrowed = viewed.filter_map(|branch| {
        if is_under(path, &branch) { Some(path.to_owned()) } else { is_under(&branch, path).then_some(branch) }
    });
    disjoint(narrowed.collect())
}

/// Without those that lie on or below another.
fn disjoint(mut branches: Vec<String>) -> Vec<String> {
    branches.sort();
    branches.dedup();
    let all = branches.clone();
    branches.retain(|branch| !all.iter().any(|other| other != branch && is_under(branch, other)));
    branches
}

pub(super) fn window(from_ms: Option<i64>, to_ms: Option<i64>) -> Result<(Timestamp, Timestamp), Problem> {
    asked::in_order(from_ms, to_ms)?;
    let from = from_ms.map_or(Ok(Timestamp::from_micros(i64::MIN)), |ms| asked::time("from_ms", ms))?;
    let to = to_ms.map_or(Ok(Timestamp::from_micros(i64::MAX)), |ms| asked::time("to_ms", ms))?;
    Ok((from, to))
}

fn lines(name: &str, text: &str, limit: usize) -> Result<(), Problem> {
    if text.trim().is_empty() || text.len() > limit {
        return Err(Problem::bad_request(format!("\"{name}\" must be 1 to {limit} bytes")));
    }
    check_lines(text).map_err(|hidden| Problem::bad_request(format!("in \"{name}\", {hidden}")))
}

fn check_links(links: &Links) -> Result<(), Problem> {
    let named = [("order", &links.order), ("alarm", &links.alarm), ("maintenance", &links.maintenance)];
    for (name, text) in named.into_iter().chain([("machine", &links.machine)]) {
        let Some(text) = text else { continue };
        if text.is_empty() || text.len() > LINK_LIMIT {
            return Err(Problem::bad_request(format!("\"{name}\" must be 1 to {LINK_LIMIT} bytes")));
        }
        check_line(text).map_err(|hidden| Problem::bad_request(format!("in \"{name}\", {hidden}")))?;
    }
    Ok(())
}

/// Which entries.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LogbookQuery {
    /// On or below this path; everything one sees if missing.
    path: Option<String>,
    /// One or several of `note`, `safety`, `quality`, `production`, `material`, `maintenance`, `handover`, separated by commas; all if missing.
    kind: Option<String>,
    /// Only those that are to be handed over still, and hand-overs that nobody has confirmed.
    open: Option<bool>,
    /// Written from then on, in ms since 1970.
    from_ms: Option<i64>,
    /// Written before then.
    to_ms: Option<i64>,
    /// Stands in the text, without regard to case; at most 100 characters.
    text: Option<String>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<u64>,
}

/// Entries of the logbook, the newest first.
#[utoipa::path(get, path = "/api/mes/logbook", params(LogbookQuery), responses((status = 200, body = EntriesPage), (status = 400, body = Problem)))]
pub async fn entries(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LogbookQuery>,
) -> Result<Json<EntriesPage>, Problem> {
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    if query.text.as_ref().is_some_and(|text| text.chars().count() > 100) {
        return Err(Problem::bad_request("\"text\" is longer than 100 characters"));
    }
    let filter = EntryFilter {
        kinds: asked::words("kind", query.kind.as_deref(), &KINDS)?,
        open: query.open,
        window: window(query.from_ms, query.to_ms)?,
        text: query.text.filter(|text| !text.is_empty()),
        after: query.after,
        ..EntryFilter::of(branches(&app, &caller, query.path.as_deref()), limit)
    };
    Ok(Json(app.logbook.entries(filter).await?))
}

async fn seen(app: &App, caller: &Caller, number: u64) -> Result<EntryView, Problem> {
    let entry = app.logbook.entry(number).await?;
    if caller.sees(app, &entry.path) { Ok(entry) } else { Err(Problem::not_found("this entry")) }
}

/// An entry of the logbook.
#[utoipa::path(get, path = "/api/mes/logbook/{number}", params(("number" = u64, Path)), responses((status = 200, body = EntryView), (status = 404, body = Problem)))]
pub async fn entry(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<u64>,
) -> Result<Json<EntryView>, Problem> {
    Ok(Json(seen(&app, &caller, number).await?))
}

/// A new entry.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLogbookEntry {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// The place: any node of the plant.
    path: String,
    /// `note`, `safety`, `quality`, `production`, `material`, `maintenance`.
    kind: String,
    /// 1 to 4,000 bytes; lines may break.
    text: String,
    /// It is to be handed over.
    #[serde(default)]
    pinned: bool,
    /// The entry that it puts right, of the same place.
    corrects: Option<u64>,
    /// What it is about.
    #[serde(default)]
    links: Links,
}

/// Writes an entry, for good. What is wrong is put right by another entry that names it.
#[utoipa::path(post, path = "/api/mes/logbook", request_body = NewLogbookEntry,
    responses((status = 201, body = EntryView), (status = 200, body = EntryView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn write(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewLogbookEntry>,
) -> Result<(StatusCode, Json<EntryView>), Problem> {
    place(&app, &caller, &new.path)?;
    caller.may(&app, Action::Operate, &new.path)?;
    if !KINDS.contains(&new.kind.as_str()) || new.kind == HANDOVER {
        let shown = andon_model::text::shown(&new.kind);
        return Err(Problem::bad_request(format!("\"{shown}\" is no kind of an entry"))
            .remedy(&format!("write one of {}", KINDS[..KINDS.len() - 1].join(", "))));
    }
    lines("text", &new.text, TEXT_LIMIT)?;
    check_links(&new.links)?;
    if let Some(number) = new.corrects {
        let wrong = seen(&app, &caller, number).await?;
        if wrong.by != caller.who.id {
            caller.may(&app, Action::Configure, &wrong.path)?;
        }
    }
    let wish = EntryWish {
        key: new.key,
        path: new.path,
        kind: new.kind,
        text: new.text,
        pinned: new.pinned,
        corrects: new.corrects,
        links: new.links,
    };
    let (made, entry) = app.logbook.write(wish, caller.who.clone()).await?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(entry)))
}

/// Where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HandoverQuery {
    /// The place.
    path: String,
}

/// What is open at a place now: jobs under way, standing alarms, stops that nobody has explained, entries and hand-overs.
#[utoipa::path(get, path = "/api/mes/handover", params(HandoverQuery),
    responses((status = 200, body = ProposedHandover), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn proposed(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<HandoverQuery>,
) -> Result<Json<ProposedHandover>, Problem> {
    place(&app, &caller, &query.path)?;
    caller.may(&app, Action::Operate, &query.path)?;
    Ok(Json(app.logbook.proposed(query.path, caller.who.clone()).await?))
}

/// A hand-over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewHandover {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// The place.
    path: String,
    /// 1 to 4,000 bytes; lines may break.
    summary: String,
    /// Entries that stay open after it is confirmed; at most 200.
    #[serde(default)]
    keep: Vec<u64>,
}

/// Hands over: the summary, and what the node knows to be open now.
#[utoipa::path(post, path = "/api/mes/handovers", request_body = NewHandover,
    responses((status = 201, body = HandoverView), (status = 200, body = HandoverView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn hand_over(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewHandover>,
) -> Result<(StatusCode, Json<HandoverView>), Problem> {
    place(&app, &caller, &new.path)?;
    caller.may(&app, Action::Operate, &new.path)?;
    lines("summary", &new.summary, TEXT_LIMIT)?;
    if new.keep.len() > MOST_KEPT {
        return Err(Problem::bad_request(format!("\"keep\" has more than {MOST_KEPT} entries")));
    }
    let wish = HandoverWish { key: new.key, path: new.path, summary: new.summary, keep: new.keep };
    let (made, handover) = app.logbook.hand_over(wish, caller.who.clone()).await?;
    Ok((if made { StatusCode::CREATED } else { StatusCode::OK }, Json(handover)))
}

/// Which hand-overs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct HandoversQuery {
    /// On or below this path; everything one sees if missing.
    path: Option<String>,
    /// `waiting` or `confirmed`; both if missing.
    state: Option<String>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<u64>,
}

/// Hand-overs, the newest first.
#[utoipa::path(get, path = "/api/mes/handovers", params(HandoversQuery), responses((status = 200, body = HandoversPage), (status = 400, body = Problem)))]
pub async fn handovers(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<HandoversQuery>,
) -> Result<Json<HandoversPage>, Problem> {
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let states = asked::words("state", query.state.as_deref(), &["waiting", "confirmed"])?;
    let open = match states.as_slice() {
        [one] => Some(one == "waiting"),
        _ => None,
    };
    let filter = EntryFilter {
        kinds: vec![HANDOVER.to_owned()],
        open,
        after: query.after,
        ..EntryFilter::of(branches(&app, &caller, query.path.as_deref()), limit)
    };
    Ok(Json(app.logbook.handovers(filter).await?))
}

async fn handover_seen(app: &App, caller: &Caller, number: u64) -> Result<HandoverView, Problem> {
    let handover = app.logbook.handover(number).await?;
    if caller.sees(app, &handover.path) { Ok(handover) } else { Err(Problem::not_found("this hand-over")) }
}

/// A hand-over.
#[utoipa::path(get, path = "/api/mes/handovers/{number}", params(("number" = u64, Path)), responses((status = 200, body = HandoverView), (status = 404, body = Problem)))]
pub async fn handover(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<u64>,
) -> Result<Json<HandoverView>, Problem> {
    Ok(Json(handover_seen(&app, &caller, number).await?))
}

/// That the coming shift has taken over.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct HandoverConfirmed {
    /// By which this request is known when it comes again.
    key: Uuid,
    /// What the coming shift writes, at most 1,000 bytes.
    #[serde(default)]
    note: String,
}

/// Confirms a hand-over, with name and time; once.
#[utoipa::path(post, path = "/api/mes/handovers/{number}/confirm", params(("number" = u64, Path)), request_body = HandoverConfirmed,
    responses((status = 200, body = HandoverView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn confirm(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<u64>,
    Json(wish): Json<HandoverConfirmed>,
) -> Result<Json<HandoverView>, Problem> {
    let handover = handover_seen(&app, &caller, number).await?;
    caller.may(&app, Action::Operate, &handover.path)?;
    asked::reason("note", Some(&wish.note))?;
    Ok(Json(app.logbook.confirm(number, wish.key, wish.note, caller.who.clone()).await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_branch_lies_below_another() {
        let list = |paths: &[&str]| disjoint(paths.iter().map(|path| (*path).to_owned()).collect());
        assert_eq!(list(&["a/b", "a", "a/b/c", "ab", "a"]), ["a", "ab"]);
        assert_eq!(list(&["a", "", "b/c"]), [""]);
        assert_eq!(list(&["a/b", "a/c"]), ["a/b", "a/c"]);
    }
}
