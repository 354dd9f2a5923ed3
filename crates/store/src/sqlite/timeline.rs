//! The events of the records lane in a table that can be searched.

use super::outbox::{applied, set_applied};
use super::{Store, from_json, kind_word, to_i64, to_json, to_u64};
use crate::error::{StoreError, database};
use crate::repository::{TimelineFilter, TimelineRepository};
use crate::timeline::READER;
use andon_model::Timestamp;
use andon_model::event::{Event, SealedEvent, What};
use andon_model::log::{Gap, Lane, Seq};
use async_trait::async_trait;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, SqliteConnection};

/// The longest page of a query.
const PAGE_LIMIT: u32 = 1_000;

#[async_trait]
impl TimelineRepository for Store {
    async fn timeline_apply(&self, events: Vec<SealedEvent>, gaps: Vec<Gap>, upto: Seq) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                let seen = applied(tx, READER, Lane::Records).await?;
                if upto <= seen {
                    return Ok(());
                }
                let new: Vec<_> = events.iter().filter(|event| event.seq > seen && event.seq <= upto).collect();
                for events in new.chunks(AT_A_TIME) {
                    insert(tx, events).await?;
                }
                for gap in gaps {
                    insert_gap(tx, gap).await?;
                }
                set_applied(tx, READER, Lane::Records, upto).await
            })
        })
        .await
    }

    async fn timeline_query(&self, filter: TimelineFilter) -> Result<Vec<SealedEvent>, StoreError> {
        let mut query = select(&filter);
        let rows: Vec<(i64, String)> =
            query.build_query_as().fetch_all(self.readers()).await.map_err(database("search the timeline"))?;
        rows.into_iter()
            .map(|(seq, text)| {
                let mut sealed: SealedEvent = from_json(&text, "event of the timeline")?;
                sealed.seq = Seq(to_u64(seq));
                Ok(sealed)
            })
            .collect()
    }

    async fn timeline_gaps(&self) -> Result<Vec<Gap>, StoreError> {
        let rows: Vec<(i64, i64, String)> =
            sqlx::query_as("SELECT from_seq, to_seq, reason FROM timeline_gap ORDER BY from_seq LIMIT 10000")
                .fetch_all(self.readers())
                .await
                .map_err(database("read the gaps of the timeline"))?;
        let gap = |(from, to, reason)| Gap { from: Seq(to_u64(from)), to: Seq(to_u64(to)), reason };
        Ok(rows.into_iter().map(gap).collect())
    }

    async fn timeline_clear(&self) -> Result<(), StoreError> {
        self.write(|tx| {
            Box::pin(async move {
                for sql in ["DELETE FROM timeline", "DELETE FROM timeline_gap"] {
                    sqlx::query(sql).execute(&mut *tx).await.map_err(database("empty the timeline"))?;
                }
                set_applied(tx, READER, Lane::Records, Seq(0)).await
            })
        })
        .await
    }
}

/// So many events are written with one statement, for each is a way to the database's thread and back.
const AT_A_TIME: usize = 64;

async fn insert(tx: &mut SqliteConnection, events: &[&SealedEvent]) -> Result<(), StoreError> {
    let texts = events.iter().map(|sealed| to_json(sealed, "event")).collect::<Result<Vec<_>, _>>()?;
    let mut statement = QueryBuilder::<Sqlite>::new(
        "INSERT INTO timeline (seq, id, at, about, kind, path, by_id, by_kind, severity, json) ",
    );
    statement.push_values(events.iter().zip(texts), |mut row, (sealed, text)| {
        let event = &sealed.event;
        row.push_bind(to_i64(sealed.seq.0))
            .push_bind(event.id.as_bytes().to_vec())
            .push_bind(event.at.micros())
            .push_bind(about(event).map(|about| about.micros()))
            .push_bind(event.what.kind())
            .push_bind(event.path.clone())
            .push_bind(event.by.id.as_bytes().to_vec())
            .push_bind(kind_word(event.by.kind))
            // Not read: rows of older versions have another scale there. Readers ask the event itself.
            .push_bind(event.what.severity())
            .push_bind(text);
    });
    // The id is unique: an event that stands in the log twice is shown once.
    statement.push(" ON CONFLICT DO NOTHING");
    // Of the sizes that come again only: a single one, and as many as there may be.
    let again = events.len() == 1 || events.len() == AT_A_TIME;
    statement.build().persistent(again).execute(tx).await.map_err(database("write the timeline"))?;
    Ok(())
}

/// The time that a note is about; of all other events their own time counts.
fn about(event: &Event) -> Option<Timestamp> {
    event.source_at.filter(|_| matches!(event.what, What::Note(_)))
}

async fn insert_gap(tx: &mut SqliteConnection, gap: Gap) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO timeline_gap (from_seq, to_seq, reason) VALUES (?, ?, ?) \
         ON CONFLICT (from_seq) DO UPDATE SET to_seq = max(to_seq, excluded.to_seq)",
    )
    .bind(to_i64(gap.from.0))
    .bind(to_i64(gap.to.0))
    .bind(gap.reason)
    .execute(tx)
    .await
    .map_err(database("write a gap of the timeline"))?;
    Ok(())
}

fn select(filter: &TimelineFilter) -> QueryBuilder<Sqlite> {
    let mut query = QueryBuilder::new("SELECT seq, json FROM timeline WHERE seq < ");
    query.push_bind(filter.before.map_or(i64::MAX, |seq| to_i64(seq.0)));
    if filter.from.is_some() || filter.to.is_some() {
        let from = filter.from.map_or(i64::MIN, |from| from.micros());
        let to = filter.to.map_or(i64::MAX, |to| to.micros());
        query.push(" AND ((at >= ").push_bind(from).push(" AND at < ").push_bind(to);
        query.push(") OR (about >= ").push_bind(from).push(" AND about < ").push_bind(to).push("))");
    }
    if !filter.kinds.is_empty() {
        query.push(" AND kind IN (");
        let mut kinds = query.separated(", ");
        for kind in &filter.kinds {
            kinds.push_bind(kind.clone());
        }
        query.push(")");
    }
    push_branches(&mut query, &filter.branches);
    if let Some(path) = &filter.path {
        push_branches(&mut query, std::slice::from_ref(path));
    }
    query.push(" ORDER BY seq DESC LIMIT ").push_bind(filter.limit.clamp(1, PAGE_LIMIT));
    query
}

/// On or below one of the branches; no branch at all: nothing.
fn push_branches(query: &mut QueryBuilder<Sqlite>, branches: &[String]) {
    if branches.iter().any(String::is_empty) {
        return;
    }
    query.push(" AND (0");
    for branch in branches {
        query.push(" OR path = ").push_bind(branch.clone());
        // '0' is the character after '/': the range holds exactly the paths below the branch.
        query.push(" OR (path > ").push_bind(format!("{branch}/"));
        query.push(" AND path < ").push_bind(format!("{branch}0")).push(")");
    }
    query.push(")");
}
