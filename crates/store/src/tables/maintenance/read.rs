//! Maintenance out of its rows.

use super::super::{pattern, push_below, some_end};
use crate::error::{StoreError, database};
use crate::maintenance::{
    FailureRow, MOST_ENTRIES, MOST_ORDERS, MaintenanceEntry, MaintenanceFilter, MaintenancePage, MaintenanceRow,
    NewMaintenanceEntry, Part, PlanTurn, StoredMaintenance, WorkSpan,
};
use crate::sql::{Link, Row, Statement, sql, to_i64};
use andon_model::Timestamp;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

/// What fails, in words.
const LEDGER: &str = "read the ledger of maintenance";

pub(super) async fn next(tx: &mut Link<'_>) -> Result<u64, StoreError> {
    let question = sql("SELECT coalesce(max(ordinal), 0) AS last FROM maintenance_order");
    let last: u64 = question.only(tx, "number a maintenance order").await?;
    Ok(last + 1)
}

pub(super) async fn by_number(tx: &mut Link<'_>, number: &str) -> Result<Option<StoredMaintenance>, StoreError> {
    one(tx, sql("SELECT * FROM maintenance_order WHERE number = $1").bind(number)).await
}

pub(super) async fn by_origin(tx: &mut Link<'_>, origin: &str) -> Result<Option<StoredMaintenance>, StoreError> {
    one(tx, sql("SELECT * FROM maintenance_order WHERE origin = $1").bind(origin)).await
}

pub(super) async fn open_of_alarm(tx: &mut Link<'_>, alarm: &str) -> Result<Option<StoredMaintenance>, StoreError> {
    let question = "SELECT * FROM maintenance_order WHERE is_open = 1 AND alarm = $1 ORDER BY id DESC LIMIT 1";
    one(tx, sql(question).bind(alarm)).await
}

pub(super) async fn by_id(tx: &mut Link<'_>, id: Uuid) -> Result<Option<StoredMaintenance>, StoreError> {
    one(tx, sql("SELECT * FROM maintenance_order WHERE id = $1").bind(id)).await
}

async fn one(tx: &mut Link<'_>, question: Statement) -> Result<Option<StoredMaintenance>, StoreError> {
    let row = question.optional(tx).await.map_err(database("read a maintenance order"))?;
    let Some(row) = row else { return Ok(None) };
    Ok(with_all(tx, vec![order(&row)?]).await?.pop())
}

/// Orders with their work and parts; [`MOST_ORDERS`] of them stay below SQLite's limit of values.
async fn with_all(tx: &mut Link<'_>, orders: Vec<MaintenanceRow>) -> Result<Vec<StoredMaintenance>, StoreError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let ids = || orders.iter().map(|order| order.id);
    let mut by_order: HashMap<Uuid, (Vec<WorkSpan>, Vec<Part>)> = HashMap::new();
    let mut query = sql("SELECT * FROM maintenance_work WHERE order_id IN ");
    query.push_list(ids()).push(" ORDER BY order_id, number");
    for row in &query.all(tx).await.map_err(database("read maintenance work"))? {
        let span = span(row)?;
        by_order.entry(span.order).or_default().0.push(span);
    }
    let mut query = sql("SELECT * FROM maintenance_part WHERE quantity > 0 AND order_id IN ");
    query.push_list(ids()).push(" ORDER BY order_id, material, lot, serial");
    for row in &query.all(tx).await.map_err(database("read what was used"))? {
        let part = Part {
            material: row.get("material")?,
            lot: row.get("lot")?,
            serial: row.get("serial")?,
            quantity: row.get("quantity")?,
        };
        by_order.entry(row.get("order_id")?).or_default().1.push(part);
    }
    let whole = |order: MaintenanceRow| {
        let (work, used) = by_order.remove(&order.id).unwrap_or_default();
        StoredMaintenance { order, work, used }
    };
    Ok(orders.into_iter().map(whole).collect())
}

pub(super) async fn page(tx: &mut Link<'_>, filter: &MaintenanceFilter) -> Result<MaintenancePage, StoreError> {
    if filter.branches.is_empty() {
        return Ok(MaintenancePage { orders: Vec::new(), next: None });
    }
    let limit = usize::try_from(filter.limit.clamp(1, MOST_ORDERS)).unwrap_or(1);
    let rows = page_query(filter, limit + 1).all(tx).await;
    let mut orders =
        rows.map_err(database("read maintenance orders"))?.iter().map(order).collect::<Result<Vec<_>, _>>()?;
    let next = (orders.len() > limit).then(|| orders[limit - 1].id);
    orders.truncate(limit);
    Ok(MaintenancePage { orders: with_all(tx, orders).await?, next })
}

/// From the newest on, by the primary key, `maintenance_order_open` or `maintenance_order_by_plan`.
fn page_query(filter: &MaintenanceFilter, limit: usize) -> Statement {
    let mut query = sql("SELECT * FROM maintenance_order WHERE id < ");
    query.push_bind(filter.after.unwrap_or(Uuid::max()));
    if let Some(open) = filter.open {
        query.push(" AND is_open = ").push_bind(open);
    }
    if let Some(plan) = &filter.plan {
        query.push(" AND plan = ").push_bind(plan.clone());
    }
    for (column, words) in [("state", &filter.states), ("kind", &filter.kinds)] {
        if !words.is_empty() {
            query.push(" AND ").push(column).push(" IN ").push_list(words.iter().map(String::as_str));
        }
    }
    if !filter.branches.iter().any(String::is_empty) {
        query.push(" AND ");
        push_below(&mut query, "equipment", &filter.branches);
    }
    if let Some(branch) = filter.branch.as_ref().filter(|branch| !branch.is_empty()) {
        query.push(" AND ");
        push_below(&mut query, "equipment", std::slice::from_ref(branch));
    }
    if let Some(text) = &filter.text {
        query.push(" AND fold LIKE ").push_bind(pattern(text)).push(" ESCAPE '\\'");
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(limit);
    query
}

pub(super) async fn entry(tx: &mut Link<'_>, key: Uuid) -> Result<Option<MaintenanceEntry>, StoreError> {
    let row = sql("SELECT * FROM maintenance_ledger WHERE key = $1").bind(key).optional(tx).await;
    row.map_err(database(LEDGER))?.as_ref().map(ledger_entry).transpose()
}

pub(super) async fn ledger(
    tx: &mut Link<'_>,
    order: Uuid,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<MaintenanceEntry>, StoreError> {
    let question =
        sql("SELECT * FROM maintenance_ledger WHERE order_id = $1 AND number < $2 ORDER BY number DESC LIMIT $3")
            .bind(order)
            .bind(before.map_or(i64::MAX, to_i64))
            .bind(limit.clamp(1, MOST_ENTRIES));
    question.all(tx).await.map_err(database(LEDGER))?.iter().rev().map(ledger_entry).collect()
}

pub(super) async fn seen(tx: &mut Link<'_>, order: Uuid) -> Result<Vec<MaintenanceEntry>, StoreError> {
    let question = sql("SELECT * FROM maintenance_ledger WHERE kind = 'seen' AND order_id = $1 ORDER BY number");
    question.bind(order).all(tx).await.map_err(database(LEDGER))?.iter().map(ledger_entry).collect()
}

pub(super) async fn failures(
    tx: &mut Link<'_>,
    branch: &str,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<FailureRow>, StoreError> {
    let mut query = failures_between(from, to);
    if !branch.is_empty() {
        query.push(" AND ");
        push_below(&mut query, "equipment", &[branch.to_owned()]);
    }
    failures_of(query, tx, limit).await
}

/// Failures of this equipment itself.
pub(super) async fn failures_at(
    tx: &mut Link<'_>,
    paths: &[String],
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<FailureRow>, StoreError> {
    let mut query = failures_between(from, to);
    query.push(" AND equipment IN ").push_list(paths.iter().map(String::as_str));
    failures_of(query, tx, limit).await
}

fn failures_between(from: Timestamp, to: Timestamp) -> Statement {
    let mut query = sql("SELECT equipment, code, failed, restored FROM maintenance_order \
         WHERE failed IS NOT NULL AND state <> 'Aborted' AND restored >= ");
    query.push_bind(from).push(" AND failed < ").push_bind(to);
    query
}

async fn failures_of(mut query: Statement, tx: &mut Link<'_>, limit: u32) -> Result<Vec<FailureRow>, StoreError> {
    query.push(" ORDER BY restored, id LIMIT ").push_bind(limit);
    let rows: Vec<(String, Option<String>, Timestamp, Timestamp)> = query.rows(tx, "read failures").await?;
    let failure = |(equipment, code, failed, end)| FailureRow { equipment, code, failed, restored: some_end(end) };
    Ok(rows.into_iter().map(failure).collect())
}

pub(super) async fn work_over(
    tx: &mut Link<'_>,
    branch: &str,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<WorkSpan>, StoreError> {
    let mut query = sql("SELECT * FROM maintenance_work WHERE to_at > from_at AND to_at > ");
    query.push_bind(from).push(" AND from_at < ").push_bind(to);
    if !branch.is_empty() {
        query.push(" AND ");
        push_below(&mut query, "equipment", &[branch.to_owned()]);
    }
    query.push(" ORDER BY to_at, number LIMIT ").push_bind(limit);
    query.all(tx).await.map_err(database("read maintenance work"))?.iter().map(span).collect()
}

pub(super) async fn turn(tx: &mut Link<'_>, plan: &str) -> Result<Option<PlanTurn>, StoreError> {
    let row = sql("SELECT * FROM maintenance_turn WHERE plan = $1").bind(plan).optional(tx).await;
    row.map_err(database("read the turn of a plan"))?.as_ref().map(turn_row).transpose()
}

pub(super) async fn turns(tx: &mut Link<'_>) -> Result<Vec<PlanTurn>, StoreError> {
    let rows = sql("SELECT * FROM maintenance_turn ORDER BY plan").all(tx).await;
    rows.map_err(database("read the turns of plans"))?.iter().map(turn_row).collect()
}

fn number(row: &Row, column: &str) -> Result<Option<u64>, StoreError> {
    Ok(row.get::<Option<i64>>(column)?.map(i64::unsigned_abs))
}

fn order(row: &Row) -> Result<MaintenanceRow, StoreError> {
    let (plan, alarm): (Option<String>, Option<String>) = (row.get("plan")?, row.get("alarm")?);
    Ok(MaintenanceRow {
        id: row.get("id")?,
        number: row.get("number")?,
        ordinal: number(row, "ordinal")?,
        origin: row.get("origin")?,
        kind: row.get("kind")?,
        equipment: row.get("equipment")?,
        title: row.get("title")?,
        note: row.get("note")?,
        priority: row.get("priority")?,
        due: row.get("due")?,
        plan: plan.zip(number(row, "turn")?),
        alarm: alarm.zip(row.get::<Option<Uuid>>("occurrence")?),
        source: row.get("source")?,
        state: row.get("state")?,
        substate: row.get("substate")?,
        open: row.get("is_open")?,
        failed: row.get("failed")?,
        restored: some_end(row.get("restored")?),
        code: row.get("code")?,
        cause: row.get("cause")?,
        remedy: row.get("remedy")?,
        estimated: number(row, "estimated_us")?.map(Duration::from_micros),
        skills: row.json("skills")?,
        instructions: row.json("instructions")?,
        parts: row.json("parts")?,
        created: row.get("created")?,
        created_by: row.get("created_by")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        version: row.get("version")?,
    })
}

fn span(row: &Row) -> Result<WorkSpan, StoreError> {
    Ok(WorkSpan {
        order: row.get("order_id")?,
        equipment: row.get("equipment")?,
        kind: row.get("kind")?,
        person: row.get("person")?,
        from: row.get("from_at")?,
        to: some_end(row.get("to_at")?),
    })
}

fn ledger_entry(row: &Row) -> Result<MaintenanceEntry, StoreError> {
    let entry = NewMaintenanceEntry {
        key: row.get("key")?,
        at: row.get("at")?,
        kind: row.get("kind")?,
        content: row.json("content")?,
        by: row.get("by_id")?,
    };
    Ok(MaintenanceEntry {
        number: row.get("number")?,
        order: row.get("order_id")?,
        entry,
        state: row.get("state")?,
        substate: row.get("substate")?,
    })
}

fn turn_row(row: &Row) -> Result<PlanTurn, StoreError> {
    let (due_since, due_by): (Option<Timestamp>, Option<String>) = (row.get("due_since")?, row.get("due_by")?);
    Ok(PlanTurn {
        plan: row.get("plan")?,
        turn: row.get("turn")?,
        since: row.get("since")?,
        due: due_since.zip(due_by),
        order: row.get("order_id")?,
        last: row.get("last_order")?,
        occurrence: row.get("occurrence")?,
    })
}
