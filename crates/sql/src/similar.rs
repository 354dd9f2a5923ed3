//! `SIMILAR TO`: the patterns of the SQL standard as regular expressions, as PostgreSQL reads them (17, 9.7.2).
//!
//! `%` stands for any text and `_` for one character; `|`, `*`, `+`, `?`, `{n,m}`, parentheses and brackets are those of regular
//! expressions; a backslash, or what ESCAPE names, takes the meaning from the next character. The whole text must match.

use crate::error::SqlError;

/// The regular expression of a pattern.
/// # Errors
/// The pattern ends within a bracket or behind the escape, or asks for parts of the text, or the escape is more than a character.
pub(crate) fn regex(pattern: &str, escape: Option<&str>) -> Result<String, SqlError> {
    let escape = match escape.map(|escape| escape.chars().collect::<Vec<_>>()).as_deref() {
        None => Some('\\'),
        Some([]) => None,
        Some([one]) => Some(*one),
        Some(_) => return Err(SqlError::BadParameter("ESCAPE takes one character, or none".to_owned())),
    };
    let mut regex = String::from("(?s)^(?:");
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if Some(c) == escape => match chars.next() {
                // `a#"b#"c`, the parts that SUBSTRING takes.
                Some('"') => return Err(SqlError::Unsupported("SIMILAR TO without parts in \"…\"".to_owned())),
                Some(plain) => push_plain(&mut regex, plain),
                None => {
                    return Err(SqlError::BadParameter("the pattern of SIMILAR TO ends with its escape".to_owned()));
                }
            },
            '%' => regex.push_str(".*"),
            '_' => regex.push('.'),
            '(' => regex.push_str("(?:"),
            '[' => bracket(&mut regex, &mut chars, escape)?,
            '|' | '*' | '+' | '?' | '{' | '}' | ')' => regex.push(c),
            plain => push_plain(&mut regex, plain),
        }
    }
    regex.push_str(")$");
    Ok(regex)
}

/// What is answered where the pattern is not written out.
pub(crate) fn unknown() -> SqlError {
    SqlError::Unsupported(
        "SIMILAR TO takes a pattern that is written out, as in SIMILAR TO 'a%'; for others use LIKE, or ~ with a regular expression"
            .to_owned(),
    )
}

fn push_plain(regex: &mut String, plain: char) {
    // No others: behind a backslash `<` and `>` are the ends of a word.
    if r"\.+*?()|[]{}^$#&-~".contains(plain) {
        regex.push('\\');
    }
    regex.push(plain);
}

/// `[abc]`, `[^a-z]`, `[[:digit:]]`, behind its first character.
fn bracket(
    regex: &mut String,
    chars: &mut std::iter::Peekable<std::str::Chars<'_>>,
    escape: Option<char>,
) -> Result<(), SqlError> {
    let unclosed = || SqlError::BadParameter("a bracket in the pattern of SIMILAR TO is not closed".to_owned());
    regex.push('[');
    if let Some(not) = chars.next_if_eq(&'^') {
        regex.push(not);
    }
    let mut first = true;
    loop {
        match chars.next().ok_or_else(unclosed)? {
            c if Some(c) == escape => push_plain(regex, chars.next().ok_or_else(unclosed)?),
            ']' if !first => {
                regex.push(']');
                return Ok(());
            }
            '[' if chars.peek() == Some(&':') => {
                regex.push('[');
                // `[:digit:]` ends with its own bracket.
                loop {
                    let c = chars.next().ok_or_else(unclosed)?;
                    regex.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '-' => regex.push('-'),
            plain => push_plain(regex, plain),
        }
        first = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_the_regular_expressions_of_postgres() {
        for (pattern, wanted) in [
            ("a%", "(?s)^(?:a.*)$"),
            ("%(b|d)_", "(?s)^(?:.*(?:b|d).)$"),
            ("a.c^$", r"(?s)^(?:a\.c\^\$)$"),
            (r"a\%", r"(?s)^(?:a%)$"),
            ("[^%_a-c]{2,3}", r"(?s)^(?:[^%_a-c]{2,3})$"),
            ("<a>", "(?s)^(?:<a>)$"),
            ("[]x]+", r"(?s)^(?:[\]x]+)$"),
            ("[[:digit:]]*", "(?s)^(?:[[:digit:]]*)$"),
        ] {
            assert_eq!(regex(pattern, None).as_deref(), Ok(wanted), "{pattern}");
        }
        assert_eq!(regex("a#%", Some("#")).as_deref(), Ok(r"(?s)^(?:a%)$"));
        assert_eq!(regex(r"a\", Some("")).as_deref(), Ok(r"(?s)^(?:a\\)$"));
        assert_eq!(regex("[a", None).map_err(|why| why.code()), Err("22023"));
        assert_eq!(regex(r"a\", None).map_err(|why| why.code()), Err("22023"));
        assert_eq!(regex(r#"a\"b\"c"#, None).map_err(|why| why.code()), Err("0A000"));
    }
}
