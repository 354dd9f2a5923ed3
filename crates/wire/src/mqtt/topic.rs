//! Topic names and topic filters, checked once.

use super::text::{Text, TextError, check_name};
use bytes::Bytes;
use std::fmt;

/// A name a client may publish to: 1 to 65 535 bytes of UTF-8 without `+`, `#`, NUL or control characters.
/// MQTT 5.0 [MQTT-3.3.2-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3]; MQTT 3.1.1 [MQTT-3.3.2-2],
/// [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.7.3-3].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicName(Text);

/// Why a text is no topic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// Empty.
    #[error("a topic name must not be empty")]
    Empty,
    /// Holds `+` or `#`.
    #[error("a topic name must not hold the wildcards + and #; those are for topic filters")]
    Wildcard,
    /// Not a usable string.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl TopicName {
    /// Checks a topic name.
    /// # Errors
    /// [`TopicNameError`].
    pub fn parse(text: &str) -> Result<Self, TopicNameError> {
        Self::from_text(Text::parse(text)?)
    }

    /// Checks a string that came in a packet; nothing is copied.
    /// # Errors
    /// [`TopicNameError`].
    pub fn from_text(text: Text) -> Result<Self, TopicNameError> {
        if text.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if text.as_bytes().iter().any(|b| matches!(b, b'+' | b'#')) {
            return Err(TopicNameError::Wildcard);
        }
        text.check_name()?;
        Ok(Self(text))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// How many levels it has: one more than it has `/`.
    #[must_use]
    pub fn levels(&self) -> usize {
        levels(self.as_bytes())
    }

    /// True for names that begin with `$`, which belong to the server. MQTT 5.0 §4.7.2.
    #[must_use]
    pub fn is_server_owned(&self) -> bool {
        self.as_bytes().first() == Some(&b'$')
    }

    /// The same name in memory of its own, for keeping it longer than the packet.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(self.0.compact())
    }
}

/// What a client subscribes with: levels, `+` for one level, `#` at the end for the rest, or `$share/<group>/<filter>`.
/// MQTT 5.0 [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2], [MQTT-4.8.2-1], [MQTT-4.8.2-2];
/// MQTT 3.1.1 [MQTT-4.7.1-2], [MQTT-4.7.1-3].
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicFilter {
    text: Text,
    /// Where the filter proper begins: behind `$share/<group>/`, else 0.
    start: usize,
}

/// Why a text is no topic filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicFilterError {
    /// Empty, or nothing behind `$share/<group>/`.
    #[error("a topic filter must not be empty")]
    Empty,
    /// `+` or `#` beside other characters in a level.
    #[error("the wildcards + and # must stand alone between two slashes")]
    WildcardInLevel,
    /// `#` before the end.
    #[error("the wildcard # must be the last level")]
    HashNotLast,
    /// `$share/` without a usable group name.
    #[error("a shared subscription is written $share/<group>/<filter>, the group without + and #")]
    ShareName,
    /// Not a usable string.
    #[error(transparent)]
    Text(#[from] TextError),
}

const SHARE: &str = "$share/";

impl TopicFilter {
    /// Checks a topic filter.
    /// # Errors
    /// [`TopicFilterError`].
    pub fn parse(text: &str) -> Result<Self, TopicFilterError> {
        Self::from_text(Text::parse(text)?)
    }

    /// Checks a string that came in a packet; nothing is copied.
    /// # Errors
    /// [`TopicFilterError`].
    pub fn from_text(text: Text) -> Result<Self, TopicFilterError> {
        let whole = text.as_str();
        let start = match whole.strip_prefix(SHARE) {
            Some(rest) => {
                let (group, _) = rest.split_once('/').ok_or(TopicFilterError::ShareName)?;
                if group.is_empty() || group.contains(['+', '#']) {
                    return Err(TopicFilterError::ShareName);
                }
                SHARE.len() + group.len() + 1
            }
            None if whole == "$share" => return Err(TopicFilterError::ShareName),
            None => 0,
        };
        check_filter(whole.get(start..).unwrap_or_default())?;
        check_name(whole)?;
        Ok(Self { text, start })
    }

    /// The whole text as the client wrote it, `$share/…` included.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The group of a shared subscription.
    #[must_use]
    pub fn share_group(&self) -> Option<&str> {
        self.as_str().get(SHARE.len()..self.start.checked_sub(1)?)
    }

    /// The filter proper: what topics are compared with.
    #[must_use]
    pub fn pattern(&self) -> &str {
        self.as_str().get(self.start..).unwrap_or_default()
    }

    /// How many levels the filter proper has.
    #[must_use]
    pub fn levels(&self) -> usize {
        levels(self.pattern().as_bytes())
    }

    /// True if it holds `+` or `#`.
    #[must_use]
    pub fn has_wildcard(&self) -> bool {
        self.pattern().bytes().any(|b| matches!(b, b'+' | b'#'))
    }

    /// Whether a topic name falls under this filter. A filter that begins with a wildcard does not see names that
    /// begin with `$`; `a/#` sees `a` too. MQTT 5.0 §4.7.1, [MQTT-4.7.2-1]; MQTT 3.1.1 the same.
    #[must_use]
    pub fn matches(&self, topic: &str) -> bool {
        let pattern = self.pattern();
        if topic.starts_with('$') && pattern.starts_with(['+', '#']) {
            return false;
        }
        let mut names = topic.split('/');
        for level in pattern.split('/') {
            match (level, names.next()) {
                ("#", _) => return true,
                ("+", Some(_)) => {}
                (level, Some(name)) if level == name => {}
                _ => return false,
            }
        }
        names.next().is_none()
    }

    /// Whether some topic name falls under both filters, whatever their share groups.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (one, other) = (self.pattern(), other.pattern());
        // A wildcard at the begin does not see names that begin with `$`.
        if one.starts_with('$') != other.starts_with('$') {
            return false;
        }
        // Only the empty name would be, which is none. MQTT 5.0 [MQTT-4.7.3-1].
        if matches!((one, other), ("+", "/#") | ("/#", "+")) {
            return false;
        }
        let (mut one, mut other) = (one.split('/'), other.split('/'));
        loop {
            match (one.next(), other.next()) {
                (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
                (Some(a), Some(b)) if a == b || a == "+" || b == "+" => {}
                _ => return false,
            }
        }
    }

    /// The same filter in memory of its own, for keeping it longer than the packet.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self { text: self.text.compact(), start: self.start }
    }
}

fn check_filter(pattern: &str) -> Result<(), TopicFilterError> {
    if pattern.is_empty() {
        return Err(TopicFilterError::Empty);
    }
    let mut levels = pattern.split('/').peekable();
    while let Some(level) = levels.next() {
        if level == "#" && levels.peek().is_some() {
            return Err(TopicFilterError::HashNotLast);
        }
        if level.len() > 1 && level.contains(['+', '#']) {
            return Err(TopicFilterError::WildcardInLevel);
        }
    }
    Ok(())
}

fn levels(text: &[u8]) -> usize {
    text.iter().filter(|b| **b == b'/').count() + 1
}

macro_rules! shows_its_text {
    ($($name:ident)*) => {$(
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { fmt::Debug::fmt(self.as_str(), f) }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(self.as_str()) }
        }
    )*};
}
shows_its_text!(TopicName TopicFilter);

impl From<TopicName> for Text {
    fn from(name: TopicName) -> Self {
        name.0
    }
}

impl TryFrom<Bytes> for TopicName {
    type Error = TopicNameError;
    fn try_from(bytes: Bytes) -> Result<Self, TopicNameError> {
        Self::from_text(Text::from_bytes(bytes)?)
    }
}
