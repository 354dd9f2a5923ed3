//! What a counter in a machine says, as amounts.
//!
//! A counter only goes up, until it rolls over at the end of its register, or somebody resets it. Both make it smaller, and are told apart: where its end is known and it was
//! near to it, and is near to its beginning now, it has rolled over; otherwise it was reset, and what it shows was counted since.
//! What was counted while nobody heard it is counted when it is heard again.

use crate::quantity::Quantity;
use serde::{Deserialize, Serialize};

/// How a counter counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct CounterRule {
    /// The first number that it cannot show: 65536 for 16 bits. `None`: it never rolls over.
    pub rolls_over_at: Option<f64>,
    /// How much one step is, in the item's unit. Above zero.
    pub scale: f64,
    /// More than this at once, in the item's unit, is not believed: a counter that was exchanged for another. `None`: anything is.
    pub at_most: Option<Quantity>,
}

impl Default for CounterRule {
    fn default() -> Self {
        Self { rolls_over_at: None, scale: 1.0, at_most: None }
    }
}

/// What a counter showed last; to be kept with what was made of it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Counter {
    last: Option<f64>,
}

/// What a reading of a counter comes to.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Counted {
    /// So much more was made.
    More(Quantity),
    /// The same; it went over the end of its register.
    RolledOver(Quantity),
    /// It was reset; so much was made since.
    Reset(Quantity),
    /// It is heard for the first time: what it shows was made before.
    First,
    /// It shows what no counter shows: not a number, or below zero. The reading is left out.
    NoCount,
    /// It went up by more than can be believed. The new value is where it goes on from.
    NotBelieved(Quantity),
}

impl Counted {
    /// What is to be added.
    #[must_use]
    pub const fn amount(self) -> Quantity {
        match self {
            Self::More(amount) | Self::RolledOver(amount) | Self::Reset(amount) => amount,
            Self::First | Self::NoCount | Self::NotBelieved(_) => Quantity::ZERO,
        }
    }
}

impl Counter {
    /// A counter that showed a value last.
    #[must_use]
    pub const fn at(value: f64) -> Self {
        Self { last: Some(value) }
    }

    /// What it showed last.
    #[must_use]
    pub const fn last(&self) -> Option<f64> {
        self.last
    }

    /// Takes up a reading.
    pub fn read(&mut self, rule: CounterRule, value: f64) -> Counted {
        if !value.is_finite() || value < 0.0 {
            return Counted::NoCount;
        }
        let Some(last) = self.last.replace(value) else { return Counted::First };
        let amount = |steps: f64| Quantity::from_f64(steps * rule.scale);
        let counted = if value >= last {
            amount(value - last).map(Counted::More)
        } else {
            match rule.rolls_over_at.filter(|end| last < *end && last >= end * 0.75 && value <= end * 0.25) {
                Some(end) => amount(end - last + value).map(Counted::RolledOver),
                None => amount(value).map(Counted::Reset),
            }
        };
        match counted {
            Ok(counted) if rule.at_most.is_some_and(|most| counted.amount() > most) => {
                Counted::NotBelieved(counted.amount())
            }
            Ok(counted) => counted,
            Err(_) => Counted::NotBelieved(Quantity::from_millionths(i64::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pieces(count: i64) -> Quantity {
        Quantity::pieces(count).expect("is small")
    }

    #[test]
    fn a_counter_goes_up_rolls_over_and_is_reset() {
        let rule = CounterRule { rolls_over_at: Some(65_536.0), ..CounterRule::default() };
        let mut counter = Counter::default();
        let mut read = |value| counter.read(rule, value);
        assert_eq!(read(65_000.0), Counted::First);
        assert_eq!(read(65_500.0), Counted::More(pieces(500)));
        assert_eq!(read(65_500.0), Counted::More(pieces(0)));
        assert_eq!(read(10.0), Counted::RolledOver(pieces(46)));
        assert_eq!(read(40_000.0), Counted::More(pieces(39_990)));
        assert_eq!(read(3.0), Counted::Reset(pieces(3)), "it was not near its end");
        assert_eq!(read(60_000.0), Counted::More(pieces(59_997)));
        assert_eq!(read(30_000.0), Counted::Reset(pieces(30_000)), "it is not near its beginning");
    }

    #[test]
    fn what_no_counter_shows_is_left_out_and_changes_nothing() {
        let mut counter = Counter::at(5.0);
        for value in [f64::NAN, f64::INFINITY, -1.0] {
            assert_eq!(counter.read(CounterRule::default(), value), Counted::NoCount);
        }
        assert_eq!(counter.read(CounterRule::default(), 7.0), Counted::More(pieces(2)));
    }

    #[test]
    fn more_than_can_be_is_not_believed_and_not_taken_back_either() {
        let rule = CounterRule { at_most: Some(pieces(100)), ..CounterRule::default() };
        let mut counter = Counter::at(5.0);
        assert_eq!(counter.read(rule, 1000.0), Counted::NotBelieved(pieces(995)));
        assert_eq!(counter.read(rule, 1001.0), Counted::More(pieces(1)));
        assert_eq!(counter.read(rule, 1e300).amount(), Quantity::ZERO);
    }

    proptest! {
        /// However often it is read, what comes out is what was made, over any number of ends of its register.
        #[test]
        fn nothing_is_lost_or_doubled_over_the_end_of_the_register(begins in 0u64..1000, steps in proptest::collection::vec(0u64..250, 0..60)) {
            let rule = CounterRule { rolls_over_at: Some(1000.0), scale: 0.5, ..CounterRule::default() };
            let (mut counter, mut made, mut sum) = (Counter::at(begins as f64), begins, Quantity::ZERO);
            for step in &steps {
                made += step;
                sum = sum + counter.read(rule, (made % 1000) as f64).amount();
            }
            prop_assert_eq!(sum.millionths(), i64::try_from((made - begins) * 500_000).unwrap());
        }
    }
}
