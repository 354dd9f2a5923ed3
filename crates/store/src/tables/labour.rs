//! Who was signed on where.
//!
//! A change looks first and writes then, in one transaction of the only writer: no two spans of a person overlap, whatever the clock does.

use super::logbook::{Known, known, note};
use super::outbox::enqueue;
use super::{NEVER, push_below, some_end};
use crate::error::{StoreError, database};
use crate::labour::{
    Ended, LabourCorrection, LabourFilter, LabourRepository, LabourSpan, MOST_SPANS, SignOff, SignOn, Signed,
    SpanChange,
};
use crate::logbook::Key;
use crate::sql::{Link, Row, Statement, sql};
use crate::store::Store;
use andon_model::Timestamp;
use andon_model::event::{Event, What};
use async_trait::async_trait;
use uuid::Uuid;

const SPAN: &str = "SELECT number, person, path, from_at, to_at, ends_by, ended FROM labour_span";
/// So many spans are asked for at once.
const ASKED_AT_A_TIME: usize = 500;

fn span(row: &Row) -> Result<LabourSpan, StoreError> {
    let to: Timestamp = row.get("to_at")?;
    let ended: Option<String> = row.get("ended")?;
    Ok(LabourSpan {
        number: row.get("number")?,
        person: row.get("person")?,
        path: row.get("path")?,
        from: row.get("from_at")?,
        to: some_end(to),
        ends_by: row.get("ends_by")?,
        ended: ended.and_then(|word| Ended::ALL.into_iter().find(|ended| ended.word() == word)),
    })
}

async fn spans(query: Statement, view: &mut Link<'_>, doing: &'static str) -> Result<Vec<LabourSpan>, StoreError> {
    query.all(view).await.map_err(database(doing))?.iter().map(span).collect()
}

#[async_trait]
impl LabourRepository for Store {
    async fn labour_sign_on(&self, sign: SignOn) -> Result<Signed, StoreError> {
        self.write(move |mut tx| Box::pin(async move { sign_on(&mut tx, sign).await })).await
    }

    async fn labour_sign_off(&self, sign: SignOff) -> Result<Signed, StoreError> {
        self.write(move |mut tx| Box::pin(async move { sign_off(&mut tx, sign).await })).await
    }

    async fn labour_correct(&self, change: SpanChange) -> Result<Signed, StoreError> {
        self.write(move |mut tx| Box::pin(async move { correct(&mut tx, change).await })).await
    }

    async fn labour_end_by_rule(&self, number: u64, event: Event) -> Result<bool, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let statement =
                    sql("UPDATE labour_span SET to_at = ends_by, ended = 'rule' WHERE number = $1 AND to_at = $2");
                if statement.bind(number).bind(NEVER).run(&mut tx, "end a sign-on").await? == 0 {
                    return Ok(false);
                }
                enqueue(&mut tx, &event).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn labour_overdue(&self, until: Timestamp) -> Result<Vec<LabourSpan>, StoreError> {
        let doing = "read who is signed on";
        let mut query = sql(SPAN);
        query
            .push(" WHERE to_at = ")
            .push_bind(NEVER)
            .push(" AND ends_by <= ")
            .push_bind(until)
            .push(" ORDER BY number");
        spans(query, &mut self.reader(doing).await?.link(), doing).await
    }

    async fn labour_lasting(&self, path: &str) -> Result<Vec<LabourSpan>, StoreError> {
        let doing = "read who is signed on";
        let mut query = sql(SPAN);
        query.push(" WHERE to_at = ").push_bind(NEVER);
        below(&mut query, path);
        query.push(" ORDER BY number LIMIT ").push_bind(MOST_SPANS);
        spans(query, &mut self.reader(doing).await?.link(), doing).await
    }

    async fn labour_of_key(&self, key: Key) -> Result<Option<LabourSpan>, StoreError> {
        let mut reading = self.reader("read a sign-on").await?;
        let mut view = reading.link();
        match known(&mut view, &key).await? {
            Some(Known::Same(number)) => one(&mut view, number).await,
            Some(Known::Other) | None => Ok(None),
        }
    }

    async fn labour_span(&self, number: u64) -> Result<Option<LabourSpan>, StoreError> {
        let mut reading = self.reader("read a sign-on").await?;
        one(&mut reading.link(), number).await
    }

    async fn labour_spans(&self, filter: LabourFilter) -> Result<Vec<LabourSpan>, StoreError> {
        let doing = "read who was signed on";
        let mut query = sql(SPAN);
        query.push(" WHERE to_at > ").push_bind(filter.from).push(" AND from_at < ").push_bind(filter.to);
        below(&mut query, &filter.path);
        if let Some(person) = filter.person {
            query.push(" AND person = ").push_bind(person);
        }
        let limit = filter.limit.clamp(1, MOST_SPANS + 1);
        query.push(" ORDER BY from_at DESC, number DESC LIMIT ").push_bind(limit);
        spans(query, &mut self.reader(doing).await?.link(), doing).await
    }

    async fn labour_corrections(&self, spans: Vec<u64>) -> Result<Vec<LabourCorrection>, StoreError> {
        let doing = "read what was put right of sign-ons";
        let mut reading = self.reader(doing).await?;
        let mut all = Vec::new();
        for spans in spans.chunks(ASKED_AT_A_TIME) {
            let mut query =
                sql("SELECT span, at, by_id, was_from, was_to, reason FROM labour_correction WHERE span IN ");
            query.push_list(spans.iter().copied()).push(" ORDER BY number");
            for (span, at, by, was_from, to, reason) in query.rows(&mut reading.link(), doing).await? {
                let was_to = some_end(to);
                all.push(LabourCorrection { span, at, by, was_from, was_to, reason });
            }
        }
        Ok(all)
    }

    async fn labour_supervisors(&self) -> Result<Vec<(Uuid, String)>, StoreError> {
        let doing = "read who is a supervisor";
        let query = sql("SELECT person, branch FROM labour_supervisor ORDER BY branch, person");
        query.rows(&mut self.reader(doing).await?.link(), doing).await
    }

    async fn labour_supervisor_put(&self, person: Uuid, branch: &str, event: Event) -> Result<(), StoreError> {
        let branch = branch.to_owned();
        self.write(move |mut tx| {
            Box::pin(async move {
                let question = sql("SELECT id FROM person WHERE id = $1").bind(person);
                let there: Option<Uuid> = question.first(&mut tx, "look for a person").await?;
                if there.is_none() {
                    return Err(StoreError::Missing { what: "user", id: person });
                }
                sql("INSERT INTO labour_supervisor (person, branch) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                    .bind(person)
                    .bind(branch)
                    .run(&mut tx, "make a person a supervisor")
                    .await?;
                enqueue(&mut tx, &event).await
            })
        })
        .await
    }

    async fn labour_supervisor_remove(&self, person: Uuid, branch: &str, event: Event) -> Result<(), StoreError> {
        let branch = branch.to_owned();
        self.write(move |mut tx| {
            Box::pin(async move {
                let statement = sql("DELETE FROM labour_supervisor WHERE person = $1 AND branch = $2");
                let statement = statement.bind(person).bind(branch);
                if statement.run(&mut tx, "take back that a person is a supervisor").await? == 0 {
                    return Err(StoreError::Missing { what: "supervisor", id: person });
                }
                enqueue(&mut tx, &event).await
            })
        })
        .await
    }
}

/// On or below a path; the empty one is everywhere.
fn below(query: &mut Statement, path: &str) {
    if !path.is_empty() {
        query.push(" AND ");
        push_below(query, "path", &[path.to_owned()]);
    }
}

async fn one(view: &mut Link<'_>, number: u64) -> Result<Option<LabourSpan>, StoreError> {
    let mut query = sql(SPAN);
    query.push(" WHERE number = ").push_bind(number);
    Ok(spans(query, view, "read a sign-on").await?.pop())
}

async fn there(view: &mut Link<'_>, number: u64) -> Result<LabourSpan, StoreError> {
    let missing = || StoreError::Damaged { what: "sign-on", reason: format!("there is no {number}") };
    one(view, number).await?.ok_or_else(missing)
}

/// The person's span that ends last.
async fn last_of(tx: &mut Link<'_>, person: Uuid) -> Result<Option<LabourSpan>, StoreError> {
    let mut query = sql(SPAN);
    query.push(" WHERE person = ").push_bind(person).push(" ORDER BY to_at DESC, number DESC LIMIT 1");
    Ok(spans(query, tx, "read a sign-on").await?.pop())
}

async fn end(tx: &mut Link<'_>, number: u64, at: Timestamp, ended: Ended) -> Result<(), StoreError> {
    sql("UPDATE labour_span SET to_at = $1, ended = $2 WHERE number = $3")
        .bind(at)
        .bind(ended.word())
        .bind(number)
        .run(tx, "end a sign-on")
        .await?;
    Ok(())
}

/// The event with the number of the sign-on.
fn numbered(mut event: Event, number: u64) -> Event {
    if let What::User(change) = &mut event.what {
        change.detail = Some(format!("sign-on {number}"));
    }
    event
}

async fn sign_on(tx: &mut Link<'_>, sign: SignOn) -> Result<Signed, StoreError> {
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
    let newest: u64 = sql("SELECT coalesce(max(number), 0) FROM labour_span").only(tx, "read sign-ons").await?;
    let number = newest + 1;
    sql("INSERT INTO labour_span (number, person, path, from_at, to_at, ends_by, event) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(number)
        .bind(sign.person)
        .bind(sign.path)
        .bind(at)
        .bind(NEVER)
        .bind(sign.ends_by)
        .bind(sign.event.id)
        .run(tx, "sign somebody on")
        .await?;
    note(tx, &sign.key, number, sign.at).await?;
    enqueue(tx, &numbered(sign.event, number)).await?;
    Ok(Signed::Now(there(tx, number).await?))
}

async fn sign_off(tx: &mut Link<'_>, sign: SignOff) -> Result<Signed, StoreError> {
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

async fn correct(tx: &mut Link<'_>, change: SpanChange) -> Result<Signed, StoreError> {
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
    let to = change.to.unwrap_or(NEVER);
    let mut query = sql(SPAN);
    query.push(" WHERE person = ").push_bind(was.person).push(" AND number <> ").push_bind(was.number);
    query.push(" AND to_at > ").push_bind(change.from).push(" AND from_at < ").push_bind(to);
    query.push(" ORDER BY from_at LIMIT 1");
    if let Some(other) = spans(query, tx, "look whether sign-ons overlap").await?.pop() {
        return Ok(Signed::Overlaps(other));
    }
    let ended = match (change.to, was.to, was.ended) {
        (None, ..) => None,
        (Some(to), Some(before), ended) if to == before => ended,
        _ => Some(Ended::Supervisor),
    };
    // Where it begins later than it was to end, its end is known.
    let ends_by = was.ends_by.max(Timestamp::from_micros(change.from.micros().saturating_add(1)));
    sql("UPDATE labour_span SET from_at = $1, to_at = $2, ended = $3, ends_by = $4 WHERE number = $5")
        .bind(change.from)
        .bind(to)
        .bind(ended.map(|ended| ended.word().to_owned()))
        .bind(ends_by)
        .bind(was.number)
        .run(tx, "put a sign-on right")
        .await?;
    sql("INSERT INTO labour_correction (number, span, at, by_id, was_from, was_to, reason, event) \
         VALUES ((SELECT coalesce(max(number), 0) + 1 FROM labour_correction), $1, $2, $3, $4, $5, $6, $7)")
    .bind(was.number)
    .bind(change.at)
    .bind(change.by)
    .bind(was.from)
    .bind(was.to.unwrap_or(NEVER))
    .bind(change.reason)
    .bind(change.event.id)
    .run(tx, "keep what stood there")
    .await?;
    note(tx, &change.key, was.number, change.at).await?;
    enqueue(tx, &change.event).await?;
    Ok(Signed::Now(there(tx, was.number).await?))
}
