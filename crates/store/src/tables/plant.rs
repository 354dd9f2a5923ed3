//! Versions of the plant model, and the identity of its tags.

use super::outbox::enqueue;
use super::{aside, from_json, kind_word, to_json, to_kind};
use crate::documents;
use crate::error::{ApplyError, StoreError, database};
use crate::ids::new_id;
use crate::repository::{Applied, Change, PlantRepository, PlantVersion, TagName};
use crate::sql::{Link, Row, sql};
use crate::store::Store;
use andon_model::access::Principal;
use andon_model::event::{ConfigurationChange, Event, What};
use andon_model::plant::{Plant, TagDef};
use andon_model::{TagId, Timestamp};
use async_trait::async_trait;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// So many rows are written with one statement, for each is a way to the database and back.
const AT_A_TIME: usize = 64;
/// So many are asked for, or ended, at once.
const ASKED_AT_A_TIME: usize = 500;
/// How many lines of change, and of how many bytes in all, an event carries; the version keeps all of them.
const EVENT_LINES: usize = 1_000;
const EVENT_LINES_BYTES: usize = 128 << 10;

#[async_trait]
impl PlantRepository for Store {
    async fn current_plant(&self) -> Result<(Plant, Vec<TagId>), StoreError> {
        // Of one moment, so that model and numbers belong together.
        let mut reading = self.moment("read the plant model").await?;
        let newest = newest(&mut reading.link()).await?;
        let numbers = tag_numbers(&mut reading.link()).await?;
        drop(reading);
        let Some(Newest { version, text, .. }) = newest else { return Ok((Plant::default(), Vec::new())) };
        let plant = aside(move || decode(version, &text)).await??;
        let ids = plant.tags.iter().map(|tag| {
            numbers.get(&tag.id).copied().ok_or_else(|| StoreError::Damaged {
                what: "plant model",
                reason: format!("the tag {} has no number", tag.path),
            })
        });
        let ids = ids.collect::<Result<Vec<_>, _>>()?;
        Ok((plant, ids))
    }

    async fn apply_plant(
        &self,
        expected_version: u64,
        plant: Plant,
        by: Principal,
        reason: Option<String>,
    ) -> Result<Applied, ApplyError> {
        let (store, applying) = (self.clone(), Applying { expected_version, plant, by, reason });
        self.write(move |mut tx| Box::pin(async move { applying.run(&store, &mut tx).await })).await?
    }

    async fn rollback(
        &self,
        version: u64,
        expected_version: u64,
        by: Principal,
        reason: Option<String>,
    ) -> Result<Applied, ApplyError> {
        let plant = self.plant_at_version(version).await?.ok_or(ApplyError::NoSuchVersion { version })?;
        let reason = Some(match reason {
            Some(reason) => format!("back to version {version}: {reason}"),
            None => format!("back to version {version}"),
        });
        self.apply_plant(expected_version, plant, by, reason).await
    }

    async fn plant_versions(&self, limit: u32) -> Result<Vec<PlantVersion>, StoreError> {
        let doing = "read the versions of the plant model";
        let mut reading = self.reader(doing).await?;
        let question = "SELECT version, at, by_id, by_kind, reason, changes, event_id FROM plant_version \
            ORDER BY version DESC LIMIT $1";
        let rows = sql(question).bind(limit.min(1_000)).all(&mut reading.link()).await.map_err(database(doing))?;
        rows.iter().map(plant_version).collect()
    }

    async fn plant_at_version(&self, version: u64) -> Result<Option<Plant>, StoreError> {
        if version == 0 {
            return Ok(Some(Plant::default()));
        }
        let doing = "read a version of the plant model";
        let mut reading = self.reader(doing).await?;
        let question = sql("SELECT plant FROM plant_version WHERE version = $1").bind(version);
        let row = question.optional(&mut reading.link()).await.map_err(database(doing))?;
        drop(reading);
        let Some(row) = row else { return Ok(None) };
        let text: String = row.get("plant")?;
        aside(move || decode(version, &text)).await?.map(Some)
    }

    async fn tag_names(&self, id: Uuid) -> Result<Vec<TagName>, StoreError> {
        let doing = "read the names of a tag";
        let mut reading = self.reader(doing).await?;
        let question = "SELECT path, from_at, until_at FROM tag_name WHERE id = $1 ORDER BY from_at, rowid";
        let rows = sql(question).bind(id).all(&mut reading.link()).await.map_err(database(doing))?;
        let name = |row: &Row| {
            Ok(TagName { id, path: row.get("path")?, from: row.get("from_at")?, until: row.get("until_at")? })
        };
        rows.iter().map(name).collect()
    }

    async fn tag_at(&self, path: &str, at: Timestamp) -> Result<Option<Uuid>, StoreError> {
        let doing = "find a tag by its path";
        let mut reading = self.reader(doing).await?;
        let question = "SELECT id FROM tag_name WHERE path = $1 AND from_at <= $2 AND (until_at IS NULL OR until_at > $2) \
            ORDER BY from_at DESC, rowid DESC LIMIT 1";
        let row = sql(question).bind(path).bind(at).optional(&mut reading.link()).await.map_err(database(doing))?;
        row.map(|row| row.get("id")).transpose()
    }
}

/// The model in force, as its row has it.
struct Newest {
    version: u64,
    at: Timestamp,
    text: String,
}

async fn newest(tx: &mut Link<'_>) -> Result<Option<Newest>, StoreError> {
    let row = sql("SELECT version, at, plant FROM plant_version ORDER BY version DESC LIMIT 1").optional(tx).await;
    let Some(row) = row.map_err(database("read the plant model"))? else { return Ok(None) };
    Ok(Some(Newest { version: row.get("version")?, at: row.get("at")?, text: row.get("plant")? }))
}

fn plant_version(row: &Row) -> Result<PlantVersion, StoreError> {
    let kind: String = row.get("by_kind")?;
    Ok(PlantVersion {
        version: row.get("version")?,
        at: row.get("at")?,
        by: Principal { id: row.get("by_id")?, kind: to_kind(&kind)? },
        reason: row.get("reason")?,
        changes: row.json("changes")?,
        event_id: row.get("event_id")?,
    })
}

fn decode(version: u64, text: &str) -> Result<Plant, StoreError> {
    let mut plant: Plant = from_json(text, "plant model")?;
    plant.version = version;
    Ok(plant)
}

async fn tag_numbers(tx: &mut Link<'_>) -> Result<HashMap<Uuid, TagId>, StoreError> {
    let rows = sql("SELECT number, id FROM tag").all(tx).await.map_err(database("read the tags' numbers"))?;
    rows.iter().map(|row| Ok((row.get("id")?, TagId(row.get("number")?)))).collect()
}

/// A new model held against the old one.
enum Compared {
    Same,
    Inconsistent(String),
    Changed { plant: Box<Plant>, changes: Vec<Change>, plant_json: String, changes_json: String },
}

/// Everything about a new model that takes long and needs no database.
fn compare(old: &Plant, mut plant: Plant) -> Result<Compared, StoreError> {
    if let Err(reason) = documents::order_and_check(&mut plant) {
        return Ok(Compared::Inconsistent(reason));
    }
    let changes = documents::plan(old, &plant);
    if changes.is_empty() {
        return Ok(Compared::Same);
    }
    let plant_json = to_json(&plant, "plant model")?;
    let changes_json = to_json(&changes, "changes")?;
    Ok(Compared::Changed { plant: Box::new(plant), changes, plant_json, changes_json })
}

/// A new model on its way into force.
struct Applying {
    expected_version: u64,
    plant: Plant,
    by: Principal,
    reason: Option<String>,
}

impl Applying {
    /// The outer error breaks the transaction off; the inner one is an answer, given before anything was written.
    async fn run(mut self, store: &Store, tx: &mut Link<'_>) -> Result<Result<Applied, ApplyError>, StoreError> {
        let newest = newest(tx).await?;
        let current = newest.as_ref().map_or(0, |newest| newest.version);
        if current != self.expected_version {
            return Ok(Err(ApplyError::Conflict { expected: self.expected_version, current }));
        }
        // Validity times never run backwards, whatever the wall clock does.
        let before = newest.as_ref().map_or(Timestamp::from_micros(i64::MIN), |newest| newest.at);
        let at = store.clock().now().max(before);
        let old = match newest {
            Some(Newest { version, text, .. }) => aside(move || decode(version, &text)).await??,
            None => Plant::default(),
        };
        assign_ids(store, tx, &old, &mut self.plant.tags).await?;
        self.plant.version = current.saturating_add(1);
        let new = std::mem::take(&mut self.plant);
        let (changes, plant_json, changes_json) = match aside(move || compare(&old, new)).await?? {
            Compared::Same => {
                return Ok(Ok(Applied { version: current, changes: Vec::new(), event_id: None }));
            }
            Compared::Inconsistent(reason) => return Ok(Err(ApplyError::Inconsistent { reason })),
            Compared::Changed { plant, changes, plant_json, changes_json } => {
                self.plant = *plant;
                (changes, plant_json, changes_json)
            }
        };
        let event = self.event(store, at, &changes);
        move_names(tx, &self.plant.tags, at).await?;
        self.insert(tx, at, plant_json, changes_json, event.id).await?;
        enqueue(tx, &event).await?;
        Ok(Ok(Applied { version: self.plant.version, changes, event_id: Some(event.id) }))
    }

    fn event(&self, store: &Store, at: Timestamp, changes: &[Change]) -> Event {
        let change = ConfigurationChange {
            version: self.plant.version,
            changes: event_lines(changes),
            reason: self.reason.clone(),
        };
        Event {
            id: new_id(store.clock()),
            at,
            source_at: None,
            path: String::new(),
            by: self.by.clone(),
            what: What::Configuration(change),
        }
    }

    async fn insert(
        &self,
        tx: &mut Link<'_>,
        at: Timestamp,
        plant: String,
        changes: String,
        event: Uuid,
    ) -> Result<(), StoreError> {
        sql("INSERT INTO plant_version (version, at, by_id, by_kind, reason, plant, changes, event_id) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
        .bind(self.plant.version)
        .bind(at)
        .bind(self.by.id)
        .bind(kind_word(self.by.kind))
        .bind(self.reason.clone())
        .bind(plant)
        .bind(changes)
        .bind(event)
        .execute(tx)
        .await
        .map_err(database("write a version of the plant model"))?;
        Ok(())
    }
}

/// The changes as lines, as many as an event may carry, and how many there are beyond.
fn event_lines(changes: &[Change]) -> Vec<String> {
    let mut room = EVENT_LINES_BYTES;
    let mut lines = Vec::new();
    for change in changes.iter().take(EVENT_LINES) {
        let line = change.to_string();
        if line.len() > room {
            break;
        }
        room -= line.len();
        lines.push(line);
    }
    let left_out = changes.len() - lines.len();
    if left_out > 0 {
        lines.push(format!("… and {left_out} more: see the version"));
    }
    lines
}

/// Gives every tag without an id the one its path has, or had last if no other tag has it now, or a new one.
async fn assign_ids(store: &Store, tx: &mut Link<'_>, old: &Plant, tags: &mut [TagDef]) -> Result<(), StoreError> {
    let mut taken: HashSet<Uuid> = tags.iter().map(|tag| tag.id).collect();
    let by_path: HashMap<_, _> = old.tags.iter().map(|tag| (tag.path.clone(), tag.id)).collect();
    let unnamed = tags.iter().filter(|tag| tag.id.is_nil() && !by_path.contains_key(&tag.path));
    let meant = last_meanings(tx, &unnamed.map(|tag| tag.path.as_str()).collect::<Vec<_>>()).await?;
    for tag in tags.iter_mut().filter(|tag| tag.id.is_nil()) {
        let had = by_path.get(&tag.path).or_else(|| meant.get(tag.path.as_str())).copied();
        tag.id = had.filter(|id| !taken.contains(id)).unwrap_or_else(|| new_id(store.clock()));
        taken.insert(tag.id);
    }
    Ok(())
}

/// What each of the paths meant last, if anything.
async fn last_meanings(tx: &mut Link<'_>, paths: &[&str]) -> Result<HashMap<String, Uuid>, StoreError> {
    let mut meant = HashMap::new();
    for paths in paths.chunks(ASKED_AT_A_TIME) {
        let mut question = sql("SELECT path, id FROM tag_name WHERE path IN ");
        question.push_list(paths.iter().copied()).push(" ORDER BY from_at, rowid");
        // The last of a path stays.
        meant.extend(question.rows::<(String, Uuid)>(tx, "find tags by their paths").await?);
    }
    Ok(meant)
}

/// Numbers new tags, ends the names that no longer hold and begins the new ones.
async fn move_names(tx: &mut Link<'_>, tags: &[TagDef], at: Timestamp) -> Result<(), StoreError> {
    let rows = sql("SELECT id, path FROM tag_name WHERE until_at IS NULL").all(tx).await;
    let rows = rows.map_err(database("read the names of the tags"))?;
    let mut now: HashMap<Uuid, String> = HashMap::with_capacity(rows.len());
    for row in &rows {
        now.insert(row.get("id")?, row.get("path")?);
    }
    let wanted: HashMap<Uuid, &str> = tags.iter().map(|tag| (tag.id, tag.path.as_str())).collect();
    let ended = now.iter().filter(|(id, path)| wanted.get(*id) != Some(&path.as_str())).map(|(id, _)| *id);
    for ids in ended.collect::<Vec<_>>().chunks(ASKED_AT_A_TIME) {
        let mut statement = sql("UPDATE tag_name SET until_at = ");
        statement.push_bind(at).push(" WHERE until_at IS NULL AND id IN ").push_list(ids.iter().copied());
        statement.run(tx, "end the names of tags").await?;
    }
    let moved = tags.iter().filter(|tag| now.get(&tag.id).map(String::as_str) != Some(tag.path.as_str()));
    let moved: Vec<&TagDef> = moved.collect();
    number_tags(tx, &moved).await?;
    for tags in moved.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO tag_name (id, path, from_at) ");
        statement.push_rows(tags.iter().map(|tag| vec![tag.id.into(), tag.path.as_str().into(), at.into()]));
        statement.execute(tx).await.map_err(database("begin the name of a tag"))?;
    }
    Ok(())
}

/// Gives those that have none the numbers after the last one; rows are never deleted, so none is given twice.
async fn number_tags(tx: &mut Link<'_>, tags: &[&TagDef]) -> Result<(), StoreError> {
    if tags.is_empty() {
        return Ok(());
    }
    let known = tag_numbers(tx).await?;
    let after = known.values().map(|number| number.0).max().unwrap_or(0);
    let new: Vec<&&TagDef> = tags.iter().filter(|tag| !known.contains_key(&tag.id)).collect();
    let numbered: Vec<(i64, Uuid)> = (i64::from(after) + 1..).zip(new).map(|(number, tag)| (number, tag.id)).collect();
    for tags in numbered.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO tag (number, id) ");
        statement.push_rows(tags.iter().map(|(number, id)| vec![(*number).into(), (*id).into()]));
        statement.execute(tx).await.map_err(database("number a tag"))?;
    }
    Ok(())
}
