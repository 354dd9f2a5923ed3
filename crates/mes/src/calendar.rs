//! When a unit is meant to work: shifts, breaks, holidays, planned maintenance, in the wall time of a place.
//!
//! A [`Calendar`] is what people wrote, checked. It answers for any window: what was planned when ([`Calendar::planned`]), and which shifts there
//! were ([`Calendar::shifts`]). Shifts keep to the wall clock: a night shift from 22:00 to 06:00 has seven hours when summer time begins, and nine when it ends.

use crate::element::Planned;
use crate::steps::Steps;
use andon_model::Timestamp;
use chrono::{Datelike as _, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone as _, Weekday};
use chrono_tz::Tz;
use std::time::Duration as Span;

/// A time of day in minutes from midnight, 0–1440.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Minute(u16);

impl Minute {
    /// From `06:00`; `24:00` is the end of the day.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (hour, minute) = text.split_once(':')?;
        let number = |text: &str| {
            (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse::<u16>().ok()).flatten()
        };
        let (hour, minute) = (number(hour)?, number(minute)?);
        (minute < 60 && (hour < 24 || (hour, minute) == (24, 0))).then(|| Self(hour * 60 + minute))
    }

    /// Minutes from midnight.
    pub(crate) const fn minutes(self) -> u16 {
        self.0
    }
}

impl std::fmt::Display for Minute {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:02}:{:02}", self.0 / 60, self.0 % 60)
    }
}

/// Days of a week, Monday first.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Days(u8);

const DAY_NAMES: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

impl Days {
    /// From names and spans of them: `mon-fri`, `sat, sun`, `fri-mon`.
    ///
    /// # Errors
    /// The part that names no day.
    pub fn parse(text: &str) -> Result<Self, String> {
        let day = |name: &str| {
            let name = name.trim().to_ascii_lowercase();
            DAY_NAMES
                .iter()
                .position(|day| *day == name)
                .ok_or_else(|| format!("{name:?} is no day; mon, tue, wed, thu, fri, sat and sun are"))
        };
        let mut days = 0;
        for part in text.split(',') {
            let (first, last) = match part.split_once('-') {
                Some((first, last)) => (day(first)?, day(last)?),
                None => (day(part)?, day(part)?),
            };
            let mut at = first;
            loop {
                days |= 1 << at;
                if at == last {
                    break;
                }
                at = (at + 1) % 7;
            }
        }
        Ok(Self(days))
    }

    pub(crate) fn has(self, day: Weekday) -> bool {
        self.0 >> day.num_days_from_monday() & 1 == 1
    }
}

/// A shift as it is every week.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShiftRule {
    /// What people call it.
    pub name: String,
    /// The days on which it begins.
    pub days: Days,
    /// Of every so many weeks, counted from the week of `since` (`None`: of 1970-01-01), only in these: for crews that take turns. Empty: in every week.
    pub weeks: Vec<u8>,
    /// How many weeks a turn has, 1–52.
    pub turn: u8,
    /// When it begins.
    pub from: Minute,
    /// When it ends; at or before its beginning: on the next day.
    pub to: Minute,
    /// Breaks, on the same clock: one before the shift's beginning is after midnight.
    pub breaks: Vec<(Minute, Minute)>,
    /// The first day on which it begins.
    pub since: Option<NaiveDate>,
    /// The last one.
    pub until: Option<NaiveDate>,
}

/// What is otherwise than every week.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Exception {
    /// What people call it: Christmas, stocktaking, overhaul.
    pub name: String,
    /// Since when.
    pub from: NaiveDateTime,
    /// Until when.
    pub to: NaiveDateTime,
    /// What holds instead.
    pub planned: Planned,
}

/// When something is meant to work.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calendar {
    zone: Tz,
    shifts: Vec<ShiftRule>,
    exceptions: Vec<Exception>,
}

/// Why something is no calendar.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CalendarError {
    /// There is no such zone.
    #[error("{0:?} is no time zone; write one of the IANA names, such as Europe/Berlin")]
    Zone(String),
    /// A break that is not within its shift.
    #[error("the break {from}–{to} is not within shift {shift:?}, {begins}–{ends}")]
    Break {
        /// The shift's name.
        shift: String,
        /// The break.
        from: Minute,
        /// Its end.
        to: Minute,
        /// The shift's beginning.
        begins: Minute,
        /// Its end.
        ends: Minute,
    },
    /// A turn of no weeks, or a week that it has not.
    #[error("shift {shift:?} is in week {week} of a turn of {turn}; weeks are counted from 1, and a turn has 1 to 52")]
    Week {
        /// The shift's name.
        shift: String,
        /// The week.
        week: u8,
        /// The turn's weeks.
        turn: u8,
    },
    /// An exception that ends before it begins.
    #[error("{name:?} ends at {to}, which is not after its beginning {from}")]
    Exception {
        /// Its name.
        name: String,
        /// Its beginning.
        from: NaiveDateTime,
        /// Its end.
        to: NaiveDateTime,
    },
}

/// A shift as it was, or will be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Shift<'a> {
    /// What people call it.
    pub name: &'a str,
    /// The day on which it begins, there.
    pub day: NaiveDate,
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// The longest window that is answered for: a century. What lies beyond is not planned.
const WINDOW_MAX: Span = Span::from_secs(100 * 366 * 86_400);

impl Calendar {
    /// A calendar, checked.
    ///
    /// # Errors
    /// [`CalendarError`].
    pub fn new(zone: &str, shifts: Vec<ShiftRule>, exceptions: Vec<Exception>) -> Result<Self, CalendarError> {
        let zone = zone.parse().map_err(|_| CalendarError::Zone(zone.to_owned()))?;
        for shift in &shifts {
            let wrong = shift.weeks.iter().find(|week| !(1..=shift.turn).contains(*week));
            if let Some(week) = wrong.or((!(1..=52).contains(&shift.turn)).then_some(&0)) {
                return Err(CalendarError::Week { shift: shift.name.clone(), week: *week, turn: shift.turn });
            }
            for (from, to) in &shift.breaks {
                let ([from_at, to_at], ends) = ([*from, *to].map(|minute| shift.after_midnight(minute)), shift.ends());
                if !(shift.from.0 <= from_at && from_at < to_at && to_at <= ends) {
                    let (begins, ends) = (shift.from, shift.to);
                    return Err(CalendarError::Break { shift: shift.name.clone(), from: *from, to: *to, begins, ends });
                }
            }
        }
        if let Some(Exception { name, from, to, .. }) =
            exceptions.iter().find(|exception| exception.to <= exception.from)
        {
            return Err(CalendarError::Exception { name: name.clone(), from: *from, to: *to });
        }
        Ok(Self { zone, shifts, exceptions })
    }

    /// The zone's IANA name.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// What is planned over a window. Without shifts it is to work always; where shifts overlap, breaks of any of them are breaks.
    #[must_use]
    pub fn planned(&self, from: Timestamp, to: Timestamp) -> Steps<Planned> {
        let to = to.min(from.plus(WINDOW_MAX));
        let mut planned = Steps::new(if self.shifts.is_empty() { Planned::Busy } else { Planned::Off });
        let all: Vec<_> = self.rules_in(from, to).collect();
        for (rule, day) in &all {
            planned.paint(self.begin(*day, rule.from.0), self.end(*day, rule.ends()), Planned::Busy);
        }
        for (rule, day) in &all {
            for (begin, end) in &rule.breaks {
                let [begin, end] = [*begin, *end].map(|minute| rule.after_midnight(minute));
                planned.paint(self.begin(*day, begin), self.end(*day, end), Planned::Break);
            }
        }
        for exception in &self.exceptions {
            planned.paint(self.earliest(exception.from), self.latest(exception.to), exception.planned);
        }
        planned
    }

    /// The shifts that touch a window, in order of their beginning. What an exception takes away is still told: the shift stands in the plan of the week.
    #[must_use]
    pub fn shifts(&self, from: Timestamp, to: Timestamp) -> Vec<Shift<'_>> {
        let to = to.min(from.plus(WINDOW_MAX));
        let all = self.rules_in(from, to).map(|(rule, day)| Shift {
            name: &rule.name,
            day,
            from: self.begin(day, rule.from.0),
            to: self.end(day, rule.ends()),
        });
        let mut all: Vec<_> = all.filter(|shift| shift.from < to && from < shift.to).collect();
        all.sort_by_key(|shift| shift.from);
        all
    }

    /// The days of the zone that touch a window, each from midnight to midnight: on some of them a clock shows 23 or 25 hours.
    #[must_use]
    pub fn days(&self, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let to = to.min(from.plus(WINDOW_MAX));
        let (Some(first), Some(last)) = (self.day(from), self.day(to)) else { return Vec::new() };
        let days = first.iter_days().take_while(|day| *day <= last);
        let all = days.map(|day| (self.begin(day, 0), self.begin(day, 1440)));
        all.filter(|(begins, ends)| *begins < to && from < *ends).collect()
    }

    /// The shift in which an instant lies; where several overlap, that which began last.
    #[must_use]
    pub fn shift_at(&self, at: Timestamp) -> Option<Shift<'_>> {
        self.shifts(at, at.plus(Span::from_micros(1))).pop()
    }

    /// Every shift and the day on which it begins that can touch a window.
    fn rules_in(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (&ShiftRule, NaiveDate)> {
        // A shift that began the day before may still go on.
        let (first, last) = (self.day(from).and_then(|day| day.checked_sub_signed(Duration::days(2))), self.day(to));
        let days =
            first.zip(last).into_iter().flat_map(|(first, last)| first.iter_days().take_while(move |day| *day <= last));
        days.flat_map(|day| self.shifts.iter().filter(move |rule| rule.begins_on(day)).map(move |rule| (rule, day)))
    }

    /// The instant at which a clock of the zone shows this time, handed in as if it were UTC; where it shows it twice, the first.
    #[must_use]
    pub fn shown(&self, wall: Timestamp) -> Timestamp {
        chrono::DateTime::from_timestamp_micros(wall.micros()).map_or(wall, |wall| self.earliest(wall.naive_utc()))
    }

    fn day(&self, at: Timestamp) -> Option<NaiveDate> {
        Some(chrono::DateTime::from_timestamp_micros(at.micros())?.with_timezone(&self.zone).date_naive())
    }

    /// The instant of a minute of a day, which may lie on the next; where the clock shows it twice, the first.
    fn begin(&self, day: NaiveDate, minute: u16) -> Timestamp {
        self.earliest(wall(day, minute))
    }

    /// The same; where the clock shows it twice, the second.
    fn end(&self, day: NaiveDate, minute: u16) -> Timestamp {
        self.latest(wall(day, minute))
    }

    fn earliest(&self, wall: NaiveDateTime) -> Timestamp {
        self.instant(wall, |first, _| first)
    }

    fn latest(&self, wall: NaiveDateTime) -> Timestamp {
        self.instant(wall, |_, second| second)
    }

    fn instant(&self, mut wall: NaiveDateTime, which: impl Fn(i64, i64) -> i64) -> Timestamp {
        // What the clock leaps over is when it has leapt. No clock leaps more than a day.
        for _ in 0..=24 * 4 {
            match self.zone.from_local_datetime(&wall) {
                LocalResult::Single(at) => return Timestamp::from_micros(at.timestamp_micros()),
                LocalResult::Ambiguous(first, second) => {
                    return Timestamp::from_micros(which(first.timestamp_micros(), second.timestamp_micros()));
                }
                LocalResult::None => wall += Duration::minutes(15),
            }
        }
        Timestamp::from_micros(wall.and_utc().timestamp_micros())
    }
}

fn wall(day: NaiveDate, minute: u16) -> NaiveDateTime {
    day.and_time(NaiveTime::MIN) + Duration::minutes(i64::from(minute))
}

impl ShiftRule {
    /// Its end in minutes from the midnight before its beginning.
    fn ends(&self) -> u16 {
        if self.to <= self.from { self.to.0 + 1440 } else { self.to.0 }
    }

    /// A minute of its clock, counted from the midnight before its beginning.
    fn after_midnight(&self, minute: Minute) -> u16 {
        if minute < self.from { minute.0 + 1440 } else { minute.0 }
    }

    fn begins_on(&self, day: NaiveDate) -> bool {
        let monday =
            |day: NaiveDate| i64::from(day.num_days_from_ce()) - i64::from(day.weekday().num_days_from_monday());
        let first = self.since.or_else(|| NaiveDate::from_ymd_opt(1970, 1, 1)).unwrap_or(day);
        let week = (monday(day) - monday(first)).div_euclid(7).rem_euclid(i64::from(self.turn.max(1))) + 1;
        self.days.has(day.weekday())
            && self.since.is_none_or(|since| since <= day)
            && self.until.is_none_or(|until| day <= until)
            && (self.weeks.is_empty() || self.weeks.iter().any(|of| i64::from(*of) == week))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::steps::Interval;

    fn rule(name: &str, days: &str, from: &str, to: &str) -> ShiftRule {
        let minute = |text| Minute::parse(text).expect("a time");
        ShiftRule {
            name: name.to_owned(),
            days: Days::parse(days).expect("days"),
            weeks: Vec::new(),
            turn: 1,
            from: minute(from),
            to: minute(to),
            breaks: Vec::new(),
            since: None,
            until: None,
        }
    }

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    /// Hours of a plan by what is planned.
    fn hours(calendar: &Calendar, from: &str, to: &str) -> [f64; 4] {
        let planned = calendar.planned(at(from), at(to));
        let sum = |wanted| {
            let pieces = planned.within(at(from), at(to)).filter(|piece| *piece.value == wanted);
            pieces.map(|piece: Interval<&Planned>| piece.micros() as f64 / 3.6e9).sum()
        };
        [Planned::Busy, Planned::Break, Planned::Off, Planned::Maintenance].map(sum)
    }

    fn three_shifts() -> Calendar {
        let mut early = rule("Early", "mon-fri", "06:00", "14:00");
        early.breaks = vec![(Minute(9 * 60), Minute(9 * 60 + 15)), (Minute(12 * 60), Minute(12 * 60 + 30))];
        let mut night = rule("Night", "sun-thu", "22:00", "06:00");
        night.breaks = vec![(Minute(2 * 60), Minute(2 * 60 + 45))];
        Calendar::new("Europe/Berlin", vec![early, rule("Late", "mon-fri", "14:00", "22:00"), night], Vec::new())
            .expect("is a calendar")
    }

    #[test]
    fn a_week_of_three_shifts() {
        // From Sunday 22:00 to Friday 22:00 in Berlin, in winter.
        assert_eq!(hours(&three_shifts(), "2026-02-01T21:00:00Z", "2026-02-06T21:00:00Z"), [112.5, 7.5, 0.0, 0.0]);
        assert_eq!(hours(&three_shifts(), "2026-02-06T21:00:00Z", "2026-02-08T21:00:00Z"), [0.0, 0.0, 48.0, 0.0]);
        // Cut anywhere it is the same.
        assert_eq!(hours(&three_shifts(), "2026-02-03T01:30:00Z", "2026-02-03T06:00:00Z"), [4.25, 0.25, 0.0, 0.0]);
        assert_eq!(
            hours(
                &Calendar::new("UTC", vec![], vec![]).expect("is one"),
                "2026-02-03T01:30:00Z",
                "2026-02-03T06:00:00Z"
            ),
            [4.5, 0.0, 0.0, 0.0]
        );
    }

    #[test]
    fn a_night_in_which_the_clock_is_set_is_shorter_or_longer() {
        let night = |day: &str| {
            let calendar = Calendar::new("Europe/Berlin", vec![rule("Night", "mon-sun", "22:00", "06:00")], vec![])
                .expect("is one");
            let shifts = calendar.shifts(at(&format!("{day}T23:00:00Z")), at(&format!("{day}T23:00:01Z")));
            let shift = shifts.last().expect("there is one");
            assert_eq!(shift.name, "Night");
            shift.to.since(shift.from).as_secs() / 3600
        };
        assert_eq!((night("2026-03-28"), night("2026-03-29"), night("2026-10-24")), (7, 8, 9));
    }

    #[test]
    fn what_the_clock_leaps_over_is_when_it_has_leapt() {
        let calendar =
            Calendar::new("Europe/Berlin", vec![rule("Odd", "sun", "02:30", "04:00")], Vec::new()).expect("is one");
        let shift = calendar.shift_at(at("2026-03-29T01:15:00Z")).expect("there is one");
        assert_eq!((shift.from, shift.to), (at("2026-03-29T01:00:00Z"), at("2026-03-29T02:00:00Z")));
    }

    #[test]
    fn the_shift_of_an_instant_is_found_from_its_first_to_its_last() {
        let calendar = three_shifts();
        let name = |text| calendar.shift_at(at(text)).map(|shift| (shift.name, shift.day.to_string()));
        let is = |name, day: &str| Some((name, day.to_owned()));
        assert_eq!(name("2026-02-03T04:59:59.999999Z"), is("Night", "2026-02-02"));
        assert_eq!(name("2026-02-03T05:00:00Z"), is("Early", "2026-02-03"));
        assert_eq!(name("2026-02-03T13:00:00Z"), is("Late", "2026-02-03"));
        assert_eq!(name("2026-02-07T12:00:00Z"), None);
    }

    #[test]
    fn days_are_from_midnight_to_midnight_there() {
        let berlin = Calendar::new("Europe/Berlin", Vec::new(), Vec::new()).expect("a calendar");
        let days = |from, to| {
            let days = berlin.days(at(from), at(to));
            days.into_iter().map(|(from, to)| (from.to_string(), to.since(from).as_secs() / 3600)).collect::<Vec<_>>()
        };
        let day = |from: &str, hours| (from.to_owned(), hours);
        assert_eq!(
            days("2026-03-28T12:00:00Z", "2026-03-29T22:00:00Z"),
            [day("2026-03-27T23:00:00Z", 24), day("2026-03-28T23:00:00Z", 23)],
            "summer time begins; the next day begins at 22:00 of UTC"
        );
        assert_eq!(days("2026-10-25T12:00:00Z", "2026-10-25T12:00:01Z"), [day("2026-10-24T22:00:00Z", 25)]);
    }

    #[test]
    fn exceptions_lie_over_the_week() {
        let day = |day| NaiveDate::from_ymd_opt(2026, 2, day).expect("a day").and_time(NaiveTime::MIN);
        let holiday = Exception { name: "Carnival".into(), from: day(4), to: day(5), planned: Planned::Off };
        let overhaul = Exception {
            name: "Overhaul".into(),
            from: day(5) + Duration::hours(8),
            to: day(5) + Duration::hours(12),
            planned: Planned::Maintenance,
        };
        let calendar = Calendar::new(
            "Europe/Berlin",
            vec![rule("Day", "mon-fri", "06:00", "14:00")],
            vec![holiday, overhaul.clone()],
        )
        .expect("is one");
        assert_eq!(hours(&calendar, "2026-02-01T23:00:00Z", "2026-02-08T23:00:00Z"), [28.0, 0.0, 136.0, 4.0]);
        let backwards = Exception { to: overhaul.from, from: overhaul.to, ..overhaul };
        assert!(matches!(Calendar::new("UTC", vec![], vec![backwards]), Err(CalendarError::Exception { .. })));
    }

    #[test]
    fn crews_take_turns() {
        let mut a = rule("A", "mon", "06:00", "14:00");
        (a.weeks, a.turn, a.since) = (vec![1, 4], 4, NaiveDate::from_ymd_opt(2026, 1, 7));
        let calendar = Calendar::new("UTC", vec![a], Vec::new()).expect("is one");
        let days: Vec<_> = calendar
            .shifts(at("2026-01-01T00:00:00Z"), at("2026-03-10T00:00:00Z"))
            .iter()
            .map(|shift| shift.day.to_string())
            .collect();
        // The first Monday of the first week lies before the rule begins.
        assert_eq!(days, ["2026-01-26", "2026-02-02", "2026-02-23", "2026-03-02"]);
    }

    #[test]
    fn what_is_no_calendar_is_refused() {
        let error =
            |zone: &str, rule: ShiftRule| Calendar::new(zone, vec![rule], vec![]).expect_err("is none").to_string();
        assert_eq!(
            error("Mars/North", rule("a", "mon", "06:00", "14:00")),
            "\"Mars/North\" is no time zone; write one of the IANA names, such as Europe/Berlin"
        );
        let mut early = rule("Early", "mon", "06:00", "14:00");
        early.breaks = vec![(Minute(13 * 60 + 50), Minute(14 * 60 + 10))];
        assert_eq!(error("UTC", early.clone()), "the break 13:50–14:10 is not within shift \"Early\", 06:00–14:00");
        (early.breaks, early.weeks) = (vec![], vec![2]);
        assert_eq!(
            error("UTC", early),
            "shift \"Early\" is in week 2 of a turn of 1; weeks are counted from 1, and a turn has 1 to 52"
        );
        assert_eq!(
            Days::parse("mon-fry").expect_err("is none"),
            "\"fry\" is no day; mon, tue, wed, thu, fri, sat and sun are"
        );
        for text in ["6:00", "24:01", "25:00", "06:60", "0600", "", "06:00 "] {
            assert_eq!(Minute::parse(text), None, "{text}");
        }
        assert_eq!(Minute::parse("24:00").map(|minute| minute.to_string()), Some("24:00".to_owned()));
    }

    #[test]
    fn no_window_takes_for_ever() {
        let planned = three_shifts().planned(Timestamp::MIN, Timestamp::MAX);
        assert!(planned.changes() < 100_000);
        let ends = Calendar::new("UTC", vec![rule("a", "mon", "06:00", "06:00")], vec![]).expect("is one");
        assert_eq!(
            hours(&ends, "2026-02-02T00:00:00Z", "2026-02-04T00:00:00Z"),
            [24.0, 0.0, 24.0, 0.0],
            "as long as a day"
        );
    }
}
