//! Maintenance orders, their ledger, the work of people, parts, and the turns of plans.
//!
//! A change looks first and writes then, in one transaction of the only writer: is the key new, is the version the one that was read, has
//! what it comes of its order already, is the plan in that turn?

mod read;

use super::outbox::enqueue;
use super::{NEVER, to_json};
use crate::error::StoreError;
use crate::maintenance::{
    FailureRow, MaintenanceEntry, MaintenanceFilter, MaintenancePage, MaintenanceRepository, MaintenanceRow,
    MaintenanceWrite, MaintenanceWritten, NewMaintenance, NewMaintenanceEntry, Part, PlanTurn, StoredMaintenance,
    TurnDue, WorkSpan,
};
use crate::sql::{Link, sql, to_i64};
use crate::store::Store;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use uuid::Uuid;

#[async_trait]
impl MaintenanceRepository for Store {
    async fn maintenance_create(&self, new: NewMaintenance) -> Result<MaintenanceWritten, StoreError> {
        self.write(move |mut tx| Box::pin(async move { create(&mut tx, new).await })).await
    }

    async fn maintenance_write(&self, write: MaintenanceWrite) -> Result<MaintenanceWritten, StoreError> {
        self.write(move |mut tx| Box::pin(async move { change(&mut tx, write).await })).await
    }

    async fn maintenance_turn_begin(&self, plan: &str, since: Timestamp) -> Result<PlanTurn, StoreError> {
        let plan = plan.to_owned();
        self.write(move |mut tx| {
            Box::pin(async move {
                sql(
                    "INSERT INTO maintenance_turn (plan, turn, since) VALUES ($1, 1, $2) ON CONFLICT (plan) DO NOTHING",
                )
                .bind(plan.clone())
                .bind(since)
                .run(&mut tx, "begin the turn of a plan")
                .await?;
                let missing = StoreError::Missing { what: "turn of a maintenance plan", id: Uuid::nil() };
                read::turn(&mut tx, &plan).await?.ok_or(missing)
            })
        })
        .await
    }

    async fn maintenance_asked(
        &self,
        order: Uuid,
        entry: NewMaintenanceEntry,
    ) -> Result<MaintenanceWritten, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                if let Some(before) = asked_before(&mut tx, &entry, Some(order)).await? {
                    return Ok(before);
                }
                let there = there(&mut tx, order).await?;
                note(&mut tx, order, &entry, None).await?;
                Ok(MaintenanceWritten::Before(there))
            })
        })
        .await
    }

    async fn maintenance_turn_due(&self, due: TurnDue) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let (since, by) = due.due.unzip();
                sql("UPDATE maintenance_turn SET due_since = $1, due_by = $2, occurrence = coalesce($3, occurrence) \
                     WHERE plan = $4 AND turn = $5 AND due_since IS NULL")
                .bind(since)
                .bind(by)
                .bind(due.occurrence)
                .bind(due.plan)
                .bind(due.turn)
                .run(&mut tx, "write the turn of a plan")
                .await
                .map(drop)
            })
        })
        .await
    }

    async fn maintenance_turn_undue(&self, plan: &str, turn: u64) -> Result<(), StoreError> {
        let plan = plan.to_owned();
        self.write(move |mut tx| {
            Box::pin(async move {
                sql("UPDATE maintenance_turn SET due_since = NULL, due_by = NULL WHERE plan = $1 AND turn = $2")
                    .bind(plan)
                    .bind(turn)
                    .run(&mut tx, "write the turn of a plan")
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn maintenance_next(&self) -> Result<u64, StoreError> {
        let mut reading = self.reader("number a maintenance order").await?;
        read::next(&mut reading.link()).await
    }

    async fn maintenance_orders(&self, filter: MaintenanceFilter) -> Result<MaintenancePage, StoreError> {
        let mut reading = self.moment("read maintenance orders").await?;
        read::page(&mut reading.link(), &filter).await
    }

    async fn maintenance_order(&self, number: &str) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut reading = self.moment("read a maintenance order").await?;
        read::by_number(&mut reading.link(), number).await
    }

    async fn maintenance_by_id(&self, id: Uuid) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut reading = self.moment("read a maintenance order").await?;
        read::by_id(&mut reading.link(), id).await
    }

    async fn maintenance_is_open(&self, id: Uuid) -> Result<bool, StoreError> {
        let doing = "read whether a maintenance order is open";
        let query = sql("SELECT is_open FROM maintenance_order WHERE id = $1").bind(id);
        Ok(query.first(&mut self.reader(doing).await?.link(), doing).await?.unwrap_or(false))
    }

    async fn maintenance_of(&self, origin: &str) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut reading = self.moment("read a maintenance order").await?;
        read::by_origin(&mut reading.link(), origin).await
    }

    async fn maintenance_open_of_alarm(&self, alarm: &str) -> Result<Option<StoredMaintenance>, StoreError> {
        let mut reading = self.moment("read a maintenance order").await?;
        read::open_of_alarm(&mut reading.link(), alarm).await
    }

    async fn maintenance_entry_of(&self, key: Uuid) -> Result<Option<MaintenanceEntry>, StoreError> {
        let mut reading = self.reader("read the ledger of maintenance").await?;
        read::entry(&mut reading.link(), key).await
    }

    async fn maintenance_ledger(
        &self,
        order: Uuid,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<MaintenanceEntry>, StoreError> {
        let mut reading = self.reader("read the ledger of maintenance").await?;
        read::ledger(&mut reading.link(), order, before, limit).await
    }

    async fn maintenance_seen(&self, order: Uuid) -> Result<Vec<MaintenanceEntry>, StoreError> {
        let mut reading = self.reader("read the ledger of maintenance").await?;
        read::seen(&mut reading.link(), order).await
    }

    async fn maintenance_failures(
        &self,
        branch: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<FailureRow>, StoreError> {
        let mut reading = self.reader("read failures").await?;
        read::failures(&mut reading.link(), branch, from, to, limit).await
    }

    async fn maintenance_failures_at(
        &self,
        paths: Vec<String>,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<FailureRow>, StoreError> {
        if paths.is_empty() {
            return Ok(Vec::new());
        }
        let mut reading = self.reader("read failures").await?;
        read::failures_at(&mut reading.link(), &paths, from, to, limit).await
    }

    async fn maintenance_work(
        &self,
        branch: &str,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<WorkSpan>, StoreError> {
        let mut reading = self.reader("read maintenance work").await?;
        read::work_over(&mut reading.link(), branch, from, to, limit).await
    }

    async fn maintenance_turns(&self) -> Result<Vec<PlanTurn>, StoreError> {
        let mut reading = self.reader("read the turns of plans").await?;
        read::turns(&mut reading.link()).await
    }
}

async fn there(tx: &mut Link<'_>, order: Uuid) -> Result<StoredMaintenance, StoreError> {
    read::by_id(tx, order).await?.ok_or(StoreError::Missing { what: "maintenance order", id: order })
}

/// The answer to what stands in the ledger already. `order`: of which it has to be; `None`: of any, it is about a new one.
async fn asked_before(
    tx: &mut Link<'_>,
    asked: &NewMaintenanceEntry,
    order: Option<Uuid>,
) -> Result<Option<MaintenanceWritten>, StoreError> {
    let Some(found) = read::entry(tx, asked.key).await? else { return Ok(None) };
    let was = &found.entry;
    let same =
        order.is_none_or(|order| order == found.order) && (&was.kind, &was.content) == (&asked.kind, &asked.content);
    Ok(Some(if same { MaintenanceWritten::Before(there(tx, found.order).await?) } else { MaintenanceWritten::KeyUsed }))
}

async fn create(tx: &mut Link<'_>, new: NewMaintenance) -> Result<MaintenanceWritten, StoreError> {
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
    tx: &mut Link<'_>,
    order: Uuid,
    entry: &NewMaintenanceEntry,
    event: &Event,
) -> Result<MaintenanceWritten, StoreError> {
    note(tx, order, entry, Some(event.id)).await?;
    enqueue(tx, event).await?;
    Ok(MaintenanceWritten::Now(there(tx, order).await?))
}

/// Writes into the ledger. `event`: what tells of it; `None`: nothing was done.
async fn note(
    tx: &mut Link<'_>,
    order: Uuid,
    entry: &NewMaintenanceEntry,
    event: Option<Uuid>,
) -> Result<(), StoreError> {
    let last: u64 =
        sql("SELECT coalesce(max(number), 0) AS last FROM maintenance_ledger").only(tx, "number an entry").await?;
    let number = last + 1;
    // What the order is in then is read from its row, which is written before.
    sql("INSERT INTO maintenance_ledger (number, key, order_id, at, kind, content, state, substate, by_id, event) \
         SELECT $1, $2, id, $3, $4, $5, state, substate, $6, $7 FROM maintenance_order WHERE id = $8")
    .bind(number)
    .bind(entry.key)
    .bind(entry.at)
    .bind(entry.kind.clone())
    .bind(to_json(&entry.content, "ledger of maintenance")?)
    .bind(entry.by)
    .bind(event)
    .bind(order)
    .run(tx, "write into the ledger of maintenance")
    .await
    .map(drop)
}

/// Notes the order of a plan's turn; `false`: the plan is in another.
async fn take_turn(tx: &mut Link<'_>, due: &TurnDue, order: Uuid) -> Result<bool, StoreError> {
    // What was found to be due first stays.
    let done = sql(
        "UPDATE maintenance_turn SET order_id = $1, due_since = coalesce(due_since, $2), due_by = coalesce(due_by, $3), \
         occurrence = coalesce($4, occurrence) WHERE plan = $5 AND turn = $6",
    )
    .bind(order)
    .bind(due.due.as_ref().map(|(since, _)| *since))
    .bind(due.due.as_ref().map(|(_, by)| by.clone()))
    .bind(due.occurrence)
    .bind(due.plan.clone())
    .bind(due.turn)
    .run(tx, "write the turn of a plan")
    .await?;
    Ok(done > 0)
}

async fn insert(tx: &mut Link<'_>, order: &MaintenanceRow) -> Result<(), StoreError> {
    let what = "maintenance order";
    sql(
        "INSERT INTO maintenance_order (id, number, ordinal, origin, kind, equipment, title, note, priority, due, plan, \
         turn, alarm, occurrence, source, state, substate, is_open, failed, restored, code, cause, remedy, estimated_us, \
         skills, instructions, parts, fold, created, created_by, started, ended, version) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, NULL, NULL, 1)",
    )
    .bind(order.id)
    .bind(order.number.clone())
    .bind(order.ordinal.map(to_i64))
    .bind(order.origin.clone())
    .bind(order.kind.clone())
    .bind(order.equipment.clone())
    .bind(order.title.clone())
    .bind(order.note.clone())
    .bind(order.priority)
    .bind(order.due)
    .bind(order.plan.as_ref().map(|(plan, _)| plan.clone()))
    .bind(order.plan.as_ref().map(|(_, turn)| to_i64(*turn)))
    .bind(order.alarm.as_ref().map(|(alarm, _)| alarm.clone()))
    .bind(order.alarm.as_ref().map(|(_, occurrence)| *occurrence))
    .bind(order.source.clone())
    .bind(order.state.clone())
    .bind(order.substate.clone())
    .bind(order.open)
    .bind(order.failed)
    .bind(order.restored.unwrap_or(NEVER))
    .bind(order.code.clone())
    .bind(order.cause.clone())
    .bind(order.remedy.clone())
    .bind(estimated(order))
    .bind(to_json(&order.skills, what)?)
    .bind(to_json(&order.instructions, what)?)
    .bind(to_json(&order.parts, what)?)
    .bind(fold(order))
    .bind(order.created)
    .bind(order.created_by)
    .run(tx, "write a maintenance order")
    .await?;
    Ok(())
}

fn estimated(order: &MaintenanceRow) -> Option<i64> {
    order.estimated.map(|span| i64::try_from(span.as_micros()).unwrap_or(i64::MAX))
}

fn fold(order: &MaintenanceRow) -> String {
    format!("{} {} {}", order.number, order.title, order.equipment).to_lowercase()
}

async fn change(tx: &mut Link<'_>, write: MaintenanceWrite) -> Result<MaintenanceWritten, StoreError> {
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
        sql("UPDATE maintenance_work SET to_at = CASE WHEN from_at > $1 THEN from_at ELSE $1 END \
             WHERE order_id = $2 AND person = $3 AND to_at = 9223372036854775807")
        .bind(entry.at)
        .bind(order.id)
        .bind(person)
        .run(tx, "end the work of a person")
        .await?;
    }
    for person in begins {
        begin_work(tx, &current.order, person, entry.at).await?;
    }
    if let (Some(since), Some((plan, turn))) = (next_turn, &current.order.plan) {
        sql(
            "UPDATE maintenance_turn SET turn = turn + 1, since = $1, due_since = NULL, due_by = NULL, order_id = NULL, \
             last_order = $2 WHERE plan = $3 AND turn = $4",
        )
        .bind(since)
        .bind(order.id)
        .bind(plan.clone())
        .bind(*turn)
        .run(tx, "begin the next turn of a plan")
    .await?;
    }
    finish(tx, order.id, &entry, &event).await
}

fn same_part(a: &Part, b: &Part) -> bool {
    (&a.material, &a.lot, &a.serial) == (&b.material, &b.lot, &b.serial)
}

async fn use_part(tx: &mut Link<'_>, order: Uuid, part: &Part) -> Result<(), StoreError> {
    let changed = sql(
        "UPDATE maintenance_part SET quantity = quantity + $1 WHERE order_id = $2 AND material = $3 AND lot = $4 AND serial = $5",
    )
    .bind(part.quantity)
    .bind(order)
    .bind(part.material.clone())
    .bind(part.lot.clone())
    .bind(part.serial.clone())
    .run(tx, "write what was used")
    .await?;
    if changed > 0 {
        return Ok(());
    }
    sql("INSERT INTO maintenance_part (order_id, material, lot, serial, quantity) VALUES ($1, $2, $3, $4, $5)")
        .bind(order)
        .bind(part.material.clone())
        .bind(part.lot.clone())
        .bind(part.serial.clone())
        .bind(part.quantity)
        .run(tx, "write what was used")
        .await?;
    Ok(())
}

async fn update(tx: &mut Link<'_>, order: &MaintenanceRow) -> Result<(), StoreError> {
    sql(
        "UPDATE maintenance_order SET title = $1, note = $2, priority = $3, due = $4, state = $5, substate = $6, is_open = $7, \
         failed = $8, restored = $9, code = $10, cause = $11, remedy = $12, fold = $13, started = $14, ended = $15, \
         version = version + 1 WHERE id = $16",
    )
    .bind(order.title.clone())
    .bind(order.note.clone())
    .bind(order.priority)
    .bind(order.due)
    .bind(order.state.clone())
    .bind(order.substate.clone())
    .bind(order.open)
    .bind(order.failed)
    .bind(order.restored.unwrap_or(NEVER))
    .bind(order.code.clone())
    .bind(order.cause.clone())
    .bind(order.remedy.clone())
    .bind(fold(order))
    .bind(order.started)
    .bind(order.ended)
    .bind(order.id)
    .run(tx, "change a maintenance order")
    .await?;
    Ok(())
}

async fn begin_work(tx: &mut Link<'_>, order: &MaintenanceRow, person: Uuid, at: Timestamp) -> Result<(), StoreError> {
    let last: u64 = sql("SELECT coalesce(max(number), 0) AS last FROM maintenance_work")
        .only(tx, "number the work of a person")
        .await?;
    let number = last + 1;
    sql("INSERT INTO maintenance_work (number, order_id, equipment, kind, person, from_at, to_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)")
    .bind(number)
    .bind(order.id)
    .bind(order.equipment.clone())
    .bind(order.kind.clone())
    .bind(person)
    .bind(at)
    .bind(NEVER)
    .run(tx, "begin the work of a person")
    .await?;
    Ok(())
}
