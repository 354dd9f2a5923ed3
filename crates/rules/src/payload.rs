//! What payloads must be.

use crate::schema::{self, Schema};
use crate::{Offered, SparkplugCheck};
use andon_wire::payload::PayloadKind;
use serde_json::value::RawValue;

/// A rule for payloads.
#[derive(Debug)]
pub(crate) struct PayloadRule {
    /// What kind it must be.
    pub(crate) kind: Option<Kind>,
    /// The most bytes.
    pub(crate) max_bytes: Option<usize>,
    /// What its JSON must be like.
    pub(crate) schema: Option<Schema>,
}

/// The longest payload that is held against a schema, in bytes; a longer one breaks the rule.
pub(crate) const SCHEMA_PAYLOAD_LIMIT: usize = 256 << 10;

/// A kind of payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Any JSON text (RFC 8259).
    Json,
    /// A number in text.
    Number,
    /// UTF-8 text without control characters.
    Text,
    /// Sparkplug B.
    Sparkplug,
}

impl PayloadRule {
    /// What is asked, in words.
    pub(crate) fn wishes(&self) -> Vec<String> {
        let kind = match (&self.schema, self.kind) {
            (Some(_), _) => Some("the payload is JSON that fits the schema"),
            (None, Some(Kind::Json)) => Some("the payload is JSON"),
            (None, Some(Kind::Number)) => Some("the payload is a number"),
            (None, Some(Kind::Text)) => Some("the payload is text"),
            (None, Some(Kind::Sparkplug)) => Some("the payload is a Sparkplug B payload"),
            (None, None) => None,
        };
        let most = self.max_bytes.map(|most| format!("the payload has at most {most} bytes"));
        kind.map(str::to_owned).into_iter().chain(most).collect()
    }

    /// In words, where and how a payload breaks the rule.
    pub(crate) fn check(&self, offered: &Offered<'_>, sparkplug: SparkplugCheck) -> Result<(), String> {
        let payload = offered.payload;
        if let Some(most) = self.max_bytes.filter(|most| payload.len() > *most) {
            return Err(format!("the payload has {} bytes, and at most {most} are allowed", payload.len()));
        }
        match (&self.schema, self.kind) {
            (Some(schema), _) => fits(schema, payload),
            (None, Some(kind)) => kind.check(offered, sparkplug),
            (None, None) => Ok(()),
        }
    }
}

fn fits(schema: &Schema, payload: &[u8]) -> Result<(), String> {
    if payload.len() > SCHEMA_PAYLOAD_LIMIT {
        let most = SCHEMA_PAYLOAD_LIMIT;
        return Err(format!("the payload has {} bytes, and at most {most} are held against a schema", payload.len()));
    }
    if payload.is_empty() {
        return Err("the payload is empty, not JSON".to_owned());
    }
    let value = schema::read(payload).map_err(|error| match error.is_data() {
        true => format!("the payload: {error}"),
        false => format!("the payload is no JSON: {error}"),
    })?;
    schema.check(&value)
}

impl Kind {
    fn check(self, offered: &Offered<'_>, sparkplug: SparkplugCheck) -> Result<(), String> {
        let Offered { topic, payload, .. } = *offered;
        let is = PayloadKind::of("", payload, true);
        let fits = match self {
            Self::Json => return json(payload),
            // What a Sparkplug host application says about itself is JSON (Sparkplug 3.0.0 §6.4.27).
            Self::Sparkplug if topic.starts_with("spBv1.0/STATE/") => return json(payload),
            Self::Sparkplug => {
                return sparkplug(payload).map_err(|why| format!("the payload is no Sparkplug B payload: {why}"));
            }
            Self::Number => is == PayloadKind::Number,
            Self::Text => matches!(is, PayloadKind::Text | PayloadKind::Number | PayloadKind::Json),
        };
        let wanted = if self == Self::Number { "a number" } else { "text" };
        if fits { Ok(()) } else { Err(format!("the payload is {}, not {wanted}", article(is))) }
    }
}

fn json(payload: &[u8]) -> Result<(), String> {
    if payload.is_empty() {
        return Err("the payload is empty, not JSON".to_owned());
    }
    serde_json::from_slice::<&RawValue>(payload).map(|_| ()).map_err(|error| format!("the payload is no JSON: {error}"))
}

const fn article(kind: PayloadKind) -> &'static str {
    match kind {
        PayloadKind::Empty => "empty",
        PayloadKind::Number => "a number",
        PayloadKind::Json => "JSON",
        PayloadKind::Text => "text",
        PayloadKind::Sparkplug => "Sparkplug",
        PayloadKind::Binary => "binary",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: Kind, topic: &str, payload: &[u8]) -> Option<String> {
        let offered = Offered { topic, payload, retain: false };
        let rule = PayloadRule { kind: Some(kind), max_bytes: Some(40), schema: None };
        let sparkplug: SparkplugCheck = |bytes| if bytes == [8, 1] { Ok(()) } else { Err("cut off".to_owned()) };
        rule.check(&offered, sparkplug).err()
    }

    #[test]
    fn a_payload_is_of_its_kind_or_it_is_said_what_it_is() {
        for (kind, payload, words) in [
            (Kind::Json, &b"{\"a\":[1,2]}"[..], None),
            (Kind::Json, b"21.5", None),
            (Kind::Json, b"{\"a\":", Some("the payload is no JSON: EOF while parsing a value at line 1 column 5")),
            (Kind::Json, b"", Some("the payload is empty, not JSON")),
            (Kind::Number, b" 21.5", None),
            (Kind::Number, b"ON", Some("the payload is text, not a number")),
            (Kind::Number, b"", Some("the payload is empty, not a number")),
            (Kind::Text, b"ON", None),
            (Kind::Text, b"3", None),
            (Kind::Text, b"\xff\x00", Some("the payload is binary, not text")),
            (Kind::Sparkplug, b"\x08\x01", None),
            (Kind::Sparkplug, b"\x08", Some("the payload is no Sparkplug B payload: cut off")),
        ] {
            assert_eq!(check(kind, "spBv1.0/g/NDATA/e", payload).as_deref(), words, "{kind:?} {payload:?}");
        }
        assert_eq!(check(Kind::Sparkplug, "spBv1.0/STATE/host", b"{\"online\":true}"), None);
        let long = check(Kind::Text, "a", &[b'x'; 41]);
        assert_eq!(long.as_deref(), Some("the payload has 41 bytes, and at most 40 are allowed"));
    }

    #[test]
    fn under_a_schema_a_member_that_is_there_twice_breaks_the_rule() {
        let schema = schema::compile(&serde_json::json!({"properties": {"t": {"maximum": 90}}})).unwrap();
        let rule = PayloadRule { kind: None, max_bytes: None, schema: Some(schema) };
        let check = |payload: &str| {
            rule.check(&Offered { topic: "a", payload: payload.as_bytes(), retain: false }, |_| Ok(())).err()
        };
        assert_eq!(check(r#"{"t":1,"u":{"t":100}}"#), None);
        // Some take the first of them, most the last.
        let twice = check(r#"{"t":100,"t":1}"#);
        assert_eq!(twice.as_deref(), Some("the payload: \"t\" is there twice at line 1 column 12"));
    }
}
