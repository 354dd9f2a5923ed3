//! What people count: good, scrap, rework. Nothing is ever changed; a count that was wrong is put right by another, which may be negative.

use crate::job::{Ending, JobState};
use crate::quantity::Quantity;

/// The most that is counted at once, in the material's unit; a count that puts another right takes away no more.
pub const MOST_AT_ONCE: Quantity = Quantity::from_millionths(1_000_000_000 * 1_000_000);
/// The most that people count of a job. With what counters say, and over all jobs of an order, it stays far below the end of the numbers.
pub const MOST: Quantity = Quantity::from_millionths(1_000_000_000_000 * 1_000_000);

/// What came of a job or an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Totals {
    /// As it should be.
    pub good: Quantity,
    /// Not to be used.
    pub scrap: Quantity,
    /// To be worked on again.
    pub rework: Quantity,
}

/// What somebody counted: to be added.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Good items; below zero where a count is put right, as in the next two.
    pub good: Quantity,
    /// Scrap.
    pub scrap: Quantity,
    /// Rework.
    pub rework: Quantity,
    /// Why it is scrap or rework, as it was checked where it came in.
    pub reason: Option<String>,
}

/// Why a count is not taken.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CountError {
    /// All zero.
    #[error("nothing was counted: give good, scrap or rework")]
    Nothing,
    /// Scrap or rework of which nobody says why.
    #[error("{0} without a reason: say why")]
    NoReason(&'static str),
    /// Less than nothing would be left.
    #[error("{by} {word} would leave less than none: {total} were counted so far")]
    BelowZero {
        /// `good`, `scrap` or `rework`.
        word: &'static str,
        /// What was counted now.
        by: Quantity,
        /// What was counted before.
        total: Quantity,
    },
    /// More than can be counted at once, or of a job.
    #[error("{by} {word} is more than can be counted: {MOST_AT_ONCE} at once, {MOST} in all")]
    TooMuch {
        /// `good`, `scrap` or `rework`.
        word: &'static str,
        /// What was counted now.
        by: Quantity,
    },
    /// The job has not begun, or nothing of it changes any more.
    #[error("the job is {0}: it is counted from its begin until it is closed")]
    NotNow(JobState),
}

/// The totals of a job after a count.
///
/// # Errors
/// [`CountError`]; then nothing changes.
pub fn add(state: JobState, totals: Totals, count: &Count) -> Result<Totals, CountError> {
    if !state.is_under_way() && state != JobState::Ended(Ending::Completed) {
        return Err(CountError::NotNow(state));
    }
    if [count.good, count.scrap, count.rework] == [Quantity::ZERO; 3] {
        return Err(CountError::Nothing);
    }
    match count.reason.as_deref().map(str::trim) {
        None | Some("") => {
            for (word, by) in [("scrap", count.scrap), ("rework", count.rework)] {
                if by != Quantity::ZERO {
                    return Err(CountError::NoReason(word));
                }
            }
        }
        Some(_) => {}
    }
    Ok(Totals {
        good: sum("good", totals.good, count.good)?,
        scrap: sum("scrap", totals.scrap, count.scrap)?,
        rework: sum("rework", totals.rework, count.rework)?,
    })
}

fn sum(word: &'static str, total: Quantity, by: Quantity) -> Result<Quantity, CountError> {
    // Sums of quantities stop at their end, and so are beyond the most in any case.
    let sum = total + by;
    if sum.is_negative() {
        return Err(CountError::BelowZero { word, by, total });
    }
    if sum > MOST || by > MOST_AT_ONCE || Quantity::ZERO - by > MOST_AT_ONCE {
        return Err(CountError::TooMuch { word, by });
    }
    Ok(sum)
}
