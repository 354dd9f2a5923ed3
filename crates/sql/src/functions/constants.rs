//! Texts that a statement itself holds, bounded: what it selects of them, each row has a copy of.
//!
//! A text of 256 KiB in the list of columns would be 2 GiB in a batch of 8,192 rows, and so would what `repeat('x', 100000)` is before the
//! first row is read. What a column is only compared with is not copied and not counted.

use super::lengths::is_comparison;
use crate::error::SqlError;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan};

/// The most bytes of them in a statement: 128 MiB in a batch of rows.
const MOST: usize = 16 * 1024;
/// The most columns of a list, as in PostgreSQL.
const MOST_COLUMNS: usize = 1664;
/// Texts that need no more room than a number are not counted.
const SHORT: usize = 12;

/// # Errors
/// There is more in it than may be.
pub(crate) fn check(plan: &LogicalPlan) -> Result<(), SqlError> {
    let (mut bytes, mut columns) = (0_usize, 0);
    let alone = is_one_row(plan)?;
    let walked = plan.apply_with_subqueries(|node| {
        match node {
            LogicalPlan::Filter(_) | LogicalPlan::Join(_) | LogicalPlan::TableScan(_) | LogicalPlan::Limit(_) => {}
            // Of these a row has one.
            LogicalPlan::Values(values) => {
                let longest = values.values.iter().flatten().map(copied).max();
                bytes = bytes.saturating_add(longest.unwrap_or(0));
            }
            other => {
                columns = columns.max(other.expressions().len());
                other.apply_expressions(|expr| {
                    bytes = bytes.saturating_add(copied(expr));
                    Ok(TreeNodeRecursion::Continue)
                })?;
            }
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.map_err(|error| SqlError::from_engine(&error, 0))?;
    if columns > MOST_COLUMNS {
        return Err(SqlError::TooBig { what: "wide", limit: format!("{MOST_COLUMNS} columns") });
    }
    if bytes > MOST && !alone {
        let what = "full of texts of its own, of which each row would have a copy";
        return Err(SqlError::TooBig { what, limit: format!("{} KiB", MOST / 1024) });
    }
    Ok(())
}

/// Whether there is one row, whatever it is made of: then nothing is copied.
fn is_one_row(plan: &LogicalPlan) -> Result<bool, SqlError> {
    let mut alone = true;
    let walked = plan.apply_with_subqueries(|node| {
        alone &= matches!(
            node,
            LogicalPlan::Projection(_)
                | LogicalPlan::EmptyRelation(_)
                | LogicalPlan::SubqueryAlias(_)
                | LogicalPlan::Filter(_)
                | LogicalPlan::Limit(_)
                | LogicalPlan::Sort(_)
                | LogicalPlan::Aggregate(_)
        );
        Ok(if alone { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    walked.map_err(|error| SqlError::from_engine(&error, 0))?;
    Ok(alone)
}

/// Bytes of the texts in an expression that become part of rows.
fn copied(expr: &Expr) -> usize {
    let mut bytes = 0_usize;
    let _ = expr.apply(|part| {
        Ok(match part {
            Expr::Literal(value, _) => {
                bytes = bytes.saturating_add(Some(size(value)).filter(|size| *size > SHORT).unwrap_or(0));
                TreeNodeRecursion::Continue
            }
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                bytes = bytes.saturating_add(results.map(|result| copied(result)).sum());
                TreeNodeRecursion::Jump
            }
            Expr::BinaryExpr(BinaryExpr { op, .. }) if is_comparison(*op) => TreeNodeRecursion::Jump,
            Expr::InList(_) | Expr::Like(_) | Expr::SimilarTo(_) | Expr::Between(_) => TreeNodeRecursion::Jump,
            _ => TreeNodeRecursion::Continue,
        })
    });
    bytes
}

fn size(value: &ScalarValue) -> usize {
    match value {
        ScalarValue::Utf8(text) | ScalarValue::Utf8View(text) | ScalarValue::LargeUtf8(text) => {
            text.as_ref().map_or(0, String::len)
        }
        ScalarValue::Binary(bytes) | ScalarValue::BinaryView(bytes) | ScalarValue::LargeBinary(bytes) => {
            bytes.as_ref().map_or(0, Vec::len)
        }
        list if list.data_type().is_nested() => list.size(),
        _ => 0,
    }
}
