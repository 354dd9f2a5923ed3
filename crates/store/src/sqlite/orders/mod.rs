//! Work orders, job orders, their ledger, and where they stood.
//!
//! A change looks first and writes then, in one transaction of the only writer: is the key new, is the version the one that was read, is
//! the equipment free? The unique indexes of `job_span` say the last once more, whoever writes.

mod read;

use super::outbox::enqueue;
use super::{Store, to_i64, to_json, to_u64};
use crate::error::{StoreError, database, is_taken};
use crate::orders::{
    Created, EntryKind, EntryWrite, JobFilter, JobRow, JobSpan, LedgerEntry, ListedJob, NewEntry, NewOrder,
    OrderFilter, OrderPage, OrderRepository, OrderRow, OrderWrite, PersonSkill, SpanFilter, StoredOrder, UnitCount,
    Written,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use sqlx::SqliteConnection;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The end of a span that lasts, and the time of what is not planned or not due.
const NEVER: i64 = i64::MAX;

#[async_trait]
impl OrderRepository for Store {
    async fn orders_create(&self, orders: Vec<NewOrder>) -> Result<Vec<Created>, StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let mut done = Vec::with_capacity(orders.len());
                for new in orders {
                    done.push(create(tx, new).await?);
                }
                Ok(done)
            })
        })
        .await
    }

    async fn order_write(&self, write: OrderWrite) -> Result<Written, StoreError> {
        self.write(move |tx| Box::pin(change(tx, write))).await
    }

    async fn job_entry(&self, write: EntryWrite) -> Result<Written, StoreError> {
        self.write(move |tx| Box::pin(enter(tx, write))).await
    }

    async fn orders(&self, filter: OrderFilter) -> Result<OrderPage, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read orders"))?;
        let page = read::page(&mut tx, &filter).await?;
        tx.rollback().await.map_err(database("read orders"))?;
        Ok(page)
    }

    async fn order(&self, number: &str) -> Result<Option<StoredOrder>, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read an order"))?;
        let order = read::by_number(&mut tx, number).await?;
        tx.rollback().await.map_err(database("read an order"))?;
        Ok(order)
    }

    async fn order_of_job(&self, job: Uuid) -> Result<Option<StoredOrder>, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read an order"))?;
        let order = match read::job(&mut tx, job).await? {
            Some(job) => read::by_id(&mut tx, job.order).await?,
            None => None,
        };
        tx.rollback().await.map_err(database("read an order"))?;
        Ok(order)
    }

    async fn jobs_to_make(&self, filter: JobFilter) -> Result<Vec<ListedJob>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read a dispatch list"))?;
        read::to_make(&mut connection, &filter).await
    }

    async fn job_ledger(&self, job: Uuid, before: Option<u64>, limit: u32) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the ledger of a job"))?;
        read::ledger(&mut connection, job, before, limit).await
    }

    async fn job_seen(&self, job: Uuid) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the ledger of a job"))?;
        read::seen(&mut connection, job).await
    }

    async fn job_entry_of(&self, key: Uuid) -> Result<Option<LedgerEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the ledger of a job"))?;
        read::entry(&mut connection, key).await
    }

    async fn job_spans(&self, filter: SpanFilter) -> Result<Vec<JobSpan>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read where jobs stood"))?;
        read::spans(&mut connection, &filter).await
    }

    async fn unit_last(&self, unit: &str) -> Result<Option<Timestamp>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read where jobs stood"))?;
        read::unit_last(&mut connection, unit).await
    }

    async fn unit_counts(&self, unit: &str, from: Timestamp, after: u64) -> Result<Vec<UnitCount>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read what people counted"))?;
        read::unit_counts(&mut connection, unit, from, after).await
    }

    async fn spans_of_job(&self, job: Uuid) -> Result<Vec<JobSpan>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read where a job stood"))?;
        read::spans_of(&mut connection, job).await
    }

    async fn jobs_standing(&self, unit: Option<&str>) -> Result<Vec<JobSpan>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read where jobs stand"))?;
        read::standing(&mut connection, unit).await
    }

    async fn person_skills(&self, person: Option<Uuid>) -> Result<Vec<PersonSkill>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read what people are qualified for"))?;
        read::skills(&mut connection, person).await
    }

    async fn person_skill_put(&self, skill: PersonSkill, event: Event) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let there = sqlx::query("SELECT 1 FROM person WHERE id = ?")
                    .bind(blob(skill.person))
                    .fetch_optional(&mut *tx)
                    .await
                    .map_err(database("look for a person"))?;
                if there.is_none() {
                    return Err(StoreError::Missing { what: "user", id: skill.person });
                }
                sqlx::query(
                    "INSERT INTO person_skill (person, skill, until) VALUES (?, ?, ?) \
                     ON CONFLICT (person, skill) DO UPDATE SET until = excluded.until",
                )
                .bind(blob(skill.person))
                .bind(skill.skill)
                .bind(skill.until.map(Timestamp::micros))
                .execute(&mut *tx)
                .await
                .map_err(database("write what a person is qualified for"))?;
                enqueue(tx, &event).await
            })
        })
        .await
    }

    async fn person_skill_remove(&self, person: Uuid, skill: &str, event: Event) -> Result<(), StoreError> {
        let skill = skill.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let done = sqlx::query("DELETE FROM person_skill WHERE person = ? AND skill = ?")
                    .bind(blob(person))
                    .bind(skill)
                    .execute(&mut *tx)
                    .await
                    .map_err(database("take a qualification back"))?;
                if done.rows_affected() == 0 {
                    return Err(StoreError::Missing { what: "qualification of user", id: person });
                }
                enqueue(tx, &event).await
            })
        })
        .await
    }
}

fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

const fn kind_word(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Trigger => "trigger",
        EntryKind::Count => "count",
        EntryKind::Seen => "seen",
        EntryKind::Plan => "plan",
        EntryKind::Change => "change",
    }
}

async fn create(tx: &mut SqliteConnection, new: NewOrder) -> Result<Created, StoreError> {
    let StoredOrder { order, jobs } = new.order;
    if let Some(there) = read::by_number(tx, &order.number).await? {
        return Ok(Created::There(there));
    }
    let id = order.id;
    insert_order(tx, &order).await?;
    for branch in branches_of(&jobs) {
        sqlx::query("INSERT INTO order_branch (branch, order_id, state) VALUES (?, ?, ?)")
            .bind(branch.to_owned())
            .bind(blob(id))
            .bind(order.state.clone())
            .execute(&mut *tx)
            .await
            .map_err(database("write where an order can be made"))?;
    }
    let mut ordinal = next(tx, "SELECT coalesce(max(ordinal), 0) FROM job_order").await?;
    for (position, job) in jobs.iter().enumerate() {
        insert_job(tx, job, id, ordinal, position).await?;
        queue(tx, job, &order).await?;
        ordinal += 1;
    }
    enqueue(tx, &new.event).await?;
    Ok(Created::Now(there(tx, id).await?))
}

/// Where jobs can be done, and every branch above.
fn branches_of(jobs: &[JobRow]) -> BTreeSet<&str> {
    let paths = jobs.iter().flat_map(|job| job.alternatives.iter().chain(&job.equipment));
    let above = |path: &str| path.match_indices('/').map(|(end, _)| end).chain([path.len()]).collect::<Vec<_>>();
    paths.flat_map(|path| above(path).into_iter().map(move |end| &path[..end])).collect()
}

async fn insert_order(tx: &mut SqliteConnection, order: &OrderRow) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO work_order (id, number, material, revision, title, unit, quantity, due, priority, state, source, \
         note, fold, created, version) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)",
    )
    .bind(blob(order.id))
    .bind(order.number.clone())
    .bind(order.material.clone())
    .bind(order.revision.clone())
    .bind(order.title.clone())
    .bind(order.unit.clone())
    .bind(order.quantity)
    .bind(order.due.map(Timestamp::micros))
    .bind(i64::from(order.priority))
    .bind(order.state.clone())
    .bind(order.source.clone())
    .bind(order.note.clone())
    .bind(format!("{} {} {}", order.number, order.material, order.title).to_lowercase())
    .bind(order.created.micros())
    .execute(tx)
    .await
    .map_err(database("write an order"))?;
    Ok(())
}

async fn insert_job(
    tx: &mut SqliteConnection,
    job: &JobRow,
    order: Uuid,
    ordinal: i64,
    position: usize,
) -> Result<(), StoreError> {
    let refused = |error: sqlx::Error| {
        if is_taken(&error) {
            return StoreError::Taken { what: "job order", name: job.number.clone() };
        }
        database("write a job order")(error)
    };
    sqlx::query(
        "INSERT INTO job_order (id, ordinal, order_id, position, number, operation, title, equipment, alternatives, \
         quantity, good, scrap, rework, state, substate, is_open, stands, planned_start, planned_end, pinned, started, \
         ended, run_time_ns, setup_us, after_jobs, skills, instructions, version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0, 0, ?, ?, ?, 0, ?, ?, ?, NULL, NULL, ?, ?, ?, ?, ?, 1)",
    )
    .bind(blob(job.id))
    .bind(ordinal)
    .bind(blob(order))
    .bind(i64::try_from(position).unwrap_or(i64::MAX))
    .bind(job.number.clone())
    .bind(job.operation.clone())
    .bind(job.title.clone())
    .bind(job.equipment.clone())
    .bind(to_json(&job.alternatives, "job order")?)
    .bind(job.quantity)
    .bind(job.state.clone())
    .bind(job.substate.clone())
    .bind(job.open)
    .bind(job.planned_start.map(Timestamp::micros))
    .bind(job.planned_end.map(Timestamp::micros))
    .bind(job.pinned)
    .bind(to_i64(job.run_time_ns))
    .bind(i64::try_from(job.setup.as_micros()).unwrap_or(i64::MAX))
    .bind(to_json(&job.after, "job order")?)
    .bind(to_json(&job.skills, "job order")?)
    .bind(to_json(&job.instructions, "job order")?)
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}

async fn change(tx: &mut SqliteConnection, write: OrderWrite) -> Result<Written, StoreError> {
    let OrderWrite { order, jobs, entries, events } = write;
    if let Some(first) = entries.first()
        && let Some(before) = asked_before(tx, first, order.id).await?
    {
        return Ok(before);
    }
    let current = there(tx, order.id).await?;
    if current.order.version != order.version {
        return Ok(Written::Conflict(current));
    }
    for job in &jobs {
        if !current.jobs.iter().any(|there| there.id == job.id) {
            return Err(StoreError::Missing { what: "job order", id: job.id });
        }
        if let Some(unit) = place_on(job)
            && let Some(span) = read::standing(tx, Some(unit)).await?.into_iter().find(|span| span.job != job.id)
        {
            let by = read::job(tx, span.job).await?.ok_or(StoreError::Missing { what: "job order", id: span.job })?;
            return Ok(Written::Occupied { span, by: Box::new(by), order: current });
        }
    }
    update_order(tx, &order).await?;
    if order.state != current.order.state {
        update_branches(tx, &order, &current.jobs).await?;
    }
    for job in &jobs {
        update_job(tx, job).await?;
    }
    let requeued = if place_of(&order) == place_of(&current.order) { &jobs } else { &there(tx, order.id).await?.jobs };
    for job in requeued {
        queue(tx, job, &order).await?;
    }
    for entry in &entries {
        insert_entry(tx, entry).await?;
    }
    for job in &jobs {
        match entries.iter().find(|entry| entry.job == job.id) {
            Some(entry) => keep_span(tx, job, entry.at, entry.by).await?,
            None if current.jobs.iter().any(|was| was.id == job.id && place_on(was) == place_on(job)) => {}
            // When it came or went, and who did it, stands nowhere else.
            None => return Err(StoreError::Missing { what: "entry in the ledger for the job order", id: job.id }),
        }
    }
    for event in &events {
        enqueue(tx, event).await?;
    }
    Ok(Written::Now(there(tx, order.id).await?))
}

/// Where a job stands.
fn place_on(job: &JobRow) -> Option<&str> {
    job.equipment.as_deref().filter(|_| job.stands)
}

/// What dispatch lists sort an order by.
const fn place_of(order: &OrderRow) -> (u8, Option<Timestamp>) {
    (order.priority, order.due)
}

async fn enter(tx: &mut SqliteConnection, write: EntryWrite) -> Result<Written, StoreError> {
    let EntryWrite { version, entry, event } = write;
    let missing = StoreError::Missing { what: "job order", id: entry.job };
    let Some(job) = read::job(tx, entry.job).await? else { return Err(missing) };
    if let Some(before) = asked_before(tx, &entry, job.order).await? {
        return Ok(before);
    }
    let totals = [(job.good, entry.good), (job.scrap, entry.scrap), (job.rework, entry.rework)];
    let possible = totals.iter().all(|(total, more)| total.checked_add(*more).is_some_and(|total| total >= 0));
    if job.version != version || !possible {
        return Ok(Written::Conflict(there(tx, job.order).await?));
    }
    sqlx::query("UPDATE job_order SET good = good + ?, scrap = scrap + ?, rework = rework + ? WHERE id = ?")
        .bind(entry.good)
        .bind(entry.scrap)
        .bind(entry.rework)
        .bind(blob(entry.job))
        .execute(&mut *tx)
        .await
        .map_err(database("add what was counted"))?;
    insert_entry(tx, &entry).await?;
    enqueue(tx, &event).await?;
    Ok(Written::Now(there(tx, job.order).await?))
}

/// The answer to what stands in the ledger already.
async fn asked_before(tx: &mut SqliteConnection, asked: &NewEntry, order: Uuid) -> Result<Option<Written>, StoreError> {
    let Some(found) = read::entry(tx, asked.key).await? else { return Ok(None) };
    let was = &found.entry;
    if (was.job, was.kind, &was.content) != (asked.job, asked.kind, &asked.content) {
        return Ok(Some(Written::KeyUsed(Box::new(found))));
    }
    Ok(Some(Written::Before { entry: Box::new(found), order: there(tx, order).await? }))
}

async fn there(tx: &mut SqliteConnection, order: Uuid) -> Result<StoredOrder, StoreError> {
    read::by_id(tx, order).await?.ok_or(StoreError::Missing { what: "work order", id: order })
}

async fn update_order(tx: &mut SqliteConnection, order: &OrderRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE work_order SET quantity = ?, due = ?, priority = ?, state = ?, note = ?, version = version + 1 \
         WHERE id = ? AND version = ?",
    )
    .bind(order.quantity)
    .bind(order.due.map(Timestamp::micros))
    .bind(i64::from(order.priority))
    .bind(order.state.clone())
    .bind(order.note.clone())
    .bind(blob(order.id))
    .bind(to_i64(order.version))
    .execute(tx)
    .await
    .map_err(database("change an order"))?;
    Ok(())
}

/// What an order is in, where its branches are looked up.
async fn update_branches(tx: &mut SqliteConnection, order: &OrderRow, jobs: &[JobRow]) -> Result<(), StoreError> {
    for branch in branches_of(jobs) {
        sqlx::query("UPDATE order_branch SET state = ? WHERE branch = ? AND order_id = ?")
            .bind(order.state.clone())
            .bind(branch.to_owned())
            .bind(blob(order.id))
            .execute(&mut *tx)
            .await
            .map_err(database("write where an order can be made"))?;
    }
    Ok(())
}

async fn update_job(tx: &mut SqliteConnection, job: &JobRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE job_order SET equipment = ?, quantity = ?, state = ?, substate = ?, is_open = ?, stands = ?, \
         planned_start = ?, planned_end = ?, pinned = ?, started = ?, ended = ?, version = version + 1 WHERE id = ?",
    )
    .bind(job.equipment.clone())
    .bind(job.quantity)
    .bind(job.state.clone())
    .bind(job.substate.clone())
    .bind(job.open)
    .bind(job.stands)
    .bind(job.planned_start.map(Timestamp::micros))
    .bind(job.planned_end.map(Timestamp::micros))
    .bind(job.pinned)
    .bind(job.started.map(Timestamp::micros))
    .bind(job.ended.map(Timestamp::micros))
    .bind(blob(job.id))
    .execute(tx)
    .await
    .map_err(database("change a job order"))?;
    Ok(())
}

/// Puts a job where dispatch lists look for it, or takes it out of them.
async fn queue(tx: &mut SqliteConnection, job: &JobRow, order: &OrderRow) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM job_queue WHERE job = ?")
        .bind(blob(job.id))
        .execute(&mut *tx)
        .await
        .map_err(database("take a job out of its dispatch lists"))?;
    if !job.open {
        return Ok(());
    }
    let places: BTreeSet<&str> =
        job.alternatives.iter().chain(&job.equipment).map(String::as_str).chain([""]).collect();
    let sql =
        "INSERT INTO job_queue (equipment, elsewhere, planned_start, urgency, due, job) VALUES (?, ?, ?, ?, ?, ?)";
    for path in places {
        let elsewhere = !path.is_empty() && job.equipment.as_deref().is_some_and(|decided| decided != path);
        sqlx::query(sql)
            .bind(path.to_owned())
            .bind(elsewhere)
            .bind(job.planned_start.map_or(NEVER, Timestamp::micros))
            .bind(9 - i64::from(order.priority))
            .bind(order.due.map_or(NEVER, Timestamp::micros))
            .bind(blob(job.id))
            .execute(&mut *tx)
            .await
            .map_err(database("put a job into a dispatch list"))?;
    }
    Ok(())
}

async fn insert_entry(tx: &mut SqliteConnection, entry: &NewEntry) -> Result<(), StoreError> {
    let number = next(tx, "SELECT coalesce(max(number), 0) FROM job_ledger").await?;
    let refused = |error: sqlx::Error| {
        if is_taken(&error) {
            return StoreError::Taken { what: "key", name: entry.key.to_string() };
        }
        database("write into the ledger of a job")(error)
    };
    // What the job is in then is read from its row, which is written before.
    sqlx::query(
        "INSERT INTO job_ledger (number, key, job, at, kind, content, state, substate, equipment, good, scrap, rework, \
         by_id, event) SELECT ?, ?, id, ?, ?, ?, state, substate, equipment, ?, ?, ?, ?, ? FROM job_order WHERE id = ?",
    )
    .bind(number)
    .bind(blob(entry.key))
    .bind(entry.at.micros())
    .bind(kind_word(entry.kind))
    .bind(to_json(&entry.content, "ledger of a job")?)
    .bind(entry.good)
    .bind(entry.scrap)
    .bind(entry.rework)
    .bind(blob(entry.by))
    .bind(blob(entry.event))
    .bind(blob(entry.job))
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Begins a job's span, ends it, or both where it has moved.
async fn keep_span(tx: &mut SqliteConnection, job: &JobRow, at: Timestamp, by: Uuid) -> Result<(), StoreError> {
    let stood: Option<(i64, String, i64)> =
        sqlx::query_as("SELECT number, unit, from_at FROM job_span WHERE job = ? AND to_at = 9223372036854775807")
            .bind(blob(job.id))
            .fetch_optional(&mut *tx)
            .await
            .map_err(database("read where a job stands"))?;
    let unit = place_on(job);
    if let Some((number, on, from)) = stood {
        if unit == Some(&on) {
            return Ok(());
        }
        // A clock that was set back makes no span that ends before it begins.
        sqlx::query("UPDATE job_span SET to_at = ? WHERE number = ?")
            .bind(at.micros().max(from))
            .bind(number)
            .execute(&mut *tx)
            .await
            .map_err(database("end where a job stood"))?;
    }
    let Some(unit) = unit else { return Ok(()) };
    // Nor one that begins before the last one there ended: what a machine counts is one job's.
    let at = at.max(read::unit_last(tx, unit).await?.unwrap_or(at));
    let refused = |error: sqlx::Error| {
        if is_taken(&error) {
            return StoreError::Taken { what: "place on equipment", name: unit.to_owned() };
        }
        database("write where a job stands")(error)
    };
    let number = next(tx, "SELECT coalesce(max(number), 0) FROM job_span").await?;
    sqlx::query("INSERT INTO job_span (number, unit, job, from_at, to_at, by_id) VALUES (?, ?, ?, ?, ?, ?)")
        .bind(number)
        .bind(unit.to_owned())
        .bind(blob(job.id))
        .bind(at.micros())
        .bind(NEVER)
        .bind(blob(by))
        .execute(tx)
        .await
        .map_err(refused)?;
    Ok(())
}

/// The number after the last; rows are never deleted, so none is given twice.
async fn next(tx: &mut SqliteConnection, last: &'static str) -> Result<i64, StoreError> {
    let last: i64 = sqlx::query_scalar(last).fetch_one(tx).await.map_err(database("number a row"))?;
    Ok(last + 1)
}

/// A count out of a row.
fn unsigned(number: i64) -> u64 {
    to_u64(number)
}
