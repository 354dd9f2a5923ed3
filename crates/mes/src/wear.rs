//! What wears equipment and tools: what a machine made, and how long it ran. Maintenance plans and tools are counted by it.

use crate::element::Element;
use crate::quantity::Quantity;
use crate::sums::Sums;
use std::ops::AddAssign;
use std::time::Duration;

/// What a machine made and how long it ran over a window, or over several that do not overlap.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Wear {
    /// All that was produced, good or not (PQ): each wears the same.
    pub produced: Quantity,
    /// Actual production time (APT), in µs.
    pub production_us: i64,
    /// Actual setup time (AUST), in µs.
    pub setup_us: i64,
}

impl Wear {
    /// Operating time: production and setup, in µs.
    #[must_use]
    pub const fn operating_us(&self) -> i64 {
        self.production_us.saturating_add(self.setup_us)
    }
}

/// A span in µs, as times of machines are counted; the longest there is where it is longer.
pub(crate) fn micros(span: Duration) -> i64 {
    i64::try_from(span.as_micros()).unwrap_or(i64::MAX)
}

impl From<&Sums> for Wear {
    fn from(sums: &Sums) -> Self {
        Self {
            produced: sums.amounts.produced(),
            production_us: sums.micros(Element::Production),
            setup_us: sums.micros(Element::Setup),
        }
    }
}

impl AddAssign for Wear {
    fn add_assign(&mut self, other: Self) {
        self.produced = self.produced + other.produced;
        self.production_us = self.production_us.saturating_add(other.production_us);
        self.setup_us = self.setup_us.saturating_add(other.setup_us);
    }
}
