//! Hours, totals and corrections of the shop floor.

use super::outbox::enqueue;
use super::{Store, from_json, to_i64, to_json, to_u64};
use crate::error::{StoreError, database};
use crate::floor::{FloorKeep, FloorRepository, NumberKind, Progress, StoredCorrection, StoredHour, StoredSlot};
use andon_model::event::Event;
use andon_model::log::Seq;
use andon_model::{TagId, Timestamp};
use async_trait::async_trait;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, SqliteConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// So many rows are written with one statement, for each is a way to the database's thread and back.
const AT_A_TIME: usize = 64;
/// So many units or slots are asked for at once.
const ASKED_AT_A_TIME: usize = 500;

const fn word(kind: NumberKind) -> &'static str {
    match kind {
        NumberKind::Node => "node",
        NumberKind::Reason => "reason",
    }
}

#[async_trait]
impl FloorRepository for Store {
    async fn floor_numbers(&self, kind: NumberKind, names: Vec<String>) -> Result<Vec<u32>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut numbers = Vec::with_capacity(names.len());
                let mut known = HashMap::new();
                for (name, number) in names_of(tx, kind).await? {
                    known.insert(name, number);
                }
                let mut next = known.values().max().map_or(0, |last| last + 1);
                for name in names {
                    if let Some(number) = known.get(&name) {
                        numbers.push(*number);
                        continue;
                    }
                    sqlx::query("INSERT INTO floor_number (kind, name, number) VALUES (?, ?, ?)")
                        .bind(word(kind))
                        .bind(name.clone())
                        .bind(i64::from(next))
                        .execute(&mut *tx)
                        .await
                        .map_err(database("number the shop floor"))?;
                    known.insert(name, next);
                    numbers.push(next);
                    next += 1;
                }
                Ok(numbers)
            })
        })
        .await
    }

    async fn floor_names(&self, kind: NumberKind) -> Result<Vec<(String, u32)>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the numbers of the shop floor"))?;
        names_of(&mut connection, kind).await
    }

    async fn floor_hours(&self, units: Vec<u32>, from: i64, to: i64) -> Result<Vec<StoredHour>, StoreError> {
        let mut hours = Vec::new();
        for units in units.chunks(ASKED_AT_A_TIME) {
            let mut query =
                QueryBuilder::<Sqlite>::new("SELECT unit, hour, recorded, derived FROM floor_hour WHERE unit IN (");
            let mut list = query.separated(", ");
            for unit in units {
                list.push_bind(i64::from(*unit));
            }
            query
                .push(") AND hour >= ")
                .push_bind(from)
                .push(" AND hour < ")
                .push_bind(to)
                .push(" ORDER BY unit, hour");
            let rows: Vec<(i64, i64, Vec<u8>, Vec<u8>)> = query
                .build_query_as()
                .fetch_all(self.readers())
                .await
                .map_err(database("read hours of the shop floor"))?;
            hours.extend(rows.into_iter().map(|(unit, hour, recorded, derived)| StoredHour {
                unit: small(unit),
                hour,
                recorded,
                derived,
            }));
        }
        Ok(hours)
    }

    async fn floor_slots(&self, node: u32, slots: Vec<(u8, i64)>) -> Result<Vec<StoredSlot>, StoreError> {
        let mut all = Vec::new();
        for slots in slots.chunks(ASKED_AT_A_TIME) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT level, number, totals FROM floor_slot WHERE node = ");
            query.push_bind(i64::from(node)).push(" AND (level, number) IN (VALUES ");
            let mut list = query.separated(", ");
            for (level, number) in slots {
                list.push("(").push_bind_unseparated(i64::from(*level)).push_unseparated(", ");
                list.push_bind_unseparated(*number).push_unseparated(")");
            }
            query.push(")");
            let rows: Vec<(i64, i64, Vec<u8>)> = query
                .build_query_as()
                .fetch_all(self.readers())
                .await
                .map_err(database("read totals of the shop floor"))?;
            let slot = |(level, number, totals)| StoredSlot {
                node,
                level: u8::try_from(level).unwrap_or(u8::MAX),
                number,
                totals,
            };
            all.extend(rows.into_iter().map(slot));
        }
        Ok(all)
    }

    async fn floor_counters(&self) -> Result<Vec<(TagId, String)>, StoreError> {
        let rows: Vec<(i64, String)> = sqlx::query_as("SELECT tag, shown FROM floor_counter ORDER BY tag")
            .fetch_all(self.readers())
            .await
            .map_err(database("read the counters of the shop floor"))?;
        Ok(rows.into_iter().map(|(tag, shown)| (TagId(small(tag)), shown)).collect())
    }

    async fn floor_corrections(
        &self,
        unit: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredCorrection>, StoreError> {
        let select = format!("{CORRECTION} WHERE unit = ? AND to_at > ? AND from_at < ? ORDER BY number");
        let rows: Vec<CorrectionRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
            .bind(i64::from(unit))
            .bind(from.micros())
            .bind(to.micros())
            .fetch_all(self.readers())
            .await
            .map_err(database("read corrections of the shop floor"))?;
        rows.into_iter().map(correction).collect()
    }

    async fn floor_correction_of(&self, key: Uuid) -> Result<Option<StoredCorrection>, StoreError> {
        let select = format!("{CORRECTION} WHERE key = ?");
        let row: Option<CorrectionRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
            .bind(key.as_bytes().to_vec())
            .fetch_optional(self.readers())
            .await
            .map_err(database("read a correction of the shop floor"))?;
        row.map(correction).transpose()
    }

    async fn floor_keep(&self, keep: FloorKeep) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for hours in keep.hours.chunks(AT_A_TIME) {
                    let mut statement = QueryBuilder::<Sqlite>::new(
                        "INSERT INTO floor_hour (unit, hour, recorded, derived) ",
                    );
                    statement.push_values(hours, |mut row, hour| {
                        row.push_bind(i64::from(hour.unit)).push_bind(hour.hour);
                        row.push_bind(hour.recorded.clone()).push_bind(hour.derived.clone());
                    });
                    statement.push(
                        " ON CONFLICT (unit, hour) DO UPDATE SET recorded = excluded.recorded, derived = excluded.derived",
                    );
                    statement.build().execute(&mut *tx).await.map_err(database("keep hours of the shop floor"))?;
                }
                for slots in keep.slots.chunks(AT_A_TIME) {
                    let mut statement =
                        QueryBuilder::<Sqlite>::new("INSERT INTO floor_slot (node, level, number, totals) ");
                    statement.push_values(slots, |mut row, slot| {
                        row.push_bind(i64::from(slot.node)).push_bind(i64::from(slot.level));
                        row.push_bind(slot.number).push_bind(slot.totals.clone());
                    });
                    statement.push(" ON CONFLICT (node, level, number) DO UPDATE SET totals = excluded.totals");
                    statement.build().execute(&mut *tx).await.map_err(database("keep totals of the shop floor"))?;
                }
                for counters in keep.counters.chunks(AT_A_TIME) {
                    let mut statement =
                        QueryBuilder::<Sqlite>::new("INSERT INTO floor_counter (tag, shown) ");
                    statement.push_values(counters, |mut row, (tag, shown)| {
                        row.push_bind(i64::from(tag.0)).push_bind(shown.clone());
                    });
                    statement.push(" ON CONFLICT (tag) DO UPDATE SET shown = excluded.shown");
                    statement
                        .build()
                        .execute(&mut *tx)
                        .await
                        .map_err(database("keep the counters of the shop floor"))?;
                }
                for (correction, event) in keep.corrections {
                    insert_correction(tx, correction, &event).await?;
                }
                match keep.progress {
                    Some(progress) => set_progress(tx, progress).await,
                    None => Ok(()),
                }
            })
        })
        .await
    }

    async fn floor_progress(&self) -> Result<Option<Progress>, StoreError> {
        let row: Option<(i64, i64, i64)> = sqlx::query_as("SELECT kept_until, first_seq, seen_seq FROM floor_progress")
            .fetch_optional(self.readers())
            .await
            .map_err(database("read how far the shop floor has come"))?;
        Ok(row.map(|(kept_until, first, seen)| Progress {
            kept_until: Timestamp::from_micros(kept_until),
            first: Seq(to_u64(first)),
            seen: Seq(to_u64(seen)),
        }))
    }

    async fn floor_last_correction(&self) -> Result<u32, StoreError> {
        let last: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM floor_correction")
            .fetch_one(self.readers())
            .await
            .map_err(database("read corrections of the shop floor"))?;
        Ok(small(last))
    }
}

const CORRECTION: &str = "SELECT number, unit, from_at, to_at, change, by_id, at, key FROM floor_correction";

type CorrectionRow = (i64, i64, i64, i64, String, Vec<u8>, i64, Vec<u8>);

fn correction(row: CorrectionRow) -> Result<StoredCorrection, StoreError> {
    let (number, unit, from, to, change, by, at, key) = row;
    let [from, to, at] = [from, to, at].map(Timestamp::from_micros);
    let [by, key] = [by, key].map(|bytes| Uuid::from_slice(&bytes).unwrap_or_default());
    let change = from_json(&change, "correction")?;
    Ok(StoredCorrection { number: small(number), unit: small(unit), from, to, change, by, at, key })
}

async fn set_progress(tx: &mut SqliteConnection, progress: Progress) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO floor_progress (id, kept_until, first_seq, seen_seq) VALUES (1, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET kept_until = excluded.kept_until, first_seq = excluded.first_seq, seen_seq = excluded.seen_seq")
        .bind(progress.kept_until.micros())
        .bind(to_i64(progress.first.0))
        .bind(to_i64(progress.seen.0))
        .execute(tx)
        .await
        .map_err(database("keep how far the shop floor has come"))?;
    Ok(())
}

async fn insert_correction(
    tx: &mut SqliteConnection,
    correction: StoredCorrection,
    event: &Event,
) -> Result<(), StoreError> {
    let done = sqlx::query(
        "INSERT INTO floor_correction (number, unit, from_at, to_at, change, by_id, at, key, event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    )
    .bind(i64::from(correction.number))
    .bind(i64::from(correction.unit))
    .bind(correction.from.micros())
    .bind(correction.to.micros())
    .bind(to_json(&correction.change, "correction")?)
    .bind(correction.by.as_bytes().to_vec())
    .bind(correction.at.micros())
    .bind(correction.key.as_bytes().to_vec())
    .bind(event.id.as_bytes().to_vec())
    .execute(&mut *tx)
    .await
    .map_err(database("keep a correction of the shop floor"))?;
    if done.rows_affected() == 0 {
        return Err(StoreError::Taken { what: "correction", name: correction.number.to_string() });
    }
    enqueue(tx, event).await
}

async fn names_of(connection: &mut SqliteConnection, kind: NumberKind) -> Result<Vec<(String, u32)>, StoreError> {
    let rows: Vec<(String, i64)> = sqlx::query_as("SELECT name, number FROM floor_number WHERE kind = ?")
        .bind(word(kind))
        .fetch_all(connection)
        .await
        .map_err(database("read the numbers of the shop floor"))?;
    Ok(rows.into_iter().map(|(name, number)| (name, small(number))).collect())
}

/// The tables' checks let nothing else in.
fn small(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
