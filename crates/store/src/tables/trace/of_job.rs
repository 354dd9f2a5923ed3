//! What went into the units that passed a station for a job.

use super::words::number_of;
use crate::error::StoreError;
use crate::sql::sql;
use crate::store::Store;
use crate::trace::{JobUse, PAGE_MAX};
use andon_model::Timestamp;
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
}
