//! Texts that are taken for times: `ts >= '2026-11-20 08:00'`, `raw::timestamptz`.
//!
//! The engine makes a cast of each, and its own casts know one spelling. A rule that runs behind the engine's own puts [`crate::times::literal`]
//! in their place: at once where the text stands in the statement, and as a function where it comes from a row.
//!
//! It also counts in nanoseconds wherever a text or a date meets a time, in which there is no year 1 and no year 9999. The same rule makes
//! µs of every nanosecond, so that no time is lost on the way to a comparison.

use crate::error::SqlError;
use crate::times::{DAY_US, literal};
use arrow::array::{Array, ArrayRef, AsArray, TimestampMicrosecondArray};
use arrow::compute::{CastOptions, cast, cast_with_options};
use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
    TryCast, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::Arc;

/// The rule.
#[derive(Debug)]
pub(crate) struct Times;

impl AnalyzerRule for Times {
    fn name(&self) -> &'static str {
        "texts_that_are_times"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        expressions(plan, of)
    }
}

/// Every part of every expression of a plan, with the columns that it knows, as `change` has it; what they are called stays.
pub(super) fn expressions(
    plan: LogicalPlan,
    change: impl Fn(Expr, &DFSchema) -> Result<Transformed<Expr>>,
) -> Result<LogicalPlan> {
    // What lies below may have another type than before, which all above it must hear of.
    let mut any = false;
    let changed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let mut schema = DFSchema::empty();
        for input in node.inputs() {
            schema.merge(input.schema());
        }
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let changed = expr.transform_up(|part| change(part, &schema))?;
            Ok(if changed.transformed { changed.update_data(|expr| name.restore(expr)) } else { changed })
        })?;
        any |= node.transformed;
        if any { Ok(Transformed::yes(node.data.recompute_schema()?)) } else { Ok(node) }
    });
    Ok(changed?.data)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Utf8View | DataType::LargeUtf8)
}

const fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32)
}

/// The type in µs of a time in nanoseconds; `None` for all others.
fn in_micros(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            Some(DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))
        }
        _ => None,
    }
}

fn cast_to(expr: Expr, to: &DataType) -> Expr {
    Expr::Cast(Cast::new(Box::new(expr), to.clone()))
}

/// A cast of a text to a time as ours, and every time in nanoseconds as one in µs.
fn of(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (inner, to, or_null) = match &expr {
        Expr::Cast(Cast { expr, field }) => (expr, field.data_type(), false),
        Expr::TryCast(TryCast { expr, field }) => (expr, field.data_type(), true),
        Expr::ScalarFunction(_) => {
            let to = expr.get_type(schema).ok().as_ref().and_then(in_micros);
            return Ok(match to {
                Some(to) => Transformed::yes(cast_to(expr, &to)),
                None => Transformed::no(expr),
            });
        }
        Expr::Literal(value, _) => {
            return Ok(match in_micros(&value.data_type()) {
                Some(to) => Transformed::yes(Expr::Literal(value.cast_to(&to)?, None)),
                None => Transformed::no(expr),
            });
        }
        _ => return Ok(Transformed::no(expr)),
    };
    if !is_time(to) {
        return Ok(Transformed::no(expr));
    }
    let in_micros = in_micros(to);
    let Ok(from) = inner.get_type(schema) else { return Ok(Transformed::no(expr)) };
    if !is_text(&from) {
        return Ok(match in_micros {
            Some(to) if to == from => Transformed::yes((**inner).clone()),
            Some(to) if or_null => Transformed::yes(Expr::TryCast(TryCast::new(inner.clone(), to))),
            Some(to) => Transformed::yes(cast_to((**inner).clone(), &to)),
            None => Transformed::no(expr),
        });
    }
    let read = Read::new(in_micros.unwrap_or_else(|| to.clone()), or_null);
    if let Expr::Literal(text, _) = &**inner {
        let array = read.all(&text.to_array()?)?;
        return Ok(Transformed::yes(Expr::Literal(ScalarValue::try_from_array(&array, 0)?, None)));
    }
    let call = ScalarFunction::new_udf(Arc::new(ScalarUDF::from(read)), vec![(**inner).clone()]);
    Ok(Transformed::yes(Expr::ScalarFunction(call)))
}

/// A text as a time.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Read {
    to: DataType,
    or_null: bool,
    signature: Signature,
}

impl Read {
    fn new(to: DataType, or_null: bool) -> Self {
        Self { to, or_null, signature: Signature::any(1, Volatility::Immutable) }
    }

    /// # Errors
    /// One of them is no time.
    fn all(&self, texts: &ArrayRef) -> Result<ArrayRef> {
        let texts = cast(texts, &DataType::Utf8View)?;
        let texts = texts.as_string_view();
        let zoned = matches!(self.to, DataType::Timestamp(_, Some(_)));
        let one = |text: &str| if zoned { literal::moment(text) } else { literal::shown(text) };
        let read = texts.iter().map(|text| match text.map(|text| (text, one(text))) {
            None => Ok(None),
            Some((text, None)) if !self.or_null => Err(SqlError::BadTime(text.chars().take(100).collect())),
            Some((_, None)) => Ok(None),
            Some((_, Some(at))) if self.to == DataType::Date32 => Ok(Some(at - at.rem_euclid(DAY_US))),
            Some((_, at)) => Ok(at),
        });
        let read = read.collect::<Result<TimestampMicrosecondArray, SqlError>>()?;
        let zone = match &self.to {
            DataType::Timestamp(_, zone) => zone.clone(),
            _ => None,
        };
        let read = read.with_timezone_opt(zone);
        if read.data_type() == &self.to {
            return Ok(Arc::new(read));
        }
        // Never null for what cannot be counted, unless that was asked for.
        let options = CastOptions { safe: self.or_null, ..CastOptions::default() };
        Ok(cast_with_options(&(Arc::new(read) as ArrayRef), &self.to, &options)?)
    }
}

impl ScalarUDFImpl for Read {
    fn name(&self) -> &'static str {
        "read_time"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.to.clone())
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(texts)] => Ok(ColumnarValue::Array(self.all(texts)?)),
            [ColumnarValue::Scalar(text)] => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&self.all(&text.to_array()?)?, 0)?))
            }
            _ => exec_err!("a time is read from one text"),
        }
    }
}
