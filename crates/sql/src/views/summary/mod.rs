//! Aggregates of history, calculated while it is read.
//!
//! `avg`, `min`, `max`, `sum` and `count` for tags and stretches of time are what reports and screens ask for. The engine would have
//! every value copied into a batch with its path beside it, and would look up the group of each row. But history gives
//! rows tag by tag and in the order of time, so that a group is a stretch of a block, and often knows already what a minute or
//! an hour adds up to: [`Summaries`] puts [`SummaryExec`] in the place of such an aggregate. Where groups are made by tag, all rows of
//! one are in one partition, and nothing is left to do; elsewhere it takes the place of the first stage, and what the engine does
//! after that does not change. Columns, their types and the meaning of null stay as they were.

mod asked;
mod groups;

use super::scan::{Feed, Part, Reader, Shape};
use super::steps::{self, Step, Work};
use crate::engine::BATCH;
use crate::ports::Summed;
use arrow::array::{ArrayRef, StringViewArray, TimestampMicrosecondArray};
use arrow::compute::SortOptions;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use asked::{Below, Figure, Inputs, Key};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryReservation};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{EquivalenceProperties, LexOrdering, Partitioning, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, ReplaceChildrenOptions};
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use groups::Groups;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Groups of a batch at most; a step ends there, too.
const GROUPS: usize = 8192;
/// So many inputs are summed up with full batches; of more, batches have fewer rows and groups, for each holds all inputs.
const FULL: usize = 8;
/// Rows and groups of a batch at least: with fewer, most of the time would go into the batches themselves.
const FEWEST: usize = 256;
/// Rows that are read in one step at most, so that a query that is given up ends soon.
const STEP_ROWS: usize = 16 * BATCH;

/// The rule. It runs twice: before the engine brings the groups of partitions together, and at the end.
#[derive(Debug)]
pub(crate) struct Summaries {
    /// Whether sums that history knows may stand for rows.
    pub(crate) known_sums: bool,
    pub(crate) takes: Takes,
}

/// What is put in place of what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Takes {
    /// The whole aggregate, where all rows of a group are in one partition.
    Whole,
    /// Its first stage.
    FirstStage,
}

impl PhysicalOptimizerRule for Summaries {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            let summary = match self.takes {
                Takes::Whole => SummaryExec::instead_of_both(&node, self.known_sums),
                Takes::FirstStage => SummaryExec::instead_of(&node, self.known_sums),
            };
            Ok(match summary {
                Some(summary) => Transformed::yes(Arc::new(summary) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        match self.takes {
            Takes::Whole => "whole summaries",
            Takes::FirstStage => "summaries",
        }
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// An aggregate over samples, or its first stage.
#[derive(Debug, Clone)]
struct SummaryExec {
    feed: Feed,
    keys: Arc<[Key]>,
    figures: Arc<[Figure]>,
    inputs: Inputs,
    /// Whether another stage follows, which wants states and not results.
    states: bool,
    known_sums: bool,
    schema: SchemaRef,
    properties: Arc<PlanProperties>,
}

impl SummaryExec {
    /// How wide the stretches are that groups are made by, µs.
    fn width(&self) -> Option<i64> {
        self.keys.iter().find_map(|key| if let Key::Begin(width) = key { Some(*width) } else { None })
    }

    /// The same as the first stage of an aggregate over samples, `None` for everything else.
    fn instead_of(node: &Arc<dyn ExecutionPlan>, known_sums: bool) -> Option<Self> {
        let aggregate = node.downcast_ref::<AggregateExec>()?;
        let states = *aggregate.mode() == AggregateMode::Partial;
        if !states && *aggregate.mode() != AggregateMode::Single {
            return None;
        }
        let summary = Self::of(aggregate, aggregate.schema(), states, known_sums)?;
        let properties = Arc::clone(aggregate.properties());
        let partitions = properties.output_partitioning().partition_count();
        let whole = states || summary.groups_are_whole();
        (whole && partitions == summary.feed.partitions()).then_some(Self { properties, ..summary })
    }

    /// The same as both stages of an aggregate over samples, where no group has rows in two partitions.
    fn instead_of_both(node: &Arc<dyn ExecutionPlan>, known_sums: bool) -> Option<Self> {
        let last = node.downcast_ref::<AggregateExec>()?;
        if !matches!(last.mode(), AggregateMode::Final | AggregateMode::FinalPartitioned) {
            return None;
        }
        let first = last.input().downcast_ref::<AggregateExec>()?;
        let summary = Self::of(first, last.schema(), false, known_sums)?;
        (*first.mode() == AggregateMode::Partial && summary.groups_are_whole()).then_some(summary)
    }

    /// An aggregate whose columns are those of `schema`.
    fn of(aggregate: &AggregateExec, schema: SchemaRef, states: bool, known_sums: bool) -> Option<Self> {
        let below = Below::of(aggregate.input())?;
        let groups = aggregate.group_expr();
        if groups.has_grouping_set() {
            return None;
        }
        let keys: Arc<[Key]> = groups.expr().iter().map(|(expr, _)| below.key(expr)).collect::<Option<_>>()?;
        let asked = aggregate.aggr_expr().iter().map(AsRef::as_ref);
        let (figures, inputs) = below.figures(asked.zip(aggregate.filter_expr().iter().map(Option::as_ref)))?;
        let times = keys.iter().filter(|key| matches!(key, Key::Begin(_))).count();
        let types =
            keys.iter().map(|key| key.data_type()).chain(figures.iter().flat_map(|figure| figure.types(states)));
        // The same column twice is rare, and columns of other types there should not be.
        if times > 1
            || keys.len() - times > 1
            || !types.eq(schema.fields().iter().map(|field| field.data_type().clone()))
        {
            return None;
        }
        let properties = Arc::new(properties(&below.feed, &keys, &schema));
        Some(Self { feed: below.feed, keys, figures: figures.into(), inputs, states, known_sums, schema, properties })
    }

    /// Whether all rows of a group are in one partition: groups of several tags would have to be brought together.
    fn groups_are_whole(&self) -> bool {
        self.feed.targets() <= 1 || self.keys.contains(&Key::Path)
    }
}

/// Groups come target by target, those of each in the order of time.
fn properties(feed: &Feed, keys: &[Key], schema: &SchemaRef) -> PlanProperties {
    let by = |wanted: fn(&Key) -> bool| {
        let at = keys.iter().position(wanted)?;
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(at).name(), at));
        Some(PhysicalSortExpr::new(column, SortOptions::new(false, false)))
    };
    let (path, begin) = (by(|key| matches!(key, Key::Path)), by(|key| matches!(key, Key::Begin(_))));
    let mut orderings = Vec::new();
    if feed.targets() <= 1 {
        orderings.extend(LexOrdering::new(begin.clone()));
    }
    if path.is_some() {
        orderings.extend(LexOrdering::new([path, begin].into_iter().flatten()));
    }
    PlanProperties::new(
        EquivalenceProperties::new_with_orderings(schema.clone(), orderings),
        Partitioning::UnknownPartitioning(feed.partitions()),
        EmissionType::Incremental,
        Boundedness::Bounded,
    )
}

impl DisplayAs for SummaryExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "SummaryExec: {}, [{}]", self.feed, names.join(", "))?;
        match &self.inputs {
            Inputs::Expressions { condition: Some(condition), .. } => write!(f, ", where {condition}"),
            _ => Ok(()),
        }
    }
}

impl ExecutionPlan for SummaryExec {
    fn name(&self) -> &'static str {
        "SummaryExec"
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        if partition >= self.feed.partitions() {
            return Err(DataFusionError::Internal("there is no such partition".to_owned()));
        }
        let memory = MemoryConsumer::new(self.name()).register(context.memory_pool());
        Ok(steps::rows(self.schema.clone(), Summing::new(self.clone(), partition, memory)?))
    }
}

// ---- reading ----

struct Summing {
    exec: SummaryExec,
    partition: usize,
    /// In which order the targets are read.
    order: Vec<usize>,
    next: usize,
    reader: Reader,
    /// The columns over which expressions are evaluated.
    shape: Shape,
    /// Whether a target is being read.
    reading: bool,
    /// Rows that were read, and how many of them were added.
    part: Option<(Part, usize)>,
    groups: Groups,
    /// Everything was read; groups are left that are to be handed out.
    ended: bool,
    /// What all this takes of the memory of the query; given back at the end.
    memory: MemoryReservation,
}

/// How many rows or groups a batch of so many inputs has, where it may have `most`.
fn share(most: usize, inputs: usize) -> usize {
    (FULL * most / inputs.max(1)).clamp(FEWEST, most)
}

impl Summing {
    fn new(exec: SummaryExec, partition: usize, memory: MemoryReservation) -> Result<Self> {
        let mut order = exec.feed.quickest_order(partition);
        if exec.width().is_some() {
            // Many groups for each tag, which are handed out as they come.
            order.sort_unstable();
        }
        let reader = exec.feed.reader(partition);
        let shape = Shape::new(&exec.feed.schema(), exec.inputs.columns())?;
        let groups = Groups::new(exec.inputs.count());
        let (reading, part, ended) = (false, None, false);
        Ok(Self { exec, partition, order, next: 0, reader, shape, reading, part, groups, ended, memory })
    }

    /// Begins with the next target; `false` after the last.
    fn begin(&mut self) -> bool {
        let Some(at) = self.order.get(self.next).copied() else { return false };
        self.reading = self.reader.begin(at);
        // Without a key, everything is one group.
        if self.exec.keys.contains(&Key::Path) || self.exec.width().is_some() {
            self.groups.begin(at);
        }
        self.next += 1;
        self.reading
    }

    /// Adds the next rows; tells how many were read, `None` at the end of the target.
    fn add(&mut self) -> Result<Option<usize>> {
        let width = self.exec.width();
        if matches!(self.exec.inputs, Inputs::Value) {
            return self.add_values(width);
        }
        let (part, at) = match self.part.take() {
            Some(begun) => begun,
            None => match self.reader.next()? {
                Some(part) => (part, 0),
                None => return Ok(None),
            },
        };
        let to = (at + share(BATCH, self.exec.inputs.count())).min(part.ts().len());
        let batch = self.shape.batch(&mut self.reader, &part, at, to)?;
        let (ts, columns) = self.exec.inputs.evaluate(Cow::Borrowed(&part.ts()[at..to]), &batch)?;
        self.reserve(batch.get_array_memory_size() + columns.len() * ts.len() * size_of::<i64>())?;
        self.groups.take_columns(&ts, &columns, width);
        if to < part.ts().len() {
            self.part = Some((part, to));
        }
        Ok(Some(to - at))
    }

    fn add_values(&mut self, width: Option<i64>) -> Result<Option<usize>> {
        let next = match self.exec.known_sums {
            true => self.reader.next_summed(width)?,
            false => self.reader.next()?.and_then(|part| part.into_rows()).map(Summed::Rows),
        };
        Ok(next.map(|next| match next {
            Summed::Rows(rows) => {
                self.groups.take(&rows, width);
                rows.ts.len()
            }
            Summed::Sums(sums) => {
                sums.iter().for_each(|sum| self.groups.take_sum(sum, width));
                sums.len()
            }
        }))
    }

    /// Asks for the memory of the groups and of what is evaluated. Refused where the query would take more than it may.
    fn reserve(&self, evaluated: usize) -> Result<()> {
        self.memory.try_resize(self.groups.bytes() + evaluated)
    }

    /// How many groups are handed out at a time.
    fn groups_of_batch(&self) -> usize {
        share(GROUPS, self.exec.inputs.count())
    }
}

impl Work for Summing {
    /// Reads on until there are enough groups, or enough was read. Blocks.
    fn step(mut self) -> Result<Step<Self>> {
        let (width, enough) = (self.exec.width(), self.groups_of_batch());
        let mut read = 0;
        while !self.ended && (self.groups.len() < enough || width.is_none()) && read < STEP_ROWS {
            self.exec.feed.caller().still()?;
            if !self.reading && !self.begin() {
                self.end();
                break;
            }
            match self.add()? {
                Some(rows) => read += rows,
                None => self.reading = false,
            }
            self.reserve(0)?;
        }
        if self.ended {
            return self.hand_out(enough);
        }
        // The last group may go on.
        let whole = self.groups.len().saturating_sub(1);
        if width.is_none() || whole < enough - 1 {
            return Ok(Step::Rows(VecDeque::new(), self));
        }
        let batch = self.batch(whole)?;
        Ok(Step::Rows([batch].into(), self))
    }
}

impl Summing {
    fn end(&mut self) {
        // Without keys there is exactly one row.
        if self.exec.keys.is_empty() {
            self.groups.at_least_one();
        }
        self.groups.all.sort_by_key(|group| group.target);
        self.ended = true;
    }

    /// The next of the groups that are left: all of them as rows at once would take their memory twice.
    fn hand_out(mut self, most: usize) -> Result<Step<Self>> {
        self.exec.feed.caller().still()?;
        let count = self.groups.len().min(most);
        if count == 0 {
            return Ok(Step::Last(VecDeque::new()));
        }
        let batch = self.batch(count)?;
        Ok(match self.groups.len() {
            0 => Step::Last([batch].into()),
            _ => Step::Rows([batch].into(), self),
        })
    }

    /// The first groups as rows.
    fn batch(&mut self, count: usize) -> Result<RecordBatch> {
        let groups = self.groups.split_to(count);
        let mut columns: Vec<ArrayRef> = Vec::new();
        for key in &*self.exec.keys {
            columns.push(match key {
                Key::Path => {
                    let paths = groups.iter().map(|group| self.exec.feed.path(self.partition, group.target));
                    Arc::new(paths.collect::<StringViewArray>())
                }
                Key::Begin(_) => {
                    let begins: Vec<i64> = groups.iter().map(|group| group.begin).collect();
                    Arc::new(TimestampMicrosecondArray::from(begins).with_timezone("UTC"))
                }
            });
        }
        for figure in &*self.exec.figures {
            figure.columns(&groups, self.exec.states, &mut columns)?;
        }
        let options = RecordBatchOptions::new().with_row_count(Some(groups.len()));
        Ok(RecordBatch::try_new_with_options(self.exec.schema.clone(), columns, &options)?)
    }
}
