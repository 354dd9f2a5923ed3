//! What a payload is, as far as its bytes tell.

use serde::de::IgnoredAny;

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PayloadKind {
    /// No bytes.
    Empty,
    /// A number in text.
    Number,
    /// A JSON object or list, or what begins as one and was cut.
    Json,
    /// Other UTF-8 text.
    Text,
    /// The Protobuf of Sparkplug B.
    Sparkplug,
    /// Other bytes.
    Binary,
}

impl PayloadKind {
    /// In one word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Empty => "empty",
            Self::Number => "number",
            Self::Json => "json",
            Self::Text => "text",
            Self::Sparkplug => "sparkplug",
            Self::Binary => "binary",
        }
    }

    /// The kind of a payload on `topic`. `whole`: nothing of it was cut off.
    #[must_use]
    pub fn of(topic: &str, payload: &[u8], whole: bool) -> Self {
        if payload.is_empty() && whole {
            return Self::Empty;
        }
        let text = match std::str::from_utf8(payload) {
            Ok(text) => text,
            // A cut may fall into a character.
            Err(error) if !whole && error.error_len().is_none() => {
                payload.get(..error.valid_up_to()).and_then(|good| std::str::from_utf8(good).ok()).unwrap_or_default()
            }
            Err(_) if topic.starts_with("spBv1.0/") => return Self::Sparkplug,
            Err(_) => return Self::Binary,
        };
        let trimmed = text.trim();
        if trimmed.starts_with(['{', '[']) {
            let holds = !whole || serde_json::from_str::<IgnoredAny>(trimmed).is_ok();
            return if holds { Self::Json } else { Self::Text };
        }
        if topic.starts_with("spBv1.0/") && !topic.contains("/STATE/") {
            return Self::Sparkplug;
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
            return Self::Binary;
        }
        let digits = trimmed.bytes().any(|b| b.is_ascii_digit());
        if whole && digits && trimmed.parse::<f64>().is_ok_and(f64::is_finite) { Self::Number } else { Self::Text }
    }
}

#[cfg(test)]
mod tests {
    use super::PayloadKind as K;

    #[test]
    fn a_payload_is_known_by_its_bytes() {
        for (topic, payload, whole, kind) in [
            ("a", &b""[..], true, K::Empty),
            ("a", b"21.5", true, K::Number),
            ("a", b" -1e3\n", true, K::Number),
            ("a", b"21.", false, K::Text),
            ("a", b"nan", true, K::Text),
            ("a", b"inf", true, K::Text),
            ("a", b"{\"a\":1}", true, K::Json),
            ("a", b"{\"a\":", true, K::Text),
            ("a", b"{\"a\":", false, K::Json),
            ("a", b"[1,2]", true, K::Json),
            ("a", b"ON", true, K::Text),
            ("a", "grün".as_bytes(), true, K::Text),
            ("a", &"grün".as_bytes()[..3], false, K::Text),
            ("a", &"grün".as_bytes()[..3], true, K::Binary),
            ("a", b"\x00\x01", true, K::Binary),
            ("a", b"\xff\xd8", true, K::Binary),
            ("spBv1.0/plant/NDATA/edge", b"\x08\xd2\x85\xd8", true, K::Sparkplug),
            ("spBv1.0/plant/NDATA/edge", b"\x08\x01\x12", true, K::Sparkplug),
            ("spBv1.0/STATE/host", b"{\"online\":true}", true, K::Json),
        ] {
            assert_eq!(K::of(topic, payload, whole), kind, "{topic} {payload:?} {whole}");
        }
    }
}
