//! Times written by a pattern, as PostgreSQL's `to_char` does (17, table 9.27): `YYYY-MM-DD HH24:MI`.
//!
//! What PostgreSQL passes over in silence is refused here: a letter that stands for nothing, and the `%` of other programs' patterns. Only
//! `T` and `Z`, which ISO 8601 puts between the parts of a time, stand for themselves; all other words stand in double quotes.

use super::DAY_US;
use andon_model::Timestamp;
use std::fmt::Write;

/// Why a pattern cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum PatternError {
    #[error(
        "to_char takes PostgreSQL's patterns, such as 'YYYY-MM-DD HH24:MI:SS', and \"{0}\" has a %; date_format takes patterns with %, such as '%Y-%m-%d'"
    )]
    Percent(String),
    #[error(
        "to_char does not know what \"{at}\" stands for in the pattern \"{pattern}\"; words that are to stand there as they are go into double quotes"
    )]
    Unknown { pattern: String, at: String },
    #[error("to_char cannot spell numbers out (SP), as in the pattern \"{0}\"")]
    Spelled(String),
}

/// A part of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Plain(String),
    Field(Field),
}

/// A field with what surrounds it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Field {
    word: Word,
    /// `FM`, or `TM` before a name: without zeros and blanks that only fill.
    bare: bool,
    /// `TH` or `th`.
    ordinal: Option<Case>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Case {
    Upper,
    Title,
    Lower,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    YearComma,
    /// Its last digits, so many.
    Year(usize),
    IsoYear(usize),
    Century,
    Quarter,
    MonthName(Case),
    MonthShort(Case),
    Month,
    MonthRoman(Case),
    WeekOfYear,
    IsoWeek,
    WeekOfMonth,
    DayName(Case),
    DayShort(Case),
    DayOfYear,
    IsoDayOfYear,
    DayOfMonth,
    /// 1 is Sunday.
    DayOfWeek,
    /// 1 is Monday.
    IsoDayOfWeek,
    JulianDay,
    Hour24,
    Hour12,
    Minute,
    Second,
    /// Digits behind the decimal point.
    Fraction(usize),
    SecondOfDay,
    Half(Case, bool),
    Era(Case, bool),
    ZoneName(Case),
    ZoneHours,
    ZoneMinutes,
    Offset,
    /// `FX`, which only reading knows.
    Nothing,
}

/// The words, in both ways to capitalise where that says nothing; the longer before those that they begin with.
const WORDS: [(&str, Word); 66] = [
    ("A.D.", Word::Era(Case::Upper, true)),
    ("A.M.", Word::Half(Case::Upper, true)),
    ("AD", Word::Era(Case::Upper, false)),
    ("AM", Word::Half(Case::Upper, false)),
    ("B.C.", Word::Era(Case::Upper, true)),
    ("BC", Word::Era(Case::Upper, false)),
    ("CC", Word::Century),
    ("DAY", Word::DayName(Case::Upper)),
    ("DDD", Word::DayOfYear),
    ("DD", Word::DayOfMonth),
    ("DY", Word::DayShort(Case::Upper)),
    ("Day", Word::DayName(Case::Title)),
    ("Dy", Word::DayShort(Case::Title)),
    ("D", Word::DayOfWeek),
    ("FF1", Word::Fraction(1)),
    ("FF2", Word::Fraction(2)),
    ("FF3", Word::Fraction(3)),
    ("FF4", Word::Fraction(4)),
    ("FF5", Word::Fraction(5)),
    ("FF6", Word::Fraction(6)),
    ("FX", Word::Nothing),
    ("HH24", Word::Hour24),
    ("HH12", Word::Hour12),
    ("HH", Word::Hour12),
    ("IDDD", Word::IsoDayOfYear),
    ("ID", Word::IsoDayOfWeek),
    ("IW", Word::IsoWeek),
    ("IYYY", Word::IsoYear(4)),
    ("IYY", Word::IsoYear(3)),
    ("IY", Word::IsoYear(2)),
    ("I", Word::IsoYear(1)),
    ("J", Word::JulianDay),
    ("MI", Word::Minute),
    ("MM", Word::Month),
    ("MONTH", Word::MonthName(Case::Upper)),
    ("MON", Word::MonthShort(Case::Upper)),
    ("MS", Word::Fraction(3)),
    ("Month", Word::MonthName(Case::Title)),
    ("Mon", Word::MonthShort(Case::Title)),
    ("OF", Word::Offset),
    ("P.M.", Word::Half(Case::Upper, true)),
    ("PM", Word::Half(Case::Upper, false)),
    ("Q", Word::Quarter),
    ("RM", Word::MonthRoman(Case::Upper)),
    ("SSSSS", Word::SecondOfDay),
    ("SSSS", Word::SecondOfDay),
    ("SS", Word::Second),
    ("TZH", Word::ZoneHours),
    ("TZM", Word::ZoneMinutes),
    ("TZ", Word::ZoneName(Case::Upper)),
    ("US", Word::Fraction(6)),
    ("WW", Word::WeekOfYear),
    ("W", Word::WeekOfMonth),
    ("Y,YYY", Word::YearComma),
    ("YYYY", Word::Year(4)),
    ("YYY", Word::Year(3)),
    ("YY", Word::Year(2)),
    ("Y", Word::Year(1)),
    ("a.d.", Word::Era(Case::Lower, true)),
    ("b.c.", Word::Era(Case::Lower, true)),
    ("day", Word::DayName(Case::Lower)),
    ("dy", Word::DayShort(Case::Lower)),
    ("month", Word::MonthName(Case::Lower)),
    ("mon", Word::MonthShort(Case::Lower)),
    ("rm", Word::MonthRoman(Case::Lower)),
    ("tz", Word::ZoneName(Case::Lower)),
];

impl Word {
    /// The word at the beginning, and its length.
    fn at(text: &str) -> Option<(Self, usize)> {
        const HALVES: [(&str, Word); 6] = [
            ("a.m.", Word::Half(Case::Lower, true)),
            ("p.m.", Word::Half(Case::Lower, true)),
            ("am", Word::Half(Case::Lower, false)),
            ("pm", Word::Half(Case::Lower, false)),
            ("ad", Word::Era(Case::Lower, false)),
            ("bc", Word::Era(Case::Lower, false)),
        ];
        let exact = HALVES.iter().chain(&WORDS).find(|(word, _)| text.starts_with(word));
        // `yyyy` is `YYYY`; the words of two cases are found above as they stand, and `tzh` must not be taken for `tz`.
        let small = WORDS.iter().find(|(word, _)| {
            *word != "OF" && text.get(..word.len()).is_some_and(|text| *text == word.to_ascii_lowercase())
        });
        let found = match (exact, small) {
            (Some(exact), Some(small)) if small.0.len() > exact.0.len() => small,
            (Some(exact), _) => exact,
            (None, small) => small?,
        };
        Some((found.1, found.0.len()))
    }
}

/// A pattern that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

impl Pattern {
    /// Reads it.
    /// # Errors
    /// It has what is not known.
    pub(crate) fn read(pattern: &str) -> Result<Self, PatternError> {
        let mut parts = Vec::new();
        let mut rest = pattern;
        while !rest.is_empty() {
            let marked =
                |mark: &str| rest.get(..2).is_some_and(|there| there == mark || there == mark.to_ascii_lowercase());
            let (fill, translated) = (marked("FM"), marked("TM"));
            rest = if fill || translated { rest.get(2..).unwrap_or_default() } else { rest };
            if let Some((word, len)) = Word::at(rest) {
                let bare = fill || translated && !word.is_number();
                rest = rest.get(len..).unwrap_or_default();
                let ordinal = match rest.get(..2) {
                    Some("TH") => Some(Case::Upper),
                    Some("th") => Some(Case::Lower),
                    Some("SP") => return Err(PatternError::Spelled(pattern.to_owned())),
                    _ => None,
                };
                rest = if ordinal.is_some() { rest.get(2..).unwrap_or_default() } else { rest };
                parts.push(Part::Field(Field { word, bare, ordinal }));
            } else {
                rest = plain(pattern, rest, &mut parts)?;
            }
        }
        Ok(Self(parts))
    }

    /// Writes a time (µs since 1970 as clocks show it) behind what is in `out`; `zone`: whether it is one in UTC.
    pub(crate) fn write(&self, out: &mut String, at: i64, zone: bool) {
        let time = Broken::of(at, zone);
        for part in &self.0 {
            match part {
                Part::Plain(text) => out.push_str(text),
                Part::Field(field) => time.write(out, field),
            }
        }
    }
}

/// What stands for itself at the beginning; what follows it.
fn plain<'a>(pattern: &str, rest: &'a str, parts: &mut Vec<Part>) -> Result<&'a str, PatternError> {
    let mut chars = rest.chars();
    let Some(first) = chars.next() else { return Ok(rest) };
    let mut text = String::new();
    match first {
        '"' => loop {
            match chars.next() {
                None | Some('"') => break,
                Some('\\') => text.extend(chars.next()),
                Some(other) => text.push(other),
            }
        },
        '\\' if chars.as_str().starts_with('"') => text.extend(chars.next()),
        '%' => return Err(PatternError::Percent(pattern.to_owned())),
        'T' | 'Z' => text.push(first),
        letter if letter.is_alphabetic() => {
            let at = rest.chars().take_while(|c| c.is_alphabetic()).collect();
            return Err(PatternError::Unknown { pattern: pattern.to_owned(), at });
        }
        other => text.push(other),
    }
    match parts.last_mut() {
        Some(Part::Plain(before)) => before.push_str(&text),
        _ => parts.push(Part::Plain(text)),
    }
    Ok(chars.as_str())
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ROMAN: [&str; 12] = ["I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX", "X", "XI", "XII"];

/// A time in its parts.
struct Broken {
    year: i64,
    month: u32,
    day: u32,
    hour: u32,
    minute: u32,
    second: u32,
    micros: u32,
    /// 1 is the first.
    day_of_year: i64,
    /// 0 is Sunday.
    weekday: i64,
    days: i64,
    zone: bool,
}

impl Broken {
    fn of(at: i64, zone: bool) -> Self {
        let (year, month, day, hour, minute, second, micros) = Timestamp::from_micros(at).civil();
        let days = at.div_euclid(DAY_US);
        let first =
            Timestamp::from_civil(year, 1, 1, 0, 0, 0, 0).map_or(days, |first| first.micros().div_euclid(DAY_US));
        // 1970 began on a Thursday.
        let weekday = (days + 4).rem_euclid(7);
        Self { year, month, day, hour, minute, second, micros, day_of_year: days - first + 1, weekday, days, zone }
    }

    /// 1 is Monday.
    const fn iso_weekday(&self) -> i64 {
        if self.weekday == 0 { 7 } else { self.weekday }
    }

    /// Year, week and day of it (1 is the first) as ISO 8601 counts: a week belongs to the year of its Thursday.
    fn iso(&self) -> (i64, i64, i64) {
        let thursday = self.days - self.iso_weekday() + 4;
        let (year, ..) = Timestamp::from_micros(thursday.saturating_mul(DAY_US)).civil();
        let first = Timestamp::from_civil(year, 1, 1, 0, 0, 0, 0).map_or(0, |first| first.micros().div_euclid(DAY_US));
        let week = (thursday - first) / 7 + 1;
        (year, week, (week - 1) * 7 + self.iso_weekday())
    }

    /// As years are called: before the year 1 comes 1 BC.
    const fn called(year: i64) -> i64 {
        if year <= 0 { 1 - year } else { year }
    }

    fn write(&self, out: &mut String, field: &Field) {
        let start = out.len();
        let year = Self::called(self.year);
        let (iso_year, iso_week, iso_day) = self.iso();
        let iso_year = Self::called(iso_year);
        let hour = if self.hour.is_multiple_of(12) { 12 } else { self.hour % 12 };
        let mut number = |number: i64, width: usize| {
            let width = if field.bare { 0 } else { width };
            // Writing to a String cannot fail.
            let _ = write!(out, "{number:0width$}");
        };
        match field.word {
            Word::YearComma => {
                let _ = write!(out, "{},{:03}", year / 1000, year % 1000);
            }
            Word::Year(digits) => number(last(year, digits), digits),
            Word::IsoYear(digits) => number(last(iso_year, digits), digits),
            Word::Century => {
                let century = if self.year > 0 { (self.year - 1) / 100 + 1 } else { self.year / 100 - 1 };
                number(century, if century < 0 { 3 } else { 2 });
            }
            Word::Quarter => number(i64::from((self.month - 1) / 3 + 1), 1),
            Word::Month => number(self.month.into(), 2),
            Word::WeekOfYear => number((self.day_of_year - 1) / 7 + 1, 2),
            Word::IsoWeek => number(iso_week, 2),
            Word::WeekOfMonth => number(i64::from((self.day - 1) / 7 + 1), 1),
            Word::DayOfYear => number(self.day_of_year, 3),
            Word::IsoDayOfYear => number(iso_day, 3),
            Word::DayOfMonth => number(self.day.into(), 2),
            Word::DayOfWeek => number(self.weekday + 1, 1),
            Word::IsoDayOfWeek => number(self.iso_weekday(), 1),
            Word::JulianDay => number(self.days + 2_440_588, 1),
            Word::Hour24 => number(self.hour.into(), 2),
            Word::Hour12 => number(hour.into(), 2),
            Word::Minute => number(self.minute.into(), 2),
            Word::Second => number(self.second.into(), 2),
            Word::SecondOfDay => number((self.hour * 3600 + self.minute * 60 + self.second).into(), 1),
            // Digits behind a point are no zeros that only fill.
            Word::Fraction(digits) => {
                let _ = write!(
                    out,
                    "{:0digits$}",
                    self.micros / 10_u32.pow(6_u32.saturating_sub(u32::try_from(digits).unwrap_or(6)))
                );
            }
            Word::MonthName(case) => name(out, month(&MONTHS, self.month), case, field.bare, 9),
            Word::MonthShort(case) => name(out, short(month(&MONTHS, self.month)), case, true, 0),
            Word::MonthRoman(case) => name(out, month(&ROMAN, self.month), case, field.bare, 4),
            Word::DayName(case) => name(out, self.weekday_name(), case, field.bare, 9),
            Word::DayShort(case) => name(out, short(self.weekday_name()), case, true, 0),
            Word::Half(case, points) => {
                let half = match (self.hour >= 12, points) {
                    (false, false) => "AM",
                    (true, false) => "PM",
                    (false, true) => "A.M.",
                    (true, true) => "P.M.",
                };
                name(out, half, case, true, 0);
            }
            Word::Era(case, points) => {
                let era = match (self.year > 0, points) {
                    (true, false) => "AD",
                    (false, false) => "BC",
                    (true, true) => "A.D.",
                    (false, true) => "B.C.",
                };
                name(out, era, case, true, 0);
            }
            Word::ZoneName(case) => name(out, if self.zone { "UTC" } else { "" }, case, true, 0),
            Word::ZoneHours | Word::Offset => out.push_str("+00"),
            Word::ZoneMinutes => out.push_str("00"),
            Word::Nothing => {}
        }
        if let Some(case) = field.ordinal
            && field.word.is_number()
        {
            name(out, ordinal(out.get(start..).unwrap_or_default()), case, true, 0);
        }
    }

    fn weekday_name(&self) -> &'static str {
        usize::try_from(self.weekday).ok().and_then(|day| DAYS.get(day)).copied().unwrap_or_default()
    }
}

impl Word {
    const fn is_number(self) -> bool {
        !matches!(
            self,
            Self::MonthName(_)
                | Self::MonthShort(_)
                | Self::MonthRoman(_)
                | Self::DayName(_)
                | Self::DayShort(_)
                | Self::Half(..)
                | Self::Era(..)
                | Self::ZoneName(_)
                | Self::ZoneHours
                | Self::ZoneMinutes
                | Self::Offset
                | Self::Nothing
        )
    }
}

/// The last digits of a year, all of them for four.
const fn last(year: i64, digits: usize) -> i64 {
    match digits {
        1 => year % 10,
        2 => year % 100,
        3 => year % 1000,
        _ => year,
    }
}

fn month<'a>(names: &[&'a str; 12], month: u32) -> &'a str {
    usize::try_from(month).ok().and_then(|month| names.get(month.wrapping_sub(1))).copied().unwrap_or_default()
}

/// The first three letters.
fn short(name: &str) -> &str {
    name.get(..3).unwrap_or(name)
}

fn name(out: &mut String, name: &str, case: Case, bare: bool, width: usize) {
    let width = if bare { 0 } else { width };
    // Writing to a String cannot fail.
    let _ = match case {
        Case::Title => write!(out, "{name:width$}"),
        Case::Upper => write!(out, "{:width$}", name.to_ascii_uppercase()),
        Case::Lower => write!(out, "{:width$}", name.to_ascii_lowercase()),
    };
}

/// What makes a number one in an order: 1st, 2nd, 3rd, 11th.
fn ordinal(number: &str) -> &'static str {
    let digits = number.as_bytes();
    let teen = digits.len() > 1 && digits.get(digits.len().wrapping_sub(2)) == Some(&b'1');
    match digits.last() {
        Some(b'1') if !teen => "st",
        Some(b'2') if !teen => "nd",
        Some(b'3') if !teen => "rd",
        _ => "th",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pattern, kind, time, and what PostgreSQL 15 makes of them with `TimeZone` UTC. Made with that program.
    const CASES: &str = include_str!("../../cases/to_char.tsv");

    #[test]
    fn times_are_written_as_postgres_writes_them() {
        let (mut lines, mut wrong) = (0, Vec::new());
        for line in CASES.lines().filter(|line| !line.is_empty()) {
            let cells: Vec<&str> = line.split('\t').collect();
            let [kind, time, pattern, wanted] = cells[..] else { panic!("{line:?}") };
            let at = Timestamp::parse_rfc3339(time).expect(time).micros();
            let mut text = String::new();
            Pattern::read(pattern).expect(pattern).write(&mut text, at, kind == "timestamptz");
            if text != wanted {
                wrong.push(format!("{kind} {time} {pattern}: {text:?}, there {wanted:?}"));
            }
            lines += 1;
        }
        assert!(wrong.is_empty() && lines > 500, "{lines} cases\n{}", wrong.join("\n"));
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for pattern in ["%Y-%m-%d", "YYYY-MM-DD hello", "Yesterday", "DDSP", "YYYY é", "Hh24"] {
            assert!(Pattern::read(pattern).is_err(), "{pattern}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_pattern_makes_more_than_ten_times_its_length(pattern in "[A-Za-z0-9.,:\"\\\\ -]{0,40}", at in proptest::prelude::any::<i64>()) {
            if let Ok(read) = Pattern::read(&pattern) {
                let mut text = String::new();
                read.write(&mut text, at, true);
                proptest::prop_assert!(text.len() <= pattern.len() * 20);
            }
        }
    }
}
