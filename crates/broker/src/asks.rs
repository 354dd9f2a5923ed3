//! What a subscriber may ask for beyond MQTT: user properties of SUBSCRIBE that begin with `andon-`.
//!
//! They hold for every filter of the packet. What is not understood is refused, never passed over: a subscriber that
//! asked for something and was told "yes" gets it.

use andon_wire::mqtt::UserProperties;

/// What names of ours begin with, in what is asked and in what is told.
pub(crate) const PREFIX: &str = "andon-";

/// What a subscription asks for, for as long as it is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Ask {
    /// Tell with each message when it was received and who published it.
    pub origin: bool,
}

impl Ask {
    /// Whether anything at all is asked for.
    pub(crate) fn is_any(self) -> bool {
        self != Self::default()
    }

    /// What `self` and `other` ask for one delivery that serves both.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self { origin: self.origin || other.origin }
    }

    /// What is told beside a message for this.
    pub(crate) fn extra(self) -> Extra {
        Extra { asked: self.is_any(), origin: self.origin }
    }
}

/// What a subscriber is told beside a message, because it asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Extra {
    /// It asked for anything: properties of the publisher's that look like ours are left out, for it takes them for ours.
    pub(crate) asked: bool,
    pub(crate) origin: bool,
}

impl Extra {
    /// In a byte; 0: nothing. Part of the format.
    pub(crate) const fn bits(self) -> u8 {
        self.asked as u8 | (self.origin as u8) << 1
    }

    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self { asked: bits & 1 != 0, origin: bits & 2 != 0 }
    }
}

/// Why what was asked for is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AskError {
    #[error("\"{0}\" is not known; known are andon-origin")]
    Unknown(String),
    #[error("\"{0}\" stands there twice")]
    Twice(String),
    #[error("\"{name}\" must be {wanted}, not \"{value}\"")]
    Value { name: &'static str, wanted: &'static str, value: String },
}

/// The most of a client's words that a reason repeats, in bytes.
const REPEATED: usize = 64;

fn repeated(text: &str) -> String {
    text.get(..text.floor_char_boundary(REPEATED)).unwrap_or_default().to_owned()
}

/// Reads what the user properties of a SUBSCRIBE ask for.
pub(crate) fn parse(user: &UserProperties) -> Result<Ask, AskError> {
    let mut ask = Ask::default();
    let ours = || user.iter().map(|(n, v)| (n.as_str(), v.as_str())).filter(|(n, _)| n.starts_with(PREFIX));
    for (at, (name, value)) in ours().enumerate() {
        if ours().take(at).any(|(earlier, _)| earlier == name) {
            return Err(AskError::Twice(repeated(name)));
        }
        match name {
            "andon-origin" => ask.origin = yes_or_no("andon-origin", value)?,
            _ => return Err(AskError::Unknown(repeated(name))),
        }
    }
    Ok(ask)
}

fn yes_or_no(name: &'static str, value: &str) -> Result<bool, AskError> {
    match value {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(AskError::Value { name, wanted: "yes or no", value: repeated(value) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::Text;

    fn asked(pairs: &[(&str, &str)]) -> Result<Ask, String> {
        let text = |s: &str| Text::parse(s).unwrap();
        let user = pairs.iter().map(|(n, v)| (text(n), text(v))).collect();
        parse(&user).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_ours_asks_for_nothing() {
        assert_eq!(asked(&[("origin", "yes"), ("Andon-Origin", "maybe"), ("x", "")]), Ok(Ask::default()));
    }

    #[test]
    fn origin_is_asked_for_with_yes() {
        assert_eq!(asked(&[("andon-origin", "yes")]), Ok(Ask { origin: true }));
        assert_eq!(asked(&[("andon-origin", "no")]), Ok(Ask::default()));
    }

    #[test]
    fn what_is_not_understood_is_refused_with_what_is() {
        let error = |pairs: &[(&str, &str)]| asked(pairs).unwrap_err();
        assert_eq!(error(&[("andon-orign", "yes")]), "\"andon-orign\" is not known; known are andon-origin");
        assert_eq!(error(&[("andon-origin", "true")]), "\"andon-origin\" must be yes or no, not \"true\"");
        assert_eq!(error(&[("andon-origin", "no"), ("andon-origin", "yes")]), "\"andon-origin\" stands there twice");
        let long = format!("andon-{}ü", "x".repeat(1000));
        assert!(error(&[(&long, "")]).len() < 150, "no more is repeated than a reason has room for");
    }
}
