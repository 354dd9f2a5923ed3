//! What the historian hands out: points, stretches of them, and what is missing.

use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use serde::{Deserialize, Serialize};

/// Microseconds in a day.
pub(crate) const DAY_US: i64 = 86_400_000_000;

/// Received minus source time, µs, wrapping.
pub(crate) const fn received_delta(sample: &Sample) -> i64 {
    sample.received_ts.micros().wrapping_sub(sample.source_ts.micros())
}

/// The UTC day a source time falls on: days since 1970-01-01.
pub(crate) const fn day_of(ts: i64) -> i64 {
    ts.div_euclid(DAY_US)
}

/// One point of a tag's history.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// When the source says it was so, UTC.
    pub ts: Timestamp,
    /// The value in the tag's unit, of exactly the class that was stored.
    pub value: Value,
    /// How far it can be trusted.
    pub quality: StatusCode,
}

/// A stretch of time in which history is, or may be, incomplete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryGap {
    /// From here on (inclusive).
    pub from: Timestamp,
    /// Up to here.
    pub to: Timestamp,
    /// Why, in plain words.
    pub reason: String,
}

/// In order of time; those of one reason that touch or overlap are one. An empty one says something about the point before a range, and
/// is left only where no other of its reason begins there.
pub(crate) fn joined(mut gaps: Vec<HistoryGap>) -> Vec<HistoryGap> {
    gaps.sort_by(|a, b| (&a.reason, a.from, a.to).cmp(&(&b.reason, b.from, b.to)));
    gaps.dedup_by(|later, earlier| {
        let touch = later.reason == earlier.reason && later.from <= earlier.to;
        if touch {
            earlier.to = earlier.to.max(later.to);
        }
        touch
    });
    gaps.sort_by_key(|gap| (gap.from, gap.to));
    gaps
}

/// The answer to a range read.
#[derive(Clone, Debug, PartialEq)]
pub struct Range {
    /// Whose history.
    pub tag: TagId,
    /// Points with `from <= ts < to`, ascending, one per source time (OPC 10000-11 v1.05 §6.5.3.2: the end is not part of it).
    pub points: Vec<Point>,
    /// The last point before `from`: what a stepped signal held when the range began.
    pub before: Option<Point>,
    /// Whether points were left out to stay within `max_points`. First, smallest, largest, last and a bad point of
    /// each stretch are kept.
    pub thinned: bool,
    /// Everything received up to here is in the answer; `None` before the first frame of the log was seen.
    pub complete_to: Option<Timestamp>,
    /// Stretches within the range where samples were lost or a file cannot be read.
    pub gaps: Vec<HistoryGap>,
}
