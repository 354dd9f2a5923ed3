//! What a code on a lot or unit says to the world: its GS1 Digital Link.
//!
//! GS1 Digital Link Standard: URI Syntax 1.2; GS1 General Specifications, 7.11 (character set 82). Of the application identifiers those that
//! a lot or a unit is known by.

use crate::certificate::Gtin;
use std::fmt::{self, Write as _};

/// GS1's own resolver: whoever has no address of his own for his articles writes this one.
pub const RESOLVER: &str = "https://id.gs1.org";
/// The longest link that is read, in bytes.
const LINK_MAX: usize = 500;

/// What of an article a number is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Element {
    /// (10) Its batch or lot.
    Lot,
    /// (21) Its serial number.
    Serial,
}

impl Element {
    /// Its application identifier.
    const fn ai(self) -> &'static str {
        match self {
            Self::Lot => "10",
            Self::Serial => "21",
        }
    }
}

/// A lot or serial number that GS1 cannot write: 1 to 20 characters of the set 82 can be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is no number that GS1 can write: 1 to 20 letters of ASCII, digits and marks other than # $ @ [ \\ ] ^ ` {{ | }} ~"
)]
pub struct NoElement(String);

/// A lot or a unit of an article.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Code {
    gtin: String,
    element: Element,
    number: String,
}

impl Code {
    /// Checks a number. A GTIN of 8, 12 or 13 digits is filled up to 14 with zeros in front.
    ///
    /// # Errors
    /// GS1 cannot write it.
    pub fn new(gtin: &Gtin, element: Element, number: &str) -> Result<Self, NoElement> {
        if !(1..=20).contains(&number.len()) || !number.bytes().all(is_82) {
            return Err(NoElement(number.chars().take(100).collect()));
        }
        Ok(Self { gtin: format!("{:0>14}", gtin.to_string()), element, number: number.to_owned() })
    }

    /// As people read it: `(01)09506000134352(21)7`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("(01){}({}){}", self.gtin, self.element.ai(), self.number)
    }

    /// The GS1 Digital Link at GS1's resolver: `https://id.gs1.org/01/09506000134352/21/7`. Whatever is not unreserved (RFC 3986, 2.3) is
    /// percent-encoded.
    #[must_use]
    pub fn digital_link(&self) -> String {
        format!("{RESOLVER}/01/{}/{}/{}", self.gtin, self.element.ai(), Encoded(&self.number))
    }
}

/// The number that a scanned GS1 Digital Link says, at whatever address: the serial number, else the lot. `None`: it is no such link.
#[must_use]
pub fn number_of(link: &str) -> Option<String> {
    let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"))?;
    let path = rest.split(['?', '#']).next().filter(|_| link.len() <= LINK_MAX)?;
    let mut parts = path.split('/').skip(1);
    // What stands before the article belongs to the address.
    parts.find(|part| *part == "01")?;
    Gtin::parse(parts.next()?).ok()?;
    let elements: Vec<&str> = parts.collect();
    let said = |ai: &str| elements.chunks_exact(2).find(|pair| pair[0] == ai).map(|pair| pair[1]);
    decoded(said(Element::Serial.ai()).or_else(|| said(Element::Lot.ai()))?)
}

/// Of GS1's character set 82.
const fn is_82(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'!' | b'"' | b'%'..=b'/' | b':'..=b'?' | b'_')
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

/// A text without percent-encoding; `None`: it is none, or not of GS1's characters.
fn decoded(text: &str) -> Option<String> {
    let mut number = String::new();
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let (byte, length) = match next {
            '%' => (u8::from_str_radix(rest.get(1..3)?, 16).ok()?, 3),
            other => (u8::try_from(other).ok()?, 1),
        };
        number.push(char::from(Some(byte).filter(|byte| is_82(*byte))?));
        rest = rest.get(length..)?;
    }
    Some(number).filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn code(element: Element, number: &str) -> Result<Code, NoElement> {
        Code::new(&Gtin::parse("9506000134352").unwrap(), element, number)
    }

    #[test]
    fn a_digital_link_is_percent_encoded() {
        let serial = code(Element::Serial, "12345").unwrap();
        assert_eq!(serial.shown(), "(01)09506000134352(21)12345");
        assert_eq!(serial.digital_link(), "https://id.gs1.org/01/09506000134352/21/12345");
        let lot = code(Element::Lot, "a/b?%&(1)").unwrap();
        assert_eq!(lot.digital_link(), "https://id.gs1.org/01/09506000134352/10/a%2Fb%3F%25%26%281%29");
    }

    #[test]
    fn what_gs1_cannot_write_is_refused() {
        for text in ["", "123456789012345678901", "a b", "é", "a^b", "a~b", "a#b", "a\u{1d}b", "a$", "[a]"] {
            assert_eq!(code(Element::Serial, text), Err(NoElement(text.to_owned())));
        }
        assert_eq!((0..=255).filter(|byte| is_82(*byte)).count(), 82);
    }

    #[test]
    fn a_link_of_any_address_is_read_and_nothing_else() {
        for (link, number) in [
            ("https://id.gs1.org/01/09506000134352/21/7", Some("7")),
            ("http://works.example/shop/01/9506000134352/10/L-1/21/a%2Fb?17=271231#x", Some("a/b")),
            ("https://id.gs1.org/01/09506000134352/10/L-1", Some("L-1")),
            ("https://id.gs1.org/01/09506000134352", None),
            ("https://id.gs1.org/01/09506000134353/21/7", None),
            ("https://id.gs1.org/01/09506000134352/21/", None),
            ("https://id.gs1.org/01/09506000134352/21/%", None),
            ("https://id.gs1.org/01/09506000134352/21/%2", None),
            ("https://id.gs1.org/01/09506000134352/21/%zz", None),
            ("https://id.gs1.org/01/09506000134352/21/é", None),
            ("https://01/09506000134352/21/7", None),
            ("HP-0001", None),
            ("", None),
        ] {
            assert_eq!(number_of(link).as_deref(), number, "{link}");
        }
        assert_eq!(number_of(&format!("https://{}/01/09506000134352/21/7", "a".repeat(500))), None);
    }

    proptest! {
        #[test]
        fn a_link_says_the_number_that_was_written(number in "[!-~]{1,20}") {
            let Ok(code) = code(Element::Serial, &number) else { return Ok(()) };
            prop_assert_eq!(number_of(&code.digital_link()), Some(number));
        }

        #[test]
        fn no_text_makes_it_panic(text in "(https://)?(a/01/09506000134352/)?(21/)?\\PC{0,40}") {
            let _ = number_of(&text);
        }
    }
}
