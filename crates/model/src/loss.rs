//! Stretches of time in which readings were lost.

use crate::Timestamp;

/// So near to the border of a loss, µs, a point may well be of the time outside of it: clocks differ, and a reading takes its time.
const BORDER_US: i64 = 60_000_000;

/// A stretch `[from, to)` in which nothing was recorded: what a signal was there is not known, and that is bad time. Between two
/// points that both lie in it, at least a minute from its borders, the signal is known after all: they came later, from a device
/// that had kept them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Loss {
    /// From here on.
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
    /// Whether the course from the point before to the point after goes on behind it, as when nobody listened for a while. It does
    /// not where points are known to be missing: then nothing is known up to the next point.
    pub goes_on: bool,
    /// Whether it is not known if the signal had points there at all, as in a file that cannot be read and may be one of other signals.
    /// Then nothing is known there either, but the stretch is no sign that there were points behind the last one.
    pub in_doubt: bool,
}

impl Loss {
    /// Puts them in order, and those together that touch. Empty ones are left out.
    #[must_use]
    pub fn in_order(mut losses: Vec<Self>) -> Vec<Self> {
        losses.retain(|loss| loss.from < loss.to);
        losses.sort_unstable();
        losses.dedup_by(|later, earlier| {
            let touches = later.from <= earlier.to;
            if touches && later.to >= earlier.to {
                earlier.goes_on = later.goes_on && (earlier.goes_on || later.to > earlier.to);
                earlier.in_doubt = later.in_doubt && (earlier.in_doubt || later.to > earlier.to);
                earlier.to = later.to;
            }
            touches
        });
        losses
    }

    /// The part of it between two neighbouring points of a signal in which the signal is not known.
    #[must_use]
    pub fn between(self, before: Timestamp, after: Timestamp) -> Option<Self> {
        let ends_within = before < self.to && self.to <= after;
        let to = if ends_within && !self.goes_on { after } else { self.to.min(after) };
        let lost = Self { from: self.from.max(before), to, ..self };
        (lost.from < lost.to && !self.kept(before, after)).then_some(lost)
    }

    /// Whether points are known to be missing in it: then the signal had some up to its end.
    #[must_use]
    pub const fn had_points(self) -> bool {
        !self.goes_on && !self.in_doubt
    }

    /// Whether all points from the first to the last of these were kept by a device and came later.
    #[must_use]
    pub fn kept(self, first: Timestamp, last: Timestamp) -> bool {
        self.from.micros().saturating_add(BORDER_US) <= first.micros() && last < self.kept_until()
    }

    /// Up to here a point may have been kept (exclusive).
    #[must_use]
    pub const fn kept_until(self) -> Timestamp {
        Timestamp::from_micros(self.to.micros().saturating_sub(BORDER_US))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loss(from: i64, to: i64) -> Loss {
        Loss { from: at(from), to: at(to), goes_on: true, in_doubt: false }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn losses_that_touch_are_one() {
        let all = vec![loss(50, 60), loss(0, 10), loss(10, 20), loss(5, 7), loss(30, 30), loss(19, 21)];
        assert_eq!(Loss::in_order(all), [loss(0, 21), loss(50, 60)]);
        let ends = |from, to| Loss { goes_on: false, ..loss(from, to) };
        assert_eq!(Loss::in_order(vec![loss(0, 10), ends(5, 10)]), [ends(0, 10)]);
        assert_eq!(Loss::in_order(vec![ends(0, 10), loss(5, 11)]), [loss(0, 11)]);
        assert_eq!(Loss::in_order(vec![ends(0, 10), loss(5, 10)]), [ends(0, 10)]);
        assert_eq!(Loss::in_order(vec![loss(0, 10), ends(5, 7)]), [loss(0, 10)]);
        // Whoever reaches furthest tells whether there were points at its end.
        let doubt = |from, to| Loss { in_doubt: true, ..ends(from, to) };
        assert_eq!(Loss::in_order(vec![ends(0, 10), doubt(5, 11)]), [doubt(0, 11)]);
        assert_eq!(Loss::in_order(vec![doubt(0, 10), ends(5, 10)]), [ends(0, 10)]);
        assert_eq!(Loss::in_order(vec![doubt(0, 10), ends(5, 7)]), [doubt(0, 10)]);
        assert_eq!(Loss::in_order(vec![ends(0, 10), doubt(5, 7)]), [ends(0, 10)]);
        assert_eq!([loss(0, 1), ends(0, 1), doubt(0, 1)].map(Loss::had_points), [false, true, false]);
    }

    #[test]
    fn between_points_that_a_device_kept_nothing_is_lost() {
        let hour = loss(0, 3_600);
        assert_eq!(hour.between(at(-5), at(4_000)), Some(hour));
        assert_eq!(hour.between(at(-5), at(100)), Some(loss(0, 100)));
        assert_eq!(hour.between(at(60), at(3_539)), None, "kept");
        assert_eq!(hour.between(at(59), at(3_539)), Some(loss(59, 3_539)), "a clock that is fast");
        assert_eq!(hour.between(at(60), at(3_540)), Some(loss(60, 3_540)), "read just before it was received");
        assert_eq!(hour.between(at(3_600), at(3_700)), None);
        assert_eq!(hour.between(at(-9), at(0)), None);
    }

    #[test]
    fn where_points_are_missing_nothing_is_known_up_to_the_next() {
        let file = Loss { goes_on: false, ..loss(0, 3_600) };
        assert_eq!(file.between(at(-5), at(4_000)), Some(Loss { to: at(4_000), ..file }));
        assert_eq!(file.between(at(-5), at(100)), Some(Loss { to: at(100), ..file }));
        assert_eq!(file.between(at(100), at(200)), None, "of another file");
        assert_eq!(file.between(at(3_600), at(4_000)), None);
    }
}
