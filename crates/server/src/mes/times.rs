//! What traceability, maintenance and tools ask of the shop floor.

use super::Manufacturing;
use super::ask::under;
use andon_api::ports::mes::Window;
use andon_mes::master::MasterData;
use andon_mes::sums::Sums;
use andon_mes::wear::Wear;
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

    /// Whether it is known up to now how long machines did something.
    ///
    /// After a start it is not, until all is read that earlier runs left and something new has come: only that ends what machines were in
    /// when the node went down. Before, they seem to have gone on all the while. What they counted is never more than it was.
    pub(crate) fn times_are_known(&self) -> bool {
        self.times_are_known.load(Ordering::Acquire)
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

    /// What machines at or below a path made between two moments, and how long they ran; `None`: none is followed there.
    /// # Errors
    /// What is kept of them cannot be read.
    pub(crate) async fn wear_below(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<Option<Wear>, String> {
        Ok(self.sums_below(path, from, to).await?.map(|sums| Wear::from(&sums)))
    }

    /// The same of a machine, also of one that is followed no more: what it did stays. `None`: none was ever followed there. In turn.
    /// # Errors
    /// What is kept of it cannot be read.
    pub(super) async fn wear_at(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<Option<Wear>, String> {
        let (node, units) = {
            let state = self.state();
            let Some(node) = state.nodes.get(path).copied() else { return Ok(None) };
            // A machine has the number of its node.
            let mut units = under(&state, path);
            if !units.contains(&node.0) {
                units.push(node.0);
            }
            (node, units)
        };
        let totals = self.totals_of(node, units, Window { from, to: to.max(from) }).await;
        totals.map(|totals| Some(Wear::from(&totals.sums))).map_err(|error| error.to_string())
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
