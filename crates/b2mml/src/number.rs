//! Numbers as they are written: exact decimals, and priorities.

use crate::error::WrongValue;
use std::fmt;

/// An exact decimal number (`xsd:decimal`): at most 36 digits, at most 18 of them behind the point. Equal when the value is equal.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits as a whole number; without needless zeros at the end.
    units: i128,
    /// How many of them stand behind the point.
    scale: u8,
}

impl Decimal {
    const MAX_DIGITS: usize = 36;
    const MAX_SCALE: usize = 18;

    /// So many millionths.
    #[must_use]
    pub const fn from_millionths(millionths: i64) -> Self {
        let (mut units, mut scale) = (millionths as i128, 6);
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        Self { units, scale }
    }

    /// In millionths, exactly; `None` when it has further digits or is beyond ±9.2 × 10¹².
    #[must_use]
    pub fn millionths(self) -> Option<i64> {
        let factor = 10_i128.pow(u32::from(6_u8.checked_sub(self.scale)?));
        self.units.checked_mul(factor).and_then(|units| i64::try_from(units).ok())
    }

    /// Reads `[+-]digits[.digits]`.
    ///
    /// # Errors
    /// It is written in another way (exponents and commas included), or has more digits than are kept.
    pub fn parse(text: &str) -> Result<Self, WrongValue> {
        let no_decimal = || WrongValue::new(text, "is no decimal number");
        let trimmed = text.trim();
        let (negative, digits) = match trimmed.as_bytes().first() {
            Some(b'-') => (true, &trimmed[1..]),
            Some(b'+') => (false, &trimmed[1..]),
            _ => (false, trimmed),
        };
        let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
        if (whole.is_empty() && part.is_empty()) || !whole.bytes().chain(part.bytes()).all(|byte| byte.is_ascii_digit())
        {
            return Err(no_decimal());
        }
        let (whole, part) = (whole.trim_start_matches('0'), part.trim_end_matches('0'));
        if part.len() > Self::MAX_SCALE || whole.len() + part.len() > Self::MAX_DIGITS {
            return Err(WrongValue::new(text, "has more digits than are kept: 36, and 18 behind the point"));
        }
        let mut units = 0_i128;
        for digit in whole.bytes().chain(part.bytes()) {
            units = units * 10 + i128::from(digit - b'0');
        }
        let scale = u8::try_from(part.len()).map_err(|_| no_decimal())?;
        Ok(Self { units: if negative { -units } else { units }, scale })
    }
}

impl fmt::Display for Decimal {
    /// Without needless zeros: `12`, `0.25`, `-3.000001`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.units < 0 { "-" } else { "" };
        let scale = usize::from(self.scale);
        let digits = format!("{:0width$}", self.units.unsigned_abs(), width = scale + 1);
        let (whole, part) = digits.split_at(digits.len() - scale);
        if part.is_empty() { write!(f, "{sign}{whole}") } else { write!(f, "{sign}{whole}.{part}") }
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for Decimal {
    type Err = WrongValue;
    fn from_str(text: &str) -> Result<Self, WrongValue> {
        Self::parse(text)
    }
}

impl crate::content::Value for Decimal {
    /// The edition has quantities as texts of any kind; only numbers are taken.
    #[cfg(test)]
    const TYPE: &'static str = "QuantityStringType";
    fn parse(text: &str) -> Result<Self, WrongValue> {
        Self::parse(text)
    }
    fn text(&self) -> String {
        self.to_string()
    }
    #[cfg(test)]
    fn sample(random: &mut crate::tests::Random) -> Self {
        Self::from_millionths(random.number().cast_signed())
    }
}

/// The priority of an order (`PriorityType`): whole numbers; which end is urgent is agreed between the two sides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Priority(pub i32);

impl crate::content::Value for Priority {
    #[cfg(test)]
    const TYPE: &'static str = "PriorityType";
    fn parse(text: &str) -> Result<Self, WrongValue> {
        let wrong = || WrongValue::new(text, "is no whole number");
        let number = Decimal::parse(text).map_err(|_| wrong())?;
        if number.scale != 0 {
            return Err(wrong());
        }
        i32::try_from(number.units)
            .map(Self)
            .map_err(|_| WrongValue::new(text, format!("is beyond the range of {} to {}", i32::MIN, i32::MAX)))
    }
    fn text(&self) -> String {
        self.0.to_string()
    }
    #[cfg(test)]
    fn sample(random: &mut crate::tests::Random) -> Self {
        Self(i32::try_from(random.number() >> 33).unwrap() - (1 << 30))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::Value;
    use proptest::prelude::*;

    #[test]
    fn decimals_are_exact_and_of_one_spelling() {
        let spelt = ["0", "-0.00", "+007.50", ".5", "5.", "-3.000001", "100", "123456789012345678.123456789012345678"];
        let read = spelt.map(|text| Decimal::parse(text).unwrap().to_string());
        assert_eq!(read, ["0", "0", "7.5", "0.5", "5", "-3.000001", "100", "123456789012345678.123456789012345678"]);
        assert_eq!(Decimal::parse("1.50").unwrap(), Decimal::parse("1.5").unwrap());
    }

    #[test]
    fn what_is_no_decimal_is_refused() {
        for text in ["", "+", ".", "1,5", "1e3", "NaN", "INF", "0x1", "1 000", "--1", "٣"] {
            assert_eq!(Decimal::parse(text).unwrap_err().why, "is no decimal number", "{text}");
        }
        assert!(Decimal::parse(&"9".repeat(36)).is_ok());
        assert!(Decimal::parse(&"9".repeat(37)).is_err());
        assert!(Decimal::parse("0.0000000000000000001").is_err());
    }

    #[test]
    fn millionths_are_exact_or_none() {
        let millionths = |text| Decimal::parse(text).unwrap().millionths();
        assert_eq!(millionths("-2.000001"), Some(-2_000_001));
        assert_eq!(millionths("0.0000001"), None);
        assert_eq!(millionths("9223372036854.775807"), Some(i64::MAX));
        assert_eq!(millionths("9223372036854.775808"), None);
    }

    #[test]
    fn priorities_are_whole_numbers() {
        assert_eq!(Priority::parse("5.0"), Ok(Priority(5)));
        assert_eq!(Priority::parse("-1"), Ok(Priority(-1)));
        assert_eq!(Priority::parse("high").unwrap_err().to_string(), "\"high\" is no whole number");
        assert_eq!(Priority::parse("1.5").unwrap_err().to_string(), "\"1.5\" is no whole number");
        assert!(Priority::parse("2147483648").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(millionths: i64) {
            let decimal = Decimal::from_millionths(millionths);
            prop_assert_eq!(decimal.millionths(), Some(millionths));
            prop_assert_eq!(Decimal::parse(&decimal.to_string()), Ok(decimal));
        }
    }
}
