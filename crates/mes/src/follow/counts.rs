//! What the tags that count have shown.

use crate::counter::{Counted, Counter};
use crate::master::{CountTag, Counts};
use crate::quantity::Quantity;
use crate::rollup::{Level, Slot};
use crate::unit::Count;
use andon_model::{Sample, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The most instants of a tag of single amounts that are remembered, so that one that comes twice counts once.
const REMEMBERED: usize = 100_000;

/// What a counter showed when the first hour began that is not kept; to be kept with the hours before it.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Shown {
    counter: Counter,
    /// When it was last heard, in µs since 1970.
    at: i64,
}

/// A tag that counts.
pub(super) struct Tally {
    /// What it counts, and how.
    pub rule: CountTag,
    /// After the readings of each hour, in the order of time; of what is kept, the last.
    hours: Vec<(i64, Shown)>,
    /// Of a tag of single amounts: the instants that are not kept.
    heard: BTreeSet<Timestamp>,
}

/// What comes of a reading.
pub(super) enum Tallied {
    /// Nothing to count.
    Nothing,
    /// So much.
    Count(Count),
    /// So much, or nothing; and the counter did something that somebody should hear of.
    Odd(Option<Count>, Oddity),
}

/// What a counter did that is not counting on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oddity {
    /// It was reset.
    Reset,
    /// It went up by more than is believed; nothing was counted.
    NotBelieved(Quantity),
    /// It shows what no counter shows; nothing was counted.
    NoCount,
}

fn hour(at: Timestamp) -> i64 {
    Slot::of(Level::Hour, at).number
}

impl Tally {
    pub fn new(rule: CountTag, shown: Option<Shown>) -> Self {
        let hours = shown.map(|shown| (i64::MIN, shown)).into_iter().collect();
        Self { rule, hours, heard: BTreeSet::new() }
    }

    /// It goes on by another rule.
    pub fn with(self, rule: CountTag) -> Self {
        Self { rule, ..self }
    }

    /// Takes up a reading. One of a total that is older than the last is left out: what it would add was counted with the next.
    pub fn read(&mut self, at: Timestamp, sample: &Sample) -> Tallied {
        let Some(value) = sample.value.as_f64().filter(|_| !sample.quality.is_bad()) else { return Tallied::Nothing };
        let made = self.rule.made;
        let count =
            |quantity: Quantity| (quantity != Quantity::ZERO).then_some(Count { at, made, quantity, by_person: false });
        match self.rule.counter {
            Counts::Each { scale } => {
                if !self.heard.insert(at) {
                    return Tallied::Nothing;
                }
                if self.heard.len() > REMEMBERED {
                    self.heard.pop_first();
                }
                match Quantity::from_f64(value * scale).ok().filter(|quantity| !quantity.is_negative()) {
                    Some(quantity) => count(quantity).map_or(Tallied::Nothing, Tallied::Count),
                    None => Tallied::Odd(None, Oddity::NoCount),
                }
            }
            Counts::Total(rule) => {
                let mut shown = self.hours.last().map_or_else(Shown::default, |(_, shown)| *shown);
                if at.micros() < shown.at {
                    return Tallied::Nothing;
                }
                let counted = shown.counter.read(rule, value);
                shown.at = at.micros();
                self.showed(at, shown);
                let made = count(counted.amount());
                match counted {
                    Counted::More(_) | Counted::RolledOver(_) | Counted::First => {
                        made.map_or(Tallied::Nothing, Tallied::Count)
                    }
                    Counted::Reset(_) => Tallied::Odd(made, Oddity::Reset),
                    Counted::NotBelieved(amount) => Tallied::Odd(None, Oddity::NotBelieved(amount)),
                    Counted::NoCount => Tallied::Odd(None, Oddity::NoCount),
                }
            }
        }
    }

    fn showed(&mut self, at: Timestamp, shown: Shown) {
        match self.hours.last_mut() {
            Some((last, known)) if *last == hour(at) => *known = shown,
            _ => self.hours.push((hour(at), shown)),
        }
    }

    /// What it showed when this hour began; `None`: it had not been heard, or it does not show a total.
    pub fn shown_at(&self, begins: Timestamp) -> Option<Shown> {
        let earlier = self.hours.partition_point(|(of, _)| *of < hour(begins));
        earlier.checked_sub(1).and_then(|at| self.hours.get(at)).map(|(_, shown)| *shown)
    }

    /// What is before this hour is kept.
    pub fn kept(&mut self, until: Timestamp) {
        let earlier = self.hours.partition_point(|(of, _)| *of < hour(until));
        self.hours.drain(..earlier.saturating_sub(1));
        self.heard = self.heard.split_off(&until);
    }
}
