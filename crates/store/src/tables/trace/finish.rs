//! Finished units and their certificates, what stations said that belongs to no unit yet, and which changes were made.

use super::row::{Row, find};
use super::words::Texts;
use super::write::Writing;
use crate::error::StoreError;
use crate::sql::{Link, sql};
use crate::store::Store;
use crate::tables::outbox::enqueue;
use crate::trace::{
    CertificateState, Finished, Identity, ItemRef, NewCertificate, NewPass, PAGE_MAX, Report, TraceRefusal,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use uuid::Uuid;

/// A certificate is due.
const DUE: i64 = 0;
/// It is there.
const ISSUED: i64 = 1;
/// It cannot be made.
const NOT_POSSIBLE: i64 = 2;

/// Unit, time, equipment, state, why.
type FinishedRow = (Uuid, i64, i64, i64, String);
const FINISHED: &str =
    "SELECT i.id, f.at, f.equipment, f.state, f.why FROM trace_finished f JOIN trace_item i ON i.key = f.unit WHERE ";

impl Writing<'_, '_> {
    /// A unit was at a station: it may be finished by it, or was before.
    pub(super) async fn passed(&mut self, new: &NewPass, unit: &Row, equipment: i64) -> Result<(), StoreError> {
        let at = new.at.micros();
        let known: Option<(i64, i64, i64)> = sql("SELECT at, equipment, state FROM trace_finished WHERE unit = $1")
            .bind(unit.key)
            .first(self.tx, "look whether a unit is finished")
            .await?;
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
                sql("INSERT INTO trace_finished (unit, at, equipment, state, why) VALUES ($1, $2, $3, $4, '')")
                    .bind(unit.key)
                    .bind(at)
                    .bind(equipment)
                    .bind(DUE)
                    .run(self.tx, "record that a unit is finished")
                    .await?;
                Ok(())
            }
            None => Ok(()),
        }
    }
}

impl Store {
    pub(super) async fn stations(&self) -> Result<Vec<(String, String)>, StoreError> {
        sql("SELECT equipment, heard FROM trace_station ORDER BY equipment")
            .rows(&mut self.reader("read what stations said").await?.link(), "read what stations said")
            .await
    }

    pub(super) async fn due(&self, until: Timestamp) -> Result<Vec<Finished>, StoreError> {
        let mut reading = self.reader("look which certificates are due").await?;
        let view = &mut reading.link();
        let mut query = sql(FINISHED);
        query
            .push("f.state = 0 AND f.at <= ")
            .push_bind(until)
            .push(" ORDER BY f.at, f.unit LIMIT ")
            .push_bind(PAGE_MAX);
        let rows = query.rows(view, "look which certificates are due").await?;
        shown(view, rows).await
    }

    pub(super) async fn finished(&self, unit: Uuid) -> Result<Option<Finished>, StoreError> {
        let mut reading = self.reader("look whether a unit is finished").await?;
        let view = &mut reading.link();
        let mut query = sql(FINISHED);
        query.push("i.id = ").push_bind(unit);
        let rows = query.rows(view, "look whether a unit is finished").await?;
        Ok(shown(view, rows).await?.pop())
    }

    pub(super) async fn certify(&self, new: NewCertificate, anew: bool, event: Event) -> Result<Report, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let Some((unit, state)) = state_of(&mut tx, &new.unit).await? else {
                    let reason = "the unit is not finished: it passed no last station".to_owned();
                    return Err(refused(TraceRefusal::Unfit { what: "certificate", reason }));
                };
                if state == ISSUED && !anew {
                    return Ok(Report { repeated: true, ..Report::default() });
                }
                let mut writing = Writing::new(&mut tx, None);
                writing.certificate(&new).await?.map_err(refused)?;
                let report = writing.report;
                set_state(&mut tx, unit, ISSUED, "").await?;
                if report.changed > 0 {
                    enqueue(&mut tx, &event).await?;
                }
                Ok(report)
            })
        })
        .await
    }

    pub(super) async fn not_certified(&self, unit: Uuid, why: String, event: Event) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                if let Some((unit, DUE)) = state_of(&mut tx, &ItemRef::Id(unit)).await? {
                    set_state(&mut tx, unit, NOT_POSSIBLE, &why).await?;
                    enqueue(&mut tx, &event).await?;
                }
                Ok(())
            })
        })
        .await
    }

    pub(super) async fn identify(&self, unit: Uuid, identity: Identity, event: Event) -> Result<bool, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let Some(row) = find(&mut tx, &ItemRef::Id(unit)).await? else {
                    return Err(refused(TraceRefusal::Unknown { item: ItemRef::Id(unit).to_string() }));
                };
                let by = Writing::new(&mut tx, None).id_word(identity.by).await?;
                let done = sql(
                    "INSERT INTO trace_identity (unit, device, at, by_id) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
                )
                .bind(row.key)
                .bind(identity.device)
                .bind(identity.at)
                .bind(by)
                .run(&mut tx, "record the credential of a unit")
.await?;
                let is_new = done > 0;
                if is_new {
                    enqueue(&mut tx, &event).await?;
                }
                Ok(is_new)
            })
        })
        .await
    }

    pub(super) async fn identity(&self, unit: Uuid) -> Result<Option<Identity>, StoreError> {
        let mut reading = self.reader("look for the credential of a unit").await?;
        let view = &mut reading.link();
        let row: Option<(Uuid, Timestamp, Option<i64>)> = sql(
            "SELECT t.device, t.at, t.by_id FROM trace_item i JOIN trace_identity t ON t.unit = i.key WHERE i.id = $1",
        )
        .bind(unit)
        .first(view, "look for the credential of a unit")
        .await?;
        let Some((device, at, by)) = row else { return Ok(None) };
        let mut texts = Texts::default();
        texts.of(view, by.into_iter().collect()).await?;
        Ok(Some(Identity { device, at, by: texts.id(by) }))
    }
}

fn refused(refusal: TraceRefusal) -> StoreError {
    StoreError::Refused(Box::new(refusal))
}

/// A finished unit's key, and what became of its certificate.
async fn state_of(tx: &mut Link<'_>, unit: &ItemRef) -> Result<Option<(i64, i64)>, StoreError> {
    let Some(row) = find(tx, unit).await? else { return Ok(None) };
    sql("SELECT unit, state FROM trace_finished WHERE unit = $1")
        .bind(row.key)
        .first(tx, "look whether a unit is finished")
        .await
}

async fn set_state(tx: &mut Link<'_>, unit: i64, state: i64, why: &str) -> Result<(), StoreError> {
    sql("UPDATE trace_finished SET state = $1, why = $2 WHERE unit = $3")
        .bind(state)
        .bind(why)
        .bind(unit)
        .run(tx, "record what became of a certificate")
        .await?;
    Ok(())
}

async fn shown(view: &mut Link<'_>, rows: Vec<FinishedRow>) -> Result<Vec<Finished>, StoreError> {
    let mut texts = Texts::default();
    texts.of(view, rows.iter().map(|row| row.2).collect()).await?;
    rows.into_iter()
        .map(|(unit, at, equipment, state, why)| {
            let certificate = certificate_state(state, why);
            let at = Timestamp::from_micros(at);
            Ok(Finished { unit, at, equipment: texts.text(equipment), certificate })
        })
        .collect()
}

/// Keeps what a station said that belongs to no unit yet.
pub(super) async fn hear(tx: &mut Link<'_>, equipment: String, heard: String) -> Result<(), StoreError> {
    sql(
        "INSERT INTO trace_station (equipment, heard) VALUES ($1, $2) ON CONFLICT (equipment) DO UPDATE SET heard = excluded.heard",
    )
    .bind(equipment)
    .bind(heard)
    .run(tx, "keep what a station said")
.await?;
    Ok(())
}

/// What was asked for under a key.
pub(super) async fn changed(tx: &mut Link<'_>, key: Uuid) -> Result<Option<[u8; 32]>, StoreError> {
    sql("SELECT content FROM trace_change WHERE key = $1").bind(key).first(tx, "look whether a change was made").await
}

pub(super) async fn note_change(
    tx: &mut Link<'_>,
    key: Uuid,
    content: [u8; 32],
    event: &Event,
) -> Result<(), StoreError> {
    sql("INSERT INTO trace_change (key, content, event, at) VALUES ($1, $2, $3, $4)")
        .bind(key)
        .bind(content)
        .bind(event.id)
        .bind(event.at)
        .run(tx, "record a change of lots and units")
        .await?;
    Ok(())
}

/// What became of a certificate, out of its row.
pub(super) fn certificate_state(state: i64, why: String) -> CertificateState {
    match state {
        DUE => CertificateState::Due,
        ISSUED => CertificateState::Issued,
        _ => CertificateState::NotPossible(why),
    }
}
