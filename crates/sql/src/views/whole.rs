//! A table that is read as one batch: small views, and functions that give few rows.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::Result;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::{Expr, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use std::fmt;
use std::sync::Arc;

/// What makes the batch, when it is read.
pub(crate) trait Make: Clone + fmt::Debug + Send + Sync + 'static {
    /// Its columns.
    fn schema(&self) -> &SchemaRef;

    /// All its rows.
    fn make(self) -> impl Future<Output = Result<RecordBatch>> + Send;
}

/// A table of what `M` makes.
#[derive(Clone, Debug)]
pub(crate) struct Whole<M>(pub(crate) M);

#[async_trait]
impl<M: Make> TableProvider for Whole<M> {
    fn schema(&self) -> SchemaRef {
        self.0.schema().clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    async fn scan(
        &self,
        _: &dyn Session,
        projection: Option<&Vec<usize>>,
        _: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let parts: Vec<Arc<dyn PartitionStream>> = vec![Arc::new(self.clone())];
        Ok(Arc::new(StreamingTableExec::try_new(self.0.schema().clone(), parts, projection, [], false, limit)?))
    }
}

impl<M: Make> PartitionStream for Whole<M> {
    fn schema(&self) -> &SchemaRef {
        self.0.schema()
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = futures_util::stream::once(self.0.clone().make());
        Box::pin(RecordBatchStreamAdapter::new(self.0.schema().clone(), rows))
    }
}
