//! SCRAM-SHA-256 (RFC 5802, RFC 7677) for MQTT devices: the password never travels, and the device learns that the node knows it.
//!
//! Of a password are kept a salt and two keys, from which it cannot be found again. A device's password is one of ours, of 256 random
//! bits, so 4,096 rounds are as good as more; they are the fewest that clients take. People log in elsewhere, with
//! [slow hashes](crate::password) that SCRAM could not use.
//!
//! What a stranger sends is bounded, and costs the same, four HMACs, for a name that there is and one that there is not; the answer looks
//! the same, also after a restart, for what makes up the salts of names that there are not is kept with the records. Still to be found
//! out is, for who asks again and again, that a name was made, renewed or removed meanwhile: its salt is another then.

use crate::Accounts;
use crate::certificate::Certificate;
use crate::secret::{NoRandomness, Secret, random};
use andon_model::access::{Principal, PrincipalKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// The method's name, as MQTT and SASL have it.
pub const METHOD: &str = "SCRAM-SHA-256";
/// RFC 7677 §4 asks for at least so many.
const ROUNDS: u32 = 4096;
/// The most rounds that a kept verifier may name.
const MOST_ROUNDS: u32 = 1_000_000;
/// The longest message of a client, in bytes.
const MESSAGE_BYTES: usize = 2048;
/// The longest nonce of a client, in bytes.
const NONCE_BYTES: usize = 256;

type Key = [u8; 32];

/// What is kept to check a password by SCRAM, and nothing by which one could log in.
#[derive(Clone, PartialEq, Eq)]
pub struct Verifier {
    salt: [u8; 16],
    rounds: u32,
    stored_key: Key,
    server_key: Key,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// As PostgreSQL writes it: `SCRAM-SHA-256$4096:salt$stored key:server key`, each in Base64.
impl fmt::Display for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [salt, stored, server] = [&self.salt[..], &self.stored_key, &self.server_key].map(|b| BASE64.encode(b));
        write!(f, "{METHOD}${}:{salt}${stored}:{server}", self.rounds)
    }
}

/// What was kept is no verifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is no SCRAM-SHA-256 verifier")]
pub struct NoVerifier;

impl FromStr for Verifier {
    type Err = NoVerifier;
    fn from_str(text: &str) -> Result<Self, NoVerifier> {
        let read = || {
            let (rounds, rest) = text.strip_prefix(METHOD)?.strip_prefix('$')?.split_once(':')?;
            let (salt, keys) = rest.split_once('$')?;
            let (stored, server) = keys.split_once(':')?;
            let rounds = rounds.parse().ok().filter(|rounds| (ROUNDS..=MOST_ROUNDS).contains(rounds))?;
            Some(Self { salt: bytes(salt)?, rounds, stored_key: bytes(stored)?, server_key: bytes(server)? })
        };
        read().ok_or(NoVerifier)
    }
}

fn bytes<const N: usize>(base64: &str) -> Option<[u8; N]> {
    BASE64.decode(base64).ok()?.try_into().ok()
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl Verifier {
    /// The verifier of one of our passwords, with a fresh salt. Some milliseconds.
    /// # Errors
    /// No randomness.
    pub fn of(password: &Secret) -> Result<Self, NoRandomness> {
        Ok(Self::with(password.reveal().as_bytes(), random()?, ROUNDS))
    }

    fn with(password: &[u8], salt: [u8; 16], rounds: u32) -> Self {
        // RFC 5802 §2.2: Hi() is PBKDF2 with one block.
        let mut round = hmac(password, &[&salt, &1_u32.to_be_bytes()]);
        let mut salted = round;
        for _ in 1..rounds {
            round = hmac(password, &[&round]);
            salted.iter_mut().zip(round).for_each(|(all, this)| *all ^= this);
        }
        let stored_key = Sha256::digest(hmac(&salted, &[b"Client Key"])).into();
        Self { salt, rounds, stored_key, server_key: hmac(&salted, &[b"Server Key"]) }
    }
}

/// What comes of a client's message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// The client is to answer this.
    Continue(Vec<u8>),
    /// It is this device; the last word for it proves that we know its password, too.
    Done(Principal, Vec<u8>),
    /// Refused: whoever it is does not hear more.
    Refused,
}

/// Where an exchange stands.
enum State {
    Begun,
    /// Salt and rounds are said, its proof is awaited.
    Asked(Box<Asked>),
    Over,
}

struct Asked {
    user: String,
    /// `None`: there is no such device, and the proof is checked by a verifier for which nobody has one.
    device: Option<Uuid>,
    verifier: Verifier,
    gs2_header: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
}

/// One client's proof of who it is.
pub struct Exchange {
    accounts: Arc<Accounts>,
    client_id: String,
    /// The user name outside of the exchange, which must not be another.
    user: Option<String>,
    certificate: Option<Certificate>,
    state: State,
    /// Our part of the nonce.
    nonce: fn() -> Result<String, NoRandomness>,
}

fn fresh_nonce() -> Result<String, NoRandomness> {
    Ok(BASE64.encode(random::<18>()?))
}

impl Exchange {
    /// An exchange with a client of this identifier; `user`: its user name, if it gave one beside the exchange; `certificate`: the one
    /// that it has shown.
    #[must_use]
    pub fn new(accounts: Arc<Accounts>, client_id: &str, user: Option<&str>, certificate: Option<Certificate>) -> Self {
        Self {
            accounts,
            client_id: client_id.to_owned(),
            user: user.map(str::to_owned),
            certificate,
            state: State::Begun,
            nonce: fresh_nonce,
        }
    }

    /// The client's next message.
    pub fn hear(&mut self, message: &[u8]) -> Heard {
        let text = std::str::from_utf8(message).ok().filter(|text| text.len() <= MESSAGE_BYTES);
        let heard = match (std::mem::replace(&mut self.state, State::Over), text) {
            (State::Begun, Some("")) => {
                // It waits for us to ask (RFC 4422 §3.1), with nothing, for there is nothing to say first.
                self.state = State::Begun;
                Some(Heard::Continue(Vec::new()))
            }
            (State::Begun, Some(text)) => self.first(text),
            (State::Asked(asked), Some(text)) => self.last(&asked, text),
            _ => None,
        };
        heard.unwrap_or(Heard::Refused)
    }

    /// `n,,n=press-7,r=…`. RFC 5802 §5, §7.
    fn first(&mut self, text: &str) -> Option<Heard> {
        // A client that could bind to the channel says `y` where we do not offer it.
        let after_flag = text.strip_prefix("n,").or_else(|| text.strip_prefix("y,"))?;
        let (authorise_as, bare) = after_flag.split_once(',')?;
        let gs2_header = text.strip_suffix(bare)?.to_owned();
        let (name, rest) = bare.strip_prefix("n=")?.split_once(',')?;
        let client_nonce = rest.split(',').next()?.strip_prefix("r=")?;
        let name = unescaped(name)?;
        let as_itself = authorise_as.is_empty() || unescaped(authorise_as.strip_prefix("a=")?)? == name;
        let same = self.user.as_ref().is_none_or(|user| *user == name);
        if !as_itself || !same || !is_nonce(client_nonce) {
            return None;
        }
        // Made for every name, so that it takes no longer where it is needed.
        let of_nobody = verifier_of_nobody(&self.accounts.nobody, &name);
        let (device, verifier) = match self.accounts.verifier_of(&name) {
            Some((id, verifier)) => (Some(id), verifier),
            None => (None, of_nobody),
        };
        let nonce = format!("{client_nonce}{}", (self.nonce)().ok()?);
        let server_first = format!("r={nonce},s={},i={}", BASE64.encode(verifier.salt), verifier.rounds);
        let answer = server_first.clone().into_bytes();
        let client_first_bare = bare.to_owned();
        let asked = Asked { user: name, device, verifier, gs2_header, client_first_bare, server_first, nonce };
        self.state = State::Asked(Box::new(asked));
        Some(Heard::Continue(answer))
    }

    /// `c=biws,r=…,p=…`.
    fn last(&self, asked: &Asked, text: &str) -> Option<Heard> {
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        let (binding, rest) = without_proof.strip_prefix("c=")?.split_once(',')?;
        let nonce = rest.split(',').next()?.strip_prefix("r=")?;
        let proof: Key = bytes(proof)?;
        if binding != BASE64.encode(&asked.gs2_header) || nonce != asked.nonce {
            return None;
        }
        let verifier = &asked.verifier;
        let said = [asked.client_first_bare.as_str(), asked.server_first.as_str(), without_proof].join(",");
        let mut client_key = hmac(&verifier.stored_key, &[said.as_bytes()]);
        client_key.iter_mut().zip(proof).for_each(|(key, proof)| *key ^= proof);
        if !bool::from(Sha256::digest(client_key).ct_eq(&verifier.stored_key)) {
            return None;
        }
        // Removed or made anew since we asked?
        let proved = (asked.device?, verifier.clone());
        if !self.accounts.proved_may_come(&asked.user, &proved, &self.client_id, self.certificate.as_ref()) {
            return None;
        }
        let signature = BASE64.encode(hmac(&verifier.server_key, &[said.as_bytes()]));
        let principal = Principal { id: proved.0, kind: PrincipalKind::Device };
        Some(Heard::Done(principal, format!("v={signature}").into_bytes()))
    }
}

/// A name in which `=2C` stands for a comma and `=3D` for an equals sign; `None`: another `=` stands in it.
fn unescaped(name: &str) -> Option<String> {
    let plain = name.replace("=2C", ",").replace("=3D", "\u{0}");
    (!plain.contains('=')).then(|| plain.replace('\u{0}', "="))
}

/// Printable, without comma. RFC 5802 §5.1.
fn is_nonce(text: &str) -> bool {
    (1..=NONCE_BYTES).contains(&text.len()) && text.bytes().all(|b| matches!(b, 0x21..=0x7E) && b != b',')
}

/// Stands in for the verifier of a name that there is not: always the same, also after a restart, and right for no proof.
fn verifier_of_nobody(key: &Key, name: &str) -> Verifier {
    let made = |what: &[u8]| hmac(key, &[what, name.as_bytes()]);
    let salt = made(b"salt").first_chunk().copied().unwrap_or_default();
    Verifier { salt, rounds: ROUNDS, stored_key: made(b"stored"), server_key: made(b"server") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7677_comes_out() {
        let verifier = Verifier::with(b"pencil", bytes("W22ZaJ0SNY7soEsUEjb6gQ==").expect("a salt"), 4096);
        let said = "n=user,r=rOprNGfwEbeRWgbNEkqO,\
                    r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,\
                    c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0";
        let proof: Key = bytes("dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=").expect("a proof");
        let mut client_key = hmac(&verifier.stored_key, &[said.as_bytes()]);
        client_key.iter_mut().zip(proof).for_each(|(key, proof)| *key ^= proof);
        assert_eq!(Sha256::digest(client_key).as_slice(), verifier.stored_key);
        let signature = hmac(&verifier.server_key, &[said.as_bytes()]);
        assert_eq!(BASE64.encode(signature), "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=");
    }

    #[test]
    fn a_verifier_is_kept_as_text_and_what_is_none_is_refused() {
        let verifier = Verifier::of(&Secret::new("a secret")).expect("random");
        let text = verifier.to_string();
        assert!(text.starts_with("SCRAM-SHA-256$4096:"), "{text}");
        assert_eq!(text.parse(), Ok(verifier.clone()));
        assert_eq!(format!("{verifier:?}"), "***");
        let damaged = [
            String::new(),
            text.replace("256", "1"),
            text.replace("4096", "1"),
            text.replace("4096", "4294967295"),
            text.replacen(':', "", 1),
            text.get(..text.len() - 4).unwrap_or_default().to_owned(),
        ];
        for damaged in damaged {
            assert_eq!(damaged.parse::<Verifier>(), Err(NoVerifier), "{damaged}");
        }
    }

    #[test]
    fn names_are_unescaped_and_nonces_are_printable() {
        assert_eq!(unescaped("a=2Cb=3Dc"), Some("a,b=c".to_owned()));
        assert_eq!(unescaped("a=3D2C"), Some("a=2C".to_owned()), "once");
        for bad in ["a=", "a=2c", "=00"] {
            assert_eq!(unescaped(bad), None, "{bad}");
        }
        assert!(is_nonce("rOprNGfwEbeRWgbNEkqO%$"));
        for bad in ["", "a b", "a,b", "ä", &"x".repeat(257)] {
            assert!(!is_nonce(bad), "{bad}");
        }
    }
}
