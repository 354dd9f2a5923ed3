//! Events in the transaction that caused them, and how far readers of the log have come.

use super::{Store, from_json, to_i64, to_json, to_u64};
use crate::error::{StoreError, database};
use crate::relay::READER;
use crate::repository::OutboxRepository;
use andon_model::event::Event;
use andon_model::log::{Lane, Seq};
use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::sync::watch;
use uuid::Uuid;

/// The largest event; far below the log's largest frame.
pub(crate) const EVENT_LIMIT: usize = 1 << 20;
/// How many events may wait before changes are refused.
const WAITING_LIMIT: i64 = 100_000;

#[async_trait]
impl OutboxRepository for Store {
    async fn outbox_pending(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("SELECT event FROM outbox ORDER BY position LIMIT ?")
            .bind(limit)
            .fetch_all(self.readers())
            .await
            .map_err(database("read the outbox"))?;
        rows.iter().map(|(text,)| from_json(text, "event in the outbox")).collect()
    }

    async fn outbox_waits(&self, event: Uuid) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = sqlx::query_as("SELECT position FROM outbox WHERE id = ?")
            .bind(event.as_bytes().to_vec())
            .fetch_optional(self.readers())
            .await
            .map_err(database("read the outbox"))?;
        Ok(found.is_some())
    }

    async fn outbox_done(&self, events: Vec<Uuid>, upto: Seq) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for event in events {
                    sqlx::query("DELETE FROM outbox WHERE id = ?")
                        .bind(event.as_bytes().to_vec())
                        .execute(&mut *tx)
                        .await
                        .map_err(database("take an event out of the outbox"))?;
                }
                set_applied(tx, READER, Lane::Records, upto).await
            })
        })
        .await
    }

    fn outbox_changes(&self) -> watch::Receiver<u64> {
        self.inner.outbox_changes.subscribe()
    }

    async fn applied(&self, reader: &str, lane: Lane) -> Result<Seq, StoreError> {
        if let Some(reason) = self.failure() {
            return Err(StoreError::Failed { reason: reason.to_owned() });
        }
        let mut connection = self.readers().acquire().await.map_err(database("read a reader's offset"))?;
        applied(&mut connection, reader, lane).await
    }
}

/// Puts `event` into the outbox of this transaction.
pub(super) async fn enqueue(tx: &mut SqliteConnection, event: &Event) -> Result<(), StoreError> {
    let text = to_json(event, "event")?;
    if text.len() > EVENT_LIMIT {
        return Err(StoreError::EventTooLarge { bytes: text.len(), limit: EVENT_LIMIT });
    }
    // Positions only grow and rows leave in order, so the span is the count, or a little more.
    let waiting: i64 = sqlx::query_scalar("SELECT coalesce(max(position) - min(position) + 1, 0) FROM outbox")
        .fetch_one(&mut *tx)
        .await
        .map_err(database("read the outbox"))?;
    if waiting >= WAITING_LIMIT {
        return Err(StoreError::OutboxFull { waiting });
    }
    sqlx::query("INSERT INTO outbox (id, event, created) VALUES (?, ?, ?)")
        .bind(event.id.as_bytes().to_vec())
        .bind(text)
        .bind(event.at.micros())
        .execute(tx)
        .await
        .map_err(database("put an event into the outbox"))?;
    Ok(())
}

pub(super) async fn applied(tx: &mut SqliteConnection, reader: &str, lane: Lane) -> Result<Seq, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as("SELECT seq FROM applied WHERE reader = ? AND lane = ?")
        .bind(reader.to_owned())
        .bind(lane.name())
        .fetch_optional(tx)
        .await
        .map_err(database("read a reader's offset"))?;
    Ok(Seq(row.map_or(0, |(seq,)| to_u64(seq))))
}

pub(super) async fn set_applied(
    tx: &mut SqliteConnection,
    reader: &str,
    lane: Lane,
    seq: Seq,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO applied (reader, lane, seq) VALUES (?, ?, ?) ON CONFLICT (reader, lane) DO UPDATE SET seq = excluded.seq",
    )
    .bind(reader.to_owned())
    .bind(lane.name())
    .bind(to_i64(seq.0))
    .execute(tx)
    .await
    .map_err(database("move a reader's offset"))?;
    Ok(())
}
