//! Names of others, made harmless.

use andon_model::text::check_line;

/// A line that people can read: no hidden characters, at most so many characters.
pub(crate) fn line(text: &str, most: usize) -> String {
    let mut buffer = [0; 4];
    let plain = text.chars().filter(|c| check_line(c.encode_utf8(&mut buffer)).is_ok());
    let mut line = String::new();
    for c in plain.take(most) {
        let space = c.is_whitespace();
        if !(space && (line.is_empty() || line.ends_with(' '))) {
            line.push(if space { ' ' } else { c });
        }
    }
    line.truncate(line.trim_end().len());
    line
}

/// A level of a path: small letters and digits of ASCII, `_` for everything else; at most 48 bytes; `value` if nothing is left.
pub(crate) fn level(text: &str) -> String {
    let mut level = String::new();
    for c in text.chars() {
        let more = match c {
            'ä' | 'Ä' => "ae",
            'ö' | 'Ö' => "oe",
            'ü' | 'Ü' => "ue",
            'ß' => "ss",
            c if c.is_ascii_alphanumeric() => {
                level.push(c.to_ascii_lowercase());
                ""
            }
            _ if level.is_empty() || level.ends_with('_') => "",
            _ => "_",
        };
        level.push_str(more);
        if level.len() >= 48 {
            break;
        }
    }
    level.truncate(level.trim_end_matches('_').len().min(48));
    if level.is_empty() { "value".to_owned() } else { level }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_lines_and_levels() {
        assert_eq!(line(" Küche\u{202e}\n  oben ", 80), "Küche oben");
        assert_eq!(line(&"x".repeat(100), 10), "xxxxxxxxxx");
        assert_eq!(level("Wohnzimmer: Größe (Öl)"), "wohnzimmer_groesse_oel");
        assert_eq!(level("0x00158d0001"), "0x00158d0001");
        assert_eq!(level("温度"), "value");
        assert_eq!(level("/../"), "value");
    }
}
