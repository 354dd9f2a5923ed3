//! Events in the transaction that caused them, and how far readers of the log have come.

use super::to_json;
use crate::error::{StoreError, database};
use crate::relay::READER;
use crate::repository::OutboxRepository;
use crate::sql::{Link, sql};
use crate::store::Store;
use andon_model::event::Event;
use andon_model::log::{Lane, Seq};
use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

/// The largest event; far below the log's largest frame.
pub(crate) const EVENT_LIMIT: usize = 1 << 20;
/// So many events are taken out with one statement, for each is a way to the database and back.
const AT_A_TIME: usize = 64;
/// How many events may wait before changes are refused.
const WAITING_LIMIT: i64 = 100_000;

#[async_trait]
impl OutboxRepository for Store {
    async fn outbox_pending(&self, limit: u32) -> Result<Vec<Event>, StoreError> {
        let doing = "read the outbox";
        self.look(doing, move |mut tx| {
            Box::pin(async move {
                let rows = sql("SELECT event FROM outbox ORDER BY position LIMIT $1").bind(limit).all(&mut tx).await;
                rows.map_err(database(doing))?.iter().map(|row| row.json("event")).collect()
            })
        })
        .await
    }

    async fn outbox_waits(&self, event: Uuid) -> Result<bool, StoreError> {
        let doing = "read the outbox";
        self.look(doing, move |mut tx| {
            Box::pin(async move {
                let found = sql("SELECT position FROM outbox WHERE id = $1").bind(event).optional(&mut tx).await;
                Ok(found.map_err(database(doing))?.is_some())
            })
        })
        .await
    }

    async fn outbox_done(&self, events: Vec<Uuid>, upto: Seq) -> Result<(), StoreError> {
        self.write_past_the_line(move |mut tx| {
            Box::pin(async move {
                for events in events.chunks(AT_A_TIME) {
                    let mut statement = sql("DELETE FROM outbox WHERE id IN ");
                    statement.push_list(events.iter().copied());
                    let statement = if events.len() == AT_A_TIME { statement } else { statement.once() };
                    statement.execute(&mut tx).await.map_err(database("take events out of the outbox"))?;
                }
                set_applied(&mut tx, READER, Lane::Records, upto).await
            })
        })
        .await
    }

    fn outbox_changes(&self) -> watch::Receiver<u64> {
        self.changes()
    }

    async fn applied(&self, reader: &str, lane: Lane) -> Result<Seq, StoreError> {
        if let Some(reason) = self.failure() {
            return Err(StoreError::Failed { reason: reason.to_owned() });
        }
        let reader = reader.to_owned();
        self.look("read a reader's offset", move |mut tx| {
            Box::pin(async move { applied(&mut tx, &reader, lane).await })
        })
        .await
    }
}

/// Puts `event` into the outbox of this transaction.
pub(super) async fn enqueue(tx: &mut Link<'_>, event: &Event) -> Result<(), StoreError> {
    let text = to_json(event, "event")?;
    if text.len() > EVENT_LIMIT {
        return Err(StoreError::EventTooLarge { bytes: text.len(), limit: EVENT_LIMIT });
    }
    // Positions only grow and rows leave in order, so the span is the count, or a little more.
    let waiting: i64 = sql("SELECT coalesce(max(position) - min(position) + 1, 0) AS waiting FROM outbox")
        .one(tx)
        .await
        .map_err(database("read the outbox"))?
        .get("waiting")?;
    if waiting >= WAITING_LIMIT {
        return Err(StoreError::OutboxFull { waiting });
    }
    sql("INSERT INTO outbox (id, event, created) VALUES ($1, $2, $3)")
        .bind(event.id)
        .bind(text)
        .bind(event.at)
        .execute(tx)
        .await
        .map_err(database("put an event into the outbox"))?;
    Ok(())
}

pub(super) async fn applied(tx: &mut Link<'_>, reader: &str, lane: Lane) -> Result<Seq, StoreError> {
    let row =
        sql("SELECT seq FROM applied WHERE reader = $1 AND lane = $2").bind(reader).bind(lane.name()).optional(tx);
    let row = row.await.map_err(database("read a reader's offset"))?;
    Ok(Seq(row.map_or(Ok(0), |row| row.get("seq"))?))
}

pub(super) async fn set_applied(tx: &mut Link<'_>, reader: &str, lane: Lane, seq: Seq) -> Result<(), StoreError> {
    sql(
        "INSERT INTO applied (reader, lane, seq) VALUES ($1, $2, $3) ON CONFLICT (reader, lane) DO UPDATE SET seq = excluded.seq",
    )
    .bind(reader)
    .bind(lane.name())
    .bind(seq.0)
    .execute(tx)
    .await
    .map_err(database("move a reader's offset"))?;
    Ok(())
}
