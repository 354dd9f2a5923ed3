//! What meters counted: quarter hours, and what reading goes on from.

use crate::error::StoreError;
use andon_model::log::Seq;
use async_trait::async_trait;

/// Under which name energy reads the lane of samples.
pub const READER: &str = "energy";

/// A meter as it was heard last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredMeter {
    /// Its number.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// JSON of what reading goes on from; empty: it was never heard.
    pub heard: String,
}

/// A quarter hour of a meter. Energy in millionths of a kWh, spans in µs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredQuarter {
    /// The meter's number.
    pub meter: u32,
    /// How many quarter hours since 1970.
    pub quarter: i64,
    /// All of its energy.
    pub energy: i64,
    /// How much of that is estimated.
    pub estimated: i64,
    /// From where in the quarter hour it is of.
    pub from_us: i64,
    /// Until where.
    pub to_us: i64,
    /// For how long of that the meter was heard.
    pub metered_us: i64,
}

/// What quarter hours of a meter add up to. Energy in millionths of a kWh, spans in µs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredSum {
    /// The meter's number.
    pub meter: u32,
    /// All of its energy.
    pub energy: i64,
    /// How much of that is estimated.
    pub estimated: i64,
    /// For how long the meter was heard.
    pub metered_us: i64,
}

/// What is kept together: all of it or nothing. Each row stands in the place of what was there, so that keeping it twice changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct EnergyKeep {
    /// What meters are remembered by, by their numbers.
    pub heard: Vec<(u32, String)>,
    /// Quarter hours.
    pub quarters: Vec<StoredQuarter>,
    /// How far the lane of samples was read, if that is kept with it. Quarter hours may go before, where they are too many for one transaction.
    pub upto: Option<Seq>,
}

/// Energy. One task writes; anybody reads.
#[async_trait]
pub trait EnergyRepository: Send + Sync + 'static {
    /// The meters of these names, in their order; one that has no number gets the next.
    async fn energy_meters(&self, names: Vec<String>) -> Result<Vec<StoredMeter>, StoreError>;
    /// Quarter hours of meters, from one to before another, in the order of quarter hours and meters.
    async fn energy_quarters(&self, meters: &[u32], from: i64, to: i64) -> Result<Vec<StoredQuarter>, StoreError>;
    /// What quarter hours of each meter add up to, from one to before another, in the order of meters; a meter without any is left out.
    async fn energy_sums(&self, meters: &[u32], from: i64, to: i64) -> Result<Vec<StoredSum>, StoreError>;
    /// Keeps all of it, or nothing.
    async fn energy_keep(&self, keep: EnergyKeep) -> Result<(), StoreError>;
}
