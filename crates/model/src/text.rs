//! Texts that people read: what you see is what is there.
//!
//! A name with a right-to-left override, a zero-width space or a line break looks like another one, or makes one line of
//! the audit trail look like two. Such characters are refused where a text comes in, with their place and code point.

use std::borrow::Cow;
use std::fmt::Write;

/// A character that cannot stand in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("character {at} is U+{:04X}, {what}", u32::from(*.character))]
pub struct Hidden {
    /// Its place, from 1, in characters.
    pub at: usize,
    /// The character.
    pub character: char,
    /// What it is, in a few words.
    pub what: &'static str,
}

/// Checks a text of one line: a name, a title, a message.
/// # Errors
/// [`Hidden`]: the first character that cannot be seen or that changes how others are seen.
pub fn check_line(text: &str) -> Result<(), Hidden> {
    check(text, false)
}

/// Checks a text of several lines: a description, a reason. Line feeds and tabs may stand in it.
/// # Errors
/// As [`check_line`].
pub fn check_lines(text: &str) -> Result<(), Hidden> {
    check(text, true)
}

/// Whether it is an address with a password in it, `scheme://user:password@host`: no document takes one.
#[must_use]
pub fn password_in_url(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

/// A number of things in words: `1 file`, `2 files`.
#[must_use]
pub fn counted(number: impl Into<u64>, one: &str, more: &str) -> String {
    match number.into() {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    }
}

fn check(text: &str, lines: bool) -> Result<(), Hidden> {
    let hidden = |(at, character): (usize, char)| {
        let what = hidden(character).filter(|_| !(lines && matches!(character, '\n' | '\t')))?;
        Some(Hidden { at: at + 1, character, what })
    };
    text.chars().enumerate().find_map(hidden).map_or(Ok(()), Err)
}

/// The text with everything written out that [`check_line`] refuses, for messages about it.
#[must_use]
pub fn shown(text: &str) -> Cow<'_, str> {
    if check_lines(text).is_ok() {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match hidden(character).filter(|_| !matches!(character, '\n' | '\t')) {
            Some(_) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(character));
            }
            None => out.push(character),
        }
    }
    Cow::Owned(out)
}

/// What a character is that people cannot see, or that changes how they see others. Unicode 17, categories Cc, Cf, Zl, Zp,
/// noncharacters and the letters that are drawn as nothing.
const fn hidden(character: char) -> Option<&'static str> {
    Some(match character {
        '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => "a line break",
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => "a control character",
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            "a mark that turns the direction of writing"
        }
        '\u{feff}' => "a byte order mark",
        '\u{ad}'
        | '\u{34f}'
        | '\u{115f}'
        | '\u{1160}'
        | '\u{17b4}'
        | '\u{17b5}'
        | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200d}'
        | '\u{2060}'..='\u{2065}'
        | '\u{206a}'..='\u{206f}'
        | '\u{2800}'
        | '\u{3164}'
        | '\u{ffa0}'
        | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}'
        | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}' => "a character that cannot be seen",
        '\u{fdd0}'..='\u{fdef}' => "no character",
        other if (other as u32) & 0xfffe == 0xfffe => "no character",
        _ => return None,
    })
}

/// A cell of a table in CSV, by RFC 4180. One that a spreadsheet would compute is told from a formula by a quotation mark before it.
#[must_use]
pub fn csv_cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '@', '\t']) || (text.starts_with('-') && text.parse::<f64>().is_err());
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains([',', '"', '\r', '\n', ';']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_refused_with_its_place_and_code_point() {
        for (text, said) in [
            ("Tank\u{202e}7", "character 5 is U+202E, a mark that turns the direction of writing"),
            ("\u{feff}Tank", "character 1 is U+FEFF, a byte order mark"),
            ("Kü\u{200b}che", "character 3 is U+200B, a character that cannot be seen"),
            ("a\nb", "character 2 is U+000A, a line break"),
            ("a\u{7}", "character 2 is U+0007, a control character"),
            ("a\u{9b}", "character 2 is U+009B, a control character"),
            ("\u{3164}", "character 1 is U+3164, a character that cannot be seen"),
            ("\u{e0041}", "character 1 is U+E0041, a character that cannot be seen"),
            ("\u{10ffff}", "character 1 is U+10FFFF, no character"),
        ] {
            assert_eq!(check_line(text).map_err(|e| e.to_string()), Err(said.to_owned()));
        }
        for refused in ('\u{202a}'..='\u{202e}').chain('\u{2066}'..='\u{2069}').chain('\u{200b}'..='\u{200f}') {
            assert!(check_line(&format!("a{refused}b")).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn what_people_write_is_taken() {
        for text in ["", "Küche 3 – Lampe", "Насос №2", "ポンプ 1", "مضخة", "पंप १", "ปั๊ม", "☀️ 23 °C · ½ µm", "e\u{301}"]
        {
            assert_eq!(check_line(text), Ok(()), "{text}");
        }
        assert_eq!(check_lines("first\n\tsecond"), Ok(()));
        assert!(check_lines("first\r\nsecond").is_err());
    }

    #[test]
    fn a_message_about_a_text_shows_what_was_hidden() {
        assert_eq!(shown("a\u{202e}b\nc"), "a\\u{202e}b\nc");
        assert_eq!(shown("Küche"), "Küche");
    }

    #[test]
    fn one_is_one_and_no_other_number() {
        let files = |number: u64| counted(number, "file", "files");
        assert_eq!([files(0), files(1), files(2)], ["0 files", "1 file", "2 files"]);
    }

    #[test]
    fn a_cell_is_no_formula_and_breaks_no_row() {
        for (text, cell) in [
            ("V-7", "V-7"),
            ("a,b", "\"a,b\""),
            ("say \"x\"", "\"say \"\"x\"\"\""),
            ("=1+1", "'=1+1"),
            ("@x", "'@x"),
            ("-cmd", "'-cmd"),
            ("-3.5", "-3.5"),
            ("", ""),
        ] {
            assert_eq!(csv_cell(text), cell);
        }
    }
}
