//! Work orders, job orders, their ledger, and where they stood.
//!
//! A change looks first and writes then, in one transaction of the only writer: is the key new, is the version the one that was read, is
//! the equipment free? The unique indexes of `job_span` say the last once more, whoever writes.

mod read;

use super::outbox::enqueue;
use super::to_json;
use crate::error::{StoreError, database};
use crate::orders::{
    Created, EntryKind, EntryWrite, JobFilter, JobRow, JobSpan, LedgerEntry, ListedJob, NewEntry, NewOrder,
    OrderFilter, OrderPage, OrderRepository, OrderRow, OrderWrite, PersonSkill, SpanFilter, StoredOrder, UnitCount,
    Written,
};
use crate::sql::{Link, SqlError, sql};
use crate::store::Store;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use std::collections::BTreeSet;
use uuid::Uuid;

/// The end of a span that lasts, and the time of what is not planned or not due.
const NEVER: i64 = i64::MAX;
/// So many rows are written with one statement, for each is a way to the database and back.
const AT_A_TIME: usize = 64;

#[async_trait]
impl OrderRepository for Store {
    async fn orders_create(&self, orders: Vec<NewOrder>) -> Result<Vec<Created>, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let mut done = Vec::with_capacity(orders.len());
                for new in orders {
                    done.push(create(&mut tx, new).await?);
                }
                Ok(done)
            })
        })
        .await
    }

    async fn order_write(&self, write: OrderWrite) -> Result<Written, StoreError> {
        self.write(move |mut tx| Box::pin(async move { change(&mut tx, write).await })).await
    }

    async fn job_entry(&self, write: EntryWrite) -> Result<Written, StoreError> {
        self.write(move |mut tx| Box::pin(async move { enter(&mut tx, write).await })).await
    }

    async fn orders(&self, filter: OrderFilter) -> Result<OrderPage, StoreError> {
        let mut reading = self.moment("read orders").await?;
        let mut tx = reading.link();
        let page = read::page(&mut tx, &filter).await?;
        Ok(page)
    }

    async fn order(&self, number: &str) -> Result<Option<StoredOrder>, StoreError> {
        let mut reading = self.moment("read an order").await?;
        let mut tx = reading.link();
        let order = read::by_number(&mut tx, number).await?;
        Ok(order)
    }

    async fn order_of_job(&self, job: Uuid) -> Result<Option<StoredOrder>, StoreError> {
        let mut reading = self.moment("read an order").await?;
        let mut tx = reading.link();
        let order = match read::job(&mut tx, job).await? {
            Some(job) => read::by_id(&mut tx, job.order).await?,
            None => None,
        };
        Ok(order)
    }

    async fn jobs_to_make(&self, filter: JobFilter) -> Result<Vec<ListedJob>, StoreError> {
        let mut reading = self.reader("read a dispatch list").await?;
        read::to_make(&mut reading.link(), &filter).await
    }

    async fn job_ledger(&self, job: Uuid, before: Option<u64>, limit: u32) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut reading = self.reader("read the ledger of a job").await?;
        read::ledger(&mut reading.link(), job, before, limit).await
    }

    async fn job_seen(&self, job: Uuid) -> Result<Vec<LedgerEntry>, StoreError> {
        let mut reading = self.reader("read the ledger of a job").await?;
        read::seen(&mut reading.link(), job).await
    }

    async fn job_entry_of(&self, key: Uuid) -> Result<Option<LedgerEntry>, StoreError> {
        let mut reading = self.reader("read the ledger of a job").await?;
        read::entry(&mut reading.link(), key).await
    }

    async fn job_spans(&self, filter: SpanFilter) -> Result<Vec<JobSpan>, StoreError> {
        let mut reading = self.reader("read where jobs stood").await?;
        read::spans(&mut reading.link(), &filter).await
    }

    async fn unit_last(&self, unit: &str) -> Result<Option<Timestamp>, StoreError> {
        let mut reading = self.reader("read where jobs stood").await?;
        read::unit_last(&mut reading.link(), unit).await
    }

    async fn unit_counts(&self, unit: &str, from: Timestamp, after: u64) -> Result<Vec<UnitCount>, StoreError> {
        let mut reading = self.reader("read what people counted").await?;
        read::unit_counts(&mut reading.link(), unit, from, after).await
    }

    async fn spans_of_job(&self, job: Uuid) -> Result<Vec<JobSpan>, StoreError> {
        let mut reading = self.reader("read where a job stood").await?;
        read::spans_of(&mut reading.link(), job).await
    }

    async fn jobs_standing(&self, unit: Option<&str>) -> Result<Vec<JobSpan>, StoreError> {
        let mut reading = self.reader("read where jobs stand").await?;
        read::standing(&mut reading.link(), unit).await
    }

    async fn person_skills(&self, person: Option<Uuid>) -> Result<Vec<PersonSkill>, StoreError> {
        let mut reading = self.reader("read what people are qualified for").await?;
        read::skills(&mut reading.link(), person).await
    }

    async fn person_skill_put(&self, skill: PersonSkill, event: Event) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let there = sql("SELECT 1 FROM person WHERE id = $1")
                    .bind(skill.person)
                    .optional(&mut tx)
                    .await
                    .map_err(database("look for a person"))?;
                if there.is_none() {
                    return Err(StoreError::Missing { what: "user", id: skill.person });
                }
                sql("INSERT INTO person_skill (person, skill, until) VALUES ($1, $2, $3) \
                     ON CONFLICT (person, skill) DO UPDATE SET until = excluded.until")
                .bind(skill.person)
                .bind(skill.skill)
                .bind(skill.until)
                .execute(&mut tx)
                .await
                .map_err(database("write what a person is qualified for"))?;
                enqueue(&mut tx, &event).await
            })
        })
        .await
    }

    async fn person_skill_remove(&self, person: Uuid, skill: &str, event: Event) -> Result<(), StoreError> {
        let skill = skill.to_owned();
        self.write(move |mut tx| {
            Box::pin(async move {
                let done = sql("DELETE FROM person_skill WHERE person = $1 AND skill = $2")
                    .bind(person)
                    .bind(skill)
                    .execute(&mut tx)
                    .await
                    .map_err(database("take a qualification back"))?;
                if done == 0 {
                    return Err(StoreError::Missing { what: "qualification of user", id: person });
                }
                enqueue(&mut tx, &event).await
            })
        })
        .await
    }
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

async fn create(tx: &mut Link<'_>, new: NewOrder) -> Result<Created, StoreError> {
    let StoredOrder { order, jobs } = new.order;
    if let Some(there) = read::by_number(tx, &order.number).await? {
        return Ok(Created::There(there));
    }
    let id = order.id;
    insert_order(tx, &order).await?;
    let branches: Vec<&str> = branches_of(&jobs).into_iter().collect();
    for branches in branches.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO order_branch (branch, order_id, state) ");
        let state = order.state.as_str();
        statement.push_rows(branches.iter().map(|branch| vec![(*branch).into(), id.into(), state.into()]));
        statement.run(tx, "write where an order can be made").await?;
    }
    let mut ordinal = next(tx, "SELECT coalesce(max(ordinal), 0) AS last FROM job_order").await?;
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

async fn insert_order(tx: &mut Link<'_>, order: &OrderRow) -> Result<(), StoreError> {
    sql(
        "INSERT INTO work_order (id, number, material, revision, title, unit, quantity, due, priority, state, source, \
         note, fold, created, version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 1)",
    )
    .bind(order.id)
    .bind(order.number.clone())
    .bind(order.material.clone())
    .bind(order.revision.clone())
    .bind(order.title.clone())
    .bind(order.unit.clone())
    .bind(order.quantity)
    .bind(order.due)
    .bind(order.priority)
    .bind(order.state.clone())
    .bind(order.source.clone())
    .bind(order.note.clone())
    .bind(format!("{} {} {}", order.number, order.material, order.title).to_lowercase())
    .bind(order.created)
    .execute(tx)
    .await
    .map_err(database("write an order"))?;
    Ok(())
}

async fn insert_job(
    tx: &mut Link<'_>,
    job: &JobRow,
    order: Uuid,
    ordinal: i64,
    position: usize,
) -> Result<(), StoreError> {
    let refused = |error: SqlError| {
        if error.is_taken() {
            return StoreError::Taken { what: "job order", name: job.number.clone() };
        }
        database("write a job order")(error)
    };
    sql(
        "INSERT INTO job_order (id, ordinal, order_id, position, number, operation, title, equipment, alternatives, \
         quantity, good, scrap, rework, state, substate, is_open, stands, planned_start, planned_end, pinned, started, \
         ended, run_time_ns, setup_us, after_jobs, skills, instructions, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 0, 0, 0, $11, $12, $13, 0, $14, $15, $16, NULL, NULL, $17, $18, $19, $20, $21, 1)",
    )
    .bind(job.id)
    .bind(ordinal)
    .bind(order)
    .bind(position)
    .bind(job.number.clone())
    .bind(job.operation.clone())
    .bind(job.title.clone())
    .bind(job.equipment.clone())
    .bind(to_json(&job.alternatives, "job order")?)
    .bind(job.quantity)
    .bind(job.state.clone())
    .bind(job.substate.clone())
    .bind(job.open)
    .bind(job.planned_start)
    .bind(job.planned_end)
    .bind(job.pinned)
    .bind(job.run_time_ns)
    .bind(i64::try_from(job.setup.as_micros()).unwrap_or(i64::MAX))
    .bind(to_json(&job.after, "job order")?)
    .bind(to_json(&job.skills, "job order")?)
    .bind(to_json(&job.instructions, "job order")?)
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}

async fn change(tx: &mut Link<'_>, write: OrderWrite) -> Result<Written, StoreError> {
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

async fn enter(tx: &mut Link<'_>, write: EntryWrite) -> Result<Written, StoreError> {
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
    sql("UPDATE job_order SET good = good + $1, scrap = scrap + $2, rework = rework + $3 WHERE id = $4")
        .bind(entry.good)
        .bind(entry.scrap)
        .bind(entry.rework)
        .bind(entry.job)
        .execute(tx)
        .await
        .map_err(database("add what was counted"))?;
    insert_entry(tx, &entry).await?;
    enqueue(tx, &event).await?;
    Ok(Written::Now(there(tx, job.order).await?))
}

/// The answer to what stands in the ledger already.
async fn asked_before(tx: &mut Link<'_>, asked: &NewEntry, order: Uuid) -> Result<Option<Written>, StoreError> {
    let Some(found) = read::entry(tx, asked.key).await? else { return Ok(None) };
    let was = &found.entry;
    if (was.job, was.kind, &was.content) != (asked.job, asked.kind, &asked.content) {
        return Ok(Some(Written::KeyUsed(Box::new(found))));
    }
    Ok(Some(Written::Before { entry: Box::new(found), order: there(tx, order).await? }))
}

async fn there(tx: &mut Link<'_>, order: Uuid) -> Result<StoredOrder, StoreError> {
    read::by_id(tx, order).await?.ok_or(StoreError::Missing { what: "work order", id: order })
}

async fn update_order(tx: &mut Link<'_>, order: &OrderRow) -> Result<(), StoreError> {
    sql("UPDATE work_order SET quantity = $1, due = $2, priority = $3, state = $4, note = $5, version = version + 1 \
         WHERE id = $6 AND version = $7")
    .bind(order.quantity)
    .bind(order.due)
    .bind(order.priority)
    .bind(order.state.clone())
    .bind(order.note.clone())
    .bind(order.id)
    .bind(order.version)
    .execute(tx)
    .await
    .map_err(database("change an order"))?;
    Ok(())
}

/// What an order is in, where its branches are looked up.
async fn update_branches(tx: &mut Link<'_>, order: &OrderRow, jobs: &[JobRow]) -> Result<(), StoreError> {
    let branches: Vec<&str> = branches_of(jobs).into_iter().collect();
    for branches in branches.chunks(AT_A_TIME) {
        let mut statement = sql("UPDATE order_branch SET state = ");
        statement.push_bind(order.state.as_str()).push(" WHERE order_id = ").push_bind(order.id);
        statement.push(" AND branch IN ").push_list(branches.iter().copied());
        statement.run(tx, "write where an order can be made").await?;
    }
    Ok(())
}

async fn update_job(tx: &mut Link<'_>, job: &JobRow) -> Result<(), StoreError> {
    sql(
        "UPDATE job_order SET equipment = $1, quantity = $2, state = $3, substate = $4, is_open = $5, stands = $6, \
         planned_start = $7, planned_end = $8, pinned = $9, started = $10, ended = $11, version = version + 1 WHERE id = $12",
    )
    .bind(job.equipment.clone())
    .bind(job.quantity)
    .bind(job.state.clone())
    .bind(job.substate.clone())
    .bind(job.open)
    .bind(job.stands)
    .bind(job.planned_start)
    .bind(job.planned_end)
    .bind(job.pinned)
    .bind(job.started)
    .bind(job.ended)
    .bind(job.id)
    .execute(tx)
    .await
    .map_err(database("change a job order"))?;
    Ok(())
}

/// Puts a job where dispatch lists look for it, or takes it out of them.
async fn queue(tx: &mut Link<'_>, job: &JobRow, order: &OrderRow) -> Result<(), StoreError> {
    sql("DELETE FROM job_queue WHERE job = $1")
        .bind(job.id)
        .execute(tx)
        .await
        .map_err(database("take a job out of its dispatch lists"))?;
    if !job.open {
        return Ok(());
    }
    let places: BTreeSet<&str> =
        job.alternatives.iter().chain(&job.equipment).map(String::as_str).chain([""]).collect();
    for places in places.into_iter().collect::<Vec<_>>().chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO job_queue (equipment, elsewhere, planned_start, urgency, due, job) ");
        statement.push_rows(places.iter().map(|path| {
            let elsewhere = !path.is_empty() && job.equipment.as_deref().is_some_and(|decided| decided != *path);
            vec![
                (*path).into(),
                elsewhere.into(),
                job.planned_start.map_or(NEVER, Timestamp::micros).into(),
                (9 - i64::from(order.priority)).into(),
                order.due.map_or(NEVER, Timestamp::micros).into(),
                job.id.into(),
            ]
        }));
        statement.run(tx, "put a job into dispatch lists").await?;
    }
    Ok(())
}

async fn insert_entry(tx: &mut Link<'_>, entry: &NewEntry) -> Result<(), StoreError> {
    let number = next(tx, "SELECT coalesce(max(number), 0) AS last FROM job_ledger").await?;
    let refused = |error: SqlError| {
        if error.is_taken() {
            return StoreError::Taken { what: "key", name: entry.key.to_string() };
        }
        database("write into the ledger of a job")(error)
    };
    // What the job is in then is read from its row, which is written before.
    sql(
        "INSERT INTO job_ledger (number, key, job, at, kind, content, state, substate, equipment, good, scrap, rework, \
         by_id, event) SELECT $1, $2, id, $3, $4, $5, state, substate, equipment, $6, $7, $8, $9, $10 FROM job_order WHERE id = $11",
    )
    .bind(number)
    .bind(entry.key)
    .bind(entry.at)
    .bind(kind_word(entry.kind))
    .bind(to_json(&entry.content, "ledger of a job")?)
    .bind(entry.good)
    .bind(entry.scrap)
    .bind(entry.rework)
    .bind(entry.by)
    .bind(entry.event)
    .bind(entry.job)
    .execute(tx)
    .await
    .map_err(refused)?;
    Ok(())
}

/// Begins a job's span, ends it, or both where it has moved.
async fn keep_span(tx: &mut Link<'_>, job: &JobRow, at: Timestamp, by: Uuid) -> Result<(), StoreError> {
    let stood = sql("SELECT number, unit, from_at FROM job_span WHERE job = $1 AND to_at = 9223372036854775807")
        .bind(job.id)
        .optional(tx)
        .await
        .map_err(database("read where a job stands"))?;
    let unit = place_on(job);
    if let Some(row) = stood {
        let (number, on, from): (i64, String, i64) = (row.get("number")?, row.get("unit")?, row.get("from_at")?);
        if unit == Some(&on) {
            return Ok(());
        }
        // A clock that was set back makes no span that ends before it begins.
        sql("UPDATE job_span SET to_at = $1 WHERE number = $2")
            .bind(at.micros().max(from))
            .bind(number)
            .execute(tx)
            .await
            .map_err(database("end where a job stood"))?;
    }
    let Some(unit) = unit else { return Ok(()) };
    // Nor one that begins before the last one there ended: what a machine counts is one job's.
    let at = at.max(read::unit_last(tx, unit).await?.unwrap_or(at));
    let refused = |error: SqlError| {
        if error.is_taken() {
            return StoreError::Taken { what: "place on equipment", name: unit.to_owned() };
        }
        database("write where a job stands")(error)
    };
    let number = next(tx, "SELECT coalesce(max(number), 0) AS last FROM job_span").await?;
    sql("INSERT INTO job_span (number, unit, job, from_at, to_at, by_id) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(number)
        .bind(unit)
        .bind(job.id)
        .bind(at)
        .bind(NEVER)
        .bind(by)
        .execute(tx)
        .await
        .map_err(refused)?;
    Ok(())
}

/// The number after the last; rows are never deleted, so none is given twice.
async fn next(tx: &mut Link<'_>, last: &'static str) -> Result<i64, StoreError> {
    let last: i64 = sql(last).one(tx).await.map_err(database("number a row"))?.get("last")?;
    Ok(last + 1)
}
