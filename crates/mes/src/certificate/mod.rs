//! The birth certificate of one unit: what it was made of, what was measured, by what and under which papers, signed by the node.
//!
//! It leaves the house with the unit, so that whoever has it years later can see that it is whole and who said it, without asking
//! anybody: with the node's public key and [`verify`](fn@verify), or with any other program that knows RFC 8785 and RFC 8032.
//!
//! The file is an envelope: `{ "certificate": …, "signature": { "alg": "Ed25519", "key_id", "value" } }`. The signature is over the
//! canonical form (RFC 8785) of `certificate`; `key_id` is the public key itself in hexadecimal.
//!
//! # Invariants
//! - Every [`Certificate`] there is fits its file, and reads back as it is. What is wrong with a file is a [`Refusal`].
//! - Of a file, only white space between values and the order of members can be changed. Any other byte is refused.
//! - A verdict is computed from value and limits, by whoever reads it too.
//! - No number in it is broken ([`Decimal`] is a text), so that no reader's rounding decides whether a signature holds.
//!
//! Keys and signatures are bytes here: who signs and how a signature is checked is handed in ([`Signer`], [`verify`](fn@verify)), so that
//! the one cryptographic library of the program stays where TLS is.
//!
//! Start reading at [`Content`], then [`verify`](fn@verify).

mod content;
mod decimal;
pub(crate) mod json;
mod key;
#[cfg(test)]
mod tests;
mod verify;
mod words;

pub use content::{
    Content, ContentError, Document, Energy, Firmware, Identity, Issuer, Limits, Part, Product, ProductId, Role,
    SerialUnit, StateTimes, TestValue, Trace, Verdict,
};
pub use decimal::{Decimal, DecimalError};
pub use json::{DEPTH_MAX, JsonError, VALUES_MAX, WHOLE_MAX};
pub use key::{KEY_FILE_MAX, KeyError, PublicKey};
pub use verify::{Refusal, verify};
pub(crate) use words::check_digit;
pub use words::{Gtin, GtinError, Hex, HexError, Id, Name, Sha256, Signature, Text, TextError};

use json::Json;

/// What kind of file it is.
pub const FORMAT: &str = "andon-birth-certificate";
/// The version of the format. Once Andon was released, a new member or another meaning is a new version. Until then it stays 1, for no reader
/// outside of this program's own builds knows an earlier form of it.
pub const VERSION: i64 = 1;
/// How it is signed.
pub const ALGORITHM: &str = "Ed25519";
/// The largest file, in bytes. The largest certificate there can be is smaller.
pub const FILE_MAX: usize = 8 << 20;

/// The most parts, and the most test values.
pub const PARTS_MAX: usize = 2_000;
/// The most documents, and the most work units with their times.
pub const DOCUMENTS_MAX: usize = 200;
/// The most programs, roles and kinds of energy.
pub const ROLES_MAX: usize = 100;

/// A certificate whose content was checked.
#[derive(Clone, PartialEq, Debug)]
pub struct Certificate(Content);

/// Why there is no certificate of such a content.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum CertificateError {
    /// A list is too long.
    #[error("`{list}` has {count} entries, and a certificate at most {max}")]
    Many {
        /// Which one.
        list: &'static str,
        /// How long it is.
        count: usize,
        /// How long it may be.
        max: usize,
    },
    /// A quantity that nothing has.
    #[error("`{list}`, entry {at}: the quantity {quantity} cannot be")]
    Quantity {
        /// In which list.
        list: &'static str,
        /// Its place, from 1.
        at: usize,
        /// The quantity.
        quantity: Decimal,
    },
    /// A time that no calendar has.
    #[error("the time of issue is outside the years 0000 to 9999")]
    IssuedAt,
}

/// Who signs: the owner of a private key.
pub trait Signer {
    /// What can go wrong with it.
    type Error;
    /// The public half of the key.
    fn public_key(&self) -> PublicKey;
    /// Signs by Ed25519 (RFC 8032).
    ///
    /// # Errors
    /// The key cannot be used.
    fn sign(&self, message: &[u8]) -> Result<Signature, Self::Error>;
}

/// Why a certificate was not signed.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum SealError<E> {
    /// The certificate names another key than the one that is there to sign.
    #[error("the certificate is issued under the key {named}, but the key to sign with is {given}")]
    OtherKey {
        /// As its issuer says.
        named: PublicKey,
        /// As the signer says.
        given: PublicKey,
    },
    /// The signer could not.
    #[error("could not sign")]
    Sign(#[source] E),
}

impl Certificate {
    /// Checks a content.
    ///
    /// # Errors
    /// A list is too long, a quantity or a time cannot be.
    pub fn new(content: Content) -> Result<Self, CertificateError> {
        for (list, count, max) in [
            ("parts", content.parts.len(), PARTS_MAX),
            ("tests", content.tests.len(), PARTS_MAX),
            ("firmware", content.firmware.len(), ROLES_MAX),
            ("documents", content.documents.len(), DOCUMENTS_MAX),
            ("roles", content.roles.len(), ROLES_MAX),
            ("states", content.states.len(), DOCUMENTS_MAX),
            ("energy", content.energy.len(), ROLES_MAX),
        ] {
            if count > max {
                return Err(CertificateError::Many { list, count, max });
            }
        }
        let parts =
            content.parts.iter().map(|part| ("parts", part.quantity, part.quantity > Decimal::ZERO)).enumerate();
        let energy = content.energy.iter().map(|energy| ("energy", energy.quantity, !energy.quantity.is_negative()));
        for (at, (list, quantity, can_be)) in parts.chain(energy.enumerate()) {
            if !can_be {
                return Err(CertificateError::Quantity { list, at: at + 1, quantity });
            }
        }
        if !content.issued_at.has_date() {
            return Err(CertificateError::IssuedAt);
        }
        Ok(Self(content))
    }

    /// What it tells.
    #[must_use]
    pub const fn content(&self) -> &Content {
        &self.0
    }

    /// How many test values are outside their limits.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.0.tests.iter().filter(|test| test.verdict() == Verdict::Fail).count()
    }

    /// What is signed: the canonical form by RFC 8785.
    #[must_use]
    pub fn canonical(&self) -> Vec<u8> {
        self.json().canonical()
    }

    /// Has it signed: the file, one line of UTF-8 in canonical form.
    ///
    /// # Errors
    /// It names another key than the signer's, or the signer cannot sign.
    pub fn seal<S: Signer>(&self, signer: &S) -> Result<String, SealError<S::Error>> {
        let (named, given) = (self.0.issuer.key_id, signer.public_key());
        if named != given {
            return Err(SealError::OtherKey { named, given });
        }
        let value = signer.sign(&self.canonical()).map_err(SealError::Sign)?;
        let text = |text: &dyn ToString| Json::Text(text.to_string());
        let signature = [("alg", text(&ALGORITHM)), ("key_id", text(&given)), ("value", text(&value))];
        let signature = Json::Members(signature.map(|(name, value)| (name.to_owned(), value)).into());
        let envelope = Json::Members(vec![("certificate".into(), self.json()), ("signature".into(), signature)]);
        let mut file = String::from_utf8(envelope.canonical()).expect("JSON is written from texts alone");
        file.push('\n');
        Ok(file)
    }

    /// As it stands in the file.
    fn json(&self) -> Json {
        let content = serde_json::to_vec(&self.0).expect("it has neither maps without text keys nor broken numbers");
        let content = Json::read(&content).expect("all of it was checked, and is far below the bounds");
        let Json::Members(mut members) = content else { unreachable!("Content is an object") };
        members.push(("format".into(), Json::Text(FORMAT.into())));
        members.push(("version".into(), Json::Whole(VERSION)));
        Json::Members(members)
    }
}
