//! Points in time and spans as XML Schema Part 2 writes them (`xsd:dateTime`, `xsd:duration`).

use crate::error::WrongValue;
use andon_model::Timestamp;
use std::fmt;

/// A point in time, `2026-11-27T06:00:00.5+01:00`, to a microsecond; years 0001 to 9999.
///
/// Without a zone it is what the clock on the wall of the place in question shows. This crate does not guess where that is: such a
/// time has no [`DateTime::timestamp`], and whoever knows the place gives its zone with [`DateTime::in_zone`].
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DateTime {
    /// What the clock shows, as if it stood in UTC.
    wall: Timestamp,
    /// Minutes before UTC, −840 to 840; none: no zone was said.
    offset_minutes: Option<i16>,
}

/// Microseconds in a minute.
const MINUTE: i64 = 60_000_000;

impl DateTime {
    /// A point in time, to be written in UTC; `None`: beyond the years 0001 to 9999.
    #[must_use]
    pub fn utc(at: Timestamp) -> Option<Self> {
        can_be_written(at).then_some(Self { wall: at, offset_minutes: Some(0) })
    }

    /// The point in time; `None` when no zone was said.
    #[must_use]
    pub fn timestamp(self) -> Option<Timestamp> {
        self.offset_minutes.map(|minutes| before(self.wall, minutes))
    }

    /// The point in time, where `offset_minutes` says how many minutes the place is before UTC when its clock shows a given time (handed in
    /// as if it were UTC). It is asked only when no zone was said.
    #[must_use]
    pub fn in_zone(self, offset_minutes: impl FnOnce(Timestamp) -> i16) -> Timestamp {
        before(self.wall, self.offset_minutes.unwrap_or_else(|| offset_minutes(self.wall)))
    }

    /// Reads `YYYY-MM-DDThh:mm:ss[.fraction][Z|±hh:mm]`; digits behind the microseconds are cut off, `24:00:00` is the next midnight.
    ///
    /// # Errors
    /// It is written in another way, or there is no such time.
    pub fn parse(text: &str) -> Result<Self, WrongValue> {
        fields(text.trim()).ok_or_else(|| {
            WrongValue::new(
                text,
                "is no point in time as XML Schema has it: 2026-11-27T06:00:00+01:00, the zone may be left out",
            )
        })
    }
}

fn can_be_written(at: Timestamp) -> bool {
    at.has_date() && at.civil().0 >= 1
}

fn before(wall: Timestamp, minutes: i16) -> Timestamp {
    Timestamp::from_micros(wall.micros().saturating_sub(i64::from(minutes) * MINUTE))
}

/// Just digits, of that many places.
fn number(text: &str, places: usize) -> Option<u32> {
    (text.len() == places && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.parse().ok()).flatten()
}

fn fields(text: &str) -> Option<DateTime> {
    let (date, rest) = text.split_once('T')?;
    let (clock, offset_minutes) = zone(rest)?;
    let mut date = date.split('-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let (whole, fraction) = clock.split_once('.').map_or((clock, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut clock = whole.split(':');
    let (hour, minute, second) = (number(clock.next()?, 2)?, number(clock.next()?, 2)?, number(clock.next()?, 2)?);
    if year == 0 || date.next().is_some() || clock.next().is_some() {
        return None;
    }
    let micros = fraction.map_or(Some(0), micros)?;
    // The end of a day, XML Schema Part 2, 3.2.7.
    let midnight = hour == 24 && minute == 0 && second == 0 && micros == 0;
    let hour = if midnight { 0 } else { hour };
    let wall = Timestamp::from_civil(i64::from(year), month, day, hour, minute, second, micros)?;
    let wall = if midnight { Timestamp::from_micros(wall.micros() + 24 * 60 * MINUTE) } else { wall };
    can_be_written(wall).then_some(DateTime { wall, offset_minutes })
}

/// The digits behind the point as microseconds.
fn micros(fraction: &str) -> Option<u32> {
    if fraction.is_empty() || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    fraction
        .bytes()
        .chain(std::iter::repeat(b'0'))
        .take(6)
        .try_fold(0, |sum, digit| Some(sum * 10 + u32::from(digit - b'0')))
}

/// The clock and the zone behind it.
fn zone(rest: &str) -> Option<(&str, Option<i16>)> {
    if let Some(clock) = rest.strip_suffix('Z') {
        return Some((clock, Some(0)));
    }
    let Some(at) = rest.find(['+', '-']) else { return Some((rest, None)) };
    let (clock, zone) = rest.split_at(at);
    let (hours, minutes) = zone[1..].split_once(':')?;
    let (hours, minutes) = (number(hours, 2)?, number(minutes, 2)?);
    let total = i16::try_from(hours * 60 + minutes).ok().filter(|total| minutes < 60 && *total <= 14 * 60)?;
    Some((clock, Some(if zone.starts_with('-') { -total } else { total })))
}

impl fmt::Display for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let wall = self.wall.to_string();
        f.write_str(wall.trim_end_matches('Z'))?;
        match self.offset_minutes {
            None => Ok(()),
            Some(0) => f.write_str("Z"),
            Some(minutes) => {
                let sign = if minutes < 0 { '-' } else { '+' };
                write!(f, "{sign}{:02}:{:02}", minutes.unsigned_abs() / 60, minutes.unsigned_abs() % 60)
            }
        }
    }
}

impl fmt::Debug for DateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl crate::content::Value for DateTime {
    #[cfg(test)]
    const TYPE: &'static str = "DateTimeType";
    fn parse(text: &str) -> Result<Self, WrongValue> {
        Self::parse(text)
    }
    fn text(&self) -> String {
        self.to_string()
    }
    #[cfg(test)]
    fn sample(random: &mut crate::tests::Random) -> Self {
        let offset = i16::try_from(random.below(1681)).unwrap() - 840;
        let wall = Timestamp::from_micros(i64::try_from(random.number() >> 12).unwrap());
        Self { wall, offset_minutes: (random.below(3) > 0).then_some(offset) }
    }
}

/// A span of time, `PT1H30M`, to a microsecond. Months and years have no fixed length and stay what they are.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Duration {
    negative: bool,
    /// Years are twelve of them; at most 120,000.
    months: u32,
    /// Days, hours, minutes and seconds together; at most 10,000 years.
    micros: u64,
}

impl Duration {
    const MAX_MONTHS: u64 = 120_000;
    const MAX_MICROS: u64 = 10_000 * 366 * DAY;

    /// Of that many microseconds; `None`: longer than 10,000 years.
    #[must_use]
    pub fn from_micros(micros: i64) -> Option<Self> {
        let length = micros.unsigned_abs();
        (length <= Self::MAX_MICROS).then_some(Self { negative: micros < 0, months: 0, micros: length })
    }

    /// In microseconds; `None` when it has months or years.
    #[must_use]
    pub fn micros(self) -> Option<i64> {
        let micros = i64::try_from(self.micros).ok().filter(|_| self.months == 0)?;
        Some(if self.negative { -micros } else { micros })
    }

    /// Reads `[-]PnYnMnDTnHnMn.nS`, each part optional; digits behind the microseconds are cut off.
    ///
    /// # Errors
    /// It is written in another way, or is longer than 10,000 years.
    pub fn parse(text: &str) -> Result<Self, WrongValue> {
        span(text.trim()).ok_or_else(|| WrongValue::new(text, "is no span of time as XML Schema has it: PT1H30M, P2D"))
    }
}

/// Microseconds in a day.
const DAY: u64 = 86_400_000_000;

fn span(text: &str) -> Option<Duration> {
    let (negative, rest) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let rest = rest.strip_prefix('P')?;
    let (date, clock) = rest.split_once('T').map_or((rest, None), |(date, clock)| (date, Some(clock)));
    if rest.is_empty() || clock == Some("") {
        return None;
    }
    let [years, months, days] = parts(date, ['Y', 'M', 'D'])?;
    let (clock, fraction) = match clock.and_then(|clock| clock.split_once('.')) {
        Some((whole, fraction)) => (format!("{whole}S"), micros(fraction.strip_suffix('S')?)?),
        None => (clock.unwrap_or_default().to_owned(), 0),
    };
    let [hours, minutes, seconds] = parts(&clock, ['H', 'M', 'S'])?;
    let months = years * 12 + months;
    // Nine digits of each cannot reach the end of the range before this last step.
    let seconds = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    let micros = seconds.checked_mul(1_000_000)?.checked_add(u64::from(fraction))?;
    let months = u32::try_from(months).ok().filter(|_| months <= Duration::MAX_MONTHS)?;
    let negative = negative && (months > 0 || micros > 0);
    (micros <= Duration::MAX_MICROS).then_some(Duration { negative, months, micros })
}

/// `12Y3M` → `[12, 3, 0]`: each letter at most once and in this order, each number of at most nine digits.
fn parts(mut text: &str, letters: [char; 3]) -> Option<[u64; 3]> {
    let mut numbers = [0; 3];
    for (number, letter) in numbers.iter_mut().zip(letters) {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        if let Some(rest) = text[digits..].strip_prefix(letter) {
            *number = (1..=9).contains(&digits).then(|| text[..digits].parse().ok()).flatten()?;
            text = rest;
        }
    }
    text.is_empty().then_some(numbers)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |f: &mut fmt::Formatter<'_>, number: u64, letter: char| {
            if number == 0 { Ok(()) } else { write!(f, "{number}{letter}") }
        };
        f.write_str(if self.negative { "-P" } else { "P" })?;
        part(f, u64::from(self.months / 12), 'Y')?;
        part(f, u64::from(self.months % 12), 'M')?;
        part(f, self.micros / DAY, 'D')?;
        let clock = self.micros % DAY;
        if clock == 0 {
            return f.write_str(if self.months == 0 && self.micros == 0 { "T0S" } else { "" });
        }
        f.write_str("T")?;
        let seconds = clock / 1_000_000;
        part(f, seconds / 3600, 'H')?;
        part(f, seconds / 60 % 60, 'M')?;
        match clock % 1_000_000 {
            0 => part(f, seconds % 60, 'S'),
            fraction => write!(f, "{}.{}S", seconds % 60, format!("{fraction:06}").trim_end_matches('0')),
        }
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl crate::content::Value for Duration {
    #[cfg(test)]
    const TYPE: &'static str = "DurationType";
    fn parse(text: &str) -> Result<Self, WrongValue> {
        Self::parse(text)
    }
    fn text(&self) -> String {
        self.to_string()
    }
    #[cfg(test)]
    fn sample(random: &mut crate::tests::Random) -> Self {
        let (months, micros) = (u32::try_from(random.below(3)).unwrap(), random.number() >> 8);
        Self { negative: months + u32::from(micros > 0) > 0 && random.below(2) == 0, months, micros }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn points_in_time_keep_their_zone_or_the_lack_of_one() {
        for text in
            ["2026-11-27T06:00:00Z", "2026-11-27T06:00:00+01:00", "2026-11-27T06:00:00", "0001-01-01T00:00:00-14:00"]
        {
            assert_eq!(DateTime::parse(text).unwrap().to_string(), text);
        }
        let east = DateTime::parse(" 2026-11-27T06:00:00.5000009+05:30\n").unwrap();
        assert_eq!(east.timestamp().unwrap().to_string(), "2026-11-27T00:30:00.500Z");
        assert_eq!(DateTime::parse("2026-12-31T24:00:00").unwrap().to_string(), "2027-01-01T00:00:00");
    }

    #[test]
    fn a_time_without_a_zone_is_a_point_in_time_only_with_the_zone_of_its_place() {
        let local = DateTime::parse("2026-07-01T12:00:00").unwrap();
        assert_eq!(local.timestamp(), None);
        assert_eq!(local.in_zone(|_| 120).to_string(), "2026-07-01T10:00:00Z");
        let zoned = DateTime::parse("2026-07-01T12:00:00Z").unwrap();
        assert_eq!(zoned.in_zone(|_| panic!("it has a zone")).to_string(), "2026-07-01T12:00:00Z");
    }

    #[test]
    fn what_is_no_point_in_time_is_refused() {
        for text in [
            "",
            "2026-11-27",
            "2026-11-27 06:00:00",
            "2026-11-27t06:00:00",
            "2026-11-27T06:00",
            "2026-11-27T06:00:60",
            "2026-02-29T00:00:00",
            "2026-11-27T24:00:01",
            "2026-11-27T06:00:00.",
            "2026-11-27T06:00:00+1:00",
            "2026-11-27T06:00:00+14:01",
            "2026-11-27T06:00:00+01:60",
            "0000-01-01T00:00:00",
            "12026-01-01T00:00:00",
            "-0044-03-15T00:00:00",
            "9999-12-31T24:00:00",
            "2026-11-27T06:00:00z",
            "2026-11-27T06:00:00ZZ",
            "+026-11-27T06:00:00",
        ] {
            assert!(DateTime::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn spans_are_read_and_written_in_one_spelling() {
        let spelt = [
            ("PT90S", "PT1M30S"),
            ("P1Y2M3DT4H5M6.5S", "P1Y2M3DT4H5M6.5S"),
            ("-P1D", "-P1D"),
            ("PT0S", "PT0S"),
            ("-PT0.0000001S", "PT0S"),
            ("P14M", "P1Y2M"),
            ("PT36H", "P1DT12H"),
            ("PT0.25S", "PT0.25S"),
        ];
        for (text, written) in spelt {
            assert_eq!(Duration::parse(text).unwrap().to_string(), written, "{text}");
        }
        assert_eq!(Duration::parse("PT12.5S").unwrap().micros(), Some(12_500_000));
        assert_eq!(Duration::parse("P1M").unwrap().micros(), None);
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for text in [
            "",
            "P",
            "PT",
            "P1DT",
            "1D",
            "P1H",
            "PT1D",
            "PT1M1H",
            "PT1.S",
            "PT1.5M",
            "P-1D",
            "P1.5D",
            "PT.5S",
            "P1D1D",
            "p1d",
            "PT9999999999S",
            "P999999999Y",
            "P5000000D",
        ] {
            assert!(Duration::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(micros in -60_000_000_000_000_000i64..250_000_000_000_000_000, minutes in -840i16..=840) {
            let at = DateTime { wall: Timestamp::from_micros(micros), offset_minutes: Some(minutes) };
            prop_assert_eq!(DateTime::parse(&at.to_string()), Ok(at));
            let span = Duration::from_micros(micros).unwrap();
            prop_assert_eq!(Duration::parse(&span.to_string()), Ok(span));
            prop_assert_eq!(span.micros(), Some(micros));
        }

        #[test]
        fn no_text_makes_them_panic(text in "[-+PTYMDHSZ0-9.:]{0,30}") {
            let _ = (DateTime::parse(&text), Duration::parse(&text), crate::Decimal::parse(&text));
        }
    }
}
