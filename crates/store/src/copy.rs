//! All records from one database into another, whichever the two are: a copy of a server's records as a file, and a file's taken over by a
//! server. The tables and columns are the same on both sides.

use crate::error::{StoreError, database};
use crate::sql::{Link, Row, SqlError, Statement, Value, sql};

/// A table, and how it is read bit by bit.
pub(crate) struct Table {
    pub(crate) name: &'static str,
    /// What its rows are sorted by; it tells them apart.
    pub(crate) key: &'static [&'static str],
    /// The database gives it anew, in the order of the rows.
    pub(crate) given: Option<&'static str>,
    /// Rows at a time: bounds the memory of a copy.
    pub(crate) rows: usize,
}

const fn table(name: &'static str, key: &'static [&'static str]) -> Table {
    Table { name, key, given: None, rows: 64 }
}

/// Every table, each after those that it refers to.
pub(crate) const TABLES: [Table; 69] = [
    // A row may be a model of many megabytes.
    Table { name: "plant_version", key: &["version"], given: None, rows: 1 },
    table("tag", &["number"]),
    Table { name: "tag_name", key: &["rowid"], given: Some("rowid"), rows: 64 },
    table("person", &["id"]),
    table("person_name", &["id"]),
    table("token", &["id"]),
    table("device", &["id"]),
    table("session", &["id_sha256"]),
    table("code", &["code_sha256"]),
    table("nobody", &["one"]),
    Table { name: "outbox", key: &["position"], given: Some("position"), rows: 64 },
    table("applied", &["reader", "lane"]),
    table("timeline", &["seq"]),
    table("timeline_gap", &["from_seq"]),
    table("floor_number", &["kind", "name"]),
    table("floor_hour", &["unit", "hour"]),
    table("floor_slot", &["node", "level", "number"]),
    table("floor_figure", &["node", "level", "number"]),
    table("floor_correction", &["number"]),
    table("floor_counter", &["tag"]),
    table("floor_progress", &["id"]),
    table("work_order", &["id"]),
    table("order_branch", &["branch", "order_id"]),
    table("job_order", &["id"]),
    table("job_queue", &["job", "equipment"]),
    table("job_ledger", &["number"]),
    table("job_span", &["number"]),
    table("person_skill", &["person", "skill"]),
    table("trace_word", &["number"]),
    table("trace_item", &["key"]),
    table("trace_edge", &["from_key", "to_key", "at", "position"]),
    table("trace_move", &["item", "at", "from_place", "to_place"]),
    table("trace_stock", &["item", "place"]),
    table("trace_state", &["item", "at"]),
    table("trace_pass", &["unit", "at", "equipment"]),
    // A row may be a document of megabytes.
    Table { name: "trace_certificate", key: &["rowid"], given: Some("rowid"), rows: 4 },
    table("trace_finding", &["number"]),
    table("trace_change", &["key"]),
    table("trace_finished", &["unit"]),
    table("trace_station", &["equipment"]),
    table("trace_identity", &["unit"]),
    table("trace_vessel", &["vessel"]),
    table("trace_flow", &["vessel", "turn"]),
    table("erp_message", &["number"]),
    table("erp_latest", &["subject"]),
    table("resource_key", &["key"]),
    table("logbook_entry", &["number"]),
    table("logbook_branch", &["branch", "entry"]),
    table("logbook_open", &["branch", "entry"]),
    table("handover", &["entry"]),
    table("labour_span", &["number"]),
    table("labour_correction", &["number"]),
    table("labour_supervisor", &["person", "branch"]),
    table("maintenance_order", &["id"]),
    table("maintenance_ledger", &["number"]),
    table("maintenance_work", &["number"]),
    table("maintenance_part", &["order_id", "material", "lot", "serial"]),
    table("maintenance_turn", &["plan"]),
    table("tool_span", &["number"]),
    table("tool_renewal", &["tool", "renewal"]),
    table("tool_told", &["tool", "renewal", "level", "reached"]),
    table("tool_change", &["number"]),
    table("energy_meter", &["number"]),
    table("energy_quarter", &["meter", "quarter"]),
    // A row may be a document of megabytes.
    Table { name: "report", key: &["id"], given: None, rows: 4 },
    table("report_branch", &["branch", "report"]),
    table("report_file", &["report"]),
    table("report_owed", &["schedule", "from_at", "to_at"]),
    table("report_counted", &["one"]),
];

/// A column, and what stands in it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Column {
    name: String,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Int,
    Text,
    Bytes,
}

/// True when nothing was ever kept there.
pub(crate) async fn is_new(link: &mut Link<'_>) -> Result<bool, SqlError> {
    // Each start of a node leaves something in one of them.
    let question = "SELECT 1 AS there WHERE EXISTS (SELECT 1 FROM plant_version) OR EXISTS (SELECT 1 FROM person) OR EXISTS (SELECT 1 FROM token) \
        OR EXISTS (SELECT 1 FROM device) OR EXISTS (SELECT 1 FROM code) OR EXISTS (SELECT 1 FROM outbox) OR EXISTS (SELECT 1 FROM applied) \
        OR EXISTS (SELECT 1 FROM timeline)";
    Ok(sql(question).optional(link).await?.is_none())
}

/// How many rows each table has.
pub type Counts = Vec<(&'static str, u64)>;

/// Counts every table on both sides.
/// # Errors
/// They differ, which cannot be unless something else writes there.
pub(crate) async fn counted(from: &mut Link<'_>, to: &mut Link<'_>) -> Result<Counts, StoreError> {
    let mut counts = Vec::with_capacity(TABLES.len());
    for table in &TABLES {
        let count = || {
            let mut question = sql("SELECT count(*) AS n FROM ");
            question.push_name(table.name);
            question
        };
        let doing = "count the records";
        let (there, here): (u64, u64) = (count().only(from, doing).await?, count().only(to, doing).await?);
        if there != here {
            let source = format!("table {}: {there} rows were to be copied, and {here} are there", table.name).into();
            return Err(StoreError::Database { doing, source });
        }
        counts.push((table.name, here));
    }
    Ok(counts)
}

/// Puts every row of `from` in the place of what is in `to`, in the transactions that they are in. One of the two is SQLite's.
pub(crate) async fn all(from: &mut Link<'_>, to: &mut Link<'_>) -> Result<(), StoreError> {
    for table in TABLES.iter().rev() {
        let mut empty = sql("DELETE FROM ");
        empty.push_name(table.name);
        empty.execute(to).await.map_err(of(table, "make room for the records"))?;
    }
    for table in &TABLES {
        let columns = columns(from, to, table).await?;
        let mut after: Option<Vec<Value>> = None;
        loop {
            let rows =
                question(table, &columns, after.as_deref()).all(from).await.map_err(of(table, "read the records"))?;
            let Some(last) = rows.last() else { break };
            after = Some(key_of(table, &columns, last)?);
            let done = rows.len() < table.rows;
            let rows = rows.iter().map(|row| values(table, &columns, row)).collect::<Result<Vec<_>, _>>()?;
            insertion(table, &columns, rows).execute(to).await.map_err(of(table, "write the records"))?;
            if done {
                break;
            }
        }
    }
    Ok(())
}

/// As the SQLite side names them, in its order; all but the one that is given anew.
async fn columns(from: &mut Link<'_>, to: &mut Link<'_>, table: &Table) -> Result<Vec<Column>, StoreError> {
    let question = sql("SELECT name, type FROM pragma_table_info($1)").bind(table.name);
    let rows = if matches!(from, Link::Sqlite(_)) { question.all(from).await } else { question.all(to).await };
    let mut columns = Vec::new();
    for row in &rows.map_err(of(table, "look at the tables"))? {
        let (name, kind): (String, String) = (row.get("name")?, row.get("type")?);
        let kind = match kind.as_str() {
            "INTEGER" => Kind::Int,
            "TEXT" => Kind::Text,
            _ => Kind::Bytes,
        };
        if table.given != Some(name.as_str()) {
            columns.push(Column { name, kind });
        }
    }
    Ok(columns)
}

fn question(table: &Table, columns: &[Column], after: Option<&[Value]>) -> Statement {
    let mut query = sql("SELECT ");
    push_names(&mut query, columns.iter().map(|column| column.name.as_str()).chain(table.given));
    query.push(" FROM ").push_name(table.name);
    if let Some(after) = after {
        query.push(" WHERE (");
        push_names(&mut query, table.key.iter().copied());
        query.push(") > ").push_list(after.iter().cloned());
    }
    query.push(" ORDER BY ");
    push_names(&mut query, table.key.iter().copied());
    query.push(" LIMIT ").push_bind(table.rows);
    query
}

fn insertion(table: &Table, columns: &[Column], rows: Vec<Vec<Value>>) -> Statement {
    let full = rows.len() == table.rows;
    let mut statement = sql("INSERT INTO ");
    statement.push_name(table.name).push(" (");
    push_names(&mut statement, columns.iter().map(|column| column.name.as_str()));
    statement.push(") ").push_rows(rows);
    if full { statement } else { statement.once() }
}

fn push_names<'a>(statement: &mut Statement, names: impl Iterator<Item = &'a str>) {
    for (number, name) in names.enumerate() {
        statement.push(if number > 0 { ", " } else { "" }).push_name(name);
    }
}

fn values(table: &Table, columns: &[Column], row: &Row) -> Result<Vec<Value>, StoreError> {
    let mut values =
        columns.iter().map(|column| value(row, &column.name, column.kind)).collect::<Result<Vec<_>, _>>()?;
    // Made from the log, by which a sender's zero character came; the event itself keeps it.
    if matches!(table.name, "timeline" | "timeline_gap") {
        for value in &mut values {
            if let Value::Text(Some(text)) = value
                && text.contains('\0')
            {
                *text = text.replace('\0', "\u{FFFD}");
            }
        }
    }
    Ok(values)
}

/// What fails, and in which table.
fn of(table: &Table, doing: &'static str) -> impl Fn(SqlError) -> StoreError {
    let name = table.name;
    move |error| match database(doing)(error) {
        StoreError::Database { doing, source } => {
            StoreError::Database { doing, source: format!("table {name}: {source}").into() }
        }
        other => other,
    }
}

fn value(row: &Row, name: &str, kind: Kind) -> Result<Value, StoreError> {
    Ok(match kind {
        Kind::Int => Value::Int(row.get(name)?),
        Kind::Text => Value::Text(row.get(name)?),
        Kind::Bytes => Value::Bytes(row.get(name)?),
    })
}

fn key_of(table: &Table, columns: &[Column], row: &Row) -> Result<Vec<Value>, StoreError> {
    let kind = |name: &str| columns.iter().find(|column| column.name == name).map_or(Kind::Int, |column| column.kind);
    table.key.iter().map(|name| value(row, name, kind(name))).collect()
}
