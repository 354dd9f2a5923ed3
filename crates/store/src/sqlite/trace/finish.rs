//! Finished units and their certificates, what stations said that belongs to no unit yet, and which changes were made.

use super::row::{Row, find};
use super::words::Texts;
use super::write::Writing;
use crate::error::{StoreError, database};
use crate::sqlite::outbox::enqueue;
use crate::sqlite::{Store, to_id};
use crate::trace::{
    CertificateState, Finished, Identity, ItemRef, NewCertificate, NewPass, PAGE_MAX, Report, TraceRefusal,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use sqlx::SqliteConnection;
use uuid::Uuid;

/// A certificate is due.
const DUE: i64 = 0;
/// It is there.
const ISSUED: i64 = 1;
/// It cannot be made.
const NOT_POSSIBLE: i64 = 2;

/// Unit, time, equipment, state, why.
type FinishedRow = (Vec<u8>, i64, i64, i64, String);
const FINISHED: &str =
    "SELECT i.id, f.at, f.equipment, f.state, f.why FROM trace_finished f JOIN trace_item i ON i.key = f.unit WHERE ";

impl Writing<'_> {
    /// A unit was at a station: it may be finished by it, or was before.
    pub(super) async fn passed(&mut self, new: &NewPass, unit: &Row, equipment: i64) -> Result<(), StoreError> {
        let at = new.at.micros();
        let known: Option<(i64, i64, i64)> =
            sqlx::query_as("SELECT at, equipment, state FROM trace_finished WHERE unit = ?")
                .bind(unit.key)
                .fetch_optional(&mut *self.tx)
                .await
                .map_err(database("look whether a unit is finished"))?;
        match known {
            // What was said of it before it was finished, and comes before its certificate is made, is in there.
            Some((finished, _, DUE)) if at <= finished => Ok(()),
            Some((finished, at_station, _)) if (at, equipment) != (finished, at_station) => {
                let name = self.name(unit).await?;
                let when = if at > finished { "passed again" } else { "was told late to have passed" };
                let text = format!(
                    "{name} {when} {}, and was finished at {}; its certificate does not tell of it: have it issued anew if that is right, \
                     else look for the unit that has the same serial number",
                    new.equipment,
                    Timestamp::from_micros(finished)
                );
                self.finding("finished", at, [unit.key, 0], text).await
            }
            Some(_) => Ok(()),
            None if new.last && new.passed == Some(true) => {
                sqlx::query("INSERT INTO trace_finished (unit, at, equipment, state, why) VALUES (?, ?, ?, ?, '')")
                    .bind(unit.key)
                    .bind(at)
                    .bind(equipment)
                    .bind(DUE)
                    .execute(&mut *self.tx)
                    .await
                    .map_err(database("record that a unit is finished"))?;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Store {
    pub(super) async fn stations(&self) -> Result<Vec<(String, String)>, StoreError> {
        sqlx::query_as("SELECT equipment, heard FROM trace_station ORDER BY equipment")
            .fetch_all(self.readers())
            .await
            .map_err(database("read what stations said"))
    }

    pub(super) async fn due(&self, until: Timestamp) -> Result<Vec<Finished>, StoreError> {
        let mut view = self.readers().acquire().await.map_err(database("look which certificates are due"))?;
        let rows: Vec<FinishedRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!(
            "{FINISHED} f.state = 0 AND f.at <= ? ORDER BY f.at, f.unit LIMIT ?"
        )))
        .bind(until.micros())
        .bind(i64::from(PAGE_MAX))
        .fetch_all(&mut *view)
        .await
        .map_err(database("look which certificates are due"))?;
        shown(&mut view, rows).await
    }

    pub(super) async fn finished(&self, unit: Uuid) -> Result<Option<Finished>, StoreError> {
        let mut view = self.readers().acquire().await.map_err(database("look whether a unit is finished"))?;
        let rows: Vec<FinishedRow> = sqlx::query_as(sqlx::AssertSqlSafe(format!("{FINISHED} i.id = ?")))
            .bind(unit.as_bytes().to_vec())
            .fetch_all(&mut *view)
            .await
            .map_err(database("look whether a unit is finished"))?;
        Ok(shown(&mut view, rows).await?.pop())
    }

    pub(super) async fn certify(&self, new: NewCertificate, anew: bool, event: Event) -> Result<Report, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some((unit, state)) = state_of(tx, &new.unit).await? else {
                    let reason = "the unit is not finished: it passed no last station".to_owned();
                    return Err(refused(TraceRefusal::Unfit { what: "certificate", reason }));
                };
                if state == ISSUED && !anew {
                    return Ok(Report { repeated: true, ..Report::default() });
                }
                let mut writing = Writing::new(tx, None);
                writing.certificate(&new).await?.map_err(refused)?;
                let report = writing.report;
                set_state(tx, unit, ISSUED, "").await?;
                if report.changed > 0 {
                    enqueue(tx, &event).await?;
                }
                Ok(report)
            })
        })
        .await
    }

    pub(super) async fn not_certified(&self, unit: Uuid, why: String, event: Event) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                if let Some((unit, DUE)) = state_of(tx, &ItemRef::Id(unit)).await? {
                    set_state(tx, unit, NOT_POSSIBLE, &why).await?;
                    enqueue(tx, &event).await?;
                }
                Ok(())
            })
        })
        .await
    }

    pub(super) async fn identify(&self, unit: Uuid, identity: Identity, event: Event) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let Some(row) = find(tx, &ItemRef::Id(unit)).await? else {
                    return Err(refused(TraceRefusal::Unknown { item: ItemRef::Id(unit).to_string() }));
                };
                let by = Writing::new(tx, None).id_word(identity.by).await?;
                let done = sqlx::query(
                    "INSERT INTO trace_identity (unit, device, at, by_id) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING",
                )
                .bind(row.key)
                .bind(identity.device.as_bytes().to_vec())
                .bind(identity.at.micros())
                .bind(by)
                .execute(&mut *tx)
                .await
                .map_err(database("record the credential of a unit"))?;
                let is_new = done.rows_affected() > 0;
                if is_new {
                    enqueue(tx, &event).await?;
                }
                Ok(is_new)
            })
        })
        .await
    }

    pub(super) async fn identity(&self, unit: Uuid) -> Result<Option<Identity>, StoreError> {
        let mut view = self.readers().acquire().await.map_err(database("look for the credential of a unit"))?;
        let row: Option<(Vec<u8>, i64, Option<i64>)> = sqlx::query_as(
            "SELECT t.device, t.at, t.by_id FROM trace_item i JOIN trace_identity t ON t.unit = i.key WHERE i.id = ?",
        )
        .bind(unit.as_bytes().to_vec())
        .fetch_optional(&mut *view)
        .await
        .map_err(database("look for the credential of a unit"))?;
        let Some((device, at, by)) = row else { return Ok(None) };
        let mut texts = Texts::default();
        texts.of(&mut view, by.into_iter().collect()).await?;
        let (device, at) = (to_id(&device, "device of a unit")?, Timestamp::from_micros(at));
        Ok(Some(Identity { device, at, by: texts.id(by) }))
    }
}

fn refused(refusal: TraceRefusal) -> StoreError {
    StoreError::Refused(Box::new(refusal))
}

/// A finished unit's key, and what became of its certificate.
async fn state_of(tx: &mut SqliteConnection, unit: &ItemRef) -> Result<Option<(i64, i64)>, StoreError> {
    let Some(row) = find(tx, unit).await? else { return Ok(None) };
    sqlx::query_as("SELECT unit, state FROM trace_finished WHERE unit = ?")
        .bind(row.key)
        .fetch_optional(tx)
        .await
        .map_err(database("look whether a unit is finished"))
}

async fn set_state(tx: &mut SqliteConnection, unit: i64, state: i64, why: &str) -> Result<(), StoreError> {
    sqlx::query("UPDATE trace_finished SET state = ?, why = ? WHERE unit = ?")
        .bind(state)
        .bind(why.to_owned())
        .bind(unit)
        .execute(tx)
        .await
        .map_err(database("record what became of a certificate"))?;
    Ok(())
}

async fn shown(view: &mut SqliteConnection, rows: Vec<FinishedRow>) -> Result<Vec<Finished>, StoreError> {
    let mut texts = Texts::default();
    texts.of(view, rows.iter().map(|row| row.2).collect()).await?;
    rows.into_iter()
        .map(|(unit, at, equipment, state, why)| {
            let certificate = match state {
                DUE => CertificateState::Due,
                ISSUED => CertificateState::Issued,
                _ => CertificateState::NotPossible(why),
            };
            let (unit, at) = (to_id(&unit, "unit")?, Timestamp::from_micros(at));
            Ok(Finished { unit, at, equipment: texts.text(equipment), certificate })
        })
        .collect()
}

/// Keeps what a station said that belongs to no unit yet.
pub(super) async fn hear(tx: &mut SqliteConnection, equipment: String, heard: String) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO trace_station (equipment, heard) VALUES (?, ?) ON CONFLICT (equipment) DO UPDATE SET heard = excluded.heard",
    )
    .bind(equipment)
    .bind(heard)
    .execute(tx)
    .await
    .map_err(database("keep what a station said"))?;
    Ok(())
}

/// What was asked for under a key.
pub(super) async fn changed(tx: &mut SqliteConnection, key: Uuid) -> Result<Option<Vec<u8>>, StoreError> {
    sqlx::query_scalar("SELECT content FROM trace_change WHERE key = ?")
        .bind(key.as_bytes().to_vec())
        .fetch_optional(tx)
        .await
        .map_err(database("look whether a change was made"))
}

pub(super) async fn note_change(
    tx: &mut SqliteConnection,
    key: Uuid,
    content: [u8; 32],
    event: &Event,
) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO trace_change (key, content, event, at) VALUES (?, ?, ?, ?)")
        .bind(key.as_bytes().to_vec())
        .bind(content.to_vec())
        .bind(event.id.as_bytes().to_vec())
        .bind(event.at.micros())
        .execute(tx)
        .await
        .map_err(database("record a change of lots and units"))?;
    Ok(())
}
