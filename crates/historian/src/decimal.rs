//! Doubles that are decimals: as a whole number and a power of ten, to the last bit or not at all.

/// The powers of ten that a value may be scaled by; all are exact doubles.
const POWERS: [f64; 10] = [1.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9];
/// Whole numbers up to here are exact doubles: 2^53.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// The most decimals that are tried.
pub(crate) const MOST_DIGITS: u8 = 9;

/// 10^digits; more than [`MOST_DIGITS`] count as so many.
pub(crate) fn power(digits: u8) -> f64 {
    POWERS.get(usize::from(digits)).or(POWERS.last()).copied().unwrap_or(1.0)
}

/// `value` times `power`, if that is a whole number that divides back to the very same bits.
pub(crate) fn scale(value: f64, power: f64) -> Option<i64> {
    let whole = (value * power).round_ties_even();
    if whole.abs() >= LARGEST {
        return None;
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "below 2^53")]
    let (stored, back) = (whole as i64, (whole as i64) as f64 / power);
    (back.to_bits() == value.to_bits()).then_some(stored)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sign_of_zero_is_not_lost() {
        assert_eq!(scale(-0.0, 10.0), None);
        assert_eq!(scale(0.0, 10.0), Some(0));
        assert_eq!(scale(f64::NAN, 10.0), None);
    }

    proptest! {
        #[test]
        fn what_is_scaled_comes_back_to_the_last_bit(value in prop_oneof![any::<f64>(), -1e9..1e9f64, (-1_000_000_000..1_000_000_000i64).prop_map(|n| n as f64 / 1000.0)]) {
            for power in POWERS {
                if let Some(whole) = scale(value, power) {
                    prop_assert_eq!((whole as f64 / power).to_bits(), value.to_bits());
                }
            }
        }
    }
}
