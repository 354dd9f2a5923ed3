//! `now()`, `AT TIME ZONE` and `to_char`: times in µs, as PostgreSQL counts, shows and writes them.
//!
//! The engine's own `now()` counts in nanoseconds, in which there is no year 1 and no year 9999, and its `AT TIME ZONE` leaves a time what it
//! was and only says a zone beside it.

use super::bin::Unit;
use crate::error::SqlError;
use crate::times::pattern::Pattern;
use crate::times::zone::Zone;
use crate::views::time;
use arrow::array::{Array, ArrayRef, AsArray, StringViewBuilder, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, IntervalUnit, TimeUnit, TimestampMicrosecondType};
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::simplify::{ExprSimplifyResult, SimplifyContext};
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use std::sync::Arc;

/// A time as clocks show it, without a zone.
pub(crate) const SHOWN: DataType = DataType::Timestamp(TimeUnit::Microsecond, None);

/// All of them.
pub(super) fn functions() -> Vec<Arc<ScalarUDF>> {
    let of = |name, aliases: &[&str], volatility| Clock {
        name,
        aliases: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        signature: if name == NOW { Signature::nullary(volatility) } else { Signature::user_defined(volatility) },
    };
    let all = [
        of(NOW, &["current_timestamp", "transaction_timestamp", "statement_timestamp"], Volatility::Stable),
        of(TIMEZONE, &[], Volatility::Immutable),
        of(TRUNC, &[], Volatility::Immutable),
        of(TO_CHAR, &[], Volatility::Immutable),
    ];
    all.into_iter().map(|one| Arc::new(ScalarUDF::from(one))).collect()
}

const NOW: &str = "now";
/// What `ts AT TIME ZONE zone` is a spelling of.
pub(crate) const TIMEZONE: &str = "timezone";
/// What `date_trunc(unit, ts, zone)` is a spelling of.
pub(crate) const TRUNC: &str = "date_trunc_in_zone";
pub(super) const TO_CHAR: &str = "to_char";

#[derive(Debug, PartialEq, Eq, Hash)]
struct Clock {
    name: &'static str,
    aliases: Vec<String>,
    signature: Signature,
}

/// A time, and what else goes for one, as µs; with a zone where PostgreSQL would.
fn as_time(given: &DataType, called: &str) -> Result<DataType> {
    Ok(match given {
        DataType::Timestamp(_, None) => SHOWN,
        DataType::Timestamp(_, Some(_)) | DataType::Date32 | DataType::Date64 => time(),
        DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => time(),
        other => {
            return Err(SqlError::Unsupported(format!("{called} takes a time, and this is {}", words(other))).into());
        }
    })
}

fn words(data_type: &DataType) -> &'static str {
    match data_type {
        DataType::Interval(_) | DataType::Duration(_) => "a length of time; extract(epoch from it) gives its seconds",
        DataType::Boolean => "true or false",
        other if other.is_numeric() => "a number; round(value::numeric, 2) or value::text writes one",
        _ => "none",
    }
}

impl ScalarUDFImpl for Clock {
    fn name(&self) -> &str {
        self.name
    }

    fn aliases(&self) -> &[String] {
        &self.aliases
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn coerce_types(&self, types: &[DataType]) -> Result<Vec<DataType>> {
        match (self.name, types) {
            (TO_CHAR, [at, _]) => Ok(vec![as_time(at, "to_char").unwrap_or_else(|_| at.clone()), DataType::Utf8View]),
            (TIMEZONE, [DataType::Interval(_) | DataType::Duration(_), at]) => {
                Ok(vec![DataType::Interval(IntervalUnit::MonthDayNano), as_time(at, "AT TIME ZONE")?])
            }
            (TIMEZONE, [_, at]) => Ok(vec![DataType::Utf8View, as_time(at, "AT TIME ZONE")?]),
            (TRUNC, [_, at, _]) => Ok(vec![DataType::Utf8View, time_of(at)?, DataType::Utf8View]),
            _ => exec_err!("{} takes two arguments", self.name),
        }
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match (self.name, types) {
            (TO_CHAR, [at, _]) => {
                as_time(at, "to_char")?;
                Ok(DataType::Utf8View)
            }
            (TIMEZONE, [_, at]) if *at == SHOWN => Ok(time()),
            (TIMEZONE, _) => Ok(SHOWN),
            _ => Ok(time()),
        }
    }

    fn simplify(&self, args: Vec<Expr>, info: &SimplifyContext) -> Result<ExprSimplifyResult> {
        let now = info.query_execution_start_time().filter(|_| self.name == NOW);
        Ok(match now {
            Some(now) => {
                let now = ScalarValue::TimestampMicrosecond(Some(now.timestamp_micros()), Some("UTC".into()));
                ExprSimplifyResult::Simplified(Expr::Literal(now, None))
            }
            None => ExprSimplifyResult::Original(args),
        })
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let is_one_for_all = args.args.iter().all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_one_for_all { 1 } else { args.number_rows };
        let made = match (self.name, &args.args[..]) {
            (TIMEZONE, [zone, at]) => in_zone(zone, &at.to_array(rows)?)?,
            (TRUNC, [unit, at, zone]) => truncated(unit, &at.to_array(rows)?, zone)?,
            (TO_CHAR, [at, pattern]) => written(&at.to_array(rows)?, pattern)?,
            _ => return exec_err!("{} stands where it cannot be answered", self.name),
        };
        if is_one_for_all {
            return Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&made, 0)?));
        }
        Ok(ColumnarValue::Array(made))
    }
}

/// What each row of an argument makes; the same one is made once.
enum Each<T> {
    Same(T),
    Rows(Vec<T>),
}

impl<T> Each<T> {
    fn of(arg: &ColumnarValue, make: impl Fn(&ScalarValue) -> Result<T>) -> Result<Self> {
        match arg {
            ColumnarValue::Scalar(one) => make(one).map(Self::Same),
            ColumnarValue::Array(array) => {
                let rows = (0..array.len()).map(|row| make(&ScalarValue::try_from_array(array, row)?));
                rows.collect::<Result<_>>().map(Self::Rows)
            }
        }
    }

    fn at(&self, row: usize) -> Option<&T> {
        match self {
            Self::Same(one) => Some(one),
            Self::Rows(rows) => rows.get(row),
        }
    }
}

fn zone_of(zone: &ScalarValue) -> Result<Option<Zone>> {
    if let ScalarValue::IntervalMonthDayNano(interval) = zone {
        return match interval {
            Some(ahead) if ahead.months == 0 && ahead.days == 0 => Ok(Some(Zone::Fixed(ahead.nanoseconds / 1000))),
            Some(_) => exec_err!("a time zone is an interval of hours and minutes, without days and months"),
            None => Ok(None),
        };
    }
    let name = zone.try_as_str().flatten();
    Ok(name.map(Zone::named).transpose().map_err(|error| SqlError::BadParameter(error.to_string()))?)
}

fn in_zone(zone: &ColumnarValue, at: &ArrayRef) -> Result<ArrayRef> {
    let zones = Each::of(zone, zone_of)?;
    let is_shown = *at.data_type() == SHOWN;
    let at: &TimestampMicrosecondArray = at.as_primitive::<TimestampMicrosecondType>();
    let turned = (0..at.len()).map(|row| {
        let zone = zones.at(row)?.as_ref().filter(|_| at.is_valid(row))?;
        if is_shown { zone.moment(at.value(row)) } else { zone.shown(at.value(row)) }
    });
    let turned: TimestampMicrosecondArray = turned.collect();
    Ok(Arc::new(if is_shown { turned.with_timezone("UTC") } else { turned }))
}

/// A time with a zone, as which `date_trunc` with a zone takes all that is one.
fn time_of(given: &DataType) -> Result<DataType> {
    as_time(given, "date_trunc").map(|_| time())
}

/// The moments at which units began in a zone. Hours and less are counted at the distance from UTC that there was, so that of the
/// hour that autumn has twice each is one of its own.
fn truncated(unit: &ColumnarValue, at: &ArrayRef, zone: &ColumnarValue) -> Result<ArrayRef> {
    let units = Each::of(unit, |unit| match unit.try_as_str().flatten() {
        None => Ok(None),
        Some(word) => Ok(Some(Unit::named(unit).ok_or_else(|| {
            SqlError::BadParameter(format!(
                "date_trunc knows no unit \"{word}\"; 'hour', 'day', 'week' and 'month' are some"
            ))
        })?)),
    })?;
    let zones = Each::of(zone, zone_of)?;
    let at: &TimestampMicrosecondArray = at.as_primitive::<TimestampMicrosecondType>();
    let begins = (0..at.len()).map(|row| {
        let (unit, zone) = (units.at(row)?.as_ref()?, zones.at(row)?.as_ref()?);
        let at = at.is_valid(row).then(|| at.value(row))?;
        let begin = unit.begin(zone.shown(at)?);
        if unit.is_within_hour() { begin.checked_sub(zone.ahead(at)) } else { zone.moment(begin) }
    });
    Ok(Arc::new(begins.collect::<TimestampMicrosecondArray>().with_timezone("UTC")))
}

fn written(at: &ArrayRef, pattern: &ColumnarValue) -> Result<ArrayRef> {
    as_time(at.data_type(), "to_char")?;
    let read = |pattern: &ScalarValue| -> Result<Option<Pattern>> {
        let pattern = pattern.try_as_str().flatten().map(Pattern::read).transpose();
        Ok(pattern.map_err(|error| SqlError::BadParameter(error.to_string()))?)
    };
    let patterns = Each::of(pattern, read)?;
    let zone = *at.data_type() != SHOWN;
    let at: &TimestampMicrosecondArray = at.as_primitive::<TimestampMicrosecondType>();
    let mut texts = StringViewBuilder::with_capacity(at.len());
    let mut text = String::new();
    for row in 0..at.len() {
        match patterns.at(row) {
            Some(Some(pattern)) if at.is_valid(row) => {
                text.clear();
                pattern.write(&mut text, at.value(row), zone);
                texts.append_value(&text);
            }
            _ => texts.append_null(),
        }
    }
    Ok(Arc::new(texts.finish()))
}
