//! Recorded rows, replayed 300 times as fast as they were measured, for ever, from a fixed first row.
//!
//! What the rows are and what was left out: `data/ORIGIN.md`. A row that cannot be read is left out; a test holds the
//! embedded files to having none.

use std::time::Duration;

const MACHINE: &str = include_str!("../../data/machine-temperature.csv");
const ENERGY: &str = include_str!("../../data/steel-energy.csv");

/// One recorded 5 minutes of the machine pass in this time.
pub const MACHINE_ROW: Duration = Duration::from_secs(1);
/// The machine's replay begins here, 152 rows before it first falls below 10 °C.
pub const MACHINE_FIRST: &str = "2013-12-15 19:10";
/// One recorded quarter of an hour of the meter passes in this time.
pub const ENERGY_ROW: Duration = Duration::from_secs(3);
/// The meter's replay begins here, an hour before the Monday's work.
pub const ENERGY_FIRST: &str = "2018-01-08T07:00";

/// A quarter of an hour of the energy meter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct EnergyRow {
    /// Energy of the quarter hour, in kWh.
    pub energy_kwh: f64,
    /// Lagging reactive energy of the quarter hour, in kvarh.
    pub reactive_kvarh: f64,
    /// CO2 of the quarter hour, in t.
    pub co2_t: f64,
    /// Lagging power factor, in %.
    pub power_factor_pct: f64,
}

/// Rows in a ring, and which one comes first.
#[derive(Debug)]
pub struct Replay<T> {
    rows: Vec<T>,
    first: usize,
    per_row: Duration,
}

impl<T: Copy> Replay<T> {
    fn new(text: &str, first: &str, per_row: Duration, read: impl Fn(&str) -> Option<T>) -> Self {
        let lines = || text.lines().skip(1);
        let rows: Vec<T> = lines().filter_map(|line| read(line.split_once(',')?.1)).collect();
        let first = lines().position(|line| line.starts_with(first)).unwrap_or(0);
        Self { rows, first, per_row }
    }

    /// Which row it is, counted from the start and never wrapped, `elapsed` after it.
    #[must_use]
    pub fn number(&self, elapsed: Duration) -> usize {
        usize::try_from(elapsed.as_millis() / self.per_row.as_millis().max(1)).unwrap_or(usize::MAX)
    }

    /// The row `elapsed` after the start; `None` only if there are no rows.
    #[must_use]
    pub fn at(&self, elapsed: Duration) -> Option<T> {
        let index = self.first.checked_add(self.number(elapsed))?.checked_rem(self.rows.len())?;
        self.rows.get(index).copied()
    }

    /// How many rows one round has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// True when there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

/// The machine's temperature, in °C.
#[must_use]
pub fn machine() -> Replay<f64> {
    Replay::new(MACHINE, MACHINE_FIRST, MACHINE_ROW, |fields| Some((fields.parse::<f64>().ok()? - 32.0) / 1.8))
}

/// The energy meter's quarter hours.
#[must_use]
pub fn energy() -> Replay<EnergyRow> {
    Replay::new(ENERGY, ENERGY_FIRST, ENERGY_ROW, |fields| {
        let mut numbers = fields.split(',').map(|field| field.parse::<f64>().ok());
        let mut next = || numbers.next().flatten();
        Some(EnergyRow { energy_kwh: next()?, reactive_kvarh: next()?, co2_t: next()?, power_factor_pct: next()? })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_embedded_row_can_be_read() {
        assert_eq!((machine().len(), MACHINE.lines().count()), (3456, 3457));
        assert_eq!((energy().len(), ENERGY.lines().count()), (1344, 1345));
    }

    #[test]
    fn the_real_excursion_comes_within_three_minutes_and_again_each_round() {
        let machine = machine();
        let at = |seconds| machine.at(Duration::from_secs(seconds)).unwrap();
        assert!(at(0) > 35.0, "it begins in order: {}", at(0));
        let below = |from: u64| (from..from + 4000).find(|seconds| at(*seconds) <= 10.0).unwrap();
        assert_eq!(below(0), 152);
        assert_eq!(below(3456), 3456 + 152);
        assert!((150..300).map(at).any(|temperature| temperature < -16.0), "the bottom of the real excursion");
    }

    #[test]
    fn replaying_is_the_same_each_time() {
        let seconds = Duration::from_secs(1234);
        assert_eq!(machine().at(seconds), machine().at(seconds));
        assert_eq!(energy().at(Duration::ZERO).unwrap().energy_kwh, 3.38);
    }
}
