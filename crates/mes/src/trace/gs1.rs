//! What a code on a lot or unit says to the world: its GS1 Digital Link.
//!
//! GS1 Digital Link Standard: URI Syntax 1.2; GS1 General Specifications, 7.11 (character set 82). Of the application identifiers those that
//! a lot, a unit or a container is known by.

use crate::certificate::{Gtin, check_digit};
use std::fmt::{self, Write as _};

/// GS1's own resolver: whoever has no address of his own for his articles writes this one.
pub const RESOLVER: &str = "https://id.gs1.org";
/// How many digits an SSCC has.
const SSCC: usize = 18;
/// How a scanner says that what follows is of GS1 (GS1 General Specifications, 7.8.1): GS1-128, Data Matrix, QR Code.
const OF_GS1: [&str; 3] = ["]C1", "]d2", "]Q3"];
/// The application identifiers of what others lie in.
const CONTAINERS: [&str; 2] = ["00", "8003"];
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

/// A number of GS1 for what others lie in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ContainerCode {
    /// (00) Serial Shipping Container Code: a pallet or box on its way. 18 digits, the last one a check digit.
    Sscc(String),
    /// (8003) Global Returnable Asset Identifier: a box that comes back. 0, 13 digits of which the last one is a check digit, and 1 to 16
    /// characters that tell one from another.
    Grai(String),
}

/// A text that says it is a number of GS1 for a container, and is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoContainerCode {
    /// Other characters, or not as many.
    #[error(
        "{0:?} is neither an SSCC (18 digits) nor a GRAI (0, 13 digits and 1 to 16 letters of ASCII, digits or marks)"
    )]
    Form(String),
    /// A digit is wrong, or two have changed places.
    #[error("{number} has the check digit {is}, and it must be {must}: look whether it was read right")]
    Check {
        /// As it was given.
        number: String,
        /// The check digit that stands there.
        is: u32,
        /// The one that fits.
        must: u32,
    },
}

impl ContainerCode {
    /// What of GS1 a scanned or written number is: a Digital Link, `(00)…` or `(8003)…`, the same without brackets as a bar code holds it, or
    /// the number alone. `None`: one of the house's own.
    ///
    /// 20 digits that begin with 00 may be an SSCC with what stands before it or a GRAI: they are an SSCC if its check digit fits.
    ///
    /// # Errors
    /// It says that it is one of GS1, as any 18 digits do, and is none.
    pub fn parse(text: &str) -> Result<Option<Self>, NoContainerCode> {
        if let Some(elements) = OF_GS1.into_iter().find_map(|mark| text.strip_prefix(mark)) {
            return Self::element(elements).ok_or_else(|| no_form(text))?.map(Some);
        }
        if let Some(sscc) = text.strip_prefix("(00)") {
            return Self::sscc(sscc).map(Some);
        }
        if let Some(grai) = text.strip_prefix("(8003)") {
            return Self::grai(grai).map(Some);
        }
        if let Some((ai, number)) = keyed(text) {
            return if ai == "00" { Self::sscc(&number) } else { Self::grai(&number) }.map(Some);
        }
        // What a scanner gives that does not say how it read it. A number of the house may look like that but for its check digit.
        if let Some(Ok(code)) = Self::element(text) {
            return Ok(Some(code));
        }
        Self::of_number(text)
    }

    /// What of GS1 a container's number is that stands recorded: the number alone, as [`Self::number`] gives it.
    ///
    /// # Errors
    /// 18 digits of which the last is not the check digit.
    pub fn of_number(number: &str) -> Result<Option<Self>, NoContainerCode> {
        if number.len() == SSCC && number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Self::sscc(number).map(Some);
        }
        // A number of the house may look like one of these but for its check digit.
        Ok(Self::grai(number).ok())
    }

    /// A number with its application identifier before it; `None`: it begins with none of these.
    fn element(text: &str) -> Option<Result<Self, NoContainerCode>> {
        let sscc = text.strip_prefix("00").map(Self::sscc);
        sscc.or_else(|| text.strip_prefix("8003").map(Self::grai))
    }

    fn sscc(number: &str) -> Result<Self, NoContainerCode> {
        if number.len() != SSCC {
            return Err(no_form(number));
        }
        checked(number, number)?;
        Ok(Self::Sscc(number.to_owned()))
    }

    fn grai(number: &str) -> Result<Self, NoContainerCode> {
        let is_one = number.starts_with('0') && number.bytes().all(is_82);
        let (article, serial) = number.split_at_checked(14).filter(|_| is_one).ok_or_else(|| no_form(number))?;
        if !(1..=16).contains(&serial.len()) {
            return Err(no_form(number));
        }
        checked(number, article)?;
        Ok(Self::Grai(number.to_owned()))
    }

    /// The number alone.
    #[must_use]
    pub fn number(&self) -> &str {
        let (Self::Sscc(number) | Self::Grai(number)) = self;
        number
    }

    const fn ai(&self) -> &'static str {
        match self {
            Self::Sscc(_) => "00",
            Self::Grai(_) => "8003",
        }
    }

    /// As people read it: `(00)340123450000000017`.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("({}){}", self.ai(), self.number())
    }

    /// The GS1 Digital Link at GS1's resolver: `https://id.gs1.org/00/340123450000000017`.
    #[must_use]
    pub fn digital_link(&self) -> String {
        format!("{RESOLVER}/{}/{}", self.ai(), Encoded(self.number()))
    }
}

fn no_form(number: &str) -> NoContainerCode {
    NoContainerCode::Form(number.chars().take(100).collect())
}

/// Looks at the check digit at the end of `digits`, a part of a number.
fn checked(number: &str, digits: &str) -> Result<(), NoContainerCode> {
    let (is, must) = check_digit(digits).ok_or_else(|| no_form(number))?;
    if is == must { Ok(()) } else { Err(NoContainerCode::Check { number: number.to_owned(), is, must }) }
}

/// The application identifier and number of a scanned Digital Link of a container, at whatever address.
fn keyed(link: &str) -> Option<(&'static str, String)> {
    let parts: Vec<&str> = path_of(link)?.collect();
    let key = parts.windows(2).find_map(|pair| Some((CONTAINERS.into_iter().find(|ai| *ai == pair[0])?, pair[1])))?;
    Some((key.0, decoded(key.1)?))
}

/// What stands between the slashes of a link, without its address.
fn path_of(link: &str) -> Option<impl Iterator<Item = &str>> {
    let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"))?;
    let path = rest.split(['?', '#']).next().filter(|_| link.len() <= LINK_MAX)?;
    Some(path.split('/').skip(1))
}

/// The number that a scanned GS1 Digital Link says, at whatever address: the serial number, else the lot. `None`: it is no such link.
#[must_use]
pub fn number_of(link: &str) -> Option<String> {
    let mut parts = path_of(link)?;
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
    fn a_container_has_a_number_of_gs1_or_of_the_house() {
        let sscc = "340123450000000017";
        let grai = "04012345000085PAL-7";
        for (text, number, shown) in [
            (sscc, sscc, "(00)340123450000000017"),
            ("(00)340123450000000017", sscc, "(00)340123450000000017"),
            ("https://id.gs1.org/00/340123450000000017", sscc, "(00)340123450000000017"),
            (grai, grai, "(8003)04012345000085PAL-7"),
            ("http://works.example/a/8003/04012345000085PAL%2D7?x=1", grai, "(8003)04012345000085PAL-7"),
            // As scanners read bar codes.
            ("00340123450000000017", sscc, "(00)340123450000000017"),
            ("]C100340123450000000017", sscc, "(00)340123450000000017"),
            ("]d200340123450000000017", sscc, "(00)340123450000000017"),
            ("800304012345000085PAL-7", grai, "(8003)04012345000085PAL-7"),
            ("]C1800304012345000085PAL-7", grai, "(8003)04012345000085PAL-7"),
            // Two that begin with 00: what fits as an SSCC is one, unless somebody says otherwise.
            ("00012345678905123456", "00012345678905123456", "(8003)00012345678905123456"),
            ("00012345678905123457", "012345678905123457", "(00)012345678905123457"),
            ("(8003)00012345678905123457", "00012345678905123457", "(8003)00012345678905123457"),
        ] {
            let code = ContainerCode::parse(text).unwrap().unwrap();
            assert_eq!(ContainerCode::of_number(code.number()), Ok(Some(code.clone())), "{text}");
            assert_eq!((code.number(), code.shown().as_str()), (number, shown), "{text}");
            assert_eq!(ContainerCode::parse(&code.digital_link()), Ok(Some(code)));
        }
        for own in [
            "BOX-7",
            "0401234500008",
            "04012345000085",
            "04012345000086PAL-7",
            "34012345000000001",
            "00340123450001000012",
            "80034711",
            "",
            "é",
            "0401234500008é7",
        ] {
            assert_eq!(ContainerCode::parse(own), Ok(None), "{own}");
        }
        let wrong = |text: &str| ContainerCode::parse(text).unwrap_err().to_string();
        assert_eq!(
            wrong("340123450000000018"),
            "340123450000000018 has the check digit 8, and it must be 7: look whether it was read right"
        );
        assert!(wrong("(8003)04012345000086PAL-7").contains("check digit 6, and it must be 5"));
        assert!(wrong("]C100340123450000000018").contains("check digit 8, and it must be 7"));
        for text in [
            "(00)34012345000000001",
            "(00)",
            "(8003)",
            "(8003)04012345000085",
            "(00)3401234500000000é",
            "(8003)é",
            "]C1",
            "]C10104012345000085",
        ] {
            assert!(wrong(text).contains("neither an SSCC"), "{text}");
        }
        assert!(wrong(&format!("(8003)04012345000085{}", "x".repeat(17))).contains("neither"));
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
        fn no_text_makes_it_panic(text in "(https://|\\]C1)?(a/01/09506000134352/|a/00/|a/8003/|00|8003)?(21/)?\\PC{0,40}") {
            let _ = number_of(&text);
            let _ = ContainerCode::parse(&text);
        }
    }
}
