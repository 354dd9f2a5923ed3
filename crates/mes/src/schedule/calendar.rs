//! When equipment works, and where a piece of work fits.
//!
//! Work time is what is left of time when all closed spans are cut out. Work that may be interrupted is contiguous there, and so its end is
//! one look-up away.

/// Further away than every instant that has a date; sums of two of them do not overflow.
const FAR: i64 = i64::MAX / 4;

/// The open spans of one work unit, in µs since the epoch: sorted, not touching, the first without beginning and the last without end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Calendar {
    open: Vec<Open>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Open {
    from: i64,
    to: i64,
    /// Work time before it.
    before: i64,
}

impl Calendar {
    /// Open but for these spans, each with its first instant and the first one after it, in any order.
    pub(super) fn without(mut closed: Vec<(i64, i64)>) -> Self {
        closed.sort_unstable();
        let mut open = Vec::with_capacity(closed.len() + 1);
        let (mut from, mut before) = (-FAR, 0);
        for (shut, again) in closed {
            if again <= shut {
                continue;
            }
            if shut > from {
                open.push(Open { from, to: shut, before });
                before += shut - from;
            }
            from = from.max(again);
        }
        open.push(Open { from, to: FAR, before });
        Self { open }
    }

    /// The same with more closed spans.
    pub(super) fn also_without(&self, spans: impl Iterator<Item = (i64, i64)>) -> Self {
        let gaps = self.open.windows(2).map(|pair| (pair[0].to, pair[1].from));
        let first = self.open[0].from;
        let before = (first > -FAR).then_some((-FAR, first));
        Self::without(gaps.chain(before).chain(spans).collect())
    }

    /// The earliest run of so much work that begins at `earliest` or later: first instant, and first after it.
    pub(super) fn place(&self, earliest: i64, work: i64, interruptible: bool) -> (i64, i64) {
        let first = if self.open.len() == 1 { 0 } else { self.open.partition_point(|open| open.to <= earliest) };
        let open = self.open[first];
        let start = earliest.max(open.from);
        if start + work <= open.to {
            return (start, start + work);
        }
        if interruptible {
            return (start, self.after(open.before + (start - open.from) + work));
        }
        let fits = self.open[first + 1..].iter().find(|open| open.to - open.from >= work);
        fits.map_or((FAR, FAR), |open| (open.from, open.from + work))
    }

    /// The latest run of so much work that ends at `latest` or earlier.
    pub(super) fn place_before(&self, latest: i64, work: i64, interruptible: bool) -> (i64, i64) {
        let count = self.open.partition_point(|open| open.from < latest);
        let Some(open) = self.open[..count].last() else { return (latest - work, latest) };
        let end = latest.min(open.to);
        if end - work >= open.from {
            return (end - work, end);
        }
        if interruptible {
            let done = open.before + (end - open.from) - work;
            let first = self.open.partition_point(|open| open.before + (open.to - open.from) <= done);
            return (self.open[first].from + (done - self.open[first].before), end);
        }
        let fits = self.open[..count - 1].iter().rev().find(|open| open.to - open.from >= work);
        fits.map_or((-FAR, -FAR), |open| (open.to - work, open.to))
    }

    /// The work time before an instant, from an origin of the calendar's own.
    pub(super) fn until(&self, instant: i64) -> i64 {
        let at = self.open.partition_point(|open| open.to <= instant).min(self.open.len() - 1);
        let open = self.open[at];
        open.before + (instant - open.from).clamp(0, open.to - open.from)
    }

    /// The first instant before which there is so much work time.
    pub(super) fn after(&self, work: i64) -> i64 {
        let at = self.open.partition_point(|open| open.before < work).max(1) - 1;
        self.open[at].from + (work - self.open[at].before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Whether it is open all the time.
    fn is_whole(calendar: &Calendar, from: i64, to: i64) -> bool {
        calendar.until(to) - calendar.until(from) == to - from
    }

    /// Whether an instant is open, slowly.
    fn is_open(closed: &[(i64, i64)], instant: i64) -> bool {
        !closed.iter().any(|(from, to)| (*from..*to).contains(&instant))
    }

    /// The earliest run, instant by instant.
    fn place(closed: &[(i64, i64)], earliest: i64, work: i64, interruptible: bool) -> (i64, i64) {
        let mut start = earliest;
        loop {
            while !is_open(closed, start) {
                start += 1;
            }
            let (mut end, mut left) = (start, work);
            while left > 0 {
                if is_open(closed, end) {
                    left -= 1;
                } else if !interruptible {
                    break;
                }
                end += 1;
            }
            if left == 0 {
                return (start, end);
            }
            start += 1;
        }
    }

    proptest! {
        #[test]
        fn work_is_placed_as_early_and_as_late_as_it_can_be(
            closed in proptest::collection::vec((0i64..100, 0i64..15), 0..8),
            earliest in 0i64..110,
            work in 1i64..30,
            interruptible: bool,
        ) {
            let closed: Vec<_> = closed.into_iter().map(|(from, length)| (from, from + length)).collect();
            let calendar = Calendar::without(closed.clone());
            let (from, to) = calendar.place(earliest, work, interruptible);
            prop_assert_eq!((from, to), place(&closed, earliest, work, interruptible));
            prop_assert_eq!(calendar.until(to) - calendar.until(from), work);
            prop_assert!(interruptible || is_whole(&calendar, from, to));
            prop_assert_eq!(calendar.after(calendar.until(to)), to);
            // The mirror of time: the same spans, looked at from the other end.
            let mirrored: Vec<_> = closed.iter().map(|(from, to)| (-to, -from)).collect();
            let (from, to) = Calendar::without(mirrored).place_before(-earliest, work, interruptible);
            prop_assert_eq!((-to, -from), place(&closed, earliest, work, interruptible));
            for instant in 0..120 {
                prop_assert_eq!(is_whole(&calendar, instant, instant + 1), is_open(&closed, instant), "{}", instant);
            }
        }
    }
}
