//! Lengths of time that are compared: `now() - ts > INTERVAL '1 day'`.
//!
//! A difference of times is a count of µs, an interval has months, days and nanoseconds. The engine would make the one into the other, in
//! nanoseconds, which end after 292 years, and compares months before days. Here both become µs, as PostgreSQL compares them: a month
//! is 30 days and a day 24 hours. The same goes for the seconds of a difference, `extract(epoch from now() - ts)`.

use crate::times::DAY_US;
use arrow::array::{ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, DurationMicrosecondType, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::{Between, ScalarFunction};
use datafusion::logical_expr::{
    BinaryExpr, Cast, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use std::sync::{Arc, LazyLock};

/// The rule.
#[derive(Debug)]
pub(crate) struct Lengths;

impl AnalyzerRule for Lengths {
    fn name(&self) -> &'static str {
        "lengths_of_time"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        super::casts::expressions(plan, compared)
    }
}

pub(super) const fn is_comparison(op: Operator) -> bool {
    use Operator::{Eq, Gt, GtEq, IsDistinctFrom, IsNotDistinctFrom, Lt, LtEq, NotEq};
    matches!(op, Eq | NotEq | Lt | LtEq | Gt | GtEq | IsDistinctFrom | IsNotDistinctFrom)
}

/// A comparison of lengths as one of µs.
fn compared(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_length = |side: &Expr| {
        side.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Interval(_) | DataType::Duration(_)))
    };
    Ok(match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if is_comparison(op) && is_length(&left) && is_length(&right) =>
        {
            let (left, right) = (Box::new(in_us(*left, schema)), Box::new(in_us(*right, schema)));
            Transformed::yes(Expr::BinaryExpr(BinaryExpr { left, op, right }))
        }
        Expr::Between(Between { expr, negated, low, high })
            if is_length(&expr) && is_length(&low) && is_length(&high) =>
        {
            let [expr, low, high] = [expr, low, high].map(|side| Box::new(in_us(*side, schema)));
            Transformed::yes(Expr::Between(Between { expr, negated, low, high }))
        }
        Expr::ScalarFunction(call) if is_epoch(&call, schema) => match call.args.into_iter().next_back() {
            Some(difference) => Transformed::yes(seconds(in_us(difference, schema))),
            None => return exec_err!("extract takes a time"),
        },
        other => Transformed::no(other),
    })
}

/// Whether an expression is a difference of times, also where the engine has made an interval of it.
fn is_difference(expr: &Expr, schema: &DFSchema) -> bool {
    let is_one = |expr: &Expr| expr.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_)));
    is_one(expr) || matches!(expr, Expr::Cast(Cast { expr, .. }) if is_one(expr))
}

/// `extract(epoch from now() - ts)`.
fn is_epoch(call: &ScalarFunction, schema: &DFSchema) -> bool {
    let [Expr::Literal(part, _), at] = &call.args[..] else { return false };
    let part = part.try_as_str().flatten();
    call.func.name() == "date_part"
        && part.is_some_and(|part| part.eq_ignore_ascii_case("epoch"))
        && is_difference(at, schema)
}

fn seconds(us: Expr) -> Expr {
    let us = Expr::Cast(Cast::new(Box::new(us), DataType::Float64));
    let million = Expr::Literal(ScalarValue::Float64(Some(1e6)), None);
    Expr::BinaryExpr(BinaryExpr { left: Box::new(us), op: Operator::Divide, right: Box::new(million) })
}

fn in_us(side: Expr, schema: &DFSchema) -> Expr {
    static OURS: LazyLock<Arc<ScalarUDF>> =
        LazyLock::new(|| Arc::new(ScalarUDF::from(InUs { signature: Signature::any(1, Volatility::Immutable) })));
    let inner = match side {
        // What the engine has just put around a difference.
        Expr::Cast(Cast { expr, .. })
            if expr.get_type(schema).is_ok_and(|kind| matches!(kind, DataType::Duration(_))) =>
        {
            *expr
        }
        other => other,
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::clone(&OURS), vec![inner]))
}

/// A length of time in µs; null where that is more than can be counted.
#[derive(Debug, PartialEq, Eq, Hash)]
struct InUs {
    signature: Signature,
}

fn us_of(lengths: &ArrayRef) -> Result<ArrayRef> {
    if matches!(lengths.data_type(), DataType::Duration(_)) {
        let lengths = cast(lengths, &DataType::Duration(TimeUnit::Microsecond))?;
        return Ok(Arc::new(
            lengths.as_primitive::<DurationMicrosecondType>().reinterpret_cast::<arrow::datatypes::Int64Type>(),
        ));
    }
    let lengths = cast(lengths, &DataType::Interval(IntervalUnit::MonthDayNano))?;
    let us = lengths.as_primitive::<IntervalMonthDayNanoType>().iter().map(|length| {
        let length = length?;
        let days = i64::from(length.months) * 30 + i64::from(length.days);
        days.checked_mul(DAY_US)?.checked_add(length.nanoseconds / 1000)
    });
    Ok(Arc::new(us.collect::<Int64Array>()))
}

impl ScalarUDFImpl for InUs {
    fn name(&self) -> &'static str {
        "length_us"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [ColumnarValue::Array(lengths)] => Ok(ColumnarValue::Array(us_of(lengths)?)),
            [ColumnarValue::Scalar(length)] => {
                Ok(ColumnarValue::Scalar(ScalarValue::try_from_array(&us_of(&length.to_array()?)?, 0)?))
            }
            _ => exec_err!("a length of time is one argument"),
        }
    }
}
