//! Numbers and values as JSON Schema compares them: by what they are, not by how they are written.

use serde_json::{Number, Value as Json};
use std::cmp::Ordering;
use std::fmt::Write as _;

/// The number as a whole one, if it is one.
fn whole(number: &Number) -> Option<i128> {
    if let Some(signed) = number.as_i64() {
        return Some(signed.into());
    }
    if let Some(unsigned) = number.as_u64() {
        return Some(unsigned.into());
    }
    // Doubles beyond are whole as well; a comparison of doubles is exact enough for them.
    let real = number.as_f64()?;
    (real.fract() == 0.0 && real.abs() < 1e30).then_some(real as i128)
}

pub(super) fn is_whole(number: &Number) -> bool {
    number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|real| real.fract() == 0.0)
}

pub(super) fn compare(a: &Number, b: &Number) -> Ordering {
    if let (Some(a), Some(b)) = (whole(a), whole(b)) {
        return a.cmp(&b);
    }
    let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
    a.partial_cmp(&b).unwrap_or(Ordering::Equal)
}

/// Whether the one is so many times the other; decimal fractions are taken as they are written, as far as doubles can tell.
pub(super) fn is_multiple(number: &Number, unit: &Number) -> bool {
    if let (Some(number), Some(unit)) = (whole(number), whole(unit)) {
        return unit != 0 && number % unit == 0;
    }
    let (Some(number), Some(unit)) = (number.as_f64(), unit.as_f64()) else { return false };
    let times = number / unit;
    times.is_finite() && (times - times.round()).abs() <= 1e-9 * times.abs().clamp(1.0, 1e3)
}

/// A text that equal values have in common, and others do not.
pub(super) fn canonical(value: &Json) -> String {
    let mut out = String::new();
    write(value, &mut out);
    out
}

fn write(value: &Json, out: &mut String) {
    match value {
        Json::Null => out.push_str("null"),
        Json::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Json::Number(number) => match whole(number) {
            Some(whole) => _ = write!(out, "{whole}"),
            None => _ = write!(out, "{:?}", number.as_f64().unwrap_or_default()),
        },
        Json::String(text) => _ = write!(out, "{text:?}"),
        Json::Array(items) => {
            out.push('[');
            for item in items {
                write(item, out);
                out.push(',');
            }
            out.push(']');
        }
        Json::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in members {
                let _ = write!(out, "{name:?}:");
                write(value, out);
                out.push(',');
            }
            out.push('}');
        }
    }
}
