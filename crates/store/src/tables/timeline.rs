//! The events of the records lane in a table that can be searched.

use super::outbox::{applied, set_applied};
use super::{kind_word, to_json};
use crate::error::{StoreError, database};
use crate::repository::{TimelineFilter, TimelineRepository};
use crate::sql::{Link, Row, Statement, Value, sql};
use crate::store::Store;
use crate::timeline::READER;
use andon_model::Timestamp;
use andon_model::event::{Event, SealedEvent, What};
use andon_model::log::{Gap, Lane, Seq};
use async_trait::async_trait;

/// The longest page of a query.
const PAGE_LIMIT: u32 = 1_000;

#[async_trait]
impl TimelineRepository for Store {
    async fn timeline_apply(&self, events: Vec<SealedEvent>, gaps: Vec<Gap>, upto: Seq) -> Result<(), StoreError> {
        self.write_past_the_line(move |mut tx| {
            Box::pin(async move {
                let seen = applied(&mut tx, READER, Lane::Records).await?;
                if upto <= seen {
                    return Ok(());
                }
                let new: Vec<_> = events.iter().filter(|event| event.seq > seen && event.seq <= upto).collect();
                for events in new.chunks(AT_A_TIME) {
                    insert(&mut tx, events).await?;
                }
                for gap in gaps {
                    insert_gap(&mut tx, gap).await?;
                }
                set_applied(&mut tx, READER, Lane::Records, upto).await
            })
        })
        .await
    }

    async fn timeline_query(&self, filter: TimelineFilter) -> Result<Vec<SealedEvent>, StoreError> {
        let doing = "search the timeline";
        let mut reading = self.reader(doing).await?;
        let rows = select(&filter).all(&mut reading.link()).await.map_err(database(doing))?;
        rows.iter()
            .map(|row| {
                let mut sealed: SealedEvent = row.json("json")?;
                sealed.seq = Seq(row.get("seq")?);
                Ok(sealed)
            })
            .collect()
    }

    async fn timeline_gaps(&self) -> Result<Vec<Gap>, StoreError> {
        let doing = "read the gaps of the timeline";
        let mut reading = self.reader(doing).await?;
        let question = sql("SELECT from_seq, to_seq, reason FROM timeline_gap ORDER BY from_seq LIMIT 10000");
        let rows = question.all(&mut reading.link()).await.map_err(database(doing))?;
        let gap = |row: &Row| {
            Ok(Gap { from: Seq(row.get("from_seq")?), to: Seq(row.get("to_seq")?), reason: row.get("reason")? })
        };
        rows.iter().map(gap).collect()
    }

    async fn timeline_clear(&self) -> Result<(), StoreError> {
        // In pieces: the whole may be millions of rows, and everybody who writes waits. Until the last is gone it counts as beyond every
        // log, so that one that is broken off begins again.
        self.write(|mut tx| Box::pin(async move { set_applied(&mut tx, READER, Lane::Records, Seq(u64::MAX)).await }))
            .await?;
        for table in [
            "DELETE FROM timeline WHERE seq IN (SELECT t.seq FROM timeline t ORDER BY t.seq LIMIT $1)",
            "DELETE FROM timeline_gap WHERE from_seq IN (SELECT t.from_seq FROM timeline_gap t ORDER BY t.from_seq LIMIT $1)",
        ] {
            let piece = move || {
                self.write(move |mut tx| {
                    Box::pin(async move { sql(table).bind(CLEARED_AT_A_TIME).run(&mut tx, "empty the timeline").await })
                })
            };
            while piece().await? > 0 {}
        }
        self.write(|mut tx| Box::pin(async move { set_applied(&mut tx, READER, Lane::Records, Seq(0)).await })).await
    }
}

/// So many rows go with one change when the timeline is emptied.
const CLEARED_AT_A_TIME: u32 = 10_000;
/// So many events are written with one statement, for each is a way to the database's thread and back.
const AT_A_TIME: usize = 64;

async fn insert(tx: &mut Link<'_>, events: &[&SealedEvent]) -> Result<(), StoreError> {
    let texts = events.iter().map(|sealed| to_json(sealed, "event")).collect::<Result<Vec<_>, _>>()?;
    let mut statement = sql("INSERT INTO timeline (seq, id, at, about, kind, path, by_id, by_kind, severity, json) ");
    statement.push_rows(events.iter().zip(texts).map(|(sealed, text)| {
        let event = &sealed.event;
        vec![
            sealed.seq.0.into(),
            event.id.into(),
            event.at.into(),
            about(event).into(),
            event.what.kind().into(),
            // Looked up by it only. PostgreSQL keeps no zero character in a text, and an event of that kind must not stop all others.
            event.path.replace('\0', "\u{FFFD}").into(),
            event.by.id.into(),
            kind_word(event.by.kind).into(),
            // Not read: rows of older versions have another scale there. Readers ask the event itself.
            event.what.severity().into(),
            Value::from(text),
        ]
    }));
    // The id is unique: an event that stands in the log twice is shown once.
    statement.push(" ON CONFLICT DO NOTHING");
    // Of the sizes that come again only: a single one, and as many as there may be.
    let again = events.len() == 1 || events.len() == AT_A_TIME;
    let statement = if again { statement } else { statement.once() };
    statement.execute(tx).await.map_err(database("write the timeline"))?;
    Ok(())
}

/// The time that a note is about; of all other events their own time counts.
fn about(event: &Event) -> Option<Timestamp> {
    event.source_at.filter(|_| matches!(event.what, What::Note(_)))
}

async fn insert_gap(tx: &mut Link<'_>, gap: Gap) -> Result<(), StoreError> {
    sql("INSERT INTO timeline_gap (from_seq, to_seq, reason) VALUES ($1, $2, $3) \
         ON CONFLICT (from_seq) DO UPDATE SET to_seq = excluded.to_seq WHERE timeline_gap.to_seq < excluded.to_seq")
    .bind(gap.from.0)
    .bind(gap.to.0)
    .bind(gap.reason.replace('\0', "\u{FFFD}"))
    .execute(tx)
    .await
    .map_err(database("write a gap of the timeline"))?;
    Ok(())
}

fn select(filter: &TimelineFilter) -> Statement {
    let mut query = sql("SELECT seq, json FROM timeline WHERE seq < ");
    query.push_bind(filter.before.map_or(u64::MAX, |seq| seq.0));
    if filter.from.is_some() || filter.to.is_some() {
        let from = filter.from.map_or(i64::MIN, |from| from.micros());
        let to = filter.to.map_or(i64::MAX, |to| to.micros());
        query.push(" AND ((at >= ").push_bind(from).push(" AND at < ").push_bind(to);
        query.push(") OR (about >= ").push_bind(from).push(" AND about < ").push_bind(to).push("))");
    }
    if !filter.kinds.is_empty() {
        query.push(" AND kind IN ").push_list(filter.kinds.iter().map(String::as_str));
    }
    push_branches(&mut query, &filter.branches);
    if let Some(path) = &filter.path {
        push_branches(&mut query, std::slice::from_ref(path));
    }
    query.push(" ORDER BY seq DESC LIMIT ").push_bind(filter.limit.clamp(1, PAGE_LIMIT));
    query
}

/// On or below one of the branches; no branch at all: nothing.
fn push_branches(query: &mut Statement, branches: &[String]) {
    if branches.iter().any(String::is_empty) {
        return;
    }
    query.push(" AND (FALSE");
    for branch in branches {
        query.push(" OR path = ").push_bind(branch.as_str());
        // '0' is the character after '/': the range holds exactly the paths below the branch.
        query.push(" OR (path > ").push_bind(format!("{branch}/"));
        query.push(" AND path < ").push_bind(format!("{branch}0")).push(")");
    }
    query.push(")");
}
