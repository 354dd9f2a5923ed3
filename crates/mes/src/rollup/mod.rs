//! Totals by hour, day and longer, for every node of the tree: what makes a year of a whole site a matter of a hundred additions.
//!
//! A window is cut into whole [`Slot`]s, of which the totals are kept, and at most two edges shorter than an hour, which are counted from
//! what was recorded ([`cover`]). When something earlier changes, the difference of its hour is added to the slots above it: nothing is
//! added up anew.

mod totals;

pub use totals::{ReasonTotal, Totals, TotalsError};

use crate::steps::Interval;
use andon_model::Timestamp;

/// µs in an hour.
pub const HOUR_MICROS: i64 = 3_600_000_000;

/// How long a slot is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// An hour.
    Hour,
    /// 24 hours from midnight UTC.
    Day,
    /// 32 days, counted from 1970-01-01.
    DayGroup,
}

impl Level {
    /// All of them, the shortest first.
    pub const ALL: [Self; 3] = [Self::Hour, Self::Day, Self::DayGroup];

    /// Its length in hours.
    #[must_use]
    pub const fn hours(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 24,
            Self::DayGroup => 24 * 32,
        }
    }
}

/// A whole hour, day or group of days.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Slot {
    /// How long it is.
    pub level: Level,
    /// How many of that length lie between 1970-01-01 and it.
    pub number: i64,
}

impl Slot {
    /// The slot of a length in which an instant lies.
    #[must_use]
    pub const fn of(level: Level, at: Timestamp) -> Self {
        Self { level, number: at.micros().div_euclid(level.hours() * HOUR_MICROS) }
    }

    /// The first instant.
    #[must_use]
    pub const fn from(self) -> Timestamp {
        Timestamp::from_micros(self.number.saturating_mul(self.level.hours() * HOUR_MICROS))
    }

    /// The first instant after it.
    #[must_use]
    pub const fn to(self) -> Timestamp {
        Timestamp::from_micros(self.number.saturating_add(1).saturating_mul(self.level.hours() * HOUR_MICROS))
    }
}

/// A window in pieces.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Cover {
    /// What lies in whole slots: the longest that fit, in order of time.
    pub slots: Vec<Slot>,
    /// What is shorter than an hour, at the beginning, at the end, or all of the window.
    pub edges: Vec<Interval<()>>,
}

/// Cuts a window into slots and edges. A year has at most 12 groups of days, 62 days and 46 hours.
#[must_use]
pub fn cover(from: Timestamp, to: Timestamp) -> Cover {
    let mut cover = Cover::default();
    if to <= from {
        return cover;
    }
    // No date that people can write lies so far away that an hour more would not fit.
    let up = |at: Timestamp| if Slot::of(Level::Hour, at).from() == at { at } else { Slot::of(Level::Hour, at).to() };
    let (first, last) = (up(from), Slot::of(Level::Hour, to).from());
    if last < first {
        // Within one hour.
        cover.edges.push(Interval { from, to, value: () });
        return cover;
    }
    if from < first {
        cover.edges.push(Interval { from, to: first, value: () });
    }
    let mut at = first;
    while at < last {
        let fits = |level: &Level| {
            let slot = Slot::of(*level, at);
            (slot.from() == at && slot.to() <= last).then_some(slot)
        };
        let Some(slot) = Level::ALL.iter().rev().find_map(fits) else { break };
        cover.slots.push(slot);
        at = slot.to();
    }
    if last < to {
        cover.edges.push(Interval { from: last, to, value: () });
    }
    cover
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    #[test]
    fn a_year_is_a_hundred_slots() {
        let year = cover(at("2025-07-14T06:00:00Z"), at("2026-07-14T06:00:00Z"));
        let count = |level| year.slots.iter().filter(|slot| slot.level == level).count();
        assert!(year.edges.is_empty());
        assert!(count(Level::DayGroup) >= 10 && year.slots.len() < 120, "{}", year.slots.len());
    }

    #[test]
    fn short_windows_are_edges() {
        for (from, to, slots, edges) in [
            ("2026-01-01T06:10:00Z", "2026-01-01T06:50:00Z", 0, 1),
            ("2026-01-01T06:00:00Z", "2026-01-01T06:50:00Z", 0, 1),
            ("2026-01-01T06:10:00Z", "2026-01-01T07:00:00Z", 0, 1),
            ("2026-01-01T06:10:00Z", "2026-01-01T07:10:00Z", 0, 2),
            ("2026-01-01T06:00:00Z", "2026-01-01T07:00:00Z", 1, 0),
            ("2026-01-01T06:59:59Z", "2026-01-02T00:00:01Z", 17, 2),
            ("2026-01-01T06:00:00Z", "2026-01-01T06:00:00Z", 0, 0),
            ("2026-01-01T06:00:00Z", "2026-01-01T05:00:00Z", 0, 0),
        ] {
            let cover = cover(at(from), at(to));
            assert_eq!((cover.slots.len(), cover.edges.len()), (slots, edges), "{from} to {to}");
        }
    }

    proptest! {
        #[test]
        fn a_window_is_covered_once(from in -50_000_000_000_000i64..50_000_000_000_000, long in 0i64..40_000_000_000_000) {
            let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(from + long));
            let cover = cover(from, to);
            let slots = cover.slots.iter().map(|slot| (slot.from(), slot.to()));
            let mut all: Vec<_> = slots.chain(cover.edges.iter().map(|edge| (edge.from, edge.to))).collect();
            all.sort_unstable();
            let mut end = from;
            for (begin, until) in all {
                prop_assert_eq!(begin, end, "a gap or an overlap");
                prop_assert!(until > begin);
                end = until;
            }
            prop_assert_eq!(end, to);
            prop_assert!(cover.edges.iter().all(|edge| edge.micros() < HOUR_MICROS));
            let count = |level| cover.slots.iter().filter(|slot| slot.level == level).count();
            prop_assert!(count(Level::Hour) <= 46 && count(Level::Day) <= 62);
        }
    }
}
