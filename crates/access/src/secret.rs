//! Secrets that we generate: 256 random bits, shown once, kept as SHA-256.
//!
//! A generated secret needs no slow hash: nobody can guess 2^256.

use sha2::{Digest, Sha256};
use std::fmt;

/// A secret in clear. `Debug` prints `***`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret that came from outside.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
    /// The secret in clear, for the one place that shows or checks it.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// SHA-256 of a secret.
pub type Digest256 = [u8; 32];

/// The digest under which a secret is kept.
#[must_use]
pub fn digest(secret: &str) -> Digest256 {
    Sha256::digest(secret.as_bytes()).into()
}

/// Lower-case hex.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from(DIGITS.get(usize::from(nibble)).copied().unwrap_or(b'0')));
        }
    }
    text
}

/// The system's random source failed; nothing secret can be made.
#[derive(Debug, thiserror::Error)]
#[error("the operating system gave no random numbers: {0}")]
pub struct NoRandomness(String);

pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|e| NoRandomness(e.to_string()))?;
    Ok(bytes)
}

/// A new secret of 256 bits: `prefix` and 64 hex digits.
/// # Errors
/// No randomness.
pub fn generate(prefix: &str) -> Result<Secret, NoRandomness> {
    Ok(Secret(format!("{prefix}{}", hex(&random::<32>()?))))
}

/// A code for people to copy by hand: four groups of four out of 32 letters and digits without look-alikes, 80 bits.
/// # Errors
/// No randomness.
pub fn generate_code() -> Result<Secret, NoRandomness> {
    const LETTERS: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    let bytes = random::<16>()?;
    let mut text = String::with_capacity(19);
    for (index, byte) in bytes.iter().enumerate() {
        if index > 0 && index % 4 == 0 {
            text.push('-');
        }
        text.push(char::from(LETTERS.get(usize::from(byte % 32)).copied().unwrap_or(b'A')));
    }
    Ok(Secret(text))
}

/// Compares two digests in constant time.
#[must_use]
pub fn same(a: &Digest256, b: &Digest256) -> bool {
    subtle::ConstantTimeEq::ct_eq(a.as_slice(), b.as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_long_unique_and_never_printed() {
        let (a, b) = (generate("andon_").expect("random"), generate("andon_").expect("random"));
        assert_ne!(a, b);
        assert_eq!(a.reveal().len(), 70);
        assert_eq!(format!("{a:?}"), "***");
        assert_eq!(generate_code().expect("random").reveal().len(), 19);
        assert_eq!(hex(&digest("abc")), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
