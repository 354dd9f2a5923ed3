//! History beyond single points: aggregates over intervals, deleting a stretch, and what history takes on disk.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::routes::storage;
use crate::routes::values::GapView;
use crate::views::json_value;
use andon_historian::aggregate::{Aggregate, AggregateConfiguration, Request};
use andon_historian::{AggregateReadError, Aggregated, CompactError, Damage, DeleteError, GiveUpError};
use andon_model::access::Action;
use andon_model::error::causes;
use andon_model::event::{SystemNote, What};
use andon_model::plant::Interpolation;
use andon_model::text::counted;
use andon_model::{DataType, TagId, Timestamp};
use axum::Json;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use std::path::Path;
use utoipa::ToSchema;

/// Which aggregate of which tag.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AggregateQuery {
    tag: String,
    /// By its name in the standard.
    aggregate: String,
    from_ms: i64,
    to_ms: i64,
    /// 0: one interval over the whole range.
    #[serde(default)]
    interval_ms: i64,
    /// Default: as the tag's `interpolation` says.
    stepped: Option<bool>,
    treat_uncertain_as_bad: Option<bool>,
    percent_data_bad: Option<u8>,
    percent_data_good: Option<u8>,
    use_sloped_extrapolation: Option<bool>,
}

/// One aggregate value for each interval.
#[derive(Serialize, ToSchema)]
pub struct AggregateView {
    tag: String,
    aggregate: String,
    from_ms: i64,
    to_ms: i64,
    interval_ms: i64,
    stepped: bool,
    /// `[ms, value, StatusCode]` for each interval; the StatusCode carries the info bits of OPC 10000-4 (Calculated, Interpolated, Partial …).
    #[schema(value_type = Vec<Vec<Object>>)]
    values: Vec<(i64, serde_json::Value, u32)>,
    /// Everything received up to then is in the answer.
    complete_to_ms: Option<i64>,
    gaps: Vec<GapView>,
}

/// An aggregate of one tag over intervals (OPC 10000-13): `Average`, `TimeAverage2`, `Minimum`, `Count`, `PercentGood` and 32 more.
#[utoipa::path(get, path = "/api/aggregate", params(
    ("tag" = String, Query), ("aggregate" = String, Query, description = "name in the standard, e.g. TimeAverage2"),
    ("from_ms" = i64, Query), ("to_ms" = i64, Query), ("interval_ms" = Option<i64>, Query), ("stepped" = Option<bool>, Query),
    ("treat_uncertain_as_bad" = Option<bool>, Query), ("percent_data_bad" = Option<u8>, Query),
    ("percent_data_good" = Option<u8>, Query), ("use_sloped_extrapolation" = Option<bool>, Query)),
    responses((status = 200, body = AggregateView), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn aggregate(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AggregateQuery>,
) -> Result<Json<AggregateView>, Problem> {
    let settings = Settings {
        stepped: query.stepped,
        treat_uncertain_as_bad: query.treat_uncertain_as_bad,
        percent_data_bad: query.percent_data_bad,
        percent_data_good: query.percent_data_good,
        use_sloped_extrapolation: query.use_sloped_extrapolation,
    };
    let over = Over { from_ms: query.from_ms, to_ms: query.to_ms, interval_ms: query.interval_ms };
    let (of, kind) = (Series { id: tag_of(&app, &caller, &query.tag)?, tag: query.tag }, kind_of(&query.aggregate)?);
    let series = of_tag(&app, of, &[kind], over, &settings).await?.pop();
    series.map(Json).ok_or_else(|| Problem::internal("there is no answer"))
}

/// The most series (tags times aggregates) of one question.
const MAX_SERIES: usize = 100;
/// The most values of one answer, over all its series.
const MAX_VALUES: i128 = 1_000_000;

/// Which aggregates of which tags: each aggregate of each tag.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AggregatesQuery {
    tags: Vec<String>,
    /// By their names in the standard.
    aggregates: Vec<String>,
    from_ms: i64,
    to_ms: i64,
    /// 0: one interval over the whole range.
    #[serde(default)]
    interval_ms: i64,
    /// Default: as each tag's `interpolation` says.
    stepped: Option<bool>,
    treat_uncertain_as_bad: Option<bool>,
    percent_data_bad: Option<u8>,
    percent_data_good: Option<u8>,
    use_sloped_extrapolation: Option<bool>,
}

/// A series for each aggregate of each tag, in the order they were asked for: the first tag with all its aggregates first.
#[derive(Serialize, ToSchema)]
pub struct AggregatesView {
    series: Vec<AggregateView>,
}

/// Several aggregates of several tags over the same intervals: at most 100 series and 1 000 000 values.
#[utoipa::path(post, path = "/api/aggregate", request_body = AggregatesQuery,
    responses((status = 200, body = AggregatesView), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn aggregates(
    State(app): State<App>,
    caller: Caller,
    Json(query): Json<AggregatesQuery>,
) -> Result<Json<AggregatesView>, Problem> {
    let count = query.tags.len().saturating_mul(query.aggregates.len());
    if !(1..=MAX_SERIES).contains(&count) {
        let (tags, aggregates) = (query.tags.len(), query.aggregates.len());
        return Err(Problem::bad_request(format!(
            "{tags} tags with {aggregates} aggregates each are {count} series; 1 to {MAX_SERIES} are answered at once"
        )));
    }
    let over = Over { from_ms: query.from_ms, to_ms: query.to_ms, interval_ms: query.interval_ms };
    let values = over.intervals() * i128::try_from(count).unwrap_or(i128::MAX);
    if values > MAX_VALUES {
        return Err(Problem::bad_request(format!(
            "{count} series of {} intervals are {values} values; at most {MAX_VALUES} are answered at once",
            over.intervals()
        )));
    }
    // All names are checked before anything is read.
    let kinds = query.aggregates.iter().map(|name| kind_of(name)).collect::<Result<Vec<_>, _>>()?;
    let ids = query.tags.iter().map(|tag| tag_of(&app, &caller, tag)).collect::<Result<Vec<_>, _>>()?;
    let settings = Settings {
        stepped: query.stepped,
        treat_uncertain_as_bad: query.treat_uncertain_as_bad,
        percent_data_bad: query.percent_data_bad,
        percent_data_good: query.percent_data_good,
        use_sloped_extrapolation: query.use_sloped_extrapolation,
    };
    let mut series = Vec::with_capacity(count);
    // One after the other: a large question takes no more of the disk than a small one.
    for (tag, id) in query.tags.into_iter().zip(ids) {
        series.extend(of_tag(&app, Series { id, tag }, &kinds, over, &settings).await?);
    }
    Ok(Json(AggregatesView { series }))
}

/// How an aggregate is calculated, where it is not as usual.
struct Settings {
    stepped: Option<bool>,
    treat_uncertain_as_bad: Option<bool>,
    percent_data_bad: Option<u8>,
    percent_data_good: Option<u8>,
    use_sloped_extrapolation: Option<bool>,
}

/// The intervals.
#[derive(Clone, Copy)]
struct Over {
    from_ms: i64,
    to_ms: i64,
    interval_ms: i64,
}

impl Over {
    /// How many; 1 where the question is refused later on.
    fn intervals(self) -> i128 {
        let range = i128::from(self.to_ms) - i128::from(self.from_ms);
        let interval = i128::from(self.interval_ms);
        if interval <= 0 || range <= 0 { 1 } else { (range + interval - 1) / interval }
    }
}

struct Series {
    id: TagId,
    tag: String,
}

fn tag_of(app: &App, caller: &Caller, tag: &str) -> Result<TagId, Problem> {
    let id = app.bus.plant().id_of(tag).filter(|_| caller.sees(app, tag));
    id.ok_or_else(|| Problem::not_found(tag))
}

fn kind_of(name: &str) -> Result<Aggregate, Problem> {
    Aggregate::parse(name).ok_or_else(|| {
        let known: Vec<String> = Aggregate::ALL.into_iter().map(Aggregate::name).collect();
        Problem::bad_request(format!("\"{name}\" is not an aggregate; there are {}", known.join(", ")))
    })
}

/// A series for each aggregate of a tag, in their order.
async fn of_tag(
    app: &App,
    Series { id, tag }: Series,
    kinds: &[Aggregate],
    over: Over,
    settings: &Settings,
) -> Result<Vec<AggregateView>, Problem> {
    // Replaced by each of `kinds`.
    let aggregate = kinds.first().copied().unwrap_or(Aggregate::Count);
    let stepped = settings
        .stepped
        .unwrap_or_else(|| app.bus.plant().tag(id).is_none_or(|tag| tag.interpolation == Interpolation::Stepped));
    let default = AggregateConfiguration::default();
    let interval_us = over
        .interval_ms
        .checked_mul(1000)
        .ok_or_else(|| Problem::bad_request(format!("an interval of {} ms is too long", over.interval_ms)))?;
    let request = Request {
        aggregate,
        from: Timestamp::from_millis(over.from_ms),
        to: Timestamp::from_millis(over.to_ms),
        interval_us,
        stepped,
        config: AggregateConfiguration {
            treat_uncertain_as_bad: settings.treat_uncertain_as_bad.unwrap_or(default.treat_uncertain_as_bad),
            percent_data_bad: settings.percent_data_bad.unwrap_or(default.percent_data_bad),
            percent_data_good: settings.percent_data_good.unwrap_or(default.percent_data_good),
            use_sloped_extrapolation: settings.use_sloped_extrapolation.unwrap_or(default.use_sloped_extrapolation),
        },
    };
    let is_text = app.bus.plant().tag(id).is_some_and(|tag| tag.data_type == DataType::String);
    let answers = match is_text {
        true => app.historian.text_aggregates(id, request, kinds.to_vec()).await,
        false => app.historian.aggregates(id, request, kinds.to_vec()).await,
    };
    let answers = answers.map_err(|error| match error {
        AggregateReadError::Request(error) => Problem::bad_request(error),
        AggregateReadError::Stopped => Problem::unavailable(error),
        AggregateReadError::Points(_) => Problem::internal(error),
    })?;
    let value = |v: &andon_historian::aggregate::AggregateValue| (v.ts.millis(), json_value(&v.value), v.status.0);
    let view = |(kind, answer): (&Aggregate, Aggregated)| AggregateView {
        tag: tag.clone(),
        aggregate: kind.name(),
        from_ms: over.from_ms,
        to_ms: over.to_ms,
        interval_ms: over.interval_ms,
        stepped,
        values: answer.values.iter().map(value).collect(),
        complete_to_ms: answer.complete_to.map(Timestamp::millis),
        gaps: answer.gaps.into_iter().map(GapView::from).collect(),
    };
    Ok(kinds.iter().zip(answers).map(view).collect())
}

/// Which stretch of a tag's history is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeleteHistory {
    tag: String,
    from_ms: i64,
    /// Not part of it.
    to_ms: i64,
    /// Why; it stands in the audit trail.
    reason: String,
}

/// Deletes a tag's points with `from_ms <= time < to_ms`. It is recorded who did it and why; later points of the same time may
/// come again. Other readers of the Parquet files see the points until the files are written anew, a few minutes later.
#[utoipa::path(post, path = "/api/history/delete", request_body = DeleteHistory,
    responses((status = 204), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 503, body = Problem)))]
pub async fn delete(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<DeleteHistory>,
) -> Result<StatusCode, Problem> {
    let id = app.bus.plant().id_of(&wish.tag).filter(|_| caller.sees(&app, &wish.tag));
    let id = id.ok_or_else(|| Problem::not_found(&wish.tag))?;
    caller.may(&app, Action::Configure, &wish.tag)?;
    let reason = wish.reason.trim();
    if reason.is_empty() {
        return Err(Problem::bad_request("\"reason\" is empty: say why this history has to go"));
    }
    let (from, to) = (Timestamp::from_millis(wish.from_ms), Timestamp::from_millis(wish.to_ms));
    if from >= to {
        return Err(Problem::bad_request(DeleteError::Empty { from, to }));
    }
    // The intent is recorded before it takes effect, what came of it afterwards: what cannot be recorded is not done.
    let record = |action: &str, text: String| {
        let note = What::System(SystemNote { action: action.to_owned(), text });
        app.record(&caller, &wish.tag, None, note)
    };
    let intent = format!("history from {from} to {to} is to be deleted: {reason}");
    record("history_delete", intent).await.map_err(Problem::unavailable)?;
    let outcome = app.historian.delete(id, from, to).await;
    let (action, text) = match &outcome {
        Ok(()) => ("history_deleted", format!("history from {from} to {to} was deleted")),
        Err(error) => ("history_delete_failed", format!("history from {from} to {to} was not deleted: {error}")),
    };
    record(action, text).await.map_err(Problem::unavailable)?;
    outcome.map_err(|error| match error {
        DeleteError::Empty { .. } => Problem::bad_request(error),
        DeleteError::TooMany | DeleteError::Log(_) => Problem::unavailable(error),
    })?;
    Ok(StatusCode::NO_CONTENT)
}

fn compacted(damage: &[Damage]) -> String {
    let names: Vec<String> = damage.iter().map(|damage| damage.file.display().to_string()).collect();
    match names.as_slice() {
        [] => "history was compacted".to_owned(),
        names => format!("history was compacted, but for what is damaged and stays as it was: {}", names.join(", ")),
    }
}

/// Writes all that was acknowledged to files and makes one file of each day (or month, where days were joined); answers when it is done. The
/// smallest and quickest history, for one more writing of every byte: before a backup, or after a large import. It is recorded. Every file
/// is compared with its checksums; one that is damaged stays as it was, and stands in `damage`.
#[utoipa::path(post, path = "/api/history/compact",
    responses((status = 200, body = storage::StorageView), (status = 403, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn compact(State(app): State<App>, caller: Caller) -> Result<Json<storage::StorageView>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    // It goes on when the caller has gone, and is recorded all the same.
    let (worker, who) = (app.clone(), caller.clone());
    let work = tokio::spawn(async move {
        let outcome = worker.historian.compact().await;
        let (action, text) = match &outcome {
            Ok(()) => ("history_compacted", compacted(&worker.historian.damage())),
            Err(CompactError::UnderWay) => return Ok(outcome),
            Err(error) => ("history_compact_failed", format!("history was not compacted: {}", causes(error))),
        };
        let note = What::System(SystemNote { action: action.to_owned(), text });
        worker.record(&who, "", None, note).await.map(|_| outcome)
    });
    let outcome = work.await.map_err(Problem::internal)?.map_err(Problem::unavailable)?;
    outcome.map_err(|error| match error {
        CompactError::UnderWay => Problem::new(StatusCode::CONFLICT, "conflict", "not possible now").detail(error),
        CompactError::Follow(_) | CompactError::Flush(_) => Problem::unavailable(causes(&error)),
    })?;
    storage::storage(State(app), caller).await
}

/// The longest path on Linux, in bytes.
const LONGEST_PATH: usize = 4096;
/// The longest reason that is recorded, in bytes.
const LONGEST_REASON: usize = 1000;

/// A damaged file of history that will not be put back.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct GiveUp {
    /// As `damage` in `GET /api/storage` names it, or the end of that, from the folder of its day on.
    file: String,
    /// Why; it stands in the audit trail.
    reason: String,
}

/// Accepts that what cannot be read of a damaged file of readings is lost: it stays a gap in every answer, SQL answers without it, it
/// leaves the open table, and nobody is warned of it any more. Every byte of it is read first: a file that is whole is not given up. It is
/// recorded. If the file is put back after all, `POST /api/history/compact` takes it back.
#[utoipa::path(post, path = "/api/history/give-up", request_body = GiveUp,
    responses((status = 200, body = storage::GivenUpView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 503, body = Problem)))]
pub async fn give_up(
    State(app): State<App>,
    caller: Caller,
    Json(wish): Json<GiveUp>,
) -> Result<Json<storage::GivenUpView>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    let reason = wish.reason.trim();
    if reason.is_empty() {
        return Err(Problem::bad_request("\"reason\" is empty: say why nobody can put this file back"));
    }
    if wish.file.len() > LONGEST_PATH || reason.len() > LONGEST_REASON {
        let what = format!("\"file\" has at most {LONGEST_PATH} bytes, \"reason\" {LONGEST_REASON}");
        return Err(Problem::bad_request(what));
    }
    let file = Path::new(&wish.file);
    let record = |action: &str, text: String| {
        let note = What::System(SystemNote { action: action.to_owned(), text });
        app.record(&caller, "", None, note)
    };
    let name = file.display();
    let intent = format!("the damaged history file {name} is to be given up: {reason}");
    record("history_give_up", intent).await.map_err(Problem::unavailable)?;
    let outcome = app.historian.give_up(file).await;
    let (action, text) = match &outcome {
        Ok(lost) => (
            "history_given_up",
            format!(
                "the damaged history file {} was given up; it was written with {} from {} to {}",
                lost.file.display(),
                counted(lost.readings, "reading", "readings"),
                lost.from,
                lost.to
            ),
        ),
        Err(error) => ("history_give_up_failed", format!("{name} was not given up: {}", causes(error))),
    };
    record(action, text).await.map_err(Problem::unavailable)?;
    let lost = outcome.map_err(|error| match error {
        GiveUpError::Unknown(_) => {
            Problem::new(StatusCode::NOT_FOUND, "not-found", "there is no such thing").detail(error)
        }
        GiveUpError::Already(_) | GiveUpError::Whole(_) => {
            Problem::new(StatusCode::CONFLICT, "conflict", "not possible now").detail(error)
        }
        GiveUpError::NotNow { .. } => Problem::unavailable(error),
        GiveUpError::Flush(error) => Problem::unavailable(causes(&error)),
    })?;
    Ok(Json(storage::GivenUpView::of(&lost)))
}
