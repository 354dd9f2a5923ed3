//! Quarter hours, added up over any window.

use super::meter::Quarter;
use super::{QUARTER_US, begin_of};
use serde::{Deserialize, Serialize};
use std::ops::{AddAssign, Sub};

/// Energy of a window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Amount {
    /// All of it, in mWh.
    pub energy: i64,
    /// How much of that is estimated.
    pub estimated: i64,
    /// For how long meters were heard, in µs, added up over them.
    pub metered_us: i64,
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        self.energy = self.energy.saturating_add(other.energy);
        self.estimated = self.estimated.saturating_add(other.estimated);
        self.metered_us = self.metered_us.saturating_add(other.metered_us);
    }
}

impl Sub for Amount {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            energy: self.energy.saturating_sub(other.energy),
            estimated: self.estimated.saturating_sub(other.estimated),
            metered_us: self.metered_us.saturating_sub(other.metered_us),
        }
    }
}

/// What of a quarter hour lies in a window (µs since 1970, `to` without it): its linear share, over the time that it is of. Windows that follow
/// each other have together what one over both has.
#[must_use]
pub fn share(number: i64, quarter: &Quarter, from: i64, to: i64) -> Amount {
    let begin = begin_of(number);
    if from <= begin && begin.saturating_add(QUARTER_US) <= to {
        return Amount { energy: quarter.energy, estimated: quarter.estimated, metered_us: quarter.metered_us };
    }
    let length = quarter.to_us - quarter.from_us;
    let until = |at: i64| at.saturating_sub(begin).clamp(quarter.from_us, quarter.to_us) - quarter.from_us;
    let (a, b) = (until(from), until(to));
    if length <= 0 || b <= a {
        return Amount::default();
    }
    // By what is due until each end, so that parts add up.
    let part = |whole: i64| {
        let due = |at: i64| i128::from(whole) * i128::from(at) / i128::from(length);
        i64::try_from(due(b) - due(a)).unwrap_or(i64::MAX)
    };
    Amount { energy: part(quarter.energy), estimated: part(quarter.estimated), metered_us: part(quarter.metered_us) }
}
