//! What is added up of a work unit, or of many, over a window: times, amounts, planned work. Every KPI is made of these.
//!
//! All of it are whole numbers, so that a sum is the same however it is put together: by hour, by unit, by line, or from the rows. Amounts and
//! work stop at the end of their numbers, which no plant reaches, rather than begin anew below zero.

use crate::element::Element;
use crate::quantity::Quantity;
use std::ops::{Add, AddAssign, Sub};

/// Planned run time for an amount: nanoseconds × millionths of an item, so that PRI × PQ is exact.
pub type Work = i128;

/// Nanoseconds × millionths in a second.
const WORK_IN_A_SECOND: f64 = 1e15;

/// Amounts that a unit made.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Amounts {
    /// GQ: good, also after rework.
    pub good: Quantity,
    /// SQ: scrap.
    pub scrap: Quantity,
    /// RQ: to be reworked. It counts as produced now, and not again when it has become good.
    pub rework: Quantity,
}

impl Amounts {
    /// PQ: all that was produced.
    #[must_use]
    pub fn produced(&self) -> Quantity {
        self.good + self.scrap + self.rework
    }
}

/// What is added up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// µs by [`Element`].
    times: [i64; Element::COUNT],
    /// What was made.
    pub amounts: Amounts,
    /// Of it, what people counted; the rest was counted by counters.
    pub booked: Amounts,
    /// Of it, what has a planned run time. Effectiveness is about these alone; where they are fewer than the amounts, it says so.
    pub planned: Amounts,
    /// Σ PRI × PQ.
    pub work_produced: Work,
    /// Σ PRI × GQ.
    pub work_good: Work,
}

impl Sums {
    /// A span of one element, in µs.
    #[must_use]
    pub const fn of_time(element: Element, micros: i64) -> Self {
        let mut sums = Self::ZERO;
        sums.times[element.index()] = micros;
        sums
    }

    /// Amounts of an item, with its planned run time in ns (PRI); `None`: it has none.
    #[must_use]
    pub fn of_amounts(amounts: Amounts, planned_run_time_per_item_ns: Option<u64>) -> Self {
        let work = |quantity: Quantity| {
            planned_run_time_per_item_ns.map_or(0, |ns| i128::from(ns) * i128::from(quantity.millionths()))
        };
        Self {
            amounts,
            planned: planned_run_time_per_item_ns.map_or_else(Amounts::default, |_| amounts),
            work_produced: work(amounts.produced()),
            work_good: work(amounts.good),
            ..Self::ZERO
        }
    }

    /// Nothing.
    pub const ZERO: Self = Self {
        times: [0; Element::COUNT],
        amounts: Amounts { good: Quantity::ZERO, scrap: Quantity::ZERO, rework: Quantity::ZERO },
        booked: Amounts { good: Quantity::ZERO, scrap: Quantity::ZERO, rework: Quantity::ZERO },
        planned: Amounts { good: Quantity::ZERO, scrap: Quantity::ZERO, rework: Quantity::ZERO },
        work_produced: 0,
        work_good: 0,
    };

    /// What counters counted.
    #[must_use]
    pub fn by_counters(&self) -> Amounts {
        self.amounts - self.booked
    }

    /// µs of an element.
    #[must_use]
    pub const fn micros(&self, element: Element) -> i64 {
        self.times[element.index()]
    }

    /// PBT, planned busy time, in µs.
    #[must_use]
    pub fn busy_micros(&self) -> i64 {
        Element::ALL.into_iter().filter(|element| element.is_busy()).map(|element| self.micros(element)).sum()
    }

    /// All time, in µs: as much as the window, times the units that were added.
    #[must_use]
    pub fn all_micros(&self) -> i64 {
        self.times.iter().sum()
    }

    /// Σ PRI × PQ in seconds.
    #[must_use]
    pub fn work_produced_s(&self) -> f64 {
        seconds_of(self.work_produced)
    }

    /// Σ PRI × GQ in seconds.
    #[must_use]
    pub fn work_good_s(&self) -> f64 {
        seconds_of(self.work_good)
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is shown")]
fn seconds_of(work: Work) -> f64 {
    work as f64 / WORK_IN_A_SECOND
}

impl Add for Amounts {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { good: self.good + other.good, scrap: self.scrap + other.scrap, rework: self.rework + other.rework }
    }
}

impl Sub for Amounts {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self { good: self.good - other.good, scrap: self.scrap - other.scrap, rework: self.rework - other.rework }
    }
}

impl Add for Sums {
    type Output = Self;
    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.times.iter_mut().zip(other.times).for_each(|(time, other)| *time += other);
        self.amounts = self.amounts + other.amounts;
        self.booked = self.booked + other.booked;
        self.planned = self.planned + other.planned;
        self.work_produced = self.work_produced.saturating_add(other.work_produced);
        self.work_good = self.work_good.saturating_add(other.work_good);
    }
}

impl Sub for Sums {
    type Output = Self;
    /// What has to be added to `other` to get this: so that a correction changes the sums above it without adding them up anew.
    fn sub(mut self, other: Self) -> Self {
        self.times.iter_mut().zip(other.times).for_each(|(time, other)| *time -= other);
        self.amounts = self.amounts - other.amounts;
        self.booked = self.booked - other.booked;
        self.planned = self.planned - other.planned;
        self.work_produced = self.work_produced.saturating_sub(other.work_produced);
        self.work_good = self.work_good.saturating_sub(other.work_good);
        self
    }
}

impl std::iter::Sum for Sums {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}
