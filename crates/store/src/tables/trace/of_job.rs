//! What went into the units that passed a station for a job, and the units that were made under a job.

use super::finish::certificate_state;
use super::row::{ASKED_AT_A_TIME, Row, find, items, kind_number, rows};
use super::words::number_of;
use crate::error::StoreError;
use crate::sql::sql;
use crate::store::Store;
use crate::trace::{CertificateBrief, Item, ItemKind, ItemRef, JobUse, PAGE_MAX, UnitOfJob};
use andon_model::Timestamp;
use std::collections::HashMap;
use uuid::Uuid;

impl Store {
    /// By the passes of the station over the job's time, which an index finds; a job as such is in none.
    pub(super) async fn used_for(
        &self,
        job: Uuid,
        equipment: String,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<JobUse>, StoreError> {
        let doing = "look up what a job used";
        let mut reading = self.reader(doing).await?;
        let view = &mut reading.link();
        let (Some(job), Some(station)) = (number_of(view, &job.to_string()).await?, number_of(view, &equipment).await?)
        else {
            return Ok(Vec::new());
        };
        let rows: Vec<(String, String, i64)> = sql(
            "SELECT word.text, item.number, CAST(sum(edge.quantity) AS BIGINT) FROM \
             (SELECT DISTINCT unit FROM trace_pass WHERE equipment = $1 AND at >= $2 AND at <= $3 AND job = $4) AS pass \
             CROSS JOIN trace_edge AS edge \
             JOIN trace_item AS item ON item.key = edge.from_key JOIN trace_word AS word ON word.number = item.material \
             WHERE edge.to_key = pass.unit AND edge.job = $4 AND edge.adds = 0 AND edge.given_back = 0 \
             GROUP BY item.key, word.text, item.number ORDER BY word.text, item.number LIMIT $5",
        )
        .bind(station)
        .bind(from)
        .bind(to)
        .bind(job)
        .bind(PAGE_MAX)
        .rows(view, doing)
        .await?;
        Ok(rows.into_iter().map(|(material, number, quantity)| JobUse { material, number, quantity }).collect())
    }
    /// Job by job, of each by an index in the order of the keys, and no more than the page may hold.
    pub(super) async fn units_of(
        &self,
        jobs: Vec<Uuid>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<UnitOfJob>, StoreError> {
        let doing = "look up the units of an order";
        let limit = limit.min(PAGE_MAX + 1);
        let mut reading = self.moment(doing).await?;
        let view = &mut reading.link();
        let before = match before {
            Some(before) => match find(view, &ItemRef::Id(before)).await? {
                Some(row) => row.key,
                None => return Ok(Vec::new()),
            },
            None => i64::MAX,
        };
        let mut keys: Vec<i64> = Vec::new();
        for job in jobs {
            let Some(job) = number_of(view, &job.to_string()).await? else { continue };
            let mut query = sql("SELECT key FROM trace_item WHERE job = ");
            query.push_bind(job).push(" AND +kind = ").push_bind(kind_number(ItemKind::Unit));
            query.push(" AND key < ").push_bind(before).push(" ORDER BY key DESC LIMIT ").push_bind(limit);
            keys.extend(query.rows::<i64>(view, doing).await?);
        }
        keys.sort_unstable_by(|a, b| b.cmp(a));
        keys.dedup();
        keys.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let mut found = rows(view, &keys).await?;
        found.sort_unstable_by_key(|row| std::cmp::Reverse(row.key));
        let (mut finished, mut certificates) = (HashMap::new(), HashMap::new());
        for keys in keys.chunks(ASKED_AT_A_TIME) {
            let mut query = sql("SELECT unit, at, state, why FROM trace_finished WHERE unit IN ");
            query.push_list(keys.iter().copied());
            let rows: Vec<(i64, Timestamp, i64, String)> = query.rows(view, doing).await?;
            finished.extend(rows.into_iter().map(|(unit, at, state, why)| (unit, (at, certificate_state(state, why)))));
            let mut query = sql(
                "SELECT c.unit, c.number, c.issued_at, c.sha256, c.key_id FROM trace_certificate c WHERE c.turn = \
                 (SELECT max(l.turn) FROM trace_certificate l WHERE l.unit = c.unit) AND c.unit IN ",
            );
            query.push_list(keys.iter().copied());
            let rows: Vec<(i64, String, Timestamp, [u8; 32], String)> = query.rows(view, doing).await?;
            certificates.extend(rows.into_iter().map(|(unit, number, issued_at, sha256, key_id)| {
                (unit, CertificateBrief { number, issued_at, sha256, key_id, superseded_by: None })
            }));
        }
        let items = items(view, &found).await?;
        let unit = |(row, item): (&Row, Item)| UnitOfJob {
            item,
            finished: finished.remove(&row.key),
            certificate: certificates.remove(&row.key),
        };
        Ok(found.iter().zip(items).map(unit).collect())
    }
}
