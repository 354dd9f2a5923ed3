//! What a meter says, as energy of quarter hours.
//!
//! A tag either counts ([`Reads::Energy`]) or says a power ([`Reads::Power`]). Of a counter, the increment between two readings is spread
//! evenly over the time between them; where they are further apart than a quarter hour, that is an estimate, and so is what a counter shows
//! after it was reset. A power holds until the next reading, at the longest a quarter hour; after that nothing is known.
//!
//! A counter that goes back was reset, if it goes on from there. Until it does, the reading is left out: a device that starts shows 0 for a moment,
//! and what it shows after that is no consumption. One that goes back by less than half is taken to waver: the higher reading stays.
//!
//! Time only goes forward: a reading that is not later than the last one is left out. Of a counter nothing is lost by that, for the next reading
//! counts on from the same; only where in time it belongs is known less well.

use super::window::Amount;
use super::{QUARTER_US, begin_of, quarter_of};
use crate::counter::{Counted, Counter, CounterRule};
use crate::quantity::Quantity;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// An increment is spread over at most this time before its reading, in µs: 32 days.
pub const LONGEST_US: i64 = 32 * 96 * QUARTER_US;
/// A counter shows at most so many kWh: up to there, a difference of two numbers is right to a millionth.
pub const SHOWN_MAX: f64 = 1e9;
/// After so long behind its higher reading, in µs, a counter goes on from where it is: a day.
const BEHIND_US: i64 = 96 * QUARTER_US;
/// mW·µs in a millionth of a kWh.
const MW_US: i128 = 3_600_000_000;

/// What the tag of a meter says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Reads {
    /// How much there was since the counter began.
    Energy,
    /// How much is drawn now.
    Power,
}

impl Reads {
    /// The word in documents and answers.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Energy => "energy",
            Self::Power => "power",
        }
    }
}

/// How the readings of a meter are understood.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct MeterRule {
    /// What the tag says.
    pub reads: Reads,
    /// kWh in one unit of the tag; of a power, kW. Above zero.
    pub factor: f64,
    /// The first number that the counter cannot show, in the tag's unit. `None`: it never rolls over.
    pub rolls_over_at: Option<f64>,
    /// More than this is never drawn, in kW. An increment that needs more is not believed. `None`: any is.
    pub most_kw: Option<f64>,
}

/// The energy of a quarter hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Quarter {
    /// All of it, in mWh.
    pub energy: i64,
    /// How much of that is estimated.
    pub estimated: i64,
    /// From where in the quarter hour it is of, in µs from its beginning.
    pub from_us: i64,
    /// Until where.
    pub to_us: i64,
    /// For how long of that the meter was heard.
    pub metered_us: i64,
}

/// What is remembered of a meter, so that reading can go on from there.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Meter {
    /// When it was heard last, in µs since 1970.
    last_us: Option<i64>,
    /// Whether the next reading goes on from that one.
    goes_on: bool,
    /// What its counter showed, in kWh.
    counter: Counter,
    /// What it showed when it went back, until it goes on from there or is above its last reading again.
    low: Option<f64>,
    /// What power it said, in mW; what it has drawn and what is not yet a whole mWh, in mW·µs.
    power: i64,
    rest: i64,
    /// The quarter hour that is not over.
    number: i64,
    open: Quarter,
    /// All that was ever counted.
    counted: Amount,
}

/// What is odd in a reading of a counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Oddity {
    /// It went back and goes on from there; what it shows was counted since.
    Reset,
    /// It went back by less than half, which no reset does; nothing is counted until it shows more than before, at the longest a day.
    WentBack,
    /// It went up by more than can have been drawn; nothing was counted. So much, in kWh.
    NotBelieved(Quantity),
    /// It shows what no counter shows; the reading was left out.
    NoCount,
}

impl Meter {
    /// Until when it has been heard, in µs since 1970.
    #[must_use]
    pub const fn until_us(&self) -> Option<i64> {
        self.last_us
    }

    /// All that was ever counted of it.
    #[must_use]
    pub const fn counted(&self) -> Amount {
        self.counted
    }

    /// Another device, or another way to read it: its next reading is a first one. What was counted stays.
    pub const fn exchanged(&mut self) {
        self.goes_on = false;
    }

    /// Takes up a reading of good quality. Each quarter hour that it changes is handed to `keep` as a whole, in the place of what was kept of it.
    pub fn read(&mut self, rule: &MeterRule, at_us: i64, value: f64, keep: impl FnMut(i64, Quarter)) -> Option<Oddity> {
        if self.last_us.is_some_and(|last| at_us <= last) {
            return None;
        }
        if !self.goes_on {
            (self.counter, self.low, self.power, self.rest) = (Counter::default(), None, 0, 0);
        }
        match rule.reads {
            Reads::Energy => self.count(rule, at_us, value, keep),
            Reads::Power => self.draw(rule, at_us, value, keep),
        }
    }

    fn count(&mut self, rule: &MeterRule, at_us: i64, value: f64, keep: impl FnMut(i64, Quarter)) -> Option<Oddity> {
        // In whole mWh before a difference is made: differences would each be rounded, and add up to something else.
        let in_kwh = |value: f64| Quantity::from_f64(value * rule.factor).ok().map(Quantity::to_f64);
        let Some(shown) = in_kwh(value).filter(|shown| (0.0..=SHOWN_MAX).contains(shown)) else {
            return Some(Oddity::NoCount);
        };
        let from = self.last_us.filter(|_| self.goes_on).unwrap_or(at_us);
        let span = u64::try_from(at_us.saturating_sub(from).max(QUARTER_US)).unwrap_or_default();
        let hours = Duration::from_micros(span).as_secs_f64() / 3600.0;
        let counter = CounterRule {
            rolls_over_at: rule.rolls_over_at.and_then(in_kwh),
            scale: 1.0,
            at_most: rule.most_kw.and_then(|most| Quantity::from_f64(most * hours).ok()),
        };
        if self.counter.last().is_some_and(|last| is_back(counter, last, shown))
            && let Some(left_out) = self.back(shown, at_us.saturating_sub(from))
        {
            return left_out;
        }
        self.low = None;
        // Of a first reading nothing is known before it.
        let from = if self.counter.last().is_some() { from } else { at_us };
        let counted = self.counter.read(counter, shown);
        let (is_reset, oddity) = match counted {
            Counted::NoCount => return Some(Oddity::NoCount),
            Counted::Reset(_) => (true, Some(Oddity::Reset)),
            Counted::NotBelieved(amount) => (false, Some(Oddity::NotBelieved(amount))),
            Counted::First | Counted::More(_) | Counted::RolledOver(_) => (false, None),
        };
        (self.last_us, self.goes_on) = (Some(at_us), true);
        let is_estimated = is_reset || at_us.saturating_sub(from) > QUARTER_US;
        self.spread(from, at_us, counted.amount().millionths(), is_estimated, keep);
        oddity
    }

    /// Of a reading that went back, `since_us` after the last that counts: what is to be told where it is left out; `None`: it counts.
    fn back(&mut self, shown: f64, since_us: i64) -> Option<Option<Oddity>> {
        if self.counter.last().is_some_and(|last| shown >= last / 2.0) {
            if since_us > BEHIND_US {
                // It does not waver, it shows less for good.
                self.counter = Counter::default();
                return None;
            }
            return Some(Some(Oddity::WentBack));
        }
        if self.low.is_some_and(|low| low < shown) {
            return None;
        }
        self.low = Some(shown);
        Some(None)
    }

    /// Spreads an amount evenly over the time between two readings.
    fn spread(&mut self, from: i64, to: i64, amount: i64, is_estimated: bool, mut keep: impl FnMut(i64, Quarter)) {
        let from = from.max(to.saturating_sub(LONGEST_US));
        let whole = i128::from(to) - i128::from(from);
        let mut given: i64 = 0;
        for (begin, end) in pieces(from, to) {
            // What is due until here, less what was given: so that all of it is given in the end.
            let due = i128::from(amount) * (i128::from(end) - i128::from(from)) / whole.max(1);
            let share = i64::try_from(due).unwrap_or(i64::MAX) - given;
            given += share;
            self.add(begin, end, share, if is_estimated { share } else { 0 }, &mut keep);
        }
    }

    fn draw(&mut self, rule: &MeterRule, at_us: i64, value: f64, mut keep: impl FnMut(i64, Quarter)) -> Option<Oddity> {
        let kilowatts = value * rule.factor;
        let most = rule.most_kw.unwrap_or(SHOWN_MAX).min(SHOWN_MAX);
        if !kilowatts.is_finite() || kilowatts > most {
            return Some(Oddity::NoCount);
        }
        if let Some(last) = self.last_us.filter(|_| self.goes_on) {
            for (begin, end) in pieces(last, at_us.min(last.saturating_add(QUARTER_US))) {
                let drawn = i128::from(self.power) * i128::from(end - begin) + i128::from(self.rest);
                let energy = i64::try_from(drawn / MW_US).unwrap_or(i64::MAX);
                self.rest = i64::try_from(drawn % MW_US).unwrap_or_default();
                self.add(begin, end, energy, 0, &mut keep);
            }
        }
        (self.last_us, self.goes_on) = (Some(at_us), true);
        // What flows back is no consumption; a meter of its own counts it.
        self.power = Quantity::from_f64(kilowatts.max(0.0)).map_or(0, Quantity::millionths);
        None
    }

    /// Adds what belongs to a span within one quarter hour.
    fn add(&mut self, begin: i64, end: i64, energy: i64, estimated: i64, keep: &mut impl FnMut(i64, Quarter)) {
        let number = quarter_of(begin);
        let (from_us, to_us) = (begin - begin_of(number), end - begin_of(number));
        if number != self.number || self.open == Quarter::default() {
            self.number = number;
            self.open = Quarter { from_us, ..Quarter::default() };
        }
        self.open.energy = self.open.energy.saturating_add(energy);
        self.open.estimated = self.open.estimated.saturating_add(estimated);
        self.open.to_us = to_us;
        self.open.metered_us += to_us - from_us;
        self.counted += Amount { energy, estimated, metered_us: to_us - from_us };
        keep(number, self.open);
    }
}

/// Whether a counter has gone back, and not over the end of its register.
fn is_back(rule: CounterRule, last: f64, shown: f64) -> bool {
    matches!(Counter::at(last).read(CounterRule { at_most: None, ..rule }, shown), Counted::Reset(_))
}

/// A span, cut at quarter hours.
fn pieces(from: i64, to: i64) -> impl Iterator<Item = (i64, i64)> {
    let mut begin = from;
    std::iter::from_fn(move || {
        let piece = (begin, begin_of(quarter_of(begin) + 1).min(to));
        begin = piece.1;
        (piece.0 < piece.1).then_some(piece)
    })
}
