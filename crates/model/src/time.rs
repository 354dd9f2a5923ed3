//! Points in time and where they come from.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

/// A point in time: microseconds since 1970-01-01T00:00:00Z, without leap seconds. Negative before 1970.
///
/// Shown as RFC 3339 with `Z`; in JSON it is the number of microseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The first representable instant; sorts before every real one.
    pub const MIN: Self = Self(i64::MIN);
    /// The last representable instant; sorts after every real one.
    pub const MAX: Self = Self(i64::MAX);

    /// 0000-01-01T00:00:00Z, the first that RFC 3339 can write.
    pub const FIRST_DATE: Self = Self(-62_167_219_200_000_000);
    /// 9999-12-31T23:59:59.999999Z, the last one.
    pub const LAST_DATE: Self = Self(253_402_300_799_999_999);

    /// Whether RFC 3339 can write it, and with it everybody who is told of it: the years 0000 to 9999.
    #[must_use]
    pub const fn has_date(self) -> bool {
        Self::FIRST_DATE.0 <= self.0 && self.0 <= Self::LAST_DATE.0
    }

    /// From microseconds since the Unix epoch.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// From milliseconds since the Unix epoch; saturates at the ends of the range.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(1000))
    }

    /// Microseconds since the Unix epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole milliseconds since the Unix epoch, rounded towards the past.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Later by `span`; saturates.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// Earlier by `span`; saturates.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }

    /// The time from `earlier` to `self`; zero when `earlier` is not earlier.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// Year, month (1–12), day, hour, minute, second, microsecond in UTC (proleptic Gregorian calendar).
    #[must_use]
    pub fn civil(self) -> (i64, u32, u32, u32, u32, u32, u32) {
        let seconds = self.0.div_euclid(1_000_000);
        let micros = u32::try_from(self.0.rem_euclid(1_000_000)).unwrap_or(0);
        let days = seconds.div_euclid(86_400);
        let second_of_day = u32::try_from(seconds.rem_euclid(86_400)).unwrap_or(0);
        // Days to civil date: Howard Hinnant, "chrono-compatible low-level date algorithms".
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        let year = year_of_era + era * 400 + i64::from(month <= 2);
        let to_u32 = |n: i64| u32::try_from(n).unwrap_or(0);
        (year, to_u32(month), to_u32(day), second_of_day / 3600, second_of_day / 60 % 60, second_of_day % 60, micros)
    }

    /// From a UTC civil date and time. `None` when a field is out of its range (30 February included).
    #[must_use]
    pub fn from_civil(
        year: i64,
        month: u32,
        day: u32,
        hour: u32,
        minute: u32,
        second: u32,
        micros: u32,
    ) -> Option<Self> {
        let in_range = (1..=12).contains(&month) && hour < 24 && minute < 60 && second < 60 && micros < 1_000_000;
        if !in_range || !(-200_000..=200_000).contains(&year) || day == 0 {
            return None;
        }
        let adjusted = if month <= 2 { year - 1 } else { year };
        let era = adjusted.div_euclid(400);
        let year_of_era = adjusted.rem_euclid(400);
        let month_index = i64::from(if month > 2 { month - 3 } else { month + 9 });
        let day_of_year = (153 * month_index + 2) / 5 + i64::from(day) - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        let days = era * 146_097 + day_of_era - 719_468;
        let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
        let stamp = Self(seconds * 1_000_000 + i64::from(micros));
        let (_, back_month, back_day, ..) = stamp.civil();
        (back_month == month && back_day == day).then_some(stamp)
    }

    /// Reads RFC 3339 (`2026-11-22T06:42:10.5Z`, `…+02:00`); a missing offset means UTC, a space may stand for `T`.
    /// `None` when the text is not such a time.
    #[must_use]
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let text = text.trim();
        let (date, rest) = text.split_at_checked(10)?;
        let number = |part: &str| -> Option<u32> {
            (!part.is_empty() && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse().ok()).flatten()
        };
        let mut parts = date.split('-');
        let (year, month, day) = (number(parts.next()?)?, number(parts.next()?)?, number(parts.next()?)?);
        if rest.is_empty() {
            return Self::from_civil(i64::from(year), month, day, 0, 0, 0, 0);
        }
        let rest = rest.strip_prefix(['T', 't', ' '])?;
        let split = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
        let (clock, zone) = rest.split_at_checked(split)?;
        let (whole, fraction) = clock.split_once(['.', ',']).unwrap_or((clock, ""));
        let mut fields = whole.split(':');
        let (hour, minute) = (number(fields.next()?)?, number(fields.next()?)?);
        let second = fields.next().map_or(Some(0), number)?;
        if fields.next().is_some() {
            return None;
        }
        let micros = if fraction.is_empty() {
            0
        } else {
            number(fraction.get(..fraction.len().min(6))?)? * 10_u32.pow(6 - u32::try_from(fraction.len().min(6)).ok()?)
        };
        let local = Self::from_civil(i64::from(year), month, day, hour, minute, second, micros)?;
        let offset_minutes = match zone {
            "" | "Z" | "z" => 0,
            _ => {
                let (sign, digits) = zone.split_at_checked(1)?;
                let (hours, minutes) = digits.split_once(':').or_else(|| digits.split_at_checked(2))?;
                let (hours, minutes) = (number(hours)?, if minutes.is_empty() { 0 } else { number(minutes)? });
                if hours > 23 || minutes > 59 {
                    return None;
                }
                i64::from(hours * 60 + minutes) * if sign == "-" { -1 } else { 1 }
            }
        };
        // An offset may lead out of the years that can be written.
        Some(Self(local.0 - offset_minutes * 60_000_000)).filter(|stamp| stamp.has_date())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day, hour, minute, second, micros) = self.civil();
        // Beyond the years of RFC 3339 as ISO 8601 does it, with a sign, so that nobody takes it for another year.
        if self.has_date() {
            write!(f, "{year:04}")?
        } else {
            write!(f, "{year:+05}")?
        }
        write!(f, "-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        match micros {
            0 => {}
            m if m % 1000 == 0 => write!(f, ".{:03}", m / 1000)?,
            m => write!(f, ".{m:06}")?,
        }
        f.write_str("Z")
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a part gets the time from; handed in, so that a test can turn the hands.
pub trait Clock: Send + Sync + 'static {
    /// The wall clock, UTC. May step in either direction.
    fn now(&self) -> Timestamp;
    /// Time since an arbitrary fixed point; never goes back.
    fn monotonic(&self) -> Duration;
}

/// The operating system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Timestamp(since.map_or(0, |d| i64::try_from(d.as_micros()).unwrap_or(i64::MAX)))
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that reads the monotonic clock")]
    fn monotonic(&self) -> Duration {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        START.get_or_init(std::time::Instant::now).elapsed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_and_reads_rfc_3339() {
        for (text, micros) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-02-29T12:34:56.789Z", 951_827_696_789_000),
            ("1969-12-31T23:59:59.999999Z", -1),
            ("2026-11-22T06:42:10Z", 1_795_329_730_000_000),
        ] {
            assert_eq!(Timestamp(micros).to_string(), text);
            assert_eq!(Timestamp::parse_rfc3339(text), Some(Timestamp(micros)));
        }
    }

    #[test]
    fn a_date_has_a_year_of_four_digits_and_nothing_else_looks_like_one() {
        for (stamp, text, is_date) in [
            (Timestamp::FIRST_DATE, "0000-01-01T00:00:00Z", true),
            (Timestamp::LAST_DATE, "9999-12-31T23:59:59.999999Z", true),
            (Timestamp(Timestamp::FIRST_DATE.0 - 1), "-0001-12-31T23:59:59.999999Z", false),
            (Timestamp(Timestamp::LAST_DATE.0 + 1), "+10000-01-01T00:00:00Z", false),
            (Timestamp::MIN, "-290308-12-21T19:59:05.224192Z", false),
            (Timestamp::MAX, "+294247-01-10T04:00:54.775807Z", false),
        ] {
            assert_eq!((stamp.to_string().as_str(), stamp.has_date()), (text, is_date));
            assert_eq!(Timestamp::parse_rfc3339(text), is_date.then_some(stamp), "{text}");
        }
        for beyond in ["0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-23:59"] {
            assert_eq!(Timestamp::parse_rfc3339(beyond), None, "{beyond}");
        }
        assert!(Timestamp::parse_rfc3339("0000-01-01T00:00:00-00:01").is_some());
    }

    #[test]
    fn reads_offsets_and_refuses_nonsense() {
        let noon = Timestamp::parse_rfc3339("2026-03-01T12:00:00Z");
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01T14:00:00+02:00"), noon);
        assert_eq!(Timestamp::parse_rfc3339("2026-03-01 12:00"), noon);
        for bad in [
            "",
            "2026",
            "2026-02-30T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-01T25:00:00Z",
            "yesterday",
            "2026-01-01T1é:00",
        ] {
            assert_eq!(Timestamp::parse_rfc3339(bad), None, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn civil_round_trips(micros in -60_000_000_000_000_000_i64..250_000_000_000_000_000) {
            let stamp = Timestamp(micros);
            let (y, mo, d, h, mi, s, us) = stamp.civil();
            proptest::prop_assert_eq!(Timestamp::from_civil(y, mo, d, h, mi, s, us), Some(stamp));
        }
    }
}
