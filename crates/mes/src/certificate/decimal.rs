//! Decimal numbers as texts: what was measured, exactly as it is signed.

use crate::quantity::Quantity;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A decimal number of at most 18 digits before and 18 after the point. As a text it has no needless zero, sign or point, so that equal
/// numbers are equal texts: `12.5`, `-0.25`, `0`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Decimal(i128);

/// Places after the point.
const PLACES: usize = 18;
/// One, in the units that are counted.
const ONE: i128 = 1_000_000_000_000_000_000;

/// Why something is no [`Decimal`].
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum DecimalError {
    /// Not written in the one way.
    #[error("{0:?} is no decimal number as it stands in a certificate; \"12.5\", \"-0.25\" and \"0\" are")]
    Spelling(String),
    /// More than there can be, or no number.
    #[error("{0} is no number between ±10^18")]
    Range(f64),
}

impl Decimal {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Reads the one way to write it.
    ///
    /// # Errors
    /// Another spelling, an exponent, or too many digits.
    pub fn parse(text: &str) -> Result<Self, DecimalError> {
        let read = || {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
            if whole.len() > PLACES || part.len() > PLACES {
                return None;
            }
            let number = |digits: &str| {
                digits.bytes().try_fold(0_i128, |number, byte| {
                    byte.is_ascii_digit().then(|| number * 10 + i128::from(byte - b'0'))
                })
            };
            let size = number(whole)? * ONE + number(&format!("{part:0<PLACES$}"))?;
            Some(Self(if digits.len() < text.len() { -size } else { size }))
        };
        // Whatever is not what would be written: a leading zero, "+1", "1.", ".5", "1.50", "-0".
        let spelled = |number: &Self| number.to_string() == text;
        read().filter(spelled).ok_or_else(|| DecimalError::Spelling(text.chars().take(2 * PLACES + 4).collect()))
    }

    /// From a measured number: the shortest digits that mean it, rounded to 10⁻¹⁸.
    ///
    /// # Errors
    /// Not a number, or 10¹⁸ and beyond.
    pub fn from_f64(number: f64) -> Result<Self, DecimalError> {
        let range = || DecimalError::Range(number);
        // Infinity has no digits, and NaN is in no range.
        if number.is_nan() || number.abs() >= 1e18 {
            return Err(range());
        }
        let shortest = number.abs().to_string();
        let (whole, part) = shortest.split_once('.').unwrap_or((&shortest, ""));
        let kept = &part[..part.len().min(PLACES)];
        let size: i128 = format!("{whole}{kept:0<PLACES$}").parse().map_err(|_| range())?;
        let size = size + i128::from(part.as_bytes().get(PLACES).is_some_and(|digit| *digit >= b'5'));
        Ok(Self(if number < 0.0 { -size } else { size }))
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl From<Quantity> for Decimal {
    fn from(quantity: Quantity) -> Self {
        Self(i128::from(quantity.millionths()) * (ONE / 1_000_000))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (size, sign) = (self.0.abs(), if self.0 < 0 { "-" } else { "" });
        write!(f, "{sign}{}", size / ONE)?;
        match size % ONE {
            0 => Ok(()),
            part => write!(f, ".{}", format!("{part:018}").trim_end_matches('0')),
        }
    }
}

impl TryFrom<String> for Decimal {
    type Error = DecimalError;
    fn try_from(text: String) -> Result<Self, DecimalError> {
        Self::parse(&text)
    }
}

impl From<Decimal> for String {
    fn from(number: Decimal) -> Self {
        number.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first that has too many digits.
    const TOO_LARGE: i128 = ONE * ONE;

    #[test]
    fn there_is_one_way_to_write_a_number() {
        for text in ["0", "1", "-1", "12.5", "-0.25", "0.000000000000000001", "999999999999999999.999999999999999999"] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), text);
        }
        let wrong = [
            "",
            "-",
            ".",
            "-0",
            "-0.0",
            "00",
            "01",
            "+1",
            "1.",
            ".5",
            "1.50",
            "1e3",
            "1,5",
            " 1",
            "1 ",
            "٣",
            "0x1",
            "NaN",
            "inf",
            "--1",
            "1.2.3",
            "1000000000000000000",
            "0.0000000000000000001",
        ];
        for text in wrong {
            assert_eq!(Decimal::parse(text), Err(DecimalError::Spelling(text.into())));
        }
        assert!(Decimal::parse(&"9".repeat(100_000)).unwrap_err().to_string().len() < 200);
    }

    #[test]
    fn a_measured_number_has_its_shortest_digits() {
        for (number, text) in [
            (0.1, "0.1"),
            (0.1 + 0.2, "0.30000000000000004"),
            (-12.5, "-12.5"),
            (-0.0, "0"),
            (1e-18, "0.000000000000000001"),
            (1.5e-18, "0.000000000000000002"),
            (4e-19, "0"),
            (-4e-19, "0"),
            (1e17, "100000000000000000"),
            (0.001_234_567_890_123_456_7, "0.001234567890123457"),
        ] {
            assert_eq!(Decimal::from_f64(number).unwrap().to_string(), text);
        }
        for number in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e18, -1e300] {
            assert!(Decimal::from_f64(number).is_err(), "{number}");
        }
        assert_eq!(Decimal::from(Quantity::from_millionths(-1_250_000)).to_string(), "-1.25");
    }

    proptest! {
        #[test]
        fn digits_give_it_back_and_keep_the_order(a in -TOO_LARGE + 1..TOO_LARGE, b in -TOO_LARGE + 1..TOO_LARGE) {
            prop_assert_eq!(Decimal::parse(&Decimal(a).to_string()), Ok(Decimal(a)));
            prop_assert_eq!(Decimal(a).cmp(&Decimal(b)), a.cmp(&b));
        }

        #[test]
        fn what_was_measured_comes_back_to_the_last_bit(number in prop_oneof![-1e9..1e9, -1.0..1.0, proptest::num::f64::NORMAL]) {
            match Decimal::from_f64(number) {
                Ok(decimal) => {
                    prop_assert_eq!(Decimal::parse(&decimal.to_string()), Ok(decimal));
                    let back: f64 = decimal.to_string().parse().unwrap();
                    let exact = number.abs().to_string().split_once('.').is_none_or(|(_, part)| part.len() <= PLACES);
                    prop_assert!(if exact { back == number } else { (back - number).abs() <= 1e-18 }, "{number} {back}");
                }
                Err(_) => prop_assert!(number.abs() >= 1e18),
            }
        }
    }
}
