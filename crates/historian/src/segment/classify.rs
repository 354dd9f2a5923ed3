//! How a tag's doubles are stored: as scaled whole numbers, as single precision floats, or as they are.

/// The powers of ten that a value may be scaled by; all are exact doubles.
const POWERS: [f64; 10] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Whole numbers up to here are exact doubles.
const LARGEST: f64 = 9_007_199_254_740_992.0;
/// Of so many values one may be stored as a double although the others are scaled.
const EXCEPTIONS: usize = 16;

/// How doubles are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// `value == v_int / POWERS[exponent]`, to the last bit; the few that are not are doubles.
    Scaled { exponent: usize },
    /// Every value is a single precision float.
    Float,
    /// As they are.
    Double,
}

/// The power of ten.
pub(super) fn power(exponent: usize) -> f64 {
    POWERS.get(exponent).copied().unwrap_or(1.0)
}

/// `value` times 10^exponent, if that is a whole number that divides back to the very same bits.
pub(super) fn scale(value: f64, power: f64) -> Option<i64> {
    let whole = (value * power).round_ties_even();
    if whole.abs() >= LARGEST {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 2^53")]
    let (stored, back) = (whole as i64, (whole as i64) as f64 / power);
    (back.to_bits() == value.to_bits()).then_some(stored)
}

/// Decides for one tag's run of values. The first values choose the exponent, all are then counted.
pub(super) fn classify(values: &[f64]) -> Class {
    let sample = values.len().min(64);
    let mut exponent = 0;
    for value in values.iter().take(sample) {
        while exponent < POWERS.len() && scale(*value, power(exponent)).is_none() {
            exponent += 1;
        }
        if exponent == POWERS.len() {
            break;
        }
    }
    // One odd value at the beginning must not decide for all, so a few smaller exponents are tried last.
    let larger = exponent..POWERS.len();
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
    use proptest::prelude::*;

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
    fn a_few_odd_values_do_not_decide_for_all() {
        let mut values: Vec<f64> = (0..100).map(|n| f64::from(n) / 10.0).collect();
        values[0] = -0.0;
        values[50] = 1.0 / 3.0;
        assert_eq!(classify(&values), Class::Scaled { exponent: 1 });
        values[0] = 1.0 / 7.0;
        assert_eq!(classify(&values), Class::Scaled { exponent: 1 });
        assert_eq!(scale(-0.0, 10.0), None, "the sign of zero would be lost");
    }

    proptest! {
        #[test]
        fn what_is_scaled_comes_back_to_the_last_bit(value in prop_oneof![any::<f64>(), -1e9..1e9f64, (-1_000_000_000..1_000_000_000i64).prop_map(|n| n as f64 / 1000.0)]) {
            for exponent in 0..POWERS.len() {
                if let Some(whole) = scale(value, power(exponent)) {
                    prop_assert_eq!((whole as f64 / power(exponent)).to_bits(), value.to_bits());
                }
            }
        }
    }
}
