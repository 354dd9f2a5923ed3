//! Ids, codes and texts: bounded, and without characters that nobody sees.

use crate::error::WrongValue;
use andon_model::text::{check_line, check_lines};
use std::fmt;

/// Declares a text that is checked where it comes in.
macro_rules! word {
    ($(#[$about:meta])* $name:ident, $kind:literal, $most:literal bytes, $clean:expr, $check:expr) => {
        $(#[$about])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The most bytes of UTF-8 that one has.
            pub const MAX_BYTES: usize = $most;

            /// Checks a text; outer whitespace does not count.
            ///
            /// # Errors
            /// It is empty, longer than [`Self::MAX_BYTES`], or has a character that cannot be seen.
            pub fn new(text: &str) -> Result<Self, WrongValue> {
                let text: String = $clean(text.trim());
                if text.is_empty() {
                    return Err(WrongValue::new("", "is empty"));
                }
                if text.len() > Self::MAX_BYTES {
                    return Err(WrongValue::new(&text, format!("has {} bytes; at most {} are taken", text.len(), $most)));
                }
                match $check(&text) {
                    Ok(()) => Ok(Self(text.into())),
                    Err(hidden) => Err(WrongValue::new(&text, format!("is refused: {hidden}"))),
                }
            }

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = WrongValue;
            fn from_str(text: &str) -> Result<Self, WrongValue> {
                Self::new(text)
            }
        }

        impl crate::content::Value for $name {
            #[cfg(test)]
            const TYPE: &'static str = $kind;
            fn parse(text: &str) -> Result<Self, WrongValue> {
                Self::new(text)
            }
            fn text(&self) -> String {
                self.0.to_string()
            }
            #[cfg(test)]
            fn sample(random: &mut crate::tests::Random) -> Self {
                Self::new(&random.text()).unwrap()
            }
        }
    };
}

word!(
    /// What names a thing: an order, a lot, a material (`IdentifierType`, `xsd:normalizedString`: a line break or tab in it is a space).
    Identifier, "IdentifierType", 255 bytes, one_line, check_line
);
word!(
    /// A word of somebody's list: a unit of measure, a use, a reason (`CodeType`, `xsd:normalizedString`).
    Code, "CodeType", 255 bytes, one_line, check_line
);
word!(
    /// What is written for people, or a value that is no number (`TextType`); may have several lines.
    Text, "TextType", 4000 bytes, lines, check_lines
);

/// As `whiteSpace = replace` of XML Schema Part 2, 4.3.6.
fn one_line(text: &str) -> String {
    text.replace(['\t', '\n', '\r'], " ")
}

/// Line ends as XML 1.0, 2.11 has them.
fn lines(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outer_whitespace_and_line_breaks_do_not_make_another_id() {
        assert_eq!(Identifier::new("\n  4711\tA \r\n").unwrap().as_str(), "4711 A");
        assert_eq!(Text::new(" a\r\nb\rc ").unwrap().as_str(), "a\nb\nc");
    }

    #[test]
    fn what_is_no_id_is_refused_with_the_reason() {
        let refused = |text: &str| Identifier::new(text).unwrap_err().to_string();
        assert_eq!(refused(" \n"), "\"\" is empty");
        assert_eq!(
            refused("a\u{202e}b"),
            "\"a\\u{202e}b\" is refused: character 2 is U+202E, a mark that turns the direction of writing"
        );
        assert!(refused(&"ä".repeat(128)).ends_with("ä…\" has 256 bytes; at most 255 are taken"));
        assert!(Identifier::new(&"a".repeat(255)).is_ok());
        assert!(Text::new("a\u{1}").is_err());
    }
}
