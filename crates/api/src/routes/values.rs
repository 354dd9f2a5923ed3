//! Values now, and values then.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::views::{Live, json_value, live};
use andon_model::Timestamp;
use axum::Json;
use axum::extract::State;
use axum::http::Uri;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The fewest points of a thinned answer: first, smallest, largest, last and one bad one.
const MIN_POINTS: usize = 5;
/// The most points of one answer.
const MAX_POINTS: usize = 100_000;

/// Current values.
#[derive(Serialize, ToSchema)]
pub struct Values {
    #[schema(value_type = Vec<Vec<Object>>)]
    values: Vec<Live>,
}

/// The repeated `tag` parameters of a query.
fn tags_of(uri: &Uri) -> Result<Vec<String>, Problem> {
    let query = uri.query().unwrap_or_default();
    let mut tags = Vec::new();
    for pair in query.split('&') {
        match pair.split_once('=') {
            Some(("tag", value)) => {
                tags.push(decode(value).ok_or_else(|| Problem::bad_request("a tag is not percent-encoded UTF-8"))?);
            }
            _ if pair.is_empty() => {}
            _ => return Err(Problem::bad_request("only \"tag\" can be asked for here")),
        }
    }
    Ok(tags)
}

/// Percent-decoding of a query value.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let (high, low) = (char::from(rest.next()?).to_digit(16)?, char::from(rest.next()?).to_digit(16)?);
                u8::try_from(high * 16 + low).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The last value of the given tags, or of every tag that the caller may see.
#[utoipa::path(get, path = "/api/values", params(("tag" = Option<Vec<String>>, Query, description = "tag paths")), responses((status = 200, body = Values), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn values(State(app): State<App>, caller: Caller, uri: Uri) -> Result<Json<Values>, Problem> {
    let plant = app.bus.plant();
    let wanted = tags_of(&uri)?;
    let mut values = Vec::new();
    if wanted.is_empty() {
        for sample in app.bus.last_all() {
            if let Some(tag) = plant.tag(sample.tag).filter(|t| caller.sees(&app, t.path.as_str())) {
                values.push(live(tag.path.as_str(), &sample));
            }
        }
    }
    for path in &wanted {
        let id = plant.id_of(path).filter(|_| caller.sees(&app, path)).ok_or_else(|| Problem::not_found(path))?;
        if let Some(sample) = app.bus.last(id) {
            values.push(live(path, &sample));
        }
    }
    Ok(Json(Values { values }))
}

/// What to read from history.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryQuery {
    tag: String,
    from_ms: i64,
    to_ms: i64,
    max_points: Option<usize>,
}

/// A stretch without data.
#[derive(Serialize, ToSchema)]
pub struct GapView {
    from_ms: i64,
    to_ms: i64,
    reason: String,
}

impl From<andon_historian::HistoryGap> for GapView {
    fn from(gap: andon_historian::HistoryGap) -> Self {
        Self { from_ms: gap.from.millis(), to_ms: gap.to.millis(), reason: gap.reason }
    }
}

/// A stretch of history.
#[derive(Serialize, ToSchema)]
pub struct History {
    tag: String,
    from_ms: i64,
    to_ms: i64,
    /// `[ms, value, StatusCode]`, ascending.
    #[schema(value_type = Vec<Vec<Object>>)]
    points: Vec<(i64, serde_json::Value, u32)>,
    /// The last point before `from_ms`.
    #[schema(value_type = Option<Vec<Object>>)]
    before: Option<(i64, serde_json::Value, u32)>,
    /// Whether points were left out; extremes are kept.
    thinned: bool,
    /// Everything received up to then is in the answer.
    complete_to_ms: Option<i64>,
    gaps: Vec<GapView>,
}

/// History of one tag, thinned to at most `max_points` points (default 2,000) with the extremes kept.
#[utoipa::path(get, path = "/api/history", params(
    ("tag" = String, Query), ("from_ms" = i64, Query), ("to_ms" = i64, Query), ("max_points" = Option<usize>, Query, description = "5 to 100,000; 2,000 if missing")),
    responses((status = 200, body = History), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn history(
    State(app): State<App>,
    caller: Caller,
    axum::extract::Query(query): axum::extract::Query<HistoryQuery>,
) -> Result<Json<History>, Problem> {
    let id = app.bus.plant().id_of(&query.tag).filter(|_| caller.sees(&app, &query.tag));
    let id = id.ok_or_else(|| Problem::not_found(&query.tag))?;
    asked::in_order(Some(query.from_ms), Some(query.to_ms))?;
    let (from, to) = (Timestamp::from_millis(query.from_ms), Timestamp::from_millis(query.to_ms));
    let max = asked::within("max_points", query.max_points, 2000, MIN_POINTS..=MAX_POINTS)?;
    let range = app.historian.range(id, from, to, Some(max)).await.map_err(Problem::unavailable)?;
    let point = |p: &andon_historian::Point| (p.ts.millis(), json_value(&p.value), p.quality.0);
    Ok(Json(History {
        tag: query.tag,
        from_ms: query.from_ms,
        to_ms: query.to_ms,
        points: range.points.iter().map(point).collect(),
        before: range.before.as_ref().map(point),
        thinned: range.thinned,
        complete_to_ms: range.complete_to.map(Timestamp::millis),
        gaps: range.gaps.into_iter().map(GapView::from).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_repeated_tags_with_percent_signs() {
        let uri: Uri = "/api/values?tag=a%2Fb&tag=K%C3%BCche/l".parse().expect("uri");
        assert_eq!(tags_of(&uri).expect("tags"), ["a/b", "Küche/l"]);
        assert!(tags_of(&"/x?tag=%zz".parse().expect("uri")).is_err());
        assert!(tags_of(&"/x?tag=%f".parse().expect("uri")).is_err());
        for misspelt in ["/x?tags=a/b", "/x?tag", "/x?Tag=a/b"] {
            assert!(tags_of(&misspelt.parse().expect("uri")).is_err(), "{misspelt} would have meant every tag");
        }
    }
}
