//! What may be run: the check of every logical plan against a list of what only reads.
//!
//! The text is not looked at: a plan cannot hide in a comment, a common table expression or a string.

use crate::error::SqlError;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};

/// The longest statement, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;
/// The most operators and set operations of a statement: each may be one level of its tree.
pub const MAX_DEPTH: usize = 2000;
/// The most tables of a statement, counted as they are planned: planning grows faster than their number, and nothing ends it early.
pub const MAX_RELATIONS: usize = 200;
/// Aggregates that gather what they have seen: over a window each row would have its own copy of all before it.
const GATHERING: [&str; 2] = ["string_agg", "array_agg"];

/// Checks that a plan only reads.
/// # Errors
/// [`SqlError::Refused`] with what it would do.
pub fn check(plan: &LogicalPlan) -> Result<(), SqlError> {
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        refused = refusal(node);
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    walked.map_err(|error| SqlError::from_engine(&error, 0))?;
    if let Some(what) = refused {
        return Err(SqlError::Refused { what });
    }
    match gathered_over_a_window(plan)? {
        Some(name) => Err(SqlError::Unsupported(format!(
            "{name}(…) OVER (…) is not known here, since each row would hold all before it; use {name} with GROUP BY"
        ))),
        None => Ok(()),
    }
}

/// The first of [`GATHERING`] that is used as a window function.
fn gathered_over_a_window(plan: &LogicalPlan) -> Result<Option<&'static str>, SqlError> {
    let mut found = None;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|part| {
                if let Expr::WindowFunction(function) = part {
                    let is_one = |name: &&&str| function.fun.name().eq_ignore_ascii_case(name);
                    found = GATHERING.iter().find(is_one).copied();
                }
                Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })
        })
    });
    walked.map_err(|error| SqlError::from_engine(&error, 0))?;
    Ok(found)
}

/// Why a node is not allowed. Every kind is named, so that a new kind of the engine is a decision here.
fn refusal(node: &LogicalPlan) -> Option<String> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::DescribeTable(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => None,
        LogicalPlan::Statement(statement) => Some(statement.name().to_owned()),
        LogicalPlan::Dml(statement) => Some(statement.name().to_owned()),
        LogicalPlan::Ddl(statement) => Some(statement.name().to_owned()),
        LogicalPlan::Copy(_) => Some("COPY".to_owned()),
        LogicalPlan::Extension(extension) => Some(extension.node.name().to_owned()),
    }
}
