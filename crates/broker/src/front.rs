//! The front of a queue: entries at places that stay their own, given in ascending order.
//!
//! **Idea.** They mostly leave in the order in which they came, so the places are a ring, and an entry is found by counting.
//!
//! **Invariant.** The ring spans [`SPAN`] places at most: who answers all but the first message does not make it grow without
//! end. What stays while so many came behind it moves aside into a tree.

use crate::queue::{Entry, ID_WINDOW};
use std::collections::{BTreeMap, VecDeque};

/// The most places of the ring.
const SPAN: usize = 2 * ID_WINDOW;
/// An empty ring with more places than this gives its memory back.
const IDLE: usize = 16;

/// Entries by place.
#[derive(Debug, Default)]
pub(crate) struct Front {
    /// Those that stayed; their places are all below `first`.
    aside: BTreeMap<u64, Entry>,
    /// The place where the ring begins; if it is empty, the next one to be given.
    first: u64,
    ring: VecDeque<Option<Entry>>,
    len: usize,
}

impl Front {
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// The place that the next entry gets.
    pub(crate) fn next_place(&self) -> u64 {
        self.first + self.ring.len() as u64
    }

    /// Appends an entry; its place.
    pub(crate) fn push(&mut self, entry: Entry) -> u64 {
        if self.ring.len() >= SPAN {
            if let Some(entry) = self.ring.pop_front().flatten() {
                self.aside.insert(self.first, entry);
            }
            self.first += 1;
        }
        let place = self.next_place();
        self.ring.push_back(Some(entry));
        self.len += 1;
        place
    }

    fn index(&self, place: u64) -> Option<usize> {
        usize::try_from(place.checked_sub(self.first)?).ok()
    }

    pub(crate) fn get_mut(&mut self, place: u64) -> Option<&mut Entry> {
        match self.index(place) {
            Some(index) => self.ring.get_mut(index)?.as_mut(),
            None => self.aside.get_mut(&place),
        }
    }

    pub(crate) fn remove(&mut self, place: u64) -> Option<Entry> {
        let entry = match self.index(place) {
            Some(index) => self.ring.get_mut(index)?.take(),
            None => self.aside.remove(&place),
        }?;
        self.len -= 1;
        while self.ring.pop_front_if(|entry| entry.is_none()).is_some() {
            self.first += 1;
        }
        if self.ring.is_empty() && self.ring.capacity() > IDLE {
            self.ring = VecDeque::new();
        }
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.aside.values().chain(self.ring.iter().flatten())
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Entry> {
        self.aside.values_mut().chain(self.ring.iter_mut().flatten())
    }

    /// The entries at `place` and behind it.
    pub(crate) fn from(&self, place: u64) -> impl Iterator<Item = &Entry> {
        let index = self.index(place).unwrap_or(0).min(self.ring.len());
        self.aside.range(place.min(self.first)..).map(|(_, entry)| entry).chain(self.ring.range(index..).flatten())
    }

    /// The first entry at `place` or behind it, with its place.
    pub(crate) fn next_from(&mut self, place: u64) -> Option<(u64, &mut Entry)> {
        let index = self.index(place).unwrap_or(0).min(self.ring.len());
        if let Some((place, entry)) = self.aside.range_mut(place.min(self.first)..).next() {
            return Some((*place, entry));
        }
        let (places, entries) = (self.first + index as u64.., self.ring.range_mut(index..));
        places.zip(entries).find_map(|(place, entry)| Some((place, entry.as_mut()?)))
    }

    /// The place of the last entry before `place`.
    pub(crate) fn before(&self, place: u64) -> Option<u64> {
        let index = self.index(place).unwrap_or(0).min(self.ring.len());
        let found = self.ring.range(..index).rposition(Option::is_some);
        let aside = || self.aside.range(..place).next_back().map(|(place, _)| *place);
        found.map(|index| self.first + index as u64).or_else(aside)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Do {
        Push,
        Remove(usize),
        Look(u64),
    }

    fn what() -> impl Strategy<Value = Do> {
        prop_oneof![
            3 => Just(Do::Push),
            2 => any::<usize>().prop_map(Do::Remove),
            1 => (0_u64..100).prop_map(Do::Look),
        ]
    }

    proptest! {
        /// Beside a tree, which is the same but slower.
        #[test]
        fn it_is_a_map_by_place(steps in proptest::collection::vec(what(), 1..120)) {
            let (mut front, mut tree) = (Front::default(), BTreeMap::new());
            for (number, step) in (1..).zip(steps) {
                match step {
                    Do::Push => {
                        let place = front.next_place();
                        prop_assert_eq!(front.push(Entry::to_test("x", number)), place);
                        prop_assert!(tree.insert(place, number).is_none());
                    }
                    Do::Remove(which) => {
                        let place = tree.keys().nth(which % tree.len().max(1)).copied().unwrap_or(u64::MAX);
                        let removed = front.remove(place).map(|entry| entry.seq.0);
                        prop_assert_eq!(removed, tree.remove(&place));
                        prop_assert!(front.remove(place).is_none() && front.get_mut(place).is_none());
                    }
                    Do::Look(place) => {
                        let next = front.next_from(place).map(|(place, entry)| (place, entry.seq.0));
                        prop_assert_eq!(next, tree.range(place..).next().map(|(place, seq)| (*place, *seq)));
                        prop_assert_eq!(front.before(place), tree.range(..place).next_back().map(|(place, _)| *place));
                        let from: Vec<u64> = front.from(place).map(|entry| entry.seq.0).collect();
                        prop_assert_eq!(from, tree.range(place..).map(|(_, seq)| *seq).collect::<Vec<_>>());
                        prop_assert_eq!(front.get_mut(place).map(|entry| entry.seq.0), tree.get(&place).copied());
                    }
                }
                prop_assert_eq!(front.len(), tree.len());
                prop_assert!(front.ring.len() <= SPAN);
                let all: Vec<u64> = front.iter().map(|entry| entry.seq.0).collect();
                prop_assert_eq!(&all, &tree.values().copied().collect::<Vec<_>>());
                prop_assert_eq!(front.iter_mut().map(|entry| entry.seq.0).collect::<Vec<_>>(), all);
            }
        }
    }
}
