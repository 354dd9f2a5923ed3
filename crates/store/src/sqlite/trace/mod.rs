//! Lots, units and containers in SQLite.
//!
//! Who writes is alone ([`Store::write`]), so a rule that was looked at in a transaction still holds when it commits.

mod circle;
mod fit;
mod reach;
mod read;
mod row;
mod words;
mod write;

use super::Store;
use super::outbox::{applied, enqueue, set_applied};
use crate::error::{StoreError, database};
use crate::trace::{
    AsOf, CertificateBrief, Closure, ClosureWish, Finding, Item, ItemFilter, ItemRef, Move, PassAt, READER, Recall,
    Report, STEPS_MAX, StateSaid, Step, StoredCertificate, TraceRefusal, TraceRepository, Wrong,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use andon_model::log::{Lane, Seq};
use async_trait::async_trait;
use uuid::Uuid;
use write::Writing;

#[async_trait]
impl TraceRepository for Store {
    async fn trace_apply(&self, steps: Vec<Step>, upto: Option<Seq>) -> Result<Report, StoreError> {
        refuse_many(&steps)?;
        self.write(move |tx| {
            Box::pin(async move {
                if let Some(upto) = upto
                    && upto <= applied(tx, READER, Lane::Samples).await?
                {
                    return Ok(Report { repeated: true, ..Report::default() });
                }
                let mut writing = Writing::new(tx);
                for (place, step) in steps.into_iter().enumerate() {
                    if let Err(refusal) = writing.step(&step).await? {
                        writing.refused(place, &step, refusal).await?;
                    }
                }
                let report = writing.report;
                if let Some(upto) = upto {
                    set_applied(tx, READER, Lane::Samples, upto).await?;
                }
                Ok(report)
            })
        })
        .await
    }

    async fn trace_change(&self, key: Uuid, steps: Vec<Step>, event: Event) -> Result<Report, StoreError> {
        refuse_many(&steps)?;
        self.write(move |tx| {
            Box::pin(async move {
                let done = sqlx::query(
                    "INSERT INTO trace_change (key, event, at) VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
                )
                .bind(key.as_bytes().to_vec())
                .bind(event.id.as_bytes().to_vec())
                .bind(event.at.micros())
                .execute(&mut *tx)
                .await
                .map_err(database("record a change of lots and units"))?;
                if done.rows_affected() == 0 {
                    return Ok(Report { repeated: true, ..Report::default() });
                }
                let mut writing = Writing::new(tx);
                for step in &steps {
                    writing.step(step).await?.map_err(|refusal| StoreError::Refused(Box::new(refusal)))?;
                }
                let report = writing.report;
                if report.changed > 0 {
                    enqueue(tx, &event).await?;
                }
                Ok(report)
            })
        })
        .await
    }

    async fn trace_item(&self, item: ItemRef) -> Result<Option<Item>, StoreError> {
        self.one_item(&item).await
    }

    async fn trace_items(&self, filter: ItemFilter) -> Result<Vec<Item>, StoreError> {
        self.items(filter).await
    }

    async fn trace_closure(&self, wish: ClosureWish) -> Result<Option<Closure>, StoreError> {
        self.closure(wish).await
    }

    async fn trace_recall(&self, item: ItemRef, as_of: AsOf) -> Result<Option<Recall>, StoreError> {
        self.recall(item, as_of).await
    }

    async fn trace_moves(&self, item: Uuid, after: Option<Timestamp>) -> Result<Vec<Move>, StoreError> {
        self.moves(item, after).await
    }

    async fn trace_stock(&self, item: Uuid) -> Result<Vec<(String, i64)>, StoreError> {
        self.stock(item).await
    }

    async fn trace_stock_in(&self, place: String, after: Option<Uuid>) -> Result<Vec<(Item, i64)>, StoreError> {
        self.stock_in(place, after).await
    }

    async fn trace_states(&self, item: Uuid) -> Result<Vec<StateSaid>, StoreError> {
        self.states(item).await
    }

    async fn trace_passes(&self, unit: Uuid) -> Result<Vec<PassAt>, StoreError> {
        self.passes(unit).await
    }

    async fn trace_passes_at(
        &self,
        equipment: String,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<PassAt>, StoreError> {
        self.passes_at(equipment, from, to).await
    }

    async fn trace_certificate(&self, number: String) -> Result<Option<StoredCertificate>, StoreError> {
        self.certificate(number).await
    }

    async fn trace_certificates(&self, unit: Uuid) -> Result<Vec<CertificateBrief>, StoreError> {
        self.certificates(unit).await
    }

    async fn trace_findings(&self, before: Option<i64>, limit: u32) -> Result<Vec<Finding>, StoreError> {
        self.findings(before, limit).await
    }

    async fn trace_check(&self) -> Result<Vec<Wrong>, StoreError> {
        self.wrong_sums().await
    }
}

fn refuse_many(steps: &[Step]) -> Result<(), StoreError> {
    if steps.len() > STEPS_MAX {
        let refusal = TraceRefusal::Many { steps: steps.len(), max: STEPS_MAX };
        return Err(StoreError::Refused(Box::new(refusal)));
    }
    Ok(())
}
