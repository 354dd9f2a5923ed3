//! The shift logbook, hand-overs, and the keys of requests.

use super::outbox::enqueue;
use super::{Store, from_json, to_i64, to_json, to_u64};
use crate::error::{StoreError, database};
use crate::logbook::{
    Confirmation, Confirmed, EntryFilter, HANDOVER, InShift, Key, LogbookRepository, MOST_ENTRIES, NewEntry,
    StoredEntry, StoredHandover, Told, Written,
};
use andon_model::Timestamp;
use async_trait::async_trait;
use serde_json::Value;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{QueryBuilder, Row as _, SqliteConnection};
use uuid::Uuid;

/// A key that has been used.
pub(super) enum Known {
    /// For the same, which made or changed this number.
    Same(u64),
    /// For something else.
    Other,
}

/// Whether a request was done before.
pub(super) async fn known(tx: &mut SqliteConnection, key: &Key) -> Result<Option<Known>, StoreError> {
    let row: Option<(Vec<u8>, i64)> = sqlx::query_as("SELECT content, number FROM resource_key WHERE key = ?")
        .bind(blob(key.key))
        .fetch_optional(tx)
        .await
        .map_err(database("look whether this was asked before"))?;
    Ok(row.map(|(content, number)| if content == key.content { Known::Same(to_u64(number)) } else { Known::Other }))
}

/// Notes that a request is done.
pub(super) async fn note(tx: &mut SqliteConnection, key: &Key, number: u64, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO resource_key (key, content, number, at) VALUES (?, ?, ?, ?)")
        .bind(blob(key.key))
        .bind(key.content.to_vec())
        .bind(to_i64(number))
        .bind(at.micros())
        .execute(tx)
        .await
        .map_err(database("note what was asked"))?;
    Ok(())
}

pub(super) fn blob(id: Uuid) -> Vec<u8> {
    id.as_bytes().to_vec()
}

pub(super) fn id_of(bytes: &[u8], what: &'static str) -> Result<Uuid, StoreError> {
    Uuid::from_slice(bytes).map_err(|error| StoreError::Damaged { what, reason: error.to_string() })
}

/// A path with every branch above it, and the whole tree.
fn branches(path: &str) -> impl Iterator<Item = &str> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    [""].into_iter().chain(above).chain((!path.is_empty()).then_some(path))
}

#[async_trait]
impl LogbookRepository for Store {
    async fn logbook_write(&self, entry: NewEntry) -> Result<Written, StoreError> {
        self.write(move |tx| Box::pin(write(tx, entry))).await
    }

    async fn logbook_confirm(&self, confirmation: Confirmation) -> Result<Confirmed, StoreError> {
        self.write(move |tx| Box::pin(confirm(tx, confirmation))).await
    }

    async fn logbook_entry(&self, number: u64) -> Result<Option<StoredEntry>, StoreError> {
        let mut connection = self.readers().acquire().await.map_err(database("read the logbook"))?;
        one(&mut connection, number).await
    }

    async fn logbook_of_key(&self, key: Uuid) -> Result<Option<([u8; 32], StoredEntry)>, StoreError> {
        let mut view = self.readers().begin().await.map_err(database("read the logbook"))?;
        let row: Option<(Vec<u8>, i64)> = sqlx::query_as("SELECT content, number FROM resource_key WHERE key = ?")
            .bind(blob(key))
            .fetch_optional(&mut *view)
            .await
            .map_err(database("look whether this was asked before"))?;
        let Some((content, number)) = row else { return Ok(None) };
        let entry = one(&mut view, to_u64(number)).await?;
        view.rollback().await.map_err(database("read the logbook"))?;
        let content = content.try_into().unwrap_or_default();
        Ok(entry.map(|entry| (content, entry)))
    }

    async fn logbook_entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, StoreError> {
        let mut view = self.readers().begin().await.map_err(database("read the logbook"))?;
        let limit = filter.limit.clamp(1, MOST_ENTRIES + 1);
        let mut numbers: Vec<i64> = Vec::new();
        for branch in &filter.branches {
            numbers.extend(of_branch(&mut view, branch, &filter, limit).await?);
        }
        // Newest first; no branch lies below another, so that nothing stands twice.
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let entries = read(&mut view, &numbers).await?;
        view.rollback().await.map_err(database("read the logbook"))?;
        Ok(entries)
    }
}

async fn write(tx: &mut SqliteConnection, new: NewEntry) -> Result<Written, StoreError> {
    match known(tx, &new.key).await? {
        Some(Known::Same(number)) => return Ok(Written::Before(there(tx, number).await?)),
        Some(Known::Other) => return Ok(Written::KeyUsed),
        None => {}
    }
    if let Some(corrects) = new.corrects {
        if let Some(by) = there(tx, corrects).await?.corrected_by {
            return Ok(Written::Corrected(by));
        }
        close(tx, corrects).await?;
    }
    let last: i64 = sqlx::query_scalar("SELECT coalesce(max(number), 0) FROM logbook_entry")
        .fetch_one(&mut *tx)
        .await
        .map_err(database("read the logbook"))?;
    let number = last + 1;
    insert(tx, number, &new).await?;
    let opens = new.pinned || new.told.is_some();
    for branch in branches(&new.path) {
        let tables = ["INSERT INTO logbook_branch (branch, entry, kind) VALUES (?, ?, ?)"];
        let open = opens.then_some("INSERT INTO logbook_open (branch, entry, kind) VALUES (?, ?, ?)");
        for statement in tables.into_iter().chain(open) {
            sqlx::query(statement)
                .bind(branch.to_owned())
                .bind(number)
                .bind(new.kind.clone())
                .execute(&mut *tx)
                .await
                .map_err(database("write where an entry stands"))?;
        }
    }
    if let Some(told) = &new.told {
        sqlx::query("INSERT INTO handover (entry, items, truncated, kept, note) VALUES (?, ?, ?, ?, '')")
            .bind(number)
            .bind(to_json(&told.items, "hand-over")?)
            .bind(i64::from(told.truncated))
            .bind(to_json(&told.kept, "hand-over")?)
            .execute(&mut *tx)
            .await
            .map_err(database("write a hand-over"))?;
    }
    note(tx, &new.key, to_u64(number), new.at).await?;
    enqueue(tx, &new.event).await?;
    Ok(Written::Now(there(tx, to_u64(number)).await?))
}

async fn insert(tx: &mut SqliteConnection, number: i64, new: &NewEntry) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO logbook_entry (number, path, kind, text, fold, links, at, by_id, shift_name, shift_from, shift_to, pinned, \
         corrects, event) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(number)
    .bind(new.path.clone())
    .bind(new.kind.clone())
    .bind(new.text.clone())
    .bind(new.text.to_lowercase())
    .bind(to_json(&new.links, "entry of the logbook")?)
    .bind(new.at.micros())
    .bind(blob(new.by))
    .bind(new.shift.as_ref().map(|shift| shift.name.clone()))
    .bind(new.shift.as_ref().map(|shift| shift.from.micros()))
    .bind(new.shift.as_ref().map(|shift| shift.to.micros()))
    .bind(i64::from(new.pinned))
    .bind(new.corrects.map(to_i64))
    .bind(blob(new.event.id))
    .execute(tx)
    .await
    .map_err(database("write into the logbook"))?;
    Ok(())
}

/// An entry is open no more.
async fn close(tx: &mut SqliteConnection, number: u64) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM logbook_open WHERE entry = ?")
        .bind(to_i64(number))
        .execute(tx)
        .await
        .map_err(database("close an entry of the logbook"))?;
    Ok(())
}

async fn confirm(tx: &mut SqliteConnection, new: Confirmation) -> Result<Confirmed, StoreError> {
    match known(tx, &new.key).await? {
        Some(Known::Same(number)) => return Ok(Confirmed::Before(there(tx, number).await?)),
        Some(Known::Other) => return Ok(Confirmed::KeyUsed),
        None => {}
    }
    let entry = there(tx, new.number).await?;
    if entry.handover.as_ref().is_none_or(|handover| handover.confirmed.is_some()) {
        return Ok(Confirmed::Already(entry));
    }
    sqlx::query("UPDATE handover SET confirmed_at = ?, confirmed_by = ?, note = ? WHERE entry = ?")
        .bind(new.at.micros())
        .bind(blob(new.by))
        .bind(new.note)
        .bind(to_i64(new.number))
        .execute(&mut *tx)
        .await
        .map_err(database("confirm a hand-over"))?;
    for number in new.settles.iter().chain([&new.number]) {
        close(tx, *number).await?;
    }
    note(tx, &new.key, new.number, new.at).await?;
    enqueue(tx, &new.event).await?;
    Ok(Confirmed::Now(there(tx, new.number).await?))
}

/// The numbers of the entries of a branch, newest first.
async fn of_branch(
    view: &mut SqliteConnection,
    branch: &str,
    filter: &EntryFilter,
    limit: u32,
) -> Result<Vec<i64>, StoreError> {
    let table = if filter.open == Some(true) { "logbook_open" } else { "logbook_branch" };
    let mut query = QueryBuilder::<Sqlite>::new("SELECT b.entry FROM ");
    query
        .push(table)
        .push(" b JOIN logbook_entry e ON e.number = b.entry WHERE b.branch = ")
        .push_bind(branch.to_owned());
    if let Some(after) = filter.after {
        query.push(" AND b.entry < ").push_bind(to_i64(after));
    }
    if !filter.kinds.is_empty() {
        query.push(" AND b.kind IN (");
        let mut kinds = query.separated(", ");
        for kind in &filter.kinds {
            kinds.push_bind(kind.clone());
        }
        query.push(")");
    }
    if filter.open == Some(false) {
        query.push(" AND NOT EXISTS (SELECT 1 FROM logbook_open o WHERE o.branch = b.branch AND o.entry = b.entry)");
    }
    let (from, to) = filter.window;
    query.push(" AND e.at >= ").push_bind(from.micros()).push(" AND e.at < ").push_bind(to.micros());
    if let Some(text) = &filter.text {
        query.push(" AND e.fold LIKE ").push_bind(pattern(text)).push(" ESCAPE '\\'");
    }
    query.push(" ORDER BY b.entry DESC LIMIT ").push_bind(i64::from(limit));
    query.build_query_scalar().fetch_all(view).await.map_err(database("read the logbook"))
}

/// What a text that is searched for looks like anywhere within another, in lower case.
fn pattern(text: &str) -> String {
    let escape = |c: char| if matches!(c, '%' | '_' | '\\') { vec!['\\', c] } else { vec![c] };
    format!("%{}%", text.to_lowercase().chars().flat_map(escape).collect::<String>())
}

async fn one(view: &mut SqliteConnection, number: u64) -> Result<Option<StoredEntry>, StoreError> {
    Ok(read(view, &[to_i64(number)]).await?.pop())
}

/// One that must be there.
async fn there(view: &mut SqliteConnection, number: u64) -> Result<StoredEntry, StoreError> {
    let missing = || StoreError::Damaged { what: "logbook", reason: format!("there is no entry {number}") };
    one(view, number).await?.ok_or_else(missing)
}

/// Entries by their numbers, newest first.
async fn read(view: &mut SqliteConnection, numbers: &[i64]) -> Result<Vec<StoredEntry>, StoreError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Sqlite>::new(
        "SELECT e.number, e.path, e.kind, e.text, e.links, e.at, e.by_id, e.shift_name, e.shift_from, e.shift_to, e.pinned, e.corrects, \
         (SELECT c.number FROM logbook_entry c WHERE c.corrects = e.number) AS corrected_by, \
         EXISTS (SELECT 1 FROM logbook_open o WHERE o.entry = e.number) AS is_open, \
         h.items, h.truncated, h.kept, h.confirmed_at, h.confirmed_by, h.note \
         FROM logbook_entry e LEFT JOIN handover h ON h.entry = e.number WHERE e.number IN (",
    );
    let mut list = query.separated(", ");
    for number in numbers {
        list.push_bind(*number);
    }
    query.push(") ORDER BY e.number DESC");
    let rows = query.build().fetch_all(view).await.map_err(database("read the logbook"))?;
    rows.iter().map(entry).collect()
}

fn entry(row: &SqliteRow) -> Result<StoredEntry, StoreError> {
    let failed = database("read the logbook");
    let column = |name: &str| row.try_get::<i64, _>(name).map_err(&failed);
    let text = |name: &str| row.try_get::<String, _>(name).map_err(&failed);
    let perhaps = |name: &str| row.try_get::<Option<i64>, _>(name).map_err(&failed);
    let shift_name: Option<String> = row.try_get("shift_name").map_err(&failed)?;
    let shift = match (shift_name, perhaps("shift_from")?, perhaps("shift_to")?) {
        (Some(name), Some(from), Some(to)) => {
            Some(InShift { name, from: Timestamp::from_micros(from), to: Timestamp::from_micros(to) })
        }
        _ => None,
    };
    let kind = text("kind")?;
    let handover = if kind == HANDOVER { Some(handover(row)?) } else { None };
    let by: Vec<u8> = row.try_get("by_id").map_err(&failed)?;
    Ok(StoredEntry {
        number: to_u64(column("number")?),
        path: text("path")?,
        kind,
        text: text("text")?,
        links: from_json(&text("links")?, "links of the logbook")?,
        at: Timestamp::from_micros(column("at")?),
        by: id_of(&by, "writer of an entry")?,
        shift,
        pinned: column("pinned")? == 1,
        open: column("is_open")? == 1,
        corrects: perhaps("corrects")?.map(to_u64),
        corrected_by: perhaps("corrected_by")?.map(to_u64),
        handover,
    })
}

fn handover(row: &SqliteRow) -> Result<StoredHandover, StoreError> {
    let failed = database("read a hand-over");
    let text = |name: &str| row.try_get::<String, _>(name).map_err(&failed);
    let items: Value = from_json(&text("items")?, "hand-over")?;
    let truncated: i64 = row.try_get("truncated").map_err(&failed)?;
    let kept: Vec<u64> = from_json(&text("kept")?, "hand-over")?;
    let at: Option<i64> = row.try_get("confirmed_at").map_err(&failed)?;
    let by: Option<Vec<u8>> = row.try_get("confirmed_by").map_err(&failed)?;
    let confirmed = match (at, by) {
        (Some(at), Some(by)) => Some((Timestamp::from_micros(at), id_of(&by, "who confirmed a hand-over")?)),
        _ => None,
    };
    Ok(StoredHandover { told: Told { items, truncated: truncated == 1, kept }, confirmed, note: text("note")? })
}
