//! The views of the manual, page by page.
//!
//! What a column means stands here once more beside migration 12, for there it is text and here it has a type. Names of materials, places
//! and items are looked up for each column by itself: of what is not asked for, nothing is read.

use super::{from_json, push_below};
use crate::error::{StoreError, database};
use crate::rows::{ColumnKind, MOST_ROWS, RowColumn, RowKey, RowsFilter, RowsPage, RowsRepository, View};
use crate::sql::{Link, Row, Statement, Value, sql};
use crate::store::Store;
use andon_model::path::is_under;
use async_trait::async_trait;
use uuid::Uuid;

/// How many nodes of the floor are gone through for one page.
const NODES: usize = 500;
const DOING: &str = "read the records in SQL";

/// A column of a view.
pub(crate) struct Column {
    pub(crate) name: &'static str,
    pub(crate) kind: ColumnKind,
    expr: &'static str,
}

const fn column(name: &'static str, kind: ColumnKind, expr: &'static str) -> Column {
    Column { name, kind, expr }
}

/// Where the rows of a view are, and in which order they come.
struct Source {
    from: &'static str,
    key: &'static [&'static str],
    /// The same for the way over another index, where what is asked for is found by it and then sorted.
    found: &'static [&'static str],
    /// The key is an id; else it is numbers.
    by_id: bool,
    /// What else has to be read to know who sees a row.
    hidden: &'static [&'static str],
}

use ColumnKind::{Amount, Id, Text, Time, Whole};

static ORDERS: [Column; 13] = [
    column("id", Id, "o.id"),
    column("number", Text, "o.number"),
    column("material", Text, "o.material"),
    column("revision", Text, "o.revision"),
    column("title", Text, "o.title"),
    column("quantity", Amount, "o.quantity"),
    column("unit", Text, "o.unit"),
    column("state", Text, "o.state"),
    column("priority", Whole, "o.priority"),
    column("due", Time, "o.due"),
    column("source", Text, "o.source"),
    column("note", Text, "o.note"),
    column("created", Time, "o.created"),
];

static JOBS: [Column; 17] = [
    column("id", Id, "j.id"),
    column("number", Text, "j.number"),
    column("order_number", Text, "(SELECT o.number FROM work_order o WHERE o.id = j.order_id)"),
    column("material", Text, "(SELECT o.material FROM work_order o WHERE o.id = j.order_id)"),
    column("operation", Text, "j.operation"),
    column("title", Text, "j.title"),
    column("equipment", Text, "j.equipment"),
    column("state", Text, "j.state"),
    column("substate", Text, "j.substate"),
    column("quantity", Amount, "j.quantity"),
    column("booked_good", Amount, "j.good"),
    column("booked_scrap", Amount, "j.scrap"),
    column("booked_rework", Amount, "j.rework"),
    column("planned_start", Time, "j.planned_start"),
    column("planned_end", Time, "j.planned_end"),
    column("started", Time, "j.started"),
    column("ended", Time, "j.ended"),
];

static JOB_TIMES: [Column; 4] = [
    column("job_number", Text, "(SELECT j.number FROM job_order j WHERE j.id = s.job)"),
    column("equipment", Text, "s.unit"),
    column("from_time", Time, "s.from_at"),
    column("to_time", Time, "CASE WHEN s.to_at < 9223372036854775807 THEN s.to_at END"),
];

static LOTS: [Column; 13] = [
    column("id", Id, "i.id"),
    column("kind", Text, "CASE i.kind WHEN 0 THEN 'lot' WHEN 1 THEN 'sublot' WHEN 2 THEN 'unit' ELSE 'container' END"),
    column("material", Text, "(SELECT w.text FROM trace_word w WHERE w.number = i.material)"),
    column("revision", Text, "(SELECT w.text FROM trace_word w WHERE w.number = i.revision)"),
    column("number", Text, "i.number"),
    column(
        "state",
        Text,
        "CASE i.state WHEN 0 THEN 'Released' WHEN 1 THEN 'Quarantine' WHEN 2 THEN 'Hold' WHEN 3 THEN 'Scrapped' ELSE 'Shipped' END",
    ),
    column("made", Amount, "i.made"),
    column("received", Amount, "i.received"),
    column("consumed", Amount, "i.consumed"),
    column("place", Text, "(SELECT w.text FROM trace_word w WHERE w.number = i.place)"),
    column("is_in_several_places", Whole, "CAST(CASE WHEN i.place = -1 THEN 1 ELSE 0 END AS BIGINT)"),
    column("job_id", Text, "(SELECT w.text FROM trace_word w WHERE w.number = i.job)"),
    column("made_at", Time, "i.made_at"),
];

static GENEALOGY: [Column; 12] = [
    column("from_id", Id, "(SELECT i.id FROM trace_item i WHERE i.key = e.from_key)"),
    column(
        "from_material",
        Text,
        "(SELECT w.text FROM trace_item i JOIN trace_word w ON w.number = i.material WHERE i.key = e.from_key)",
    ),
    column("from_number", Text, "(SELECT i.number FROM trace_item i WHERE i.key = e.from_key)"),
    column("to_id", Id, "(SELECT i.id FROM trace_item i WHERE i.key = e.to_key)"),
    column(
        "to_material",
        Text,
        "(SELECT w.text FROM trace_item i JOIN trace_word w ON w.number = i.material WHERE i.key = e.to_key)",
    ),
    column("to_number", Text, "(SELECT i.number FROM trace_item i WHERE i.key = e.to_key)"),
    column("quantity", Amount, "e.quantity"),
    column("position", Text, "(SELECT w.text FROM trace_word w WHERE w.number = e.position)"),
    column("equipment", Text, "(SELECT w.text FROM trace_word w WHERE w.number = e.equipment)"),
    column("job_id", Text, "(SELECT w.text FROM trace_word w WHERE w.number = e.job)"),
    column("at_time", Time, "e.at"),
    column("removed_time", Time, "e.removed_at"),
];

/// Of an hour or a day but for when it begins, which its level says.
macro_rules! figures {
    ($begins:literal) => {
        [
            column("path", Text, "(SELECT n.name FROM floor_number n WHERE n.kind = 'node' AND n.number = f.node)"),
            column("begins", Time, $begins),
            column("production_s", Amount, "f.production"),
            column("setup_s", Amount, "f.setup"),
            column("delay_s", Amount, "f.delay"),
            column("minor_stop_s", Amount, "f.minor_stop"),
            column("idle_s", Amount, "f.idle"),
            column("unknown_s", Amount, "f.unknown"),
            column("planned_down_s", Amount, "f.planned_down"),
            column("off_shift_s", Amount, "f.off_shift"),
            column("good", Amount, "f.good"),
            column("scrap", Amount, "f.scrap"),
            column("rework", Amount, "f.rework"),
            column("planned_run_s", Amount, "f.work_produced"),
            column("planned_run_good_s", Amount, "f.work_good"),
        ]
    };
}

static HOURS: [Column; 15] = figures!("f.number * 3600000000");
static DAYS: [Column; 15] = figures!("f.number * 86400000000");
const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 86_400_000_000;

pub(crate) fn columns(view: View) -> &'static [Column] {
    match view {
        View::Orders => &ORDERS,
        View::Jobs => &JOBS,
        View::JobTimes => &JOB_TIMES,
        View::Lots => &LOTS,
        View::Genealogy => &GENEALOGY,
        View::Hours => &HOURS,
        View::Days => &DAYS,
    }
}

fn source(view: View) -> Source {
    let by_numbers = |from, key, found| Source { from, key, found, by_id: false, hidden: &[] };
    match view {
        View::Orders => Source { from: "work_order o", key: &["o.id"], found: &["o.id"], by_id: true, hidden: &[] },
        View::Jobs => Source {
            from: "job_order j",
            key: &["j.id"],
            found: &["j.id"],
            by_id: true,
            hidden: &["j.alternatives", "j.equipment"],
        },
        View::JobTimes => by_numbers("job_span s", &["s.number"], &["+s.number"]),
        View::Lots => by_numbers("trace_item i", &["i.key"], &["+i.key"]),
        View::Genealogy => by_numbers(
            "trace_edge e",
            &["e.from_key", "e.to_key", "e.at", "e.position"],
            &["+e.from_key", "+e.to_key", "+e.at", "+e.position"],
        ),
        // The nodes are gone through one by one.
        View::Hours | View::Days => by_numbers("floor_figure f", &["f.node", "f.number"], &["f.node", "f.number"]),
    }
}

#[async_trait]
impl RowsRepository for Store {
    async fn rows_page(&self, filter: RowsFilter) -> Result<RowsPage, StoreError> {
        let asked = Asked::of(&filter)?;
        let mut page = asked.page();
        if filter.branches.is_empty() {
            return Ok(page);
        }
        let mut reading = self.reader(DOING).await?;
        match filter.view {
            View::Hours | View::Days => figures(&mut reading.link(), &asked, &mut page).await?,
            _ => keyed(&mut reading.link(), &asked, &mut page).await?,
        }
        Ok(page)
    }
}

/// A filter that can be answered.
struct Asked<'f> {
    filter: &'f RowsFilter,
    source: Source,
    columns: Vec<&'static Column>,
    limit: usize,
}

impl<'f> Asked<'f> {
    fn of(filter: &'f RowsFilter) -> Result<Self, StoreError> {
        let known = columns(filter.view);
        let column = |name: &&'static str| {
            let column = known.iter().find(|column| column.name == *name);
            column.ok_or_else(|| wrong(format!("{} has no column {name}", filter.view.name())))
        };
        let columns = filter.columns.iter().map(column).collect::<Result<_, _>>()?;
        let source = source(filter.view);
        let fits = |value: &Value| matches!(value, Value::Bytes(Some(_))) == source.by_id;
        if let Some(RowKey(after)) = &filter.after
            && !(after.len() == source.key.len() && after.iter().all(fits))
        {
            return Err(wrong(format!("the next page is not one of {}", filter.view.name())));
        }
        let limit = usize::try_from(filter.limit.clamp(1, MOST_ROWS)).unwrap_or(1);
        Ok(Self { filter, source, columns, limit })
    }

    /// A page without rows.
    fn page(&self) -> RowsPage {
        let empty = |column: &&'static Column| match column.kind {
            Text | Id => RowColumn::Texts(Vec::new()),
            Whole | Amount | Time => RowColumn::Numbers(Vec::new()),
        };
        RowsPage { rows: 0, columns: self.columns.iter().map(empty).collect(), next: None }
    }

    /// `SELECT` the columns, what is hidden, and the key.
    fn select(&self) -> Statement {
        let mut query = sql("SELECT ");
        let shown = self.columns.iter().map(|column| column.expr);
        let all = shown.chain(self.source.hidden.iter().copied()).chain(self.source.key.iter().copied());
        for (number, expr) in all.enumerate() {
            query.push(if number > 0 { ", " } else { "" }).push(expr);
        }
        query
    }

    fn add(&self, page: &mut RowsPage, row: &Row) -> Result<(), StoreError> {
        for (place, (column, values)) in self.columns.iter().zip(&mut page.columns).enumerate() {
            match values {
                RowColumn::Numbers(numbers) => numbers.push(row.at(place)?),
                RowColumn::Texts(texts) if column.kind == Id => {
                    texts.push(row.at::<Option<Uuid>>(place)?.map(|id| id.to_string()));
                }
                RowColumn::Texts(texts) => texts.push(row.at(place)?),
            }
        }
        page.rows += 1;
        Ok(())
    }

    fn key(&self, row: &Row) -> Result<RowKey, StoreError> {
        let first = self.columns.len() + self.source.hidden.len();
        let part = |place: usize| -> Result<Value, StoreError> {
            Ok(if self.source.by_id {
                row.at::<Uuid>(first + place)?.into()
            } else {
                row.at::<i64>(first + place)?.into()
            })
        };
        Ok(RowKey((0..self.source.key.len()).map(part).collect::<Result<_, _>>()?))
    }

    /// Whether whoever asks sees all there is.
    fn whole(&self) -> bool {
        self.filter.branches.iter().any(String::is_empty)
    }

    /// Whether they see a row, where that is not a matter of the statement.
    fn sees(&self, row: &Row) -> Result<bool, StoreError> {
        if self.filter.view != View::Jobs || self.whole() {
            return Ok(true);
        }
        let first = self.columns.len();
        let (alternatives, equipment): (String, Option<String>) = (row.at(first)?, row.at(first + 1)?);
        let places: Vec<String> = from_json(&alternatives, "where a job can be done")?;
        let seen = |path: &String| self.filter.branches.iter().any(|branch| is_under(path, branch));
        Ok(places.iter().chain(&equipment).any(seen))
    }
}

fn wrong(reason: String) -> StoreError {
    StoreError::Damaged { what: "question", reason }
}

// ---- rows in the order of their key ----

async fn keyed(tx: &mut Link<'_>, asked: &Asked<'_>, page: &mut RowsPage) -> Result<(), StoreError> {
    if asked.columns.is_empty() && (asked.whole() || asked.source.hidden.is_empty()) {
        return counted(tx, asked, page).await;
    }
    let mut query = keyed_query(asked);
    query.push(" LIMIT ").push_bind(asked.limit);
    let rows = query.all(tx).await.map_err(database(DOING))?;
    for row in &rows {
        if asked.sees(row)? {
            asked.add(page, row)?;
        }
    }
    page.next = match rows.last() {
        Some(last) if rows.len() == asked.limit => Some(asked.key(last)?),
        _ => None,
    };
    Ok(())
}

/// Where rows are only counted, the last one of the page says that they are all there and where the next page begins: ten million are
/// counted in seconds.
async fn counted(tx: &mut Link<'_>, asked: &Asked<'_>, page: &mut RowsPage) -> Result<(), StoreError> {
    let mut last = keyed_query(asked);
    last.push(" LIMIT 1 OFFSET ").push_bind(asked.limit - 1);
    if let Some(last) = last.optional(tx).await.map_err(database(DOING))? {
        (page.rows, page.next) = (asked.limit, Some(asked.key(&last)?));
        return Ok(());
    }
    let mut count = sql("SELECT count(*) FROM (SELECT 1 AS one");
    push_rows(&mut count, asked);
    count.push(" LIMIT ").push_bind(asked.limit).push(") AS counted");
    let rows: i64 = count.only(tx, DOING).await?;
    page.rows = usize::try_from(rows).unwrap_or(0);
    Ok(())
}

/// All rows behind the page before, in their order.
fn keyed_query(asked: &Asked<'_>) -> Statement {
    let mut query = asked.select();
    let key = push_rows(&mut query, asked);
    query.push(" ORDER BY ");
    push_key(&mut query, key);
    query
}

/// From where, and which rows; the key by which they are in order.
fn push_rows(query: &mut Statement, asked: &Asked<'_>) -> &'static [&'static str] {
    query.push(" FROM ").push(asked.source.from).push(" WHERE 1 = 1");
    let mut found = false;
    for (column, texts) in &asked.filter.texts {
        found |= push_texts(query, asked.filter.view, column, texts);
    }
    push_seen(query, asked);
    let key = if found { asked.source.found } else { asked.source.key };
    if let Some(RowKey(after)) = &asked.filter.after {
        query.push(" AND (");
        push_key(query, key);
        query.push(") > ").push_list(after.iter().cloned());
    }
    key
}

fn push_key(query: &mut Statement, key: &[&'static str]) {
    for (number, part) in key.iter().copied().enumerate() {
        query.push(if number > 0 { ", " } else { "" }).push(part);
    }
}

/// What a column has to be, where an index finds that; whether one does.
fn push_texts(query: &mut Statement, view: View, column: &str, texts: &[String]) -> bool {
    let (begins, ends) = match (view, column) {
        (View::Orders, "number") => (" AND o.number IN ", ""),
        (View::Jobs, "number") => (" AND j.number IN ", ""),
        (View::Jobs, "order_number") => (" AND j.order_id IN (SELECT o.id FROM work_order o WHERE o.number IN ", ")"),
        (View::JobTimes, "job_number") => (" AND s.job IN (SELECT j.id FROM job_order j WHERE j.number IN ", ")"),
        (View::JobTimes, "equipment") => (" AND s.unit IN ", ""),
        (View::Lots, "number") => (" AND i.number IN ", ""),
        (View::Genealogy, "from_number") => {
            (" AND e.from_key IN (SELECT i.key FROM trace_item i WHERE i.number IN ", ")")
        }
        (View::Genealogy, "to_number") => (" AND e.to_key IN (SELECT i.key FROM trace_item i WHERE i.number IN ", ")"),
        _ => return false,
    };
    query.push(begins).push_list(texts.iter().map(String::as_str)).push(ends);
    true
}

/// Only rows that whoever asks sees.
fn push_seen(query: &mut Statement, asked: &Asked<'_>) {
    if asked.whole() {
        return;
    }
    match asked.filter.view {
        View::Orders => {
            query.push(" AND EXISTS (SELECT 1 FROM order_branch b WHERE b.order_id = o.id AND b.branch IN ");
            query.push_list(asked.filter.branches.iter().map(String::as_str)).push(")");
        }
        View::JobTimes => {
            query.push(" AND ");
            push_below(query, "s.unit", &asked.filter.branches);
        }
        // Of jobs each row is looked at; lots and what went into what are for all or for none; nodes are looked up.
        View::Jobs | View::Lots | View::Genealogy | View::Hours | View::Days => {}
    }
}

// ---- figures, node by node ----

async fn figures(tx: &mut Link<'_>, asked: &Asked<'_>, page: &mut RowsPage) -> Result<(), StoreError> {
    let after = match asked.filter.after.as_ref().map(|RowKey(after)| &after[..]) {
        Some([Value::Int(Some(node)), Value::Int(Some(number))]) => Some((*node, *number)),
        _ => None,
    };
    let nodes: Vec<i64> = nodes_query(asked, after.map(|(node, _)| node)).rows(tx, DOING).await?;
    for node in &nodes {
        let begun = after.filter(|(begun, _)| begun == node).map(|(_, number)| number);
        let rows = node_query(asked, *node, begun, asked.limit - page.rows).all(tx).await;
        for row in &rows.map_err(database(DOING))? {
            asked.add(page, row)?;
            page.next = Some(asked.key(row)?);
        }
        if page.rows >= asked.limit {
            return Ok(());
        }
    }
    page.next = match nodes.last() {
        Some(last) if nodes.len() == NODES => Some(RowKey(vec![(*last).into(), i64::MAX.into()])),
        _ => None,
    };
    Ok(())
}

/// The numbers of the nodes from one on that whoever asks sees, and asks for.
fn nodes_query(asked: &Asked<'_>, from: Option<i64>) -> Statement {
    let mut query = sql("SELECT number FROM floor_number WHERE kind = 'node' AND number >= ");
    query.push_bind(from.unwrap_or(0));
    if !asked.whole() {
        query.push(" AND ");
        push_below(&mut query, "name", &asked.filter.branches);
    }
    for (_, paths) in asked.filter.texts.iter().filter(|(column, _)| *column == "path") {
        query.push(" AND name IN ").push_list(paths.iter().map(String::as_str));
    }
    query.push(" ORDER BY number LIMIT ").push_bind(NODES);
    query
}

/// Hours or days of a node, by the primary key.
fn node_query(asked: &Asked<'_>, node: i64, after: Option<i64>, limit: usize) -> Statement {
    let (level, width) = if asked.filter.view == View::Hours { (0_i64, HOUR_US) } else { (1, DAY_US) };
    let mut query = asked.select();
    query.push(" FROM floor_figure f WHERE f.node = ").push_bind(node).push(" AND f.level = ").push_bind(level);
    if let Some(after) = after {
        query.push(" AND f.number > ").push_bind(after);
    }
    if let Some(from) = asked.filter.from_us {
        query.push(" AND f.number >= ").push_bind(first_from(from, width));
    }
    if let Some(to) = asked.filter.to_us {
        query.push(" AND f.number < ").push_bind(first_from(to, width));
    }
    query.push(" ORDER BY f.number LIMIT ").push_bind(limit);
    query
}

/// The number of the first hour or day that begins then or later.
fn first_from(at_us: i64, width_us: i64) -> i64 {
    at_us.div_euclid(width_us) + i64::from(at_us.rem_euclid(width_us) != 0)
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

    fn every_column(view: View) -> RowsFilter {
        RowsFilter { columns: view.columns().map(|(name, _)| name).collect(), ..RowsFilter::of(view) }
    }

    #[tokio::test]
    async fn every_page_begins_by_an_index_and_sorts_only_what_an_index_found() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Arc::new(SystemClock)).await.unwrap();
        let mut tx = store.reader("look").await.unwrap();
        for (view, after, begins) in [
            (View::Orders, vec![Uuid::nil().into()], "SEARCH o USING PRIMARY KEY (id>?)"),
            (View::Jobs, vec![Uuid::nil().into()], "SEARCH j USING PRIMARY KEY (id>?)"),
            (View::JobTimes, vec![1_i64.into()], "SEARCH s USING INTEGER PRIMARY KEY (rowid>?)"),
            (View::Lots, vec![1_i64.into()], "SEARCH i USING INTEGER PRIMARY KEY (rowid>?)"),
            (
                View::Genealogy,
                [1_i64; 4].map(Value::from).into(),
                "SEARCH e USING PRIMARY KEY ((from_key,to_key,at,position)>(?,?,?,?))",
            ),
        ] {
            let filter = RowsFilter { after: Some(RowKey(after)), ..every_column(view) };
            let way = way(&mut tx.link(), keyed_query(&Asked::of(&filter).unwrap()).text()).await;
            assert!(way.starts_with(begins) && !way.contains("TEMP B-TREE"), "{view:?}: {way}");
            assert!(!way.contains("SCAN i") && !way.contains("SCAN w") && !way.contains("SCAN o"), "{view:?}: {way}");
        }
        for (view, column, by) in [
            (View::Orders, "number", "SEARCH o USING INDEX sqlite_autoindex_work_order_2 (number=?)"),
            (View::Jobs, "order_number", "SEARCH j USING INDEX job_order_by_order (order_id=?)"),
            (View::JobTimes, "equipment", "SEARCH s USING INDEX job_span_by_unit (unit=?)"),
            (View::Lots, "number", "SEARCH i USING INDEX trace_item_by_number (number=?)"),
            (View::Genealogy, "from_number", "SEARCH e USING PRIMARY KEY (from_key=?)"),
            (View::Genealogy, "to_number", "SEARCH e USING INDEX trace_edge_back (to_key=?)"),
        ] {
            let filter = RowsFilter { texts: vec![(column, vec!["1".into(), "2".into()])], ..every_column(view) };
            let way = way(&mut tx.link(), keyed_query(&Asked::of(&filter).unwrap()).text()).await;
            assert!(way.contains(by), "{view:?} by {column}: {way}");
        }
        let filter = RowsFilter { from_us: Some(1), ..every_column(View::Hours) };
        let asked = Asked::of(&filter).unwrap();
        let nodes = way(&mut tx.link(), nodes_query(&asked, Some(7)).text()).await;
        assert!(nodes.contains("floor_number_once (kind=? AND number>?)"), "{nodes}");
        let node = way(&mut tx.link(), node_query(&asked, 1, Some(1), 9).text()).await;
        assert!(node.starts_with("SEARCH f USING PRIMARY KEY (node=? AND level=? AND number>?)"), "{node}");
    }

    #[test]
    fn the_first_hour_from_a_time_on_begins_then_or_later() {
        for (at, number) in
            [(0, 0), (1, 1), (HOUR_US, 1), (HOUR_US - 1, 1), (HOUR_US + 1, 2), (-1, 0), (-HOUR_US - 1, -1)]
        {
            assert_eq!(first_from(at, HOUR_US), number, "{at}");
        }
        assert!(first_from(i64::MAX, HOUR_US) > 0 && first_from(i64::MIN, DAY_US) < 0);
    }

    #[test]
    fn a_question_that_fits_no_view_is_refused() {
        let of = |columns, after| {
            let filter = RowsFilter { columns, after, ..RowsFilter::of(View::Lots) };
            Asked::of(&filter).map(|_| ()).map_err(|error| error.to_string())
        };
        assert!(of(vec!["made_at"], None).is_ok());
        assert!(of(vec!["due"], None).unwrap_err().contains("report_lots has no column due"));
        assert!(of(vec![], Some(RowKey(vec![Uuid::nil().into()]))).unwrap_err().contains("next page"));
        assert!(of(vec![], Some(RowKey(vec![]))).is_err());
    }
}
