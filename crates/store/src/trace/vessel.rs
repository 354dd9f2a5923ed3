//! A vessel in which lots mix: what is in it, and what is in what is drawn from it. Pure: keys and millionths, no store.
//!
//! Ideally mixed, what is drawn holds each lot in the proportion in which the vessel held it then; in a vessel of plug flow, what came
//! first leaves first. What a draw does not divide evenly goes by the largest remainders, so that nothing is lost and nothing is made by
//! rounding: of each lot, what was drawn and what is left is what came in.
//!
//! # What a recall must not lose
//! Of an ideally mixed vessel each draw names every lot that is in there, one of which its part comes to less than a millionth with a
//! quantity of nothing. A lot of which less than a millionth of the content is left ([`Content::faint`]) would be named for ever and ever, so
//! it becomes part of a lot of traces, which is in the vessel in its place: what the traces are in is reached from it by way of them.

use serde::{Deserialize, Serialize};

/// The most lots in a vessel of ideal mixing, and fills in one of plug flow, at once.
pub const LAYERS_MAX: usize = 2_000;
/// A lot of less than one in so many of the content becomes part of the traces.
const FAINT: i128 = 1_000_000;
/// Traces are gathered in one lot while the vessel is drained so many times over, then in another: so that what was drawn long before a
/// lot came is not reached from it.
const TURNOVERS: i64 = 8;

/// How lots mix.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mixing {
    /// What is drawn holds them as the vessel does.
    Ideal,
    /// First in, first out.
    Plug,
}

/// What flowed, as it stands in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowKind {
    /// A lot came in.
    Fill,
    /// It was drawn into a lot or unit.
    Draw,
    /// It was emptied and cleaned.
    Empty,
    /// Less was in it than was counted.
    Loss,
    /// More was in it than was counted.
    Surplus,
    /// What is left of a lot became part of the traces.
    Traces,
}

impl FlowKind {
    /// Every kind, in the order of their numbers in the store.
    pub const ALL: [Self; 6] = [Self::Fill, Self::Draw, Self::Empty, Self::Loss, Self::Surplus, Self::Traces];

    /// The word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Fill => "fill",
            Self::Draw => "draw",
            Self::Empty => "empty",
            Self::Loss => "loss",
            Self::Surplus => "surplus",
            Self::Traces => "traces",
        }
    }
}

/// Something that flows. Items are keys, 0 for none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Flow {
    pub(crate) kind: FlowKind,
    pub(crate) mixing: Mixing,
    /// What comes in, or becomes traces.
    pub(crate) item: i64,
    /// What stands for the traces.
    pub(crate) into: i64,
    pub(crate) quantity: i64,
    /// When it was, also where it was told late.
    pub(crate) told: i64,
}

/// So much of a lot.
pub(crate) type Part = (i64, i64);

/// A lot in a vessel, and when it came.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Layer {
    item: i64,
    at: i64,
    quantity: i64,
}

/// What is in a vessel: what leaves first is first.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Content {
    layers: Vec<Layer>,
    /// What was in it when it was drawn empty last: of that is what is found in it all the same.
    last: Vec<Part>,
    /// What is in it was found while it was empty. Drawn in turn, it does not become what was in it last: else all that is ever found
    /// would be a chain, and a recall goes only so deep.
    found: bool,
    /// The lots that stand for traces now, each with its material.
    traces: Vec<(i64, i64)>,
    /// How much was drawn since the first of these was made.
    drawn: i64,
}

impl Content {
    pub(crate) fn level(&self) -> i64 {
        // What would be more is not let in.
        self.layers.iter().fold(0, |sum, layer| sum.saturating_add(layer.quantity))
    }

    pub(crate) fn is_full(&self) -> bool {
        self.layers.len() >= LAYERS_MAX
    }

    /// How much of each lot, in the order in which they came.
    pub(crate) fn lots(&self) -> Vec<Part> {
        let parts = self.layers.iter().map(|layer| (layer.item, layer.quantity));
        summed(parts)
    }

    /// What is found in it beyond what was counted is of: what is in it, or was in it last.
    pub(crate) fn origins(&self) -> Vec<Part> {
        if self.layers.is_empty() { self.last.clone() } else { self.lots() }
    }

    /// What a draw would hold of each lot; of at most what is in it.
    pub(crate) fn drawn(&self, quantity: i64, mixing: Mixing) -> Vec<Part> {
        let quantity = quantity.min(self.level());
        match mixing {
            Mixing::Ideal => {
                let lots = self.lots();
                let parts = divided(&lots.iter().map(|(_, held)| *held).collect::<Vec<_>>(), quantity);
                lots.into_iter().zip(parts).map(|((item, _), part)| (item, part)).collect()
            }
            Mixing::Plug => {
                let (mut wanted, is_all) = (quantity, quantity == self.level());
                let taken = self.layers.iter().map_while(|layer| {
                    let part = layer.quantity.min(wanted);
                    let is_taken = wanted > 0 || is_all;
                    wanted -= part;
                    is_taken.then_some((layer.item, part))
                });
                summed(taken.collect::<Vec<_>>().into_iter())
            }
        }
    }

    /// Lets it flow; returns what left, lot by lot.
    pub(crate) fn flow(&mut self, flow: &Flow) -> Vec<Part> {
        match flow.kind {
            FlowKind::Fill => {
                self.fill(flow);
                Vec::new()
            }
            FlowKind::Surplus => {
                self.found |= self.layers.is_empty();
                // Of what was drawn less than was counted, which is what leaves first.
                self.layers.insert(0, Layer { item: flow.item, at: flow.told, quantity: flow.quantity });
                Vec::new()
            }
            FlowKind::Draw | FlowKind::Loss => self.drain(flow),
            FlowKind::Empty => {
                let parts = self.lots();
                *self = Self::default();
                parts
            }
            FlowKind::Traces => {
                self.fade(flow);
                Vec::new()
            }
        }
    }

    fn fill(&mut self, flow: &Flow) {
        let layer = Layer { item: flow.item, at: flow.told, quantity: flow.quantity };
        // What is told late came before what is there already.
        let after = self.layers.partition_point(|there| there.at <= layer.at);
        let same = match flow.mixing {
            Mixing::Ideal => self.layers.iter().position(|there| there.item == layer.item),
            Mixing::Plug => after.checked_sub(1).filter(|before| self.layers[*before].item == layer.item),
        };
        match same {
            Some(place) => self.layers[place].quantity = self.layers[place].quantity.saturating_add(layer.quantity),
            None => self.layers.insert(after, layer),
        }
        self.last.clear();
        self.found = false;
    }

    fn drain(&mut self, flow: &Flow) -> Vec<Part> {
        let parts = self.drawn(flow.quantity, flow.mixing);
        for (item, part) in &parts {
            let mut left = *part;
            for layer in self.layers.iter_mut().filter(|layer| layer.item == *item) {
                let taken = layer.quantity.min(left);
                layer.quantity -= taken;
                left -= taken;
            }
        }
        self.drawn = self.drawn.saturating_add(flow.quantity);
        if self.level() == 0 {
            self.layers.clear();
            (self.traces, self.drawn) = (Vec::new(), 0);
            if !self.found || self.last.is_empty() {
                self.last.clone_from(&parts);
            }
            self.found = false;
        } else if flow.mixing == Mixing::Plug {
            let left = self.layers.iter().position(|layer| layer.quantity > 0).unwrap_or(0);
            self.layers.drain(..left);
        }
        parts
    }

    fn fade(&mut self, flow: &Flow) {
        let gone = |layer: &Layer| layer.item == flow.item;
        let left = self.layers.iter().filter(|layer| gone(layer)).map(|layer| layer.quantity).sum::<i64>();
        self.layers.retain(|layer| !gone(layer));
        match self.layers.iter_mut().find(|layer| layer.item == flow.into) {
            Some(layer) => layer.quantity = layer.quantity.saturating_add(left),
            None => {
                let after = self.layers.partition_point(|there| there.at <= flow.told);
                self.layers.insert(after, Layer { item: flow.into, at: flow.told, quantity: left });
            }
        }
    }

    /// The lots of which so little is left that they become part of the traces.
    pub(crate) fn faint(&self) -> Vec<Part> {
        let level = i128::from(self.level());
        let is_faint = |part: &Part| i128::from(part.1) * FAINT < level && !self.stands_for_traces(part.0);
        self.lots().into_iter().filter(is_faint).collect()
    }

    fn stands_for_traces(&self, item: i64) -> bool {
        self.traces.iter().any(|(_, traces)| *traces == item)
    }

    /// The lot that stands for traces of a material now.
    pub(crate) fn traces_of(&self, material: i64) -> Option<i64> {
        self.traces.iter().find(|(of, _)| *of == material).map(|(_, item)| *item)
    }

    /// From now on traces of a material are gathered in this lot.
    pub(crate) fn set_traces(&mut self, material: i64, item: i64) {
        self.traces.retain(|(of, _)| *of != material);
        self.traces.push((material, item));
    }

    /// Once it was drained so many times over, traces are gathered in new lots.
    pub(crate) fn turn_over(&mut self) {
        if self.drawn > self.level().saturating_mul(TURNOVERS) {
            (self.traces, self.drawn) = (Vec::new(), 0);
        }
    }

    /// Only what is in it: what a draw is told by.
    #[cfg(test)]
    fn is_as(&self, other: &Self) -> bool {
        self.lots() == other.lots()
    }
}

/// One entry for each lot, in the order in which they come.
fn summed(parts: impl Iterator<Item = Part>) -> Vec<Part> {
    let mut places = std::collections::HashMap::new();
    let mut all: Vec<Part> = Vec::new();
    for (item, quantity) in parts {
        let place = *places.entry(item).or_insert(all.len());
        match all.get_mut(place) {
            Some((_, sum)) => *sum = sum.saturating_add(quantity),
            None => all.push((item, quantity)),
        }
    }
    all
}

/// `taken`, divided as `held` is, exactly: each gets its part rounded down, and what is left over goes one by one to those that lost most by
/// it. `taken` is not more than all that is held. A part that gets one more was not given whole, so there is one more of it.
pub(crate) fn divided(held: &[i64], taken: i64) -> Vec<i64> {
    let total: i128 = held.iter().map(|part| i128::from(*part)).sum();
    if taken == 0 || total == 0 {
        return vec![0; held.len()];
    }
    let mut left_over = taken;
    let mut parts: Vec<(i64, i128)> = Vec::with_capacity(held.len());
    for there_is in held {
        let product = i128::from(*there_is) * i128::from(taken);
        let part = i64::try_from(product / total).unwrap_or(*there_is);
        left_over -= part;
        parts.push((part, product % total));
    }
    let mut order: Vec<usize> = (0..parts.len()).collect();
    order.sort_by(|a, b| parts[*b].1.cmp(&parts[*a].1).then(a.cmp(b)));
    for place in order.into_iter().take(usize::try_from(left_over).unwrap_or(0)) {
        parts[place].0 += 1;
    }
    parts.into_iter().map(|(part, _)| part).collect()
}

#[cfg(test)]
mod tests;
