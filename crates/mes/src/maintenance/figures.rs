//! What failures and maintenance come to over a window (ISO 22400-2:2014).
//!
//! The definitions, which were not compared with the text of the standard word by word:
//! - A **failure** is an interval `[failed, restored)` of equipment. It counts in the window in which it begins, at its equipment and at
//!   all above. The standard divides by failures too; where it counts intervals between them, a window with one failure has none.
//! - **TBF**, operating time between failures: APT + AUST of the window. MTBF = TBF / failures.
//! - **TTF**, time to failure: what of it was not within a failure. A machine that goes on with a fault has MTBF above MTTF.
//! - **TTR**, time to restore: `restored - failed`, in the window in which it was restored. MTTR = TTR / restorations.
//! - **CMT**, **PMT**: how long somebody worked on corrective orders, and on preventive and condition-based ones.
//!
//! All of it are sums of whole µs and counts, so that windows and equipment add up; a zero below the line is no value.

use andon_model::Timestamp;
use andon_model::path::is_under;
use std::collections::BTreeMap;

/// A failure of equipment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Failure {
    /// The equipment.
    pub path: String,
    /// Why, in the tree of reasons; `None`: nobody has said.
    pub code: Option<String>,
    /// When it failed.
    pub failed: Timestamp,
    /// When it was restored, not before; `None`: it is not.
    pub restored: Option<Timestamp>,
}

/// What failures of one code come to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CodeTotal {
    /// Failures that began in the window.
    pub failures: u64,
    /// Failures that were restored in it.
    pub restored: u64,
    /// Their time to restore, in µs.
    pub repair: i64,
}

/// What failures come to over a window.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Failures {
    /// All of them.
    pub all: CodeTotal,
    /// Those that had begun by the window's end and were not restored by then.
    pub open: u64,
    /// By code.
    pub codes: BTreeMap<Option<String>, CodeTotal>,
}

/// A span of time, in µs since 1970, from its first instant to the first after it.
pub type Span = (i64, i64);

/// What failures come to in `[from, to)`.
#[must_use]
pub fn count(failures: &[Failure], from: Timestamp, to: Timestamp) -> Failures {
    let mut counted = Failures::default();
    let within = |at: Timestamp| from <= at && at < to;
    for failure in failures {
        let began = within(failure.failed);
        let restored = failure.restored.filter(|at| within(*at));
        counted.open += u64::from(failure.failed < to && failure.restored.is_none_or(|at| at >= to));
        if !began && restored.is_none() {
            continue;
        }
        let repair = restored.map_or(0, |at| at.micros().saturating_sub(failure.failed.micros()));
        for total in [&mut counted.all, counted.codes.entry(failure.code.clone()).or_default()] {
            total.failures += u64::from(began);
            total.restored += u64::from(restored.is_some());
            total.repair = total.repair.saturating_add(repair);
        }
    }
    counted
}

/// When a unit was within a failure of its own, of a part of it, or of what it stands under, as far as that lies in `[from, to)`.
#[must_use]
pub fn down(unit: &str, failures: &[Failure], from: Timestamp, to: Timestamp) -> Vec<Span> {
    let of_it = failures.iter().filter(|failure| is_under(unit, &failure.path) || is_under(&failure.path, unit));
    merged(of_it.map(|failure| {
        let end = failure.restored.map_or(to, |at| at.min(to));
        (failure.failed.max(from).micros(), end.micros())
    }))
}

/// Spans without overlap, in order; those that touch are one.
#[must_use]
pub fn merged(spans: impl IntoIterator<Item = Span>) -> Vec<Span> {
    let mut spans: Vec<Span> = spans.into_iter().filter(|(from, to)| from < to).collect();
    spans.sort_unstable();
    let mut all: Vec<Span> = Vec::with_capacity(spans.len());
    for (from, to) in spans {
        match all.last_mut() {
            Some((_, end)) if from <= *end => *end = to.max(*end),
            _ => all.push((from, to)),
        }
    }
    all
}

/// How long spans last together, in µs, each instant once.
#[must_use]
pub fn length(spans: impl IntoIterator<Item = Span>) -> i64 {
    merged(spans).into_iter().map(|(from, to)| to.saturating_sub(from)).fold(0, i64::saturating_add)
}
