//! Numbers as Python reads, writes and reckons with them.

/// A text as a number.
pub(super) enum Read {
    Int(i64),
    Float(f64),
    /// It is none.
    No,
    /// Python might take it for one, and we do not know for which.
    Unsure,
}

/// As `int(text)` and `float(text)` read it: blanks around it do not count.
pub(super) fn read(text: &str) -> Read {
    let text = strip(text);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() {
        return Read::No;
    }
    if digits.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_or(Read::Unsure, Read::Int);
    }
    let plain = digits.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'-' | b'+'));
    if plain {
        return match text.parse::<f64>() {
            Ok(number) if number.is_finite() => Read::Float(number),
            Ok(_) => Read::Unsure,
            Err(_) => Read::No,
        };
    }
    // Underscores between digits, digits of other scripts, `inf` and `nan` are numbers to Python.
    let word = digits.to_ascii_lowercase();
    let letters = word.chars().any(|c| c.is_alphabetic() && c != 'e');
    let strange = if letters {
        ["inf", "infinity", "nan"].contains(&word.as_str())
    } else {
        digits.contains('_') || !digits.is_ascii()
    };
    if strange { Read::Unsure } else { Read::No }
}

/// As `str.strip()` does.
pub(super) fn strip(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || ('\u{1c}'..='\u{1f}').contains(&c))
}

/// As `repr(float)` writes it: the shortest digits that read back, with an exponent below 1e-4 and from 1e16.
pub(super) fn show(number: f64) -> String {
    let scientific = format!("{number:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number == 0.0 || (-4..16).contains(&exponent) {
        let plain = format!("{number}");
        return if plain.contains('.') { plain } else { format!("{plain}.0") };
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

/// As `round(number, digits)` does: to the nearest decimal, of two equally near ones to the even.
pub(super) fn round(number: f64, digits: u8) -> f64 {
    format!("{number:.*}", usize::from(digits)).parse().unwrap_or(number)
}

/// `a // b` and `a % b` of floats; `b` is not 0.
pub(super) fn floor_divide(a: f64, b: f64) -> (f64, f64) {
    let mut remainder = a % b;
    let mut quotient = (a - remainder) / b;
    if remainder == 0.0 {
        remainder = 0.0_f64.copysign(b);
    } else if (b < 0.0) != (remainder < 0.0) {
        remainder += b;
        quotient -= 1.0;
    }
    if quotient == 0.0 {
        return (0.0_f64.copysign(a / b), remainder);
    }
    let floor = quotient.floor();
    (if quotient - floor > 0.5 { floor + 1.0 } else { floor }, remainder)
}
