//! Maintenance orders, their ledger, the work of people, parts, and the turns of plans.
//!
//! A change looks first and writes then, in one transaction of the only writer: is the key new, is the version the one that was read, has
//! what it comes of its order already, is the plan in that turn?

mod read;

use super::outbox::enqueue;
use super::{Store, to_i64, to_json};
use crate::error::{StoreError, database};
use crate::maintenance::{
    FailureRow, MaintenanceEntry, MaintenanceFilter, MaintenancePage, MaintenanceRepository, MaintenanceRow,
    MaintenanceWrite, MaintenanceWritten, NewMaintenance, NewMaintenanceEntry, Part, PlanTurn, StoredMaintenance,
    TurnDue, WorkSpan,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use sqlx::SqliteConnection;
use uuid::Uuid;

/// The time of what is not over.
const NEVER: i64 = i64::MAX;

#[async_trait]
impl MaintenanceRepository for Store {
    async fn maintenance_create(&self, new: NewMaintenance) -> Result<MaintenanceWritten, StoreError> {
        self.write(move |tx| Box::pin(create(tx, new))).await
    }

    async fn maintenance_write(&self, write: MaintenanceWrite) -> Result<MaintenanceWritten, StoreError> {
        self.write(move |tx| Box::pin(change(tx, write))).await
    }

    async fn maintenance_turn_begin(&self, plan: &str, since: Timestamp) -> Result<PlanTurn, StoreError> {
        let plan = plan.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO maintenance_turn (plan, turn, since) VALUES (?, 1, ?) ON CONFLICT (plan) DO NOTHING",
                )
                .bind(plan.clone())
                .bind(since.micros())
                .execute(&mut *tx)
                .await
                .map_err(database("begin the turn of a plan"))?;
                let missing = StoreError::Missing { what: "turn of a maintenance plan", id: Uuid::nil() };
                read::turn(tx, &plan).await?.ok_or(missing)
            })
        })
        .await
    }

    async fn maintenance_turn_undue(&self, plan: &str, turn: u64) -> Result<(), StoreError> {
        let plan = plan.to_owned();
        self.write(move |tx| {
            Box::pin(async move {
                let sql = "UPDATE maintenance_turn SET due_since = NULL, due_by = NULL WHERE plan = ? AND turn = ?";
                let done = sqlx::query(sql).bind(plan).bind(to_i64(turn)).execute(tx).await;
                done.map(drop).map_err(database("write the turn of a plan"))
            })
        })
        .await
    }

    async fn maintenance_next(&self) -> Result<u64, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("number a maintenance order"))?;
        read::next(&mut connection).await
    }

    async fn maintenance_orders(&self, filter: MaintenanceFilter) -> Result<MaintenancePage, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read maintenance orders"))?;
        let page = read::page(&mut tx, &filter).await?;
        tx.rollback().await.map_err(database("read maintenance orders"))?;
        Ok(page)
    }

    async fn maintenance_order(&self, number: &str) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read a maintenance order"))?;
        let order = read::by_number(&mut tx, number).await?;
        tx.rollback().await.map_err(database("read a maintenance order"))?;
        Ok(order)
    }

    async fn maintenance_by_id(&self, id: Uuid) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read a maintenance order"))?;
        let order = read::by_id(&mut tx, id).await?;
        tx.rollback().await.map_err(database("read a maintenance order"))?;
        Ok(order)
    }

    async fn maintenance_of(&self, origin: &str) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read a maintenance order"))?;
        let order = read::by_origin(&mut tx, origin).await?;
        tx.rollback().await.map_err(database("read a maintenance order"))?;
        Ok(order)
    }

    async fn maintenance_open_of_alarm(&self, alarm: &str) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut tx = self.readers().begin().await.map_err(database("read a maintenance order"))?;
        let order = read::open_of_alarm(&mut tx, alarm).await?;
        tx.rollback().await.map_err(database("read a maintenance order"))?;
        Ok(order)
    }

    async fn maintenance_entry_of(&self, key: Uuid) -> Result<Option<MaintenanceEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the ledger of maintenance"))?;
        read::entry(&mut connection, key).await
    }

    async fn maintenance_ledger(
        &self,
        order: Uuid,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MaintenanceEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the ledger of maintenance"))?;
        read::ledger(&mut connection, order, before, limit).await
    }

    async fn maintenance_seen(&self, order: Uuid) -> Result<Vec<MaintenanceEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the ledger of maintenance"))?;
        read::seen(&mut connection, order).await
    }

    async fn maintenance_failures(
        &self,
        branch: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<FailureRow>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read failures"))?;
        read::failures(&mut connection, branch, from, to, limit).await
    }

    async fn maintenance_work(
        &self,
        branch: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkSpan>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read maintenance work"))?;
        read::work_over(&mut connection, branch, from, to, limit).await
    }

    async fn maintenance_turns(&self) -> Result<Vec<PlanTurn>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the turns of plans"))?;
        read::turns(&mut connection).await
    }
}

fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

async fn there(tx: &mut SqliteConnection, order: Uuid) -> Result<StoredMaintenance, StoreError> {
    read::by_id(tx, order).await?.ok_or(StoreError::Missing { what: "maintenance order", id: order })
}

/// The answer to what stands in the ledger already. `order`: of which it has to be; `None`: of any, it is about a new one.
async fn asked_before(
    tx: &mut SqliteConnection,
    asked: &NewMaintenanceEntry,
    order: Option<Uuid>,
) -> Result<Option<MaintenanceWritten>, StoreError> {
    let Some(found) = read::entry(tx, asked.key).await? else { return Ok(None) };
    let was = &found.entry;
    let same =
        order.is_none_or(|order| order == found.order) && (&was.kind, &was.content) == (&asked.kind, &asked.content);
    Ok(Some(if same { MaintenanceWritten::Before(there(tx, found.order).await?) } else { MaintenanceWritten::KeyUsed }))
}

async fn create(tx: &mut SqliteConnection, new: NewMaintenance) -> Result<MaintenanceWritten, StoreError> {
    let NewMaintenance { order, entry, turn, event } = new;
    if let Some(before) = asked_before(tx, &entry, None).await? {
        return Ok(before);
    }
    if let Some(origin) = order.origin.as_deref()
        && let Some(there) = read::by_origin(tx, origin).await?
    {
        return Ok(MaintenanceWritten::Before(there));
    }
    if let Some(there) = read::by_number(tx, &order.number).await? {
        return Ok(MaintenanceWritten::Conflict(there));
    }
    if let Some(due) = &turn
        && !take_turn(tx, due, order.id).await?
    {
        return Ok(MaintenanceWritten::TurnOver);
    }
    insert(tx, &order).await?;
    finish(tx, order.id, &entry, &event).await
}

/// Writes what every change ends with.
async fn finish(
    tx: &mut SqliteConnection,
    order: Uuid,
    entry: &NewMaintenanceEntry,
    event: &Event,
) -> Result<MaintenanceWritten, StoreError> {
    let number: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) + 1 FROM maintenance_ledger")
        .fetch_one(&mut *tx)
        .await
        .map_err(database("number an entry"))?;
    // What the order is in then is read from its row, which is written before.
    sqlx::query(
        "INSERT INTO maintenance_ledger (number, key, order_id, at, kind, content, state, substate, by_id, event) \
         SELECT ?, ?, id, ?, ?, ?, state, substate, ?, ? FROM maintenance_order WHERE id = ?",
    )
    .bind(number)
    .bind(blob(entry.key))
    .bind(entry.at.micros())
    .bind(entry.kind.clone())
    .bind(to_json(&entry.content, "ledger of maintenance")?)
    .bind(blob(entry.by))
    .bind(blob(event.id))
    .bind(blob(order))
    .execute(&mut *tx)
    .await
    .map_err(database("write into the ledger of maintenance"))?;
    enqueue(tx, event).await?;
    Ok(MaintenanceWritten::Now(there(tx, order).await?))
}

/// Notes the order of a plan's turn; `false`: the plan is in another.
async fn take_turn(tx: &mut SqliteConnection, due: &TurnDue, order: Uuid) -> Result<bool, StoreError> {
    // What was found to be due first stays.
    let done = sqlx::query(
        "UPDATE maintenance_turn SET order_id = ?, due_since = coalesce(due_since, ?), due_by = coalesce(due_by, ?), \
         occurrence = coalesce(?, occurrence) WHERE plan = ? AND turn = ?",
    )
    .bind(blob(order))
    .bind(due.due.as_ref().map(|(since, _)| since.micros()))
    .bind(due.due.as_ref().map(|(_, by)| by.clone()))
    .bind(due.occurrence.map(blob))
    .bind(due.plan.clone())
    .bind(to_i64(due.turn))
    .execute(tx)
    .await
    .map_err(database("write the turn of a plan"))?;
    Ok(done.rows_affected() > 0)
}

async fn insert(tx: &mut SqliteConnection, order: &MaintenanceRow) -> Result<(), StoreError> {
    let what = "maintenance order";
    sqlx::query(
        "INSERT INTO maintenance_order (id, number, ordinal, origin, kind, equipment, title, note, priority, due, plan, \
         turn, alarm, occurrence, source, state, substate, is_open, failed, restored, code, cause, remedy, estimated_us, \
         skills, instructions, parts, fold, created, created_by, started, ended, version) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL, NULL, 1)",
    )
    .bind(blob(order.id))
    .bind(order.number.clone())
    .bind(order.ordinal.map(to_i64))
    .bind(order.origin.clone())
    .bind(order.kind.clone())
    .bind(order.equipment.clone())
    .bind(order.title.clone())
    .bind(order.note.clone())
    .bind(i64::from(order.priority))
    .bind(order.due.map(Timestamp::micros))
    .bind(order.plan.as_ref().map(|(plan, _)| plan.clone()))
    .bind(order.plan.as_ref().map(|(_, turn)| to_i64(*turn)))
    .bind(order.alarm.as_ref().map(|(alarm, _)| alarm.clone()))
    .bind(order.alarm.as_ref().map(|(_, occurrence)| blob(*occurrence)))
    .bind(order.source.clone())
    .bind(order.state.clone())
    .bind(order.substate.clone())
    .bind(order.open)
    .bind(order.failed.map(Timestamp::micros))
    .bind(order.restored.map_or(NEVER, Timestamp::micros))
    .bind(order.code.clone())
    .bind(order.cause.clone())
    .bind(order.remedy.clone())
    .bind(estimated(order))
    .bind(to_json(&order.skills, what)?)
    .bind(to_json(&order.instructions, what)?)
    .bind(to_json(&order.parts, what)?)
    .bind(fold(order))
    .bind(order.created.micros())
    .bind(blob(order.created_by))
    .execute(tx)
    .await
    .map_err(database("write a maintenance order"))?;
    Ok(())
}

fn estimated(order: &MaintenanceRow) -> Option<i64> {
    order.estimated.map(|span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}

fn fold(order: &MaintenanceRow) -> String {
    format!("{} {} {}", order.number, order.title, order.equipment).to_lowercase()
}

async fn change(tx: &mut SqliteConnection, write: MaintenanceWrite) -> Result<MaintenanceWritten, StoreError> {
    let MaintenanceWrite { order, entry, begins, ends, used, next_turn, event } = write;
    if let Some(before) = asked_before(tx, &entry, Some(order.id)).await? {
        return Ok(before);
    }
    let current = there(tx, order.id).await?;
    if current.order.version != order.version {
        return Ok(MaintenanceWritten::Conflict(current));
    }
    if let Some(part) = &used {
        let has = current.used.iter().find(|has| same_part(has, part)).map_or(0, |has| has.quantity);
        if has.checked_add(part.quantity).is_none_or(|left| left < 0) {
            return Ok(MaintenanceWritten::Conflict(current));
        }
        use_part(tx, order.id, part).await?;
    }
    update(tx, &order).await?;
    for person in ends {
        // A clock that was set back makes no span that ends before it begins.
        sqlx::query(
            "UPDATE maintenance_work SET to_at = CASE WHEN from_at > ? THEN from_at ELSE ? END \
             WHERE order_id = ? AND person = ? AND to_at = 9223372036854775807",
        )
        .bind(entry.at.micros())
        .bind(entry.at.micros())
        .bind(blob(order.id))
        .bind(blob(person))
        .execute(&mut *tx)
        .await
        .map_err(database("end the work of a person"))?;
    }
    for person in begins {
        begin_work(tx, &current.order, person, entry.at).await?;
    }
    if let (Some(since), Some((plan, turn))) = (next_turn, &current.order.plan) {
        sqlx::query(
            "UPDATE maintenance_turn SET turn = turn + 1, since = ?, due_since = NULL, due_by = NULL, order_id = NULL, \
             last_order = ? WHERE plan = ? AND turn = ?",
        )
        .bind(since.micros())
        .bind(blob(order.id))
        .bind(plan.clone())
        .bind(to_i64(*turn))
        .execute(&mut *tx)
        .await
        .map_err(database("begin the next turn of a plan"))?;
    }
    finish(tx, order.id, &entry, &event).await
}

fn same_part(a: &Part, b: &Part) -> bool {
    (&a.material, &a.lot, &a.serial) == (&b.material, &b.lot, &b.serial)
}

async fn use_part(tx: &mut SqliteConnection, order: Uuid, part: &Part) -> Result<(), StoreError> {
    let changed = sqlx::query(
        "UPDATE maintenance_part SET quantity = quantity + ? WHERE order_id = ? AND material = ? AND lot = ? AND serial = ?",
    )
    .bind(part.quantity)
    .bind(blob(order))
    .bind(part.material.clone())
    .bind(part.lot.clone())
    .bind(part.serial.clone())
    .execute(&mut *tx)
    .await
    .map_err(database("write what was used"))?;
    if changed.rows_affected() > 0 {
        return Ok(());
    }
    sqlx::query("INSERT INTO maintenance_part (order_id, material, lot, serial, quantity) VALUES (?, ?, ?, ?, ?)")
        .bind(blob(order))
        .bind(part.material.clone())
        .bind(part.lot.clone())
        .bind(part.serial.clone())
        .bind(part.quantity)
        .execute(tx)
        .await
        .map_err(database("write what was used"))?;
    Ok(())
}

async fn update(tx: &mut SqliteConnection, order: &MaintenanceRow) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE maintenance_order SET title = ?, note = ?, priority = ?, due = ?, state = ?, substate = ?, is_open = ?, \
         failed = ?, restored = ?, code = ?, cause = ?, remedy = ?, fold = ?, started = ?, ended = ?, \
         version = version + 1 WHERE id = ?",
    )
    .bind(order.title.clone())
    .bind(order.note.clone())
    .bind(i64::from(order.priority))
    .bind(order.due.map(Timestamp::micros))
    .bind(order.state.clone())
    .bind(order.substate.clone())
    .bind(order.open)
    .bind(order.failed.map(Timestamp::micros))
    .bind(order.restored.map_or(NEVER, Timestamp::micros))
    .bind(order.code.clone())
    .bind(order.cause.clone())
    .bind(order.remedy.clone())
    .bind(fold(order))
    .bind(order.started.map(Timestamp::micros))
    .bind(order.ended.map(Timestamp::micros))
    .bind(blob(order.id))
    .execute(tx)
    .await
    .map_err(database("change a maintenance order"))?;
    Ok(())
}

async fn begin_work(
    tx: &mut SqliteConnection,
    order: &MaintenanceRow,
    person: Uuid,
    at: Timestamp,
) -> Result<(), StoreError> {
    let number: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) + 1 FROM maintenance_work")
        .fetch_one(&mut *tx)
        .await
        .map_err(database("number the work of a person"))?;
    sqlx::query(
        "INSERT INTO maintenance_work (number, order_id, equipment, kind, person, from_at, to_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(number)
    .bind(blob(order.id))
    .bind(order.equipment.clone())
    .bind(order.kind.clone())
    .bind(blob(person))
    .bind(at.micros())
    .bind(NEVER)
    .execute(tx)
    .await
    .map_err(database("begin the work of a person"))?;
    Ok(())
}
