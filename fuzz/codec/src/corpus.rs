//! Bytes that were of interest once: kept as text, one to a line, with the situation they were heard in.

use crate::Heard;
use andon_wire::mqtt::Version;

/// Bytes in hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads lines as `client 5.0 c000 # why`; empty ones and those that begin with `#` say nothing.
///
/// # Errors
/// The line that is not written so.
pub fn parse(text: &str) -> Result<Vec<(Heard, Vec<u8>)>, String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    lines.filter(|line| !line.is_empty()).map(|line| parse_line(line).ok_or_else(|| line.to_owned())).collect()
}

fn parse_line(line: &str) -> Option<(Heard, Vec<u8>)> {
    let mut words = line.split_whitespace();
    let (who, version, bytes) = (words.next()?, words.next()?, words.next()?);
    let version = [Version::V31, Version::V311, Version::V5].into_iter().find(|v| v.name() == version)?;
    let heard = match who {
        "first" => Heard::First(version),
        "client" => Heard::FromClient(version),
        "server" => Heard::FromServer(version),
        _ => return None,
    };
    let bytes = (0..bytes.len()).step_by(2).map(|at| u8::from_str_radix(bytes.get(at..at + 2)?, 16).ok());
    Some((heard, bytes.collect::<Option<_>>()?)).filter(|_| words.next().is_none())
}

/// A line as [`parse`] reads it.
#[must_use]
pub fn line(heard: Heard, bytes: &[u8]) -> String {
    let (who, version) = match heard {
        Heard::First(version) => ("first", version),
        Heard::FromClient(version) => ("client", version),
        Heard::FromServer(version) => ("server", version),
    };
    format!("{who} {} {}", version.name(), hex(bytes))
}
