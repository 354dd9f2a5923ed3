//! Writing what is over, and reading what is kept.

use super::Manufacturing;
use andon_mes::floor::{Batch, KeptHour, NodeId, UnitId, kept_hour};
use andon_mes::follow::Follower;
use andon_mes::rollup::{Level, Slot, Totals};
use andon_mes::steps::Interval;
use andon_mes::unit::Correction;
use andon_model::event::Event;
use andon_model::log::{Positions, Seq};
use andon_model::{TagId, Timestamp};
use andon_store::StoreError;
use andon_store::floor::{FloorKeep, FloorRepository, Progress, READER, StoredCorrection, StoredHour, StoredSlot};
use std::collections::BTreeMap;

impl Manufacturing {
    /// Keeps the hours that are over, one after the other.
    pub(super) async fn keep_what_is_over(&self, now: Timestamp) -> Result<(), StoreError> {
        loop {
            let batch = {
                let mut state = self.state();
                state.follower.idle(now);
                let counts_as = state.counts_as();
                state.follower.batch(&counts_as, now)
            };
            if batch.is_none() {
                return Ok(());
            }
            let _turn = self.turn.write().await;
            // Looked at again in turn: a job or a count that came in between belongs to these hours.
            let batch = {
                let state = self.state();
                let counts_as = state.counts_as();
                state.follower.batch(&counts_as, now)
            };
            let Some(batch) = batch else { return Ok(()) };
            let Some(until) = batch.until() else { return Ok(()) };
            let (counters, progress) = come_so_far(&self.state().follower, until);
            let mut keep = self.rows(&batch).await?;
            (keep.counters, keep.progress) = (counters, Some(progress));
            self.store.floor_keep(keep).await?;
            self.state().follower.kept(&batch);
            self.let_go(progress).await;
        }
    }

    /// Keeps hours that were made anew, with people's word on them. In turn.
    pub(super) async fn keep(
        &self,
        batch: &Batch,
        corrections: Vec<(StoredCorrection, Event)>,
    ) -> Result<(), StoreError> {
        if batch.hours.is_empty() && corrections.is_empty() {
            return Ok(());
        }
        let mut keep = self.rows(batch).await?;
        keep.corrections = corrections;
        self.orders.changed();
        self.store.floor_keep(keep).await
    }

    /// Keeps how far the lane was read, and what counters showed by then of what is kept.
    pub(super) async fn keep_progress(&self) -> Result<Progress, StoreError> {
        let (counters, progress) = {
            let state = self.state();
            come_so_far(&state.follower, state.follower.floor().kept_until())
        };
        self.store.floor_keep(FloorKeep { counters, progress: Some(progress), ..FloorKeep::default() }).await?;
        Ok(progress)
    }

    /// Where no machine is followed, nothing has to be read again: the log may free what was read.
    pub(super) async fn let_go_while_idle(&self) -> Result<(), StoreError> {
        let _turn = self.turn.write().await;
        if !self.state().units.is_empty() {
            return Ok(());
        }
        let progress = self.keep_progress().await?;
        self.let_go(progress).await;
        Ok(())
    }

    /// The log may free what lies before.
    async fn let_go(&self, progress: Progress) {
        let log = self.log.clone();
        // The frame before the first is read for when it came.
        let samples = Seq(progress.first.0.saturating_sub(2));
        let positions = Positions { samples, ..Positions::default() };
        let saved = tokio::task::spawn_blocking(move || log.save_snapshot(READER, positions, &[])).await;
        match saved {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "the log did not hear how far the shop floor has come"),
            Err(error) => tracing::warn!(%error, "the log did not hear how far the shop floor has come"),
        }
    }

    /// A batch as rows: totals are what they were and what is added.
    async fn rows(&self, batch: &Batch) -> Result<FloorKeep, StoreError> {
        let mut by_node: BTreeMap<NodeId, Vec<(Slot, &Totals)>> = BTreeMap::new();
        for ((node, slot), added) in &batch.added {
            by_node.entry(*node).or_default().push((*slot, added));
        }
        let mut slots = Vec::new();
        for (node, added) in by_node {
            let known = self.slots(node, &added.iter().map(|(slot, _)| *slot).collect::<Vec<_>>()).await?;
            slots.extend(added.into_iter().map(|(slot, added)| {
                let before = known.get(&slot).cloned().unwrap_or_default();
                StoredSlot {
                    node: node.0,
                    level: level(slot.level),
                    number: slot.number,
                    totals: (before + added).encode(),
                }
            }));
        }
        let hours = batch.hours.iter().map(|kept| {
            let begins = kept.hour.from();
            let (recorded, derived) = (kept.recorded.encode(begins), kept.derived.encode(begins));
            StoredHour { unit: kept.unit.0, hour: kept.hour.number, recorded, derived }
        });
        Ok(FloorKeep { hours: hours.collect(), slots, ..FloorKeep::default() })
    }

    /// Totals of slots of a node; those of which there is nothing are left out.
    pub(super) async fn slots(&self, node: NodeId, slots: &[Slot]) -> Result<BTreeMap<Slot, Totals>, StoreError> {
        let asked = slots.iter().map(|slot| (level(slot.level), slot.number)).collect();
        let mut all = BTreeMap::new();
        for stored in self.store.floor_slots(node.0, asked).await? {
            let Some(level) = Level::ALL.get(usize::from(stored.level)).copied() else { continue };
            let totals = Totals::decode(&stored.totals).map_err(|error| damaged(&error))?;
            all.insert(Slot { level, number: stored.number }, totals);
        }
        Ok(all)
    }

    /// The kept hours of a unit that a window touches.
    pub(super) async fn kept_hours(&self, unit: UnitId, window: Interval<()>) -> Result<Vec<KeptHour>, StoreError> {
        self.kept_hours_of(vec![unit.0], window).await
    }

    /// The kept hours of units that a window touches.
    pub(super) async fn kept_hours_of(
        &self,
        units: Vec<u32>,
        window: Interval<()>,
    ) -> Result<Vec<KeptHour>, StoreError> {
        if window.to <= window.from {
            return Ok(Vec::new());
        }
        let last = Slot::of(Level::Hour, Timestamp::from_micros(window.to.micros() - 1));
        let first = Slot::of(Level::Hour, window.from);
        let stored = self.store.floor_hours(units, first.number, last.number + 1).await?;
        let read = |hour: StoredHour| kept_hour(UnitId(hour.unit), hour.hour, &hour.recorded, &hour.derived);
        stored.into_iter().map(|hour| read(hour).map_err(|error| damaged(&error))).collect()
    }

    /// What people put right of a unit that touches a window.
    pub(super) async fn said_of(
        &self,
        unit: UnitId,
        window: Interval<()>,
    ) -> Result<Vec<(u32, Correction)>, StoreError> {
        let stored = self.store.floor_corrections(unit.0, window.from, window.to).await?;
        let state = self.state();
        Ok(stored.iter().filter_map(|made| Some((made.number, super::correct::of_stored(&state, made)?))).collect())
    }
}

/// What counters showed when everything before an hour was kept, and how far the lane is read then.
fn come_so_far(follower: &Follower, kept_until: Timestamp) -> (Vec<(TagId, String)>, Progress) {
    let shown = follower.shown(kept_until).into_iter();
    let counters = shown.filter_map(|(tag, shown)| Some((tag, serde_json::to_string(&shown).ok()?)));
    let position = follower.position(kept_until);
    (counters.collect(), Progress { kept_until, first: position.from, seen: position.seen })
}

const fn level(level: Level) -> u8 {
    match level {
        Level::Hour => 0,
        Level::Day => 1,
        Level::DayGroup => 2,
    }
}

fn damaged(error: &dyn std::error::Error) -> StoreError {
    StoreError::Damaged { what: "hours and totals of a machine", reason: error.to_string() }
}
