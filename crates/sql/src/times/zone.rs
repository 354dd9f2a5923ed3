//! Zones of places, and what their clocks show.

use arrow::array::timezone::Tz;
use chrono::{DateTime, Offset, TimeZone};

/// A zone by its name, such as `Europe/Paris` or `UTC`, or a fixed distance from UTC.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Zone {
    /// A place.
    Place(Tz),
    /// µs ahead of UTC.
    Fixed(i64),
}

/// What cannot be a zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ZoneError {
    #[error("\"{0}\" is not a time zone; write the name of a place such as 'Europe/Paris', or 'UTC'")]
    Unknown(String),
    /// PostgreSQL reads these by POSIX: `+01` lies west of Greenwich. Nobody means that.
    #[error(
        "the time zone \"{0}\" is read the other way round by PostgreSQL, +01 as an hour behind UTC; write the name of a place such as 'Europe/Paris', or INTERVAL '1 hour' for an hour ahead"
    )]
    Ambiguous(String),
    /// PostgreSQL reads these as abbreviations, the same all year round; the lists of zones have some with a summer.
    #[error(
        "the time zone \"{0}\" is a fixed distance from UTC to PostgreSQL, without a summer; write the name of a place such as 'Europe/Berlin', or an interval such as INTERVAL '1 hour'"
    )]
    Abbreviation(String),
}

/// What is a zone of its own in the lists, and an abbreviation in PostgreSQL's.
const ABBREVIATIONS: [&str; 7] = ["cet", "eet", "met", "wet", "est", "mst", "hst"];

impl Zone {
    /// By its name.
    /// # Errors
    /// There is none of that name.
    pub(crate) fn named(name: &str) -> Result<Self, ZoneError> {
        let trimmed = name.trim();
        if trimmed.eq_ignore_ascii_case("utc") || trimmed.eq_ignore_ascii_case("z") {
            return Ok(Self::Fixed(0));
        }
        if trimmed.starts_with(|c: char| c == '+' || c == '-' || c.is_ascii_digit()) {
            return Err(ZoneError::Ambiguous(name.to_owned()));
        }
        if ABBREVIATIONS.iter().any(|short| trimmed.eq_ignore_ascii_case(short)) {
            return Err(ZoneError::Abbreviation(name.to_owned()));
        }
        let unknown = || ZoneError::Unknown(name.to_owned());
        if let Ok(place) = trimmed.parse::<Tz>() {
            return Ok(Self::Place(place));
        }
        // PostgreSQL does not mind how it is capitalised.
        let capitalised: String = trimmed
            .split_inclusive(['/', '_'])
            .map(|part| {
                let mut rest = part.chars();
                let first = rest.next().map(|first| first.to_ascii_uppercase());
                first.into_iter().chain(rest.map(|c| c.to_ascii_lowercase())).collect::<String>()
            })
            .collect();
        capitalised.parse().map(Self::Place).map_err(|_| unknown())
    }

    /// µs that its clocks are ahead of UTC at a moment (µs).
    pub(crate) fn ahead(&self, at: i64) -> i64 {
        match self {
            Self::Fixed(us) => *us,
            // A time that no calendar tells has no summer.
            Self::Place(place) => DateTime::from_timestamp_micros(at).map_or(0, |at| {
                i64::from(place.offset_from_utc_datetime(&at.naive_utc()).fix().local_minus_utc()) * 1_000_000
            }),
        }
    }

    /// What its clocks show at a moment: both in µs since 1970-01-01T00:00:00. `None` beyond what can be counted.
    pub(crate) fn shown(&self, at: i64) -> Option<i64> {
        at.checked_add(self.ahead(at))
    }

    /// The moment at which its clocks show `local`. Of two, the later one; where the clocks jump over it, as if they had not yet:
    /// as PostgreSQL does.
    pub(crate) fn moment(&self, local: i64) -> Option<i64> {
        let (before, after) = (local.saturating_sub(super::DAY_US), local.saturating_add(super::DAY_US));
        let (before, after) = (self.ahead(before), self.ahead(after));
        let is_right = |ahead: i64| self.ahead(local.saturating_sub(ahead)) == ahead;
        let ahead = match (is_right(before), is_right(after)) {
            (true, false) => before,
            (false, true) => after,
            _ => before.min(after),
        };
        local.checked_sub(ahead)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;

    fn at(text: &str) -> i64 {
        Timestamp::parse_rfc3339(text).expect("a time").micros()
    }

    #[test]
    fn clocks_that_are_turned_show_what_postgres_says() {
        let paris = Zone::named("europe/paris").expect("a place");
        // As PostgreSQL 15 answers `timestamp '…' AT TIME ZONE 'Europe/Paris'`.
        for (local, moment) in [
            ("2026-03-29 01:59:59", "2026-03-29 00:59:59"),
            ("2026-03-29 02:00:00", "2026-03-29 01:00:00"),
            ("2026-03-29 02:30:00", "2026-03-29 01:30:00"),
            ("2026-03-29 03:00:00", "2026-03-29 01:00:00"),
            ("2026-10-25 01:59:59", "2026-10-24 23:59:59"),
            ("2026-10-25 02:30:00", "2026-10-25 01:30:00"),
            ("2026-10-25 03:00:00", "2026-10-25 02:00:00"),
            ("2026-07-01 12:00:00", "2026-07-01 10:00:00"),
            ("0001-01-01 00:09:21", "0001-01-01 00:00:00"),
        ] {
            assert_eq!(paris.moment(at(local)), Some(at(moment)), "{local}");
        }
        for (moment, local) in
            [("2026-10-25 00:30:00", "2026-10-25 02:30:00"), ("2026-10-25 01:30:00", "2026-10-25 02:30:00")]
        {
            assert_eq!(paris.shown(at(moment)), Some(at(local)), "{moment}");
        }
    }

    #[test]
    fn what_is_no_zone_or_means_two_is_refused() {
        assert!(matches!(Zone::named("Europe/Nowhere"), Err(ZoneError::Unknown(_))));
        assert!(matches!(Zone::named("+01:00"), Err(ZoneError::Ambiguous(_))));
        assert!(matches!(Zone::named("utc"), Ok(Zone::Fixed(0))));
        for name in ["CET", "met", "Eet", "WET", "EST", "MST", "HST"] {
            assert!(matches!(Zone::named(name), Err(ZoneError::Abbreviation(_))), "{name}");
        }
        // PostgreSQL knows this one as a place.
        assert!(matches!(Zone::named("EST5EDT"), Ok(Zone::Place(_))));
    }
}
