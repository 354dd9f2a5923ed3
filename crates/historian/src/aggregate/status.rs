//! Status codes in and out: how a point is classed, and how the status of a result follows from shares of good and bad.

use super::{AggregateConfiguration, AggregateValue, RawPoint};
use andon_model::{StatusCode, Timestamp, Value};

/// `UncertainDataSubNormal`: less good data than wanted went into the value (OPC 10000-13 v1.05 §5.3.2).
pub const UNCERTAIN_DATA_SUB_NORMAL: StatusCode = StatusCode(0x40A4_0000);

/// Without sub-status and info bits.
const CODE: u32 = 0xFFFF_0000;

/// The historian's info bits of a status (OPC 10000-4 v1.05 §7.39, "DataValue InfoBits"): where a value comes from.
///
/// They stand in the lowest five bits, with InfoType `DataValue` (0x400). A raw value has none of them and no InfoType.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InfoBits(pub u32);

impl InfoBits {
    /// InfoType `DataValue`, set together with any of the bits.
    pub const DATA_VALUE: u32 = 0x400;
    /// A raw value: no bit.
    pub const RAW: Self = Self(0x00);
    /// Calculated.
    pub const CALCULATED: Self = Self(0x01);
    /// Interpolated or extrapolated.
    pub const INTERPOLATED: Self = Self(0x02);
    /// The interval is not complete: data begins or ends in it, or the range cuts it.
    pub const PARTIAL: Self = Self(0x04);
    /// A raw value hides other values of the same time. Andon keeps one value per time and never sets it.
    pub const EXTRA_DATA: Self = Self(0x08);
    /// Several values fit, e.g. the same smallest value twice.
    pub const MULTIPLE_VALUES: Self = Self(0x10);

    /// The bits that stand in `status`.
    #[must_use]
    pub const fn of(status: StatusCode) -> Self {
        if status.0 & 0xC00 == Self::DATA_VALUE { Self(status.0 & 0x1F) } else { Self(0) }
    }

    /// Whether all of `bits` are set.
    #[must_use]
    pub const fn has(self, bits: Self) -> bool {
        self.0 & bits.0 == bits.0
    }

    /// These and `more`.
    #[must_use]
    pub const fn with(self, more: Self) -> Self {
        Self(self.0 | more.0)
    }

    /// These and `more` when `wanted`.
    pub(super) const fn with_if(self, wanted: bool, more: Self) -> Self {
        if wanted { self.with(more) } else { self }
    }

    /// `status` with these bits in place of its own.
    #[must_use]
    pub const fn on(self, status: StatusCode) -> StatusCode {
        let info = if self.0 == 0 { 0 } else { Self::DATA_VALUE | self.0 };
        StatusCode(status.0 & CODE | info)
    }
}

/// Severity, with a value that is not finite counted as bad. Ordered from best to worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Class {
    Good,
    Uncertain,
    Bad,
}

impl Class {
    pub(super) fn of(value: f64, status: u32) -> Self {
        match status >> 30 {
            _ if !value.is_finite() => Self::Bad,
            0 => Self::Good,
            1 => Self::Uncertain,
            _ => Self::Bad,
        }
    }

    /// Whether the value may be used in a calculation.
    pub(super) const fn usable(self, treat_uncertain_as_bad: bool) -> bool {
        match self {
            Self::Good => true,
            Self::Uncertain => !treat_uncertain_as_bad,
            Self::Bad => false,
        }
    }
}

/// A point, classed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Point {
    pub ts: i64,
    pub value: f64,
    /// Without sub-status and info bits; a good status without a value has become Bad.
    pub status: StatusCode,
    pub class: Class,
}

impl Point {
    pub(super) fn new(ts: i64, value: f64, status: u32) -> Self {
        let class = Class::of(value, status);
        let honest = if class == Class::Bad && status >> 30 < 2 { StatusCode::BAD } else { StatusCode(status & CODE) };
        Self { ts, value, status: honest, class }
    }

    /// The entry that marks that a point was created, before its first reading.
    pub(super) fn is_created_mark(&self) -> bool {
        self.status == StatusCode::BAD_NO_DATA
    }

    pub(super) fn raw(&self) -> RawPoint {
        RawPoint { ts: Timestamp::from_micros(self.ts), value: self.value, status: self.status }
    }
}

impl From<&RawPoint> for Point {
    fn from(point: &RawPoint) -> Self {
        Self::new(point.ts.micros(), point.value, point.status.0)
    }
}

/// How much of an interval is good, uncertain and bad: microseconds or values.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct Shares {
    pub good: u64,
    pub uncertain: u64,
    pub bad: u64,
}

impl Shares {
    pub(super) fn add(&mut self, class: Class, amount: u64) {
        let share = match class {
            Class::Good => &mut self.good,
            Class::Uncertain => &mut self.uncertain,
            Class::Bad => &mut self.bad,
        };
        *share = share.saturating_add(amount);
    }

    /// The status by counting values (§5.4.3.2.1): uncertain values are never good; they are bad if so configured.
    pub(super) fn by_values(self, config: &AggregateConfiguration) -> StatusCode {
        let bad = self.bad.saturating_add(if config.treat_uncertain_as_bad { self.uncertain } else { 0 });
        self.judge(self.good, bad, config)
    }

    /// The status by time (§5.4.3.2.1): uncertain regions are bad if so configured, otherwise good.
    pub(super) fn by_time(self, config: &AggregateConfiguration) -> StatusCode {
        let bad_too = config.treat_uncertain_as_bad;
        let good = self.good.saturating_add(if bad_too { 0 } else { self.uncertain });
        let bad = self.bad.saturating_add(if bad_too { self.uncertain } else { 0 });
        self.judge(good, bad, config)
    }

    /// §5.4.3.2.1, and §4.2.1.2: "if they are equal the result of the PercentDataGood calculation is used".
    fn judge(self, good: u64, bad: u64, config: &AggregateConfiguration) -> StatusCode {
        let total = u128::from(self.good) + u128::from(self.uncertain) + u128::from(self.bad);
        let reaches = |share: u64, percent: u8| u128::from(share) * 100 >= u128::from(percent) * total;
        let only_good_decides = config.percent_data_good == 100_u8.saturating_sub(config.percent_data_bad);
        let all_bad = bad > 0 && u128::from(bad) == total;
        if total == 0 {
            StatusCode::GOOD
        } else if all_bad || (!only_good_decides && bad > 0 && reaches(bad, config.percent_data_bad)) {
            StatusCode::BAD
        } else if reaches(good, config.percent_data_good) {
            StatusCode::GOOD
        } else {
            UNCERTAIN_DATA_SUB_NORMAL
        }
    }
}

/// Whether an interval lies where there is data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Standing {
    /// Wholly before the first or after the last point.
    Outside,
    /// At least in part between them.
    Within { partial: bool },
}

/// Good or uncertain, for the kernels that judge by themselves.
pub(super) const fn good_unless(doubtful: bool) -> StatusCode {
    if doubtful { UNCERTAIN_DATA_SUB_NORMAL } else { StatusCode::GOOD }
}

/// A result with a number. A bad status takes the number away; a number beyond the range of a double becomes bad.
pub(super) fn number(ts: i64, value: f64, status: StatusCode, bits: InfoBits) -> AggregateValue {
    let (value, status) = match (status.is_bad(), value.is_finite()) {
        (true, _) => (Value::Null, status),
        (false, true) => (Value::Double(value), status),
        (false, false) => (Value::Null, StatusCode::BAD_OUT_OF_RANGE),
    };
    AggregateValue { ts: Timestamp::from_micros(ts), value, status: bits.on(status) }
}

/// A result that counts something.
pub(super) fn whole(ts: i64, value: u64, status: StatusCode, bits: InfoBits) -> AggregateValue {
    let value = if status.is_bad() { Value::Null } else { Value::Int64(i64::try_from(value).unwrap_or(i64::MAX)) };
    AggregateValue { ts: Timestamp::from_micros(ts), value, status: bits.on(status) }
}

/// There is nothing to calculate from.
pub(super) fn no_data(ts: i64, bits: InfoBits) -> AggregateValue {
    AggregateValue { ts: Timestamp::from_micros(ts), value: Value::Null, status: bits.on(StatusCode::BAD_NO_DATA) }
}
