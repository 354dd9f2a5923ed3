//! Numbers and values as JSON Schema compares them: by what they are, not by how they are written.

use serde_json::{Number, Value as Json};
use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

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

/// An order of all values in which equal ones are equal; what it goes by says nothing. `steps` counts what it takes.
pub(super) fn order(a: &Json, b: &Json, steps: &mut u64) -> Ordering {
    *steps += 1;
    match (a, b) {
        (Json::Bool(a), Json::Bool(b)) => a.cmp(b),
        (Json::Number(a), Json::Number(b)) => compare(a, b),
        (Json::String(a), Json::String(b)) => text_order(a, b, steps),
        (Json::Array(a), Json::Array(b)) => a.len().cmp(&b.len()).then_with(|| {
            let all = a.iter().zip(b).map(|(a, b)| order(a, b, steps));
            first_difference(all)
        }),
        // Members are in the order of their names.
        (Json::Object(a), Json::Object(b)) => a.len().cmp(&b.len()).then_with(|| {
            let all = a
                .iter()
                .zip(b)
                .map(|((name_a, a), (name_b, b))| text_order(name_a, name_b, steps).then_with(|| order(a, b, steps)));
            first_difference(all)
        }),
        _ => rank(a).cmp(&rank(b)),
    }
}

fn text_order(a: &str, b: &str, steps: &mut u64) -> Ordering {
    *steps += (a.len().min(b.len()) as u64) >> 6;
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn first_difference(mut all: impl Iterator<Item = Ordering>) -> Ordering {
    all.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

const fn rank(value: &Json) -> u8 {
    match value {
        Json::Null => 0,
        Json::Bool(_) => 1,
        Json::Number(_) => 2,
        Json::String(_) => 3,
        Json::Array(_) => 4,
        Json::Object(_) => 5,
    }
}

/// How many steps it takes to look at the whole of a value.
pub(super) fn weight(value: &Json) -> u64 {
    match value {
        Json::String(text) => 1 + (text.len() as u64 >> 6),
        Json::Array(items) => 1 + items.iter().map(weight).sum::<u64>(),
        Json::Object(members) => {
            1 + members.iter().map(|(name, value)| (name.len() as u64 >> 6) + weight(value)).sum::<u64>()
        }
        _ => 1,
    }
}

/// A value that is looked up by what it is.
pub(super) struct Same<'v>(pub(super) &'v Json);

impl PartialEq for Same<'_> {
    fn eq(&self, other: &Self) -> bool {
        order(self.0, other.0, &mut 0).is_eq()
    }
}

impl Eq for Same<'_> {}

impl Hash for Same<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        rank(self.0).hash(state);
        match self.0 {
            Json::Null => {}
            Json::Bool(flag) => flag.hash(state),
            Json::Number(number) => match whole(number) {
                Some(whole) => whole.hash(state),
                None => number.as_f64().unwrap_or_default().to_bits().hash(state),
            },
            Json::String(text) => text.hash(state),
            Json::Array(items) => items.iter().for_each(|item| Same(item).hash(state)),
            Json::Object(members) => members.iter().for_each(|(name, value)| {
                name.hash(state);
                Same(value).hash(state);
            }),
        }
    }
}
