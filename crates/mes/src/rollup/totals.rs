//! The totals of a slot: sums, and how much time and how many stops each reason had. And their bytes.

use crate::element::Element;
use crate::quantity::Quantity;
use crate::sums::{Amounts, Sums};
use crate::unit::{Piece, ReasonId};
use andon_model::varint::{self, VarintError};
use std::collections::BTreeMap;
use std::ops::{Add, AddAssign, Sub};

/// Time and stops of one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReasonTotal {
    /// µs that were not production and had this reason.
    pub micros: i64,
    /// How many stops began with it.
    pub stops: i64,
}

/// By what stops are told apart: what they count as, and why. `None`: nobody has said.
type Key = (Element, Option<ReasonId>);

/// What is added up over a slot, or over a window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// Times, amounts, work.
    pub sums: Sums,
    /// Time and stops by reason, where they are not nothing.
    reasons: BTreeMap<Key, ReasonTotal>,
}

/// Why bytes are no totals.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TotalsError {
    /// A number in them is none.
    #[error("totals that cannot be read: {0}")]
    Number(#[from] VarintError),
    /// They were written by a later version.
    #[error("totals of format {0}, which this version does not know; start the version that wrote them")]
    Version(u8),
    /// They hold what no totals hold.
    #[error("totals that hold {0}")]
    Content(&'static str),
}

/// The first byte of totals.
const VERSION: u8 = 1;

impl Totals {
    /// The time of pieces, by element and by reason, and the stops that begin in them.
    #[must_use]
    pub fn of_pieces(pieces: &[Piece]) -> Self {
        let mut totals = Self::default();
        for piece in pieces {
            totals.sums += Sums::of_time(piece.element, piece.micros());
            if piece.element != Element::Production && (piece.moment.reason.is_some() || is_delay(piece.element)) {
                let total = totals.reasons.entry((piece.element, piece.moment.reason)).or_default();
                total.micros += piece.micros();
                total.stops += i64::from(piece.begins_stop);
            }
        }
        totals
    }

    /// Amounts, with their planned run time.
    #[must_use]
    pub const fn of_sums(sums: Sums) -> Self {
        Self { sums, reasons: BTreeMap::new() }
    }

    /// Time and stops by what they count as and why.
    pub fn reasons(&self) -> impl Iterator<Item = (Element, Option<ReasonId>, ReasonTotal)> {
        self.reasons.iter().map(|((element, reason), total)| (*element, *reason, *total))
    }

    /// As bytes: a version, then numbers of variable length. About 60 bytes for an hour.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        let mut put = |number: i64| varint::put(&mut out, varint::zigzag(number));
        Element::ALL.into_iter().for_each(|element| put(self.sums.micros(element)));
        for amounts in [self.sums.amounts, self.sums.booked, self.sums.planned] {
            [amounts.good, amounts.scrap, amounts.rework].into_iter().for_each(|quantity| put(quantity.millionths()));
        }
        for work in [self.sums.work_produced, self.sums.work_good] {
            // High and low half; the low one is not signed.
            put((work >> 64) as i64);
            put((work as u64).cast_signed());
        }
        put(i64::try_from(self.reasons.len()).unwrap_or(i64::MAX));
        for ((element, reason), total) in &self.reasons {
            put(i64::try_from(element.index()).unwrap_or(0));
            put(reason.map_or(0, |reason| i64::from(reason.0) + 1));
            put(total.micros);
            put(total.stops);
        }
        out
    }

    /// From bytes.
    ///
    /// # Errors
    /// They are not what [`Totals::encode`] writes.
    pub fn decode(bytes: &[u8]) -> Result<Self, TotalsError> {
        let (version, mut rest) = bytes.split_first().ok_or(TotalsError::Content("nothing"))?;
        if *version != VERSION {
            return Err(TotalsError::Version(*version));
        }
        let rest = &mut rest;
        let mut totals = Self::default();
        for element in Element::ALL {
            totals.sums += Sums::of_time(element, take(rest)?);
        }
        let mut amounts = || -> Result<Amounts, TotalsError> {
            let mut quantity = || take(rest).map(Quantity::from_millionths);
            Ok(Amounts { good: quantity()?, scrap: quantity()?, rework: quantity()? })
        };
        (totals.sums.amounts, totals.sums.booked, totals.sums.planned) = (amounts()?, amounts()?, amounts()?);
        let mut work = || -> Result<i128, TotalsError> {
            let (high, low) = (take(rest)?, take(rest)?);
            Ok((i128::from(high) << 64) | i128::from(low.cast_unsigned()))
        };
        (totals.sums.work_produced, totals.sums.work_good) = (work()?, work()?);
        let mut before: Option<Key> = None;
        for _ in 0..take(rest)? {
            let element = usize::try_from(take(rest)?).ok().and_then(|at| Element::ALL.get(at)).copied();
            let element = element.ok_or(TotalsError::Content("an element that there is not"))?;
            let reason = match take(rest)? {
                0 => None,
                number => Some(ReasonId(
                    u32::try_from(number - 1).map_err(|_| TotalsError::Content("a reason that there is not"))?,
                )),
            };
            let key = (element, reason);
            if before.is_some_and(|before| key <= before) {
                return Err(TotalsError::Content("reasons in another order"));
            }
            before = Some(key);
            totals.reasons.insert(key, ReasonTotal { micros: take(rest)?, stops: take(rest)? });
        }
        if rest.is_empty() { Ok(totals) } else { Err(TotalsError::Content("more than totals")) }
    }

    fn add_reasons(&mut self, other: &Self, sign: i64) {
        for (key, total) in &other.reasons {
            let sum = self.reasons.entry(*key).or_default();
            sum.micros += sign * total.micros;
            sum.stops += sign * total.stops;
        }
        self.reasons.retain(|_, total| *total != ReasonTotal::default());
    }
}

fn take(rest: &mut &[u8]) -> Result<i64, TotalsError> {
    Ok(varint::unzigzag(varint::take(rest)?))
}

const fn is_delay(element: Element) -> bool {
    matches!(element, Element::Delay | Element::MinorStop)
}

impl AddAssign<&Self> for Totals {
    fn add_assign(&mut self, other: &Self) {
        self.sums += other.sums;
        self.add_reasons(other, 1);
    }
}

impl Add<&Self> for Totals {
    type Output = Self;
    fn add(mut self, other: &Self) -> Self {
        self += other;
        self
    }
}

impl Sub<&Self> for Totals {
    type Output = Self;
    /// What has to be added to `other` to get this.
    fn sub(mut self, other: &Self) -> Self {
        self.sums = self.sums - other.sums;
        self.add_reasons(other, -1);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn totals() -> impl Strategy<Value = Totals> {
        let times = proptest::array::uniform8(-1i64 << 50..1i64 << 50);
        let quantities = proptest::array::uniform9(-1i64 << 50..1i64 << 50);
        let work = (any::<i64>(), any::<u64>()).prop_map(|(high, low)| (i128::from(high >> 8) << 64) | i128::from(low));
        let element = proptest::sample::select(Element::ALL.to_vec());
        let reason = (element, proptest::option::of(any::<u32>().prop_map(ReasonId)), 1i64..1 << 50, -50i64..50);
        (times, quantities, work, proptest::collection::vec(reason, 0..6)).prop_map(|(times, q, work, reasons)| {
            let amounts = |q: &[i64]| {
                let [good, scrap, rework] = [q[0], q[1], q[2]].map(Quantity::from_millionths);
                Amounts { good, scrap, rework }
            };
            let mut sums: Sums =
                Element::ALL.into_iter().zip(times).map(|(element, micros)| Sums::of_time(element, micros)).sum();
            (sums.amounts, sums.booked, sums.planned) = (amounts(&q[..3]), amounts(&q[3..6]), amounts(&q[6..]));
            (sums.work_produced, sums.work_good) = (work, -work / 3);
            let reasons = reasons
                .into_iter()
                .map(|(element, reason, micros, stops)| ((element, reason), ReasonTotal { micros, stops }));
            Totals { sums, reasons: reasons.collect() }
        })
    }

    proptest! {
        #[test]
        fn bytes_give_them_back(totals in totals()) {
            prop_assert_eq!(Totals::decode(&totals.encode()), Ok(totals));
        }

        #[test]
        fn what_was_added_can_be_taken_away(a in totals(), b in totals()) {
            let both = a.clone() + &b;
            prop_assert_eq!(both.clone() - &b, a.clone());
            prop_assert_eq!(b.clone() + &a, both);
            prop_assert_eq!(a.clone() - &a, Totals::default());
        }

        #[test]
        fn no_bytes_are_a_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..80), totals in totals(), at in any::<usize>(), byte in any::<u8>()) {
            let _ = Totals::decode(&bytes);
            bytes = totals.encode();
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = Totals::decode(&bytes);
            prop_assert!(Totals::decode(&totals.encode()[..at]).is_err(), "a beginning is no whole");
        }
    }

    #[test]
    fn another_version_is_refused_with_a_clear_word() {
        let told = Totals::decode(&[2, 0]).expect_err("is none").to_string();
        assert_eq!(told, "totals of format 2, which this version does not know; start the version that wrote them");
    }

    #[test]
    fn an_hour_takes_few_bytes() {
        let mut totals = Totals::of_sums(
            Sums::of_time(Element::Production, 3_000_000_000) + Sums::of_time(Element::Delay, 600_000_000),
        );
        totals.sums += Sums::of_amounts(
            Amounts { good: Quantity::from_millionths(36_000_000_000), ..Amounts::default() },
            Some(100_000_000),
        );
        totals.reasons.insert((Element::Delay, Some(ReasonId(7))), ReasonTotal { micros: 600_000_000, stops: 3 });
        assert!(totals.encode().len() < 70, "{}", totals.encode().len());
    }
}
