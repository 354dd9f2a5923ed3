//! A device's certificate as somebody enters it: PEM text, read, told, and asked whether it would be let in.
//!
//! What is entered is no secret and is kept whole, so that people see whose it is and when it ends. A private key is: text with one in it
//! is refused before anything of it is looked at. Whether a certificate is good says the same code that says so when a client shows it
//! ([`ClientCheck`](crate::tls::ClientCheck)).

use crate::certificate::{COMMON_NAME, Certificate, OBJECT, SEQUENCE, SET, TEXTS, element, expect, fields};
use andon_model::Timestamp;
use andon_model::text::shown;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::{PemObject, SectionKind};

/// The longest text that is read, in bytes: a certificate with those of its issuers.
pub const MAX_TEXT: usize = 64 << 10;
/// The largest certificate that is kept, in bytes.
const MAX_DER: usize = 16 << 10;
/// The most of them in one text.
const MAX_CHAIN: usize = 8;
/// How many characters of a subject or an issuer are told.
const NAME_SHOWN: usize = 300;

/// Text that is no certificate of a device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotEntered {
    /// It has a private key in it.
    #[error(
        "there is a private key in it, which belongs to the device alone: enter the certificate only, and if the key is real, make a new one"
    )]
    PrivateKey,
    /// Nothing in it begins as a certificate does.
    #[error("there is no certificate in it: one in PEM form begins with -----BEGIN CERTIFICATE-----")]
    None,
    /// It is what is sent to an issuer.
    #[error("this is a request for a certificate: enter what the issuer made of it")]
    Request,
    /// What begins as a certificate does not go on as one.
    #[error("it cannot be read as a certificate: it may be cut off, or changed on the way")]
    Broken,
    /// There is more than is taken.
    #[error("it is too large: {MAX_CHAIN} certificates, {} kB in all are taken", MAX_TEXT >> 10)]
    TooLarge,
    /// The certificate itself is larger than any that a device has.
    #[error("the certificate has more than {} kB", MAX_DER >> 10)]
    TooLargeAlone,
}

/// A certificate that was entered, and those of its issuers that came with it.
#[derive(Debug, Clone)]
pub struct Entered {
    /// The device's first.
    chain: Vec<CertificateDer<'static>>,
    /// What it says.
    pub facts: Facts,
}

/// What a certificate says, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it is named by.
    pub certificate: Certificate,
    /// Whose it is, such as `CN=press-7, O=Works`; hidden characters are shown as such.
    pub subject: String,
    /// Who issued it.
    pub issuer: String,
    /// The first second in which it is good.
    pub not_before: Timestamp,
    /// The last one.
    pub not_after: Timestamp,
}

impl Entered {
    /// Reads PEM text. The first certificate is the device's; those of its issuers may follow, in any order.
    /// # Errors
    /// [`NotEntered`] says what it is instead.
    pub fn read(text: &str) -> Result<Self, NotEntered> {
        if text.len() > MAX_TEXT {
            return Err(NotEntered::TooLarge);
        }
        // However it is written: keys come in many forms, and none of them is for us.
        if text.contains("PRIVATE KEY") {
            return Err(NotEntered::PrivateKey);
        }
        let mut chain = Vec::new();
        let mut request = false;
        for section in <(SectionKind, Vec<u8>) as PemObject>::pem_slice_iter(text.as_bytes()) {
            match section.map_err(|_| NotEntered::Broken)? {
                (SectionKind::Certificate, der) => chain.push(CertificateDer::from(der)),
                (SectionKind::Csr, _) => request = true,
                _ => {}
            }
        }
        let Some(first) = chain.first() else {
            // A beginning without an end is passed over by the reader.
            let cut = text.contains("BEGIN CERTIFICATE-----");
            return Err(match (request, cut) {
                (true, _) => NotEntered::Request,
                (false, true) => NotEntered::Broken,
                (false, false) => NotEntered::None,
            });
        };
        if chain.len() > MAX_CHAIN {
            return Err(NotEntered::TooLarge);
        }
        if first.len() > MAX_DER {
            return Err(NotEntered::TooLargeAlone);
        }
        let facts = Facts::of(first).ok_or(NotEntered::Broken)?;
        Ok(Self { chain, facts })
    }

    /// The device's certificate in DER form.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        self.chain.first().map_or(&[], |first| first.as_ref())
    }

    /// The device's certificate, and those that came with it.
    pub(crate) fn parts(&self) -> Option<(&CertificateDer<'static>, &[CertificateDer<'static>])> {
        self.chain.split_first()
    }
}

impl Facts {
    /// Reads them from DER form; `None`: it is no certificate.
    #[must_use]
    pub fn of(der: &[u8]) -> Option<Self> {
        let found = fields(der)?;
        let mut validity = found.validity;
        Some(Self {
            certificate: Certificate::of(der),
            subject: name(found.subject)?,
            issuer: name(found.issuer)?,
            not_before: time(&mut validity)?,
            not_after: time(&mut validity)?,
        })
    }
}

// Tags of DER (X.690 §8.1.2).
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// RFC 5280 §4.1.2.5: in seconds, in UTC, with two digits of the year until 2049.
fn time(from: &mut &[u8]) -> Option<Timestamp> {
    let (tag, digits) = element(from)?;
    let text = std::str::from_utf8(digits).ok()?.strip_suffix('Z')?;
    let text = match tag {
        UTC_TIME if text.len() == 12 => format!("{}{text}", if text >= "50" { "19" } else { "20" }),
        GENERALIZED_TIME if text.len() == 14 => text.to_owned(),
        _ => return None,
    };
    let part = |from: usize, to: usize| text.get(from..to).filter(|part| part.bytes().all(|b| b.is_ascii_digit()));
    let [year, month, day] = [part(0, 4)?, part(4, 6)?, part(6, 8)?];
    let [hour, minute, second] = [part(8, 10)?, part(10, 12)?, part(12, 14)?];
    Timestamp::parse_rfc3339(&format!("{year}-{month}-{day}T{hour}:{minute}:{second}Z"))
}

/// The parts of a name that people know, by the short words of RFC 4514 §3; others go by their number.
const WORDS: [(&[u8], &str); 9] = [
    (&COMMON_NAME, "CN"),
    (&[0x55, 0x04, 0x05], "serialNumber"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x0A], "O"),
    (&[0x55, 0x04, 0x0B], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x19], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xF2, 0x2C, 0x64, 0x01, 0x01], "UID"),
];

/// A name in the order in which it stands, on one line. RFC 5280 §4.1.2.4.
fn name(mut from: &[u8]) -> Option<String> {
    let mut parts = Vec::new();
    while !from.is_empty() {
        let mut set = expect(&mut from, SET)?;
        while !set.is_empty() {
            let mut pair = expect(&mut set, SEQUENCE)?;
            let kind = expect(&mut pair, OBJECT)?;
            let (tag, text) = element(&mut pair)?;
            let known = WORDS.iter().find(|(number, _)| *number == kind);
            let word = known.map_or_else(|| dotted(kind), |(_, word)| (*word).to_owned());
            let text = std::str::from_utf8(text).ok().filter(|_| TEXTS.contains(&tag));
            parts.push(format!("{word}={}", shown(text.unwrap_or("?"))));
        }
    }
    let whole = parts.join(", ");
    let told: String = whole.chars().take(NAME_SHOWN).collect();
    Some(if told.len() < whole.len() { format!("{told}…") } else { told })
}

/// An object identifier as it is written, such as `2.5.4.12`. X.690 §8.19.
fn dotted(number: &[u8]) -> String {
    let mut arcs: Vec<u64> = Vec::new();
    let mut arc = 0_u64;
    for byte in number {
        arc = arc << 7 | u64::from(byte & 0x7F);
        if byte & 0x80 == 0 {
            if arcs.is_empty() {
                let first = (arc / 40).min(2);
                arcs.extend([first, arc - first * 40]);
            } else {
                arcs.push(arc);
            }
            arc = 0;
        }
    }
    arcs.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};

    fn params(names: &[(DnType, &str)]) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.distinguished_name = rcgen::DistinguishedName::new();
        names.iter().for_each(|(kind, value)| params.distinguished_name.push(kind.clone(), *value));
        params.not_before = date_time_ymd(2026, 3, 1);
        params.not_after = date_time_ymd(2051, 3, 1);
        params
    }

    fn pem(names: &[(DnType, &str)]) -> String {
        params(names).self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").pem()
    }

    #[test]
    fn what_a_certificate_says_is_read_from_its_pem_form_with_whatever_stands_around_it() {
        let key = KeyPair::generate().expect("a key");
        let mut ca = params(&[(DnType::CommonName, "Works CA"), (DnType::CountryName, "DE")]);
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca_pem = ca.self_signed(&key).expect("a certificate").pem();
        let own = params(&[
            (DnType::OrganizationName, "Works"),
            (DnType::CommonName, "Presse 7"),
            (DnType::CustomDnType(vec![2, 5, 4, 12]), "chief\u{202e}"),
        ]);
        let own = own.signed_by(&KeyPair::generate().expect("a key"), &Issuer::new(ca, key)).expect("a certificate");
        let text = format!("Bag Attributes\r\n  friendlyName: x\r\n{}\n{ca_pem}", own.pem().replace('\n', "\r\n"));
        let entered = Entered::read(&text).expect("a certificate");
        let time = |text| Timestamp::parse_rfc3339(text).expect("a time");
        assert_eq!(
            entered.facts,
            Facts {
                certificate: Certificate::of(own.der()),
                subject: "O=Works, CN=Presse 7, 2.5.4.12=chief\\u{202e}".to_owned(),
                issuer: "CN=Works CA, C=DE".to_owned(),
                not_before: time("2026-03-01T00:00:00Z"),
                // Two digits of the year do not reach so far.
                not_after: time("2051-03-01T00:00:00Z"),
            }
        );
        assert_eq!((entered.der(), entered.chain.len()), (own.der().as_ref(), 2));
        assert_eq!(Facts::of(entered.der()), Some(entered.facts));
    }

    #[test]
    fn what_is_no_certificate_is_told_what_it_is() {
        let pem = pem(&[(DnType::CommonName, "press-7")]);
        let key = KeyPair::generate().expect("a key");
        let request = params(&[]).serialize_request(&key).expect("a request").pem().expect("text");
        let middle = pem.len() / 2;
        let line = pem.lines().nth(2).expect("a line");
        for (text, wanted) in [
            (String::new(), NotEntered::None),
            ("press-7".to_owned(), NotEntered::None),
            (key.serialize_pem(), NotEntered::PrivateKey),
            (format!("{pem}{}", key.serialize_pem()), NotEntered::PrivateKey),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\n".to_owned(), NotEntered::PrivateKey),
            (request, NotEntered::Request),
            (pem[..middle].to_owned(), NotEntered::Broken),
            (pem.replace(line, ""), NotEntered::Broken),
            (pem.replace(line, "ä"), NotEntered::Broken),
            (pem.repeat(MAX_CHAIN + 1), NotEntered::TooLarge),
            ("x".repeat(MAX_TEXT + 1), NotEntered::TooLarge),
        ] {
            assert_eq!(Entered::read(&text).map(|entered| entered.facts), Err(wanted), "{text}");
        }
        let long = "x".repeat(MAX_DER);
        assert_eq!(
            Entered::read(&self::pem(&[(DnType::OrganizationName, &long)])).err(),
            Some(NotEntered::TooLargeAlone)
        );
        let many = "x".repeat(NAME_SHOWN);
        let told =
            Entered::read(&self::pem(&[(DnType::OrganizationName, &many)])).expect("a certificate").facts.subject;
        assert_eq!(told.chars().count(), NAME_SHOWN + 1, "{told}");
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let entered = Entered::read(&pem(&[(DnType::CommonName, "press-7")])).expect("a certificate");
        let der = entered.der();
        for end in 0..der.len() {
            assert_eq!(Facts::of(&der[..end]), None);
        }
        for at in 0..der.len() {
            for bit in 0..8 {
                let mut changed = der.to_vec();
                changed[at] ^= 1 << bit;
                let facts = Facts::of(&changed);
                assert!(
                    facts.is_none_or(|facts| facts.certificate.fingerprint != entered.facts.certificate.fingerprint)
                );
            }
        }
        for wrong in ["991231235960Z", "2026", "20261301000000Z", "261301000000Z", "26130100000Z", "\u{80}"] {
            let bytes = [&[UTC_TIME, u8::try_from(wrong.len()).expect("short")], wrong.as_bytes()].concat();
            assert_eq!(time(&mut &bytes[..]), None, "{wrong}");
        }
        let bytes = [&[UTC_TIME, 13], &b"500102030405Z"[..]].concat();
        assert_eq!(time(&mut &bytes[..]), Timestamp::parse_rfc3339("1950-01-02T03:04:05Z"));
    }
}
