//! What was heard from an ERP.

use crate::erp::{ErpRepository, HeardMessage, LATEST_FOR, MESSAGES_FOR, MOST_ANSWER, MOST_BYTES, MOST_MESSAGES};
use crate::error::StoreError;
use crate::sql::{Link, sql};
use crate::store::Store;
use andon_model::Timestamp;
use async_trait::async_trait;
use std::collections::{BTreeMap, HashMap};

/// So many things are asked for, or written, with one statement.
const AT_A_TIME: usize = 500;

#[async_trait]
impl ErpRepository for Store {
    async fn erp_message(&self, key: [u8; 32]) -> Result<Option<HeardMessage>, StoreError> {
        let doing = "look a message of an ERP up";
        let mut reading = self.reader(doing).await?;
        let question = sql("SELECT content, answer FROM erp_message WHERE key = $1").bind(key);
        let found: Option<([u8; 32], String)> = question.first(&mut reading.link(), doing).await?;
        Ok(found.map(|(content, answer)| HeardMessage { key, content, answer }))
    }

    async fn erp_latest(&self, subjects: Vec<String>) -> Result<HashMap<String, Timestamp>, StoreError> {
        let doing = "look up how new the last message of an ERP was";
        let mut reading = self.reader(doing).await?;
        let mut latest = HashMap::with_capacity(subjects.len());
        for subjects in subjects.chunks(AT_A_TIME) {
            let mut query = sql("SELECT subject, created FROM erp_latest WHERE subject IN ");
            query.push_list(subjects.iter().map(String::as_str));
            let rows: Vec<(String, Timestamp)> = query.rows(&mut reading.link(), doing).await?;
            latest.extend(rows);
        }
        Ok(latest)
    }

    async fn erp_remember(
        &self,
        message: Option<HeardMessage>,
        latest: Vec<(String, Timestamp)>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                remember_latest(&mut tx, latest, now).await?;
                if let Some(message) = message.filter(|message| message.answer.len() <= MOST_ANSWER) {
                    remember(&mut tx, message, now).await?;
                }
                forget(&mut tx, now).await
            })
        })
        .await
    }
}

async fn remember_latest(
    tx: &mut Link<'_>,
    latest: Vec<(String, Timestamp)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    // PostgreSQL takes no row twice in one statement.
    let mut newest = BTreeMap::new();
    for (subject, created) in latest {
        let known = newest.entry(subject).or_insert(created);
        *known = created.max(*known);
    }
    let rows: Vec<_> =
        newest.into_iter().map(|(subject, created)| vec![subject.into(), created.into(), now.into()]).collect();
    for rows in rows.chunks(AT_A_TIME) {
        let mut statement = sql("INSERT INTO erp_latest (subject, created, at) ");
        statement.push_rows(rows.iter().cloned());
        statement.push(
            " ON CONFLICT (subject) DO UPDATE SET created = CASE WHEN excluded.created > erp_latest.created \
             THEN excluded.created ELSE erp_latest.created END, at = excluded.at",
        );
        statement.run(tx, "remember how new a message of an ERP is").await?;
    }
    Ok(())
}

async fn remember(tx: &mut Link<'_>, message: HeardMessage, now: Timestamp) -> Result<(), StoreError> {
    sql("INSERT INTO erp_message (number, key, content, at, bytes, answer) \
         SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5 FROM erp_message WHERE 1 = 1 ON CONFLICT (key) DO NOTHING")
    .bind(message.key)
    .bind(message.content)
    .bind(now)
    .bind(message.answer.len())
    .bind(message.answer)
    .run(tx, "remember a message of an ERP")
    .await?;
    Ok(())
}

/// Forgets what is old or beyond the bounds, the oldest first.
async fn forget(tx: &mut Link<'_>, now: Timestamp) -> Result<(), StoreError> {
    sql("DELETE FROM erp_message WHERE at < $1 OR number IN (SELECT number FROM (SELECT number, \
         row_number() OVER (ORDER BY number DESC) AS place, sum(bytes) OVER (ORDER BY number DESC) AS total FROM erp_message) \
         AS counted WHERE place > $2 OR total > $3)")
    .bind(now.minus(MESSAGES_FOR))
    .bind(MOST_MESSAGES)
    .bind(MOST_BYTES)
    .run(tx, "forget messages of an ERP")
    .await?;
    sql("DELETE FROM erp_latest WHERE at < $1")
        .bind(now.minus(LATEST_FOR))
        .run(tx, "forget how new messages of an ERP were")
        .await?;
    Ok(())
}
