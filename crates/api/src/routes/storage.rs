//! What history takes on disk, how long it is kept, and how far each source has come.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_bus::{Arrived, Way};
use andon_historian::{Damage, GivenUp, Holds, Keep};
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_model::plant::Plant;
use axum::Json;
use axum::extract::State;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// The most branches that are named for one limit.
const BRANCHES_MAX: usize = 20;

/// What history takes, and how far it has come.
#[derive(Serialize, ToSchema)]
pub struct StorageView {
    /// Points in files, and bytes of them.
    points: u64,
    file_bytes: u64,
    rollup_bytes: u64,
    files: usize,
    /// Bytes of history files over points; `null` while there is none.
    bytes_per_point: Option<f64>,
    /// Points that are durable in the log and not yet in files.
    buffered_points: u64,
    buffered_bytes: usize,
    /// Frames of the log that history has not followed yet.
    frames_behind: u64,
    /// Everything received up to then is history.
    complete_to_ms: Option<i64>,
    /// Points taken in per second: over the last 10 to 20 s, the last minute and the last hour, or since the start if that is less;
    /// `null` in the first second.
    points_per_s_now: Option<f64>,
    points_per_s_minute: Option<f64>,
    points_per_s_hour: Option<f64>,
    /// Since the start: points taken in, bytes written, and how many times each byte was written.
    points_taken: u64,
    /// Of these, left out because their tags are compressed.
    points_left_out: u64,
    bytes_written: u64,
    write_amplification: Option<f64>,
    flushes: u64,
    merges: u64,
    /// Merges that the next tidying has to do, as far as is known now.
    merges_waiting: usize,
    /// When files were last tidied without an error; `null`: not since the start.
    tidied_ms: Option<i64>,
    /// Deletes that are not yet worked into the files.
    deletes: usize,
    /// Files that turned out to be damaged, and were not replaced since, in order of time.
    damage: Vec<DamageView>,
    /// Files that outside readers of the open table do not see yet, and why not is in the manual.
    held_back_files: usize,
    /// Damaged files of readings for which nobody waits any more, in order of time.
    given_up: Vec<GivenUpView>,
    /// What went wrong last, until it goes right again.
    last_error: Option<String>,
    /// How long history is kept, the shortest first.
    retention: Vec<RetentionView>,
    /// How far the readings of each source have come.
    sources: Vec<ArrivedView>,
}

/// A file of history that is not what was written, or is gone.
#[derive(Serialize, ToSchema)]
pub struct DamageView {
    file: String,
    /// `readings`: what of them cannot be read is a gap in every answer; `rollups`: sums of readings, without which answers take longer
    /// and are the same, and which are made anew at the next tidying.
    holds: &'static str,
    /// What is wrong, in words that name the file.
    what: String,
    /// The times of the first and the last reading it concerns.
    from_ms: i64,
    to_ms: i64,
    /// How many readings of all tags it concerns.
    readings: u64,
}

/// A damaged file of readings for which nobody waits any more. What of it cannot be read is a gap in every answer.
#[derive(Serialize, ToSchema)]
pub struct GivenUpView {
    file: String,
    /// The times of its first and its last reading.
    from_ms: i64,
    to_ms: i64,
    /// How many readings of all tags it was written with.
    readings: u64,
}

impl GivenUpView {
    pub(super) fn of(lost: &GivenUp) -> Self {
        Self {
            file: lost.file.display().to_string(),
            from_ms: lost.from.millis(),
            to_ms: lost.to.millis(),
            readings: lost.readings,
        }
    }
}

impl DamageView {
    fn of(damage: &Damage) -> Self {
        Self {
            file: damage.file.display().to_string(),
            holds: match damage.holds {
                Holds::Readings => "readings",
                Holds::Rollups => "rollups",
            },
            what: damage.what.clone(),
            from_ms: damage.from.millis(),
            to_ms: damage.to.millis(),
            readings: damage.readings,
        }
    }
}

/// A limit and for what it holds.
#[derive(Serialize, ToSchema)]
pub struct RetentionView {
    /// Days; 0: for ever.
    keep_days: u32,
    /// Whether it is the limit of the settings, which holds wherever the model says nothing.
    default: bool,
    /// Equipment and tags for which the model says it, by path; at most 20.
    branches: Vec<String>,
    /// How many more there are.
    branches_left_off: usize,
    /// The tags of the model for which it holds.
    tags: usize,
    /// About how many points in files are older than it, and go when all days of their file are past it; `null` until files
    /// were tidied since the start, and since the limits changed.
    points_past: Option<u64>,
}

/// How far the readings of a source have come. A sample does not carry its source: of a connector it is the newest reading of any of its
/// tags, of MQTT and HTTP the newest of any sender. A bad reading does not count.
#[derive(Serialize, ToSchema)]
pub struct ArrivedView {
    /// The protocol of a connector, `mqtt`, `http`, or `import`.
    kind: String,
    /// The connector's name; empty for the others.
    name: String,
    /// What people call it.
    title: String,
    /// The source time of the newest reading; `null`: none since the start.
    came_to_ms: Option<i64>,
    /// The same of those that are safely in the log. History follows it, see `complete_to_ms`.
    durable_to_ms: Option<i64>,
    /// When the newest was received.
    received_ms: Option<i64>,
    /// How far `came_to_ms` is behind now; `null` for imports, which are of the past.
    behind_ms: Option<i64>,
}

/// The state of the history on disk.
#[utoipa::path(get, path = "/api/storage", responses((status = 200, body = StorageView), (status = 403, body = Problem)))]
pub async fn storage(State(app): State<App>, caller: Caller) -> Result<Json<StorageView>, Problem> {
    caller.may(&app, Action::Configure, "")?;
    // A disk that hangs keeps nobody else waiting.
    let historian = app.historian.clone();
    let _ = tokio::task::spawn_blocking(move || historian.forget_replaced()).await;
    let stats = app.historian.stats();
    let past = app.historian.overdue().map(|past| past.into_iter().map(|past| (past.keep, past.points)).collect());
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let ratio = |over: u64, under: u64| (under > 0).then(|| over as f64 / under as f64);
    Ok(Json(StorageView {
        points: stats.file_rows,
        file_bytes: stats.file_bytes,
        rollup_bytes: stats.rollup_bytes,
        files: stats.files,
        bytes_per_point: ratio(stats.file_bytes, stats.file_rows),
        buffered_points: stats.buffered_points,
        buffered_bytes: stats.buffered_bytes,
        frames_behind: stats.frames_behind,
        complete_to_ms: stats.complete_to.map(Timestamp::millis),
        points_per_s_now: stats.rates.now,
        points_per_s_minute: stats.rates.minute,
        points_per_s_hour: stats.rates.hour,
        points_taken: stats.points,
        points_left_out: stats.points_left_out,
        bytes_written: stats.bytes_written,
        write_amplification: ratio(stats.bytes_written, stats.bytes_flushed),
        flushes: stats.flushes,
        merges: stats.merges,
        merges_waiting: app.historian.merges_waiting(),
        tidied_ms: stats.tidied.map(Timestamp::millis),
        deletes: stats.deletes,
        damage: stats.damage.iter().map(DamageView::of).collect(),
        held_back_files: stats.held_back_files,
        given_up: stats.given_up.iter().map(GivenUpView::of).collect(),
        last_error: stats.last_error,
        retention: retention(&app.bus.plant().plant, app.historian.keeps_others(), past.as_ref()),
        sources: sources(&app),
    }))
}

/// A row for each limit. A tag is in one of them.
fn retention(plant: &Plant, others: Keep, past: Option<&BTreeMap<Keep, u64>>) -> Vec<RetentionView> {
    let limit = |days| if days == 0 { Keep::ForEver } else { Keep::Days(days) };
    let row = |keep| RetentionView {
        keep_days: if let Keep::Days(days) = keep { days } else { 0 },
        default: keep == others,
        branches: Vec::new(),
        branches_left_off: 0,
        tags: 0,
        points_past: match keep {
            Keep::ForEver => Some(0),
            Keep::Days(_) => past.map(|past| past.get(&keep).copied().unwrap_or(0)),
        },
    };
    let mut rows = BTreeMap::from([(others, row(others))]);
    let mut told = 0;
    for kept in plant.kept() {
        let keep = limit(kept.keep_days);
        let row = rows.entry(keep).or_insert_with(|| row(keep));
        row.tags += kept.tags.len();
        told += kept.tags.len();
        if row.branches.len() < BRANCHES_MAX {
            row.branches.push(kept.path.to_owned());
        } else {
            row.branches_left_off += 1;
        }
    }
    if let Some(others) = rows.get_mut(&others) {
        others.tags += plant.tags.len().saturating_sub(told);
    }
    rows.into_values().collect()
}

fn sources(app: &App) -> Vec<ArrivedView> {
    let (now, stored) = (app.clock.now(), app.bus.all_stored_up_to());
    let view = |kind: &str, name: &str, title: &str, arrived: Arrived| ArrivedView {
        kind: kind.to_owned(),
        name: name.to_owned(),
        title: title.to_owned(),
        came_to_ms: arrived.came_to.map(Timestamp::millis),
        durable_to_ms: arrived.durable_to.map(Timestamp::millis),
        received_ms: arrived.received.map(Timestamp::millis),
        behind_ms: arrived
            .came_to
            .filter(|_| kind != Way::Import.name())
            .map(|came_to| now.millis().saturating_sub(came_to.millis()).max(0)),
    };
    let connectors = app.connectors.arrivals().into_iter();
    let connectors = connectors.map(|(def, arrived)| view(&def.kind, &def.name, &def.title, arrived));
    let maps_topics = !app.bus.plant().plant.topics.is_empty();
    let ways = Way::ALL.into_iter().map(|way| (way, app.bus.arrivals(way).look(stored)));
    // One that nobody uses is no source.
    let ways = ways.filter(|(way, arrived)| arrived.came_to.is_some() || (*way == Way::Mqtt && maps_topics));
    connectors.chain(ways.map(|(way, arrived)| view(way.name(), "", "", arrived))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::EquipmentPath;
    use andon_model::plant::{Equipment, Level, Profile};

    #[test]
    fn every_limit_is_a_row_and_few_branches_are_named() {
        let equipment = (0..30).map(|n| Equipment {
            path: EquipmentPath::parse(&format!("w{n:02}")).expect("a good path"),
            level: Level::Site,
            profile: Profile::Plant,
            title: String::new(),
            description: String::new(),
            keep_days: Some(if n == 0 { 0 } else { 90 }),
        });
        let plant = Plant { equipment: equipment.collect(), ..Plant::default() };
        let past = BTreeMap::from([(Keep::Days(30), 5), (Keep::Days(90), 7)]);
        let shown = |others, past| {
            let rows = retention(&plant, others, past);
            rows.iter()
                .map(|row| (row.keep_days, row.default, row.branches.len(), row.branches_left_off, row.points_past))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            shown(Keep::Days(30), Some(&past)),
            [(30, true, 0, 0, Some(5)), (90, false, 20, 9, Some(7)), (0, false, 1, 0, Some(0))]
        );
        assert_eq!(shown(Keep::ForEver, None), [(90, false, 20, 9, None), (0, true, 1, 0, Some(0))]);
    }
}
