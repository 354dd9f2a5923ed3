//! What is remembered of one station: readings that belong to no unit yet, and the last units.

use super::Remark;
use andon_model::{TagPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Number;
use std::collections::BTreeMap;

/// So many units are remembered: what comes late for one of them is added to it.
const UNITS: usize = 64;
/// So many readings of a tag wait for their unit; the oldest go first, for the newest is what counts.
const WAITING: usize = 32;

/// So many products are remembered, one after the other.
const PRODUCTS: usize = 16;

/// What a reading says.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reading {
    /// A serial number, the number of a lot, or which program it is.
    Number(String),
    /// A measured value.
    Measured(Number),
    /// Whether it was good.
    Passed(bool),
}

impl Reading {
    fn shown(&self) -> String {
        match self {
            Self::Number(number) => number.clone(),
            Self::Measured(value) => value.to_string(),
            Self::Passed(passed) => if *passed { "passed" } else { "not passed" }.to_owned(),
        }
    }
}

/// Something that was said of one time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(from = "(i64, T)", into = "(i64, T)", bound = "T: Clone + Serialize + serde::de::DeserializeOwned")]
struct Said<T> {
    at: i64,
    /// When it came, while its frame is taken up; what came with earlier frames came before all of it: 0.
    received: i64,
    what: T,
}

impl<T> From<(i64, T)> for Said<T> {
    fn from((at, what): (i64, T)) -> Self {
        Self { at, received: 0, what }
    }
}

impl<T> From<Said<T>> for (i64, T) {
    fn from(said: Said<T>) -> Self {
        (said.at, said.what)
    }
}

/// A unit that passed.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
struct Unit {
    serial: String,
    at: i64,
    /// As [`Said::received`].
    #[serde(skip)]
    received: i64,
    /// Its serial number was said again until then; what comes after is of the next one.
    upto: i64,
    /// What is told of it, and of when that is.
    said: BTreeMap<String, (i64, Reading)>,
}

/// What is remembered of a station, from one frame of the lane to the next.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Heard {
    /// Readings after the last unit, by what they say, in order of time.
    waiting: BTreeMap<String, Vec<Said<Reading>>>,
    /// The last units, in order of time.
    units: Vec<Unit>,
    /// Which product is made, from when on, in order of time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    products: Vec<Said<String>>,
    /// What is not after this is of units that are not remembered.
    #[serde(default)]
    forgotten: Option<i64>,
}

/// A pass, or more of one.
pub(super) struct Passed {
    pub(super) serial: String,
    pub(super) at: Timestamp,
    pub(super) product: Option<String>,
    pub(super) said: BTreeMap<String, Reading>,
    pub(super) more: bool,
}

/// When something was, and when it came. What was at one instant, as a coarse clock says, is told apart by when it came.
pub(super) type When = (Timestamp, Timestamp);
/// A reading of a frame: when, by which word, what, by which tag.
type Other<'t> = (When, String, Reading, &'t TagPath);

impl Heard {
    /// Takes up which product is made.
    pub(super) fn makes(&mut self, products: Vec<(When, String)>) {
        for ((at, received), what) in products {
            let said = Said { at: at.micros(), received: received.micros(), what };
            let place = self.products.partition_point(|known| (known.at, known.received) <= (said.at, said.received));
            // What is said again begins nothing.
            if place.checked_sub(1).is_none_or(|before| self.products[before].what != said.what) {
                self.products.insert(place, said);
            }
        }
        let extra = self.products.len().saturating_sub(PRODUCTS);
        self.products.drain(..extra);
    }

    /// Which product was made then, as far as that had come.
    fn product_at(&self, when: (i64, i64)) -> Option<String> {
        let end = self.products.partition_point(|known| (known.at, known.received) <= when);
        end.checked_sub(1).map(|place| self.products[place].what.clone())
    }

    /// Until when, and until it came when, what is said is of this unit: all of its time, but where another unit passed at the same
    /// instant, what came with it or before.
    fn end_of(&self, at: usize) -> (i64, i64) {
        let unit = &self.units[at];
        let is_shared = self.units.get(at + 1).is_some_and(|next| next.at == unit.upto);
        (unit.upto, if is_shared { unit.received } else { i64::MAX })
    }

    /// Takes up what a frame says of the station. Serial numbers first, for they say to whom the rest belongs.
    pub(super) fn take(
        &mut self,
        mut serials: Vec<(When, String)>,
        mut others: Vec<Other<'_>>,
    ) -> (Vec<Passed>, Vec<Remark>) {
        serials.sort_by_key(|(when, _)| *when);
        others.sort_by_key(|(when, ..)| *when);
        let (mut passes, mut remarks) = (Vec::new(), Vec::new());
        let mut new = Vec::new();
        for ((at, received), serial) in serials {
            let (at, received) = (at.micros(), received.micros());
            if self.forgotten.is_some_and(|upto| at <= upto) {
                // It may have been told before it was forgotten: recording it a second time changes nothing.
                let (product, at) = (self.product_at((at, i64::MAX)), Timestamp::from_micros(at));
                passes.push(Passed { serial, at, product, said: BTreeMap::new(), more: false });
                continue;
            }
            if let Some(unit) =
                self.units.iter_mut().find(|unit| unit.at <= at && at <= unit.upto && unit.serial == serial)
            {
                unit.received = received; // Said again, and what comes with it as well.
                continue;
            }
            let place = self.units.partition_point(|unit| (unit.at, unit.received) <= (at, received));
            self.units.insert(place, Unit { serial: serial.clone(), at, received, upto: at, said: BTreeMap::new() });
            new.push((at, serial));
        }
        for ((at, received), word, what, tag) in others {
            if self.forgotten.is_some_and(|upto| at.micros() <= upto) {
                remarks.push(Remark::TooLate { tag: tag.clone(), at });
                continue;
            }
            let waiting = self.waiting.entry(word).or_default();
            // What is said again is there already, and of two said at one instant the last one counts.
            let said = Said { at: at.micros(), received: received.micros(), what };
            let place = waiting.partition_point(|known| (known.at, known.received) <= (said.at, said.received));
            waiting.insert(place, said);
        }
        self.share_out(&new, &mut passes, &mut remarks);
        self.forget();
        (passes, remarks)
    }

    /// Gives what waits to the units it belongs to.
    fn share_out(&mut self, new: &[(i64, String)], passes: &mut Vec<Passed>, remarks: &mut Vec<Remark>) {
        let mut at = 0;
        while at < self.units.len() {
            let end = self.end_of(at);
            let mut own = BTreeMap::new();
            for (word, waiting) in &mut self.waiting {
                let end = waiting.partition_point(|known| (known.at, known.received) <= end);
                own.extend(waiting.drain(..end).next_back().map(|last| (word.clone(), last.into())));
            }
            let is_new =
                new.iter().any(|(when, serial)| *when == self.units[at].at && *serial == self.units[at].serial);
            if is_new && self.is_said_again(at, &own) {
                let again = self.units.remove(at);
                let product = self.product_at((self.units[at - 1].at, i64::MAX));
                let unit = &mut self.units[at - 1];
                unit.upto = unit.upto.max(again.at);
                passes.extend(more(unit, own, product, &mut Vec::new()));
                continue;
            }
            let product = self.product_at((self.units[at].at, end.1));
            let unit = &mut self.units[at];
            if is_new {
                let said = own.iter().map(|(word, (_, reading))| (word.clone(), reading.clone())).collect();
                passes.push(Passed {
                    serial: unit.serial.clone(),
                    at: Timestamp::from_micros(unit.at),
                    product,
                    said,
                    more: false,
                });
                unit.said = own;
            } else {
                passes.extend(more(unit, own, product, remarks));
            }
            at += 1;
        }
        self.waiting.retain(|_, waiting| !waiting.is_empty());
    }

    /// Whether a serial number says again what was said just before, with nothing that differs.
    fn is_said_again(&self, at: usize, own: &BTreeMap<String, (i64, Reading)>) -> bool {
        let Some(before) = at.checked_sub(1).map(|before| &self.units[before]) else { return false };
        before.serial == self.units[at].serial
            && own.iter().all(|(word, (_, reading))| before.said.get(word).is_none_or(|(_, known)| known == reading))
    }

    fn forget(&mut self) {
        if self.units.len() > UNITS {
            let gone = self.units.drain(..self.units.len() - UNITS).map(|unit| unit.upto).max();
            self.forgotten = self.forgotten.max(gone);
        }
        for waiting in self.waiting.values_mut() {
            let extra = waiting.len().saturating_sub(WAITING);
            waiting.drain(..extra);
        }
        // The next frame comes after all of this.
        self.units.iter_mut().for_each(|unit| unit.received = 0);
        self.products.iter_mut().for_each(|said| said.received = 0);
        self.waiting.values_mut().flatten().for_each(|said| said.received = 0);
    }
}

/// More of a unit that was told of.
fn more(
    unit: &mut Unit,
    own: BTreeMap<String, (i64, Reading)>,
    product: Option<String>,
    remarks: &mut Vec<Remark>,
) -> Option<Passed> {
    let mut said = BTreeMap::new();
    for (word, (when, reading)) in own {
        match unit.said.get(&word) {
            None => {
                said.insert(word.clone(), reading.clone());
                unit.said.insert(word, (when, reading));
            }
            // An older one is only what the newer one has replaced.
            Some((known, told)) if when > *known && *told != reading => remarks.push(Remark::Otherwise {
                serial: unit.serial.clone(),
                at: Timestamp::from_micros(unit.at),
                said: format!("{word} {}", reading.shown()),
            }),
            Some(_) => {}
        }
    }
    let at = Timestamp::from_micros(unit.at);
    (!said.is_empty()).then(|| Passed { serial: unit.serial.clone(), at, product, said, more: true })
}
