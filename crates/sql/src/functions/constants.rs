//! Texts that a statement itself holds, bounded: what it selects of them, each row has a copy of.
//!
//! A text of 256 KiB in the list of columns, or given to a function in a condition, would be 8 GiB in a batch of 32,768 rows, and so
//! would what `repeat('x', 100000)` is before the first row is read. What something is only compared with is not copied and not counted.

use super::lengths::is_comparison;
use crate::engine::BATCH;
use crate::error::SqlError;
use datafusion::common::ScalarValue;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{BinaryExpr, Expr, LogicalPlan};

/// The most bytes of them in a statement: 128 MiB in a batch of rows.
const MOST: usize = (128 << 20) / BATCH;
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
            LogicalPlan::Limit(_) => {}
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
    let mut add = |more: usize| bytes = bytes.saturating_add(more);
    let _ = expr.apply(|part| {
        let compared = match part {
            Expr::Literal(value, _) => {
                add(Some(size(value)).filter(|size| *size > SHORT).unwrap_or(0));
                return Ok(TreeNodeRecursion::Continue);
            }
            Expr::Case(case) => {
                let results = case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr);
                // A row takes one of them.
                add(results.map(|result| copied(result)).max().unwrap_or(0));
                let conditions = case.when_then_expr.iter().map(|(when, _)| when).chain(&case.expr);
                conditions.map(|condition| &**condition).collect()
            }
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => vec![&**left, &**right],
            Expr::InList(list) => std::iter::once(&*list.expr).chain(&list.list).collect(),
            Expr::Like(like) | Expr::SimilarTo(like) => vec![&*like.expr, &*like.pattern],
            Expr::Between(between) => vec![&*between.expr, &*between.low, &*between.high],
            _ => return Ok(TreeNodeRecursion::Continue),
        };
        compared.into_iter().filter(|side| !is_text(side)).for_each(|side| add(copied(side)));
        Ok(TreeNodeRecursion::Jump)
    });
    bytes
}

/// Whether it is nothing but a text, perhaps of another type.
fn is_text(expr: &Expr) -> bool {
    match expr {
        Expr::Literal(..) => true,
        Expr::Cast(cast) => is_text(&cast.expr),
        Expr::TryCast(cast) => is_text(&cast.expr),
        _ => false,
    }
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
