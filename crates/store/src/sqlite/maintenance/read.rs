//! Maintenance out of its rows.

use super::super::{from_json, to_i64, to_id, to_u64};
use super::{NEVER, blob};
use crate::error::{StoreError, database};
use crate::maintenance::{
    FailureRow, MOST_ENTRIES, MOST_ORDERS, MaintenanceEntry, MaintenanceFilter, MaintenancePage, MaintenanceRow,
    NewMaintenanceEntry, Part, PlanTurn, StoredMaintenance, WorkSpan,
};
use andon_model::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row, SqliteConnection};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

const ORDER: &str = "maintenance order";

pub(super) async fn next(tx: &mut SqliteConnection) -> Result<u64, StoreError> {
    let next: i64 = sqlx::query_scalar("SELECT coalesce(max(ordinal), 0) + 1 FROM maintenance_order")
        .fetch_one(tx)
        .await
        .map_err(database("number a maintenance order"))?;
    Ok(to_u64(next))
}

pub(super) async fn by_number(
    tx: &mut SqliteConnection,
    number: &str,
) -> Result<Option<StoredMaintenance>, StoreError> {
    let row = sqlx::query("SELECT * FROM maintenance_order WHERE number = ?").bind(number.to_owned());
    let row = row.fetch_optional(&mut *tx).await.map_err(database("read a maintenance order"))?;
    whole(tx, row.as_ref()).await
}

pub(super) async fn by_origin(
    tx: &mut SqliteConnection,
    origin: &str,
) -> Result<Option<StoredMaintenance>, StoreError> {
    let row = sqlx::query("SELECT * FROM maintenance_order WHERE origin = ?").bind(origin.to_owned());
    let row = row.fetch_optional(&mut *tx).await.map_err(database("read a maintenance order"))?;
    whole(tx, row.as_ref()).await
}

pub(super) async fn open_of_alarm(
    tx: &mut SqliteConnection,
    alarm: &str,
) -> Result<Option<StoredMaintenance>, StoreError> {
    let sql = "SELECT * FROM maintenance_order WHERE is_open = 1 AND alarm = ? ORDER BY id DESC LIMIT 1";
    let row = sqlx::query(sql).bind(alarm.to_owned()).fetch_optional(&mut *tx).await;
    whole(tx, row.map_err(database("read a maintenance order"))?.as_ref()).await
}

pub(super) async fn by_id(tx: &mut SqliteConnection, id: Uuid) -> Result<Option<StoredMaintenance>, StoreError> {
    let row = sqlx::query("SELECT * FROM maintenance_order WHERE id = ?").bind(blob(id));
    let row = row.fetch_optional(&mut *tx).await.map_err(database("read a maintenance order"))?;
    whole(tx, row.as_ref()).await
}

async fn whole(tx: &mut SqliteConnection, row: Option<&SqliteRow>) -> Result<Option<StoredMaintenance>, StoreError> {
    let Some(row) = row else { return Ok(None) };
    Ok(with_all(tx, vec![order(row)?]).await?.pop())
}

/// Orders with their work and parts; [`MOST_ORDERS`] of them stay below SQLite's limit of values.
async fn with_all(
    tx: &mut SqliteConnection,
    orders: Vec<MaintenanceRow>,
) -> Result<Vec<StoredMaintenance>, StoreError> {
    if orders.is_empty() {
        return Ok(Vec::new());
    }
    let list = |begin: &str, end: &str| {
        let mut query = QueryBuilder::<Sqlite>::new(begin);
        let mut list = query.separated(", ");
        for order in &orders {
            list.push_bind(blob(order.id));
        }
        query.push(end);
        query
    };
    let mut by_order: HashMap<Uuid, (Vec<WorkSpan>, Vec<Part>)> = HashMap::new();
    let mut query = list("SELECT * FROM maintenance_work WHERE order_id IN (", ") ORDER BY order_id, number");
    for row in &query.build().fetch_all(&mut *tx).await.map_err(database("read maintenance work"))? {
        let span = span(row)?;
        by_order.entry(span.order).or_default().0.push(span);
    }
    let mut query = list(
        "SELECT * FROM maintenance_part WHERE quantity > 0 AND order_id IN (",
        ") ORDER BY order_id, material, lot, serial",
    );
    for row in &query.build().fetch_all(&mut *tx).await.map_err(database("read what was used"))? {
        let part = Part {
            material: row.get("material"),
            lot: row.get("lot"),
            serial: row.get("serial"),
            quantity: row.get("quantity"),
        };
        by_order.entry(to_id(row.get("order_id"), ORDER)?).or_default().1.push(part);
    }
    let whole = |order: MaintenanceRow| {
        let (work, used) = by_order.remove(&order.id).unwrap_or_default();
        StoredMaintenance { order, work, used }
    };
    Ok(orders.into_iter().map(whole).collect())
}

pub(super) async fn page(tx: &mut SqliteConnection, filter: &MaintenanceFilter) -> Result<MaintenancePage, StoreError> {
    if filter.branches.is_empty() {
        return Ok(MaintenancePage { orders: Vec::new(), next: None });
    }
    let limit = usize::try_from(filter.limit.clamp(1, MOST_ORDERS)).unwrap_or(1);
    let rows = page_query(filter, limit + 1).build().fetch_all(&mut *tx).await;
    let mut orders =
        rows.map_err(database("read maintenance orders"))?.iter().map(order).collect::<Result<Vec<_>, _>>()?;
    let next = (orders.len() > limit).then(|| orders[limit - 1].id);
    orders.truncate(limit);
    Ok(MaintenancePage { orders: with_all(tx, orders).await?, next })
}

/// From the newest on, by the primary key, `maintenance_order_open` or `maintenance_order_by_plan`.
fn page_query(filter: &MaintenanceFilter, limit: usize) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT * FROM maintenance_order WHERE id < ");
    query.push_bind(blob(filter.after.unwrap_or(Uuid::max())));
    if let Some(open) = filter.open {
        query.push(" AND is_open = ").push_bind(i64::from(open));
    }
    if let Some(plan) = &filter.plan {
        query.push(" AND plan = ").push_bind(plan.clone());
    }
    for (column, words) in [("state", &filter.states), ("kind", &filter.kinds)] {
        if !words.is_empty() {
            query.push(" AND ").push(column).push(" IN (");
            let mut list = query.separated(", ");
            for word in words {
                list.push_bind(word.clone());
            }
            query.push(")");
        }
    }
    if !filter.branches.iter().any(String::is_empty) {
        query.push(" AND ");
        push_below(&mut query, &filter.branches);
    }
    if let Some(branch) = filter.branch.as_ref().filter(|branch| !branch.is_empty()) {
        query.push(" AND ");
        push_below(&mut query, std::slice::from_ref(branch));
    }
    if let Some(text) = &filter.text {
        query.push(" AND fold LIKE ").push_bind(pattern(text)).push(" ESCAPE '\\'");
    }
    query.push(" ORDER BY id DESC LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query
}

/// On or below one of the branches.
fn push_below(query: &mut QueryBuilder<Sqlite>, branches: &[String]) {
    query.push("(");
    for (number, branch) in branches.iter().enumerate() {
        query.push(if number > 0 { " OR " } else { "" }).push("equipment = ").push_bind(branch.clone());
        // '0' is the character after '/': the range holds exactly the paths below the branch.
        query.push(" OR (equipment > ").push_bind(format!("{branch}/"));
        query.push(" AND equipment < ").push_bind(format!("{branch}0")).push(")");
    }
    query.push(")");
}

/// What a folded text has to look like; the text's own signs of a pattern mean themselves.
fn pattern(text: &str) -> String {
    let mut pattern = String::from("%");
    for c in text.to_lowercase().chars() {
        if matches!(c, '%' | '_' | '\\') {
            pattern.push('\\');
        }
        pattern.push(c);
    }
    pattern + "%"
}

pub(super) async fn entry(tx: &mut SqliteConnection, key: Uuid) -> Result<Option<MaintenanceEntry>, StoreError> {
    let row = sqlx::query("SELECT * FROM maintenance_ledger WHERE key = ?").bind(blob(key)).fetch_optional(tx).await;
    row.map_err(database("read the ledger of maintenance"))?.as_ref().map(ledger_entry).transpose()
}

pub(super) async fn ledger(
    tx: &mut SqliteConnection,
    order: Uuid,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<MaintenanceEntry>, StoreError> {
    let before = before.map_or(i64::MAX, to_i64);
    let sql = "SELECT * FROM maintenance_ledger WHERE order_id = ? AND number < ? ORDER BY number DESC LIMIT ?";
    let rows = sqlx::query(sql).bind(blob(order)).bind(before).bind(i64::from(limit.clamp(1, MOST_ENTRIES)));
    let rows = rows.fetch_all(tx).await.map_err(database("read the ledger of maintenance"))?;
    rows.iter().rev().map(ledger_entry).collect()
}

pub(super) async fn seen(tx: &mut SqliteConnection, order: Uuid) -> Result<Vec<MaintenanceEntry>, StoreError> {
    let sql = "SELECT * FROM maintenance_ledger WHERE kind = 'seen' AND order_id = ? ORDER BY number";
    let rows = sqlx::query(sql).bind(blob(order)).fetch_all(tx).await;
    rows.map_err(database("read the ledger of maintenance"))?.iter().map(ledger_entry).collect()
}

pub(super) async fn failures(
    tx: &mut SqliteConnection,
    branch: &str,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<FailureRow>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT equipment, code, failed, restored FROM maintenance_order \
         WHERE failed IS NOT NULL AND state <> 'Aborted' AND restored >= ",
    );
    query.push_bind(from.micros()).push(" AND failed < ").push_bind(to.micros());
    if !branch.is_empty() {
        query.push(" AND ");
        push_below(&mut query, &[branch.to_owned()]);
    }
    query.push(" ORDER BY restored LIMIT ").push_bind(i64::from(limit));
    let rows = query.build().fetch_all(tx).await.map_err(database("read failures"))?;
    let failure = |row: &SqliteRow| FailureRow {
        equipment: row.get("equipment"),
        code: row.get("code"),
        failed: Timestamp::from_micros(row.get("failed")),
        restored: end(row, "restored"),
    };
    Ok(rows.iter().map(failure).collect())
}

pub(super) async fn work_over(
    tx: &mut SqliteConnection,
    branch: &str,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<WorkSpan>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM maintenance_work WHERE to_at > from_at AND to_at > ");
    query.push_bind(from.micros()).push(" AND from_at < ").push_bind(to.micros());
    if !branch.is_empty() {
        query.push(" AND ");
        push_below(&mut query, &[branch.to_owned()]);
    }
    query.push(" ORDER BY to_at LIMIT ").push_bind(i64::from(limit));
    let rows = query.build().fetch_all(tx).await.map_err(database("read maintenance work"))?;
    rows.iter().map(span).collect()
}

pub(super) async fn turn(tx: &mut SqliteConnection, plan: &str) -> Result<Option<PlanTurn>, StoreError> {
    let row = sqlx::query("SELECT * FROM maintenance_turn WHERE plan = ?").bind(plan.to_owned());
    let row = row.fetch_optional(tx).await.map_err(database("read the turn of a plan"))?;
    row.as_ref().map(turn_row).transpose()
}

pub(super) async fn turns(tx: &mut SqliteConnection) -> Result<Vec<PlanTurn>, StoreError> {
    let rows = sqlx::query("SELECT * FROM maintenance_turn ORDER BY plan").fetch_all(tx).await;
    rows.map_err(database("read the turns of plans"))?.iter().map(turn_row).collect()
}

fn time(row: &SqliteRow, column: &str) -> Option<Timestamp> {
    row.get::<Option<i64>, _>(column).map(Timestamp::from_micros)
}

/// The end of something; the last of times: it is not over.
fn end(row: &SqliteRow, column: &str) -> Option<Timestamp> {
    let end: i64 = row.get(column);
    (end < NEVER).then(|| Timestamp::from_micros(end))
}

fn id(row: &SqliteRow, column: &str) -> Result<Option<Uuid>, StoreError> {
    row.get::<Option<Vec<u8>>, _>(column).map(|bytes| to_id(&bytes, ORDER)).transpose()
}

fn order(row: &SqliteRow) -> Result<MaintenanceRow, StoreError> {
    let occurrence = id(row, "occurrence")?;
    Ok(MaintenanceRow {
        id: to_id(row.get("id"), ORDER)?,
        number: row.get("number"),
        ordinal: row.get::<Option<i64>, _>("ordinal").map(to_u64),
        origin: row.get("origin"),
        kind: row.get("kind"),
        equipment: row.get("equipment"),
        title: row.get("title"),
        note: row.get("note"),
        priority: u8::try_from(row.get::<i64, _>("priority")).unwrap_or(1),
        due: time(row, "due"),
        plan: row.get::<Option<String>, _>("plan").zip(row.get::<Option<i64>, _>("turn").map(to_u64)),
        alarm: row.get::<Option<String>, _>("alarm").zip(occurrence),
        source: row.get("source"),
        state: row.get("state"),
        substate: row.get("substate"),
        open: row.get("is_open"),
        failed: time(row, "failed"),
        restored: end(row, "restored"),
        code: row.get("code"),
        cause: row.get("cause"),
        remedy: row.get("remedy"),
        estimated: row.get::<Option<i64>, _>("estimated_us").map(|us| Duration::from_micros(to_u64(us))),
        skills: from_json(row.get("skills"), ORDER)?,
        instructions: from_json(row.get("instructions"), ORDER)?,
        parts: from_json(row.get("parts"), ORDER)?,
        created: Timestamp::from_micros(row.get("created")),
        created_by: to_id(row.get("created_by"), ORDER)?,
        started: time(row, "started"),
        ended: time(row, "ended"),
        version: to_u64(row.get("version")),
    })
}

fn span(row: &SqliteRow) -> Result<WorkSpan, StoreError> {
    let what = "maintenance work";
    Ok(WorkSpan {
        order: to_id(row.get("order_id"), what)?,
        equipment: row.get("equipment"),
        kind: row.get("kind"),
        person: to_id(row.get("person"), what)?,
        from: Timestamp::from_micros(row.get("from_at")),
        to: end(row, "to_at"),
    })
}

fn ledger_entry(row: &SqliteRow) -> Result<MaintenanceEntry, StoreError> {
    let what = "ledger of maintenance";
    let entry = NewMaintenanceEntry {
        key: to_id(row.get("key"), what)?,
        at: Timestamp::from_micros(row.get("at")),
        kind: row.get("kind"),
        content: from_json(row.get("content"), what)?,
        by: to_id(row.get("by_id"), what)?,
    };
    Ok(MaintenanceEntry {
        number: to_u64(row.get("number")),
        order: to_id(row.get("order_id"), what)?,
        entry,
        state: row.get("state"),
        substate: row.get("substate"),
    })
}

fn turn_row(row: &SqliteRow) -> Result<PlanTurn, StoreError> {
    Ok(PlanTurn {
        plan: row.get("plan"),
        turn: to_u64(row.get("turn")),
        since: Timestamp::from_micros(row.get("since")),
        due: time(row, "due_since").zip(row.get::<Option<String>, _>("due_by")),
        order: id(row, "order_id")?,
        last: id(row, "last_order")?,
        occurrence: id(row, "occurrence")?,
    })
}
