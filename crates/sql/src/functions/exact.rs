//! `+`, `-` and `*` of whole numbers: an error where the answer is beyond their type, as in PostgreSQL.
//!
//! The engine's own begin again at the other end, and its optimiser works them out of constants before a plan is made. A rule puts a
//! function of ours in the place of each.

use super::casts::expressions;
use arrow::array::{ArrayRef, Datum};
use arrow::compute::kernels::numeric;
use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, Result, exec_err};
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable, LogicalPlan, Operator, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Volatility,
};
use datafusion::optimizer::AnalyzerRule;
use datafusion::physical_expr_common::datum::apply;

/// The rule.
#[derive(Debug)]
pub(crate) struct Exact;

impl AnalyzerRule for Exact {
    fn name(&self) -> &'static str {
        "whole_numbers_within_their_type"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        expressions(plan, of)
    }
}

fn of(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let is_whole = |expr: &Expr| expr.get_type(schema).is_ok_and(|of| of.is_integer());
    Ok(match expr {
        Expr::Negative(of) if is_whole(&of) => call(Checked::Negate, vec![*of]),
        Expr::BinaryExpr(BinaryExpr { left, op, right })
            if matches!(op, Operator::Plus | Operator::Minus | Operator::Multiply)
                && is_whole(&left)
                && is_whole(&right) =>
        {
            let which = match op {
                Operator::Plus => Checked::Add,
                Operator::Minus => Checked::Subtract,
                _ => Checked::Multiply,
            };
            call(which, vec![*left, *right])
        }
        other => Transformed::no(other),
    })
}

fn call(which: Checked, args: Vec<Expr>) -> Transformed<Expr> {
    let signature = Signature::any(args.len(), Volatility::Immutable);
    Transformed::yes(ScalarUDF::from(Whole { which, signature }).call(args))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Checked {
    Add,
    Subtract,
    Multiply,
    Negate,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Whole {
    which: Checked,
    signature: Signature,
}

impl Whole {
    const fn work(&self) -> fn(&dyn Datum, &dyn Datum) -> std::result::Result<ArrayRef, ArrowError> {
        match self.which {
            Checked::Add => numeric::add,
            Checked::Subtract | Checked::Negate => numeric::sub,
            Checked::Multiply => numeric::mul,
        }
    }
}

impl ScalarUDFImpl for Whole {
    fn name(&self) -> &str {
        match self.which {
            Checked::Add => "whole_add",
            Checked::Subtract => "whole_subtract",
            Checked::Multiply => "whole_multiply",
            Checked::Negate => "whole_negate",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        match types {
            [of, ..] => Ok(of.clone()),
            [] => exec_err!("a calculation needs a number"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match &args.args[..] {
            [of] => match of {
                ColumnarValue::Array(array) => Ok(ColumnarValue::Array(numeric::neg(array)?)),
                ColumnarValue::Scalar(one) => Ok(ColumnarValue::Scalar(one.arithmetic_negate()?)),
            },
            [left, right] => apply(left, right, self.work()),
            _ => exec_err!("a calculation needs one or two numbers"),
        }
    }
}
