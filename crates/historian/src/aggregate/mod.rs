//! The standard aggregates of OPC UA: one value per interval out of many readings, with a status that says how far to trust it.
//!
//! OPC 10000-13 v1.05, all 37 of them. A caller makes a [`Processor`] for a [`Request`], pushes the points in columns, in
//! ascending time, as files are decoded, and takes the [`AggregateValue`]s at the end. Points before and after the range
//! come in [`Bounds`]: they are never counted, but say what the signal was at the borders. Whole minutes and hours may be
//! pushed as a [`Rollup`] instead of their points.
//!
//! **The idea.** There are three families, each with a kernel that keeps the sums of one interval at a time:
//! - `raw`: counts the points of an interval (Average, Minimum, Count, ...). Needs no bounds.
//! - `simple`: cuts time into regions between neighbouring points, bad ones included (TimeAverage2, DurationGood, ...).
//! - `interpolated`: draws a line between neighbouring usable points and skips bad ones (Interpolative, TimeAverage, Total).
//!
//! **Invariants**
//! - Pure: no I/O, no clock, no task. Memory is the answer plus the sums of one interval.
//! - No input panics or overflows: times are subtracted as unsigned, sums that leave the range of a double give
//!   `BadOutOfRange`, a value that is not finite counts as bad.
//! - A point is looked at once; a block of good points goes through loops without branches (see `sums`).
//!
//! **Choices where the standard leaves room**, each with a test: the time resolution is 1 ms as in its examples;
//! `from > to` is refused; a `BadNoData` entry before the first reading only marks that the point was created.
//! `docs/manual/aggregates.md` says it all for the reader of the numbers.
//!
//! Start reading at [`Request`], then `processor`, then `simple`.

mod codec;
mod grid;
mod interpolated;
mod processor;
mod raw;
mod rollup;
mod simple;
mod status;
mod sums;
#[cfg(test)]
mod tests;

pub(crate) use codec::{CHUNK_ROLLUPS, ColumnReader, ColumnWriter, UNPACKED_MAX};
pub use grid::MAX_INTERVALS;
pub use processor::{AggregateError, Processor, PushError};
pub use rollup::Rollup;
pub use status::{InfoBits, UNCERTAIN_DATA_SUB_NORMAL};

pub use andon_model::Loss;
use andon_model::{StatusCode, Timestamp, Value};

/// The standard aggregates (OPC 10000-13 v1.05 §5.4.3). Names as in the standard.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Aggregate {
    /// The value at the start of the interval, on a line between usable neighbours (§5.4.3.4).
    Interpolative,
    /// Mean of the good values, each counting the same (§5.4.3.5).
    Average,
    /// Mean over time, sloped, across bad values (§5.4.3.6).
    TimeAverage,
    /// Mean over the time with usable data, stepped or sloped (§5.4.3.7).
    TimeAverage2,
    /// Integral over time in value × seconds, as `TimeAverage` (§5.4.3.8).
    Total,
    /// Integral over the time with usable data in value × seconds, as `TimeAverage2` (§5.4.3.9).
    Total2,
    /// Smallest good value (§5.4.3.10).
    Minimum,
    /// Largest good value (§5.4.3.11).
    Maximum,
    /// Smallest good value, with its own time (§5.4.3.12).
    MinimumActualTime,
    /// Largest good value, with its own time (§5.4.3.13).
    MaximumActualTime,
    /// Largest minus smallest good value (§5.4.3.14).
    Range,
    /// Smallest usable value, the values at the borders included (§5.4.3.15).
    Minimum2,
    /// Largest usable value, the values at the borders included (§5.4.3.16).
    Maximum2,
    /// As `Minimum2`, with its own time (§5.4.3.17).
    MinimumActualTime2,
    /// As `Maximum2`, with its own time (§5.4.3.18).
    MaximumActualTime2,
    /// `Maximum2` minus `Minimum2` (§5.4.3.19).
    Range2,
    /// How many annotations; their times are handed in with [`Processor::push_annotations`] (§5.4.3.20).
    AnnotationCount,
    /// How many good values (§5.4.3.21).
    Count,
    /// Milliseconds in state 0 (§5.4.3.22).
    DurationInStateZero,
    /// Milliseconds in any other state (§5.4.3.23).
    DurationInStateNonZero,
    /// How often the value changed (§5.4.3.24).
    NumberOfTransitions,
    /// The earliest raw value (§5.4.3.25).
    Start,
    /// The latest raw value (§5.4.3.26).
    End,
    /// Latest minus earliest good value (§5.4.3.27).
    Delta,
    /// The value at the start of the interval by simple bounds (§5.4.3.28).
    StartBound,
    /// The value at the end of the interval by simple bounds (§5.4.3.29).
    EndBound,
    /// `EndBound` minus `StartBound` (§5.4.3.30).
    DeltaBounds,
    /// Milliseconds with good data (§5.4.3.31).
    DurationGood,
    /// Milliseconds with bad data (§5.4.3.32).
    DurationBad,
    /// `DurationGood` in percent of the interval (§5.4.3.33).
    PercentGood,
    /// `DurationBad` in percent of the interval (§5.4.3.34).
    PercentBad,
    /// The worst status of the raw values (§5.4.3.35).
    WorstQuality,
    /// The worst status of the raw values and of the start bound (§5.4.3.36).
    WorstQuality2,
    /// Standard deviation with n - 1 (§5.4.3.37).
    StandardDeviationSample,
    /// Variance with n - 1 (§5.4.3.38).
    VarianceSample,
    /// Standard deviation with n (§5.4.3.39).
    StandardDeviationPopulation,
    /// Variance with n (§5.4.3.40).
    VariancePopulation,
}

impl Aggregate {
    /// All of them, in the order of the standard.
    pub const ALL: [Self; 37] = [
        Self::Interpolative,
        Self::Average,
        Self::TimeAverage,
        Self::TimeAverage2,
        Self::Total,
        Self::Total2,
        Self::Minimum,
        Self::Maximum,
        Self::MinimumActualTime,
        Self::MaximumActualTime,
        Self::Range,
        Self::Minimum2,
        Self::Maximum2,
        Self::MinimumActualTime2,
        Self::MaximumActualTime2,
        Self::Range2,
        Self::AnnotationCount,
        Self::Count,
        Self::DurationInStateZero,
        Self::DurationInStateNonZero,
        Self::NumberOfTransitions,
        Self::Start,
        Self::End,
        Self::Delta,
        Self::StartBound,
        Self::EndBound,
        Self::DeltaBounds,
        Self::DurationGood,
        Self::DurationBad,
        Self::PercentGood,
        Self::PercentBad,
        Self::WorstQuality,
        Self::WorstQuality2,
        Self::StandardDeviationSample,
        Self::VarianceSample,
        Self::StandardDeviationPopulation,
        Self::VariancePopulation,
    ];

    /// The name in the standard, which is also its BrowseName.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// By its name in the standard.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|aggregate| aggregate.name() == name)
    }

    /// Whether it is right for texts: it counts values, changes and times, and never calculates with a value nor gives one.
    #[must_use]
    pub const fn takes_texts(self) -> bool {
        matches!(
            self,
            Self::Count
                | Self::AnnotationCount
                | Self::NumberOfTransitions
                | Self::DurationGood
                | Self::DurationBad
                | Self::PercentGood
                | Self::PercentBad
                | Self::WorstQuality
                | Self::WorstQuality2
        )
    }

    /// Which points outside of the range the aggregate looks at; see [`Bounds`].
    #[must_use]
    pub const fn needs(self) -> Needs {
        match self {
            Self::Interpolative | Self::TimeAverage | Self::Total => Needs::LastAndUsable,
            Self::TimeAverage2
            | Self::Total2
            | Self::Minimum2
            | Self::Maximum2
            | Self::MinimumActualTime2
            | Self::MaximumActualTime2
            | Self::Range2
            | Self::DurationInStateZero
            | Self::DurationInStateNonZero
            | Self::StartBound
            | Self::EndBound
            | Self::DeltaBounds
            | Self::DurationGood
            | Self::DurationBad
            | Self::PercentGood
            | Self::PercentBad
            | Self::WorstQuality2 => Needs::Neighbours,
            Self::NumberOfTransitions => Needs::UsableBefore,
            _ => Needs::Existence,
        }
    }
}

/// Which points outside of the range matter to an aggregate. Giving more never changes the answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Needs {
    /// Only whether there is any point before and after: without, the first or last interval is marked partial.
    Existence,
    /// The last usable point before, and any point after.
    UsableBefore,
    /// The last point before and the first after, whatever their quality.
    Neighbours,
    /// The last point and the last two usable points before; all points after up to the first usable one.
    LastAndUsable,
}

/// How uncertain and missing data are treated (OPC 10000-13 v1.05 §4.2.1.2).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AggregateConfiguration {
    /// Uncertain values are not used, as if they were bad.
    pub treat_uncertain_as_bad: bool,
    /// From this share of bad data on, in percent, a result is bad.
    pub percent_data_bad: u8,
    /// From this share of good data on, in percent, a result is good. At least 100 - `percent_data_bad`.
    pub percent_data_good: u8,
    /// After the last point, `Interpolative`, `TimeAverage` and `Total` go on along the last slope instead of holding the last value.
    pub use_sloped_extrapolation: bool,
}

impl Default for AggregateConfiguration {
    /// The defaults of the standard: uncertain is bad; all good or uncertain, all bad or uncertain; hold the last value.
    fn default() -> Self {
        Self {
            treat_uncertain_as_bad: true,
            percent_data_bad: 100,
            percent_data_good: 100,
            use_sloped_extrapolation: false,
        }
    }
}

/// What is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// Of which kind.
    pub aggregate: Aggregate,
    /// Start of the first interval, part of it.
    pub from: Timestamp,
    /// End of the last interval, not part of it.
    pub to: Timestamp,
    /// Length of an interval, µs; the last one may be shorter. 0, or longer than the range: one interval.
    pub interval_us: i64,
    /// Whether the signal holds each value until the next (a state, a setpoint) or moves on a line between them.
    pub stepped: bool,
    /// How uncertain and missing data are treated.
    pub config: AggregateConfiguration,
}

/// One stored point as aggregates see it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct RawPoint {
    /// Source time.
    pub ts: Timestamp,
    /// As a number: true is 1, false is 0; NaN when there is none.
    pub value: f64,
    /// How far it can be trusted.
    pub status: StatusCode,
}

/// What lies around the range. Both lists ascend in time; [`Aggregate::needs`] says how far they must reach.
#[derive(Clone, Copy, Default, Debug)]
pub struct Bounds<'a> {
    /// Points before `from`.
    pub before: &'a [RawPoint],
    /// Points at or after `to`.
    pub after: &'a [RawPoint],
    /// Up to here the last point is known to hold, because the source only tells of changes and was connected. Without, data
    /// ends with the last point.
    pub holds_until: Option<Timestamp>,
    /// Stretches in which readings were lost, ascending and apart from each other; see [`Loss`].
    pub lost: &'a [Loss],
}

/// The aggregate of one interval.
#[derive(Clone, PartialEq, Debug)]
pub struct AggregateValue {
    /// Start of the interval; for `...ActualTime`, `Start` and `End` the time of the value.
    pub ts: Timestamp,
    /// A double in the tag's unit, milliseconds, percent or value × seconds; an int64 for counts and for a status code
    /// (`WorstQuality`); null when `status` is bad.
    pub value: Value,
    /// Good, Uncertain or Bad, with [`InfoBits`].
    pub status: StatusCode,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// Nothing lies between `from` and `to`.
    #[error("the range is empty: `from` and `to` are both {0}")]
    Empty(Timestamp),
    /// Time would run backwards; the standard allows a server not to do that.
    #[error("the range runs backwards from {from} to {to}; swap the two and turn the answer round")]
    Backwards {
        /// As asked.
        from: Timestamp,
        /// As asked.
        to: Timestamp,
    },
    /// An interval cannot be shorter than nothing.
    #[error("an interval of {} ms is negative; give its length in ms, or 0 for one interval over the whole range", .0 / 1000)]
    NegativeInterval(i64),
    /// OPC UA calls it `Bad_AggregateInvalidInputs`.
    #[error(
        "{} is calculated of numbers, and this is a text tag; of texts there are Count, NumberOfTransitions, DurationGood, DurationBad, PercentGood, PercentBad, WorstQuality and WorstQuality2",
        .0.name()
    )]
    OfTexts(Aggregate),
    /// The answer would be too long.
    #[error(
        "the range holds {wanted} intervals, at most {MAX_INTERVALS} are answered; ask for longer intervals or a shorter range"
    )]
    TooManyIntervals {
        /// How many it would be.
        wanted: u64,
    },
    /// The two percentages leave a share of data that would be good and bad at once, or are no percentages.
    #[error("percent_data_good {good} and percent_data_bad {bad} do not fit: each at most 100, together at least 100")]
    Percentages {
        /// As asked.
        good: u8,
        /// As asked.
        bad: u8,
    },
}
