//! A time from its text, in the ISO 8601 spellings that PostgreSQL documents (17, 8.5.1).
//!
//! A date (`2026-11-20`, `2026/11/20`, `20261120`, `2026-324`), perhaps a time of day (`8:00`, `08:00:00.5`, `080000`, `8:00 PM`) behind a
//! blank or `T`, perhaps a zone (`Z`, `UTC`, `+01`, `+01:30`, `-0500`, `Europe/Paris`). Years are 0 to 9999, as everywhere here.

use super::DAY_US;
use super::zone::Zone;
use andon_model::Timestamp;

/// The µs since 1970 that a text stands for, in UTC where it names no zone; `None` if it is no time.
pub(crate) fn moment(text: &str) -> Option<i64> {
    let (local, zone) = read(text)?;
    let at = zone.map_or(Some(local), |zone| zone.moment(local))?;
    Timestamp::from_micros(at).has_date().then_some(at)
}

/// The same as clocks show it: a zone is left out of account, as PostgreSQL does for a `timestamp`.
pub(crate) fn shown(text: &str) -> Option<i64> {
    read(text).map(|(local, _)| local)
}

fn read(text: &str) -> Option<(i64, Option<Zone>)> {
    let text = text.trim();
    let (day, rest) = date(text)?;
    let from_blank = rest.trim_start();
    let is_clock = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    let (time, zone) = match rest.strip_prefix(['T', 't']) {
        Some(rest) => clock(rest)?,
        None if from_blank.len() < rest.len() && is_clock(from_blank) => clock(from_blank)?,
        None => (0, rest),
    };
    let local = day.checked_mul(DAY_US)?.checked_add(time)?;
    let zone = zone.trim();
    Some((local, if zone.is_empty() { None } else { Some(zone_of(zone)?) }))
}

/// A number of `digits` digits, and what follows.
fn number(text: &str, digits: std::ops::RangeInclusive<usize>) -> Option<(u32, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, rest) = text.split_at_checked(len)?;
    if digits.contains(&len) { Some((number.parse().ok()?, rest)) } else { None }
}

/// Days since 1970, and what follows.
fn date(text: &str) -> Option<(i64, &str)> {
    let day = |year: u32, month: u32, day: u32| {
        let midnight = Timestamp::from_civil(i64::from(year), month, day, 0, 0, 0, 0)?;
        Some(midnight.micros().div_euclid(DAY_US))
    };
    if let Some((all, rest)) = number(text, 8..=8) {
        return Some((day(all / 10_000, all / 100 % 100, all % 100)?, rest));
    }
    let (year, rest) = number(text, 4..=4)?;
    let sign = rest.chars().next().filter(|sign| matches!(sign, '-' | '/'))?;
    let rest = rest.strip_prefix(sign)?;
    if sign == '-'
        && let Some((of_year, rest)) = number(rest, 3..=3)
    {
        let first = day(year, 1, 1)?;
        let of_year = i64::from(of_year);
        return (of_year > 0 && first + of_year <= day(year, 12, 31)? + 1).then(|| (first + of_year - 1, rest));
    }
    let (month, rest) = number(rest, 1..=2)?;
    let (of_month, rest) = number(rest.strip_prefix(sign)?, 1..=2)?;
    Some((day(year, month, of_month)?, rest))
}

/// µs of the day, and what follows.
fn clock(text: &str) -> Option<(i64, &str)> {
    let (hour, minute, second, rest) = match number(text, 6..=6).or_else(|| number(text, 4..=4)) {
        Some((all, rest)) if text.len() - rest.len() == 6 => (all / 10_000, all / 100 % 100, Some(all % 100), rest),
        Some((all, rest)) => (all / 100, all % 100, None, rest),
        None => {
            let (hour, rest) = number(text, 1..=2)?;
            let (minute, rest) = number(rest.strip_prefix(':')?, 1..=2)?;
            match rest.strip_prefix(':') {
                None => (hour, minute, None, rest),
                Some(rest) => number(rest, 1..=2).map(|(second, rest)| (hour, minute, Some(second), rest))?,
            }
        }
    };
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) if second.is_some() => micros(rest)?,
        _ => (0, rest),
    };
    let second = second.unwrap_or(0);
    let (hour, rest) = half_of_day(hour, rest)?;
    let time = (i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second)) * 1_000_000 + fraction;
    // 24:00 is the next midnight, and a second of 60 the next minute.
    (minute < 60 && second <= 60 && hour <= 24 && (hour < 24 || time <= DAY_US)).then_some((time, rest))
}

/// The digits behind the decimal point as µs, rounded.
fn micros(text: &str) -> Option<(i64, &str)> {
    let len = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, rest) = text.split_at_checked(len)?;
    let digit = |place: usize| i64::from(digits.as_bytes().get(place).map_or(0, |digit| digit - b'0'));
    let whole = (0..6).fold(0, |micros, place| micros * 10 + digit(place));
    Some((whole + i64::from(digit(6) >= 5), rest))
}

/// The hour with AM or PM, if one follows.
fn half_of_day(hour: u32, rest: &str) -> Option<(u32, &str)> {
    let word = rest.trim_start();
    let half = word.get(..2).map(str::to_ascii_lowercase);
    let after = word.get(2..).unwrap_or_default();
    let add = match half.as_deref() {
        Some("am") => 0,
        Some("pm") => 12,
        _ => return Some((hour, rest)),
    };
    if after.starts_with(|c: char| c.is_alphabetic()) {
        // A word that only begins so: `America/New_York`.
        return Some((hour, rest));
    }
    (hour <= 12).then_some((hour % 12 + add, after))
}

/// A zone as it follows a time: here `+01` lies east of Greenwich, as in ISO 8601.
fn zone_of(text: &str) -> Option<Zone> {
    let Some(sign) = text.chars().next().filter(|sign| matches!(sign, '+' | '-')) else {
        return match text.to_ascii_lowercase().as_str() {
            "z" | "utc" | "gmt" | "zulu" => Some(Zone::Fixed(0)),
            // Three letters are many places; PostgreSQL knows some from a list.
            _ if text.contains('/') => Zone::named(text).ok(),
            _ => None,
        };
    };
    let digits = text.get(1..)?;
    let mut parts = digits.split(':');
    let first = parts.next()?;
    let two = |part: Option<&str>| match part {
        None => Some(0),
        Some(part) => number(part, 1..=2).filter(|(_, rest)| rest.is_empty()).map(|(number, _)| number),
    };
    let (hours, minutes, seconds) = match number(first, 3..=4) {
        Some((all, "")) => (all / 100, all % 100, 0),
        _ => (two(Some(first))?, two(parts.next())?, two(parts.next())?),
    };
    if parts.next().is_some() || hours > 15 || minutes > 59 || seconds > 59 {
        return None;
    }
    let us = i64::from(hours * 3600 + minutes * 60 + seconds) * 1_000_000;
    Some(Zone::Fixed(if sign == '-' { -us } else { us }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Text, what PostgreSQL 15 takes it for as timestamptz in UTC, and as timestamp; `-` where it refuses. Made with that program.
    const CASES: &str = include_str!("../../cases/times.tsv");

    #[test]
    fn texts_are_the_times_that_postgres_takes_them_for() {
        let written = |at: Option<i64>| at.map_or_else(|| "-".to_owned(), |at| Timestamp::from_micros(at).to_string());
        let mut lines = 0;
        for line in CASES.lines().filter(|line| !line.is_empty()) {
            let cells: Vec<&str> = line.split('\t').collect();
            let [text, moment_there, shown_there] = cells[..] else { panic!("{line:?}") };
            let there = |cell: &str| match cell {
                "-" => None,
                cell => Some(Timestamp::parse_rfc3339(cell).expect(cell).micros()),
            };
            assert_eq!(written(moment(text)), written(there(moment_there)), "{text} as timestamptz");
            assert_eq!(written(shown(text)), written(there(shown_there)), "{text} as timestamp");
            lines += 1;
        }
        assert!(lines > 50, "{lines}");
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2026",
            "2026-11-20 08:00 Nowhere/Else",
            "10000-01-01",
            "0000-01-01 00:00+01",
            "2023-366",
            "2026-11-20 08:00 CET",
            "2026-11-20 08:00 AMX",
            "2026-11-20 08:00 pmAmerica/New_York",
        ] {
            assert_eq!(moment(text), None, "{text}");
        }
    }

    #[test]
    fn a_zone_may_begin_like_morning() {
        let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a time").micros();
        // As PostgreSQL reads them.
        assert_eq!(moment("2026-07-01 12:00 America/New_York"), Some(at("2026-07-01T16:00:00Z")));
        assert_eq!(moment("2026-07-01 12:00America/New_York"), Some(at("2026-07-01T16:00:00Z")));
        assert_eq!(moment("2026-07-01 1:00 PM America/New_York"), Some(at("2026-07-01T17:00:00Z")));
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_time_or_none(text in "[0-9TZtz :+./-]{0,30}") {
            let _ = moment(&text);
        }
    }
}
