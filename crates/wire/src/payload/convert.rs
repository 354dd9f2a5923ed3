//! Values and times: from what a device writes to what a tag holds, and back.

use andon_model::{DataType, Timestamp, Value};
use serde_json::{Number, Value as Json};
use std::time::Duration;

/// Longer texts are refused, in bytes.
pub const MAX_TEXT: usize = 4096;

/// How a field's raw value becomes the tag's value: words for states first, then `raw × scale + offset`.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Convert {
    /// What stands for true and for false.
    pub(super) on: Option<Json>,
    pub(super) off: Option<Json>,
    /// Words that stand for numbers.
    pub(super) words: Vec<(String, f64)>,
    pub(super) scale: f64,
    pub(super) offset: f64,
    /// The device takes whole numbers only.
    pub(super) whole: bool,
}

impl Default for Convert {
    fn default() -> Self {
        Self { on: None, off: None, words: Vec::new(), scale: 1.0, offset: 0.0, whole: false }
    }
}

impl Convert {
    fn is_linear(&self) -> bool {
        self.scale != 1.0 || self.offset != 0.0
    }

    /// The value as `wanted`. JSON null is [`Value::Null`]: the device itself does not know.
    /// # Errors
    /// In words, why it does not fit.
    pub(super) fn read(&self, raw: &Json, wanted: DataType) -> Result<Value, String> {
        if raw.is_null() {
            return Ok(Value::Null);
        }
        if let Some(state) = self.state(raw)? {
            return fit(&state, raw, wanted);
        }
        let value = match raw {
            Json::Bool(b) => Value::Boolean(*b),
            Json::Number(number) => self.linear(number_of(number), wanted),
            Json::String(text) => self.text(text, wanted)?,
            Json::Array(_) | Json::Object(_) | Json::Null => {
                return Err(format!(
                    "{} is not a single value; the path must lead to a number, a text or true/false",
                    show(raw)
                ));
            }
        };
        fit(&value, raw, wanted)
    }

    /// What the state words say; `None` when none are set.
    fn state(&self, raw: &Json) -> Result<Option<Value>, String> {
        if self.on.is_some() || self.off.is_some() {
            let is = |word: &Option<Json>| word.as_ref().is_some_and(|word| same_word(word, raw));
            return match (is(&self.on), is(&self.off)) {
                (true, _) => Ok(Some(Value::Boolean(true))),
                (_, true) => Ok(Some(Value::Boolean(false))),
                // With one word given, everything else is the other.
                _ if self.on.is_none() || self.off.is_none() => Ok(Some(Value::Boolean(self.on.is_none()))),
                _ => Err(format!("{} is neither {} nor {}", show(raw), word(&self.on), word(&self.off))),
            };
        }
        if self.words.is_empty() {
            return Ok(None);
        }
        if let Some((_, number)) = raw.as_str().and_then(|text| self.words.iter().find(|(word, _)| word == text)) {
            return Ok(Some(Value::Double(*number)));
        }
        if raw.is_number() {
            return Ok(None);
        }
        let known: Vec<&str> = self.words.iter().map(|(word, _)| &**word).take(8).collect();
        Err(format!("{} is none of the words {}", show(raw), known.join(", ")))
    }

    fn text(&self, text: &str, wanted: DataType) -> Result<Value, String> {
        if wanted == DataType::String {
            return if text.len() <= MAX_TEXT {
                Ok(Value::String(text.into()))
            } else {
                Err(format!("a text of {} bytes; at most {MAX_TEXT} are kept", text.len()))
            };
        }
        let trimmed = text.trim();
        if wanted == DataType::Boolean
            && let Some(state) = boolean_word(trimmed)
        {
            return Ok(Value::Boolean(state));
        }
        match number_word(trimmed) {
            Some(number) => Ok(self.linear(number, wanted)),
            None => Err(format!("{} is no {}", show(&Json::String(text.to_owned())), wanted.name())),
        }
    }

    fn linear(&self, number: Value, wanted: DataType) -> Value {
        if !self.is_linear() {
            return number;
        }
        let raw = number.as_f64().unwrap_or(f64::NAN);
        // 3 / 10 is 0.3 where 3 × 0.1 is 0.30000000000000004.
        let divisor = (1.0 / self.scale).round();
        let by_division = self.scale.abs() < 1.0 && (1.0 / self.scale - divisor).abs() < 1e-9 * divisor.abs();
        let scaled = if by_division { raw / divisor } else { raw * self.scale } + self.offset;
        let near = scaled.round();
        // A scaled count of a whole-number tag is whole but for the last bits.
        let whole = wanted == DataType::Int64 && (scaled - near).abs() <= 1e-9 * scaled.abs().max(1.0);
        Value::Double(if whole { near } else { scaled })
    }

    /// The tag's value as the device writes it, for a command.
    pub(super) fn write(&self, value: &Value) -> Json {
        if let Value::Boolean(state) = value {
            let word = if *state { &self.on } else { &self.off };
            return word.clone().unwrap_or(Json::Bool(*state));
        }
        let raw = value.as_f64().map(|number| (number - self.offset) / self.scale);
        if let Some((word, _)) = raw.and_then(|raw| self.words.iter().find(|(_, number)| *number == raw)) {
            return Json::String(word.clone());
        }
        match (value, raw) {
            (Value::Int64(whole), Some(_)) if !self.is_linear() => Json::from(*whole),
            (_, Some(raw)) => number_json(if self.whole { raw.round() } else { raw }),
            (Value::String(text), None) => Json::String(text.to_string()),
            _ => Json::Null,
        }
    }
}

fn fit(value: &Value, raw: &Json, wanted: DataType) -> Result<Value, String> {
    if let Value::Double(number) = value
        && !number.is_finite()
    {
        return Err(format!("{} is not a finite number", show(raw)));
    }
    value.coerce(wanted).ok_or_else(|| format!("{} does not fit the tag's type {}", show(raw), wanted.name()))
}

/// A state word matches without regard to the case of ASCII letters, and `"true"` is `true`.
fn same_word(word: &Json, raw: &Json) -> bool {
    let text = |json: &Json| match json {
        Json::String(text) => text.trim().to_owned(),
        other => other.to_string(),
    };
    word == raw || text(word).eq_ignore_ascii_case(&text(raw))
}

fn word(word: &Option<Json>) -> String {
    word.as_ref().map(show).unwrap_or_default()
}

/// The words that stand for true and false in every format.
pub(super) fn boolean_word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "on" | "1" | "yes" | "open" | "opened" | "active" | "high" => Some(true),
        "false" | "off" | "0" | "no" | "closed" | "close" | "inactive" | "low" => Some(false),
        _ => None,
    }
}

/// A whole number or a finite decimal number; Rust's `inf` and `nan` are none.
fn number_word(text: &str) -> Option<Value> {
    if let Ok(whole) = text.parse() {
        return Some(Value::Int64(whole));
    }
    let numeric = text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.'));
    text.parse().ok().filter(|number: &f64| numeric && number.is_finite()).map(Value::Double)
}

fn number_of(number: &Number) -> Value {
    number.as_i64().map_or_else(|| Value::Double(number.as_f64().unwrap_or(f64::NAN)), Value::Int64)
}

#[expect(clippy::cast_possible_truncation, reason = "whole and below 2^53")]
fn number_json(number: f64) -> Json {
    if number.fract() == 0.0 && number.abs() < 9.0e15 { Json::from(number as i64) } else { Json::from(number) }
}

/// A value for an error message: at most 60 characters, control characters escaped.
pub(super) fn show(raw: &Json) -> String {
    shorten(&raw.to_string())
}

/// At most 60 characters of a text.
pub(super) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

/// The unit of a number that stands for a time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TimeUnit {
    Seconds,
    Milliseconds,
    Microseconds,
    Nanoseconds,
}

impl TimeUnit {
    pub(super) fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "s" => Self::Seconds,
            "ms" => Self::Milliseconds,
            "us" | "µs" => Self::Microseconds,
            "ns" => Self::Nanoseconds,
            _ => return None,
        })
    }

    /// By size: the four units do not overlap between the years 1973 and 5138.
    fn of(number: f64) -> Self {
        match number.abs() {
            n if n < 1e11 => Self::Seconds,
            n if n < 1e14 => Self::Milliseconds,
            n if n < 1e17 => Self::Microseconds,
            _ => Self::Nanoseconds,
        }
    }

    const fn per_micro(self) -> (i64, i64) {
        match self {
            Self::Seconds => (1_000_000, 1),
            Self::Milliseconds => (1000, 1),
            Self::Microseconds => (1, 1),
            Self::Nanoseconds => (1, 1000),
        }
    }
}

/// How to read the time of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct TimeRule {
    /// `None`: by the size of the number.
    pub(super) unit: Option<TimeUnit>,
    /// The zone of texts that name none, in minutes east of UTC.
    pub(super) zone_minutes: i32,
}

impl TimeRule {
    /// A time between 1990 and a day after `received`.
    /// # Errors
    /// In words, why it cannot be used.
    pub(super) fn read(self, raw: &Json, received: Timestamp) -> Result<Timestamp, String> {
        let stamp = match raw {
            Json::Number(number) => self.number(number),
            Json::String(text) => self.text(text.trim()),
            _ => None,
        };
        let stamp = stamp.ok_or_else(|| format!("{} is no time; write RFC 3339 or a number since 1970", show(raw)))?;
        plausible(stamp, received)
    }

    fn number(self, number: &Number) -> Option<Timestamp> {
        let float = number.as_f64().filter(|float| float.is_finite())?;
        let (multiply, divide) = self.unit.unwrap_or_else(|| TimeUnit::of(float)).per_micro();
        if let Some(whole) = number.as_i64() {
            return whole.checked_mul(multiply).map(|micros| Timestamp::from_micros(micros.div_euclid(divide)));
        }
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            reason = "a float cast saturates; plausibility is checked next"
        )]
        let micros = (float * multiply as f64 / divide as f64).round() as i64;
        Some(Timestamp::from_micros(micros))
    }

    fn text(self, text: &str) -> Option<Timestamp> {
        if let Ok(number) = serde_json::from_str::<Number>(text) {
            return self.number(&number);
        }
        let stamp = Timestamp::parse_rfc3339(text)?;
        // The date itself has hyphens; a zone stands behind the tenth character.
        let has_zone = text.get(10..).is_some_and(|clock| clock.contains(['Z', 'z', '+', '-']));
        let shift = if has_zone { 0 } else { i64::from(self.zone_minutes) * 60_000_000 };
        Some(Timestamp::from_micros(stamp.micros().checked_sub(shift)?))
    }
}

/// 1990-01-01T00:00:00Z. A clock that was never set says 1970 or 2000-and-something; nothing real is older.
const EARLIEST: Timestamp = Timestamp::from_micros(631_152_000_000_000);
const LATEST_AHEAD: Duration = Duration::from_secs(86_400);

/// `stamp` when it lies between 1990 and a day after `received`.
/// # Errors
/// In words, what is wrong with the device's clock.
pub(super) fn plausible(stamp: Timestamp, received: Timestamp) -> Result<Timestamp, String> {
    if stamp < EARLIEST {
        return Err("the time lies before 1990; set the device's clock".to_owned());
    }
    if stamp > received.plus(LATEST_AHEAD) {
        return Err("the time lies more than a day ahead; set the device's clock, or `time_unit`".to_owned());
    }
    Ok(stamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn values_fit_their_tags_or_are_refused() {
        let plain = Convert::default();
        for (raw, wanted, expected) in [
            (json!(21.5), DataType::Double, Some(Value::Double(21.5))),
            (json!("21.5"), DataType::Double, Some(Value::Double(21.5))),
            (json!(3), DataType::Int64, Some(Value::Int64(3))),
            (json!(3.0), DataType::Int64, Some(Value::Int64(3))),
            (json!(3.5), DataType::Int64, None),
            (json!("ON"), DataType::Boolean, Some(Value::Boolean(true))),
            (json!("closed"), DataType::Boolean, Some(Value::Boolean(false))),
            (json!("perhaps"), DataType::Boolean, None),
            (json!(2), DataType::Boolean, None),
            (json!("nan"), DataType::Double, None),
            (json!("inf"), DataType::Double, None),
            (json!("1e999"), DataType::Double, None),
            (json!(u64::MAX), DataType::Int64, None),
            (json!({"a": 1}), DataType::Double, None),
            (json!([1]), DataType::Double, None),
            (json!(null), DataType::Double, Some(Value::Null)),
            (json!("idle"), DataType::String, Some(Value::String("idle".into()))),
            (json!(1), DataType::String, None),
            (json!("x".repeat(5000)), DataType::String, None),
        ] {
            assert_eq!(plain.read(&raw, wanted).ok(), expected, "{raw} as {}", wanted.name());
        }
    }

    #[test]
    fn scaling_does_not_invent_digits() {
        let tenth = Convert { scale: 0.1, ..Convert::default() };
        assert_eq!(tenth.read(&json!(3), DataType::Double), Ok(Value::Double(0.3)));
        let fahrenheit = Convert { scale: 1.8, offset: 32.0, ..Convert::default() };
        assert_eq!(fahrenheit.read(&json!(100), DataType::Int64), Ok(Value::Int64(212)));
        assert_eq!(tenth.write(&Value::Double(21.5)), json!(215));
    }

    #[test]
    fn one_state_word_leaves_the_rest_to_the_other() {
        let door = Convert { on: Some(json!(false)), off: Some(json!(true)), ..Convert::default() };
        assert_eq!(door.read(&json!(false), DataType::Boolean), Ok(Value::Boolean(true)));
        assert!(door.read(&json!("ajar"), DataType::Boolean).is_err());
        let run = Convert { on: Some(json!("RUN")), ..Convert::default() };
        assert_eq!(run.read(&json!("idle"), DataType::Int64), Ok(Value::Int64(0)));
    }

    #[test]
    fn reads_times_in_every_unit_and_zone() {
        let received = Timestamp::parse_rfc3339("2026-11-22T12:00:00Z").expect("a time");
        let expected = Timestamp::parse_rfc3339("2026-11-22T11:00:00.5Z").expect("a time");
        let seconds = expected.micros() / 1_000_000;
        let here = TimeRule { unit: None, zone_minutes: 120 };
        for raw in [
            json!(seconds as f64 + 0.5),
            json!(seconds * 1000 + 500),
            json!(seconds * 1_000_000 + 500_000),
            json!(seconds * 1_000_000_000 + 500_000_000),
            json!("2026-11-22T13:00:00.5"),
            json!("2026-11-22T12:00:00.5+01:00"),
            json!((seconds * 1000 + 500).to_string()),
        ] {
            assert_eq!(here.read(&raw, received), Ok(expected), "{raw}");
        }
        for bad in [
            json!(0),
            json!("1970-01-01T00:00:05"),
            json!("2026-11-24T00:00:00Z"),
            json!("soon"),
            json!(true),
            json!(i64::MAX),
            json!(-1e300),
        ] {
            assert!(here.read(&bad, received).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(number in -1e6..1e6_f64, scale in prop_oneof![Just(1.0), Just(0.1), Just(2.0)], offset in -10..10_i32) {
            let convert = Convert { scale, offset: f64::from(offset), ..Convert::default() };
            let back = convert.read(&convert.write(&Value::Double(number)), DataType::Double);
            let back = back.ok().and_then(|value| value.as_f64()).expect("a number");
            prop_assert!((back - number).abs() < 1e-6);
        }

        #[test]
        fn any_time_is_plausible_or_refused(number: i64, text in "[0-9TZ:. +-]{0,30}") {
            let received = Timestamp::from_micros(1_800_000_000_000_000);
            for raw in [json!(number), json!(number as f64), json!(text)] {
                if let Ok(stamp) = TimeRule::default().read(&raw, received) {
                    prop_assert!(plausible(stamp, received).is_ok());
                }
            }
        }
    }
}
