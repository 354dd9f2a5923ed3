//! Orders out of their rows. Every query is written for an index; the test below asks SQLite for the way it takes.

use super::super::{pattern, push_below};
use super::NEVER;
use crate::error::{StoreError, database};
use crate::orders::{
    Counted, EntryKind, JobFilter, JobRow, JobSpan, LedgerEntry, ListedJob, MOST_ENTRIES, MOST_JOBS, MOST_ORDERS,
    MOST_SPANS, NewEntry, OrderFilter, OrderPage, OrderRow, PersonSkill, SpanFilter, StoredOrder, UnitCount,
};
use crate::sql::{Link, Row, Statement, sql, to_i64};
use andon_model::Timestamp;
use andon_model::path::is_under;
use std::collections::HashMap;
use std::time::Duration;
use uuid::Uuid;

pub(super) async fn by_number(tx: &mut Link<'_>, number: &str) -> Result<Option<StoredOrder>, StoreError> {
    let row = sql("SELECT * FROM work_order WHERE number = $1").bind(number);
    let row = row.optional(tx).await.map_err(database("read an order"))?;
    with_jobs(tx, row.as_ref()).await
}

pub(super) async fn by_id(tx: &mut Link<'_>, id: Uuid) -> Result<Option<StoredOrder>, StoreError> {
    let row = sql("SELECT * FROM work_order WHERE id = $1").bind(id);
    let row = row.optional(tx).await.map_err(database("read an order"))?;
    with_jobs(tx, row.as_ref()).await
}

async fn with_jobs(tx: &mut Link<'_>, row: Option<&Row>) -> Result<Option<StoredOrder>, StoreError> {
    let Some(order) = row.map(order).transpose()? else { return Ok(None) };
    let jobs = jobs_of(tx, &[order.id]).await?.remove(&order.id).unwrap_or_default();
    Ok(Some(StoredOrder { order, jobs }))
}

pub(super) async fn job(tx: &mut Link<'_>, id: Uuid) -> Result<Option<JobRow>, StoreError> {
    let row = sql("SELECT * FROM job_order WHERE id = $1").bind(id);
    let row = row.optional(tx).await.map_err(database("read a job order"))?;
    row.as_ref().map(job_row).transpose()
}

/// The jobs of orders; [`MOST_ORDERS`] of them stay below SQLite's limit of values.
async fn jobs_of(tx: &mut Link<'_>, orders: &[Uuid]) -> Result<HashMap<Uuid, Vec<JobRow>>, StoreError> {
    let mut query = sql("SELECT * FROM job_order WHERE order_id IN ");
    query.push_list(orders.iter().copied()).push(" ORDER BY order_id, position");
    let rows = query.all(tx).await.map_err(database("read job orders"))?;
    let mut by_order: HashMap<Uuid, Vec<JobRow>> = HashMap::new();
    for row in &rows {
        let job = job_row(row)?;
        by_order.entry(job.order).or_default().push(job);
    }
    Ok(by_order)
}

pub(super) async fn page(tx: &mut Link<'_>, filter: &OrderFilter) -> Result<OrderPage, StoreError> {
    if filter.branches.is_empty() {
        return Ok(OrderPage { orders: Vec::new(), next: None });
    }
    let limit = usize::try_from(filter.limit.clamp(1, MOST_ORDERS)).unwrap_or(1);
    let states: Vec<Option<&str>> = match filter.states.as_slice() {
        [] => vec![None],
        states => states.iter().map(|state| Some(state.as_str())).collect(),
    };
    let mut orders: Vec<OrderRow> = Vec::new();
    // One branch and one state after the other: of each an index gives the newest, and no more are read than the page may hold.
    for place in places(filter) {
        for state in &states {
            let rows = page_query(filter, &place, *state, limit + 1).all(tx).await;
            for row in &rows.map_err(database("read orders"))? {
                orders.push(order(row)?);
            }
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

/// Orders that one walk over an index finds.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place<'a> {
    /// On or below it; `None`: anywhere.
    branch: Option<&'a str>,
    /// And on or below one of these; empty: no matter.
    also: Vec<&'a str>,
}

/// What the asked branch and the permitted ones come to: together these walks find every order of the filter, some of them twice.
fn places(filter: &OrderFilter) -> Vec<Place<'_>> {
    let permitted = filter.branches.iter().map(String::as_str);
    let only = |branch| Place { branch: Some(branch), also: Vec::new() };
    let Some(asked) = filter.branch.as_deref().filter(|branch| !branch.is_empty()) else {
        if filter.branches.iter().any(String::is_empty) {
            return vec![Place { branch: None, also: Vec::new() }];
        }
        return permitted.map(only).collect();
    };
    if permitted.clone().any(|branch| is_under(asked, branch)) {
        return vec![only(asked)];
    }
    let (inside, beside): (Vec<&str>, Vec<&str>) = permitted.partition(|branch| is_under(branch, asked));
    let mut places: Vec<Place<'_>> = inside.into_iter().map(only).collect();
    if !beside.is_empty() {
        // An order may have one job here and another there.
        places.push(Place { branch: Some(asked), also: beside });
    }
    places
}

/// From the newest on: where there is a branch, by `order_branch_by_state` or the primary key of `order_branch`, else by
/// `work_order_by_state` or the primary key of `work_order`. What else is asked is looked at on the way.
fn page_query(filter: &OrderFilter, place: &Place<'_>, state: Option<&str>, limit: usize) -> Statement {
    let after = filter.after.unwrap_or(Uuid::max());
    let mut query = match place.branch {
        // A cross join: the branch goes first, whatever the planner has heard of the tables.
        Some(branch) => {
            let mut query =
                sql("SELECT o.* FROM order_branch b CROSS JOIN work_order o WHERE o.id = b.order_id AND b.branch = ");
            query.push_bind(branch).push(" AND b.order_id < ").push_bind(after);
            query
        }
        None => {
            let mut query = sql("SELECT o.* FROM work_order o WHERE o.id < ");
            query.push_bind(after);
            query
        }
    };
    if !place.also.is_empty() {
        query.push(" AND EXISTS (SELECT 1 FROM order_branch p WHERE p.order_id = o.id AND p.branch IN ");
        query.push_list(place.also.iter().copied()).push(")");
    }
    if let Some(state) = state {
        query.push(if place.branch.is_some() { " AND b.state = " } else { " AND o.state = " });
        query.push_bind(state);
    }
    if let Some(text) = &filter.text {
        query.push(" AND o.fold LIKE ").push_bind(pattern(text)).push(" ESCAPE '\\'");
    }
    query.push(if place.branch.is_some() { " ORDER BY b.order_id DESC LIMIT " } else { " ORDER BY o.id DESC LIMIT " });
    query.push_bind(limit);
    query
}

pub(super) async fn to_make(tx: &mut Link<'_>, filter: &JobFilter) -> Result<Vec<ListedJob>, StoreError> {
    if filter.branches.is_empty() {
        return Ok(Vec::new());
    }
    let rows = to_make_query(filter).all(tx).await.map_err(database("read a dispatch list"))?;
    rows.iter().map(|row| Ok(ListedJob { order: row.get("order_number")?, job: job_row(row)? })).collect()
}

/// By the primary key of `job_queue`, which is the order of making.
fn to_make_query(filter: &JobFilter) -> Statement {
    let mut query =
        sql("SELECT j.*, o.number AS order_number FROM job_queue q CROSS JOIN job_order j CROSS JOIN work_order o \
         WHERE j.id = q.job AND o.id = j.order_id AND q.elsewhere = 0 AND q.equipment = ");
    query.push_bind(filter.equipment.clone().unwrap_or_default());
    if let Some((from, to)) = filter.planned {
        query.push(" AND q.planned_start < ").push_bind(to);
        query.push(" AND j.planned_end > ").push_bind(from);
    }
    if !filter.states.is_empty() {
        query.push(" AND j.state IN ").push_list(filter.states.iter().map(String::as_str));
    }
    if !filter.branches.iter().any(String::is_empty) {
        query.push(" AND EXISTS (SELECT 1 FROM job_queue p WHERE p.job = q.job AND ");
        push_below(&mut query, "p.equipment", &filter.branches);
        query.push(")");
    }
    query.push(" ORDER BY q.planned_start, q.urgency, q.due, q.job LIMIT ");
    query.push_bind(filter.limit.clamp(1, MOST_JOBS));
    query
}

const LEDGER: &str = "SELECT * FROM job_ledger WHERE job = $1 AND number < $2 ORDER BY number DESC LIMIT $3";
const SEEN: &str = "SELECT * FROM job_ledger WHERE kind = 'seen' AND job = $1 ORDER BY number";
const ENTRY: &str = "SELECT * FROM job_ledger WHERE key = $1";

pub(super) async fn ledger(
    tx: &mut Link<'_>,
    job: Uuid,
    before: Option<u64>,
    limit: u32,
) -> Result<Vec<LedgerEntry>, StoreError> {
    let before = before.map_or(i64::MAX, to_i64);
    let rows = sql(LEDGER).bind(job).bind(before).bind(i64::from(limit.clamp(1, MOST_ENTRIES)));
    let rows = rows.all(tx).await.map_err(database("read the ledger of a job"))?;
    rows.iter().rev().map(ledger_entry).collect()
}

pub(super) async fn seen(tx: &mut Link<'_>, job: Uuid) -> Result<Vec<LedgerEntry>, StoreError> {
    let rows = sql(SEEN).bind(job).all(tx).await;
    rows.map_err(database("read the ledger of a job"))?.iter().map(ledger_entry).collect()
}

pub(super) async fn entry(tx: &mut Link<'_>, key: Uuid) -> Result<Option<LedgerEntry>, StoreError> {
    let row = sql(ENTRY).bind(key).optional(tx).await;
    row.map_err(database("read the ledger of a job"))?.as_ref().map(ledger_entry).transpose()
}

pub(super) async fn spans(tx: &mut Link<'_>, filter: &SpanFilter) -> Result<Vec<JobSpan>, StoreError> {
    if filter.branches.is_empty() {
        return Ok(Vec::new());
    }
    let rows = spans_query(filter).all(tx).await;
    rows.map_err(database("read where jobs stood"))?.iter().map(span).collect()
}

/// By `job_span_by_unit` or `job_span_by_end`, from the window's beginning on.
fn spans_query(filter: &SpanFilter) -> Statement {
    let mut query =
        sql("SELECT s.*, j.ordinal, j.run_time_ns FROM job_span s JOIN job_order j ON j.id = s.job WHERE s.to_at > ");
    query.push_bind(filter.from).push(" AND s.from_at < ").push_bind(filter.to);
    if let Some(unit) = &filter.unit {
        query.push(" AND s.unit = ").push_bind(unit.clone());
    }
    if !filter.branches.iter().any(String::is_empty) {
        query.push(" AND ");
        // That nothing is appended keeps the index of units out: spans come by their ends, so that a page needs no sorting.
        push_below(&mut query, "(s.unit || '')", &filter.branches);
    }
    if let Some(after) = &filter.after {
        let end = after.to.map_or(NEVER, Timestamp::micros);
        query.push(if filter.newest_first { " AND (s.to_at, s.number) < (" } else { " AND (s.to_at, s.number) > (" });
        query.push_bind(end).push(", ");
        query.push_bind(after.number).push(")");
    }
    query.push(" ORDER BY ");
    query.push(if filter.newest_first { "s.to_at DESC, s.number DESC" } else { "s.to_at, s.number" });
    query.push(" LIMIT ").push_bind(filter.limit.clamp(1, MOST_SPANS));
    query
}

/// The last span of a unit is the one that ends last.
const UNIT_LAST: &str = "SELECT from_at, to_at FROM job_span WHERE unit = $1 ORDER BY to_at DESC LIMIT 1";

pub(super) async fn unit_last(tx: &mut Link<'_>, unit: &str) -> Result<Option<Timestamp>, StoreError> {
    let last = sql(UNIT_LAST).bind(unit).optional(tx).await.map_err(database("read where jobs stood"))?;
    let Some(row) = last else { return Ok(None) };
    let (from, to): (i64, i64) = (row.get("from_at")?, row.get("to_at")?);
    Ok(Some(Timestamp::from_micros(if to == NEVER { from } else { to })))
}

const UNIT_COUNTS: &str = "SELECT number, at, good, scrap, rework FROM job_ledger \
    WHERE kind = 'count' AND equipment = $1 AND (at, number) > ($2, $3) ORDER BY at, number LIMIT $4";
const SPANS_OF: &str = "SELECT s.*, j.ordinal, j.run_time_ns FROM job_span s JOIN job_order j ON j.id = s.job \
    WHERE s.job = $1 ORDER BY s.number";

fn counted(row: &Row) -> Result<Counted, StoreError> {
    Ok(Counted { good: row.get("good")?, scrap: row.get("scrap")?, rework: row.get("rework")? })
}

pub(super) async fn unit_counts(
    tx: &mut Link<'_>,
    unit: &str,
    from: Timestamp,
    after: u64,
) -> Result<Vec<UnitCount>, StoreError> {
    let rows = sql(UNIT_COUNTS).bind(unit).bind(from).bind(after);
    let rows = rows.bind(MOST_ENTRIES).all(tx).await.map_err(database("read what people counted"))?;
    let count = |row: &Row| Ok(UnitCount { number: row.get("number")?, at: row.get("at")?, counted: counted(row)? });
    rows.iter().map(count).collect()
}

pub(super) async fn spans_of(tx: &mut Link<'_>, job: Uuid) -> Result<Vec<JobSpan>, StoreError> {
    let rows = sql(SPANS_OF).bind(job).all(tx).await;
    rows.map_err(database("read where a job stood"))?.iter().map(span).collect()
}

pub(super) async fn standing(tx: &mut Link<'_>, unit: Option<&str>) -> Result<Vec<JobSpan>, StoreError> {
    let rows = standing_query(unit).all(tx).await.map_err(database("read where jobs stand"))?;
    rows.iter().map(span).collect()
}

/// By `job_span_one_on_a_unit` or `job_span_by_end`.
fn standing_query(unit: Option<&str>) -> Statement {
    let mut query = sql("SELECT s.*, j.ordinal, j.run_time_ns FROM job_span s JOIN job_order j ON j.id = s.job \
         WHERE s.to_at = 9223372036854775807");
    if let Some(unit) = unit {
        query.push(" AND s.unit = ").push_bind(unit);
    }
    query.push(" ORDER BY s.number");
    query
}

pub(super) async fn skills(tx: &mut Link<'_>, person: Option<Uuid>) -> Result<Vec<PersonSkill>, StoreError> {
    let mut query = sql("SELECT person, skill, until FROM person_skill");
    if let Some(person) = person {
        query.push(" WHERE person = ").push_bind(person);
    }
    query.push(" ORDER BY person, skill");
    let rows = query.all(tx).await.map_err(database("read what people are qualified for"))?;
    rows.iter()
        .map(|row| {
            let person = row.get("person")?;
            Ok(PersonSkill { person, skill: row.get("skill")?, until: row.get("until")? })
        })
        .collect()
}

fn order(row: &Row) -> Result<OrderRow, StoreError> {
    Ok(OrderRow {
        id: row.get("id")?,
        number: row.get("number")?,
        material: row.get("material")?,
        revision: row.get("revision")?,
        title: row.get("title")?,
        unit: row.get("unit")?,
        quantity: row.get("quantity")?,
        due: row.get("due")?,
        priority: row.get("priority")?,
        state: row.get("state")?,
        source: row.get("source")?,
        note: row.get("note")?,
        created: row.get("created")?,
        version: row.get("version")?,
    })
}

fn job_row(row: &Row) -> Result<JobRow, StoreError> {
    Ok(JobRow {
        id: row.get("id")?,
        ordinal: row.get("ordinal")?,
        order: row.get("order_id")?,
        number: row.get("number")?,
        operation: row.get("operation")?,
        title: row.get("title")?,
        equipment: row.get("equipment")?,
        alternatives: row.json("alternatives")?,
        quantity: row.get("quantity")?,
        good: row.get("good")?,
        scrap: row.get("scrap")?,
        rework: row.get("rework")?,
        state: row.get("state")?,
        substate: row.get("substate")?,
        open: row.get("is_open")?,
        stands: row.get("stands")?,
        planned_start: row.get("planned_start")?,
        planned_end: row.get("planned_end")?,
        pinned: row.get("pinned")?,
        started: row.get("started")?,
        ended: row.get("ended")?,
        run_time_ns: row.get("run_time_ns")?,
        setup: Duration::from_micros(row.get("setup_us")?),
        after: row.json("after_jobs")?,
        skills: row.json("skills")?,
        instructions: row.json("instructions")?,
        version: row.get("version")?,
    })
}

fn ledger_entry(row: &Row) -> Result<LedgerEntry, StoreError> {
    let what = "ledger of a job";
    let kind: String = row.get("kind")?;
    let kind = match kind.as_str() {
        "trigger" => EntryKind::Trigger,
        "count" => EntryKind::Count,
        "seen" => EntryKind::Seen,
        "plan" => EntryKind::Plan,
        "change" => EntryKind::Change,
        other => return Err(StoreError::Damaged { what, reason: format!("there is no entry of the kind {other:?}") }),
    };
    let entry = NewEntry {
        key: row.get("key")?,
        job: row.get("job")?,
        at: row.get("at")?,
        kind,
        content: row.json("content")?,
        good: row.get("good")?,
        scrap: row.get("scrap")?,
        rework: row.get("rework")?,
        by: row.get("by_id")?,
        event: row.get("event")?,
    };
    let number = row.get("number")?;
    Ok(LedgerEntry {
        number,
        entry,
        state: row.get("state")?,
        substate: row.get("substate")?,
        equipment: row.get("equipment")?,
    })
}

fn span(row: &Row) -> Result<JobSpan, StoreError> {
    let to: i64 = row.get("to_at")?;
    Ok(JobSpan {
        number: row.get("number")?,
        unit: row.get("unit")?,
        job: row.get("job")?,
        ordinal: row.get("ordinal")?,
        run_time_ns: row.get("run_time_ns")?,
        from: row.get("from_at")?,
        to: (to < NEVER).then(|| Timestamp::from_micros(to)),
        by: row.get("by_id")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::SystemClock;
    use std::sync::Arc;

    /// The way that SQLite takes, table by table.
    async fn way(tx: &mut Link<'_>, text: &str) -> String {
        let rows = sql("EXPLAIN QUERY PLAN ").and(text).all(tx).await.unwrap();
        rows.iter().map(|row| row.get::<String>("detail").unwrap()).collect::<Vec<_>>().join("; ")
    }

    #[tokio::test]
    async fn every_question_goes_by_an_index_and_sorts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::Store::open(&folder.path().join("store.db"), Arc::new(SystemClock)).await.unwrap();
        let mut tx = store.reader("look").await.unwrap();
        let (from, to) = (Timestamp::from_micros(1), Timestamp::from_micros(2));
        let last = JobSpan {
            number: 1,
            unit: "a".into(),
            job: Uuid::nil(),
            ordinal: 1,
            run_time_ns: 1,
            from,
            to: None,
            by: Uuid::nil(),
        };
        let everywhere = SpanFilter::of(from, to);
        let next = SpanFilter { after: Some(last), branches: vec!["works".into()], ..everywhere.clone() };
        let on_one = SpanFilter { unit: Some("a".into()), ..everywhere.clone() };
        let spans = |filter: &SpanFilter| spans_query(filter).text().to_owned();
        let all = OrderFilter { text: Some("bolt".into()), ..OrderFilter::default() };
        let [anywhere] = places(&all).try_into().unwrap();
        let narrow = OrderFilter {
            branches: vec!["works".into(), "house".into()],
            branch: Some("works/line1".into()),
            ..all.clone()
        };
        let [inside] = places(&narrow).try_into().unwrap();
        let beside = Place { also: vec!["house", "yard"], ..inside.clone() };
        let page = |place: &Place<'_>, state| page_query(&all, place, state, 9).text().to_owned();
        let jobs = JobFilter { states: vec!["Running".into(), "Interrupted".into()], ..JobFilter::default() };
        let below = JobFilter { branches: vec!["works".into()], ..JobFilter::default() };
        let planned = JobFilter { planned: Some((from, to)), ..below.clone() };
        let queued = "q USING PRIMARY KEY (equipment=? AND elsewhere=?";
        for (sql, index) in [
            (page(&anywhere, None), "o USING PRIMARY KEY (id<?)"),
            (page(&anywhere, Some("Released")), "work_order_by_state (state=? AND id<?)"),
            (
                page(&inside, None),
                "SEARCH b USING PRIMARY KEY (branch=? AND order_id<?); SEARCH o USING PRIMARY KEY (id=?)",
            ),
            (
                page(&inside, Some("Released")),
                "SEARCH b USING COVERING INDEX order_branch_by_state (branch=? AND state=? AND order_id<?); SEARCH o",
            ),
            (page(&beside, None), "SEARCH b USING PRIMARY KEY (branch=? AND order_id<?); SEARCH o"),
            (page(&beside, None), "USING PRIMARY KEY (branch=? AND order_id=?)"),
            (to_make_query(&jobs).text().to_owned(), queued),
            (to_make_query(&below).text().to_owned(), queued),
            (to_make_query(&planned).text().to_owned(), "elsewhere=? AND planned_start<?)"),
            (LEDGER.to_owned(), "job_ledger_by_job (job=? AND number<?)"),
            (SEEN.to_owned(), "job_ledger_seen (job=?)"),
            (ENTRY.to_owned(), "(key=?)"),
            (spans(&on_one), "job_span_by_unit (unit=? AND to_at>?)"),
            (spans(&everywhere), "job_span_by_end (to_at>?)"),
            (spans(&next), "job_span_by_end (to_at>?)"),
            (UNIT_LAST.to_owned(), "job_span_by_unit (unit=?)"),
            // The number is the row's own, which an index searches by time only: of one instant there are few.
            (UNIT_COUNTS.to_owned(), "job_ledger_counts (equipment=? AND at>?)"),
            (SPANS_OF.to_owned(), "job_span_by_job (job=?)"),
            (standing_query(Some("a")).text().to_owned(), "(unit=?"),
            (standing_query(None).text().to_owned(), "job_span_by_end (to_at=?)"),
            ("SELECT * FROM work_order WHERE number = ?".to_owned(), "(number=?)"),
            ("SELECT * FROM job_order WHERE order_id IN (?, ?) ORDER BY order_id, position".to_owned(), "(order_id=?)"),
        ] {
            let way = way(&mut tx.link(), &sql).await;
            assert!(way.contains(index) && !way.contains("SCAN") && !way.contains("TEMP B-TREE"), "{sql}: {way}");
        }
    }

    #[test]
    fn a_branch_is_walked_where_it_is_permitted_and_what_is_permitted_below_it() {
        let check = |branch: &str, permitted: &[&str]| {
            let branches = permitted.iter().map(|branch| (*branch).to_owned()).collect();
            let filter = OrderFilter { branches, branch: Some(branch.to_owned()), ..OrderFilter::default() };
            let walk = |place: &Place<'_>| format!("{}&{}", place.branch.unwrap_or("*"), place.also.join("|"));
            places(&filter).iter().map(walk).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(check("", &[""]), "*&");
        assert_eq!(check("", &["a", "b/c"]), "a& b/c&");
        assert_eq!(check("", &[]), "");
        assert_eq!(check("a/b", &[""]), "a/b&");
        assert_eq!(check("a/b", &["a/b/c", "a"]), "a/b&");
        assert_eq!(check("a/b", &["a/b"]), "a/b&");
        assert_eq!(check("a/b", &["a/b/c", "a/b/d"]), "a/b/c& a/b/d&");
        assert_eq!(check("a/b", &["a/bc", "a/b/c", "x"]), "a/b/c& a/b&a/bc|x");
    }
}
