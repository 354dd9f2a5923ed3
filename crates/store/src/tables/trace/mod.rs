//! Lots, units and containers.
//!
//! Who writes is alone ([`Store::write`]), so a rule that was looked at in a transaction still holds when it commits.

mod circle;
mod finish;
mod fit;
mod of_job;
mod pack;
mod reach;
mod read;
mod row;
mod stock;
mod vessel;
mod vessel_read;
mod words;
mod write;

use super::outbox::{applied, enqueue, set_applied};
use crate::error::StoreError;
use crate::store::Store;
use crate::trace::{
    AsOf, CertificateBrief, Change, Closure, ClosureWish, Edge, Finding, Finished, Flowed, Identity, Item, ItemFilter,
    ItemRef, JobUse, LyingMaterial, Move, NewCertificate, Packed, PassAt, READER, Recall, Report, STEPS_MAX, StateSaid,
    Step, StoredCertificate, Told, TraceRefusal, TraceRepository, UnitOfJob, VesselContent, VesselLevel, Wrong,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use andon_model::log::Lane;
use async_trait::async_trait;
use uuid::Uuid;
use write::Writing;

#[async_trait]
impl TraceRepository for Store {
    async fn trace_apply(&self, told: Told) -> Result<Report, StoreError> {
        refuse_many(&told.steps)?;
        self.write(move |mut tx| {
            Box::pin(async move {
                if let Some(upto) = told.upto
                    && upto <= applied(&mut tx, READER, Lane::Samples).await?
                {
                    return Ok(Report { repeated: true, ..Report::default() });
                }
                let mut writing = Writing::new(&mut tx, told.tell);
                for (place, step) in told.steps.iter().enumerate() {
                    if let Err(refusal) = writing.step(place, step).await? {
                        writing.refused(step, refusal).await?;
                    }
                }
                let report = writing.report;
                for (equipment, heard) in told.stations {
                    finish::hear(&mut tx, equipment, heard).await?;
                }
                for event in &told.events {
                    enqueue(&mut tx, event).await?;
                }
                if let Some(upto) = told.upto {
                    set_applied(&mut tx, READER, Lane::Samples, upto).await?;
                }
                Ok(report)
            })
        })
        .await
    }

    async fn trace_change(&self, change: Change) -> Result<Report, StoreError> {
        refuse_many(&change.steps)?;
        self.write(move |mut tx| {
            Box::pin(async move {
                let Change { key, content, steps, event, tell } = change;
                if let Some(kept) = finish::changed(&mut tx, key).await? {
                    return match kept == content {
                        true => Ok(Report { repeated: true, ..Report::default() }),
                        false => Err(StoreError::Refused(Box::new(TraceRefusal::OtherChange))),
                    };
                }
                finish::note_change(&mut tx, key, content, &event).await?;
                let mut writing = Writing::new(&mut tx, tell);
                for (place, step) in steps.iter().enumerate() {
                    writing.step(place, step).await?.map_err(|refusal| StoreError::Refused(Box::new(refusal)))?;
                }
                let report = writing.report;
                if report.changed > 0 {
                    enqueue(&mut tx, &event).await?;
                } else if steps.iter().any(is_flow) {
                    // Whoever says that something flowed means that something is other than before.
                    return Err(StoreError::Refused(Box::new(TraceRefusal::Nothing)));
                }
                Ok(report)
            })
        })
        .await
    }

    async fn trace_stations(&self) -> Result<Vec<(String, String)>, StoreError> {
        self.stations().await
    }

    async fn trace_due(&self, until: Timestamp) -> Result<Vec<Finished>, StoreError> {
        self.due(until).await
    }

    async fn trace_finished(&self, unit: Uuid) -> Result<Option<Finished>, StoreError> {
        self.finished(unit).await
    }

    async fn trace_certify(&self, certificate: NewCertificate, anew: bool, event: Event) -> Result<Report, StoreError> {
        self.certify(certificate, anew, event).await
    }

    async fn trace_not_certified(&self, unit: Uuid, why: String, event: Event) -> Result<(), StoreError> {
        self.not_certified(unit, why, event).await
    }

    async fn trace_identify(&self, unit: Uuid, identity: Identity, event: Event) -> Result<bool, StoreError> {
        self.identify(unit, identity, event).await
    }

    async fn trace_identity(&self, unit: Uuid) -> Result<Option<Identity>, StoreError> {
        self.identity(unit).await
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

    async fn trace_numbered(&self, numbers: Vec<String>) -> Result<Vec<Item>, StoreError> {
        self.numbered(numbers).await
    }

    async fn trace_parts(&self, item: Uuid) -> Result<Vec<(Item, Edge)>, StoreError> {
        self.parts(item).await
    }

    async fn trace_moves(&self, item: Uuid, before: Option<Move>, limit: u32) -> Result<Vec<Move>, StoreError> {
        self.moves(item, before, limit).await
    }

    async fn trace_stock(&self, item: Uuid) -> Result<Vec<(String, i64)>, StoreError> {
        self.stock(item).await
    }

    async fn trace_stock_in(
        &self,
        place: String,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<(Item, i64)>, StoreError> {
        self.stock_in(place, before, limit).await
    }

    async fn trace_materials_in(&self, place: String, limit: u32) -> Result<Vec<LyingMaterial>, StoreError> {
        self.materials_in(place, limit).await
    }

    async fn trace_places(&self, limit: u32) -> Result<Vec<(String, i64)>, StoreError> {
        self.places(limit).await
    }

    async fn trace_contents(
        &self,
        container: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Packed>, StoreError> {
        self.contents(container, before, limit).await
    }

    async fn trace_vessels(&self, limit: u32) -> Result<Vec<VesselLevel>, StoreError> {
        self.vessels(limit).await
    }

    async fn trace_vessel(&self, path: String, at: Option<Timestamp>) -> Result<Option<VesselContent>, StoreError> {
        self.vessel(path, at).await
    }

    async fn trace_flows(
        &self,
        path: String,
        until: Option<Timestamp>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Flowed>, StoreError> {
        self.flows(path, until, before, limit).await
    }

    async fn trace_states(&self, item: Uuid, after: Option<Timestamp>) -> Result<Vec<StateSaid>, StoreError> {
        self.states(item, after).await
    }

    async fn trace_passes(&self, unit: Uuid, after: Option<(Timestamp, String)>) -> Result<Vec<PassAt>, StoreError> {
        self.passes(unit, after).await
    }

    async fn trace_passes_at(
        &self,
        equipment: String,
        from: Timestamp,
        to: Timestamp,
        before: Option<(Timestamp, Uuid)>,
        limit: u32,
    ) -> Result<Vec<PassAt>, StoreError> {
        self.passes_at(equipment, (from, to), before, limit).await
    }

    async fn trace_used_for(
        &self,
        job: Uuid,
        equipment: String,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<JobUse>, StoreError> {
        self.used_for(job, equipment, from, to).await
    }

    async fn trace_units_of(
        &self,
        jobs: Vec<Uuid>,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<UnitOfJob>, StoreError> {
        self.units_of(jobs, before, limit).await
    }

    async fn trace_pass_before(&self, equipment: String, at: Timestamp) -> Result<Option<PassAt>, StoreError> {
        self.pass_before(equipment, at).await
    }

    async fn trace_certificate(&self, number: String) -> Result<Option<StoredCertificate>, StoreError> {
        self.certificate(number).await
    }

    async fn trace_last_key(&self) -> Result<Option<String>, StoreError> {
        self.last_key().await
    }

    async fn trace_certificates(&self, unit: Uuid) -> Result<Vec<CertificateBrief>, StoreError> {
        self.certificates(unit).await
    }

    async fn trace_findings(&self, before: Option<i64>, limit: u32) -> Result<Vec<Finding>, StoreError> {
        self.findings(before, limit).await
    }

    async fn trace_check(&self) -> Result<Vec<Wrong>, StoreError> {
        let mut wrong = self.wrong_sums().await?;
        wrong.extend(self.wrong_vessels().await?);
        Ok(wrong)
    }
}

const fn is_flow(step: &Step) -> bool {
    matches!(step, Step::Fill(_) | Step::Draw(_) | Step::Empty(_) | Step::Level(_))
}

fn refuse_many(steps: &[Step]) -> Result<(), StoreError> {
    if steps.len() > STEPS_MAX {
        let refusal = TraceRefusal::Many { steps: steps.len(), max: STEPS_MAX };
        return Err(StoreError::Refused(Box::new(refusal)));
    }
    Ok(())
}
