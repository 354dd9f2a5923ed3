//! What was heard from an ERP, in SQLite.

use super::{Store, to_i64};
use crate::erp::{ErpRepository, HeardMessage, LATEST_FOR, MESSAGES_FOR, MOST_ANSWER, MOST_BYTES, MOST_MESSAGES};
use crate::error::{StoreError, database};
use andon_model::Timestamp;
use async_trait::async_trait;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, SqliteConnection};
use std::collections::HashMap;

/// So many things are asked for with one statement.
const ASKED_AT_A_TIME: usize = 500;

fn digest(bytes: &[u8]) -> Result<[u8; 32], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Damaged {
        what: "message of an ERP",
        reason: format!("a digest of {} bytes", bytes.len()),
    })
}

#[async_trait]
impl ErpRepository for Store {
    async fn erp_message(&self, key: [u8; 32]) -> Result<Option<HeardMessage>, StoreError> {
        let row: Option<(Vec<u8>, String)> = sqlx::query_as("SELECT content, answer FROM erp_message WHERE key = ?")
            .bind(key.to_vec())
            .fetch_optional(self.readers())
            .await
            .map_err(database("look a message of an ERP up"))?;
        let Some((content, answer)) = row else { return Ok(None) };
        Ok(Some(HeardMessage { key, content: digest(&content)?, answer }))
    }

    async fn erp_latest(&self, subjects: Vec<String>) -> Result<HashMap<String, Timestamp>, StoreError> {
        let mut latest = HashMap::with_capacity(subjects.len());
        for subjects in subjects.chunks(ASKED_AT_A_TIME) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT subject, created FROM erp_latest WHERE subject IN (");
            let mut list = query.separated(", ");
            for subject in subjects {
                list.push_bind(subject.clone());
            }
            query.push(")");
            let rows: Vec<(String, i64)> = query
                .build_query_as()
                .fetch_all(self.readers())
                .await
                .map_err(database("look up how new the last message of an ERP was"))?;
            latest.extend(rows.into_iter().map(|(subject, created)| (subject, Timestamp::from_micros(created))));
        }
        Ok(latest)
    }

    async fn erp_remember(
        &self,
        message: Option<HeardMessage>,
        latest: Vec<(String, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |tx| {
            Box::pin(async move {
                for (subject, created) in latest {
                    sqlx::query(
                        "INSERT INTO erp_latest (subject, created, at) VALUES (?, ?, ?) ON CONFLICT (subject) DO UPDATE \
                         SET created = max(created, excluded.created), at = excluded.at",
                    )
                    .bind(subject)
                    .bind(created.micros())
                    .bind(now.micros())
                    .execute(&mut *tx)
                    .await
                    .map_err(database("remember how new a message of an ERP is"))?;
                }
                if let Some(message) = message.filter(|message| message.answer.len() <= MOST_ANSWER) {
                    remember(tx, message, now).await?;
                }
                forget(tx, now, MOST_MESSAGES, MOST_BYTES).await
            })
        })
        .await
    }
}

async fn remember(tx: &mut SqliteConnection, message: HeardMessage, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO erp_message (number, key, content, at, bytes, answer) \
         SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? FROM erp_message WHERE true ON CONFLICT (key) DO NOTHING",
    )
    .bind(message.key.to_vec())
    .bind(message.content.to_vec())
    .bind(now.micros())
    .bind(to_i64(message.answer.len() as u64))
    .bind(message.answer)
    .execute(tx)
    .await
    .map_err(database("remember a message of an ERP"))?;
    Ok(())
}

/// Forgets what is old or beyond the bounds, the oldest first.
async fn forget(tx: &mut SqliteConnection, now: Timestamp, most: u32, bytes: u64) -> Result<(), StoreError> {
    sqlx::query(
        "DELETE FROM erp_message WHERE at < ? OR number IN (SELECT number FROM (SELECT number, \
         row_number() OVER (ORDER BY number DESC) AS place, sum(bytes) OVER (ORDER BY number DESC) AS total FROM erp_message) \
         WHERE place > ? OR total > ?)",
    )
    .bind(now.minus(MESSAGES_FOR).micros())
    .bind(i64::from(most))
    .bind(to_i64(bytes))
    .execute(&mut *tx)
    .await
    .map_err(database("forget messages of an ERP"))?;
    sqlx::query("DELETE FROM erp_latest WHERE at < ?")
        .bind(now.minus(LATEST_FOR).micros())
        .execute(tx)
        .await
        .map_err(database("forget how new messages of an ERP were"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::SystemClock;
    use std::sync::Arc;

    fn heard(number: u8, answer: &str) -> HeardMessage {
        HeardMessage { key: [number; 32], content: [7; 32], answer: answer.to_owned() }
    }

    #[tokio::test]
    async fn what_was_heard_is_known_within_bounds_and_never_becomes_older() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("records.sqlite"), Arc::new(SystemClock)).await.unwrap();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let order = |created| vec![("order:4711".to_owned(), at(created))];
        store.erp_remember(Some(heard(1, "<a/>")), order(50), at(100)).await.unwrap();
        store.erp_remember(None, order(40), at(101)).await.unwrap();
        let latest = store.erp_latest(vec!["order:4711".to_owned(), "order:4712".to_owned()]).await.unwrap();
        assert_eq!(latest, HashMap::from([("order:4711".to_owned(), at(50))]));
        // The first answer stands.
        store.erp_remember(Some(heard(1, "<b/>")), Vec::new(), at(102)).await.unwrap();
        assert_eq!(store.erp_message([1; 32]).await.unwrap().unwrap().answer, "<a/>");
        // Too long an answer, and what is older than ninety days, are not remembered.
        store.erp_remember(Some(heard(2, &"x".repeat(MOST_ANSWER + 1))), Vec::new(), at(103)).await.unwrap();
        assert_eq!(store.erp_message([2; 32]).await.unwrap(), None);
        store.erp_remember(Some(heard(3, "")), Vec::new(), at(104).plus(MESSAGES_FOR)).await.unwrap();
        assert_eq!(store.erp_message([1; 32]).await.unwrap(), None);
        assert!(store.erp_message([3; 32]).await.unwrap().is_some());
        // Beyond a number, and beyond a size, the oldest go.
        for (number, answer) in [(4, "xx"), (5, "xx"), (6, "xx")] {
            store.erp_remember(Some(heard(number, answer)), Vec::new(), at(105).plus(MESSAGES_FOR)).await.unwrap();
        }
        let now = at(106).plus(MESSAGES_FOR);
        store.write(move |tx| Box::pin(async move { forget(tx, now, 3, 1000).await })).await.unwrap();
        assert_eq!(store.erp_message([3; 32]).await.unwrap(), None);
        store.write(move |tx| Box::pin(async move { forget(tx, now, 3, 5).await })).await.unwrap();
        assert_eq!(store.erp_message([4; 32]).await.unwrap(), None);
        assert!(store.erp_message([5; 32]).await.unwrap().is_some());
    }
}
