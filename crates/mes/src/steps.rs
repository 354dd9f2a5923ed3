//! A value that holds until the next: what a machine is in, which order is on it, what the calendar says.
//!
//! A [`Steps`] has a value at every instant, so that what is read from it is without gap and without overlap by construction.

use andon_model::Timestamp;

/// A span of time with what held in it, from `from` (with it) to `to` (without it).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Interval<T> {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// What held.
    pub value: T,
}

impl<T> Interval<T> {
    /// How long it is, in µs; never negative in what this crate gives out.
    #[must_use]
    pub const fn micros(&self) -> i64 {
        self.to.micros().saturating_sub(self.from.micros())
    }
}

/// Values over time, each of which holds until the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Steps<T> {
    /// What held before the first step.
    before: T,
    /// When each value began, in order of time, no two at the same, and no value twice in a row.
    steps: Vec<(Timestamp, T)>,
}

impl<T: Clone + PartialEq> Steps<T> {
    /// One value, for ever.
    #[must_use]
    pub const fn new(before: T) -> Self {
        Self { before, steps: Vec::new() }
    }

    /// What holds at an instant.
    #[must_use]
    pub fn at(&self, at: Timestamp) -> &T {
        self.holds(self.steps.partition_point(|(from, _)| *from <= at))
    }

    /// The value after so many steps.
    fn holds(&self, steps: usize) -> &T {
        steps.checked_sub(1).and_then(|at| self.steps.get(at)).map_or(&self.before, |(_, value)| value)
    }

    /// The last value, which holds now.
    #[must_use]
    pub fn last(&self) -> &T {
        self.holds(self.steps.len())
    }

    /// When the last value began; `None`: it has always held.
    #[must_use]
    pub fn last_change(&self) -> Option<Timestamp> {
        self.steps.last().map(|(from, _)| *from)
    }

    /// When the value changes next after an instant; `None`: not any more.
    #[must_use]
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.steps.get(self.steps.partition_point(|(from, _)| *from <= at)).map(|(from, _)| *from)
    }

    /// How many times the value changed.
    #[must_use]
    pub fn changes(&self) -> usize {
        self.steps.len()
    }

    /// From an instant on it is this value, whatever was said of the time after it.
    pub fn set(&mut self, from: Timestamp, value: T) {
        self.steps.truncate(self.steps.partition_point(|(at, _)| *at < from));
        if *self.last() != value {
            self.steps.push((from, value));
        }
    }

    /// From an instant until the next step it is this value.
    pub fn insert(&mut self, from: Timestamp, value: T) {
        let next = self.steps.partition_point(|(at, _)| *at <= from);
        match self.steps.get(next) {
            Some((to, _)) => self.paint(from, *to, value),
            None => self.set(from, value),
        }
    }

    /// In this span it is this value, and before and after it what it was. An empty span changes nothing.
    pub fn paint(&mut self, from: Timestamp, to: Timestamp, value: T) {
        if to <= from {
            return;
        }
        let first = self.steps.partition_point(|(at, _)| *at < from);
        let end = self.steps.partition_point(|(at, _)| *at <= to);
        let (earlier, later) = (self.holds(first).clone(), self.holds(end).clone());
        let begins = (earlier != value).then(|| (from, value.clone()));
        let ends = (later != value).then_some((to, later));
        self.steps.splice(first..end, begins.into_iter().chain(ends));
    }

    /// What held in a window: the intervals follow each other without gap and cover it exactly. An empty window has none.
    pub fn within(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = Interval<&T>> {
        let first = self.steps.partition_point(|(at, _)| *at <= from);
        let until = self.steps.partition_point(|(at, _)| *at < to);
        let edge = move |at: usize, end: Timestamp| {
            if at < until { self.steps.get(at).map_or(end, |(at, _)| *at) } else { end }
        };
        let count = if from < to { until.saturating_sub(first) + 1 } else { 0 };
        (0..count).map(move |n| Interval {
            from: if n == 0 { from } else { edge(first + n - 1, to) },
            to: edge(first + n, to),
            value: self.holds(first + n),
        })
    }

    /// Every change, in order of time.
    pub fn iter(&self) -> impl Iterator<Item = (Timestamp, &T)> {
        self.steps.iter().map(|(from, value)| (*from, value))
    }

    /// Forgets what was before an instant: what held then is said to have always held.
    pub fn forget_before(&mut self, at: Timestamp) {
        let gone = self.steps.partition_point(|(from, _)| *from <= at);
        self.before = self.holds(gone).clone();
        self.steps.drain(..gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_micros(second)
    }

    fn shown(steps: &Steps<u8>, from: i64, to: i64) -> String {
        let pieces = steps
            .within(at(from), at(to))
            .map(|piece| format!("{}..{}={}", piece.from.micros(), piece.to.micros(), piece.value));
        pieces.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_value_holds_until_the_next() {
        let mut steps = Steps::new(0);
        steps.set(at(10), 1);
        steps.set(at(20), 1);
        steps.set(at(30), 2);
        assert_eq!(shown(&steps, 0, 40), "0..10=0 10..30=1 30..40=2");
        assert_eq!(shown(&steps, 10, 30), "10..30=1");
        assert_eq!(shown(&steps, 12, 13), "12..13=1");
        assert_eq!(shown(&steps, 12, 12), "");
        assert_eq!(shown(&steps, 13, 12), "");
        assert_eq!((*steps.at(at(9)), *steps.at(at(10)), *steps.last(), steps.last_change()), (0, 1, 2, Some(at(30))));
    }

    #[test]
    fn a_span_can_be_painted_over() {
        let mut steps = Steps::new(0);
        steps.set(at(10), 1);
        steps.set(at(20), 2);
        steps.paint(at(5), at(15), 7);
        assert_eq!(shown(&steps, 0, 30), "0..5=0 5..15=7 15..20=1 20..30=2");
        steps.paint(at(15), at(20), 7);
        assert_eq!(shown(&steps, 0, 30), "0..5=0 5..20=7 20..30=2");
        steps.paint(at(5), at(20), 0);
        assert_eq!(shown(&steps, 0, 30), "0..20=0 20..30=2");
        steps.paint(at(9), at(9), 4);
        assert_eq!(steps.changes(), 1);
        steps.forget_before(at(25));
        assert_eq!(shown(&steps, 0, 30), "0..30=2");
    }

    proptest! {
        /// Beside a list with a value for each instant.
        #[test]
        fn it_says_what_a_list_of_every_instant_says(
            before in 0u8..4,
            changes in proptest::collection::vec((0i64..50, 0i64..50, 0u8..4, any::<bool>()), 0..30),
            window in (0i64..50, 0i64..50),
        ) {
            let (mut steps, mut list) = (Steps::new(before), vec![before; 50]);
            for (from, to, value, sets) in changes {
                if sets {
                    steps.set(at(from), value);
                    list.iter_mut().skip(usize::try_from(from).unwrap()).for_each(|slot| *slot = value);
                } else {
                    steps.paint(at(from), at(to), value);
                    (from..to).for_each(|n| list[usize::try_from(n).unwrap()] = value);
                }
                prop_assert!(steps.steps.is_sorted_by(|a, b| a.0 < b.0 && a.1 != b.1), "{:?}", steps);
            }
            let (from, to) = window;
            let mut end = at(from);
            let mut sum = 0;
            for piece in steps.within(at(from), at(to)) {
                prop_assert_eq!(piece.from, end, "a gap or an overlap");
                prop_assert!(piece.micros() > 0);
                for n in piece.from.micros()..piece.to.micros() {
                    prop_assert_eq!(list[usize::try_from(n).unwrap()], *piece.value, "at {}", n);
                    prop_assert_eq!(steps.at(at(n)), piece.value);
                }
                (end, sum) = (piece.to, sum + piece.micros());
            }
            prop_assert_eq!(sum, (to - from).max(0));
        }
    }
}
