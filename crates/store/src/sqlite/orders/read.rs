//! Orders out of their rows. Every query is written for an index; the test below asks SQLite for the way it takes.

use super::super::{from_json, to_i64, to_id};
use super::{NEVER, blob, unsigned};
use crate::error::{StoreError, database};
use crate::orders::{
    EntryKind, JobFilter, JobRow, JobSpan, LedgerEntry, MOST_ENTRIES, MOST_JOBS, MOST_ORDERS, MOST_SPANS, NewEntry,
    OrderFilter, OrderPage, OrderRow, PersonSkill, StoredOrder,
};
use andon_model::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row, SqliteConnection};
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn by_number(tx: &mut SqliteConnection, number: &str) -> Result<Option<StoredOrder>, StoreError> {
    let row = sqlx::query("SELECT * FROM work_order WHERE number = ?").bind(number.to_owned());
    let row = row.fetch_optional(&mut *tx).await.map_err(database("read an order"))?;
    with_jobs(tx, row.as_ref()).await
}

pub(super) async fn by_id(tx: &mut SqliteConnection, id: Uuid) -> Result<Option<StoredOrder>, StoreError> {
    let row = sqlx::query("SELECT * FROM work_order WHERE id = ?").bind(blob(id));
    let row = row.fetch_optional(&mut *tx).await.map_err(database("read an order"))?;
    with_jobs(tx, row.as_ref()).await
}

async fn with_jobs(tx: &mut SqliteConnection, row: Option<&SqliteRow>) -> Result<Option<StoredOrder>, StoreError> {
    let Some(order) = row.map(order).transpose()? else { return Ok(None) };
    let jobs = jobs_of(tx, &[order.id]).await?.remove(&order.id).unwrap_or_default();
    Ok(Some(StoredOrder { order, jobs }))
}

pub(super) async fn job(tx: &mut SqliteConnection, id: Uuid) -> Result<Option<JobRow>, StoreError> {
    let row = sqlx::query("SELECT * FROM job_order WHERE id = ?").bind(blob(id));
    let row = row.fetch_optional(tx).await.map_err(database("read a job order"))?;
    row.as_ref().map(job_row).transpose()
}

/// The jobs of orders; [`MOST_ORDERS`] of them stay below SQLite's limit of values.
async fn jobs_of(tx: &mut SqliteConnection, orders: &[Uuid]) -> Result<HashMap<Uuid, Vec<JobRow>>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM job_order WHERE order_id IN (");
    let mut list = query.separated(", ");
    for id in orders {
        list.push_bind(blob(*id));
    }
    query.push(") ORDER BY order_id, position");
    let rows = query.build().fetch_all(tx).await.map_err(database("read job orders"))?;
    let mut by_order: HashMap<Uuid, Vec<JobRow>> = HashMap::new();
    for row in &rows {
        let job = job_row(row)?;
        by_order.entry(job.order).or_default().push(job);
    }
    Ok(by_order)
}

pub(super) async fn page(tx: &mut SqliteConnection, filter: &OrderFilter) -> Result<OrderPage, StoreError> {
    if filter.branches.is_empty() {
        return Ok(OrderPage { orders: Vec::new(), next: None });
    }
    let limit = usize::try_from(filter.limit.clamp(1, MOST_ORDERS)).unwrap_or(1);
    let states: Vec<Option<&str>> = match filter.states.as_slice() {
        [] => vec![None],
        states => states.iter().map(|state| Some(state.as_str())).collect(),
    };
    let mut orders: Vec<OrderRow> = Vec::new();
    // One state after the other: of each the index gives the newest, and no more are read than the page may hold.
    for state in states {
        let rows = page_query(filter, state, limit + 1).build().fetch_all(&mut *tx).await;
        for row in &rows.map_err(database("read orders"))? {
            orders.push(order(row)?);
        }
    }
    orders.sort_unstable_by_key(|order| std::cmp::Reverse(order.id));
    orders.dedup_by_key(|order| order.id);
    let next = (orders.len() > limit).then(|| orders[limit - 1].id);
    orders.truncate(limit);
    let ids: Vec<Uuid> = orders.iter().map(|order| order.id).collect();
    let mut jobs = if ids.is_empty() { HashMap::new() } else { jobs_of(tx, &ids).await? };
    let orders = orders.into_iter().map(|order| {
        let jobs = jobs.remove(&order.id).unwrap_or_default();
        StoredOrder { order, jobs }
    });
    Ok(OrderPage { orders: orders.collect(), next })
}

/// From the newest on by the primary key, or by `work_order_by_state`; what else is asked is looked at on the way.
fn page_query(filter: &OrderFilter, state: Option<&str>, limit: usize) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT o.* FROM work_order o WHERE o.id < ");
    query.push_bind(blob(filter.after.unwrap_or(Uuid::max())));
    if let Some(state) = state {
        query.push(" AND o.state = ").push_bind(state.to_owned());
    }
    if let Some(text) = &filter.text {
        query.push(" AND o.fold LIKE ").push_bind(pattern(text)).push(" ESCAPE '\\'");
    }
    for branches in [filter.branches.as_slice(), filter.branch.as_slice()] {
        if !branches.is_empty() && !branches.iter().any(String::is_empty) {
            query.push(" AND EXISTS (SELECT 1 FROM order_place p WHERE p.order_id = o.id AND ");
            push_below(&mut query, "p.path", branches);
            query.push(")");
        }
    }
    query.push(" ORDER BY o.id DESC LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    query
}

/// On or below one of the branches.
fn push_below(query: &mut QueryBuilder<Sqlite>, column: &str, branches: &[String]) {
    query.push("(");
    for (number, branch) in branches.iter().enumerate() {
        query.push(if number > 0 { " OR " } else { "" }).push(column).push(" = ").push_bind(branch.clone());
        // '0' is the character after '/': the range holds exactly the paths below the branch.
        query.push(" OR (").push(column).push(" > ").push_bind(format!("{branch}/"));
        query.push(" AND ").push(column).push(" < ").push_bind(format!("{branch}0")).push(")");
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

pub(super) async fn to_make(tx: &mut SqliteConnection, filter: &JobFilter) -> Result<Vec<JobRow>, StoreError> {
    if filter.branches.is_empty() {
        return Ok(Vec::new());
    }
    let rows = to_make_query(filter).build().fetch_all(tx).await.map_err(database("read a dispatch list"))?;
    rows.iter().map(job_row).collect()
}

/// By the primary key of `job_queue`, which is the order of making.
fn to_make_query(filter: &JobFilter) -> QueryBuilder<Sqlite> {
    let mut query =
        QueryBuilder::new("SELECT j.* FROM job_queue q JOIN job_order j ON j.id = q.job WHERE q.equipment = ");
    query.push_bind(filter.equipment.clone().unwrap_or_default());
    if !filter.states.is_empty() {
        query.push(" AND j.state IN (");
        let mut states = query.separated(", ");
        for state in &filter.states {
            states.push_bind(state.clone());
        }
        query.push(")");
    }
    if !filter.branches.iter().any(String::is_empty) {
        query.push(" AND EXISTS (SELECT 1 FROM job_queue p WHERE p.job = q.job AND ");
        push_below(&mut query, "p.equipment", &filter.branches);
        query.push(")");
    }
    query.push(" ORDER BY q.planned_start, q.urgency, q.due, q.job LIMIT ");
    query.push_bind(i64::from(filter.limit.clamp(1, MOST_JOBS)));
    query
}

const LEDGER: &str = "SELECT * FROM job_ledger WHERE job = ? AND number > ? ORDER BY number LIMIT ?";
const ENTRY: &str = "SELECT * FROM job_ledger WHERE key = ?";

pub(super) async fn ledger(
    tx: &mut SqliteConnection,
    job: Uuid,
    after: u64,
    limit: u32,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let rows = sqlx::query(LEDGER).bind(blob(job)).bind(to_i64(after)).bind(i64::from(limit.clamp(1, MOST_ENTRIES)));
    rows.fetch_all(tx).await.map_err(database("read the ledger of a job"))?.iter().map(ledger_entry).collect()
}

pub(super) async fn entry(tx: &mut SqliteConnection, key: Uuid) -> Result<Option<LedgerEntry>, StoreError> {
    let row = sqlx::query(ENTRY).bind(blob(key)).fetch_optional(tx).await;
    row.map_err(database("read the ledger of a job"))?.as_ref().map(ledger_entry).transpose()
}

pub(super) async fn spans(
    tx: &mut SqliteConnection,
    unit: Option<&str>,
    from: Timestamp,
    to: Timestamp,
    limit: u32,
) -> Result<Vec<JobSpan>, StoreError> {
    let rows = spans_query(unit, from, to, limit).build().fetch_all(tx).await;
    rows.map_err(database("read where jobs stood"))?.iter().map(span).collect()
}

/// By `job_span_by_unit` or `job_span_by_end`, from the window's beginning on.
fn spans_query(unit: Option<&str>, from: Timestamp, to: Timestamp, limit: u32) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT s.*, j.ordinal, j.run_time_ns FROM job_span s JOIN job_order j ON j.id = s.job WHERE s.to_at > ",
    );
    query.push_bind(from.micros()).push(" AND s.from_at < ").push_bind(to.micros());
    if let Some(unit) = unit {
        query.push(" AND s.unit = ").push_bind(unit.to_owned());
    }
    query.push(" ORDER BY s.to_at, s.number LIMIT ").push_bind(i64::from(limit.clamp(1, MOST_SPANS)));
    query
}

pub(super) async fn standing(tx: &mut SqliteConnection, unit: Option<&str>) -> Result<Vec<JobSpan>, StoreError> {
    let rows = standing_query(unit).build().fetch_all(tx).await.map_err(database("read where jobs stand"))?;
    rows.iter().map(span).collect()
}

/// By `job_span_one_on_a_unit` or `job_span_by_end`.
fn standing_query(unit: Option<&str>) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new(
        "SELECT s.*, j.ordinal, j.run_time_ns FROM job_span s JOIN job_order j ON j.id = s.job \
         WHERE s.to_at = 9223372036854775807",
    );
    if let Some(unit) = unit {
        query.push(" AND s.unit = ").push_bind(unit.to_owned());
    }
    query.push(" ORDER BY s.number");
    query
}

pub(super) async fn skills(tx: &mut SqliteConnection, person: Option<Uuid>) -> Result<Vec<PersonSkill>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT person, skill, until FROM person_skill");
    if let Some(person) = person {
        query.push(" WHERE person = ").push_bind(blob(person));
    }
    query.push(" ORDER BY person, skill");
    let rows = query.build().fetch_all(tx).await.map_err(database("read what people are qualified for"))?;
    rows.iter()
        .map(|row| {
            let person = to_id(row.get("person"), "qualification")?;
            Ok(PersonSkill { person, skill: row.get("skill"), until: time(row, "until") })
        })
        .collect()
}

fn time(row: &SqliteRow, column: &str) -> Option<Timestamp> {
    row.get::<Option<i64>, _>(column).map(Timestamp::from_micros)
}

fn order(row: &SqliteRow) -> Result<OrderRow, StoreError> {
    Ok(OrderRow {
        id: to_id(row.get("id"), "work order")?,
        number: row.get("number"),
        material: row.get("material"),
        revision: row.get("revision"),
        title: row.get("title"),
        unit: row.get("unit"),
        quantity: row.get("quantity"),
        due: time(row, "due"),
        priority: u8::try_from(row.get::<i64, _>("priority")).unwrap_or(1),
        state: row.get("state"),
        source: row.get("source"),
        note: row.get("note"),
        created: Timestamp::from_micros(row.get("created")),
        version: unsigned(row.get("version")),
    })
}

fn job_row(row: &SqliteRow) -> Result<JobRow, StoreError> {
    let what = "job order";
    Ok(JobRow {
        id: to_id(row.get("id"), what)?,
        ordinal: unsigned(row.get("ordinal")),
        order: to_id(row.get("order_id"), what)?,
        number: row.get("number"),
        operation: row.get("operation"),
        title: row.get("title"),
        equipment: row.get("equipment"),
        alternatives: from_json(row.get("alternatives"), what)?,
        quantity: row.get("quantity"),
        good: row.get("good"),
        scrap: row.get("scrap"),
        rework: row.get("rework"),
        state: row.get("state"),
        substate: row.get("substate"),
        open: row.get("is_open"),
        stands: row.get("stands"),
        planned_start: time(row, "planned_start"),
        planned_end: time(row, "planned_end"),
        pinned: row.get("pinned"),
        started: time(row, "started"),
        ended: time(row, "ended"),
        run_time_ns: unsigned(row.get("run_time_ns")),
        setup: Duration::from_micros(unsigned(row.get("setup_us"))),
        after: from_json(row.get("after_jobs"), what)?,
        skills: from_json(row.get("skills"), what)?,
        instructions: from_json(row.get("instructions"), what)?,
        version: unsigned(row.get("version")),
    })
}

fn ledger_entry(row: &SqliteRow) -> Result<LedgerEntry, StoreError> {
    let what = "ledger of a job";
    let kind: String = row.get("kind");
    let kind = match kind.as_str() {
        "trigger" => EntryKind::Trigger,
        "count" => EntryKind::Count,
        "seen" => EntryKind::Seen,
        "plan" => EntryKind::Plan,
        "change" => EntryKind::Change,
        other => return Err(StoreError::Damaged { what, reason: format!("there is no entry of the kind {other:?}") }),
    };
    let entry = NewEntry {
        key: to_id(row.get("key"), what)?,
        job: to_id(row.get("job"), what)?,
        at: Timestamp::from_micros(row.get("at")),
        kind,
        content: from_json(row.get("content"), what)?,
        good: row.get("good"),
        scrap: row.get("scrap"),
        rework: row.get("rework"),
        by: to_id(row.get("by_id"), what)?,
        event: to_id(row.get("event"), what)?,
    };
    let number = unsigned(row.get("number"));
    Ok(LedgerEntry {
        number,
        entry,
        state: row.get("state"),
        substate: row.get("substate"),
        equipment: row.get("equipment"),
    })
}

fn span(row: &SqliteRow) -> Result<JobSpan, StoreError> {
    let what = "span of a job";
    let to: i64 = row.get("to_at");
    Ok(JobSpan {
        unit: row.get("unit"),
        job: to_id(row.get("job"), what)?,
        ordinal: unsigned(row.get("ordinal")),
        run_time_ns: unsigned(row.get("run_time_ns")),
        from: Timestamp::from_micros(row.get("from_at")),
        to: (to < NEVER).then(|| Timestamp::from_micros(to)),
        by: to_id(row.get("by_id"), what)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::SystemClock;
    use std::sync::Arc;

    /// The way that SQLite takes, table by table.
    async fn way(tx: &mut SqliteConnection, sql: &str) -> String {
        let sql = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query(sql).fetch_all(tx).await.unwrap();
        rows.iter().map(|row| row.get::<String, _>("detail")).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn every_question_goes_by_an_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::Store::open(&folder.path().join("store.db"), Arc::new(SystemClock)).await.unwrap();
        let mut tx = store.readers().acquire().await.unwrap();
        let (from, to) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        let narrow = OrderFilter {
            branches: vec!["works".into(), "house".into()],
            branch: Some("works/line1".into()),
            text: Some("bolt".into()),
            ..OrderFilter::default()
        };
        let jobs = JobFilter { states: vec!["Running".into(), "Interrupted".into()], ..JobFilter::default() };
        let below = JobFilter { branches: vec!["works".into()], ..JobFilter::default() };
        for (sql, index) in [
            (page_query(&OrderFilter::default(), None, 9).sql().as_str().to_owned(), "o USING PRIMARY KEY (id<?)"),
            (page_query(&narrow, None, 9).sql().as_str().to_owned(), "o USING PRIMARY KEY (id<?)"),
            (
                page_query(&narrow, Some("Released"), 9).sql().as_str().to_owned(),
                "work_order_by_state (state=? AND id<?)",
            ),
            (to_make_query(&jobs).sql().as_str().to_owned(), "q USING PRIMARY KEY (equipment=?)"),
            (to_make_query(&below).sql().as_str().to_owned(), "q USING PRIMARY KEY (equipment=?)"),
            (LEDGER.to_owned(), "job_ledger_by_job (job=? AND number>?)"),
            (ENTRY.to_owned(), "(key=?)"),
            (spans_query(Some("a"), from, to, 9).sql().as_str().to_owned(), "job_span_by_unit (unit=? AND to_at>?)"),
            (spans_query(None, from, to, 9).sql().as_str().to_owned(), "job_span_by_end (to_at>?)"),
            (standing_query(Some("a")).sql().as_str().to_owned(), "(unit=?"),
            (standing_query(None).sql().as_str().to_owned(), "job_span_by_end (to_at=?)"),
            ("SELECT * FROM work_order WHERE number = ?".to_owned(), "(number=?)"),
            ("SELECT * FROM job_order WHERE order_id IN (?, ?) ORDER BY order_id, position".to_owned(), "(order_id=?)"),
        ] {
            let way = way(&mut tx, &sql).await;
            assert!(way.contains(index) && !way.contains("SCAN") && !way.contains("TEMP B-TREE"), "{sql}: {way}");
        }
    }
}
