//! A file, and whether it is a certificate that one of the trusted keys has signed.

use super::json::{Json, JsonError};
use super::{ALGORITHM, Certificate, CertificateError, Content, FILE_MAX, FORMAT, Hex, PublicKey, Signature, VERSION};
use andon_model::text::shown;

/// Why a file is not taken for a certificate.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Too many bytes.
    #[error("the file is larger than {} MiB, and no certificate is", FILE_MAX >> 20)]
    Large,
    /// It cannot be read, or in more than one way.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is not an envelope.
    #[error("this is no signed certificate: {0}")]
    NoEnvelope(String),
    /// It is of another kind.
    #[error("the format is {0:?}; a birth certificate's is {FORMAT:?}")]
    Format(String),
    /// It is newer than this program.
    #[error(
        "it is of version {0} of the format, and this program knows version {VERSION} only; a newer one may know it"
    )]
    Version(i64),
    /// It is signed in another way.
    #[error("it is signed by {0:?}; a birth certificate is signed by {ALGORITHM}")]
    Algorithm(String),
    /// Nobody vouches for the key.
    #[error(
        "it is signed under the key {key}, which is none of the {trusted} trusted; get the issuer's key from the issuer, not from this file"
    )]
    UnknownKey {
        /// The key that the file names.
        key: PublicKey,
        /// How many are trusted.
        trusted: usize,
    },
    /// The certificate says another key than its signature.
    #[error("its issuer's key is {named}, but it is signed under {signed}")]
    OtherKey {
        /// The issuer's.
        named: PublicKey,
        /// The signature's.
        signed: PublicKey,
    },
    /// It was changed after it was signed, or signed with another key.
    #[error(
        "the signature is wrong: the certificate was changed after it was signed, or the key {key} has not signed it"
    )]
    Signature {
        /// The key that it names.
        key: PublicKey,
    },
    /// It was signed as it is, but does not say what version 1 says, or contradicts itself.
    #[error("the signature is right, but the content is not: {what}, near {near}")]
    Content {
        /// What is wrong.
        what: String,
        /// The end of what was read until then.
        near: String,
    },
    /// It was signed as it is, but has more of something than there can be.
    #[error("the signature is right, but the content is not: {0}")]
    Bounds(#[from] CertificateError),
    /// It was signed as it is, but says something in another way than version 1: a null, or a member that is of no effect.
    #[error(
        "the signature is right, but the content is not: it has something that version {VERSION} says in another way, near {near}"
    )]
    Otherwise {
        /// Where the difference begins.
        near: String,
    },
}

/// Whether a file is a certificate that one of the trusted keys has signed. `check` is the library's Ed25519 (RFC 8032, 5.1.7): whether
/// the key has signed the message so.
///
/// # Errors
/// What is wrong with it. Nothing of a refused file can be taken for true.
pub fn verify(
    file: &[u8],
    trusted: &[PublicKey],
    check: impl FnOnce(&PublicKey, &[u8], &Signature) -> bool,
) -> Result<Certificate, Refusal> {
    if file.len() > FILE_MAX {
        return Err(Refusal::Large);
    }
    let envelope = Json::read(file)?;
    envelope.check_spelling(file)?;
    let Envelope { certificate, key, value } = Envelope::of(envelope)?;
    if !trusted.contains(&key) {
        return Err(Refusal::UnknownKey { key, trusted: trusted.len() });
    }
    let signed = certificate.canonical();
    if !check(&key, &signed, &value) {
        return Err(Refusal::Signature { key });
    }
    let certificate = Certificate::new(content(&certificate)?)?;
    let named = certificate.content().issuer.key_id;
    if named != key {
        return Err(Refusal::OtherKey { named, signed: key });
    }
    // What was read is what was signed, and nothing was left out on the way.
    let read = certificate.canonical();
    if read != signed {
        let at = read.iter().zip(&signed).take_while(|(a, b)| a == b).count();
        return Err(Refusal::Otherwise { near: near(&signed, at + 8) });
    }
    Ok(certificate)
}

/// The parts of an envelope; its format and version are known.
struct Envelope {
    certificate: Json,
    key: PublicKey,
    value: Signature,
}

impl Envelope {
    fn of(envelope: Json) -> Result<Self, Refusal> {
        let [certificate, signature] = members(envelope, "the file", ["certificate", "signature"])?;
        let format = text(certificate.member("format"), "`certificate` has no text `format`")?;
        if format != FORMAT {
            return Err(Refusal::Format(begin(format)));
        }
        match certificate.member("version") {
            Some(Json::Whole(VERSION)) => {}
            Some(Json::Whole(other)) => return Err(Refusal::Version(*other)),
            _ => return Err(Refusal::NoEnvelope("`certificate` has no number `version`".into())),
        }
        let [algorithm, key, value] = members(signature, "`signature`", ["alg", "key_id", "value"])?;
        let algorithm = text(Some(&algorithm), "`alg` is no text")?;
        if algorithm != ALGORITHM {
            return Err(Refusal::Algorithm(begin(algorithm)));
        }
        let key = PublicKey(hex(&key, "key_id")?);
        Ok(Self { certificate, key, value: hex(&value, "value")? })
    }
}

/// The values of an object that has these members and no other.
fn members<const N: usize>(json: Json, of: &str, names: [&str; N]) -> Result<[Json; N], Refusal> {
    let Json::Members(members) = json else { return Err(Refusal::NoEnvelope(format!("{of} is no object"))) };
    let mut found = [const { None }; N];
    for (name, value) in members {
        match names.iter().position(|wanted| *wanted == name) {
            Some(at) => found[at] = Some(value),
            None => {
                return Err(Refusal::NoEnvelope(format!("{of} has a member {:?}, which there is not", begin(&name))));
            }
        }
    }
    if let Some(missing) = found.iter().position(Option::is_none) {
        return Err(Refusal::NoEnvelope(format!("{of} has no member `{}`", names[missing])));
    }
    Ok(found.map(|value| value.unwrap_or(Json::Null)))
}

fn text<'a>(json: Option<&'a Json>, otherwise: &str) -> Result<&'a str, Refusal> {
    json.and_then(Json::text).ok_or_else(|| Refusal::NoEnvelope(otherwise.to_owned()))
}

fn hex<const N: usize>(json: &Json, name: &str) -> Result<Hex<N>, Refusal> {
    let text = text(Some(json), &format!("`{name}` is no text"))?;
    Hex::parse(text).map_err(|error| Refusal::NoEnvelope(format!("`{name}`: {error}")))
}

/// A text of unknown length, for a message.
fn begin(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The certificate without what the envelope has already looked at.
fn content(certificate: &Json) -> Result<Content, Refusal> {
    let Json::Members(members) = certificate else {
        return Err(Refusal::NoEnvelope("`certificate` is no object".into()));
    };
    let rest = members.iter().filter(|(name, _)| name != "format" && name != "version").cloned().collect();
    let text = Json::Members(rest).canonical();
    serde_json::from_slice(&text).map_err(|error| {
        // Its line and column are of a text that nobody has.
        let (what, column) = (error.to_string(), error.column());
        let what = what.rsplit_once(" at line ").map_or(what.as_str(), |(what, _)| what);
        // Whoever signs may write what turns a terminal upside down, and much of it.
        let what = shown(&what.chars().take(400).collect::<String>()).into_owned();
        Refusal::Content { what, near: near(&text, column) }
    })
}

/// What of a text leads up to a byte of it.
fn near(text: &[u8], to: usize) -> String {
    let end = to.min(text.len());
    let text = String::from_utf8_lossy(&text[end.saturating_sub(60)..end]);
    shown(text.trim_matches(char::REPLACEMENT_CHARACTER)).into_owned()
}
