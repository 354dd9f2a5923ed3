//! Scans of history: what is read target by target, the rows of each in the order of time.
//!
//! A target is a tag ([`samples`](super::samples)) or an equipment with several of its tags ([`beside`](super::beside)). Partitions hold
//! neighbouring targets; within each, rows are ordered by (path, ts), which is declared.

use super::steps::{self, Step, Work};
use super::{beside, samples};
use crate::engine::{BATCH, Caller};
use crate::error::SqlError;
use crate::ports::{Blocks, Rows, Summed, Unreadable};
use andon_model::TagId;
use arrow::array::ArrayRef;
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column as PhysicalColumn;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions, SchedulingType};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

// ---- what is read ----

/// Targets in partitions of neighbours; at least one partition, which may be empty.
#[derive(Debug, Clone)]
pub(super) struct Parts<T>(Arc<[Arc<[T]>]>);

impl<T: Clone> Parts<T> {
    pub(super) fn new(targets: &[T], partitions: usize) -> Self {
        let each = targets.len().div_ceil(partitions.clamp(1, targets.len().max(1))).max(1);
        let mut parts: Vec<Arc<[T]>> = targets.chunks(each).map(Arc::from).collect();
        if parts.is_empty() {
            parts.push(Arc::new([]));
        }
        Self(parts.into())
    }

    pub(super) fn all(&self) -> &[Arc<[T]>] {
        &self.0
    }

    pub(super) fn get(&self, partition: usize, target: usize) -> Option<&T> {
        self.0.get(partition)?.get(target)
    }

    /// Of all partitions.
    pub(super) fn count(&self) -> usize {
        self.0.iter().map(|part| part.len()).sum()
    }

    fn len(&self, partition: usize) -> usize {
        self.0.get(partition).map_or(0, |part| part.len())
    }
}

/// What gives rows target by target, those of each in the order of time.
#[derive(Debug, Clone)]
pub(super) enum Feed {
    /// The samples of tags.
    Samples(samples::Source),
    /// Tags of equipment side by side.
    Beside(beside::Source),
}

impl Feed {
    /// The columns of the view: first `path`, then `ts`.
    pub(super) fn schema(&self) -> SchemaRef {
        match self {
            Self::Samples(_) => samples::schema(),
            Self::Beside(source) => source.asked.schema.clone(),
        }
    }

    pub(super) fn caller(&self) -> &Caller {
        match self {
            Self::Samples(source) => &source.caller,
            Self::Beside(source) => &source.asked.caller,
        }
    }

    /// How many targets there are.
    pub(super) fn targets(&self) -> usize {
        match self {
            Self::Samples(source) => source.parts.count(),
            Self::Beside(source) => source.parts.count(),
        }
    }

    pub(super) fn partitions(&self) -> usize {
        match self {
            Self::Samples(source) => source.parts.all().len(),
            Self::Beside(source) => source.parts.all().len(),
        }
    }

    /// The targets of a partition by the numbers of their tags: read like that, pages are unpacked once.
    pub(super) fn quickest_order(&self, partition: usize) -> Vec<usize> {
        let number = |target: &usize| match self {
            Self::Samples(source) => source.parts.get(partition, *target).map(|tag| tag.id),
            Self::Beside(source) => source.parts.get(partition, *target)?.tags.iter().flatten().next().copied(),
        };
        let mut order: Vec<usize> = (0..self.len(partition)).collect();
        order.sort_by_key(number);
        order
    }

    fn len(&self, partition: usize) -> usize {
        match self {
            Self::Samples(source) => source.parts.len(partition),
            Self::Beside(source) => source.parts.len(partition),
        }
    }

    pub(super) fn path(&self, partition: usize, target: usize) -> Option<&Arc<str>> {
        match self {
            Self::Samples(source) => Some(&source.parts.get(partition, target)?.path),
            Self::Beside(source) => Some(&source.parts.get(partition, target)?.path),
        }
    }

    /// Whether the column is the one of which history knows sums.
    pub(super) fn is_value(&self, column: usize) -> bool {
        matches!(self, Self::Samples(_)) && self.schema().field(column).name() == "value"
    }

    /// Reads what is begun on it.
    pub(super) fn reader(&self, partition: usize) -> Reader {
        let open = || self.caller().ports.history.open();
        let blocks = match self {
            Self::Samples(_) => Reading::Tag(open()),
            Self::Beside(source) => Reading::Beside(beside::Merging::new(source, open)),
        };
        Reader { feed: self.clone(), partition, blocks, path: "".into(), paths: None }
    }
}

impl fmt::Display for Feed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Samples(source) => source.fmt(f),
            Self::Beside(source) => source.fmt(f),
        }
    }
}

// ---- reading ----

/// Rows of one target, ascending in time.
pub(super) enum Part {
    Rows(Rows),
    Beside(beside::Merged),
}

impl Part {
    pub(super) fn ts(&self) -> &[i64] {
        match self {
            Self::Rows(rows) => &rows.ts,
            Self::Beside(merged) => &merged.ts,
        }
    }

    /// The rows of a tag.
    pub(super) fn into_rows(self) -> Option<Rows> {
        match self {
            Self::Rows(rows) => Some(rows),
            Self::Beside(_) => None,
        }
    }

    /// A column of the view, but the path.
    fn column(&self, column: usize, at: usize, to: usize) -> ArrayRef {
        match self {
            Self::Rows(rows) => samples::column_of(column, rows, at, to),
            Self::Beside(merged) => merged.column(column, at, to),
        }
    }
}

enum Reading {
    Tag(Box<dyn Blocks>),
    Beside(beside::Merging),
}

/// Reads the targets of a partition, one after the other.
pub(super) struct Reader {
    feed: Feed,
    partition: usize,
    blocks: Reading,
    path: Arc<str>,
    /// The path, repeated; grown to the longest batch so far and then only sliced.
    paths: Option<ArrayRef>,
}

impl Reader {
    /// Begins to read a target; `false` if there is none.
    pub(super) fn begin(&mut self, target: usize) -> bool {
        let Some(path) = self.feed.path(self.partition, target) else { return false };
        (self.path, self.paths) = (path.clone(), None);
        match (&mut self.blocks, &self.feed) {
            (Reading::Tag(blocks), Feed::Samples(source)) => {
                let id = source.parts.get(self.partition, target).map_or(TagId(0), |tag| tag.id);
                blocks.begin(id, source.span.from, source.span.to);
            }
            (Reading::Beside(merging), Feed::Beside(source)) => {
                if let Some(equipment) = source.parts.get(self.partition, target) {
                    merging.begin(equipment, source.span);
                }
            }
            _ => return false,
        }
        true
    }

    /// The next rows; `None` at the end. Blocks.
    pub(super) fn next(&mut self) -> Result<Option<Part>> {
        let part = match &mut self.blocks {
            Reading::Tag(blocks) => blocks.next().map(|rows| rows.map(Part::Rows)),
            Reading::Beside(merging) => merging.next().map(|merged| merged.map(Part::Beside)),
        };
        part.transpose().map_err(|unreadable| self.error(&unreadable))
    }

    /// The next rows of a tag, or what they add up to; `None` at the end. Blocks.
    pub(super) fn next_summed(&mut self, width_us: Option<i64>) -> Result<Option<Summed>> {
        let Reading::Tag(blocks) = &mut self.blocks else { return Ok(None) };
        let summed = blocks.next_summed(width_us).transpose();
        summed.map_err(|unreadable| self.error(&unreadable))
    }

    fn error(&self, unreadable: &Unreadable) -> DataFusionError {
        SqlError::Damaged(format!("history of {}: {unreadable}", self.path)).into()
    }
}

/// Which columns are made.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    schema: SchemaRef,
    columns: Arc<[usize]>,
}

impl Shape {
    /// These columns of a view.
    pub(super) fn new(view: &SchemaRef, columns: Arc<[usize]>) -> Result<Self> {
        Ok(Self { schema: Arc::new(view.project(&columns)?), columns })
    }

    /// Rows of what is being read.
    pub(super) fn batch(&self, reader: &mut Reader, part: &Part, at: usize, to: usize) -> Result<RecordBatch> {
        let len = to - at;
        let arrays = self.columns.iter().map(|column| match column {
            0 => samples::repeated(&mut reader.paths, &reader.path, len),
            other => part.column(*other, at, to),
        });
        let arrays: Vec<ArrayRef> = arrays.collect();
        let options = RecordBatchOptions::new().with_row_count(Some(len));
        Ok(RecordBatch::try_new_with_options(self.schema.clone(), arrays, &options)?)
    }
}

// ---- the plan ----

/// Reads history target by target.
#[derive(Debug, Clone)]
pub(super) struct ScanExec {
    feed: Feed,
    shape: Shape,
    limit: Option<usize>,
    properties: Arc<PlanProperties>,
}

impl ScanExec {
    pub(super) fn new(feed: Feed, projection: Option<&Vec<usize>>, limit: Option<usize>) -> Result<Self> {
        let all = feed.schema();
        let columns = projection.map_or_else(|| (0..all.fields().len()).collect(), |p| p.as_slice().into());
        let shape = Shape::new(&all, columns)?;
        let orderings = orderings(&shape.schema, feed.targets());
        let properties = PlanProperties::new(
            EquivalenceProperties::new_with_orderings(shape.schema.clone(), orderings),
            Partitioning::UnknownPartitioning(feed.partitions()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        )
        .with_scheduling_type(SchedulingType::Cooperative);
        Ok(Self { feed, shape, limit, properties: Arc::new(properties) })
    }

    /// What it reads, unless it stops before the end.
    pub(super) fn feed(&self) -> Option<&Feed> {
        self.limit.is_none().then_some(&self.feed)
    }

    /// Which columns of the view it gives.
    pub(super) fn columns(&self) -> &[usize] {
        &self.shape.columns
    }
}

/// (path, ts), and ts alone where there is one target.
fn orderings(schema: &SchemaRef, targets: usize) -> Vec<LexOrdering> {
    let by = |name: &str| {
        let index = schema.index_of(name).ok()?;
        let column: Arc<dyn PhysicalExpr> = Arc::new(PhysicalColumn::new(name, index));
        Some(PhysicalSortExpr::new(column, SortOptions::new(false, false)))
    };
    let (path, ts) = (by("path"), by("ts"));
    let mut all = Vec::new();
    if targets <= 1 {
        all.extend(LexOrdering::new(ts.clone()));
    }
    // Without the path, the times of several targets have no order.
    if let Some(path) = path {
        all.extend(LexOrdering::new([Some(path), ts].into_iter().flatten()));
    }
    all
}

impl DisplayAs for ScanExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.name(), self.feed)?;
        if let Some(limit) = self.limit {
            write!(f, ", limit={limit}")?;
        }
        let names: Vec<_> = self.schema().fields().iter().map(|field| field.name().clone()).collect();
        write!(f, ", columns=[{}]", names.join(", "))
    }
}

impl ExecutionPlan for ScanExec {
    fn name(&self) -> &'static str {
        match self.feed {
            Feed::Samples(_) => "SamplesExec",
            Feed::Beside(_) => "SideBySideExec",
        }
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn replace_children(
        self: Arc<Self>,
        _: Vec<Arc<dyn ExecutionPlan>>,
        _: ReplaceChildrenOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_new_children(self: Arc<Self>, _: Vec<Arc<dyn ExecutionPlan>>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(self)
    }

    fn with_fetch(&self, limit: Option<usize>) -> Option<Arc<dyn ExecutionPlan>> {
        Some(Arc::new(Self { limit, ..self.clone() }))
    }

    fn fetch(&self) -> Option<usize> {
        self.limit
    }

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition >= self.feed.partitions() {
            return Err(DataFusionError::Internal("there is no such partition".to_owned()));
        }
        let scanning = Scanning {
            reader: self.feed.reader(partition),
            next: 0,
            reading: false,
            shape: self.shape.clone(),
            left: self.limit.unwrap_or(usize::MAX),
        };
        Ok(steps::rows(self.schema(), scanning))
    }
}

struct Scanning {
    reader: Reader,
    next: usize,
    /// Whether a target is being read.
    reading: bool,
    shape: Shape,
    left: usize,
}

impl Work for Scanning {
    /// Reads on until there are rows for a batch: a block, or several where tags have few. Blocks.
    fn step(mut self) -> Result<Step<Self>> {
        let (mut made, mut batches) = (0, VecDeque::new());
        while self.left > 0 && made < BATCH / 4 {
            self.reader.feed.caller().still()?;
            if !self.reading {
                if !self.reader.begin(self.next) {
                    return Ok(Step::Last(batches));
                }
                self.next += 1;
                self.reading = true;
            }
            let Some(part) = self.reader.next()? else {
                self.reading = false;
                continue;
            };
            self.reader.feed.caller().still()?;
            let mut at = 0;
            let end = part.ts().len().min(self.left);
            self.left -= end;
            made += end;
            while at < end {
                let to = (at + BATCH).min(end);
                batches.push_back(self.shape.batch(&mut self.reader, &part, at, to)?);
                at = to;
            }
        }
        Ok(if self.left > 0 { Step::Rows(batches, self) } else { Step::Last(batches) })
    }
}
