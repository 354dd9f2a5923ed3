//! Aggregates of `samples`, calculated while they are read.
//!
//! `avg`, `min`, `max`, `sum` and `count` for tags and stretches of time are what reports and screens ask for. The engine would have
//! every value copied into a batch with its path beside it, and would look up the group of each row. But history gives
//! rows tag by tag and in the order of time, so that a group is a stretch of a block, and often knows already what a minute or
//! an hour adds up to: [`Summaries`] puts [`SummaryExec`] in the
//! place of the first stage of such an aggregate. Columns, their types, the order of rows and the meaning of null stay as they
//! were; what the engine does after the first stage does not change.

use super::samples::{SamplesExec, Source, Target};
use super::steps::{self, Step, Work};
use crate::engine::{BATCH, Caller};
use crate::functions::bin::{self, Bin};
use crate::ports::{Rows, Summed};
use andon_model::StatusCode;
use andon_model::column::{Quality, StretchSum, Values};
use arrow::array::{ArrayRef, Float64Array, Int64Array, StringViewArray, TimestampMicrosecondArray, UInt64Array};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TransformedResult as _, TreeNode, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::aggregate::AggregateFunctionExpr;
use datafusion::physical_expr::expressions::{Column, Literal};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_plan::aggregates::{AggregateExec, AggregateMode};
use datafusion::physical_plan::execution_plan::ReplaceChildrenOptions;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

/// Groups of a batch; a step ends there, too.
const GROUPS: usize = 8192;
/// Numbers that are added side by side.
const LANES: usize = 8;
/// Rows that are read in one step at most, so that a query that is given up ends soon.
const STEP_ROWS: usize = 16 * BATCH;

/// The rule.
#[derive(Debug)]
pub(crate) struct Summaries {
    /// Whether sums that history knows may stand for rows.
    pub(crate) known_sums: bool,
}

impl PhysicalOptimizerRule for Summaries {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        plan.transform_up(|node| {
            Ok(match SummaryExec::instead_of(&node, self.known_sums) {
                Some(summary) => Transformed::yes(Arc::new(summary) as Arc<dyn ExecutionPlan>),
                None => Transformed::no(node),
            })
        })
        .data()
    }

    fn name(&self) -> &'static str {
        "summaries"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// What groups are made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Path,
    /// The beginning of a stretch so many µs wide.
    Begin(i64),
}

/// What is calculated for each group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Figure {
    Average,
    Minimum,
    Maximum,
    Sum,
    /// Of numbers that are not null.
    Count,
    /// Of rows.
    Rows,
}

/// The first stage of an aggregate over samples.
#[derive(Debug, Clone)]
struct SummaryExec {
    source: Source,
    keys: Arc<[Key]>,
    figures: Arc<[Figure]>,
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

    /// The same as an aggregate over samples, `None` for everything else.
    fn instead_of(node: &Arc<dyn ExecutionPlan>, known_sums: bool) -> Option<Self> {
        let aggregate = node.downcast_ref::<AggregateExec>()?;
        let samples = aggregate.input().downcast_ref::<SamplesExec>()?;
        let source = samples.source()?;
        let groups = aggregate.group_expr();
        if groups.has_grouping_set() || aggregate.filter_expr().iter().any(Option::is_some) {
            return None;
        }
        let keys: Arc<[Key]> = groups.expr().iter().map(|(expr, _)| key(expr)).collect::<Option<_>>()?;
        let figures: Arc<[Figure]> = aggregate.aggr_expr().iter().map(|expr| figure(expr)).collect::<Option<_>>()?;
        let states = match aggregate.mode() {
            AggregateMode::Partial => true,
            // Each group must be whole: groups of several tags would have to be brought together.
            AggregateMode::Single if samples.tags() <= 1 || keys.contains(&Key::Path) => false,
            _ => return None,
        };
        let times = keys.iter().filter(|key| matches!(key, Key::Begin(_))).count();
        let schema = aggregate.schema();
        let types =
            keys.iter().map(|key| key.data_type()).chain(figures.iter().flat_map(|figure| figure.types(states)));
        // The same column twice is rare, and columns of other types there should not be.
        if times > 1
            || keys.len() - times > 1
            || !types.eq(schema.fields().iter().map(|field| field.data_type().clone()))
        {
            return None;
        }
        let properties = Arc::clone(aggregate.properties());
        let partitions = properties.output_partitioning().partition_count();
        (partitions == source.parts.len()).then_some(Self {
            source,
            keys,
            figures,
            states,
            known_sums,
            schema,
            properties,
        })
    }
}

fn key(expr: &Arc<dyn PhysicalExpr>) -> Option<Key> {
    if let Some(column) = expr.downcast_ref::<Column>() {
        return (column.name() == "path").then_some(Key::Path);
    }
    let [width, ts] = ScalarFunctionExpr::try_downcast_func::<Bin>(&**expr)?.args() else { return None };
    let ts = ts.downcast_ref::<Column>()?;
    let width = bin::width_us(width.downcast_ref::<Literal>()?.value())?;
    (ts.name() == "ts").then_some(Key::Begin(width))
}

fn figure(expr: &AggregateFunctionExpr) -> Option<Figure> {
    if expr.is_distinct() || !expr.order_bys().is_empty() {
        return None;
    }
    let [of] = &expr.expressions()[..] else { return None };
    let of_value = of.downcast_ref::<Column>().is_some_and(|column| column.name() == "value");
    // Columns that are never null, and `count(*)`, which is `count(1)`.
    let of_row = of
        .downcast_ref::<Column>()
        .is_some_and(|column| ["path", "ts", "quality", "status", "status_code"].contains(&column.name()))
        || of.downcast_ref::<Literal>().is_some_and(|literal| !literal.value().is_null());
    Some(match expr.fun().name() {
        "avg" if of_value => Figure::Average,
        "min" if of_value => Figure::Minimum,
        "max" if of_value => Figure::Maximum,
        "sum" if of_value => Figure::Sum,
        "count" if of_value => Figure::Count,
        "count" if of_row => Figure::Rows,
        _ => return None,
    })
}

impl Key {
    fn data_type(self) -> DataType {
        match self {
            Self::Path => DataType::Utf8View,
            Self::Begin(_) => super::time(),
        }
    }
}

impl DisplayAs for SummaryExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.schema.fields().iter().map(|field| field.name().as_str()).collect();
        write!(f, "SummaryExec: {}, [{}]", self.source, names.join(", "))
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

    fn execute(&self, partition: usize, _: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let targets = self.source.parts.get(partition).cloned();
        let targets = targets.ok_or_else(|| DataFusionError::Internal("there is no such partition".to_owned()))?;
        let summing = Summing::new(self.clone(), targets);
        Ok(steps::rows(self.schema.clone(), summing))
    }
}

// ---- reading ----

struct Summing {
    exec: SummaryExec,
    targets: Arc<[Target]>,
    /// In which order they are read.
    order: Vec<usize>,
    next: usize,
    reader: super::samples::Reader,
    /// Whether a tag is being read.
    reading: bool,
    groups: Groups,
}

impl Summing {
    fn new(exec: SummaryExec, targets: Arc<[Target]>) -> Self {
        let mut order: Vec<usize> = (0..targets.len()).collect();
        if exec.width().is_none() {
            // One group for each tag at most, so that all can wait to be put in order at the end.
            order.sort_by_key(|at| targets.get(*at).map(|target| target.id));
        }
        let reader = exec.source.reader();
        Self { exec, targets, order, next: 0, reader, reading: false, groups: Groups::default() }
    }
}

impl Work for Summing {
    /// Reads on until there are enough groups, or enough was read. Blocks.
    fn step(mut self) -> Result<Step<Self>> {
        let width = self.exec.width();
        let by_path = self.exec.keys.contains(&Key::Path);
        let mut read = 0;
        while (self.groups.len() < GROUPS || width.is_none()) && read < STEP_ROWS {
            let caller: &Caller = &self.exec.source.caller;
            caller.still()?;
            if !self.reading {
                let Some((at, target)) = self.order.get(self.next).and_then(|at| Some((*at, self.targets.get(*at)?)))
                else {
                    return self.end();
                };
                self.reader.begin(target);
                self.reading = true;
                // Without a key, everything is one group.
                if by_path || width.is_some() {
                    self.groups.begin(at);
                }
                self.next += 1;
            }
            let next = match self.exec.known_sums {
                true => self.reader.next_summed(width)?,
                false => self.reader.next()?.map(Summed::Rows),
            };
            match next {
                None => self.reading = false,
                Some(Summed::Rows(rows)) => {
                    read += rows.ts.len();
                    self.groups.take(&rows, width);
                }
                Some(Summed::Sums(sums)) => {
                    read += sums.len();
                    sums.iter().for_each(|sum| self.groups.take_sum(sum, width));
                }
            }
        }
        if width.is_none() {
            return Ok(Step::Rows(VecDeque::new(), self));
        }
        // The last group may go on.
        let whole = self.groups.len().saturating_sub(1);
        if whole < GROUPS - 1 {
            return Ok(Step::Rows(VecDeque::new(), self));
        }
        let batch = self.batch(whole)?;
        Ok(Step::Rows([batch].into(), self))
    }
}

impl Summing {
    fn end(mut self) -> Result<Step<Self>> {
        // Without keys there is exactly one row.
        if self.exec.keys.is_empty() {
            self.groups.at_least_one();
        }
        self.groups.all.sort_by_key(|group| group.target);
        let mut batches = VecDeque::new();
        while self.groups.len() > 0 {
            let count = self.groups.len().min(GROUPS);
            batches.push_back(self.batch(count)?);
        }
        Ok(Step::Last(batches))
    }

    /// The first groups as rows.
    fn batch(&mut self, count: usize) -> Result<RecordBatch> {
        let groups = self.groups.split_to(count);
        let mut columns: Vec<ArrayRef> = Vec::new();
        for key in &*self.exec.keys {
            columns.push(match key {
                Key::Path => {
                    let path = |group: &Group| self.targets.get(group.target).map(|target| &*target.path);
                    Arc::new(groups.iter().map(path).collect::<StringViewArray>())
                }
                Key::Begin(_) => {
                    let begins: Vec<i64> = groups.iter().map(|group| group.begin).collect();
                    Arc::new(TimestampMicrosecondArray::from(begins).with_timezone("UTC"))
                }
            });
        }
        for figure in &*self.exec.figures {
            figure.columns(&groups, self.exec.states, &mut columns);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(groups.len()));
        Ok(RecordBatch::try_new_with_options(self.exec.schema.clone(), columns, &options)?)
    }
}

impl Figure {
    /// The types of its columns.
    fn types(self, states: bool) -> Vec<DataType> {
        match self {
            Self::Average if states => vec![DataType::UInt64, DataType::Float64],
            Self::Count | Self::Rows => vec![DataType::Int64],
            _ => vec![DataType::Float64],
        }
    }

    /// The columns of this figure. Where nothing was counted there is no number.
    #[expect(clippy::cast_precision_loss, reason = "a count of rows")]
    #[expect(clippy::cast_possible_wrap, reason = "a count of rows")]
    fn columns(self, groups: &[Group], states: bool, into: &mut Vec<ArrayRef>) {
        let number = |of: fn(&Group) -> f64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| (group.count > 0).then(|| of(group))).collect::<Float64Array>())
        };
        let count = |of: fn(&Group) -> u64| -> ArrayRef {
            Arc::new(groups.iter().map(|group| Some(of(group) as i64)).collect::<Int64Array>())
        };
        if states && self == Self::Average {
            // A state without a count is passed over; one that counts nothing would be divided by.
            let counts = groups.iter().map(|group| (group.count > 0).then_some(group.count));
            into.push(Arc::new(counts.collect::<UInt64Array>()));
        }
        into.push(match self {
            Self::Average if states => number(|group| group.sum),
            Self::Average => number(|group| group.sum / group.count as f64),
            Self::Minimum => number(|group| group.min),
            Self::Maximum => number(|group| group.max),
            Self::Sum => number(|group| group.sum),
            Self::Count => count(|group| group.count),
            Self::Rows => count(|group| group.rows),
        });
    }
}

// ---- summing up ----

/// The rows of one tag in one stretch of time.
#[derive(Debug, Clone, PartialEq)]
struct Group {
    target: usize,
    begin: i64,
    rows: u64,
    /// Numbers: neither null nor bad.
    count: u64,
    sum: f64,
    min: f64,
    max: f64,
}

#[derive(Debug, Default)]
struct Groups {
    all: Vec<Group>,
    target: usize,
    /// The last group belongs to an earlier tag.
    fresh: bool,
    /// Where the stretch of the last group ends.
    end: i64,
}

impl Groups {
    fn len(&self) -> usize {
        self.all.len()
    }

    /// Rows of another tag follow.
    fn begin(&mut self, target: usize) {
        self.target = target;
        self.fresh = true;
    }

    fn at_least_one(&mut self) {
        if self.all.is_empty() {
            self.push(0);
        }
    }

    fn push(&mut self, begin: i64) {
        self.fresh = false;
        self.all.push(Group { target: self.target, begin, rows: 0, count: 0, sum: 0.0, min: 0.0, max: 0.0 });
    }

    /// Begins a new group if the time belongs to none that is open.
    fn open(&mut self, ts: i64, width: Option<i64>) {
        if self.fresh || self.all.is_empty() || (width.is_some() && ts >= self.end) {
            let begin = width.map_or(0, |width| bin::begin(ts, width));
            self.end = width.map_or(i64::MAX, |width| begin.saturating_add(width));
            self.push(begin);
        }
    }

    /// Adds what rows add up to. They come after those that were added for this tag.
    fn take_sum(&mut self, sum: &StretchSum, width: Option<i64>) {
        self.open(sum.first, width);
        let Some(group) = self.all.last_mut() else { return };
        group.rows += sum.rows;
        let Some((min, max)) = sum.extremes else { return };
        group.extreme(min, max);
        group.sum += sum.sum;
        group.count += sum.numbers;
    }

    /// Adds the rows of a block. They come after those that were added for this tag.
    fn take(&mut self, rows: &Rows, width: Option<i64>) {
        let mut at = 0;
        while at < rows.ts.len() {
            self.open(rows.ts[at], width);
            let rest = &rows.ts[at..];
            let len = if width.is_none() { rest.len() } else { within(rest, self.end) };
            if let Some(group) = self.all.last_mut() {
                group.take(rows, at, at + len);
            }
            at += len;
        }
    }

    fn split_to(&mut self, count: usize) -> Vec<Group> {
        let rest = self.all.split_off(count);
        std::mem::replace(&mut self.all, rest)
    }
}

/// How many of ascending times lie before `end`: at least one. Looks in steps that double, for stretches may be short or long.
fn within(ts: &[i64], end: i64) -> usize {
    let mut reach = 1;
    while reach < ts.len() && ts[reach] < end {
        reach *= 2;
    }
    let from = reach / 2;
    let to = reach.min(ts.len());
    (from + ts[from..to].partition_point(|ts| *ts < end)).max(1)
}

impl Group {
    fn take(&mut self, rows: &Rows, at: usize, to: usize) {
        self.rows += (to - at) as u64;
        match (&rows.values, &rows.quality) {
            (_, Quality::Same(code)) if StatusCode(*code).is_bad() => {}
            (Values::Double(numbers), Quality::Same(_)) => self.numbers(&numbers[at..to]),
            (Values::Double(numbers), Quality::Each(codes)) => {
                let alike = |a: &u32, b: &u32| StatusCode(*a).is_bad() == StatusCode(*b).is_bad();
                let mut numbers = &numbers[at..to];
                for codes in codes[at..to].chunk_by(alike) {
                    let (these, others) = numbers.split_at(codes.len());
                    numbers = others;
                    if !StatusCode(codes[0]).is_bad() {
                        self.numbers(these);
                    }
                }
            }
            (values, quality) => {
                for row in at..to {
                    if let Some(number) = values.number(row).filter(|_| !quality.get(row).is_bad()) {
                        self.number(number);
                    }
                }
            }
        }
    }

    /// Adds numbers, several side by side: one sum after the other would wait for each addition.
    fn numbers(&mut self, numbers: &[f64]) {
        let chunks = numbers.chunks_exact(LANES);
        let rest = chunks.remainder();
        let mut sums = [0.0_f64; LANES];
        let (mut smallest, mut largest, mut ordered) = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES], true);
        for chunk in chunks {
            for lane in 0..LANES {
                let number = chunk[lane];
                sums[lane] += number;
                smallest[lane] = if number < smallest[lane] { number } else { smallest[lane] };
                largest[lane] = if number > largest[lane] { number } else { largest[lane] };
                ordered &= !number.is_nan();
            }
        }
        if !ordered {
            numbers.iter().for_each(|number| self.number(*number));
            return;
        }
        let count = numbers.len() - rest.len();
        if count > 0 {
            let (min, max) =
                smallest.into_iter().zip(largest).fold((f64::INFINITY, f64::NEG_INFINITY), |known, lane| {
                    (if lane.0 < known.0 { lane.0 } else { known.0 }, if lane.1 > known.1 { lane.1 } else { known.1 })
                });
            self.extreme(min, max);
            self.sum += sums.iter().sum::<f64>();
            self.count += count as u64;
        }
        rest.iter().for_each(|number| self.number(*number));
    }

    fn number(&mut self, number: f64) {
        self.extreme(number, number);
        self.sum += number;
        self.count += 1;
    }

    /// As the engine compares: what has no order takes the place of what was there.
    fn extreme(&mut self, min: f64, max: f64) {
        if self.count == 0 || !matches!(min.partial_cmp(&self.min), Some(Ordering::Greater | Ordering::Equal)) {
            self.min = min;
        }
        if self.count == 0 || !matches!(max.partial_cmp(&self.max), Some(Ordering::Less | Ordering::Equal)) {
            self.max = max;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![6 => -1e3..1e3_f64, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0)]
    }

    proptest! {
        #[test]
        fn side_by_side_or_one_by_one_numbers_add_up_to_the_same(runs in proptest::collection::vec(proptest::collection::vec(number(), 0..40), 0..4)) {
            let (mut ours, mut plain) = (Groups::default(), Groups::default());
            ours.push(0);
            plain.push(0);
            for run in &runs {
                ours.all[0].numbers(run);
                run.iter().for_each(|number| plain.all[0].number(*number));
            }
            let (ours, plain) = (&ours.all[0], &plain.all[0]);
            prop_assert_eq!(ours.count, plain.count);
            prop_assert_eq!((ours.min.to_bits(), ours.max.to_bits()), (plain.min.to_bits(), plain.max.to_bits()));
            prop_assert!(ours.sum == plain.sum || ours.sum.is_nan() && plain.sum.is_nan() || (ours.sum - plain.sum).abs() < 1e-9);
        }
    }
}
