//! Attendance and work of people: APAT and APWT of ISO 22400-2:2014, and when a sign-on that nobody ends has ended.
//!
//! A person attends while signed on, without breaks ([`Worked::attendance_us`], APAT), and works while a job order stands on a work unit
//! there ([`Worked::working_us`], APWT). Both are sums of whole microseconds: what a window comes to is what its parts come to.

use crate::calendar::Calendar;
use crate::element::Planned;
use crate::steps::Steps;
use andon_model::Timestamp;
use std::ops::AddAssign;
use std::time::Duration;

/// So long after the end of the shift a sign-on ends that nobody has ended.
pub const AFTER_THE_SHIFT: Duration = Duration::from_secs(30 * 60);
/// So long after it began, where there is no shift.
pub const WITHOUT_SHIFT: Duration = Duration::from_secs(12 * 3600);
/// Who signs on so long before a shift comes for that shift.
pub const BEFORE_THE_SHIFT: Duration = Duration::from_secs(3600);

/// How long people attended and worked, in µs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Worked {
    /// APAT: signed on, without breaks.
    pub attendance_us: i64,
    /// APWT: of that, while a job order stood there.
    pub working_us: i64,
}

impl Worked {
    /// Worker efficiency, APWT / APAT; `None`: nobody attended, which is not 0 %.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "exact for 285 years of attendance")]
    pub fn efficiency(self) -> Option<f64> {
        (self.attendance_us > 0).then(|| self.working_us as f64 / self.attendance_us as f64)
    }
}

impl AddAssign for Worked {
    fn add_assign(&mut self, other: Self) {
        self.attendance_us = self.attendance_us.saturating_add(other.attendance_us);
        self.working_us = self.working_us.saturating_add(other.working_us);
    }
}

/// What a sign-on comes to within a window, each from its first instant to the first after it. `runs`: whether a job order stands there.
#[must_use]
pub fn worked(
    (from, to): (Timestamp, Timestamp),
    (on, off): (Timestamp, Timestamp),
    planned: &Steps<Planned>,
    runs: &Steps<bool>,
) -> Worked {
    let mut worked = Worked::default();
    for attended in planned.within(from.max(on), to.min(off)).filter(|piece| *piece.value != Planned::Break) {
        worked.attendance_us += attended.micros();
        let ran = runs.within(attended.from, attended.to).filter(|piece| *piece.value);
        worked.working_us += ran.map(|piece| piece.micros()).sum::<i64>();
    }
    worked
}

/// When a sign-on ends that nobody ends.
#[must_use]
pub fn ends_by(calendar: Option<&Calendar>, at: Timestamp) -> Timestamp {
    // Of the shifts that go on or begin soon, the one that begins last.
    let shift = calendar.and_then(|calendar| calendar.shifts(at, at.plus(BEFORE_THE_SHIFT)).pop());
    shift.map_or_else(|| at.plus(WITHOUT_SHIFT), |shift| shift.to.plus(AFTER_THE_SHIFT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calendar::{Days, Minute, ShiftRule};
    use proptest::prelude::*;

    fn us(micros: i64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn early_and_late() -> Calendar {
        let minute = |text| Minute::parse(text).expect("a time of day");
        let shift = |name: &str, from, to| ShiftRule {
            name: name.to_owned(),
            days: Days::parse("mon-fri").expect("days"),
            weeks: Vec::new(),
            turn: 1,
            from: minute(from),
            to: minute(to),
            breaks: Vec::new(),
            since: None,
            until: None,
        };
        let shifts = vec![shift("Early", "06:00", "14:00"), shift("Late", "14:00", "22:00")];
        Calendar::new("UTC", shifts, Vec::new()).expect("a calendar")
    }

    #[test]
    fn a_forgotten_sign_on_ends_half_an_hour_after_the_shift_that_it_was_for() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a time");
        let ends = |on: &str| ends_by(Some(&early_and_late()), at(on)).to_string();
        let is = |text: &str| at(text).to_string();
        assert_eq!(ends("2026-06-01T08:00:00Z"), is("2026-06-01T14:30:00Z"));
        // Ten minutes early: for the shift that comes, not for the one that goes.
        assert_eq!(ends("2026-06-01T13:50:00Z"), is("2026-06-01T22:30:00Z"));
        assert_eq!(ends("2026-06-01T05:30:00Z"), is("2026-06-01T14:30:00Z"));
        // A Sunday: no shift.
        assert_eq!(ends("2026-05-31T08:00:00Z"), is("2026-05-31T20:00:00Z"));
        assert_eq!(ends_by(None, us(0)), us(12 * 3_600_000_000));
    }

    #[test]
    fn breaks_are_no_attendance_and_nobody_is_no_zero() {
        let mut planned = Steps::new(Planned::Busy);
        planned.paint(us(20), us(30), Planned::Break);
        let mut runs = Steps::new(false);
        runs.paint(us(10), us(25), true);
        let all = worked((us(0), us(100)), (us(5), us(50)), &planned, &runs);
        assert_eq!(all, Worked { attendance_us: 35, working_us: 10 });
        assert_eq!(all.efficiency(), Some(10.0 / 35.0));
        assert_eq!(worked((us(60), us(100)), (us(5), us(50)), &planned, &runs).efficiency(), None);
    }

    proptest! {
        #[test]
        fn a_window_comes_to_what_its_parts_come_to(
            on in 0_i64..1_000, long in 1_i64..1_000, cut in 0_i64..2_000,
            breaks in proptest::collection::vec((0_i64..2_000, 1_i64..200), 0..6),
            jobs in proptest::collection::vec((0_i64..2_000, 1_i64..400), 0..6),
        ) {
            let (mut planned, mut runs) = (Steps::new(Planned::Busy), Steps::new(false));
            for (from, long) in &breaks {
                planned.paint(us(*from), us(from + long), Planned::Break);
            }
            for (from, long) in &jobs {
                runs.paint(us(*from), us(from + long), true);
            }
            let of = |from, to| worked((us(from), us(to)), (us(on), us(on + long)), &planned, &runs);
            let whole = of(0, 2_000);
            let mut parts = of(0, cut);
            parts += of(cut, 2_000);
            prop_assert_eq!(whole, parts);
            prop_assert!(0 <= whole.working_us && whole.working_us <= whole.attendance_us && whole.attendance_us <= long);
            // Microsecond by microsecond, as one would count by hand.
            let attends = |at: &i64| *planned.at(us(*at)) != Planned::Break;
            let by_hand = (on..on + long).filter(attends).count();
            prop_assert_eq!(whole.attendance_us, i64::try_from(by_hand).expect("small"));
            let works = (on..on + long).filter(attends).filter(|at| *runs.at(us(*at))).count();
            prop_assert_eq!(whole.working_us, i64::try_from(works).expect("small"));
        }
    }
}
