//! Joins that let others have a turn.
//!
//! The engine ends a query between two batches: then the time is up, the client has gone or rights have changed. What reads history
//! waits between batches, but a join can make rows out of what it has in memory for hours without waiting once. The engine's own
//! `CooperativeExec` counts batches and has a break after a hundred, which a nested loop that finds nothing never reaches. So every
//! join, and what it joins, is put behind a [`YieldExec`], which says by the clock that it is not ready yet.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::{RecordBatchStream, SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::execution_plan::{ChildrenPropertiesMode, ReplaceChildrenOptions};
use datafusion::physical_plan::joins::NestedLoopJoinExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures_util::Stream;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// After so long others have a turn.
const TURN: Duration = Duration::from_millis(10);
/// A nested loop goes through all rows of one side for each batch of the other without a break, so these are short.
const LOOP_ROWS: usize = 256;

/// What is put in place of a child has its properties.
const SAME: ReplaceChildrenOptions = ReplaceChildrenOptions::new(ChildrenPropertiesMode::Keep);

/// Puts a break around every join of a plan.
/// # Errors
/// A node of the plan does not take other children; that is our bug.
pub(crate) fn with_breaks(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    plan.transform_up(|node| {
        let children = node.children();
        if children.len() < 2 {
            return Ok(Transformed::no(node));
        }
        let looped = node.is::<NestedLoopJoinExec>();
        let breaks = children.into_iter().enumerate().map(|(side, child)| {
            let rows = if looped && side == 1 { LOOP_ROWS } else { usize::MAX };
            Arc::new(YieldExec { input: Arc::clone(child), rows }) as Arc<dyn ExecutionPlan>
        });
        let breaks = breaks.collect();
        let input = node.replace_children(breaks, SAME)?;
        Ok(Transformed::yes(Arc::new(YieldExec { input, rows: usize::MAX }) as Arc<dyn ExecutionPlan>))
    })
    .data()
}

/// Hands on what its input gives, with breaks.
#[derive(Debug)]
struct YieldExec {
    input: Arc<dyn ExecutionPlan>,
    /// Of a batch, at most.
    rows: usize,
}

impl DisplayAs for YieldExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YieldExec")
    }
}

impl ExecutionPlan for YieldExec {
    fn name(&self) -> &'static str {
        "YieldExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(input) => Arc::new(Self { input, rows: self.rows }),
            None => self,
        })
    }

    fn with_new_children(self: Arc<Self>, children: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        self.replace_children(children, SAME)
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let input = self.input.execute(partition, context)?;
        Ok(Box::pin(Breaks { input, rows: self.rows, rest: None, turn: Instant::now() }))
    }
}

struct Breaks {
    input: SendableRecordBatchStream,
    rows: usize,
    /// Of the last batch, what is not yet handed on.
    rest: Option<RecordBatch>,
    /// Since the last break.
    turn: Instant,
}

impl Stream for Breaks {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.turn.elapsed() >= TURN {
            self.turn = Instant::now();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let batch = match self.rest.take() {
            Some(batch) => batch,
            None => match self.input.as_mut().poll_next(context) {
                Poll::Ready(Some(Ok(batch))) => batch,
                other => return other,
            },
        };
        if batch.num_rows() > self.rows {
            self.rest = Some(batch.slice(self.rows, batch.num_rows() - self.rows));
            return Poll::Ready(Some(Ok(batch.slice(0, self.rows))));
        }
        Poll::Ready(Some(Ok(batch)))
    }
}

impl RecordBatchStream for Breaks {
    fn schema(&self) -> SchemaRef {
        self.input.schema()
    }
}
