//! A report as it is kept and leaves the house: JSON that the node has made of its own answers, and its signature.
//!
//! The file is an envelope as of a birth certificate: `{ "report": …, "signature": { "alg": "Ed25519", "key_id", "value" } }`. The signature is
//! over the canonical form (RFC 8785) of `report`; `key_id` is the public key itself in hexadecimal.
//!
//! # Invariants
//! - What was made canonical here is read and verified here: it has no broken number, and is within the bounds of [`verify`].
//! - Of a file, only white space between values and the order of members can be changed. Any other byte is refused.
//!
//! Who signs and how a signature is checked is handed in, as for [`crate::certificate`]. What the sections say is made by the server; of them only the
//! form is looked at here. Start reading at [`canonical`], then [`verify`](fn@verify).

use crate::certificate::json::{Json, JsonError};
use crate::certificate::{ALGORITHM, Decimal, Hex, PublicKey, Signature};
use andon_model::text::shown;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

/// What kind of file it is.
pub const FORMAT: &str = "andon-report";
/// The version of the format. Another meaning of a member is a new version; a new member is none.
pub const VERSION: i64 = 1;
/// The largest file, in bytes.
pub const FILE_MAX: usize = 8 << 20;
/// What a file has beside the report: the envelope and the signature.
const ENVELOPE: usize = 512;

/// Why something cannot be signed as a report.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum ContentError {
    /// A number that no reader takes alike.
    #[error("the number {0} cannot stand in a report")]
    Number(String),
    /// There is too much of it.
    #[error("the report has more than {most} bytes", most = FILE_MAX - ENVELOPE)]
    Large,
    /// It could not be read back.
    #[error(transparent)]
    Form(#[from] JsonError),
}

/// What is signed of a report: its canonical form. Numbers that may be broken become texts of decimal digits.
///
/// # Errors
/// There is too much of it, or a number that cannot be told.
pub fn canonical(report: &Value) -> Result<Vec<u8>, ContentError> {
    let bytes = json(report)?.canonical();
    if bytes.len() > FILE_MAX - ENVELOPE {
        return Err(ContentError::Large);
    }
    // Whoever verifies it reads it within the same bounds; the envelope is one level more.
    Json::read(&[b"[", &*bytes, b"]"].concat())?;
    Ok(bytes)
}

fn json(value: &Value) -> Result<Json, ContentError> {
    Ok(match value {
        Value::Null => Json::Null,
        Value::Bool(is) => Json::Bool(*is),
        Value::String(text) => Json::Text(text.clone()),
        Value::Array(list) => Json::List(list.iter().map(json).collect::<Result<_, _>>()?),
        Value::Object(map) => {
            let member = |(name, value): (&String, &Value)| Ok::<_, ContentError>((name.clone(), json(value)?));
            Json::Members(map.iter().map(member).collect::<Result<_, _>>()?)
        }
        Value::Number(number) => {
            let wrong = || ContentError::Number(number.to_string());
            match (number.as_i64(), number.as_f64()) {
                (Some(whole), _) => Json::Whole(whole),
                (None, Some(broken)) if number.is_f64() => {
                    Json::Text(Decimal::from_f64(broken).map_err(|_| wrong())?.to_string())
                }
                _ => return Err(wrong()),
            }
        }
    })
}

/// The file of a report: one line of UTF-8 in canonical form. `content` is what [`canonical`] gave.
#[must_use]
pub fn file(content: &[u8], key: &PublicKey, signature: &Signature) -> Vec<u8> {
    let signed = format!(r#","signature":{{"alg":"{ALGORITHM}","key_id":"{key}","value":"{signature}"}}}}"#);
    [br#"{"report":"#, content, signed.as_bytes(), b"\n"].concat()
}

/// Which report it is.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Head {
    /// Its id.
    pub id: Uuid,
    /// `shift`, `day`, `order`.
    pub kind: String,
    /// The place; of an order, the branch that holds all its jobs.
    pub path: String,
    /// The order's number.
    pub order: Option<String>,
    /// What people call the shift.
    pub shift: Option<String>,
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first after it.
    pub to_ms: i64,
    /// When it was made.
    pub made_ms: i64,
    /// Who asked; `None`: a schedule.
    pub by: Option<Uuid>,
    /// The schedule.
    pub schedule: Option<String>,
    /// The report that it takes the place of.
    pub replaces: Option<Uuid>,
    /// The node that made it.
    pub node: Node,
}

/// A node, as its report names it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Node {
    /// Its id.
    pub id: Uuid,
    /// Its public key.
    pub key_id: PublicKey,
}

/// Why a file is not taken for a report.
#[derive(Clone, PartialEq, Debug, thiserror::Error)]
pub enum Refusal {
    /// Too many bytes.
    #[error("the file is larger than {} MiB, and no report is", FILE_MAX >> 20)]
    Large,
    /// It cannot be read, or in more than one way.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// It is not an envelope.
    #[error("this is no signed report: {0}")]
    NoEnvelope(String),
    /// It is newer than this program.
    #[error(
        "it is of version {0} of the format, and this program knows version {VERSION} only; a newer one may know it"
    )]
    Version(i64),
    /// Nobody vouches for the key.
    #[error(
        "it is signed under the key {key}, which is none of the {trusted} trusted; get the node's key from its owner, not from this file"
    )]
    UnknownKey {
        /// The key that the file names.
        key: PublicKey,
        /// How many are trusted.
        trusted: usize,
    },
    /// It was changed after it was signed, or signed with another key.
    #[error("the signature is wrong: the report was changed after it was signed, or the key {key} has not signed it")]
    Signature {
        /// The key that it names.
        key: PublicKey,
    },
    /// It was signed as it is, but does not say what a report says.
    #[error("the signature is right, but the content is not: {0}")]
    Content(String),
}

/// Whether a file is a report that one of the trusted keys has signed. `check` is the library's Ed25519 (RFC 8032, 5.1.7).
///
/// # Errors
/// What is wrong with it. Nothing of a refused file can be taken for true.
pub fn verify(
    file: &[u8],
    trusted: &[PublicKey],
    check: impl FnOnce(&PublicKey, &[u8], &Signature) -> bool,
) -> Result<Head, Refusal> {
    if file.len() > FILE_MAX {
        return Err(Refusal::Large);
    }
    let envelope = Json::read(file)?;
    envelope.check_spelling(file)?;
    let [report, signature] = members(&envelope, "the file", ["report", "signature"])?;
    let no = |what: &str| Refusal::NoEnvelope(what.to_owned());
    match report.member("format").and_then(Json::text) {
        Some(FORMAT) => {}
        Some(other) => return Err(no(&format!("the format is {:?}; a report's is {FORMAT:?}", begin(other)))),
        None => return Err(no("`report` has no text `format`")),
    }
    match report.member("version") {
        Some(Json::Whole(VERSION)) => {}
        Some(Json::Whole(other)) => return Err(Refusal::Version(*other)),
        _ => return Err(no("`report` has no number `version`")),
    }
    let [algorithm, key, value] = members(signature, "`signature`", ["alg", "key_id", "value"])?;
    if algorithm.text() != Some(ALGORITHM) {
        return Err(no(&format!("`alg` is not {ALGORITHM:?}")));
    }
    let key = PublicKey(hex(key, "key_id")?);
    if !trusted.contains(&key) {
        return Err(Refusal::UnknownKey { key, trusted: trusted.len() });
    }
    let signed = report.canonical();
    if !check(&key, &signed, &hex(value, "value")?) {
        return Err(Refusal::Signature { key });
    }
    let head = head(&signed).map_err(Refusal::Content)?;
    if head.node.key_id != key {
        return Err(Refusal::Content(format!("its node's key is {}, but it is signed under {key}", head.node.key_id)));
    }
    Ok(head)
}

/// Which report a content is of, or which member is missing or of another kind.
fn head(content: &[u8]) -> Result<Head, String> {
    // Whoever signs may write what turns a terminal upside down, and much of it.
    serde_json::from_slice(content).map_err(|error| shown(&begin(&error.to_string())).into_owned())
}

/// The values of an object that has these members and no other.
fn members<'j, const N: usize>(json: &'j Json, of: &str, names: [&str; N]) -> Result<[&'j Json; N], Refusal> {
    let Json::Members(all) = json else { return Err(Refusal::NoEnvelope(format!("{of} is no object"))) };
    if let Some((name, _)) = all.iter().find(|(name, _)| !names.contains(&name.as_str())) {
        return Err(Refusal::NoEnvelope(format!("{of} has a member {:?}, which there is not", begin(name))));
    }
    if let Some(missing) = names.iter().find(|name| json.member(name).is_none()) {
        return Err(Refusal::NoEnvelope(format!("{of} has no member `{missing}`")));
    }
    Ok(names.map(|name| json.member(name).unwrap_or(&Json::Null)))
}

fn hex<const N: usize>(json: &Json, name: &str) -> Result<Hex<N>, Refusal> {
    let text = json.text().ok_or_else(|| Refusal::NoEnvelope(format!("`{name}` is no text")))?;
    Hex::parse(text).map_err(|error| Refusal::NoEnvelope(format!("`{name}`: {error}")))
}

/// A text of unknown length, for a message.
fn begin(text: &str) -> String {
    text.chars().take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const KEY: PublicKey = PublicKey(Hex([7; 32]));

    /// Stands for a signature: what anybody can see through, but no two messages have alike.
    fn sign(message: &[u8]) -> Signature {
        let digest = <sha2::Sha256 as sha2::Digest>::digest(message);
        let mut signature = [0; 64];
        signature[..32].copy_from_slice(&digest);
        Hex(signature)
    }

    fn check(key: &PublicKey, message: &[u8], signature: &Signature) -> bool {
        *key == KEY && *signature == sign(message)
    }

    fn report() -> Value {
        json!({
            "format": FORMAT, "version": 1, "id": Uuid::from_u128(5), "kind": "shift", "path": "works/line", "order": null,
            "shift": "Früh", "from_ms": 0, "to_ms": 28_800_000, "made_ms": 28_900_000, "by": null, "schedule": "line",
            "replaces": null, "node": { "id": Uuid::from_u128(1), "key_id": KEY.to_string() },
            "sections": { "kpis": { "oee": 0.812_5, "good": 320.0, "machines": 2, "none": f64::NAN } },
        })
    }

    fn signed(report: &Value) -> Vec<u8> {
        let content = canonical(report).unwrap();
        file(&content, &KEY, &sign(&content))
    }

    #[test]
    fn what_may_be_broken_is_a_text_and_what_is_whole_a_number() {
        let content = String::from_utf8(canonical(&report()).unwrap()).unwrap();
        assert!(content.contains(r#""kpis":{"good":"320","machines":2,"none":null,"oee":"0.8125"}"#), "{content}");
        assert_eq!(canonical(&json!(1e18)), Err(ContentError::Number("1e+18".to_owned())));
        assert_eq!(canonical(&json!(u64::MAX)), Err(ContentError::Number(u64::MAX.to_string())));
        assert!(matches!(canonical(&json!(i64::MAX)), Err(ContentError::Form(JsonError::Number(_)))));
        let many = Value::Array(vec![Value::Null; crate::certificate::VALUES_MAX]);
        assert_eq!(canonical(&many), Err(ContentError::Form(JsonError::Many)));
        let large = json!("x".repeat(FILE_MAX));
        assert_eq!(canonical(&large), Err(ContentError::Large));
    }

    #[test]
    fn a_report_verifies_under_a_trusted_key_and_says_which_it_is() {
        let head = verify(&signed(&report()), &[KEY], check).unwrap();
        assert_eq!((head.kind.as_str(), head.path.as_str(), head.to_ms), ("shift", "works/line", 28_800_000));
        assert_eq!((head.shift.as_deref(), head.schedule.as_deref(), head.by), (Some("Früh"), Some("line"), None));
        assert_eq!(
            verify(&signed(&report()), &[], check),
            Err(Refusal::UnknownKey { key: KEY, trusted: 0 }),
            "its own key vouches for nothing"
        );
        let mut other = report();
        other["node"]["key_id"] = json!("00".repeat(32));
        assert!(matches!(verify(&signed(&other), &[KEY], check), Err(Refusal::Content(_))));
        let mut newer = report();
        newer["version"] = json!(2);
        assert_eq!(verify(&signed(&newer), &[KEY], check), Err(Refusal::Version(2)));
        let mut no_path = report();
        no_path.as_object_mut().unwrap().remove("path");
        assert!(matches!(verify(&signed(&no_path), &[KEY], check), Err(Refusal::Content(_))));
    }

    #[test]
    fn any_changed_byte_is_refused() {
        let file = signed(&report());
        let mut white = 0;
        for at in 0..file.len() {
            for bit in 0..8 {
                let mut changed = file.clone();
                changed[at] ^= 1 << bit;
                match verify(&changed, &[KEY], check) {
                    // The line feed at the end may be other white space.
                    Ok(_) => white += u32::from(at + 1 == file.len()),
                    Err(_) => continue,
                }
                assert_eq!(at + 1, file.len(), "bit {bit} of byte {at}");
            }
        }
        assert!(white <= 2);
        for end in 0..file.len() - 1 {
            assert!(verify(&file[..end], &[KEY], check).is_err(), "cut off at {end}");
        }
    }
}
