//! Public keys of Ed25519, from whatever form they are kept in.

use super::words::Hex;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A public key of Ed25519 (RFC 8032, 5.1.5). It is its own id: its 32 bytes in hexadecimal name it, so that an id cannot stand for
/// another key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PublicKey(pub Hex<32>);

/// What stands before the key in a SubjectPublicKeyInfo (RFC 8410, 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
/// The largest file that is looked at.
pub const KEY_FILE_MAX: usize = 4096;

/// Why something is no public key.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum KeyError {
    /// The half that must not leave its owner.
    #[error("this is a private key: keep it where it is; `openssl pkey -in FILE -pubout` prints its public half")]
    Private,
    /// A certificate of X.509.
    #[error("this is an X.509 certificate, not a key; `openssl x509 -in FILE -noout -pubkey` prints the key in it")]
    X509,
    /// A key for another algorithm.
    #[error("this is a public key, but not one of Ed25519, which alone signs birth certificates")]
    OtherAlgorithm,
    /// More than one in a file.
    #[error("there is more than one key here; give each a file of its own")]
    Several,
    /// PEM that is damaged.
    #[error("the text between BEGIN PUBLIC KEY and END PUBLIC KEY is damaged")]
    Damaged,
    /// Something else.
    #[error(
        "this is no public key of Ed25519: that is 32 bytes, 64 hexadecimal digits, or \"-----BEGIN PUBLIC KEY-----\" in PEM"
    )]
    NoKey,
}

impl PublicKey {
    /// Reads what a file or an argument holds: 32 bytes, 64 hexadecimal digits of either case, or a SubjectPublicKeyInfo in PEM or DER.
    ///
    /// # Errors
    /// It is something else; what, as far as that can be told.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeyError> {
        if let Ok(raw) = bytes.try_into() {
            return Ok(Self(Hex(raw)));
        }
        if bytes.first() == Some(&0x30) && bytes.get(1).is_some_and(|second| !second.is_ascii_hexdigit()) {
            return Self::from_der(bytes).ok_or(KeyError::NoKey);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| KeyError::NoKey)?.trim();
        let Some((_, pem)) = text.split_once("-----BEGIN ") else {
            return Hex::parse(&text.to_ascii_lowercase()).map(Self).map_err(|_| KeyError::NoKey);
        };
        let (label, pem) = pem.split_once("-----").ok_or(KeyError::Damaged)?;
        match label {
            "PUBLIC KEY" => {}
            "RSA PUBLIC KEY" => return Err(KeyError::OtherAlgorithm),
            "CERTIFICATE" => return Err(KeyError::X509),
            label if label.ends_with("PRIVATE KEY") => return Err(KeyError::Private),
            _ => return Err(KeyError::NoKey),
        }
        let (body, rest) = pem.split_once("-----END PUBLIC KEY-----").ok_or(KeyError::Damaged)?;
        if rest.contains("-----BEGIN ") {
            return Err(KeyError::Several);
        }
        let body: String = body.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::Damaged)?;
        Self::from_der(&der).ok_or(KeyError::OtherAlgorithm)
    }

    fn from_der(der: &[u8]) -> Option<Self> {
        der.strip_prefix(&SPKI)?.try_into().ok().map(|raw| Self(Hex(raw)))
    }

    /// As SubjectPublicKeyInfo in PEM (RFC 7468, 13), for whoever verifies elsewhere.
    #[must_use]
    pub fn to_pem(self) -> String {
        let body = STANDARD.encode([&SPKI[..], &self.0.0].concat());
        format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n")
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: [u8; 32] = *b"0123456789abcdef\0\xff89abcdef012345";
    // RFC 8410, 10.1.
    const RFC: &str = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    const RFC_HEX: &str = "19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1";

    #[test]
    fn a_key_is_read_from_any_form() {
        let key = PublicKey(Hex(RAW));
        assert_eq!(PublicKey::parse(&RAW), Ok(key));
        assert_eq!(PublicKey::parse(key.to_string().as_bytes()), Ok(key));
        assert_eq!(PublicKey::parse(format!(" {}\r\n", key.to_string().to_uppercase()).as_bytes()), Ok(key));
        assert_eq!(PublicKey::parse(key.to_pem().as_bytes()), Ok(key));
        assert_eq!(PublicKey::parse(&[&SPKI[..], &RAW].concat()), Ok(key));
        let rfc = PublicKey::parse(RFC.as_bytes()).unwrap();
        assert_eq!((rfc.to_string().as_str(), rfc.to_pem().as_str()), (RFC_HEX, RFC));
        assert_eq!(PublicKey::parse(RFC.replace('\n', "\r\n").as_bytes()), Ok(rfc));
    }

    #[test]
    fn what_is_no_public_key_says_what_it_is() {
        let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
        let p256 = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEEVs/o5+uQbTjL3chynL4wXgUg2R9q9UU8I5mEovUf86QZ7kOBIjJwqnzD1omageEHWwHdBO6B+dFabmdT9POxg==";
        for (text, error) in [
            (pem("PRIVATE KEY", "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g"), KeyError::Private),
            (pem("EC PRIVATE KEY", "AAAA"), KeyError::Private),
            (pem("CERTIFICATE", "AAAA"), KeyError::X509),
            (pem("PUBLIC KEY", p256), KeyError::OtherAlgorithm),
            (pem("RSA PUBLIC KEY", "AAAA"), KeyError::OtherAlgorithm),
            (pem("PUBLIC KEY", "MCowBQYDK2VwAyEA!"), KeyError::Damaged),
            (RFC.replace("END", "ENDE"), KeyError::Damaged),
            (format!("{RFC}{RFC}"), KeyError::Several),
            (RFC_HEX[1..].to_owned(), KeyError::NoKey),
            (format!("{RFC_HEX}0"), KeyError::NoKey),
            (String::new(), KeyError::NoKey),
            ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIL".to_owned(), KeyError::NoKey),
        ] {
            assert_eq!(PublicKey::parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(PublicKey::parse(&[0xff; 33]), Err(KeyError::NoKey));
        assert_eq!(PublicKey::parse(&[&SPKI[..], &[0; 31]].concat()), Err(KeyError::NoKey));
    }
}
