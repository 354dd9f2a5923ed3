//! How much: a number with six decimals, so that sums are exact in whatever order they are made.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Neg, Sub};

/// An amount of a material in its own unit (pieces, kg, m), to a millionth. At most ±9.2 × 10¹²; sums stop there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Quantity(i64);

/// Millionths in one.
const ONE: i64 = 1_000_000;

/// Why a number is no quantity.
#[derive(Clone, Copy, PartialEq, Debug, thiserror::Error)]
#[error("{0} is no quantity: a number between ±9,000,000,000,000 with at most six decimals is")]
pub struct QuantityError(pub f64);

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many whole pieces; `None`: more than there can be.
    #[must_use]
    pub fn pieces(count: i64) -> Option<Self> {
        count.checked_mul(ONE).map(Self)
    }

    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(millionths: i64) -> Self {
        Self(millionths)
    }

    /// In millionths.
    #[must_use]
    pub const fn millionths(self) -> i64 {
        self.0
    }

    /// From a measured number, rounded to a millionth.
    ///
    /// # Errors
    /// Not a number, or beyond the range.
    #[expect(clippy::cast_possible_truncation, reason = "the range was looked at")]
    pub fn from_f64(number: f64) -> Result<Self, QuantityError> {
        if !(-9e12..=9e12).contains(&number) {
            return Err(QuantityError(number));
        }
        // Whole and broken part for themselves, since the product with a million would cost digits.
        let whole = number.trunc();
        Ok(Self(whole as i64 * ONE + ((number - whole) * 1e6).round() as i64))
    }

    /// As a floating-point number; exact up to 9 × 10⁹.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "said above")]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / 1e6
    }

    /// Whether it is less than nothing.
    #[must_use]
    pub const fn is_negative(self) -> bool {
        self.0 < 0
    }
}

impl Add for Quantity {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sub for Quantity {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Neg for Quantity {
    type Output = Self;
    fn neg(self) -> Self {
        Self(self.0.saturating_neg())
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Quantity {
    /// Without needless zeros: `12`, `0.25`, `-3.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, part) = (self.0.unsigned_abs() / ONE.unsigned_abs(), self.0.unsigned_abs() % ONE.unsigned_abs());
        if part == 0 {
            return write!(f, "{sign}{whole}");
        }
        write!(f, "{sign}{whole}.{}", format!("{part:06}").trim_end_matches('0'))
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0 % ONE == 0 { serializer.serialize_i64(self.0 / ONE) } else { serializer.serialize_f64(self.to_f64()) }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_f64(f64::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn it_is_shown_without_needless_zeros() {
        let shown = [0, 1, -1, 1_000_000, 12_340_000, -3_000_001].map(|n| Quantity(n).to_string());
        assert_eq!(shown, ["0", "0.000001", "-0.000001", "1", "12.34", "-3.000001"]);
    }

    #[test]
    fn what_is_no_quantity_is_refused() {
        for number in [f64::NAN, f64::INFINITY, -f64::INFINITY, 9.1e12, -1e300] {
            assert!(Quantity::from_f64(number).is_err(), "{number}");
        }
        assert_eq!(Quantity::from_f64(0.1 + 0.2).map(Quantity::millionths), Ok(300_000));
        assert_eq!(Quantity::from_f64(-9e12).map(Quantity::millionths), Ok(-9_000_000_000_000_000_000));
    }

    proptest! {
        #[test]
        fn a_sum_is_the_same_in_any_order(mut parts in proptest::collection::vec(-10_000_000_000i64..10_000_000_000, 0..50)) {
            let sum: Quantity = parts.iter().copied().map(Quantity).sum();
            parts.sort_unstable();
            prop_assert_eq!(sum, parts.into_iter().map(Quantity).sum());
        }

        #[test]
        fn json_gives_it_back(millionths in -1_000_000_000_000i64..1_000_000_000_000) {
            let text = serde_json::to_string(&Quantity(millionths)).unwrap();
            prop_assert_eq!(serde_json::from_str::<Quantity>(&text).unwrap(), Quantity(millionths), "{}", text);
        }
    }
}
