//! What traceability asks of the shop floor.

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
