//! Reports as they were signed.

use super::logbook::branches;
use super::outbox::enqueue;
use crate::error::{StoreError, database};
use crate::report::{
    MOST_REPORTS, NewReport, OwedReport, ReportFilter, ReportKept, ReportRepository, ReportRow, StoredReport,
};
use crate::sql::{Link, Row, sql};
use crate::store::Store;
use andon_model::Timestamp;
use async_trait::async_trait;
use uuid::Uuid;

const READ: &str = "read reports";
/// All of a row but what takes much room.
const COLUMNS: &str = "SELECT r.id, r.kind, r.path, r.subject, r.shift, r.from_at, r.to_at, r.made_at, r.by_id, r.schedule, r.replaces, \
     (SELECT n.id FROM report n WHERE n.replaces = r.id) AS replaced_by, r.size FROM report r ";
/// The most windows of a schedule that are told.
const WINDOWS: u32 = 10_000;
/// The most windows of a schedule that are told to be owed.
const OWED: u32 = 1_000;

#[async_trait]
impl ReportRepository for Store {
    async fn report_keep(&self, new: NewReport) -> Result<ReportKept, StoreError> {
        self.write(move |mut tx| Box::pin(async move { keep(&mut tx, new).await })).await
    }

    async fn report(&self, id: Uuid) -> Result<Option<StoredReport>, StoreError> {
        let mut reading = self.moment(READ).await?;
        let view = &mut reading.link();
        let Some(row) = one(view, id).await? else { return Ok(None) };
        let (content, signature, key_id): (Vec<u8>, Vec<u8>, String) =
            sql("SELECT content, signature, key_id FROM report WHERE id = $1").bind(id).only(view, READ).await?;
        let signature = signature.try_into().map_err(|_| StoreError::Damaged {
            what: "report",
            reason: format!("the signature of {id} is not of 64 bytes"),
        })?;
        Ok(Some(StoredReport { row, content, signature, key_id }))
    }

    async fn report_row(&self, id: Uuid) -> Result<Option<ReportRow>, StoreError> {
        let mut reading = self.reader(READ).await?;
        one(&mut reading.link(), id).await
    }

    async fn report_of_key(&self, key: Uuid) -> Result<Option<([u8; 32], ReportRow)>, StoreError> {
        let mut reading = self.moment(READ).await?;
        of_key(&mut reading.link(), key).await
    }

    async fn reports(&self, filter: ReportFilter) -> Result<Vec<ReportRow>, StoreError> {
        let mut reading = self.moment(READ).await?;
        let view = &mut reading.link();
        let limit = filter.limit.clamp(1, MOST_REPORTS + 1);
        let mut found = Vec::new();
        // No branch lies below another, so that nothing stands twice.
        for branch in &filter.branches {
            found.extend(of_branch(view, branch, &filter, limit).await?);
        }
        found.sort_unstable_by_key(|row| std::cmp::Reverse(row.id));
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }

    async fn report_of_window(
        &self,
        kind: &str,
        path: &str,
        subject: &str,
        window: Option<(Timestamp, Timestamp)>,
        schedule: Option<&str>,
    ) -> Result<Option<ReportRow>, StoreError> {
        let mut reading = self.reader(READ).await?;
        let mut query = sql(COLUMNS);
        query.push("WHERE r.path = ").push_bind(path).push(" AND r.kind = ").push_bind(kind);
        query.push(" AND r.subject = ").push_bind(subject);
        if let Some((from, to)) = window {
            query.push(" AND r.from_at = ").push_bind(from).push(" AND r.to_at = ").push_bind(to);
        }
        if let Some(schedule) = schedule {
            query.push(" AND (r.schedule IS NULL OR r.schedule = ").push_bind(schedule).push(")");
        }
        // Ids of one millisecond are in no order: what has been replaced is not the newest.
        query.push(" AND NOT EXISTS (SELECT 1 FROM report o WHERE o.replaces = r.id) ORDER BY r.id DESC LIMIT 1");
        Ok(rows(&mut reading.link(), query).await?.pop())
    }

    async fn report_windows(
        &self,
        schedule: &str,
        ends_from: Timestamp,
    ) -> Result<Vec<(Timestamp, Timestamp)>, StoreError> {
        sql("SELECT from_at, to_at FROM report WHERE schedule = $1 AND to_at >= $2 ORDER BY to_at, from_at LIMIT $3")
            .bind(schedule)
            .bind(ends_from)
            .bind(WINDOWS)
            .rows(&mut self.reader(READ).await?.link(), READ)
            .await
    }

    async fn report_upto(&self, schedule: &str, latest: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        sql("SELECT to_at FROM report WHERE schedule = $1 AND to_at <= $2 ORDER BY to_at DESC LIMIT 1")
            .bind(schedule)
            .bind(latest)
            .first(&mut self.reader(READ).await?.link(), READ)
            .await
    }

    async fn report_owe(&self, schedule: &str, owed: OwedReport) -> Result<(), StoreError> {
        let schedule = schedule.to_owned();
        self.write(move |mut tx| {
            Box::pin(async move {
                sql("INSERT INTO report_owed (schedule, from_at, to_at, shift) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING")
                    .bind(schedule)
                    .bind(owed.from)
                    .bind(owed.to)
                    .bind(owed.shift)
                    .run(&mut tx, "note a report that could not be made")
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn reports_owed(&self, schedule: &str, ends_from: Timestamp) -> Result<Vec<OwedReport>, StoreError> {
        let rows: Vec<(Timestamp, Timestamp, Option<String>)> =
            sql("SELECT from_at, to_at, shift FROM report_owed WHERE schedule = $1 ORDER BY to_at, from_at LIMIT $2")
                .bind(schedule)
                .bind(OWED)
                .rows(&mut self.reader(READ).await?.link(), READ)
                .await?;
        let (owed, past): (Vec<_>, Vec<_>) = rows
            .into_iter()
            .map(|(from, to, shift)| OwedReport { from, to, shift })
            .partition(|row| row.to >= ends_from);
        if !past.is_empty() {
            let schedule = schedule.to_owned();
            self.write(move |mut tx| {
                Box::pin(async move {
                    sql("DELETE FROM report_owed WHERE schedule = $1 AND to_at < $2")
                        .bind(schedule)
                        .bind(ends_from)
                        .run(&mut tx, "forget reports that could not be made")
                        .await
                        .map(drop)
                })
            })
            .await?;
        }
        Ok(owed)
    }

    async fn report_counted(&self) -> Result<Option<Timestamp>, StoreError> {
        sql("SELECT at FROM report_counted").first(&mut self.reader(READ).await?.link(), READ).await
    }

    async fn report_count(&self, at: Timestamp) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                sql("INSERT INTO report_counted (one, at) VALUES (1, $1) ON CONFLICT (one) DO UPDATE SET at = excluded.at")
                    .bind(at)
                    .run(&mut tx, "save the time from which the age of reports counts")
                    .await
                    .map(drop)
            })
        })
        .await
    }

    async fn report_last(&self, schedule: &str) -> Result<Option<ReportRow>, StoreError> {
        let mut reading = self.reader(READ).await?;
        let mut query = sql(COLUMNS);
        query.push("WHERE r.schedule = ").push_bind(schedule).push(" ORDER BY r.made_at DESC, r.id DESC LIMIT 1");
        Ok(rows(&mut reading.link(), query).await?.pop())
    }

    async fn reports_forget(&self, schedule: &str, made_before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let schedule = schedule.to_owned();
        self.write(move |mut tx| Box::pin(async move { forget(&mut tx, &schedule, made_before, most).await })).await
    }

    async fn report_files(
        &self,
        after: Option<Uuid>,
        without: &[String],
        most: u32,
    ) -> Result<Vec<(Uuid, String)>, StoreError> {
        let mut query = sql("SELECT report, folder FROM report_file WHERE report > ");
        query.push_bind(after.unwrap_or(Uuid::nil()));
        if !without.is_empty() {
            query.push(" AND folder NOT IN ").push_list(without.iter().map(String::as_str));
        }
        query.push(" ORDER BY report LIMIT ").push_bind(most);
        query.rows(&mut self.reader(READ).await?.link(), READ).await
    }

    async fn report_written(&self, id: Uuid) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                let statement = sql("DELETE FROM report_file WHERE report = $1").bind(id);
                statement.run(&mut tx, "note that a report's files are written").await.map(drop)
            })
        })
        .await
    }
}

async fn keep(tx: &mut Link<'_>, new: NewReport) -> Result<ReportKept, StoreError> {
    if let Some(key) = &new.key
        && let Some((asked, row)) = of_key(tx, key.key).await?
    {
        return Ok(if asked == key.content { ReportKept::Before(row) } else { ReportKept::KeyUsed });
    }
    if let Some(schedule) = &new.row.schedule {
        let mut query = sql(COLUMNS);
        query.push("WHERE r.schedule = ").push_bind(schedule.as_str());
        query.push(" AND r.from_at = ").push_bind(new.row.from).push(" AND r.to_at = ").push_bind(new.row.to);
        if let Some(row) = rows(tx, query).await?.pop() {
            return Ok(ReportKept::Before(row));
        }
        sql("DELETE FROM report_owed WHERE schedule = $1 AND from_at = $2 AND to_at = $3")
            .bind(schedule.as_str())
            .bind(new.row.from)
            .bind(new.row.to)
            .run(tx, "note that a report was made")
            .await?;
    }
    let id = new.row.id;
    for branch in branches(&new.row.path) {
        sql("INSERT INTO report_branch (branch, report, kind) VALUES ($1, $2, $3)")
            .bind(branch)
            .bind(id)
            .bind(new.row.kind.as_str())
            .run(tx, "write where a report stands")
            .await?;
    }
    if let Some(folder) = &new.folder {
        sql("INSERT INTO report_file (report, folder) VALUES ($1, $2)")
            .bind(id)
            .bind(folder.as_str())
            .run(tx, "note that a report's files are to be written")
            .await?;
    }
    let event = new.event.clone();
    insert(tx, new).await?;
    enqueue(tx, &event).await?;
    let missing = || StoreError::Damaged { what: "report", reason: format!("there is no report {id}") };
    Ok(ReportKept::Now(one(tx, id).await?.ok_or_else(missing)?))
}

async fn insert(tx: &mut Link<'_>, new: NewReport) -> Result<(), StoreError> {
    let row = new.row;
    sql(
        "INSERT INTO report (id, kind, path, subject, shift, from_at, to_at, made_at, by_id, schedule, key, asked, replaces, event, key_id, \
         signature, size, content) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)",
    )
    .bind(row.id)
    .bind(row.kind)
    .bind(row.path)
    .bind(row.subject)
    .bind(row.shift)
    .bind(row.from)
    .bind(row.to)
    .bind(row.made_at)
    .bind(row.by)
    .bind(row.schedule)
    .bind(new.key.map(|key| key.key))
    .bind(new.key.map(|key| key.content.to_vec()))
    .bind(row.replaces)
    .bind(new.event.id)
    .bind(new.key_id)
    .bind(new.signature.to_vec())
    .bind(new.content.len())
    .bind(new.content)
    .run(tx, "keep a report")
    .await?;
    Ok(())
}

/// The oldest first; what is left is found by the next call.
async fn forget(tx: &mut Link<'_>, schedule: &str, made_before: Timestamp, most: u32) -> Result<u64, StoreError> {
    let old: Vec<Uuid> =
        sql("SELECT id FROM report WHERE schedule = $1 AND made_at < $2 ORDER BY made_at, id LIMIT $3")
            .bind(schedule)
            .bind(made_before)
            .bind(most)
            .rows(tx, READ)
            .await?;
    for id in &old {
        for statement in [
            "DELETE FROM report_file WHERE report = $1",
            "DELETE FROM report_branch WHERE report = $1",
            "DELETE FROM report WHERE id = $1",
        ] {
            sql(statement).bind(*id).run(tx, "delete a report").await?;
        }
    }
    Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
}

async fn of_key(view: &mut Link<'_>, key: Uuid) -> Result<Option<([u8; 32], ReportRow)>, StoreError> {
    let known: Option<(Uuid, [u8; 32])> = sql("SELECT id, asked FROM report WHERE key = $1")
        .bind(key)
        .first(view, "look whether this was asked before")
        .await?;
    let Some((id, asked)) = known else { return Ok(None) };
    Ok(one(view, id).await?.map(|row| (asked, row)))
}

async fn of_branch(
    view: &mut Link<'_>,
    branch: &str,
    filter: &ReportFilter,
    limit: u32,
) -> Result<Vec<ReportRow>, StoreError> {
    let mut query = sql(COLUMNS);
    query.push("JOIN report_branch b ON b.report = r.id WHERE b.branch = ").push_bind(branch);
    if let Some(after) = filter.after {
        query.push(" AND b.report < ").push_bind(after);
    }
    if !filter.kinds.is_empty() {
        query.push(" AND b.kind IN ").push_list(filter.kinds.iter().map(String::as_str));
    }
    if let Some(subject) = &filter.subject {
        query.push(" AND r.subject = ").push_bind(subject.as_str());
    }
    if let Some(schedule) = &filter.schedule {
        query.push(" AND r.schedule = ").push_bind(schedule.as_str());
    }
    let (from, to) = filter.window;
    query.push(" AND r.from_at < ").push_bind(to).push(" AND r.to_at > ").push_bind(from);
    query.push(" ORDER BY b.report DESC LIMIT ").push_bind(limit);
    rows(view, query).await
}

async fn one(view: &mut Link<'_>, id: Uuid) -> Result<Option<ReportRow>, StoreError> {
    let mut query = sql(COLUMNS);
    query.push("WHERE r.id = ").push_bind(id);
    Ok(rows(view, query).await?.pop())
}

async fn rows(view: &mut Link<'_>, query: crate::sql::Statement) -> Result<Vec<ReportRow>, StoreError> {
    query.all(view).await.map_err(database(READ))?.iter().map(row).collect()
}

fn row(row: &Row) -> Result<ReportRow, StoreError> {
    Ok(ReportRow {
        id: row.get("id")?,
        kind: row.get("kind")?,
        path: row.get("path")?,
        subject: row.get("subject")?,
        shift: row.get("shift")?,
        from: row.get("from_at")?,
        to: row.get("to_at")?,
        made_at: row.get("made_at")?,
        by: row.get("by_id")?,
        schedule: row.get("schedule")?,
        replaces: row.get("replaces")?,
        replaced_by: row.get("replaced_by")?,
        size: row.get("size")?,
    })
}
