//! Texts, digests and trade item numbers, checked once.

use andon_model::text::{self, Hidden};
use serde::{Deserialize, Serialize};
use std::fmt;

/// A text of one line, 1 to `MAX` characters, all of which can be seen.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Text<const MAX: usize>(Box<str>);

/// What something is known by: a serial, a lot, a revision, a job order.
pub type Id = Text<64>;
/// What people call something.
pub type Name = Text<128>;

/// Why a text is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TextError {
    /// Nothing there.
    #[error("a text is empty; leave the member out where there is nothing to say")]
    Empty,
    /// Too many characters.
    #[error("a text has more than {max} characters: {begin:?}…")]
    Long {
        /// How many there may be.
        max: usize,
        /// Its first ones.
        begin: String,
    },
    /// It begins or ends with white space, which nobody sees.
    #[error("the text {0:?} begins or ends with white space")]
    Space(String),
    /// A character that cannot be seen, or that changes how others are seen.
    #[error("in the text \"{}\", {hidden}", text::shown(.text))]
    Hidden {
        /// The text.
        text: String,
        /// The character.
        hidden: Hidden,
    },
}

impl<const MAX: usize> Text<MAX> {
    /// Checks a text.
    ///
    /// # Errors
    /// Empty, too long, with white space around it, or with a character that cannot be seen.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        if text.chars().nth(MAX).is_some() {
            return Err(TextError::Long { max: MAX, begin: text.chars().take(40).collect() });
        }
        if let Err(hidden) = text::check_line(text) {
            return Err(TextError::Hidden { text: text.to_owned(), hidden });
        }
        if text.trim() != text {
            return Err(TextError::Space(text.to_owned()));
        }
        Ok(Self(text.into()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Display for Text<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<const MAX: usize> TryFrom<String> for Text<MAX> {
    type Error = TextError;
    fn try_from(text: String) -> Result<Self, TextError> {
        Self::parse(&text)
    }
}

impl<const MAX: usize> From<Text<MAX>> for String {
    fn from(text: Text<MAX>) -> Self {
        text.0.into()
    }
}

/// Bytes that are written as lower-case hexadecimal digits, two for each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex<const N: usize>(pub [u8; N]);

/// The SHA-256 of a file.
pub type Sha256 = Hex<32>;
/// A signature by Ed25519 (RFC 8032).
pub type Signature = Hex<64>;

/// Not as many lower-case hexadecimal digits as there must be.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{digits} digits of 0-9 and a-f are expected here, in lower case")]
pub struct HexError {
    /// How many there must be.
    pub digits: usize,
}

impl<const N: usize> Hex<N> {
    /// Reads the one way to write them.
    ///
    /// # Errors
    /// Other digits, or not so many.
    pub fn parse(text: &str) -> Result<Self, HexError> {
        let wrong = HexError { digits: 2 * N };
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Ok(byte - b'0'),
            b'a'..=b'f' => Ok(byte - b'a' + 10),
            _ => Err(wrong),
        };
        if text.len() != 2 * N {
            return Err(wrong);
        }
        let mut bytes = [0; N];
        for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

impl<const N: usize> fmt::Display for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl<const N: usize> fmt::Debug for Hex<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<const N: usize> TryFrom<String> for Hex<N> {
    type Error = HexError;
    fn try_from(text: String) -> Result<Self, HexError> {
        Self::parse(&text)
    }
}

impl<const N: usize> From<Hex<N>> for String {
    fn from(hex: Hex<N>) -> Self {
        hex.to_string()
    }
}

/// A Global Trade Item Number of 8, 12, 13 or 14 digits, with its check digit (GS1 General Specifications, 7.9).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gtin(Box<str>);

/// Why a text is no GTIN.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GtinError {
    /// Not digits, or not as many as one has.
    #[error("a GTIN has 8, 12, 13 or 14 digits and nothing else")]
    Digits,
    /// A digit is wrong, or two have changed places.
    #[error("the GTIN {gtin} ends with {}, but its check digit is {check}", gtin.chars().last().unwrap_or_default())]
    Check {
        /// As it was given.
        gtin: String,
        /// What its last digit would have to be.
        check: u32,
    },
}

impl Gtin {
    /// Checks a number.
    ///
    /// # Errors
    /// Another number of digits, or a wrong check digit.
    pub fn parse(text: &str) -> Result<Self, GtinError> {
        if !matches!(text.len(), 8 | 12 | 13 | 14) {
            return Err(GtinError::Digits);
        }
        let (last, check) = check_digit(text).ok_or(GtinError::Digits)?;
        if last != check {
            return Err(GtinError::Check { gtin: text.to_owned(), check });
        }
        Ok(Self(text.into()))
    }
}

/// The last digit of a number of GS1, and what it would have to be (GS1 General Specifications, 7.9). `None`: not all are digits.
pub(crate) fn check_digit(text: &str) -> Option<(u32, u32)> {
    let digits: Vec<u32> = text.chars().map(|digit| digit.to_digit(10)).collect::<Option<_>>()?;
    // From the right, the digits before the check digit count three times and once in turn.
    let before = digits.iter().rev().skip(1).zip([3, 1].into_iter().cycle());
    let check = (10 - before.map(|(digit, weight)| digit * weight).sum::<u32>() % 10) % 10;
    Some((*digits.last()?, check))
}

impl fmt::Display for Gtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Gtin {
    type Error = GtinError;
    fn try_from(text: String) -> Result<Self, GtinError> {
        Self::parse(&text)
    }
}

impl From<Gtin> for String {
    fn from(gtin: Gtin) -> Self {
        gtin.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_bounded_and_can_be_seen() {
        for text in ["a", "Насос №2", "A 1", &"é".repeat(64)] {
            assert_eq!(Id::parse(text).unwrap().as_str(), text);
        }
        for (text, said) in [
            ("", "a text is empty; leave the member out where there is nothing to say"),
            (" a", "the text \" a\" begins or ends with white space"),
            ("a\u{a0}", "the text \"a\\u{a0}\" begins or ends with white space"),
            (
                "a\u{202e}b",
                "in the text \"a\\u{202e}b\", character 2 is U+202E, a mark that turns the direction of writing",
            ),
            ("a\nb", "in the text \"a\nb\", character 2 is U+000A, a line break"),
            (&"é".repeat(65), &format!("a text has more than 64 characters: \"{}\"…", "é".repeat(40))),
        ] {
            assert_eq!(Id::parse(text).unwrap_err().to_string(), said);
        }
    }

    #[test]
    fn bytes_have_one_spelling() {
        assert_eq!(Hex::parse("00ff1a"), Ok(Hex([0, 255, 26])));
        assert_eq!(Hex([0, 255, 26]).to_string(), "00ff1a");
        for text in ["", "00ff1", "00ff1a0", "00FF1a", "00ff1g", "0x00ff", " 0ff1a", "é0ff1"] {
            assert_eq!(Hex::<3>::parse(text), Err(HexError { digits: 6 }), "{text}");
        }
    }

    #[test]
    fn a_gtin_has_its_check_digit() {
        for gtin in ["96385074", "012345678905", "4006381333931", "5901234123457", "00012345600012", "10614141000415"] {
            assert_eq!(Gtin::parse(gtin).unwrap().to_string(), gtin);
        }
        for text in ["", "4006381333", "400638133393a", "٤٠٠٦٣٨١٣٣٣٩٣١", "4006381333931 "] {
            assert_eq!(Gtin::parse(text), Err(GtinError::Digits), "{text}");
        }
        let said = Gtin::parse("4006381333913").unwrap_err().to_string();
        assert_eq!(said, "the GTIN 4006381333913 ends with 3, but its check digit is 7");
    }
}
