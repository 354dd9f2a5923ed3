//! UTF-8 strings as MQTT carries them, kept as slices of the packet they came in.

use bytes::Bytes;
use std::fmt;

/// A UTF-8 string of at most 65 535 bytes without NUL. MQTT 5.0 §1.5.4 [MQTT-1.5.4-1], [MQTT-1.5.4-2].
///
/// A slice of the packet it was read from, so that cloning it is cheap. [`Text::compact`] lets go of that packet.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Text(Bytes);

/// Why bytes are not an MQTT string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Longer than the two length bytes can say.
    #[error("a string of {0} bytes is over MQTT's limit of 65535")]
    TooLong(usize),
    /// Not well-formed UTF-8 (a surrogate half counts as that).
    #[error("not well-formed UTF-8")]
    NotUtf8,
    /// Holds U+0000.
    #[error("a string must not hold the character U+0000")]
    Nul,
    /// Holds a control character or a non-character where names are kept free of them.
    #[error("a name must not hold the control character or non-character U+{0:04X}")]
    Control(u32),
}

impl Text {
    /// Checks a string.
    /// # Errors
    /// [`TextError::TooLong`], [`TextError::Nul`].
    pub fn parse(text: &str) -> Result<Self, TextError> {
        check(text)?;
        Ok(Self(Bytes::copy_from_slice(text.as_bytes())))
    }

    /// Checks bytes that came in a packet; nothing is copied.
    /// # Errors
    /// [`TextError`].
    pub fn from_bytes(bytes: Bytes) -> Result<Self, TextError> {
        check(std::str::from_utf8(&bytes).map_err(|_| TextError::NotUtf8)?)?;
        Ok(Self(bytes))
    }

    /// The string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Checked when made; without unsafe code the proof is looked at again, at about a byte per clock.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// True when there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The same string in memory of its own, for keeping it longer than the packet.
    #[must_use]
    pub fn compact(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// Refuses what has no place in a name: control characters (U+0001–U+001F, U+007F–U+009F) and non-characters.
    /// MQTT 5.0 §1.5.4 leaves this to the receiver; in names they are never meant well.
    /// # Errors
    /// [`TextError::Control`].
    pub fn check_name(&self) -> Result<(), TextError> {
        check_name(self.as_str())
    }
}

fn check(text: &str) -> Result<(), TextError> {
    if text.len() > usize::from(u16::MAX) {
        return Err(TextError::TooLong(text.len()));
    }
    if text.as_bytes().contains(&0) {
        return Err(TextError::Nul);
    }
    Ok(())
}

pub(super) fn check_name(text: &str) -> Result<(), TextError> {
    if text.bytes().all(|b| (0x20..0x7f).contains(&b)) {
        return Ok(());
    }
    let unwanted = |c: &char| {
        let code = u32::from(*c);
        c.is_control() || (0xFDD0..=0xFDEF).contains(&code) || code & 0xFFFE == 0xFFFE
    };
    match text.chars().find(unwanted) {
        Some('\0') => Err(TextError::Nul),
        Some(c) => Err(TextError::Control(u32::from(c))),
        None => Ok(()),
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl PartialEq<str> for Text {
    fn eq(&self, other: &str) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}
