//! The shift logbook, hand-overs, and the keys of requests.

use super::outbox::enqueue;
use super::{pattern, to_json};
use crate::error::{StoreError, database};
use crate::logbook::{
    Confirmation, Confirmed, EntryFilter, HANDOVER, InShift, Key, LogbookRepository, MOST_ENTRIES, NewEntry,
    StoredEntry, StoredHandover, Told, Written,
};
use crate::sql::{Link, Row, sql, to_i64};
use crate::store::Store;
use andon_model::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

const READ: &str = "read the logbook";

/// A key that has been used.
pub(super) enum Known {
    /// For the same, which made or changed this number.
    Same(u64),
    /// For something else.
    Other,
}

/// Whether a request was done before.
pub(super) async fn known(tx: &mut Link<'_>, key: &Key) -> Result<Option<Known>, StoreError> {
    let question = sql("SELECT content, number FROM resource_key WHERE key = $1").bind(key.key);
    let row: Option<([u8; 32], u64)> = question.first(tx, "look whether this was asked before").await?;
    Ok(row.map(|(content, number)| if content == key.content { Known::Same(number) } else { Known::Other }))
}

/// Notes that a request is done.
pub(super) async fn note(tx: &mut Link<'_>, key: &Key, number: u64, at: Timestamp) -> Result<(), StoreError> {
    sql("INSERT INTO resource_key (key, content, number, at) VALUES ($1, $2, $3, $4)")
        .bind(key.key)
        .bind(key.content)
        .bind(number)
        .bind(at)
        .run(tx, "note what was asked")
        .await?;
    Ok(())
}

/// A path with every branch above it, and the whole tree.
pub(super) fn branches(path: &str) -> impl Iterator<Item = &str> {
    let above = path.match_indices('/').map(|(at, _)| &path[..at]);
    [""].into_iter().chain(above).chain((!path.is_empty()).then_some(path))
}

#[async_trait]
impl LogbookRepository for Store {
    async fn logbook_write(&self, entry: NewEntry) -> Result<Written, StoreError> {
        self.write(move |mut tx| Box::pin(async move { write(&mut tx, entry).await })).await
    }

    async fn logbook_confirm(&self, confirmation: Confirmation) -> Result<Confirmed, StoreError> {
        self.write(move |mut tx| Box::pin(async move { confirm(&mut tx, confirmation).await })).await
    }

    async fn logbook_entry(&self, number: u64) -> Result<Option<StoredEntry>, StoreError> {
        let mut reading = self.reader(READ).await?;
        one(&mut reading.link(), number).await
    }

    async fn logbook_of_key(&self, key: Uuid) -> Result<Option<([u8; 32], StoredEntry)>, StoreError> {
        let mut reading = self.moment(READ).await?;
        let mut view = reading.link();
        let question = sql("SELECT content, number FROM resource_key WHERE key = $1").bind(key);
        let row: Option<([u8; 32], u64)> = question.first(&mut view, "look whether this was asked before").await?;
        let Some((content, number)) = row else { return Ok(None) };
        Ok(one(&mut view, number).await?.map(|entry| (content, entry)))
    }

    async fn logbook_entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, StoreError> {
        let mut reading = self.moment(READ).await?;
        let mut view = reading.link();
        let limit = filter.limit.clamp(1, MOST_ENTRIES + 1);
        let mut numbers: Vec<u64> = Vec::new();
        for branch in &filter.branches {
            numbers.extend(of_branch(&mut view, branch, &filter, limit).await?);
        }
        // Newest first; no branch lies below another, so that nothing stands twice.
        numbers.sort_unstable_by(|a, b| b.cmp(a));
        numbers.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        read(&mut view, &numbers).await
    }
}

async fn write(tx: &mut Link<'_>, new: NewEntry) -> Result<Written, StoreError> {
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
    let last: u64 = sql("SELECT coalesce(max(number), 0) FROM logbook_entry").only(tx, READ).await?;
    let number = last + 1;
    insert(tx, number, &new).await?;
    let opens = new.pinned || new.told.is_some();
    for branch in branches(&new.path) {
        let stands = "INSERT INTO logbook_branch (branch, entry, kind) VALUES ($1, $2, $3)";
        let open = opens.then_some("INSERT INTO logbook_open (branch, entry, kind) VALUES ($1, $2, $3)");
        for statement in [stands].into_iter().chain(open) {
            let statement = sql(statement).bind(branch).bind(number).bind(new.kind.as_str());
            statement.run(tx, "write where an entry stands").await?;
        }
    }
    if let Some(told) = &new.told {
        sql("INSERT INTO handover (entry, items, truncated, kept, note) VALUES ($1, $2, $3, $4, '')")
            .bind(number)
            .bind(to_json(&told.items, "hand-over")?)
            .bind(told.truncated)
            .bind(to_json(&told.kept, "hand-over")?)
            .run(tx, "write a hand-over")
            .await?;
    }
    note(tx, &new.key, number, new.at).await?;
    enqueue(tx, &new.event).await?;
    Ok(Written::Now(there(tx, number).await?))
}

async fn insert(tx: &mut Link<'_>, number: u64, new: &NewEntry) -> Result<(), StoreError> {
    sql(
        "INSERT INTO logbook_entry (number, path, kind, text, fold, links, at, by_id, shift_name, shift_from, shift_to, pinned, \
         corrects, event) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(number)
    .bind(new.path.as_str())
    .bind(new.kind.as_str())
    .bind(new.text.as_str())
    .bind(new.text.to_lowercase())
    .bind(to_json(&new.links, "entry of the logbook")?)
    .bind(new.at)
    .bind(new.by)
    .bind(new.shift.as_ref().map(|shift| shift.name.clone()))
    .bind(new.shift.as_ref().map(|shift| shift.from))
    .bind(new.shift.as_ref().map(|shift| shift.to))
    .bind(new.pinned)
    .bind(new.corrects.map(to_i64))
    .bind(new.event.id)
    .run(tx, "write into the logbook")
    .await?;
    Ok(())
}

/// An entry is open no more.
async fn close(tx: &mut Link<'_>, number: u64) -> Result<(), StoreError> {
    let statement = sql("DELETE FROM logbook_open WHERE entry = $1").bind(number);
    statement.run(tx, "close an entry of the logbook").await?;
    Ok(())
}

async fn confirm(tx: &mut Link<'_>, new: Confirmation) -> Result<Confirmed, StoreError> {
    match known(tx, &new.key).await? {
        Some(Known::Same(number)) => return Ok(Confirmed::Before(there(tx, number).await?)),
        Some(Known::Other) => return Ok(Confirmed::KeyUsed),
        None => {}
    }
    let entry = there(tx, new.number).await?;
    if entry.handover.as_ref().is_none_or(|handover| handover.confirmed.is_some()) {
        return Ok(Confirmed::Already(entry));
    }
    sql("UPDATE handover SET confirmed_at = $1, confirmed_by = $2, note = $3 WHERE entry = $4")
        .bind(new.at)
        .bind(new.by)
        .bind(new.note)
        .bind(new.number)
        .run(tx, "confirm a hand-over")
        .await?;
    for number in new.settles.iter().chain([&new.number]) {
        close(tx, *number).await?;
    }
    note(tx, &new.key, new.number, new.at).await?;
    enqueue(tx, &new.event).await?;
    Ok(Confirmed::Now(there(tx, new.number).await?))
}

/// The numbers of the entries of a branch, newest first.
async fn of_branch(
    view: &mut Link<'_>,
    branch: &str,
    filter: &EntryFilter,
    limit: u32,
) -> Result<Vec<u64>, StoreError> {
    let open = filter.open == Some(true);
    let mut query = sql("SELECT b.entry FROM ");
    query.push(if open { "logbook_open" } else { "logbook_branch" });
    query.push(" b JOIN logbook_entry e ON e.number = b.entry WHERE b.branch = ").push_bind(branch);
    if let Some(after) = filter.after {
        query.push(" AND b.entry < ").push_bind(after);
    }
    if !filter.kinds.is_empty() {
        query.push(" AND b.kind IN ").push_list(filter.kinds.iter().map(String::as_str));
    }
    if filter.open == Some(false) {
        query.push(" AND NOT EXISTS (SELECT 1 FROM logbook_open o WHERE o.branch = b.branch AND o.entry = b.entry)");
    }
    let (from, to) = filter.window;
    query.push(" AND e.at >= ").push_bind(from).push(" AND e.at < ").push_bind(to);
    if let Some(text) = &filter.text {
        query.push(" AND e.fold LIKE ").push_bind(pattern(text)).push(" ESCAPE '\\'");
    }
    query.push(" ORDER BY b.entry DESC LIMIT ").push_bind(limit);
    query.rows(view, READ).await
}

async fn one(view: &mut Link<'_>, number: u64) -> Result<Option<StoredEntry>, StoreError> {
    Ok(read(view, &[number]).await?.pop())
}

/// One that must be there.
async fn there(view: &mut Link<'_>, number: u64) -> Result<StoredEntry, StoreError> {
    let missing = || StoreError::Damaged { what: "logbook", reason: format!("there is no entry {number}") };
    one(view, number).await?.ok_or_else(missing)
}

/// Entries by their numbers, newest first.
async fn read(view: &mut Link<'_>, numbers: &[u64]) -> Result<Vec<StoredEntry>, StoreError> {
    if numbers.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = sql(
        "SELECT e.number, e.path, e.kind, e.text, e.links, e.at, e.by_id, e.shift_name, e.shift_from, e.shift_to, e.pinned, e.corrects, \
         (SELECT c.number FROM logbook_entry c WHERE c.corrects = e.number) AS corrected_by, \
         CAST(CASE WHEN EXISTS (SELECT 1 FROM logbook_open o WHERE o.entry = e.number) THEN 1 ELSE 0 END AS BIGINT) AS is_open, \
         h.items, h.truncated, h.kept, h.confirmed_at, h.confirmed_by, h.note \
         FROM logbook_entry e LEFT JOIN handover h ON h.entry = e.number WHERE e.number IN ",
    );
    query.push_list(numbers.iter().copied()).push(" ORDER BY e.number DESC");
    query.all(view).await.map_err(database(READ))?.iter().map(entry).collect()
}

fn entry(row: &Row) -> Result<StoredEntry, StoreError> {
    let shift = match (row.get("shift_name")?, row.get("shift_from")?, row.get("shift_to")?) {
        (Some(name), Some(from), Some(to)) => Some(InShift { name, from, to }),
        _ => None,
    };
    let kind: String = row.get("kind")?;
    let handover = if kind == HANDOVER { Some(handover(row)?) } else { None };
    Ok(StoredEntry {
        number: row.get("number")?,
        path: row.get("path")?,
        kind,
        text: row.get("text")?,
        links: row.json("links")?,
        at: row.get("at")?,
        by: row.get("by_id")?,
        shift,
        pinned: row.get("pinned")?,
        open: row.get("is_open")?,
        corrects: numbered(row.get("corrects")?),
        corrected_by: numbered(row.get("corrected_by")?),
        handover,
    })
}

fn numbered(number: Option<i64>) -> Option<u64> {
    number.and_then(|number| u64::try_from(number).ok())
}

fn handover(row: &Row) -> Result<StoredHandover, StoreError> {
    let told = Told { items: row.json("items")?, truncated: row.get("truncated")?, kept: row.json("kept")? };
    let confirmed = match (row.get("confirmed_at")?, row.get("confirmed_by")?) {
        (Some(at), Some(by)) => Some((at, by)),
        _ => None,
    };
    Ok(StoredHandover { told, confirmed, note: row.get("note")? })
}
