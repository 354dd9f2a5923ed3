//! What went into the units that passed a station for a job.

use super::words::number_of;
use crate::error::{StoreError, database};
use crate::sqlite::Store;
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
        let mut view = self.readers().acquire().await.map_err(database("look up what a job used"))?;
        let (Some(job), Some(station)) =
            (number_of(&mut view, &job.to_string()).await?, number_of(&mut view, &equipment).await?)
        else {
            return Ok(Vec::new());
        };
        let rows: Vec<(String, String, i64)> = sqlx::query_as(
            "SELECT word.text, item.number, sum(edge.quantity) FROM \
             (SELECT DISTINCT unit FROM trace_pass WHERE equipment = ? AND at >= ? AND at <= ? AND job = ?) AS pass \
             CROSS JOIN trace_edge AS edge ON edge.to_key = pass.unit AND edge.job = ? AND edge.adds = 0 AND edge.given_back = 0 \
             JOIN trace_item AS item ON item.key = edge.from_key JOIN trace_word AS word ON word.number = item.material \
             GROUP BY item.key ORDER BY word.text, item.number LIMIT ?",
        )
        .bind(station)
        .bind(from.micros())
        .bind(to.micros())
        .bind(job)
        .bind(job)
        .bind(i64::from(PAGE_MAX))
        .fetch_all(&mut *view)
        .await
        .map_err(database("look up what a job used"))?;
        Ok(rows.into_iter().map(|(material, number, quantity)| JobUse { material, number, quantity }).collect())
    }
}
