//! `stale = '0'`: true and false as ODBC writes them.

use datafusion::common::{DFSchema, Result, ScalarValue};
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::{BinaryExpr, Expr, ExprSchemable, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// Reads a text that is compared with something that is true or false as PostgreSQL does.
#[derive(Debug)]
pub(super) struct Booleans;

impl ExprPlanner for Booleans {
    fn plan_binary_op(&self, expr: RawBinaryExpr, schema: &DFSchema) -> Result<PlannerResult<RawBinaryExpr>> {
        let op = match expr.op {
            BinaryOperator::Eq => Operator::Eq,
            BinaryOperator::NotEq => Operator::NotEq,
            _ => return Ok(PlannerResult::Original(expr)),
        };
        let other_is_boolean = |other: &Expr| matches!(other.get_type(schema), Ok(arrow::datatypes::DataType::Boolean));
        let (left, right) = match (word(&expr.left), word(&expr.right)) {
            (None, Some(yes)) if other_is_boolean(&expr.left) => (expr.left, literal(yes)),
            (Some(yes), None) if other_is_boolean(&expr.right) => (literal(yes), expr.right),
            _ => return Ok(PlannerResult::Original(expr)),
        };
        Ok(PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))))
    }
}

fn literal(yes: bool) -> Expr {
    Expr::Literal(ScalarValue::Boolean(Some(yes)), None)
}

/// What a text literal means as true or false; `None` if it is none, or means neither.
fn word(expr: &Expr) -> Option<bool> {
    let Expr::Literal(value, _) = expr else { return None };
    match value.try_as_str()??.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "y" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}
