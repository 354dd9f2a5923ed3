//! Reading that blocks, in steps: the threads of the runtime never wait for the disk.

use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use std::collections::VecDeque;

/// What a step brought.
pub(super) enum Step<W> {
    /// Rows, or none yet; there may be more.
    Rows(VecDeque<RecordBatch>, W),
    /// The last rows.
    Last(VecDeque<RecordBatch>),
}

/// Work in steps, each of which may block for some milliseconds.
pub(super) trait Work: Sized + Send + 'static {
    /// # Errors
    /// The rows cannot be read, or may not be any more.
    fn step(self) -> Result<Step<Self>>;
}

/// The rows that the work makes: a step at a time on a thread that may wait; nothing is held there between steps.
pub(super) fn rows(schema: SchemaRef, work: impl Work) -> SendableRecordBatchStream {
    let begin = (VecDeque::new(), Some(work));
    let stream = futures_util::stream::try_unfold(begin, |(mut ready, mut work)| async move {
        loop {
            if let Some(batch) = ready.pop_front() {
                return Ok(Some((batch, (ready, work))));
            }
            let Some(next) = work.take() else { return Ok(None) };
            let step = tokio::task::spawn_blocking(move || next.step()).await;
            match step.map_err(|fault| DataFusionError::Execution(format!("reading history failed: {fault}")))?? {
                Step::Rows(rows, more) => (ready, work) = (rows, Some(more)),
                Step::Last(rows) => ready = rows,
            }
        }
    });
    Box::pin(RecordBatchStreamAdapter::new(schema, stream))
}
