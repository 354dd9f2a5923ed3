//! `date_bin` (also `time_bucket`) and `date_trunc` for our times, which are µs in UTC: one division for each row.
//!
//! The engine's own work in nanoseconds, so that every time is first multiplied and the answer comes in another type, and `date_trunc`
//! turns each time into a calendar date because a zone is named, though it is UTC. Whatever is not a constant width of whole
//! microseconds over our times, nor a unit of the calendar, is handed to the engine's.

use crate::error::SqlError;
use crate::times::DAY_US;
use andon_model::Timestamp;
use arrow::array::{AsArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, Field, FieldRef, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::type_coercion::functions::fields_with_udf;
use datafusion::logical_expr::{
    ColumnarValue, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::{Arc, LazyLock};

/// One of the two, with the engine's own behind it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Bin {
    engines: Arc<ScalarUDF>,
    signature: Signature,
    aliases: Vec<String>,
}

impl Bin {
    /// `date_bin`, which goes by `time_bucket` as well.
    fn date_bin(engines: Arc<ScalarUDF>) -> Self {
        // Of its own, for the engine's would rather have nanoseconds.
        let signature = Signature::user_defined(Volatility::Immutable);
        Self { engines, signature, aliases: vec!["time_bucket".to_owned()] }
    }

    /// `date_bin` as it is registered.
    pub(crate) fn registered() -> Arc<ScalarUDF> {
        static OURS: LazyLock<Arc<ScalarUDF>> =
            LazyLock::new(|| Arc::new(ScalarUDF::from(Bin::date_bin(datafusion::functions::datetime::date_bin()))));
        Arc::clone(&OURS)
    }

    pub(super) fn date_trunc(engines: Arc<ScalarUDF>) -> Self {
        let (signature, aliases) = (engines.signature().clone(), engines.aliases().to_vec());
        Self { engines, signature, aliases }
    }
}

/// The width in µs that the first argument stands for: an interval without months, or a word for a unit. `None`: another one.
pub(crate) fn width_us(width: &ScalarValue) -> Option<i64> {
    let us = match width {
        ScalarValue::IntervalMonthDayNano(Some(interval))
            if interval.months == 0 && interval.nanoseconds % 1000 == 0 =>
        {
            i64::from(interval.days).checked_mul(DAY_US)?.checked_add(interval.nanoseconds / 1000)?
        }
        ScalarValue::Utf8(Some(unit)) | ScalarValue::Utf8View(Some(unit)) | ScalarValue::LargeUtf8(Some(unit)) => {
            match unit.to_ascii_lowercase().as_str() {
                "microsecond" => 1,
                "millisecond" => 1000,
                "second" => 1_000_000,
                "minute" => 60_000_000,
                "hour" => 3_600_000_000,
                "day" => DAY_US,
                _ => return None,
            }
        }
        _ => return None,
    };
    (us > 0).then_some(us)
}

/// # Errors
/// It is an interval of which there is no next one, or longer than all of time.
fn check_width(width: &ScalarValue) -> Result<()> {
    const LONGEST_MONTHS: i32 = 12 * 10_000;
    let (months, days, nanoseconds) = match width {
        ScalarValue::IntervalMonthDayNano(Some(width)) => (width.months, width.days, width.nanoseconds),
        ScalarValue::IntervalYearMonth(Some(months)) => (*months, 0, 0),
        _ => return Ok(()),
    };
    let rest_ns = i128::from(days) * i128::from(DAY_US) * 1000 + i128::from(nanoseconds);
    if months < 0 || rest_ns < 0 || (months == 0 && rest_ns == 0) {
        return Err(SqlError::BadParameter("the width of a bucket must be greater than zero".to_owned()).into());
    }
    if months > LONGEST_MONTHS {
        let what = format!("a bucket is at most {} years wide", LONGEST_MONTHS / 12);
        return Err(SqlError::BadParameter(what).into());
    }
    Ok(())
}

/// The beginning of the stretch in which a time lies.
pub(crate) fn begin(ts: i64, width_us: i64) -> i64 {
    ts.saturating_sub(ts.rem_euclid(width_us))
}

/// The same where a stretch begins at `origin`, of which only the part of a width matters.
fn begin_from(ts: i64, width_us: i64, origin: i64) -> i64 {
    let shift = origin.rem_euclid(width_us);
    begin(ts.saturating_sub(shift), width_us).saturating_add(shift)
}

/// Whether times are µs in UTC, or as clocks show them.
fn is_ours(times: &DataType) -> bool {
    matches!(times, DataType::Timestamp(TimeUnit::Microsecond, zone) if zone.as_deref().is_none_or(|zone| zone == "UTC"))
}

/// A unit of `date_trunc` that has no width: the engine's own counts in nanoseconds, in which there is no year 9999.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Calendar {
    /// From Monday.
    Week,
    /// So many months, from the beginning of the year.
    Months(u32),
    /// So many months, counted from January 1970 both ways, as `date_bin` has them.
    Bins(i64),
    /// So many years; centuries and millennia begin with their first year, decades with the one that ends in 0.
    Years(i64),
}

impl Calendar {
    /// An interval of whole months. `None`: another one.
    fn bins(width: &ScalarValue) -> Option<Self> {
        match width {
            ScalarValue::IntervalMonthDayNano(Some(width))
                if width.months > 0 && width.days == 0 && width.nanoseconds == 0 =>
            {
                Some(Self::Bins(i64::from(width.months)))
            }
            ScalarValue::IntervalYearMonth(Some(months)) if *months > 0 => Some(Self::Bins(i64::from(*months))),
            _ => None,
        }
    }

    fn named(unit: &ScalarValue) -> Option<Self> {
        Some(match unit.try_as_str().flatten()?.to_ascii_lowercase().as_str() {
            "week" => Self::Week,
            "month" => Self::Months(1),
            "quarter" => Self::Months(3),
            "year" => Self::Years(1),
            "decade" => Self::Years(10),
            "century" => Self::Years(100),
            "millennium" => Self::Years(1000),
            _ => return None,
        })
    }

    /// The beginning of the stretch in which a time lies.
    fn begin(self, ts: i64) -> i64 {
        let (year, month, ..) = Timestamp::from_micros(ts).civil();
        let first = |year, month| Timestamp::from_civil(year, month, 1, 0, 0, 0, 0).map_or(ts, Timestamp::micros);
        match self {
            Self::Week => {
                let days = ts.div_euclid(DAY_US);
                // 1970 began on a Thursday.
                days.saturating_sub((days + 3).rem_euclid(7)).saturating_mul(DAY_US)
            }
            Self::Months(months) => first(year, month - (month - 1) % months),
            Self::Bins(months) => {
                let since = (year - 1970) * 12 + i64::from(month) - 1;
                let begin = since - since.rem_euclid(months);
                first(1970 + begin.div_euclid(12), u32::try_from(begin.rem_euclid(12)).unwrap_or(0) + 1)
            }
            Self::Years(years @ (1 | 10)) => first(year - year.rem_euclid(years), 1),
            Self::Years(years) => first(year - (year - 1).rem_euclid(years), 1),
        }
    }
}

/// A unit of `date_trunc`, with a width or of the calendar.
pub(super) enum Unit {
    Width(i64),
    Calendar(Calendar),
}

impl Unit {
    /// `None`: there is none of that name.
    pub(super) fn named(unit: &ScalarValue) -> Option<Self> {
        // PostgreSQL also knows the plurals of the small ones.
        let singular = unit.try_as_str().flatten()?.to_ascii_lowercase();
        let singular = ScalarValue::from(singular.strip_suffix('s').unwrap_or(&singular));
        width_us(&singular).map(Self::Width).or_else(|| Calendar::named(unit).map(Self::Calendar))
    }

    /// The beginning of the stretch in which a time lies.
    pub(super) fn begin(&self, ts: i64) -> i64 {
        match self {
            Self::Width(width) => begin(ts, *width),
            Self::Calendar(calendar) => calendar.begin(ts),
        }
    }

    /// An hour or less.
    pub(super) const fn is_within_hour(&self) -> bool {
        matches!(self, Self::Width(width) if *width < DAY_US)
    }
}

impl ScalarUDFImpl for Bin {
    fn name(&self) -> &str {
        self.engines.name()
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.engines.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs) -> Result<FieldRef> {
        self.engines.return_field_from_args(args)
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        if let [DataType::Utf8 | DataType::Utf8View | DataType::Interval(_), ts] = types
            && *ts == crate::views::time()
        {
            return Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), ts.clone()]);
        }
        if let [DataType::Utf8 | DataType::Utf8View | DataType::Interval(_), ts, _] = types
            && (*ts == crate::views::time() || *ts == super::clock::SHOWN)
        {
            return Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), ts.clone(), ts.clone()]);
        }
        let fields: Vec<FieldRef> = types.iter().map(|of| Arc::new(Field::new("of", of.clone(), true))).collect();
        Ok(fields_with_udf(&fields, &*self.engines)?.iter().map(|field| field.data_type().clone()).collect())
    }

    fn output_ordering(&self, inputs: &[ExprProperties]) -> Result<SortProperties> {
        self.engines.output_ordering(inputs)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let (width, times, origin) = match &args.args[..] {
            [ColumnarValue::Scalar(width), times] => (width, times, 0),
            [
                ColumnarValue::Scalar(width),
                times,
                ColumnarValue::Scalar(ScalarValue::TimestampMicrosecond(origin, _)),
            ] => match (origin, width_us(width)) {
                (Some(origin), Some(_)) => (width, times, *origin),
                (None, _) => return Ok(ColumnarValue::Scalar(ScalarValue::try_new_null(&times.data_type())?)),
                (_, None) => {
                    let what =
                        "date_bin with a beginning takes a width of days, hours or less, not of months".to_owned();
                    return Err(SqlError::Unsupported(what).into());
                }
            },
            _ => return self.engines.invoke_with_args(args),
        };
        check_width(width)?;
        if !is_ours(&times.data_type()) {
            return self.engines.invoke_with_args(args);
        }
        let array = times.to_array(args.number_rows)?;
        let array: &TimestampMicrosecondArray = array.as_primitive::<TimestampMicrosecondType>();
        let begins: TimestampMicrosecondArray =
            match (width_us(width), Calendar::bins(width).or_else(|| Calendar::named(width))) {
                (Some(width), _) => array.unary(|ts| begin_from(ts, width, origin)),
                (None, Some(calendar)) => array.unary(|ts| calendar.begin(ts)),
                (None, None) => return self.engines.invoke_with_args(args),
            };
        let begins = begins.with_timezone_opt(array.timezone());
        Ok(match times {
            ColumnarValue::Scalar(_) => ColumnarValue::Scalar(ScalarValue::try_from_array(&begins, 0)?),
            ColumnarValue::Array(_) => ColumnarValue::Array(Arc::new(begins)),
        })
    }
}
