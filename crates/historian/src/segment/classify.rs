//! How a tag's doubles are stored: as scaled whole numbers, as single precision floats, or as they are.

use crate::decimal::{MOST_DIGITS, power, scale};

/// Of so many values one may be stored as a double although the others are scaled.
const EXCEPTIONS: usize = 16;

/// How doubles are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// `value == v_int / 10^exponent`, to the last bit; the few that are not are doubles.
    Scaled { exponent: u8 },
    /// Every value is a single precision float.
    Float,
    /// As they are.
    Double,
}

/// Decides for a tag's next run of values: as the run before, if they can be stored so.
pub(super) fn classify_after(before: Option<Class>, values: &[f64]) -> Class {
    match before {
        Some(Class::Scaled { exponent }) if mostly(values, power(exponent)) => Class::Scaled { exponent },
        _ => classify(values),
    }
}

/// Decides for one tag's run of values. The first values choose the exponent, all are then counted.
pub(super) fn classify(values: &[f64]) -> Class {
    let sample = values.len().min(64);
    let mut exponent = 0_u8;
    for value in values.iter().take(sample) {
        while exponent <= MOST_DIGITS && scale(*value, power(exponent)).is_none() {
            exponent += 1;
        }
        if exponent > MOST_DIGITS {
            break;
        }
    }
    // One odd value at the beginning must not decide for all, so a few smaller exponents are tried last.
    let larger = exponent..MOST_DIGITS + 1;
    if let Some(exponent) = larger.chain(0..exponent.min(4)).find(|exponent| mostly(values, power(*exponent))) {
        return Class::Scaled { exponent };
    }
    #[expect(clippy::cast_possible_truncation, reason = "that is what is tested")]
    let single = |value: &f64| f64::from(*value as f32).to_bits() == value.to_bits();
    if values.iter().all(single) { Class::Float } else { Class::Double }
}

/// Whether all but a few can be scaled; stops counting when they cannot.
fn mostly(values: &[f64], power: f64) -> bool {
    let mut left = values.len() / EXCEPTIONS;
    values.iter().all(|value| {
        scale(*value, power).is_some() || {
            let pardoned = left > 0;
            left = left.saturating_sub(1);
            pardoned
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_scaled_floats_are_floats_and_the_rest_stays() {
        let decimals: Vec<f64> = (0..100).map(|n| f64::from(n) / 100.0 + 20.0).collect();
        assert_eq!(classify(&decimals), Class::Scaled { exponent: 2 });
        let floats: Vec<f64> = (0..100_i16).map(|n| f64::from((f32::from(n) + 0.3).sin())).collect();
        assert_eq!(classify(&floats), Class::Float);
        let doubles: Vec<f64> = (0..100).map(|n| f64::from(n).sin()).collect();
        assert_eq!(classify(&doubles), Class::Double);
        assert_eq!(classify(&[]), Class::Scaled { exponent: 0 });
    }

    #[test]
    fn a_run_with_fewer_decimals_is_stored_as_the_one_before() {
        let two = Class::Scaled { exponent: 2 };
        assert_eq!(classify_after(Some(two), &[1.5, 2.0]), two);
        assert_eq!(classify_after(None, &[1.5, 2.0]), Class::Scaled { exponent: 1 });
        assert_eq!(classify_after(Some(two), &[1.125, 2.0]), Class::Scaled { exponent: 3 });
        assert_eq!(classify_after(Some(Class::Double), &[1.5]), Class::Scaled { exponent: 1 });
    }

    #[test]
    fn a_few_odd_values_do_not_decide_for_all() {
        let mut values: Vec<f64> = (0..100).map(|n| f64::from(n) / 10.0).collect();
        values[0] = -0.0;
        values[50] = 1.0 / 3.0;
        assert_eq!(classify(&values), Class::Scaled { exponent: 1 });
        values[0] = 1.0 / 7.0;
        assert_eq!(classify(&values), Class::Scaled { exponent: 1 });
    }
}
