//! Writing what is over, and reading what is kept.

use super::Manufacturing;
use andon_mes::element::Element;
use andon_mes::floor::{Batch, KeptHour, NodeId, UnitId, kept_hour};
use andon_mes::follow::Follower;
use andon_mes::rollup::{Level, Slot, Totals};
use andon_mes::steps::Interval;
use andon_mes::unit::Correction;
use andon_model::event::Event;
use andon_model::log::{Positions, Seq};
use andon_model::{TagId, Timestamp};
use andon_store::StoreError;
use andon_store::floor::{
    Figures, FloorKeep, FloorRepository, Progress, READER, StoredCorrection, StoredHour, StoredSlot,
};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

/// So many totals of an older version get their figures at a time.
const FIGURES_AT_A_TIME: u32 = 5_000;

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
        self.worn.changed();
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

    /// Makes figures of totals that an older version wrote, some at a time until there are none.
    pub(super) async fn make_figures(&self) -> Result<(), StoreError> {
        if self.has_all_figures.load(Ordering::Relaxed) {
            return Ok(());
        }
        // In turn, so that no later totals are told by the figures of older ones.
        let _turn = self.turn.write().await;
        let slots = self.store.floor_without_figures(FIGURES_AT_A_TIME).await?;
        if slots.is_empty() {
            self.has_all_figures.store(true, Ordering::Relaxed);
            return Ok(());
        }
        let made = slots.iter().map(|slot| {
            let totals = Totals::decode(&slot.totals).unwrap_or_else(|error| {
                tracing::error!(node = slot.node, level = slot.level, number = slot.number, %error, "totals cannot be read: their figures are 0");
                Totals::default()
            });
            figures(slot.node, slot.level, slot.number, &totals)
        });
        self.store.floor_keep(FloorKeep { figures: made.flatten().collect(), ..FloorKeep::default() }).await
    }

    /// A batch as rows: totals are what they were and what is added.
    pub(super) async fn rows(&self, batch: &Batch) -> Result<FloorKeep, StoreError> {
        let mut by_node: BTreeMap<NodeId, Vec<(Slot, &Totals)>> = BTreeMap::new();
        for ((node, slot), added) in &batch.added {
            by_node.entry(*node).or_default().push((*slot, added));
        }
        let (mut slots, mut all_figures) = (Vec::new(), Vec::new());
        for (node, added) in by_node {
            let known = self.slots(node, &added.iter().map(|(slot, _)| *slot).collect::<Vec<_>>()).await?;
            for (slot, added) in added {
                let totals = known.get(&slot).cloned().unwrap_or_default() + added;
                let (node, level, number) = (node.0, level(slot.level), slot.number);
                all_figures.extend(figures(node, level, number, &totals));
                slots.push(StoredSlot { node, level, number, totals: totals.encode() });
            }
        }
        let hours = batch.hours.iter().map(|kept| {
            let begins = kept.hour.from();
            let (recorded, derived) = (kept.recorded.encode(begins), kept.derived.encode(begins));
            StoredHour { unit: kept.unit.0, hour: kept.hour.number, recorded, derived }
        });
        Ok(FloorKeep { hours: hours.collect(), slots, figures: all_figures, ..FloorKeep::default() })
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

/// What the totals of an hour or a day come to; those of days of days are their sums.
fn figures(node: u32, level: u8, number: i64, totals: &Totals) -> Option<Figures> {
    let sums = &totals.sums;
    // Nanoseconds × millionths, as microseconds.
    let work = |work: i128| i64::try_from(work / 1_000_000_000).unwrap_or(i64::MAX);
    (level <= 1).then(|| Figures {
        node,
        level,
        number,
        times: Element::ALL.map(|element| sums.micros(element)),
        amounts: [sums.amounts.good, sums.amounts.scrap, sums.amounts.rework].map(|amount| amount.millionths()),
        work: [work(sums.work_produced), work(sums.work_good)],
    })
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
