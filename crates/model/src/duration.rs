//! Time spans as people write them: `500ms`, `2s`, `5min`, `1h`, `7d`.

use std::time::Duration;

/// A time span: a number, which may have decimals, and `ms`, `s`, `min` (or `m`), `h` or `d`. `None`: it is none.
///
/// ```
/// # use andon_model::duration::parse;
/// # use std::time::Duration;
/// assert_eq!(parse("1.5min"), Some(Duration::from_secs(90)));
/// assert_eq!(parse("5"), None);
/// ```
#[must_use]
pub fn parse(text: &str) -> Option<Duration> {
    let text = text.trim();
    let split = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = text.split_at_checked(split)?;
    let seconds = match unit.trim() {
        "ms" => 0.001,
        "s" => 1.0,
        "min" | "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return None,
    };
    let number: f64 = number.parse().ok()?;
    Duration::try_from_secs_f64(number * seconds).ok()
}

/// A time span in the shortest of the spellings that [`parse`] reads, with whole numbers; what is shorter than a millisecond
/// is dropped.
#[must_use]
pub fn show(span: Duration) -> String {
    let ms = span.as_millis();
    match ms {
        0 => "0s".to_owned(),
        _ if ms.is_multiple_of(3_600_000) => format!("{}h", ms / 3_600_000),
        _ if ms.is_multiple_of(60_000) => format!("{}min", ms / 60_000),
        _ if ms.is_multiple_of(1000) => format!("{}s", ms / 1000),
        _ => format!("{ms}ms"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_shows_time_spans() {
        for (text, ms) in
            [("500ms", 500), ("1s", 1000), ("2min", 120_000), ("1h", 3_600_000), ("1500ms", 1500), ("24h", 86_400_000)]
        {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)));
            assert_eq!(show(Duration::from_millis(ms)), text);
        }
        for (text, ms) in [("0.5s", 500), ("5m", 300_000), ("1d", 86_400_000), (" 2 s ", 2000)] {
            assert_eq!(parse(text), Some(Duration::from_millis(ms)));
        }
        for bad in ["", "5", "s", "5 days", "-1s", "1.2.3s", "1e400s"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
