//! What a caller may ask for: a question that cannot be meant is refused with a word, never bent into another one.

use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::text::check_lines;
use std::ops::RangeInclusive;

/// The start of a range lies before its end.
/// # Errors
/// 400.
pub(crate) fn in_order(from_ms: Option<i64>, to_ms: Option<i64>) -> Result<(), Problem> {
    match (from_ms, to_ms) {
        (Some(from), Some(to)) if from >= to => {
            Err(Problem::bad_request(format!("\"from_ms\" ({from}) must be before \"to_ms\" ({to})")))
        }
        _ => Ok(()),
    }
}

/// A time that a date can tell.
/// # Errors
/// 400.
pub(crate) fn time(name: &str, ms: i64) -> Result<Timestamp, Problem> {
    let time = Timestamp::from_millis(ms);
    if ms >= 0 && time.has_date() {
        return Ok(time);
    }
    Err(Problem::bad_request(format!("\"{name}\" must be a time from 1970 on, in milliseconds since 1970")))
}

/// A number that a caller may choose within bounds.
/// # Errors
/// 400 with the bounds.
pub(crate) fn within<N>(name: &str, given: Option<N>, default: N, bounds: RangeInclusive<N>) -> Result<N, Problem>
where
    N: PartialOrd + std::fmt::Display + Copy,
{
    match given {
        Some(number) if !bounds.contains(&number) => Err(Problem::bad_request(format!(
            "\"{name}\" is {number}, and must be from {} to {}",
            bounds.start(),
            bounds.end()
        ))),
        Some(number) => Ok(number),
        None => Ok(default),
    }
}

/// Words out of a known list, separated by commas; none stands for all.
/// # Errors
/// 400 with the known words.
pub(crate) fn words(name: &str, given: Option<&str>, known: &[&str]) -> Result<Vec<String>, Problem> {
    let mut words = Vec::new();
    for word in given.unwrap_or_default().split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if !known.contains(&word) {
            let shown: String = word.chars().take(40).collect();
            return Err(Problem::bad_request(format!("{shown:?} is not known as \"{name}\""))
                .remedy(&format!("known are: {}", known.join(", "))));
        }
        if !words.iter().any(|taken| taken == word) {
            words.push(word.to_owned());
        }
    }
    Ok(words)
}

/// A hash of the audit trail: 64 hex digits.
/// # Errors
/// 400.
pub(crate) fn hash(name: &str, given: Option<&str>) -> Result<(), Problem> {
    match given.map(str::trim) {
        Some(text) if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) => Err(Problem::bad_request(
            format!("\"{name}\" is not a hash of 64 hex digits, as an earlier check printed it"),
        )),
        _ => Ok(()),
    }
}

/// A text of several lines that people wrote to explain something.
/// # Errors
/// 400 when it is too long or holds what cannot be seen.
pub(crate) fn reason(name: &str, given: Option<&str>) -> Result<(), Problem> {
    const MOST: usize = 1000;
    match given {
        Some(text) if text.len() > MOST => Err(Problem::bad_request(format!("\"{name}\" is longer than {MOST} bytes"))),
        Some(text) => check_lines(text).map_err(|hidden| Problem::bad_request(format!("in \"{name}\", {hidden}"))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_can() {
        let detail = |problem: Problem| (problem.status, problem.detail.unwrap_or_default());
        let (status, text) = detail(within("limit", Some(0_u32), 100, 1..=1000).expect_err("0"));
        assert_eq!((status, text.as_str()), (400, "\"limit\" is 0, and must be from 1 to 1000"));
        assert_eq!(within("limit", None, 100_u32, 1..=1000).map_err(detail), Ok(100));
        assert!(in_order(Some(5), Some(5)).is_err() && in_order(Some(i64::MAX), Some(i64::MIN)).is_err());
        assert!(in_order(Some(4), Some(5)).is_ok() && in_order(Some(5), None).is_ok());
        assert_eq!(words("kind", Some("b, a,,b"), &["a", "b"]).map_err(detail), Ok(vec!["b".into(), "a".into()]));
        let problem = words("kind", Some("a,\u{202e}x"), &["a", "b"]).expect_err("unknown");
        assert_eq!(problem.remedy.as_deref(), Some("known are: a, b"));
        assert!(problem.detail.is_some_and(|d| d.contains("\\u{202e}x")), "shown harmlessly");
        assert!(reason("note", Some("two\nlines")).is_ok() && reason("note", Some(&"x".repeat(1001))).is_err());
        let (_, text) = detail(reason("note", Some("a\u{202e}")).expect_err("turned"));
        assert_eq!(text, "in \"note\", character 2 is U+202E, a mark that turns the direction of writing");
        assert!(hash("against", Some("abc")).is_err() && hash("against", Some(&"0".repeat(64))).is_ok());
    }
}
