//! What traceability and maintenance ask of the shop floor.

use super::Manufacturing;
use andon_api::ports::mes::Window;
use andon_mes::master::MasterData;
use andon_mes::sums::Sums;
use andon_model::Timestamp;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Manufacturing {
    /// The master data in force.
    pub(crate) fn master_data(&self) -> Arc<MasterData> {
        self.state().master.clone()
    }

    /// Until when what machines said is in the floor.
    pub(crate) fn heard_until(&self) -> Timestamp {
        Timestamp::from_micros(self.heard_until.load(Ordering::Acquire))
    }

    /// How a machine spent the time between two moments; `None`: no machine is followed there, or what is kept of it cannot be read.
    pub(crate) async fn times_of(&self, path: &str, from: Timestamp, to: Timestamp) -> Option<Sums> {
        let _turn = self.turn.read().await;
        if !self.state().units.contains_key(path) {
            return None;
        }
        self.totals(path, Window { from, to }).await.ok().map(|totals| totals.sums)
    }

    /// What machines at or below a path come to between two moments; `None`: none is followed there.
    /// # Errors
    /// What is kept of them cannot be read.
    pub(crate) async fn sums_below(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<Option<Sums>, String> {
        let _turn = self.turn.read().await;
        if self.machines_below(path).is_empty() {
            return Ok(None);
        }
        let totals = self.totals(path, Window { from, to }).await;
        totals.map(|totals| Some(totals.sums)).map_err(|error| error.to_string())
    }

    /// The machines at or below a path.
    pub(crate) fn machines_below(&self, path: &str) -> Vec<String> {
        let state = self.state();
        state.units.keys().filter(|unit| andon_model::path::is_under(unit, path)).cloned().collect()
    }

    /// The instructions of these names as they are in force.
    pub(crate) fn in_force(&self, names: &[String]) -> Vec<andon_mes::order::begin::Instruction> {
        self.state().instructions(names)
    }

    /// Reads the lane as far as it goes, from where it was read before; `None`: from the beginning.
    #[cfg(test)]
    pub(crate) async fn read_on(&self, next: Option<andon_model::log::Seq>) -> andon_model::log::Seq {
        let mut next = next.unwrap_or_else(|| self.first());
        while let Some(after) = self.read_once(next).await.expect("read") {
            next = after;
        }
        next
    }
}
