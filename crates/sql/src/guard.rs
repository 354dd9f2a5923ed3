//! What may be run: the check of every logical plan against a list of what only reads.
//!
//! The text is not looked at: a plan cannot hide in a comment, a common table expression or a string.

use crate::error::SqlError;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::LogicalPlan;

/// The longest statement, in bytes.
pub const MAX_TEXT: usize = 256 * 1024;
/// The most operators and set operations of a statement: each may be one level of its tree.
pub const MAX_DEPTH: usize = 2000;

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
    match refused {
        Some(what) => Err(SqlError::Refused { what }),
        None => Ok(()),
    }
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
