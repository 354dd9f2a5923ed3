//! What GS1 says about numbers on labels: check digits, application identifiers, Digital Link.
//!
//! GS1 General Specifications, 7.9 (check digit), 7.11 (character set 82), 7.8 (element strings and FNC1); GS1 Digital Link Standard: URI
//! Syntax 1.2. Some application identifiers only, those that a part or a lot has on it.

use crate::certificate::{Gtin, GtinError};
use std::fmt::{self, Write as _};

/// How FNC1 as separator is read by a scanner: the character GS.
pub const SEPARATOR: char = '\u{1d}';

/// The check digit of a number without it: the digits from the right count three times and once in turn. `None`: not digits, or none, or
/// more than 17.
#[must_use]
pub fn check_digit(digits: &str) -> Option<u8> {
    if digits.is_empty() || digits.len() > 17 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let weighted = digits.bytes().rev().zip([3, 1].into_iter().cycle());
    let sum: u32 = weighted.map(|(digit, weight)| u32::from(digit - b'0') * weight).sum();
    u8::try_from((10 - sum % 10) % 10).ok()
}

/// What an element says. The order is the one in which GS1 Digital Link has them in a path.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Ai {
    /// (01) The trade item.
    Gtin,
    /// (10) Its batch or lot.
    Lot,
    /// (21) Its serial number.
    Serial,
    /// (11) When it was made, YYMMDD.
    Made,
    /// (17) When it expires, YYMMDD.
    Expires,
}

impl Ai {
    /// Its digits.
    #[must_use]
    pub const fn digits(self) -> &'static str {
        match self {
            Self::Gtin => "01",
            Self::Lot => "10",
            Self::Serial => "21",
            Self::Made => "11",
            Self::Expires => "17",
        }
    }

    /// Whether its length is known from its digits, so that nothing has to stand behind it.
    const fn is_fixed(self) -> bool {
        matches!(self, Self::Gtin | Self::Made | Self::Expires)
    }
}

/// Why something is no element.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Gs1Error {
    /// The trade item's number is wrong.
    #[error(transparent)]
    Gtin(#[from] GtinError),
    /// A lot or serial that GS1 cannot write.
    #[error("({}) {text:?} cannot be on a GS1 label: 1 to 20 letters, digits and !\"%&'()*+,-./:;<=>?_ can", ai.digits())]
    Text {
        /// Which element.
        ai: Ai,
        /// Its text.
        text: String,
    },
    /// No day.
    #[error("({}) {text:?} is no day: six digits are, year, month and day; day 00 is the end of the month", ai.digits())]
    Day {
        /// Which element.
        ai: Ai,
        /// Its text.
        text: String,
    },
    /// An element twice.
    #[error("({}) stands there twice", .0.digits())]
    Twice(Ai),
    /// What the lot, serial or day is of is missing.
    #[error("without the GTIN (01) nothing says what it is of")]
    NoGtin,
    /// Not the beginning of an address.
    #[error(
        "{0:?} is no base of a Digital Link: https://, a name, and at most a path, without \"?\", \"#\" and white space, is"
    )]
    Base(String),
}

/// What stands on a label, checked: a GTIN first, and each element once.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Elements(Vec<(Ai, String)>);

impl Elements {
    /// Checks elements. A GTIN of 8, 12 or 13 digits is filled up to 14 with zeros in front.
    ///
    /// # Errors
    /// What is wrong with the first one that is.
    pub fn new(elements: &[(Ai, &str)]) -> Result<Self, Gs1Error> {
        let mut checked: Vec<(Ai, String)> = Vec::with_capacity(elements.len());
        for (ai, text) in elements {
            if checked.iter().any(|(other, _)| other == ai) {
                return Err(Gs1Error::Twice(*ai));
            }
            checked.push((*ai, check(*ai, text)?));
        }
        if !checked.iter().any(|(ai, _)| *ai == Ai::Gtin) {
            return Err(Gs1Error::NoGtin);
        }
        // Fixed lengths first, so that fewer separators are needed.
        checked.sort_by_key(|(ai, _)| (*ai != Ai::Gtin, !ai.is_fixed(), *ai));
        Ok(Self(checked))
    }

    /// As people read it: `(01)09506000134352(10)L-0815(21)7`.
    #[must_use]
    pub fn shown(&self) -> String {
        self.0.iter().fold(String::new(), |mut shown, (ai, text)| {
            let _ = write!(shown, "({}){text}", ai.digits()); // Writing into a text cannot fail.
            shown
        })
    }

    /// As a scanner reads it behind the symbology: with [`SEPARATOR`] after each element whose end nothing else tells.
    #[must_use]
    pub fn scanned(&self) -> String {
        self.joined(&SEPARATOR.to_string(), &|text| text.to_owned())
    }

    /// The elements with what stands for FNC1 between them, each text written by `write`.
    pub(super) fn joined(&self, separator: &str, write: &dyn Fn(&str) -> String) -> String {
        let mut all = String::new();
        for (place, (ai, text)) in self.0.iter().enumerate() {
            all.push_str(ai.digits());
            all.push_str(&write(text));
            if !ai.is_fixed() && place + 1 < self.0.len() {
                all.push_str(separator);
            }
        }
        all
    }

    /// The GS1 Digital Link URI below a base: `https://id.example/01/09506000134352/10/L-0815/21/7?17=271231`.
    ///
    /// Lot and serial are part of the path, in that order; days are in the query. Whatever is not unreserved (RFC 3986, 2.3) is
    /// percent-encoded.
    ///
    /// # Errors
    /// [`Gs1Error::Base`].
    pub fn digital_link(&self, base: &str) -> Result<String, Gs1Error> {
        let mut link = checked_base(base)?.to_owned();
        let mut path: Vec<&(Ai, String)> = self.0.iter().collect();
        path.sort_by_key(|(ai, _)| *ai);
        let mut between = '?';
        for (ai, text) in path {
            match ai {
                Ai::Gtin | Ai::Lot | Ai::Serial => {
                    let _ = write!(link, "/{}/{}", ai.digits(), Encoded(text));
                }
                Ai::Made | Ai::Expires => {
                    let _ = write!(link, "{between}{}={}", ai.digits(), Encoded(text));
                    between = '&';
                }
            }
        }
        Ok(link)
    }
}

fn check(ai: Ai, text: &str) -> Result<String, Gs1Error> {
    match ai {
        Ai::Gtin => Ok(format!("{:0>14}", Gtin::parse(text)?.to_string())),
        Ai::Lot | Ai::Serial if (1..=20).contains(&text.len()) && text.bytes().all(is_82) => Ok(text.to_owned()),
        Ai::Lot | Ai::Serial => Err(Gs1Error::Text { ai, text: text.to_owned() }),
        Ai::Made | Ai::Expires if is_day(text) => Ok(text.to_owned()),
        Ai::Made | Ai::Expires => Err(Gs1Error::Day { ai, text: text.to_owned() }),
    }
}

/// Of GS1's character set 82.
const fn is_82(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'"' | b'%'..=b'/' | b':'..=b'?' | b'_')
}

fn is_day(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.len() != 6 || !bytes.iter().all(u8::is_ascii_digit) {
        return false;
    }
    let number = |at: usize| (bytes[at] - b'0') * 10 + (bytes[at + 1] - b'0');
    let (year, month, day) = (number(0), number(2), number(4));
    let longest = match month {
        2 if year % 4 == 0 => 29, // No year from 1950 to 2049 divides by 4 and is no leap year.
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    (1..=12).contains(&month) && day <= longest
}

fn checked_base(base: &str) -> Result<&str, Gs1Error> {
    let refused = || Gs1Error::Base(base.chars().take(200).collect());
    let rest = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")).ok_or_else(refused)?;
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/%[]!$&'()*+,;=".contains(&byte);
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() || base.len() > 200 || !rest.bytes().all(is_fit) {
        return Err(refused());
    }
    Ok(base.strip_suffix('/').unwrap_or(base))
}

/// A text with percent-encoding.
struct Encoded<'a>(&'a str);

impl fmt::Display for Encoded<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.bytes().try_for_each(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => f.write_char(char::from(byte)),
            other => write!(f, "%{other:02X}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const GTIN: (Ai, &str) = (Ai::Gtin, "9506000134352");

    #[test]
    fn the_check_digit_is_the_one_of_gs1() {
        // From the General Specifications and from GS1's own examples.
        for (digits, check) in
            [("629104150021", 3), ("950600013435", 2), ("0950600013435", 2), ("9638507", 4), ("37610425002123456", 9)]
        {
            assert_eq!(check_digit(digits), Some(check), "{digits}");
        }
        for none in ["", "12a", "١٢", "123456789012345678"] {
            assert_eq!(check_digit(none), None, "{none}");
        }
    }

    #[test]
    fn elements_are_separated_where_nothing_else_tells_their_end() {
        let all = [(Ai::Serial, "7"), (Ai::Expires, "271231"), (Ai::Lot, "L-0815"), GTIN];
        let elements = Elements::new(&all).unwrap();
        assert_eq!(elements.shown(), "(01)09506000134352(17)271231(10)L-0815(21)7");
        assert_eq!(elements.scanned(), "01095060001343521727123110L-0815\u{1d}217");
        assert_eq!(Elements::new(&[GTIN]).unwrap().scanned(), "0109506000134352");
    }

    #[test]
    fn a_digital_link_is_percent_encoded() {
        let link = |elements: &[(Ai, &str)], base: &str| Elements::new(elements).unwrap().digital_link(base);
        assert_eq!(
            link(&[GTIN, (Ai::Serial, "12345")], "https://id.example").unwrap(),
            "https://id.example/01/09506000134352/21/12345"
        );
        assert_eq!(
            link(
                &[(Ai::Serial, "a/b?%&"), (Ai::Made, "270131"), GTIN, (Ai::Lot, "(1)"), (Ai::Expires, "280200")],
                "https://x.example/p/"
            )
            .unwrap(),
            "https://x.example/p/01/09506000134352/10/%281%29/21/a%2Fb%3F%25%26?11=270131&17=280200"
        );
        for base in [
            "",
            "id.example",
            "https://",
            "https://a b",
            "https://a?x",
            "https://a#x",
            "javascript://x",
            "https:///a",
            "https://a\"b",
        ] {
            assert!(matches!(link(&[GTIN], base), Err(Gs1Error::Base(_))), "{base}");
        }
    }

    #[test]
    fn what_cannot_be_on_a_label_is_refused() {
        let refused = |ai, text| Elements::new(&[GTIN, (ai, text)]).unwrap_err();
        for text in ["", "123456789012345678901", "a b", "é", "a^b", "a~b", "a#b", "a\u{1d}b", "a$", "[a]"] {
            assert_eq!(refused(Ai::Serial, text), Gs1Error::Text { ai: Ai::Serial, text: text.to_owned() });
        }
        for text in ["", "27123", "271301", "270230", "280230", "270431", "2701a1", "270132", "270001"] {
            assert_eq!(refused(Ai::Expires, text), Gs1Error::Day { ai: Ai::Expires, text: text.to_owned() });
        }
        assert!(Elements::new(&[GTIN, (Ai::Expires, "280229")]).is_ok());
        assert_eq!(refused(Ai::Gtin, "9506000134352"), Gs1Error::Twice(Ai::Gtin));
        assert_eq!(Elements::new(&[(Ai::Lot, "L")]), Err(Gs1Error::NoGtin));
        assert!(matches!(Elements::new(&[(Ai::Gtin, "9506000134353")]), Err(Gs1Error::Gtin(_))));
    }

    #[test]
    fn the_character_set_has_82_characters() {
        assert_eq!((0..=255).filter(|byte| is_82(*byte)).count(), 82);
    }

    proptest! {
        #[test]
        fn a_number_with_its_check_digit_is_a_gtin(digits in "[0-9]{13}") {
            let check = check_digit(&digits).unwrap();
            let number = format!("{digits}{check}");
            prop_assert!(Gtin::parse(&number).is_ok());
        }

        #[test]
        fn a_path_segment_decodes_to_what_it_says(serial in "[!-~]{1,20}") {
            let Ok(elements) = Elements::new(&[GTIN, (Ai::Serial, &serial)]) else { return Ok(()) };
            let link = elements.digital_link("https://id.example").unwrap();
            let segment = link.rsplit('/').next().unwrap();
            let mut decoded = Vec::new();
            let mut bytes = segment.bytes();
            while let Some(byte) = bytes.next() {
                decoded.push(if byte == b'%' {
                    let hex: String = bytes.by_ref().take(2).map(char::from).collect();
                    u8::from_str_radix(&hex, 16).unwrap()
                } else {
                    byte
                });
            }
            prop_assert_eq!(String::from_utf8(decoded).unwrap(), serial);
        }
    }
}
