//! Numbers of lots and of parts of lots.
//!
//! A lot's number is whatever its maker wrote on it. A part of a lot is called after it: `L-0815/2` is the second part of `L-0815`.

use crate::certificate::{Id, TextError};
use std::collections::BTreeSet;
use std::fmt;

/// What stands between a lot and its part.
const BETWEEN: char = '/';
/// The longest name of a part.
const PART_MAX: usize = 16;
/// So many parts a lot has that are named by counting.
pub const PARTS_MAX: u32 = 99_999;

/// The number of a part of a lot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SublotNumber {
    lot: Id,
    part: Box<str>,
}

/// Why a number is none of a lot or part.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NumberError {
    /// Not a text that can be a number.
    #[error(transparent)]
    Text(#[from] TextError),
    /// No part is named.
    #[error("{0:?} names no part: write the lot, a \"/\" and 1 to 16 of A-Z, a-z, 0-9, \".\", \"_\" and \"-\"")]
    Part(String),
    /// All of them are taken.
    #[error("the lot {0} has {PARTS_MAX} parts already; name this one by hand")]
    Many(String),
}

/// Checks the number of a lot: 1 to 64 characters that can be seen, without white space around them.
///
/// # Errors
/// What is wrong with it.
pub fn lot(text: &str) -> Result<Id, NumberError> {
    Ok(Id::parse(text)?)
}

impl SublotNumber {
    /// The part of a lot that is called so.
    ///
    /// # Errors
    /// The part has no such name, or both together are too long.
    pub fn new(lot: &Id, part: &str) -> Result<Self, NumberError> {
        let is_fit = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let whole = format!("{lot}{BETWEEN}{part}");
        if part.is_empty() || part.len() > PART_MAX || !part.chars().all(is_fit) {
            return Err(NumberError::Part(whole));
        }
        Id::parse(&whole)?;
        Ok(Self { lot: lot.clone(), part: part.into() })
    }

    /// Reads `lot/part`. The lot's own number may hold the same stroke; the last one counts.
    ///
    /// # Errors
    /// There is no part, or the number is too long.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let (lot, part) = text.rsplit_once(BETWEEN).ok_or_else(|| NumberError::Part(text.to_owned()))?;
        Self::new(&Id::parse(lot)?, part)
    }

    /// The next part of a lot that is named by counting, from 1: after the highest that there is, so that a number that once was on a
    /// label never comes again.
    ///
    /// # Errors
    /// There are too many, or the number gets too long.
    pub fn next<'a>(lot: &Id, there_are: impl IntoIterator<Item = &'a str>) -> Result<Self, NumberError> {
        let counted = |number: &'a str| {
            let part = number.strip_prefix(lot.as_str())?.strip_prefix(BETWEEN)?;
            part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u32>().ok()).flatten()
        };
        let taken: BTreeSet<u32> = there_are.into_iter().filter_map(counted).collect();
        let next = taken.last().map_or(1, |last| last.saturating_add(1));
        if next > PARTS_MAX {
            return Err(NumberError::Many(lot.to_string()));
        }
        Self::new(lot, &next.to_string())
    }

    /// The lot it is a part of.
    #[must_use]
    pub const fn lot(&self) -> &Id {
        &self.lot
    }

    /// What the part is called within the lot.
    #[must_use]
    pub fn part(&self) -> &str {
        &self.part
    }
}

impl fmt::Display for SublotNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{BETWEEN}{}", self.lot, self.part)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_called_after_its_lot() {
        let lot = lot("12/345").unwrap();
        let part = SublotNumber::new(&lot, "A-1").unwrap();
        assert_eq!(part.to_string(), "12/345/A-1");
        assert_eq!(SublotNumber::parse("12/345/A-1"), Ok(part));
        for text in ["L", "L/", "L/a b", "L/é", "L/12345678901234567", "/1", "L/1\n"] {
            assert!(SublotNumber::parse(text).is_err(), "{text:?}");
        }
        let long = "L".repeat(64);
        assert!(SublotNumber::new(&Id::parse(&long).unwrap(), "1").is_err());
    }

    #[test]
    fn the_next_part_never_had_a_number_before() {
        let lot = lot("L1").unwrap();
        let next = |there_are: &[&str]| SublotNumber::next(&lot, there_are.iter().copied()).map(|n| n.to_string());
        assert_eq!(next(&[]).unwrap(), "L1/1");
        assert_eq!(next(&["L1/1", "L1/7", "L1/x", "L12/30", "L1/+40", "L1/2/50"]).unwrap(), "L1/8");
        assert_eq!(next(&["L1/99999"]), Err(NumberError::Many("L1".to_owned())));
    }
}
