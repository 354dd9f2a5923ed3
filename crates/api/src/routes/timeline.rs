//! Everything that happened, newest first.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::views::EventView;
use andon_model::access::Action;
use andon_model::event::{SealedEvent, What};
use andon_model::log::Seq;
use andon_model::{EquipmentPath, Timestamp};
use andon_store::{TimelineFilter, TimelineRepository};
use axum::Json;
use axum::extract::{Query, State};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What to look for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimelineQuery {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
    kind: Option<String>,
    path: Option<String>,
    before: Option<u64>,
    limit: Option<u32>,
}

/// A page of the timeline.
#[derive(Serialize, ToSchema)]
pub struct Timeline {
    events: Vec<EventView>,
    /// Send it as `before` for the next page.
    next: Option<u64>,
}

/// An event as this caller sees it.
#[must_use]
pub fn view(app: &App, sealed: &SealedEvent) -> EventView {
    EventView::new(sealed, &app.bus.plant().plant, app.accounts.name_of(sealed.event.by.id))
}

/// Events, newest first.
#[utoipa::path(get, path = "/api/timeline", params(
    ("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query), ("kind" = Option<String>, Query, description = "one or several of `alarm`, `command`, `connection`, `user`, `configuration`, `system`, `note`, `machine`, `order`, `job`, `trace`, `maintenance`, separated by commas; all if missing"),
    ("path" = Option<String>, Query, description = "on or below this path"), ("before" = Option<u64>, Query, description = "the `next` of the page before"),
    ("limit" = Option<u32>, Query, description = "1 to 1,000; 100 if missing")),
    responses((status = 200, body = Timeline), (status = 400, body = Problem)))]
pub async fn timeline(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<TimelineQuery>,
) -> Result<Json<Timeline>, Problem> {
    let limit = asked::within("limit", query.limit, 100, 1..=1000)?;
    let kinds = asked::words("kind", query.kind.as_deref(), &What::KINDS)?;
    asked::in_order(query.from_ms, query.to_ms)?;
    let path = query.path.filter(|p| !p.is_empty());
    if let Some(Err(error)) = path.as_deref().map(EquipmentPath::parse) {
        return Err(Problem::bad_request(format!("\"path\": {error}")));
    }
    let filter = TimelineFilter {
        from: query.from_ms.map(Timestamp::from_millis),
        to: query.to_ms.map(Timestamp::from_millis),
        kinds,
        branches: caller.branches(&app, Action::View),
        path,
        before: query.before.map(Seq),
        limit,
    };
    let events = app.store.timeline_query(filter).await.map_err(Problem::unavailable)?;
    let full = events.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = events.last().filter(|_| full).map(|e| e.seq.0);
    Ok(Json(Timeline { events: events.iter().map(|e| view(&app, e)).collect(), next }))
}
