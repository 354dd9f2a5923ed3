//! Who was signed on where.
//!
//! A change looks first and writes then, in one transaction of the only writer: no two spans of a person overlap, whatever the clock does.

use super::logbook::{Known, blob, id_of, known, note};
use super::outbox::enqueue;
use super::{Store, to_i64, to_u64};
use crate::error::{StoreError, database};
use crate::labour::{
    Ended, LabourCorrection, LabourFilter, LabourRepository, LabourSpan, MOST_SPANS, SignOff, SignOn, Signed,
    SpanChange,
};
use crate::logbook::Key;
use andon_model::Timestamp;
use andon_model::event::{Event, What};
use async_trait::async_trait;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, SqliteConnection};
use uuid::Uuid;

/// The end of a span that lasts.
const NEVER: i64 = i64::MAX;
const SPAN: &str = "SELECT number, person, path, from_at, to_at, ends_by, ended FROM labour_span";
/// So many spans are asked for at once.
const ASKED_AT_A_TIME: usize = 500;

type SpanRow = (i64, Vec<u8>, String, i64, i64, i64, Option<String>);

fn span(row: SpanRow) -> Result<LabourSpan, StoreError> {
    let (number, person, path, from, to, ends_by, ended) = row;
    Ok(LabourSpan {
        number: to_u64(number),
        person: id_of(&person, "person of a sign-on")?,
        path,
        from: Timestamp::from_micros(from),
        to: (to != NEVER).then_some(Timestamp::from_micros(to)),
        ends_by: Timestamp::from_micros(ends_by),
        ended: ended.and_then(|word| Ended::ALL.into_iter().find(|ended| ended.word() == word)),
    })
}

#[async_trait]
impl LabourRepository for Store {
    async fn labour_sign_on(&self, sign: SignOn) -> Result<Signed, StoreError> {
        self.write(move |tx| Box::pin(sign_on(tx, sign))).await
    }

    async fn labour_sign_off(&self, sign: SignOff) -> Result<Signed, StoreError> {
        self.write(move |tx| Box::pin(sign_off(tx, sign))).await
    }

    async fn labour_correct(&self, change: SpanChange) -> Result<Signed, StoreError> {
        self.write(move |tx| Box::pin(correct(tx, change))).await
    }

    async fn labour_end_by_rule(&self, number: u64, event: Event) -> Result<bool, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let done = sqlx::query(
                    "UPDATE labour_span SET to_at = ends_by, ended = 'rule' WHERE number = ? AND to_at = ?",
                )
                .bind(to_i64(number))
                .bind(NEVER)
                .execute(&mut *tx)
                .await
                .map_err(database("end a sign-on"))?;
                if done.rows_affected() == 0 {
                    return Ok(false);
                }
                enqueue(tx, &event).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn labour_overdue(&self, until: Timestamp) -> Result<Vec<LabourSpan>, StoreError> {
        let select = format!("{SPAN} WHERE to_at = ? AND ends_by <= ? ORDER BY number");
        let rows: Vec<SpanRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
            .bind(NEVER)
            .bind(until.micros())
            .fetch_all(self.readers())
            .await
            .map_err(database("read who is signed on"))?;
        rows.into_iter().map(span).collect()
    }

    async fn labour_lasting(&self, path: &str) -> Result<Vec<LabourSpan>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(SPAN);
        query.push(" WHERE to_at = ").push_bind(NEVER);
        below(&mut query, path);
        query.push(" ORDER BY number LIMIT ").push_bind(i64::from(MOST_SPANS));
        let rows: Vec<SpanRow> =
            query.build_query_as().fetch_all(self.readers()).await.map_err(database("read who is signed on"))?;
        rows.into_iter().map(span).collect()
    }

    async fn labour_of_key(&self, key: Key) -> Result<Option<LabourSpan>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read a sign-on"))?;
        match known(&mut connection, &key).await? {
            Some(Known::Same(number)) => one(&mut connection, number).await,
            Some(Known::Other) | None => Ok(None),
        }
    }

    async fn labour_span(&self, number: u64) -> Result<Option<LabourSpan>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read a sign-on"))?;
        one(&mut connection, number).await
    }

    async fn labour_spans(&self, filter: LabourFilter) -> Result<Vec<LabourSpan>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new(SPAN);
        query.push(" WHERE to_at > ").push_bind(filter.from.micros());
        query.push(" AND from_at < ").push_bind(filter.to.micros());
        below(&mut query, &filter.path);
        if let Some(person) = filter.person {
            query.push(" AND person = ").push_bind(blob(person));
        }
        let limit = filter.limit.clamp(1, MOST_SPANS + 1);
        query.push(" ORDER BY from_at DESC, number DESC LIMIT ").push_bind(i64::from(limit));
        let rows: Vec<SpanRow> =
            query.build_query_as().fetch_all(self.readers()).await.map_err(database("read who was signed on"))?;
        rows.into_iter().map(span).collect()
    }

    async fn labour_corrections(&self, spans: Vec<u64>) -> Result<Vec<LabourCorrection>, StoreError> {
        let mut all = Vec::new();
        for spans in spans.chunks(ASKED_AT_A_TIME) {
            let mut query = QueryBuilder::<Sqlite>::new(
                "SELECT span, at, by_id, was_from, was_to, reason FROM labour_correction WHERE span IN (",
            );
            let mut list = query.separated(", ");
            for number in spans {
                list.push_bind(to_i64(*number));
            }
            query.push(") ORDER BY number");
            let rows: Vec<(i64, i64, Vec<u8>, i64, i64, String)> = query
                .build_query_as()
                .fetch_all(self.readers())
                .await
                .map_err(database("read what was put right of sign-ons"))?;
            for (span, at, by, from, to, reason) in rows {
                all.push(LabourCorrection {
                    span: to_u64(span),
                    at: Timestamp::from_micros(at),
                    by: id_of(&by, "who put a sign-on right")?,
                    was_from: Timestamp::from_micros(from),
                    was_to: (to != NEVER).then_some(Timestamp::from_micros(to)),
                    reason,
                });
            }
        }
        Ok(all)
    }

    async fn labour_supervisors(&self) -> Result<Vec<(Uuid, String)>, StoreError> {
        let rows: Vec<(Vec<u8>, String)> =
            sqlx::query_as("SELECT person, branch FROM labour_supervisor ORDER BY branch, person")
                .fetch_all(self.readers())
                .await
                .map_err(database("read who is a supervisor"))?;
        rows.into_iter().map(|(person, branch)| Ok((id_of(&person, "supervisor")?, branch))).collect()
    }

    async fn labour_supervisor_put(&self, person: Uuid, branch: &str, event: Event) -> Result<(), StoreError> {
        let branch = branch.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let there = sqlx::query("SELECT 1 FROM person WHERE id = ?")
                    .bind(blob(person))
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(database("look for a person"))?;
                if there.is_none() {
                    return Err(StoreError::Missing { what: "user", id: person });
                }
                sqlx::query("INSERT INTO labour_supervisor (person, branch) VALUES (?, ?) ON CONFLICT DO NOTHING")
                    .bind(blob(person))
                    .bind(branch)
                    .execute(&mut *tx)
                    .await
                    .map_err(database("make a person a supervisor"))?;
                enqueue(tx, &event).await
            })
        })
        .await
    }

    async fn labour_supervisor_remove(&self, person: Uuid, branch: &str, event: Event) -> Result<(), StoreError> {
        let branch = branch.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM labour_supervisor WHERE person = ? AND branch = ?")
                    .bind(blob(person))
                    .bind(branch)
                    .execute(&mut *tx)
                    .await
                    .map_err(database("take back that a person is a supervisor"))?;
                if done.rows_affected() == 0 {
                    return Err(StoreError::Missing { what: "supervisor", id: person });
                }
                enqueue(tx, &event).await
            })
        })
        .await
    }
}

/// On or below a path. What follows "/" sorts before "0".
fn below(query: &mut QueryBuilder<Sqlite>, path: &str) {
    if !path.is_empty() {
        query.push(" AND (path = ").push_bind(path.to_owned());
        query.push(" OR (path >= ").push_bind(format!("{path}/"));
        query.push(" AND path < ").push_bind(format!("{path}0")).push("))");
    }
}

async fn one(view: &mut SqliteConnection, number: u64) -> Result<Option<LabourSpan>, StoreError> {
    let select = format!("{SPAN} WHERE number = ?");
    let row: Option<SpanRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(to_i64(number))
        .fetch_optional(view)
        .await
        .map_err(database("read a sign-on"))?;
    row.map(span).transpose()
}

async fn there(view: &mut SqliteConnection, number: u64) -> Result<LabourSpan, StoreError> {
    let missing = || StoreError::Damaged { what: "sign-on", reason: format!("there is no {number}") };
    one(view, number).await?.ok_or_else(missing)
}

/// The person's span that ends last.
async fn last_of(tx: &mut SqliteConnection, person: Uuid) -> Result<Option<LabourSpan>, StoreError> {
    let select = format!("{SPAN} WHERE person = ? ORDER BY to_at DESC, number DESC LIMIT 1");
    let row: Option<SpanRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(blob(person))
        .fetch_optional(tx)
        .await
        .map_err(database("read a sign-on"))?;
    row.map(span).transpose()
}

async fn end(tx: &mut SqliteConnection, number: u64, at: Timestamp, ended: Ended) -> Result<(), StoreError> {
    sqlx::query("UPDATE labour_span SET to_at = ?, ended = ? WHERE number = ?")
        .bind(at.micros())
        .bind(ended.word())
        .bind(to_i64(number))
        .execute(tx)
        .await
        .map_err(database("end a sign-on"))?;
    Ok(())
}

/// The event with the number of the sign-on.
fn numbered(mut event: Event, number: u64) -> Event {
    if let What::User(change) = &mut event.what {
        change.detail = Some(format!("sign-on {number}"));
    }
    event
}

async fn sign_on(tx: &mut SqliteConnection, sign: SignOn) -> Result<Signed, StoreError> {
    match known(tx, &sign.key).await? {
        Some(Known::Same(number)) => return Ok(Signed::Before(there(tx, number).await?)),
        Some(Known::Other) => return Ok(Signed::KeyUsed),
        None => {}
    }
    let last = last_of(tx, sign.person).await?;
    let lasting = last.as_ref().filter(|last| last.to.is_none());
    if let Some(same) = lasting.filter(|lasting| lasting.path == sign.path) {
        note(tx, &sign.key, same.number, sign.at).await?;
        return Ok(Signed::Before(same.clone()));
    }
    // The clock may have been set back since.
    let at = last.as_ref().map_or(sign.at, |last| sign.at.max(last.to.unwrap_or(last.from)));
    if sign.ends_by <= at {
        return Ok(Signed::Unfit);
    }
    if let Some(lasting) = lasting {
        end(tx, lasting.number, at, Ended::Elsewhere).await?;
    }
    let newest: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM labour_span")
        .fetch_one(&mut *tx)
        .await
        .map_err(database("read sign-ons"))?;
    sqlx::query(
        "INSERT INTO labour_span (number, person, path, from_at, to_at, ends_by, event) VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(newest + 1)
    .bind(blob(sign.person))
    .bind(sign.path)
    .bind(at.micros())
    .bind(NEVER)
    .bind(sign.ends_by.micros())
    .bind(blob(sign.event.id))
    .execute(&mut *tx)
    .await
    .map_err(database("sign somebody on"))?;
    let number = to_u64(newest + 1);
    note(tx, &sign.key, number, sign.at).await?;
    enqueue(tx, &numbered(sign.event, number)).await?;
    Ok(Signed::Now(there(tx, number).await?))
}

async fn sign_off(tx: &mut SqliteConnection, sign: SignOff) -> Result<Signed, StoreError> {
    match known(tx, &sign.key).await? {
        Some(Known::Same(number)) => return Ok(Signed::Before(there(tx, number).await?)),
        Some(Known::Other) => return Ok(Signed::KeyUsed),
        None => {}
    }
    let last = last_of(tx, sign.person).await?.filter(|last| last.to.is_none());
    let Some(last) = last else { return Ok(Signed::NotThere) };
    end(tx, last.number, sign.at.max(last.from), Ended::Myself).await?;
    note(tx, &sign.key, last.number, sign.at).await?;
    enqueue(tx, &numbered(sign.event, last.number)).await?;
    Ok(Signed::Now(there(tx, last.number).await?))
}

async fn correct(tx: &mut SqliteConnection, change: SpanChange) -> Result<Signed, StoreError> {
    match known(tx, &change.key).await? {
        Some(Known::Same(number)) => return Ok(Signed::Before(there(tx, number).await?)),
        Some(Known::Other) => return Ok(Signed::KeyUsed),
        None => {}
    }
    let was = there(tx, change.number).await?;
    let lasts_again = change.to.is_none() && was.to.is_some();
    // What lasts ends when it was to end, so it cannot begin after that.
    let never_was = change.from >= change.to.unwrap_or(was.ends_by);
    if lasts_again || never_was {
        return Ok(Signed::Unfit);
    }
    let to = change.to.map_or(NEVER, Timestamp::micros);
    let select =
        format!("{SPAN} WHERE person = ? AND number <> ? AND to_at > ? AND from_at < ? ORDER BY from_at LIMIT 1");
    let overlaps: Option<SpanRow> = sqlx::query_as(sqlx::AssertSqlSafe(select))
        .bind(blob(was.person))
        .bind(to_i64(was.number))
        .bind(change.from.micros())
        .bind(to)
        .fetch_optional(&mut *tx)
        .await
        .map_err(database("look whether sign-ons overlap"))?;
    if let Some(other) = overlaps {
        return Ok(Signed::Overlaps(span(other)?));
    }
    let ended = match (change.to, was.to, was.ended) {
        (None, ..) => None,
        (Some(to), Some(before), ended) if to == before => ended,
        _ => Some(Ended::Supervisor),
    };
    sqlx::query("UPDATE labour_span SET from_at = ?, to_at = ?, ended = ?, ends_by = ? WHERE number = ?")
        .bind(change.from.micros())
        .bind(to)
        .bind(ended.map(Ended::word))
        // Where it begins later than it was to end, its end is known.
        .bind(was.ends_by.micros().max(change.from.micros().saturating_add(1)))
        .bind(to_i64(was.number))
        .execute(&mut *tx)
        .await
        .map_err(database("put a sign-on right"))?;
    sqlx::query(
        "INSERT INTO labour_correction (number, span, at, by_id, was_from, was_to, reason, event) \
         VALUES ((SELECT coalesce(max(number), 0) + 1 FROM labour_correction), ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(to_i64(was.number))
    .bind(change.at.micros())
    .bind(blob(change.by))
    .bind(was.from.micros())
    .bind(was.to.map_or(NEVER, Timestamp::micros))
    .bind(change.reason)
    .bind(blob(change.event.id))
    .execute(&mut *tx)
    .await
    .map_err(database("keep what stood there"))?;
    note(tx, &change.key, was.number, change.at).await?;
    enqueue(tx, &change.event).await?;
    Ok(Signed::Now(there(tx, was.number).await?))
}
