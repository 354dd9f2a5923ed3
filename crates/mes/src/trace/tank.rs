//! A vessel in which lots mix, and what is in what is drawn from it.
//!
//! The vessel is perfectly mixed: what is drawn holds each lot in the proportion in which the vessel held it then. What flows in and out
//! at the same time is handed in as steps one after another; the finer, the nearer to the truth.
//!
//! Everything is counted in millionths, and what a draw does not divide evenly goes by the largest remainders. So nothing is lost and
//! nothing is made by rounding: of each lot, what was drawn and what is left is what went in.

use crate::quantity::Quantity;
use andon_model::Timestamp;
use std::collections::BTreeMap;

/// The most lots in a vessel at once. Traces of old lots get fewer with each draw and go in the end.
pub const LOTS_MAX: usize = 10_000;

/// A perfectly mixed vessel. `L` is what a lot is known by.
#[derive(Clone, PartialEq, Debug)]
pub struct Tank<L> {
    lots: BTreeMap<L, i64>,
    total: i64,
}

/// Why something cannot flow in.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TankError {
    /// Less than nothing.
    #[error("{0} cannot flow: it is less than nothing")]
    Negative(Quantity),
    /// More than can be counted.
    #[error("with {0} more, the vessel would hold more than can be counted")]
    Full(Quantity),
    /// Too many lots.
    #[error("the vessel holds parts of {LOTS_MAX} lots; empty it before another comes")]
    Lots,
}

/// What was drawn.
#[derive(Clone, PartialEq, Debug)]
pub struct Drawn<L> {
    /// How much of each lot, in the order of the lots; none of it zero.
    pub parts: Vec<(L, Quantity)>,
    /// How much more was drawn than was known to be there.
    pub unknown: Quantity,
}

/// What is in something, without traces.
#[derive(Clone, PartialEq, Debug)]
pub struct Content<L> {
    /// How much of each lot, the largest part first.
    pub parts: Vec<(L, Quantity)>,
    /// How many lots are left out.
    pub left_out: usize,
    /// How much of all lots that are left out together.
    pub left_out_quantity: Quantity,
    /// How much of it nobody knows where it comes from.
    pub unknown: Quantity,
}

/// Something that flows.
#[derive(Clone, PartialEq, Debug)]
pub enum Flow<L> {
    /// So much of a lot flows in.
    In(L, Quantity),
    /// So much flows out.
    Out(Quantity),
    /// It is emptied and cleaned.
    Emptied,
}

impl<L: Ord + Clone> Default for Tank<L> {
    fn default() -> Self {
        Self { lots: BTreeMap::new(), total: 0 }
    }
}

impl<L: Ord + Clone> Tank<L> {
    /// How much is in it.
    #[must_use]
    pub const fn total(&self) -> Quantity {
        Quantity::from_millionths(self.total)
    }

    /// How much of each lot is in it.
    pub fn lots(&self) -> impl Iterator<Item = (&L, Quantity)> {
        self.lots.iter().map(|(lot, part)| (lot, Quantity::from_millionths(*part)))
    }

    /// How much of a whole a lot is, from 0 to 1; for people to look at.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "it is shown, not added up")]
    pub fn share(&self, lot: &L) -> f64 {
        if self.total == 0 { 0.0 } else { self.lots.get(lot).copied().unwrap_or(0) as f64 / self.total as f64 }
    }

    /// So much of a lot flows in.
    ///
    /// # Errors
    /// Less than nothing, more than can be counted, or one lot too many; nothing flowed.
    pub fn fill(&mut self, lot: L, quantity: Quantity) -> Result<(), TankError> {
        if quantity.is_negative() {
            return Err(TankError::Negative(quantity));
        }
        if quantity == Quantity::ZERO {
            return Ok(());
        }
        let total = self.total.checked_add(quantity.millionths()).ok_or(TankError::Full(quantity))?;
        if self.lots.len() >= LOTS_MAX && !self.lots.contains_key(&lot) {
            return Err(TankError::Lots);
        }
        self.total = total;
        *self.lots.entry(lot).or_insert(0) += quantity.millionths(); // No part is larger than the whole.
        Ok(())
    }

    /// So much flows out. What is drawn beyond what is there is of unknown lots.
    ///
    /// # Errors
    /// Less than nothing.
    pub fn draw(&mut self, quantity: Quantity) -> Result<Drawn<L>, TankError> {
        if quantity.is_negative() {
            return Err(TankError::Negative(quantity));
        }
        let taken = quantity.millionths().min(self.total);
        let unknown = Quantity::from_millionths(quantity.millionths() - taken);
        let parts = divided(&self.lots, self.total, taken);
        for (lot, part) in &parts {
            if let Some(left) = self.lots.get_mut(lot) {
                *left -= part;
            }
        }
        self.lots.retain(|_, left| *left > 0);
        self.total -= taken;
        let parts = parts.into_iter().map(|(lot, part)| (lot, Quantity::from_millionths(part))).collect();
        Ok(Drawn { parts, unknown })
    }

    /// Everything flows out.
    pub fn empty(&mut self) -> Drawn<L> {
        let drawn = std::mem::take(&mut self.lots);
        self.total = 0;
        let parts = drawn.into_iter().map(|(lot, part)| (lot, Quantity::from_millionths(part))).collect();
        Drawn { parts, unknown: Quantity::ZERO }
    }

    /// What was in the vessel after all that flowed until then, itself included. `flows` are in the order of their times.
    ///
    /// # Errors
    /// The first flow that cannot be.
    pub fn at(flows: &[(Timestamp, Flow<L>)], at: Timestamp) -> Result<Self, TankError> {
        let mut tank = Self::default();
        for (_, flow) in flows.iter().take_while(|(when, _)| *when <= at) {
            tank.flow(flow)?;
        }
        Ok(tank)
    }

    /// What each draw gave, with its time. `flows` are in the order of their times.
    ///
    /// # Errors
    /// The first flow that cannot be.
    pub fn draws(flows: &[(Timestamp, Flow<L>)]) -> Result<Vec<(Timestamp, Drawn<L>)>, TankError> {
        let mut tank = Self::default();
        let mut draws = Vec::new();
        for (when, flow) in flows {
            draws.extend(tank.flow(flow)?.map(|drawn| (*when, drawn)));
        }
        Ok(draws)
    }

    fn flow(&mut self, flow: &Flow<L>) -> Result<Option<Drawn<L>>, TankError> {
        match flow {
            Flow::In(lot, quantity) => self.fill(lot.clone(), *quantity).map(|()| None),
            Flow::Out(quantity) => self.draw(*quantity).map(Some),
            Flow::Emptied => {
                self.empty();
                Ok(None)
            }
        }
    }
}

impl<L: Ord + Clone> Drawn<L> {
    /// How much was drawn in all.
    #[must_use]
    pub fn total(&self) -> Quantity {
        self.parts.iter().map(|(_, part)| *part).sum::<Quantity>() + self.unknown
    }

    /// The lots that make up at least so many millionths of it, and how much the others come to together.
    #[must_use]
    pub fn content(&self, at_least_ppm: u32) -> Content<L> {
        let total = i128::from(self.total().millionths());
        let is_much = |part: Quantity| i128::from(part.millionths()) * 1_000_000 >= total * i128::from(at_least_ppm);
        let (mut parts, few): (Vec<_>, Vec<_>) = self.parts.iter().cloned().partition(|(_, part)| is_much(*part));
        parts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let left_out_quantity = few.iter().map(|(_, part)| *part).sum();
        Content { parts, left_out: few.len(), left_out_quantity, unknown: self.unknown }
    }
}

/// `taken` of `total`, divided as the lots are, exactly: each gets its part rounded down, and what is left over goes one by one to those
/// that lost most by it. A part that gets one more has not been given whole, so there is one more of it.
fn divided<L: Ord + Clone>(lots: &BTreeMap<L, i64>, total: i64, taken: i64) -> Vec<(L, i64)> {
    if taken == 0 {
        return Vec::new();
    }
    let mut parts = Vec::with_capacity(lots.len());
    let mut left_over = taken;
    for (lot, there_is) in lots {
        let product = i128::from(*there_is) * i128::from(taken);
        // Not more than `there_is`, for `taken` is not more than `total`.
        let part = i64::try_from(product / i128::from(total)).unwrap_or(*there_is);
        left_over -= part;
        parts.push((lot.clone(), part, product % i128::from(total)));
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| parts[*b].2.cmp(&parts[*a].2).then(a.cmp(b)));
    for place in order.into_iter().take(usize::try_from(left_over).unwrap_or(0)) {
        parts[place].1 += 1;
    }
    parts.into_iter().filter(|(_, part, _)| *part > 0).map(|(lot, part, _)| (lot, part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn q(millionths: i64) -> Quantity {
        Quantity::from_millionths(millionths)
    }

    #[test]
    fn a_draw_holds_the_lots_as_the_vessel_does() {
        let mut tank = Tank::default();
        tank.fill("A", q(60_000_000)).unwrap();
        tank.fill("B", q(40_000_000)).unwrap();
        assert_eq!(tank.draw(q(10_000_000)).unwrap().parts, [("A", q(6_000_000)), ("B", q(4_000_000))]);
        assert!((tank.share(&"A") - 0.6).abs() < 1e-12);
        tank.fill("C", q(10_000_000)).unwrap();
        assert_eq!(tank.draw(q(1)).unwrap().parts, [("A", q(1))], "the largest remainder gets what cannot be divided");
        let rest = tank.draw(q(200_000_000)).unwrap();
        assert_eq!(rest.unknown, q(100_000_001));
        assert_eq!((tank.total(), tank.lots().count()), (q(0), 0));
        assert_eq!(tank.draw(q(5)).unwrap(), Drawn { parts: vec![], unknown: q(5) });
    }

    #[test]
    fn traces_are_left_out_and_said() {
        let mut tank = Tank::default();
        for (lot, quantity) in [("A", 900_000), ("B", 99_000), ("C", 600), ("D", 400)] {
            tank.fill(lot, q(quantity)).unwrap();
        }
        let all = tank.draw(q(1_000_010)).unwrap();
        let content = all.content(1_000);
        assert_eq!(content.parts, [("A", q(900_000)), ("B", q(99_000))]);
        assert_eq!((content.left_out, content.left_out_quantity, content.unknown), (2, q(1_000), q(10)));
        assert_eq!(all.content(0).left_out, 0);
    }

    #[test]
    fn what_was_in_it_at_a_time_is_what_had_flowed_until_then() {
        let at = Timestamp::from_millis;
        let flows = [
            (at(0), Flow::In("A", q(100))),
            (at(10), Flow::Out(q(50))),
            (at(20), Flow::In("B", q(50))),
            (at(30), Flow::Out(q(10))),
            (at(40), Flow::Emptied),
            (at(50), Flow::Out(q(1))),
        ];
        let lots = |time| Tank::at(&flows, at(time)).unwrap().lots().map(|(l, n)| (*l, n)).collect::<Vec<_>>();
        assert_eq!(lots(9), [("A", q(100))]);
        assert_eq!(lots(20), [("A", q(50)), ("B", q(50))]);
        assert_eq!(lots(40), []);
        let draws = Tank::draws(&flows).unwrap();
        assert_eq!(draws[0].1.parts, [("A", q(50))], "what came later is not in it");
        assert_eq!(draws[1].1.parts, [("A", q(5)), ("B", q(5))]);
        assert_eq!(draws[2], (at(50), Drawn { parts: vec![], unknown: q(1) }));
    }

    #[test]
    fn what_cannot_flow_is_refused_and_changes_nothing() {
        let mut tank = Tank::default();
        tank.fill("A", q(i64::MAX)).unwrap();
        assert_eq!(tank.fill("B", q(1)), Err(TankError::Full(q(1))));
        assert_eq!(tank.fill("B", q(-1)), Err(TankError::Negative(q(-1))));
        assert_eq!(tank.draw(q(-1)), Err(TankError::Negative(q(-1))));
        assert_eq!(tank.draw(q(i64::MAX - 1)).unwrap().parts, [("A", q(i64::MAX - 1))]);
        assert_eq!(tank.lots().collect::<Vec<_>>(), [(&"A", q(1))]);
    }

    fn flows() -> impl Strategy<Value = Vec<Flow<u8>>> {
        let amount = prop_oneof![0..20i64, 0..5_000_000_000i64, Just(i64::MAX / 300)].prop_map(q);
        let flow = prop_oneof![
            4 => (0..12u8, amount.clone()).prop_map(|(lot, quantity)| Flow::In(lot, quantity)),
            4 => amount.prop_map(Flow::Out),
            1 => Just(Flow::Emptied),
        ];
        proptest::collection::vec(flow, 0..200)
    }

    proptest! {
        #[test]
        fn of_each_lot_what_was_drawn_and_what_is_left_is_what_went_in(flows in flows()) {
            let mut tank = Tank::default();
            let mut balance: BTreeMap<u8, i128> = BTreeMap::new();
            for flow in flows {
                let before = tank.total();
                match flow {
                    Flow::In(lot, quantity) => {
                        tank.fill(lot, quantity).unwrap();
                        *balance.entry(lot).or_default() += i128::from(quantity.millionths());
                    }
                    Flow::Out(quantity) => {
                        let held: BTreeMap<u8, i64> = tank.lots().map(|(l, n)| (*l, n.millionths())).collect();
                        let drawn = tank.draw(quantity).unwrap();
                        prop_assert_eq!(drawn.total(), quantity);
                        prop_assert_eq!(drawn.unknown, q((quantity.millionths() - before.millionths()).max(0)));
                        for (lot, part) in &drawn.parts {
                            *balance.entry(*lot).or_default() -= i128::from(part.millionths());
                            // Within one millionth of its share.
                            let taken = i128::from((quantity - drawn.unknown).millionths());
                            let off = i128::from(part.millionths()) * i128::from(before.millionths()) - i128::from(held[lot]) * taken;
                            prop_assert!(off.abs() < i128::from(before.millionths()), "{} of {:?}", part, held);
                        }
                    }
                    Flow::Emptied => {
                        for (lot, part) in tank.empty().parts {
                            *balance.entry(lot).or_default() -= i128::from(part.millionths());
                        }
                    }
                }
                let left: BTreeMap<u8, i128> = tank.lots().map(|(l, n)| (*l, i128::from(n.millionths()))).collect();
                balance.retain(|_, rest| *rest != 0);
                prop_assert_eq!(&left, &balance);
                prop_assert_eq!(tank.total(), tank.lots().map(|(_, n)| n).sum());
            }
        }
    }
}
