//! Versions of the plant model, and the identity of its tags.

use super::outbox::enqueue;
use super::{Store, aside, from_json, kind_word, to_i64, to_id, to_json, to_kind, to_u64};
use crate::documents;
use crate::error::{ApplyError, StoreError, database};
use crate::ids::new_id;
use crate::repository::{Applied, Change, PlantRepository, PlantVersion, TagName};
use andon_model::access::Principal;
use andon_model::event::{ConfigurationChange, Event, What};
use andon_model::plant::{Plant, TagDef};
use andon_model::{TagId, Timestamp};
use async_trait::async_trait;
use sqlx::{Row, SqliteConnection};
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// How many lines of change, and of how many bytes in all, an event carries; the version keeps all of them.
const EVENT_LINES: usize = 1_000;
const EVENT_LINES_BYTES: usize = 128 << 10;

#[async_trait]
impl PlantRepository for Store {
    async fn current_plant(&self) -> Result<(Plant, Vec<TagId>), StoreError> {
        // One transaction, so that model and numbers belong together.
        let mut tx = self.readers().begin().await.map_err(database("read the plant model"))?;
        let newest: Option<(i64, String)> =
            sqlx::query_as("SELECT version, plant FROM plant_version ORDER BY version DESC LIMIT 1")
                .fetch_optional(&mut *tx)
                .await
                .map_err(database("read the plant model"))?;
        let numbers = tag_numbers(&mut tx).await?;
        tx.rollback().await.map_err(database("read the plant model"))?;
        let Some((version, text)) = newest else { return Ok((Plant::default(), Vec::new())) };
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
        self.write(move |tx| Box::pin(async move { applying.run(&store, tx).await })).await?
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
        let rows = sqlx::query(
            "SELECT version, at, by_id, by_kind, reason, changes, event_id FROM plant_version ORDER BY version DESC LIMIT ?",
        )
        .bind(limit.min(1_000))
        .fetch_all(self.readers())
        .await
        .map_err(database("read the versions of the plant model"))?;
        let what = "version of the plant model";
        rows.iter()
            .map(|row| {
                Ok(PlantVersion {
                    version: to_u64(row.get("version")),
                    at: Timestamp::from_micros(row.get("at")),
                    by: Principal { id: to_id(row.get("by_id"), what)?, kind: to_kind(row.get("by_kind"))? },
                    reason: row.get("reason"),
                    changes: from_json(row.get("changes"), what)?,
                    event_id: to_id(row.get("event_id"), what)?,
                })
            })
            .collect()
    }

    async fn plant_at_version(&self, version: u64) -> Result<Option<Plant>, StoreError> {
        if version == 0 {
            return Ok(Some(Plant::default()));
        }
        let row: Option<(String,)> = sqlx::query_as("SELECT plant FROM plant_version WHERE version = ?")
            .bind(to_i64(version))
            .fetch_optional(self.readers())
            .await
            .map_err(database("read a version of the plant model"))?;
        match row {
            Some((text,)) => aside(move || decode(to_i64(version), &text)).await?.map(Some),
            None => Ok(None),
        }
    }

    async fn tag_names(&self, id: Uuid) -> Result<Vec<TagName>, StoreError> {
        let rows: Vec<(String, i64, Option<i64>)> =
            sqlx::query_as("SELECT path, from_at, until_at FROM tag_name WHERE id = ? ORDER BY from_at, rowid")
                .bind(id.as_bytes().to_vec())
                .fetch_all(self.readers())
                .await
                .map_err(database("read the names of a tag"))?;
        let name = |(path, from, until): (String, i64, Option<i64>)| TagName {
            id,
            path,
            from: Timestamp::from_micros(from),
            until: until.map(Timestamp::from_micros),
        };
        Ok(rows.into_iter().map(name).collect())
    }

    async fn tag_at(&self, path: &str, at: Timestamp) -> Result<Option<Uuid>, StoreError> {
        let row: Option<(Vec<u8>,)> = sqlx::query_as(
            "SELECT id FROM tag_name WHERE path = ?1 AND from_at <= ?2 AND (until_at IS NULL OR until_at > ?2) \
             ORDER BY from_at DESC, rowid DESC LIMIT 1",
        )
        .bind(path.to_owned())
        .bind(at.micros())
        .fetch_optional(self.readers())
        .await
        .map_err(database("find a tag by its path"))?;
        row.map(|(bytes,)| to_id(&bytes, "tag's id")).transpose()
    }
}

fn decode(version: i64, text: &str) -> Result<Plant, StoreError> {
    let mut plant: Plant = from_json(text, "plant model")?;
    plant.version = to_u64(version);
    Ok(plant)
}

async fn tag_numbers(tx: &mut SqliteConnection) -> Result<HashMap<Uuid, TagId>, StoreError> {
    let rows: Vec<(i64, Vec<u8>)> =
        sqlx::query_as("SELECT number, id FROM tag").fetch_all(tx).await.map_err(database("read the tags' numbers"))?;
    rows.iter()
        .map(|(number, id)| {
            let number = u32::try_from(*number)
                .map_err(|_| StoreError::Damaged { what: "tag's number", reason: number.to_string() })?;
            Ok((to_id(id, "tag's id")?, TagId(number)))
        })
        .collect()
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
    async fn run(
        mut self,
        store: &Store,
        tx: &mut SqliteConnection,
    ) -> Result<Result<Applied, ApplyError>, StoreError> {
        let newest: Option<(i64, i64, String)> =
            sqlx::query_as("SELECT version, at, plant FROM plant_version ORDER BY version DESC LIMIT 1")
                .fetch_optional(&mut *tx)
                .await
                .map_err(database("read the plant model"))?;
        let current = newest.as_ref().map_or(0, |(version, ..)| to_u64(*version));
        if current != self.expected_version {
            return Ok(Err(ApplyError::Conflict { expected: self.expected_version, current }));
        }
        // Validity times never run backwards, whatever the wall clock does.
        let before = newest.as_ref().map_or(i64::MIN, |(_, at, _)| *at);
        let at = store.clock().now().max(Timestamp::from_micros(before));
        let old = match newest {
            Some((version, _, text)) => aside(move || decode(version, &text)).await??,
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
        tx: &mut SqliteConnection,
        at: Timestamp,
        plant: String,
        changes: String,
        event: Uuid,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO plant_version (version, at, by_id, by_kind, reason, plant, changes, event_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(to_i64(self.plant.version))
        .bind(at.micros())
        .bind(self.by.id.as_bytes().to_vec())
        .bind(kind_word(self.by.kind))
        .bind(self.reason.clone())
        .bind(plant)
        .bind(changes)
        .bind(event.as_bytes().to_vec())
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
async fn assign_ids(
    store: &Store,
    tx: &mut SqliteConnection,
    old: &Plant,
    tags: &mut [TagDef],
) -> Result<(), StoreError> {
    let mut taken: HashSet<Uuid> = tags.iter().map(|tag| tag.id).collect();
    let by_path: HashMap<_, _> = old.tags.iter().map(|tag| (tag.path.clone(), tag.id)).collect();
    for tag in tags.iter_mut().filter(|tag| tag.id.is_nil()) {
        let had = match by_path.get(&tag.path) {
            Some(id) => Some(*id),
            None => last_meaning(tx, tag.path.as_str()).await?,
        };
        tag.id = had.filter(|id| !taken.contains(id)).unwrap_or_else(|| new_id(store.clock()));
        taken.insert(tag.id);
    }
    Ok(())
}

async fn last_meaning(tx: &mut SqliteConnection, path: &str) -> Result<Option<Uuid>, StoreError> {
    let row: Option<(Vec<u8>,)> =
        sqlx::query_as("SELECT id FROM tag_name WHERE path = ? ORDER BY from_at DESC, rowid DESC LIMIT 1")
            .bind(path.to_owned())
            .fetch_optional(tx)
            .await
            .map_err(database("find a tag by its path"))?;
    row.map(|(bytes,)| to_id(&bytes, "tag's id")).transpose()
}

/// Numbers new tags, ends the names that no longer hold and begins the new ones.
async fn move_names(tx: &mut SqliteConnection, tags: &[TagDef], at: Timestamp) -> Result<(), StoreError> {
    let rows: Vec<(Vec<u8>, String)> = sqlx::query_as("SELECT id, path FROM tag_name WHERE until_at IS NULL")
        .fetch_all(&mut *tx)
        .await
        .map_err(database("read the names of the tags"))?;
    let mut now: HashMap<Uuid, &str> = HashMap::with_capacity(rows.len());
    for (id, path) in &rows {
        now.insert(to_id(id, "tag's id")?, path);
    }
    let wanted: HashMap<Uuid, &str> = tags.iter().map(|tag| (tag.id, tag.path.as_str())).collect();
    for id in now.iter().filter(|(id, path)| wanted.get(*id) != Some(*path)).map(|(id, _)| *id) {
        sqlx::query("UPDATE tag_name SET until_at = ? WHERE id = ? AND until_at IS NULL")
            .bind(at.micros())
            .bind(id.as_bytes().to_vec())
            .execute(&mut *tx)
            .await
            .map_err(database("end the name of a tag"))?;
    }
    for tag in tags.iter().filter(|tag| now.get(&tag.id) != Some(&tag.path.as_str())) {
        sqlx::query("INSERT INTO tag (id) VALUES (?) ON CONFLICT (id) DO NOTHING")
            .bind(tag.id.as_bytes().to_vec())
            .execute(&mut *tx)
            .await
            .map_err(database("number a tag"))?;
        sqlx::query("INSERT INTO tag_name (id, path, from_at) VALUES (?, ?, ?)")
            .bind(tag.id.as_bytes().to_vec())
            .bind(tag.path.as_str().to_owned())
            .bind(at.micros())
            .execute(&mut *tx)
            .await
            .map_err(database("begin the name of a tag"))?;
    }
    Ok(())
}
