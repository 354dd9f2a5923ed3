//! Hours, totals and corrections of the shop floor.

use super::outbox::{applied, enqueue, set_applied};
use super::to_json;
use crate::error::{StoreError, database};
use crate::floor::{
    Figures, FloorKeep, FloorRepository, NumberKind, Progress, StoredCorrection, StoredHour, StoredSlot,
};
use crate::sql::{Link, Row, sql};
use crate::store::Store;
use andon_model::event::Event;
use andon_model::log::{Lane, Seq};
use andon_model::{TagId, Timestamp};
use async_trait::async_trait;
use std::collections::HashMap;
use uuid::Uuid;

/// So many rows are written with one statement, for each is a way to the database's thread and back.
const AT_A_TIME: usize = 64;
/// So many units or slots are asked for at once.
const ASKED_AT_A_TIME: usize = 500;

/// Under which name it is kept that every hour and day has its figures.
const FIGURES: &str = "floor.figures";

const fn word(kind: NumberKind) -> &'static str {
    match kind {
        NumberKind::Node => "node",
        NumberKind::Reason => "reason",
    }
}

#[async_trait]
impl FloorRepository for Store {
    async fn floor_numbers(&self, kind: NumberKind, names: Vec<String>) -> Result<Vec<u32>, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let mut numbers = Vec::with_capacity(names.len());
                let mut known = HashMap::new();
                for (name, number) in names_of(&mut tx, kind).await? {
                    known.insert(name, number);
                }
                let mut next = known.values().max().map_or(0, |last| last + 1);
                let mut new = Vec::new();
                for name in names {
                    let number = *known.entry(name).or_insert_with_key(|name| {
                        new.push((name.clone(), next));
                        next += 1;
                        next - 1
                    });
                    numbers.push(number);
                }
                for names in new.chunks(AT_A_TIME) {
                    let mut statement = sql("INSERT INTO floor_number (kind, name, number) ");
                    statement.push_rows(
                        names
                            .iter()
                            .map(|(name, number)| vec![word(kind).into(), name.clone().into(), (*number).into()]),
                    );
                    statement.run(&mut tx, "number the shop floor").await?;
                }
                Ok(numbers)
            })
        })
        .await
    }

    async fn floor_names(&self, kind: NumberKind) -> Result<Vec<(String, u32)>, StoreError> {
        let mut reading = self.reader("read the numbers of the shop floor").await?;
        names_of(&mut reading.link(), kind).await
    }

    async fn floor_hours(&self, units: Vec<u32>, from: i64, to: i64) -> Result<Vec<StoredHour>, StoreError> {
        let doing = "read hours of the shop floor";
        let mut reading = self.reader(doing).await?;
        let mut hours = Vec::new();
        for units in units.chunks(ASKED_AT_A_TIME) {
            let mut query = sql("SELECT unit, hour, recorded, derived FROM floor_hour WHERE unit IN ");
            query.push_list(units.iter().copied());
            query.push(" AND hour >= ").push_bind(from).push(" AND hour < ").push_bind(to);
            query.push(" ORDER BY unit, hour");
            for row in query.all(&mut reading.link()).await.map_err(database(doing))? {
                hours.push(StoredHour {
                    unit: row.get("unit")?,
                    hour: row.get("hour")?,
                    recorded: row.get("recorded")?,
                    derived: row.get("derived")?,
                });
            }
        }
        Ok(hours)
    }

    async fn floor_slots(&self, node: u32, slots: Vec<(u8, i64)>) -> Result<Vec<StoredSlot>, StoreError> {
        let doing = "read totals of the shop floor";
        let mut reading = self.reader(doing).await?;
        let mut all = Vec::new();
        for slots in slots.chunks(ASKED_AT_A_TIME) {
            let mut query =
                sql("SELECT level, number, totals FROM floor_slot WHERE node = $1 AND (level, number) IN (").bind(node);
            query.push_rows(slots.iter().map(|(level, number)| vec![(*level).into(), (*number).into()]));
            query.push(")");
            for row in query.all(&mut reading.link()).await.map_err(database(doing))? {
                let (level, number) = (row.get("level")?, row.get("number")?);
                all.push(StoredSlot { node, level, number, totals: row.get("totals")? });
            }
        }
        Ok(all)
    }

    async fn floor_without_figures(&self, limit: u32) -> Result<Vec<StoredSlot>, StoreError> {
        let doing = "look for totals of the shop floor without figures";
        let question = "SELECT s.node, s.level, s.number, s.totals FROM floor_slot s WHERE s.level < 2 AND NOT EXISTS \
            (SELECT 1 FROM floor_figure f WHERE f.node = s.node AND f.level = s.level AND f.number = s.number) LIMIT $1";
        self.write(move |mut tx| {
            Box::pin(async move {
                // From then on figures are written with their totals.
                if applied(&mut tx, FIGURES, Lane::Samples).await? > Seq(0) {
                    return Ok(Vec::new());
                }
                let rows = sql(question).bind(limit).all(&mut tx).await.map_err(database(doing))?;
                if rows.is_empty() {
                    set_applied(&mut tx, FIGURES, Lane::Samples, Seq(1)).await?;
                }
                let slot = |row: &Row| {
                    let (node, level, number) = (row.get("node")?, row.get("level")?, row.get("number")?);
                    Ok(StoredSlot { node, level, number, totals: row.get("totals")? })
                };
                rows.iter().map(slot).collect()
            })
        })
        .await
    }

    async fn floor_counters(&self) -> Result<Vec<(TagId, String)>, StoreError> {
        let doing = "read the counters of the shop floor";
        let mut reading = self.reader(doing).await?;
        let rows = sql("SELECT tag, shown FROM floor_counter ORDER BY tag").all(&mut reading.link()).await;
        rows.map_err(database(doing))?.iter().map(|row| Ok((TagId(row.get("tag")?), row.get("shown")?))).collect()
    }

    async fn floor_corrections(
        &self,
        unit: u32,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<StoredCorrection>, StoreError> {
        let doing = "read corrections of the shop floor";
        let mut reading = self.reader(doing).await?;
        let question = "SELECT * FROM floor_correction WHERE unit = $1 AND to_at > $2 AND from_at < $3 ORDER BY number";
        let rows = sql(question).bind(unit).bind(from).bind(to).all(&mut reading.link()).await;
        rows.map_err(database(doing))?.iter().map(correction).collect()
    }

    async fn floor_correction_of(&self, key: Uuid) -> Result<Option<StoredCorrection>, StoreError> {
        let doing = "read a correction of the shop floor";
        let mut reading = self.reader(doing).await?;
        let row = sql("SELECT * FROM floor_correction WHERE key = $1").bind(key).optional(&mut reading.link()).await;
        row.map_err(database(doing))?.as_ref().map(correction).transpose()
    }

    async fn floor_keep(&self, keep: FloorKeep) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                keep_hours(&mut tx, &keep.hours).await?;
                keep_slots(&mut tx, &keep.slots).await?;
                keep_figures(&mut tx, &keep.figures).await?;
                keep_counters(&mut tx, &keep.counters).await?;
                for (correction, event) in keep.corrections {
                    insert_correction(&mut tx, correction, &event).await?;
                }
                match keep.progress {
                    Some(progress) => set_progress(&mut tx, progress).await,
                    None => Ok(()),
                }
            })
        })
        .await
    }

    async fn floor_progress(&self) -> Result<Option<Progress>, StoreError> {
        let doing = "read how far the shop floor has come";
        let mut reading = self.reader(doing).await?;
        let question = sql("SELECT kept_until, first_seq, seen_seq FROM floor_progress");
        let Some(row) = question.optional(&mut reading.link()).await.map_err(database(doing))? else { return Ok(None) };
        let (first, seen) = (Seq(row.get("first_seq")?), Seq(row.get("seen_seq")?));
        Ok(Some(Progress { kept_until: row.get("kept_until")?, first, seen }))
    }

    async fn floor_last_correction(&self) -> Result<u32, StoreError> {
        let doing = "read corrections of the shop floor";
        let mut reading = self.reader(doing).await?;
        let question = sql("SELECT coalesce(max(number), 0) AS last FROM floor_correction");
        question.one(&mut reading.link()).await.map_err(database(doing))?.get("last")
    }
}

fn correction(row: &Row) -> Result<StoredCorrection, StoreError> {
    Ok(StoredCorrection {
        number: row.get("number")?,
        unit: row.get("unit")?,
        from: row.get("from_at")?,
        to: row.get("to_at")?,
        change: row.json("change")?,
        by: row.get("by_id")?,
        at: row.get("at")?,
        key: row.get("key")?,
    })
}

async fn keep_hours(tx: &mut Link<'_>, hours: &[StoredHour]) -> Result<(), StoreError> {
    for hours in hours.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO floor_hour (unit, hour, recorded, derived) ");
        statement.push_rows(hours.iter().map(|hour| {
            vec![hour.unit.into(), hour.hour.into(), hour.recorded.clone().into(), hour.derived.clone().into()]
        }));
        statement
            .push(" ON CONFLICT (unit, hour) DO UPDATE SET recorded = excluded.recorded, derived = excluded.derived");
        statement.execute(tx).await.map_err(database("keep hours of the shop floor"))?;
    }
    Ok(())
}

async fn keep_slots(tx: &mut Link<'_>, slots: &[StoredSlot]) -> Result<(), StoreError> {
    for slots in slots.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO floor_slot (node, level, number, totals) ");
        statement.push_rows(
            slots
                .iter()
                .map(|slot| vec![slot.node.into(), slot.level.into(), slot.number.into(), slot.totals.clone().into()]),
        );
        statement.push(" ON CONFLICT (node, level, number) DO UPDATE SET totals = excluded.totals");
        statement.execute(tx).await.map_err(database("keep totals of the shop floor"))?;
    }
    Ok(())
}

async fn keep_figures(tx: &mut Link<'_>, figures: &[Figures]) -> Result<(), StoreError> {
    for figures in figures.chunks(AT_A_TIME) {
        let mut statement =
            sql("INSERT INTO floor_figure (node, level, number, production, setup, delay, minor_stop, idle, unknown, \
            planned_down, off_shift, good, scrap, rework, work_produced, work_good) ");
        statement.push_rows(figures.iter().map(|figures| {
            let numbers = figures.times.iter().chain(&figures.amounts).chain(&figures.work);
            let key = [figures.node.into(), figures.level.into(), figures.number.into()];
            key.into_iter().chain(numbers.map(|number| (*number).into())).collect()
        }));
        statement.push(
            " ON CONFLICT (node, level, number) DO UPDATE SET production = excluded.production, setup = excluded.setup, \
             delay = excluded.delay, minor_stop = excluded.minor_stop, idle = excluded.idle, unknown = excluded.unknown, \
             planned_down = excluded.planned_down, off_shift = excluded.off_shift, good = excluded.good, scrap = excluded.scrap, \
             rework = excluded.rework, work_produced = excluded.work_produced, work_good = excluded.work_good",
        );
        statement.run(tx, "keep figures of the shop floor").await?;
    }
    Ok(())
}

async fn keep_counters(tx: &mut Link<'_>, counters: &[(TagId, String)]) -> Result<(), StoreError> {
    for counters in counters.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO floor_counter (tag, shown) ");
        statement.push_rows(counters.iter().map(|(tag, shown)| vec![tag.0.into(), shown.as_str().into()]));
        statement.push(" ON CONFLICT (tag) DO UPDATE SET shown = excluded.shown");
        statement.execute(tx).await.map_err(database("keep the counters of the shop floor"))?;
    }
    Ok(())
}

async fn set_progress(tx: &mut Link<'_>, progress: Progress) -> Result<(), StoreError> {
    sql("INSERT INTO floor_progress (id, kept_until, first_seq, seen_seq) VALUES (1, $1, $2, $3) ON CONFLICT (id) DO UPDATE SET kept_until = excluded.kept_until, first_seq = excluded.first_seq, seen_seq = excluded.seen_seq")
        .bind(progress.kept_until)
        .bind(progress.first.0)
        .bind(progress.seen.0)
        .execute(tx)
        .await
        .map_err(database("keep how far the shop floor has come"))?;
    Ok(())
}

async fn insert_correction(tx: &mut Link<'_>, correction: StoredCorrection, event: &Event) -> Result<(), StoreError> {
    let done = sql(
        "INSERT INTO floor_correction (number, unit, from_at, to_at, change, by_id, at, key, event) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
    )
    .bind(correction.number)
    .bind(correction.unit)
    .bind(correction.from)
    .bind(correction.to)
    .bind(to_json(&correction.change, "correction")?)
    .bind(correction.by)
    .bind(correction.at)
    .bind(correction.key)
    .bind(event.id)
    .execute(tx)
    .await
    .map_err(database("keep a correction of the shop floor"))?;
    if done == 0 {
        return Err(StoreError::Taken { what: "correction", name: correction.number.to_string() });
    }
    enqueue(tx, event).await
}

async fn names_of(tx: &mut Link<'_>, kind: NumberKind) -> Result<Vec<(String, u32)>, StoreError> {
    let rows = sql("SELECT name, number FROM floor_number WHERE kind = $1").bind(word(kind)).all(tx).await;
    let rows = rows.map_err(database("read the numbers of the shop floor"))?;
    rows.iter().map(|row| Ok((row.get("name")?, row.get("number")?))).collect()
}
