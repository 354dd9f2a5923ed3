//! What a meter had counted at its last readings, so that a stay of a minute is told by what was drawn in that minute.
//!
//! Between two readings the count goes up evenly. What it came to at a moment never changes once a second has passed since, so stays that follow
//! each other have together what was counted over all of them, however unevenly it was drawn, and whether the quarter hour is over or not.

use super::window::Amount;
use std::collections::VecDeque;

/// So many readings of a meter are remembered: 17 minutes of one that is read every second, and some 32 KB.
pub const POINTS: usize = 1_024;
/// Readings less than this apart, in µs, are one.
const TOGETHER_US: i64 = 1_000_000;
/// Where the readings around a moment are at most so far apart, in µs, what was counted until then is known.
pub const NEAR_US: i64 = 10_000_000;

/// The last readings of a meter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Trail {
    /// When, in µs since 1970, and what had been counted until then. In the order of time.
    points: VecDeque<(i64, Amount)>,
}

/// What a meter counted between two moments.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Drawn {
    /// So much.
    pub amount: Amount,
    /// Whether both ends are known by readings near to them. `false`: a part of it is a share of what was counted over a longer time.
    pub is_known: bool,
}

impl Drawn {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.amount += other.amount;
        self.is_known &= other.is_known;
        self
    }
}

impl Trail {
    /// Whether nothing is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.points.is_empty()
    }

    /// Takes up what had been counted at a reading; one that is not later than the last is left out.
    pub fn push(&mut self, at_us: i64, counted: Amount) {
        if self.points.back().is_some_and(|(last, _)| at_us <= *last) {
            return;
        }
        // Of one second the last reading is enough. The second is by the clock, so that no other is ever drawn into it.
        let second = |at: i64| at.div_euclid(TOGETHER_US);
        let before = self.points.len().checked_sub(2).and_then(|at| self.points.get(at));
        let is_between = |(last, _): &(i64, Amount)| {
            before.is_some_and(|(before, _)| second(*before) == second(*last)) && second(*last) == second(at_us)
        };
        if self.points.back().is_some_and(is_between) {
            self.points.pop_back();
        }
        if self.points.len() >= POINTS {
            self.points.pop_front();
        }
        self.points.push_back((at_us, counted));
    }

    /// What was counted between two moments, in µs since 1970; `None`: one of them lies outside of what is remembered.
    #[must_use]
    pub fn between(&self, from_us: i64, to_us: i64) -> Option<Drawn> {
        let ((begin, begin_gap), (end, end_gap)) = (self.at(from_us)?, self.at(to_us)?);
        Some(Drawn { amount: end - begin, is_known: begin_gap.max(end_gap) <= NEAR_US })
    }

    /// What had been counted at a moment, and how far apart the readings around it are.
    fn at(&self, at_us: i64) -> Option<(Amount, i64)> {
        let next = self.points.partition_point(|(at, _)| *at < at_us);
        let (to_us, to) = *self.points.get(next)?;
        if to_us == at_us {
            return Some((to, 0));
        }
        let (from_us, from) = *self.points.get(next.checked_sub(1)?)?;
        let span = i128::from(to_us) - i128::from(from_us);
        let due = |from: i64, to: i64| {
            let more = (i128::from(to) - i128::from(from)) * (i128::from(at_us) - i128::from(from_us)) / span.max(1);
            from.saturating_add(i64::try_from(more).unwrap_or_default())
        };
        let amount = Amount {
            energy: due(from.energy, to.energy),
            estimated: due(from.estimated, to.estimated),
            metered_us: due(from.metered_us, to.metered_us),
        };
        Some((amount, i64::try_from(span).unwrap_or(i64::MAX)))
    }
}
