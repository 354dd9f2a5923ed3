//! Which device a client certificate belongs to.
//!
//! Whether a certificate is good is TLS's matter ([`crate::tls`]): here is only what it says, and which names of devices that fits.
//! A device names its certificate by the common name (CN) of its subject, which stays when the certificate is renewed, or by the
//! SHA-256 of the whole, which is this certificate and no other.

use crate::secret::{Digest256, hex};
use andon_model::text::check_line;
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;

/// The longest common name, in characters. RFC 5280, appendix A (`ub-common-name`).
const MAX_CHARS: usize = 64;

/// A certificate that a client has shown, with which it has proved that it has the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// SHA-256 of its DER form, as `openssl x509 -fingerprint -sha256` tells it.
    pub fingerprint: Digest256,
    /// The common name of its subject; `None`: it has none, several, or one that is no plain line of text.
    pub common_name: Option<String>,
}

impl Certificate {
    /// Reads its DER form.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        Self { fingerprint: Sha256::digest(der).into(), common_name: common_name(der) }
    }
}

/// Which certificate a device shows.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// Any with this common name.
    CommonName(String),
    /// This one.
    Fingerprint(Digest256),
}

impl CertificateName {
    /// Whether the certificate is one that is meant.
    #[must_use]
    pub fn means(&self, certificate: &Certificate) -> bool {
        match self {
            Self::CommonName(name) => certificate.common_name.as_ref() == Some(name),
            Self::Fingerprint(fingerprint) => certificate.fingerprint == *fingerprint,
        }
    }
}

/// Text that names no certificate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "a certificate is named by its common name (1 to {MAX_CHARS} characters) or its SHA-256 (64 hexadecimal digits)"
)]
pub struct NoCertificateName;

/// 64 hexadecimal digits, with or without colons, are a fingerprint; all else is a common name.
impl FromStr for CertificateName {
    type Err = NoCertificateName;
    fn from_str(text: &str) -> Result<Self, NoCertificateName> {
        if let Some(fingerprint) = fingerprint(text) {
            return Ok(Self::Fingerprint(fingerprint));
        }
        let fits = (1..=MAX_CHARS).contains(&text.chars().count()) && text.trim() == text && check_line(text).is_ok();
        if fits { Ok(Self::CommonName(text.to_owned())) } else { Err(NoCertificateName) }
    }
}

impl fmt::Display for CertificateName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommonName(name) => f.write_str(name),
            Self::Fingerprint(fingerprint) => f.write_str(&hex(fingerprint)),
        }
    }
}

fn fingerprint(text: &str) -> Option<Digest256> {
    let digits: Vec<u32> = text.chars().filter(|c| *c != ':').map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let bytes = digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit));
    let bytes: Vec<u8> = bytes.map(u8::try_from).collect::<Result<_, _>>().ok()?;
    (digits.len() == 64).then(|| bytes.try_into().ok()).flatten()
}

// Tags of DER (X.690 §8.1.2).
pub(crate) const SEQUENCE: u8 = 0x30;
pub(crate) const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
pub(crate) const OBJECT: u8 = 0x06;
const VERSION: u8 = 0xA0;
/// UTF8String, PrintableString, IA5String.
pub(crate) const TEXTS: [u8; 3] = [0x0C, 0x13, 0x16];
/// `id-at-commonName`, 2.5.4.3.
pub(crate) const COMMON_NAME: [u8; 3] = [0x55, 0x04, 0x03];

/// One element: its tag and its content. The rest stays in `from`.
pub(crate) fn element<'a>(from: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = from.split_first()?;
    let (&first, mut rest) = rest.split_first()?;
    let mut length = usize::from(first);
    if first >= 0x80 {
        let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7F)).filter(|(bytes, _)| bytes.len() <= 3)?;
        length = bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        rest = after;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    *from = rest;
    Some((tag, content))
}

/// The content of the next element, if it has this tag.
pub(crate) fn expect<'a>(from: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    element(from).filter(|(found, _)| *found == tag).map(|(_, content)| content)
}

/// What a certificate says about whose it is: the content of its issuer, its validity and its subject. RFC 5280 §4.1.
pub(crate) struct Fields<'a> {
    pub(crate) issuer: &'a [u8],
    pub(crate) validity: &'a [u8],
    pub(crate) subject: &'a [u8],
}

pub(crate) fn fields(mut der: &[u8]) -> Option<Fields<'_>> {
    let mut certificate = expect(&mut der, SEQUENCE)?;
    let mut fields = expect(&mut certificate, SEQUENCE)?;
    let (first, _) = element(&mut fields)?;
    if first == VERSION {
        expect(&mut fields, INTEGER)?; // serial number
    }
    expect(&mut fields, SEQUENCE)?; // signature
    let issuer = expect(&mut fields, SEQUENCE)?;
    let validity = expect(&mut fields, SEQUENCE)?;
    Some(Fields { issuer, validity, subject: expect(&mut fields, SEQUENCE)? })
}

/// The one common name of the subject.
fn common_name(der: &[u8]) -> Option<String> {
    let mut subject = fields(der)?.subject;
    let mut names = Vec::new();
    while !subject.is_empty() {
        let mut set = expect(&mut subject, SET)?;
        while !set.is_empty() {
            let mut pair = expect(&mut set, SEQUENCE)?;
            if expect(&mut pair, OBJECT)? == COMMON_NAME {
                names.push(element(&mut pair)?);
            }
        }
    }
    let [(tag, text)] = names[..] else { return None };
    let name = std::str::from_utf8(text).ok().filter(|_| TEXTS.contains(&tag))?;
    check_line(name).is_ok().then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, DnValue, KeyPair};

    fn der_of(names: &[(DnType, DnValue)]) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        for (kind, value) in names {
            params.distinguished_name.push(kind.clone(), value.clone());
        }
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("a certificate").der().to_vec()
    }

    fn utf8(text: &str) -> DnValue {
        DnValue::Utf8String(text.to_owned())
    }

    #[test]
    fn the_common_name_is_found_among_the_names_of_the_subject() {
        let der = der_of(&[
            (DnType::OrganizationName, utf8("Works")),
            (DnType::CommonName, utf8("Presse 7 – Halle Süd")),
            (DnType::CountryName, DnValue::PrintableString("DE".try_into().expect("printable"))),
        ]);
        assert_eq!(Certificate::of(&der).common_name.as_deref(), Some("Presse 7 – Halle Süd"));
        let printable = DnValue::PrintableString("press-7".try_into().expect("printable"));
        assert_eq!(common_name(&der_of(&[(DnType::CommonName, printable)])).as_deref(), Some("press-7"));
        for none in [der_of(&[]), der_of(&[(DnType::OrganizationName, utf8("press-7"))])] {
            assert_eq!(common_name(&none), None);
        }
        let hidden = der_of(&[(DnType::CommonName, utf8("press-7\u{0}.evil"))]);
        assert_eq!(common_name(&hidden), None, "what a person would read as press-7");
        // Whatever is cut off or changed: no panic, and a name that is found stands there as it is told, on one line.
        for end in 0..der.len() {
            assert_eq!(common_name(&der[..end]), None);
        }
        let mut found = 0;
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.clone();
                changed[at] ^= 1 << bit;
                let Some(name) = common_name(&changed) else { continue };
                found += 1;
                assert!(
                    changed.windows(name.len()).any(|there| there == name.as_bytes()),
                    "{name:?}, bit {bit} of {at}"
                );
                assert!(check_line(&name).is_ok(), "{name:?}, bit {bit} of {at}");
            }
        }
        assert!(found > der.len(), "most changes are elsewhere and leave the name: {found}");
    }

    #[test]
    fn a_certificate_is_named_by_its_common_name_or_its_fingerprint() {
        let shown = Certificate { fingerprint: [0xAB; 32], common_name: Some("press-7".to_owned()) };
        let means = |text: &str| text.parse::<CertificateName>().map(|name| name.means(&shown));
        assert_eq!(means("press-7"), Ok(true));
        assert_eq!(means("PRESS-7"), Ok(false));
        assert_eq!(means(&"ab".repeat(32)), Ok(true));
        assert_eq!(means(&["AB"; 32].join(":")), Ok(true));
        assert_eq!(means(&"ac".repeat(32)), Ok(false));
        assert_eq!(means(&"ab".repeat(31)), Ok(false), "62 digits are a name");
        for bad in ["", " press-7", "press\n7", &"x".repeat(65)] {
            assert_eq!(means(bad), Err(NoCertificateName), "{bad:?}");
        }
        let name: CertificateName = ["AB"; 32].join(":").parse().expect("a fingerprint");
        assert_eq!(name.to_string().parse(), Ok(name), "kept as text");
    }
}
